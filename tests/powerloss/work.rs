//! What the client does in the guest: one request after the other, chosen at random.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, reset};
use crate::guest::Marks;
use crate::history::{Change, Content, Mark};
use crate::parts::arrived;
use crate::random::{Random, fill};
use crate::server::Server;

/// The client, and the files as it knows them.
pub(crate) struct Work {
    /// Bob's home.
    home: PathBuf,
    /// A user whose uploads get their names when they are complete.
    bob: Client,
    /// A user whose uploads are written in place.
    old: Client,
    marks: Marks,
    random: Random,
    files: BTreeMap<String, Content>,
    folders: Vec<String>,
    /// Number of the next new name, and of the next content.
    next: u64,
    /// Longest pause between two requests, in milliseconds.
    pause: u64,
}

/// The folder of `atomic_uploads = off` in the history.
pub(crate) const DIRECT: &str = "direct/";

impl Work {
    pub(crate) fn new(
        server: &Server,
        home: PathBuf,
        marks: Marks,
        seed: u64,
        sync: bool,
    ) -> Self {
        let (bob, old) = (Client::bob(server), Client::login(server, "old", "p"));
        let (files, folders) = (BTreeMap::new(), vec![String::new()]);
        let random = Random::new(seed, 1);
        // without syncs, requests would all be over before the disk sees a write
        let pause = if sync { 20 } else { 120 };
        Self { home, bob, old, marks, random, files, folders, next: 1, pause }
    }

    /// Works until this moment.
    pub(crate) fn run(&mut self, until: Instant) {
        while Instant::now() < until {
            match self.random.below(100) {
                0..25 => self.store_new(),
                25..45 => self.replace(),
                45..55 => self.append(),
                55..62 => self.restart(),
                62..72 => self.rename(),
                72..78 => self.delete(),
                78..83 => self.make_folder(),
                83..86 => self.rename_folder(),
                86..88 => self.remove_folder(),
                88..96 => self.break_off(),
                _ => self.write_in_place(),
            }
            // paces the work, so that the kernel writes in the middle of it
            thread::sleep(Duration::from_millis(self.random.below(self.pause)));
        }
    }

    /// Makes a request: what it changes is noted before it, and that it succeeded behind it.
    fn request(&mut self, name: &str, change: Change, make: impl FnOnce(&mut Self)) {
        self.marks.say(&Mark::Begin(name.to_owned(), change.clone()));
        make(self);
        self.marks.say(&Mark::Done);
        for (path, content) in change {
            if matches!(content, Content::File(_)) {
                self.files.insert(path, content);
            } else {
                self.files.remove(&path);
            }
        }
    }

    fn store_new(&mut self) {
        let path = self.new_path();
        self.store("new", &path);
    }

    fn replace(&mut self) {
        if let Some(path) = self.some_file() {
            self.store("replace", &path);
        }
    }

    fn store(&mut self, name: &str, path: &str) {
        let content = self.new_content();
        let bytes = content.bytes();
        self.request(name, vec![(path.to_owned(), content)], |work| {
            work.bob.upload(&format!("STOR /{path}"), &bytes);
        });
    }

    fn append(&mut self) {
        let Some(path) = self.some_file() else { return };
        let (seed, length) = self.new_piece();
        let old = &self.files[&path];
        let mut pieces = old.cut(old.length());
        pieces.push((seed, length));
        let bytes = piece_bytes(seed, length);
        self.request("append", vec![(path.clone(), Content::File(pieces))], |work| {
            work.bob.upload(&format!("APPE /{path}"), &bytes);
        });
    }

    /// Stores from an offset on.
    fn restart(&mut self) {
        let Some(path) = self.some_file() else { return };
        let offset = 1 + self.random.below(self.files[&path].length());
        let (seed, length) = self.new_piece();
        let mut pieces = self.files[&path].cut(offset);
        pieces.push((seed, length));
        let bytes = piece_bytes(seed, length);
        self.request("restart", vec![(path.clone(), Content::File(pieces))], |work| {
            work.bob.cmd(&format!("REST {offset}"), 350);
            work.bob.upload(&format!("STOR /{path}"), &bytes);
        });
    }

    /// Renames a file to a new name, or over another file.
    fn rename(&mut self) {
        let Some(from) = self.some_file() else { return };
        let over = if self.random.chance(40) { self.some_file() } else { None };
        let to = over.filter(|to| *to != from).unwrap_or_else(|| self.new_path());
        let content = self.files[&from].clone();
        let change = vec![(from.clone(), Content::Nothing), (to.clone(), content)];
        self.request("rename", change, |work| {
            work.bob.cmd(&format!("RNFR /{from}"), 350);
            work.bob.cmd(&format!("RNTO /{to}"), 250);
        });
    }

