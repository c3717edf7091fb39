//! The journal: a file that lists the directories that may contain parts, so that the server
//! finds these parts when it starts after a crash.
//!
//! The line of a directory is written once, before the first part is created in it. A session
//! waits for the file only if its own directory is not listed yet. The whole file is rewritten
//! when the server starts, or when it has too many lines. The server reads the file only when it
//! opens it, and locks it while it runs. The first line holds the server's number, which is in
//! the names of its parts, and the id of the boot: after a reboot, the content of older parts
//! cannot be trusted.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::rights::{self, Ids};
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::folder::Folder;
use crate::vfs::tree::sync::write_out;
use crate::vfs::word::{boot, escaped, unescaped};

/// The content of a journal that an earlier server has written.
#[derive(Debug, Default)]
pub(in crate::vfs) struct Legacy {
    /// The number in the names of that server's parts.
    pub(in crate::vfs) server: Option<u32>,
    /// Whether the system has not been rebooted since.
    pub(in crate::vfs) same_boot: bool,
    /// The directories that may have parts.
    pub(in crate::vfs) folders: Vec<Folder>,
}

/// The journal of this server.
#[derive(Debug)]
pub(in crate::vfs) struct Journal {
    server: u32,
    /// The directory of the file (`state_dir`); `None`: there is no journal.
    dir: Option<PathBuf>,
    /// `None` while the file cannot be opened and locked.
    file: Option<File>,
    /// The last logged reason why the file could not be opened.
    told: Option<String>,
    noted: Arc<Noted>,
    /// Number of lines at which the file is rewritten without the directories that have no
    /// parts.
    most: usize,
    /// Whether the last line may be incomplete.
    torn: bool,
}

/// The directories that the file lists, and whether the line of each is on the disk. No system
/// call is made under this lock.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<HashMap<Folder, bool>>);

/// Number of lines below which the file is never shortened.
const MOST: usize = 4096;

const NAME: &str = "parts";
const NEW: &str = "parts.new";

