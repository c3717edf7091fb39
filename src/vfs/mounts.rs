//! The trees of a session: that of the home, and one for each folder from elsewhere (`from`), with a
//! handle of its own. The path that a client names decides which of them is meant; no lookup leaves its
//! tree.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::error::FsError;
use super::path::VirtualPath;
use super::tree::Tree;
use super::tree::entry::{Entry, Letters};
use super::tree::home::Home;
use super::upload::uploads::Uploads;
use crate::config::Perm;

/// The home of a session, and the folders that clients see in it.
#[derive(Debug)]
pub(in crate::vfs) struct Mounts {
    home: Arc<Uploads>,
    /// One that encloses another comes before it.
    others: Box<[Mount]>,
}

/// A folder from elsewhere.
#[derive(Debug)]
struct Mount {
    at: VirtualPath,
    from: PathBuf,
    /// Set once the directory could be opened.
    uploads: OnceLock<Arc<Uploads>>,
}

impl Mounts {
    /// Opens the folders of the user. One that cannot be opened is tried again when it is used.
    pub(in crate::vfs) fn new(home: Uploads) -> Self {
        let mount = |(folder, from): (&crate::config::Folder, &PathBuf)| Mount {
            at: VirtualPath::root().join(folder.path.as_bytes()),
            from: from.clone(),
            uploads: OnceLock::new(),
        };
        let others: Box<[_]> = home.user.mounts().map(mount).collect();
        let mounts = Self { home: Arc::new(home), others };
        for mount in &mounts.others {
            if let Err(why) = mounts.open(mount)
                && missing().insert(mount.from.clone())
            {
                let (at, from) = (&mount.at, mount.from.display());
                log::warn!("the folder {at:?} of a user is missing, cannot open {from}: {why}");
            }
        }
        mounts
    }

    /// Returns the path on the server that a path stands for, whether or not its tree can be opened.
    pub(in crate::vfs) fn real(&self, path: &VirtualPath) -> PathBuf {
        let mut mounts = self.others.iter().rev();
        let elsewhere =
            mounts.find_map(|mount| Some(path.within(&mount.at)?.real(&mount.from)));
        elsewhere.unwrap_or_else(|| self.home.tree.real(path))
    }

    /// Returns the home.
    pub(in crate::vfs) fn home(&self) -> &Arc<Uploads> {
        &self.home
    }

    /// Returns the tree that a path is in.
    ///
    /// # Errors
    ///
    /// When it is a folder from elsewhere that cannot be opened.
    pub(in crate::vfs) fn at(&self, path: &VirtualPath) -> Result<&Arc<Uploads>, FsError> {
        if self.others.is_empty() {
            return Ok(&self.home);
        }
        match self.others.iter().rev().find(|mount| path.below(&mount.at).is_some()) {
            Some(mount) => self.open(mount),
            None => Ok(&self.home),
        }
    }

    /// Checks that neither a path nor anything below it is a folder from elsewhere.
    pub(in crate::vfs) fn check_free(&self, path: &VirtualPath) -> Result<(), FsError> {
        let hangs = self.others.iter().any(|mount| mount.at.below(path).is_some());
        if hangs { Err(FsError::HasSettings) } else { Ok(()) }
    }

    /// Whether a folder from elsewhere is seen at a path.
    pub(in crate::vfs) fn is_at(&self, path: &VirtualPath) -> bool {
        self.others.iter().any(|mount| mount.is_at(path))
    }

    /// Describes the folders from elsewhere that are seen in a directory, apart from those that cannot be
    /// opened.
    pub(in crate::vfs) fn entries(&self, directory: &VirtualPath) -> Vec<Entry> {
        let is_here = |mount: &&Mount| mount.is_at(&directory.join(mount.at.name()));
        self.others.iter().filter(is_here).filter_map(|mount| self.entry(mount)).collect()
    }

    /// Returns the names of the folders from elsewhere that are seen in a directory.
    pub(in crate::vfs) fn names(&self, directory: &VirtualPath) -> Vec<Vec<u8>> {
        let is_here = |mount: &&Mount| mount.is_at(&directory.join(mount.at.name()));
        self.others.iter().filter(is_here).map(|mount| mount.at.name().to_owned()).collect()
    }

    /// Describes the folder from elsewhere that is seen at a path.
    pub(in crate::vfs) fn entry_at(&self, path: &VirtualPath) -> Option<Entry> {
        self.entry(self.others.iter().find(|mount| mount.is_at(path))?)
    }

    fn entry(&self, mount: &Mount) -> Option<Entry> {
        let uploads = self.open(mount).ok()?;
        let mut entry = uploads.tree.stat(&mount.at).ok()?;
        mount.at.name().clone_into(&mut entry.name);
        let within = uploads.user.perm_in(mount.at.as_bytes());
        let own = within.without(Perm::Delete).without(Perm::Rename);
        entry.letters = Some(Letters { own, within });
        Some(entry)
    }

    fn open<'m>(&'m self, mount: &'m Mount) -> Result<&'m Arc<Uploads>, FsError> {
        if let Some(uploads) = mount.uploads.get() {
            return Ok(uploads);
        }
        let fence = self.home.tree.fence().map(|fence| fence.of_tree(mount.at.clone()));
        // the trash of another user may be in the directory
        let (syncs, guards) = (self.home.tree.syncs(), true);
        let tree = Tree::new(Home::open(&mount.from)?, syncs, guards, fence);
        missing().remove(&mount.from);
        let uploads = Arc::new(self.home.in_tree(tree.seen_at(mount.at.clone())));
        Ok(mount.uploads.get_or_init(|| uploads))
    }
}

/// Returns the directories of folders from elsewhere that could not be opened, each of which has one
/// warning until it can be.
fn missing() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static MISSING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    MISSING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mount {
    fn is_at(&self, path: &VirtualPath) -> bool {
        path.as_bytes().eq_ignore_ascii_case(self.at.as_bytes())
    }
}
