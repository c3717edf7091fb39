//! Sends a request to the running server over its admin socket. See ADMIN PROTOCOL in ftpd(8).

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::outcome::Stop;
use super::settings::origin;
use crate::config::{self, Origin};
use crate::server::protocol::{self, AdminOrder, Request, Unanswered};

/// How long to wait for an answer. A server that reads its settings may take a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait until a server has looked through a trash, which may have a million files.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

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
    ask_and_stay(file, order).map(|(answer, _)| answer)
}

/// Sends one request to the server of these settings. Returns its answer, and the connection, on which
/// the server may say more.
pub(super) fn ask_and_stay<O: AdminOrder>(
    file: Option<&Path>,
    order: O,
) -> Result<(O::Answer, BufReader<UnixStream>), Stop> {
    let (socket, line, rest) = send(file, &order.into())?;
    read::<O>(&socket, &line).map(|answer| (answer, rest))
}

/// Sends one request to the server of these settings. Returns the path of its socket, its answer, and
/// the connection. Unlike [`ask`], this is one function for all orders.
fn send(
    file: Option<&Path>,
    request: &Request,
) -> Result<(PathBuf, String, BufReader<UnixStream>), Stop> {
    let origin = origin(file)?;
    let socket = socket(&origin)?;
    let none = || Stop::Failed(format!("{}: admin_socket is empty", origin.shown().display()));
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
    let (line, rest) = converse(stream, &socket, request)?;
    Ok((socket, line, rest))
}

/// Sends one request like [`ask`]. The error tells a caller that can do without a server why
/// there is no answer.
pub(super) fn ask_if_there<O: AdminOrder>(
    file: Option<&Path>,
    order: O,
) -> Result<O::Answer, Absence> {
    let origin = origin(file).map_err(Absence::Failed)?;
    // faults in the file are reported by the code that reads all of it
    let socket = socket(&origin).ok().flatten().ok_or(Absence::NoServer)?;
    let stream = UnixStream::connect(&socket).map_err(|why| {
        let is_shut = why.kind() == ErrorKind::PermissionDenied;
        if is_shut { Absence::NotAllowed } else { Absence::NoServer }
    })?;
    let (line, _) = converse(stream, &socket, &order.into()).map_err(Absence::Failed)?;
    read::<O>(&socket, &line).map_err(Absence::Failed)
}

fn socket(origin: &Origin) -> Result<Option<PathBuf>, Stop> {
    config::admin_socket(origin).map_err(|why| {
        let file = origin.shown().display();
        if why.kind() == ErrorKind::PermissionDenied {
            return Stop::Failed(format!("{file}: permission denied; try sudo"));
        }
        Stop::Failed(format!("{file}: {why}"))
    })
}

fn converse(
    mut stream: UnixStream,
    socket: &Path,
    request: &Request,
) -> Result<(String, BufReader<UnixStream>), Stop> {
    let at = socket.display();
    let is_long =
        matches!(request, Request::Trash(_) | Request::Restore(_) | Request::Empty(_));
    let patience = if is_long { LONG_PATIENCE } else { PATIENCE };
    let request = serde_json::to_string(request).map_err(|why| hung_up(socket, &why))?;
    let line = (|| {
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let (mut line, mut rest) = (String::new(), BufReader::new(stream));
        rest.read_line(&mut line)?;
        Ok((line, rest))
    })();
    line.map_err(|why: std::io::Error| {
        if why.kind() == ErrorKind::WouldBlock {
            let time = patience.as_secs();
            return Stop::Failed(format!(
                "the server at {at} has not answered within {time} s"
            ));
        }
        hung_up(socket, &why)
    })
}

/// Reads the answer to an order.
fn read<O: AdminOrder>(socket: &Path, line: &str) -> Result<O::Answer, Stop> {
    protocol::read::<O>(line).map_err(|why| unanswered(socket, why))
}

fn unanswered(socket: &Path, why: Unanswered) -> Stop {
    match why {
        Unanswered::Refused(why) => Stop::Refused(why),
        Unanswered::Malformed(why) if why.is_eof() => hung_up(socket, &why),
        Unanswered::Malformed(why) => {
            let at = socket.display();
            Stop::Failed(format!("cannot read the answer of the server at {at}: {why}"))
        }
    }
}

fn hung_up(socket: &Path, why: &dyn std::fmt::Display) -> Stop {
    let at = socket.display();
    Stop::Failed(format!("the server at {at} has closed the connection: {why}"))
}
