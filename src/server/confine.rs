//! What the server must reach while it serves, and nothing else: the homes and its own files. What
//! the system's libraries read to look names up, the settings and the keys are read by threads of
//! their own, in another sandbox, which can read that and change nothing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::Source;
use crate::config::{CertificateSource, Config, Confine, Fault, KEYS, LogTo, User};
use crate::log::{self as own_log, escaped};
use crate::rights::{self, Ids, Reach, Sandbox};

/// What names of users and hosts are looked up in, aside from what serves clients. Files of these
/// folders are replaced while the server runs, so each folder is let in as a whole.
const LOOKUPS: [&str; 13] = [
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
];

/// What all threads read: the time zone, for the logs, and what tells one boot from another.
const SYSTEM: [&str; 4] =
    ["/etc/localtime", "/usr/share/zoneinfo", "/proc/self", "/proc/sys/kernel/random"];

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
    /// Whether it is the home of a user, which may be missing until its disk is mounted.
    is_home: bool,
}

/// Number of homes that do not exist of which each has a warning of its own. A disk that is late
/// may have thousands.
const MOST_LATE: usize = 20;

/// The sandbox of the threads that serve, and of the one that looks things up for them.
pub(super) struct Sandboxes {
    serving: Sandbox,
    lookups: Sandbox,
}

/// Makes the sandbox that the settings ask for, while all is still to be seen.
///
/// # Errors
///
/// In words for the administrator, when it must be and cannot.
pub(super) fn prepare(config: &Config, source: &Source) -> Result<Option<Sandboxes>, String> {
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
    let sandboxes = Sandbox::new().and_then(|one| Ok((one, Sandbox::new()?)));
    let (mut sandbox, lookups) = match sandboxes {
        Err(why) if wanted == Confine::Require => return Err(format!("sandbox: {why}")),
        Err(why) => {
            log::warn!("sandbox: not enforced, {why}");
            return Ok(None);
        }
        Ok(sandboxes) => sandboxes,
    };
    for Place { folder, ids, asked, is_home, .. } in places(config) {
        // one that only its user can see
        let _acting = ids.and_then(|ids| rights::act_as(Some(&ids)).ok());
        let folder = if is_home && is_missing(&folder) {
            // late_homes() says what that means
            let Some(above) = above_late(&folder) else { continue };
            above
        } else {
            folder
        };
        let (next, added) = sandbox.allow(&folder, Reach::Change);
        log::debug!("the sandbox lets all threads change {asked} {}", folder.display());
        if let Err(why) = added {
            log::warn!("{asked} {} is outside of the sandbox: {why}", folder.display());
        }
        sandbox = next;
    }
    let read = |path: PathBuf| (path, Reach::Read);
    let mut others: Vec<_> = SYSTEM.map(|path| read(path.into())).into();
    others.push(("/dev/null".into(), Reach::Change));
    // links are followed by way of /proc/self/fd, and what makes sure of it begins above
    others.push(("/proc".into(), Reach::List));
    others.extend(source.tidies.iter().map(|folder| (folder.clone(), Reach::Tidy)));
    if has_hooks {
        others.extend(PROGRAMS.map(|path| (path.into(), Reach::Run)));
        others.extend(LOOKUPS.map(|path| (path.into(), Reach::Run)));
        others.extend(SCRATCH.map(|path| (path.into(), Reach::Change)));
        others.push(("/proc/self/exe".into(), Reach::Run));
        let all = config.users.values().flat_map(|user| user.limits.hooks.all());
        others.extend(all.flat_map(|program| whole(&program.path)).map(|at| (at, Reach::Run)));
    }
    let settings = source.file.iter().chain(&config.server.users_file);
    let settings = settings.flat_map(|file| whole(file)).chain(certificates(config));
    let aside = LOOKUPS.into_iter().map(PathBuf::from).chain(settings).map(read);
    let serving = allow(sandbox, others, "all threads");
    let lookups = allow(lookups, aside, "the thread for settings, keys and names");
    Ok(Some(Sandboxes { serving, lookups }))
}

/// What is not there on this system is not missed.
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

/// Starts the thread that looks things up, which goes into its sandbox first.
#[expect(clippy::disallowed_methods, reason = "these threads are started here")]
fn start_lookups(sandbox: Sandbox) -> Result<(), String> {
    let lookups = rights::take_lookups().map_err(|why| why.to_string())?;
    let (give, entered) = std::sync::mpsc::sync_channel(1);
    let builder = || thread::Builder::new().name("lookups".to_owned());
    let work = move || {
        // a server that may do without the sandbox needs the lookups all the same
        let _ = give.send(sandbox.enter_aside());
        for lookup in lookups {
            // each in a thread of its own: one may take long, and may need another one
            if let Err(why) = builder().spawn(lookup) {
                log::error!("cannot start a thread to look something up: {why}");
            }
        }
    };
    builder().spawn(work).map_err(|why| rights::thread_fault(&why))?;
    entered.recv().unwrap_or_else(|why| Err(why.to_string()))
}

