//! The order of events about one path. What a session does and the event that tells of it are two steps, so
//! two sessions that store the same file at once could be told of in the wrong order. Where a receiver is told
//! of events, each of them therefore takes a turn at the path, from before the change to after the event.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Maximum time that a session waits for its turn. After that, it goes on without one: a late reply is worse
/// than two events in the wrong order.
const PATIENCE: Duration = Duration::from_secs(5);

/// The paths that sessions change now, for all sessions of a server.
#[derive(Debug, Default)]
pub(super) struct Order {
    busy: Mutex<HashSet<PathBuf>>,
    freed: Condvar,
}

/// A turn at one or two paths. Dropping it ends the turn.
#[derive(Debug)]
pub struct Turn {
    order: Arc<Order>,
    paths: Vec<PathBuf>,
    is_taken: AtomicBool,
}

impl Order {
    /// Returns a turn at these paths that has not begun.
    pub(super) fn turn(self: &Arc<Self>, paths: Vec<PathBuf>) -> Turn {
        Turn { order: Arc::clone(self), paths, is_taken: AtomicBool::default() }
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Begins the turn once no other session has one at any of the paths. All paths are taken at once, so that
    /// two sessions never wait for each other.
    pub fn take(&self) {
        let is_busy =
            |busy: &mut HashSet<PathBuf>| self.paths.iter().any(|path| busy.contains(path));
        let waited = self.order.freed.wait_timeout_while(self.order.busy(), PATIENCE, is_busy);
        let (mut busy, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if !waited.timed_out() && !self.is_taken.swap(true, Ordering::Relaxed) {
            busy.extend(self.paths.iter().cloned());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_taken.load(Ordering::Relaxed) {
            let mut busy = self.order.busy();
            for path in &self.paths {
                busy.remove(path);
            }
            drop(busy);
            self.order.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_turn_waits_for_those_that_share_a_path_and_for_no_other() {
        let order = Arc::new(Order::default());
        let turn = |paths: &[&str]| order.turn(paths.iter().map(PathBuf::from).collect());
        let first = turn(&["/a", "/b"]);
        first.take();
        turn(&["/c"]).take();
        let (told, tells) = mpsc::channel();
        let second = turn(&["/b", "/c"]);
        thread::scope(|threads| {
            threads.spawn(|| {
                second.take();
                told.send("second").unwrap();
            });
            told.send("first").unwrap();
            drop(first);
        });
        drop(second);
        assert_eq!(tells.try_iter().collect::<Vec<_>>(), ["first", "second"]);
        assert!(order.busy().is_empty(), "a turn that is over is given back");
    }

    #[test]
    fn a_turn_that_never_began_ends_no_other() {
        let order = Arc::new(Order::default());
        let first = order.turn(vec!["/a".into()]);
        first.take();
        drop(order.turn(vec!["/a".into()]));
        assert!(order.busy().contains(&PathBuf::from("/a")));
    }
}
