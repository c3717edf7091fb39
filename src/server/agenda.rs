//! What the main thread does from time to time, and when it does so next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admit;
use super::hub::Hub;
use super::watch::Watch;
use crate::config::Config;

/// How often the log reports how many lines about strangers were left out.
const TELL: Duration = Duration::from_secs(15);

const SECOND: Duration = Duration::from_secs(1);

/// The tasks of the main thread. While there is nothing to sweep and nothing to tell, it sleeps
/// until there is, apart from the messages to the supervisor.
pub(super) struct Agenda {
    sweep: Task,
    tell: Task,
    look: Option<Task>,
    silence: Listen,
    watch: Watch,
    /// Whether the main thread has slept without a time limit.
    slept: bool,
    /// Whether it has been awake since then for as long as [`TELL`], so that a session that makes
    /// work again and again does not wake it each time.
    rested: bool,
}

/// A task that is repeated.
struct Task {
    every: Duration,
    done: Instant,
}

impl Agenda {
    pub(super) fn new(watch: Watch, hub: &Hub) -> Self {
        let sweep = Task::new(hub.shared.parts.sweep_every());
        let look = hub.supervisor.turn().map(Task::new);
        Self {
            sweep,
            tell: Task::new(TELL),
            look,
            silence: Listen::default(),
            watch,
            slept: false,
            rested: false,
        }
    }

    /// Returns how long the main thread may sleep; `None`: until something happens.
    pub(super) fn time(&mut self, hub: &Hub) -> Option<Duration> {
        let look = self.look.as_ref().map(Task::left);
        let fixed = look.into_iter().chain(self.silence.left()).min();
        self.slept = self.rested && hub.slumber.may_begin(|| is_idle(hub));
        if self.slept {
            return fixed;
        }
        let rest = self.sweep.left().min(self.tell.left());
        Some(fixed.map_or(rest, |fixed| fixed.min(rest)))
    }

    /// The check of the threads that accept clients.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Carries out the tasks whose time has come.
    pub(super) fn carry_out(&mut self, hub: &Hub) {
        if std::mem::take(&mut self.slept) {
            self.sweep.begin();
            self.tell.begin();
            self.rested = false;
        }
        if self.sweep.is_due() {
            hub.shared.parts.sweep();
            hub.shared.logins.save(false);
            hub.shared.silence.last.save(false);
        }
        if self.tell.is_due() {
            self.rested = true;
            admit::tell_unsaid(hub, false);
        }
        hub.shared.launcher.look();
        self.silence.look(hub);
        if self.look.as_mut().is_some_and(Task::is_due) {
            self.watch.look(hub);
        }
    }
}

/// Returns whether there is nothing to sweep, to save and to tell.
fn is_idle(hub: &Hub) -> bool {
    hub.muffler.is_empty()
        && !hub.shared.logins.have_changed()
        && !hub.shared.silence.last.have_changed()
        && !hub.shared.parts.are_there()
}

/// Looks for users who have become silent.
#[derive(Default)]
struct Listen {
    /// The settings at the last look.
    of: Option<Arc<Config>>,
    /// When the next user may become silent.
    next: Option<Instant>,
}

impl Listen {
    fn left(&self) -> Option<Duration> {
        // the settings have not been looked at yet
        let unseen = self.of.is_none().then_some(Duration::ZERO);
        unseen.or_else(|| self.next.map(|at| at.saturating_duration_since(Instant::now())))
    }

    fn look(&mut self, hub: &Hub) {
        let config = &hub.shared.settings().config;
        let is_known = self.of.as_ref().is_some_and(|known| Arc::ptr_eq(known, config));
        if is_known && self.next.is_none_or(|at| Instant::now() < at) {
            return;
        }
        let left = hub.shared.silence.look(config, &hub.shared.events);
        // a little later, because two clocks are compared
        self.next = left.map(|left| Instant::now() + left + SECOND);
        self.of = Some(Arc::clone(config));
    }
}

impl Task {
    fn new(every: Duration) -> Self {
        Self { every, done: Instant::now() }
    }

    /// Starts the time again.
    fn begin(&mut self) {
        self.done = Instant::now();
    }

    fn left(&self) -> Duration {
        self.every.saturating_sub(self.done.elapsed())
    }

    /// Returns whether the time has come. If so, it starts again.
    fn is_due(&mut self) -> bool {
        let is_due = self.left().is_zero();
        if is_due {
            self.begin();
        }
        is_due
    }
}
