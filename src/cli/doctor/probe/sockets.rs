//! Reads the kernel's tables of sockets. The parsers are pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) at: SocketAddr,
    /// The user who has opened it.
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// Reads `/proc/net/tcp` or `/proc/net/tcp6`.
pub(super) fn listening(table: &str) -> Vec<Listening> {
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (at, state) = (words.get(1)?, words.get(3)?);
        let (uid, inode) = (words.get(7)?, words.get(9)?);
        if *state != LISTEN {
            return None;
        }
        let (ip, port) = at.split_once(':')?;
        let at = SocketAddr::new(address(ip)?, u16::from_str_radix(port, 16).ok()?);
        Some(Listening { at, uid: uid.parse().ok()?, inode: inode.parse().ok()? })
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// Reads an address: words of 32 bits, in the byte order of the machine.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    Some(Ipv6Addr::from(bytes).to_canonical())
}

/// Returns whether a socket that listens at `own` gets the connections to `at`.
pub(super) fn serves(own: SocketAddr, at: SocketAddr) -> bool {
    let takes_all = own.ip().is_unspecified() && (own.is_ipv6() || at.is_ipv4());
    own.port() == at.port() && (own.ip() == at.ip() || takes_all)
}

/// Reads the names of the interfaces with a default route from `/proc/net/route`.
pub(super) fn default_routes(table: &str) -> Vec<String> {
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_default = words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
        is_default.then(|| words.first().map(|name| (*name).to_owned()))?
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// Reads the names of the interfaces with a default route from `/proc/net/ipv6_route`.
pub(super) fn default_routes_ipv6(table: &str) -> Vec<String> {
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_default = words.first().is_some_and(|to| to.bytes().all(|digit| digit == b'0'))
            && words.get(1) == Some(&"00");
        // the default route of lo refuses packets
        words.last().filter(|name| is_default && **name != "lo").map(|name| (*name).to_owned())
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:0849 00000000:0000 0A 00000000:00000000 00:00000000 00000000    14        0 5151 1 0 100 0 0 10 0\n   \
            1: 0100007F:0849 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 5152 1 0 100 0 0 10 0\n";
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(
            listening(table),
            [Listening { at: at("127.0.0.1:2121"), uid: 14, inode: 5151 }]
        );
        let table = "  sl ...\n   0: 00000000000000000000000001000000:0015 00000000000000000000000000000000:0000 0A \
            00000000:00000000 00:00000000 00000000     0        0 7 1 0 100 0 0 10 0\n";
        assert_eq!(listening(table), [Listening { at: at("[::1]:21"), uid: 0, inode: 7 }]);
        for broken in ["", "x", "x\n0:", "x\n0: 01:02 03:04 0A 0 0 0 0 0 0"] {
            assert_eq!(listening(broken), [], "{broken}");
        }
    }

    #[test]
    fn a_socket_serves_its_address_or_all() {
        for (own, at, wanted) in [
            ("0.0.0.0:21", "192.0.2.1:21", true),
            ("0.0.0.0:21", "[2001:db8::1]:21", false),
            ("[::]:21", "192.0.2.1:21", true),
            ("[::]:21", "[2001:db8::1]:21", true),
            ("192.0.2.1:21", "192.0.2.1:21", true),
            ("192.0.2.2:21", "192.0.2.1:21", false),
            ("192.0.2.1:22", "192.0.2.1:21", false),
        ] {
            assert_eq!(serves(own.parse().unwrap(), at.parse().unwrap()), wanted, "{own} {at}");
        }
    }

    #[test]
    fn interfaces_with_a_default_route_are_read() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(default_routes(table), ["eth0"]);
        let zero = "0".repeat(32);
        let table = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 1 0 3 eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 1 0 200200 lo\n"
        );
        assert_eq!(default_routes_ipv6(&table), ["eth0"]);
    }
}
