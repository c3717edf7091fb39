//! Asks clamd about a file, over a socket of the same machine or over the network.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::clamd::{self, Answer, Found};
use super::question::{Verdict, line_of};
use crate::config::Scanner;
use crate::dial::{Patience, Peer, Stream};

/// Number of bytes of the file in one piece.
const PIECE: usize = 64 << 10;

/// Asks the scanner about a file.
pub(super) fn scan(
    scanner: &Scanner,
    file: &File,
    until: Instant,
    is_over: &dyn Fn() -> bool,
) -> Verdict {
    let unanswered = |why: &str| Verdict::Unanswered(format!("scan {scanner}: {why}"));
    let patience = Patience::new(until, is_over);
    match ask(scanner, file, &patience) {
        Ok(Found::Nothing) => Verdict::Accepted,
        Ok(Found::Something(name)) => Verdict::Refused(line_of(&name)),
        Ok(Found::Error(text)) => unanswered(&format!("answered: {}", line_of(&text))),
        Err(why) => unanswered(&why.to_string()),
    }
}

fn ask(scanner: &Scanner, file: &File, patience: &Patience<'_>) -> io::Result<Found> {
    let peer = match scanner {
        Scanner::Local(path) => Peer::local(path),
        Scanner::Remote(host, port) => {
            Peer::new((host, *port), false, None).map_err(io::Error::other)?
        }
    };
    let mut stream = peer.connect(patience)?;
    // clamd answers and closes the connection in the middle of a file that is too large
    let sent = send(&mut stream, file);
    let answer = receive(&mut stream);
    match (sent, answer) {
        (Ok(()), answer) => answer,
        (Err(_), Ok(Found::Error(text))) => Ok(Found::Error(text)),
        // an answer about a part of the file does not count
        (Err(why), _) => Err(why),
    }
}

fn send(stream: &mut Stream<'_>, file: &File) -> io::Result<()> {
    stream.write_all(clamd::COMMAND)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        // at an offset: a program may read the same open file
        let read = match file.read_at(&mut piece, at) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let head = clamd::head(read).unwrap_or(clamd::END);
        stream.write_all(&head)?;
        if read == 0 {
            return stream.flush();
        }
        stream.write_all(piece.get(..read).unwrap_or_default())?;
        at += read as u64;
    }
}

fn receive(stream: &mut Stream<'_>) -> io::Result<Found> {
    let (mut answer, mut bytes) = (Answer::default(), [0; 512]);
    loop {
        let read = match stream.read(&mut bytes)? {
            0 => return Err(io::Error::other("closed the connection without an answer")),
            read => read,
        };
        if answer.take(bytes.get(..read).unwrap_or_default())
            && let Some(found) = answer.found()
        {
            return Ok(found);
        }
    }
}
