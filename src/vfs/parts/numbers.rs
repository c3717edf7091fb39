//! The numbers that were added to names that are taken, as a hint where to go on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::vfs::tree::entry::FileId;

/// For names that are taken, the number after the one that was used last. Whether that number is free
/// is found out on the disk.
#[derive(Debug, Default)]
pub(in crate::vfs) struct Numbers {
    next: Mutex<HashMap<(FileId, Vec<u8>), u32>>,
}

/// Maximum number of names that are remembered. If there are more, all are forgotten, and a few
/// more look-ups find the number of each.
const MOST: usize = 4096;

impl Numbers {
    /// Returns the number to try first for a name in a directory.
    pub(in crate::vfs) fn next(&self, dir: FileId, name: &[u8]) -> u32 {
        self.all().get(&(dir, name.to_owned())).copied().unwrap_or(1)
    }

    /// Notes that the number of a name is used.
    pub(in crate::vfs) fn used(&self, dir: FileId, name: &[u8], number: u32) {
        let mut all = self.all();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert((dir, name.to_owned()), number.saturating_add(1));
    }

    /// Begins again with the first number, because the name itself was free.
    pub(in crate::vfs) fn forget(&self, dir: FileId, name: &[u8]) {
        let mut all = self.all();
        if !all.is_empty() {
            all.remove(&(dir, name.to_owned()));
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<(FileId, Vec<u8>), u32>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_per_directory_and_name_within_bounds() {
        let numbers = Numbers::default();
        numbers.used((1, 1), b"a", 1);
        numbers.used((1, 1), b"a", 2);
        assert_eq!(numbers.next((1, 1), b"a"), 3);
        assert_eq!((numbers.next((1, 2), b"a"), numbers.next((1, 1), b"b")), (1, 1));
        numbers.forget((1, 1), b"a");
        assert_eq!(numbers.next((1, 1), b"a"), 1);
        for name in 0..10_000_u32 {
            numbers.used((1, 1), &name.to_be_bytes(), 7);
            assert!(numbers.all().len() <= MOST);
        }
    }
}
