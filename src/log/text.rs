//! Events as text, for people.

use std::fmt::{self, Display, Formatter};

use super::escape::{Escaped, path};
use super::event::{Account, Part, Value, Who};

/// A line about an event, without the time and the level before it.
pub(super) struct TextLine<'a>(pub(super) Who<'a>, pub(super) &'a Account<'a>);

/// A line about an event, without the time, the level, the client and the user.
pub(super) struct Story<'a>(pub(super) &'a Account<'a>);

impl Display for TextLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(who, account) = self;
        write!(f, "{} ", who.peer)?;
        if let Some(user) = who.user {
            write!(f, "[{}] ", Escaped(user.as_bytes()))?;
        }
        Story(account).fmt(f)
    }
}

impl Display for Story<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.parts.iter().try_for_each(|part| match part {
            Part::Words(words) => f.write_str(words),
            Part::Member(_, value) => write_value(f, *value),
            Part::JsonMember(..) => Ok(()),
        })
    }
}

fn write_value(f: &mut Formatter<'_>, value: Value<'_>) -> fmt::Result {
    match value {
        Value::Text(text) => Escaped(text.as_bytes()).fmt(f),
        Value::Bytes(bytes) => Escaped(bytes).fmt(f),
        Value::Path(file) => path(file).fmt(f),
        Value::Count(count) => count.fmt(f),
        Value::Seconds(took) => write!(f, "{:.3}", took.as_secs_f64()),
        Value::Truth(truth) => truth.fmt(f),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::event::{Event, Transfer};
    use super::super::way::Way;
    use super::*;

    fn line(user: Option<&str>, event: &Event<'_>) -> String {
        let who = Who { peer: ([192, 0, 2, 1], 5000).into(), user };
        TextLine(who, &event.account()).to_string()
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let name =
            Event::LoginFailed(b"x\r\n2026 root logged in \x1b[2J\xff", "wrong password");
        assert_eq!(
            line(None, &name),
            "192.0.2.1:5000 login failed for 'x\\x0d\\x0a2026 root logged in \\x1b[2J\\xff': \
             wrong password"
        );
    }

    #[test]
    fn a_transfer_line_says_path_bytes_seconds_rate_and_result() {
        let mut event = Transfer {
            verb: "STOR",
            way: Way::Up,
            path: Path::new("/home/bob/a b"),
            bytes: 3072,
            took: Duration::from_millis(1500),
            ascii: false,
            result: Ok(()),
        };
        let told = "192.0.2.1:5000 [bob] STOR \"/home/bob/a b\": 3072 bytes in 1.500 s, \
                    2.0 KiB/s, ";
        assert_eq!(line(Some("bob"), &Event::Transferred(&event)), format!("{told}complete"));
        event.result = Err("no\nspace");
        assert_eq!(
            line(Some("bob"), &Event::Transferred(&event)),
            format!("{told}failed: no\\x0aspace")
        );
    }

    #[test]
    fn events_with_and_without_their_options_read_as_sentences() {
        let file = Path::new("/a");
        for (event, text) in [
            (Event::Secured("TLS 1.3", None), "TLS 1.3"),
            (Event::Secured("TLS 1.3", Some("CN")), "TLS 1.3, certificate of 'CN'"),
            (Event::Refused("PWD", None, "why"), "PWD refused: why"),
            (Event::Refused("DELE", Some(file), "why"), "DELE \"/a\" refused: why"),
            (Event::Renamed(file, file), "RNTO \"/a\" -> \"/a\""),
            (
                Event::Banned("192.0.2.1", Some(60), 3, "a failed login"),
                "banned: 192.0.2.1 for 60 s, 3 failures, the last one a failed login",
            ),
            (
                Event::Banned("192.0.2.1", None, 3, "a failed login"),
                "banned: 192.0.2.1, 3 failures, the last one a failed login",
            ),
            (Event::Ended("QUIT", Duration::from_millis(2700)), "ended after 2 s: QUIT"),
            (Event::DataSecured(true), "TLS data connections resume the session"),
        ] {
            assert_eq!(line(None, &event), format!("192.0.2.1:5000 {text}"));
        }
    }
}
