//! Decides which files go, from what a walk has found. This file works on values only, and makes no
//! system call.
//!
//! The oldest files go first, whichever rule they go by. Of a million files only the oldest few
//! thousand are kept in memory; if more must go, another round follows.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::KEEP_KEYS;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::FileId;

/// What a rule limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// Files of this age go.
    Age(Duration),
    /// The oldest files go while all have more bytes than this together.
    Bytes(u64),
    /// The oldest files go while there are more than this.
    Files(u64),
    /// The oldest files go while the file system has less free space than this, in bytes.
    Free(u64),
}

/// The rules that apply to a file, as indexes of [`Round`]; `None`: no rule of this key.
pub(super) type Governing = [Option<usize>; KEEP_KEYS];

/// A file or a link that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// When it was stored, renamed, or its attributes were last changed (ctime).
    pub(super) stored: SystemTime,
    pub(super) size: u64,
    /// Number of bytes that it takes on the disk.
    pub(super) blocks: u64,
    /// Number of hard links.
    pub(super) links: u64,
    pub(super) id: FileId,
    /// Index of the home.
    pub(super) home: usize,
    /// The directory, which leads through no links.
    pub(super) folder: Arc<VirtualPath>,
    pub(super) name: Vec<u8>,
    pub(super) rules: Governing,
}

/// What a walk has found, for one round of removals.
#[derive(Debug)]
pub(super) struct Round {
    now: SystemTime,
    rules: Vec<Option<Governed>>,
    /// Maximum number of candidates that each rule keeps.
    most: usize,
}

/// The files that one rule applies to.
#[derive(Debug)]
struct Governed {
    limit: Limit,
    files: u64,
    bytes: u64,
    /// Number of files that are old enough to go, and their bytes.
    due: (u64, u64),
    /// Number of files in the trash, and their bytes. They count as well, and go first.
    trash: (u64, u64),
    /// The file system of the trash.
    trash_device: u64,
    oldest: BinaryHeap<ByAge>,
    /// Whether there were more candidates than are kept.
    is_cut: bool,
}

/// A candidate, ordered by its age: the youngest is the greatest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ByAge(Arc<Candidate>);

impl Ord for ByAge {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |one: &Self| (one.0.stored, one.0.home);
        let (own, others) = (&self.0, &other.0);
        key(self)
            .cmp(&key(other))
            .then_with(|| own.folder.as_bytes().cmp(others.folder.as_bytes()))
            .then_with(|| own.name.cmp(&others.name))
    }
}

impl PartialOrd for ByAge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Number of candidates that are kept in memory, for all rules together.
const MOST: usize = 8192;

/// Minimum number of candidates that are kept for one rule.
const LEAST: usize = 64;

impl Round {
    /// Begins a round with these rules. `None` is a rule that is not in effect.
    pub(super) fn new(now: SystemTime, limits: &[Option<Limit>]) -> Self {
        let count = limits.iter().flatten().count().max(1);
        let rule = |limit: &Option<Limit>| {
            limit.map(|limit| Governed {
                limit,
                files: 0,
                bytes: 0,
                due: (0, 0),
                trash: (0, 0),
                trash_device: 0,
                oldest: BinaryHeap::new(),
                is_cut: false,
            })
        };
        Self { now, rules: limits.iter().map(rule).collect(), most: (MOST / count).max(LEAST) }
    }

    /// Whether any of these rules is in effect.
    pub(super) fn has(&self, rules: &Governing) -> bool {
        let is_in_effect = |at: &usize| matches!(self.rules.get(*at), Some(Some(_)));
        rules.iter().flatten().any(is_in_effect)
    }

    /// Counts a file. `make` is called only if the file may go.
    pub(super) fn add(
        &mut self,
        rules: &Governing,
        stored: SystemTime,
        size: u64,
        make: impl FnOnce() -> Candidate,
    ) {
        let age = self.now.duration_since(stored).unwrap_or_default();
        let mut make = Some(make);
        let mut shared: Option<Arc<Candidate>> = None;
        for at in rules.iter().flatten() {
            let Some(Some(rule)) = self.rules.get_mut(*at) else { continue };
            rule.count(size);
            if !rule.may_go(age) {
                continue;
            }
            rule.due.0 += 1;
            rule.due.1 = rule.due.1.saturating_add(size);
            let is_young =
                rule.oldest.peek().is_some_and(|youngest| youngest.0.stored < stored);
            if rule.oldest.len() >= self.most && is_young {
                rule.is_cut = true;
                continue;
            }
            if shared.is_none() {
                shared = make.take().map(|make| Arc::new(make()));
            }
            let Some(candidate) = &shared else { continue };
            rule.oldest.push(ByAge(Arc::clone(candidate)));
            if rule.oldest.len() > self.most {
                rule.oldest.pop();
                rule.is_cut = true;
            }
        }
    }

