//! Patterns for file names: `*` matches any bytes, `?` matches one byte. Settings contain them, and
//! clients written for older servers send them with NLST and LIST, because they have no other way to
//! carry out `mget *.txt`.
//!
//! Matching takes time proportional to the product of the lengths of pattern and name at most.
//! Braces, sets and recursion are not supported.

use std::fmt;

/// Returns whether a name contains `*` or `?`.
pub fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// Returns whether a name fits a pattern. As in a shell, a name that begins with a dot fits
/// only a pattern that begins with a dot.
pub fn fits(pattern: &[u8], name: &[u8]) -> bool {
    (name.first() != Some(&b'.') || pattern.first() == Some(&b'.')) && matches(pattern, name)
}

/// The patterns of a key. `Display` gives them as in the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// Makes patterns from texts that contain no slash.
    pub(super) fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// Returns whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether `other` contains all of these patterns.
    pub fn all_are_in(&self, other: &Self) -> bool {
        self.0.iter().all(|pattern| other.0.contains(pattern))
    }

    /// Returns the first pattern that fits a name. ASCII letters fit in upper and lower case, and a
    /// star also fits a dot at the beginning.
    pub fn first_for(&self, name: &[u8]) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let fits = |pattern: &&String| matches(pattern.to_ascii_lowercase().as_bytes(), &name);
        self.0.iter().find(fits).map(String::as_str)
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // where to continue when what follows the last star does not fit
    let mut back: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                back = Some((at, from));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at += 1;
                from += 1;
            }
            _ => match &mut back {
                None => return false,
                Some((star, tried)) => {
                    *tried += 1;
                    (at, from) = (*star + 1, *tried);
                }
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_fit_as_in_a_shell() {
        for (pattern, name, wanted) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.bak", false),
            ("*", "a", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("?", "ab", false),
            ("a?c*e", "abcde", true),
            ("a*b*c", "aXbYbZc", true),
            ("", "", true),
            ("**", "", true),
            ("a[b]*", "a[b]c", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_of_settings_ignore_case_and_fit_hidden_names() {
        let patterns = Patterns::new(vec!["*.Exe".to_owned(), "*~".to_owned()]);
        assert_eq!(patterns.first_for(b"a.eXE"), Some("*.Exe"));
        assert_eq!(patterns.first_for(b".exe"), Some("*.Exe"));
        assert_eq!(patterns.first_for(b"a.exe~"), Some("*~"));
        assert_eq!(patterns.first_for(b"exe"), None);
        assert_eq!(Patterns::default().first_for(b""), None);
    }

    #[test]
    fn no_pattern_takes_long() {
        let begin = Instant::now();
        assert!(!fits(&[&b"*a".repeat(120)[..], b"b"].concat(), &[b'a'; 255]));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    /// The meaning of the two signs, written without regard to speed.
    fn simply(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', more)), None) => simply(more, name),
            (Some((b'*', more)), Some((_, rest))) => {
                simply(more, name) || simply(pattern, rest)
            }
            (Some(_), None) => false,
            (Some((wanted, more)), Some((byte, rest))) => {
                (*wanted == b'?' || wanted == byte) && simply(more, rest)
            }
        }
    }

    proptest! {
        #[test]
        fn it_fits_what_the_simple_matcher_fits(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(fits(pattern, name), simply(pattern, name));
        }
    }
}
