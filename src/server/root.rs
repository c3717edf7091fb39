//! Gives up root once everything that only root can open is open, and warns about what the user
//! of the server will be unable to do later.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::source::SettingsSource;
use crate::config::{Config, LogTo, PortRange, User};
use crate::log::escaped;
use crate::rights::{self, Ids, Keep};

/// Binding a port below this one needs a capability.
const LOW: u16 = 1024;

/// Makes the directories of `state_dir`, `admin_socket` and quarantines if they do not exist, and gives them
/// to the user of the server.
pub(super) fn make_folders(config: &Config) {
    let server = &config.server;
    let socket = server.admin.socket.as_deref().and_then(Path::parent);
    let own = [server.storage.state_dir.as_deref(), socket].into_iter().flatten();
    for folder in own.chain(config.quarantines().into_iter().map(PathBuf::as_path)) {
        // an error is reported when the directory is used
        let _ = rights::make_folder(folder, server.process.user.as_ref());
    }
}

/// Makes quarantines of new settings that do not exist yet, and returns faults of those that cannot be used.
/// A quarantine that the old settings have as well may be lost, which must not prevent other changes: for it,
/// returns a warning.
pub(super) fn quarantines(config: &Config, old: &Config) -> (Vec<String>, Vec<String>) {
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let known = old.quarantines();
    for folder in config.quarantines() {
        let Err(why) = make_quarantine(config, folder) else { continue };
        let fault = format!("[server] quarantine {}: {why}", folder.display());
        if known.contains(folder) {
            warnings.push(format!("{fault}; what is refused is not kept meanwhile"));
        } else {
            faults.push(fault);
        }
    }
    (faults, warnings)
}

fn make_quarantine(config: &Config, folder: &Path) -> Result<(), String> {
    if !folder.is_dir() {
        let made = rights::make_folder(folder, None);
        made.map_err(|why| format!("cannot be made: {why}; restart the server to use it"))?;
    }
    check_quarantine(config, folder)
}

/// Checks that clients do not see a quarantine, wherever its path leads now.
fn check_quarantine(config: &Config, folder: &Path) -> Result<(), String> {
    // one that is missing is checked when it is used
    let why =
        std::fs::canonicalize(folder).ok().and_then(|real| config.why_no_quarantine(&real));
    why.map_or(Ok(()), Err)
}

/// Returns the first fault of a quarantine at the start.
pub(super) fn check_quarantines(config: &Config) -> Result<(), String> {
    let check = |folder: &PathBuf| {
        let checked = check_quarantine(config, folder);
        checked.map_err(|why| format!("[server] quarantine {}: {why}", folder.display()))
    };
    config.quarantines().into_iter().try_for_each(check)
}

/// Switches to the user that the settings name, if they name one, and hides the memory of the
/// server from its user's other programs.
pub(super) fn give_up(config: &Config, source: &SettingsSource) -> Result<(), String> {
    match &config.server.process.user {
        Some(ids) => switch_to(ids, config, source)?,
        None => stay_root(config)?,
    }
    rights::hide_memory().map_err(|why| format!("cannot hide the server's memory: {why}"))
}

fn switch_to(ids: &Ids, config: &Config, source: &SettingsSource) -> Result<(), String> {
    let was_root = rights::is_root();
    rights::give_up(ids, keep(config))
        .map_err(|why| format!("{}: cannot give up root: {why}", ids.place))?;
    let Ids { name, uid, gid, .. } = ids;
    if was_root {
        log::info!("root given up for user {name} (uid {uid}, gid {gid})");
        for warning in warnings(config, ids, source) {
            log::warn!("{warning}");
        }
    } else {
        log::info!("running as user {name} (uid {uid}, gid {gid})");
    }
    Ok(())
}

/// Gives up the capabilities that are not needed, if the server keeps running as root.
fn stay_root(config: &Config) -> Result<(), String> {
    if !rights::is_root() {
        return Ok(());
    }
    let users = config.users.values();
    let hooks = |user: &User| user.run_as.is_none() && user.starts_programs();
    let programs =
        config.server.elsewhere.program.is_some() || users.clone().any(|user| hooks(user));
    let kept = rights::shed(keep(config), programs)
        .map_err(|why| format!("cannot give up capabilities: {why}"))?;
    let programs = if programs { "; programs keep all that root has" } else { "" };
    log::info!("capabilities: {}{programs}", kept.join(", "));
    Ok(())
}

