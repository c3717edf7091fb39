//! Accepts clients. Each listening address has a thread of its own, which does nothing else.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use rustix::io::Errno;

use super::admit::{Newcomer, admit};
use super::doors::{BREATH, Door, MOMENT};
use super::hub::Hub;
use super::introduce;
use crate::control::{self, Away, CameBy};

/// Accepts clients until the server stops or is drained.
pub(super) fn accept(door: &Door, hub: &Arc<Hub>) {
    let mut reserve = spare();
    loop {
        if door.handed {
            hub.bell.wait(&door.listener);
            if hub.shared.stop.is_draining() {
                return;
            }
        }
        let accepted = door.listener.accept();
        // a client that was accepted just before the server was to be drained is served
        if hub.shared.stop.is_soon() || hub.shared.stop.is_draining() && accepted.is_err() {
            return;
        }
        door.pulse.step();
        match accepted {
            Ok((stream, peer)) => {
                receive(hub, stream, control::canonical(peer), door.implicit_tls);
            }
            Err(why) => match Errno::from_io_error(&why) {
                Some(Errno::MFILE | Errno::NFILE) => {
                    reserve = accept_without_files(door, hub, reserve, &why);
                }
                _ => get_over(&why),
            },
        }
        door.pulse.step();
    }
}

/// Admits a client, or, if it is a balancer, waits until it has said for whom it has connected.
fn receive(hub: &Arc<Hub>, stream: TcpStream, peer: SocketAddr, implicit_tls: bool) {
    if hub.shared.settings().config.server.balancers.contain(peer.ip()) {
        return introduce::receive(hub, stream, peer, implicit_tls);
    }
    let (stream, way) = (Arc::new(stream), CameBy::Itself);
    admit(hub, Newcomer { stream, peer, way, implicit_tls });
}

/// Logs why no client could be accepted, and pauses, so that repeated attempts do not keep the
/// processor busy. Does neither if the reason concerns only that client.
fn get_over(why: &io::Error) {
    // the client has closed the connection already, or its network is gone
    let is_of_client = matches!(
        Errno::from_io_error(why),
        Some(
            Errno::CONNABORTED
                | Errno::INTR
                | Errno::AGAIN
                | Errno::PROTO
                | Errno::PERM
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NOPROTOOPT
                | Errno::NONET
                | Errno::OPNOTSUPP
        )
    );
    if !is_of_client {
        log::error!("cannot accept: {why}");
        thread::sleep(BREATH);
    }
}

/// Opens a spare file descriptor. It is closed when the process has no other left, to accept
/// one more client.
#[expect(clippy::disallowed_methods, reason = "not a served file")]
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Opens a spare file descriptor, or waits for a moment until another thread has closed one.
fn spare_soon() -> Option<File> {
    (0..50).find_map(|_| {
        spare().or_else(|| {
            thread::sleep(MOMENT);
            None
        })
    })
}

/// Accepts a client when the process has no file descriptor left, by closing the spare one
/// (`reserve`). Connections of balancers that have sent no header make room for the client. If there are
/// none, the client is told that the server is full, instead of waiting without an answer. Returns a new
/// spare descriptor. `why` is the error of the attempt to accept the client.
fn accept_without_files(
    door: &Door,
    hub: &Arc<Hub>,
    reserve: Option<File>,
    why: &io::Error,
) -> Option<File> {
    if reserve.is_none() {
        get_over(why);
        return spare();
    }
    drop(reserve);
    let (stream, peer) = match door.listener.accept() {
        Ok(accepted) => accepted,
        Err(why) => {
            get_over(&why);
            return spare();
        }
    };
    let peer = control::canonical(peer);
    let again = spare().or_else(|| introduce::make_room(hub).then(spare_soon).flatten());
    if again.is_some() {
        // others were closed in the meantime
        receive(hub, stream, peer, door.implicit_tls);
        return again;
    }
    hub.usher.turn_away(&stream, peer, Away::Files, "no file descriptor left; raise ulimit -n");
    drop(stream);
    spare()
}
