//! The pool of workers: a bounded queue, and threads that are started on demand up to a limit. A
//! job that panics does not affect the others.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::spare;

/// A pool of threads that carry out jobs.
pub(super) struct Pool<J> {
    inner: Arc<Inner<J>>,
}

struct Inner<J> {
    bound: usize,
    work: Box<dyn Fn(J) + Send + Sync>,
    /// Returns whether the calling thread may carry out another job: it must be in its initial
    /// state.
    fit: fn() -> bool,
    state: Mutex<State<J>>,
    /// Notified when a job is submitted.
    offered: Condvar,
    /// Notified when a job is done.
    done: Condvar,
}

struct State<J> {
    /// Jobs that no thread has begun, at most `bound`.
    waiting: VecDeque<J>,
    /// Jobs that were submitted and are not done.
    jobs: usize,
    /// Threads that run now.
    workers: usize,
    /// Threads that were ever started, for their names.
    started: usize,
    /// Threads whose stacks may still be in memory although they have ended.
    ended: usize,
}

/// Size of the stack of a session: enough for name lookups by the system's libraries. Only
/// pages that are touched take memory.
pub(super) const STACK: usize = 256 << 10;

/// Workers end after this long without a job.
const IDLE: Duration = Duration::from_secs(30);

/// The stacks of ended threads are freed when there are this many.
const MANY: usize = 32;

impl<J: Send + 'static> Pool<J> {
    /// Makes a pool of at most `bound` workers.
    pub(super) fn new(
        bound: usize,
        work: impl Fn(J) + Send + Sync + 'static,
        fit: fn() -> bool,
    ) -> Self {
        let state =
            State { waiting: VecDeque::new(), jobs: 0, workers: 0, started: 0, ended: 0 };
        let inner = Inner {
            bound,
            work: Box::new(work),
            fit,
            state: Mutex::new(state),
            offered: Condvar::new(),
            done: Condvar::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Hands a job to a worker, without waiting.
    ///
    /// # Errors
    ///
    /// Returns the job if all workers are busy and the queue is full, or if a thread is needed
    /// and cannot be started.
    pub(super) fn submit(&self, job: J) -> Result<(), J> {
        let mut state = self.inner.state();
        if state.workers <= state.jobs && state.workers < self.inner.bound {
            let name = format!("session-{}", state.started + 1);
            match Inner::start(&self.inner, name) {
                Ok(()) => {
                    state.workers += 1;
                    state.started += 1;
                }
                // without a new thread, the job would wait until another client leaves
                Err(why) => {
                    log::error!("cannot start a worker: {why}");
                    return Err(job);
                }
            }
        }
        if state.waiting.len() >= self.inner.bound {
            return Err(job);
        }
        state.waiting.push_back(job);
        state.jobs += 1;
        drop(state);
        self.inner.offered.notify_one();
        Ok(())
    }

    /// Number of threads.
    pub(super) fn workers(&self) -> usize {
        self.inner.state().workers
    }

    /// Waits until all jobs are done, but not longer than `time`. Returns whether they are
    /// done.
    pub(super) fn wait_idle(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.inner.state();
        while state.jobs > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.inner.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl<J: Send + 'static> Inner<J> {
    #[expect(clippy::disallowed_methods, reason = "the workers are started here")]
    fn start(inner: &Arc<Self>, name: String) -> io::Result<()> {
        let inner = Arc::clone(inner);
        let builder = thread::Builder::new().name(name).stack_size(STACK);
        builder.spawn(move || inner.serve()).map(drop)
    }

    fn serve(&self) {
        while let Some(job) = self.next() {
            self.carry_out(job);
            if !(self.fit)() {
                return self.give_notice();
            }
        }
        spare::give_back_heap();
        let mut state = self.state();
        state.ended += 1;
        if state.ended >= MANY || state.workers == 0 {
            state.ended = 0;
            drop(state);
            spare::give_back_stacks();
        }
    }

    /// Waits for a job. Returns `None` if the calling thread must end, because no job has come for
    /// a while.
    fn next(&self) -> Option<J> {
        let until = Instant::now() + IDLE;
        let mut state = self.state();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.workers -= 1;
                return None;
            }
            let waited = self.offered.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn carry_out(&self, job: J) {
        if catch_unwind(AssertUnwindSafe(|| (self.work)(job))).is_err() {
            log::error!("a session panicked; the other sessions continue");
        }
        self.state().jobs -= 1;
        self.done.notify_all();
    }

    /// Ends a worker whose thread is not in its initial state. The jobs that wait are dropped,
    /// because there may be no other worker for them, and a thread that this one starts would
    /// inherit its state.
    fn give_notice(&self) {
        log::error!("a worker ends: its thread could not return to the user of the server");
        let dropped = {
            let mut state = self.state();
            state.workers -= 1;
            state.jobs -= state.waiting.len();
            std::mem::take(&mut state.waiting)
        };
        drop(dropped);
        self.done.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_panic_costs_one_job_and_not_its_worker() {
        let (sender, results) = bounded(10);
        let pool = Pool::new(
            1,
            move |job: u32| {
                assert_ne!(job, 1, "the panic of the test");
                sender.send(job).unwrap();
            },
            || true,
        );
        for job in [0, 1, 2] {
            pool.submit(job).unwrap();
            assert!(pool.wait_idle(LONG));
        }
        assert_eq!(results.try_iter().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(pool.inner.state().workers, 1);
    }

    #[test]
    fn a_worker_that_is_not_fit_ends_and_the_next_job_gets_another() {
        let (sender, results) = bounded(10);
        let name =
            move |(): ()| sender.send(thread::current().name().map(str::to_owned)).unwrap();
        let pool = Pool::new(1, name, || false);
        for wanted in ["session-1", "session-2"] {
            pool.submit(()).unwrap();
            assert_eq!(results.recv_timeout(LONG).unwrap().as_deref(), Some(wanted));
            let until = Instant::now() + LONG;
            while pool.inner.state().workers > 0 && Instant::now() < until {
                thread::yield_now();
            }
        }
        let state = pool.inner.state();
        assert_eq!((state.workers, state.jobs), (0, 0));
    }

    #[test]
    fn threads_are_started_on_demand_and_reused() {
        let (enter, entered) = bounded::<()>(10);
        let (release, released) = bounded::<()>(10);
        let pool = Pool::new(
            2,
            move |(): ()| {
                enter.send(()).unwrap();
                released.recv().unwrap();
            },
            || true,
        );
        assert_eq!(pool.inner.state().workers, 0);
        pool.submit(()).unwrap();
        pool.submit(()).unwrap();
        entered.recv_timeout(LONG).unwrap();
        entered.recv_timeout(LONG).unwrap();
        assert_eq!(pool.inner.state().workers, 2);
        // both are busy: two may wait, a third may not
        pool.submit(()).unwrap();
        pool.submit(()).unwrap();
        assert_eq!(pool.submit(()), Err(()));
        for _ in 0..4 {
            release.send(()).unwrap();
        }
        assert!(pool.wait_idle(LONG));
        assert_eq!(pool.inner.state().started, 2);
    }
}
