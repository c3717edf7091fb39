//! Logins: names and passwords, the addresses that may log in, the number of sessions of each user,
//! and the time of the last login.

mod hash;
mod last;
mod workers;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;

use crate::config::{Config, Hash, Password, User};

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

/// Why a login failed. The client is not told which of the first six variants it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// The user does not exist.
    UnknownUser,
    /// The user exists, but has `enabled = off`.
    Disabled,
    /// The last day on which the user may log in (`expires`) has passed.
    Expired,
    /// The password is wrong.
    WrongPassword,
    /// The client did not present the certificate of `tls_client`.
    NoCertificate,
    /// The client's address is not in `allow_from`.
    NotFromHere,
    /// The user has `max_per_user` sessions already.
    TooManySessions,
    /// The password was not checked in time, because too many logins wait for a check.
    Busy,
}

impl Users {
    /// Makes the users of a configuration.
    pub fn new(config: Arc<Config>) -> Self {
        let passwords = Arc::new(Passwords::new(config.password_workers()));
        let decoys = Decoys::of(&config);
        Self { config, seats: Arc::default(), passwords, decoys }
    }

    /// Returns the queue of password checks, which is kept when the settings are reloaded.
    pub fn passwords(&self) -> Arc<Passwords> {
        Arc::clone(&self.passwords)
    }

    /// Makes the users of new settings. Open sessions are still counted.
    #[must_use]
    pub fn renewed(&self, config: Arc<Config>) -> Self {
        let decoys = Decoys::of(&config);
        let (seats, passwords) = (Arc::clone(&self.seats), Arc::clone(&self.passwords));
        Self { config, seats, passwords, decoys }
    }

    /// Applies these settings to what is running: the number of passwords that are checked at once.
    pub fn take_effect(&self) {
        self.passwords.set(self.config.password_workers());
    }

    /// Checks a name and a password, and counts the new session.
    ///
    /// # Errors
    ///
    /// When the login is refused.
    pub fn log_in(
        &self,
        name: &[u8],
        password: &[u8],
        from: IpAddr,
        patience: &Patience<'_>,
    ) -> Result<Account, AuthError> {
        let Some((name, user)) = self.config.user(name) else {
            self.pretend(name, password, patience)?;
            return Err(AuthError::UnknownUser);
        };
        if !user.is_active() {
            // takes as long as for an unknown name
            self.pretend(name.as_bytes(), password, patience)?;
            let why = if user.enabled { AuthError::Expired } else { AuthError::Disabled };
            return Err(why);
        }
        if let Some(right) = &user.password
            && !self.is_right(right, name, password, patience)?
        {
            return Err(AuthError::WrongPassword);
        }
        if !user.rules.limits.allows(from) {
            return Err(AuthError::NotFromHere);
        }
        let mut seats = lock(&self.seats);
        let sessions = seats.entry(seat_name(name, user).to_owned()).or_default();
        if user.rules.limits.max_per_user.is_some_and(|most| *sessions >= most) {
            return Err(AuthError::TooManySessions);
        }
        *sessions += 1;
        let seats = Some(Arc::clone(&self.seats));
        Ok(Account { name: name.to_owned(), user: Arc::clone(user), seats })
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
            Self::UnknownUser => "no such user",
            Self::Disabled => "the user is disabled (enabled = off)",
            Self::Expired => "the user's last day has passed (expires)",
            Self::WrongPassword => "wrong password",
            Self::NoCertificate => "no client certificate that matches tls_client",
            Self::NotFromHere => "address is not in allow_from",
            Self::TooManySessions => "the user has max_per_user sessions already",
            Self::Busy => "too many logins are waiting for a password check",
        })
    }
}