    /// Counts a file in the trash of this file system.
    pub(super) fn add_trash(&mut self, rules: &Governing, size: u64, device: u64) {
        for at in rules.iter().flatten() {
            let Some(Some(rule)) = self.rules.get_mut(*at) else { continue };
            if matches!(rule.limit, Limit::Bytes(_) | Limit::Files(_)) {
                rule.count(size);
                rule.trash = (rule.trash.0 + 1, rule.trash.1.saturating_add(size));
                rule.trash_device = device;
            }
        }
    }

    /// Returns the candidates, the oldest first.
    pub(super) fn queue(mut self) -> Queue {
        let mut all: Vec<ByAge> = Vec::new();
        for rule in self.rules.iter_mut().flatten() {
            all.extend(rule.oldest.drain());
        }
        all.sort();
        all.dedup();
        let left = all.into_iter().map(|one| one.0).collect();
        Queue { now: self.now, rules: self.rules, left, free: u64::MAX }
    }
}

impl Governed {
    fn count(&mut self, size: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
    }

    /// Whether a file of this age may have to go.
    fn may_go(&self, age: Duration) -> bool {
        match self.limit {
            Limit::Age(limit) => age >= limit,
            Limit::Bytes(_) | Limit::Files(_) | Limit::Free(_) => true,
        }
    }

    /// Whether a file of this age has to go, if it is the oldest.
    fn wants(&self, age: Duration, free: u64) -> bool {
        match self.limit {
            Limit::Age(limit) => age >= limit,
            Limit::Bytes(limit) => self.bytes > limit,
            Limit::Files(limit) => self.files > limit,
            Limit::Free(limit) => free < limit,
        }
    }

    /// Returns at least how many files, and how many bytes, exceed the limit.
    fn excess(&self) -> (u64, u64) {
        match self.limit {
            Limit::Age(_) => self.due,
            Limit::Bytes(limit) => (0, self.bytes.saturating_sub(limit)),
            Limit::Files(limit) => (self.files.saturating_sub(limit), 0),
            Limit::Free(_) => (0, 0),
        }
    }
}

/// The candidates of a round, from which those that have to go are taken one by one.
#[derive(Debug)]
pub(super) struct Queue {
    now: SystemTime,
    rules: Vec<Option<Governed>>,
    left: VecDeque<Arc<Candidate>>,
    /// Free space of the file system, in bytes.
    free: u64,
}

impl Queue {
    /// Sets the free space of the file system.
    pub(super) fn set_free(&mut self, free: u64) {
        self.free = free;
    }

    /// Returns the free space that was seen last, and that was gained since.
    pub(super) fn free(&self) -> u64 {
        self.free
    }

    /// Changes the limit of a rule.
    pub(super) fn set_limit(&mut self, at: usize, limit: Limit) {
        if let Some(Some(rule)) = self.rules.get_mut(at) {
            rule.limit = limit;
        }
    }

    /// Returns at least how many files, and how many bytes, exceed the limit of a rule.
    pub(super) fn excess(&self, at: usize) -> (u64, u64) {
        let rule = self.rules.get(at).and_then(Option::as_ref);
        rule.map_or((0, 0), Governed::excess)
    }

    /// Returns how much of the trash has to go by a rule: number of files, bytes, and the file system.
    pub(super) fn trash(&self, at: usize) -> Option<(u64, u64, u64)> {
        let rule = self.rules.get(at)?.as_ref()?;
        let (files, bytes) = rule.excess();
        let (files, bytes) = (files.min(rule.trash.0), bytes.min(rule.trash.1));
        let is_any =
            matches!(rule.limit, Limit::Bytes(_) | Limit::Files(_)) && (files, bytes) != (0, 0);
        is_any.then_some((files, bytes, rule.trash_device))
    }

    /// Records that files of the trash on a file system were removed, for all rules that they
    /// count for.
    pub(super) fn trash_gone(&mut self, device: u64, files: u64, bytes: u64) {
        for rule in self.rules.iter_mut().flatten() {
            if rule.trash.0 > 0 && rule.trash_device == device {
                rule.files = rule.files.saturating_sub(files);
                rule.bytes = rule.bytes.saturating_sub(bytes);
                let (had, took) = (rule.trash, (files, bytes));
                rule.trash = (had.0.saturating_sub(took.0), had.1.saturating_sub(took.1));
            }
        }
    }

