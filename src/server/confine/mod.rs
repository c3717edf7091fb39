//! The sandbox: the server can reach the homes and its own files, and nothing else. Settings,
//! keys and the files for name lookups are read by other threads in a second sandbox, which
//! cannot change anything.

mod late;
mod paths;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;

use super::source::SettingsSource;
use crate::config::{Config, Confine};
use crate::rights::{self, Reach, Sandbox};
use paths::{LOOKUPS, PROGRAMS, SCRATCH, SYSTEM, Writable, certificates, whole, writable};

pub(super) use late::late_homes;

/// The sandbox of the threads that serve clients, and the sandbox of the threads that read
/// settings, keys and names.
pub(super) struct Sandboxes {
    serving: Sandbox,
    lookups: Sandbox,
}

/// Prepares the sandboxes that the settings ask for. All paths must still be accessible.
///
/// # Errors
///
/// If the sandbox is required and cannot be made; the error is a message for the administrator.
pub(super) fn prepare(
    config: &Config,
    source: &SettingsSource,
) -> Result<Option<Sandboxes>, String> {
    let wanted = config.server.process.sandbox;
    if wanted == Confine::Off {
        log::info!("sandbox: off");
        return Ok(None);
    }
    let has_hooks = config.hook_workers() > 0;
    if has_hooks && wanted == Confine::Auto {
        log::info!(
            "sandbox: off, because programs of hooks would be confined too; see sandbox = require"
        );
        return Ok(None);
    }
    let (serving, lookups) = match both(has_hooks) {
        Ok(sandboxes) => sandboxes,
        Err(why) if wanted == Confine::Require => return Err(format!("sandbox: {why}")),
        Err(why) => {
            log::warn!("sandbox: not enforced, {why}");
            return Ok(None);
        }
    };
    let serving = allow_writable(serving, config);
    let serving = allow(serving, for_all(config, source, has_hooks), "all threads");
    let settings = source.file.iter().chain(&config.server.storage.users_file);
    let settings = settings.chain(config.password_files());
    let settings = settings.flat_map(|file| whole(file)).chain(certificates(config));
    let aside = LOOKUPS.into_iter().map(PathBuf::from).chain(settings);
    let aside = aside.map(|path| (path, Reach::Read));
    let lookups = allow(lookups, aside, "the thread for settings, keys and names");
    Ok(Some(Sandboxes { serving, lookups }))
}

/// Returns empty sandboxes: that of the threads that serve clients, in which programs of hooks
/// may be started, and that of the thread for lookups.
fn both(has_hooks: bool) -> Result<(Sandbox, Sandbox), String> {
    Ok((Sandbox::new(has_hooks)?, Sandbox::new(false)?))
}

/// Allows changes in the directories of the server and in the homes.
fn allow_writable(mut sandbox: Sandbox, config: &Config) -> Sandbox {
    for Writable { folder, ids, asked, is_home, .. } in writable(config) {
        // perhaps only the user under which the server writes can see the directory
        let _acting = ids.and_then(|ids| rights::act_as(Some(&ids)).ok());
        let folder = if is_home && late::is_missing(&folder) {
            // late_homes() warns of it
            let Some(above) = late::above(&folder) else { continue };
            above
        } else {
            folder
        };
        let added;
        (sandbox, added) = sandbox.allow(&folder, Reach::Change);
        log::debug!("the sandbox lets all threads change {asked} {}", folder.display());
        if let Err(why) = added {
            log::warn!("{asked} {} is outside of the sandbox: {why}", folder.display());
        }
    }
    sandbox
}

/// Returns the paths that all threads need, other than those that they write to.
fn for_all(config: &Config, source: &SettingsSource, has_hooks: bool) -> Vec<(PathBuf, Reach)> {
    let mut paths: Vec<(PathBuf, Reach)> = SYSTEM.map(|path| (path.into(), Reach::Read)).into();
    paths.push(("/dev/null".into(), Reach::Change));
    // paths are looked up through /proc/self/fd, and the sandbox checks the way there from
    // /proc on
    paths.push(("/proc".into(), Reach::List));
    paths.extend(source.tidies.iter().map(|folder| (folder.clone(), Reach::Tidy)));
    if has_hooks {
        paths.extend(PROGRAMS.map(|path| (path.into(), Reach::Run)));
        paths.extend(LOOKUPS.map(|path| (path.into(), Reach::Run)));
        paths.extend(SCRATCH.map(|path| (path.into(), Reach::Change)));
        paths.push(("/proc/self/exe".into(), Reach::Run));
        let all = config.users.values().flat_map(|user| user.rules.hooks.all());
        paths.extend(all.flat_map(|program| whole(&program.path)).map(|at| (at, Reach::Run)));
    }
    paths
}

