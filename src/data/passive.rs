//! PASV and EPSV: one listener accepts one connection, from the client alone.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::active::bound;
use super::connection::DataConnection;
use super::error::DataError;
use super::pace::is_within;
use super::porch::Porch;
use super::ports::{Lease, Ports};
use super::watch::{Interrupt, Progress, Ready, Watch, wait};
use crate::config::Balancers;
use crate::log::{self, Event, Who};
use crate::proxy::{Introduced, Unread};
use crate::tls::{Awaited, SessionTls};

/// A passive port that waits for the client, or the connection that the client has made to it.
///
/// The listener is closed and its port given back as soon as the client has connected, when it
/// has not connected in time, or when this value is dropped.
#[derive(Debug)]
pub struct Passive {
    port: u16,
    owner: Option<IpAddr>,
    /// Whether the owner is on this machine.
    is_within: bool,
    /// How long the port waits for the client, and the accepted connection for its command.
    patience: Option<Duration>,
    until: Option<Instant>,
    /// The balancers, whose connections may begin with a header.
    balancers: Option<Balancers>,
    /// The client, if its connections begin with no header whatever the settings say now.
    itself: Option<IpAddr>,
    /// Number of strangers turned away so far.
    strangers: u64,
    state: PortState,
}

/// The state of a passive port.
#[derive(Debug)]
enum PortState {
    Waiting(Waiting),
    Came(DataConnection),
    Failed(io::Error),
    /// Nothing used the port in time.
    Closed,
}

/// A port that is open.
#[derive(Debug)]
struct Waiting {
    listener: TcpListener,
    #[expect(dead_code, reason = "held for its drop")]
    lease: Lease,
    /// The connections of balancers, if they may bring the client's.
    porch: Option<Porch>,
}

/// Length of the listen queue: it has room for strangers who connect before the client.
const BACKLOG: i32 = 16;

/// Maximum number of connections that are accepted before the control connection is read
/// again.
const AT_ONCE: usize = 32;

/// Maximum number of strangers on one port that get a log line each.
const MOST_TOLD: u64 = 5;

impl Passive {
    /// Listens on the address that the client's control connection arrived at. Only `owner`
    /// may connect; `None` lets anyone connect. [`Passive::expire`] closes a port that is not
    /// used within `patience`. `itself` is the client if it has connected without a balancer.
    ///
    /// # Errors
    ///
    /// When no port can be opened.
    pub fn open(
        ports: &Arc<Ports>,
        mut local: SocketAddr,
        owner: Option<IpAddr>,
        patience: Option<Duration>,
        balancers: &Balancers,
        itself: Option<IpAddr>,
    ) -> Result<Self, DataError> {
        let (listener, lease) = ports.lease(|port| {
            local.set_port(port);
            listen(local)
        })?;
        let is_within = owner.is_some_and(|owner| is_within(local.ip(), owner));
        let balancers = (!balancers.from.is_empty()).then(|| balancers.clone());
        let brings = balancers.as_ref().is_some_and(|balancers| balancers.data);
        let porch = brings.then(|| Porch::new(&listener)).transpose();
        let porch = porch.map_err(DataError::CannotListen)?;
        let (port, until, strangers) = (lease.port(), later(patience), 0);
        let state = PortState::Waiting(Waiting { listener, lease, porch });
        Ok(Self {
            port,
            owner,
            is_within,
            patience,
            until,
            balancers,
            itself,
            strangers,
            state,
        })
    }

