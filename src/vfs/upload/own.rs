//! The user's own parts for a name, which the user is shown and may resume.

use std::cmp::Reverse;
use std::fs::File;
use std::sync::Arc;

use rustix::fs::{OFlags, Stat, fstat};

use super::plan::{PartFacts, Shown};
use super::uploads::Uploads;
use crate::config::{FolderRules, Overwrite};
use crate::vfs::error::FsError;
use crate::vfs::parts::adopt::Heir;
use crate::vfs::parts::known::{ActivePart, DeadPart};
use crate::vfs::parts::name::PartName;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::{Version, len_of, modified, regular};
use crate::vfs::tree::lock::Sharing;
use crate::vfs::tree::place::{Place, found, lstat, open};

/// A part that an upload could resume.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) name: PartName,
    /// The part in the list of active parts, if an upload is writing to it.
    pub(super) active: Option<Arc<ActivePart>>,
    /// The number of the part's upload.
    pub(super) upload: u64,
    /// Whether its upload has failed and the part has been shown to the user since.
    pub(super) shown: bool,
    pub(super) base: Option<Version>,
    pub(super) stat: Stat,
}

impl Candidate {
    fn of_active(active: Arc<ActivePart>, stat: Stat) -> Self {
        let (name, base) = (active.name.clone(), active.base.get().copied());
        let upload = name.upload();
        Self { name, active: Some(active), upload, shown: false, base, stat }
    }

    fn of_dead(dead: DeadPart, stat: Stat) -> Self {
        let DeadPart { name, upload, shown, base, .. } = dead;
        Self { name, active: None, upload, shown, base, stat }
    }

    /// Returns the facts that a plan needs.
    pub(super) fn facts(&self, sharing: Sharing) -> PartFacts {
        let shown = match self.shown {
            true => Shown::Yes,
            // another server may have shown it
            false if self.active.is_none() && sharing.is_shared() => Shown::Perhaps,
            false => Shown::No,
        };
        PartFacts { size: len_of(&self.stat), upload: self.upload, shown }
    }
}

/// Returns the user's own parts for a place, the youngest first.
///
/// # Errors
///
/// When the system fails to examine a part. An upload that resumes must not take it for missing:
/// it would then change the file in place.
pub(super) fn candidates(uploads: &Uploads, place: &Place) -> Result<Vec<Candidate>, FsError> {
    let parts = &uploads.parts;
    adopt(uploads, place)?;
    if !parts.are_there() {
        return Ok(Vec::new());
    }
    let key = uploads.key(place);
    let look = |name: &PartName| {
        let stat = found(lstat(&place.dir, &name.bytes()))?;
        // something other than a regular file was put there by others, and is not a part; a file with a
        // second name is complete
        Ok::<_, FsError>(stat.filter(|stat| regular(stat).is_ok() && stat.st_nlink <= 1))
    };
    let mut all = Vec::new();
    for active in parts.active(key).into_iter().filter(|active| !active.name.is_lone()) {
        let stat = look(&active.name)?;
        all.extend(stat.map(|stat| Candidate::of_active(active, stat)));
    }
    if let Some(dead) = parts.dead(key) {
        let stat = look(&dead.name)?;
        all.extend(stat.map(|stat| Candidate::of_dead(dead, stat)));
    }
    if all.iter().any(|found| found.base.is_some()) {
        // a part that began as a copy of a file must not be completed once that file was
        // replaced
        let now = found(place.lstat())?.map(|stat| Version::of(&stat));
        all.retain(|found| found.base.is_none() || found.base == now);
    }
    all.sort_by_key(|found| Reverse(modified(&found.stat)));
    Ok(all)
}

/// Whether the user may have parts at all.
fn may_be_there(uploads: &Uploads) -> bool {
    uploads.parts.are_there() || uploads.parts.sharing().is_shared()
}

/// Takes over the user's parts for a place that other servers have left.
fn adopt(uploads: &Uploads, place: &Place) -> Result<(), FsError> {
    let heir = || heir(uploads, &place.parent);
    uploads.parts.adopt((&place.dir, uploads.key(place)), &place.name, heir)
}

