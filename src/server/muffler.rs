//! A flood of clients that are turned away must not become a flood of log lines.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets so many lines through in each second, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Muffler(Mutex<Option<Second>>);

#[derive(Debug)]
struct Second {
    since: Instant,
    said: u32,
    unsaid: u64,
}

const LINES: u32 = 5;

const SECOND: Duration = Duration::from_secs(1);

impl Muffler {
    /// Whether a line may be written now; and how many were not, that nobody has told yet.
    pub(super) fn speak(&self, now: Instant) -> Option<u64> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Second { since: now, said: 0, unsaid: 0 };
        let second = slot.get_or_insert(fresh);
        if now.saturating_duration_since(second.since) >= SECOND {
            (second.since, second.said) = (now, 0);
        }
        if second.said == LINES {
            second.unsaid += 1;
            return None;
        }
        second.said += 1;
        Some(std::mem::take(&mut second.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_in_the_next_second() {
        let muffler = Muffler::default();
        let now = Instant::now();
        let said = (0..1000).filter(|_| muffler.speak(now) == Some(0)).count();
        assert_eq!(said, 5);
        assert_eq!(muffler.speak(now + SECOND), Some(995));
        assert_eq!(muffler.speak(now + SECOND), Some(0));
    }
}
