//! Events as JSON, for programs: the members of an object.

use std::fmt::{self, Display, Formatter, Write};

use super::escape::JsonString;
use super::event::{Account, Part, Value, Who};

/// The members of a line about an event, without the braces around them. Without the first field,
/// the event belongs to no session.
pub(super) struct Members<'a>(pub(super) Option<Who<'a>>, pub(super) &'a Account<'a>);

impl Display for Members<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(who, account) = self;
        write!(f, "\"event\":\"{}\"", account.name)?;
        if let Some(who) = who {
            write_member(f, "peer", Value::Text(&who.peer.ip().to_string()))?;
            write_member(f, "port", Value::Count(who.peer.port().into()))?;
        }
        if let Some(user) = who.and_then(|who| who.user) {
            write_member(f, "user", Value::Text(user))?;
        }
        account.parts.iter().try_for_each(|part| match part {
            Part::Words(_) | Part::Shown(_) => Ok(()),
            Part::Member(key, value) | Part::JsonMember(key, value) => {
                write_member(f, key, *value)
            }
        })
    }
}

fn write_member(f: &mut Formatter<'_>, key: &str, value: Value<'_>) -> fmt::Result {
    match value {
        Value::Text(text) => write!(f, ",\"{key}\":{}", JsonString(text)),
        Value::Bytes(bytes) => write_bytes(f, key, bytes),
        Value::Path(path) => write_bytes(f, key, path.as_os_str().as_encoded_bytes()),
        Value::Count(count) => write!(f, ",\"{key}\":{count}"),
        Value::Seconds(took) => write!(f, ",\"{key}\":{:.3}", took.as_secs_f64()),
        Value::Rate(rate) => write!(f, ",\"{key}\":{rate:.1}"),
        Value::Truth(truth) => write!(f, ",\"{key}\":{truth}"),
    }
}

/// Writes a member for bytes that may not be UTF-8, as text. If they are not UTF-8, adds a
/// second member, whose name ends in `_hex`, with the bytes as hexadecimal digits.
fn write_bytes(f: &mut Formatter<'_>, key: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, ",\"{key}\":{}", JsonString(&String::from_utf8_lossy(bytes)))?;
    if std::str::from_utf8(bytes).is_ok() {
        return Ok(());
    }
    write!(f, ",\"{key}_hex\":\"")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::event::{Event, Transfer, one_of_each};
    use super::super::way::Way;
    use super::*;

    fn read(event: &Event<'_>) -> serde_json::Value {
        let who = Who { peer: ([192, 0, 2, 1], 5000).into(), user: Some("b\"ob") };
        let line = format!("{{{}}}", Members(Some(who), &event.account()));
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
        for event in one_of_each(path, ok) {
            let value = read(&event);
            assert_eq!((&value["peer"], &value["port"]), (&"192.0.2.1".into(), &5000.into()));
            assert_eq!(value["user"], "b\"ob");
            if let Some(read) = value.get("path") {
                assert_eq!(read, path.to_str().unwrap());
            }
        }
        let value = read(&Event::Transferred(ok));
        assert_eq!((value["bytes"].as_u64(), value["seconds"].as_f64()), (Some(7), Some(1.5)));
        assert_eq!(value["result"], "complete");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_kept_in_hex() {
        let value = read(&Event::LoginFailed(b"a\xff", "wrong"));
        assert_eq!((&value["name"], &value["name_hex"]), (&"a\u{fffd}".into(), &"61ff".into()));
    }
}
