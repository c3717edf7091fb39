//! What the system reports about a file: its kind, its attributes, its identity and its
//! version.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, FileType, Stat, StatxFlags, Timespec, Timestamps, fstat, fstatfs, statx,
};

use crate::config::{Perm, PermSet};
use crate::vfs::error::FsError;

/// Kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// One file or directory, as a listing describes it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name, which is the last part of the path.
    pub name: Vec<u8>,
    /// File, directory or other.
    pub kind: FileKind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Number of hard links.
    pub links: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, in seconds since 1970 in UTC.
    pub modified: i64,
    /// Nanoseconds of the modification time.
    pub nanos: u32,
    /// Device and inode. Two names of one file have equal ids.
    pub id: FileId,
    /// The number of the unfinished upload whose part has given the entry its size and time;
    /// `None` if they are those of the file itself.
    pub part: Option<u64>,
    /// For a link to something inside the root: the text of the link, and its target.
    pub target: Option<(Vec<u8>, Box<Entry>)>,
    /// For a link that leads to nothing: its text, unless it may name something outside the
    /// root.
    pub dangling: Option<Vec<u8>>,
    /// What the user may do with the entry; `None`: what the user may do anywhere in the home.
    pub letters: Option<Letters>,
}

/// What a user may do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letters {
    /// With the entry itself.
    pub own: PermSet,
    /// With what a directory holds.
    pub within: PermSet,
}

/// Device and inode.
pub(in crate::vfs) type FileId = (u64, u64);

/// A version of a file: its identity, its length and when it was last written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vfs) struct Version {
    id: FileId,
    size: u64,
    modified: SystemTime,
}

impl Letters {
    /// Returns what both allow.
    pub(in crate::vfs) fn and(self, other: Self) -> Self {
        Self { own: self.own.and(other.own), within: self.within.and(other.within) }
    }

    /// Returns what is allowed with a link that has these letters, and with its target `there`. To
    /// delete or rename the link, the letters of the target do not matter.
    pub(in crate::vfs) fn through_link(self, there: Self) -> Self {
        let about_link = |perm: &Perm| matches!(perm, Perm::Delete | Perm::Rename);
        let lacking = |perm: &Perm| !about_link(perm) && !there.own.has(*perm);
        let own = Perm::ALL.into_iter().filter(lacking).fold(self.own, PermSet::without);
        Self { own, within: self.within.and(there.within) }
    }
}

impl Entry {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "widths differ by target"
    )]
    pub(in crate::vfs) fn of_stat(name: Vec<u8>, stat: &Stat) -> Self {
        Self {
            name,
            kind: FileKind::of_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            links: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: len_of(stat),
            modified: stat.st_mtime as i64,
            nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            id: id_of(stat),
            part: None,
            target: None,
            dangling: None,
            letters: None,
        }
    }

    /// Returns an entry for a file that does not exist yet, with the size and time of its part.
    pub(in crate::vfs) fn of_part(name: Vec<u8>, (stat, upload): &(Stat, u64)) -> Self {
        Self { part: Some(*upload), ..Self::of_stat(name, stat) }
    }

    /// Replaces size and time by those of a part. For a link, changes those of its target.
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "widths differ by target"
    )]
    pub(in crate::vfs) fn show_part(&mut self, (part, upload): &(Stat, u64)) {
        let there = match &mut self.target {
            Some((_, there)) => there,
            None => self,
        };
        there.size = len_of(part);
        there.modified = part.st_mtime as i64;
        there.nanos = u32::try_from(part.st_mtime_nsec).unwrap_or_default();
        there.part = Some(*upload);
    }

    /// Returns the target of a link that can be followed, or else the entry itself.
    pub fn followed(&self) -> &Self {
        self.target.as_ref().map_or(self, |(_, there)| there)
    }
}

impl FileKind {
    pub(in crate::vfs) fn of_mode(mode: u32) -> Self {
        match FileType::from_raw_mode(mode) {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::BlockDevice => Self::Block,
            FileType::CharacterDevice => Self::Char,
            FileType::RegularFile | FileType::Unknown => Self::File,
        }
    }
}

impl Version {
    pub(in crate::vfs) fn of(stat: &Stat) -> Self {
        Self { id: id_of(stat), size: len_of(stat), modified: modified(stat) }
    }
}

/// A file, as opposed to a later one that has got its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: (u32, u32),
    inode: u64,
    /// When it was made: seconds and nanoseconds.
    born: (i64, u32),
}

