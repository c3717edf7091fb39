//! `ftpd unban`: let an address in again.

use std::process::ExitCode;

use serde_json::json;

use super::admin::{ask, number};
use super::{Arguments, Stop, Word, say};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let whom = match arguments.next()? {
        Some(Word::Value(whom)) => whom.to_string_lossy().into_owned(),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
        None => return Err(Stop::Misuse("whom? an address, or all".to_owned())),
    };
    let file = arguments.end()?;
    let answer = ask(file.as_deref(), &json!({ "command": "unban", "address": whom }))?;
    match (number(&answer, "lifted"), whom == "all") {
        (0, false) => Err(Stop::Failed("it is not banned".to_owned())),
        (1, _) => Ok(say("1 ban lifted")),
        (lifted, _) => Ok(say(&format!("{lifted} bans lifted"))),
    }
}
