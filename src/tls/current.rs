//! The certificate that is in use, which is replaced while the server runs when its files change.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;

use super::build::{build, verifier};
use super::error::TlsError;
use super::identity::near;
use super::made;
use super::session::SessionTls;
use super::stamp::Stamp;
use crate::config::{Resume, TlsSettings};
use crate::rights;

/// The server's side of TLS.
pub struct Tls {
    settings: TlsSettings,
    state: Mutex<Current>,
}

struct Current {
    looked: Instant,
    stamp: Stamp,
    config: Arc<ServerConfig>,
    fingerprint: String,
    /// When the certificate ends.
    ends: SystemTime,
    /// Why the files could not be taken at the last look. They are looked at again until they can,
    /// whether they change or not: whatever was in the way may be gone.
    failed: Option<String>,
}

/// How often the certificate's files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is wrong with the certificate and its key, without making any: warnings, or an error
/// with which the server would not start.
///
/// # Errors
///
/// When the files cannot be used.
pub fn check(settings: &TlsSettings) -> Result<Vec<String>, TlsError> {
    let identity = match settings.is_auto().then(|| made::fresh(settings)).transpose()? {
        None => made::load(settings)?,
        Some(Some(identity)) => identity,
        Some(None) => {
            made::can_be_made(settings)?;
            return verifier(settings).map(|_| Vec::new());
        }
    };
    let warnings = identity.warnings(SystemTime::now());
    build(settings, identity).map(|_| warnings)
}

impl Tls {
    /// Reads the certificate, or makes one.
    ///
    /// # Errors
    ///
    /// What is wrong with the files.
    pub fn start(settings: &TlsSettings) -> Result<Self, TlsError> {
        let stamp = Stamp::of(settings);
        let identity = made::load(settings)?;
        let state = Current {
            looked: Instant::now(),
            // files that were just made have a stamp that is newer, and are read once more
            stamp,
            fingerprint: identity.fingerprint(),
            ends: identity.end(),
            failed: None,
            config: build(settings, identity)?,
        };
        Ok(Self { settings: settings.clone(), state: Mutex::new(state) })
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).fingerprint.clone()
    }

    /// Settings for a new control connection. A certificate whose file has changed is taken;
    /// one that cannot be used is reported, and the old one stays.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn session(&self) -> Result<SessionTls, TlsError> {
        let shared = self.current();
        if self.settings.resume == Resume::Off {
            return Ok(SessionTls::without_tickets(shared));
        }
        SessionTls::new(&shared)
    }

    /// The lock is not held while files are read.
    fn current(&self) -> Arc<ServerConfig> {
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = lock();
            if self.settings.once || state.looked.elapsed() < LOOK {
                return Arc::clone(&state.config);
            }
            state.looked = Instant::now();
        }
        if let Err(why) = rights::as_server(|| self.look()) {
            self.fail(why.to_string());
        }
        Arc::clone(&lock().config)
    }

    /// Takes a certificate that is another one than before.
    fn look(&self) {
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_auto = self.settings.is_auto();
        let stamp = Stamp::of(&self.settings);
        {
            let state = lock();
            let ends_soon = is_auto && near(state.ends);
            if stamp == state.stamp && !ends_soon && state.failed.is_none() {
                return;
            }
        }
        let loaded = made::load(&self.settings).and_then(|identity| {
            let (fingerprint, ends) = (identity.fingerprint(), identity.end());
            let warnings = identity.warnings(SystemTime::now());
            Ok((build(&self.settings, identity)?, fingerprint, ends, warnings))
        });
        match loaded {
            Ok((config, fingerprint, ends, warnings)) => {
                let mut state = lock();
                // files that were just made have a stamp that is newer, and are read once more
                state.stamp = stamp;
                let is_new = state.fingerprint != fingerprint;
                let had_failed = state.failed.take().is_some();
                state.fingerprint.clone_from(&fingerprint);
                (state.config, state.ends) = (config, ends);
                drop(state);
                if is_new || had_failed {
                    for warning in warnings {
                        log::warn!("{warning}");
                    }
                    let what =
                        if is_new { "new certificate" } else { "certificate read again" };
                    log::info!("{what}, SHA-256 {fingerprint}");
                }
            }
            Err(why) => self.fail(why.to_string()),
        }
    }

    /// Says so once, however often it is met.
    fn fail(&self, why: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.as_ref() != Some(&why) {
            log::error!("the certificate stays as it was: {why}");
            state.failed = Some(why);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
