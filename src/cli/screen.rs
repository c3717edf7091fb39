//! Formatting sessions and transfers for a terminal.

use std::fmt::Write;
use std::ops::RangeInclusive;

use rustix::termios::tcgetwinsize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::log::escaped;
use crate::server::protocol::{SessionView, TransferView};

/// Columns and rows of a terminal whose size is unknown.
const USUAL: (usize, usize) = (80, 24);

/// Width of a progress bar, without its brackets.
const BAR: usize = 16;

/// Columns and rows of a terminal.
pub(super) fn size(terminal: impl std::os::fd::AsFd) -> (usize, usize) {
    let said = tcgetwinsize(terminal).map(|size| (size.ws_col.into(), size.ws_row.into()));
    said.ok().filter(|&(columns, rows)| columns > 0 && rows > 0).unwrap_or(USUAL)
}

/// Escapes text from the server, which may come from a stranger, for a terminal.
pub(super) fn safe(text: &str) -> String {
    escaped(text.as_bytes()).to_string()
}

/// Formats user and address of a session for a list: a dash if nobody is logged in, and a star
/// after the address for TLS.
pub(super) fn client(session: &SessionView) -> (String, String) {
    let user = session.user.as_deref().map_or_else(|| "-".to_owned(), safe);
    (user, session.address.to_string() + if session.tls { "*" } else { "" })
}

/// Formats a transfer as one line: a progress bar if its size is known, the rate, its share if there is
/// a limit, and the file.
pub(super) fn transfer(of: &TransferView, rate: u64, columns: usize) -> String {
    let (bytes, size) = (of.bytes, of.size);
    let mut line = match size {
        Some(size) => {
            let percent = (bytes.min(size) * 100).checked_div(size).unwrap_or(100);
            format!("{} {percent:>3} %", bar(percent, BAR))
        }
        None => format!("{:>width$}", format!("{} so far", binary(bytes)), width = BAR + 8),
    };
    let rate = format!("{}/s", binary(rate));
    // writing to a String cannot fail
    let _ = write!(line, " {rate:>12}");
    if let Some(share) = of.share {
        let _ = write!(line, " of {:<12}", format!("{}/s", binary(share)));
    }
    let _ = write!(line, " {:<4} ", safe(&of.doing));
    let room = columns.saturating_sub(line.width());
    line + &tail(&safe(&of.path), room)
}

fn bar(percent: u64, columns: usize) -> String {
    let percent = usize::try_from(percent.min(100)).unwrap_or(100);
    let full = columns * percent / 100;
    format!("[{}{}]", "#".repeat(full), "-".repeat(columns - full))
}

/// Formats seconds as hours, minutes and seconds.
pub(super) fn clock(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Formats a number of bytes in the largest unit in which it is at least 1.
pub(super) fn binary(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mut count = bytes as f64;
    while count >= 1024.0 && unit + 1 < UNITS.len() {
        count /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{count:.0} {name}") } else { format!("{count:.1} {name}") }
}

/// Returns the average rate in bytes per second.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for people"
)]
pub(super) fn per_second(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds.max(0.001)) as u64
}

/// Shortens a text to `columns`: if it is wider, keeps its beginning and adds an ellipsis.
pub(super) fn head(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    fitting(text.chars(), columns) + "…"
}

/// Pads or cuts a text to exactly `columns`. Some letters take two columns.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let text = head(text, columns);
    let blanks = columns.saturating_sub(text.width());
    text + &" ".repeat(blanks)
}

/// Returns the width of the widest text, within bounds.
pub(super) fn widest<'t>(
    texts: impl Iterator<Item = &'t str>,
    bounds: RangeInclusive<usize>,
) -> usize {
    let (least, most) = bounds.into_inner();
    texts.map(UnicodeWidthStr::width).max().unwrap_or_default().clamp(least, most)
}

/// Shortens a path to `columns`: if it is wider, keeps its end, which says more than its
/// beginning.
fn tail(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let kept = fitting(text.chars().rev(), columns);
    format!("…{}", kept.chars().rev().collect::<String>())
}

/// Returns as many letters as fit if one column is left free.
fn fitting(letters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut left = columns.saturating_sub(1);
    letters
        .take_while(|letter| {
            let own = letter.width().unwrap_or_default();
            let fits = own <= left;
            left = left.saturating_sub(own);
            fits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(doing: &str, path: &str, bytes: u64, size: Option<u64>) -> TransferView {
        let (doing, path) = (doing.to_owned(), path.to_owned());
        TransferView { doing, way: None, path, bytes, size, seconds: 2.0, share: None }
    }

    #[test]
    fn sizes_have_one_digit_behind_the_point_and_bytes_have_none() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (5 << 40, "5.0 TiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(binary(bytes), text);
        }
    }

    #[test]
    fn a_line_fits_and_keeps_the_end_of_the_path() {
        let path = format!("/srv/{}/end.jpg", "x".repeat(200));
        let all = running("RETR", &path, 50, Some(100));
        let line = transfer(&all, 2048, 80);
        assert_eq!(line.width(), 80, "{line}");
        assert!(line.starts_with("[########--------]  50 %    2.0 KiB/s RETR …"), "{line}");
        assert!(line.ends_with("x/end.jpg"), "{line}");
        let shared = TransferView { share: Some(4096), ..all };
        let line = transfer(&shared, 2048, 80);
        assert!(line.contains("   2.0 KiB/s of 4.0 KiB/s    RETR …"), "{line}");
        let open = running("STOR", "/a", 2048, None);
        assert!(transfer(&open, 0, 80).contains("2.0 KiB so far"));
        let empty = running("RETR", "/a", 0, Some(0));
        assert!(transfer(&empty, 0, 80).contains("100 %"));
    }

    #[test]
    fn what_is_too_long_says_so() {
        assert_eq!((head("abc", 3), head("abcd", 3)), ("abc".to_owned(), "ab…".to_owned()));
        assert_eq!((tail("abc", 3), tail("abcd", 3)), ("abc".to_owned(), "…cd".to_owned()));
        assert_eq!(tail("abc", 0), "…");
        assert_eq!((head("漢字", 4), head("漢字漢", 4)), ("漢字".to_owned(), "漢…".to_owned()));
        assert_eq!(tail("漢字漢", 5), "…字漢");
    }
}
