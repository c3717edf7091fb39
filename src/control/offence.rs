//! Offences, which count towards a ban of the client's address, and the interface to the
//! guard, which decides on bans.

use std::fmt::{self, Debug};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use crate::config::BanRules;
use crate::log::Event;

/// Something that clients seldom do by mistake, and attackers often do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A failed login.
    Login,
    /// An HTTP request.
    Http,
    /// Bytes that are no FTP command: another protocol, or clear text sent after AUTH.
    Noise,
    /// Bytes other than a TLS handshake where one was expected.
    Tls,
    /// A line without an end.
    Endless,
    /// Too many refused commands before a login.
    Refused,
}

/// A hash of a name and a password that were tried together. It is enough to see that they are
/// tried again, and does not reveal the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess(u64);

impl Guess {
    /// Hashes a name and a password with a key that is random for each process.
    pub fn of(key: &RandomState, name: &[u8], password: &[u8]) -> Self {
        // hashed as a pair, so that the boundary between the two matters
        Self(key.hash_one((name, password)))
    }
}

/// Decides on bans, and on what strangers may write to the log. It also learns when there is work
/// to do outside of sessions.
pub trait Guard: Send + Sync {
    /// Reports an offence of a client; `rules` decide whether it leads to a ban. `guess` is
    /// the name and password of a failed login.
    fn offended(&self, peer: SocketAddr, how: Offence, guess: Option<Guess>, rules: &BanRules);

    /// Reports the end of a session without a login, with the number of its refused commands
    /// that count but were no offences by themselves.
    fn refused(&self, peer: SocketAddr, commands: usize, rules: &BanRules);

    /// Returns whether an event of a client that is not logged in may be logged.
    fn lets_write(&self, peer: SocketAddr, event: &Event<'_>) -> bool;

    /// Reports that a user has logged in or that a transfer begins, which makes work for threads
    /// that sleep while there is none.
    fn stir(&self);
}

/// Names the type alone. Formatting the fields would link the code that formats all of the server's
/// tables.
impl fmt::Debug for dyn Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// The text for messages.
impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "a failed login",
            Self::Http => "an HTTP request",
            Self::Noise => "bytes that are not FTP",
            Self::Tls => "bytes that are not TLS",
            Self::Endless => "a line without an end",
            Self::Refused => "too many refused commands",
        })
    }
}
