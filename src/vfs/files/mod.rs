//! The files of one session: the tree, together with the user's own unfinished uploads.

mod facts;
mod link;
mod listing;
mod moves;
mod plenty;
pub(in crate::vfs) mod room;
mod shown;
pub(in crate::vfs) mod whole;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{OFlags, Stat};

pub use self::listing::Listing;
use self::plenty::Plenty;
use super::error::{FsError, Heed};
use super::mounts::Mounts;
use super::parts::disk::only_parts;
use super::parts::pins::Pin;
use super::parts::store::Parts;
use super::parts::turns::Turns;
use super::path::VirtualPath;
use super::quota::accounts::Accounts;
use super::quota::count::Count;
use super::trash::discard::Trash;
use super::trash::replace::Source;
use super::tree::entry::{Entry, FileKind, Identity, fresh, id_of, is_directory, len_of};
use super::tree::fence::Fence;
use super::tree::home::Home;
use super::tree::lock::tidy;
use super::tree::mode::NewMode;
use super::tree::place::found;
use super::tree::sync::Synced;
use super::tree::{Tree, check_name};
use super::upload::destination::{self, Destination};
use super::upload::folders::{self, Made};
use super::upload::own;
use super::upload::plan::Store;
use super::upload::prepare::Prepared;
use super::upload::uploads::{Uploader, Uploads};
use crate::config::{Overwrite, Perm, User};

/// A file or directory that was renamed.
#[derive(Debug)]
pub struct Renamed {
    /// The path that it has now.
    pub path: VirtualPath,
    /// Whether the file that had the path before was moved to the trash.
    pub kept: bool,
}

/// The files below a user's home, as one session sees and changes them.
#[derive(Debug)]
pub struct Files {
    mounts: Mounts,
    plenty: Plenty,
}

impl Files {
    /// Returns the files of a session in a home. `parts` and `turns` are shared by all sessions
    /// of the server.
    #[inline(never)]
    pub fn new(
        home: Home,
        parts: Arc<Parts>,
        turns: Arc<Turns>,
        uploader: Uploader,
        user: &Arc<User>,
    ) -> Arc<Self> {
        parts.quotas().enter(user);
        let (syncs, fence) = (user.rules.uploads.sync, Fence::of(user));
        let tree = Tree::new(home, syncs, user.has_trash(), fence);
        let user = Arc::clone(user);
        let mounts = Mounts::new(Uploads { tree, parts, turns, uploader, user });
        Arc::new(Self { mounts, plenty: Plenty::default() })
    }

    /// Returns what all uploads to the tree that a path is in have in common.
    pub(super) fn at(&self, path: &VirtualPath) -> Result<&Arc<Uploads>, FsError> {
        self.mounts.at(path)
    }

    /// Returns the tree that a path is in. It shows the files without unfinished uploads.
    pub(super) fn tree(&self, path: &VirtualPath) -> Result<&Tree, FsError> {
        Ok(&self.at(path)?.tree)
    }

    /// Checks that neither a path nor anything below it is a folder from elsewhere, which cannot be
    /// removed or renamed.
    pub(super) fn check_free(&self, path: &VirtualPath) -> Result<(), FsError> {
        self.mounts.check_free(path)
    }

    /// Returns the path on the server that a virtual path stands for. It is for the log and for
    /// hooks only; no file is opened by it.
    pub fn real(&self, path: &VirtualPath) -> PathBuf {
        self.mounts.real(path)
    }

    /// Sets the letter that the running command needs. It must be given where links lead as well.
    pub fn ask(&self, perm: Option<Perm>) {
        if let Some(fence) = self.mounts.home().tree.fence() {
            fence.ask(perm);
        }
    }

    /// Returns the folder with settings of its own that holds the file to which a path leads.
    ///
    /// # Errors
    ///
    /// When the system refuses to follow the path.
    pub fn folder_of(&self, path: &VirtualPath) -> Result<Option<&str>, FsError> {
        self.at(path)?.folder_of(path)
    }

