//! Programs that the administrator wants to be started when something has happened: an upload
//! is in place, say.
//!
//! Alone has the right to start programs. No shell is between; what has happened stands in the
//! environment. A session asks for room before it does what it will have to tell of; then it only
//! hands the event over, and waits for no program. A few threads, which the server starts, run one
//! program each, and end it when its time is over. What it prints goes to the log.
//!
//! The program of a user with `run_as` is that user's in every way: it opens files by names that
//! this user can change. The server's own program, which is started first (see [`LAUNCH`]), becomes
//! the user for good before it becomes the program. A thread of the server that did so could be
//! signalled, and its limits set, by that user's other programs.

mod happening;
mod launch;
mod output;
mod queue;
mod run;

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::config::Program;
use crate::log::escaped;
use queue::Queues;
use run::{LAST_WORDS, LOOK, ProgramRun};

pub use happening::Happening;
pub use launch::{LAUNCH, launch};
pub use queue::Owner;

/// The events that wait for their programs.
#[derive(Debug)]
pub struct Hooks {
    /// How long a program may run.
    timeout: Option<Duration>,
    backlog: Mutex<Backlog>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Backlog {
    waiting: Queues<ProgramRun>,
    /// What wakes the sessions of a user that wait for room.
    bells: HashMap<String, Vec<Weak<OwnedFd>>>,
    /// Users of whom the log has been told that they wait, until nothing of theirs does.
    told: HashSet<String>,
    running: usize,
    /// Programs are ended at once.
    over: bool,
}

impl Hooks {
    /// None wait yet.
    pub fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, backlog: Mutex::default(), changed: Condvar::new() }
    }

    /// Whether there is room for an event of this owner; if not, becomes readable when to ask
    /// again. Asked before something happens, so that no event must be thrown away: sessions that
    /// have been told of the last place at once may all take it.
    ///
    /// # Errors
    ///
    /// When the system has no file descriptor left to wait for.
    pub fn await_room(&self, owner: &Owner) -> io::Result<Option<Arc<OwnedFd>>> {
        let mut backlog = self.backlog();
        if !backlog.waiting.is_full(owner) {
            return Ok(None);
        }
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let bells = backlog.bells.entry(owner.name().to_owned()).or_default();
        bells.retain(|bell| bell.strong_count() > 0);
        bells.push(Arc::downgrade(&bell));
        if backlog.told.insert(owner.name().to_owned()) {
            let user = escaped(owner.name().as_bytes());
            log::warn!("programs of hooks fall behind: commands of {user} wait for them");
        }
        Ok(Some(bell))
    }

    /// Hands an event over to its program.
    pub fn start(&self, program: &Arc<Program>, happening: &Happening<'_>) {
        let run = ProgramRun {
            occasion: happening.occasion,
            program: Arc::clone(program),
            ids: happening.ids.cloned(),
            environment: happening.environment(),
        };
        self.backlog().waiting.push(happening.owner, run);
        self.changed.notify_all();
    }

    /// Runs programs, one after the other, as long as the server lives.
    pub fn work(&self) {
        let mut backlog = self.backlog();
        loop {
            match backlog.waiting.pop() {
                None => backlog = self.wait(backlog, None),
                Some((user, run)) => {
                    backlog.running += 1;
                    if !backlog.waiting.has(&user) {
                        backlog.told.remove(&user);
                    }
                    for bell in backlog.bells.remove(&user).iter().flatten() {
                        if let Some(bell) = bell.upgrade() {
                            // cannot fail: the counter is far from its limit
                            let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
                        }
                    }
                    drop(backlog);
                    run.run(self.timeout, || self.backlog().over);
                    backlog = self.backlog();
                    backlog.running -= 1;
                    self.changed.notify_all();
                }
            }
        }
    }

    /// The server stops: what still waits and runs may go on for a while.
    pub fn finish(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut backlog = self.backlog();
        while backlog.running + backlog.waiting.len() > 0 && Instant::now() < until {
            backlog = self.wait(backlog, Some(until));
        }
        let lost = std::mem::take(&mut backlog.waiting).len();
        if lost > 0 {
            log::error!("{lost} programs of hooks are not run: the server is stopping");
        }
        backlog.over = true;
        let until = Instant::now() + LAST_WORDS + LOOK * 2;
        while backlog.running > 0 && Instant::now() < until {
            backlog = self.wait(backlog, Some(until));
        }
    }

    fn wait<'s>(
        &self,
        backlog: MutexGuard<'s, Backlog>,
        until: Option<Instant>,
    ) -> MutexGuard<'s, Backlog> {
        match until {
            None => self.changed.wait(backlog).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.changed.wait_timeout(backlog, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
