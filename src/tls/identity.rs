//! The certificate and its key: from PEM files, or made here and renewed before its end.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustix::fs::{Access, FlockOperation, Mode, OFlags, access, flock};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
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

/// How long to wait for another process that makes a certificate, and how often to look.
const PATIENCE: Duration = Duration::from_secs(5);
const BREATH: Duration = Duration::from_millis(10);

/// Number of attempts to read a pair that others remove or replace meanwhile.
const ATTEMPTS: usize = 8;

impl Identity {
    /// Reads both files. For `auto`, makes them first if they are missing, do not belong together
    /// or are near their end.
    ///
    /// # Errors
    ///
    /// What is wrong with which file.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let (certificate, key) = settings.files();
        if !settings.is_auto() {
            return Self::read(certificate, key);
        }
        for _ in 0..ATTEMPTS {
            if let Some(identity) = Self::fresh(settings)? {
                return Ok(identity);
            }
            make(settings, &certificate, &key).map_err(|why| {
                TlsError(format!("tls_dir {}: {why}", settings.dir.display()))
            })?;
        }
        Self::read(certificate, key)
    }

    fn read(certificate: PathBuf, key_file: PathBuf) -> Result<Self, TlsError> {
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

    /// The pair that was made here earlier, unless it has to be made again: a file is missing or is
    /// not what it should be, the key is not that of the certificate, or the end is near.
    ///
    /// # Errors
    ///
    /// When the key is there and may not be read.
    pub(super) fn fresh(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        let (certificate, key) = settings.files();
        if certificates("tls_cert", &certificate).is_err() {
            return Ok(None);
        }
        if let Err(why) = read(&key) {
            if why.kind() == std::io::ErrorKind::NotFound {
                return Ok(None);
            }
            return Err(TlsError(format!("tls_key {}: {why}", key.display())));
        }
        let fresh = Self::read(certificate, key).ok();
        Ok(fresh.filter(|identity| !identity.ends_soon() && identity.is_pair()))
    }

    /// Whether a certificate that is made here has to be made again.
    pub(super) fn ends_soon(&self) -> bool {
        near(self.ends)
    }

    /// Whether the key is that of the certificate.
    fn is_pair(&self) -> bool {
        let (chain, key) = (self.chain.clone(), self.key.clone_key());
        CertifiedKey::from_der(chain, key, &default_provider()).is_ok()
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

/// Whether a certificate that is made here and ends then should be made again.
pub(super) fn near(ends: SystemTime) -> bool {
    ends < SystemTime::now() + MARGIN
}

/// Makes a pair, unless another process has done so meanwhile: one at a time, for a certificate must
/// never lie beside the key of another one.
fn make(settings: &TlsSettings, certificate: &Path, key: &Path) -> Result<(), String> {
    let text = |why: std::io::Error| why.to_string();
    let owner = settings.owner.as_ref();
    rights::make_folder(&settings.dir, owner).map_err(text)?;
    let (certificate, key) = (Held::find(certificate), Held::find(key));
    let (certificate, key) = (certificate.map_err(text)?, key.map_err(text)?);
    let _turn = turn(&certificate)?;
    if Identity::fresh(settings).map_err(|why| why.to_string())?.is_some() {
        return Ok(());
    }
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
    for draft in certificate.beside(is_draft).map_err(text)? {
        // a crash has left it: nobody else has the turn
        let _ = draft.remove();
    }
    write_private(&key, pair.serialize_pem().as_bytes(), owner).map_err(text)?;
    write_private(&certificate, made.pem().as_bytes(), owner).map_err(text)
}

/// The turn to make a certificate in a folder: a lock on it, given back on drop. Without one where
/// the file system knows no locks.
fn turn(place: &Held) -> Result<Option<File>, String> {
    let folder = place.open_folder().map_err(|why| why.to_string())?;
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(folder)),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(BREATH),
            Err(Errno::WOULDBLOCK) => {
                let time = PATIENCE.as_secs();
                return Err(format!("another process has held its lock for {time} s"));
            }
            Err(_) => return Ok(None),
        }
    }
}

/// What is written before it gets the name of a certificate or a key, by any version.
fn is_draft(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".new") && (name.starts_with(b"cert.") || name.starts_with(b"key."))
}

/// Whole or not at all, and for the owner alone.
fn write_private(place: &Held, bytes: &[u8], owner: Option<&Ids>) -> std::io::Result<()> {
    let mut number = [0; 8];
    getrandom(&mut number, GetRandomFlags::empty())?;
    let draft = place.with_extension(&format!("{:016x}.new", u64::from_ne_bytes(number)))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut to = draft.open(flags, Mode::from_raw_mode(0o600))?;
    let written = rights::hand_over(&to, owner)
        .and_then(|()| to.write_all(bytes))
        .and_then(|()| to.sync_all())
        .and_then(|()| draft.rename_to(place));
    if written.is_err() {
        let _ = draft.remove();
    }
    written
}

/// What changes when a file is replaced or written, or others may read it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

#[derive(Clone, PartialEq, Eq)]
struct FileStamp {
    id: (u64, u64),
    size: u64,
    modified: (i64, i64),
    /// Of the mode and the owner as well.
    changed: (i64, i64),
    mode: u32,
    owner: (u32, u32),
}

impl Stamp {
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let stamp = |path: PathBuf| {
            let meta = fs::metadata(path).ok()?;
            Some(FileStamp {
                id: (meta.dev(), meta.ino()),
                size: meta.size(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                changed: (meta.ctime(), meta.ctime_nsec()),
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
            })
        };
        let (certificate, key) = settings.files();
        Self([stamp(certificate), stamp(key)])
    }
}
