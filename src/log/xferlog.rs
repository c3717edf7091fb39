//! The transfer log: one line for each transfer, in the xferlog form of wu-ftpd, which many log
//! analysers read.

use super::clock::clock;
use super::entry::Line;
use super::escape::write_escaped;
use super::sink::Sink;
use super::text::{write_ip, write_number};

/// Passes the line of a transfer that ended at the time of the clock on to a transfer log.
/// `text` is used as a buffer.
pub(super) fn write(line: &Line<'_>, to: &Sink, text: &mut String) {
    text.clear();
    text.push_str(clock().date());
    write_line(text, line);
    to.add(text.as_bytes());
}

/// Writes a line of the transfer log, without the date before it.
fn write_line(out: &mut String, line: &Line<'_>) {
    let Line { peer, user, anonymous, transfer, .. } = line;
    let seconds = transfer.took.as_secs() + u64::from(transfer.took.subsec_millis() >= 500);
    out.push(' ');
    write_number(out, seconds);
    out.push(' ');
    write_ip(out, *peer);
    out.push(' ');
    write_number(out, transfer.bytes);
    out.push(' ');
    write_word(out, transfer.path.as_os_str().as_encoded_bytes());
    out.push_str(if transfer.ascii { " a _ " } else { " b _ " });
    out.push(transfer.way.letter());
    out.push_str(if *anonymous { " a " } else { " r " });
    write_word(out, user.as_bytes());
    out.push_str(if transfer.result.is_ok() { " ftp 0 * c\n" } else { " ftp 0 * i\n" });
}

/// Writes a name as one word: replaces spaces and control characters by `_`, as wu-ftpd does,
/// and escapes the rest.
fn write_word(out: &mut String, bytes: &[u8]) {
    let tame = |&byte: &u8| if byte.is_ascii_control() || byte == b' ' { b'_' } else { byte };
    let tamed: Vec<u8> = bytes.iter().map(tame).collect();
    // writing to a String cannot fail
    let _ = write_escaped(out, &tamed);
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::super::event::Transfer;
    use super::super::stamp::Date;
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
        let mut text = Date(at).to_string();
        write_line(&mut text, &line);
        assert_eq!(
            text,
            "Tue Nov 14 22:13:20 2023 2 192.0.2.1 3072 /home/bob/a_b_ b _ i r bob ftp 0 * c\n"
        );
    }
}
