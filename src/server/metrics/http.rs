//! The requests and responses of HTTP that the metrics port uses.

use std::net::IpAddr;

use super::page;

/// A parsed request.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// The name that the client used for the server. Only `/health` can do without it.
    pub(super) host: Option<&'a str>,
}

/// The status lines of refusals.
pub(super) const MALFORMED: &str = "400 Bad Request";
pub(super) const FORBIDDEN: &str = "403 Forbidden";
pub(super) const NOT_FOUND: &str = "404 Not Found";
pub(super) const NOT_ALLOWED: &str = "405 Method Not Allowed";
pub(super) const TOO_LONG: &str = "431 Request Header Fields Too Large";
pub(super) const UNAVAILABLE: &str = "503 Service Unavailable";
pub(super) const VERSION: &str = "505 HTTP Version Not Supported";

/// The path that tells whether the server serves.
pub(super) const HEALTH: &str = "/health";

pub(super) fn parse(bytes: &[u8]) -> Result<Request<'_>, &'static str> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or(TOO_LONG)?;
    let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let mut lines = head.ok_or(MALFORMED)?.split("\r\n");
    // other programs may take these bytes for the end of a line (RFC 9112 §2.2)
    if lines.clone().any(|line| line.contains(['\r', '\n', '\0'])) {
        return Err(MALFORMED);
    }
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path, version, None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(MALFORMED);
    };
    let (method, path) = (method.unwrap_or_default(), path.unwrap_or_default());
    let is_method = |byte: u8| byte.is_ascii_uppercase();
    if method.is_empty() || !method.bytes().all(is_method) || !path.starts_with('/') {
        return Err(MALFORMED);
    }
    match version {
        Some("HTTP/1.1" | "HTTP/1.0") => {}
        Some(other) if other.starts_with("HTTP/") => return Err(VERSION),
        Some(_) | None => return Err(MALFORMED),
    }
    let mut host = None;
    for line in lines {
        let (key, value) = line.split_once(':').ok_or(MALFORMED)?;
        if key.eq_ignore_ascii_case("host") && host.replace(value.trim()).is_some() {
            return Err(MALFORMED);
        }
    }
    // balancers check a server with HTTP/1.0 and without this header
    if host.is_none() && path != HEALTH {
        return Err(MALFORMED);
    }
    Ok(Request { method, path, host })
}

/// Splits a request into method, path and host (empty if there is none), or returns the status line of the refusal. Fuzz
/// targets test the metrics port through this function.
#[doc(hidden)]
pub fn parse_request(bytes: &[u8]) -> Result<[&str; 3], &'static str> {
    parse(bytes).map(|request| [request.method, request.path, request.host.unwrap_or_default()])
}

/// Returns whether a client used an address or a name of this server. If other names were
/// allowed, a foreign web page could read the metrics (DNS rebinding).
pub(super) fn is_ours(host: &str, name: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[') {
        let inside = v6.split_once(']').filter(|(_, port)| is_port(port));
        return inside.is_some_and(|(v6, _)| v6.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let at = host.find(':').unwrap_or(host.len());
    let (host, port) = host.split_at_checked(at).unwrap_or_default();
    let known = host.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || host.eq_ignore_ascii_case(name);
    known && is_port(port)
}

/// Returns whether a text is empty, or a colon followed by digits.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':');
    text.is_empty() || digits.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(super) fn refusal(status: &str, text: &str, more: &str, head_alone: bool) -> Vec<u8> {
    respond(status, "text/plain; charset=utf-8", text, more, head_alone)
}

pub(super) fn respond(
    status: &str,
    kind: &str,
    body: &str,
    more: &str,
    head_alone: bool,
) -> Vec<u8> {
    let policy = page::policy();
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\nContent-Security-Policy: {policy}\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n{more}\r\n",
        body.len(),
    );
    if !head_alone {
        text.push_str(body);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_ours_are_refused() {
        for ours in [
            "127.0.0.1",
            "127.0.0.1:9121",
            "[::1]",
            "[::1]:9121",
            "localhost",
            "LocalHost:80",
            "192.0.2.1",
            "ftp.example.org:9121",
            "FTP.example.org",
        ] {
            assert!(is_ours(ours, "ftp.example.org"), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1].x",
            "[evil]",
            "localhost:x",
            "127.0.0.1@evil.example",
            "::1",
        ] {
            assert!(!is_ours(other, "ftp.example.org"), "{other}");
        }
    }

    #[test]
    fn requests_are_taken_apart_strictly() {
        let status = |text: &str| parse(text.as_bytes()).map(|request| request.path).err();
        assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), None);
        assert_eq!(status("GET / HTTP/1.0\r\nhost:x\r\nA: b\r\n\r\nbody"), None);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: x"), Some(TOO_LONG));
        assert_eq!(status("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), Some(VERSION));
        assert_eq!(status("GET /health HTTP/1.0\r\n\r\n"), None);
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "get / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\r\nHost: x\r\n\r\n",
            "GET / FTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
            "GET /\rx HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\nHost: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\0\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(status(bad), Some(MALFORMED), "{bad:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n").err(), Some(MALFORMED));
    }
}
