//! Sessions and bans as the admin socket and the status page show them.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use super::protocol::{BanView, QuotaView, SessionView, SilentView, TransferView};
use crate::config::User;
use crate::control::{Expected, Sight};
use crate::log::stamp;
use crate::server::admission::ban::Ban;
use crate::server::admission::origin::Origin;
use crate::server::hub::Hub;

/// Returns every ban that is in effect.
pub(in crate::server) fn bans(hub: &Hub) -> Vec<BanView> {
    let now = Instant::now();
    let ban = |(origin, ban): (Origin, Ban)| BanView {
        address: origin.to_string(),
        left: ban.left(now).map(|left| left.as_secs()),
        failures: ban.failures,
        last: ban.last.map_or_else(|| "by hand".to_owned(), |last| last.to_string()),
        closed: ban.closed,
    };
    hub.bans.list(now).into_iter().map(ban).collect()
}

/// Returns every session in its current state.
pub(in crate::server) fn sessions(hub: &Hub) -> Vec<SessionView> {
    hub.registry.sights().iter().map(|sight| session(hub, sight)).collect()
}

/// Returns the users from whom nothing has come for `expect_every`.
pub(in crate::server) fn silent(hub: &Hub) -> Vec<SilentView> {
    let expected = hub.shared.silence.expected(&hub.shared.settings().config);
    let view = |one: Expected| SilentView { user: one.user, seconds: one.quiet.as_secs() };
    expected.into_iter().filter(Expected::is_silent).map(view).collect()
}

/// Describes one session.
pub(in crate::server) fn session(hub: &Hub, sight: &Sight) -> SessionView {
    let user = sight.user.as_deref().filter(|_| hub.shared.quotas.any());
    let quota = user.and_then(|name| {
        let config = &hub.shared.settings().config;
        Some(QuotaView::new(name, hub.shared.quotas.of(config.users.get(name)?)?))
    });
    let transfer = sight.transfer.as_ref().map(|under| TransferView {
        doing: under.verb.to_owned(),
        way: under.traffic,
        path: under.path.to_string_lossy().into_owned(),
        bytes: under.bytes,
        size: under.size,
        seconds: under.took.as_secs_f64(),
        share: under.share.map(NonZeroU64::get),
    });
    SessionView {
        id: sight.id,
        user: sight.user.clone(),
        address: sight.peer.ip(),
        port: sight.peer.port(),
        tls: sight.tls,
        since: stamp(sight.since.date()),
        seconds: sight.since.age().as_secs(),
        transfer,
        quota,
    }
}

/// Returns what the homes of those of the users hold that have a quota.
pub(in crate::server) fn quotas(hub: &Hub, users: &[(&String, &Arc<User>)]) -> Vec<QuotaView> {
    let view = |(name, user): &(&String, &Arc<User>)| {
        Some(QuotaView::new(name, hub.shared.quotas.of(user)?))
    };
    users.iter().filter_map(view).collect()
}
