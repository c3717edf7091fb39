//! Why the file system refuses something, in words for the administrator; and whether it would.
//! Names stand in them as they are: who prints them escapes them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, Mode, OFlags, Stat, StatxAttributes, StatxFlags, accessat, statat, statx,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::FsError;
use super::path::VirtualPath;
use super::tree::beneath::Walked;
use super::tree::{FileKind, Tree};
use crate::config::Perm;

/// No file system that is usual has longer names.
const LONGEST_NAME: usize = 255;

/// The sticky bit of a directory.
const STICKY: u32 = 0o1000;

impl Tree {
    /// Whether an action that takes this permission would be carried out. Changes nothing.
    ///
    /// # Errors
    ///
    /// What it would fail with.
    pub fn could(self: &Arc<Self>, path: &VirtualPath, perm: Perm) -> Result<(), FsError> {
        match perm {
            Perm::Retrieve => self.read(path).map(drop),
            Perm::Enter => self.enter(path),
            Perm::List if self.stat(path)?.kind != FileKind::Directory => Ok(()),
            Perm::List => self.list(path).map(drop),
            Perm::Store | Perm::Append => {
                self.may_make(path)?;
                self.check_write(path).map(drop)
            }
            Perm::MakeDir => match self.entry(path) {
                Ok(_) => Err(FsError::Exists),
                Err(_) if path.name().len() > LONGEST_NAME => Err(Errno::NAMETOOLONG.into()),
                Err(_) => self.may_make(path).and_then(|()| self.may_change(path)),
            },
            Perm::Delete | Perm::Rename => {
                let there = self.entry(path)?;
                if path.is_root() {
                    return Err(FsError::IsRoot);
                }
                if perm == Perm::Delete && there.kind == FileKind::Directory {
                    match self.list(path).and_then(|mut entries| entries.is_bare()) {
                        Ok(false) => return Err(FsError::NotEmpty),
                        // it may be empty, and removed without being read
                        Ok(true) | Err(FsError::Denied(_)) => {}
                        Err(why) => return Err(why),
                    }
                }
                self.may_change(path)
            }
            Perm::Chmod | Perm::SetTime => {
                let there = self.stat(path)?;
                let own = geteuid().is_root() || there.uid == geteuid().as_raw();
                if own { Ok(()) } else { Err(Errno::PERM.into()) }
            }
        }
    }

    /// Whether the entry itself may be made, removed or renamed.
    fn may_change(&self, path: &VirtualPath) -> Result<(), FsError> {
        let (dir, stat) = self.hold(&path.parent())?;
        accessat(&dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
        if holder(path, &dir, &stat).is_some() || frozen(path, &dir).is_some() {
            return Err(Errno::PERM.into());
        }
        let there = statat(&dir, path.name(), AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| there.st_dev != stat.st_dev) {
            // something is mounted there
            return Err(Errno::BUSY.into());
        }
        Ok(())
    }

    /// Which right of the system is missing where an action that takes this permission was
    /// denied.
    pub fn missing_right(&self, path: &VirtualPath, perm: Perm) -> Option<String> {
        if let Some(folder) = self.barred(path)
            && let Some(lacks) = self.lacks(&folder, Access::EXEC_OK, "enter the directory")
        {
            return Some(lacks);
        }
        let parent = path.parent();
        let write = Access::WRITE_OK | Access::EXEC_OK;
        let changing = || self.lacks(&parent, write, "write to the directory");
        match perm {
            Perm::Enter => self.lacks(path, Access::EXEC_OK, "enter the directory"),
            Perm::List => self.lacks(path, Access::READ_OK, "list the directory"),
            Perm::Retrieve => self.lacks(path, Access::READ_OK, "read the file"),
            Perm::Store | Perm::Append => {
                let file = self.lacks(path, Access::WRITE_OK, "write to the file");
                file.or_else(changing)
            }
            Perm::MakeDir => changing(),
            Perm::Delete | Perm::Rename => changing().or_else(|| {
                let (dir, stat) = self.hold(&parent).ok()?;
                if let Some(how) = frozen(path, &dir) {
                    return Some(format!("{} is {how}", self.real(path).display()));
                }
                let owner = holder(path, &dir, &stat)?;
                let real = self.real(&parent);
                Some(format!(
                    "the directory {} is sticky, and {} belongs to uid {owner}",
                    real.display(),
                    self.real(path).display()
                ))
            }),
            Perm::Chmod | Perm::SetTime => {
                let (there, me) = (self.stat(path).ok()?, geteuid().as_raw());
                let real = self.real(path);
                let text = format!("{} belongs to uid {}, not {me}", real.display(), there.uid);
                (there.uid != me).then_some(text)
            }
        }
    }

    /// The first directory on the way to a path that may not be entered. One walk finds it,
    /// however deep the path is.
    fn barred(&self, path: &VirtualPath) -> Option<VirtualPath> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // whether something is there at the end does not matter
        let Walked { path, end } = self.root.walk(path.below_root(), flags, Mode::empty());
        let is_barred = end.is_err_and(|why| why == Errno::ACCESS);
        is_barred.then(|| VirtualPath::root().join(&path))
    }

    /// What the server's user may not do with something that is there.
    fn lacks(&self, path: &VirtualPath, access: Access, what: &str) -> Option<String> {
        let real = self.real(path);
        // links were followed, so what is asked for is not one
        let path = self.followed(path).ok()?;
        let (dir, _) = self.hold(&path.parent()).ok()?;
        let name = if path.is_root() { b".".as_slice() } else { path.name() };
        let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        match accessat(&dir, name, access, AtFlags::EACCESS) {
            Err(Errno::ROFS) => {
                Some(format!("the file system of {} is read-only", real.display()))
            }
            Err(Errno::PERM) if let Some(how) = frozen(&path, &dir) => {
                Some(format!("{} is {how}", real.display()))
            }
            Err(Errno::ACCESS | Errno::PERM) => Some(format!(
                "uid {} may not {what} {} (mode {:03o}, owner {}:{})",
                geteuid().as_raw(),
                real.display(),
                stat.st_mode & 0o7777,
                stat.st_uid,
                stat.st_gid
            )),
            _ => None,
        }
    }
}

/// What keeps even the owner of an entry from changing it.
fn frozen(path: &VirtualPath, dir: &OwnedFd) -> Option<&'static str> {
    let mask = StatxFlags::TYPE;
    let there = statx(dir, path.name(), AtFlags::SYMLINK_NOFOLLOW, mask).ok()?;
    if there.stx_attributes.contains(StatxAttributes::IMMUTABLE) {
        Some("immutable (chattr +i)")
    } else if there.stx_attributes.contains(StatxAttributes::APPEND) {
        Some("for appending alone (chattr +a)")
    } else {
        None
    }
}

/// The owner of an entry that a sticky directory keeps for its owner.
fn holder(path: &VirtualPath, dir: &OwnedFd, stat: &Stat) -> Option<u32> {
    let me = geteuid();
    let there = statat(dir, path.name(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let sticky = stat.st_mode & STICKY != 0 && !me.is_root();
    let own = [stat.st_uid, there.st_uid].contains(&me.as_raw());
    (sticky && !own).then_some(there.st_uid)
}
