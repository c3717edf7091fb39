//! AUTH, PBSZ, PROT and CCC (RFC 4217), and the checks of TLS and certificates at a login.

use crate::auth::Account;
use crate::control::answer::Answer;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::Protection;
use crate::tls::{Layer, Peer};

/// The mechanisms that AUTH accepts: three names of TLS, all of which are in use by clients.
const MECHANISMS: [&str; 3] = ["TLS", "TLS-C", "SSL"];

/// AUTH: the reply is sent in clear text, and then TLS begins (RFC 4217 §4). If the client has
/// sent anything between the two, the session ends, because those bytes were not protected.
pub(crate) fn auth(session: &mut Session, mechanism: &str) -> Result<Answer, Refusal> {
    let tls = session.settings.tls.as_ref().ok_or(Refusal::NoTls)?;
    if session.connection.is_secure() {
        return Err(Refusal::Sequence("TLS is already in use"));
    }
    if !MECHANISMS.iter().any(|known| known.eq_ignore_ascii_case(mechanism)) {
        return Err(Refusal::NotForThat("The only mechanism is TLS"));
    }
    if session.connection.has_unread() {
        return Err(Refusal::Injected);
    }
    let own = tls.session().map_err(|why| {
        log::error!("TLS: {why}");
        Refusal::NoTls
    })?;
    Ok(Answer::StartTls(Reply::new(Code::SecurityOk, "TLS begins"), own))
}

/// PBSZ: TLS needs no buffer size, but clients must send one before PROT (RFC 4217 §8).
pub(crate) fn buffer_size(session: &mut Session, _size: u64) -> Result<Reply, Refusal> {
    if !session.connection.is_secure() {
        return Err(Refusal::Sequence("Send AUTH TLS first"));
    }
    let protection = &mut session.state.parameters.protection;
    if *protection == Protection::Clear {
        *protection = Protection::Sized;
    }
    Ok(Reply::ok("PBSZ=0"))
}

/// PROT: chooses the protection of data connections (RFC 4217 §9).
pub(crate) fn protect(session: &mut Session, level: u8) -> Result<Reply, Refusal> {
    if session.state.parameters.protection == Protection::Clear {
        return Err(Refusal::Sequence("Send PBSZ 0 first"));
    }
    let wanted = match level {
        b'P' => Protection::Private,
        b'C' if session.required().data => return Err(Refusal::ProtectionStays),
        b'C' => Protection::Sized,
        b'S' | b'E' => return Err(Refusal::ProtectionUnknown),
        _ => return Err(Refusal::NotForThat("The level must be P or C")),
    };
    session.state.parameters.protection = wanted;
    Ok(Reply::ok(if wanted == Protection::Private {
        "Data connections use TLS"
    } else {
        "Data connections use clear text"
    }))
}

/// Refuses a login under this name if it needs TLS and there is none. If only some users need
/// TLS, unknown names are refused as well, so that the refusal does not reveal which names
/// exist.
pub(super) fn may_name(session: &Session, name: &[u8]) -> Result<(), Refusal> {
    let config = &session.settings.config;
    let user = config.active(name);
    let needed = user.map_or(config.strangers_need_tls, |user| user.rules.tls.required.control);
    if needed && !session.connection.is_secure() {
        return Err(Refusal::TlsNeeded);
    }
    Ok(())
}

/// Refuses a user from elsewhere who needs TLS if there is none. For a user of the settings, this is known
/// before the password is sent.
pub(super) fn may_be(session: &Session, account: &Account) -> Result<(), Refusal> {
    if account.user.rules.tls.required.control && !session.connection.is_secure() {
        return Err(Refusal::TlsNeeded);
    }
    Ok(())
}

/// Returns whether the client has shown the certificate that the account requires.
pub(super) fn has_certificate(session: &Session, account: &Account) -> bool {
    let Some(wanted) = &account.user.tls_client else { return true };
    let peer = session.connection.layer().and_then(Layer::peer);
    peer.is_some_and(|peer| names(&peer, wanted))
}

/// Returns whether the client's certificate is the wanted one. A subject must be equal; in a
/// fingerprint, colons and case do not matter.
fn names(peer: &Peer, wanted: &str) -> bool {
    let plain = |text: &str| text.replace(':', "").to_ascii_uppercase();
    let prefix = wanted.get(..7).filter(|prefix| prefix.eq_ignore_ascii_case("sha256:"));
    let digits = wanted.get(prefix.map_or(0, str::len)..).unwrap_or_default();
    peer.subject == wanted || plain(&peer.fingerprint) == plain(digits)
}

/// CCC: always refused, because clear text would expose what follows.
pub(crate) fn clear_control() -> Result<Reply, Refusal> {
    Err(Refusal::ProtectionStays)
}
