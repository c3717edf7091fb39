//! Escaping text that strangers have chosen, for example names of files and users, so that it
//! can neither forge a line of the log nor control the terminal that shows it.
//!
//! Only this file decides which characters are escaped. Text and JSON escape exactly the same
//! ones, and differ only in how they spell them.

use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;

/// How an escaped character is spelled.
type Spelling = fn(char, &mut dyn Write) -> fmt::Result;

/// Returns bytes in a form that is safe in a line of the log: control characters, `"`, `\`,
/// characters that are invisible or change the direction of text, and bytes that are not UTF-8
/// are escaped.
pub fn escaped(bytes: &[u8]) -> impl Display + '_ {
    Escaped(bytes)
}

/// Returns a path in double quotes, escaped as by [`escaped`].
pub fn path(path: &Path) -> impl Display + '_ {
    QuotedPath(path)
}

/// Whether a character is invisible or changes the direction of the text around it. Terminals
/// do not show such characters, and some obey them.
fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether a character is escaped wherever text from strangers is printed: control characters,
/// characters for which [`is_unseen`] is true, and characters that some programs take for the
/// end of a line.
fn is_odd(letter: char) -> bool {
    letter.is_control() || is_unseen(letter) || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// Whether a byte is a character that is never escaped.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// Returns the bytes as text if none of them is escaped, as in most names.
fn plain(bytes: &[u8]) -> Option<&str> {
    let is_plain = bytes.iter().all(|&byte| is_plain(byte));
    is_plain.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

/// Writes text that is to be put between quotes: quotes and backslashes are escaped as well.
fn write_quoted(out: &mut dyn Write, text: &str, spelling: Spelling) -> fmt::Result {
    if let Some(text) = plain(text.as_bytes()) {
        return out.write_str(text);
    }
    text.chars().try_for_each(|letter| match letter {
        '"' | '\\' => write!(out, "\\{letter}"),
        _ if is_odd(letter) => spelling(letter, out),
        _ => out.write_char(letter),
    })
}

/// Spells a character as the log does for people: `\x1b` or `\u{202e}`.
fn for_people(letter: char, out: &mut dyn Write) -> fmt::Result {
    if letter.is_ascii_control() {
        return write!(out, "\\x{:02x}", u32::from(letter));
    }
    write!(out, "{}", letter.escape_unicode())
}

/// Spells a character as JSON does: `\u202e`, and two such numbers for a character beyond
/// U+FFFF.
fn for_json(letter: char, out: &mut dyn Write) -> fmt::Result {
    letter.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
}

/// Writes bytes as [`escaped`] prints them.
pub(super) fn write_escaped(out: &mut dyn Write, bytes: &[u8]) -> fmt::Result {
    if let Some(text) = plain(bytes) {
        return out.write_str(text);
    }
    for chunk in bytes.utf8_chunks() {
        write_quoted(out, chunk.valid(), for_people)?;
        chunk.invalid().iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))?;
    }
    Ok(())
}

/// Bytes from a stranger, as [`escaped`] prints them.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0)
    }
}

/// A path, as [`path`] prints it.
struct QuotedPath<'a>(&'a Path);

impl Display for QuotedPath<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(self.0.as_os_str().as_encoded_bytes()))
    }
}

/// A string of JSON, in quotes.
pub(super) struct JsonString<'a>(pub(super) &'a str);

impl Display for JsonString<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write_quoted(f, self.0, for_json)?;
        f.write_char('"')
    }
}

/// Prints a value as one line of JSON in which every character that [`escaped`] escapes is
/// escaped.
pub fn json(value: &serde_json::Value) -> String {
    tame(&value.to_string())
}

/// Escapes the characters for which [`is_odd`] is true in a text that is JSON already. They
/// occur in its strings only.
fn tame(text: &str) -> String {
    let mut tame = String::with_capacity(text.len());
    for letter in text.chars() {
        // writing to a String cannot fail
        let _ =
            if is_odd(letter) { for_json(letter, &mut tame) } else { tame.write_char(letter) };
    }
    tame
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_escapes_each_letter_that_text_escapes_and_no_other() {
        for letter in '\0'..=char::MAX {
            let plain = letter.to_string();
            let text = Escaped(plain.as_bytes()).to_string();
            let json = JsonString(&plain).to_string();
            let is_escaped = json.trim_matches('"') != plain;
            assert_eq!(text != plain, is_escaped, "{letter:?}");
            assert_eq!(is_odd(letter) || "\"\\".contains(letter), is_escaped, "{letter:?}");
            if is_escaped {
                assert!(!text.contains(is_odd) && !json.contains(is_odd), "{letter:?}");
                assert_eq!(serde_json::from_str::<String>(&json).unwrap(), plain);
            }
        }
    }

    #[test]
    fn a_tame_text_reads_as_before_and_has_nothing_that_a_terminal_obeys() {
        let odd = "\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200e}\u{202a}\u{202e}\u{2028}\u{2066}\u{feff}\u{e0001}";
        let value = serde_json::json!({ format!("a{odd}"): [odd, "ü\"\\\n", 1.5, null] });
        let text = json(&value);
        assert!(!text.contains(is_odd) && text.contains("\\udb40\\udc01"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
