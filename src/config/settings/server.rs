//! The settings of the section `[server]`, by subject.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use log::LevelFilter;

use super::blank::settings;
use super::gate::GateLimits;
use crate::config::confine::Confine;
use crate::config::hook::{Occasions, Program};
use crate::config::perm::PermSet;
use crate::config::tls::{CertificateSource, ClientCertificate, Resume, TlsVersion};
use crate::config::value::{
    AuthProtocol, EventsKept, EventsTo, Listen, LogForm, LogTo, Peers, PortRange, Secret, Url,
};
use crate::rights::Ids;

settings! {
    /// The settings of the server as a whole.
    pub struct Server {
        /// Where the server listens for clients.
        pub listen: Listening = Listening::blank(),
        /// Limits on the number of clients, and their greeting.
        pub clients: Clients = Clients::blank(),
        /// Limits on the time and the attempts of a login.
        pub login: LoginRules = LoginRules::blank(),
        /// How users are asked about that the settings do not have.
        pub elsewhere: Elsewhere = Elsewhere::blank(),
        /// Settings of passive data connections.
        pub passive: Passive = Passive::blank(),
        /// Settings of active and passive data connections.
        pub data: DataRules = DataRules::blank(),
        /// The balancers that say for whom they connect.
        pub balancers: Balancers = Balancers::blank(),
        /// Rules for banning addresses.
        pub bans: BanRules = BanRules::blank(),
        /// The log and the transfer log.
        pub log: LogRules = LogRules::blank(),
        /// How hook programs are run.
        pub hooks: HookRules = HookRules::blank(),
        /// Limits on judging uploads.
        pub gate: GateLimits = GateLimits::blank(),
        /// Which events are sent, and where to.
        pub events: EventRules = EventRules::blank(),
        /// Settings of part files, the state directory, `users_file` and shared storage.
        pub storage: Storage = Storage::blank(),
        /// How retention removes files.
        pub retention: Retention = Retention::blank(),
        /// Where administrators and monitoring connect.
        pub admin: Admin = Admin::blank(),
        /// The keys of `[server]` about anonymous users.
        pub anonymous: Anonymous = Anonymous::blank(),
        /// The keys of `[server]` about TLS.
        pub tls: TlsKeys = TlsKeys::blank(),
        /// The process: its user, its sandbox and how it stops.
        pub process: Process = Process::blank(),
    }
}

settings! {
    /// Where the server listens for clients.
    pub struct Listening {
        /// Addresses and host names to listen on.
        pub ip: Vec<String> = Vec::new(),
        /// The control port; 0 lets the system choose one.
        pub port: u16 = 0,
        /// The port on which a connection begins with a TLS handshake; 0: none.
        pub implicit_port: u16 = 0,
    }
}

settings! {
    /// Limits on the number of clients, and their greeting.
    pub struct Clients {
        /// Maximum number of clients at once, which is also the size of the worker pool.
        pub max: usize = 1,
        /// Maximum number of clients at once from one address; `None`: no limit.
        pub max_per_ip: Option<usize> = None,
        /// Text of the greeting (reply 220).
        pub welcome_msg: String = String::new(),
    }
}

settings! {
    /// Time and attempts for a login.
    pub struct LoginRules {
        /// Time from the connect to a successful login; `None`: no limit.
        pub timeout: Option<Duration> = None,
        /// Number of wrong passwords after which the connection is closed; `None`: no limit.
        pub max_attempts: Option<usize> = None,
        /// Number of threads that check hashed passwords.
        pub password_workers: usize = 1,
    }
}

settings! {
    /// How users are asked about that the settings do not have, and what they may be given.
    pub struct Elsewhere {
        /// The program that is asked.
        pub program: Option<Arc<Program>> = None,
        /// The URL that is asked instead of a program.
        pub url: Option<Url> = None,
        /// File with the authorities that are trusted for https URLs; `None`: those of the system.
        pub ca_file: Option<PathBuf> = None,
        /// How the program is asked.
        pub protocol: AuthProtocol = AuthProtocol::Json,
        /// Directory below which the homes lie.
        pub homes: Option<PathBuf> = None,
        /// What these users may do at most.
        pub perm: PermSet = PermSet::default(),
        /// Whether an answer may name a system user to act as.
        pub run_as: bool = false,
        /// How long a login waits for an answer, its turn included.
        pub timeout: Duration = Duration::from_secs(10),
        /// Number of logins that are asked about at once.
        pub workers: usize = 1,
        /// How long an answer that accepts a login holds; `None`: for this login alone.
        pub cache: Option<Duration> = None,
    }
}

impl Elsewhere {
    /// Returns whether anything is asked about users that the settings do not have.
    pub fn is_on(&self) -> bool {
        self.program.is_some() || self.url.is_some()
    }
}

settings! {
    /// Settings of passive data connections.
    pub struct Passive {
        /// Ports on which passive data connections are accepted.
        pub ports: PortRange = PortRange { first: 1, last: u16::MAX },
        /// Address or host name sent in PASV replies instead of the server's own address.
        pub masquerade_address: Option<String> = None,
        /// Clients that are sent the server's own address even if `masquerade_address` is set.
        pub masquerade_except: Vec<Peers> = Vec::new(),
    }
}

