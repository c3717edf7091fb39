//! The table of the programs that the settings name, and its form on the way to the process
//! that starts them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use ring::digest::{SHA256, digest};

use super::message::{Fields, put};
use crate::config::{Config, Program, RunsAs};
use crate::rights::Ids;

/// The SHA-256 digest of a program and its arguments, or of a table.
pub(super) type Digest = [u8; 32];

/// The user in an entry if the program runs as the server's user.
pub(super) const SERVER: &str = "-";

/// The user in an entry if the program runs as any user whom the server names.
const ANYBODY: &str = "*";

/// The kind of a program that judges uploads.
const JUDGE: &[u8] = b"judge";

/// The kind of any other program.
const OTHER: &[u8] = b"other";

/// Maximum numbers of programs at once. Neither kind can take the place of the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Most {
    /// Of hooks, which have no input.
    pub(super) hooks: usize,
    /// Of programs that are asked something, and have an input.
    pub(super) asked: usize,
}

/// All programs of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) most: Most,
    entries: BTreeMap<Digest, Entry>,
}

/// A program with its arguments, and the users that it may run as.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The kind of the program, its file and its arguments, as fields.
    words: Vec<u8>,
    users: BTreeSet<String>,
}

/// A program that may be started.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// The user of the system that the program runs as; `None`: the server's user.
    pub(super) ids: Option<Ids>,
    /// The file of the program and its arguments.
    pub(super) words: Vec<OsString>,
    /// Whether it judges uploads: the file to judge is one more argument.
    pub(super) judges: bool,
}

impl Most {
    /// Returns the higher one of each number.
    pub(super) fn max(self, other: Self) -> Self {
        Self { hooks: self.hooks.max(other.hooks), asked: self.asked.max(other.asked) }
    }
}

impl Table {
    /// Makes the table of the programs that the settings name.
    pub(super) fn of(config: &Config) -> Self {
        let mut entries = BTreeMap::new();
        for (program, runs_as) in config.programs() {
            let words = words_of(program);
            let entry = entries
                .entry(digest_of(&words))
                .or_insert_with(|| Entry { words, users: BTreeSet::new() });
            entry.users.insert(match runs_as {
                RunsAs::Server => SERVER.to_owned(),
                RunsAs::User(ids) => ids.numbers(),
                RunsAs::Anybody => ANYBODY.to_owned(),
            });
        }
        let most = Most { hooks: config.hook_workers(), asked: config.asked_at_once() };
        Self { most, entries }
    }

    /// Whether the settings name no program.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the table as bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for most in [self.most.hooks, self.most.asked] {
            put(&mut bytes, most.to_string().as_bytes());
        }
        for entry in self.entries.values() {
            put(&mut bytes, &entry.bytes());
        }
        bytes
    }

    /// Reads what [`Table::bytes`] has made; `None` if it is anything else.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(bytes)?.into_iter();
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let most = Most { hooks: number()?, asked: number()? };
        let entries = fields.map(|entry| {
            let entry = Entry::of_bytes(entry)?;
            Some((digest_of(&entry.words), entry))
        });
        Some(Self { most, entries: entries.collect::<Option<_>>()? })
    }

    /// Returns the digest of the whole table.
    pub(super) fn digest(&self) -> Digest {
        digest_of(&self.bytes())
    }

    /// Returns the program with this digest, if the settings let it run as this user.
    pub(super) fn allowed(&self, digest: &[u8], user: &str) -> Option<Allowed> {
        let digest: &Digest = digest.try_into().ok()?;
        let entry = self.entries.get(digest)?;
        let ids = match user {
            SERVER => None,
            numbers => Some(Ids::from_numbers(numbers)?),
        };
        let known = entry.users.contains(user);
        let anybody = entry.users.contains(ANYBODY) && ids.as_ref().is_some_and(is_no_root);
        let fields = Fields::of(&entry.words)?;
        let (kind, words) = fields.split_first()?;
        let words = words.iter().map(|word| OsString::from_vec((*word).to_owned())).collect();
        (known || anybody).then_some(Allowed { ids, words, judges: *kind == JUDGE })
    }
}

/// Whether these are neither root nor in its group.
fn is_no_root(ids: &Ids) -> bool {
    ids.uid != 0 && ids.gid != 0 && !ids.groups.contains(&0)
}

/// Returns the digest by which the server names a program.
pub(super) fn digest_of_program(program: &Program) -> Digest {
    digest_of(&words_of(program))
}

