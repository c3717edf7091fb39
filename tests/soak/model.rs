//! The model of what must be on the server: the client's directory file by file, and what may
//! be left of each upload that broke off. Contents are kept as the seeds that they are made
//! from.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::random::fill;

/// A path: names from the user's root on.
pub type Path = Vec<Vec<u8>>;

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    seed: u64,
    from: u64,
    len: u64,
}

impl Content {
    /// Returns new bytes.
    pub fn new(seed: u64, len: u64) -> Self {
        Self(if len == 0 { Vec::new() } else { vec![Piece { seed, from: 0, len }] })
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len).sum()
    }

    /// Returns the first `len` bytes, or all if there are fewer.
    pub fn prefix(&self, len: u64) -> Self {
        let mut left = len;
        let mut pieces = Vec::new();
        for piece in &self.0 {
            let taken = piece.len.min(left);
            if taken > 0 {
                pieces.push(Piece { len: taken, ..*piece });
            }
            left -= taken;
        }
        Self(pieces)
    }

    /// Returns what follows the first `skipped` bytes.
    pub fn suffix(&self, skipped: u64) -> Self {
        let mut left = skipped;
        let mut pieces = Vec::new();
        for piece in &self.0 {
            let gone = piece.len.min(left);
            left -= gone;
            if gone < piece.len {
                let (from, len) = (piece.from + gone, piece.len - gone);
                pieces.push(Piece { from, len, ..*piece });
            }
        }
        Self(pieces)
    }

    /// Returns these bytes followed by more.
    pub fn then(&self, more: &Self) -> Self {
        let mut all = self.0.clone();
        for piece in &more.0 {
            match all.last_mut() {
                Some(last) if last.seed == piece.seed && last.from + last.len == piece.from => {
                    last.len += piece.len;
                }
                _ => all.push(*piece),
            }
        }
        Self(all)
    }

    /// Returns the bytes themselves.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len() as usize];
        let mut rest = &mut bytes[..];
        for piece in &self.0 {
            let (now, later) = rest.split_at_mut(piece.len as usize);
            fill(piece.seed, piece.from, now);
            rest = later;
        }
        bytes
    }

    /// Returns the bytes as the server sends them in a type.
    pub fn wire(&self, ascii: bool) -> Vec<u8> {
        if ascii { with_cr(&self.bytes(), true) } else { self.bytes() }
    }

    /// Returns the bytes as a client sends them in a type, so that the server stores exactly
    /// these.
    pub fn sent(&self, ascii: bool) -> Vec<u8> {
        if ascii { with_cr(&self.bytes(), false) } else { self.bytes() }
    }
}

/// Adds a CR before each LF; with `sparing`, only before those that have none.
fn with_cr(local: &[u8], sparing: bool) -> Vec<u8> {
    let mut wire = Vec::with_capacity(local.len() + local.len() / 8);
    for &byte in local {
        if byte == b'\n' && !(sparing && wire.last() == Some(&b'\r')) {
            wire.push(b'\r');
        }
        wire.push(byte);
    }
    wire
}

/// A file in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its bytes.
    pub content: Content,
    /// Its modification time, if a client has set it.
    pub time: Option<i64>,
    /// Its mode, if it is known.
    pub mode: Option<u32>,
    /// A number that changes whenever the file is written to.
    id: u64,
}

/// The properties by which the server tells versions apart.
pub type Key = (u64, Option<i64>);

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Version {
    /// Returns a version that has just been written.
    pub fn new(content: Content, mode: Option<u32>) -> Self {
        Self { content, time: None, mode, id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Returns the properties by which the version is told apart.
    pub fn key(&self) -> Key {
        (self.id, self.time)
    }
}

/// What is left of an upload that broke off: the first `low` to `high` bytes of `content`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The bytes that the upload would have put in place.
    pub content: Content,
    /// The minimum number of bytes that can be there.
    pub low: u64,
    /// The maximum number of bytes that can be there.
    pub high: u64,
    /// The version of which the upload began with a copy.
    pub base: Option<Key>,
    /// Whether its owner has been shown it.
    pub shown: bool,
}

/// A name in a directory that is not a directory itself.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// The version that a download sends, if there is a file.
    pub there: Option<Version>,
    /// The possible parts that uploads have left, each once. One of them is right.
    parts: Vec<Option<Part>>,
}

/// What the owner is shown of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// The file in place.
    File(u64),
    /// A part of this many bytes.
    Part(u64),
}

