//! The probes, in the order in which they are carried out. Each one tells a fact, and leaves to the
//! judge what it means.

use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::facts::{
    Answer, Epsv, Fact, Hidden, Method, Passive, Program, TlsStart, Transfer, Trouble, Try,
    Way, World,
};
use super::reply::Reply;
use super::transfer::{Body, Order};
use super::trust::Trust;
use super::url::{Secret, Security, Url};
use super::wire::{Clock, connect};
use crate::cli::reach::Reach;

/// Maximum number of addresses of a name that are connected to.
const ADDRESSES: usize = 8;

/// Number of attempts with each passive method. They show a range of ports that is open only in
/// part.
const TRIES: usize = 6;

/// A port on which servers do not listen, and which firewalls do not open: the one from which
/// servers with TLS from the start may open data connections in active mode.
const CLOSED: u16 = 989;

/// A transfer whose data connection cannot be opened is repeated this often, because the range of
/// ports may be open in part.
const REPEATS: usize = 5;

/// What is examined.
pub(super) struct Plan {
    pub(super) url: Url,
    pub(super) user: Vec<u8>,
    pub(super) password: Secret,
    /// Nothing is uploaded.
    pub(super) read_only: bool,
    /// Active mode is tested even if passive mode works.
    pub(super) active: bool,
    /// How long a connection may take.
    pub(super) timeout: Duration,
    /// The name of the probe file without its ending.
    pub(super) stem: String,
}

/// Receives each fact.
pub(super) type Tell<'a> = &'a mut dyn FnMut(&Fact, &World);

/// An examination that is under way.
pub(super) struct Examination<'a> {
    pub(super) plan: &'a Plan,
    pub(super) clock: Clock,
    world: World,
    tell: Tell<'a>,
    /// Facts are not told, for they were told before.
    quiet: bool,
    /// Whether the wanted directory was entered.
    is_there: bool,
}

/// The examination cannot go on.
pub(super) struct End;

/// Examines a server.
pub(super) fn examine(plan: &Plan, clock: &Clock, tell: Tell<'_>) {
    let world = World {
        host: plan.url.host.clone(),
        port: plan.url.port,
        security: plan.url.security,
        is_anonymous: plan.url.user.is_none(),
        program: Program::Unknown,
        peer: None,
        local: None,
        is_protected: false,
        features: Vec::new(),
        resumes: false,
        epsv: Epsv::Absent,
        epsv_troubles: Vec::new(),
        beside: None,
    };
    let clock = clock.clone();
    let mut all = Examination { plan, clock, world, tell, quiet: false, is_there: true };
    // the facts have said why
    let _ = all.run();
}

