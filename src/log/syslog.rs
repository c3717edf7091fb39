//! Sending the log to the system's log, in datagrams like those of the C library.
//!
//! They have the form of RFC 3164 without a host name, which every reader of `/dev/log`
//! accepts. The system's log is waited for no longer than a second, until it has accepted all
//! lines; a line that it does not accept is written to standard error instead.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use time::OffsetDateTime;

use super::outlet::{PATIENCE, takes};
use super::sink::Sink;

/// The usual path of the system's log.
pub(super) const USUAL: &str = "/dev/log";

/// The facility `LOG_FTP`, shifted to its place in the number before a message.
const FACILITY: u8 = 11 << 3;

/// Returns syslog's number for a level.
pub(super) fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The level, the time and the name of the program, as they are written before a message.
pub(super) struct Head(pub(super) Level, pub(super) OffsetDateTime);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self(level, at), pid) = (self, std::process::id());
        let month = at.month().to_string();
        let month = month.get(..3).unwrap_or_default();
        write!(f, "<{}>{month} {:2} ", FACILITY | severity(*level), at.day())?;
        write!(f, "{:02}:{:02}:{:02} ftpd[{pid}]: ", at.hour(), at.minute(), at.second())
    }
}

/// A connection to the system's log. If it is lost, the next line makes a new one.
pub(super) struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// Whether lines are written to standard error instead. While this is set, the reason is
    /// not written again.
    astray: bool,
    /// How long the reader is still waited for, until it accepts a line at once.
    patience: Duration,
    /// Standard error, for lines that cannot be sent.
    stderr: Option<Arc<Sink>>,
}

impl Syslog {
    /// Returns a connection that is made when the first line is sent.
    pub(super) fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            socket: None,
            astray: false,
            patience: PATIENCE,
            stderr: Sink::stderr().ok(),
        }
    }

    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match send_on(socket, line, &mut self.patience) {
                Err(why) if why.kind() != io::ErrorKind::WouldBlock => self.socket = None,
                sent => return sent,
            }
        }
        // the system's log may have been restarted
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_nonblocking(true)?;
        let sent = send_on(&socket, line, &mut self.patience);
        self.socket = Some(socket);
        sent
    }

    /// Writes a line that could not be sent to standard error. Before the first of these lines,
    /// writes the reason.
    fn lament(&mut self, line: &[u8], why: &io::Error) -> io::Result<()> {
        let mut text = Vec::new();
        if !std::mem::replace(&mut self.astray, true) {
            let path = self.path.display();
            writeln!(text, "no syslog at {path}: {why}; the log is written to standard error")?;
        }
        let number = line.iter().position(|&byte| byte == b'>').map_or(0, |end| end + 1);
        text.extend_from_slice(line.get(number..).unwrap_or_default());
        text.push(b'\n');
        if let Some(stderr) = &self.stderr {
            stderr.write(&text);
        }
        Ok(())
    }
}

/// Sends a line, and waits for room if there is none. What is left of the patience is used for
/// the next lines, until one is accepted at once.
fn send_on(socket: &UnixDatagram, line: &[u8], patience: &mut Duration) -> io::Result<()> {
    match socket.send(line) {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock && !patience.is_zero() => {
            let began = Instant::now();
            takes(socket, *patience);
            *patience = patience.saturating_sub(began.elapsed());
            socket.send(line).map(drop)
        }
        Err(why) => Err(why),
        Ok(_) => {
            *patience = PATIENCE;
            Ok(())
        }
    }
}

impl Write for Syslog {
    /// Sends one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        match self.send(text) {
            Ok(()) => self.astray = false,
            Err(why) => self.lament(text, &why)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn the_head_is_that_of_rfc_3164_with_the_facility_ftp() {
        let head = Head(Level::Warn, at(1_772_694_489)).to_string();
        let pid = std::process::id();
        assert_eq!(head, format!("<92>Mar  5 07:08:09 ftpd[{pid}]: "));
        let head = Head(Level::Info, at(1_795_712_889)).to_string();
        assert!(head.starts_with("<94>Nov 26 17:08:09 "), "{head}");
    }
}