impl Noted {
    /// Whether the file lists a directory; with `sync`, also on the disk.
    pub(super) fn has(&self, folder: &Folder, sync: bool) -> bool {
        self.all().get(folder).is_some_and(|synced| *synced || !sync)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Folder, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens and locks the file in a directory; both are created if they are missing. Also
    /// returns the content of the file, except for directories of system users that are neither
    /// the server's own nor in `known`.
    pub(in crate::vfs) fn open(
        dir: Option<&Path>,
        server: u32,
        known: &[Arc<Ids>],
    ) -> (Self, Legacy) {
        let dir = dir.map(Path::to_owned);
        let (file, told, noted) = (None, None, Arc::default());
        let mut journal = Self { server, dir, file, told, noted, most: MOST, torn: false };
        let legacy = journal.take(known).unwrap_or_default();
        (journal, legacy)
    }

    /// Returns the directories that the file lists, for threads that do not hold the journal.
    pub(super) fn noted(&self) -> Arc<Noted> {
        Arc::clone(&self.noted)
    }

    /// Tries to open and lock the file.
    fn take(&mut self, known: &[Arc<Ids>]) -> Option<Legacy> {
        let dir = self.dir.as_deref()?;
        let why = match open(dir, known) {
            Ok((file, legacy)) => {
                self.file = Some(file);
                return Some(legacy);
            }
            Err(why)
                if why.kind() == io::ErrorKind::PermissionDenied && rights::is_in_sandbox() =>
            {
                format!("{why}, perhaps because of the sandbox; restart the server")
            }
            Err(why) => why.to_string(),
        };
        if self.told.as_ref() != Some(&why) {
            let dir = dir.display();
            log::warn!(
                "state_dir {dir}: {why}; after a crash, parts of uploads may be left behind"
            );
            self.told = Some(why);
        }
        None
    }

    /// Opens the file once no other server has it locked, and creates it again if it was
    /// removed. If this opened a file, returns its content, and the caller must rewrite it.
    pub(in crate::vfs) fn look_after(&mut self, known: &[Arc<Ids>]) -> Option<Legacy> {
        let dir = self.dir.clone()?;
        if let Some(file) = &self.file {
            let id = |meta: &fs::Metadata| (meta.dev(), meta.ino());
            let there = fs::symlink_metadata(dir.join(NAME)).as_ref().map(id).ok();
            let own = file.metadata().as_ref().map(id).ok();
            if there == own {
                return None;
            }
            log::warn!("state_dir {}: the journal of parts was removed", dir.display());
            (self.file, self.told) = (None, None);
            self.noted.all().clear();
        }
        let legacy = self.take(known)?;
        self.told = None;
        log::info!("state_dir {}: the journal of parts is written again", dir.display());
        // the content of this server's own journal is known already
        let is_own = legacy.server == Some(self.server);
        Some(if is_own { Legacy::default() } else { legacy })
    }

    /// Returns whether there is a journal, or none is wanted.
    pub(in crate::vfs) fn is_in_place(&self) -> bool {
        self.dir.is_none() || self.file.is_some()
    }

    /// Adds a directory, unless the file lists it already. `sync`: its line is on the disk
    /// afterwards. `busy` returns the directories that have parts.
    pub(in crate::vfs) fn note(
        &mut self,
        folder: &Folder,
        sync: bool,
        busy: impl FnOnce() -> HashSet<Folder>,
    ) {
        if self.file.is_none() {
            return;
        }
        if !self.noted.has(folder, false) {
            self.add(folder, busy);
        }
        let late = sync && !self.torn && !self.noted.has(folder, true);
        if let (Some(file), true) = (&self.file, late) {
            let synced = write_out(file).map_err(|why| io::Error::other(why.to_string()));
            if synced.is_ok() {
                self.noted.all().values_mut().for_each(|synced| *synced = true);
            }
            self.check(synced);
        }
    }

    fn add(&mut self, folder: &Folder, busy: impl FnOnce() -> HashSet<Folder>) {
        if self.lines() >= self.most {
            self.rewrite(busy);
            // if this did not shorten the file, the next attempt waits until it is twice as
            // long
            self.most = MOST.max(2 * self.lines());
            if self.noted.has(folder, false) {
                return;
            }
        }
        if let Some(file) = &mut self.file {
            // completes a line that a full disk has cut short
            let line =
                if self.torn { [b"\n", &line(folder)[..]].concat() } else { line(folder) };
            let written = file.write_all(&line);
            if written.is_ok() {
                self.noted.all().insert(folder.clone(), false);
            }
            self.check(written);
        }
    }

    /// Number of directories that the file lists.
    fn lines(&self) -> usize {
        self.noted.all().len()
    }

    /// Rewrites the file with only the directories that `busy` returns.
    #[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
    pub(in crate::vfs) fn rewrite(&mut self, busy: impl FnOnce() -> HashSet<Folder>) {
        let Some(dir) = self.dir.as_deref().filter(|_| self.file.is_some()) else { return };
        // a session that needs a line from now on waits; one that has seen its line in the old
        // file has entered its part before, so that `busy` returns its directory
        let before = std::mem::take(&mut *self.noted.all());
        let folders = busy();
        let mut text = format!("ftpd-parts {:08x} {}\n", self.server, boot()).into_bytes();
        for folder in &folders {
            text.extend_from_slice(&line(folder));
        }
        // the new file replaces the old one, which holds the lock, only when it is complete
        let (new, name) = (dir.join(NEW), dir.join(NAME));
        let write = || {
            // may be left over from a crash, or be a link that another user made to mislead the
            // server
            let _ = fs::remove_file(&new);
            let mut file = held(&new)?;
            file.write_all(&text)?;
            // a loss of power must not leave an empty journal
            write_out(&file).map_err(|why| io::Error::other(why.to_string()))?;
            fs::rename(&new, &name)?;
            // not every file system can do this
            let _ = File::open(dir).and_then(|dir| dir.sync_all());
            Ok(file)
        };
        let written = rights::as_server(write).and_then(|written| written);
        match written {
            Ok(file) => {
                self.file = Some(file);
                *self.noted.all() = folders.into_iter().map(|folder| (folder, true)).collect();
                self.check(Ok(()));
            }
            Err(why) => {
                *self.noted.all() = before;
                self.check(Err(why));
            }
        }
    }

    /// Logs a failure to write the journal. Further failures are logged only after a success.
    fn check(&mut self, written: io::Result<()>) {
        let torn = std::mem::replace(&mut self.torn, written.is_err());
        if let Err(why) = written
            && !torn
        {
            log::warn!("state_dir: {why}; after a crash, parts of uploads may be left behind");
        }
    }
}

fn open(dir: &Path, known: &[Arc<Ids>]) -> io::Result<(File, Legacy)> {
    if !dir.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = held(&dir.join(NAME))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((file, parse(&bytes, known)))
}

/// Opens a file for appending, creates it if it is missing, and locks it against other servers.
#[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
fn held(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    // the directory may belong to another user; a link there must not mislead root, and a FIFO
    // must not block the server
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    let there = file.metadata()?;
    if there.nlink() > 1 {
        return Err(io::Error::other("has a second name (a hard link)"));
    }
    if !there.is_file() {
        return Err(io::Error::other(format!("{} is not a regular file", path.display())));
    }
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
        match io::Error::from(errno) {
            busy if busy.kind() == io::ErrorKind::WouldBlock => {
                io::Error::new(busy.kind(), "another server uses it")
            }
            other => other,
        }
    })?;
    Ok(file)
}