impl Examination<'_> {
    pub(super) fn tell(&mut self, fact: &Fact) {
        if !self.quiet && (!self.clock.is_stopped() || matches!(fact, Fact::Removal(_))) {
            (self.tell)(fact, &self.world);
        }
    }

    fn run(&mut self) -> Result<(), End> {
        let addresses = self.look_up()?;
        let tcp = self.connect(&addresses)?;
        let mut client = self.begin(tcp)?;
        let (mut epsv, mut pasv) = (Vec::new(), Vec::new());
        client = self.passive(client, Method::Epsv, &mut epsv)?;
        self.world.epsv = what_of(&epsv);
        self.world.epsv_troubles = troubles(&epsv);
        // PASV has no way to name an IPv6 address
        if client.peer.ip().to_canonical().is_ipv4() {
            client = self.passive(client, Method::Pasv, &mut pasv)?;
        }
        if what_of(&pasv) == Epsv::Partly {
            self.world.epsv = Epsv::Partly;
        }
        let mut way = passive_way(&epsv, &pasv);
        if way.is_none() || self.plan.active {
            let passive = way;
            let fact = self.listing(&mut client, Way::Active, true)?;
            self.world.resumes = fact.resumed == Some(true);
            if fact.is_done() {
                way = way.or(Some(Way::Active));
            }
            client = self.sound(client, &fact)?;
            self.tell(&Fact::Active(fact, passive));
        }
        self.hidden(passive_way(&epsv, &pasv), &pasv);
        let Some(way) = way else {
            self.tell(&Fact::NoWay);
            self.leave(client);
            return Ok(());
        };
        client = self.list(client, way)?;
        if !self.plan.read_only && self.is_there {
            client = self.store(client, way)?;
        }
        self.latency(&mut client)?;
        self.leave(client);
        Ok(())
    }

    fn look_up(&mut self) -> Result<Vec<IpAddr>, End> {
        let (host, port) = (self.plan.url.host.clone(), self.plan.url.port);
        let (send, receive) = channel();
        let began = Instant::now();
        let work = move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let found = found.map(Iterator::collect::<Vec<_>>).map_err(|why| why.to_string());
            // nobody listens after the deadline
            let _ = send.send(found);
        };
        #[expect(clippy::disallowed_methods, reason = "a lookup has no deadline of its own")]
        let started = thread::Builder::new().name("lookup".to_owned()).spawn(work);
        let found = match started {
            Err(why) => Err(why.to_string()),
            Ok(_) => receive
                .recv_timeout(self.clock.lookup())
                .unwrap_or_else(|_| Err("the name servers do not answer".to_owned())),
        };
        let mut addresses: Vec<SocketAddr> = found.clone().unwrap_or_default();
        addresses.dedup();
        addresses.truncate(ADDRESSES);
        let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        self.tell(&Fact::Names(found.map(|_| ips.clone()), began.elapsed()));
        if ips.is_empty() { Err(End) } else { Ok(ips) }
    }

    /// Connects to each address, and keeps the first connection.
    fn connect(&mut self, addresses: &[IpAddr]) -> Result<TcpStream, End> {
        let (mut first, mut found) = (None, Vec::new());
        for &ip in addresses {
            let to = SocketAddr::new(ip, self.plan.url.port);
            let connected = connect(to, &self.clock).map(|(tcp, time)| {
                first.get_or_insert(tcp);
                time
            });
            found.push((to, connected));
        }
        self.tell(&Fact::Connections(found));
        first.ok_or(End)
    }

    /// Greeting, TLS, login, and what is set once for all transfers.
    fn begin(&mut self, tcp: TcpStream) -> Result<Client, End> {
        let began = Instant::now();
        let peer = tcp.peer_addr().map_err(|_| End)?;
        let trust = Trust::new(&self.plan.url.host, peer.ip()).map_err(|_| End)?;
        let trust = Arc::new(trust);
        let mut client = Client::new(tcp, &trust, &self.clock).map_err(|_| End)?;
        (self.world.peer, self.world.local) = (Some(client.peer), Some(client.local));
        if self.plan.url.security == Security::Implicit {
            client = self.start_tls(client, true)?;
        }
        let greeting = client.reply();
        let is_ready = matches!(&greeting, Ok(reply) if reply.is_done());
        if let Ok(reply) = &greeting {
            self.world.program = program(&reply.lines.concat());
        }
        self.tell(&Fact::Greeting(greeting, began.elapsed()));
        if !is_ready {
            return Err(End);
        }
        if self.plan.url.security == Security::Explicit {
            client = self.start_tls(client, false)?;
        }
        let login = client.log_in(&self.plan.user, &self.plan.password);
        let is_in = matches!(&login.answer, Ok(reply) if reply.is_done());
        self.tell(&Fact::Login(login));
        if !is_in {
            return Err(End);
        }
        self.prepare(&mut client)?;
        Ok(client)
    }

    fn start_tls(&mut self, mut client: Client, at_once: bool) -> Result<Client, End> {
        let mut start = client.start_tls(at_once);
        if matches!(start.handshake, Some(Err(Trouble::Silent)))
            && let Some((small, other)) = self.start_tls_small(&client, at_once)
        {
            (start, client) = (small, other);
        }
        let is_on = matches!(start.handshake, Some(Ok(_)));
        self.tell(&Fact::Tls(start));
        if is_on { Ok(client) } else { Err(End) }
    }

    /// Begins TLS on another connection, with small packets only. If that helps, all other
    /// connections use them, too.
    fn start_tls_small(&mut self, old: &Client, at_once: bool) -> Option<(TlsStart, Client)> {
        let clock = self.clock.small(true);
        let (tcp, _) = connect(old.peer, &clock).ok()?;
        let mut client = Client::new(tcp, &old.trust, &clock).ok()?;
        if !at_once {
            client.reply().ok()?;
        }
        let start = client.start_tls(at_once);
        let is_on = matches!(start.handshake, Some(Ok(_)));
        is_on.then(|| {
            self.clock = clock;
            (start, client)
        })
    }

    fn prepare(&mut self, client: &mut Client) -> Result<(), End> {
        let features = client.ask("FEAT");
        if let Ok(reply) = &features {
            let line =
                |line: &Vec<u8>| String::from_utf8_lossy(line.trim_ascii()).to_uppercase();
            self.world.features = reply.lines.iter().map(line).collect();
        }
        self.step(features, Fact::Features)?;
        self.recognize(client)?;
        if self.plan.url.security != Security::Plain {
            let answer = client.protect();
            self.world.is_protected = client.is_protected;
            self.step(answer, Fact::Protection)?;
        }
        if !self.plan.url.path.is_empty() {
            let answer = client.ask([b"CWD ", self.plan.url.path.as_slice()].concat());
            self.is_there = matches!(&answer, Ok(reply) if reply.is_done());
            self.step(answer, Fact::Directory)?;
        }
        client.ask("TYPE I").map(|_| ()).map_err(|_| End)
    }

    /// Many servers that hide their name in the greeting tell it in the reply to STAT.
    fn recognize(&mut self, client: &mut Client) -> Result<(), End> {
        if self.world.program != Program::Unknown || self.quiet {
            return Ok(());
        }
        let status = client.ask("STAT").map_err(|_| End)?;
        self.world.program = program(&status.lines.join(&b'\n'));
        Ok(())
    }

    /// Tells an answer, and goes on if it is one.
    fn step(&mut self, answer: Answer, fact: fn(Answer) -> Fact) -> Result<(), End> {
        let is_lost = answer.is_err();
        self.tell(&fact(answer));
        if is_lost { Err(End) } else { Ok(()) }
    }

    /// Connects to several passive ports. Nothing is transferred. Returns a control connection
    /// that is in step.
    fn passive(
        &mut self,
        mut client: Client,
        method: Method,
        tries: &mut Vec<Try>,
    ) -> Result<Client, End> {
        let mut clock = client.clock.clone();
        if self.world.epsv_troubles.contains(&Trouble::Silent) {
            clock = clock.shorter();
        }
        while goes_on(tries, self.world.epsv) {
            let is_first_silence = !tries.iter().any(is_silent);
            let attempt = attempt(&mut client, method, &clock);
            if is_first_silence && is_silent(&attempt) {
                clock = client.clock.shorter();
            }
            let is_refused = attempt.named.is_none();
            tries.push(attempt);
            if is_refused {
                break;
            }
        }
        let is_lost = tries.iter().any(|attempt| attempt.answer.is_err());
        self.look_beside(&client, tries);
        self.tell(&Fact::Passive(Passive { method, tries: tries.clone() }));
        if !is_lost {
            return Ok(client);
        }
        drop(client);
        self.again()
    }

    /// Without TLS, a helper of a firewall may have opened the ports or rewritten the replies, so
    /// a few ports are tried with TLS as well, if the server offers it.
    fn hidden(&mut self, passive: Option<Way>, pasv: &[Try]) {
        let offers = self.world.features.iter().any(|line| line.starts_with("AUTH TLS"));
        let is_plain = self.plan.url.security == Security::Plain;
        let (Some(peer), true) = (self.world.peer, offers && is_plain && passive.is_some())
        else {
            return;
        };
        let is_other = |attempt: &Try| {
            attempt.named.is_some_and(|named| named.ip() != peer.ip().to_canonical())
        };
        let named_other = pasv.iter().any(is_other);
        if let Some(hidden) = self.look_hidden(peer, named_other) {
            self.tell(&Fact::Hidden(hidden));
        }
    }

    fn look_hidden(&self, peer: SocketAddr, named_other: bool) -> Option<Hidden> {
        let (tcp, _) = connect(peer, &self.clock).ok()?;
        let trust = Trust::new(&self.plan.url.host, peer.ip()).ok()?;
        let mut client = Client::new(tcp, &Arc::new(trust), &self.clock).ok()?;
        client.reply().ok().filter(Reply::is_done)?;
        let tls = client.start_tls(false);
        let (is_in, epsv, pasv) = (false, Vec::new(), Vec::new());
        let mut hidden = Hidden { tls, is_in, named_other, epsv, pasv };
        if !matches!(hidden.tls.handshake, Some(Ok(_))) {
            return Some(hidden);
        }
        let login = client.log_in(&self.plan.user, &self.plan.password).answer;
        hidden.is_in = matches!(&login, Ok(reply) if reply.is_done());
        if hidden.is_in && client.protect().is_ok() {
            let clock = client.clock.shorter();
            let count = if self.world.epsv == Epsv::Absent { 0 } else { 3 };
            hidden.epsv =
                (0..count).map(|_| attempt(&mut client, Method::Epsv, &clock)).collect();
            if peer.ip().to_canonical().is_ipv4() {
                hidden.pasv = vec![attempt(&mut client, Method::Pasv, &clock)];
            }
            self.leave(client);
        }
        Some(hidden)
    }

    /// Where all ports are refused, tries a port that nobody has opened.
    fn look_beside(&mut self, client: &Client, tries: &[Try]) {
        let troubles = troubles(tries);
        let are_refused = troubles.iter().all(|why| *why == Trouble::Refused);
        let is_useful = troubles.len() == tries.len() && are_refused && !tries.is_empty();
        if is_useful && self.world.beside.is_none() {
            self.world.beside = connect(client.peer_at(CLOSED), &client.clock).err();
        }
    }

    /// Lists the directory, with and without a resumed session of TLS.
    fn list(&mut self, client: Client, way: Way) -> Result<Client, End> {
        let mut client = client;
        let mut fact = self.listing(&mut client, way, true)?;
        self.world.resumes |= fact.resumed == Some(true);
        client = self.sound(client, &fact)?;
        if fact.is_stalled() && way != Way::Active {
            (client, fact.small) = self
                .small(client, |all, client| Ok(all.listing(client, way, true)?.is_done()))?;
        }
        self.tell(&Fact::Listing(fact));
        if self.world.is_protected {
            let fact = self.listing(&mut client, way, false)?;
            // vsftpd ends the session after such a refusal, at the next command
            if !fact.is_done() {
                drop(client);
                client = self.again()?;
            }
            self.tell(&Fact::Unresumed(fact));
        }
        Ok(client)
    }

    fn listing(
        &mut self,
        client: &mut Client,
        way: Way,
        may_resume: bool,
    ) -> Result<Transfer, End> {
        let has_mlsd = self.world.features.iter().any(|line| line.starts_with("MLST"));
        let command = if has_mlsd { "MLSD" } else { "LIST" };
        let order = Order { command, argument: b"", offset: None, way, may_resume };
        let fact = repeated(client, &order, &mut Body::Receive(Vec::new()));
        if self.clock.is_stopped() { Err(End) } else { Ok(fact) }
    }

    /// Returns a control connection that is in step and whose session of TLS can be resumed: this
    /// one, or another one.
    pub(super) fn sound(&mut self, client: Client, after: &Transfer) -> Result<Client, End> {
        let needs_session = self.world.resumes && !client.trust.has_session();
        if after.is_lost() || needs_session {
            drop(client);
            return self.again();
        }
        Ok(client)
    }

    /// Tries something with small packets only, on a connection that is in step. If that helps,
    /// all later connections use them, too.
    pub(super) fn small(
        &mut self,
        client: Client,
        attempt: impl FnOnce(&mut Self, &mut Client) -> Result<bool, End>,
    ) -> Result<(Client, Option<bool>), End> {
        if self.clock.is_small() {
            return Ok((client, None));
        }
        drop(client);
        self.clock = self.clock.small(true);
        let mut client = self.again()?;
        let helps = attempt(self, &mut client)?;
        if !helps {
            drop(client);
            self.clock = self.clock.small(false);
            client = self.again()?;
        }
        Ok((client, Some(helps)))
    }

    /// Connects and logs in once more, without telling about it.
    pub(super) fn again(&mut self) -> Result<Client, End> {
        let peer = self.world.peer.ok_or(End)?;
        let (tcp, _) = connect(peer, &self.clock).map_err(|_| End)?;
        self.quiet = true;
        let client = self.begin(tcp);
        self.quiet = false;
        client
    }

    fn latency(&mut self, client: &mut Client) -> Result<(), End> {
        let mut times = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            client.ask("NOOP").map_err(|_| End)?;
            times.push(began.elapsed());
        }
        self.tell(&Fact::Latency(times));
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "the last step, like the others")]
    fn leave(&self, mut client: Client) {
        // nothing depends on the reply
        let _ = client.ask("QUIT");
    }
}

