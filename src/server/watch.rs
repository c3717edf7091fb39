//! Whether the server is able to serve, as its main thread sees it from time to time, and what
//! the supervisor is told of that.
//!
//! A thread that accepts and has ended or got stuck is a port that looks open and is not. The
//! other way to fail, a lock that is never given back, stops the look itself: it takes the
//! locks that a new client needs. In both cases the supervisor's watchdog hears nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::hub::Hub;
use super::pulse::Pulse;

/// Looks after the threads that accept.
pub(super) struct Watch {
    acceptors: Vec<Acceptor>,
    /// Sessions and transfers, as they were told last.
    told: Option<(usize, usize)>,
}

/// A thread that accepts.
pub(super) struct Acceptor {
    pub(super) address: Option<SocketAddr>,
    pub(super) thread: JoinHandle<()>,
    pub(super) pulse: Arc<Pulse>,
    /// What the pulse was at the last look.
    last: u64,
}

impl Acceptor {
    pub(super) fn new(
        address: Option<SocketAddr>,
        thread: JoinHandle<()>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self { address, thread, pulse, last: 0 }
    }

    /// What is wrong with it: it is gone, or it has been at one client since the last look.
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

    /// Between two looks there must be more time than taking a client in can need.
    pub(super) fn look(&mut self, hub: &Hub) {
        let faults = self
            .acceptors
            .iter_mut()
            .filter_map(|acceptor| Some((acceptor.fault()?, acceptor.address)));
        let mut able = true;
        for (fault, address) in faults {
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            log::error!("the thread that accepts clients on {address} {fault}");
            able = false;
        }
        // the locks that a new client needs
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
        let pulse = Arc::<Pulse>::default();
        #[expect(clippy::disallowed_methods, reason = "a thread to look at")]
        let thread = thread::spawn(move || wait.recv().unwrap_or_default());
        let mut acceptor = Acceptor::new(None, thread, Arc::clone(&pulse));
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
