//! Which data connections may give out what resumes a session.
//!
//! With `tls_resume = require`, a data connection that resumes is taken for the client's own. A
//! stranger who reaches a passive port first shakes hands in full and is refused; a ticket that it
//! was given on the way would make its next data connection the client's own. That a ticket can
//! be decrypted proves nothing: tickets of TLS 1.2 cross the wire in clear text, and one that comes
//! with another cipher suite leads to a full handshake. So nothing goes out before the handshake
//! has resumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::server::{ProducesTickets, StoresServerSessions};

/// Shut until its data connection has resumed the session of its control connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// The handshake has resumed.
    pub(super) fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Takes the tickets that `inner` takes, and gives out new ones while the gate is open.
    pub(super) fn ticketer(
        &self,
        inner: &Arc<dyn ProducesTickets>,
    ) -> Arc<dyn ProducesTickets> {
        Arc::new(Gated { gate: self.clone(), inner: Arc::clone(inner) })
    }

    /// Finds the sessions that `inner` holds, and keeps new ones while the gate is open.
    pub(super) fn storage(
        &self,
        inner: &Arc<dyn StoresServerSessions>,
    ) -> Arc<dyn StoresServerSessions> {
        Arc::new(Gated { gate: self.clone(), inner: Arc::clone(inner) })
    }
}

#[derive(Debug)]
struct Gated<T: ?Sized> {
    gate: Gate,
    inner: Arc<T>,
}

impl ProducesTickets for Gated<dyn ProducesTickets> {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    /// Nothing while the gate is shut. In TLS 1.2 the client then gets an empty ticket and keeps
    /// the one that it has (RFC 5077 §3.3).
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if self.gate.is_open() { self.inner.encrypt(plain) } else { None }
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.inner.decrypt(cipher)
    }
}

impl StoresServerSessions for Gated<dyn StoresServerSessions> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.gate.is_open() && self.inner.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.inner.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.inner.take(key)
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}
