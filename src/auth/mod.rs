//! Who a client is: names and passwords, where logins may come from, and how many sessions a
//! user may have.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use subtle::ConstantTimeEq;

use crate::config::{ANONYMOUS, Config, Password, User};

/// The users of the server, and the sessions each of them has.
#[derive(Debug)]
pub struct Users {
    config: Arc<Config>,
    sessions: Mutex<HashMap<String, usize>>,
}

/// A user that has logged in. The seat is given back on drop.
#[derive(Debug)]
pub struct Account {
    /// The name.
    pub name: String,
    /// What `[user:NAME]` says.
    pub user: Arc<User>,
    /// Until the seat is given back.
    users: Option<Arc<Users>>,
}

/// Why a login failed. The client is not told which of the first three it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// No such user.
    UnknownUser,
    /// The password is another.
    WrongPassword,
    /// The client's certificate is not the user's.
    NoCertificate,
    /// The client's address is not in `allow_from`.
    NotFromHere,
    /// The user has `max_per_user` sessions.
    TooManySessions,
}

impl Users {
    /// The users of a configuration.
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, sessions: Mutex::default() }
    }

    /// Checks a name and a password, and takes a seat.
    ///
    /// # Errors
    ///
    /// When the login is refused.
    pub fn log_in(
        self: &Arc<Self>,
        name: &[u8],
        password: &[u8],
        from: IpAddr,
    ) -> Result<Account, AuthError> {
        let known = std::str::from_utf8(name)
            .ok()
            .and_then(|name| self.config.users.get_key_value(name));
        let Some((name, user)) = known else { return Err(AuthError::UnknownUser) };
        if user.password.as_ref().is_some_and(|right| !same(right, password)) {
            return Err(AuthError::WrongPassword);
        }
        if !user.limits.allows(from) {
            return Err(AuthError::NotFromHere);
        }
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sessions.entry(seat(name, user).to_owned()).or_default();
        if user.limits.max_per_user.is_some_and(|most| *count >= most) {
            return Err(AuthError::TooManySessions);
        }
        *count += 1;
        Ok(Account {
            name: name.clone(),
            user: Arc::clone(user),
            users: Some(Arc::clone(self)),
        })
    }

    /// Whether this name logs in without a password of its own.
    pub fn is_anonymous(&self, name: &[u8]) -> bool {
        self.config.server.enable_anonymous
            && ANONYMOUS.iter().any(|anonymous| anonymous.as_bytes() == name)
    }
}

/// The name under which a session is counted: all anonymous names are one user.
fn seat<'a>(name: &'a str, user: &User) -> &'a str {
    if user.password.is_none() { "anonymous" } else { name }
}

/// In a time that tells nothing about where the two differ.
fn same(right: &Password, given: &[u8]) -> bool {
    right.expose().ct_eq(given).into()
}

impl Account {
    /// Whether it logged in without a password of its own.
    pub fn is_anonymous(&self) -> bool {
        self.user.password.is_none()
    }

    /// Gives the seat back.
    pub fn leave(&mut self) {
        let Some(users) = self.users.take() else { return };
        let mut sessions = users.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let seat = seat(&self.name, &self.user);
        if let Some(count) = sessions.get_mut(seat) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(seat);
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
            Self::WrongPassword => "wrong password",
            Self::NoCertificate => "not the certificate of tls_client",
            Self::NotFromHere => "address is not in allow_from",
            Self::TooManySessions => "max_per_user sessions are open",
        })
    }
}
