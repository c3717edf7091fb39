//! Asks for a new password without showing it.

use std::io::{self, IsTerminal};

use super::outcome::Stop;
use super::terminal::{Terminal, line};
use crate::auth;

/// Reads a new password and returns its hash. The password is read twice from the terminal or,
/// if standard input is not a terminal, once from there. `of` is added to the prompt.
pub(super) fn new_hash(of: &str) -> Result<String, Stop> {
    let failed = |why: io::Error| Stop::Failed(format!("no password: {why}"));
    let password = if io::stdin().is_terminal() {
        let terminal = Terminal::silent().map_err(failed)?;
        let password = terminal.ask(&format!("Password{of}: ")).map_err(failed)?;
        if terminal.ask("Repeat the password: ").map_err(failed)? != password {
            return Err(Stop::Failed("the passwords differ".to_owned()));
        }
        password
    } else {
        line(io::stdin().lock()).map_err(failed)?
    };
    auth::hash_of(&password).map_err(failed)
}
