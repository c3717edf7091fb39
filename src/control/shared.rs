//! What all sessions share, and the signal that ends them.

use std::hash::RandomState;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::event::{EventfdFlags, eventfd};

use super::counters::Counters;
use super::offence::Guard;
use crate::auth::{Logins, Passwords, Users};
use crate::config::Config;
use crate::data::{Masquerade, Owners, Ports, may_leave_from};
use crate::hook::Hooks;
use crate::log::{Recent, TransferLog};
use crate::tls::Tls;
use crate::vfs::{Parts, Turns};

/// Shared by all sessions of a server.
#[derive(Debug)]
pub struct Shared {
    settings: RwLock<Arc<Settings>>,
    /// Ends the sessions.
    pub stop: Stop,
    /// Is told what clients do that they should not.
    pub(super) guard: Box<dyn Guard>,
    /// Key of the hashes by which tries of the same password are known again.
    pub(super) guesses: RandomState,
    /// What has happened so far.
    pub counters: Counters,
    pub(super) owners: Owners,
    /// Programs to start when something has happened.
    pub hooks: Hooks,
    /// Who checks hashed passwords.
    pub passwords: Arc<Passwords>,
    /// When each user has logged in last.
    pub logins: Logins,
    /// The last events, for the page.
    pub recent: Recent,
    /// What uploads that are not whole are written to.
    pub parts: Arc<Parts>,
    /// What uploads take turns at.
    pub turns: Arc<Turns>,
    /// They are never given to a data connection.
    control_ports: Vec<u16>,
}

/// The settings, and what is made of them. A session keeps to those that there were when it
/// logged in; others may come while the server runs.
#[derive(Debug)]
pub struct Settings {
    /// As they were read.
    pub config: Arc<Config>,
    pub(super) users: Users,
    pub(super) ports: Arc<Ports>,
    pub(super) masquerade: Masquerade,
    pub(super) tls: Option<Tls>,
    pub(super) transfers: Option<TransferLog>,
}

impl Shared {
    /// What sessions need besides a connection. `control_ports` are listened on.
    ///
    /// # Errors
    ///
    /// In words for the administrator.
    pub fn new(
        settings: Settings,
        control_ports: Vec<u16>,
        guard: Box<dyn Guard>,
    ) -> Result<Self, String> {
        let config = Arc::clone(&settings.config);
        let server = &config.server;
        let passwords = settings.users.passwords();
        let known: Vec<_> = config.acting().cloned().collect();
        Ok(Self {
            settings: RwLock::new(Arc::new(settings)),
            stop: Stop::new().map_err(|why| why.to_string())?,
            guard,
            guesses: RandomState::new(),
            counters: Counters::default(),
            owners: Owners::default(),
            hooks: Hooks::new(server.hooks.timeout),
            passwords,
            logins: Logins::start(server.storage.state_dir.as_deref()),
            recent: Recent::new(server.admin.metrics.is_some()),
            parts: Arc::new(Parts::start(
                config.state_dir(),
                server.storage.keep_parts,
                &known,
            )),
            turns: Arc::new(Turns::default()),
            control_ports,
        })
    }

    /// What holds now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is made of other settings. It does not hold yet.
    ///
    /// # Errors
    ///
    /// In words for the administrator.
    pub fn prepare(&self, config: Arc<Config>) -> Result<Settings, String> {
        Settings::new(config, self.control_ports.clone(), Some(&self.settings()))
    }

    /// From now on these settings hold for who comes, and their limits on speed for all.
    pub fn renew(&self, settings: Settings) {
        let settings = Arc::new(settings);
        let mut held = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::clone(&settings);
        drop(held);
        settings.ports.renew(settings.config.server.passive.ports);
        settings.users.take_effect();
    }
}

impl Settings {
    /// Opens the files that the settings name. Who is here under `old` ones stays.
    ///
    /// # Errors
    ///
    /// In words for the administrator.
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
        let users = old.map_or_else(|| Users::new(own()), |old| old.users.renewed(own()));
        Ok(Self { config, users, ports, masquerade, tls, transfers })
    }

    /// How many passive ports are in use, and how many there are.
    pub fn passive_ports(&self) -> (usize, usize) {
        self.ports.count()
    }

    /// Whether PASV replies name a host that must be looked up.
    pub fn masks_by_name(&self) -> bool {
        self.masquerade.is_name()
    }

    /// Looks that host up. The log has a warning if its name does not resolve.
    pub fn look_up_mask(&self) {
        self.masquerade.look_up();
    }

    /// SHA-256 of the certificate, if there is one.
    pub fn fingerprint(&self) -> Option<String> {
        self.tls.as_ref().map(Tls::fingerprint)
    }
}

/// The signal to stop, in two steps: no new commands; and then, no more transfers.
#[derive(Debug)]
pub struct Stop {
    soon: AtomicBool,
    now: OwnedFd,
}

impl Stop {
    fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self { soon: AtomicBool::new(false), now: eventfd(0, flags)? })
    }

    /// Sessions end when they have answered their command. Those that wait for one must be
    /// woken, which a shutdown of the reading side of their connection does.
    pub fn soon(&self) {
        self.soon.store(true, Ordering::SeqCst);
    }

    /// Running transfers end.
    pub fn now(&self) {
        self.soon();
        // cannot fail: the counter is far from its limit
        let _ = rustix::io::write(&self.now, &1_u64.to_ne_bytes());
    }

    /// Whether sessions should end.
    pub fn is_soon(&self) -> bool {
        self.soon.load(Ordering::SeqCst)
    }
}

/// Readable once [`Stop::now`] was called.
impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.now.as_fd()
    }
}
