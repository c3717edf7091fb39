//! `ftpd reload`: makes the running server read its settings again.

use std::process::ExitCode;

use super::admin::ask;
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::{complain, say};
use crate::server::protocol::{Reload, Reloaded};

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Stop> {
    let file = arguments.end()?;
    let Reloaded { warnings, ended } = match ask(file.as_deref(), Reload {}) {
        Err(Stop::Refused(faults)) => {
            complain(&faults);
            return Err(Stop::BadConfig);
        }
        other => other?,
    };
    for warning in warnings {
        complain(&format!("warning: {warning}"));
    }
    Ok(say(&format!("settings reloaded; sessions of removed users ended: {ended}")))
}
