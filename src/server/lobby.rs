//! Where the connections of balancers wait that have not said yet for whom they are.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::bell::{Bell, poll};
use crate::proxy::Reading;

/// Maximum number of connections that wait for their header. A session needs none of them, so this is
/// no limit on clients: it is reached if a balancer sends no headers, or later than hundreds of others.
pub const MOST_WAITING: usize = 256;

/// The connections whose header is not complete.
#[derive(Debug)]
pub(super) struct Lobby {
    state: Mutex<LobbyState>,
    /// Wakes the thread that waits for the headers.
    bell: Bell,
}

#[derive(Debug, Default)]
struct LobbyState {
    guests: VecDeque<Guest>,
    /// Whether the thread handles a connection at present, which is not among `guests` then.
    is_busy: bool,
    has_thread: bool,
    /// Whether the server stops, so that no more connections may wait.
    is_closed: bool,
}

/// A connection whose header is not complete.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) stream: Arc<TcpStream>,
    pub(super) balancer: SocketAddr,
    pub(super) implicit_tls: bool,
    pub(super) reading: Reading,
    /// When the header is late.
    pub(super) until: Instant,
}

impl Lobby {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { state: Mutex::default(), bell: Bell::new()? })
    }

    /// Returns whether no connection waits for its header.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.state();
        state.guests.is_empty() && !state.is_busy
    }

    /// Lets a connection wait. Returns the one that has no room: the oldest one, because most headers
    /// arrive at once, or this one if the server stops.
    pub(super) fn put(&self, guest: Guest) -> Option<Guest> {
        let mut state = self.state();
        if state.is_closed {
            return Some(guest);
        }
        let is_full = state.guests.len() >= MOST_WAITING;
        let oldest = is_full.then(|| state.guests.pop_front()).flatten();
        // the thread takes one at a time and returns it to its place
        let at = state.guests.partition_point(|other| other.until <= guest.until);
        state.guests.insert(at, guest);
        oldest
    }

    /// Takes the connection at this place out, to handle it.
    pub(super) fn take(&self, at: usize) -> Option<Guest> {
        let mut state = self.state();
        let guest = state.guests.remove(at);
        state.is_busy = guest.is_some();
        guest
    }

    /// Lets no more connections wait, and returns those that do.
    pub(super) fn close(&self) -> VecDeque<Guest> {
        let mut state = self.state();
        state.is_closed = true;
        std::mem::take(&mut state.guests)
    }

    /// Records whether there is a thread that waits for headers. Returns whether there was one.
    pub(super) fn note_thread(&self, runs: bool) -> bool {
        let mut state = self.state();
        state.is_busy = false;
        std::mem::replace(&mut state.has_thread, runs)
    }

    /// Wakes the thread that waits for headers.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Lets the thread wait again.
    pub(super) fn hush(&self) {
        self.bell.hush();
    }

    /// Waits until something arrives, the time of a connection is over, or the bell rings.
    pub(super) fn wait(&self) {
        let (streams, until) = {
            let guests = &self.state().guests;
            let streams = guests.iter().map(|guest| Arc::clone(&guest.stream));
            (streams.collect::<Vec<_>>(), guests.iter().map(|guest| guest.until).min())
        };
        let streams = streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN));
        let bell = PollFd::new(&self.bell, PollFlags::IN);
        let mut fds: Vec<_> = streams.chain([bell]).collect();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        // everything is looked at, whatever has woken the thread
        poll(&mut fds, left.as_ref());
    }

    fn state(&self) -> MutexGuard<'_, LobbyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
