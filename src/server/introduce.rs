//! The beginning of a balancer's connection: the header that says for whom it is. One thread waits for
//! all headers, so that such a connection takes neither a worker nor one of `max_cons`, and nobody is
//! evicted for it. All that depends on the client begins once the header has named it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::admit::{Newcomer, admit};
use super::hub::Hub;
use super::lobby::Guest;
use crate::control::{Away, CameBy};
use crate::proxy::{Introduced, Reading, Unread};

/// Takes in a connection of a balancer.
pub(super) fn receive(
    hub: &Arc<Hub>,
    stream: TcpStream,
    balancer: SocketAddr,
    implicit_tls: bool,
) {
    let until = Instant::now() + hub.shared.settings().config.server.balancers.timeout;
    let (stream, reading) = (Arc::new(stream), Reading::new(until));
    let guest = Guest { stream, balancer, implicit_tls, reading };
    // most headers arrive together with the connection
    let Some(guest) = look(hub, guest) else { return };
    if let Err(why) = start(hub) {
        log::error!("cannot start the thread that reads PROXY headers: {why}");
        let why = "no thread reads PROXY headers";
        return hub.usher.turn_away(&guest.stream, balancer, Away::Worker, why);
    }
    if let Some(other) = hub.lobby.put(guest) {
        send_away(hub, other, CROWDED);
    }
    hub.lobby.ring();
}

/// Why a connection is closed for a newer one.
const CROWDED: &str = "too many connections without a PROXY header";

/// Number of descriptors that a session with a transfer and its next client need.
const DESCRIPTORS: usize = 8;

/// Closes those connections that have waited for the longest time, because the process has no file
/// descriptor left. Returns whether there were any. Their descriptors are free a moment later, when the
/// thread that waits for headers has woken up.
pub(super) fn make_room(hub: &Hub) -> bool {
    let oldest = hub.lobby.shed(DESCRIPTORS);
    let is_any = !oldest.is_empty();
    for guest in oldest {
        send_away(hub, guest, "no file descriptor left; raise ulimit -n");
    }
    hub.lobby.ring();
    is_any
}

/// Lets no more connections wait, because the server stops, and sends away those that do.
pub(super) fn close(hub: &Hub) {
    for guest in hub.lobby.close() {
        send_away(hub, guest, CROWDED);
    }
    hub.lobby.ring();
    // the thread may be about to admit one, which must be a session before sessions are ended
    let until = Instant::now() + WHILE_ADMITTING;
    while !hub.lobby.is_empty() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Maximum time that a stop waits until a client is admitted.
const WHILE_ADMITTING: Duration = Duration::from_millis(500);

/// Sends a connection away that has no room for this reason, unless its header has arrived meanwhile.
fn send_away(hub: &Hub, guest: Guest, why: &str) {
    let Some(Guest { stream, balancer, .. }) = look(hub, guest) else { return };
    if hub.shared.stop.is_soon() {
        hub.usher.turn_away_stopping(&stream, balancer);
    } else {
        hub.usher.dismiss(balancer, why);
    }
}

/// Reads what has arrived of the header of a connection. Once it is complete, admits the client that
/// it names. Returns the connection if it must go on waiting.
fn look(hub: &Hub, mut guest: Guest) -> Option<Guest> {
    let Some(read) = guest.reading.go_on(&guest.stream).transpose() else { return Some(guest) };
    let (peer, way) = match read {
        Ok(Introduced::Client(peer)) => (peer, CameBy::Balancer),
        Ok(Introduced::Balancer) => (guest.balancer, CameBy::Check),
        // a balancer that looks whether the port is open
        Err(Unread::Closed) => return None,
        Err(why) => {
            hub.usher.dismiss(guest.balancer, &why.to_string());
            return None;
        }
    };
    let Guest { stream, implicit_tls, .. } = guest;
    admit(hub, Newcomer { stream, peer, way, implicit_tls });
    None
}

/// Starts the thread that waits for headers, if it does not run.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
fn start(hub: &Arc<Hub>) -> io::Result<()> {
    if hub.lobby.note_thread(true) {
        return Ok(());
    }
    // if the thread cannot be started, dropping this notes that there is none
    let running = Running(Arc::clone(hub));
    thread::Builder::new().name("headers".to_owned()).spawn(move || running.work()).map(drop)
}

/// The thread that waits for headers. If it panics, the next connection starts another one.
struct Running(Arc<Hub>);

impl Running {
    fn work(&self) {
        let lobby = &self.0.lobby;
        loop {
            lobby.hush();
            let mut at = 0;
            while let Some(guest) = lobby.take(at) {
                if let Some(guest) = look(&self.0, guest) {
                    if let Some(other) = lobby.put(guest) {
                        send_away(&self.0, other, CROWDED);
                    }
                    at += 1;
                }
            }
            lobby.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lobby.note_thread(false);
    }
}
