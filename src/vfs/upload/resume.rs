//! Parts of failed uploads: what their user is shown of them, and how one is gone on with.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat, fstat, openat, renameat};

use super::attributes::carry_over;
use super::part::{Base, Part};
use super::prepare::{Place, There};
use super::{Upload, Way};
use crate::vfs::error::FsError;
use crate::vfs::parts::name::PartName;
use crate::vfs::parts::store::{Active, Dead, Version, id_of, len_of, lstat, modified, os};
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::{Tree, regular};

/// A part that an upload could go on with.
#[derive(Debug)]
pub(in crate::vfs) struct Candidate {
    name: PartName,
    /// The upload that writes to it, if there is one.
    pub(in crate::vfs) active: Option<Arc<Active>>,
    /// The number of its upload.
    pub(in crate::vfs) upload: u64,
    /// Whether it waits, and its user knows of it.
    pub(in crate::vfs) shown: bool,
    base: Option<Version>,
    size: u64,
    stat: Stat,
}

/// Parts that an upload is going to go on with, if it begins, and what it will replace.
#[derive(Debug)]
pub(in crate::vfs) struct Left {
    place: Place,
    there: Option<There>,
    /// One of these, the best first.
    found: Vec<Candidate>,
    /// The size of what the user is shown.
    shown: u64,
}

impl Candidate {
    /// As it was before somebody tried to take it.
    fn dead(&self, place: &Place) -> Dead {
        let (folder, name) = (place.folder.clone(), self.name.clone());
        let since = modified(&self.stat);
        let Self { upload, shown, base, .. } = *self;
        Dead { folder, name, share: place.share, upload, since, base, shown }
    }
}

impl Tree {
    /// Goes on with a part of the user's own, from an offset on or from its end. It replaces what
    /// is `there`. Until the upload begins, the part stays whose it is.
    pub(in crate::vfs) fn resume(
        self: &Arc<Self>,
        path: &VirtualPath,
        place: Place,
        there: Option<There>,
        mut found: Vec<Candidate>,
        wanted: Option<u64>,
    ) -> Result<Upload, FsError> {
        let shown = found.first().map_or(0, |found| found.size);
        let wanted = wanted.unwrap_or(shown);
        // the one that ends there, or else the one that the user is shown
        found.sort_by_key(|found| found.size != wanted);
        found.retain(|found| found.size >= wanted);
        if found.is_empty() {
            return Err(FsError::BadOffset(shown));
        }
        let left = Left { place, there, found, shown };
        Ok(self.begun(path, None, Way::Left(Box::new(left)), wanted))
    }

    /// Takes one of the parts over, to go on with it from an offset on. Also without its file
    /// it is the upload's from then on, to be left behind as it was.
    pub(in crate::vfs) fn take_over(
        &self,
        left: Left,
        offset: u64,
    ) -> Result<(Part, Result<File, FsError>), FsError> {
        let Left { place, there, found, shown } = left;
        let mut taken = found.iter().map(|found| self.take(&place, found, offset));
        let Some((active, found)) = taken.find_map(|taken| taken) else {
            return Err(FsError::BadOffset(shown));
        };
        let file = open_part(&place, &active.name, OFlags::WRONLY);
        let file = file.and_then(|(file, stat)| {
            let size = len_of(&stat);
            // another upload may have failed meanwhile and have left its part there
            if id_of(&stat) != id_of(&found.stat) || size < offset {
                return Err(FsError::BadOffset(size));
            }
            if let Some(there) = &there {
                carry_over(&there.file, &there.stat, &file, there.stat.st_mode & 0o777);
            }
            Ok(file)
        });
        let base = found.base.map(|version| {
            let _ = active.base.set(version);
            Base { version: Some(version), _claim: None }
        });
        let spot = self.spot(&place);
        let mode = there.map(|there| there.stat.st_mode & 0o777);
        let part = Part { resumed: true, mode, base, ..Part::new(place, spot, active) };
        Ok((part, file))
    }

