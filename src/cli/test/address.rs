//! Reads and writes the addresses of data connections.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Reads the address in the text of a 227 reply: six numbers, with or without parentheses, for
/// RFC 959 does not fix the text around them (RFC 1123 §4.1.2.6).
pub fn of_227(text: &[u8]) -> Option<SocketAddr> {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let mut rest = text;
    while let Some(at) = rest.iter().position(is_digit) {
        rest = rest.get(at..)?;
        let length = rest.iter().take_while(|byte| is_digit(byte) || **byte == b',').count();
        let (numbers, after) = rest.split_at_checked(length)?;
        if let Some(address) = six(numbers) {
            return Some(address);
        }
        rest = after;
    }
    None
}

fn six(numbers: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(numbers).ok()?.trim_end_matches(',');
    let numbers = text.split(',').map(str::parse::<u8>).collect::<Result<Vec<_>, _>>().ok()?;
    let &[a, b, c, d, high, low] = numbers.as_slice() else { return None };
    let port = u16::from_be_bytes([high, low]);
    Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into())
}

/// Reads the port in the text of a 229 reply, `(|||6446|)` (RFC 2428 §3). Any delimiter is allowed.
pub fn of_229(text: &[u8]) -> Option<u16> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let inside = text.get(open + 1..)?;
    let inside = inside.get(..inside.iter().position(|&byte| byte == b')')?)?;
    let (&mark, _) = inside.split_first()?;
    let mut fields = inside.split(|&byte| byte == mark).skip(3);
    let port = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    fields.next()?;
    (port != 0).then_some(port)
}

/// Writes the argument of PORT (RFC 959 §5.3.2).
pub(super) fn port_argument(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// Writes the argument of EPRT (RFC 2428 §2).
pub(super) fn eprt_argument(address: SocketAddr) -> String {
    let ip = address.ip().to_canonical();
    let family = if ip.is_ipv4() { 1 } else { 2 };
    format!("|{family}|{ip}|{}|", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passive_replies_are_read_in_all_their_forms() {
        let wanted = Some("192.0.2.1:50001".parse().unwrap());
        for text in [
            &b"Entering Passive Mode (192,0,2,1,195,81)."[..],
            b"Entering Passive Mode 192,0,2,1,195,81",
            b"=192,0,2,1,195,81",
            b"Mode 2 is on: (192,0,2,1,195,81,)",
        ] {
            assert_eq!(of_227(text), wanted, "{text:?}");
        }
        for text in [&b"ok"[..], b"(1,2,3,4,5)", b"(256,0,0,1,1,1)", b"(1,2,3,4,5,6,7)", b""] {
            assert_eq!(of_227(text), None, "{text:?}");
        }
    }

    #[test]
    fn extended_passive_replies_are_read() {
        assert_eq!(of_229(b"Entering (|||50001|)"), Some(50001));
        assert_eq!(of_229(b"(!!!50001!)"), Some(50001));
        for text in
            [&b"ok"[..], b"(|||x|)", b"(|||0|)", b"(|||70000|)", b"(|||1", b"()", b"(||1|)"]
        {
            assert_eq!(of_229(text), None, "{text:?}");
        }
    }

    #[test]
    fn arguments_of_active_mode() {
        assert_eq!(port_argument("192.0.2.1:50001".parse().unwrap()), "192,0,2,1,195,81");
        assert_eq!(eprt_argument("[::1]:99".parse().unwrap()), "|2|::1|99|");
        assert_eq!(eprt_argument("[::ffff:192.0.2.1]:99".parse().unwrap()), "|1|192.0.2.1|99|");
    }
}
