//! Session tickets, and the rule that decides which data connections issue them.
//!
//! With `tls_resume = require`, a data connection that resumes a session is accepted as the
//! client's own. A stranger who connects to a passive port does a full handshake and is refused. If
//! the server sent the stranger a ticket before that, the stranger's next data connection could use
//! the ticket and would be accepted. That the server can decrypt a ticket proves nothing: tickets
//! of TLS 1.2 are sent in clear text, and a ticket that comes with another cipher suite leads to a
//! full handshake. So no ticket is sent before the handshake has resumed a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::{ProducesTickets, StoresServerSessions};

use super::error::TlsError;

/// Makes the tickets of one control connection and its data connections. The key lives as long as
/// the control connection, so it need not change. The ticketer that comes with `rustls` changes its
/// key by the clock of the system, and panics if the clock is before 1970.
#[derive(Debug)]
pub(super) struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

/// How long a ticket is valid, as told to the client, in seconds.
const LIFETIME: u32 = 24 * 3600;

impl Sealer {
    /// Makes a sealer with a new random key.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub(super) fn new() -> Result<Self, TlsError> {
        let random = SystemRandom::new();
        let mut key = [0; 32];
        let no_numbers = |_| TlsError("the system has no random numbers".to_owned());
        random.fill(&mut key).map_err(no_numbers)?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(no_numbers)?;
        Ok(Self { key: LessSafeKey::new(key), random })
    }
}

impl ProducesTickets for Sealer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    /// Returns the nonce followed by the encrypted text. The nonces are random: few tickets are
    /// made with one key, so two of them practically never have equal nonces.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let with = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(with, Aad::empty(), &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = cipher.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

/// A gate for the tickets of one data connection, closed until the connection has resumed a session of
/// its control connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Opens the gate, because the handshake has resumed a session.
    pub(super) fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns a ticketer that accepts the tickets that `inner` accepts, and issues new ones only
    /// while the gate is open.
    pub(super) fn ticketer(
        &self,
        inner: &Arc<dyn ProducesTickets>,
    ) -> Arc<dyn ProducesTickets> {
        Arc::new(Gated { gate: self.clone(), inner: Arc::clone(inner) })
    }

    /// Returns a storage that finds the sessions that `inner` holds, and stores new ones only while
    /// the gate is open.
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

    /// Returns `None` while the gate is closed. In TLS 1.2 the client then gets an empty ticket, and
    /// keeps the one that it has (RFC 5077 §3.3).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_by_its_maker_alone() {
        let (maker, other) = (Sealer::new().unwrap(), Sealer::new().unwrap());
        let ticket = maker.encrypt(b"session").unwrap();
        assert_eq!(maker.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_ne!(maker.encrypt(b"session").unwrap(), ticket);
        assert_eq!(other.decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(maker.decrypt(&changed), None);
            assert_eq!(maker.decrypt(&ticket[..at]), None);
        }
    }

    #[test]
    fn nothing_is_given_out_before_the_gate_is_open() {
        let inner: Arc<dyn ProducesTickets> = Arc::new(Sealer::new().unwrap());
        let gate = Gate::default();
        let gated = gate.ticketer(&inner);
        let ticket = inner.encrypt(b"session").unwrap();
        assert_eq!(gated.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(gated.encrypt(b"session"), None);
        gate.open();
        assert!(gated.encrypt(b"session").is_some());
    }
}
