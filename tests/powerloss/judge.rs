//! Compares the files that a loss of power has left with what the client was told, and starts the
//! server on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::history::{Content, History};
use crate::machine::Machine;
use crate::parts::{break_off, make_old, noise, parts, resume};
use crate::server::Server;
use crate::work::DIRECT;
use crate::writes::{Cut, Writes};

/// What is on the disk under a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Folder,
    File(Vec<u8>),
}

type Tree = BTreeMap<String, Found>;

/// The results of a file system.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    replies: usize,
    cuts: usize,
    files: usize,
    /// Files that are neither old nor new, and changes that were told and are lost.
    broken: usize,
    /// Files that a rename was moving to another directory, and that have both names.
    both: usize,
    /// Files under new names that are incomplete, where this is allowed.
    incomplete: usize,
    /// Files that an append was changing in place.
    growing: usize,
    lost: usize,
    /// Parts that the server did not find when it started, and those that it never removed.
    late: usize,
    orphans: usize,
    /// Versions in the trash that were compared.
    versions: usize,
    pub(crate) faults: usize,
}

/// The name of the trash.
const TRASH: &str = ".ftpd-trash";

/// Faults of one file system that are printed.
const PRINTED: usize = 25;

impl Tally {
    pub(crate) fn new(writes: &Writes) -> Self {
        Self { replies: writes.history().replies, ..Self::default() }
    }

    /// The first lines of the table of results.
    pub(crate) fn head() -> &'static str {
        "| | sync | replies | losses of power | files compared | new, incomplete | in an append | \
         both names | broken | lost | parts found late | parts left | versions in the trash |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    }

    pub(crate) fn row(&self, name: &str, sync: &str) -> String {
        let Self {
            replies,
            cuts,
            files,
            incomplete,
            growing,
            both,
            broken,
            lost,
            late,
            orphans,
            versions,
            ..
        } = self;
        format!(
            "| {name} | {sync} | {replies} | {cuts} | {files} | {incomplete} | {growing} | {both} | \
             {broken} | {lost} | {late} | {orphans} | {versions} |"
        )
    }

    /// Mounts the disk after a loss of power, and checks all that must hold on it. `strict`: what
    /// the client was told must be there.
    pub(crate) fn judge(
        &mut self,
        machine: &Machine,
        history: &History,
        cut: &Cut,
        strict: bool,
    ) {
        self.cuts += 1;
        let before = self.faults;
        if let Err(why) = machine.mount("cut") {
            self.fault(cut, &format!("does not mount: {why}"));
        } else {
            self.compare(machine, history, cut, strict);
            self.serve(&machine.mounted(), history, cut, strict);
            machine.unmount();
        }
        if let (true, Some(folder)) = (self.faults > before, std::env::var_os("KEEP")) {
            let name = format!("{}-{}", cut.at, cut.kept);
            crate::machine::copy(
                &machine.folder().join("cut"),
                &PathBuf::from(folder).join(name),
            );
        }
    }

    fn fault(&mut self, cut: &Cut, text: &str) {
        self.faults += 1;
        if self.faults <= PRINTED {
            println!("  FAULT behind write {} ({} %): {text}", cut.at, cut.kept);
        }
    }

    fn compare(&mut self, machine: &Machine, history: &History, cut: &Cut, strict: bool) {
        let (disk, mut tree) = (machine.mounted(), Tree::new());
        walk(&disk.join("home"), "", &mut tree);
        walk(&disk.join("direct"), DIRECT, &mut tree);
        self.compare_trash(&disk.join("home").join(TRASH), history, cut, strict);
        let names = history.ever.keys().chain(tree.keys()).collect::<BTreeSet<_>>();
        for path in names {
            let found = tree.get(path);
            self.files += usize::from(matches!(found, Some(Found::File(_))));
            let ever = history.ever.get(path).map_or(&[][..], Vec::as_slice);
            let direct = path.starts_with(DIRECT);
            // such a file may be half written, and without syncs nothing is promised of it
            let any = direct && (!strict || history.coming(path).is_some());
            if any {
                continue;
            }
            let whole = found.is_none() || ever.iter().any(|content| is(found, content));
            let told = history.told(path);
            let is_expected =
                is(found, told) || history.coming(path).is_some_and(|new| is(found, new));
            let fresh = history.fresh.get(path).map_or(&[][..], Vec::as_slice);
            if !whole && !strict && fresh.iter().any(|content| is_part(found, content)) {
                self.incomplete += 1;
            } else if !machine.kind.clones && is_growing(found, path, history) {
                self.growing += 1;
            } else if !whole {
                self.broken += 1;
                self.fault(cut, &format!("{path}: {}", describe(found, ever)));
            } else if strict && !is_expected {
                self.lost += 1;
                let why = format!("{path}: {}, told {told:?}", describe(found, ever));
                self.fault(cut, &format!("{why}; under way: {:?}", history.pending));
            }
        }
        self.compare_pending(&tree, history, cut, strict);
    }

