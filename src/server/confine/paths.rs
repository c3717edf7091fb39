//! The paths that the sandboxes allow.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{CertificateSource, Config, Folder, KEYS, LogTo, User};
use crate::log::{self as own_log, escaped};
use crate::rights::Ids;

/// Directories for looking up users and hosts. Their files may be replaced while the server
/// runs, so the whole directories are allowed.
pub(super) const LOOKUPS: [&str; 13] = [
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

/// Files that all threads read: the time zone for the logs, and the boot id.
pub(super) const SYSTEM: [&str; 4] =
    ["/etc/localtime", "/usr/share/zoneinfo", "/proc/self", "/proc/sys/kernel/random"];

/// A directory in which the server writes, with the user under which it writes and the key that
/// names the directory.
pub(super) struct Writable {
    pub(super) folder: PathBuf,
    pub(super) ids: Option<Arc<Ids>>,
    pub(super) asked: String,
    /// Whether a change of the key needs a restart anyway.
    pub(super) is_fixed: bool,
    /// Whether the directory is the home of a user, which may not exist until its disk is
    /// mounted.
    pub(super) is_home: bool,
    /// Whether it is a folder from elsewhere, which may not exist until then either.
    pub(super) is_mount: bool,
}

/// Returns all directories in which the server writes.
pub(super) fn writable(config: &Config) -> Vec<Writable> {
    let server = &config.server;
    let own = |folder: Option<&Path>, asked: &str| {
        let place = |folder: &Path| Writable {
            folder: folder.to_owned(),
            ids: None,
            asked: format!("[server] {asked}"),
            is_fixed: KEYS.iter().any(|key| key.name == asked && key.restarts),
            is_home: false,
            is_mount: false,
        };
        folder.map(place)
    };
    // a log that is a link is recreated at its target; a device is never recreated; a log that
    // was passed as an open descriptor needs no access
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
    let log_file = match &server.log.to {
        LogTo::File(file) if server.log.enabled => Some(file.clone()),
        LogTo::File(_) | LogTo::Stderr | LogTo::Syslog(_) => None,
    };
    let socket = server.admin.socket.as_deref().and_then(Path::parent);
    let tls_dir = config.tls.as_ref().filter(|tls| tls.is_auto()).map(|tls| tls.dir.as_path());
    let logs = log(&log_file, "log_file").chain(log(&server.log.transfers, "transfer_log"));
    // needed even if nobody may upload, because the times of logins are saved there too
    let state = server.storage.state_dir.as_deref();
    let all = [own(state, "state_dir"), own(socket, "admin_socket"), own(tls_dir, "tls_dir")];
    let home = |(name, user): (&String, &Arc<User>)| Writable {
        folder: home(user),
        ids: user.run_as.clone(),
        asked: format!("[user:{}] home", escaped(name.as_bytes())),
        is_fixed: false,
        is_home: true,
        is_mount: false,
    };
    let homes = server.elsewhere.homes.as_deref().filter(|_| server.elsewhere.is_on());
    let homes = own(homes, "auth_homes").map(|homes| Writable { is_home: true, ..homes });
    // a user who may not log in needs no home
    let needed = |(_, user): &(&String, &Arc<User>)| user.enabled || user.home.exists();
    all.into_iter()
        .flatten()
        .chain(quarantines_of(config))
        .chain(logs)
        .chain(homes)
        .chain(config.users.iter().filter(needed).map(home))
        .chain(config.users.iter().filter(needed).flat_map(mounts_of))
        .collect()
}

/// Returns the directories that refused uploads are copied to.
fn quarantines_of(config: &Config) -> impl Iterator<Item = Writable> + '_ {
    config.quarantines().into_iter().map(|folder| Writable {
        folder: folder.clone(),
        ids: None,
        asked: "[server] quarantine".to_owned(),
        is_fixed: false,
        is_home: false,
        is_mount: false,
    })
}

/// Returns the folders from elsewhere of a user.
fn mounts_of((name, user): (&String, &Arc<User>)) -> Vec<Writable> {
    let name = escaped(name.as_bytes());
    let mount = |(folder, from): (&Folder, &PathBuf)| Writable {
        folder: from.clone(),
        ids: user.run_as.clone(),
        asked: format!("[user:{name}] folder {} from", escaped(folder.path.as_bytes())),
        is_fixed: false,
        is_home: false,
        is_mount: true,
    };
    user.mounts().map(mount).collect()
}

/// Returns the directory that the sandbox allows for the home of a user. If the home may have
/// to be made, that is the nearest existing directory above it, but never the root of the file
/// system.
fn home(user: &User) -> PathBuf {
    let above = user.home.ancestors().skip(1).find(|above| above.exists());
    let above = above.filter(|above| user.rules.files.create_home && above.parent().is_some());
    above.unwrap_or(&user.home).to_owned()
}

/// Returns the directories of the TLS files and, if these are links, of their targets. Whole
/// directories are needed because a renewed certificate is a new file.
pub(super) fn certificates(config: &Config) -> impl Iterator<Item = PathBuf> + '_ {
    let tls = config.tls.as_ref();
    let files = tls.filter(|tls| matches!(tls.certificate, CertificateSource::File(_)));
    let files = files.map(|tls| <[PathBuf; 2]>::from(tls.files())).into_iter().flatten();
    let all = files.chain(tls.and_then(|tls| tls.client_ca.clone()));
    let all = all.chain(config.server.elsewhere.ca_file.clone());
    // a certificate made by the server is read again by a reload
    let made = tls.filter(|tls| tls.is_auto()).map(|tls| tls.dir.clone());
    all.flat_map(|file| whole(&file)).chain(made)
}

/// Returns the directory of a file, and that of its target if the file is a link.
pub(super) fn whole(file: &Path) -> Vec<PathBuf> {
    let real = std::fs::canonicalize(file).ok();
    let both = [Some(file), real.as_deref()].into_iter().flatten();
    let own = both.filter_map(Path::parent).map(Path::to_owned);
    // a directory above may be a link that is changed later, unless it is directly below the
    // root
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