/// Goes in. No other thread may be there yet; the one that looks things up is started.
///
/// # Errors
///
/// When it must be, and the kernel does not enforce all of it.
pub(super) fn enter(sandboxes: Option<Sandboxes>, config: &Config) -> Result<(), String> {
    let Some(Sandboxes { serving, lookups }) = sandboxes else { return Ok(()) };
    let must = config.server.sandbox == Confine::Require;
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

/// What new settings ask for and the sandbox does not hold: faults, and warnings for homes that
/// the settings before had already. Such a home has come, or was mounted over, since the start; its
/// users are refused, and that must keep no other change from being made.
pub(super) fn outside(config: &Config, old: &Config) -> (Vec<String>, Vec<String>) {
    let is_outside = |place: &Place| {
        let _acting = place.ids.as_ref().and_then(|ids| rights::act_as(Some(ids)).ok());
        !place.is_fixed && !rights::may_change_in_sandbox(&place.folder)
    };
    let known: HashSet<_> = old.users.values().map(|user| user.home.as_path()).collect();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    for Place { folder, asked, is_home, .. } in places(config).into_iter().filter(is_outside) {
        let shown = folder.display();
        let what =
            format!("{asked} {shown}: lies outside of the sandbox, so it takes a restart");
        if is_home && known.contains(folder.as_path()) {
            warnings.push(what + "; until then logins are refused");
        } else {
            faults.push(what);
        }
    }
    warnings.sort();
    for program in config.users.values().flat_map(|user| user.limits.hooks.all()) {
        if !rights::may_start_in_sandbox(&program.path) {
            let path = program.path.display();
            let why = "cannot be started in the sandbox, so it takes a restart";
            faults.push(format!("program of a hook {path}: {why}"));
        }
    }
    faults.sort();
    faults.dedup();
    (faults, warnings)
}

/// What to say of homes that do not exist, which the settings have no fault for. To be asked inside
/// the sandbox.
pub(super) fn late_homes(config: &Config) -> Vec<String> {
    let acting: HashMap<_, _> =
        config.users.values().map(|user| (user.home.as_path(), user.run_as.as_ref())).collect();
    let mut warnings = Vec::new();
    for fault in config.absent.iter().take(MOST_LATE) {
        let Fault::Absent(_, home, _) = &fault.fault else { continue };
        let ids = acting.get(home.as_path()).copied().flatten();
        let _acting = ids.and_then(|ids| rights::act_as(Some(ids)).ok());
        let what = "logins are refused until it exists";
        warnings.push(match existing_above(home) {
            Some(above) if rights::may_change_in_sandbox(&above) => {
                if rights::is_in_sandbox() {
                    let above = above.display();
                    format!(
                        "{fault}; {what} (a disk mounted on {above} itself takes a restart)"
                    )
                } else {
                    format!("{fault}; {what}")
                }
            }
            Some(_) | None => format!(
                "{fault}; {what}, and then a restart is needed: the sandbox was made without it"
            ),
        });
    }
    match config.absent.len().saturating_sub(MOST_LATE) {
        0 => {}
        more => warnings.push(format!("{more} more homes do not exist")),
    }
    warnings
}

fn is_missing(home: &Path) -> bool {
    std::fs::metadata(home).is_err_and(|why| why.kind() == io::ErrorKind::NotFound)
}

/// The nearest directory above a home that does not exist, links followed.
fn existing_above(home: &Path) -> Option<PathBuf> {
    let mut path = home.to_owned();
    // a path is at most 4096 bytes long, and links are not followed for ever
    for _ in 0..4096 {
        match std::fs::metadata(&path) {
            Ok(_) => return std::fs::canonicalize(&path).ok(),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
        let above = path.parent()?.to_owned();
        path = std::fs::read_link(&path).map_or_else(|_| above.clone(), |to| above.join(to));
    }
    None
}

/// What the sandbox lets in for a home that does not exist: the nearest directory above it, unless
/// that is the root of the file system or directly below it.
fn above_late(home: &Path) -> Option<PathBuf> {
    existing_above(home).filter(|above| above.components().count() > 2)
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
            is_home: false,
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
        folder: home(user),
        ids: user.run_as.clone(),
        asked: format!("[user:{}] home", escaped(name.as_bytes())),
        is_fixed: false,
        is_home: true,
    };
    // a user who may not log in need not have one
    let needed = |(_, user): &(&String, &Arc<User>)| user.enabled || user.home.exists();
    all.into_iter()
        .flatten()
        .chain(logs)
        .chain(config.users.iter().filter(needed).map(home))
        .collect()
}

/// The home of a user. One that may have to be made lies in what is there above it; but all of the
/// system is never let in for that.
fn home(user: &User) -> PathBuf {
    let above = user.home.ancestors().skip(1).find(|above| above.exists());
    let above = above.filter(|above| user.limits.create_home && above.parent().is_some());
    above.unwrap_or(&user.home).to_owned()
}

/// Folders of the files of TLS, where they are and where links of their names lead: a renewed
/// file is another one.
fn certificates(config: &Config) -> impl Iterator<Item = PathBuf> + '_ {
    let tls = config.tls.as_ref();
    let files = tls.filter(|tls| matches!(tls.certificate, CertificateSource::File(_)));
    let files = files.map(|tls| <[PathBuf; 2]>::from(tls.files())).into_iter().flatten();
    let all = files.chain(tls.and_then(|tls| tls.client_ca.clone()));
    // one that is made here is read again by a reload
    let made = tls.filter(|tls| tls.is_auto()).map(|tls| tls.dir.clone());
    all.flat_map(|file| whole(&file)).chain(made)
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
