//! The moment at which something began: its date for people, and its age by a clock that does
//! not jump when the system's time is set.

use std::time::{Duration, Instant, SystemTime};

/// A date, and what has passed since then.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    date: SystemTime,
    began: Instant,
}

impl Since {
    /// This moment.
    pub fn now() -> Self {
        Self { date: SystemTime::now(), began: Instant::now() }
    }

    /// The date, as the system's time was then.
    pub fn date(&self) -> SystemTime {
        self.date
    }

    /// How long ago it was, whatever the system's time says meanwhile.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }
}
