//! The user-DTP: data connections and what is transferred over them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::address::{eprt_argument, of_227, of_229, port_argument};
use super::client::Client;
use super::facts::{Answer, Method, Transfer, Trouble, Way};
use super::reply::Reply;
use super::wire::{Clock, Wire, accept, connect};

/// How long a transfer may take.
const LONGEST: Duration = Duration::from_secs(120);

/// How long the client waits for the server to close its side after an upload.
const CLOSING: Duration = Duration::from_secs(2);

/// Bytes per second of the slowest line on which uploads are tested.
const SLOWEST: u64 = 8 * 1024;

/// Maximum number of bytes that are received.
const MOST: usize = 16 << 20;

/// What is transferred.
pub(super) enum Body<'a> {
    Receive(Vec<u8>),
    Send(&'a [u8]),
}

/// A command and what it needs.
pub(super) struct Order<'a> {
    /// The name of the command.
    pub(super) command: &'static str,
    /// Its argument.
    pub(super) argument: &'a [u8],
    /// The argument of REST.
    pub(super) offset: Option<u64>,
    pub(super) way: Way,
    /// Whether TLS may resume the session.
    pub(super) may_resume: bool,
}

/// A data connection that is open, or to which the server will connect.
enum Door {
    Open(TcpStream),
    Waiting(TcpListener),
}

impl Client {
    /// Asks for a passive port. Returns the reply, and the address that it names.
    pub(super) fn passive(&mut self, method: Method) -> (Answer, Option<SocketAddr>) {
        let answer = self.ask(method.name());
        let named = match &answer {
            Ok(reply) if reply.is_done() => self.named(method, reply),
            _ => None,
        };
        (answer, named)
    }

    fn named(&self, method: Method, reply: &Reply) -> Option<SocketAddr> {
        match method {
            Method::Epsv => of_229(reply.text()).map(|port| self.peer_at(port)),
            Method::Pasv => of_227(reply.text()),
        }
    }

    /// Returns the address of the control connection with another port.
    pub(super) fn peer_at(&self, port: u16) -> SocketAddr {
        let mut address = self.peer;
        address.set_port(port);
        address
    }

    /// Carries out a transfer.
    pub(super) fn transfer(&mut self, order: &Order<'_>, body: &mut Body<'_>) -> Transfer {
        let mut fact = Transfer::new(order.command, order.way);
        let Some(door) = self.open(order.way, &mut fact) else { return fact };
        if let Some(offset) = order.offset {
            let answer = self.ask(format!("REST {offset}"));
            if !matches!(&answer, Ok(reply) if reply.code == 350) {
                fact.prepared = Some(answer);
                return fact;
            }
        }
        let line = match order.argument {
            b"" => order.command.as_bytes().to_vec(),
            argument => [order.command.as_bytes(), b" ", argument].concat(),
        };
        let mark = self.ask(line);
        if mark == Err(Trouble::Interrupted) && matches!(body, Body::Send(_)) {
            self.hear_out(door, &mut fact);
            return fact;
        }
        let is_begun = matches!(&mark, Ok(reply) if reply.is_mark() || reply.is_done());
        let is_marked = matches!(&mark, Ok(reply) if reply.is_mark());
        fact.mark = Some(mark);
        if !is_begun {
            return fact;
        }
        let began = Instant::now();
        if let Err(why) = self.carry(door, order.may_resume, body, &mut fact) {
            fact.broken = Some(why);
        }
        // the data connection is closed by now, so that the server notices
        fact.last =
            if is_marked { Some(self.reply_after(draining(&fact))) } else { fact.mark.clone() };
        if fact.last == Some(Err(Trouble::Interrupted)) && matches!(body, Body::Send(_)) {
            fact.last = Some(self.abort());
        }
        fact.time = began.elapsed();
        fact
    }

    /// Ends an upload that Ctrl-C has interrupted before it began. The server may store an empty file.
    fn hear_out(&mut self, door: Door, fact: &mut Transfer) {
        drop(door);
        let mark = self.abort();
        if matches!(&mark, Ok(reply) if reply.is_mark()) {
            fact.last = Some(self.parting_reply());
        }
        fact.mark = Some(mark);
    }