fn line(folder: &Folder) -> Vec<u8> {
    let mut out = escaped(folder.home.as_os_str().as_bytes());
    out.push(b' ');
    out.extend(escaped(folder.path.as_bytes()));
    if let Some(ids) = &folder.ids {
        out.extend(format!(" {}:{}", ids.uid, ids.gid).into_bytes());
    }
    out.push(b'\n');
    out
}

/// Reads a journal. Lines that cannot be read are left out: a crash may have cut the last one
/// short. Lines with a system user that is not in `known` are left out too: the server may not
/// act as that user any more.
fn parse(bytes: &[u8], known: &[Arc<Ids>]) -> Legacy {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let head = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut words = head.split(' ');
    let (kind, server, booted) = (words.next(), words.next(), words.next());
    if kind != Some("ftpd-parts") {
        return Legacy::default();
    }
    let server = server.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let same_boot = booted.is_some_and(|booted| !booted.is_empty() && booted == boot());
    let folders = lines.filter_map(|line| {
        let mut words = line.split(|&byte| byte == b' ');
        let (home, path) = (unescaped(words.next()?)?, unescaped(words.next()?)?);
        let home = PathBuf::from(OsStr::from_bytes(&home));
        let ids = match words.next() {
            None => None,
            Some(word) => {
                let is_it =
                    |ids: &&Arc<Ids>| format!("{}:{}", ids.uid, ids.gid).as_bytes() == word;
                Some(Arc::clone(known.iter().find(is_it)?))
            }
        };
        Some(Folder { home, path: VirtualPath::root().join(&path), ids })
    });
    Legacy { server, same_boot, folders: folders.collect() }
}

/// Returns the line of a directory. This function and [`reread_journal`] are for the fuzz
/// targets.
#[doc(hidden)]
pub fn write_journal_line(home: &[u8], path: &VirtualPath) -> Vec<u8> {
    let home = PathBuf::from(OsStr::from_bytes(home));
    line(&Folder { home, path: path.clone(), ids: None })
}

