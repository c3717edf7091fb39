//! Arguments with quotes around paths or with ranges of bytes: those of RANG, XCRC and its kin, and
//! SITE SYMLINK.

use super::text::{Pathname, offset, pathname, words};
use crate::control::syntax::SyntaxError;

/// The argument of XCRC and its kin: a path, perhaps in quotes, and perhaps a range. A name may look
/// like that as well, so all readings are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangedPath {
    readings: Vec<(Pathname, Option<Bounds>)>,
}

/// The first byte of a range, and the byte after its last one.
pub(in crate::control) type Bounds = (u64, u64);

impl RangedPath {
    /// Returns the first reading whose path exists, beginning with the whole text as a path; if none
    /// exists, the whole text.
    pub fn meant(
        &self,
        is_there: impl Fn(&Pathname) -> bool,
    ) -> Option<&(Pathname, Option<Bounds>)> {
        let there = self.readings.iter().find(|(path, _)| is_there(path));
        there.or(self.readings.first())
    }
}

/// Reads `path`, `path start end` and `"path" start end`.
pub(in crate::control) fn ranged_path(text: &[u8]) -> Result<RangedPath, SyntaxError> {
    let mut texts = vec![(text.to_vec(), None)];
    texts.extend(unquoted(text).map(|path| (path, None)));
    if let Some((path, bounds)) = bounded(text) {
        texts.push((path.to_vec(), Some(bounds)));
        texts.extend(unquoted(path).map(|path| (path, Some(bounds))));
    }
    let read = |(path, bounds): (Vec<u8>, _)| Ok((pathname(&path)?, bounds));
    Ok(RangedPath { readings: texts.into_iter().map(read).collect::<Result<_, _>>()? })
}

/// Splits two numbers from the end of a text.
fn bounded(text: &[u8]) -> Option<(&[u8], Bounds)> {
    let mut words = text.rsplitn(3, |&byte| byte == b' ');
    let (end, start) = (words.next()?, words.next()?);
    let path = words.next().filter(|path| !path.is_empty())?;
    Some((path, (offset(start).ok()?, offset(end).ok()?)))
}

/// Reads two paths with a space between them. A path that contains a space or begins with a quote must
/// stand in quotes.
pub(in crate::control) fn two_paths(text: &[u8]) -> Result<(Pathname, Pathname), SyntaxError> {
    let spaces = text.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
    let whole = |path: &[u8]| match unquoted(path) {
        Some(path) => Some(path),
        None if path.contains(&b' ') || path.is_empty() || path.starts_with(b"\"") => None,
        None => Some(path.to_vec()),
    };
    let mut fits = spaces.filter_map(|at| {
        let (first, second) = (text.get(..at)?, text.get(at + 1..)?);
        Some((whole(first)?, whole(second)?))
    });
    match (fits.next(), fits.next()) {
        (Some((first, second)), None) => Ok((pathname(&first)?, pathname(&second)?)),
        (None, _) if !text.contains(&b' ') => Err(SyntaxError::MissingArgument),
        _ => Err(SyntaxError::BadArgument),
    }
}

/// Returns what a text in quotes contains. A doubled quote stands for one.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let inner =
        text.strip_prefix(b"\"")?.strip_suffix(b"\"").filter(|text| !text.is_empty())?;
    let mut plain = Vec::new();
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'"' && bytes.next() != Some(&b'"') {
            return None;
        }
        plain.push(byte);
    }
    Some(plain)
}

/// Reads the argument of RANG: the first and the last byte; `None` for `1 0`, which cancels a range.
pub(in crate::control) fn range(text: &[u8]) -> Result<Option<Bounds>, SyntaxError> {
    let text = words(text)?;
    let (start, end) = text.split_once(' ').ok_or(SyntaxError::MissingArgument)?;
    match (offset(start.as_bytes())?, offset(end.as_bytes())?) {
        (1, 0) => Ok(None),
        (start, end) if start <= end => Ok(Some((start, end + 1))),
        _ => Err(SyntaxError::BadNumber),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meant(text: &[u8], there: &[u8]) -> (Vec<u8>, Option<Bounds>) {
        let readings = ranged_path(text).unwrap();
        let (path, bounds) = readings.meant(|path| path.as_bytes() == there).unwrap();
        (path.as_bytes().to_vec(), *bounds)
    }

    #[test]
    fn a_path_may_have_quotes_and_a_range_and_a_name_that_exists_comes_first() {
        for (text, there, bounds) in [
            ("a", "a", None),
            ("a b", "a b", None),
            ("a b 5 9", "a b", Some((5, 9))),
            ("a b 5 9", "a b 5 9", None),
            ("\"a b\" 5 9", "a b", Some((5, 9))),
            ("\"a b\"", "a b", None),
            ("\"a b\"", "\"a b\"", None),
            ("\"a\"\"b\" 0 1", "a\"b", Some((0, 1))),
            ("a  0 1", "a ", Some((0, 1))),
        ] {
            assert_eq!(
                meant(text.as_bytes(), there.as_bytes()),
                (there.into(), bounds),
                "{text}"
            );
        }
        for text in ["a 5", "a -1 5", "a +1 5", "a 0 9223372036854775808", "0 5", "\"a"] {
            let (path, bounds) = meant(text.as_bytes(), b"a");
            assert_eq!((path.as_slice(), bounds), (text.as_bytes(), None), "{text}");
        }
    }

    #[test]
    fn a_range_has_its_last_byte_after_its_first_one() {
        assert_eq!(range(b"0 0"), Ok(Some((0, 1))));
        assert_eq!(range(b"5 9"), Ok(Some((5, 10))));
        assert_eq!(range(b"1 0"), Ok(None));
        assert_eq!(range(b"0 9223372036854775807"), Ok(Some((0, 1 << 63))));
        for text in ["5 4", "2 0", "-1 5", "0 9223372036854775808", "5", "1 2 3", "a b", ""] {
            assert!(range(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn two_paths_have_one_space_between_them_or_quotes() {
        let two = |text: &str| {
            let (one, two) = two_paths(text.as_bytes()).ok()?;
            let text = |path: Pathname| String::from_utf8(path.as_bytes().to_vec()).unwrap();
            Some((text(one), text(two)))
        };
        for (line, one, other) in [
            ("a b", "a", "b"),
            ("\"a b\" c", "a b", "c"),
            ("a \"b c\"", "a", "b c"),
            ("\"a b\" \"c d\"", "a b", "c d"),
            ("\"a\" b", "a", "b"),
        ] {
            assert_eq!(two(line), Some((one.to_owned(), other.to_owned())), "{line}");
        }
        for line in ["a", "a ", " a", "a  b", "a b c", "\"a b c", "\"a b\"", "", " "] {
            assert_eq!(two(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_range_panic(text: Vec<u8>) {
            let _ = (ranged_path(&text), range(&text), two_paths(&text));
        }
    }
}
