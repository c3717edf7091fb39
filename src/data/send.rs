//! From files and producers to the data connection.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::buffer::spare_capacity;
use rustix::fs::sendfile;
use rustix::io::Errno;

use super::connection::DataConnection;
use super::error::DataError;
use super::producer::Producer;
use super::pump::Pump;
use crate::vfs::FsError;

/// `sendfile` is asked for this much at once. Longer steps cost fewer calls and gain nothing by it
/// (tests/bench/RESULTS.md); where the system paces what is sent they are slower.
const FILE_CHUNK: usize = 256 << 10;

/// Listings and converted text are sent in pieces of about this size.
const SEND_CHUNK: usize = 64 << 10;

/// Files up to this size are read and sent at once: together with the end of the stream they are
/// one packet, or few.
const SMALL: u64 = 32 << 10;

impl Pump<'_> {
    /// Sends a part of a file, in the kernel where that is possible. What is added behind it
    /// meanwhile is not sent.
    ///
    /// # Errors
    ///
    /// When not all of it could be sent.
    pub fn send_file(
        &mut self,
        to: &mut DataConnection,
        file: &File,
        part: Range<u64>,
    ) -> Result<(), DataError> {
        let Range { start: mut offset, end } = part;
        let small = end.saturating_sub(offset) <= SMALL;
        while !small && let Some(stream) = to.plain() {
            let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let chunk = self.throttle.chunk(FILE_CHUNK).min(left);
            if chunk == 0 {
                return Ok(());
            }
            match sendfile(stream, file, Some(&mut offset), chunk) {
                Ok(0) => return Err(DataError::Shortened),
                Ok(sent) => self.moved(sent)?,
                Err(Errno::AGAIN) => self.until_ready(to.writable())?,
                Err(Errno::INTR) => {}
                // a file system whose files cannot be sent from within the kernel
                Err(Errno::INVAL | Errno::NOSYS) => break,
                Err(why @ (Errno::IO | Errno::NOMEM | Errno::OVERFLOW)) => {
                    return Err(DataError::Read(why.into()));
                }
                Err(why) => return Err(DataError::Lost(why.into())),
            }
        }
        let mut source = FileSource { file, offset, end };
        self.send(to, &mut source)?;
        if source.offset < end { Err(DataError::Shortened) } else { Ok(()) }
    }

    /// Sends what a source makes.
    ///
    /// # Errors
    ///
    /// When not all of it could be sent.
    pub fn send(
        &mut self,
        to: &mut DataConnection,
        source: &mut dyn Producer,
    ) -> Result<(), DataError> {
        let mut buffer = Vec::with_capacity(SEND_CHUNK + (SEND_CHUNK >> 2));
        let mut more = true;
        while more {
            buffer.clear();
            while more && buffer.len() < SEND_CHUNK {
                more = source.fill(&mut buffer).map_err(DataError::Read)?;
                self.glance()?;
            }
            self.send_all(to, &buffer, !more)?;
        }
        Ok(())
    }

    /// All has been handed to the system: the client is told that this is the end.
    ///
    /// # Errors
    ///
    /// When the transfer must end, or the client takes nothing any more.
    pub fn finish(&mut self, to: &mut DataConnection) -> Result<(), DataError> {
        to.end_sending(self.watch, self.patience)
    }

    /// What is the last of it may go out with the end of the stream.
    fn send_all(
        &mut self,
        to: &mut DataConnection,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), DataError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let chunk = rest.get(..self.throttle.chunk(rest.len())).unwrap_or(rest);
            let last = last && chunk.len() == rest.len();
            let sent = to.write(chunk, last).map_err(DataError::Lost)?;
            rest = rest.get(sent..).unwrap_or_default();
            if sent == 0 {
                self.until_ready(to.writable())?;
                continue;
            }
            while !to.flush().map_err(DataError::Lost)? {
                self.until_ready(to.writable())?;
            }
            self.moved(sent)?;
        }
        Ok(())
    }
}

/// A file that is read, for the few that cannot be sent from within the kernel.
struct FileSource<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
}

impl Producer for FileSource<'_> {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError> {
        let left = usize::try_from(self.end.saturating_sub(self.offset));
        let before = out.len();
        let read = loop {
            match rustix::io::pread(self.file, spare_capacity(out), self.offset) {
                Err(Errno::INTR) => {}
                other => break other.map_err(io::Error::from)?,
            }
        };
        let read = read.min(left.unwrap_or(usize::MAX));
        out.truncate(before + read);
        self.offset += read as u64;
        Ok(read > 0 && self.offset < self.end)
    }
}
