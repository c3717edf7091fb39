//! Asks for a new password, without showing it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::sync::Arc;
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::Stop;
use crate::auth;

/// More is no password.
const LONGEST: u64 = 4096;

/// Signals that end the program while it asks.
const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// What shells say of a program that a signal has ended is this, and the signal's number.
const BY_SIGNAL: i32 = 128;

/// The hash of a password that is read twice from the terminal, or once, as one line, from a
/// standard input that is none.
pub(super) fn new_hash(of: &str) -> Result<String, Stop> {
    let failed = |why: io::Error| Stop::Failed(format!("no password: {why}"));
    let password = if io::stdin().is_terminal() {
        let terminal = Terminal::open().map_err(failed)?;
        let password = terminal.ask(&format!("Password{of}: ")).map_err(failed)?;
        if terminal.ask("The same again: ").map_err(failed)? != password {
            return Err(Stop::Failed("these were two passwords".to_owned()));
        }
        password
    } else {
        line(io::stdin().lock()).map_err(failed)?
    };
    auth::hash_of(&password).map_err(failed)
}

/// A line without its end.
fn line(from: impl BufRead) -> io::Result<Vec<u8>> {
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

/// The terminal with its echo off. Dropping it, and a signal, bring the echo back.
struct Terminal {
    file: Arc<File>,
    before: Termios,
    signals: Handle,
}

impl Terminal {
    #[expect(clippy::disallowed_methods, reason = "the terminal; and who brings it back")]
    fn open() -> io::Result<Self> {
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
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        silent.local_modes |= LocalModes::ECHONL;
        // what was typed before the question is no answer to it
        tcsetattr(&*file, OptionalActions::Flush, &silent)?;
        Ok(Self { file, before, signals: handle })
    }

    fn ask(&self, question: &str) -> io::Result<Vec<u8>> {
        (&*self.file).write_all(question.as_bytes())?;
        // the terminal gives a line at a time, so the reader takes no more than that
        line(BufReader::new(&*self.file))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(&*self.file, OptionalActions::Now, &self.before);
        self.signals.close();
    }
}
