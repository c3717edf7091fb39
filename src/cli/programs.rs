//! The tasks of starting programs, for which the server starts `ftpd` again. They are no
//! subcommands, and nobody else has a use for them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::setsid;
use rustix::thread::set_name;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;

use super::outcome::{BAD_CONFIG, CANNOT_START, FAILED};
use super::print::{complain, say};
use super::serve::heed_no_meaningless;
use super::settings;
use crate::launch::{self, tasks};
use crate::log::escaped;
use crate::rights;

/// A task, which takes the arguments after its name.
pub(super) type Task = fn(&[OsString]) -> ExitCode;

/// Returns the task with this name.
pub(super) fn find(name: &OsStr) -> Option<Task> {
    match name.to_str()? {
        tasks::START => Some(start),
        tasks::LIST => Some(list),
        tasks::EXEC => Some(exec),
        _ => None,
    }
}

/// Starts programs for a server.
fn start(words: &[OsString]) -> ExitCode {
    let done =
        prepare().and_then(|()| launch::start_programs(words.first().map(OsString::as_os_str)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&format!("ftpd: the process that starts programs ends: {why}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Makes this process one of its own: it ends when the server does, and not before, so neither
/// the terminal nor a service manager ends it by a signal that is meant for all processes of the
/// server.
fn prepare() -> io::Result<()> {
    // fails if the process leads a group already, which a shell may have made
    let _ = setsid();
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        flag::register(signal, Arc::default())?;
    }
    heed_no_meaningless();
    set_name(c"ftpd-programs")?;
    rights::keep_lent()?;
    // the environment may contain passwords, and programs of the server's user must not take
    // over this process
    rights::hide_memory()?;
    rights::settle()
}

/// Prints the programs in the settings, or the faults.
fn list(words: &[OsString]) -> ExitCode {
    match settings::read(&settings::origin_of(words.first().map(OsString::as_os_str))) {
        Ok(config) if launch::print_table(&config).is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FAILED),
        Err(faults) => {
            say(&faults.join("\n"));
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// Becomes a program.
fn exec(words: &[OsString]) -> ExitCode {
    let why = launch::exec(words);
    let program = words.get(1).map(|word| word.as_encoded_bytes());
    let program = escaped(program.unwrap_or_default());
    complain(&format!("{program} cannot be started: {why}"));
    ExitCode::from(CANNOT_START)
}
