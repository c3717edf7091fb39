//! One method for each file action, all below one directory handle.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{
    Dir, DirBuilder, DirBuilderExt, Metadata, MetadataExt, OpenOptions, OpenOptionsExt,
    Permissions, PermissionsExt,
};
use rustix::fs::{Access, AtFlags, OFlags, Stat, Timespec, Timestamps};

use super::{FsError, VirtualPath};

/// A user's home, seen as the root of all there is.
#[derive(Debug)]
pub struct Tree {
    root: Dir,
    home: PathBuf,
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
    /// Device and inode: the same for two names of one file.
    pub id: (u64, u64),
    /// For a link that leads to something inside the root: its text, and what is there.
    pub target: Option<(Vec<u8>, Box<Entry>)>,
}

/// How an upload meets what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Begin at 0; what was there goes.
    Replace,
    /// Begin at this offset, which must not lie beyond the end.
    At(u64),
    /// Begin at the end.
    Append,
    /// There must be nothing of this name.
    New,
}

/// A file opened for an upload, not yet changed.
#[derive(Debug)]
pub struct Upload {
    /// The file; [`Upload::begin`] takes it to where the upload begins.
    pub file: File,
    /// How many bytes were there.
    pub size: u64,
}

impl Tree {
    /// Takes hold of a home.
    ///
    /// # Errors
    ///
    /// When it is not there, not a directory, or not readable.
    #[expect(clippy::disallowed_methods, reason = "the one door to served files")]
    pub fn open(home: &Path) -> Result<Self, FsError> {
        let root = Dir::open_ambient_dir(home, ambient_authority())?;
        let counts_links = root.dir_metadata()?.nlink() > 0;
        Ok(Self { root, home: home.to_owned(), counts_links })
    }

    /// Where a virtual path lies on the server, for the log alone.
    pub fn real(&self, path: &VirtualPath) -> PathBuf {
        if path.is_root() { self.home.clone() } else { self.home.join(path.below_root()) }
    }

    /// Opens a regular file for reading, and says its size.
    ///
    /// # Errors
    ///
    /// FIFOs, sockets and devices are refused at once.
    pub fn read(&self, path: &VirtualPath) -> Result<(File, u64), FsError> {
        let file = self.open_with(path, OpenOptions::new().read(true))?;
        let size = regular(&file)?;
        Ok((file, size))
    }

    /// Whether an upload could begin, and how many bytes are there. Makes nothing.
    ///
    /// # Errors
    ///
    /// As [`Tree::write`] would give them, as far as can be told without making the file.
    pub fn check_write(&self, path: &VirtualPath) -> Result<u64, FsError> {
        match self.open_with(path, OpenOptions::new().write(true)) {
            Err(FsError::NotFound) => {}
            opened => return regular(&opened?),
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

    /// Whether something could be made in the directory of a path.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn check_new(&self, path: &VirtualPath) -> Result<(), FsError> {
        if path.is_root() {
            return Err(FsError::IsADirectory);
        }
        let parent = path.parent();
        self.enter(&parent)?;
        let dir = self.root.open_dir(parent.below_root())?.into_std_file();
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        Ok(rustix::fs::accessat(&dir, ".", wanted, AtFlags::EACCESS)?)
    }

    /// Opens a regular file for writing. Makes it with `mode` if it is not there, unless the
    /// upload begins behind bytes that should be. What is there is not touched before
    /// [`Upload::begin`].
    ///
    /// # Errors
    ///
    /// As for reading; and [`FsError::Exists`] when it must be new.
    pub fn write(
        &self,
        path: &VirtualPath,
        store: Store,
        mode: u32,
    ) -> Result<Upload, FsError> {
        let mut existing = OpenOptions::new();
        existing.write(true).append(store == Store::Append);
        let mut new = existing.clone();
        new.create_new(true).mode(mode);
        if store == Store::New {
            let file = self.open_with(path, &mut new)?;
            return Ok(Upload { file, size: 0 });
        }
        // somebody else may make it between the two, and then it is there the second time
        for _ in 0..2 {
            match self.open_with(path, &mut existing) {
                Err(FsError::NotFound) if !matches!(store, Store::At(_)) => {}
                opened => {
                    let file = opened?;
                    let size = regular(&file)?;
                    return Ok(Upload { file, size });
                }
            }
            match self.open_with(path, &mut new) {
                Err(FsError::Exists) => {}
                other => return Ok(Upload { file: other?, size: 0 }),
            }
        }
        // a link that leads to nothing
        Err(FsError::NotFound)
    }

    /// Takes back a file that was made for an upload that could not begin, unless somebody
    /// has put another in its place or written to it.
    pub fn remove_untouched(&self, path: &VirtualPath, upload: &Upload) {
        let ours = rustix::fs::fstat(&upload.file);
        let ours = ours.map(|stat| Entry::of_stat(Vec::new(), &stat).id);
        let there = self.entry(path);
        if let (Ok(ours), Ok(there)) = (ours, there)
            && there.id == ours
            && there.size == 0
        {
            // whether it stays empty or goes is all that could fail
            let _ = self.remove_file(path);
        }
    }

    /// `O_NONBLOCK` keeps a FIFO from holding the session; regular files do not mind it.
    fn open_with(
        &self,
        path: &VirtualPath,
        options: &mut OpenOptions,
    ) -> Result<File, FsError> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
        let file = self.root.open_with(path.below_root(), options)?;
        Ok(file.into_std())
    }

