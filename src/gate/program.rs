//! Asks a program about an upload. It is given the path of the file as its last argument, and says by its
//! exit status whether the upload is accepted.

use std::ffi::OsString;
use std::time::Instant;

use super::question::{Kept, Question, Verdict, line_of};
use crate::config::Program;
use crate::events::Asked;
use crate::launch::Launcher;

/// Exit status of a program that refuses an upload.
const REFUSED: i32 = 1;

/// Number of bytes of the output that are read for the reason of a refusal.
const LONGEST: usize = 4096;

/// Asks the program.
pub(super) fn ask(
    program: &Program,
    question: &Question<'_>,
    until: Instant,
    launcher: &Launcher,
    is_over: &dyn Fn() -> bool,
) -> Verdict {
    let (key, ids, input) = ("before_publish", question.ids, Vec::new());
    let environment = environment(question);
    let (longest, cuts) = (LONGEST, true);
    let asked = Asked { key, program, environment, ids, input, longest, cuts, until };
    let unanswered =
        |why: String| Verdict::Unanswered(format!("{key} {}: {why}", program.path.display()));
    match asked.run(launcher, is_over) {
        Ok((status, said)) if status.code() == Some(REFUSED) => {
            Verdict::Refused(line_of(&said), Kept::No)
        }
        Ok((status, _)) if status.success() => Verdict::Accepted,
        Ok((status, _)) => unanswered(format!("ended with {status}")),
        Err(why) => unanswered(why),
    }
}

/// Returns the environment of the program: that of an event, except for the result, and the path of the file
/// to judge.
fn environment(question: &Question<'_>) -> Vec<(&'static str, OsString)> {
    let all = question.event.environment().into_iter();
    let mut all: Vec<_> = all.filter(|(name, _)| *name != "FTPD_RESULT").collect();
    for (name, value) in &mut all {
        if *name == "FTPD_EVENT" {
            *value = "before_publish".into();
        }
    }
    all.push(("FTPD_PART", question.part.into()));
    all
}
