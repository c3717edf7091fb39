//! CWD, CDUP, PWD, MKD, RMD, DELE, RNFR, RNTO and SITE CHMOD (RFC 959 §4.1.1, §4.1.3).

use std::io::Read;

use crate::config::{Occasion, Perm};
use crate::control::arg::text::Pathname;
use crate::control::command::Verb;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::User;
use crate::log::Event;
use crate::vfs::{Destination, FsError, Renamed, VirtualPath};

/// Name of the file that holds the message of a directory, as with other servers.
const MESSAGE: &[u8] = b".message";

/// Maximum number of bytes of the message that are shown.
const LONGEST_MESSAGE: u64 = 8 << 10;

/// Maximum number of lines of the message that are shown.
const MOST_LINES: usize = 100;

/// Returns the path that the argument of CWD means. `~` is the home, as in a shell, unless something
/// has this name in the working directory.
pub(crate) fn directory(user: &User, path: &Pathname) -> VirtualPath {
    let below_home = match path.as_bytes().strip_prefix(b"~") {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => Some(rest),
        _ => None,
    };
    let below_home = below_home.filter(|_| !user.has(b"~"));
    below_home
        .map_or_else(|| user.path(path), |rest| VirtualPath::root().join(&user.meant(rest)))
}

/// CWD, and CDUP with the path of the parent: changes the working directory.
pub(crate) fn change_dir(user: &mut User, path: VirtualPath) -> Result<Reply, Refusal> {
    // which path is meant has been found out anew, and it may be another one by now
    user.check(Perm::Enter, &path)?;
    user.tree.enter(&path)?;
    user.pin = user.tree.pin_directory(&path);
    user.cwd = path;
    let shows = user.account.user.rules.messages.folder;
    let message = shows.then(|| message(user)).flatten();
    Ok(match message {
        Some((first, between)) => {
            Reply::message(Code::FileActionDone, &first, &between, "Directory changed")
        }
        None => Reply::done("Directory changed"),
    })
}

/// Returns the message of the working directory: its first line, and the others.
fn message(user: &User) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    // a link may lead to where files may not be read
    user.tree.ask(Some(Perm::Retrieve));
    let (file, _) = user.tree.read(&user.cwd.join(MESSAGE)).ok()?;
    let mut text = Vec::new();
    file.take(LONGEST_MESSAGE).read_to_end(&mut text).ok()?;
    let lines = text.strip_suffix(b"\n").unwrap_or(&text).split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    let lines = lines.map(|line| match std::str::from_utf8(&line) {
        Ok(text) => user.speech.text(text).into_owned(),
        Err(_) => line,
    });
    let mut lines = lines.take(MOST_LINES);
    let first = lines.next().filter(|_| !text.is_empty())?;
    Some((first, lines.collect()))
}

/// PWD: shows the working directory.
pub(crate) fn print_dir(user: &User) -> Reply {
    Reply::path(&user.said(user.cwd.as_bytes()), "is the working directory")
}

/// MKD: makes a directory. The reply contains its absolute path, even if the argument was
/// relative, because clients send that path with CWD (RFC 959, Appendix II).
pub(crate) fn make_dir(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = user.path(path);
    let _turn = session.begin_turn(Occasion::Mkdir, &path, None);
    user.tree.make_dir(&path, user.umask)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(&path)));
    session.happened(Occasion::Mkdir, &path, None, None);
    let user = session.user_mut()?;
    user.aliases.forget(&path);
    Ok(Reply::path(&user.said(path.as_bytes()), "created"))
}

/// RMD: removes an empty directory.
pub(crate) fn remove_dir(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = user.path(path);
    let is_kept = user.tree.remove_dir(&path)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(&path)));
    session.log_trashed(is_kept, &path)?;
    session.user_mut()?.aliases.forget(&path);
    Ok(Reply::done("Directory removed"))
}

