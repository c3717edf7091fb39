//! What the subcommands that talk to a running server have in common.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{Stop, settings_file};
use crate::config;
use crate::log::escaped;

/// A server that is busy reading its settings may take a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why no server has answered.
pub(super) enum Absence {
    /// There is no server.
    NoServer,
    /// Whoever asks may not open its socket.
    NotAllowed,
    /// Anything else.
    Failed(Stop),
}

/// Sends one request to the server of these settings, and gives its answer if it is a good one.
pub(super) fn ask(file: Option<&Path>, request: &Value) -> Result<Value, Stop> {
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
            "; one that runs since before a change of admin_socket is still at the old place";
        Stop::Failed(format!("no server answers at {at}: {why}{moved}"))
    })?;
    converse(&stream, &socket, request)
}

/// The same for who can do without a server.
pub(super) fn ask_if_there(file: Option<&Path>, request: &Value) -> Result<Value, Absence> {
    let file = settings_file(file).map_err(Absence::Failed)?;
    // what is wrong with the file is told by who reads all of it
    let socket = socket(&file).ok().flatten().ok_or(Absence::NoServer)?;
    let stream = UnixStream::connect(&socket).map_err(|why| {
        let is_shut = why.kind() == ErrorKind::PermissionDenied;
        if is_shut { Absence::NotAllowed } else { Absence::NoServer }
    })?;
    converse(&stream, &socket, request).map_err(Absence::Failed)
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

fn converse(mut stream: &UnixStream, socket: &Path, request: &Value) -> Result<Value, Stop> {
    let answer = (|| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(serde_json::from_str::<Value>(&line)?)
    })();
    let answer: Value = answer.map_err(|why: std::io::Error| {
        let at = socket.display();
        Stop::Failed(if why.kind() == ErrorKind::WouldBlock {
            format!("the server at {at} has not answered within {} s", PATIENCE.as_secs())
        } else {
            format!("the server at {at} has hung up: {why}")
        })
    })?;
    if answer.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(answer);
    }
    let why = answer.get("error").and_then(Value::as_str).unwrap_or("no reason given");
    Err(Stop::Refused(why.to_owned()))
}

/// A number of an answer.
pub(super) fn number(of: &Value, key: &str) -> u64 {
    of.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A text of an answer, which may come from a stranger, for a terminal.
pub(super) fn text(of: &Value, key: &str) -> String {
    let text = of.get(key).and_then(Value::as_str).unwrap_or_default();
    escaped(text.as_bytes()).to_string()
}

/// User and address of a session, as a list shows them: nobody is a dash, and TLS a star.
pub(super) fn client(session: &Value) -> (String, String) {
    let user = session.get("user").filter(|user| !user.is_null());
    let user = user.map_or_else(|| "-".to_owned(), |_| text(session, "user"));
    let tls = session.get("tls").and_then(Value::as_bool) == Some(true);
    (user, text(session, "address") + if tls { "*" } else { "" })
}
