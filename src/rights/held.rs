//! Files of the server's own, as root reaches them: by folders that are held open, and without
//! following a link that others could have planted.
//!
//! Root follows a link only where nobody else may change the folder that it lies in. From the first
//! folder on that others may change, names are taken as they are, a file must be a plain one, and one
//! with a second name (a hard link) is refused. Whoever is not root has rights of its own alone, and
//! follows links as usual.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, StatVfsMountFlags, accessat,
    fchown, fstat, fstatfs, fstatvfs, mkdirat, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use super::sandbox::is_in_sandbox;
use super::{Ids, act_as};

/// A name in a folder that is held open. The folder stays the same one, whatever others rename.
#[derive(Debug)]
pub struct Held {
    folder: OwnedFd,
    name: OsString,
    /// Where that is, for messages.
    at: PathBuf,
    kind: Kind,
}

/// What a name may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Anything, by a link as well: whoever asks is not root.
    Any,
    /// Anything but a link, in a folder that only root may change.
    Own,
    /// A plain file with one name, in a folder that others may change.
    Foreign,
    /// A link of `/proc` to what a process has open.
    Descriptor,
}

/// Who may change the names in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Root alone.
    Own,
    /// Everybody may add names and nobody may replace those of others, as in /tmp.
    Sticky,
    /// Others as well.
    Foreign,
}

/// More links than this lead nowhere, as for the kernel.
const MOST_LINKS: usize = 40;

/// `PROC_SUPER_MAGIC`: links there lead to what is open, whatever they read as.
const PROC: u64 = 0x9fa0;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Held {
    /// Finds a name.
    ///
    /// # Errors
    ///
    /// The system's; or, for root, that there is a link that it does not follow.
    pub fn find(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        if geteuid().is_root() {
            return Walk::new(&path)?.find(|_, _, _| Err(io::ErrorKind::NotFound.into()));
        }
        let name = path.file_name().ok_or(Errno::ISDIR)?.to_owned();
        let folder = path.parent().unwrap_or(Path::new("/"));
        let held = openat(CWD, folder, FOLDER, Mode::empty())?;
        Ok(Self { folder: held, name, at: folder.to_owned(), kind: Kind::Any })
    }

    /// The folder.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// A path that leads there as long as this is held, for what takes nothing else.
    pub fn path(&self) -> PathBuf {
        self.folder_path().join(&self.name)
    }

    /// The same for the folder. Where others may rename it, it goes by way of the open folder.
    pub fn folder_path(&self) -> PathBuf {
        match self.kind {
            Kind::Any | Kind::Own | Kind::Descriptor => self.at.clone(),
            Kind::Foreign => format!("/proc/self/fd/{}", self.folder.as_raw_fd()).into(),
        }
    }

    /// The name with another ending, in the same folder.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn with_extension(&self, extension: &str) -> io::Result<Self> {
        let name = Path::new(&self.name).with_extension(extension).into_os_string();
        let (folder, at) = (self.folder.try_clone()?, self.at.clone());
        Ok(Self { folder, name, at, kind: self.kind })
    }

    /// Opens the folder itself, which a lock takes.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open_folder(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.folder, ".", flags, Mode::empty()).map(File::from)?)
    }

    /// Names in the same folder.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn beside(&self, wanted: impl Fn(&OsStr) -> bool) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(self.open_folder()?)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if wanted(name) {
                let (folder, at) = (self.folder.try_clone()?, self.at.clone());
                found.push(Self { folder, name: name.to_owned(), at, kind: self.kind });
            }
        }
        Ok(found)
    }

    /// Opens the file. With `CREATE` alone, one that is there already is taken; with `EXCL` as well
    /// there must be none.
    ///
    /// # Errors
    ///
    /// The system's, or that it is no file that root may take for the server's own.
    pub fn open(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        let extra = match self.kind {
            Kind::Any | Kind::Descriptor => OFlags::empty(),
            Kind::Own => OFlags::NOFOLLOW,
            // a FIFO must hold nobody up
            Kind::Foreign => OFlags::NOFOLLOW | OFlags::NONBLOCK,
        };
        let file = openat(&self.folder, &self.name, flags | extra | OFlags::CLOEXEC, mode);
        let file = File::from(file.map_err(|why| self.explain(why, flags))?);
        if self.kind == Kind::Foreign
            && geteuid().is_root()
            && let Some(why) = refused(&fstat(&file)?, None)
        {
            return Err(io::Error::other(format!(
                "{why}; {} is not root's alone",
                self.folder_name()
            )));
        }
        Ok(file)
    }

    /// Takes the name away.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }

    /// The same for an empty folder.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove_folder(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &self.name, AtFlags::REMOVEDIR)?)
    }

    /// Puts the file in the place of another one in the same folder.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn rename_to(&self, other: &Self) -> io::Result<()> {
        Ok(renameat(&self.folder, &self.name, &other.folder, &other.name)?)
    }

    /// Gives what has the name to that user, links not followed.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn hand_over(&self, to: &Ids) -> io::Result<()> {
        let (user, group) = (Some(Uid::from_raw(to.uid)), Some(Gid::from_raw(to.gid)));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(&self.folder, &self.name, user, group, flags)?)
    }

    /// Makes a folder of this name, and holds it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn make_folder(&self, mode: u32) -> io::Result<OwnedFd> {
        mkdirat(&self.folder, &self.name, Mode::from_raw_mode(mode))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.folder, &self.name, flags, Mode::empty())?)
    }

    fn folder_name(&self) -> String {
        self.at.display().to_string()
    }

    fn explain(&self, why: Errno, flags: OFlags) -> io::Error {
        // one that was put there a moment ago
        if why == Errno::LOOP && self.kind != Kind::Any {
            return io::Error::other(format!("is a link in {}", self.folder_name()));
        }
        if matches!(why, Errno::ACCESS | Errno::PERM) && self.is_hidden_by_sandbox(flags) {
            let path = self.path();
            let real = std::fs::canonicalize(&path).unwrap_or(path);
            return io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "Permission denied by the sandbox: {} lies outside of the folders that the \
                     settings named at the start; restart the server, or set sandbox = off",
                    real.display()
                ),
            );
        }
        why.into()
    }

    /// Whether only the sandbox forbids to open the file, which access(2) knows nothing of.
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

