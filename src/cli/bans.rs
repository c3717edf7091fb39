//! `ftpd bans`: the addresses that the running server does not let in.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::admin::{ask, number, text};
use super::screen::clock;
use super::{Arguments, Stop, say};
use crate::log;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [json] = arguments.switches(["--json"])?;
    let answer = ask(arguments.file.as_deref(), &json!({ "command": "bans" }))?;
    let bans = answer.get("bans").and_then(Value::as_array).cloned().unwrap_or_default();
    if json {
        return Ok(say(&log::json(&Value::from(bans))));
    }
    if bans.is_empty() {
        return Ok(say("nobody is banned"));
    }
    Ok(say(&table(&bans)))
}

fn table(bans: &[Value]) -> String {
    let mut lines =
        format!("{:<40} {:>9} {:>8} {:>8}  LAST", "ADDRESS", "LEFT", "FAILURES", "CLOSED");
    for ban in bans {
        let left = ban.get("left").and_then(Value::as_u64);
        let left = left.map_or_else(|| "no end".to_owned(), clock);
        let (address, last) = (text(ban, "address"), text(ban, "last"));
        let (failures, closed) = (number(ban, "failures"), number(ban, "closed"));
        // a String takes whatever is written to it
        let _ = write!(lines, "\n{address:<40} {left:>9} {failures:>8} {closed:>8}  {last}");
    }
    lines
}
