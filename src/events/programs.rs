//! The queue of events for which programs are to be run.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::event::Event;
use super::queue::{Owner, Queues};
use super::run::{LOOK, ProgramRun};
use crate::config::Program;
use crate::launch::{LAST_WORDS, Launcher};
use crate::log::escaped;
use crate::rights::Ids;

/// A program that is run after an event.
#[derive(Debug, Clone, Copy)]
pub struct Hook<'a> {
    /// The program.
    pub program: &'a Arc<Program>,
    /// The owner of the queue that the event waits in.
    pub owner: &'a Owner,
    /// The user of the system that the program runs as; `None` is the server's user.
    pub ids: Option<&'a Arc<Ids>>,
}

/// The queue of events for which programs are to be run.
#[derive(Debug)]
pub(super) struct Hooks {
    /// How long a program may run; `None`: without limit.
    timeout: Option<Duration>,
    launcher: Arc<Launcher>,
    backlog: Mutex<Backlog>,
    changed: Condvar,
}

/// Waiting events, and the sessions that wait for room.
#[derive(Debug, Default)]
struct Backlog {
    waiting: Queues<ProgramRun>,
    /// File descriptors that wake the sessions which wait for room, by user.
    bells: HashMap<String, Vec<Weak<OwnedFd>>>,
    /// Users whose waiting commands the log has already reported. A user is removed when no
    /// event of the user waits any more.
    told: HashSet<String>,
    /// Number of running programs.
    running: usize,
    /// Whether programs are to be ended immediately.
    over: bool,
}

impl Hooks {
    /// Returns an empty queue.
    pub(super) fn new(timeout: Option<Duration>, launcher: Arc<Launcher>) -> Self {
        Self { timeout, launcher, backlog: Mutex::default(), changed: Condvar::new() }
    }

    /// See [`super::Events::await_room`].
    pub(super) fn await_room(&self, owner: &Owner) -> io::Result<Option<Arc<OwnedFd>>> {
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
            log::warn!("hook programs fall behind: commands of {user} wait for them");
        }
        Ok(Some(bell))
    }

    /// Queues a run of this program for an event.
    pub(super) fn start(&self, hook: Hook<'_>, event: &Event<'_>) {
        let run = ProgramRun {
            occasion: event.occasion,
            program: Arc::clone(hook.program),
            ids: hook.ids.cloned(),
            environment: event.environment(),
        };
        self.backlog().waiting.push(hook.owner, run);
        self.changed.notify_all();
    }

    /// Runs the programs of queued events one after another, and never returns.
    pub(super) fn work(&self) {
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
                            // this cannot fail: the counter is far from its limit
                            let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
                        }
                    }
                    drop(backlog);
                    run.run(&self.launcher, self.timeout, || self.backlog().over);
                    backlog = self.backlog();
                    backlog.running -= 1;
                    self.changed.notify_all();
                }
            }
        }
    }

    /// Waits up to `time` until no program runs and no event waits, because the server is
    /// stopping. Then drops the events that still wait, and ends the programs that still run.
    pub(super) fn finish(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut backlog = self.backlog();
        while backlog.running + backlog.waiting.len() > 0 && Instant::now() < until {
            backlog = self.wait(backlog, Some(until));
        }
        let lost = std::mem::take(&mut backlog.waiting).len();
        if lost > 0 {
            log::error!("{lost} hook programs are not run: the server is stopping");
        }
        backlog.over = true;
        let until = Instant::now() + LAST_WORDS + LOOK * 2;
        while backlog.running > 0 && Instant::now() < until {
            backlog = self.wait(backlog, Some(until));
        }
    }

    /// Waits until the backlog has changed, or until a time.
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
