//! The TLS layer between a TCP stream and the plain text of a connection. It never blocks longer
//! than the stream does, and each call reads from the stream only until it has something to return.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustix::net::RecvFlags;
use rustls::server::UnbufferedServerConnection;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};

use super::certificate::Certificate;
use super::error::TlsError;
use super::pem;
use super::records::{Fetched, RECORD, Records, Step, Task};
use super::session::SessionTls;
use super::tickets::Gate;

/// The TLS layer of one connection.
pub struct Layer {
    records: Records,
    /// Plain text for which the caller had no room. The first `taken` bytes have been read since.
    rest: Vec<u8>,
    taken: usize,
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

/// Size of a read during the handshake: enough for what a client usually sends at once.
const GREETING: usize = 4 << 10;

/// Maximum size of a read. A caller with less room is probably not sent more than it has room for.
const LARGEST: usize = 128 << 10;

impl Layer {
    /// Makes the server's side of a new control connection.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn control(tls: &SessionTls) -> Result<Box<Self>, TlsError> {
        Self::new(Arc::clone(&tls.control), None)
    }

    /// Makes the server's side of a new data connection.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn data(tls: &SessionTls) -> Result<Box<Self>, TlsError> {
        let (config, gate) = tls.data_connection();
        Self::new(config, Some(gate))
    }

    /// Makes a layer on the heap. The stack that this takes is free again for the handshake, because a
    /// stack page stays in memory once it has been used.
    #[inline(never)]
    fn new(config: Arc<ServerConfig>, gate: Option<Gate>) -> Result<Box<Self>, TlsError> {
        let connection = UnbufferedServerConnection::new(config).map_err(TlsError::of)?;
        let records = Records::new(connection, gate.is_some());
        Ok(Box::new(Self { records, rest: Vec::new(), taken: 0, has_noise: false, gate }))
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
            if let Err(why) = self.advance(Task::Read, &mut Vec::new()) {
                self.has_noise = matches!(why, rustls::Error::InvalidMessage(_));
                let _ = self.flush(stream);
                return Err(TlsError::of(why));
            }
            let is_done = !self.records.connection.is_handshaking();
            let is_data = self.gate.is_some();
            let version = self.records.connection.protocol_version();
            if is_done && is_data && version == Some(ProtocolVersion::TLSv1_3) {
                return Ok(None);
            }
            if !self.flush(stream).map_err(TlsError::of)? {
                return Ok(Some(Want::Write));
            }
            if is_done {
                return Ok(None);
            }
            match self.records.fetch(stream, RecvFlags::DONTWAIT, GREETING) {
                Ok(Fetched::Some) => {}
                Ok(Fetched::Nothing) => return Ok(Some(Want::Read)),
                Ok(Fetched::End) => return Err(TlsError("closed by the client".to_owned())),
                Err(why) => return Err(TlsError::of(why)),
            }
        }
    }

    /// Returns whether the handshake failed because the peer does not speak TLS.
    pub fn has_noise(&self) -> bool {
        self.has_noise
    }

    /// Returns whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.records.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Returns the version of TLS.
    pub fn version(&self) -> &'static str {
        let version = self.records.connection.protocol_version();
        if version == Some(ProtocolVersion::TLSv1_2) { "1.2" } else { "1.3" }
    }

    /// Returns the version of TLS and the cipher suite, for the log.
    pub fn describe(&self) -> String {
        let version = self.version();
        let suite = self.records.connection.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str().map(str::to_owned));
        format!("TLS {version}, {}", suite.unwrap_or_default())
    }

    /// Returns the identity of the client, if it has presented a valid certificate.
    pub fn peer(&self) -> Option<Peer> {
        let der = self.records.connection.peer_certificates()?.first()?;
        let subject = Certificate::read(der)?.subject()?;
        Some(Peer { subject, fingerprint: pem::fingerprint(der) })
    }

    /// Returns whether the data connection `data` may belong to the client of this control
    /// connection. If the client has presented a certificate here, `data` must have the same one. A
    /// resumed session has the certificate of its first handshake.
    pub fn may_be_peer_of(&self, data: &Self) -> bool {
        let own = |layer: &Self| layer.records.connection.peer_certificates()?.first().cloned();
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
        loop {
            self.give_rest(out);
            let full = self.has_rest() || out.capacity() - out.len() < RECORD;
            if out.len() > before && full {
                return Ok(Got::Some);
            }
            match self.advance(Task::Read, out) {
                Ok(Step::Text) => continue,
                Ok(Step::Starved | Step::Done) => {}
                Err(why) => {
                    let _ = self.flush(stream);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
            if out.len() > before {
                return Ok(Got::Some);
            }
            if self.records.ended {
                return Ok(Got::Closed);
            }
            match self.records.fetch(stream, flags, out.capacity().min(LARGEST))? {
                // only the first read may wait, even if the peer sends a record byte by byte
                Fetched::Some => flags = RecvFlags::DONTWAIT,
                Fetched::Nothing => return Ok(Got::Nothing),
                Fetched::End => return Ok(Got::Truncated),
            }
        }
    }

    /// Returns whether a read would return something even if nothing arrived on the stream: plain
    /// text, records that are not decrypted yet, or the end. A poll of the stream does not show
    /// this.
    pub fn holds(&self) -> bool {
        self.has_rest() || self.records.ended || self.records.has_record()
    }

    fn has_rest(&self) -> bool {
        self.taken < self.rest.len()
    }

    /// Moves plain text that was left over to `out`, as far as there is room.
    fn give_rest(&mut self, out: &mut Vec<u8>) {
        if out.len() == out.capacity() {
            out.reserve(1024);
        }
        let rest = self.rest.get(self.taken..).unwrap_or_default();
        let rest = rest.get(..out.capacity() - out.len()).unwrap_or(rest);
        out.extend_from_slice(rest);
        self.taken += rest.len();
        if !self.has_rest() {
            (self.rest, self.taken) = (Vec::new(), 0);
        }
    }

    /// Decrypts the next record, or carries out a task (see [`Records::advance`]).
    fn advance(&mut self, task: Task<'_>, out: &mut Vec<u8>) -> Result<Step, rustls::Error> {
        let step = self.records.advance(task, out, &mut self.rest);
        if let Some(gate) = &self.gate
            && self.is_resumed()
        {
            gate.open();
        }
        step
    }

    /// Encrypts bytes and queues them for [`Layer::flush`].
    ///
    /// # Errors
    ///
    /// When the connection has been closed.
    pub fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.advance(Task::Write(bytes), &mut Vec::new()) {
                Ok(Step::Done) => return Ok(()),
                Ok(Step::Text) => {}
                Ok(Step::Starved) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
            }
        }
    }

    /// Sends what is queued. Returns `false` if the stream has no more room at the moment.
    ///
    /// # Errors
    ///
    /// When the stream fails.
    pub fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        self.records.flush(stream)
    }

    /// Queues TLS's closing message (`close_notify`) for the next [`Layer::flush`].
    pub fn close(&mut self) {
        // on an error the connection is not closed properly, which the peer notices
        while let Ok(Step::Text) = self.advance(Task::Close, &mut Vec::new()) {}
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Layer")
    }
}
