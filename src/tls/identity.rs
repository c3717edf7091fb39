//! The certificate and its key: from PEM files, or made here and renewed before its end.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustix::fs::{Access, Mode, OFlags, access};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::Decode;

use super::TlsError;
use crate::config::TlsSettings;
use crate::rights::{self, Held, Ids};

/// A chain and the key of its first certificate.
pub struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    certificate: PathBuf,
    key_file: PathBuf,
    begins: SystemTime,
    ends: SystemTime,
}

/// How long a certificate lasts that is made here.
const LIFETIME: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

/// It is renewed this long before its end.
const MARGIN: Duration = Duration::from_secs(30 * 24 * 3600);

impl Identity {
    /// Reads both files. For `auto`, makes them first if they are not there or near their end.
    ///
    /// # Errors
    ///
    /// What is wrong with which file.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let (certificate, key_file) = settings.files();
        if settings.is_auto() && Self::is_stale(settings) {
            make(settings, &certificate, &key_file).map_err(|why| {
                TlsError(format!("tls_dir {}: {why}", settings.dir.display()))
            })?;
        }
        let bad = |why: String| TlsError(format!("tls_cert {}: {why}", certificate.display()));
        let chain = certificates("tls_cert", &certificate)?;
        let key = private_key(&key_file)?;
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

    /// Whether a certificate that is made here is not there, or near its end.
    pub(super) fn is_stale(settings: &TlsSettings) -> bool {
        let (certificate, key) = settings.files();
        let ends = || {
            let chain = certificates("tls_cert", &certificate).ok()?;
            let first = Certificate::from_der(chain.first()?).ok()?;
            Some(first.tbs_certificate().validity().not_after.to_system_time())
        };
        !key.exists() || ends().is_none_or(|ends| ends < SystemTime::now() + MARGIN)
    }

    /// Whether there is a place for a certificate that is made here.
    pub(super) fn can_be_made(settings: &TlsSettings) -> Result<(), TlsError> {
        let dir = settings.dir.ancestors().find(|dir| dir.exists());
        access(dir.unwrap_or(&settings.dir), Access::WRITE_OK | Access::EXEC_OK).map_err(
            |why| {
                let why = std::io::Error::from(why);
                TlsError(format!(
                    "tls_dir {}: cannot be written to: {why}",
                    settings.dir.display()
                ))
            },
        )
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

    /// When it ends, in UTC.
    pub fn ends(&self) -> String {
        let at = OffsetDateTime::from(self.ends);
        format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
    }

    /// SHA-256 of the certificate, as other programs print it.
    pub fn fingerprint(&self) -> String {
        self.chain.first().map(|first| fingerprint(first)).unwrap_or_default()
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

/// All certificates of a PEM file that this key of `ftpd.ini` names.
pub(super) fn certificates(
    name: &str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |why| TlsError(format!("{name} {}: {why}", file.display()));
    let bytes = read(file).map_err(|why| bad(pem::Error::Io(why)))?;
    CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(bad)
}

/// The first private key of a PEM file.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bad = |why: String| TlsError(format!("tls_key {}: {why}", file.display()));
    let bytes = read(file).map_err(|why| bad(why.to_string()))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|why| {
        // PKCS#8 says so in its first line, PKCS#1 and SEC1 in a header below it
        if bytes.windows(9).any(|word| word == b"ENCRYPTED") {
            bad("has a passphrase; write it without one (openssl pkey)".to_owned())
        } else if matches!(why, pem::Error::NoItemsFound) {
            bad("no private key in it".to_owned())
        } else {
            bad(why.to_string())
        }
    })
}

/// Reads a file aside from what serves clients: their threads have no business with keys.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let own = file.to_owned();
    let nobody = || Err(std::io::Error::other("nobody reads it any more"));
    rights::look_up(move || rights::read(&own)).unwrap_or_else(nobody)
}

/// SHA-256 in hexadecimal digits, with colons between the bytes.
pub(super) fn fingerprint(der: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, der);
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
        text
    })
}

fn make(settings: &TlsSettings, certificate: &Path, key: &Path) -> Result<(), String> {
    let text = |why: std::io::Error| why.to_string();
    let owner = settings.owner.as_ref();
    rights::make_folder(&settings.dir, owner).map_err(text)?;
    let pair = KeyPair::generate().map_err(|why| why.to_string())?;
    let mut params =
        CertificateParams::new(settings.names.clone()).map_err(|why| why.to_string())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, settings.names.first().map_or("ftpd", String::as_str));
    params.distinguished_name = name;
    // no certificate begins before 1970; one that a wrong clock has made is soon replaced
    let day = Duration::from_secs(24 * 3600);
    let now = OffsetDateTime::now_utc().max(OffsetDateTime::UNIX_EPOCH + day);
    params.not_before = now - day;
    params.not_after = now + LIFETIME;
    let made = params.self_signed(&pair).map_err(|why| why.to_string())?;
    write_private(key, pair.serialize_pem().as_bytes(), owner).map_err(text)?;
    write_private(certificate, made.pem().as_bytes(), owner).map_err(text)
}

/// Whole or not at all, and for the owner alone.
fn write_private(file: &Path, bytes: &[u8], owner: Option<&Ids>) -> std::io::Result<()> {
    let place = Held::find(file)?;
    let draft = place.with_extension("new")?;
    // what a crash has left
    let _ = draft.remove();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut to = draft.open(flags, Mode::from_raw_mode(0o600))?;
    rights::hand_over(&to, owner)?;
    to.write_all(bytes)?;
    to.sync_all()?;
    draft.rename_to(&place)
}

/// What changes when a file is replaced or written.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

/// Device, inode, time of change in seconds and nanoseconds, size.
type FileStamp = (u64, u64, i64, i64, u64);

impl Stamp {
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let stamp = |path: PathBuf| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
        };
        let (certificate, key) = settings.files();
        Self([stamp(certificate), stamp(key)])
    }
}
