//! The ledgers that one directory counts for, and what is reported to them.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::fstat;

use super::count::{Change, Count, Limits};
use super::ledger::{Entered, Ledger};
use crate::vfs::error::FsError;
use crate::vfs::tree::entry::{FileId, id_of};
use crate::vfs::tree::place::{found, lstat};

/// The ledgers that a directory counts for, the outermost first. There is none if nothing has a
/// quota; then nothing is looked up and nothing is locked.
#[derive(Debug, Clone, Default)]
pub(in crate::vfs) struct Accounts(pub(super) Vec<Account>);

/// A ledger, and what the session may use of its tree; `None`: what others may use.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) ledger: Arc<Ledger>,
    pub(super) limits: Option<Limits>,
}

/// The right to change something and to report it.
pub(in crate::vfs) struct Open<'a> {
    accounts: &'a Accounts,
    _entered: Vec<Entered<'a>>,
}

impl Accounts {
    /// Whether there is no quota.
    pub(in crate::vfs) fn is_off(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins a change of something that belongs to the caller alone. It ends when the result is
    /// dropped.
    pub(in crate::vfs) fn open(&self) -> Open<'_> {
        self.enter(false)
    }

    /// Begins a change in which nobody else may take part, because what it frees must be known.
    pub(in crate::vfs) fn open_alone(&self) -> Open<'_> {
        self.enter(true)
    }

    fn enter(&self, alone: bool) -> Open<'_> {
        let entered = self.0.iter().map(|account| account.ledger.enter(alone)).collect();
        Open { accounts: self, _entered: entered }
    }

    /// Does `work`, after which nothing that has this name now is there any more: it was removed or
    /// replaced by another file of the directory.
    pub(in crate::vfs) fn losing<T, E: From<FsError>>(
        &self,
        dir: impl AsFd,
        name: &[u8],
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.is_off() {
            return work();
        }
        let open = self.open_alone();
        let lost = count_of(&dir, name)?;
        let id = dir_id(&dir)?;
        let done = work()?;
        open.change(id, Change::less(lost));
        Ok(done)
    }

    /// Like [`Accounts::losing`], for the end of an upload whose file takes the name. Fails before
    /// `work` if the file that has the name now frees less than the upload was given as `credit`, and
    /// the limits do not allow that.
    pub(super) fn replacing<T>(
        &self,
        (dir, id): (impl AsFd, FileId),
        name: &[u8],
        credit: Count,
        work: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        if self.is_off() {
            return work();
        }
        let _open = self.open_alone();
        let lost = count_of(&dir, name)?;
        for Account { ledger, limits } in &self.0 {
            ledger.check_end((lost, credit), *limits)?;
        }
        let done = work()?;
        self.0.iter().for_each(|account| account.ledger.end(id, lost, credit));
        Ok(done)
    }

    /// Checks that this much could be added.
    pub(in crate::vfs) fn check_room(&self, more: Count) -> Result<(), FsError> {
        self.0.iter().try_for_each(|account| {
            let limits = account.limits();
            let (_, used, _) = account.ledger.state();
            let exceeds = |most: Option<u64>, used: u64, more: u64| {
                most.filter(|&most| more > 0 && used.saturating_add(more) > most)
            };
            if let Some(most) = exceeds(limits.bytes, used.bytes, more.bytes) {
                return Err(FsError::QuotaUsed("quota_bytes", most));
            }
            if let Some(most) = exceeds(limits.files, used.files, more.files) {
                return Err(FsError::QuotaUsed("quota_files", most));
            }
            Ok(())
        })
    }

    /// Whether the limits are exceeded.
    pub(super) fn is_exceeded(&self) -> bool {
        let exceeds = |most: Option<u64>, used: u64| most.is_some_and(|most| used > most);
        self.0.iter().any(|account| {
            let (limits, (_, used, _)) = (account.limits(), account.ledger.state());
            exceeds(limits.bytes, used.bytes) || exceeds(limits.files, used.files)
        })
    }

    /// Returns how many bytes may still be added; `None`: there is no limit.
    pub(in crate::vfs) fn left(&self) -> Option<u64> {
        let left = |account: &Account| account.limits().left(account.ledger.state().1).0;
        self.0.iter().filter_map(left).min()
    }

    /// Asks for a rescan: what has happened cannot be reported exactly.
    pub(in crate::vfs) fn want_scan(&self) {
        self.0.iter().for_each(|account| account.ledger.want_scan());
    }

    /// Reports a change in a directory to these ledgers only, which must be among those of `open`.
    pub(in crate::vfs) fn change(&self, _open: &Open<'_>, dir: FileId, change: Change) {
        self.0.iter().for_each(|account| account.ledger.change(dir, change));
    }

    /// Like [`Open::reserve`], for these ledgers only, which must be among those of `open`.
    pub(in crate::vfs) fn reserve(
        &self,
        open: &Open<'_>,
        dir: FileId,
        (more, credit): (Count, Count),
    ) -> Result<(), FsError> {
        for (at, Account { ledger, limits }) in self.0.iter().enumerate() {
            if let Err(why) = ledger.reserve(dir, (more, credit), *limits) {
                let before = Self(self.0.iter().take(at).cloned().collect());
                before.change(open, dir, Change::less(more));
                before.settle(credit);
                return Err(why);
            }
        }
        Ok(())
    }

    /// Records that an upload writes to a file in place. [`Bell::begin_in_place`] comes before.
    ///
    /// [`Bell::begin_in_place`]: super::ledger::Bell::begin_in_place
    pub(super) fn share(&self) {
        self.0.iter().for_each(|account| account.ledger.share());
    }

    /// Records that such an upload has ended. [`Bell::end_in_place`] comes after.
    ///
    /// [`Bell::end_in_place`]: super::ledger::Bell::end_in_place
    pub(super) fn unshare(&self) {
        self.0.iter().for_each(|account| account.ledger.unshare());
    }

    /// Records that a file or directory was moved from a directory with these accounts to one with
    /// others.
    pub(in crate::vfs) fn file_moved(&self, to: &Self) {
        let changed = self.without(to).0.into_iter().chain(to.without(self).0);
        let changed: Vec<_> = changed.map(|account| account.ledger).collect();
        self.0.iter().for_each(|account| account.ledger.file_moved(&changed));
    }

    /// Takes back the credit of an upload that has ended.
    pub(super) fn settle(&self, credit: Count) {
        self.0.iter().for_each(|account| account.ledger.settle(credit));
    }

    /// Returns the ledgers of both, without those that `self` and `other` have in common.
    pub(in crate::vfs) fn without(&self, other: &Self) -> Self {
        let is_other =
            |one: &&Account| !other.0.iter().any(|two| Arc::ptr_eq(&one.ledger, &two.ledger));
        Self(self.0.iter().filter(is_other).cloned().collect())
    }

    /// Returns the ledgers of both, the outermost first.
    pub(in crate::vfs) fn with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(other.without(self).0);
        all.0.sort_by(|one, two| one.ledger.path.cmp(&two.ledger.path));
        all
    }
}

