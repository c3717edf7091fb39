//! Locks that exclude other servers which serve the same directories (`shared_storage`).
//!
//! All of them are locks of whole files by [`flock`], which NFS turns into locks of byte ranges that its
//! server knows. A file that is written to is locked itself. A name is locked by a file beside it, which
//! exists only while somebody has the lock, or until it is met again after a crash.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use ring::digest::{Context, SHA256};
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, StatxFlags, flock, fstat, ftruncate,
    openat, statx, unlinkat,
};
use rustix::io::Errno;

use super::entry::{id_of, modified};
use super::names::LOCK_PREFIX;
use super::place::{self, as_path, lstat};
use crate::vfs::error::{FsError, Heed};

/// Whether other servers may change the same files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::vfs) enum Sharing {
    /// Only this server serves them.
    #[default]
    Alone,
    /// Others serve them as well.
    Shared,
}

/// A name in a directory that is locked until this value is dropped.
#[derive(Debug)]
pub(in crate::vfs) struct NameLock {
    dir: OwnedFd,
    lock: Vec<u8>,
    file: OwnedFd,
}

/// What came of an attempt to lock a name.
#[derive(Debug)]
pub(in crate::vfs) enum Locked {
    /// It is locked now.
    Own(NameLock),
    /// Another server has the lock.
    Others,
    /// No file can be made in the directory.
    Denied,
}

/// Maximum time that an upload waits for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses between two attempts to get a lock: the first one, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Errors of a file that another server has removed. FUSE looks open files up by their names.
const GONE: [Errno; 2] = [Errno::STALE, Errno::NOENT];

/// Maximum number of attempts in a row if the file of a lock was removed each time.
const TRIES: usize = 10;

/// How old the file of a lock must be to be removed when it is met and not locked. NFS remembers the names
/// of a directory for up to a minute.
const LEFT: Duration = Duration::from_secs(120);

impl Sharing {
    /// Returns the sharing that the settings say (`shared_storage`).
    pub(in crate::vfs) fn of(shared: bool) -> Self {
        if shared { Self::Shared } else { Self::Alone }
    }

    /// Whether other servers may change the same files.
    pub(in crate::vfs) fn is_shared(self) -> bool {
        self == Self::Shared
    }
}

impl NameLock {
    /// Locks a name in a directory, if nobody has locked it.
    ///
    /// # Errors
    ///
    /// When the system refuses to lock a file.
    pub(in crate::vfs) fn attempt(dir: impl AsFd, name: &[u8]) -> Result<Locked, FsError> {
        let lock = lock_of(name);
        for _ in 0..TRIES {
            let file = match open_or_make(&dir, &lock) {
                Ok(file) => file,
                // it has gone between two steps of the system
                Err(why) if GONE.contains(&why) => continue,
                Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                    // a file that another system user has made cannot be opened
                    let is_there = lstat(&dir, &lock).is_ok();
                    return Ok(if is_there { Locked::Others } else { Locked::Denied });
                }
                Err(why) => return Err(why.into()),
            };
            if !try_lock(&file)? {
                return Ok(Locked::Others);
            }
            if is_in_force(&dir, &lock, &file)? {
                let dir = dir.as_fd().try_clone_to_owned()?;
                return Ok(Locked::Own(Self { dir, lock, file }));
            }
        }
        Ok(Locked::Others)
    }

    /// Locks a name in a directory. Waits for others who have locked it, and calls `heed` meanwhile.
    /// Returns `None` if no file can be made in the directory.
    ///
    /// # Errors
    ///
    /// As for [`NameLock::attempt`]; [`FsError::Busy`], if the lock is not free in time; or
    /// [`FsError::Interrupted`], if `heed` says so.
    pub(in crate::vfs) fn wait(
        dir: impl AsFd,
        name: &[u8],
        heed: &mut Heed<'_>,
    ) -> Result<Option<Self>, FsError> {
        poll(heed, || match Self::attempt(&dir, name)? {
            Locked::Own(own) => Ok(Some(Some(own))),
            Locked::Denied => Ok(Some(None)),
            Locked::Others => Ok(None),
        })
    }
}

impl Drop for NameLock {
    fn drop(&mut self) {
        // nobody else has the lock before the file is closed
        give_back(&self.dir, &self.lock, &self.file);
    }
}

