//! The arithmetic of quotas: counts, differences and limits. This file works on values only.

use std::num::NonZeroU64;

use rustix::fs::Stat;

use crate::config::QuotaRules;
use crate::vfs::error::FsError;
use crate::vfs::tree::entry::{FileKind, len_of};

/// A number of bytes and files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Bytes of all files.
    pub bytes: u64,
    /// Names of everything but directories.
    pub files: u64,
}

/// A difference between two counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::vfs) struct Change {
    bytes: i64,
    files: i64,
}

/// The most that there may be; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of bytes (`quota_bytes`).
    pub bytes: Option<u64>,
    /// Maximum number of files (`quota_files`).
    pub files: Option<u64>,
}

/// The count of a ledger, and what running uploads will free.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// All that is there. While the count is only an estimate, it may become negative.
    used: Change,
    /// The part of it that running uploads will free, because they replace files.
    due: Count,
}

impl Count {
    /// Returns what one name counts.
    pub(in crate::vfs) fn of(stat: &Stat) -> Self {
        match FileKind::of_mode(stat.st_mode) {
            FileKind::Directory => Self::default(),
            FileKind::File
            | FileKind::Link
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::Block
            | FileKind::Char => Self { bytes: len_of(stat), files: 1 },
        }
    }

    /// Returns a number of bytes in files that count already.
    pub(in crate::vfs) fn bytes(bytes: u64) -> Self {
        Self { bytes, files: 0 }
    }

    /// Adds another count.
    pub(in crate::vfs) fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.files = self.files.saturating_add(other.files);
    }

    pub(super) fn less(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }
}

impl Change {
    /// Returns a change that adds this.
    pub(in crate::vfs) fn more(count: Count) -> Self {
        Self { bytes: signed(count.bytes), files: signed(count.files) }
    }

    /// Returns a change that takes this away.
    pub(in crate::vfs) fn less(count: Count) -> Self {
        Self { bytes: -signed(count.bytes), files: -signed(count.files) }
    }

    /// Returns the change of a file whose size was `before` and is `now`.
    pub(in crate::vfs) fn of_size(before: u64, now: u64) -> Self {
        Self { bytes: signed(now).saturating_sub(signed(before)), files: 0 }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.files = self.files.saturating_add(other.files);
    }

    /// Returns the difference in bytes and in files.
    pub(super) fn parts(self) -> (i64, i64) {
        (self.bytes, self.files)
    }

    /// Returns a difference of this many bytes and files.
    pub(super) fn from_parts(bytes: i64, files: i64) -> Self {
        Self { bytes, files }
    }

    /// Returns what has come since an earlier sum, if that is more than what has gone.
    pub(super) fn added_since(self, before: Self) -> Count {
        let bytes = self.bytes.saturating_sub(before.bytes);
        Self { bytes, files: self.files.saturating_sub(before.files) }.count()
    }

