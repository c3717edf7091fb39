//! Bounds the number of uploads that are judged at once. Others wait for their turn. Users who have
//! the fewest uploads judged come first, and among these the one whose last turn is the longest ago, so
//! that the many uploads of one user do not keep others waiting.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The uploads that are judged, and those that wait. A session has one at most, so that the number of
/// sessions bounds them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of uploads that are judged, by user.
    running: HashMap<String, usize>,
    /// The waiting uploads with their users, the earliest first.
    waiting: Vec<(u64, String)>,
    last: u64,
    /// When users had their last turn: the number of turns before it.
    served: HashMap<String, u64>,
    turns: u64,
}

/// The right to have an upload judged, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    user: String,
}

/// Maximum number of users whose last turn is remembered while they have no upload.
const MOST_SERVED: usize = 1000;

/// A waiting upload looks this often whether its session must end.
const LOOK: Duration = Duration::from_millis(50);

impl Turns {
    /// Waits for a turn of this user among at most `most`. Returns `None` at the time `until`, or as soon as
    /// `is_over` says so.
    pub(super) fn take(
        &self,
        user: &str,
        most: usize,
        until: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> Option<Turn<'_>> {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.waiting.push((number, user.to_owned()));
        loop {
            if state.next(most) == Some(number) {
                state.enter(number, user);
                // there may be room for the next one as well
                self.changed.notify_all();
                return Some(Turn { turns: self, user: user.to_owned() });
            }
            let left = until.saturating_duration_since(Instant::now());
            // not called with the lock, because it may take a while
            drop(state);
            let ends = left.is_zero() || is_over();
            state = self.state();
            if ends {
                state.leave(number);
                self.changed.notify_all();
                return None;
            }
            if state.next(most) != Some(number) {
                let waited = self.changed.wait_timeout(state, left.min(LOOK));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the upload whose turn it is, if there is room for one: the first of a user who has the
    /// fewest, and of these one whose last turn is the longest ago. No user has all turns, if there are
    /// several, so that one is left for others at any time.
    fn next(&self, most: usize) -> Option<u64> {
        if self.running.values().sum::<usize>() >= most {
            return None;
        }
        let of = |user: &String| self.running.get(user).copied().unwrap_or_default();
        let own = most.saturating_sub(1).max(1);
        let fit = self.waiting.iter().filter(|(_, user)| of(user) < own);
        let served = |user: &String| self.served.get(user);
        let first = fit.min_by_key(|(number, user)| (of(user), served(user), *number));
        first.map(|(number, _)| *number)
    }

    /// Gives a waiting upload of this user its turn.
    fn enter(&mut self, number: u64, user: &str) {
        self.leave(number);
        *self.running.entry(user.to_owned()).or_default() += 1;
        self.turns += 1;
        self.served.insert(user.to_owned(), self.turns);
        if self.waiting.is_empty() {
            // nobody is kept waiting by those who had their turns
            self.served.clear();
        } else if self.served.len() > MOST_SERVED {
            let Self { running, waiting, served, .. } = self;
            let waits = |user: &String| waiting.iter().any(|(_, other)| other == user);
            served.retain(|user, _| running.contains_key(user) || waits(user));
        }
    }

    fn leave(&mut self, number: u64) {
        self.waiting.retain(|(other, _)| *other != number);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if let Some(count) = state.running.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                state.running.remove(&self.user);
            }
        }
        drop(state);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn state(running: &[(&str, usize)], waiting: &[&str]) -> State {
        let running = running.iter().map(|(user, count)| ((*user).to_owned(), *count));
        let waiting = (1..).zip(waiting).map(|(number, user)| (number, (*user).to_owned()));
        State { running: running.collect(), waiting: waiting.collect(), ..State::default() }
    }

    #[test]
    fn the_user_with_the_fewest_turns_is_next_and_nobody_has_all() {
        assert_eq!(state(&[], &["ann", "ben"]).next(4), Some(1));
        assert_eq!(state(&[("ann", 1)], &["ann", "ann", "ben"]).next(4), Some(3));
        assert_eq!(state(&[("ann", 2)], &["ann"]).next(4), Some(1));
        assert_eq!(state(&[("ann", 3)], &["ann", "ann"]).next(4), None);
        assert_eq!(state(&[("ann", 3)], &["ann", "ben"]).next(4), Some(2));
        assert_eq!(state(&[("ann", 3), ("ben", 1)], &["cat"]).next(4), None);
        // with one turn for all, each gets it in order
        assert_eq!(state(&[], &["ann", "ben"]).next(1), Some(1));
        assert_eq!(state(&[("ann", 1)], &["ben"]).next(1), None);
    }

    #[test]
    fn among_equals_the_user_whose_last_turn_is_the_longest_ago_is_next() {
        let mut state = state(&[], &["ann", "ann", "ann", "ben", "ben", "cat"]);
        let mut order = Vec::new();
        while let Some(number) = state.next(1) {
            let (_, user) = state.waiting.iter().find(|(other, _)| *other == number).unwrap();
            let user = user.clone();
            state.enter(number, &user);
            state.running.clear();
            order.push(user);
        }
        assert_eq!(order, ["ann", "ben", "cat", "ann", "ben", "ann"]);
        assert!(state.served.is_empty());
        for number in 0..2 * MOST_SERVED {
            state.waiting = vec![(1, "ann".to_owned()), (2, "ben".to_owned())];
            state.enter(2, &format!("user {number}"));
            state.running.clear();
        }
        assert!(state.served.len() <= MOST_SERVED);
    }

    #[test]
    fn a_turn_is_waited_for_until_it_is_free_or_nobody_waits_any_more() {
        let turns = Turns::default();
        let soon = || Instant::now() + Duration::from_secs(60);
        let first = turns.take("ann", 1, soon(), &|| false).unwrap();
        assert!(turns.take("ben", 1, Instant::now(), &|| false).is_none(), "the time is over");
        assert!(turns.take("ben", 1, soon(), &|| true).is_none(), "the session ends");
        let (tell, told) = channel();
        thread::scope(|scope| {
            let turns = &turns;
            scope.spawn(move || {
                let _turn = turns.take("ben", 1, soon(), &|| false).unwrap();
                tell.send(()).unwrap();
            });
            while turns.state().waiting.is_empty() {
                thread::yield_now();
            }
            assert!(told.try_recv().is_err());
            drop(first);
            told.recv_timeout(Duration::from_secs(60)).unwrap();
        });
        assert!(turns.state().running.is_empty() && turns.state().waiting.is_empty());
    }
}
