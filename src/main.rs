//! The program: passes the command line to `cli`, which returns the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ftpd::cli::run(std::env::args_os())
}
