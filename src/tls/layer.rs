//! The TLS layer between a TCP stream and the plain text of a connection. It never blocks longer
//! than the stream does, and each call reads from the stream only until it has something to return.

use std::io::{self, BufRead, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};

use super::certificate::Certificate;
use super::error::TlsError;
use super::pem;
use super::session::SessionTls;
use super::tickets::Gate;

/// The TLS layer of one connection.
pub struct Layer {
    connection: ServerConnection,
    /// Bytes from the socket that `rustls` has not taken yet. The buffer keeps the number of reads
    /// small, whatever the size of the records.
    inbox: Vec<u8>,
    taken: usize,
    /// Whether there is plain text that the caller has not read yet.
    pending: bool,
    /// Whether the peer has closed TLS, and the caller has read everything before that.
    ended: bool,
    /// Whether the handshake failed because the peer does not speak TLS.
    has_noise: bool,
    /// The gate for the tickets of a data connection. It is opened once the connection has resumed
    /// a session.
    gate: Option<Gate>,
}

/// What the handshake waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Bytes to read from the stream.
    Read,
    /// Room to write to the stream.
    Write,
}

/// The outcome of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// Bytes were received.
    Some,
    /// Nothing has arrived yet.
    Nothing,
    /// The peer has closed the connection properly, with TLS's closing message if TLS is used.
    Closed,
    /// The TCP stream has ended without TLS's closing message, so the data may be incomplete.
    Truncated,
}

/// The identity in the certificate of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Subject, in the form of RFC 4514.
    pub subject: String,
    /// SHA-256 fingerprint.
    pub fingerprint: String,
}

/// Size of the input buffer: a record and a half.
const INBOX: usize = 24 << 10;

/// Size of the input buffer for a caller that has room for many records.
const LARGE_INBOX: usize = 128 << 10;

/// Maximum size of the plain text of a record.
const RECORD: usize = 16 << 10;

