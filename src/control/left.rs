//! Answers `ftpd parts`: which uploads broke off, who may resume them, and removing what they have
//! left.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::auth::Account;
use crate::config::{Config, Perm, User};
use crate::log::{escaped, path as quoted};
use crate::vfs::{LeftPart, Parts, VirtualPath};

/// What stands between the name of an uploader and the address of the client. No name contains it.
const ADDRESS: char = '\0';

/// The name of all anonymous uploaders.
const ANONYMOUS: &str = "anonymous";

/// An upload that broke off.
#[derive(Debug)]
pub struct BrokenOff {
    /// The user who may resume it; `None`: no user of the settings, or it is not known who.
    pub user: Option<String>,
    /// For a user whose parts belong to an address, the address from which the upload may be resumed, if it is known.
    pub address: Option<String>,
    /// The path as the client sees it, quoted. If the name is too long for the name of the part, the
    /// path of the directory and a remark.
    pub path: String,
    /// The path on the server, quoted.
    pub real: String,
    /// Number of bytes that have arrived.
    pub bytes: u64,
    /// When the last of them arrived.
    pub since: SystemTime,
}

/// Returns the name that distinguishes a user's own parts from those of others. Anonymous users are
/// distinguished by address, so that none continues an upload of another one; and so are users with
/// `overwrite = rename`, because several devices store files of one name.
pub(super) fn uploader_name(account: &Account, address: IpAddr) -> Vec<u8> {
    let name = if account.is_anonymous() { ANONYMOUS } else { &account.name };
    if account.is_anonymous() || account.user.renames() {
        return format!("{name}{ADDRESS}{address}").into_bytes();
    }
    name.to_owned().into_bytes()
}

/// Returns the uploads that broke off, the oldest first.
pub fn broken_off(config: &Config, parts: &Parts) -> Vec<BrokenOff> {
    let homes = Homes::of(config);
    let view = |left: LeftPart| {
        let (user, address, at) = homes.who(&left);
        let unnamed = if left.has_name() { "" } else { " (a long name)" };
        BrokenOff {
            user,
            address,
            path: format!("\"{at}{}\"{unnamed}", escaped(left.path().as_bytes())),
            real: quoted(&left.real()).to_string(),
            bytes: left.bytes,
            since: left.since(),
        }
    };
    parts.left().into_iter().map(view).collect()
}

/// Removes what the uploads of a user to a path have left. Returns the number of parts that were
/// removed, and their bytes.
///
/// # Errors
///
/// When there is no such part. Returns a text for the administrator.
pub fn drop_parts(
    config: &Config,
    parts: &Parts,
    name: &[u8],
    path: &[u8],
) -> Result<(usize, u64), String> {
    let path = VirtualPath::root().join(path);
    let homes = Homes::of(config);
    let tree = config.user(name).map(|(_, user)| tree_of(user, &path));
    let (home, path) = tree.map_or((None, path.clone()), |(home, path)| (Some(home), path));
    let is_it = |left: &LeftPart| {
        if home.is_some_and(|home| home != left.home()) {
            return false;
        }
        let (user, _, _) = homes.who(left);
        let is_user = user.is_some_and(|user| user.as_bytes() == name);
        (is_user && left.has_name() && left.path() == path)
            || left.is_of(left.uploader().filter(|_| is_user).unwrap_or(name), &path)
    };
    let found: Vec<_> = parts.left().into_iter().filter(is_it).collect();
    let (mut removed, mut bytes) = (0, 0);
    for left in found.iter().filter(|left| parts.remove_left(left)) {
        log::info!(
            "the administrator has removed the part of {}: {} bytes",
            quoted(&left.real()),
            left.bytes
        );
        removed += 1;
        bytes += left.bytes;
    }
    if removed == 0 {
        return Err("no upload of this user to this path has broken off".to_owned());
    }
    Ok((removed, bytes))
}

/// Returns the home or the folder from elsewhere in which a user sees a path, and the path in it.
fn tree_of<'c>(user: &'c User, path: &VirtualPath) -> (&'c Path, VirtualPath) {
    let within = |(folder, from): (&crate::config::Folder, &'c PathBuf)| {
        let at = VirtualPath::root().join(folder.path.as_bytes());
        Some((from.as_path(), path.within(&at)?))
    };
    user.mounts().rev().find_map(within).unwrap_or_else(|| (&user.home, path.clone()))
}

/// The users who may log in, by their homes and their folders from elsewhere. Many parts are looked up in it.
struct Homes<'c>(HashMap<&'c Path, Vec<Seen<'c>>>);

/// The user who sees a directory, and under which path; empty for the home.
type Seen<'c> = (&'c String, &'c Arc<User>, &'c str);

impl<'c> Homes<'c> {
    fn of(config: &'c Config) -> Self {
        let mut homes: HashMap<_, Vec<_>> = HashMap::new();
        for (name, user) in
            config.users_by_name().into_iter().filter(|(_, user)| user.is_active())
        {
            homes.entry(user.home.as_path()).or_default().push((name, user, ""));
            for (folder, from) in user.mounts() {
                homes.entry(from.as_path()).or_default().push((name, user, &folder.path));
            }
        }
        Self(homes)
    }

    /// Returns the user who may resume an upload, the address if it must be the same, and the path under
    /// which the user sees the home of the upload.
    fn who(&self, left: &LeftPart) -> (Option<String>, Option<String>, String) {
        let users = self.0.get(left.home()).map(Vec::as_slice).unwrap_or_default();
        let find = |is_it: &dyn Fn(&str, &User) -> bool| {
            users.iter().find(|(name, user, _)| is_it(name, user))
        };
        let anonymous = || find(&|_, user| user.password.is_none());
        let (found, address) = match left.uploader() {
            None => {
                // left before the server started: the name of the part is a hash of the user's name
                let named = find(&|name, _| left.is_of(name.as_bytes(), &left.path()));
                (named.or_else(anonymous), None)
            }
            Some(uploader) => {
                let uploader = String::from_utf8_lossy(uploader);
                match uploader.split_once(ADDRESS) {
                    Some((name, address)) => {
                        let named = find(&|user, _| user == name);
                        let is_stranger = named.is_none() && name == ANONYMOUS;
                        let user = if is_stranger { anonymous() } else { named };
                        (user, Some(address.to_owned()))
                    }
                    None => (find(&|name, _| name == uploader), None),
                }
            }
        };
        // of several folders that show the directory, one in which the user may store
        let stores = |(_, user, at): &&Seen<'_>| {
            let path = [at.as_bytes(), left.path().as_bytes()].concat();
            let perm = user.perm_in(&path);
            user.mount_of(&path) == *at && (perm.has(Perm::Store) || perm.has(Perm::Append))
        };
        let found = found.map(|first| {
            let own = users.iter().filter(|(name, ..)| *name == first.0);
            own.into_iter().find(stores).unwrap_or(first)
        });
        let at = found.map_or("", |(.., at)| at);
        (found.map(|(name, ..)| (*name).clone()), address, escaped(at.as_bytes()).to_string())
    }
}
