//! Removes one file for retention, if it is still the file that was seen and nobody uses it, and
//! the directories that became empty by that.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Stat, fstat, unlinkat};

use super::plan::Home;
use super::rules::Candidate;
use crate::vfs::error::FsError;
use crate::vfs::parts::store::Parts;
use crate::vfs::parts::turns::{Turn, Turns};
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::payer::{Move, Payer};
use crate::vfs::tree::beneath::Root;
use crate::vfs::tree::entry::{FileId, FileKind, changed, id_of, modified};
use crate::vfs::tree::lock::is_locked;
use crate::vfs::tree::place::{as_path, lstat};

/// What became of a file that should go.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was removed, or would be.
    Gone,
    /// It is in use.
    Used,
    /// It was stored a short time ago, and so were all that are younger.
    Young,
    /// It is no longer the file that was seen.
    Other,
    /// The system refuses.
    Failed(FsError),
}

/// What sessions use.
#[derive(Debug, Clone)]
pub(super) struct Uses {
    pub(super) parts: Arc<Parts>,
    pub(super) turns: Arc<Turns>,
}

/// The directories in which files were removed. For each, its identity, and when it was last changed
/// before that.
pub(super) type Changed = HashMap<Arc<VirtualPath>, (FileId, SystemTime)>;

/// The home in which files are removed.
pub(super) struct Remover<'r> {
    pub(super) home: &'r Home,
    pub(super) root: &'r Root,
    pub(super) uses: &'r Uses,
    /// Files are not removed for this long after they were stored.
    pub(super) grace: Duration,
    /// Whether nothing is removed, to see what would be.
    pub(super) dry: bool,
}

impl Remover<'_> {
    /// Opens the directory of a file. No part of its path may be a link by now.
    pub(super) fn open(&self, folder: &VirtualPath) -> Result<(OwnedFd, Stat), FsError> {
        let dir = self.root.open_plain(folder.below_root())?;
        let stat = fstat(&dir)?;
        Ok((dir, stat))
    }

    /// Removes a file from its directory. This is the only place where retention removes a file.
    pub(super) fn remove(
        &self,
        one: &Candidate,
        (dir, dir_stat): (&OwnedFd, &Stat),
        emptied: &mut Changed,
    ) -> Outcome {
        match self.try_remove(one, dir, dir_stat) {
            Ok(Outcome::Gone) if !self.dry => {
                let state = || (id_of(dir_stat), modified(dir_stat));
                emptied.entry(Arc::clone(&one.folder)).or_insert_with(state);
                Outcome::Gone
            }
            Ok(outcome) => outcome,
            Err(FsError::NotFound | FsError::Replaced) => Outcome::Other,
            Err(why) => Outcome::Failed(why),
        }
    }

    fn try_remove(
        &self,
        one: &Candidate,
        dir: &OwnedFd,
        dir_stat: &Stat,
    ) -> Result<Outcome, FsError> {
        let Uses { parts, turns } = self.uses;
        let own = id_of(dir_stat);
        // from here until the removal is over, no upload takes one of these turns, and no session
        // begins to use the file
        let file = turns.try_claim(Turn::File(one.id));
        let name = turns.try_claim(Turn::Name(own, one.name.clone()));
        let unused = turns.pins.remove(one.id);
        if file.is_none()
            || name.is_none()
            || unused.is_none()
            || parts.is_written_as(own, &one.name)
            || parts.sharing().is_shared() && is_locked(dir, &one.name)
        {
            return Ok(Outcome::Used);
        }
        let stat = lstat(dir, &one.name)?;
        if id_of(&stat) != one.id || changed(&stat) != one.stored {
            return Ok(Outcome::Other);
        }
        if self.is_young(one.stored) {
            return Ok(Outcome::Young);
        }
        if !self.dry {
            let moved = Move { from: dir.as_fd(), name: &one.name, to: None };
            payer(parts).moving(&[moved], || {
                // the quotas may have made this thread wait, so that another file has the name by now
                let stat = lstat(dir, &one.name)?;
                if id_of(&stat) != one.id || changed(&stat) != one.stored {
                    return Err(FsError::Replaced);
                }
                Ok(unlinkat(dir, as_path(&one.name), AtFlags::empty())?)
            })?;
        }
        Ok(Outcome::Gone)
    }

    /// Whether retention must not remove yet what was stored at this time.
    fn is_young(&self, stored: SystemTime) -> bool {
        let age = SystemTime::now().duration_since(stored).unwrap_or_default();
        !self.grace.is_zero() && age < self.grace
    }

    /// Removes the directories that became empty by the removals, and those around them that became
    /// empty by that. Only what was not changed otherwise for a while is removed, so that no
    /// directory vanishes under a client that has just made it.
    pub(super) fn remove_empty(&self, emptied: &mut Changed) {
        let mut folders: Vec<_> = emptied.keys().cloned().collect();
        // the innermost first
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.as_bytes().len()));
        for folder in folders {
            let mut folder = folder;
            while let Some(above) = self.remove_directory(&folder, emptied) {
                folder = above;
            }
        }
    }

    /// Removes a directory, if it is empty. Returns the one around it.
    fn remove_directory(
        &self,
        folder: &Arc<VirtualPath>,
        emptied: &mut Changed,
    ) -> Option<Arc<VirtualPath>> {
        let (id, since) = *emptied.get(folder)?;
        if folder.is_root()
            || self.home.kept.has_settings(folder.as_bytes())
            || self.is_young(since)
        {
            return None;
        }
        let above = Arc::new(folder.parent());
        let (dir, dir_stat) = self.open(&above).ok()?;
        let stat = lstat(&dir, folder.name()).ok()?;
        let is_it =
            FileKind::of_mode(stat.st_mode) == FileKind::Directory && id_of(&stat) == id;
        let _unused = self.uses.turns.pins.remove(id).filter(|_| is_it)?;
        let remove = || {
            let removed = unlinkat(&dir, as_path(folder.name()), AtFlags::REMOVEDIR);
            removed.map_err(FsError::from)
        };
        payer(&self.uses.parts).removing_dir(&dir, folder.name(), remove).ok()?;
        let real = folder.real(&self.home.path);
        log::info!("removed the empty directory {}", crate::log::path(&real));
        emptied.remove(folder);
        let state = || (id_of(&dir_stat), modified(&dir_stat));
        emptied.entry(Arc::clone(&above)).or_insert_with(state);
        Some(above)
    }
}

/// Returns who pays for what retention removes.
fn payer(parts: &Parts) -> Payer<'_> {
    Payer { quotas: parts.quotas(), own: None }
}
