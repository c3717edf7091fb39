//! Lookups by the system's libraries, aside from what serves clients.
//!
//! Names of users and hosts are looked up in files of /etc that are replaced while the server runs, by
//! modules that the C library loads when it needs them. A sandbox that lets in a file does not know the
//! next one of that name, so it must let in all of /etc. The threads that serve clients are spared
//! that: a thread with a sandbox of its own does these lookups for them, and may read and do no more.

use std::io::{Error, Result};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// What is to be looked up.
pub type Lookup = Box<dyn FnOnce() + Send>;

/// To whoever does it; nobody, as long as each thread may do so itself.
static ASIDE: OnceLock<SyncSender<Lookup>> = OnceLock::new();

/// Lookups that wait to be begun; those who ask wait in any case.
const WAITING: usize = 64;

/// From now on lookups are done by whoever takes them from here.
///
/// # Errors
///
/// When somebody does so already.
pub fn take_lookups() -> Result<Receiver<Lookup>> {
    let (give, take) = sync_channel(WAITING);
    ASIDE.set(give).map_err(|_| Error::other("lookups are done elsewhere already"))?;
    Ok(take)
}

/// Looks something up, where that may be done. Returns nothing if nobody does it any more.
pub fn look_up<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let Some(aside) = ASIDE.get() else { return Some(work()) };
    let (give, take) = sync_channel(1);
    // whoever asked waits for it
    aside.send(Box::new(move || drop(give.send(work())))).ok()?;
    take.recv().ok()
}
