//! The side of a client: which authorities are trusted, and TLS over a stream to a server that one of
//! them vouches for.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::error::TlsError;
use super::pem;

/// The files in which systems keep the authorities that they trust.
pub const AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities that are trusted, with the settings of a client.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Reads the authorities of `ca_file`, or else those of the system.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn read(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let roots = match ca_file {
            Some(file) => Self::of_file(file)?,
            None => Self::of_system()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::of)?;
        Ok(Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }

    fn of_file(file: &Path) -> Result<RootCertStore, TlsError> {
        let bad = |why: String| TlsError(format!("ca_file {}: {why}", file.display()));
        let mut roots = RootCertStore::empty();
        for root in pem::certificates("ca_file", file)? {
            roots.add(root).map_err(|why| bad(why.to_string()))?;
        }
        if roots.is_empty() {
            Err(bad("contains no certificate".to_owned()))
        } else {
            Ok(roots)
        }
    }

    fn of_system() -> Result<RootCertStore, TlsError> {
        let read = |file: &&str| pem::certificates("ca_file", Path::new(file)).ok();
        let mut roots = RootCertStore::empty();
        // a system may have old authorities that cannot be read
        roots.add_parsable_certificates(AUTHORITIES.iter().find_map(read).unwrap_or_default());
        if roots.is_empty() {
            let why = "ca_file: is empty, and the system has no list of authorities";
            return Err(TlsError(why.to_owned()));
        }
        Ok(roots)
    }

    /// Returns a stream over TLS. The handshake takes place with the first bytes, and fails unless the
    /// server has a certificate for the name or address `host`.
    ///
    /// # Errors
    ///
    /// When `host` is neither a name nor an address.
    pub fn over<S: Read + Write>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<impl Read + Write + use<S>, TlsError> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| TlsError(format!("{host}: no name of a server")))?;
        let connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(TlsError::of)?;
        Ok(StreamOwned::new(connection, stream))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
