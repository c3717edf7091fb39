//! `ftpd kick`: ends sessions of the running server.

use std::path::Path;
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
    kick(file.as_deref(), whom).map(|done| say(&done))
}

/// Ends the sessions of the running server that `whom` selects, and returns a line that says how
/// many.
pub(super) fn kick(file: Option<&Path>, whom: String) -> Result<String, Stop> {
    let Ended { ended } = ask(file, Kick { whom })?;
    match ended {
        0 => Err(Stop::Failed("no session matches".to_owned())),
        1 => Ok("1 session ended".to_owned()),
        ended => Ok(format!("{ended} sessions ended")),
    }
}
