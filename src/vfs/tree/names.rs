//! The names in a directory, read from the system in large blocks, and which names are
//! reserved.

use std::ffi::CStr;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::RawDir;

use crate::vfs::error::FsError;

/// Prefix of the name of each part of an upload. Clients may not use a name that begins with
/// it, in upper or lower case: some file systems ignore case.
pub(in crate::vfs) const PART_PREFIX: &[u8] = b".ftpd-part-";

/// Whether a name is reserved for parts of uploads.
pub(in crate::vfs) fn is_reserved(name: &[u8]) -> bool {
    let start = name.get(..PART_PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PART_PREFIX))
}

/// Reader of the names in a directory.
pub(in crate::vfs) struct Names {
    dir: OwnedFd,
    /// Buffer that the system fills.
    block: Vec<MaybeUninit<u8>>,
    /// The names of the last block, each followed by a NUL.
    found: Vec<u8>,
    /// Where in `found` the next name begins.
    at: usize,
    /// Whether the end of the directory was reached.
    over: bool,
}

/// Size of a block in bytes.
const BLOCK: usize = 32 << 10;

impl Names {
    /// Starts reading the names in a directory, which must be open for reading.
    pub(in crate::vfs) fn new(dir: OwnedFd) -> Self {
        Self { dir, block: Vec::new(), found: Vec::new(), at: 0, over: false }
    }

    /// Returns the directory and the next name; `None` at the end of the directory.
    pub(in crate::vfs) fn next(&mut self) -> Result<Option<(BorrowedFd<'_>, &CStr)>, FsError> {
        while self.at >= self.found.len() {
            if self.over {
                return Ok(None);
            }
            self.read()?;
        }
        let rest = self.found.get(self.at..).unwrap_or_default();
        let name = CStr::from_bytes_until_nul(rest).unwrap_or_default();
        self.at += name.count_bytes() + 1;
        Ok(Some((self.dir.as_fd(), name)))
    }

    /// Whether the remaining names are all reserved for parts.
    pub(in crate::vfs) fn are_reserved(&mut self) -> Result<bool, FsError> {
        while let Some((_, name)) = self.next()? {
            if !is_reserved(name.to_bytes()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there are no more names.
    pub(in crate::vfs) fn are_none(&mut self) -> Result<bool, FsError> {
        Ok(self.next()?.is_none())
    }

    /// Reads one block, without `.` and `..`.
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
