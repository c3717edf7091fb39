//! Files in ASCII type: what they are on the wire, and where an offset there lies in the file.
//!
//! Both take reading the file, before any data connection is made. So no more than
//! [`MOST_COUNTED`] bytes are read for it, and whoever asks is heard between the pieces.

use std::fs::File;

use rustix::io::{Errno, pread};

use super::ascii::{Offset, ToWire};
use super::producer::Producer;
use crate::vfs::{FsError, Heed};

/// Files are read in pieces of this size.
const CHUNK: usize = 32 << 10;

/// Number of bytes of a file that may be read to answer SIZE, or to find where a transfer goes on.
pub const MOST_COUNTED: u64 = 64 << 20;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The byte.
    pub offset: u64,
    /// Whether the place lies between the CR and the LF that are sent for that byte.
    pub inside: bool,
    /// Whether the byte before it is a CR.
    after_cr: bool,
}

impl At {
    /// A byte of a file that is sent as it is, or the first byte of any file.
    pub fn byte(offset: u64) -> Self {
        Self { offset, inside: false, after_cr: false }
    }
}

/// How long the first `size` bytes of a file are on the wire.
///
/// # Errors
///
/// The system's, and [`FsError::Interrupted`].
pub fn wire_size(file: &File, size: u64, heed: &mut Heed<'_>) -> Result<u64, FsError> {
    let (mut state, mut sum) = (ToWire::default(), 0);
    scan(file, size, heed, |chunk| {
        sum += state.len(chunk);
        true
    })?;
    Ok(sum)
}

/// Where `wire` bytes of a transfer end in a file of this size; nothing if that is beyond its end.
///
/// # Errors
///
/// The system's, and [`FsError::Interrupted`].
pub fn local_offset(
    file: &File,
    size: u64,
    wire: u64,
    heed: &mut Heed<'_>,
) -> Result<Option<At>, FsError> {
    let (mut left, mut offset) = (wire, 0);
    let mut state = ToWire::default();
    let mut found = None;
    // each byte of the file is one or two of the wire
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

/// Reads the beginning of a file, until `take` has enough.
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

/// A file with lines as they are on the wire.
#[derive(Debug)]
pub struct TextSource<'a> {
    file: &'a File,
    at: At,
    state: ToWire,
    end: u64,
    local: Vec<u8>,
}

impl<'a> TextSource<'a> {
    /// From a place on, up to where the file ends now.
    pub fn new(file: &'a File, at: At, end: u64) -> Self {
        // inside of a line end the CR went out with an earlier transfer
        let state = ToWire::behind(at.inside || at.after_cr);
        Self { file, at, state, end, local: Vec::new() }
    }
}

impl TextSource<'_> {
    /// Whether the file had its end before the place where it ended at the beginning.
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
