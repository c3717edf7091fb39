//! Values that all uploads of a session have in common.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::config::UploadRules;
use crate::rights::Ids;
use crate::vfs::error::FsError;
use crate::vfs::parts::known::PartKey;
use crate::vfs::parts::name::Mark;
use crate::vfs::parts::shares::Share;
use crate::vfs::parts::store::Parts;
use crate::vfs::parts::turns::Turns;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::Tree;
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::place::Place;

/// The user who uploads.
#[derive(Debug)]
pub struct Uploader {
    /// A name that distinguishes the user's own parts from those of others.
    name: Vec<u8>,
    /// Identifies the users whose parts are counted together when too many are kept.
    share: Share,
    /// The system user (`run_as`) under which the uploads are made; `None`: the server's own.
    ids: Option<Arc<Ids>>,
}

impl Uploader {
    /// Describes the user. Only sessions with the same `name` see and resume each other's
    /// parts. If too many parts are kept, parts with the same `share` count together. `ids` is
    /// the system user (`run_as`) that the sessions act as.
    pub fn new(name: Vec<u8>, share: &[u8], ids: Option<Arc<Ids>>) -> Self {
        Self { name, share: Share::of(share), ids }
    }
}

/// The tree, parts, turns and rules that all uploads of a session use.
#[derive(Debug)]
pub(in crate::vfs) struct Uploads {
    pub(in crate::vfs) tree: Tree,
    pub(in crate::vfs) parts: Arc<Parts>,
    pub(in crate::vfs) turns: Arc<Turns>,
    pub(in crate::vfs) uploader: Uploader,
    pub(in crate::vfs) rules: UploadRules,
}

impl Uploads {
    /// Returns the mark of the user's uploads under a name.
    pub(in crate::vfs) fn mark(&self, name: &[u8]) -> Mark {
        Mark::new(&self.uploader.name, name)
    }

    /// Returns the key of the user's parts for a place.
    pub(in crate::vfs) fn key(&self, place: &Place) -> PartKey {
        PartKey { dir: place.dir_id(), mark: self.mark(&place.name) }
    }

    /// Returns the share under which the user's parts are counted.
    pub(in crate::vfs) fn share(&self) -> Share {
        self.uploader.share
    }

    /// Returns the directory of a place, in the form that the journal uses.
    pub(super) fn folder(&self, place: &Place) -> Folder {
        let (home, ids) = (self.tree.home().to_owned(), self.uploader.ids.clone());
        Folder { home, path: place.parent.clone(), ids }
    }

    /// Checks that a file or directory may get the name at the end of a path.
    ///
    /// # Errors
    ///
    /// [`FsError::NameRefused`], if `deny_names` or `allow_names` forbids it.
    pub(in crate::vfs) fn check_allowed(&self, path: &VirtualPath) -> Result<(), FsError> {
        let (deny, allow) = (&self.rules.deny_names, &self.rules.allow_names);
        if let Some(pattern) = deny.first_for(path.name()) {
            return Err(FsError::NameRefused("deny_names", pattern.to_owned()));
        }
        if !allow.is_empty() && allow.first_for(path.name()).is_none() {
            return Err(FsError::NameRefused("allow_names", allow.to_string()));
        }
        Ok(())
    }

    /// Returns the maximum size of a file in bytes.
    pub(in crate::vfs) fn most(&self) -> u64 {
        self.rules.max_size.map_or(u64::MAX, NonZeroU64::get)
    }

    /// Opens the directory of the file that a path leads to. If the name is a link, the parts
    /// are in the directory of its target.
    pub(super) fn place_of_target(&self, path: &VirtualPath) -> Result<Place, FsError> {
        self.tree.place(&self.tree.followed(path).unwrap_or_else(|_| path.clone()))
    }
}
