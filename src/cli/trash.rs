//! `ftpd trash`: lists what a user has deleted, brings it back, or removes it for good. The running
//! server does it, because it has the rights. If no server runs, this process does it as the server's
//! user.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::admin::{Absence, ask_if_there};
use super::arguments::{Arguments, Word};
use super::outcome::{FAILED, Stop};
use super::print::{complain, say};
use super::screen::{binary, safe};
use super::settings::load;
use super::unit::server_user;
use crate::config::{Config, Origin};
use crate::control;
use crate::log;
use crate::rights::{self, Keep};
use crate::server::protocol::{
    AdminOrder, DeletedView, Emptied, Empty, Restore, Restored, Trash, TrashList,
};
use crate::vfs::Quotas;

/// What is to be done with the trash of a user.
enum Task {
    List,
    /// The path; `None`: everything.
    Restore(Option<Vec<u8>>),
    Empty(Vec<u8>),
}

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let (mut json, mut all, mut words) = (false, false, Vec::new());
    while let Some(word) = arguments.next()? {
        match word {
            Word::Flag(name) if name == "--json" => json = true,
            Word::Flag(name) if name == "--all" => all = true,
            Word::Value(text) => words.push(text),
            flag @ Word::Flag(_) => return Err(flag.unexpected()),
        }
    }
    let (user, task) = task(&words, all)?;
    let file = arguments.file.as_deref();
    match task {
        Task::List => list(file, &user, json),
        Task::Restore(path) => restore(file, &user, path.as_deref(), json),
        Task::Empty(path) => empty(file, &user, &path, json),
    }
}

/// Reads the words of the command line.
fn task(words: &[OsString], all: bool) -> Result<(Vec<u8>, Task), Stop> {
    let what = words.first().and_then(|what| what.to_str()).unwrap_or_default();
    let bytes = |text: &OsStr| text.as_bytes().to_owned();
    let (user, path) = match words.get(1..).unwrap_or_default() {
        [user] => (user, None),
        [user, path] => (user, Some(bytes(path))),
        _ => return Err(Stop::Misuse(EXPECTED.to_owned())),
    };
    let task = match (what, path, all) {
        ("list", None, false) => Task::List,
        ("restore", None, true) => Task::Restore(None),
        ("restore", Some(path), false) => Task::Restore(Some(path)),
        ("empty", path, false) => Task::Empty(path.unwrap_or_else(|| b"/".to_vec())),
        _ => return Err(Stop::Misuse(EXPECTED.to_owned())),
    };
    Ok((bytes(user), task))
}

const EXPECTED: &str =
    "expected list USER, restore USER PATH, restore USER --all, or empty USER [PATH]";

fn list(file: Option<&Path>, user: &[u8], json: bool) -> Result<ExitCode, Stop> {
    let here = |config: &Config| Ok(control::trash_list(config, user)?.into());
    let list = answer(file, Trash { user: user.to_owned() }, user, here)?;
    if json {
        return Ok(say(&log::json(&json!(list))));
    }
    let TrashList { deleted, complete } = list;
    if deleted.is_empty() {
        return Ok(say("the trash is empty"));
    }
    let mut lines = table(&deleted);
    if !complete {
        // writing to a String cannot fail
        let _ = write!(lines, "\n(only the first {} are listed)", deleted.len());
    }
    Ok(say(&lines))
}

fn table(deleted: &[DeletedView]) -> String {
    let mut lines = format!("{:<19} {:>10}  PATH", "DELETED", "SIZE");
    for one in deleted {
        // without milliseconds and zone
        let when = one.deleted.replace('T', " ");
        let when = when.get(..19).unwrap_or(&when);
        let size = match one.kind.as_str() {
            "file" => binary(one.bytes),
            kind => safe(kind),
        };
        // the path is quoted already; writing to a String cannot fail
        let _ = write!(lines, "\n{when:<19} {size:>10}  {}", one.path);
    }
    lines
}

fn restore(
    file: Option<&Path>,
    user: &[u8],
    path: Option<&[u8]>,
    json: bool,
) -> Result<ExitCode, Stop> {
    let here =
        |config: &Config| Ok(control::trash_restore(config, &uncounted(), user, path)?.into());
    let order = Restore { user: user.to_owned(), path: path.map(<[u8]>::to_owned) };
    let back: Restored = answer(file, order, user, here)?;
    let code = if back.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    if json {
        say(&log::json(&json!(back)));
        return Ok(code);
    }
    for refused in &back.refused {
        complain(&format!("{}: {}", refused.path, safe(&refused.why)));
    }
    say(&format!("{} restored", counted(back.restored, "file or directory")));
    Ok(code)
}

fn empty(file: Option<&Path>, user: &[u8], path: &[u8], json: bool) -> Result<ExitCode, Stop> {
    let here =
        |config: &Config| Ok(control::trash_empty(config, &uncounted(), user, path)?.into());
    let order = Empty { user: user.to_owned(), path: path.to_owned() };
    let gone: Emptied = answer(file, order, user, here)?;
    let code = if gone.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    if json {
        say(&log::json(&json!(gone)));
        return Ok(code);
    }
    let Emptied { files, directories, bytes, failed } = gone;
    if failed > 0 {
        complain(&format!("{failed} in the trash could not be removed; the log says why"));
    }
    let (files, directories) = (counted(files, "file"), counted(directories, "directory"));
    say(&format!("removed {files} ({}) and {directories}", binary(bytes)));
    Ok(code)
}

fn counted(count: u64, what: &str) -> String {
    let plural = what.replace("file", "files").replace("directory", "directories");
    if count == 1 { format!("1 {what}") } else { format!("{count} {plural}") }
}

/// Lets the running server carry out an order or, if none runs, this process.
fn answer<O: AdminOrder>(
    file: Option<&Path>,
    order: O,
    user: &[u8],
    here: impl FnOnce(&Config) -> Result<O::Answer, String>,
) -> Result<O::Answer, Stop> {
    match ask_if_there(file, order) {
        Err(Absence::NoServer) => {}
        Err(Absence::NotAllowed) => {
            let why = "the running server could not be asked: permission denied; try sudo";
            return Err(Stop::Failed(why.to_owned()));
        }
        Err(Absence::Failed(Stop::Refused(why))) => return Err(Stop::Failed(why)),
        Err(Absence::Failed(why)) => return Err(why),
        Ok(answer) => return Ok(answer),
    }
    let (origin, config) = load(file)?;
    become_server(&origin, &config, user)?;
    here(&config).map_err(Stop::Failed)
}

/// Takes on the rights that the server would have, as far as possible. A user with `run_as` needs those
/// of root, which then acts as that user.
fn become_server(origin: &Origin, config: &Config, user: &[u8]) -> Result<(), Stop> {
    let acts = config.user(user).is_some_and(|(_, user)| user.run_as.is_some());
    let ids = config.server.process.user.clone().or_else(|| server_user(origin));
    match ids {
        Some(ids) if !acts && rights::may_become(&ids).is_ok() => {
            let name = safe(&ids.name);
            let cannot = |why| Stop::Failed(format!("cannot become user {name}: {why}"));
            rights::give_up(&ids, Keep::default()).map_err(cannot)
        }
        _ => Ok(()),
    }
}

/// Returns quotas that count nothing: a server that starts later counts what it does not know.
fn uncounted() -> Arc<Quotas> {
    Arc::new(Quotas::none())
}
