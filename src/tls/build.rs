//! Makes the settings for `rustls` from `ftpd.ini`, a certificate and its key.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig, version};

use super::error::TlsError;
use super::identity::Identity;
use super::pem;
use crate::config::{ClientCertificate, Resume, TlsSettings, TlsVersion};

/// Protocol names (ALPN) that are accepted. A browser that was tricked into connecting offers other
/// names, and is refused.
const NAMES: [&[u8]; 3] = [b"ftp", b"ftp-data", b"x-filezilla-ftp"];

pub(super) fn build(
    settings: &TlsSettings,
    identity: Identity,
) -> Result<Arc<ServerConfig>, TlsError> {
    let versions: &[_] = match settings.min_version {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(TlsError::of)?;
    let verifier = verifier(settings)?;
    let (certificate, key) = settings.files();
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(|why| Identity::explain(&certificate, &key, &why))?;
    config.time_provider = Arc::new(Clock);
    config.alpn_protocols = NAMES.iter().map(|name| name.to_vec()).collect();
    if settings.resume == Resume::Off {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// The time of the system, but never before 1970. An earlier time is wrong anyway, and at the start
/// of 1970 no client certificate is valid yet.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(since.unwrap_or_default()))
    }
}

/// Makes the verifier of client certificates. It asks for no certificate if `tls_client_ca` is not
/// set.
pub(super) fn verifier(
    settings: &TlsSettings,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(file) = &settings.client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let bad = |why: String| TlsError(format!("tls_client_ca {}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for root in pem::certificates("tls_client_ca", file)? {
        roots.add(root).map_err(|why| bad(why.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("contains no certificate".to_owned()));
    }
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match settings.client_cert {
        ClientCertificate::Required => builder,
        ClientCertificate::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|why| bad(why.to_string()))
}
