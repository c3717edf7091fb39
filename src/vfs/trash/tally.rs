//! Counts what goes to the trash and what leaves it, for the metrics. A server has one trash for each
//! home and none of its own, so the counters belong to the process.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has gone to the trash and left it since the server started.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrashTally {
    /// Number of files and directories that were moved to the trash.
    pub moved: u64,
    /// Number of files and directories that were brought back.
    pub restored: u64,
    /// Number of files that were removed for good.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

static MOVED: AtomicU64 = AtomicU64::new(0);
static RESTORED: AtomicU64 = AtomicU64::new(0);
static FILES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Returns the counters.
pub fn trash_tally() -> TrashTally {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    TrashTally {
        moved: read(&MOVED),
        restored: read(&RESTORED),
        files: read(&FILES),
        bytes: read(&BYTES),
    }
}

/// Counts something that was moved to the trash.
pub(super) fn count_moved() {
    MOVED.fetch_add(1, Ordering::Relaxed);
}

/// Counts something that was brought back.
pub(super) fn count_restored() {
    RESTORED.fetch_add(1, Ordering::Relaxed);
}

/// Counts a file of this size that was removed for good.
pub(super) fn count_removed(bytes: u64) {
    FILES.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
}
