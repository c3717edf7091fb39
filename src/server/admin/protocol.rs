//! The protocol of the admin socket: what the subcommands of `ftpd` ask the running server, and
//! what it answers. Server and subcommands both speak these types; ftpd(8) describes them.
//!
//! A request is one line, a JSON object whose member `command` names it. The answer is one line
//! as well: `{"ok":true, ...}` with the members of the answer, or `{"ok":false,"error":"..."}`.
//! A server that is about to stop adds `"stopping":true`.
//!
//! A new order needs a row of `orders!`, a struct with the members of the request, one with
//! those of the answer, and the code in `carry_out.rs` that carries it out.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::control::{FileReport, QuotaState, Report, RuleReport, Traffic};
use crate::log::stamp;
use crate::server::stats::Numbers;

/// An order to the running server, linked to the type of its answer.
pub trait AdminOrder: Into<Request> {
    /// The answer of a server that has carried the order out.
    type Answer: Serialize + DeserializeOwned;
}

/// Makes the enum of all requests, and links each order to its answer.
macro_rules! orders {
    ($($order:ident => $answer:ty,)*) => {
        /// One request: the line that a client of the admin socket sends.
        #[derive(Debug, Serialize)]
        #[serde(tag = "command", rename_all = "lowercase")]
        pub enum Request {
            $(#[doc = concat!("See [`", stringify!($order), "`].")] $order($order),)*
            /// A request that this version of the server does not know.
            Unknown,
        }

        impl Request {
            /// Reads the members of the request with this name. Deriving this takes 25 KB of
            /// code that keeps members until the name is known.
            fn read(name: &str, members: Value) -> serde_json::Result<Self> {
                $(if name == stringify!($order).to_ascii_lowercase() {
                    return serde_json::from_value(members).map(Self::$order);
                })*
                Ok(Self::Unknown)
            }
        }

        $(
            impl AdminOrder for $order {
                type Answer = $answer;
            }

            impl From<$order> for Request {
                fn from(order: $order) -> Self {
                    Self::$order(order)
                }
            }
        )*
    };
}

orders! {
    Who => Sessions,
    Kick => Ended,
    Stats => Statistics,
    Why => Verdicts,
    Quota => QuotaList,
    Bans => BanList,
    Ban => Banned,
    Unban => Lifted,
    Parts => PartList,
    Drop => Dropped,
    Keep => Kept,
    Trash => TrashList,
    Restore => Restored,
    Empty => Emptied,
    Reload => Reloaded,
    Stop => Stopping,
}

/// Lists the sessions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Who {}

/// Ends sessions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kick {
    /// The number of a session, an address, or the name of a user; `user:NAME` if the name
    /// looks like one of the others.
    pub whom: String,
}

/// Asks for all metrics.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stats {}

/// Asks whether a user may do something with a path. User and path are bytes, not text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Why {
    /// The name of the user.
    pub user: Vec<u8>,
    /// The path, as a client would send it.
    pub path: Vec<u8>,
    /// What the user wants to do; `None`: the usual actions.
    #[serde(default, deserialize_with = "lenient::text")]
    pub action: Option<String>,
}

/// Asks what the homes with a quota hold.
#[derive(Debug, Serialize, Deserialize)]
pub struct Quota {
    /// The name of a user; `None`: all users with a quota.
    #[serde(default, deserialize_with = "lenient::text")]
    pub user: Option<String>,
    /// Whether the homes are counted again before the answer.
    #[serde(default, deserialize_with = "lenient::switch")]
    pub rescan: bool,
}

/// Lists the bans.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bans {}

/// Bans an address.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ban {
    /// An address, or an IPv6 prefix of 64 bits.
    pub address: String,
    /// How long the ban lasts; 0: until it is lifted by hand; `None`: for `ban_time`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub seconds: Option<u64>,
}

/// Lifts bans.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unban {
    /// An address, an IPv6 prefix of 64 bits, or `all`.
    pub address: String,
}

/// Lists the uploads that broke off.
#[derive(Debug, Serialize, Deserialize)]
pub struct Parts {}

/// Removes what an upload that broke off has left. User and path are bytes, not text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drop {
    /// The name of the user.
    pub user: Vec<u8>,
    /// The path, as the client sees it.
    pub path: Vec<u8>,
}

/// Lists what retention would remove.
#[derive(Debug, Serialize, Deserialize)]
pub struct Keep {
    /// Whether it is removed now, and new rules wait no longer.
    #[serde(default, deserialize_with = "lenient::switch")]
    pub now: bool,
}

