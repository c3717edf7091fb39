//! The server: binds, accepts and admits clients, hands them to workers, and shuts down. It
//! knows no FTP commands.
//!
//! One thread for each listening address accepts clients and never waits for anything else.
//! Each client then has a worker of the pool to itself.

mod accept;
mod admin;
mod admission;
mod admit;
mod agenda;
mod announce;
mod bell;
mod chores;
mod client;
mod confine;
mod doors;
mod guard;
mod handed;
mod homes;
mod hub;
mod introduce;
mod keep;
mod lobby;
mod metrics;
mod muffler;
mod notify;
mod orders;
mod pool;
mod pulse;
mod registry;
mod reload;
mod root;
mod scribe;
mod sentry;
mod slumber;
mod source;
mod spare;
pub mod stats;
mod stop;
mod trash;
mod usher;
mod watch;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::config::Config;
use crate::control::{Settings, Shared};
use crate::launch::Launcher;
use crate::rights;
use admin::farewell::Farewell;
use admin::socket::AdminSocket;
use admission::Admission;
use agenda::Agenda;
use bell::Bell;
use client::Client;
use doors::Door;
use guard::Gate;
use hub::Hub;
use lobby::Lobby;
use metrics::listeners::Listeners;
use pool::Pool;
use reload::turn::{Beside, Turn};
use slumber::Slumber;
use usher::Usher;
use watch::{Acceptor, Watch};

pub use admin::protocol;
pub use doors::addresses;
pub use handed::Handed;
pub use homes::{late_mounts, unwritable as unwritable_homes};
pub use lobby::MOST_WAITING;
#[doc(hidden)]
pub use metrics::http::parse_request;
pub use notify::Supervisor;
pub use orders::{Order, Orders};
pub use source::SettingsSource;

/// A server whose ports are bound.
pub struct Server {
    doors: Vec<Door>,
    hub: Arc<Hub>,
}

impl Server {
    /// Binds every address of the settings, or takes over the sockets that were handed over;
    /// opens everything that only root can open; then gives up root, hides its memory, starts the
    /// process that starts programs, and enters the sandbox as the settings say. No other thread
    /// may run yet.
    ///
    /// # Errors
    ///
    /// If the server cannot start; the error is a message for the administrator.
    pub fn bind(
        config: Config,
        source: SettingsSource,
        sockets: Vec<Handed>,
        supervisor: Supervisor,
        orders: Orders,
    ) -> Result<Self, String> {
        let config = Arc::new(config);
        let doors = if sockets.is_empty() {
            doors::open(&config)?
        } else {
            handed::take_over(sockets, &config)?
        };
        let ports: Vec<_> = doors.iter().map(|door| door.address.port()).collect();
        let settings = Settings::new(Arc::clone(&config), ports.clone(), None)?;
        root::make_folders(&config);
        root::check_quarantines(&config)?;
        let admin = Mutex::new(admin_socket(&config));
        let sandbox = confine::prepare(&config, &source)?;
        root::give_up(&config, &source)?;
        rights::settle().map_err(|why| format!("cannot start: {why}"))?;
        let launcher = start_launcher(&config, &source)?;
        let slumber = Slumber::new(orders.clone()).map_err(|why| why.to_string())?;
        let gate = Gate::new(slumber);
        let guard = Box::new(gate.clone());
        let shared = Arc::new(Shared::new(settings, ports, guard, launcher)?);
        let usher = Usher::new(&shared, &gate);
        let own = Arc::clone(&shared);
        let serve = move |client: Client| client::serve(&client, &own);
        let most = config.server.clients.max;
        let hub = Hub {
            admission: Arc::new(Admission::new(most)),
            bans: gate.bans,
            usher,
            registry: gate.registry,
            lobby: Lobby::new().map_err(|why| why.to_string())?,
            pool: Pool::new(most, serve, rights::is_settled),
            muffler: gate.muffler,
            source,
            started: Arc::clone(&config),
            orders,
            supervisor,
            bell: Bell::new().map_err(|why| why.to_string())?,
            slumber: gate.slumber,
            turn: Turn::default(),
            beside: Beside::default(),
            ageing: AtomicBool::default(),
            farewell: Farewell::default(),
            admin,
            shared,
        };
        confine::enter(sandbox, &config)?;
        for warning in homes::warnings(&config) {
            log::warn!("{warning}");
        }
        Ok(Self { doors, hub: Arc::new(hub) })
    }

