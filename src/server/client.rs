//! A client on its way to a worker, and the work that the worker does for it.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use super::registry::Registration;
use crate::control::{Session, Shared};

/// A client on its way to a worker. Dropping it gives back everything that it holds.
pub(super) struct Client {
    pub(super) stream: Arc<TcpStream>,
    pub(super) implicit_tls: bool,
    pub(super) registration: Registration,
}

/// Runs the session of a client. Its place is free before the client receives the last reply.
pub(super) fn serve(client: &Client, shared: &Arc<Shared>) {
    // an error here means that the client has gone before it was greeted
    if let Ok(mut session) = open_session(client, shared) {
        let parting = session.run();
        client.registration.give_back();
        // from here on the next client may wait for this thread
        let _ = client.stream.set_nonblocking(true);
        session.part(&parting);
    }
}

/// Makes the session on the heap: a page that a thread's stack has touched is never given back.
#[inline(never)]
fn open_session(client: &Client, shared: &Arc<Shared>) -> io::Result<Box<Session>> {
    let (shared, live) = (Arc::clone(shared), Arc::clone(&client.registration.live));
    Session::new(&client.stream, shared, client.implicit_tls, live).map(Box::new)
}