impl File {
    /// Returns a file in place, with no part beside it.
    pub fn of(version: Version) -> Self {
        Self { there: Some(version), parts: vec![None] }
    }

    /// Returns a name that nothing has.
    pub fn nothing() -> Self {
        Self { there: None, parts: vec![None] }
    }

    /// Whether nothing can have the name.
    pub fn is_nothing(&self) -> bool {
        self.there.is_none() && self.parts == [None]
    }

    fn is_visible(&self, part: &Part) -> bool {
        part.base.is_none() || part.base == self.there.as_ref().map(Version::key)
    }

    /// Returns the part that the owner is shown, or `Err` if that is not certain.
    pub fn part(&self) -> Result<Option<&Part>, ()> {
        let [only] = &self.parts[..] else { return Err(()) };
        let part = only.as_ref().filter(|part| self.is_visible(part));
        if part.is_some_and(|part| part.low != part.high) { Err(()) } else { Ok(part) }
    }

    /// Whether there may be a part that the owner has been shown.
    pub fn may_be_shown(&self) -> bool {
        self.parts.iter().flatten().any(|part| part.shown)
    }

    /// Whether there may be a part.
    pub fn may_have_part(&self) -> bool {
        self.parts.iter().flatten().next().is_some()
    }

    /// Whether there is certainly a part.
    pub fn has_part(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    /// Returns what the owner may be shown: whether it is a part, and the range of sizes.
    fn possible(&self, part: Option<&Part>) -> (bool, Option<(u64, u64)>) {
        if let Some(part) = part.filter(|part| self.is_visible(part)) {
            return (true, Some((part.low, part.high)));
        }
        let size = self.there.as_ref().map(|there| there.content.len());
        (false, size.map(|size| (size, size)))
    }

    /// Takes in what the server shows: a size, or nothing. If that cannot be, returns what it
    /// would have to be.
    pub fn look(&mut self, size: Option<u64>) -> Result<(), String> {
        let possible: Vec<_> =
            self.parts.iter().map(|part| self.possible(part.as_ref())).collect();
        let mut left = Vec::new();
        for (part, (is_part, range)) in self.parts.iter().zip(&possible) {
            let fits = match (size, range) {
                (None, None) => true,
                (Some(size), Some((low, high))) => (*low..=*high).contains(&size),
                _ => false,
            };
            if fits {
                let mut part = part.clone();
                if let (Some(part), true, Some(size)) = (&mut part, is_part, size) {
                    (part.low, part.high, part.shown) = (size, size, true);
                }
                left.push(part);
            }
        }
        if left.is_empty() {
            return Err(format!("{size:?} is shown, and not one of {possible:?}"));
        }
        left.dedup();
        self.parts = left;
        Ok(())
    }

    /// Returns what the owner is shown, or `Err` if that is not certain.
    pub fn shown(&self) -> Result<Shown, ()> {
        Ok(match (self.part()?, &self.there) {
            (Some(part), _) => Shown::Part(part.high),
            (None, Some(there)) => Shown::File(there.content.len()),
            (None, None) => Shown::Nothing,
        })
    }

    /// Records that an upload is in place, and that nothing is left of earlier ones.
    pub fn placed(&mut self, content: Content) {
        let mode = self.there.as_ref().map_or(Some(0o644), |there| there.mode);
        *self = Self::of(Version::new(content, mode));
    }

    /// Records that something was added to the file in place. A part that was not gone on with
    /// may or may not remain.
    pub fn appended(&mut self, content: Content) {
        let parts = std::mem::take(&mut self.parts);
        self.placed(content);
        self.parts = parts;
        self.also(None);
    }

    /// Records that an upload which replaces the file has broken off. Up to `high` bytes of it
    /// have arrived.
    pub fn broken(&mut self, content: Content, high: u64) {
        if high > 0 {
            self.also(Some(Part { content, low: 1, high, base: None, shown: false }));
        }
    }

    /// Records that an upload has broken off which went on with a part, from an offset on.
    pub fn broken_again(&mut self, content: Content, offset: u64, high: u64) {
        let before = self.parts.iter().flatten().next().cloned();
        let base = before.as_ref().and_then(|part| part.base);
        // the part may be taken over and not shown since
        if let Some(before) = before {
            self.also(Some(Part { shown: false, ..before }));
        }
        self.also(Some(Part { content, low: offset, high, base, shown: false }));
    }

    /// Records that an upload has broken off which began with a copy of the file in place, up
    /// to an offset.
    pub fn broken_in(&mut self, content: Content, offset: u64, high: u64) {
        let Some(there) = &mut self.there else { return };
        if high == offset {
            return;
        }
        if offset == there.content.len() {
            // what was added is cut off again, and the time changes
            *there = Version::new(there.content.clone(), there.mode);
            let stale = self.parts.iter().flatten().any(|part| part.base.is_some());
            if stale {
                self.also(None);
            }
        }
        let base = self.there.as_ref().map(Version::key);
        self.also(Some(Part { content, low: offset + 1, high, base, shown: false }));
    }

    /// Records that the owner has looked, and that it is not certain what was shown.
    pub fn blur(&mut self) {
        let shown =
            self.parts.iter().flatten().map(|part| Part { shown: true, ..part.clone() });
        for part in shown.collect::<Vec<_>>() {
            self.also(Some(part));
        }
    }

    fn also(&mut self, part: Option<Part>) {
        if !self.parts.contains(&part) {
            self.parts.push(part);
        }
    }

    /// Records that all parts are gone.
    pub fn forget_parts(&mut self) {
        self.parts = vec![None];
    }
}

/// A directory or a file.
#[derive(Debug, Clone)]
pub enum Node {
    Dir(BTreeMap<Vec<u8>, Node>),
    File(File),
}

/// The client's directory, as one account sees it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The path of the client's directory.
    top: Vec<u8>,
    root: Node,
}

