//! The walk from the root of the file system to a file of the server itself, as root does it.
//!
//! Root follows a link only in a directory that nobody else may change.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags, fstat, fstatfs, fstatvfs,
    openat, readlinkat, statat,
};
use rustix::io::Errno;

/// The name at the end of a walk, with its directory, which is held open.
pub(super) struct Found {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    /// The path of the directory, for messages.
    pub(super) at: PathBuf,
    pub(super) target: Target,
}

/// What may be at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Anything, links included: this process is not root.
    Any,
    /// Anything but a link, in a directory that only root may change.
    Own,
    /// A plain file with one name, in a directory that others may change.
    Foreign,
    /// A link in `/proc/<pid>/fd`, which leads to an open file.
    Descriptor,
}

/// Who may change the names in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Root only.
    Own,
    /// All users may add names, but may not replace those of other users, as in `/tmp`.
    Sticky,
    /// Users other than root.
    Foreign,
}

/// Maximum number of links on one path, as for the kernel.
const MOST_LINKS: usize = 40;

/// The type of the file system `/proc` (`PROC_SUPER_MAGIC`). Some links there lead to open
/// files, whatever their text says.
const PROC: u64 = 0x9fa0;

pub(super) const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A walk from the root of the file system to a name.
pub(super) struct Walk {
    folder: OwnedFd,
    at: PathBuf,
    trust: Trust,
    /// The names that are still to be walked.
    rest: VecDeque<OsString>,
    /// Number of links followed so far.
    links: usize,
}

impl Walk {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let folder = openat(CWD, "/", FOLDER, Mode::empty())?;
        let trust = Trust::of(&folder)?;
        let rest = parts(path).collect();
        Ok(Self { folder, at: PathBuf::from("/"), trust, rest, links: 0 })
    }

    /// Walks to the directory of the last name. `make` is called for each directory on the way
    /// that does not exist.
    pub(super) fn find(
        mut self,
        make: impl Fn(&OwnedFd, &OsStr, Trust) -> io::Result<()>,
    ) -> io::Result<Found> {
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
                        return Ok(self.end(name, Target::Descriptor));
                    }
                    self.follow(&name)?;
                }
                Ok(_) | Err(Errno::NOENT) if is_last => {
                    let is_foreign = self.trust != Trust::Own;
                    let target = if is_foreign { Target::Foreign } else { Target::Own };
                    return Ok(self.end(name, target));
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

    fn end(self, name: OsString, target: Target) -> Found {
        Found { folder: self.folder, name, at: self.at, target }
    }

    /// Enters a directory.
    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        let folder = openat(&self.folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        // a user who may change a directory can replace all directories below it
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

    /// Puts the names in the text of a link before the rest of the path.
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

    /// Returns the user or group besides root that may change the directory, for a message.
    fn who(&self) -> io::Result<String> {
        let stat = fstat(&self.folder)?;
        let mode = stat.st_mode;
        Ok(match stat.st_uid {
            0 if mode & 0o002 != 0 => "everybody".to_owned(),
            0 if mode & 0o020 != 0 => format!("the group {}", stat.st_gid),
            0 => "a user who may change a directory above it".to_owned(),
            uid => format!("uid {uid}"),
        })
    }

    /// Whether links in the directory lead to open files, as those in `/proc/self/fd` do.
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
            // for example the settings that Kubernetes mounts: links in a directory of mode 777
            0 if fstatvfs(folder)?.f_flag.contains(StatVfsMountFlags::RDONLY) => Self::Own,
            0 if mode & 0o1000 != 0 => Self::Sticky,
            _ => Self::Foreign,
        })
    }
}

/// Returns the names of a path, including `..`.
fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    use std::path::Component;
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