impl Account {
    fn limits(&self) -> Limits {
        self.limits.unwrap_or_else(|| self.ledger.limits())
    }
}

impl Open<'_> {
    /// Reports a change in a directory.
    pub(in crate::vfs) fn change(&self, dir: FileId, change: Change) {
        self.accounts.change(self, dir, change);
    }

    /// Reports that more is about to be in a directory, if that is allowed. `credit` is the part of
    /// it that the same upload will free.
    pub(in crate::vfs) fn reserve(
        &self,
        dir: FileId,
        more: Count,
        credit: Count,
    ) -> Result<(), FsError> {
        self.accounts.reserve(self, dir, (more, credit))
    }

    /// Reports that a directory was made.
    pub(in crate::vfs) fn made(&self, parent: FileId, dir: FileId) {
        self.tell(|ledger| ledger.tell(|scan| scan.made(parent, dir)));
    }

    /// Reports that a directory was removed.
    pub(in crate::vfs) fn removed(&self, dir: FileId) {
        self.tell(|ledger| ledger.tell(|scan| scan.removed(dir)));
    }

    /// Reports that a directory was renamed.
    pub(in crate::vfs) fn moved(&self) {
        self.tell(Ledger::moved);
    }

    fn tell(&self, what: impl Fn(&Ledger)) {
        self.accounts.0.iter().for_each(|account| what(&account.ledger));
    }
}

/// Returns what a name in a directory counts.
pub(in crate::vfs) fn count_of(dir: impl AsFd, name: &[u8]) -> Result<Count, FsError> {
    Ok(found(lstat(dir, name))?.map(|stat| Count::of(&stat)).unwrap_or_default())
}

/// Returns the id of an open directory.
pub(in crate::vfs) fn dir_id(dir: impl AsFd) -> Result<FileId, FsError> {
    Ok(id_of(&fstat(dir)?))
}
