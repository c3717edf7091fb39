//! Bind, accept, admit, hand over, shut down. Knows no command.
//!
//! One thread for each listening address accepts and never waits for anything else; each
//! client then has a worker of the pool to itself.

mod admin;
mod admission;
mod chores;
mod confine;
mod guard;
mod handed;
mod metrics;
mod muffler;
mod notify;
mod orders;
mod pool;
mod registry;
mod reload;
mod root;
mod stats;
mod watch;

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use crate::config::Config;
use crate::control::{self, Away, Session, Settings, Shared, TurnedAway};
use crate::log::{Event, Who};
use crate::rights;
use admission::ban::Bans;
use admission::place::Place;
use admission::{Admission, Full, Ticket};
use guard::Gate;
use handed::Bell;
use muffler::Muffler;
use pool::Pool;
use registry::{Entry, Registry};
use reload::{Beside, Turn};
use watch::{Acceptor, Pulse, Watch};

pub use handed::Handed;
#[doc(hidden)]
pub use metrics::parse_request;
pub use notify::Supervisor;
pub use orders::{Order, Orders};
pub use reload::Source;

/// A server whose ports are bound.
pub struct Server {
    doors: Vec<Door>,
    hub: Arc<Hub>,
}

/// An address that is listened on.
struct Door {
    listener: TcpListener,
    /// Whether TLS begins there before the greeting.
    implicit_tls: bool,
    /// Of the thread that accepts there.
    pulse: Arc<Pulse>,
    /// Somebody else listens there as well.
    handed: bool,
}

/// What the accept threads share.
struct Hub {
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    bans: Arc<Bans>,
    registry: Arc<Registry>,
    pool: Pool<Client>,
    muffler: Arc<Muffler>,
    source: Source,
    /// The settings that there were at the start.
    started: Arc<Config>,
    orders: Orders,
    supervisor: Supervisor,
    bell: Bell,
    /// Whose turn it is to change the settings.
    turn: Turn,
    /// The reload that nobody waits for.
    beside: Beside,
    admin: OnceLock<admin::Socket>,
}

/// A client on its way to a worker. Dropping it gives back all that it holds.
struct Client {
    stream: Arc<TcpStream>,
    implicit_tls: bool,
    entry: Entry,
}

/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 1024;

/// How long to wait when nothing can be accepted at all.
const BREATH: Duration = Duration::from_millis(100);

/// How often the log is told of the lines about strangers that it does not have.
const TELL: Duration = Duration::from_secs(15);

/// How long sessions may take to say goodbye once their transfers have ended.
const FAREWELL: Duration = Duration::from_secs(2);

impl Server {
    /// Binds every address of the configuration, or takes over the sockets that there are; opens
    /// all that only root can open, and gives root up and confines itself as the settings say. No
    /// other thread may run yet.
    ///
    /// # Errors
    ///
    /// In words for the administrator.
    pub fn bind(
        config: Config,
        source: Source,
        sockets: Vec<Handed>,
        supervisor: Supervisor,
        orders: Orders,
    ) -> Result<Self, String> {
        let config = Arc::new(config);
        let server = &config.server;
        let doors = if sockets.is_empty() {
            open(&config)?
        } else {
            handed::take_over(sockets, &config)?
        };
        let ports = doors.iter().filter_map(Door::address).map(|address| address.port());
        let (bans, registry) = (Arc::<Bans>::default(), Arc::<Registry>::default());
        let muffler = Arc::<Muffler>::default();
        let gate = Gate {
            bans: Arc::clone(&bans),
            registry: Arc::clone(&registry),
            muffler: Arc::clone(&muffler),
        };
        let ports: Vec<_> = ports.collect();
        let settings = Settings::new(Arc::clone(&config), ports.clone(), None)?;
        root::make_folders(&config);
        let user = server.user.as_ref();
        let admin = OnceLock::new();
        if let Some(path) = server.admin_socket.as_deref() {
            match admin::listen(path, user) {
                Ok(socket) => drop(admin.set(socket)),
                Err(why) => log::warn!("no admin socket at {}: {why}", path.display()),
            }
        }
        let sandbox = confine::prepare(&config, &source)?;
        root::give_up(&config, &source)?;
        rights::settle().map_err(|why| format!("cannot start: {why}"))?;
        root::warn_of_hooks(&config);
        let shared = Arc::new(Shared::new(settings, ports, Box::new(gate))?);
        let serve = {
            let shared = Arc::clone(&shared);
            move |client: Client| serve(&client, &shared)
        };
        let hub = Hub {
            admission: Arc::new(Admission::new(server.max_cons)),
            bans,
            registry,
            pool: Pool::new(server.max_cons, serve, rights::is_settled),
            muffler,
            source,
            started: Arc::clone(&config),
            orders,
            supervisor,
            bell: Bell::new().map_err(|why| why.to_string())?,
            turn: Turn::default(),
            beside: Beside::default(),
            admin,
            shared,
        };
        confine::enter(sandbox, &config)?;
        for warning in confine::late_homes(&config) {
            log::warn!("{warning}");
        }
        Ok(Self { doors, hub: Arc::new(hub) })
    }

