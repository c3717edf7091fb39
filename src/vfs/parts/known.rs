//! The parts that the server knows of, in memory. Active parts are being written; dead parts
//! were left by failed uploads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use super::name::{Mark, PartName, Tag};
use super::shares::{Share, Shares};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::{FileId, Version};
use crate::vfs::tree::folder::Folder;

/// A directory, and the mark of a user's uploads under one name in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::vfs) struct PartKey {
    pub(in crate::vfs) dir: FileId,
    pub(in crate::vfs) mark: Mark,
}

/// A part that is being written.
#[derive(Debug)]
pub(in crate::vfs) struct ActivePart {
    pub(in crate::vfs) name: PartName,
    /// The name as it appears in the directory.
    pub(in crate::vfs) file_name: Vec<u8>,
    folder: Mutex<Folder>,
    /// The version of the file that the part began as a copy of, if any.
    pub(in crate::vfs) base: OnceLock<Version>,
    /// Whether the part no longer belongs to the upload: it was put in place or left behind, or
    /// another session of the user has resumed it. The upload holds this lock while it writes
    /// to the part or renames it, so that the bytes of two sessions never mix. Only a session
    /// that takes the part over waits for the lock.
    gone: Mutex<bool>,
    /// A handle of the file that keeps its lock, by which other servers see that an upload writes to it;
    /// `None` where no other server serves the directory, and when the part has been given up.
    lock: Mutex<Option<Arc<OwnedFd>>>,
}

/// A part that a failed upload has left.
#[derive(Debug, Clone)]
pub(in crate::vfs) struct DeadPart {
    pub(in crate::vfs) folder: Folder,
    pub(in crate::vfs) name: PartName,
    /// The share that the part counts for.
    pub(in crate::vfs) share: Share,
    /// The name that distinguishes the user; `None` for a part that was left before the server
    /// started.
    pub(in crate::vfs) uploader: Option<Arc<[u8]>>,
    /// The number of the upload, which distinguishes it from later ones under the same name.
    pub(in crate::vfs) upload: u64,
    /// When the part was last written to.
    pub(in crate::vfs) since: SystemTime,
    /// The version of the file that the part began as a copy of, if any.
    pub(in crate::vfs) base: Option<Version>,
    /// Whether the part has been shown to the user since the upload failed.
    pub(in crate::vfs) shown: bool,
}

/// All known parts.
#[derive(Debug)]
pub(super) struct Known {
    active: BTreeMap<PartKey, Vec<Arc<ActivePart>>>,
    dead: BTreeMap<PartKey, DeadPart>,
    /// The dead parts, by the share that they count for.
    shares: Shares<PartKey>,
    /// Number of parts in each directory, active and dead.
    folders: HashMap<FileId, usize>,
    count: usize,
}

impl ActivePart {
    pub(super) fn new(name: PartName, folder: Folder) -> Self {
        let (folder, gone) = (Mutex::new(folder), Mutex::new(false));
        let lock = Mutex::default();
        Self { file_name: name.bytes(), name, folder, base: OnceLock::new(), gone, lock }
    }

    /// Keeps the lock of the file for as long as an upload of this server writes to it.
    pub(in crate::vfs) fn keep_lock(&self, lock: Option<Arc<OwnedFd>>) {
        *self.held_lock() = lock;
    }

    /// Returns the handle of the file that keeps its lock.
    pub(in crate::vfs) fn lock(&self) -> Option<Arc<OwnedFd>> {
        self.held_lock().clone()
    }

    fn held_lock(&self) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the directory of the part, by its current path.
    pub(in crate::vfs) fn folder(&self) -> Folder {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps other sessions from taking the part over until the guard is dropped.
    pub(in crate::vfs) fn writing(&self) -> Result<MutexGuard<'_, bool>, FsError> {
        let gone = self.gone();
        if *gone { Err(FsError::TakenOver) } else { Ok(gone) }
    }

