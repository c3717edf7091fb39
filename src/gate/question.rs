//! The question whether to accept an upload, and the possible verdicts.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use crate::config::{Config, GateRules};
use crate::events::{Event, Owner};
use crate::rights::Ids;

/// An upload that is to be judged.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The program and the scanner that judge it.
    pub rules: &'a GateRules,
    /// The settings, which say how long that may take.
    pub config: &'a Config,
    /// The file, open for reading.
    pub file: &'a File,
    /// The path of the file on the server at present.
    pub part: &'a Path,
    /// The upload as an event, with the path that the file will have.
    pub event: &'a Event<'a>,
    /// Whose turn it takes.
    pub owner: &'a Owner,
    /// The system user that a program runs as; `None`: the server's user.
    pub ids: Option<&'a Ids>,
    /// The name of the user in the settings.
    pub user: &'a str,
    /// The name that the file will have.
    pub name: &'a [u8],
    /// Renames the file to a name in a directory, if both are on one file system and the name is new.
    pub rename: &'a Rename<'a>,
}

/// See [`Question::rename`].
pub type Rename<'a> = dyn Fn(BorrowedFd<'_>, &Path) -> io::Result<()> + 'a;

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("part", &self.part).finish_non_exhaustive()
    }
}

/// The result of having an upload judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The upload is accepted.
    Accepted,
    /// The upload is refused, for this reason.
    Refused(String, Kept),
    /// The upload was not judged, for this reason.
    Unanswered(String),
    /// Nobody waits for the verdict any more.
    Over,
}

/// What has become of a refused file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It is where it was, and can be removed.
    No,
    /// It has this path in the quarantine.
    At(PathBuf),
    /// It could not be moved to the quarantine, for this reason, and can be removed.
    Failed(String),
}

/// Maximum length of the reason of a refusal in characters.
const LONGEST: usize = 200;

/// Returns a text of strangers as one short line without control characters.
pub(super) fn line_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let clean = |letter: char| if letter.is_control() { '?' } else { letter };
    line.chars().map(clean).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_reason_is_one_short_line_without_control_characters() {
        assert_eq!(line_of(b"\n  infected: x\r\nsecond"), "infected: x");
        assert_eq!(line_of(b"a\x1b[31m\x07b\xFF"), "a?[31m?b\u{FFFD}");
        assert_eq!(line_of(b"a\r226 ok"), "a?226 ok");
        assert_eq!(line_of(b""), "");
        assert_eq!(line_of("ä".repeat(1000).as_bytes()).chars().count(), 200);
    }
}
