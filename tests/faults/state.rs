//! What is on the disk: each name below a folder, with what it holds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The names below a folder, and what is under each.
pub type State = BTreeMap<String, String>;

/// The time 2001-02-03 04:05:06, which a path sets.
const MFMT: i64 = 981_173_106;

/// The beginning of the names of parts, which no client is shown.
const PART: &str = ".ftpd-part-";

/// The name of the trash, and the beginning of the names of what is in it.
const TRASH: &str = ".ftpd-trash";

/// Reads the state below a folder, without the parts of uploads, and without the folders of the trash
/// that only hold versions of others.
pub fn of(folder: &Path) -> State {
    let mut state = State::new();
    walk(folder, "", &mut state);
    state
}

fn walk(folder: &Path, front: &str, state: &mut State) {
    for entry in fs::read_dir(folder).expect("a folder").map_while(Result::ok) {
        let name = format!("{front}{}", entry.file_name().to_string_lossy());
        if entry.file_name().to_string_lossy().starts_with(PART) {
            continue;
        }
        // the name of a version tells when it came
        let is_version = entry.file_name().to_string_lossy().starts_with(&format!("{TRASH}-"));
        let name = if is_version { format!("{front}version") } else { name };
        let meta = entry.metadata().expect("it is there");
        if meta.is_dir() && name.starts_with(TRASH) && !is_version {
            walk(&entry.path(), &format!("{name}/"), state);
        } else if meta.is_dir() {
            state.insert(name.clone(), format!("directory, mode {:o}", meta.mode() & 0o7777));
            walk(&entry.path(), &format!("{name}/"), state);
        } else {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let sum: u64 = bytes.iter().fold(7, |sum, byte| {
                sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(*byte))
            });
            let mode = meta.mode() & 0o7777;
            let set = if meta.mtime() == MFMT { ", its time was set" } else { "" };
            state.insert(name, format!("{} bytes, {sum:x}, {mode:o}{set}", bytes.len()));
        }
    }
}

/// Removes all that is in a folder.
pub fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").map_while(Result::ok) {
        let path = entry.path();
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// Writes a file with a mode and a time that do not change from case to case.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("its own file");
    age(&path);
}

/// Gives a file or a folder a time that does not change from case to case.
pub fn age(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(900_000_000);
    let file = File::open(path).expect("its own file");
    file.set_modified(time).expect("its own file");
}

/// Says in what two states differ.
pub fn difference(wanted: &State, found: &State) -> String {
    let mut all: Vec<_> = wanted.keys().chain(found.keys()).collect();
    all.sort();
    all.dedup();
    let show = |state: &State, name: &String| {
        state.get(name).map_or("nothing", |text| text).to_owned()
    };
    all.into_iter()
        .filter(|name| wanted.get(*name) != found.get(*name))
        .map(|name| format!("{name}: {} instead of {}", show(found, name), show(wanted, name)))
        .collect::<Vec<_>>()
        .join("; ")
}