    /// Returns the port to tell the client.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what to wait for while no command has come: the client, or, with `tls`, its
    /// handshake, which some clients begin as soon as they have connected. The caller passes
    /// `tls` if PROT P is in effect now, because the client may have changed the level since
    /// PASV.
    pub fn door(&self, tls: Option<&SessionTls>) -> Option<Awaited<'_>> {
        match &self.state {
            PortState::Waiting(waiting) => Some(waiting.awaited()),
            PortState::Came(connection) => tls.and_then(|_| connection.early()),
            PortState::Failed(_) | PortState::Closed => None,
        }
    }

    /// Returns when [`Passive::expire`] must be called; `None`: not at all.
    pub fn until(&self) -> Option<Instant> {
        self.header_until().into_iter().chain(self.unused_until()).min()
    }

    /// Returns when the header of a balancer's connection is late.
    fn header_until(&self) -> Option<Instant> {
        let PortState::Waiting(Waiting { porch: Some(porch), .. }) = &self.state else {
            return None;
        };
        porch.until()
    }

    /// Returns when the port has been unused for too long.
    fn unused_until(&self) -> Option<Instant> {
        match self.state {
            PortState::Waiting(..) | PortState::Came(_) => self.until,
            PortState::Failed(_) | PortState::Closed => None,
        }
    }

    /// Closes the port or its connection if it was not used in time, so that a client that
    /// keeps its session alive with other commands does not hold a port for ever. A later
    /// transfer gets an error.
    pub fn expire(&mut self, who: Who<'_>) {
        let is_over = |until: Option<Instant>| until.is_some_and(|at| at <= Instant::now());
        if !is_over(self.until()) {
            return;
        }
        // this ends the wait for a header that is late
        self.admit(who);
        if !is_over(self.unused_until()) {
            return;
        }
        self.say_unused(who);
        // if the client has been accepted just now, the time for its command begins only now
        if !is_over(self.unused_until()) {
            return;
        }
        if let PortState::Came(_) = self.state {
            log::session(who, &Event::Note(&DataError::NeverUsed(self.port).to_string()));
        }
        self.state = PortState::Closed;
    }

    /// Accepts the client if it has connected, and returns whether it has.
    pub fn has_client(&mut self, who: Who<'_>) -> bool {
        self.admit(who);
        matches!(self.state, PortState::Came(_))
    }

    /// Handles what has become ready: a client or a stranger that connects, or a TLS
    /// handshake.
    pub fn attend(&mut self, tls: Option<&SessionTls>, who: Who<'_>) {
        if let (PortState::Came(connection), Some(tls)) = (&mut self.state, tls) {
            connection.shake_early(tls);
            return;
        }
        self.admit(who);
    }

    /// Accepts the client if it has connected, and turns strangers away. An error is kept for
    /// the transfer that wants to use the connection.
    fn admit(&mut self, who: Who<'_>) {
        for _ in 0..AT_ONCE {
            self.read_headers(who);
            let PortState::Waiting(Waiting { listener, .. }) = &self.state else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (stream, address) = match acceptfrom_with(listener, flags) {
                Ok(accepted) => accepted,
                Err(Errno::AGAIN) => return,
                // the peer has gone away again
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(why) => {
                    self.state = PortState::Failed(why.into());
                    return;
                }
            };
            let stream = TcpStream::from(stream);
            let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
            let peer = peer.map(|peer| peer.ip().to_canonical());
            match self.balancer(peer).map(|balancers| (balancers.data, balancers.timeout)) {
                Some((true, time)) => self.await_header(stream, time, who),
                // it may begin with a header, which must not become the content of a file
                Some((false, _)) => {
                    self.tell_stranger(peer, ", because proxy_data is off", who);
                }
                None => self.take_in(stream, peer, "", who),
            }
        }
    }

    /// Returns the settings of the balancers if this is the address of one.
    fn balancer(&self, peer: Option<IpAddr>) -> Option<&Balancers> {
        let peer = peer.filter(|_| peer != self.itself)?;
        self.balancers.as_ref().filter(|balancers| balancers.contain(peer))
    }

    /// Takes in a balancer's connection, whose header may take this long.
    fn await_header(&mut self, stream: TcpStream, time: Duration, who: Who<'_>) {
        let PortState::Waiting(Waiting { porch: Some(porch), .. }) = &mut self.state else {
            return;
        };
        match porch.put(stream, time) {
            Ok(false) => {}
            Ok(true) => self.tell_dropped("too many connections without a PROXY header", who),
            Err(why) => self.tell_dropped(&why.to_string(), who),
        }
    }

    /// Reads the headers of the balancers' connections, and takes in the client that one of them names.
    fn read_headers(&mut self, who: Who<'_>) {
        while let PortState::Waiting(Waiting { porch: Some(porch), .. }) = &mut self.state
            && let Some((stream, read)) = porch.next()
        {
            match read {
                Ok(Introduced::Client(client)) => {
                    self.take_in(stream, Some(client.ip()), " by a balancer", who);
                }
                // the balancer has only looked whether the port is open
                Ok(Introduced::Balancer) | Err(Unread::Closed) => {}
                Err(why) => self.tell_dropped(&why.to_string(), who),
            }
        }
    }

    /// Drops the balancers' connections whose headers are not complete, and logs each.
    /// Called when the port closes.
    fn tell_of_headers(&mut self, who: Who<'_>) {
        let PortState::Waiting(Waiting { porch: Some(porch), .. }) = &mut self.state else {
            return;
        };
        for _ in 0..porch.clear() {
            self.tell_dropped(
                "its PROXY header was not complete when the port was closed",
                who,
            );
        }
    }

    /// Logs that a balancer's connection was dropped.
    fn tell_dropped(&mut self, why: &str, who: Who<'_>) {
        self.strangers += 1;
        if self.strangers <= MOST_TOLD {
            let port = self.port;
            let note =
                format!("a balancer's connection to passive port {port} was dropped: {why}");
            log::session(who, &Event::Note(&note));
        }
    }

    /// Takes a connection as the client's if it comes from there, and drops it otherwise. `how` is
    /// added to the line about a stranger.
    fn take_in(&mut self, stream: TcpStream, peer: Option<IpAddr>, how: &str, who: Who<'_>) {
        if self.owner.is_none() || self.owner == peer {
            self.state = PortState::Came(DataConnection::new(stream, self.is_within));
            self.until = later(self.patience);
            self.tell_of_strangers(who);
        } else {
            drop(stream);
            self.tell_stranger(peer, how, who);
        }
    }

    /// Logs that a stranger's connection was dropped.
    fn tell_stranger(&mut self, peer: Option<IpAddr>, how: &str, who: Who<'_>) {
        self.strangers += 1;
        if self.strangers > MOST_TOLD {
            return;
        }
        let port = self.port;
        let peer = peer.map_or_else(|| "a stranger".to_owned(), |peer| peer.to_string());
        let note = format!("{peer} connected to passive port {port} and was dropped{how}");
        log::session(who, &Event::Note(&note));
    }

    /// Logs how many strangers had no log line of their own, so that strangers cannot fill the
    /// log.
    fn tell_of_strangers(&mut self, who: Who<'_>) {
        let unsaid = std::mem::take(&mut self.strangers).saturating_sub(MOST_TOLD);
        if unsaid > 0 {
            let port = self.port;
            let note = format!("{unsaid} more connections to passive port {port} were dropped");
            log::session(who, &Event::Note(&note));
        }
    }

    /// Waits for the client to connect.
    ///
    /// # Errors
    ///
    /// When the client does not connect in time, or the transfer is to end before it begins.
    pub fn connection(
        mut self,
        who: Who<'_>,
        watch: &mut dyn Watch,
        patience: Option<Duration>,
    ) -> Result<DataConnection, DataError> {
        let until = patience.map(|patience| Instant::now() + patience);
        loop {
            self.admit(who);
            let awaited = match self.state {
                PortState::Came(connection) => return Ok(connection),
                PortState::Failed(why) => return Err(DataError::CannotListen(why)),
                PortState::Closed => return Err(DataError::NeverUsed(self.port)),
                PortState::Waiting(ref waiting) => waiting.awaited(),
            };
            let first = self.header_until().into_iter().chain(until).min();
            match wait(watch, &Progress::start(), Some(awaited), first) {
                Ok(Ready::Yes) => {}
                // a header is late; the client may still come
                Ok(Ready::TimedOut) if until.is_none_or(|until| Instant::now() < until) => {}
                Ok(Ready::TimedOut) => {
                    self.tell_of_headers(who);
                    self.tell_of_strangers(who);
                    hint();
                    return Err(DataError::NeverCame(self.port));
                }
                Err(why) => {
                    if why != Interrupt::Stopped {
                        self.give_up(who);
                    }
                    return Err(why.into());
                }
            }
        }
    }

    /// Closes a port that is no longer needed, and logs it if the client never connected. This
    /// tells the administrator of a firewall that blocks the port: most clients connect before
    /// they send their command, so a blocked client sends none that could be refused.
    pub fn give_up(mut self, who: Who<'_>) {
        self.say_unused(who);
    }

    /// Logs that the client never connected, unless it has connected meanwhile.
    fn say_unused(&mut self, who: Who<'_>) {
        // the client may have connected already
        self.admit(who);
        self.tell_of_headers(who);
        self.tell_of_strangers(who);
        if let PortState::Waiting(..) = self.state {
            log::session(who, &Event::Note(&DataError::NeverCame(self.port).to_string()));
            hint();
        }
    }
}

impl Waiting {
    /// Returns what is waited for before the client is there.
    fn awaited(&self) -> Awaited<'_> {
        let porch = self.porch.as_ref();
        porch.map_or_else(|| Awaited::readable(&self.listener), Awaited::readable)
    }
}

/// How often the log tells what to do about clients that never come to their port.
const HINTS: Duration = Duration::from_secs(3600);

/// Logs what helps if the passive ports are closed, now and then: the administrator may not know it,
/// but need not read it for each client.
fn hint() {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() >= HINTS) {
        *last = Some(Instant::now());
        drop(last);
        ::log::info!(
            "to find out why a client does not come to its passive port, run 'ftpd doctor' here and \
             'ftpd test' where the client is"
        );
    }
}

/// Returns when a wait that begins now ends.
fn later(patience: Option<Duration>) -> Option<Instant> {
    patience.and_then(|patience| Instant::now().checked_add(patience))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
