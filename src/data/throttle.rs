//! The rate limit of a transfer. It is given byte counts and times, and returns how long to
//! sleep.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::speed::{Part, Rate, Speed};

/// The rate limits of one transfer, all of which hold: one of its own, and those that it shares with
/// others.
#[derive(Debug)]
pub struct Throttle {
    own: Option<Own>,
    parts: Option<[Part; 2]>,
}

/// The limit that the transfer does not share.
#[derive(Debug)]
struct Own {
    rate: Arc<Rate>,
    /// When the bytes so far would have been moved at exactly the allowed rate.
    due: Option<Instant>,
}

/// Maximum time by which a transfer may be late and still catch up. It covers sleeps that last
/// too long, and is too short for a noticeable burst.
const SLACK: Duration = Duration::from_millis(200);

/// Number of pieces per second in which data is moved: enough for a smooth flow and for a
/// prompt answer to ABOR.
const PIECES: u64 = 20;

/// Maximum time to sleep at once. After it, the limits may be others.
const NAP: Duration = Duration::from_millis(100);

impl Throttle {
    /// Creates the throttle of a transfer that begins. The limits may change while it runs.
    pub fn new(speed: &Speed) -> Self {
        let own = Own { rate: speed.own(), due: None };
        Self { own: Some(own), parts: Some(speed.begin()) }
    }

    /// Creates a throttle that never limits.
    pub const fn none() -> Self {
        Self { own: None, parts: None }
    }

    /// Returns the lowest of the rates at which the transfer may move bytes now.
    fn limit(&self) -> Option<NonZeroU64> {
        let own = self.own.as_ref().and_then(|own| own.rate.limit());
        let shared = self.parts.iter().flatten().filter_map(Part::rate).min();
        own.into_iter().chain(shared).min()
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
        if let Some(own) = &mut self.own {
            own.spend(bytes, now);
        }
        for part in self.parts.iter_mut().flatten() {
            part.spend(bytes, now);
        }
        self.left(now)
    }

    /// Returns how long to sleep after a sleep that has just ended: not at all if the bytes so far
    /// are paid for.
    pub fn left(&self, now: Instant) -> Duration {
        let own = self.own.as_ref().map(|own| own.left(now));
        let shared = self.parts.iter().flatten().map(|part| part.left(now));
        own.into_iter().chain(shared).max().unwrap_or_default().min(NAP)
    }
}

impl Own {
    fn spend(&mut self, bytes: u64, now: Instant) {
        let Some(rate) = self.rate.limit() else {
            self.due = None;
            return;
        };
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let start = self.due.map_or(now, |due| due.max(earliest));
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        self.due = Some(start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
    }

    fn left(&self, now: Instant) -> Duration {
        let due = self.due.filter(|_| self.rate.limit().is_some());
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::speed::SharedRate;

    fn speed(rate: u64) -> Speed {
        let speed = Speed::new(&Arc::new(SharedRate::new()));
        speed.set(NonZeroU64::new(rate), None, Instant::now());
        speed
    }

    /// Returns the whole time to sleep after these bytes, were it not for the limit of each sleep.
    fn due(throttle: &Throttle, now: Instant) -> Duration {
        throttle.own.as_ref().unwrap().left(now)
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
            let mut throttle = Throttle::new(&speed(rate));
            let begin = Instant::now();
            let (mut now, mut sent) = (begin, 0);
            while sent < rate * 5 {
                let chunk = throttle.chunk(usize::MAX) as u64;
                sent += chunk;
                let mut sleep = throttle.spend(chunk, now);
                while !sleep.is_zero() {
                    assert!(sleep <= NAP);
                    now += sleep + Duration::from_millis(3);
                    sleep = throttle.left(now);
                }
            }
            let took = now.duration_since(begin).as_secs_f64();
            let ideal = Duration::from_micros(sent * 1_000_000 / rate).as_secs_f64();
            assert!((took / ideal - 1.0).abs() < 0.005, "{rate}: {took} for {ideal}");
        }
    }

    #[test]
    fn a_pause_of_the_client_is_not_made_up_for() {
        let mut throttle = Throttle::new(&speed(1000));
        let begin = Instant::now();
        throttle.spend(1000, begin);
        let late = begin + Duration::from_secs(60);
        assert_eq!(throttle.spend(1000, late), NAP);
        assert_eq!(due(&throttle, late), Duration::from_millis(800));
    }

    #[test]
    fn a_rate_that_changes_holds_at_once() {
        let speed = speed(1000);
        let mut throttle = Throttle::new(&speed);
        let begin = Instant::now();
        assert_eq!(throttle.spend(1000, begin), NAP);
        assert_eq!(due(&throttle, begin), Duration::from_secs(1));
        let later = begin + Duration::from_secs(1);
        speed.set(None, None, later);
        assert!(throttle.is_off());
        assert_eq!(throttle.spend(1 << 40, later), Duration::ZERO);
        speed.set(NonZeroU64::new(500), None, later);
        throttle.spend(1000, later);
        assert_eq!(due(&throttle, later), Duration::from_secs(2));
    }
}
