//! `crossbeam-channel` as the modelled files see it: the same functions over a lock and two
//! condition variables, because shuttle cannot look inside that crate.

extern crate model_std as std;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The sending end of a channel.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// The receiving end of a channel.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// Why nothing was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The channel is full.
    Full(T),
    /// There is no receiver.
    Disconnected(T),
}

/// There is no receiver.
#[derive(Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// The channel is empty, and there is no sender.
#[derive(Debug, PartialEq, Eq)]
pub struct RecvError;

/// Why nothing was received.
#[derive(Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// The channel was empty until the end.
    Timeout,
    /// The channel is empty, and there is no sender.
    Disconnected,
}

/// Why nothing was received.
#[derive(Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// The channel is empty.
    Empty,
    /// The channel is empty, and there is no sender.
    Disconnected,
}

#[derive(Debug)]
struct Channel<T> {
    bound: usize,
    state: Mutex<State<T>>,
    sent: Condvar,
    received: Condvar,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    receivers: usize,
}

/// Makes a channel that holds so many messages, at least one.
#[must_use]
pub fn bounded<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    assert!(bound > 0, "not modelled");
    let state = State { queue: VecDeque::new(), senders: 1, receivers: 1 };
    let (sent, received) = (Condvar::new(), Condvar::new());
    let channel = Arc::new(Channel { bound, state: Mutex::new(state), sent, received });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T> TrySendError<T> {
    /// Returns the message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Disconnected(message) => message,
        }
    }
}

impl<T> Channel<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::missing_errors_doc, reason = "as those of crossbeam-channel")]
impl<T> Sender<T> {
    /// Sends a message, without waiting.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.state();
        if state.receivers == 0 {
            return Err(TrySendError::Disconnected(message));
        }
        if state.queue.len() >= self.0.bound {
            return Err(TrySendError::Full(message));
        }
        state.queue.push_back(message);
        drop(state);
        self.0.sent.notify_one();
        Ok(())
    }

    /// Sends a message, and waits for room.
    pub fn send(&self, mut message: T) -> Result<(), SendError<T>> {
        loop {
            match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(message)) => return Err(SendError(message)),
                Err(TrySendError::Full(back)) => message = back,
            }
            let state = self.0.state();
            if state.receivers > 0 && state.queue.len() >= self.0.bound {
                drop(self.0.received.wait(state));
            }
        }
    }
}

#[expect(clippy::missing_errors_doc, reason = "as those of crossbeam-channel")]
impl<T> Receiver<T> {
    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.state().queue.is_empty()
    }

    /// Receives a message, without waiting.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.0.state();
        let message = state.queue.pop_front();
        let senders = state.senders;
        drop(state);
        self.0.received.notify_one();
        message.ok_or(match senders {
            0 => TryRecvError::Disconnected,
            _ => TryRecvError::Empty,
        })
    }

    /// Receives the messages that wait.
    pub fn try_iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// Receives a message, and waits for it.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receive(None).map_err(|_| RecvError)
    }

    /// Receives a message, and waits for it at most this long.
    pub fn recv_timeout(&self, length: Duration) -> Result<T, RecvTimeoutError> {
        self.receive(Some(Instant::now() + length))
    }

    fn receive(&self, end: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let mut state = self.0.state();
        loop {
            if let Some(message) = state.queue.pop_front() {
                drop(state);
                self.0.received.notify_one();
                return Ok(message);
            }
            if state.senders == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            let Some(end) = end else {
                state = self.0.sent.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RecvTimeoutError::Timeout);
            }
            let waited = self.0.sent.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.state().receivers += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state().senders -= 1;
        self.0.sent.notify_all();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.receivers -= 1;
        // messages that nobody can receive are dropped, as crossbeam-channel does it
        let rest = if state.receivers == 0 {
            std::mem::take(&mut state.queue)
        } else {
            VecDeque::new()
        };
        drop(state);
        drop(rest);
        self.0.received.notify_all();
    }
}