    /// Checks that each version in the trash is a whole one of its path. Without syncs, this is not
    /// promised of what was deleted soon.
    fn compare_trash(&mut self, trash: &Path, history: &History, cut: &Cut, strict: bool) {
        let mut tree = Tree::new();
        if trash.exists() {
            walk(trash, "", &mut tree);
        }
        for (version, found) in &tree {
            let Some((path, _)) = version.rsplit_once(&format!("/{TRASH}-")) else { continue };
            self.files += 1;
            self.versions += 1;
            let ever = history.ever.get(path).map_or(&[][..], Vec::as_slice);
            let is_whole = ever.iter().any(|content| is(Some(found), content));
            // a folder that was removed, or a part that was about to replace a file
            let is_new = history.coming(path).is_some_and(|new| is(Some(found), new));
            if strict && !is_whole && !is_new && *found != Found::Folder {
                self.broken += 1;
                self.fault(cut, &format!("trash of {path}: {}", describe(Some(found), ever)));
            }
        }
    }

    /// Checks that the count of a rescan is what is on the disk.
    fn compare_count(&mut self, server: &Server, home: &Path, cut: &Cut) {
        let words = ["quota", "bob", "--rescan", "--json", "--config", "ftpd.ini"];
        let (code, out, err) = crate::server::run(&words, server.dir());
        let wanted = sizes(home);
        let counted = format!("\"bytes\":{}", wanted.1);
        if code != 0
            || !out.contains(&counted)
            || !out.contains(&format!("\"files\":{}", wanted.0))
        {
            self.fault(cut, &format!("quota: {out}{err} instead of {wanted:?}"));
        }
    }

    /// Checks that a request that changes several paths was carried out on all of them or on none.
    fn compare_pending(&mut self, tree: &Tree, history: &History, cut: &Cut, strict: bool) {
        let Some((name, change)) = &history.pending else { return };
        let differs = |(path, new): &&(String, Content)| history.told(path) != new;
        let paths: Vec<_> = change.iter().filter(differs).collect();
        let carried_out = paths.iter().filter(|(path, new)| is(tree.get(path), new)).count();
        if !strict || carried_out == 0 || carried_out == paths.len() {
            return;
        }
        if name == "rename" && paths.iter().all(|(path, _)| tree.contains_key(path)) {
            // btrfs brings the new name to the disk first
            self.both += 1;
        } else {
            self.broken += 1;
            self.fault(cut, &format!("{name} carried out in part: {change:?}"));
        }
    }

    /// Starts the server on the disk: its journal must be readable, and no part may stay.
    fn serve(&mut self, disk: &Path, history: &History, cut: &Cut, strict: bool) {
        let home = disk.join("home");
        let server = Server::setup()
            .server(&format!("state_dir = {}", disk.join("state").display()))
            .user(&crate::uploader(&home, crate::is_kept()))
            .start();
        if let Some(line) = server.log().lines().find(|line| line.contains("state_dir")) {
            self.fault(cut, line);
        }
        if crate::is_kept() {
            self.compare_count(&server, &home, cut);
        }
        let mut client = Client::bob(&server);
        let mut folders = vec![String::new()];
        let mut tree = Tree::new();
        walk(&home, "", &mut tree);
        let is_folder = |(_, found): &(&String, &Found)| **found == Found::Folder;
        folders.extend(tree.iter().filter(is_folder).map(|(path, _)| path.clone()));
        for folder in folders {
            let left = parts(&home.join(&folder)).len();
            if left == 0 {
                continue;
            }
            self.late += left;
            if strict {
                self.fault(cut, &format!("{left} parts stay in /{folder} at the start"));
            }
            make_old(&home.join(&folder));
            client.lines(&format!("LIST /{folder}"));
            let left = parts(&home.join(&folder)).len();
            if left > 0 {
                self.orphans += left;
                self.fault(cut, &format!("{left} parts stay in /{folder}"));
            }
        }
        self.upload_again(&mut client, &home, history, cut);
    }

