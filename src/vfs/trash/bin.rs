//! The directory of the trash that has the versions of one path.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, Mode, OFlags, ResolveFlags, accessat, fstat, mkdirat, openat, openat2,
    unlinkat,
};
use rustix::io::Errno;

use super::stamp::{Stamp, name_of_trash};
use super::subvolumes::note;
use super::top::{HOLD, Top};
use crate::rights::Ids;
use crate::vfs::error::FsError;
use crate::vfs::quota::payer::{Move, Payer};
use crate::vfs::quota::quotas::Quotas;
use crate::vfs::tree::Tree;
use crate::vfs::tree::place::{Place, as_path, open, rename_new};
use crate::vfs::tree::sync::Synced;

/// The directory of the trash that has the versions of one path, held open.
#[derive(Debug)]
pub(in crate::vfs) struct Bin {
    pub(in crate::vfs) folder: OwnedFd,
    /// The directories in which others were made on the way to it.
    grown: Vec<OwnedFd>,
    syncs: bool,
    /// Where the versions count.
    quotas: Arc<Quotas>,
}

/// Mode of the directories of the trash. Nobody but their owner may enter them.
const OWN: Mode = Mode::RWXU;

/// Number of times that an action is tried again if an empty directory of the trash is removed
/// meanwhile.
const TRIES: u32 = 8;

/// Maximum length of a path: `PATH_MAX` without the NUL at its end.
const LONGEST: usize = 4095;

impl Bin {
    /// Opens the directory for the versions of a place, and makes it if it is missing. `ids` is the
    /// user that this thread acts as; `None`: the server's own.
    pub(super) fn open(
        tree: &Tree,
        place: &Place,
        ids: Option<&Ids>,
        quotas: &Arc<Quotas>,
    ) -> Result<Self, FsError> {
        let Top { dir: top, below, subvolume } = Top::of(tree, place)?;
        check_length(&below, place)?;
        let trash = name_of_trash(ids);
        if let Some(path) = subvolume {
            note(tree.root(), &trash, &path)?;
        }
        let names = [&trash].into_iter().chain(&below).chain([&place.name]);
        let names: Vec<_> = names.map(Vec::as_slice).collect();
        let (grown, syncs, quotas) = (Vec::new(), tree.syncs(), Arc::clone(quotas));
        let mut bin = Self { folder: top, grown, syncs, quotas };
        check(&bin.folder, &trash)?;
        // usually nothing is missing, or only the last directory
        for missing in 0..2 {
            let known = names.len() - missing;
            let (path, rest) = names.split_at_checked(known).unwrap_or_default();
            if let Some(dir) = descend(&bin.folder, &path.join(&b'/')) {
                bin.folder = dir;
                bin.make(rest)?;
                return Ok(bin);
            }
        }
        bin.make(&names)?;
        Ok(bin)
    }

    /// Enters directories below the folder, and makes those that are missing.
    fn make(&mut self, names: &[&[u8]]) -> Result<(), FsError> {
        for name in names {
            let next = match openat(&self.folder, as_path(name), HOLD, Mode::empty()) {
                Err(Errno::NOENT) => {
                    let make = || match mkdirat(&self.folder, as_path(name), OWN) {
                        Ok(()) | Err(Errno::EXIST) => Ok(()),
                        Err(why) => Err(FsError::from(why)),
                    };
                    self.payer().making(&self.folder, name, make)?;
                    let next = openat(&self.folder, as_path(name), HOLD, Mode::empty())?;
                    let above = std::mem::replace(&mut self.folder, next);
                    self.grown.push(above);
                    continue;
                }
                next => next?,
            };
            self.folder = next;
        }
        Ok(())
    }

    /// Moves what has a name to the versions, under a stamp of its own.
    pub(super) fn take(&self, dir: impl AsFd, name: &[u8]) -> Result<Stamp, FsError> {
        loop {
            let stamp = Stamp::now();
            let version = stamp.name();
            match rename_new(&dir, as_path(name), &self.folder, as_path(&version)) {
                // another server has the same home
                Err(FsError::Exists) => {}
                other => return other.map(|()| stamp),
            }
        }
    }

    /// Moves a version back to where it was.
    pub(super) fn give_back(
        &self,
        stamp: Stamp,
        dir: impl AsFd,
        name: &[u8],
    ) -> Result<(), FsError> {
        rename_new(&self.folder, as_path(&stamp.name()), dir, as_path(name))
    }

