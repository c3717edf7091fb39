//! Work that is done each second: recreates logs, files in `state_dir` and the admin socket if
//! they were moved or removed, and retries what failed at the start because another server was
//! still running.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::admin::{self, socket::AdminSocket};
use super::hub::Hub;

/// How often the work is done.
const SECOND: Duration = Duration::from_secs(1);

/// Starts the thread that does the work until the process ends.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start(hub: &Arc<Hub>) -> io::Result<()> {
    let hub = Arc::clone(hub);
    let work = move || {
        let mut told = false;
        loop {
            thread::sleep(SECOND);
            crate::log::retry();
            if !hub.shared.stop.is_soon() {
                hub.shared.parts.look_after_journal();
                hub.shared.logins.look_after_file();
                look_after_admin_socket(&hub, &mut told);
            }
        }
    };
    thread::Builder::new().name("chores".to_owned()).spawn(work).map(drop)
}

/// Makes the admin socket if another server held it at the start, or if it has been removed
/// since then. A failure is logged once.
fn look_after_admin_socket(hub: &Arc<Hub>, told: &mut bool) {
    let Some(path) = hub.started.server.admin.socket.as_deref() else { return };
    if hub.admin().as_ref().is_some_and(AdminSocket::is_in_place) {
        return;
    }
    // without the lock, because a server that stops takes it, and the other server at this path
    // may be slow to answer; no owner is given, because the process already runs as its final user
    let made = admin::socket::listen(path, None).and_then(|socket| {
        admin::start(&socket, hub).inspect_err(|_| socket.leave())?;
        Ok(socket)
    });
    let path = path.display();
    let mut admin = hub.admin();
    match made {
        // a server that stops has removed its socket, or does so as soon as it has the lock
        Ok(socket) if hub.shared.stop.is_soon() => {
            socket.close();
            socket.leave();
        }
        Ok(socket) => {
            log::info!("admin socket: {path}");
            if let Some(old) = admin.replace(socket) {
                old.close();
            }
            *told = false;
        }
        // if the socket could not be made at the start, that was logged then
        Err(why) if admin.is_some() && !*told => {
            log::warn!("the admin socket {path} was removed and cannot be made again: {why}");
            *told = true;
        }
        Err(_) => {}
    }
}
