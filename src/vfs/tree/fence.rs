//! The permission letters that a lookup needs where links have led it, and the folders of the tree in
//! whose place clients see others.
//!
//! Whoever asks for an action has checked the path that the client sent. A lookup that follows a link
//! ends elsewhere, and the letters of that place count as well. They are checked by the lookup itself,
//! so that nothing that is renamed meanwhile leads around them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::{Perm, User};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;

/// The letters of a user whose folders have their own, and the letter that the running command needs.
#[derive(Debug)]
pub(in crate::vfs) struct Fence {
    user: Arc<User>,
    /// The path under which clients see the tree.
    at: VirtualPath,
    /// Index of the letter in [`Perm::ALL`], plus one; 0: none. All trees of a session share it.
    asked: Arc<AtomicUsize>,
}

impl Fence {
    /// Returns the fence of a user; `None` if the letters are the same everywhere.
    pub(in crate::vfs) fn of(user: &Arc<User>) -> Option<Self> {
        let has_letters = user.has_letters();
        let (at, asked) = (VirtualPath::root(), Arc::default());
        has_letters.then(|| Self { user: Arc::clone(user), at, asked })
    }

    /// Returns the fence of another tree of the same session.
    pub(in crate::vfs) fn of_tree(&self, at: VirtualPath) -> Self {
        Self { user: Arc::clone(&self.user), at, asked: Arc::clone(&self.asked) }
    }

    /// Sets the letter that lookups need from now on.
    pub(in crate::vfs) fn ask(&self, perm: Option<Perm>) {
        let index = perm.and_then(|perm| Perm::ALL.iter().position(|&other| other == perm));
        self.asked.store(index.map_or(0, |index| index + 1), Ordering::Relaxed);
    }

    fn asked(&self) -> Option<Perm> {
        let index = self.asked.load(Ordering::Relaxed).checked_sub(1)?;
        Perm::ALL.get(index).copied()
    }

    /// Checks that the letters inside a directory suffice, and that no other tree is seen in its place.
    /// The path starts from the root of the tree; it has no links and no slash at its start.
    pub(in crate::vfs) fn check_in(&self, directory: &[u8]) -> Result<(), FsError> {
        let path = self.own(directory)?;
        let Some(asked) = self.asked() else { return Ok(()) };
        let has = self.user.perm_in(path.as_bytes()).has(asked);
        if has { Ok(()) } else { Err(FsError::Lacks(asked)) }
    }

    /// Checks that the letters for an entry suffice. The path is as for [`Fence::check_in`].
    pub(in crate::vfs) fn check_at(&self, path: &[u8]) -> Result<(), FsError> {
        let path = self.own(path)?;
        let Some(asked) = self.asked() else { return Ok(()) };
        let has = self.user.perm_at(path.as_bytes()).has(asked);
        if has { Ok(()) } else { Err(FsError::Lacks(asked)) }
    }

    /// Returns the whole path, if the tree is what clients see there.
    fn own(&self, path: &[u8]) -> Result<VirtualPath, FsError> {
        let path = self.at.join(path);
        let mount = self.user.mount_of(path.as_bytes());
        let own = self.at.as_bytes().strip_suffix(b"/").unwrap_or(self.at.as_bytes());
        let is_own = mount.as_bytes().eq_ignore_ascii_case(own);
        if is_own { Ok(path) } else { Err(FsError::NotFound) }
    }
}
