//! Why a file cannot be replaced and has to be changed in place.

use std::fmt;
use std::fs::File;
use std::io;

use rustix::fs::{AtFlags, Mode, StatxAttributes, StatxFlags, fstatvfs, statx};
use rustix::io::Errno;

use super::existing::Existing;
use crate::vfs::error::FsError;
use crate::vfs::tree::entry::len_of;
use crate::vfs::tree::place::Place;

/// Why a file cannot be replaced, for the log.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The file is a mount point.
    MountPoint,
    /// The file has this number of hard links, and the other names would keep the old version.
    HardLinks(u64),
    /// The directory is sticky, and the file belongs to another user.
    Sticky,
    /// The file system has no room for a second version.
    NoRoom,
    /// No file can be created in the directory.
    Directory(io::Error),
    /// The file cannot be cloned, and is too long to be copied.
    TooLong,
    /// The file cannot be read.
    Unreadable(io::Error),
}

/// Why a part that begins with a copy of a file could not be created.
#[derive(Debug)]
pub(super) enum Hindrance {
    /// The file may still be changed in place.
    Obstacle(Obstacle),
    /// The upload is refused.
    Failed(FsError),
}

/// Minimum size of a file that is changed in place if the file system has no room for a second
/// copy. For smaller files, the room is not checked.
const LARGE: u64 = 1 << 20;

impl Obstacle {
    /// Returns what keeps a file from being replaced by a rename, as far as that is known
    /// before trying.
    pub(super) fn find(place: &Place, existing: &Existing) -> Option<Self> {
        let (dir, file) = (&place.dir_stat, &existing.stat);
        // device numbers do not tell: files on an overlay have those of its layers, and a file can
        // be mounted on another one of its own file system
        if is_mount_point(&existing.file).unwrap_or(file.st_dev != dir.st_dev) {
            return Some(Self::MountPoint);
        }
        if file.st_nlink > 1 {
            #[allow(clippy::unnecessary_cast, reason = "widths differ by target")]
            return Some(Self::HardLinks(file.st_nlink as u64));
        }
        let own = rustix::process::geteuid();
        let is_sticky = Mode::from_raw_mode(dir.st_mode).contains(Mode::SVTX);
        let strange = file.st_uid != own.as_raw() && dir.st_uid != own.as_raw();
        if is_sticky && strange && !own.is_root() {
            return Some(Self::Sticky);
        }
        let size = len_of(file);
        if size >= LARGE
            && let Ok(room) = fstatvfs(&existing.file)
            // some file systems do not report their size
            && room.f_blocks > 0
            && room.f_bavail.saturating_mul(room.f_frsize) < size
        {
            return Some(Self::NoRoom);
        }
        None
    }
}

/// Whether a file is a mount point; `None` if the kernel cannot tell (before Linux 5.8).
fn is_mount_point(file: &File) -> Option<bool> {
    const ROOT: StatxAttributes = StatxAttributes::MOUNT_ROOT;
    let found = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::empty()).ok()?;
    let is_known = found.stx_attributes_mask.contains(ROOT);
    is_known.then(|| found.stx_attributes.contains(ROOT))
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MountPoint => f.write_str("it is a mount point"),
            Self::HardLinks(links) => write!(f, "it has {links} hard links"),
            Self::Sticky => {
                f.write_str("it belongs to another user and its directory is sticky")
            }
            Self::NoRoom => f.write_str("there is no room for a second copy"),
            Self::Directory(why) => write!(f, "no file can be made in its directory: {why}"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::TooLong => f.write_str("it is too long to be copied"),
        }
    }
}

impl From<Obstacle> for Hindrance {
    fn from(obstacle: Obstacle) -> Self {
        Self::Obstacle(obstacle)
    }
}

impl From<FsError> for Hindrance {
    fn from(why: FsError) -> Self {
        Self::Failed(why)
    }
}

impl From<io::Error> for Hindrance {
    fn from(why: io::Error) -> Self {
        Self::Failed(why.into())
    }
}

impl From<Errno> for Hindrance {
    fn from(why: Errno) -> Self {
        Self::Failed(why.into())
    }
}
