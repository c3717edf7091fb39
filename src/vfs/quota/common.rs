//! The count of a tree that several servers change (`shared_storage`), in a file at its top.
//!
//! Each change is made to what the file holds while the file is locked, so that no server allows what
//! another one has used up meanwhile. A change in which nobody else may take part keeps the lock until it
//! is over.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, openat};
use rustix::io::Errno;

use super::count::{Change, Count};
use crate::rights::Ids;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::regular;
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::lock::try_lock;
use crate::vfs::tree::names::QUOTA_FILE;
use crate::vfs::tree::place::as_path;

/// The file of one tree.
#[derive(Debug)]
pub(super) struct Common {
    /// Path of the tree, without links.
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The system user that can write to the tree (`run_as`); `None`: the server's own.
    ids: Option<Arc<Ids>>,
    file: Option<File>,
    /// When it was checked last that the file is still there.
    looked: Option<Instant>,
    /// What the file holds, while it is locked.
    record: Record,
    /// What it held when it was locked.
    before: Record,
    /// Number of changes that keep the lock.
    holders: usize,
    /// Whether a change could not be written.
    is_wrong: bool,
    /// Until then, nobody waits for the lock, because it was not free before.
    fails_until: Option<Instant>,
    /// Whether the log already says that the file cannot be used.
    told: bool,
}

/// What the file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// All that is there.
    pub(super) used: Change,
    /// All that was ever added.
    pub(super) added: Count,
    /// Number of directories and of files in place that were moved.
    pub(super) moves: u64,
    /// Whether the tree was ever counted.
    pub(super) is_counted: bool,
}

/// Keeps other servers from changing the count until it is dropped.
#[derive(Debug)]
pub(super) struct Hold<'c>(&'c Common);

/// Size of the file.
const SIZE: usize = 128;

/// Maximum time that a change waits for the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses between two attempts to get the lock: the first one, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(5));

/// How long nobody waits for a lock that was not free for [`PATIENCE`].
const GIVEN_UP: Duration = Duration::from_secs(1);

/// Time between two checks that the file is still there.
const LOOK: Duration = Duration::from_secs(1);

impl Common {
    pub(super) fn new(path: PathBuf, ids: Option<Arc<Ids>>) -> Self {
        Self { path, state: Mutex::new(State { ids, ..State::default() }) }
    }

    /// Sets the system user that can write to the tree.
    pub(super) fn renew(&self, ids: Option<Arc<Ids>>) {
        self.state().ids = ids;
    }

    /// Does `work` with what the file holds, and writes it back.
    ///
    /// # Errors
    ///
    /// [`FsError::Failed`], if the file cannot be locked, read or written. A change is lost then.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Record) -> T) -> Result<T, FsError> {
        let mut state = self.state();
        self.lock(&mut state)?;
        let done = work(&mut state.record);
        state.unlock()?;
        Ok(done)
    }

    /// Keeps other servers from changing the count.
    pub(super) fn hold(&self) -> Result<Hold<'_>, FsError> {
        let mut state = self.state();
        self.lock(&mut state)?;
        state.holders += 1;
        Ok(Hold(self))
    }

    /// Whether the tree was never counted, or not since a change could not be written.
    pub(super) fn is_uncounted(&self) -> bool {
        let state = self.state();
        state.is_wrong || state.looked.is_some() && !state.record.is_counted
    }

    /// Records that a change could not be written. The tree is counted again.
    pub(super) fn spoil(&self) {
        self.state().is_wrong = true;
    }

    /// Locks the file and reads it, unless a change of this server keeps the lock.
    fn lock(&self, state: &mut State) -> Result<(), FsError> {
        if state.holders > 0 {
            return Ok(());
        }
        let locked = self.try_to_lock(state);
        match &locked {
            Ok(()) => state.told = false,
            Err(why) if !std::mem::replace(&mut state.told, true) => {
                let path = crate::log::path(&self.path);
                log::warn!(
                    "quota: cannot use the count that servers share of {path}: {why}; uploads to it \
                     are refused"
                );
            }
            Err(_) => {}
        }
        locked.map_err(|why| FsError::Failed(io::Error::other(why.to_string())))
    }

    fn try_to_lock(&self, state: &mut State) -> Result<(), FsError> {
        let busy = || FsError::Failed(io::Error::other("another server keeps it locked"));
        let now = Instant::now();
        if state.fails_until.is_some_and(|until| now < until) {
            return Err(busy());
        }
        let (mut pause, longest) = PAUSES;
        loop {
            let is_checked = state.looked.is_some_and(|at| at.elapsed() < LOOK);
            if !is_checked {
                state.check();
            }
            if state.file.is_none() {
                state.file = Some(self.open(state)?);
                state.looked = Some(Instant::now());
            }
            let Some(file) = &state.file else { return Err(busy()) };
            match try_lock(file) {
                Ok(true) => break,
                Ok(false) if now.elapsed() < PATIENCE => {
                    std::thread::sleep(pause);
                    pause = longest.min(pause * 2);
                }
                Ok(false) => {
                    state.fails_until = Some(Instant::now() + GIVEN_UP);
                    return Err(busy());
                }
                Err(why) => {
                    state.file = None;
                    return Err(why);
                }
            }
        }
        state.read().inspect_err(|_| state.file = None)
    }

    fn open(&self, state: &State) -> Result<File, FsError> {
        let (home, path, ids) = (self.path.clone(), VirtualPath::root(), state.ids.clone());
        let folder = Folder { home, path, ids };
        let opened = folder.on_behalf(|| {
            let (dir, _) = folder.open()?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let mode = Mode::from_raw_mode(0o600);
            let file = openat(&dir, as_path(QUOTA_FILE), flags | OFlags::CLOEXEC, mode)?;
            regular(&fstat(&file)?)?;
            Ok::<_, FsError>(File::from(file))
        });
        opened?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.holders -= 1;
        if state.unlock().is_err() {
            state.is_wrong = true;
        }
    }
}

