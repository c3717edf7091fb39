//! `ftpd stats`: shows the counters of the running server.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::json;

use super::admin::ask;
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::say;
use super::screen::{binary, clock, safe};
use crate::control::{Countable, Traffic};
use crate::log;
use crate::server::protocol::{Statistics, Stats};
use crate::server::stats::{self, Metric};

/// The kinds of transfers, each with the word with which its line begins.
const WAYS: [(&str, Traffic); 3] = [
    ("uploads", Traffic::Upload),
    ("downloads", Traffic::Download),
    ("listings", Traffic::Listing),
];

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [json] = arguments.switches(["--json"])?;
    let answer = ask(arguments.file.as_deref(), Stats {})?;
    Ok(say(&if json { log::json(&json!(answer.stats)) } else { page(&answer) }))
}

fn page(answer: &Statistics) -> String {
    let stats = &answer.stats;
    let of = |metric| stats.number(metric);
    let counts = |metric: &Metric| words(&stats.counts(metric, &[]));
    let mut lines = format!(
        "ftpd {}, up {}, since {}",
        safe(&answer.version),
        clock(answer.seconds),
        safe(&answer.since)
    );
    // writing to a String cannot fail
    let _ = write!(
        lines,
        "\nsessions     {} of {} now, {} logged in; {} in all, {} with TLS",
        of(&stats::SESSIONS_ACTIVE),
        of(&stats::SESSIONS_LIMIT),
        of(&stats::SESSIONS_LOGGED_IN),
        of(&stats::SESSIONS),
        of(&stats::SESSIONS_TLS)
    );
    let _ = write!(lines, "\nturned away  {}", counts(&stats::TURNED_AWAY));
    let _ = write!(lines, "\nlogins       {}", counts(&stats::LOGINS));
    let _ = write!(lines, "\nrefused      {}", counts(&stats::REFUSED));
    for (name, way) in WAYS {
        let way = way.word();
        let running = stats.labelled(&stats::TRANSFERS_RUNNING, &[way]);
        let ended = words(&stats.counts(&stats::TRANSFERS, &[way]));
        let bytes = binary(stats.labelled(&stats::TRANSFER_BYTES, &[way]));
        let _ = write!(lines, "\n{name:<12} {running} now; {ended}; {bytes}");
        if let Some(each) = stats.average(&stats::TRANSFER_SECONDS, way) {
            let _ = write!(lines, ", {each:.3} s each");
        }
    }
    let (taken, ports) = (of(&stats::PASSIVE_PORTS_TAKEN), of(&stats::PASSIVE_PORTS));
    let _ = write!(lines, "\nports        {taken} of {ports} passive ports in use");
    let (now, all) = (of(&stats::BANS_ACTIVE), of(&stats::BANS));
    let _ = write!(lines, "\nbans         {now} now, {all} in all");
    let _ = write!(lines, "\noffences     {}", counts(&stats::OFFENCES));
    lines
}

/// Formats the count of each kind.
fn words(counts: &[(&str, u64)]) -> String {
    let words = counts.iter().map(|(kind, count)| {
        let kind = safe(kind).replace('_', " ");
        format!("{count} {kind}")
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
