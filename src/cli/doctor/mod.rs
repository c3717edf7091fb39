//! `ftpd doctor`: examines this machine, and says why clients cannot reach the server or store files.
//!
//! Probes collect facts, which are plain data, and change nothing; the judge, a pure function, turns
//! the facts into findings with their cures, the worst first. So each world is a row of a test. A new
//! check is a member of [`facts::Facts`], the probe that fills it, and a finding in `judge`.
//!
//! The rules of the firewall are read from what its programs print and followed like a packet would
//! (`firewall`). Where a rule is not understood, the report says so instead of guessing.

mod facts;
mod firewall;
mod judge;
mod probe;

use std::process::ExitCode;

use serde_json::{Value, json};

use super::arguments::Arguments;
use super::line::{Line, Verdict, status};
use super::outcome::Stop;
use super::print::say;
use crate::config::Config;
use crate::log;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [is_json, verbose] = arguments.switches(["--json", "-v"])?;
    let facts = probe::gather(arguments.file.as_deref());
    let lines = judge::judge(&facts);
    if is_json {
        say(&as_json(&lines));
    } else {
        say(&as_text(&lines, verbose));
    }
    Ok(status(&lines))
}

/// Returns what a server that starts should tell about its addresses, without a look at anything but
/// the interfaces: that clients may be told an address which they cannot reach.
pub(super) fn suspicion(config: &Config) -> Option<String> {
    let passive = &config.server.passive;
    if passive.masquerade_address.is_some() {
        return None;
    }
    let (network, container) = probe::surroundings();
    let hosts = &config.server.listen.ip;
    let listen: Vec<_> = hosts.iter().filter_map(|host| host.parse().ok()).collect();
    let what = judge::suspicion(&network, container.as_deref(), &listen)?;
    Some(format!("{what}; 'ftpd doctor' says what to do"))
}

fn count(lines: &[Line], verdict: Verdict) -> usize {
    lines.iter().filter(|line| line.verdict == verdict).count()
}

/// Returns the findings, or all lines if `verbose`. Without findings this is one line.
fn as_text(lines: &[Line], verbose: bool) -> String {
    let shown = lines.iter().filter(|line| verbose || line.verdict != Verdict::Good);
    let mut shown: Vec<_> = shown.map(Line::print).collect();
    let [failed, warnings, skipped] =
        [Verdict::Failed, Verdict::Warning, Verdict::Skipped].map(|one| count(lines, one));
    shown.push(if failed + warnings + skipped == 0 {
        format!("all {} checks are good", lines.len())
    } else {
        let skipped =
            if skipped > 0 { format!(", {skipped} not checked") } else { String::new() };
        format!("{failed} failed, {warnings} warnings{skipped}")
    });
    shown.join("\n")
}

fn as_json(lines: &[Line]) -> String {
    log::json(&json!({
        "failed": count(lines, Verdict::Failed),
        "warnings": count(lines, Verdict::Warning),
        "checks": lines.iter().map(Line::json).collect::<Vec<Value>>(),
    }))
}
