//! `ftpd import`: turns users and settings of other servers into settings of this one.
//!
//! It reads text and prints text. Settings that this server supports are converted. All other
//! settings become comments. A line that cannot be read is reported with its number and left out.
//! The result never allows more than the source did. If a restriction has no equivalent here, the
//! whole section that it restricts becomes a comment.

mod format;
mod python;
mod section;
mod settings;
#[cfg(test)]
mod tests;
mod users;
mod vsftpd;

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::arguments::{Arguments, Word};
use super::outcome::{FAILED, Stop};
use super::print::{complain, say};
use crate::rights::{self, Ids};
use format::Format;
use section::Imported;

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let mut files = Vec::new();
    while let Some(word) = arguments.next()? {
        match word {
            Word::Value(file) => files.push(file),
            flag @ Word::Flag(_) => return Err(flag.unexpected()),
        }
    }
    if files.is_empty() {
        return Err(Stop::Misuse("expected a file".to_owned()));
    }
    let all = read_all(files)?;
    let mut text = String::new();
    for (file, format, imported) in &all {
        for (line, why) in &imported.faults {
            complain(&format!("{}:{line}: {why}; left out", file.display()));
        }
        let name = format.name();
        let name = name.split_once(' ').map_or(name, |(_, name)| name);
        let _ = write!(text, "; Made by 'ftpd import' of a {name}.\n\n{}", imported.text);
    }
    let done = say(text.trim_end());
    let is_whole = all.iter().all(|(_, _, imported)| imported.faults.is_empty());
    Ok(if is_whole { done } else { ExitCode::from(FAILED) })
}

/// A file, its format, and the result of importing it.
type ImportedFile = (PathBuf, Format, Imported);

/// Reads and imports the files. There may be one, or two of pyftpdlib's tutorial, whose server
/// has a file for its settings and a file for its users.
fn read_all(files: Vec<OsString>) -> Result<Vec<ImportedFile>, Stop> {
    let mut all: Vec<ImportedFile> = Vec::new();
    for file in files {
        let formats: Vec<Format> = all.iter().map(|(_, format, _)| *format).collect();
        if !matches!(formats[..], [] | [Format::Settings | Format::Tutorial]) {
            return Err(Word::Value(file).unexpected());
        }
        let path = PathBuf::from(&file);
        let shown = path.display();
        let bytes = read(&path).map_err(|why| Stop::Failed(format!("{shown}: {why}")))?;
        let (format, imported) = import(&bytes).ok_or_else(|| {
            let known = Format::ALL.map(Format::name).join(", ");
            Stop::Failed(format!("{shown} is none of these: {known}"))
        })?;
        let fits = match formats[..] {
            [] => true,
            [first] => first != format && matches!(format, Format::Settings | Format::Tutorial),
            _ => false,
        };
        if !fits {
            return Err(Word::Value(file).unexpected());
        }
        all.push((path, format, imported));
    }
    Ok(all)
}

#[expect(clippy::disallowed_methods, reason = "a file of another server's settings")]
fn read(file: &std::path::Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(file)
}

/// Recognises the format of a file and turns the file into settings. Returns `None` if the
/// format is unknown.
fn import(bytes: &[u8]) -> Option<(Format, Imported)> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut faults = Vec::new();
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        match std::str::from_utf8(line).map(|line| line.trim_end_matches('\r')) {
            Ok(line) if line.contains(char::is_control) && !line.contains('\t') => {
                faults.push((number, "contains control characters".to_owned()));
            }
            Ok(line) if line.trim().is_empty() || line.trim_start().starts_with('#') => {}
            Ok(line) => lines.push((number, line)),
            Err(_) => faults.push((number, "is not UTF-8".to_owned())),
        }
    }
    let format = Format::of(&lines)?;
    let mut imported = match format {
        Format::Tutorial => users::tutorial(&lines),
        Format::PureFtpd => users::pure_ftpd(&lines),
        Format::ProFtpd => users::pro_ftpd(&lines),
        Format::Vsftpd => vsftpd::import(&lines, system_user),
        Format::Settings => settings::import(&lines),
    };
    imported.faults.append(&mut faults);
    imported.faults.sort();
    Some((format, imported))
}

/// Imports a text. Returns the settings and the numbers of the lines that were left out. The
/// fuzz targets call this.
#[doc(hidden)]
pub fn import_text(bytes: &[u8]) -> Option<(String, Vec<usize>)> {
    let (_, imported) = import(bytes)?;
    Some((imported.text, imported.faults.into_iter().map(|(line, _)| line).collect()))
}

/// Returns the home of a user of this system, or why the server cannot become that user.
fn system_user(name: &str) -> Result<PathBuf, String> {
    Ids::of(name, None)?;
    rights::home_of(name).ok_or_else(|| "has no home".to_owned())
}
