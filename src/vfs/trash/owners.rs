//! The users to whom each trash belongs, whose settings say how long a file stays there.

use std::collections::HashMap;
use std::time::Duration;

use rustix::fs::fstat;

use super::heap::{Heap, HomeTrash, joined};
use crate::config::User;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::{FileId, id_of};

/// The users to whom each trash belongs. Users share a trash if they have the same home, but also if a
/// file system that is mounted in the home of one is the home of another one.
#[derive(Debug, Default)]
pub struct Owners<'u>(HashMap<FileId, Vec<Owner<'u>>>);

/// A user to whom a trash belongs.
#[derive(Debug)]
pub(super) struct Owner<'u> {
    user: &'u User,
    /// The path, in the home of this user, of the directory that has the trash.
    top: VirtualPath,
}

impl<'u> Owners<'u> {
    /// Adds the user of a trash, for each file system in the home.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the user.
    pub fn add(&mut self, trash: &HomeTrash<'u>) -> Result<(), FsError> {
        trash.with_heaps(|heaps| {
            for heap in heaps {
                let owner = Owner { user: trash.user, top: heap.top.clone() };
                self.0.entry(id(&heap)?).or_default().push(owner);
            }
            Ok(())
        })
    }

    /// Returns the owners of a trash, once.
    pub(super) fn take(&mut self, heap: &Heap) -> Option<Vec<Owner<'u>>> {
        self.0.remove(&id(heap).ok()?)
    }
}

impl Owner<'_> {
    /// Returns how long a file that had this path below the trash stays there by the settings of this
    /// user; `None`: for ever.
    pub(super) fn trash_for(&self, below: &VirtualPath) -> Option<Duration> {
        let folder = joined(&self.top, below).parent();
        self.user.folder_rules(folder.as_bytes()).trash_for
    }
}

/// Returns what distinguishes a trash from all others.
fn id(heap: &Heap) -> Result<FileId, FsError> {
    Ok(id_of(&fstat(heap.trash.dir())?))
}