/// Takes over the user's parts in a directory that other servers have left.
pub(in crate::vfs) fn adopt_all(uploads: &Uploads, path: &VirtualPath) -> Result<(), FsError> {
    if !uploads.parts.sharing().is_shared() || !uploads.rules().atomic {
        return Ok(());
    }
    let (dir, _) = uploads.tree.hold(path)?;
    let is_own = |part: &PartName| part.mark == uploads.mark(&part.name);
    uploads.parts.adopt_all(&dir, is_own, || heir(uploads, path))
}

fn heir(uploads: &Uploads, directory: &VirtualPath) -> Heir {
    let folder = uploads.folder_at(directory);
    Heir { folder, share: uploads.share(), uploader: uploads.uploader_name() }
}

/// Describes the youngest of the user's own parts for a name, with the number of its upload.
pub(in crate::vfs) fn look(uploads: &Uploads, path: &VirtualPath) -> Option<(Stat, u64)> {
    find(uploads, path).map(|(_, found)| (found.stat, found.upload))
}

/// Opens the youngest of the user's own parts for a name, and returns its size as well.
pub(in crate::vfs) fn read(uploads: &Uploads, path: &VirtualPath) -> Option<(File, u64)> {
    let (place, found) = find(uploads, path)?;
    let (file, stat) = open_part(&place, &found.name, OFlags::RDONLY).ok()?;
    Some((file, len_of(&stat)))
}

fn find(uploads: &Uploads, path: &VirtualPath) -> Option<(Place, Candidate)> {
    if !uploads.rules().atomic || !may_be_there(uploads) {
        return None;
    }
    let place = uploads.place_of_parts(path).ok()?;
    let found = candidates(uploads, &place).ok()?.into_iter().next()?;
    if place.lstat().is_ok()
        && uploads.rules_at(&path.parent()).ok()?.overwrite == Overwrite::No
    {
        // it cannot be resumed while its name is taken
        return None;
    }
    if found.active.is_none() {
        uploads.parts.show(uploads.key(&place), uploads.share());
    }
    Some((place, found))
}

/// Returns whether the user's own part for a name would not replace the file that has the name: then
/// it stays when the file is renamed or deleted.
pub(in crate::vfs) fn is_apart(uploads: &Uploads, path: &VirtualPath) -> bool {
    if !may_be_there(uploads) || path.is_root() {
        return false;
    }
    let replaces = |rules: &FolderRules| rules.overwrite == Overwrite::Yes;
    if uploads.rules_at(&path.parent()).map_or(true, replaces) {
        return false;
    }
    let Ok(place) = uploads.tree.place(path) else { return false };
    // a part that began as a copy of the file is a later version of it
    place.lstat().is_ok()
        && candidates(uploads, &place)
            .is_ok_and(|all| all.iter().any(|part| part.base.is_none()))
}

/// Removes the part that a failed upload of the user has left under a name, and returns whether
/// there was one. Refuses with [`FsError::Busy`] if a part is being written.
pub(in crate::vfs) fn forget(uploads: &Uploads, path: &VirtualPath) -> Result<bool, FsError> {
    let parts = &uploads.parts;
    if !may_be_there(uploads) || path.is_root() {
        return Ok(false);
    }
    let Ok(place) = uploads.tree.place(path) else { return Ok(false) };
    adopt(uploads, &place)?;
    let key = uploads.key(&place);
    if parts.forget(key, &place.dir) {
        return Ok(true);
    }
    if parts.active(key).is_empty() { Ok(false) } else { Err(FsError::Busy) }
}

/// Whether an upload of the user to this path is in progress on another server.
pub(in crate::vfs) fn is_written_elsewhere(uploads: &Uploads, path: &VirtualPath) -> bool {
    uploads.parts.sharing().is_shared()
        && !path.is_root()
        && uploads.tree.place(path).is_ok_and(|place| {
            uploads.parts.is_written_elsewhere(&place.dir, uploads.key(&place))
        })
}

/// Opens a part. Refuses it if somebody has put anything but a regular file in its place.
pub(super) fn open_part(
    place: &Place,
    name: &PartName,
    flags: OFlags,
) -> Result<(File, Stat), FsError> {
    let file = open(&place.dir, &name.bytes(), flags)?;
    let stat = fstat(&file)?;
    regular(&stat)?;
    Ok((file, stat))
}
