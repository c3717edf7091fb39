//! Logins: names and passwords, the addresses that may log in, the number of sessions of each user,
//! and the time of the last login.

mod attempt;
mod external;
mod hash;
mod last;
mod workers;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use crate::config::{Config, Hash, Password, User};
use crate::launch::Launcher;
use crate::log::escaped;
use external::{External, Kept, Verdict};

pub use attempt::Attempt;
pub use hash::make as hash_of;
pub use last::{LOGINS, LastTime, LastTimes, UPLOADS, last_times};
pub use workers::{Passwords, Patience};

/// The users of the server, and how many sessions each of them has.
#[derive(Debug)]
pub struct Users {
    config: Arc<Config>,
    seats: Arc<Seats>,
    passwords: Arc<Passwords>,
    decoys: Decoys,
    /// Asks about users that the settings do not have.
    external: Option<External>,
    kept: Kept,
}

/// Hashes against which a password is checked if the user does not exist, so that the time until
/// the answer does not reveal this.
#[derive(Debug)]
struct Decoys {
    hashes: Vec<Hash>,
    pick: RandomState,
}

/// The number of sessions of each user that has any. The map is kept when the settings are reloaded.
type Seats = Mutex<HashMap<String, usize>>;

/// A user who has logged in. The session is counted until the account is dropped.
#[derive(Debug)]
pub struct Account {
    /// The name of the user, as the settings spell it.
    pub name: String,
    /// The settings of the user.
    pub user: Arc<User>,
    /// The map in which the session is counted; `None` once it is no longer counted.
    seats: Option<Arc<Seats>>,
}

/// Why a login failed. The client is not told which of the variants before `TooManySessions` it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    /// The user does not exist.
    UnknownUser,
    /// The user exists, but has `enabled = off`.
    Disabled,
    /// The last day on which the user may log in (`expires`) has passed.
    Expired,
    /// The password is wrong.
    WrongPassword,
    /// The settings do not have the user, and what was asked about the user refuses the login.
    RefusedElsewhere {
        /// The key of the settings that names what was asked.
        by: &'static str,
        /// Whether it was asked just now.
        fresh: bool,
    },
    /// The client did not present the certificate of `tls_client`.
    NoCertificate,
    /// The client's address is not in `allow_from`.
    NotFromHere,
    /// The user has `max_per_user` sessions already.
    TooManySessions,
    /// The password was not checked in time, because too many logins wait for a check.
    Busy,
    /// The settings do not have the user, and no answer about the user could be had, for this reason.
    Outage(String),
}

/// Checks what the key table cannot: the authorities that an https URL needs.
///
/// # Errors
///
/// When there are none; the text begins with the name of the key.
pub fn check(config: &Config) -> Result<(), String> {
    External::of(&config.server.elsewhere, &Kept::default()).map(drop)
}

impl Users {
    /// Makes the users of a configuration.
    ///
    /// # Errors
    ///
    /// When `ca_file` is needed and has no authorities; the text is for the administrator.
    pub fn new(config: Arc<Config>) -> Result<Self, String> {
        let passwords = Arc::new(Passwords::new(config.password_workers()));
        let (decoys, kept) = (Decoys::of(&config), Kept::default());
        let external = External::of(&config.server.elsewhere, &kept)?;
        Ok(Self { config, seats: Arc::default(), passwords, decoys, external, kept })
    }

    /// Returns the queue of password checks, which is kept when the settings are reloaded.
    pub fn passwords(&self) -> Arc<Passwords> {
        Arc::clone(&self.passwords)
    }

    /// Makes the users of new settings. Open sessions are still counted; what was asked elsewhere is asked
    /// again.
    ///
    /// # Errors
    ///
    /// As for [`Users::new`].
    pub fn renewed(&self, config: Arc<Config>) -> Result<Self, String> {
        let (decoys, kept) = (Decoys::of(&config), self.kept.clone());
        let external = External::of(&config.server.elsewhere, &kept)?;
        let (seats, passwords) = (Arc::clone(&self.seats), Arc::clone(&self.passwords));
        Ok(Self { config, seats, passwords, decoys, external, kept })
    }

