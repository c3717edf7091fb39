//! Answers `ftpd trash`: what users have deleted, bringing it back, and removing it for good. Also
//! removes what has been in the trash for long enough.

use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{Config, User};
use crate::log::{escaped, path as quoted};
use crate::vfs::{Deleted, Emptied, FsError, HomeTrash, Restored, VirtualPath};

/// Maximum number of files that are listed.
const MOST_LISTED: usize = 100_000;

/// Lists the trash of a user by path, and says whether the list is complete.
///
/// # Errors
///
/// When there is no such user, or the trash cannot be read. Returns a text for the administrator.
pub fn trash_list(config: &Config, name: &[u8]) -> Result<(Vec<Deleted>, bool), String> {
    with_trash(config, name, |trash| trash.list(MOST_LISTED))
}

/// Brings back the newest version of a path; `None`: of each path whose name is free.
///
/// # Errors
///
/// When there is no such user, when the trash has no version of the path, or when the trash cannot be
/// read. Returns a text for the administrator.
pub fn trash_restore(
    config: &Config,
    name: &[u8],
    path: Option<&[u8]>,
) -> Result<Restored, String> {
    with_trash(config, name, |trash| match path {
        Some(path) => trash.restore(&VirtualPath::root().join(path)),
        None => trash.restore_all(),
    })
}

/// Removes from the trash what had a path or was below it.
///
/// # Errors
///
/// When there is no such user, or the trash cannot be read. Returns a text for the administrator.
pub fn trash_empty(config: &Config, name: &[u8], path: &[u8]) -> Result<Emptied, String> {
    with_trash(config, name, |trash| trash.empty(&VirtualPath::root().join(path)))
}

/// Removes what has been in the trash for long enough, for all users who have a trash. Stops early if
/// `goes_on` returns `false`.
pub fn age_trash(config: &Config, goes_on: &dyn Fn() -> bool) {
    for (name, user) in config.users_by_name() {
        if !user.has_trash() || !goes_on() {
            continue;
        }
        match HomeTrash::new(user).age(SystemTime::now(), goes_on) {
            // the disk may come later
            Ok(_) | Err(FsError::NotFound) => {}
            Err(why) => {
                let name = escaped(name.as_bytes());
                log::warn!("cannot look through the trash of user {name}: {why}");
            }
        }
    }
}

fn with_trash<T>(
    config: &Config,
    name: &[u8],
    work: impl FnOnce(&HomeTrash<'_>) -> Result<T, FsError>,
) -> Result<T, String> {
    let found: Option<(&str, &Arc<User>)> = config.user(name);
    let (_, user) = found.ok_or_else(|| format!("there is no user '{}'", escaped(name)))?;
    work(&HomeTrash::new(user)).map_err(|why| {
        if matches!(why, FsError::NotFound) {
            return "the trash has nothing of this name".to_owned();
        }
        format!("cannot use the trash in {}: {why}", quoted(&user.home))
    })
}
