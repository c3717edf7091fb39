//! A walk through everything below a directory. It needs little memory and few open files, however
//! wide or deep the tree is, and never follows a link.
//!
//! A directory is read to its end before one of its subdirectories is opened. Until then, the walk
//! keeps only the names of the subdirectories. Each is opened by its path below the root and must
//! still be the directory that was seen, so that nothing that is moved meanwhile leads the walk
//! elsewhere.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, Stat, fstat};

use super::beneath::Root;
use super::entry::{FileId, FileKind, id_of};
use super::names::Names;
use super::place::lstat;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;

/// What a walk is made for.
pub(in crate::vfs) trait Visitor {
    /// Called before the entries of a directory are read.
    fn begin(&mut self, _folder: &VirtualPath, _stat: &Stat) {}

    /// Called for each entry of a directory, whatever its kind. A subdirectory is entered later,
    /// once the directory was read to its end.
    fn entry(&mut self, found: &Found<'_>) -> Next;

    /// Called after all entries of a directory were read, and before its subdirectories are
    /// entered. Returns whether the walk continues.
    fn read(&mut self, _folder: &VirtualPath) -> bool {
        true
    }

    /// Called when a directory and everything below it was visited.
    fn end(&mut self, _folder: &VirtualPath) {}

    /// Called for a directory that cannot be read, or not to its end. The walk continues with the
    /// next one.
    fn failed(&mut self, folder: &VirtualPath, why: FsError);
}

/// An entry that the walk has found.
#[derive(Debug)]
pub(in crate::vfs) struct Found<'w> {
    /// The directory of the entry, open for reading.
    pub(in crate::vfs) dir: BorrowedFd<'w>,
    /// Attributes of the directory when it was opened.
    pub(in crate::vfs) dir_stat: &'w Stat,
    /// Path of the directory below the root of the walk.
    pub(in crate::vfs) folder: &'w VirtualPath,
    /// Name of the entry.
    pub(in crate::vfs) name: &'w [u8],
    /// Attributes of the entry. Those of a link are its own.
    pub(in crate::vfs) stat: Stat,
}

/// How the walk continues after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vfs) enum Next {
    /// With the next entry; if this one is a directory, it is entered later.
    Enter,
    /// With the next entry; this one is not entered.
    Skip,
    /// Not at all.
    Stop,
}

/// The subdirectories of one directory that are still to be entered.
#[derive(Debug)]
struct Level {
    folder: VirtualPath,
    /// Their names, each followed by a slash, which no name contains.
    names: Vec<u8>,
    /// Their ids, in the order of the names.
    ids: Vec<FileId>,
}

impl Found<'_> {
    /// Returns the path of the entry below the root of the walk.
    pub(in crate::vfs) fn path(&self) -> VirtualPath {
        self.folder.join(self.name)
    }

    /// Whether the entry is a directory.
    pub(in crate::vfs) fn is_directory(&self) -> bool {
        FileKind::of_mode(self.stat.st_mode) == FileKind::Directory
    }
}

/// Visits everything below a directory, which is given by its path below `root`. Returns whether
/// the walk reached its end.
///
/// # Errors
///
/// When the directory itself cannot be opened.
pub(in crate::vfs) fn walk(
    root: &Root,
    start: &VirtualPath,
    visitor: &mut dyn Visitor,
) -> Result<bool, FsError> {
    let opened = open(root, start)?;
    let mut levels = Vec::new();
    let mut goes_on = enter(start, opened, visitor, &mut levels);
    while goes_on {
        let Some(level) = levels.last_mut() else { return Ok(true) };
        let Some((folder, id)) = level.next() else {
            visitor.end(&level.folder);
            levels.pop();
            continue;
        };
        match open(root, &folder) {
            Ok(opened) if id_of(&opened.1) == id => {
                goes_on = enter(&folder, opened, visitor, &mut levels);
            }
            // it was moved or removed meanwhile
            Ok(_) | Err(FsError::NotFound | FsError::NotADirectory) => {}
            Err(why) => visitor.failed(&folder, why),
        }
    }
    Ok(false)
}

fn open(root: &Root, folder: &VirtualPath) -> Result<(OwnedFd, Stat), FsError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let dir = root.open(folder.below_root(), flags, Mode::empty())?;
    let stat = fstat(&dir)?;
    Ok((dir, stat))
}

/// Visits the entries of a directory. Returns whether the walk continues.
fn enter(
    folder: &VirtualPath,
    (dir, dir_stat): (OwnedFd, Stat),
    visitor: &mut dyn Visitor,
    levels: &mut Vec<Level>,
) -> bool {
    visitor.begin(folder, &dir_stat);
    let mut level = Level { folder: folder.clone(), names: Vec::new(), ids: Vec::new() };
    let goes_on = match level.read(Names::new(dir), &dir_stat, visitor) {
        Ok(goes_on) => goes_on,
        Err(why) => {
            visitor.failed(folder, why);
            true
        }
    };
    levels.push(level);
    goes_on && visitor.read(folder)
}

