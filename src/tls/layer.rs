//! One TLS connection between a TCP stream and its bytes. Never blocks longer than the stream
//! does, and never reads more than one piece at a time without being asked.

use std::io::{self, BufRead, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::error::TlsError;
use super::pem;
use super::session::SessionTls;
use super::tickets::Gate;

/// The state of one connection.
pub struct Layer {
    connection: ServerConnection,
    /// What the socket has given and rustls has not yet taken: few reads, whatever the size
    /// of the records.
    inbox: Vec<u8>,
    taken: usize,
    /// There is plain text that nobody has taken yet.
    pending: bool,
    /// The peer has said its end, and all before it has been taken.
    ended: bool,
    /// What came was not TLS.
    has_noise: bool,
    /// Of a data connection: lets it give out tickets once it has resumed.
    gate: Option<Gate>,
}

/// What the stream must be able to do before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Give bytes.
    Read,
    /// Take bytes.
    Write,
}

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// Bytes.
    Some,
    /// Nothing yet.
    Nothing,
    /// The peer has closed the connection in the way TLS asks for.
    Closed,
    /// The TCP stream has ended, and TLS has not: what came may have been cut.
    Truncated,
}

/// Who a client's certificate says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Subject, as RFC 4514 writes it.
    pub subject: String,
    /// SHA-256.
    pub fingerprint: String,
}

/// Room for a record and a half.
const INBOX: usize = 24 << 10;

/// The same for a reader with room for many.
const LARGE_INBOX: usize = 128 << 10;

/// The most plain text of a record.
const RECORD: usize = 16 << 10;

impl Layer {
    /// The server's side of a new control connection.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub fn control(tls: &SessionTls) -> Result<Self, TlsError> {
        Self::new(Arc::clone(&tls.control), None)
    }

    /// The server's side of a new data connection.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
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

    /// Goes on with the handshake as far as the stream allows; `None` when it is done.
    ///
    /// The tickets of TLS 1.3 come behind the handshake. On a control connection they go out at
    /// once: clients that use `GnuTLS` (wget, lftp) wait only a moment for one before they go on, and
    /// could not resume on data connections. On a data connection they go out with what is sent
    /// first, which is the very end of an upload: a client that only sends would not read them,
    /// and a close with something unread takes back what is still on its way.
    ///
    /// # Errors
    ///
    /// When it fails. The alert that says why has been sent if that was possible.
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

    /// Whether the handshake failed because what came is not TLS at all.
    pub fn has_noise(&self) -> bool {
        self.has_noise
    }

    /// Whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Version and cipher suite, for the log.
    pub fn describe(&self) -> String {
        let version = self.connection.protocol_version();
        let version = if version == Some(ProtocolVersion::TLSv1_2) { "1.2" } else { "1.3" };
        let suite = self.connection.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str().map(str::to_owned));
        format!("TLS {version}, {}", suite.unwrap_or_default())
    }

    /// The client's certificate, if it has shown one that its authority has signed.
    pub fn peer(&self) -> Option<Peer> {
        let der = self.connection.peer_certificates()?.first()?;
        let certificate = Certificate::from_der(der).ok()?;
        let subject = certificate.tbs_certificate().subject().to_string();
        Some(Peer { subject, fingerprint: pem::fingerprint(der) })
    }

    /// Whether the client of a data connection may be the client of this control connection: it
    /// has shown the same certificate, if this one has shown any. A resumed session has that of
    /// its first handshake.
    pub fn may_be_peer_of(&self, data: &Self) -> bool {
        let own = |layer: &Self| layer.connection.peer_certificates()?.first().cloned();
        own(self).is_none_or(|certificate| own(data) == Some(certificate))
    }

    /// Appends what has arrived.
    ///
    /// # Errors
    ///
    /// The stream's, or what is wrong with the records.
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
                // a peer that sends a record byte by byte may make us wait once
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

    /// Whether a read would give something even if the stream had nothing: plain text, records
    /// that are still to be opened, or the end. No poll of the stream tells.
    pub fn holds(&self) -> bool {
        self.pending || self.ended || self.taken < self.inbox.len()
    }

    /// Takes the plain text that is there, as far as there is room.
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

    /// Gives rustls what is in the inbox, or fills that first.
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

    /// Encrypts bytes; they wait for [`Layer::flush`].
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)
    }

    /// Sends what waits; `false` when the stream takes no more now.
    ///
    /// # Errors
    ///
    /// The stream's.
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

    /// Says that no more will be sent; goes out with the next [`Layer::flush`].
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
