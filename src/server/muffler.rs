//! Limits the log lines about strangers (clients without a login): some are written, the others
//! are counted, and the count is logged later.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::admission::origin::Origin;

/// Decides which log lines may be written.
#[derive(Debug, Default)]
pub(super) struct Muffler(Mutex<Tallies>);

#[derive(Debug, Default)]
struct Tallies {
    /// Lines about clients that were turned away.
    door: Window,
    origins: HashMap<Origin, [Window; 2]>,
    /// Lines about all origins together.
    all: [Window; 2],
    /// Number of lines left out about origins that are not in the table.
    elsewhere: u64,
    /// When old entries were last removed from the table.
    thinned: Option<Instant>,
}

/// The subject of a log line. Each subject has limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// A login that failed.
    Login,
    /// Any other subject.
    Other,
}

/// The lines within one window of time.
#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

/// Maximum number of lines in a window, and its length.
#[derive(Clone, Copy)]
struct Measure(u32, Duration);

const DOOR: Measure = Measure(5, Duration::from_secs(1));
const PLACE: Measure = Measure(100, Duration::from_secs(10));
const ALL: Measure = Measure(2000, Duration::from_secs(10));

/// Maximum number of origins in the table.
const MOST: usize = 4096;

/// Maximum number of origins that [`Muffler::untold`] names.
const TOLD: usize = 20;

impl Window {
    fn is_over(&self, Measure(_, length): Measure, now: Instant) -> bool {
        self.since.is_none_or(|since| now.saturating_duration_since(since) >= length)
    }

    fn lets_through(&mut self, measure: Measure, now: Instant) -> bool {
        if self.is_over(measure, now) {
            (self.since, self.said) = (Some(now), 0);
        }
        let lets = self.said < measure.0;
        self.said += u32::from(lets);
        lets
    }
}

impl Muffler {
    /// Decides whether the log may have a line about a client that is turned away. If so,
    /// returns how many of these lines were left out since the last one; if not, `None`.
    pub(super) fn at_door(&self, now: Instant) -> Option<u64> {
        let door = &mut self.tallies().door;
        if door.lets_through(DOOR, now) {
            return Some(std::mem::take(&mut door.unsaid));
        }
        door.unsaid += 1;
        None
    }

    /// Decides whether the log may have a line about a stranger. If so, returns how many of
    /// these lines were left out since the last one; if not, `None`.
    pub(super) fn speak(&self, origin: Origin, about: About, now: Instant) -> Option<u64> {
        let at = usize::from(about == About::Other);
        let mut tallies = self.tallies();
        tallies.make_room(origin, now);
        let Tallies { origins, all, elsewhere, .. } = &mut *tallies;
        let mut nowhere = Window::default();
        let has_room = origins.len() < MOST || origins.contains_key(&origin);
        let window = has_room.then(|| origins.entry(origin).or_default().get_mut(at)).flatten();
        let is_known = window.is_some();
        let window = window.unwrap_or(&mut nowhere);
        let lets = window.lets_through(PLACE, now)
            && all.get_mut(at).is_some_and(|all| all.lets_through(ALL, now));
        if lets {
            return Some(std::mem::take(&mut window.unsaid));
        }
        *if is_known { &mut window.unsaid } else { elsewhere } += 1;
        None
    }

    /// Returns how many lines were left out, and resets these numbers. Counts the windows that
    /// are over or, with `all`, every window. The first number is about clients that were
    /// turned away, the list is about the origins with the most lines, and the last number is
    /// about all other origins.
    pub(super) fn untold(&self, all: bool, now: Instant) -> (u64, Vec<(Origin, u64)>, u64) {
        let mut tallies = self.tallies();
        let is_due = |window: &Window, measure| all || window.is_over(measure, now);
        let due = is_due(&tallies.door, DOOR);
        let door = if due { std::mem::take(&mut tallies.door.unsaid) } else { 0 };
        let mut counts = Vec::new();
        for (origin, windows) in &mut tallies.origins {
            let due = windows.iter_mut().filter(|window| is_due(window, PLACE));
            let count: u64 = due.map(|window| std::mem::take(&mut window.unsaid)).sum();
            if count > 0 {
                counts.push((*origin, count));
            }
        }
        tallies.origins.retain(|_, windows| !is_idle(windows, now));
        counts.sort_unstable_by_key(|(origin, count)| (Reverse(*count), *origin));
        let others = counts.split_off(counts.len().min(TOLD));
        let others: u64 = others.into_iter().map(|(_, count)| count).sum();
        (door, counts, others + std::mem::take(&mut tallies.elsewhere))
    }

