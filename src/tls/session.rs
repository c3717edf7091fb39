//! The settings of one control connection and its data connections.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ServerSessionMemoryCache;

use super::error::TlsError;
use super::tickets::{Gate, Sealer};
use crate::config::Resume;

/// The TLS settings of one control connection and its data connections. Control and data
/// connections differ in the number of tickets sent after a handshake of TLS 1.3, because many
/// clients use each ticket only once.
#[derive(Clone)]
pub struct SessionTls {
    pub(super) control: Arc<ServerConfig>,
    pub(super) data: Arc<ServerConfig>,
}

/// Number of sessions in the cache of a control connection, for clients that do not use tickets.
const CACHE: usize = 8;

/// Number of tickets sent on a control connection with `tls_resume = require`, where a client that
/// uses each ticket once is refused when it has none left. Clients keep at most eight.
const MANY: usize = 8;

/// Number of tickets sent on a data connection, one more than the connection has used, and on a
/// control connection where a data connection need not resume. Each ticket costs as much as a
/// fiftieth of a login.
const FEW: usize = 2;

impl SessionTls {
    /// Makes the settings of one control connection, with its own key for tickets, from the
    /// settings that all connections share.
    pub(super) fn new(shared: &ServerConfig, resume: Resume) -> Result<Self, TlsError> {
        let mut data = shared.clone();
        data.ticketer = Arc::new(Sealer::new()?);
        data.session_storage = ServerSessionMemoryCache::new(CACHE);
        data.send_tls13_tickets = FEW;
        let mut control = data.clone();
        control.send_tls13_tickets = if resume == Resume::Require { MANY } else { FEW };
        Ok(Self { control: Arc::new(control), data: Arc::new(data) })
    }

    /// Makes the settings of one control connection for `tls_resume = off`.
    pub(super) fn without_tickets(shared: Arc<ServerConfig>) -> Self {
        Self { control: Arc::clone(&shared), data: shared }
    }

    /// Makes the settings of one data connection, and the gate that lets it issue tickets.
    pub(super) fn data_connection(&self) -> (Arc<ServerConfig>, Gate) {
        let gate = Gate::default();
        if self.data.send_tls13_tickets == 0 {
            // tls_resume = off: no tickets are issued
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
