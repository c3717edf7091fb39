//! What the probes have found, as plain data: the judge sees nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use crate::config::PortRange;
use crate::tls::Presented;

/// All that is known.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) settings: Result<Wanted, Unsettled>,
    pub(super) is_root: bool,
    /// The container that this process is in, such as `docker`.
    pub(super) container: Option<String>,
    pub(super) running: Running,
    pub(super) ports: Vec<Port>,
    pub(super) network: Network,
    pub(super) rules: Rules,
    pub(super) homes: Homes,
    pub(super) disks: Vec<Disk>,
    pub(super) files: Option<Files>,
    pub(super) certificate: Option<Result<Certificate, Uncertified>>,
    pub(super) clock: Clock,
    pub(super) kernel: Kernel,
}

/// Why there are no settings to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsettled {
    /// No file exists.
    Absent,
    /// This user may not read the file, or one that it names; the text says which.
    Closed(String),
    /// The faults, with file and line.
    Faulty(Vec<String>),
}

/// The settings that matter here.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// What `ftpd check` warns of.
    pub(super) warnings: Vec<String>,
    /// The addresses of `ip`, or why there are none.
    pub(super) listen: Result<Vec<IpAddr>, String>,
    pub(super) port: u16,
    /// 0: none.
    pub(super) implicit_port: u16,
    pub(super) range: PortRange,
    pub(super) max_cons: usize,
    pub(super) masquerade: Option<Masquerade>,
    pub(super) has_tls: bool,
    /// Whether the server must not start without a sandbox, or needs none.
    pub(super) sandbox: Sandboxed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sandboxed {
    Off,
    Auto,
    Required,
}

/// The value of `masquerade_address`, and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Masquerade {
    pub(super) name: String,
    pub(super) found: Result<Vec<Ipv4Addr>, String>,
}

/// The server of these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    /// It does not answer on its admin socket.
    No,
    /// This process has the admin socket.
    Yes(u32),
    /// There is a socket, but this user may not connect to it; or the settings name none.
    Unknown,
}

/// A port that the server uses, on one address of this machine.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) purpose: Purpose,
    pub(super) at: SocketAddr,
    pub(super) holder: Holder,
    pub(super) answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Control,
    /// Control connections that begin with TLS.
    Implicit,
    /// One of both ends of the passive range.
    Passive,
}

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    /// A process, and whether it is this program.
    Process {
        name: String,
        pid: u32,
        is_ours: bool,
    },
    /// A process that this user cannot see.
    Somebody,
}

/// What came of connecting to a port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The first line that came.
    Greeted(String),
    /// A connection, without a greeting where one is due.
    Connected,
    Refused,
    Silent,
    /// Another error.
    Failed(String),
    /// The address does not belong to this machine.
    NotHere,
    /// This user may not listen on it to try.
    NotAllowed,
    Untried,
}

/// The interfaces of this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    pub(super) interfaces: Vec<Interface>,
    /// The interfaces that a default route uses.
    pub(super) outside: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Interface {
    /// The kind of its link, as a number of the kernel (`ARPHRD_ETHER` and others); `None`: unknown.
    pub(super) link: Option<u64>,
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
}

/// What the programs of packet filters have printed.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// `nft -j list ruleset`.
    pub(super) nft: Text,
    /// `iptables-save` of each variant.
    pub(super) ipv4: Vec<String>,
    /// `ip6tables-save` of each variant.
    pub(super) ipv6: Vec<String>,
    /// Why a program has not printed the rules.
    pub(super) failed: Option<String>,
    /// Whether the kernel has rules that no program here can print.
    pub(super) has_hidden: bool,
    /// Whether `nf_conntrack_ftp` reads control connections to find data connections: the kernel has it,
    /// and a rule or a setting assigns it.
    pub(super) has_helper: bool,
}

/// What came of running a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Is(String),
    /// It is not installed.
    Absent,
    Failed(String),
}

/// What `ftpd check` and the server find out about homes.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes {
    /// Homes that do not exist.
    pub(super) absent: Vec<String>,
    /// Homes to which the server's user cannot write.
    pub(super) closed: Vec<String>,
    /// Homes that the unit does not let the server use.
    pub(super) kept_out: Vec<String>,
    /// Why the rights of the server's user were not checked.
    pub(super) unchecked: Option<String>,
}

/// A file system that the server writes to.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// What is on it, for messages.
    pub(super) of: String,
    pub(super) bytes: (u64, u64),
    /// Free inodes, and all; 0: the file system does not count them.
    pub(super) inodes: (u64, u64),
}

/// The limit on open files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) needed: u64,
    /// `None`: no limit.
    pub(super) allowed: Option<u64>,
    /// The process that the limit is of; `None`: of this one, which may differ from the server's.
    pub(super) of: Option<u32>,
}

/// Why the certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Uncertified {
    /// This user may not read the files.
    Closed(String),
    Faulty(String),
}

/// The certificate of the server.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// Whether the server makes it itself.
    pub(super) is_auto: bool,
    pub(super) file: String,
    pub(super) chain: Vec<Presented>,
    /// Whether authorities that this machine knows have signed it.
    pub(super) is_trusted: Option<bool>,
    /// A name that clients are told and that it does not have.
    pub(super) lacks_name: Option<String>,
    /// Other users can read the key.
    pub(super) is_key_open: Option<String>,
    /// The files that the server's user cannot read, with the reason, so that a renewal has no effect.
    pub(super) unreadable: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) now: SystemTime,
    /// When this program was made: no correct clock shows an earlier time.
    pub(super) built: Option<SystemTime>,
    /// Whether a time server is followed; `None`: not known.
    pub(super) is_synchronised: Option<bool>,
}

#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// Why the kernel does not resolve paths below a directory (openat2).
    pub(super) no_openat2: Option<String>,
    /// Why it cannot confine the server (Landlock).
    pub(super) no_landlock: Option<String>,
    /// The congestion control of TCP.
    pub(super) congestion: String,
}