    /// Serves until it is told to stop; running transfers may go on for the grace period then.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    #[expect(clippy::disallowed_methods, reason = "these threads are started here")]
    pub fn run(self) -> io::Result<()> {
        self.announce();
        let settings = self.hub.shared.settings();
        if settings.masks_by_name() {
            // name servers may take their time
            thread::Builder::new()
                .name("masquerade".to_owned())
                .spawn(move || settings.look_up_mask())?;
        }
        let workers = self.hub.shared.settings().config.hook_workers();
        // a reload that has it starts them as well
        if let Some(mut turn) = self.hub.turn.wait(Duration::ZERO) {
            Hub::start_hook_workers(&self.hub, &mut turn, workers)?;
        }
        let workers = self.hub.shared.settings().config.password_workers();
        Hub::start_password_workers(&self.hub, workers)?;
        if let Some(socket) = self.hub.admin.get() {
            admin::start(socket, &self.hub)?;
        }
        chores::start(&self.hub)?;
        let settings = self.hub.shared.settings();
        if let Some(at) = &settings.config.server.metrics_listen {
            let (mut doors, hub) = (metrics::Doors::open(at), Arc::clone(&self.hub));
            let builder = thread::Builder::new();
            let serve = move || metrics::serve(&mut doors, &hub);
            builder.name("metrics".to_owned()).spawn(serve)?;
        }
        drop(settings);
        // last, so that clients meet a server that has all its threads
        let mut acceptors = Vec::new();
        for door in &self.doors {
            let (hub, pulse) = (Arc::clone(&self.hub), Arc::clone(&door.pulse));
            let (address, door) = (door.address(), door.try_clone()?);
            let port = address.map_or(0, |address| address.port());
            let builder = thread::Builder::new().name(format!("accept-{port}"));
            let thread = builder.spawn(move || accept(&door, &hub))?;
            acceptors.push(Acceptor::new(address, thread, pulse));
        }
        self.hub.supervisor.ready();
        let last = self.wait_for_end(Watch::new(acceptors));
        self.stop(last == Order::StopNow);
        Ok(())
    }

