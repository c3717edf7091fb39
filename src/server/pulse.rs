//! A counter that shows whether a thread that accepts clients is still working.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the steps of a thread: even while it waits for a client, odd while it takes one in.
#[derive(Debug, Default)]
pub(super) struct Pulse(AtomicU64);

impl Pulse {
    /// Counts a step: the thread begins to take a client in, or has done so.
    pub(super) fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of steps so far.
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
