//! The pool of workers: a bounded channel, and threads that are started on demand up to a
//! limit. A job that panics does not affect the others.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::spare;

/// A pool of threads that carry out jobs.
pub(super) struct Pool<J> {
    sender: Sender<J>,
    inner: Arc<Inner<J>>,
}

struct Inner<J> {
    receiver: Receiver<J>,
    bound: usize,
    work: Box<dyn Fn(J) + Send + Sync>,
    /// Returns whether the calling thread may carry out another job: it must be in its initial
    /// state.
    fit: fn() -> bool,
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Default)]
struct Count {
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
        let (sender, receiver) = bounded(bound);
        let inner = Inner {
            receiver,
            bound,
            work: Box::new(work),
            fit,
            count: Mutex::default(),
            changed: Condvar::new(),
        };
        Self { sender, inner: Arc::new(inner) }
    }

    /// Hands a job to a worker, without waiting.
    ///
    /// # Errors
    ///
    /// Returns the job if all workers are busy and the queue is full, or if a thread is needed
    /// and cannot be started.
    pub(super) fn submit(&self, job: J) -> Result<(), J> {
        let mut count = self.inner.count();
        if count.workers <= count.jobs && count.workers < self.inner.bound {
            let name = format!("session-{}", count.started + 1);
            match Inner::start(&self.inner, name) {
                Ok(()) => {
                    count.workers += 1;
                    count.started += 1;
                }
                // without a new thread, the job would wait until another client leaves
                Err(why) => {
                    log::error!("cannot start a worker: {why}");
                    return Err(job);
                }
            }
        }
        self.sender.try_send(job).map_err(crossbeam_channel::TrySendError::into_inner)?;
        count.jobs += 1;
        Ok(())
    }

    /// Takes back the jobs that wait for a worker and are `spent`; the order of the others stays
    /// the same.
    pub(super) fn withdraw(&self, spent: impl Fn(&J) -> bool) -> Vec<J> {
        // jobs are submitted under this lock only, so there is room for those that stay
        let mut count = self.inner.count();
        let waiting = self.inner.receiver.try_iter().collect::<Vec<_>>();
        let (withdrawn, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(spent);
        let kept = others.into_iter().map(|job| self.sender.try_send(job));
        let lost = kept.filter(Result::is_err).count();
        debug_assert_eq!(lost, 0, "the jobs that stay were in the queue before");
        count.jobs -= withdrawn.len() + lost;
        drop(count);
        self.inner.changed.notify_all();
        withdrawn
    }

    /// Number of threads.
    pub(super) fn workers(&self) -> usize {
        self.inner.count().workers
    }

    /// Waits until all jobs are done, but not longer than `time`. Returns whether they are
    /// done.
    pub(super) fn wait_idle(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut count = self.inner.count();
        while count.jobs > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.inner.changed.wait_timeout(count, left);
            count = waited.unwrap_or_else(PoisonError::into_inner).0;
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
        loop {
            if let Ok(job) = self.receiver.recv_timeout(IDLE) {
                self.carry_out(job);
                if (self.fit)() {
                    continue;
                }
                return self.give_notice();
            }
            let mut count = self.count();
            // a job may have been submitted in the meantime; that is done under this lock
            if self.receiver.is_empty() {
                count.workers -= 1;
                break;
            }
        }
        self.give_memory_back();
    }

    /// Frees what the C library would keep of the threads that have ended.
    fn give_memory_back(&self) {
        spare::give_back_heap();
        let mut count = self.count();
        count.ended += 1;
        if count.ended >= MANY || count.workers == 0 {
            count.ended = 0;
            drop(count);
            spare::give_back_stacks();
        }
    }

    fn carry_out(&self, job: J) {
        if catch_unwind(AssertUnwindSafe(|| (self.work)(job))).is_err() {
            log::error!("a session panicked; the other sessions continue");
        }
        self.count().jobs -= 1;
        self.changed.notify_all();
    }

    /// Ends a worker whose thread is not in its initial state. The jobs that wait are dropped,
    /// because there may be no other worker for them, and a thread that this one starts would
    /// inherit its state.
    fn give_notice(&self) {
        log::error!("a worker ends: its thread could not return to the user of the server");
        let mut count = self.count();
        count.workers -= 1;
        count.jobs -= self.receiver.try_iter().count();
        self.changed.notify_all();
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(pool.inner.count().workers, 1);
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
            while pool.inner.count().workers > 0 && Instant::now() < until {
                thread::yield_now();
            }
        }
        let count = pool.inner.count();
        assert_eq!((count.workers, count.jobs), (0, 0));
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
        assert_eq!(pool.inner.count().workers, 0);
        pool.submit(()).unwrap();
        pool.submit(()).unwrap();
        entered.recv_timeout(LONG).unwrap();
        entered.recv_timeout(LONG).unwrap();
        assert_eq!(pool.inner.count().workers, 2);
        // both are busy: two may wait, a third may not
        pool.submit(()).unwrap();
        pool.submit(()).unwrap();
        assert_eq!(pool.submit(()), Err(()));
        for _ in 0..4 {
            release.send(()).unwrap();
        }
        assert!(pool.wait_idle(LONG));
        assert_eq!(pool.inner.count().started, 2);
    }

    #[test]
    fn jobs_that_nobody_needs_any_more_make_room_in_the_queue() {
        let (sender, results) = bounded(10);
        let (release, released) = bounded::<()>(10);
        let work = move |job: u32| {
            sender.send(job).unwrap();
            released.recv().unwrap();
        };
        let pool = Pool::new(3, work, || true);
        for job in 0..3 {
            pool.submit(job).unwrap();
            assert_eq!(results.recv_timeout(LONG), Ok(job));
        }
        for job in 3..6 {
            pool.submit(job).unwrap();
        }
        assert_eq!(pool.submit(6), Err(6));
        assert!(pool.withdraw(|job| *job > 5).is_empty());
        assert_eq!(pool.withdraw(|job| *job == 4), [4]);
        pool.submit(6).unwrap();
        assert_eq!(pool.submit(7), Err(7));
        for _ in 0..6 {
            release.send(()).unwrap();
        }
        assert!(pool.wait_idle(LONG));
        let mut done = results.try_iter().collect::<Vec<_>>();
        done.sort_unstable();
        assert_eq!(done, [3, 5, 6]);
        assert_eq!(pool.inner.count().jobs, 0);
    }
}