    /// Returns the count that the changes add up to.
    pub(super) fn count(self) -> Count {
        let natural = |number: i64| u64::try_from(number).unwrap_or_default();
        Count { bytes: natural(self.bytes), files: natural(self.files) }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Limits {
    /// Returns the limits that the settings of a user set.
    pub fn of(rules: &QuotaRules) -> Self {
        let files = rules.files.map(|most| u64::try_from(most).unwrap_or(u64::MAX));
        Self { bytes: rules.bytes.map(NonZeroU64::get), files }
    }

    /// Whether anything is limited.
    pub fn any(&self) -> bool {
        self.bytes.is_some() || self.files.is_some()
    }

    /// Returns limits that allow what either of two allows.
    pub(super) fn or(self, other: Self) -> Self {
        let larger = |one: Option<u64>, two: Option<u64>| Some(one?.max(two?));
        Self { bytes: larger(self.bytes, other.bytes), files: larger(self.files, other.files) }
    }

    /// Returns how much is left of a limit in bytes and in files; `None`: it is not limited.
    pub fn left(&self, used: Count) -> (Option<u64>, Option<u64>) {
        let left = |most: Option<u64>, used: u64| most.map(|most| most.saturating_sub(used));
        (left(self.bytes, used.bytes), left(self.files, used.files))
    }
}

impl Sum {
    /// Begins with a count.
    pub(super) fn of(used: Count) -> Self {
        Self { used: Change::more(used), due: Count::default() }
    }

    /// Returns the sum of all changes, which may be negative.
    pub(super) fn all(&self) -> Change {
        self.used
    }

    /// Sets the sum of all changes.
    pub(super) fn set_all(&mut self, used: Change) {
        self.used = used;
    }

    /// Returns all that is there.
    pub(super) fn used(&self) -> Count {
        self.used.count()
    }

    /// Returns what counts against the limits: what is there, without what running uploads will
    /// free.
    pub(super) fn charged(&self) -> Count {
        self.used().less(self.due)
    }

    pub(super) fn add(&mut self, change: Change) {
        self.used.add(change);
    }

    /// Replaces the count by an exact one.
    pub(super) fn correct(&mut self, used: Count) {
        self.used = Change::more(used);
    }

    /// Adds `more`, of which running uploads will free `credit`, if the limits allow it.
    ///
    /// # Errors
    ///
    /// [`FsError::QuotaUsed`] otherwise; nothing has changed then.
    pub(super) fn reserve(
        &mut self,
        more: Count,
        credit: Count,
        limits: Limits,
    ) -> Result<(), FsError> {
        let (now, new) = (self.charged(), more.less(credit));
        let exceeds = |most: Option<u64>, now: u64, new: u64| {
            most.filter(|&most| new > 0 && now.saturating_add(new) > most)
        };
        if let Some(most) = exceeds(limits.bytes, now.bytes, new.bytes) {
            return Err(FsError::QuotaUsed("quota_bytes", most));
        }
        if let Some(most) = exceeds(limits.files, now.files, new.files) {
            return Err(FsError::QuotaUsed("quota_files", most));
        }
        self.used.add(Change::more(more));
        self.due.add(credit);
        Ok(())
    }

    /// Checks that an upload with this credit may end, which frees `lost`. It may not if that is less
    /// than its credit and the limits are exceeded then.
    ///
    /// # Errors
    ///
    /// [`FsError::QuotaUsed`] otherwise.
    pub(super) fn check_end(
        &self,
        lost: Count,
        credit: Count,
        limits: Limits,
    ) -> Result<(), FsError> {
        let then = self.used().less(lost).less(self.due.less(credit));
        let exceeds = |most: Option<u64>, then: u64, missing: bool| {
            most.filter(|&most| missing && then > most)
        };
        if let Some(most) = exceeds(limits.bytes, then.bytes, lost.bytes < credit.bytes) {
            return Err(FsError::QuotaUsed("quota_bytes", most));
        }
        if let Some(most) = exceeds(limits.files, then.files, lost.files < credit.files) {
            return Err(FsError::QuotaUsed("quota_files", most));
        }
        Ok(())
    }

    /// Takes back credit: the upload has ended.
    pub(super) fn settle(&mut self, credit: Count) {
        self.due = self.due.less(credit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bytes: u64, files: u64) -> Count {
        Count { bytes, files }
    }

    fn limits(bytes: u64, files: u64) -> Limits {
        Limits { bytes: Some(bytes), files: Some(files) }
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut sum = Sum::of(count(90, 1));
        let none = Count::default();
        assert!(sum.reserve(count(10, 0), none, limits(100, 1)).is_ok());
        let refused = sum.reserve(count(1, 0), none, limits(100, 1));
        assert!(matches!(refused, Err(FsError::QuotaUsed("quota_bytes", 100))));
        let refused = sum.reserve(count(0, 1), none, limits(100, 1));
        assert!(matches!(refused, Err(FsError::QuotaUsed("quota_files", 1))));
        assert_eq!(sum.used(), count(100, 1));
        assert!(sum.reserve(count(7, 7), none, Limits::default()).is_ok());
        // what only frees or adds nothing is never refused
        assert!(sum.reserve(none, none, limits(5, 1)).is_ok());
        assert_eq!(sum.used(), count(107, 8));
    }

    #[test]
    fn only_the_difference_to_a_file_that_is_replaced_is_checked() {
        let mut sum = Sum::of(count(100, 2));
        let most = limits(100, 2);
        // two uploads replace a file of 40 bytes and one of 60
        assert!(sum.reserve(count(40, 1), count(40, 1), most).is_ok());
        assert!(sum.reserve(count(60, 1), count(60, 1), most).is_ok());
        assert_eq!((sum.used(), sum.charged()), (count(200, 4), count(100, 2)));
        assert!(sum.reserve(count(1, 0), Count::default(), most).is_err());
        sum.settle(count(40, 1));
        sum.add(Change::less(count(40, 1)));
        assert_eq!((sum.used(), sum.charged()), (count(160, 3), count(100, 2)));
        // the other file was renamed or made smaller meanwhile
        assert!(sum.check_end(count(60, 1), count(60, 1), most).is_ok());
        let refused = sum.check_end(count(59, 1), count(60, 1), most);
        assert!(matches!(refused, Err(FsError::QuotaUsed("quota_bytes", 100))));
        let refused = sum.check_end(count(60, 0), count(60, 1), most);
        assert!(matches!(refused, Err(FsError::QuotaUsed("quota_files", 2))));
        assert!(sum.check_end(count(0, 0), count(60, 1), limits(160, 3)).is_ok());
    }

    #[test]
    fn the_larger_limit_of_two_users_holds_for_others() {
        let one = Limits { bytes: Some(5), files: None };
        assert_eq!(limits(9, 9).or(one), Limits { bytes: Some(9), files: None });
        assert_eq!(one.left(count(7, 7)), (Some(0), None));
    }

    #[test]
    fn a_count_below_zero_is_shown_as_zero_and_remembered() {
        let mut sum = Sum::default();
        sum.add(Change::less(count(5, 1)));
        assert_eq!(sum.used(), Count::default());
        sum.add(Change::more(count(7, 1)));
        assert_eq!(sum.used(), count(2, 0));
        sum.add(Change::of_size(9, 3));
        assert_eq!(sum.used(), Count::default());
    }
}
