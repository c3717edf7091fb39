//! Answers `ftpd trash`: what users have deleted, bringing it back, and removing it for good. Also
//! removes what has been in the trash for long enough.

use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{Config, User};
use crate::log::{escaped, path as quoted};
pub use crate::vfs::{Clock, TrashTally, trash_tally};
use crate::vfs::{
    Deleted, Emptied, FileKind, FsError, HomeTrash, Owners, Quotas, Restored, VirtualPath,
};

/// Maximum number of files that are listed.
const MOST_LISTED: usize = 20_000;

/// Something in the trash.
#[derive(Debug)]
pub struct InTrash {
    /// The path as the client saw it, quoted.
    pub path: String,
    /// What it is: `file`, `directory`, `link` or `other`.
    pub kind: &'static str,
    /// Size in bytes; 0 for a directory.
    pub bytes: u64,
    /// When it was deleted or replaced.
    pub since: SystemTime,
}

/// What was brought back from the trash.
#[derive(Debug)]
pub struct FromTrash {
    /// Number of files and directories.
    pub count: u64,
    /// What could not be brought back: the quoted path, and the reason.
    pub refused: Vec<(String, String)>,
}

/// What was removed from the trash.
#[derive(Debug)]
pub struct Removed {
    /// Number of files and links.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Number of directories.
    pub folders: u64,
    /// Number of files and directories that could not be removed or read.
    pub failed: u64,
}

/// Lists the trash of a user by path, and says whether the list is complete.
///
/// # Errors
///
/// When there is no such user, or the trash cannot be read. Returns a text for the administrator.
pub fn trash_list(config: &Config, name: &[u8]) -> Result<(Vec<InTrash>, bool), String> {
    let view = |deleted: Deleted| InTrash {
        path: shown(&deleted.path),
        kind: match deleted.kind {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Link => "link",
            FileKind::Fifo | FileKind::Socket | FileKind::Block | FileKind::Char => "other",
        },
        bytes: deleted.size,
        since: deleted.at,
    };
    let quotas = Arc::new(Quotas::none());
    let (list, is_whole) = with_trash(config, &quotas, name, |trash| trash.list(MOST_LISTED))?;
    Ok((list.into_iter().map(view).collect(), is_whole))
}

/// Returns a path as clients see it, quoted for people.
fn shown(path: &VirtualPath) -> String {
    format!("\"{}\"", escaped(path.as_bytes()))
}

/// Brings back the newest version of a path; `None`: of each path whose name is free.
///
/// # Errors
///
/// When there is no such user, when the trash has no version of the path, or when the trash cannot be
/// read. Returns a text for the administrator.
pub fn trash_restore(
    config: &Config,
    quotas: &Arc<Quotas>,
    name: &[u8],
    path: Option<&[u8]>,
) -> Result<FromTrash, String> {
    let Restored { count, refused } = with_trash(config, quotas, name, |trash| match path {
        Some(path) => trash.restore(&VirtualPath::root().join(path)),
        None => trash.restore_all(),
    })?;
    let refused = refused.into_iter().map(|(path, why)| (shown(&path), why)).collect();
    Ok(FromTrash { count, refused })
}

/// Removes from the trash what had a path or was below it.
///
/// # Errors
///
/// When there is no such user, or the trash cannot be read. Returns a text for the administrator.
pub fn trash_empty(
    config: &Config,
    quotas: &Arc<Quotas>,
    name: &[u8],
    path: &[u8],
) -> Result<Removed, String> {
    let Emptied { files, bytes, folders, failed } =
        with_trash(config, quotas, name, |trash| trash.empty(&VirtualPath::root().join(path)))?;
    Ok(Removed { files, bytes, folders, failed })
}

/// Removes what has been in the trash for long enough, for all users who have a trash. Stops early if
/// `goes_on` returns `false`.
pub fn age_trash(config: &Config, quotas: &Arc<Quotas>, goes_on: &dyn Fn() -> bool) {
    let mut owners = Owners::default();
    let with_trash = config.users.values().filter(|user| user.has_trash());
    let users: Vec<_> = with_trash
        .filter(|user| is_done(user, owners.add(&HomeTrash::new(user, quotas))))
        .collect();
    for user in users {
        let aged = HomeTrash::new(user, quotas).age(&mut owners, SystemTime::now(), goes_on);
        is_done(user, aged.map(drop));
        if !goes_on() {
            return;
        }
    }
}

/// Whether the trash of a user could be looked through. Otherwise, the log says why.
fn is_done(user: &User, done: Result<(), FsError>) -> bool {
    match done {
        Ok(()) => return true,
        // the disk may come later
        Err(FsError::NotFound) => {}
        Err(why) => {
            let home = quoted(&user.home);
            log::warn!("cannot look through the trash in {home}: {why}");
        }
    }
    false
}

fn with_trash<T>(
    config: &Config,
    quotas: &Arc<Quotas>,
    name: &[u8],
    work: impl FnOnce(&HomeTrash<'_>) -> Result<T, FsError>,
) -> Result<T, String> {
    let found: Option<(&str, &Arc<User>)> = config.user(name);
    let (_, user) = found.ok_or_else(|| format!("there is no user '{}'", escaped(name)))?;
    work(&HomeTrash::new(user, quotas)).map_err(|why| {
        if matches!(why, FsError::NotFound) {
            return "the trash has nothing of this name".to_owned();
        }
        format!("cannot use the trash in {}: {why}", quoted(&user.home))
    })
}
