//! A client: its control connection, which comes and goes, what it has set, and what must be on
//! the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::model::{Path, Tree, absolute};
use crate::operators::Service;
use crate::random::Random;
use crate::server::Log;
use crate::session::{Done, Fault, Notes, PROMPT, Reply, Session, fault, wire_line};
use crate::tls::{Pair, forgetful};
use crate::ways::{USERS, Way};
use crate::wire::{self, Manner, Wire};

/// The data that all clients of a run share.
pub struct World {
    pub way: &'static Way,
    pub address: SocketAddr,
    pub implicit: Option<SocketAddr>,
    /// The addresses for IPv6.
    pub address6: Option<SocketAddr>,
    pub implicit6: Option<SocketAddr>,
    pub log: Arc<Log>,
    /// What operators work on, if there are any.
    pub service: Option<Service>,
    /// The certificates for each pair of accounts.
    pub pairs: Vec<Pair>,
    /// The time at which clients leave.
    pub until: Instant,
    /// Whether a client has met a fault.
    pub over: AtomicBool,
}

impl World {
    /// Whether clients should leave.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

/// A client.
pub struct Client {
    pub number: usize,
    pub world: Arc<World>,
    pub random: Random,
    pub notes: Arc<Notes>,
    pub own: IpAddr,
    session: Option<Session>,
    /// The TLS settings, if the control connection uses TLS.
    pub tls: Option<Arc<ClientConfig>>,
    configs: Vec<Arc<ClientConfig>>,
    /// The index of the account that is logged in, of the client's two.
    pub account: usize,
    /// The client's directory, as each account sees it.
    pub trees: [Tree; 2],
    pub cwd: Path,
    pub ascii: bool,
    /// Whether data connections are protected.
    pub private: bool,
    /// Whether PBSZ was sent.
    pub sized: bool,
    pub epsv_all: bool,
    /// Whether SIZE may have told the size of a part that is gone.
    pub stale: bool,
}

/// How long a client waits for room on the server.
const ROOM: Duration = Duration::from_secs(120);

impl Client {
    /// Returns a client that has not connected yet.
    pub fn new(number: usize, world: &Arc<World>, seed: u64, notes: &Arc<Notes>) -> Self {
        let pair = world.way.certificates.then(|| &world.pairs[number % USERS]);
        let configs = world.way.versions.iter().map(|version| version.config(pair)).collect();
        // several clients share an address if there is not room for all
        let place = if world.way.limits { number / 3 } else { number };
        let own = if number % 3 == 2 && world.address6.is_some() {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::new(127, 0, 1, 1 + (place % 250) as u8).into()
        };
        let top = format!("c{number}");
        Self {
            number,
            world: Arc::clone(world),
            random: Random::new(seed, number as u64),
            notes: Arc::clone(notes),
            own,
            session: None,
            tls: None,
            configs,
            account: 0,
            trees: [Tree::new(&top), Tree::new(&top)],
            cwd: Vec::new(),
            ascii: true,
            private: false,
            sized: false,
            epsv_all: false,
            stale: false,
        }
    }

    /// Whether the client is connected.
    pub fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// Returns the control connection.
    pub fn session(&mut self) -> Done<(&mut Session, &mut Random)> {
        match &mut self.session {
            Some(session) => Ok((session, &mut self.random)),
            None => fault("the client itself is not connected"),
        }
    }

    /// Hands over the control connection, which the caller ends.
    pub fn take_session(&mut self) -> Done<Session> {
        self.session
            .take()
            .ok_or_else(|| Fault("the client itself is not connected".to_owned()))
    }

    /// Returns the client's directory as the account that is logged in sees it.
    pub fn tree(&mut self) -> &mut Tree {
        &mut self.trees[self.account]
    }

    /// Sends a line and reads the reply, which must have one of these codes.
    pub fn ask(&mut self, line: impl AsRef<[u8]>, codes: &[u16]) -> Done<Reply> {
        let (session, random) = self.session()?;
        session.ask(line.as_ref(), codes, random)
    }

    /// Sends a line.
    pub fn send(&mut self, line: impl AsRef<[u8]>) -> Done {
        let (session, random) = self.session()?;
        session.send(line.as_ref(), random)
    }

    /// Reads a reply, which must have one of these codes.
    pub fn expect(&mut self, codes: &[u16]) -> Done<Reply> {
        self.session()?.0.expect(codes)
    }

    /// Reads a reply for which the server may wait for `data_timeout`.
    pub fn expect_late(&mut self, codes: &[u16]) -> Done<Reply> {
        let time = PROMPT + Duration::from_secs(self.world.way.data_timeout);
        self.session()?.0.expect_within(codes, time)
    }

    /// Returns the name and the password of one of the client's accounts.
    pub fn names(&self, account: usize) -> (String, String) {
        let pair = self.number % USERS;
        let letter = if account == 0 { 'a' } else { 'b' };
        (format!("{letter}{pair}"), format!("secret{pair}"))
    }

