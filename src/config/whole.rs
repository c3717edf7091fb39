//! All settings, checked as a whole.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::draft::Named;
use super::error::ConfigError;
use super::field::Target;
use super::hash::Hash;
use super::hook::Program;
use super::keys::{KEYS, Key};
use super::kind::Given;
use super::perm::Perm;
use super::settings::{GateRules, Rules, Server, User};
use super::tls::TlsSettings;
use super::value::Password;
use crate::rights::Ids;

/// All settings of a server.
#[derive(Debug)]
pub struct Config {
    /// The settings of `[server]`.
    pub server: Server,
    /// The rules that `[server]` sets for every user. They also apply before a login.
    pub rules: Rules,
    /// The users by name, including the anonymous ones if they may log in.
    pub users: HashMap<String, Arc<User>>,
    /// The settings of TLS, if there is a certificate.
    pub tls: Option<TlsSettings>,
    /// Whether a login with an unknown name requires TLS. It does if any user requires TLS, so that
    /// a refusal does not reveal which names exist.
    pub strangers_need_tls: bool,
    /// Warnings about settings that are valid but probably not intended, printed like faults.
    pub warnings: Vec<String>,
    /// Homes that do not exist, if that is not a fault (`load_to_serve`).
    pub absent: Vec<ConfigError>,
    /// The text of each key of `[server]`, to find out what has changed after a reload.
    pub(super) texts: HashMap<&'static str, String>,
    /// The directory that relative paths start from.
    pub(super) folder: PathBuf,
    /// The folders with settings of their own in all homes.
    pub(super) for_all: Vec<Named>,
    /// The gates that apply to users from elsewhere (`auth_program`, `auth_url`).
    pub(super) common_gates: Vec<GateRules>,
}

