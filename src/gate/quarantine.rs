//! The quarantine: a directory outside of all homes, to which refused files are moved. A file there belongs to
//! the server's user, whoever has uploaded it.
//!
//! A file of the server's user is renamed if the directory is on its file system. Any other file is copied,
//! for as long as somebody waits for the upload; nothing is synced, which cannot be broken off.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::question::Question;
use crate::log::stamp;
use crate::rights;

/// Maximum length of a name in bytes.
const LONGEST: usize = 255;

/// Maximum length of the name of the user in it.
const LONGEST_USER: usize = 64;

/// Maximum length of the end of a name that tells the kind of the file, and is never cut off.
const LONGEST_KIND: usize = 16;

/// Number of names that are tried.
const TRIES: u32 = 10_000;

/// Number of bytes that are copied before it is checked whether somebody still waits.
const PIECE: usize = 256 << 10;

/// Moves a refused file to the directory, and makes that if it is missing. Returns the path that it has there.
pub(super) fn keep(
    folder: &Path,
    question: &Question<'_>,
    until: Instant,
    is_over: &dyn Fn() -> bool,
) -> io::Result<PathBuf> {
    let dir = open(folder)?;
    // another directory may be there since the settings were checked
    let real = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))?;
    if let Some(why) = question.config.why_no_quarantine(&real) {
        return Err(io::Error::other(format!("it {why}")));
    }
    // some file systems have no colons in names
    let time = stamp(SystemTime::now()).replace(':', "-");
    let (user, name) = (plain(question.user.as_bytes()), plain(question.name));
    let mut is_moved = may_rename(question.file, &dir);
    for number in 0..TRIES {
        let name = name_of(&time, &user, number, &name);
        if is_moved {
            match (question.rename)(dir.as_fd(), Path::new(&name)) {
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(_) => is_moved = false,
                Ok(()) => {
                    // of the same user, so that this does not fail
                    let _ = question.file.set_permissions(Permissions::from_mode(0o600));
                    return Ok(folder.join(name));
                }
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o600);
        match openat(&dir, &name, flags | OFlags::CLOEXEC, mode) {
            Err(Errno::EXIST) => {}
            Err(why) => return Err(why.into()),
            Ok(copy) => {
                let copied = fill(File::from(copy), question.file, until, is_over);
                if copied.is_err() {
                    // half a file is of no use
                    let _ = unlinkat(&dir, &name, AtFlags::empty());
                }
                return copied.map(|()| folder.join(name));
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn open(folder: &Path) -> io::Result<OwnedFd> {
    let open = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, folder, flags, Mode::empty())
    };
    match open() {
        Err(Errno::NOENT) => {
            rights::make_folder(folder, None)?;
            Ok(open()?)
        }
        dir => Ok(dir?),
    }
}

/// Whether a rename makes a file one of the server's user alone: it is on the same file system, and neither
/// belongs to somebody else nor has another name.
fn may_rename(file: &File, dir: &OwnedFd) -> bool {
    let (Ok(file), Ok(dir)) = (file.metadata(), fstat(dir)) else { return false };
    file.dev() == dir.st_dev && file.nlink() == 1 && file.uid() == geteuid().as_raw()
}

fn fill(
    mut copy: File,
    file: &File,
    until: Instant,
    is_over: &dyn Fn() -> bool,
) -> io::Result<()> {
    // whatever the file mode mask of the process is
    copy.set_permissions(Permissions::from_mode(0o600))?;
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    loop {
        let read = match file.read_at(&mut piece, at) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(());
        }
        copy.write_all(piece.get(..read).unwrap_or_default())?;
        at += read as u64;
        if Instant::now() >= until {
            return Err(io::Error::other("it was not copied within gate_timeout"));
        }
        if is_over() {
            return Err(io::Error::other("the session ends"));
        }
    }
}

/// Returns the name of a file in the quarantine. The names of the user and of the file are cut if it would be
/// too long.
fn name_of(time: &str, user: &str, number: u32, name: &str) -> OsString {
    let number = if number == 0 { String::new() } else { format!(" ({number})") };
    let begin = format!("{time} {}{number} ", cut(user, LONGEST_USER));
    let kind = name.rfind('.').filter(|at| *at > 0).and_then(|at| name.get(at..));
    let kind = kind.filter(|kind| kind.len() <= LONGEST_KIND).unwrap_or_default();
    let stem = name.strip_suffix(kind).unwrap_or(name);
    let stem = cut(stem, LONGEST.saturating_sub(begin.len() + kind.len()));
    format!("{begin}{stem}{kind}").into()
}

/// Returns the beginning of a text with at most this many bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Returns a name that an administrator can handle in a shell: without control characters, slashes, and bytes
/// that are not UTF-8.
fn plain(name: &[u8]) -> String {
    let odd = |letter: char| letter.is_control() || letter == '/' || letter == '\u{FFFD}';
    let name = String::from_utf8_lossy(name);
    name.chars().map(|letter| if odd(letter) { '_' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_given_up_when_the_time_is_over_or_nobody_waits() {
        let file = |size: u64| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(size).unwrap();
            file
        };
        let (now, later) =
            (Instant::now(), Instant::now() + std::time::Duration::from_secs(60));
        let long = file(5 * PIECE as u64);
        for (until, is_over, done, size) in [
            (later, false, true, 5 * PIECE),
            (now, false, false, PIECE),
            (later, true, false, PIECE),
        ] {
            let copy = file(0);
            let copied = fill(copy.try_clone().unwrap(), &long, until, &|| is_over);
            assert_eq!(copied.is_ok(), done);
            assert_eq!(copy.metadata().unwrap().len(), size as u64);
        }
    }

    #[test]
    fn a_name_tells_when_by_whom_and_as_what_and_is_never_taken() {
        let name = |user: &str, number, name: &[u8]| {
            let name = name_of("2026-11-30T09-00-00Z", user, number, &plain(name));
            name.into_string().unwrap()
        };
        assert_eq!(name("bob", 0, b"a.doc"), "2026-11-30T09-00-00Z bob a.doc");
        assert_eq!(name("bob", 2, b"a\n\xFFb/c"), "2026-11-30T09-00-00Z bob (2) a__b_c");
        let long = [&[b'x'; 400][..], b".tar.gz"].concat();
        let (first, second) = (name("bob", 0, &long), name("bob", 9999, &long));
        assert_eq!((first.len(), second.len()), (LONGEST, LONGEST));
        assert!(first.ends_with("x.gz") && second.contains(" bob (9999) xxx"), "{second}");
        let both = name(&"\u{fc}".repeat(115), 3, "\u{e4}".repeat(127).as_bytes());
        assert!(both.len() <= LONGEST, "{both}");
        let user = "\u{fc}".repeat(32);
        assert!(both.contains(&format!(" {user} (3) \u{e4}\u{e4}")), "{both}");
        // what follows the last dot is no kind if it is long
        let odd = [b".", &[b'y'; 300][..]].concat();
        assert_eq!(name("bob", 0, &odd).len(), LONGEST);
        assert_eq!(name("bob", 0, b".profile"), "2026-11-30T09-00-00Z bob .profile");
    }
}
