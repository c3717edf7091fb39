//! Describes the certificate that a server has presented, for a client that reports on it.

use std::time::SystemTime;

use super::certificate::Certificate;
use super::pem;

/// What a certificate says about itself. Nothing here has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The subject as RFC 4514 writes it.
    pub subject: String,
    /// The issuer, in the same form.
    pub issuer: String,
    /// The certificate is valid from this time on.
    pub begins: SystemTime,
    /// The certificate is valid until this time.
    pub ends: SystemTime,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
}

impl Presented {
    /// Reads a certificate in DER. Returns `None` if it cannot be read.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::read(der)?;
        Some(Self {
            subject: certificate.subject()?,
            issuer: certificate.issuer()?,
            begins: certificate.begins,
            ends: certificate.ends,
            fingerprint: pem::fingerprint(der),
        })
    }
}
