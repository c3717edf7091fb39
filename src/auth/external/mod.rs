//! Asks a program or a URL about users that the settings do not have.
//!
//! The session's own thread asks, and waits for no longer than `auth_timeout`. What is decided here is
//! who may log in; what such a user may do is read from the answer by the settings, which bound it.

mod answer;
mod memory;
mod question;
mod turns;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::workers::Patience;
use crate::config::{AuthProtocol, Elsewhere, Program, may_be_user};
use crate::events::Asked;
use crate::http::{Client, Response};
use crate::launch::Launcher;
use crate::log::escaped;
use answer::{Answer, of_extauth, of_json};
use memory::Memory;
use turns::Turns;

/// Maximum length of an answer in bytes.
const LONGEST: usize = 64 << 10;

/// Number of recent refusals whose duration is known.
const RECENT: usize = 32;

/// Asks about logins, and remembers the answers until the settings are reloaded.
#[derive(Debug)]
pub(super) struct External {
    settings: Elsewhere,
    source: Source,
    memory: Memory,
    kept: Kept,
}

/// The state that a reload of the settings keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    turns: Arc<Turns>,
    /// How long the last refusals took.
    took: Arc<Mutex<VecDeque<Duration>>>,
}

/// The program or URL that is asked.
#[derive(Debug)]
enum Source {
    Program(Arc<Program>),
    /// A URL, and the same as text.
    Url(Client, String),
}

/// The result of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    /// The login is accepted, and this is made of the keys of the settings in the answer.
    Accepted(T),
    /// The login is refused. `fresh`: this was asked just now, and not remembered or known without asking.
    Refused { fresh: bool },
    /// There is no answer, for this reason.
    Outage(String),
}

impl External {
    /// Returns what asks as these settings say, if they do.
    ///
    /// # Errors
    ///
    /// When `ca_file` has no authorities; the text is for the administrator.
    pub(super) fn of(settings: &Elsewhere, kept: &Kept) -> Result<Option<Self>, String> {
        let source = match (&settings.program, &settings.url) {
            (Some(program), _) => Source::Program(Arc::clone(program)),
            (None, Some(url)) => {
                Source::Url(Client::new(url, settings.ca_file.as_deref())?, url.to_string())
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Self {
            settings: settings.clone(),
            source,
            memory: Memory::new(settings.cache),
            kept: kept.clone(),
        }))
    }

    /// Asks about a login, which began at this time. `judge` reads the keys of an answer that accepts it;
    /// an answer for which that fails is not remembered.
    pub(super) fn ask<T, E>(
        &self,
        (attempt, began): (&Attempt<'_>, Instant),
        patience: &Patience<'_>,
        launcher: &Launcher,
        judge: impl Fn(&[(String, String)]) -> Result<T, E>,
    ) -> Verdict<Result<T, E>> {
        let name = std::str::from_utf8(attempt.name).ok().filter(|name| may_be_user(name));
        let is_extauth = self.settings.protocol == AuthProtocol::Extauth;
        // a directory service takes a login without a password for one that needs none; and a variable
        // of the environment ends at a NUL
        let is_odd = attempt.password.is_empty() || is_extauth && attempt.password.contains(&0);
        let Some(name) = name.filter(|_| !is_odd) else {
            return Verdict::Refused { fresh: false };
        };
        let question = question::json(name, attempt);
        let hash = self.memory.hash(&question);
        let known = || self.memory.answer(hash.as_ref()?, Instant::now());
        let verdict = |answer: &Answer, fresh| match answer {
            Answer::Accepted(keys) => Verdict::Accepted(judge(keys)),
            Answer::Refused => Verdict::Refused { fresh },
        };
        if let Some(answer) = known() {
            return verdict(&answer, false);
        }
        let until = patience.until.min(Instant::now() + self.settings.timeout);
        let Some(_turn) = self.kept.turns.take(self.settings.workers, until, patience.is_over)
        else {
            return Verdict::Outage(
                "too many logins wait for an answer (auth_workers)".to_owned(),
            );
        };
        // the same may have been asked in the meantime
        if let Some(answer) = known() {
            return verdict(&answer, false);
        }
        let patience = Patience { until, is_over: patience.is_over };
        match self.answer(name, attempt, question, &patience, launcher) {
            Ok(answer) => {
                let verdict = verdict(&answer, true);
                let is_good = !matches!(verdict, Verdict::Accepted(Err(_)));
                if let Some(hash) = hash.filter(|_| is_good) {
                    self.memory.note(hash, &answer, Instant::now());
                }
                if answer == Answer::Refused {
                    self.note(began.elapsed());
                }
                verdict
            }
            Err(why) => Verdict::Outage(why),
        }
    }

    /// Asks the program or the URL, and reads the answer.
    fn answer(
        &self,
        name: &str,
        attempt: &Attempt<'_>,
        question: Vec<u8>,
        patience: &Patience<'_>,
        launcher: &Launcher,
    ) -> Result<Answer, String> {
        let (key, longest, until) = (self.key(), LONGEST, patience.until);
        let program = match &self.source {
            Source::Program(program) => program,
            Source::Url(client, url) => {
                let response = client.post(&question, longest, until, patience.is_over);
                let answer =
                    response.map_err(|why| why.to_string()).and_then(|it| of_response(&it));
                return answer
                    .map_err(|why| format!("{key} {}: {why}", escaped(url.as_bytes())));
            }
        };
        let is_extauth = self.settings.protocol == AuthProtocol::Extauth;
        let (environment, input) = if is_extauth {
            (question::variables(name, attempt), Vec::new())
        } else {
            (Vec::new(), question)
        };
        let (ids, cuts) = (None, false);
        let asked = Asked { key, program, environment, ids, input, longest, cuts, until };
        let read = |text: Vec<u8>| if is_extauth { of_extauth(&text) } else { of_json(&text) };
        let answer = asked.ask(launcher, patience.is_over).and_then(read);
        answer.map_err(|why| format!("{key} {}: {why}", crate::log::path(&program.path)))
    }

    /// Returns the key that names what is asked.
    pub(super) fn key(&self) -> &'static str {
        match self.source {
            Source::Program(_) => "auth_program",
            Source::Url(..) => "auth_url",
        }
    }

    /// Notes how long a refusal took, from the beginning of the login.
    fn note(&self, took: Duration) {
        let mut all = self.took();
        if all.len() >= RECENT {
            all.pop_front();
        }
        all.push_back(took);
    }

    /// Returns how long one of the last refusals took, chosen by chance. Whoever is refused without being
    /// asked about waits as long, so that the time does not tell whether the settings have a name.
    pub(super) fn usual_time(&self) -> Duration {
        let all = self.took();
        let count = u64::try_from(all.len()).unwrap_or_default().max(1);
        let chance = RandomState::new().build_hasher().finish();
        let at = usize::try_from(chance % count).unwrap_or_default();
        all.get(at).copied().unwrap_or_default()
    }

    fn took(&self) -> MutexGuard<'_, VecDeque<Duration>> {
        self.kept.took.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the answer of a URL.
fn of_response(response: &Response) -> Result<Answer, String> {
    match response.status {
        200 => of_json(&response.body),
        401 | 403 => Ok(Answer::Refused),
        status @ 300..=399 => Err(format!("status {status}, and redirects are not followed")),
        status => Err(format!("status {status}")),
    }
}
