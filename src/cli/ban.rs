//! `ftpd ban`: bans an address on the running server.

use std::process::ExitCode;
use std::time::Duration;

use super::admin::ask;
use super::arguments::{Arguments, Word};
use super::outcome::Stop;
use super::print::say;
use super::screen::safe;
use crate::config;
use crate::log::escaped;
use crate::server::protocol::Ban;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let mut words = Vec::new();
    while let Some(word) = arguments.next()? {
        match word {
            Word::Value(word) if words.len() < 2 => {
                words.push(word.to_string_lossy().into_owned());
            }
            other @ (Word::Flag(_) | Word::Value(_)) => return Err(other.unexpected()),
        }
    }
    let mut words = words.into_iter();
    let whom = words.next().ok_or_else(|| Stop::Misuse("expected an address".to_owned()))?;
    let seconds = words.next().map(|time| seconds(&time)).transpose()?;
    let banned = ask(arguments.file.as_deref(), Ban { address: whom, seconds })?;
    let time = match banned.seconds {
        Some(seconds) => format!("for {seconds} s"),
        None => "until it is lifted".to_owned(),
    };
    let (address, ended) = (safe(&banned.address), banned.ended);
    Ok(say(&format!("{address} is banned {time}; {ended} sessions ended")))
}

fn seconds(time: &str) -> Result<u64, Stop> {
    if time.is_empty() {
        return Err(Stop::Misuse("time is empty; for a ban without an end, use 0".to_owned()));
    }
    let refused = |why| Stop::Misuse(format!("time: '{}' {why}", escaped(time.as_bytes())));
    let time = config::duration(time).map_err(refused)?;
    Ok(time.as_ref().map_or(0, Duration::as_secs))
}
