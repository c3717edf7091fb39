//! Wakes threads that wait for something else as well, such as those that accept clients on
//! sockets that were handed over. Shutting such a socket down would wake them too, but it would
//! also shut it down for the program that opened it.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::retry_on_intr;

/// Wakes all threads that wait for it.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self).map_err(Into::into)
    }

    /// Wakes the threads that wait now, and all that will wait later.
    pub(super) fn ring(&self) {
        // cannot fail: the counter is far from its limit
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Lets threads wait again.
    pub(super) fn hush(&self) {
        // fails if it has not been rung
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }

    /// Waits for a client, or until [`Bell::ring`] is called.
    #[expect(clippy::disallowed_methods, reason = "there is no TLS")]
    pub(super) fn wait(&self, listener: &TcpListener) {
        let mut fds =
            [PollFd::new(listener, PollFlags::IN), PollFd::new(&self.0, PollFlags::IN)];
        // the result is not needed, because the caller checks why it was woken
        let _ = retry_on_intr(|| poll(&mut fds, None));
    }
}

/// Readable once it has been rung.
impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
