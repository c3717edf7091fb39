//! The key table: all that is known about each key of `ftpd.ini`.
//!
//! Parsing, defaults, the sample's comments and the manual page are read off `KEYS`; nothing
//! else in the tree lists the names.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use log::LevelFilter;

use super::confine::Confine;
use super::day::Day;
use super::error::Fault;
use super::hook::{Occasion, Program};
use super::perm::PermSet;
use super::settings::{Rules, Server, User};
use super::tls::{CertificateSource, ClientCertificate, Resume, TlsRequired, TlsVersion};
use super::value::{self, Listen, LogForm, LogTo, Password, Peers, PortRange};
use crate::rights::{self, Ids};

/// One key.
pub struct Key {
    /// In lower case.
    pub name: &'static str,
    /// What holds without it, as an administrator would write it. A user's key without a
    /// default must be there; one that may stand in both sections defaults to the server's.
    pub default: Option<&'static str>,
    /// How its value is read, and where it goes.
    pub kind: Kind,
    /// For the sample and the manual.
    pub help: &'static str,
    /// Whether a change takes a restart.
    pub restarts: bool,
}

/// Where a value goes, and with that the section in which the key may stand.
pub enum Set<V> {
    /// `[server]` alone.
    Server(fn(&mut Server, V)),
    /// `[user:NAME]` alone.
    User(fn(&mut User, V)),
    /// Either: the server's holds for users that do not have their own.
    Both(fn(&mut Rules, V)),
}

/// How a value is read.
pub enum Kind {
    /// Any text.
    Text(Set<String>),
    /// Comma-separated addresses and names.
    Hosts(Set<Vec<String>>),
    /// A port, or an address and a port, or nothing.
    Listen(Set<Option<Listen>>),
    /// One address or name, or nothing.
    Host(Set<Option<String>>),
    /// A whole number.
    Number(RangeInclusive<u64>, Set<u64>),
    /// A number of things, with 0 for no limit.
    Bound(RangeInclusive<u64>, Set<Option<usize>>),
    /// Ports.
    Ports(Set<PortRange>),
    /// A duration, with 0 for none.
    Time(Set<Option<Duration>>),
    /// Bytes per second, with 0 for no limit.
    Rate(Set<Option<NonZeroU64>>),
    /// On or off.
    Switch(Set<bool>),
    /// A directory that must be there, unless the user's section says that it will be made.
    Folder(Set<PathBuf>),
    /// A day of the calendar, or nothing.
    Day(Set<Option<Day>>),
    /// A directory, or nothing. Only who uses it knows whether it must be there.
    LateFolder(Set<Option<PathBuf>>),
    /// A file to write, or nothing; its directory must be there.
    File(Set<Option<PathBuf>>),
    /// A file to write, the system's log, or nothing.
    Log(Set<LogTo>),
    /// Permission letters.
    Perm(Set<PermSet>),
    /// Addresses and prefixes.
    Prefixes(Set<Vec<IpNet>>),
    /// Addresses, prefixes and the word `local`.
    Peers(Set<Vec<Peers>>),
    /// Octal permission bits.
    Umask(Set<u32>),
    /// How much is logged.
    Level(Set<LevelFilter>),
    /// A password.
    Password(Set<Password>),
    /// One of some words.
    Word(&'static [&'static str], Set<&'static str>),
    /// A PEM file, the word `auto`, or nothing.
    Certificate(Set<CertificateSource>),
    /// A file or a directory, or nothing.
    FileOrFolder(Set<Option<PathBuf>>),
    /// A file to read, or nothing.
    Readable(Set<Option<PathBuf>>),
    /// A program with its arguments, or nothing.
    Program(Set<Option<Arc<Program>>>),
    /// A user of the system, or nothing. Only with its group it is known whether there is one.
    Account(Set<Option<String>>),
    /// A group of the system, or nothing.
    Group(Set<Option<u32>>),
    /// A user of the system, with a group behind a colon if it is not the user's own; or nothing.
    RunAs(Set<Option<Arc<Ids>>>),
}

