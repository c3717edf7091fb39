//! `ftpd stats`: the numbers of the running server.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::admin::{ask, number, text};
use super::screen::{binary, clock};
use super::{Arguments, Stop, say};
use crate::log;

/// What moves, in the words of the answer.
const WAYS: [(&str, &str); 3] =
    [("uploads", "upload"), ("downloads", "download"), ("listings", "listing")];

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [json] = arguments.switches(["--json"])?;
    let answer = ask(arguments.file.as_deref(), &json!({ "command": "stats" }))?;
    let stats = answer.get("stats").unwrap_or(&Value::Null);
    Ok(say(&if json { log::json(stats) } else { page(&answer, stats) }))
}

fn page(answer: &Value, stats: &Value) -> String {
    let of = |key| number(stats, key);
    let within = |key: &str| stats.get(key).cloned().unwrap_or_default();
    let mut lines = format!(
        "ftpd {}, up {}, since {}",
        text(answer, "version"),
        clock(number(answer, "seconds")),
        text(answer, "since")
    );
    // a String takes whatever is written to it
    let _ = write!(
        lines,
        "\nsessions     {} of {} now, {} logged in; {} in all, {} with TLS",
        of("sessions_active"),
        of("sessions_limit"),
        of("sessions_logged_in"),
        of("sessions"),
        of("sessions_tls")
    );
    let _ = write!(lines, "\nturned away  {}", words(&within("turned_away")));
    let _ = write!(lines, "\nlogins       {}", words(&within("logins")));
    let _ = write!(lines, "\nrefused      {}", words(&within("refused")));
    for (name, way) in WAYS {
        let part = |key: &str| within(key).get(way).cloned().unwrap_or_default();
        let bytes = binary(number(&within("transfer_bytes"), way));
        let running = number(&within("transfers_running"), way);
        let _ = write!(lines, "\n{name:<12} {running} now; {}", words(&part("transfers")));
        let _ =
            write!(lines, "; {bytes}{}", average(&part("transfer_seconds_sum"), stats, way));
    }
    let (taken, ports) = (of("passive_ports_taken"), of("passive_ports"));
    let _ = write!(lines, "\nports        {taken} of {ports} passive ports in use");
    let _ = write!(lines, "\nbans         {} now, {} in all", of("bans_active"), of("bans"));
    let _ = write!(lines, "\noffences     {}", words(&within("offences")));
    lines
}

/// What there is of each kind, without what there is nothing of.
fn words(of: &Value) -> String {
    let pairs = of.as_object().into_iter().flatten();
    let some = pairs.filter_map(|(word, count)| {
        let count = count.as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {}", word.replace('_', " ")))
    });
    let some: Vec<_> = some.collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

fn average(sum: &Value, stats: &Value, way: &str) -> String {
    let counts = stats.get("transfer_seconds_count").cloned().unwrap_or_default();
    let (sum, count) = (sum.as_f64().unwrap_or_default(), number(&counts, way));
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let each = sum / count as f64;
    if count > 0 { format!(", {each:.3} s each") } else { String::new() }
}
