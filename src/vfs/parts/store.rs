//! The store of all parts of the server. The known parts and the journal have a lock each; the
//! lock of the known parts is never held during a system call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::disk::remove;
use super::foreign::Foreign;
use super::journal::{Journal, Legacy, Noted};
use super::keep::Keep;
use super::known::{ActivePart, DeadPart, Known, PartKey};
use super::name::{Mark, PartName, Tag};
use super::shares::Share;
use crate::rights::Ids;
use crate::vfs::error::FsError;
use crate::vfs::quota::quotas::Quotas;
use crate::vfs::tree::entry::{FileId, id_of, modified};
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::lock::{Sharing, is_locked};
use crate::vfs::tree::place::{lstat, rename};

/// The parts of all uploads of a server, shared by all sessions.
#[derive(Debug)]
pub struct Parts {
    pub(super) keep: Keep,
    /// The server's number, which is in the names of the parts that it writes.
    pub(super) server: u32,
    /// The system users that sessions may have acted as.
    pub(super) users: Vec<Arc<Ids>>,
    /// The number of the next upload.
    next: AtomicU64,
    /// Number of parts, so that sessions need not look for any while it is 0.
    count: AtomicUsize,
    known: Mutex<Known>,
    /// A thread that needs both locks takes this one before `known`.
    journal: Mutex<Journal>,
    /// The directories that the journal lists, so that sessions need not wait for it.
    noted: Arc<Noted>,
    /// Where the parts count.
    quotas: Arc<Quotas>,
    /// The parts of other servers that were found in directories.
    pub(super) foreign: Foreign,
    /// Number of dead parts that are kept.
    most: usize,
    /// Whether the log already says that parts are removed because there are too many.
    is_full: AtomicBool,
}

/// Maximum number of parts of failed uploads that are kept, so that a client that keeps
/// breaking off uploads cannot fill the server's memory. Beyond it, the oldest part of the user
/// who has the most is removed.
const MOST_DEAD: usize = 50_000;

