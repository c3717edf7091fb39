//! AUTH, PBSZ, PROT and CCC (RFC 4217), and what TLS means for logins and data connections.

use crate::auth::Account;
use crate::config::{Resume, TlsRequired};
use crate::control::Session;
use crate::control::connection::Ear;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::state::{Protection, Resumption};
use crate::data::{DataConnection, DataError};
use crate::log::Event;
use crate::tls::{Layer, Peer, SessionTls};

/// What AUTH may ask for: three names for one thing, of which clients use all.
const MECHANISMS: [&str; 3] = ["TLS", "TLS-C", "SSL"];

/// AUTH: the reply goes out in clear text, and then TLS begins (RFC 4217 §4). What the client
/// has sent behind it was not protected and is not obeyed.
pub(crate) fn auth(session: &mut Session, mechanism: &str) -> Result<Reply, Refusal> {
    let tls = session.settings.tls.as_ref().ok_or(Refusal::NoTls)?;
    if session.connection.is_secure() {
        return Err(Refusal::Sequence("TLS has begun already"));
    }
    if !MECHANISMS.iter().any(|known| known.eq_ignore_ascii_case(mechanism)) {
        return Err(Refusal::NotForThat("The mechanism is TLS"));
    }
    if session.connection.has_unread() {
        return Err(Refusal::Injected);
    }
    let own = tls.session().map_err(|why| {
        log::error!("TLS: {why}");
        Refusal::NoTls
    })?;
    session.upgrade = Some(own);
    Ok(Reply::new(Code::SecurityOk, "TLS begins"))
}

/// PBSZ: TLS needs no buffer size, but wants to be asked (RFC 4217 §8).
pub(crate) fn buffer_size(session: &mut Session, _size: u64) -> Result<Reply, Refusal> {
    if !session.connection.is_secure() {
        return Err(Refusal::Sequence("AUTH TLS first"));
    }
    let protection = &mut session.state.parameters.protection;
    if *protection == Protection::Clear {
        *protection = Protection::Sized;
    }
    Ok(Reply::ok("PBSZ=0"))
}

/// PROT (RFC 4217 §9).
pub(crate) fn protect(session: &mut Session, level: u8) -> Result<Reply, Refusal> {
    if session.state.parameters.protection == Protection::Clear {
        return Err(Refusal::Sequence("PBSZ 0 first"));
    }
    let wanted = match level {
        b'P' => Protection::Private,
        b'C' if session.required().data => return Err(Refusal::ProtectionStays),
        b'C' => Protection::Sized,
        b'S' | b'E' => return Err(Refusal::ProtectionUnknown),
        _ => return Err(Refusal::NotForThat("The level is P or C")),
    };
    session.state.parameters.protection = wanted;
    Ok(Reply::ok(if wanted == Protection::Private {
        "Data is private"
    } else {
        "Data is clear"
    }))
}

/// Whether a login under this name may go on without TLS. Where that depends on the user, a name
/// that nobody has is refused like that of a user who needs TLS, so that the refusal does not tell
/// which of the two it is.
pub(super) fn may_name(session: &Session, name: &[u8]) -> Result<(), Refusal> {
    let config = &session.settings.config;
    let user = config.active(name);
    let needed =
        user.map_or(config.strangers_need_tls, |user| user.limits.tls_required.control);
    if needed && !session.connection.is_secure() {
        return Err(Refusal::TlsNeeded);
    }
    Ok(())
}

/// Whether the client has shown the certificate that the account is bound to.
pub(super) fn has_certificate(session: &Session, account: &Account) -> bool {
    let Some(wanted) = &account.user.tls_client else { return true };
    let peer = session.connection.layer().and_then(Layer::peer);
    peer.is_some_and(|peer| names(&peer, wanted))
}

/// A subject is compared as it is; a fingerprint with or without colons, in any case.
fn names(peer: &Peer, wanted: &str) -> bool {
    let plain = |text: &str| text.replace(':', "").to_ascii_uppercase();
    let prefix = wanted.get(..7).filter(|prefix| prefix.eq_ignore_ascii_case("sha256:"));
    let digits = wanted.get(prefix.map_or(0, str::len)..).unwrap_or_default();
    peer.subject == wanted || plain(&peer.fingerprint) == plain(digits)
}

impl Session {
    /// Where TLS is a must: for the user who has logged in, or for all.
    pub(super) fn required(&self) -> TlsRequired {
        let limits = &self.settings.config.limits;
        self.user().map_or(limits, |user| &user.account.user.limits).tls_required
    }

    /// The settings for data connections, if they are protected.
    pub(super) fn private(&self) -> Option<SessionTls> {
        let private = self.state.parameters.protection == Protection::Private;
        self.tls.clone().filter(|_| private)
    }

    /// Shakes hands on a data connection, if PROT P was sent: the level that is set now decides,
    /// whatever it was at PASV. The handshake must resume the session of this control connection,
    /// as far as `tls_resume` says so, and show its certificate: that proves whose it is.
    pub(super) fn secure(
        &mut self,
        verb: &'static str,
        data: &mut DataConnection,
    ) -> Result<(), Refusal> {
        let Some(tls) = self.private() else {
            let is_clear = !data.has_tls();
            return if is_clear { Ok(()) } else { Err(DataError::LevelChanged.into()) };
        };
        let strict = self.user()?.account.user.limits.tls_require_close_notify;
        let server = &self.settings.config.server;
        let (patience, resume) = (server.data_timeout, server.tls_resume);
        let Self { connection, shared, live, .. } = self;
        let mut ear =
            Ear { connection, stop: &shared.stop, live, meter: None, verb, flowing: true };
        data.begin_tls(&tls)?;
        data.secure(&mut ear, patience)?;
        if !strict {
            data.be_lenient();
        }
        let Some((own, control)) = data.layer().zip(self.connection.layer()) else {
            return Ok(());
        };
        let is_resumed = own.is_resumed();
        if resume == Resume::Require && !is_resumed {
            return Err(DataError::NotResumed.into());
        }
        if !control.may_be_peer_of(own) {
            return Err(DataError::OtherCertificate.into());
        }
        self.log_resumption(is_resumed);
        Ok(())
    }

    /// Says whether data connections resume, and once if one does not although others did: it
    /// may be a stranger's.
    fn log_resumption(&mut self, resumed: bool) {
        let next = match (self.resumption, resumed) {
            (Resumption::Unknown | Resumption::Always, true) => Resumption::Always,
            (Resumption::Unknown | Resumption::Never, false) => Resumption::Never,
            _ => Resumption::Sometimes,
        };
        if next != self.resumption {
            let stopped = self.resumption == Resumption::Always;
            let event =
                if stopped { Event::ResumptionStopped } else { Event::DataSecured(resumed) };
            self.log(&event);
        }
        self.resumption = next;
    }
}

/// CCC: back to clear text is a way to be robbed of what follows.
pub(crate) fn clear_control() -> Result<Reply, Refusal> {
    Err(Refusal::ProtectionStays)
}
