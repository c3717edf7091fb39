//! Giving the name of a file to another one, and moving the old file to the trash. The name is never
//! missing meanwhile.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, RenameFlags, linkat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::bin::{Bin, with_bin};
use super::discard::{Trash, not_kept, to_bin};
use super::half::half_done;
use super::stamp::Stamp;
use super::tally::count_moved;
use crate::vfs::error::FsError;
use crate::vfs::quota::payer::Move;
use crate::vfs::tree::entry::id_of;
use crate::vfs::tree::place::{Place, as_path, found, lstat, rename_new};
use crate::vfs::tree::sync::before_replacing;

/// Number of times that a name is tried if other programs give it to files and take it away meanwhile.
const TRIES: u32 = 16;

impl Trash<'_> {
    /// Renames a file, which must not be a directory. A file that has the new name is moved to the
    /// trash. Returns whether there was one.
    pub(in crate::vfs) fn replace(
        &self,
        from_dir: impl AsFd,
        from: &[u8],
        to: &Place,
        source: Source,
    ) -> Result<bool, FsError> {
        let from_dir = from_dir.as_fd();
        for _ in 0..TRIES {
            let new = Move { from: from_dir, name: from, to: Some(to.dir.as_fd()) };
            match self.payer.moving(&[new], || put_new(from_dir, from, to)) {
                Err(FsError::Exists) => {}
                other => return other.map(|()| false),
            }
            let Some(old) = found(to.lstat())? else { continue };
            if FileType::from_raw_mode(old.st_mode).is_dir() {
                return Err(FsError::IsADirectory);
            }
            if id_of(&old) == id_of(&lstat(from_dir, from)?) {
                // two names of one file: the system leaves both
                renameat(from_dir, as_path(from), &to.dir, as_path(&to.name))?;
                return Ok(false);
            }
            if !source.is_written() {
                before_replacing((from_dir, as_path(from)), (&to.dir, as_path(&to.name)))?;
            }
            let open = || self.open(to).map_err(not_kept);
            let replaced = with_bin(open, |bin| {
                let way = if exchanges(old.st_dev) { source.way() } else { Way::Link };
                self.payer.moving(&[to_bin(to, bin), new], || {
                    match bin.replace(way, from_dir, from, to) {
                        Err(FsError::Other(why)) if is_unknown(&why) => {
                            cannot_exchange().insert(old.st_dev);
                            bin.replace(Way::Link, from_dir, from, to)
                        }
                        other => other,
                    }
                })
            });
            match replaced {
                // the old file has been removed or replaced meanwhile
                Err(FsError::NotFound | FsError::Replaced) => {}
                other => {
                    other.inspect(|()| count_moved())?;
                    return Ok(true);
                }
            }
        }
        Err(FsError::Busy)
    }
}

/// The file that takes the place of another one.
#[derive(Debug, Clone, Copy)]
pub(in crate::vfs) enum Source {
    /// A part, which no client sees. `is_written`: its data is on the disk, as it must be before it
    /// replaces a file.
    Part { is_written: bool },
    /// A file with a name of its own.
    Named,
}

impl Source {
    fn is_written(self) -> bool {
        matches!(self, Self::Part { is_written: true })
    }

    fn way(self) -> Way {
        match self {
            Self::Part { .. } => Way::Exchange,
            Self::Named => Way::Swap,
        }
    }
}

/// How a file takes the place of another one.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It goes to the trash, and there it changes names with the old one. After a crash in between, a
    /// part is in the trash. The old version is never under the name of the part, where an upload would
    /// go on with it.
    Exchange,
    /// It changes names with the old one, which goes to the trash then. After a crash in between, the
    /// old version has the name that the file had, and nobody misses a file.
    Swap,
    /// The old one gets a second name in the trash, and then the new one takes its first name. This is
    /// for file systems that cannot exchange names, such as NFS.
    Link,
}

impl Bin {
    fn replace(
        &self,
        way: Way,
        from_dir: BorrowedFd<'_>,
        from: &[u8],
        to: &Place,
    ) -> Result<(), FsError> {
        match way {
            Way::Exchange => self.exchange(from_dir, from, to),
            Way::Swap => self.swap(from_dir, from, to),
            Way::Link => self.link(from_dir, from, to),
        }
    }

