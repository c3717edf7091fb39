//! PORT and EPRT: the server connects to the client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::connection::DataConnection;
use super::error::DataError;
use super::pace::is_within;
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
    let mut local = local;
    if local.is_ipv4() != to.is_ipv4() {
        // the client has come through a balancer, which speaks the other protocol with the server
        let any = if to.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        local = SocketAddr::new(any, local.port());
    }
    let socket = start_connecting(to, local).map_err(DataError::CannotConnect)?;
    let until = patience.map(|patience| Instant::now() + patience);
    let connected = Some(Awaited::writable(&socket));
    match wait(watch, &Progress::start(), connected, until)? {
        Ready::Yes => match socket.take_error() {
            Ok(None) => Ok(DataConnection::new(socket.into(), is_within(local.ip(), to.ip()))),
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
