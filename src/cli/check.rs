//! `ftpd check`: checks the settings without starting the server.

use std::process::ExitCode;

use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::{complain, say};
use super::settings::{load_with, read, read_strictly};
use super::unit;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [late_homes] = arguments.switches(["--late-homes"])?;
    let read = if late_homes { read } else { read_strictly };
    let (file, config) = load_with(arguments.file.as_deref(), read)?;
    let absent = config.absent.iter().map(ToString::to_string);
    let kept_out = unit::warnings(&file, &config);
    for warning in config.warnings.iter().cloned().chain(absent).chain(kept_out) {
        complain(&format!("warning: {warning}"));
    }
    let named = config.named_users();
    let users = if named == 1 { "user" } else { "users" };
    let anonymous = if config.server.anonymous.enabled { " and anonymous" } else { "" };
    Ok(say(&format!("{}: good, {named} {users}{anonymous}", file.display())))
}
