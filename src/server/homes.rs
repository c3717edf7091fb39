//! Warnings about homes that do not exist, and about those to which the server cannot write although
//! the settings let their users do so.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::confine;
use crate::config::{Config, User};
use crate::log::escaped;
use crate::rights::{self, Ids};

/// Maximum number of homes with a warning of their own.
const MOST: usize = 20;

/// Returns all warnings about homes. Must be called inside the sandbox.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = confine::late_homes(config);
    warnings.extend(confine::late_mounts(config));
    warnings.extend(unreadable_mounts(config));
    warnings.extend(unwritable(config, None));
    warnings
}

/// Returns warnings about folders from elsewhere that do not exist, and that a server which is started
/// with these settings could not use once they do.
pub fn late_mounts(config: &Config) -> Vec<String> {
    confine::late_mounts_of_start(config)
}

/// Returns a warning for each folder from elsewhere that a user cannot enter. One that does not exist has
/// a warning of its own.
fn unreadable_mounts(config: &Config) -> Vec<String> {
    let mut warnings = BTreeSet::new();
    for (name, user) in config.users.iter().filter(|(_, user)| user.enabled) {
        let ids = user.run_as.as_deref();
        let Ok(_acting) = rights::act_as(ids) else { continue };
        let uid = ids.map_or_else(|| geteuid().as_raw(), |ids| ids.uid);
        for (folder, from) in user.mounts() {
            let wanted = Access::READ_OK | Access::EXEC_OK;
            let refused = accessat(CWD, from, wanted, AtFlags::EACCESS);
            if let Err(why) = refused
                && why != Errno::NOENT
            {
                let (name, folder) =
                    (escaped(name.as_bytes()), escaped(folder.path.as_bytes()));
                let from = from.display();
                warnings.insert(format!(
                    "[user:{name}] folder {folder}: uid {uid} cannot read {from}: {why}"
                ));
            }
        }
    }
    warnings.into_iter().take(MOST).collect()
}

/// Returns a warning for each home, or directory above a home that must be created, to which the
/// server cannot write. `server` is the user of the server; `None`: the user of this process, for which
/// a home that it cannot see does not exist.
pub fn unwritable(config: &Config, server: Option<&Ids>) -> Vec<String> {
    let mut warnings = BTreeSet::new();
    for (name, user) in &config.users {
        if user.enabled && user.perm_in_home().writes() {
            let name = escaped(name.as_bytes());
            let about = |why| format!("[user:{name}] home {}: {why}", user.home.display());
            warnings.extend(unwritable_home(user, server).map(about));
        }
    }
    let more = warnings.len().saturating_sub(MOST);
    let mut warnings: Vec<_> = warnings.into_iter().take(MOST).collect();
    if more > 0 {
        warnings.push(format!("the server cannot write to {more} more homes"));
    }
    warnings
}

fn unwritable_home(user: &User, server: Option<&Ids>) -> Option<String> {
    let ids = user.run_as.as_deref().or(server);
    let _acting = rights::act_as(ids).ok()?;
    let uid = ids.map_or_else(|| geteuid().as_raw(), |ids| ids.uid);
    let Some(folder) = place(user) else {
        return server.and_then(|_| invisible(&user.home, uid));
    };
    let refused = accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    let why = refused.err()?;
    let what = if folder == user.home {
        "uploads will fail".to_owned()
    } else {
        format!("it cannot be created in {}", folder.display())
    };
    if why == Errno::ROFS {
        return Some(format!("{what}: the file system is mounted read-only"));
    }
    let meta = folder.metadata().ok()?;
    let (owner, group, mode) = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
    Some(format!(
        "{what}: the server runs as uid {uid}, and the directory belongs to uid {owner}, gid {group}, \
         mode {mode:o}"
    ))
}

/// Returns which directory above a home keeps the acting user from it, if one does.
fn invisible(home: &Path, uid: u32) -> Option<String> {
    let mut above: Vec<_> = home.ancestors().skip(1).collect();
    above.reverse();
    let is_closed = |folder: &&Path| {
        accessat(CWD, *folder, Access::EXEC_OK, AtFlags::EACCESS) == Err(Errno::ACCESS)
    };
    let folder = above.into_iter().find(is_closed)?;
    let folder = folder.display();
    Some(format!(
        "logins are refused: the server runs as uid {uid}, which may not enter {folder}"
    ))
}

/// Returns the directory in which the server must write: the home, or the nearest directory above a home
/// that does not exist yet. `None`: a warning of its own says that the home does not exist.
fn place(user: &User) -> Option<&Path> {
    if user.home.is_dir() {
        return Some(&user.home);
    }
    let above = user.home.ancestors().skip(1).find(|above| above.is_dir());
    above.filter(|_| user.rules.files.create_home)
}