    /// The user's own parts for one name, the youngest first.
    pub(in crate::vfs) fn candidates(&self, place: &Place) -> Vec<Candidate> {
        let parts = &self.uploads.parts;
        if !parts.are_there() {
            return Vec::new();
        }
        let (dir, spot) = (&place.dir, self.spot(place));
        let look = |name: &PartName| {
            let stat = lstat(dir, &name.bytes()).ok()?;
            // what others may have put in its place is nobody's upload
            Some((regular(&stat).ok()?, stat))
        };
        let active = parts.active(spot).into_iter().filter(|active| !active.name.is_lone());
        let active = active.filter_map(|active| {
            let (size, stat) = look(&active.name)?;
            let (name, base) = (active.name.clone(), active.base.get().copied());
            let upload = name.upload();
            Some(Candidate {
                name,
                active: Some(active),
                upload,
                shown: false,
                base,
                size,
                stat,
            })
        });
        let dead = parts.dead(spot).and_then(|dead| {
            let (size, stat) = look(&dead.name)?;
            let Dead { name, upload, shown, base, .. } = dead;
            Some(Candidate { name, active: None, upload, shown, base, size, stat })
        });
        let mut all: Vec<_> = active.chain(dead).collect();
        if all.iter().any(|found| found.base.is_some()) {
            // the copy of a version that was replaced since is joined with nothing
            let now = lstat(dir, &place.name).ok().map(|stat| Version::of(&stat));
            all.retain(|found| found.base.is_none() || found.base == now);
        }
        all.sort_by_key(|found| std::cmp::Reverse(modified(&found.stat)));
        all
    }

    /// Makes a part one's own, under a name that nobody else writes to.
    fn take<'f>(
        &self,
        place: &Place,
        found: &'f Candidate,
        offset: u64,
    ) -> Option<(Arc<Active>, &'f Candidate)> {
        let parts = &self.uploads.parts;
        let (dir, spot) = (&place.dir, self.spot(place));
        // whoever writes to it waits meanwhile
        let mut taken = found.active.as_ref().map(|active| active.taken());
        if let Some(taken) = &taken {
            let stat = lstat(dir, &found.name.bytes()).ok()?;
            if **taken || len_of(&stat) < offset {
                return None;
            }
        }
        let own = parts.name(spot.mark, &found.name.name, false);
        // its directory has a part at any time, for the journal
        let own = parts.enter(spot, place.folder.clone(), own);
        let dead = found.active.is_none() && parts.unbury(spot, found.upload);
        let may = dead || found.active.is_some();
        if !may || renameat(dir, os(&found.name.bytes()), dir, os(&own.name.bytes())).is_err() {
            if dead && lstat(dir, &found.name.bytes()).is_ok() {
                parts.bury(spot, found.dead(place));
            }
            parts.leave(spot, &own);
            return None;
        }
        if let Some(taken) = &mut taken {
            **taken = true;
        }
        drop(taken);
        if let Some(active) = &found.active {
            parts.leave(spot, active);
        }
        Some((own, found))
    }

    /// The youngest part of the user's own for a name.
    pub(in crate::vfs) fn own_part(&self, path: &VirtualPath) -> Option<(Stat, u64)> {
        self.find_own_part(path).map(|(_, found)| (found.stat, found.upload))
    }

    /// The same, opened for reading.
    pub(in crate::vfs) fn read_own_part(&self, path: &VirtualPath) -> Option<(File, u64)> {
        let (place, found) = self.find_own_part(path)?;
        let (file, stat) = open_part(&place, &found.name, OFlags::RDONLY).ok()?;
        Some((file, len_of(&stat)))
    }

    fn find_own_part(&self, path: &VirtualPath) -> Option<(Place, Candidate)> {
        if !self.uploads.atomic || !self.uploads.parts.are_there() {
            return None;
        }
        // where the name is a link, the part is its target's
        let place = self.place(&self.followed(path).unwrap_or_else(|_| path.clone())).ok()?;
        let found = self.candidates(&place).into_iter().next()?;
        if found.active.is_none() {
            self.uploads.parts.show(self.spot(&place), place.share);
        }
        Some((place, found))
    }

    /// Ends the dead part of the user's own for a name; says whether there was one, or
    /// [`FsError::Busy`] if one is being written.
    pub(in crate::vfs) fn forget_part(&self, path: &VirtualPath) -> Result<bool, FsError> {
        let parts = &self.uploads.parts;
        if !parts.are_there() || path.is_root() {
            return Ok(false);
        }
        let Ok(place) = self.place(path) else { return Ok(false) };
        let spot = self.spot(&place);
        if parts.forget(spot, &place.dir) {
            return Ok(true);
        }
        if parts.active(spot).is_empty() { Ok(false) } else { Err(FsError::Busy) }
    }
}

/// Opens a part, and nothing that others may have put in its place: with `O_NONBLOCK` a FIFO
/// holds nobody.
fn open_part(place: &Place, name: &PartName, flags: OFlags) -> Result<(File, Stat), FsError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(&place.dir, os(&name.bytes()), flags, Mode::empty())?;
    let stat = fstat(&file)?;
    regular(&stat)?;
    Ok((file.into(), stat))
}
