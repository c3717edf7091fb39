//! The moment at which something began: a date for people, and an age by a clock that does not
//! jump when the system's time is set.

use std::time::{Duration, Instant, SystemTime};

/// A moment in the past. The default is the present moment.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    date: SystemTime,
    began: Instant,
}

impl Default for Since {
    fn default() -> Self {
        Self::now()
    }
}

impl Since {
    /// Returns the present moment.
    pub fn now() -> Self {
        Self { date: SystemTime::now(), began: Instant::now() }
    }

    /// Returns the date, by the system's clock at that moment.
    pub fn date(&self) -> SystemTime {
        self.date
    }

    /// Returns how long ago it was, even if the system's clock was set meanwhile.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }
}
