//! Values that all uploads of a session have in common.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::fstatvfs;

use crate::config::{FolderRules, Overwrite, Paper, Perm, UploadRules, User};
use crate::rights::Ids;
use crate::vfs::beside::{first_free, numbered};
use crate::vfs::error::FsError;
use crate::vfs::parts::known::PartKey;
use crate::vfs::parts::name::Mark;
use crate::vfs::parts::shares::Share;
use crate::vfs::parts::store::Parts;
use crate::vfs::parts::turns::Turns;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::accounts::{Accounts, dir_id};
use crate::vfs::quota::count::Limits;
use crate::vfs::quota::meter::{Kind, Meter};
use crate::vfs::quota::payer::Payer;
use crate::vfs::trash::discard::Trash;
use crate::vfs::trash::heap::HomeTrash;
use crate::vfs::tree::Tree;
use crate::vfs::tree::entry::{Entry, FileKind, Letters, id_of};
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::place::{Place, found, lstat};

/// Maximum number of names that are tried, if other sessions are always faster.
const MOST_TRIES: u32 = 10_000;

/// Why a file or directory cannot be renamed into a folder with a gate.
const UNJUDGED: &str = "not judged by before_publish or scan of the new folder";

/// Maximum length of a name for Linux; some file systems have less.
const LONGEST_NAME: u64 = 255;

/// The user who uploads.
#[derive(Debug, Clone)]
pub struct Uploader {
    /// A name that distinguishes the user's own parts from those of others.
    name: Arc<[u8]>,
    /// Identifies the users whose parts are counted together when too many are kept.
    share: Share,
    /// The system user (`run_as`) under which the uploads are made; `None`: the server's own.
    ids: Option<Arc<Ids>>,
    /// The name of the user in the settings, and the address of the client.
    known_as: (Box<[u8]>, IpAddr),
}

impl Uploader {
    /// Describes the user. Only sessions with the same `name` see and resume each other's
    /// parts. If too many parts are kept, parts with the same `share` count together. `ids` is
    /// the system user (`run_as`) that the sessions act as.
    pub fn new(name: Vec<u8>, share: &[u8], ids: Option<Arc<Ids>>) -> Self {
        let known_as = (Box::default(), Ipv4Addr::UNSPECIFIED.into());
        Self { name: name.into(), share: Share::of(share), ids, known_as }
    }

    /// Sets the name of the user in the settings and the address of the client, by which uploads may
    /// be filed.
    #[must_use]
    pub fn known_as(self, user: &[u8], address: IpAddr) -> Self {
        Self { known_as: (user.into(), address), ..self }
    }
}

/// The tree, parts, turns and rules that all uploads of a session use.
#[derive(Debug)]
pub(in crate::vfs) struct Uploads {
    pub(in crate::vfs) tree: Tree,
    pub(in crate::vfs) parts: Arc<Parts>,
    pub(in crate::vfs) turns: Arc<Turns>,
    pub(in crate::vfs) uploader: Uploader,
    /// The user's settings.
    pub(in crate::vfs) user: Arc<User>,
}

impl Uploads {
    /// Whether the tree is the user's home, and not a folder from elsewhere, to which neither the quota
    /// nor the trash of the home applies.
    pub(in crate::vfs) fn is_home(&self) -> bool {
        self.tree.at().is_root()
    }

    /// Returns what the same user uploads to another tree.
    pub(in crate::vfs) fn in_tree(&self, tree: Tree) -> Self {
        Self {
            tree,
            parts: Arc::clone(&self.parts),
            turns: Arc::clone(&self.turns),
            uploader: self.uploader.clone(),
            user: Arc::clone(&self.user),
        }
    }

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

    /// Returns the name that distinguishes the user's own parts from those of others.
    pub(in crate::vfs) fn uploader_name(&self) -> Arc<[u8]> {
        Arc::clone(&self.uploader.name)
    }

    /// Returns the directory of a place, in the form that the journal uses.
    pub(super) fn folder(&self, place: &Place) -> Folder {
        self.folder_at(&place.parent)
    }

    /// Returns a directory of the tree, in the form that the journal uses.
    pub(super) fn folder_at(&self, path: &VirtualPath) -> Folder {
        let (home, ids) = (self.tree.home().to_owned(), self.uploader.ids.clone());
        Folder { home, path: self.tree.inner(path).into_owned(), ids }
    }

    /// Returns what is filed under a name.
    pub(super) fn paper<'p>(&'p self, name: &'p [u8]) -> Paper<'p> {
        let (user, address) = &self.uploader.known_as;
        Paper { name, user, address: *address }
    }

