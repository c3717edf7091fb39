//! How data connections are made: by each of the four commands, before or after the transfer's
//! command, with PROT changed in between, and with strangers connecting to the port.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustls::ClientConfig;

use crate::client::Client;
use crate::session::{Done, Fault, PROMPT, Reply, fault};
use crate::tls::forgetful;
use crate::wire::{self, Manner, Wire};

/// A data connection that was arranged by a command.
pub struct Door {
    to: To,
    /// The connection, if it is made before the transfer's command.
    wire: Option<Wire>,
}

enum To {
    Passive(SocketAddr),
    Active(TcpListener),
}

/// The outcome of making a data connection.
pub enum Attached {
    Yes(Wire),
    /// It did not resume the TLS session of the control connection, and the server refuses it.
    NotResumed,
}

/// How long a client waits for a reply that may say why there is no data connection.
const SAID: Duration = Duration::from_secs(1);

fn broken(what: &str) -> impl Fn(std::io::Error) -> Fault + '_ {
    move |why| Fault(format!("{what}: {why}"))
}

impl Client {
    /// Arranges a data connection.
    pub fn arrange(&mut self) -> Done<Door> {
        // the protection level at the transfer counts, whatever it was at PASV
        let toggles = self.tls.is_some() && !self.world.way.strict && self.random.chance(8);
        let wanted = self.private;
        if toggles {
            self.protect(!wanted)?;
        }
        let to = self.set_up()?;
        let mut wire = None;
        if let To::Passive(address) = to {
            if address.is_ipv4() && self.random.chance(4) {
                self.stranger(address)?;
            }
            if self.random.chance(50) {
                wire = Some(self.come(address)?);
            }
        }
        let early = self.private && wanted && self.random.chance(30);
        if let Some(wire) = wire.as_mut().filter(|_| early) {
            self.shake_early(wire)?;
        }
        if toggles {
            self.protect(wanted)?;
            let late = !early && wanted && self.random.chance(40);
            if let Some(wire) = wire.as_mut().filter(|_| late) {
                self.shake_early(wire)?;
            }
        }
        Ok(Door { to, wire })
    }

    fn set_up(&mut self) -> Done<To> {
        let six = self.own.is_ipv6();
        let kind = match self.random.below(4) {
            _ if self.epsv_all => 1,
            // a reply to PASV cannot hold an IPv6 address
            0 if six => 1,
            kind => kind,
        };
        match kind {
            0 => {
                let word = *self.random.pick(&["PASV", "pasv", "P@SW"]);
                let reply = self.ask(word, &[227])?;
                passive(&reply, None)
            }
            1 => {
                let named = if six { "EPSV 2" } else { "EPSV 1" };
                let word = *self.random.pick(&["EPSV", named]);
                let reply = self.ask(word, &[229])?;
                let own = if six { self.own } else { self.world.address.ip() };
                passive(&reply, Some(own))
            }
            _ => {
                let listener = TcpListener::bind((self.own, 0)).map_err(broken("listening"))?;
                let address = listener.local_addr().map_err(broken("listening"))?;
                let line = port_command(address, kind == 2);
                self.ask(line, &[200])?;
                Ok(To::Active(listener))
            }
        }
    }

    fn come(&mut self, address: SocketAddr) -> Done<Wire> {
        let stream = wire::connect(self.own, address).map_err(broken("data connection"))?;
        Wire::over(stream).map_err(broken("data connection"))
    }

    /// Begins the handshake before the transfer's command, and sometimes completes it, for
    /// which the server must take part in it.
    fn shake_early(&mut self, wire: &mut Wire) -> Done {
        let config = self.data_config()?;
        self.notes.say("-- an early handshake on the data connection");
        wire.begin_tls(&config).map_err(broken("early handshake"))?;
        if self.random.chance(70) {
            let until = Instant::now() + PROMPT;
            wire.shake(&mut self.random, until).map_err(broken("early handshake"))?;
            if self.random.chance(50) {
                wire.push(Manner::Once, &mut self.random).map_err(broken("early handshake"))?;
            }
        } else {
            wire.push(Manner::any(&mut self.random), &mut self.random)
                .map_err(broken("early handshake"))?;
        }
        Ok(())
    }

    /// Returns the TLS settings of a data connection, which usually resume the session of the
    /// control connection.
    fn data_config(&mut self) -> Done<Arc<ClientConfig>> {
        let Some(config) = &self.tls else { return fault("the client itself has no TLS") };
        Ok(if self.random.chance(3) { forgetful(config) } else { Arc::clone(config) })
    }

    /// Connects to the port as a stranger, who must get nothing.
    fn stranger(&mut self, address: SocketAddr) -> Done {
        self.notes.say("-- a stranger comes to the passive port");
        let own = IpAddr::V4(Ipv4Addr::new(127, 0, 9, 1 + (self.number % 250) as u8));
        let stream = wire::connect(own, address).map_err(broken("a stranger's connection"))?;
        let mut wire = Wire::over(stream).map_err(broken("a stranger's connection"))?;
        let _ = wire.queue(b"stranger\r\n");
        let _ = wire.push(Manner::Once, &mut self.random);
        match wire.read_all(Instant::now() + PROMPT) {
            Err(why) if why.kind() == ErrorKind::TimedOut => {
                fault("a stranger at the passive port is not sent away")
            }
            _ if !wire.got.is_empty() => fault("a stranger at the passive port gets something"),
            _ => Ok(()),
        }
    }

