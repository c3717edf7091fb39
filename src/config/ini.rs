//! Reads a file into sections, keys and values with their line numbers. This module does not know
//! which keys exist.
//!
//! The crate `ini` reads the values. It does not give line numbers, it silently merges sections and
//! keys that appear twice, and it stops at the first fault. Therefore the lines are indexed first:
//! the index finds these faults, and hides the faulty lines from the crate.

use std::collections::HashMap;

use ini::configparser::ini::{Ini, IniDefault};

use super::error::{Fault, Location};

/// The content of a file, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The sections, in their order.
    pub(super) sections: Vec<Section>,
    /// Faults of lines that could not be read.
    pub(super) faults: Vec<(Location, Fault)>,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    /// Name of the section; the part before a colon is in lower case.
    pub(super) name: String,
    /// Line number of the header, from 1.
    pub(super) line: usize,
    /// The keys and values of the section, in their order.
    pub(super) entries: Vec<Assignment>,
}

/// A line `key = value`, or a variable of the environment.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    /// The key, in lower case.
    pub(super) key: String,
    /// The value, trimmed and without the double quotes around it.
    pub(super) value: String,
    /// Line number, from 1. The numbers of variables come after those of all lines.
    pub(super) line: usize,
}

pub(super) const COMMENTS: [char; 2] = [';', '#'];
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a whole file.
pub(super) fn read(bytes: &[u8]) -> Document {
    let index = Index::of(bytes);
    let mut rules = IniDefault::default();
    rules.comment_symbols = COMMENTS.to_vec();
    rules.delimiters = vec!['='];
    rules.case_sensitive = true;
    rules.enable_inline_comments = false;
    let Index { sections: found, mut faults, clean, .. } = index;
    let ends: Vec<_> = found.iter().skip(1).map(|next| next.begin).collect();
    let mut sections = Vec::with_capacity(found.len());
    for (found, end) in found.into_iter().zip(ends.into_iter().chain([clean.len()])) {
        // one section at a time, because the reader keeps two more copies of its text
        let mut reader = Ini::new_from_defaults(rules.clone());
        let text = clean.get(found.begin..end).unwrap_or_default();
        let mut values = reader.read(text.to_owned()).unwrap_or_else(|why| {
            faults.push((Location::default(), Fault::Unreadable(why)));
            HashMap::default()
        });
        let mut values = values.remove(&found.raw).unwrap_or_default();
        let entries = found.keys.into_iter().filter_map(|(key, line)| {
            let value = unquote(&values.remove(&key)??).to_owned();
            Some(Assignment { key: key.to_lowercase(), value, line })
        });
        sections.push(Section {
            entries: entries.collect(),
            name: found.name,
            line: found.line,
        });
    }
    Document { sections, faults }
}

/// Reads a file for the fuzz targets. Returns the section, key, value and line number of each entry
/// that can be read, and the number of faults.
#[doc(hidden)]
pub fn rows(bytes: &[u8]) -> (Vec<(String, String, String, usize)>, usize) {
    let document = read(bytes);
    let rows = document.sections.into_iter().flat_map(|section| {
        let name = section.name;
        let row = move |entry: Assignment| (name.clone(), entry.key, entry.value, entry.line);
        section.entries.into_iter().map(row)
    });
    (rows.collect(), document.faults.len())
}

/// Removes double quotes around a value, which preserve spaces at its ends. All characters between
/// them are ordinary ones.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// An index of a file: the lines on which its sections and keys are.
#[derive(Default)]
struct Index {
    sections: Vec<Found>,
    faults: Vec<(Location, Fault)>,
    /// Name of the current section, if its header could be read.
    current: Option<String>,
    /// The text with an empty line in place of each comment and each faulty line.
    clean: String,
}

struct Found {
    raw: String,
    /// Offset of the header in the clean text.
    begin: usize,
    name: String,
    line: usize,
    keys: Vec<(String, usize)>,
}

/// The section that the next key belongs to.
enum Within {
    Nothing,
    Section(HashMap<String, usize>),
    Repeated,
}

