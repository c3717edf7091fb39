//! How the server's own program becomes a program of a hook.
//!
//! This runs in the process that was started for the program, before the program itself: it gets a
//! file mode mask of its own there, default signals, and the user that it runs as.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::process::umask;
use signal_hook::consts::FORBIDDEN;
use signal_hook::flag;

use crate::rights::{self, Ids, Keep};

/// New files of a program, and of whatever it starts, get their modes with this mask; the
/// server's own is empty.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// The server's own program, when this is its first word, becomes the one behind the next word,
/// which says who it becomes first.
pub const LAUNCH: &str = "launch-hook";

/// Who the program stays whose settings name nobody.
pub(super) const NOBODY_ELSE: &str = "-";

/// Becomes a program, with a mask of its own and as the user that it is to be. Between a server of
/// many threads and a program nothing else could do so. Returns why it could not.
pub fn launch(words: &[OsString]) -> io::Error {
    umask(UMASK);
    heed_signals();
    let [who, program, arguments @ ..] = words else {
        return io::Error::other("expected a user and a program");
    };
    if who != NOBODY_ELSE
        && let Err(why) = become_user(who)
    {
        return why;
    }
    Command::new(program).args(arguments).exec()
}

/// Sees to it that the program ignores no signal, as those may do who have started the server: what
/// has a handler is back at its default in the program.
fn heed_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    for signal in 1..=64 {
        let is_ignored = ignored.is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1);
        if is_ignored && !FORBIDDEN.contains(&signal) {
            // the C library keeps some for itself
            let _ = flag::register(signal, Arc::default());
        }
    }
}

fn become_user(who: &OsStr) -> io::Result<()> {
    let ids = who.to_str().and_then(Ids::from_numbers);
    let ids = ids.ok_or_else(|| io::Error::other("expected the numbers of a user"))?;
    rights::give_up(&ids, Keep::default()).map_err(|why| {
        io::Error::new(why.kind(), format!("cannot become uid {}: {why}", ids.uid))
    })
}
