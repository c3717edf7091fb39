//! The time of a model. It stands still, except when a wait or a sleep reaches its end. A thread
//! of its own chooses when that happens, so a wait may end at any moment, however long it is.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Condvar;

thread_local! {
    // shuttle runs all threads of a model on one thread of the system
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static RUNS: Cell<bool> = const { Cell::new(false) };
    static WAITS: RefCell<Vec<Wait>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static THREADS: Cell<usize> = const { Cell::new(0) };
    static ENDS: Cell<usize> = const { Cell::new(0) };
}

/// A wait that has an end.
struct Wait {
    number: u64,
    end: Duration,
    wakes: Arc<Condvar>,
    is_over: bool,
}

/// A wait as its thread sees it. It ends when this value is dropped.
pub(crate) struct Waiting(u64);

/// Sets the clock to the beginning of a model. If it does not run, no wait ends by itself.
pub fn reset(runs: bool) {
    NOW.set(Duration::ZERO);
    RUNS.set(runs);
    WAITS.take();
    THREADS.set(0);
}

/// Ends waits until no thread of the model is left but the one that calls this and the first.
/// If the clock does not run, returns at once.
pub fn run(is_done: impl Fn() -> bool) {
    while RUNS.get() && !(is_done() && THREADS.get() == 0) {
        shuttle::thread::yield_now();
        let waits = WAITS.with_borrow(Vec::len);
        if waits > 0 && thread_rng().gen_range(0..4) == 0 {
            end_wait(thread_rng().gen_range(0..waits));
        }
    }
}

/// The time since the model began.
pub fn now() -> Duration {
    NOW.get()
}

/// Lets time pass until then.
pub(crate) fn pass_until(then: Duration) {
    NOW.set(now().max(then));
}

/// Counts a thread of the model.
pub(crate) fn thread_begins() {
    THREADS.set(THREADS.get() + 1);
}

/// Counts a thread of the model that has ended.
pub(crate) fn thread_ends() {
    THREADS.set(THREADS.get() - 1);
}

/// The number of threads that run, without the first and the one that runs the clock.
pub fn threads() -> usize {
    THREADS.get()
}

/// The number of waits that were ended so far, in all models.
pub fn ends() -> usize {
    ENDS.get()
}

fn end_wait(at: usize) {
    // on a busy machine, a thread may wake late
    let late = if thread_rng().gen_bool(0.3) { thread_rng().gen_range(0..10) } else { 0 };
    let late = Duration::from_secs(late);
    let wakes = WAITS.with_borrow_mut(|waits| {
        let wait = waits.get_mut(at)?;
        ENDS.set(ENDS.get() + usize::from(!wait.is_over));
        wait.is_over = true;
        pass_until(wait.end + late);
        Some(Arc::clone(&wait.wakes))
    });
    // a thread that has not begun to wait misses this, and is woken the next time
    if let Some(wakes) = wakes {
        wakes.notify_all();
    }
}

impl Waiting {
    /// Begins a wait of this length on a condition variable.
    pub(crate) fn begin(wakes: &Arc<Condvar>, length: Duration) -> Self {
        let number = NEXT.get();
        NEXT.set(number + 1);
        let (end, wakes) = (now() + length, Arc::clone(wakes));
        WAITS.with_borrow_mut(|waits| waits.push(Wait { number, end, wakes, is_over: false }));
        Self(number)
    }

    /// Whether the wait has reached its end.
    pub(crate) fn is_over(&self) -> bool {
        WAITS
            .with_borrow(|waits| waits.iter().any(|wait| wait.number == self.0 && wait.is_over))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITS.with_borrow_mut(|waits| waits.retain(|wait| wait.number != self.0));
    }
}
