//! Names of users and groups for listings, cached for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User};

use crate::rights::look_up;

/// The names that listings have looked up.
#[derive(Debug, Default)]
pub struct Owners {
    users: Mutex<Names>,
    groups: Mutex<Names>,
}

type Names = HashMap<u32, (String, Instant)>;

/// How long a name is cached. Accounts change seldom, and a listing that is a minute behind
/// does no harm.
const LIFETIME: Duration = Duration::from_secs(60);

/// Maximum number of cached names. Beyond it, names are looked up each time.
const MOST: usize = 1024;

impl Owners {
    /// Returns the name of a user, or its number if it has none.
    pub fn user(&self, uid: u32) -> String {
        cached(&self.users, uid, || {
            look_up(move || User::from_uid(Uid::from_raw(uid)))?.ok()?.map(|user| user.name)
        })
    }

    /// Returns the name of a group, or its number if it has none.
    pub fn group(&self, gid: u32) -> String {
        cached(&self.groups, gid, || {
            look_up(move || Group::from_gid(Gid::from_raw(gid)))?.ok()?.map(|group| group.name)
        })
    }
}

fn cached(names: &Mutex<Names>, id: u32, look_up: impl FnOnce() -> Option<String>) -> String {
    let lock = || names.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((name, since)) = lock().get(&id)
        && since.elapsed() < LIFETIME
    {
        return name.clone();
    }
    let name = look_up().unwrap_or_else(|| id.to_string());
    let mut names = lock();
    if names.len() < MOST || names.contains_key(&id) {
        names.insert(id, (name.clone(), Instant::now()));
    }
    name
}
