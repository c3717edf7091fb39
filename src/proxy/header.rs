//! The header of the PROXY protocol, as bytes. The crate `proxy-header` takes it apart once it is
//! complete; this file says how far it goes, so that not a byte of what follows is read with it.

use std::fmt;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};

/// For whom a connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introduced {
    /// For this client.
    Client(SocketAddr),
    /// For the balancer itself, which checks the server (LOCAL), or for a client without an address of
    /// the Internet (UNKNOWN, a Unix socket).
    Balancer,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes do not begin one.
    Missing,
    /// It is longer than headers are.
    TooLong,
    /// It begins well but cannot be read.
    Invalid,
    /// It is about UDP.
    Datagram,
}

/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Length of the part of a header of version 2 that says how long the rest is: the signature, the
/// command, the family and the length.
const FIXED: usize = 16;

/// Version 2 and the command LOCAL: the balancer has connected for itself.
const LOCAL: u8 = 0x20;

/// Family and protocol of datagrams between sockets of one machine.
const UNIX_DATAGRAM: u8 = 0x32;

/// How a header of version 1 begins.
const WORD: &[u8] = b"PROXY ";

/// Length of the shortest header of version 1, `PROXY UNKNOWN`, with the end of its line.
const SHORTEST_LINE: usize = 15;

/// Length of the longest header of version 1, with the end of its line.
const LONGEST_LINE: usize = 107;

/// Maximum length of a header of version 2 that names a client. Balancers add a few hundred bytes to
/// the addresses.
const LONGEST: usize = 2048;

/// Returns how many more bytes belong to the header for certain; 0 if it is complete.
pub(super) fn missing(bytes: &[u8]) -> Result<usize, Malformed> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, with)| byte == with);
    match bytes.first() {
        None => Ok(SIGNATURE.len()),
        Some(b'\r') if begins(SIGNATURE) => missing_of_block(bytes),
        Some(b'P') if begins(WORD) => missing_of_line(bytes),
        Some(_) => Err(Malformed::Missing),
    }
}

/// Returns how many more bytes belong to a header of version 2 for certain.
fn missing_of_block(bytes: &[u8]) -> Result<usize, Malformed> {
    let Some(&[high, low]) = bytes.get(FIXED - 2..FIXED) else {
        return Ok(FIXED - bytes.len());
    };
    let whole = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if whole > LONGEST && !is_local(bytes) {
        return Err(Malformed::TooLong);
    }
    Ok(whole - bytes.len())
}

/// Returns whether a balancer says that it has connected for itself. What follows the length must then
/// be ignored, whatever it is.
pub(super) fn is_local(bytes: &[u8]) -> bool {
    kind(bytes).is_some_and(|[command, _]| command == LOCAL)
}

/// Returns the command and the family of a header of version 2 whose fixed part is complete.
fn kind(bytes: &[u8]) -> Option<[u8; 2]> {
    let [command, family, ..] = *bytes.get(..FIXED)?.strip_prefix(SIGNATURE)? else {
        return None;
    };
    Some([command, family])
}

/// Returns how many more bytes belong to a header of version 1 for certain: a line that has not ended
/// goes on with CR LF at least.
fn missing_of_line(bytes: &[u8]) -> Result<usize, Malformed> {
    match bytes {
        [.., b'\r', b'\n'] => Ok(0),
        [.., b'\n'] => Err(Malformed::Invalid),
        _ if bytes.len() >= LONGEST_LINE => Err(Malformed::TooLong),
        [.., b'\r'] => Ok(1),
        _ => Ok(2.max(SHORTEST_LINE.saturating_sub(bytes.len()))),
    }
}

/// Reads a complete header; with LOCAL, its fixed part is enough.
pub(super) fn parse(bytes: &[u8]) -> Result<Introduced, Malformed> {
    match kind(bytes) {
        Some([LOCAL, _]) => return Ok(Introduced::Balancer),
        Some([_, UNIX_DATAGRAM]) => return Err(Malformed::Datagram),
        Some(_) | None => {}
    }
    // what balancers add to the addresses is not needed
    let config = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    let (header, length) = ProxyHeader::parse(bytes, config).map_err(|_| Malformed::Invalid)?;
    if length != bytes.len() {
        return Err(Malformed::Invalid);
    }
    match header.proxied_address() {
        None => Ok(Introduced::Balancer),
        Some(address) if address.protocol == Protocol::Stream => {
            let (ip, port) = (address.source.ip().to_canonical(), address.source.port());
            Ok(Introduced::Client(SocketAddr::new(ip, port)))
        }
        Some(_) => Err(Malformed::Datagram),
    }
}

