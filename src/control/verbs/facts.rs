//! SIZE, MDTM and MFMT (RFC 3659 §3, §4), and the older ways to set a time.

use crate::config::Perm;
use crate::control::arg::choice::TransferType;
use crate::control::arg::text::Pathname;
use crate::control::arg::time::{Moment, TimedPath, TimedPaths};
use crate::control::command::Verb;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::data::{listing, text};
use crate::log::Event;
use crate::vfs::{FileKind, Told, VirtualPath};

/// SIZE: returns how many bytes RETR would send in the current type (RFC 3659 §4), or how many
/// bytes of a failed upload of this user have arrived. In ASCII type the file must be read for
/// that, so SIZE of a very large file is refused.
pub(crate) fn size(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    session.state.parameters.told_size = None;
    let user = session.user()?;
    let (name, entry) = (user.path(path), user.shown(Perm::List, path)?);
    if entry.kind != FileKind::File {
        return Err(Refusal::NotAFile);
    }
    if session.state.parameters.transfer_type != TransferType::Ascii {
        let told = Told { size: entry.size, part: entry.part };
        session.state.parameters.told_size = Some((name, told));
        return Ok(Reply::value(entry.size.to_string()));
    }
    let (file, size) = user.read_shown(Perm::List, path)?;
    if size > text::MOST_COUNTED {
        return Err(Refusal::TooLargeToCount);
    }
    let count = session.attend(verb, |heed| text::wire_size(&file, size, heed))?;
    Ok(Reply::value(count.to_string()))
}

/// MDTM with a path: returns when the file was last modified.
pub(crate) fn modified(session: &Session, path: &Pathname) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let entry = user.shown(Perm::List, path)?;
    Ok(Reply::value(listing::time_val(entry.modified)))
}

/// MFMT: sets a time; SITE UTIME uses this too. The reply contains the time that is now set,
/// in the form of the draft that defines MFMT (draft-somers-ftp-mfxx §3.1).
pub(crate) fn modify(
    session: &Session,
    verb: &Verb,
    at: Moment,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let stored = session.user()?.stored(Perm::SetTime, path)?;
    let kept = set(session, verb, at, &stored)?;
    let text = format!("Modify={kept}; ").into_bytes();
    Ok(Reply::new(Code::FileStatus, [&text, path.as_bytes()].concat()))
}

/// SITE UTIME: sets a time. If the argument fits both forms, the one that names an existing
/// file is used.
pub(crate) fn utime(
    session: &Session,
    verb: &Verb,
    fits: &TimedPaths,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let (at, path) = fits.meant(|path| user.has(path.as_bytes()));
    modify(session, verb, at, path)
}

/// MDTM with an argument that begins like a time. By RFC 3659 §3.1 the whole argument is a
/// pathname: if a file has that name, the command returns its time, which needs the permission
/// to list. Otherwise the command sets a time, as older clients expect.
pub(crate) fn modify_old(
    session: &Session,
    verb: &Verb,
    timed: &TimedPath,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    if user.has(timed.whole.as_bytes()) {
        user.check(Perm::List, &user.path(&timed.whole))?;
        user.tree.ask(Some(Perm::List));
        return modified(session, &timed.whole);
    }
    let path = user.stored(Perm::SetTime, &timed.path)?;
    Ok(Reply::value(set(session, verb, timed.moment, &path)?))
}

/// Sets a time, and returns the time that the file system has stored. It may have rounded the
/// time, or limited it to its range.
fn set(
    session: &Session,
    verb: &Verb,
    at: Moment,
    path: &VirtualPath,
) -> Result<String, Refusal> {
    let user = session.user()?;
    // which path the line means has been found out anew, and it may be another one by now
    user.check(Perm::SetTime, path)?;
    user.tree.set_modified(path, at.0)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(path)));
    Ok(listing::time_val(user.tree.stat(path)?.modified))
}
