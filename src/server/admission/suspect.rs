//! The failures of an address that is not banned yet.

use std::time::Instant;

use crate::config::BanRules;
use crate::control::Guess;

/// The failures of an address that is not banned yet.
#[derive(Debug)]
pub(super) struct Suspect {
    /// Number of failures.
    pub(super) failures: usize,
    /// When the first failure happened.
    pub(super) since: Instant,
    /// Number of refused commands that do not make up a failure yet.
    pub(super) refused: usize,
    /// Hashes of the users and passwords that failed, the most recent one first.
    guesses: Vec<Guess>,
}

/// Number of refused commands that count as one failure.
pub(super) const REFUSED: usize = 20;

/// Maximum number of guesses that are remembered. One that was forgotten counts again.
const GUESSES: usize = 64;

impl Suspect {
    pub(super) fn new(now: Instant) -> Self {
        Self { failures: 0, since: now, refused: 0, guesses: Vec::new() }
    }

    /// Whether the failures are older than `ban_window`.
    pub(super) fn is_old(&self, rules: &BanRules, now: Instant) -> bool {
        rules.window.is_some_and(|window| now.duration_since(self.since) >= window)
    }

    /// Remembers a guess, and returns whether it was already known.
    pub(super) fn knows(&mut self, guess: Guess) -> bool {
        let known = self.guesses.iter().position(|known| *known == guess);
        let at = known.unwrap_or_else(|| {
            self.guesses.truncate(GUESSES - 1);
            self.guesses.push(guess);
            self.guesses.len() - 1
        });
        if let Some(front) = self.guesses.get_mut(..=at) {
            front.rotate_right(1);
        }
        known.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_remembered_within_bounds() {
        let key = std::hash::RandomState::new();
        let now = Instant::now();
        let mut suspect = Suspect::new(now);
        let guess = |number: u32| Guess::of(&key, b"x", &number.to_le_bytes());
        let mut fresh = 0;
        for number in 0..1000 {
            fresh += usize::from(!suspect.knows(guess(number)));
            fresh += usize::from(!suspect.knows(guess(7000)));
        }
        assert_eq!(
            (fresh, suspect.guesses.len()),
            (1001, GUESSES),
            "bounded, and none is free"
        );
        assert!(!suspect.knows(guess(0)), "forgotten");
    }
}
