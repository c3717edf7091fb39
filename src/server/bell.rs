//! Wakes the threads that accept on sockets that were handed over. To shut these sockets down
//! would shut them down for their owner too.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::retry_on_intr;

/// Wakes the threads that accept on sockets that were handed over.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self).map_err(Into::into)
    }

    /// From now on nobody waits.
    pub(super) fn ring(&self) {
        // cannot fail: the counter is far from its limit
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Waits for a client, or until it rings.
    #[expect(clippy::disallowed_methods, reason = "there is no TLS")]
    pub(super) fn wait(&self, listener: &TcpListener) {
        let mut fds =
            [PollFd::new(listener, PollFlags::IN), PollFd::new(&self.0, PollFlags::IN)];
        // who waits looks why it was woken; a signal is no reason to take a client in
        let _ = retry_on_intr(|| poll(&mut fds, None));
    }
}
