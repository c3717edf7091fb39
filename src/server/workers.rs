//! Threads that start the programs of hooks, and threads that check hashed passwords.

use std::io;
use std::sync::Arc;
use std::thread;

use super::hub::Hub;
use super::pool;
use super::reload::turn::Held;

/// Starts threads for hook programs until `count` threads are running.
#[expect(clippy::disallowed_methods, reason = "these threads are started here")]
pub(super) fn start_for_hooks(
    hub: &Arc<Hub>,
    turn: &mut Held<'_>,
    count: usize,
) -> io::Result<()> {
    while turn.workers < count {
        let (number, hub) = (turn.workers + 1, Arc::clone(hub));
        let builder = thread::Builder::new().name(format!("hook-{number}"));
        builder.stack_size(pool::STACK).spawn(move || hub.shared.hooks.work())?;
        turn.workers = number;
    }
    Ok(())
}

/// Starts threads that check hashed passwords until `count` threads are running.
#[expect(clippy::disallowed_methods, reason = "these threads are started here")]
pub(super) fn start_for_passwords(hub: &Arc<Hub>, count: usize) -> io::Result<()> {
    let passwords = &hub.shared.passwords;
    while let Some(number) = passwords.hire(count) {
        let hub = Arc::clone(hub);
        let builder = thread::Builder::new().name(format!("password-{number}"));
        let started =
            builder.stack_size(pool::STACK).spawn(move || hub.shared.passwords.work());
        if let Err(why) = started {
            passwords.dismiss();
            return Err(why);
        }
    }
    Ok(())
}
