//! What becomes of a client that does what it should not: with the failure too many, its
//! address is banned, and its sessions that nobody has logged in to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::admission::ban::Bans;
use super::admission::place::Place;
use super::registry::Registry;
use crate::config::Server;
use crate::control::{Guard, Offence};
use crate::log::{self, Event, Who};

/// Told by the sessions, and heard at the door.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) bans: Arc<Bans>,
    pub(super) registry: Arc<Registry>,
}

impl Guard for Gate {
    /// A user who has logged in stays: others may share the address, and mean no harm.
    fn offended(&self, peer: SocketAddr, how: Offence, rules: &Server) {
        let Some(struck) = self.bans.strike(peer.ip(), how, rules, Instant::now()) else {
            return;
        };
        let seconds = rules.ban_time.map(|time| time.as_secs());
        let (whom, last) = (struck.place.to_string(), how.to_string());
        let event = Event::Banned(&whom, seconds, struck.ban.failures, &last);
        log::session(Who { peer, user: None }, &event);
        if struck.lifted > 0 {
            ::log::warn!("too many bans; {} that would end first are lifted", struck.lifted);
        }
        self.registry.end(
            |live| Place::of(live.peer.ip()) == struck.place && !live.has_user(),
            "Too many failures from your address",
        );
    }
}
