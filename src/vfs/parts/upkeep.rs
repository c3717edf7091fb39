//! Upkeep of the parts: taking over those of an earlier server, and removing those that have
//! been kept long enough.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::adopt::{is_second_name, remove_second_name};
use super::disk::part_names;
use super::journal::Legacy;
use super::known::{DeadPart, PartKey};
use super::name::{PartName, Tag};
use super::shares::Share;
use super::store::Parts;
use crate::rights::Ids;
use crate::vfs::quota::quotas::Quotas;
use crate::vfs::tree::entry::{id_of, modified};
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::place::lstat;

impl Parts {
    /// Opens the store, and takes over the parts that an earlier server has left. The journal
    /// is in `state_dir`; sessions may have acted as one of the system users in `users`.
    /// What is removed is reported to the `quotas`.
    pub fn start(
        state_dir: Option<&Path>,
        keep: Option<Duration>,
        users: &[Arc<Ids>],
        quotas: Arc<Quotas>,
    ) -> Self {
        let (parts, legacy) = Self::new(state_dir, keep, users, quotas);
        parts.inherit(&legacy);
        parts
    }

    /// Creates the journal again if it was removed, and takes it over from another server once
    /// that server has ended. Returns whether the journal is in place. This must be called when
    /// something has happened in `state_dir`, and each second while it is not.
    pub fn look_after_journal(&self) -> bool {
        let legacy = self.journal().look_after(&self.users);
        if let Some(legacy) = legacy {
            self.inherit(&legacy);
        }
        self.journal().is_in_place()
    }

    /// Turns the parts of an earlier server into dead ones, and removes those that are of no
    /// use. After a reboot all of them are removed, since their content may be damaged.
    fn inherit(&self, legacy: &Legacy) {
        let removed: usize =
            legacy.folders.iter().map(|folder| self.inherit_folder(legacy, folder)).sum();
        let kept = self.known().count_dead();
        if removed + kept > 0 {
            log::info!("parts of failed uploads: {kept} kept, {removed} removed");
        }
        self.rewrite_journal();
    }

    /// Takes over the parts in a directory, and returns how many were removed.
    fn inherit_folder(&self, legacy: &Legacy, folder: &Folder) -> usize {
        let mut removed = 0;
        let Ok(_acting) = folder.act() else { return removed };
        let Ok((dir, stat)) = folder.open() else { return removed };
        for name in part_names(&dir) {
            let Ok(part) = lstat(&dir, &name.bytes()) else { continue };
            let key = PartKey { dir: id_of(&stat), mark: name.mark };
            // the part was left by this server, not by an earlier one
            if name.tag == Tag::Dead && self.dead(key).is_some() {
                continue;
            }
            let ours = match name.tag {
                Tag::Dead => true,
                Tag::Active(server, _) => legacy.server == Some(server),
            };
            let is_second = is_second_name(&dir, &part, &name.name).unwrap_or_default();
            if ours && is_second && !self.is_locked(&dir, &name.bytes()) {
                remove_second_name(&dir, &name);
                removed += 1;
                continue;
            }
            let since = modified(&part);
            // what a file system over the network has taken, a reboot of this machine has not damaged; a
            // part that was being written may lack something
            let is_kept = self.sharing().is_shared() && name.tag == Tag::Dead;
            let of_use = (legacy.same_boot || is_kept)
                && part.st_size > 0
                && !name.is_lone()
                && !self.keep.is_due(since);
            if self.is_locked(&dir, &name.bytes()) {
                // another server has it now
            } else if (ours && !of_use) || self.keep.is_forgotten(since) {
                self.remove(&dir, &name.bytes());
                removed += 1;
            } else if ours {
                self.inherit_part(key, folder, &dir, &name, since);
            }
        }
        removed
    }

    /// Takes over one part. If there are two parts of one user for one name, the younger one is
    /// kept.
    fn inherit_part(
        &self,
        key: PartKey,
        folder: &Folder,
        dir: &OwnedFd,
        name: &PartName,
        since: SystemTime,
    ) {
        let dead = name.tagged(Tag::Dead);
        if name.tag != Tag::Dead {
            let other = lstat(dir, &dead.bytes()).map(|stat| modified(&stat));
            if other.is_ok_and(|other| other >= since) {
                return self.remove(dir, &name.bytes());
            }
            if self.rename(dir, &name.bytes(), &dead.bytes()).is_err() {
                return;
            }
        }
        let upload = self.next_upload();
        // the user is not known until that user asks for the part; until then it counts for the
        // home
        let share = Share::of(folder.home.as_os_str().as_bytes());
        let folder = folder.clone();
        let (uploader, base, shown) = (None, None, false);
        let dead = DeadPart { folder, name: dead, share, uploader, upload, since, base, shown };
        self.bury(key, dead);
    }

    /// Removes the dead parts that have been kept long enough.
    pub fn sweep(&self) {
        if !self.are_there() {
            return;
        }
        let due = self.known().due(|since| self.keep.is_due(since));
        for (key, dead) in due {
            let Ok(_acting) = dead.folder.act() else { continue };
            // parts in a directory that was moved are found again when the directory is listed
            let there = dead.folder.open();
            if let Ok((dir, stat)) = there
                && id_of(&stat) == key.dir
                && self.unbury(key, dead.upload)
            {
                let name = dead.name.bytes();
                match lstat(&dir, &name) {
                    // the upload was resumed just now, and has failed again
                    Ok(stat) if !self.keep.is_due(modified(&stat)) => {
                        self.bury(key, DeadPart { since: modified(&stat), ..dead });
                    }
                    _ => self.remove(&dir, &name),
                }
            } else {
                self.unbury(key, dead.upload);
            }
        }
    }

    /// How often [`Parts::sweep`] should be called.
    pub fn sweep_every(&self) -> Duration {
        self.keep.sweep_every()
    }
}
