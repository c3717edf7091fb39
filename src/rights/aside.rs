//! Lookups by the C library, on a thread apart from those that serve clients.
//!
//! The C library looks up names of users and hosts in files of `/etc`, which may be replaced
//! while the server runs, and may load modules for these lookups. A sandbox that allows a file
//! does not allow a new file that replaces it, so a thread that does lookups must be allowed to
//! read all of `/etc`. The threads that serve clients are not: they hand their lookups to a
//! thread with a sandbox of its own, which may only read.

use std::io::{Error, Result};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// A lookup that is passed to another thread.
pub type Lookup = Box<dyn FnOnce() + Send>;

/// The queue of the thread that does lookups. Until it is set, each thread does its own.
static ASIDE: OnceLock<SyncSender<Lookup>> = OnceLock::new();

/// Maximum number of lookups in the queue. A thread with a lookup waits for the result in any
/// case.
const WAITING: usize = 64;

/// Returns the queue of lookups. From now on, the thread that receives them must do all
/// lookups.
///
/// # Errors
///
/// When the queue was taken before.
pub fn take_lookups() -> Result<Receiver<Lookup>> {
    let (give, take) = sync_channel(WAITING);
    ASIDE.set(give).map_err(|_| Error::other("another thread does lookups already"))?;
    Ok(take)
}

/// Does a lookup on the thread for lookups, and waits for the result. Returns `None` if that
/// thread has ended.
pub fn look_up<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    look_up_within(work, None)
}

/// Does a lookup like [`look_up()`], but waits no longer than until this time. Without a thread for
/// lookups, the time is not bounded.
pub fn look_up_until<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    until: Instant,
) -> Option<T> {
    look_up_within(work, Some(until))
}

fn look_up_within<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    until: Option<Instant>,
) -> Option<T> {
    let Some(aside) = ASIDE.get() else { return Some(work()) };
    let result = Arc::new(Mutex::new(None));
    let place = Arc::clone(&result);
    // the result does not go through the channel, because each type takes a copy of its code
    let (end, ended) = sync_channel::<()>(0);
    let work = move || {
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(work());
        drop(end);
    };
    aside.send(Box::new(work)).ok()?;
    // fails in any case: the sender is dropped, even by a panic
    let _ = match until {
        None => ended.recv().ok(),
        Some(until) => ended.recv_timeout(until.saturating_duration_since(Instant::now())).ok(),
    };
    result.lock().unwrap_or_else(PoisonError::into_inner).take()
}