impl Parts {
    /// Opens the journal in `state_dir`. Also returns the content of an earlier server's
    /// journal.
    pub(super) fn new(
        state_dir: Option<&Path>,
        keep: Option<Duration>,
        users: &[Arc<Ids>],
        quotas: Arc<Quotas>,
    ) -> (Self, Legacy) {
        let mut number = [0; 4];
        // if this fails, the number is 0, which only matters if two servers run at once
        let _ = rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty());
        let server = u32::from_ne_bytes(number);
        let (journal, legacy) = Journal::open(state_dir, server, users);
        let parts = Self {
            keep: Keep(keep),
            server,
            users: users.to_vec(),
            next: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            known: Mutex::new(Known::new()),
            noted: journal.noted(),
            journal: Mutex::new(journal),
            quotas,
            foreign: Foreign::default(),
            most: MOST_DEAD,
            is_full: AtomicBool::new(false),
        };
        (parts, legacy)
    }

    /// Returns whether other servers may have parts in the same directories.
    pub(in crate::vfs) fn sharing(&self) -> Sharing {
        self.quotas.sharing()
    }

    /// Returns the quotas that the parts count for.
    pub(in crate::vfs) fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// Removes a part. If this fails, it logs a warning, and the part is found again when its
    /// directory is listed.
    pub(in crate::vfs) fn remove(&self, dir: impl AsFd, name: &[u8]) {
        let accounts = self.quotas.at(&dir, None).unwrap_or_default();
        remove(&accounts, dir, name);
    }

    /// Renames a part within its directory. A part that has the new name is replaced.
    pub(in crate::vfs) fn rename(
        &self,
        dir: impl AsFd,
        from: &[u8],
        to: &[u8],
    ) -> rustix::io::Result<()> {
        let accounts = self.quotas.at(&dir, None).unwrap_or_default();
        let mut renamed = Ok(());
        let rename = || {
            renamed = rename(&dir, from, to);
            renamed.map_err(FsError::from)
        };
        match accounts.losing(&dir, to, rename) {
            Ok(()) => Ok(()),
            // the directory could not be examined
            Err(_) => renamed.and(Err(Errno::IO)),
        }
    }

    /// Whether parts of failed uploads are kept.
    pub(in crate::vfs) fn are_kept(&self) -> bool {
        self.keep.any()
    }

    /// Whether there are any parts at all. If not, sessions need not look for one.
    pub fn are_there(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Returns the parts in a directory, of all users.
    pub(in crate::vfs) fn in_folder(&self, dir: FileId) -> Vec<PartName> {
        if self.are_there() { self.known().in_folder(dir) } else { Vec::new() }
    }

    /// Whether an upload that will have this name is being written in a directory. A part may not
    /// tell its name; then it may be any name.
    pub(in crate::vfs) fn is_written_as(&self, dir: FileId, name: &[u8]) -> bool {
        self.in_folder(dir)
            .iter()
            .any(|part| part.tag != Tag::Dead && (part.name == name || part.name.is_empty()))
    }

    /// Makes a number for an upload.
    pub(super) fn next_upload(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a name for a new part. A lone part is never resumed.
    pub(in crate::vfs) fn name(&self, mark: Mark, name: &[u8], lone: bool) -> PartName {
        let upload = 2 * self.next_upload() + u64::from(lone);
        PartName::new(mark, Tag::Active(self.server, upload), name)
    }

    /// Writes into the journal that a directory may have parts. The part must be entered before.
    /// `sync`: the line is on the disk afterwards.
    pub(in crate::vfs) fn note(&self, folder: &Folder, sync: bool) {
        if !self.noted.has(folder, sync) {
            self.journal().note(folder, sync, || self.known().folders());
        }
    }

    /// Rewrites the journal with the directories that have parts now.
    pub(super) fn rewrite_journal(&self) {
        self.journal().rewrite(|| self.known().folders());
    }

    /// Records a part that is about to be written.
    pub(in crate::vfs) fn enter(
        &self,
        key: PartKey,
        folder: Folder,
        name: PartName,
    ) -> Arc<ActivePart> {
        let active = Arc::new(ActivePart::new(name, folder));
        self.change(|known| known.enter(key, Arc::clone(&active)));
        active
    }

    /// Records that a part is no longer being written. Other servers may take it over from now on.
    pub(in crate::vfs) fn leave(&self, key: PartKey, active: &Arc<ActivePart>) {
        active.keep_lock(None);
        self.change(|known| known.leave(key, active));
    }

    /// Returns the active parts of one user for one name.
    pub(in crate::vfs) fn active(&self, key: PartKey) -> Vec<Arc<ActivePart>> {
        if self.are_there() { self.known().active(key) } else { Vec::new() }
    }

    /// Records a part that a failed upload has left. If there are too many, removes one of
    /// them.
    pub(in crate::vfs) fn bury(&self, key: PartKey, dead: DeadPart) {
        let most = self.most;
        let Some((key, dead)) = self.change(|known| known.bury(key, dead, most)) else {
            return;
        };
        if !self.is_full.swap(true, Ordering::Relaxed) {
            log::warn!(
                "{most} parts of failed uploads are kept, which is the maximum; from now on, the \
                 oldest parts of the users who have the most are removed"
            );
        }
        let folder = &dead.folder;
        if let Err(why) = folder.on_behalf(|| self.remove_older(key, &dead)) {
            log::warn!("cannot remove a part in {}: {why}", folder.real().display());
        }
    }

    /// Records that a dead part is being resumed or removed, and returns whether it was known.
    pub(in crate::vfs) fn unbury(&self, key: PartKey, upload: u64) -> bool {
        self.change(|known| known.unbury(key, upload))
    }

    /// Records that a dead part has been shown to its user.
    pub(in crate::vfs) fn show(&self, key: PartKey, share: Share) {
        self.known().show(key, share);
    }

    /// Writes into the journal where parts will be when a directory is renamed, from one real path
    /// to another. With `sync`, it is on the disk afterwards.
    pub(in crate::vfs) fn moving(&self, from: &Path, to: &Path, sync: bool) {
        let moving = self.known().moving(from, to);
        for folder in &moving {
            self.note(folder, sync);
        }
    }

    /// Records that a directory has been renamed, from one real path to another. Its parts are
    /// found under the new path from now on, even after a crash; with `sync`, also after a loss
    /// of power.
    pub(in crate::vfs) fn moved(&self, from: &Path, to: &Path, sync: bool) {
        if !self.are_there() {
            return;
        }
        let moved = self.known().moved(from, to);
        for folder in &moved {
            self.note(folder, sync);
        }
    }

    /// Removes the dead part of one user for one name, and returns whether there was one.
    pub(in crate::vfs) fn forget(&self, key: PartKey, dir: impl AsFd) -> bool {
        let Some(dead) = self.dead(key) else { return false };
        let name = dead.name.bytes();
        let known = self.unbury(key, dead.upload);
        // another server may have resumed or removed it
        let is_there = known && lstat(&dir, &name).is_ok();
        if is_there {
            self.remove(dir, &name);
        }
        is_there
    }

    /// Returns what `find` finds in the youngest part for which it finds something.
    pub(in crate::vfs) fn youngest<T>(
        &self,
        find: impl Fn(PartKey, &Folder, &PartName) -> Option<T>,
    ) -> Option<T> {
        self.known().youngest(find)
    }

    /// Returns the dead part of one user for one name.
    pub(in crate::vfs) fn dead(&self, key: PartKey) -> Option<DeadPart> {
        if self.are_there() { self.known().dead(key).cloned() } else { None }
    }

    /// Removes a part that was found in a directory, if the part is unknown and old. A younger
    /// unknown part may belong to another server.
    pub(in crate::vfs) fn meet(&self, dir: BorrowedFd<'_>, dir_id: FileId, name: &PartName) {
        let key = PartKey { dir: dir_id, mark: name.mark };
        let known = self.known().has(key, name.tag);
        let name = name.bytes();
        if !known && self.is_forgotten(dir, &name) && !self.is_locked(dir, &name) {
            self.remove(dir, &name);
        }
    }

    /// Whether an upload of another server writes to a part.
    pub(super) fn is_locked(&self, dir: impl AsFd, name: &[u8]) -> bool {
        self.sharing().is_shared() && is_locked(dir, name)
    }

    /// Removes the parts of a directory that contains nothing else. If one of them may still be
    /// written to, removes none and returns `false`.
    pub(in crate::vfs) fn clear(
        &self,
        dir: &OwnedFd,
        dir_id: FileId,
        names: &[PartName],
    ) -> bool {
        let is_dead = |name: &PartName| match name.tag {
            Tag::Dead => true,
            // of a server that has ended
            Tag::Active(..) if self.sharing().is_shared() => {
                !self.is_locked(dir, &name.bytes())
            }
            Tag::Active(..) => self.is_forgotten(dir, &name.bytes()),
        };
        let written = self.known().is_written_in(dir_id);
        if written || !names.iter().all(is_dead) {
            return false;
        }
        for name in names {
            if name.tag == Tag::Dead {
                self.forget(PartKey { dir: dir_id, mark: name.mark }, dir);
            }
            self.remove(dir, &name.bytes());
        }
        true
    }

    fn is_forgotten(&self, dir: impl AsFd, name: &[u8]) -> bool {
        lstat(dir, name).is_ok_and(|stat| self.keep.is_forgotten(modified(&stat)))
    }

    /// Removes the file of a dead part, unless a younger part now has its name.
    fn remove_older(&self, key: PartKey, dead: &DeadPart) {
        if let Ok((dir, stat)) = dead.folder.open()
            && id_of(&stat) == key.dir
            && let name = dead.name.bytes()
            && lstat(&dir, &name).is_ok_and(|part| modified(&part) <= dead.since)
        {
            self.remove(&dir, &name);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known();
        let result = change(&mut known);
        self.count.store(known.count(), Ordering::Release);
        result
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vfs::parts::disk::part_names;
    use crate::vfs::path::VirtualPath;
    use crate::vfs::tree::place::as_path;

    /// Creates the part of a failed upload in a home, as a server would leave it.
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn leave(parts: &Parts, home: &Path, user: &str, name: &str) {
        let folder = folder(home);
        let dir = folder.open().unwrap();
        let mark = Mark::new(user.as_bytes(), name.as_bytes());
        let key = PartKey { dir: id_of(&dir.1), mark };
        let name = PartName::new(mark, Tag::Dead, name.as_bytes());
        fs::write(home.join(as_path(&name.bytes())), "part").unwrap();
        let since = modified(&lstat(&dir.0, &name.bytes()).unwrap());
        let (share, uploader, upload) = (Share::of(user.as_bytes()), None, 0);
        let (base, shown) = (None, false);
        parts.bury(key, DeadPart { folder, name, share, uploader, upload, since, base, shown });
    }

    fn none() -> Arc<Quotas> {
        Arc::new(Quotas::none())
    }

    fn folder(home: &Path) -> Folder {
        Folder { home: home.to_owned(), path: VirtualPath::root(), ids: None }
    }

    /// Returns the names of the files that have parts on the disk.
    fn left(home: &Path) -> Vec<String> {
        let names = part_names(folder(home).open().unwrap().0);
        let mut names: Vec<_> =
            names.into_iter().map(|part| String::from_utf8(part.name).unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_user_s_failed_uploads_crowd_out_their_own_and_nobody_else_s() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let mut parts = Parts::start(None, Some(Duration::from_secs(3600)), &[], none());
        parts.most = 8;
        leave(&parts, home, "ann", "ann1");
        for n in 10..40 {
            leave(&parts, home, "bob", &format!("bob{n}"));
        }
        leave(&parts, home, "ann", "ann2");
        leave(&parts, home, "eve", "eve");
        let kept = ["ann1", "ann2", "bob35", "bob36", "bob37", "bob38", "bob39", "eve"];
        assert_eq!(left(home), kept);
        let known = parts.known();
        assert_eq!(known.count_dead(), 8);
        assert_eq!(parts.count.load(Ordering::Relaxed), 8);
        assert_eq!(known.count_by_folder(), 8);
    }
}
