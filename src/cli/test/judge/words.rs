//! Words for what went wrong, and for numbers.

use std::time::Duration;

use super::super::facts::{Answer, Trouble, World};
use super::super::reply::Reply;
use crate::log::escaped;

/// Maximum number of bytes of a reply that are shown.
const SHOWN: usize = 160;

/// Returns a reply, escaped.
pub(super) fn reply(reply: &Reply) -> String {
    let text = reply.text();
    let text = text.get(..SHOWN).unwrap_or(text);
    format!("{} {}", reply.code, escaped(text)).trim_end().to_owned()
}

/// Returns a reply, or why there is none.
pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Ok(found) => reply(found),
        Err(why) => trouble(why),
    }
}

/// Says why something did not come to its end.
pub(super) fn trouble(why: &Trouble) -> String {
    match why {
        Trouble::Refused => "the connection was refused".to_owned(),
        Trouble::Silent => "no answer within the time".to_owned(),
        Trouble::Closed => "the server closed the connection".to_owned(),
        Trouble::Reset => "the connection was reset".to_owned(),
        Trouble::Cut => "the connection ended without the end of TLS".to_owned(),
        Trouble::Tls(words) => format!("TLS failed: {}", escaped(words.as_bytes())),
        Trouble::Foreign(bytes) => {
            format!("the server sent no FTP reply but '{}'", escaped(bytes))
        }
        Trouble::TooLong => "the server sent more than fits".to_owned(),
        Trouble::Untried => "it was not tried".to_owned(),
        Trouble::Interrupted => "interrupted".to_owned(),
        Trouble::Unreachable(words) | Trouble::Other(words) => words.clone(),
    }
}

/// Returns the URL of the same server with another scheme.
pub(super) fn url(scheme: &str, port: Option<u16>, world: &World) -> String {
    let host = escaped(world.host.as_bytes()).to_string();
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}/")
}

/// Returns a time in milliseconds or seconds.
pub(super) fn millis(time: Duration) -> String {
    let micros = time.as_micros();
    if micros < 100 {
        return "less than 0.1 ms".to_owned();
    }
    if micros < 10_000 {
        return format!("{}.{} ms", micros / 1000, micros / 100 % 10);
    }
    if micros < 10_000_000 {
        return format!("{} ms", micros / 1000);
    }
    format!("{} s", micros / 1_000_000)
}
