//! Limits how many files are read at once for checksums and copies, so that this cannot take the
//! machine from the transfers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::vfs::error::{FsError, Heed};

/// The places for work on whole files. Each user has one place at a time.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The users who have a place.
    taken: Vec<Box<[u8]>>,
    /// Those who wait, each with a number, in the order in which they came.
    waiting: VecDeque<(u64, Box<[u8]>)>,
    next: u64,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(in crate::vfs) struct Place<'p> {
    places: &'p Places,
    owner: Box<[u8]>,
}

/// Somebody who waits, until this value is dropped.
struct Waiting<'p> {
    places: &'p Places,
    number: u64,
}

/// Time between two calls of `heed` by somebody who waits.
const HEEDED: Duration = Duration::from_millis(100);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits for a place, for `patience` at most, and calls `heed` meanwhile. A user who has a place
    /// lets others pass who came later.
    pub(super) fn take(
        &self,
        owner: &[u8],
        patience: Duration,
        heed: &mut Heed<'_>,
    ) -> Result<Place<'_>, FsError> {
        let until = Instant::now() + patience;
        let waiting = self.wait(owner);
        let mut state = self.state();
        while !state.is_turn_of(waiting.number, self.most) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                return Err(FsError::Crowded);
            }
            let waited = self.freed.wait_timeout(state, left.min(HEEDED));
            // `heed` may take time, so the lock is not held while it runs
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if !heed() {
                return Err(FsError::Interrupted);
            }
            state = self.state();
        }
        state.taken.push(owner.into());
        drop(state);
        Ok(Place { places: self, owner: owner.into() })
    }

    fn wait(&self, owner: &[u8]) -> Waiting<'_> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, owner.into()));
        Waiting { places: self, number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a place is free, and nobody came before who could take it.
    fn is_turn_of(&self, number: u64, most: usize) -> bool {
        let may = |owner: &[u8]| !self.taken.iter().any(|taken| **taken == *owner);
        let first = self.waiting.iter().find(|(_, owner)| may(owner));
        self.taken.len() < most && first.is_some_and(|(first, _)| *first == number)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.places.state().waiting.retain(|(number, _)| *number != self.number);
        self.places.freed.notify_all();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if let Some(at) = state.taken.iter().position(|taken| *taken == self.owner) {
            state.taken.swap_remove(at);
        }
        drop(state);
        self.places.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_take<'p>(places: &'p Places, owner: &[u8]) -> Option<Place<'p>> {
        match places.take(owner, Duration::ZERO, &mut || true) {
            Ok(place) => Some(place),
            Err(FsError::Crowded) => None,
            Err(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_user_has_one_place_and_all_users_together_have_few() {
        let places = Places::new(2);
        let bob = try_take(&places, b"bob").unwrap();
        assert!(try_take(&places, b"bob").is_none());
        let eve = try_take(&places, b"eve").unwrap();
        assert!(try_take(&places, b"ann").is_none());
        drop(bob);
        let ann = try_take(&places, b"ann").unwrap();
        assert!(try_take(&places, b"bob").is_none());
        drop((ann, eve));
        assert!(try_take(&places, b"bob").is_some());
        assert!(places.state().waiting.is_empty() && places.state().taken.is_empty());
    }

    #[test]
    fn who_waits_gets_the_place_unless_told_to_go() {
        let places = Places::new(1);
        let bob = try_take(&places, b"bob").unwrap();
        let gone = places.take(b"eve", Duration::from_secs(60), &mut || false);
        assert!(matches!(gone, Err(FsError::Interrupted)));
        std::thread::scope(|scope| {
            let eve = scope
                .spawn(|| places.take(b"eve", Duration::from_secs(60), &mut || true).is_ok());
            while places.state().waiting.is_empty() {
                std::thread::yield_now();
            }
            // eve came first
            assert!(try_take(&places, b"ann").is_none());
            drop(bob);
            assert!(eve.join().unwrap());
        });
    }
}
