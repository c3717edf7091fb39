//! `ftpd kick`: end sessions of the running server.

use std::process::ExitCode;

use serde_json::json;

use super::admin::{ask, number};
use super::{Arguments, Stop, Word, say};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let whom = match arguments.next()? {
        Some(Word::Value(whom)) => whom.to_string_lossy().into_owned(),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
        None => {
            return Err(Stop::Misuse("whom? a session's number, a user, an address".into()));
        }
    };
    let file = arguments.end()?;
    let answer = ask(file.as_deref(), &json!({ "command": "kick", "whom": whom }))?;
    match number(&answer, "ended") {
        0 => Err(Stop::Failed("there is no such session".to_owned())),
        1 => Ok(say("1 session ended")),
        ended => Ok(say(&format!("{ended} sessions ended"))),
    }
}
