//! The result: sections of settings that grow line by line.

use std::fmt::Write;

use crate::config::edit;

/// What became of a file.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// The settings.
    pub(super) text: String,
    /// Lines that were left out, and why.
    pub(super) faults: Vec<(usize, String)>,
}

/// Lines of a section that grows.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) text: String,
}

impl Section {
    pub(super) fn new(name: &str) -> Self {
        Self { text: format!("[{name}]\n") }
    }

    /// `key = value`; a value that cannot stand there becomes a comment.
    // this and the next two have many callers, and no hurry
    #[inline(never)]
    pub(super) fn set(&mut self, key: &str, value: &str) {
        match edit::quoted(value) {
            // a String takes whatever is written to it
            Some(value) => drop(writeln!(self.text, "{key} = {value}")),
            None => self.no_equal(key),
        }
    }

    /// What cannot be taken over.
    #[inline(never)]
    pub(super) fn no_equal(&mut self, what: &str) {
        self.note(&format!("no equal: {what}"));
    }

    /// All of it as a comment, so that nobody is let in by it.
    pub(super) fn held(&self) -> String {
        let held = self.text.lines().map(|line| match line.strip_prefix("; ") {
            Some(_) => format!("{line}\n"),
            None => format!(";{line}\n"),
        });
        held.collect()
    }

    #[inline(never)]
    pub(super) fn note(&mut self, text: &str) {
        let tame = |letter: char| if letter.is_control() { ' ' } else { letter };
        let text: String = text.chars().map(tame).collect();
        let _ = writeln!(self.text, "; {text}");
    }
}
