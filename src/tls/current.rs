//! The certificate in use. It is replaced while the server runs if its files change.

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

/// The certificate in use, from which the settings of each session are made.
pub struct Tls {
    settings: TlsSettings,
    state: Mutex<Current>,
}

struct Current {
    looked: Instant,
    stamp: Stamp,
    config: Arc<ServerConfig>,
    fingerprint: String,
    /// When the certificate expires.
    ends: SystemTime,
    /// Why the files could not be used the last time. They are read again until they can be used,
    /// even if they do not change, because the cause may be outside these files.
    failed: Option<String>,
}

/// How often the files of the certificate are checked for changes.
const LOOK: Duration = Duration::from_secs(1);

/// Checks the certificate and its key without creating files, and returns warnings.
///
/// # Errors
///
/// When the files cannot be used, so that the server would not start.
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
    /// Reads the certificate, or makes one for `tls_cert = auto`.
    ///
    /// # Errors
    ///
    /// When the files cannot be used.
    pub fn start(settings: &TlsSettings) -> Result<Self, TlsError> {
        let stamp = Stamp::of(settings);
        let identity = made::load(settings)?;
        let state = Current {
            looked: Instant::now(),
            // files that `load` has just made have a newer stamp, and are read once more
            stamp,
            fingerprint: identity.fingerprint(),
            ends: identity.end(),
            failed: None,
            config: build(settings, identity)?,
        };
        Ok(Self { settings: settings.clone(), state: Mutex::new(state) })
    }

    /// Returns the SHA-256 fingerprint of the certificate.
    pub fn fingerprint(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).fingerprint.clone()
    }

    /// Makes the settings of a new control connection. If the files of the certificate have
    /// changed, they are read first. If they cannot be used, an error is logged and the old
    /// certificate stays in use.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn session(&self) -> Result<SessionTls, TlsError> {
        let shared = self.current();
        if self.settings.resume == Resume::Off {
            return Ok(SessionTls::without_tickets(shared));
        }
        SessionTls::new(&shared, self.settings.resume)
    }

    /// Returns the settings in use. The lock is not held while files are read.
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

    /// Reads the files if they have changed, and uses the new certificate from then on.
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
                // files that `load` has just made have a newer stamp, and are read once more
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

    /// Logs why the files cannot be used, once for each reason.
    fn fail(&self, why: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.as_ref() != Some(&why) {
            log::error!("the certificate in use was not replaced: {why}");
            state.failed = Some(why);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
