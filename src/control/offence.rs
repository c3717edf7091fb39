//! What counts against the address that a client comes from, and who is told of it.

use std::fmt::{self, Debug};
use std::net::SocketAddr;

use super::Session;
use crate::config::Server;

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

/// Decides what comes of an offence.
pub trait Guard: Debug + Send + Sync {
    /// A client has done this, under these rules.
    fn offended(&self, peer: SocketAddr, how: Offence, rules: &Server);
}

impl Session {
    /// Tells the guard. Each login counts; of all else one thing for each connection, for what is
    /// another protocol comes as many lines.
    pub(super) fn blame(&mut self, how: Offence) {
        if how != Offence::Login && std::mem::replace(&mut self.blamed, true) {
            return;
        }
        self.shared.counters.offences.count(how);
        let settings = self.shared.settings();
        self.shared.guard.offended(self.peer, how, &settings.config.server);
    }
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
