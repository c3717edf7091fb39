//! An upload that has begun.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::body::{Body, Placed, Target, Whole};
use super::folders::Made;
use super::uploads::Uploads;
use crate::config::GateRules;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::Identity;

/// An upload whose file is open. Dropping it fails the upload, and keeps the bytes that have
/// arrived for the client to resume.
#[derive(Debug)]
pub struct Upload {
    path: VirtualPath,
    target: Box<dyn Target>,
    /// Maximum size of the file in bytes.
    most: u64,
    uploads: Arc<Uploads>,
    relief: Option<Relief>,
    first: Option<First>,
    /// What judges the file before it is put in place.
    gate: Option<Box<GateRules>>,
    /// The directories that were made for the file. This field is dropped after the file.
    made: Option<Box<Made>>,
}

/// A function that makes room when the disk is full. It returns whether there is any hope.
struct Relief(Box<dyn FnMut() -> bool + Send>);

impl fmt::Debug for Relief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relief")
    }
}

/// A function that is called before the file is put in place.
struct First(Box<dyn FnOnce() + Send>);

impl fmt::Debug for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("First")
    }
}

/// A file that was uploaded.
#[derive(Debug)]
pub struct Stored {
    /// The path of the file. It differs from the announced one if the name had to be new, but was
    /// taken in the meantime.
    pub path: VirtualPath,
    /// Size of the file in bytes.
    pub size: u64,
    /// Whether the version that it replaces was moved to the trash.
    pub kept: bool,
    /// The file, if its session may go on writing to it although others may not replace it.
    pub file: Option<Identity>,
}

impl Upload {
    pub(super) fn new(
        path: VirtualPath,
        target: Box<dyn Target>,
        most: u64,
        uploads: &Arc<Uploads>,
        gate: Option<Box<GateRules>>,
        made: Option<Box<Made>>,
    ) -> Self {
        let (uploads, relief, first) = (Arc::clone(uploads), None, None);
        Self { path, target, most, uploads, relief, first, gate, made }
    }

    /// From now on, calls a function when the disk is full, and tries again if it returns `true`.
    pub fn when_full(&mut self, relief: impl FnMut() -> bool + Send + 'static) {
        self.relief = Some(Relief(Box::new(relief)));
    }

    /// Calls a function right before the file is put in place.
    pub fn before_finish(&mut self, first: impl FnOnce() + Send + 'static) {
        self.first = Some(First(Box::new(first)));
    }

    /// Whether room was made for this many bytes after an error that says that there is none.
    pub(super) fn is_relieved(&mut self, why: &FsError, bytes: usize) -> bool {
        if self.uploads.make_room(why, bytes as u64) {
            return true;
        }
        let is_full = |why| Errno::from_io_error(why) == Some(Errno::NOSPC);
        let may_help = matches!(why, FsError::OverQuota(_))
            || matches!(why, FsError::NoSpace(why) if is_full(why));
        may_help && self.relief.as_mut().is_some_and(|relief| (relief.0)())
    }

    /// Does `work` with the file, unless another session has taken the upload over.
    pub(super) fn body_to_write<T>(
        &mut self,
        work: impl FnOnce(&mut Body) -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        work(self.target.write()?.body)
    }

    /// Returns the path that the upload was announced with.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Prepares the file for the first byte: cuts it back to where the upload begins.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn begin(&mut self) -> Result<(), FsError> {
        self.target.start()
    }

    /// Writes bytes that have arrived.
    ///
    /// # Errors
    ///
    /// When the system refuses; [`FsError::TakenOver`], if another session has resumed the
    /// upload; or [`FsError::TooLarge`], if the file would become larger than allowed.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.check_room(bytes.len())?;
        let mut rest = bytes;
        loop {
            let writing = self.target.write()?;
            let before = writing.body.written;
            let result = writing.body.write_all(rest);
            let written = writing.body.written - before;
            drop(writing);
            match result {
                Err(why) if self.is_relieved(&why, rest.len()) => {
                    let written = usize::try_from(written).unwrap_or(usize::MAX);
                    rest = rest.get(written..).unwrap_or_default();
                }
                result => return result,
            }
        }
    }

    /// Checks that the file may grow by this number of bytes.
    pub(super) fn check_room(&mut self, bytes: usize) -> Result<(), FsError> {
        let most = self.most;
        if most == u64::MAX {
            return Ok(());
        }
        let size = self.target.reached()?.saturating_add(bytes as u64);
        if size > most { Err(FsError::TooLarge(most)) } else { Ok(()) }
    }

    /// Writes this number of bytes from a pipe. Returns whether the file accepts bytes directly
    /// from a pipe; if not, they were read into memory first.
    ///
    /// # Errors
    ///
    /// As for [`Upload::write_all`]. Bytes that were not written are lost.
    pub fn splice_all(&mut self, pipe: BorrowedFd<'_>, bytes: usize) -> Result<bool, FsError> {
        self.check_room(bytes)?;
        let mut left = bytes;
        while left > 0 {
            // checked for each piece: another session may take the upload over between two of
            // them
            let moved = self.target.write()?.body.splice(pipe, left);
            let moved = match moved {
                Err(why) if self.is_relieved(&why, left) => continue,
                moved => moved?,
            };
            if let Some(moved) = moved {
                left -= moved;
                continue;
            }
            let mut rest = vec![0; left];
            let read = rustix::io::read(pipe, &mut rest[..])?;
            self.write_all(rest.get(..read).unwrap_or_default())?;
            left -= read;
            if left == 0 || read == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns what judges the file before it is put in place, if anything does.
    pub fn gate(&self) -> Option<&GateRules> {
        self.gate.as_deref()
    }

    /// Makes the file complete without putting it in place. [`Upload::finish`] then does only that, and fails
    /// if the file has changed since.
    ///
    /// # Errors
    ///
    /// As for [`Upload::finish`].
    pub fn hold(&mut self) -> Result<Whole, FsError> {
        self.target.hold()
    }

    /// Renames the file that [`Upload::hold`] has made complete to a name in a directory outside of the tree.
    /// The upload must fail then.
    ///
    /// # Errors
    ///
    /// [`FsError::Exists`], if the name is taken; or when the system refuses.
    pub fn move_out(&self, dir: BorrowedFd<'_>, name: &Path) -> Result<(), FsError> {
        self.target.move_out(dir, name)
    }

    /// Puts the file in place, which completes the upload.
    ///
    /// # Errors
    ///
    /// When the system refuses. This includes write errors that quotas and network file systems
    /// report late.
    pub fn finish(self) -> Result<Stored, FsError> {
        let Self { path, target, made, first, gate, .. } = self;
        if let Some(First(first)) = first {
            first();
        }
        let Placed { size, name, kept, file } = target.commit(gate.as_deref())?;
        if let Some(made) = made {
            made.stay();
        }
        let path = match name {
            None => path,
            Some(name) => path.parent().join(&name),
        };
        Ok(Stored { path, size, kept, file })
    }

    /// Ends a failed upload: the file in place is restored as far as possible. With `keep`, the
    /// bytes that have arrived are kept for the client to resume the upload.
    pub fn fail(self, keep: bool) {
        self.target.abandon(keep);
    }
}
