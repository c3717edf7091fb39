//! The rate limit of a transfer. It is given byte counts and times, and returns how long to
//! sleep.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Rate;

/// The rate limit of one transfer.
#[derive(Debug)]
pub struct Throttle {
    rate: Option<Arc<Rate>>,
    /// When the bytes so far would have been moved at exactly the allowed rate.
    due: Option<Instant>,
}

/// Maximum time by which a transfer may be late and still catch up. It covers sleeps that last
/// too long, and is too short for a noticeable burst.
const SLACK: Duration = Duration::from_millis(200);

/// Number of pieces per second in which data is moved: enough for a smooth flow and for a
/// prompt answer to ABOR.
const PIECES: u64 = 20;

impl Throttle {
    /// Creates a limit of `rate`, which may change while the transfer runs.
    pub fn new(rate: Arc<Rate>) -> Self {
        Self { rate: Some(rate), due: None }
    }

    /// Creates a throttle that never limits.
    pub const fn none() -> Self {
        Self { rate: None, due: None }
    }

    fn limit(&self) -> Option<NonZeroU64> {
        self.rate.as_ref().and_then(|rate| rate.limit())
    }

    /// Returns whether there is no limit now.
    pub fn is_off(&self) -> bool {
        self.limit().is_none()
    }

    /// Returns the maximum number of bytes to move at once.
    pub fn chunk(&self, most: usize) -> usize {
        let piece = |rate: NonZeroU64| usize::try_from((rate.get() / PIECES).max(1));
        self.limit().and_then(|rate| piece(rate).ok()).map_or(most, |piece| piece.min(most))
    }

    /// Counts bytes that were moved, and returns how long to sleep now.
    pub fn spend(&mut self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.limit() else {
            self.due = None;
            return Duration::ZERO;
        };
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let start = self.due.map_or(now, |due| due.max(earliest));
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let due = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = Some(due);
        due.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rate: u64) -> Throttle {
        Throttle::new(Arc::new(Rate::new(NonZeroU64::new(rate))))
    }

    #[test]
    fn without_a_rate_there_is_no_sleep() {
        let mut throttle = Throttle::none();
        assert_eq!(throttle.spend(u64::MAX, Instant::now()), Duration::ZERO);
        assert_eq!(throttle.chunk(4096), 4096);
    }

    #[test]
    fn bytes_take_as_long_as_the_rate_says_even_if_each_sleep_is_too_long() {
        for rate in [1_u64, 1000, 300 << 10, 10 << 20, 1 << 30] {
            let mut throttle = at(rate);
            let begin = Instant::now();
            let (mut now, mut sent) = (begin, 0);
            while sent < rate * 5 {
                let chunk = throttle.chunk(usize::MAX) as u64;
                sent += chunk;
                let sleep = throttle.spend(chunk, now);
                if !sleep.is_zero() {
                    now += sleep + Duration::from_millis(3);
                }
            }
            let took = now.duration_since(begin).as_secs_f64();
            let ideal = Duration::from_micros(sent * 1_000_000 / rate).as_secs_f64();
            assert!((took / ideal - 1.0).abs() < 0.005, "{rate}: {took} for {ideal}");
        }
    }

    #[test]
    fn a_pause_of_the_client_is_not_made_up_for() {
        let mut throttle = at(1000);
        let begin = Instant::now();
        throttle.spend(1000, begin);
        let late = begin + Duration::from_secs(60);
        assert_eq!(throttle.spend(1000, late), Duration::from_millis(800));
    }

    #[test]
    fn a_rate_that_changes_holds_at_once() {
        let rate = Arc::new(Rate::new(NonZeroU64::new(1000)));
        let mut throttle = Throttle::new(Arc::clone(&rate));
        let begin = Instant::now();
        assert_eq!(throttle.spend(1000, begin), Duration::from_secs(1));
        let later = begin + Duration::from_secs(1);
        rate.set(None);
        assert!(throttle.is_off());
        assert_eq!(throttle.spend(1 << 40, later), Duration::ZERO);
        rate.set(NonZeroU64::new(500));
        assert_eq!(throttle.spend(1000, later), Duration::from_secs(2));
    }
}
