//! PORT and EPRT: the server connects to the client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::connection::DataConnection;
use super::error::DataError;
use super::watch::{Progress, Ready, Watch, wait};
use crate::rights::raise_low_ports;
use crate::tls::Awaited;

/// Connects to the client's data port. `local` is our own address; with port 0 the system
/// chooses the port.
///
/// # Errors
///
/// When the client cannot be reached in time, or the transfer is to end before it begins.
pub fn connect(
    to: SocketAddr,
    local: SocketAddr,
    watch: &mut dyn Watch,
    patience: Option<Duration>,
) -> Result<DataConnection, DataError> {
    let socket = start_connecting(to, local).map_err(DataError::CannotConnect)?;
    let until = patience.map(|patience| Instant::now() + patience);
    let connected = Some(Awaited::writable(&socket));
    match wait(watch, &Progress::start(), connected, until)? {
        Ready::Yes => match socket.take_error() {
            Ok(None) => Ok(DataConnection::new(socket.into())),
            Ok(Some(why)) | Err(why) => Err(DataError::CannotConnect(why)),
        },
        Ready::TimedOut => Err(DataError::CannotConnect(io::ErrorKind::TimedOut.into())),
    }
}

/// Checks that data connections may leave from this port. Ports below 1024 need root or a
/// capability.
///
/// # Errors
///
/// Returns the system's error.
pub fn may_leave_from(port: u16) -> io::Result<()> {
    match bound(SocketAddr::from(([0, 0, 0, 0], port))) {
        Err(why) if why.kind() == io::ErrorKind::PermissionDenied => Err(why),
        // a port that is in use now may be free later
        _ => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "data sockets are this room's")]
fn start_connecting(to: SocketAddr, local: SocketAddr) -> io::Result<Socket> {
    let socket = bound(local)?;
    unpace_within(&socket, local.ip(), to.ip());
    match socket.connect(&to.into()) {
        Err(why) if Errno::from_io_error(&why) == Some(Errno::INPROGRESS) => Ok(socket),
        other => other.map(|()| socket),
    }
}

/// Opens a non-blocking socket on one of our addresses. The address is reusable: with
/// `active_port` many connections leave from one port, and a passive port may have served
/// another connection a moment ago.
pub(super) fn bound(local: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new_raw(Domain::for_address(local), kind, None)?;
    socket.set_reuse_address(true)?;
    let _raised = (1..1024).contains(&local.port()).then(raise_low_ports);
    socket.bind(&local.into())?;
    Ok(socket)
}

/// Returns whether both ends of a connection are on this machine.
fn is_within(local: IpAddr, peer: IpAddr) -> bool {
    let (local, peer) = (local.to_canonical(), peer.to_canonical());
    local == peer || peer.is_loopback()
}

/// Switches a connection within this machine from BBR to Reno. BBR, the default of some
/// systems, sends at a pace that it estimates for the network. Within one machine there is no
/// network, and waiting before each packet would cost most of the speed
/// (tests/bench/RESULTS.md). Reno does not pace, and every user of every Linux system may use
/// it.
pub(super) fn unpace_within(socket: &Socket, local: IpAddr, peer: IpAddr) {
    static PACES: OnceLock<bool> = OnceLock::new();
    let usual = || socket.tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr"));
    if is_within(local, peer) && *PACES.get_or_init(usual) {
        // if this fails, the connection keeps its usual pace
        let _ = socket.set_tcp_congestion(b"reno");
    }
}

#[cfg(test)]
mod tests {
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
    fn a_connection_within_the_machine_does_not_pace() {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = bound(local).unwrap();
        unpace_within(&socket, local.ip(), local.ip());
        assert!(!socket.tcp_congestion().unwrap().starts_with(b"bbr"));
    }
}
