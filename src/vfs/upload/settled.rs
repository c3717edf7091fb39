//! Actions during which no directory moves, for users whose folders have settings of their own.
//!
//! The settings of a folder go by its path, while an upload keeps its directory open, wherever that is
//! renamed to. So the path is found out again when the file appears, and from then on until it is there
//! no client of this server renames a directory or a link. Users without folders take no lock.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{CWD, readlinkat};

use super::uploads::{Uploads, check_allowed, most_by};
use crate::config::{GateRules, Overwrite};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::accounts::dir_id;
use crate::vfs::tree::entry::{FileKind, id_of};
use crate::vfs::tree::place::Place;

/// What must still be allowed when the file of an upload appears.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Size of the file in bytes.
    pub(super) size: u64,
    /// Whether it may replace a file that the session has not stored itself.
    pub(super) replaces: bool,
    /// What has judged the file.
    pub(super) gate: Option<&'a GateRules>,
}

/// Keeps directories and links from being renamed until it is dropped.
#[derive(Debug)]
pub(in crate::vfs) enum Still<'a> {
    /// Nothing depends on it.
    Free,
    /// Other files may appear meanwhile.
    Shared { _lock: RwLockReadGuard<'a, ()> },
    /// Nothing else may be renamed or appear meanwhile.
    Alone { _lock: RwLockWriteGuard<'a, ()> },
}

impl Uploads {
    /// Keeps directories and links where they are until the result is dropped. It must not be called
    /// again before that, and nothing is waited for meanwhile.
    pub(in crate::vfs) fn still(&self) -> Still<'_> {
        if self.user.folders.is_empty() {
            return Still::Free;
        }
        let lock = self.turns.moves.read().unwrap_or_else(PoisonError::into_inner);
        Still::Shared { _lock: lock }
    }

    /// Like [`Uploads::still`], but for an action that moves or makes directories or links.
    pub(in crate::vfs) fn alone(&self) -> Still<'_> {
        if self.user.folders.is_empty() {
            return Still::Free;
        }
        let lock = self.turns.moves.write().unwrap_or_else(PoisonError::into_inner);
        Still::Alone { _lock: lock }
    }

    /// Like [`Uploads::still`], but for a rename.
    pub(in crate::vfs) fn still_but_for(&self, from: &VirtualPath) -> Still<'_> {
        let is_file = || self.tree.entry(from).is_ok_and(|entry| entry.kind == FileKind::File);
        if !self.user.folders.is_empty() && is_file() {
            let shared = self.still();
            // nothing else takes the place of the file from now on
            if is_file() {
                return shared;
            }
        }
        self.alone()
    }

    /// Does `work`, by which a file appears at a place or changes there, if the folder in which the place is
    /// now allows it.
    ///
    /// # Errors
    ///
    /// The error of `work`; why the folder does not allow it; or [`FsError::Relocated`], if the upload would
    /// have been prepared or judged in another way.
    pub(super) fn appear<T>(
        &self,
        place: &Place,
        name: &[u8],
        terms: Terms<'_>,
        work: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let still = self.still();
        if let Still::Shared { .. } = still {
            self.check_terms(&self.whereabouts(place)?, name, terms)?;
        }
        work()
    }

    fn check_terms(
        &self,
        directory: &VirtualPath,
        name: &[u8],
        terms: Terms<'_>,
    ) -> Result<(), FsError> {
        if let Some(fence) = self.tree.fence() {
            let inner = self.tree.inner(directory).join(name);
            fence.check_at(inner.as_bytes().strip_prefix(b"/").unwrap_or_default())?;
        }
        let rules = self.rules_in(directory);
        check_allowed(rules, name)?;
        let most = most_by(rules);
        if terms.size > most {
            return Err(FsError::TooLarge(most));
        }
        let is_judged = || terms.gate.is_some_and(|gate| rules.gate.judges_as(gate));
        let is_unjudged = rules.gate.is_on() && !is_judged();
        if is_unjudged || terms.replaces && rules.overwrite != Overwrite::Yes {
            return Err(FsError::Relocated);
        }
        Ok(())
    }

    /// Returns the path without links at which the directory of a place is now.
    pub(super) fn whereabouts(&self, place: &Place) -> Result<VirtualPath, FsError> {
        let id = dir_id(&place.dir)?;
        let is_at =
            |path: &VirtualPath| self.tree.hold(path).is_ok_and(|(_, stat)| id_of(&stat) == id);
        let as_before = self.tree.followed(&place.parent);
        if let Ok(path) = as_before.map_err(drop)
            && is_at(&path)
        {
            return Ok(path);
        }
        let told = told_path(&place.dir).zip(told_path(self.tree.root()));
        let inner = told.as_ref().and_then(|(path, root)| below(path, root));
        let path = inner.map(|inner| self.tree.at().join(inner));
        path.filter(is_at).ok_or(FsError::Relocated)
    }
}

/// Whether the settings of a folder are why a file may not appear in it, now or later.
pub(super) fn is_refusal(why: &FsError) -> bool {
    use FsError::{Lacks, NameRefused, Relocated, TooLarge};

    matches!(why, Relocated | NameRefused(..) | TooLarge(_) | Lacks(_))
}

/// Returns the path of an open directory that the system tells, if it tells one.
fn told_path(dir: impl AsFd) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    readlinkat(CWD, link, Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

/// Returns the path of a directory relative to one around it.
fn below<'p>(path: &'p [u8], root: &[u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_path_below_a_root_is_what_follows_it() {
        for (path, root, wanted) in [
            ("/srv/a/b", "/srv", Some("a/b")),
            ("/srv", "/srv", Some("")),
            ("/srv2/a", "/srv", None),
            ("/a", "/", Some("a")),
            ("/", "/", Some("")),
            ("/other", "/srv", None),
        ] {
            let found = below(path.as_bytes(), root.as_bytes());
            assert_eq!(found, wanted.map(str::as_bytes), "{path} {root}");
        }
    }
}
