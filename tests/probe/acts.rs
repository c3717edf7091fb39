//! What an attacker tries who runs code in the server. Each act fails or leaves no trace that
//! matters to the next one, except for the last two.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};
use rustix::process::{
    Gid, Pid, PidfdFlags, PidfdGetfdFlags, Signal, Uid, kill_process, pidfd_getfd, pidfd_open,
};
use rustix::thread::{
    CapabilitySets, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::world::{EVE, Known};

/// One act.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    /// The Landlock version that is needed to forbid it, where it is forbidden in a sandbox.
    pub(crate) abi: u32,
    pub(crate) attempt: fn(&Known) -> io::Result<()>,
}

const fn act(name: &'static str, attempt: fn(&Known) -> io::Result<()>) -> Act {
    Act { name, abi: 1, attempt }
}

pub(crate) const ACTS: &[Act] = &[
    act("read and change files in the homes of all users", |known| {
        change(&known.dir.join("home/file"))?;
        let other = known.dir.join("other/file");
        if read(&other).is_err() {
            become_user(EVE)?;
        }
        read(&other)?;
        change(&other)
    }),
    act("leave links and programs with set-user-ID bits in homes", |known| {
        let _ = fs::remove_file(known.dir.join("home/link"));
        symlink("/etc/passwd", known.dir.join("home/link"))?;
        File::create(known.dir.join("home/program"))?
            .set_permissions(PermissionsExt::from_mode(0o4755))
    }),
    act("change the log files", |known| {
        File::options().write(true).truncate(true).open(known.dir.join("log/file")).map(drop)
    }),
    act("change other files of its user", |known| change(&known.dir.join("outside/file"))),
    act("make files in /tmp", |_| {
        let path = format!("/tmp/ftpd-probe-{}", std::process::id());
        File::create(&path)?;
        fs::remove_file(path)
    }),
    act("change the modes of its user's files, wherever they are", |known| {
        fs::set_permissions(known.dir.join("outside/file"), PermissionsExt::from_mode(0o644))
    }),
    act("change the modes of root's files, wherever they are", |known| {
        fs::set_permissions(known.dir.join("tls/of-root"), PermissionsExt::from_mode(0o600))
    }),
    act("find out whether a file exists, wherever it is", |_| {
        fs::metadata("/etc/passwd").map(drop)
    }),
    act("read what everybody may read, such as /etc/passwd", |_| read("/etc/passwd".as_ref())),
    act("read what only root may read, such as /etc/shadow", |_| read("/etc/shadow".as_ref())),
    act("read the settings file", |known| read(&known.dir.join("ftpd.ini"))),
    act("read the key file, if only root may read it", |known| {
        read(&known.dir.join("tls/of-root"))
    }),
    act("list the processes of the system", |_| {
        let mut all = fs::read_dir("/proc")?.flatten();
        all.find(|entry| entry.file_name() == "1")
            .map(drop)
            .ok_or(io::ErrorKind::NotFound.into())
    }),
    act("read the memory of other processes of its user", |known| {
        let other = pidfd_open(neighbour(known)?, PidfdFlags::empty())?;
        Ok(pidfd_getfd(other, 0, PidfdGetfdFlags::empty()).map(drop)?)
    }),
    Act {
        name: "send signals to other processes of its user",
        abi: 6,
        attempt: |known| Ok(kill_process(neighbour(known)?, Signal::CONT)?),
    },
    act("start programs", |_| Command::new("/bin/true").status().map(drop)),
    act("become another user", |_| become_user(12_345)),
    act("become root", |_| become_user(0)),
    act("give its files to other users", |known| {
        chown(known.dir.join("home/file"), Some(12_345), None)?;
        chown(known.dir.join("home/file"), Some(crate::world::NOBODY), None)
    }),
    act("connect to other servers over TCP", |known| {
        TcpStream::connect(("127.0.0.1", known.tcp)).map(drop)
    }),
    act("send datagrams over UDP", |known| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(b"x", ("127.0.0.1", known.udp)).map(drop)
    }),
    act("connect to Unix sockets that are files", |known| {
        UnixStream::connect(known.dir.join("outside/socket")).map(drop)
    }),
    act("connect to Unix sockets that only root may use", |known| {
        UnixStream::connect(known.dir.join("outside/of-root")).map(drop)
    }),
    Act {
        name: "connect to abstract Unix sockets",
        abi: 6,
        attempt: |known| UnixStream::connect_addr(&known.abstract_socket()).map(drop),
    },
    act("listen on ports from 1024 on", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    act("listen on ports below 1024", |_| TcpListener::bind("127.0.0.1:873").map(drop)),
    act("use raw sockets", |_| {
        Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).map(drop)
    }),
    act("mount file systems", |known| {
        let at = known.dir.join("home");
        Ok(mount("probe", at, "tmpfs", MountFlags::empty(), None::<&CStr>)?)
    }),
    act("change the root directory (chroot)", |known| {
        Ok(rustix::process::chroot(known.dir.join("home"))?)
    }),
];

/// Makes all capabilities effective that this thread may have.
pub(crate) fn raise_all() {
    if let Ok(sets) = capabilities(None) {
        let all = CapabilitySets { effective: sets.permitted, ..sets };
        let _ = set_capabilities(None, all);
    }
}

fn read(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    io::copy(&mut &file, &mut io::sink()).map(drop)
}

fn change(path: &Path) -> io::Result<()> {
    File::options().append(true).open(path)?.write_all(b"x")
}

fn neighbour(known: &Known) -> io::Result<Pid> {
    Pid::from_raw(known.neighbour).ok_or(io::ErrorKind::NotFound.into())
}

/// Gives this thread the user number, by the bare system calls.
pub(crate) fn become_user(number: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(number), Gid::from_raw(number));
    // the groups are of use only if the user number can be had
    let _ = set_thread_groups(&[gid]);
    let _ = set_thread_res_gid(gid, gid, gid);
    set_thread_res_uid(uid, uid, uid)?;
    raise_all();
    Ok(())
}
