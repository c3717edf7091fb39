//! LIST, NLST and `MLSx` lines out of one [`Entry`].

use std::io::Write;

use time::OffsetDateTime;

use crate::config::{Perm, PermSet};
use crate::vfs::{Entry, FileKind};

/// Half a year in seconds: `ls -l` shows the year of what is older.
const SIX_MONTHS: i64 = 31_556_952 / 2;

const MONTHS: [[u8; 3]; 12] = [
    *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct",
    *b"Nov", *b"Dec",
];

/// Stands for the target of a link that leads outside. Clients look for an arrow in each line that
/// begins with `l`: without one node-ftp loses the name, aioftp the listing, and ftputil raises.
const OUTSIDE: &[u8] = b"(outside)";

/// LIST: lines as `ls -l` prints them, in UTC. What stands in front of the size is mostly the same
/// for neighbours in a directory, and kept.
#[derive(Debug)]
pub struct Long {
    now: i64,
    days: Days,
    front: Option<(Front, Vec<u8>)>,
}

/// What the front of a line is made of: kind, mode, links, owner and group.
type Front = (FileKind, u32, u64, u32, u32);

impl Long {
    /// With this time, in seconds since 1970, for now.
    pub fn new(now: i64) -> Self {
        Self { now, days: Days::default(), front: None }
    }

