//! The connections that a session looks after while it waits for a command.

use std::time::{Duration, Instant};

use crate::data::{Lingering, Passive};
use crate::log::Who;
use crate::tls::{Awaited, SessionTls};

/// The connections that a session looks after while it waits for a command.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    /// The passive port, or the connection that the client has made to it.
    pub(super) passive: Option<&'a mut Passive>,
    /// The TLS settings, while data connections are protected.
    pub(super) tls: Option<&'a SessionTls>,
    /// Data connections whose client has not closed its end yet.
    pub(super) lingering: &'a mut Vec<Lingering>,
    /// Whose session it is, for the log.
    pub(super) who: Who<'a>,
}

impl Aside<'_> {
    /// Closes the passive port if its time is up, and each lingering data connection whose
    /// client has closed its end.
    pub(super) fn expire(&mut self) {
        if let Some(passive) = &mut self.passive {
            passive.expire(self.who);
        }
        self.lingering.retain(|lingering| !lingering.is_over());
    }

    /// Returns whether there is nothing to wait for besides a command.
    pub(super) fn is_empty(&self) -> bool {
        self.lingering.is_empty() && self.door().is_none()
    }

    /// Returns whether a client that connects to the passive port may wait a moment before it
    /// is accepted: without TLS, it needs nothing from the server before its command.
    pub(super) fn is_patient(&self) -> bool {
        self.tls.is_none() && self.lingering.is_empty()
    }

    /// Returns what to wait for on the passive port.
    pub(super) fn door(&self) -> Option<Awaited<'_>> {
        self.passive.as_ref().and_then(|passive| passive.door(self.tls))
    }

    /// Returns what to wait for on the lingering data connections, of which there are two at
    /// most.
    pub(super) fn lingerers(&self) -> [Option<Awaited<'_>>; 2] {
        let mut all = self.lingering.iter().map(Lingering::awaited);
        [all.next(), all.next()]
    }

    /// Returns how long to wait: for `left`, or less if a connection must be closed before
    /// that.
    pub(super) fn soonest(&self, left: Option<Duration>) -> Option<Duration> {
        let passive = self.passive.as_ref().and_then(|passive| passive.until());
        let ends = self.lingering.iter().map(Lingering::until).chain(passive);
        let next = ends.min().map(|end| end.saturating_duration_since(Instant::now()));
        next.into_iter().chain(left).min()
    }

    /// Serves the passive port, after something has happened on it.
    pub(super) fn attend(&mut self) {
        if let Some(passive) = &mut self.passive {
            passive.attend(self.tls, self.who);
        }
    }
}
