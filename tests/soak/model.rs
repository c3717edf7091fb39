//! What a client knows must be on the server: its directory, file by file, and of each upload that
//! broke off what may be left of it. Contents are kept as the seeds they are made from.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::random::fill;

/// Where something is: names from the user's root on.
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
    /// New bytes.
    pub fn new(seed: u64, len: u64) -> Self {
        Self(if len == 0 { Vec::new() } else { vec![Piece { seed, from: 0, len }] })
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len).sum()
    }

    /// The first bytes, no more than there are.
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

    /// What follows the first bytes.
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

    /// This, and more behind it.
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

    /// The bytes themselves.
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

    /// As the server sends them in a type.
    pub fn wire(&self, ascii: bool) -> Vec<u8> {
        if ascii { with_cr(&self.bytes(), true) } else { self.bytes() }
    }

    /// As a client sends them in a type, so that the server stores exactly these.
    pub fn sent(&self, ascii: bool) -> Vec<u8> {
        if ascii { with_cr(&self.bytes(), false) } else { self.bytes() }
    }
}

/// A CR in front of each LF; with `sparing`, of those alone that have none.
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
    /// Its modification time, where a client has set it.
    pub time: Option<i64>,
    /// Its mode, where it is known.
    pub mode: Option<u32>,
    /// Changes whenever it is written to.
    id: u64,
}

/// By what the server tells versions apart.
pub type Key = (u64, Option<i64>);

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Version {
    /// A version that has just been written.
    pub fn new(content: Content, mode: Option<u32>) -> Self {
        Self { content, time: None, mode, id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// By what it is told apart.
    pub fn key(&self) -> Key {
        (self.id, self.time)
    }
}

/// What is left of an upload that broke off: the first `low` to `high` bytes of `content`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What the upload would have put in place.
    pub content: Content,
    /// The fewest bytes that can be there.
    pub low: u64,
    /// The most.
    pub high: u64,
    /// The version that it began with a copy of.
    pub base: Option<Key>,
    /// Whether its owner has been shown it.
    pub shown: bool,
}

/// A name of a directory that is not another directory.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// What a download gives.
    pub there: Option<Version>,
    /// What may be left of uploads, each possibility once. One is right.
    parts: Vec<Option<Part>>,
}

/// What the owner is shown of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// The file in place.
    File(u64),
    /// A part, of this many bytes.
    Part(u64),
}

impl File {
    /// A file in place, with no part beside it.
    pub fn of(version: Version) -> Self {
        Self { there: Some(version), parts: vec![None] }
    }

    /// A name that nothing has.
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

    /// The part that the owner is shown, if that is certain: `Err` if it is not.
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

    /// Whether there is a part for certain.
    pub fn has_part(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    /// What the owner may be shown, size by size.
    fn possible(&self, part: Option<&Part>) -> (bool, Option<(u64, u64)>) {
        if let Some(part) = part.filter(|part| self.is_visible(part)) {
            return (true, Some((part.low, part.high)));
        }
        let size = self.there.as_ref().map(|there| there.content.len());
        (false, size.map(|size| (size, size)))
    }

    /// Takes in what the server shows: a size, or nothing. Says whether that can be, and what it
    /// would have to be otherwise.
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

    /// What the owner is shown, if that is certain.
    pub fn shown(&self) -> Result<Shown, ()> {
        Ok(match (self.part()?, &self.there) {
            (Some(part), _) => Shown::Part(part.high),
            (None, Some(there)) => Shown::File(there.content.len()),
            (None, None) => Shown::Nothing,
        })
    }

    /// An upload is in place; nothing is left of those before it.
    pub fn placed(&mut self, content: Content) {
        let mode = self.there.as_ref().map_or(Some(0o644), |there| there.mode);
        *self = Self::of(Version::new(content, mode));
    }

    /// Something was added to the file in place. A part that was not gone on with may stay or
    /// not.
    pub fn appended(&mut self, content: Content) {
        let parts = std::mem::take(&mut self.parts);
        self.placed(content);
        self.parts = parts;
        self.also(None);
    }

    /// An upload that replaces has broken off: of what was sent, up to `high` bytes have arrived.
    pub fn broken(&mut self, content: Content, high: u64) {
        if high > 0 {
            self.also(Some(Part { content, low: 1, high, base: None, shown: false }));
        }
    }

    /// An upload that continued the part that is certain, from an offset on, has broken off.
    pub fn broken_again(&mut self, content: Content, offset: u64, high: u64) {
        let before = self.parts.iter().flatten().next().cloned();
        let base = before.as_ref().and_then(|part| part.base);
        // it may be taken over and not shown since
        if let Some(before) = before {
            self.also(Some(Part { shown: false, ..before }));
        }
        self.also(Some(Part { content, low: offset, high, base, shown: false }));
    }

    /// An upload that began with the file in place, from an offset on, has broken off.
    pub fn broken_in(&mut self, content: Content, offset: u64, high: u64) {
        let Some(there) = &mut self.there else { return };
        if high == offset {
            return;
        }
        if offset == there.content.len() {
            // what was added is cut off again, and the time is another one
            *there = Version::new(there.content.clone(), there.mode);
            let stale = self.parts.iter().flatten().any(|part| part.base.is_some());
            if stale {
                self.also(None);
            }
        }
        let base = self.there.as_ref().map(Version::key);
        self.also(Some(Part { content, low: offset + 1, high, base, shown: false }));
    }

    /// The owner has looked, and whatever is left may have been shown or not.
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

    /// All parts are gone.
    pub fn forget_parts(&mut self) {
        self.parts = vec![None];
    }
}

/// Directories and files.
#[derive(Debug, Clone)]
pub enum Node {
    Dir(BTreeMap<Vec<u8>, Node>),
    File(File),
}

/// What one account sees of the client's directory.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The client's directory.
    top: Vec<u8>,
    root: Node,
}

impl Tree {
    /// An empty directory of this name.
    pub fn new(top: &str) -> Self {
        Self { top: top.as_bytes().to_vec(), root: Node::Dir(BTreeMap::new()) }
    }

    /// The path of the client's directory.
    pub fn top(&self) -> Path {
        vec![self.top.clone()]
    }

    /// What is at a path below the client's directory.
    pub fn at(&self, path: &[Vec<u8>]) -> Option<&Node> {
        let mut node = &self.root;
        for name in path.get(1..)? {
            let Node::Dir(names) = node else { return None };
            node = names.get(name)?;
        }
        Some(node)
    }

    /// The names of a directory.
    pub fn names(&self, path: &[Vec<u8>]) -> Option<&BTreeMap<Vec<u8>, Node>> {
        match self.at(path) {
            Some(Node::Dir(names)) => Some(names),
            _ => None,
        }
    }

    /// The names of a directory, to be changed.
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

    /// The file of a name, or a name that nothing has.
    pub fn file(&self, path: &[Vec<u8>]) -> File {
        match self.at(path) {
            Some(Node::File(file)) => file.clone(),
            _ => File::nothing(),
        }
    }

    /// Changes the file of a name, which may be there or not.
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

    /// Every directory.
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

    /// Every name that is not a directory's.
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

/// A path as a client may write it.
pub fn absolute(path: &[Vec<u8>]) -> Vec<u8> {
    if path.is_empty() {
        return b"/".to_vec();
    }
    path.iter().flat_map(|name| [&b"/"[..], name].concat()).collect()
}
