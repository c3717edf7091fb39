//! What is asked about a login: one JSON object, or the variables of Pure-FTPd's scripts.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

use base64ct::{Base64, Encoding};
use serde::Serialize;

use crate::auth::attempt::Attempt;

/// A login that is asked about, as JSON.
#[derive(Serialize)]
struct Question<'a> {
    name: &'a str,
    /// The password; none if it is not UTF-8.
    password: Option<&'a str>,
    /// The password if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_base64: Option<String>,
    address: IpAddr,
    local_address: IpAddr,
    local_port: u16,
    /// The version of TLS.
    tls: Option<&'static str>,
    certificate: Option<Certificate<'a>>,
}

#[derive(Serialize)]
struct Certificate<'a> {
    subject: &'a str,
    sha256: &'a str,
}

/// Returns a login as a JSON object, in one line. Equal logins give equal texts.
pub(super) fn json(name: &str, attempt: &Attempt<'_>) -> Vec<u8> {
    let password = std::str::from_utf8(attempt.password).ok();
    let question = Question {
        name,
        password,
        password_base64: password.is_none().then(|| Base64::encode_string(attempt.password)),
        address: attempt.from,
        local_address: attempt.to.ip(),
        local_port: attempt.to.port(),
        tls: attempt.tls,
        certificate: attempt
            .certificate
            .as_ref()
            .map(|(subject, sha256)| Certificate { subject, sha256 }),
    };
    // cannot fail: there is no map in it, and writing to memory does not fail
    let mut text = serde_json::to_vec(&question).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Returns the variables in which Pure-FTPd passes a login to its scripts.
pub(super) fn variables(name: &str, attempt: &Attempt<'_>) -> Vec<(&'static str, OsString)> {
    let tls = if attempt.tls.is_some() { "1" } else { "0" };
    vec![
        ("AUTHD_ACCOUNT", name.into()),
        ("AUTHD_PASSWORD", OsStr::from_bytes(attempt.password).to_owned()),
        ("AUTHD_LOCAL_IP", attempt.to.ip().to_string().into()),
        ("AUTHD_LOCAL_PORT", attempt.to.port().to_string().into()),
        ("AUTHD_REMOTE_IP", attempt.from.to_string().into()),
        ("AUTHD_ENCRYPTED", tls.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(password: &[u8]) -> Attempt<'_> {
        Attempt {
            name: b"ann",
            password,
            from: [192, 0, 2, 7].into(),
            to: ([192, 0, 2, 1], 21).into(),
            tls: None,
            certificate: None,
        }
    }

    fn text(attempt: &Attempt<'_>) -> String {
        String::from_utf8(json("ann", attempt)).unwrap()
    }

    #[test]
    fn a_question_is_one_line_of_json() {
        let rest =
            "\"address\":\"192.0.2.7\",\"local_address\":\"192.0.2.1\",\"local_port\":21,";
        assert_eq!(
            text(&attempt(b"a\"b\\c\n\0")),
            format!(
                "{{\"name\":\"ann\",\"password\":\"a\\\"b\\\\c\\n\\u0000\",{rest}\"tls\":null,\
                 \"certificate\":null}}\n"
            )
        );
        let certificate = Some(("CN=ann".to_owned(), "AB:CD".to_owned()));
        let attempt = Attempt { tls: Some("1.3"), certificate, ..attempt(b"p\xE4ss") };
        assert_eq!(
            text(&attempt),
            format!(
                "{{\"name\":\"ann\",\"password\":null,\"password_base64\":\"cORzcw==\",{rest}\
                 \"tls\":\"1.3\",\"certificate\":{{\"subject\":\"CN=ann\",\"sha256\":\"AB:CD\"}}}}\n"
            )
        );
    }
}
