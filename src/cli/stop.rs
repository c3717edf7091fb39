//! `ftpd stop`: stop the running server.

use std::process::ExitCode;

use serde_json::json;

use super::admin::ask;
use super::{Arguments, Stop, Word, say};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let mut now = false;
    while let Some(word) = arguments.next()? {
        match word {
            Word::Flag(flag) if flag == "--now" => now = true,
            other @ (Word::Flag(_) | Word::Value(_)) => return Err(other.unexpected()),
        }
    }
    ask(arguments.file.as_deref(), &json!({ "command": "stop", "now": now }))?;
    Ok(say("the server stops"))
}