/// Lists the trash of a user. The user is bytes, not text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trash {
    /// The name of the user.
    pub user: Vec<u8>,
}

/// Brings something back from the trash. User and path are bytes, not text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Restore {
    /// The name of the user.
    pub user: Vec<u8>,
    /// The path, as the client saw it; `None`: everything whose name is free.
    #[serde(default)]
    pub path: Option<Vec<u8>>,
}

/// Removes something from the trash for good. User and path are bytes, not text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Empty {
    /// The name of the user.
    pub user: Vec<u8>,
    /// The path, as the client saw it; `/` for everything.
    pub path: Vec<u8>,
}

/// Reads the settings again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reload {}

/// Stops the server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stop {
    /// Whether running transfers end at once instead of after `shutdown_grace`.
    #[serde(default, deserialize_with = "lenient::switch")]
    pub now: bool,
    /// Whether sessions go on until they end, or until `shutdown_grace` is over.
    #[serde(default, deserialize_with = "lenient::switch")]
    pub drain: bool,
}

/// Reads a member that may be missing, but has a value if it is there: a ban for `null` seconds
/// would last for `ban_time`.
fn given<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}

/// Reads members of which any other value means that they are not there.
mod lenient {
    use serde::{Deserialize, Deserializer};
    use serde_json::Value;

    pub(super) fn text<'d, D: Deserializer<'d>>(from: D) -> Result<Option<String>, D::Error> {
        Value::deserialize(from).map(|value| value.as_str().map(str::to_owned))
    }

    pub(super) fn switch<'d, D: Deserializer<'d>>(from: D) -> Result<bool, D::Error> {
        Value::deserialize(from).map(|value| value.as_bool().unwrap_or_default())
    }
}

/// The answer to [`Who`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Sessions {
    /// Every session, the oldest first.
    pub sessions: Vec<SessionView>,
    /// The users from whom nothing has come for `expect_every`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<SilentView>,
}

/// A user from whom nothing has come for `expect_every`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SilentView {
    /// The name of the user.
    pub user: String,
    /// Time since the last upload, or since the start of the server if none is known, in seconds.
    pub seconds: u64,
}

/// A session as the admin socket and the status page show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionView {
    /// The number of the session, by which it can be ended.
    pub id: u64,
    /// The user who is logged in; `None`: nobody.
    pub user: Option<String>,
    /// The address of the client.
    pub address: IpAddr,
    /// The port of the client.
    pub port: u16,
    /// Whether TLS protects the control connection.
    pub tls: bool,
    /// When the session began, as the log writes it.
    pub since: String,
    /// How long ago that was, in seconds.
    pub seconds: u64,
    /// The running transfer, if there is one.
    pub transfer: Option<TransferView>,
    /// The quota of the user, if there is one.
    #[serde(default)]
    pub quota: Option<QuotaView>,
}

/// A running transfer as the admin socket and the status page show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferView {
    /// The command, such as `RETR`.
    pub doing: String,
    /// The kind of transfer; `None`: the server is an older one, which does not send it.
    #[serde(default, with = "word")]
    pub way: Option<Traffic>,
    /// The file or directory.
    pub path: String,
    /// Number of bytes transferred so far.
    pub bytes: u64,
    /// Total number of bytes to transfer, if known.
    pub size: Option<u64>,
    /// How long the transfer has been running.
    pub seconds: f64,
    /// Bytes per second that the limits let the transfer move at present; `None`: no limit, or the
    /// server is an older one.
    #[serde(default)]
    pub share: Option<u64>,
}

/// The answer to [`Kick`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Number of sessions that were ended.
    pub ended: usize,
}

/// The answer to [`Stats`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Statistics {
    /// The version of the server.
    pub version: String,
    /// When the server was started, as the log writes it.
    pub since: String,
    /// How long ago that was, in seconds.
    pub seconds: u64,
    /// All metrics.
    pub stats: Numbers,
}

/// The answer to [`Why`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Verdicts {
    /// One verdict for each action.
    pub answers: Vec<VerdictView>,
}

/// Whether a user may do one thing with a path.
#[derive(Debug, Serialize, Deserialize)]
pub struct VerdictView {
    /// The action.
    pub action: String,
    /// The path on the server, quoted.
    pub path: String,
    /// Why the action is refused; `None`: it is allowed.
    pub refusal: Option<String>,
}

