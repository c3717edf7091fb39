//! The servers that are measured, and how each is started.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::broker::Broker;
use crate::place::{Key, Place};
use crate::server::Server;
use crate::trust::Trust;
use crate::{fetch, setups};

/// A server that can be measured.
pub struct Kind {
    pub name: &'static str,
    /// Debian's packages: its own, and the libraries it needs.
    packages: &'static [&'static str],
    /// Another way to get it.
    fetch: Option<Fetch>,
    start: fn(&Place, &Wanted) -> Result<Command, String>,
    /// User and password.
    login: (&'static str, &'static str),
    pub family: Family,
    /// A workload that it cannot do.
    lacks: &'static str,
    /// Whether it tells a broker of events.
    tells: bool,
    /// Each instance serves one or more setups. TLS costs some servers memory and time even
    /// where it is not used, so rivals have it only in the instances that are measured with it.
    instances: &'static [&'static [Setup]],
}

/// Gets the program of a rival into a folder.
type Fetch = fn(&Path) -> Result<(), String>;

/// What a server is to the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// ftpd as people run it.
    Ours,
    /// ftpd with another setting, or an older build of it. It takes part in those workloads that
    /// name it.
    Variant,
    /// Another server, whose processes or threads are its own affair.
    Rival {
        /// Whether each session has processes of its own.
        forks: bool,
    },
    /// A server that checks nothing, for the workloads that ask for it.
    Floor,
}

/// The TLS of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    Plain,
    Tls(Key),
}

/// What the settings of an instance depend on.
pub struct Wanted {
    /// The name of the server, for the files that are its own.
    pub name: String,
    pub port: u16,
    /// `None`: without TLS.
    pub key: Option<Key>,
    /// Whether it writes its log, and its transfer log, to files.
    pub logs: bool,
    /// The port of the broker that it tells of events.
    pub broker: Option<u16>,
}

const PLAIN: &[Setup] = &[Setup::Plain];
const ECDSA: &[Setup] = &[Setup::Tls(Key::Ecdsa)];
const RSA: &[Setup] = &[Setup::Tls(Key::Rsa)];
const ALL: &[&[Setup]] = &[PLAIN, ECDSA, RSA];
/// ftpd always has a certificate, so that its plain sessions are measured with TLS set up.
const OURS: &[&[Setup]] = &[&[Setup::Plain, Setup::Tls(Key::Ecdsa)], RSA];
const FORKS: Family = Family::Rival { forks: true };
const THREADS: Family = Family::Rival { forks: false };

const USER: (&str, &str) = ("bench", "secret");

const fn kind(
    name: &'static str,
    family: Family,
    start: fn(&Place, &Wanted) -> Result<Command, String>,
) -> Kind {
    Kind {
        name,
        packages: &[],
        fetch: None,
        start,
        login: USER,
        family,
        lacks: "",
        tells: false,
        instances: ALL,
    }
}

impl Kind {
    const fn of(self, packages: &'static [&'static str]) -> Self {
        Self { packages, ..self }
    }

    const fn fetched(self, fetch: Fetch) -> Self {
        Self { fetch: Some(fetch), ..self }
    }

    const fn login(self, user: &'static str, password: &'static str) -> Self {
        Self { login: (user, password), ..self }
    }

    const fn without(self, workload: &'static str) -> Self {
        Self { lacks: workload, ..self }
    }

    const fn telling(self) -> Self {
        Self { tells: true, ..self }
    }

    const fn instances(self, instances: &'static [&'static [Setup]]) -> Self {
        Self { instances, ..self }
    }
}

pub static KINDS: &[Kind] = &[
    kind("ftpd", Family::Ours, setups::ftpd).instances(OURS),
    kind("ftpd-quiet", Family::Variant, setups::ftpd_quiet).instances(&[PLAIN]),
    kind("ftpd-keeps", Family::Variant, setups::ftpd_keeps).instances(&[PLAIN]),
    kind("ftpd-events", Family::Variant, setups::ftpd_events).telling().instances(&[PLAIN]),
    kind("vsftpd", FORKS, setups::vsftpd)
        .of(&["vsftpd", "libwrap0"])
        .login("ftp", "x@y")
        .without("mlsd_100k"),
    kind("pure-ftpd", FORKS, setups::pure_ftpd).of(&["pure-ftpd"]),
    kind("proftpd", FORKS, setups::proftpd).of(&[
        "proftpd-core",
        "proftpd-mod-crypto",
        "libhiredis0.14",
        "libmemcached11",
        "libmemcachedutil2",
        "libhashkit2",
        "libpcre2-posix3",
    ]),
    kind("pyftpdlib", THREADS, setups::pyftpdlib).fetched(fetch::pyftpdlib),
    kind("unftp", THREADS, setups::unftp).fetched(fetch::unftp).login("anonymous", "x@y"),
];

