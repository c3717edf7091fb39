//! What a session attends to while it waits for a command.

use std::time::{Duration, Instant};

use crate::data::{Lingering, Passive};
use crate::log::Who;
use crate::tls::{Awaited, SessionTls};

/// What is attended to while no command comes.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    /// A passive port, and the client that comes to it.
    pub(super) passive: Option<&'a mut Passive>,
    /// Set while data connections are protected.
    pub(super) tls: Option<&'a SessionTls>,
    /// Data connections of which the client has not closed its end yet.
    pub(super) lingering: &'a mut Vec<Lingering>,
    /// For the log.
    pub(super) who: Who<'a>,
}

impl Aside<'_> {
    /// Closes what has had its time, and data connections whose client has closed its end.
    pub(super) fn expire(&mut self) {
        if let Some(passive) = &mut self.passive {
            passive.expire(self.who);
        }
        self.lingering.retain(|lingering| !lingering.is_over());
    }

    /// Whether nothing but a command is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.lingering.is_empty() && self.door().is_none()
    }

    /// Whether who stands at the door may wait a moment: without TLS nothing happens there before
    /// the command.
    pub(super) fn is_patient(&self) -> bool {
        self.tls.is_none() && self.lingering.is_empty()
    }

    pub(super) fn door(&self) -> Option<Awaited<'_>> {
        self.passive.as_ref().and_then(|passive| passive.door(self.tls))
    }

    pub(super) fn lingerers(&self) -> [Option<Awaited<'_>>; 2] {
        let mut all = self.lingering.iter().map(Lingering::awaited);
        [all.next(), all.next()]
    }

    /// How long to wait at the most: no longer than until something is to be closed.
    pub(super) fn soonest(&self, left: Option<Duration>) -> Option<Duration> {
        let now = Instant::now();
        let passive = self.passive.as_ref().and_then(|passive| passive.until());
        let ends = self.lingering.iter().map(Lingering::until).chain(passive);
        ends.map(|end| end.saturating_duration_since(now)).chain(left).min()
    }

    pub(super) fn attend(&mut self) {
        if let Some(passive) = &mut self.passive {
            passive.attend(self.tls, self.who);
        }
    }
}