impl Layer {
    /// Makes the server's side of a new control connection.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn control(tls: &SessionTls) -> Result<Self, TlsError> {
        Self::new(Arc::clone(&tls.control), None)
    }

    /// Makes the server's side of a new data connection.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn data(tls: &SessionTls) -> Result<Self, TlsError> {
        let (config, gate) = tls.data_connection();
        Self::new(config, Some(gate))
    }

    fn new(config: Arc<ServerConfig>, gate: Option<Gate>) -> Result<Self, TlsError> {
        let mut connection = ServerConnection::new(config).map_err(TlsError::of)?;
        connection.set_buffer_limit(None);
        Ok(Self {
            connection,
            inbox: Vec::new(),
            taken: 0,
            pending: false,
            ended: false,
            has_noise: false,
            gate,
        })
    }

    /// Continues the handshake as far as the stream allows. Returns `None` when the handshake is
    /// done.
    ///
    /// The tickets of TLS 1.3 follow the handshake. On a control connection they are sent at once,
    /// because clients that use `GnuTLS` (wget, lftp) wait only briefly for a ticket, and cannot
    /// resume the session on data connections without one. On a data connection the tickets are
    /// sent together with the first bytes; for an upload, that is at its end. A client that only
    /// sends would not read them before, and if it closes with unread bytes, data that is still on
    /// its way is lost.
    ///
    /// # Errors
    ///
    /// When the handshake fails. The TLS alert with the reason has been sent if that was possible.
    pub fn shake(&mut self, stream: &TcpStream) -> Result<Option<Want>, TlsError> {
        loop {
            let is_done = !self.connection.is_handshaking();
            let is_data = self.gate.is_some();
            let version = self.connection.protocol_version();
            if is_done && is_data && version == Some(ProtocolVersion::TLSv1_3) {
                return Ok(None);
            }
            if !self.flush(stream).map_err(TlsError::of)? {
                return Ok(Some(Want::Write));
            }
            if is_done {
                return Ok(None);
            }
            match self.fetch(stream, RecvFlags::DONTWAIT, INBOX) {
                Ok(Fetched::Some) => {}
                Ok(Fetched::Nothing) => return Ok(Some(Want::Read)),
                Ok(Fetched::End) => return Err(TlsError("closed by the client".to_owned())),
                Err(why) => {
                    let tls = why.get_ref().and_then(|why| why.downcast_ref::<rustls::Error>());
                    self.has_noise = matches!(tls, Some(rustls::Error::InvalidMessage(_)));
                    let _ = self.flush(stream);
                    return Err(TlsError::of(why));
                }
            }
        }
    }

    /// Returns whether the handshake failed because the peer does not speak TLS.
    pub fn has_noise(&self) -> bool {
        self.has_noise
    }

    /// Returns whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Returns the version of TLS and the cipher suite, for the log.
    pub fn describe(&self) -> String {
        let version = self.connection.protocol_version();
        let version = if version == Some(ProtocolVersion::TLSv1_2) { "1.2" } else { "1.3" };
        let suite = self.connection.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str().map(str::to_owned));
        format!("TLS {version}, {}", suite.unwrap_or_default())
    }

    /// Returns the identity of the client, if it has presented a valid certificate.
    pub fn peer(&self) -> Option<Peer> {
        let der = self.connection.peer_certificates()?.first()?;
        let subject = Certificate::read(der)?.subject()?;
        Some(Peer { subject, fingerprint: pem::fingerprint(der) })
    }

    /// Returns whether the data connection `data` may belong to the client of this control
    /// connection. If the client has presented a certificate here, `data` must have the same one. A
    /// resumed session has the certificate of its first handshake.
    pub fn may_be_peer_of(&self, data: &Self) -> bool {
        let own = |layer: &Self| layer.connection.peer_certificates()?.first().cloned();
        own(self).is_none_or(|certificate| own(data) == Some(certificate))
    }

    /// Appends the plain text that has arrived to `out`.
    ///
    /// # Errors
    ///
    /// When the stream fails, or a record is invalid.
    pub fn receive(
        &mut self,
        stream: &TcpStream,
        flags: RecvFlags,
        out: &mut Vec<u8>,
    ) -> io::Result<Got> {
        let (mut flags, before) = (flags, out.len());
        let inbox = out.capacity().clamp(INBOX, LARGE_INBOX);
        loop {
            self.drain(out)?;
            let full = self.pending || out.capacity() - out.len() < RECORD;
            if out.len() > before && (full || self.ended || self.taken == self.inbox.len()) {
                return Ok(Got::Some);
            }
            if self.ended {
                return Ok(Got::Closed);
            }
            match self.fetch(stream, flags, inbox) {
                // only the first read may wait, even if the peer sends a record byte by byte
                Ok(Fetched::Some) => flags = RecvFlags::DONTWAIT,
                Ok(Fetched::Nothing) => return Ok(Got::Nothing),
                Ok(Fetched::End) => return Ok(Got::Truncated),
                Err(why) => {
                    let _ = self.flush(stream);
                    return Err(why);
                }
            }
        }
    }

    /// Returns whether a read would return something even if nothing arrived on the stream: plain
    /// text, records that are not decrypted yet, or the end. A poll of the stream does not show
    /// this.
    pub fn holds(&self) -> bool {
        self.pending || self.ended || self.taken < self.inbox.len()
    }

    /// Moves plain text to `out`, as far as there is room.
    fn drain(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if out.len() == out.capacity() {
            out.reserve(1024);
        }
        self.pending = false;
        let mut reader = self.connection.reader();
        loop {
            match reader.fill_buf() {
                Ok([]) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(text) => {
                    let room = out.capacity() - out.len();
                    self.pending = text.len() > room;
                    let text = text.get(..room).unwrap_or(text);
                    out.extend_from_slice(text);
                    let taken = text.len();
                    reader.consume(taken);
                    if self.pending {
                        return Ok(());
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) => return Err(why),
            }
        }
    }

    /// Passes the bytes of the inbox to `rustls`, and fills the inbox first if it is empty.
    fn fetch(
        &mut self,
        stream: &TcpStream,
        flags: RecvFlags,
        room: usize,
    ) -> io::Result<Fetched> {
        if self.taken == self.inbox.len() {
            self.inbox.clear();
            self.taken = 0;
            self.inbox.reserve(room);
            match recv(stream, spare_capacity(&mut self.inbox), flags) {
                Ok((0, _)) => return Ok(Fetched::End),
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                    self.inbox = Vec::new();
                    return Ok(Fetched::Nothing);
                }
                Err(why) => return Err(why.into()),
            }
        }
        let mut rest = self.inbox.get(self.taken..).unwrap_or_default();
        self.taken += self.connection.read_tls(&mut rest)?;
        let state = self.connection.process_new_packets();
        let state = state.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        let plain = state.plaintext_bytes_to_read();
        self.pending = plain > 0;
        self.ended = state.peer_has_closed() && plain == 0;
        if let Some(gate) = &self.gate
            && self.is_resumed()
        {
            gate.open();
        }
        Ok(Fetched::Some)
    }

    /// Encrypts bytes and queues them for [`Layer::flush`].
    ///
    /// # Errors
    ///
    /// When the connection has been closed.
    pub fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)
    }

    /// Sends what is queued. Returns `false` if the stream has no more room at the moment.
    ///
    /// # Errors
    ///
    /// When the stream fails.
    pub fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let mut stream = stream;
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut stream) {
                Ok(_) => {}
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(why) => return Err(why),
            }
        }
        Ok(true)
    }

    /// Queues TLS's closing message (`close_notify`) for the next [`Layer::flush`].
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }
}

enum Fetched {
    Some,
    Nothing,
    End,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Layer")
    }
}
