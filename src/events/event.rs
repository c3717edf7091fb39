//! An event, and the two forms in which others are told of it: the environment of a program, and JSON.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::config::Occasion;
use crate::log::stamp;

/// Something that has happened.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The kind of event.
    pub occasion: Occasion,
    /// The name of the user, or what a client has sent as a name that is none.
    pub user: &'a str,
    /// Whether anybody can be this user.
    pub is_anonymous: bool,
    /// The client's address, if it is a client's doing.
    pub address: Option<IpAddr>,
    /// The version of TLS of the control connection.
    pub tls: Option<&'static str>,
    /// The file, or the home for a login: its real path, and its path as the client sees it.
    pub path: Option<(&'a Path, &'a [u8])>,
    /// For a rename: the old path, as for `path`.
    pub from: Option<(&'a Path, &'a [u8])>,
    /// For a transfer: the size of an uploaded file or the number of bytes sent, and the duration.
    pub transfer: Option<(u64, Duration)>,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is done.
    Done,
    /// The transfer is complete.
    Complete,
    /// It has failed, for this reason.
    Failed(&'a str),
    /// It was refused, for this reason.
    Refused(&'a str),
    /// The user is silent.
    Silent,
    /// The user, who was silent, has uploaded again.
    Back,
}

/// An event as JSON. Each event has all of these members, except for those that end in `_hex`: they
/// hold bytes that are not UTF-8, as in the log.
#[derive(Serialize)]
struct Json<'a> {
    id: &'a str,
    time: String,
    kind: &'static str,
    user: &'a str,
    address: Option<IpAddr>,
    tls: Option<&'static str>,
    path: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<Hex<'a>>,
    real_path: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    real_path_hex: Option<Hex<'a>>,
    from: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_hex: Option<Hex<'a>>,
    bytes: Option<u64>,
    seconds: Option<f64>,
    result: &'static str,
    message: Option<&'a str>,
}

/// Bytes as text, with a mark in place of each byte that is not UTF-8.
struct Text<'a>(&'a [u8]);

/// Bytes that are not UTF-8 as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(self.0))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
        let digits = self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        to.serialize_str(&digits.collect::<String>())
    }
}

impl<'a> Hex<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(bytes).is_err().then_some(Self(bytes))
    }
}

/// Maximum length of a path in the JSON form, in bytes. Receivers refuse messages that are too long.
const LONGEST_PATH: usize = 4096;

/// Maximum length of the user and of the reason in the JSON form, in bytes.
const LONGEST_TEXT: usize = 1000;

fn cut(bytes: &[u8], longest: usize) -> &[u8] {
    bytes.get(..longest).unwrap_or(bytes)
}

fn cut_text(text: &str) -> &str {
    let end = (0..=LONGEST_TEXT).rev().find(|&end| text.is_char_boundary(end));
    end.and_then(|end| text.get(..end)).filter(|_| text.len() > LONGEST_TEXT).unwrap_or(text)
}

impl Outcome<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Complete => "complete",
            Self::Failed(_) => "failed",
            Self::Refused(_) => "refused",
            Self::Silent => "silent",
            Self::Back => "back",
        }
    }

    fn why(&self) -> Option<&str> {
        match self {
            Self::Failed(why) | Self::Refused(why) => Some(why),
            Self::Done | Self::Complete | Self::Silent | Self::Back => None,
        }
    }
}

