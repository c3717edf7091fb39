//! Taking over the parts that other servers have left (`shared_storage`), when their user comes to this
//! server.
//!
//! A part that a failed upload has left has the same name on every server. One whose server was killed has
//! that server's number in its name, and is found by reading the directory. Nobody has its lock: a server
//! that writes to a part has it locked.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, SeekFrom, Stat, fstat, ftruncate, seek, unlinkat};

use super::disk::part_names;
use super::known::{DeadPart, PartKey};
use super::name::{Mark, PartName, Tag};
use super::shares::Share;
use super::store::Parts;
use crate::vfs::error::FsError;
use crate::vfs::quota::count::Change;
use crate::vfs::tree::entry::{id_of, len_of, modified, regular};
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::lock::try_lock;
use crate::vfs::tree::place::{as_path, found, lstat, open};

/// The user whose parts are taken over.
#[derive(Debug)]
pub(in crate::vfs) struct Heir {
    pub(in crate::vfs) folder: Folder,
    pub(in crate::vfs) share: Share,
    pub(in crate::vfs) uploader: Arc<[u8]>,
}

impl Parts {
    /// Makes the parts of one user for one name, which other servers have left, parts of this server. Does
    /// nothing unless other servers serve the same files.
    ///
    /// # Errors
    ///
    /// When the system fails to examine a part.
    pub(in crate::vfs) fn adopt(
        &self,
        (dir, key): (&OwnedFd, PartKey),
        name: &[u8],
        heir: impl Fn() -> Heir,
    ) -> Result<(), FsError> {
        if !self.sharing().is_shared() {
            return Ok(());
        }
        let is_foreign = |part: &PartName| part.mark == key.mark;
        for part in self.foreign_in(dir, key, is_foreign) {
            self.adopt_active((dir, key), &part, name, &heir)?;
        }
        let dead = PartName::new(key.mark, Tag::Dead, name);
        self.adopt_dead((dir, key), &dead, name, &heir)
    }

    /// Makes all parts of a user in a directory, which other servers have left, parts of this server.
    /// `is_own` says which ones are that user's.
    pub(in crate::vfs) fn adopt_all(
        &self,
        dir: &OwnedFd,
        is_own: impl Fn(&PartName) -> bool,
        heir: impl Fn() -> Heir,
    ) -> Result<(), FsError> {
        if !self.sharing().is_shared() {
            return Ok(());
        }
        let id = id_of(&fstat(dir)?);
        let of = |part: &PartName| PartKey { dir: id, mark: part.mark };
        let any = PartKey { dir: id, mark: Mark::FIRST };
        for part in self.foreign_in(dir, any, is_own) {
            let at = (dir, of(&part));
            match part.tag {
                Tag::Dead => self.adopt_dead(at, &part, &part.name, &heir)?,
                Tag::Active(..) => self.adopt_active(at, &part, &part.name, &heir)?,
            }
        }
        Ok(())
    }

    /// Removes the parts of a user for a name whose file is complete now, those that other servers have left
    /// as well. A part that an upload writes to stays.
    pub(in crate::vfs) fn forget_all(&self, dir: &OwnedFd, key: PartKey, name: &[u8]) {
        self.forget(key, dir);
        if !self.sharing().is_shared() {
            return;
        }
        let is_foreign = |part: &PartName| part.mark == key.mark && part.tag != Tag::Dead;
        let mut all = self.foreign_in(dir, key, is_foreign);
        all.push(PartName::new(key.mark, Tag::Dead, name));
        for part in all.iter().map(PartName::bytes) {
            // an empty one may be about to be locked by the upload that has made it
            let has_begun = |file: &File| fstat(file).is_ok_and(|stat| len_of(&stat) > 0);
            if let Ok(file) = open(dir, &part, OFlags::RDWR)
                && has_begun(&file)
                && try_lock(&file).unwrap_or_default()
            {
                self.remove(dir, &part);
            }
        }
    }

    /// Whether an upload of another server writes to a part of one user for one name.
    pub(in crate::vfs) fn is_written_elsewhere(&self, dir: &OwnedFd, key: PartKey) -> bool {
        let is_written = |part: PartName| {
            part.mark == key.mark
                && self.is_foreign(&part)
                && self.is_locked(dir, &part.bytes())
        };
        self.sharing().is_shared() && part_names(dir).into_iter().any(is_written)
    }

    /// Whether this server does not write to a part, which may be resumed.
    fn is_foreign(&self, part: &PartName) -> bool {
        let is_ours = matches!(part.tag, Tag::Active(server, _) if server == self.server);
        !is_ours && !part.is_lone()
    }

    /// Returns the parts in a directory that this server does not write.
    fn foreign_in(
        &self,
        dir: &OwnedFd,
        key: PartKey,
        wanted: impl Fn(&PartName) -> bool,
    ) -> Vec<PartName> {
        let read = || {
            let mut names = part_names(dir);
            names.retain(|name| self.is_foreign(name));
            names
        };
        self.foreign.of(key.dir, read, wanted)
    }

