//! The thread that sends events, and its pauses while the receiver fails.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::duty::Duty;
use super::outbox::{Dropped, Outbox};
use super::receiver::Receiver;

/// Lets one thread send the events of an outbox to the receiver.
#[derive(Debug)]
pub(super) struct Sender {
    outbox: Arc<Outbox>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    receiver: Option<Arc<Receiver>>,
    /// Counts the receivers, so that the thread sees a new one.
    turn: u64,
    /// Whether the thread runs.
    hired: bool,
    /// Whether the server stops: what waits is still sent.
    leaving: bool,
    /// Whether the thread is to end at once.
    cut: bool,
    /// Why the receiver has failed last, if it does not work.
    failing: Option<String>,
}

/// The first pause after a failure. Each further one is twice as long.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// How long the server waits for the receiver when it stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a thread may take to end that was told to.
const END: Duration = Duration::from_millis(300);

impl Sender {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Sets the receiver. A connection that works is kept if this one would be connected to in the same way.
    pub(super) fn renew(&self, receiver: Option<Arc<Receiver>>) {
        let mut state = self.state();
        let stays = match (&state.receiver, &receiver) {
            (Some(old), Some(new)) => state.failing.is_none() && new.goes_on_for(old),
            (None, None) => true,
            _ => false,
        };
        state.receiver = receiver;
        if !stays {
            state.turn += 1;
            state.failing = None;
        }
        self.tell(state);
    }

    pub(super) fn hire(&self) -> bool {
        let mut state = self.state();
        let is_needed = state.receiver.is_some();
        is_needed && !std::mem::replace(&mut state.hired, true)
    }

    pub(super) fn dismiss(&self) {
        let mut state = self.state();
        state.hired = false;
        self.tell(state);
    }

    /// Sends events until the server stops.
    pub(super) fn work(&self) {
        let mut pause = FIRST;
        while let Some((receiver, turn)) = self.receiver() {
            let before = self.settled();
            let is_over = |is_empty: bool| {
                let state = self.state();
                state.turn != turn || state.cut || state.leaving && is_empty
            };
            let duty = Duty {
                outbox: &self.outbox,
                is_over: &is_over,
                is_cut: &|| self.state().cut,
                works: &|| self.works(&receiver),
            };
            let Err(why) = receiver.deliver(&duty) else { continue };
            if self.settled() > before {
                pause = FIRST;
            }
            self.fails(&receiver, &why);
            self.outbox.pause(pause, &|| is_over(true));
            pause = (2 * pause).min(LONGEST);
        }
        self.dismiss();
    }

    /// Returns the receiver, once there is one; `None`: the server stops.
    fn receiver(&self) -> Option<(Arc<Receiver>, u64)> {
        let mut state = self.state();
        loop {
            if state.cut || state.leaving && (state.failing.is_some() || self.is_empty()) {
                return None;
            }
            if let Some(receiver) = &state.receiver {
                return Some((Arc::clone(receiver), state.turn));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns the number of events that the receiver has taken or refused.
    fn settled(&self) -> u64 {
        let numbers = self.outbox.numbers();
        let refused = numbers.dropped.get(Dropped::Refused as usize).copied();
        numbers.sent + refused.unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.outbox.numbers().waiting == 0
    }

    /// Notes that the receiver works.
    fn works(&self, receiver: &Receiver) {
        if self.state().failing.take().is_some() {
            log::info!("events: {receiver} works again");
        }
    }

    /// Notes that the receiver has failed. The log is told of each new reason.
    fn fails(&self, receiver: &Receiver, why: &str) {
        let mut state = self.state();
        if state.cut || state.failing.as_deref() == Some(why) {
            return;
        }
        state.failing = Some(why.to_owned());
        drop(state);
        let waiting = self.outbox.numbers().waiting;
        log::warn!("events: {receiver}: {why}; {waiting} are waiting");
    }

    /// Tells the thread to send what still waits and to end.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.leaving = true;
        self.tell(state);
    }

    /// Waits until the thread has ended, but for no longer than `time`, and then ends it.
    pub(super) fn finish(&self, time: Duration) {
        self.await_end(time.min(FAREWELL).max(END));
        let mut state = self.state();
        state.cut = true;
        self.tell(state);
        self.await_end(END);
    }

    fn await_end(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        while state.hired && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn tell(&self, state: MutexGuard<'_, State>) {
        drop(state);
        self.changed.notify_all();
        self.outbox.ring();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
