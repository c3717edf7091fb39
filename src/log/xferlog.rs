//! The transfer log: one line for each transfer, in the xferlog form of wu-ftpd, which many log
//! analysers read.

use std::time::Duration;

use time::OffsetDateTime;

use super::clock::{self, clock};
use super::entry::Line;
use super::escape::Escaped;
use super::sink::Sink;

/// Passes the line of a transfer that ended at this time, since 1970, on to a transfer log.
pub(super) fn write(line: &Line<'_>, at: Duration, to: &Sink) {
    clock::turn_to(at);
    to.add(xferlog(clock().now(), line).as_bytes());
}

fn xferlog(at: OffsetDateTime, line: &Line<'_>) -> String {
    let Line { peer, user, anonymous, transfer, .. } = line;
    let seconds = transfer.took.as_secs() + u64::from(transfer.took.subsec_millis() >= 500);
    let kind = if transfer.ascii { 'a' } else { 'b' };
    let way = transfer.way.letter();
    let mode = if *anonymous { 'a' } else { 'r' };
    let done = if transfer.result.is_ok() { 'c' } else { 'i' };
    let name = one_word(transfer.path.as_os_str().as_encoded_bytes());
    let user = one_word(user.as_bytes());
    let (weekday, month) = (at.weekday().to_string(), at.month().to_string());
    let (weekday, month) = (weekday.get(..3).unwrap_or_default(), month.get(..3));
    format!(
        "{weekday} {} {:2} {:02}:{:02}:{:02} {} {seconds} {peer} {} {name} {kind} _ {way} {mode} {user} ftp 0 * {done}\n",
        month.unwrap_or_default(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.year(),
        transfer.bytes,
    )
}

/// Replaces spaces and control characters by `_`, as wu-ftpd does, and escapes the rest.
fn one_word(bytes: &[u8]) -> String {
    let tame = |&byte: &u8| if byte.is_ascii_control() || byte == b' ' { b'_' } else { byte };
    let tamed: Vec<u8> = bytes.iter().map(tame).collect();
    Escaped(&tamed).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::event::Transfer;
    use super::super::way::Way;
    use super::*;

    #[test]
    fn an_xferlog_line_has_fourteen_words_behind_its_date() {
        let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let transfer = Transfer {
            verb: "STOR",
            way: Way::Up,
            path: Path::new("/home/bob/a b\n"),
            bytes: 3072,
            took: Duration::from_millis(1500),
            ascii: false,
            result: Ok(()),
        };
        let peer = [192, 0, 2, 1].into();
        let line = Line { sink: 0, peer, user: "bob", anonymous: false, transfer };
        assert_eq!(
            xferlog(at, &line),
            "Tue Nov 14 22:13:20 2023 2 192.0.2.1 3072 /home/bob/a_b_ b _ i r bob ftp 0 * c\n"
        );
    }
}
