//! The number of files that the server opens.

use crate::config::Config;
use crate::server::MOST_WAITING;

/// Maximum number of open files of one session: its control and data connections, its home, the
/// directory of an upload, the old file and the new one, a pipe, and for a moment two more.
const FILES_PER_SESSION: u64 = 10;

/// Number of other open files: listeners, logs, signals, and files that libraries open for a
/// moment.
const OTHER_FILES: u64 = 32;

/// Returns how many files `max_cons` clients may need to be open.
pub(super) fn needed(config: &Config) -> u64 {
    let sessions = u64::try_from(config.server.clients.max).unwrap_or(u64::MAX);
    // connections that wait for their header belong to no session
    let has_balancers = !config.server.balancers.from.is_empty();
    let waiting = if has_balancers { MOST_WAITING } else { 0 };
    let others = OTHER_FILES.saturating_add(u64::try_from(waiting).unwrap_or(u64::MAX));
    sessions.saturating_mul(FILES_PER_SESSION).saturating_add(others)
}