/// Returns the kind of a program, its file and its arguments as fields.
fn words_of(program: &Program) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, if program.judges { JUDGE } else { OTHER });
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
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, &self.words);
        for user in &self.users {
            put(&mut bytes, user.as_bytes());
        }
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(bytes)?.into_iter();
        let words = fields.next()?.to_owned();
        let is_known = |kind: &&[u8]| [JUDGE, OTHER].contains(kind);
        let all = Fields::of(&words)?;
        // there is a program
        all.first().filter(|kind| is_known(kind)).and(all.get(1))?;
        let user = |user| {
            let user = std::str::from_utf8(user).ok()?;
            let is_one = user == SERVER || user == ANYBODY || Ids::from_numbers(user).is_some();
            is_one.then(|| user.to_owned())
        };
        let users: BTreeSet<_> = fields.map(user).collect::<Option<_>>()?;
        (!users.is_empty()).then_some(Self { words, users })
    }
}

impl Allowed {
    /// Returns the user in the form of an argument of [`super::exec()`].
    pub(super) fn user(&self) -> String {
        user_of(self.ids.as_ref())
    }
}

/// Returns the text that names a user in messages and arguments.
pub(super) fn user_of(ids: Option<&Ids>) -> String {
    ids.map_or_else(|| SERVER.to_owned(), Ids::numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &str) -> Table {
        let text = format!("[server]\n{lines}\n[user:bob]\npassword = x\nhome = /\n");
        Table::of(&crate::config::of_text(&text).unwrap())
    }

    fn echo(args: &[&str]) -> Program {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Program { path: "/bin/echo".into(), args, judges: false }
    }

    /// The table with another user for each of its programs.
    fn for_user(mut table: Table, user: &str) -> Table {
        for entry in table.entries.values_mut() {
            entry.users = [user.to_owned()].into();
        }
        table
    }

    #[test]
    fn a_table_survives_its_bytes_and_names_a_program_by_its_digest() {
        let lines = "on_upload = /bin/echo \"two  words\" \"\"\non_delete = /bin/echo";
        let table = table(&format!("hook_workers = 7\n{lines}"));
        let again = Table::of_bytes(&table.bytes()).unwrap();
        assert_eq!((&again, again.digest()), (&table, table.digest()));
        assert_eq!(again.most, Most { hooks: 7, asked: 0 });
        let allowed =
            |args: &[&str], user| again.allowed(&digest_of_program(&echo(args)), user);
        let known = allowed(&["two  words", ""], SERVER).unwrap();
        assert_eq!(known.words, ["/bin/echo", "two  words", ""]);
        assert_eq!((known.user().as_str(), known.ids), (SERVER, None));
        assert!(allowed(&[], SERVER).is_some());
        assert!(allowed(&["two"], SERVER).is_none());
        assert!(again.allowed(b"", SERVER).is_none());
    }

    #[test]
    fn a_program_runs_as_the_users_of_its_entry_alone() {
        let digest = digest_of_program(&echo(&[]));
        let with = |user: &str| {
            let table = for_user(table("on_delete = /bin/echo"), user);
            Table::of_bytes(&table.bytes()).unwrap()
        };
        let may = |table: &Table, user: &str| table.allowed(&digest, user).is_some();
        for user in ["5:7:7", "5:7:7,8", "6:7:7", "0:7:7", "5:0:0", ANYBODY, ""] {
            assert!(!may(&with(SERVER), user), "{user}");
            assert_eq!(may(&with("5:7:7"), user), user == "5:7:7", "{user}");
        }
        assert!(!may(&with("5:7:7"), SERVER));
        assert_eq!(with("5:7:7").allowed(&digest, "5:7:7").unwrap().ids.unwrap().uid, 5);
        for user in ["5:7:7", "5:7:7,8"] {
            assert!(may(&with(ANYBODY), user), "{user}");
        }
        for user in ["0:7:7", "5:0:7", "5:7:7,0", SERVER, ANYBODY, ""] {
            assert!(!may(&with(ANYBODY), user), "{user}");
        }
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
        put(&mut bytes, b"2");
        put(&mut bytes, b"no entry");
        assert!(Table::of_bytes(&bytes).is_none());
        for user in ["", "0:7:7", "root"] {
            let table = for_user(table("on_delete = /bin/echo"), user);
            assert!(Table::of_bytes(&table.bytes()).is_none(), "{user}");
        }
        assert!(table("").is_empty());
    }
}
