//! One pass: finds what has to go, and removes it in batches. After each batch the free space of the
//! file system shows whether the removal was of any use.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{Stat, fstatvfs, syncfs};

use super::plan::{Demand, Home, Plan, Rule};
use super::removal::{Changed, Outcome, Remover, Uses};
use super::rules::{Candidate, Limit, Queue, Round};
use super::survey::{Overlooked, survey};
use crate::rights;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::trash::empty::Emptied;
use crate::vfs::tree::beneath::Root;
use crate::vfs::tree::entry::id_of;
use crate::vfs::tree::home::open_home;
use crate::vfs::tree::lock::{Locked, NameLock};

/// A file that was removed, or would be.
#[derive(Debug)]
pub(super) struct Removed<'r> {
    pub(super) path: PathBuf,
    pub(super) age: Duration,
    pub(super) size: u64,
    /// Index of the rule.
    pub(super) at: usize,
    pub(super) rule: &'r Rule,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing that may go is left to go.
    Done,
    /// The server stops, or the settings have changed.
    Stopped,
    /// What was removed made too little room.
    InVain,
}

/// A pass over homes.
pub(super) struct Pass<'p> {
    pub(super) plan: &'p Plan,
    pub(super) uses: &'p Uses,
    /// For each rule of the plan, whether it is in effect.
    pub(super) in_effect: Vec<bool>,
    /// Whether nothing is removed, to see what would be.
    pub(super) dry: bool,
    pub(super) stops: &'p dyn Fn() -> bool,
    /// Called for each file that was removed, or would be.
    pub(super) tell: &'p mut dyn FnMut(&Removed<'_>),
    /// Directories that could not be looked at, and files that could not be removed.
    pub(super) troubles: Overlooked,
    /// Whether more would have to go than was looked at.
    pub(super) is_short: bool,
    /// For each rule that was looked at, at least how many files exceed its limit, and how many
    /// bytes.
    pub(super) excess: Vec<(usize, (u64, u64))>,
    pub(super) gone: Gone,
}

/// What would be gone by now, if `dry` is set.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// The files: the index of the home, the directory and the name.
    files: HashSet<(usize, Arc<VirtualPath>, Vec<u8>)>,
    /// The space that would be free on each file system, in bytes.
    freed: HashMap<u64, u64>,
}

/// The free space of a file system, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    pub(super) free: u64,
    pub(super) size: u64,
}

/// A rule about free space, the file system that it is about, and the space there.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomRule {
    pub(super) at: usize,
    pub(super) device: u64,
    pub(super) space: Space,
    /// Free space that the rule demands, in bytes.
    pub(super) wanted: u64,
}

/// The server that may carry out a pass over a home now.
enum Turn {
    /// This server's. Other servers are locked out until this is dropped, if there are any.
    Own(Option<NameLock>),
    Others,
}

/// What one batch has removed.
struct Batch {
    device: u64,
    before: u64,
    removed: u64,
    files: usize,
}

/// Maximum number of files that are removed between two looks at the free space.
const BATCH: usize = 256;

/// Maximum number of walks through a home in one pass.
const ROUNDS: usize = 64;

/// If less than this number of bytes was removed, other writers make it impossible to tell whether
/// the removal was of any use.
const TELLING: u64 = 1 << 20;

/// How often the free space is looked at again, if a removal seems to have been of no use.
const LOOKS: u32 = 5;

/// Time between two of these looks.
const BREATH: Duration = Duration::from_millis(100);

impl Space {
    /// Returns the space of the file system with this open directory.
    pub(super) fn of(dir: &OwnedFd) -> Result<Self, FsError> {
        let stat = fstatvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self { free: bytes(stat.f_bavail), size: bytes(stat.f_blocks) })
    }
}

impl Gone {
    /// Adds a file. Returns whether it is new.
    fn add(&mut self, one: &Candidate) -> bool {
        let is_new = self.files.insert((one.home, Arc::clone(&one.folder), one.name.clone()));
        if is_new && one.links <= 1 {
            let freed = self.freed.entry(one.id.0).or_default();
            *freed = freed.saturating_add(one.blocks);
        }
        is_new
    }
}

