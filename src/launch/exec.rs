//! The last step of starting a program: a process that is still `ftpd` sets the file mode mask,
//! resets ignored signals, becomes the user that the program runs as, and is replaced by the
//! program.
//!
//! This cannot be done in the process that starts programs, whose own mask, signals and user
//! would change.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::process::umask;
use signal_hook::consts::FORBIDDEN;
use signal_hook::flag;

use super::table::SERVER;
use crate::rights::{self, Ids, Keep};

/// The file mode mask of programs. The server's own mask is empty.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Replaces this process by a program, and sets its mask and user first. Returns only if it
/// fails.
pub fn exec(words: &[OsString]) -> io::Error {
    umask(UMASK);
    heed_signals();
    let [who, program, arguments @ ..] = words else {
        return io::Error::other("expected a user and a program");
    };
    if who != SERVER
        && let Err(why) = become_user(who)
    {
        return why;
    }
    Command::new(program).args(arguments).exec()
}

/// Makes sure that the program ignores no signal, even if the server was started with some
/// ignored. A handler is set for each ignored signal, and the system resets handlers when the
/// program starts.
fn heed_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    for signal in 1..=64 {
        let is_ignored = ignored.is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1);
        if is_ignored && !FORBIDDEN.contains(&signal) {
            // this fails for the signals that the C library uses itself
            let _ = flag::register(signal, Arc::default());
        }
    }
}

/// Becomes the user with these numbers, for good.
fn become_user(who: &OsStr) -> io::Result<()> {
    let ids = who.to_str().and_then(Ids::from_numbers);
    let ids = ids.ok_or_else(|| io::Error::other("expected the ids of a user"))?;
    rights::give_up(&ids, Keep::default()).map_err(|why| {
        io::Error::new(why.kind(), format!("cannot become uid {}: {why}", ids.uid))
    })
}
