//! `ftpd convert-names`: renames what clients have stored under names in another charset.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::{Arguments, Word};
use super::outcome::{FAILED, Stop};
use super::print::{complain, say};
use crate::config::Encoding;
use crate::log::{escaped, path as quoted};
use crate::vfs::{Respelling, Respelt};

pub(super) fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let (mut from, mut dir) = (None, None);
    let (mut dry_run, mut force) = (false, false);
    while let Some(word) = arguments.next()? {
        match word {
            Word::Flag(flag) if flag == "--from" => from = Some(encoding(&arguments.value()?)?),
            Word::Flag(flag) if flag == "--dry-run" => dry_run = true,
            Word::Flag(flag) if flag == "--force" => force = true,
            Word::Value(name) if dir.is_none() => dir = Some(PathBuf::from(name)),
            word @ (Word::Value(_) | Word::Flag(_)) => return Err(word.unexpected()),
        }
    }
    let (Some(from), Some(dir)) = (from, dir) else {
        return Err(Stop::Misuse("expected --from CHARSET and DIR".to_owned()));
    };
    let respelling = Respelling { from, force, dry_run };
    let mut tally = Tally::default();
    let done = respelling.run(&dir, &mut |path, respelt| tally.tell(path, &respelt, from));
    done.map_err(|why| Stop::Failed(format!("{}: {why}", quoted(&dir))))?;
    let Tally { converted, doubtful, failed } = tally;
    let verb = if dry_run { "to be converted" } else { "converted" };
    let doubt = if doubtful == 0 || force { "" } else { " (--force converts them as well)" };
    say(&format!("{converted} {verb}, {doubtful} doubtful{doubt}, {failed} left as they are"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn encoding(label: &str) -> Result<Encoding, Stop> {
    let misuse = |why: String| Stop::Misuse(format!("'{}' {why}", escaped(label.as_bytes())));
    let encoding = Encoding::of_label(label).map_err(misuse)?;
    encoding.ok_or_else(|| misuse("is what the names are converted to".to_owned()))
}

/// How many names there were of each kind.
#[derive(Default)]
struct Tally {
    converted: usize,
    doubtful: usize,
    failed: usize,
}

impl Tally {
    /// Counts a name and prints a line about it.
    fn tell(&mut self, path: &Path, respelt: &Respelt, from: Encoding) {
        let path = quoted(path);
        let name = |name: &str| format!("\"{}\"", escaped(name.as_bytes()));
        match respelt {
            Respelt::Converted(new) => {
                self.converted += 1;
                say(&format!("{path} -> {}", name(new)));
            }
            Respelt::Doubtful(new) => {
                self.doubtful += 1;
                let charset = from.name();
                say(&format!("{path} is valid UTF-8; in {charset} it would be {}", name(new)));
            }
            Respelt::Unreadable => {
                self.failed += 1;
                complain(&format!("{path} is neither UTF-8 nor {}", from.name()));
            }
            Respelt::Taken(new) => {
                self.failed += 1;
                complain(&format!("{path}: there is {} already", name(new)));
            }
            Respelt::Failed(why) => {
                self.failed += 1;
                complain(&format!("{path}: {why}"));
            }
        }
    }
}