    /// Returns the rules for uploads of the user.
    pub(in crate::vfs) fn rules(&self) -> &UploadRules {
        &self.user.rules.uploads
    }

    /// Returns the trash, if what is deleted or replaced in a directory is moved there.
    ///
    /// # Errors
    ///
    /// When the system refuses to follow the path.
    pub(in crate::vfs) fn trash_for(
        &self,
        directory: &VirtualPath,
    ) -> Result<Option<Trash<'_>>, FsError> {
        if !self.user.has_trash() || !self.is_home() {
            return Ok(None);
        }
        let is_kept = self.rules_in(&self.followed(directory.clone())?).trash;
        let (ids, payer) = (self.uploader.ids.as_deref(), self.payer());
        let trash = Trash { tree: &self.tree, ids, payer };
        Ok(is_kept.then_some(trash))
    }

    /// Repeats an attempt that fails for the quota for as long as the trash makes room for this many bytes.
    pub(in crate::vfs) fn with_room<T>(
        &self,
        bytes: u64,
        mut attempt: impl FnMut() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        loop {
            match attempt() {
                Err(why) if self.make_room(&why, bytes) => {}
                other => return other,
            }
        }
    }

    /// Empties the oldest of the user's trash because a quota does not suffice for this many bytes.
    /// Returns whether something was removed, so that another attempt may succeed. More than is needed
    /// now is removed, so that a large trash is not looked through for each buffer.
    pub(in crate::vfs) fn make_room(&self, why: &FsError, bytes: u64) -> bool {
        let FsError::QuotaUsed(key, most) = why else { return false };
        let Some(trash) = self.own_trash() else { return false };
        let some = most / 100;
        let (bytes, files) =
            if *key == "quota_files" { (0, some.max(1)) } else { (some.max(bytes), 0) };
        trash.make_room(bytes, files).is_ok_and(|emptied| emptied.files > 0)
    }

    /// Returns the trash of the user, which counts as room.
    pub(in crate::vfs) fn own_trash(&self) -> Option<HomeTrash<'_>> {
        (self.user.has_trash() && self.is_home())
            .then(|| HomeTrash::new(&self.user, self.parts.quotas()))
    }

    /// Checks that an upload may go to the file that a path leads to, through links as well.
    /// Returns the rules of the folder of that file.
    ///
    /// # Errors
    ///
    /// When the system refuses to follow the path; or [`FsError::NameRefused`], if `deny_names` or
    /// `allow_names` forbids the name of the file.
    pub(in crate::vfs) fn check_target(
        &self,
        path: &VirtualPath,
    ) -> Result<&FolderRules, FsError> {
        let target = self.written(path)?;
        if let Some(fence) = self.tree.fence() {
            let inner = self.tree.inner(&target);
            fence.check_at(inner.as_bytes().strip_prefix(b"/").unwrap_or_default())?;
        }
        let rules = self.rules_in(&target.parent());
        check_allowed(rules, target.name())?;
        Ok(rules)
    }

    /// Returns the path without links that an upload to a path writes to. Where a file that has the
    /// name is not replaced, a link of that name is not followed.
    fn written(&self, path: &VirtualPath) -> Result<VirtualPath, FsError> {
        if !self.user.overwrites_everywhere() {
            let own = self.named(path)?;
            if self.rules_in(&own.parent()).overwrite != Overwrite::Yes {
                return Ok(own);
            }
        }
        self.target(path)
    }

    /// Checks that a file or directory may be renamed or created at a path. Returns the rules of
    /// its folder.
    ///
    /// # Errors
    ///
    /// As for [`Uploads::check_target`].
    pub(in crate::vfs) fn check_name(
        &self,
        path: &VirtualPath,
    ) -> Result<&FolderRules, FsError> {
        let directory = self.followed(path.parent())?;
        let rules = self.rules_in(&directory);
        check_allowed(rules, path.name())?;
        Ok(rules)
    }

    /// Returns the names for a new file whose path is taken, in the order in which they are tried:
    /// `a.jpg.1`, `a.jpg.2`, ... A name that the settings do not allow is replaced by one such as
    /// `a.1.jpg`, or left out if that is not allowed either.
    pub(in crate::vfs) fn numbered<'p>(
        &'p self,
        path: &'p VirtualPath,
    ) -> Result<impl Iterator<Item = VirtualPath> + 'p, FsError> {
        let directory = self.followed(path.parent())?;
        let rules = self.rules_in(&directory);
        let is_allowed = |path: &VirtualPath| check_allowed(rules, path.name()).is_ok();
        let names = path.numbered().map(move |mut both| both.find(is_allowed));
        Ok(names.flatten())
    }

    /// Takes a name with a number in the directory of a place whose name is taken. `take` must not
    /// replace anything: another session may have taken the name in the meantime.
    ///
    /// # Errors
    ///
    /// [`FsError::Taken`], if there is no such name, for example because the settings allow none.
    pub(in crate::vfs) fn beside<T>(
        &self,
        place: &Place,
        mut take: impl FnMut(&[u8]) -> Result<T, FsError>,
    ) -> Result<(Vec<u8>, T), FsError> {
        for _ in 0..MOST_TRIES {
            let name = self.free_name(place)?;
            match take(&name) {
                Err(FsError::Exists | FsError::Taken) => {}
                other => return other.map(|taken| (name, taken)),
            }
        }
        Err(FsError::Taken)
    }

    /// Checks that the settings allow a name with a number in the directory of a place.
    pub(super) fn check_beside(&self, place: &Place) -> Result<(), FsError> {
        let first = numbered(&place.name, 1, longest_name(place));
        check_allowed(self.rules_at(&place.parent)?, &first)
    }

    fn free_name(&self, place: &Place) -> Result<Vec<u8>, FsError> {
        let rules = self.rules_at(&place.parent)?;
        let longest = longest_name(place);
        let (dir, name) = (place.dir_id(), &place.name);
        let is_taken = |number| {
            let name = numbered(name, number, longest);
            if check_allowed(rules, &name).is_err() {
                return Ok(true);
            }
            found(lstat(&place.dir, &name)).map(|there| there.is_some())
        };
        let numbers = &self.turns.numbers;
        let number = first_free(numbers.next(dir, name), is_taken)?.ok_or(FsError::Taken)?;
        numbers.used(dir, name, number);
        Ok(numbered(name, number, longest))
    }

    /// Checks that no folder at a path or below it has settings of its own, which a rename of the
    /// path would evade.
    ///
    /// # Errors
    ///
    /// [`FsError::HasSettings`] otherwise.
    pub(in crate::vfs) fn check_unset(&self, path: &VirtualPath) -> Result<(), FsError> {
        if self.user.folders.is_empty() {
            return Ok(());
        }
        let own = self.named(path)?;
        let is_set = self.user.folders.iter().any(|one| one.lies_below(own.as_bytes()));
        if is_set { Err(FsError::HasSettings) } else { Ok(()) }
    }

    /// Checks that no folder at a path or below it has permission letters of its own, because it could
    /// be made again with others after it was removed.
    ///
    /// # Errors
    ///
    /// [`FsError::HasSettings`] otherwise.
    pub(in crate::vfs) fn check_no_letters(&self, path: &VirtualPath) -> Result<(), FsError> {
        if self.tree.fence().is_none() {
            return Ok(());
        }
        let has = self.user.has_letters_below(self.named(path)?.as_bytes());
        if has { Err(FsError::HasSettings) } else { Ok(()) }
    }

    /// Adds to an entry what the user may do with it, if the letters are not the same everywhere.
    /// `directory` is that of the path.
    pub(in crate::vfs) fn add_letters(
        &self,
        entry: &mut Entry,
        path: &VirtualPath,
        directory: &VirtualPath,
    ) -> Result<(), FsError> {
        if self.tree.fence().is_none() {
            return Ok(());
        }
        let named = self.followed(directory.clone())?.join(path.name());
        let of = |path: &VirtualPath| Letters {
            own: self.user.perm_at(path.as_bytes()),
            within: self.user.perm_in(path.as_bytes()),
        };
        let mut letters = of(path).and(of(&named));
        if entry.target.is_some() {
            let there = of(&self.followed(path.clone())?);
            letters = letters.through_link(there);
        }
        if self.user.folders.iter().any(|one| one.lies_below(named.as_bytes())) {
            letters.own = letters.own.without(Perm::Rename);
        }
        if self.user.has_letters_below(named.as_bytes()) {
            letters.own = letters.own.without(Perm::Delete);
        }
        entry.letters = Some(letters);
        Ok(())
    }

    /// Returns the folder with settings of its own that holds the file to which a path leads.
    ///
    /// # Errors
    ///
    /// When the system refuses to follow the path.
    pub(in crate::vfs) fn folder_of(
        &self,
        path: &VirtualPath,
    ) -> Result<Option<&str>, FsError> {
        if self.user.folders.is_empty() {
            return Ok(None);
        }
        let directory = self.target(path)?.parent();
        Ok(self.user.folder_of(directory.as_bytes()).map(|folder| folder.path.as_str()))
    }

    /// Checks that a rename does not evade the settings of the folder that it leads to: no file
    /// may be too large there, and a directory with something in it may be renamed only to where
    /// everything is allowed that is allowed in it now.
    ///
    /// # Errors
    ///
    /// [`FsError::MoveRefused`] otherwise.
    pub(in crate::vfs) fn check_move(
        &self,
        from: &VirtualPath,
        to: &VirtualPath,
    ) -> Result<(), FsError> {
        if self.user.folders.is_empty() {
            return Ok(());
        }
        let (own, new) = (self.named(from)?, self.named(to)?);
        let entry = self.tree.entry(from)?;
        match entry.kind {
            FileKind::Directory => self.check_move_within(from, &own, &new),
            FileKind::File => {
                let now = self.rules_in(&own.parent());
                let then = self.rules_in(&new.parent());
                if then.gate.is_on() && !then.gate.judges_as(&now.gate) {
                    return Err(FsError::MoveRefused(UNJUDGED));
                }
                let fits = |most: NonZeroU64| entry.size <= most.get();
                if then.is_size_allowed_as_by(now) || then.max_file_size.is_none_or(fits) {
                    return Ok(());
                }
                Err(FsError::MoveRefused("larger than max_file_size of the new folder"))
            }
            FileKind::Link
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::Block
            | FileKind::Char => Ok(()),
        }
    }

    /// The check of [`Uploads::check_move`] for a directory. `own` and `new` are its paths without
    /// links. No folder within it has settings of its own.
    fn check_move_within(
        &self,
        from: &VirtualPath,
        own: &VirtualPath,
        new: &VirtualPath,
    ) -> Result<(), FsError> {
        let now = self.rules_in(own);
        let folders = self.user.folders.iter();
        let within = folders.filter(|one| one.lies_below(new.as_bytes()));
        // what the directory contains would get other letters than those of its two names
        let is_split = within.clone().any(|one| one.has_letters && !one.holds(new.as_bytes()));
        let within = within.map(|one| &one.rules);
        // also an empty one, because something may be stored in it at this moment
        let escapes = |then: &FolderRules| then.gate.is_on() && !then.gate.judges_as(&now.gate);
        if within.clone().chain([self.rules_in(new)]).any(escapes) {
            return Err(FsError::MoveRefused(UNJUDGED));
        }
        if !is_split
            && within.chain([self.rules_in(new)]).all(|then| then.allows_as_much_as(now))
        {
            return Ok(());
        }
        let is_empty = self.tree.names(from).and_then(|(mut names, _)| names.are_none());
        if is_empty.is_ok_and(|is_empty| is_empty) {
            return Ok(());
        }
        Err(FsError::MoveRefused(
            "the directory is not empty, and a section [folder:...] allows less in the new place",
        ))
    }

    /// Returns the maximum size in bytes of a new file in a directory.
    ///
    /// # Errors
    ///
    /// When the system refuses to follow the path.
    pub(in crate::vfs) fn most_in(&self, directory: &VirtualPath) -> Result<u64, FsError> {
        self.rules_at(directory).map(most_by)
    }

    /// Returns the rules for what lies in a directory that a path leads to, through links as well.
    ///
    /// # Errors
    ///
    /// When the system refuses to follow the path.
    pub(in crate::vfs) fn rules_at(
        &self,
        directory: &VirtualPath,
    ) -> Result<&FolderRules, FsError> {
        Ok(self.rules_in(&self.followed(directory.clone())?))
    }

    /// Returns the rules for what lies in a directory.
    pub(in crate::vfs) fn rules_in(&self, directory: &VirtualPath) -> &FolderRules {
        self.user.folder_rules(directory.as_bytes())
    }

    /// Returns a path that leads to the same file, or to the same place for a new file, and through
    /// no link. Only folders with settings need it.
    fn target(&self, path: &VirtualPath) -> Result<VirtualPath, FsError> {
        if self.user.folders.is_empty() {
            return Ok(path.clone());
        }
        match self.tree.followed(path) {
            Err(FsError::NotFound) => self.named(path),
            there => there,
        }
    }

    /// Returns a path to the same name that leads through no link. The name itself may be a link.
    fn named(&self, path: &VirtualPath) -> Result<VirtualPath, FsError> {
        Ok(self.followed(path.parent())?.join(path.name()))
    }

    /// Returns the path without links of a directory, as far as it exists. If the system fails, it
    /// is not known which settings apply, and nothing is allowed.
    pub(in crate::vfs) fn followed(
        &self,
        directory: VirtualPath,
    ) -> Result<VirtualPath, FsError> {
        if self.user.folders.is_empty() {
            return Ok(directory);
        }
        let (mut there, mut missing) = (directory.clone(), Vec::new());
        loop {
            match self.tree.followed(&there) {
                Err(FsError::NotFound) if there.is_root() => return Ok(directory),
                Err(FsError::NotFound) => {
                    missing.push(there.name().to_owned());
                    there = there.parent();
                }
                Err(why) => return Err(why),
                Ok(real) => {
                    return Ok(missing.iter().rev().fold(real, |path, name| path.join(name)));
                }
            }
        }
    }

    /// Returns who pays for what the session changes.
    pub(in crate::vfs) fn payer(&self) -> Payer<'_> {
        let limits = Limits::of(&self.user.rules.quota);
        let own = self.is_home().then_some((self.user.home.as_path(), limits));
        Payer { quotas: self.parts.quotas(), own }
    }

    /// Returns the accounts that an open directory counts for.
    pub(in crate::vfs) fn accounts(&self, dir: impl AsFd) -> Result<Accounts, FsError> {
        self.payer().at(dir)
    }

    /// Returns the meter of an upload to a file at a place.
    pub(super) fn meter(&self, place: &Place, kind: Kind) -> Result<Meter, FsError> {
        let accounts = self.accounts(&place.dir)?;
        Ok(Meter::new(self.parts.quotas(), accounts, place.dir_id(), kind))
    }

    /// Does `work`, which removes or replaces what a path leads to now.
    pub(in crate::vfs) fn losing<T>(
        &self,
        path: &VirtualPath,
        work: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        if !self.parts.quotas().any() {
            return work();
        }
        let (dir, stat) = self.tree.hold(&path.parent())?;
        self.accounts(&dir)?.losing(&dir, path.name(), || {
            // another session may have removed the directory and made another one
            let (_, now) = self.tree.hold(&path.parent())?;
            if id_of(&now) == id_of(&stat) { work() } else { Err(FsError::Replaced) }
        })
    }

    /// Checks that a path still leads to a directory that was opened before. Another session may have
    /// removed it and made another one.
    pub(in crate::vfs) fn check_still(
        &self,
        path: &VirtualPath,
        dir: &OwnedFd,
    ) -> Result<(), FsError> {
        let (_, stat) = self.tree.hold(path)?;
        if id_of(&stat) == dir_id(dir)? { Ok(()) } else { Err(FsError::Replaced) }
    }

    /// Opens the directory of the user's parts for a path: that of the target, if the name is a link
    /// and an upload would follow it.
    pub(in crate::vfs) fn place_of_parts(&self, path: &VirtualPath) -> Result<Place, FsError> {
        if self.user.renames() && self.rules_at(&path.parent())?.overwrite == Overwrite::Rename
        {
            return self.tree.place(path);
        }
        self.place_of_target(path)
    }

    /// Opens the directory of the file that a path leads to. If the name is a link, the parts
    /// are in the directory of its target.
    pub(in crate::vfs) fn place_of_target(&self, path: &VirtualPath) -> Result<Place, FsError> {
        self.tree.place(&self.tree.followed(path).unwrap_or_else(|_| path.clone()))
    }
}

/// Returns the maximum size in bytes of a new file in a folder with these rules.
pub(in crate::vfs) fn most_by(rules: &FolderRules) -> u64 {
    rules.max_file_size.map_or(u64::MAX, NonZeroU64::get)
}

/// Returns the maximum length of a name in the directory of a place.
fn longest_name(place: &Place) -> usize {
    let most = fstatvfs(&place.dir).map_or(LONGEST_NAME, |room| room.f_namemax);
    usize::try_from(most.min(LONGEST_NAME)).unwrap_or_default()
}

/// Checks that a file of this name may be in a folder with these rules.
pub(super) fn check_allowed(rules: &FolderRules, name: &[u8]) -> Result<(), FsError> {
    let FolderRules { deny_names: deny, allow_names: allow, .. } = rules;
    if let Some(pattern) = deny.first_for(name) {
        return Err(FsError::NameRefused("deny_names", pattern.to_owned()));
    }
    if !allow.is_empty() && allow.first_for(name).is_none() {
        return Err(FsError::NameRefused("allow_names", allow.to_string()));
    }
    Ok(())
}
