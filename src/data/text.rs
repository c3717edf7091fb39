//! Files in ASCII type: their size on the wire, and the byte of the file that an offset on the
//! wire means.
//!
//! Both can be found only by reading the file, before there is a data connection. The caller
//! reads no more than [`MOST_COUNTED`] bytes. `heed` is called between the pieces and can end
//! the work.

use std::fs::File;

use rustix::io::{Errno, pread};

use super::ascii::{Offset, ToWire};
use super::producer::Producer;
use crate::vfs::{FsError, Heed};

/// Size of the pieces in which files are read.
const CHUNK: usize = 32 << 10;

/// Maximum number of bytes of a file that are read to answer SIZE, or to find where a transfer
/// continues.
pub const MOST_COUNTED: u64 = 64 << 20;

/// A place in a file that is sent in ASCII type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The byte of the file.
    pub offset: u64,
    /// Whether the place lies between the CR and the LF that are sent for this byte.
    pub inside: bool,
    /// Whether the byte before the place is a CR.
    after_cr: bool,
}

impl At {
    /// Returns the place of a byte with no converted line before it: in a file that is sent in
    /// binary type, or at the start of any file.
    pub fn byte(offset: u64) -> Self {
        Self { offset, inside: false, after_cr: false }
    }
}

/// Returns how many bytes the first `size` bytes of a file take on the wire.
///
/// # Errors
///
/// Returns the system's error, or [`FsError::Interrupted`].
pub fn wire_size(file: &File, size: u64, heed: &mut Heed<'_>) -> Result<u64, FsError> {
    let (mut state, mut sum) = (ToWire::default(), 0);
    scan(file, size, heed, |chunk| {
        sum += state.len(chunk);
        true
    })?;
    Ok(sum)
}

/// Returns the place in a file of this size after which a transfer has sent `wire` bytes;
/// `None` if the whole file takes fewer bytes.
///
/// # Errors
///
/// Returns the system's error, or [`FsError::Interrupted`].
pub fn local_offset(
    file: &File,
    size: u64,
    wire: u64,
    heed: &mut Heed<'_>,
) -> Result<Option<At>, FsError> {
    let (mut left, mut offset) = (wire, 0);
    let mut state = ToWire::default();
    let mut found = None;
    // each byte of the file takes one or two bytes on the wire
    scan(file, size.min(wire.saturating_add(1)), heed, |chunk| {
        let (at, inside) = match state.find(chunk, left) {
            Offset::Here(at) => (at, false),
            Offset::InsideLineEnd(at) => (at, true),
            Offset::Behind(more) => {
                (left, offset) = (more, offset + chunk.len() as u64);
                return true;
            }
        };
        let after_cr = !inside && state.is_after_cr();
        found = Some(At { offset: offset + at as u64, inside, after_cr });
        false
    })?;
    let end = At { offset, inside: false, after_cr: state.is_after_cr() };
    Ok(found.or((left == 0).then_some(end)))
}

/// Reads a file from the start, until `take` returns `false`.
fn scan(
    file: &File,
    size: u64,
    heed: &mut Heed<'_>,
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<(), FsError> {
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    while offset < size {
        let wanted = usize::try_from(size - offset).unwrap_or(CHUNK).min(CHUNK);
        let read = match pread(file, chunk.get_mut(..wanted).unwrap_or_default(), offset) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        match chunk.get(..read) {
            Some(bytes) if read > 0 && take(bytes) => offset += read as u64,
            _ => return Ok(()),
        }
        if !heed() {
            return Err(FsError::Interrupted);
        }
    }
    Ok(())
}

/// A file whose lines are converted to those of the wire.
#[derive(Debug)]
pub struct TextSource<'a> {
    file: &'a File,
    at: At,
    state: ToWire,
    end: u64,
    local: Vec<u8>,
}

impl<'a> TextSource<'a> {
    /// Creates a source of the text from a place on, up to `end`, where the file ends now.
    pub fn new(file: &'a File, at: At, end: u64) -> Self {
        // inside a line end, the CR was sent by an earlier transfer
        let state = ToWire::behind(at.inside || at.after_cr);
        Self { file, at, state, end, local: Vec::new() }
    }
}

impl TextSource<'_> {
    /// Returns whether the file has become shorter than it was at the start.
    pub fn is_short(&self) -> bool {
        self.at.offset < self.end
    }
}

impl Producer for TextSource<'_> {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError> {
        let left = usize::try_from(self.end.saturating_sub(self.at.offset));
        self.local.resize(left.unwrap_or(usize::MAX).min(CHUNK), 0);
        let read = match pread(self.file, self.local.as_mut_slice(), self.at.offset) {
            Err(Errno::INTR) => return Ok(true),
            other => other?,
        };
        self.at.offset += read as u64;
        self.state.take(self.local.get(..read).unwrap_or_default(), out);
        Ok(read > 0)
    }
}
