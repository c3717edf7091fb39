//! Uploads that change the file in place, one at a time, where it cannot be replaced.

use std::io;
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_setfl};

use super::body::{Body, Placed, Target, Writing};
use super::claims::NameClaim;
use super::existing::Existing;
use super::kept::OldVersion;
use super::plan::Store;
use super::settled::Terms;
use super::uploads::Uploads;
use crate::config::GateRules;
use crate::vfs::error::{FsError, Heed};
use crate::vfs::parts::turns::Claim;
use crate::vfs::quota::meter::Kind;
use crate::vfs::tree::entry::{id_of, len_of};
use crate::vfs::tree::place::Place;

/// A file that is changed in place.
#[derive(Debug)]
pub(super) struct InPlace {
    uploads: Arc<Uploads>,
    place: Place,
    /// Size of the file before the upload.
    former: u64,
    /// Whether the upload only adds to the file.
    append: bool,
    body: Body,
    /// A clone of the old version in the trash.
    kept: Option<OldVersion>,
    /// Turns that keep other uploads from changing the file meanwhile.
    _claims: (Claim, Option<NameClaim>),
}

impl InPlace {
    /// Waits until no other upload changes the file, and prepares to change it.
    pub(super) fn open(
        uploads: &Arc<Uploads>,
        place: Place,
        existing: Existing,
        store: Store,
        name: Option<NameClaim>,
        heed: &mut Heed<'_>,
    ) -> Result<Self, FsError> {
        let Existing { file, stat } = existing;
        let claim = uploads.claim_file(&file, id_of(&stat), heed)?;
        // another upload may have replaced the file in the meantime
        if !place.holds(&file)? {
            return Err(FsError::Busy);
        }
        let former = file.metadata()?.len();
        let offset = match store {
            Store::Replace => 0,
            Store::Append(_) => former,
            // another upload has appended to the file or truncated it in the meantime
            Store::At(_) if len_of(&stat) != former => return Err(FsError::Busy),
            Store::At(offset) => offset,
        };
        let append = store != Store::Replace && offset == former;
        if append {
            // the upload must not overwrite data that other programs append meanwhile
            fcntl_setfl(&file, OFlags::APPEND | OFlags::NONBLOCK)?;
        }
        let kind = if append { Kind::Appended } else { Kind::Shared };
        let meter = uploads.meter(&place, kind)?;
        if append {
            meter.check_room()?;
        }
        let (uploads, body) = (Arc::clone(uploads), Body::new(file, offset, meter));
        let kept = None;
        Ok(Self { uploads, place, former, append, body, kept, _claims: (claim, name) })
    }

    /// Puts a clone of the old version into the trash, if the settings want it kept. Until the upload
    /// begins, the clone is removed again with this value.
    pub(super) fn keep_old(&mut self) -> Result<(), FsError> {
        if let Some(trash) = self.uploads.trash_for(&self.place.parent)? {
            self.kept = Some(OldVersion::make(trash, &self.place, self.body.file()?)?);
        }
        Ok(())
    }

    /// Removes what a failed upload has appended, unless others have appended as well.
    fn cut_back(&self) {
        let Some(file) = &self.body.file else { return };
        if !self.append || self.body.written == 0 {
            return;
        }
        let cut = file.metadata().map_err(FsError::from).and_then(|meta| {
            if meta.len() != self.former + self.body.written {
                let why = "other programs have appended to it as well";
                return Err(FsError::Other(io::Error::other(why)));
            }
            self.body.meter.cut(file, || Ok(file.set_len(self.former)?))
        });
        if let Err(why) = cut {
            let real = self.uploads.tree.real(&self.place.path());
            let file = crate::log::path(&real);
            log::warn!("cannot remove what a failed upload appended to {file}: {why}");
        }
    }
}

impl Target for InPlace {
    fn start(&mut self) -> Result<(), FsError> {
        let Self { uploads, place, append, body, kept, .. } = self;
        // who may replace the file was checked when it was opened
        let terms = Terms { size: body.offset, replaces: false, gate: None };
        uploads.appear(place, &place.name, terms, || {
            if let Some(kept) = kept {
                kept.stay()?;
            }
            if *append { Ok(()) } else { body.cut_to_offset() }
        })
    }

    fn write(&mut self) -> Result<Writing<'_>, FsError> {
        Ok(Writing { body: &mut self.body, _guard: None })
    }

    fn commit(mut self: Box<Self>, _gate: Option<&GateRules>) -> Result<Placed, FsError> {
        // without this, a loss of power could leave zeros where the file was changed
        self.body.sync(self.uploads.rules().sync)?;
        let file = self.body.file()?;
        if !self.place.holds(file)? {
            return Err(FsError::Replaced);
        }
        // this handle is for cutting the file back if closing fails
        let again = file.try_clone()?;
        if let Err(why) = self.body.close() {
            self.body.file = Some(again);
            return Err(why);
        }
        Ok(Placed { size: self.body.size(), name: None, kept: self.kept.is_some(), file: None })
    }

    fn abandon(self: Box<Self>, _keep: bool) {}
}

impl Drop for InPlace {
    fn drop(&mut self) {
        self.cut_back();
    }
}
