//! One part file while an upload writes to it: taken over, put in place, or left behind.

use std::fs::File;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Mode, chmodat, fstat, renameat};

use super::prepare::{Place, new_names};
use crate::vfs::error::FsError;
use crate::vfs::parts::name::Tag;
use crate::vfs::parts::store::{
    Active, Claim, Dead, Parts, Promise, Spot, Version, id_of, lstat, modified, os, remove,
    rename_new,
};
use crate::vfs::tree::regular;

/// A part, and where it is to be put.
#[derive(Debug)]
pub(in crate::vfs) struct Part {
    pub(in crate::vfs) place: Place,
    pub(in crate::vfs) spot: Spot,
    pub(in crate::vfs) active: Arc<Active>,
    /// Whether it goes on with a part that was left of another one.
    pub(in crate::vfs) resumed: bool,
    /// The mode that it has from the file it replaces.
    pub(in crate::vfs) mode: Option<u32>,
    /// STOU: the name must still be new at the end.
    pub(in crate::vfs) promise: Option<Promise>,
    /// For one that began with what was in place.
    pub(in crate::vfs) base: Option<Base>,
}

/// What a part began with.
#[derive(Debug)]
pub(in crate::vfs) struct Base {
    /// The version, or nothing.
    pub(in crate::vfs) version: Option<Version>,
    /// No other upload begins with it meanwhile.
    pub(in crate::vfs) _claim: Option<Claim>,
}

impl Part {
    pub(in crate::vfs) fn new(place: Place, spot: Spot, active: Arc<Active>) -> Self {
        Self { place, spot, active, resumed: false, mode: None, promise: None, base: None }
    }

    /// Whether the part's name is still that of the file that is written.
    pub(in crate::vfs) fn is_of(&self, file: &File) -> bool {
        let there = lstat(&self.place.dir, &self.active.name.bytes());
        let ours = fstat(file).map(|stat| id_of(&stat));
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == id_of(&there))
    }

    /// One rename puts the part in place. Gives the name if it is not the one that was wanted,
    /// because somebody else has made a file of that name and it may not be replaced.
    pub(in crate::vfs) fn rename(&self, replace: bool) -> Result<Option<Vec<u8>>, FsError> {
        let Place { dir, name, folder, .. } = &self.place;
        let part = self.active.name.bytes();
        let looks = self.base.is_some() || self.mode.is_some();
        let now = if looks { lstat(dir, name).ok() } else { None };
        // a newer version must not give way to one made of an older one
        if let Some(base) = &self.base
            && now.as_ref().map(Version::of) != base.version
        {
            return Err(FsError::Replaced);
        }
        if let (Some(mode), Some(now)) = (self.mode, now)
            && now.st_mode & 0o777 != mode
            && FileType::from_raw_mode(now.st_mode).is_file()
        {
            // it was changed meanwhile
            let now = Mode::from_raw_mode(now.st_mode & 0o777);
            let _ = chmodat(dir, os(&part), now, AtFlags::empty());
        }
        if self.promise.is_none() && replace {
            renameat(dir, os(&part), dir, os(name))?;
            return Ok(None);
        }
        for path in new_names(&folder.path.join(name)) {
            match rename_new(dir, os(&part), dir, os(path.name())) {
                Err(FsError::Exists) => {}
                other => {
                    let other = other.map(|()| path.name());
                    return other.map(|made| (made != name).then(|| made.to_owned()));
                }
            }
        }
        Err(FsError::Exists)
    }

    /// The upload has failed.
    pub(in crate::vfs) fn end(self, parts: &Parts, keep: bool) {
        let taken = self.active.taken();
        if *taken {
            // whoever has taken it sees to it
            return;
        }
        let dir = &self.place.dir;
        let name = self.active.name.bytes();
        let dead = self.active.name.tagged(Tag::Dead);
        let kept = keep
            && lstat(dir, &name).is_ok_and(|stat| regular(&stat).is_ok())
            && !self.active.name.is_lone()
            && parts.are_kept()
            && renameat(dir, os(&name), dir, os(&dead.bytes())).is_ok();
        if kept {
            let since = lstat(dir, &dead.bytes());
            let since = since.map_or_else(|_| SystemTime::now(), |s| modified(&s));
            let (folder, upload) = (self.active.folder(), self.active.name.upload());
            let base = self.active.base.get().copied();
            let share = self.place.share;
            let dead = Dead { folder, name: dead, share, upload, since, base, shown: false };
            parts.bury(self.spot, dead);
        } else {
            remove(dir, &name);
        }
        drop(taken);
        parts.leave(self.spot, &self.active);
    }
}

impl Active {
    /// Nobody may take the part over while this is held.
    pub(in crate::vfs) fn writing(&self) -> Result<MutexGuard<'_, bool>, FsError> {
        let taken = self.taken();
        if *taken { Err(FsError::TakenOver) } else { Ok(taken) }
    }

    pub(in crate::vfs) fn taken(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
