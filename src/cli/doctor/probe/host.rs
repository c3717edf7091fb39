//! Looks at homes, disks, limits, the certificate, the clock and the kernel.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{
    Access, AtFlags, CWD, Mode, OFlags, ResolveFlags, accessat, openat2, statvfs,
};
use rustix::process::{Resource, geteuid, getrlimit};

use super::read::{print, text};
use super::settings::Found;
use crate::cli::doctor::facts::{
    Certificate, Clock, Disk, Files, Homes, Kernel, Running, Text, Uncertified,
};
use crate::cli::files;
use crate::cli::test::{Chain, judge_chain};
use crate::cli::unit::{self, Unit, server_user};
use crate::config::{CertificateSource, is_host};
use crate::log::escaped;
use crate::rights::{self, Ids, Sandbox};
use crate::server;
use crate::tls;

/// Containers whose ports must be published, and the files that show them.
const CONTAINERS: [(&str, &str); 2] =
    [("docker", "/.dockerenv"), ("podman", "/run/.containerenv")];

/// Returns the kind of container that this process is in.
pub(super) fn container() -> Option<String> {
    let file = CONTAINERS.iter().find(|(_, file)| Path::new(file).exists());
    let named = file.map(|(name, _)| (*name).to_owned());
    named.or_else(|| {
        let kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST");
        kubernetes.map(|_| "kubernetes".to_owned())
    })
}

/// Returns the user of the server: the one in the settings, or else the owner of its socket if it runs
/// (who may be root, for whom this is `None`), or else the user who would run it.
fn user(found: &Found, owner: Option<u32>) -> Option<Ids> {
    let own = found.config.server.process.user.clone();
    own.or_else(|| match owner {
        Some(uid) => Ids::of(&uid.to_string(), None).ok(),
        None => server_user(&found.origin),
    })
}

/// Looks at the homes.
pub(super) fn homes(found: &Found, owner: Option<u32>) -> Homes {
    let ids = user(found, owner);
    let me = geteuid().as_raw();
    let stranger = ids.as_ref().filter(|ids| rights::may_become(ids).is_err());
    let unchecked = stranger.map(|ids| {
        let name = escaped(ids.name.as_bytes());
        format!("it runs as user {name}, and this is uid {me}")
    });
    let is_roots = ids.is_none() && owner == Some(0) && !rights::is_root();
    let unchecked = unchecked
        .or_else(|| is_roots.then(|| format!("it runs as root, and this is uid {me}")));
    let closed = if unchecked.is_some() {
        Vec::new()
    } else {
        server::unwritable_homes(&found.config, ids.as_ref())
    };
    Homes {
        absent: found.config.absent.iter().map(ToString::to_string).collect(),
        closed,
        kept_out: unit::warnings(&found.origin, &found.config),
        unchecked,
    }
}

/// Looks at the file systems of the homes and of the server's records.
pub(super) fn disks(found: &Found) -> Vec<Disk> {
    let users = found.config.users_by_name().into_iter();
    let users = users.filter(|(_, user)| user.enabled).map(|(name, user)| {
        let name = escaped(name.as_bytes());
        (format!("the home of {name} ({})", user.home.display()), user.home.as_path())
    });
    let state = found.config.server.storage.state_dir.as_deref();
    let state = state.map(|path| (format!("state_dir ({})", path.display()), path));
    let mut seen = HashSet::new();
    let look = |(of, path): (String, &Path)| {
        let meta = fs::metadata(path).ok().filter(|meta| seen.insert(meta.dev()))?;
        let room = statvfs(path).ok().filter(|_| meta.is_dir())?;
        let bytes = (room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize);
        Some(Disk { of, bytes, inodes: (room.f_favail, room.f_files) })
    };
    users.chain(state).filter_map(look).collect()
}

