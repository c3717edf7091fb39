//! Bans of single addresses.

use std::time::{Duration, Instant};

use super::origin::Origin;
use crate::control::Offence;

/// The ban of an address.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Ban {
    /// When the ban ends; `None`: when it is lifted by hand.
    pub(in crate::server) until: Option<Instant>,
    /// Number of failures that led to the ban.
    pub(in crate::server) failures: usize,
    /// The last failure; `None`: the ban was made by hand.
    pub(in crate::server) last: Option<Offence>,
    /// Number of connections that were closed since.
    pub(in crate::server) closed: u64,
}

/// A ban that was caused by a failure.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Struck {
    pub(in crate::server) origin: Origin,
    pub(in crate::server) ban: Ban,
    /// Number of other bans that were lifted to make room.
    pub(in crate::server) lifted: usize,
}

impl Ban {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Returns how much longer the ban lasts; `None`: until it is lifted by hand.
    pub(in crate::server) fn left(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}
