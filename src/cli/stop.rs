//! `ftpd stop`: stops the running server.

use std::process::ExitCode;

use super::admin::ask;
use super::arguments::Arguments;
use super::outcome::Stop;
use super::print::say;
use crate::server::protocol;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let [now] = arguments.switches(["--now"])?;
    ask(arguments.file.as_deref(), protocol::Stop { now })?;
    Ok(say("the server is stopping"))
}
