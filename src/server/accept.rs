//! Accepts clients. Each listening address has a thread of its own, which does nothing else.

use std::fs::File;
use std::thread;

use rustix::io::Errno;

use super::admit::{admit, turn_away};
use super::doors::{BREATH, Door};
use super::hub::Hub;
use crate::control::{self, Away};

/// Accepts clients until the server stops.
pub(super) fn accept(door: &Door, hub: &Hub) {
    let mut reserve = spare();
    loop {
        if door.handed {
            hub.bell.wait(&door.listener);
            if hub.shared.stop.is_soon() {
                return;
            }
        }
        let accepted = door.listener.accept();
        if hub.shared.stop.is_soon() {
            return;
        }
        door.pulse.step();
        match accepted {
            Ok((stream, peer)) => {
                admit(hub, stream, control::canonical(peer), door.implicit_tls);
            }
            Err(why) => match Errno::from_io_error(&why) {
                Some(Errno::MFILE | Errno::NFILE) => {
                    reserve = accept_without_files(door, hub, reserve);
                }
                // the client has closed the connection already, or its network is gone
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
                    | Errno::OPNOTSUPP,
                ) => {}
                _ => {
                    log::error!("cannot accept: {why}");
                    thread::sleep(BREATH);
                }
            },
        }
        door.pulse.step();
    }
}

/// Opens a spare file descriptor. It is closed when the process has no other left, to accept
/// one more client.
#[expect(clippy::disallowed_methods, reason = "not a served file")]
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Accepts a client when the process has no file descriptor left, by closing the spare one
/// (`reserve`). The client is told that the server is full, instead of waiting without an
/// answer. Returns a new spare descriptor.
fn accept_without_files(door: &Door, hub: &Hub, reserve: Option<File>) -> Option<File> {
    if reserve.is_none() {
        thread::sleep(BREATH);
        return spare();
    }
    drop(reserve);
    let Ok((stream, peer)) = door.listener.accept() else { return spare() };
    let peer = control::canonical(peer);
    let again = spare();
    if again.is_some() {
        // other files were closed in the meantime
        admit(hub, stream, peer, door.implicit_tls);
        return again;
    }
    turn_away(hub, &stream, peer, Away::Files, "no file descriptor left; raise ulimit -n");
    drop(stream);
    spare()
}
