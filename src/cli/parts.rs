//! `ftpd parts`: lists the uploads that broke off on the running server, and removes what they have
//! left.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use serde_json::json;

use super::admin::ask;
use super::arguments::{Arguments, Word};
use super::outcome::Stop;
use super::print::say;
use super::screen::{binary, clock, safe};
use crate::log;
use crate::server::protocol::{Drop, Dropped, PartList, PartView, Parts};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let mut json = false;
    let mut words = Vec::new();
    while let Some(word) = arguments.next()? {
        match word {
            Word::Flag(name) if name == "--json" => json = true,
            Word::Value(text) => words.push(text),
            flag @ Word::Flag(_) => return Err(flag.unexpected()),
        }
    }
    let file = arguments.file.as_deref();
    if let Some((what, rest)) = words.split_first() {
        let (user, path) = named(what, rest)?;
        let Dropped { bytes, .. } = ask(file, Drop { user, path })?;
        return Ok(say(&format!("removed a part of {}", binary(bytes))));
    }
    let PartList { parts } = ask(file, Parts {})?;
    if json {
        return Ok(say(&log::json(&json!(parts))));
    }
    if parts.is_empty() {
        return Ok(say("no upload has broken off"));
    }
    Ok(say(&table(&parts)))
}

/// Reads the words of `drop USER PATH`.
fn named(what: &OsStr, rest: &[OsString]) -> Result<(Vec<u8>, Vec<u8>), Stop> {
    match rest {
        [user, path] if what == "drop" => {
            Ok((user.as_bytes().to_owned(), path.as_bytes().to_owned()))
        }
        _ => Err(Stop::Misuse("expected nothing, or drop and a user and a path".to_owned())),
    }
}

fn table(parts: &[PartView]) -> String {
    let mut lines = format!("{:<24} {:>10} {:>11}  PATH", "MAY BE RESUMED BY", "SIZE", "AGE");
    for part in parts {
        let user = match (&part.user, &part.address) {
            (Some(user), None) => safe(user),
            (Some(user), Some(address)) => format!("{} {}", safe(user), safe(address)),
            (None, _) => "-".to_owned(),
        };
        let (size, age) = (binary(part.bytes), clock(part.seconds));
        // the path is quoted already; writing to a String cannot fail
        let _ = write!(lines, "\n{user:<24} {size:>10} {age:>11}  {}", part.path);
    }
    lines
}
