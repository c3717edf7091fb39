//! The home directories of users, which can be made at login (`create_home`).
//!
//! Other users may be able to make links and directories on the path of a home. So when a home
//! is made, its path is walked one directory at a time, and each directory is held open. A link
//! is followed only if root or the server's user has made it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fchown, fstat, mkdirat, openat, readlinkat,
    statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid, getuid};

use super::beneath::Root;
use super::entry::id_of;
use crate::rights::{self, Ids};
use crate::vfs::error::FsError;

/// The directory of a home, held open.
#[derive(Debug)]
pub struct Home {
    pub(super) path: PathBuf,
    pub(super) root: OwnedFd,
    /// Whether the home's file system counts the links of a directory. If so, a count of 0
    /// shows that a directory was removed after it was opened.
    pub(super) counts_links: bool,
}

/// Maximum number of links that are followed, as in the system's own lookups.
const LINKS: u32 = 40;

/// Mode of a new directory until its own mode is set.
const NOBODYS: Mode = Mode::RWXU;

/// Flags to open a directory only for lookups.
const HELD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Home {
    /// Opens a home.
    ///
    /// # Errors
    ///
    /// When it is missing, not a directory, or not readable.
    #[inline(never)]
    pub fn open(path: &Path) -> Result<Self, FsError> {
        // Uses little of the stack, because each idle session keeps the memory of its deepest
        // call. Usually the handle shows that the sandbox knows the home, and the path is not
        // checked.
        let root = open_home(path);
        let stat = root.as_ref().ok().and_then(|root| fstat(root).ok());
        let is_known = stat.is_some_and(|stat| rights::is_of_sandbox(id_of(&stat)));
        if !is_known && !rights::may_change_in_sandbox(path) {
            return Err(FsError::Confined);
        }
        let counts_links = stat.is_some_and(|stat| stat.st_nlink > 0);
        Ok(Self { path: path.to_owned(), root: root?, counts_links })
    }

    /// Opens a home. If it is missing, makes it with `mode`, along with the directories above
    /// it. New directories belong to `ids`, the user that this thread acts as, or to the
    /// server's user.
    ///
    /// # Errors
    ///
    /// As for [`Home::open`]; and when the path leads over a link that another user has made.
    #[inline(never)]
    pub fn make(path: &Path, mode: u32, ids: Option<&Ids>) -> Result<Self, FsError> {
        let held = make(path, mode, ids)?;
        let home = Self::open(path)?;
        if id_of(&fstat(&held)?) == id_of(&fstat(&home.root)?) {
            Ok(home)
        } else {
            Err(FsError::Replaced)
        }
    }
}

impl Home {
    /// Opens a home that lies below the directory `above`, out of which no link leads. If the home is
    /// missing and `missing` is given, makes it with this mode for this user, as [`Home::make`] does, but
    /// follows no links below `above`.
    ///
    /// # Errors
    ///
    /// As for [`Home::make`]; and when the path leads out of `above`.
    #[inline(never)]
    pub fn beneath(
        above: &Path,
        path: &Path,
        missing: Option<(u32, Option<&Ids>)>,
    ) -> Result<Self, FsError> {
        let rest = path.strip_prefix(above).map_err(|_| FsError::Outside)?;
        let base = Root::new(open_home(above)?);
        let opened = match (base.open(rest, HELD, Mode::empty()), missing) {
            (Err(FsError::NotFound), Some((mode, ids))) => {
                make_plain(&base, rest, mode, ids)?;
                base.open(rest, HELD, Mode::empty())
            }
            (opened, _) => opened,
        };
        if !rights::may_change_in_sandbox(above) {
            return Err(FsError::Confined);
        }
        let root = opened?;
        let counts_links = fstat(&root).is_ok_and(|stat| stat.st_nlink > 0);
        Ok(Self { path: path.to_owned(), root, counts_links })
    }
}

/// Makes the missing directories of a path below `base`. A link on the path is not followed.
fn make_plain(base: &Root, path: &Path, mode: u32, ids: Option<&Ids>) -> Result<(), FsError> {
    let mut dir = base.dir().try_clone_to_owned()?;
    for name in parts(path) {
        let open = |dir: &OwnedFd| openat(dir, &name, HELD | OFlags::NOFOLLOW, Mode::empty());
        dir = match open(&dir) {
            Err(Errno::NOENT) => {
                make_one(&dir, &name, mode, ids)?;
                open(&dir)?
            }
            other => other?,
        };
    }
    Ok(())
}

