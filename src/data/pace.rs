//! Connections within this machine are not paced.

use std::net::{IpAddr, TcpStream};
use std::sync::OnceLock;

use socket2::SockRef;

/// Returns whether both ends of a connection are on this machine.
pub fn is_within(local: IpAddr, peer: IpAddr) -> bool {
    let (local, peer) = (local.to_canonical(), peer.to_canonical());
    local == peer || peer.is_loopback()
}

/// Switches a connection within this machine from BBR to Reno. BBR, the default of some
/// systems, sends at a pace that it estimates for the network. Within one machine there is no
/// network, and waiting before each packet would cost most of the speed
/// (tests/bench/RESULTS.md). Reno does not pace, and every user of every Linux system may use
/// it.
pub(super) fn unpace(stream: &TcpStream) {
    static PACES: OnceLock<bool> = OnceLock::new();
    let socket = SockRef::from(stream);
    let usual = || socket.tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr"));
    if *PACES.get_or_init(usual) {
        // if this fails, the connection keeps its usual pace
        let _ = socket.set_tcp_congestion(b"reno");
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn both_ends_are_here_if_they_are_one_address_or_loopback() {
        let within =
            |local: &str, peer: &str| is_within(local.parse().unwrap(), peer.parse().unwrap());
        assert!(within("127.0.0.1", "127.0.0.1"));
        assert!(within("127.0.0.1", "127.0.0.2"));
        assert!(within("::1", "::1"));
        assert!(within("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(within("2001:db8::1", "2001:db8::1"));
        assert!(!within("192.0.2.1", "192.0.2.2"));
        assert!(!within("2001:db8::1", "2001:db8::2"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a client of the test")]
    fn a_connection_within_the_machine_does_not_pace() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        unpace(&stream);
        let used = SockRef::from(&stream).tcp_congestion().unwrap();
        assert!(!used.starts_with(b"bbr"));
    }
}
