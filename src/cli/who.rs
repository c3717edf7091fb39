//! `ftpd who`: lists the sessions of the running server.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::process::ExitCode;

use serde_json::json;

use super::admin::ask;
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::say;
use super::screen::{binary, client, clock, padded, per_second, safe, widest};
use crate::log;
use crate::server::protocol::{SessionView, Sessions, SilentView, Who};

/// Width of the column of users. Longer names are cut.
const USER: RangeInclusive<usize> = 12..=40;
/// Width of the column of addresses, with the star for TLS.
const ADDRESS: RangeInclusive<usize> = 22..=46;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [json] = arguments.switches(["--json"])?;
    let Sessions { sessions, silent } = ask(arguments.file.as_deref(), Who {})?;
    if json {
        return Ok(say(&log::json(&json!(sessions))));
    }
    let mut text = table(&sessions);
    for SilentView { user, seconds } in silent {
        // writing to a String cannot fail
        let _ = write!(text, "\nnothing from {} for {}", safe(&user), clock(seconds));
    }
    Ok(say(&text))
}

fn table(sessions: &[SessionView]) -> String {
    let clients: Vec<_> = sessions.iter().map(client).collect();
    let wide = widest(clients.iter().map(|(user, _)| user.as_str()), USER);
    let far = widest(clients.iter().map(|(_, address)| address.as_str()), ADDRESS);
    let (user, address) = (padded("USER", wide), padded("ADDRESS", far));
    let mut lines = format!("{:>5} {user} {address} {:>8}  DOING", "ID", "TIME");
    for (session, (user, address)) in sessions.iter().zip(&clients) {
        let (id, time) = (session.id, clock(session.seconds));
        let (user, address) = (padded(user, wide), padded(address, far));
        // writing to a String cannot fail
        let _ = write!(lines, "\n{id:>5} {user} {address} {time:>8}  ");
        lines.push_str(&doing(session));
        if let Some(quota) = &session.quota {
            let _ = write!(lines, "; {} % of the quota", quota.percent());
        }
    }
    lines
}

/// Formats the transfer of a session, with its progress, rate and share; without a transfer, `idle`.
fn doing(session: &SessionView) -> String {
    let Some(transfer) = &session.transfer else { return "idle".to_owned() };
    let (bytes, size) = (transfer.bytes, transfer.size);
    let (doing, path) = (safe(&transfer.doing), safe(&transfer.path));
    let mut line = format!("{doing} {path}  {}", binary(bytes));
    if let Some(size) = size.filter(|size| *size > 0) {
        let _ = write!(line, " of {}, {} %", binary(size), bytes.min(size) * 100 / size);
    }
    let rate = per_second(bytes, transfer.seconds);
    let _ = write!(line, ", {}/s", binary(rate));
    if let Some(share) = transfer.share {
        let _ = write!(line, " (share {}/s)", binary(share));
    }
    line
}
