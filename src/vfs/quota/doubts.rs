//! Which trees must be read through because a file that an upload writes to in place may have been
//! moved into or out of them. This file works on values only.
//!
//! Such an upload goes on to report to the trees that its file lay in when it began. So the trees
//! that are concerned are read through once all uploads have ended that ran at the time of the move.

use std::collections::BTreeSet;

/// The uploads that write to files in place, and what waits for their end.
#[derive(Debug)]
pub(super) struct Doubts<T> {
    /// Number of uploads that have begun so far, which is the number of the next one.
    begun: u64,
    running: BTreeSet<u64>,
    /// What is in doubt until all uploads with smaller numbers have ended.
    waiting: Vec<(u64, T)>,
}

impl<T> Default for Doubts<T> {
    fn default() -> Self {
        Self { begun: 0, running: BTreeSet::new(), waiting: Vec::new() }
    }
}

impl<T> Doubts<T> {
    /// Records that an upload begins, and returns its number.
    pub(super) fn begin(&mut self) -> u64 {
        let number = self.begun;
        self.begun += 1;
        self.running.insert(number);
        number
    }

    /// Records that an upload has ended. Returns what is no longer in doubt.
    pub(super) fn end(&mut self, number: u64) -> Vec<T> {
        self.running.remove(&number);
        self.over()
    }

    /// Puts something in doubt that `is_same` recognises. Returns what no upload makes doubtful.
    pub(super) fn doubt(&mut self, one: T, is_same: impl Fn(&T) -> bool) -> Vec<T> {
        self.waiting.retain(|(_, other)| !is_same(other));
        self.waiting.push((self.begun, one));
        self.over()
    }

    /// Whether something waits that `is_same` recognises.
    pub(super) fn has(&self, is_same: impl Fn(&T) -> bool) -> bool {
        self.waiting.iter().any(|(_, other)| is_same(other))
    }

    fn over(&mut self) -> Vec<T> {
        let oldest = self.running.first().copied().unwrap_or(self.begun);
        let is_over = |(until, _): &mut (u64, T)| *until <= oldest;
        self.waiting.extract_if(.., is_over).map(|(_, one)| one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_ends_with_the_last_upload_that_ran_at_its_time() {
        let mut doubts = Doubts::default();
        let (one, two) = (doubts.begin(), doubts.begin());
        assert!(doubts.doubt('a', |other| *other == 'a').is_empty());
        let three = doubts.begin();
        assert!(doubts.end(two).is_empty() && doubts.has(|other| *other == 'a'));
        assert_eq!(doubts.end(one), ['a']);
        assert!(!doubts.has(|other| *other == 'a'));
        assert!(doubts.end(three).is_empty());
        assert_eq!(doubts.doubt('b', |other| *other == 'b'), ['b'], "nothing runs");
    }

    #[test]
    fn a_later_doubt_replaces_an_earlier_one_of_the_same_tree() {
        let mut doubts = Doubts::default();
        let one = doubts.begin();
        doubts.doubt('a', |other| *other == 'a');
        let two = doubts.begin();
        doubts.doubt('a', |other| *other == 'a');
        doubts.doubt('b', |other| *other == 'b');
        assert!(doubts.end(one).is_empty());
        assert_eq!(doubts.end(two), ['a', 'b']);
    }
}