    /// Returns whether there is nothing to report, and nothing to forget.
    pub(super) fn is_empty(&self) -> bool {
        let tallies = self.tallies();
        tallies.origins.is_empty() && tallies.door.unsaid == 0 && tallies.elsewhere == 0
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tallies {
    /// Forgets origins whose windows are over, if the table is full.
    fn make_room(&mut self, origin: Origin, now: Instant) {
        let Measure(_, pause) = DOOR;
        let is_soon = self.thinned.is_some_and(|at| now.saturating_duration_since(at) < pause);
        if self.origins.len() < MOST || self.origins.contains_key(&origin) || is_soon {
            return;
        }
        self.thinned = Some(now);
        let elsewhere = &mut self.elsewhere;
        self.origins.retain(|_, windows| {
            let is_over = windows.iter().all(|window| window.is_over(PLACE, now));
            if is_over {
                *elsewhere += windows.iter().map(|window| window.unsaid).sum::<u64>();
            }
            !is_over
        });
    }
}

fn is_idle(windows: &[Window], now: Instant) -> bool {
    windows.iter().all(|window| window.is_over(PLACE, now) && window.unsaid == 0)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn numbered(number: u32) -> Origin {
        let v6 = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number) << 64 | 7);
        Origin::of(IpAddr::from(v6))
    }

    #[test]
    fn a_flood_at_the_door_is_counted_and_told_in_the_next_second() {
        let muffler = Muffler::default();
        let now = Instant::now();
        let said = (0..1000).filter(|_| muffler.at_door(now) == Some(0)).count();
        assert_eq!(said, 5);
        assert_eq!(muffler.at_door(now + SECOND), Some(995));
        assert_eq!(muffler.at_door(now + SECOND), Some(0));
    }

    #[test]
    fn a_stranger_is_muffled_and_no_other_and_logins_are_heard_apart() {
        let muffler = Muffler::default();
        let now = Instant::now();
        let [one, other] = [1, 2].map(numbered);
        let speak = |origin, about, now| muffler.speak(origin, about, now);
        assert_eq!((0..1000).filter_map(|_| speak(one, About::Other, now)).count(), 100);
        assert_eq!(speak(other, About::Other, now), Some(0));
        assert_eq!((0..150).filter_map(|_| speak(one, About::Login, now)).count(), 100);
        assert_eq!(muffler.untold(false, now), (0, vec![], 0), "they may tell it themselves");
        let later = now + 10 * SECOND;
        assert_eq!(speak(one, About::Other, later), Some(900));
        assert_eq!(muffler.untold(false, later), (0, vec![(one, 50)], 0));
        assert_eq!(muffler.untold(true, later), (0, vec![], 0));
        assert_eq!(muffler.untold(true, later + 10 * SECOND), (0, vec![], 0));
        assert!(muffler.tallies().origins.is_empty());
    }

    #[test]
    fn strangers_from_everywhere_are_muffled_together_within_bounded_memory() {
        let muffler = Muffler::default();
        let now = Instant::now();
        let said = (0..10_000_u32)
            .filter(|number| muffler.speak(numbered(*number), About::Other, now).is_some())
            .count();
        assert_eq!((said, muffler.tallies().origins.len()), (2000, MOST));
        let (_, named, others) = muffler.untold(true, now);
        assert_eq!((named.len(), others), (TOLD, 8000 - TOLD as u64));
        let later = now + 10 * SECOND;
        assert_eq!(muffler.speak(numbered(20_000), About::Other, later), Some(0));
        assert_eq!(muffler.tallies().origins.len(), 1);
    }
}
