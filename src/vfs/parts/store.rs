//! The parts of all uploads of the server: which are being written, which are left of failed
//! ones, and which files are changed in place, one upload at a time.
//!
//! The part files lie in the directories of their targets. What is known of them here is found
//! again after a crash by way of the journal; a part that nobody knows is met when its directory
//! is listed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, Stat, openat, renameat, renameat_with, statat,
    unlinkat,
};

use super::journal::{Folder, Journal, Legacy};
use super::name::{Mark, PartName, Tag};
use super::shares::{Places, Share};
use crate::rights::Ids;
use crate::vfs::error::{FsError, Heed};
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::open_folder;

/// Shared by all sessions of a server.
#[derive(Debug)]
pub struct Parts {
    /// How long a part waits to be resumed; not at all without.
    keep: Option<Duration>,
    /// The server's number, in the names of the parts it writes.
    server: u32,
    /// As whom sessions may have acted.
    known: Vec<Arc<Ids>>,
    next: AtomicU64,
    /// How many there are, so that nothing is looked for while there are none.
    count: AtomicUsize,
    state: Mutex<State>,
    freed: Condvar,
    /// Number of dead parts that are kept.
    most: usize,
    /// Whether the log has said that there are so many.
    is_full: AtomicBool,
}

#[derive(Debug)]
struct State {
    active: BTreeMap<Spot, Vec<Arc<Active>>>,
    dead: BTreeMap<Spot, Dead>,
    /// Whose the dead ones are.
    places: Places<Spot>,
    /// How many parts a directory has, active and dead.
    folders: HashMap<FileId, usize>,
    /// What only one upload at a time may change.
    claimed: HashSet<Turn>,
    /// Names that a STOU has promised.
    promised: HashSet<(FileId, Vec<u8>)>,
    /// Devices whose files cannot be cloned.
    no_clones: HashSet<u64>,
    journal: Journal,
}

/// Device and inode.
pub(in crate::vfs) type FileId = (u64, u64);

#[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "widths differ by target")]
pub(in crate::vfs) fn id_of(stat: &Stat) -> FileId {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// A directory, and whose upload of which name in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::vfs) struct Spot {
    pub(in crate::vfs) dir: FileId,
    pub(in crate::vfs) mark: Mark,
}

/// A part that is being written.
#[derive(Debug)]
pub(in crate::vfs) struct Active {
    pub(in crate::vfs) name: PartName,
    folder: Mutex<Folder>,
    /// The version that it began with a copy of, if it did.
    pub(in crate::vfs) base: OnceLock<Version>,
    /// Set once another session of the user goes on with the part. Whoever writes to the part
    /// or puts it in place holds this lock meanwhile, which nobody else waits for but a session
    /// that takes the part over: what two sessions write never mixes.
    pub(in crate::vfs) taken: Mutex<bool>,
}

/// A part that is left of a failed upload.
#[derive(Debug, Clone)]
pub(in crate::vfs) struct Dead {
    pub(in crate::vfs) folder: Folder,
    pub(in crate::vfs) name: PartName,
    /// Whose share of the places it takes.
    pub(in crate::vfs) share: Share,
    /// The number of the upload, by which it is told from a later one of the same name.
    pub(in crate::vfs) upload: u64,
    /// When it was last written to.
    pub(in crate::vfs) since: SystemTime,
    /// The version that it began with a copy of, if it did.
    pub(in crate::vfs) base: Option<Version>,
    /// Whether its user has been shown it since.
    pub(in crate::vfs) shown: bool,
}

/// A version of a file: which it is, its length and when it was last written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vfs) struct Version {
    id: FileId,
    size: u64,
    modified: SystemTime,
}

impl Version {
    pub(in crate::vfs) fn of(stat: &Stat) -> Self {
        Self { id: id_of(stat), size: len_of(stat), modified: modified(stat) }
    }
}

/// What uploads take turns at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::vfs) enum Turn {
    /// A file that is changed in place, whatever its names.
    File(FileId),
    /// What has a name in a directory, for uploads that begin with it.
    Name(FileId, Vec<u8>),
}

/// The right to do so; given back on drop.
#[derive(Debug)]
pub(in crate::vfs) struct Claim {
    parts: Arc<Parts>,
    turn: Turn,
}