    /// Appends one line. `names` gives those of owner and group.
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
        let (day, time) = self.days.of(entry.modified);
        let [n, a, m] = day.name;
        let [ten, one] = digits(day.of_month.into());
        let ten = if ten == b'0' { b' ' } else { ten };
        out.extend_from_slice(&[b' ', n, a, m, b' ', ten, one, b' ']);
        let age = self.now.saturating_sub(entry.modified);
        if (0..SIX_MONTHS).contains(&age) {
            let ([h, hour], [m, minute]) = (digits(time / 3600), digits(time / 60 % 60));
            out.extend_from_slice(&[h, hour, b':', m, minute]);
        } else {
            // a Vec takes whatever is written to it
            let _ = write!(out, "{:>5}", day.year);
        }
        out.push(b' ');
        push_name(&entry.name, out);
        if entry.kind == FileKind::Link {
            out.extend_from_slice(b" -> ");
            let text = entry.target.as_ref().map(|(text, _)| text).or(entry.dangling.as_ref());
            push_name(text.map_or(OUTSIDE, Vec::as_slice), out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// A line up to its size.
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

/// The day of the last entry: neighbours often have the same.
#[derive(Debug, Default)]
pub struct Days {
    last: Option<(i64, Day)>,
}

#[derive(Debug, Clone, Copy)]
struct Day {
    year: i32,
    month: u8,
    name: [u8; 3],
    of_month: u8,
}

const DAY: i64 = 24 * 3600;

impl Days {
    /// The day, and the second of it.
    fn of(&mut self, seconds: i64) -> (Day, u64) {
        let number = seconds.div_euclid(DAY);
        let time = u64::try_from(seconds.rem_euclid(DAY)).unwrap_or_default();
        if let Some((last, day)) = self.last
            && last == number
        {
            return (day, time);
        }
        // what no calendar has is the beginning
        let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return self.of(0) };
        let month = u8::from(at.month());
        let name = MONTHS.get(usize::from(month) - 1).copied().unwrap_or(*b"Jan");
        let day = Day { year: at.year(), month, name, of_month: at.day() };
        self.last = Some((number, day));
        (day, time)
    }
}

/// A number, with something in front of it up to a width, which is 20 at the most.
fn push_number(number: u64, width: usize, fill: u8, out: &mut Vec<u8>) {
    let mut text = [fill; 20];
    let mut start = text.len();
    let mut left = number;
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        start -= 1;
        if left == 0 {
            break;
        }
    }
    let start = start.min(text.len().saturating_sub(width));
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

/// The two digits of a number below 100.
fn digits(number: u64) -> [u8; 2] {
    [number / 10, number].map(|number| b'0' + (number % 10) as u8)
}

fn mode_text(entry: &Entry) -> [u8; 10] {
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

/// One line of NLST: the name behind what the client had asked for, so that it can be used
/// as it stands (RFC 1123 §4.1.2.7).
pub fn name(prefix: &[u8], entry: &Entry, out: &mut Vec<u8>) {
    push_name(prefix, out);
    push_name(&entry.name, out);
    out.extend_from_slice(b"\r\n");
}

/// The head of a directory in a recursive listing, as `ls -R` prints it.
pub fn folder(base: &[u8], below: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
    push_name(base, out);
    out.push(b'/');
    push_name(below, out);
    out.extend_from_slice(b":\r\n");
}

/// One fact of `MLSx` (RFC 3659 §7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// File, directory or other.
    Type,
    /// Bytes.
    Size,
    /// When it was last changed.
    Modify,
    /// What the user may do with it.
    Perm,
    /// The same for two names of one file.
    Unique,
    /// Unix permission bits.
    Mode,
    /// Unix owner.
    Uid,
    /// Unix group.
    Gid,
}

impl Fact {
    /// Every fact, in the order in which they are sent.
    pub const ALL: [Self; 8] = [
        Self::Type,
        Self::Size,
        Self::Modify,
        Self::Perm,
        Self::Unique,
        Self::Mode,
        Self::Uid,
        Self::Gid,
    ];

    /// Its name on the wire; case does not matter there.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Size => "size",
            Self::Modify => "modify",
            Self::Perm => "perm",
            Self::Unique => "unique",
            Self::Mode => "UNIX.mode",
            Self::Uid => "UNIX.uid",
            Self::Gid => "UNIX.gid",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The facts a client wants, which OPTS MLST chooses (RFC 3659 §7.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts(u8);

impl Default for Facts {
    fn default() -> Self {
        Self(u8::MAX)
    }
}

impl Facts {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// With one more.
    #[must_use]
    pub const fn with(self, fact: Fact) -> Self {
        Self(self.0 | fact.bit())
    }

    /// Whether a fact is wanted.
    pub const fn has(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }
}

/// `MLSx`: facts and lines. What a fact was like for the last entry is kept, for neighbours mostly
/// have the same.
#[derive(Debug)]
pub struct Machine {
    wanted: Facts,
    perm: PermSet,
    days: Days,
    /// For each fact what it was made of, and its text; empty before the first.
    last: [(u64, Vec<u8>); Fact::ALL.len()],
}

impl Machine {
    /// The facts that a client wants, and what it may do.
    pub fn new(wanted: Facts, perm: PermSet) -> Self {
        Self { wanted, perm, days: Days::default(), last: Default::default() }
    }

    /// One line of MLSD.
    pub fn push(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        self.facts(entry, out);
        push_name(&entry.name, out);
        out.extend_from_slice(b"\r\n");
    }

    /// The facts of one entry, each with its semicolon, and then a space (RFC 3659 §7.2).
    pub fn facts(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let there = entry.followed();
        let Self { wanted, perm, days, last } = self;
        let wanted = Fact::ALL.into_iter().zip(last).filter(|(fact, _)| wanted.has(*fact));
        for (fact, (known, text)) in wanted {
            let of = match fact {
                // a directory has no size that a client could use
                Fact::Size if there.kind != FileKind::File => continue,
                Fact::Size => there.size,
                Fact::Type | Fact::Perm => there.kind as u64,
                Fact::Modify => there.modified.cast_unsigned(),
                Fact::Mode => there.mode.into(),
                Fact::Uid => there.uid.into(),
                Fact::Gid => there.gid.into(),
                // no two entries have the same
                Fact::Unique => {
                    push_fact(fact, there, *perm, days, out);
                    continue;
                }
            };
            if *known != of || text.is_empty() {
                *known = of;
                text.clear();
                push_fact(fact, there, *perm, days, text);
            }
            out.extend_from_slice(text);
        }
        out.push(b' ');
    }
}

fn push_fact(fact: Fact, there: &Entry, perm: PermSet, days: &mut Days, out: &mut Vec<u8>) {
    out.extend_from_slice(fact.name().as_bytes());
    out.push(b'=');
    match fact {
        Fact::Type => out.extend_from_slice(type_fact(there.kind).as_bytes()),
        Fact::Size => push_number(there.size, 0, b' ', out),
        Fact::Modify => push_time(there.modified, days, out),
        Fact::Perm => push_perm(there.kind, perm, out),
        Fact::Unique => {
            push_digits::<4>(there.id.0, 0, out);
            out.push(b'g');
            push_digits::<4>(there.id.1, 0, out);
        }
        Fact::Mode => push_digits::<3>(u64::from(there.mode), 4, out),
        Fact::Uid => push_number(u64::from(there.uid), 0, b' ', out),
        Fact::Gid => push_number(u64::from(there.gid), 0, b' ', out),
    }
    out.push(b';');
}

/// A number in base 16 (4 bits to a digit) or 8 (3 bits), with zeros in front up to a width.
fn push_digits<const BITS: u32>(number: u64, width: u32, out: &mut Vec<u8>) {
    let mut text = [b'0'; 22];
    let needed = (u64::BITS - number.leading_zeros()).div_ceil(BITS).max(1).max(width);
    let start = text.len().saturating_sub(needed as usize);
    let mut left = number;
    for digit in text.iter_mut().skip(start).rev() {
        let low = (left & ((1 << BITS) - 1) & 15) as u8;
        *digit = if low < 10 { b'0' + low } else { b'a' - 10 + low };
        left >>= BITS;
    }
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

fn type_fact(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "dir",
        FileKind::Link => "OS.unix=symlink",
        FileKind::Fifo => "OS.unix=fifo",
        FileKind::Socket => "OS.unix=socket",
        FileKind::Block => "OS.unix=blkdev",
        FileKind::Char => "OS.unix=chrdev",
    }
}

/// What the user's letters allow (RFC 3659 §7.5.5).
fn push_perm(kind: FileKind, perm: PermSet, out: &mut Vec<u8>) {
    let letters: &[(u8, Perm)] = match kind {
        FileKind::File => &[
            (b'a', Perm::Append),
            (b'd', Perm::Delete),
            (b'f', Perm::Rename),
            (b'r', Perm::Retrieve),
            (b'w', Perm::Store),
        ],
        FileKind::Directory => &[
            (b'c', Perm::Store),
            (b'd', Perm::Delete),
            (b'e', Perm::Enter),
            (b'f', Perm::Rename),
            (b'l', Perm::List),
            (b'm', Perm::MakeDir),
            (b'p', Perm::Delete),
        ],
        FileKind::Link
        | FileKind::Fifo
        | FileKind::Socket
        | FileKind::Block
        | FileKind::Char => &[(b'd', Perm::Delete), (b'f', Perm::Rename)],
    };
    let allowed = letters.iter().filter(|(_, needed)| perm.has(*needed));
    out.extend(allowed.map(|(letter, _)| *letter));
}

/// A time as RFC 3659 §2.3 writes it: `YYYYMMDDHHMMSS` in UTC.
pub fn time_val(seconds: i64) -> String {
    let mut out = Vec::with_capacity(14);
    push_time(seconds, &mut Days::default(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn push_time(seconds: i64, days: &mut Days, out: &mut Vec<u8>) {
    let (day, time) = days.of(seconds);
    // a Vec takes whatever is written to it
    match u64::try_from(day.year) {
        Ok(year) => push_number(year, 4, b'0', out),
        Err(_) => drop(write!(out, "{:04}", day.year)),
    }
    let (month, day) = (u64::from(day.month), u64::from(day.of_month));
    let rest = [month, day, time / 3600, time / 60 % 60, time % 60].map(digits);
    out.extend_from_slice(rest.as_flattened());
}

/// A name cannot end its line, whatever it holds.
fn push_name(name: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(|&byte| match byte {
        b'\r' | b'\n' | 0 => b'?',
        other => other,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 13:34:20 UTC.
    const NOW: i64 = 1_795_354_460;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.into(),
            kind: FileKind::File,
            mode: 0o644,
            links: 1,
            uid: 1000,
            gid: 100,
            size: 12345,
            modified: NOW,
            nanos: 0,
            id: (0x10, 0xab),
            part: None,
            target: None,
            dangling: None,
        }
    }

    fn long_line(entry: &Entry) -> String {
        let mut out = Vec::new();
        let names = |_, _| ("bob".to_owned(), "users".to_owned());
        Long::new(NOW).push(entry, names, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn machine_line(entry: &Entry, wanted: Facts, perm: &str) -> String {
        let mut out = Vec::new();
        let perm = PermSet::parse(perm).unwrap();
        Machine::new(wanted, perm).push(entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_long_line_is_what_ls_prints() {
        assert_eq!(
            long_line(&entry("a b")),
            "-rw-r--r--   1 bob      users       12345 Nov 22 13:34 a b\r\n"
        );
    }

    #[test]
    fn neighbours_that_differ_have_fronts_of_their_own() {
        let mut long = Long::new(NOW);
        let other = Entry { mode: 0o600, uid: 0, size: 123_456_789_012, ..entry("b") };
        let mut out = Vec::new();
        for entry in [&entry("a"), &entry("a"), &other, &entry("a")] {
            let names = |uid: u32, gid: u32| (uid.to_string(), gid.to_string());
            long.push(entry, names, &mut out);
        }
        let a = "-rw-r--r--   1 1000     100         12345 Nov 22 13:34 a\r\n";
        let b = "-rw-------   1 0        100      123456789012 Nov 22 13:34 b\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), [a, a, b, a].concat());
    }

    #[test]
    fn the_year_is_shown_for_what_is_older_than_half_a_year_or_in_the_future() {
        let at = |modified| long_line(&Entry { modified, ..entry("x") });
        assert!(at(NOW - SIX_MONTHS + 1).contains("May 23 "), "{}", at(NOW - SIX_MONTHS + 1));
        assert!(!at(NOW - SIX_MONTHS + 1).contains("2026"));
        assert!(at(NOW - SIX_MONTHS).contains(" May 23  2026 x"));
        assert!(at(NOW + 1).contains(" Nov 22  2026 x"));
        assert!(at(i64::MIN).contains(" Jan  1  1970 x"));
    }

    #[test]
    fn special_bits_and_kinds_have_their_letters() {
        let text = |kind, mode| {
            let text = mode_text(&Entry { kind, mode, ..entry("x") });
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert_eq!(text(FileKind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(text(FileKind::File, 0o6750), "-rwsr-s---");
        assert_eq!(text(FileKind::Fifo, 0o7000), "p--S--S--T");
    }

    #[test]
    fn no_name_ends_its_line() {
        let evil = entry("a\r\n226 done\0");
        assert!(long_line(&evil).ends_with(" a??226 done?\r\n"));
        let mut out = Vec::new();
        name(b"di\nr/", &evil, &mut out);
        assert_eq!(out, b"di?r/a??226 done?\r\n");
    }

    #[test]
    fn a_link_is_followed_by_machines_and_shown_to_people() {
        let there = Entry { kind: FileKind::Directory, mode: 0o755, ..entry("there") };
        let link = Entry {
            kind: FileKind::Link,
            mode: 0o777,
            target: Some((b"to/there".to_vec(), Box::new(there))),
            ..entry("link")
        };
        assert!(long_line(&link).starts_with("lrwxrwxrwx"));
        assert!(long_line(&link).ends_with(" link -> to/there\r\n"));
        let wanted = Facts::NONE.with(Fact::Type).with(Fact::Perm);
        assert_eq!(machine_line(&link, wanted, "el"), "type=dir;perm=el; link\r\n");
        let outside = Entry { target: None, ..link };
        assert!(long_line(&outside).ends_with(" link -> (outside)\r\n"));
        let dead = Entry { dangling: Some(b"gone\n".to_vec()), ..outside.clone() };
        assert!(long_line(&dead).ends_with(" link -> gone?\r\n"));
        assert_eq!(
            machine_line(&outside, wanted, "el"),
            "type=OS.unix=symlink;perm=; link\r\n"
        );
    }

    #[test]
    fn each_entry_has_its_own_facts_whatever_the_last_one_was_like() {
        let link = Entry { kind: FileKind::Link, size: 4, uid: 0, ..entry("l") };
        let dir = Entry { kind: FileKind::Directory, mode: 0, modified: 0, ..entry("d") };
        let empty = Entry { size: 0, modified: NOW + 1, id: (1, 2), gid: 0, ..entry("e") };
        let all = [entry("a"), link, dir, empty, entry("a")];
        let perm = PermSet::parse("elradfmwMT").unwrap();
        let (mut together, mut out) = (Machine::new(Facts::default(), perm), Vec::new());
        for entry in &all {
            together.push(entry, &mut out);
        }
        let alone = |entry| machine_line(entry, Facts::default(), "elradfmwMT");
        let expected: String = all.iter().map(alone).collect();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_machine_line_has_the_facts_that_are_wanted_and_nothing_else() {
        assert_eq!(
            machine_line(&entry("x"), Facts::default(), "elradfmwMT"),
            "type=file;size=12345;modify=20261122133420;perm=adfrw;unique=10gab;\
             UNIX.mode=0644;UNIX.uid=1000;UNIX.gid=100; x\r\n"
        );
        assert_eq!(machine_line(&entry("x"), Facts::NONE, "l"), " x\r\n");
    }
}