    /// Applies these settings to what is running: the number of passwords that are checked at once.
    pub fn take_effect(&self) {
        self.passwords.set(self.config.password_workers());
    }

    /// Checks a name and a password, and counts the new session. `launcher` starts the program that is
    /// asked about users that the settings do not have.
    ///
    /// # Errors
    ///
    /// When the login is refused.
    pub fn log_in(
        &self,
        attempt: &Attempt<'_>,
        patience: &Patience<'_>,
        launcher: &Launcher,
    ) -> Result<Account, AuthError> {
        let (name, user) = match self.config.user(attempt.name) {
            Some((name, user)) => {
                self.check(name, user, attempt, patience)?;
                (name.to_owned(), Arc::clone(user))
            }
            None => self.elsewhere(attempt, patience, launcher)?,
        };
        if !user.rules.limits.allows(attempt.from) {
            return Err(AuthError::NotFromHere);
        }
        let mut seats = lock(&self.seats);
        let sessions = seats.entry(seat_name(&name, &user).to_owned()).or_default();
        if user.rules.limits.max_per_user.is_some_and(|most| *sessions >= most) {
            return Err(AuthError::TooManySessions);
        }
        *sessions += 1;
        let seats = Some(Arc::clone(&self.seats));
        Ok(Account { name, user, seats })
    }

    /// Checks the password of a user of the settings.
    fn check(
        &self,
        name: &str,
        user: &User,
        attempt: &Attempt<'_>,
        patience: &Patience<'_>,
    ) -> Result<(), AuthError> {
        if !user.is_active() {
            // takes as long as for an unknown name
            self.pretend(name.as_bytes(), attempt.password, patience)?;
            let why = if user.enabled { AuthError::Expired } else { AuthError::Disabled };
            return Err(why);
        }
        match &user.password {
            Some(right) if !self.is_right(right, name, attempt.password, patience)? => {
                Err(AuthError::WrongPassword)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Asks about a user that the settings do not have, if they name a program for this.
    fn elsewhere(
        &self,
        attempt: &Attempt<'_>,
        patience: &Patience<'_>,
        launcher: &Launcher,
    ) -> Result<(String, Arc<User>), AuthError> {
        let began = Instant::now();
        // takes as long as for a known name
        self.pretend(attempt.name, attempt.password, patience)?;
        let Some(external) = &self.external else { return Err(AuthError::UnknownUser) };
        if !self.config.rules.limits.allows(attempt.from) {
            return Err(AuthError::NotFromHere);
        }
        let name = String::from_utf8_lossy(attempt.name).into_owned();
        let judge = |answer: &[(String, String)]| self.answered(&name, answer);
        match external.ask((attempt, began), patience, launcher, judge) {
            Verdict::Accepted(user) => user.map(|user| (name, Arc::new(user))),
            Verdict::Refused { fresh } => {
                Err(AuthError::RefusedElsewhere { by: external.key(), fresh })
            }
            Verdict::Outage(why) => Err(AuthError::Outage(why)),
        }
    }

    /// Makes the user of an answer, if this user may log in.
    fn answered(&self, name: &str, answer: &[(String, String)]) -> Result<User, AuthError> {
        let (user, remarks) = self.config.user_from_answer(name, answer).map_err(|faults| {
            AuthError::Outage(format!("bad answer: {}", faults.join("; ")))
        })?;
        for remark in remarks {
            log::debug!("answer about {}: {remark}", escaped(name.as_bytes()));
        }
        if !user.enabled {
            return Err(AuthError::Disabled);
        }
        if !user.is_active() {
            return Err(AuthError::Expired);
        }
        Ok(user)
    }

    /// Returns how long a login that was refused for this reason must have taken at least, so that the
    /// time does not tell whether the settings have the user.
    pub fn usual_time(&self, why: &AuthError) -> Duration {
        let is_fresh = matches!(why, AuthError::RefusedElsewhere { fresh: true, .. });
        let external = self.external.as_ref().filter(|_| !is_fresh);
        external.map_or(Duration::ZERO, External::usual_time)
    }

    fn is_right(
        &self,
        right: &Password,
        name: &str,
        given: &[u8],
        patience: &Patience<'_>,
    ) -> Result<bool, AuthError> {
        match right {
            Password::Hash(hash) => {
                self.passwords.check(hash, given, patience).ok_or(AuthError::Busy)
            }
            Password::Clear(right) if same(right.as_bytes(), given) => Ok(true),
            Password::Clear(_) => {
                self.pretend(name.as_bytes(), given, patience).map(|()| false)
            }
            // no user of the settings has this
            Password::Elsewhere => Ok(false),
        }
    }

    /// Checks the password against the hash of some user, if any user has a hash, and discards
    /// the result. The time until the answer then does not reveal whether the user exists.
    fn pretend(
        &self,
        name: &[u8],
        given: &[u8],
        patience: &Patience<'_>,
    ) -> Result<(), AuthError> {
        let Some(decoy) = self.decoys.of_name(name) else { return Ok(()) };
        self.passwords.check(decoy, given, patience).map(drop).ok_or(AuthError::Busy)
    }

    /// Returns whether this is the name of an anonymous user who may log in.
    pub fn is_anonymous(&self, name: &[u8]) -> bool {
        self.config.active(name).is_some_and(|user| user.password.is_none())
    }
}

/// Returns the name under which a session is counted: all anonymous names count as one user.
fn seat_name<'a>(name: &'a str, user: &User) -> &'a str {
    if user.password.is_none() { "anonymous" } else { name }
}

fn lock(seats: &Seats) -> MutexGuard<'_, HashMap<String, usize>> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Decoys {
    fn of(config: &Config) -> Self {
        Self { hashes: config.hashes().cloned().collect(), pick: RandomState::new() }
    }

