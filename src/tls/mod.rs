//! TLS: the certificate and its renewal, the settings of a session, the layer between a TCP
//! stream and its bytes, and the one place that waits for such streams. Alone knows `rustls`.
//!
//! Each control connection gets settings of its own, with a key of its own for tickets, and its
//! data connections give out tickets only if they have resumed themselves. So a data connection
//! that resumes has been opened by the client of that control connection, in TLS 1.2 and 1.3
//! alike, however often a client uses one ticket.

mod channel;
mod identity;
mod layer;
mod tickets;
mod wait;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig, version};

use crate::config::{ClientCertificate, Resume, TlsSettings, TlsVersion};
use crate::rights;
use tickets::{Gate, Sealer};

pub use channel::Channel;
pub use identity::Identity;
pub use layer::{Got, Layer, Peer, Want};
pub use wait::{Awaited, wait};

/// The server's side of TLS.
pub struct Tls {
    settings: TlsSettings,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    stamp: identity::Stamp,
    config: Arc<ServerConfig>,
    fingerprint: String,
    /// When the certificate ends.
    ends: SystemTime,
    /// Why the files could not be taken at the last look. They are looked at again until they can,
    /// whether they change or not: whatever was in the way may be gone.
    failed: Option<String>,
}

/// What is wrong with the certificate and its key, without making any: warnings, or an error
/// with which the server would not start.
///
/// # Errors
///
/// When the files cannot be used.
pub fn check(settings: &TlsSettings) -> Result<Vec<String>, TlsError> {
    let identity = match settings.is_auto().then(|| Identity::fresh(settings)).transpose()? {
        None => Identity::load(settings)?,
        Some(Some(identity)) => identity,
        Some(None) => {
            Identity::can_be_made(settings)?;
            return verifier(settings).map(|_| Vec::new());
        }
    };
    let warnings = identity.warnings(SystemTime::now());
    build(settings, identity).map(|_| warnings)
}

/// The settings of one control connection and its data connections. They differ in the number
/// of tickets behind a handshake of TLS 1.3: many clients use each ticket once.
#[derive(Clone)]
pub struct SessionTls {
    control: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
}

/// What went wrong, in words.
#[derive(Debug)]
pub struct TlsError(pub(crate) String);

/// How often the certificate's files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Sessions that a control connection's own cache holds, for clients that know no tickets.
const CACHE: usize = 8;

/// Tickets on a control connection: clients that keep them keep no more than eight.
const MANY: usize = 8;

/// Tickets on a data connection: more than it used.
const FEW: usize = 2;

/// What FTP is called in ALPN. A browser that was led here offers other names, and is refused.
const NAMES: [&[u8]; 3] = [b"ftp", b"ftp-data", b"x-filezilla-ftp"];

impl SessionTls {
    /// The settings of one data connection, and what lets it give out tickets.
    fn data_connection(&self) -> (Arc<ServerConfig>, Gate) {
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

impl Tls {
    /// Reads the certificate, or makes one.
    ///
    /// # Errors
    ///
    /// What is wrong with the files.
    pub fn start(settings: &TlsSettings) -> Result<Self, TlsError> {
        let stamp = identity::Stamp::of(settings);
        let identity = Identity::load(settings)?;
        let state = State {
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
            return Ok(SessionTls { control: Arc::clone(&shared), data: shared });
        }
        let mut data = ServerConfig::clone(&shared);
        data.ticketer = Arc::new(Sealer::new()?);
        data.session_storage = ServerSessionMemoryCache::new(CACHE);
        data.send_tls13_tickets = FEW;
        let mut control = data.clone();
        control.send_tls13_tickets = MANY;
        Ok(SessionTls { control: Arc::new(control), data: Arc::new(data) })
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
        let stamp = identity::Stamp::of(&self.settings);
        {
            let state = lock();
            let ends_soon = is_auto && identity::near(state.ends);
            if stamp == state.stamp && !ends_soon && state.failed.is_none() {
                return;
            }
        }
        let loaded = Identity::load(&self.settings).and_then(|identity| {
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

impl fmt::Debug for SessionTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTls")
    }
}

fn build(settings: &TlsSettings, identity: Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let versions: &[_] = match settings.min_version {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(TlsError::of)?;
    let verifier = verifier(settings)?;
    let (certificate, key) = settings.files();
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(|why| Identity::explain(&certificate, &key, &why))?;
    config.time_provider = Arc::new(Clock);
    config.alpn_protocols = NAMES.iter().map(|name| name.to_vec()).collect();
    if settings.resume == Resume::Off {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// The system's time, from 1970 on: a clock that stands before that is wrong anyway, and a client
/// certificate is then not valid yet.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(since.unwrap_or_default()))
    }
}

/// Who judges clients' certificates, if any are asked for.
fn verifier(settings: &TlsSettings) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(file) = &settings.client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let bad = |why: String| TlsError(format!("tls_client_ca {}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for root in identity::certificates("tls_client_ca", file)? {
        roots.add(root).map_err(|why| bad(why.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("no certificate in it".to_owned()));
    }
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match settings.client_cert {
        ClientCertificate::Required => builder,
        ClientCertificate::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|why| bad(why.to_string()))
}

impl TlsError {
    fn of(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
