//! The live sessions: what can be seen of them from outside, and what ends them from there.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::admission::Ticket;
use super::admission::place::Place;
use crate::control::{Live, Sight, Stranger};

/// Every session's control connection, by a number of its own.
#[derive(Debug, Default)]
pub(super) struct Registry {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    last: u64,
    sessions: HashMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    stream: Arc<TcpStream>,
    live: Arc<Live>,
    /// Given back before the client hears the last word, or passed on to another one.
    ticket: Option<Ticket>,
}

/// A stranger that had to make room.
#[derive(Debug)]
pub(super) struct Evicted {
    pub(super) peer: SocketAddr,
    pub(super) ticket: Ticket,
    /// When the pause that it was serving would have ended.
    pub(super) rests: Option<Instant>,
}

/// A session's entry, taken out on drop.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Arc<Registry>,
    pub(super) live: Arc<Live>,
}

impl Registry {
    /// Enters a session.
    pub(super) fn enter(
        self: &Arc<Self>,
        stream: &Arc<TcpStream>,
        peer: SocketAddr,
        ticket: Ticket,
    ) -> Entry {
        let mut inside = self.inside();
        inside.last += 1;
        let live = Arc::new(Live::new(inside.last, peer));
        let (stream, ticket) = (Arc::clone(stream), Some(ticket));
        inside.sessions.insert(live.id, Held { stream, live: Arc::clone(&live), ticket });
        Entry { registry: Arc::clone(self), live }
    }

    /// Ends the session of a stranger, if strangers hold two thirds of the places, and takes its
    /// place: that of the oldest one from where most of them come. A pause is cut short last, and
    /// not for a client that comes from where somebody serves one (`owes`: or should). Such a client
    /// gets no place either from where fewer come than from there: whoever fills the server with
    /// pauses would have each user who is about to log in turned out for it.
    pub(super) fn evict(
        &self,
        most: usize,
        newcomer: Place,
        owes: bool,
        why: &'static str,
    ) -> Option<Evicted> {
        let mut inside = self.inside();
        loop {
            let strangers: Vec<_> = inside
                .sessions
                .values()
                .filter(|held| held.ticket.is_some())
                .filter_map(|held| {
                    let stranger = held.live.stranger()?;
                    Some((held.live.id, Place::of(held.live.peer.ip()), stranger))
                })
                .collect();
            if strangers.len() * 3 < most * 2 {
                return None;
            }
            let mut counts: HashMap<Place, usize> = HashMap::new();
            for (_, place, _) in &strangers {
                *counts.entry(*place).or_default() += 1;
            }
            let pays = |(_, place, stranger): &(u64, Place, Stranger)| {
                *place == newcomer && stranger.rests.is_some()
            };
            let owes = owes || strangers.iter().any(pays);
            let own = counts.get(&newcomer).copied().unwrap_or_default();
            let has_more = |place| {
                place == newcomer || counts.get(&place).is_some_and(|count| *count > own)
            };
            let (id, _, Stranger { rests, .. }) = strangers
                .into_iter()
                .filter(|(_, place, stranger)| {
                    !owes || stranger.rests.is_none() && has_more(*place)
                })
                .min_by_key(|(id, place, stranger)| {
                    let count = counts.get(place).copied();
                    (Reverse(count), stranger.rests.is_some(), stranger.since, *id)
                })?;
            let held = inside.sessions.get_mut(&id)?;
            // somebody who has logged in a moment ago stays
            if !held.live.evict(why) {
                continue;
            }
            wake(&held.stream);
            let (peer, ticket) = (held.live.peer, held.ticket.take()?);
            return Some(Evicted { peer, ticket, rests });
        }
    }

    /// What every session is like now, the oldest first.
    pub(super) fn sights(&self) -> Vec<Sight> {
        let all: Vec<_> =
            self.inside().sessions.values().map(|held| Arc::clone(&held.live)).collect();
        let mut sights: Vec<_> = all.iter().map(|live| live.sight()).collect();
        sights.sort_by_key(|sight| sight.id);
        sights
    }

    /// How many sessions there are, and how many of them transfer something.
    pub(super) fn count(&self) -> (usize, usize) {
        let inside = self.inside();
        let at_work = inside.sessions.values().filter(|held| held.live.is_at_work());
        (inside.sessions.len(), at_work.count())
    }

    /// Ends some sessions for a reason that their clients are told, transfers included; says
    /// how many.
    pub(super) fn end(&self, which: impl Fn(&Live) -> bool, why: &'static str) -> usize {
        let inside = self.inside();
        let chosen = inside.sessions.values().filter(|held| which(&held.live));
        chosen
            .map(|held| {
                held.live.end(why);
                wake(&held.stream);
            })
            .count()
    }

    /// Wakes every session that serves a pause or waits for a command: nothing more will come,
    /// and replies still go out. One that transfers goes on, and still hears its client: an upload
    /// whose client is gone must not be taken for whole.
    pub(super) fn wake_all(&self) {
        for Held { stream, live, .. } in self.inside().sessions.values() {
            live.hurry();
            if !live.is_at_work() {
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Gives the session's place back.
    pub(super) fn give_back(&self) {
        let mut inside = self.registry.inside();
        if let Some(held) = inside.sessions.get_mut(&self.live.id) {
            held.ticket = None;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.inside().sessions.remove(&self.live.id);
    }
}

/// Wakes a session that is to end. One that waits for its client to take a reply would not notice
/// that nothing more can be read; and its client would not take the last one either.
#[expect(clippy::disallowed_methods, reason = "asks for room alone, and does not wait")]
fn wake(stream: &TcpStream) {
    let mut fds = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)];
    let has_room = matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..))
        && fds.iter().all(|fd| fd.revents() == PollFlags::OUT);
    // one that is gone already needs no waking
    let _ = stream.shutdown(if has_room { Shutdown::Read } else { Shutdown::Both });
}
