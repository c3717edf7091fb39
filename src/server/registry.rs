//! The live sessions, for what ends them from outside.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Every session's control connection, by a number of its own.
#[derive(Debug, Default)]
pub(super) struct Registry {
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    last: u64,
    sessions: HashMap<u64, (Arc<TcpStream>, Arc<AtomicBool>)>,
}

/// A session's entry, taken out on drop.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Arc<Registry>,
    id: u64,
    /// Set by the session while it transfers.
    pub(super) at_work: Arc<AtomicBool>,
}

impl Registry {
    /// Enters a session.
    pub(super) fn enter(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Entry {
        let mut live = self.live();
        live.last += 1;
        let id = live.last;
        let at_work = Arc::new(AtomicBool::new(false));
        live.sessions.insert(id, (Arc::clone(stream), Arc::clone(&at_work)));
        Entry { registry: Arc::clone(self), id, at_work }
    }

    /// Wakes every session that waits for a command: nothing more will come, and replies still
    /// go out. One that transfers goes on, and still hears its client: an upload whose client
    /// is gone must not be taken for whole.
    pub(super) fn wake_all(&self) {
        for (stream, at_work) in self.live().sessions.values() {
            if !at_work.load(Ordering::SeqCst) {
                // one that is gone already needs no waking
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.live().sessions.remove(&self.id);
    }
}
