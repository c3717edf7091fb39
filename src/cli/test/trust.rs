//! The client's side of TLS. It finishes the handshake with any certificate and then judges it,
//! because a report on a bad certificate is worth more than a refusal.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientConnectionData, ClientSessionMemoryCache, ClientSessionStore, Resumption,
    Tls12ClientSessionValue, Tls13ClientSessionValue,
    verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, ConnectionCommon, DigitallySignedStruct,
    Error, NamedGroup, ProtocolVersion, RootCertStore, SignatureScheme,
};

use super::facts::{Chain, Handshake, Trouble};
use crate::tls::{AUTHORITIES, Presented};

/// Number of sessions that are kept to be resumed.
const SESSIONS: usize = 64;

/// The settings of TLS, and the sessions that can be resumed.
pub(super) struct Trust {
    sessions: Arc<Sessions>,
    resuming: Arc<ClientConfig>,
    fresh: Arc<ClientConfig>,
    provider: Arc<CryptoProvider>,
    name: ServerName<'static>,
    authorities: RootCertStore,
}

impl Trust {
    /// Makes the settings for a server with this name, or else this address.
    pub(super) fn new(host: &str, address: IpAddr) -> Result<Self, Trouble> {
        let provider = Arc::new(default_provider());
        let make = || {
            let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
            let builder = builder.with_safe_default_protocol_versions()?;
            let any = Arc::new(Any(Arc::clone(&provider)));
            let builder = builder.dangerous().with_custom_certificate_verifier(any);
            Ok(builder.with_no_client_auth())
        };
        let bad = |why: Error| Trouble::Tls(why.to_string());
        let mut resuming = make().map_err(bad)?;
        let sessions = Arc::new(Sessions::default());
        resuming.resumption = Resumption::store(Arc::clone(&sessions) as _);
        let mut fresh = make().map_err(bad)?;
        fresh.resumption = Resumption::disabled();
        // the zone of an IPv6 address is no part of its name
        let host = host.split_once('%').map_or(host, |(host, _)| host);
        let name = ServerName::try_from(host.to_owned());
        let name = name.unwrap_or_else(|_| ServerName::from(address.to_canonical()));
        let (resuming, fresh) = (Arc::new(resuming), Arc::new(fresh));
        Ok(Self { sessions, resuming, fresh, provider, name, authorities: authorities() })
    }

    /// Begins a handshake that may resume an earlier session, or one that does not.
    pub(super) fn connection(&self, may_resume: bool) -> Result<ClientConnection, Trouble> {
        let config = if may_resume { &self.resuming } else { &self.fresh };
        let connection = ClientConnection::new(Arc::clone(config), self.name.clone());
        connection.map_err(|why| Trouble::Tls(why.to_string()))
    }

    /// Returns whether the next connection may resume a session.
    pub(super) fn has_session(&self) -> bool {
        self.sessions.tickets.load(Ordering::Relaxed) > 0
            || self.sessions.cache.tls12_session(&self.name).is_some()
    }

    /// Looks at what the server has presented.
    pub(super) fn look(&self, tls: &ConnectionCommon<ClientConnectionData>) -> Handshake {
        let version = match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let suite = tls.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        let chain = tls.peer_certificates().unwrap_or_default();
        let certificate = chain.first().and_then(|der| Presented::read(der));
        let days_left =
            certificate.as_ref().map_or(0, |certificate| days_until(certificate.ends));
        let (verdict, has_name) =
            verify(chain, Some(&self.name), &self.authorities, &self.provider);
        Handshake {
            version: format!("{version}, {suite}"),
            certificate,
            length: chain.len(),
            chain: verdict,
            has_name,
            days_left,
        }
    }
}

/// Verifies a chain of certificates in DER, and whether the first one has a name. Without a name, it has.
pub(in crate::cli) fn judge_chain<'d>(
    chain: impl Iterator<Item = &'d [u8]>,
    name: Option<&str>,
) -> (Chain, bool) {
    let chain: Vec<_> = chain.map(CertificateDer::from).collect();
    let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    verify(&chain, name.as_ref(), &authorities(), &default_provider())
}

/// Verifies the chain, and the name of its first certificate.
fn verify(
    chain: &[CertificateDer<'_>],
    name: Option<&ServerName<'_>>,
    authorities: &RootCertStore,
    provider: &CryptoProvider,
) -> (Chain, bool) {
    let Some((first, others)) = chain.split_first() else {
        return (Chain::Broken("the server has presented no certificate".into()), false);
    };
    let parsed = match ParsedCertificate::try_from(first) {
        Ok(parsed) => parsed,
        Err(why) => return (Chain::Broken(why.to_string()), false),
    };
    let has_name = name.is_none_or(|name| verify_server_name(&parsed, name).is_ok());
    if authorities.is_empty() {
        return (Chain::NoAuthorities, has_name);
    }
    let known = provider.signature_verification_algorithms.all;
    let now = UnixTime::now();
    let verified =
        verify_server_cert_signed_by_trust_anchor(&parsed, authorities, others, now, known);
    (verified.map_or_else(|why| fault(&why), |()| Chain::Trusted), has_name)
}

/// Classifies a fault of a chain.
#[expect(clippy::wildcard_enum_match_arm, reason = "other errors are printed as they are")]
fn fault(why: &Error) -> Chain {
    match why {
        Error::InvalidCertificate(fault) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Chain::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Chain::NotYet
            }
            // Other: for example an authority that is presented as a server
            CertificateError::UnknownIssuer | CertificateError::Other(_) => Chain::Unknown,
            other => Chain::Broken(other.to_string()),
        },
        other => Chain::Broken(other.to_string()),
    }
}

/// Returns the whole days until a time.
fn days_until(time: SystemTime) -> i64 {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (then, now) = (seconds(time).cast_signed(), seconds(SystemTime::now()).cast_signed());
    (then - now).div_euclid(24 * 3600)
}

/// Reads the authorities that this machine trusts. As with OpenSSL, `SSL_CERT_FILE` may name
/// others.
#[expect(clippy::disallowed_methods, reason = "a client reads the list of this machine")]
fn authorities() -> RootCertStore {
    let read = |file: &str| -> io::Result<Vec<u8>> { std::fs::read(file) };
    let bytes = match std::env::var("SSL_CERT_FILE") {
        Ok(file) => read(&file).ok(),
        Err(_) => AUTHORITIES.iter().find_map(|file| read(file).ok()),
    };
    let mut store = RootCertStore::empty();
    let bytes = bytes.unwrap_or_default();
    store.add_parsable_certificates(
        CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok),
    );
    store
}

/// The sessions that can be resumed. A ticket of TLS 1.3 is used once, so they are counted: some
/// servers give no new ones on data connections.
#[derive(Debug)]
struct Sessions {
    cache: ClientSessionMemoryCache,
    tickets: AtomicUsize,
}

impl Default for Sessions {
    fn default() -> Self {
        let cache = ClientSessionMemoryCache::new(SESSIONS);
        Self { cache, tickets: AtomicUsize::new(0) }
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.set_tls12_session(server, value);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.cache.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.cache.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::Relaxed);
        self.cache.insert_tls13_ticket(server, value);
    }

    fn take_tls13_ticket(
        &self,
        server: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        let ticket = self.cache.take_tls13_ticket(server);
        // the cache forgets the oldest ones, so only an empty one is sure
        let left = if ticket.is_some() { 1 } else { usize::MAX };
        let less = |count: usize| Some(count.saturating_sub(left));
        let _ = self.tickets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        ticket
    }
}

/// Accepts any certificate, but only with valid signatures of the handshake.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
