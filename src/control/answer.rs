//! The result of carrying out a line: the reply, and what the session does after it.

use super::reply::Reply;
use crate::tls::SessionTls;

/// The final reply to a line, and what follows it.
#[derive(Debug)]
pub(super) enum Answer {
    /// The session sends the reply and goes on.
    GoOn(Reply),
    /// A user has logged in. The log and the hook programs are told before the reply is sent.
    LoggedIn(Reply),
    /// The session sends the reply in clear text, and then TLS begins.
    StartTls(Reply, SessionTls),
    /// The session sends the reply and ends. The log gets the reason.
    End(Reply, &'static str),
}
