//! A client that was admitted, and how a worker serves it.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use super::registry::Registration;
use crate::control::{Session, Shared};

/// A client that was admitted. Dropping it frees its place.
pub(super) struct Client {
    pub(super) stream: Arc<TcpStream>,
    pub(super) implicit_tls: bool,
    pub(super) registration: Registration,
}

/// Runs the session of a client. Its place is free before the client receives the last reply,
/// so that it can connect again at once.
pub(super) fn serve(client: &Client, shared: &Arc<Shared>) {
    // an error means that the client closed the connection before the greeting
    if let Ok(mut session) = open_session(client, shared) {
        let parting = session.run();
        client.registration.give_back();
        // another client may already be waiting for this thread, so it must not block
        let _ = client.stream.set_nonblocking(true);
        session.part(&parting);
    }
}

/// Makes a session on the heap, because a stack page stays in memory once it has been used.
#[inline(never)]
fn open_session(client: &Client, shared: &Arc<Shared>) -> io::Result<Box<Session>> {
    let (shared, live) = (Arc::clone(shared), Arc::clone(&client.registration.live));
    Session::new(&client.stream, shared, client.implicit_tls, live).map(Box::new)
}