/// Reads a journal. Returns the number of the server that wrote it, and the lines of its
/// directories as a rewrite would write them.
#[doc(hidden)]
pub fn reread_journal(bytes: &[u8]) -> (Option<u32>, Vec<Vec<u8>>) {
    let legacy = parse(bytes, &[]);
    (legacy.server, legacy.folders.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(home: &str, path: &[u8]) -> Folder {
        Folder { home: home.into(), path: VirtualPath::root().join(path), ids: None }
    }

    #[test]
    fn directories_are_read_back_whatever_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let folders = [folder("/srv/a b", b"x\n\xff%20"), folder("/srv/%", b"/")];
        let (mut journal, legacy) = Journal::open(Some(&state), 7, &[]);
        assert!(legacy.folders.is_empty());
        journal.rewrite(HashSet::new);
        for folder in folders.iter().chain(&folders) {
            journal.note(folder, false, HashSet::new);
        }
        drop(journal);
        let (_, legacy) = Journal::open(Some(&state), 8, &[]);
        assert_eq!((legacy.server, &legacy.folders[..]), (Some(7), &folders[..]));
        assert!(legacy.same_boot);
    }

    #[test]
    fn a_journal_tells_another_boot_and_a_torn_line_is_left_out() {
        let legacy = parse(b"ftpd-parts 00000007 other\n/srv /a\n/srv%2", &[]);
        assert_eq!((legacy.server, legacy.folders), (Some(7), vec![folder("/srv", b"a")]));
        assert!(!legacy.same_boot);
        assert!(parse(b"\x00\xff", &[]).folders.is_empty());
    }

    #[test]
    fn what_belongs_to_a_user_who_is_none_any_more_is_left_alone() {
        let ids = Ids {
            name: "ann".to_owned(),
            uid: 7,
            gid: 8,
            groups: vec![8],
            place: String::new(),
        };
        let ids = Arc::new(ids);
        let hers = Folder { ids: Some(Arc::clone(&ids)), ..folder("/srv", b"a") };
        let text = [b"ftpd-parts 00000007 boot\n".to_vec(), line(&hers)].concat();
        assert!(text.ends_with(b"/srv /a 7:8\n"));
        assert_eq!(parse(&text, &[ids]).folders, [hers]);
        assert!(parse(&text, &[]).folders.is_empty());
    }

    #[test]
    fn a_second_server_leaves_the_first_one_s_journal_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut first, _) = Journal::open(Some(dir.path()), 1, &[]);
        first.note(&folder("/srv", b"a"), false, HashSet::new);
        let (mut second, legacy) = Journal::open(Some(dir.path()), 2, &[]);
        assert!(legacy.folders.is_empty());
        second.note(&folder("/srv", b"b"), false, HashSet::new);
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert!(text.contains("/srv /a") && !text.contains("/srv /b"));
    }

    #[test]
    fn a_journal_is_taken_over_once_it_is_free_and_made_again_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let (mut first, _) = Journal::open(Some(&state), 1, &[]);
        first.rewrite(|| HashSet::from([folder("/srv", b"a")]));
        let (mut second, _) = Journal::open(Some(&state), 2, &[]);
        assert!(second.look_after(&[]).is_none());
        drop(first);
        let legacy = second.look_after(&[]).unwrap();
        assert_eq!((legacy.server, legacy.folders), (Some(1), vec![folder("/srv", b"a")]));
        second.rewrite(|| HashSet::from([folder("/srv", b"b")]));
        assert!(second.look_after(&[]).is_none(), "nothing has changed");
        fs::remove_dir_all(&state).unwrap();
        assert!(second.look_after(&[]).unwrap().folders.is_empty());
        second.rewrite(|| HashSet::from([folder("/srv", b"b")]));
        drop(second);
        let (_, legacy) = Journal::open(Some(&state), 3, &[]);
        assert_eq!((legacy.server, legacy.folders), (Some(2), vec![folder("/srv", b"b")]));
    }

    #[test]
    fn a_journal_that_has_grown_too_long_keeps_what_has_parts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(Some(dir.path()), 1, &[]);
        let busy = folder("/srv", b"busy");
        for n in 0..=MOST {
            let next = folder("/srv", n.to_string().as_bytes());
            journal.note(&next, false, || HashSet::from([busy.clone()]));
        }
        assert_eq!(journal.lines(), 2);
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
