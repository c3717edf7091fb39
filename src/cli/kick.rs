//! `ftpd kick`: ends sessions of the running server.

use std::process::ExitCode;

use super::admin::ask;
use super::arguments::{Arguments, Word};
use super::outcome::Stop;
use super::print::say;
use crate::server::protocol::{Ended, Kick};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let whom = match arguments.next()? {
        Some(Word::Value(whom)) => whom.to_string_lossy().into_owned(),
        Some(flag @ Word::Flag(_)) => return Err(flag.unexpected()),
        None => {
            return Err(Stop::Misuse(
                "expected the number of a session, a user or an address".into(),
            ));
        }
    };
    let file = arguments.end()?;
    let Ended { ended } = ask(file.as_deref(), Kick { whom })?;
    match ended {
        0 => Err(Stop::Failed("no session matches".to_owned())),
        1 => Ok(say("1 session ended")),
        ended => Ok(say(&format!("{ended} sessions ended"))),
    }
}
