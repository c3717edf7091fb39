//! A pipe in the kernel through which an upload moves from its connection to its file, without
//! being copied to this program.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

/// Both ends of the pipe. It is empty between two uses.
#[derive(Debug)]
pub(super) struct Tube {
    reader: PipeReader,
    writer: PipeWriter,
}

/// Capacity of the pipe in bytes. A smaller pipe takes more system calls; with a larger one,
/// some file systems take far longer to allocate the space of each write.
const ROOM: usize = 512 << 10;

impl Tube {
    /// Opens a pipe. Returns `None` if the system refuses this size, because it limits the
    /// total size of the pipes of a user.
    pub(super) fn open() -> Option<Self> {
        let (reader, writer) = pipe().ok()?;
        fcntl_setpipe_size(&writer, ROOM).ok()?;
        Some(Self { reader, writer })
    }

    /// Moves bytes that have arrived into the pipe. Returns their number, 0 at the end of the
    /// stream, or `None` if nothing has arrived yet.
    pub(super) fn fill(&self, from: &TcpStream) -> io::Result<Option<usize>> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(from, None, &self.writer, None, ROOM, flags) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    /// Returns the end of the pipe to read from.
    pub(super) fn outlet(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