/// Allows paths, and logs that the sandbox lets `who` read them. Paths that do not exist on
/// this system are skipped.
fn allow(
    mut sandbox: Sandbox,
    paths: impl IntoIterator<Item = (PathBuf, Reach)>,
    who: &str,
) -> Sandbox {
    let mut read = BTreeSet::new();
    for (path, reach) in paths {
        let added;
        (sandbox, added) = sandbox.allow(&path, reach);
        if added.is_ok() && matches!(reach, Reach::Read | Reach::Run) {
            read.insert(path.display().to_string());
        }
    }
    let read: Vec<_> = read.into_iter().collect();
    log::info!("the sandbox lets {who} read {}", read.join(", "));
    sandbox
}

/// Starts the thread that reads settings, keys and names. It enters its sandbox first.
#[expect(clippy::disallowed_methods, reason = "these threads are started here")]
fn start_lookups(sandbox: Sandbox) -> Result<(), String> {
    let lookups = rights::take_lookups().map_err(|why| why.to_string())?;
    let entered = Arc::new(OnceLock::new());
    let place = Arc::clone(&entered);
    let (give, done) = std::sync::mpsc::sync_channel::<()>(0);
    let builder = || thread::Builder::new().name("lookups".to_owned());
    let work = move || {
        // the lookups are also needed without a sandbox
        let entered = sandbox.enter_aside();
        // what it may read it must not be able to read as another user
        let dropped = rights::drop_capabilities().map_err(|why| why.to_string());
        let _ = place.set(entered.and(dropped));
        drop(give);
        for lookup in lookups {
            // each lookup has a thread of its own, because it may be slow or need another
            // lookup
            if let Err(why) = builder().spawn(lookup) {
                log::error!("cannot start a thread to look something up: {why}");
            }
        }
    };
    builder().spawn(work).map_err(|why| rights::thread_fault(&why))?;
    // fails in any case: the sender is dropped
    let _ = done.recv();
    entered.get().cloned().unwrap_or_else(|| Err("the thread for lookups has ended".to_owned()))
}

/// Enters the sandbox, and starts the thread for lookups. No other thread may run yet.
///
/// # Errors
///
/// If the sandbox is required and the kernel does not enforce all of it.
pub(super) fn enter(sandboxes: Option<Sandboxes>, config: &Config) -> Result<(), String> {
    let Some(Sandboxes { serving, lookups }) = sandboxes else { return Ok(()) };
    let must = config.server.process.sandbox == Confine::Require;
    match start_lookups(lookups).and_then(|()| serving.enter()) {
        Ok(enforced) if must && !enforced.fully => Err(format!("sandbox: only {enforced}")),
        Ok(enforced) => {
            log::info!("sandbox: {enforced}");
            Ok(())
        }
        Err(why) if must => Err(format!("sandbox: {why}")),
        Err(why) => {
            log::warn!("sandbox: not enforced, {why}");
            Ok(())
        }
    }
}

/// Checks new settings for paths outside of the sandbox: returns faults, and warnings for homes
/// that the old settings had as well. Such a home was made or mounted after the start. Its
/// users cannot log in, but that must not prevent other changes.
pub(super) fn outside(config: &Config, old: &Config) -> (Vec<String>, Vec<String>) {
    let is_outside = |place: &Writable| {
        let _acting = place.ids.as_ref().and_then(|ids| rights::act_as(Some(ids)).ok());
        !place.is_fixed && !rights::may_change_in_sandbox(&place.folder)
    };
    let known: HashSet<_> = old.users.values().map(|user| user.home.as_path()).collect();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    for Writable { folder, asked, is_home, .. } in
        writable(config).into_iter().filter(is_outside)
    {
        let shown = folder.display();
        let what =
            format!("{asked} {shown}: is outside of the sandbox; restart the server to use it");
        if is_home && known.contains(folder.as_path()) {
            warnings.push(what + "; until then logins are refused");
        } else {
            faults.push(what);
        }
    }
    warnings.sort();
    for program in config.users.values().flat_map(|user| user.rules.hooks.all()) {
        if !rights::may_start_in_sandbox(&program.path) {
            let path = program.path.display();
            let why = "cannot be started in the sandbox; restart the server to use it";
            faults.push(format!("program of a hook {path}: {why}"));
        }
    }
    faults.sort();
    faults.dedup();
    (faults, warnings)
}
