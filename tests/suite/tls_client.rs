//! TLS for [`Client`] and its data connections, and an authority that issues certificates.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, StreamOwned, SupportedProtocolVersion,
};
use tempfile::TempDir;

use crate::client::Client;
use crate::server::Server;
use crate::trusting::Trusting;

/// The versions of TLS that most tests use, one after the other.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// The TLS of one client: its settings, and the tickets that it was given.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

/// A connection after its TLS handshake; most are data connections.
pub(crate) struct Secure(StreamOwned<ClientConnection, TcpStream>);

/// A certificate and its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Issues certificates. Its own lies in `ca.pem` of `dir`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

impl Tls {
    /// A client that resumes when it can: in TLS 1.3 with a fresh ticket each time.
    pub(crate) fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::with(&[version], None, true)
    }

    /// A client that never resumes.
    pub(crate) fn forgetful(version: &'static SupportedProtocolVersion) -> Self {
        Self::with(&[version], None, false)
    }

    /// A client that shows a certificate when it is asked.
    pub(crate) fn certified(version: &'static SupportedProtocolVersion, pair: &Pair) -> Self {
        Self::with(&[version], Some(pair), true)
    }

    fn with(
        versions: &[&'static SupportedProtocolVersion],
        pair: Option<&Pair>,
        resumes: bool,
    ) -> Self {
        let provider = Arc::new(ring::default_provider());
        let trusting = Arc::new(Trusting(Arc::clone(&provider)));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(trusting);
        let mut config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
                let chain = chain.collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        Self(Arc::new(config))
    }

    /// A TLS connection whose handshake has not begun.
    pub(crate) fn connection(&self) -> ClientConnection {
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(Arc::clone(&self.0), name).unwrap()
    }

    /// Carries out the handshake, which may fail.
    pub(crate) fn try_over(&self, mut stream: TcpStream) -> io::Result<Secure> {
        let mut connection = self.connection();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Secure(StreamOwned::new(connection, stream)))
    }

    /// Carries out the handshake, and fails the test if that fails.
    pub(crate) fn over(&self, stream: TcpStream) -> Secure {
        self.try_over(stream).unwrap_or_else(|why| panic!("data handshake: {why}"))
    }
}

impl Secure {
    /// Whether it resumed an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Reads up to the end, which must be announced by `close_notify`.
    pub(crate) fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Reads exactly this many bytes.
    pub(crate) fn read_exactly(&mut self, wanted: usize) -> Vec<u8> {
        let mut bytes = vec![0; wanted];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Drops TLS and returns the stream below.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.0.sock
    }

    /// Reads one byte.
    pub(crate) fn read_one(&mut self) {
        self.0.read_exact(&mut [0]).unwrap();
    }

    /// Sends all bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// Sends `close_notify`, and waits for that of the server.
    pub(crate) fn end(mut self) {
        self.0.conn.send_close_notify();
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut self.0.sock).unwrap();
        }
        self.0.sock.shutdown(Shutdown::Write).unwrap();
        let rest = self.read_all().unwrap_or_else(|why| panic!("no close_notify: {why}"));
        assert_eq!(rest, b"");
    }

    /// Sends `close_notify`, and does not wait for that of the server.
    pub(crate) fn leave(mut self) {
        self.0.conn.send_close_notify();
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut self.0.sock).unwrap();
        }
    }

    /// Ends the TCP stream without `close_notify`.
    pub(crate) fn cut(self) {
        self.0.sock.shutdown(Shutdown::Both).unwrap();
    }

    /// The TCP stream below TLS.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.0.sock
    }
}

impl Client {
    /// Connects, reads the greeting and switches to TLS.
    pub(crate) fn auth(server: &Server, tls: &Tls) -> Self {
        let mut client = Self::connect(server);
        client.cmd("AUTH TLS", 234);
        client.start_tls(tls);
        client
    }

    /// Carries out the handshake, and fails the test if that fails.
    pub(crate) fn start_tls(&mut self, tls: &Tls) {
        if let Err(why) = self.try_tls(tls) {
            self.fail(&format!("control handshake: {why}"));
        }
    }

    /// Carries out the handshake, which may fail.
    pub(crate) fn try_tls(&mut self, tls: &Tls) -> io::Result<()> {
        let mut connection = tls.connection();
        let mut stream = self.stream();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        self.tls = Some(Box::new(connection));
        Ok(())
    }

    /// Logs in as bob over TLS, with private data connections and binary type.
    pub(crate) fn secure_bob(server: &Server, tls: &Tls) -> Self {
        let mut client = Self::auth(server, tls);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.go_private();
        client
    }

    /// Sends PBSZ, PROT P and TYPE I.
    pub(crate) fn go_private(&mut self) {
        self.cmd("PBSZ 0", 200);
        self.cmd("PROT P", 200);
        self.cmd("TYPE I", 200);
    }

    /// The certificate that the server has shown.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let tls = self.tls.as_ref().unwrap();
        tls.peer_certificates().unwrap()[0].to_vec()
    }

    /// Sends EPSV and the command, and returns the data connection after the 150.
    pub(crate) fn begin(&mut self, tls: &Tls, command: &str) -> Secure {
        let data = self.passive();
        self.cmd(command, 150);
        tls.over(data)
    }

    /// Carries out a whole download over TLS, ended by `close_notify` from both sides.
    pub(crate) fn secure_download(&mut self, tls: &Tls, command: &str) -> Vec<u8> {
        let mut data = self.begin(tls, command);
        let bytes = data.read_all();
        let bytes = bytes.unwrap_or_else(|why| self.fail(&format!("reading data: {why}")));
        data.end();
        self.expect(226);
        bytes
    }

    /// Carries out a whole upload over TLS, ended by `close_notify` from both sides.
    pub(crate) fn secure_upload(&mut self, tls: &Tls, command: &str, bytes: &[u8]) {
        let mut data = self.begin(tls, command);
        if let Err(why) = data.send(bytes) {
            self.fail(&format!("sending data: {why}"));
        }
        data.end();
        self.expect(226);
    }
}

impl Pair {
    /// Makes a key and a certificate that is signed by itself.
    pub(crate) fn own(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, key: key.serialize_pem() }
    }

    /// The certificate's bytes.
    pub(crate) fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap().to_vec()
    }

    /// SHA-256 of the certificate, as the log and `ftpd cert` print it.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.der())
    }
}

/// SHA-256, as other programs print it.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let hash = ::ring::digest::digest(&::ring::digest::SHA256, der);
    let bytes: Vec<_> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// Parameters of a certificate for `localhost` with this common name.
pub(crate) fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = named("An authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), dir }
    }

    /// The file of the authority's own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for this common name of the organization `Example`.
    pub(crate) fn issue(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name).signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}
