//! `ftpd top`: the sessions of the running server, drawn anew each second.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admin::{ask, client, number, text};
use super::screen::{binary, clock, head, padded, per_second, size, transfer, widest};
use super::terminal::Terminal;
use super::{Arguments, Stop};
use crate::log;

/// From one picture to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Columns of a user's name, and of an address with its star; what is longer is cut.
const USER: RangeInclusive<usize> = 12..=24;
const ADDRESS: RangeInclusive<usize> = 16..=46;

/// To the upper left corner, and clear all below.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [once, json] = arguments.switches(["--once", "--json"])?;
    let mut before = Before::default();
    let stdout = std::io::stdout();
    let is_seen = stdout.is_terminal() && !once && !json;
    // without keys the pictures are as good
    let terminal = if is_seen { Terminal::keys().ok() } else { None };
    let mut above = 0;
    loop {
        let sessions = sessions(arguments.file.as_deref())?;
        let printed = if json {
            log::json(&Value::from(sessions))
        } else {
            let clear = if is_seen { CLEAR } else { "" };
            format!("{clear}{}", picture(&sessions, &mut before, size(&stdout), &mut above))
        };
        if !say_on(&printed) || once {
            return Ok(ExitCode::SUCCESS);
        }
        let Some(terminal) = &terminal else {
            thread::sleep(EVERY);
            continue;
        };
        let page = size(&stdout).1.saturating_sub(4).max(1);
        let Ok(typed) = terminal.typed() else {
            thread::sleep(EVERY);
            continue;
        };
        for key in Key::all(&typed) {
            if key == Key::Quit {
                return Ok(ExitCode::SUCCESS);
            }
            above = key.scroll(above, page);
        }
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Quit,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Stay,
}

impl Key {
    /// What terminals send, and what it asks for.
    const ALL: [(&str, Self); 24] = [
        ("q", Self::Quit),
        ("Q", Self::Quit),
        ("k", Self::Up),
        ("\x1b[A", Self::Up),
        ("\x1bOA", Self::Up),
        ("j", Self::Down),
        ("\x1b[B", Self::Down),
        ("\x1bOB", Self::Down),
        ("b", Self::PageUp),
        ("\x1b[5~", Self::PageUp),
        (" ", Self::PageDown),
        ("f", Self::PageDown),
        ("\x1b[6~", Self::PageDown),
        ("g", Self::First),
        ("\x1b[H", Self::First),
        ("\x1bOH", Self::First),
        ("\x1b[1~", Self::First),
        ("\x1b[7~", Self::First),
        ("G", Self::Last),
        ("\x1b[F", Self::Last),
        ("\x1bOF", Self::Last),
        ("\x1b[4~", Self::Last),
        ("\x1b[8~", Self::Last),
        // on its own it is the beginning of one that was not whole
        ("\x1b[", Self::Stay),
    ];

    /// The keys that were typed; others are passed over.
    fn all(mut bytes: &[u8]) -> Vec<Self> {
        let mut keys = Vec::new();
        while let Some((_, rest)) = bytes.split_first() {
            let known = Self::ALL.iter().find(|(sent, _)| bytes.starts_with(sent.as_bytes()));
            keys.extend(known.map(|(_, key)| *key));
            bytes = known.and_then(|(sent, _)| bytes.get(sent.len()..)).unwrap_or(rest);
        }
        keys
    }

