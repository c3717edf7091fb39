//! Parts of failed uploads: what their user is shown of them, and how one is gone on with.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat, openat, renameat};

use super::attributes::carry_over;
use super::part::Part;
use super::part_name::PartName;
use super::parts::{Active, Spot, lstat, modified, os, remove};
use super::prepare::{Place, There};
use super::upload::{Upload, Way};
use super::{FsError, Tree, VirtualPath};

/// A part that an upload could go on with.
pub(super) struct Candidate {
    name: PartName,
    /// The upload that writes to it, if there is one.
    pub(super) active: Option<Arc<Active>>,
    size: u64,
    stat: Stat,
}

impl Tree {
    /// Goes on with a part of the user's own, from an offset on or from its end. It replaces what
    /// is `there`.
    pub(super) fn resume(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        there: Option<&There>,
        mut found: Vec<Candidate>,
        wanted: Option<u64>,
    ) -> Result<Upload, FsError> {
        let spot = self.spot(&place);
        let parts = &self.uploads.parts;
        let shown = found.first().map_or(0, |found| found.size);
        let wanted = wanted.unwrap_or(shown);
        // the one that ends there, or else the one that the user is shown
        found.sort_by_key(|found| found.size != wanted);
        found.retain(|found| found.size >= wanted);
        let mut taken = found.iter().map(|found| self.take(&place.dir, spot, found, wanted));
        let Some(name) = taken.find_map(|name| name) else {
            return Err(FsError::BadOffset(shown));
        };
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&place.dir, os(&name.bytes()), flags, Mode::empty());
        let active = parts.enter(spot, place.folder.clone(), name);
        let part = Part { resumed: true, ..Part::new(place, spot, active) };
        // an error from here on leaves the part as it was
        let mut upload = self.begun(path, None, Way::Part(Box::new(part)), wanted);
        let file = File::from(file?);
        if let Some(there) = there {
            carry_over(&there.file, &there.stat, &file, there.stat.st_mode & 0o777);
        }
        upload.file = Some(file);
        Ok(upload)
    }

    /// The user's own parts for one name, the youngest first.
    pub(super) fn candidates(&self, place: &Place) -> Vec<Candidate> {
        let parts = &self.uploads.parts;
        if !parts.are_there() {
            return Vec::new();
        }
        let (dir, spot) = (&place.dir, self.spot(place));
        let candidate = |name: &PartName, active: Option<Arc<Active>>| {
            let stat = lstat(dir, &name.bytes()).ok()?;
            let size = u64::try_from(stat.st_size).ok()?;
            Some(Candidate { name: name.clone(), active, size, stat })
        };
        let active = parts.active(spot).into_iter().filter(|active| !active.name.is_lone());
        let active = active.filter_map(|active| candidate(&active.name, Some(active.clone())));
        let dead = parts.dead(spot).and_then(|name| candidate(&name, None));
        let mut all: Vec<_> = active.chain(dead).collect();
        all.sort_by_key(|found| std::cmp::Reverse(modified(&found.stat)));
        all
    }

    /// Makes a part one's own, under a name that nobody else writes to.
    fn take(
        &self,
        dir: &OwnedFd,
        spot: Spot,
        found: &Candidate,
        wanted: u64,
    ) -> Option<PartName> {
        let parts = &self.uploads.parts;
        let own = parts.name(spot.mark, &found.name.name, false);
        if let Some(active) = &found.active {
            let mut taken = active.taken();
            let stat = lstat(dir, &found.name.bytes()).ok()?;
            if *taken || u64::try_from(stat.st_size).ok()? < wanted {
                return None;
            }
            *taken = true;
            drop(taken);
            parts.leave(spot, active);
        } else if !parts.unbury(spot) {
            return None;
        }
        renameat(dir, os(&found.name.bytes()), dir, os(&own.bytes())).ok()?;
        Some(own)
    }

    /// The youngest part of the user's own for a name.
    pub(super) fn own_part(&self, path: &VirtualPath) -> Option<Stat> {
        self.find_own_part(path).map(|(_, found)| found.stat)
    }

    /// The same, opened for reading.
    pub(super) fn read_own_part(&self, path: &VirtualPath) -> Option<File> {
        let (place, found) = self.find_own_part(path)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&place.dir, os(&found.name.bytes()), flags, Mode::empty());
        file.ok().map(File::from)
    }

    fn find_own_part(&self, path: &VirtualPath) -> Option<(Place, Candidate)> {
        if !self.uploads.atomic || !self.uploads.parts.are_there() {
            return None;
        }
        // where the name is a link, the part is its target's
        let place = self.place(&self.followed(path).unwrap_or_else(|_| path.clone())).ok()?;
        let found = self.candidates(&place).into_iter().next()?;
        Some((place, found))
    }

    /// Ends the dead part of the user's own for a name; says whether there was one, or
    /// [`FsError::Busy`] if one is being written.
    pub(super) fn forget_part(&self, path: &VirtualPath) -> Result<bool, FsError> {
        let parts = &self.uploads.parts;
        if !parts.are_there() || path.is_root() {
            return Ok(false);
        }
        let Ok(place) = self.place(path) else { return Ok(false) };
        let spot = self.spot(&place);
        if let Some(name) = parts.dead(spot)
            && parts.unbury(spot)
        {
            remove(&place.dir, &name.bytes());
            return Ok(true);
        }
        if parts.active(spot).is_empty() { Ok(false) } else { Err(FsError::Busy) }
    }
}
