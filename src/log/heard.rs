//! The level from which on events of sessions are logged. It is asked before anything about an
//! event is put together.

use std::sync::atomic::{AtomicUsize, Ordering};

use log::Level;

/// The least important level that is logged, as a number; 0 if there is none.
static LEAST: AtomicUsize = AtomicUsize::new(0);

/// Sets the levels that are logged. `hears` says so for a level.
pub(super) fn set(hears: impl Fn(Level) -> bool) {
    let least = Level::iter().filter(|level| hears(*level)).last();
    LEAST.store(least.map_or(0, |level| level as usize), Ordering::Relaxed);
}

/// Whether events of this level are logged.
pub(super) fn is_heard(level: Level) -> bool {
    level as usize <= LEAST.load(Ordering::Relaxed)
}
