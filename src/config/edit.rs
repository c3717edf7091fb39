//! Edits the text of a settings file. Everything else in it is kept: comments, order, line ends and
//! bytes that are not UTF-8. No function here reads or writes a file.
//!
//! Lines are recognised by the same rules as in `ini`.

use super::ini::{BYTE_ORDER_MARK, COMMENTS, is_key, plain_name};

/// The result of removing a section.
#[derive(Debug, PartialEq, Eq)]
pub struct Removed {
    /// The text without the section.
    pub text: Vec<u8>,
    /// The keys of the removed section.
    pub keys: Vec<String>,
    /// The sections of folders that were removed with a user.
    pub folders: Vec<String>,
}

/// A line of the file.
enum Line<'t> {
    /// The header of a section; `None` if its name cannot be read.
    Header(Option<String>),
    /// A key as written in the file, and where its value begins and ends in the line.
    Entry(&'t str, usize, usize),
    /// A comment, an empty line, or a fault.
    Other,
}

/// Returns a value as it must be written after `key =` to be read back unchanged. Returns `None` if it
/// has a line break or another control character.
pub fn quoted(value: &str) -> Option<String> {
    if value.contains(char::is_control) {
        return None;
    }
    let is_quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let as_it_is = value.trim() == value && !is_quoted;
    Some(if as_it_is { value.to_owned() } else { format!("\"{value}\"") })
}

/// Sets a key of a section to another value. If the section does not have the key, it is added as
/// the first key of the section. `value` is written unchanged.
///
/// Returns `None` if there is no such section.
pub fn set(text: &[u8], section: &str, key: &str, value: &str) -> Option<Vec<u8>> {
    let (lines, within) = section_lines(text, section)?;
    let mut new = lines.iter().map(|line| line.to_vec()).collect::<Vec<_>>();
    for at in within.clone().skip(1) {
        let line = lines.get(at)?;
        if let Line::Entry(found, begin, end) = classify(at, line)
            && found.to_lowercase() == key
        {
            new.get_mut(at)?.splice(begin..end, value.bytes());
            return Some(new.concat());
        }
    }
    let header = new.get_mut(within.start)?;
    let eol = line_end(text);
    if !header.ends_with(b"\n") {
        header.extend_from_slice(eol);
    }
    let entry = [format!("{key} = {value}").as_bytes(), eol].concat();
    new.insert(within.start + 1, entry);
    Some(new.concat())
}

/// Adds a section at the end of a text. Values are written unchanged.
pub fn append(text: &[u8], section: &str, entries: &[(&str, &str)]) -> Vec<u8> {
    let mut new = text.to_vec();
    let eol = line_end(text);
    let bare = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if !bare.is_empty() {
        if !new.ends_with(b"\n") {
            new.extend_from_slice(eol);
        }
        let last = lines_of(text).pop().unwrap_or_default();
        if !last.trim_ascii().is_empty() {
            new.extend_from_slice(eol);
        }
    }
    new.extend_from_slice(format!("[{section}]").as_bytes());
    new.extend_from_slice(eol);
    for (key, value) in entries {
        new.extend_from_slice(format!("{key} = {value}").as_bytes());
        new.extend_from_slice(eol);
    }
    new
}

/// Removes a section from a text, from its header to the last of its keys. Comments above it and after
/// its last key stay, because they may belong to other sections.
///
/// Returns `None` if there is no such section.
pub fn remove(text: &[u8], section: &str) -> Option<Removed> {
    let (lines, within) = section_lines(text, section)?;
    let mut keys = Vec::new();
    let mut end = within.start + 1;
    for at in within.clone().skip(1) {
        if let Line::Entry(key, ..) = classify(at, lines.get(at)?) {
            keys.push(key.to_lowercase());
            end = at + 1;
        }
    }
    let is_blank = |line: &&[u8]| {
        let bare = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        bare.trim_ascii().is_empty()
    };
    // keep only one of the empty lines before and after the section
    let before = within.start.checked_sub(1).and_then(|at| lines.get(at));
    if before.is_none_or(is_blank) && lines.get(end).is_some_and(is_blank) {
        end += 1;
    }
    let mut rest = lines.get(..within.start)?.concat();
    // a byte order mark on the line of the section stays at the start of the text
    if within.start == 0 && text.starts_with(BYTE_ORDER_MARK) {
        rest.extend_from_slice(BYTE_ORDER_MARK);
    }
    rest.extend(lines.get(end..)?.concat());
    Some(Removed { text: rest, keys, folders: Vec::new() })
}

/// Removes the section of a user and those of the user's folders.
///
/// Returns `None` if there is no section of the user.
pub fn remove_user(text: &[u8], name: &str) -> Option<Removed> {
    let mut removed = remove(text, &format!("user:{name}"))?;
    let of_folder = format!("folder:{name}:/");
    let headers = lines_of(text).into_iter().enumerate().filter_map(|(at, line)| {
        let Line::Header(Some(section)) = classify(at, line) else { return None };
        section.starts_with(&of_folder).then_some(section)
    });
    for section in headers {
        let Some(less) = remove(&removed.text, &section) else { continue };
        removed.text = less.text;
        removed.folders.push(section);
    }
    Some(removed)
}