/// The two kinds of section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `[server]`.
    Server,
    /// `[user:NAME]`.
    User,
    /// Either.
    Both,
}

/// What the setters write to.
pub(super) enum Target<'a> {
    Server(&'a mut Server, &'a mut Rules),
    User(&'a mut User),
}

use Kind::{
    Account, Bound, Certificate, Day as Date, File, FileOrFolder, Folder, Group, Host, Hosts,
    LateFolder, Level, Number, Peers as PeerList, Perm, Ports, Prefixes, Program as Prog, Rate,
    Readable, RunAs, Switch, Text, Time, Umask, Word,
};
use Set::{Both, Server as InServer, User as InUser};

const fn key(name: &'static str, default: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { name, default: Some(default), kind, help, restarts: false }
}

const fn required(name: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { name, default: None, kind, help, restarts: false }
}

/// A key of `[server]` that is looked at when the server starts, and not again.
const fn fixed(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    help: &'static str,
) -> Key {
    Key { name, default: Some(default), kind, help, restarts: true }
}

/// Every key, in the order in which the sample and the manual print them.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    fixed("ip", "0.0.0.0", Hosts(InServer(|to, v| to.listen.ip = v)),
        "Comma-separated addresses and host names to listen on. :: is every address, IPv6 and IPv4."),
    fixed("port", "2121", Number(0..=65535, InServer(|to, v| to.listen.port = small(v))),
        "Control port. 21 is the usual one and needs root; 0 lets the system choose."),
    key("welcome_msg", "Welcome", Text(InServer(|to, v| to.clients.welcome_msg = v)),
        "Text of the greeting."),
    fixed("max_cons", "150", Number(1..=65535, InServer(|to, v| to.clients.max = wide(v))),
        "Clients served at once; the bound of the worker pool. When all places are taken, and two thirds of them by clients that have not logged in, one of those makes room."),
    key("max_per_ip", "10", Bound(0..=65535, InServer(|to, v| to.clients.max_per_ip = v)),
        "Clients served at once from one address; an IPv6 client counts with its /64."),
    key("max_per_user", "0", Bound(0..=65535, Both(|to, v| to.limits.max_per_user = v)),
        "Sessions of one user at once."),
    key("passive_ports", "50000-50200", Ports(InServer(|to, v| to.passive.ports = v)),
        "Ports for passive data connections; open them in the firewall. Both ends belong to the range; the control port is skipped."),
    key("masquerade_address", "", Host(InServer(|to, v| to.passive.masquerade_address = v)),
        "IPv4 address or host name sent in PASV replies, for a server behind a router. A name is looked up again as it ages."),
    key("masquerade_except", "", PeerList(InServer(|to, v| to.passive.masquerade_except = v)),
        "Peers that are sent the server's own address instead: comma-separated addresses and prefixes, or local for loopback, private and link-local peers."),
    key("active_port", "0", Number(0..=65535, InServer(|to, v| to.data.active_port = small(v))),
        "Active data connections leave from this port. 20 is the usual one and needs root; 0 is any port."),
    key("allow_fxp", "off", Switch(InServer(|to, v| to.data.allow_fxp = v)),
        "Let data connections go to and come from other hosts than the client."),
    key("allow_from", "", Prefixes(Both(|to, v| to.limits.allow_from = v)),
        "Comma-separated addresses and prefixes that logins may come from. Empty: anywhere."),
    key("idle_timeout", "300", Time(Both(|to, v| to.limits.idle_timeout = v)),
        "End a session on which no command arrives for this long."),
    key("login_timeout", "60", Time(InServer(|to, v| to.login.timeout = v)),
        "End a session that has not logged in after this long."),
    key("data_timeout", "60", Time(InServer(|to, v| to.data.timeout = v)),
        "Give up a data connection that is not opened, or makes no progress, for this long. A passive port that no transfer uses for this long is closed."),
    key("max_upload", "0", Rate(Both(|to, v| to.limits.max_upload = v)),
        "Bytes per second of one transfer from client to server (STOR, APPE, STOU)."),
    key("max_download", "0", Rate(Both(|to, v| to.limits.max_download = v)),
        "Bytes per second of one transfer from server to client (RETR)."),
    key("max_login_attempts", "3", Bound(0..=100, InServer(|to, v| to.login.max_attempts = v)),
        "Wrong passwords after which the connection is closed. Each of them takes longer than the one before."),
    key("ban_after", "20", Bound(0..=65535, InServer(|to, v| to.bans.after = v)),
        "Ban an address after so many failures within ban_window; see BANS in ftpd.ini(5). 0: never."),
    key("ban_window", "10m", Time(InServer(|to, v| to.bans.window = v)),
        "Failures count together for this long, from the first one on. 0: for as long as the server runs."),
    key("ban_time", "1h", Time(InServer(|to, v| to.bans.time = v)),
        "How long a ban holds. 0: until it is lifted (ftpd unban) or the server ends."),
    key("ban_exempt", "local", PeerList(InServer(|to, v| to.bans.exempt = v)),
        "Addresses that are never banned: comma-separated addresses and prefixes, or local for loopback, private and link-local ones."),
    key("password_workers", "2", Number(1..=64, InServer(|to, v| to.login.password_workers = wide(v))),
        "So many hashed passwords are checked at once; other logins wait for their turn, within login_timeout. It bounds the memory and processors that a flood of logins can take."),
    key("umask", "022", Umask(Both(|to, v| to.files.umask = v)),
        "Permission bits that new files and directories do not get, in octal."),
    key("chmod_mask", "0777", Umask(Both(|to, v| to.files.chmod_mask = v)),
        "Permission bits that SITE CHMOD may set, in octal. The set-user-ID, set-group-ID and sticky bits are never set; a directory keeps those it has, and a change that would cost it its set-group-ID bit is refused."),
    key("allow_overwrite", "on", Switch(Both(|to, v| to.uploads.overwrite = v)),
        "Let uploads and renames replace a file. off: the name must be new; an upload whose name another session takes meanwhile gets a number behind it."),
    key("world_readable_only", "off", Switch(Both(|to, v| to.files.world_readable_only = v)),
        "Serve only files that everybody may read (chmod o+r), whatever the server's user may read."),
    key("create_home", "off", Switch(Both(|to, v| to.files.create_home = v)),
        "Make a home that is missing when its user logs in, with the directories above it; see HOMES in ftpd.ini(5)."),
    key("login_msg", "Logged in", Text(Both(|to, v| to.messages.login = v)),
        "Text of the reply to a login."),
    key("folder_message", "off", Switch(Both(|to, v| to.messages.folder = v)),
        "Show the text of the file .message in a directory to clients that enter it with CWD."),
    key("atomic_uploads", "on", Switch(Both(|to, v| to.uploads.atomic = v)),
        "Write an upload to a hidden part file and put it in place when it is whole; until then, and if it fails, the old version stays. off: write to the file itself, as other servers do."),
    key("sync_uploads", "off", Switch(Both(|to, v| to.uploads.sync = v)),
        "Write an upload through to the disk before it is put in place and the client is told that it is whole. Slow; see UPLOADS in ftpd.ini(5) for what it protects from."),
    fixed("keep_parts", "1d", Time(InServer(|to, v| to.storage.keep_parts = v)),
        "Keep what has arrived of a failed upload for this long, for its user to go on with. 0: not at all. Of more than 50,000 the oldest is removed that the user with most of them has."),
    fixed("state_dir", "ftpd-state", LateFolder(InServer(|to, v| to.storage.state_dir = v)),
        "Directory in which the server writes down where it has part files, to find them after a crash, and when each user was here last. It is made when it is needed. Empty: nowhere."),
    fixed("admin_socket", "ftpd-state/admin.sock", LateFolder(InServer(|to, v| to.admin.socket = v)),
        "Unix socket that ftpd who, top, kick, reload, stop and the like talk to; its mode lets in the server's user and root. Empty: none."),
    fixed("metrics_listen", "", Kind::Listen(InServer(|to, v| to.admin.metrics = v)),
        "Where HTTP tells metrics (/metrics, for Prometheus) and shows a page for people (/): a port on this machine's loopback address, such as 9121, or address:port. Whoever reaches it sees users, addresses and paths. Empty or 0: nowhere."),
    key("on_upload", "", Prog(Both(|to, v| to.hooks.set(Occasion::Upload, v))),
        "Program that is started, with these arguments and without a shell, when an upload is in place; see HOOKS in ftpd.ini(5). Empty: none."),
    key("on_download", "", Prog(Both(|to, v| to.hooks.set(Occasion::Download, v))),
        "The same when a download has ended, well or not."),
    key("on_delete", "", Prog(Both(|to, v| to.hooks.set(Occasion::Delete, v))),
        "The same when a file was deleted."),
    key("on_rename", "", Prog(Both(|to, v| to.hooks.set(Occasion::Rename, v))),
        "The same when a file or directory was renamed."),
    key("on_login", "", Prog(Both(|to, v| to.hooks.set(Occasion::Login, v))),
        "The same when a user has logged in."),
    key("hook_workers", "2", Number(1..=64, InServer(|to, v| to.hooks.workers = wide(v))),
        "Maximum number of hook programs at once; others queue."),
    fixed("hook_timeout", "60", Time(InServer(|to, v| to.hooks.timeout = v)),
        "End one of these programs that runs for longer than this."),
    key("users_file", "", FileOrFolder(InServer(|to, v| to.storage.users_file = v)),
        "File with more [user:NAME] sections, or a directory whose files *.ini have them. Relative paths in them start from the folder of this file, too."),
    key("enable_anonymous", "off", Switch(InServer(|to, v| to.anonymous.enabled = v)),
        "Let anonymous and ftp, in upper or lower case, log in with any password; the same as enabled in [anonymous]. A [user:NAME] section of exactly the name that is sent goes first."),
    key("anonymous_path", "", LateFolder(InServer(|to, v| to.anonymous.path = v)),
        "Home of anonymous users. The same as home in [anonymous]."),
    key("anonymous_perm", "elr", Perm(InServer(|to, v| to.anonymous.perm = v)),
        "Permission letters of anonymous users. The same as perm in [anonymous]."),
    key("enable_logging", "on", Switch(InServer(|to, v| to.log.enabled = v)),
        "Write a log. The environment variable RUST_LOG goes before it."),
    key("log_level", "info", Level(InServer(|to, v| to.log.level = v)),
        "How much is logged: error, warn, info, debug or trace. The environment variable RUST_LOG goes before it."),
    key("log_file", "", Kind::Log(InServer(|to, v| to.log.to = v)),
        "File that the log is appended to, or /dev/stdout; or syslog for the system's log (syslog:SOCKET, if that is not /dev/log). Empty: standard error, with levels that systemd's journal understands where it reads that."),
    key("log_format", "text", Word(&LogForm::WORDS, InServer(|to, v| to.log.form = LogForm::of(v))),
        "Lines of text for people, or one object of JSON in each for programs; see LOG in ftpd.ini(5)."),
    key("transfer_log", "", File(InServer(|to, v| to.log.transfers = v)),
        "File that a line in xferlog format is appended to for each transfer. Empty: none."),
    key("shutdown_grace", "10", Time(InServer(|to, v| to.process.shutdown_grace = v.unwrap_or_default())),
        "How long running transfers may go on after Ctrl-C or SIGTERM. 0: not at all."),
    fixed("user", "", Account(InServer(|to, v| to.process.user_name = v)),
        "User of the system, by name or number, for whom a server that was started as root gives root up for good, once ports, logs and keys are open. Empty: it stays who it is. See USERS OF THE SYSTEM in ftpd.ini(5)."),
    fixed("group", "", Group(InServer(|to, v| to.process.group = v)),
        "Group of the system for new files, instead of that user's primary one."),
    fixed("sandbox", "auto", Word(&Confine::WORDS, InServer(|to, v| to.process.sandbox = Confine::of(v))),
        "Let the kernel (Landlock) confine the server to the homes and its own files. auto: as far as the kernel can, and not where programs of hooks would be confined as well; require: do not start without. See SANDBOX in ftpd.ini(5)."),
    key("tls_cert", "", Certificate(InServer(|to, v| to.tls.cert = v)),
        "PEM file with the certificate and its chain, or auto for one that is made and renewed here. Empty: no TLS. A changed file is taken for new connections."),
    key("tls_key", "", Readable(InServer(|to, v| to.tls.key = v)),
        "PEM file with the key of tls_cert."),
    key("tls_dir", "ftpd-tls", LateFolder(InServer(|to, v| to.tls.dir = v)),
        "Directory for the certificate of tls_cert = auto."),
    fixed("tls_implicit_port", "0", Number(0..=65535, InServer(|to, v| to.listen.implicit_port = small(v))),
        "Port on which TLS begins at once, for old clients; 990 is the usual one. 0: none."),
    key("tls_required", "off", Word(&TlsRequired::WORDS, Both(|to, v| to.tls.required = TlsRequired::of(v))),
        "Where TLS is a must: control refuses logins without it, data refuses transfers without it, on refuses both."),
    key("tls_min_version", "1.2", Word(&TlsVersion::WORDS, InServer(|to, v| to.tls.min_version = TlsVersion::of(v))),
        "Lowest version of TLS."),
    key("tls_resume", "prefer", Word(&Resume::WORDS, InServer(|to, v| to.tls.resume = Resume::of(v))),
        "Whether data connections must resume the TLS session of their control connection, which proves that they are the client's. prefer: they may, and the log says whether they do."),
    key("tls_client_ca", "", Readable(InServer(|to, v| to.tls.client_ca = v)),
        "PEM file with the authorities that sign clients' certificates. Empty: none is asked for."),
    key("tls_client_cert", "required", Word(&ClientCertificate::WORDS, InServer(|to, v| to.tls.client_cert = ClientCertificate::of(v))),
        "Whether a client must show a certificate, if tls_client_ca is set."),
    key("tls_require_close_notify", "on", Switch(Both(|to, v| to.tls.require_close_notify = v)),
        "Take an upload over TLS for whole only if the client ends it as TLS asks for. Off for clients that do not."),
    key("like", "", Text(InUser(|_, _| ())),
        "Template whose keys hold for this user where this section does not say otherwise: NAME of [template:NAME]. Empty: none."),
    key("enabled", "on", Switch(InUser(|to, v| to.enabled = v)),
        "off: refuse logins, as if there were no such user."),
    key("expires", "", Date(InUser(|to, v| to.expires = v)),
        "Last day, in local time, on which the user may log in, such as 2026-12-31; afterwards it is as with enabled = off. Empty: no end."),
    required("password", Kind::Password(InUser(|to, v| to.password = Some(v))),
        "A hash that ftpd passwd has made ($argon2id$), one of crypt(3) ($y$, $6$, $5$, $2b$, $2y$, $2a$), or the password in clear text. That may contain any character; put it in double quotes to keep outer spaces."),
    key("perm", "elr", Perm(InUser(|to, v| to.perm = v)),
        "Permission letters: e enter, l list, r retrieve, a append, d delete, f rename, m make directories, w store, M change modes, T set times."),
    key("tls_client", "", Text(InUser(|to, v| to.tls_client = (!v.is_empty()).then_some(v))),
        "Subject or SHA-256 fingerprint of the client certificate that this user must show besides the password."),
    key("run_as", "", RunAs(InUser(|to, v| to.run_as = v)),
        "User of the system as whom this user's sessions open and make files, or USER:GROUP; takes a start as root. Empty: the server's. See USERS OF THE SYSTEM in ftpd.ini(5)."),
    required("home", Folder(InUser(|to, v| to.home = v)),
        "Directory that is the root of what the user sees. {user} stands for the name of the user."),
];