impl Index {
    fn of(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut index = Self::default();
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut within = Within::Nothing;
        for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            let kept = match std::str::from_utf8(raw).map(str::trim) {
                Err(_) => {
                    index.fault(line, None, Fault::NotText);
                    None
                }
                Ok(text) if text.is_empty() || text.starts_with(COMMENTS) => None,
                Ok(text) if text.starts_with('[') => {
                    within = index.header(line, text, &mut names);
                    matches!(within, Within::Section(_)).then_some(text)
                }
                Ok(text) => index.entry(line, text, &mut within).then_some(text),
            };
            index.clean.push_str(kept.unwrap_or_default());
            index.clean.push('\n');
        }
        index
    }

    fn header(
        &mut self,
        line: usize,
        text: &str,
        names: &mut HashMap<String, usize>,
    ) -> Within {
        let Some(raw) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            self.current = None;
            self.faults.push((Location { line, ..Location::default() }, Fault::BadSectionLine));
            return Within::Repeated;
        };
        let name = plain_name(raw);
        self.current = Some(name.clone());
        if let Some(&first) = names.get(&name) {
            let place = Location { line, section: Some(name), ..Location::default() };
            self.faults.push((place, Fault::RepeatedSection(first)));
            return Within::Repeated;
        }
        names.insert(name.clone(), line);
        let (raw, begin) = (raw.trim().to_owned(), self.clean.len());
        self.sections.push(Found { raw, begin, name, line, keys: Vec::new() });
        Within::Section(HashMap::new())
    }

    /// Adds a line to the index. Returns whether it is a valid `key = value`.
    fn entry(&mut self, line: usize, text: &str, within: &mut Within) -> bool {
        let key = text.split_once('=').map_or("", |(key, _)| key.trim());
        if !is_key(key) {
            // the message does not show the line, because it may contain a password
            self.fault(line, None, Fault::NotAnEntry);
            return false;
        }
        let lower = key.to_lowercase();
        match within {
            Within::Repeated => false,
            Within::Nothing => {
                self.fault(line, Some(lower), Fault::OutsideSection);
                false
            }
            Within::Section(seen) => {
                if let Some(&first) = seen.get(&lower) {
                    self.fault(line, Some(lower), Fault::RepeatedKey(first));
                    return false;
                }
                seen.insert(lower, line);
                if let Some(section) = self.sections.last_mut() {
                    section.keys.push((key.to_owned(), line));
                }
                true
            }
        }
    }

    fn fault(&mut self, line: usize, key: Option<String>, fault: Fault) {
        let section = self.current.clone();
        self.faults.push((Location { line, section, key, ..Location::default() }, fault));
    }
}

/// Returns whether a text is one word and so may be a key.
pub(super) fn is_key(key: &str) -> bool {
    let in_word = |letter: char| letter.is_alphanumeric() || "_-.".contains(letter);
    !key.is_empty() && key.chars().all(in_word)
}

/// Returns a section's name in its normal form: ` User : Bob ` becomes `user:Bob`. Only the part
/// after the colon keeps its case.
pub(super) fn plain_name(raw: &str) -> String {
    match raw.split_once(':') {
        Some((kind, name)) => format!("{}:{}", kind.trim().to_lowercase(), name.trim()),
        None => raw.trim().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &[u8]) -> Vec<(String, String, String, usize)> {
        let document = read(text);
        assert_eq!(document.faults, []);
        let flat = document.sections.iter().flat_map(|section| {
            section.entries.iter().map(|entry| {
                (section.name.clone(), entry.key.clone(), entry.value.clone(), entry.line)
            })
        });
        flat.collect()
    }

    fn row(
        section: &str,
        key: &str,
        value: &str,
        line: usize,
    ) -> (String, String, String, usize) {
        (section.into(), key.into(), value.into(), line)
    }

    #[test]
    fn values_keep_what_other_readers_take_for_comments_or_separators() {
        for secret in ["a;b", "a#b", "a=b", "a:b", r"a\b", r#"a"b"#, "a b", "=", ";", "[x]"] {
            let text = format!("[user:Bob]\npassword = {secret}\n");
            assert_eq!(values(text.as_bytes()), [row("user:Bob", "password", secret, 2)]);
        }
    }

    #[test]
    fn quotes_keep_outer_spaces_and_only_the_outer_pair_goes() {
        let text = b"[s]\na = \"  x \"\nb = \"\nc = \"\"\nd = \"\"q\"\"\n";
        let values: Vec<_> = values(text).into_iter().map(|row| row.2).collect();
        assert_eq!(values, ["  x ", "\"", "", "\"q\""]);
    }

    #[test]
    fn a_byte_order_mark_and_crlf_change_nothing() {
        let text = b"\xEF\xBB\xBF[Server]\r\nPort = 21\r\n\r\n; note\r\nip=::\r\n";
        assert_eq!(
            values(text),
            [row("server", "port", "21", 2), row("server", "ip", "::", 5)]
        );
    }

    #[test]
    fn every_faulty_line_is_reported_and_the_rest_is_still_read() {
        let text =
            b"early = 1\n[s\n[s] x\n[s]\nnonsense\n= 1\nk = \xFF\nk = 1\nK = 2\n[s]\nk = 3\n";
        let document = read(text);
        let faults: Vec<_> =
            document.faults.iter().map(|(place, fault)| (place.line, fault.clone())).collect();
        assert_eq!(
            faults,
            [
                (1, Fault::OutsideSection),
                (2, Fault::BadSectionLine),
                (3, Fault::BadSectionLine),
                (5, Fault::NotAnEntry),
                (6, Fault::NotAnEntry),
                (7, Fault::NotText),
                (9, Fault::RepeatedKey(8)),
                (10, Fault::RepeatedSection(4)),
            ]
        );
        assert_eq!(document.sections.len(), 1);
        assert_eq!(document.sections[0].entries[0].value, "1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            read(&bytes);
        }

        #[test]
        fn a_quoted_value_comes_back_as_it_was_written(value in "[^\r\n\u{0}]*") {
            let text = format!("[user:x]\npassword = \"{value}\"\n");
            prop_assert_eq!(values(text.as_bytes()), [row("user:x", "password", &value, 2)]);
        }
    }
}
