//! What is asked about an upload, and what can be answered.

use std::fs::File;
use std::path::Path;

use crate::config::{GateLimits, GateRules};
use crate::events::{Event, Owner};
use crate::rights::Ids;

/// An upload that is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What judges it.
    pub rules: &'a GateRules,
    /// How long that may take.
    pub limits: &'a GateLimits,
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
}

/// What has become of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The upload is accepted.
    Accepted,
    /// The upload is refused, for this reason.
    Refused(String),
    /// The upload was not judged, for this reason.
    Unanswered(String),
    /// Nobody waits for the verdict any more.
    Over,
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
