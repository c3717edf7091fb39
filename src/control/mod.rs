//! The server-PI: reads a line, looks the command up in one table, checks login and
//! permission there, calls the command's handler and writes the reply.
//!
//! Chooses every reply. Opens no file and moves no bulk bytes itself.

pub mod command;
#[doc(hidden)]
pub mod line;
pub mod reply;
pub mod syntax;

mod arg;
mod connection;
mod counters;
mod live;
mod offence;
mod refusal;
mod shared;
mod since;
mod state;
mod verbs;
mod why;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use counters::{
    Away, BOUNDS, Counters, Durations, Kind, LoginResult, Outcome, Reason, Tally, Way,
};
pub use live::{Live, Sight, Stranger, Underway};
pub use offence::{Guard, Guess, Offence};
pub use shared::{Settings, Shared, Stop};
pub use since::Since;
pub use why::{ACTIONS, Verdict, why, why_here};

use command::{Command, Verb};
use connection::{Aside, Connection, Ear, Gone, Heard, Unshaken};
use line::Line;
use refusal::Refusal;
use reply::{Code, Reply};
use state::{Login, Protection, Resumption, Setup, State, User};
use syntax::SyntaxError;
use verbs::{facts, info, listing, login, param, security, transfer, tree};

use crate::config::Occasion;
use crate::data::{self, Lingering, Progress};
use crate::hook::{Happening, Owner};
use crate::log::{self, Event, Who};
use crate::tls::{Awaited, SessionTls};
use crate::vfs::{FsError, VirtualPath};

/// One client, from the greeting to the end. Lives on one thread.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    peer: SocketAddr,
    local: SocketAddr,
    state: State,
    began: Instant,
    /// From when on the time for a login runs.
    login_since: Instant,
    failed_logins: u32,
    /// Whether the guard was told of something besides a login.
    blamed: bool,
    /// Refused commands since somebody was logged in.
    refused: u32,
    /// TLS begins before the greeting.
    implicit: bool,
    /// TLS begins when AUTH has been answered.
    upgrade: Option<SessionTls>,
    /// The settings of this connection, once TLS has begun.
    tls: Option<SessionTls>,
    /// Whether data connections resume, for the log.
    resumption: Resumption,
    /// Data connections over which all has been sent, and of which the client has not closed its
    /// end yet.
    lingering: Vec<Lingering>,
    /// What it shows of itself, and whether it must end.
    live: Arc<Live>,
}

/// How a session ends.
#[derive(Debug)]
pub struct Parting {
    reply: Option<Reply>,
    /// For the log.
    why: String,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// There is no room.
    Full,
    /// It comes from an address that is banned.
    Banned,
}

