//! The checksums that were computed last. A file that has changed is another key.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::Stat;

use super::algorithm::Algorithm;
use crate::vfs::tree::entry::{Version, changed};

/// Number of checksums that are remembered, with some 200 bytes each.
const MOST: usize = 1000;

/// Number of bytes from which on a checksum is worth remembering.
const WORTH: u64 = 256 << 10;

/// Remembers checksums.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The oldest first.
    known: Mutex<VecDeque<(Key, String)>>,
}

/// What a checksum is of: a version of a file, and which bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    version: Version,
    /// Clients cannot set this time, so that they cannot undo it after a change.
    changed: SystemTime,
    algorithm: Algorithm,
    range: Range<u64>,
}

impl Key {
    pub(super) fn new(stat: &Stat, algorithm: Algorithm, range: &Range<u64>) -> Self {
        let (version, changed) = (Version::of(stat), changed(stat));
        Self { version, changed, algorithm, range: range.clone() }
    }

    fn is_worth_it(&self) -> bool {
        self.range.end.saturating_sub(self.range.start) >= WORTH
    }
}

impl Memory {
    /// Returns the checksum, if it is known.
    pub(super) fn find(&self, key: &Key) -> Option<String> {
        if !key.is_worth_it() {
            return None;
        }
        let known = self.known();
        known.iter().find(|(other, _)| other == key).map(|(_, digest)| digest.clone())
    }

    /// Remembers a checksum. The oldest one is forgotten if there are too many.
    pub(super) fn keep(&self, key: Key, digest: &str) {
        if !key.is_worth_it() {
            return;
        }
        let mut known = self.known();
        if known.len() >= MOST {
            known.pop_front();
        }
        known.push_back((key, digest.to_owned()));
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(Key, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat() -> Stat {
        rustix::fs::stat("/").unwrap()
    }

    #[test]
    fn only_the_same_version_and_range_is_known() {
        let memory = Memory::default();
        let stat = stat();
        let key = Key::new(&stat, Algorithm::Md5, &(0..WORTH));
        memory.keep(key.clone(), "digest");
        assert_eq!(memory.find(&key).as_deref(), Some("digest"));
        let mut later = stat;
        later.st_ctime_nsec = (later.st_ctime_nsec + 1) % 1_000_000_000;
        for other in [
            Key::new(&later, Algorithm::Md5, &(0..WORTH)),
            Key::new(&stat, Algorithm::Sha1, &(0..WORTH)),
            Key::new(&stat, Algorithm::Md5, &(1..WORTH + 1)),
        ] {
            assert_eq!(memory.find(&other), None);
        }
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let memory = Memory::default();
        let stat = stat();
        let key = |at: usize| Key::new(&stat, Algorithm::Md5, &(at as u64..at as u64 + WORTH));
        for at in 0..=MOST {
            memory.keep(key(at), "digest");
        }
        assert_eq!(memory.find(&key(0)), None);
        assert!(memory.find(&key(1)).is_some() && memory.find(&key(MOST)).is_some());
        assert_eq!(memory.known().len(), MOST);
        let short = Key::new(&stat, Algorithm::Md5, &(0..WORTH - 1));
        memory.keep(short.clone(), "digest");
        assert_eq!(memory.find(&short), None);
    }
}