/// Why root does not take a file in a folder of others for the server's own.
fn refused(stat: &Stat, user: Option<&Ids>) -> Option<&'static str> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Some("is not a plain file");
    }
    let is_user_s = user.is_some_and(|ids| ids.uid == stat.st_uid);
    (stat.st_nlink > 1 && !is_user_s).then_some("has a second name (a hard link)")
}

/// Reads a whole file of the server's own.
///
/// # Errors
///
/// The system's, or that root does not follow where it leads.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file of the server's own for reading, without waiting for a FIFO.
///
/// # Errors
///
/// The system's, or that root does not follow where it leads.
pub fn open(path: &Path) -> io::Result<File> {
    let file = Held::find(path)?.open(OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    let meta = file.metadata()?;
    if meta.is_file() {
        return Ok(file);
    }
    Err(io::Error::other(if meta.is_dir() { "is a directory" } else { "is no file" }))
}

/// Whether root would follow a path of the settings to the end, for a server that becomes `user`.
/// Asked by somebody else, what cannot be seen is taken to be good.
///
/// # Errors
///
/// In words that follow the quoted path.
pub fn may_follow(path: &Path, user: Option<&Ids>) -> Result<(), String> {
    let Ok(path) = std::path::absolute(path) else { return Ok(()) };
    let found = Walk::new(&path)
        .and_then(|walk| walk.find(|_, _, _| Err(io::ErrorKind::NotFound.into())));
    let held = match found {
        Ok(held) => held,
        Err(why) if why.kind() == io::ErrorKind::Other => return Err(why.to_string()),
        Err(_) => return Ok(()),
    };
    if held.kind != Kind::Foreign {
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
        Some(why) => Err(format!("{why}, and {} is not root's alone", held.folder_name())),
    }
}

/// Makes a folder for the server's user alone, and those above it, unless it is there.
///
/// # Errors
///
/// The system's, or that root does not follow where it leads.
pub(super) fn make_folder_as_root(path: &Path, to: Option<&Ids>) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    for _ in 0..TRIES {
        match make_folders(&path, to) {
            // somebody else has made it since it was looked for, and it is looked at again
            Err(why) if Errno::from_io_error(&why) == Some(Errno::EXIST) => {}
            done => return done,
        }
    }
    Err(Errno::EXIST.into())
}

/// How often a folder may come into being while it is about to be made.
const TRIES: usize = 16;

fn make_folders(path: &Path, to: Option<&Ids>) -> io::Result<()> {
    let make = |folder: &OwnedFd, name: &OsStr, trust: Trust| {
        let mode = Mode::from_raw_mode(0o700);
        if trust == Trust::Foreign && to.is_some() {
            // what the user may do there is done as the user
            let _acting = act_as(to)?;
            match mkdirat(folder, name, mode) {
                Err(Errno::ACCESS | Errno::PERM) => {}
                done => return done.map_err(io::Error::from),
            }
        }
        mkdirat(folder, name, mode)?;
        let Some(ids) = to else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fresh = openat(folder, name, flags, Mode::empty())?;
        if fstat(&fresh)?.st_uid != 0 {
            return Err(io::Error::other("somebody else has made it meanwhile"));
        }
        let (user, group) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
        Ok(fchown(&fresh, Some(user), Some(group))?)
    };
    let held = match Walk::new(path)?.find(make) {
        Err(why) if Errno::from_io_error(&why) == Some(Errno::ISDIR) => return Ok(()),
        found => found?,
    };
    match statat(&held.folder, &held.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(()),
        Ok(_) => Err(Errno::NOTDIR.into()),
        Err(Errno::NOENT) => {
            let trust = if held.kind == Kind::Foreign { Trust::Foreign } else { Trust::Own };
            make(&held.folder, &held.name, trust)
        }
        Err(why) => Err(why.into()),
    }
}

