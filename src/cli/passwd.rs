//! `ftpd passwd`: hashes a new password, and prints the hash or writes it to the settings.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::{Arguments, Word};
use super::outcome::Stop;
use super::print::{complain, say};
use super::rewrite::rewrite;
use super::secret::new_hash;
use super::settings::{file_of, origin};
use crate::config::{self, Origin, UserPlace, edit};
use crate::log::escaped;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let (mut user, mut write) = (None, false);
    while let Some(word) = arguments.next()? {
        match word {
            Word::Flag(flag) if flag == "--write" => write = true,
            Word::Value(name) if user.is_none() => {
                user = Some(name.to_string_lossy().into_owned());
            }
            other @ (Word::Flag(_) | Word::Value(_)) => return Err(other.unexpected()),
        }
    }
    let of = user.as_deref().map(|user| format!(" of {}", escaped(user.as_bytes())));
    let of = of.unwrap_or_default();
    if !write {
        return Ok(say(&new_hash(&of)?));
    }
    let user = user.ok_or_else(|| Stop::Misuse("--write needs a user".to_owned()))?;
    let origin = origin(arguments.file.as_deref())?;
    // checked before the user types a password
    let file = file_with(&origin, &user)?;
    let hash = new_hash(&of)?;
    rewrite(&origin, &file, |text| {
        let new = edit::set(text, &format!("user:{user}"), "password", &hash);
        Ok((new.ok_or_else(|| no_user(&user, &file))?, ()))
    })?;
    warn_of_variables(&origin, &user, |key| key.starts_with("password"));
    Ok(say(&format!(
        "{}: changed the password{of}. Run 'ftpd reload' to apply it.",
        file.display()
    )))
}

/// Prints a warning for each of these keys of a user that a variable of the environment sets, because it
/// overrides the file.
pub(super) fn warn_of_variables(origin: &Origin, user: &str, keys: impl Fn(&str) -> bool) {
    for (variable, key) in origin.environment.of_user(user) {
        if keys(key) {
            let variable = escaped(variable.as_bytes());
            complain(&format!("warning: {variable} is set, and overrides {key} in the file"));
        }
    }
}

/// Returns the file with the section of a user. Two sections for one user are an error, because
/// a change to one of them would leave the other as it was.
pub(super) fn file_with(origin: &Origin, user: &str) -> Result<PathBuf, Stop> {
    let place = place_of(origin, user)?;
    match place.lines.as_slice() {
        [] => Err(no_user(user, file_of(origin)?)),
        [_] => Ok(place.file),
        several => {
            let at = |(file, line): &(PathBuf, usize)| format!("{}:{line}", file.display());
            let all: Vec<_> = several.iter().map(at).collect();
            Err(Stop::Failed(format!(
                "[user:{}] occurs {} times, at {}; nothing was changed",
                escaped(user.as_bytes()),
                all.len(),
                all.join(", ")
            )))
        }
    }
}

/// Returns the file with the section of a user, or the file in which a new section would be
/// added.
pub(super) fn place_of(origin: &Origin, user: &str) -> Result<UserPlace, Stop> {
    config::place_of_user(origin, file_of(origin)?, user)
        .map_err(|why| Stop::Failed(format!("cannot read the settings: {why}")))
}

/// Returns the error for a user whose section does not exist.
pub(super) fn no_user(user: &str, file: &Path) -> Stop {
    Stop::Failed(format!("{} has no [user:{}]", file.display(), escaped(user.as_bytes())))
}
