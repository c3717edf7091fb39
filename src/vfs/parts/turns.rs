//! The turns that uploads take: who may change a file in place, and who gets a new name.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::vfs::error::{FsError, Heed};
use crate::vfs::tree::entry::FileId;

/// What the uploads of a server take turns at, shared by all sessions.
#[derive(Debug, Default)]
pub struct Turns {
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    claimed: HashSet<Turn>,
    /// Names that a STOU has promised, each with its directory.
    promised: HashSet<(FileId, Vec<u8>)>,
}

/// What only one upload at a time may change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::vfs) enum Turn {
    /// A file that is changed in place, whatever its names.
    File(FileId),
    /// The version that has a name in a directory, for uploads that begin with a copy of it.
    Name(FileId, Vec<u8>),
}

/// A turn that an upload has got. It ends on drop.
#[derive(Debug)]
pub(in crate::vfs) struct Claim {
    turns: Arc<Turns>,
    turn: Turn,
}

/// A name that no other STOU gets. It is free again on drop.
#[derive(Debug)]
pub(in crate::vfs) struct Promise {
    turns: Arc<Turns>,
    name: (FileId, Vec<u8>),
}

/// How long an upload waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a waiting upload listens to its client.
const HEEDED: Duration = Duration::from_millis(100);

impl Turns {
    /// Waits for a turn.
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
            // the lock is free while the client is listened to
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if !heed() {
                return Err(FsError::Interrupted);
            }
            taken = self.taken();
        }
        Ok(Claim { turns: Arc::clone(self), turn })
    }

    /// Takes a name for a STOU, unless another one has it.
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
