//! The live sessions, for what ends them from outside.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Every session's control connection, by a number of its own.
#[derive(Debug, Default)]
pub(super) struct Registry {
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    last: u64,
    streams: HashMap<u64, Arc<TcpStream>>,
}

/// A session's entry, taken out on drop.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Arc<Registry>,
    id: u64,
}

impl Registry {
    /// Enters a session.
    pub(super) fn enter(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Entry {
        let mut live = self.live();
        live.last += 1;
        let id = live.last;
        live.streams.insert(id, Arc::clone(stream));
        Entry { registry: Arc::clone(self), id }
    }

    /// Wakes every session that waits for a command: nothing more will come. Replies still
    /// go out, and so do transfers.
    pub(super) fn wake_all(&self) {
        for stream in self.live().streams.values() {
            // one that is gone already needs no waking
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.live().streams.remove(&self.id);
    }
}