    /// Returns a path as this client may write it: absolute, or relative to its working
    /// directory.
    pub fn spell(&mut self, path: &[Vec<u8>]) -> Vec<u8> {
        if self.random.chance(40) {
            return absolute(path);
        }
        let common = path.iter().zip(&self.cwd).take_while(|(a, b)| a == b).count();
        let ups = self.cwd.len() - common;
        if ups > 0 && self.random.chance(60) {
            return absolute(path);
        }
        let mut words = vec![b"..".to_vec(); ups];
        words.extend_from_slice(&path[common..]);
        if words.is_empty() {
            return b".".to_vec();
        }
        words.join(&b"/"[..])
    }

    /// Returns a command with a path.
    pub fn with_path(&mut self, verb: &str, path: &[Vec<u8>]) -> Vec<u8> {
        let path = self.spell(path);
        [verb.as_bytes(), b" ", &path].concat()
    }

    /// Connects and logs in.
    pub fn connect(&mut self) -> Done {
        self.connect_as(None)
    }

    /// Connects and logs in with this account, or with either one.
    pub fn connect_as(&mut self, account: Option<usize>) -> Done {
        let until = Instant::now() + ROOM;
        let account = account.unwrap_or(usize::from(self.random.chance(30)));
        while !self.try_connect(account)? {
            self.notes.counts().turned_away += 1;
            if Instant::now() >= until {
                return fault("there was no room for two minutes");
            }
            if self.world.is_over() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(self.random.between(20, 200)));
        }
        self.notes.counts().connections += 1;
        self.set_out()
    }

    /// Tries once to connect and log in. Returns `false` if there is no room.
    fn try_connect(&mut self, account: usize) -> Done<bool> {
        let way = self.world.way;
        let config = if way.mixed && self.random.chance(40) { None } else { self.config() };
        let world = &self.world;
        let (address, implicit) = if self.own.is_ipv6() {
            (world.address6.unwrap_or(world.address), world.implicit6)
        } else {
            (world.address, world.implicit)
        };
        let at_once = implicit.filter(|_| way.implicit);
        let to = at_once.unwrap_or(address);
        let failed = |why: std::io::Error| Fault(format!("cannot connect: {why}"));
        let stream = wire::connect(self.own, to).map_err(failed)?;
        let wire = Wire::over(stream).map_err(failed)?;
        let mut session = Session::over(wire, &self.notes)?;
        self.world.log.begins(session.local);
        self.account = account;
        let (user, password) = self.names(self.account);
        (self.private, self.sized) = (way.implicit, false);
        self.tls.clone_from(&config);
        let random = &mut self.random;
        if at_once.is_none() {
            let Some(greeting) = session.reply(PROMPT)? else { return closed(way) };
            match greeting.code {
                220 => {}
                421 if way.limits => return Ok(false),
                _ => return fault(format!("a greeting of {}", greeting.show())),
            }
            if config.is_some() {
                let mechanism = *random.pick(&["TLS", "TLS-C", "SSL"]);
                let line = format!("AUTH {mechanism}\r\n");
                say(way, &mut session, line.as_bytes(), Manner::Once, random)?;
                match session.reply(PROMPT)? {
                    Some(reply) if reply.code == 234 => {}
                    Some(reply) if reply.code == 421 && way.limits => return Ok(false),
                    Some(reply) => return fault(format!("AUTH: {}", reply.show())),
                    None => return closed(way),
                }
            }
        }
        if let Some(config) = &config {
            let until = Instant::now() + PROMPT;
            let wire = &mut session.wire;
            let shaken = wire.begin_tls(config).and_then(|()| wire.shake(random, until));
            match shaken {
                Ok(()) => {}
                Err(_) if way.limits => return Ok(false),
                Err(why) => {
                    return fault(format!("handshake of the control connection: {why}"));
                }
            }
            let shaken = if wire.is_resumed() { "resumed" } else { "full" };
            self.notes.say(format!("-- TLS, {shaken}"));
        }
        // the greeting may be in one segment with the end of the handshake
        let mut lines = vec![format!("USER {user}"), format!("PASS {password}")];
        let mut codes = vec![331, 230];
        if at_once.is_some() {
            codes.insert(0, 220);
            if random.chance(50) {
                session.wire.push(Manner::Once, random).map_err(failed)?;
                session.expect(&[220])?;
                codes.remove(0);
            }
        }
        if config.is_some() && random.chance(30) {
            lines.splice(0..0, ["PBSZ 0".to_owned(), "PROT P".to_owned()]);
            let at = codes.len() - 2;
            codes.splice(at..at, [200, 200]);
            (self.private, self.sized) = (true, true);
        }
        let pieces = if random.chance(50) { lines.len() } else { 1 };
        let mut codes = codes.into_iter();
        for (at, piece) in lines.chunks(lines.len() / pieces).enumerate() {
            let text = piece.join("\r\n") + "\r\n";
            let manner = Manner::any(random);
            say(way, &mut session, text.as_bytes(), manner, random)?;
            let extra = usize::from(at == 0 && codes.len() > lines.len());
            for code in codes.by_ref().take(piece.len() + extra) {
                match session.reply(PROMPT)? {
                    Some(reply) if reply.code == code => {}
                    Some(reply) if reply.code == 421 && way.limits => return Ok(false),
                    Some(reply) => return fault(format!("login: {}", reply.show())),
                    None => return closed(way),
                }
            }
        }
        self.session = Some(session);
        self.begin_session();
        Ok(true)
    }

