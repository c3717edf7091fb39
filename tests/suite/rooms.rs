//! Which room may use which: arrows point down, and a room never reaches up or beside. Inside a
//! room the arrows between its files form no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room under `src` and what it may use of the others.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", EVERY),
    ("cli", EVERY),
    ("docs", EVERY),
    ("server", &["control", "launch", "proxy", "config", "log", "rights"]),
    (
        "control",
        &["data", "auth", "vfs", "gate", "events", "launch", "tls", "config", "log", "rights"],
    ),
    ("data", &["vfs", "proxy", "tls", "config", "log", "rights"]),
    // events asks the program of auth_program, and launch starts it; http asks auth_url
    ("auth", &["events", "launch", "http", "config", "log"]),
    ("vfs", &["config", "log", "rights"]),
    // a judge is a program that events asks, or a scanner that dial reaches
    ("gate", &["events", "launch", "dial", "config", "log", "rights"]),
    ("events", &["launch", "http", "dial", "config", "log", "rights"]),
    ("http", &["dial", "config"]),
    // names are looked up by the thread that rights has for this
    ("dial", &["tls", "rights"]),
    // below all that have programs started
    ("launch", &["config", "log", "rights"]),
    // what balancers say at the beginning of a connection
    ("proxy", &[]),
    ("tls", &["config", "log", "rights"]),
    ("config", &["rights"]),
    ("log", &["rights"]),
    ("rights", &[]),
];

const EVERY: &[&str] = &[
    "cli", "docs", "server", "control", "data", "auth", "vfs", "gate", "events", "http",
    "dial", "launch", "proxy", "tls", "config", "log", "rights",
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

/// The text without comments and without string literals.
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

/// The other rooms that the code of a module names.
fn named_rooms(code: &str, module: &[String]) -> BTreeSet<String> {
    let rooms =
        named_paths(code, module).into_iter().filter_map(|path| path.into_iter().next());
    rooms.filter(|name| is_room(name) && *name != module[0]).collect()
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
        let module = module(below);
        let room = module[0].as_str();
        if room == "lib" {
            continue;
        }
        let allowed = ROOMS.iter().find(|(name, _)| *name == room);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{room} has no row in ROOMS"));
        for used in named_rooms(&code(&fs::read_to_string(&file).unwrap()), &module) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", below.display()));
            }
            edges.insert((room.to_owned(), used));
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

/// The module that a file of `src` holds, from the root of the crate: `["vfs", "path"]`.
fn module(below_src: &Path) -> Vec<String> {
    let mut parts: Vec<_> = below_src
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The code without its unit tests, which stand last in a file and may use what they like.
fn without_tests(code: &str) -> &str {
    code.find("#[cfg(test)]\nmod ").map_or(code, |at| &code[..at])
}

/// The paths that begin at the start of `text`, where a group in braces stands for several:
/// `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut at_start, mut found) = (1, true, Vec::new());
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => at_start = true,
                _ if at_start && is_word(letter) => {
                    found.extend(paths(&group[at..]));
                    at_start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        return found;
    }
    let word: String = text.chars().take_while(|&letter| is_word(letter)).collect();
    let Some(behind) = text[word.len()..].strip_prefix("::") else { return vec![vec![word]] };
    let follow = |mut path: Vec<String>| {
        path.insert(0, word.clone());
        path
    };
    paths(behind).into_iter().map(follow).collect()
}

/// The names of the modules that this code declares: `mod name;`.
fn declared(code: &str) -> Vec<String> {
    let name = |item: &str| {
        let mut words = item.split_ascii_whitespace().rev();
        let name = words.next()?;
        (words.next()? == "mod").then(|| name.to_owned())
    };
    code.split(';').filter_map(name).collect()
}

/// The paths that the code of a module names, each from the root of the crate.
fn named_paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    // `pub(in crate::vfs)` uses nothing
    let begins_path = |at: usize| {
        let before = &code[..at];
        !before.ends_with(|letter| is_word(letter) || ":$".contains(letter))
            && !before.ends_with("(in ")
    };
    let mut add = |base: &[String], text: &str| {
        found.extend(paths(text).into_iter().map(|path| [base, &path].concat()));
    };
    for (at, root) in code.match_indices("crate::").filter(|(at, _)| begins_path(*at)) {
        add(&[], &code[at + root.len()..]);
    }
    for (at, root) in code.match_indices("self::").filter(|(at, _)| begins_path(*at)) {
        add(module, &code[at + root.len()..]);
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| begins_path(*at)) {
        let behind = code[at..].trim_start_matches("super::");
        let supers = (code.len() - at - behind.len()) / "super::".len();
        add(&module[..module.len().saturating_sub(supers)], behind);
    }
    for child in declared(code) {
        let path = format!("{child}::");
        for (at, _) in code.match_indices(&path).filter(|(at, _)| begins_path(*at)) {
            add(module, &code[at..]);
        }
    }
    found
}

