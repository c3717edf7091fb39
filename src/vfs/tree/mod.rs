//! One method for each file action, all below one directory handle.

pub(in crate::vfs) mod beneath;
mod home;
mod names;

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, Mode, OFlags, Stat, Timespec, Timestamps, fchmod, fstat, mkdirat,
    readlinkat, renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use self::beneath::Root;
use self::names::Names;
use super::error::FsError;
use super::parts::name::{Mark, PartName, is_reserved};
use super::parts::store::{FileId, entries, id_of, len_of, rename_new};
use super::path::VirtualPath;
use super::upload::{Store, Uploads};
use crate::rights::{self, Ids};

/// A user's home, seen as the root of all there is.
#[derive(Debug)]
pub struct Tree {
    pub(in crate::vfs) root: Root,
    pub(in crate::vfs) home: PathBuf,
    pub(in crate::vfs) uploads: Uploads,
    /// Whether the home's file system counts links: a count of none then tells that the home
    /// was removed, which the handle itself does not notice.
    counts_links: bool,
}

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// What a listing tells of one file.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The last part of its path.
    pub name: Vec<u8>,
    /// File, directory or other.
    pub kind: FileKind,
    /// The twelve permission bits.
    pub mode: u32,
    /// Number of hard links.
    pub links: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970 in UTC.
    pub modified: i64,
    /// Nanoseconds of that second.
    pub nanos: u32,
    /// Device and inode: the same for two names of one file.
    pub id: (u64, u64),
    /// Whether size and time are those of the part of an upload that is not whole: its number.
    pub part: Option<u64>,
    /// For a link that leads to something inside the root: its text, and what is there.
    pub target: Option<(Vec<u8>, Box<Entry>)>,
    /// For a link that leads to nothing: its text, unless it may name something outside.
    pub dangling: Option<Vec<u8>>,
}

/// What came of a change of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMode {
    /// The twelve permission bits.
    pub bits: u32,
    /// Whether the system has taken the set-group-ID bit away.
    pub lacks_set_gid: bool,
}

/// What makes the entries of a directory belong to its group.
const SET_GID: u32 = 0o2000;

/// A home, held.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    root: OwnedFd,
    counts_links: bool,
}

impl Home {
    /// Takes hold of it.
    ///
    /// # Errors
    ///
    /// When it is not there, not a directory, or not readable.
    #[inline(never)]
    pub fn open(path: &Path) -> Result<Self, FsError> {
        // with little on the stack: how deep a login goes is what each idle session costs. As a
        // rule the home is known, and its path need not be looked at.
        let root = open_home(path);
        let stat = root.as_ref().ok().and_then(|root| fstat(root).ok());
        let is_known = stat.is_some_and(|stat| rights::is_of_sandbox(id_of(&stat)));
        if !is_known && !rights::may_change_in_sandbox(path) {
            return Err(FsError::Confined);
        }
        let counts_links = stat.is_some_and(|stat| stat.st_nlink > 0);
        Ok(Self { path: path.to_owned(), root: root?, counts_links })
    }

    /// Takes hold of a home that is made if it is missing, with the directories above it: with
    /// `mode`, and for the user whom this thread acts as (`ids`, or the server's).
    ///
    /// # Errors
    ///
    /// As for [`Home::open`]; and when the way leads over a link that somebody else has made.
    #[inline(never)]
    pub fn make(path: &Path, mode: u32, ids: Option<&Ids>) -> Result<Self, FsError> {
        let held = home::make(path, mode, ids)?;
        let home = Self::open(path)?;
        if id_of(&fstat(&held)?) == id_of(&fstat(&home.root)?) {
            Ok(home)
        } else {
            Err(FsError::Replaced)
        }
    }
}

impl Tree {
    /// What is below a home.
    #[inline(never)]
    pub fn new(home: Home, uploads: Uploads) -> Arc<Self> {
        let Home { path: home, root, counts_links } = home;
        Arc::new(Self { root: Root::new(root), home, uploads, counts_links })
    }

