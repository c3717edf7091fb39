//! The tree of files below a home: one method for each file action.
//!
//! The tree shows files as they are. It refuses the names of parts of uploads and of the trash, and
//! knows nothing else of uploads.

pub(in crate::vfs) mod beneath;
pub(in crate::vfs) mod entry;
pub(in crate::vfs) mod fence;
pub(in crate::vfs) mod folder;
mod group;
pub(in crate::vfs) mod home;
pub(in crate::vfs) mod lock;
pub(in crate::vfs) mod mode;
pub(in crate::vfs) mod names;
pub(in crate::vfs) mod place;
pub(in crate::vfs) mod sync;
pub(in crate::vfs) mod walk;

use std::borrow::Cow;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, Mode, OFlags, Stat, Timespec, Timestamps, accessat, fchmod, fstat,
    readlinkat, renameat, unlinkat,
};
use rustix::io::Errno;

use self::beneath::{Root, Walked};
use self::entry::{Entry, FileKind, accessed, len_of, plain};
use self::fence::Fence;
use self::home::Home;
use self::mode::{Change, NewMode, SET_GID};
use self::names::{Names, is_reserved};
use self::place::{Place, rename_new};
use self::sync::{Synced, before_replacing};
use self::walk::{Visitor, walk};
use super::error::FsError;
use super::path::VirtualPath;

/// All files below a home, which is the root of their paths.
#[derive(Debug)]
pub(in crate::vfs) struct Tree {
    root: Root,
    home: PathBuf,
    /// The path under which clients see the home: `/`, or that of a folder from elsewhere.
    at: VirtualPath,
    /// Whether the file system counts links of directories, see [`Home`].
    counts_links: bool,
    /// Whether changes of directories are on the disk when they are done.
    syncs: bool,
}

impl Tree {
    /// Returns the tree of a home. `syncs`: changes of directories are brought to the disk. `guards`:
    /// links do not lead to reserved names. `fence`: links do not lead to where a letter is missing.
    pub(in crate::vfs) fn new(
        home: Home,
        syncs: bool,
        guards: bool,
        fence: Option<Fence>,
    ) -> Self {
        let Home { path: home, root, counts_links } = home;
        let at = VirtualPath::root();
        Self { root: Root::guarded(root, guards, fence), home, at, counts_links, syncs }
    }

    /// Returns the same tree, whose paths begin with that of a folder.
    pub(in crate::vfs) fn seen_at(self, at: VirtualPath) -> Self {
        Self { at, ..self }
    }

    /// Returns the path under which clients see the home.
    pub(in crate::vfs) fn at(&self) -> &VirtualPath {
        &self.at
    }

