//! MLSD and MLST: the facts of an entry (RFC 3659 §7).

use super::days::{Days, push_time};
use super::digits::{push_digits, push_number};
use super::names::push_name;
use crate::config::{Perm, PermSet};
use crate::vfs::{Entry, FileKind, Letters};

/// One fact of MLSD and MLST (RFC 3659 §7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The kind of the entry: file, directory or other.
    Type,
    /// The size in bytes.
    Size,
    /// When the entry was last modified.
    Modify,
    /// What the user may do with the entry.
    Perm,
    /// An identifier that is equal for two names of one file.
    Unique,
    /// Unix permission bits.
    Mode,
    /// The number of the Unix owner.
    Uid,
    /// The number of the Unix group.
    Gid,
}

impl Fact {
    /// All facts, in the order in which they are sent.
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

    /// Returns the name of the fact on the wire, where case does not matter.
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

/// The facts that a client wants; OPTS MLST chooses them (RFC 3659 §7.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts(u8);

impl Default for Facts {
    fn default() -> Self {
        Self(u8::MAX)
    }
}

impl Facts {
    /// No facts.
    pub const NONE: Self = Self(0);

    /// Adds a fact.
    #[must_use]
    pub const fn with(self, fact: Fact) -> Self {
        Self(self.0 | fact.bit())
    }

    /// Returns whether a fact is wanted.
    pub const fn has(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }
}

/// Formats the facts and lines of MLSD and MLST. Texts are cached, because neighbouring entries
/// often share them.
#[derive(Debug)]
pub struct Machine {
    wanted: Facts,
    perm: PermSet,
    days: Days,
    /// The facts before and after [`Fact::Unique`], which differs for each entry.
    runs: [Run; 2],
    /// A device, and the part of [`Fact::Unique`] before the number of the file.
    device: Option<(u64, Vec<u8>)>,
}

/// The text of several facts of the last entry.
#[derive(Debug, Default)]
struct Run {
    /// The values in the text; `None` before the first entry.
    of: Option<[u64; 4]>,
    text: Vec<u8>,
}

/// The facts before [`Fact::Unique`].
const BEFORE: [Fact; 4] = [Fact::Type, Fact::Size, Fact::Modify, Fact::Perm];

/// The facts after [`Fact::Unique`].
const AFTER: [Fact; 3] = [Fact::Mode, Fact::Uid, Fact::Gid];

impl Machine {
    /// Creates a formatter for the facts that a client wants and the permissions of its user.
    pub fn new(wanted: Facts, perm: PermSet) -> Self {
        let (runs, device) = Default::default();
        Self { wanted, perm, days: Days::default(), runs, device }
    }

    /// Appends one line of MLSD.
    pub fn push(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        self.facts(entry, out);
        push_name(&entry.name, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the facts of one entry, each with its semicolon, and then a space (RFC 3659
    /// §7.2).
    pub fn facts(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let there = entry.followed();
        let Self { wanted, perm, days, runs: [before, after], device } = self;
        let everywhere = Letters { own: *perm, within: *perm };
        let letters = entry.letters.unwrap_or(everywhere);
        let mut fill = |run: &mut Run, of: [u64; 4], facts: &[Fact]| {
            if run.of == Some(of) {
                return;
            }
            run.of = Some(of);
            run.text.clear();
            for fact in facts.iter().filter(|fact| wanted.has(**fact)) {
                push_fact(*fact, there, letters, days, &mut run.text);
            }
        };
        let modified = there.modified.cast_unsigned();
        let key = u64::from(letters.own.bits()) << 16 | u64::from(letters.within.bits());
        fill(before, [there.kind as u64, there.size, modified, key], &BEFORE);
        fill(after, [there.mode.into(), there.uid.into(), there.gid.into(), 0], &AFTER);
        out.extend_from_slice(&before.text);
        if wanted.has(Fact::Unique) {
            push_unique(device, there, out);
        }
        out.extend_from_slice(&after.text);
        out.push(b' ');
    }
}

/// Appends [`Fact::Unique`]. `device` is the text of the last entry's device.
fn push_unique(device: &mut Option<(u64, Vec<u8>)>, there: &Entry, out: &mut Vec<u8>) {
    let (number, file) = there.id;
    let (_, text) = match device {
        Some(last) if last.0 == number => last,
        _ => {
            let mut text = b"unique=".to_vec();
            push_digits::<4>(number, 0, &mut text);
            text.push(b'g');
            device.insert((number, text))
        }
    };
    out.extend_from_slice(text);
    push_digits::<4>(file, 0, out);
    out.push(b';');
}

/// Appends a fact. [`push_unique`] formats [`Fact::Unique`].
fn push_fact(fact: Fact, there: &Entry, may: Letters, days: &mut Days, out: &mut Vec<u8>) {
    if fact == Fact::Unique || fact == Fact::Size && there.kind != FileKind::File {
        // clients could not use the size of a directory
        return;
    }
    out.extend_from_slice(fact.name().as_bytes());
    out.push(b'=');
    match fact {
        Fact::Type => out.extend_from_slice(type_fact(there.kind).as_bytes()),
        Fact::Size => push_number(there.size, 0, b' ', out),
        Fact::Modify => push_time(there.modified, days, out),
        Fact::Perm => push_perm(there.kind, may, out),
        Fact::Unique => {}
        Fact::Mode => push_digits::<3>(u64::from(there.mode), 4, out),
        Fact::Uid => push_number(u64::from(there.uid), 0, b' ', out),
        Fact::Gid => push_number(u64::from(there.gid), 0, b' ', out),
    }
    out.push(b';');
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

/// Appends the letters of what the user may do with the entry (RFC 3659 §7.5.5).
fn push_perm(kind: FileKind, Letters { own, within }: Letters, out: &mut Vec<u8>) {
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
    // these concern what a directory holds, and the others concern the entry itself
    let set = |letter: u8| if b"celmp".contains(&letter) { within } else { own };
    let allowed = letters.iter().filter(|(letter, needed)| set(*letter).has(*needed));
    out.extend(allowed.map(|(letter, _)| *letter));
}