/// A name that nobody else's STOU gets; given back on drop.
#[derive(Debug)]
pub(in crate::vfs) struct Promise {
    parts: Arc<Parts>,
    name: (FileId, Vec<u8>),
}

/// Number of parts of failed uploads that are kept: a client that breaks off without end must not
/// take the server's memory. Beyond it, the user with most of them loses the oldest.
const MOST_DEAD: usize = 50_000;

/// How long an upload waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a client whose upload waits is heard.
const HEEDED: Duration = Duration::from_millis(100);

impl Parts {
    /// Takes over what an earlier server has left: `state_dir` says where its journal is, and
    /// `known` as whom sessions may have acted.
    pub fn start(state_dir: Option<&Path>, keep: Option<Duration>, known: &[Arc<Ids>]) -> Self {
        let mut number = [0; 4];
        // without randomness it is 0, and only two servers at once could mind
        let _ = rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty());
        let server = u32::from_ne_bytes(number);
        let (journal, legacy) = Journal::open(state_dir, server, known);
        let state = State {
            active: BTreeMap::new(),
            dead: BTreeMap::new(),
            places: Places::new(),
            folders: HashMap::new(),
            claimed: HashSet::new(),
            promised: HashSet::new(),
            no_clones: HashSet::new(),
            journal,
        };
        let parts = Self {
            keep,
            server,
            known: known.to_vec(),
            next: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            state: Mutex::new(state),
            freed: Condvar::new(),
            most: MOST_DEAD,
            is_full: AtomicBool::new(false),
        };
        parts.inherit(&legacy);
        parts
    }

    /// Sees to it that there is a journal, and takes over what an earlier server has left if that
    /// has held the journal until now. To be called each second.
    pub fn look_after_journal(&self) {
        let legacy = self.state().journal.look_after(&self.known);
        if let Some(legacy) = legacy {
            self.inherit(&legacy);
        }
    }

    /// Parts of the earlier server's uploads become dead ones, or go if they are of no use:
    /// when the system was started anew since, what is in them may be anything.
    fn inherit(&self, legacy: &Legacy) {
        let mut removed = 0;
        for folder in &legacy.folders {
            let Ok(_acting) = folder.act() else { continue };
            let Ok((dir, stat)) = open_folder(&folder.home, &folder.path) else { continue };
            for name in part_names(&dir) {
                let Ok(part) = lstat(&dir, &name.bytes()) else { continue };
                // one of this server, which has not just started then
                let spot = Spot { dir: id_of(&stat), mark: name.mark };
                if name.tag == Tag::Dead && self.dead(spot).is_some() {
                    continue;
                }
                let ours = match name.tag {
                    Tag::Dead => true,
                    Tag::Active(server, _) => legacy.server == Some(server),
                };
                let since = modified(&part);
                let of_use = legacy.same_boot
                    && part.st_size > 0
                    && !name.is_lone()
                    && !self.is_due(since);
                if (ours && !of_use) || self.is_forgotten(since) {
                    remove(&dir, &name.bytes());
                    removed += 1;
                } else if ours {
                    self.inherit_one(spot, folder, &dir, &name, since);
                }
            }
        }
        let mut state = self.state();
        let kept = state.dead.len();
        if removed + kept > 0 {
            log::info!("parts of uploads that have failed: {kept} kept, {removed} removed");
        }
        let busy = busy(&state.active, &state.dead);
        state.journal.rewrite(busy);
    }

    /// Of two parts of one user for one name, the younger one stays.
    fn inherit_one(
        &self,
        spot: Spot,
        folder: &Folder,
        dir: &OwnedFd,
        name: &PartName,
        since: SystemTime,
    ) {
        let dead = name.tagged(Tag::Dead);
        if name.tag != Tag::Dead {
            let other = lstat(dir, &dead.bytes()).map(|stat| modified(&stat));
            if other.is_ok_and(|other| other >= since) {
                return remove(dir, &name.bytes());
            }
            if renameat(dir, os(&name.bytes()), dir, os(&dead.bytes())).is_err() {
                return;
            }
        }
        let upload = self.next.fetch_add(1, Ordering::Relaxed);
        // whose it is, its name does not say before its user asks for it
        let share = Share::of(folder.home.as_os_str().as_bytes());
        let folder = folder.clone();
        let dead = Dead { folder, name: dead, share, upload, since, base: None, shown: false };
        self.bury(spot, dead);
    }

    /// Ends the dead parts whose time has come.
    pub fn sweep(&self) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let due: Vec<(Spot, Dead)> = {
            let state = self.state();
            let due = state.dead.iter().filter(|(_, dead)| self.is_due(dead.since));
            due.map(|(spot, dead)| (*spot, dead.clone())).collect()
        };
        for (spot, dead) in due {
            let Dead { folder, name, .. } = &dead;
            let Ok(_acting) = folder.act() else { continue };
            // a directory that has moved is met again when somebody lists it
            let there = open_folder(&folder.home, &folder.path);
            if let Ok((dir, stat)) = there
                && id_of(&stat) == spot.dir
                && self.unbury(spot, dead.upload)
            {
                let name = name.bytes();
                match lstat(&dir, &name) {
                    // somebody has just resumed it and failed again
                    Ok(stat) if !self.is_due(modified(&stat)) => {
                        self.bury(spot, Dead { since: modified(&stat), ..dead });
                    }
                    _ => remove(&dir, &name),
                }
            } else {
                self.unbury(spot, dead.upload);
            }
        }
    }

    /// How often [`Parts::sweep`] should be called.
    pub fn sweep_every(&self) -> Duration {
        const OFTEN: Duration = Duration::from_millis(500);
        const SELDOM: Duration = Duration::from_secs(60);
        self.keep.map_or(SELDOM, |keep| (keep / 4).clamp(OFTEN, SELDOM))
    }

    fn is_due(&self, since: SystemTime) -> bool {
        let age = SystemTime::now().duration_since(since).unwrap_or_default();
        self.keep.is_none_or(|keep| age >= keep)
    }

    /// The same for a part that may be another server's, which may keep its parts longer.
    fn is_forgotten(&self, since: SystemTime) -> bool {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let age = SystemTime::now().duration_since(since).unwrap_or_default();
        age >= self.keep.map_or(DAY, |keep| keep.max(DAY))
    }

    /// Whether a part of a failed upload may be kept.
    pub(in crate::vfs) fn are_kept(&self) -> bool {
        self.keep.is_some()
    }

    /// Whether there is any part, so that looking for one may be worth it.
    pub(in crate::vfs) fn are_there(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// The parts in a directory, whoever's.
    pub(in crate::vfs) fn in_folder(&self, dir: FileId) -> Vec<PartName> {
        if !self.are_there() {
            return Vec::new();
        }
        let state = self.state();
        if !state.folders.contains_key(&dir) {
            return Vec::new();
        }
        let here = Spot { dir, mark: Mark::FIRST }..=Spot { dir, mark: Mark::LAST };
        let active = state.active.range(here.clone()).flat_map(|(_, active)| active);
        let active = active.map(|active| active.name.clone());
        active.chain(state.dead.range(here).map(|(_, dead)| dead.name.clone())).collect()
    }

    /// A name for a new part; a lone one is never gone on with.
    pub(in crate::vfs) fn name(&self, mark: Mark, name: &[u8], lone: bool) -> PartName {
        let upload = 2 * self.next.fetch_add(1, Ordering::Relaxed) + u64::from(lone);
        PartName::new(mark, Tag::Active(self.server, upload), name)
    }

    /// Writes down that a part will be made in a directory.
    pub(in crate::vfs) fn note(&self, folder: &Folder) {
        let mut state = self.state();
        let state = &mut *state;
        let (active, dead) = (&state.active, &state.dead);
        state.journal.note(folder, || busy(active, dead));
    }

    /// A part is being written from now on.
    pub(in crate::vfs) fn enter(
        &self,
        spot: Spot,
        folder: Folder,
        name: PartName,
    ) -> Arc<Active> {
        let (folder, taken) = (Mutex::new(folder), Mutex::new(false));
        let active = Arc::new(Active { name, folder, taken, base: OnceLock::new() });
        let mut state = self.state();
        state.active.entry(spot).or_default().push(Arc::clone(&active));
        self.more(&mut state, spot.dir);
        active
    }

    /// It is not any more.
    pub(in crate::vfs) fn leave(&self, spot: Spot, active: &Arc<Active>) {
        let mut state = self.state();
        let Some(here) = state.active.get_mut(&spot) else { return };
        let before = here.len();
        here.retain(|other| !Arc::ptr_eq(other, active));
        let (left, gone) = (here.len(), before > here.len());
        if left == 0 {
            state.active.remove(&spot);
        }
        if gone {
            self.fewer(&mut state, spot.dir);
        }
    }

    /// The parts of one user for one name that are being written.
    pub(in crate::vfs) fn active(&self, spot: Spot) -> Vec<Arc<Active>> {
        if !self.are_there() {
            return Vec::new();
        }
        self.state().active.get(&spot).cloned().unwrap_or_default()
    }

    /// A part is left of a failed upload. If there are too many now, another one goes.
    pub(in crate::vfs) fn bury(&self, spot: Spot, dead: Dead) {
        let crowded_out = {
            let mut state = self.state();
            let (share, since) = (dead.share, dead.since);
            match state.dead.insert(spot, dead) {
                Some(old) => state.places.free(old.share, old.since, spot),
                None => self.more(&mut state, spot.dir),
            }
            state.places.take(share, since, spot);
            let is_over = state.dead.len() > self.most;
            let next = if is_over { state.places.next() } else { None };
            next.and_then(|spot| Some((spot, self.dig_up(&mut state, spot)?)))
        };
        if let Some((spot, dead)) = crowded_out {
            if !self.is_full.swap(true, Ordering::Relaxed) {
                let most = self.most;
                log::warn!(
                    "{most} parts of failed uploads are kept, and no more: from now on the \
                     oldest go, of the users who have most"
                );
            }
            let folder = &dead.folder;
            if let Err(why) = folder.on_behalf(|| abandon(spot, &dead)) {
                log::warn!("a part in {} stays: {why}", folder.real().display());
            }
        }
    }

    fn dig_up(&self, state: &mut State, spot: Spot) -> Option<Dead> {
        let dead = state.dead.remove(&spot)?;
        state.places.free(dead.share, dead.since, spot);
        self.fewer(state, spot.dir);
        Some(dead)
    }

    /// A dead part is resumed or removed; says whether it was known.
    pub(in crate::vfs) fn unbury(&self, spot: Spot, upload: u64) -> bool {
        let mut state = self.state();
        let known = state.dead.get(&spot).is_some_and(|dead| dead.upload == upload);
        if known {
            self.dig_up(&mut state, spot);
        }
        known
    }

    /// Its user is shown a dead part.
    pub(in crate::vfs) fn show(&self, spot: Spot, share: Share) {
        let mut state = self.state();
        let State { dead, places, .. } = &mut *state;
        if let Some(dead) = dead.get_mut(&spot) {
            dead.shown = true;
            if dead.share != share {
                places.free(dead.share, dead.since, spot);
                places.take(share, dead.since, spot);
                dead.share = share;
            }
        }
    }

    /// A directory has been renamed, from one real path to another: its parts are found under
    /// the new one, after a crash as well.
    pub(in crate::vfs) fn moved(&self, from: &Path, to: &Path) {
        if !self.are_there() {
            return;
        }
        let mut state = self.state();
        let state = &mut *state;
        let mut moved = HashSet::new();
        let mut follow = |folder: &mut Folder| {
            let Ok(rest) = folder.real().strip_prefix(from).map(Path::to_owned) else { return };
            let now = to.join(rest);
            if let Ok(path) = now.strip_prefix(&folder.home) {
                folder.path = VirtualPath::root().join(path.as_os_str().as_bytes());
                moved.insert(folder.clone());
            }
        };
        state.dead.values_mut().for_each(|dead| follow(&mut dead.folder));
        for active in state.active.values().flatten() {
            follow(&mut active.folder.lock().unwrap_or_else(PoisonError::into_inner));
        }
        for folder in &moved {
            state.journal.note(folder, || busy(&state.active, &state.dead));
        }
    }

    /// Removes the dead part of one user for one name; says whether there was one.
    pub(in crate::vfs) fn forget(&self, spot: Spot, dir: impl AsFd) -> bool {
        let Some(dead) = self.dead(spot) else { return false };
        let known = self.unbury(spot, dead.upload);
        if known {
            remove(dir, &dead.name.bytes());
        }
        known
    }

    /// The dead part of one user for one name.
    pub(in crate::vfs) fn dead(&self, spot: Spot) -> Option<Dead> {
        if !self.are_there() {
            return None;
        }
        self.state().dead.get(&spot).cloned()
    }

    /// A part was seen in a directory. One that nobody knows may be another server's; it goes
    /// when its time is over.
    pub(in crate::vfs) fn meet(&self, dir: BorrowedFd<'_>, dir_id: FileId, name: &PartName) {
        let spot = Spot { dir: dir_id, mark: name.mark };
        let known = {
            let state = self.state();
            let is_it = |active: &Arc<Active>| active.name.tag == name.tag;
            state.active.get(&spot).is_some_and(|active| active.iter().any(is_it))
                || (name.tag == Tag::Dead && state.dead.contains_key(&spot))
        };
        let name = name.bytes();
        if !known && lstat(dir, &name).is_ok_and(|stat| self.is_forgotten(modified(&stat))) {
            remove(dir, &name);
        }
    }

    /// Waits for one's turn.
    pub(in crate::vfs) fn claim(
        self: &Arc<Self>,
        turn: Turn,
        heed: &mut Heed<'_>,
    ) -> Result<Claim, FsError> {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !state.claimed.insert(turn.clone()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FsError::Busy);
            }
            let waited = self.freed.wait_timeout(state, left.min(HEEDED));
            // nobody else waits for what is heard meanwhile
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if !heed() {
                return Err(FsError::Interrupted);
            }
            state = self.state();
        }
        Ok(Claim { parts: Arc::clone(self), turn })
    }

    /// Takes a name for a STOU, unless another one has it.
    pub(in crate::vfs) fn promise(
        self: &Arc<Self>,
        dir: FileId,
        name: &[u8],
    ) -> Option<Promise> {
        let name = (dir, name.to_owned());
        let free = self.state().promised.insert(name.clone());
        free.then(|| Promise { parts: Arc::clone(self), name })
    }

    /// Whether files of a device may be cloned, as far as is known.
    pub(in crate::vfs) fn may_clone(&self, device: u64) -> bool {
        !self.state().no_clones.contains(&device)
    }

    /// They cannot.
    pub(in crate::vfs) fn cannot_clone(&self, device: u64) {
        self.state().no_clones.insert(device);
    }

    /// Removes the dead parts of a directory that holds nothing else, and says whether that is
    /// so.
    pub(in crate::vfs) fn clear(
        &self,
        dir: &OwnedFd,
        dir_id: FileId,
        names: &[PartName],
    ) -> bool {
        let is_dead = |name: &&PartName| match name.tag {
            Tag::Dead => true,
            Tag::Active(..) => {
                let there = lstat(dir, &name.bytes());
                there.is_ok_and(|stat| self.is_forgotten(modified(&stat)))
            }
        };
        let written = self.state().active.keys().any(|spot| spot.dir == dir_id);
        if written || !names.iter().all(|name| is_dead(&name)) {
            return false;
        }
        for name in names {
            if name.tag == Tag::Dead {
                self.forget(Spot { dir: dir_id, mark: name.mark }, dir);
            }
            remove(dir, &name.bytes());
        }
        true
    }

    fn more(&self, state: &mut State, dir: FileId) {
        *state.folders.entry(dir).or_default() += 1;
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn fewer(&self, state: &mut State, dir: FileId) {
        if let Some(count) = state.folders.get_mut(&dir) {
            *count -= 1;
            if *count == 0 {
                state.folders.remove(&dir);
            }
        }
        self.count.fetch_sub(1, Ordering::AcqRel);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a part that nobody goes on with, unless a younger one has taken its name.
fn abandon(spot: Spot, dead: &Dead) {
    if let Ok((dir, stat)) = open_folder(&dead.folder.home, &dead.folder.path)
        && id_of(&stat) == spot.dir
        && let name = dead.name.bytes()
        && lstat(&dir, &name).is_ok_and(|part| modified(&part) <= dead.since)
    {
        remove(&dir, &name);
    }
}

/// The directories that have parts.
fn busy(
    active: &BTreeMap<Spot, Vec<Arc<Active>>>,
    dead: &BTreeMap<Spot, Dead>,
) -> HashSet<Folder> {
    let active = active.values().flatten().map(|active| active.folder());
    active.chain(dead.values().map(|dead| dead.folder.clone())).collect()
}

impl Active {
    /// Where the part lies, whatever its directory was called when it was made.
    pub(in crate::vfs) fn folder(&self) -> Folder {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.parts.state().claimed.remove(&self.turn);
        self.parts.freed.notify_all();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.parts.state().promised.remove(&self.name);
    }
}

/// Bytes.
pub(in crate::vfs) fn len_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// When a file was last written to.
#[allow(clippy::unnecessary_cast, reason = "widths differ by target")]
pub(in crate::vfs) fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
    let nanos = u32::try_from(stat.st_mtime_nsec as u64).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
}

/// What has a name in a directory, links not followed.
pub(in crate::vfs) fn lstat(dir: impl AsFd, name: &[u8]) -> Result<Stat, FsError> {
    Ok(statat(dir, os(name), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Removes a part. One that cannot be removed now is met again.
pub(in crate::vfs) fn remove(dir: impl AsFd, name: &[u8]) {
    if let Err(why) = unlinkat(dir, os(name), AtFlags::empty())
        && why != rustix::io::Errno::NOENT
    {
        log::warn!("the part {} cannot be removed: {why}", name.escape_ascii());
    }
}

/// A name as the system's calls take it.
pub(in crate::vfs) fn os(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// A directory that is only held, opened for more.
pub(in crate::vfs) fn opened(dir: impl AsFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::empty())
}

/// Its entries.
pub(in crate::vfs) fn entries(dir: impl AsFd) -> Result<Dir, FsError> {
    Ok(Dir::new(opened(dir)?)?)
}

/// The parts in a directory, whoever's.
pub(in crate::vfs) fn part_names(dir: impl AsFd) -> Vec<PartName> {
    let Ok(entries) = entries(dir) else { return Vec::new() };
    let names = entries.filter_map(Result::ok);
    names.filter_map(|entry| PartName::parse(entry.file_name().to_bytes())).collect()
}

/// Renames to a name that nothing else may have, such as a part to its file's name.
pub(in crate::vfs) fn rename_new(
    from_dir: impl AsFd,
    from: &Path,
    to_dir: impl AsFd,
    to: &Path,
) -> Result<(), FsError> {
    match renameat_with(&from_dir, from, &to_dir, to, RenameFlags::NOREPLACE) {
        // a file system that cannot promise it
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if statat(&to_dir, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                return Err(FsError::Exists);
            }
            Ok(renameat(from_dir, from, to_dir, to)?)
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Leaves a part of a failed upload in a home.
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn leave(parts: &Parts, home: &Path, user: &str, name: &str) {
        let (folder, dir) = (folder(home), open_folder(home, &VirtualPath::root()).unwrap());
        let mark = Mark::new(user.as_bytes(), name.as_bytes());
        let spot = Spot { dir: id_of(&dir.1), mark };
        let name = PartName::new(mark, Tag::Dead, name.as_bytes());
        fs::write(home.join(os(&name.bytes())), "part").unwrap();
        let since = modified(&lstat(&dir.0, &name.bytes()).unwrap());
        let (share, upload) = (Share::of(user.as_bytes()), 0);
        parts.bury(spot, Dead { folder, name, share, upload, since, base: None, shown: false });
    }

    fn folder(home: &Path) -> Folder {
        Folder { home: home.to_owned(), path: VirtualPath::root(), ids: None }
    }

    /// The names whose parts are left, on the disk.
    fn left(home: &Path) -> Vec<String> {
        let names = part_names(open_folder(home, &VirtualPath::root()).unwrap().0);
        let mut names: Vec<_> =
            names.into_iter().map(|part| String::from_utf8(part.name).unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_user_s_failed_uploads_crowd_out_their_own_and_nobody_else_s() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let mut parts = Parts::start(None, Some(Duration::from_secs(3600)), &[]);
        parts.most = 8;
        leave(&parts, home, "ann", "ann1");
        for n in 10..40 {
            leave(&parts, home, "bob", &format!("bob{n}"));
        }
        leave(&parts, home, "ann", "ann2");
        leave(&parts, home, "eve", "eve");
        let kept = ["ann1", "ann2", "bob35", "bob36", "bob37", "bob38", "bob39", "eve"];
        assert_eq!(left(home), kept);
        let state = parts.state();
        assert_eq!(state.dead.len(), 8);
        assert_eq!(parts.count.load(Ordering::Relaxed), 8);
        assert_eq!(state.folders.values().sum::<usize>(), 8);
    }
}
