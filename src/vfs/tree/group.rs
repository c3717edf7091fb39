//! Changes of the group of a file or directory.

use std::io;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, chownat};

use super::Tree;
use super::entry::Entry;
use crate::rights;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;

impl Tree {
    /// Changes the group to one that this thread acts with. A server that may give files to anybody
    /// does not do so for a client.
    pub(in crate::vfs) fn set_group(
        &self,
        path: &VirtualPath,
        group: u32,
    ) -> Result<(), FsError> {
        let there = self.file_or_directory(path)?;
        if there.gid == group {
            return Ok(());
        }
        if !rights::has_group(group) {
            return Err(FsError::Denied(io::Error::other("the server is not in that group")));
        }
        self.change_group(path, group)
    }

    /// Gives a file or directory the group and the mode back that it had before, as far as possible.
    pub(in crate::vfs) fn restore(&self, path: &VirtualPath, before: &Entry) {
        let Ok(now) = self.stat(path) else { return };
        if now.id != before.id {
            return;
        }
        if now.gid != before.gid {
            let _ = self.change_group(path, before.gid);
        }
        if self.stat(path).is_ok_and(|now| now.mode != before.mode) {
            let _ = self.change_mode(path, Mode::from_raw_mode(before.mode));
        }
    }

    fn change_group(&self, path: &VirtualPath, group: u32) -> Result<(), FsError> {
        let there = self.root.open(self.below(path)?, OFlags::PATH, Mode::empty())?;
        let group = Some(Gid::from_raw(group));
        Ok(chownat(there, "", None, group, AtFlags::EMPTY_PATH)?)
    }
}
