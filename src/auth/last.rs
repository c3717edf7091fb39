//! When each user has last done something: logged in, for `ftpd users`, or uploaded, for
//! `expect_every`.
//!
//! These times are recorded in memory, so that no session waits for the disk. The server saves them
//! to a file in `state_dir` about once a minute and when it stops; a crash loses the times since the
//! last save. A line of the file is `seconds.nanoseconds address name`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// The last time at which each user of a server has done one thing.
#[derive(Debug)]
pub struct LastTimes {
    /// Name of the file.
    file: &'static str,
    dir: Option<PathBuf>,
    notes: Mutex<Notes>,
}

#[derive(Debug)]
struct Notes {
    known: BTreeMap<String, LastTime>,
    changed: bool,
    saved: Option<Instant>,
    /// Whether the file has existed. If it is missing now, somebody has removed it.
    on_disk: bool,
    /// Whether a warning has been logged that the file cannot be written.
    failed: bool,
}

/// When and from where a user has last done something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTime {
    /// The time.
    pub at: SystemTime,
    /// The address of the client.
    pub address: IpAddr,
}

/// Name of the file of logins.
pub const LOGINS: &str = "logins";
/// Name of the file of uploads.
pub const UPLOADS: &str = "uploads";

/// How long to wait for another server that is writing the file.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two attempts to lock the directory.
const BREATH: Duration = Duration::from_millis(10);

/// Minimum time between two writes of the file.
const SELDOM: Duration = Duration::from_secs(60);

impl LastTimes {
    /// Reads the times that earlier servers have saved in this file of the directory. Without a
    /// directory, they are kept in memory only.
    pub fn start(dir: Option<&Path>, file: &'static str) -> Self {
        let known = dir.map(|dir| last_times(dir, file)).transpose();
        let known = known.ok().flatten().unwrap_or_default();
        let on_disk = !known.is_empty();
        let notes = Notes { known, changed: false, saved: None, on_disk, failed: false };
        Self { file, dir: dir.map(Path::to_owned), notes: Mutex::new(notes) }
    }

    /// Records that a user does it now. Returns the time before.
    pub fn note(&self, name: &str, address: IpAddr) -> Option<LastTime> {
        let last = LastTime { at: SystemTime::now(), address };
        let mut notes = self.notes();
        notes.changed = self.dir.is_some();
        if let Some(known) = notes.known.get_mut(name) {
            return Some(std::mem::replace(known, last));
        }
        notes.known.insert(name.to_owned(), last)
    }

    /// Returns when a user has last done it.
    pub fn of(&self, name: &str) -> Option<LastTime> {
        self.notes().known.get(name).copied()
    }

    /// Saves new times. Does nothing if the file was written less than a minute ago, unless `now`
    /// is true.
    pub fn save(&self, now: bool) {
        let Some(dir) = &self.dir else { return };
        let mut notes = self.notes();
        let is_due = now || notes.saved.is_none_or(|saved| saved.elapsed() >= SELDOM);
        if !notes.changed || !is_due {
            return;
        }
        let known = notes.known.clone();
        (notes.changed, notes.saved) = (false, Some(Instant::now()));
        drop(notes);
        let written = write(dir, self.file, known);
        let mut notes = self.notes();
        match written {
            Ok(merged) => {
                (notes.failed, notes.on_disk) = (false, true);
                merge(&mut notes.known, merged);
            }
            Err(why) => {
                notes.changed = true;
                if !std::mem::replace(&mut notes.failed, true) {
                    log::warn!("state_dir {}: cannot save {}: {why}", dir.display(), self.file);
                }
            }
        }
    }

    /// Returns whether there are times that are not saved yet.
    pub fn have_changed(&self) -> bool {
        self.notes().changed
    }

    /// Writes the file again if somebody has removed it. Returns whether it is in place. The
    /// server calls this when something has happened in the directory, and each second while the
    /// file is missing.
    pub fn look_after_file(&self) -> bool {
        let Some(dir) = &self.dir else { return true };
        let is_gone = || dir.join(self.file).symlink_metadata().is_err();
        if self.notes().on_disk && is_gone() {
            self.notes().changed = true;
            self.save(true);
            return !self.have_changed();
        }
        true
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the times that a server has saved in a file of its `state_dir`. The map is empty if the file
/// does not exist.
///
/// # Errors
///
/// When the file cannot be read.
#[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
pub fn last_times(dir: &Path, file: &str) -> io::Result<BTreeMap<String, LastTime>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let read = || {
        let file = OpenOptions::new().read(true).custom_flags(flags).open(dir.join(file))?;
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    match read() {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().filter_map(read_line).collect())
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(why) => Err(why),
    }
}

fn line(name: &str, last: &LastTime) -> Option<String> {
    let at = last.at.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}.{:09} {} {name}\n", at.as_secs(), at.subsec_nanos(), last.address))
}

