//! Lets threads sleep without a time limit while there is nothing to do, and wakes them when a
//! session has made work for them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use super::bell::Bell;
use super::orders::Orders;

/// Wakes the threads that sleep without a time limit: the main thread and that of the metrics.
#[derive(Debug)]
pub(super) struct Slumber {
    /// Whether a thread sleeps without a time limit, or is about to.
    deep: AtomicBool,
    orders: Orders,
    /// Wakes the thread of the metrics.
    bell: Bell,
}

impl Slumber {
    pub(super) fn new(orders: Orders) -> io::Result<Self> {
        Ok(Self { deep: AtomicBool::new(false), orders, bell: Bell::new()? })
    }

    /// Returns whether the calling thread may sleep without a time limit: whether `is_idle` holds
    /// now. Once it no longer holds, [`Slumber::stir`] must be called.
    pub(super) fn may_begin(&self, is_idle: impl Fn() -> bool) -> bool {
        if !is_idle() {
            return false;
        }
        self.deep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // what happened before the store has not woken anybody
        is_idle()
    }

    /// Wakes all threads that sleep without a time limit. Does next to nothing if none does.
    pub(super) fn stir(&self) {
        fence(Ordering::SeqCst);
        if self.deep.load(Ordering::SeqCst) && self.deep.swap(false, Ordering::SeqCst) {
            self.orders.nudge();
            self.bell.ring();
        }
    }

    /// Stops the bell, which would otherwise wake the thread of the metrics again.
    pub(super) fn hush(&self) {
        self.bell.hush();
    }
}

/// Readable after [`Slumber::stir`], until [`Slumber::hush`].
impl AsFd for Slumber {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sleeper_is_woken_once_there_is_work() {
        let orders = Orders::default();
        let slumber = Slumber::new(orders.clone()).unwrap();
        let work = AtomicBool::new(false);
        let is_idle = || !work.load(Ordering::SeqCst);
        slumber.stir();
        assert!(slumber.may_begin(is_idle));
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| orders.wait(None));
            work.store(true, Ordering::SeqCst);
            slumber.stir();
            assert_eq!(sleeper.join().unwrap(), None);
        });
        assert!(!slumber.may_begin(is_idle));
        // no second message is left
        let begin = std::time::Instant::now();
        orders.wait(Some(Duration::from_millis(1)));
        assert!(begin.elapsed() >= Duration::from_millis(1));
    }

    #[test]
    fn work_that_comes_just_before_the_sleep_keeps_the_thread_awake() {
        let slumber = Slumber::new(Orders::default()).unwrap();
        let looks = std::cell::Cell::new(0);
        let is_idle = || looks.replace(looks.get() + 1) == 0;
        assert!(!slumber.may_begin(is_idle));
    }
}
