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
use super::usher::tell_turned_away;
use crate::control::{self, Away, CameBy, TurnedAway};

/// A client that is known and waits to be admitted.
pub(super) struct Newcomer {
    pub(super) stream: Arc<TcpStream>,
    /// The client, or the balancer if it has connected for itself.
    pub(super) peer: SocketAddr,
    pub(super) way: CameBy,
    pub(super) implicit_tls: bool,
}

/// Hands a client over to a worker, or turns it away. A check of a balancer has a place if one is free,
/// and is turned away without a line in the log.
pub(super) fn admit(hub: &Hub, newcomer: Newcomer) {
    let Newcomer { stream, peer, way, implicit_tls } = newcomer;
    let settings = hub.shared.settings();
    let is_check = way == CameBy::Check;
    let is_banned = || !is_check && hub.usher.refuses(peer, &settings);
    if is_banned() {
        return hub.usher.turn_away_banned(&stream);
    }
    let most_per_ip = settings.config.server.clients.max_per_ip;
    let place = if is_check {
        hub.admission.admit(Origin::of(peer.ip()), None, Instant::now())
    } else {
        find_place(hub, peer, most_per_ip)
    };
    let ticket = match place {
        Ok(ticket) => ticket,
        Err(_) if is_check => return control::turn_away(&stream, TurnedAway::Full),
        Err(full) => return hub.usher.turn_away(&stream, peer, full.away(), full.why()),
    };
    let registration = hub.registry.enter(&stream, peer, way, ticket);
    // a ban that began before the session was registered did not end it
    if is_banned() {
        return hub.usher.turn_away_banned(&stream);
    }
    if hub.shared.stop.is_soon() {
        hub.registry.wake_all();
    }
    let client = Client { stream, implicit_tls, registration };
    match hand_over(hub, client) {
        Ok(()) => drop(hub.shared.counters.sessions.fetch_add(1, Ordering::Relaxed)),
        Err(client) if is_check => control::turn_away(&client.stream, TurnedAway::Full),
        Err(client) => {
            hub.usher.turn_away(&client.stream, peer, Away::Worker, "no worker is free");
        }
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
    if evicted.way != CameBy::Check {
        hub.shared.counters.away.count(Away::Evicted);
        hub.usher.log(evicted.peer, "not logged in, and max_cons clients are connected");
    }
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
