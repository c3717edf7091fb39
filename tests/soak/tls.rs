//! Certificates, and the TLS settings of clients.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

use crate::trusting::Trusting;

/// The authority that issues the clients' certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, as PEM.
    pub certificate: String,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    certificate: String,
    key: String,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    V12,
    V13,
}

fn named(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

impl Authority {
    /// Returns a new authority.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut params = named("An authority")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Returns a certificate for `CN=name,O=Example`.
    pub fn issue(&self, name: &str) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = named(name)?.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

impl Tls {
    /// Returns the settings of a client that resumes sessions when it can, with a cache of
    /// tickets of its own.
    pub fn config(self, pair: Option<&Pair>) -> Arc<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let trusting = Arc::new(Trusting(Arc::clone(&provider)));
        let version = match self {
            Self::V12 => &TLS12,
            Self::V13 => &TLS13,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("the provider has both versions")
            .dangerous()
            .with_custom_certificate_verifier(trusting);
        let config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
                let chain = chain.collect::<Result<_, _>>().expect("it was just made");
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes());
                let key = key.expect("it was just made");
                builder.with_client_auth_cert(chain, key).expect("it was just made")
            }
        };
        Arc::new(config)
    }
}

/// Returns these settings without the tickets.
pub fn forgetful(config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(config);
    config.resumption = Resumption::in_memory_sessions(64);
    Arc::new(config)
}
