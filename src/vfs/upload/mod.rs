//! Uploads: into place whole, or not at all.
//!
//! An upload writes to a part file in the directory of its target, and one rename puts it in
//! place: readers, a crash and other uploads find the old version or the new one. Only where
//! that cannot be done is the file in place changed, by one upload at a time. A user can also
//! have the classic way, in which every upload writes to the file in place.

mod attributes;
mod part;
mod prepare;
mod resume;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, MutexGuard};

use rustix::fs::fsync;
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use self::part::{Base, Part};
use self::prepare::Place;
use self::resume::Left;
use super::error::FsError;
use super::parts::store::{Claim, Parts, Version, opened};
use super::path::VirtualPath;
use super::tree::Tree;
use crate::rights::Ids;

/// How an upload meets what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Begin at 0; what was there goes.
    Replace,
    /// Begin at this offset, which must not lie beyond the end.
    At(u64),
    /// Begin at the end: of what the client was told the size of, if it was told.
    Append(Option<Told>),
}

/// The size that a client was told of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Bytes.
    pub size: u64,
    /// For that of a part, the number of its upload.
    pub part: Option<u64>,
}

/// Whose uploads, and how they are made.
#[derive(Debug, Clone)]
pub struct Uploads {
    /// The server's parts.
    pub parts: Arc<Parts>,
    /// Whose parts are one's own.
    pub owner: Vec<u8>,
    /// Whose share of the places for parts they take.
    pub share: Vec<u8>,
    /// As whom the sessions act in which they are made.
    pub ids: Option<Arc<Ids>>,
    /// Whether an upload stays out of sight until it is whole.
    pub atomic: bool,
    /// Whether it is on the disk before it is called whole.
    pub sync: bool,
    /// Whether it may replace a file, or change one.
    pub replace: bool,
}

/// An upload that may begin. Nothing that clients see has changed yet.
#[derive(Debug)]
pub struct Upload {
    pub(in crate::vfs) tree: Arc<Tree>,
    pub(in crate::vfs) path: VirtualPath,
    /// Nothing before [`Upload::ready`] and after the end.
    pub(in crate::vfs) file: Option<File>,
    pub(in crate::vfs) way: Way,
    /// Where it begins.
    pub(in crate::vfs) offset: u64,
    pub(in crate::vfs) written: u64,
    /// Why it does not go the usual way, for the log.
    pub(in crate::vfs) remark: Option<String>,
}

/// What an upload writes to.
#[derive(Debug)]
pub(in crate::vfs) enum Way {
    /// The classic one: opened late, and written to as it comes.
    Classic { store: Store, mode: u32, made: bool },
    /// The file in place is changed, by this upload alone.
    InPlace(Box<InPlace>),
    /// A part of an earlier upload, still to be taken over.
    Left(Box<Left>),
    /// A part, which is put in place at the end.
    Part(Box<Part>),
    /// It has ended, well or not.
    Over,
}

/// A file that is changed in place.
#[derive(Debug)]
pub(in crate::vfs) struct InPlace {
    pub(in crate::vfs) place: Place,
    /// How long it was.
    pub(in crate::vfs) former: u64,
    /// Whether the upload only adds to it.
    pub(in crate::vfs) append: bool,
    /// Nobody else changes it meanwhile.
    pub(in crate::vfs) _claims: (Claim, Option<Claim>),
}

impl Way {
    /// Of a part: nobody takes it over while this is held.
    fn writing(&self) -> Result<Option<MutexGuard<'_, bool>>, FsError> {
        match self {
            Self::Part(part) => part.active.writing().map(Some),
            Self::Classic { .. } | Self::InPlace(_) | Self::Left(_) | Self::Over => Ok(None),
        }
    }
}