/// Asks for one passive port, and connects to it.
fn attempt(client: &mut Client, method: Method, clock: &Clock) -> Try {
    let (answer, named) = client.passive(method);
    let mut attempt = Try { answer, named, at_named: None, at_peer: None };
    let Some(named) = named else { return attempt };
    let peer = client.peer_at(named.port());
    let is_peer = named.ip() == peer.ip().to_canonical() || named == peer;
    let to = if is_peer { peer } else { named };
    attempt.at_named = Some(if is_peer || may_connect(named, client.peer.ip()) {
        connect(to, clock).map(|(_, time)| time)
    } else {
        Err(Trouble::Untried)
    });
    if !is_peer {
        attempt.at_peer = Some(connect(peer, clock).map(|(_, time)| time));
    }
    attempt
}

/// Returns whether one more port is to be asked for after these. If no port that EPSV named was open,
/// two closed ones are enough, whereas two open ones may be the open part of a range.
fn goes_on(tries: &[Try], epsv: Epsv) -> bool {
    let is_open = |attempt: &Try| {
        [&attempt.at_named, &attempt.at_peer].into_iter().flatten().any(Result::is_ok)
    };
    let least = if epsv == Epsv::Blocked { 2 } else { TRIES };
    tries.len() < least || tries.len() < TRIES && tries.iter().all(is_open)
}