impl Pass<'_> {
    /// Applies the rules that do not depend on free space to a home, unless another server does so now.
    pub(super) fn tidy(&mut self, home: usize) -> End {
        let Turn::Own(_lock) = self.turn(home) else { return End::Done };
        for _ in 0..ROUNDS {
            let rules = self.plan.rules.iter().zip(&self.in_effect);
            let here = |(rule, is_on): (&Rule, &bool)| {
                rule.limit().filter(|_| *is_on && rule.home == home)
            };
            let limits: Vec<_> = rules.map(here).collect();
            if limits.iter().all(Option::is_none) {
                return End::Done;
            }
            let mut round = Round::new(SystemTime::now(), &limits);
            if !self.survey(home, &mut round) {
                return End::Stopped;
            }
            let mut queue = round.queue();
            self.empty_trash(home, &mut queue);
            if self.dry {
                let rules = limits.iter().enumerate().filter(|(_, limit)| limit.is_some());
                self.excess.extend(rules.map(|(at, _)| (at, queue.excess(at))));
            }
            let (end, removed) = self.clear(&mut queue);
            self.is_short |= queue.is_short();
            if end != End::Done || removed == 0 || self.dry || !queue.is_short() {
                return end;
            }
        }
        End::Done
    }

    /// Locks a home against the passes of other servers. Where no file can be made for the lock, servers
    /// do without: they remove the same files, the oldest ones.
    fn turn(&mut self, home: usize) -> Turn {
        let is_shared = self.uses.parts.sharing().is_shared() && !self.dry;
        let Some(home) = self.plan.homes.get(home).filter(|_| is_shared) else {
            return Turn::Own(None);
        };
        let attempt = || {
            let (_acting, root) = act(home)?;
            NameLock::attempt(root.open_plain(VirtualPath::root().below_root())?, b"keep/")
        };
        match attempt() {
            Ok(Locked::Own(lock)) => Turn::Own(Some(lock)),
            Ok(Locked::Others) => Turn::Others,
            Ok(Locked::Denied) => Turn::Own(None),
            Err(why) => {
                self.troubles.push((home.path.clone(), why.to_string()));
                Turn::Others
            }
        }
    }

    /// Counts the files of a home. Returns `false` if the pass ends.
    fn survey(&mut self, at: usize, round: &mut Round) -> bool {
        let Some(home) = self.plan.homes.get(at) else { return true };
        let surveyed =
            act(home).and_then(|(_acting, root)| survey((at, home), &root, round, self.stops));
        match surveyed {
            Ok(Some(overlooked)) => self.troubles.extend(overlooked),
            Ok(None) => return false,
            Err(why) => self.troubles.push((home.path.clone(), why.to_string())),
        }
        true
    }

    /// Removes from the trash what has to go by the rules of a home, before any other file goes.
    fn empty_trash(&mut self, home: usize, queue: &mut Queue) {
        for at in 0..self.plan.rules.len() {
            let Some((files, bytes, device)) = queue.trash(at) else { continue };
            let (files, bytes) = if self.dry {
                (files, bytes)
            } else {
                let emptied = self.empty_trash_of(home, device, (files, bytes));
                (emptied.files, emptied.bytes)
            };
            queue.trash_gone(device, files, bytes);
        }
    }

    /// Removes at least this number of files and bytes from the trash of a home, on one file system.
    fn empty_trash_of(
        &mut self,
        home: usize,
        device: u64,
        (files, bytes): (u64, u64),
    ) -> Emptied {
        let mut all = Emptied::default();
        let Some(home) = self.plan.homes.get(home) else { return all };
        for trash in home.trashes(self.uses.parts.quotas()) {
            let (files, bytes) =
                (files.saturating_sub(all.files), bytes.saturating_sub(all.bytes));
            if (files, bytes) == (0, 0) {
                break;
            }
            match trash.make_room_on(device, bytes, files) {
                Ok(emptied) => {
                    all.files += emptied.files;
                    all.bytes += emptied.bytes;
                }
                Err(FsError::NotFound) => {}
                Err(why) => self.troubles.push((home.path.clone(), why.to_string())),
            }
        }
        all
    }

    /// Empties the trash to make room by these rules of one file system, as far as that is needed,
    /// and looks at the free space again. Returns whether anything was removed.
    pub(super) fn make_room_in_trash(&mut self, rules: &mut [RoomRule]) -> bool {
        let mut is_any = false;
        for at in 0..rules.len() {
            while let Some(rule) = rules.get(at).copied()
                && let Some(known) = self.plan.rules.get(rule.at)
                && rule.space.free < rule.wanted
            {
                let lacks = rule.wanted - rule.space.free;
                let emptied = self.empty_trash_of(known.home, rule.device, (0, lacks));
                if emptied.files == 0 {
                    break;
                }
                is_any = true;
                let now = self.room_rules();
                let now = now.iter().find(|now| now.at == rule.at).map(|now| now.space);
                let Some(now) = now else { break };
                for rule in rules.iter_mut() {
                    rule.space = now;
                }
            }
        }
        is_any
    }

    /// Returns the rules about free space that are in effect, and the space that there is now.
    pub(super) fn room_rules(&mut self) -> Vec<RoomRule> {
        let plan = self.plan;
        let mut found = Vec::new();
        for (at, rule) in plan.rules.iter().enumerate() {
            let is_on = self.in_effect.get(at).copied().unwrap_or_default();
            let (Demand::Room(room), true) = (rule.demand, is_on) else { continue };
            let Some(home) = plan.homes.get(rule.home) else { continue };
            let folder = VirtualPath::root().join(rule.folder.as_bytes());
            let looked = act(home).and_then(|(_acting, root)| {
                let dir = root.open_plain(folder.below_root())?;
                Ok((id_of(&rustix::fs::fstat(&dir)?).0, Space::of(&dir)?))
            });
            match looked {
                // some file systems do not report their size
                Ok((device, mut space)) if space.size > 0 => {
                    let wanted = room.bytes(space.size);
                    if wanted > space.size {
                        let why =
                            "min_free is more than the file system has; it removes nothing";
                        self.troubles.push((folder.real(&home.path), why.to_owned()));
                        continue;
                    }
                    let freed = self.gone.freed.get(&device).copied().unwrap_or_default();
                    space.free = space.free.saturating_add(freed);
                    found.push(RoomRule { at, device, space, wanted });
                }
                Ok(_) | Err(FsError::NotFound) => {}
                Err(why) => self.troubles.push((folder.real(&home.path), why.to_string())),
            }
        }
        found
    }

    /// Looks for the oldest files that may go to make room, by these rules of one file system.
    pub(super) fn oldest(&mut self, rules: &[RoomRule]) -> Option<Queue> {
        let mut limits = vec![None; self.plan.rules.len()];
        let mut homes = Vec::new();
        for rule in rules {
            if let (Some(to), Some(known)) =
                (limits.get_mut(rule.at), self.plan.rules.get(rule.at))
            {
                *to = Some(Limit::Free(rule.wanted));
                homes.push(known.home);
            }
        }
        homes.dedup();
        let mut round = Round::new(SystemTime::now(), &limits);
        for home in homes {
            if !self.survey(home, &mut round) {
                return None;
            }
        }
        Some(round.queue())
    }

    /// Removes what has to go, the oldest first. Returns how it ended, and the number of files.
    pub(super) fn clear(&mut self, queue: &mut Queue) -> (End, usize) {
        let mut removed = 0;
        let mut emptied = HashMap::new();
        loop {
            if (self.stops)() {
                return (End::Stopped, removed);
            }
            match self.batch(queue, &mut emptied) {
                None => return (End::Done, removed),
                Some((files, end)) => {
                    removed += files;
                    if end != End::Done {
                        return (end, removed);
                    }
                }
            }
        }
    }

    /// Removes some files of one home and one file system. Returns their number, or `None` if no
    /// file has to go.
    fn batch(
        &mut self,
        queue: &mut Queue,
        emptied: &mut HashMap<usize, Changed>,
    ) -> Option<(usize, End)> {
        let (first, rule) = queue.next()?;
        let plan = self.plan;
        let home = plan.homes.get(first.home)?;
        let emptied = emptied.entry(first.home).or_default();
        let (_acting, root) = match act(home) {
            Ok(acting) => acting,
            Err(why) => {
                self.troubles.push((home.path.clone(), why.to_string()));
                queue.stays(&first);
                return Some((0, End::Done));
            }
        };
        let (uses, grace, dry) = (self.uses, plan.grace, self.dry);
        let remover = Remover { home, root: &root, uses, grace, dry };
        let mut batch = None;
        let mut next = Some((first, rule));
        let mut is_over = false;
        while let Some((one, rule)) = next.take() {
            if (self.stops)() {
                queue.put_back(one);
                break;
            }
            let taken = match self.take(&remover, &one, rule, queue, emptied, &mut batch) {
                Taken::Done => true,
                Taken::Later => {
                    queue.put_back(one);
                    break;
                }
                Taken::Never => {
                    queue.put_back(one);
                    is_over = true;
                    break;
                }
            };
            if taken && batch.as_ref().is_none_or(|(_, batch)| batch.files < BATCH) {
                next = queue.next();
            }
            if let Some((one, _)) = next.take_if(|(one, _)| !self.is_of(one, home)) {
                queue.put_back(one);
            }
        }
        remover.remove_empty(emptied);
        let (files, end) = self.judge(queue, batch.as_ref());
        if is_over && end == End::Done && files == 0 { None } else { Some((files, end)) }
    }

    fn is_of(&self, one: &Candidate, home: &Home) -> bool {
        self.plan.homes.get(one.home).is_some_and(|other| std::ptr::eq(other, home))
    }

    /// Removes one file, if nothing speaks against it.
    fn take(
        &mut self,
        remover: &Remover<'_>,
        one: &Arc<Candidate>,
        rule: usize,
        queue: &mut Queue,
        emptied: &mut Changed,
        batch: &mut Option<(OwnedFd, Batch)>,
    ) -> Taken {
        let (dir, stat) = match remover.open(&one.folder) {
            Ok(opened) => opened,
            Err(why) => {
                self.note_failure(one, remover.home, &why);
                queue.stays(one);
                return Taken::Done;
            }
        };
        if !self.begins_or_fits(&dir, &stat, batch) {
            return Taken::Later;
        }
        match remover.remove(one, (&dir, &stat), emptied) {
            Outcome::Gone if self.dry && !self.gone.add(one) => queue.stays(one),
            Outcome::Gone => {
                queue.gone(one);
                if let Some((_, batch)) = batch {
                    batch.removed = batch.removed.saturating_add(one.blocks);
                    batch.files += 1;
                }
                self.told(one, remover.home, rule);
            }
            Outcome::Young => return Taken::Never,
            Outcome::Used | Outcome::Other => queue.stays(one),
            Outcome::Failed(why) => {
                self.note_failure(one, remover.home, &why);
                queue.stays(one);
            }
        }
        Taken::Done
    }

    /// Begins a batch with the directory of its first file. Returns whether a later directory is on
    /// the same file system.
    #[expect(clippy::unused_self, reason = "reads as the other steps do")]
    fn begins_or_fits(
        &self,
        dir: &OwnedFd,
        stat: &Stat,
        batch: &mut Option<(OwnedFd, Batch)>,
    ) -> bool {
        let device = id_of(stat).0;
        if let Some((_, batch)) = batch {
            return batch.device == device;
        }
        if let (Ok(dir), Ok(space)) = (dir.try_clone(), Space::of(dir)) {
            *batch = Some((dir, Batch { device, before: space.free, removed: 0, files: 0 }));
        }
        true
    }

    fn told(&mut self, one: &Candidate, home: &Home, at: usize) {
        let Some(rule) = self.plan.rules.get(at) else { return };
        let age = SystemTime::now().duration_since(one.stored).unwrap_or_default();
        let path = one.folder.join(&one.name).real(&home.path);
        (self.tell)(&Removed { path, age, size: one.size, at, rule });
    }

    fn note_failure(&mut self, one: &Candidate, home: &Home, why: &FsError) {
        if !matches!(why, FsError::NotFound) {
            let path = one.folder.join(&one.name).real(&home.path);
            self.troubles.push((path, why.to_string()));
        }
    }

    /// Looks at the free space after a batch, and tells whether the removal was of any use. Blocks
    /// stay in use if a snapshot or another hard link has them, or if another program writes as
    /// fast as this one removes.
    fn judge(&self, queue: &mut Queue, batch: Option<&(OwnedFd, Batch)>) -> (usize, End) {
        let Some((dir, batch)) = batch else { return (0, End::Done) };
        if self.dry {
            return (batch.files, End::Done);
        }
        let mut end = End::Done;
        for look in 0..=LOOKS {
            let Ok(space) = Space::of(dir) else { break };
            queue.set_free(space.free);
            let freed = space.free.saturating_sub(batch.before);
            if batch.removed < TELLING || freed >= batch.removed / 2 {
                return (batch.files, End::Done);
            }
            end = End::InVain;
            if look == 0 {
                // some file systems free blocks only with their next commit
                let _ = syncfs(dir);
            } else {
                std::thread::sleep(BREATH);
            }
        }
        (batch.files, end)
    }
}

/// What became of a file that was taken from the queue.
enum Taken {
    /// It was removed, or stays for now.
    Done,
    /// It belongs to another batch.
    Later,
    /// It is too young, and all others are younger.
    Never,
}

/// Lets this thread act as the system user of a home, and opens the home.
fn act(home: &Home) -> Result<(Option<rights::Acting>, Root), FsError> {
    let acting = rights::act_as(home.ids.as_deref()).map_err(FsError::Other)?;
    Ok((acting, Root::new(open_home(&home.path)?)))
}
