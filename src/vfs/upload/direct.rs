//! The classic way to upload (`atomic_uploads = off`): straight to the file in place.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{OFlags, fstat};

use super::body::{Body, Placed, Target, Writing};
use super::plan::Store;
use super::uploads::Uploads;
use crate::config::{GateRules, Overwrite};
use crate::vfs::error::FsError;
use crate::vfs::parts::pins::Pin;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::count::Count;
use crate::vfs::quota::meter::{Kind, Meter};
use crate::vfs::tree::entry::{Identity, id_of, len_of, plain};

/// A file in place that an upload writes to directly. Other uploads may write to it too.
#[derive(Debug)]
pub(super) struct Direct {
    uploads: Arc<Uploads>,
    path: VirtualPath,
    append: bool,
    /// Whether the upload has created the file and has not begun to write.
    made: bool,
    /// Whether the upload has created the file.
    is_new: bool,
    body: Body,
    /// Keeps retention from removing the file.
    _pin: Option<Pin>,
}

impl Direct {
    /// Checks that an upload could begin. Creates nothing.
    pub(super) fn check(
        uploads: &Uploads,
        path: &VirtualPath,
        store: Store,
    ) -> Result<(), FsError> {
        let size = uploads.tree.check_write(path)?;
        offset(store, size)?;
        if !uploads.parts.quotas().any() {
            return Ok(());
        }
        let place = uploads.place_of_target(path)?;
        let more = match uploads.tree.stat(path) {
            Ok(_) if matches!(store, Store::Append(_)) => Count::bytes(1),
            Ok(_) => Count::default(),
            Err(_) => Count { bytes: 1, files: 1 },
        };
        uploads.accounts(&place.dir)?.check_room(more)
    }

    /// Opens the file, and creates it with `mode` if it is missing. Another user may have
    /// replaced it since the check. `own` is the only file that may be opened, if it is given.
    pub(super) fn open(
        uploads: &Arc<Uploads>,
        path: &VirtualPath,
        store: Store,
        mode: u32,
        (overwrite, own): (Overwrite, Option<Identity>),
    ) -> Result<Self, FsError> {
        let append = matches!(store, Store::Append(_));
        let mut meter = meter(uploads, path, append)?;
        let opened = match (own, overwrite) {
            (Some(own), _) => open_own(uploads, path, append, own),
            (None, Overwrite::Yes) => open_or_make(uploads, path, store, mode, &mut meter),
            (None, Overwrite::No | Overwrite::Rename) => {
                make(uploads, path, store, mode, &mut meter)
            }
        };
        if let (Store::At(_), Err(FsError::NotFound)) = (store, &opened) {
            // the client is told where an upload could begin
            Self::check(uploads, path, store)?;
        }
        let (file, size, is_new) = opened?;
        if append && !is_new {
            meter.check_room()?;
        }
        let pin = pinned(uploads, &file)?;
        let body = Body::new(file, offset(store, size)?, meter);
        let (uploads, path) = (Arc::clone(uploads), path.clone());
        Ok(Self { uploads, path, append, made: is_new, is_new, body, _pin: pin })
    }

    /// Creates a file. It must not exist yet.
    pub(super) fn create(
        uploads: &Arc<Uploads>,
        path: &VirtualPath,
        mode: u32,
    ) -> Result<Self, FsError> {
        let mut meter = meter(uploads, path, false)?;
        let file = meter.make(false, || uploads.tree.create(path, mode))?;
        let pin = pinned(uploads, &file)?;
        let body = Body::new(file, 0, meter);
        let (uploads, path) = (Arc::clone(uploads), path.clone());
        Ok(Self { uploads, path, append: false, made: true, is_new: true, body, _pin: pin })
    }

    /// Returns the file.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.body.file.as_ref().and_then(Identity::of)
    }

    /// Removes the file if it was created for this upload and the upload could not begin,
    /// unless it was replaced or written to in the meantime.
    fn remove_untouched(&self) {
        if self.made {
            self.remove(0);
        }
    }

    /// Takes back what an upload has stored that the quota did not suffice for, as far as possible:
    /// the old content of a file that was there is lost.
    fn take_back(&self) {
        let written = self.body.written;
        match &self.body.file {
            Some(_) if self.is_new => self.remove(written),
            Some(file) if self.append => {
                let former = self.body.offset;
                let is_ours = file.metadata().is_ok_and(|meta| meta.len() == former + written);
                if is_ours {
                    // if this fails, the bytes stay, and count
                    let _ = self.body.meter.cut(file, || Ok(file.set_len(former)?));
                }
            }
            _ => {}
        }
    }

    /// Removes the file, if it still has its name and this size.
    fn remove(&self, size: u64) {
        let Some(file) = &self.body.file else { return };
        let ours = fstat(file).map(|stat| id_of(&stat));
        let there = self.uploads.tree.entry(&self.path);
        if let (Ok(ours), Ok(there)) = (ours, there)
            && there.id == ours
            && there.size == size
        {
            // if this fails, the file stays
            let remove = || self.uploads.tree.remove_file(&self.path);
            let _ = self.uploads.losing(&self.path, remove);
        }
    }
}

