//! One connection of the metrics port, which never waits for its client.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Maximum length of a request.
pub(super) const LONGEST: usize = 8 << 10;

/// Maximum duration of a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection of a client.
pub(super) struct Talk {
    pub(super) stream: TcpStream,
    pub(super) phase: Phase,
    pub(super) until: Instant,
    heard: Vec<u8>,
    /// The response.
    says: Vec<u8>,
    said: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Hears,
    Says,
    /// The response has been sent. The server waits for the client to close the connection,
    /// because closing it with unread bytes could destroy the response.
    Parts,
    Over,
}

impl Talk {
    pub(super) fn open(stream: TcpStream) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        let until = Instant::now() + PATIENCE;
        let (heard, says) = (Vec::new(), Vec::new());
        Some(Self { stream, phase: Phase::Hears, until, heard, says, said: 0 })
    }

    pub(super) fn go_on(&mut self, answer: impl FnOnce(&[u8]) -> Vec<u8>) {
        match self.phase {
            Phase::Hears => match self.hear() {
                Ok(false) => {}
                Ok(true) => {
                    self.says = answer(&self.heard);
                    self.phase = Phase::Says;
                    self.say();
                }
                Err(()) => self.phase = Phase::Over,
            },
            Phase::Says => self.say(),
            Phase::Parts => {
                self.heard.clear();
                if self.read().is_err() {
                    self.phase = Phase::Over;
                }
            }
            Phase::Over => {}
        }
    }

    /// Reads, and returns whether the request is complete or too long.
    fn hear(&mut self) -> Result<bool, ()> {
        self.read()?;
        let ended = self.heard.windows(4).any(|bytes| bytes == b"\r\n\r\n");
        Ok(ended || self.heard.len() >= LONGEST)
    }

    fn read(&mut self) -> Result<(), ()> {
        self.heard.reserve(1024);
        match recv(&self.stream, spare_capacity(&mut self.heard), RecvFlags::DONTWAIT) {
            Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Ok((0, _)) | Err(_) => Err(()),
        }
    }

    fn say(&mut self) {
        while let Some(rest) = self.says.get(self.said..).filter(|rest| !rest.is_empty()) {
            match send(&self.stream, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => self.said += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.phase = Phase::Over;
                    return;
                }
            }
        }
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self.phase = Phase::Parts;
    }
}
