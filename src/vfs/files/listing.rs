//! The entries of one directory, as they are listed to a user.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::fs::{AtFlags, statat};

use super::shown;
use crate::config::{Patterns, Perm};
use crate::vfs::error::FsError;
use crate::vfs::mounts::Mounts;
use crate::vfs::parts::name::{Mark, PartName};
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::{Entry, FileId, FileKind, id_of};
use crate::vfs::tree::lock::tidy;
use crate::vfs::tree::names::{Names, is_lock, is_reserved};
use crate::vfs::upload::own;
use crate::vfs::upload::uploads::Uploads;

/// Reader of the entries of one directory, one at a time.
#[derive(Debug)]
pub struct Listing {
    uploads: Arc<Uploads>,
    path: VirtualPath,
    /// The path without links.
    followed: VirtualPath,
    names: Names,
    /// Names that are left out.
    hidden: Patterns,
    id: FileId,
    /// The user's own parts whose files have not been listed yet.
    own: HashMap<Mark, Vec<u8>>,
    /// The names of those of them whose files do not exist, once the directory has been read.
    lone: Vec<Vec<u8>>,
    entry: Entry,
    /// The folders from elsewhere that are still to be listed.
    mounted: Vec<Entry>,
    /// Names of the directory in whose place clients see folders from elsewhere.
    covered: Vec<Vec<u8>>,
    /// Whether all names are listed, and the user has the same letters everywhere. The settings then
    /// need not be asked about each entry.
    is_plain: bool,
}

impl Listing {
    /// Opens a directory. The listing shows the folders from elsewhere as well, in place of what has
    /// their names.
    pub(super) fn open(mounts: &Mounts, path: &VirtualPath) -> Result<Self, FsError> {
        let uploads = Arc::clone(mounts.at(path)?);
        let has_letters = uploads.tree.fence().is_some();
        if has_letters && !uploads.user.perm_in(path.as_bytes()).has(Perm::List) {
            // a recursive listing comes to folders that the client has not named
            return Err(FsError::Lacks(Perm::List));
        }
        let (names, stat) = uploads.tree.names(path)?;
        let id = id_of(&stat);
        own::adopt_all(&uploads, path)?;
        let own = own_parts(&uploads, id);
        let followed = uploads.followed(path.clone())?;
        let hidden = uploads.rules_in(&followed).hide.clone();
        let mut mounted = mounts.entries(path);
        mounted.retain(|entry| hidden.first_for(&entry.name).is_none());
        let mut covered = mounts.names(&followed);
        covered.extend(mounts.names(path));
        let is_plain = hidden.is_empty() && covered.is_empty() && !has_letters;
        let entry = Entry::of_stat(Vec::new(), &stat);
        let (path, lone) = (path.clone(), Vec::new());
        Ok(Self {
            uploads,
            path,
            followed,
            names,
            hidden,
            id,
            own,
            lone,
            entry,
            mounted,
            covered,
            is_plain,
        })
    }

    /// Reads the next entry. Skips entries that cannot be examined, as `ls` does, because they
    /// were removed in the meantime or are on a mount that the server may not use.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read, or the system fails to examine an entry.
    pub fn advance(&mut self) -> Result<Option<&Entry>, FsError> {
        if let Some(entry) = self.mounted.pop() {
            self.entry = entry;
            return Ok(Some(&self.entry));
        }
        while let Some((dir, name)) = self.names.next()? {
            if is_reserved(name.to_bytes()) {
                if let Some(part) = PartName::parse(name.to_bytes()) {
                    self.uploads.parts.meet(dir, self.id, &part);
                } else if is_lock(name.to_bytes()) {
                    tidy(dir, name.to_bytes(), false);
                }
                continue;
            }
            if !self.is_plain
                && (self.hidden.first_for(name.to_bytes()).is_some()
                    || covers(&self.covered, name.to_bytes()))
            {
                continue;
            }
            let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(FsError::from)
            {
                Ok(stat) => stat,
                Err(why) if why.spoils_listings() => return Err(why),
                Err(_) => continue,
            };
            let mut text = std::mem::take(&mut self.entry.name);
            text.clear();
            text.extend_from_slice(name.to_bytes());
            self.entry = Entry::of_stat(text, &stat);
            self.complete();
            if !self.is_plain {
                self.add_letters()?;
            }
            return Ok(Some(&self.entry));
        }
        let is_part = self.take_lone_part();
        if is_part {
            self.add_letters()?;
        }
        Ok(is_part.then_some(&self.entry))
    }

    fn add_letters(&mut self) -> Result<(), FsError> {
        if self.uploads.tree.fence().is_none() {
            return Ok(());
        }
        let path = self.path.join(&self.entry.name);
        self.uploads.add_letters(&mut self.entry, &path, &self.followed)
    }

    /// Returns the entry that was read last.
    pub fn current(&self) -> &Entry {
        &self.entry
    }

    /// Adds to the entry what the system does not know: the user's own part, and the target of
    /// a link.
    fn complete(&mut self) {
        let entry = &mut self.entry;
        if !self.own.is_empty()
            && let mark = self.uploads.mark(&entry.name)
            && self.own.remove(&mark).is_some()
            && entry.kind == FileKind::File
            && let Some(part) = own::look(&self.uploads, &self.path.join(&entry.name))
        {
            entry.show_part(&part);
        }
        if entry.kind == FileKind::Link {
            let path = self.path.join(&entry.name);
            let look = |path: &VirtualPath| shown::stat(&self.uploads, path);
            self.uploads.tree.add_target(entry, &path, look);
        }
    }

    /// Makes an entry for the user's next part whose file does not exist yet, and returns
    /// whether there was one. Skips parts whose names lack the name of the file, because it is
    /// too long.
    fn take_lone_part(&mut self) -> bool {
        if !self.own.is_empty() {
            let names = std::mem::take(&mut self.own).into_values();
            self.lone = names
                .filter(|name| !name.is_empty() && self.hidden.first_for(name).is_none())
                .filter(|name| !covers(&self.covered, name))
                .collect();
        }
        while let Some(name) = self.lone.pop() {
            if let Some(part) = own::look(&self.uploads, &self.path.join(&name)) {
                self.entry = Entry::of_part(name, &part);
                return true;
            }
        }
        false
    }
}

fn covers(covered: &[Vec<u8>], name: &[u8]) -> bool {
    covered.iter().any(|covered| covered.eq_ignore_ascii_case(name))
}

/// Returns the user's own parts in a directory, and all parts whose names lack the name of the
/// file. Whether one of the latter is the user's own is known only when a file with its mark is
/// listed.
fn own_parts(uploads: &Uploads, dir: FileId) -> HashMap<Mark, Vec<u8>> {
    let mut own = HashMap::new();
    if !uploads.rules().atomic {
        return own;
    }
    for part in uploads.parts.in_folder(dir) {
        let is_own = part.mark == uploads.mark(&part.name);
        if part.is_lone() || !is_own && !part.name.is_empty() {
            continue;
        }
        own.insert(part.mark, part.name);
    }
    own
}