    /// Where the first line is then.
    fn scroll(self, above: usize, page: usize) -> usize {
        match self {
            Self::Quit | Self::Stay => above,
            Self::Up => above.saturating_sub(1),
            Self::Down => above.saturating_add(1),
            Self::PageUp => above.saturating_sub(page),
            Self::PageDown => above.saturating_add(page),
            Self::First => 0,
            // the picture brings it back to what there is
            Self::Last => usize::MAX,
        }
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

/// `above` is the number of lines that were scrolled away, which becomes one that there is.
fn picture(
    sessions: &[Value],
    before: &mut Before,
    (columns, rows): (usize, usize),
    above: &mut usize,
) -> String {
    let runs = |session: &Value| session.get("transfer").is_some_and(|of| !of.is_null());
    let (mut busy, idle): (Vec<_>, Vec<_>) = sessions.iter().partition(|one| runs(one));
    busy.extend(idle);
    let sessions = busy;
    let clients: Vec<_> = sessions.iter().map(|session| client(session)).collect();
    let wide = widest(clients.iter().map(|(user, _)| user.as_str()), USER);
    let far = widest(clients.iter().map(|(_, address)| address.as_str()), ADDRESS);
    let (mut lines, mut running) = (Vec::new(), 0);
    let (mut up, mut down) = (0_u64, 0_u64);
    let mut bytes = HashMap::new();
    for (session, (user, address)) in sessions.iter().zip(&clients) {
        let id = number(session, "id");
        let (user, address) = (padded(user, wide), padded(address, far));
        let time = clock(number(session, "seconds"));
        let of = session.get("transfer").filter(|of| !of.is_null());
        let idle = if of.is_none() { "  idle" } else { "" };
        lines.push(format!("{id:>5} {user} {address} {time:>8}{idle}"));
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
    let (user, address) = (padded("USER", wide), padded("ADDRESS (* TLS)", far));
    let title = format!("{:>5} {user} {address} {:>8}", "ID", "TIME");
    picture.push_str(&head(&title, columns));
    // two are above, and the cursor stands on the last
    let room = rows.saturating_sub(3);
    let is_whole = lines.len() <= room;
    let shown = if is_whole { lines.len() } else { room.saturating_sub(1) };
    *above = (*above).min(lines.len() - shown);
    for line in lines.iter().skip(*above).take(shown) {
        // a String takes whatever is written to it
        let _ = write!(picture, "\n{}", head(line, columns));
    }
    if !is_whole {
        let below = lines.len() - shown - *above;
        let rest = match (*above, below) {
            (0, below) => format!("({below} more lines)"),
            (above, 0) => format!("({above} lines above)"),
            (above, below) => format!("({above} lines above, {below} more lines)"),
        };
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
        let picture = picture(&[idle, busy(1, 2048)], &mut before, (80, 24), &mut 0);
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
            let picture = picture(&many, &mut Before::default(), (columns, rows), &mut 0);
            assert!(picture.lines().count() < rows, "{picture}");
            let wide = picture.lines().skip(1).find(|line| line.chars().count() > columns);
            assert_eq!(wide, None);
            assert!(picture.contains("more lines"), "{picture}");
        }
    }

    #[test]
    fn what_is_out_of_sight_can_be_scrolled_to() {
        let many: Vec<_> = (0..50).map(|id| busy(id, 1)).collect();
        let mut above = usize::MAX;
        let end = picture(&many, &mut Before::default(), (80, 24), &mut above);
        assert!(end.contains("   49 bob") && end.contains("(80 lines above)"), "{end}");
        assert_eq!(above, 80);
        above = 10;
        let middle = picture(&many, &mut Before::default(), (80, 24), &mut above);
        assert!(middle.contains("(10 lines above, 70 more lines)"), "{middle}");
        let few = picture(&many[..2], &mut Before::default(), (80, 24), &mut above);
        assert!(above == 0 && few.contains("    0 bob"), "{few}");
    }

    #[test]
    fn columns_stay_in_line_whatever_names_look_like() {
        let mut wide = busy(1, 1);
        wide["user"] = json!("漢字漢字漢字漢字");
        let mut long = busy(2, 1);
        long["user"] = json!("x".repeat(100));
        let picture =
            picture(&[wide, long, busy(3, 1)], &mut Before::default(), (120, 24), &mut 0);
        let at = |line: &str| {
            use unicode_width::UnicodeWidthStr;
            line.split_once("192.0.2.7").map(|(before, _)| before.width())
        };
        let places: Vec<_> = picture.lines().filter_map(at).collect();
        assert_eq!(places, [31, 31, 31], "{picture}");
    }

    #[test]
    fn keys_are_those_that_people_know() {
        assert_eq!(Key::all(b"q"), [Key::Quit]);
        assert_eq!(Key::all(b"\x1b[Bjx"), [Key::Down, Key::Down]);
        assert_eq!(Key::all(b"\x1b[5~\x1b[6~"), [Key::PageUp, Key::PageDown]);
        assert_eq!(Key::all(b"xyz\xff"), []);
        assert_eq!([Key::Up, Key::PageUp, Key::First].map(|key| key.scroll(5, 9)), [4, 0, 0]);
    }
}
