//! Notices that the clock has been set forward. A small computer without a battery for its clock
//! starts in the past: what it stores then seems to be old once the clock is set.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// The time when the clock was last looked at.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: SystemTime,
    /// Time since the system was started, including the time for which it was suspended.
    up: Duration,
}

/// The least time by which the clock must have been set forward.
const LEAST: Duration = Duration::from_secs(3600);

impl Clock {
    /// Looks at the clock for the first time.
    pub fn now() -> Self {
        Self { wall: SystemTime::now(), up: uptime() }
    }

    /// Looks at the clock. Returns by how much it was set forward since the last look, if that was
    /// much.
    pub fn look(&mut self) -> Option<Duration> {
        let before = std::mem::replace(self, Self::now());
        before.set_forward(*self)
    }

    fn set_forward(self, now: Self) -> Option<Duration> {
        let wall = now.wall.duration_since(self.wall).unwrap_or_default();
        let jump = wall.saturating_sub(now.up.saturating_sub(self.up));
        (jump >= LEAST).then_some(jump)
    }
}

fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_is_set_forward_by_much_is_noticed() {
        const HOUR: Duration = Duration::from_secs(3600);
        let at = |hours: u32, up: u32| Clock {
            wall: SystemTime::UNIX_EPOCH + hours * HOUR,
            up: up * HOUR,
        };
        let start = at(100, 1);
        assert_eq!(start.set_forward(at(148, 49)), None, "two days have passed");
        assert_eq!(start.set_forward(at(150, 49)), Some(2 * HOUR));
        assert_eq!(start.set_forward(at(50, 2)), None, "set back");
        assert_eq!(Clock::now().look(), None);
    }
}
