//! LIST: lines as `ls -l` prints them.

use std::io::Write;

use super::days::{Days, Zone};
use super::digits::{digits, push_number};
use super::names::push_name;
use crate::vfs::{Entry, FileKind};

/// Half a year in seconds. Like `ls -l`, LIST shows the year instead of the time for entries
/// older than that.
pub(super) const SIX_MONTHS: i64 = 31_556_952 / 2;

/// Shown as the target of a link that leads outside the tree. Clients look for an arrow in
/// each line that begins with `l`: without one, node-ftp loses the name, aioftp loses the
/// listing, and ftputil raises an error.
const OUTSIDE: &[u8] = b"(outside)";

/// Formats the lines of LIST as `ls -l` prints them. The text before the size is
/// cached, because neighbouring entries often share it.
#[derive(Debug)]
pub struct Long {
    now: i64,
    zone: Zone,
    days: Days,
    front: Option<(Front, Vec<u8>)>,
}

/// The values in the text before the size: kind, mode, links, owner and group.
type Front = (FileKind, u32, u64, u32, u32);

impl Long {
    /// Creates a formatter. `now` is the present time, in seconds since 1970.
    pub fn new(now: i64, zone: Zone) -> Self {
        Self { now, zone, days: Days::default(), front: None }
    }

    /// Appends one line. `names` returns the names of the owner and the group.
    pub fn push(
        &mut self,
        entry: &Entry,
        names: impl FnOnce(u32, u32) -> (String, String),
        out: &mut Vec<u8>,
    ) {
        let of = (entry.kind, entry.mode, entry.links, entry.uid, entry.gid);
        match &self.front {
            Some((known, text)) if *known == of => out.extend_from_slice(text),
            _ => {
                let (owner, group) = names(entry.uid, entry.gid);
                let text = front(entry, &owner, &group);
                out.extend_from_slice(&text);
                self.front = Some((of, text));
            }
        }
        push_number(entry.size, 8, b' ', out);
        let (day, time) = self.days.of(self.zone.shift(entry.modified));
        let [first, second, third] = day.name;
        let [_, [ten, one]] = day.digits;
        let ten = if ten == b'0' { b' ' } else { ten };
        let date = [[b' ', first], [second, third], [b' ', ten], [one, b' ']];
        let age = self.now.saturating_sub(entry.modified);
        if (0..SIX_MONTHS).contains(&age) {
            let [date, month, day, end] = date;
            let ([tens, hours], minutes) = (digits(time / 3600), digits(time / 60 % 60));
            let text =
                [date, month, day, end, [tens, hours], [b':', minutes[0]], [minutes[1], b' ']];
            out.extend_from_slice(text.as_flattened());
        } else {
            out.extend_from_slice(date.as_flattened());
            // writing to a Vec cannot fail
            let _ = write!(out, "{:>5} ", day.year);
        }
        push_name(&entry.name, out);
        if entry.kind == FileKind::Link {
            out.extend_from_slice(b" -> ");
            let text = entry.target.as_ref().map(|(text, _)| text).or(entry.dangling.as_ref());
            push_name(text.map_or(OUTSIDE, Vec::as_slice), out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Formats the part of a line before the size.
fn front(entry: &Entry, owner: &str, group: &str) -> Vec<u8> {
    let mut text = mode_text(entry).to_vec();
    text.push(b' ');
    push_number(entry.links, 3, b' ', &mut text);
    for name in [owner, group] {
        text.push(b' ');
        text.extend_from_slice(name.as_bytes());
        text.extend(std::iter::repeat_n(b' ', 8_usize.saturating_sub(name.chars().count())));
    }
    text.push(b' ');
    text
}

pub(super) fn mode_text(entry: &Entry) -> [u8; 10] {
    let kind = match entry.kind {
        FileKind::File => b'-',
        FileKind::Directory => b'd',
        FileKind::Link => b'l',
        FileKind::Fifo => b'p',
        FileKind::Socket => b's',
        FileKind::Block => b'b',
        FileKind::Char => b'c',
    };
    let mut text = [kind; 10];
    let mut letters = text.iter_mut().skip(1);
    let mut push = |letter| letters.next().into_iter().for_each(|place| *place = letter);
    for (shift, special, letter) in [(6, 0o4000, b's'), (3, 0o2000, b's'), (0, 0o1000, b't')] {
        let bits = entry.mode >> shift;
        push(if bits & 4 != 0 { b'r' } else { b'-' });
        push(if bits & 2 != 0 { b'w' } else { b'-' });
        push(match (entry.mode & special != 0, bits & 1 != 0) {
            (false, false) => b'-',
            (false, true) => b'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}