/// Locks an open file, if nobody else has locked it. The lock ends when all handles that were made from
/// this one are closed.
pub(in crate::vfs) fn try_lock(file: impl AsFd) -> Result<bool, FsError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(why) if GONE.contains(&why) => Ok(false),
        Err(why) => Err(why.into()),
    }
}

/// Locks an open file as [`try_lock`] does. Waits for others, and calls `heed` meanwhile.
///
/// # Errors
///
/// As for [`NameLock::wait`].
pub(in crate::vfs) fn lock(file: impl AsFd, heed: &mut Heed<'_>) -> Result<(), FsError> {
    poll(heed, || Ok(try_lock(&file)?.then_some(())))
}

/// Whether an upload of another server writes to a file.
pub(in crate::vfs) fn is_locked(dir: impl AsFd, name: &[u8]) -> bool {
    let opened = match open(&dir, name, OFlags::empty()) {
        Err(Errno::ACCESS | Errno::PERM) => {
            place::open(&dir, name, OFlags::RDONLY).map(Into::into)
        }
        opened => opened,
    };
    match opened {
        Ok(file) => match flock(file, FlockOperation::NonBlockingLockExclusive) {
            // NFS locks no file that is open only for reading
            Ok(()) | Err(Errno::BADF) => false,
            Err(_) => true,
        },
        Err(why) => why != Errno::NOENT,
    }
}

/// Removes the file of a lock that a crash has left. `name` is the name of the file itself. Returns
/// whether the file has gone, which it has not if it is locked. With `at_once`, its age does not matter.
pub(in crate::vfs) fn tidy(dir: impl AsFd, name: &[u8], at_once: bool) -> bool {
    let Ok(file) = open(&dir, name, OFlags::empty()) else { return lstat(&dir, name).is_err() };
    let is_old = || fstat(&file).is_ok_and(|stat| is_left(&stat));
    if !(at_once || is_old()) || !try_lock(&file).unwrap_or(false) {
        return false;
    }
    let is_its = leads_to(&dir, name, &file);
    !is_its || give_back(&dir, name, &file)
}

/// Removes the file of a lock, which is locked. Returns whether it has gone.
fn give_back(dir: impl AsFd, name: &[u8], file: &OwnedFd) -> bool {
    // in a sticky directory, only the owner of the file can remove it; then it is used again
    let has_gone = unlinkat(dir, as_path(name), AtFlags::empty()).is_ok();
    if has_gone {
        // NFS renames a file that is open instead of removing it, so whoever waits for the lock is told by
        // the size that it is not in force any more
        let _ = ftruncate(file, 1);
    }
    has_gone
}

/// Calls `attempt` until it returns something, for at most [`PATIENCE`].
fn poll<T>(
    heed: &mut Heed<'_>,
    mut attempt: impl FnMut() -> Result<Option<T>, FsError>,
) -> Result<T, FsError> {
    let until = Instant::now() + PATIENCE;
    let (mut pause, longest) = PAUSES;
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        if Instant::now() >= until {
            return Err(FsError::Busy);
        }
        std::thread::sleep(pause);
        pause = longest.min(pause * 2);
        if !heed() {
            return Err(FsError::Interrupted);
        }
    }
}