impl State {
    /// Lets go of the file if it was removed: other servers have made another one.
    fn check(&mut self) {
        self.looked = Some(Instant::now());
        let is_there = |file: &File| fstat(file).is_ok_and(|stat| stat.st_nlink > 0);
        self.file.take_if(|file| !is_there(file));
    }

    /// Writes the record back if it has changed, and unlocks the file, unless a change of this server
    /// keeps the lock.
    fn unlock(&mut self) -> Result<(), FsError> {
        if self.holders > 0 {
            return Ok(());
        }
        let Some(file) = &self.file else { return Ok(()) };
        let written = if self.record == self.before {
            Ok(())
        } else {
            file.write_all_at(&self.record.text(), 0)
        };
        // NFS sends what was written before it gives the lock back
        let unlocked = flock(file, FlockOperation::Unlock);
        if written.is_err() || unlocked.is_err() {
            self.file = None;
        }
        Ok(written.and(unlocked.map_err(io::Error::from))?)
    }

    fn read(&mut self) -> Result<(), FsError> {
        let mut bytes = [0; SIZE];
        let Some(file) = &self.file else { return Err(Errno::BADF.into()) };
        let read = file.read_at(&mut bytes, 0)?;
        let record = Record::parse(bytes.get(..read).unwrap_or_default());
        self.record = record.unwrap_or_default();
        self.before = self.record;
        if std::mem::take(&mut self.is_wrong) {
            self.record.is_counted = false;
        }
        Ok(())
    }
}

impl Record {
    /// Returns the content of the file.
    fn text(&self) -> Vec<u8> {
        let (bytes, files) = self.used.parts();
        let Self { added, moves, is_counted, .. } = self;
        let text = format!(
            "ftpd-quota {bytes} {files} {} {} {moves} {} .",
            added.bytes,
            added.files,
            u8::from(*is_counted)
        );
        format!("{text:<width$}\n", width = SIZE - 1).into_bytes()
    }

    /// Reads the content of the file; `None`, if no server has written it.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut words = text.split_ascii_whitespace();
        let mut word = || words.next();
        if word()? != "ftpd-quota" {
            return None;
        }
        let used = Change::from_parts(word()?.parse().ok()?, word()?.parse().ok()?);
        let added = Count { bytes: word()?.parse().ok()?, files: word()?.parse().ok()? };
        let (moves, is_counted) = (word()?.parse().ok()?, word()? == "1");
        (word()? == ".").then_some(Self { used, added, moves, is_counted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_server_has_written_the_other_one_reads() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = [(); 2].map(|()| Common::new(dir.path().to_owned(), None));
        let add = |common: &Common, bytes: i64| {
            common.with(|record| {
                record.used.add(Change::from_parts(bytes, 1));
                record.used.parts()
            })
        };
        assert_eq!(add(&one, 5).unwrap(), (5, 1));
        assert_eq!(add(&two, -7).unwrap(), (-2, 2));
        let hold = one.hold().unwrap();
        assert_eq!(add(&one, 1).unwrap(), (-1, 3));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| add(&two, 1).unwrap());
            assert_eq!(add(&one, 1).unwrap(), (0, 4));
            drop(hold);
            assert_eq!(waits.join().unwrap(), (1, 5));
        });
        // a file that was removed is made again, and then the tree must be counted
        two.with(|record| record.is_counted = true).unwrap();
        rustix::fs::unlink(dir.path().join(as_path(QUOTA_FILE))).unwrap();
        one.state().looked = None;
        assert_eq!(one.with(|record| *record).unwrap(), Record::default());
    }

    #[test]
    fn a_record_is_read_back_whole_or_not_at_all() {
        let record = Record {
            used: Change::from_parts(i64::MAX, i64::MIN),
            added: Count { bytes: u64::MAX, files: u64::MAX },
            moves: 7,
            is_counted: true,
        };
        let text = record.text();
        assert_eq!((text.len(), Record::parse(&text)), (SIZE, Some(record)));
        for cut in 0..text.len() - 2 {
            let whole = Record::parse(&text[..cut]);
            assert!(whole.is_none_or(|whole| whole == record), "{cut}");
        }
    }
}