/// The user of ftpd whose uploads are not atomic, and the one whose uploads are written to the disk.
pub const DIRECT: &str = "ftpd-direct";
pub const SYNCED: &str = "ftpd-synced";

/// ftpd with default limits, as it is after the start.
pub static DEFAULT: Kind =
    kind("ftpd-default", Family::Variant, setups::ftpd_default).instances(OURS);

/// An older build of the server that is measured, which `BEFORE=` names.
pub static BEFORE: Kind = kind("before", Family::Variant, setups::ftpd_before).instances(OURS);

pub static FLOOR: Kind = kind("floor", Family::Floor, setups::floor).instances(OURS);

/// The program that `BEFORE=` names.
pub fn before() -> Option<PathBuf> {
    std::env::var_os("BEFORE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

impl Kind {
    /// Gets the programs, if they are not there yet.
    pub fn fetch(&self, rivals: &Path) -> Result<(), String> {
        self.packages.iter().try_for_each(|package| fetch::package(rivals, package))?;
        self.fetch.map_or(Ok(()), |fetch| fetch(rivals))
    }

    /// Starts all instances. An instance that cannot start is left out.
    pub fn start(&self, place: &Place, logs: bool) -> Vec<Server> {
        let mut servers = Vec::new();
        for setups in self.instances {
            match self.start_one(place, setups, logs) {
                Ok(server) => servers.push(server),
                Err(why) => eprintln!("{} ({:?}) is left out: {why}", self.name, setups[0]),
            }
        }
        servers
    }

    /// Starts the instance that serves clients without TLS, or with it.
    pub fn start_for(&self, place: &Place, setup: Setup, logs: bool) -> Result<Server, String> {
        let setups = self.instances.iter().find(|setups| setups.contains(&setup));
        self.start_one(place, setups.ok_or("it has no such instance")?, logs)
    }

    fn start_one(
        &self,
        place: &Place,
        setups: &'static [Setup],
        logs: bool,
    ) -> Result<Server, String> {
        let key = setups.iter().find_map(|setup| match setup {
            Setup::Plain => None,
            Setup::Tls(key) => Some(*key),
        });
        let pair = place.pair(key.unwrap_or(Key::Ecdsa)).ok_or("there is no such key")?;
        let kind = if setups == RSA {
            "-rsa"
        } else if setups == ECDSA {
            "-tls"
        } else {
            ""
        };
        let name = format!("{}{kind}", self.name);
        let broker = self.tells.then(|| Broker::start(place, free_port())).transpose()?;
        let port = broker.as_ref().map(|broker| broker.port);
        let wanted = Wanted { name, port: free_port(), key, logs, broker: port };
        let mut command = (self.start)(place, &wanted)?;
        // the libraries that it loads while it runs are searched there first, which takes time
        if self.packages.len() > 1 {
            command.env("LD_LIBRARY_PATH", libraries(&place.rivals));
        }
        let output = place.root.join(format!("{}-output.log", wanted.name));
        let log = fs::File::options().append(true).create(true).open(&output).expect("output");
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("output"));
        let child = command.stdout(log).spawn().map_err(|why| why.to_string())?;
        let (name, port, family, login) = (self.name, wanted.port, self.family, self.login);
        let lacks = self.lacks;
        let (pid, child) = (child.id(), Some(child));
        let trust = Trust::of(&pair.certificate);
        let mut server =
            Server { name, port, family, lacks, setups, login, trust, pid, child, broker };
        server.listens(&output).map(|()| server)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    listener.local_addr().expect("port").port()
}

/// Where the libraries of unpacked packages are.
pub fn libraries(rivals: &Path) -> String {
    let paths =
        ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"];
    let paths: Vec<_> = paths.iter().map(|path| rivals.join("root").join(path)).collect();
    let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
    paths.join(":")
}
