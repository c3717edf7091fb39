//! `ftpd why`: explains whether a user may do something with a path. The running server
//! answers, because only it knows its sandbox. If no server runs, this process checks as the
//! server's user.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::geteuid;

use super::admin::{Absence, ask_if_there};
use super::arguments::{Arguments, Word};
use super::outcome::{FAILED, Stop};
use super::print::{complain, say};
use super::screen::safe;
use super::settings::load;
use super::typos::nearest;
use super::unit::server_user;
use crate::control::{self, ACTIONS};
use crate::log::escaped;
use crate::rights::{self, Ids, Keep};
use crate::server::protocol::{VerdictView, Verdicts, Why};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let mut words = Vec::new();
    while let Some(word) = arguments.next()? {
        match word {
            Word::Value(text) => words.push(text),
            flag @ Word::Flag(_) => return Err(flag.unexpected()),
        }
    }
    let mut words = words.into_iter();
    let (Some(name), Some(path)) = (words.next(), words.next()) else {
        return Err(Stop::Misuse("expected a user and a path".to_owned()));
    };
    let wanted = words.next();
    if let Some(more) = words.next() {
        return Err(Word::Value(more).unexpected());
    }
    let known = ACTIONS.map(|(action, _)| action);
    let action = wanted.as_deref().map(|wanted| known.iter().find(|known| wanted == **known));
    let action = match action {
        Some(None) => {
            let word = wanted.unwrap_or_default();
            let near = nearest(&word.to_string_lossy(), known.into_iter());
            let near = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
            return Err(Stop::Misuse(format!("expected one of {}{near}", known.join(", "))));
        }
        Some(Some(action)) => Some(*action),
        None => None,
    };
    let file = arguments.file.as_deref();
    let answer = |lines: Vec<(String, bool)>| {
        let all_allowed = lines.iter().all(|(_, allowed)| *allowed);
        let lines: Vec<_> = lines.into_iter().map(|(line, _)| line).collect();
        say(&lines.join("\n"));
        if all_allowed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    };
    if let Some(lines) = by_server(file, &name, &path, action)? {
        return Ok(answer(lines));
    }
    by_itself(file, &name, &path, action).map(answer)
}

/// The output: for each action a line, and whether the action is allowed.
type Lines = Vec<(String, bool)>;

/// Asks the running server. Returns `None` if no server is running, or if this user may not ask
/// it.
fn by_server(
    file: Option<&Path>,
    name: &OsStr,
    path: &OsStr,
    action: Option<&str>,
) -> Result<Option<Lines>, Stop> {
    let order = Why {
        user: name.as_bytes().to_owned(),
        path: path.as_bytes().to_owned(),
        action: action.map(str::to_owned),
    };
    let Verdicts { answers } = match ask_if_there(file, order) {
        Ok(answer) => answer,
        Err(Absence::NotAllowed) => {
            complain("(the running server could not be asked: permission denied; try sudo)");
            return Ok(None);
        }
        Err(Absence::NoServer) => return Ok(None),
        // a server of an older version, which does not know the request
        Err(Absence::Failed(Stop::Refused(why))) if why == "no such command" => {
            return Ok(None);
        }
        Err(Absence::Failed(Stop::Refused(why))) => return Err(Stop::Failed(why)),
        Err(Absence::Failed(why)) => return Err(why),
    };
    let line = |verdict: VerdictView| {
        let refusal = verdict.refusal.as_deref().map(safe);
        // the path is quoted already
        printed(&safe(&verdict.action), &verdict.path, refusal)
    };
    Ok(Some(answers.into_iter().map(line).collect()))
}

/// Checks in this process.
fn by_itself(
    file: Option<&Path>,
    name: &OsStr,
    path: &OsStr,
    action: Option<&str>,
) -> Result<Lines, Stop> {
    let (origin, config) = load(file)?;
    let user = config.user(name.as_bytes()).and_then(|(_, user)| user.run_as.clone());
    let ids = user.as_deref().cloned().or_else(|| config.server.process.user.clone());
    become_server(ids.or_else(|| server_user(&origin)).as_ref())?;
    let verdicts = control::why(&config, name.as_bytes(), path.as_bytes(), action);
    let verdicts = verdicts.map_err(Stop::Failed)?;
    let line = |verdict: control::Verdict| {
        let why = verdict.refusal.map(|why| escaped(why.as_bytes()).to_string());
        printed(verdict.action, &verdict.path, why)
    };
    Ok(verdicts.into_iter().map(line).collect())
}

fn printed(action: &str, path: &str, refusal: Option<String>) -> (String, bool) {
    let allowed = refusal.is_none();
    let verdict = refusal.map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
    (format!("{action} {path}: {verdict}"), allowed)
}

/// Takes on the rights that the server would have, as far as possible.
fn become_server(ids: Option<&Ids>) -> Result<(), Stop> {
    let Some(ids) = ids else {
        if rights::is_root() {
            complain("(checked as root; the server may run as a user with fewer rights)");
        }
        return Ok(());
    };
    let name = escaped(ids.name.as_bytes());
    if rights::may_become(ids).is_err() {
        let me = geteuid().as_raw();
        complain(&format!(
            "(checked as uid {me}; the server runs as user {name}: ask as that user or as root)"
        ));
        return Ok(());
    }
    rights::give_up(ids, Keep::default())
        .map_err(|why| Stop::Failed(format!("cannot become user {name}: {why}")))
}
