//! PASV and EPSV: one listener, one connection, and from the client alone.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::active::{bound, unpace_within};
use super::ports::Lease;
use super::{DataConnection, DataError, Interrupt, Ports, Progress, Ready, Watch, wait};
use crate::log::{self, Event, Who};
use crate::tls::{Awaited, SessionTls};

/// A passive port that waits for the client, or the connection that came in on it.
///
/// The listener is closed and its port given back as soon as the client has come, or when
/// this is dropped.
#[derive(Debug)]
pub struct Passive {
    port: u16,
    owner: Option<IpAddr>,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(TcpListener, #[expect(dead_code, reason = "held for its drop")] Lease),
    Came(DataConnection),
    Failed(io::Error),
}

/// Room for strangers who connect before the client does.
const BACKLOG: i32 = 16;

impl Passive {
    /// Listens on the address that the client's control connection came to. Only `owner` is
    /// let in; `None` lets anyone in.
    ///
    /// # Errors
    ///
    /// When no port can be opened.
    pub fn open(
        ports: &Arc<Ports>,
        mut local: SocketAddr,
        owner: Option<IpAddr>,
    ) -> Result<Self, DataError> {
        let (listener, lease) = ports.lease(|port| {
            local.set_port(port);
            listen(local, owner)
        })?;
        Ok(Self { port: lease.port(), owner, state: State::Waiting(listener, lease) })
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
            State::Failed(_) => None,
        }
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
        while let State::Waiting(listener, _) = &self.state {
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
            } else {
                let port = self.port;
                let peer =
                    peer.map_or_else(|| "a stranger".to_owned(), |peer| peer.to_string());
                let note = format!("{peer} connected to passive port {port} and was dropped");
                log::session(who, &Event::Note(&note));
            }
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
                State::Waiting(ref listener, _) => Awaited::readable(listener),
            };
            match wait(watch, &Progress::start(), Some(listener), until) {
                Ok(Ready::Yes) => {}
                Ok(Ready::TimedOut) => return Err(DataError::NeverCame(self.port)),
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
        // it may stand at the door already
        self.admit(who);
        if let State::Waiting(..) = self.state {
            log::session(who, &Event::Note(&DataError::NeverCame(self.port).to_string()));
        }
    }
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