impl Target for Direct {
    fn start(&mut self) -> Result<(), FsError> {
        // from here on the file has the content that the client sends, and stays
        self.made = false;
        if self.append { Ok(()) } else { self.body.cut_to_offset() }
    }

    fn write(&mut self) -> Result<Writing<'_>, FsError> {
        Ok(Writing { body: &mut self.body, _guard: None })
    }

    fn reached(&mut self) -> Result<u64, FsError> {
        // others may append to the file as well
        if self.append { Ok(len_of(&fstat(self.body.file()?)?)) } else { Ok(self.body.size()) }
    }

    fn commit(mut self: Box<Self>, _gate: Option<&GateRules>) -> Result<Placed, FsError> {
        if self.uploads.rules().sync {
            self.body.sync(true)?;
        }
        // others can delete or replace the file while it is written to
        if fstat(self.body.file()?)?.st_nlink == 0 {
            return Err(FsError::Replaced);
        }
        self.body.close()?;
        if self.is_new {
            self.uploads.tree.sync_new(&self.path)?;
        }
        Ok(Placed { size: self.body.size(), name: None, kept: false, file: None })
    }

    fn abandon(self: Box<Self>, _keep: bool) {
        if self.body.meter.has_refused() {
            self.take_back();
        }
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.remove_untouched();
    }
}

/// Returns the meter of an upload to the file that a path leads to.
fn meter(uploads: &Uploads, path: &VirtualPath, append: bool) -> Result<Meter, FsError> {
    if !uploads.parts.quotas().any() {
        return Ok(Meter::off(uploads.parts.quotas()));
    }
    let kind = if append { Kind::Appended } else { Kind::Shared };
    uploads.meter(&uploads.place_of_target(path)?, kind)
}

/// Notes that the file is used. Fails if retention has removed it since it was opened.
fn pinned(uploads: &Uploads, file: &File) -> Result<Option<Pin>, FsError> {
    let pin = uploads.turns.pins.pin(file);
    if pin.is_some() && fstat(file)?.st_nlink == 0 {
        return Err(FsError::Busy);
    }
    Ok(pin)
}

/// Returns where an upload to a file of this size begins.
fn offset(store: Store, size: u64) -> Result<u64, FsError> {
    match store {
        Store::Replace => Ok(0),
        Store::At(offset) if offset > size => Err(FsError::BadOffset(size)),
        Store::At(offset) => Ok(offset),
        Store::Append(_) => Ok(size),
    }
}

/// Opens a file that exists, if it is this one. Returns it like [`open_or_make`].
fn open_own(
    uploads: &Uploads,
    path: &VirtualPath,
    append: bool,
    own: Identity,
) -> Result<(File, u64, bool), FsError> {
    let flags = if append { OFlags::WRONLY | OFlags::APPEND } else { OFlags::WRONLY };
    let file = uploads.tree.open_file(path, flags, 0)?;
    let size = len_of(&plain(&file)?);
    if Identity::of(&file) == Some(own) { Ok((file, size, false)) } else { Err(FsError::Taken) }
}

/// Creates a file. Returns it like [`open_or_make`].
fn make(
    uploads: &Uploads,
    path: &VirtualPath,
    store: Store,
    mode: u32,
    meter: &mut Meter,
) -> Result<(File, u64, bool), FsError> {
    if matches!(store, Store::At(offset) if offset > 0) {
        return Err(FsError::NotFound);
    }
    match meter.make(false, || uploads.tree.create(path, mode)) {
        Err(FsError::Exists) => Err(FsError::Taken),
        created => Ok((created?, 0, true)),
    }
}

/// Opens a regular file, or creates it with `mode` if it is missing. If the upload begins at an
/// offset, the file must exist. Returns the file, its size, and whether it was created.
fn open_or_make(
    uploads: &Uploads,
    path: &VirtualPath,
    store: Store,
    mode: u32,
    meter: &mut Meter,
) -> Result<(File, u64, bool), FsError> {
    let tree = &uploads.tree;
    let append = matches!(store, Store::Append(_));
    let existing = if append { OFlags::WRONLY | OFlags::APPEND } else { OFlags::WRONLY };
    // creating the file also tells whether it exists, but only a new one needs a quota
    let mut makes_first = store == Store::Replace && meter.is_off();
    let mut make = || {
        let new = existing | OFlags::CREATE | OFlags::EXCL;
        meter.make(false, || tree.open_file(path, new, mode)).map(|file| (file, 0, true))
    };
    // if the file is created or removed by another process between two calls, the next round
    // finds out
    for _ in 0..2 {
        if makes_first {
            match make() {
                Err(FsError::Exists) => {}
                other => return other,
            }
        }
        match tree.open_file(path, existing, 0) {
            Err(FsError::NotFound) if !matches!(store, Store::At(_)) => makes_first = true,
            opened => {
                let file = opened?;
                let size = len_of(&plain(&file)?);
                return Ok((file, size, false));
            }
        }
    }
    // the name is that of a link that leads to nothing
    Err(FsError::NotFound)
}
