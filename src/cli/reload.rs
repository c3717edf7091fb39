//! `ftpd reload`: let the running server read its settings again.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::admin::{ask, number};
use super::{Arguments, Stop, complain, say};

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Stop> {
    let file = arguments.end()?;
    let answer = match ask(file.as_deref(), &json!({ "command": "reload" })) {
        Err(Stop::Refused(faults)) => {
            complain(&faults);
            return Err(Stop::BadConfig);
        }
        other => other?,
    };
    let warnings = answer.get("warnings").and_then(Value::as_array);
    for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
        complain(&format!("warning: {warning}"));
    }
    let ended = number(&answer, "ended");
    Ok(say(&format!("settings reloaded; sessions of removed users that were ended: {ended}")))
}
