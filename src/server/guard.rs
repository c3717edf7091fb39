//! Handles failed logins and invalid input: logs them within limits, bans an address after too
//! many of them, and ends its sessions without a login.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::admission::ban::Struck;
use super::admission::bans::Bans;
use super::admission::origin::Origin;
use super::muffler::{About, Muffler};
use super::registry::Registry;
use super::slumber::Slumber;
use crate::config::BanRules;
use crate::control::{Guard, Guess, Offence};
use crate::log::{self, Event, Who};

/// Counts the failures that sessions report, and bans addresses. Clones share what they count.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) bans: Arc<Bans>,
    pub(super) registry: Arc<Registry>,
    pub(super) muffler: Arc<Muffler>,
    pub(super) slumber: Arc<Slumber>,
}

impl Guard for Gate {
    fn offended(&self, peer: SocketAddr, how: Offence, guess: Option<Guess>, rules: &BanRules) {
        if let Some(struck) = self.bans.strike(peer.ip(), how, guess, rules, Instant::now()) {
            self.banned(peer, &struck, how, rules);
        }
    }

    fn refused(&self, peer: SocketAddr, commands: usize, rules: &BanRules) {
        if let Some(struck) = self.bans.refused(peer.ip(), commands, rules, Instant::now()) {
            self.banned(peer, &struck, Offence::Refused, rules);
        }
    }

    fn lets_write(&self, peer: SocketAddr, event: &Event<'_>) -> bool {
        if !event.is_heard() {
            return false;
        }
        let is_login = matches!(event, Event::LoginFailed(..));
        let about = if is_login { About::Login } else { About::Other };
        let origin = Origin::of(peer.ip());
        let unsaid = self.muffler.speak(origin, about, Instant::now());
        if let Some(unsaid @ 1..) = unsaid {
            tell_unsaid(origin, unsaid);
        }
        self.slumber.stir();
        unsaid.is_some()
    }

    fn stir(&self) {
        self.slumber.stir();
    }
}

/// Logs how many log lines about clients from one origin were left out.
pub(super) fn tell_unsaid(origin: Origin, unsaid: u64) {
    ::log::warn!("{unsaid} more log lines about clients from {origin} were left out");
}

impl Gate {
    /// Makes a gate that has counted nothing.
    pub(super) fn new(slumber: Slumber) -> Self {
        let (bans, registry, muffler) = Default::default();
        Self { bans, registry, muffler, slumber: Arc::new(slumber) }
    }

    /// Logs a ban and ends the sessions from that address that have no login. Users who have
    /// logged in stay connected, because several people may share one address.
    fn banned(&self, peer: SocketAddr, struck: &Struck, how: Offence, rules: &BanRules) {
        let seconds = rules.time.map(|time| time.as_secs());
        let (whom, last) = (struck.origin.to_string(), how.to_string());
        let event = Event::Banned(&whom, seconds, struck.ban.failures, &last);
        log::session(Who { peer, user: None }, &event);
        if struck.lifted > 0 {
            ::log::warn!("too many bans: lifted the {} that would end first", struck.lifted);
        }
        self.registry.end(
            |live| Origin::of(live.peer.ip()) == struck.origin && !live.has_user(),
            "Too many failures from your address",
        );
    }
}