impl Tree {
    /// Returns an empty directory of this name.
    pub fn new(top: &str) -> Self {
        Self { top: top.as_bytes().to_vec(), root: Node::Dir(BTreeMap::new()) }
    }

    /// Returns the path of the client's directory.
    pub fn top(&self) -> Path {
        vec![self.top.clone()]
    }

    /// Returns what is at a path below the client's directory.
    pub fn at(&self, path: &[Vec<u8>]) -> Option<&Node> {
        let mut node = &self.root;
        for name in path.get(1..)? {
            let Node::Dir(names) = node else { return None };
            node = names.get(name)?;
        }
        Some(node)
    }

    /// Returns the names in a directory.
    pub fn names(&self, path: &[Vec<u8>]) -> Option<&BTreeMap<Vec<u8>, Node>> {
        match self.at(path) {
            Some(Node::Dir(names)) => Some(names),
            _ => None,
        }
    }

    /// Returns the names in a directory, for changing them.
    pub fn names_mut(&mut self, path: &[Vec<u8>]) -> &mut BTreeMap<Vec<u8>, Node> {
        let mut node = &mut self.root;
        for name in &path[1..] {
            let Node::Dir(names) = node else { panic!("the model has no such directory") };
            node = names.get_mut(name).expect("the model has no such directory");
        }
        match node {
            Node::Dir(names) => names,
            Node::File(_) => panic!("the model has a file there"),
        }
    }

    /// Returns the file of a name, or a name that nothing has.
    pub fn file(&self, path: &[Vec<u8>]) -> File {
        match self.at(path) {
            Some(Node::File(file)) => file.clone(),
            _ => File::nothing(),
        }
    }

    /// Changes the file of a name, which need not exist.
    pub fn change<T>(&mut self, path: &[Vec<u8>], change: impl FnOnce(&mut File) -> T) -> T {
        let mut file = self.file(path);
        let result = change(&mut file);
        let (name, parent) = path.split_last().expect("a file has a name");
        let names = self.names_mut(parent);
        if file.is_nothing() {
            names.remove(name);
        } else {
            names.insert(name.clone(), Node::File(file));
        }
        result
    }

    /// Returns every directory.
    pub fn dirs(&self) -> Vec<Path> {
        let mut all = vec![self.top()];
        let mut at = 0;
        while let Some(path) = all.get(at).cloned() {
            for (name, node) in self.names(&path).into_iter().flatten() {
                if let Node::Dir(_) = node {
                    all.push([&path[..], std::slice::from_ref(name)].concat());
                }
            }
            at += 1;
        }
        all
    }

    /// Returns every name that is not a directory's.
    pub fn files(&self) -> Vec<Path> {
        let mut all = Vec::new();
        for dir in self.dirs() {
            for (name, node) in self.names(&dir).into_iter().flatten() {
                if let Node::File(_) = node {
                    all.push([&dir[..], std::slice::from_ref(name)].concat());
                }
            }
        }
        all
    }
}

/// Returns a path as a client may write it.
pub fn absolute(path: &[Vec<u8>]) -> Vec<u8> {
    if path.is_empty() {
        return b"/".to_vec();
    }
    path.iter().flat_map(|name| [&b"/"[..], name].concat()).collect()
}
