//! Writes a certificate that is signed with its own key (RFC 5280 §4.1), with a new ECDSA key of
//! P-256. All other certificates are made by other programs.

use std::net::IpAddr;
use std::time::SystemTime;

use base64ct::{Base64, Encoding};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use time::OffsetDateTime;

use super::der;

/// A certificate and its key, as PEM.
pub(super) struct SelfSigned {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// `ecdsa-with-SHA256`
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// `id-ecPublicKey`
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// `secp256r1`
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// `id-at-commonName`
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// `id-ce-subjectAltName`
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Makes a certificate for these host names and addresses, valid between two times. The first name
/// is also that of the subject.
///
/// # Errors
///
/// Returns the reason as a text.
pub(super) fn make(
    names: &[String],
    begins: SystemTime,
    ends: SystemTime,
) -> Result<SelfSigned, String> {
    let random = SystemRandom::new();
    let no_key = |_| "cannot make a key".to_owned();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(no_key)?;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
        .map_err(|why| why.to_string())?;
    let mut serial = [0; 16];
    random.fill(&mut serial).map_err(no_key)?;
    let signed = to_be_signed(names, [begins, ends], serial, key.public_key().as_ref())?;
    let signature = key.sign(&random, &signed).map_err(no_key)?;
    let certificate =
        sequence(&[&signed, &algorithm_of_signature(), &bit_string(signature.as_ref())]);
    let certificate = pem("CERTIFICATE", &certificate);
    Ok(SelfSigned { certificate, key: pem("PRIVATE KEY", pkcs8.as_ref()) })
}

/// The part of a certificate that is signed.
fn to_be_signed(
    names: &[String],
    validity: [SystemTime; 2],
    mut serial: [u8; 16],
    public_key: &[u8],
) -> Result<Vec<u8>, String> {
    // a positive number without zeros in front
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    let version = value(der::EXPLICIT_0, &[&value(der::INTEGER, &[&[2]])]);
    let common = names.first().map_or("ftpd", String::as_str);
    let attribute = [id(COMMON_NAME), value(der::UTF8_STRING, &[common.as_bytes()])];
    let name = sequence(&[&value(der::SET, &[&sequence(&[&attribute.concat()])])]);
    let key_type = sequence(&[&id(EC_PUBLIC_KEY), &id(P256)]);
    let names: Vec<u8> =
        names.iter().map(|name| alternative(name)).collect::<Result<Vec<_>, _>>()?.concat();
    let extension =
        sequence(&[&id(SUBJECT_ALT_NAME), &value(der::OCTET_STRING, &[&sequence(&[&names])])]);
    let extensions = value(der::EXPLICIT_3, &[&sequence(&[&extension])]);
    Ok(sequence(&[
        &version,
        &value(der::INTEGER, &[&serial]),
        &algorithm_of_signature(),
        &name,
        &sequence(&validity.map(time).each_ref().map(Vec::as_slice)),
        &name,
        &sequence(&[&key_type, &bit_string(public_key)]),
        if names.is_empty() { &[] } else { &extensions },
    ]))
}

/// Writes a host name or an address as a `GeneralName`.
fn alternative(name: &str) -> Result<Vec<u8>, String> {
    const DNS: u8 = 0x82;
    const ADDRESS: u8 = 0x87;
    match name.parse() {
        Ok(IpAddr::V4(address)) => Ok(value(ADDRESS, &[&address.octets()])),
        Ok(IpAddr::V6(address)) => Ok(value(ADDRESS, &[&address.octets()])),
        Err(_) if name.is_ascii() => Ok(value(DNS, &[name.as_bytes()])),
        Err(_) => Err(format!("'{name}' is not a host name in ASCII")),
    }
}

/// Writes a time as RFC 5280 §4.1.2.5 wants it: the year has two digits up to 2049.
fn time(at: SystemTime) -> Vec<u8> {
    let at = OffsetDateTime::from(at);
    let (year, month) = (at.year(), u8::from(at.month()));
    let (tag, year) = if (1950..2050).contains(&year) {
        (der::UTC_TIME, format!("{:02}", year % 100))
    } else {
        (der::GENERALIZED_TIME, format!("{year:04}"))
    };
    let (hour, minute, second) = at.to_hms();
    let rest = format!("{month:02}{:02}{hour:02}{minute:02}{second:02}Z", at.day());
    value(tag, &[year.as_bytes(), rest.as_bytes()])
}

fn algorithm_of_signature() -> Vec<u8> {
    sequence(&[&id(ECDSA_WITH_SHA256)])
}

fn id(number: &[u8]) -> Vec<u8> {
    value(der::OBJECT_IDENTIFIER, &[number])
}

/// Writes a bit string of whole bytes.
fn bit_string(bytes: &[u8]) -> Vec<u8> {
    value(der::BIT_STRING, &[&[0], bytes])
}

fn sequence(values: &[&[u8]]) -> Vec<u8> {
    value(der::SEQUENCE, values)
}

/// Writes a value whose content has these parts.
fn value(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let mut length = content.len().to_be_bytes().to_vec();
    length.drain(..content.len().leading_zeros() as usize / 8);
    let mut out = vec![tag];
    if content.len() < 0x80 {
        length.resize(1, 0);
    } else {
        out.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
    }
    out.extend(length);
    out.extend(content);
    out
}

/// Writes bytes as PEM (RFC 7468).
fn pem(label: &str, bytes: &[u8]) -> String {
    let text = Base64::encode_string(bytes);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::server::ParsedCertificate;

    use super::*;
    use crate::tls::certificate::Certificate;

    #[test]
    fn rustls_accepts_the_certificate_for_its_names() {
        let names = ["ftp.example.org", "192.0.2.7", "2001:db8::7"].map(str::to_owned);
        let begins = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let ends = begins + Duration::from_secs(1_000_000_000);
        let made = make(&names, begins, ends).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap()];
        let read = Certificate::read(&chain[0]).unwrap();
        assert!(read.is_version_3());
        assert_eq!((read.begins, read.ends), (begins, ends));
        assert_eq!(read.subject().unwrap(), "CN=ftp.example.org");
        let parsed = ParsedCertificate::try_from(&chain[0]).unwrap();
        for name in names {
            let name = ServerName::try_from(name).unwrap();
            rustls::client::verify_server_name(&parsed, &name).unwrap();
        }
        let other = ServerName::try_from("example.org").unwrap();
        assert!(rustls::client::verify_server_name(&parsed, &other).is_err());
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        rustls::sign::CertifiedKey::from_der(chain, key, &provider)
            .unwrap()
            .keys_match()
            .unwrap();
    }

    #[test]
    fn lengths_and_years_have_their_shortest_form() {
        assert_eq!(value(4, &[&[7; 3]]), [4, 3, 7, 7, 7]);
        assert_eq!(value(4, &[])[..], [4, 0]);
        assert_eq!(value(4, &[&[7; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(value(4, &[&[7; 300]])[..4], [4, 0x82, 1, 44]);
        let at = |seconds| time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(2_524_607_999), b"\x17\x0d491231235959Z");
        assert_eq!(at(2_524_608_000), b"\x18\x0f20500101000000Z");
    }

    #[test]
    fn a_name_that_is_not_ascii_is_refused() {
        assert!(alternative("ftp.m\u{fc}ller.example").is_err());
    }
}
