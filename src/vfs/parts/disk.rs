//! The part files in a directory: finding them and removing them.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::name::PartName;
use crate::vfs::error::FsError;
use crate::vfs::quota::accounts::Accounts;
use crate::vfs::tree::names::{Names, is_lock};
use crate::vfs::tree::place::{as_path, reopened};

/// Removes a part. If this fails, it logs a warning, and the part is found again when its
/// directory is listed.
pub(super) fn remove(accounts: &Accounts, dir: impl AsFd, name: &[u8]) {
    let unlink = || match unlinkat(&dir, as_path(name), AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        done => Ok::<_, FsError>(done?),
    };
    if let Err(why) = accounts.losing(&dir, name, unlink) {
        log::warn!("cannot remove the part {}: {why}", name.escape_ascii());
    }
}

/// Returns the parts in a directory, of all users and servers.
pub(super) fn part_names(dir: impl AsFd) -> Vec<PartName> {
    let mut parts = Vec::new();
    let Ok(mut names) = names(dir) else { return parts };
    while let Ok(Some((_, name))) = names.next() {
        parts.extend(PartName::parse(name.to_bytes()));
    }
    parts
}

/// The names in a directory that contains nothing else.
#[derive(Debug, Default)]
pub(in crate::vfs) struct OnlyParts {
    pub(in crate::vfs) parts: Vec<PartName>,
    /// The files of locks.
    pub(in crate::vfs) locks: Vec<Vec<u8>>,
}

/// Returns the parts and locks in a directory; `None` if it also contains something else, or cannot
/// be read.
pub(in crate::vfs) fn only_parts(dir: impl AsFd) -> Option<OnlyParts> {
    let mut only = OnlyParts::default();
    let mut names = names(dir).ok()?;
    while let Some((_, name)) = names.next().ok()? {
        let name = name.to_bytes();
        if is_lock(name) {
            only.locks.push(name.to_owned());
        } else {
            only.parts.push(PartName::parse(name)?);
        }
    }
    Some(only)
}

fn names(dir: impl AsFd) -> Result<Names, FsError> {
    Ok(Names::new(reopened(dir)?))
}
