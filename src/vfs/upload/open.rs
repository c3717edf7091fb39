//! An upload that has begun.

use std::os::fd::BorrowedFd;

use super::body::{Placed, Target};
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;

/// An upload whose file is open. One that is dropped has failed, and what has arrived is kept for
/// the client to resume.
#[derive(Debug)]
pub struct Upload {
    path: VirtualPath,
    target: Box<dyn Target>,
}

impl Upload {
    pub(super) fn new(path: VirtualPath, target: Box<dyn Target>) -> Self {
        Self { path, target }
    }

    /// Returns the path that the upload was announced with.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Prepares the file for the first byte: cuts it back to where the upload begins.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn begin(&mut self) -> Result<(), FsError> {
        self.target.start()
    }

    /// Writes what has arrived.
    ///
    /// # Errors
    ///
    /// Those of the system; and [`FsError::TakenOver`] when another session goes on with the
    /// upload.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.target.write()?.body.write_all(bytes)
    }

    /// Writes this number of bytes that wait in a pipe. Returns whether the file takes them from
    /// there: if not, they were read first.
    ///
    /// # Errors
    ///
    /// Those of [`Upload::write_all`]. What the file has not taken is lost.
    pub fn splice_all(&mut self, pipe: BorrowedFd<'_>, bytes: usize) -> Result<bool, FsError> {
        let mut left = bytes;
        while left > 0 {
            // another session may take the upload over between two pieces
            let moved = self.target.write()?.body.splice(pipe, left)?;
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

    /// Puts the file in place. Only then is the upload complete. Returns its size, and its path,
    /// which is another one than announced if the name had to be new and somebody else has made
    /// such a file meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the system, even such as writing should have caused: quotas and networks may
    /// refuse this late.
    pub fn finish(self) -> Result<(u64, VirtualPath), FsError> {
        let Self { path, target } = self;
        let Placed { size, name } = target.commit()?;
        Ok((size, name.map_or(path.clone(), |name| path.parent().join(&name))))
    }

    /// Ends a failed upload: the file in place is restored as far as possible. With `keep`, what
    /// has arrived is left for the client to resume.
    pub fn fail(self, keep: bool) {
        self.target.abandon(keep);
    }
}
