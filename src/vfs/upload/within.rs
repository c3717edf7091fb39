//! Uploads whose bytes come from another file of the server. The kernel copies them, or only refers to
//! them where the file system can.

use std::fs::File;

use rustix::fs::copy_file_range;
use rustix::io::{Errno, pread};

use super::body::Body;
use super::open::Upload;
use crate::vfs::error::FsError;
use crate::vfs::hash::Told;

/// Number of bytes that are copied between two looks at the client.
const STEP: u64 = 4 << 20;

/// Size of the pieces in which a file is read where the kernel cannot copy it.
const PIECE: u64 = 128 << 10;

impl Upload {
    /// Writes the first bytes of a file, and tells how many are done.
    ///
    /// # Errors
    ///
    /// As for [`Upload::write_all`]; [`FsError::Interrupted`], if `told` says so; or
    /// [`FsError::Busy`], if the file has become shorter.
    pub(in crate::vfs) fn copy_all(
        &mut self,
        source: &File,
        size: u64,
        told: &mut Told<'_>,
    ) -> Result<(), FsError> {
        let (mut done, mut by_kernel) = (0, true);
        while done < size {
            let left = size - done;
            let step = left.min(if by_kernel { STEP } else { PIECE });
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            let copied = if by_kernel {
                self.copy_some(source, done, step)?
            } else {
                Some(self.read_some(source, done, step)?)
            };
            match copied {
                Some(copied) => done += copied as u64,
                None => by_kernel = false,
            }
            if !told(done) {
                return Err(FsError::Interrupted);
            }
        }
        Ok(())
    }

    /// Lets the kernel copy some bytes, and returns their number; `None`: it cannot.
    fn copy_some(
        &mut self,
        source: &File,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<usize>, FsError> {
        self.check_room(bytes)?;
        match self.body_to_write(|body| body.copy(source, offset, bytes)) {
            Err(why) if self.is_relieved(&why, bytes) => Ok(Some(0)),
            copied => copied,
        }
    }

    fn read_some(
        &mut self,
        source: &File,
        offset: u64,
        bytes: usize,
    ) -> Result<usize, FsError> {
        let mut piece = vec![0; bytes];
        let read = match pread(source, piece.as_mut_slice(), offset) {
            Err(Errno::INTR) => return Ok(0),
            // the file has become shorter
            Ok(0) => return Err(FsError::Busy),
            read => read?,
        };
        self.write_all(piece.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

impl Body {
    /// Lets the kernel copy bytes of another file, and returns their number. Returns `None` if it
    /// cannot: the files are on different file systems, or of a kind that it does not copy.
    fn copy(
        &mut self,
        source: &File,
        mut offset: u64,
        bytes: usize,
    ) -> Result<Option<usize>, FsError> {
        let at = self.size();
        let file = self.file.as_ref().ok_or(FsError::NotFound)?;
        let reserved = self.meter.reserve(file, at, bytes as u64)?;
        let copied = copy_file_range(source, Some(&mut offset), file, None, bytes);
        reserved.written(file, copied.unwrap_or_default() as u64);
        match copied {
            Ok(0) => Err(FsError::Busy),
            Ok(copied) => {
                self.written += copied as u64;
                Ok(Some(copied))
            }
            Err(Errno::INTR) => Ok(Some(0)),
            Err(
                Errno::INVAL
                | Errno::NOSYS
                | Errno::OPNOTSUPP
                | Errno::XDEV
                | Errno::BADF
                | Errno::PERM,
            ) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }
}
