//! MFF, SITE CHGRP, SITE MKDIR, SITE SYMLINK and LANG, which users of other servers know.

use std::io;
use std::sync::Arc;

use crate::config::{Occasion, Perm};
use crate::control::arg::modification::Modification;
use crate::control::arg::text::Pathname;
use crate::control::command::Verb;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::User;
use crate::data::listing;
use crate::log::Event;
use crate::rights;
use crate::vfs::{Entry, FileKind, FsError, VirtualPath};

/// MFF (draft-somers-ftp-mfxx §5): sets several facts of a file or directory, or none of them. The
/// reply lists the facts as they are now.
pub(crate) fn modify_facts(
    session: &Session,
    verb: &Verb,
    wanted: &Modification,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    // the row asks for one letter only
    let needs_time = wanted.modified.map(|_| Perm::SetTime);
    let needs_mode = (wanted.mode.is_some() || wanted.group.is_some()).then_some(Perm::Chmod);
    let mut target = user.path(path);
    for perm in [needs_time, needs_mode].into_iter().flatten() {
        user.check(perm, &target)?;
        target = user.stored(perm, path)?;
    }
    let group = wanted.group.as_deref().map(number_of).transpose()?;
    user.tree.ask(Some(Perm::Chmod).filter(|_| wanted.mode.is_some() || group.is_some()));
    let before = user.tree.stat(&target)?;
    if let Err(why) = set(user, &target, wanted, group) {
        user.tree.ask(None);
        user.tree.restore(&target, &before);
        return Err(why.into());
    }
    let now = user.tree.stat(&target)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(&target)));
    let text = listed(wanted, &now);
    Ok(Reply::new(Code::FileStatus, [text.as_bytes(), b" ", path.as_bytes()].concat()))
}

/// Sets the facts; the time last, because nothing else changes it.
fn set(
    user: &User,
    path: &VirtualPath,
    wanted: &Modification,
    group: Option<u32>,
) -> Result<(), FsError> {
    if let Some(group) = group {
        user.tree.set_group(path, group)?;
    }
    if let Some(mode) = wanted.mode {
        user.tree.set_mode(path, mode, user.account.user.rules.files.chmod_mask)?;
    }
    if let Some(at) = wanted.modified {
        user.tree.ask(Some(Perm::SetTime));
        user.tree.set_modified(path, at.0)?;
    }
    Ok(())
}

/// Lists the facts that were set, as they are now.
fn listed(wanted: &Modification, now: &Entry) -> String {
    let modified =
        wanted.modified.map(|_| format!("modify={};", listing::time_val(now.modified)));
    let mode = wanted.mode.map(|_| format!("UNIX.mode={:04o};", now.mode));
    let group = wanted.group.as_ref().map(|_| format!("UNIX.group={};", now.gid));
    [modified, mode, group].into_iter().flatten().collect()
}

/// SITE CHGRP: changes the group, to one of those that the session acts with.
pub(crate) fn change_group(
    session: &Session,
    verb: &Verb,
    group: &str,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = user.stored(Perm::Chmod, path)?;
    user.tree.set_group(&path, number_of(group)?)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(&path)));
    Ok(Reply::ok("Group changed"))
}

fn number_of(group: &str) -> Result<u32, Refusal> {
    rights::group(group).map_err(|_| Refusal::NoGroup)
}

/// SITE MKDIR: makes a directory, and those that are missing above it. A directory that exists is no
/// error, as with `mkdir -p`.
pub(crate) fn make_dirs(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let (tree, umask) = (Arc::clone(&user.tree), user.umask);
    let mut all = vec![user.path(path)];
    while let Some(last) = all.last().filter(|last| !last.is_root()) {
        all.push(last.parent());
    }
    let is_dir = |path: &VirtualPath| {
        tree.stat(path).is_ok_and(|there| there.kind == FileKind::Directory)
    };
    for dir in all.iter().rev() {
        if is_dir(dir) {
            continue;
        }
        session.user()?.check(Perm::MakeDir, dir)?;
        let _turn = session.begin_turn(Occasion::Mkdir, dir, None);
        match tree.make_dir(dir, umask) {
            // another session has made it meanwhile
            Err(FsError::Exists) if is_dir(dir) => {}
            made => {
                made?;
                session.log(&Event::Changed(verb.name(), &tree.real(dir)));
                session.happened(Occasion::Mkdir, dir, None, None);
                session.user_mut()?.aliases.forget(dir);
            }
        }
    }
    Ok(Reply::ok("Directory is there"))
}

/// SITE SYMLINK: makes a symbolic link, where the settings allow it. The target is relative to the
/// working directory, like every path.
pub(crate) fn make_link(
    session: &mut Session,
    verb: &Verb,
    target: &Pathname,
    link: &Pathname,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    if !user.account.user.rules.files.allow_symlinks {
        return Err(FsError::Denied(io::Error::other("allow_symlinks is off")).into());
    }
    let link = user.path(link);
    user.tree.make_link(&user.path(target), &link)?;
    session.log(&Event::Changed(verb.name(), &user.tree.real(&link)));
    session.user_mut()?.aliases.forget(&link);
    Ok(Reply::ok("Link made"))
}

/// LANG (RFC 2640 §4.1): English is the only language.
pub(crate) fn language(wanted: Option<&str>) -> Result<Reply, Refusal> {
    let first = wanted.map(|tag| tag.split('-').next().unwrap_or_default());
    if first.is_none_or(|first| first.eq_ignore_ascii_case("en")) {
        return Ok(Reply::ok("Replies are in English"));
    }
    Err(Refusal::NotForThat("The only language is EN"))
}
