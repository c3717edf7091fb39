//! A speed that may change while somebody keeps to it.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes per second of one user's transfers, as the settings have it at the moment.
#[derive(Debug, Default)]
pub struct Rate(AtomicU64);

impl Rate {
    /// `None` is no limit.
    pub fn new(limit: Option<NonZeroU64>) -> Self {
        let rate = Self::default();
        rate.set(limit);
        rate
    }

    /// What it is now.
    pub fn limit(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed))
    }

    /// Changes it for all who keep to it.
    pub fn set(&self, limit: Option<NonZeroU64>) {
        self.0.store(limit.map_or(0, NonZeroU64::get), Ordering::Relaxed);
    }
}
