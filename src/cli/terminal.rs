//! Changes the mode of the terminal, and restores it however the program ends.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::thread;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// Maximum length of a line.
const LONGEST: u64 = 4096;

/// Signals that end the program and restore the terminal.
const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// Added to the number of a signal, this is the exit status of a program that the signal ended.
const BY_SIGNAL: i32 = 128;

/// The terminal in a changed mode. Dropping it restores the mode, and so does a signal.
pub(super) struct Terminal {
    file: Arc<File>,
    before: Termios,
    signals: Handle,
}

impl Terminal {
    /// Switches off the echo of what is typed.
    pub(super) fn silent() -> io::Result<Self> {
        Self::open(|modes| {
            modes.local_modes -= LocalModes::ECHO;
            modes.local_modes |= LocalModes::ECHONL;
        })
    }

    /// Delivers each key at once. A read returns after a second without a key.
    pub(super) fn keys() -> io::Result<Self> {
        Self::open(|modes| {
            modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
            modes.special_codes[SpecialCodeIndex::VMIN] = 0;
            // tenths of a second
            modes.special_codes[SpecialCodeIndex::VTIME] = 10;
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "opens the terminal, and starts the thread that restores it"
    )]
    fn open(change: fn(&mut Termios)) -> io::Result<Self> {
        let file = Arc::new(OpenOptions::new().read(true).write(true).open("/dev/tty")?);
        let before = tcgetattr(&*file)?;
        let mut signals = Signals::new(ENDING)?;
        let (handle, own, usual) = (signals.handle(), Arc::clone(&file), before.clone());
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // this fails if the terminal is gone
                let _ = tcsetattr(&*own, OptionalActions::Now, &usual);
                let _ = (&*own).write_all(b"\n");
                std::process::exit(BY_SIGNAL + signal);
            }
        })?;
        let mut other = before.clone();
        change(&mut other);
        // discards what was typed before
        tcsetattr(&*file, OptionalActions::Flush, &other)?;
        Ok(Self { file, before, signals: handle })
    }

    /// Prints a question and reads one line.
    pub(super) fn ask(&self, question: &str) -> io::Result<Vec<u8>> {
        (&*self.file).write_all(question.as_bytes())?;
        // the terminal delivers one line at a time, so the buffer holds no more than that
        line(BufReader::new(&*self.file))
    }

    /// Reads what is typed within a second.
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

/// Reads a line, and removes its end.
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
