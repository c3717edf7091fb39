//! Two bounded tables: addresses with failures, and addresses that are banned.

use std::collections::HashMap;
use std::time::Instant;

use super::ban::Ban;
use super::origin::Origin;
use super::suspect::Suspect;
use crate::config::BanRules;

/// Maximum number of addresses in each table.
pub(super) const MOST: usize = 10_000;

/// Number of addresses that are removed from a full table at once, so that this is rare.
const THINNED: usize = MOST / 8;

/// The addresses with failures, and the addresses that are banned.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) suspects: HashMap<Origin, Suspect>,
    pub(super) banned: HashMap<Origin, Ban>,
}

impl Tables {
    /// Returns the failures of an origin, after forgetting those that are too old.
    pub(super) fn suspect(
        &mut self,
        origin: Origin,
        rules: &BanRules,
        now: Instant,
    ) -> &mut Suspect {
        if !self.suspects.contains_key(&origin) {
            let is_old = |suspect: &Suspect| suspect.is_old(rules, now);
            thin(&mut self.suspects, is_old, |it| (it.failures, it.refused, Some(it.since)));
        }
        let suspect = self.suspects.entry(origin).or_insert_with(|| Suspect::new(now));
        if suspect.is_old(rules, now) {
            *suspect = Suspect::new(now);
        }
        suspect
    }

    /// Returns whether an origin is banned. Clients that connected before the ban may still be
    /// connected.
    pub(super) fn is_banned(&self, origin: Origin, now: Instant) -> bool {
        self.banned.get(&origin).is_some_and(|ban| !ban.is_over(now))
    }
}

/// How much an entry of a table is worth. All tables have one type, because each type takes a copy
/// of the code that selects.
type Rank = (usize, usize, Option<Instant>);

/// Makes room in a full table: removes the entries that have ended and, if these are too few,
/// the entries of the lowest rank. Returns how many entries were removed because of their rank.
pub(super) fn thin<V>(
    table: &mut HashMap<Origin, V>,
    is_over: impl Fn(&V) -> bool,
    rank: impl Fn(&V) -> Rank,
) -> usize {
    if table.len() < MOST {
        return 0;
    }
    table.retain(|_, entry| !is_over(entry));
    if table.len() <= MOST - THINNED {
        return 0;
    }
    let mut ranked: Vec<_> = table.iter().map(|(key, entry)| (rank(entry), *key)).collect();
    ranked.select_nth_unstable_by_key(THINNED, |(rank, _)| *rank);
    for (_, key) in ranked.iter().take(THINNED) {
        table.remove(key);
    }
    THINNED
}
