//! Condition variables whose waits may reach their end at any moment.

use std::sync::{Arc, LockResult, OnceLock, PoisonError};
use std::time::Duration;

use shuttle::sync::MutexGuard;

use crate::clock::Waiting;

/// As [`std::sync::Condvar`].
#[derive(Debug, Default)]
pub struct Condvar(OnceLock<Arc<shuttle::sync::Condvar>>);

/// As [`std::sync::WaitTimeoutResult`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the wait has reached its end.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

#[expect(clippy::missing_errors_doc, reason = "as those of the standard library")]
impl Condvar {
    /// Makes a condition variable.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn inner(&self) -> &Arc<shuttle::sync::Condvar> {
        self.0.get_or_init(Arc::default)
    }

    /// Waits for a notification.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.inner().wait(guard)
    }

    /// Waits for a notification, or until the clock ends the wait.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        length: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let waiting = Waiting::begin(self.inner(), length);
        let guard = self.inner().wait(guard);
        let over = WaitTimeoutResult(waiting.is_over());
        match guard {
            Ok(guard) => Ok((guard, over)),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), over))),
        }
    }

    /// Wakes one thread that waits.
    pub fn notify_one(&self) {
        self.inner().notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.inner().notify_all();
    }
}
