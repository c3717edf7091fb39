//! Users from whom uploads are expected (`expect_every`), such as cameras, and those of them from
//! whom nothing has come for too long.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::since::Since;
use crate::auth::{LastTimes, UPLOADS};
use crate::config::{ANONYMOUS, Config, Occasion, User};
use crate::events::{Event, Events, Outcome};
use crate::log::escaped;

/// When each user from whom uploads are expected has last uploaded, and who is silent.
#[derive(Debug)]
pub struct Silence {
    /// The last uploads.
    pub last: LastTimes,
    began: Since,
    /// Users whose silence is in the log.
    told: Mutex<BTreeSet<String>>,
}

/// A user from whom uploads are expected.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The name of the user.
    pub user: String,
    /// Maximum time between two uploads.
    pub every: Duration,
    /// Time since the last upload, or since the start of the server if none is known.
    pub quiet: Duration,
}

impl Expected {
    /// Returns whether nothing has come for too long.
    pub fn is_silent(&self) -> bool {
        self.quiet >= self.every
    }
}

impl Silence {
    /// Reads the times of uploads that earlier servers have saved.
    pub fn start(dir: Option<&Path>) -> Self {
        let (last, began) = (LastTimes::start(dir, UPLOADS), Since::now());
        Self { last, began, told: Mutex::default() }
    }

    /// Records that an upload of a user has ended well. Returns whether the user was silent before.
    pub(super) fn break_by(&self, name: &str, user: &User, address: IpAddr) -> bool {
        if user.expect_every.is_none() {
            return false;
        }
        let name = known_as(name, user);
        let before = self.last.note(name, address);
        let was_silent = self.told().remove(name);
        if was_silent {
            let quiet = self.quiet(before.map(|last| last.at)).as_secs();
            log::info!("{} has uploaded again, after {quiet} s", escaped(name.as_bytes()));
        }
        was_silent
    }

    /// Returns all users from whom uploads are expected, in the order of their names.
    pub fn expected(&self, config: &Config) -> Vec<Expected> {
        let expected = |(name, user): (&String, &Arc<User>)| {
            let is_it = user.is_active() && known_as(name, user) == name;
            let every = user.expect_every.filter(|_| is_it)?;
            let quiet = self.quiet(self.last.of(name).map(|last| last.at));
            Some(Expected { user: name.clone(), every, quiet })
        };
        let mut all: Vec<_> = config.users().filter_map(expected).collect();
        all.sort_by(|one, other| one.user.cmp(&other.user));
        all
    }

    /// Logs who has become silent, and tells of it. Returns the time until another user may become
    /// silent.
    pub fn look(&self, config: &Config, events: &Events) -> Option<Duration> {
        let mut next = None::<Duration>;
        for one in self.expected(config) {
            if !one.is_silent() {
                let left = one.every.saturating_sub(one.quiet);
                next = Some(next.map_or(left, |next| next.min(left)));
            } else if self.told().insert(one.user.clone()) {
                let (user, quiet) = (escaped(one.user.as_bytes()), one.quiet.as_secs());
                let every = one.every.as_secs();
                log::warn!("nothing from {user} for {quiet} s (expect_every is {every} s)");
                tell(events, &one.user, None, Outcome::Silent);
            }
        }
        next
    }

    /// Returns how long ago the last upload was. A clock that is set back makes it 0.
    fn quiet(&self, last: Option<SystemTime>) -> Duration {
        last.map_or_else(|| self.began.age(), |at| at.elapsed().unwrap_or_default())
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells that a user has become silent, or has uploaded again from an address.
pub(super) fn tell(events: &Events, user: &str, address: Option<IpAddr>, outcome: Outcome<'_>) {
    let event = Event {
        occasion: Occasion::Silence,
        user,
        is_anonymous: false,
        address,
        tls: None,
        path: None,
        from: None,
        transfer: None,
        outcome,
    };
    events.tell(&event, None, false);
}

/// Returns the name of a user here: all anonymous users are one.
fn known_as<'n>(name: &'n str, user: &User) -> &'n str {
    if user.password.is_none() { ANONYMOUS[0] } else { name }
}
