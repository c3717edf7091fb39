//! Reads the sections of folders, `[folder:/path]` and `[folder:USER:/path]`, and gives each user the
//! settings of the folders below the user's home.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::draft::{ANONYMOUS_SECTION, Candidate, Draft, FolderSection, Named};
use super::error::{Fault, Location};
use super::field::{Scope, Target};
use super::home;
use super::ini;
use super::keys::KEYS;
use super::kind::Given;
use super::nearest::nearest;
use super::perm::{Perm, PermSet};
use super::settings::{Folder, FolderRules, KeepRules, User, innermost};
use super::whole::ANONYMOUS;

/// What is odd about the sections: by file, line and key, the name of the section and why.
type Notes = HashMap<(usize, usize, &'static str), (String, String)>;

/// The sections of each user; `None`: those for all users.
type Sections = HashMap<Option<String>, Vec<Named>>;

/// Number of users that do not exist for which a similar name is searched, because a search among
/// many users takes long.
const MOST_SUGGESTED: usize = 20;

/// Reads all sections of folders, after all users have been read. Returns warnings.
pub(super) fn add(draft: &mut Draft) -> Vec<String> {
    let mut sections = read_all(draft);
    if sections.is_empty() {
        return Vec::new();
    }
    let of = |user| of_user(&sections, user);
    let (mut notes, mut faults) = (HashMap::new(), Vec::new());
    // most users have the same folders, and share them
    let mut shared: Option<(FolderRules, Arc<[Folder]>)> = None;
    for Candidate { name, user, .. } in &mut draft.users {
        let also = user.password.is_none() && name != ANONYMOUS_SECTION;
        let also = also.then(|| of(Some(ANONYMOUS_SECTION))).into_iter().flatten();
        let own: Vec<_> = also.chain(of(Some(name))).collect();
        let is_plain = own.is_empty();
        let all: Vec<_> = of(None).chain(own).collect();
        let same = shared.as_ref().filter(|(rules, _)| is_plain && *rules == user.rules.folder);
        user.folders = match same {
            Some((_, folders)) => Arc::clone(folders),
            None => folders(name, all.clone(), &user.rules.folder, &draft.folder),
        };
        for (section, _) in all {
            section.note(user, &mut notes);
            if section.sets("from") || !user.mount_of(section.path.as_bytes()).is_empty() {
                for fault in section.faults_elsewhere(name, user, &draft.folder) {
                    // once for all users
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
            }
        }
        // a folder from elsewhere may have the name of the user in its path
        if is_plain && user.mounts().next().is_none() {
            shared = Some((user.rules.folder.clone(), Arc::clone(&user.folders)));
        }
    }
    draft.for_all = sections.remove(&None).unwrap_or_default();
    draft.faults.extend(faults);
    let mut notes: Vec<_> = notes.into_iter().collect();
    notes.sort();
    let warning = |((file, line, key), (section, why)): (_, (String, String))| {
        let key = Some(key).filter(|key: &&str| !key.is_empty()).map(str::to_owned);
        let place = Location { file, line, section: Some(section), key };
        draft.printed(&(place, Fault::Note(why)))
    };
    notes.into_iter().map(warning).collect()
}

/// Returns what is odd about the directory that a user sees as a folder.
fn note_from(folder: &Folder, from: &Path, user: &User) -> Option<String> {
    let shown = from.display();
    match std::fs::metadata(from) {
        Ok(meta) if !meta.is_dir() => Some(format!("{shown} is not a directory")),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            Some(format!("{shown} does not exist; clients do not see the folder until it does"))
        }
        // perhaps only the system user of run_as can see it
        Err(why) if user.run_as.is_none() => Some(format!("{shown}: {why}")),
        Err(_) => None,
        Ok(_) => {
            let real = std::fs::canonicalize(from).ok()?;
            let home = std::fs::canonicalize(&user.home).ok();
            let why = if home.as_ref().is_some_and(|home| real.starts_with(home)) {
                "is in the home, so it is seen there as well, with the settings of the home"
            } else if home.as_ref().is_some_and(|home| home.starts_with(&real)) {
                "contains the home, so that is seen there as well, with the settings of this folder"
            } else {
                return note_overlap(folder, &real, user);
            };
            Some(format!("{shown} {why}"))
        }
    }
}

/// Returns which other folder from elsewhere shows a directory that `real` contains, with letters that
/// differ from those that the user has there in `folder`.
fn note_overlap(folder: &Folder, real: &Path, user: &User) -> Option<String> {
    let differs = |(other, from): &(&Folder, &PathBuf)| {
        // of two folders that show one directory, the later one has the warning
        let is_self = other.path == folder.path;
        let inner = std::fs::canonicalize(from).ok().filter(|_| !is_self)?;
        let below = inner.strip_prefix(real).ok()?;
        let is_same_before = inner == real && other.path > folder.path;
        let at = Path::new(&folder.path).components().chain(below.components());
        let at: PathBuf = at.collect();
        let differs = !is_same_before && do_letters_differ(user, at.as_os_str(), &other.path);
        differs.then(|| (other.path.clone(), from.display().to_string()))
    };
    let (other, from) = user.mounts().find_map(|mount| differs(&mount))?;
    Some(format!("contains {from}, which the folder {other} shows with other letters"))
}

/// Returns whether a user has other letters below one path than below another, where both show the
/// same directory.
fn do_letters_differ(user: &User, one: &OsStr, other: &str) -> bool {
    let pair = [one.as_bytes(), other.as_bytes()];
    let [one_mount, other_mount] = pair.map(|path| user.mount_of(path));
    let below = user.folders.iter().flat_map(|folder| {
        let around = pair.into_iter().filter(|path| folder.lies_below(path));
        around.map(|path| folder.path.as_bytes().split_at(path.len()).1)
    });
    below.chain([b"".as_slice()]).any(|end| {
        let [one, other] = pair.map(|path| [path, end].concat());
        // a folder from elsewhere within one of them hides what the other shows
        user.mount_of(&one) == one_mount
            && user.mount_of(&other) == other_mount
            && user.perm_in(&one) != user.perm_in(&other)
    })
}

/// Returns the letters that a user has in a folder, and not elsewhere.
fn letters_more(user: &User, folder: &str) -> PermSet {
    let lacking = Perm::ALL.into_iter().filter(|perm| user.perm().has(*perm));
    lacking.fold(user.perm_in(folder.as_bytes()), PermSet::without)
}

/// Returns the folders of a user who has none but those for all users, from their sections.
pub(super) fn for_all(
    user_name: &str,
    sections: &[Named],
    rules: &FolderRules,
    folder: &Path,
) -> Arc<[Folder]> {
    let sections = sections.iter().map(|section| (section, None)).collect();
    folders(user_name, sections, rules, folder)
}

/// Returns the folders of a user whose own rules are `rules`.
fn folders(
    user_name: &str,
    mut sections: Vec<(&Named, Option<&str>)>,
    rules: &FolderRules,
    folder: &Path,
) -> Arc<[Folder]> {
    // an enclosing folder comes before those within it, and a section for all users before that of
    // one user, so that the later one overrides the earlier
    sections.sort_by_cached_key(|(one, user)| {
        (one.path.split('/').count(), one.path.to_ascii_lowercase(), *user)
    });
    let mut all = Vec::new();
    for (one, _) in sections {
        one.add_to(&mut all, user_name, rules, folder);
    }
    all.into()
}

/// Returns that the directory around a folder from elsewhere is missing, if it is.
fn note_around(folder: &Folder, user: &User) -> Option<String> {
    let (top, below) = split(above(&folder.path), user);
    let around = top.join(below.trim_start_matches('/'));
    let is_missing = |path: &Path| {
        std::fs::metadata(path).is_err_and(|why| why.kind() == io::ErrorKind::NotFound)
    };
    let why = "does not exist; clients do not see the folder in any listing until it does";
    let around_is_missing = !is_missing(top) && is_missing(&around);
    around_is_missing.then(|| format!("the directory around it, {}, {why}", around.display()))
}

/// Returns the home or the directory from elsewhere in which a user sees a path, and the path below it.
fn split<'u, 'p>(path: &'p str, user: &'u User) -> (&'u Path, &'p str) {
    let mount = user.mounts().rev().find(|(one, _)| one.holds(path.as_bytes()));
    let (top, at) = mount.map_or((&user.home, 0), |(folder, from)| (from, folder.path.len()));
    (top, path.get(at..).unwrap_or_default())
}

/// Returns the path of the folder around one.
fn above(folder: &str) -> &str {
    folder.rsplit_once('/').map_or("", |(above, _)| above)
}

/// Returns the first link on the way to a folder of a home, or of a folder from elsewhere.
fn link_on(top: &Path, folder: &str) -> Option<PathBuf> {
    let mut path = top.to_owned();
    for part in folder.split('/').skip(1) {
        path.push(part);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => return Some(path),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    None
}

/// Returns the sections that name a user, or those for all users.
fn of_user<'n>(
    sections: &'n Sections,
    user: Option<&'n str>,
) -> impl Iterator<Item = (&'n Named, Option<&'n str>)> {
    let found = sections.get(&user.map(str::to_owned));
    found.into_iter().flatten().map(move |one| (one, user))
}

/// Reads the sections that have no faults.
fn read_all(draft: &mut Draft) -> Sections {
    let mut sections = Sections::new();
    let mut lines: HashMap<(Option<String>, String), usize> = HashMap::new();
    for found in std::mem::take(&mut draft.folders) {
        let known = draft.faults.len();
        let read = read_name(draft, &found);
        check_keys(draft, &found);
        draft.explain_folder(found.file, &found.section);
        let Some((user, path)) = read else { continue };
        match lines.entry((user.clone(), path.to_ascii_lowercase())) {
            Entry::Occupied(other) => {
                report(draft, &found, None, Fault::RepeatedSection(*other.get()));
            }
            Entry::Vacant(new) => {
                new.insert(found.section.line);
            }
        }
        if draft.faults.len() == known {
            sections.entry(user).or_default().push(Named {
                path,
                file: found.file,
                section: found.section,
            });
        }
    }
    sections
}

impl Named {
    fn sets(&self, key: &str) -> bool {
        self.section.entries.iter().any(|entry| entry.key == key)
    }

    /// Returns what cannot be kept in a folder from elsewhere, or in one within it.
    fn faults_elsewhere(
        &self,
        name: &str,
        user: &User,
        folder: &Path,
    ) -> Vec<(Location, Fault)> {
        let mut faults = Vec::new();
        let place = |line, key: &str| Location {
            file: self.file,
            line,
            section: Some(self.section.name.clone()),
            key: Some(key.to_owned()),
        };
        for entry in &self.section.entries {
            let why = match entry.key.as_str() {
                "from" => home::path(&entry.value, folder, Some(name)).err(),
                "keep_for" | "keep_bytes" | "keep_files" | "min_free"
                    if !entry.value.is_empty() =>
                {
                    Some("is not possible in a folder with from: retention is for homes".into())
                }
                _ => None,
            };
            let why = why.filter(|_| !entry.value.is_empty());
            faults.extend(why.map(|why| {
                (place(entry.line, &entry.key), Fault::Value(entry.value.clone(), why))
            }));
        }
        if user.folder_rules(self.path.as_bytes()).trash {
            let why = "needs trash = off in a folder with from: the trash is that of the home";
            faults.push((
                place(self.section.line, "trash"),
                Fault::Value("on".into(), why.into()),
            ));
        }
        faults
    }

    /// Notes what is odd about the section for one of its users.
    fn note(&self, user: &User, notes: &mut Notes) {
        let found = user.mounts().find(|(one, _)| one.path.eq_ignore_ascii_case(&self.path));
        let found = found.filter(|_| self.sets("from"));
        let mut add = |key, why: &dyn Fn() -> Option<String>| {
            if let Entry::Vacant(new) = notes.entry((self.file, self.section.line, key))
                && let Some(why) = why()
            {
                new.insert((self.section.name.clone(), why));
            }
        };
        add("", &|| {
            // a folder from elsewhere covers what has its name, a link too
            let path = if found.is_some() { above(&self.path) } else { &self.path };
            let (top, below) = split(path, user);
            let link = link_on(top, below)?;
            let why =
                "is a link, and the section has no effect on where it leads; name that folder";
            Some(format!("{} {why}", link.display()))
        });
        add("from", &|| {
            let (folder, from) = found?;
            note_from(folder, from, user).or_else(|| note_around(folder, user))
        });
        if user.password.is_none() && self.sets("perm") {
            let more = letters_more(user, &self.path);
            let why = "gives anonymous users letters that they do not have elsewhere:";
            add("perm", &|| (!more.is_empty()).then(|| format!("{why} {more}")));
        }
    }

    /// Adds the folder to those of a user whose own rules are `rules`, or adds the keys to the last
    /// of them, if it is the same folder.
    fn add_to(
        &self,
        folders: &mut Vec<Folder>,
        user: &str,
        rules: &FolderRules,
        folder: &Path,
    ) {
        let around = innermost(folders, self.path.as_bytes());
        let rules = around.map_or(rules, |around| &around.rules).clone();
        // retention applies to a folder as a whole, with the folders in it that say nothing else
        let rules = FolderRules { keep: KeepRules::blank(), from: None, ..rules };
        if folders.last().is_none_or(|last| !last.path.eq_ignore_ascii_case(&self.path)) {
            folders.push(Folder { path: self.path.clone(), rules, has_letters: false });
        }
        let Some(last) = folders.last_mut() else { return };
        for entry in &self.section.entries {
            if let Some(key) = KEYS.iter().find(|key| key.name == entry.key) {
                let given = Given { text: &entry.value, folder, user: Some(user) };
                // cannot fail, because the value has been read before
                let _ = key.set(&given, &mut Target::Folder(&mut last.rules));
                last.has_letters |= key.name == "perm" || last.rules.from.is_some();
            }
        }
    }
}

/// Reads the user and the path from the name of a section. Returns `None` after a fault.
fn read_name(draft: &mut Draft, found: &FolderSection) -> Option<(Option<String>, String)> {
    let name = found.section.name.strip_prefix("folder:").unwrap_or_default().to_owned();
    let (user, path) = match name.split_once(":/") {
        Some((user, path)) if !name.starts_with('/') => {
            (Some(user.to_owned()), format!("/{path}"))
        }
        _ => (None, name.clone()),
    };
    let mut bad = |why: &str| {
        report(draft, found, None, Fault::Value(name.clone(), why.to_owned()));
        None
    };
    if !path.starts_with('/') {
        return bad("is not a folder such as [folder:/path] or [folder:USER:/path]");
    }
    let path = path.trim_end_matches('/').to_owned();
    if path.is_empty() {
        return bad("is a whole home; set the key in [server] or [user:NAME]");
    }
    let is_odd =
        |part: &str| matches!(part, "" | "." | "..") || part.contains(char::is_control);
    if path.split('/').skip(1).any(is_odd) {
        return bad("is not a path without empty parts, '.' and '..'");
    }
    if found.file > 0 && user.is_none() {
        return bad("is for all users, and belongs in the file that names users_file");
    }
    if let Some(wanted) = &user
        && !is_user(draft, wanted)
    {
        let names = draft.users.iter().map(|candidate| candidate.name.as_str());
        let may = draft.faults.len() < MOST_SUGGESTED;
        let near = may.then(|| nearest(wanted, names)).flatten();
        let near = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
        let why = format!("has no section '[user:{wanted}]'{near}");
        report(draft, found, None, Fault::Value(name, why));
        return None;
    }
    Some((user, path))
}

fn is_user(draft: &Draft, name: &str) -> bool {
    // a user whose section has a fault is not missing
    name == ANONYMOUS_SECTION
        || ANONYMOUS.contains(&name) && draft.server.anonymous.enabled
        || draft.places.contains_key(name)
}

/// Reports keys that are unknown or have no place in the section of a folder, and bad values.
fn check_keys(draft: &mut Draft, found: &FolderSection) {
    for entry in &found.section.entries {
        let Some(key) = KEYS.iter().find(|key| key.name == entry.key) else {
            let likely = KEYS.iter().filter(|key| key.is_for_folders());
            let near = nearest(&entry.key, likely.map(|key| key.name));
            report(draft, found, Some(entry), Fault::UnknownKey(near));
            continue;
        };
        if !key.is_for_folders() {
            let is_server = key.scope() == Scope::Server;
            let home = if is_server { "[server]" } else { "[user:NAME]" };
            report(draft, found, Some(entry), Fault::Misplaced(home));
            continue;
        }
        let given = Given { text: &entry.value, folder: &draft.folder, user: None };
        let mut rules = FolderRules::blank();
        if let Err(fault) = key.set(&given, &mut Target::Folder(&mut rules)) {
            report(draft, found, Some(entry), fault);
        }
    }
}

fn report(
    draft: &mut Draft,
    found: &FolderSection,
    entry: Option<&ini::Assignment>,
    fault: Fault,
) {
    let FolderSection { file, section } = found;
    let place = Location {
        file: *file,
        line: entry.map_or(section.line, |entry| entry.line),
        section: Some(section.name.clone()),
        key: entry.map(|entry| entry.key.clone()),
    };
    draft.faults.push((place, fault));
}
