//! Checks from time to time, in the main thread, that the server can serve clients, and reports
//! the result to the supervisor.
//!
//! If a thread that accepts clients has ended or is stuck, its port looks open, but nobody is
//! served. If a lock is never released, the check itself hangs, because it takes the locks that
//! a new client needs. In both cases the watchdog of the supervisor gets no message.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::hub::Hub;
use super::pulse::Pulse;

/// Checks the threads that accept clients.
pub(super) struct Watch {
    acceptors: Vec<Acceptor>,
    /// The numbers of sessions and transfers that were reported last.
    told: Option<(usize, usize)>,
}

/// A thread that accepts clients.
pub(super) struct Acceptor {
    pub(super) address: SocketAddr,
    pub(super) thread: JoinHandle<()>,
    pub(super) pulse: Arc<Pulse>,
    /// The pulse at the last check.
    last: u64,
}

impl Acceptor {
    pub(super) fn new(address: SocketAddr, thread: JoinHandle<()>, pulse: Arc<Pulse>) -> Self {
        Self { address, thread, pulse, last: 0 }
    }

    /// Returns what is wrong with the thread, if anything: it has ended, or it has been busy
    /// with one client since the last check.
    fn fault(&mut self) -> Option<&'static str> {
        let now = self.pulse.now();
        let before = std::mem::replace(&mut self.last, now);
        if self.thread.is_finished() {
            Some("has ended")
        } else if now == before && now % 2 == 1 {
            Some("is stuck")
        } else {
            None
        }
    }
}

impl Watch {
    pub(super) fn new(acceptors: Vec<Acceptor>) -> Self {
        Self { acceptors, told: None }
    }

    /// Returns whether all threads that accept clients have ended.
    pub(super) fn is_over(&self) -> bool {
        self.acceptors.iter().all(|acceptor| acceptor.thread.is_finished())
    }

    /// Checks all threads and reports. The time between two checks must be longer than it can
    /// take to admit a client.
    pub(super) fn look(&mut self, hub: &Hub) {
        let faults = self
            .acceptors
            .iter_mut()
            .filter_map(|acceptor| Some((acceptor.fault()?, acceptor.address)));
        let mut able = true;
        for (fault, address) in faults {
            log::error!("the thread that accepts clients on {address} {fault}");
            able = false;
        }
        // this takes the locks that a new client needs
        let _ = hub.pool.wait_idle(Duration::ZERO);
        let count = hub.registry.count();
        drop(hub.shared.settings());
        if able {
            hub.supervisor.alive();
        }
        if self.told.replace(count) != Some(count) {
            let (sessions, transfers) = count;
            hub.supervisor.status(&format!("Sessions: {sessions}, transfers: {transfers}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_is_stuck_when_it_takes_in_one_client_all_the_time() {
        let (keep, wait) = crossbeam_channel::bounded::<()>(0);
        let (pulse, nowhere) = (Arc::<Pulse>::default(), SocketAddr::from(([0; 4], 0)));
        #[expect(clippy::disallowed_methods, reason = "the test needs a thread to check")]
        let thread = thread::spawn(move || wait.recv().unwrap_or_default());
        let mut acceptor = Acceptor::new(nowhere, thread, Arc::clone(&pulse));
        assert_eq!((acceptor.fault(), acceptor.fault()), (None, None));
        pulse.step();
        assert_eq!((acceptor.fault(), acceptor.fault()), (None, Some("is stuck")));
        pulse.step();
        assert_eq!((acceptor.fault(), acceptor.fault()), (None, None));
        // another client each time it is looked at
        for _ in 0..3 {
            pulse.step();
            pulse.step();
            pulse.step();
            assert_eq!(acceptor.fault(), None);
            pulse.step();
        }
        drop(keep);
        while !acceptor.thread.is_finished() {
            thread::yield_now();
        }
        assert_eq!(acceptor.fault(), Some("has ended"));
    }
}
