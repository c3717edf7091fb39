//! Reads what systemd, or another service manager, passes in the environment: its notification
//! socket and listening sockets.

use std::env::VarError;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use crate::log::escaped;
use crate::server::{Handed, Supervisor};

/// Returns the service manager that supervises this process, if there is one. If it cannot be
/// reached, a warning is logged and the server runs anyway.
pub(super) fn supervisor() -> Supervisor {
    let Some(socket) = variable("NOTIFY_SOCKET") else { return Supervisor::default() };
    let watchdog = is_meant("WATCHDOG_PID").then(watchdog).flatten();
    Supervisor::at(socket.as_ref(), watchdog).unwrap_or_else(|why| {
        log::warn!("cannot tell the service manager anything (NOTIFY_SOCKET): {why}");
        Supervisor::default()
    })
}

/// Returns the time limit of the watchdog.
fn watchdog() -> Option<Duration> {
    let microseconds = variable("WATCHDOG_USEC")?.parse().ok().filter(|&number| number > 0);
    microseconds.map(Duration::from_micros)
}

/// Returns the listening sockets that this process was started with (`sd_listen_fds(3)`). Must
/// be called before any file is opened and any thread is started.
///
/// # Errors
///
/// If a socket cannot be used; the error is a message for the administrator. The server must
/// not start then, because it should listen on these sockets only.
pub(super) fn sockets() -> Result<Vec<Handed>, String> {
    let count = variable("LISTEN_FDS");
    let Some(count) =
        count.filter(|_| variable("LISTEN_PID").is_some() && is_meant("LISTEN_PID"))
    else {
        return Ok(Vec::new());
    };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat_with(String::new));
    // this also removes the variables from the environment
    let mut sockets = ListenFd::from_env();
    let there = sockets.len();
    if count.parse() != Ok(there) {
        return Err(format!(
            "LISTEN_FDS: '{}' is not a whole number",
            escaped(count.as_bytes())
        ));
    }
    let take = |(at, name)| {
        let listener = take(&mut sockets, at);
        let listener = listener.map_err(|why| format!("cannot take over a socket: {why}"))?;
        Ok(Handed { listener, name })
    };
    (0..there).zip(names).map(take).collect()
}

/// Takes over one socket. Programs that are started later do not inherit it.
fn take(sockets: &mut ListenFd, at: usize) -> io::Result<TcpListener> {
    let listener = sockets.take_tcp_listener(at)?;
    let listener = listener.ok_or_else(|| io::Error::other("it is in use"))?;
    let listens = socket_acceptconn(&listener)?;
    let why = "it does not listen (Accept=yes in a socket unit?)";
    listens.then_some(listener).ok_or_else(|| io::Error::other(why))
}

/// Returns whether the variables are meant for this process, and not for the process that
/// started it.
fn is_meant(pid: &str) -> bool {
    variable(pid).is_none_or(|number| number.parse() == Ok(std::process::id()))
}

#[expect(clippy::disallowed_methods, reason = "the command line owns the environment")]
fn variable(name: &str) -> Option<String> {
    match std::env::var(name) {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(VarError::NotPresent | VarError::NotUnicode(_)) => None,
    }
}
