//! The ledgers of a server, by the directory whose tree they count.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{CWD, readlinkat};

use super::accounts::{Account, Accounts};
use super::common::Common;
use super::count::{Count, Limits};
use super::file::{Known, QuotaFile};
use super::ledger::{Bell, Ledger};
use crate::config::{Config, User};
use crate::rights;
use crate::vfs::error::FsError;
use crate::vfs::tree::home::open_home;
use crate::vfs::tree::lock::Sharing;

/// The ledgers of all trees with a quota, shared by all sessions of a server.
#[derive(Debug)]
pub struct Quotas {
    /// Whether there is any. If not, nothing else is looked at.
    any: AtomicBool,
    trees: RwLock<Trees>,
    /// Number of ledgers that were made so far.
    made: AtomicU64,
    /// Whether the thread was started.
    hired: AtomicBool,
    /// Whether other servers change the same trees.
    sharing: Sharing,
    pub(super) bell: Arc<Bell>,
    pub(super) file: QuotaFile,
}

#[derive(Debug, Default)]
struct Trees {
    /// By the path of the tree, without links.
    by_path: BTreeMap<PathBuf, Arc<Ledger>>,
    /// By the home as the settings name it.
    by_home: HashMap<PathBuf, Arc<Ledger>>,
    /// The homes of users that the settings do not have, which have logged in.
    guests: HashSet<PathBuf>,
    /// The trees that no other tree encloses, and that enclose none.
    lone: HashSet<PathBuf>,
    /// What an earlier server knew, unless a ledger has taken it over.
    known: Known,
}

/// What a user has, and may have.
#[derive(Debug, Clone, Copy)]
pub struct QuotaState {
    /// What there is below the home.
    pub used: Count,
    /// What there may be.
    pub limits: Limits,
    /// Whether the count is exact. If not, the tree is still being counted.
    pub exact: bool,
}

impl Trees {
    /// Notes which trees are neither in another one nor around one.
    fn find_lone(&mut self) {
        // in this order, what lies in a tree follows right behind it
        let paths: Vec<_> = self.by_path.keys().collect();
        let (mut lone, mut around) = (HashSet::new(), None::<&PathBuf>);
        for (at, path) in paths.iter().enumerate() {
            let is_inside = around.is_some_and(|around| path.starts_with(around));
            let encloses = paths.get(at + 1).is_some_and(|next| next.starts_with(path));
            if !is_inside {
                around = Some(path);
            }
            if !is_inside && !encloses {
                lone.insert((*path).clone());
            }
        }
        self.lone = lone;
    }
}

impl Quotas {
    /// Opens the records in `state_dir`, and makes a ledger for each home with a quota.
    pub fn start(state_dir: Option<&Path>, config: &Config) -> Self {
        let (file, known) = QuotaFile::open(state_dir);
        let trees = Trees { known, ..Trees::default() };
        let quotas = Self {
            any: AtomicBool::new(false),
            hired: AtomicBool::new(false),
            sharing: Sharing::of(config.server.storage.shared),
            trees: RwLock::new(trees),
            made: AtomicU64::new(0),
            bell: Arc::default(),
            file,
        };
        quotas.renew(config);
        quotas
    }

    /// Returns ledgers for no tree.
    pub fn none() -> Self {
        Self {
            any: AtomicBool::new(false),
            hired: AtomicBool::new(false),
            sharing: Sharing::Alone,
            trees: RwLock::default(),
            made: AtomicU64::new(0),
            bell: Arc::default(),
            file: QuotaFile::none(),
        }
    }

