//! The result of an import: sections of settings that are written line by line.

use std::fmt::Write;

use crate::config::edit;

/// The result of importing a file.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// The settings.
    pub(super) text: String,
    /// The numbers of lines that were left out, and why.
    pub(super) faults: Vec<(usize, String)>,
}

/// A section of settings, or lines of comment.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) text: String,
}

impl Section {
    pub(super) fn new(name: &str) -> Self {
        Self { text: format!("[{name}]\n") }
    }

    /// Adds `key = value`. If the settings cannot hold the value, adds a comment instead.
    // this function and the next two have many callers and need not be fast, so they are not
    // inlined
    #[inline(never)]
    pub(super) fn set(&mut self, key: &str, value: &str) {
        match edit::quoted(value) {
            // writing to a String cannot fail
            Some(value) => drop(writeln!(self.text, "{key} = {value}")),
            None => self.no_equal(key),
        }
    }

    /// Adds a comment about a setting that this server does not have.
    #[inline(never)]
    pub(super) fn no_equal(&mut self, what: &str) {
        self.note(&format!("no equivalent: {what}"));
    }

    /// Returns the whole section as a comment, so that no user can log in by it.
    pub(super) fn held(&self) -> String {
        let held = self.text.lines().map(|line| match line.strip_prefix("; ") {
            Some(_) => format!("{line}\n"),
            None => format!(";{line}\n"),
        });
        held.collect()
    }

    #[inline(never)]
    /// Adds a comment.
    pub(super) fn note(&mut self, text: &str) {
        let tame = |letter: char| if letter.is_control() { ' ' } else { letter };
        let text: String = text.chars().map(tame).collect();
        let _ = writeln!(self.text, "; {text}");
    }
}
