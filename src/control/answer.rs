//! What a session does when it has carried out a line.

use super::reply::Reply;
use crate::tls::SessionTls;

/// The final reply to a line, and what follows it.
#[derive(Debug)]
pub(super) enum Answer {
    /// The reply is sent, and the session goes on.
    GoOn(Reply),
    /// Somebody has logged in. The log and the programs are told before the reply is sent.
    LoggedIn(Reply),
    /// The reply is sent, and TLS begins.
    StartTls(Reply, SessionTls),
    /// The session ends with this reply, for a reason that the log has.
    End(Reply, &'static str),
}
