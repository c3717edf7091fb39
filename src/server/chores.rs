//! What is done each second: files of the logs and of `state_dir` are looked after, and what could
//! not be had at the start, because another server still held it, is tried again.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::admin;
use super::hub::Hub;

/// How often.
const SECOND: Duration = Duration::from_secs(1);

/// Starts the thread that does it as long as the server lives.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start(hub: &Arc<Hub>) -> io::Result<()> {
    let hub = Arc::clone(hub);
    let work = move || {
        loop {
            thread::sleep(SECOND);
            crate::log::retry();
            if !hub.shared.stop.is_soon() {
                hub.shared.parts.look_after_journal();
                hub.shared.logins.look_after_file();
                take_admin_socket(&hub);
            }
        }
    };
    thread::Builder::new().name("chores".to_owned()).spawn(work).map(drop)
}

fn take_admin_socket(hub: &Arc<Hub>) {
    let Some(path) = hub.started.server.admin.socket.as_deref() else { return };
    if hub.admin.get().is_some() {
        return;
    }
    // by now this is the user whose socket it will be
    let Ok(socket) = admin::socket::listen(path, None) else { return };
    match admin::start(&socket, hub) {
        Ok(()) => {
            log::info!("admin socket: {}", path.display());
            let _ = hub.admin.set(socket);
        }
        Err(why) => {
            socket.leave();
            log::warn!("no admin socket at {}: {why}", path.display());
        }
    }
}
