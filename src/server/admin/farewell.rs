//! Keeps the connections of `ftpd stop --drain`, and tells them that the server has ended.
//! A connection that closes without this line means that the server was killed or has crashed.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::server::bell::poll;

/// The connections of those who wait for the end of the server. They no longer count as connections to
/// the admin socket, so they are not closed for newer ones.
#[derive(Debug, Default)]
pub(in crate::server) struct Farewell(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Kept after the last line as well, because the end of the process closes them.
    streams: Vec<Arc<UnixStream>>,
    /// Whether the last line has been sent.
    is_over: bool,
}

/// Maximum number of connections.
const MOST: usize = 64;

impl Farewell {
    /// Keeps a connection until the server ends. Returns whether it will be told of that, which is not the
    /// case if the others have been told already.
    ///
    /// # Errors
    ///
    /// When too many wait.
    pub(super) fn add(&self, stream: &Arc<UnixStream>) -> Result<bool, String> {
        let mut waiting = self.waiting();
        if waiting.is_over {
            return Ok(false);
        }
        waiting.streams.retain(|stream| is_there(stream));
        if waiting.streams.len() >= MOST {
            return Err(format!("{MOST} others wait for the end of the server already"));
        }
        waiting.streams.push(Arc::clone(stream));
        Ok(true)
    }

    /// Sends this line to all of them.
    pub(in crate::server) fn tell(&self, line: &str) {
        let mut waiting = self.waiting();
        waiting.is_over = true;
        for mut stream in waiting.streams.iter().map(AsRef::<UnixStream>::as_ref) {
            // whoever has gone away need not know, and none may hold up the end
            let _ =
                stream.set_nonblocking(true).and_then(|()| stream.write_all(line.as_bytes()));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the other end of a connection is open.
fn is_there(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    let [fd] = fds;
    !fd.revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
