//! The state that all sessions share, and the signal that ends them.

use std::hash::RandomState;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::event::{EventfdFlags, eventfd};

use super::counters::Counters;
use super::offence::Guard;
use super::silence::Silence;
use crate::auth::{LOGINS, LastTimes, Passwords, Users};
use crate::config::Config;
use crate::data::{Masquerade, Owners, Ports, Speeds, may_leave_from};
use crate::events::{Events, Receiver};
use crate::gate::Gate;
use crate::launch::Launcher;
use crate::log::{Recent, TransferLog};
use crate::tls::Tls;
use crate::vfs::{Hashes, Keeper, Parts, Quotas, Turns};

/// The state that all sessions of a server share.
#[derive(Debug)]
pub struct Shared {
    settings: RwLock<Arc<Settings>>,
    /// The signal that ends the sessions.
    pub stop: Stop,
    /// The guard, which gets reports of the offences of clients.
    pub(super) guard: Box<dyn Guard>,
    /// The key for hashing tried passwords, so that repeated ones are recognized.
    pub(super) guesses: RandomState,
    /// The counters.
    pub counters: Counters,
    pub(super) owners: Owners,
    pub(super) speeds: Speeds,
    /// Those who are told of events.
    pub events: Events,
    /// Judges uploads.
    pub gate: Gate,
    /// Starts programs.
    pub launcher: Arc<Launcher>,
    /// The threads that check hashed passwords.
    pub passwords: Arc<Passwords>,
    /// The time of the last login of each user.
    pub logins: LastTimes,
    /// The users from whom uploads are expected.
    pub silence: Silence,
    /// The last events, for the status page.
    pub recent: Recent,
    /// What the homes with a quota hold.
    pub quotas: Arc<Quotas>,
    /// The parts of incomplete uploads.
    pub parts: Arc<Parts>,
    /// Lets uploads that write to the same file take turns.
    pub turns: Arc<Turns>,
    /// The checksums of files.
    pub(super) hashes: Hashes,
    /// Removes old files, as the settings say.
    pub keeper: Keeper,
    /// The ports that the server listens on. Data connections never get them.
    control_ports: Vec<u16>,
}

/// The settings, and everything that is opened or started for them. A reload replaces them,
/// but a session keeps those that were in effect at its login.
#[derive(Debug)]
pub struct Settings {
    /// The settings as they were read.
    pub config: Arc<Config>,
    pub(super) users: Users,
    pub(super) ports: Arc<Ports>,
    pub(super) masquerade: Masquerade,
    pub(super) tls: Option<Tls>,
    pub(super) transfers: Option<TransferLog>,
    /// Who is told of events over the network.
    receiver: Option<Arc<Receiver>>,
}

impl Shared {
    /// Creates the shared state. The server listens on `control_ports`.
    ///
    /// # Errors
    ///
    /// Returns an error text for the administrator.
    pub fn new(
        settings: Settings,
        control_ports: Vec<u16>,
        guard: Box<dyn Guard>,
        launcher: Arc<Launcher>,
    ) -> Result<Self, String> {
        let config = Arc::clone(&settings.config);
        let server = &config.server;
        let passwords = settings.users.passwords();
        let known: Vec<_> = config.acting().cloned().collect();
        let (storage, turns) = (&server.storage, Arc::<Turns>::default());
        let quotas = Arc::new(Quotas::start(storage.state_dir.as_deref(), &config));
        let own = Arc::clone(&quotas);
        let parts = Parts::start(config.state_dir(), storage.keep_parts, &known, own);
        let parts = Arc::new(parts);
        let keeper = Keeper::new(storage.state_dir.as_deref(), &parts, &turns);
        keeper.renew(&config);
        let receiver = settings.receiver.clone();
        let events = Events::new(server, receiver, Arc::clone(&launcher));
        Ok(Self {
            settings: RwLock::new(Arc::new(settings)),
            stop: Stop::new().map_err(|why| why.to_string())?,
            guard,
            guesses: RandomState::new(),
            counters: Counters::default(),
            owners: Owners::default(),
            speeds: Speeds::new(&config),
            events: events.map_err(|why| why.to_string())?,
            gate: Gate::new(Arc::clone(&launcher)),
            launcher,
            passwords,
            logins: LastTimes::start(server.storage.state_dir.as_deref(), LOGINS),
            silence: Silence::start(server.storage.state_dir.as_deref()),
            recent: Recent::new(server.admin.metrics.is_some()),
            quotas,
            parts,
            turns,
            hashes: Hashes::new(most_hashes()),
            keeper,
            control_ports,
        })
    }

