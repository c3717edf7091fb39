//! One client's session: what it holds, and what all of its handlers need of it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::arg::choice::TransferType;
use super::connection::Connection;
use super::live::Live;
use super::refusal::Refusal;
use super::shared::{Settings, Shared};
use super::state::{Login, Parameters, Protection, Resumption, Setup, State, User};
use crate::config::TlsRequired;
use crate::data::Lingering;
use crate::log::{self, Event, Who};
use crate::tls::SessionTls;

/// One client, from the greeting to the end. Lives on one thread.
#[derive(Debug)]
pub struct Session {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Arc<Settings>,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) state: State,
    pub(super) began: Instant,
    /// From when on the time for a login runs.
    pub(super) login_since: Instant,
    pub(super) failed_logins: u32,
    /// Whether the guard was told of something besides a login.
    pub(super) blamed: bool,
    /// Refused commands since somebody was logged in.
    pub(super) refused: u32,
    /// TLS begins before the greeting.
    pub(super) implicit: bool,
    /// The settings of this connection, once TLS has begun.
    pub(super) tls: Option<SessionTls>,
    /// Whether data connections resume, for the log.
    pub(super) resumption: Resumption,
    /// Data connections over which all has been sent, and of which the client has not closed its
    /// end yet.
    pub(super) lingering: Vec<Lingering>,
    /// What it shows of itself, and whether it must end.
    pub(super) live: Arc<Live>,
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
        let login_timeout = settings.config.server.login.timeout;
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
            tls: None,
            resumption: Resumption::default(),
            lingering: Vec::new(),
            live,
        })
    }

    pub(super) fn user(&self) -> Result<&User, Refusal> {
        self.state.login.user().ok_or(Refusal::NotLoggedIn)
    }

    pub(super) fn user_mut(&mut self) -> Result<&mut User, Refusal> {
        self.state.login.user_mut().ok_or(Refusal::NotLoggedIn)
    }

    pub(super) fn log(&self, event: &Event<'_>) {
        let who = Who { peer: self.peer, user: self.state.login.name() };
        if who.user.is_some() || self.shared.guard.lets_write(self.peer, event) {
            log::session(who, event);
            self.shared.recent.note(who, event);
        }
    }

    /// Forgets how the next data connection was to be made.
    pub(super) fn drop_setup(&mut self) {
        if let Setup::Passive(passive) = std::mem::take(&mut self.state.parameters.setup) {
            passive.give_up(Who { peer: self.peer, user: self.state.login.name() });
        }
    }

    /// Ends a login, if there is one: the time for the next one begins, which finds what a new
    /// session finds. What stays is the type (RFC 959 §4.1.1), EPSV ALL (RFC 2428 §4) and the
    /// protection of data connections: the client counts on them.
    pub(super) fn log_out(&mut self) {
        if let Login::In(_) = self.state.login {
            self.drop_setup();
            let Parameters { transfer_type, epsv_all, protection, .. } = self.state.parameters;
            self.state.parameters =
                Parameters { transfer_type, epsv_all, ..Parameters::with(protection) };
            self.state.login = Login::Out;
            // a path of the user before
            self.state.parameters.rename_from = None;
            self.login_since = Instant::now();
            self.live.leave();
        }
    }

    /// Where TLS is a must: for the user who has logged in, or for all.
    pub(super) fn required(&self) -> TlsRequired {
        let rules = &self.settings.config.rules;
        self.user().map_or(rules, |user| &user.account.user.rules).tls.required
    }

    /// The settings for data connections, if they are protected.
    pub(super) fn private(&self) -> Option<SessionTls> {
        let private = self.state.parameters.protection == Protection::Private;
        self.tls.clone().filter(|_| private)
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.state.parameters.transfer_type == TransferType::Ascii
    }
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}
