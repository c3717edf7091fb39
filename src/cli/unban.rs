//! `ftpd unban`: lifts bans on the running server.

use std::process::ExitCode;

use super::admin::ask;
use super::arguments::{Arguments, Word};
use super::outcome::Stop;
use super::print::say;
use crate::server::protocol::{Lifted, Unban};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let whom = match arguments.next()? {
        Some(Word::Value(whom)) => whom.to_string_lossy().into_owned(),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
        None => return Err(Stop::Misuse("expected an address, or all".to_owned())),
    };
    let file = arguments.end()?;
    let is_all = whom == "all";
    let Lifted { lifted } = ask(file.as_deref(), Unban { address: whom })?;
    match (lifted, is_all) {
        (0, false) => Err(Stop::Failed("the address is not banned".to_owned())),
        (1, _) => Ok(say("1 ban lifted")),
        (lifted, _) => Ok(say(&format!("{lifted} bans lifted"))),
    }
}
