//! Holds the connections of balancers until their header has named the client.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Resource, getrlimit};

use super::bell::{Bell, poll};
use crate::proxy::Reading;

/// Maximum number of connections that wait for their header. This does not limit the number of
/// sessions. It is reached only if headers do not come, or if hundreds of them come late.
pub const MOST_WAITING: usize = 256;

/// One of this many file descriptors may be that of a connection without a header.
const SHARE: u64 = 4;

/// The connections whose header is not complete.
#[derive(Debug)]
pub(super) struct Lobby {
    /// Maximum number of them.
    most: usize,
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
}

impl Lobby {
    /// Makes room for [`MOST_WAITING`] connections, or for as many as leave most of the file descriptors
    /// that the process may have to sessions.
    pub(super) fn new() -> io::Result<Self> {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.and_then(|files| usize::try_from(files / SHARE).ok());
        let most = files.map_or(MOST_WAITING, |files| files.clamp(1, MOST_WAITING));
        Ok(Self { most, state: Mutex::default(), bell: Bell::new()? })
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
        let is_full = state.guests.len() >= self.most;
        let oldest = is_full.then(|| state.guests.pop_front()).flatten();
        // the thread takes one at a time and returns it to its place
        let until = guest.reading.until();
        let at = state.guests.partition_point(|other| other.reading.until() <= until);
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

    /// Removes at most `most` of the connections that wait, the oldest ones, and returns them.
    pub(super) fn shed(&self, most: usize) -> Vec<Guest> {
        let mut state = self.state();
        let most = most.min(state.guests.len());
        state.guests.drain(..most).collect()
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
        // it may have ended with a connection in hand
        state.is_busy &= runs;
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
            (
                streams.collect::<Vec<_>>(),
                guests.iter().map(|guest| guest.reading.until()).min(),
            )
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a client of the test")]
    fn a_connection_in_the_hands_of_the_thread_counts_as_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let balancer = listener.local_addr().unwrap();
        let stream = Arc::new(TcpStream::connect(balancer).unwrap());
        let until = Instant::now() + Duration::from_secs(60);
        let reading = Reading::new(until);
        let lobby = Lobby::new().unwrap();
        assert!(!lobby.note_thread(true));
        let guest = Guest { stream, balancer, implicit_tls: false, reading };
        assert!(lobby.put(guest).is_none());
        let guest = lobby.take(0).unwrap();
        // another connection arrives
        assert!(lobby.note_thread(true));
        assert!(!lobby.is_empty());
        assert!(lobby.put(guest).is_none());
        assert!(lobby.take(1).is_none());
        assert!(!lobby.is_empty());
        assert_eq!(lobby.shed(8).len(), 1);
        assert!(lobby.is_empty());
        // the thread has ended by a panic, with its connection
        lobby.state().is_busy = true;
        assert!(lobby.note_thread(false));
        assert!(lobby.is_empty());
    }
}
