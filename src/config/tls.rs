//! The settings of TLS.

use std::path::PathBuf;

use crate::rights::Ids;

/// The TLS settings of a server that has a certificate.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// Where the certificate comes from.
    pub certificate: CertificateSource,
    /// Whether the files are read once, when the server starts, so that later changes have no
    /// effect.
    pub once: bool,
    /// File with the private key; `None` for `tls_cert = auto`.
    pub key: Option<PathBuf>,
    /// Directory for a certificate that the server makes itself.
    pub dir: PathBuf,
    /// Host names and addresses in a certificate that the server makes itself.
    pub names: Vec<String>,
    /// Lowest version of TLS that is accepted.
    pub min_version: TlsVersion,
    /// Whether data connections must resume the session of their control connection.
    pub resume: Resume,
    /// File with the authorities that sign the certificates of clients.
    pub client_ca: Option<PathBuf>,
    /// Whether a client must present a certificate.
    pub client_cert: ClientCertificate,
    /// User and group that own the files that the server makes itself.
    pub owner: Option<Ids>,
}

/// The value of `tls_cert`: where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// There is no certificate, and no TLS.
    None,
    /// The server makes the certificate itself.
    Auto,
    /// A PEM file.
    File(PathBuf),
}

/// The value of `tls_required`: where TLS is required.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TlsRequired {
    /// Logins without TLS are refused.
    pub control: bool,
    /// Transfers without TLS are refused.
    pub data: bool,
}

/// The value of `tls_min_version`: the lowest version of TLS that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 or 1.3.
    V1_2,
    /// TLS 1.3 only.
    V1_3,
}

/// The value of `tls_resume`: whether data connections resume the session of their control
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// A data connection that does not resume the session is refused.
    Require,
    /// A data connection may resume the session, and the log says whether it does.
    Prefer,
    /// Sessions cannot be resumed.
    Off,
}

/// The value of `tls_client_cert`: whether a client must present a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// The TLS handshake fails without a certificate.
    Required,
    /// The client is asked for a certificate, but need not present one.
    Optional,
}

impl TlsSettings {
    /// Returns whether the server makes the certificate itself.
    pub fn is_auto(&self) -> bool {
        self.certificate == CertificateSource::Auto
    }

    /// Returns the file of the certificate and the file of the key.
    pub fn files(&self) -> (PathBuf, PathBuf) {
        let made = |name| self.dir.join(name);
        let key = self.key.clone().unwrap_or_else(|| made("key.pem"));
        match &self.certificate {
            CertificateSource::File(file) => (file.clone(), key),
            CertificateSource::Auto | CertificateSource::None => {
                (made("cert.pem"), made("key.pem"))
            }
        }
    }
}
