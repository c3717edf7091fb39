//! A bounded number of places that users share. When all are taken, the oldest place of the
//! user who has the most is freed, so that no user can crowd out the others.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

/// Identifies a user, or several whose places count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::vfs) struct Share(u64);

impl Share {
    /// Returns the share of a user, by name.
    pub(in crate::vfs) fn of(name: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The taken places, by share. Each method takes logarithmic time.
#[derive(Debug)]
pub(in crate::vfs) struct Shares<K> {
    taken: HashMap<Share, BTreeSet<(SystemTime, K)>>,
    /// For each share: its number of places, the time of the oldest one, and the share. The
    /// largest share is the last; among equal shares, the one with the oldest place.
    ranks: BTreeSet<(usize, Reverse<SystemTime>, Share)>,
}

impl<K: Ord + Copy> Shares<K> {
    pub(in crate::vfs) fn new() -> Self {
        Self { taken: HashMap::new(), ranks: BTreeSet::new() }
    }

    /// Takes a place.
    pub(in crate::vfs) fn take(&mut self, share: Share, since: SystemTime, key: K) {
        self.change(share, |taken| taken.insert((since, key)));
    }

    /// Frees the place that was taken with these values.
    pub(in crate::vfs) fn give_back(&mut self, share: Share, since: SystemTime, key: K) {
        self.change(share, |taken| taken.remove(&(since, key)));
    }

    /// Returns the place to free next: the oldest one of the largest share.
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
        let mut shares = Shares::new();
        assert_eq!(shares.next(), None::<u32>);
        shares.take(ann, at(1), 1);
        for n in 2..5 {
            shares.take(bob, at(u64::from(n)), n);
        }
        for n in [2, 3] {
            assert_eq!(shares.next(), Some(n));
            shares.give_back(bob, at(u64::from(n)), n);
        }
        // of two users who have equally many, the one with the oldest place
        assert_eq!(shares.next(), Some(1));
        shares.give_back(ann, at(1), 1);
        shares.give_back(bob, at(4), 4);
        assert!(shares.next().is_none() && shares.taken.is_empty() && shares.ranks.is_empty());
    }
}
