//! The metrics for monitoring and the status page for people: HTTP on `metrics_listen`, in one
//! thread that never waits for a client. It answers GET and HEAD of a few paths, closes the
//! connection after each answer, and changes nothing.
//!
//! Everybody who can connect sees users, addresses and paths, so the port is opened on loopback
//! unless the setting names another address. A foreign web page in a browser on this machine
//! can connect too. It cannot read the answers, because requests under foreign host names are
//! refused.

pub(super) mod http;
pub(super) mod listeners;
mod page;
mod rates;
mod talk;

use std::cmp::Reverse;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Instant, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::{Value, json};

use super::admin::protocol::QuotaView;
use super::admin::view;
use super::bell::poll;
use super::doors::BREATH;
use super::hub::Hub;
use super::slumber::Slumber;
use super::stats;
use crate::log::{Told, stamp};
use http::{
    FORBIDDEN, HEALTH, NOT_ALLOWED, NOT_FOUND, UNAVAILABLE, is_ours, parse, refusal, respond,
};
use listeners::Listeners;
use rates::Rates;
use talk::{Phase, Talk};

/// Maximum number of connections at once; others wait to be accepted.
const MOST: usize = 32;

/// Serves until the process ends.
pub(super) fn serve(doors: &mut Listeners, hub: &Arc<Hub>) {
    let name = doors.at.host.clone();
    let mut talks: Vec<Talk> = Vec::new();
    let mut rates = Rates::new(Instant::now());
    let mut sleeps = false;
    loop {
        let now = Instant::now();
        rates.look(&hub.shared.counters, now);
        if !hub.shared.stop.is_soon() {
            doors.try_again(now);
        }
        let listeners = &doors.bound;
        talks.retain(|talk| talk.until > now);
        let counters = &hub.shared.counters;
        let is_idle =
            || rates.are_still(counters) && counters.running.load(Ordering::SeqCst) == 0;
        // not again before the counters are read next, however often it is woken
        sleeps =
            !sleeps && talks.is_empty() && doors.are_bound() && hub.slumber.may_begin(is_idle);
        let ready = if sleeps {
            sleep(listeners, &hub.slumber);
            Vec::new()
        } else {
            wait(listeners, &talks, rates.next())
        };
        for (talk, ready) in talks.iter_mut().zip(&ready) {
            if *ready {
                talk.go_on(|request| answer(request, &name, hub, &rates));
            }
        }
        talks.retain(|talk| talk.phase != Phase::Over);
        for listener in listeners {
            while talks.len() < MOST {
                match listener.accept() {
                    Ok((stream, _)) => talks.extend(Talk::open(stream)),
                    Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                    // perhaps there is no file descriptor left; the client is accepted in a
                    // later round
                    Err(_) => {
                        thread::sleep(BREATH);
                        break;
                    }
                }
            }
        }
    }
}

/// Waits for a new client, or until a transfer begins.
fn sleep(listeners: &[TcpListener], slumber: &Slumber) {
    let doors = listeners.iter().map(AsFd::as_fd).chain([slumber.as_fd()]);
    let mut fds: Vec<_> =
        doors.map(|door| PollFd::from_borrowed_fd(door, PollFlags::IN)).collect();
    poll(&mut fds, None);
    slumber.hush();
}

/// Waits for connections that are ready, for a new client, or until a point in time. Returns
/// which connections are ready.
fn wait(listeners: &[TcpListener], talks: &[Talk], until: Instant) -> Vec<bool> {
    let left = until.saturating_duration_since(Instant::now());
    let flags = |talk: &Talk| match talk.phase {
        Phase::Says => PollFlags::OUT,
        Phase::Hears | Phase::Parts | Phase::Over => PollFlags::IN,
    };
    let waits =
        talks.iter().map(|talk| PollFd::from_borrowed_fd(talk.stream.as_fd(), flags(talk)));
    let doors = listeners.iter().filter(|_| talks.len() < MOST);
    let doors = doors.map(|door| PollFd::from_borrowed_fd(door.as_fd(), PollFlags::IN));
    let mut fds: Vec<_> = waits.chain(doors).collect();
    let timeout = Timespec::try_from(left).ok();
    if !poll(&mut fds, timeout.as_ref()) {
        return Vec::new();
    }
    fds.iter().take(talks.len()).map(|fd| !fd.revents().is_empty()).collect()
}

