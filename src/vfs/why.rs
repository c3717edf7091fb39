//! Whether the file system would refuse an action, and why it refused one, as text for the
//! administrator. Names in the text are not escaped yet.

use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, Stat, StatxAttributes, StatxFlags, accessat, statat, statx};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::FsError;
use super::files::Files;
use super::path::VirtualPath;
use super::trash::discard::not_kept;
use super::tree::entry::FileKind;
use super::tree::{Tree, check_name};
use super::upload::destination::Destination;
use super::upload::folders::{check_make, missing_above};
use crate::config::{Overwrite, Perm};

/// Maximum length of a name on usual file systems.
const LONGEST_NAME: usize = 255;

/// The sticky bit of a directory.
const STICKY: u32 = 0o1000;

/// Checks whether an action that requires this permission would succeed. Changes nothing.
///
/// # Errors
///
/// The error that the action would fail with.
pub fn could(files: &Files, path: &VirtualPath, perm: Perm) -> Result<(), FsError> {
    let (uploads, tree) = (files.at(path)?, files.tree(path)?);
    match perm {
        Perm::Retrieve => tree.read(path).map(drop),
        Perm::Enter => tree.enter(path),
        Perm::List if tree.stat(path)?.kind != FileKind::Directory => Ok(()),
        Perm::List => tree.names(path).map(drop),
        Perm::Store | Perm::Append => could_store(files, path),
        Perm::MakeDir => match tree.entry(path) {
            Ok(_) => Err(FsError::Exists),
            Err(_) if path.name().len() > LONGEST_NAME => Err(Errno::NAMETOOLONG.into()),
            Err(_) => {
                check_name(path)?;
                uploads.check_name(path)?;
                let to = Destination::exactly(path.clone());
                check_change(tree, &first_made(files, &to)?)
            }
        },
        Perm::Delete | Perm::Rename => {
            let there = tree.entry(path)?;
            files.check_free(path)?;
            if path.is_root() {
                return Err(FsError::IsRoot);
            }
            if perm == Perm::Rename {
                uploads.check_unset(path)?;
            }
            if perm == Perm::Delete && there.kind == FileKind::Directory {
                check_empty(tree, path)?;
            }
            check_change(tree, path)?;
            match uploads.trash_for(&path.parent())? {
                Some(trash) if perm == Perm::Delete => {
                    trash.could(&tree.place(&path.parent().join(path.name()))?)
                }
                Some(_) | None => Ok(()),
            }
        }
        Perm::Chmod | Perm::SetTime => {
            let there = tree.stat(path)?;
            let own = geteuid().is_root() || there.uid == geteuid().as_raw();
            if own { Ok(()) } else { Err(Errno::PERM.into()) }
        }
    }
}

