//! The events of sessions, and everything that the log says about each.
//!
//! One `match`, in [`Event::account`], gives the name of each event, its members in JSON and its
//! text; another one, in [`Event::level`], its level, which is asked before anything is put
//! together. A new event needs a variant of [`Event`], an arm in both, and one in `put` and `take`
//! of `entry.rs`. The code that writes lines knows accounts only.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use log::Level;

use super::heard::is_heard;
use super::way::Way;

/// The log target of events. The code that writes a line recognises the record of an event by
/// it.
pub(super) const TARGET: &str = module_path!();

/// An event of a session, which the log has a line about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A client has connected.
    Connected,
    /// A client was turned away before its session began, for this reason.
    TurnedAway(&'a str),
    /// The control connection is protected by TLS: the version and cipher, and the subject of
    /// the client's certificate if it sent one.
    Secured(&'a str, Option<&'a str>),
    /// The first protected data connection was made. The value says whether it resumed the TLS
    /// session.
    DataSecured(bool),
    /// A data connection did not resume the TLS session, although earlier ones did.
    ResumptionStopped,
    /// A user has logged in and has this home.
    LoggedIn(&'a Path),
    /// A login with this user name failed, for this reason.
    LoginFailed(&'a [u8], &'a str),
    /// A command was refused: its name, the path it was for if it has one, and the reason.
    Refused(&'a str, Option<&'a Path>, &'a str),
    /// A transfer has ended, complete or not.
    Transferred(Transfer<'a>),
    /// This command has changed this file or directory.
    Changed(&'a str, &'a Path),
    /// A checksum of a file was computed, or looked up.
    Hashed(Hashing<'a>),
    /// A file was copied, from the first path to the second: its number of bytes, and how long it took.
    Copied(&'a Path, &'a Path, u64, Duration),
    /// A file or directory was renamed, from the first path to the second.
    Renamed(&'a Path, &'a Path),
    /// What had this path was moved to the trash.
    Trashed(&'a Path),
    /// A version of what had this path was removed from the trash: how long ago it came there, and its
    /// number of bytes.
    Expunged(&'a Path, Duration, u64),
    /// What had this path was brought back from the trash.
    Restored(&'a Path),
    /// An upload writes to this file in place, for this reason.
    InPlace(&'a Path, &'a str),
    /// An upload to this file was judged and refused, for this reason; it was copied to the quarantine under the
    /// second path.
    Rejected(&'a Path, &'a str, Option<&'a Path>),
    /// An upload to this file could not be judged, and was accepted or not, for this reason.
    Unjudged(&'a Path, bool, &'a str),
    /// An address or network was banned: the number of seconds (`None`: until the ban is lifted
    /// by hand), the number of failures, and the last failure.
    Banned(&'a str, Option<u64>, usize, &'a str),
    /// A remark for the administrator.
    Note(&'a str),
    /// Retention has removed a file of this age and this size in bytes, by this rule.
    Removed(&'a Path, Duration, u64, &'a str),
    /// The session has ended, for this reason, after this time.
    Ended(&'a str, Duration),
}

/// One transfer, as the log and the transfer log describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// The command: RETR, STOR, APPE or STOU.
    pub verb: &'a str,
    /// Whether it is an upload or a download.
    pub way: Way,
    /// The file.
    pub path: &'a Path,
    /// Number of bytes sent over the data connection.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Whether it was in ASCII type.
    pub ascii: bool,
    /// Whether it was complete; if not, the reason.
    pub result: Result<(), &'a str>,
}

/// A checksum that a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashing<'a> {
    /// The command.
    pub command: &'a str,
    /// The file.
    pub path: &'a Path,
    /// The name of the algorithm.
    pub algorithm: &'a str,
    /// The first byte, and the one after the last.
    pub range: (u64, u64),
    /// How long it took, with the time in which others were computed.
    pub took: Duration,
}

/// The session that an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who<'a> {
    /// The client's address.
    pub peer: SocketAddr,
    /// The user, once logged in.
    pub user: Option<&'a str>,
}

/// Maximum number of parts of an account.
const MOST_PARTS: usize = 16;

/// Everything that the log says about one event, except its level.
#[derive(Debug)]
pub(super) struct Account<'a> {
    /// The name of the event, which is the member `event` in JSON.
    pub(super) name: &'static str,
    /// The kind of the event on the status page; `None` if the page does not show it.
    pub(super) recent: Option<&'static str>,
    /// The parts of the line, in the order in which text and JSON have them.
    pub(super) parts: Vec<Part<'a>>,
}

/// A part of an account.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Fixed words, which are in the text only.
    Words(&'static str),
    /// A value that is in the text only.
    Shown(Value<'a>),
    /// A value that is in the text, and in JSON as a member of this name.
    Member(&'static str, Value<'a>),
    /// A member that is in JSON only.
    JsonMember(&'static str, Value<'a>),
}

/// A value of an account. Texts, bytes and paths may come from strangers; the writers escape
/// them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A text as a client sent it, which need not be UTF-8.
    Bytes(&'a [u8]),
    /// The path of a file or directory.
    Path(&'a Path),
    /// A number.
    Count(u64),
    /// A duration, in seconds with three decimals.
    Seconds(Duration),
    /// A rate in KiB per second, with one decimal.
    Rate(f64),
    /// Yes or no.
    Truth(bool),
}

impl<'a> Event<'a> {
    /// Whether the log writes events of this level.
    pub fn is_heard(&self) -> bool {
        is_heard(self.level())
    }

    /// How important the event is.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::TurnedAway(_)
            | Self::ResumptionStopped
            | Self::LoginFailed(..)
            | Self::InPlace(..)
            | Self::Rejected(..)
            | Self::Unjudged(..)
            | Self::Banned(..)
            | Self::Note(_) => Level::Warn,
            Self::Connected
            | Self::Secured(..)
            | Self::DataSecured(_)
            | Self::LoggedIn(_)
            | Self::Refused(..)
            | Self::Transferred(_)
            | Self::Changed(..)
            | Self::Hashed(_)
            | Self::Copied(..)
            | Self::Renamed(..)
            | Self::Trashed(_)
            | Self::Expunged(..)
            | Self::Restored(_)
            | Self::Removed(..)
            | Self::Ended(..) => Level::Info,
        }
    }

    /// Returns everything that the log says about the event, except its level.
    #[expect(clippy::too_many_lines, reason = "a flat match, with a few lines for each event")]
    pub(super) fn account(&self) -> Account<'a> {
        match *self {
            Self::Connected => Account::of("connected").says("connected"),
            Self::TurnedAway(why) => {
                Account::of("turned_away").says("turned away: ").text("why", why)
            }
            Self::Secured(how, None) => Account::of("secured").text("tls", how),
            Self::Secured(how, Some(subject)) => {
                let account =
                    Account::of("secured").text("tls", how).says(", certificate of '");
                account.text("certificate", subject).says("'")
            }
            Self::DataSecured(resumed) => {
                let words = if resumed {
                    "TLS data connections resume the session"
                } else {
                    "TLS data connections do not resume the session"
                };
                Account::of("data_secured").says(words).hidden("resumed", Value::Truth(resumed))
            }
            Self::ResumptionStopped => Account::of("resumption_stopped")
                .says(
                    "a data connection did not resume the TLS session, although earlier ones \
                     did; tls_resume = require would refuse it",
                )
                .hidden("resumed", Value::Truth(false)),
            Self::LoggedIn(home) => Account::of("logged_in")
                .recent("login")
                .says("logged in, home ")
                .path("path", home),
            Self::LoginFailed(name, why) => {
                let account =
                    Account::of("login_failed").recent("failed").says("login failed for '");
                account.bytes("name", name).says("': ").text("why", why)
            }
            Self::Refused(verb, file, why) => {
                let account = Account::of("refused").recent("refused").text("command", verb);
                let account = match file {
                    Some(file) => account.says(" ").path("path", file),
                    None => account,
                };
                account.says(" refused: ").text("why", why)
            }
            Self::Transferred(transfer) => transfer.account(),
            Self::Changed(verb, file) => {
                Account::of("changed").text("command", verb).says(" ").path("path", file)
            }
            Self::Hashed(hashing) => hashing.account(),
            Self::Copied(from, to, bytes, took) => {
                let account = Account::of("copied").text("command", "SITE CPTO").says(" ");
                let account = account.path("from", from).says(" -> ").path("path", to);
                let account = account.says(": ").count("bytes", bytes).says(" bytes in ");
                account.and("seconds", Value::Seconds(took)).says(" s")
            }
            Self::Renamed(from, to) => {
                let account = Account::of("renamed").text("command", "RNTO").says(" ");
                account.path("from", from).says(" -> ").path("path", to)
            }
            Self::Trashed(file) => {
                Account::of("trashed").says("moved to the trash: ").path("path", file)
            }
            Self::Expunged(file, age, bytes) => Account::of("expunged")
                .path("path", file)
                .says(" removed from the trash: ")
                .count("bytes", bytes)
                .says(" bytes, deleted ")
                .count("age", age.as_secs())
                .says(" s ago"),
            Self::Restored(file) => {
                Account::of("restored").says("restored from the trash: ").path("path", file)
            }
            Self::InPlace(file, why) => {
                let account = Account::of("in_place").path("path", file);
                account.says(" is written to in place: ").text("why", why)
            }
            Self::Rejected(file, why, kept) => {
                let account = Account::of("rejected").path("path", file);
                let account = account.says(" judged and refused: ").text("why", why);
                match kept {
                    Some(kept) => account.says("; kept as ").path("quarantine", kept),
                    None => account,
                }
            }
            Self::Unjudged(file, accepted, why) => {
                let account = Account::of("unjudged").path("path", file);
                let words = if accepted {
                    " accepted without being judged: "
                } else {
                    " could not be judged, and is not accepted: "
                };
                let account = account.says(words).text("why", why);
                account.hidden("accepted", Value::Truth(accepted))
            }
            Self::Banned(whom, seconds, failures, last) => {
                let account = Account::of("banned").says("banned: ").text("address", whom);
                let account = match seconds {
                    Some(seconds) => account.says(" for ").count("seconds", seconds).says(" s"),
                    None => account,
                };
                let account = account.says(", ").count("failures", failures as u64);
                account.says(" failures, the last one ").text("why", last)
            }
            Self::Removed(file, age, bytes, rule) => Account::of("removed")
                .path("path", file)
                .says(" removed: ")
                .count("bytes", bytes)
                .says(" bytes, ")
                .count("age", age.as_secs())
                .says(" s old, by ")
                .text("rule", rule),
            Self::Note(text) => Account::of("note").text("text", text),
            Self::Ended(why, took) => {
                let account = Account::of("ended").says("ended after ");
                let account = account.shows(Value::Count(took.as_secs())).says(" s: ");
                let account = account.text("why", why);
                account.hidden("seconds", Value::Seconds(took))
            }
        }
    }
}

impl<'a> Hashing<'a> {
    fn account(self) -> Account<'a> {
        let (start, end) = self.range;
        let account = Account::of("hashed").text("command", self.command).says(" ");
        let account = account.path("path", self.path).says(": ");
        let account = account.text("algorithm", self.algorithm).says(" of bytes ");
        let account = account.count("start", start).says(" to ").count("end", end);
        account.says(" in ").and("seconds", Value::Seconds(self.took)).says(" s")
    }
}

impl<'a> Transfer<'a> {
    fn account(self) -> Account<'a> {
        let rate = kib_per_second(self.bytes, self.took);
        let kind = if self.ascii { "ascii" } else { "binary" };
        let account = Account::of("transfer")
            .recent("transfer")
            .text("command", self.verb)
            .says(" ")
            .path("path", self.path)
            .says(": ")
            .count("bytes", self.bytes)
            .says(" bytes in ")
            .and("seconds", Value::Seconds(self.took))
            .says(" s, ")
            .shows(Value::Rate(rate))
            .says(" KiB/s, ")
            .hidden("type", Value::Text(kind));
        match self.result {
            Ok(()) => account.text("result", "complete"),
            Err(why) => account.text("result", "failed").says(": ").text("why", why),
        }
    }
}

/// Returns a rate in KiB per second, for people to read.
#[expect(clippy::cast_precision_loss, reason = "a printed rate has few digits")]
pub fn kib_per_second(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1024.0 / took.as_secs_f64().max(1e-6)
}

impl<'a> Account<'a> {
    /// Begins the account of an event of this name.
    fn of(name: &'static str) -> Self {
        Self { name, recent: None, parts: Vec::with_capacity(MOST_PARTS) }
    }

    fn recent(self, word: &'static str) -> Self {
        Self { recent: Some(word), ..self }
    }

    fn with(mut self, part: Part<'a>) -> Self {
        self.parts.push(part);
        self
    }

    fn says(self, words: &'static str) -> Self {
        self.with(Part::Words(words))
    }

    fn shows(self, value: Value<'a>) -> Self {
        self.with(Part::Shown(value))
    }

    fn and(self, key: &'static str, value: Value<'a>) -> Self {
        self.with(Part::Member(key, value))
    }

    fn hidden(self, key: &'static str, value: Value<'a>) -> Self {
        self.with(Part::JsonMember(key, value))
    }

    fn text(self, key: &'static str, text: &'a str) -> Self {
        self.and(key, Value::Text(text))
    }

    fn bytes(self, key: &'static str, bytes: &'a [u8]) -> Self {
        self.and(key, Value::Bytes(bytes))
    }

    fn path(self, key: &'static str, path: &'a Path) -> Self {
        self.and(key, Value::Path(path))
    }

    fn count(self, key: &'static str, count: u64) -> Self {
        self.and(key, Value::Count(count))
    }
}

/// Returns an event of each kind, about this path and this transfer.
#[cfg(test)]
pub(super) fn one_of_each<'a>(path: &'a Path, transfer: Transfer<'a>) -> Vec<Event<'a>> {
    vec![
        Event::Connected,
        Event::TurnedAway("full"),
        Event::Secured("TLS", Some("CN=\"x\"")),
        Event::DataSecured(true),
        Event::ResumptionStopped,
        Event::LoggedIn(path),
        Event::LoginFailed(b"x\r\ny", "wrong"),
        Event::Refused("RETR", Some(path), "no"),
        Event::Transferred(transfer),
        Event::Changed("DELE", path),
        Event::Hashed(Hashing {
            command: "HASH",
            path,
            algorithm: "MD5",
            range: (1, 7),
            took: transfer.took,
        }),
        Event::Copied(path, path, 7, transfer.took),
        Event::Renamed(path, path),
        Event::Trashed(path),
        Event::Expunged(path, transfer.took, 7),
        Event::Restored(path),
        Event::Rejected(path, "infected", Some(path)),
        Event::Unjudged(path, true, "no answer"),
        Event::InPlace(path, "links"),
        Event::Banned("192.0.2.1", Some(60), 3, "a failed login"),
        Event::Note("text"),
        Event::Removed(path, transfer.took, 7, "keep_for = 30d"),
        Event::Ended("QUIT", transfer.took),
    ]
}