    /// Takes the oldest file that has to go, and the rule that it goes by. The caller must call
    /// [`Queue::gone`] or [`Queue::stays`] for it.
    pub(super) fn next(&mut self) -> Option<(Arc<Candidate>, usize)> {
        let reason = |one: &Arc<Candidate>| self.reason(one);
        let (at, rule) =
            self.left.iter().enumerate().find_map(|(at, one)| Some((at, reason(one)?)))?;
        self.left.remove(at).map(|one| (one, rule))
    }

    fn reason(&self, one: &Candidate) -> Option<usize> {
        let age = self.now.duration_since(one.stored).unwrap_or_default();
        let wants = |at: &usize| {
            let rule = self.rules.get(*at).and_then(Option::as_ref);
            rule.is_some_and(|rule| rule.wants(age, self.free))
        };
        one.rules.iter().flatten().copied().find(wants)
    }

    /// Puts a file back that was taken too early.
    pub(super) fn put_back(&mut self, one: Arc<Candidate>) {
        self.left.push_front(one);
    }

    /// Records that a file was removed.
    pub(super) fn gone(&mut self, one: &Candidate) {
        self.stays(one);
        if one.links <= 1 {
            self.free = self.free.saturating_add(one.blocks);
        }
    }

    /// Records that a file stays for now, because it is in use. No younger file goes in its place,
    /// except to make room.
    pub(super) fn stays(&mut self, one: &Candidate) {
        for at in one.rules.iter().flatten() {
            if let Some(Some(rule)) = self.rules.get_mut(*at) {
                rule.files = rule.files.saturating_sub(1);
                rule.bytes = rule.bytes.saturating_sub(one.size);
            }
        }
    }

    /// Whether there is less free space than a rule demands.
    pub(super) fn lacks_room(&self) -> bool {
        self.rules
            .iter()
            .flatten()
            .any(|rule| matches!(rule.limit, Limit::Free(limit) if self.free < limit))
    }