/// The answer to [`Quota`].
#[derive(Debug, Serialize, Deserialize)]
pub struct QuotaList {
    /// The users with a quota, by name.
    pub quotas: Vec<QuotaView>,
}

/// What the home of a user holds, and what it may hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuotaView {
    /// The user.
    pub user: String,
    /// The size of all files in bytes.
    pub bytes: u64,
    /// Its limit (`quota_bytes`); `None`: none.
    pub max_bytes: Option<u64>,
    /// Number of files.
    pub files: u64,
    /// Its limit (`quota_files`); `None`: none.
    pub max_files: Option<u64>,
    /// Whether this is exact. If not, the home is still being counted.
    pub exact: bool,
}

impl QuotaView {
    /// Describes the quota of a user.
    pub fn new(user: &str, QuotaState { used, limits, exact }: QuotaState) -> Self {
        Self {
            user: user.to_owned(),
            bytes: used.bytes,
            max_bytes: limits.bytes,
            files: used.files,
            max_files: limits.files,
            exact,
        }
    }

    /// Returns how much of the quota is used, in percent, rounded down.
    pub fn percent(&self) -> u64 {
        let share = |used: u64, most: Option<u64>| {
            let share = u128::from(used) * 100 / u128::from(most.filter(|&most| most > 0)?);
            u64::try_from(share).ok()
        };
        let (bytes, files) =
            (share(self.bytes, self.max_bytes), share(self.files, self.max_files));
        bytes.max(files).unwrap_or_default()
    }
}

/// The answer to [`Bans`].
#[derive(Debug, Serialize, Deserialize)]
pub struct BanList {
    /// All bans, in the order in which they end.
    pub bans: Vec<BanView>,
}

/// A ban as the admin socket and the status page show it.
#[derive(Debug, Serialize, Deserialize)]
pub struct BanView {
    /// The address, or the IPv6 prefix of 64 bits.
    pub address: String,
    /// How long the ban still lasts, in seconds; `None`: until it is lifted by hand.
    pub left: Option<u64>,
    /// Number of failures that led to the ban.
    pub failures: usize,
    /// The last failure, or `by hand` for a ban that the administrator made.
    pub last: String,
    /// Number of connections that were closed since.
    pub closed: u64,
}

/// The answer to [`Ban`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Banned {
    /// The address, or the IPv6 prefix of 64 bits.
    pub address: String,
    /// How long the ban lasts; `None`: until it is lifted by hand.
    pub seconds: Option<u64>,
    /// Number of sessions that were ended.
    pub ended: usize,
}

/// The answer to [`Unban`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Lifted {
    /// Number of bans that were lifted.
    pub lifted: usize,
}

/// The answer to [`Parts`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PartList {
    /// The parts, the oldest first.
    pub parts: Vec<PartView>,
}

/// What an upload that broke off has left.
#[derive(Debug, Serialize, Deserialize)]
pub struct PartView {
    /// The user who may resume the upload; `None`: nobody, or it is not known who.
    pub user: Option<String>,
    /// For an anonymous user, the address from which the upload may be resumed, if it is known.
    pub address: Option<String>,
    /// The path as the client sees it, quoted; of a file with a long name, that of its directory.
    pub path: String,
    /// The path on the server, quoted.
    pub real: String,
    /// Number of bytes that have arrived.
    pub bytes: u64,
    /// How long ago the last of them arrived, in seconds.
    pub seconds: u64,
}

/// The answer to [`Drop`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Dropped {
    /// Number of parts that were removed.
    pub removed: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The answer to [`Keep`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// All rules.
    pub rules: Vec<KeptRule>,
    /// The files that go, or have gone. Those of one home and one file system are in the order in
    /// which they go.
    pub files: Vec<KeptFile>,
    /// Whether there are more files than these.
    pub more: bool,
    /// What could not be looked at or removed, and why.
    pub troubles: Vec<String>,
    /// Whether retention has stopped, because less than half of what it removed became free space.
    pub in_vain: bool,
}

/// A rule of retention.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptRule {
    /// The folder that the rule applies to, on the server.
    pub folder: String,
    /// The rule as in the settings, such as `keep_for = 30d`.
    pub rule: String,
    /// From when on the rule removes files, as the log writes times; `None`: now.
    pub begins: Option<String>,
    /// Number of files that go by it, or at least this number if there are more than are listed.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A file that retention removes.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptFile {
    /// The path on the server.
    pub path: String,
    /// How long ago it was stored, in seconds.
    pub age: u64,
    /// Its size.
    pub bytes: u64,
    /// The rule that it goes by.
    pub rule: String,
}

