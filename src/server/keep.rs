//! The thread that removes old files, as the settings say. It runs only while they say so.

use std::io;
use std::sync::Arc;
use std::thread;

use super::hub::Hub;

/// Starts the thread, if there is work for it and it does not run yet.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start(hub: &Arc<Hub>) -> io::Result<()> {
    if !hub.shared.keeper.hire() {
        return Ok(());
    }
    let own = Arc::clone(hub);
    let work = move || own.shared.keeper.work(&|| own.shared.stop.is_soon());
    let started = thread::Builder::new().name("keep".to_owned()).spawn(work);
    started.map(drop).inspect_err(|_| hub.shared.keeper.dismiss())
}
