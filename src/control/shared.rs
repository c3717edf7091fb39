//! What all sessions share, and the signal that ends them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::auth::Users;
use crate::config::Config;
use crate::data::{Masquerade, Owners, Ports, may_leave_from};
use crate::hook::Hooks;
use crate::log::TransferLog;
use crate::tls::Tls;
use crate::vfs::Parts;

/// Shared by all sessions of a server.
#[derive(Debug)]
pub struct Shared {
    /// The settings.
    pub config: Arc<Config>,
    /// Ends the sessions.
    pub stop: Stop,
    pub(super) users: Arc<Users>,
    pub(super) ports: Arc<Ports>,
    pub(super) masquerade: Masquerade,
    pub(super) owners: Owners,
    pub(super) tls: Option<Tls>,
    pub(super) transfers: Option<TransferLog>,
    /// Programs to start when something has happened.
    pub hooks: Hooks,
    /// What uploads that are not whole are written to.
    pub parts: Arc<Parts>,
}

impl Shared {
    /// What sessions need besides a connection. `ports` are the control ports.
    ///
    /// # Errors
    ///
    /// In words for the administrator.
    pub fn new(config: Arc<Config>, ports: Vec<u16>) -> Result<Self, String> {
        let server = &config.server;
        let open = |path: &Path| {
            TransferLog::open(path)
                .map_err(|why| format!("cannot open transfer_log {}: {why}", path.display()))
        };
        let transfers = server.transfer_log.as_deref().map(open).transpose()?;
        may_leave_from(server.active_port).map_err(|why| {
            format!("active_port {}: {why} (ports below 1024 are for root)", server.active_port)
        })?;
        let tls = config.tls.as_ref().map(Tls::start).transpose();
        Ok(Self {
            stop: Stop::new().map_err(|why| why.to_string())?,
            tls: tls.map_err(|why| why.to_string())?,
            users: Arc::new(Users::new(Arc::clone(&config))),
            ports: Arc::new(Ports::new(config.server.passive_ports, ports)),
            masquerade: Masquerade::new(&config.server),
            owners: Owners::default(),
            hooks: Hooks::new(server.hook_timeout),
            parts: Arc::new(Parts::start(config.state_dir(), server.keep_parts)),
            transfers,
            config,
        })
    }
}

impl Shared {
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
