//! Reads the URL of a server (RFC 3986, RFC 1738 §3.2).

use std::fmt::{self, Debug, Formatter};

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// `ftp`: never.
    Plain,
    /// `ftpes`: with AUTH TLS.
    Explicit,
    /// `ftps`: at once.
    Implicit,
}

/// Bytes that are not printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) Vec<u8>);

/// The server, the user and the directory that a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) security: Security,
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<Vec<u8>>,
    pub(super) password: Option<Secret>,
    /// The argument of CWD; empty: the directory after the login.
    pub(super) path: Vec<u8>,
}

/// The schemes, with their default ports.
const SCHEMES: [(&str, Security, u16); 3] = [
    ("ftp", Security::Plain, 21),
    ("ftpes", Security::Explicit, 21),
    ("ftps", Security::Implicit, 990),
];

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, without the text of the URL, which may contain a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let schemes = "expected a URL that begins with ftp://, ftps:// or ftpes://";
        let (scheme, rest) = text.split_once("://").ok_or(schemes)?;
        let known = SCHEMES.iter().find(|(name, ..)| scheme.eq_ignore_ascii_case(name));
        let &(_, security, usual) = known.ok_or(schemes)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // a password may contain '@'
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place, usual)?;
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(None) => (login, None),
            Some(Some((user, password))) => (Some(user), Some(password)),
        };
        let user = user.map(|user| decoded(user, "the user")).transpose()?;
        let password = password.map(|text| decoded(text, "the password")).transpose()?;
        let path = path.split_once(";type=").map_or(path, |(path, _)| path);
        let path = decoded(path, "the path")?;
        let user = user.filter(|user| !user.is_empty());
        Ok(Self { security, host, port, user, password: password.map(Secret), path })
    }
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets.
fn host_and_port(place: &str, usual: u16) -> Result<(String, u16), String> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) =
            rest.split_once(']').ok_or("the ']' after the address is missing")?;
        match rest.strip_prefix(':') {
            None if !rest.is_empty() => return Err("expected ':' and a port after ']'".into()),
            port => (host, port),
        }
    } else {
        match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(
                    "an IPv6 address in a URL needs brackets: ftp://[2001:db8::1]/".into()
                );
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let host = String::from_utf8(decoded(host, "the host")?);
    let host = host.map_err(|_| "the host is not UTF-8")?;
    if host.is_empty() || host.contains(|letter: char| letter.is_whitespace()) {
        return Err("the URL names no host".to_owned());
    }
    let port = match port.filter(|port| !port.is_empty()) {
        None => usual,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err("the port is not a number from 1 to 65535".to_owned()),
        },
    };
    Ok((host, port))
}

/// Replaces `%41` by the byte that it encodes. A line end or a NUL would make two commands out of
/// one.
fn decoded(text: &str, what: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let pair = digit(rest.next()).zip(digit(rest.next()));
        let byte = pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        let bad =
            || format!("{what} has a '%' without two hexadecimal digits; '%' itself is %25");
        bytes.push(byte.ok_or_else(bad)?);
    }
    if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(format!("{what} contains a line end or NUL"));
    }
    Ok(bytes)
}

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn schemes_have_their_ports() {
        for (text, security, port) in [
            ("ftp://h", Security::Plain, 21),
            ("FTP://h/", Security::Plain, 21),
            ("ftps://h", Security::Implicit, 990),
            ("ftpes://h", Security::Explicit, 21),
            ("ftpes://h:2121/x", Security::Explicit, 2121),
            ("ftp://h:/", Security::Plain, 21),
        ] {
            let url = url(text);
            assert_eq!(
                (url.security, url.port, url.host.as_str()),
                (security, port, "h"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_parts_are_decoded() {
        let url = url("ftp://a%40b:p%2F:%C3%BC@x@[2001:db8::1%25eth0]:99/%2Fa%20b//c;type=i");
        assert_eq!(url.user.as_deref(), Some(&b"a@b"[..]));
        assert_eq!(url.password.unwrap().0, "p/:\u{fc}@x".as_bytes());
        assert_eq!((url.host.as_str(), url.port), ("2001:db8::1%eth0", 99));
        assert_eq!(url.path, b"/a b//c");
    }

    #[test]
    fn a_url_without_a_user_is_anonymous() {
        assert_eq!(url("ftp://h/pub").user, None);
        assert_eq!(url("ftp://@h/pub").user, None);
        assert_eq!(url("ftp://u@h").password, None);
        assert_eq!(url("ftp://u:@h").password, Some(Secret(Vec::new())));
    }

    #[test]
    fn faults_are_named_without_the_password() {
        for (text, why) in [
            ("h", "begins with"),
            ("http://h", "begins with"),
            ("ftp://", "no host"),
            ("ftp://u:secret@/x", "no host"),
            ("ftp://2001:db8::1/", "brackets"),
            ("ftp://[::1/", "']'"),
            ("ftp://[::1]x/", "':'"),
            ("ftp://h:0/", "port"),
            ("ftp://u:secret@h:99999/", "port"),
            ("ftp://u:secret%zz@h/", "password"),
            ("ftp://h/%0D%0ADELE x", "path"),
            ("ftp://h/%", "path"),
            ("ftp://u%00@h/", "user"),
        ] {
            let fault = Url::parse(text).unwrap_err();
            assert!(fault.contains(why) && !fault.contains("secret"), "{text}: {fault}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", url("ftp://u:secret@h/")).contains("secret"));
    }
}
