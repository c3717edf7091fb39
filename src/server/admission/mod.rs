//! Limits the number of clients: `max_cons` in total and `max_per_ip` from one origin. A client
//! holds a ticket, which frees its place when it is dropped.

pub(super) mod ban;
pub(super) mod bans;
pub(super) mod origin;
mod suspect;
mod tables;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::control::Away;
use origin::Origin;

/// The number of clients, in total and from each origin.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_origin: HashMap<Origin, usize>,
    /// Pauses after a wrong password that were cut short to make room: the origin of the
    /// client, and when the pause would have ended. Until then the pause counts as a client for
    /// `max_per_ip`.
    debts: Vec<(Origin, Instant)>,
}

/// The place of a client. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Arc<Admission>,
    origin: Origin,
}

/// Why a client gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Server,
    Address,
}

/// Maximum number of pauses in `Counts::debts`. If it is reached, no more pauses are cut short.
const DEBTS: usize = 10_000;

impl Full {
    /// Returns the reason as the metrics count it.
    pub(super) fn away(self) -> Away {
        match self {
            Self::Server => Away::Server,
            Self::Address => Away::Address,
        }
    }

    /// Returns the reason as the log words it.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Server => "max_cons clients are connected",
            Self::Address => "max_per_ip clients are connected from this address",
        }
    }
}

impl Admission {
    pub(super) fn new(most: usize) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Returns the maximum number of clients (`max_cons`).
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Takes a place for a client; `most_per_origin` is `max_per_ip`.
    pub(super) fn admit(
        self: &Arc<Self>,
        origin: Origin,
        most_per_origin: Option<usize>,
        now: Instant,
    ) -> Result<Ticket, Full> {
        let mut counts = self.counts();
        counts.check(origin, most_per_origin, now)?;
        if counts.all >= self.most {
            return Err(Full::Server);
        }
        counts.all += 1;
        *counts.by_origin.entry(origin).or_default() += 1;
        Ok(Ticket { admission: Arc::clone(self), origin })
    }

    /// Returns whether a client of this origin must not replace a client that is in a pause: a
    /// pause of this origin was cut short before and is not over yet, or the limit on the
    /// number of these pauses is reached.
    pub(super) fn owes(&self, origin: Origin, now: Instant) -> bool {
        let mut counts = self.counts();
        counts.forgive(now);
        counts.debts.len() >= DEBTS || counts.owed(origin) > 0
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Makes sure that one more client of this origin is within `max_per_ip`.
    fn check(
        &mut self,
        origin: Origin,
        most_per_origin: Option<usize>,
        now: Instant,
    ) -> Result<(), Full> {
        self.forgive(now);
        let count =
            self.by_origin.get(&origin).copied().unwrap_or_default() + self.owed(origin);
        if most_per_origin.is_some_and(|most| count >= most) {
            Err(Full::Address)
        } else {
            Ok(())
        }
    }

    fn owed(&self, origin: Origin) -> usize {
        self.debts.iter().filter(|(debtor, _)| *debtor == origin).count()
    }

    fn forgive(&mut self, now: Instant) {
        self.debts.retain(|(_, until)| *until > now);
    }

    fn leave(&mut self, origin: Origin) {
        if let Some(count) = self.by_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.by_origin.remove(&origin);
            }
        }
    }
}

impl Ticket {
    /// Passes the place of a client without a login on to a client of the origin `to`. If the
    /// first client was in a pause, `rests` is when that pause would have ended.
    pub(super) fn pass_on(
        mut self,
        to: Origin,
        most_per_origin: Option<usize>,
        rests: Option<Instant>,
        now: Instant,
    ) -> Result<Self, Full> {
        let admission = Arc::clone(&self.admission);
        let mut counts = admission.counts();
        let from = self.origin;
        counts.debts.extend(rests.map(|until| (from, until)));
        let checked = counts.check(to, most_per_origin, now);
        if checked.is_ok() {
            counts.leave(from);
            *counts.by_origin.entry(to).or_default() += 1;
            self.origin = to;
        }
        // released before the ticket is dropped, which takes the lock
        drop(counts);
        checked.map(|()| self)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.all -= 1;
        counts.leave(self.origin);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    fn origin(address: &str) -> Origin {
        Origin::of(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_place_is_free_again_when_its_ticket_is_dropped() {
        let (admission, now) = (Arc::new(Admission::new(2)), Instant::now());
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(origin);
        let first = admission.admit(a, Some(1), now).unwrap();
        assert_eq!(admission.admit(a, Some(1), now).unwrap_err(), Full::Address);
        let _second = admission.admit(b, Some(1), now).unwrap();
        assert_eq!(admission.admit(c, Some(1), now).unwrap_err(), Full::Server);
        assert_eq!(admission.admit(a, Some(1), now).unwrap_err(), Full::Address);
        drop(first);
        let _third = admission.admit(c, Some(1), now).unwrap();
        assert_eq!(admission.counts().by_origin.len(), 2);
    }

    #[test]
    fn an_ipv6_client_counts_with_its_64() {
        let (admission, now) = (Arc::new(Admission::new(10)), Instant::now());
        let admit = |address| admission.admit(origin(address), Some(2), now);
        let held = [admit("2001:db8::1").unwrap(), admit("2001:db8::f:2").unwrap()];
        assert_eq!(admit("2001:db8::3").unwrap_err(), Full::Address);
        let _other = admit("2001:db8:0:1::1").unwrap();
        drop(held);
        admit("2001:db8::3").unwrap();
        // an IPv4 client is no /64, however it is written
        let _first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Full::Address);
        let _third = admit("::ffff:192.0.2.2").unwrap();
    }

    #[test]
    fn a_place_that_is_passed_on_is_neither_lost_nor_doubled() {
        let (admission, now) = (Arc::new(Admission::new(1)), Instant::now());
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(origin);
        let later = now + Duration::from_secs(2);
        let first = admission.admit(a, Some(1), now).unwrap();
        let second = first.pass_on(b, Some(1), Some(later), now).unwrap();
        assert_eq!(admission.admit(b, None, now).unwrap_err(), Full::Server);
        // its pause is not over
        assert_eq!(admission.admit(a, Some(1), now).unwrap_err(), Full::Address);
        assert!(admission.owes(a, now) && !admission.owes(b, now));
        assert!(!admission.owes(a, later));
        assert_eq!(second.pass_on(a, Some(0), None, later).unwrap_err(), Full::Address);
        assert!(admission.counts().by_origin.is_empty());
        let _third = admission.admit(a, Some(1), later).unwrap();
    }
}
