//! Symbolic links that clients make.
//!
//! A link leads only to what lies in its own directory or below it, and its text contains neither `..`
//! nor a leading slash. So it leads to nothing else when it or a directory around it is renamed: this
//! server would not follow it out of the home, but other programs that read the files might.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::symlinkat;

use super::Files;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::count::Count;
use crate::vfs::tree::check_name;
use crate::vfs::tree::place::as_path;
use crate::vfs::tree::sync::Synced;

impl Files {
    /// Makes a symbolic link that leads to a file or directory.
    ///
    /// # Errors
    ///
    /// When the system refuses; or [`FsError::Denied`], if the target does not lie below the directory
    /// of the link.
    pub fn make_link(&self, target: &VirtualPath, link: &VirtualPath) -> Result<(), FsError> {
        self.check_free(link)?;
        let uploads = self.at(link)?;
        if !Arc::ptr_eq(uploads, self.at(target)?) {
            return Err(FsError::Across);
        }
        let tree = &uploads.tree;
        check_name(link)?;
        uploads.check_name(link)?;
        tree.check_free(link)?;
        let place = tree.place(link)?;
        let real = tree.followed(target)?;
        check_name(&real)?;
        let text = below(&real, &tree.followed(&place.parent)?)?;
        let count = Count { bytes: text.len() as u64, files: 1 };
        let synced = Synced::open(&place.dir, tree.syncs())?;
        let make = || Ok(symlinkat(as_path(text), place.dir.as_fd(), as_path(&place.name))?);
        let payer = uploads.payer();
        uploads.with_room(count.bytes, || {
            let _alone = uploads.alone();
            uploads.check_name(link)?;
            payer.filling(&place.dir, count, make)
        })?;
        synced.sync(|| tree.real(link))
    }
}

/// Returns the path of what lies below a directory, relative to it. Both paths lead through no link.
fn below<'p>(path: &'p VirtualPath, directory: &VirtualPath) -> Result<&'p [u8], FsError> {
    let mut above = directory.as_bytes().to_vec();
    if !directory.is_root() {
        above.push(b'/');
    }
    let text = path.as_bytes().strip_prefix(above.as_slice()).filter(|text| !text.is_empty());
    text.ok_or_else(|| {
        FsError::Denied(io::Error::other("a link leads only to what lies below its directory"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_leads_only_downwards() {
        let path = |path: &str| VirtualPath::root().join(path.as_bytes());
        for (to, directory, wanted) in [
            ("/a/b", "/a", Some("b")),
            ("/a/b/c", "/a", Some("b/c")),
            ("/a", "/", Some("a")),
            ("/a", "/a", None),
            ("/", "/", None),
            ("/ab", "/a", None),
            ("/b", "/a", None),
            ("/", "/a", None),
        ] {
            let text = path(to);
            let text = below(&text, &path(directory)).ok();
            assert_eq!(text, wanted.map(str::as_bytes), "{to} {directory}");
        }
    }
}