    /// Opens a regular file for reading, and returns its size as well.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the path leads to a FIFO, a socket or a device. This does
    /// not block.
    pub fn read(&self, path: &VirtualPath) -> Result<(File, u64), FsError> {
        self.read_known(path).map(|(file, stat)| (file, len_of(&stat)))
    }

    /// Like [`Files::read`], and notes that the file is used until the returned [`Pin`] is dropped, so
    /// that retention does not remove it.
    ///
    /// # Errors
    ///
    /// As for [`Files::read`].
    pub fn read_pinned(&self, path: &VirtualPath) -> Result<(File, u64, Pin), FsError> {
        let (file, stat) = self.read_known(path)?;
        let pin = self.mounts.home().turns.pins.pin_known(id_of(&stat));
        Ok((file, len_of(&stat), pin))
    }

    /// Opens a file to read. Of what other servers may have stored, its size is that of now: a machine with a
    /// mount of its own may remember that of an older version for a while, and would cut the file there.
    fn read_known(&self, path: &VirtualPath) -> Result<(File, Stat), FsError> {
        let known = self.tree(path)?.read_known(path)?;
        if !self.mounts.home().parts.sharing().is_shared() {
            return Ok(known);
        }
        let (file, _) = known;
        let stat = fresh(&file)?;
        Ok((file, stat))
    }

    /// Notes that a directory is used, like [`Files::read_pinned`].
    pub fn pin_directory(&self, path: &VirtualPath) -> Option<Pin> {
        let (dir, _) = self.tree(path).ok()?.hold(path).ok()?;
        self.mounts.home().turns.pins.pin(dir)
    }

    /// Like [`Files::read`], but opens the part of an unfinished upload of the user if one is
    /// shown under the name.
    ///
    /// # Errors
    ///
    /// As for [`Files::read`].
    pub fn read_shown(&self, path: &VirtualPath) -> Result<(File, u64), FsError> {
        shown::read(self.at(path)?, path)
    }

    /// Describes the file or directory that a path leads to. Follows links.
    ///
    /// # Errors
    ///
    /// When the path leads to nothing, or out of the home.
    pub fn stat(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        self.tree(path)?.stat(path)
    }

    /// Like [`Files::stat`], but a file that the user has not finished uploading has the size
    /// of its part.
    ///
    /// # Errors
    ///
    /// As for [`Files::stat`].
    pub fn shown(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        shown::stat(self.at(path)?, path)
    }

    /// Describes the entry at a path, as its directory lists it. A link at the end is not
    /// followed.
    ///
    /// # Errors
    ///
    /// When the path leads to nothing, or out of the home.
    pub fn entry(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        self.tree(path)?.entry(path)
    }

    /// Like [`Files::entry`], but a file that the user has not finished uploading has the size
    /// of its part.
    ///
    /// # Errors
    ///
    /// As for [`Files::entry`].
    pub fn shown_entry(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        if let Some(entry) = self.mounts.entry_at(path) {
            return Ok(entry);
        }
        let uploads = self.at(path)?;
        let mut entry = shown::entry(uploads, path)?;
        uploads.add_letters(&mut entry, path, &path.parent())?;
        Ok(entry)
    }

    /// Returns the identity of what is at a path, if the file system tells. A link is not followed.
    pub fn identity(&self, path: &VirtualPath) -> Option<Identity> {
        self.identify(path).ok().flatten()
    }

    /// Returns whether a path does not hold a file any more.
    pub fn has_lost(&self, path: &VirtualPath, file: Identity) -> bool {
        match self.identify(path) {
            Ok(there) => there.is_some_and(|there| there != file),
            Err(why) => matches!(why, FsError::NotFound | FsError::NotADirectory),
        }
    }

    fn identify(&self, path: &VirtualPath) -> Result<Option<Identity>, FsError> {
        Ok(Identity::of(self.tree(path)?.place(path)?.open(OFlags::PATH)?))
    }

    /// Checks that a path leads to a directory that may be entered.
    ///
    /// # Errors
    ///
    /// When it does not exist, is not a directory, or may not be entered.
    pub fn enter(&self, path: &VirtualPath) -> Result<(), FsError> {
        self.tree(path)?.enter(path)
    }

