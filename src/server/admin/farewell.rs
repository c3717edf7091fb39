//! Tells those who have drained the server that it has ended in order, so that they can tell this from
//! the end of a server that was killed.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

/// The connections of those who wait for the end of the server.
#[derive(Debug, Default)]
pub(in crate::server) struct Farewell(Mutex<Vec<UnixStream>>);

/// Maximum number of connections.
const MOST: usize = 16;

impl Farewell {
    /// Keeps a connection until the server ends. Returns `false` if that is not possible.
    pub(super) fn add(&self, stream: &UnixStream) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = stream.try_clone().ok().filter(|_| waiting.len() < MOST) else {
            return false;
        };
        waiting.push(stream);
        true
    }

    /// Sends this line to all of them.
    pub(in crate::server) fn tell(&self, line: &str) {
        for mut stream in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // whoever has gone away need not know, and none may hold up the end
            let _ =
                stream.set_nonblocking(true).and_then(|()| stream.write_all(line.as_bytes()));
        }
    }
}
