//! The number of files that the server opens.

use crate::config::Config;
use crate::data::MOST_UNNAMED;
use crate::server::MOST_WAITING;

/// Maximum number of open files of one session: its control and data connections, its home, the
/// directory of an upload, the old file and the new one, a pipe, and for a moment two more.
const FILES_PER_SESSION: usize = 10;

/// Number of open files that a session has while its upload is judged or waits for that, in addition.
const FILES_PER_JUDGED: usize = 1;

/// Maximum number of open files for judging one upload: the scanner's socket, or what a program reads and
/// writes, and a copy in the quarantine with its directory.
const FILES_PER_JUDGE: usize = 8;

/// Number of other open files: listeners, logs, signals, and files that libraries open for a
/// moment.
const OTHER_FILES: usize = 32;

/// Returns how many files `max_cons` clients may need to be open.
pub(super) fn needed(config: &Config) -> u64 {
    let server = &config.server;
    let (mut of_session, mut others) = (FILES_PER_SESSION, OTHER_FILES);
    if !server.balancers.from.is_empty() {
        // connections that wait for their header belong to no session, or to one that waits for its own
        others += MOST_WAITING;
        of_session += if server.balancers.data { MOST_UNNAMED + 1 } else { 0 };
    }
    if config.gates().next().is_some() {
        of_session += FILES_PER_JUDGED;
        others = others.saturating_add(server.gate.workers.saturating_mul(FILES_PER_JUDGE));
    }
    let all = server.clients.max.saturating_mul(of_session).saturating_add(others);
    u64::try_from(all).unwrap_or(u64::MAX)
}
