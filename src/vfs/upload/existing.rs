//! The file that an upload finds in place.

use std::fs::File;

use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;

use crate::vfs::error::FsError;
use crate::vfs::tree::entry::plain;
use crate::vfs::tree::place::Place;
use crate::vfs::tree::{Tree, check_name};

/// A file that is in place, opened for writing.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) file: File,
    pub(super) stat: Stat,
}

/// Maximum number of links that are followed one after the other.
const LINKS: u32 = 16;

/// Opens the file at a place, for writing or only for appending. Follows links. Returns the
/// place that they lead to, and the file if it exists.
pub(super) fn find(
    tree: &Tree,
    mut place: Place,
    append: bool,
) -> Result<(Place, Option<Existing>), FsError> {
    // a file with the attribute +a can be opened only for appending
    let flags = if append { OFlags::WRONLY | OFlags::APPEND } else { OFlags::WRONLY };
    for _ in 0..LINKS {
        match place.open(flags) {
            Ok(file) => {
                let stat = plain(&file)?;
                return Ok((place, Some(Existing { file, stat })));
            }
            Err(Errno::NOENT) => return Ok((place, None)),
            Err(Errno::LOOP) => {
                // this fails for a link that leads to nothing: no file is created by way of it
                let path = tree.followed(&place.path())?;
                check_name(&path)?;
                place = tree.place(&path)?;
            }
            Err(why) => return Err(why.into()),
        }
    }
    Err(FsError::NotFound)
}
