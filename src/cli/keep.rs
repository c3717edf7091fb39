//! `ftpd keep`: lists what retention would remove, or lets it remove that now. The running server
//! answers, because only it has the rights and knows what is in use. If no server runs, this process
//! looks by itself.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::json;

use super::admin::{Absence, ask, ask_if_there};
use super::arguments::Arguments;
use super::outcome::{FAILED, Stop};
use super::print::{complain, say};
use super::screen::{clock, safe};
use super::settings::load;
use crate::log;
use crate::server::protocol::{Keep, Kept, KeptFile};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [dry, now, json] = arguments.switches(["--dry-run", "--now", "--json"])?;
    if dry && now {
        return Err(Stop::Misuse("expected either --dry-run or --now".to_owned()));
    }
    let file = arguments.file.as_deref();
    let kept = if now {
        ask(file, Keep { now })?
    } else {
        match ask_if_there(file, Keep { now }) {
            Ok(kept) => kept,
            Err(Absence::NoServer) => by_itself(file)?,
            Err(Absence::NotAllowed) => {
                complain(
                    "(the running server could not be asked: permission denied; try sudo)",
                );
                by_itself(file)?
            }
            Err(Absence::Failed(why)) => return Err(why),
        }
    };
    for trouble in &kept.troubles {
        complain(&safe(trouble));
    }
    let is_whole = kept.troubles.is_empty() && !kept.in_vain;
    if json {
        say(&log::json(&json!(kept)));
    } else {
        say(&table(&kept));
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Looks without a server.
fn by_itself(file: Option<&std::path::Path>) -> Result<Kept, Stop> {
    let (_, config) = load(file)?;
    Ok(Kept::of(crate::control::keep_report(&config)))
}

fn table(kept: &Kept) -> String {
    let mut lines = String::new();
    if kept.rules.is_empty() {
        return "no keep_for, keep_bytes, keep_files or min_free is set".to_owned();
    }
    for rule in &kept.rules {
        let begins =
            rule.begins.as_ref().map(|begins| format!(", not before {}", safe(begins)));
        let (folder, text) = (safe(&rule.folder), safe(&rule.rule));
        // writing to a String cannot fail
        let _ = writeln!(
            lines,
            "{folder}: {text}{}: {} files, {} bytes",
            begins.unwrap_or_default(),
            rule.files,
            rule.bytes
        );
    }
    if !kept.files.is_empty() {
        let _ = write!(lines, "\n{:>12} {:>15}  {:<20} PATH", "AGE", "BYTES", "RULE");
    }
    for KeptFile { path, age, bytes, rule } in &kept.files {
        let (age, path, rule) = (clock(*age), safe(path), safe(rule));
        let _ = write!(lines, "\n{age:>12} {bytes:>15}  {rule:<20} {path}");
    }
    if kept.more {
        lines += "\n(and more)";
    }
    if kept.in_vain {
        lines += "\nstopped: less than half of what was removed became free space";
    }
    lines.trim_end().to_owned()
}
