//! Files in ASCII type: what they are on the wire, and where an offset there lies in the file.

use std::fs::File;
use std::io::Read;

use rustix::io::{Errno, pread};

use super::Source;
use super::ascii::{self, Offset};
use crate::vfs::FsError;

/// Files are read in pieces of this size.
const CHUNK: usize = 32 << 10;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The byte.
    pub offset: u64,
    /// Whether the place lies between the CR and the LF that stand for that byte on the wire.
    pub inside: bool,
}

/// How long a file is on the wire.
///
/// # Errors
///
/// The system's.
pub fn wire_size(file: &File) -> Result<u64, FsError> {
    let mut size = 0;
    scan(file, |chunk| {
        size += ascii::wire_len(chunk);
        true
    })?;
    Ok(size)
}

/// Where `wire` bytes of a transfer end in the file; nothing if that is beyond its end.
///
/// # Errors
///
/// The system's.
pub fn local_offset(file: &File, wire: u64) -> Result<Option<At>, FsError> {
    let (mut left, mut offset) = (wire, 0);
    let mut found = None;
    scan(file, |chunk| {
        match ascii::find(chunk, left) {
            Offset::Here(at) => found = Some(At { offset: offset + at as u64, inside: false }),
            Offset::InsideLineEnd(at) => {
                found = Some(At { offset: offset + at as u64, inside: true });
            }
            Offset::Behind(more) => (left, offset) = (more, offset + chunk.len() as u64),
        }
        found.is_none()
    })?;
    Ok(found.or((left == 0).then_some(At { offset, inside: false })))
}

/// Reads a file from its beginning, until `take` has enough.
fn scan(mut file: &File, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), FsError> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        match chunk.get(..read) {
            Some(bytes) if read > 0 && take(bytes) => {}
            _ => return Ok(()),
        }
    }
}

/// A file with lines as they are on the wire.
#[derive(Debug)]
pub struct TextSource<'a> {
    file: &'a File,
    at: At,
    end: u64,
    local: Vec<u8>,
}

impl<'a> TextSource<'a> {
    /// From a place on, up to where the file ends now.
    pub fn new(file: &'a File, at: At, end: u64) -> Self {
        Self { file, at, end, local: Vec::new() }
    }
}

impl Source for TextSource<'_> {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, FsError> {
        let left = usize::try_from(self.end.saturating_sub(self.at.offset));
        self.local.resize(left.unwrap_or(usize::MAX).min(CHUNK), 0);
        let read = match pread(self.file, self.local.as_mut_slice(), self.at.offset) {
            Err(Errno::INTR) => return Ok(true),
            other => other?,
        };
        let mut local = self.local.get(..read).unwrap_or_default();
        self.at.offset += read as u64;
        if read > 0 && std::mem::take(&mut self.at.inside) {
            // its CR went out with an earlier transfer
            out.push(b'\n');
            local = local.get(1..).unwrap_or_default();
        }
        ascii::to_wire(local, out);
        Ok(read > 0)
    }
}
