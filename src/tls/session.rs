//! The settings of one control connection and its data connections.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ServerSessionMemoryCache;

use super::error::TlsError;
use super::tickets::{Gate, Sealer};

/// The settings of one control connection and its data connections. They differ in the number
/// of tickets behind a handshake of TLS 1.3: many clients use each ticket once.
#[derive(Clone)]
pub struct SessionTls {
    pub(super) control: Arc<ServerConfig>,
    pub(super) data: Arc<ServerConfig>,
}

/// Sessions that a control connection's own cache holds, for clients that know no tickets.
const CACHE: usize = 8;

/// Tickets on a control connection: clients that keep them keep no more than eight.
const MANY: usize = 8;

/// Tickets on a data connection: more than it used.
const FEW: usize = 2;

impl SessionTls {
    /// Makes the settings of one control connection, with a key of its own for tickets, out of
    /// those that all share.
    pub(super) fn new(shared: &ServerConfig) -> Result<Self, TlsError> {
        let mut data = shared.clone();
        data.ticketer = Arc::new(Sealer::new()?);
        data.session_storage = ServerSessionMemoryCache::new(CACHE);
        data.send_tls13_tickets = FEW;
        let mut control = data.clone();
        control.send_tls13_tickets = MANY;
        Ok(Self { control: Arc::new(control), data: Arc::new(data) })
    }

    /// Makes settings with which no session is resumed.
    pub(super) fn without_tickets(shared: Arc<ServerConfig>) -> Self {
        Self { control: Arc::clone(&shared), data: shared }
    }

    /// The settings of one data connection, and what lets it give out tickets.
    pub(super) fn data_connection(&self) -> (Arc<ServerConfig>, Gate) {
        let gate = Gate::default();
        if self.data.send_tls13_tickets == 0 {
            // tls_resume = off: there is nothing to give out
            return (Arc::clone(&self.data), gate);
        }
        let mut own = ServerConfig::clone(&self.data);
        own.ticketer = gate.ticketer(&self.data.ticketer);
        own.session_storage = gate.storage(&self.data.session_storage);
        (Arc::new(own), gate)
    }
}

impl fmt::Debug for SessionTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTls")
    }
}
