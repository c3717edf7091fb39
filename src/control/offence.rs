//! What counts against the address that a client comes from, and who decides what comes of it.

use std::fmt::{self, Debug};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use crate::config::BanRules;
use crate::log::Event;

/// Something that clients seldom do by mistake, and attackers do all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A login that failed.
    Login,
    /// A request of HTTP.
    Http,
    /// Bytes that are no command of FTP: another protocol, or clear text behind AUTH.
    Noise,
    /// A TLS handshake that is none.
    Tls,
    /// A line without an end.
    Endless,
    /// More refused commands than a stranger may have.
    Refused,
}

/// A name and a password that were tried together: enough to see that they are tried again, and
/// nothing that the password could be got back from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess(u64);

impl Guess {
    /// `key` is the process's own and random.
    pub fn of(key: &RandomState, name: &[u8], password: &[u8]) -> Self {
        // as a pair, so that where one ends and the other begins makes a difference
        Self(key.hash_one((name, password)))
    }
}

/// Decides what comes of an offence.
pub trait Guard: Debug + Send + Sync {
    /// A client has done this, under these rules; `guess` is what a login failed with.
    fn offended(&self, peer: SocketAddr, how: Offence, guess: Option<Guess>, rules: &BanRules);

    /// A session has ended in which nobody has logged in, and so many commands were refused that
    /// were not offences yet.
    fn refused(&self, peer: SocketAddr, commands: usize, rules: &BanRules);

    /// Whether a line about a client that nobody has logged in from may be written to the log.
    fn lets_write(&self, peer: SocketAddr, event: &Event<'_>) -> bool;
}

/// For people.
impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "a failed login",
            Self::Http => "a request of HTTP",
            Self::Noise => "bytes that are not FTP",
            Self::Tls => "bytes that are not TLS",
            Self::Endless => "a line without an end",
            Self::Refused => "too many refused commands",
        })
    }
}
