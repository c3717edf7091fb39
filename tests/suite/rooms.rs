//! Which room may use which: arrows point down, and a room never reaches up or beside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room under `src` and what it may use of the others.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", EVERY),
    ("cli", EVERY),
    ("docs", EVERY),
    ("server", &["control", "config", "log", "rights"]),
    ("control", &["data", "auth", "vfs", "hook", "tls", "config", "log", "rights"]),
    ("data", &["vfs", "tls", "config", "log", "rights"]),
    ("auth", &["config", "log"]),
    ("vfs", &["config", "log", "rights"]),
    ("hook", &["config", "log", "rights"]),
    ("tls", &["config", "log", "rights"]),
    ("config", &["rights"]),
    ("log", &["rights"]),
    ("rights", &[]),
];

const EVERY: &[&str] = &[
    "cli", "docs", "server", "control", "data", "auth", "vfs", "hook", "tls", "config", "log",
    "rights",
];

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|(room, _)| *room == name)
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The room that a file of `src` belongs to, and how deep in the tree of modules it lies.
fn place(below_src: &Path) -> (String, usize) {
    let parts: Vec<_> = below_src
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .filter(|part| part != "mod")
        .collect();
    (parts[0].clone(), parts.len())
}

/// The text without comments, and without what is quoted.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        match (letter, rest.peek()) {
            ('/', Some('/')) => while rest.next_if(|&letter| letter != '\n').is_some() {},
            ('\'', Some('"')) => {
                // the character '"' begins no string
                rest.next();
            }
            ('"', _) => {
                while let Some(letter) = rest.next() {
                    match letter {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            _ => code.push(letter),
        }
    }
    code
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The first words of what stands here: one, or those of a group in braces.
fn first_words(text: &str) -> Vec<String> {
    let text = text.trim_start();
    let Some(group) = text.strip_prefix('{') else {
        return vec![text.chars().take_while(|&letter| is_word(letter)).collect()];
    };
    let (mut depth, mut words, mut at_start) = (1, Vec::new(), true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            _ if at_start && is_word(letter) => {
                words.extend(first_words(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    words
}

/// The rooms that the code of a file at this depth names: behind `crate::`, or behind as many
/// `super::` as lead to the root of the crate.
fn named_rooms(code: &str, depth: usize) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    let begins_word =
        |at: usize| !code[..at].ends_with(|letter| is_word(letter) || letter == '$');
    for (at, root) in code.match_indices("crate::") {
        if begins_word(at) {
            rooms.extend(first_words(&code[at + root.len()..]));
        }
    }
    for (at, _) in code.match_indices("super::") {
        if !begins_word(at) || code[..at].ends_with("super::") {
            continue;
        }
        let behind = code[at..].trim_start_matches("super::");
        let supers = (code.len() - at - behind.len()) / "super::".len();
        if supers >= depth {
            rooms.extend(first_words(behind));
        }
    }
    rooms.retain(|name| is_room(name));
    rooms
}

#[test]
fn no_room_reaches_up_or_beside() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "{files:?}");
    let mut wrong = Vec::new();
    let mut edges = BTreeSet::new();
    for file in files {
        let below = file.strip_prefix(&src).unwrap();
        let (room, depth) = place(below);
        if room == "lib" {
            continue;
        }
        let allowed = ROOMS.iter().find(|(name, _)| *name == room);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{room} has no row in ROOMS"));
        for used in named_rooms(&code(&fs::read_to_string(&file).unwrap()), depth) {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", below.display()));
            }
            edges.insert((room.clone(), used));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // edges that must be there, or the reading of the files is broken
    for (from, to) in
        [("server", "control"), ("control", "vfs"), ("data", "vfs"), ("cli", "config")]
    {
        assert!(edges.contains(&(from.to_owned(), to.to_owned())), "{from} -> {to}: {edges:?}");
    }
}

#[test]
fn the_crate_has_no_modules_but_the_rooms() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = code(&fs::read_to_string(src.join("lib.rs")).unwrap());
    for item in root.split(';').map(str::trim).filter(|item| !item.is_empty()) {
        let name = item.split_ascii_whitespace().last().unwrap();
        assert!(item.contains("mod ") && is_room(name), "lib.rs holds '{item}'");
    }
}

#[test]
fn the_table_of_rooms_points_down() {
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        for used in allowed.iter().filter(|_| *allowed != EVERY) {
            let below = ROOMS.iter().skip(at + 1).any(|(name, _)| name == used);
            assert!(below, "{room} may use {used}, which is above it");
        }
    }
}

#[test]
fn the_reader_of_the_files_sees_what_the_compiler_sees() {
    let source = r#"
        //! [`crate::server`] in a comment
        use crate::{auth::Users, config::{self, Perm}, log};
        use crate::vfs::Tree; // crate::cli
        fn f() -> &'static str { super::super::data::f(); "crate::docs" }
        const QUOTE: char = '"'; const MORE: char = '"';
        fn g() { super::line::f(); ::log::info!(); $crate::main::f(); mycrate::main(); }
    "#;
    let rooms: Vec<_> = named_rooms(&code(source), 2).into_iter().collect();
    assert_eq!(rooms, ["auth", "config", "data", "log", "vfs"]);
    assert_eq!(place(Path::new("control/verbs/mod.rs")), ("control".to_owned(), 2));
    assert_eq!(place(Path::new("docs.rs")), ("docs".to_owned(), 1));
}
