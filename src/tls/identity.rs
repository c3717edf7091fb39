//! A certificate with its chain and its key, as read from PEM files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::certificate::Certificate;
use super::error::TlsError;
use super::pem;

/// A certificate with its chain, and its private key.
pub struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    certificate: PathBuf,
    key_file: PathBuf,
    begins: SystemTime,
    ends: SystemTime,
}

/// A certificate that the server makes itself is renewed this long before it expires.
const MARGIN: Duration = Duration::from_secs(30 * 24 * 3600);

impl Identity {
    pub(super) fn read(certificate: PathBuf, key_file: PathBuf) -> Result<Self, TlsError> {
        let chain = pem::named("tls_cert", &certificate, pem::read(&certificate))?;
        let key = pem::named("tls_key", &key_file, pem::read(&key_file))?;
        Self::parse((certificate, &chain), (key_file, &key))
    }

    /// Reads the contents of the two files.
    pub(super) fn parse(
        (certificate, chain): (PathBuf, &[u8]),
        (key_file, key): (PathBuf, &[u8]),
    ) -> Result<Self, TlsError> {
        let bad = |why: String| TlsError(format!("tls_cert {}: {why}", certificate.display()));
        let chain = pem::certificates_in("tls_cert", &certificate, chain)?;
        let key = pem::private_key_in(&key_file, key)?;
        let first = chain.first().ok_or_else(|| bad("contains no certificate".to_owned()))?;
        let wrong = || bad("is not an X.509 certificate of version 3".to_owned());
        let first =
            Certificate::read(first).filter(Certificate::is_version_3).ok_or_else(wrong)?;
        let (begins, ends) = (first.begins, first.ends);
        Ok(Self { chain, key, certificate, key_file, begins, ends })
    }

    /// Returns whether a certificate that the server makes itself must be renewed.
    pub(super) fn ends_soon(&self) -> bool {
        near(self.ends)
    }

    /// Returns whether the key belongs to the certificate.
    pub(super) fn is_pair(&self) -> bool {
        let (chain, key) = (self.chain.clone(), self.key.clone_key());
        CertifiedKey::from_der(chain, key, &default_provider()).is_ok()
    }

    /// Returns warnings for the administrator about dates and file modes.
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.ends < now {
            warnings.push(format!("tls_cert {}: has expired", self.certificate.display()));
        }
        if self.begins > now {
            warnings.push(format!("tls_cert {}: is not valid yet", self.certificate.display()));
        }
        warnings.extend(self.open_key());
        warnings
    }

    /// Returns a warning if other users can read the key.
    pub fn open_key(&self) -> Option<String> {
        let mode = fs::metadata(&self.key_file).map(|meta| meta.permissions().mode());
        let key = self.key_file.display();
        mode.is_ok_and(|mode| mode & 0o004 != 0)
            .then(|| format!("tls_key {key}: others can read it; run chmod 600 on it"))
    }

    /// Returns the certificates in DER, that of the server first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(AsRef::as_ref)
    }

    /// Returns when the certificate expires.
    pub(super) fn end(&self) -> SystemTime {
        self.ends
    }

    /// Returns the date on which the certificate expires, in UTC.
    pub fn ends(&self) -> String {
        let at = OffsetDateTime::from(self.ends);
        format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
    }

    /// Returns the SHA-256 fingerprint of the certificate, as other programs print it.
    pub fn fingerprint(&self) -> String {
        self.chain.first().map(|first| pem::fingerprint(first)).unwrap_or_default()
    }

    /// Explains why a certificate and a key cannot be used together.
    pub(super) fn explain(certificate: &Path, key: &Path, why: &rustls::Error) -> TlsError {
        let (certificate, key) = (certificate.display(), key.display());
        if matches!(why, rustls::Error::InconsistentKeys(_)) {
            return TlsError(format!(
                "tls_key {key}: is not the key of tls_cert {certificate}"
            ));
        }
        // rustls gives no other reason for a key that it does not support
        if matches!(why, rustls::Error::General(_)) {
            let fit = "use RSA of 2048 to 4096 bits, ECDSA of P-256 or P-384, or Ed25519";
            return TlsError(format!("tls_key {key}: cannot be used; {fit}"));
        }
        TlsError(format!("tls_cert {certificate}, tls_key {key}: {why}"))
    }

    /// Returns the paths of both files, for messages.
    pub fn files(&self) -> String {
        format!("tls_cert {}, tls_key {}", self.certificate.display(), self.key_file.display())
    }
}

/// Returns whether a certificate that expires at `ends` must be renewed, if the server made it
/// itself.
pub(super) fn near(ends: SystemTime) -> bool {
    ends < SystemTime::now() + MARGIN
}