impl Kept {
    /// Makes the answer from a report.
    pub fn of(report: Report) -> Self {
        let rule = |rule: RuleReport| KeptRule {
            folder: rule.folder.to_string_lossy().into_owned(),
            rule: rule.rule,
            begins: rule.begins.map(stamp),
            files: rule.files,
            bytes: rule.bytes,
        };
        let file = |file: FileReport| KeptFile {
            path: file.path.to_string_lossy().into_owned(),
            age: file.age.as_secs(),
            bytes: file.size,
            rule: file.rule,
        };
        let trouble =
            |(path, why): (PathBuf, String)| format!("{}: {why}", path.to_string_lossy());
        Self {
            rules: report.rules.into_iter().map(rule).collect(),
            files: report.files.into_iter().map(file).collect(),
            more: report.is_cut,
            troubles: report.troubles.into_iter().map(trouble).collect(),
            in_vain: report.in_vain,
        }
    }
}

/// The answer to [`Trash`].
#[derive(Debug, Serialize, Deserialize)]
pub struct TrashList {
    /// What is in the trash, sorted by path, the newest version of a path first.
    pub deleted: Vec<DeletedView>,
    /// Whether this is all of it. A long list is cut off.
    pub complete: bool,
}

/// Something in the trash.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeletedView {
    /// The path as the client saw it, quoted.
    pub path: String,
    /// What it is: `file`, `directory`, `link` or `other`.
    pub kind: String,
    /// Size in bytes; 0 for a directory.
    pub bytes: u64,
    /// When it was deleted or replaced, as the log writes it.
    pub deleted: String,
    /// How long ago that was, in seconds.
    pub seconds: u64,
}

/// The answer to [`Restore`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Restored {
    /// Number of files and directories that were brought back.
    pub restored: u64,
    /// What could not be brought back.
    pub refused: Vec<RefusedView>,
}

/// Something that could not be brought back from the trash.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefusedView {
    /// The path as the client saw it, quoted.
    pub path: String,
    /// What is in its place, or what has failed.
    pub why: String,
}

/// The answer to [`Empty`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Emptied {
    /// Number of files and links that were removed.
    pub files: u64,
    /// Number of directories that were removed.
    pub directories: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
    /// Number of files and directories that could not be removed or read.
    #[serde(default)]
    pub failed: u64,
}

/// The answer to [`Reload`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// Warnings about doubtful settings, and about changed keys that need a restart.
    pub warnings: Vec<String>,
    /// Number of sessions of removed users that were ended.
    pub ended: usize,
}

/// The answer to [`Stop`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Stopping {
    /// Whether [`Stopped`] follows on the same connection, once the server has ended in order.
    #[serde(default)]
    pub tells: bool,
}

/// The last line of a server that was drained, before it ends. Without it, the server was killed or has
/// crashed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// `true`.
    pub stopped: bool,
}

/// Why an order has failed: the server has refused it, or its answer is not valid.
#[derive(Debug)]
pub enum Unanswered {
    /// The server has refused the request.
    Refused(String),
    /// The line is not a valid answer to the order.
    Malformed(serde_json::Error),
}

/// The answer of a server that has carried the order out.
pub(in crate::server) fn done(answer: &impl Serialize) -> Value {
    match serde_json::to_value(answer) {
        Ok(Value::Object(mut members)) => {
            members.insert("ok".to_owned(), Value::Bool(true));
            Value::Object(members)
        }
        Ok(other) => refused(&format!("the answer is not a JSON object: {other}")),
        Err(why) => refused(&why.to_string()),
    }
}

/// The answer of a server that has not carried the order out.
pub(in crate::server) fn refused(why: &str) -> Value {
    json!({ "ok": false, "error": why })
}

/// Reads a request, which is one line.
///
/// # Errors
///
/// Returns the fault, as a text for the client.
pub(in crate::server) fn request(line: &[u8]) -> Result<Request, String> {
    // read as a value first, because serde would also take a list for a request
    let value: Value = serde_json::from_slice(line)
        .map_err(|_| "a request must be one line of JSON".to_owned())?;
    let Some(command) = value.get("command").and_then(Value::as_str).map(str::to_owned) else {
        return Ok(Request::Unknown);
    };
    Request::read(&command, value).map_err(|why| format!("cannot read {command}: {why}"))
}

