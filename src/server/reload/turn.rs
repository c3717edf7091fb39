//! Makes sure that one thread at a time changes the settings.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// The right to change the settings, which one thread at a time has. The thread that has it
/// also knows and may change the number of threads for hook programs.
#[derive(Debug)]
pub(in crate::server) struct Turn {
    give: Sender<usize>,
    take: Receiver<usize>,
}

/// The turn that a thread has. Dropping it ends the turn.
pub(in crate::server) struct Held<'a> {
    turn: &'a Turn,
    pub(in crate::server) workers: usize,
}

impl Default for Turn {
    fn default() -> Self {
        let (give, take) = bounded(1);
        let turn = Self { give, take };
        drop(Held { turn: &turn, workers: 0 });
        turn
    }
}

impl Turn {
    /// Waits for the turn, but not longer than `time`: another reload may hang because the disk
    /// with the settings does not answer.
    pub(in crate::server) fn wait(&self, time: Duration) -> Option<Held<'_>> {
        let workers = self.take.recv_timeout(time).ok()?;
        Some(Held { turn: self, workers })
    }
}

impl Drop for Held<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        // there is room in the channel, because the number was taken out of it
        let _ = self.turn.give.try_send(self.workers);
    }
}

/// Reloads in the background: at most one that is running, and one that follows it.
#[derive(Debug, Default)]
pub(in crate::server) struct Beside(Mutex<Stage>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Runs,
    /// A reload is running, and another one was asked for in the meantime.
    RunsAndFollows,
}

impl Beside {
    /// Asks for a reload. Returns whether the caller must start it; otherwise another reload
    /// follows the running one.
    pub(super) fn claim(&self) -> bool {
        let mut stage = self.stage();
        let is_first = *stage == Stage::Idle;
        *stage = if is_first { Stage::Runs } else { Stage::RunsAndFollows };
        is_first
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running reload in the background. Dropping the value marks it as ended.
pub(super) struct Running<'a> {
    beside: &'a Beside,
    /// Whether it is marked as ended already. Another reload may run since then.
    has_ended: bool,
}

impl<'a> Running<'a> {
    /// Makes the value for a reload that has just begun.
    pub(super) fn of(beside: &'a Beside) -> Self {
        Self { beside, has_ended: false }
    }

    /// Ends one reload, and returns whether another one follows.
    pub(super) fn goes_on(&mut self) -> bool {
        let mut stage = self.beside.stage();
        let follows = *stage == Stage::RunsAndFollows;
        *stage = if follows { Stage::Runs } else { Stage::Idle };
        self.has_ended = !follows;
        follows
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            *self.beside.stage() = Stage::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_s_alone_and_waited_for_no_longer_than_that() {
        let turn = Turn::default();
        let mut held = turn.wait(Duration::ZERO).unwrap();
        held.workers = 3;
        assert!(turn.wait(Duration::from_millis(1)).is_none());
        drop(held);
        assert_eq!(turn.wait(Duration::ZERO).unwrap().workers, 3);
    }

    #[test]
    fn the_end_of_a_reload_is_not_that_of_the_next_one() {
        let beside = Beside::default();
        assert!(beside.claim());
        let mut first = Running::of(&beside);
        assert!(!first.goes_on());
        assert!(beside.claim());
        drop(first);
        assert!(!beside.claim(), "the second one still runs");
        drop(Running::of(&beside));
        assert!(beside.claim(), "one that panics or does not start has ended");
    }
}
