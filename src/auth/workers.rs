//! The queue of password checks, and the few threads that carry them out in order. The server starts
//! these threads.
//!
//! A check takes megabytes of memory and much processor time. However many clients connect, at most
//! `password_workers` checks run at once. Checks run on these threads and not on those of the
//! sessions, because a stack keeps every page that it has used once.

use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::hash;
use crate::config::Hash;

/// The queue of password checks.
#[derive(Debug)]
pub struct Passwords {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Arc<Check>>,
    /// Number of checks that are running.
    running: usize,
    /// Maximum number of running checks.
    most: usize,
    /// Number of threads.
    workers: usize,
}

struct Check {
    hash: Hash,
    password: Vec<u8>,
    verdict: Mutex<Option<bool>>,
    decided: Condvar,
}

/// How long a login waits for its check.
pub struct Patience<'a> {
    /// The time at which the login stops waiting.
    pub until: Instant,
    /// Returns true if the login should stop waiting before that time.
    pub is_over: &'a dyn Fn() -> bool,
}

/// A waiting login calls [`Patience::is_over`] this often.
const LOOK: Duration = Duration::from_millis(200);

impl Passwords {
    /// Makes an empty queue that runs at most `most` checks at once.
    pub fn new(most: usize) -> Self {
        let queue =
            Queue { waiting: VecDeque::new(), running: 0, most: most.max(1), workers: 0 };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    /// Changes the maximum number of checks that run at once.
    pub(super) fn set(&self, most: usize) {
        self.queue().most = most.max(1);
        self.changed.notify_all();
    }

    /// Counts one more thread and returns its number, or `None` if there are `count` already.
    pub fn hire(&self, count: usize) -> Option<usize> {
        let mut queue = self.queue();
        (queue.workers < count).then(|| {
            queue.workers += 1;
            queue.workers
        })
    }

    /// Takes back the last [`Passwords::hire`], because the thread could not be started.
    pub fn dismiss(&self) {
        self.queue().workers -= 1;
    }

    /// Checks passwords one after the other, and never returns.
    pub fn work(&self) {
        let mut queue = self.queue();
        loop {
            let check =
                if queue.running < queue.most { queue.waiting.pop_front() } else { None };
            let Some(check) = check else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.running += 1;
            drop(queue);
            let verdict = check.decide();
            queue = self.queue();
            queue.running -= 1;
            // a thread may be waiting because the maximum was reached
            self.changed.notify_one();
            // the result is given last, so that a login that gets it can start another check
            check.tell(verdict);
        }
    }

    /// Returns whether a password fits the hash, or `None` if `patience` ended first.
    pub(super) fn check(
        &self,
        hash: &Hash,
        password: &[u8],
        patience: &Patience<'_>,
    ) -> Option<bool> {
        let check = Arc::new(Check {
            hash: hash.clone(),
            password: password.to_vec(),
            verdict: Mutex::new(None),
            decided: Condvar::new(),
        });
        self.queue().waiting.push_back(Arc::clone(&check));
        self.changed.notify_one();
        let verdict = check.wait(patience);
        if verdict.is_none() {
            self.queue().waiting.retain(|other| !Arc::ptr_eq(other, &check));
        }
        verdict
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
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

/// Does not show the password.
impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("hash", &self.hash).finish_non_exhaustive()
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
            Some(Password::Clear(_) | Password::Elsewhere) | None => panic!("no hash"),
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
        assert!(passwords.queue().waiting.is_empty());
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
        assert_eq!(passwords.queue().running, 0, "given back");
    }
}
