//! `ftpd top`: shows the sessions of the running server, updated each second.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::admin::ask;
use super::arguments::Arguments;
use super::keys::Key;
use super::outcome::Stop;
use super::screen::{self, binary, client, clock, head, padded, per_second, size, widest};
use super::terminal::Terminal;
use crate::control::Traffic;
use crate::log;
use crate::server::protocol::{SessionView, Sessions, TransferView, Who};

/// Time between two updates.
const EVERY: Duration = Duration::from_secs(1);

/// Width of the column of users. Longer names are cut.
const USER: RangeInclusive<usize> = 12..=24;
/// Width of the column of addresses, with the star for TLS.
const ADDRESS: RangeInclusive<usize> = 16..=46;

/// Moves the cursor to the upper left corner and clears everything below.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [once, json] = arguments.switches(["--once", "--json"])?;
    let mut before = Before::default();
    let stdout = std::io::stdout();
    let is_seen = stdout.is_terminal() && !once && !json;
    // without a terminal to read keys from, the sessions are still shown
    let terminal = if is_seen { Terminal::keys().ok() } else { None };
    let mut above = 0;
    loop {
        let Sessions { sessions, .. } = ask(arguments.file.as_deref(), Who {})?;
        let printed = if json {
            log::json(&json!(sessions))
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

/// Prints to standard output, and returns whether somebody still reads it.
fn say_on(text: &str) -> bool {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}").is_ok()
}

/// The bytes of each transfer at the last update.
#[derive(Default)]
struct Before {
    at: Option<Instant>,
    bytes: HashMap<u64, u64>,
}

impl Before {
    /// Returns the bytes per second since the last update, or since the beginning of the
    /// transfer if that was later.
    fn rate(&self, id: u64, of: &TransferView) -> u64 {
        let earlier = self.bytes.get(&id).filter(|earlier| **earlier <= of.bytes);
        if let (Some(at), Some(earlier)) = (self.at, earlier) {
            return per_second(of.bytes - earlier, at.elapsed().as_secs_f64());
        }
        per_second(of.bytes, of.seconds)
    }
}

/// The number of transfers, and the sums of their rates.
#[derive(Default)]
struct Totals {
    transfers: usize,
    up: u64,
    down: u64,
}

/// The commands that upload. A server older than 0.2.0 sends the command alone.
const UPLOADS: [&str; 3] = ["APPE", "STOR", "STOU"];

impl Totals {
    fn add(&mut self, transfer: &TransferView, rate: u64) {
        self.transfers += 1;
        let sum = match transfer.way {
            Some(Traffic::Upload) => &mut self.up,
            None if UPLOADS.contains(&transfer.doing.as_str()) => &mut self.up,
            Some(Traffic::Download | Traffic::Listing) | None => &mut self.down,
        };
        *sum = sum.saturating_add(rate);
    }
}

/// Widths of the columns of users and addresses.
struct Widths {
    user: usize,
    address: usize,
}

/// Returns the text of one update. `above` is the number of hidden lines above the first
/// visible line; it is reduced if there are fewer lines.
fn picture(
    sessions: &[SessionView],
    before: &mut Before,
    (columns, rows): (usize, usize),
    above: &mut usize,
) -> String {
    let (mut sorted, idle): (Vec<_>, Vec<_>) =
        sessions.iter().partition(|session| session.transfer.is_some());
    sorted.extend(idle);
    let clients: Vec<_> = sorted.iter().map(|session| client(session)).collect();
    let widths = Widths {
        user: widest(clients.iter().map(|(user, _)| user.as_str()), USER),
        address: widest(clients.iter().map(|(_, address)| address.as_str()), ADDRESS),
    };
    let (mut lines, mut totals, mut bytes) = (Vec::new(), Totals::default(), HashMap::new());
    for (session, client) in sorted.iter().zip(&clients) {
        lines.push(line(session, client, &widths));
        let Some(transfer) = &session.transfer else { continue };
        let rate = before.rate(session.id, transfer);
        totals.add(transfer, rate);
        bytes.insert(session.id, transfer.bytes);
        let bar = screen::transfer(transfer, rate, columns.saturating_sub(6));
        lines.push(format!("      {bar}"));
    }
    *before = Before { at: Some(Instant::now()), bytes };
    let Totals { transfers, up, down } = totals;
    let (count, up, down) = (sessions.len(), binary(up), binary(down));
    let totals =
        format!("ftpd: {count} sessions, {transfers} transfers, in {up}/s, out {down}/s");
    let user = padded("USER", widths.user);
    let address = padded("ADDRESS (* TLS)", widths.address);
    let title = head(&format!("{:>5} {user} {address} {:>8}", "ID", "TIME"), columns);
    // the totals and the title take two lines, and the cursor is on the last line
    let shown = visible(&lines, columns, rows.saturating_sub(3), above);
    format!("{totals}\n{title}{shown}")
}

/// Formats the line of a session.
fn line(session: &SessionView, (user, address): &(String, String), widths: &Widths) -> String {
    let (user, address) = (padded(user, widths.user), padded(address, widths.address));
    let (id, time) = (session.id, clock(session.seconds));
    let idle = if session.transfer.is_none() { "  idle" } else { "" };
    format!("{id:>5} {user} {address} {time:>8}{idle}")
}

/// Returns the lines that fit into `rows`, and a line with the number of lines that do not.
fn visible(lines: &[String], columns: usize, rows: usize, above: &mut usize) -> String {
    let is_whole = lines.len() <= rows;
    let shown = if is_whole { lines.len() } else { rows.saturating_sub(1) };
    *above = (*above).min(lines.len() - shown);
    let mut text = String::new();
    for line in lines.iter().skip(*above).take(shown) {
        // writing to a String cannot fail
        let _ = write!(text, "\n{}", head(line, columns));
    }
    if !is_whole {
        let below = lines.len() - shown - *above;
        let rest = match (*above, below) {
            (0, below) => format!("({below} more lines)"),
            (above, 0) => format!("({above} lines above)"),
            (above, below) => format!("({above} lines above, {below} more lines)"),
        };
        let _ = write!(text, "\n{}", head(&rest, columns));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(id: u64, bytes: u64) -> SessionView {
        SessionView {
            id,
            user: Some("bob".to_owned()),
            address: [192, 0, 2, 7].into(),
            port: 4000,
            tls: true,
            since: String::new(),
            seconds: 61,
            transfer: Some(TransferView {
                doing: "RETR".to_owned(),
                way: Some(Traffic::Download),
                path: "/srv/x".to_owned(),
                bytes,
                size: Some(4096),
                seconds: 2.0,
                share: None,
            }),
            quota: None,
        }
    }

    #[test]
    fn a_picture_has_totals_a_line_for_each_session_and_a_bar_for_each_transfer() {
        let mut before = Before::default();
        let idle = SessionView {
            id: 2,
            user: None,
            address: std::net::Ipv6Addr::LOCALHOST.into(),
            tls: false,
            seconds: 5,
            transfer: None,
            ..busy(2, 0)
        };
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
        wide.user = Some("漢字漢字漢字漢字".to_owned());
        let mut long = busy(2, 1);
        long.user = Some("x".repeat(100));
        let picture =
            picture(&[wide, long, busy(3, 1)], &mut Before::default(), (120, 24), &mut 0);
        let at = |line: &str| {
            use unicode_width::UnicodeWidthStr;
            line.split_once("192.0.2.7").map(|(before, _)| before.width())
        };
        let places: Vec<_> = picture.lines().filter_map(at).collect();
        assert_eq!(places, [31, 31, 31], "{picture}");
    }
}
