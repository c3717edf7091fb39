//! The registry of all sessions. Other threads use it to look at sessions and to end them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::admission::Ticket;
use super::admission::origin::Origin;
use crate::control::{CameBy, Live, Sight, Stranger};

/// All sessions, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Registry {
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    last: u64,
    /// In a map that gives memory back once sessions have ended.
    by_id: BTreeMap<u64, Kept>,
}

#[derive(Debug)]
struct Kept {
    stream: Arc<TcpStream>,
    live: Arc<Live>,
    /// The place of the client; `None` once it was given back (before the last reply) or passed
    /// on to another client.
    ticket: Option<Ticket>,
}

/// A session without a login that was ended to make room for another client.
#[derive(Debug)]
pub(super) struct Evicted {
    pub(super) peer: SocketAddr,
    pub(super) way: CameBy,
    pub(super) ticket: Ticket,
    /// When its pause after a wrong password would have ended; `None`: it was not in a pause.
    pub(super) rests: Option<Instant>,
}

/// The registration of a session. Dropping it removes the session.
#[derive(Debug)]
pub(super) struct Registration {
    registry: Arc<Registry>,
    pub(super) live: Arc<Live>,
}

impl Registry {
    /// Registers a session.
    pub(super) fn enter(
        self: &Arc<Self>,
        stream: &Arc<TcpStream>,
        peer: SocketAddr,
        way: CameBy,
        ticket: Ticket,
    ) -> Registration {
        let mut sessions = self.sessions();
        sessions.last += 1;
        let live = Arc::new(Live::new(sessions.last, peer, way));
        let (stream, ticket) = (Arc::clone(stream), Some(ticket));
        sessions.by_id.insert(live.id, Kept { stream, live: Arc::clone(&live), ticket });
        Registration { registry: Arc::clone(self), live }
    }

    /// Makes room for a newcomer if strangers (clients without a login) hold at least two
    /// thirds of all places: ends the oldest session of the origin with the most strangers, and
    /// returns its place.
    ///
    /// Strangers in a pause after a wrong password are ended last. If the origin of the
    /// newcomer has a stranger in a pause itself, or had a pause that was cut short (`owes`),
    /// no stranger in a pause is ended, and the newcomer takes a place from another origin only
    /// if that origin has more strangers than its own. Otherwise an attacker who fills the
    /// server with pauses would push out every user who is about to log in.
    pub(super) fn evict(
        &self,
        most: usize,
        newcomer: Origin,
        owes: bool,
        why: &'static str,
    ) -> Option<Evicted> {
        let mut sessions = self.sessions();
        loop {
            let (id, rests) = sessions.stranger_to_evict(most, newcomer, owes)?;
            let kept = sessions.by_id.get_mut(&id)?;
            // the client may have just logged in
            if !kept.live.evict(why) {
                continue;
            }
            wake(&kept.stream);
            let Live { peer, way, .. } = *kept.live;
            return Some(Evicted { peer, way, ticket: kept.ticket.take()?, rests });
        }
    }

    /// Returns the current state of every session, the oldest first.
    pub(super) fn sights(&self) -> Vec<Sight> {
        let all: Vec<_> =
            self.sessions().by_id.values().map(|kept| Arc::clone(&kept.live)).collect();
        let mut sights: Vec<_> = all.iter().map(|live| live.sight()).collect();
        sights.sort_by_key(|sight| sight.id);
        sights
    }

    /// Returns the number of sessions, and the number of those with a running transfer.
    pub(super) fn count(&self) -> (usize, usize) {
        let sessions = self.sessions();
        let at_work = sessions.by_id.values().filter(|kept| kept.live.is_at_work());
        (sessions.by_id.len(), at_work.count())
    }

    /// Ends the chosen sessions and their transfers, and returns their number. Clients are told
    /// `why`.
    pub(super) fn end(&self, which: impl Fn(&Live) -> bool, why: &'static str) -> usize {
        let sessions = self.sessions();
        let chosen = sessions.by_id.values().filter(|kept| which(&kept.live));
        chosen
            .map(|kept| {
                kept.live.end(why);
                wake(&kept.stream);
            })
            .count()
    }

    /// Wakes every session that is in a pause or waits for a command, so that it ends; replies
    /// are still sent. Sessions with a transfer continue and can still read from their clients:
    /// an upload whose client has disconnected must not be taken for complete.
    pub(super) fn wake_all(&self) {
        for Kept { stream, live, .. } in self.sessions().by_id.values() {
            live.hurry();
            if !live.is_at_work() {
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Chooses the stranger that makes room for a newcomer (see [`Registry::evict`]): the
    /// number of its session, and when its pause ends.
    fn stranger_to_evict(
        &self,
        most: usize,
        newcomer: Origin,
        owes: bool,
    ) -> Option<(u64, Option<Instant>)> {
        let strangers = self.by_id.values().filter(|kept| kept.ticket.is_some());
        let strangers: Vec<_> = strangers
            .filter_map(|kept| {
                let stranger = kept.live.stranger()?;
                Some((kept.live.id, Origin::of(kept.live.peer.ip()), stranger))
            })
            .collect();
        if strangers.len() * 3 < most * 2 {
            return None;
        }
        let mut counts: HashMap<Origin, usize> = HashMap::new();
        for (_, origin, _) in &strangers {
            *counts.entry(*origin).or_default() += 1;
        }
        let pays = |(_, origin, stranger): &(u64, Origin, Stranger)| {
            *origin == newcomer && stranger.rests.is_some()
        };
        let owes = owes || strangers.iter().any(pays);
        let own = counts.get(&newcomer).copied().unwrap_or_default();
        let has_more = |origin| {
            origin == newcomer || counts.get(&origin).is_some_and(|count| *count > own)
        };
        let candidates = strangers.into_iter().filter(|(_, origin, stranger)| {
            !owes || stranger.rests.is_none() && has_more(*origin)
        });
        let (id, _, Stranger { rests, .. }) =
            candidates.min_by_key(|(id, origin, stranger)| {
                let count = counts.get(origin).copied();
                (Reverse(count), stranger.rests.is_some(), stranger.since, *id)
            })?;
        Some((id, rests))
    }
}

impl Registration {
    /// Frees the place of the session.
    pub(super) fn give_back(&self) {
        let mut sessions = self.registry.sessions();
        if let Some(kept) = sessions.by_id.get_mut(&self.live.id) {
            kept.ticket = None;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.sessions().by_id.remove(&self.live.id);
    }
}

/// Wakes a session that must end by closing its connection for reading. If the client does not
/// read replies, the connection is closed for writing too, because the session would otherwise
/// wait for the client.
#[expect(clippy::disallowed_methods, reason = "asks for room alone, and does not wait")]
fn wake(stream: &TcpStream) {
    let mut fds = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)];
    let has_room = matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..))
        && fds.iter().all(|fd| fd.revents() == PollFlags::OUT);
    // this fails if the connection is closed already
    let _ = stream.shutdown(if has_room { Shutdown::Read } else { Shutdown::Both });
}
