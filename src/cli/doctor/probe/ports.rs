//! Finds out who listens on the ports of the server, and connects to them from this machine.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;

use super::read::text;
use super::settings::Found;
use super::sockets::{Listening, listening, serves};
use crate::cli::doctor::facts::{Answer, Holder, Network, Port, Purpose, Running, Wanted};
use crate::cli::screen::safe;

/// How long connecting may take. The address is one of this machine.
const CONNECTING: Duration = Duration::from_secs(2);

/// How long the greeting may take.
const GREETING: Duration = Duration::from_secs(5);

/// Maximum length of a greeting in bytes.
const LONGEST: u64 = 512;

/// Maximum number of addresses that are connected to.
const MOST: usize = 6;

/// Finds the server by its admin socket.
pub(super) fn running(found: &Found) -> Running {
    let Some(socket) = &found.config.server.admin.socket else { return Running::Unknown };
    match UnixStream::connect(socket) {
        Ok(stream) => match socket_peercred(&stream) {
            Ok(peer) => {
                u32::try_from(peer.pid.as_raw_pid()).map_or(Running::Unknown, Running::Yes)
            }
            Err(_) => Running::Unknown,
        },
        Err(why) if why.kind() == ErrorKind::PermissionDenied => Running::Unknown,
        Err(_) => Running::No,
    }
}

/// Returns all sockets that listen.
pub(super) fn sockets() -> Vec<Listening> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().filter_map(text).flat_map(|table| listening(&table)).collect()
}

/// Looks at all ports of the server.
pub(super) fn ports(
    wanted: &Wanted,
    running: Running,
    network: &Network,
    sockets: Vec<Listening>,
) -> Vec<Port> {
    let look = Look { sockets, running, network };
    let mut wanted_ports = vec![(Purpose::Control, wanted.port)];
    wanted_ports.push((Purpose::Implicit, wanted.implicit_port));
    let (first, last) = (wanted.range.first, wanted.range.last);
    let skipped = [wanted.port, wanted.implicit_port];
    let usable = |port: &u16| !skipped.contains(port);
    let low = (first..=last).find(usable);
    let high = (first..=last).rev().find(usable).filter(|high| Some(*high) != low);
    wanted_ports.extend(low.into_iter().chain(high).map(|port| (Purpose::Passive, port)));
    let addresses = addresses(wanted, network);
    let mut all = Vec::new();
    // 0: the system chooses a port, which is not known here
    for (purpose, port) in wanted_ports.into_iter().filter(|(_, port)| *port != 0) {
        for ip in addresses.iter().take(MOST) {
            all.push(look.at(purpose, SocketAddr::new(*ip, port)));
        }
    }
    all
}

/// Returns the addresses at which the server can be reached.
fn addresses(wanted: &Wanted, network: &Network) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for own in wanted.listen.iter().flatten() {
        if !own.is_unspecified() {
            all.push(*own);
            continue;
        }
        let known = network.interfaces.iter().flat_map(|one| &one.addresses);
        let is_link = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let usable = known.filter(|ip| (own.is_ipv6() || ip.is_ipv4()) && !is_link(ip));
        let (within, others): (Vec<IpAddr>, Vec<IpAddr>) =
            usable.copied().partition(IpAddr::is_loopback);
        all.extend(if others.is_empty() { within } else { others });
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|ip| seen.insert(*ip));
    all
}

struct Look<'a> {
    sockets: Vec<Listening>,
    running: Running,
    network: &'a Network,
}

impl Look<'_> {
    fn at(&self, purpose: Purpose, at: SocketAddr) -> Port {
        let is_here = at.ip().is_loopback()
            || self.network.interfaces.iter().any(|one| one.addresses.contains(&at.ip()));
        let holder = self.holder(at);
        let answer = match (purpose, &holder) {
            _ if !is_here => Answer::NotHere,
            (Purpose::Passive, Holder::Nobody) => alone(at),
            (Purpose::Passive, _)
            | (_, Holder::Nobody | Holder::Process { is_ours: false, .. }) => Answer::Untried,
            (Purpose::Control, _) => answer(at, true),
            (Purpose::Implicit, _) => answer(at, false),
        };
        Port { purpose, at, holder, answer }
    }

    fn holder(&self, at: SocketAddr) -> Holder {
        let inodes: Vec<_> =
            self.sockets.iter().filter(|one| serves(one.at, at)).map(|one| one.inode).collect();
        if inodes.is_empty() {
            return Holder::Nobody;
        }
        let mut holder = Holder::Somebody;
        for process in listed(Path::new("/proc")) {
            let pid = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
            let Some(pid) = pid.filter(|_| holds(&process, &inodes)) else { continue };
            let name = text(process.join("comm")).unwrap_or_default();
            let name = safe(name.trim());
            // systemd keeps the sockets that it opens for a service
            let is_ours = self.running == Running::Yes(pid) || pid == 1 || is_this(&process);
            if is_ours || holder == Holder::Somebody {
                holder = Holder::Process { name, pid, is_ours };
            }
            if is_ours {
                break;
            }
        }
        holder
    }
}

/// Returns whether a process has one of these sockets.
fn holds(process: &Path, inodes: &[u64]) -> bool {
    let is_it = |file: PathBuf| {
        let to = fs::read_link(file).ok()?;
        let inode = to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inodes.contains(&inode.parse().ok()?))
    };
    listed(&process.join("fd")).into_iter().any(|file| is_it(file) == Some(true))
}

/// Returns whether a process runs this program, perhaps before an upgrade.
fn is_this(process: &Path) -> bool {
    let program = |process: &Path| {
        let to = fs::read_link(process.join("exe")).ok()?;
        let to = to.to_str()?;
        Some(to.strip_suffix(" (deleted)").unwrap_or(to).to_owned())
    };
    let own = program(Path::new("/proc/self"));
    own.is_some() && program(process) == own
}

#[expect(clippy::disallowed_methods, reason = "a directory of the kernel")]
fn listed(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Listens on a passive port for a moment, as the server would, and connects to it.
fn alone(at: SocketAddr) -> Answer {
    let listener = match TcpListener::bind(at) {
        Ok(listener) => listener,
        Err(why) if why.kind() == ErrorKind::PermissionDenied => return Answer::NotAllowed,
        Err(why) if why.kind() == ErrorKind::AddrInUse => return Answer::Untried,
        Err(why) => return Answer::Failed(why.to_string()),
    };
    let answer = answer(at, false);
    drop(listener);
    answer
}

fn answer(at: SocketAddr, greets: bool) -> Answer {
    #[expect(clippy::disallowed_methods, reason = "a look whether the port can be reached")]
    let stream = match TcpStream::connect_timeout(&at, CONNECTING) {
        Ok(stream) => stream,
        Err(why) => return failed(&why),
    };
    if !greets || stream.set_read_timeout(Some(GREETING)).is_err() {
        return Answer::Connected;
    }
    let mut line = Vec::new();
    let read = BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line);
    match read {
        Ok(length) if length > 0 => {
            Answer::Greeted(safe(String::from_utf8_lossy(&line).trim_end()))
        }
        Ok(_) | Err(_) => Answer::Connected,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are rare")]
fn failed(why: &std::io::Error) -> Answer {
    match why.kind() {
        ErrorKind::ConnectionRefused => Answer::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Answer::Silent,
        _ => Answer::Failed(why.to_string()),
    }
}
