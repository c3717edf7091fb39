//! The table of the programs that the settings name, and its form on the way to the process
//! that starts them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use ring::digest::{SHA256, digest};

use super::exec::NOBODY_ELSE;
use super::message::{Fields, put};
use crate::config::{Config, Program};
use crate::rights::Ids;

/// The SHA-256 digest of an entry, or of a table.
pub(super) type Digest = [u8; 32];

/// All programs of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Maximum number of programs at once.
    pub(super) most: usize,
    entries: BTreeMap<Digest, Vec<u8>>,
}

/// A program as the table describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The user of the system that the program runs as; `None`: the server's user.
    pub(super) ids: Option<Ids>,
    /// The file of the program and its arguments.
    pub(super) words: Vec<OsString>,
}

impl Table {
    /// Makes the table of the programs that the settings name.
    pub(super) fn of(config: &Config) -> Self {
        let entries = config.programs().map(|(program, ids)| {
            let entry = entry_of(program, ids);
            (digest_of(&entry), entry)
        });
        Self { most: config.programs_at_once(), entries: entries.collect() }
    }

    /// Whether the settings name no program.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the table as bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, self.most.to_string().as_bytes());
        for entry in self.entries.values() {
            put(&mut bytes, entry);
        }
        bytes
    }

    /// Reads what [`Table::bytes`] has made; `None` if it is anything else.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(bytes)?.into_iter();
        let most = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let entries = fields.map(|entry| {
            Entry::of_bytes(entry)?;
            Some((digest_of(entry), entry.to_owned()))
        });
        Some(Self { most, entries: entries.collect::<Option<_>>()? })
    }

    /// Returns the digest of the whole table.
    pub(super) fn digest(&self) -> Digest {
        digest_of(&self.bytes())
    }

    /// Returns the entry with this digest.
    pub(super) fn entry(&self, digest: &[u8]) -> Option<Entry> {
        let digest: &Digest = digest.try_into().ok()?;
        Entry::of_bytes(self.entries.get(digest)?)
    }
}

/// Returns the digest of the entry of a program.
pub(super) fn digest_of_program(program: &Program, ids: Option<&Ids>) -> Digest {
    digest_of(&entry_of(program, ids))
}

/// Returns the entry of a program as bytes.
fn entry_of(program: &Program, ids: Option<&Ids>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let who = ids.map_or_else(|| NOBODY_ELSE.to_owned(), Ids::numbers);
    put(&mut bytes, who.as_bytes());
    put(&mut bytes, program.path.as_os_str().as_bytes());
    for argument in &program.args {
        put(&mut bytes, argument.as_bytes());
    }
    bytes
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut all = Digest::default();
    all.copy_from_slice(digest(&SHA256, bytes).as_ref());
    all
}

impl Entry {
    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(bytes)?.into_iter();
        let who = std::str::from_utf8(fields.next()?).ok()?;
        let ids = match who {
            NOBODY_ELSE => None,
            numbers => Some(Ids::from_numbers(numbers)?),
        };
        let words: Vec<_> = fields.map(|word| OsString::from_vec(word.to_owned())).collect();
        (!words.is_empty()).then_some(Self { ids, words })
    }

    /// Returns the user in the form of an argument of [`super::exec()`].
    pub(super) fn who(&self) -> String {
        self.ids.as_ref().map_or_else(|| NOBODY_ELSE.to_owned(), Ids::numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &str) -> Table {
        let text = format!("[server]\n{lines}\n[user:bob]\npassword = x\nhome = /\n");
        Table::of(&crate::config::of_text(&text).unwrap())
    }

    #[test]
    fn a_table_survives_its_bytes_and_names_a_program_by_its_digest() {
        let lines = "on_upload = /bin/echo \"two  words\" \"\"\non_delete = /bin/echo";
        let table = table(&format!("hook_workers = 7\n{lines}"));
        let again = Table::of_bytes(&table.bytes()).unwrap();
        assert_eq!((&again, again.most, again.digest()), (&table, 7, table.digest()));
        let program = |args: &[&str]| Program {
            path: "/bin/echo".into(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        };
        let known = again.entry(&digest_of_program(&program(&["two  words", ""]), None));
        assert_eq!(known.unwrap().words, ["/bin/echo", "two  words", ""]);
        assert!(again.entry(&digest_of_program(&program(&[]), None)).is_some());
        assert!(again.entry(&digest_of_program(&program(&["two"]), None)).is_none());
        let ids = Ids::from_numbers("5:7:7").unwrap();
        assert!(again.entry(&digest_of_program(&program(&[]), Some(&ids))).is_none());
        assert!(again.entry(b"").is_none());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let whole = table("on_upload = /bin/echo x").bytes();
        for end in 0..whole.len() {
            let cut = Table::of_bytes(&whole[..end]);
            assert!(cut.is_none_or(|table| table.is_empty()), "{end}");
        }
        assert!(Table::of_bytes(b"").is_none());
        assert!(Table::of_bytes(&[0xff; 64]).is_none());
        let mut bytes = Vec::new();
        put(&mut bytes, b"2");
        put(&mut bytes, b"no entry");
        assert!(Table::of_bytes(&bytes).is_none());
        assert!(table("").is_empty());
    }
}