    fn exchange(
        &self,
        from_dir: BorrowedFd<'_>,
        from: &[u8],
        to: &Place,
    ) -> Result<(), FsError> {
        let _half = half_done();
        let stamp = self.take(from_dir, from).map_err(not_moved)?;
        let swap = || {
            let (version, flags) = (stamp.name(), RenameFlags::EXCHANGE);
            renameat_with(&self.folder, as_path(&version), &to.dir, as_path(&to.name), flags)
        };
        let swapped = swap().map_err(FsError::from).and_then(|()| {
            // another program may have put a directory there meanwhile; whatever fails from here on, the
            // old version stays in the trash
            let is_undone = is_directory(&self.folder, &stamp.name()) && swap().is_ok();
            if is_undone { Err(FsError::IsADirectory) } else { Ok(()) }
        });
        if let Err(why) = swapped {
            if let Err(back) = self.give_back(stamp, from_dir, from) {
                let name = from.escape_ascii();
                log::error!("{name} stays in the trash, from which it cannot be moved: {back}");
            }
            return Err(why);
        }
        self.sync()
    }

    fn swap(&self, from_dir: BorrowedFd<'_>, from: &[u8], to: &Place) -> Result<(), FsError> {
        let swap = || {
            let flags = RenameFlags::EXCHANGE;
            renameat_with(from_dir, as_path(from), &to.dir, as_path(&to.name), flags)
        };
        swap()?;
        let taken = if is_directory(from_dir, from) {
            Err(FsError::IsADirectory)
        } else {
            self.take(from_dir, from).map_err(not_moved)
        };
        if let Err(why) = taken {
            if let Err(back) = swap() {
                let name = from.escape_ascii();
                log::error!("{name} has the old version, and cannot be renamed back: {back}");
            }
            return Err(why);
        }
        self.sync()
    }

    fn link(&self, from_dir: BorrowedFd<'_>, from: &[u8], to: &Place) -> Result<(), FsError> {
        // no other session gives the name to a file between these calls
        let _turn = turn();
        let version = Stamp::now().name();
        let linked = linkat(
            &to.dir,
            as_path(&to.name),
            &self.folder,
            as_path(&version),
            AtFlags::empty(),
        );
        linked.map_err(|why| match why {
            Errno::NOENT => FsError::NotFound,
            why => not_kept(FsError::NotKept(why.to_string())),
        })?;
        let replaced = self.sync().and_then(|()| {
            if id_of(&lstat(&self.folder, &version)?) != id_of(&to.lstat()?) {
                return Err(FsError::Replaced);
            }
            Ok(renameat(from_dir, as_path(from), &to.dir, as_path(&to.name))?)
        });
        if replaced.is_err() {
            // the old version is still in place, and needs no second name
            let _ = unlinkat(&self.folder, as_path(&version), AtFlags::empty());
        }
        replaced
    }
}

fn is_directory(dir: impl AsFd, name: &[u8]) -> bool {
    lstat(dir, name).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// Gives a file a name that must be new.
fn put_new(from_dir: BorrowedFd<'_>, from: &[u8], to: &Place) -> Result<(), FsError> {
    let flags = RenameFlags::NOREPLACE;
    match renameat_with(from_dir, as_path(from), &to.dir, as_path(&to.name), flags) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            let _turn = turn();
            rename_new(from_dir, as_path(from), &to.dir, as_path(&to.name))
        }
        other => Ok(other?),
    }
}

/// Lets one session at a time give names to files where the system cannot check and rename in one
/// step.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Words the error of a file that cannot be moved to the trash to change names there.
fn not_moved(why: FsError) -> FsError {
    let is_foreign = |why| Errno::from_io_error(why) == Some(Errno::XDEV);
    if matches!(&why, FsError::Other(why) if is_foreign(why)) { not_kept(why) } else { why }
}

fn is_unknown(why: &std::io::Error) -> bool {
    let errno = Errno::from_io_error(why);
    matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP))
}

/// Whether the files of a device can exchange their names, as far as is known.
fn exchanges(device: u64) -> bool {
    !cannot_exchange().contains(&device)
}

/// Devices whose files are known not to exchange names.
fn cannot_exchange() -> MutexGuard<'static, BTreeSet<u64>> {
    static DEVICES: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}