type Arrows = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// Which module uses which, among the given ones: a path counts for the deepest module that it
/// leads through. A `mod` line is no use, a `pub use` line is one.
fn arrows(files: &BTreeMap<Vec<String>, String>) -> Arrows {
    let deepest = |path: &[String]| {
        let mut shorter = (1..=path.len()).rev().map(|len| path[..len].to_vec());
        shorter.find(|module| files.contains_key(module))
    };
    let used = |module: &Vec<String>, code: &str| {
        let mut used: BTreeSet<_> =
            named_paths(code, module).iter().filter_map(|path| deepest(path)).collect();
        used.remove(module);
        used
    };
    files.iter().map(|(module, code)| (module.clone(), used(module, code))).collect()
}

/// The modules that lie on a circle together with `module`, itself included; empty if none
/// does.
fn circle_of(module: &Vec<String>, arrows: &Arrows) -> BTreeSet<Vec<String>> {
    let reachable = |from: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = open.pop() {
            for next in arrows.get(&module).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    reachable(module).into_iter().filter(|other| reachable(other).contains(module)).collect()
}

/// A text for each circle among the files of one room.
fn circles(files: &BTreeMap<Vec<String>, String>) -> Vec<String> {
    let arrows = arrows(files);
    let mut found = BTreeSet::new();
    for module in files.keys() {
        let circle = circle_of(module, &arrows);
        let inside = |module: &Vec<String>| {
            let next = arrows.get(module).into_iter().flatten();
            let next: Vec<_> = next
                .filter(|next| circle.contains(*next))
                .map(|next| next.join("::"))
                .collect();
            format!("  {} -> {}", module.join("::"), next.join(", "))
        };
        if !circle.is_empty() {
            found.insert(circle.iter().map(inside).collect::<Vec<_>>().join("\n"));
        }
    }
    found.into_iter().collect()
}

/// The code of the files of each room, without comments and tests, by the room's name.
fn rooms() -> BTreeMap<String, BTreeMap<Vec<String>, String>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut rooms: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for file in files {
        let module = module(file.strip_prefix(&src).unwrap());
        let code = code(&fs::read_to_string(&file).unwrap());
        let room = rooms.entry(module[0].clone()).or_default();
        room.insert(module, without_tests(&code).to_owned());
    }
    rooms
}

/// Rooms whose files still go round in circles.
const CIRCULAR: &[&str] = &[];

#[test]
fn no_files_of_a_room_use_each_other_in_a_circle() {
    let mut wrong = String::new();
    for (room, files) in rooms() {
        let circles = circles(&files);
        if CIRCULAR.contains(&room.as_str()) {
            assert!(
                !circles.is_empty(),
                "{room} has no circle any more: take it out of CIRCULAR"
            );
        } else {
            wrong.extend(circles.iter().map(|circle| format!("{circle}\n\n")));
        }
    }
    assert!(wrong.is_empty(), "these files use each other:\n{wrong}");
}

#[test]
fn the_search_for_circles_sees_what_the_compiler_sees() {
    let file = |path: &str, code: &str| {
        (path.split("::").map(str::to_owned).collect::<Vec<_>>(), code.to_owned())
    };
    let room = |files: &[(&str, &str)]| {
        circles(&files.iter().map(|(path, code)| file(path, code)).collect())
    };
    // straight down, by each way to write a path
    let below = ("vfs::path", "use std::fs; struct Path;");
    let tree =
        ("vfs::tree", "use super::{error::E, path::{self, Path}}; mod entry; entry::f();");
    let entry =
        ("vfs::tree::entry", "use super::super::path::Path; fn f(e: crate::vfs::error::E) {}");
    let error = ("vfs::error", "use crate::vfs::path::Path;");
    let top = ("vfs", "pub mod error; mod tree; mod path; pub use tree::{Tree, Home};");
    assert!(room(&[below, tree, entry, error, top]).is_empty());
    // and back up, by each way
    for code in [
        "use super::tree::entry::f;",
        "use super::{error::E, path};",
        "use crate::vfs::{tree};",
        "fn f() { super::tree::f() }",
        "use super::Tree;",
        "use super::*;",
    ] {
        let circle = room(&[("vfs::path", code), tree, entry, error, top]);
        assert_eq!(circle.len(), 1, "{code}");
    }
    let child = ("vfs::tree::entry", "use super::Tree;");
    assert_eq!(room(&[below, tree, child, error, top]).len(), 1);
    assert!(room(&[below, ("vfs::tree", "mod entry;"), child, error, top]).is_empty());
    assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests { use super::*; }"), "a\n");
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
    let verbs = module(Path::new("control/verbs/mod.rs"));
    let rooms: Vec<_> = named_rooms(&code(source), &verbs).into_iter().collect();
    assert_eq!(rooms, ["auth", "config", "data", "log", "vfs"]);
    assert_eq!(verbs, ["control", "verbs"]);
    assert_eq!(module(Path::new("docs.rs")), ["docs"]);
}