    /// Returns the path below the home; that of the home, if the tree does not hold the path.
    pub(in crate::vfs) fn inner<'p>(&self, path: &'p VirtualPath) -> Cow<'p, VirtualPath> {
        if self.at.is_root() {
            return Cow::Borrowed(path);
        }
        Cow::Owned(path.within(&self.at).unwrap_or_else(VirtualPath::root))
    }

    /// Whether a path is that of the home itself.
    fn is_top(&self, path: &VirtualPath) -> bool {
        path.as_bytes().eq_ignore_ascii_case(self.at.as_bytes())
    }

    /// Returns the path relative to the root, for a lookup. Fails if it contains a reserved name, so
    /// that clients never find parts or a trash; and if another tree holds it.
    fn below<'p>(&self, path: &'p VirtualPath) -> Result<&'p Path, FsError> {
        if path.parts().any(is_reserved) {
            return Err(FsError::NotFound);
        }
        path.below(&self.at).ok_or(FsError::NotFound)
    }

    /// Returns what is checked where links lead.
    pub(in crate::vfs) fn fence(&self) -> Option<&Fence> {
        self.root.fence()
    }

    /// Returns the directory of the home.
    pub(in crate::vfs) fn root(&self) -> BorrowedFd<'_> {
        self.root.dir()
    }

    /// Whether changes of directories are on the disk when they are done.
    pub(in crate::vfs) fn syncs(&self) -> bool {
        self.syncs
    }

    /// Returns the path of the home.
    pub(in crate::vfs) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the path on the server that a virtual path stands for. It is for the log and for
    /// hooks only; no file is opened by it.
    pub(in crate::vfs) fn real(&self, path: &VirtualPath) -> PathBuf {
        self.inner(path).real(&self.home)
    }

    /// Returns a path without links that leads to the same file or directory as `path`.
    pub(in crate::vfs) fn followed(&self, path: &VirtualPath) -> Result<VirtualPath, FsError> {
        let real = self.root.resolve(self.below(path)?)?;
        Ok(self.at.join(&real))
    }

    /// Returns the first directory on a path that may not be entered. A single walk finds it,
    /// however deep the path is.
    pub(in crate::vfs) fn first_barred(&self, path: &VirtualPath) -> Option<VirtualPath> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // the end of the path need not exist
        let below = path.below(&self.at)?;
        let Walked { path, end } = self.root.walk(below, flags, Mode::empty());
        let is_barred = end.is_err_and(|why| why == Errno::ACCESS);
        is_barred.then(|| self.at.join(&path))
    }

    /// Visits everything below a directory.
    pub(in crate::vfs) fn walk(
        &self,
        path: &VirtualPath,
        visitor: &mut dyn Visitor,
    ) -> Result<bool, FsError> {
        walk(&self.root, &self.inner(path), visitor)
    }

    /// Opens a directory for work on its entries.
    pub(in crate::vfs) fn hold(&self, path: &VirtualPath) -> Result<(OwnedFd, Stat), FsError> {
        let flags = OFlags::DIRECTORY | OFlags::PATH;
        let dir = self.root.open(self.below(path)?, flags, Mode::empty())?;
        let stat = self.still_there(fstat(&dir)?)?;
        Ok((dir, stat))
    }

    /// Opens the directory of the last name of a path. The name may be new, but not a reserved one.
    pub(in crate::vfs) fn place(&self, path: &VirtualPath) -> Result<Place, FsError> {
        if path.is_directory_s() {
            return Err(FsError::IsADirectory);
        }
        self.below(path)?;
        let parent = path.parent();
        let (dir, dir_stat) = self.hold(&parent)?;
        Ok(Place { dir, dir_stat, parent, name: path.name().to_owned() })
    }

    /// Opens a directory for listing, and returns its names.
    pub(in crate::vfs) fn names(&self, path: &VirtualPath) -> Result<(Names, Stat), FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let dir = self.root.open(self.below(path)?, flags, Mode::empty())?;
        let stat = fstat(&dir)?;
        Ok((Names::new(dir), stat))
    }

    /// Opens a regular file for reading, and returns its size as well. FIFOs, sockets and
    /// devices are refused without blocking.
    pub(in crate::vfs) fn read(&self, path: &VirtualPath) -> Result<(File, u64), FsError> {
        self.read_known(path).map(|(file, stat)| (file, len_of(&stat)))
    }

    /// Like [`Tree::read`], but returns all attributes of the file.
    pub(in crate::vfs) fn read_known(
        &self,
        path: &VirtualPath,
    ) -> Result<(File, Stat), FsError> {
        let file = self.open_file(path, OFlags::RDONLY, 0)?;
        let stat = plain(&file)?;
        Ok((file, stat))
    }

    /// Opens a file. Links are followed, but not to make a file. A FIFO does not block the
    /// caller.
    pub(in crate::vfs) fn open_file(
        &self,
        path: &VirtualPath,
        flags: OFlags,
        mode: u32,
    ) -> Result<File, FsError> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(mode);
        Ok(self.root.open(self.below(path)?, flags, mode)?.into())
    }

    /// Creates a file. It must not exist yet.
    pub(in crate::vfs) fn create(
        &self,
        path: &VirtualPath,
        mode: u32,
    ) -> Result<File, FsError> {
        self.open_file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)
    }

    /// Checks that a file could be written to or created, and returns its size. Creates
    /// nothing.
    pub(in crate::vfs) fn check_write(&self, path: &VirtualPath) -> Result<u64, FsError> {
        self.check_file_path(path)?;
        match self.open_file(path, OFlags::WRONLY, 0) {
            Err(FsError::NotFound) => {}
            opened => return Ok(len_of(&plain(opened?)?)),
        }
        self.check_new(path)?;
        match self.entry(path) {
            // no file is created by way of a link that leads to nothing
            Ok(entry) if entry.kind == FileKind::Link => Err(FsError::NotFound),
            // it was created in the meantime
            Ok(entry) => Ok(entry.size),
            Err(_) => Ok(0),
        }
    }

    /// Checks that a file could be created in the directory of a path.
    fn check_new(&self, path: &VirtualPath) -> Result<(), FsError> {
        if self.is_top(path) {
            return Err(FsError::IsADirectory);
        }
        let (dir, _) = self.hold(&path.parent())?;
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        Ok(accessat(&dir, ".", wanted, AtFlags::EACCESS)?)
    }

    /// Refuses a path that ends with a slash: it can only name a directory.
    pub(in crate::vfs) fn check_file_path(&self, path: &VirtualPath) -> Result<(), FsError> {
        if !path.is_directory_s() || self.is_top(path) {
            return Ok(());
        }
        match self.stat(path) {
            Ok(_) | Err(FsError::NotFound) => Err(FsError::IsADirectory),
            Err(why) => Err(why),
        }
    }

    /// Checks that nothing has the name of a new file yet.
    pub(in crate::vfs) fn check_free(&self, path: &VirtualPath) -> Result<(), FsError> {
        match self.entry(path) {
            Err(FsError::NotFound) => Ok(()),
            Err(why) => Err(why),
            Ok(there) if there.kind == FileKind::Directory => Err(FsError::IsADirectory),
            Ok(_) => Err(FsError::Taken),
        }
    }

    /// Describes the file or directory that a path leads to. Follows links.
    pub(in crate::vfs) fn stat(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        let there = self.root.open(self.below(path)?, OFlags::PATH, Mode::empty())?;
        let stat = self.still_there(fstat(there)?)?;
        Ok(Entry::of_stat(path.name().to_owned(), &stat))
    }

    /// Describes the entry at a path, as its directory lists it. A link at the end is not
    /// followed.
    pub(in crate::vfs) fn entry(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        self.entry_with(path, |path| self.stat(path))
    }

    /// Like [`Tree::entry`], with `look` describing the target of a link.
    pub(in crate::vfs) fn entry_with(
        &self,
        path: &VirtualPath,
        look: impl FnOnce(&VirtualPath) -> Result<Entry, FsError>,
    ) -> Result<Entry, FsError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let there = self.root.open(self.below(path)?, flags, Mode::empty())?;
        let stat = self.still_there(fstat(there)?)?;
        let mut entry = Entry::of_stat(path.name().to_owned(), &stat);
        self.add_target(&mut entry, path, look);
        Ok(entry)
    }

    /// Adds the target, which `look` describes, to the entry of a link. Adds nothing if the
    /// link leads out of the root.
    pub(in crate::vfs) fn add_target(
        &self,
        entry: &mut Entry,
        path: &VirtualPath,
        look: impl FnOnce(&VirtualPath) -> Result<Entry, FsError>,
    ) {
        if entry.kind != FileKind::Link {
            return;
        }
        let there = look(path);
        if matches!(there, Err(FsError::Outside)) {
            return;
        }
        let Ok(below) = self.below(path) else { return };
        let Ok((dir, name)) = self.root.parent(below) else { return };
        let Ok(text) = readlinkat(dir, name, Vec::new()) else { return };
        let text = text.into_bytes();
        match there {
            Ok(there) => entry.target = Some((text, Box::new(there))),
            Err(_) if stays_inside(&text) => entry.dangling = Some(text),
            Err(_) => {}
        }
    }

    /// Checks that a path leads to a directory that may be entered.
    pub(in crate::vfs) fn enter(&self, path: &VirtualPath) -> Result<(), FsError> {
        // looking up `.` requires the right to search the directory
        let there =
            self.root.open(&self.below(path)?.join("."), OFlags::PATH, Mode::empty())?;
        self.still_there(fstat(there)?).map(drop)
    }

    fn still_there(&self, stat: Stat) -> Result<Stat, FsError> {
        let is_dir = FileKind::of_mode(stat.st_mode) == FileKind::Directory;
        let removed = self.counts_links && is_dir && stat.st_nlink == 0;
        if removed { Err(FsError::NotFound) } else { Ok(stat) }
    }

    /// Makes a directory with `mode`.
    pub(in crate::vfs) fn make_dir(
        &self,
        path: &VirtualPath,
        mode: u32,
    ) -> Result<(), FsError> {
        if self.is_top(path) {
            return Err(FsError::Exists);
        }
        check_name(path)?;
        let (dir, name) = self.root.parent(self.below(path)?)?;
        let synced = Synced::open(&dir, self.syncs)?;
        place::make_dir(dir, name, mode)?;
        synced.sync(|| self.real(path))
    }

    /// Removes a file or a link, but not a directory.
    pub(in crate::vfs) fn remove_file(&self, path: &VirtualPath) -> Result<(), FsError> {
        if self.is_top(path) {
            return Err(FsError::IsADirectory);
        }
        self.unlink(path, AtFlags::empty())
    }

    /// Removes an empty directory, but not the root.
    pub(in crate::vfs) fn remove_dir(&self, path: &VirtualPath) -> Result<(), FsError> {
        if self.is_top(path) {
            return Err(FsError::IsRoot);
        }
        self.unlink(path, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, path: &VirtualPath, flags: AtFlags) -> Result<(), FsError> {
        let (dir, name) = self.root.parent(self.below(path)?)?;
        let synced = Synced::open(&dir, self.syncs)?;
        unlinkat(dir, name, flags)?;
        synced.sync(|| self.real(path))
    }

    /// Renames a file or directory, but not the root. With `replace`, a file that has the new
    /// name is replaced in one step.
    pub(in crate::vfs) fn rename(
        &self,
        from: &VirtualPath,
        to: &VirtualPath,
        replace: bool,
    ) -> Result<(), FsError> {
        if self.is_top(from) || self.is_top(to) {
            return Err(FsError::IsRoot);
        }
        check_name(to)?;
        let (old, old_name) = self.root.parent(self.below(from)?)?;
        let (new, new_name) = self.root.parent(self.below(to)?)?;
        let synced = (Synced::open(&old, self.syncs)?, Synced::open(&new, self.syncs)?);
        if replace {
            before_replacing((&old, old_name), (&new, new_name))?;
            renameat(old, old_name, new, new_name)?;
        } else {
            rename_new(old, old_name, new, new_name)?;
        }
        // the new name first: if the second sync fails, the file has at least one name
        synced.1.sync(|| self.real(to))?;
        synced.0.sync(|| self.real(from))
    }

    /// Syncs the directory in which a file was created.
    pub(in crate::vfs) fn sync_new(&self, path: &VirtualPath) -> Result<(), FsError> {
        let (dir, _) = self.root.parent(self.below(path)?)?;
        Synced::open(dir, self.syncs)?.sync(|| self.real(path))
    }

    /// Sets the permission bits of a file or directory that are in `mask`, and returns the mode
    /// that the system reports afterwards. A directory keeps its other bits; a file loses them.
    pub(in crate::vfs) fn set_mode(
        &self,
        path: &VirtualPath,
        mode: u32,
        mask: u32,
    ) -> Result<NewMode, FsError> {
        let there = self.file_or_directory(path)?;
        let mode = match mode::change(&there, mode, mask)? {
            Change::Nothing(bits) => return Ok(NewMode { bits, lacks_set_gid: false }),
            Change::To(mode) => mode,
        };
        self.change_mode(path, Mode::from_raw_mode(mode))?;
        // this fails for a path like `dir/.` if the directory may no longer be entered
        let bits = self.stat(path).map_or(mode, |there| there.mode);
        Ok(NewMode { bits, lacks_set_gid: mode & SET_GID & !bits != 0 })
    }

    fn change_mode(&self, path: &VirtualPath, mode: Mode) -> Result<(), FsError> {
        let there = self.root.open(self.below(path)?, OFlags::PATH, Mode::empty())?;
        if mode::set_by_proc(&there, mode)? {
            return Ok(());
        }
        Ok(fchmod(self.open_any(path)?, mode)?)
    }

    /// Opens a file or a directory for a system call that accepts any open handle.
    fn open_any(&self, path: &VirtualPath) -> Result<File, FsError> {
        match self.open_file(path, OFlags::RDONLY, 0) {
            Err(FsError::Denied(_)) => self.open_file(path, OFlags::WRONLY, 0),
            other => other,
        }
    }

    /// Sets the modification time, in seconds since 1970 in UTC.
    pub(in crate::vfs) fn set_modified(
        &self,
        path: &VirtualPath,
        seconds: i64,
    ) -> Result<(), FsError> {
        self.file_or_directory(path)?;
        let file = self.open_any(path)?;
        // libfuse 2 ignores a request to set only one of the two times
        let last_access = accessed(&fstat(&file)?);
        let last_modification = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access, last_modification };
        Ok(rustix::fs::futimens(&file, &times)?)
    }

    fn file_or_directory(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        let there = self.stat(path)?;
        match there.kind {
            FileKind::File | FileKind::Directory => Ok(there),
            FileKind::Link
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::Block
            | FileKind::Char => Err(FsError::NotAFile),
        }
    }

    /// Returns how many bytes this process may still write below a directory.
    pub(in crate::vfs) fn free_space(&self, path: &VirtualPath) -> Result<u64, FsError> {
        let (dir, _) = self.hold(path)?;
        let stat = rustix::fs::fstatvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Checks that clients may use this path for a new file: it must not contain a reserved name.
pub(in crate::vfs) fn check_name(path: &VirtualPath) -> Result<(), FsError> {
    if path.parts().any(is_reserved) { Err(FsError::Reserved) } else { Ok(()) }
}

/// Whether the text of a link that leads to nothing may be shown. The system has followed the
/// text only up to the first part that does not exist; the parts after it must not contain
/// `..`.
fn stays_inside(text: &[u8]) -> bool {
    let parts =
        text.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut behind = parts.skip_while(|part| *part == b"..");
    !text.starts_with(b"/") && !behind.any(|part| part == b".." || is_reserved(part))
}
