//! The turns of uploads, on this server and on the others that serve the same files.

use std::fs::File;

use super::uploads::Uploads;
use crate::vfs::error::{FsError, Heed};
use crate::vfs::parts::turns::{Claim, Promise, Turn};
use crate::vfs::tree::entry::FileId;
use crate::vfs::tree::lock::{self, Locked, NameLock};
use crate::vfs::tree::place::Place;

/// The turn of an upload that begins with a copy of the file under a name.
#[derive(Debug)]
pub(super) struct NameClaim {
    /// Given back before the turn, so that the next upload of this server finds it free.
    _lock: Option<NameLock>,
    _own: Claim,
}

/// A name that is reserved for one STOU upload.
#[derive(Debug)]
pub(super) struct NewName {
    _lock: Option<NameLock>,
    _own: Promise,
}

impl Uploads {
    /// Waits for the turn to change the file under the name of a place, and calls `heed` meanwhile.
    pub(super) fn claim_name(
        &self,
        place: &Place,
        heed: &mut Heed<'_>,
    ) -> Result<NameClaim, FsError> {
        let own = self.turns.claim(Turn::Name(place.dir_id(), place.name.clone()), heed)?;
        let lock = if self.parts.sharing().is_shared() {
            // where no file can be made, the file itself is changed, and locked
            NameLock::wait(&place.dir, &place.name, heed)?
        } else {
            None
        };
        Ok(NameClaim { _lock: lock, _own: own })
    }

    /// Waits for the turn to change a file in place, and calls `heed` meanwhile. Other servers are
    /// excluded until the file is closed.
    pub(super) fn claim_file(
        &self,
        file: &File,
        id: FileId,
        heed: &mut Heed<'_>,
    ) -> Result<Claim, FsError> {
        let own = self.turns.claim(Turn::File(id), heed)?;
        if self.parts.sharing().is_shared() {
            lock::lock(file, heed)?;
        }
        Ok(own)
    }

    /// Reserves the name of a place for a STOU upload, unless it is reserved already.
    pub(super) fn promise(&self, place: &Place) -> Result<Option<NewName>, FsError> {
        let Some(own) = self.turns.promise(place.dir_id(), &place.name) else {
            return Ok(None);
        };
        if !self.parts.sharing().is_shared() {
            return Ok(Some(NewName { _lock: None, _own: own }));
        }
        // not the lock for changes of a file, which may have the name already; no name has a slash
        let name = [b"new/", &place.name[..]].concat();
        Ok(match NameLock::attempt(&place.dir, &name)? {
            Locked::Own(lock) => Some(NewName { _lock: Some(lock), _own: own }),
            Locked::Denied => Some(NewName { _lock: None, _own: own }),
            Locked::Others => None,
        })
    }
}