/// Looks at the limit on open files. Without a running server, the unit may set another one than
/// this process has.
pub(super) fn limit(found: &Found, running: Running) -> Option<Files> {
    let needed = files::needed(&found.config);
    if let Running::Yes(pid) = running {
        let limits = text(format!("/proc/{pid}/limits"))?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let allowed = line.split_whitespace().next().and_then(|word| word.parse().ok());
        return Some(Files { needed, allowed, of: Some(pid) });
    }
    if Unit::of(&found.origin).is_some() {
        return None;
    }
    Some(Files { needed, allowed: getrlimit(Resource::Nofile).maximum, of: None })
}

/// Looks at the certificate, if the settings name one.
pub(super) fn certificate(
    found: &Found,
    owner: Option<u32>,
) -> Option<Result<Certificate, Uncertified>> {
    let settings = found.config.tls.as_ref()?;
    if let Err(why) = tls::check(settings) {
        let why = why.to_string();
        let is_closed = !rights::is_root() && why.contains("Permission denied");
        return Some(Err(if is_closed {
            Uncertified::Closed(why)
        } else {
            Uncertified::Faulty(why)
        }));
    }
    // the server has not made it yet
    let identity = tls::present(settings)?;
    let chain: Vec<_> = identity.chain().filter_map(tls::Presented::read).collect();
    let name = found.config.server.passive.masquerade_address.as_deref();
    let name = name.filter(|name| name.parse::<std::net::IpAddr>().is_err() && is_host(name));
    let (verdict, has_name) = judge_chain(identity.chain(), name);
    let is_auto = settings.is_auto();
    let (certificate, key) = settings.files();
    let ids = user(found, owner).filter(|_| settings.certificate != CertificateSource::Auto);
    let unreadable = ids.map_or_else(Vec::new, |ids| {
        let files = [("tls_cert", &certificate), ("tls_key", &key)];
        files.into_iter().filter_map(|(key, file)| unreadable(key, file, &ids)).collect()
    });
    Some(Ok(Certificate {
        is_auto,
        file: certificate.display().to_string(),
        chain,
        is_trusted: match verdict {
            Chain::Trusted => Some(true),
            Chain::Unknown => Some(false),
            Chain::Expired | Chain::NotYet | Chain::NoAuthorities | Chain::Broken(_) => None,
        },
        lacks_name: name.filter(|_| !has_name).map(str::to_owned),
        is_key_open: identity.open_key(),
        unreadable,
    }))
}

/// Returns why a user cannot read a file, as far as this process may act as the user.
fn unreadable(key: &str, file: &Path, ids: &Ids) -> Option<String> {
    rights::may_become(ids).ok()?;
    let _acting = rights::act_as(Some(ids)).ok()?;
    let may = |path: &Path, access| accessat(CWD, path, access, AtFlags::EACCESS).is_ok();
    if may(file, Access::READ_OK) {
        return None;
    }
    let name = escaped(ids.name.as_bytes());
    let shown = file.display();
    let mut above: Vec<_> = file.ancestors().skip(1).collect();
    above.reverse();
    let closed = above.into_iter().find(|folder| !may(folder, Access::EXEC_OK));
    Some(match closed {
        Some(folder) => {
            format!("{key} {shown}: user {name} may not enter {}", folder.display())
        }
        None => format!("{key} {shown}: user {name} may not read it"),
    })
}

/// Looks at the clock.
pub(super) fn clock() -> Clock {
    let own = std::env::current_exe().and_then(fs::metadata);
    // without systemd, it waits in vain
    let is_there = Path::new("/run/systemd/system").exists();
    let asked = ["show", "--property=NTPSynchronized", "--value"];
    let told = if is_there { print("timedatectl", &asked) } else { Text::Absent };
    Clock {
        now: SystemTime::now(),
        built: own.and_then(|meta| meta.modified()).ok(),
        is_synchronised: match told {
            Text::Is(word) => match word.trim() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
            Text::Absent | Text::Failed(_) => None,
        },
    }
}

/// Looks at what the kernel can do.
pub(super) fn kernel() -> Kernel {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let refused = openat2(CWD, ".", flags, Mode::empty(), resolve).err();
    let congestion = text("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    Kernel {
        no_openat2: refused.map(|why| std::io::Error::from(why).to_string()),
        no_landlock: Sandbox::new().err(),
        congestion: congestion.trim().to_owned(),
    }
}
