//! Events, such as an upload, and those who are told of them: programs (hooks), and one receiver on
//! another machine, over HTTP or MQTT.
//!
//! Programs are started by the room [`crate::launch`], without a shell, and their environment tells
//! them what has happened. A session asks for room in their queue before it does something that
//! causes an event; afterwards it only queues the event, and waits for no program. A few
//! threads, which the server starts, run one program each, and end it when its time is over.
//! What a program prints is logged. The program of a user with `run_as` must run as that user, since
//! it opens files by names that the user can change.
//!
//! For the receiver, an event is appended to the outbox, a few files in `state_dir`, before the client
//! gets its reply. One thread sends what is in there, one event after the other, until the receiver has
//! taken it, and then says so in the file. So each event arrives at least once, and a receiver that is
//! slow or gone delays nobody. After a crash, a few events may be sent again; each has an id by which
//! the receiver can tell.

mod ask;
mod duty;
mod event;
mod mqtt;
mod order;
mod outbox;
mod output;
mod programs;
mod queue;
mod receiver;
mod run;
mod send;
mod webhook;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::config::{Config, Occasion, Occasions, Server};
use crate::launch::Launcher;
use order::Order;
use outbox::Outbox;
use programs::Hooks;
use send::Sender;

pub use ask::Asked;
pub use event::{Event, Outcome};
pub use order::Turn;
pub use outbox::{Dropped, Numbers};
pub use programs::Hook;
pub use queue::Owner;
pub use receiver::Receiver;

/// All who are told of events.
#[derive(Debug)]
pub struct Events {
    hooks: Hooks,
    outbox: Arc<Outbox>,
    order: Arc<Order>,
    sender: Sender,
    /// The kinds of events that the receiver is told of, as a number; 0: there is no receiver.
    sent: AtomicU8,
}

impl Events {
    /// Returns what tells of events as these settings say.
    ///
    /// # Errors
    ///
    /// When the system has no file descriptor left.
    pub fn new(
        server: &Server,
        receiver: Option<Arc<Receiver>>,
        launcher: Arc<Launcher>,
    ) -> io::Result<Self> {
        let outbox = Arc::new(Outbox::new(server.storage.state_dir.as_deref())?);
        let events = Self {
            hooks: Hooks::new(server.hooks.timeout, launcher),
            sender: Sender::new(Arc::clone(&outbox)),
            outbox,
            order: Arc::default(),
            sent: AtomicU8::default(),
        };
        events.renew(server, receiver);
        Ok(events)
    }

    /// Applies new settings.
    pub fn renew(&self, server: &Server, receiver: Option<Arc<Receiver>>) {
        let kinds = if receiver.is_some() { server.events.kinds } else { Occasions::default() };
        let kept = receiver.is_some().then_some(server.events.kept);
        self.outbox.keep(kept);
        self.sender.renew(receiver);
        self.sent.store(kinds.bits(), Ordering::Relaxed);
    }

    /// Returns whether the receiver is told of such events.
    pub fn are_sent(&self, occasion: Occasion) -> bool {
        Occasions::of_bits(self.sent.load(Ordering::Relaxed)).has(occasion)
    }

    /// Returns a turn at these paths, which the session takes before the change that the event tells of, and
    /// keeps until it has told. `None`: the receiver is not told of such events.
    pub fn turn(
        &self,
        occasion: Occasion,
        paths: impl FnOnce() -> Vec<PathBuf>,
    ) -> Option<Turn> {
        self.are_sent(occasion).then(|| self.order.turn(paths()))
    }

    /// Checks whether the queue of programs has room for an event of this owner. If not, returns a file
    /// descriptor that becomes readable when the session should check again.
    ///
    /// This is called before something happens, so that no event has to be dropped. An event
    /// that has happened is always queued, even if several sessions saw room for one event
    /// only.
    ///
    /// # Errors
    ///
    /// When the system has no file descriptor left.
    pub fn await_room(&self, owner: &Owner) -> io::Result<Option<Arc<OwnedFd>>> {
        self.hooks.await_room(owner)
    }

    /// Tells the program and the receiver of an event that has happened. `sync`: the event is on the disk
    /// afterwards.
    pub fn tell(&self, event: &Event<'_>, hook: Option<Hook<'_>>, sync: bool) {
        if self.are_sent(event.occasion) {
            self.outbox.add(event, sync);
        }
        if let Some(hook) = hook {
            self.hooks.start(hook, event);
        }
    }

    /// Runs the programs of queued events one after another, and never returns.
    pub fn run_programs(&self) {
        self.hooks.work();
    }

    /// Returns whether the thread that sends events is needed and does not run yet. The caller starts it.
    pub fn hire(&self) -> bool {
        self.sender.hire()
    }

    /// Notes that the thread that sends events could not be started.
    pub fn dismiss(&self) {
        self.sender.dismiss();
    }

    /// Sends events until the server stops.
    pub fn send(&self) {
        self.sender.work();
    }

    /// Makes the file with events again if somebody has removed it. Returns whether it is in place.
    pub fn look_after_file(&self) -> bool {
        self.outbox.look_after_file()
    }

    /// Returns how many events were sent, wait and were dropped.
    pub fn numbers(&self) -> Numbers {
        self.outbox.numbers()
    }

    /// Waits up to `time` for programs and for the receiver, because the server is stopping. Events for
    /// programs that still wait then are lost; those for the receiver are kept for the next start.
    pub fn finish(&self, time: Duration) {
        let until = Instant::now() + time;
        self.sender.leave();
        self.hooks.finish(time);
        self.sender.finish(until.saturating_duration_since(Instant::now()));
        self.outbox.close();
    }
}

/// Checks what the key table cannot: the authorities that a URL over TLS needs.
///
/// # Errors
///
/// When there are none; the text begins with the name of the key.
pub fn check(config: &Config) -> Result<(), String> {
    Receiver::of(config).map(drop)
}