    /// Takes over the part of a failed upload of the file `file`.
    fn adopt_dead(
        &self,
        (dir, key): (&OwnedFd, PartKey),
        name: &PartName,
        file: &[u8],
        heir: &impl Fn() -> Heir,
    ) -> Result<(), FsError> {
        // looked up first: another session may leave a part between the two
        let known = self.dead(key).filter(|known| known.name == *name);
        let Some(stat) = found(lstat(dir, &name.bytes()))? else {
            // another server has resumed or removed it
            if let Some(known) = known {
                self.unbury(key, known.upload);
            }
            return Ok(());
        };
        if is_second_name(dir, &stat, file)? {
            remove_second_name(dir, name);
            return Ok(());
        }
        if !is_of_use(&stat) || !self.are_kept() {
            return Ok(());
        }
        let since = modified(&stat);
        if let Some(known) = self.dead(key) {
            if known.since == since {
                return Ok(());
            }
            // another server has gone on with it, and has failed as well
            self.unbury(key, known.upload);
        }
        let Heir { folder, share, uploader } = heir();
        self.note(&folder, false);
        let (upload, name, uploader) = (self.next_upload(), name.clone(), Some(uploader));
        let (base, shown) = (None, false);
        self.bury(key, DeadPart { folder, name, share, uploader, upload, since, base, shown });
        Ok(())
    }

    /// Takes over a part of the file `target` whose server has ended, unless that server is still there.
    fn adopt_active(
        &self,
        (dir, key): (&OwnedFd, PartKey),
        name: &PartName,
        target: &[u8],
        heir: &impl Fn() -> Heir,
    ) -> Result<(), FsError> {
        if name.tag == Tag::Dead {
            return Ok(());
        }
        let Ok(file) = open(dir, &name.bytes(), OFlags::RDWR) else { return Ok(()) };
        if !try_lock(&file)? {
            return Ok(());
        }
        // from here on, no other server takes it over
        self.foreign.forget(key.dir, name.mark);
        let (own, there) = (fstat(&file)?, found(lstat(dir, &name.bytes()))?);
        if there.is_none_or(|there| id_of(&there) != id_of(&own)) {
            return Ok(());
        }
        if is_second_name(dir, &own, target)? {
            remove_second_name(dir, name);
            return Ok(());
        }
        if !is_of_use(&own) {
            return Ok(());
        }
        if !self.are_kept() {
            self.remove(dir, &name.bytes());
            return Ok(());
        }
        self.cut_to_first_hole(&file, (dir, key), len_of(&own))?;
        let dead = name.tagged(Tag::Dead);
        let other = found(lstat(dir, &dead.bytes()))?;
        if other.is_some_and(|other| modified(&other) >= modified(&own)) {
            self.remove(dir, &name.bytes());
        } else {
            self.rename(dir, &name.bytes(), &dead.bytes())?;
        }
        drop(file);
        self.adopt_dead((dir, key), &dead, target, heir)
    }

    /// Cuts a file at its first hole. An upload writes no holes, so data is missing that a machine had not
    /// sent when it lost power.
    fn cut_to_first_hole(
        &self,
        file: &File,
        (dir, key): (&OwnedFd, PartKey),
        size: u64,
    ) -> Result<(), FsError> {
        // not every file system knows its holes
        let Ok(hole) = seek(file, SeekFrom::Hole(0)) else { return Ok(()) };
        if hole < size {
            let accounts = self.quotas().at(dir, None)?;
            let open = accounts.open_alone();
            ftruncate(file, hole)?;
            open.change(key.dir, Change::of_size(size, hole));
        }
        Ok(())
    }
}

/// Whether a part is the file `name` itself, under a second name: its server was killed after it had given
/// the complete file its name, where files cannot be renamed to a new name in one step.
pub(super) fn is_second_name(dir: &OwnedFd, part: &Stat, name: &[u8]) -> Result<bool, FsError> {
    if part.st_nlink < 2 || name.is_empty() {
        return Ok(false);
    }
    let there = found(lstat(dir, name))?;
    Ok(there.is_some_and(|there| id_of(&there) == id_of(part)))
}

/// Removes the name of a part that is a second name of the file in place. Nothing counts less then.
pub(super) fn remove_second_name(dir: &OwnedFd, part: &PartName) {
    // if this fails, it is tried again when the part is met
    let _ = unlinkat(dir, as_path(&part.bytes()), AtFlags::empty());
}

/// Whether a part could be resumed. One with a second name may be a complete file.
fn is_of_use(stat: &Stat) -> bool {
    regular(stat).is_ok() && stat.st_nlink <= 1 && len_of(stat) > 0
}