/// Reads the answer to an order.
///
/// # Errors
///
/// If the server has refused the order, or if the line is not a valid answer to it.
pub fn read<O: AdminOrder>(line: &str) -> Result<O::Answer, Unanswered> {
    serde_json::from_value(accepted(line)?).map_err(Unanswered::Malformed)
}

/// Reads an answer as JSON, whatever its order.
fn accepted(line: &str) -> Result<Value, Unanswered> {
    let answer: Value =
        serde_json::from_slice(line.as_bytes()).map_err(Unanswered::Malformed)?;
    let ok = answer.get("ok").cloned().unwrap_or(Value::Bool(!answer.is_object()));
    if !serde_json::from_value(ok).map_err(Unanswered::Malformed)? {
        let why = answer.get("error").and_then(Value::as_str).unwrap_or("no reason given");
        return Err(Unanswered::Refused(why.to_owned()));
    }
    Ok(answer)
}

/// Serializes a kind as its word. An unknown word is read as `None`.
mod word {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::control::Countable;

    #[expect(clippy::ref_option, reason = "serde gives the member as it is")]
    pub(super) fn serialize<K: Countable, S: Serializer>(
        kind: &Option<K>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        kind.map(Countable::word).serialize(serializer)
    }

    pub(super) fn deserialize<'d, K: Countable, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Option<K>, D::Error> {
        let word = Option::<String>::deserialize(deserializer)?;
        let known = |word: &String| K::ALL.iter().find(|kind| kind.word() == word).copied();
        Ok(word.as_ref().and_then(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(order: impl AdminOrder) -> String {
        serde_json::to_string(&order.into()).unwrap()
    }

    #[test]
    fn requests_are_written_as_the_manual_says() {
        assert_eq!(sent(Who {}), r#"{"command":"who"}"#);
        assert_eq!(sent(Kick { whom: "anna".into() }), r#"{"command":"kick","whom":"anna"}"#);
        let (address, seconds) = ("192.0.2.1".to_owned(), None);
        let line = r#"{"command":"ban","address":"192.0.2.1"}"#;
        assert_eq!(sent(Ban { address, seconds }), line);
        let line = r#"{"command":"stop","now":true,"drain":false}"#;
        assert_eq!(sent(Stop { now: true, drain: false }), line);
        let why = Why { user: vec![97], path: vec![47, 255], action: None };
        let line = r#"{"command":"why","user":[97],"path":[47,255],"action":null}"#;
        assert_eq!(sent(why), line);
    }

    #[test]
    fn requests_are_read_and_others_are_told_apart() {
        let read = |line: &str| request(line.as_bytes());
        let line = r#"{"command":"ban","address":"::1","seconds":5,"more":1}"#;
        assert!(matches!(read(line), Ok(Request::Ban(Ban { seconds: Some(5), .. }))));
        assert!(matches!(
            read(r#"{"command":"stop"}"#),
            Ok(Request::Stop(Stop { now: false, drain: false }))
        ));
        assert!(matches!(read(r#"{"command":"x"}"#), Ok(Request::Unknown)));
        for line in ["{}", "[1]", r#"{"command":1}"#, r#"{"command":"Who"}"#] {
            assert!(matches!(read(line), Ok(Request::Unknown)), "{line}");
        }
        for line in ["{", r#"{"command":"kick"}"#, r#"{"command":"kick","whom":1}"#] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_answer_is_read_as_that_of_its_order() {
        let line = done(&Lifted { lifted: 2 }).to_string();
        assert_eq!(line, r#"{"lifted":2,"ok":true}"#);
        assert_eq!(read::<Unban>(&line).unwrap().lifted, 2);
        assert!(matches!(read::<Who>(&line), Err(Unanswered::Malformed(_))));
        let line = refused("no").to_string();
        assert!(matches!(read::<Who>(&line), Err(Unanswered::Refused(why)) if why == "no"));
        let old = r#"{"doing":"STOR","path":"/a","bytes":1,"size":null,"seconds":0.5}"#;
        let transfer: TransferView = serde_json::from_str(old).unwrap();
        assert_eq!(transfer.way, None);
        let new = TransferView { way: Some(Traffic::Upload), ..transfer };
        assert!(serde_json::to_string(&new).unwrap().contains(r#""way":"upload""#));
    }
}