/// Returns whether a port did not answer.
fn is_silent(attempt: &Try) -> bool {
    let is_silent = |at: &Option<_>| matches!(at, Some(Err(Trouble::Silent)));
    is_silent(&attempt.at_named) || is_silent(&attempt.at_peer)
}

/// Returns why the named ports could not be connected to.
fn troubles(tries: &[Try]) -> Vec<Trouble> {
    let outcomes = tries.iter().filter_map(|attempt| attempt.at_named.as_ref());
    outcomes.filter_map(|outcome| outcome.as_ref().err().cloned()).collect()
}

/// Returns whether a client should connect to an address that a server names. The server must not
/// use the client to look at machines that it cannot reach itself.
fn may_connect(named: SocketAddr, peer: IpAddr) -> bool {
    match Reach::of(named.ip()) {
        Reach::Public => named.port() >= 1024,
        Reach::Private | Reach::Shared => {
            named.port() >= 1024
                && matches!(Reach::of(peer), Reach::Private | Reach::Shared | Reach::Loopback)
        }
        Reach::Loopback => Reach::of(peer) == Reach::Loopback,
        Reach::Unspecified | Reach::Link | Reach::Nowhere => false,
    }
}

/// Sums up the attempts with EPSV.
fn what_of(tries: &[Try]) -> Epsv {
    let outcomes = || tries.iter().filter_map(|attempt| attempt.at_named.as_ref());
    match (outcomes().count(), outcomes().filter(|outcome| outcome.is_ok()).count()) {
        (0, _) => Epsv::Absent,
        (_, 0) => Epsv::Blocked,
        (all, open) if open < all => Epsv::Partly,
        _ => Epsv::Works,
    }
}

