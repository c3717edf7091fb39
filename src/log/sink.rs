//! Where lines go: files and streams that may be full for a while.
//!
//! A line is written whole, in a line of its own. What a full disk or a reader that has stalled does
//! not take waits here, up to a bound, and is written when there is room again; a file that ends in
//! half a line gets the rest of it. Nobody waits for a reader longer than [`PATIENCE`].

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

/// A file or a stream that gets lines.
#[derive(Debug)]
pub(super) struct Sink {
    /// The key of the settings and its value, for messages.
    name: String,
    outlet: Mutex<Outlet>,
}

#[derive(Debug)]
struct Outlet {
    /// Nothing for what was open already, which has no name that could be another file's.
    path: Option<PathBuf>,
    to: File,
    medium: Medium,
    looked: Instant,
    /// The file ends in half a line of somebody else's.
    torn: bool,
    /// Lines that are to be written, the oldest first.
    waiting: VecDeque<Vec<u8>>,
    /// Number of bytes of them.
    size: usize,
    /// How much of the first one is written, and the length of the file then.
    part: Option<(usize, u64)>,
    /// Number of lines for which there was no room.
    lost: u64,
    /// Lines wait: the log has been told that a file takes none, and nobody waits for a reader.
    blocked: bool,
    /// The file is not to be found under its name, of which the log has been told.
    missing: bool,
    /// What the log should be told.
    complaints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    /// A regular file.
    File,
    /// Anything else, with a reader that may stall.
    Stream,
}

impl Medium {
    fn of(file: &File) -> Self {
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        if is_file { Self::File } else { Self::Stream }
    }
}

/// How often a file is looked for under its name.
const LOOK: Duration = Duration::from_secs(1);

/// How long a line waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that a pipe or a socket takes at once if it takes any (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// Maximum number of bytes that wait.
const MOST: usize = 256 << 10;

/// Each sink that is in use, so that two users of one file share it.
static ALL: Mutex<Vec<Weak<Sink>>> = Mutex::new(Vec::new());

impl Sink {
    /// Opens a file for appending; if it is made, then for that user.
    ///
    /// # Errors
    ///
    /// The system's.
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

    /// Standard error.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn stderr() -> io::Result<Arc<Self>> {
        let to = io::stderr().as_fd().try_clone_to_owned().map(File::from)?;
        Ok(Self::enter("standard error".to_owned(), Outlet::new(to)))
    }

    fn enter(name: String, outlet: Outlet) -> Arc<Self> {
        let sink = Arc::new(Self { name, outlet: Mutex::new(outlet) });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|sink| sink.strong_count() > 0);
        all.push(Arc::downgrade(&sink));
        sink
    }

    /// Writes a line, now or when there is room.
    pub(super) fn write(&self, line: &[u8]) {
        let mut outlet = self.outlet();
        outlet.follow();
        outlet.push(line);
        outlet.flush();
    }

    /// What the log should be told since the last time.
    pub(super) fn complaints(&self) -> Vec<String> {
        let complaints = std::mem::take(&mut self.outlet().complaints);
        complaints.into_iter().map(|text| format!("{}: {text}", self.name)).collect()
    }

    fn outlet(&self) -> MutexGuard<'_, Outlet> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what waits, as far as there is room, and looks for files that were moved away.
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

    fn push(&mut self, line: &[u8]) {
        // one line may always wait
        if self.size + line.len() > MOST && !self.waiting.is_empty() {
            self.lost += 1;
            return;
        }
        self.size += line.len();
        self.waiting.push_back(line.to_owned());
    }

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
                        self.complaints.push(format!("{why}; lines wait until there is room"));
                    }
                    return;
                }
                // the reader has gone
                Err(_) => {
                    self.size -= line.len();
                    self.part = None;
                }
            }
        }
        self.blocked = false;
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            self.complaints.push(format!("{lost} lines are lost, for which there was no room"));
        }
    }

    /// Writes a line, or what is left of it.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let mut done = 0;
        if let Some((part, length)) = self.part.take() {
            // somebody else may have written behind the half line
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

    /// Opens the file again when somebody has moved it away, or its folder.
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
                        "was moved away and cannot be opened again: {why}; lines go on into the \
                         old file"
                    ));
                }
            }
        }
    }

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

/// Takes lines for a sink from the writer of the log, which writes each line in one piece.
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

/// Whether a stream takes something now or soon.
#[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
fn takes(stream: &File, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    let mut fds = [PollFd::new(stream, PollFlags::OUT)];
    // an error is for the write to meet
    !matches!(poll(&mut fds, timeout.as_ref()), Ok(0))
}
