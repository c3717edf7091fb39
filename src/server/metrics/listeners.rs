//! The listening sockets of the metrics port.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::config::Listen;
use crate::rights;
use crate::server::doors;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The listening sockets of the metrics port. If an address cannot be bound, the log has a
/// warning, and it is tried again each second, because another server may still use it.
pub(in crate::server) struct Listeners {
    pub(super) at: Listen,
    pub(super) bound: Vec<TcpListener>,
    /// The addresses that could not be bound; `None`: the name could not be looked up yet.
    missing: Option<Vec<SocketAddr>>,
    /// When the missing addresses are tried again.
    next: Instant,
    /// The warnings that were logged.
    told: Vec<String>,
}

impl Listeners {
    /// Looks up the name and binds all addresses.
    pub(in crate::server) fn open(at: &Listen) -> Self {
        let (bound, next, told) = (Vec::new(), Instant::now(), Vec::new());
        let mut all = Self { at: at.clone(), bound, missing: None, next, told };
        all.try_again(next);
        all
    }

    /// Returns whether every address is bound.
    pub(super) fn are_bound(&self) -> bool {
        self.missing.as_ref().is_some_and(Vec::is_empty)
    }

    pub(super) fn try_again(&mut self, now: Instant) {
        if now < self.next || self.are_bound() {
            return;
        }
        self.next = now + RETRY;
        let name = format!("{}:{}", self.at.host, self.at.port);
        let addresses = match self.missing.take() {
            Some(missing) => missing,
            None => match look_up(&self.at) {
                Ok(addresses) => addresses,
                Err(why) => return self.complain(format!("no metrics at {name}: {why}")),
            },
        };
        let mut missing = Vec::new();
        for address in addresses {
            match bind(address) {
                Ok(listener) => {
                    announce(&listener);
                    self.bound.push(listener);
                }
                Err(why) => {
                    missing.push(address);
                    self.complain(format!("no metrics at {address}: {why}"));
                }
            }
        }
        self.missing = Some(missing);
    }

    /// Logs a warning, but each text only once.
    fn complain(&mut self, text: String) {
        if !self.told.contains(&text) {
            log::warn!("{text}");
            self.told.push(text);
        }
    }
}

fn look_up(at: &Listen) -> io::Result<Vec<SocketAddr>> {
    let own = at.clone();
    let found = rights::look_up(move || {
        let found = (own.host.as_str(), own.port).to_socket_addrs();
        found.map(Iterator::collect)
    });
    found.unwrap_or_else(|| Err(io::Error::other("the thread for name lookups has ended")))
}

fn announce(listener: &TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    log::info!("metrics: http://{address}/");
    if !address.ip().to_canonical().is_loopback() {
        log::warn!(
            "everybody who can connect to http://{address}/ sees users, addresses and paths"
        );
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = doors::listen(address, &[])?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
