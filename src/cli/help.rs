//! `ftpd help`: explains a subcommand.

use std::process::ExitCode;

use super::arguments::{Arguments, Word};
use super::outcome::Stop;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let name = match arguments.next()? {
        None => None,
        Some(Word::Value(name)) => Some(name),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
    };
    arguments.end()?;
    Err(Stop::HelpOn(name))
}