/// Returns whether a port could be connected to, at the named address or at that of the control
/// connection.
fn answered(tries: &[Try], at_peer: bool) -> bool {
    let at = |attempt: &Try| {
        let outcome = if at_peer { &attempt.at_peer } else { &attempt.at_named };
        matches!(outcome, Some(Ok(_)))
    };
    tries.iter().any(at)
}

/// Chooses the passive way for the transfers.
fn passive_way(epsv: &[Try], pasv: &[Try]) -> Option<Way> {
    let ways = [
        (answered(epsv, false), Way::Epsv),
        (answered(pasv, false), Way::Pasv),
        (answered(pasv, true), Way::PasvAtPeer),
    ];
    ways.into_iter().find_map(|(works, way)| works.then_some(way))
}

/// Carries out a transfer, again if its data connection cannot be opened.
pub(super) fn repeated(
    client: &mut Client,
    order: &Order<'_>,
    body: &mut Body<'_>,
) -> Transfer {
    let mut fact = client.transfer(order, body);
    for _ in 1..REPEATS {
        if fact.opened.is_none() || fact.is_lost() || order.way == Way::Active {
            break;
        }
        fact = client.transfer(order, body);
    }
    fact
}

/// Recognizes a server by its greeting, or the reply to STAT.
fn program(reply: &[u8]) -> Program {
    let text = String::from_utf8_lossy(reply).to_lowercase();
    let names = [
        ("vsftpd", Program::Vsftpd),
        ("pure-ftpd", Program::PureFtpd),
        ("pureftpd", Program::PureFtpd),
        ("proftpd", Program::ProFtpd),
        ("pyftpdlib", Program::Pyftpdlib),
        // ours has no name, but words of its own
        ("no transfer is running", Program::Ftpd),
    ];
    let known = names.iter().find(|(name, _)| text.contains(name));
    known.map_or(Program::Unknown, |(_, program)| *program)
}
