//! `ftpd check`: checks the settings without starting the server.

use std::fmt::Write;
use std::process::ExitCode;

use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::{complain, say};
use super::settings::{origin, printed, read, read_explained, read_strictly};
use super::unit;
use crate::config::Explained;
use crate::log::escaped;
use crate::server;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [late_homes, verbose] = arguments.switches(["--late-homes", "-v"])?;
    let origin = origin(arguments.file.as_deref())?;
    let read = if late_homes { read } else { read_strictly };
    let (config, values) = printed(if verbose {
        read_explained(&origin, late_homes)
    } else {
        read(&origin).map(|config| (config, Vec::new()))
    })?;
    let absent = config.absent.iter().map(ToString::to_string);
    let kept_out = unit::warnings(&origin, &config);
    let late = server::late_mounts(&config);
    for warning in config.warnings.iter().cloned().chain(absent).chain(late).chain(kept_out) {
        complain(&format!("warning: {warning}"));
    }
    let named = config.named_users();
    let users = if named == 1 { "user" } else { "users" };
    let anonymous = if config.server.anonymous.enabled { " and anonymous" } else { "" };
    let shown = origin.shown().display();
    Ok(say(&format!("{}{shown}: good, {named} {users}{anonymous}", listed(&values))))
}

/// Returns a line for each value in force, below the name of its section.
fn listed(values: &[Explained]) -> String {
    let mut text = String::new();
    let mut section = "";
    for Explained { section: own, key, value, from } in values {
        if section != own {
            let _ = writeln!(text, "[{}]", escaped(own.as_bytes()));
            section = own;
        }
        let setting = format!("{key} = {}", escaped(value.as_bytes()));
        let _ = writeln!(text, "{setting:<48} ; {}", escaped(from.as_bytes()));
    }
    text
}
