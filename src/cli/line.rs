//! What is printed of a fact: a verdict, the cause, and what to do about it.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// Not as it should be, but most clients can do their work.
    Warning,
    Failed,
    /// Nothing was tried.
    Skipped,
}

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The name of the check.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// A word for programs, which says why; empty if all is well.
    pub(super) cause: &'static str,
    /// The finding. What a server has sent is escaped in it.
    pub(super) text: String,
    /// What to do, one line each.
    pub(super) cures: Vec<String>,
}

impl Line {
    pub(super) fn good(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, "", text)
    }

    pub(super) fn warning(
        check: &'static str,
        cause: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Warning, cause, text)
    }

    pub(super) fn failed(
        check: &'static str,
        cause: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Failed, cause, text)
    }

    pub(super) fn skipped(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Skipped, "", text)
    }

    fn new(
        check: &'static str,
        verdict: Verdict,
        cause: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self { check, verdict, cause, text: text.into(), cures: Vec::new() }
    }

    /// Adds what to do.
    pub(super) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cures.push(cure.into());
        self
    }

    pub(super) fn cures(mut self, cures: impl IntoIterator<Item = String>) -> Self {
        self.cures.extend(cures);
        self
    }

    /// Returns the line for people; what to do is indented below it.
    pub(super) fn print(&self) -> String {
        let mut text = format!("{:<8} {:<13} {}", self.verdict.word(), self.check, self.text);
        for cure in &self.cures {
            // writing to a String cannot fail
            let _ = write!(text, "\n{:<8} {:<13} - {cure}", "", "");
        }
        text
    }

    /// Returns the line for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "check": self.check,
            "verdict": self.verdict.word().to_lowercase(),
            "cause": self.cause,
            "text": self.text,
            "cures": self.cures,
        })
    }
}

/// Highest number of failures that the exit status can tell.
const MOST: usize = 100;

/// Returns the exit status of a report: the number of checks that failed.
pub(super) fn status(lines: &[Line]) -> ExitCode {
    let failed = lines.iter().filter(|line| line.verdict == Verdict::Failed).count();
    ExitCode::from(u8::try_from(failed.min(MOST)).unwrap_or_default())
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}