/// Opens the directory of a home. All served files are opened below such a handle.
pub(in crate::vfs) fn open_home(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, HELD, Mode::empty())
}

/// Opens the directory that a path names. Missing directories are made with `mode` and belong
/// to the user that this thread acts as: `ids`, or the server's user.
fn make(path: &Path, mode: u32, ids: Option<&Ids>) -> Result<OwnedFd, FsError> {
    let mut rest = parts(path);
    let mut dir = root()?;
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        match openat(&dir, &name, HELD | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => dir = next,
            Err(Errno::NOENT) => {
                make_one(&dir, &name, mode, ids)?;
                dir = openat(&dir, &name, HELD | OFlags::NOFOLLOW, Mode::empty())?;
            }
            Err(Errno::LOOP | Errno::NOTDIR) => {
                links += 1;
                let target = link(&dir, &name, links)?;
                if target.is_absolute() {
                    dir = root()?;
                }
                let mut ahead = parts(&target);
                ahead.append(&mut rest);
                rest = ahead;
            }
            Err(why) => return Err(why.into()),
        }
    }
    Ok(dir)
}

fn root() -> Result<OwnedFd, FsError> {
    Ok(rustix::fs::open("/", HELD, Mode::empty())?)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect()
}

/// Returns the target of a link, if the link may be followed.
fn link(dir: &OwnedFd, name: &OsStr, links: u32) -> Result<PathBuf, FsError> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Err(FsError::NotADirectory);
    }
    // the real user id is the server's, even if this thread acts as another user
    if stat.st_uid != 0 && stat.st_uid != getuid().as_raw() {
        let name = Path::new(name).display();
        let why = format!("'{name}' is a link made by another user");
        return Err(FsError::Other(io::Error::other(why)));
    }
    if links > LINKS {
        return Err(Errno::LOOP.into());
    }
    let target = readlinkat(dir, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// Makes a directory. It may already exist, if another login has made it at the same time.
fn make_one(dir: &OwnedFd, name: &OsStr, mode: u32, ids: Option<&Ids>) -> Result<(), FsError> {
    match (mkdirat(dir, name, NOBODYS), ids) {
        (Ok(()), _) => Ok(set_mode(&opened(dir, name)?, mode)?),
        (Err(Errno::EXIST), _) => Ok(()),
        (Err(Errno::ACCESS | Errno::PERM), Some(ids)) => {
            rights::as_server(|| make_for(dir, name, mode, ids))?
        }
        (Err(why), _) => Err(why.into()),
    }
}

/// Makes a directory as the server's user, and gives it to `ids`.
fn make_for(dir: &OwnedFd, name: &OsStr, mode: u32, ids: &Ids) -> Result<(), FsError> {
    if !is_ours(&fstat(dir)?) {
        // another user could replace the new directory by another one before it changes its
        // owner
        let why = "users other than root and the server's user may change the directory above the home";
        return Err(FsError::Denied(io::Error::new(io::ErrorKind::PermissionDenied, why)));
    }
    match mkdirat(dir, name, NOBODYS) {
        Err(Errno::EXIST) => return Ok(()),
        other => other?,
    }
    let given = opened(dir, name).and_then(|made| {
        let _raised = rights::raise_ownership();
        set_mode(&made, mode)?;
        fchown(&made, Some(Uid::from_raw(ids.uid)), Some(Gid::from_raw(ids.gid)))
    });
    given.map_err(|why| {
        // the directory is new and empty
        let _ = unlinkat(dir, name, AtFlags::REMOVEDIR);
        why.into()
    })
}

fn opened(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Sets the mode of a new directory, regardless of the umask. Keeps a set-group-ID bit that it
/// has inherited from the directory above it.
fn set_mode(home: &OwnedFd, mode: u32) -> rustix::io::Result<()> {
    let inherited = Mode::from_raw_mode(fstat(home)?.st_mode) & Mode::SGID;
    fchmod(home, Mode::from_raw_mode(mode) | inherited)
}

/// Whether only root and the server's user can replace the entries of a directory.
fn is_ours(stat: &Stat) -> bool {
    let (own, group) = (geteuid().as_raw(), getegid().as_raw());
    let mode = Mode::from_raw_mode(stat.st_mode);
    let by_group = mode.contains(Mode::WGRP) && stat.st_gid != group;
    let by_others = mode.contains(Mode::WOTH) || by_group;
    let is_sticky = mode.contains(Mode::SVTX);
    (stat.st_uid == 0 || stat.st_uid == own) && (!by_others || is_sticky)
}
