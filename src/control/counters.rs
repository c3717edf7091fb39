//! The counters of the running server. Counting is one atomic addition and blocks nothing, so
//! a reader may see one counter updated before another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::kinds::{Away, Countable, LoginResult, Outcome, Reason, Traffic};
use super::offence::Offence;
use super::since::Since;
use crate::data::DataError;

/// One counter for each variant of an enum.
#[derive(Debug)]
pub struct Tally<K>(Vec<AtomicU64>, std::marker::PhantomData<K>);

impl<K: Countable> Default for Tally<K> {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        Self(K::ALL.iter().map(zero).collect(), std::marker::PhantomData)
    }
}

impl<K: Countable> Tally<K> {
    /// Adds one to the counter of a kind.
    pub fn count(&self, kind: K) {
        self.add(kind, 1);
    }

    fn add(&self, kind: K, more: u64) {
        if let Some(number) = self.of(kind) {
            number.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Returns the count of one kind.
    pub fn get(&self, kind: K) -> u64 {
        self.of(kind).map_or(0, |number| number.load(Ordering::Relaxed))
    }

    fn of(&self, kind: K) -> Option<&AtomicU64> {
        let at = K::ALL.iter().position(|other| *other == kind)?;
        self.0.get(at)
    }
}

/// Upper bounds of the buckets for durations of transfers, in milliseconds. One more bucket
/// holds all longer ones.
pub const BOUNDS: [u64; 6] = [10, 100, 1000, 10_000, 60_000, 600_000];

/// The durations of transfers, in buckets.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Durations {
    fn record(&self, took: Duration) {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|bound| milliseconds <= *bound);
        if let Some(count) = self.counts.get(at.unwrap_or(BOUNDS.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Returns the count of each bucket; the last one counts durations beyond all bounds.
    pub fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Returns the sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }
}

/// All counters of the server.
#[derive(Debug, Default)]
pub struct Counters {
    /// When counting began.
    pub since: Since,
    /// Number of sessions that have begun.
    pub sessions: AtomicU64,
    /// Number of sessions that have started TLS.
    pub tls: AtomicU64,
    /// Clients that were turned away, by reason.
    pub away: Tally<Away>,
    /// Logins, by result.
    pub logins: Tally<LoginResult>,
    /// Refused commands, by reason. Failed logins are not among them.
    pub refused: Tally<Reason>,
    /// Offences of clients, by kind.
    pub offences: Tally<Offence>,
    /// Number of transfers that are running.
    pub running: AtomicU64,
    /// Bytes moved over data connections, including those of running transfers.
    pub bytes: Tally<Traffic>,
    /// Results of finished transfers, by what they moved.
    pub outcomes: [Tally<Outcome>; 3],
    /// Durations of finished transfers, by what they moved.
    pub durations: [Durations; 3],
}

impl Counters {
    /// Counts a transfer as running until the result is dropped.
    pub(super) fn begin_transfer(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        Running(&self.running)
    }

    /// Counts a transfer that has ended; `why` is its failure, if it failed.
    pub(super) fn transferred(
        &self,
        traffic: Traffic,
        took: Duration,
        why: Option<&DataError>,
    ) {
        let at = Traffic::ALL.iter().position(|other| *other == traffic).unwrap_or_default();
        if let (Some(outcomes), Some(durations)) =
            (self.outcomes.get(at), self.durations.get(at))
        {
            outcomes.count(Outcome::from(why));
            durations.record(took);
        }
    }

    pub(super) fn refused(&self, why: Option<Reason>) {
        if let Some(reason) = why {
            self.refused.count(reason);
        }
    }
}

/// Counts the bytes of one transfer while they move.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    counters: &'a Counters,
    traffic: Traffic,
    counted: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(counters: &'a Counters, traffic: Traffic) -> Self {
        Self { counters, traffic, counted: 0 }
    }

    /// Records how many bytes the transfer has moved in total, and counts the new ones.
    pub(super) fn moved(&mut self, bytes: u64) {
        let more = bytes.saturating_sub(self.counted);
        if more > 0 {
            self.counters.bytes.add(self.traffic, more);
            self.counted = bytes;
        }
    }
}

/// A transfer that is running, until it is dropped.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a AtomicU64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_holds_it() {
        let durations = Durations::default();
        for milliseconds in [0, 10, 11, 999, 60_001, 700_000, u64::MAX / 4000] {
            durations.record(Duration::from_millis(milliseconds));
        }
        assert_eq!(durations.counts(), [2, 1, 1, 0, 0, 1, 2]);
    }

    #[test]
    fn bytes_are_counted_once() {
        let counters = Counters::default();
        let mut meter = Meter::new(&counters, Traffic::Upload);
        for bytes in [0, 100, 100, 250] {
            meter.moved(bytes);
        }
        assert_eq!(counters.bytes.get(Traffic::Upload), 250);
        assert_eq!(counters.bytes.get(Traffic::Download), 0);
    }
}
