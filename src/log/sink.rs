//! Files and streams that lines are written to, and that may be full for a while.
//!
//! No line is torn or glued to another one. Lines that a full disk or a stalled reader does not
//! accept are queued, up to a limit, and written when there is room again; if only part of a
//! line was written, the rest follows. Nothing waits for a reader longer than [`PATIENCE`].

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::file::{append_to, descriptor, ends_in_half_a_line};
use crate::rights::{self, Ids};

/// A file or a stream that lines are written to.
#[derive(Debug)]
pub(super) struct Sink {
    /// The key of the settings and its value, for messages: `log_file /var/log/ftpd.log`.
    name: String,
    outlet: Mutex<Outlet>,
}

/// The open file of a sink, and the lines that wait for it.
#[derive(Debug)]
struct Outlet {
    /// The path at which the file is checked for. `None` for a file that was open at the start,
    /// such as standard error, whose path is not checked.
    path: Option<PathBuf>,
    to: File,
    medium: Medium,
    /// When the path of the file was last checked.
    looked: Instant,
    /// Whether the file ends in an incomplete line that cannot be completed.
    torn: bool,
    /// Lines that are still to be written, the oldest first.
    waiting: VecDeque<Vec<u8>>,
    /// Number of bytes in `waiting`.
    size: usize,
    /// If the first waiting line is partly written: the number of written bytes, and the length
    /// of the file after them.
    part: Option<(usize, u64)>,
    /// Number of lines that were dropped because the queue was full.
    lost: u64,
    /// Whether the last attempt to write failed. While it is set, no further failure is
    /// reported, and no line waits for a stalled reader.
    blocked: bool,
    /// Whether the file could not be opened again at its path. While it is set, this is not
    /// reported again.
    missing: bool,
    /// Messages about this sink that are not logged yet.
    complaints: Vec<String>,
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

/// Maximum time that a write waits for a stalled reader.
const PATIENCE: Duration = Duration::from_secs(1);

/// Number of bytes that a pipe accepts at once if it accepts any (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// Maximum number of bytes in the queue of a sink.
const MOST: usize = 256 << 10;

/// All sinks in use. Two logs that go to one file share its sink.
static ALL: Mutex<Vec<Weak<Sink>>> = Mutex::new(Vec::new());

impl Sink {
    /// Opens a file for appending. A file that does not exist is created and belongs to
    /// `owner`.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(super) fn file(key: &str, path: &Path, owner: Option<&Ids>) -> io::Result<Arc<Self>> {
        let to = append_to(path, owner)?;
        let named = descriptor(path).is_none().then_some(path);
        if let Some(path) = named
            && let Some(old) = all().iter().find(|sink| sink.outlet().path.as_deref() == named)
        {
            old.outlet().turn_to(to, path);
            return Ok(Arc::clone(old));
        }
        let mut outlet = Outlet::new(to);
        outlet.path = named.map(Path::to_owned);
        outlet.torn = named.is_some_and(ends_in_half_a_line);
        Ok(Self::enter(format!("{key} {}", path.display()), outlet))
    }

    /// Returns a sink that writes to standard error.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(super) fn stderr() -> io::Result<Arc<Self>> {
        let to = io::stderr().as_fd().try_clone_to_owned().map(File::from)?;
        Ok(Self::enter("standard error".to_owned(), Outlet::new(to)))
    }

    /// Adds a sink to [`ALL`].
    fn enter(name: String, outlet: Outlet) -> Arc<Self> {
        let sink = Arc::new(Self { name, outlet: Mutex::new(outlet) });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|sink| sink.strong_count() > 0);
        all.push(Arc::downgrade(&sink));
        sink
    }

    /// Writes a line now, or queues it if there is no room.
    pub(super) fn write(&self, line: &[u8]) {
        let mut outlet = self.outlet();
        outlet.follow();
        outlet.push(line);
        outlet.flush();
    }

    /// Returns the messages about this sink since the last call.
    pub(super) fn complaints(&self) -> Vec<String> {
        let complaints = std::mem::take(&mut self.outlet().complaints);
        complaints.into_iter().map(|text| format!("{}: {text}", self.name)).collect()
    }

    fn outlet(&self) -> MutexGuard<'_, Outlet> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes queued lines of all sinks as far as there is room, and opens files again that were
