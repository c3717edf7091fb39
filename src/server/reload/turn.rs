//! Whose turn it is to change the settings.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Who may change the settings, one after the other; and what goes along with it, the number of the
/// threads for programs of hooks.
#[derive(Debug)]
pub(in crate::server) struct Turn {
    give: Sender<usize>,
    take: Receiver<usize>,
}

/// One's turn, which ends on drop.
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
    /// Waits for it, but not for ever: settings may lie on a disk that does not answer.
    pub(in crate::server) fn wait(&self, time: Duration) -> Option<Held<'_>> {
        let workers = self.take.recv_timeout(time).ok()?;
        Some(Held { turn: self, workers })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // there is room, for it was taken out
        let _ = self.turn.give.try_send(self.workers);
    }
}

/// Reloads that nobody waits for: one at a time, and one that follows.
#[derive(Debug, Default)]
pub(in crate::server) struct Beside(Mutex<Stage>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Runs,
    /// Another one was asked for since.
    RunsAndFollows,
}

impl Beside {
    /// Whether the one that is asked for is to be started; else one that runs is followed by it.
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

/// A reload that nobody waits for; over on drop.
pub(super) struct Running<'a>(&'a Beside);

impl<'a> Running<'a> {
    /// The reload that has just begun.
    pub(super) fn of(beside: &'a Beside) -> Self {
        Self(beside)
    }

    /// Whether another one follows.
    pub(super) fn goes_on(&mut self) -> bool {
        let mut stage = self.0.stage();
        let follows = *stage == Stage::RunsAndFollows;
        *stage = if follows { Stage::Runs } else { Stage::Idle };
        follows
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut stage = self.0.stage();
        // one that ended by itself is idle, and may have been followed by another thread's
        if std::thread::panicking() || *stage == Stage::Runs {
            *stage = Stage::Idle;
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
}
