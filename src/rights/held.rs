//! Opening the server's own files as root: directories on the path are held open, and links
//! that another user could have planted are not followed.
//!
//! Root follows a link only in a directory that nobody else may change. Below the first
//! directory that others may change, root follows no link, opens plain files only, and refuses
//! a file with a second name (a hard link). A process that is not root has the rights of its
//! user only, and follows links as usual.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, accessat, fstat, mkdirat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use super::ids::Ids;
use super::sandbox::is_in_sandbox;
use super::walk::{FOLDER, Found, Target, Trust, Walk};

/// A name in a directory that is held open. It stays a name in that directory even if other
/// processes rename the directory.
#[derive(Debug)]
pub struct Held {
    folder: OwnedFd,
    name: OsString,
    /// The path of the directory, for messages.
    at: PathBuf,
    target: Target,
}

impl Held {
    /// Finds the directory of a path and holds it. The name itself need not exist.
    ///
    /// # Errors
    ///
    /// When the system refuses; or, for root, when the path leads over a link that root does
    /// not follow.
    pub fn find(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        if geteuid().is_root() {
            return Walk::new(&path)?.find(no_folder).map(Self::from);
        }
        let name = path.file_name().ok_or(Errno::ISDIR)?.to_owned();
        let folder = path.parent().unwrap_or(Path::new("/"));
        let held = openat(CWD, folder, FOLDER, Mode::empty())?;
        Ok(Self { folder: held, name, at: folder.to_owned(), target: Target::Any })
    }

    /// Returns the directory.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Returns a path to the file, for functions that accept only paths. It is valid as long as
    /// this value lives.
    pub fn path(&self) -> PathBuf {
        self.folder_path().join(&self.name)
    }

    /// Returns a path to the directory. If others may rename the directory, the path is that of
    /// its file descriptor in `/proc`, and is valid as long as this value lives.
    pub fn folder_path(&self) -> PathBuf {
        match self.target {
            Target::Any | Target::Own | Target::Descriptor => self.at.clone(),
            Target::Foreign => format!("/proc/self/fd/{}", self.folder.as_raw_fd()).into(),
        }
    }

    /// Returns the name with another extension, in the same directory.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn with_extension(&self, extension: &str) -> io::Result<Self> {
        let name = Path::new(&self.name).with_extension(extension).into_os_string();
        let (folder, at) = (self.folder.try_clone()?, self.at.clone());
        Ok(Self { folder, name, at, target: self.target })
    }

    /// Opens the directory itself for reading, for example to lock it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn open_folder(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.folder, ".", flags, Mode::empty()).map(File::from)?)
    }

    /// Returns the names in the directory for which `wanted` is true.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn beside(&self, wanted: impl Fn(&OsStr) -> bool) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(self.open_folder()?)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if wanted(name) {
                let (folder, at) = (self.folder.try_clone()?, self.at.clone());
                found.push(Self { folder, name: name.to_owned(), at, target: self.target });
            }
        }
        Ok(found)
    }

    /// Opens the file. With `CREATE` it is created if it does not exist; with `CREATE` and
    /// `EXCL` it must not exist.
    ///
    /// # Errors
    ///
    /// When the system refuses, or when root refuses the file: it is a link, not a plain file,
    /// or has a second name, in a directory that others may change.
    pub fn open(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        let extra = match self.target {
            Target::Any | Target::Descriptor => OFlags::empty(),
            Target::Own => OFlags::NOFOLLOW,
            // opening a FIFO must not block
            Target::Foreign => OFlags::NOFOLLOW | OFlags::NONBLOCK,
        };
        let file = openat(&self.folder, &self.name, flags | extra | OFlags::CLOEXEC, mode);
        let file = File::from(file.map_err(|why| self.explain(why, flags))?);
        if self.target == Target::Foreign
            && geteuid().is_root()
            && let Some(why) = refused(&fstat(&file)?, None)
        {
            return Err(io::Error::other(format!(
                "{why}; users other than root may change {}",
                self.folder_name()
            )));
        }
        Ok(file)
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }

    /// Removes the empty directory of this name.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn remove_folder(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &self.name, AtFlags::REMOVEDIR)?)
    }

    /// Renames the file, and replaces the other one if it exists.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn rename_to(&self, other: &Self) -> io::Result<()> {
        Ok(renameat(&self.folder, &self.name, &other.folder, &other.name)?)
    }

    /// Gives the file or directory to a user. Does not follow a link.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn hand_over(&self, to: &Ids) -> io::Result<()> {
        let (user, group) = (Some(Uid::from_raw(to.uid)), Some(Gid::from_raw(to.gid)));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(&self.folder, &self.name, user, group, flags)?)
    }

    /// Makes a directory of this name and opens it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn make_folder(&self, mode: u32) -> io::Result<OwnedFd> {
        mkdirat(&self.folder, &self.name, Mode::from_raw_mode(mode))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.folder, &self.name, flags, Mode::empty())?)
    }

    fn folder_name(&self) -> String {
        self.at.display().to_string()
    }

    /// Explains an error of opening the file: adds that the name is a link, or that the sandbox
    /// forbids it.
    fn explain(&self, why: Errno, flags: OFlags) -> io::Error {
        // the walk found no link here, so the link was planted later
        if why == Errno::LOOP && self.target != Target::Any {
            return io::Error::other(format!("is a link in {}", self.folder_name()));
        }
        if matches!(why, Errno::ACCESS | Errno::PERM) && self.is_hidden_by_sandbox(flags) {
            let path = self.path();
            let real = std::fs::canonicalize(&path).unwrap_or(path);
            return io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "Permission denied by the sandbox: {} is outside the directories that the \
                     settings named at the start; restart the server, or set sandbox = off",
                    real.display()
                ),
            );
        }
        why.into()
    }

    /// Whether only the sandbox forbids opening the file. access(2) ignores the sandbox, so it
    /// still reports that the user may open the file.
    fn is_hidden_by_sandbox(&self, flags: OFlags) -> bool {
        if !is_in_sandbox() {
            return false;
        }
        let may = |name: &OsStr, access| {
            accessat(&self.folder, name, access, AtFlags::EACCESS) == Ok(())
        };
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR);
        let access = if writes { Access::WRITE_OK } else { Access::READ_OK };
        let there = statat(&self.folder, &self.name, AtFlags::empty()).is_ok();
        if there {
            return may(&self.name, access);
        }
        let makes = flags.contains(OFlags::CREATE);
        makes && may(OsStr::new("."), Access::WRITE_OK | Access::EXEC_OK)
    }
}