/// moved away. Returns the sinks.
pub(super) fn retry() -> Vec<Arc<Sink>> {
    let all = all();
    for sink in &all {
        let mut outlet = sink.outlet();
        outlet.follow();
        outlet.flush();
    }
    all
}

fn all() -> Vec<Arc<Sink>> {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).collect()
}

impl Outlet {
    fn new(to: File) -> Self {
        Self {
            path: None,
            medium: Medium::of(&to),
            to,
            looked: Instant::now(),
            torn: false,
            waiting: VecDeque::new(),
            size: 0,
            part: None,
            lost: 0,
            blocked: false,
            missing: false,
            complaints: Vec::new(),
        }
    }

    /// Adds a line to the queue, or drops it if the queue is full.
    fn push(&mut self, line: &[u8]) {
        // an empty queue accepts a line of any length
        if self.size + line.len() > MOST && !self.waiting.is_empty() {
            self.lost += 1;
            return;
        }
        self.size += line.len();
        self.waiting.push_back(line.to_owned());
    }

    /// Writes queued lines until one cannot be written.
    fn flush(&mut self) {
        while let Some(line) = self.waiting.pop_front() {
            match self.put(&line) {
                Ok(()) => self.size -= line.len(),
                Err(why)
                    if self.medium == Medium::File
                        || why.kind() == io::ErrorKind::WouldBlock =>
                {
                    self.waiting.push_front(line);
                    let was_blocked = std::mem::replace(&mut self.blocked, true);
                    if self.medium == Medium::File && !was_blocked {
                        self.complaints.push(format!(
                            "{why}; lines are kept and written when there is room"
                        ));
                    }
                    return;
                }
                // the reader is gone, so the line is dropped
                Err(_) => {
                    self.size -= line.len();
                    self.part = None;
                }
            }
        }
        self.blocked = false;
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            self.complaints
                .push(format!("{lost} lines were dropped: there was no room for them"));
        }
    }

    /// Writes a line, or the rest of it if part of it is written.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let mut done = 0;
        if let Some((part, length)) = self.part.take() {
            // another program may have appended to the file after the first part
            if self.medium == Medium::Stream || length == self.length() {
                done = part;
            } else {
                self.torn = true;
            }
        }
        if self.torn {
            self.some(b"\n")?;
            self.torn = false;
        }
        while let Some(rest) = line.get(done..).filter(|rest| !rest.is_empty()) {
            match self.some(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => {
                    self.part = (done > 0).then(|| (done, self.length()));
                    return Err(why);
                }
            }
        }
        Ok(())
    }

    /// Writes as many of the bytes as there is room for, and returns their number.
    fn some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.medium == Medium::File {
            return self.to.write(bytes);
        }
        let patience = if self.blocked { Duration::ZERO } else { PATIENCE };
        if !takes(&self.to, patience) {
            self.blocked = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.to.write(bytes.get(..CHUNK).unwrap_or(bytes))
    }

    fn length(&self) -> u64 {
        self.to.metadata().map_or(0, |meta| meta.len())
    }

    /// Opens the file again if its name no longer leads to the open file, because the file or
    /// its directory was moved away.
    fn follow(&mut self) {
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
    fn turn_to(&mut self, to: File, path: &Path) {
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

/// Passes the lines of the log on to a sink. The log writes each line in one call.
pub(super) struct Lines(pub(super) Arc<Sink>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a stream accepts bytes now or within `patience`.
#[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
fn takes(stream: &File, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    let mut fds = [PollFd::new(stream, PollFlags::OUT)];
    // after an error the write that follows fails with its reason
    !matches!(poll(&mut fds, timeout.as_ref()), Ok(0))
}
