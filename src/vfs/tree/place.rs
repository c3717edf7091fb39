//! A name in a directory that is held open, and the system calls that take such a pair.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, Stat, StatxAttributes, StatxFlags, fchmod, fstat,
    linkat, mkdirat, openat, renameat, renameat_with, statat, statx, unlinkat,
};
use rustix::io::Errno;

use super::entry::{FileId, id_of};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;

/// A name in a directory that is held open. The name may be new.
#[derive(Debug)]
pub(in crate::vfs) struct Place {
    pub(in crate::vfs) dir: OwnedFd,
    /// The attributes of the directory when it was opened.
    pub(in crate::vfs) dir_stat: Stat,
    /// Path of the directory.
    pub(in crate::vfs) parent: VirtualPath,
    pub(in crate::vfs) name: Vec<u8>,
}

impl Place {
    /// Duplicates the handle of the directory.
    pub(in crate::vfs) fn again(&self) -> Result<Self, FsError> {
        let dir = self.dir.try_clone()?;
        let (parent, name) = (self.parent.clone(), self.name.clone());
        Ok(Self { dir, dir_stat: self.dir_stat, parent, name })
    }

    /// Returns the place of another name in the directory.
    pub(in crate::vfs) fn named(self, name: &[u8]) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Device and inode of the directory.
    pub(in crate::vfs) fn dir_id(&self) -> FileId {
        id_of(&self.dir_stat)
    }

    /// Returns the path that leads to the name.
    pub(in crate::vfs) fn path(&self) -> VirtualPath {
        self.parent.join(&self.name)
    }

    /// Returns the attributes of the file with this name, without following a link.
    pub(in crate::vfs) fn lstat(&self) -> Result<Stat, FsError> {
        lstat(&self.dir, &self.name)
    }

    /// Opens the file with this name, without following a link. A FIFO does not block the
    /// caller.
    pub(in crate::vfs) fn open(&self, flags: OFlags) -> rustix::io::Result<File> {
        open(&self.dir, &self.name, flags)
    }

    /// Returns whether the name belongs to this open file.
    pub(in crate::vfs) fn holds(&self, file: &File) -> Result<bool, FsError> {
        is_named(&self.dir, &self.name, file)
    }
}

/// Opens a file in a directory, without following a link. A FIFO does not block the caller.
pub(in crate::vfs) fn open(
    dir: impl AsFd,
    name: &[u8],
    flags: OFlags,
) -> rustix::io::Result<File> {
    open_at(dir, as_path(name), flags)
}

/// Like [`open`], with a path.
pub(super) fn open_at(dir: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(dir, path, flags, Mode::empty()).map(File::from)
}

/// Returns whether a name in a directory belongs to this open file.
pub(in crate::vfs) fn is_named(
    dir: impl AsFd,
    name: &[u8],
    file: impl AsFd,
) -> Result<bool, FsError> {
    let there = found(lstat(dir, name))?.map(|stat| id_of(&stat));
    Ok(there == Some(id_of(&fstat(file)?)))
}

/// Turns the error that nothing has a name into `None`. Other errors say nothing about whether
/// the name is taken.
pub(in crate::vfs) fn found(stat: Result<Stat, FsError>) -> Result<Option<Stat>, FsError> {
    match stat {
        Err(FsError::NotFound) => Ok(None),
        other => other.map(Some),
    }
}

/// Returns the attributes of the file with a name in a directory, without following a link.
pub(in crate::vfs) fn lstat(dir: impl AsFd, name: &[u8]) -> Result<Stat, FsError> {
    Ok(lstat_at(dir, as_path(name))?)
}

