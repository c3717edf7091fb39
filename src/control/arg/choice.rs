//! Arguments that choose one of a few values: those of TYPE, STRU, MODE, SITE CHMOD and OPTS.

use super::text::{Pathname, number, pathname, word_and_rest, words};
use crate::control::syntax::SyntaxError;
use crate::data::listing::{Fact, Facts};
use crate::vfs::Algorithm;

/// The argument of TYPE (RFC 959 §3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferType {
    /// `A`, `A N`.
    Ascii,
    /// `I`, `L 8`.
    Image,
    /// A type, format or byte size that is defined but not supported.
    Other,
}

pub(in crate::control) fn transfer_type(text: &[u8]) -> Result<TransferType, SyntaxError> {
    // some clients send `L8`
    let compact: Vec<_> =
        text.iter().filter(|byte| **byte != b' ').map(u8::to_ascii_uppercase).collect();
    match compact.as_slice() {
        b"A" | b"AN" => Ok(TransferType::Ascii),
        b"I" | b"L8" => Ok(TransferType::Image),
        [b'A' | b'E' | b'I', ..] => Ok(TransferType::Other),
        [b'L', digits @ ..] if number(digits).is_ok() => Ok(TransferType::Other),
        _ => Err(SyntaxError::BadArgument),
    }
}

/// Reads the letter of STRU or MODE, and returns it in upper case.
pub(in crate::control) fn letter(text: &[u8]) -> Result<u8, SyntaxError> {
    match text.trim_ascii() {
        [letter] if letter.is_ascii_alphabetic() => Ok(letter.to_ascii_uppercase()),
        _ => Err(SyntaxError::BadArgument),
    }
}

/// Reads permission bits in octal. Bits other than read, write and execute are refused.
pub(in crate::control) fn mode(text: &[u8]) -> Result<u32, SyntaxError> {
    let text = words(text)?;
    let octal = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| octal && mode <= 0o777);
    mode.ok_or(SyntaxError::BadMode)
}

pub(in crate::control) fn mode_and_path(text: &[u8]) -> Result<(u32, Pathname), SyntaxError> {
    let (first, rest) = word_and_rest(text)?;
    Ok((mode(first)?, pathname(rest)?))
}

/// Reads the facts of OPTS MLST. Unknown facts are ignored, but a word that cannot be the name
/// of a fact makes the argument invalid (RFC 3659 §7.9). The last semicolon may be missing.
pub(in crate::control) fn facts(text: &[u8]) -> Result<Facts, SyntaxError> {
    let text = words(text)?;
    let known =
        |name: &str| Fact::ALL.into_iter().find(|fact| fact.name().eq_ignore_ascii_case(name));
    let names = || text.split_terminator(';');
    if names().all(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        Ok(names().filter_map(known).fold(Facts::NONE, Facts::with))
    } else {
        Err(SyntaxError::BadArgument)
    }
}

/// Reads the name of an algorithm for HASH; `None` if there is none.
pub(in crate::control) fn algorithm(text: &[u8]) -> Result<Option<Algorithm>, SyntaxError> {
    let text = words(text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let is_it = |one: &Algorithm| one.name().eq_ignore_ascii_case(text);
    Algorithm::ALL.into_iter().find(is_it).map(Some).ok_or(SyntaxError::BadArgument)
}

/// Reads ON or OFF; no argument means ON.
pub(in crate::control) fn switch(text: &[u8]) -> Result<bool, SyntaxError> {
    match text.trim_ascii() {
        on if on.is_empty() || on.eq_ignore_ascii_case(b"ON") => Ok(true),
        off if off.eq_ignore_ascii_case(b"OFF") => Ok(false),
        _ => Err(SyntaxError::BadArgument),
    }
}
