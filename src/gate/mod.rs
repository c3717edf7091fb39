//! The gate: judges the whole file of an upload before it is put in place.
//!
//! A virus scanner, a program or both judge. The session's own thread asks them, and waits for no
//! longer than `gate_timeout`, its turn included. A refused file is moved to the quarantine,
//! if there is one. Only this room writes there and speaks with scanners; it puts nothing in
//! place, and chooses no reply.

mod clamd;
mod program;
mod quarantine;
mod question;
mod scan;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::launch::Launcher;
use crate::rights;
use turns::Turns;

pub use question::{Kept, Question, Rename, Verdict};

/// The gate of a server.
#[derive(Debug)]
pub struct Gate {
    launcher: Arc<Launcher>,
    turns: Turns,
    tally: [AtomicU64; 3],
}

/// How many uploads were judged, by result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Those that were accepted.
    pub accepted: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those that were not judged: there was no answer in time, or none that decides.
    pub unanswered: u64,
}

impl Gate {
    /// Returns a gate that starts programs by this launcher.
    pub fn new(launcher: Arc<Launcher>) -> Self {
        Self { launcher, turns: Turns::default(), tally: Default::default() }
    }

    /// Has an upload judged, and moves what is refused to the quarantine. `is_over` is called often, and
    /// says whether nobody waits for the verdict any more.
    pub fn judge(&self, question: &Question<'_>, is_over: &dyn Fn() -> bool) -> Verdict {
        let limits = &question.config.server.gate;
        let until = Instant::now() + limits.timeout;
        let verdict =
            match self.turns.take(question.owner.name(), limits.workers, until, is_over) {
                Some(_turn) => self.decide(question, until, is_over),
                None => Verdict::Unanswered("too many uploads wait to be judged".to_owned()),
            };
        let at = match verdict {
            Verdict::Accepted => 0,
            Verdict::Refused(..) => 1,
            Verdict::Unanswered(_) if is_over() => return Verdict::Over,
            Verdict::Unanswered(_) => 2,
            Verdict::Over => return Verdict::Over,
        };
        if let Some(count) = self.tally.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    /// Asks, and moves what is refused to the quarantine.
    fn decide(
        &self,
        question: &Question<'_>,
        until: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> Verdict {
        let verdict = self.ask(question, until, is_over);
        if let Verdict::Refused(why, _) = verdict {
            return Verdict::Refused(why, keep_aside(question, until, is_over));
        }
        verdict
    }

    /// Asks the scanner, and then the program, which the file must both pass.
    fn ask(
        &self,
        question: &Question<'_>,
        until: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> Verdict {
        if let Some(scanner) = &question.rules.scan {
            // the socket of the scanner may be closed to the system user that the session acts as
            let work = || scan::scan(scanner, question.file, until, is_over);
            let verdict = rights::as_server(work)
                .unwrap_or_else(|why| Verdict::Unanswered(format!("scan {scanner}: {why}")));
            if verdict != Verdict::Accepted {
                return verdict;
            }
        }
        match &question.rules.program {
            Some(program) => program::ask(program, question, until, &self.launcher, is_over),
            None => Verdict::Accepted,
        }
    }

    /// Returns how many uploads were judged.
    pub fn numbers(&self) -> Numbers {
        let [accepted, refused, unanswered] =
            self.tally.each_ref().map(|count| count.load(Ordering::Relaxed));
        Numbers { accepted, refused, unanswered }
    }
}

/// Moves a refused file to the quarantine, if there is one, under a name that tells when, by whom and as what
/// it was uploaded.
fn keep_aside(question: &Question<'_>, until: Instant, is_over: &dyn Fn() -> bool) -> Kept {
    let Some(folder) = &question.rules.quarantine else { return Kept::No };
    let keep = || quarantine::keep(folder, question, until, is_over);
    match rights::as_server(keep).and_then(|kept| kept) {
        Ok(path) => Kept::At(path),
        Err(why) => Kept::Failed(why.to_string()),
    }
}
