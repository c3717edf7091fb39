//! A few threads, started by the server, that check hashed passwords; logins wait for them in
//! their order.
//!
//! A check takes megabytes and much of a processor. However many clients knock, no more than
//! `password_workers` of them have one made at a time; and the stacks that it touches are these
//! threads' own and not the sessions', which keep every page that they have touched.

use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::hash;
use crate::config::Hash;

/// The logins that wait, and the threads that check them.
#[derive(Debug)]
pub struct Passwords {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Arc<Job>>,
    /// Checks under way.
    running: usize,
    /// So many may be.
    most: usize,
    /// Threads.
    workers: usize,
}

struct Job {
    hash: Hash,
    password: Vec<u8>,
    verdict: Mutex<Option<bool>>,
    decided: Condvar,
}

/// How long a login waits.
pub struct Patience<'a> {
    /// No longer than until then,
    pub until: Instant,
    /// and not when this says so.
    pub is_over: &'a dyn Fn() -> bool,
}

/// Whoever waits looks this often whether it is over.
const LOOK: Duration = Duration::from_millis(200);

impl Passwords {
    /// At most so many are checked at once.
    pub fn new(most: usize) -> Self {
        let state =
            State { waiting: VecDeque::new(), running: 0, most: most.max(1), workers: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// From now on so many.
    pub(super) fn set(&self, most: usize) {
        self.state().most = most.max(1);
        self.changed.notify_all();
    }

    /// Counts one more thread, if there are fewer than `count`; gives its number.
    pub fn hire(&self, count: usize) -> Option<usize> {
        let mut state = self.state();
        (state.workers < count).then(|| {
            state.workers += 1;
            state.workers
        })
    }

    /// The thread that was hired last could not be started.
    pub fn dismiss(&self) {
        self.state().workers -= 1;
    }

    /// Checks passwords, one after the other, as long as the server lives.
    pub fn work(&self) {
        let mut state = self.state();
        loop {
            let job = if state.running < state.most { state.waiting.pop_front() } else { None };
            let Some(job) = job else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.running += 1;
            drop(state);
            let verdict = job.decide();
            state = self.state();
            state.running -= 1;
            // one more may begin, if threads wait because of the bound
            self.changed.notify_one();
            // the place is free before anybody hears of it
            job.tell(verdict);
        }
    }

    /// Whether a password is the one of the hash; nothing when patience has ended first.
    pub(super) fn check(
        &self,
        hash: &Hash,
        password: &[u8],
        patience: &Patience<'_>,
    ) -> Option<bool> {
        let job = Arc::new(Job {
            hash: hash.clone(),
            password: password.to_vec(),
            verdict: Mutex::new(None),
            decided: Condvar::new(),
        });
        self.state().waiting.push_back(Arc::clone(&job));
        self.changed.notify_one();
        let verdict = job.wait(patience);
        if verdict.is_none() {
            self.state().waiting.retain(|other| !Arc::ptr_eq(other, &job));
        }
        verdict
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn decide(&self) -> bool {
        match catch_unwind(|| hash::check(&self.hash, &self.password)) {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(why)) => {
                log::error!("a hashed password cannot be checked: {why}");
                false
            }
            Err(_) => {
                log::error!("the check of a hashed password panicked");
                false
            }
        }
    }

    fn tell(&self, verdict: bool) {
        *self.verdict() = Some(verdict);
        self.decided.notify_all();
    }

    fn wait(&self, patience: &Patience<'_>) -> Option<bool> {
        let mut verdict = self.verdict();
        loop {
            let left = patience.until.saturating_duration_since(Instant::now());
            if verdict.is_some() || left.is_zero() || (patience.is_over)() {
                return *verdict;
            }
            let waited = self.decided.wait_timeout(verdict, left.min(LOOK));
            verdict = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn verdict(&self) -> MutexGuard<'_, Option<bool>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the password.
impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("hash", &self.hash).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::config::{Password, of_text};

    fn hash() -> Hash {
        let ini = "[user:x]\nhome = /\npassword = \
            $2b$04$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl.\n";
        match of_text(ini).unwrap().users["x"].password.clone() {
            Some(Password::Hash(hash)) => hash,
            Some(Password::Clear(_)) | None => panic!("no hash"),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_login_that_nobody_checks_is_given_up_and_forgotten() {
        let passwords = Passwords::new(2);
        let late = Patience { until: Instant::now(), is_over: &|| false };
        assert_eq!(passwords.check(&hash(), b"tops3cret", &late), None);
        let stopped = Patience { until: soon(), is_over: &|| true };
        assert_eq!(passwords.check(&hash(), b"tops3cret", &stopped), None);
        assert!(passwords.state().waiting.is_empty());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test stands in for the server")]
    fn many_logins_all_get_their_verdict_from_a_few_threads() {
        let passwords = Arc::new(Passwords::new(2));
        while passwords.hire(3).is_some() {
            let own = Arc::clone(&passwords);
            thread::spawn(move || own.work());
        }
        assert_eq!(passwords.hire(3), None);
        let login = |at: usize| {
            let passwords = Arc::clone(&passwords);
            thread::spawn(move || {
                let patience = Patience { until: soon(), is_over: &|| false };
                let given: &[u8] = if at < 10 { b"tops3cret" } else { b"wrong" };
                passwords.check(&hash(), given, &patience) == Some(at < 10)
            })
        };
        let logins: Vec<_> = (0..20).map(login).collect();
        assert!(logins.into_iter().all(|login| login.join().unwrap()));
        passwords.set(1);
        let patience = Patience { until: soon(), is_over: &|| false };
        assert_eq!(passwords.check(&hash(), b"tops3cret", &patience), Some(true));
        assert_eq!(passwords.state().running, 0, "given back");
    }
}
