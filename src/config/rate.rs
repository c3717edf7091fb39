//! A speed limit that may change during a transfer.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// The speed limit of a user's transfers in bytes per second, as currently set.
#[derive(Debug, Default)]
pub struct Rate(AtomicU64);

impl Rate {
    /// Makes a limit; `None`: no limit.
    pub fn new(limit: Option<NonZeroU64>) -> Self {
        let rate = Self::default();
        rate.set(limit);
        rate
    }

    /// Returns the current limit.
    pub fn limit(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed))
    }

    /// Changes the limit for all transfers that share it.
    pub fn set(&self, limit: Option<NonZeroU64>) {
        self.0.store(limit.map_or(0, NonZeroU64::get), Ordering::Relaxed);
    }
}