fn read_line(line: &str) -> Option<(String, LastTime)> {
    let mut words = line.splitn(3, ' ');
    let at = words.next()?;
    let (seconds, nanos) = at.split_once('.').unwrap_or((at, "0"));
    let (seconds, nanos) = (seconds.parse().ok()?, nanos.parse::<u32>().ok()?);
    let address = words.next()?.parse().ok()?;
    let after = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()))?;
    let at = UNIX_EPOCH.checked_add(after)?;
    Some((words.next()?.to_owned(), LastTime { at, address }))
}

/// Adds `others` to `known`. If both have a time of a user, the newer one is kept.
fn merge(known: &mut BTreeMap<String, LastTime>, others: BTreeMap<String, LastTime>) {
    for (name, other) in others {
        let last = known.entry(name).or_insert(other);
        if last.at < other.at {
            *last = other;
        }
    }
}

/// Writes a new file and renames it into place. Times that another server has saved in the
/// meantime are kept, and returned with the others.
#[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
fn write(
    dir: &Path,
    name: &str,
    mut known: BTreeMap<String, LastTime>,
) -> io::Result<BTreeMap<String, LastTime>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let _turn = turn(dir)?;
    merge(&mut known, last_times(dir, name).unwrap_or_default());
    let text: String = known.iter().filter_map(|(name, last)| line(name, last)).collect();
    let new = dir.join(format!("{name}.new"));
    // a file left by a crash, or a link planted to make the server write elsewhere
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    // or a loss of power could leave an empty file in place of both versions
    file.sync_data()?;
    fs::rename(new, dir.join(name))?;
    Ok(known)
}

/// Locks the directory for writing; the lock ends on drop. Returns `None` where the file system
/// does not support locks.
#[expect(clippy::disallowed_methods, reason = "the server's own folder, not a served one")]
fn turn(dir: &Path) -> io::Result<Option<File>> {
    let folder = File::open(dir)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(folder)),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(BREATH),
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::other("another server holds the lock"));
            }
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_kept_for_the_next_server_and_not_written_at_each() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let logins = LastTimes::start(Some(&state), LOGINS);
        logins.save(true);
        assert!(!state.exists(), "nothing to save");
        logins.note("anna b", address(1));
        logins.save(false);
        logins.note("bob", address(2));
        logins.save(false);
        let saved = last_times(&state, LOGINS).unwrap();
        assert_eq!(saved.keys().collect::<Vec<_>>(), ["anna b"], "a minute has not passed");
        logins.save(true);
        LastTimes::start(Some(&state), LOGINS).note("carl", address(3));
        let next = LastTimes::start(Some(&state), LOGINS);
        next.note("bob", address(4));
        next.save(true);
        let saved = last_times(&state, LOGINS).unwrap();
        let found: Vec<_> = saved.iter().map(|(name, last)| (&**name, last.address)).collect();
        assert_eq!(found, [("anna b", address(1)), ("bob", address(4))]);
        assert!(saved["bob"].at.elapsed().unwrap() < Duration::from_secs(60));
    }

    #[test]
    fn logins_of_two_servers_are_merged_and_a_file_that_is_gone_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let old = LastTimes::start(Some(&state), LOGINS);
        old.note("anna", address(1));
        old.note("bob", address(1));
        let new = LastTimes::start(Some(&state), LOGINS);
        new.note("bob", address(2));
        new.save(true);
        old.save(true);
        let all = [("anna", address(1)), ("bob", address(2))];
        let check = || {
            let saved = last_times(&state, LOGINS).unwrap();
            let found: Vec<_> =
                saved.iter().map(|(name, last)| (&**name, last.address)).collect();
            assert_eq!(found, all);
        };
        check();
        fs::remove_dir_all(&state).unwrap();
        old.look_after_file();
        check();
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        assert_eq!(read_line("x"), None);
        assert_eq!(read_line("1 2 3"), None);
        assert_eq!(read_line("-1 ::1 x"), None);
        assert_eq!(read_line("18446744073709551615 ::1 x"), None);
        assert_eq!(read_line("0 ::1 a b").unwrap().0, "a b");
    }
}
