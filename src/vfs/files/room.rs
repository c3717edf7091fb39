//! Whether there is as much free space as the settings demand (`min_free`) where an upload goes.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Stat, fstatvfs};

use super::Files;
use crate::config::{Choice, Room};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::id_of;
use crate::vfs::upload::folders::missing_above;

/// The room that an upload needs.
#[derive(Debug, Clone)]
pub struct Need {
    /// The file system.
    pub(in crate::vfs) device: u64,
    /// The home of the user.
    pub(in crate::vfs) home: PathBuf,
    /// Number of bytes that are needed beyond what the rule leaves free.
    pub(in crate::vfs) bytes: u64,
    /// Number of bytes that are free beyond that.
    pub(in crate::vfs) spare: u64,
    /// Whether there is less free space than that.
    pub(in crate::vfs) is_lacking: bool,
    /// Whether the file system could have that much.
    pub(in crate::vfs) is_possible: bool,
}

impl Need {
    /// Whether there is too little free space.
    pub fn is_lacking(&self) -> bool {
        self.is_lacking
    }

    /// Whether there could be enough free space, so that it makes sense to remove files.
    pub fn is_possible(&self) -> bool {
        self.is_possible
    }
}

impl Files {
    /// Returns what an upload of this number of bytes to a file needs. Returns `None` if no rule
    /// demands free space there, or if the place cannot be looked at; the upload then says why.
    pub fn room_for(&self, path: &VirtualPath, bytes: u64) -> Option<Need> {
        let uploads = self.at(path).ok()?;
        // a folder from elsewhere has no retention
        if !uploads.is_home() {
            return None;
        }
        let directory = path.parent();
        if self.plenty.has(&directory, bytes) {
            return None;
        }
        let place = match uploads.place_of_target(path) {
            Err(FsError::NotFound) => return self.room_above(path, bytes),
            place => place.ok()?,
        };
        // where nothing has the name yet, the path of the directory may lead through links
        let parent = uploads.tree.followed(&place.parent).ok()?;
        let need = self.need(&parent, (&place.dir, &place.dir_stat), bytes).ok()?;
        if let Some(need) = &need
            && parent == directory
        {
            self.plenty.note(directory, need.spare);
        }
        need
    }

    /// Like [`Files::room_for`], for a file whose directory is missing and may be made.
    fn room_above(&self, path: &VirtualPath, bytes: u64) -> Option<Need> {
        let uploads = self.at(path).ok()?;
        let (_, above) = missing_above(uploads, path).ok()?;
        let (dir, stat) = uploads.tree.hold(&above).ok()?;
        let directory = uploads.followed(path.parent()).ok()?;
        self.need(&directory, (&dir, &stat), bytes).ok()?
    }

    /// Like [`Files::room_for`], for a file in a directory.
    pub fn room_in(&self, directory: &VirtualPath, bytes: u64) -> Option<Need> {
        let uploads = self.at(directory).ok()?;
        if !uploads.is_home() {
            return None;
        }
        let (dir, stat) = uploads.tree.hold(directory).ok()?;
        self.need(&uploads.tree.followed(directory).ok()?, (&dir, &stat), bytes).ok()?
    }

    /// Returns what is needed in a directory, whose path leads through no links.
    fn need(
        &self,
        directory: &VirtualPath,
        (dir, stat): (&OwnedFd, &Stat),
        bytes: u64,
    ) -> Result<Option<Need>, FsError> {
        let room = self.mounts.home().user.min_free_in(directory.as_bytes());
        let Choice::On(room) = room else { return Ok(None) };
        let space = fstatvfs(dir)?;
        let size = space.f_blocks.saturating_mul(space.f_frsize);
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let wanted: u64 = Room::bytes(room, size).saturating_add(bytes);
        let home = self.mounts.home().user.home.clone();
        // some file systems do not report their size
        let is_lacking = size > 0 && free < wanted;
        let is_possible = wanted <= size;
        let beyond = free.saturating_sub(wanted);
        Ok(Some(Need {
            device: id_of(stat).0,
            home,
            bytes,
            spare: beyond,
            is_lacking,
            is_possible,
        }))
    }
}
