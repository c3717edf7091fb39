//! Resuming a part that another upload of the user has left or is still writing.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::existing::Existing;
use super::own::{Candidate, open_part};
use super::part::Part;
use super::plan::Resumption;
use super::uploads::Uploads;
use crate::config::Overwrite;
use crate::vfs::error::FsError;
use crate::vfs::parts::known::{ActivePart, DeadPart};
use crate::vfs::quota::meter::Kind;
use crate::vfs::tree::entry::{id_of, len_of, modified};
use crate::vfs::tree::lock::try_lock;
use crate::vfs::tree::place::{self, Place, is_named, lstat};

/// The parts that an upload may take over. It takes one of them over when it begins; until then
/// they stay as they are.
#[derive(Debug)]
pub(super) struct Takeover {
    uploads: Arc<Uploads>,
    place: Place,
    existing: Option<Existing>,
    /// The suitable parts, the best first.
    found: Vec<Candidate>,
    /// Offset at which the upload continues.
    offset: u64,
    /// Size of the part that the user is shown.
    shown: u64,
    overwrite: Overwrite,
    is_own: bool,
}

/// The handle that keeps the lock of a part; `None` where there are no other servers.
struct Held(Option<Arc<OwnedFd>>);

impl Takeover {
    /// Prepares taking over one of the candidates that the plan chose.
    pub(super) fn new(
        uploads: &Arc<Uploads>,
        place: Place,
        existing: Option<Existing>,
        candidates: &[Candidate],
        plan: &Resumption,
    ) -> Self {
        let found = plan.order.iter().filter_map(|at| candidates.get(*at)).cloned().collect();
        let (uploads, offset, shown) = (Arc::clone(uploads), plan.offset, plan.shown);
        let (overwrite, is_own) = (Overwrite::No, false);
        Self { uploads, place, existing, found, offset, shown, overwrite, is_own }
    }

    /// Sets what the upload does to a file that has the name already, and whether its session may go on
    /// writing to the file.
    pub(super) fn overwriting(self, overwrite: Overwrite, is_own: bool) -> Self {
        Self { overwrite, is_own, ..self }
    }

    /// Takes one of the parts over. If its file cannot be used, the part is left behind
    /// unchanged.
    pub(super) fn take(self) -> Result<Part, FsError> {
        let meter = self.uploads.meter(&self.place, Kind::Own)?;
        let mut taken = None;
        for found in &self.found {
            if let Some(own) = self.take_one(found)? {
                taken = Some((own, found));
                break;
            }
        }
        let (active, found) = taken.ok_or(FsError::BadOffset(self.shown))?;
        let (base, id) = (found.base, id_of(&found.stat));
        let Self { uploads, place, existing, offset, overwrite, is_own, .. } = self;
        let part = Part::resume(&uploads, place, active, offset, base, meter);
        let mut part = part.overwriting(overwrite, is_own);
        // yet another session may take the part over, but not while it is being opened
        let writing = part.active.writing()?;
        let (file, stat) = open_part(&part.place, &part.active.name, OFlags::WRONLY)?;
        drop(writing);
        let size = len_of(&stat);
        // another upload may have failed in the meantime and left its part under this name
        if id_of(&stat) != id || size < offset {
            return Err(FsError::BadOffset(size));
        }
        part.body.file = Some(file);
        if let Some(existing) = &existing {
            part.carry_over(existing)?;
        }
        Ok(part)
    }

    /// Gives a part to this upload, under a name that no other upload writes to. Returns `None`
    /// if the part is gone or too short by now.
    fn take_one(&self, found: &Candidate) -> Result<Option<Arc<ActivePart>>, FsError> {
        let parts = &self.uploads.parts;
        let (dir, key) = (&self.place.dir, self.uploads.key(&self.place));
        // this makes the upload that writes to the part wait
        let mut gone = found.active.as_ref().map(|active| active.gone());
        if let Some(gone) = &gone {
            let stat = place::found(lstat(dir, &found.name.bytes()))?;
            if **gone || stat.is_none_or(|stat| len_of(&stat) < self.offset) {
                return Ok(None);
            }
        }
        let Some(lock) = self.lock(found)? else { return Ok(None) };
        let own = parts.name(key.mark, &found.name.name, false);
        // enters the new part first: a rewrite of the journal must find a part in the directory
        let own = parts.enter(key, self.uploads.folder(&self.place), own);
        own.keep_lock(lock.0);
        let dead = found.active.is_none() && parts.unbury(key, found.upload);
        let may = dead || found.active.is_some();
        let renamed = if may {
            parts.rename(dir, &found.name.bytes(), &own.file_name)
        } else {
            Err(Errno::NOENT)
        };
        if let Err(why) = renamed {
            if dead && why != Errno::NOENT {
                parts.bury(key, self.dead_again(found));
            }
            parts.leave(key, &own);
            return if why == Errno::NOENT { Ok(None) } else { Err(why.into()) };
        }
        if let Some(gone) = &mut gone {
            **gone = true;
        }
        drop(gone);
        if let Some(active) = &found.active {
            parts.leave(key, active);
        }
        Ok(Some(own))
    }

    /// Locks the file of a part against other servers. Returns `None` if one of them has it.
    fn lock(&self, found: &Candidate) -> Result<Option<Held>, FsError> {
        if let Some(active) = &found.active {
            return Ok(Some(Held(active.lock())));
        }
        if !self.uploads.parts.sharing().is_shared() {
            return Ok(Some(Held(None)));
        }
        let file = match open_part(&self.place, &found.name, OFlags::WRONLY) {
            Err(FsError::NotFound) => return Ok(None),
            opened => opened?.0,
        };
        let is_free =
            try_lock(&file)? && is_named(&self.place.dir, &found.name.bytes(), &file)?;
        Ok(is_free.then(|| Held(Some(Arc::new(file.into())))))
    }

    /// Returns a dead part as it was before the attempt to take it over.
    fn dead_again(&self, found: &Candidate) -> DeadPart {
        let (folder, name) = (self.uploads.folder(&self.place), found.name.clone());
        let (share, since) = (self.uploads.share(), modified(&found.stat));
        let uploader = Some(self.uploads.uploader_name());
        let Candidate { upload, shown, base, .. } = *found;
        DeadPart { folder, name, share, uploader, upload, since, base, shown }
    }
}
