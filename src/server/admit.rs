//! Admits a client or turns it away, depending on bans, `max_cons`, `max_per_ip` and free
//! workers.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::admission::origin::Origin;
use super::admission::{Full, Ticket};
use super::client::Client;
use super::guard;
use super::hub::Hub;
use crate::control::{self, Away, TurnedAway};
use crate::log::{Event, Who};

/// Hands a client over to a worker, or turns it away.
pub(super) fn admit(hub: &Hub, stream: TcpStream, peer: SocketAddr, implicit_tls: bool) {
    let settings = hub.shared.settings();
    let server = &settings.config.server;
    let is_banned = || hub.bans.refuses(peer.ip(), &server.bans, Instant::now());
    // nothing is logged here, because the ban was logged when it began
    if is_banned() {
        return turn_away_banned(hub, &stream);
    }
    let ticket = match find_place(hub, peer, server.clients.max_per_ip) {
        Ok(ticket) => ticket,
        Err(full) => return turn_away(hub, &stream, peer, full.away(), full.why()),
    };
    let stream = Arc::new(stream);
    let registration = hub.registry.enter(&stream, peer, ticket);
    // a ban that began before the session was registered did not end it
    if is_banned() {
        return turn_away_banned(hub, &stream);
    }
    if hub.shared.stop.is_soon() {
        hub.registry.wake_all();
    }
    let client = Client { stream, implicit_tls, registration };
    if let Err(client) = hand_over(hub, client) {
        let peer = client.registration.live.peer;
        turn_away(hub, &client.stream, peer, Away::Worker, "no worker is free");
    } else {
        hub.shared.counters.sessions.fetch_add(1, Ordering::Relaxed);
    }
}

/// Hands a client over to a worker. If clients that were ended before a worker took them fill
/// the queue, they leave it now, because their places are already taken by others.
fn hand_over(hub: &Hub, client: Client) -> Result<(), Client> {
    let Err(mut client) = hub.pool.submit(client) else { return Ok(()) };
    loop {
        let ended = hub.pool.withdraw(|waiting| waiting.registration.live.ended().is_some());
        if ended.is_empty() {
            return Err(client);
        }
        for Client { stream, .. } in &ended {
            control::turn_away(stream, TurnedAway::Full);
        }
        match hub.pool.submit(client) {
            Ok(()) => return Ok(()),
            Err(back) => client = back,
        }
    }
}

/// Finds a place for a client. If the server is full, the client may take the place of a
/// session without a login (see `Registry::evict`). It then waits in the pool until the worker
/// of that session is free.
fn find_place(
    hub: &Hub,
    peer: SocketAddr,
    most_per_origin: Option<usize>,
) -> Result<Ticket, Full> {
    const WHY: &str = "Too many connections, try again later";
    let (origin, now) = (Origin::of(peer.ip()), Instant::now());
    let full = match hub.admission.admit(origin, most_per_origin, now) {
        Err(full @ Full::Server) => full,
        other => return other,
    };
    let owes = hub.admission.owes(origin, now);
    let most = hub.admission.most();
    let Some(evicted) = hub.registry.evict(most, origin, owes, WHY) else {
        return Err(full);
    };
    hub.shared.counters.away.count(Away::Evicted);
    log_turned_away(hub, evicted.peer, "not logged in, and max_cons clients are connected");
    evicted.ticket.pass_on(origin, most_per_origin, evicted.rests, now)
}

/// Logs how many lines were left out in the time windows that are over or, with `all`, in every
/// window.
pub(super) fn tell_unsaid(hub: &Hub, all: bool) {
    let (door, origins, others) = hub.muffler.untold(all, Instant::now());
    tell_turned_away(door);
    for (origin, unsaid) in origins {
        guard::tell_unsaid(origin, unsaid);
    }
    if others > 0 {
        log::warn!("{others} more log lines about clients from other addresses were left out");
    }
}

/// Turns away a client whose address is banned, and counts it.
fn turn_away_banned(hub: &Hub, stream: &TcpStream) {
    hub.shared.counters.away.count(Away::Banned);
    control::turn_away(stream, TurnedAway::Banned);
}

/// Turns away a client because the server is full; counts and logs it.
pub(super) fn turn_away(hub: &Hub, stream: &TcpStream, peer: SocketAddr, how: Away, why: &str) {
    hub.shared.counters.away.count(how);
    control::turn_away(stream, TurnedAway::Full);
    log_turned_away(hub, peer, why);
}

fn log_turned_away(hub: &Hub, peer: SocketAddr, why: &str) {
    let unsaid = hub.muffler.at_door(Instant::now());
    hub.slumber.stir();
    if let Some(unsaid) = unsaid {
        tell_turned_away(unsaid);
        crate::log::session(Who { peer, user: None }, &Event::TurnedAway(why));
    }
}

fn tell_turned_away(unsaid: u64) {
    if unsaid > 0 {
        log::warn!("{unsaid} more clients were turned away");
    }
}
