//! Replaces a settings file with a changed one: completely or not at all, with the mode and
//! owner of the old one, and only if the change causes no fault.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{
    FlockOperation, Gid, Mode, OFlags, Uid, XattrFlags, fchown, fgetxattr, flock, fsetxattr,
    openat,
};

use super::outcome::Stop;
use super::print::complain;
use super::settings::file_of;
use crate::config::{self, ConfigError, Origin};
use crate::rights::{self, Held};

/// Changes `file`, which is the settings file of `origin` or a file of its users. If it does not
/// exist, it is made with the mode and the owner of the settings file, so that the server can read it.
pub(super) fn rewrite<T>(
    origin: &Origin,
    file: &Path,
    change: impl FnOnce(&[u8]) -> Result<(Vec<u8>, T), Stop>,
) -> Result<T, Stop> {
    let failed =
        |why: io::Error| Stop::Failed(format!("cannot write {}: {why}", file.display()));
    let target = target(file).map_err(failed)?;
    // the lock lets one program at a time change the file
    let lock = open(&target).map_err(failed)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|why| failed(why.into()))?;
    let (old, like) = match read(&target) {
        Ok(old) => old,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            (Vec::new(), rights::open(file_of(origin)?).map_err(failed)?)
        }
        Err(why) => return Err(failed(why)),
    };
    let (new, result) = change(&old)?;
    no_worse(origin, file, &new)?;
    replace(&target, &new, &like).map_err(failed)?;
    lock.sync_all().map_err(failed)?;
    Ok(result)
}

/// Returns the file to replace: the target, if `file` is a symbolic link. Root does not follow
/// links that other users could have made.
fn target(file: &Path) -> io::Result<Held> {
    if rights::is_root() {
        return Held::find(file);
    }
    Held::find(&match fs::canonicalize(file) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            let is_link = fs::symlink_metadata(file).is_ok();
            let name = file.file_name().filter(|_| !is_link).ok_or(why)?;
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::canonicalize(folder.unwrap_or(Path::new(".")))?.join(name)
        }
        found => found?,
    })
}

fn read(target: &Held) -> io::Result<(Vec<u8>, File)> {
    let mut file = target.open(OFlags::RDONLY, Mode::empty())?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, file))
}

fn open(target: &Held) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(target.folder(), ".", flags, Mode::empty())?.into())
}

/// Refuses a change that adds a fault to the settings. Earlier faults do not prevent the
/// change.
fn no_worse(origin: &Origin, file: &Path, new: &[u8]) -> Result<(), Stop> {
    let Err(after) = config::load_edited(origin, file, new) else { return Ok(()) };
    let mut before = config::load(origin).err().unwrap_or_default();
    let is_new = |fault: &&ConfigError| {
        let same = before.iter().position(|other| is_same(other, fault));
        same.map(|at| before.swap_remove(at)).is_none()
    };
    let caused: Vec<_> = after.iter().filter(is_new).collect();
    if caused.is_empty() {
        return Ok(());
    }
    for fault in caused {
        complain(&fault.to_string());
    }
    Err(Stop::Failed(
        "the change would cause a fault in the settings; nothing was changed".to_owned(),
    ))
}

/// Returns whether two faults are equal apart from their line numbers, which a change may move.
fn is_same(one: &ConfigError, other: &ConfigError) -> bool {
    let kind = |fault: &ConfigError| std::mem::discriminant(&fault.fault);
    let place = |fault: &ConfigError| (fault.place.section.clone(), fault.place.key.clone());
    (&one.file, &one.variable) == (&other.file, &other.variable)
        && place(one) == place(other)
        && kind(one) == kind(other)
}