    /// Obeys orders until one says stop; in between the parts of uploads are swept, and the
    /// supervisor is told how things stand.
    fn wait_for_end(&self, mut watch: Watch) -> Order {
        let parts = &self.hub.shared.parts;
        let (sweep, look) = (parts.sweep_every(), self.hub.supervisor.turn());
        let (mut swept, mut looked, mut told) =
            (Instant::now(), Instant::now(), Instant::now());
        loop {
            let left = |since: Instant, every: Duration| every.saturating_sub(since.elapsed());
            let wait = left(swept, sweep);
            let wait = look.map_or(wait, |look| wait.min(left(looked, look)));
            let wait = wait.min(left(told, TELL));
            match self.hub.orders.wait(wait) {
                None => {}
                Some(Order::Reload) => Hub::reload_beside(&self.hub),
                Some(last @ (Order::Stop | Order::StopNow)) => return last,
            }
            if left(swept, sweep).is_zero() {
                parts.sweep();
                self.hub.shared.logins.save(false);
                swept = Instant::now();
            }
            if left(told, TELL).is_zero() {
                self.hub.tell_unsaid(false);
                told = Instant::now();
            }
            if look.is_some_and(|look| left(looked, look).is_zero()) {
                watch.look(&self.hub);
                looked = Instant::now();
            }
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().filter_map(Door::address).collect()
    }

    /// SHA-256 of the certificate, if there is one.
    pub fn fingerprint(&self) -> Option<String> {
        self.hub.shared.settings().fingerprint()
    }

    /// Tells of the sessions as the admin socket does.
    pub fn sessions(&self) -> impl Fn() -> Vec<serde_json::Value> + Send + use<> {
        let hub = Arc::clone(&self.hub);
        move || admin::sessions(&hub)
    }

    fn announce(&self) {
        let settings = self.hub.shared.settings();
        let config = &settings.config;
        let server = &config.server;
        let pid = std::process::id();
        for door in &self.doors {
            let Some(address) = door.address() else { continue };
            let tls = if door.implicit_tls { ", TLS at once" } else { "" };
            log::info!(">>> starting FTP server on {address}, pid={pid}{tls} <<<");
        }
        log::info!("concurrency model: a thread per connection, {} at most", server.max_cons);
        let masquerade = server.masquerade_address.as_deref().unwrap_or("none");
        log::info!("masquerade (NAT) address: {masquerade}");
        let range = server.passive_ports;
        log::info!("passive ports: {}->{}", range.first, range.last);
        if let Some(fingerprint) = settings.fingerprint() {
            let required = server_requires(config);
            log::info!("TLS: {required}, certificate SHA-256 {fingerprint}");
        } else {
            log::info!("TLS: off");
        }
        let anonymous = if server.enable_anonymous { "on" } else { "off" };
        let named = config.named_users();
        log::info!("users: {named}, anonymous: {anonymous}");
    }

    fn stop(&self, now: bool) {
        let hub = &self.hub;
        let server = &hub.shared.settings().config.server;
        let grace = if now { Duration::ZERO } else { server.shutdown_grace };
        let until = Instant::now() + grace;
        hub.supervisor.stopping(grace);
        keep_alive(hub);
        hub.shared.stop.soon();
        hub.bell.ring();
        for door in self.doors.iter().filter(|door| !door.handed) {
            // wakes the thread that accepts on it
            let _ = SockRef::from(&door.listener).shutdown(std::net::Shutdown::Both);
        }
        hub.registry.wake_all();
        // orders first: a reader of the log that has stalled holds up words for a moment
        log::info!(">>> shutting down FTP server <<<");
        if !self.wait_for_transfers(until) {
            hub.shared.stop.now();
            log::info!("ending the transfers that still run");
            hub.pool.wait_idle(FAREWELL);
        }
        if let Some(admin) = hub.admin.get() {
            admin.leave();
        }
        hub.tell_unsaid(true);
        hub.shared.logins.save(true);
        hub.shared.hooks.finish(until.saturating_duration_since(Instant::now()));
        crate::log::retry();
    }

    /// Says whether all have ended before the time was over, or another order came to stop.
    fn wait_for_transfers(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.hub.pool.wait_idle(left.min(BREATH)) {
                return true;
            }
            let order = self.hub.orders.wait(Duration::ZERO);
            let hurry = matches!(order, Some(Order::Stop | Order::StopNow));
            if left.is_zero() || hurry {
                return false;
            }
        }
    }
}

/// While the server stops, which has an end, the watchdog has nothing to watch.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
fn keep_alive(hub: &Arc<Hub>) {
    let Some(beat) = hub.supervisor.beat() else { return };
    let hub = Arc::clone(hub);
    let tell = move || {
        loop {
            hub.supervisor.alive();
            thread::sleep(beat);
        }
    };
    let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(tell);
    if let Err(why) = thread {
        log::warn!("the watchdog hears nothing while the server stops: {why}");
    }
}

/// For the log: what TLS is asked of everybody.
fn server_requires(config: &Config) -> &'static str {
    let required = config.limits.tls_required;
    match (required.control, required.data) {
        (false, false) => "on offer",
        (true, false) => "required for logins",
        (false, true) => "required for transfers",
        (true, true) => "required",
    }
}

