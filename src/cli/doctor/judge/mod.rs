//! Turns facts into lines of the report. Pure: the same facts give the same lines.

mod certificate;
mod firewall;
mod network;
mod ports;
mod resources;
mod system;

#[cfg(test)]
mod tests;

use super::facts::{Facts, Unsettled};
use crate::cli::line::{Line, Verdict};
pub(super) use network::suspicion;

/// Returns the lines of the report, the worst first.
pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = match &facts.settings {
        Err(why) => unsettled(why),
        Ok(wanted) => {
            let warned = wanted.warnings.iter();
            let mut lines: Vec<_> = warned
                .map(|text| Line::warning("settings", "settings_warning", text))
                .collect();
            if lines.is_empty() {
                lines.push(Line::good("settings", "no faults"));
            }
            lines.extend(ports::judge(facts, wanted));
            lines.extend(firewall::judge(facts, wanted));
            lines.extend(network::judge(facts, wanted));
            lines.extend(resources::judge(facts));
            lines.extend(certificate::judge(facts));
            lines
        }
    };
    lines.extend(system::judge(facts));
    lines.sort_by_key(|line| rank(line.verdict));
    lines
}

const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Failed => 0,
        Verdict::Warning => 1,
        Verdict::Skipped => 2,
        Verdict::Good => 3,
    }
}

/// Returns the lines about settings that cannot be used.
fn unsettled(why: &Unsettled) -> Vec<Line> {
    match why {
        Unsettled::Absent => {
            let text = "there are no settings: neither ftpd.ini nor /etc/ftpd.ini exists";
            vec![
                Line::failed("settings", "no_settings", text)
                    .cure("name the file: ftpd doctor --config FILE")
                    .cure("to serve a directory without settings: ftpd share DIR"),
            ]
        }
        Unsettled::Closed(why) => {
            let text = format!("{why}, so nothing that depends on the settings was checked");
            vec![Line::skipped("settings", text).cure("run it as root: sudo ftpd doctor")]
        }
        Unsettled::Faulty(faults) => {
            let mut lines: Vec<_> = faults
                .iter()
                .map(|fault| Line::failed("settings", "settings_fault", fault))
                .collect();
            if let Some(last) = lines.pop() {
                let cure = "correct the settings, then run 'ftpd doctor' again: nothing that \
                            depends on them was checked";
                lines.push(last.cure(cure));
            }
            lines
        }
    }
}