    /// Breaks an upload off and resumes it: one to a new name, and the one under way.
    fn upload_again(&mut self, client: &mut Client, home: &Path, history: &History, cut: &Cut) {
        let mut paths = vec!["/new".to_owned()];
        for (path, content) in history.pending.iter().flat_map(|pending| &pending.1) {
            let folder = home.join(path);
            let is_there = folder.parent().is_some_and(Path::exists);
            if matches!(content, Content::File(_)) && is_there && !path.starts_with(DIRECT) {
                paths.push(format!("/{path}"));
            }
        }
        for path in paths {
            let bytes = noise(cut.at as u64, 70_000);
            let (at, folder) = (30_000, home.join(&path[1..]));
            let line = format!("STOR {path}");
            if fs::metadata(&folder).is_ok_and(|meta| meta.nlink() > 1) {
                // it is written to in place, and there is no part
                client.upload(&line, &bytes);
                continue;
            }
            break_off(client, &line, &bytes[..at], folder.parent().unwrap());
            resume(client, at, &line, &bytes[at..]);
            if fs::read(&folder).unwrap() != bytes {
                self.fault(cut, &format!("{path}: not what was resumed"));
            }
        }
    }
}

/// Returns the number of the files below a folder, whatever their names, and their size.
fn sizes(folder: &Path) -> (u64, u64) {
    let mut all = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let one = if entry.file_type().unwrap().is_dir() {
            sizes(&entry.path())
        } else {
            (1, entry.metadata().unwrap().len())
        };
        all = (all.0 + one.0, all.1 + one.1);
    }
    all
}

/// Lists what is in a folder, except for parts and the trash.
fn walk(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with(".ftpd-part-") || name == TRASH {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{path}/"), tree);
            tree.insert(path, Found::Folder);
        } else {
            tree.insert(path, Found::File(fs::read(entry.path()).unwrap()));
        }
    }
}

fn is(found: Option<&Found>, content: &Content) -> bool {
    match (found, content) {
        (None, Content::Nothing) | (Some(Found::Folder), Content::Folder) => true,
        (Some(Found::File(bytes)), Content::File(_)) => {
            bytes.len() as u64 == content.length() && *bytes == content.bytes()
        }
        _ => false,
    }
}

/// Whether a file has the first bytes of a version, or zeros instead of some of them.
fn is_part(found: Option<&Found>, content: &Content) -> bool {
    let Some(Found::File(bytes)) = found else { return false };
    let wanted = content.bytes();
    bytes.len() <= wanted.len()
        && bytes.iter().zip(&wanted).all(|(byte, wanted)| byte == wanted || *byte == 0)
}

/// Whether a file has its last version, and behind it a part of what is being appended.
fn is_growing(found: Option<&Found>, path: &str, history: &History) -> bool {
    let (Some(Found::File(bytes)), Some(new)) = (found, history.coming(path)) else {
        return false;
    };
    let old = history.told(path).bytes();
    let prefix = bytes.get(..old.len());
    new.bytes().starts_with(&old) && prefix == Some(&old[..]) && is_part(found, new)
}

/// Says how a file differs from its nearest version.
fn describe(found: Option<&Found>, ever: &[Content]) -> String {
    let Some(Found::File(bytes)) = found else {
        return if found.is_none() { "nothing" } else { "a folder" }.to_owned();
    };
    let zeros = bytes.iter().filter(|&&byte| byte == 0).count();
    let alike = |content: &Content| {
        content.bytes().iter().zip(bytes).take_while(|(one, other)| one == other).count()
    };
    let best = ever.iter().max_by_key(|content| alike(content));
    format!(
        "{} bytes, {zeros} of them 0, the first {} as in the version of {} bytes",
        bytes.len(),
        best.map_or(0, alike),
        best.map_or(0, Content::length),
    )
}
