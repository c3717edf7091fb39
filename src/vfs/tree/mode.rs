//! Changes of the mode of a file or directory.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::geteuid;

use super::entry::{Entry, FileKind};
use crate::rights;
use crate::vfs::error::FsError;

/// The mode that an entry has after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMode {
    /// The twelve permission bits.
    pub bits: u32,
    /// Whether the system has removed the set-group-ID bit.
    pub lacks_set_gid: bool,
}

/// The bit that makes new entries of a directory belong to the group of the directory.
pub(super) const SET_GID: u32 = 0o2000;

/// How a mode is to be changed.
pub(super) enum Change {
    /// Not at all: the entry already has this mode, and setting it would remove the
    /// set-group-ID bit.
    Nothing(u32),
    /// By setting this mode.
    To(u32),
}

/// Decides how to set the bits of an entry's mode that are in `mask`. A directory keeps its
/// other bits; a file loses them.
pub(super) fn change(there: &Entry, mode: u32, mask: u32) -> Result<Change, FsError> {
    let kept = if there.kind == FileKind::Directory { there.mode & !mask } else { 0 };
    let mode = mode & mask | kept;
    // for files of other users, the system decides whether their mode may be changed
    let own = there.uid == geteuid().as_raw();
    if own && mode & SET_GID != 0 && !rights::may_set_gid(there.gid) {
        let is_set = mode == there.mode;
        return if is_set { Ok(Change::Nothing(mode)) } else { Err(FsError::LosesSetGid) };
    }
    Ok(Change::To(mode))
}

/// Sets a mode through a handle that requires no right to read or write the file. Returns
/// `false` if /proc, which this needs, is missing.
pub(super) fn set_by_proc(there: &OwnedFd, mode: Mode) -> Result<bool, FsError> {
    let link = format!("/proc/self/fd/{}", there.as_raw_fd());
    match rustix::fs::chmod(link, mode) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}
