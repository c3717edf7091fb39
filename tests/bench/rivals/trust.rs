//! The TLS settings of the client. It compares the certificate with the one that it knows and
//! checks no signature, so that a login over TLS measures the server.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    TLS13_AES_256_GCM_SHA384,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version,
};

/// TLS 1.3 with AES-GCM, or 1.2 for a server that has no other; and one certificate.
#[derive(Clone)]
pub struct Trust {
    config: ClientConfig,
}

impl Trust {
    pub fn of(certificate: &CertificateDer<'static>) -> Self {
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites = vec![
            TLS13_AES_256_GCM_SHA384,
            TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ];
        let provider = Arc::new(provider);
        let known = Known { certificate: certificate.clone(), provider: Arc::clone(&provider) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(known))
            .with_no_client_auth();
        Self { config }
    }

    /// The settings of one session. Sessions share no tickets, so each handshake of a control
    /// connection is a full one; those of its data connections resume it or not.
    pub fn config(&self, resume: bool) -> Arc<ClientConfig> {
        let mut config = self.config.clone();
        config.resumption =
            if resume { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
        Arc::new(config)
    }
}

/// Accepts the certificate that it knows.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let known = *certificate == self.certificate;
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        known.then(ServerCertVerified::assertion).ok_or(unknown)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