/// Setters of keys whose range fits the field.
fn small(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn wide(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

impl Key {
    /// Where the key may stand.
    pub fn section(&self) -> Section {
        self.kind.section()
    }

    /// Reads `text` and writes the value to its field. Relative paths start from `folder`.
    pub(super) fn set(
        &self,
        text: &str,
        folder: &Path,
        target: &mut Target<'_>,
    ) -> Result<(), Fault> {
        let refused = |why: String| Fault::Value(text.to_owned(), why);
        match &self.kind {
            Text(set) => set.put(target, text.to_owned()),
            Hosts(set) => {
                let hosts: Vec<_> = value::list(text).map(str::to_owned).collect();
                if hosts.is_empty() {
                    return Err(refused("is not a list of addresses or host names".to_owned()));
                }
                for host in &hosts {
                    value::listening(host).map_err(|why| Fault::Value(host.clone(), why))?;
                }
                set.put(target, hosts);
            }
            Host(set) => set.put(target, value::reachable_host(text).map_err(refused)?),
            Kind::Listen(set) => set.put(target, value::listen(text).map_err(refused)?),
            Number(range, set) => set.put(target, value::number(text, range).map_err(refused)?),
            Bound(range, set) => {
                let text = if text.is_empty() { "0" } else { text };
                let bound = value::number(text, range).map_err(refused)?;
                set.put(target, (bound > 0).then(|| wide(bound)));
            }
            Ports(set) => set.put(target, value::ports(text).map_err(refused)?),
            Time(set) => set.put(target, value::time(text).map_err(refused)?),
            Rate(set) => set.put(target, value::rate(text).map_err(refused)?),
            Switch(set) => set.put(target, value::switch(text).map_err(refused)?),
            Folder(set) => set_folder(set, text, folder.join(text), target)?,
            Date(set) => set.put(target, value::day(text).map_err(refused)?),
            LateFolder(set) => set.put(target, (!text.is_empty()).then(|| folder.join(text))),
            File(set) => set.put(target, file_value(text, folder).map_err(refused)?),
            Kind::Log(set) => set.put(
                target,
                match value::syslog(text, folder) {
                    Some(syslog) => syslog,
                    None => file_value(text, folder)
                        .map_err(refused)?
                        .map_or(LogTo::Stderr, LogTo::File),
                },
            ),
            Perm(set) => set.put(target, value::perm(text).map_err(refused)?),
            Prefixes(set) => set.put(target, value::prefixes(text).map_err(refused)?),
            PeerList(set) => set.put(target, value::peers(text).map_err(refused)?),
            Umask(set) => set.put(target, value::umask(text).map_err(refused)?),
            Level(set) => {
                let level = text.parse().map_err(|_| {
                    refused("is none of error, warn, info, debug and trace".to_owned())
                })?;
                set.put(target, level);
            }
            Kind::Password(set) => {
                set.put(target, value::password(text).map_err(Fault::Secret)?);
            }
            Word(words, set) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
                let word = word.or_else(|| switch_word(words, text));
                let why = || refused(format!("is none of {}", words.join(", ")));
                set.put(target, word.ok_or_else(why)?);
            }
            Certificate(set) => set.put(
                target,
                match text {
                    "" => CertificateSource::None,
                    auto if auto.eq_ignore_ascii_case("auto") => CertificateSource::Auto,
                    file => CertificateSource::File(readable(file, folder).map_err(refused)?),
                },
            ),
            FileOrFolder(set) => {
                let path = (!text.is_empty()).then(|| folder.join(text));
                if let Some(Err(why)) = path.as_ref().map(std::fs::metadata) {
                    return Err(refused(format!("is not there: {why}")));
                }
                set.put(target, path);
            }
            Readable(set) => {
                let file = (!text.is_empty()).then(|| readable(text, folder)).transpose();
                set.put(target, file.map_err(refused)?);
            }
            Prog(set) => {
                let program = (!text.is_empty()).then(|| program(text, folder)).transpose();
                set.put(target, program.map_err(refused)?.map(Arc::new));
            }
            Account(set) => set.put(target, (!text.is_empty()).then(|| text.to_owned())),
            RunAs(set) => {
                let ids = (!text.is_empty()).then(|| run_as(text)).transpose();
                set.put(target, ids.map_err(refused)?.map(Arc::new));
            }
            Group(set) => {
                let group = (!text.is_empty()).then(|| rights::group(text)).transpose();
                set.put(target, group.map_err(refused)?);
            }
        }
        Ok(())
    }
}

impl Kind {
    fn section(&self) -> Section {
        match self {
            Text(set) => set.section(),
            Hosts(set) => set.section(),
            Host(set) | Account(set) => set.section(),
            Kind::Listen(set) => set.section(),
            Number(_, set) => set.section(),
            Bound(_, set) => set.section(),
            Ports(set) => set.section(),
            Time(set) => set.section(),
            Rate(set) => set.section(),
            Switch(set) => set.section(),
            Folder(set) => set.section(),
            Date(set) => set.section(),
            LateFolder(set) | File(set) | FileOrFolder(set) | Readable(set) => set.section(),
            Kind::Log(set) => set.section(),
            Word(_, set) => set.section(),
            Certificate(set) => set.section(),
            Prog(set) => set.section(),
            Perm(set) => set.section(),
            Prefixes(set) => set.section(),
            PeerList(set) => set.section(),
            Umask(set) => set.section(),
            Level(set) => set.section(),
            Kind::Password(set) => set.section(),
            Group(set) => set.section(),
            RunAs(set) => set.section(),
        }
    }

    /// What a value looks like, for the manual.
    pub fn describe(&self) -> String {
        match self {
            Text(_) => "text".to_owned(),
            Hosts(_) => "addresses or host names".to_owned(),
            Host(_) => "IPv4 address or host name".to_owned(),
            Kind::Listen(_) => "port or address:port".to_owned(),
            Number(range, _) => format!("{} to {}", range.start(), range.end()),
            Bound(range, _) => format!("{} to {}, 0 is no limit", range.start(), range.end()),
            Ports(_) => "first-last".to_owned(),
            Time(_) => "duration, 0 is none".to_owned(),
            Rate(_) => "size per second, 0 is no limit".to_owned(),
            Switch(_) => "on or off".to_owned(),
            Folder(_) | LateFolder(_) => "directory".to_owned(),
            Date(_) => "day as YYYY-MM-DD".to_owned(),
            File(_) | Readable(_) => "file".to_owned(),
            FileOrFolder(_) => "file or directory".to_owned(),
            Kind::Log(_) => "file or syslog".to_owned(),
            Prog(_) => "program and arguments".to_owned(),
            Word(words, _) => words.join(", "),
            Certificate(_) => "file or auto".to_owned(),
            Perm(_) => "permission letters".to_owned(),
            Prefixes(_) | PeerList(_) => "addresses and prefixes".to_owned(),
            Umask(_) => "octal mask".to_owned(),
            Level(_) => "log level".to_owned(),
            Kind::Password(_) => "password".to_owned(),
            Account(_) => "user name or number".to_owned(),
            Group(_) => "group name or number".to_owned(),
            RunAs(_) => "user or user:group".to_owned(),
        }
    }
}

impl<V> Set<V> {
    fn section(&self) -> Section {
        match self {
            InServer(_) => Section::Server,
            InUser(_) => Section::User,
            Both(_) => Section::Both,
        }
    }

    fn put(&self, target: &mut Target<'_>, value: V) {
        match (self, target) {
            (InServer(set), Target::Server(server, _)) => set(server, value),
            (InUser(set), Target::User(user)) => set(user, value),
            (Both(set), Target::Server(_, rules)) => set(rules, value),
            (Both(set), Target::User(user)) => set(&mut user.rules, value),
            (InServer(_), Target::User(_)) | (InUser(_), Target::Server(..)) => {}
        }
    }
}

/// Switches have more than one spelling, where the words are those of a switch as well.
fn switch_word<'w>(words: &'static [&'static str], text: &str) -> Option<&'w &'static str> {
    let usual = if value::switch(text).ok()? { "on" } else { "off" };
    words.iter().find(|word| **word == usual)
}

fn readable(text: &str, folder: &Path) -> Result<PathBuf, value::Refused> {
    let path = folder.join(text);
    if std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        return Err("is not a file".to_owned());
    }
    match rights::open(&path) {
        Ok(_) => Ok(path),
        Err(why) => Err(format!("cannot be read: {why}")),
    }
}

