//! One picture of `ftpd top`: the text of the whole screen.

use std::ops::RangeInclusive;

use super::colour::{Colours, Style};
use super::order::{Column, Order};
use super::rates::Rates;
use super::view::View;
use crate::cli::screen::{self, binary, client, clock, head, padded, widest};
use crate::control::Traffic;
use crate::server::protocol::{SessionView, TransferView};

/// Width of the column of users. Longer names are cut.
const USER: RangeInclusive<usize> = 12..=24;
/// Width of the column of addresses, with the star for TLS.
const ADDRESS: RangeInclusive<usize> = 16..=46;

/// Lines that are not for sessions: the totals, the title, the keys, and the cursor's.
pub(super) const AROUND: usize = 4;

/// What the picture is drawn on.
pub(super) struct Frame {
    /// Columns and rows.
    pub(super) size: (usize, usize),
    pub(super) colours: Colours,
    /// Whether keys can be pressed, which the last line explains.
    pub(super) keys: bool,
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
        let sum = if is_upload(transfer) { &mut self.up } else { &mut self.down };
        *sum = sum.saturating_add(rate);
    }
}

fn is_upload(transfer: &TransferView) -> bool {
    match transfer.way {
        Some(way) => way == Traffic::Upload,
        None => UPLOADS.contains(&transfer.doing.as_str()),
    }
}

/// Widths of the columns of users and addresses.
struct Widths {
    user: usize,
    address: usize,
}

/// A line and its colour.
type Line = (Style, String);

/// Returns the text of one update. The number of hidden lines in `view` is reduced if there are
/// fewer lines.
pub(super) fn picture(
    sessions: &[SessionView],
    rates: &Rates,
    view: &mut View,
    frame: &Frame,
) -> String {
    let (columns, rows) = frame.size;
    let rate = |one: &SessionView| one.transfer.as_ref().map_or(0, |of| rates.of(one.id, of));
    let mut sorted: Vec<_> = sessions.iter().map(|one| (one, rate(one))).collect();
    view.order.sort(&mut sorted);
    let clients: Vec<_> = sorted.iter().map(|(session, _)| client(session)).collect();
    let widths = Widths {
        user: widest(clients.iter().map(|(user, _)| user.as_str()), USER),
        address: widest(clients.iter().map(|(_, address)| address.as_str()), ADDRESS),
    };
    let (mut lines, mut totals) = (Vec::new(), Totals::default());
    for ((session, rate), client) in sorted.iter().zip(&clients) {
        lines.push(line(session, client, &widths));
        let Some(transfer) = &session.transfer else { continue };
        totals.add(transfer, *rate);
        let bar = screen::transfer(transfer, *rate, columns.saturating_sub(6));
        let style = if is_upload(transfer) { Style::Upload } else { Style::Download };
        lines.push((style, format!("      {bar}")));
    }
    let around = if frame.keys { AROUND } else { AROUND - 1 };
    let mut all = vec![(Style::Plain, totals.line(sessions.len()))];
    all.push((Style::Title, title(view.order, &widths)));
    all.extend(visible(lines, rows.saturating_sub(around), &mut view.above));
    all.extend(frame.keys.then(|| (Style::Idle, view.footer())));
    let paint = |(style, line): &Line| frame.colours.paint(*style, &head(line, columns));
    all.iter().map(paint).collect::<Vec<_>>().join("\n")
}

impl Totals {
    fn line(&self, count: usize) -> String {
        let (transfers, up, down) = (self.transfers, binary(self.up), binary(self.down));
        format!("ftpd: {count} sessions, {transfers} transfers, in {up}/s, out {down}/s")
    }
}

/// Returns the heads of the columns. That of the sorted one has a mark.
fn title(order: Order, widths: &Widths) -> String {
    let name = |name: &str, column| format!("{name}{}", order.mark(column));
    let user = padded(&name("USER", Column::User), widths.user);
    let address = padded(&name("ADDRESS (* TLS)", Column::Address), widths.address);
    let (id, time) = (name("ID", Column::Number), name("TIME", Column::Time));
    let rate = if order.mark(Column::Rate) == ' ' { "" } else { "RATE" };
    let rate = name(rate, Column::Rate);
    format!("{id:>6}{user} {address} {time:>9}{rate}").trim_end().to_owned()
}

/// Formats the line of a session.
fn line(session: &SessionView, (user, address): &(String, String), widths: &Widths) -> Line {
    let (user, address) = (padded(user, widths.user), padded(address, widths.address));
    let (id, time) = (session.id, clock(session.seconds));
    let (style, idle) = match session.transfer {
        Some(_) => (Style::Plain, ""),
        None => (Style::Idle, "  idle"),
    };
    (style, format!("{id:>5} {user} {address} {time:>8}{idle}"))
}

