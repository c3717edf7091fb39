//! Readers that several kinds share. An error is what is wrong with the text, in words that follow
//! it in quotes: "is not a whole number".

use std::ops::RangeInclusive;

pub(super) fn number(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let number = whole(text).ok_or_else(|| "is not a whole number".to_owned())?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!("is not between {} and {}", range.start(), range.end()))
    }
}

/// Reads a number that is made of digits alone: `parse` would accept a sign.
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

/// Returns the usual spelling of a switch, or `None` if the text is not a switch.
pub(super) fn switch_word(text: &str) -> Option<&'static str> {
    Some(if switch(text).ok()? { "on" } else { "off" })
}
