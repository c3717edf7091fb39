//! LIST, NLST and `MLSx` lines out of one [`Entry`].

use std::io::Write;

use time::OffsetDateTime;

use crate::config::{Perm, PermSet};
use crate::vfs::{Entry, FileKind};

/// Half a year in seconds: `ls -l` shows the year of what is older.
const SIX_MONTHS: i64 = 31_556_952 / 2;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// One line of LIST, as `ls -l` prints it, in UTC.
pub fn long(entry: &Entry, owner: &str, group: &str, now: i64, out: &mut Vec<u8>) {
    let mode = mode_text(entry);
    let at = moment(entry.modified);
    let month = MONTHS.get(usize::from(u8::from(at.month())) - 1).unwrap_or(&"Jan");
    let age = now.saturating_sub(entry.modified);
    // a Vec takes whatever is written to it
    let _ = write!(out, "{mode} {:>3} {owner:<8} {group:<8}", entry.links);
    let _ = write!(out, " {:>8} {month} {:>2} ", entry.size, at.day());
    let _ = if (0..SIX_MONTHS).contains(&age) {
        write!(out, "{:02}:{:02} ", at.hour(), at.minute())
    } else {
        write!(out, "{:>5} ", at.year())
    };
    push_name(&entry.name, out);
    if let Some((text, _)) = &entry.target {
        out.extend_from_slice(b" -> ");
        push_name(text, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn mode_text(entry: &Entry) -> String {
    let kind = match entry.kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Link => 'l',
        FileKind::Fifo => 'p',
        FileKind::Socket => 's',
        FileKind::Block => 'b',
        FileKind::Char => 'c',
    };
    let mut text = String::with_capacity(10);
    text.push(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (entry.mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
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

/// The facts of one entry, each with its semicolon, and then a space (RFC 3659 §7.2).
pub fn facts(entry: &Entry, wanted: Facts, perm: PermSet, out: &mut Vec<u8>) {
    let there = entry.followed();
    for fact in Fact::ALL.into_iter().filter(|&fact| wanted.has(fact)) {
        // a directory has no size that a client could use
        if fact == Fact::Size && there.kind != FileKind::File {
            continue;
        }
        out.extend_from_slice(fact.name().as_bytes());
        out.push(b'=');
        let _ = match fact {
            Fact::Type => write!(out, "{}", type_fact(there.kind)),
            Fact::Size => write!(out, "{}", there.size),
            Fact::Modify => write!(out, "{}", time_val(there.modified)),
            Fact::Perm => write!(out, "{}", perm_fact(there.kind, perm)),
            Fact::Unique => write!(out, "{:x}g{:x}", there.id.0, there.id.1),
            Fact::Mode => write!(out, "{:04o}", there.mode),
            Fact::Uid => write!(out, "{}", there.uid),
            Fact::Gid => write!(out, "{}", there.gid),
        };
        out.push(b';');
    }
    out.push(b' ');
}

/// One line of MLSD.
pub fn machine(entry: &Entry, wanted: Facts, perm: PermSet, out: &mut Vec<u8>) {
    facts(entry, wanted, perm, out);
    push_name(&entry.name, out);
    out.extend_from_slice(b"\r\n");
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
fn perm_fact(kind: FileKind, perm: PermSet) -> String {
    let letters: &[(char, Perm)] = match kind {
        FileKind::File => &[
            ('a', Perm::Append),
            ('d', Perm::Delete),
            ('f', Perm::Rename),
            ('r', Perm::Retrieve),
            ('w', Perm::Store),
        ],
        FileKind::Directory => &[
            ('c', Perm::Store),
            ('d', Perm::Delete),
            ('e', Perm::Enter),
            ('f', Perm::Rename),
            ('l', Perm::List),
            ('m', Perm::MakeDir),
            ('p', Perm::Delete),
        ],
        FileKind::Link
        | FileKind::Fifo
        | FileKind::Socket
        | FileKind::Block
        | FileKind::Char => &[('d', Perm::Delete), ('f', Perm::Rename)],
    };
    letters.iter().filter(|(_, needed)| perm.has(*needed)).map(|(letter, _)| *letter).collect()
}

/// A time as RFC 3659 §2.3 writes it: `YYYYMMDDHHMMSS` in UTC.
pub fn time_val(seconds: i64) -> String {
    let at = moment(seconds);
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
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
            id: (0x10, 0xab),
            part: None,
            target: None,
        }
    }

    fn long_line(entry: &Entry) -> String {
        let mut out = Vec::new();
        long(entry, "bob", "users", NOW, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn machine_line(entry: &Entry, wanted: Facts, perm: &str) -> String {
        let mut out = Vec::new();
        machine(entry, wanted, PermSet::parse(perm).unwrap(), &mut out);
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
        let text = |kind, mode| mode_text(&Entry { kind, mode, ..entry("x") });
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
        assert_eq!(
            machine_line(&outside, wanted, "el"),
            "type=OS.unix=symlink;perm=; link\r\n"
        );
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
