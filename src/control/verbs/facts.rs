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

/// SIZE: how many bytes RETR would send in the current type (RFC 3659 §4); or how much has
/// arrived of a failed upload of this user. In ASCII type the file must be read for it, so a
/// very large one is refused.
pub(crate) fn size(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    session.state.parameters.told_size = None;
    let user = session.user()?;
    let path = user.path(path);
    let entry = user.tree.shown(&path)?;
    if entry.kind != FileKind::File {
        return Err(Refusal::NotAFile);
    }
    if session.state.parameters.transfer_type != TransferType::Ascii {
        let told = Told { size: entry.size, part: entry.part };
        session.state.parameters.told_size = Some((path, told));
        return Ok(Reply::value(entry.size.to_string()));
    }
    let (file, size) = user.tree.read_shown(&path)?;
    if size > text::MOST_COUNTED {
        return Err(Refusal::TooLargeToCount);
    }
    let count = session.attend(verb, |heed| text::wire_size(&file, size, heed))?;
    Ok(Reply::value(count.to_string()))
}

/// MDTM with a path.
pub(crate) fn modified(session: &Session, path: &Pathname) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let entry = user.tree.shown(&user.path(path))?;
    Ok(Reply::value(listing::time_val(entry.modified)))
}

/// MFMT, and SITE UTIME once it is known which file it means. The reply contains the time that
/// is now set, in the form of the draft that defines MFMT (draft-somers-ftp-mfxx §3.1).
pub(crate) fn modify(
    session: &Session,
    verb: &Verb,
    at: Moment,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let kept = set(session, verb, at, &session.user()?.path(path))?;
    let text = format!("Modify={kept}; ").into_bytes();
    Ok(Reply::new(Code::FileStatus, [&text, path.as_bytes()].concat()))
}

/// SITE UTIME. If a line fits both forms, the file that exists is meant.
pub(crate) fn utime(
    session: &Session,
    verb: &Verb,
    fits: &TimedPaths,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let (at, path) = fits.meant(|path| user.has(path.as_bytes()));
    modify(session, verb, at, path)
}

/// MDTM with something that looks like a time. The argument is a pathname (RFC 3659 §3.1): if a
/// file has the whole argument for its name, the command asks for its time, needs the
/// permission for that, and sets nothing. Otherwise it sets a time, as older clients use it.
pub(crate) fn modify_old(
    session: &Session,
    verb: &Verb,
    timed: &TimedPath,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    if user.has(timed.whole.as_bytes()) {
        if !user.may(Perm::List) {
            return Err(Refusal::NotPermitted(Perm::List));
        }
        return modified(session, &timed.whole);
    }
    let path = user.path(&timed.path);
    Ok(Reply::value(set(session, verb, timed.moment, &path)?))
}

/// Sets the time, and returns the one that the file system has stored: it may round, or limit a
/// time that is out of its range.
fn set(
    session: &Session,
    verb: &Verb,
    at: Moment,
    path: &VirtualPath,
) -> Result<String, Refusal> {
    let user = session.user()?;
    user.tree.set_modified(path, at.0)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(path)));
    Ok(listing::time_val(user.tree.stat(path)?.modified))
}
