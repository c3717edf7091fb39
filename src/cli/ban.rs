//! `ftpd ban`: let nobody in from an address.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::admin::{ask, number, text};
use super::{Arguments, Stop, Word, say};
use crate::config;
use crate::log::escaped;

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
    let whom = words.next().ok_or_else(|| Stop::Misuse("whom? an address".to_owned()))?;
    let mut request = json!({ "command": "ban", "address": whom });
    if let Some(time) = words.next() {
        let refused = |why| Stop::Misuse(format!("time: '{}' {why}", escaped(time.as_bytes())));
        if time.is_empty() {
            return Err(Stop::Misuse("time: is empty; 0 is until it is lifted".to_owned()));
        }
        let time = config::duration(&time).map_err(refused)?;
        let seconds = time.as_ref().map_or(0, Duration::as_secs);
        if let Some(request) = request.as_object_mut() {
            request.insert("seconds".to_owned(), Value::from(seconds));
        }
    }
    let answer = ask(arguments.file.as_deref(), &request)?;
    let time = match answer.get("seconds").and_then(Value::as_u64) {
        Some(seconds) => format!("for {seconds} s"),
        None => "until it is lifted".to_owned(),
    };
    let ended = number(&answer, "ended");
    Ok(say(&format!("{} is banned {time}; {ended} sessions ended", text(&answer, "address"))))
}