    /// Whether another round may find more files that have to go.
    pub(super) fn is_short(&self) -> bool {
        self.rules
            .iter()
            .flatten()
            .any(|rule| rule.is_cut && rule.wants(Duration::MAX, self.free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    /// Makes a candidate of this age in days and this size, to which these rules apply.
    fn file(days: u32, size: u64, rules: &[usize]) -> Candidate {
        let mut governing = [None; KEEP_KEYS];
        for (to, rule) in governing.iter_mut().zip(rules) {
            *to = Some(*rule);
        }
        Candidate {
            stored: now() - days * DAY,
            size,
            blocks: size,
            links: 1,
            id: (0, days.into()),
            home: 0,
            folder: Arc::new(VirtualPath::root()),
            name: format!("{days}").into_bytes(),
            rules: governing,
        }
    }

    fn queue(limits: &[Limit], files: &[Candidate]) -> Queue {
        let limits: Vec<_> = limits.iter().copied().map(Some).collect();
        let mut round = Round::new(now(), &limits);
        for file in files {
            round.add(&file.rules, file.stored, file.size, || file.clone());
        }
        round.queue()
    }

    /// Returns the ages of the files that go, in days, and the rules by which they go.
    fn going(queue: &mut Queue) -> Vec<(u64, usize)> {
        let mut all = Vec::new();
        while let Some((one, rule)) = queue.next() {
            queue.gone(&one);
            all.push((one.id.1, rule));
        }
        all
    }

    fn gone(limits: &[Limit], files: &[Candidate]) -> Vec<(u64, usize)> {
        going(&mut queue(limits, files))
    }

    #[test]
    fn files_of_that_age_go_and_younger_ones_stay() {
        let files = [file(29, 1, &[0]), file(31, 1, &[0]), file(30, 1, &[0]), file(40, 1, &[])];
        assert_eq!(gone(&[Limit::Age(30 * DAY)], &files), [(31, 0), (30, 0)]);
    }

    #[test]
    fn a_file_from_the_future_is_the_youngest_and_has_no_age() {
        let mut future = file(0, 1, &[0]);
        future.stored = now() + 1000 * DAY;
        future.id.1 = 99;
        let files = [future, file(1, 1, &[0])];
        assert_eq!(gone(&[Limit::Age(DAY / 2)], &files), [(1, 0)]);
        assert_eq!(gone(&[Limit::Files(1)], &files), [(1, 0)]);
    }

    #[test]
    fn the_oldest_go_until_bytes_and_files_are_within_their_limits() {
        let files: Vec<_> = (1..=10).map(|days| file(days, 10, &[0])).collect();
        assert_eq!(gone(&[Limit::Files(8)], &files), [(10, 0), (9, 0)]);
        assert_eq!(gone(&[Limit::Bytes(100)], &files), []);
        assert_eq!(gone(&[Limit::Bytes(99)], &files), [(10, 0)]);
        assert_eq!(gone(&[Limit::Bytes(75)], &files), [(10, 0), (9, 0), (8, 0)]);
        assert_eq!(gone(&[Limit::Files(0)], &files).len(), 10);
    }

    #[test]
    fn a_file_that_goes_by_one_rule_counts_for_the_others() {
        let files: Vec<_> = (1..=4).map(|days| file(days, 10, &[0, 1])).collect();
        let limits = [Limit::Age(3 * DAY), Limit::Files(2)];
        assert_eq!(gone(&limits, &files), [(4, 0), (3, 0)]);
        let limits = [Limit::Age(4 * DAY), Limit::Files(2)];
        assert_eq!(gone(&limits, &files), [(4, 0), (3, 1)]);
    }

    #[test]
    fn files_of_an_inner_folder_count_for_its_rule_alone() {
        let files = [file(9, 1, &[1]), file(8, 1, &[0]), file(7, 1, &[0]), file(6, 1, &[1])];
        assert_eq!(gone(&[Limit::Files(1), Limit::Files(5)], &files), [(8, 0)]);
        assert_eq!(gone(&[Limit::Files(5), Limit::Files(1)], &files), [(9, 1)]);
    }

    #[test]
    fn room_is_made_until_there_is_enough() {
        let files: Vec<_> = (1..=10).map(|days| file(days, 10, &[0])).collect();
        let mut queue = queue(&[Limit::Free(100)], &files);
        assert_eq!(queue.next(), None, "the free space is not known yet");
        queue.set_free(80);
        assert_eq!(going(&mut queue), [(10, 0), (9, 0)]);
        queue.set_free(95);
        assert_eq!(going(&mut queue), [(8, 0)], "the others are still there");
        queue.set_limit(0, Limit::Free(115));
        assert_eq!(going(&mut queue), [(7, 0)]);
    }

    #[test]
    fn a_file_with_other_hard_links_makes_no_room() {
        let mut files: Vec<_> = (1..=3).map(|days| file(days, 10, &[0])).collect();
        files[2].links = 2;
        let mut queue = queue(&[Limit::Free(10)], &files);
        queue.set_free(0);
        assert_eq!(going(&mut queue), [(3, 0), (2, 0)]);
    }

    #[test]
    fn no_younger_file_goes_in_place_of_one_in_use_except_to_make_room() {
        let files: Vec<_> = (1..=3).map(|days| file(days, 10, &[0])).collect();
        for (limit, goes) in [(Limit::Files(2), false), (Limit::Free(10), true)] {
            let mut queue = queue(&[limit], &files);
            queue.set_free(0);
            let (used, _) = queue.next().unwrap();
            queue.stays(&used);
            assert_eq!(queue.next().is_some(), goes, "{limit:?}");
        }
    }

    #[test]
    fn only_the_oldest_of_many_files_are_kept_and_another_round_follows() {
        let many = u32::try_from(MOST).unwrap() + 500;
        let files: Vec<_> = (1..=many).map(|days| file(days, 1, &[0])).collect();
        let mut one = queue(&[Limit::Files(100)], &files);
        assert_eq!(one.excess(0).0, u64::from(many) - 100);
        let gone = going(&mut one);
        assert_eq!(gone.len(), MOST);
        assert_eq!(gone[0].0, u64::from(many));
        assert!(one.is_short());
        let mut enough = queue(&[Limit::Files(u64::from(many) - 5)], &files);
        assert_eq!(going(&mut enough).len(), 5);
        assert!(!enough.is_short());
    }

    #[test]
    fn the_trash_counts_and_goes_first() {
        let files: Vec<_> = (1..=4).map(|days| file(days, 10, &[0, 1])).collect();
        let limits = [Limit::Files(4), Limit::Bytes(45)].map(Some);
        let mut round = Round::new(now(), &limits);
        for file in &files {
            round.add(&file.rules, file.stored, file.size, || file.clone());
        }
        for _ in 0..3 {
            round.add_trash(&files[0].rules, 10, 7);
        }
        let mut queue = round.queue();
        assert_eq!((queue.trash(0), queue.trash(1)), (Some((3, 0, 7)), Some((0, 25, 7))));
        queue.trash_gone(7, 3, 30);
        assert_eq!((queue.trash(0), queue.trash(1)), (None, None));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_rule_that_is_not_in_effect_removes_nothing() {
        let mut round = Round::new(now(), &[None]);
        let old = file(1000, 1, &[0]);
        assert!(!round.has(&old.rules));
        round.add(&old.rules, old.stored, old.size, || old.clone());
        assert_eq!(round.queue().next(), None);
    }
}
