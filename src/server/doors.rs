//! The addresses that the server listens on.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::pulse::Pulse;
use crate::config::Config;
use crate::control;

/// Maximum number of connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 1024;

/// Pause after `accept` has failed, for example because memory is short.
pub(super) const BREATH: Duration = Duration::from_millis(100);

/// Pause while another thread is about to do what is waited for.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

/// A listening socket.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    /// The address that it is bound to, with the port that the system has chosen.
    pub(super) address: SocketAddr,
    /// Whether TLS begins before the greeting.
    pub(super) implicit_tls: bool,
    /// Shows that the thread that accepts clients on this socket is still working.
    pub(super) pulse: Arc<Pulse>,
    /// Whether another program opened the socket, and may still listen on it.
    pub(super) handed: bool,
}

impl Door {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let (listener, pulse) = (self.listener.try_clone()?, Arc::clone(&self.pulse));
        Ok(Self { listener, pulse, ..*self })
    }
}

/// Listens on every address of the settings.
pub(super) fn open(config: &Config) -> Result<Vec<Door>, String> {
    let server = &config.server;
    let implicit = (server.listen.implicit_port > 0).then_some(server.listen.implicit_port);
    let ports = [(Some(server.listen.port), false), (implicit, true)];
    let mut doors: Vec<Door> = Vec::new();
    for (port, implicit_tls) in ports {
        for address in port.map_or(Ok(Vec::new()), |port| resolve(config, port))? {
            let cannot =
                |why: io::Error| format!("cannot listen on {address}: {why}{}", hint(&why));
            let listener = listen(address, &doors).map_err(cannot)?;
            let address = listener.local_addr().map_err(cannot)?;
            let pulse = Arc::default();
            doors.push(Door { listener, address, implicit_tls, pulse, handed: false });
        }
    }
    Ok(doors)
}

/// Returns the addresses on which a server with these settings listens, for one port.
///
/// # Errors
///
/// If a name cannot be looked up; the error is a message for the administrator.
pub fn addresses(config: &Config, port: u16) -> Result<Vec<SocketAddr>, String> {
    resolve(config, port)
}

/// Looks up the addresses of the settings, for one port.
pub(super) fn resolve(config: &Config, port: u16) -> Result<Vec<SocketAddr>, String> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for host in &config.server.listen.ip {
        // an IPv6 address may be in brackets, as in a URL
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found = (host, port).to_socket_addrs();
        let found = found.map_err(|why| format!("cannot listen on {host}: {why}"))?;
        for address in found.map(control::canonical) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    // IPv4 comes first, because `listen` must know about it when it binds `::`
    let (mut addresses, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(SocketAddr::is_ipv4);
    addresses.extend(others);
    Ok(addresses)
}

/// Listens on an address. `::` also serves IPv4, unless one of the `others` is an IPv4 address
/// with this port.
pub(super) fn listen(address: SocketAddr, others: &[Door]) -> io::Result<TcpListener> {
    let mut others = others.iter().map(|other| other.address);
    let beside_ipv4 = others.any(|other| other.is_ipv4() && other.port() == address.port());
    let kind = Type::STREAM.cloexec();
    let socket = Socket::new_raw(Domain::for_address(address), kind, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(beside_ipv4)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Returns a hint at the cause of an error, to be appended to its message.
fn hint(why: &io::Error) -> &'static str {
    if why.kind() == io::ErrorKind::PermissionDenied {
        " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
    } else if why.kind() == io::ErrorKind::AddrInUse {
        " (is another server running?)"
    } else {
        ""
    }
}
