//! Messages to the program that supervises the server: systemd, or another one that speaks its
//! protocol (`sd_notify(3)`). Each message is a datagram.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The program that supervises the server. With the default value there is no supervisor, and
/// no messages are sent.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// The supervisor restarts the server if it sends no message for this long.
    watchdog: Option<Duration>,
}

/// How often the number of sessions is reported, if it has changed.
const STATUS: Duration = Duration::from_secs(10);

/// How long a message may take to send. If the supervisor reads too slowly, the message is
/// dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the server may take to end after the grace period for transfers.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Connects to the Unix socket of a supervisor: a path, or `@` and an abstract name.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
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

    /// How often messages are sent, if there is a supervisor.
    pub(super) fn turn(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        Some(self.beat().map_or(STATUS, |beat| beat.min(STATUS)))
    }

    /// How often the watchdog gets a message: twice within its time limit.
    pub(super) fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Reports that the server is ready, or that a reload has ended.
    pub(super) fn ready(&self) {
        self.say("READY=1");
    }

    /// Reports that a reload has begun. `ready` must follow.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// Reports that the server is stopping, which may take as long as the grace period.
    pub(super) fn stopping(&self, grace: Duration) {
        let most = (grace + LAST_WORDS).as_micros();
        self.say(&format!(
            "STOPPING=1\nSTATUS=Waiting for transfers\nEXTEND_TIMEOUT_USEC={most}"
        ));
    }

    /// Reports to the watchdog that the server works.
    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            self.say("WATCHDOG=1");
        }
    }

    /// Reports a status for people to read.
    pub(super) fn status(&self, text: &str) {
        self.say(&format!("STATUS={text}"));
    }

    fn say(&self, text: &str) {
        // an error does not matter, because the server also works without its supervisor
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
