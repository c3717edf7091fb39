//! Opening the files that the log is written to.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::rights::{self, Held, Ids};

/// Whether the last line of a file is incomplete, because a full disk or a crash has cut it
/// short.
pub(super) fn ends_in_half_a_line(path: &Path) -> bool {
    let last = || {
        let file = rights::as_server(|| rights::open(path)).and_then(|opened| opened)?;
        let mut last = [b'\n'];
        if let Some(at) = file.metadata()?.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        Ok::<_, io::Error>(last)
    };
    last().is_ok_and(|last| last != [b'\n'])
}

/// Returns the number of the file descriptor that a path such as `/dev/stdout` names, directly
/// or by way of links.
pub fn descriptor(path: &Path) -> Option<u32> {
    const MOST_LINKS: usize = 8;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let number = match path.to_str()? {
            "/dev/stdout" => Some(1),
            "/dev/stderr" => Some(2),
            text => {
                let mut folders = ["/dev/fd/", "/proc/self/fd/"].into_iter();
                folders.find_map(|folder| text.strip_prefix(folder)?.parse().ok())
            }
        };
        if number.is_some() {
            return number;
        }
        path = path.parent()?.join(std::fs::read_link(&path).ok()?);
    }
    None
}

/// Opens a log file for appending. Its directory may belong to the server's user, whose links
/// root must not follow: see [`Held`].
pub(super) fn append_to(path: &Path, owner: Option<&Ids>) -> io::Result<File> {
    let held = Held::find(path)?;
    // opening them by name may be forbidden, and fails if they are sockets
    match descriptor(path) {
        Some(1) => return io::stdout().as_fd().try_clone_to_owned().map(File::from),
        Some(2) => return io::stderr().as_fd().try_clone_to_owned().map(File::from),
        Some(_) | None => {}
    }
    let append = |flags| {
        let flags = OFlags::WRONLY | OFlags::APPEND | flags;
        held.open(flags, Mode::from_raw_mode(0o640))
    };
    let Some(ids) = owner.filter(|_| rights::is_root()) else { return append(OFlags::CREATE) };
    let as_user = rights::act_as(Some(ids)).and_then(|_acting| append(OFlags::CREATE));
    match as_user {
        Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {}
        other => return other,
    }
    if let Ok(file) = append(OFlags::CREATE | OFlags::EXCL) {
        rights::hand_over(&file, owner)?;
        return Ok(file);
    }
    append(OFlags::empty())
}
