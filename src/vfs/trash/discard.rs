//! Deleting files and directories by moving them to the trash.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, futimens, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::bin::{Bin, could_open, with_bin};
use super::stamp::Stamp;
use super::tally::count_moved;
use crate::rights::Ids;
use crate::vfs::error::FsError;
use crate::vfs::quota::count::Count;
use crate::vfs::quota::payer::{Move, Payer};
use crate::vfs::tree::Tree;
use crate::vfs::tree::entry::times;
use crate::vfs::tree::names::Names;
use crate::vfs::tree::place::{Place, as_path, reopened};
use crate::vfs::tree::sync::Synced;

/// The trash of a session.
#[derive(Debug, Clone, Copy)]
pub(in crate::vfs) struct Trash<'t> {
    pub(in crate::vfs) tree: &'t Tree,
    /// The user that the session acts as; `None`: the server's own.
    pub(in crate::vfs) ids: Option<&'t Ids>,
    /// Who pays for what the session changes.
    pub(in crate::vfs) payer: Payer<'t>,
}

impl Trash<'_> {
    /// Opens the directory for the versions of a place.
    pub(super) fn open(&self, place: &Place) -> Result<Bin, FsError> {
        Bin::open(self.tree, place, self.ids, self.payer.quotas)
    }

    /// Checks that a version of a place can be kept, and makes the directories that it needs.
    pub(in crate::vfs) fn check(&self, place: &Place) -> Result<(), FsError> {
        with_bin(|| self.open(place).map_err(not_kept), |_| Ok(()))
    }

    /// Checks whether something could be moved to the trash. Changes nothing.
    pub(in crate::vfs) fn could(&self, place: &Place) -> Result<(), FsError> {
        could_open(self.tree, place, self.ids).map_err(not_trashed)
    }

    /// Makes an empty version of a place, for a copy of the file.
    pub(in crate::vfs) fn create_version(
        &self,
        place: &Place,
    ) -> Result<(Bin, Stamp, File), FsError> {
        let bin = self.open(place).map_err(not_kept)?;
        let made = self.payer.filling(&bin.folder, Count { bytes: 0, files: 1 }, || {
            bin.create().map_err(not_kept)
        });
        let (stamp, file) = made?;
        Ok((bin, stamp, file))
    }

    /// Deletes a file or a link, but not a directory.
    pub(in crate::vfs) fn discard(&self, place: &Place) -> Result<(), FsError> {
        let synced = Synced::open(&place.dir, self.tree.syncs())?;
        if FileType::from_raw_mode(place.lstat()?.st_mode).is_dir() {
            return Err(FsError::IsADirectory);
        }
        let take = |bin: &Bin| bin.take(&place.dir, &place.name).map(drop);
        self.take(place, |bin| self.payer.moving(&[to_bin(place, bin)], || take(bin)))?;
        synced.sync(|| self.tree.real(&place.path()))
    }

    /// Deletes an empty directory. If something is made in it meanwhile, it stays.
    pub(in crate::vfs) fn discard_dir(&self, place: &Place) -> Result<(), FsError> {
        let synced = Synced::open(&place.dir, self.tree.syncs())?;
        if !FileType::from_raw_mode(place.lstat()?.st_mode).is_dir() {
            return Err(FsError::NotADirectory);
        }
        let dir = place.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        if !is_empty(&dir)? {
            return Err(FsError::NotEmpty);
        }
        let take = |bin: &Bin| match movable(&dir, || bin.take(&place.dir, &place.name)) {
            Ok(stamp) => {
                let why = match is_empty(&dir) {
                    Ok(true) => return Ok(()),
                    Ok(false) => FsError::NotEmpty,
                    Err(why) => why,
                };
                movable(&dir, || bin.give_back(stamp, &place.dir, &place.name))?;
                Err(why)
            }
            // overlays do not rename directories of their lower layers
            Err(FsError::Other(why)) if Errno::from_io_error(&why) == Some(Errno::XDEV) => {
                replace_by_copy(bin, place, &dir)
            }
            Err(why) => Err(why),
        };
        self.take(place, |bin| self.payer.removing_dir(&place.dir, &place.name, || take(bin)))?;
        synced.sync(|| self.tree.real(&place.path()))
    }

    fn take(
        &self,
        place: &Place,
        work: impl Fn(&Bin) -> Result<(), FsError>,
    ) -> Result<(), FsError> {
        let open = || self.open(place).map_err(not_trashed);
        with_bin(open, |bin| {
            work(bin).map_err(|why| {
                // as for a deletion without trash, the rights to the directory may be missing
                if matches!(why, FsError::Denied(_)) { why } else { not_trashed(why) }
            })?;
            count_moved();
            bin.sync()
        })
    }
}

