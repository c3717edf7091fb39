//! Printing to standard output and standard error.

use std::io::{self, Write};
use std::process::ExitCode;

/// Prints to standard error. Errors are ignored, so they do not change the exit status.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints to standard output and returns the exit status. A full disk is a failure; a reader
/// that has closed the pipe is not.
pub(super) fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("ftpd: cannot write all of the output: {why}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
