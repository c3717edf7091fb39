//! Makes the admin socket in the file system, with a mode that allows only the user of the
//! server and root, and removes it when the server ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use serde_json::Value;
use socket2::{Domain, SockAddr, SockRef, Type};

use crate::rights::{self, Held, Ids};

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The socket. Its device and inode distinguish it from a socket that another server may have
/// made at its path.
pub(in crate::server) struct AdminSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    id: (u64, u64),
}

/// Makes the socket, for the user of the server.
///
/// # Errors
///
/// If the socket cannot be made, or another server uses its path.
pub(in crate::server) fn listen(path: &Path, user: Option<&Ids>) -> io::Result<AdminSocket> {
    // done with the rights of that user if possible, so that a link that the user has made
    // cannot redirect root
    let made = {
        let _acting = user.and_then(|ids| rights::act_as(Some(ids)).ok());
        make(path, None)
    };
    match made {
        Err(why) if user.is_some() && why.kind() == io::ErrorKind::PermissionDenied => {
            make(path, user)
        }
        other => other,
    }
}

fn make(path: &Path, user: Option<&Ids>) -> io::Result<AdminSocket> {
    if let Some(folder) = path.parent() {
        rights::make_folder(folder, user)?;
    }
    let held = Held::find(path)?;
    let place = held.path();
    // a server that was killed leaves its socket behind
    if fs::symlink_metadata(&place).is_ok_and(|meta| meta.file_type().is_socket()) {
        match connect(&place) {
            Ok(other) if is_stopping(&other) => held.remove()?,
            Ok(_) => return Err(io::Error::other("another server uses it")),
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => held.remove()?,
            Err(why) => return Err(why),
        }
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    // set before the bind, which passes the mode on to the file: it is never open to others,
    // and the umask, which all threads share, need not be changed
    fchmod(&socket, Mode::from_raw_mode(0o600))?;
    socket.bind(&SockAddr::unix(&place)?)?;
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from(socket);
    if let Some(ids) = user {
        held.hand_over(ids)?;
    }
    let (id, path) = (id(&place)?, path.to_owned());
    Ok(AdminSocket { listener, path, id })
}

/// Connects to another server's socket. Fails at once, instead of waiting, if the other server is
/// too busy to accept more connections.
#[expect(clippy::disallowed_methods, reason = "no data connection, and it never waits")]
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(socket))
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// Asks the other server whether it is stopping; if so, its socket may be replaced.
fn is_stopping(other: &UnixStream) -> bool {
    let ask = || {
        other.set_read_timeout(Some(Duration::from_secs(1)))?;
        let (mut other, mut line) = (other, String::new());
        other.write_all(b"{}\n")?;
        BufReader::new(other).read_line(&mut line)?;
        Ok::<_, io::Error>(line)
    };
    let answer =
        ask().ok().and_then(|line| serde_json::from_slice::<Value>(line.as_bytes()).ok());
    answer.is_some_and(|answer| answer.get("stopping") == Some(&Value::Bool(true)))
}

#[expect(clippy::disallowed_methods, reason = "not a served file")]
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

impl AdminSocket {
    /// Whether the socket is still at its path.
    pub(in crate::server) fn is_in_place(&self) -> bool {
        id(&self.path).ok() == Some(self.id)
    }

    /// Ends the thread that accepts connections to the socket.
    pub(in crate::server) fn close(&self) {
        // cannot fail, because the socket is listening
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }

    /// Removes the socket from the file system, unless another server has replaced it.
    pub(in crate::server) fn leave(&self) {
        if !self.is_in_place() {
            return;
        }
        if let Err(why) = remove(&self.path) {
            log::warn!("cannot remove the admin socket {}: {why}", self.path.display());
        }
    }
}
