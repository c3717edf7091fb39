//! The rate limit of a transfer. It is given byte counts and times, and returns how long to
//! sleep.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::speed::Speed;

/// The rate limits of one transfer, all of which hold: one of its own, and those that it shares with
/// others.
#[derive(Debug)]
pub struct Throttle {
    speed: Option<Arc<Speed>>,
    /// When the bytes so far would have been moved at exactly the rate of its own limit.
    due: Option<Instant>,
    /// Its accounts in the limits that it shares.
    accounts: [Option<u64>; 2],
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
    pub fn new(speed: Arc<Speed>) -> Self {
        speed.begin();
        Self { speed: Some(speed), due: None, accounts: [None; 2] }
    }

    /// Creates a throttle that never limits.
    pub const fn none() -> Self {
        Self { speed: None, due: None, accounts: [None; 2] }
    }

    /// Returns the lowest of the rates at which the transfer may move bytes now.
    fn limit(&self) -> Option<NonZeroU64> {
        let speed = self.speed.as_ref().filter(|speed| !speed.is_off())?;
        let shared = speed.shared().into_iter().zip(self.accounts);
        let shared = shared.filter_map(|(shared, account)| shared.part(account));
        shared.chain(speed.own.limit()).min()
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
        let Some(speed) = &self.speed else { return Duration::ZERO };
        if speed.is_off() && self.accounts == [None; 2] {
            self.due = None;
            return Duration::ZERO;
        }
        self.due = speed.own.limit().map(|rate| {
            let earliest = now.checked_sub(SLACK).unwrap_or(now);
            let start = self.due.map_or(now, |due| due.max(earliest));
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
            start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        });
        for (shared, account) in speed.shared().into_iter().zip(&mut self.accounts) {
            shared.spend(account, bytes, now);
        }
        self.left(now)
    }

    /// Returns how long to sleep after a sleep that has just ended: not at all if the bytes so far
    /// are paid for.
    pub fn left(&self, now: Instant) -> Duration {
        let Some(speed) = &self.speed else { return Duration::ZERO };
        let shared = speed.shared().into_iter().zip(self.accounts);
        let shared = shared.map(|(shared, account)| shared.left(account, now));
        shared.chain([self.own_left(now)]).max().unwrap_or_default().min(NAP)
    }

    fn own_left(&self, now: Instant) -> Duration {
        let is_on = self.speed.as_ref().is_some_and(|speed| speed.own.limit().is_some());
        let due = self.due.filter(|_| is_on);
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        if let Some(speed) = &self.speed {
            speed.end(&mut self.accounts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::speed::SharedRate;

    fn speed(rate: u64) -> Arc<Speed> {
        let speed = Arc::new(Speed::new(&Arc::new(SharedRate::new())));
        speed.set(NonZeroU64::new(rate), None, Instant::now());
        speed
    }

    /// Returns the whole time to sleep after these bytes, were it not for the limit of each sleep.
    fn due(throttle: &Throttle, now: Instant) -> Duration {
        throttle.own_left(now)
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
            let mut throttle = Throttle::new(speed(rate));
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
        let mut throttle = Throttle::new(speed(1000));
        let begin = Instant::now();
        throttle.spend(1000, begin);
        let late = begin + Duration::from_secs(60);
        assert_eq!(throttle.spend(1000, late), NAP);
        assert_eq!(due(&throttle, late), Duration::from_millis(800));
    }

    #[test]
    fn a_rate_that_changes_holds_at_once() {
        let speed = speed(1000);
        let mut throttle = Throttle::new(Arc::clone(&speed));
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
