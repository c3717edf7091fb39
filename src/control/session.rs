//! The session of one client: its state, and methods that all handlers need.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::arg::choice::TransferType;
use super::charset::Signs;
use super::connection::Connection;
use super::live::{CameBy, Live};
use super::refusal::Refusal;
use super::shared::{Settings, Shared};
use super::state::{Login, Parameters, Protection, Resumption, SessionState, Setup, User};
use crate::config::TlsRequired;
use crate::data::{self, Lingering};
use crate::log::{self, Event, Who};
use crate::tls::SessionTls;
use crate::vfs::VirtualPath;

/// The session of one client, from the greeting to the end. It runs on one thread.
#[derive(Debug)]
pub struct Session {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Arc<Settings>,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    /// Whether the other end of the control connection, which is the client or its balancer, is on this
    /// machine.
    pub(super) is_near: bool,
    pub(super) state: SessionState,
    pub(super) began: Instant,
    /// When `login_timeout` began to run.
    pub(super) login_since: Instant,
    pub(super) failed_logins: u32,
    /// Whether an offence other than a failed login was reported to the guard.
    pub(super) blamed: bool,
    /// Number of refused commands since the start or the last login.
    pub(super) refused: u32,
    /// Whether TLS begins before the greeting.
    pub(super) implicit: bool,
    /// The TLS settings of this connection, once TLS has begun.
    pub(super) tls: Option<SessionTls>,
    /// Whether data connections resume the TLS session, for the log.
    pub(super) resumption: Resumption,
    /// Data connections over which everything was sent, and whose client has not closed its
    /// end yet.
    pub(super) lingering: Vec<Lingering>,
    /// The published state of the session, and the order to end it.
    pub(super) live: Arc<Live>,
}

impl Session {
    /// Creates a session for a client that has just connected.
    ///
    /// # Errors
    ///
    /// When the connection is already gone.
    pub fn new(
        stream: &Arc<TcpStream>,
        shared: Arc<Shared>,
        implicit: bool,
        live: Arc<Live>,
    ) -> io::Result<Self> {
        let local = canonical(stream.local_addr()?);
        let is_near = |far: SocketAddr| data::is_within(local.ip(), far.ip());
        let now = Instant::now();
        let settings = shared.settings();
        let login_timeout = settings.config.server.login.timeout;
        Ok(Self {
            connection: Connection::new(stream, login_timeout)?,
            shared,
            settings,
            peer: live.peer,
            local,
            is_near: stream.peer_addr().is_ok_and(is_near),
            state: SessionState::new(implicit),
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
        let is_check = self.live.way == CameBy::Check;
        if is_check && who.user.is_none() && !matches!(event, Event::LoginFailed(..)) {
            return;
        }
        if who.user.is_some() || self.shared.guard.lets_write(self.peer, event) {
            log::session(who, event);
            self.shared.recent.note(who, event);
        }
    }

    /// Writes to the log that what had this path was moved to the trash, if it was.
    pub(super) fn log_trashed(&self, is_kept: bool, path: &VirtualPath) -> Result<(), Refusal> {
        if is_kept {
            self.log(&Event::Trashed(&self.user()?.tree.real(path)));
        }
        Ok(())
    }

    /// Forgets how the next data connection was to be made, and closes its passive port.
    pub(super) fn drop_setup(&mut self) {
        if let Setup::Passive(passive) = std::mem::take(&mut self.state.parameters.setup) {
            passive.give_up(Who { peer: self.peer, user: self.state.login.name() });
        }
    }

    /// Ends the login, if there is one, and starts `login_timeout` again. The transfer type
    /// (RFC 959 §4.1.1), EPSV ALL (RFC 2428 §4), UTF-8 and the protection of data connections remain,
    /// because the client relies on them. All other parameters are as in a new session.
    pub(super) fn log_out(&mut self) {
        if let Login::In(_) = self.state.login {
            self.drop_setup();
            let Parameters { transfer_type, epsv_all, signs, protection, .. } =
                self.state.parameters;
            self.state.parameters =
                Parameters { transfer_type, epsv_all, signs, ..Parameters::with(protection) };
            self.state.login = Login::Out;
            // RNFR has named a file of the previous user
            self.state.parameters.rename_from = None;
            self.login_since = Instant::now();
            self.live.leave();
        }
    }

    /// Takes note of what the client has shown of the charset of its names.
    pub(super) fn note(&mut self, signs: Signs) {
        self.state.parameters.signs = signs;
        if let Login::In(user) = &mut self.state.login {
            user.speech.note(signs);
        }
    }

    /// Returns where TLS is required: for the user who is logged in, or for everybody.
    pub(super) fn required(&self) -> TlsRequired {
        let rules = &self.settings.config.rules;
        self.user().map_or(rules, |user| &user.account.user.rules).tls.required
    }

    /// Returns the TLS settings for data connections; `None` if they are not protected.
    pub(super) fn private(&self) -> Option<SessionTls> {
        let private = self.state.parameters.protection == Protection::Private;
        self.tls.clone().filter(|_| private)
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.state.parameters.transfer_type == TransferType::Ascii
    }
}

/// Converts an IPv4-mapped IPv6 address to IPv4.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}
