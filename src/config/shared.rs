//! Checks that what `shared_storage` needs is there: file systems whose locks exclude other servers.
//!
//! A lock file is made in each home, or in one home of each file system, and locked by one of two
//! handles; the other one must not get the lock. This shows that the file system has locks at all. It
//! cannot show that the locks of another machine are seen, so the mount options are read as well.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::draft::Draft;
use super::error::{Fault, Location};
use crate::rights::{self, Ids};

/// Maximum number of homes that a fault names.
const NAMED: usize = 3;

/// Reports homes whose file system cannot lock files, if the settings say that other servers serve them.
pub(super) fn check(draft: &mut Draft) {
    if !draft.server.storage.shared {
        return;
    }
    let server = draft.server.process.user.clone();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut faults = BTreeSet::new();
    let mut looked_at = BTreeSet::new();
    let users = draft.users.iter().map(|named| &named.user).filter(|user| user.enabled);
    for user in users {
        let ids = user.run_as.as_deref().or(server.as_ref());
        let folders = user.mounts().map(|(_, from)| from);
        for folder in folders.chain([&user.home]) {
            let Ok(meta) = std::fs::metadata(folder) else { continue };
            let may_write = user.perm_anywhere().writes();
            let quota = &user.rules.quota;
            let has_quota =
                *folder == user.home && (quota.bytes.is_some() || quota.files.is_some());
            let key = (meta.dev(), may_write, has_quota.then_some(meta.ino()));
            if looked_at.contains(&key) {
                continue;
            }
            let probed =
                if may_write || has_quota { probe(folder, ids, has_quota) } else { Ok(true) };
            match probed.and_then(|said| options(&mounts, folder, has_quota).map(|()| said)) {
                // a home in which no file can be made says nothing of the others
                Ok(false) => continue,
                Ok(true) => {}
                Err(why) => {
                    faults.insert((folder.clone(), why));
                }
            }
            looked_at.insert(key);
        }
    }
    let place = Location::of(draft.line("shared_storage"), "server", "shared_storage");
    for (folder, why) in faults.into_iter().take(NAMED) {
        let why =
            format!("needs locks that exclude other servers, and {}: {why}", folder.display());
        draft.faults.push((place.clone(), Fault::Value("on".to_owned(), why)));
    }
}

/// Checks that a lock in a directory excludes a second one. A directory in which this user can make no file
/// is a fault only if servers keep their common count of a quota there. Returns whether a file was locked.
fn probe(folder: &Path, ids: Option<&Ids>, has_quota: bool) -> Result<bool, String> {
    let Ok(_acting) = rights::act_as(ids) else { return Ok(false) };
    let mut number = [0; 8];
    let _ = rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty());
    let path =
        folder.join(format!(".ftpd-part-lock-probe{:016x}~", u64::from_ne_bytes(number)));
    let one = match open(&path, true) {
        Ok(one) => one,
        Err(why) if has_quota => {
            return Err(format!("no file for its quota can be made there: {why}"));
        }
        Err(_) => return Ok(false),
    };
    let probed = two_locks(&one, &path);
    let _ = rustix::fs::unlink(&path);
    probed.map(|()| true)
}

fn two_locks(one: &File, path: &Path) -> Result<(), String> {
    let lock = |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive);
    lock(one)
        .map_err(|why| format!("no file can be locked there: {}", io::Error::from(why)))?;
    let two = open(path, false).map_err(|why| why.to_string())?;
    match lock(&two) {
        Err(Errno::WOULDBLOCK) => Ok(()),
        Err(why) => Err(io::Error::from(why).to_string()),
        Ok(()) => Err("a file can be locked there twice at the same time".to_owned()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a file that is made for the check alone")]
fn open(path: &Path, is_new: bool) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(is_new).mode(0o600).custom_flags(flags);
    options.open(path)
}

/// Checks the options with which the file system of a directory is mounted: those of NFS may keep locks
/// from the other machines.
fn options(mounts: &str, folder: &Path, has_quota: bool) -> Result<(), String> {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(mount) = mount_of(mounts, &folder) else { return Ok(()) };
    let point = mount.point.display();
    if let Some(option) = local_locks(&mount) {
        return Err(format!(
            "{point} is mounted with {option}, which keeps locks to one machine"
        ));
    }
    if has_quota && mount.kind.starts_with("fuse") {
        return Err(format!(
            "{point} is of the type {}, which may read from a cache what another server has written of \
             a quota",
            mount.kind
        ));
    }
    Ok(())
}

/// A mounted file system.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'m> {
    point: PathBuf,
    kind: &'m str,
    options: &'m str,
}

/// Returns the innermost mount that holds a path, by the text of `/proc/self/mountinfo` (proc(5)).
fn mount_of<'m>(mounts: &'m str, path: &Path) -> Option<Mount<'m>> {
    let all = mounts.lines().filter_map(|line| {
        let (own, file_system) = line.split_once(" - ")?;
        let point = PathBuf::from(unescaped(own.split(' ').nth(4)?));
        let mut words = file_system.split(' ');
        let (kind, options) = (words.next()?, words.nth(1)?);
        path.starts_with(&point).then_some(Mount { point, kind, options })
    });
    // of two mounts on the same directory, the later one covers the other
    all.max_by_key(|mount| mount.point.components().count())
}

/// Returns the text with spaces and the like in place of their octal escapes.
fn unescaped(text: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, letter)| text.replace(escape, letter))
}

/// Returns the option that keeps the locks of a mount to this machine, if there is one.
fn local_locks(mount: &Mount<'_>) -> Option<String> {
    if !matches!(mount.kind, "nfs" | "nfs4") {
        return None;
    }
    // whole-file locks (flock) are sent to the server with local_lock=posix, too
    let is_local =
        |option: &&str| matches!(*option, "nolock" | "local_lock=all" | "local_lock=flock");
    mount.options.split(',').find(is_local).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
30 21 0:44 / /srv rw shared:2 - nfs4 nas:/srv rw,vers=4.2,local_lock=none\n\
31 21 0:45 / /srv/old\\040homes rw - nfs nas:/old rw,vers=3,nolock,local_lock=all\n\
32 21 0:46 / /mnt rw - nfs nas:/mnt rw,vers=3,local_lock=flock\n\
33 21 0:47 / /mnt rw - fuse.glusterfs nas:/mnt rw\n";

    #[test]
    fn an_nfs_mount_that_keeps_its_locks_is_refused() {
        let refused = |path: &str| options(MOUNTS, Path::new(path), false);
        assert!(refused("/srv/homes/bob").is_ok() && refused("/home").is_ok());
        let why = refused("/srv/old homes/bob").unwrap_err();
        assert!(why.contains("/srv/old homes is mounted with nolock"), "{why}");
        // the later of two mounts covers the other
        assert!(refused("/mnt/bob").is_ok());
        let covered = MOUNTS.replace("33 21 0:47 / /mnt ", "33 21 0:47 / /other ");
        assert!(options(&covered, Path::new("/mnt/bob"), false).is_err());
        // GlusterFS locks, but reads from a cache
        let why = options(MOUNTS, Path::new("/mnt/bob"), true).unwrap_err();
        assert!(why.contains("fuse.glusterfs"), "{why}");
        assert!(options(MOUNTS, Path::new("/srv/bob"), true).is_ok());
    }

    #[test]
    fn two_handles_exclude_each_other_and_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(probe(dir.path(), None, true), Ok(true));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}