impl Config {
    /// Returns all users, sorted by name.
    pub fn users_by_name(&self) -> Vec<(&String, &Arc<User>)> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by_key(|(name, _)| *name);
        users
    }

    /// Returns all users, in no order.
    pub fn users(&self) -> impl Iterator<Item = (&String, &Arc<User>)> {
        self.users.iter()
    }

    /// Returns the directory in which the server records its part files. Returns `None` if there
    /// are none, because no user may upload with `atomic_uploads`.
    pub fn state_dir(&self) -> Option<&Path> {
        let uploads = |user: &User| {
            user.rules.uploads.atomic
                && [Perm::Store, Perm::Append]
                    .into_iter()
                    .any(|perm| user.perm_anywhere().has(perm))
        };
        let elsewhere = &self.server.elsewhere;
        let by_others = elsewhere.is_on()
            && self.rules.uploads.atomic
            && [Perm::Store, Perm::Append].into_iter().any(|perm| elsewhere.perm.has(perm));
        let needed = by_others || self.users.values().any(|user| uploads(user));
        self.server.storage.state_dir.as_deref().filter(|_| needed)
    }

    /// Returns the system users under which sessions open files (`run_as`).
    pub fn acting(&self) -> impl Iterator<Item = &Arc<Ids>> {
        self.users.values().filter_map(|user| user.run_as.as_ref())
    }

    /// Returns whether sessions may open files as system users other than the server's.
    pub fn may_act(&self) -> bool {
        self.acts_for_answers() || self.acting().next().is_some()
    }

    /// Returns whether an answer of `auth_program` may name a system user for a session.
    pub fn acts_for_answers(&self) -> bool {
        let elsewhere = &self.server.elsewhere;
        elsewhere.is_on() && elsewhere.run_as
    }

    /// Returns whether any user has a trash.
    pub fn has_trash(&self) -> bool {
        let common = self.server.elsewhere.is_on() && self.rules.folder.trash;
        common || self.users.values().any(|user| user.has_trash())
    }

    /// Returns the number of threads for hook programs; 0 if no user has hooks.
    pub fn hook_workers(&self) -> usize {
        let common = self.server.elsewhere.is_on() && self.rules.hooks.any();
        let any = common || self.users.values().any(|user| user.rules.hooks.any());
        if any { self.server.hooks.workers } else { 0 }
    }

    /// Returns all programs that the server starts, and for each whom it runs as.
    pub fn programs(&self) -> impl Iterator<Item = (&Program, RunsAs<'_>)> {
        let of_users = self.users.values().flat_map(|user| {
            let runs_as = user.run_as.as_deref().map_or(RunsAs::Server, RunsAs::User);
            let gates = user.gates().filter_map(|gate| gate.program.as_deref());
            user.rules.hooks.all().chain(gates).map(move |program| (program, runs_as))
        });
        // hooks of [server] are those of users from elsewhere as well
        let elsewhere = &self.server.elsewhere;
        let common = || {
            let gates = self.common_gates.iter().filter_map(|gate| gate.program.as_deref());
            self.rules.hooks.all().chain(gates).filter(|_| elsewhere.is_on())
        };
        let as_answered = common().filter(|_| self.acts_for_answers());
        let as_server = common().chain(elsewhere.program.as_deref());
        let as_server = as_server.map(|program| (program, RunsAs::Server));
        of_users.chain(as_server).chain(as_answered.map(|program| (program, RunsAs::Anybody)))
    }

    /// Returns the maximum number of programs that are asked at once.
    pub fn asked_at_once(&self) -> usize {
        let elsewhere = &self.server.elsewhere;
        // one that is being ended, because it has not answered in time, may overlap with the next
        let logins = if elsewhere.program.is_some() { 2 * elsewhere.workers } else { 0 };
        let judges = self.programs().any(|(program, _)| program.judges);
        logins + if judges { 2 * self.server.gate.workers } else { 0 }
    }

    /// Returns the directories to which refused uploads are moved.
    pub fn quarantines(&self) -> BTreeSet<&PathBuf> {
        self.gates().filter_map(|gate| gate.quarantine.as_ref()).collect()
    }

    /// Returns whatever has uploads judged.
    pub fn gates(&self) -> impl Iterator<Item = &GateRules> {
        let gates = self.users.values().flat_map(|user| user.gates());
        gates.chain(&self.common_gates).filter(|gate| gate.is_on())
    }

    /// Returns the number of threads for hashed passwords; 0 if no user has one.
    pub fn password_workers(&self) -> usize {
        if self.hashes().next().is_some() { self.server.login.password_workers } else { 0 }
    }

    /// Returns the files that passwords were read from.
    pub fn password_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.users.values().filter_map(|user| user.password_file.as_ref())
    }

    /// Returns the hashed passwords of all users.
    pub fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.users.values().filter_map(|user| match &user.password {
            Some(Password::Hash(hash)) => Some(hash),
            Some(Password::Clear(_) | Password::Elsewhere) | None => None,
        })
    }

    /// Returns the keys that a server reads only when it starts and whose values differ from those
    /// in `other`.
    pub fn restart_keys<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let said = |config: &Self, key: &Key| {
            let (mut server, mut rules) = (Server::blank(), Rules::blank());
            let text = config.texts.get(key.name).map_or("", String::as_str);
            let given = Given { text, folder: &config.folder, user: None };
            // cannot fail, because the text has been read before
            let _ = key.set(&given, &mut Target::Server(&mut server, &mut rules));
            // compare values and not texts: 1m is 60
            format!("{server:?}{rules:?}")
        };
        let changed = move |key: &&Key| said(self, key) != said(other, key);
        KEYS.iter().filter(|key| key.restarts).filter(changed).map(|key| key.name)
    }

    /// Returns the user whose name a client has sent, and the name as the settings spell it. The
    /// names of anonymous users may be in upper or lower case, because some clients send `FTP` or
    /// `Anonymous`; all other names must be exactly equal.
    pub fn user(&self, name: &[u8]) -> Option<(&str, &Arc<User>)> {
        let name = std::str::from_utf8(name).ok()?;
        let known = self.users.get_key_value(name).or_else(|| {
            let anonymous = anonymous_name(name).filter(|_| self.server.anonymous.enabled)?;
            self.users.get_key_value(anonymous)
        });
        known.map(|(name, user)| (name.as_str(), user))
    }

    /// Returns the user with this name if the user may log in today.
    pub fn active(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.user(name).map(|(_, user)| user).filter(|user| user.is_active())
    }

    /// Returns whether the user `name` of the settings `other` is no longer the same user in these
    /// settings. A user who has become anonymous, or is no longer anonymous, is another user.
    pub fn removes(&self, other: &Self, name: &str) -> bool {
        let is_anonymous = |config: &Self| {
            let user = config.users.get(name).filter(|user| user.is_active());
            user.map(|user| user.password.is_none())
        };
        is_anonymous(self) != is_anonymous(other)
    }

    /// Returns the number of users that have a section of their own.
    pub fn named_users(&self) -> usize {
        self.users.values().filter(|user| user.password.is_some()).count()
    }
}

/// The system user that a program runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsAs<'a> {
    /// The server's user.
    Server,
    /// This user.
    User(&'a Ids),
    /// Any user except root, since an answer about a login says which.
    Anybody,
}

/// The names of the anonymous users.
pub const ANONYMOUS: [&str; 2] = ["anonymous", "ftp"];

/// Returns the anonymous name that equals `name`, ignoring case.
pub fn anonymous_name(name: &str) -> Option<&'static str> {
    ANONYMOUS.into_iter().find(|anonymous| anonymous.eq_ignore_ascii_case(name))
}
