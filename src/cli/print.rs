//! Printing to standard output and standard error.

use std::io::{self, Write};
use std::process::ExitCode;

/// Prints to standard error. If nobody reads it, the exit status is the same.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints to standard output and returns the exit status. It is a failure if the disk is full,
/// but not if the reader has closed the pipe.
pub(super) fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("ftpd: cannot write all of the output: {why}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
