//! The HTTP request of the metrics port: one reading, whatever follows it and whatever other
//! fields it has.

use ftpd::server::parse_request;

const END: &[u8] = b"\r\n\r\n";

/// Checks one request.
pub(super) fn check(data: &[u8]) {
    let read = parse_request(data);
    let end = data.windows(END.len()).position(|four| four == END);
    let Some(end) = end else {
        assert!(read.is_err(), "a request without an end was read");
        return;
    };
    assert_eq!(read, parse_request(&data[..end + END.len()]), "what follows matters");
    let Ok([method, path, host]) = read else { return };
    assert!(!method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()));
    assert!(path.starts_with('/'));
    for word in [method, path] {
        assert!(!word.contains([' ', '\r', '\n']), "{word:?} is more than a word");
    }
    assert!(!host.contains("\r\n") && host.trim() == host);
    let with = |field: &[u8]| [&data[..end], b"\r\n", field, END].concat();
    let more = with(b"X-More: 1");
    assert_eq!(read, parse_request(&more), "another field matters");
    for field in [&b"Host: other"[..], b"hOST:"] {
        let more = with(field);
        let again = parse_request(&more);
        // a request for /health may have none, and an empty one cannot be told from none
        let was_none = path == "/health" && host.is_empty();
        assert!(was_none || again.is_err(), "two hosts are one too many");
    }
}
