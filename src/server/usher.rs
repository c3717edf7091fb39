//! Turns clients away, and counts and logs that.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::admission::bans::Bans;
use super::guard::Gate;
use super::muffler::Muffler;
use super::slumber::Slumber;
use crate::control::{self, Away, Settings, Shared, TurnedAway};
use crate::log::{Event, Who};

/// Turns clients away.
pub(super) struct Usher {
    pub(super) shared: Arc<Shared>,
    bans: Arc<Bans>,
    muffler: Arc<Muffler>,
    slumber: Arc<Slumber>,
}

impl Usher {
    pub(super) fn new(shared: &Arc<Shared>, gate: &Gate) -> Self {
        let Gate { bans, muffler, slumber, .. } = gate.clone();
        Self { shared: Arc::clone(shared), bans, muffler, slumber }
    }

    /// Returns whether the address of a client is banned.
    pub(super) fn refuses(&self, peer: SocketAddr, settings: &Settings) -> bool {
        self.bans.refuses(peer.ip(), &settings.config.server.bans, Instant::now())
    }

    /// Turns away a client whose address is banned, and counts it. Nothing is logged, because the ban
    /// was logged when it began.
    pub(super) fn turn_away_banned(&self, stream: &TcpStream) {
        self.shared.counters.away.count(Away::Banned);
        control::turn_away(stream, TurnedAway::Banned);
    }

    /// Turns away a client because the server is full; counts and logs it.
    pub(super) fn turn_away(&self, stream: &TcpStream, peer: SocketAddr, how: Away, why: &str) {
        self.shared.counters.away.count(how);
        control::turn_away(stream, TurnedAway::Full);
        self.log(peer, why);
    }

    /// Turns away a connection of a balancer that has not said for whom it is, because the server stops,
    /// and logs it.
    pub(super) fn turn_away_stopping(&self, stream: &TcpStream, balancer: SocketAddr) {
        control::turn_away(stream, TurnedAway::Stopping);
        self.log(balancer, "the server is stopping");
    }

    /// Counts and logs a connection of a balancer that is closed because it does not say for whom it is.
    pub(super) fn dismiss(&self, balancer: SocketAddr, why: &str) {
        self.shared.counters.away.count(Away::Header);
        self.log(balancer, why);
    }

    /// Logs that a client was turned away, within limits.
    pub(super) fn log(&self, peer: SocketAddr, why: &str) {
        let unsaid = self.muffler.at_door(Instant::now());
        self.slumber.stir();
        if let Some(unsaid) = unsaid {
            tell_turned_away(unsaid);
            crate::log::session(Who { peer, user: None }, &Event::TurnedAway(why));
        }
    }
}

/// Logs how many lines about clients that were turned away were left out.
pub(super) fn tell_turned_away(unsaid: u64) {
    if unsaid > 0 {
        log::warn!("{unsaid} more clients were turned away");
    }
}
