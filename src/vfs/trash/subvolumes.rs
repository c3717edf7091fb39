//! The subvolumes of Btrfs inside a home that have a trash. The system does not list them as it lists
//! mounts, so each is noted in the trash of the home, as a link with its path.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ring::digest::{SHA256, digest};
use rustix::fs::{Mode, mkdirat, openat, readlinkat, symlinkat};
use rustix::io::Errno;

use super::top::HOLD;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::names::Names;
use crate::vfs::tree::place::{as_path, lstat, reopened};

/// Name of the directory of the notes, in the trash of the home.
const NOTES: &[u8] = b".ftpd-trash-subvolumes";

/// Notes that a subvolume has a trash. `trash` is the name of the trash.
pub(super) fn note(
    home: BorrowedFd<'_>,
    trash: &[u8],
    path: &VirtualPath,
) -> Result<(), FsError> {
    let hash = digest(&SHA256, path.as_bytes());
    let name: Vec<_> =
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let name = name.concat().into_bytes();
    let below = [trash, NOTES, &name].join(&b'/');
    if lstat(home, &below).is_ok() {
        return Ok(());
    }
    let notes = made(made(home, trash)?, NOTES)?;
    match symlinkat(as_path(path.as_bytes()), &notes, as_path(&name)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

/// Returns the subvolumes that are noted in a trash.
pub(super) fn noted(trash: BorrowedFd<'_>) -> Vec<VirtualPath> {
    let mut found = Vec::new();
    let opened = openat(trash, as_path(NOTES), HOLD, Mode::empty()).and_then(reopened);
    let Ok(notes) = opened else { return found };
    let mut names = Names::new(notes);
    while let Ok(Some((dir, name))) = names.next() {
        if let Ok(path) = readlinkat(dir, name, Vec::new()) {
            found.push(VirtualPath::root().join(path.as_bytes()));
        }
    }
    found
}

/// Opens a directory, and makes it if it is missing.
fn made(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd, FsError> {
    match mkdirat(&dir, as_path(name), Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(why) => return Err(why.into()),
    }
    Ok(openat(dir, as_path(name), HOLD, Mode::empty())?)
}
