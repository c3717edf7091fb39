//! Carries out requests to the admin socket.

use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::protocol::{
    AdminOrder, Ban, BanList, Banned, Bans, Drop, Dropped, Emptied, Empty, Ended, Keep, Kept,
    Kick, Lifted, PartList, PartView, Parts, Quota, QuotaList, Reload, Reloaded, Request,
    Restore, Restored, Sessions, Statistics, Stats, Stop, Stopping, Trash, TrashList, Unban,
    VerdictView, Verdicts, Who, Why, done, refused, request,
};
use super::view;
use crate::control::{self, Live};
use crate::log::{escaped, stamp};
use crate::server::admission::origin::Origin;
use crate::server::hub::Hub;
use crate::server::orders::Order;
use crate::server::{reload, stats};

/// How long an order waits for homes to be counted. `ftpd quota` waits longer for its answer.
const COUNTING: Duration = Duration::from_secs(50);

/// Maximum duration of a ban: a year in seconds, as in the settings.
const LONGEST_BAN: u64 = 365 * 24 * 3600;

/// An order that the server can carry out.
trait CarryOut: AdminOrder {
    /// Carries the order out and returns the answer, or returns why that is not possible.
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Self::Answer, String>;
}

/// Returns the answer to one line. If the line asks the server to stop, also returns the order
/// to stop, which the caller must give after it has written the answer.
/// `stream` is where the line came from.
pub(super) fn answer(
    line: &[u8],
    stream: &Arc<UnixStream>,
    hub: &Arc<Hub>,
) -> (Value, Option<Order>) {
    let request = match request(line) {
        Ok(request) => request,
        Err(why) => return (refused(&why), None),
    };
    let answer = match request {
        Request::Who(order) => answer_to(order, hub),
        Request::Kick(order) => answer_to(order, hub),
        Request::Stats(order) => answer_to(order, hub),
        Request::Why(order) => answer_to(order, hub),
        Request::Quota(order) => answer_to(order, hub),
        Request::Bans(order) => answer_to(order, hub),
        Request::Ban(order) => answer_to(order, hub),
        Request::Unban(order) => answer_to(order, hub),
        Request::Parts(order) => answer_to(order, hub),
        Request::Drop(order) => answer_to(order, hub),
        Request::Keep(order) => answer_to(order, hub),
        Request::Trash(order) => answer_to(order, hub),
        Request::Restore(order) => answer_to(order, hub),
        Request::Empty(order) => answer_to(order, hub),
        Request::Reload(order) => answer_to(order, hub),
        Request::Stop(Stop { now, drain }) => {
            let order = match (now, drain) {
                (true, _) => Order::StopNow,
                (false, true) => Order::Drain,
                (false, false) => Order::Stop,
            };
            let tells =
                if order == Order::Drain { hub.farewell.add(stream) } else { Ok(false) };
            return match tells {
                Ok(tells) => (done(&Stopping { tells }), Some(order)),
                Err(why) => (refused(&why), None),
            };
        }
        // `ftpd why` of other versions recognizes an older server by this text
        Request::Unknown => refused("no such command"),
    };
    (answer, None)
}

fn answer_to(order: impl CarryOut, hub: &Arc<Hub>) -> Value {
    order.carry_out(hub).map_or_else(|why| refused(&why), |answer| done(&answer))
}

impl CarryOut for Who {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Sessions, String> {
        Ok(Sessions { sessions: view::sessions(hub), silent: view::silent(hub) })
    }
}

impl CarryOut for Kick {
    /// Ends the session with a number, all sessions from an address, or all sessions of a user.
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Ended, String> {
        let whom = self.whom;
        let which: Box<dyn Fn(&Live) -> bool> =
            match (whom.parse::<u64>(), whom.parse::<IpAddr>()) {
                (Ok(id), _) => Box::new(move |live| live.id == id),
                (_, Ok(address)) => {
                    let address = address.to_canonical();
                    Box::new(move |live| live.peer.ip() == address)
                }
                _ => Box::new(move |live| {
                    live.is_user(whom.strip_prefix("user:").unwrap_or(&whom))
                }),
            };
        let ended = hub.registry.end(which, "Ended by the administrator");
        log::info!("the administrator has ended {ended} sessions");
        Ok(Ended { ended })
    }
}

impl CarryOut for Stats {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Statistics, String> {
        let since = hub.shared.counters.since;
        Ok(Statistics {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: stamp(since.date()),
            seconds: since.age().as_secs(),
            stats: stats::numbers(hub, &hub.registry.sights()),
        })
    }
}