/// DELE: deletes a file.
pub(crate) fn delete(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Delete, verb)?;
    let user = session.user()?;
    let path = user.path(path);
    let _turn = session.begin_turn(Occasion::Delete, &path, None);
    let is_kept = match user.tree.remove_file(&path) {
        Err(FsError::NotFound) => remove_begun(user, &path)?,
        other => other?,
    };
    session.user_mut()?.aliases.forget_at(&path);
    let user = session.user()?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(&path)));
    session.log_trashed(is_kept, &path)?;
    session.happened(Occasion::Delete, &path, None, None);
    Ok(Reply::done("File deleted"))
}

/// Removes what uploads that broke off have left where `store_as` has filed them, if the client stored
/// them under this name. No complete file is removed. Nothing of it goes to the trash.
fn remove_begun(user: &User, name: &VirtualPath) -> Result<bool, Refusal> {
    let place = user.tree.begun(name).ok_or(FsError::NotFound)?;
    user.check(Perm::Delete, &place)?;
    user.tree.forget_begun(name);
    Ok(false)
}

/// RNFR: checks that the file exists, and keeps its path for RNTO. Other commands may come
/// between the two, because some clients send NOOP, TYPE or PASV there.
pub(crate) fn rename_from(session: &mut Session, path: &Pathname) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = user.stored(Perm::Rename, path)?;
    user.tree.entry(&path)?;
    session.state.parameters.rename_from = Some(path);
    Ok(Reply::new(Code::NeedMore, "Send RNTO now"))
}

/// RNTO: renames the file that RNFR has named.
pub(crate) fn rename_to(
    session: &mut Session,
    verb: &Verb,
    from: Option<&VirtualPath>,
    to: &Pathname,
) -> Result<Reply, Refusal> {
    let from = from.ok_or(Refusal::Sequence("Send RNFR first"))?;
    session.await_program(Occasion::Rename, verb)?;
    let user = session.user()?;
    let name = user.path(to);
    let to = new_place(user, from, &name)?;
    let _turn = session.begin_turn(Occasion::Rename, to.path(), Some(from));
    let Renamed { path, kept } = user.tree.refile(from, &to, user.umask).map_err(|why| {
        let is_denied = matches!(why, FsError::Denied(_));
        if is_denied { Refusal::RenameDenied(why, from.clone()) } else { why.into() }
    })?;
    session.log(&Event::Renamed(&user.tree.real(from), &user.tree.real(&path)));
    session.log_trashed(kept, &path)?;
    session.happened(Occasion::Rename, &path, Some(from), None);
    let user = session.user_mut()?;
    user.aliases.forget_below(from);
    user.aliases.note(&name, &path, user.tree.identity(&path), false);
    if path == name {
        return Ok(Reply::done("Renamed"));
    }
    let text = [b"Renamed, FILE: ", &*user.short_name(&path)].concat();
    Ok(Reply::new(Code::FileActionDone, text))
}

/// Returns where the client wants a file or directory to be that it renames to `name`.
fn new_place(
    user: &User,
    from: &VirtualPath,
    name: &VirtualPath,
) -> Result<Destination, Refusal> {
    // to the session, a file that it has stored has the name already
    if user.alias(name).is_some_and(|alias| alias.stored == *from) {
        return Ok(Destination::exactly(from.clone()));
    }
    let named = user.name_of(from);
    let Some(named) = named.filter(|named| named.parent() == name.parent()) else {
        return Ok(Destination::exactly(name.clone()));
    };
    // the client renames what it has stored here, and does not know that it is elsewhere
    let to = user.tree.destination_again(named, from, name)?;
    user.check(Perm::Rename, to.path())?;
    Ok(to)
}

/// SITE CHMOD: changes permission bits. The reply contains the mode that is now set.
pub(crate) fn chmod(
    session: &Session,
    verb: &Verb,
    mode: u32,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = user.stored(Perm::Chmod, path)?;
    let mode = user.tree.set_mode(&path, mode, user.account.user.rules.files.chmod_mask)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(&path)));
    let text = format!("Mode is now {:03o}", mode.bits);
    if !mode.lacks_set_gid {
        return Ok(Reply::ok(text));
    }
    let real = user.tree.real(&path);
    let note = format!("{} has lost its set-group-ID bit by {}", real.display(), verb.name());
    session.log(&Event::Note(&note));
    Ok(Reply::ok(format!("{text}, the system has removed the set-group-ID bit")))
}
