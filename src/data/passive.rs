//! PASV and EPSV: one listener, one connection, and from the client alone.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::active::{bound, unpace_within};
use super::connection::DataConnection;
use super::error::DataError;
use super::ports::{Lease, Ports};
use super::watch::{Interrupt, Progress, Ready, Watch, wait};
use crate::log::{self, Event, Who};
use crate::tls::{Awaited, SessionTls};

/// A passive port that waits for the client, or the connection that came in on it.
///
/// The listener is closed and its port given back as soon as the client has come, when it has not
/// come in time, or when this is dropped.
#[derive(Debug)]
pub struct Passive {
    port: u16,
    owner: Option<IpAddr>,
    /// How long the port waits for the client, and then the connection for its command.
    patience: Option<Duration>,
    until: Option<Instant>,
    /// How many strangers have been sent away.
    strangers: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(TcpListener, #[expect(dead_code, reason = "held for its drop")] Lease),
    Came(DataConnection),
    Failed(io::Error),
    /// Nothing has used it in time.
    Closed,
}

/// Room for strangers who connect before the client does.
const BACKLOG: i32 = 16;

/// Maximum number of connections that are looked at before the client's commands are, again.
const AT_ONCE: usize = 32;

/// Maximum number of strangers of one port that have a line of their own in the log.
const MOST_TOLD: u64 = 5;

impl Passive {
    /// Listens on the address that the client's control connection came to. Only `owner` is
    /// let in; `None` lets anyone in. What is not used within `patience` is closed by
    /// [`Passive::expire`].
    ///
    /// # Errors
    ///
    /// When no port can be opened.
    pub fn open(
        ports: &Arc<Ports>,
        mut local: SocketAddr,
        owner: Option<IpAddr>,
        patience: Option<Duration>,
    ) -> Result<Self, DataError> {
        let (listener, lease) = ports.lease(|port| {
            local.set_port(port);
            listen(local, owner)
        })?;
        let (port, state) = (lease.port(), State::Waiting(listener, lease));
        Ok(Self { port, owner, patience, until: later(patience), strangers: 0, state })
    }

    /// The port to tell the client.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What to wait for while no command has come: the client, and with `tls` its handshake, which
    /// some begin as soon as they have connected. Whether there is TLS is for the level of PROT
    /// to say that is set now: it may have changed since PASV.
    pub fn door(&self, tls: Option<&SessionTls>) -> Option<Awaited<'_>> {
        match &self.state {
            State::Waiting(listener, _) => Some(Awaited::readable(listener)),
            State::Came(connection) => tls.and_then(|_| connection.early()),
            State::Failed(_) | State::Closed => None,
        }
    }

    /// When [`Passive::expire`] is due.
    pub fn until(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(..) | State::Came(_) => self.until,
            State::Failed(_) | State::Closed => None,
        }
    }

    /// Closes what has not been used in time, so that a client that keeps its session busy with
    /// other commands does not keep a port, or a connection that came in on it, for ever. The
    /// transfer that comes for it later is told.
    pub fn expire(&mut self, who: Who<'_>) {
        let is_over = |until: Option<Instant>| until.is_some_and(|at| at <= Instant::now());
        if !is_over(self.until()) {
            return;
        }
        self.say_unused(who);
        // it stood at the door already, and has as long for its command
        if !is_over(self.until()) {
            return;
        }
        if let State::Came(_) = self.state {
            log::session(who, &Event::Note(&DataError::NeverUsed(self.port).to_string()));
        }
        self.state = State::Closed;
    }

    /// Answers whoever stands at the door.
    pub fn attend(&mut self, tls: Option<&SessionTls>, who: Who<'_>) {
        if let (State::Came(connection), Some(tls)) = (&mut self.state, tls) {
            connection.shake_early(tls);
            return;
        }
        self.admit(who);
    }

    /// Lets the client in if it stands at the door, and sends strangers away. What goes wrong
    /// is told to the transfer that comes for the connection.
    fn admit(&mut self, who: Who<'_>) {
        for _ in 0..AT_ONCE {
            let State::Waiting(listener, _) = &self.state else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (stream, address) = match acceptfrom_with(listener, flags) {
                Ok(accepted) => accepted,
                Err(Errno::AGAIN) => return,
                // it was there and has gone again
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(why) => {
                    self.state = State::Failed(why.into());
                    return;
                }
            };
            let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
            let peer = peer.map(|peer| peer.ip().to_canonical());
            if self.owner.is_none() || self.owner == peer {
                self.state = State::Came(DataConnection::new(TcpStream::from(stream)));
                self.until = later(self.patience);
                self.tell_of_strangers(who);
            } else {
                self.strangers += 1;
                if self.strangers > MOST_TOLD {
                    continue;
                }
                let port = self.port;
                let peer =
                    peer.map_or_else(|| "a stranger".to_owned(), |peer| peer.to_string());
                let note = format!("{peer} connected to passive port {port} and was dropped");
                log::session(who, &Event::Note(&note));
            }
        }
    }

    /// Strangers are strangers, and must not fill the log: those who had no line are counted.
    fn tell_of_strangers(&mut self, who: Who<'_>) {
        let unsaid = std::mem::take(&mut self.strangers).saturating_sub(MOST_TOLD);
        if unsaid > 0 {
            let port = self.port;
            let note = format!("{unsaid} more connections to passive port {port} were dropped");
            log::session(who, &Event::Note(&note));
        }
    }

    /// Waits for the client to come.
    ///
    /// # Errors
    ///
    /// When it does not come in time, or the transfer must not begin at all.
    pub fn connection(
        mut self,
        who: Who<'_>,
        watch: &mut dyn Watch,
        patience: Option<Duration>,
    ) -> Result<DataConnection, DataError> {
        let until = patience.map(|patience| Instant::now() + patience);
        loop {
            self.admit(who);
            let listener = match self.state {
                State::Came(connection) => return Ok(connection),
                State::Failed(why) => return Err(DataError::CannotListen(why)),
                State::Closed => return Err(DataError::NeverUsed(self.port)),
                State::Waiting(ref listener, _) => Awaited::readable(listener),
            };
            match wait(watch, &Progress::start(), Some(listener), until) {
                Ok(Ready::Yes) => {}
                Ok(Ready::TimedOut) => {
                    self.tell_of_strangers(who);
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

    /// Closes a port that is not needed any more. If the client never came to it, the log
    /// says so: most clients connect before they send their command, so one that a firewall
    /// keeps out gives up by itself, and no command of it tells the administrator why.
    pub fn give_up(mut self, who: Who<'_>) {
        self.say_unused(who);
    }

    fn say_unused(&mut self, who: Who<'_>) {
        // it may stand at the door already
        self.admit(who);
        self.tell_of_strangers(who);
        if let State::Waiting(..) = self.state {
            log::session(who, &Event::Note(&DataError::NeverCame(self.port).to_string()));
        }
    }
}

/// The end of a wait that begins now.
fn later(patience: Option<Duration>) -> Option<Instant> {
    patience.and_then(|patience| Instant::now().checked_add(patience))
}

fn listen(address: SocketAddr, owner: Option<IpAddr>) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    if let Some(owner) = owner {
        // and so the connections that come in on it
        unpace_within(&socket, address.ip(), owner);
    }
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
