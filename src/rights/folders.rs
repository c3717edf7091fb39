//! Making directories for the server's own files.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchown, fstat, mkdirat, openat, statat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use super::ids::Ids;
use super::thread::act_as;
use super::walk::{Target, Trust, Walk};

/// Makes a directory, and those above it, unless it exists. Only its owner `to` can read it.
///
/// # Errors
///
/// When the system refuses, or when the path leads over a link that root does not follow.
pub fn make_folder(path: &Path, to: Option<&Ids>) -> io::Result<()> {
    if geteuid().is_root() {
        return make_as_root(path, to);
    }
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn make_as_root(path: &Path, to: Option<&Ids>) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    for _ in 0..TRIES {
        match make_folders(&path, to) {
            // another process has made the directory in the meantime, so the walk starts again
            Err(why) if Errno::from_io_error(&why) == Some(Errno::EXIST) => {}
            done => return done,
        }
    }
    Err(Errno::EXIST.into())
}

/// How often the walk starts again when another process makes a directory meanwhile.
const TRIES: usize = 16;

fn make_folders(path: &Path, to: Option<&Ids>) -> io::Result<()> {
    let make = |folder: &OwnedFd, name: &OsStr, trust: Trust| {
        let mode = Mode::from_raw_mode(0o700);
        if trust == Trust::Foreign && to.is_some() {
            // the directory is made with the user's own rights if they suffice
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
            return Err(io::Error::other(
                "another user has made the directory in the meantime",
            ));
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
            let trust =
                if held.target == Target::Foreign { Trust::Foreign } else { Trust::Own };
            make(&held.folder, &held.name, trust)
        }
        Err(why) => Err(why.into()),
    }
}
