//! The permission letters that a lookup needs where links have led it.
//!
//! Whoever asks for an action has checked the path that the client sent. A lookup that follows a link
//! ends elsewhere, and the letters of that place count as well. They are checked by the lookup itself,
//! so that nothing that is renamed meanwhile leads around them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::{Perm, User};
use crate::vfs::error::FsError;

/// The letters of a user whose folders have their own, and the letter that the running command needs.
#[derive(Debug)]
pub(in crate::vfs) struct Fence {
    user: Arc<User>,
    /// Index of the letter in [`Perm::ALL`], plus one; 0: none.
    asked: AtomicUsize,
}

impl Fence {
    /// Returns the fence of a user; `None` if the letters are the same everywhere.
    pub(in crate::vfs) fn of(user: &Arc<User>) -> Option<Self> {
        let has_letters = user.has_letters();
        has_letters.then(|| Self { user: Arc::clone(user), asked: AtomicUsize::new(0) })
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

    /// Checks that the letters inside a directory suffice. The path has no links and no slash at its
    /// start.
    pub(in crate::vfs) fn check_in(&self, directory: &[u8]) -> Result<(), FsError> {
        let Some(asked) = self.asked() else { return Ok(()) };
        let has = self.user.perm_in(&absolute(directory)).has(asked);
        if has { Ok(()) } else { Err(FsError::Lacks(asked)) }
    }

    /// Checks that the letters for an entry suffice. The path is as for [`Fence::check_in`].
    pub(in crate::vfs) fn check_at(&self, path: &[u8]) -> Result<(), FsError> {
        let Some(asked) = self.asked() else { return Ok(()) };
        let has = self.user.perm_at(&absolute(path)).has(asked);
        if has { Ok(()) } else { Err(FsError::Lacks(asked)) }
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}
