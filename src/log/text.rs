//! Events as text, for people.
//!
//! Each login and each transfer has its lines, so they are put together without the formatting of
//! the standard library where that costs several times as much.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::escape::write_escaped;
use super::event::{Account, Part, Value, Who};

/// Writes the line about an event, without the time and the level before it. `None`: the event
/// belongs to no session.
pub(super) fn write_event(out: &mut String, who: Option<Who<'_>>, account: &Account<'_>) {
    if let Some(who) = who {
        write_address(out, who.peer);
        out.push(' ');
    }
    if let Some(user) = who.and_then(|who| who.user) {
        out.push('[');
        write_bytes(out, user.as_bytes());
        out.push_str("] ");
    }
    write_story(out, account);
}

/// Writes the line about an event, without the time, the level, the client and the user.
pub(super) fn write_story(out: &mut String, account: &Account<'_>) {
    for part in &account.parts {
        match part {
            Part::Words(words) => out.push_str(words),
            Part::Shown(value) | Part::Member(_, value) => write_value(out, *value),
            Part::JsonMember(..) => {}
        }
    }
}

fn write_value(out: &mut String, value: Value<'_>) {
    match value {
        Value::Text(text) => write_bytes(out, text.as_bytes()),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::Path(file) => {
            out.push('"');
            write_bytes(out, file.as_os_str().as_encoded_bytes());
            out.push('"');
        }
        Value::Count(count) => write_number(out, count),
        Value::Seconds(took) => write_seconds(out, took),
        Value::Rate(rate) => write_tenths(out, rate),
        Value::Truth(truth) => out.push_str(if truth { "true" } else { "false" }),
    }
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    // writing to a String cannot fail
    let _ = write_escaped(out, bytes);
}

/// Writes an address and its port.
fn write_address(out: &mut String, address: SocketAddr) {
    match address {
        SocketAddr::V4(_) => {
            write_ip(out, address.ip());
            out.push(':');
            write_number(out, address.port().into());
        }
        SocketAddr::V6(_) => {
            let _ = write!(out, "{address}");
        }
    }
}

/// Writes an address.
pub(super) fn write_ip(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            write_number(out, first.into());
            for octet in rest {
                out.push('.');
                write_number(out, octet.into());
            }
        }
        IpAddr::V6(_) => {
            let _ = write!(out, "{address}");
        }
    }
}

/// Writes a number in decimal digits.
pub(super) fn write_number(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Writes a duration in seconds, with three decimals.
fn write_seconds(out: &mut String, took: Duration) {
    let took = took.saturating_add(Duration::from_micros(500));
    write_number(out, took.as_secs());
    out.push('.');
    // the first digit is cut off: it keeps the zeros behind it
    let digits = 1000 + took.subsec_millis();
    out.push_str(itoa::Buffer::new().format(digits).get(1..).unwrap_or_default());
}

/// Writes a number with one decimal.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and one that does not fit is printed as the largest"
)]
fn write_tenths(out: &mut String, number: f64) {
    let tenths = (number * 10.0).round() as u64;
    write_number(out, tenths / 10);
    out.push('.');
    write_number(out, tenths % 10);
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
        let mut line = String::new();
        write_event(&mut line, Some(who), &event.account());
        line
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
        assert_eq!(line(Some("bob"), &Event::Transferred(event)), format!("{told}complete"));
        event.result = Err("no\nspace");
        assert_eq!(
            line(Some("bob"), &Event::Transferred(event)),
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
            (
                Event::Removed(file, Duration::from_secs(90), 7, "keep_files = 2"),
                "\"/a\" removed: 7 bytes, 90 s old, by keep_files = 2",
            ),
            (Event::DataSecured(true), "TLS data connections resume the session"),
        ] {
            assert_eq!(line(None, &event), format!("192.0.2.1:5000 {text}"));
        }
    }

    #[test]
    fn numbers_look_as_the_standard_library_prints_them() {
        let text = |write: &dyn Fn(&mut String)| {
            let mut text = String::new();
            write(&mut text);
            text
        };
        for nanos in [0, 1, 499_999, 500_001, 999_499_999, 999_999_999, 61_001_499_999] {
            let took = Duration::from_nanos(nanos);
            let wanted = format!("{:.3}", took.as_secs_f64());
            assert_eq!(text(&|out| write_seconds(out, took)), wanted);
        }
        for rate in [0.0, 0.04, 0.06, 1.96, 99.99, 123_456.78, 1e12] {
            assert_eq!(text(&|out| write_tenths(out, rate)), format!("{rate:.1}"));
        }
        for peer in ["255.0.10.1:65535", "[2001:db8::9]:21", "[fe80::1%7]:1"] {
            assert_eq!(text(&|out| write_address(out, peer.parse().unwrap())), peer);
        }
    }
}