    /// The path below the root of something that may be there; parts are not there for clients.
    #[expect(clippy::unused_self, reason = "a right that a user may get")]
    fn below<'p>(&self, path: &'p VirtualPath) -> Result<&'p Path, FsError> {
        if path.parts().any(is_reserved) {
            Err(FsError::NotFound)
        } else {
            Ok(path.below_root())
        }
    }

    /// Whether clients may give something this path.
    ///
    /// # Errors
    ///
    /// [`FsError::Reserved`] for the names of parts.
    pub fn may_make(&self, path: &VirtualPath) -> Result<(), FsError> {
        if path.parts().any(is_reserved) { Err(FsError::Reserved) } else { Ok(()) }
    }

    /// A path without links, below the root.
    pub(in crate::vfs) fn followed(&self, path: &VirtualPath) -> Result<VirtualPath, FsError> {
        let real = self.root.resolve(self.below(path)?)?;
        Ok(VirtualPath::root().join(&real))
    }

    /// Holds a directory, for what is to be done with its entries.
    pub(in crate::vfs) fn hold(&self, path: &VirtualPath) -> Result<(OwnedFd, Stat), FsError> {
        let flags = OFlags::DIRECTORY | OFlags::PATH;
        let dir = self.root.open(self.below(path)?, flags, Mode::empty())?;
        let stat = self.still_there(fstat(&dir)?)?;
        Ok((dir, stat))
    }

    /// Where a virtual path lies on the server, for the log and for hooks: nothing is
    /// opened by it.
    pub fn real(&self, path: &VirtualPath) -> PathBuf {
        path.real(&self.home)
    }

    /// Opens a regular file for reading, and says its size.
    ///
    /// # Errors
    ///
    /// FIFOs, sockets and devices are refused at once.
    pub fn read(&self, path: &VirtualPath) -> Result<(File, u64), FsError> {
        let file = self.open_file(path, OFlags::RDONLY, 0)?;
        let size = regular(&fstat(&file)?)?;
        Ok((file, size))
    }

    /// Opens what the user is shown under a name: the part of an own upload that has failed,
    /// or the file in place.
    ///
    /// # Errors
    ///
    /// As for [`Tree::read`].
    pub fn read_shown(&self, path: &VirtualPath) -> Result<(File, u64), FsError> {
        self.read_own_part(path).map_or_else(|| self.read(path), Ok)
    }

    /// Whether a classic upload could begin, and how many bytes are there. Makes nothing.
    pub(in crate::vfs) fn check_write(&self, path: &VirtualPath) -> Result<u64, FsError> {
        self.as_file(path)?;
        match self.open_file(path, OFlags::WRONLY, 0) {
            Err(FsError::NotFound) => {}
            opened => return regular(&fstat(&opened?)?),
        }
        self.check_new(path)?;
        match self.entry(path) {
            // it leads to nothing, and is not followed to make something
            Ok(entry) if entry.kind == FileKind::Link => Err(FsError::NotFound),
            // somebody else has made it meanwhile
            Ok(entry) => Ok(entry.size),
            Err(_) => Ok(0),
        }
    }

    /// Refuses what was named as only a directory is, and the system would not make a file of.
    pub(in crate::vfs) fn as_file(&self, path: &VirtualPath) -> Result<(), FsError> {
        if !path.is_directory_s() || path.is_root() {
            return Ok(());
        }
        match self.stat(path) {
            Ok(_) | Err(FsError::NotFound) => Err(FsError::IsADirectory),
            Err(why) => Err(why),
        }
    }

    /// Whether something could be made in the directory of a path.
    fn check_new(&self, path: &VirtualPath) -> Result<(), FsError> {
        if path.is_root() {
            return Err(FsError::IsADirectory);
        }
        let (dir, _) = self.hold(&path.parent())?;
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        Ok(rustix::fs::accessat(&dir, ".", wanted, AtFlags::EACCESS)?)
    }

    /// Opens a regular file for a classic upload. Makes it with `mode` if it is not there,
    /// unless the upload begins behind bytes that should be. Gives the file, how many bytes
    /// are there, and whether it was made.
    pub(in crate::vfs) fn write(
        &self,
        path: &VirtualPath,
        store: Store,
        mode: u32,
    ) -> Result<(File, u64, bool), FsError> {
        let append = matches!(store, Store::Append(_));
        let existing = if append { OFlags::WRONLY | OFlags::APPEND } else { OFlags::WRONLY };
        let new = existing | OFlags::CREATE | OFlags::EXCL;
        // somebody else may make it between the two, and then it is there the second time
        for _ in 0..2 {
            if !self.uploads.replace {
                if matches!(store, Store::At(offset) if offset > 0) {
                    return Err(FsError::NotFound);
                }
                return Ok((self.open_file(path, new, mode)?, 0, true));
            }
            match self.open_file(path, existing, 0) {
                Err(FsError::NotFound) if !matches!(store, Store::At(_)) => {}
                opened => {
                    let file = opened?;
                    let size = regular(&fstat(&file)?)?;
                    return Ok((file, size, false));
                }
            }
            match self.open_file(path, new, mode) {
                Err(FsError::Exists) => {}
                other => return Ok((other?, 0, true)),
            }
        }
        // a link that leads to nothing
        Err(FsError::NotFound)
    }

    /// Makes a file that must be new.
    pub(in crate::vfs) fn create(
        &self,
        path: &VirtualPath,
        mode: u32,
    ) -> Result<File, FsError> {
        self.open_file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)
    }

    /// Takes back a file that was made for an upload that could not begin, unless somebody
    /// has put another in its place or written to it.
    pub(in crate::vfs) fn remove_untouched(&self, path: &VirtualPath, file: &File) {
        let ours = fstat(file).map(|stat| id_of(&stat));
        let there = self.entry(path);
        if let (Ok(ours), Ok(there)) = (ours, there)
            && there.id == ours
            && there.size == 0
        {
            // whether it stays empty or goes is all that could fail
            let _ = self.unlink(path.below_root(), AtFlags::empty());
        }
    }

    /// `O_NONBLOCK` keeps a FIFO from holding the session; regular files do not mind it.
    fn open_file(&self, path: &VirtualPath, flags: OFlags, mode: u32) -> Result<File, FsError> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(mode);
        Ok(self.root.open(self.below(path)?, flags, mode)?.into())
    }

    fn unlink(&self, below: &Path, flags: AtFlags) -> Result<(), FsError> {
        let (dir, name) = self.root.parent(below)?;
        Ok(unlinkat(dir, name, flags)?)
    }

    /// What is at a path, links followed.
    ///
    /// # Errors
    ///
    /// When nothing is there, or it lies outside.
    pub fn stat(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        let there = self.root.open(self.below(path)?, OFlags::PATH, Mode::empty())?;
        let stat = self.still_there(fstat(there)?)?;
        Ok(Entry::of_stat(path.name().to_owned(), &stat))
    }

    /// The same as the user is shown it: with the size of the part of an own upload that is
    /// not whole, so that it can be gone on with.
    ///
    /// # Errors
    ///
    /// As for [`Tree::stat`].
    pub fn shown(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        self.with_part(path, self.stat(path))
    }

    /// What [`Tree::entry`] gives, as the user is shown it.
    ///
    /// # Errors
    ///
    /// As for [`Tree::entry`].
    pub fn shown_entry(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        self.with_part(path, self.entry(path))
    }

    fn with_part(
        &self,
        path: &VirtualPath,
        there: Result<Entry, FsError>,
    ) -> Result<Entry, FsError> {
        match there {
            Ok(entry) if entry.followed().kind != FileKind::File => Ok(entry),
            Ok(mut entry) => {
                if let Some(part) = self.own_part(path) {
                    entry.show_part(&part);
                }
                Ok(entry)
            }
            Err(FsError::NotFound) => match self.own_part(path) {
                Some(part) => Ok(Entry::of_part(path.name().to_owned(), &part)),
                None => Err(FsError::NotFound),
            },
            Err(why) => Err(why),
        }
    }

    /// What is at a path as its directory lists it: a link is shown as a link.
    ///
    /// # Errors
    ///
    /// When nothing is there, or it lies outside.
    pub fn entry(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let there = self.root.open(self.below(path)?, flags, Mode::empty())?;
        let stat = self.still_there(fstat(there)?)?;
        let mut entry = Entry::of_stat(path.name().to_owned(), &stat);
        self.follow(&mut entry, path);
        Ok(entry)
    }

    /// Adds to a link where it leads. Of one that leads outside nothing is told.
    fn follow(&self, entry: &mut Entry, path: &VirtualPath) {
        if entry.kind != FileKind::Link {
            return;
        }
        let there = self.shown(path);
        if matches!(there, Err(FsError::Outside)) {
            return;
        }
        let Ok((dir, name)) = self.root.parent(path.below_root()) else { return };
        let Ok(text) = readlinkat(dir, name, Vec::new()) else { return };
        let text = text.into_bytes();
        match there {
            Ok(there) => entry.target = Some((text, Box::new(there))),
            Err(_) if stays_inside(&text) => entry.dangling = Some(text),
            Err(_) => {}
        }
    }

    /// Whether a path is a directory that may be entered.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn enter(&self, path: &VirtualPath) -> Result<(), FsError> {
        // the lookup of `.` asks for the right to search the directory
        let there =
            self.root.open(&self.below(path)?.join("."), OFlags::PATH, Mode::empty())?;
        self.still_there(fstat(there)?).map(drop)
    }

    fn still_there(&self, stat: Stat) -> Result<Stat, FsError> {
        let is_dir = FileKind::of_mode(stat.st_mode) == FileKind::Directory;
        let removed = self.counts_links && is_dir && stat.st_nlink == 0;
        if removed { Err(FsError::NotFound) } else { Ok(stat) }
    }

    /// Opens a directory for listing.
    ///
    /// # Errors
    ///
    /// When it is not there or not a directory.
    pub fn list(self: &Arc<Self>, path: &VirtualPath) -> Result<Listing, FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let dir = File::from(self.root.open(self.below(path)?, flags, Mode::empty())?);
        let stat = fstat(&dir)?;
        let id = id_of(&stat);
        let own = self.own_parts(id);
        let (tree, path) = (Arc::clone(self), path.clone());
        let (names, entry) = (Names::new(dir.into()), Entry::of_stat(Vec::new(), &stat));
        Ok(Listing { tree, path, names, id, own, name: Vec::new(), entry })
    }

    /// The parts of the user's own in a directory, and those that do not say whose they are:
    /// their marks do when a file has its name.
    fn own_parts(&self, id: FileId) -> HashMap<Mark, Vec<u8>> {
        let mut own = HashMap::new();
        if !self.uploads.atomic {
            return own;
        }
        for part in self.uploads.parts.in_folder(id) {
            let is_own = part.mark == Mark::new(&self.uploads.owner, &part.name);
            if part.is_lone() || !is_own && !part.name.is_empty() {
                continue;
            }
            own.insert(part.mark, part.name);
        }
        own
    }

    /// Makes a directory with `mode`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn make_dir(&self, path: &VirtualPath, mode: u32) -> Result<(), FsError> {
        if path.is_root() {
            return Err(FsError::Exists);
        }
        self.may_make(path)?;
        let (dir, name) = self.root.parent(path.below_root())?;
        Ok(mkdirat(dir, name, Mode::from_raw_mode(mode))?)
    }

    /// Removes a file, or a link, but no directory; and what is left of an own upload of it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove_file(&self, path: &VirtualPath) -> Result<(), FsError> {
        if path.is_root() {
            return Err(FsError::IsADirectory);
        }
        match self.unlink(self.below(path)?, AtFlags::empty()) {
            Err(FsError::NotFound) => match self.forget_part(path) {
                Ok(true) => Ok(()),
                Ok(false) => Err(FsError::NotFound),
                Err(why) => Err(why),
            },
            Ok(()) => {
                // an upload that is running goes on, and stands under the name when it ends
                let _ = self.forget_part(path);
                Ok(())
            }
            other => other,
        }
    }

    /// Removes an empty directory; parts of failed uploads do not count.
    ///
    /// # Errors
    ///
    /// The system's; and the root stays.
    pub fn remove_dir(&self, path: &VirtualPath) -> Result<(), FsError> {
        if path.is_root() {
            return Err(FsError::IsRoot);
        }
        let below = self.below(path)?;
        match self.unlink(below, AtFlags::REMOVEDIR) {
            Err(FsError::NotEmpty) if self.clear(path) => {
                self.unlink(below, AtFlags::REMOVEDIR)
            }
            other => other,
        }
    }

    /// Empties a directory that holds nothing but parts of failed uploads.
    fn clear(&self, path: &VirtualPath) -> bool {
        let Ok((dir, stat)) = self.hold(path) else { return false };
        let Ok(names) = entries(&dir) else { return false };
        let mut parts = Vec::new();
        for name in names {
            let Ok(name) = name else { return false };
            match (name.file_name().to_bytes(), PartName::parse(name.file_name().to_bytes())) {
                (b"." | b"..", _) => {}
                (_, Some(part)) => parts.push(part),
                (_, None) => return false,
            }
        }
        self.uploads.parts.clear(&dir, id_of(&stat), &parts)
    }

    /// Renames; a file that has the new name is replaced at once, if it may be.
    ///
    /// # Errors
    ///
    /// The system's; and the root stays.
    pub fn rename(&self, from: &VirtualPath, to: &VirtualPath) -> Result<(), FsError> {
        if from.is_root() || to.is_root() {
            return Err(FsError::IsRoot);
        }
        self.may_make(to)?;
        let (old, old_name) = self.root.parent(self.below(from)?)?;
        let (new, new_name) = self.root.parent(to.below_root())?;
        if self.uploads.replace {
            renameat(old, old_name, new, new_name)?;
        } else {
            rename_new(old, old_name, new, new_name)?;
        }
        let parts = &self.uploads.parts;
        if parts.are_there() && self.hold(to).is_ok() {
            parts.moved(&self.real(from), &self.real(to));
        }
        // what is left of failed uploads under these names has lost its sense
        let _ = self.forget_part(from);
        let _ = self.forget_part(to);
        Ok(())
    }

    /// Sets those permission bits of a file or directory that `mask` has, and returns the mode
    /// that it has then, as the system says. A directory keeps its other bits; a file has no more
    /// than these.
    ///
    /// # Errors
    ///
    /// The system's; and [`FsError::LosesSetGid`] where a directory could not keep its bit.
    pub fn set_mode(
        &self,
        path: &VirtualPath,
        mode: u32,
        mask: u32,
    ) -> Result<NewMode, FsError> {
        let there = self.file_or_directory(path)?;
        let kept = if there.kind == FileKind::Directory { there.mode & !mask } else { 0 };
        let mode = mode & mask | kept;
        // others' files are the system's to deny
        let own = there.uid == geteuid().as_raw();
        if own && mode & SET_GID != 0 && !rights::may_set_gid(there.gid) {
            let as_it_is = NewMode { bits: mode, lacks_set_gid: false };
            return if mode == there.mode { Ok(as_it_is) } else { Err(FsError::LosesSetGid) };
        }
        self.change_mode(path, Mode::from_raw_mode(mode))?;
        // who may not enter the directory any more cannot look at it by `.`
        let bits = self.stat(path).map_or(mode, |there| there.mode);
        Ok(NewMode { bits, lacks_set_gid: mode & SET_GID & !bits != 0 })
    }

    /// By way of a handle that takes no right to read or write the file.
    fn change_mode(&self, path: &VirtualPath, mode: Mode) -> Result<(), FsError> {
        let there = self.root.open(self.below(path)?, OFlags::PATH, Mode::empty())?;
        let link = format!("/proc/self/fd/{}", there.as_raw_fd());
        match rustix::fs::chmod(link, mode) {
            // without /proc it takes one of these rights
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(fchmod(self.open_any(path)?, mode)?),
            other => Ok(other?),
        }
    }

    /// Opens a file or a directory for what takes any open handle of it.
    fn open_any(&self, path: &VirtualPath) -> Result<File, FsError> {
        match self.open_file(path, OFlags::RDONLY, 0) {
            Err(FsError::Denied(_)) => self.open_file(path, OFlags::WRONLY, 0),
            other => other,
        }
    }

    /// Sets the modification time, in seconds since 1970 in UTC.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_modified(&self, path: &VirtualPath, seconds: i64) -> Result<(), FsError> {
        self.file_or_directory(path)?;
        let file = self.open_any(path)?;
        let keep = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let to = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: keep, last_modification: to };
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

    /// Bytes that this process may still write below a directory.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn free_space(&self, path: &VirtualPath) -> Result<u64, FsError> {
        let (dir, _) = self.hold(path)?;
        let stat = rustix::fs::fstatvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Whether the text of a link that leads to nothing may be shown. The system has followed it up
