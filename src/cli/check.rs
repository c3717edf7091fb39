//! `ftpd check`: what `ftpd` would say of its settings, without starting.

use std::path::Path;
use std::process::ExitCode;

use super::{complain, load, say};

pub(super) fn run(file: Option<&Path>) -> ExitCode {
    match load(file) {
        Ok((file, config)) => {
            for warning in &config.warnings {
                complain(&format!("warning: {warning}"));
            }
            say(&format!("{}: good, {} users", file.display(), config.users.len()))
        }
        Err(code) => code,
    }
}
