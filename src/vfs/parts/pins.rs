//! The files and directories that sessions use, so that retention leaves them alone: files that are
//! downloaded or written to directly, and working directories. They are noted even if nothing is removed
//! by itself: the settings may want that while they are in use.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::fstat;

use crate::vfs::tree::entry::{FileId, id_of};

/// What sessions use, shared by all sessions of a server.
#[derive(Debug, Default)]
pub(in crate::vfs) struct Pins {
    held: Mutex<Held>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    used: BTreeMap<FileId, usize>,
    /// What is being removed.
    removed: BTreeSet<FileId>,
}

/// A file or directory that a session uses, until this value is dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    id: FileId,
}

/// A file or directory that is being removed, until this value is dropped.
#[derive(Debug)]
pub(in crate::vfs) struct Removal<'p> {
    pins: &'p Pins,
    id: FileId,
}

impl Pins {
    /// Notes that an open file or directory is used, as [`Pins::pin_known`] does. Returns `None` if the
    /// system cannot tell which file it is.
    pub(in crate::vfs) fn pin(self: &Arc<Self>, file: impl AsFd) -> Option<Pin> {
        Some(self.pin_known(id_of(&fstat(file).ok()?)))
    }

    /// Notes that a file or directory is used, which is open. Waits if it is just being removed.
    pub(in crate::vfs) fn pin_known(self: &Arc<Self>, id: FileId) -> Pin {
        let mut held = self.held();
        while held.removed.contains(&id) {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held.used.entry(id).or_default() += 1;
        Pin { pins: Arc::clone(self), id }
    }

    /// Begins to remove something. Returns `None` if it is used.
    pub(in crate::vfs) fn remove(&self, id: FileId) -> Option<Removal<'_>> {
        let mut held = self.held();
        if held.used.contains_key(&id) {
            return None;
        }
        held.removed.insert(id);
        Some(Removal { pins: self, id })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.pins.held();
        if let Entry::Occupied(mut count) = held.used.entry(self.id) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        self.pins.held().removed.remove(&self.id);
        self.pins.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_not_removed() {
        let pins = Arc::new(Pins::default());
        let file = tempfile::tempfile().unwrap();
        let id = id_of(&fstat(&file).unwrap());
        let (one, two) = (pins.pin(&file), pins.pin(&file));
        drop(one);
        assert!(pins.remove(id).is_none());
        drop(two);
        let removal = pins.remove(id).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| pins.pin(&file).is_some());
            drop(removal);
            assert!(waits.join().unwrap());
        });
        assert!(pins.held().used.is_empty() && pins.held().removed.is_empty());
    }
}
