//! The arguments of a subcommand.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;

use super::outcome::Stop;
use crate::log::escaped;

/// The arguments that have not been read yet.
pub(super) struct Arguments {
    pub(super) parser: lexopt::Parser,
    /// The settings file that `--config` has named so far.
    pub(super) file: Option<PathBuf>,
}

/// One argument.
pub(super) enum Word {
    /// An option, `--name` or `-n`, with its dashes.
    Flag(String),
    /// Anything else.
    Value(OsString),
}

impl Arguments {
    /// Reads the next argument. Options that all subcommands have are carried out and skipped.
    pub(super) fn next(&mut self) -> Result<Option<Word>, Stop> {
        while let Some(argument) = self.parser.next()? {
            return Ok(Some(match argument {
                Long("config") | Short('c') => {
                    self.file = Some(PathBuf::from(self.parser.value()?));
                    continue;
                }
                Long("help") | Short('h') => return Err(Stop::Help),
                Long("version") | Short('V') => return Err(Stop::Version),
                Long(name) => Word::Flag(format!("--{name}")),
                Short(letter) => Word::Flag(format!("-{letter}")),
                Value(text) => Word::Value(text),
            }));
        }
        Ok(None)
    }

    /// Reads the value of the option that was read last.
    pub(super) fn value(&mut self) -> Result<String, Stop> {
        Ok(self.parser.value()?.string()?)
    }

    /// Reads and parses the value of the option that was read last; `what` says what it must
    /// be.
    pub(super) fn parsed<T: FromStr>(&mut self, what: &str) -> Result<T, Stop> {
        let text = self.value()?;
        let cannot = |_| Stop::Misuse(format!("'{}' is not {what}", escaped(text.as_bytes())));
        text.parse().map_err(cannot)
    }

    /// Reads all remaining arguments and returns which of these flags are set. Other arguments
    /// are errors.
    pub(super) fn switches<const N: usize>(
        &mut self,
        names: [&str; N],
    ) -> Result<[bool; N], Stop> {
        let mut set = [false; N];
        while let Some(word) = self.next()? {
            let is = |name: &str| matches!(&word, Word::Flag(flag) if flag == name);
            let mut known = names.iter().zip(&mut set);
            match known.find(|(name, _)| is(name)) {
                Some((_, set)) => *set = true,
                None => return Err(word.unexpected()),
            }
        }
        Ok(set)
    }

    /// Returns the settings file that `--config` named, or an error if there are more
    /// arguments.
    pub(super) fn end(mut self) -> Result<Option<PathBuf>, Stop> {
        self.next()?.map_or(Ok(()), |word| Err(word.unexpected()))?;
        Ok(self.file)
    }
}

impl Word {
    /// Returns the error for an argument that is not allowed here.
    pub(super) fn unexpected(self) -> Stop {
        match self {
            Self::Flag(flag) => Stop::BadFlag(flag),
            Self::Value(text) => {
                let text = escaped(text.as_encoded_bytes());
                Stop::Misuse(format!("unexpected argument '{text}'"))
            }
        }
    }
}
