//! The part files in a directory: finding them and removing them.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::name::PartName;
use crate::vfs::error::FsError;
use crate::vfs::quota::accounts::Accounts;
use crate::vfs::tree::names::Names;
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

/// Returns the parts in a directory; `None` if it also contains something else, or cannot be
/// read.
pub(in crate::vfs) fn only_parts(dir: impl AsFd) -> Option<Vec<PartName>> {
    let mut parts = Vec::new();
    let mut names = names(dir).ok()?;
    while let Some((_, name)) = names.next().ok()? {
        parts.push(PartName::parse(name.to_bytes())?);
    }
    Some(parts)
}

fn names(dir: impl AsFd) -> Result<Names, FsError> {
    Ok(Names::new(reopened(dir)?))
}
