//! What the server tells the program that has started it and looks after it: systemd, or
//! another one that speaks its protocol (`sd_notify(3)`). One datagram for each message.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Whoever looks after the server. By default there is nobody, and nothing is said.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// Who has not heard from the server for this long ends it and starts another one.
    watchdog: Option<Duration>,
}

/// How often the number of sessions is told, if it has changed.
const STATUS: Duration = Duration::from_secs(10);

/// A supervisor that takes no message for this long misses it: serving goes first.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the end of the server may take beyond the grace for transfers.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Supervisor {
    /// The one that listens at a Unix socket: a path, or an abstract name behind `@`.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn at(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket: Some(socket), watchdog })
    }

    /// How often it wants to hear from the server, if there is one.
    pub(super) fn turn(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        Some(self.beat().map_or(STATUS, |beat| beat.min(STATUS)))
    }

    /// How often the watchdog must hear from the server: twice in its time.
    pub(super) fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// The server serves; or does so with other settings.
    pub(super) fn ready(&self) {
        self.say("READY=1");
    }

    /// The settings are read again; `ready` comes behind it in any case.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// The server stops, and lets transfers go on for the grace period.
    pub(super) fn stopping(&self, grace: Duration) {
        let most = (grace + LAST_WORDS).as_micros();
        self.say(&format!(
            "STOPPING=1\nSTATUS=Waiting for transfers\nEXTEND_TIMEOUT_USEC={most}"
        ));
    }

    /// The server is able to serve.
    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            self.say("WATCHDOG=1");
        }
    }

    /// A line for people.
    pub(super) fn status(&self, text: &str) {
        self.say(&format!("STATUS={text}"));
    }

    fn say(&self, text: &str) {
        // a supervisor that has gone is no reason to stop
        let _ = self.socket.as_ref().map(|socket| socket.send(text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_hears_twice_in_its_time_and_people_every_few_seconds() {
        let mut supervisor = Supervisor::default();
        assert_eq!(supervisor.turn(), None);
        supervisor.socket = Some(UnixDatagram::unbound().unwrap());
        assert_eq!(supervisor.turn(), Some(STATUS));
        supervisor.watchdog = Some(Duration::from_secs(3));
        assert_eq!(supervisor.turn(), Some(Duration::from_millis(1500)));
        supervisor.watchdog = Some(Duration::from_secs(180));
        assert_eq!(supervisor.turn(), Some(STATUS));
    }

    #[test]
    fn without_a_supervisor_nothing_happens() {
        Supervisor::default().ready();
        let nobody = Supervisor::at(OsStr::new("/nowhere/notify"), None);
        assert!(nobody.is_err());
    }
}
