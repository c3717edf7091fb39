//! Stopping the server: transfers may continue for the grace period, and everything else ends. If the
//! server is drained first, sessions go on for that period, without new clients.

use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::admin::protocol;
use super::admit::tell_unsaid;
use super::doors::{BREATH, Door, MOMENT};
use super::hub::Hub;
use super::introduce;
use super::orders::Order;
use super::reload;
use super::watch::Watch;

/// How long sessions may take to end once their transfers have ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Stops the server; with [`Order::StopNow`], without a grace period for running transfers.
pub(super) fn stop(doors: &[Door], hub: &Arc<Hub>, order: Order, watch: &Watch) {
    let server = &hub.shared.settings().config.server;
    let now = order == Order::StopNow;
    let grace = if now { Duration::ZERO } else { server.process.shutdown_grace };
    let mut until = Instant::now() + grace;
    hub.supervisor.stopping(grace);
    keep_alive(hub);
    if order == Order::Drain {
        hub.shared.stop.drain();
        close(doors, hub);
        if drain(hub, until, watch) == Order::StopNow {
            until = Instant::now();
        }
    }
    hub.shared.stop.soon();
    close(doors, hub);
    introduce::close(hub);
    hub.registry.wake_all();
    // logged after the sessions were told to end, because writing to the log may block for a
    // moment
    log::info!(">>> shutting down FTP server <<<");
    let mut is_over = wait_for_transfers(hub, until);
    if !is_over {
        hub.shared.stop.now();
        log::info!("ending the transfers that are still running");
        is_over = hub.pool.wait_idle(FAREWELL);
    }
    hub.shared.quotas.close(is_over);
    if let Some(admin) = hub.admin().as_ref() {
        admin.leave();
    }
    tell_unsaid(hub, true);
    hub.shared.logins.save(true);
    hub.shared.silence.last.save(true);
    hub.shared.events.finish(until.saturating_duration_since(Instant::now()));
    crate::log::retry();
    let stopped = protocol::done(&protocol::Stopped { stopped: true });
    hub.farewell.tell(&format!("{}\n", crate::log::json(&stopped)));
}

/// Ends the threads that accept clients.
fn close(doors: &[Door], hub: &Hub) {
    hub.bell.ring();
    for door in doors.iter().filter(|door| !door.handed) {
        // this wakes the thread that accepts clients on the socket
        let _ = SockRef::from(&door.listener).shutdown(Shutdown::Both);
    }
}

/// Waits until all sessions have ended, until a point in time, or until another order to stop. Returns
/// how to stop then. An order to reload is carried out, because sessions may go on for long.
fn drain(hub: &Arc<Hub>, until: Instant, watch: &Watch) -> Order {
    let (sessions, _) = hub.registry.count();
    log::info!("no more clients are accepted; {sessions} sessions may go on");
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let is_idle = hub.pool.wait_idle(left.min(BREATH));
        // until then, a client may have been accepted that is no session yet
        if !watch.is_over() {
            thread::sleep(MOMENT);
        } else if !hub.lobby.is_empty() {
            // the session of a client that a balancer has not named yet
            thread::sleep(if is_idle { BREATH } else { Duration::ZERO });
        } else if is_idle && hub.pool.wait_idle(Duration::ZERO) {
            return Order::Stop;
        }
        match hub.orders.wait(Some(Duration::ZERO)) {
            Some(order @ (Order::Stop | Order::StopNow)) => return order,
            Some(Order::Reload) => reload::reload_beside(hub),
            Some(Order::Drain) | None => {}
        }
        if left.is_zero() {
            return Order::StopNow;
        }
    }
}

/// Waits for running transfers until a point in time, or until a second order to stop. Returns
/// whether all have ended.
fn wait_for_transfers(hub: &Hub, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if hub.pool.wait_idle(left.min(BREATH)) {
            return true;
        }
        let order = hub.orders.wait(Some(Duration::ZERO));
        let hurry = matches!(order, Some(Order::Stop | Order::StopNow));
        if left.is_zero() || hurry {
            return false;
        }
    }
}

/// Sends messages to the watchdog while the server stops, so that it does not intervene. The
/// time for stopping is limited anyway.
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
        log::warn!("no messages to the watchdog while the server stops: {why}");
    }
}