/// Returns the lines that fit into `rows`, and a line with the number of lines that do not.
fn visible(lines: Vec<Line>, rows: usize, above: &mut usize) -> Vec<Line> {
    let all = lines.len();
    if all <= rows {
        *above = 0;
        return lines;
    }
    let shown = rows.saturating_sub(1);
    *above = (*above).min(all - shown);
    let rest = match (*above, all - shown - *above) {
        (0, below) => format!("({below} more lines)"),
        (above, 0) => format!("({above} lines above)"),
        (above, below) => format!("({above} lines above, {below} more lines)"),
    };
    let mut visible: Vec<_> = lines.into_iter().skip(*above).take(shown).collect();
    visible.push((Style::Plain, rest));
    visible
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

    fn drawn(sessions: &[SessionView], size: (usize, usize), view: &mut View) -> String {
        let frame = Frame { size, colours: Colours(false), keys: false };
        picture(sessions, &Rates::default(), view, &frame)
    }

    fn idle(id: u64) -> SessionView {
        SessionView {
            user: None,
            address: std::net::Ipv6Addr::LOCALHOST.into(),
            tls: false,
            seconds: 5,
            transfer: None,
            ..busy(id, 0)
        }
    }

    #[test]
    fn a_picture_has_totals_a_line_for_each_session_and_a_bar_for_each_transfer() {
        let picture = drawn(&[idle(2), busy(1, 2048)], (80, 24), &mut View::default());
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
        for (columns, rows) in [(80, 24), (40, 10), (20, 5)] {
            for keys in [false, true] {
                let frame = Frame { size: (columns, rows), colours: Colours(false), keys };
                let mut view = View::default();
                let picture = picture(&many, &Rates::default(), &mut view, &frame);
                assert!(picture.lines().count() < rows, "{picture}");
                let wide = picture.lines().find(|line| line.chars().count() > columns);
                assert_eq!(wide, None);
                assert!(picture.contains("more lines"), "{picture}");
                assert_eq!(picture.contains("q quit"), keys, "{picture}");
            }
        }
    }

    #[test]
    fn what_is_out_of_sight_can_be_scrolled_to() {
        let many: Vec<_> = (0..50).map(|id| busy(id, 1)).collect();
        let mut view = View { above: usize::MAX, ..View::default() };
        let end = drawn(&many, (80, 24), &mut view);
        assert!(end.contains("   49 bob") && end.contains("(80 lines above)"), "{end}");
        assert_eq!(view.above, 80);
        view.above = 10;
        let middle = drawn(&many, (80, 24), &mut view);
        assert!(middle.contains("(10 lines above, 70 more lines)"), "{middle}");
        let few = drawn(&many[..2], (80, 24), &mut view);
        assert!(view.above == 0 && few.contains("    0 bob"), "{few}");
    }

    #[test]
    fn columns_stay_in_line_whatever_names_look_like() {
        let mut wide = busy(1, 1);
        wide.user = Some("漢字漢字漢字漢字".to_owned());
        let mut long = busy(2, 1);
        long.user = Some("x".repeat(100));
        let picture = drawn(&[wide, long, busy(3, 1)], (120, 24), &mut View::default());
        let at = |line: &str| {
            use unicode_width::UnicodeWidthStr;
            line.split_once("192.0.2.7").map(|(before, _)| before.width())
        };
        let places: Vec<_> = picture.lines().filter_map(at).collect();
        assert_eq!(places, [31, 31, 31], "{picture}");
    }

    #[test]
    fn sessions_are_sorted_by_the_chosen_column_which_has_a_mark() {
        let of = |id: u64, user: &str, last: u8, seconds: u64, bytes: u64| SessionView {
            user: Some(user.to_owned()),
            address: [192, 0, 2, last].into(),
            seconds,
            ..busy(id, bytes)
        };
        let all = [
            of(1, "cem", 9, 50, 10),
            of(2, "ann", 10, 70, 4000),
            idle(3),
            of(4, "bob", 2, 60, 90),
        ];
        for (order, title, ids) in [
            (Order::Busy, "ID USER", [1, 2, 4, 3]),
            (Order::By(Column::Number), "IDvUSER", [1, 2, 3, 4]),
            (Order::Reversed(Column::Number), "ID^USER", [4, 3, 2, 1]),
            (Order::By(Column::User), "USERv", [2, 4, 1, 3]),
            (Order::By(Column::Address), "(* TLS)v", [4, 1, 2, 3]),
            (Order::By(Column::Time), "TIMEv", [2, 4, 1, 3]),
            (Order::Reversed(Column::Time), "TIME^", [3, 1, 4, 2]),
            (Order::By(Column::Rate), "RATEv", [2, 4, 1, 3]),
        ] {
            let picture = drawn(&all, (80, 24), &mut View { order, ..View::default() });
            let shown: Vec<u64> = picture
                .lines()
                .skip(2)
                .filter_map(|line| line.get(..5)?.trim().parse().ok())
                .collect();
            assert_eq!(shown, ids, "{picture}");
            assert!(picture.lines().nth(1).unwrap().contains(title), "{picture}");
        }
    }

    #[test]
    fn colours_follow_what_a_line_is_and_are_left_out_where_there_are_none() {
        let mut up = busy(1, 5);
        up.transfer.as_mut().unwrap().way = Some(Traffic::Upload);
        let all = [up, busy(2, 5), idle(3)];
        for has in [true, false] {
            let frame = Frame { size: (80, 24), colours: Colours(has), keys: true };
            let picture = picture(&all, &Rates::default(), &mut View::default(), &frame);
            for code in ["\x1b[7m   ID", "\x1b[32m      [", "\x1b[36m      [", "\x1b[2m    3"] {
                assert_eq!(picture.contains(code), has, "{picture:?}");
            }
            assert_eq!(picture.contains('\x1b'), has);
        }
    }
}
