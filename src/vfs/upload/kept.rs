//! A clone of a file in the trash, made before the file is changed in place.

use std::fs::File;

use rustix::fs::{OFlags, fstat, futimens};

use super::attributes::carry_over;
use super::copy::clone;
use crate::vfs::error::FsError;
use crate::vfs::quota::count::Count;
use crate::vfs::trash::bin::Bin;
use crate::vfs::trash::discard::{Trash, not_kept};
use crate::vfs::trash::stamp::Stamp;
use crate::vfs::tree::entry::{id_of, len_of, times};
use crate::vfs::tree::place::Place;

/// A clone of a file in the trash. It is removed with this value unless it is told to stay.
#[derive(Debug)]
pub(super) struct OldVersion {
    bin: Bin,
    stamp: Stamp,
    stays: bool,
}

impl OldVersion {
    /// Clones the file of a place.
    ///
    /// # Errors
    ///
    /// [`FsError::NotKept`], if the file cannot be read, or its file system cannot clone files.
    pub(super) fn make(trash: Trash<'_>, place: &Place, file: &File) -> Result<Self, FsError> {
        let stat = fstat(file)?;
        let source = place.open(OFlags::RDONLY).map_err(|why| not_kept(why.into()))?;
        if id_of(&fstat(&source)?) != id_of(&stat) {
            return Err(FsError::Replaced);
        }
        let (bin, stamp, version) = trash.create_version(place)?;
        let made = Self { bin, stamp, stays: false };
        // if this fails, dropping the clone removes what it counts
        trash.payer.filling(&made.bin.folder, Count::bytes(len_of(&stat)), || {
            if clone(&source, &version, id_of(&stat).0) {
                return Ok(());
            }
            let why = "its file system cannot clone files";
            Err(FsError::NotKept(why.to_owned()))
        })?;
        carry_over(&source, &stat, &version, stat.st_mode & 0o7777);
        futimens(&version, &times(&stat))?;
        Ok(made)
    }

    /// Lets the clone stay in the trash.
    pub(super) fn stay(&mut self) -> Result<(), FsError> {
        self.stays = true;
        self.bin.sync()
    }
}

impl Drop for OldVersion {
    fn drop(&mut self) {
        if !self.stays {
            self.bin.remove(self.stamp);
        }
    }
}
