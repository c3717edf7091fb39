//! Work that reads whole files: checksums.

use std::fs::File;

use super::Files;
use crate::vfs::error::FsError;
use crate::vfs::hash::{Hashes, Told, Wanted};

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
}
