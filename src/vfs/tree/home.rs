//! Homes that are made when their user logs in (`create_home`).
//!
//! Others may be able to make links and directories on the way to a home. So the way is gone one
//! directory at a time, each held open, and a link is followed only if root or the server's user
//! has made it.

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

use crate::rights::{self, Ids};
use crate::vfs::error::FsError;

/// Links that are followed at most, as the system does it.
const LINKS: u32 = 40;

/// The mode of a directory until it has its own.
const NOBODYS: Mode = Mode::RWXU;

/// A directory that is only held.
const HELD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Holds the directory that a path names, and makes what is missing of it, with `mode` and for the
/// user whom this thread acts as: `ids`, or the server's.
pub(in crate::vfs) fn make(
    path: &Path,
    mode: u32,
    ids: Option<&Ids>,
) -> Result<OwnedFd, FsError> {
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

/// Where a link leads that may be followed.
fn link(dir: &OwnedFd, name: &OsStr, links: u32) -> Result<PathBuf, FsError> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Err(FsError::NotADirectory);
    }
    // the real number stays the server's, whoever this thread acts as
    if stat.st_uid != 0 && stat.st_uid != getuid().as_raw() {
        let name = Path::new(name).display();
        let why = format!("'{name}' is a link that somebody else has made");
        return Err(FsError::Other(io::Error::other(why)));
    }
    if links > LINKS {
        return Err(Errno::LOOP.into());
    }
    let target = readlinkat(dir, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// Makes a directory. Another login may make it at the same time.
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

/// Makes a directory as the server's user, and gives it away.
fn make_for(dir: &OwnedFd, name: &OsStr, mode: u32, ids: &Ids) -> Result<(), FsError> {
    if !is_ours(&fstat(dir)?) {
        // somebody could put another directory in its place before it is given away
        let why = "others than the server may change the directory above the home";
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
        // it was made a moment ago, and is empty
        let _ = unlinkat(dir, name, AtFlags::REMOVEDIR);
        why.into()
    })
}

fn opened(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Whatever umask the process has. The bit that hands a directory's group on stays.
fn set_mode(home: &OwnedFd, mode: u32) -> rustix::io::Result<()> {
    let inherited = Mode::from_raw_mode(fstat(home)?.st_mode) & Mode::SGID;
    fchmod(home, Mode::from_raw_mode(mode) | inherited)
}

/// Whether nobody but root and the server can replace what is made in a directory.
fn is_ours(stat: &Stat) -> bool {
    let (own, group) = (geteuid().as_raw(), getegid().as_raw());
    let mode = Mode::from_raw_mode(stat.st_mode);
    let by_group = mode.contains(Mode::WGRP) && stat.st_gid != group;
    let by_others = mode.contains(Mode::WOTH) || by_group;
    let is_sticky = mode.contains(Mode::SVTX);
    (stat.st_uid == 0 || stat.st_uid == own) && (!by_others || is_sticky)
}
