//! Where uploads go: to the path that the client has sent, or to the place where `store_as` files them.

use crate::config::{Filing, Moment};
use crate::vfs::error::FsError;
use crate::vfs::parts::known::PartKey;
use crate::vfs::parts::name::PartName;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::folder::Folder;

use super::own;
use super::uploads::Uploads;

/// The path of a file or directory that is about to be made.
#[derive(Debug, Clone)]
pub struct Destination {
    path: VirtualPath,
    /// The directory below which the settings demand directories (`store_as`).
    base: Option<VirtualPath>,
}

/// Number of parts of one name that are forgotten at once.
const MOST_FORGOTTEN: usize = 1000;

impl Destination {
    /// Returns the destination with exactly this path.
    pub fn exactly(path: VirtualPath) -> Self {
        Self { path, base: None }
    }

    /// Returns the path.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Whether the settings have chosen the path (`store_as`).
    pub(in crate::vfs) fn is_filed(&self) -> bool {
        self.base.is_some()
    }

    /// Whether a directory above the path is one that the settings demand.
    pub(super) fn demands(&self, dir: &VirtualPath) -> bool {
        let base = self.base.as_ref();
        base.is_some_and(|base| dir.as_bytes().len() > base.as_bytes().len())
    }

    /// Returns where a file goes that the client stores at a path now.
    ///
    /// # Errors
    ///
    /// [`FsError::Unfiled`], if `store_as` makes no valid path of its name.
    pub(in crate::vfs) fn of(uploads: &Uploads, path: &VirtualPath) -> Result<Self, FsError> {
        match filing(uploads, path)? {
            None => Ok(Self::exactly(path.clone())),
            Some(filing) => Self::filed(uploads, path, filing, Moment::now()),
        }
    }

    /// Returns where a file goes that was filed at `from` when the client stored it as `named`, and that
    /// the client renames to `to` in the same directory: to the place where it would have been filed
    /// under that name, or else beside its old name.
    ///
    /// # Errors
    ///
    /// As for [`Destination::of`].
    pub(in crate::vfs) fn again(
        uploads: &Uploads,
        named: &VirtualPath,
        from: &VirtualPath,
        to: &VirtualPath,
    ) -> Result<Self, FsError> {
        let moment = |filing: &Filing| {
            filing.moment(&uploads.paper(named.name()), below(from, &named.parent())?)
        };
        match filing(uploads, named)?.and_then(|filing| Some((filing, moment(filing)?))) {
            None => Ok(Self::exactly(from.parent().join(to.name()))),
            Some((filing, at)) => Self::filed(uploads, to, filing, at),
        }
    }

    fn filed(
        uploads: &Uploads,
        path: &VirtualPath,
        filing: &Filing,
        at: Moment,
    ) -> Result<Self, FsError> {
        let base = path.parent();
        let below = filing.path(&uploads.paper(path.name()), at).ok_or(FsError::Unfiled)?;
        Ok(Self { path: base.join(&below), base: Some(base) })
    }
}

/// Returns where the user's own part is that an upload of the client to a path has left, today or
/// earlier, if uploads to it are filed.
pub(in crate::vfs) fn begun(uploads: &Uploads, path: &VirtualPath) -> Option<VirtualPath> {
    if !uploads.rules().atomic || !uploads.parts.are_there() {
        return None;
    }
    let filing = filing(uploads, path).ok()??;
    let (base, paper) = (path.parent(), uploads.paper(path.name()));
    let inner = uploads.tree.inner(&base);
    uploads.parts.youngest(|key: PartKey, folder: &Folder, part: &PartName| {
        let dir = below(&folder.path, &inner).filter(|_| folder.home == uploads.tree.home())?;
        let place = base.join(dir).join(&part.name);
        filing.moment(&paper, below(&place, &base)?)?;
        (key.mark == uploads.mark(&part.name)).then_some(place)
    })
}

/// Removes the parts that [`begun`] finds, because a newer upload to the path is complete.
pub(in crate::vfs) fn forget(uploads: &Uploads, path: &VirtualPath) {
    for _ in 0..MOST_FORGOTTEN {
        let Some(place) = begun(uploads, path) else { return };
        if !own::forget(uploads, &place).is_ok_and(|was_there| was_there) {
            return;
        }
    }
}

/// Returns the template by which an upload to a path is filed.
fn filing<'u>(uploads: &'u Uploads, path: &VirtualPath) -> Result<Option<&'u Filing>, FsError> {
    // such a path cannot lead to a file, and is refused as ever
    if !uploads.user.files_uploads() || path.is_directory_s() {
        return Ok(None);
    }
    Ok(uploads.rules_at(&path.parent())?.store_as.as_deref())
}

/// Returns the path from a directory to something below it; empty for the directory itself.
fn below<'p>(path: &'p VirtualPath, base: &VirtualPath) -> Option<&'p [u8]> {
    let base = if base.is_root() { b"" } else { base.as_bytes() };
    let path = if path.is_root() { b"" } else { path.as_bytes() };
    match path.strip_prefix(base)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}
