//! Readers that several kinds share. An error says what is wrong with the text, worded to follow
//! the quoted text: `'TEXT' is not a whole number`.

use std::ops::RangeInclusive;

pub(super) fn number(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let number = whole(text).ok_or_else(|| "is not a whole number".to_owned())?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!("is not between {} and {}", range.start(), range.end()))
    }
}

/// Reads a number that consists only of digits. `str::parse` alone would accept a sign.
pub(super) fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Ok(true),
        "off" | "no" | "false" | "0" => Ok(false),
        _ => Err("is neither on nor off".to_owned()),
    }
}

/// Returns `on` or `off` for any spelling of a switch, or `None` if the text is not a switch.
pub(super) fn switch_word(text: &str) -> Option<&'static str> {
    Some(if switch(text).ok()? { "on" } else { "off" })
}
