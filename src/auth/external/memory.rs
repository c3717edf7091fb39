//! Answers that hold for further logins: those that accept, for `auth_cache`, and those that refuse,
//! for a short time.
//!
//! A question is stored as a hash with a random key, so that no password can be read from the memory.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ring::hmac;
use ring::rand::SystemRandom;

use super::answer::Answer;

/// How long a refusal holds: repeats of a camera or a script with one wrong password are not asked about,
/// and a new account can be used soon.
const REFUSED: Duration = Duration::from_secs(30);

/// Maximum number of answers of each kind. The oldest ones are forgotten first.
const MOST: usize = 10_000;

/// The answers that hold.
pub(super) struct Memory {
    /// `None`: the system had no random bytes, and nothing is remembered.
    key: Option<hmac::Key>,
    /// How long an answer that accepts a login holds; `None`: not at all.
    accepted: Option<Duration>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    accepted: Answers,
    refused: Answers,
}

/// Answers that hold for the same time.
#[derive(Default)]
struct Answers {
    /// The answers, each with the time until which it holds.
    by_question: HashMap<Hashed, (Instant, Answer)>,
    /// The questions, the oldest first.
    order: VecDeque<(Instant, Hashed)>,
}

/// The hash of a question.
pub(super) type Hashed = [u8; 32];

impl Memory {
    /// Returns an empty memory, in which answers that accept a login hold for this long.
    pub(super) fn new(accepted: Option<Duration>) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self { key, accepted, known: Mutex::default() }
    }

    /// Returns the hash of a question; `None`: its answer is not remembered.
    pub(super) fn hash(&self, question: &[u8]) -> Option<Hashed> {
        hmac::sign(self.key.as_ref()?, question).as_ref().try_into().ok()
    }

    /// Returns the answer to a question, if one holds at this time.
    pub(super) fn answer(&self, question: &Hashed, now: Instant) -> Option<Answer> {
        let known = self.known();
        let accepted = known.accepted.answer(question, now);
        accepted.or_else(|| known.refused.answer(question, now))
    }

    /// Remembers an answer that was given at this time, in place of an earlier one.
    pub(super) fn note(&self, question: Hashed, answer: &Answer, now: Instant) {
        let mut known = self.known();
        known.accepted.by_question.remove(&question);
        known.refused.by_question.remove(&question);
        match (answer, self.accepted) {
            (Answer::Accepted(_), None) => {}
            (Answer::Accepted(_), Some(time)) => {
                known.accepted.note(question, answer, now, now + time);
            }
            (Answer::Refused, _) => known.refused.note(question, answer, now, now + REFUSED),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn answer(&self, question: &Hashed, now: Instant) -> Option<Answer> {
        let (until, answer) = self.by_question.get(question)?;
        (now < *until).then(|| answer.clone())
    }

    fn note(&mut self, question: Hashed, answer: &Answer, now: Instant, until: Instant) {
        self.by_question.insert(question, (until, answer.clone()));
        self.order.push_back((until, question));
        while let Some((until, oldest)) = self.order.front()
            && (*until <= now || self.order.len() > MOST)
        {
            // a later answer to the same question stays
            if self.by_question.get(oldest).is_some_and(|(later, _)| later == until) {
                self.by_question.remove(oldest);
            }
            self.order.pop_front();
        }
    }
}

/// Shows nothing of the answers.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_for_their_time_and_the_last_one_counts() {
        let memory = Memory::new(Some(Duration::from_secs(300)));
        let (now, ann) = (Instant::now(), memory.hash(b"ann").unwrap());
        let accepted = Answer::Accepted(vec![("home".to_owned(), "x".to_owned())]);
        let after = |seconds| memory.answer(&ann, now + Duration::from_secs(seconds));
        assert_eq!(after(0), None);
        memory.note(ann, &accepted, now);
        assert_eq!((after(0), after(299)), (Some(accepted.clone()), Some(accepted.clone())));
        assert_eq!(after(300), None);
        memory.note(ann, &Answer::Refused, now);
        assert_eq!((after(29), after(30)), (Some(Answer::Refused), None));
        memory.note(ann, &accepted, now);
        assert_eq!(after(29), Some(accepted.clone()));
        assert_eq!(memory.answer(&memory.hash(b"ben").unwrap(), now), None);
        let forgetful = Memory::new(None);
        assert_ne!(forgetful.hash(b"ann"), memory.hash(b"ann"), "each has a key of its own");
        forgetful.note(ann, &accepted, now);
        assert_eq!(forgetful.answer(&ann, now), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let memory = Memory::new(Some(Duration::from_secs(300)));
        let now = Instant::now();
        let hash = |number: usize| memory.hash(&number.to_le_bytes()).unwrap();
        for number in 0..MOST + 10 {
            memory.note(hash(number), &Answer::Refused, now);
        }
        assert_eq!(memory.known().refused.by_question.len(), MOST);
        assert_eq!(memory.answer(&hash(9), now), None);
        assert_eq!(memory.answer(&hash(10), now), Some(Answer::Refused));
        for at in 0..MOST as u64 + 10 {
            memory.note(hash(MOST), &Answer::Refused, now + Duration::from_nanos(at));
        }
        assert_eq!(memory.answer(&hash(MOST), now), Some(Answer::Refused));
        let known = memory.known();
        assert!(known.refused.order.len() <= MOST && known.refused.by_question.len() <= MOST);
    }
}
