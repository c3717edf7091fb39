//! `ftpd help` and `ftpd completions`. Their texts are made from the table of subcommands, which uses
//! this file, so `mod.rs` prints them.

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

/// `ftpd completions`.
pub(super) fn completions(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let shell = match arguments.next()? {
        Some(Word::Value(name)) => name.to_string_lossy().into_owned(),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
        None => String::new(),
    };
    arguments.end()?;
    Err(Stop::Completions(shell))
}