/// Returns the name of the file that locks a name. It is the same on every server.
fn lock_of(name: &[u8]) -> Vec<u8> {
    let mut hash = Context::new(&SHA256);
    hash.update(name);
    let mut lock = LOCK_PREFIX.to_owned();
    for byte in hash.finish().as_ref().iter().take(12) {
        lock.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    lock.push(b'~');
    lock
}

/// Opens the file of a lock, and makes it if it is missing.
fn open_or_make(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    match open(&dir, name, OFlags::CREATE) {
        // in a sticky directory, the system may refuse to make a file that another user has made already
        Err(Errno::ACCESS) => open(&dir, name, OFlags::empty()).map_err(|why| match why {
            Errno::NOENT => Errno::ACCESS,
            why => why,
        }),
        opened => opened,
    }
}

fn open(dir: impl AsFd, name: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mode = Mode::from_raw_mode(0o666);
    openat(dir, as_path(name), flags | OFlags::NOCTTY | OFlags::CLOEXEC, mode)
}

/// Whether the file of a lock, which is locked, has its name still. If not, another server has removed
/// it, and a lock of it excludes nobody.
fn is_in_force(dir: impl AsFd, name: &[u8], file: &OwnedFd) -> Result<bool, FsError> {
    // what another machine has changed must be seen
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
    let wanted = StatxFlags::NLINK | StatxFlags::SIZE | StatxFlags::TYPE;
    let stat = match statx(file, "", flags, wanted) {
        Err(why) if GONE.contains(&why) => return Ok(false),
        stat => stat?,
    };
    if !FileType::from_raw_mode(stat.stx_mode.into()).is_file() {
        return Err(FsError::NotAFile);
    }
    let is_given_back = stat.stx_size > 0;
    let may_be_left = || fstat(file).is_ok_and(|stat| is_left(&stat));
    if stat.stx_nlink == 0 || is_given_back && !may_be_left() {
        return Ok(false);
    }
    // GlusterFS shows old attributes for a second, but opens no file that has gone
    if !leads_to(dir, name, file) {
        return Ok(false);
    }
    if is_given_back {
        // its server was killed when it gave it back
        ftruncate(file, 0)?;
    }
    Ok(true)
}

/// Whether the file of a lock was left behind, to judge by its age. By then, no machine remembers an older
/// file of that name.
fn is_left(stat: &Stat) -> bool {
    SystemTime::now().duration_since(modified(stat)).is_ok_and(|age| age >= LEFT)
}

/// Whether a name leads to this file. It is opened again: names that the system remembers may be old.
fn leads_to(dir: impl AsFd, name: &[u8], file: &OwnedFd) -> bool {
    let ids =
        open(dir, name, OFlags::empty()).and_then(|other| Ok((fstat(other)?, fstat(file)?)));
    ids.is_ok_and(|(other, own)| id_of(&other) == id_of(&own))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what a test serves")]
mod tests {
    use std::fs::{self, File};

    use super::*;

    fn own(locked: Locked) -> NameLock {
        match locked {
            Locked::Own(own) => own,
            Locked::Others | Locked::Denied => panic!("not locked"),
        }
    }

    #[test]
    fn one_at_a_time_has_a_name_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let dir = File::open(folder.path()).unwrap();
        let one = own(NameLock::attempt(&dir, b"a").unwrap());
        assert!(matches!(NameLock::attempt(&dir, b"a"), Ok(Locked::Others)));
        let other = own(NameLock::attempt(&dir, b"b").unwrap());
        let mut heeded = 0;
        let mut heed = || {
            heeded += 1;
            heeded < 3
        };
        let waited = NameLock::wait(&dir, b"a", &mut heed);
        assert!(matches!(waited, Err(FsError::Interrupted)) && heeded == 3);
        drop((one, other));
        drop(own(NameLock::attempt(&dir, b"a").unwrap()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_file_of_a_lock_that_was_given_back_excludes_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let dir = File::open(folder.path()).unwrap();
        let first = own(NameLock::attempt(&dir, b"a").unwrap());
        // another server has opened the file, and NFS keeps it under another name
        let waits = open(&dir, &lock_of(b"a"), OFlags::empty()).unwrap();
        fs::hard_link(
            folder.path().join(as_path(&lock_of(b"a"))),
            folder.path().join(".nfs0001"),
        )
        .unwrap();
        drop(first);
        assert!(try_lock(&waits).unwrap());
        assert!(!is_in_force(&dir, &lock_of(b"a"), &waits).unwrap());
    }

    #[test]
    fn what_a_crash_has_left_is_used_again_or_removed_unless_it_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let dir = File::open(folder.path()).unwrap();
        let file = folder.path().join(as_path(&lock_of(b"a")));
        // could not be removed when it was given back
        fs::write(&file, "x").unwrap();
        assert!(matches!(NameLock::attempt(&dir, b"a"), Ok(Locked::Others)));
        let then = SystemTime::now() - 2 * LEFT;
        File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
        let lock = own(NameLock::attempt(&dir, b"a").unwrap());
        assert!(!tidy(&dir, &lock_of(b"a"), true) && file.exists());
        drop(lock);
        fs::write(&file, "").unwrap();
        assert!(!tidy(&dir, &lock_of(b"a"), false) && file.exists(), "it is too young");
        assert!(tidy(&dir, &lock_of(b"a"), true) && !file.exists());
        assert!(tidy(&dir, &lock_of(b"a"), true), "it has gone");
    }
}