impl Upload {
    /// The file's path, which STOU has made up.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Why the file in place is written to, if that is not the usual way.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// Opens the file, where that was put off until nothing more can keep the upload from
    /// beginning. In the classic way the file may be somebody else's by now, and a part may be
    /// taken from another session's hands.
    ///
    /// # Errors
    ///
    /// The system's, and [`FsError::BadOffset`].
    pub fn ready(&mut self) -> Result<(), FsError> {
        match std::mem::replace(&mut self.way, Way::Over) {
            Way::Left(left) => {
                let (part, file) = self.tree.take_over(*left, self.offset)?;
                self.way = Way::Part(Box::new(part));
                self.file = Some(file?);
            }
            other @ (Way::Classic { .. } | Way::InPlace(_) | Way::Part(_) | Way::Over) => {
                self.way = other;
            }
        }
        if let Way::Classic { store, mode, made } = &mut self.way
            && self.file.is_none()
        {
            let (file, size, new) = self.tree.write(&self.path, *store, *mode)?;
            if let Store::At(offset) = *store
                && offset > size
            {
                return Err(FsError::BadOffset(size));
            }
            *made = new;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Makes the file ready for the first byte: cut back to where the upload begins.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn begin(&mut self) -> Result<(), FsError> {
        self.ready()?;
        let offset = match &mut self.way {
            Way::Classic { store: Store::Append(_), made, .. } => {
                *made = false;
                return Ok(());
            }
            Way::Classic { made, .. } => {
                // from here on the file is what the client sends
                *made = false;
                self.offset
            }
            Way::InPlace(file) if !file.append => self.offset,
            Way::Part(part) if part.resumed => self.offset,
            Way::InPlace(_) | Way::Left(_) | Way::Part(_) | Way::Over => return Ok(()),
        };
        let _writing = self.way.writing()?;
        if let Some(file) = &mut self.file {
            if file.metadata()?.len() > offset {
                file.set_len(offset)?;
            }
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(())
    }

    /// Writes what has arrived.
    ///
    /// # Errors
    ///
    /// The system's; and [`FsError::TakenOver`] when another session goes on with the upload.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        let Some(file) = &mut self.file else { return Err(FsError::NotFound) };
        let _writing = self.way.writing()?;
        let mut rest = bytes;
        while !rest.is_empty() {
            // what a full disk has taken of it counts as well
            match file.write(rest) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => {
                    self.written += written as u64;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Writes so many bytes that wait in a pipe; says whether the file takes them from there, or
    /// they had to be read first.
    ///
    /// # Errors
    ///
    /// Those of [`Upload::write_all`]. What the file has not taken is lost.
    pub fn splice_all(&mut self, pipe: BorrowedFd<'_>, bytes: usize) -> Result<bool, FsError> {
        let mut left = bytes;
        while left > 0 {
            let Some(file) = &self.file else { return Err(FsError::NotFound) };
            let writing = self.way.writing()?;
            match splice(pipe, None, file, None, left, SpliceFlags::MOVE) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(moved) => {
                    self.written += moved as u64;
                    left -= moved;
                }
                Err(Errno::INTR) => {}
                // it was opened for appending, or its file system cannot do it
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    drop(writing);
                    let mut rest = vec![0; left];
                    let read = rustix::io::read(pipe, &mut rest[..])?;
                    self.write_all(rest.get(..read).unwrap_or_default())?;
                    left -= read;
                    if left == 0 || read == 0 {
                        return Ok(false);
                    }
                }
                Err(why) => return Err(why.into()),
            }
        }
        Ok(true)
    }

    /// Of a part that began with a file in place, or with nothing there.
    pub(in crate::vfs) fn based_on(mut self, version: Option<Version>, claim: Claim) -> Self {
        if let Way::Part(part) = &mut self.way {
            if let Some(version) = version {
                let _ = part.active.base.set(version);
            }
            part.base = Some(Base { version, _claim: Some(claim) });
        }
        self
    }

    /// Puts the file in place. Only then is the upload whole. Gives its size, and its path,
    /// which is another than STOU has promised if somebody has made such a file meanwhile.
    ///
    /// # Errors
    ///
    /// The system's, and what the file system had not said before: quotas and networks may
    /// refuse this late.
    pub fn finish(mut self) -> Result<(u64, VirtualPath), FsError> {
        if let Err(why) = self.seal() {
            // what the disk could not take is of no use to anybody
            self.end(false);
            return Err(why);
        }
        if let Err(why) = self.put_in_place() {
            self.end(true);
            return Err(why);
        }
        self.way = Way::Over;
        Ok((self.offset + self.written, self.path.clone()))
    }

    /// All bytes are in the file.
    fn seal(&mut self) -> Result<(), FsError> {
        let Some(file) = &self.file else { return Err(FsError::NotFound) };
        if self.tree.uploads.sync {
            fsync(file)?;
        }
        if let Way::Part(part) = &self.way {
            let _writing = part.active.writing()?;
            if !part.is_of(file) {
                // whoever may write to the directory has put something else in its place
                return Err(FsError::Replaced);
            }
        }
        let mut again = None;
        if let Way::InPlace(there) = &self.way {
            if !there.place.holds(file) {
                return Err(FsError::Replaced);
            }
            // to cut it back if closing fails
            again = Some(file.try_clone()?);
        }
        let Some(file) = self.file.take() else { return Err(FsError::NotFound) };
        nix::unistd::close(file).map_err(|errno| {
            self.file = again;
            io::Error::from(errno).into()
        })
    }

    fn put_in_place(&mut self) -> Result<(), FsError> {
        let Way::Part(part) = &mut self.way else { return Ok(()) };
        let sync = self.tree.uploads.sync;
        let dir = sync.then(|| opened(&part.place.dir));
        let active = Arc::clone(&part.active);
        let mut taken = active.writing()?;
        if let Some(name) = part.rename(self.tree.uploads.replace)? {
            self.path = self.path.parent().join(&name);
        }
        // it is no part any more that could be taken over
        *taken = true;
        drop(taken);
        let parts = &self.tree.uploads.parts;
        parts.leave(part.spot, &active);
        parts.forget(part.spot, &part.place.dir);
        match dir.map(|dir| fsync(dir?)) {
            None | Some(Ok(())) => {}
            // some directories cannot be opened for it, and some file systems know nothing of it
            Some(Err(
                why @ (Errno::ACCESS | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP),
            )) => {
                let real = self.tree.real(&self.path);
                let file = crate::log::path(&real);
                log::warn!("the directory of {file} cannot be synced: {why}");
            }
            Some(Err(why)) => return Err(why.into()),
        }
        Ok(())
    }

    /// The upload has failed: the file in place is as it was, as far as it can be. With `keep`
    /// what has arrived is left for the client to go on with.
    pub fn fail(mut self, keep: bool) {
        self.end(keep);
    }

    fn end(&mut self, keep: bool) {
        match std::mem::replace(&mut self.way, Way::Over) {
            // nothing has been taken over yet
            Way::Left(_) | Way::Over => {}
            Way::Classic { made, .. } => {
                if made && let Some(file) = &self.file {
                    self.tree.remove_untouched(&self.path, file);
                }
            }
            Way::InPlace(there) => {
                if there.append && self.written > 0 {
                    self.cut_back(there.former);
                }
            }
            Way::Part(part) => {
                let worth = self.written > 0 || part.resumed;
                part.end(&self.tree.uploads.parts, keep && worth);
            }
        }
        self.file = None;
    }

    /// Takes away what a failed upload has appended, unless others have appended as well.
    fn cut_back(&self, former: u64) {
        let Some(file) = &self.file else { return };
        let cut = file.metadata().and_then(|meta| {
            if meta.len() != former + self.written {
                return Err(io::Error::other("others have appended to it as well"));
            }
            file.set_len(former)
        });
        if let Err(why) = cut {
            let real = self.tree.real(&self.path);
            let file = crate::log::path(&real);
            log::warn!("what a failed upload has appended to {file} stays: {why}");
        }
    }
}

/// An upload that is dropped has failed before it began, or its session has: what has arrived
/// is kept.
impl Drop for Upload {
    fn drop(&mut self) {
        self.end(true);
    }
}
