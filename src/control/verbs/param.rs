//! TYPE, STRU, MODE, REST, OPTS, and the commands that set up a data connection (RFC 959
//! §4.1.2, RFC 2428).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::Charset;
use crate::control::arg::address::Extended;
use crate::control::arg::choice::TransferType;
use crate::control::arg::range::Bounds;
use crate::control::charset::Signs;
use crate::control::live::CameBy;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::{Parameters, Portion, Setup};
use crate::control::syntax::SyntaxError;
use crate::data::Passive;
use crate::data::listing::{Fact, Facts};

/// The first port that PORT may name: lower ones belong to services and not to clients (RFC
/// 2577 §3).
const FIRST_USER_PORT: u16 = 1024;

/// TYPE: chooses ASCII or binary transfers.
pub(crate) fn transfer_type(
    parameters: &mut Parameters,
    wanted: TransferType,
) -> Result<Reply, Refusal> {
    let text = match wanted {
        TransferType::Ascii => "Type set to A",
        TransferType::Image => "Type set to I",
        TransferType::Other => {
            return Err(Refusal::NotForThat("The types are A, A N, I and L 8"));
        }
    };
    parameters.transfer_type = wanted;
    Ok(Reply::ok(text))
}

/// STRU: only file structure is supported (RFC 959 §3.1.2).
pub(crate) fn structure(letter: u8) -> Result<Reply, Refusal> {
    match letter {
        b'F' => Ok(Reply::ok("Structure set to F")),
        b'R' | b'P' => Err(Refusal::NotForThat("The only structure is F")),
        _ => Err(SyntaxError::BadArgument.into()),
    }
}

/// MODE: only stream mode is supported (RFC 959 §3.4).
pub(crate) fn mode(letter: u8) -> Result<Reply, Refusal> {
    match letter {
        b'S' => Ok(Reply::ok("Mode set to S")),
        b'B' | b'C' | b'Z' => Err(Refusal::NotForThat("The only mode is S")),
        _ => Err(SyntaxError::BadArgument.into()),
    }
}

/// PORT and EPRT: only the client's own address is accepted, unless FXP is allowed.
pub(crate) fn active(session: &mut Session, to: SocketAddr) -> Result<Reply, Refusal> {
    only_epsv(&session.state.parameters)?;
    // lftp on ::1 sends the unspecified address instead of its own
    let own = to.ip() == Ipv6Addr::UNSPECIFIED && session.peer.is_ipv6();
    let ip = if own { session.peer.ip() } else { to.ip().to_canonical() };
    let to = SocketAddr::new(ip, to.port());
    if to.is_ipv4() != session.peer.is_ipv4() {
        return Err(Refusal::Protocol(if session.peer.is_ipv4() { 1 } else { 2 }));
    }
    let own = to.ip() == session.peer.ip() || session.settings.config.server.data.allow_fxp;
    if !own || to.port() < FIRST_USER_PORT {
        return Err(Refusal::Bounce);
    }
    // a client on the machine of the balancer; the server would connect to its own machine
    if is_named(session) && !session.is_near && (ip.is_loopback() || ip.is_unspecified()) {
        return Err(Refusal::OtherLoopback);
    }
    // a link-local address needs the interface that it belongs to
    let to = match (to, session.peer) {
        (SocketAddr::V6(mut v6), SocketAddr::V6(peer)) => {
            v6.set_scope_id(peer.scope_id());
            SocketAddr::V6(v6)
        }
        _ => to,
    };
    session.drop_setup();
    session.state.parameters.setup = Setup::Active(to);
    Ok(Reply::ok("Will connect to this address"))
}

/// PASV: opens a port for the client, over IPv4.
pub(crate) fn passive(session: &mut Session) -> Result<Reply, Refusal> {
    only_epsv(&session.state.parameters)?;
    if !reaches_by_pasv(session) {
        let other = reaches_by_epsv(session).then_some(Refusal::PassiveOnIpv6);
        return Err(other.unwrap_or_else(|| only_active(session)));
    }
    let (peer, own) = (session.peer.ip(), session.local.ip());
    let mask = &session.settings.masquerade;
    let address = mask.address(peer, own)?;
    let mut local = session.local;
    // the server's address for clients may be another one than that for the balancer
    if comes_itself(session) && mask.is_for(peer) {
        local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    }
    let port = listen(session, local)?;
    Ok(Reply::passive(address, port))
}

