//! A certificate with its chain and its key, as read from PEM files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::Decode;

use super::error::TlsError;
use super::pem;

/// A chain and the key of its first certificate.
pub struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    certificate: PathBuf,
    key_file: PathBuf,
    begins: SystemTime,
    ends: SystemTime,
}

/// It is renewed this long before its end.
const MARGIN: Duration = Duration::from_secs(30 * 24 * 3600);

impl Identity {
    pub(super) fn read(certificate: PathBuf, key_file: PathBuf) -> Result<Self, TlsError> {
        let bad = |why: String| TlsError(format!("tls_cert {}: {why}", certificate.display()));
        let chain = pem::certificates("tls_cert", &certificate)?;
        let key = pem::private_key(&key_file)?;
        let first = chain.first().ok_or_else(|| bad("no certificate in it".to_owned()))?;
        let first = Certificate::from_der(first).map_err(|why| bad(why.to_string()))?;
        let first = first.tbs_certificate();
        if first.version() != Version::V3 {
            return Err(bad("is not an X.509 certificate of version 3".to_owned()));
        }
        let begins = first.validity().not_before.to_system_time();
        let ends = first.validity().not_after.to_system_time();
        Ok(Self { chain, key, certificate, key_file, begins, ends })
    }

    /// Whether a certificate that is made here has to be made again.
    pub(super) fn ends_soon(&self) -> bool {
        near(self.ends)
    }

    /// Whether the key is that of the certificate.
    pub(super) fn is_pair(&self) -> bool {
        let (chain, key) = (self.chain.clone(), self.key.clone_key());
        CertifiedKey::from_der(chain, key, &default_provider()).is_ok()
    }

    /// What an administrator should know: dates and modes.
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.ends < now {
            warnings.push(format!("tls_cert {}: has expired", self.certificate.display()));
        }
        if self.begins > now {
            warnings.push(format!("tls_cert {}: is not valid yet", self.certificate.display()));
        }
        let mode = fs::metadata(&self.key_file).map(|meta| meta.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o004 != 0) {
            let key = self.key_file.display();
            warnings.push(format!("tls_key {key}: others can read it; chmod 600 it"));
        }
        warnings
    }

    /// When it ends.
    pub(super) fn end(&self) -> SystemTime {
        self.ends
    }

    /// When it ends, in UTC.
    pub fn ends(&self) -> String {
        let at = OffsetDateTime::from(self.ends);
        format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
    }

    /// SHA-256 of the certificate, as other programs print it.
    pub fn fingerprint(&self) -> String {
        self.chain.first().map(|first| pem::fingerprint(first)).unwrap_or_default()
    }

    /// Why a certificate and a key cannot be used together, in words.
    pub(super) fn explain(certificate: &Path, key: &Path, why: &rustls::Error) -> TlsError {
        let (certificate, key) = (certificate.display(), key.display());
        if matches!(why, rustls::Error::InconsistentKeys(_)) {
            return TlsError(format!(
                "tls_key {key}: is not the key of tls_cert {certificate}"
            ));
        }
        // all that is said of a key that its provider does not take
        if matches!(why, rustls::Error::General(_)) {
            let fit = "use RSA of 2048 to 4096 bits, ECDSA of P-256 or P-384, or Ed25519";
            return TlsError(format!("tls_key {key}: cannot be used; {fit}"));
        }
        TlsError(format!("tls_cert {certificate}, tls_key {key}: {why}"))
    }

    /// Where both are, for messages.
    pub fn files(&self) -> String {
        format!("tls_cert {}, tls_key {}", self.certificate.display(), self.key_file.display())
    }
}

/// Whether a certificate that is made here and ends then should be made again.
pub(super) fn near(ends: SystemTime) -> bool {
    ends < SystemTime::now() + MARGIN
}