impl Level {
    /// Visits the entries of the directory, and keeps the subdirectories that are to be entered.
    fn read(
        &mut self,
        mut names: Names,
        dir_stat: &Stat,
        visitor: &mut dyn Visitor,
    ) -> Result<bool, FsError> {
        while let Some((dir, name)) = names.next()? {
            let name = name.to_bytes();
            let stat = match lstat(dir, name) {
                Err(FsError::NotFound) => continue,
                stat => stat?,
            };
            let found = Found { dir, dir_stat, folder: &self.folder, name, stat };
            match visitor.entry(&found) {
                Next::Enter if found.is_directory() => {
                    self.ids.push(id_of(&found.stat));
                    self.names.extend_from_slice(name);
                    self.names.push(b'/');
                }
                Next::Enter | Next::Skip => {}
                Next::Stop => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Returns the path and the id of the next subdirectory to enter.
    fn next(&mut self) -> Option<(VirtualPath, FileId)> {
        let id = self.ids.pop()?;
        self.names.pop();
        let begin = self.names.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let folder = self.folder.join(self.names.get(begin..).unwrap_or_default());
        self.names.truncate(begin);
        Some((folder, id))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::vfs::tree::home::open_home;

    /// Notes what happens, and skips or stops at the entries with these names.
    #[derive(Default)]
    struct Notes {
        lines: Vec<String>,
        skips: &'static [u8],
        stops: &'static [u8],
        /// A directory that is replaced by a link to `/` when it has been seen.
        swaps: Option<std::path::PathBuf>,
    }

    fn text(path: &VirtualPath) -> String {
        String::from_utf8(path.as_bytes().to_vec()).unwrap()
    }

    impl Visitor for Notes {
        fn begin(&mut self, folder: &VirtualPath, _: &Stat) {
            self.lines.push(format!("begin {}", text(folder)));
        }

        #[expect(clippy::disallowed_methods, reason = "what a test serves")]
        fn entry(&mut self, found: &Found<'_>) -> Next {
            self.lines.push(text(&found.path()));
            if let Some(path) = self.swaps.take_if(|path| path.ends_with(as_name(found))) {
                fs::rename(&path, path.with_extension("away")).unwrap();
                symlink("/", &path).unwrap();
            }
            match found.name {
                name if name == self.skips => Next::Skip,
                name if name == self.stops => Next::Stop,
                _ => Next::Enter,
            }
        }

        fn end(&mut self, folder: &VirtualPath) {
            self.lines.push(format!("end {}", text(folder)));
        }

        fn failed(&mut self, folder: &VirtualPath, why: FsError) {
            self.lines.push(format!("failed {} {why:?}", text(folder)));
        }
    }

    fn as_name<'f>(found: &Found<'f>) -> &'f Path {
        Path::new(std::ffi::OsStr::from_bytes(found.name))
    }

    /// Makes `a/b/c`, `a/link -> a`, `d` and walks through it.
    #[expect(clippy::disallowed_methods, reason = "what a test serves")]
    fn notes(from: &str, mut notes: Notes, swap: bool) -> (bool, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("a/b")).unwrap();
        fs::write(home.path().join("a/b/c"), "").unwrap();
        symlink("../a", home.path().join("a/link")).unwrap();
        fs::write(home.path().join("d"), "").unwrap();
        notes.swaps = swap.then(|| home.path().join("a"));
        let root = Root::new(open_home(home.path()).unwrap());
        let start = VirtualPath::root().join(from.as_bytes());
        let is_over = walk(&root, &start, &mut notes).unwrap();
        (is_over, notes.lines)
    }

    #[test]
    fn everything_is_visited_once_and_no_link_is_followed() {
        let (is_over, mut lines) = notes("", Notes::default(), false);
        assert!(is_over);
        assert_eq!(lines.first().unwrap(), "begin /");
        assert_eq!(lines.last().unwrap(), "end /");
        let at = |line: &str| lines.iter().position(|found| found == line).unwrap();
        assert!(at("begin /a") > at("/d") && at("end /a/b") < at("end /a"));
        lines.sort();
        let all = [
            "/a",
            "/a/b",
            "/a/b/c",
            "/a/link",
            "/d",
            "begin /",
            "begin /a",
            "begin /a/b",
            "end /",
            "end /a",
            "end /a/b",
        ];
        assert_eq!(lines, all);
    }

    #[test]
    fn a_walk_may_begin_below_leave_folders_out_and_stop() {
        let (is_over, lines) = notes("a/b", Notes::default(), false);
        assert!(is_over);
        assert_eq!(lines, ["begin /a/b", "/a/b/c", "end /a/b"]);
        let skips = Notes { skips: b"a", ..Notes::default() };
        assert!(!notes("", skips, false).1.contains(&"/a/b".to_owned()));
        let stops = Notes { stops: b"c", ..Notes::default() };
        let (is_over, lines) = notes("", stops, false);
        assert!(!is_over);
        assert_eq!(lines.last().unwrap(), "/a/b/c");
    }

    #[test]
    fn a_directory_that_became_a_link_is_not_entered() {
        let (is_over, lines) = notes("", Notes::default(), true);
        assert!(is_over);
        assert!(!lines.iter().any(|line| line.starts_with("/a/")), "{lines:?}");
    }
}
