//! Where the metrics port listens.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::config::Listen;
use crate::rights;
use crate::server::doors;

/// How often what is missing is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where it listens. A server that cannot have an address serves all the same, the log says why, and
/// it is tried again each second: another server may still have it.
pub(in crate::server) struct Listeners {
    pub(super) at: Listen,
    pub(super) bound: Vec<TcpListener>,
    /// Addresses that could not be had; `None`: not even the name.
    missing: Option<Vec<SocketAddr>>,
    /// When what is missing is tried again.
    next: Instant,
    /// What the log was told of it.
    told: Vec<String>,
}

impl Listeners {
    /// Binds.
    pub(in crate::server) fn open(at: &Listen) -> Self {
        let (bound, next, told) = (Vec::new(), Instant::now(), Vec::new());
        let mut all = Self { at: at.clone(), bound, missing: None, next, told };
        all.try_again(next);
        all
    }

    pub(super) fn try_again(&mut self, now: Instant) {
        if now < self.next || self.missing.as_ref().is_some_and(Vec::is_empty) {
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

    /// Says it once.
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
    found.unwrap_or_else(|| Err(io::Error::other("nobody looks the name up")))
}

fn announce(listener: &TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    log::info!("metrics: http://{address}/");
    if !address.ip().to_canonical().is_loopback() {
        log::warn!("whoever reaches http://{address}/ sees users, addresses and paths");
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = doors::listen(address, &[])?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
