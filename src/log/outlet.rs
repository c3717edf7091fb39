//! The open file or stream of a sink, which may be full for a while.
//!
//! No line is torn or glued to another one. Lines that a full disk or a stalled reader does not
//! accept are queued, up to a limit, and written when there is room again; if only part of a
//! line was written, the rest follows. A reader is waited for no longer than [`PATIENCE`].

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::file::{append_to, ends_in_half_a_line};
use crate::rights;

/// The open file of a sink, and the lines that wait for it.
#[derive(Debug)]
pub(super) struct Outlet {
    /// The path at which the file is checked for. `None` for a file that was open at the start,
    /// such as standard error, whose path is not checked.
    pub(super) path: Option<PathBuf>,
    to: File,
    medium: Medium,
    /// When the path of the file was last checked.
    looked: Instant,
    /// Whether the file ends in an incomplete line that cannot be completed.
    pub(super) torn: bool,
    /// Lines that are still to be written, the oldest first.
    pub(super) waiting: Vec<u8>,
    /// If the first waiting line is partly written: the number of written bytes, and the length
    /// of the file after them.
    part: Option<(usize, u64)>,
    /// Number of lines that were dropped because the queue was full.
    lost: u64,
    /// Whether the last attempt to write failed. While it is set, no further failure is
    /// reported, and lines that do not fit into the queue are dropped.
    blocked: bool,
    /// How long the reader of a stream is still waited for until it has taken all lines. If it
    /// has taken nothing for that long, it is not waited for until it reads again.
    patience: Duration,
    /// Whether the file could not be opened again at its path. While it is set, this is not
    /// reported again.
    pub(super) missing: bool,
    /// Messages about this sink that are not logged yet.
    pub(super) complaints: Vec<String>,
}

/// Kind of file that lines are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    /// A regular file.
    File,
    /// A pipe, a socket or a terminal, whose reader may stall.
    Stream,
}

impl Medium {
    fn of(file: &File) -> Self {
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        if is_file { Self::File } else { Self::Stream }
    }
}

/// Time between two checks of the path of a file.
const LOOK: Duration = Duration::from_secs(1);

/// Maximum time that a stalled reader is waited for, until it has taken all lines.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Number of bytes that a pipe accepts at once if it accepts any (`PIPE_BUF`).
pub(super) const CHUNK: usize = 4096;

/// Number of bytes that are written without waiting for the end of a batch.
const BATCH: usize = 64 << 10;

/// Maximum number of bytes in the queue of a sink that is full.
const MOST: usize = 256 << 10;

impl Outlet {
    /// Returns an outlet whose path is not checked.
    pub(super) fn new(to: File) -> Self {
        Self {
            path: None,
            medium: Medium::of(&to),
            to,
            looked: Instant::now(),
            torn: false,
            waiting: Vec::new(),
            part: None,
            lost: 0,
            blocked: false,
            patience: PATIENCE,
            missing: false,
            complaints: Vec::new(),
        }
    }

    /// Adds a line to the queue, or drops it if the file is full and the queue as well.
    pub(super) fn push(&mut self, line: &[u8]) {
        // an empty queue accepts a line of any length
        let is_full = self.waiting.len() + line.len() > MOST && !self.waiting.is_empty();
        if self.blocked && is_full {
            self.lost += 1;
            return;
        }
        self.waiting.extend_from_slice(line);
    }

    /// Whether so many lines are queued that they are written without waiting for the end of a
    /// batch.
    pub(super) fn is_due(&self) -> bool {
        self.waiting.len() >= BATCH && !self.blocked
    }

