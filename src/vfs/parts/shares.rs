//! Who takes which of a bounded number of places. When there are too many, whoever has most gives
//! up the oldest of their own, so that nobody can crowd out the others.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

/// Whose places some are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::vfs) struct Share(u64);

impl Share {
    /// That of a name.
    pub(in crate::vfs) fn of(name: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The places that are taken. Each step takes logarithmic time.
#[derive(Debug)]
pub(in crate::vfs) struct Places<K> {
    taken: HashMap<Share, BTreeSet<(SystemTime, K)>>,
    /// Number of places, the time of the oldest, and whose they are: the largest at the end, and
    /// of equal ones that with the oldest.
    ranks: BTreeSet<(usize, Reverse<SystemTime>, Share)>,
}

impl<K: Ord + Copy> Places<K> {
    pub(in crate::vfs) fn new() -> Self {
        Self { taken: HashMap::new(), ranks: BTreeSet::new() }
    }

    /// Takes a place.
    pub(in crate::vfs) fn take(&mut self, share: Share, since: SystemTime, key: K) {
        self.change(share, |taken| taken.insert((since, key)));
    }

    /// Gives one back, with the values that it was taken with.
    pub(in crate::vfs) fn free(&mut self, share: Share, since: SystemTime, key: K) {
        self.change(share, |taken| taken.remove(&(since, key)));
    }

    /// The place that has to be given up next: the oldest of whoever has most.
    pub(in crate::vfs) fn next(&self) -> Option<K> {
        let (_, _, share) = self.ranks.last()?;
        self.taken.get(share)?.first().map(|(_, key)| *key)
    }

    fn change(
        &mut self,
        share: Share,
        how: impl FnOnce(&mut BTreeSet<(SystemTime, K)>) -> bool,
    ) {
        let taken = self.taken.entry(share).or_default();
        let rank = |taken: &BTreeSet<(SystemTime, K)>| {
            taken.first().map(|(oldest, _)| (taken.len(), Reverse(*oldest), share))
        };
        let before = rank(taken);
        how(taken);
        let after = rank(taken);
        if after.is_none() {
            self.taken.remove(&share);
        }
        if let Some(before) = before {
            self.ranks.remove(&before);
        }
        self.ranks.extend(after);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn whoever_has_most_gives_up_the_oldest() {
        let (ann, bob) = (Share::of(b"ann"), Share::of(b"bob"));
        let mut places = Places::new();
        assert_eq!(places.next(), None::<u32>);
        places.take(ann, at(1), 1);
        for n in 2..5 {
            places.take(bob, at(u64::from(n)), n);
        }
        for n in [2, 3] {
            assert_eq!(places.next(), Some(n));
            places.free(bob, at(u64::from(n)), n);
        }
        // of two who have equally many, the one with the oldest
        assert_eq!(places.next(), Some(1));
        places.free(ann, at(1), 1);
        places.free(bob, at(4), 4);
        assert!(places.next().is_none() && places.taken.is_empty() && places.ranks.is_empty());
    }
}
