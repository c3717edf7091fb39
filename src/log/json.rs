//! A line of the log as an object of JSON: the same as the text says, in members that a program
//! can pick out.

use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;
use std::time::Duration;

use super::{Event, Transfer, Who, is_odd};

/// Members of an object, one behind the other.
pub(super) struct Members<'a, 'f> {
    out: &'a mut Formatter<'f>,
    first: bool,
}

impl<'a, 'f> Members<'a, 'f> {
    pub(super) fn new(out: &'a mut Formatter<'f>) -> Self {
        Self { out, first: true }
    }

    /// A number or a word of JSON.
    fn plain(&mut self, key: &str, value: impl Display) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.out.write_char(',')?;
        }
        write!(self.out, "\"{key}\":{value}")
    }

    fn text(&mut self, key: &str, text: &str) -> fmt::Result {
        self.plain(key, Quoted(text))
    }

    /// Bytes that need not be UTF-8. What they are to the last bit is then in a member of its
    /// own, as hexadecimal digits.
    fn bytes(&mut self, key: &str, bytes: &[u8]) -> fmt::Result {
        self.text(key, &String::from_utf8_lossy(bytes))?;
        if std::str::from_utf8(bytes).is_ok() {
            return Ok(());
        }
        let mut digits = String::with_capacity(2 * bytes.len());
        bytes.iter().try_for_each(|byte| write!(digits, "{byte:02x}"))?;
        self.text(&format!("{key}_hex"), &digits)
    }

    fn path(&mut self, path: &Path) -> fmt::Result {
        self.bytes("path", path.as_os_str().as_encoded_bytes())
    }

    fn seconds(&mut self, took: Duration) -> fmt::Result {
        self.plain("seconds", format_args!("{:.3}", took.as_secs_f64()))
    }

    /// All of an event.
    pub(super) fn event(mut self, who: Who<'_>, event: &Event<'_>) -> fmt::Result {
        self.text("event", name(event))?;
        self.text("peer", &who.peer.ip().to_string())?;
        self.plain("port", who.peer.port())?;
        if let Some(user) = who.user {
            self.text("user", user)?;
        }
        match event {
            Event::Connected => Ok(()),
            Event::TurnedAway(why) => self.text("why", why),
            Event::Secured(how, subject) => {
                self.text("tls", how)?;
                subject.map_or(Ok(()), |subject| self.text("certificate", subject))
            }
            Event::DataSecured(resumed) => self.plain("resumed", resumed),
            Event::ResumptionStopped => self.plain("resumed", false),
            Event::LoggedIn(home) => self.path(home),
            Event::LoginFailed(name, why) => {
                self.bytes("name", name)?;
                self.text("why", why)
            }
            Event::Refused(command, path, why) => {
                self.text("command", command)?;
                path.map_or(Ok(()), |path| self.path(path))?;
                self.text("why", why)
            }
            Event::Transferred(transfer) => self.transfer(transfer),
            Event::Changed(command, path) => {
                self.text("command", command)?;
                self.path(path)
            }
            Event::Renamed(from, to) => {
                self.text("command", "RNTO")?;
                self.bytes("from", from.as_os_str().as_encoded_bytes())?;
                self.path(to)
            }
            Event::InPlace(path, why) => {
                self.path(path)?;
                self.text("why", why)
            }
            Event::Banned(address, seconds, failures, last) => {
                self.text("address", address)?;
                seconds.map_or(Ok(()), |seconds| self.plain("seconds", seconds))?;
                self.plain("failures", failures)?;
                self.text("why", last)
            }
            Event::Note(text) => self.text("text", text),
            Event::Ended(why, took) => {
                self.text("why", why)?;
                self.seconds(*took)
            }
        }
    }

    fn transfer(&mut self, transfer: &Transfer<'_>) -> fmt::Result {
        self.text("command", transfer.verb)?;
        self.path(transfer.path)?;
        self.plain("bytes", transfer.bytes)?;
        self.seconds(transfer.took)?;
        self.text("type", if transfer.ascii { "ascii" } else { "binary" })?;
        match transfer.result {
            Ok(()) => self.text("result", "complete"),
            Err(why) => {
                self.text("result", "failed")?;
                self.text("why", why)
            }
        }
    }
}

fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::Connected => "connected",
        Event::TurnedAway(_) => "turned_away",
        Event::Secured(..) => "secured",
        Event::DataSecured(_) => "data_secured",
        Event::ResumptionStopped => "resumption_stopped",
        Event::LoggedIn(_) => "logged_in",
        Event::LoginFailed(..) => "login_failed",
        Event::Refused(..) => "refused",
        Event::Transferred(_) => "transfer",
        Event::Changed(..) => "changed",
        Event::Renamed(..) => "renamed",
        Event::InPlace(..) => "in_place",
        Event::Banned(..) => "banned",
        Event::Note(_) => "note",
        Event::Ended(..) => "ended",
    }
}

/// Escapes what [`super::is_odd`] says of a JSON text. Such letters stand in its strings alone.
pub(super) fn tame(text: &str) -> String {
    let mut tame = String::with_capacity(text.len());
    for letter in text.chars() {
        // a String takes whatever is written to it
        let _ =
            if is_odd(letter) { escape(letter, &mut tame) } else { tame.write_char(letter) };
    }
    tame
}

/// Writes a letter by its number; beyond U+FFFF JSON knows two halves only.
fn escape(letter: char, out: &mut impl Write) -> fmt::Result {
    letter.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
}

/// A string of JSON. More is escaped than must be: see [`super::is_odd`].
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                _ if is_odd(letter) => escape(letter, f)?,
                _ => f.write_char(letter)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Way;
    use super::*;

    struct All<'a>(&'a Event<'a>);

    impl Display for All<'_> {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            let who = Who { peer: ([192, 0, 2, 1], 5000).into(), user: Some("b\"ob") };
            Members::new(f).event(who, self.0)
        }
    }

    fn read(event: &Event<'_>) -> Value {
        let line = format!("{{{}}}", All(event));
        assert!(!line.contains(is_odd), "{line}");
        serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line}"))
    }

    #[test]
    fn every_event_is_an_object_that_can_be_read_back() {
        let path =
            Path::new("/home/a \"b\"\n\u{1b}[2J\u{2028}\u{9b}\u{202e}\u{e0041}\u{feff}/ü");
        let took = Duration::from_millis(1500);
        let ok = Transfer {
            verb: "STOR",
            way: Way::Up,
            path,
            bytes: 7,
            took,
            ascii: true,
            result: Ok(()),
        };
        for event in [
            Event::Connected,
            Event::TurnedAway("full"),
            Event::Secured("TLS", Some("CN=\"x\"")),
            Event::DataSecured(true),
            Event::ResumptionStopped,
            Event::LoggedIn(path),
            Event::LoginFailed(b"x\r\ny", "wrong"),
            Event::Refused("RETR", Some(path), "no"),
            Event::Transferred(&ok),
            Event::Changed("DELE", path),
            Event::Renamed(path, path),
            Event::InPlace(path, "links"),
            Event::Banned("192.0.2.1", Some(60), 3, "a failed login"),
            Event::Note("text"),
            Event::Ended("QUIT", took),
        ] {
            let value = read(&event);
            assert_eq!((&value["peer"], &value["port"]), (&"192.0.2.1".into(), &5000.into()));
            assert_eq!(value["user"], "b\"ob");
            if let Some(read) = value.get("path") {
                assert_eq!(read, path.to_str().unwrap());
            }
        }
        let value = read(&Event::Transferred(&ok));
        assert_eq!((value["bytes"].as_u64(), value["seconds"].as_f64()), (Some(7), Some(1.5)));
        assert_eq!(value["result"], "complete");
    }

    #[test]
    fn a_tame_text_reads_as_before_and_has_nothing_that_a_terminal_obeys() {
        let odd = "\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200e}\u{202a}\u{202e}\u{2028}\u{2066}\u{feff}\u{e0001}";
        let value = serde_json::json!({ format!("a{odd}"): [odd, "ü\"\\\n", 1.5, null] });
        let text = tame(&value.to_string());
        assert!(!text.contains(is_odd) && text.contains("\\udb40\\udc01"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_kept_in_hex() {
        let value = read(&Event::LoginFailed(b"a\xff", "wrong"));
        assert_eq!((&value["name"], &value["name_hex"]), (&"a\u{fffd}".into(), &"61ff".into()));
    }
}