impl CarryOut for Why {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Verdicts, String> {
        let config = &hub.shared.settings().config;
        let verdicts =
            control::why_here(config, &self.user, &self.path, self.action.as_deref())?;
        let view = |verdict: control::Verdict| VerdictView {
            action: verdict.action.to_owned(),
            path: verdict.path,
            refusal: verdict.refusal,
        };
        Ok(Verdicts { answers: verdicts.into_iter().map(view).collect() })
    }
}

impl CarryOut for Quota {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<QuotaList, String> {
        let config = &hub.shared.settings().config;
        let is_wanted = |name: &String| self.user.as_ref().is_none_or(|user| user == name);
        let users = config.users_by_name();
        let users: Vec<_> = users.into_iter().filter(|(name, _)| is_wanted(name)).collect();
        if let Some(user) = self.user.as_ref().filter(|_| users.is_empty()) {
            return Err(format!("there is no user {}", escaped(user.as_bytes())));
        }
        let quotas = &hub.shared.quotas;
        if self.rescan {
            let homes = users.iter().map(|(_, user)| user.home.as_path());
            // the answer says which counts are exact
            let _ = quotas.rescan(homes, COUNTING);
        }
        Ok(QuotaList { quotas: view::quotas(hub, &users) })
    }
}

impl CarryOut for Bans {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<BanList, String> {
        Ok(BanList { bans: view::bans(hub) })
    }
}

impl CarryOut for Ban {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Banned, String> {
        let settings = hub.shared.settings();
        let rules = &settings.config.server.bans;
        let origin = Origin::parse(&self.address).ok_or_else(|| no_origin(&self.address))?;
        if origin.is_exempt(rules) {
            return Err(format!("{origin} is in ban_exempt"));
        }
        // limited, because a deadline that is too far away would overflow
        let time = self.seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_BAN)));
        let time = time.map_or(rules.time, |time| Some(time).filter(|time| !time.is_zero()));
        hub.bans.ban(origin, time, Instant::now())?;
        let ended = hub
            .registry
            .end(|live| Origin::of(live.peer.ip()) == origin, "Your address has been banned");
        log::warn!("the administrator has banned {origin}; {ended} sessions ended");
        let seconds = time.map(|time| time.as_secs());
        Ok(Banned { address: origin.to_string(), seconds, ended })
    }
}

impl CarryOut for Unban {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Lifted, String> {
        let origin = match self.address.as_str() {
            "all" => None,
            whom => Some(Origin::parse(whom).ok_or_else(|| no_origin(whom))?),
        };
        let lifted = hub.bans.lift(origin, Instant::now());
        log::info!("the administrator has lifted {lifted} bans");
        Ok(Lifted { lifted })
    }
}

impl CarryOut for Parts {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<PartList, String> {
        let found = control::broken_off(&hub.shared.settings().config, &hub.shared.parts);
        let view = |left: control::BrokenOff| PartView {
            user: left.user,
            address: left.address,
            path: left.path,
            real: left.real,
            bytes: left.bytes,
            seconds: left.since.elapsed().unwrap_or_default().as_secs(),
        };
        Ok(PartList { parts: found.into_iter().map(view).collect() })
    }
}

impl CarryOut for Drop {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Dropped, String> {
        let config = &hub.shared.settings().config;
        let (removed, bytes) =
            control::drop_parts(config, &hub.shared.parts, &self.user, &self.path)?;
        Ok(Dropped { removed, bytes })
    }
}

impl CarryOut for Keep {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Kept, String> {
        let keeper = &hub.shared.keeper;
        let stops = || hub.shared.stop.is_soon();
        if self.now {
            log::info!(
                "the administrator has ended keep_delay, and started a pass of retention"
            );
        }
        let report = if self.now { keeper.now(&stops) } else { keeper.preview(&stops) };
        Ok(Kept::of(report))
    }
}

impl CarryOut for Trash {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<TrashList, String> {
        control::trash_list(&hub.shared.settings().config, &self.user).map(TrashList::from)
    }
}

impl CarryOut for Restore {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Restored, String> {
        let config = &hub.shared.settings().config;
        control::trash_restore(config, &hub.shared.quotas, &self.user, self.path.as_deref())
            .map(Restored::from)
    }
}

impl CarryOut for Empty {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Emptied, String> {
        let config = &hub.shared.settings().config;
        control::trash_empty(config, &hub.shared.quotas, &self.user, &self.path)
            .map(Emptied::from)
    }
}

impl CarryOut for Reload {
    fn carry_out(self, hub: &Arc<Hub>) -> Result<Reloaded, String> {
        reload::reload(hub).map_err(|faults| faults.join("\n"))
    }
}

fn no_origin(whom: &str) -> String {
    let whom = escaped(whom.as_bytes());
    format!("'{whom}' is neither an address nor an IPv6 prefix of 64 bits")
}