    fn delete(&mut self) {
        let Some(path) = self.some_file() else { return };
        self.request("delete", vec![(path.clone(), Content::Nothing)], |work| {
            work.bob.cmd(&format!("DELE /{path}"), 250);
        });
    }

    fn make_folder(&mut self) {
        let parent = self.random.pick(&self.folders).clone();
        let path = format!("{parent}d{}", self.number());
        self.request("mkdir", vec![(path.clone(), Content::Folder)], |work| {
            work.bob.cmd(&format!("MKD /{path}"), 257);
        });
        self.folders.push(format!("{path}/"));
    }

    /// Renames a folder with all that is in it. Folders with many files are left alone, for their
    /// names must fit into a mark.
    fn rename_folder(&mut self) {
        let from = self.random.pick(&self.folders).clone();
        let inside: Vec<_> =
            self.files.keys().filter(|path| path.starts_with(&from)).cloned().collect();
        let subfolders = self.folders.iter().filter(|folder| folder.starts_with(&from)).count();
        if from.is_empty() || subfolders > 1 || inside.len() > 12 {
            return;
        }
        let to = format!("m{}/", self.number());
        let slashless = |path: &str| path.trim_end_matches('/').to_owned();
        let mut change =
            vec![(slashless(&from), Content::Nothing), (slashless(&to), Content::Folder)];
        for path in inside {
            let moved = path.replacen(&from, &to, 1);
            change.push((moved, self.files[&path].clone()));
            change.push((path, Content::Nothing));
        }
        self.request("mvdir", change, |work| {
            work.bob.cmd(&format!("RNFR /{from}"), 350);
            work.bob.cmd(&format!("RNTO /{to}"), 250);
        });
        self.folders.retain(|folder| *folder != from);
        self.folders.push(to);
    }

    fn remove_folder(&mut self) {
        let is_empty = |folder: &&String| {
            let used = |path: &String| path.starts_with(folder.as_str());
            !folder.is_empty()
                && !self.files.keys().any(used)
                && self.folders.iter().filter(|path| used(path)).count() == 1
        };
        let Some(folder) = self.folders.iter().find(is_empty).cloned() else { return };
        let path = folder.trim_end_matches('/').to_owned();
        self.request("rmdir", vec![(path.clone(), Content::Nothing)], |work| {
            work.bob.cmd(&format!("RMD /{path}"), 250);
        });
        self.folders.retain(|other| *other != folder);
    }

    /// Breaks an upload off by a reset of both connections, and mostly resumes it. A part that is
    /// left has a name that is never used again.
    fn break_off(&mut self) {
        let resumes = self.random.chance(60);
        let old = if resumes && self.random.chance(50) { self.some_file() } else { None };
        let path = old.unwrap_or_else(|| self.new_path());
        let content = self.new_content();
        let bytes = content.bytes();
        let sent = 1 + self.random.below(bytes.len() as u64) as usize;
        self.request("break", Vec::new(), |work| work.send_half(&path, &bytes[..sent]));
        if resumes {
            self.request("resume", vec![(path.clone(), content)], |work| {
                work.bob.cmd(&format!("SIZE /{path}"), 213);
                work.bob.cmd(&format!("REST {sent}"), 350);
                work.bob.upload(&format!("STOR /{path}"), &bytes[sent..]);
            });
        }
    }

    fn send_half(&mut self, path: &str, bytes: &[u8]) {
        let mut data = self.bob.passive();
        self.bob.cmd(&format!("STOR /{path}"), 150);
        data.write_all(bytes).unwrap();
        arrived(self.home.join(path).parent().unwrap(), bytes.len());
        reset(data);
        self.bob.expect(426);
    }

    fn write_in_place(&mut self) {
        let path = format!("{DIRECT}f{}", self.random.below(6));
        let content = self.new_content();
        let bytes = content.bytes();
        self.request("in-place", vec![(path.clone(), content)], |work| {
            work.old.upload(&format!("STOR /{}", &path[DIRECT.len()..]), &bytes);
        });
        self.files.remove(&path);
    }

    fn some_file(&mut self) -> Option<String> {
        let count = self.files.len();
        if count == 0 {
            return None;
        }
        self.files.keys().nth(self.random.index(count)).cloned()
    }

    fn new_path(&mut self) -> String {
        let folder = self.random.pick(&self.folders).clone();
        format!("{folder}f{}", self.number())
    }

    fn new_content(&mut self) -> Content {
        Content::File(vec![self.new_piece()])
    }

    fn new_piece(&mut self) -> (u64, u64) {
        let length = match self.random.below(10) {
            0..3 => self.random.between(1, 300),
            3..7 => self.random.between(300, 20_000),
            _ => self.random.between(20_000, 300_000),
        };
        (self.number(), length)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn piece_bytes(seed: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    fill(seed, 0, &mut bytes);
    bytes
}
