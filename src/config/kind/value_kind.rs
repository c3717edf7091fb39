//! The type [`ValueKind`], from which all kinds of value are made.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::parse::{number, switch_word};
use crate::config::error::Fault;

/// A kind of value: how its values are described, and how they are read from text.
pub(in crate::config) struct ValueKind<V: 'static>(Form<V>);

/// The three ways to describe and read a value.
enum Form<V: 'static> {
    /// A whole number within bounds. `optional`: 0 and an empty text mean no limit.
    Number { bounds: RangeInclusive<u64>, optional: bool, make: fn(u64) -> V },
    /// One of several words, each with its value.
    Word(&'static [(&'static str, V)]),
    /// Any other text, with a description of its form and the function that reads it.
    Text { form: &'static str, read: fn(&Given<'_>) -> Result<V, Refused> },
}

/// The text of a value, with what is needed to read it.
pub(in crate::config) struct Given<'a> {
    /// The value as written in the file, trimmed.
    pub(in crate::config) text: &'a str,
    /// The directory that relative paths start from.
    pub(in crate::config) folder: &'a Path,
    /// The name of the user whose settings are read; `None` in `[server]` and in templates.
    pub(in crate::config) user: Option<&'a str>,
}

impl Given<'_> {
    /// Returns the path that the text names, or `None` if the text is empty.
    pub(super) fn path(&self) -> Option<PathBuf> {
        (!self.text.is_empty()).then(|| self.folder.join(self.text))
    }
}

/// Why a text was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The fault of a text, worded to follow the quoted text: `'TEXT' is not a whole number`.
    Text(String),
    /// One part of the text, and the fault of this part.
    Part(String, String),
    /// The fault of a text that must not be shown.
    Secret(&'static str),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Text(why)
    }
}

/// Makes a kind of whole numbers within `bounds`.
pub(super) const fn numbers<V>(
    bounds: RangeInclusive<u64>,
    make: fn(u64) -> V,
) -> ValueKind<V> {
    ValueKind(Form::Number { bounds, optional: false, make })
}

/// Makes a kind of limits within `bounds`, where 0 and an empty text mean no limit.
pub(super) const fn limits<V>(bounds: RangeInclusive<u64>, make: fn(u64) -> V) -> ValueKind<V> {
    ValueKind(Form::Number { bounds, optional: true, make })
}

/// Makes a kind whose values are written as one of several words.
pub(super) const fn words<V>(words: &'static [(&'static str, V)]) -> ValueKind<V> {
    ValueKind(Form::Word(words))
}

/// Makes a kind that is described by `form` and read by the function `read`.
pub(super) const fn texts<V>(
    form: &'static str,
    read: fn(&Given<'_>) -> Result<V, Refused>,
) -> ValueKind<V> {
    ValueKind(Form::Text { form, read })
}

impl<V: Clone> ValueKind<V> {
    /// Returns a description of the valid values, for the manual.
    pub(in crate::config) fn describe(&self) -> String {
        match &self.0 {
            Form::Number { bounds, optional, .. } => {
                let remark = if *optional { ", 0 is no limit" } else { "" };
                format!("{} to {}{remark}", bounds.start(), bounds.end())
            }
            Form::Word(words) => names(words).join(", "),
            Form::Text { form, .. } => (*form).to_owned(),
        }
    }

    /// Reads a value from the text of the file.
    pub(in crate::config) fn read(&self, given: &Given<'_>) -> Result<V, Fault> {
        let read = match &self.0 {
            Form::Number { bounds, optional, make } => {
                let text = if *optional && given.text.is_empty() { "0" } else { given.text };
                number(text, bounds).map(make).map_err(Refused::Text)
            }
            Form::Word(words) => word(given.text, words).map_err(Refused::Text),
            Form::Text { read, .. } => read(given),
        };
        read.map_err(|refused| match refused {
            Refused::Text(why) => Fault::Value(given.text.to_owned(), why),
            Refused::Part(part, why) => Fault::Value(part, why),
            Refused::Secret(why) => Fault::Secret(why),
        })
    }
}

fn names<V>(words: &[(&'static str, V)]) -> Vec<&'static str> {
    words.iter().map(|(name, _)| *name).collect()
}

fn word<V: Clone>(text: &str, words: &[(&'static str, V)]) -> Result<V, String> {
    let find = |wanted: &str| words.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    // other spellings of on and off, or yes and no, are accepted here too
    let found = find(text).or_else(|| {
        let wanted = switch_word(text)?;
        words.iter().find(|(name, _)| switch_word(name) == Some(wanted))
    });
    found
        .map(|(_, value)| value.clone())
        .ok_or_else(|| format!("is not one of {}", names(words).join(", ")))
}