/// Like [`lstat`], with a path.
pub(super) fn lstat_at(dir: impl AsFd, path: &Path) -> rustix::io::Result<Stat> {
    statat(dir, path, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether something is mounted at a name in a directory; `None` if the kernel cannot tell (before
/// Linux 5.8).
pub(in crate::vfs) fn is_mount_point(dir: impl AsFd, name: &[u8]) -> Option<bool> {
    const ROOT: StatxAttributes = StatxAttributes::MOUNT_ROOT;
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = statx(dir, as_path(name), flags, StatxFlags::empty()).ok()?;
    let is_known = found.stx_attributes_mask.contains(ROOT);
    is_known.then(|| found.stx_attributes.contains(ROOT))
}

/// Makes a directory with `mode`. It keeps a set-group-ID bit that it has inherited.
pub(in crate::vfs) fn make_dir(
    dir: impl AsFd,
    name: &Path,
    mode: u32,
) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(mode);
    mkdirat(&dir, name, mode - Mode::SGID)?;
    if !mode.contains(Mode::SGID) {
        return Ok(());
    }
    // mkdir ignores the bit
    let set = open_at(&dir, name, OFlags::RDONLY | OFlags::DIRECTORY).and_then(|made| {
        let now = Mode::from_raw_mode(fstat(&made)?.st_mode);
        if now.contains(Mode::SGID) { Ok(()) } else { fchmod(made, now | Mode::SGID) }
    });
    set.inspect_err(|_| {
        // it is new and empty
        let _ = unlinkat(&dir, name, AtFlags::REMOVEDIR);
    })
}

/// Renames a file within a directory. A file that has the new name is replaced.
pub(in crate::vfs) fn rename(dir: impl AsFd, from: &[u8], to: &[u8]) -> rustix::io::Result<()> {
    renameat(&dir, as_path(from), &dir, as_path(to))
}

/// Renames a file to a name that must be new.
pub(in crate::vfs) fn rename_new(
    from_dir: impl AsFd,
    from: &Path,
    to_dir: impl AsFd,
    to: &Path,
) -> Result<(), FsError> {
    match renameat_with(&from_dir, from, &to_dir, to, RenameFlags::NOREPLACE) {
        // this file system cannot check and rename in one step
        Err(Errno::INVAL | Errno::NOSYS) => link_new(from_dir, from, to_dir, to),
        other => Ok(other?),
    }
}

/// Renames a file to a name that must be new by giving it that name as a second one first. Other servers
/// and programs never see a name taken that they have found free.
fn link_new(
    from_dir: impl AsFd,
    from: &Path,
    to_dir: impl AsFd,
    to: &Path,
) -> Result<(), FsError> {
    let id = |dir: &dyn Fn() -> rustix::io::Result<Stat>| dir().ok().as_ref().map(id_of);
    match linkat(&from_dir, from, &to_dir, to, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            // NFS may answer this to a request that it has repeated, and that has succeeded before
            let own = id(&|| lstat_at(&from_dir, from));
            if own.is_none() || own != id(&|| lstat_at(&to_dir, to)) {
                return Err(FsError::Exists);
            }
        }
        // a directory, or a file system without links
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK | Errno::ACCESS) => {
            return look_and_rename(from_dir, from, to_dir, to);
        }
        Err(why) => return Err(why.into()),
    }
    match unlinkat(&from_dir, from, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(why) => {
            let _ = unlinkat(&to_dir, to, AtFlags::empty());
            Err(why.into())
        }
    }
}

/// Renames a file to a name that must be new, in two steps.
fn look_and_rename(
    from_dir: impl AsFd,
    from: &Path,
    to_dir: impl AsFd,
    to: &Path,
) -> Result<(), FsError> {
    // no other session of this server may find the name free at the same time
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match statat(&to_dir, to, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(renameat(from_dir, from, to_dir, to)?),
        there => there.map_or_else(|why| Err(why.into()), |_| Err(FsError::Exists)),
    }
}

/// Opens a directory for reading and syncing. The handle that is passed is for lookups only.
pub(in crate::vfs) fn reopened(dir: impl AsFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::empty())
}

/// Turns a name into the type that system calls take.
pub(in crate::vfs) fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}
