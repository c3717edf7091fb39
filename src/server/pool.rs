//! The bounded worker pool: a bounded channel, and named threads that are started when they
//! are needed, up to the bound. A job that panics costs nobody but itself.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

/// Hands jobs to workers.
pub(super) struct Pool<J> {
    sender: Sender<J>,
    inner: Arc<Inner<J>>,
}

struct Inner<J> {
    receiver: Receiver<J>,
    bound: usize,
    work: Box<dyn Fn(J) + Send + Sync>,
    /// Whether a worker may go on: it must be as if it had done nothing yet.
    fit: fn() -> bool,
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Default)]
struct Count {
    /// Jobs that were handed over and are not done.
    jobs: usize,
    /// Threads.
    workers: usize,
    /// Threads ever started, for their names.
    started: usize,
}

/// What a session needs of its stack: deep enough for a name lookup by the system's
/// libraries. Only what is touched costs memory.
pub(super) const STACK: usize = 256 << 10;

/// A worker without work for this long ends, so that a busy hour leaves no threads behind.
const IDLE: Duration = Duration::from_secs(30);

impl<J: Send + 'static> Pool<J> {
    /// A pool of at most `bound` workers.
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

    /// Hands a job to a worker without waiting for one.
    ///
    /// Gives the job back when all workers are busy and the queue is full, or when a thread
    /// is needed and the system has none.
    pub(super) fn submit(&self, job: J) -> Result<(), J> {
        let mut count = self.inner.count();
        if count.workers <= count.jobs && count.workers < self.inner.bound {
            let name = format!("session-{}", count.started + 1);
            match Inner::start(&self.inner, name) {
                Ok(()) => {
                    count.workers += 1;
                    count.started += 1;
                }
                // a busy worker will come to it only when its own client has left
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

    /// How many threads there are.
    pub(super) fn workers(&self) -> usize {
        self.inner.count().workers
    }

    /// Waits until every job is done, or the time is over; says whether they are.
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
            // a job may have come since; who hands one over holds the lock
            if self.receiver.is_empty() {
                count.workers -= 1;
                return;
            }
        }
    }

    fn carry_out(&self, job: J) {
        if catch_unwind(AssertUnwindSafe(|| (self.work)(job))).is_err() {
            log::error!("a session panicked; the others go on");
        }
        self.count().jobs -= 1;
        self.changed.notify_all();
    }

    /// Of a worker that must not go on. It takes with it who waits, for there may be nobody else to
    /// serve them, and a thread that it starts would be as it is.
    fn give_notice(&self) {
        log::error!("a worker ends: its thread has not become the server's again");
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
}