    /// Writes queued lines until one cannot be written.
    pub(super) fn flush(&mut self) {
        // a reader that reads again is waited for again, or else it would get little at a time
        if self.patience.is_zero() && takes(&self.to, Duration::ZERO) {
            self.patience = PATIENCE;
        }
        while !self.waiting.is_empty() {
            match self.put() {
                Ok(()) => {}
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why)
                    if self.medium == Medium::File
                        || matches!(
                            why.kind(),
                            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
                        ) =>
                {
                    let was_blocked = std::mem::replace(&mut self.blocked, true);
                    if self.medium == Medium::File && !was_blocked {
                        self.complaints.push(format!(
                            "{why}; lines are kept and written when there is room"
                        ));
                    }
                    return;
                }
                // the reader is gone, so what it was to get is dropped
                Err(_) => {
                    self.waiting.drain(..self.chunk(0).len());
                    self.part = None;
                }
            }
        }
        self.waiting.shrink_to(BATCH);
        (self.blocked, self.patience) = (false, PATIENCE);
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            self.complaints
                .push(format!("{lost} lines were dropped: there was no room for them"));
        }
    }

    /// Writes as many queued lines as one call accepts, the rest of a line first that is partly
    /// written.
    fn put(&mut self) -> io::Result<()> {
        let mut done = 0;
        if let Some((part, length)) = self.part.take() {
            // another program may have appended to the file after the first part
            if self.medium == Medium::Stream || length == self.length() {
                done = part;
            } else {
                self.torn = true;
            }
        }
        let written = self.end_torn_line().and_then(|()| self.some(done));
        match written {
            Ok(written) => done += written,
            Err(why) => {
                self.part = (done > 0).then(|| (done, self.length()));
                return Err(why);
            }
        }
        if done == self.waiting.len() {
            self.waiting.clear();
            return Ok(());
        }
        let whole = whole_lines(self.waiting.get(..done).unwrap_or_default());
        self.waiting.drain(..whole);
        self.part = (done > whole).then(|| (done - whole, self.length()));
        Ok(())
    }

    /// Ends an incomplete line at the end of the file.
    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.torn {
            self.wait_for_reader()?;
            self.to.write_all(b"\n")?;
            self.torn = false;
        }
        Ok(())
    }

    /// Writes queued bytes, of which `done` are written already. Returns how many were written.
    fn some(&mut self, done: usize) -> io::Result<usize> {
        self.wait_for_reader()?;
        match (&self.to).write(self.chunk(done)) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            written => written,
        }
    }

    /// Returns the queued bytes from `done` on that are written in one call: for a stream, as
    /// many lines as it accepts at once, or else a part of a line.
    fn chunk(&self, done: usize) -> &[u8] {
        let rest = self.waiting.get(done..).unwrap_or_default();
        if self.medium == Medium::File {
            return rest;
        }
        let most = rest.get(..CHUNK).unwrap_or(rest);
        match whole_lines(most) {
            0 => most,
            whole => most.get(..whole).unwrap_or(most),
        }
    }

    /// Waits until a stream accepts bytes, but no longer than its patience.
    fn wait_for_reader(&mut self) -> io::Result<()> {
        if self.medium == Medium::File || takes(&self.to, Duration::ZERO) {
            return Ok(());
        }
        let began = Instant::now();
        let has_room = !self.patience.is_zero() && takes(&self.to, self.patience);
        self.patience = self.patience.saturating_sub(began.elapsed());
        if has_room { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn length(&self) -> u64 {
        self.to.metadata().map_or(0, |meta| meta.len())
    }

    /// Opens the file again if its name no longer leads to the open file, because the file or
    /// its directory was moved away.
    pub(super) fn follow(&mut self) {
        let Some(path) = self.path.clone().filter(|_| self.looked.elapsed() >= LOOK) else {
            return;
        };
        self.looked = Instant::now();
        let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let there = std::fs::metadata(&path).map(id).ok();
        if there == self.to.metadata().map(id).ok() {
            self.missing = false;
            return;
        }
        match rights::as_server(|| append_to(&path, None)).and_then(|opened| opened) {
            Ok(to) => self.turn_to(to, &path),
            Err(why) => {
                if !std::mem::replace(&mut self.missing, true) {
                    self.complaints.push(format!(
                        "was moved away and cannot be opened again: {why}; lines are still \
                         written to the old file"
                    ));
                }
            }
        }
    }

    /// Writes to this file from now on.
    pub(super) fn turn_to(&mut self, to: File, path: &Path) {
        let id = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
        if id(&to) != id(&self.to) {
            self.part = None;
            self.torn = ends_in_half_a_line(path);
        }
        self.medium = Medium::of(&to);
        self.to = to;
        self.missing = false;
    }
}

/// Returns the number of bytes of the whole lines at the beginning of a text.
fn whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

/// Whether a stream or socket accepts bytes now or within `patience`.
#[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
pub(super) fn takes(stream: impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    let mut fds = [PollFd::new(&stream, PollFlags::OUT)];
    // after an error the write that follows fails with its reason
    !matches!(poll(&mut fds, timeout.as_ref()), Ok(0))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_chunk_for_a_stream_ends_at_the_end_of_a_line() {
        let (_reader, to) = io::pipe().unwrap();
        let mut outlet = Outlet::new(File::from(OwnedFd::from(to)));
        outlet.push(b"one\ntwo\n");
        assert_eq!(outlet.chunk(0), b"one\ntwo\n");
        outlet.push("x".repeat(CHUNK).as_bytes());
        assert_eq!(outlet.chunk(0), b"one\ntwo\n");
        assert_eq!(outlet.chunk(8).len(), CHUNK, "a longer line is written in parts");
    }
}