/// Makes a directory with the attributes of an empty one in the trash, and removes that one.
fn replace_by_copy(bin: &Bin, place: &Place, dir: &File) -> Result<(), FsError> {
    let stat = fstat(dir)?;
    let stamp = bin.create_dir()?;
    let done = bin.open_dir(stamp).and_then(|copy| {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        fchown(&copy, Some(uid), Some(gid))?;
        fchmod(&copy, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        futimens(&copy, &times(&stat))?;
        // fails if something was made in it meanwhile
        Ok(unlinkat(&place.dir, as_path(&place.name), AtFlags::REMOVEDIR)?)
    });
    done.inspect_err(|_| bin.remove_dir(stamp))
}

/// Says that what has the name of a place is moved to the trash.
pub(super) fn to_bin<'m>(place: &'m Place, bin: &'m Bin) -> Move<'m> {
    Move { from: place.dir.as_fd(), name: &place.name, to: Some(bin.folder.as_fd()) }
}

/// Whether a directory has no entries now, or has been removed, as only an empty one can be.
fn is_empty(dir: &File) -> Result<bool, FsError> {
    match reopened(dir).map_err(FsError::from).and_then(|dir| Names::new(dir).are_none()) {
        Err(FsError::NotFound) => Ok(true),
        other => other,
    }
}

/// Moves a directory elsewhere. A user other than root must be allowed to write to a directory to move
/// it; its owner is allowed for as long as it takes.
pub(super) fn movable<T>(
    dir: &File,
    work: impl Fn() -> Result<T, FsError>,
) -> Result<T, FsError> {
    let why = match work() {
        Err(FsError::Denied(why)) => why,
        other => return other,
    };
    let stat = fstat(dir)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let is_own = stat.st_uid == geteuid().as_raw();
    if !is_own || mode.contains(Mode::WUSR) || Errno::from_io_error(&why) != Some(Errno::ACCESS)
    {
        return Err(FsError::Denied(why));
    }
    fchmod(dir, mode | Mode::WUSR)?;
    let result = work();
    fchmod(dir, mode)?;
    result
}

/// Turns the error that something could not be moved to the trash into one that says so, unless the
/// client acts on what it says.
pub(super) fn not_trashed(why: FsError) -> FsError {
    said(why, FsError::NotTrashed)
}

/// Like [`not_trashed`], for the old version of a file.
pub(in crate::vfs) fn not_kept(why: FsError) -> FsError {
    let why = said(why, FsError::NotKept);
    if let FsError::NotTrashed(why) = why { FsError::NotKept(why) } else { why }
}

fn said(why: FsError, as_what: fn(String) -> FsError) -> FsError {
    let says_enough = matches!(
        why,
        FsError::NoSpace(_)
            | FsError::OverQuota(_)
            | FsError::TooManyOpen(_)
            | FsError::Failed(_)
            | FsError::NotEmpty
            | FsError::IsADirectory
            | FsError::NotTrashed(_)
            | FsError::NotKept(_)
            | FsError::NotFound
    );
    if says_enough { why } else { as_what(why.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn a_directory_that_the_trash_has_lost_meanwhile_was_empty() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("dir");
        std::fs::create_dir(&path).unwrap();
        let dir = File::open(&path).unwrap();
        std::fs::write(path.join("file"), "text").unwrap();
        assert!(!is_empty(&dir).unwrap());
        std::fs::remove_file(path.join("file")).unwrap();
        assert!(is_empty(&dir).unwrap());
        std::fs::remove_dir(&path).unwrap();
        assert!(is_empty(&dir).unwrap());
    }
}
