//! Files and streams that lines are written to. Two logs that go to one file share its sink, so
//! that no line is torn or glued to another one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::file::{append_to, descriptor, ends_in_half_a_line};
use super::outlet::Outlet;
use crate::rights::Ids;

/// A file or a stream that lines are written to.
#[derive(Debug)]
pub(super) struct Sink {
    /// The key of the settings and its value, for messages: `log_file /var/log/ftpd.log`.
    name: String,
    outlet: Mutex<Outlet>,
}

/// Called when a sink is opened, has lines that it cannot write now, or a message about itself.
static TROUBLE: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Sets what is called, from any thread and often, when there is something to do for
/// [`retry`](super::retry). It must not log anything. Only the first call has an effect.
pub fn on_trouble(call: impl Fn() + Send + Sync + 'static) {
    let _ = TROUBLE.set(Box::new(call));
}

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
        let sink = Self::enter(format!("{key} {}", path.display()), outlet);
        TROUBLE.get().inspect(|call| call());
        Ok(sink)
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

    /// Adds a line, which the next [`Sink::flush`] writes at the latest.
    pub(super) fn add(&self, line: &[u8]) {
        let mut outlet = self.outlet();
        outlet.push(line);
        if outlet.is_due() {
            outlet.flush();
        }
    }

    /// Writes the lines that were added, as far as there is room.
    pub(super) fn flush(&self) {
        let mut outlet = self.outlet();
        outlet.follow();
        outlet.flush();
        if !outlet.waiting.is_empty() || !outlet.complaints.is_empty() {
            drop(outlet);
            TROUBLE.get().inspect(|call| call());
        }
    }

    /// Returns whether lines wait to be written, or the file to be opened again.
    pub(super) fn is_waiting(&self) -> bool {
        let outlet = self.outlet();
        outlet.missing || !outlet.waiting.is_empty()
    }

    /// Writes a line now, or queues it if there is no room.
    pub(super) fn write(&self, line: &[u8]) {
        self.add(line);
        self.flush();
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

/// Returns the directories in which files were opened. For a link, returns the link itself, because
/// what happens to its target is not seen in its directory.
pub fn folders() -> Vec<PathBuf> {
    let folder = |sink: &Arc<Sink>| {
        let path = sink.outlet().path.clone()?;
        if path.is_symlink() { Some(path) } else { path.parent().map(Path::to_owned) }
    };
    all().iter().filter_map(folder).collect()
}

fn all() -> Vec<Arc<Sink>> {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).collect()
}

/// Adds the lines of the log to a sink, which is flushed at the end of a batch. The log adds each
/// line in one call.
pub(super) struct Lines(pub(super) Arc<Sink>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::super::outlet::CHUNK;
    use super::*;

    #[test]
    fn lines_are_written_together_and_in_whole() {
        let (reader, writer) = io::pipe().unwrap();
        let (mut reader, to) = (File::from(OwnedFd::from(reader)), writer);
        let to = File::from(OwnedFd::from(to));
        let sink = Sink::enter("a pipe".to_owned(), Outlet::new(to));
        let mut lines = Lines(Arc::clone(&sink));
        for line in ["one\n", "two\n", &format!("{}\n", "x".repeat(CHUNK - 8)), "four\n"] {
            lines.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(sink.outlet().waiting.len(), CHUNK + 6, "nothing is written yet");
        sink.flush();
        let mut bytes = [0; 2 * CHUNK];
        let length = reader.read(&mut bytes).unwrap();
        assert_eq!(length, CHUNK + 6);
        assert!(bytes[..length].ends_with(b"x\nfour\n"));
    }
}
