//! A program that was started for the server, as the server sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::message::Word;
use super::wire;

/// Time between the signal that asks a program to end and the one that ends it.
pub const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running program. If this value is dropped, the program is ended.
#[derive(Debug)]
pub struct Running {
    /// The socket of this program. It becomes readable when the program has ended.
    socket: OwnedFd,
    pid: u32,
}

impl Running {
    pub(super) fn new(socket: OwnedFd, pid: u32) -> Self {
        Self { socket, pid }
    }

    /// Returns the process number of the program.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns how the program has ended; `None` if it still runs, or if processes that it has
    /// started are still being ended after [`Running::end`].
    ///
    /// # Errors
    ///
    /// When the process that starts programs has ended.
    pub fn ended(&self) -> io::Result<Option<ExitStatus>> {
        match wire::hear(&self.socket) {
            Ok(Some(Word::Ended(status))) => Ok(Some(ExitStatus::from_raw(status))),
            Ok(None) => Ok(None),
            Ok(Some(Word::Failed(why))) => Err(io::Error::other(why)),
            Err(why) if why.kind() != io::ErrorKind::UnexpectedEof => Err(why),
            Ok(Some(_)) | Err(_) => {
                Err(io::Error::other("the process that starts programs has ended"))
            }
        }
    }

    /// Ends the program and all processes that it has started: by SIGTERM, and after
    /// [`LAST_WORDS`] by SIGKILL. Does not wait for that.
    pub fn end(&self) {
        // this fails if the program has ended by itself
        let _ = wire::send(&self.socket, &Word::End.bytes(), &[]);
    }

    /// Ends the program and all processes that it has started at once, by SIGKILL. Does not wait for
    /// that.
    pub fn kill(&self) {
        // this fails if the program has ended by itself
        let _ = wire::send(&self.socket, &Word::Kill.bytes(), &[]);
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
