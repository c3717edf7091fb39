//! The paths that the sandboxes let in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{CertificateSource, Config, KEYS, LogTo, User};
use crate::log::{self as own_log, escaped};
use crate::rights::Ids;

/// What names of users and hosts are looked up in, aside from what serves clients. Files of these
/// folders are replaced while the server runs, so each folder is let in as a whole.
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

/// What all threads read: the time zone, for the logs, and what tells one boot from another.
pub(super) const SYSTEM: [&str; 4] =
    ["/etc/localtime", "/usr/share/zoneinfo", "/proc/self", "/proc/sys/kernel/random"];

/// What programs of hooks need besides: programs and what they read, folders for the moment, and
/// devices that are none.
pub(super) const PROGRAMS: [&str; 7] =
    ["/usr", "/bin", "/sbin", "/opt", "/nix/store", "/proc", "/sys"];
pub(super) const SCRATCH: [&str; 8] = [
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
pub(super) struct Writable {
    pub(super) folder: PathBuf,
    pub(super) ids: Option<Arc<Ids>>,
    pub(super) asked: String,
    /// Whether a change of it takes a restart anyway.
    pub(super) is_fixed: bool,
    /// Whether it is the home of a user, which may be missing until its disk is mounted.
    pub(super) is_home: bool,
}

/// Where the server writes.
pub(super) fn writable(config: &Config) -> Vec<Writable> {
    let server = &config.server;
    let own = |folder: Option<&Path>, asked: &str| {
        let place = |folder: &Path| Writable {
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
    let log_file = match &server.log.to {
        LogTo::File(file) if server.log.enabled => Some(file.clone()),
        LogTo::File(_) | LogTo::Stderr | LogTo::Syslog(_) => None,
    };
    let socket = server.admin.socket.as_deref().and_then(Path::parent);
    let tls_dir = config.tls.as_ref().filter(|tls| tls.is_auto()).map(|tls| tls.dir.as_path());
    let logs = log(&log_file, "log_file").chain(log(&server.log.transfers, "transfer_log"));
    // the times of logins are kept there too, whoever may upload
    let state = server.storage.state_dir.as_deref();
    let all = [own(state, "state_dir"), own(socket, "admin_socket"), own(tls_dir, "tls_dir")];
    let home = |(name, user): (&String, &Arc<User>)| Writable {
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
    let above = above.filter(|above| user.rules.files.create_home && above.parent().is_some());
    above.unwrap_or(&user.home).to_owned()
}

/// Folders of the files of TLS, where they are and where links of their names lead: a renewed
/// file is another one.
pub(super) fn certificates(config: &Config) -> impl Iterator<Item = PathBuf> + '_ {
    let tls = config.tls.as_ref();
    let files = tls.filter(|tls| matches!(tls.certificate, CertificateSource::File(_)));
    let files = files.map(|tls| <[PathBuf; 2]>::from(tls.files())).into_iter().flatten();
    let all = files.chain(tls.and_then(|tls| tls.client_ca.clone()));
    // one that is made here is read again by a reload
    let made = tls.filter(|tls| tls.is_auto()).map(|tls| tls.dir.clone());
    all.flat_map(|file| whole(&file)).chain(made)
}

/// The folder of a file, and the one that it really lies in.
pub(super) fn whole(file: &Path) -> Vec<PathBuf> {
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
