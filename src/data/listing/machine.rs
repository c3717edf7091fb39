//! MLSD and MLST: the facts of an entry (RFC 3659 §7).

use super::days::{Days, push_time};
use super::digits::{push_digits, push_number};
use super::names::push_name;
use crate::config::{Perm, PermSet};
use crate::vfs::{Entry, FileKind};

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

/// Formats the facts and lines of MLSD and MLST. The text of each fact is cached, because
/// neighbouring entries often share it.
#[derive(Debug)]
pub struct Machine {
    wanted: Facts,
    perm: PermSet,
    days: Days,
    /// The value and the text of each fact of the last entry; the text is empty before the
    /// first entry.
    last: [(u64, Vec<u8>); Fact::ALL.len()],
}

impl Machine {
    /// Creates a formatter for the facts that a client wants and the permissions of its user.
    pub fn new(wanted: Facts, perm: PermSet) -> Self {
        Self { wanted, perm, days: Days::default(), last: Default::default() }
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
        let Self { wanted, perm, days, last } = self;
        let wanted = Fact::ALL.into_iter().zip(last).filter(|(fact, _)| wanted.has(*fact));
        for (fact, (known, text)) in wanted {
            let of = match fact {
                // clients could not use the size of a directory
                Fact::Size if there.kind != FileKind::File => continue,
                Fact::Size => there.size,
                Fact::Type | Fact::Perm => there.kind as u64,
                Fact::Modify => there.modified.cast_unsigned(),
                Fact::Mode => there.mode.into(),
                Fact::Uid => there.uid.into(),
                Fact::Gid => there.gid.into(),
                // this fact differs for each entry, so caching is useless
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
