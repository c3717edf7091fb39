//! Names for a file whose own name is taken: `scan (1).pdf` beside `scan.pdf`. This file works on
//! values only.

/// Returns a name with a number before its ending: `scan (1).pdf`, `a (1).tar.gz`, `.profile (1)`.
/// If the result would be longer than `longest` bytes, the part before the number is shortened,
/// between two letters if the name is UTF-8.
pub(super) fn numbered(name: &[u8], number: u32, longest: usize) -> Vec<u8> {
    let number = format!(" ({number})").into_bytes();
    let whole = (name, b"".as_slice());
    let (stem, ending) = name.split_at_checked(end_of_stem(name)).unwrap_or(whole);
    // an ending that leaves no room is none
    let is_short = number.len() + ending.len() < longest;
    let (stem, ending) = if is_short { (stem, ending) } else { whole };
    let most = longest.saturating_sub(number.len() + ending.len());
    [cut(stem, most), &number, ending].concat()
}

/// Returns where the ending of a name begins. A dot at the beginning begins no ending.
fn end_of_stem(name: &[u8]) -> usize {
    let dot_before = |end: usize| {
        let dot = name.get(..end).unwrap_or_default().iter().rposition(|&byte| byte == b'.');
        dot.filter(|&dot| dot > 0)
    };
    let Some(last) = dot_before(name.len()) else { return name.len() };
    // a compressed archive has two endings
    let is_archive =
        |dot: usize| name.get(dot..last).is_some_and(|one| one.eq_ignore_ascii_case(b".tar"));
    dot_before(last).filter(|&dot| is_archive(dot)).unwrap_or(last)
}

fn cut(stem: &[u8], most: usize) -> &[u8] {
    let Some(start) = stem.get(..most) else { return stem };
    let Ok(text) = std::str::from_utf8(stem) else { return start };
    let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    stem.get(..end).unwrap_or_default()
}

/// Finds a number from `first` on that is not taken, after few questions: if the next numbers are
/// taken, it searches far ahead, and then back to a free number after a taken one. Returns `None`
/// if all numbers seem to be taken.
pub(super) fn first_free<E>(
    first: u32,
    mut is_taken: impl FnMut(u32) -> Result<bool, E>,
) -> Result<Option<u32>, E> {
    if !is_taken(first)? {
        return Ok(Some(first));
    }
    let (mut taken, mut step) = (first, 1_u32);
    let mut free = loop {
        let Some(next) = taken.checked_add(step) else { return Ok(None) };
        if !is_taken(next)? {
            break next;
        }
        (taken, step) = (next, step.saturating_mul(2));
    };
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        if is_taken(middle)? {
            taken = middle;
        } else {
            free = middle;
        }
    }
    Ok(Some(free))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_comes_before_the_ending() {
        for (name, expected) in [
            ("scan.pdf", "scan (1).pdf"),
            ("a.b.pdf", "a.b (1).pdf"),
            ("a.tar.gz", "a (1).tar.gz"),
            ("a.TAR.xz", "a (1).TAR.xz"),
            ("tar.gz", "tar (1).gz"),
            (".tar.gz", ".tar (1).gz"),
            ("README", "README (1)"),
            (".profile", ".profile (1)"),
            (".profile.old", ".profile (1).old"),
            ("a.", "a (1)."),
            ("...", ".. (1)."),
            ("scan (1).pdf", "scan (1) (1).pdf"),
        ] {
            assert_eq!(numbered(name.as_bytes(), 1, 255), expected.as_bytes(), "{name}");
        }
        assert_eq!(numbered(b"\xff\xfe.\xfd", 12, 255), b"\xff\xfe (12).\xfd");
    }

    #[test]
    fn a_name_that_would_be_too_long_loses_its_last_letters() {
        assert_eq!(numbered(b"abcdefgh.pdf", 1, 12), b"abcd (1).pdf");
        // \u{e4} has two bytes
        assert_eq!(numbered("abc\u{e4}fgh.pdf".as_bytes(), 1, 12), b"abc (1).pdf");
        assert_eq!(numbered(b"abc\xe4\xa4fgh.pdf", 1, 12), b"abc\xe4 (1).pdf");
        // an ending that leaves no room
        assert_eq!(numbered(b"a.bcdefghijkl", 7, 12), b"a.bcdefg (7)");
    }

    #[test]
    fn a_free_number_is_found_after_few_questions() {
        for count in [0, 1, 2, 3, 7, 8, 9, 8_000, 1_000_000] {
            let mut asked = 0;
            let found = first_free::<()>(1, |number| {
                asked += 1;
                Ok(number <= count)
            });
            assert_eq!(found, Ok(Some(count + 1)));
            assert!(asked <= 45, "{count}: {asked}");
        }
        assert_eq!(first_free::<()>(1, |_| Ok(true)), Ok(None));
        assert_eq!(first_free(1, |_| Err("no")), Err("no"));
    }

    proptest! {
        #[test]
        fn any_name_keeps_the_limit_and_is_another(
            name in "[^/\0]{1,80}", number in 1_u32.., longest in 40_usize..256,
        ) {
            let made = numbered(name.as_bytes(), number, longest);
            prop_assert!(made.len() <= longest.max(name.len()));
            prop_assert!(std::str::from_utf8(&made).is_ok());
            prop_assert_ne!(made, numbered(name.as_bytes(), number.wrapping_add(1), longest));
        }

        #[test]
        fn what_is_found_is_free(taken: Vec<bool>, first in 0_u32..9) {
            let is_taken = |number: u32| taken.get(number as usize).copied().unwrap_or(false);
            let found = first_free::<()>(first, |number| Ok(is_taken(number)));
            let found = found.unwrap().unwrap();
            prop_assert!(found >= first && !is_taken(found));
            prop_assert!(found == first || is_taken(found - 1));
        }
    }
}
