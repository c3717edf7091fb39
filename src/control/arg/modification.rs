//! The facts that MFF sets, and the argument of SITE CHGRP.

use super::choice::mode;
use super::text::{Pathname, pathname, word_and_rest, words};
use super::time::{Moment, time_val};
use crate::control::syntax::SyntaxError;

/// The facts that MFF sets. At least one is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modification {
    /// The modification time.
    pub modified: Option<Moment>,
    /// The permission bits.
    pub mode: Option<u32>,
    /// The name or number of the group.
    pub group: Option<String>,
}

/// Reads facts and a path. Names ignore case; the last semicolon may be missing, as with ncftp.
pub(in crate::control) fn facts_and_path(
    text: &[u8],
) -> Result<(Modification, Pathname), SyntaxError> {
    let (facts, path) = word_and_rest(text)?;
    let mut all = Modification::default();
    for fact in words(facts)?.split_terminator(';') {
        let (name, value) = fact.split_once('=').ok_or(SyntaxError::BadArgument)?;
        let is_new = match name.to_ascii_lowercase().as_str() {
            "modify" => all.modified.replace(time_val(value.as_bytes())?).is_none(),
            "unix.mode" => all.mode.replace(mode(value.as_bytes())?).is_none(),
            "unix.group" => all.group.replace(group(value)?).is_none(),
            _ => return Err(SyntaxError::UnknownFact),
        };
        if !is_new {
            return Err(SyntaxError::BadArgument);
        }
    }
    if all == Modification::default() {
        return Err(SyntaxError::BadArgument);
    }
    Ok((all, pathname(path)?))
}

/// Reads the argument of MFF if it sets nothing but the modification time.
pub(in crate::control) fn time_alone_and_path(
    text: &[u8],
) -> Result<(Modification, Pathname), SyntaxError> {
    let (facts, path) = facts_and_path(text)?;
    let is_alone = facts.mode.is_none() && facts.group.is_none();
    if is_alone { Ok((facts, path)) } else { Err(SyntaxError::BadArgument) }
}

/// Reads the argument of MFF if it sets the mode or the group.
pub(in crate::control) fn mode_facts_and_path(
    text: &[u8],
) -> Result<(Modification, Pathname), SyntaxError> {
    let (facts, path) = facts_and_path(text)?;
    let is_it = facts.mode.is_some() || facts.group.is_some();
    if is_it { Ok((facts, path)) } else { Err(SyntaxError::BadArgument) }
}

/// Reads the name or number of a group, and a path.
pub(in crate::control) fn group_and_path(
    text: &[u8],
) -> Result<(String, Pathname), SyntaxError> {
    let (first, rest) = word_and_rest(text)?;
    Ok((group(words(first)?)?, pathname(rest)?))
}

fn group(text: &str) -> Result<String, SyntaxError> {
    // the system's functions take no NUL
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name { Ok(text.to_owned()) } else { Err(SyntaxError::BadArgument) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn facts_are_read_in_any_order_and_each_once() {
        let (facts, path) =
            facts_and_path(b"unix.MODE=640;Modify=20240229120000;UNIX.group=7; a b").unwrap();
        assert_eq!(path.as_bytes(), b"a b");
        assert_eq!(facts.modified, Some(Moment(1_709_208_000)));
        assert_eq!((facts.mode, facts.group.as_deref()), (Some(0o640), Some("7")));
        assert!(facts_and_path(b"UNIX.mode=640 a").is_ok());
        for (text, why) in [
            ("modify=20240229120000;create=20240229120000; a", SyntaxError::UnknownFact),
            ("size=5; a", SyntaxError::UnknownFact),
            ("modify=2024; a", SyntaxError::BadTime),
            ("UNIX.mode=4755; a", SyntaxError::BadMode),
            ("UNIX.mode=640;UNIX.mode=600; a", SyntaxError::BadArgument),
            ("UNIX.group=; a", SyntaxError::BadArgument),
            ("modify; a", SyntaxError::BadArgument),
            ("; a", SyntaxError::BadArgument),
            (" a", SyntaxError::BadArgument),
            ("UNIX.mode=640;", SyntaxError::MissingArgument),
            ("UNIX.mode=640; ", SyntaxError::MissingArgument),
        ] {
            assert_eq!(facts_and_path(text.as_bytes()), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_facts_panic(text: Vec<u8>) {
            let _ = (facts_and_path(&text), group_and_path(&text));
        }
    }
}
