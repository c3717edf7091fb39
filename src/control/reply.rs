//! Replies as values. Many constructors make replies of one code each.
//!
//! The text of a line never contains CR, LF or NUL, so that no file name can forge a second
//! reply.

use std::net::Ipv4Addr;

/// A reply code (RFC 959 §4.2), including those of later RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[expect(missing_docs, reason = "the number is the meaning")]
pub enum Code {
    Ok = 200,
    Superfluous = 202,
    SystemStatus = 211,
    FileStatus = 213,
    Help = 214,
    SystemType = 215,
    ServiceReady = 220,
    Closing = 221,
    DataDone = 226,
    Passive = 227,
    ExtendedPassive = 229,
    LoggedIn = 230,
    SecurityOk = 234,
    FileActionDone = 250,
    PathNamed = 257,
    NeedPassword = 331,
    NeedMore = 350,
    Unavailable = 421,
    CannotOpenData = 425,
    DataLost = 426,
    BusyFile = 450,
    LocalError = 451,
    NoSpace = 452,
    BadCommand = 500,
    BadArgument = 501,
    NotImplemented = 502,
    BadSequence = 503,
    NotForThat = 504,
    DataInsecure = 521,
    ProtocolUnknown = 522,
    NotLoggedIn = 530,
    PolicyForbids = 534,
    ProtectionUnknown = 536,
    NoAccess = 550,
    OverAllocation = 552,
    BadName = 553,
    BadRestart = 554,
}

impl Code {
    /// Returns the three digits.
    fn digits(self) -> [u8; 3] {
        let code = self as u16;
        [code / 100, code / 10 % 10, code % 10].map(|digit| b'0' + (digit & 15) as u8)
    }
}

/// The final reply to a command.
#[derive(Debug)]
pub struct Reply {
    code: Code,
    /// For a reply of several lines: the first one, and those between it and the last.
    body: Option<(Vec<u8>, Vec<u8>)>,
    text: Vec<u8>,
    /// Whether the session ends after this reply.
    closes: bool,
}

/// A preliminary reply (1yz). It has a type of its own, so that a handler cannot return it as
/// the final reply.
#[derive(Debug)]
pub struct Mark(Vec<u8>);

impl Reply {
    /// Creates a reply of one line. All other constructors use this one.
    pub(super) fn new(code: Code, text: impl AsRef<[u8]>) -> Self {
        let text = tame(text.as_ref());
        let closes = matches!(code, Code::Closing | Code::Unavailable);
        Self { code, body: None, text, closes }
    }

    /// Creates a reply of several lines. `between` holds the lines between the first and the
    /// last. They are sent without a code (RFC 959 §4.2), and each ends with CR LF already.
    pub(super) fn lines(code: Code, first: &str, between: Vec<u8>, last: &str) -> Self {
        Self { body: Some((tame(first.as_bytes()), between)), ..Self::new(code, last) }
    }

    /// Creates a reply of several lines whose text is not ours. Each line begins with the
    /// code, so that none can be taken for the last line.
    pub(super) fn message(code: Code, first: &[u8], between: &[Vec<u8>], last: &str) -> Self {
        let mut body = Vec::new();
        for line in between {
            body.extend_from_slice(&code.digits());
            body.push(b'-');
            body.extend_from_slice(&tame(line));
            body.extend_from_slice(b"\r\n");
        }
        Self { body: Some((tame(first), body)), ..Self::new(code, last) }
    }

    /// Creates a 200 reply.
    pub(super) fn ok(text: impl AsRef<[u8]>) -> Self {
        Self::new(Code::Ok, text)
    }

    /// Creates a 250 reply.
    pub(super) fn done(text: &str) -> Self {
        Self::new(Code::FileActionDone, text)
    }

    /// Creates a 213 reply that consists of a value (RFC 3659 §3.1, §4.1).
    pub(super) fn value(value: impl AsRef<[u8]>) -> Self {
        Self::new(Code::FileStatus, value)
    }

    /// Creates a 257 reply: the path in quotes, with its own quotes doubled (RFC 959, Appendix
    /// II).
    pub(super) fn path(path: &[u8], remark: &str) -> Self {
        let parts: Vec<_> = path.split(|&byte| byte == b'"').collect();
        let quoted = [b"\"", &parts.join(b"\"\"".as_slice())[..], b"\" "].concat();
        Self::new(Code::PathNamed, [&quoted, remark.as_bytes()].concat())
    }