impl Identity {
    /// Returns the identity of an open file; `None` if its file system does not tell.
    pub(in crate::vfs) fn of(file: impl AsFd) -> Option<Self> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let there = statx(file, c"", AtFlags::EMPTY_PATH, wanted).ok()?;
        let is_known = StatxFlags::from_bits_retain(there.stx_mask).contains(wanted);
        is_known.then_some(Self {
            device: (there.stx_dev_major, there.stx_dev_minor),
            inode: there.stx_ino,
            born: (there.stx_btime.tv_sec, there.stx_btime.tv_nsec),
        })
    }

    /// An identity for tests.
    #[cfg(test)]
    pub(crate) fn numbered(inode: u64) -> Self {
        Self { device: (0, 0), inode, born: (0, 0) }
    }
}

/// Returns whether attributes are those of a directory.
pub(in crate::vfs) fn is_directory(stat: Stat) -> bool {
    FileKind::of_mode(stat.st_mode) == FileKind::Directory
}

/// Returns device and inode of a file.
#[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "widths differ by target")]
pub(in crate::vfs) fn id_of(stat: &Stat) -> FileId {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Returns the size of a file in bytes.
pub(in crate::vfs) fn len_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// Returns when a file was last written to.
#[allow(clippy::unnecessary_cast, reason = "widths differ by target")]
pub(in crate::vfs) fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
    let nanos = u32::try_from(stat.st_mtime_nsec as u64).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
}

/// Returns when a file was stored, renamed, or its attributes were last changed. Clients cannot set
/// this time.
#[allow(clippy::unnecessary_cast, reason = "widths differ by target")]
pub(in crate::vfs) fn changed(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_ctime).unwrap_or_default();
    let nanos = u32::try_from(stat.st_ctime_nsec as u64).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
}

/// Returns how many bytes a file takes on the disk.
#[allow(clippy::unnecessary_cast, reason = "widths differ by target")]
pub(in crate::vfs) fn blocks_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks as i64).unwrap_or_default().saturating_mul(512)
}

/// Returns when a file was last read.
#[allow(
    clippy::unnecessary_cast,
    clippy::cast_lossless,
    clippy::cast_possible_wrap,
    reason = "widths differ by target"
)]
pub(in crate::vfs) fn accessed(stat: &Stat) -> Timespec {
    Timespec { tv_sec: stat.st_atime as i64, tv_nsec: stat.st_atime_nsec as _ }
}

/// Returns the time of the last access and that of the last modification.
#[allow(
    clippy::unnecessary_cast,
    clippy::cast_lossless,
    clippy::cast_possible_wrap,
    reason = "widths differ by target"
)]
pub(in crate::vfs) fn times(stat: &Stat) -> Timestamps {
    let last_modification =
        Timespec { tv_sec: stat.st_mtime as i64, tv_nsec: stat.st_mtime_nsec as _ };
    Timestamps { last_access: accessed(stat), last_modification }
}

/// The type of the file system `/proc` (`PROC_SUPER_MAGIC`).
const PROC: u64 = 0x9fa0;

/// Returns the attributes of an open file. Refuses everything but a regular file, and files of
/// `/proc`: through them a client could read and change the memory of processes, the server's
/// included.
pub(in crate::vfs) fn plain(file: impl AsFd) -> Result<Stat, FsError> {
    let stat = fstat(&file)?;
    regular(&stat)?;
    // files of the kernel take no blocks, so most others cost no system call here; the size of
    // some, such as /proc/kcore, is not 0
    let is_of_proc = stat.st_blocks == 0
        && u64::try_from(fstatfs(&file)?.f_type).is_ok_and(|kind| kind == PROC);
    if is_of_proc { Err(FsError::NotAFile) } else { Ok(stat) }
}

/// Returns the attributes of an open file as the file system has them now, and not as this machine remembers
/// them.
pub(in crate::vfs) fn fresh(file: impl AsFd) -> Result<Stat, FsError> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
    statx(&file, "", flags, StatxFlags::SIZE)?;
    Ok(fstat(&file)?)
}

/// Returns the size of a regular file, and refuses everything else.
pub(in crate::vfs) fn regular(stat: &Stat) -> Result<u64, FsError> {
    match FileKind::of_mode(stat.st_mode) {
        FileKind::File => Ok(len_of(stat)),
        FileKind::Directory => Err(FsError::IsADirectory),
        FileKind::Link
        | FileKind::Fifo
        | FileKind::Socket
        | FileKind::Block
        | FileKind::Char => Err(FsError::NotAFile),
    }
}
