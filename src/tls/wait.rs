//! Waits for connections. No other code does so.
//!
//! The TLS layer may already have read something from the socket: plain text, the end of the
//! stream, or records that are not yet decrypted. A wait for the socket alone would then last until
//! its deadline. So a connection is waited for only as an [`Awaited`], which knows about both.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Pause after a wait that the system has refused, so that repeating it does not keep the processor
/// busy.
const BREATH: Duration = Duration::from_millis(10);

/// Minimum time between two log lines about such waits.
const QUIET: Duration = Duration::from_secs(1);

/// Something to wait for: a file descriptor, and whether something has been read from it already.
#[derive(Debug, Clone, Copy)]
pub struct Awaited<'a> {
    fd: BorrowedFd<'a>,
    flags: PollFlags,
    is_here: bool,
}

impl<'a> Awaited<'a> {
    /// Makes an `Awaited` that is ready when a file descriptor without TLS, such as a listener, can
    /// be read.
    pub fn readable(fd: &'a impl AsFd) -> Self {
        Self::new(fd.as_fd(), PollFlags::IN, false)
    }

    /// Makes an `Awaited` that is ready when a socket has been connected, or the connect has
    /// failed.
    pub fn writable(fd: &'a impl AsFd) -> Self {
        Self::new(fd.as_fd(), PollFlags::OUT, false)
    }

    pub(super) fn new(fd: BorrowedFd<'a>, flags: PollFlags, is_here: bool) -> Self {
        Self { fd, flags, is_here }
    }
}

/// Waits until one of `awaited` is ready or the time `left` has passed, and returns which of them
/// are ready. A signal may end the wait early, and so does an error of the system, which is
/// logged.
pub fn wait<const N: usize>(
    awaited: [Option<Awaited<'_>>; N],
    left: Option<Duration>,
) -> [bool; N] {
    let Some(filler) = awaited.iter().flatten().next().map(|first| first.fd) else {
        thread::sleep(left.unwrap_or_default());
        return [false; N];
    };
    let is_here = awaited.iter().flatten().any(|one| one.is_here);
    let left = if is_here { Some(Duration::ZERO) } else { left };
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let mut fds = awaited.map(|one| {
        let (fd, flags) = one.map_or((filler, PollFlags::empty()), |one| (one.fd, one.flags));
        PollFd::from_borrowed_fd(fd, flags)
    });
    let polled = poll(&mut fds, timeout.as_ref());
    let mut ready = [false; N];
    for ((ready, one), fd) in ready.iter_mut().zip(awaited).zip(&fds) {
        *ready = one.is_some_and(|one| one.is_here || polled && !fd.revents().is_empty());
    }
    ready
}

/// Polls. Returns `false` if a signal has ended the wait or the system refuses to wait (`ENOMEM`);
/// then nothing is known about the file descriptors. A refusal is logged, at most once a second.
#[expect(clippy::disallowed_methods, reason = "the one place that waits for connections")]
fn poll(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> bool {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let why = match rustix::event::poll(fds, timeout) {
        Ok(_) => return true,
        Err(Errno::INTR) => return false,
        Err(why) => why,
    };
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|said| said.elapsed() >= QUIET) {
        *said = Some(Instant::now());
        log::error!("cannot wait for connections: {}", std::io::Error::from(why));
    }
    drop(said);
    thread::sleep(BREATH);
    false
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn what_is_here_already_is_not_waited_for() {
        let (reader, _writer) = pipe().unwrap();
        let began = Instant::now();
        let here = Awaited::new(reader.as_fd(), PollFlags::IN, true);
        assert_eq!(wait([None, Some(here)], Some(LONG)), [false, true]);
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn each_is_told_apart_and_nothing_is_never_ready() {
        let (reader, _writer) = pipe().unwrap();
        let (other, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let both = [Some(Awaited::readable(&reader)), None, Some(Awaited::readable(&other))];
        assert_eq!(wait(both, Some(LONG)), [false, false, true]);
        assert_eq!(wait([None], Some(Duration::ZERO)), [false]);
    }
}