/// On the way from the root of the file system to a name.
struct Walk {
    folder: OwnedFd,
    at: PathBuf,
    trust: Trust,
    /// What is still to be gone.
    rest: VecDeque<OsString>,
    links: usize,
}

impl Walk {
    fn new(path: &Path) -> io::Result<Self> {
        let folder = openat(CWD, "/", FOLDER, Mode::empty())?;
        let trust = Trust::of(&folder)?;
        let rest = parts(path).collect();
        Ok(Self { folder, at: PathBuf::from("/"), trust, rest, links: 0 })
    }

    /// Goes to the folder of the last name. Folders that are not there are made.
    fn find(
        mut self,
        make: impl Fn(&OwnedFd, &OsStr, Trust) -> io::Result<()>,
    ) -> io::Result<Held> {
        while let Some(name) = self.rest.pop_front() {
            if name == ".." {
                self.enter(&name)?;
                continue;
            }
            let is_last = self.rest.is_empty();
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            match statat(&self.folder, &name, flags) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                    if is_last && self.is_of_descriptors()? {
                        return Ok(self.held(name, Kind::Descriptor));
                    }
                    self.follow(&name)?;
                }
                Ok(_) | Err(Errno::NOENT) if is_last => {
                    let is_foreign = self.trust != Trust::Own;
                    let kind = if is_foreign { Kind::Foreign } else { Kind::Own };
                    return Ok(self.held(name, kind));
                }
                Ok(_) => self.enter(&name)?,
                Err(Errno::NOENT) => {
                    make(&self.folder, &name, self.trust)?;
                    self.enter(&name)?;
                }
                Err(why) => return Err(why.into()),
            }
        }
        Err(Errno::ISDIR.into())
    }

    fn held(self, name: OsString, kind: Kind) -> Held {
        Held { folder: self.folder, name, at: self.at, kind }
    }

    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        let folder = openat(&self.folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        // whoever may change one folder may put another one in the place of any below it
        if self.trust != Trust::Foreign {
            self.trust = Trust::of(&folder)?;
        }
        self.folder = folder;
        if name == ".." {
            self.at.pop();
        } else {
            self.at.push(name);
        }
        Ok(())
    }

    fn follow(&mut self, name: &OsStr) -> io::Result<()> {
        let at = self.at.display();
        if self.trust != Trust::Own {
            let (name, who) = (Path::new(name).display(), self.who()?);
            let why = format!("leads over {name}, a link in {at}, which {who} may change");
            return Err(io::Error::other(format!("{why}; root does not follow it")));
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(io::Error::other(format!(
                "leads over too many links, the last in {at}"
            )));
        }
        let to = readlinkat(&self.folder, name, Vec::new())?;
        let to = Path::new(OsStr::from_bytes(to.as_bytes()));
        if to.is_absolute() {
            let Self { folder, at, trust, .. } = Self::new(to)?;
            (self.folder, self.at, self.trust) = (folder, at, trust);
        }
        for part in parts(to).collect::<Vec<_>>().into_iter().rev() {
            self.rest.push_front(part);
        }
        Ok(())
    }

    /// Who besides root may change the folder, for a message.
    fn who(&self) -> io::Result<String> {
        let stat = fstat(&self.folder)?;
        let mode = stat.st_mode;
        Ok(match stat.st_uid {
            0 if mode & 0o002 != 0 => "everybody".to_owned(),
            0 if mode & 0o020 != 0 => format!("the group {}", stat.st_gid),
            0 => "somebody who may change a folder above it".to_owned(),
            uid => format!("uid {uid}"),
        })
    }

    /// Whether links in the folder lead to what a process has open, as those of /proc/self/fd.
    fn is_of_descriptors(&self) -> io::Result<bool> {
        let is_proc =
            u64::try_from(fstatfs(&self.folder)?.f_type).is_ok_and(|kind| kind == PROC);
        Ok(is_proc && self.at.ends_with("fd"))
    }
}

impl Trust {
    fn of(folder: &OwnedFd) -> io::Result<Self> {
        let Stat { st_uid: owner, st_mode: mode, .. } = fstat(folder)?;
        let others_write = mode & 0o022 != 0;
        Ok(match owner {
            0 if !others_write => Self::Own,
            // such as the settings that Kubernetes mounts, which are links in a folder of mode 777
            0 if fstatvfs(folder)?.f_flag.contains(StatVfsMountFlags::RDONLY) => Self::Own,
            0 if mode & 0o1000 != 0 => Self::Sticky,
            _ => Self::Foreign,
        })
    }
}

/// The names of a path; `..` is one of them.
fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    use std::path::Component;
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
