//! Homes that do not exist when the server starts, because their disk may be mounted later.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::paths::{Writable, writable};
use crate::config::{Config, Confine, Fault};
use crate::log::escaped;
use crate::rights::{self, Sandbox};

/// Maximum number of missing homes with a warning of their own. There may be thousands on one
/// disk.
const MOST_LATE: usize = 20;

/// Returns warnings about homes that do not exist. Must be called inside the sandbox.
pub(in crate::server) fn late_homes(config: &Config) -> Vec<String> {
    let acting: HashMap<_, _> =
        config.users.values().map(|user| (user.home.as_path(), user.run_as.as_ref())).collect();
    let mut warnings = Vec::new();
    for fault in config.absent.iter().take(MOST_LATE) {
        let Fault::Absent(_, home, _) = &fault.fault else { continue };
        let ids = acting.get(home.as_path()).copied().flatten();
        let _acting = ids.and_then(|ids| rights::act_as(Some(ids)).ok());
        let what = "logins are refused until it exists";
        warnings.push(match existing_above(home) {
            Some(above) if rights::may_change_in_sandbox(&above) => {
                if rights::is_in_sandbox() {
                    let above = above.display();
                    format!(
                        "{fault}; {what} (if a disk is mounted on {above} itself, restart the server)"
                    )
                } else {
                    format!("{fault}; {what}")
                }
            }
            Some(_) | None => format!(
                "{fault}; {what}, and then a restart is needed: the sandbox was made without it"
            ),
        });
    }
    match config.absent.len().saturating_sub(MOST_LATE) {
        0 => {}
        more => warnings.push(format!("{more} more homes do not exist")),
    }
    warnings
}

/// Returns warnings about folders from elsewhere that do not exist, and that the sandbox will not allow
/// once they do. That they do not exist is a warning of the settings. Must be called inside the sandbox.
pub(in crate::server) fn late_mounts(config: &Config) -> Vec<String> {
    unreached(config, &rights::may_change_in_sandbox)
}

/// Returns the warnings of [`late_mounts`] that a start with these settings would give.
pub(in crate::server) fn late_mounts_of_start(config: &Config) -> Vec<String> {
    let has_sandbox = config.server.process.sandbox != Confine::Off && Sandbox::new().is_ok();
    if !has_sandbox {
        return Vec::new();
    }
    let real = |place: Writable| std::fs::canonicalize(place.folder).ok();
    let allowed: Vec<_> = writable(config).into_iter().filter_map(real).collect();
    unreached(config, &|above| {
        is_deep(above) || allowed.iter().any(|folder| above.starts_with(folder))
    })
}

/// Returns a warning for each folder from elsewhere that does not exist, and for which the sandbox does
/// not allow changes in the nearest directory above it that exists.
fn unreached(config: &Config, is_allowed: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let mut warnings = BTreeSet::new();
    for user in config.users.values() {
        let ids = user.run_as.as_deref();
        let _acting = ids.and_then(|ids| rights::act_as(Some(ids)).ok());
        for (folder, from) in user.mounts().filter(|(_, from)| is_missing(from)) {
            let above = existing_above(from);
            if above.is_none_or(|above| !is_allowed(&above)) {
                warnings.insert(format!(
                    "folder {}: when {} exists, a restart is needed: the sandbox does not include it",
                    escaped(folder.path.as_bytes()),
                    from.display()
                ));
            }
        }
    }
    warnings.into_iter().take(MOST_LATE).collect()
}

pub(super) fn is_missing(home: &Path) -> bool {
    std::fs::metadata(home).is_err_and(|why| why.kind() == io::ErrorKind::NotFound)
}

/// Returns the nearest existing directory above a missing home, following links.
fn existing_above(home: &Path) -> Option<PathBuf> {
    let mut path = home.to_owned();
    // a path is at most 4096 bytes long; the limit also ends loops of links
    for _ in 0..4096 {
        match std::fs::metadata(&path) {
            Ok(_) => return std::fs::canonicalize(&path).ok(),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
        let above = path.parent()?.to_owned();
        path = std::fs::read_link(&path).map_or_else(|_| above.clone(), |to| above.join(to));
    }
    None
}

/// Returns the directory that the sandbox allows for a missing home: the nearest existing
/// directory above it, unless that is the root of the file system or directly below the root.
pub(super) fn above(home: &Path) -> Option<PathBuf> {
    existing_above(home).filter(|above| is_deep(above))
}

/// Whether a directory is neither the root of the file system nor directly below it.
fn is_deep(folder: &Path) -> bool {
    folder.components().count() > 2
}
