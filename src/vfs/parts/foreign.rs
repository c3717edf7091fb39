//! The parts of other servers in directories (`shared_storage`), and how often a directory is read
//! through for them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::name::{Mark, PartName};
use crate::vfs::tree::entry::FileId;

/// What was found in directories that were read through a short while ago.
#[derive(Debug, Default)]
pub(super) struct Foreign(Mutex<HashMap<FileId, Found>>);

#[derive(Debug)]
struct Found {
    /// When the directory may be read again.
    again: Instant,
    names: Vec<PartName>,
}

/// Maximum number of directories that are remembered. If there are more, all are forgotten.
const MOST: usize = 1024;

/// How long the result of reading a directory is used: so many times as long as reading took, so that a
/// large directory is not read for each of its files.
const REST: u32 = 20;

impl Foreign {
    /// Returns the names of the parts in a directory. Reads them with `read`, unless that was done a short
    /// while ago.
    pub(super) fn of(
        &self,
        dir: FileId,
        read: impl FnOnce() -> Vec<PartName>,
        wanted: impl Fn(&PartName) -> bool,
    ) -> Vec<PartName> {
        let pick =
            |names: &[PartName]| names.iter().filter(|name| wanted(name)).cloned().collect();
        let begun = Instant::now();
        if let Some(found) = self.all().get(&dir).filter(|found| begun < found.again) {
            return pick(&found.names);
        }
        let names = read();
        let picked = pick(&names);
        let again = Instant::now() + begun.elapsed().saturating_mul(REST).min(LONGEST);
        let mut all = self.all();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(dir, Found { again, names });
        picked
    }

    /// Forgets the parts with this mark in a directory, because they are this server's now.
    pub(super) fn forget(&self, dir: FileId, mark: Mark) {
        if let Some(found) = self.all().get_mut(&dir) {
            found.names.retain(|name| name.mark != mark);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<FileId, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maximum time for which the result of reading a directory is used.
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::parts::name::Tag;

    #[test]
    fn a_directory_is_not_read_again_at_once() {
        let (foreign, dir) = (Foreign::default(), (1, 1));
        let (one, two) = (Mark::new(b"bob", b"a"), Mark::new(b"bob", b"b"));
        let part = |mark| PartName::new(mark, Tag::Active(1, 2), b"a");
        let slow = || {
            std::thread::sleep(Duration::from_millis(20));
            vec![part(one), part(two)]
        };
        assert_eq!(foreign.of(dir, slow, |name| name.mark == one), [part(one)]);
        let never = || panic!("it was read a moment ago");
        assert_eq!(foreign.of(dir, never, |_| true), [part(one), part(two)]);
        foreign.forget(dir, one);
        assert_eq!(foreign.of(dir, || panic!(), |_| true), [part(two)]);
        assert!(foreign.of((1, 2), Vec::new, |_| true).is_empty());
    }
}