fn could_store(files: &Files, path: &VirtualPath) -> Result<(), FsError> {
    let to = files.destination(path)?;
    let path = to.path();
    let (uploads, tree) = (files.at(path)?, files.tree(path)?);
    check_name(path)?;
    let overwrite = uploads.check_target(path)?.overwrite;
    let first = first_made(files, &to)?;
    if first != *path {
        return check_change(tree, &first);
    }
    if overwrite == Overwrite::No {
        tree.check_free(path)?;
    }
    tree.check_write(path)?;
    match uploads.trash_for(&path.parent())? {
        Some(trash) if tree.entry(path).is_ok() => {
            trash.could(&tree.place(path)?).map_err(not_kept)
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the first directory that would be made for something new, or its own path.
/// Checks that all of them may be made.
fn first_made(files: &Files, to: &Destination) -> Result<VirtualPath, FsError> {
    let uploads = files.at(to.path())?;
    let (missing, _) = missing_above(uploads, to.path())?;
    for dir in &missing {
        check_make(uploads, to, dir, 0)?;
    }
    Ok(missing.into_iter().next().unwrap_or_else(|| to.path().clone()))
}

/// Checks that a directory contains nothing but parts.
fn check_empty(tree: &Tree, path: &VirtualPath) -> Result<(), FsError> {
    match tree.names(path).and_then(|(mut names, _)| names.are_parts()) {
        Ok(false) => Err(FsError::NotEmpty),
        // a directory that cannot be read may be empty, and can then be removed
        Ok(true) | Err(FsError::Denied(_)) => Ok(()),
        Err(why) => Err(why),
    }
}

/// Checks that the entry itself may be made, removed or renamed.
fn check_change(tree: &Tree, path: &VirtualPath) -> Result<(), FsError> {
    let (dir, stat) = tree.hold(&path.parent())?;
    accessat(&dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    if holder(path, &dir, &stat).is_some() || frozen(path, &dir).is_some() {
        return Err(Errno::PERM.into());
    }
    let there = statat(&dir, path.name(), AtFlags::SYMLINK_NOFOLLOW);
    if there.is_ok_and(|there| there.st_dev != stat.st_dev) {
        // something is mounted there
        return Err(Errno::BUSY.into());
    }
    Ok(())
}

/// Explains which right of the file system was missing when an action that requires this
/// permission was denied.
pub fn missing_right(files: &Files, path: &VirtualPath, perm: Perm) -> Option<String> {
    let tree = files.tree(path).ok()?;
    if let Some(folder) = tree.first_barred(path)
        && let Some(lacks) = lacks(tree, &folder, Access::EXEC_OK, "enter the directory")
    {
        return Some(lacks);
    }
    let parent = path.parent();
    let write = Access::WRITE_OK | Access::EXEC_OK;
    let changing = || lacks(tree, &parent, write, "write to the directory");
    match perm {
        Perm::Enter => lacks(tree, path, Access::EXEC_OK, "enter the directory"),
        Perm::List => lacks(tree, path, Access::READ_OK, "list the directory"),
        Perm::Retrieve => lacks(tree, path, Access::READ_OK, "read the file"),
        Perm::Store | Perm::Append => {
            let file = lacks(tree, path, Access::WRITE_OK, "write to the file");
            file.or_else(changing)
        }
        Perm::MakeDir => changing(),
        Perm::Delete | Perm::Rename => changing().or_else(|| protected(tree, path)),
        Perm::Chmod | Perm::SetTime => {
            let (there, me) = (tree.stat(path).ok()?, geteuid().as_raw());
            let real = tree.real(path);
            let text = format!("{} belongs to uid {}, not {me}", real.display(), there.uid);
            (there.uid != me).then_some(text)
        }
    }
}

/// Explains what, apart from the rights of its directory, protects an entry from being removed
/// or renamed.
fn protected(tree: &Tree, path: &VirtualPath) -> Option<String> {
    let parent = path.parent();
    let (dir, stat) = tree.hold(&parent).ok()?;
    let real = tree.real(path);
    if let Some(how) = frozen(path, &dir) {
        return Some(format!("{} is {how}", real.display()));
    }
    let owner = holder(path, &dir, &stat)?;
    Some(format!(
        "the directory {} is sticky, and {} belongs to uid {owner}",
        tree.real(&parent).display(),
        real.display()
    ))
}

/// Explains why the user that this thread acts as lacks a right to an existing file or
/// directory.
fn lacks(tree: &Tree, path: &VirtualPath, access: Access, what: &str) -> Option<String> {
    let real = tree.real(path);
    // links were followed, so the path does not end in one
    let path = tree.followed(path).ok()?;
    let (dir, _) = tree.hold(&path.parent()).ok()?;
    let name = if path.is_root() { b".".as_slice() } else { path.name() };
    let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    match accessat(&dir, name, access, AtFlags::EACCESS) {
        Err(Errno::ROFS) => Some(format!("the file system of {} is read-only", real.display())),
        Err(Errno::PERM) if let Some(how) = frozen(&path, &dir) => {
            Some(format!("{} is {how}", real.display()))
        }
        Err(Errno::ACCESS | Errno::PERM) => Some(format!(
            "uid {} may not {what} {} (mode {:03o}, owner {}:{})",
            geteuid().as_raw(),
            real.display(),
            stat.st_mode & 0o7777,
            stat.st_uid,
            stat.st_gid
        )),
        _ => None,
    }
}

/// Names the attribute that keeps even the owner of an entry from changing it.
fn frozen(path: &VirtualPath, dir: &OwnedFd) -> Option<&'static str> {
    let mask = StatxFlags::TYPE;
    let there = statx(dir, path.name(), AtFlags::SYMLINK_NOFOLLOW, mask).ok()?;
    if there.stx_attributes.contains(StatxAttributes::IMMUTABLE) {
        Some("immutable (chattr +i)")
    } else if there.stx_attributes.contains(StatxAttributes::APPEND) {
        Some("append-only (chattr +a)")
    } else {
        None
    }
}

/// Returns the owner of an entry that only the owner may change, because the directory is
/// sticky.
fn holder(path: &VirtualPath, dir: &OwnedFd, stat: &Stat) -> Option<u32> {
    let me = geteuid();
    let there = statat(dir, path.name(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let sticky = stat.st_mode & STICKY != 0 && !me.is_root();
    let own = [stat.st_uid, there.st_uid].contains(&me.as_raw());
    (sticky && !own).then_some(there.st_uid)
}