    /// Makes an empty version, which only its owner may read.
    pub(super) fn create(&self) -> Result<(Stamp, File), FsError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        loop {
            let stamp = Stamp::now();
            match openat(
                &self.folder,
                as_path(&stamp.name()),
                flags,
                Mode::from_raw_mode(0o600),
            ) {
                Err(Errno::EXIST) => {}
                file => return Ok((stamp, file?.into())),
            }
        }
    }

    /// Makes an empty directory as a version.
    pub(super) fn create_dir(&self) -> Result<Stamp, FsError> {
        loop {
            let stamp = Stamp::now();
            match mkdirat(&self.folder, as_path(&stamp.name()), OWN) {
                Err(Errno::EXIST) => {}
                made => return made.map(|()| stamp).map_err(FsError::from),
            }
        }
    }

    /// Opens a version that is a directory.
    pub(super) fn open_dir(&self, stamp: Stamp) -> Result<File, FsError> {
        Ok(open(&self.folder, &stamp.name(), OFlags::RDONLY | OFlags::DIRECTORY)?)
    }

    /// Removes a directory again that was made as a version.
    pub(super) fn remove_dir(&self, stamp: Stamp) {
        let _ = unlinkat(&self.folder, as_path(&stamp.name()), AtFlags::REMOVEDIR);
    }

    /// Removes a version again that has turned out not to be needed.
    pub(in crate::vfs) fn remove(&self, stamp: Stamp) {
        let name = stamp.name();
        let moved = Move { from: self.folder.as_fd(), name: &name, to: None };
        let _ = self
            .payer()
            .moving(&[moved], || Ok(unlinkat(&self.folder, as_path(&name), AtFlags::empty())?));
    }

    fn payer(&self) -> Payer<'_> {
        Payer { quotas: &self.quotas, own: None }
    }

    /// Brings the directories of the trash to the disk, if that is wanted.
    pub(in crate::vfs) fn sync(&self) -> Result<(), FsError> {
        if !self.syncs {
            return Ok(());
        }
        for dir in [&self.folder].into_iter().chain(&self.grown) {
            match Synced::open(dir, true) {
                // the version and its directory have been removed from the trash meanwhile
                Err(FsError::NotFound) => {}
                synced => synced?.sync(|| "the trash".into())?,
            }
        }
        Ok(())
    }
}

/// Checks whether the directory for the versions of a place could be made.
pub(super) fn could_open(tree: &Tree, place: &Place, ids: Option<&Ids>) -> Result<(), FsError> {
    let Top { dir: top, below, .. } = Top::of(tree, place)?;
    check_length(&below, place)?;
    let trash = name_of_trash(ids);
    check(&top, &trash)?;
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    match accessat(&top, as_path(&trash), wanted, AtFlags::EACCESS) {
        Err(Errno::NOENT) => Ok(accessat(&top, ".", wanted, AtFlags::EACCESS)?),
        other => Ok(other?),
    }
}

/// Checks that the versions of a place can be found again: the system opens no path that is longer.
/// Clients reach such places by entering the directories one after the other.
fn check_length(below: &[Vec<u8>], place: &Place) -> Result<(), FsError> {
    let length = below.iter().map(|name| name.len() + 1).sum::<usize>() + place.name.len();
    if length <= LONGEST {
        return Ok(());
    }
    Err(FsError::NotTrashed(format!("its path is longer than {LONGEST} bytes")))
}

/// Does something with the directory for the versions of a place. Tries again if the directory, or one
/// on the way to it, was empty and has been removed meanwhile.
pub(super) fn with_bin<T>(
    open: impl Fn() -> Result<Bin, FsError>,
    work: impl Fn(&Bin) -> Result<T, FsError>,
) -> Result<T, FsError> {
    let mut tries = 0;
    loop {
        let done = match open() {
            Ok(bin) => {
                let done = work(&bin);
                if !is_removed(&bin.folder) {
                    return done;
                }
                done
            }
            Err(why) => Err(why),
        };
        match done {
            Err(FsError::NotFound) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

fn is_removed(dir: &OwnedFd) -> bool {
    fstat(dir).is_ok_and(|stat| stat.st_nlink == 0)
}

/// Checks that the trash, if there is one, belongs to this user. Another user who may write to the
/// directory could have made it.
fn check(top: &OwnedFd, trash: &[u8]) -> Result<(), FsError> {
    let dir = match openat(top, as_path(trash), HOLD, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(FsError::NotADirectory),
        dir => dir?,
    };
    let (owner, top) = (fstat(&dir)?.st_uid, fstat(top)?.st_uid);
    let own = rustix::process::geteuid().as_raw();
    // file systems without owners show one and the same for all
    if owner == own || owner == top {
        return Ok(());
    }
    let name = trash.escape_ascii();
    Err(FsError::NotTrashed(format!("{name} belongs to uid {owner}, not {own}")))
}

/// Opens a directory below another one, without following links. Returns `None` if it is missing, or
/// if the kernel cannot do this in one step.
fn descend(dir: &OwnedFd, path: &[u8]) -> Option<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(dir, as_path(path), HOLD | OFlags::NOFOLLOW, Mode::empty(), resolve).ok()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::vfs::path::VirtualPath;
    use crate::vfs::tree::home::Home;

    #[test]
    fn a_directory_that_is_removed_while_it_is_opened_is_made_again() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::new(Home::open(home.path()).unwrap(), false, true, None);
        let place = tree.place(&VirtualPath::root().join(b"a")).unwrap();
        let quotas = Arc::new(Quotas::none());
        let calls = Cell::new(0);
        let open = || {
            calls.set(calls.get() + 1);
            if calls.get() < 3 {
                return Err(FsError::NotFound);
            }
            Bin::open(&tree, &place, None, &quotas)
        };
        assert!(with_bin(open, |_| Ok(())).is_ok());
        let never = || {
            calls.set(calls.get() + 1);
            Err::<Bin, _>(FsError::NotFound)
        };
        assert!(matches!(with_bin(never, |_| Ok(())), Err(FsError::NotFound)));
        assert_eq!(calls.get(), 3 + TRIES + 1);
    }
    #[test]
    fn a_directory_that_has_been_removed_needs_no_sync() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::new(Home::open(home.path()).unwrap(), true, true, None);
        let place = tree.place(&VirtualPath::root().join(b"a")).unwrap();
        let bin = Bin::open(&tree, &place, None, &Arc::new(Quotas::none())).unwrap();
        assert!(bin.sync().is_ok());
        unlinkat(tree.root(), ".ftpd-trash/a", AtFlags::REMOVEDIR).unwrap();
        assert!(bin.sync().is_ok());
    }
}
