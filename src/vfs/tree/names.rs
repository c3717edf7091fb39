//! The names in a directory, read from the system in large blocks.

use std::ffi::CStr;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::RawDir;

use crate::vfs::error::FsError;

/// The names that have not been given out yet.
pub(in crate::vfs) struct Names {
    dir: OwnedFd,
    /// For the system.
    block: Vec<MaybeUninit<u8>>,
    /// The names of a block, each with a NUL behind it.
    found: Vec<u8>,
    /// Where the next one begins.
    at: usize,
    /// The last block was the last.
    over: bool,
}

/// So much is asked for at once.
const BLOCK: usize = 32 << 10;

impl Names {
    /// Of a directory that was opened for reading.
    pub(in crate::vfs) fn new(dir: OwnedFd) -> Self {
        Self { dir, block: Vec::new(), found: Vec::new(), at: 0, over: false }
    }

    /// The directory.
    pub(in crate::vfs) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Puts the next name into a buffer, with its NUL; says whether there was one.
    pub(in crate::vfs) fn take(&mut self, name: &mut Vec<u8>) -> Result<bool, FsError> {
        name.clear();
        while self.at >= self.found.len() {
            if self.over {
                return Ok(false);
            }
            self.read()?;
        }
        let rest = self.found.get(self.at..).unwrap_or_default();
        let next = CStr::from_bytes_until_nul(rest).unwrap_or_default().to_bytes_with_nul();
        name.extend_from_slice(next);
        self.at += next.len();
        Ok(true)
    }

    /// Reads one block, `.` and `..` left out.
    fn read(&mut self) -> Result<(), FsError> {
        self.block.resize(BLOCK, MaybeUninit::uninit());
        self.found.clear();
        self.at = 0;
        let mut entries = RawDir::new(&self.dir, &mut self.block);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes_with_nul();
            if !matches!(name, b".\0" | b"..\0") {
                self.found.extend_from_slice(name);
            }
            if entries.is_buffer_empty() {
                return Ok(());
            }
        }
        self.over = true;
        Ok(())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("dir", &self.dir)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
