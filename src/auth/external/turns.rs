//! Bounds the number of logins that are asked about at once. Others wait for their turn, in order.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The logins that are asked about, and those that wait. Kept when the settings are reloaded.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// The numbers of the waiting logins, the next one first.
    waiting: VecDeque<u64>,
    last: u64,
}

/// The right to ask about a login, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Turns>);

/// Maximum number of logins that wait for each one that is asked about. With more, the last would wait
/// for longer than clients do.
const WAITING: usize = 16;

/// A waiting login looks this often whether its session must end.
const LOOK: Duration = Duration::from_millis(200);

impl Turns {
    /// Waits until fewer than `most` other logins are asked about. Returns `None` if too many wait
    /// already, at the time `until`, or as soon as `is_over` says so.
    pub(super) fn take(
        self: &Arc<Self>,
        most: usize,
        until: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> Option<Turn> {
        let mut state = self.state();
        if state.running >= most && state.waiting.len() >= most * WAITING {
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.waiting.push_back(number);
        loop {
            if state.running < most && state.waiting.front() == Some(&number) {
                state.waiting.pop_front();
                state.running += 1;
                // there may be room for the next one as well
                self.changed.notify_all();
                return Some(Turn(Arc::clone(self)));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || is_over() {
                state.waiting.retain(|other| *other != number);
                self.changed.notify_all();
                return None;
            }
            let waited = self.changed.wait_timeout(state, left.min(LOOK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test has its own threads")]
    fn turns_are_taken_in_order_and_the_queue_is_bounded() {
        let turns = Arc::<Turns>::default();
        let soon = || Instant::now() + Duration::from_secs(60);
        let first = turns.take(1, soon(), &|| false).unwrap();
        assert!(turns.take(1, Instant::now(), &|| false).is_none(), "the time is over");
        assert!(turns.take(1, soon(), &|| true).is_none(), "the session ends");
        let (tell, told) = channel();
        let mut threads = Vec::new();
        for number in 0..WAITING {
            let (own, tell) = (Arc::clone(&turns), tell.clone());
            threads.push(thread::spawn(move || {
                let _turn = own.take(1, soon(), &|| false).unwrap();
                tell.send(number).unwrap();
            }));
            while turns.state().waiting.len() <= number {
                thread::yield_now();
            }
        }
        assert!(turns.take(1, soon(), &|| false).is_none(), "too many wait");
        drop(first);
        for number in 0..WAITING {
            assert_eq!(told.recv().unwrap(), number);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(turns.take(1, Instant::now(), &|| false).is_some());
    }
}
