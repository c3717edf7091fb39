//! The state of a rescan, which makes the count of a ledger exact while files come and go. This
//! file works on values only.
//!
//! A change in a directory that was read already is added to the result; one in a directory that
//! is still to be read will be seen there. A directory that changes while it is read is read again.

use std::collections::HashSet;

use super::count::{Change, Count};
use crate::vfs::tree::entry::FileId;

/// A rescan that runs.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The directories that were read, and those that were made in them since.
    visited: HashSet<FileId>,
    /// The directory that is being read.
    current: Option<FileId>,
    /// Whether something in it has changed since the reading began.
    dirty: bool,
    counted: Change,
    /// Whether a directory was renamed, so that the walk may have missed it or met it twice.
    moved: bool,
}

impl Scan {
    /// Begins to read a directory. Returns whether its entries count: they do unless it was made
    /// during the rescan, so that all of them have been reported.
    pub(super) fn begin(&mut self, dir: FileId) -> bool {
        let is_new = !self.visited.contains(&dir);
        self.current = is_new.then_some(dir);
        self.dirty = false;
        is_new
    }

    /// Ends the reading of the directory, unless something in it has changed meanwhile. Returns
    /// whether it has ended; if not, the directory must be read again while nothing can change.
    pub(super) fn end(&mut self, found: Count) -> bool {
        if self.dirty {
            self.dirty = false;
            return false;
        }
        if let Some(dir) = self.current.take() {
            self.visited.insert(dir);
            self.counted.add(Change::more(found));
        }
        true
    }

    /// Records a change in a directory.
    pub(super) fn note(&mut self, dir: FileId, change: Change) {
        if self.current == Some(dir) {
            self.dirty = true;
        } else if self.visited.contains(&dir) {
            self.counted.add(change);
        }
    }

    /// Records that a directory was made.
    pub(super) fn made(&mut self, parent: FileId, dir: FileId) {
        if self.current == Some(parent) || self.visited.contains(&parent) {
            self.visited.insert(dir);
        }
    }

    /// Records that an empty directory was removed. Another one may get its number.
    pub(super) fn removed(&mut self, dir: FileId) {
        self.visited.remove(&dir);
        // what is being read must not stand for the next directory with this number
        self.moved |= self.current == Some(dir);
    }

    /// Records that a directory was renamed.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// Returns the result, and whether it is exact.
    pub(super) fn result(&self) -> (Count, bool) {
        (self.counted.count(), !self.moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: FileId = (1, 1);
    const SUB: FileId = (1, 2);

    fn bytes(bytes: u64) -> Count {
        Count { bytes, files: 1 }
    }

    #[test]
    fn changes_before_a_directory_is_read_are_seen_and_those_after_it_are_added() {
        let mut scan = Scan::default();
        scan.note(ROOT, Change::more(bytes(5)));
        assert!(scan.begin(ROOT) && scan.end(bytes(10)));
        scan.note(ROOT, Change::more(bytes(7)));
        scan.note(SUB, Change::more(bytes(3)));
        assert!(scan.begin(SUB) && scan.end(bytes(30)));
        scan.note(SUB, Change::less(bytes(1)));
        assert_eq!(scan.result(), (Count { bytes: 46, files: 2 }, true));
    }

    #[test]
    fn a_directory_that_changes_while_it_is_read_is_read_again() {
        let mut scan = Scan::default();
        assert!(scan.begin(ROOT));
        scan.note(ROOT, Change::more(bytes(7)));
        assert!(!scan.end(bytes(3)));
        assert!(scan.end(bytes(10)));
        assert_eq!(scan.result().0, bytes(10));
    }

    #[test]
    fn a_directory_that_is_made_behind_the_walk_is_reported_and_not_counted_again() {
        let mut scan = Scan::default();
        scan.begin(ROOT);
        scan.made(ROOT, SUB);
        scan.end(Count::default());
        scan.note(SUB, Change::more(bytes(4)));
        assert!(!scan.begin(SUB), "the walk has found it as well");
        assert!(scan.end(bytes(4)));
        assert_eq!(scan.result().0, bytes(4));
        scan.removed(SUB);
        assert!(scan.begin(SUB), "another directory with this number");
        scan.moved();
        assert!(!scan.result().1);
    }
}
