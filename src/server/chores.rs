//! Looks after the server's own files: recreates logs, files in `state_dir` and the admin socket if
//! they were moved or removed, and retries what failed at the start because another server was still
//! running. Writes lines of the log that could not be written before.
//!
//! The thread sleeps until something happens in a directory of these files. Each second it tries
//! again what has failed, and looks at everything if the system cannot watch a directory.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::admin::{self, socket::AdminSocket};
use super::hub::Hub;
use super::sentry::Sentry;

/// Minimum time between two rounds of work.
const SECOND: Duration = Duration::from_secs(1);

/// Starts the thread that does the work until the process ends.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start(hub: &Arc<Hub>) -> io::Result<()> {
    let hub = Arc::clone(hub);
    let sentry = Arc::new(Sentry::new()?);
    let bell = Arc::clone(&sentry);
    crate::log::on_trouble(move || bell.ring());
    let work = move || {
        let mut told = false;
        loop {
            // before everything is looked at, so that nothing is missed in between
            sentry.forget();
            let mut is_watched = true;
            for folder in folders(&hub) {
                is_watched &= sentry.watch(&folder);
            }
            let is_written = crate::log::retry();
            let is_in_place = hub.shared.stop.is_soon() || look_after_files(&hub, &mut told);
            let is_done = is_watched && is_written && is_in_place;
            thread::sleep(SECOND);
            if is_done {
                sentry.wait();
            }
        }
    };
    thread::Builder::new().name("chores".to_owned()).spawn(work).map(drop)
}

/// Returns the directories of the files that are looked after.
fn folders(hub: &Hub) -> BTreeSet<PathBuf> {
    let server = &hub.started.server;
    let admin = server.admin.socket.as_deref().and_then(Path::parent);
    let own = server.storage.state_dir.as_deref().into_iter().chain(admin);
    own.map(Path::to_owned).chain(crate::log::folders()).collect()
}

/// Creates files again that are missing. Returns whether all are in place.
fn look_after_files(hub: &Arc<Hub>, told: &mut bool) -> bool {
    let journal = hub.shared.parts.look_after_journal();
    let logins = hub.shared.logins.look_after_file();
    let uploads = hub.shared.silence.last.look_after_file();
    let events = hub.shared.events.look_after_file();
    look_after_admin_socket(hub, told) && journal && logins && uploads && events
}

/// Makes the admin socket if another server held it at the start, or if it has been removed
/// since then. A failure is logged once. Returns whether the socket is in place, or none is wanted.
fn look_after_admin_socket(hub: &Arc<Hub>, told: &mut bool) -> bool {
    let Some(path) = hub.started.server.admin.socket.as_deref() else { return true };
    if hub.admin().as_ref().is_some_and(AdminSocket::is_in_place) {
        return true;
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
            return true;
        }
        // if the socket could not be made at the start, that was logged then
        Err(why) if admin.is_some() && !*told => {
            log::warn!("the admin socket {path} was removed and cannot be made again: {why}");
            *told = true;
        }
        Err(_) => {}
    }
    false
}
