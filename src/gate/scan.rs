//! Asks clamd about a file, over a socket of the same machine or over the network.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::clamd::{self, Answer, Found};
use super::question::{Kept, Verdict, line_of};
use crate::config::Scanner;
use crate::dial::{Patience, Peer, Stream};

/// Number of bytes of the file in one piece.
const PIECE: usize = 64 << 10;

/// How often it is checked whether the answer is still wanted.
const LOOK: Duration = Duration::from_millis(100);

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
        Ok(Found::Something(name)) => Verdict::Refused(line_of(&name), Kept::No),
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
    let mut talk =
        Talk { stream: peer.connect(patience)?, patience, answer: Answer::default() };
    let sent = talk.send(file);
    let why = match sent {
        Ok(true) => return talk.receive(),
        Ok(false) => io::Error::other("answered before it had the whole file"),
        Err(why) => why,
    };
    // clamd answers and closes the connection in the middle of a file that is too large, and a virus in
    // a part of a file is one in the file; that nothing was found in a part says nothing
    match talk.receive() {
        Ok(Found::Nothing) | Err(_) => Err(why),
        Ok(found) => Ok(found),
    }
}

/// A connection to a scanner.
struct Talk<'a> {
    stream: Stream<'a>,
    patience: &'a Patience<'a>,
    /// What it has answered until now.
    answer: Answer,
}

impl Talk<'_> {
    /// Sends a file. Returns whether it was sent to its end: not if the scanner has answered before.
    fn send(&mut self, file: &File) -> io::Result<bool> {
        self.stream.write_all(clamd::COMMAND)?;
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        loop {
            // at an offset: a program may read the same open file
            let read = match file.read_at(&mut piece, at) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let head = clamd::head(read).unwrap_or(clamd::END);
            if !self.pass(&head)? {
                return Ok(false);
            }
            if read == 0 {
                return self.stream.flush().map(|()| true);
            }
            if !self.pass(piece.get(..read).unwrap_or_default())? {
                return Ok(false);
            }
            at += read as u64;
        }
    }

    /// Sends bytes. Returns whether they were sent: not if the scanner has answered before.
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        while !bytes.is_empty() {
            let (has_answered, takes) = self.wait()?;
            if has_answered && self.hear()? {
                return Ok(false);
            }
            if takes {
                let written = self.stream.write(bytes)?;
                bytes = bytes.get(written..).unwrap_or_default();
            }
        }
        Ok(true)
    }

    /// Waits until the scanner answers, or takes more. Returns which of both it does.
    #[expect(clippy::disallowed_methods, reason = "no TLS, and not the client's connection")]
    fn wait(&self) -> io::Result<(bool, bool)> {
        loop {
            let left = self.patience.left().ok_or(io::ErrorKind::TimedOut)?;
            let time = Timespec::try_from(left.min(LOOK)).unwrap_or_default();
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN | PollFlags::OUT)];
            match poll(&mut fds, Some(&time)) {
                Ok(0) | Err(Errno::INTR) => {}
                done => {
                    done?;
                    let [found] = fds.each_ref().map(PollFd::revents);
                    let ends = PollFlags::ERR | PollFlags::HUP;
                    let hears = found.intersects(PollFlags::IN | ends);
                    return Ok((hears, found.contains(PollFlags::OUT)));
                }
            }
        }
    }

    /// Reads what has arrived of the answer. Returns whether that is all of it.
    fn hear(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 512];
        match self.stream.read(&mut bytes)? {
            0 => Err(io::Error::other("closed the connection without an answer")),
            read => Ok(self.answer.take(bytes.get(..read).unwrap_or_default())),
        }
    }

    fn receive(&mut self) -> io::Result<Found> {
        loop {
            if let Some(found) = self.answer.found() {
                return Ok(found);
            }
            self.hear()?;
        }
    }
}
