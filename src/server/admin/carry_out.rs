//! Carrying out one request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::view::{bans, sessions};
use crate::control::{self, Live};
use crate::log::{escaped, stamp};
use crate::server::admission::place::Place;
use crate::server::hub::Hub;
use crate::server::orders::Order;
use crate::server::{reload, stats};

/// A year in seconds, as for the keys.
const LONGEST_BAN: u64 = 365 * 24 * 3600;

/// The answer to one request: `{"ok":true, …}`, or `{"ok":false,"error":"…"}`.
pub(super) fn answer(line: &[u8], hub: &Arc<Hub>, order: &mut Option<Order>) -> Value {
    let Ok(request) = serde_json::from_slice::<Value>(line) else {
        return refused("a request is one line of JSON");
    };
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    match text("command") {
        Some("who") => {
            json!({ "ok": true, "sessions": sessions(hub) })
        }
        Some("kick") => text("whom").map_or_else(|| refused("whom?"), |whom| kick(hub, whom)),
        Some("stats") => stats(hub),
        Some("why") => why(hub, &request),
        Some("bans") => json!({ "ok": true, "bans": bans(hub) }),
        Some("ban") => {
            let said = request.get("seconds");
            let seconds = said.and_then(Value::as_u64);
            if said.is_some() && seconds.is_none() {
                return refused("seconds is a whole number");
            }
            text("address").map_or_else(|| refused("whom?"), |whom| ban(hub, whom, seconds))
        }
        Some("unban") => {
            text("address").map_or_else(|| refused("whom?"), |whom| unban(hub, whom))
        }
        Some("reload") => match reload::reload(hub) {
            Ok(done) => json!({ "ok": true, "warnings": done.warnings, "ended": done.ended }),
            Err(faults) => json!({ "ok": false, "error": faults.join("\n") }),
        },
        Some("stop") => {
            let now = request.get("now").and_then(Value::as_bool).unwrap_or_default();
            *order = Some(if now { Order::StopNow } else { Order::Stop });
            json!({ "ok": true })
        }
        _ => refused("no such command"),
    }
}

pub(super) fn refused(why: &str) -> Value {
    json!({ "ok": false, "error": why })
}

/// A number is a session, an address all that come from there, and any other word a user; so is
/// what stands behind `user:`.
fn kick(hub: &Hub, whom: &str) -> Value {
    let which: Box<dyn Fn(&Live) -> bool> = match (whom.parse::<u64>(), whom.parse::<IpAddr>())
    {
        (Ok(id), _) => Box::new(move |live| live.id == id),
        (_, Ok(address)) => {
            let address = address.to_canonical();
            Box::new(move |live| live.peer.ip() == address)
        }
        _ => {
            let name = whom.strip_prefix("user:").unwrap_or(whom);
            Box::new(move |live| live.is_user(name))
        }
    };
    let ended = hub.registry.end(which, "Ended by the administrator");
    log::info!("the administrator has ended sessions: {ended}");
    json!({ "ok": true, "ended": ended })
}

/// What a user may do with a path, as a session of that user finds it. Names are bytes.
fn why(hub: &Hub, request: &Value) -> Value {
    let bytes = |key: &str| {
        let list = request.get(key)?.as_array()?.iter();
        list.map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Option<Vec<u8>>>()
    };
    let (Some(user), Some(path)) = (bytes("user"), bytes("path")) else {
        return refused("user and path are lists of bytes");
    };
    let action = request.get("action").and_then(Value::as_str);
    let answer = |verdict: control::Verdict| json!({ "action": verdict.action, "path": verdict.path, "refusal": verdict.refusal });
    match control::why_here(&hub.shared.settings().config, &user, &path, action) {
        Ok(verdicts) => {
            let answers: Vec<_> = verdicts.into_iter().map(answer).collect();
            json!({ "ok": true, "answers": answers })
        }
        Err(why) => refused(&why),
    }
}

fn stats(hub: &Hub) -> Value {
    let since = hub.shared.counters.since;
    json!({
        "ok": true,
        "version": env!("CARGO_PKG_VERSION"),
        "since": stamp(since.date()),
        "seconds": since.age().as_secs(),
        "stats": stats::json(&stats::metrics(hub, &hub.registry.sights())),
    })
}

fn no_place(whom: &str) -> Value {
    let whom = escaped(whom.as_bytes());
    refused(&format!("'{whom}' is neither an address nor an IPv6 prefix of 64 bits"))
}

/// `seconds` are `ban_time` unless they are said; 0 is until somebody lifts it.
fn ban(hub: &Hub, whom: &str, seconds: Option<u64>) -> Value {
    let settings = hub.shared.settings();
    let rules = &settings.config.server.bans;
    let Some(place) = Place::parse(whom) else { return no_place(whom) };
    if place.is_exempt(rules) {
        return refused(&format!("{place} is in ban_exempt"));
    }
    // deadlines are sums
    let time = seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_BAN)));
    let time = time.map_or(rules.time, |time| Some(time).filter(|time| !time.is_zero()));
    if let Err(why) = hub.bans.ban(place, time, Instant::now()) {
        return refused(&why);
    }
    let ended = hub
        .registry
        .end(|live| Place::of(live.peer.ip()) == place, "Your address has been banned");
    log::warn!("the administrator has banned {place}; {ended} sessions ended");
    let seconds = time.map(|time| time.as_secs());
    json!({ "ok": true, "address": place.to_string(), "seconds": seconds, "ended": ended })
}

fn unban(hub: &Hub, whom: &str) -> Value {
    let place = match whom {
        "all" => None,
        whom => match Place::parse(whom) {
            Some(place) => Some(place),
            None => return no_place(whom),
        },
    };
    let lifted = hub.bans.lift(place, Instant::now());
    log::info!("the administrator has lifted {lifted} bans");
    json!({ "ok": true, "lifted": lifted })
}
