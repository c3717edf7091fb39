//! `ftpd check`: what `ftpd` would say of its settings, without starting.

use std::process::ExitCode;

use super::{Arguments, Stop, complain, load, say};

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Stop> {
    let (file, config) = load(arguments.end()?.as_deref())?;
    for warning in &config.warnings {
        complain(&format!("warning: {warning}"));
    }
    let named = config.named_users();
    let users = if named == 1 { "user" } else { "users" };
    let anonymous = if config.server.enable_anonymous { " and anonymous" } else { "" };
    Ok(say(&format!("{}: good, {named} {users}{anonymous}", file.display())))
}
