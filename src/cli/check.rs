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
            let named = config.named_users();
            let users = if named == 1 { "user" } else { "users" };
            let anonymous = if config.server.enable_anonymous { " and anonymous" } else { "" };
            say(&format!("{}: good, {named} {users}{anonymous}", file.display()))
        }
        Err(code) => code,
    }
}