/// Returns a fault for each user in `run_as` whose rights no thread of this server can take on.
pub(super) fn missing_rights(config: &Config) -> Vec<String> {
    let acting = config.acting().filter(|_| !rights::can_act());
    let fault = |ids: &Arc<Ids>| {
        let why = "requires a restart of the server as root with this run_as in its settings";
        format!("{}: '{}' {why}", ids.place, escaped(ids.name.as_bytes()))
    };
    let mut faults: Vec<_> = acting.map(fault).collect();
    if config.acts_for_answers() && !rights::can_act() {
        let why = "requires a restart of the server as root with this key in its settings";
        faults.push(format!("[server] auth_run_as: {why}"));
    }
    faults.sort();
    faults
}

/// Warns of hook programs that run as the user in `run_as`, if that user cannot start them.
pub(super) fn warn_of_hooks(config: &Config) {
    let mut warnings = Vec::new();
    for (name, user) in &config.users {
        let Some(ids) = &user.run_as else { continue };
        let Ok(_acting) = rights::act_as(Some(ids)) else { continue };
        let hooks = user.rules.hooks.by_occasion();
        let hooks =
            hooks.map(|(occasion, program)| (format!("on_{}", occasion.name()), program));
        let judges = user.gates().filter_map(|gate| gate.program.as_deref());
        let judges = judges.map(|program| ("before_publish".to_owned(), program));
        for (key, program) in hooks.chain(judges) {
            if !may(&program.path, Access::EXEC_OK) {
                let user = escaped(name.as_bytes());
                let (path, uid) = (program.path.display(), ids.uid);
                let why =
                    format!("uid {uid} cannot start it, but it runs as that user (run_as)");
                warnings.push(format!("[user:{user}] {key} {path}: {why}"));
            }
        }
    }
    warnings.sort();
    warnings.dedup();
    for warning in warnings {
        log::warn!("{warning}");
    }
}

/// Returns the capabilities that the server needs after it has given up root.
fn keep(config: &Config) -> Keep {
    let server = &config.server;
    let PortRange { first, .. } = server.passive.ports;
    let low_ports = (1..LOW).contains(&server.data.active_port) || first < LOW;
    let acting = config.may_act();
    // an answer may ask for any home to be made
    let ownership = config.acts_for_answers()
        || config
            .users
            .values()
            .any(|user| user.rules.files.create_home && user.run_as.is_some());
    Keep { low_ports, acting, ownership }
}

/// Returns warnings about what the user of the server will be unable to do.
fn warnings(config: &Config, ids: &Ids, source: &SettingsSource) -> Vec<String> {
    let Config { server, tls, .. } = config;
    let mut warnings = Vec::new();
    for fault in (source.load)().err().into_iter().flatten() {
        warnings.push(format!("user {} cannot reload the settings: {fault}", ids.name));
    }
    let log = match &server.log.to {
        LogTo::File(file) => Some(file),
        LogTo::Stderr | LogTo::Syslog(_) => None,
    };
    let logs = [("log_file", log), ("transfer_log", server.log.transfers.as_ref())];
    for (key, file) in logs {
        let Some(file) = file.filter(|file| crate::log::descriptor(file).is_none()) else {
            continue;
        };
        let folder = file.parent().unwrap_or(file);
        let why = if !may(file, Access::WRITE_OK) {
            "write to it when it is opened again"
        } else if !may(folder, Access::WRITE_OK | Access::EXEC_OK) {
            "make it again after it is moved away; the program that moves it should make a new one for that user"
        } else {
            continue;
        };
        warnings.push(format!("{key} {}: user {} cannot {why}", file.display(), ids.name));
    }
    if let Some(tls) = tls.as_ref().filter(|tls| tls.is_auto())
        && !may(&tls.dir, Access::WRITE_OK | Access::EXEC_OK)
    {
        let dir = tls.dir.display();
        warnings.push(format!("tls_dir {dir}: user {} cannot renew the certificate", ids.name));
    }
    warnings
}

fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}
