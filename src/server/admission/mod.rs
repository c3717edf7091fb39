//! Who is let in: `max_cons` in all and `max_per_ip` from one place, with guards that give
//! back on drop.

pub(super) mod ban;
pub(super) mod place;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::control::Away;
use place::Place;

/// Counts the clients.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_place: HashMap<Place, usize>,
    /// Pauses that were cut short to make room, and when each would have ended: until then it
    /// counts for `max_per_ip`.
    debts: Vec<(Place, Instant)>,
}

/// A client's place, given back on drop.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Arc<Admission>,
    place: Place,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Server,
    Address,
}

/// Maximum number of pauses that may be cut short at a time.
const DEBTS: usize = 10_000;

impl Full {
    /// What it is counted as.
    pub(super) fn away(self) -> Away {
        match self {
            Self::Server => Away::Server,
            Self::Address => Away::Address,
        }
    }

    /// For the log.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Server => "max_cons clients are connected",
            Self::Address => "max_per_ip clients are connected from there",
        }
    }
}

impl Admission {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inside: Mutex::default() }
    }

    /// Maximum number of clients inside.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Takes a place for a client; `most_per_place` is `max_per_ip`.
    pub(super) fn admit(
        self: &Arc<Self>,
        place: Place,
        most_per_place: Option<usize>,
        now: Instant,
    ) -> Result<Ticket, Full> {
        let mut inside = self.inside();
        inside.check(place, most_per_place, now)?;
        if inside.all >= self.most {
            return Err(Full::Server);
        }
        inside.all += 1;
        *inside.by_place.entry(place).or_default() += 1;
        Ok(Ticket { admission: Arc::clone(self), place })
    }

    /// Whether a client from there may not have another pause cut short: one was for a client
    /// from there, or for too many others.
    pub(super) fn owes(&self, place: Place, now: Instant) -> bool {
        let mut inside = self.inside();
        inside.forgive(now);
        inside.debts.len() >= DEBTS || inside.owed(place) > 0
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Whether one more client from there is within `max_per_ip`.
    fn check(
        &mut self,
        place: Place,
        most_per_place: Option<usize>,
        now: Instant,
    ) -> Result<(), Full> {
        self.forgive(now);
        let count = self.by_place.get(&place).copied().unwrap_or_default() + self.owed(place);
        if most_per_place.is_some_and(|most| count >= most) {
            Err(Full::Address)
        } else {
            Ok(())
        }
    }

    fn owed(&self, place: Place) -> usize {
        self.debts.iter().filter(|(debtor, _)| *debtor == place).count()
    }

    fn forgive(&mut self, now: Instant) {
        self.debts.retain(|(_, until)| *until > now);
    }

    fn leave(&mut self, place: Place) {
        if let Some(count) = self.by_place.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.by_place.remove(&place);
            }
        }
    }
}

impl Ticket {
    /// Hands a stranger's place to a client that comes from `to`. If the stranger was serving a
    /// pause, `rests` is when that would have ended.
    pub(super) fn pass_on(
        mut self,
        to: Place,
        most_per_place: Option<usize>,
        rests: Option<Instant>,
        now: Instant,
    ) -> Result<Self, Full> {
        let admission = Arc::clone(&self.admission);
        let mut inside = admission.inside();
        let from = self.place;
        inside.debts.extend(rests.map(|until| (from, until)));
        let checked = inside.check(to, most_per_place, now);
        if checked.is_ok() {
            inside.leave(from);
            *inside.by_place.entry(to).or_default() += 1;
            self.place = to;
        }
        // dropped with the ticket, which would wait for it
        drop(inside);
        checked.map(|()| self)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inside = self.admission.inside();
        inside.all -= 1;
        inside.leave(self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    fn place(address: &str) -> Place {
        Place::of(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_place_is_free_again_when_its_ticket_is_dropped() {
        let (admission, now) = (Arc::new(Admission::new(2)), Instant::now());
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(place);
        let first = admission.admit(a, Some(1), now).unwrap();
        assert_eq!(admission.admit(a, Some(1), now).unwrap_err(), Full::Address);
        let _second = admission.admit(b, Some(1), now).unwrap();
        assert_eq!(admission.admit(c, Some(1), now).unwrap_err(), Full::Server);
        assert_eq!(admission.admit(a, Some(1), now).unwrap_err(), Full::Address);
        drop(first);
        let _third = admission.admit(c, Some(1), now).unwrap();
        assert_eq!(admission.inside().by_place.len(), 2);
    }

    #[test]
    fn an_ipv6_client_counts_with_its_64() {
        let (admission, now) = (Arc::new(Admission::new(10)), Instant::now());
        let admit = |address| admission.admit(place(address), Some(2), now);
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
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(place);
        let later = now + Duration::from_secs(2);
        let first = admission.admit(a, Some(1), now).unwrap();
        let second = first.pass_on(b, Some(1), Some(later), now).unwrap();
        assert_eq!(admission.admit(b, None, now).unwrap_err(), Full::Server);
        // its pause is not over
        assert_eq!(admission.admit(a, Some(1), now).unwrap_err(), Full::Address);
        assert!(admission.owes(a, now) && !admission.owes(b, now));
        assert!(!admission.owes(a, later));
        assert_eq!(second.pass_on(a, Some(0), None, later).unwrap_err(), Full::Address);
        assert!(admission.inside().by_place.is_empty());
        let _third = admission.admit(a, Some(1), later).unwrap();
    }
}
