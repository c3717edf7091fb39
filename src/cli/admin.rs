//! Sends a request to the running server over its admin socket. See ADMIN PROTOCOL in ftpd(8).

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::outcome::Stop;
use super::settings::settings_file;
use crate::config;
use crate::server::protocol::{self, AdminOrder, Unanswered};

/// How long to wait for an answer. A server that reads its settings may take a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why no server has answered.
pub(super) enum Absence {
    /// No server is running.
    NoServer,
    /// The user who asks may not open the socket of the server.
    NotAllowed,
    /// Something else has failed.
    Failed(Stop),
}

/// Sends one request to the server of these settings and returns its answer.
pub(super) fn ask<O: AdminOrder>(file: Option<&Path>, order: O) -> Result<O::Answer, Stop> {
    let file = settings_file(file)?;
    let socket = socket(&file)?;
    let none = || Stop::Failed(format!("{}: admin_socket is empty", file.display()));
    let socket = socket.ok_or_else(none)?;
    let stream = UnixStream::connect(&socket).map_err(|why| {
        let at = socket.display();
        if why.kind() == ErrorKind::PermissionDenied {
            return Stop::Failed(format!("{at}: permission denied; try sudo"));
        }
        let moved =
            "; a server that was started before admin_socket was changed still uses the old path";
        Stop::Failed(format!("no server answers at {at}: {why}{moved}"))
    })?;
    converse(&stream, &socket, order)
}

/// Sends one request like [`ask`]. The error tells a caller that can do without a server why
/// there is no answer.
pub(super) fn ask_if_there<O: AdminOrder>(
    file: Option<&Path>,
    order: O,
) -> Result<O::Answer, Absence> {
    let file = settings_file(file).map_err(Absence::Failed)?;
    // faults in the file are reported by the code that reads all of it
    let socket = socket(&file).ok().flatten().ok_or(Absence::NoServer)?;
    let stream = UnixStream::connect(&socket).map_err(|why| {
        let is_shut = why.kind() == ErrorKind::PermissionDenied;
        if is_shut { Absence::NotAllowed } else { Absence::NoServer }
    })?;
    converse(&stream, &socket, order).map_err(Absence::Failed)
}

fn socket(file: &Path) -> Result<Option<PathBuf>, Stop> {
    config::admin_socket(file).map_err(|why| {
        let file = file.display();
        if why.kind() == ErrorKind::PermissionDenied {
            return Stop::Failed(format!("{file}: permission denied; try sudo"));
        }
        Stop::Failed(format!("{file}: {why}"))
    })
}

fn converse<O: AdminOrder>(
    mut stream: &UnixStream,
    socket: &Path,
    order: O,
) -> Result<O::Answer, Stop> {
    let at = socket.display();
    let hung_up = |why: &dyn std::fmt::Display| {
        Stop::Failed(format!("the server at {at} has closed the connection: {why}"))
    };
    let request = serde_json::to_string(&order.into()).map_err(|why| hung_up(&why))?;
    let line = (|| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    })();
    let line = line.map_err(|why: std::io::Error| {
        if why.kind() == ErrorKind::WouldBlock {
            let time = PATIENCE.as_secs();
            return Stop::Failed(format!(
                "the server at {at} has not answered within {time} s"
            ));
        }
        hung_up(&why)
    })?;
    protocol::read::<O>(&line).map_err(|why| match why {
        Unanswered::Refused(why) => Stop::Refused(why),
        Unanswered::Malformed(why) if why.is_eof() => hung_up(&why),
        Unanswered::Malformed(why) => {
            Stop::Failed(format!("cannot read the answer of the server at {at}: {why}"))
        }
    })
}
