//! The live sessions: what can be seen of them from outside, and what ends them from there.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::control::{Live, Sight};

/// Every session's control connection, by a number of its own.
#[derive(Debug, Default)]
pub(super) struct Registry {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    last: u64,
    sessions: HashMap<u64, (Arc<TcpStream>, Arc<Live>)>,
}

/// A session's entry, taken out on drop.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Arc<Registry>,
    pub(super) live: Arc<Live>,
}

impl Registry {
    /// Enters a session.
    pub(super) fn enter(self: &Arc<Self>, stream: &Arc<TcpStream>, peer: SocketAddr) -> Entry {
        let mut inside = self.inside();
        inside.last += 1;
        let live = Arc::new(Live::new(inside.last, peer));
        inside.sessions.insert(live.id, (Arc::clone(stream), Arc::clone(&live)));
        Entry { registry: Arc::clone(self), live }
    }

    /// What every session is like now, the oldest first.
    pub(super) fn sights(&self) -> Vec<Sight> {
        let all: Vec<_> = self.inside().sessions.values().map(|(_, l)| Arc::clone(l)).collect();
        let mut sights: Vec<_> = all.iter().map(|live| live.sight()).collect();
        sights.sort_by_key(|sight| sight.id);
        sights
    }

    /// How many sessions there are, and how many of them transfer something.
    pub(super) fn count(&self) -> (usize, usize) {
        let inside = self.inside();
        let at_work = inside.sessions.values().filter(|(_, live)| live.is_at_work());
        (inside.sessions.len(), at_work.count())
    }

    /// Ends some sessions for a reason that their clients are told, transfers included; says
    /// how many.
    pub(super) fn end(&self, which: impl Fn(&Live) -> bool, why: &'static str) -> usize {
        let inside = self.inside();
        let chosen = inside.sessions.values().filter(|(_, live)| which(live));
        chosen
            .map(|(stream, live)| {
                live.end(why);
                // one that is gone already needs no waking
                let _ = stream.shutdown(Shutdown::Read);
            })
            .count()
    }

    /// Wakes every session that serves a pause or waits for a command: nothing more will come, and replies still
    /// go out. One that transfers goes on, and still hears its client: an upload whose client
    /// is gone must not be taken for whole.
    pub(super) fn wake_all(&self) {
        for (stream, live) in self.inside().sessions.values() {
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

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.inside().sessions.remove(&self.live.id);
    }
}
