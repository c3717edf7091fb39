//! Stopping the server: transfers may go on for the grace period, and all else ends.

use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::admit::tell_unsaid;
use super::doors::{BREATH, Door};
use super::hub::Hub;
use super::orders::Order;

/// How long sessions may take to say goodbye once their transfers have ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Stops the server; `now`: without grace for transfers that run.
pub(super) fn stop(doors: &[Door], hub: &Arc<Hub>, now: bool) {
    let server = &hub.shared.settings().config.server;
    let grace = if now { Duration::ZERO } else { server.process.shutdown_grace };
    let until = Instant::now() + grace;
    hub.supervisor.stopping(grace);
    keep_alive(hub);
    hub.shared.stop.soon();
    hub.bell.ring();
    for door in doors.iter().filter(|door| !door.handed) {
        // wakes the thread that accepts on it
        let _ = SockRef::from(&door.listener).shutdown(Shutdown::Both);
    }
    hub.registry.wake_all();
    // orders first: a reader of the log that has stalled holds up words for a moment
    log::info!(">>> shutting down FTP server <<<");
    if !wait_for_transfers(hub, until) {
        hub.shared.stop.now();
        log::info!("ending the transfers that still run");
        hub.pool.wait_idle(FAREWELL);
    }
    if let Some(admin) = hub.admin().as_ref() {
        admin.leave();
    }
    tell_unsaid(hub, true);
    hub.shared.logins.save(true);
    hub.shared.hooks.finish(until.saturating_duration_since(Instant::now()));
    crate::log::retry();
}

/// Says whether all have ended before the time was over, or another order came to stop.
fn wait_for_transfers(hub: &Hub, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if hub.pool.wait_idle(left.min(BREATH)) {
            return true;
        }
        let order = hub.orders.wait(Duration::ZERO);
        let hurry = matches!(order, Some(Order::Stop | Order::StopNow));
        if left.is_zero() || hurry {
            return false;
        }
    }
}

/// While the server stops, which has an end, the watchdog has nothing to watch.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
fn keep_alive(hub: &Arc<Hub>) {
    let Some(beat) = hub.supervisor.beat() else { return };
    let hub = Arc::clone(hub);
    let tell = move || {
        loop {
            hub.supervisor.alive();
            thread::sleep(beat);
        }
    };
    let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(tell);
    if let Err(why) = thread {
        log::warn!("the watchdog hears nothing while the server stops: {why}");
    }
}
