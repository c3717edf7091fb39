//! Changes of several facts of a file or directory.

use super::Files;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::Entry;

impl Files {
    /// Changes the group of a file or directory to one that this thread acts with.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the group is another one.
    pub fn set_group(&self, path: &VirtualPath, group: u32) -> Result<(), FsError> {
        self.tree(path)?.set_group(path, group)
    }

    /// Gives a file or directory the group and the mode back that it had before, as far as possible.
    pub fn restore(&self, path: &VirtualPath, before: &Entry) {
        if let Ok(tree) = self.tree(path) {
            tree.restore(path, before);
        }
    }
}
