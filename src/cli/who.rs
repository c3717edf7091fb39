//! `ftpd who`: the sessions of the running server.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::admin::{ask, client, number, text};
use super::screen::{binary, clock, padded, per_second, widest};
use super::{Arguments, Stop, say};
use crate::log;

/// Columns of a user's name, and of an address with its star; what is longer is cut.
const USER: RangeInclusive<usize> = 12..=40;
const ADDRESS: RangeInclusive<usize> = 22..=46;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [json] = arguments.switches(["--json"])?;
    let answer = ask(arguments.file.as_deref(), &json!({ "command": "who" }))?;
    let sessions = answer.get("sessions").and_then(Value::as_array);
    if json {
        let list = sessions.cloned().unwrap_or_default();
        return Ok(say(&log::json(&Value::from(list))));
    }
    Ok(say(&table(sessions.map(Vec::as_slice).unwrap_or_default())))
}

fn table(sessions: &[Value]) -> String {
    let clients: Vec<_> = sessions.iter().map(client).collect();
    let wide = widest(clients.iter().map(|(user, _)| user.as_str()), USER);
    let far = widest(clients.iter().map(|(_, address)| address.as_str()), ADDRESS);
    let (user, address) = (padded("USER", wide), padded("ADDRESS", far));
    let mut lines = format!("{:>5} {user} {address} {:>8}  DOING", "ID", "TIME");
    for (session, (user, address)) in sessions.iter().zip(&clients) {
        let (id, time) = (number(session, "id"), clock(number(session, "seconds")));
        let (user, address) = (padded(user, wide), padded(address, far));
        // a String takes whatever is written to it
        let _ = write!(lines, "\n{id:>5} {user} {address} {time:>8}  ");
        lines.push_str(&doing(session));
    }
    lines
}

/// What a session does, how far it has come and how fast.
fn doing(session: &Value) -> String {
    let Some(transfer) = session.get("transfer").filter(|transfer| !transfer.is_null()) else {
        return "idle".to_owned();
    };
    let (bytes, size) =
        (number(transfer, "bytes"), transfer.get("size").and_then(Value::as_u64));
    let mut line =
        format!("{} {}  {}", text(transfer, "doing"), text(transfer, "path"), binary(bytes));
    if let Some(size) = size.filter(|size| *size > 0) {
        let _ = write!(line, " of {}, {} %", binary(size), bytes.min(size) * 100 / size);
    }
    let seconds = transfer.get("seconds").and_then(Value::as_f64).unwrap_or_default();
    let rate = per_second(bytes, seconds);
    let _ = write!(line, ", {}/s", binary(rate));
    line
}
