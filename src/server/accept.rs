//! Accepting clients: a thread for each listening address, which waits for nothing else.

use std::fs::File;
use std::thread;

use rustix::io::Errno;

use super::admit::{admit, turn_away};
use super::doors::{BREATH, Door};
use super::hub::Hub;
use crate::control::{self, Away};

/// Takes in clients until the server stops.
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
                Some(Errno::NOBUFS | Errno::NOMEM | Errno::INVAL) => {
                    log::error!("cannot accept: {why}");
                    thread::sleep(BREATH);
                }
                // the client has gone again
                _ => {}
            },
        }
        door.pulse.step();
    }
}

/// A file descriptor to give up when there are no others.
#[expect(clippy::disallowed_methods, reason = "not a served file")]
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// The process has no file descriptor left. With the spare one, a client can still be told
/// so, instead of being left to wait.
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
        // others have been closed meanwhile
        admit(hub, stream, peer, door.implicit_tls);
        return again;
    }
    turn_away(hub, &stream, peer, Away::Files, "no file descriptor left; raise ulimit -n");
    drop(stream);
    spare()
}
