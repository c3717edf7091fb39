//! The transfer rates of the last minutes, from the counters of each second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::control::{Counters, Traffic};

/// How often the counters are read.
const SECOND: Duration = Duration::from_secs(1);

/// Number of seconds that are remembered.
const MOST: usize = 300;

/// The transfer rates of the last minutes.
pub(super) struct Rates {
    at: Instant,
    next: Instant,
    /// The counters when they were last read: bytes to the server, and bytes to its clients.
    bytes: Option<(u64, u64)>,
    ring: VecDeque<(u64, u64)>,
}

impl Rates {
    pub(super) fn new(now: Instant) -> Self {
        Self { at: now, next: now, bytes: None, ring: VecDeque::with_capacity(MOST) }
    }

    /// When the counters must be read next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Returns whether nothing has been transferred since the counters were last read.
    pub(super) fn are_still(&self, counters: &Counters) -> bool {
        self.bytes == Some(totals(counters))
    }

    /// Reads the counters if a second has passed since the last time.
    pub(super) fn look(&mut self, counters: &Counters, now: Instant) {
        self.take(totals(counters), now);
    }

    fn take(&mut self, bytes: (u64, u64), now: Instant) {
        if now < self.next {
            return;
        }
        if let Some((up, down)) = self.bytes.replace(bytes) {
            let took = now.duration_since(self.at).max(Duration::from_millis(1));
            let rate = |more: u64| {
                let rate = u128::from(more) * 1000 / took.as_millis();
                u64::try_from(rate).unwrap_or(u64::MAX)
            };
            let fresh = (rate(bytes.0.saturating_sub(up)), rate(bytes.1.saturating_sub(down)));
            // seconds in which the counters were not read get the average
            let seconds = usize::try_from(took.as_millis() / 1000).unwrap_or(MOST);
            for _ in 0..seconds.clamp(1, MOST) {
                if self.ring.len() == MOST {
                    self.ring.pop_front();
                }
                self.ring.push_back(fresh);
            }
        }
        self.at = now;
        self.next = now + SECOND;
    }

    /// Returns the bytes per second to the server, the oldest first.
    pub(super) fn incoming(&self) -> Vec<u64> {
        self.ring.iter().map(|(up, _)| *up).collect()
    }

    /// Returns the bytes per second to the clients, the oldest first.
    pub(super) fn outgoing(&self) -> Vec<u64> {
        self.ring.iter().map(|(_, down)| *down).collect()
    }
}

/// Returns the number of bytes to the server, and that of bytes to its clients.
fn totals(counters: &Counters) -> (u64, u64) {
    let of = |way| counters.bytes.get(way);
    (of(Traffic::Upload), of(Traffic::Download) + of(Traffic::Listing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_has_moved_in_the_time_it_took() {
        let begin = Instant::now();
        let mut rates = Rates::new(begin);
        let after = |milliseconds| begin + Duration::from_millis(milliseconds);
        rates.take((1000, 0), begin);
        rates.take((5000, 0), after(900));
        rates.take((3000, 500), after(1000));
        rates.take((4000, 500), after(3000));
        assert_eq!(rates.incoming(), [2000, 500, 500]);
        assert_eq!(rates.outgoing(), [500, 0, 0]);
        rates.take((4000, 500), after(900_000));
        assert_eq!(rates.incoming(), [0; MOST]);
    }
}
