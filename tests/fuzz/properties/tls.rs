//! The TLS layer, fed in arbitrary pieces: bytes that are no handshake never become one; what a
//! client sends arrives as it was; and of a stream that was changed or cut on its way only a
//! beginning arrives, without the end that TLS asks for.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock};

use ftpd::config::{CertificateSource, ClientCertificate, Resume, TlsSettings, TlsVersion};
use ftpd::tls::{Got, Layer, SessionTls, Tls};
use rustix::net::RecvFlags;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection};

use super::pieces::Pieces;
use crate::trusting::Trusting;

/// What is done to the client's stream on its way, after this many of its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    None,
    Flip(usize),
    Cut(usize),
}

/// Checks one input. Its first byte chooses the version, the kind of connection and the harm,
/// the next two where the harm is done; what follows is sent.
pub(super) fn check(data: &[u8]) {
    let Some((&[mode, low, high], data)) = data.split_first_chunk::<3>() else { return };
    let at = usize::from(u16::from_le_bytes([low, high]));
    let pieces = Pieces::of(data);
    let mut server = Server::new(mode & 1 == 0);
    let harm = match mode >> 2 & 3 {
        0 => return check_noise(server, pieces),
        1 => Harm::None,
        2 => Harm::Flip(at),
        _ => Harm::Cut(at),
    };
    // now and then more than a record holds
    let text = pieces.rest().repeat(if mode & 16 == 0 { 1 } else { 64 });
    let mut client = Client::new(mode & 2 == 0, harm);
    let (received, ended) = client.talk(&mut server, &pieces, &text);
    if harm == Harm::None || !client.is_harmed {
        assert!(ended && received == text, "{} of {} bytes", received.len(), text.len());
    } else {
        assert!(text.starts_with(&received), "what arrives is not what was sent");
        assert!(!ended || received == text, "a cut stream looks whole");
    }
}

/// Bytes that come from no client: there is no end of the handshake for them.
fn check_noise(mut server: Server, pieces: Pieces<'_>) {
    for piece in pieces {
        (&server.far).write_all(piece).unwrap();
        match server.layer.shake(&server.near) {
            Ok(want) => assert!(want.is_some(), "noise shook hands"),
            Err(_) => return,
        }
        let _ = take(&server.far);
    }
    server.far.shutdown(Shutdown::Write).unwrap();
    let shaken = server.layer.shake(&server.near);
    assert!(shaken.is_err() && !server.layer.is_resumed(), "a handshake without a client");
}

struct Server {
    layer: Box<Layer>,
    near: TcpStream,
    far: TcpStream,
}

impl Server {
    fn new(is_control: bool) -> Self {
        static SESSION: LazyLock<SessionTls> = LazyLock::new(|| {
            let dir = tempfile::tempdir().unwrap();
            let settings = TlsSettings {
                once: true,
                certificate: CertificateSource::Auto,
                key: None,
                dir: dir.path().join("tls"),
                names: vec!["localhost".to_owned()],
                min_version: TlsVersion::V1_2,
                resume: Resume::Prefer,
                client_ca: None,
                client_cert: ClientCertificate::Optional,
                owner: None,
            };
            Tls::start(&settings).unwrap().session().unwrap()
        });
        let (near, far) = UnixStream::pair().unwrap();
        let [near, far] = [near, far].map(|end| {
            end.set_nonblocking(true).unwrap();
            TcpStream::from(OwnedFd::from(end))
        });
        let layer = if is_control { Layer::control(&SESSION) } else { Layer::data(&SESSION) };
        Self { layer: layer.unwrap(), near, far }
    }

    /// Goes on after something has come: shakes hands, and then reads. Whether there may be
    /// more.
    fn go_on(&mut self, shaken: &mut bool, received: &mut Vec<u8>) -> Result<Got, ()> {
        if !*shaken {
            *shaken = self.layer.shake(&self.near).map_err(drop)?.is_none();
            if !*shaken {
                return Ok(Got::Nothing);
            }
        }
        loop {
            let got = self.layer.receive(&self.near, RecvFlags::DONTWAIT, received);
            match got.map_err(drop)? {
                Got::Some => {}
                other => return Ok(other),
            }
        }
    }
}

struct Client {
    connection: ClientConnection,
    harm: Harm,
    is_harmed: bool,
    sent: usize,
}

impl Client {
    fn new(is_old: bool, harm: Harm) -> Self {
        let config = |version| {
            let provider = Arc::new(ring::default_provider());
            let trusting = Arc::new(Trusting(Arc::clone(&provider)));
            let config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(trusting);
            Arc::new(config.with_no_client_auth())
        };
        let config = config(if is_old { &TLS12 } else { &TLS13 });
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(config, name).unwrap();
        Self { connection, harm, is_harmed: false, sent: 0 }
    }

    /// Shakes hands, sends the text and ends. Returns what the server has received, and whether
    /// it has seen the end that TLS asks for.
    fn talk(
        &mut self,
        server: &mut Server,
        pieces: &Pieces<'_>,
        text: &[u8],
    ) -> (Vec<u8>, bool) {
        let (mut shaken, mut received, mut is_told) = (false, Vec::new(), false);
        loop {
            if !self.connection.is_handshaking() && !is_told {
                self.connection.set_buffer_limit(None);
                self.connection.writer().write_all(text).unwrap();
                self.connection.send_close_notify();
                is_told = true;
            }
            let bytes = self.bytes();
            let was_silent = bytes.is_empty();
            for piece in pieces.again(&bytes) {
                (&server.far).write_all(piece).unwrap();
                match server.go_on(&mut shaken, &mut received) {
                    Ok(Got::Closed) => return (received, true),
                    Ok(Got::Some | Got::Nothing | Got::Truncated) => {}
                    Err(()) => return (received, false),
                }
                assert!(received.len() <= text.len(), "more arrives than was sent");
            }
            let answer = take(&server.far);
            let is_over = was_silent && answer.is_empty();
            if is_over || self.harm != Harm::None && self.hear(&answer).is_err() {
                // whatever the server waits for will not come
                server.far.shutdown(Shutdown::Write).unwrap();
                let got = server.go_on(&mut shaken, &mut received);
                return (received, got == Ok(Got::Closed));
            }
            if self.harm == Harm::None {
                self.hear(&answer).expect("what the server says");
            }
        }
    }

    /// What the client wants to send, after the harm.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut bytes).unwrap();
        }
        let from = self.sent;
        self.sent += bytes.len();
        let here = |at: usize| at.checked_sub(from).filter(|at| *at < bytes.len());
        match self.harm {
            Harm::None => {}
            Harm::Flip(at) => {
                if let Some(here) = here(at) {
                    bytes[here] ^= 1 << (at & 7);
                    self.is_harmed = true;
                }
            }
            Harm::Cut(at) => {
                let kept = at.saturating_sub(from).min(bytes.len());
                self.is_harmed |= kept < bytes.len();
                bytes.truncate(kept);
            }
        }
        bytes
    }

    fn hear(&mut self, answer: &[u8]) -> Result<(), ()> {
        let mut rest = answer;
        while !rest.is_empty() {
            self.connection.read_tls(&mut rest).map_err(drop)?;
            self.connection.process_new_packets().map_err(drop)?;
        }
        Ok(())
    }
}

/// All that has arrived here.
fn take(stream: &TcpStream) -> Vec<u8> {
    let (mut stream, mut bytes) = (stream, Vec::new());
    match stream.read_to_end(&mut bytes) {
        Err(why) if why.kind() != ErrorKind::WouldBlock => Vec::new(),
        _ => bytes,
    }
}
