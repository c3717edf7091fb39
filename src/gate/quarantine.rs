//! The quarantine: a directory outside of all homes, to which refused files are copied. The copy belongs to
//! the server's user, whoever has uploaded the file, and may be on another file system.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::log::stamp;
use crate::rights;

/// Maximum length of a name in bytes.
const LONGEST: usize = 255;

/// Number of names that are tried.
const TRIES: u32 = 10_000;

/// Copies a file to the directory, and makes that if it is missing.
pub(super) fn keep(folder: &Path, file: &File, user: &str, name: &[u8]) -> io::Result<PathBuf> {
    let open = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, folder, flags, Mode::empty())
    };
    let dir = match open() {
        Err(Errno::NOENT) => {
            rights::make_folder(folder, None)?;
            open()?
        }
        dir => dir?,
    };
    // some file systems have no colons in names
    let time = stamp(SystemTime::now()).replace(':', "-");
    let begin = format!("{time} {}", plain(user.as_bytes()));
    for number in 0..TRIES {
        let name = name_of(&begin, number, &plain(name));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o600);
        match openat(&dir, &name, flags | OFlags::CLOEXEC, mode) {
            Err(Errno::EXIST) => {}
            Err(why) => return Err(why.into()),
            Ok(copy) => {
                let copied = fill(File::from(copy), file);
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

fn fill(mut copy: File, mut file: &File) -> io::Result<()> {
    file.rewind()?;
    io::copy(&mut file.by_ref(), &mut copy)?;
    // whatever the file mode mask of the process is
    copy.set_permissions(Permissions::from_mode(0o600))?;
    copy.sync_all()
}

/// Returns the name of a copy, cut at its end if it is too long.
fn name_of(begin: &str, number: u32, name: &str) -> OsString {
    let number = if number == 0 { String::new() } else { format!(" ({number})") };
    let mut all = format!("{begin}{number} {name}").into_bytes();
    all.truncate(LONGEST);
    OsString::from_vec(all)
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
    fn a_name_tells_when_by_whom_and_as_what_and_is_never_taken() {
        let name = |number, name: &[u8]| {
            name_of("2026-11-30T09-00-00Z bob", number, &plain(name)).into_string().unwrap()
        };
        assert_eq!(name(0, b"a.doc"), "2026-11-30T09-00-00Z bob a.doc");
        assert_eq!(name(2, b"a\n\xFFb/c"), "2026-11-30T09-00-00Z bob (2) a__b_c");
        assert_eq!(name(0, &[b'x'; 400]).len(), LONGEST);
    }
}
