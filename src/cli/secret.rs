//! Asks for a new password, without showing it.

use std::io::{self, BufRead, IsTerminal};

use super::Stop;
use super::terminal::Terminal;
use crate::auth;

/// More is no password.
const LONGEST: u64 = 4096;

/// The hash of a password that is read twice from the terminal, or once, as one line, from a
/// standard input that is none.
pub(super) fn new_hash(of: &str) -> Result<String, Stop> {
    let failed = |why: io::Error| Stop::Failed(format!("no password: {why}"));
    let password = if io::stdin().is_terminal() {
        let terminal = Terminal::silent().map_err(failed)?;
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