    /// Sets what is set at the beginning of a session.
    pub fn begin_session(&mut self) {
        self.ascii = true;
        self.epsv_all = false;
        self.begin_login();
    }

    /// Sets what is set at the beginning of a login. The type, EPSV ALL and the protection of
    /// data connections are kept.
    pub fn begin_login(&mut self) {
        self.cwd = Vec::new();
        self.stale = false;
    }

    /// Sends a command as a client that is not logged in, whose place the server may give to
    /// others. Returns `false` if it did; the client is not connected then.
    pub fn ask_as_stranger(&mut self, line: impl AsRef<[u8]>, codes: &[u16]) -> Done<bool> {
        if !self.world.way.limits {
            return self.ask(line, codes).map(|_| true);
        }
        let (session, random) = self.session()?;
        session.raw_if_there(&wire_line(line.as_ref()), Manner::any(random), random);
        match session.reply(PROMPT)? {
            Some(reply) if codes.contains(&reply.code) => return Ok(true),
            Some(reply) if reply.code != 421 => {
                return fault(format!("expected {codes:?}, not {}", reply.show()));
            }
            Some(_) | None => {}
        }
        self.notes.say("-- evicted");
        drop(self.take_session()?);
        Ok(false)
    }

    /// Chooses another version of TLS, and perhaps drops the tickets of earlier connections.
    fn config(&mut self) -> Option<Arc<ClientConfig>> {
        if self.configs.is_empty() {
            return None;
        }
        let at = self.random.index(self.configs.len());
        if self.world.way.strict || self.random.chance(70) {
            self.configs[at] = forgetful(&self.configs[at]);
        }
        self.configs.get(at).cloned()
    }

    /// Does what a client does after a login.
    pub fn set_out(&mut self) -> Done {
        if !self.is_connected() {
            return Ok(());
        }
        if self.random.chance(90) {
            self.ask("TYPE I", &[200])?;
            self.ascii = false;
        }
        let strict = self.world.way.strict;
        if strict && !self.private && self.random.chance(20) {
            self.ask("NLST", &[521])?;
        }
        let chance = if self.private { 30 } else { 90 };
        if self.tls.is_some() && !self.sized && (strict || self.random.chance(chance)) {
            self.protect(true)?;
        }
        let top = self.tree().top();
        if self.random.chance(80) {
            let line = self.with_path("CWD", &top);
            self.ask(line, &[250])?;
            self.cwd = top;
        }
        Ok(())
    }

    /// Sends PROT, and PBSZ before it if necessary.
    pub fn protect(&mut self, private: bool) -> Done {
        if !self.sized {
            self.ask("PBSZ 0", &[200])?;
            self.sized = true;
        }
        if !private && self.world.way.strict {
            self.ask("PROT C", &[534])?;
            return Ok(());
        }
        self.ask(if private { "PROT P" } else { "PROT C" }, &[200])?;
        self.private = private;
        Ok(())
    }

    /// Leaves with QUIT.
    pub fn quit(&mut self) -> Done {
        if !self.is_connected() {
            return Ok(());
        }
        self.ask("QUIT", &[221])?;
        let mut session = self.take_session()?;
        session.expect_end()?;
        self.has_ended(&session)
    }

    /// Checks that the server notices in time that a session is over.
    pub fn has_ended(&mut self, session: &Session) -> Done {
        if self.world.log.has_ended(session.local, PROMPT) {
            self.notes.say(format!("-- the session of {} has ended", session.local));
            Ok(())
        } else {
            fault(format!("the session of {} goes on without its client", session.local))
        }
    }
}

/// Sends a line as a stranger, whose place the server may have given to another client.
fn say(
    way: &Way,
    session: &mut Session,
    bytes: &[u8],
    manner: Manner,
    random: &mut Random,
) -> Done {
    if way.limits {
        session.raw_if_there(bytes, manner, random);
        return Ok(());
    }
    session.raw(bytes, manner, random)
}

/// Returns `false` if the server may have closed a new connection to make room, and a fault if
/// not.
fn closed(way: &Way) -> Done<bool> {
    if way.limits { Ok(false) } else { fault("the server closed a new connection") }
}