impl From<Found> for Held {
    fn from(found: Found) -> Self {
        let Found { folder, name, at, target } = found;
        Self { folder, name, at, target }
    }
}

/// Fails when a walk finds that a directory does not exist.
fn no_folder(_: &OwnedFd, _: &OsStr, _: Trust) -> io::Result<()> {
    Err(io::ErrorKind::NotFound.into())
}

/// Returns why root refuses a file in a directory that others may change, if it does.
fn refused(stat: &Stat, user: Option<&Ids>) -> Option<&'static str> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Some("is not a plain file");
    }
    let is_user_s = user.is_some_and(|ids| ids.uid == stat.st_uid);
    (stat.st_nlink > 1 && !is_user_s).then_some("has a second name (a hard link)")
}

/// Reads a whole file that belongs to the server itself.
///
/// # Errors
///
/// When the system refuses, or when the path leads over a link that root does not follow.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file that belongs to the server itself for reading. For a FIFO this fails without
/// blocking.
///
/// # Errors
///
/// When the system refuses, or when the path leads over a link that root does not follow.
pub fn open(path: &Path) -> io::Result<File> {
    let file = Held::find(path)?.open(OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    let meta = file.metadata()?;
    if meta.is_file() {
        return Ok(file);
    }
    Err(io::Error::other(if meta.is_dir() { "is a directory" } else { "is not a file" }))
}

/// Checks whether root would follow all links on a path of the settings, for a server that
/// becomes `user`. If this process is not root, directories that it cannot read are assumed to
/// be good.
///
/// # Errors
///
/// A message that continues a sentence which begins with the quoted path.
pub fn may_follow(path: &Path, user: Option<&Ids>) -> Result<(), String> {
    let Ok(path) = std::path::absolute(path) else { return Ok(()) };
    let found = Walk::new(&path).and_then(|walk| walk.find(no_folder)).map(Held::from);
    let held = match found {
        Ok(held) => held,
        Err(why) if why.kind() == io::ErrorKind::Other => return Err(why.to_string()),
        Err(_) => return Ok(()),
    };
    if held.target != Target::Foreign {
        return Ok(());
    }
    let Ok(stat) = statat(&held.folder, &held.name, AtFlags::SYMLINK_NOFOLLOW) else {
        return Ok(());
    };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if matches!(kind, FileType::Directory | FileType::Socket) {
        return Ok(());
    }
    match refused(&stat, user) {
        None => Ok(()),
        Some(why) => {
            let folder = held.folder_name();
            Err(format!("{why}, and users other than root may change {folder}"))
        }
    }
}
