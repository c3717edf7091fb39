//! `ftpd stop`: stops the running server.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::admin::{Absence, ask, ask_if_there};
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::say;
use crate::server::protocol;

/// Pause between two looks whether the server has ended.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [now, drain] = arguments.switches(["--now", "--drain"])?;
    if now && drain {
        return Err(Stop::Misuse("--now and --drain exclude each other".to_owned()));
    }
    let file = arguments.file.as_deref();
    if !drain {
        ask(file, protocol::Stop { now, drain })?;
        return Ok(say("the server is stopping"));
    }
    let since = ask(file, protocol::Stats {})?.since;
    ask(file, protocol::Stop { now, drain })?;
    while is_there(file, &since)? {
        thread::sleep(PAUSE);
    }
    Ok(say("the server has stopped"))
}

/// Returns whether the server that was started at this time still runs.
fn is_there(file: Option<&Path>, since: &str) -> Result<bool, Stop> {
    match ask_if_there(file, protocol::Stats {}) {
        Ok(stats) => Ok(stats.since == since),
        Err(Absence::NoServer) => Ok(false),
        Err(Absence::NotAllowed | Absence::Failed(Stop::Failed(_))) => Ok(true),
        Err(Absence::Failed(why)) => Err(why),
    }
}