    /// Opens a data connection, or prepares for one.
    fn open(&mut self, way: Way, fact: &mut Transfer) -> Option<Door> {
        let method = match way {
            Way::Active => return self.wait_for_server(fact),
            Way::Epsv => Method::Epsv,
            Way::Pasv | Way::PasvAtPeer => Method::Pasv,
        };
        let (answer, named) = self.passive(method);
        let Some(named) = named else {
            fact.prepared = Some(answer);
            return None;
        };
        let at_peer = way == Way::PasvAtPeer;
        let to = if at_peer { self.peer_at(named.port()) } else { named };
        match connect(to, &self.clock) {
            Ok((tcp, _)) => Some(Door::Open(tcp)),
            Err(why) => {
                fact.opened = Some(why);
                None
            }
        }
    }

    /// Listens on the address of the control connection, and tells the server the port.
    fn wait_for_server(&mut self, fact: &mut Transfer) -> Option<Door> {
        let bound = TcpListener::bind(SocketAddr::new(self.local.ip(), 0));
        let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = match bound {
            Ok(bound) => bound,
            Err(why) => {
                fact.opened = Some(Trouble::Other(why.to_string()));
                return None;
            }
        };
        let mut answer = self.ask(format!("EPRT {}", eprt_argument(address)));
        // old servers know only PORT
        if let (Ok(reply), SocketAddr::V4(v4)) = (&answer, address)
            && !reply.is_done()
        {
            answer = self.ask(format!("PORT {}", port_argument(v4)));
        }
        if matches!(&answer, Ok(reply) if reply.is_done()) {
            return Some(Door::Waiting(listener));
        }
        fact.prepared = Some(answer);
        None
    }

    /// Moves the bytes.
    fn carry(
        &self,
        door: Door,
        may_resume: bool,
        body: &mut Body<'_>,
        fact: &mut Transfer,
    ) -> Result<(), Trouble> {
        let tcp = match door {
            Door::Open(tcp) => tcp,
            Door::Waiting(listener) => {
                let accepted = accept(&listener, self.clock.step(), &self.clock);
                accepted.inspect_err(|why| fact.opened = Some(why.clone()))?
            }
        };
        let mut wire = Wire::new(tcp, &self.clock)?;
        if self.is_protected {
            wire.start_tls(self.trust.connection(may_resume)?, self.clock.step())?;
            fact.resumed = wire.is_resumed();
        }
        match body {
            Body::Receive(into) => receive(&mut wire, into, fact, &self.clock),
            Body::Send(bytes) => send(&mut wire, bytes, fact, &self.clock),
        }
    }
}

/// What was sent may still be on its way: buffers take all of it at once.
fn draining(fact: &Transfer) -> Duration {
    let is_sent = matches!(fact.command, "STOR" | "APPE") && fact.broken.is_none();
    Duration::from_secs(if is_sent { fact.bytes / SLOWEST } else { 0 })
}

fn receive(
    wire: &mut Wire,
    into: &mut Vec<u8>,
    fact: &mut Transfer,
    clock: &Clock,
) -> Result<(), Trouble> {
    let began = Instant::now();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match wire.read(&mut buffer, clock.step()) {
            Err(Trouble::Cut) if fact.resumed.is_some() => {
                fact.clean_end = Some(false);
                return Ok(());
            }
            other => other?,
        };
        if count == 0 {
            fact.clean_end = fact.resumed.map(|_| true);
            // shakes hands at the end of TLS; the server may be gone already
            let _ = wire.end(CLOSING);
            return Ok(());
        }
        into.extend_from_slice(buffer.get(..count).unwrap_or_default());
        fact.bytes += count as u64;
        if into.len() > MOST {
            return Err(Trouble::TooLong);
        }
        if began.elapsed() > LONGEST {
            return Err(Trouble::Silent);
        }
    }
}

fn send(
    wire: &mut Wire,
    bytes: &[u8],
    fact: &mut Transfer,
    clock: &Clock,
) -> Result<(), Trouble> {
    let began = Instant::now();
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = wire.write(rest, clock.step())?;
        rest = rest.get(count..).unwrap_or_default();
        fact.bytes += count as u64;
        if began.elapsed() > LONGEST {
            return Err(Trouble::Silent);
        }
    }
    wire.end(clock.step())?;
    // a close with unread tickets of TLS would reset the connection and lose what was sent
    while let Ok(1..) = wire.read(&mut [0; 1024], CLOSING) {}
    Ok(())
}
