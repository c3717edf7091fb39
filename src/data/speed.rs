//! The speed limits of transfers: one of each transfer's own, and two that it shares with the other
//! transfers of its user and of the server. They may change while transfers run.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::share::Share;
use crate::config::{Config, User};

/// A speed limit in bytes per second, as currently set.
#[derive(Debug, Default)]
pub struct Rate(AtomicU64);

impl Rate {
    /// Returns the current limit.
    pub fn limit(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed))
    }

    /// Changes the limit.
    pub fn set(&self, limit: Option<NonZeroU64>) {
        self.0.store(limit.map_or(0, NonZeroU64::get), Ordering::Relaxed);
    }
}

/// A speed limit that transfers share. While there is none, a transfer reads no more than one number.
#[derive(Debug)]
pub(super) struct SharedRate {
    rate: Rate,
    /// Number of running transfers, whether or not there is a limit now.
    running: AtomicU64,
    /// Bytes per second that a transfer is given now.
    slope: AtomicU64,
    /// Held for arithmetic only.
    share: Mutex<Share>,
}

impl SharedRate {
    pub(super) fn new() -> Self {
        let (running, slope) = (AtomicU64::new(0), AtomicU64::new(0));
        let share = Mutex::new(Share::new(Instant::now()));
        Self { rate: Rate::default(), running, slope, share }
    }

    /// Changes the limit, for running transfers too.
    pub(super) fn set(&self, limit: Option<NonZeroU64>, now: Instant) {
        if self.rate.limit() == limit {
            return;
        }
        if let Some(rate) = limit {
            let running = self.running.load(Ordering::Relaxed);
            self.with(|share| share.set(rate, running, now));
        }
        self.rate.set(limit);
    }

    /// Returns what a transfer can move per second; `None`: as much as it likes.
    fn level(&self, now: Instant) -> Option<NonZeroU64> {
        self.rate.limit()?;
        // never 0, which would mean no limit
        NonZeroU64::new(self.with(|share| share.level(now)).max(1))
    }

    /// Returns the bytes per second that a transfer is given now; `None`: there is no limit.
    pub(super) fn part(&self, account: Option<u64>) -> Option<NonZeroU64> {
        let limit = self.rate.limit()?;
        let slope = self.slope.load(Ordering::Relaxed);
        // others may be about to begin as well
        let running = || limit.get() / self.running.load(Ordering::Relaxed).max(1);
        let slope = if account.is_some() { slope } else { slope.min(running()) };
        NonZeroU64::new(slope.clamp(1, limit.get()))
    }

    /// Charges a transfer for bytes that it has moved. Its account is opened when it moves something
    /// under a limit, and closed once there is none.
    pub(super) fn spend(&self, account: &mut Option<u64>, bytes: u64, now: Instant) {
        if self.rate.limit().is_none() {
            return self.leave(account, now);
        }
        self.with(|share| {
            let number = *account.get_or_insert_with(|| share.enter(now));
            share.spend(number, bytes, now);
        });
    }

    /// Returns how long a transfer must sleep now.
    pub(super) fn left(&self, account: Option<u64>, now: Instant) -> Duration {
        let account = account.filter(|_| self.rate.limit().is_some());
        let left = |number| self.with(|share| share.left(number, now));
        account.map(left).unwrap_or_default()
    }

    fn leave(&self, account: &mut Option<u64>, now: Instant) {
        if let Some(number) = account.take() {
            self.with(|share| share.leave(number, now));
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Share) -> T) -> T {
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut share);
        self.slope.store(share.slope(), Ordering::Relaxed);
        done
    }
}

/// The limits on the speed of a transfer, all of which hold.
#[derive(Debug)]
pub struct Speed {
    pub(super) own: Rate,
    user: Arc<SharedRate>,
    server: Arc<SharedRate>,
}

impl Speed {
    /// Makes the limits of another user.
    pub(super) fn new(server: &Arc<SharedRate>) -> Self {
        let (own, user) = (Rate::default(), Arc::new(SharedRate::new()));
        Self { own, user, server: Arc::clone(server) }
    }

    /// Changes the limits of each transfer of the user, and of all of them together.
    pub(super) fn set(&self, own: Option<NonZeroU64>, user: Option<NonZeroU64>, now: Instant) {
        self.own.set(own);
        self.user.set(user, now);
    }

    /// Returns how many bytes per second a transfer under these limits can move at present, if others
    /// keep taking what they take; `None`: there is no limit.
    pub fn share(&self) -> Option<NonZeroU64> {
        self.share_at(Instant::now())
    }

    pub(super) fn share_at(&self, now: Instant) -> Option<NonZeroU64> {
        let all = [self.own.limit(), self.user.level(now), self.server.level(now)];
        all.into_iter().flatten().min()
    }