impl Event<'_> {
    /// Returns the environment of a program, except for `PATH`.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let bytes = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let mut all =
            vec![("FTPD_EVENT", self.occasion.name().into()), ("FTPD_USER", self.user.into())];
        all.extend(self.address.map(|from| ("FTPD_ADDRESS", from.to_string().into())));
        if let Some((real, path)) = self.path {
            all.push(("FTPD_PATH", real.into()));
            all.push(("FTPD_VIRTUAL_PATH", bytes(path)));
        }
        if let Some((real, path)) = self.from {
            all.push(("FTPD_FROM", real.into()));
            all.push(("FTPD_VIRTUAL_FROM", bytes(path)));
        }
        if let Some((size, took)) = self.transfer {
            all.push(("FTPD_SIZE", size.to_string().into()));
            all.push(("FTPD_SECONDS", format!("{:.3}", took.as_secs_f64()).into()));
        }
        let word = self.outcome.word();
        let result = self.outcome.why().map(|why| format!("{word}: {why}"));
        all.push(("FTPD_RESULT", result.unwrap_or_else(|| word.to_owned()).into()));
        all
    }

    /// Returns the event as a JSON object in one line, without its end.
    pub(super) fn json(&self, id: &str, at: SystemTime) -> Vec<u8> {
        let short = |path| cut(path, LONGEST_PATH);
        let real = self.path.map(|(real, _)| short(real.as_os_str().as_bytes()));
        let path = self.path.map(|(_, path)| short(path));
        let from = self.from.map(|(_, path)| short(path));
        let thousandths = |took: Duration| {
            Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(0))
        };
        let json = Json {
            id,
            time: stamp(at),
            kind: self.occasion.name(),
            user: cut_text(self.user),
            address: self.address,
            tls: self.tls,
            path: path.map(Text),
            path_hex: path.and_then(Hex::of),
            real_path: real.map(Text),
            real_path_hex: real.and_then(Hex::of),
            from: from.map(Text),
            from_hex: from.and_then(Hex::of),
            bytes: self.transfer.map(|(bytes, _)| bytes),
            seconds: self.transfer.map(|(_, took)| thousandths(took).as_secs_f64()),
            result: self.outcome.word(),
            message: self.outcome.why().map(cut_text),
        };
        // cannot fail: there is no map in it, and writing to memory does not fail
        serde_json::to_vec(&json).unwrap_or_default()
    }

    /// Returns how many quarters of the room for waiting events this one may use. Strangers can cause many
    /// events of some kinds, which must not drive out others.
    pub(super) fn quarters(&self) -> u64 {
        let is_failed_login = self.occasion == Occasion::Login && self.outcome != Outcome::Done;
        if self.occasion == Occasion::Refused || is_failed_login {
            return 2;
        }
        let is_common = matches!(self.occasion, Occasion::Download | Occasion::Login);
        if self.is_anonymous && is_common { 3 } else { 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(event: &Event<'_>) -> String {
        String::from_utf8(event.json("1-2", SystemTime::now())).unwrap()
    }

    #[test]
    fn an_event_is_one_line_that_has_all_members() {
        let path = Path::new("/home/a\n\"b");
        let event = Event {
            occasion: Occasion::Upload,
            user: "bob",
            is_anonymous: false,
            address: Some([192, 0, 2, 1].into()),
            tls: Some("1.3"),
            path: Some((path, b"/a\n\"b")),
            from: None,
            transfer: Some((7, Duration::from_micros(1_234_567))),
            outcome: Outcome::Complete,
        };
        let text = json(&event);
        assert!(!text.contains('\n'), "{text}");
        let (begin, rest) = text.split_once(",\"time\":\"").unwrap();
        assert_eq!(begin, r#"{"id":"1-2""#);
        let (_, rest) = rest.split_once("\",").unwrap();
        let wanted = r#""kind":"upload","user":"bob","address":"192.0.2.1","tls":"1.3","path":"/a\n\"b","real_path":"/home/a\n\"b","from":null,"bytes":7,"seconds":1.234,"result":"complete","message":null}"#;
        assert_eq!(rest, wanted);
        let outcome = Outcome::Failed("aborted");
        let text = json(&Event { outcome, path: None, transfer: None, tls: None, ..event });
        assert!(text.ends_with(
            r#""tls":null,"path":null,"real_path":null,"from":null,"bytes":null,"seconds":null,"result":"failed","message":"aborted"}"#
        ));
    }

    #[test]
    fn an_event_has_a_maximum_length() {
        let long = format!("x{}", "ä".repeat(99_999));
        let path = Some((Path::new(&long), long.as_bytes()));
        let event = Event {
            occasion: Occasion::Rename,
            user: &long,
            is_anonymous: false,
            address: None,
            tls: None,
            path,
            from: path,
            transfer: None,
            outcome: Outcome::Failed(&long),
        };
        let text = json(&event);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let user = json["user"].as_str().unwrap();
        assert!(user.len() == LONGEST_TEXT - 1 && long.starts_with(user), "{user}");
        assert!(text.len() < 50_000, "{}", text.len());
    }

    #[test]
    fn a_path_that_is_not_utf_8_is_also_there_in_hex() {
        let real = Path::new(OsStr::from_bytes(b"/h/\xff"));
        let event = Event {
            occasion: Occasion::Rename,
            user: "bob",
            is_anonymous: false,
            address: None,
            tls: None,
            path: Some((real, b"/\xff")),
            from: Some((real, b"/b\xfe")),
            transfer: None,
            outcome: Outcome::Done,
        };
        let text = json(&event);
        let wanted = "\"path\":\"/\u{fffd}\",\"path_hex\":\"2fff\",\"real_path\":\"/h/\u{fffd}\",\
                      \"real_path_hex\":\"2f682fff\",\"from\":\"/b\u{fffd}\",\"from_hex\":\"2f62fe\"";
        assert!(text.contains(wanted), "{text}");
    }
}
