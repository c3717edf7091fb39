//! Bringing changes to the disk, so that a loss of power does not undo them.
//!
//! A change of a directory (a new name, a rename, a removal) is on the disk when the directory has
//! been synced. A file that takes the place of another one must have its data on the disk before:
//! file systems may bring the new name to the disk first, and would then have neither version.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat, fdatasync, fsync};
use rustix::io::Errno;

use super::place::{lstat_at, open_at, reopened};
use crate::vfs::error::FsError;

/// A directory that is synced after a change. It is opened before the change, so that one that
/// cannot be opened keeps its content.
#[derive(Debug)]
pub(in crate::vfs) struct Synced(Option<rustix::io::Result<OwnedFd>>);

impl Synced {
    /// Opens a directory for syncing, if that is `wanted`.
    pub(in crate::vfs) fn open(dir: impl AsFd, wanted: bool) -> Result<Self, FsError> {
        let dir = wanted.then(|| reopened(dir));
        match dir {
            Some(Err(why)) if !is_unsyncable(why) => Err(why.into()),
            dir => Ok(Self(dir)),
        }
    }

    /// Syncs the directory. Logs a warning if directories like it can never be synced; `file` is
    /// then the path of what was changed in it.
    pub(in crate::vfs) fn sync(self, file: impl FnOnce() -> PathBuf) -> Result<(), FsError> {
        match self.0.map(|dir| fsync(dir?)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(why)) if is_unsyncable(why) => {
                let file = crate::log::path(&file()).to_string();
                log::warn!("cannot sync the directory of {file}: {why}");
                Ok(())
            }
            Some(Err(why)) => Err(why.into()),
        }
    }
}

/// Whether the error says that a file or directory can never be synced: some cannot be opened for
/// it, and some file systems do not support it.
fn is_unsyncable(why: Errno) -> bool {
    matches!(why, Errno::ACCESS | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// Brings the data of a file to the disk, if its file system can.
pub(in crate::vfs) fn write_out(file: &File) -> Result<(), FsError> {
    match fdatasync(file) {
        Err(why) if !is_unsyncable(why) => Err(why.into()),
        _ => Ok(()),
    }
}

/// Brings the data of a regular file to the disk if it is about to replace a file.
pub(in crate::vfs) fn before_replacing(
    (from_dir, from): (impl AsFd, &Path),
    (to_dir, to): (impl AsFd, &Path),
) -> Result<(), FsError> {
    let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode).is_file();
    if !lstat_at(to_dir, to).is_ok_and(|stat| is_file(&stat))
        || !lstat_at(&from_dir, from).is_ok_and(|stat| is_file(&stat))
    {
        return Ok(());
    }
    let opened = match open_at(&from_dir, from, OFlags::RDONLY) {
        Err(Errno::ACCESS) => open_at(&from_dir, from, OFlags::WRONLY),
        other => other,
    };
    match opened {
        Ok(file) => write_out(&file),
        // the rename says what is wrong, or the file cannot be opened by this user
        Err(Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::TXTBSY | Errno::ROFS) => Ok(()),
        Err(why) => Err(why.into()),
    }
}
