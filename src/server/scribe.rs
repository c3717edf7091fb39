//! The thread that writes the log.

use std::io;
use std::thread;

use crate::log::{self, Running};

/// Starts the thread. Once the returned value is dropped, everything is written, and each thread
/// writes its own lines again.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start() -> io::Result<Running> {
    let running = Running::begin();
    thread::Builder::new().name("log".to_owned()).spawn(log::write_log)?;
    Ok(running)
}