impl Door {
    fn try_clone(&self) -> io::Result<Self> {
        let (listener, pulse) = (self.listener.try_clone()?, Arc::clone(&self.pulse));
        let (implicit_tls, handed) = (self.implicit_tls, self.handed);
        Ok(Self { listener, implicit_tls, pulse, handed })
    }

    fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }
}

/// Every address of the settings.
fn open(config: &Config) -> Result<Vec<Door>, String> {
    let server = &config.server;
    let implicit = (server.tls_implicit_port > 0).then_some(server.tls_implicit_port);
    let ports = [(Some(server.port), false), (implicit, true)];
    let mut doors: Vec<Door> = Vec::new();
    for (port, implicit_tls) in ports {
        for address in port.map_or(Ok(Vec::new()), |port| resolve(config, port))? {
            let listener = listen(address, &doors)
                .map_err(|why| format!("cannot listen on {address}: {why}{}", hint(&why)))?;
            doors.push(Door { listener, implicit_tls, pulse: Arc::default(), handed: false });
        }
    }
    Ok(doors)
}

fn resolve(config: &Config, port: u16) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    for host in &config.server.ip {
        // an IPv6 address may stand in brackets, as in a URL
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found = (host, port).to_socket_addrs();
        let found = found.map_err(|why| format!("cannot listen on {host}: {why}"))?;
        for address in found.map(control::canonical) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    // `::` must know whether somebody else serves IPv4
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

/// `::` serves IPv4 as well, unless it stands beside an IPv4 address.
fn listen(address: SocketAddr, others: &[Door]) -> io::Result<TcpListener> {
    let others = others.iter().filter_map(Door::address);
    let beside_ipv4 =
        others.clone().any(|other| other.is_ipv4() && other.port() == address.port());
    let kind = Type::STREAM.cloexec();
    let socket = Socket::new_raw(Domain::for_address(address), kind, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(beside_ipv4)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn hint(why: &io::Error) -> &'static str {
    if why.kind() == io::ErrorKind::PermissionDenied {
        " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
    } else if why.kind() == io::ErrorKind::AddrInUse {
        " (is another server running?)"
    } else {
        ""
    }
}

/// Takes in clients until the server stops.
fn accept(door: &Door, hub: &Hub) {
    let mut reserve = spare();
    loop {
        if door.handed {
            hub.bell.wait(&door.listener);
            if hub.shared.stop.is_soon() {
                return;
            }
        }
        let accepted = door.listener.accept();
        if hub.shared.stop.is_soon() {
            return;
        }
        door.pulse.step();
        match accepted {
            Ok((stream, peer)) => hub.admit(stream, control::canonical(peer), door),
            Err(why) => match Errno::from_io_error(&why) {
                Some(Errno::MFILE | Errno::NFILE) => {
                    reserve = accept_without_files(door, hub, reserve);
                }
                Some(Errno::NOBUFS | Errno::NOMEM | Errno::INVAL) => {
                    log::error!("cannot accept: {why}");
                    thread::sleep(BREATH);
                }
                // the client has gone again
                _ => {}
            },
        }
        door.pulse.step();
    }
}

/// A file descriptor to give up when there are no others.
#[expect(clippy::disallowed_methods, reason = "not a served file")]
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// The process has no file descriptor left. With the spare one, a client can still be told
/// so, instead of being left to wait.
fn accept_without_files(door: &Door, hub: &Hub, reserve: Option<File>) -> Option<File> {
    if reserve.is_none() {
        thread::sleep(BREATH);
        return spare();
    }
    drop(reserve);
    let Ok((stream, peer)) = door.listener.accept() else { return spare() };
    let peer = control::canonical(peer);
    let again = spare();
    if again.is_some() {
        // others have been closed meanwhile
        hub.admit(stream, peer, door);
        return again;
    }
    hub.turn_away(&stream, peer, Away::Files, "no file descriptor left; raise ulimit -n");
    drop(stream);
    spare()
}

impl Hub {
    fn admit(&self, stream: TcpStream, peer: SocketAddr, door: &Door) {
        let settings = self.shared.settings();
        let rules = &settings.config.server;
        let is_banned = || self.bans.refuses(peer.ip(), rules, Instant::now());
        // the log has told when it began
        if is_banned() {
            return self.turn_away_banned(&stream);
        }
        let ticket = match self.find_place(peer, rules.max_per_ip) {
            Ok(ticket) => ticket,
            Err(full) => return self.turn_away(&stream, peer, full.away(), full.why()),
        };
        let stream = Arc::new(stream);
        let entry = self.registry.enter(&stream, peer, ticket);
        // who began a ban meanwhile may not have seen this one
        if is_banned() {
            return self.turn_away_banned(&stream);
        }
        if self.shared.stop.is_soon() {
            self.registry.wake_all();
        }
        let implicit_tls = door.implicit_tls;
        let client = Client { stream, implicit_tls, entry };
        if let Err(client) = self.pool.submit(client) {
            let peer = client.entry.live.peer;
            self.turn_away(&client.stream, peer, Away::Worker, "no worker is free");
        } else {
            self.shared.counters.sessions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A place for a client: a free one, or that of a stranger who keeps users out. That one's
    /// worker is free in a moment, and the client waits for it in the pool.
    fn find_place(
        &self,
        peer: SocketAddr,
        most_per_place: Option<usize>,
    ) -> Result<Ticket, Full> {
        const WHY: &str = "Too many connections, try again later";
        let (place, now) = (Place::of(peer.ip()), Instant::now());
        let full = match self.admission.admit(place, most_per_place, now) {
            Err(full @ Full::Server) => full,
            other => return other,
        };
        let owes = self.admission.owes(place, now);
        let most = self.admission.most();
        let Some(evicted) = self.registry.evict(most, place, owes, WHY) else {
            return Err(full);
        };
        self.shared.counters.away.count(Away::Evicted);
        self.log_turned_away(evicted.peer, "not logged in, and max_cons clients are connected");
        evicted.ticket.pass_on(place, most_per_place, evicted.rests, now)
    }

    /// Writes the counts of lines that were not written; `all`: for the last time.
    fn tell_unsaid(&self, all: bool) {
        let (door, places, others) = self.muffler.untold(all, Instant::now());
        tell_turned_away(door);
        for (place, unsaid) in places {
            guard::tell_unsaid(place, unsaid);
        }
        if others > 0 {
            log::warn!("{others} more lines about strangers elsewhere were left out");
        }
    }

    fn turn_away_banned(&self, stream: &TcpStream) {
        self.shared.counters.away.count(Away::Banned);
        control::turn_away(stream, TurnedAway::Banned);
    }

    fn turn_away(&self, stream: &TcpStream, peer: SocketAddr, how: Away, why: &str) {
        self.shared.counters.away.count(how);
        control::turn_away(stream, TurnedAway::Full);
        self.log_turned_away(peer, why);
    }

    fn log_turned_away(&self, peer: SocketAddr, why: &str) {
        if let Some(unsaid) = self.muffler.at_door(Instant::now()) {
            tell_turned_away(unsaid);
            crate::log::session(Who { peer, user: None }, &Event::TurnedAway(why));
        }
    }
}

fn tell_turned_away(unsaid: u64) {
    if unsaid > 0 {
        log::warn!("{unsaid} more clients were turned away");
    }
}

/// The place is free before the client hears the last word.
fn serve(client: &Client, shared: &Arc<Shared>) {
    // an error here means that the client has gone before it was greeted
    if let Ok(mut session) = begin(client, shared) {
        let parting = session.run();
        client.entry.give_back();
        // from here on the next client may wait for this thread
        let _ = client.stream.set_nonblocking(true);
        session.part(&parting);
    }
}

/// On the heap: each page that a thread's stack has touched stays its own.
#[inline(never)]
fn begin(client: &Client, shared: &Arc<Shared>) -> io::Result<Box<Session>> {
    let (shared, live) = (Arc::clone(shared), Arc::clone(&client.entry.live));
    Session::new(&client.stream, shared, client.implicit_tls, live).map(Box::new)
}