    /// Makes a ledger for each home with a quota in the settings, and forgets the other ones.
    pub fn renew(&self, config: &Config) {
        let limited = |user: &&Arc<User>| Limits::of(&user.rules.quota).any();
        let homes: Vec<_> = config.users.values().filter(limited).collect();
        // before the lock is taken: a disk may not answer
        let paths: Vec<_> = homes.iter().map(|user| real_home(user)).collect();
        let mut limits = HashMap::<PathBuf, Limits>::new();
        for user in config.users.values() {
            // a user without a quota may share the home, by whatever path
            let own = Limits::of(&user.rules.quota);
            let path = if paths.is_empty() { user.home.clone() } else { real_home(user) };
            limits.entry(path).and_modify(|both| *both = both.or(own)).or_insert(own);
        }
        let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut trees.by_home);
        for (user, path) in homes.iter().zip(&paths) {
            let both = limits.get(path).copied().unwrap_or_default();
            self.tree(&mut trees, user, path, both);
        }
        if !config.server.elsewhere.is_on() {
            trees.guests.clear();
        }
        let Trees { by_path, by_home, guests, .. } = &mut *trees;
        before.retain(|home, _| guests.contains(home) && !by_home.contains_key(home));
        let stay: HashSet<_> = paths
            .into_iter()
            .chain(before.values().map(|ledger| ledger.path.clone()))
            .collect();
        by_home.extend(before);
        by_path.retain(|path, _| stay.contains(path));
        trees.find_lone();
        self.any.store(!trees.by_path.is_empty(), Ordering::Release);
    }

    /// Makes sure that there is a ledger for the home of a user who logs in: it may have been
    /// missing when the settings were read.
    pub(in crate::vfs) fn enter(&self, user: &User) {
        let limits = Limits::of(&user.rules.quota);
        if !limits.any() {
            return;
        }
        let path = real_home(user);
        let is_known = self.by_home(&user.home).is_some_and(|ledger| ledger.path == path);
        if !is_known {
            let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
            self.tree(&mut trees, user, &path, limits);
            if user.is_from_elsewhere() {
                trees.guests.insert(user.home.clone());
            }
            trees.find_lone();
            self.any.store(true, Ordering::Release);
        }
    }

    /// Finds or makes the ledger of a tree.
    fn tree(&self, trees: &mut Trees, user: &User, path: &Path, limits: Limits) {
        let there = trees.by_path.get(path).cloned();
        let ledger = there.unwrap_or_else(|| {
            let known = trees.known.counts.remove(path);
            let exact = known.is_some() && trees.known.is_clean;
            let known = (known.unwrap_or_default(), exact);
            let common = || Common::new(path.to_owned(), user.run_as.clone());
            let common = self.sharing.is_shared().then(common);
            let ledger = Arc::new(Ledger::new(path.to_owned(), known, common, &self.bell));
            let exact = ledger.state().2;
            if !exact {
                ledger.want_scan();
            }
            trees.by_path.insert(path.to_owned(), Arc::clone(&ledger));
            self.made.fetch_add(1, Ordering::AcqRel);
            ledger
        });
        ledger.renew(limits, user.run_as.clone());
        trees.by_home.insert(user.home.clone(), ledger);
    }

    /// Returns whether other servers change the same trees.
    pub(in crate::vfs) fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Whether there is a quota at all.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Returns the number of ledgers that were made so far.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Acquire)
    }

    /// Counts all trees again.
    pub(super) fn want_scans(&self) {
        self.all().0.iter().for_each(Ledger::want_scan);
    }

    /// Returns whether the caller must start the thread that calls [`Quotas::work`]. `expected`: a quota may
    /// come with a user who logs in.
    pub fn hire(&self, expected: bool) -> bool {
        (expected || self.any()) && !self.hired.swap(true, Ordering::AcqRel)
    }

    /// Records that the thread could not be started.
    pub fn dismiss(&self) {
        self.hired.store(false, Ordering::Release);
    }

    /// Returns the accounts that an open directory counts for. `own` is the home of the session,
    /// with its limits.
    pub(in crate::vfs) fn at(
        &self,
        dir: impl AsFd,
        own: Option<(&Path, Limits)>,
    ) -> Result<Accounts, FsError> {
        if !self.any() {
            return Ok(Accounts::default());
        }
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((home, limits)) = own
            && let Some(ledger) = trees.by_home.get(home)
            && trees.lone.contains(&ledger.path)
        {
            // a session leads nowhere out of its home, so no other tree can have the directory
            let ledger = Arc::clone(ledger);
            return Ok(Accounts(vec![Account { ledger, limits: Some(limits) }]));
        }
        drop(trees);
        // without the lock, because a disk may not answer
        let path = path_of(dir)?;
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        let home = own.and_then(|(home, limits)| Some((trees.by_home.get(home)?, limits)));
        let account = |ledger: &Arc<Ledger>| {
            let own = home.filter(|(home, _)| Arc::ptr_eq(home, ledger));
            Account { ledger: Arc::clone(ledger), limits: own.map(|(_, limits)| limits) }
        };
        let above = path.ancestors().filter_map(|above| trees.by_path.get(above));
        let mut all: Vec<_> = above.map(account).collect();
        all.reverse();
        Ok(Accounts(all))
    }

    /// Returns what a user has and may have; `None`: the user has no quota.
    pub fn of(&self, user: &User) -> Option<QuotaState> {
        let limits = Limits::of(&user.rules.quota);
        let ledger = self.by_home(&user.home).filter(|_| limits.any())?;
        let (count, _, exact) = ledger.state();
        Some(QuotaState { used: count, limits, exact })
    }

    pub(super) fn by_home(&self, home: &Path) -> Option<Arc<Ledger>> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        trees.by_home.get(home).cloned()
    }

    /// Returns all ledgers, and the counts of earlier servers that no ledger has taken over.
    pub(super) fn all(&self) -> (Vec<Arc<Ledger>>, BTreeMap<PathBuf, Count>) {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        (trees.by_path.values().cloned().collect(), trees.known.counts.clone())
    }
}

/// Returns the path of the home of a user, without links. If it is missing, that is the path in
/// the settings.
fn real_home(user: &User) -> PathBuf {
    let open = || {
        let _acting = rights::act_as(user.run_as.as_deref()).ok()?;
        path_of(open_home(&user.home).ok()?).ok()
    };
    open().unwrap_or_else(|| user.home.clone())
}

/// Returns the path of an open directory, without links.
fn path_of(dir: impl AsFd) -> Result<PathBuf, FsError> {
    let link = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    let path = readlinkat(CWD, link, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_alone_if_it_is_in_none_and_has_none() {
        let mut trees = Trees::default();
        for path in ["/a", "/a-b", "/a/b", "/a/b/c", "/a/d", "/e", "/f/g", "/fg"] {
            let known = (Count::default(), true);
            let ledger = Ledger::new(path.into(), known, None, &Arc::default());
            trees.by_path.insert(path.into(), Arc::new(ledger));
        }
        trees.find_lone();
        let mut lone: Vec<_> = trees.lone.iter().map(|path| path.to_str().unwrap()).collect();
        lone.sort_unstable();
        assert_eq!(lone, ["/a-b", "/e", "/f/g", "/fg"]);
    }
}
