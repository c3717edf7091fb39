//! Threads that start the programs of hooks, threads that check hashed passwords, the thread that sends
//! events, and the thread that counts the homes with a quota.

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
        builder.stack_size(pool::STACK).spawn(move || hub.shared.events.run_programs())?;
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

/// Starts the thread that counts the homes with a quota, if there is one and the thread does not run
/// yet.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start_for_quotas(hub: &Arc<Hub>) -> io::Result<()> {
    let quotas = Arc::clone(&hub.shared.quotas);
    let expected = hub.shared.settings().config.server.elsewhere.is_on();
    if !quotas.hire(expected) {
        return Ok(());
    }
    let builder = thread::Builder::new().name("quota".to_owned());
    let started = builder.spawn(move || quotas.work());
    started.map(drop).inspect_err(|_| hub.shared.quotas.dismiss())
}

/// Starts the thread that sends events, if there is a receiver and the thread does not run yet.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn start_for_events(hub: &Arc<Hub>) -> io::Result<()> {
    if !hub.shared.events.hire() {
        return Ok(());
    }
    let own = Arc::clone(hub);
    let builder = thread::Builder::new().name("events".to_owned());
    let started = builder.spawn(move || own.shared.events.send());
    started.map(drop).inspect_err(|_| hub.shared.events.dismiss())
}