    /// Creates a 227 reply: address and port in brackets, and no comma outside them (RFC 1123
    /// §4.1.2.6).
    pub(super) fn passive(address: Ipv4Addr, port: u16) -> Self {
        let ([a, b, c, d], [high, low]) = (address.octets(), port.to_be_bytes());
        let text = format!("Entering Passive Mode ({a},{b},{c},{d},{high},{low})");
        Self::new(Code::Passive, text)
    }

    /// Creates a 229 reply: the port alone, and nothing after the bracket (RFC 2428 §3).
    pub(super) fn extended_passive(port: u16) -> Self {
        let text = format!("Entering Extended Passive Mode (|||{port}|)");
        Self::new(Code::ExtendedPassive, text)
    }

    /// Marks the reply as the last one of the session.
    pub(super) fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// Returns whether the session ends after this reply.
    pub(super) fn closes(&self) -> bool {
        self.closes
    }

    /// Returns the bytes to send.
    pub(super) fn wire(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LINE);
        let code = self.code.digits();
        if let Some((first, between)) = &self.body {
            out.extend_from_slice(&code);
            out.push(b'-');
            push(first, &mut out);
            out.extend_from_slice(b"\r\n");
            push(between, &mut out);
        }
        out.extend_from_slice(&code);
        out.push(b' ');
        push(&self.text, &mut out);
        out.extend_from_slice(b"\r\n");
        out
    }
}

impl Mark {
    /// Creates a 150 reply: the data connection is open, and the transfer begins.
    pub(super) fn opening(text: impl AsRef<[u8]>) -> Self {
        Self(tame(text.as_ref()))
    }

    /// Returns the bytes to send.
    pub(super) fn wire(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LINE);
        out.extend_from_slice(b"150 ");
        push(&self.0, &mut out);
        out.extend_from_slice(b"\r\n");
        out
    }
}

/// Initial capacity of the buffer for a reply, which is enough for most.
const LINE: usize = 128;

/// Replaces bytes that could end a line by `?`.
pub(super) fn tame(text: &[u8]) -> Vec<u8> {
    let mut tame = text.to_vec();
    for byte in &mut tame {
        if matches!(byte, b'\r' | b'\n' | 0) {
            *byte = b'?';
        }
    }
    tame
}

/// Appends text. The control connection is a Telnet connection, so a byte 255 is sent twice
/// (RFC 854).
fn push(text: &[u8], out: &mut Vec<u8>) {
    if !text.contains(&255) {
        return out.extend_from_slice(text);
    }
    for part in text.split_inclusive(|&byte| byte == 255) {
        out.extend_from_slice(part);
        if part.last() == Some(&255) {
            out.push(255);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(reply: &Reply) -> Vec<u8> {
        reply.wire()
    }

    #[test]
    fn replies_have_the_shapes_that_clients_parse() {
        assert_eq!(wire(&Reply::path(b"/a\"b", "created")), b"257 \"/a\"\"b\" created\r\n");
        let address = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(
            wire(&Reply::passive(address, 50001)),
            b"227 Entering Passive Mode (192,0,2,1,195,81)\r\n"
        );
        assert_eq!(
            wire(&Reply::extended_passive(50001)),
            b"229 Entering Extended Passive Mode (|||50001|)\r\n"
        );
        let lines = Reply::lines(Code::SystemStatus, "Features", b" SIZE\r\n".to_vec(), "End");
        assert_eq!(wire(&lines), b"211-Features\r\n SIZE\r\n211 End\r\n");
    }

    proptest! {
        #[test]
        fn no_name_forges_a_second_line(name: Vec<u8>) {
            let out = wire(&Reply::path(&name, "x"));
            let ends = out.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
            prop_assert_eq!(ends, 2);
            prop_assert!(out.ends_with(b"\r\n"));
        }

        #[test]
        fn a_name_comes_back_from_a_telnet_reader(name in prop::collection::vec(1_u8.., 1..40)) {
            prop_assume!(!name.contains(&b'\r') && !name.contains(&b'\n'));
            let mut framer = super::super::line::Framer::default();
            framer.feed(&wire(&Reply::ok(&name)));
            let expected = [b"200 ", &name[..]].concat();
            prop_assert_eq!(framer.pop(), Some(super::super::line::Line::Text(expected)));
        }
    }
}