settings! {
    /// Settings of active and passive data connections, and the speed of all transfers together.
    pub struct DataRules {
        /// Local port of active data connections; 0: any port.
        pub active_port: u16 = 0,
        /// Whether data connections may go to and come from hosts other than the client.
        pub allow_fxp: bool = false,
        /// Maximum time for a data connection to open, or to be without progress; `None`: no
        /// limit.
        pub timeout: Option<Duration> = None,
        /// Maximum speed of all uploads together, in bytes per second; `None`: no limit.
        pub max_upload: Option<NonZeroU64> = None,
        /// Maximum speed of all downloads together, in bytes per second; `None`: no limit.
        pub max_download: Option<NonZeroU64> = None,
    }
}

settings! {
    /// The balancers that say for whom they connect, by the PROXY protocol.
    pub struct Balancers {
        /// Their addresses.
        pub from: Vec<IpNet> = Vec::new(),
        /// How long their header may take.
        pub timeout: Duration = Duration::from_secs(10),
        /// Whether they send it on passive data connections too.
        pub data: bool = false,
    }
}

impl Balancers {
    /// Returns whether a connection from this address must begin with a header.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.from.iter().any(|prefix| prefix.contains(&address))
    }
}

settings! {
    /// Rules for banning addresses.
    pub struct BanRules {
        /// Number of failures after which an address is banned; `None`: addresses are not banned.
        pub after: Option<usize> = None,
        /// Time within which failures are counted together; `None`: as long as the server runs.
        pub window: Option<Duration> = None,
        /// How long a ban lasts; `None`: until it is lifted by hand.
        pub time: Option<Duration> = None,
        /// Clients that are never banned.
        pub exempt: Vec<Peers> = Vec::new(),
    }
}

settings! {
    /// The log and the transfer log.
    pub struct LogRules {
        /// Whether the server writes a log.
        pub enabled: bool = true,
        /// The least severe level that is logged.
        pub level: LevelFilter = LevelFilter::Info,
        /// Where the log is written to.
        pub to: LogTo = LogTo::Stderr,
        /// The format of the lines of the log.
        pub form: LogForm = LogForm::Text,
        /// The file that the transfer log is appended to, if there is one.
        pub transfers: Option<PathBuf> = None,
    }
}

settings! {
    /// How hook programs are run.
    pub struct HookRules {
        /// Maximum number of hook programs at once.
        pub workers: usize = 1,
        /// How long one program may run; `None`: no limit.
        pub timeout: Option<Duration> = None,
    }
}

settings! {
    /// Which events are sent, and where to.
    pub struct EventRules {
        /// Where they are sent; `None`: nowhere.
        pub to: Option<EventsTo> = None,
        /// Which of them are sent.
        pub kinds: Occasions = Occasions::default(),
        /// The key of the signature that goes with each event.
        pub secret: Option<Secret> = None,
        /// How much of what has not been sent yet is kept.
        pub kept: EventsKept = EventsKept { bytes: 1 << 20, age: Duration::from_secs(60) },
    }
}

settings! {
    /// Settings of part files, the state directory, `users_file` and shared storage.
    pub struct Storage {
        /// How long the part file of a failed upload is kept so that the client can resume it;
        /// `None`: it is removed at once.
        pub keep_parts: Option<Duration> = None,
        /// Directory in which the server records its part files and the last logins.
        pub state_dir: Option<PathBuf> = None,
        /// File or directory with more sections of users.
        pub users_file: Option<PathBuf> = None,
        /// Whether other servers serve the same homes.
        pub shared: bool = false,
    }
}

settings! {
    /// How retention removes files.
    pub struct Retention {
        /// Files are not removed for this long after they were stored.
        pub grace: Duration = Duration::from_secs(600),
        /// Nothing is removed for this long after a rule is new.
        pub delay: Duration = Duration::from_secs(86_400),
    }
}

settings! {
    /// Where administrators and monitoring connect.
    pub struct Admin {
        /// Unix socket for the commands of administrators.
        pub socket: Option<PathBuf> = None,
        /// Address on which the server answers HTTP with the metrics and the status page.
        pub metrics: Option<Listen> = None,
    }
}

settings! {
    /// The keys of `[server]` about anonymous users.
    pub struct Anonymous {
        /// Whether anonymous users may log in.
        pub enabled: bool = false,
        /// Home directory of anonymous users.
        pub path: Option<PathBuf> = None,
        /// Permissions of anonymous users.
        pub perm: PermSet = PermSet::default(),
    }
}

settings! {
    /// The keys of `[server]` about TLS.
    pub struct TlsKeys {
        /// Where the certificate comes from.
        pub cert: CertificateSource = CertificateSource::None,
        /// File with the private key of the certificate.
        pub key: Option<PathBuf> = None,
        /// Directory for a certificate that the server makes itself.
        pub dir: Option<PathBuf> = None,
        /// Lowest version of TLS that is accepted.
        pub min_version: TlsVersion = TlsVersion::V1_3,
        /// Whether data connections must resume the TLS session of their control connection.
        pub resume: Resume = Resume::Require,
        /// File with the authorities that sign the certificates of clients.
        pub client_ca: Option<PathBuf> = None,
        /// Whether a client must present a certificate.
        pub client_cert: ClientCertificate = ClientCertificate::Required,
    }
}

settings! {
    /// The process: its user, its sandbox and how it stops.
    pub struct Process {
        /// User and group that a server started as root switches to.
        pub user: Option<Ids> = None,
        /// Name or number of the user to switch to, as written in the file.
        pub(in crate::config) user_name: Option<String> = None,
        /// Group to switch to instead of the primary group of the user.
        pub(in crate::config) group: Option<u32> = None,
        /// Whether the kernel confines the process to the directories it needs.
        pub sandbox: Confine = Confine::Require,
        /// How long running transfers may continue after the server was told to stop.
        pub shutdown_grace: Duration = Duration::ZERO,
    }
}