/// Turns a client away with 421, without waiting for it.
pub fn turn_away(stream: &TcpStream, why: TurnedAway) {
    let text = match why {
        TurnedAway::Full => "Too many connections, try again later",
        TurnedAway::Banned => "Too many failures from your address, try again later",
    };
    let reply = Reply::new(Code::Unavailable, text);
    connection::send_at_once(stream, &reply);
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

impl Session {
    /// A session for a client that has just connected.
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    pub fn new(
        stream: &Arc<TcpStream>,
        shared: Arc<Shared>,
        implicit: bool,
        live: Arc<Live>,
    ) -> io::Result<Self> {
        let local = stream.local_addr()?;
        let now = Instant::now();
        let settings = shared.settings();
        let login_timeout = settings.config.server.login_timeout;
        Ok(Self {
            connection: Connection::new(stream, login_timeout)?,
            shared,
            settings,
            peer: live.peer,
            local: canonical(local),
            state: State::new(implicit),
            began: now,
            login_since: now,
            failed_logins: 0,
            blamed: false,
            refused: 0,
            implicit,
            upgrade: None,
            tls: None,
            resumption: Resumption::default(),
            lingering: Vec::new(),
            live,
        })
    }

    /// From 220 to the last command. Whoever hears the last word may come again at once, so
    /// all that others may wait for is given back before [`Session::part`] says it.
    #[must_use]
    pub fn run(&mut self) -> Parting {
        if let Err(why) = self.greet() {
            return Parting { reply: None, why };
        }
        let parting = self.converse();
        self.report_refused();
        // that a stopping server cuts clients off says nothing about their firewall
        if !self.shared.stop.is_soon() {
            self.drop_setup();
        }
        self.state.parameters.setup = Setup::None;
        if let Login::In(user) = &mut self.state.login {
            user.account.leave();
        }
        parting
    }

    #[inline(never)]
    fn greet(&mut self) -> Result<(), String> {
        self.log(&Event::Connected);
        if self.implicit {
            self.begin_implicit_tls()?;
        }
        let greeting = Reply::new(Code::ServiceReady, &self.settings.config.server.welcome_msg);
        self.connection.reply(&greeting);
        Ok(())
    }

    /// The last reply and the end.
    #[inline(never)]
    pub fn part(&mut self, parting: &Parting) {
        if let Some(reply) = &parting.reply {
            self.connection.last_reply(reply);
        }
        self.connection.finish();
        self.log(&Event::Ended(&parting.why, self.began.elapsed()));
    }

    /// One command after the other, but for the answer to the last one.
    #[inline(never)]
    fn converse(&mut self) -> Parting {
        loop {
            let (reply, why) = match self.hear() {
                Heard::Line(Line::Text(line)) => {
                    let reply = self.obey(&line);
                    // here and not where it logs in, deeper in the thread's stack
                    if reply.code() == Code::LoggedIn {
                        login::told(self);
                    }
                    let why = if reply.code() == Code::Closing { "QUIT" } else { "refused" };
                    (reply, why)
                }
                Heard::Line(Line::TooLong) => {
                    self.log(&Event::Refused("a line", None, "too long"));
                    // it may have been an RNFR
                    self.state.parameters.rename_from = None;
                    (self.refuse(b"", &Refusal::LineTooLong), "refused")
                }
                Heard::TimedOut => {
                    if self.connection.has_noise() && self.user().is_err() {
                        self.blame(Offence::Noise);
                    }
                    let why = if self.user().is_ok() { "idle" } else { "no login in time" };
                    (Reply::new(Code::Unavailable, "Timeout"), why)
                }
                Heard::Gone if self.shared.stop.is_soon() => {
                    (Reply::new(Code::Unavailable, "Server is stopping"), "server stopped")
                }
                Heard::Gone => match self.live.ended() {
                    Some(why) => (Reply::new(Code::Unavailable, why), why),
                    None => return self.farewell(),
                },
            };
            if reply.closes() {
                return Parting { reply: Some(reply), why: why.to_owned() };
            }
            self.connection.reply(&reply);
            if let Some(tls) = self.upgrade.take()
                && let Err(why) = self.begin_tls(tls)
            {
                return Parting { reply: None, why };
            }
        }
    }

    fn begin_implicit_tls(&mut self) -> Result<(), String> {
        let tls = self.settings.tls.as_ref().ok_or("no certificate")?;
        let own = tls.session().map_err(|why| why.to_string())?;
        self.begin_tls(own)
    }

    /// Shakes hands. What was said in clear text is forgotten (RFC 4217 §4).
    fn begin_tls(&mut self, tls: SessionTls) -> Result<(), String> {
        self.log_out();
        let login_timeout = self.settings.config.server.login_timeout;
        let until = login_timeout
            .map_or_else(|| Instant::now() + SHAKING, |time| self.login_since + time);
        let shaken = self.connection.start_tls(&tls, until, &self.shared.stop);
        if let Err(Unshaken { why, is_noise }) = shaken {
            if is_noise {
                self.blame(Offence::Tls);
            }
            // who had to make room was not heard to the end
            let ended = self.live.ended().map(str::to_owned);
            return Err(ended.unwrap_or_else(|| format!("TLS handshake failed: {why}")));
        }
        self.state = State::new(self.implicit);
        self.tls = Some(tls);
        self.live.set_tls();
        self.shared.counters.tls.fetch_add(1, Ordering::Relaxed);
        if let Some(layer) = self.connection.layer() {
            let peer = layer.peer();
            let subject = peer.as_ref().map(|peer| peer.subject.as_str());
            self.log(&Event::Secured(&layer.describe(), subject));
        }
        Ok(())
    }

    /// The next command, unless the server stops: then what has come already is left alone.
    fn hear(&mut self) -> Heard {
        self.live.set_at_work(false);
        if self.shared.stop.is_soon() || self.live.ended().is_some() {
            return Heard::Gone;
        }
        let (idle, login) = match &self.state.login {
            Login::In(user) => (user.idle_timeout, None),
            Login::Out | Login::Named(_) => {
                let config = &self.settings.config;
                let login = config.server.login_timeout.map(|time| self.login_since + time);
                (config.limits.idle_timeout, login)
            }
        };
        let idle = idle.map(|idle| Instant::now() + idle);
        let until = [idle, login].into_iter().flatten().min();
        let is_private = self.state.parameters.protection == Protection::Private;
        let passive = match &mut self.state.parameters.setup {
            Setup::Passive(passive) => Some(passive),
            Setup::None | Setup::Active(_) => None,
        };
        let aside = Aside {
            passive,
            tls: self.tls.as_ref().filter(|_| is_private),
            lingering: &mut self.lingering,
            who: Who { peer: self.peer, user: self.state.login.name() },
        };
        self.connection.hear(until, aside)
    }

    fn farewell(&mut self) -> Parting {
        if self.connection.has_noise() && self.user().is_err() {
            self.blame(Offence::Noise);
        }
        let (reply, why) = match self.connection.gone() {
            Some(Gone::Broken(why)) => (None, format!("connection lost: {why}")),
            Some(Gone::Endless) => {
                self.blame(Offence::Endless);
                let reply = Reply::from(&Refusal::LineTooLong).closing();
                (Some(reply), "a line without an end".to_owned())
            }
            Some(Gone::Closed) | None => (None, "closed by the client".to_owned()),
        };
        Parting { reply, why }
    }

    /// One line in, one final reply out: the return type is the rule (RFC 959 §5.4).
    #[inline(never)]
    fn obey(&mut self, line: &[u8]) -> Reply {
        ::log::debug!("{} {}", self.peer, command::name_of(line));
        match self.attempt(line) {
            Ok(reply) => reply,
            Err(why) => {
                self.log_refusal(line, &why);
                self.refuse(line, &why)
            }
        }
    }

    fn refuse(&mut self, line: &[u8], why: &Refusal) -> Reply {
        self.shared.counters.refused(why);
        self.count_refusal(line, why);
        let reply = Reply::from(why);
        if self.refused < MOST_REFUSED { reply } else { reply.closing() }
    }

    /// What a stranger does that no client does is told to the guard. A login that failed was told
    /// already.
    #[inline(never)]
    fn count_refusal(&mut self, line: &[u8], why: &Refusal) {
        if self.state.login.user().is_some() || matches!(why, Refusal::Login(..)) {
            return;
        }
        self.count_refused();
        let is_control = |&byte: &u8| byte.is_ascii_control() && byte != b'\t';
        let is_noise = line.starts_with(b"SSH-") || line.iter().any(is_control);
        let is_unknown = matches!(why, Refusal::Syntax(SyntaxError::UnknownCommand));
        if matches!(why, Refusal::Syntax(SyntaxError::Http)) {
            self.blame(Offence::Http);
        } else if matches!(why, Refusal::Injected) || (is_unknown && is_noise) {
            self.blame(Offence::Noise);
        }
    }

    fn attempt(&mut self, line: &[u8]) -> Result<Reply, Refusal> {
        // RNFR and RNTO take what RNFR has named, even where they are refused; no other command does
        let rename_from = self.state.parameters.rename_from.take_if(|_| command::renames(line));
        let (verb, command) = command::parse(line)?;
        let restart = if verb.transfers { &mut self.state.parameters.restart } else { &mut 0 };
        let earlier = Earlier { rename_from, restart: std::mem::take(restart) };
        let Err(why) = self.permit(verb) else { return self.carry_out(command, &earlier) };
        match command::parse_otherwise(verb, line) {
            Some((other, command)) if self.permit(other).is_ok() => {
                self.carry_out(command, &earlier).map_err(|_| why)
            }
            _ => Err(why),
        }
    }

    fn carry_out(&mut self, command: Command, earlier: &Earlier) -> Result<Reply, Refusal> {
        match command {
            Command::Abort => Ok(transfer::abort(self)),
            Command::Account => Ok(Reply::new(Code::Superfluous, "No account needed")),
            Command::Allocate(bytes) => transfer::allocate(self, bytes),
            Command::Auth(mechanism) => security::auth(self, &mechanism),
            Command::BufferSize(size) => security::buffer_size(self, size),
            Command::ClearControl => security::clear_control(),
            Command::Protect(level) => security::protect(self, level),
            Command::Append(path) => transfer::append(self, &path),
            Command::ChangeDir(path) => {
                let path = self.user()?.path(&path);
                tree::change_dir(self.user_mut()?, path)
            }
            Command::ChangeDirUp => {
                let path = self.user()?.cwd.parent();
                tree::change_dir(self.user_mut()?, path)
            }
            Command::Chmod(mode, path) => tree::chmod(self, mode, &path),
            Command::ClientName => Ok(Reply::ok("Noted")),
            Command::ClientServerId => Ok(Reply::ok("Name=ftpd;")),
            Command::Delete(path) => tree::delete(self, &path),
            Command::EprtPort(to) | Command::Port(to) => param::active(self, to),
            Command::ExtendedPassive(wanted) => param::extended_passive(self, wanted),
            Command::Feat => {
                Ok(info::feat(&self.state.parameters, self.settings.tls.is_some()))
            }
            Command::Help => Ok(info::help()),
            Command::HelpOn(name) => info::help_on(&name),
            Command::Host => login::host(self),
            Command::Idle => Ok(info::idle(self.user()?)),
            Command::IdleSet(seconds) => info::set_idle(self.user_mut()?, seconds),
            Command::List => listing::list(self, None),
            Command::ListPath(path) => listing::list(self, Some(&path)),
            Command::MachineList => listing::machine(self, None),
            Command::MachineListPath(path) => listing::machine(self, Some(&path)),
            Command::MachineShow => listing::show(self, None),
            Command::MachineShowPath(path) => listing::show(self, Some(&path)),
            Command::MakeDir(path) => tree::make_dir(self, &path),
            Command::Mode(letter) => param::mode(letter),
            Command::ModifiedTime(path) => facts::modified(self, &path),
            Command::ModifyTime(at, path) => facts::modify(self, "MFMT", at, &path),
            Command::SiteUtime(fits) => facts::utime(self, &fits),
            Command::ModifyTimeOld(timed) => facts::modify_old(self, &timed),
            Command::NameList => listing::names(self, None),
            Command::NameListPath(path) => listing::names(self, Some(&path)),
            Command::Noop => Ok(Reply::ok("Still here")),
            Command::OptsMlst(facts) => Ok(param::opts_mlst(&mut self.state.parameters, facts)),
            Command::OptsUtf8(on) => param::opts_utf8(on),
            Command::Password(password) => login::password(self, &password),
            Command::Passive => param::passive(self),
            Command::PreTransfer => Ok(Reply::ok("Not needed")),
            Command::PrintDir => Ok(tree::print_dir(self.user()?)),
            Command::Quit => Ok(login::quit()),
            Command::Reinitialize => Ok(login::reinitialize(self)),
            Command::RemoveDir(path) => tree::remove_dir(self, &path),
            Command::RenameFrom(path) => tree::rename_from(self, &path),
            Command::RenameTo(path) => {
                tree::rename_to(self, earlier.rename_from.as_ref(), &path)
            }
            Command::Restart(offset) => Ok(param::restart(&mut self.state.parameters, offset)),
            Command::Retrieve(path) => transfer::retrieve(self, &path, earlier.restart),
            Command::SiteHelp => Ok(info::site_help()),
            Command::Size(path) => facts::size(self, &path),
            Command::Stat => Ok(info::stat(self)),
            Command::StatPath(path) => listing::stat(self, &path),
            Command::Store(path) => transfer::store(self, &path, earlier.restart),
            Command::StoreUnique => transfer::store_unique(self, None),
            Command::StoreUniquePath(path) => transfer::store_unique(self, Some(&path)),
            Command::Structure(letter) => param::structure(letter),
            Command::StructureMount => Err(Refusal::NotImplemented),
            Command::System => Ok(info::system()),
            Command::Type(wanted) => param::transfer_type(&mut self.state.parameters, wanted),
            Command::Umask => Ok(info::umask(self.user()?)),
            Command::UmaskSet(mask) => Ok(info::set_umask(self.user_mut()?, mask)),
            Command::User(name) => login::user(self, name),
        }
    }

    /// The only login check and the only permission check in the server.
    fn permit(&self, verb: &Verb) -> Result<(), Refusal> {
        match (&self.state.login, verb.perm) {
            (Login::Out | Login::Named(_), _) if verb.before_login => Ok(()),
            (Login::Out | Login::Named(_), _) => Err(Refusal::NotLoggedIn),
            (Login::In(user), Some(perm)) if !user.may(perm) => {
                Err(Refusal::NotPermitted(perm))
            }
            (Login::In(_), _) => Ok(()),
        }
    }

    fn user(&self) -> Result<&User, Refusal> {
        self.state.login.user().ok_or(Refusal::NotLoggedIn)
    }

    fn user_mut(&mut self) -> Result<&mut User, Refusal> {
        self.state.login.user_mut().ok_or(Refusal::NotLoggedIn)
    }

    fn log(&self, event: &Event<'_>) {
        let who = Who { peer: self.peer, user: self.state.login.name() };
        if who.user.is_some() || self.shared.guard.lets_write(self.peer, event) {
            log::session(who, event);
            self.shared.recent.note(who, event);
        }
    }

    /// Waits, for `data_timeout` at the most, until the program that the administrator wants for
    /// this can be handed what is going to happen. Asked first, so that nothing has to be thrown
    /// away or told late when it has happened.
    fn await_program(&mut self, occasion: Occasion, verb: &'static str) -> Result<(), Refusal> {
        let Ok(user) = self.user() else { return Ok(()) };
        if user.account.user.limits.hooks.of(occasion).is_none() {
            return Ok(());
        }
        let owner = user.hook_owner.clone();
        let time = self.settings.config.server.data_timeout;
        let until = time.map(|time| Instant::now() + time);
        self.await_room(&owner, verb, until)
    }

    #[inline(never)]
    fn await_room(
        &mut self,
        owner: &Owner,
        verb: &'static str,
        until: Option<Instant>,
    ) -> Result<(), Refusal> {
        let Self { connection, shared, live, .. } = self;
        loop {
            let Some(bell) =
                shared.hooks.await_room(owner).map_err(|_| Refusal::ProgramsBusy)?
            else {
                return Ok(());
            };
            if shared.stop.is_soon() || connection.gone().is_some() {
                return Err(Refusal::ProgramsBusy);
            }
            let stop = &shared.stop;
            let mut ear = Ear { connection, stop, live, meter: None, verb, flowing: false };
            // an ABOR may have come right behind its command
            let heard = ear.obey(&Progress::start());
            match heard.and_then(|()| data::wait_for(&mut ear, Awaited::readable(&bell), until))
            {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(Refusal::ProgramsBusy),
            }
        }
    }

    /// Starts the program that the administrator wants for this.
    fn happened(
        &self,
        occasion: Occasion,
        path: &VirtualPath,
        from: Option<&VirtualPath>,
        transfer: Option<(u64, Duration, Option<&str>)>,
    ) {
        let Ok(user) = self.user() else { return };
        let Some(program) = user.account.user.limits.hooks.of(occasion) else { return };
        let real = |path| user.tree.real(path);
        let (here, before) = (real(path), from.map(real));
        let happening = Happening {
            occasion,
            user: &user.account.name,
            owner: &user.hook_owner,
            ids: user.account.user.run_as.as_ref(),
            address: self.peer.ip(),
            path: (&here, path.as_bytes()),
            from: before.as_deref().zip(from.map(VirtualPath::as_bytes)),
            transfer,
        };
        self.shared.hooks.start(program, &happening);
    }

    /// A failed login has its own line, and so has a transfer that had begun.
    #[inline(never)]
    fn log_refusal(&self, line: &[u8], why: &Refusal) {
        if matches!(why, Refusal::Login(..) | Refusal::Transfer(_)) {
            return;
        }
        let (perm, command) = command::parse(line)
            .map_or((None, None), |(verb, command)| (verb.perm, Some(command)));
        let meant = self.user().ok().zip(command.as_ref()).and_then(|(user, command)| {
            let path = listing::meant(user, command)?;
            Some((user, path))
        });
        let mut why_not = why.to_string();
        if let (Some((user, path)), Some(perm)) = (&meant, perm) {
            let right = |path| user.tree.missing_right(path, perm);
            if let Refusal::RenameDenied(_, from) = why {
                why_not = right(from).or_else(|| right(path)).unwrap_or(why_not);
            } else if let Refusal::Fs(FsError::Denied(_)) = why {
                why_not = right(path).unwrap_or(why_not);
            }
        }
        let path = meant.map(|(user, path)| user.tree.real(&path));
        self.log(&Event::Refused(command::name_of(line), path.as_deref(), &why_not));
    }
}

/// A stranger's refused commands after which the connection is closed, where no ban has ended it.
const MOST_REFUSED: u32 = 250;

/// How long a handshake may take where there is no `login_timeout`.
const SHAKING: Duration = Duration::from_secs(60);

/// What earlier commands have set for this one.
struct Earlier {
    rename_from: Option<VirtualPath>,
    restart: u64,
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}
