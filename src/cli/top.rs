//! `ftpd top`: the sessions of the running server, drawn anew each second.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admin::{ask, client, number, text};
use super::screen::{binary, clock, head, per_second, size, transfer};
use super::{Arguments, Stop};
use crate::log;

/// From one picture to the next.
const EVERY: Duration = Duration::from_secs(1);

/// To the upper left corner, and clear all below.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [once, json] = arguments.switches(["--once", "--json"])?;
    let mut before = Before::default();
    let stdout = std::io::stdout();
    loop {
        let sessions = sessions(arguments.file.as_deref())?;
        let printed = if json {
            log::json(&Value::from(sessions))
        } else {
            let clear = if once || !stdout.is_terminal() { "" } else { CLEAR };
            format!("{clear}{}", picture(&sessions, &mut before, size(&stdout)))
        };
        if !say_on(&printed) || once {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(EVERY);
    }
}

/// Whether somebody is still there to read it.
fn say_on(text: &str) -> bool {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}").is_ok()
}

fn sessions(file: Option<&Path>) -> Result<Vec<Value>, Stop> {
    let answer = ask(file, &json!({ "command": "who" }))?;
    Ok(answer.get("sessions").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// What each transfer had come to when it was looked at last.
#[derive(Default)]
struct Before {
    at: Option<Instant>,
    bytes: HashMap<u64, u64>,
}

impl Before {
    /// Since the last picture; or, where there is none, since the transfer began.
    fn rate(&self, id: u64, of: &Value) -> u64 {
        let bytes = number(of, "bytes");
        let earlier = self.bytes.get(&id).filter(|earlier| **earlier <= bytes);
        if let (Some(at), Some(earlier)) = (self.at, earlier) {
            return per_second(bytes - earlier, at.elapsed().as_secs_f64());
        }
        let seconds = of.get("seconds").and_then(Value::as_f64);
        per_second(bytes, seconds.unwrap_or_default())
    }
}

fn picture(sessions: &[Value], before: &mut Before, (columns, rows): (usize, usize)) -> String {
    let (mut lines, mut running) = (Vec::new(), 0);
    let (mut up, mut down) = (0_u64, 0_u64);
    let mut bytes = HashMap::new();
    for session in sessions {
        let id = number(session, "id");
        let (user, address) = client(session);
        let time = clock(number(session, "seconds"));
        let of = session.get("transfer").filter(|of| !of.is_null());
        let idle = if of.is_none() { "  idle" } else { "" };
        lines.push(format!("{id:>5} {user:<16} {address:<40} {time:>8}{idle}"));
        let Some(of) = of else { continue };
        let rate = before.rate(id, of);
        running += 1;
        if matches!(text(of, "doing").as_str(), "STOR" | "APPE" | "STOU") {
            up = up.saturating_add(rate);
        } else {
            down = down.saturating_add(rate);
        }
        bytes.insert(id, number(of, "bytes"));
        lines.push(format!("      {}", transfer(of, rate, columns.saturating_sub(6))));
    }
    *before = Before { at: Some(Instant::now()), bytes };
    let mut picture = format!(
        "ftpd: {} sessions, {running} transfers, in {}/s, out {}/s\n",
        sessions.len(),
        binary(up),
        binary(down)
    );
    let title = format!("{:>5} {:<16} {:<40} {:>8}", "ID", "USER", "ADDRESS (* TLS)", "TIME");
    picture.push_str(&head(&title, columns));
    // two are above, and the cursor stands on the last
    let room = rows.saturating_sub(3);
    let hidden = lines.len().saturating_sub(room);
    let shown = if hidden == 0 { lines.len() } else { room.saturating_sub(1) };
    for line in lines.iter().take(shown) {
        // a String takes whatever is written to it
        let _ = write!(picture, "\n{}", head(line, columns));
    }
    if hidden > 0 {
        let rest = format!("({} more lines)", lines.len() - shown);
        let _ = write!(picture, "\n{}", head(&rest, columns));
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(id: u64, bytes: u64) -> Value {
        json!({
            "id": id, "user": "bob", "address": "192.0.2.7", "tls": true, "seconds": 61,
            "transfer": {
                "doing": "RETR", "path": "/srv/x", "bytes": bytes, "size": 4096, "seconds": 2.0,
            },
        })
    }

    #[test]
    fn a_picture_has_totals_a_line_for_each_session_and_a_bar_for_each_transfer() {
        let mut before = Before::default();
        let idle =
            json!({ "id": 2, "user": null, "address": "::1", "tls": false, "seconds": 5 });
        let picture = picture(&[busy(1, 2048), idle], &mut before, (80, 24));
        let lines: Vec<_> = picture.lines().collect();
        assert_eq!(lines[0], "ftpd: 2 sessions, 1 transfers, in 0 B/s, out 1.0 KiB/s");
        assert!(lines[2].contains("1 bob") && lines[2].contains("192.0.2.7*"), "{picture}");
        assert!(lines[3].contains("[########--------]  50 %"), "{picture}");
        assert!(lines[4].contains("2 -") && lines[4].ends_with("0:00:05  idle"), "{picture}");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_picture_fits_the_terminal() {
        let many: Vec<_> = (0..50).map(|id| busy(id, 1)).collect();
        for (columns, rows) in [(80, 24), (40, 10), (20, 4)] {
            let picture = picture(&many, &mut Before::default(), (columns, rows));
            assert!(picture.lines().count() < rows, "{picture}");
            let wide = picture.lines().skip(1).find(|line| line.chars().count() > columns);
            assert_eq!(wide, None);
            assert!(picture.contains("more lines"), "{picture}");
        }
    }
}