    /// What is at a path, links followed.
    ///
    /// # Errors
    ///
    /// When nothing is there, or it lies outside.
    pub fn stat(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        let meta = self.still_there(self.root.metadata(path.below_root())?)?;
        Ok(Entry::of_metadata(path.name().to_owned(), &meta))
    }

    /// What is at a path as its directory lists it: a link is shown as a link.
    ///
    /// # Errors
    ///
    /// When nothing is there, or it lies outside.
    pub fn entry(&self, path: &VirtualPath) -> Result<Entry, FsError> {
        let meta = self.still_there(self.root.symlink_metadata(path.below_root())?)?;
        let mut entry = Entry::of_metadata(path.name().to_owned(), &meta);
        entry.target = self.target(&entry, path);
        Ok(entry)
    }

    /// Nothing for what is no link, leads nowhere or leads outside.
    fn target(&self, entry: &Entry, path: &VirtualPath) -> Option<(Vec<u8>, Box<Entry>)> {
        if entry.kind != FileKind::Link {
            return None;
        }
        let there = self.stat(path).ok()?;
        let text = self.root.read_link(path.below_root()).ok()?;
        Some((text.into_os_string().into_encoded_bytes(), Box::new(there)))
    }

    /// Whether a path is a directory that may be entered.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn enter(&self, path: &VirtualPath) -> Result<(), FsError> {
        // the lookup of `.` asks for the right to search the directory
        let meta = self.root.metadata(path.below_root().join("."))?;
        self.still_there(meta).map(drop)
    }

    fn still_there(&self, meta: Metadata) -> Result<Metadata, FsError> {
        let removed = self.counts_links && meta.is_dir() && meta.nlink() == 0;
        if removed { Err(FsError::NotFound) } else { Ok(meta) }
    }

    /// Opens a directory for listing.
    ///
    /// # Errors
    ///
    /// When it is not there or not a directory.
    pub fn list(self: &Arc<Self>, path: &VirtualPath) -> Result<Listing, FsError> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::DIRECTORY.bits().cast_signed());
        let dir = self.root.open_with(path.below_root(), &options)?.into_std();
        let names = rustix::fs::Dir::new(dir)?;
        Ok(Listing { tree: Arc::clone(self), path: path.clone(), names })
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
        let mut builder = DirBuilder::new();
        builder.mode(mode);
        Ok(self.root.create_dir_with(path.below_root(), &builder)?)
    }

    /// Removes a file, or a link, but no directory.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove_file(&self, path: &VirtualPath) -> Result<(), FsError> {
        if path.is_root() {
            return Err(FsError::IsADirectory);
        }
        Ok(self.root.remove_file(path.below_root())?)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// The system's; and the root stays.
    pub fn remove_dir(&self, path: &VirtualPath) -> Result<(), FsError> {
        if path.is_root() {
            return Err(FsError::IsRoot);
        }
        Ok(self.root.remove_dir(path.below_root())?)
    }

    /// Renames; a file that has the new name is replaced at once.
    ///
    /// # Errors
    ///
    /// The system's; and the root stays.
    pub fn rename(&self, from: &VirtualPath, to: &VirtualPath) -> Result<(), FsError> {
        if from.is_root() || to.is_root() {
            return Err(FsError::IsRoot);
        }
        Ok(self.root.rename(from.below_root(), &self.root, to.below_root())?)
    }

    /// Sets the permission bits of a file or directory.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_mode(&self, path: &VirtualPath, mode: u32) -> Result<(), FsError> {
        self.file_or_directory(path)?;
        Ok(self.root.set_permissions(path.below_root(), Permissions::from_mode(mode))?)
    }

    /// Sets the modification time, in seconds since 1970 in UTC.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_modified(&self, path: &VirtualPath, seconds: i64) -> Result<(), FsError> {
        self.file_or_directory(path)?;
        let reading = self.open_with(path, OpenOptions::new().read(true));
        let file = match reading {
            Err(FsError::Denied(_)) => self.open_with(path, OpenOptions::new().write(true))?,
            other => other?,
        };
        let keep = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let to = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: keep, last_modification: to };
        Ok(rustix::fs::futimens(&file, &times)?)
    }

    fn file_or_directory(&self, path: &VirtualPath) -> Result<(), FsError> {
        match self.stat(path)?.kind {
            FileKind::File | FileKind::Directory => Ok(()),
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
        let dir = self.root.open_dir(path.below_root())?;
        let stat = rustix::fs::fstatvfs(dir.into_std_file())?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl Upload {
    /// Makes the file ready for the first byte: cut back to where the upload begins.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn begin(&mut self, store: Store) -> Result<(), FsError> {
        let offset = match store {
            Store::Append => return Ok(()),
            Store::Replace | Store::New => 0,
            Store::At(offset) => offset,
        };
        if self.size > offset {
            self.file.set_len(offset)?;
        }
        io::Seek::seek(&mut self.file, io::SeekFrom::Start(offset))?;
        Ok(())
    }

    /// Closes the file, and says whether all of it got there.
    ///
    /// # Errors
    ///
    /// What the file system had not said before: quotas and networks may refuse this late.
    pub fn close(self) -> Result<(), FsError> {
        nix::unistd::close(self.file).map_err(|errno| io::Error::from(errno).into())
    }
}

fn regular(file: &File) -> Result<u64, FsError> {
    let meta = file.metadata()?;
    match (meta.is_file(), meta.is_dir()) {
        (true, _) => Ok(meta.len()),
        (_, true) => Err(FsError::IsADirectory),
        _ => Err(FsError::NotAFile),
    }
}

/// The entries of one directory, one at a time.
#[derive(Debug)]
pub struct Listing {
    tree: Arc<Tree>,
    path: VirtualPath,
    names: rustix::fs::Dir,
}

impl Listing {
    /// An entry, or nothing when it cannot be looked at: it was removed meanwhile, or it lies
    /// on a mount that is not for us. The others are listed all the same, as `ls` does.
    fn entry(&self, name: &CStr) -> Result<Option<Entry>, FsError> {
        let stat = rustix::fs::statat(self.names.fd()?, name, AtFlags::SYMLINK_NOFOLLOW);
        let Ok(stat) = stat else { return Ok(None) };
        let mut entry = Entry::of_stat(name.to_bytes().to_owned(), &stat);
        if entry.kind == FileKind::Link {
            entry.target = self.tree.target(&entry, &self.path.join(&entry.name));
        }
        Ok(Some(entry))
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, FsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.names.read()? {
                Ok(found) => found,
                Err(why) => return Some(Err(why.into())),
            };
            if matches!(found.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            match self.entry(found.file_name()) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(why) => return Some(Err(why)),
            }
        }
    }
}

impl Entry {
    fn of_metadata(name: Vec<u8>, meta: &Metadata) -> Self {
        Self {
            name,
            kind: FileKind::of_mode(meta.mode()),
            mode: meta.mode() & 0o7777,
            links: meta.nlink(),
            uid: meta.uid(),
            gid: meta.gid(),
            size: meta.size(),
            modified: meta.mtime(),
            id: (meta.dev(), meta.ino()),
            target: None,
        }
    }

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
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: stat.st_mtime as i64,
            id: (stat.st_dev as u64, stat.st_ino as u64),
            target: None,
        }
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