    /// Returns whether the part no longer belongs to the upload. No other thread changes this
    /// until the guard is dropped.
    pub(in crate::vfs) fn gone(&self) -> MutexGuard<'_, bool> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            active: BTreeMap::new(),
            dead: BTreeMap::new(),
            shares: Shares::new(),
            folders: HashMap::new(),
            count: 0,
        }
    }

    /// Number of parts, active and dead.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Number of dead parts.
    pub(super) fn count_dead(&self) -> usize {
        self.dead.len()
    }

    /// Returns the names of the parts in a directory, of all users.
    pub(super) fn in_folder(&self, dir: FileId) -> Vec<PartName> {
        if !self.folders.contains_key(&dir) {
            return Vec::new();
        }
        let here = PartKey { dir, mark: Mark::FIRST }..=PartKey { dir, mark: Mark::LAST };
        let active = self.active.range(here.clone()).flat_map(|(_, active)| active);
        let active = active.map(|active| active.name.clone());
        active.chain(self.dead.range(here).map(|(_, dead)| dead.name.clone())).collect()
    }

    /// Whether a part in this directory is being written.
    pub(super) fn is_written_in(&self, dir: FileId) -> bool {
        self.active.keys().any(|key| key.dir == dir)
    }

    /// Whether the part with this name is known.
    pub(super) fn has(&self, key: PartKey, tag: Tag) -> bool {
        let is_it = |active: &Arc<ActivePart>| active.name.tag == tag;
        self.active.get(&key).is_some_and(|active| active.iter().any(is_it))
            || (tag == Tag::Dead && self.dead.contains_key(&key))
    }

    /// Returns the directories that have parts.
    pub(super) fn folders(&self) -> HashSet<Folder> {
        let active = self.active.values().flatten().map(|active| active.folder());
        active.chain(self.dead.values().map(|dead| dead.folder.clone())).collect()
    }

    /// Returns all dead parts, those of a directory one after the other.
    pub(super) fn all_dead(&self) -> Vec<(PartKey, DeadPart)> {
        self.dead.iter().map(|(key, dead)| (*key, dead.clone())).collect()
    }

    /// Returns the active parts of one user for one name.
    pub(super) fn active(&self, key: PartKey) -> Vec<Arc<ActivePart>> {
        self.active.get(&key).cloned().unwrap_or_default()
    }

    /// Returns what `find` finds in the youngest part for which it finds something: the last one that an
    /// upload writes to, or else the dead part that was written to last.
    pub(super) fn youngest<T>(
        &self,
        find: impl Fn(PartKey, &Folder, &PartName) -> Option<T>,
    ) -> Option<T> {
        let active =
            self.active.iter().flat_map(|(key, all)| all.iter().map(|one| (*key, one)));
        let active = active.filter(|(_, one)| !one.name.is_lone()).filter_map(|(key, one)| {
            Some((one.name.upload(), find(key, &one.folder(), &one.name)?))
        });
        if let Some((_, found)) = active.max_by_key(|(upload, _)| *upload) {
            return Some(found);
        }
        let dead = self.dead.iter();
        let dead = dead
            .filter_map(|(key, one)| Some((one.since, find(*key, &one.folder, &one.name)?)));
        dead.max_by_key(|(since, _)| *since).map(|(_, found)| found)
    }

    /// Adds an active part.
    pub(super) fn enter(&mut self, key: PartKey, active: Arc<ActivePart>) {
        self.active.entry(key).or_default().push(active);
        self.more(key.dir);
    }

    /// Removes an active part.
    pub(super) fn leave(&mut self, key: PartKey, active: &Arc<ActivePart>) {
        let Some(here) = self.active.get_mut(&key) else { return };
        let before = here.len();
        here.retain(|other| !Arc::ptr_eq(other, active));
        let (left, gone) = (here.len(), before > here.len());
        if left == 0 {
            self.active.remove(&key);
        }
        if gone {
            self.fewer(key.dir);
        }
    }

    /// Returns the dead part of one user for one name.
    pub(super) fn dead(&self, key: PartKey) -> Option<&DeadPart> {
        self.dead.get(&key)
    }

    /// Returns the dead parts that were last written to at a time for which `is_due` holds.
    pub(super) fn due(&self, is_due: impl Fn(SystemTime) -> bool) -> Vec<(PartKey, DeadPart)> {
        let due = self.dead.iter().filter(|(_, dead)| is_due(dead.since));
        due.map(|(key, dead)| (*key, dead.clone())).collect()
    }

    /// Adds a dead part. If there are now more than `most`, removes and returns one: the oldest
    /// part of the user who has the most.
    pub(super) fn bury(
        &mut self,
        key: PartKey,
        dead: DeadPart,
        most: usize,
    ) -> Option<(PartKey, DeadPart)> {
        let (share, since) = (dead.share, dead.since);
        match self.dead.insert(key, dead) {
            Some(old) => self.shares.give_back(old.share, old.since, key),
            None => self.more(key.dir),
        }
        self.shares.take(share, since, key);
        let next = if self.dead.len() > most { self.shares.next() } else { None };
        next.and_then(|key| Some((key, self.dig_up(key)?)))
    }

    /// Removes a dead part, and returns whether it was known.
    pub(super) fn unbury(&mut self, key: PartKey, upload: u64) -> bool {
        let known = self.dead.get(&key).is_some_and(|dead| dead.upload == upload);
        known && self.dig_up(key).is_some()
    }

    fn dig_up(&mut self, key: PartKey) -> Option<DeadPart> {
        let dead = self.dead.remove(&key)?;
        self.shares.give_back(dead.share, dead.since, key);
        self.fewer(key.dir);
        Some(dead)
    }

    /// Records that a dead part has been shown to its user, and that it counts for this share.
    /// The share of a part from an earlier server is unknown until then.
    pub(super) fn show(&mut self, key: PartKey, share: Share) {
        let Some(dead) = self.dead.get_mut(&key) else { return };
        dead.shown = true;
        if dead.share != share {
            self.shares.give_back(dead.share, dead.since, key);
            self.shares.take(share, dead.since, key);
            dead.share = share;
        }
    }

    /// Returns where the directories with parts will be when a directory is renamed from one real
    /// path to another.
    pub(super) fn moving(&self, from: &Path, to: &Path) -> HashSet<Folder> {
        self.folders().iter().filter_map(|folder| behind(folder, from, to)).collect()
    }

    /// Changes the paths of the parts below a directory that was renamed from one real path to
    /// another, and returns their directories.
    pub(super) fn moved(&mut self, from: &Path, to: &Path) -> HashSet<Folder> {
        let mut moved = HashSet::new();
        let mut follow = |folder: &mut Folder| {
            if let Some(now) = behind(folder, from, to) {
                *folder = now;
                moved.insert(folder.clone());
            }
        };
        self.dead.values_mut().for_each(|dead| follow(&mut dead.folder));
        for active in self.active.values().flatten() {
            follow(&mut active.folder.lock().unwrap_or_else(PoisonError::into_inner));
        }
        moved
    }

    fn more(&mut self, dir: FileId) {
        *self.folders.entry(dir).or_default() += 1;
        self.count += 1;
    }

    fn fewer(&mut self, dir: FileId) {
        if let Some(count) = self.folders.get_mut(&dir) {
            *count -= 1;
            if *count == 0 {
                self.folders.remove(&dir);
            }
        }
        self.count -= 1;
    }

    /// Number of parts, added up over the directories.
    #[cfg(test)]
    pub(super) fn count_by_folder(&self) -> usize {
        self.folders.values().sum()
    }
}

/// Returns where a directory is when one above it was renamed from one real path to another, or
/// `None` if it is not below it.
fn behind(folder: &Folder, from: &Path, to: &Path) -> Option<Folder> {
    let now = to.join(folder.real().strip_prefix(from).ok()?);
    let path = now.strip_prefix(&folder.home).ok()?;
    let path = VirtualPath::root().join(path.as_os_str().as_bytes());
    Some(Folder { path, ..folder.clone() })
}
