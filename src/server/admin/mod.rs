//! The admin socket: answers requests about the running server, and takes orders.
//!
//! Everybody who may open the socket may do everything; its mode allows only the user of the
//! server and root.

mod carry_out;
pub(super) mod farewell;
mod guests;
pub mod protocol;
pub(super) mod socket;
mod trash;
pub(super) mod view;

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::hub::Hub;
use super::orders::Order;
use carry_out::answer;
use guests::{Guest, GuestState, Guests};
use protocol::refused;
use socket::AdminSocket;

/// A connection is closed if it sends no further request for this long, or does not read its
/// answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection is closed if it sends no first request for this long.
const SILENCE: Duration = Duration::from_secs(3);

/// Requests must be shorter than this.
const LONGEST: u64 = 64 << 10;

/// Starts the thread that accepts connections to the admin socket.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start(socket: &AdminSocket, hub: &Arc<Hub>) -> io::Result<()> {
    let (listener, hub) = (socket.listener.try_clone()?, Arc::clone(hub));
    let builder = thread::Builder::new().name("admin".to_owned());
    builder.spawn(move || serve(&listener, &hub)).map(drop)
}

/// Accepts connections, and starts a thread for each.
#[expect(clippy::disallowed_methods, reason = "these threads are started here")]
fn serve(listener: &UnixListener, hub: &Arc<Hub>) {
    let guests = Arc::<Guests>::default();
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            // the socket was shut down, because a new one replaces it
            Err(why) if why.kind() == io::ErrorKind::InvalidInput => return,
            Err(why) => {
                log::error!("cannot accept a client of the admin socket: {why}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let Some(guest) = guests.enter(stream) else { continue };
        let (hub, own, other) = (Arc::clone(hub), Arc::clone(&guests), Arc::clone(&guest));
        let talk = move || {
            // the client may close the connection at any time
            let _ = converse(&guest, &hub);
            own.leave(&guest);
        };
        if let Err(why) = thread::Builder::new().name("admin-client".to_owned()).spawn(talk) {
            log::error!("cannot start a thread for a client of the admin socket: {why}");
            guests.leave(&other);
        }
    }
}

/// Answers the requests of one connection.
fn converse(guest: &Guest, hub: &Arc<Hub>) -> io::Result<()> {
    let stream = &*guest.stream;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut patience = SILENCE;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        read_line(&mut lines, stream, patience, &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        patience = PATIENCE;
        // the rest of a line that is too long must not be taken for another request
        let is_whole = line.len() < usize::try_from(LONGEST).unwrap_or(usize::MAX);
        *guest.state() = GuestState { asked: true, at_work: true, since: Instant::now() };
        let (mut answer, order) = if is_whole {
            answer(&line, &guest.stream, hub)
        } else {
            (refused("too long"), None)
        };
        // whoever waits for the end of the server asks nothing more, and is told by another thread
        let waits = order == Some(Order::Drain);
        *guest.state() = GuestState { asked: true, at_work: waits, since: Instant::now() };
        if hub.shared.stop.is_soon()
            && let Some(answer) = answer.as_object_mut()
        {
            answer.insert("stopping".to_owned(), Value::Bool(true));
        }
        let mut stream = stream;
        let told = stream.write_all(format!("{}\n", crate::log::json(&answer)).as_bytes());
        // given after the answer, so that the client receives it before the server ends
        if let Some(order) = order {
            hub.orders.give(order);
        }
        told?;
        if !is_whole || waits {
            return Ok(());
        }
    }
}

/// Reads a line, which must be complete within `patience`.
fn read_line(
    lines: &mut BufReader<&UnixStream>,
    stream: &UnixStream,
    patience: Duration,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // a timeout of zero is not allowed
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let room = LONGEST.saturating_sub(u64::try_from(line.len()).unwrap_or(u64::MAX));
        let there = lines.fill_buf()?;
        let there = there.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(there);
        let end = there.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(there.len());
        line.extend_from_slice(there.get(..taken).unwrap_or_default());
        lines.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(());
        }
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}
