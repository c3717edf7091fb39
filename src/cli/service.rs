//! What systemd, or whoever starts the server as a service, has put into its environment.

use std::env::VarError;
use std::time::Duration;

use crate::server::Supervisor;

/// Whoever looks after this process, if somebody does. One that cannot be told anything is
/// worth a warning; the server serves all the same.
pub(super) fn supervisor() -> Supervisor {
    let Some(socket) = variable("NOTIFY_SOCKET") else { return Supervisor::default() };
    let watchdog = is_meant("WATCHDOG_PID").then(watchdog).flatten();
    Supervisor::at(socket.as_ref(), watchdog).unwrap_or_else(|why| {
        log::warn!("cannot tell the service manager anything (NOTIFY_SOCKET): {why}");
        Supervisor::default()
    })
}

fn watchdog() -> Option<Duration> {
    let microseconds = variable("WATCHDOG_USEC")?.parse().ok().filter(|&number| number > 0);
    microseconds.map(Duration::from_micros)
}

/// Whether variables are for this process: one that starts it may have got them for itself.
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
