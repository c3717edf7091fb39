//! Work that reads whole files: checksums and copies.

use std::fs::File;
use std::time::Duration;

use rustix::fs::fstat;

use super::Files;
use crate::vfs::error::FsError;
use crate::vfs::hash::{Hashes, Told, Wanted};
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::{id_of, len_of};
use crate::vfs::upload::destination::Destination;
use crate::vfs::upload::open::{Stored, Upload};
use crate::vfs::upload::plan::Store;

/// A copy that a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Copying<'c> {
    /// The file to copy, open for reading.
    pub source: &'c File,
    /// Number of bytes to copy.
    pub size: u64,
    /// The path of the copy.
    pub to: &'c VirtualPath,
    /// That of the session.
    pub umask: u32,
    /// How long to wait while others work on whole files.
    pub patience: Duration,
}

impl Files {
    /// Returns a checksum of an open file. This reads the file, unless the checksum is remembered, and
    /// calls `told` meanwhile. `hashes` is shared by all sessions of the server.
    ///
    /// # Errors
    ///
    /// When the system refuses; [`FsError::Interrupted`], if `told` says so; [`FsError::Crowded`], if
    /// too many other files are read; or [`FsError::Busy`], if the file changes.
    pub fn hash(
        &self,
        hashes: &Hashes,
        file: &File,
        wanted: &Wanted,
        told: &mut Told<'_>,
    ) -> Result<String, FsError> {
        hashes.hash(file, wanted, &self.mounts.home().uploader_name(), told)
    }

    /// Checks that an open file may be copied to a path, and returns its size.
    ///
    /// # Errors
    ///
    /// [`FsError::Exists`], if the path leads to the file itself, which would be lost;
    /// [`FsError::TooLarge`] and [`FsError::QuotaUsed`], as for an upload of this size.
    pub fn check_copy(&self, source: &File, to: &VirtualPath) -> Result<u64, FsError> {
        let stat = fstat(source)?;
        if self.stat(to).is_ok_and(|there| there.id == id_of(&stat)) {
            return Err(FsError::Exists);
        }
        let size = len_of(&stat);
        match self.check_size(&to.parent(), size) {
            // directories that are missing may be made with the file
            Ok(()) | Err(FsError::NotFound) => Ok(size),
            Err(why) => Err(why),
        }
    }

    /// Copies a file. The copy is an upload, which is whole or not there. `relief` makes room when the
    /// disk is full, and `publish` puts the copy in place. Also returns a remark for the log,
    /// as [`Files::upload`] does.
    ///
    /// # Errors
    ///
    /// As for [`Files::upload`] and [`Files::hash`].
    pub fn copy(
        &self,
        hashes: &Hashes,
        copying: Copying<'_>,
        relief: Option<impl FnMut() -> bool + Send + 'static>,
        told: &mut Told<'_>,
        publish: impl FnOnce(Upload, &mut Told<'_>) -> Result<Stored, FsError>,
    ) -> Result<(Stored, Option<String>), FsError> {
        let Copying { source, size, to, umask, patience } = copying;
        let owner = self.mounts.home().uploader_name();
        let _place = hashes.place(&owner, patience, &mut || told(0))?;
        // the client has chosen the place, so that it is not filed (`store_as`)
        let place = Destination::exactly(to.clone());
        let prepared =
            self.upload(&place, Store::Replace, umask, true, None, &mut || told(0))?;
        let remark = prepared.remark().map(str::to_owned);
        let mut upload = prepared.ready()?;
        if let Some(relief) = relief {
            upload.when_full(relief);
        }
        let copied = upload.begin().and_then(|()| upload.copy_all(source, size, told));
        match copied {
            Ok(()) => Ok((publish(upload, told)?, remark)),
            Err(why) => {
                // the client has nothing to resume it with
                upload.fail(false);
                Err(why)
            }
        }
    }
}