    /// Returns the directory to which CDUP leads: that around a directory. If a folder from elsewhere
    /// is seen in a directory that does not exist, it is the nearest one further up that does.
    pub fn above(&self, path: &VirtualPath) -> VirtualPath {
        let mut above = path.parent();
        while !above.is_root()
            && self.check_free(&above).is_err()
            && matches!(self.enter(&above), Err(FsError::NotFound))
        {
            above = above.parent();
        }
        above
    }

    /// Opens a directory for listing.
    ///
    /// # Errors
    ///
    /// When it does not exist, or is not a directory.
    pub fn list(&self, path: &VirtualPath) -> Result<Listing, FsError> {
        Listing::open(&self.mounts, path)
    }

    /// Makes a directory. `umask` is that of the session.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn make_dir(&self, path: &VirtualPath, umask: u32) -> Result<(), FsError> {
        let uploads = self.at(path)?;
        let work = || {
            let _still = uploads.still();
            let mode = uploads.check_name(path)?.mode_of_dir(umask);
            folders::make_dir(uploads, path, mode)
        };
        let to = Destination::exactly(path.clone());
        let ((), made) = Made::above(uploads, &to, umask, work)?;
        if let Some(made) = made {
            made.stay();
        }
        Ok(())
    }

    /// Removes a file or a link, but not a directory, or moves it to the trash. Also removes the part
    /// that a failed upload of the user has left under the name, unless it has nothing to do with the
    /// file. Returns whether something was moved
    /// to the trash.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn remove_file(&self, path: &VirtualPath) -> Result<bool, FsError> {
        self.mounts.check_free(path)?;
        let uploads = self.at(path)?;
        uploads.check_no_letters(path)?;
        let keeps_part = own::is_apart(uploads, path);
        match self.remove_or_discard(path) {
            Err(FsError::NotFound) => match own::forget(uploads, path) {
                Ok(true) => Ok(false),
                Ok(false) if own::is_written_elsewhere(uploads, path) => Err(FsError::Busy),
                Ok(false) => Err(FsError::NotFound),
                Err(why) => Err(why),
            },
            Ok(is_kept) => {
                // an upload in progress continues, and takes the name when it is complete
                if !keeps_part {
                    let _ = own::forget(uploads, path);
                }
                Ok(is_kept)
            }
            other => other,
        }
    }

    fn remove_or_discard(&self, path: &VirtualPath) -> Result<bool, FsError> {
        // a path that can only lead to a directory is refused by the tree
        let trash = if path.is_directory_s() { None } else { self.trash_for(path)? };
        let Some(trash) = trash else {
            let uploads = self.at(path)?;
            let remove = || uploads.tree.remove_file(path).map(|()| false);
            return uploads.losing(path, remove);
        };
        trash.discard(&self.tree(path)?.place(path)?).map(|()| true)
    }

    /// Removes a directory that contains nothing but parts of failed uploads, or moves it to the
    /// trash without them. Returns whether it was moved to the trash.
    ///
    /// # Errors
    ///
    /// When the system refuses; or [`FsError::IsRoot`], for the root.
    pub fn remove_dir(&self, path: &VirtualPath) -> Result<bool, FsError> {
        self.mounts.check_free(path)?;
        let uploads = self.at(path)?;
        uploads.check_no_letters(path)?;
        let trash = if path.is_root() { None } else { self.trash_for(path)? };
        let Some(trash) = trash else {
            return match folders::remove_dir(uploads, path) {
                Err(FsError::NotEmpty) if self.clear(path) => {
                    folders::remove_dir(uploads, path)
                }
                other => other,
            }
            .map(|()| false);
        };
        // without the slash that the path may end with
        let place = uploads.tree.place(&path.parent().join(path.name()))?;
        match trash.discard_dir(&place) {
            Err(FsError::NotEmpty) if self.clear(path) => trash.discard_dir(&place),
            other => other,
        }
        .map(|()| true)
    }

    /// Returns the trash, if what has this path goes there when it is deleted or replaced.
    fn trash_for(&self, path: &VirtualPath) -> Result<Option<Trash<'_>>, FsError> {
        self.at(path)?.trash_for(&path.parent())
    }

    /// Removes the parts from a directory that contains nothing but parts of failed uploads.
    /// Returns whether it did.
    fn clear(&self, path: &VirtualPath) -> bool {
        let Ok(uploads) = self.at(path) else { return false };
        let Ok((dir, stat)) = uploads.tree.hold(path) else { return false };
        let Some(only) = only_parts(&dir) else { return false };
        only.locks.iter().all(|lock| tidy(&dir, lock, true))
            && uploads.parts.clear(&dir, id_of(&stat), &only.parts)
    }

    /// Renames a file or directory like [`Files::rename`], and makes directories that the settings
    /// demand for its destination.
    ///
    /// # Errors
    ///
    /// As for [`Files::rename`].
    pub fn refile(
        &self,
        from: &VirtualPath,
        to: &Destination,
        umask: u32,
    ) -> Result<Renamed, FsError> {
        if !to.is_filed() {
            return self.rename(from, to.path());
        }
        let work = || self.rename(from, to.path());
        let (renamed, made) = Made::above(self.at(to.path())?, to, umask, work)?;
        if let Some(made) = made {
            made.stay();
        }
        Ok(renamed)
    }

    /// Renames a file or directory. A file that has the new name is replaced in one step, if
    /// the user may replace files; or the new file gets another name.
    ///
    /// # Errors
    ///
    /// When the system refuses; or [`FsError::IsRoot`], for the root.
    pub fn rename(&self, from: &VirtualPath, to: &VirtualPath) -> Result<Renamed, FsError> {
        self.mounts.check_free(from)?;
        let uploads = self.at(from)?;
        if self.mounts.is_at(to) || !Arc::ptr_eq(uploads, self.at(to)?) {
            return Err(FsError::Across);
        }
        let overwrite = check_rename(uploads, from, to)?;
        if overwrite == Overwrite::Rename {
            return self.rename_beside(from, to);
        }
        let kept = self.rename_to(from, to, overwrite)?;
        Ok(Renamed { path: to.clone(), kept })
    }

    /// Renames a file. If the new name is taken, the file gets a name with a number. A directory must
    /// get the name that was asked for, because its client will use that name.
    fn rename_beside(&self, from: &VirtualPath, to: &VirtualPath) -> Result<Renamed, FsError> {
        let uploads = self.at(to)?;
        let there = uploads.tree.entry(from)?;
        let renamed = |path| Renamed { path, kept: false };
        if from == to {
            return Ok(renamed(to.clone()));
        }
        match self.rename_to(from, to, Overwrite::No) {
            Err(FsError::Taken) if there.kind != FileKind::Directory => {}
            other => return other.map(|_| renamed(to.clone())),
        }
        let place = uploads.tree.place(to)?;
        if found(place.lstat())?.is_some_and(is_directory) {
            return Err(FsError::IsADirectory);
        }
        let take = |name: &[u8]| self.rename_to(from, &to.parent().join(name), Overwrite::No);
        let (name, _) = uploads.beside(&place, take)?;
        Ok(renamed(to.parent().join(&name)))
    }

    /// Returns whether the file that had the new name was moved to the trash.
    fn rename_to(
        &self,
        from: &VirtualPath,
        to: &VirtualPath,
        overwrite: Overwrite,
    ) -> Result<bool, FsError> {
        let uploads = self.at(from)?;
        let Uploads { tree, parts, .. } = &**uploads;
        let rules = uploads.rules();
        // before the rename, so that no crash comes between it and the journal
        if parts.are_there() && tree.hold(from).is_ok() {
            parts.moving(&tree.real(from), &tree.real(to), rules.sync);
        }
        let keeps_part = own::is_apart(uploads, from);
        let is_kept = self.rename_or_replace(from, to, overwrite)?;
        if parts.are_there() && tree.hold(to).is_ok() {
            parts.moved(&tree.real(from), &tree.real(to), rules.sync);
        }
        // parts that failed uploads have left under these names no longer belong to a file
        if !keeps_part {
            let _ = own::forget(uploads, from);
        }
        let _ = own::forget(uploads, to);
        Ok(is_kept)
    }

    fn rename_or_replace(
        &self,
        from: &VirtualPath,
        to: &VirtualPath,
        overwrite: Overwrite,
    ) -> Result<bool, FsError> {
        let uploads = self.at(from)?;
        let (tree, replace) = (&uploads.tree, overwrite == Overwrite::Yes);
        let trash = if replace && !to.is_root() { self.trash_for(to)? } else { None };
        // by now another session may have renamed a directory or a link
        let check = || {
            if uploads.user.folders.is_empty() {
                return Ok(());
            }
            let now = check_rename(uploads, from, to)?;
            if replace && now != Overwrite::Yes { Err(FsError::Relocated) } else { Ok(()) }
        };
        let Some(trash) = trash else {
            let rename = || match tree.rename(from, to, replace) {
                Err(FsError::Exists) if !replace => Err(FsError::Taken),
                renamed => renamed.map(|()| false),
            };
            return moves::rename(uploads, from, to, &check, rename);
        };
        let is_dir = |path| tree.entry(path).map(|entry| entry.kind == FileKind::Directory);
        if from.is_directory_s() || to.is_directory_s() || is_dir(from)? {
            // a directory can replace an empty directory, and nothing else
            let rename = || {
                match tree.rename(from, to, false) {
                    Err(FsError::Exists) if is_dir(to)? => tree.rename(from, to, true),
                    Err(FsError::Exists) => Err(FsError::NotADirectory),
                    other => other,
                }
                .map(|()| false)
            };
            return moves::rename(uploads, from, to, &check, rename);
        }
        check_name(to)?;
        let still = uploads.still_but_for(from);
        check()?;
        let (old, new) = (tree.place(from)?, tree.place(to)?);
        let syncs = tree.syncs();
        let synced = (Synced::open(&old.dir, syncs)?, Synced::open(&new.dir, syncs)?);
        let is_kept = trash.replace(&old.dir, &old.name, &new, Source::Named)?;
        drop(still);
        synced.1.sync(|| tree.real(to))?;
        synced.0.sync(|| tree.real(from))?;
        Ok(is_kept)
    }

    /// Sets the permission bits of a file or directory that are in `mask`, and returns the mode
    /// that the system reports afterwards. A directory keeps its other bits; a file loses them.
    ///
    /// # Errors
    ///
    /// When the system refuses; or [`FsError::LosesSetGid`], if a directory could not keep its
    /// set-group-ID bit.
    pub fn set_mode(
        &self,
        path: &VirtualPath,
        mode: u32,
        mask: u32,
    ) -> Result<NewMode, FsError> {
        self.tree(path)?.set_mode(path, mode, mask)
    }

    /// Sets the modification time, in seconds since 1970 in UTC.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn set_modified(&self, path: &VirtualPath, seconds: i64) -> Result<(), FsError> {
        self.tree(path)?.set_modified(path, seconds)
    }

    /// Checks that a file of this size may be uploaded to a directory.
    ///
    /// # Errors
    ///
    /// [`FsError::TooLarge`], if it is larger than the settings allow; [`FsError::QuotaUsed`], if the
    /// quota does not suffice.
    pub fn check_size(&self, directory: &VirtualPath, bytes: u64) -> Result<(), FsError> {
        let uploads = self.at(directory)?;
        let most = uploads.most_in(directory)?;
        if bytes > most {
            return Err(FsError::TooLarge(most));
        }
        let accounts = self.accounts(directory)?;
        let wanted = Count { bytes, files: 0 };
        match accounts.check_room(wanted) {
            Err(why) => {
                let lacking = bytes.saturating_sub(accounts.left().unwrap_or_default());
                if lacking > trash_bytes(uploads) || !uploads.make_room(&why, lacking) {
                    return Err(why);
                }
                accounts.check_room(wanted)
            }
            done => done,
        }
    }

    /// Returns the accounts that a directory counts for.
    fn accounts(&self, directory: &VirtualPath) -> Result<Accounts, FsError> {
        let uploads = self.at(directory)?;
        if !uploads.parts.quotas().any() {
            return Ok(Accounts::default());
        }
        let (dir, _) = uploads.tree.hold(directory)?;
        uploads.accounts(&dir)
    }

    /// Returns how many bytes this process may still write below a directory.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn free_space(&self, path: &VirtualPath) -> Result<u64, FsError> {
        self.tree(path)?.free_space(path)
    }

    /// Returns how many bytes the user may still store below a directory: the room on the disk, or
    /// less if a quota leaves less. What is in the user's trash counts as room.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn room(&self, path: &VirtualPath) -> Result<u64, FsError> {
        let free = self.free_space(path)?;
        let left = self.accounts(path)?.left();
        let trash = || self.at(path).map_or(0, |uploads| trash_bytes(uploads));
        Ok(left.map_or(free, |left| left.saturating_add(trash()).min(free)))
    }

    /// Returns where a file goes that the client stores at a path now.
    ///
    /// # Errors
    ///
    /// [`FsError::Unfiled`], if `store_as` makes no valid path of its name; or when the system refuses
    /// to follow the path.
    pub fn destination(&self, path: &VirtualPath) -> Result<Destination, FsError> {
        Destination::of(self.at(path)?, path)
    }

    /// Returns where a file goes that was filed at `from` when the client stored it as `named`, and that
    /// the client renames to `to` in the same directory.
    ///
    /// # Errors
    ///
    /// As for [`Files::destination`].
    pub fn destination_again(
        &self,
        named: &VirtualPath,
        from: &VirtualPath,
        to: &VirtualPath,
    ) -> Result<Destination, FsError> {
        Destination::again(self.at(named)?, named, from, to)
    }

    /// Returns where the user's own part is that an upload of the client to a path has left, if uploads
    /// to it are filed.
    pub fn begun(&self, path: &VirtualPath) -> Option<VirtualPath> {
        destination::begun(self.at(path).ok()?, path)
    }

    /// Removes the parts that [`Files::begun`] finds, because a newer upload to the path is complete.
    pub fn forget_begun(&self, path: &VirtualPath) {
        if let Ok(uploads) = self.at(path) {
            destination::forget(uploads, path);
        }
    }

    /// Prepares an upload. `umask` is that of the session. This may copy the existing file or wait for
    /// another upload, and calls `heed` meanwhile. `own` is a file that the session has stored at the
    /// path and may go on writing to.
    ///
    /// # Errors
    ///
    /// When the system refuses; [`FsError::Interrupted`], if `heed` says so;
    /// [`FsError::BadOffset`], if the upload cannot begin at the requested offset; or
    /// [`FsError::Busy`], if another upload changes the file in place.
    pub fn upload(
        &self,
        to: &Destination,
        store: Store,
        umask: u32,
        at_once: bool,
        own: Option<Identity>,
        heed: &mut Heed<'_>,
    ) -> Result<Prepared, FsError> {
        Prepared::new(self.at(to.path())?, to, store, umask, at_once, own, heed)
    }

    /// Prepares an upload to a new file. If `wanted` exists, a number is added to the name.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn upload_new(&self, wanted: &Destination, umask: u32) -> Result<Prepared, FsError> {
        Prepared::under_new_name(self.at(wanted.path())?, wanted, umask)
    }
}

/// Checks that the settings of folders allow a rename. Returns what it does to a file that has the new
/// name.
fn check_rename(
    uploads: &Uploads,
    from: &VirtualPath,
    to: &VirtualPath,
) -> Result<Overwrite, FsError> {
    uploads.check_unset(from)?;
    let overwrite = uploads.check_name(to)?.overwrite;
    if uploads.tree.entry(to).is_ok() {
        uploads.check_no_letters(to)?;
    }
    uploads.check_move(from, to)?;
    Ok(overwrite)
}

/// Returns the size of the user's trash, which is emptied before a quota refuses something.
fn trash_bytes(uploads: &Uploads) -> u64 {
    let count = uploads.own_trash().and_then(|trash| trash.count().ok());
    count.unwrap_or_default().bytes
}
