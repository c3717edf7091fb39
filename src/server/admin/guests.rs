//! The connections to the admin socket, whose number is limited.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Maximum number of connections at once.
const MOST: usize = 16;

/// A connection to the admin socket.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) stream: Arc<UnixStream>,
    state: Mutex<GuestState>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct GuestState {
    /// Whether the connection has sent a request yet.
    pub(super) asked: bool,
    /// Whether a request is being carried out.
    pub(super) at_work: bool,
    /// Since when the server has waited for a request.
    pub(super) since: Instant,
}

impl Guest {
    pub(super) fn state(&self) -> MutexGuard<'_, GuestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Guests(Mutex<Vec<Arc<Guest>>>);

impl Guests {
    /// Adds a connection. If there are too many, the one that has been silent for the longest
    /// time is closed; connections that have not sent a request yet are closed before others.
    pub(super) fn enter(&self, stream: UnixStream) -> Option<Arc<Guest>> {
        let mut all = self.all();
        if all.len() >= MOST {
            let waits = |(_, guest): &(usize, &Arc<Guest>)| !guest.state().at_work;
            let waiting = all.iter().enumerate().filter(waits);
            let (at, _) = waiting.min_by_key(|(_, guest)| {
                let state = guest.state();
                (state.asked, state.since)
            })?;
            // this ends its thread
            let _ = all.swap_remove(at).stream.shutdown(Shutdown::Both);
        }
        let state = GuestState { asked: false, at_work: false, since: Instant::now() };
        let guest = Arc::new(Guest { stream: Arc::new(stream), state: Mutex::new(state) });
        all.push(Arc::clone(&guest));
        Some(guest)
    }

    pub(super) fn leave(&self, guest: &Arc<Guest>) {
        self.all().retain(|other| !Arc::ptr_eq(other, guest));
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Guest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
