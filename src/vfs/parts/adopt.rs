//! Taking over the parts that other servers have left (`shared_storage`), when their user comes to this
//! server.
//!
//! A part that a failed upload has left has the same name on every server. One whose server was killed has
//! that server's number in its name, and is found by reading the directory. Nobody has its lock: a server
//! that writes to a part has it locked.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{OFlags, SeekFrom, Stat, fstat, ftruncate, seek};

use super::disk::part_names;
use super::known::{DeadPart, PartKey};
use super::name::{Mark, PartName, Tag};
use super::shares::Share;
use super::store::Parts;
use crate::vfs::error::FsError;
use crate::vfs::quota::count::Change;
use crate::vfs::tree::entry::{changed, id_of, len_of, modified, regular};
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::lock::try_lock;
use crate::vfs::tree::place::{found, lstat, open};

/// The user whose parts are taken over.
#[derive(Debug)]
pub(in crate::vfs) struct Heir {
    pub(in crate::vfs) folder: Folder,
    pub(in crate::vfs) share: Share,
    pub(in crate::vfs) uploader: Arc<[u8]>,
    /// Whether uploads replace the file that has their name. Then a part is of no use once a later upload
    /// is complete, perhaps on another server.
    pub(in crate::vfs) replaces: bool,
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
            self.adopt_active(dir, key, &part, &heir)?;
        }
        self.adopt_dead(dir, key, &PartName::new(key.mark, Tag::Dead, name), &heir)
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
            match part.tag {
                Tag::Dead => self.adopt_dead(dir, of(&part), &part, &heir)?,
                Tag::Active(..) => self.adopt_active(dir, of(&part), &part, &heir)?,
            }
        }
        Ok(())
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
            let is_ours =
                |tag: Tag| matches!(tag, Tag::Active(server, _) if server == self.server);
            names.retain(|name| !is_ours(name.tag) && !name.is_lone());
            names
        };
        self.foreign.of(key.dir, read, wanted)
    }

    /// Takes over the part of a failed upload.
    fn adopt_dead(
        &self,
        dir: &OwnedFd,
        key: PartKey,
        name: &PartName,
        heir: &impl Fn() -> Heir,
    ) -> Result<(), FsError> {
        let Some(stat) = found(lstat(dir, &name.bytes()))?.filter(is_of_use) else {
            return Ok(());
        };
        let since = modified(&stat);
        let Heir { folder, share, uploader, replaces } = heir();
        if replaces && is_outdated(dir, &name.name, since)? {
            if let Some(known) = self.dead(key) {
                self.unbury(key, known.upload);
            }
            self.remove(dir, &name.bytes());
            return Ok(());
        }
        if let Some(known) = self.dead(key) {
            if known.since == since {
                return Ok(());
            }
            // another server has gone on with it, and has failed as well
            self.unbury(key, known.upload);
        }
        self.note(&folder, false);
        let (upload, name, uploader) = (self.next_upload(), name.clone(), Some(uploader));
        let (base, shown) = (None, false);
        self.bury(key, DeadPart { folder, name, share, uploader, upload, since, base, shown });
        Ok(())
    }

    /// Takes over the part of a server that has ended, unless that server is still there.
    fn adopt_active(
        &self,
        dir: &OwnedFd,
        key: PartKey,
        name: &PartName,
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
        if there.is_none_or(|there| id_of(&there) != id_of(&own)) || !is_of_use(&own) {
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
        self.adopt_dead(dir, key, &dead, heir)
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

/// Whether the file of a part was stored after the part was written to last.
fn is_outdated(dir: &OwnedFd, name: &[u8], since: SystemTime) -> Result<bool, FsError> {
    if name.is_empty() {
        return Ok(false);
    }
    let there = found(lstat(dir, name))?;
    Ok(there.is_some_and(|there| changed(&there) > since))
}

/// Whether a part could be resumed. One with a second name is the complete file of an upload whose server
/// was killed when it gave it that name.
fn is_of_use(stat: &Stat) -> bool {
    regular(stat).is_ok() && stat.st_nlink <= 1 && len_of(stat) > 0
}
