//! `ftpd bans`: lists the addresses that are banned on the running server.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::json;

use super::admin::ask;
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::say;
use super::screen::{clock, safe};
use crate::log;
use crate::server::protocol::{BanList, BanView, Bans};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [json] = arguments.switches(["--json"])?;
    let BanList { bans } = ask(arguments.file.as_deref(), Bans {})?;
    if json {
        return Ok(say(&log::json(&json!(bans))));
    }
    if bans.is_empty() {
        return Ok(say("nobody is banned"));
    }
    Ok(say(&table(&bans)))
}

fn table(bans: &[BanView]) -> String {
    let mut lines =
        format!("{:<40} {:>9} {:>8} {:>8}  LAST", "ADDRESS", "LEFT", "FAILURES", "CLOSED");
    for ban in bans {
        let left = ban.left.map_or_else(|| "no end".to_owned(), clock);
        let (address, last) = (safe(&ban.address), safe(&ban.last));
        let BanView { failures, closed, .. } = ban;
        // writing to a String cannot fail
        let _ = write!(lines, "\n{address:<40} {left:>9} {failures:>8} {closed:>8}  {last}");
    }
    lines
}
