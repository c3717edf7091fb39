//! A ban, and how long it lasts.

use std::time::{Duration, Instant};

use super::origin::Origin;
use crate::control::Offence;

/// A ban.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Ban {
    /// `None`: until somebody lifts it.
    pub(in crate::server) until: Option<Instant>,
    pub(in crate::server) failures: usize,
    /// The last one; `None` is a ban by hand.
    pub(in crate::server) last: Option<Offence>,
    /// Connections that were closed since.
    pub(in crate::server) closed: u64,
}

/// What a failure has led to.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Struck {
    pub(in crate::server) origin: Origin,
    pub(in crate::server) ban: Ban,
    /// Bans that had to go for it.
    pub(in crate::server) lifted: usize,
}

impl Ban {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// How long it still holds.
    pub(in crate::server) fn left(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}
