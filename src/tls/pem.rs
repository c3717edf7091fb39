//! Reads PEM files.

use std::fmt::Write;
use std::io;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;
use crate::rights;

/// Reads all certificates of a PEM file. `name` is the key of `ftpd.ini` that sets the file, for
/// messages.
pub(super) fn certificates(
    name: &str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = named(name, file, read(file))?;
    certificates_in(name, file, &bytes)
}

/// Names a PEM file in the error of reading it.
pub(super) fn named<T>(name: &str, file: &Path, read: io::Result<T>) -> Result<T, TlsError> {
    let bad = |why| TlsError(format!("{name} {}: {}", file.display(), pem::Error::Io(why)));
    read.map_err(bad)
}

/// Returns all certificates in the content of a PEM file.
pub(super) fn certificates_in(
    name: &str,
    file: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |why| TlsError(format!("{name} {}: {why}", file.display()));
    CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().map_err(bad)
}

/// Returns the first private key in the content of a PEM file.
pub(super) fn private_key_in(
    file: &Path,
    bytes: &[u8],
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bad = |why: String| TlsError(format!("tls_key {}: {why}", file.display()));
    PrivateKeyDer::from_pem_slice(bytes).map_err(|why| {
        // the word is in the first line of PKCS#8, and in a header of PKCS#1 and SEC1
        if bytes.windows(9).any(|word| word == b"ENCRYPTED") {
            bad("has a passphrase; remove it (openssl pkey)".to_owned())
        } else if matches!(why, pem::Error::NoItemsFound) {
            bad("contains no private key".to_owned())
        } else {
            bad(why.to_string())
        }
    })
}

/// Reads a file on the thread for lookups, because the sandbox does not let the threads that serve
/// clients read keys.
pub(super) fn read(file: &Path) -> io::Result<Vec<u8>> {
    let own = file.to_owned();
    let nobody = || Err(io::Error::other("the thread that reads files has ended"));
    rights::look_up(move || rights::read(&own)).unwrap_or_else(nobody)
}

/// Returns the SHA-256 fingerprint in hexadecimal digits, with colons between the bytes.
pub(super) fn fingerprint(der: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, der);
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
        text
    })
}
