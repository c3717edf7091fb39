//! The records of a TLS connection: the bytes from the socket, which `rustls` decrypts in place, and
//! the encrypted bytes for the socket.

use std::io;
use std::net::TcpStream;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};

/// The records of one connection.
pub(super) struct Records {
    pub(super) connection: UnbufferedServerConnection,
    /// Whether the buffers are kept while nothing is sent or received, as on a data connection. A
    /// control connection is mostly idle, and gives them back.
    keeps_buffers: bool,
    /// Bytes from the socket; the first `taken` of them are done with.
    inbox: Vec<u8>,
    taken: usize,
    /// Whether `rustls` needs more bytes than the inbox has.
    starved: bool,
    /// Bytes for the socket: those from `sent` to `filled`.
    outbox: Vec<u8>,
    sent: usize,
    filled: usize,
    /// Whether the peer has closed TLS.
    pub(super) ended: bool,
    /// The error that has ended the connection. `rustls` is not asked again after it: it would
    /// expect the bytes of a message whose beginning it has seen.
    broken: Option<rustls::Error>,
}

/// What [`Records::advance`] does once all records of the inbox are decrypted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task<'a> {
    /// Nothing.
    Read,
    /// Encrypts bytes.
    Write(&'a [u8]),
    /// Encrypts TLS's closing message.
    Close,
}

/// The outcome of [`Records::advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A record with plain text was decrypted.
    Text,
    /// The task is done.
    Done,
    /// The inbox has no complete record.
    Starved,
}

/// The outcome of [`Records::fetch`].
pub(super) enum Fetched {
    Some,
    Nothing,
    End,
}

/// Maximum size of the plain text of a record.
pub(super) const RECORD: usize = 16 << 10;

/// Space for a record (RFC 8446 §5.2, RFC 5246 §6.2.3).
const SEALED_RECORD: usize = RECORD + 2048 + 5;

/// Space that a record needs besides its text, and enough for TLS's closing message.
const OVERHEAD: usize = 64;

/// Maximum number of bytes kept while `rustls` waits for the end of a message. The longest message
/// that it accepts has 64 KiB; this leaves room for the headers of its records.
const LONGEST: usize = 96 << 10;

impl Records {
    pub(super) fn new(connection: UnbufferedServerConnection, keeps_buffers: bool) -> Self {
        Self {
            connection,
            keeps_buffers,
            inbox: Vec::new(),
            taken: 0,
            starved: true,
            outbox: Vec::new(),
            sent: 0,
            filled: 0,
            ended: false,
            broken: None,
        }
    }

    /// Returns whether the inbox may have a complete record.
    pub(super) fn has_record(&self) -> bool {
        !self.starved && self.taken < self.inbox.len()
    }

