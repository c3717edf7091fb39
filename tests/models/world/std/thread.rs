//! As [`std::thread`], but shuttle chooses which thread runs.

use std::cell::Cell;
use std::io;
use std::time::Duration;

pub use shuttle::thread::{JoinHandle, Thread, ThreadId, current, panicking, yield_now};

use crate::clock;

thread_local! {
    static REFUSED: Cell<u32> = const { Cell::new(0) };
}

/// Sets how many of a thousand starts of threads the system refuses.
pub fn refuse(of_a_thousand: u32) {
    REFUSED.set(of_a_thousand);
}

/// As [`std::thread::Builder`].
#[derive(Debug, Default)]
pub struct Builder(());

/// Counts a thread until it is dropped.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        clock::thread_ends();
    }
}

impl Builder {
    /// Makes a builder.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }

    /// Ignores the name.
    #[must_use]
    pub fn name(self, _: String) -> Self {
        self
    }

    /// Ignores the size: the threads of a model have small stacks of their own.
    #[must_use]
    pub fn stack_size(self, _: usize) -> Self {
        self
    }

    /// Starts a thread.
    ///
    /// # Errors
    ///
    /// As often as [`refuse`] has set.
    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        use shuttle::rand::{Rng, thread_rng};
        if thread_rng().gen_range(0..1000) < REFUSED.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(spawn(work))
    }
}

/// Starts a thread.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    clock::thread_begins();
    shuttle::thread::spawn(move || {
        let _counted = Counted;
        work()
    })
}

/// Lets time pass.
pub fn sleep(length: Duration) {
    let end = clock::now() + length;
    yield_now();
    clock::pass_until(end);
}
