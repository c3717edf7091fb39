//! The state that all threads of the server share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::admin::farewell::Farewell;
use super::admin::socket::AdminSocket;
use super::admission::Admission;
use super::admission::bans::Bans;
use super::bell::Bell;
use super::client::Client;
use super::lobby::Lobby;
use super::muffler::Muffler;
use super::notify::Supervisor;
use super::orders::Orders;
use super::pool::Pool;
use super::registry::Registry;
use super::reload::turn::{Beside, Turn};
use super::slumber::Slumber;
use super::source::SettingsSource;
use super::usher::Usher;
use crate::config::Config;
use crate::control::Shared;

/// The state that all threads of the server share.
pub(super) struct Hub {
    pub(super) shared: Arc<Shared>,
    pub(super) admission: Arc<Admission>,
    pub(super) bans: Arc<Bans>,
    pub(super) registry: Arc<Registry>,
    pub(super) lobby: Lobby,
    pub(super) pool: Pool<Client>,
    pub(super) muffler: Arc<Muffler>,
    pub(super) usher: Usher,
    pub(super) source: SettingsSource,
    /// The settings with which the server was started.
    pub(super) started: Arc<Config>,
    pub(super) orders: Orders,
    pub(super) supervisor: Supervisor,
    pub(super) bell: Bell,
    pub(super) slumber: Arc<Slumber>,
    /// Lets one thread at a time change the settings.
    pub(super) turn: Turn,
    /// Reloads that run in the background.
    pub(super) beside: Beside,
    /// Whether the thread runs that removes old files from the trash.
    pub(super) ageing: AtomicBool,
    /// The connections of those who have drained the server and wait for its end.
    pub(super) farewell: Farewell,
    /// The admin socket, if the server could make it.
    pub(super) admin: Mutex<Option<AdminSocket>>,
}

impl Hub {
    /// The admin socket, if the server could make it.
    pub(super) fn admin(&self) -> MutexGuard<'_, Option<AdminSocket>> {
        self.admin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
