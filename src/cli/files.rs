//! The number of files that the server opens.

use crate::config::Config;

/// Maximum number of open files of one session: its control and data connections, its home, the
/// directory of an upload, the old file and the new one, a pipe, and for a moment two more.
const FILES_PER_SESSION: u64 = 10;

/// Number of other open files: listeners, logs, signals, and files that libraries open for a
/// moment.
const OTHER_FILES: u64 = 32;

/// Returns how many files `max_cons` clients may need to be open.
pub(super) fn needed(config: &Config) -> u64 {
    let sessions = u64::try_from(config.server.clients.max).unwrap_or(u64::MAX);
    sessions.saturating_mul(FILES_PER_SESSION).saturating_add(OTHER_FILES)
}
