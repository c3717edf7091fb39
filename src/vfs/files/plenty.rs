//! What a session remembers of the free space, for `room.rs`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::vfs::path::VirtualPath;

/// The free space that a session saw last. Many small uploads to one directory would otherwise look
/// each time.
#[derive(Debug, Default)]
pub(super) struct Plenty(Mutex<Option<Seen>>);

#[derive(Debug)]
struct Seen {
    directory: VirtualPath,
    at: Instant,
    /// Number of bytes beyond what the rule demands.
    spare: u64,
}

/// How long a look at much free space holds.
const FRESH: Duration = Duration::from_millis(100);

/// Number of bytes that nobody can be expected to write within [`FRESH`].
const PLENTY: u64 = 512 << 20;

impl Plenty {
    /// Whether there was more than enough free space in a directory a moment ago.
    pub(super) fn has(&self, directory: &VirtualPath, bytes: u64) -> bool {
        self.seen().as_ref().is_some_and(|seen| {
            seen.spare >= PLENTY.saturating_add(bytes)
                && seen.at.elapsed() < FRESH
                && seen.directory == *directory
        })
    }

    /// Records how much free space there is in a directory beyond what is demanded.
    pub(super) fn note(&self, directory: VirtualPath, spare: u64) {
        *self.seen() = Some(Seen { directory, at: Instant::now(), spare });
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
