//! What the server must reach while it serves, and nothing else: the homes, its own files, and
//! what the system's libraries read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Source;
use crate::config::{CertificateSource, Config, Confine, KEYS, LogTo, User};
use crate::log::{self as own_log, escaped};
use crate::rights::{self, Ids, Reach, Sandbox};

/// What names of users and hosts, the time zone and the like are read from. Files of these
/// folders are replaced while the server runs, so each folder is let in as a whole.
const SYSTEM: [&str; 14] = [
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/var/lib/sss",
    "/proc/self",
    "/proc/sys/kernel/random",
];

/// What programs of hooks need besides: programs and what they read, folders for the moment, and
/// devices that are none.
const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/opt", "/nix/store", "/proc", "/sys"];
const SCRATCH: [&str; 8] = [
    "/tmp",
    "/var/tmp",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// A folder in which the server writes, who writes there, and what asks for it.
struct Place {
    folder: PathBuf,
    ids: Option<Arc<Ids>>,
    asked: String,
    /// Whether a change of it takes a restart anyway.
    is_fixed: bool,
}

/// Makes the sandbox that the settings ask for, while all is still to be seen.
///
/// # Errors
///
/// In words for the administrator, when it must be and cannot.
pub(super) fn prepare(config: &Config, source: &Source) -> Result<Option<Sandbox>, String> {
    let wanted = config.server.sandbox;
    if wanted == Confine::Off {
        log::info!("sandbox: off");
        return Ok(None);
    }
    let has_hooks = config.hook_workers() > 0;
    if has_hooks && wanted == Confine::Auto {
        log::info!("sandbox: off, or programs of hooks would be in it; see sandbox = require");
        return Ok(None);
    }
    let mut sandbox = match Sandbox::new() {
        Err(why) if wanted == Confine::Require => return Err(format!("sandbox: {why}")),
        Err(why) => {
            log::info!("sandbox: not enforced, {why}");
            return Ok(None);
        }
        Ok(sandbox) => sandbox,
    };
    for Place { folder, ids, asked, .. } in places(config) {
        // one that only its user can see
        let _acting = ids.and_then(|ids| rights::act_as(Some(&ids)).ok());
        let (next, added) = sandbox.allow(&folder, Reach::Change);
        if let Err(why) = added {
            log::warn!("{asked} {} is outside of the sandbox: {why}", folder.display());
        }
        sandbox = next;
    }
    let mut others: Vec<(PathBuf, Reach)> =
        SYSTEM.map(|path| (path.into(), Reach::Read)).into();
    others.push(("/dev/null".into(), Reach::Change));
    // links are followed by way of /proc/self/fd, and what makes sure of it begins above
    others.push(("/proc".into(), Reach::List));
    let settings = source.file.iter().chain(&config.server.users_file);
    let settings = settings.flat_map(|file| whole(file));
    others.extend(settings.map(|folder| (folder, Reach::Read)));
    others.extend(source.tidies.iter().map(|folder| (folder.clone(), Reach::Tidy)));
    others.extend(certificates(config).map(|folder| (folder, Reach::Read)));
    if has_hooks {
        others.extend(PROGRAMS.map(|path| (path.into(), Reach::Run)));
        others.extend(SYSTEM.map(|path| (path.into(), Reach::Run)));
        others.extend(SCRATCH.map(|path| (path.into(), Reach::Change)));
        others.push(("/proc/self/exe".into(), Reach::Run));
        let all = config.users.values().flat_map(|user| user.limits.hooks.all());
        others.extend(all.flat_map(|program| whole(&program.path)).map(|at| (at, Reach::Run)));
    }
    for (path, reach) in others {
        // what is not there on this system is not missed
        (sandbox, _) = sandbox.allow(&path, reach);
    }
    Ok(Some(sandbox))
}

/// Goes in. No other thread may be there yet.
///
/// # Errors
///
/// When it must be, and the kernel does not enforce all of it.
pub(super) fn enter(sandbox: Option<Sandbox>, config: &Config) -> Result<(), String> {
    let Some(sandbox) = sandbox else { return Ok(()) };
    let must = config.server.sandbox == Confine::Require;
    match sandbox.enter() {
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

/// What new settings ask for and the sandbox does not hold.
pub(super) fn outside(config: &Config) -> Vec<String> {
    let is_outside = |place: &Place| {
        let _acting = place.ids.as_ref().and_then(|ids| rights::act_as(Some(ids)).ok());
        !place.is_fixed && !rights::may_change_in_sandbox(&place.folder)
    };
    let outside = places(config).into_iter().filter(is_outside);
    let mut faults: Vec<_> = outside
        .map(|Place { folder, asked, .. }| {
            let folder = folder.display();
            format!("{asked} {folder}: lies outside of the sandbox, so it takes a restart")
        })
        .collect();
    for program in config.users.values().flat_map(|user| user.limits.hooks.all()) {
        if !rights::may_start_in_sandbox(&program.path) {
            let path = program.path.display();
            let why = "cannot be started in the sandbox, so it takes a restart";
            faults.push(format!("program of a hook {path}: {why}"));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Where the server writes.
fn places(config: &Config) -> Vec<Place> {
    let server = &config.server;
    let own = |folder: Option<&Path>, asked: &str| {
        let place = |folder: &Path| Place {
            folder: folder.to_owned(),
            ids: None,
            asked: format!("[server] {asked}"),
            is_fixed: KEYS.iter().any(|key| key.name == asked && key.restarts),
        };
        folder.map(place)
    };
    // a log that is a link is made anew where the link leads; a device is not made anew, and what
    // is open already takes no leave
    let log = |file: &Option<PathBuf>, asked| {
        let is_device = |file: &Path| std::fs::metadata(file).is_ok_and(|meta| !meta.is_file());
        let places = |file: &PathBuf| match file {
            open if own_log::descriptor(open).is_some() => Vec::new(),
            device if is_device(device) => vec![device.clone()],
            file => whole(file),
        };
        let folders = file.iter().flat_map(places).collect::<Vec<_>>();
        folders.into_iter().filter_map(move |folder| own(Some(&folder), asked))
    };
    let log_file = match &server.log_file {
        LogTo::File(file) if server.enable_logging => Some(file.clone()),
        LogTo::File(_) | LogTo::Stderr | LogTo::Syslog(_) => None,
    };
    let socket = server.admin_socket.as_deref().and_then(Path::parent);
    let tls_dir = config.tls.as_ref().filter(|tls| tls.is_auto()).map(|tls| tls.dir.as_path());
    let logs = log(&log_file, "log_file").chain(log(&server.transfer_log, "transfer_log"));
    // the times of logins are kept there too, whoever may upload
    let state = server.state_dir.as_deref();
    let all = [own(state, "state_dir"), own(socket, "admin_socket"), own(tls_dir, "tls_dir")];
    let home = |(name, user): (&String, &Arc<User>)| Place {
        folder: user.home.clone(),
        ids: user.run_as.clone(),
        asked: format!("[user:{}] home", escaped(name.as_bytes())),
        is_fixed: false,
    };
    all.into_iter().flatten().chain(logs).chain(config.users.iter().map(home)).collect()
}

/// Folders of the files of TLS, where they are and where links of their names lead: a renewed
/// file is another one.
fn certificates(config: &Config) -> impl Iterator<Item = PathBuf> + '_ {
    let tls = config.tls.as_ref();
    let files = tls.filter(|tls| matches!(tls.certificate, CertificateSource::File(_)));
    let files = files.map(|tls| <[PathBuf; 2]>::from(tls.files())).into_iter().flatten();
    let all = files.chain(tls.and_then(|tls| tls.client_ca.clone()));
    all.flat_map(|file| whole(&file))
}

/// The folder of a file, and the one that it really lies in.
fn whole(file: &Path) -> Vec<PathBuf> {
    let real = std::fs::canonicalize(file).ok();
    let both = [Some(file), real.as_deref()].into_iter().flatten();
    let own = both.filter_map(Path::parent).map(Path::to_owned);
    // a link of a folder above may be changed as well, as long as it is not one of the system's
    let above = file
        .ancestors()
        .skip(1)
        .filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_symlink()));
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let above = above.flat_map(|path| [Some(path.to_owned()), real(path)]).flatten();
    let above = above.filter_map(|path| path.parent().map(Path::to_owned));
    let deep = |folder: &PathBuf| folder.components().count() > 2;
    own.chain(above.filter(deep)).collect()
}