    /// Returns the hash of one of the users for an unknown name, so that the check takes as long as
    /// a real one. A name always gets the same hash.
    fn of_name(&self, name: &[u8]) -> Option<&Hash> {
        let count = u64::try_from(self.hashes.len()).ok().filter(|&count| count > 0)?;
        let at = usize::try_from(self.pick.hash_one(name) % count).ok()?;
        self.hashes.get(at)
    }
}

/// Compares two passwords in a time that does not depend on where they differ.
fn same(right: &[u8], given: &[u8]) -> bool {
    right.ct_eq(given).into()
}

impl Account {
    /// Returns whether the user is an anonymous one.
    pub fn is_anonymous(&self) -> bool {
        self.user.password.is_none()
    }

    /// Returns the name under which the session is counted: all anonymous names count as one user.
    pub fn counted_as(&self) -> &str {
        seat_name(&self.name, &self.user)
    }

    /// Stops counting the session; a second call does nothing.
    pub fn leave(&mut self) {
        let Some(seats) = self.seats.take() else { return };
        let mut seats = lock(&seats);
        let name = self.counted_as();
        if let Some(sessions) = seats.get_mut(name) {
            *sessions -= 1;
            if *sessions == 0 {
                seats.remove(name);
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RefusedElsewhere { by, .. } => return write!(f, "refused by {by}"),
            Self::UnknownUser => "no such user",
            Self::Disabled => "the user is disabled (enabled = off)",
            Self::Expired => "the user's last day has passed (expires)",
            Self::WrongPassword => "wrong password",
            Self::NoCertificate => "no client certificate that matches tls_client",
            Self::NotFromHere => "address is not in allow_from",
            Self::TooManySessions => "the user has max_per_user sessions already",
            Self::Busy => "too many logins are waiting for a password check",
            Self::Outage(why) => why,
        })
    }
}
