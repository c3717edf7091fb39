//! Standard output and standard error.

use std::io::{self, Write};
use std::process::ExitCode;

/// Prints to standard error; a reader that has gone changes no exit code.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints to standard output; a reader that has gone is no failure of ours, and a full disk is.
pub(super) fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("ftpd: the output is not whole: {why}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
