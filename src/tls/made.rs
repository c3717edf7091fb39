//! The certificate of `tls_cert = auto`, which the server makes itself and renews before it expires.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Access, FlockOperation, Mode, OFlags, access, flock};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::error::TlsError;
use super::identity::Identity;
use super::{pem, selfsigned};
use crate::config::TlsSettings;
use crate::rights::{self, Held, Ids};

/// How long a new certificate is valid.
const LIFETIME: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

/// How long to wait for another process that is making a certificate.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two attempts to lock the directory.
const BREATH: Duration = Duration::from_millis(10);

/// Number of attempts to read a pair of files that other processes may be replacing.
const ATTEMPTS: usize = 8;

/// Reads the certificate and its key. For `tls_cert = auto` both are made first if they are missing,
/// do not belong together or must be renewed.
///
/// # Errors
///
/// When one of the files cannot be used.
pub fn load(settings: &TlsSettings) -> Result<Identity, TlsError> {
    let (certificate, key) = settings.files();
    if !settings.is_auto() {
        return Identity::read(certificate, key);
    }
    for _ in 0..ATTEMPTS {
        if let Some(identity) = fresh(settings)? {
            return Ok(identity);
        }
        make(settings, &certificate, &key)
            .map_err(|why| TlsError(format!("tls_dir {}: {why}", settings.dir.display())))?;
    }
    Identity::read(certificate, key)
}

/// Reads the certificate without making one. Returns `None` if it cannot be used, or if the server has
/// not made it yet.
pub fn present(settings: &TlsSettings) -> Option<Identity> {
    let (certificate, key) = settings.files();
    if settings.is_auto() {
        return fresh(settings).ok().flatten();
    }
    Identity::read(certificate, key).ok()
}

/// Reads the pair that was made earlier. Returns `None` if it must be made again: a file is missing
/// or damaged, the key does not belong to the certificate, or the certificate expires soon.
///
/// # Errors
///
/// When one of the files exists but cannot be read. A certificate that clients know must not be
/// replaced for that.
pub(super) fn fresh(settings: &TlsSettings) -> Result<Option<Identity>, TlsError> {
    let (certificate, key) = settings.files();
    let mut found = Vec::new();
    for (name, file) in [("tls_cert", &certificate), ("tls_key", &key)] {
        match pem::read(file) {
            // below a file nothing can be, and that nothing can be made there is said later
            Err(why) if matches!(why.kind(), NotFound | NotADirectory) => return Ok(None),
            read => found.push(pem::named(name, file, read)?),
        }
    }
    let [chain, secret] = found.as_slice() else { return Ok(None) };
    let fresh = Identity::parse((certificate, chain), (key, secret)).ok();
    Ok(fresh.filter(|identity| !identity.ends_soon() && identity.is_pair()))
}

/// Checks that a certificate could be written to `tls_dir`.
pub(super) fn can_be_made(settings: &TlsSettings) -> Result<(), TlsError> {
    let dir = settings.dir.ancestors().find(|dir| dir.exists());
    access(dir.unwrap_or(&settings.dir), Access::WRITE_OK | Access::EXEC_OK).map_err(|why| {
        let why = std::io::Error::from(why);
        TlsError(format!("tls_dir {}: cannot be written to: {why}", settings.dir.display()))
    })
}

/// Makes a certificate and a key, unless another process has just done so. Only one process at a
/// time does this, so that the certificate and the key always belong together.
fn make(settings: &TlsSettings, certificate: &Path, key: &Path) -> Result<(), String> {
    let text = |why: std::io::Error| why.to_string();
    let owner = settings.owner.as_ref();
    rights::make_folder(&settings.dir, owner).map_err(text)?;
    let (certificate, key) = (Held::find(certificate), Held::find(key));
    let (certificate, key) = (certificate.map_err(text)?, key.map_err(text)?);
    let _turn = turn(&certificate)?;
    if fresh(settings).map_err(|why| why.to_string())?.is_some() {
        return Ok(());
    }
    // a certificate cannot begin before 1970; one made by a wrong clock is soon renewed
    let day = Duration::from_secs(24 * 3600);
    let now = SystemTime::now().max(SystemTime::UNIX_EPOCH + day);
    let made = selfsigned::make(&settings.names, now - day, now + LIFETIME)?;
    for draft in certificate.beside(is_draft).map_err(text)? {
        // left by a crash, because no other process holds the lock
        let _ = draft.remove();
    }
    write_private(&key, made.key.as_bytes(), owner).map_err(text)?;
    write_private(&certificate, made.certificate.as_bytes(), owner).map_err(text)
}

/// Locks the directory of the certificate; the lock ends on drop. Returns `None` where the file
/// system does not support locks.
fn turn(place: &Held) -> Result<Option<File>, String> {
    let folder = place.open_folder().map_err(|why| why.to_string())?;
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(folder)),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(BREATH),
            Err(Errno::WOULDBLOCK) => {
                let time = PATIENCE.as_secs();
                return Err(format!(
                    "another process has kept the directory locked for {time} s"
                ));
            }
            Err(_) => return Ok(None),
        }
    }
}

/// Returns whether this is the name of a temporary file for a certificate or a key, as any version
/// of the server writes it.
fn is_draft(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".new") && (name.starts_with(b"cert.") || name.starts_with(b"key."))
}

/// Writes a file that only its owner may read, either completely or not at all.
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
