//! A pipe through which an upload goes from its connection to its file without being copied to
//! this program on the way.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

/// Both ends. It is empty between two uses.
#[derive(Debug)]
pub(super) struct Tube {
    reader: PipeReader,
    writer: PipeWriter,
}

/// What it holds, in bytes: with less the calls cost more, and with more some file systems take
/// far longer to find room for so much at once.
const ROOM: usize = 512 << 10;

impl Tube {
    /// Nothing where the system has no room for it: it bounds what the pipes of a user hold.
    pub(super) fn open() -> Option<Self> {
        let (reader, writer) = pipe().ok()?;
        fcntl_setpipe_size(&writer, ROOM).ok()?;
        Some(Self { reader, writer })
    }

    /// Takes in what has come: some bytes, 0 at the end of the stream, or nothing as yet.
    pub(super) fn fill(&self, from: &TcpStream) -> io::Result<Option<usize>> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(from, None, &self.writer, None, ROOM, flags) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    /// The end that gives it out again.
    pub(super) fn outlet(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