    /// Makes the same limits with another one of each transfer.
    pub(super) fn with_own(&self, limit: Option<NonZeroU64>) -> Self {
        let own = Rate::default();
        own.set(limit);
        Self { own, user: Arc::clone(&self.user), server: Arc::clone(&self.server) }
    }

    /// Returns whether there is no limit now.
    pub(super) fn is_off(&self) -> bool {
        [&self.own, &self.user.rate, &self.server.rate]
            .iter()
            .all(|rate| rate.limit().is_none())
    }

    pub(super) fn shared(&self) -> [&SharedRate; 2] {
        [&self.user, &self.server]
    }

    /// Counts a transfer that begins.
    pub(super) fn begin(&self) {
        for shared in self.shared() {
            shared.running.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a transfer that ends, and closes its accounts.
    pub(super) fn end(&self, accounts: &mut [Option<u64>; 2]) {
        for (shared, account) in self.shared().into_iter().zip(accounts) {
            if account.is_some() {
                shared.leave(account, Instant::now());
            }
            shared.running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The speed limits of one user, shared by all sessions of the user.
#[derive(Debug)]
pub struct UserSpeeds {
    /// The limits of each upload.
    pub upload: Arc<Speed>,
    /// The limits of each download.
    pub download: Arc<Speed>,
    /// The same limits for transfers in a folder with settings of its own, for each such folder that
    /// was used, by its path.
    folders: Mutex<HashMap<String, FolderSpeeds>>,
}

/// The speed limits of uploads to a folder and of downloads from it.
type FolderSpeeds = (Arc<Speed>, Arc<Speed>);

impl UserSpeeds {
    /// Returns the limits of uploads to a folder and of downloads from it. `path`: the folder, if it
    /// has settings of its own.
    pub fn of_folder(&self, user: &User, path: Option<&str>) -> FolderSpeeds {
        let Some(path) = path else {
            return (Arc::clone(&self.upload), Arc::clone(&self.download));
        };
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((upload, download)) = folders.get(path) {
            return (Arc::clone(upload), Arc::clone(download));
        }
        let rules = user.folder_rules(path.as_bytes());
        let upload = Arc::new(self.upload.with_own(rules.max_upload));
        let download = Arc::new(self.download.with_own(rules.max_download));
        folders.insert(path.to_owned(), (Arc::clone(&upload), Arc::clone(&download)));
        (upload, download)
    }

    fn set(&self, user: &User, now: Instant) {
        let (limits, rules) = (&user.rules.limits, &user.rules.folder);
        self.upload.set(rules.max_upload, limits.user_max_upload, now);
        self.download.set(rules.max_download, limits.user_max_download, now);
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, (upload, download)) in &*folders {
            let rules = user.folder_rules(path.as_bytes());
            upload.own.set(rules.max_upload);
            download.own.set(rules.max_download);
        }
    }
}

/// The speed limits of the server and of the users who have sessions.
#[derive(Debug)]
pub struct Speeds {
    upload: Arc<SharedRate>,
    download: Arc<SharedRate>,
    users: Mutex<Users>,
}

/// The limits of the users who have sessions, by name. Those of others are removed now and then.
#[derive(Debug, Default)]
struct Users {
    speeds: HashMap<String, Weak<UserSpeeds>>,
    /// How many there may be until those of users without sessions are removed.
    room: usize,
}

/// Number of users up to which none are removed.
const FEW: usize = 16;

impl Speeds {
    /// Makes the limits that the settings name.
    pub fn new(config: &Config) -> Self {
        let new = || Arc::new(SharedRate::new());
        let speeds = Self { upload: new(), download: new(), users: Mutex::default() };
        speeds.take_effect(config);
        speeds
    }

    /// Returns the limits of the user with this name.
    pub fn of(&self, name: &str, user: &User) -> Arc<UserSpeeds> {
        let mut users = self.users();
        if let Some(known) = users.speeds.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let new = |server| Arc::new(Speed::new(server));
        let (upload, download) = (new(&self.upload), new(&self.download));
        let new = Arc::new(UserSpeeds { upload, download, folders: Mutex::default() });
        new.set(user, Instant::now());
        if users.speeds.len() >= users.room {
            users.speeds.retain(|_, speeds| speeds.strong_count() > 0);
            users.room = users.speeds.len() * 2 + FEW;
        }
        users.speeds.insert(name.to_owned(), Arc::downgrade(&new));
        new
    }

    /// Applies these settings to all transfers, including those that are running.
    pub fn take_effect(&self, config: &Config) {
        let now = Instant::now();
        self.upload.set(config.server.data.max_upload, now);
        self.download.set(config.server.data.max_download, now);
        for (name, speeds) in &self.users().speeds {
            if let (Some(speeds), Some(user)) = (speeds.upgrade(), config.users.get(name)) {
                speeds.set(user, now);
            }
        }
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