    /// Returns the settings that are in effect.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Prepares new settings, which are not yet in effect.
    ///
    /// # Errors
    ///
    /// Returns an error text for the administrator.
    pub fn prepare(&self, config: Arc<Config>) -> Result<Settings, String> {
        Settings::new(config, self.control_ports.clone(), Some(&self.settings()))
    }

    /// Puts new settings into effect for new logins, and their speed limits for all sessions.
    pub fn renew(&self, settings: Settings) {
        let settings = Arc::new(settings);
        let mut held = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::clone(&settings);
        drop(held);
        self.quotas.renew(&settings.config);
        self.events.renew(&settings.config.server, settings.receiver.clone());
        settings.ports.renew(settings.config.server.passive.ports);
        self.take_effect(&settings);
    }

    /// Applies settings to what is running: the speed limits of transfers, and the number of
    /// passwords that are checked at once.
    pub(super) fn take_effect(&self, settings: &Settings) {
        self.speeds.take_effect(&settings.config);
        settings.users.take_effect();
        self.keeper.renew(&settings.config);
    }
}

impl Settings {
    /// Opens the files that the settings name. Sessions and passive ports that are in use
    /// under the `old` settings are still counted.
    ///
    /// # Errors
    ///
    /// Returns an error text for the administrator.
    pub fn new(
        config: Arc<Config>,
        control_ports: Vec<u16>,
        old: Option<&Self>,
    ) -> Result<Self, String> {
        let server = &config.server;
        let open = |path: &Path| {
            TransferLog::open(path, server.process.user.as_ref())
                .map_err(|why| format!("cannot open transfer_log {}: {why}", path.display()))
        };
        let transfers = server.log.transfers.as_deref().map(open).transpose()?;
        may_leave_from(server.data.active_port).map_err(|why| {
            format!(
                "active_port {}: {why} (ports below 1024 are for root)",
                server.data.active_port
            )
        })?;
        let tls = config.tls.as_ref().map(Tls::start).transpose();
        let tls = tls.map_err(|why| why.to_string())?;
        let new = || Arc::new(Ports::new(server.passive.ports, control_ports));
        let ports = old.map_or_else(new, |old| Arc::clone(&old.ports));
        let masquerade = Masquerade::new(&server.passive);
        let own = || Arc::clone(&config);
        let users = old.map_or_else(|| Users::new(own()), |old| old.users.renewed(own()))?;
        let receiver = Receiver::of(&config)?;
        Ok(Self { config, users, ports, masquerade, tls, transfers, receiver })
    }

    /// Returns the number of passive ports in use, and the number of all passive ports.
    pub fn passive_ports(&self) -> (usize, usize) {
        self.ports.count()
    }

    /// Returns whether `masquerade_address` is a name that must be looked up.
    pub fn masks_by_name(&self) -> bool {
        self.masquerade.is_name()
    }

    /// Looks up the name in `masquerade_address`. Logs a warning if it does not resolve.
    pub fn look_up_mask(&self) {
        self.masquerade.look_up();
    }

    /// Returns the SHA-256 fingerprint of the certificate, if there is one.
    pub fn fingerprint(&self) -> Option<String> {
        self.tls.as_ref().map(Tls::fingerprint)
    }
}

/// Returns how many files are read at once for checksums or copies: half of the processors may work on
/// that.
fn most_hashes() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (processors / 2).max(1)
}

/// The signal to stop, which has three steps: the server accepts no more clients, which may be left out;
/// sessions accept no more commands; running transfers end.
#[derive(Debug)]
pub struct Stop {
    draining: AtomicBool,
    soon: AtomicBool,
    now: OwnedFd,
}

impl Stop {
    fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (draining, soon) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { draining, soon, now: eventfd(0, flags)? })
    }

    /// Accepts no more clients. Sessions go on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Returns whether no more clients are accepted.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst) || self.is_soon()
    }

    /// Ends each session after its current command. Sessions that wait for a command must be
    /// woken by shutting down the reading side of their connection.
    pub fn soon(&self) {
        self.soon.store(true, Ordering::SeqCst);
    }

    /// Ends the running transfers as well.
    pub fn now(&self) {
        self.soon();
        // cannot fail, because the counter is far from its limit
        let _ = rustix::io::write(&self.now, &1_u64.to_ne_bytes());
    }

    /// Returns whether sessions should end.
    pub fn is_soon(&self) -> bool {
        self.soon.load(Ordering::SeqCst)
    }
}

/// The file descriptor becomes readable when [`Stop::now`] is called.
impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.now.as_fd()
    }
}