/// to the first part that is not there, and what stands behind that must not lead back and out.
fn stays_inside(text: &[u8]) -> bool {
    let parts =
        text.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut behind = parts.skip_while(|part| *part == b"..");
    !text.starts_with(b"/") && !behind.any(|part| part == b".." || is_reserved(part))
}

/// The size of a regular file, and nothing else.
pub(in crate::vfs) fn regular(stat: &Stat) -> Result<u64, FsError> {
    match FileKind::of_mode(stat.st_mode) {
        FileKind::File => Ok(len_of(stat)),
        FileKind::Directory => Err(FsError::IsADirectory),
        FileKind::Link
        | FileKind::Fifo
        | FileKind::Socket
        | FileKind::Block
        | FileKind::Char => Err(FsError::NotAFile),
    }
}

/// A directory of a home that need not be anybody's now.
pub(in crate::vfs) fn open_folder(
    home: &Path,
    path: &VirtualPath,
) -> Result<(OwnedFd, Stat), FsError> {
    let root = Root::new(open_home(home)?);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let dir = root.open(path.below_root(), flags, Mode::empty())?;
    let stat = fstat(&dir)?;
    Ok((dir, stat))
}

/// The one door to served files.
fn open_home(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// The entries of one directory, one at a time.
#[derive(Debug)]
pub struct Listing {
    tree: Arc<Tree>,
    path: VirtualPath,
    names: Names,
    id: FileId,
    /// The user's own parts, of those names that have not come yet.
    own: HashMap<Mark, Vec<u8>>,
    /// The name that is being looked at.
    name: Vec<u8>,
    entry: Entry,
}

impl Listing {
    /// The next entry. One that cannot be looked at is left out: it was removed meanwhile, or it
    /// lies on a mount that is not for us; the others are listed all the same, as `ls` does.
    ///
    /// # Errors
    ///
    /// The system's, when the directory cannot be read.
    pub fn advance(&mut self) -> Result<Option<&Entry>, FsError> {
        while self.names.take(&mut self.name)? {
            if self.look() {
                return Ok(Some(&self.entry));
            }
        }
        Ok(self.own_alone().then_some(&self.entry))
    }

    /// Whether nothing is left but parts of uploads; they do not keep a directory.
    pub(in crate::vfs) fn is_bare(&mut self) -> Result<bool, FsError> {
        while self.names.take(&mut self.name)? {
            if !is_reserved(self.name.strip_suffix(b"\0").unwrap_or(&self.name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What was given out last.
    pub fn current(&self) -> &Entry {
        &self.entry
    }

    /// Looks at what has the name; says whether it is to be listed.
    fn look(&mut self) -> bool {
        let Ok(name) = CStr::from_bytes_with_nul(&self.name) else { return false };
        let dir = self.names.dir();
        if is_reserved(name.to_bytes()) {
            if let Some(part) = PartName::parse(name.to_bytes()) {
                self.tree.uploads.parts.meet(dir, self.id, &part);
            }
            return false;
        }
        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return false;
        };
        let mut text = std::mem::take(&mut self.entry.name);
        text.clear();
        text.extend_from_slice(name.to_bytes());
        self.entry = Entry::of_stat(text, &stat);
        let entry = &mut self.entry;
        if !self.own.is_empty()
            && let mark = Mark::new(&self.tree.uploads.owner, &entry.name)
            && self.own.remove(&mark).is_some()
            && entry.kind == FileKind::File
            && let Some(part) = self.tree.own_part(&self.path.join(&entry.name))
        {
            entry.show_part(&part);
        }
        if entry.kind == FileKind::Link {
            let path = self.path.join(&entry.name);
            self.tree.follow(entry, &path);
        }
        true
    }

    /// A part of the user's own of which there is no other version. One whose name is too long
    /// to be kept cannot be told.
    fn own_alone(&mut self) -> bool {
        self.own.retain(|_, name| !name.is_empty());
        while let Some(mark) = self.own.keys().next().copied() {
            let Some(name) = self.own.remove(&mark) else { return false };
            if let Some(part) = self.tree.own_part(&self.path.join(&name)) {
                self.entry = Entry::of_part(name, &part);
                return true;
            }
        }
        false
    }
}

impl Entry {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "widths differ by target"
    )]
    fn of_stat(name: Vec<u8>, stat: &Stat) -> Self {
        Self {
            name,
            kind: FileKind::of_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            links: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: len_of(stat),
            modified: stat.st_mtime as i64,
            nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            id: (stat.st_dev as u64, stat.st_ino as u64),
            part: None,
            target: None,
            dangling: None,
        }
    }

    /// Of a part, where there is no other version.
    fn of_part(name: Vec<u8>, (stat, upload): &(Stat, u64)) -> Self {
        Self { part: Some(*upload), ..Self::of_stat(name, stat) }
    }

    /// With the size and the time of the part that is shown instead.
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "widths differ by target"
    )]
    fn show_part(&mut self, (part, upload): &(Stat, u64)) {
        let there = match &mut self.target {
            Some((_, there)) => there,
            None => self,
        };
        there.size = len_of(part);
        there.modified = part.st_mtime as i64;
        there.nanos = u32::try_from(part.st_mtime_nsec).unwrap_or_default();
        there.part = Some(*upload);
    }

    /// What a client gets when it uses the name: the target of a link that can be followed.
    pub fn followed(&self) -> &Self {
        self.target.as_ref().map_or(self, |(_, there)| there)
    }
}

impl FileKind {
    fn of_mode(mode: u32) -> Self {
        match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::Directory => Self::Directory,
            rustix::fs::FileType::Symlink => Self::Link,
            rustix::fs::FileType::Fifo => Self::Fifo,
            rustix::fs::FileType::Socket => Self::Socket,
            rustix::fs::FileType::BlockDevice => Self::Block,
            rustix::fs::FileType::CharacterDevice => Self::Char,
            rustix::fs::FileType::RegularFile | rustix::fs::FileType::Unknown => Self::File,
        }
    }
}
