//! Renames the files below a directory whose names are in another charset than UTF-8.
//!
//! Each directory is held open while its entries are renamed, and no link is followed, so that it can
//! be done as root in homes that others write to.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with};
use rustix::io::Errno;

use super::tree::names::is_reserved;
use crate::config::Encoding;

/// How names are converted.
#[derive(Debug, Clone, Copy)]
pub struct Respelling {
    /// The charset that the names are in now.
    pub from: Encoding,
    /// Whether to convert names as well that are valid UTF-8.
    pub force: bool,
    /// Whether to say only what would be done.
    pub dry_run: bool,
}

/// What became of one name that is not ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Respelt {
    /// It was converted, or would be, to this one.
    Converted(String),
    /// It is valid UTF-8, and would be this one if it is not what it means.
    Doubtful(String),
    /// It is neither UTF-8 nor in the charset.
    Unreadable,
    /// Another file has the converted name.
    Taken(String),
    /// The system refused.
    Failed(String),
}

impl Respelling {
    /// Converts the names of all files and directories below a directory, but not its own. `report` is
    /// told of each name, with the path that it had.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened.
    pub fn run(
        self,
        dir: &Path,
        report: &mut dyn FnMut(&Path, Respelt),
    ) -> std::io::Result<()> {
        // what the caller names may be a link
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(CWD, dir, flags, Mode::empty())?;
        self.respell(&handle, dir, report);
        Ok(())
    }

    /// Converts the names in an open directory, after those in its directories.
    fn respell(self, dir: &OwnedFd, path: &Path, report: &mut dyn FnMut(&Path, Respelt)) {
        let entries = match entries(dir) {
            Ok(entries) => entries,
            Err(why) => return report(path, Respelt::Failed(why.to_string())),
        };
        for (name, kind) in entries {
            // clients see no part of an upload; its name is found again by the bytes that it has
            if is_reserved(name.to_bytes()) {
                continue;
            }
            let below = path.join(OsStr::from_bytes(name.to_bytes()));
            if matches!(kind, FileType::Directory | FileType::Unknown) {
                let flags =
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(dir, &*name, flags, Mode::empty()) {
                    Ok(inner) => self.respell(&inner, &below, report),
                    Err(Errno::NOTDIR | Errno::LOOP) => {}
                    Err(why) => report(&below, Respelt::Failed(why.to_string())),
                }
            }
            if let Some(respelt) = self.convert(dir, &name) {
                report(&below, respelt);
            }
        }
    }

    /// Converts one name, unless it is right as it is.
    fn convert(self, dir: &OwnedFd, name: &CStr) -> Option<Respelt> {
        let bytes = name.to_bytes();
        if bytes.is_ascii() {
            return None;
        }
        let is_utf8 = std::str::from_utf8(bytes).is_ok();
        let Some(new) = self.from.read(bytes).map(Cow::into_owned) else {
            return (!is_utf8).then_some(Respelt::Unreadable);
        };
        if is_utf8 && !self.force {
            return Some(Respelt::Doubtful(new));
        }
        Some(match self.rename(dir, name, &new) {
            Ok(()) => Respelt::Converted(new),
            Err(Errno::EXIST) => Respelt::Taken(new),
            Err(why) => Respelt::Failed(why.to_string()),
        })
    }

    fn rename(self, dir: &OwnedFd, name: &CStr, new: &str) -> Result<(), Errno> {
        if is_reserved(new.as_bytes()) {
            return Err(Errno::INVAL);
        }
        if self.dry_run {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            return match openat(dir, new, flags, Mode::empty()) {
                Err(Errno::NOENT) => Ok(()),
                Ok(_) => Err(Errno::EXIST),
                Err(why) => Err(why),
            };
        }
        renameat_with(dir, name, dir, new, RenameFlags::NOREPLACE)
    }
}

/// Returns the names in a directory with their kinds, all before the first of them changes.
fn entries(dir: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir.as_fd())? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(entries)
}
