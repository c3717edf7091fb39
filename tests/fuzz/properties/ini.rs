//! The reader and the editor of settings files: after an edit, the reader finds what was set
//! and all else as before, and every other line is what it was, byte for byte.

use ftpd::config::{edit, rows};

type Row = (String, String, String, usize);

/// A section that is not in the text.
const NEW: &str = "user:fuzz-new";

/// Checks one text. The first line of the input is the value to be set, and its first byte
/// chooses which.
pub(super) fn check(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (value, text) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let choice = usize::from(value.first().copied().unwrap_or_default());
    let value = String::from_utf8_lossy(value);
    let (before, faults) = rows(text);
    check_rows(&before, text);

    let Some(written) = edit::quoted(&value) else {
        assert!(value.contains(char::is_control), "{value:?} can be written");
        return;
    };
    check_append(text, &before, &value, &written);
    if before.is_empty() {
        return;
    }
    let (section, key, _, _) = &before[choice % before.len()];
    check_set(text, &before, (section, key, &value), &written);
    check_set(text, &before, (section, "fuzz_new_key", &value), &written);
    check_remove(text, &before, section, faults);
}

fn check_rows(rows: &[Row], text: &[u8]) {
    let lines = text.split(|&byte| byte == b'\n').count();
    let mut last = 0;
    for (at, (section, key, value, line)) in rows.iter().enumerate() {
        assert!(last < *line && *line <= lines, "line {line} of {lines}, after {last}");
        last = *line;
        assert!(!key.is_empty() && *key == key.to_lowercase() && !value.contains('\n'));
        let twice = rows[..at].iter().any(|row| (&row.0, &row.1) == (section, key));
        assert!(!twice, "[{section}] {key} was read twice");
    }
}

fn check_set(
    text: &[u8],
    before: &[Row],
    (section, key, value): (&str, &str, &str),
    written: &str,
) {
    let new = edit::set(text, section, key, written).expect("the section is there");
    let (after, _) = rows(&new);
    let is_it = |row: &&Row| row.0 == section && row.1 == key;
    let found: Vec<_> = after.iter().filter(is_it).map(|row| &row.2).collect();
    assert_eq!(found, [value], "{:?}", String::from_utf8_lossy(&new));
    assert_eq!(others(before, is_it), others(&after, is_it));

    let (old, new) = (lines(text), lines(&new));
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = tail.take_while(|(old, new)| old == new).count();
    let (lost, come) = (old.len() - head - tail, new.len() - head - tail);
    // a line is changed or added; or a header that had no line end is given one
    let is_last = head + 1 == old.len();
    assert!(matches!((lost, come), (0 | 1, 0 | 1)) || is_last && (lost, come) == (1, 2));
}

fn check_append(text: &[u8], before: &[Row], value: &str, written: &str) {
    if edit::remove(text, NEW).is_some() {
        return;
    }
    let new = edit::append(text, NEW, &[("key", written)]);
    assert!(new.starts_with(text));
    let is_new = |row: &&Row| row.0 == NEW;
    let (after, _) = rows(&new);
    assert_eq!(others(&after, is_new), others(before, is_new));
    let added: Vec<_> = after.iter().filter(is_new).map(|row| (&*row.1, &*row.2)).collect();
    assert_eq!(added, [("key", value)]);
}

fn check_remove(text: &[u8], before: &[Row], section: &str, faults: usize) {
    let removed = edit::remove(text, section).expect("the section is there");
    let is_it = |row: &&Row| row.0 == section;
    let mut rest = lines(text).into_iter();
    for line in lines(&removed.text) {
        let mark = b"\xEF\xBB\xBF";
        let is_old =
            rest.any(|old| old == line || old.starts_with(mark) && line.starts_with(mark));
        assert!(is_old, "{:?} was not there", line.escape_ascii().to_string());
    }
    let keys: Vec<_> = before.iter().filter(is_it).map(|row| row.1.clone()).collect();
    // the second of two sections of a name would now count, and other faults may, too
    if faults == 0 {
        assert_eq!(removed.keys, keys);
        let (after, _) = rows(&removed.text);
        assert_eq!(others(&after, is_it), others(before, is_it));
        assert!(edit::remove(&removed.text, section).is_none());
    }
}

/// The rows but for some, without their line numbers.
fn others(rows: &[Row], without: impl Fn(&&Row) -> bool) -> Vec<(&str, &str, &str)> {
    let rest = rows.iter().filter(|row| !without(row));
    rest.map(|(section, key, value, _)| (&**section, &**key, &**value)).collect()
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}