fn answer(bytes: &[u8], name: &str, hub: &Arc<Hub>, rates: &Rates) -> Vec<u8> {
    let request = match parse(bytes) {
        Ok(request) => request,
        Err(status) => {
            return refusal(status, "The request is not valid.\n", "", false);
        }
    };
    let head_alone = request.method == "HEAD";
    let path = request.path.split('?').next().unwrap_or_default();
    if path == HEALTH && matches!(request.method, "GET" | "HEAD") {
        return health(hub, head_alone);
    }
    if !request.host.is_some_and(|host| is_ours(host, name)) {
        let text = "Use an address, localhost or the name in metrics_listen.\n";
        return refusal(FORBIDDEN, text, "", head_alone);
    }
    let (kind, body) = match path {
        _ if !matches!(request.method, "GET" | "HEAD") && PATHS.contains(&path) => {
            return refusal(
                NOT_ALLOWED,
                "Only GET and HEAD are allowed.\n",
                "Allow: GET, HEAD\r\n",
                false,
            );
        }
        "/" => ("text/html; charset=utf-8", page::PAGE.to_owned()),
        "/status.json" => ("application/json", status(hub, rates)),
        "/metrics" => (
            "text/plain; version=0.0.4; charset=utf-8",
            stats::prometheus(hub, &hub.registry.sights()),
        ),
        _ => {
            let text = "The paths are /, /health, /metrics and /status.json.\n";
            return refusal(NOT_FOUND, text, "", head_alone);
        }
    };
    respond("200 OK", kind, &body, "", head_alone)
}

/// Tells a balancer or a container whether the server accepts clients. Any name of the server will do,
/// because the answer is no secret.
fn health(hub: &Hub, head_alone: bool) -> Vec<u8> {
    let (status, body) = if hub.shared.stop.is_soon() {
        (UNAVAILABLE, "stopping\n")
    } else if hub.shared.stop.is_draining() {
        (UNAVAILABLE, "draining\n")
    } else {
        ("200 OK", "ok\n")
    };
    respond(status, "text/plain; charset=utf-8", body, "", head_alone)
}

/// The paths that exist.
const PATHS: [&str; 4] = ["/", HEALTH, "/status.json", "/metrics"];

/// Maximum number of quotas on the status page.
const MOST_QUOTAS: usize = 50;

/// Maximum number of bans on the status page.
const MOST_BANS: usize = 50;

fn event(told: &Told) -> Value {
    let at = told.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "at": at,
        "address": told.address.to_string(),
        "user": told.user,
        "kind": told.kind,
        "text": told.text,
    })
}

/// Maximum number of folders whose free space the status page shows.
const MOST_ROOMS: usize = 20;

/// The free space of the folders with `min_free`.
fn room(hub: &Hub) -> Vec<Value> {
    let rooms = hub.shared.keeper.room().into_iter().take(MOST_ROOMS);
    let value = |folder: &Path, free: u64, wanted: u64| json!({ "folder": folder.to_string_lossy(), "free": free, "wanted": wanted });
    rooms.map(|room| value(&room.folder, room.free, room.wanted)).collect()
}

/// Returns the quotas of which most is used.
fn fullest(mut quotas: Vec<QuotaView>) -> Vec<QuotaView> {
    quotas.sort_by_key(|quota| Reverse(quota.percent()));
    quotas.truncate(MOST_QUOTAS);
    quotas
}

/// The content of the status page, as JSON for its script.
fn status(hub: &Hub, rates: &Rates) -> String {
    let sights = hub.registry.sights();
    let settings = hub.shared.settings();
    let since = hub.shared.counters.since;
    let (taken, ports) = settings.passive_ports();
    crate::log::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "since": stamp(since.date()),
        "seconds": since.age().as_secs(),
        "max_cons": settings.config.server.clients.max,
        "bans": hub.bans.active(Instant::now()),
        "banned": view::bans(hub).into_iter().take(MOST_BANS).collect::<Vec<_>>(),
        "events": hub.shared.recent.list().iter().map(event).collect::<Vec<_>>(),
        "ports": { "taken": taken, "all": ports },
        "room": room(hub),
        "silent": view::silent(hub),
        "sessions": sights.iter().map(|sight| view::session(hub, sight)).collect::<Vec<_>>(),
        "quotas": fullest(view::quotas(hub, &settings.config.users_by_name())),
        "rates": { "in": rates.incoming(), "out": rates.outgoing() },
    }))
}
