//! The open file of an upload, and the operations that each way to write an upload has.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use rustix::fs::fsync;
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::config::GateRules;
use crate::vfs::error::FsError;
use crate::vfs::quota::meter::Meter;
use crate::vfs::tree::entry::Identity;
use crate::vfs::tree::sync::write_out;

/// The open file of an upload, and how much was written to it.
#[derive(Debug)]
pub(super) struct Body {
    /// `None` once it is closed.
    pub(super) file: Option<File>,
    /// Where the upload begins.
    pub(super) offset: u64,
    /// Bytes that were written.
    pub(super) written: u64,
    /// Where the file counts.
    pub(super) meter: Meter,
}

/// An upload that is written in one of several ways. Dropping it abandons the upload and keeps
/// the bytes that have arrived.
pub(super) trait Target: Send {
    /// Prepares for the first byte: cuts the file back to where the upload begins.
    fn start(&mut self) -> Result<(), FsError>;

    /// Allows writing to the file until the result is dropped.
    fn write(&mut self) -> Result<Writing<'_>, FsError>;

    /// Returns the size that the file has by now.
    fn reached(&mut self) -> Result<u64, FsError> {
        Ok(self.write()?.body.size())
    }

    /// Makes the file complete, but not yet visible under its name, so that it can be judged.
    fn hold(&mut self) -> Result<Whole, FsError> {
        Err(FsError::Unjudgeable)
    }

    /// Renames the file that was made complete to a new name in a directory outside of the tree.
    fn move_out(&self, _dir: BorrowedFd<'_>, _name: &Path) -> Result<(), FsError> {
        Err(FsError::Unjudgeable)
    }

    /// Makes the upload complete, and visible under its name. `gate` has judged it.
    fn commit(self: Box<Self>, gate: Option<&GateRules>) -> Result<Placed, FsError>;

    /// Restores the file in place as far as possible. With `keep`, the bytes that have arrived
    /// are kept for the client to resume the upload.
    fn abandon(self: Box<Self>, keep: bool);
}

/// Names the type alone. Formatting the fields would link the code that formats all parts.
impl fmt::Debug for dyn Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Target")
    }
}

/// The right to write to the file of an upload.
pub(super) struct Writing<'u> {
    pub(super) body: &'u mut Body,
    /// Keeps another session from taking the file over.
    pub(super) _guard: Option<MutexGuard<'u, bool>>,
}

/// The whole file of an upload that is not in place yet.
#[derive(Debug)]
pub struct Whole {
    /// The file, open for reading.
    pub file: File,
    /// The path on the server that the file has at present.
    pub part: PathBuf,
    /// Size of the file in bytes.
    pub size: u64,
}

/// An upload that is complete.
#[derive(Debug)]
pub(super) struct Placed {
    /// Size of the file.
    pub(super) size: u64,
    /// The name of the file, if it differs from the requested one.
    pub(super) name: Option<Vec<u8>>,
    /// Whether the old version was moved to the trash.
    pub(super) kept: bool,
    /// The file, if it is a new one to which its session may go on writing.
    pub(super) file: Option<Identity>,
}

impl Body {
    /// Begins an upload at an offset of a file.
    pub(super) fn new(file: File, offset: u64, meter: Meter) -> Self {
        Self { file: Some(file), offset, written: 0, meter }
    }

    /// Returns the file, unless it is closed.
    pub(super) fn file(&self) -> Result<&File, FsError> {
        self.file.as_ref().ok_or(FsError::NotFound)
    }

    /// Returns the size that the file has if all bytes are in it.
    pub(super) fn size(&self) -> u64 {
        self.offset + self.written
    }

    /// Cuts the file back to where the upload begins, and writes from there on.
    pub(super) fn cut_to_offset(&mut self) -> Result<(), FsError> {
        if let Some(file) = &mut self.file {
            if file.metadata()?.len() > self.offset {
                self.meter.cut(file, || Ok(file.set_len(self.offset)?))?;
            }
            // a file that was opened just now is at its beginning
            if self.offset > 0 {
                file.seek(SeekFrom::Start(self.offset))?;
            }
        }
        Ok(())
    }

    /// Writes bytes.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        let at = self.size();
        let file = self.file.as_ref().ok_or(FsError::NotFound)?;
        let reserved = self.meter.reserve(file, at, bytes.len() as u64)?;
        let (written, done) = write_all(file, bytes);
        reserved.written(file, written);
        self.written += written;
        done
    }

    /// Moves bytes from a pipe into the file, and returns their number. Returns `None` if this
    /// is not possible, because the file is open for appending or its file system does not
    /// support it.
    pub(super) fn splice(
        &mut self,
        pipe: BorrowedFd<'_>,
        bytes: usize,
    ) -> Result<Option<usize>, FsError> {
        let at = self.size();
        let file = self.file.as_ref().ok_or(FsError::NotFound)?;
        let reserved = self.meter.reserve(file, at, bytes as u64)?;
        let moved = splice(pipe, None, file, None, bytes, SpliceFlags::MOVE);
        reserved.written(file, moved.unwrap_or_default() as u64);
        match moved {
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(moved) => {
                self.written += moved as u64;
                Ok(Some(moved))
            }
            Err(Errno::INTR) => Ok(Some(0)),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Brings the data of the file to the disk. With `wholly`, also its times and its mode; this
    /// fails if the file system cannot sync files.
    pub(super) fn sync(&self, wholly: bool) -> Result<(), FsError> {
        if wholly { Ok(fsync(self.file()?)?) } else { write_out(self.file()?) }
    }

    /// Closes the file. Some file systems report write errors only when a file is closed.
    pub(super) fn close(&mut self) -> Result<(), FsError> {
        let file = self.file.take().ok_or(FsError::NotFound)?;
        nix::unistd::close(file).map_err(|errno| io::Error::from(errno).into())
    }
}

/// Writes bytes to a file. Returns how many were written: those that were written before the disk
/// was full count as well.
fn write_all(mut file: &File, bytes: &[u8]) -> (u64, Result<(), FsError>) {
    let mut rest = bytes;
    let done = loop {
        if rest.is_empty() {
            break Ok(());
        }
        match file.write(rest) {
            Ok(0) => break Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => break Err(why.into()),
        }
    };
    ((bytes.len() - rest.len()) as u64, done)
}
