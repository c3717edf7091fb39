//! What the file says of TLS, as one value.

use std::path::PathBuf;

use crate::rights::Ids;

/// All that the server must know to speak TLS. There is none without a certificate.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// Where the certificate comes from.
    pub certificate: CertificateSource,
    /// The files are read at the start and not looked at again.
    pub once: bool,
    /// Its key, unless it is made here.
    pub key: Option<PathBuf>,
    /// Where a certificate that is made here is kept.
    pub dir: PathBuf,
    /// Names that a certificate that is made here is good for.
    pub names: Vec<String>,
    /// The lowest version.
    pub min_version: TlsVersion,
    /// What data connections must do.
    pub resume: Resume,
    /// Who signs the clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether a client must have one.
    pub client_cert: ClientCertificate,
    /// Whose a certificate is that is made here.
    pub owner: Option<Ids>,
}

/// `tls_cert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// There is no TLS.
    None,
    /// Made here.
    Auto,
    /// A PEM file.
    File(PathBuf),
}

/// `tls_required`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TlsRequired {
    /// No login without TLS.
    pub control: bool,
    /// No transfer without TLS.
    pub data: bool,
}

/// `tls_min_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 or 1.3.
    V1_2,
    /// TLS 1.3 alone.
    V1_3,
}

/// `tls_resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// A data connection that does not resume is refused.
    Require,
    /// It may, and the log says whether it does.
    Prefer,
    /// There is nothing to resume.
    Off,
}

/// `tls_client_cert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// No TLS without one.
    Required,
    /// It is asked for.
    Optional,
}

impl TlsSettings {
    /// Whether the certificate is made here.
    pub fn is_auto(&self) -> bool {
        self.certificate == CertificateSource::Auto
    }

    /// The certificate's file and the key's.
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
