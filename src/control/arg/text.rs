//! Pathnames, passwords, words and numbers.

use crate::control::syntax::SyntaxError;

/// A pathname as the client sent it. It contains no NUL, CR or LF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pathname(Vec<u8>);

impl Pathname {
    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A password that a client has sent. `Debug` prints `***`.
pub struct Secret(Vec<u8>);

impl Secret {
    pub(in crate::control) fn of(text: &[u8]) -> Self {
        Self(text.to_vec())
    }

    /// Returns the password. Only the check may use it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

pub(in crate::control) fn pathname(text: &[u8]) -> Result<Pathname, SyntaxError> {
    if text.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(SyntaxError::BadPathname);
    }
    Ok(Pathname(text.to_vec()))
}

/// Reads a restart offset: at most 2^63-1, the maximum size of a file.
pub(in crate::control) fn offset(text: &[u8]) -> Result<u64, SyntaxError> {
    i64::try_from(number(text)?).map(i64::cast_unsigned).map_err(|_| SyntaxError::BadNumber)
}

pub(in crate::control) fn number(text: &[u8]) -> Result<u64, SyntaxError> {
    let text = words(text)?;
    // `parse` would accept a plus sign
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(SyntaxError::BadNumber)
}

/// Reads the size of ALLO, and ignores its record size (RFC 959 §4.1.3).
pub(in crate::control) fn allocation(text: &[u8]) -> Result<u64, SyntaxError> {
    let text = words(text)?;
    let mut words = text.split_ascii_whitespace();
    let size = number(words.next().unwrap_or_default().as_bytes())?;
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Ok(size),
        (Some(r), Some(record), None) if r.eq_ignore_ascii_case("r") => {
            number(record.as_bytes()).map(|_| size)
        }
        _ => Err(SyntaxError::BadNumber),
    }
}

/// Reads a text of one or more words in UTF-8, and trims the blanks around it.
pub(in crate::control) fn words(text: &[u8]) -> Result<&str, SyntaxError> {
    std::str::from_utf8(text.trim_ascii()).map_err(|_| SyntaxError::BadArgument)
}

/// Splits a text into its first word and what follows the next space.
pub(super) fn word_and_rest(text: &[u8]) -> Result<(&[u8], &[u8]), SyntaxError> {
    let space =
        text.iter().position(|&byte| byte == b' ').ok_or(SyntaxError::MissingArgument)?;
    let (first, rest) = text.split_at(space);
    match rest.get(1..) {
        Some(rest) if !rest.is_empty() => Ok((first, rest)),
        _ => Err(SyntaxError::MissingArgument),
    }
}
