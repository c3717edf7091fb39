//! Keeps versions from being removed from the trash while they are on their way through it: a file
//! that replaces another one is in the trash for a moment.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static HALF_DONE: RwLock<()> = RwLock::new(());

/// Says that a file is on its way through the trash, until the result is dropped.
pub(super) fn half_done() -> RwLockReadGuard<'static, ()> {
    HALF_DONE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no file is on its way through the trash, and keeps others waiting until the result is
/// dropped.
pub(super) fn all_done() -> RwLockWriteGuard<'static, ()> {
    HALF_DONE.write().unwrap_or_else(PoisonError::into_inner)
}
