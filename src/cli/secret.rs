//! Asks for a new password, without showing it.

use std::io::{self, IsTerminal};

use super::outcome::Stop;
use super::terminal::{Terminal, line};
use crate::auth;

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
