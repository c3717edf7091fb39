//! The terminal in another mode than usual, which it gets back whatever ends the program.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::thread;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// More is no password.
const LONGEST: u64 = 4096;

/// Signals that end the program meanwhile.
const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// What shells say of a program that a signal has ended is this, and the signal's number.
const BY_SIGNAL: i32 = 128;

/// The terminal in its other mode. Dropping it, and a signal, bring the usual one back.
pub(super) struct Terminal {
    file: Arc<File>,
    before: Termios,
    signals: Handle,
}

impl Terminal {
    /// Shows nothing of what is typed.
    pub(super) fn silent() -> io::Result<Self> {
        Self::open(|modes| {
            modes.local_modes -= LocalModes::ECHO;
            modes.local_modes |= LocalModes::ECHONL;
        })
    }

    /// Gives each key at once; a read ends after a second without one.
    pub(super) fn keys() -> io::Result<Self> {
        Self::open(|modes| {
            modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
            modes.special_codes[SpecialCodeIndex::VMIN] = 0;
            // tenths of a second
            modes.special_codes[SpecialCodeIndex::VTIME] = 10;
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the terminal; and who brings it back")]
    fn open(change: fn(&mut Termios)) -> io::Result<Self> {
        let file = Arc::new(OpenOptions::new().read(true).write(true).open("/dev/tty")?);
        let before = tcgetattr(&*file)?;
        let mut signals = Signals::new(ENDING)?;
        let (handle, own, usual) = (signals.handle(), Arc::clone(&file), before.clone());
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // a terminal that has gone needs no echo
                let _ = tcsetattr(&*own, OptionalActions::Now, &usual);
                let _ = (&*own).write_all(b"\n");
                std::process::exit(BY_SIGNAL + signal);
            }
        })?;
        let mut other = before.clone();
        change(&mut other);
        // what was typed before is no answer
        tcsetattr(&*file, OptionalActions::Flush, &other)?;
        Ok(Self { file, before, signals: handle })
    }

    pub(super) fn ask(&self, question: &str) -> io::Result<Vec<u8>> {
        (&*self.file).write_all(question.as_bytes())?;
        // the terminal gives a line at a time, so the reader takes no more than that
        line(BufReader::new(&*self.file))
    }

    /// What was typed, if something was within a second.
    pub(super) fn typed(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64];
        let count = (&*self.file).read(&mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(&*self.file, OptionalActions::Now, &self.before);
        self.signals.close();
    }
}

/// A line without its end.
pub(super) fn line(from: impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(LONGEST).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}
