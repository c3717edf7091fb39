//! What is done each second: files of the logs and of `state_dir` are looked after, and what could
//! not be had at the start, because another server still held it, is tried again.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::admin::{self, socket::AdminSocket};
use super::hub::Hub;

/// How often.
const SECOND: Duration = Duration::from_secs(1);

/// Starts the thread that does it as long as the server lives.
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

/// Makes the admin socket if another server held it at the start, or if it was removed since. A
/// failure is logged once.
fn look_after_admin_socket(hub: &Arc<Hub>, told: &mut bool) {
    let Some(path) = hub.started.server.admin.socket.as_deref() else { return };
    let mut admin = hub.admin();
    // the lock is held while the server removes the socket at its end
    if admin.as_ref().is_some_and(AdminSocket::is_in_place) || hub.shared.stop.is_soon() {
        return;
    }
    // by now this is the user whose socket it will be
    let made = admin::socket::listen(path, None).and_then(|socket| {
        admin::start(&socket, hub).inspect_err(|_| socket.leave())?;
        Ok(socket)
    });
    let path = path.display();
    match made {
        Ok(socket) => {
            log::info!("admin socket: {path}");
            if let Some(old) = admin.replace(socket) {
                old.close();
            }
            *told = false;
        }
        // the log was told at the start why there is none
        Err(why) if admin.is_some() && !*told => {
            log::warn!("the admin socket {path} was removed and cannot be made again: {why}");
            *told = true;
        }
        Err(_) => {}
    }
}
