//! The settings read again while the server runs.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Hub, confine, pool, root};
use crate::config::{Config, Confine};
use crate::rights;

/// Where the settings come from, and what is started with them outside of the server.
pub struct Source {
    /// Reads and checks them; or says every fault.
    pub load: Box<Load>,
    /// Lets the log go where they say.
    pub start_log: Box<StartLog>,
    /// The file that they stand in.
    pub file: Option<PathBuf>,
    /// A folder in which one is removed at the end.
    pub tidies: Option<PathBuf>,
}

type Load = dyn Fn() -> Result<Config, Vec<String>> + Send + Sync;
type StartLog = dyn Fn(&Config) -> Result<(), String> + Send + Sync;

/// For a file that only the sandbox hides.
const OUTSIDE: &str = "what lies outside of the folders that the settings named at the start is \
                       hidden by the sandbox, and takes a restart";

/// What a reload has changed, for whoever asked for it.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    /// What the settings say that is hardly meant, and what takes a restart.
    pub(super) warnings: Vec<String>,
    /// Sessions of users that are no more.
    pub(super) ended: usize,
}

/// A reload waits so long for the one before it, which is less than who asked for it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who may change the settings, one after the other; and what goes along with it, the number of the
/// threads for programs of hooks.
#[derive(Debug)]
pub(super) struct Turn {
    give: Sender<usize>,
    take: Receiver<usize>,
}

/// One's turn, which ends on drop.
pub(super) struct Held<'a> {
    turn: &'a Turn,
    workers: usize,
}

impl Default for Turn {
    fn default() -> Self {
        let (give, take) = bounded(1);
        let turn = Self { give, take };
        drop(Held { turn: &turn, workers: 0 });
        turn
    }
}

impl Turn {
    /// Waits for it, but not for ever: settings may lie on a disk that does not answer.
    pub(super) fn wait(&self, time: Duration) -> Option<Held<'_>> {
        let workers = self.take.recv_timeout(time).ok()?;
        Some(Held { turn: self, workers })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // there is room, for it was taken out
        let _ = self.turn.give.try_send(self.workers);
    }
}

/// Reloads that nobody waits for: one at a time, and one that follows.
#[derive(Debug, Default)]
pub(super) struct Beside(Mutex<Stage>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Runs,
    /// Another one was asked for since.
    RunsAndFollows,
}

impl Beside {
    /// Whether the one that is asked for is to be started; else one that runs is followed by it.
    fn begin(&self) -> bool {
        let mut stage = self.stage();
        let is_first = *stage == Stage::Idle;
        *stage = if is_first { Stage::Runs } else { Stage::RunsAndFollows };
        is_first
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reload that nobody waits for; over on drop.
struct Running<'a>(&'a Beside);

impl Running<'_> {
    /// Whether another one follows.
    fn goes_on(&mut self) -> bool {
        let mut stage = self.0.stage();
        let follows = *stage == Stage::RunsAndFollows;
        *stage = if follows { Stage::Runs } else { Stage::Idle };
        follows
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut stage = self.0.stage();
        // one that ended by itself is idle, and may have been followed by another thread's
        if std::thread::panicking() || *stage == Stage::Runs {
            *stage = Stage::Idle;
        }
    }
}

impl Hub {
    /// Takes new settings over. With a fault nothing changes. The log hears what came of it.
    pub(super) fn reload(hub: &Arc<Self>) -> Result<Reloaded, Vec<String>> {
        // one after the other, so that the supervisor hears of them one after the other
        let Some(mut turn) = hub.turn.wait(PATIENCE) else {
            let time = PATIENCE.as_secs();
            let why = format!("the reload before this one has not ended within {time} s");
            log::error!("{why}; settings not reloaded");
            return Err(vec![why]);
        };
        hub.supervisor.reloading();
        let done = Self::take_over(hub, &mut turn);
        hub.supervisor.ready();
        match &done {
            Ok(reloaded) => {
                for warning in &reloaded.warnings {
                    log::warn!("{warning}");
                }
                let ended = reloaded.ended;
                log::info!(
                    "settings reloaded; sessions of removed users that were ended: {ended}"
                );
            }
            Err(faults) => {
                for fault in faults {
                    log::error!("{fault}");
                }
                log::error!("settings not reloaded; those from before hold");
            }
        }
        done
    }