    /// Arranges a passive port that will not be used. Returns `None` if the client cannot.
    pub fn unused(&mut self) -> Done<Option<Door>> {
        let strict = self.world.way.strict && !self.private;
        if strict {
            return Ok(None);
        }
        let reply = self.ask("EPSV", &[229])?;
        let own = if self.own.is_ipv6() { self.own } else { self.world.address.ip() };
        let To::Passive(address) = passive(&reply, Some(own))? else { return Ok(None) };
        let wire = if self.random.chance(50) { Some(self.come(address)?) } else { None };
        Ok(Some(Door { to: To::Passive(address), wire }))
    }

    /// Checks that the server has closed the port.
    pub fn is_closed(&mut self, door: Door) -> Done {
        if let Some(mut wire) = door.wire {
            wire.read_all(Instant::now()).map_err(broken("the connection is still there"))?;
            return Ok(());
        }
        let To::Passive(address) = door.to else { return Ok(()) };
        match wire::connect(self.own, address) {
            Err(why) if why.kind() == ErrorKind::ConnectionRefused => Ok(()),
            // another session may have got the port since, and turns strangers away
            Err(why) => fault(format!("a port that was not used in time: {why}")),
            Ok(_) => fault("a port that was not used in time is still open"),
        }
    }

    /// Returns the data connection after the transfer's command was sent. If there is none, the
    /// fault says what the server replied instead.
    pub fn attach(&mut self, door: Door) -> Done<Attached> {
        self.try_attach(door).map_err(|Fault(why)| {
            let said = self.session().and_then(|(session, _)| session.reply(SAID));
            match said {
                Ok(Some(reply)) => Fault(format!("{why}; it says {}", reply.show())),
                Ok(None) => Fault(format!("{why}; it has closed the control connection")),
                Err(_) => Fault(format!("{why}; it says nothing")),
            }
        })
    }

    fn try_attach(&mut self, door: Door) -> Done<Attached> {
        let mut wire = match (door.wire, door.to) {
            (Some(wire), _) => wire,
            (None, To::Passive(address)) => self.come(address)?,
            (None, To::Active(listener)) => {
                if !wire::wait(&listener, PollFlags::IN, PROMPT) {
                    return fault("the server does not come to the client's port");
                }
                let (stream, _) = listener.accept().map_err(broken("accepting"))?;
                Wire::over(stream).map_err(broken("accepting"))?
            }
        };
        if !self.private {
            return Ok(Attached::Yes(wire));
        }
        if !wire.is_secure() {
            let config = self.data_config()?;
            wire.begin_tls(&config).map_err(broken("handshake"))?;
        }
        let until = Instant::now() + PROMPT;
        let shaken = wire.shake(&mut self.random, until);
        let resumed = wire.is_resumed();
        shaken.map_err(broken("handshake of the data connection"))?;
        let mut counts = self.notes.counts();
        if resumed {
            counts.resumed += 1;
        } else {
            counts.full += 1;
        }
        drop(counts);
        self.notes.say(format!("-- data connection under TLS, resumed: {resumed}"));
        if self.world.way.strict && !resumed {
            let _ = wire.push(Manner::Once, &mut self.random);
            return Ok(Attached::NotResumed);
        }
        Ok(Attached::Yes(wire))
    }
}

impl Door {
    /// Whether the server can begin the transfer without anything more from the client.
    pub fn is_open(&self) -> bool {
        self.wire.is_some() || matches!(self.to, To::Active(_))
    }

    /// Whether the connection is made already.
    pub fn is_met(&self) -> bool {
        self.wire.is_some()
    }
}

/// Returns the line of a PORT or EPRT command.
pub fn port_command(address: SocketAddr, old: bool) -> String {
    let SocketAddr::V4(v4) = address else {
        return format!("EPRT |2|{}|{}|", address.ip(), address.port());
    };
    if old {
        let ([a, b, c, d], [high, low]) = (v4.ip().octets(), v4.port().to_be_bytes());
        format!("PORT {a},{b},{c},{d},{high},{low}")
    } else {
        format!("EPRT |1|{}|{}|", v4.ip(), v4.port())
    }
}

/// Reads the address of a 227 reply, or that of a 229 reply together with the server's own
/// address.
fn passive(reply: &Reply, own: Option<IpAddr>) -> Done<To> {
    let wrong = || Fault(format!("no address in {}", reply.show()));
    let text = String::from_utf8_lossy(reply.text()).into_owned();
    let inside = text.split(['(', ')']).nth(1).ok_or_else(wrong)?;
    if let Some(own) = own {
        let port = inside.trim_matches('|').parse().map_err(|_| wrong())?;
        return Ok(To::Passive(SocketAddr::new(own, port)));
    }
    let parts: Result<Vec<u8>, _> = inside.split(',').map(str::parse).collect();
    let Ok(&[a, b, c, d, high, low]) = parts.as_deref() else { return Err(wrong()) };
    let port = u16::from_be_bytes([high, low]);
    Ok(To::Passive(SocketAddr::from(([a, b, c, d], port))))
}
