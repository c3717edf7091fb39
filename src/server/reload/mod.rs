//! Reading the settings again while the server runs.

pub(super) mod turn;

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::admin::protocol::Reloaded;
use super::hub::Hub;
use super::{confine, homes, keep, root, trash, workers};
use crate::config::{Config, Confine};
use crate::control::Live;
use crate::rights;
use turn::{Held, Running};

/// Text that is appended to a fault that the sandbox may have caused.
const OUTSIDE: &str = "files outside of the directories that the settings named at the start are \
                       hidden by the sandbox; restart the server to use them";

/// How long a reload waits for the previous one. `ftpd reload` waits longer for its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the settings, applies them and logs the result. If they have a fault, nothing changes.
pub(super) fn reload(hub: &Arc<Hub>) -> Result<Reloaded, Vec<String>> {
    // one at a time, so that the messages to the supervisor are in order
    let Some(mut turn) = hub.turn.wait(PATIENCE) else {
        let time = PATIENCE.as_secs();
        let why = format!("the previous reload has not ended within {time} s");
        log::error!("{why}; settings not reloaded");
        return Err(vec![why]);
    };
    hub.supervisor.reloading();
    let done = take_over(hub, &mut turn);
    hub.supervisor.ready();
    match &done {
        Ok(reloaded) => {
            for warning in &reloaded.warnings {
                log::warn!("{warning}");
            }
            let ended = reloaded.ended;
            log::info!("settings reloaded; sessions of removed users ended: {ended}");
        }
        Err(faults) => {
            for fault in faults {
                log::error!("{fault}");
            }
            log::error!("settings not reloaded; the previous ones stay in effect");
        }
    }
    done
}

/// Reloads in a thread of its own, because the disk with the settings may not answer. If a
/// reload is already running, one more follows it, however often this is called in the
/// meantime.
#[expect(clippy::disallowed_methods, reason = "this thread is started here")]
pub(super) fn reload_beside(hub: &Arc<Hub>) {
    if !hub.beside.claim() {
        return;
    }
    let own = Arc::clone(hub);
    let work = move || {
        let mut running = Running::of(&own.beside);
        loop {
            // the result is in the log
            drop(reload(&own));
            if !running.goes_on() {
                return;
            }
        }
    };
    if let Err(why) = thread::Builder::new().name("reload".to_owned()).spawn(work) {
        drop(Running::of(&hub.beside));
        log::error!("cannot start a thread: {why}; settings not reloaded");
    }
}

/// Reads and applies the settings, or returns all faults.
fn take_over(hub: &Arc<Hub>, turn: &mut Held<'_>) -> Result<Reloaded, Vec<String>> {
    let one = |why: String| vec![why];
    let own = Arc::clone(hub);
    let loaded = rights::look_up(move || (own.source.load)());
    let nobody = || Err(vec!["the thread that reads the settings has ended".to_owned()]);
    let config = loaded.unwrap_or_else(nobody).map_err(|mut faults| {
        let denied = faults.iter().any(|fault| fault.contains("Permission denied"));
        if denied && hub.started.server.process.sandbox != Confine::Off {
            faults.push(OUTSIDE.to_owned());
        }
        faults
    })?;
    let config = Arc::new(config);
    let old = hub.shared.settings();
    let mut faults = root::missing_rights(&config);
    let (unusable, lost) = root::quarantines(&config, &old.config);
    faults.extend(unusable);
    let (outside, refused) = confine::outside(&config, &old.config);
    faults.extend(outside);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut warnings = config.warnings.clone();
    warnings.extend(homes::warnings(&config));
    warnings.extend(refused);
    warnings.extend(lost);
    for key in config.restart_keys(&hub.started) {
        warnings.push(format!("{key} has changed; restart the server to apply it"));
    }
    let settings = hub.shared.prepare(Arc::clone(&config)).map_err(one)?;
    let mut programs = hub.shared.launcher.renew(&config).map_err(one)?;
    warnings.extend(programs.warning.take());
    (hub.source.start_log)(&config).map_err(one)?;
    // before any session can cause an event of the new settings
    programs.commit();
    hub.shared.renew(settings);
    // the main thread looks at the new settings as well
    hub.orders.nudge();
    warnings.extend(start_threads(hub, turn, &config));
    Ok(Reloaded { warnings, ended: end_removed(hub, &config, &old.config) })
}

/// Starts the threads that the settings need and that do not run yet. Returns warnings.
fn start_threads(hub: &Arc<Hub>, turn: &mut Held<'_>, config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Err(why) = workers::start_for_hooks(hub, turn, config.hook_workers()) {
        warnings.push(format!("cannot start a thread for programs: {why}"));
    }
    if let Err(why) = workers::start_for_passwords(hub, config.password_workers()) {
        warnings.push(format!("cannot start a thread for passwords: {why}"));
    }
    if let Err(why) = trash::start(hub) {
        warnings.push(format!("cannot start a thread for the trash: {why}"));
    }
    if let Err(why) = keep::start(hub) {
        warnings.push(format!("cannot start a thread for retention: {why}"));
    }
    if let Err(why) = workers::start_for_quotas(hub) {
        warnings.push(format!("cannot start a thread for quotas: {why}"));
    }
    if let Err(why) = workers::start_for_events(hub) {
        warnings.push(format!("cannot start a thread for events: {why}"));
    }
    warnings
}

/// Ends the sessions of users who are no longer the same users, and returns their number: those that were
/// removed, and those that the old settings did not have and the new ones do, or do not ask about any more.
fn end_removed(hub: &Hub, config: &Config, old: &Config) -> usize {
    let known = config.users.keys().chain(old.users.keys());
    let removed: HashSet<_> = known.filter(|name| config.removes(old, name)).collect();
    let asks = config.server.elsewhere.is_on();
    let is_removed = |live: &Live| {
        live.user().is_some_and(|name| {
            removed.contains(&name) || !asks && !config.users.contains_key(&name)
        })
    };
    hub.registry.end(is_removed, "The user has been removed")
}
