//! Files as they are shown to a user: a file that the user has not finished uploading has the
//! size of its part, so that the upload can be resumed.

use std::fs::File;

use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::entry::{Entry, FileKind};
use crate::vfs::upload::own;
use crate::vfs::upload::uploads::Uploads;

/// Describes the file or directory that a path leads to. Follows links.
pub(super) fn stat(uploads: &Uploads, path: &VirtualPath) -> Result<Entry, FsError> {
    with_part(uploads, path, uploads.tree.stat(path))
}

/// Describes the entry at a path, as its directory lists it. A link at the end is not followed.
pub(super) fn entry(uploads: &Uploads, path: &VirtualPath) -> Result<Entry, FsError> {
    let entry = uploads.tree.entry_with(path, |path| stat(uploads, path));
    with_part(uploads, path, entry)
}

/// Opens a file, or the part that is shown under its name, and returns its size as well.
pub(super) fn read(uploads: &Uploads, path: &VirtualPath) -> Result<(File, u64), FsError> {
    own::read(uploads, path).map_or_else(|| uploads.tree.read(path), Ok)
}

fn with_part(
    uploads: &Uploads,
    path: &VirtualPath,
    there: Result<Entry, FsError>,
) -> Result<Entry, FsError> {
    match there {
        Ok(entry) if entry.followed().kind != FileKind::File => Ok(entry),
        Ok(mut entry) => {
            if let Some(part) = own::look(uploads, path) {
                entry.show_part(&part);
            }
            Ok(entry)
        }
        Err(FsError::NotFound) => match own::look(uploads, path) {
            Some(part) => Ok(Entry::of_part(path.name().to_owned(), &part)),
            None => Err(FsError::NotFound),
        },
        Err(why) => Err(why),
    }
}