/// Returns the line numbers, from 1, of all headers of a section.
pub(super) fn places(text: &[u8], section: &str) -> Vec<usize> {
    let lines = lines_of(text).into_iter().enumerate();
    let here = lines.filter(|(at, line)| match classify(*at, line) {
        Line::Header(name) => name.as_deref() == Some(section),
        Line::Entry(..) | Line::Other => false,
    });
    here.map(|(at, _)| at + 1).collect()
}

/// Returns all lines with their line ends, and the range of those that belong to a section. If the
/// section appears twice, the first one counts, as when the file is read.
fn section_lines<'t>(
    text: &'t [u8],
    section: &str,
) -> Option<(Vec<&'t [u8]>, std::ops::Range<usize>)> {
    let lines = lines_of(text);
    let mut headers =
        lines.iter().enumerate().filter_map(|(at, line)| match classify(at, line) {
            Line::Header(name) => Some((at, name)),
            Line::Entry(..) | Line::Other => None,
        });
    let (from, _) = headers.find(|(_, name)| name.as_deref() == Some(section))?;
    let to = headers.next().map_or(lines.len(), |(to, _)| to);
    Some((lines, from..to))
}

fn lines_of(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

/// Returns the line end that the text uses.
fn line_end(text: &[u8]) -> &'static [u8] {
    let first = text.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
    if first.ends_with(b"\r\n") { b"\r\n" } else { b"\n" }
}

