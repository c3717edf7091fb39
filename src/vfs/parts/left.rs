//! The parts that failed uploads have left, for the administrator.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::known::{DeadPart, PartKey};
use super::name::Mark;
use super::store::Parts;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::{id_of, len_of};
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::place::lstat;

/// A part that a failed upload has left.
#[derive(Debug)]
pub struct LeftPart {
    key: PartKey,
    dead: DeadPart,
    /// Size of the part in bytes.
    pub bytes: u64,
}

impl LeftPart {
    /// Returns the home in which the file is.
    pub fn home(&self) -> &Path {
        &self.dead.folder.home
    }

    /// Returns the path of the file. If the name of the file does not fit into the name of its part,
    /// this is the path of the directory; see [`LeftPart::has_name`].
    pub fn path(&self) -> VirtualPath {
        self.dead.folder.path.join(&self.dead.name.name)
    }

    /// Returns the path of the file on the server, or that of its directory.
    pub fn real(&self) -> PathBuf {
        self.path().real(self.home())
    }

    /// Whether the name of the file is known.
    pub fn has_name(&self) -> bool {
        !self.dead.name.name.is_empty()
    }

    /// Returns when the part was last written to.
    pub fn since(&self) -> SystemTime {
        self.dead.since
    }

    /// Returns the name that distinguishes the user, as the session gave it; `None` for a part that
    /// was left before the server started.
    pub fn uploader(&self) -> Option<&[u8]> {
        self.dead.uploader.as_deref()
    }

    /// Whether this user has uploaded to this path.
    pub fn is_of(&self, uploader: &[u8], path: &VirtualPath) -> bool {
        self.dead.folder.path == path.parent()
            && self.key.mark == Mark::new(uploader, path.name())
    }
}

impl Parts {
    /// Returns the parts that failed uploads have left, the oldest first. Leaves out those in
    /// directories that cannot be read or have been moved by other programs.
    pub fn left(&self) -> Vec<LeftPart> {
        if !self.are_there() {
            return Vec::new();
        }
        let all = self.known().all_dead();
        let mut left = Vec::new();
        let mut opened: Option<(Folder, Option<OwnedFd>)> = None;
        for (key, dead) in all {
            if opened.as_ref().is_none_or(|(folder, _)| *folder != dead.folder) {
                opened = Some((dead.folder.clone(), open(&dead.folder, key)));
            }
            let dir = opened.as_ref().and_then(|(_, dir)| dir.as_ref());
            if let Some(dir) = dir
                && let Ok(stat) = lstat(dir, &dead.name.bytes())
            {
                left.push(LeftPart { key, dead, bytes: len_of(&stat) });
            }
        }
        left.sort_by_key(LeftPart::since);
        left
    }

    /// Removes a part. Returns whether it was removed: the upload may have been resumed.
    pub fn remove_left(&self, left: &LeftPart) -> bool {
        let LeftPart { key, dead, .. } = left;
        // another part may have taken its place since it was listed
        if self.dead(*key).is_none_or(|now| now.upload != dead.upload) {
            return false;
        }
        let removed = dead
            .folder
            .on_behalf(|| open(&dead.folder, *key).is_some_and(|dir| self.forget(*key, dir)));
        removed.unwrap_or_default()
    }
}

/// Opens the directory of a part, if it is still the one that the part was left in.
fn open(folder: &Folder, key: PartKey) -> Option<OwnedFd> {
    let opened = folder.on_behalf(|| folder.open()).ok()?.ok();
    opened.filter(|(_, stat)| id_of(stat) == key.dir).map(|(dir, _)| dir)
}