    /// The same in a thread of its own, for whoever has other things to do: settings may lie on a
    /// disk that does not answer. One that is asked for while another one runs follows it, and
    /// stands for all that are asked for until then.
    #[expect(clippy::disallowed_methods, reason = "this thread is started here")]
    pub(super) fn reload_beside(hub: &Arc<Self>) {
        if !hub.beside.begin() {
            return;
        }
        let own = Arc::clone(hub);
        let work = move || {
            let mut running = Running(&own.beside);
            loop {
                // told the log already
                drop(Self::reload(&own));
                if !running.goes_on() {
                    return;
                }
            }
        };
        if let Err(why) = thread::Builder::new().name("reload".to_owned()).spawn(work) {
            drop(Running(&hub.beside));
            log::error!("cannot start a thread: {why}; settings not reloaded");
        }
    }

    fn take_over(hub: &Arc<Self>, turn: &mut Held<'_>) -> Result<Reloaded, Vec<String>> {
        let one = |why: String| vec![why];
        let own = Arc::clone(hub);
        let loaded = rights::look_up(move || (own.source.load)());
        let nobody = || Err(vec!["nobody reads the settings any more".to_owned()]);
        let config = loaded.unwrap_or_else(nobody).map_err(|mut faults| {
            let denied = faults.iter().any(|fault| fault.contains("Permission denied"));
            if denied && hub.started.server.sandbox != Confine::Off {
                faults.push(OUTSIDE.to_owned());
            }
            faults
        })?;
        let config = Arc::new(config);
        let old = hub.shared.settings();
        let mut faults = root::missing_rights(&config);
        let (outside, refused) = confine::outside(&config, &old.config);
        faults.extend(outside);
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut warnings = config.warnings.clone();
        warnings.extend(confine::late_homes(&config));
        warnings.extend(refused);
        for key in config.restart_keys(&hub.started) {
            warnings.push(format!("{key} has changed, which takes a restart"));
        }
        let settings = hub.shared.prepare(Arc::clone(&config)).map_err(one)?;
        (hub.source.start_log)(&config).map_err(one)?;
        hub.shared.renew(settings);
        if let Err(why) = Self::start_hook_workers(hub, turn, config.hook_workers()) {
            warnings.push(format!("cannot start a thread for programs: {why}"));
        }
        if let Err(why) = Self::start_password_workers(hub, config.password_workers()) {
            warnings.push(format!("cannot start a thread for passwords: {why}"));
        }
        let removed = old.config.users.keys().filter(|name| config.removes(&old.config, name));
        let end = |name: &String| {
            hub.registry.end(|live| live.is_user(name), "The user has been removed")
        };
        Ok(Reloaded { warnings, ended: removed.map(end).sum() })
    }

    /// Sees to it that there are so many threads for programs of hooks.
    #[expect(clippy::disallowed_methods, reason = "these threads are started here")]
    pub(super) fn start_hook_workers(
        hub: &Arc<Self>,
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

    /// The same for hashed passwords.
    #[expect(clippy::disallowed_methods, reason = "these threads are started here")]
    pub(super) fn start_password_workers(hub: &Arc<Self>, count: usize) -> io::Result<()> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_s_alone_and_waited_for_no_longer_than_that() {
        let turn = Turn::default();
        let mut held = turn.wait(Duration::ZERO).unwrap();
        held.workers = 3;
        assert!(turn.wait(Duration::from_millis(1)).is_none());
        drop(held);
        assert_eq!(turn.wait(Duration::ZERO).unwrap().workers, 3);
    }
}
