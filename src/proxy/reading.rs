//! Reads the header of one connection as it arrives. It never waits.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::header::{Introduced, Malformed, is_local, missing, parse};

/// The part of a header that has arrived.
#[derive(Debug)]
pub struct Reading {
    bytes: Vec<u8>,
    /// Number of bytes after these that were read and need not be kept.
    skipped: usize,
    /// When the header is late.
    until: Instant,
}

/// Why a header was not read.
#[derive(Debug)]
pub enum Unread {
    /// The connection was closed before its first byte, as balancers do that only check whether it
    /// can be made.
    Closed,
    /// The connection was closed within the header, or broke.
    Broken(io::Error),
    /// The header is not one.
    Malformed(Malformed),
    /// It was not complete in time.
    Late,
}

/// Size of one read.
const PIECE: usize = 256;

impl Reading {
    /// Begins to read a header that must be complete at this time.
    pub fn new(until: Instant) -> Self {
        Self { bytes: Vec::new(), skipped: 0, until }
    }

    /// Returns when the header is late.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Reads what has arrived of the header, and nothing of what follows it. Returns `None` while the
    /// header is neither complete nor late.
    ///
    /// # Errors
    ///
    /// When it never will be.
    pub fn go_on(&mut self, stream: &TcpStream) -> Result<Option<Introduced>, Unread> {
        let mut piece = [0; PIECE];
        loop {
            let missing = missing(&self.bytes).map_err(Unread::Malformed)?;
            let missing = missing.saturating_sub(self.skipped);
            if missing == 0 {
                return parse(&self.bytes).map(Some).map_err(Unread::Malformed);
            }
            let room = piece.get_mut(..missing.min(PIECE)).unwrap_or_default();
            match recv(stream, room, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) if self.bytes.is_empty() => {
                    return Err(Unread::Closed);
                }
                Ok((0, _)) => {
                    return Err(Unread::Broken(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok((read, _)) if is_local(&self.bytes) => self.skipped += read,
                Ok((read, _)) => {
                    self.bytes.extend_from_slice(piece.get(..read).unwrap_or_default());
                }
                Err(Errno::AGAIN) if Instant::now() < self.until => return Ok(None),
                Err(Errno::AGAIN) => return Err(Unread::Late),
                Err(Errno::INTR) => {}
                Err(why) => return Err(Unread::Broken(why.into())),
            }
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed before the PROXY header"),
            Self::Broken(why) => write!(f, "connection lost within the PROXY header: {why}"),
            Self::Malformed(why) => why.fmt(f),
            Self::Late => f.write_str("no complete PROXY header within proxy_timeout"),
        }
    }
}