/// A program must be there and be executable, so that a typo shows before it is needed.
fn program(text: &str, folder: &Path) -> Result<Program, value::Refused> {
    let mut words = value::words(text)?.into_iter();
    let path = folder.join(words.next().unwrap_or_default());
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => {
            Ok(Program { path, args: words.collect() })
        }
        Ok(_) => Err("is not an executable file".to_owned()),
        Err(why) => Err(format!("is not a program: {why}")),
    }
}

/// A user of the system, and its group.
fn run_as(text: &str) -> Result<Ids, value::Refused> {
    let (user, group) = text.split_once(':').unzip();
    let gid = group.map(rights::group).transpose()?;
    Ids::of(user.unwrap_or(text), gid)
}

/// One that does not exist is kept as well: whoever reads the settings may let that be.
fn set_folder(
    set: &Set<PathBuf>,
    text: &str,
    path: PathBuf,
    target: &mut Target<'_>,
) -> Result<(), Fault> {
    let absent = match target {
        Target::User(user) => Absent::of(user),
        Target::Server(..) => Absent::default(),
    };
    let found = folder_value(text, &path, absent);
    if found.is_ok() || matches!(found, Err(Fault::Absent(..))) {
        set.put(target, path);
    }
    found
}

/// Which homes need not be seen by whoever checks the settings.
#[derive(Debug, Clone, Copy, Default)]
struct Absent {
    /// Only its user may be able to see it.
    hidden: bool,
    /// It is made when it is missing.
    to_be_made: bool,
    /// Nobody logs in to it.
    unused: bool,
}

