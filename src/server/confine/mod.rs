//! The sandbox: the server can reach the homes and its own files, and nothing else. Settings,
//! keys and the files for name lookups are read by other threads in a second sandbox, which
//! cannot change anything. Programs are started by a process outside of both (see
//! [`crate::launch`]).

mod late;
mod paths;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;

use super::source::SettingsSource;
use crate::config::{Config, Confine};
use crate::rights::{self, Reach, Sandbox};
use paths::{LOOKUPS, SYSTEM, Writable, certificates, whole, writable};

pub(super) use late::{late_homes, late_mounts, late_mounts_of_start};

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
    let (serving, lookups) = match both() {
        Ok(sandboxes) => sandboxes,
        Err(why) if wanted == Confine::Require => return Err(format!("sandbox: {why}")),
        Err(why) => {
            log::warn!("sandbox: not enforced, {why}");
            return Ok(None);
        }
    };
    let serving = allow_writable(serving, config);
    let serving = allow(serving, for_all(source), "all threads");
    let settings = source.file.iter().chain(&config.server.storage.users_file);
    let settings = settings.chain(config.password_files());
    let settings = settings.flat_map(|file| whole(file)).chain(certificates(config));
    let aside = LOOKUPS.into_iter().map(PathBuf::from).chain(settings);
    let aside = aside.map(|path| (path, Reach::Read));
    let lookups = allow(lookups, aside, "the thread for settings, keys and names");
    Ok(Some(Sandboxes { serving, lookups }))
}

/// Returns empty sandboxes: that of the threads that serve clients, and that of the thread for
/// lookups.
fn both() -> Result<(Sandbox, Sandbox), String> {
    Ok((Sandbox::new()?, Sandbox::new()?))
}

/// Allows changes in the directories of the server and in the homes.
fn allow_writable(mut sandbox: Sandbox, config: &Config) -> Sandbox {
    for Writable { folder, ids, asked, is_home, is_mount, .. } in writable(config) {
        // perhaps only the user under which the server writes can see the directory
        let _acting = ids.and_then(|ids| rights::act_as(Some(&ids)).ok());
        let folder = if (is_home || is_mount) && late::is_missing(&folder) {
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
fn for_all(source: &SettingsSource) -> Vec<(PathBuf, Reach)> {
    let mut paths: Vec<(PathBuf, Reach)> = SYSTEM.map(|path| (path.into(), Reach::Read)).into();
    paths.push(("/dev/null".into(), Reach::Change));
    // paths are looked up through /proc/self/fd, and the sandbox checks the way there from
    // /proc on
    paths.push(("/proc".into(), Reach::List));
    paths.extend(source.tidies.iter().map(|folder| (folder.clone(), Reach::Tidy)));
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
        if added.is_ok() && reach == Reach::Read {
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
    let known = old.users.values().flat_map(|user| {
        let mounts = user.mounts().map(|(_, from)| from.as_path());
        mounts.chain([user.home.as_path()])
    });
    let known: HashSet<_> = known.collect();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    for Writable { folder, asked, is_home, is_mount, .. } in
        writable(config).into_iter().filter(is_outside)
    {
        let shown = folder.display();
        let what =
            format!("{asked} {shown}: is outside of the sandbox; restart the server to use it");
        if is_home && known.contains(folder.as_path()) {
            warnings.push(what + "; until then logins are refused");
        } else if is_mount && known.contains(folder.as_path()) {
            warnings.push(what + "; until then clients do not see it");
        } else {
            faults.push(what);
        }
    }
    warnings.sort();
    faults.sort();
    faults.dedup();
    (faults, warnings)
}
