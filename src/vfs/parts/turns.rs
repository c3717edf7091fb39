//! The turns that uploads take: only one at a time changes a file in place or gets a new name.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::numbers::Numbers;
use super::pins::Pins;
use crate::vfs::error::{FsError, Heed};
use crate::vfs::tree::entry::FileId;

/// The turns and the new names that uploads have, shared by all sessions of a server.
#[derive(Debug, Default)]
pub struct Turns {
    taken: Mutex<Taken>,
    freed: Condvar,
    /// The numbers that names were given last.
    pub(in crate::vfs) numbers: Numbers,
    /// Files and directories that sessions use without a turn.
    pub(in crate::vfs) pins: Arc<Pins>,
    /// Taken to rename a directory or a link, and shared by what depends on where directories are.
    pub(in crate::vfs) moves: RwLock<()>,
}

#[derive(Debug, Default)]
struct Taken {
    claimed: HashSet<Turn>,
    /// Names that are reserved for STOU uploads, each with its directory.
    promised: HashSet<(FileId, Vec<u8>)>,
}

/// Something that only one upload at a time may change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::vfs) enum Turn {
    /// A file that is changed in place, whatever its names.
    File(FileId),
    /// The file under this name in a directory, for uploads that begin with a copy of it.
    Name(FileId, Vec<u8>),
}

/// The turn of an upload. It ends when this value is dropped.
#[derive(Debug)]
pub(in crate::vfs) struct Claim {
    turns: Arc<Turns>,
    turn: Turn,
}

/// A name that is reserved for one STOU upload until this value is dropped.
#[derive(Debug)]
pub(in crate::vfs) struct Promise {
    turns: Arc<Turns>,
    name: (FileId, Vec<u8>),
}

/// Maximum time that an upload waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two calls of `heed` by a waiting upload.
const HEEDED: Duration = Duration::from_millis(100);

impl Turns {
    /// Waits for a turn, and calls `heed` meanwhile.
    pub(in crate::vfs) fn claim(
        self: &Arc<Self>,
        turn: Turn,
        heed: &mut Heed<'_>,
    ) -> Result<Claim, FsError> {
        let until = Instant::now() + PATIENCE;
        let mut taken = self.taken();
        while !taken.claimed.insert(turn.clone()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FsError::Busy);
            }
            let waited = self.freed.wait_timeout(taken, left.min(HEEDED));
            // `heed` may take time, so the lock is not held while it runs
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if !heed() {
                return Err(FsError::Interrupted);
            }
            taken = self.taken();
        }
        Ok(Claim { turns: Arc::clone(self), turn })
    }

    /// Takes a turn if nobody has it now.
    pub(in crate::vfs) fn try_claim(self: &Arc<Self>, turn: Turn) -> Option<Claim> {
        let is_free = self.taken().claimed.insert(turn.clone());
        is_free.then(|| Claim { turns: Arc::clone(self), turn })
    }

    /// Reserves a name for a STOU upload, unless it is reserved already.
    pub(in crate::vfs) fn promise(
        self: &Arc<Self>,
        dir: FileId,
        name: &[u8],
    ) -> Option<Promise> {
        let name = (dir, name.to_owned());
        let free = self.taken().promised.insert(name.clone());
        free.then(|| Promise { turns: Arc::clone(self), name })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.turns.taken().claimed.remove(&self.turn);
        self.turns.freed.notify_all();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.turns.taken().promised.remove(&self.name);
    }
}