impl Absent {
    fn of(user: &User) -> Self {
        Self {
            hidden: user.run_as.is_some(),
            to_be_made: user.rules.files.create_home,
            unused: !user.enabled,
        }
    }
}

fn folder_value(text: &str, path: &Path, absent: Absent) -> Result<(), Fault> {
    let refused = |why: String| Fault::Value(text.to_owned(), why);
    if text.is_empty() {
        return Err(refused("is not a directory".to_owned()));
    }
    let why = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => return Err(refused("is not a directory".to_owned())),
        Err(why) => why,
    };
    if absent.hidden && why.kind() == std::io::ErrorKind::PermissionDenied {
        return Ok(());
    }
    if why.kind() != std::io::ErrorKind::NotFound {
        return Err(refused(format!("is not a directory: {why}")));
    }
    // a link that leads nowhere is there, and is not followed to make something
    let is_missing = !is_there(path);
    if is_missing && absent.unused {
        return Ok(());
    }
    if is_missing && absent.to_be_made {
        let above = path.ancestors().find(|above| is_there(above)).unwrap_or(path);
        if above.is_dir() {
            return Ok(());
        }
        // a link to a disk that is late may lead somewhere later
        if std::fs::metadata(above).is_ok() {
            let above = above.display();
            return Err(refused(format!("cannot be made: {above} is not a directory")));
        }
    }
    Err(Fault::Absent(text.to_owned(), path.to_owned(), why.to_string()))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn file_value(text: &str, folder: &Path) -> Result<Option<PathBuf>, value::Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let path = folder.join(text);
    if path.is_dir() {
        return Err("is a directory; expected a file".to_owned());
    }
    let parent = path.parent().unwrap_or(folder);
    if parent.is_dir() { Ok(Some(path)) } else { Err("lies in no directory".to_owned()) }
}