/// Classifies a line. `at` is its number from 0; the first line may begin with a byte order mark.
fn classify(at: usize, line: &[u8]) -> Line<'_> {
    let is_marked = at == 0 && line.starts_with(BYTE_ORDER_MARK);
    let mark = if is_marked { BYTE_ORDER_MARK.len() } else { 0 };
    let Some(Ok(text)) = line.get(mark..).map(std::str::from_utf8) else { return Line::Other };
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.starts_with(COMMENTS) {
        return Line::Other;
    }
    if let Some(rest) = trimmed.strip_prefix('[') {
        return Line::Header(rest.strip_suffix(']').map(plain_name));
    }
    let Some((key, value)) = text.split_once('=').filter(|(key, _)| is_key(key.trim())) else {
        return Line::Other;
    };
    let begin = mark + text.len() - value.trim_start().len();
    // an empty value begins right after the equals sign, not after the line end
    let end = (mark + text.trim_end().len()).max(mark + key.len() + 1);
    Line::Entry(key.trim(), begin.min(end), end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ini;
    use super::*;

    const FILE: &str = "; head\n[server]\nport = 1\n\n; the camera\n[user:bob]\n; note\n\
        password = old ; value\n\thome=  /srv  \n; about anna\n\n[user:anna]\npassword=x\n";

    fn edited(text: &str, section: &str, key: &str, value: &str) -> String {
        String::from_utf8(set(text.as_bytes(), section, key, value).unwrap()).unwrap()
    }

    #[test]
    fn only_the_value_changes() {
        let new = edited(FILE, "user:bob", "password", "$y$x");
        assert_eq!(new, FILE.replace("old ; value", "$y$x"));
        let new = edited(FILE, "user:bob", "home", "/new");
        assert_eq!(new, FILE.replace("/srv", "/new"));
        assert_eq!(set(FILE.as_bytes(), "user:Bob", "home", "x"), None);
        assert_eq!(set(FILE.as_bytes(), "user:otto", "home", "x"), None);
    }

    #[test]
    fn a_key_that_is_not_there_is_added_in_the_style_of_the_file() {
        let text = FILE.replace('\n', "\r\n");
        let new = edited(&text, "user:anna", "perm", "elr");
        assert_eq!(new, text.replace("[user:anna]\r\n", "[user:anna]\r\nperm = elr\r\n"));
        assert_eq!(edited("[a]", "a", "k", "v"), "[a]\nk = v\n");
        assert_eq!(edited("[a]\nk =", "a", "k", "v"), "[a]\nk =v");
        assert_eq!(edited("[a]\nK = \r\n", "a", "k", "v"), "[a]\nK =v \r\n");
        assert_eq!(
            edited("\u{feff}[ User : x ]\nk=1", "user:x", "k", "2"),
            "\u{feff}[ User : x ]\nk=2"
        );
    }

    #[test]
    fn a_section_goes_with_its_keys_and_leaves_other_comments() {
        let Removed { text, keys, .. } = remove(FILE.as_bytes(), "user:bob").unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "; head\n[server]\nport = 1\n\n; the camera\n; about anna\n\n[user:anna]\npassword=x\n"
        );
        assert_eq!(keys, ["password", "home"]);
        let Removed { text, .. } = remove(FILE.as_bytes(), "user:anna").unwrap();
        assert_eq!(text, FILE.split("[user:anna]").next().unwrap().as_bytes());
        assert_eq!(remove(FILE.as_bytes(), "user:otto"), None);
        let Removed { text, .. } = remove("\u{feff}[a]\nk=1\n\n[b]\n".as_bytes(), "a").unwrap();
        assert_eq!(text, "\u{feff}[b]\n".as_bytes());
    }

    #[test]
    fn a_new_section_stands_apart() {
        let entries = [("password", "x"), ("home", "/")];
        let section = "[user:otto]\npassword = x\nhome = /\n";
        for (text, new) in [
            ("", section.to_owned()),
            ("[a]", format!("[a]\n\n{section}")),
            ("[a]\n", format!("[a]\n\n{section}")),
            ("[a]\n\n", format!("[a]\n\n{section}")),
            ("[a]\r\n", format!("[a]\n\n{section}").replace('\n', "\r\n")),
        ] {
            assert_eq!(append(text.as_bytes(), "user:otto", &entries), new.as_bytes());
        }
    }

    type Row = (String, String, String);

    fn rows(text: &[u8]) -> Vec<Row> {
        let sections = ini::read(text).sections.into_iter();
        let rows = sections.flat_map(|section| {
            let name = section.name;
            let row = move |entry: ini::Assignment| (name.clone(), entry.key, entry.value);
            section.entries.into_iter().map(row)
        });
        rows.collect()
    }

    /// Returns lines as people and programs write them, in any order.
    fn file() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("[server]".to_owned()),
            Just("[user:bob]".to_owned()),
            Just(" [ USER : anna ] ".to_owned()),
            Just("[broken".to_owned()),
            Just(String::new()),
            "[;#] ?[a-z =\\[\\]]{0,9}",
            "\t? ?(password|Home|perm|nonsense)[ \t]{0,2}=[ \t]?[a-z;#\" =\\[]{0,9}",
            "\\PC{0,12}",
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n")];
        (proptest::collection::vec(line, 0..12), end, any::<bool>(), any::<bool>()).prop_map(
            |(lines, end, mark, closed)| {
                let mark = if mark { "\u{feff}" } else { "" };
                format!("{mark}{}{}", lines.join(end), if closed { end } else { "" })
            },
        )
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof!["[\"]?[a-z;#=\\[\\] $]{0,8}[\"]?", "[^\\p{Cc}]{0,8}"]
    }

    proptest! {
        #[test]
        fn after_a_change_the_reader_finds_the_new_value_and_all_others(
            text in file(), value in value(),
        ) {
            let written = quoted(&value).unwrap();
            if let Some(new) = set(text.as_bytes(), "user:bob", "password", &written) {
                let of_bob =
                    |row: &&Row| row.0 == "user:bob" && row.1 == "password";
                let (before, after) = (rows(text.as_bytes()), rows(&new));
                let found: Vec<_> = after.iter().filter(of_bob).map(|row| &row.2).collect();
                prop_assert_eq!(found, [&value], "{:?}", String::from_utf8_lossy(&new));
                let others = |rows: &[Row]| {
                    rows.iter().filter(|row| !of_bob(row)).cloned().collect::<Vec<_>>()
                };
                prop_assert_eq!(others(&before), others(&after));
            } else {
                let sections = ini::read(text.as_bytes()).sections;
                prop_assert!(sections.iter().all(|section| section.name != "user:bob"));
            }
        }

        #[test]
        fn after_a_removal_the_reader_finds_all_but_the_section(
            before in file(), inside in file(), behind in file(),
        ) {
            // a header that cannot be read would hide the keys that follow a removed section
            let tame = |text: String| text.replace("[user:bob]", "").replace("[broken", "");
            let text = format!(
                "{}\n[user:bob]\n{}\n[behind]\n{}",
                tame(before), tame(inside).replace('[', ""), tame(behind)
            );
            let removed = remove(text.as_bytes(), "user:bob").unwrap();
            let others = |text: &[u8]| {
                let rows = rows(text).into_iter().filter(|row| row.0 != "user:bob");
                rows.collect::<Vec<_>>()
            };
            prop_assert_eq!(others(text.as_bytes()), others(&removed.text));
            prop_assert!(remove(&removed.text, "user:bob").is_none());
        }

        #[test]
        fn after_an_addition_the_reader_finds_all_and_the_section(
            text in file(), value in value(),
        ) {
            let written = quoted(&value).unwrap();
            let new = append(text.as_bytes(), "user:otto", &[("password", &written)]);
            let mut expected = rows(text.as_bytes());
            expected.push(("user:otto".to_owned(), "password".to_owned(), value));
            prop_assert_eq!(rows(&new), expected);
            prop_assert!(new.starts_with(text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_edited_without_a_panic(bytes: Vec<u8>) {
            let text = [b"[user:bob]\n", &bytes[..]].concat();
            prop_assert!(set(&text, "user:bob", "k", "v").is_some());
            prop_assert!(remove(&text, "user:bob").is_some());
            append(&bytes, "user:bob", &[("k", "v")]);
        }
    }
}