/// Reads the header at the beginning of `bytes` in pieces as a socket may deliver them, and returns it
/// with its length; `None` if it is not complete. Fuzz targets test the header through this function.
#[doc(hidden)]
pub fn read(bytes: &[u8]) -> Result<Option<(Introduced, usize)>, Malformed> {
    let mut length = 0;
    loop {
        let header = bytes.get(..length).unwrap_or_default();
        match missing(header)? {
            0 => return parse(header).map(|introduced| Some((introduced, length))),
            more if length + more <= bytes.len() => length += more,
            // the bytes that are there may show already that they begin no header
            _ => {
                return match missing(bytes)? {
                    0 => parse(bytes).map(|introduced| Some((introduced, bytes.len()))),
                    _ => Ok(None),
                };
            }
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the connection does not begin with a PROXY header",
            Self::TooLong => "the PROXY header is too long",
            Self::Invalid => "the PROXY header is not valid",
            Self::Datagram => "the PROXY header is about UDP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2 with this command, family and content.
    fn binary(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, content].concat()
    }

    const IPV4: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0, 21];

    fn client(text: &str) -> Introduced {
        Introduced::Client(text.parse().unwrap())
    }

    #[test]
    fn both_versions_name_the_client_and_nothing_behind_them_is_read() {
        let mut ipv6 = vec![0; 36];
        ipv6[..16]
            .copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        ipv6[32..].copy_from_slice(&[0xc3, 0x50, 0, 21]);
        let mapped = b"PROXY TCP6 ::ffff:192.0.2.7 ::1 50000 21\r\n".to_vec();
        let more = [IPV4, &[4, 0, 3, 1, 2, 3]].concat();
        for (header, introduced) in [
            (
                b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 21\r\n".to_vec(),
                client("192.0.2.7:50000"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 50000 21\r\n".to_vec(),
                client("[2001:db8::7]:50000"),
            ),
            (mapped, client("192.0.2.7:50000")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Introduced::Balancer),
            (b"PROXY UNKNOWN ::1 ::1 5 6\r\n".to_vec(), Introduced::Balancer),
            (binary(0x21, 0x11, IPV4), client("192.0.2.7:50000")),
            (binary(0x21, 0x11, &more), client("192.0.2.7:50000")),
            (binary(0x21, 0x21, &ipv6), client("[2001:db8::7]:50000")),
            (binary(0x20, 0x00, &[]), Introduced::Balancer),
            (binary(0x20, 0x11, IPV4), Introduced::Balancer),
            (binary(0x20, 0x11, &IPV4[1..]), Introduced::Balancer),
            (binary(0x20, 0x12, &[]), Introduced::Balancer),
            (binary(0x20, 0x32, &[7]), Introduced::Balancer),
            (binary(0x20, 0xff, &[7; 3000]), Introduced::Balancer),
            (binary(0x21, 0x00, &[]), Introduced::Balancer),
            (binary(0x21, 0x00, &[7; 30]), Introduced::Balancer),
            (binary(0x21, 0x31, &[b'/'; 216]), Introduced::Balancer),
            (binary(0x21, 0x31, &[b'/'; 300]), Introduced::Balancer),
        ] {
            let length = header.len();
            for behind in ["", "\r\n", "USER bob\r\n", "\u{16}\u{3}\u{1}", "PROXY "] {
                let all = [header.as_slice(), behind.as_bytes()].concat();
                assert_eq!(
                    read(&all),
                    Ok(Some((introduced, length))),
                    "{}",
                    all.escape_ascii()
                );
            }
            for cut in 0..length {
                assert_eq!(read(&header[..cut]), Ok(None), "{}", header[..cut].escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_with_its_first_wrong_byte() {
        for bytes in ["USER bob\r\n", "PROXx", "\r\n\r\nX", "\n", "\u{16}\u{3}", "proxy TCP4 "]
        {
            assert_eq!(read(bytes.as_bytes()), Err(Malformed::Missing), "{bytes:?}");
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_LINE));
        assert_eq!(read(long.as_bytes()), Err(Malformed::TooLong));
        assert_eq!(read(&binary(0x21, 0x11, &vec![0; 60_000])), Err(Malformed::TooLong));
        for line in [
            "PROXY TCP4 192.0.2.7 198.51.100.1 50000\r\n",
            "PROXY TCP4 ::1 ::1 50000 21\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 500000 21\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 50000 21\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 50000 21\n",
        ] {
            assert_eq!(read(line.as_bytes()), Err(Malformed::Invalid), "{line:?}");
        }
        for (family, content) in [(0x12, IPV4), (0x32, &[b'/'; 216])] {
            assert_eq!(read(&binary(0x21, family, content)), Err(Malformed::Datagram));
        }
        for bad in [
            binary(0x31, 0x11, IPV4),
            binary(0x30, 0x00, &[]),
            binary(0x22, 0x11, IPV4),
            binary(0x21, 0x11, &IPV4[1..]),
            binary(0x21, 0x01, IPV4),
            binary(0x21, 0x10, IPV4),
            binary(0x21, 0x31, &[b'/'; 215]),
            binary(0x21, 0x41, &[0; 216]),
        ] {
            assert_eq!(read(&bad), Err(Malformed::Invalid), "{}", bad.escape_ascii());
        }
    }
}
