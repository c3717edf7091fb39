//! Sessions and bans as the admin socket and the status page show them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::control::Sight;
use crate::log::stamp;
use crate::server::admission::ban::Ban;
use crate::server::admission::place::Place;
use crate::server::hub::Hub;

pub(in crate::server) fn bans(hub: &Hub) -> Vec<Value> {
    let now = Instant::now();
    let ban = |(place, ban): (Place, Ban)| {
        json!({
            "address": place.to_string(),
            "left": ban.left(now).map(|left| left.as_secs()),
            "failures": ban.failures,
            "last": ban.last.map_or_else(|| "by hand".to_owned(), |last| last.to_string()),
            "closed": ban.closed,
        })
    };
    hub.bans.list(now).into_iter().map(ban).collect()
}

/// Every session as it is now.
pub(in crate::server) fn sessions(hub: &Hub) -> Vec<Value> {
    hub.registry.sights().iter().map(session).collect()
}

pub(in crate::server) fn session(sight: &Sight) -> Value {
    let transfer = sight.transfer.as_ref().map(|under| {
        let seconds = under.took.as_secs_f64();
        json!({
            "doing": under.verb,
            "path": under.path.to_string_lossy(),
            "bytes": under.bytes,
            "size": under.size,
            "seconds": seconds,
        })
    });
    json!({
        "id": sight.id,
        "user": sight.user,
        "address": sight.peer.ip().to_string(),
        "port": sight.peer.port(),
        "tls": sight.tls,
        "since": stamp(sight.since.date()),
        "seconds": sight.since.age().as_secs(),
        "transfer": transfer,
    })
}
