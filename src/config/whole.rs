//! All settings, checked as a whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::field::Target;
use super::hash::Hash;
use super::keys::{KEYS, Key};
use super::kind::Given;
use super::perm::Perm;
use super::settings::{Rules, Server, User};
use super::tls::TlsSettings;
use super::value::Password;
use crate::rights::Ids;

/// All that the file says.
#[derive(Debug)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// What holds before a login, and for users who do not have their own.
    pub rules: Rules,
    /// `[user:NAME]` by name, and the anonymous ones if they may log in.
    pub users: HashMap<String, Arc<User>>,
    /// What it says of TLS, if there is a certificate.
    pub tls: Option<TlsSettings>,
    /// Whether a login under a name that nobody has is refused without TLS: as soon as it is for
    /// any user.
    pub strangers_need_tls: bool,
    /// What is allowed but hardly meant, in the form of a fault.
    pub warnings: Vec<String>,
    /// Homes that do not exist, for who serves all the same (`load_to_serve`).
    pub absent: Vec<ConfigError>,
    /// What `[server]` says of each key, to see what has changed.
    pub(super) texts: HashMap<&'static str, String>,
    /// Where relative paths start from.
    pub(super) folder: PathBuf,
}

impl Config {
    /// Where to write down what must be known after a crash, if there is anything to.
    pub fn state_dir(&self) -> Option<&Path> {
        let uploads = |user: &User| {
            user.rules.uploads.atomic
                && [Perm::Store, Perm::Append].into_iter().any(|perm| user.perm.has(perm))
        };
        let needed = self.users.values().any(|user| uploads(user));
        self.server.storage.state_dir.as_deref().filter(|_| needed)
    }

    /// Users of the system as whom sessions act.
    pub fn acting(&self) -> impl Iterator<Item = &Arc<Ids>> {
        self.users.values().filter_map(|user| user.run_as.as_ref())
    }

    /// How many threads must run programs of hooks.
    pub fn hook_workers(&self) -> usize {
        let any = self.users.values().any(|user| user.rules.hooks.any());
        if any { self.server.hooks.workers } else { 0 }
    }

    /// How many threads must check hashed passwords.
    pub fn password_workers(&self) -> usize {
        if self.hashes().next().is_some() { self.server.login.password_workers } else { 0 }
    }

    /// The hashes of all users.
    pub fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.users.values().filter_map(|user| match &user.password {
            Some(Password::Hash(hash)) => Some(hash),
            Some(Password::Clear(_)) | None => None,
        })
    }

    /// Keys that say something else than in another version of the file, and that a server looks
    /// at only when it starts.
    pub fn restart_keys<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let said = |config: &Self, key: &Key| {
            let (mut server, mut rules) = (Server::blank(), Rules::blank());
            let text = config.texts.get(key.name).map_or("", String::as_str);
            let given = Given { text, folder: &config.folder, user: None };
            // it was read before
            let _ = key.set(&given, &mut Target::Server(&mut server, &mut rules));
            // one minute is sixty seconds
            format!("{server:?}{rules:?}")
        };
        let changed = move |key: &&Key| said(self, key) != said(other, key);
        KEYS.iter().filter(|key| key.restarts).filter(changed).map(|key| key.name)
    }

    /// Returns the user that a client means by this name, and what the user is called here.
    /// Names are compared to the byte, but those of anonymous users in any case: clients send
    /// `FTP` and `Anonymous` too.
    pub fn user(&self, name: &[u8]) -> Option<(&str, &Arc<User>)> {
        let name = std::str::from_utf8(name).ok()?;
        let known = self.users.get_key_value(name).or_else(|| {
            let anonymous = anonymous_name(name).filter(|_| self.server.anonymous.enabled)?;
            self.users.get_key_value(anonymous)
        });
        known.map(|(name, user)| (name.as_str(), user))
    }

    /// Returns that user if the user may log in today. Others are nobody.
    pub fn active(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.user(name).map(|(_, user)| user).filter(|user| user.is_active())
    }

    /// Whether a user of other settings is none of these any more; one that needed no password and
    /// one that does are not the same.
    pub fn removes(&self, other: &Self, name: &str) -> bool {
        let is_anonymous = |config: &Self| {
            let user = config.users.get(name).filter(|user| user.is_active());
            user.map(|user| user.password.is_none())
        };
        is_anonymous(self) != is_anonymous(other)
    }

    /// How many users have a section of their own.
    pub fn named_users(&self) -> usize {
        self.users.values().filter(|user| user.password.is_some()).count()
    }
}

/// Names under which anonymous users log in.
pub const ANONYMOUS: [&str; 2] = ["anonymous", "ftp"];

/// Returns which of the anonymous names this one is, in whatever case it is spelled.
pub fn anonymous_name(name: &str) -> Option<&'static str> {
    ANONYMOUS.into_iter().find(|anonymous| anonymous.eq_ignore_ascii_case(name))
}
