//! As [`std::time`], but an [`Instant`] comes from the clock of the model.

use std::ops::{Add, AddAssign, Sub};

pub use std::time::*;

use crate::clock;

/// As [`std::time::Instant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The present time.
    #[must_use]
    pub fn now() -> Self {
        Self(clock::now())
    }

    /// The time that has passed since then.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        clock::now() - self.0
    }

    /// The time between `earlier` and this; zero if that is negative.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time between `earlier` and this; zero if that is negative.
    #[must_use]
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// The time so much later.
    #[must_use]
    pub fn checked_add(&self, length: Duration) -> Option<Self> {
        self.0.checked_add(length).map(Self)
    }

    /// The time so much earlier.
    #[must_use]
    pub fn checked_sub(&self, length: Duration) -> Option<Self> {
        self.0.checked_sub(length).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0 + length)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, length: Duration) {
        self.0 += length;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(self.0 - length)
    }
}