fn replace(target: &Held, new: &[u8], like: &File) -> io::Result<()> {
    let folder = target.folder_path();
    let mut draft = match tempfile::Builder::new().prefix(".ftpd-").tempfile_in(folder) {
        // in a container, perhaps the file is writable but its directory is not
        Err(why) if is_shut(&why) && is_mount(&target.path()) => {
            return overwrite(target, new).map_err(|why| mounted(&why));
        }
        made => made?,
    };
    draft.write_all(new)?;
    let (old, own) = (like.metadata()?, draft.as_file().metadata()?);
    if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
        let (user, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
        fchown(draft.as_file(), Some(user), Some(group)).map_err(|why| {
            io::Error::other(format!(
                "cannot keep its owner {}:{}: {why}",
                old.uid(),
                old.gid()
            ))
        })?;
    }
    keep_acl(like, draft.as_file())?;
    let mode = fs::Permissions::from_mode(old.permissions().mode() & 0o7777);
    draft.as_file().set_permissions(mode)?;
    draft.as_file().sync_all()?;
    match draft.persist(target.path()) {
        Ok(_) => Ok(()),
        // the file is a mount point, for example a file that was passed to a container
        Err(why) if why.error.kind() == ErrorKind::ResourceBusy => {
            // keep the draft until the end, in case this fails
            let done = overwrite(target, new);
            drop(why.file);
            done.map_err(|why| mounted(&why))
        }
        Err(why) => Err(why.error),
    }
}

fn is_shut(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

fn mounted(why: &io::Error) -> io::Error {
    io::Error::other(format!(
        "{why}; the file is a mount point and cannot be replaced; mount a directory instead and \
         name it in users_file"
    ))
}

/// Writes to the file in place. If that fails, the old content is restored.
fn overwrite(target: &Held, new: &[u8]) -> io::Result<()> {
    let mut file = target.open(OFlags::RDWR, Mode::empty())?;
    let mut old = Vec::new();
    file.read_to_end(&mut old)?;
    // allocate space first, so that a full disk is noticed before anything has changed
    if let Some(more) = new.len().checked_sub(old.len()).filter(|more| *more > 0) {
        let room = fill(&file, &old, &vec![b'\n'; more]);
        if let Err(why) = room {
            return Err(put_back(&file, &old, why));
        }
    }
    fill(&file, &[], new).map_err(|why| put_back(&file, &old, why))
}

/// Writes `new` to a file after the bytes of `begin`, which it must already contain, and cuts
/// off the rest.
fn fill(file: &File, begin: &[u8], new: &[u8]) -> io::Result<()> {
    let at = u64::try_from(begin.len()).map_err(io::Error::other)?;
    let end = at + u64::try_from(new.len()).map_err(io::Error::other)?;
    file.write_all_at(new, at)?;
    file.set_len(end)?;
    file.sync_all()
}

fn put_back(file: &File, old: &[u8], why: io::Error) -> io::Error {
    match fill(file, &[], old) {
        Ok(()) => why,
        Err(worse) => io::Error::other(format!("{why}, and the old content is lost: {worse}")),
    }
}

/// Returns whether something is mounted on exactly this path.
fn is_mount(path: &Path) -> bool {
    let (Ok(path), Ok(mounts)) = (fs::canonicalize(path), rights::read(Path::new(MOUNTS)))
    else {
        return false;
    };
    let mounts = String::from_utf8_lossy(&mounts);
    let at = |line: &str| line.split(' ').nth(4).map(|at| at.replace("\\040", " "));
    mounts.lines().filter_map(at).any(|at| Path::new(&at) == path)
}

const MOUNTS: &str = "/proc/self/mountinfo";

/// Copies the access control list. The group bits of the mode are the mask of the list; without
/// the list, they would be rights of the group.
fn keep_acl(from: &File, to: &File) -> io::Result<()> {
    const ACL: &str = "system.posix_acl_access";
    let mut list = vec![0_u8; 64 << 10];
    let Ok(len) = fgetxattr(from, ACL, list.as_mut_slice()) else { return Ok(()) };
    let list = list.get(..len).unwrap_or_default();
    fsetxattr(to, ACL, list, XattrFlags::empty())
        .map_err(|why| io::Error::other(format!("cannot keep its access control list: {why}")))
}