/// EPSV: opens a port for the client, or accepts EPSV ALL.
pub(crate) fn extended_passive(
    session: &mut Session,
    wanted: Extended,
) -> Result<Reply, Refusal> {
    if !reaches_by_epsv(session) {
        let other = reaches_by_pasv(session).then_some(Refusal::PassiveAtBalancer);
        return Err(other.unwrap_or_else(|| only_active(session)));
    }
    // behind a balancer, the client may use another protocol than the balancer does
    let ours = if session.peer.is_ipv4() { 1 } else { 2 };
    match wanted {
        Extended::All => {
            session.state.parameters.epsv_all = true;
            return Ok(Reply::ok("Only EPSV from now on"));
        }
        Extended::Protocol(Some(other)) if other != ours => {
            return Err(Refusal::Protocol(ours));
        }
        Extended::Protocol(_) => {}
    }
    let local = session.local;
    listen(session, local).map(Reply::extended_passive)
}

/// Returns whether a client of a balancer must connect to the server itself for data.
fn comes_itself(session: &Session) -> bool {
    is_named(session) && !session.settings.config.server.balancers.data
}

fn is_named(session: &Session) -> bool {
    session.live.way == CameBy::Balancer
}

/// Returns whether the client can connect to an address that PASV names. A client of a balancer may use
/// another protocol than the balancer does with the server.
fn reaches_by_pasv(session: &Session) -> bool {
    let has_own = session.local.is_ipv4();
    if !is_named(session) {
        return has_own;
    }
    session.peer.is_ipv4() && (has_own || session.settings.masquerade.is_for(session.peer.ip()))
}

/// Returns whether a port that EPSV names can be reached by the client: behind a balancer, it would be
/// one of the balancer's.
fn reaches_by_epsv(session: &Session) -> bool {
    !comes_itself(session)
}

/// The refusal of PASV and EPSV to a client that can use neither.
fn only_active(session: &Session) -> Refusal {
    Refusal::OnlyActive(if session.peer.is_ipv4() { "PORT" } else { "EPRT" })
}

fn only_epsv(parameters: &Parameters) -> Result<(), Refusal> {
    if parameters.epsv_all { Err(Refusal::EpsvAll) } else { Ok(()) }
}

/// Opens a passive port. The previous one is closed first, so that a session has one at most.
fn listen(session: &mut Session, local: SocketAddr) -> Result<u16, Refusal> {
    session.drop_setup();
    let server = &session.settings.config.server;
    let owner = (!server.data.allow_fxp).then(|| session.peer.ip());
    let (patience, balancers) = (server.data.timeout, &server.balancers);
    let ports = &session.settings.ports;
    // its address may have become that of a balancer by a reload
    let itself = (session.live.way == CameBy::Itself).then(|| session.peer.ip());
    let passive = Passive::open(ports, local, owner, patience, balancers, itself)?;
    let port = passive.port();
    session.state.parameters.setup = Setup::Passive(passive);
    Ok(port)
}

/// REST: sets the offset of the next transfer (RFC 3659 §5).
pub(crate) fn restart(parameters: &mut Parameters, offset: u64) -> Reply {
    parameters.portion = Portion { start: offset, end: None };
    Reply::new(Code::NeedMore, format!("Next transfer begins at {offset}"))
}

/// RANG: sets the bytes that the next RETR sends, or the next HASH is about
/// (draft-bryan-ftp-range). The last of RANG and REST counts.
pub(crate) fn range(parameters: &mut Parameters, bounds: Option<Bounds>) -> Reply {
    let Some((start, end)) = bounds else {
        parameters.portion = Portion::default();
        return Reply::new(Code::NeedMore, "Next transfer is not limited to a range");
    };
    parameters.portion = Portion { start, end: Some(end) };
    let last = end.saturating_sub(1);
    Reply::new(Code::NeedMore, format!("Restarting at {start}. End byte range at {last}"))
}

/// OPTS MLST: chooses the facts of listings (RFC 3659 §7.9).
pub(crate) fn opts_mlst(parameters: &mut Parameters, facts: Facts) -> Reply {
    parameters.facts = facts;
    let chosen = Fact::ALL.into_iter().filter(|&fact| facts.has(fact));
    let names: String = chosen.flat_map(|fact| [fact.name(), ";"]).collect();
    Reply::ok(format!("MLST OPTS {names}").trim_end())
}

/// OPTS UTF8: ON makes the session speak UTF-8, OFF the charset of the settings. If that is UTF-8, OFF
/// is refused with 501 (RFC 2389 §4).
pub(crate) fn opts_utf8(session: &mut Session, on: bool) -> Result<Reply, Refusal> {
    let user = session.user().map(|user| &user.account.user.rules);
    let charset = user.unwrap_or(&session.settings.config.rules).talk.charset;
    if !on && charset == Charset::Utf8 {
        return Err(SyntaxError::BadArgument.into());
    }
    session.note(Signs { utf8: on, ..session.state.parameters.signs });
    Ok(Reply::ok(if on { "UTF8 is on" } else { "UTF8 is off" }))
}
