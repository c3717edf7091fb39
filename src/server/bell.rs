//! Wakes threads that wait for something else as well, such as those that accept clients on
//! sockets that were handed over. Shutting such a socket down would wake them too, but it would
//! also shut it down for the program that opened it.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::doors::BREATH;

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
    pub(super) fn wait(&self, listener: &TcpListener) {
        let mut fds =
            [PollFd::new(listener, PollFlags::IN), PollFd::new(&self.0, PollFlags::IN)];
        // the result is not needed, because the caller checks why it was woken
        poll(&mut fds, None);
    }
}

/// Readable once it has been rung.
impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits for file descriptors, or until the timeout. Returns `false` if a signal has ended the wait or
/// the system refuses to wait (`ENOMEM`). A refusal is logged, and costs a pause, so that repeating
/// the wait does not keep the processor busy.
#[expect(clippy::disallowed_methods, reason = "there is no TLS")]
pub(super) fn poll(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> bool {
    match rustix::event::poll(fds, timeout) {
        Ok(_) => return true,
        Err(Errno::INTR) => {}
        Err(why) => {
            log::error!("cannot wait: {}", io::Error::from(why));
            thread::sleep(BREATH);
        }
    }
    false
}