    /// Decrypts the next record of the inbox that has plain text, and appends the text to `out`, or to
    /// `rest` what does not fit. If there is no such record, carries out the task. Messages of TLS
    /// itself are answered on the way.
    ///
    /// # Errors
    ///
    /// When a record is invalid, or an earlier one was. The alert with the reason is in the outbox.
    pub(super) fn advance(
        &mut self,
        task: Task<'_>,
        out: &mut Vec<u8>,
        rest: &mut Vec<u8>,
    ) -> Result<Step, rustls::Error> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        loop {
            let bytes = self.inbox.get_mut(self.taken..).unwrap_or_default();
            let UnbufferedStatus { discard, state, .. } =
                self.connection.process_tls_records(bytes);
            let mut room = Room { bytes: &mut self.outbox, filled: &mut self.filled };
            let step = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        deliver(record?.payload, out, rest);
                    }
                    Some(Step::Text)
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    room.encode(&mut data)?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    None
                }
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    Some(task.carry_out(traffic, &mut room)?)
                }
                Ok(_) => Some(Step::Starved),
                Err(why) => {
                    self.taken += discard;
                    self.broken = Some(why.clone());
                    self.collect_alert();
                    return Err(why);
                }
            };
            self.taken += discard;
            if let Some(step) = step {
                self.starved = step != Step::Text;
                return Ok(step);
            }
        }
    }

    /// Moves the alert that follows an error to the outbox.
    fn collect_alert(&mut self) {
        let mut room = Room { bytes: &mut self.outbox, filled: &mut self.filled };
        // while an alert waits, no byte of the inbox is looked at
        while self.connection.wants_write() {
            let status = self.connection.process_tls_records(&mut []);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state else { return };
            if room.encode(&mut data).is_err() {
                return;
            }
        }
    }

    /// Reads once from the stream, at most about `room` bytes unless a record has begun.
    ///
    /// # Errors
    ///
    /// When the stream fails, or the peer sends a message that does not end.
    pub(super) fn fetch(
        &mut self,
        stream: &TcpStream,
        flags: RecvFlags,
        room: usize,
    ) -> io::Result<Fetched> {
        self.inbox.drain(..self.taken);
        self.taken = 0;
        if self.inbox.len() > LONGEST {
            let why = "the message does not end";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if self.inbox.is_empty() {
            if !self.keeps_buffers && self.inbox.capacity() > room {
                self.inbox = Vec::new();
            }
            self.inbox.reserve_exact(room);
        } else if self.inbox.capacity() - self.inbox.len() < SEALED_RECORD {
            self.inbox.reserve_exact(SEALED_RECORD);
        }
        match recv(stream, spare_capacity(&mut self.inbox), flags) {
            Ok((0, _)) => Ok(Fetched::End),
            Ok(_) => {
                self.starved = false;
                Ok(Fetched::Some)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Fetched::Nothing),
            Err(why) => Err(why.into()),
        }
    }

    /// Sends what is in the outbox. Returns `false` if the stream has no more room at the moment.
    ///
    /// # Errors
    ///
    /// When the stream fails.
    pub(super) fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.sent < self.filled {
            let bytes = self.outbox.get(self.sent..self.filled).unwrap_or_default();
            match send(stream, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(why) => return Err(why.into()),
            }
        }
        (self.sent, self.filled) = (0, 0);
        if !self.keeps_buffers {
            self.outbox = Vec::new();
        }
        Ok(true)
    }
}

impl Task<'_> {
    fn carry_out(
        self,
        mut traffic: WriteTraffic<'_, ServerConnectionData>,
        room: &mut Room<'_>,
    ) -> Result<Step, rustls::Error> {
        match self {
            Task::Read => return Ok(Step::Starved),
            Task::Write(text) => {
                let size = text.len() + (text.len() / RECORD + 1) * OVERHEAD;
                room.fill(size, |room| {
                    traffic.encrypt(text, room).map_err(|why| encrypt_room(&why))
                })?;
            }
            Task::Close => room.fill(OVERHEAD, |room| {
                traffic.queue_close_notify(room).map_err(|why| encrypt_room(&why))
            })?,
        }
        Ok(Step::Done)
    }
}

/// Appends plain text to `out` as far as there is room, and the remainder to `rest`.
fn deliver(text: &[u8], out: &mut Vec<u8>, rest: &mut Vec<u8>) {
    let (now, later) = text.split_at(text.len().min(out.capacity() - out.len()));
    out.extend_from_slice(now);
    rest.extend_from_slice(later);
}

/// The free space of an outbox.
struct Room<'a> {
    bytes: &'a mut Vec<u8>,
    filled: &'a mut usize,
}

impl Room<'_> {
    /// Appends a message of TLS itself.
    fn encode(
        &mut self,
        data: &mut EncodeTlsData<'_, ServerConnectionData>,
    ) -> Result<(), rustls::Error> {
        self.fill(0, |room| data.encode(room).map_err(|why| encode_room(&why)))
    }

    /// Lets `write` write to the free space. The space has at least `size` bytes, and as many as
    /// `write` asks for if it needs more.
    fn fill(
        &mut self,
        size: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Result<(), rustls::Error> {
        let mut size = size;
        loop {
            if self.bytes.len() < *self.filled + size {
                self.bytes.resize(*self.filled + size, 0);
            }
            match write(self.bytes.get_mut(*self.filled..).unwrap_or_default()) {
                Ok(written) => {
                    *self.filled += written;
                    return Ok(());
                }
                Err(Some(needed)) if needed > size => size = needed,
                Err(_) => return Err(rustls::Error::EncryptError),
            }
        }
    }
}

fn encode_room(why: &EncodeError) -> Option<usize> {
    match why {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size, .. }) => {
            Some(*required_size)
        }
        EncodeError::AlreadyEncoded => None,
    }
}

fn encrypt_room(why: &EncryptError) -> Option<usize> {
    match why {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size, .. }) => {
            Some(*required_size)
        }
        EncryptError::EncryptExhausted => None,
    }
}