    /// Serves until it is ordered to stop. Running transfers may continue for the grace period.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started.
    #[expect(clippy::disallowed_methods, reason = "these threads are started here")]
    pub fn run(self) -> io::Result<()> {
        let _log = scribe::start()?;
        announce::announce(&self.doors, &self.hub.shared.settings());
        let settings = self.hub.shared.settings();
        if settings.masks_by_name() {
            // in a thread of its own, because name servers may be slow
            thread::Builder::new()
                .name("masquerade".to_owned())
                .spawn(move || settings.look_up_mask())?;
        }
        self.start_workers()?;
        // last, so that all other threads run when the first client comes
        let mut acceptors = Vec::new();
        for door in &self.doors {
            let (hub, pulse) = (Arc::clone(&self.hub), Arc::clone(&door.pulse));
            let (address, door) = (door.address, door.try_clone()?);
            let builder = thread::Builder::new().name(format!("accept-{}", address.port()));
            let thread = builder.spawn(move || accept::accept(&door, &hub))?;
            acceptors.push(Acceptor::new(address, thread, pulse));
        }
        self.hub.supervisor.ready();
        let mut agenda = Agenda::new(Watch::new(acceptors), &self.hub);
        let last = self.wait_for_end(&mut agenda);
        stop::stop(&self.doors, &self.hub, last, agenda.watch());
        Ok(())
    }

    /// Starts all threads except those that accept clients.
    #[expect(clippy::disallowed_methods, reason = "these threads are started here")]
    fn start_workers(&self) -> io::Result<()> {
        let hub = &self.hub;
        let settings = hub.shared.settings();
        // if a reload is already running, it starts these threads
        if let Some(mut turn) = hub.turn.wait(Duration::ZERO) {
            workers::start_for_hooks(hub, &mut turn, settings.config.hook_workers())?;
        }
        workers::start_for_passwords(hub, settings.config.password_workers())?;
        workers::start_for_quotas(hub)?;
        workers::start_for_events(hub)?;
        if let Some(socket) = hub.admin().as_ref() {
            admin::start(socket, hub)?;
        }
        chores::start(hub)?;
        trash::start(hub)?;
        keep::start(hub)?;
        if let Some(at) = &settings.config.server.admin.metrics {
            let (mut listeners, hub) = (Listeners::open(at), Arc::clone(hub));
            let serve = move || metrics::serve(&mut listeners, &hub);
            thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
        }
        Ok(())
    }

    /// Carries out orders until one of them is to stop, and returns that one. In between,
    /// removes old parts of uploads and reports to the supervisor.
    fn wait_for_end(&self, agenda: &mut Agenda) -> Order {
        loop {
            match self.hub.orders.wait(agenda.time(&self.hub)) {
                None => {}
                Some(Order::Reload) => reload::reload_beside(&self.hub),
                Some(last @ (Order::Stop | Order::StopNow | Order::Drain)) => return last,
            }
            agenda.carry_out(&self.hub);
        }
    }

    /// The addresses that the server listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().map(|door| door.address).collect()
    }

    /// The SHA-256 fingerprint of the certificate, if there is one.
    pub fn fingerprint(&self) -> Option<String> {
        self.hub.shared.settings().fingerprint()
    }

    /// Returns a function that lists the sessions as the admin socket does.
    pub fn sessions(&self) -> impl Fn() -> Vec<protocol::SessionView> + Send + use<> {
        let hub = Arc::clone(&self.hub);
        move || admin::view::sessions(&hub)
    }
}

/// Starts the process that starts programs, with the rights that the server has kept.
fn start_launcher(config: &Config, source: &SettingsSource) -> Result<Arc<Launcher>, String> {
    root::warn_of_hooks(config);
    let launcher = Launcher::new(source.file.clone());
    launcher.start(config)?;
    Ok(Arc::new(launcher))
}

/// Makes the admin socket. If it cannot be made, the server runs without it.
fn admin_socket(config: &Config) -> Option<AdminSocket> {
    let path = config.server.admin.socket.as_deref()?;
    let made = admin::socket::listen(path, config.server.process.user.as_ref());
    made.map_err(|why| log::warn!("no admin socket at {}: {why}", path.display())).ok()
}
