//! The key table, with everything that the server knows about each key of `ftpd.ini`.
//!
//! Reading, defaults, the sample settings and the manual all use `KEYS`; nothing else in `src`
//! lists the names of the keys.

use super::error::Fault;
use super::field::{
    AlsoPerFolder, AlsoPerUser, Field, InFolder, InServer, InUser, InUserAndFolder, Scope,
    Target,
};
use super::hook::Occasion;
use super::kind::{
    ACCOUNT, AGE, AUTH_PROTOCOL, CERTIFICATE, CHARSET, CLIENT_CERTIFICATE, CLIENT_PATH,
    CONFINE, DAY, DIR_MODE, ELSEWHERE, EVENT_KINDS, EVENTS, EVENTS_KEPT, EXPECTED, FILE,
    FILE_MODE, FILE_OR_FOLDER, FILING, FOLDER, GATE_FAIL, GROUP, Given, HOME, HOST, HOSTS,
    JUDGE, LEVEL, LIST_TIME, LISTEN, LOG, LOG_FORM, MASK, OLD_OVERWRITE, OVERWRITE, PASSWORD,
    PASSWORD_FILE, PATIENCE, PATTERNS, PEERS, PERM, PORT, PORTS, PREFIXES, PROGRAM, RATE,
    READABLE, RESUME, ROOM, RUN_AS, SCANNER, SECRET, SIZE, SOCKET, SWITCH, TEXT, TIME,
    TLS_REQUIRED, TLS_VERSION, URL, count, limit,
};
use super::settings::Choice;

/// A key of `ftpd.ini`.
pub struct Key {
    /// The name of the key, in lower case.
    pub name: &'static str,
    /// The default value, as an administrator would write it; `None`: every user must set the key.
    /// If both `[server]` and a user may set the key, a user's default is the value of `[server]`.
    pub default: Option<&'static str>,
    /// How a value of the key is read, and the field that it is written to.
    field: &'static dyn Field,
    /// Description of the key, for the sample settings and the manual.
    pub help: &'static str,
    /// Whether a changed value takes effect only when the server is restarted.
    pub restarts: bool,
}

impl Key {
    /// Returns the sections in which the key may appear.
    pub fn scope(&self) -> Scope {
        self.field.scope()
    }

    /// Returns whether the section of a folder may set the key as well.
    pub fn is_for_folders(&self) -> bool {
        self.field.is_for_folders()
    }

    /// Returns whether values of the key must never be shown.
    pub fn is_secret(&self) -> bool {
        SECRETS.iter().any(|(plain, _)| *plain == self.name) || self.name == "events_secret"
    }

    /// Returns a value as it may be shown: without a secret, or a password or a query in a URL.
    pub(super) fn shown(&self, text: &str) -> String {
        let place = text.find("://").map_or(0, |at| at + 3);
        match text.rfind('@') {
            _ if self.is_secret() && !text.is_empty() => "***".to_owned(),
            Some(at) if self.name == "events" && at > place => {
                let (before, behind) = text.split_at(at);
                let scheme = before.get(..place).unwrap_or_default();
                format!("{scheme}***{behind}")
            }
            _ if matches!(self.name, "events" | "auth_url") && text.starts_with("http") => {
                let query = text.split_once('?');
                query.map_or_else(|| text.to_owned(), |(before, _)| format!("{before}?***"))
            }
            _ => text.to_owned(),
        }
    }

    /// Returns a description of the valid values, for the manual.
    pub fn describe(&self) -> String {
        self.field.describe()
    }

    /// Reads a value and writes it to the key's field of `target`.
    pub(super) fn set(&self, given: &Given<'_>, target: &mut Target<'_>) -> Result<(), Fault> {
        self.field.set(given, target)
    }
}

const fn key(
    name: &'static str,
    default: &'static str,
    field: &'static dyn Field,
    help: &'static str,
) -> Key {
    Key { name, default: Some(default), field, help, restarts: false }
}

/// Makes the row of a key that every user must set.
const fn required(name: &'static str, field: &'static dyn Field, help: &'static str) -> Key {
    Key { default: None, ..key(name, "", field, help) }
}

/// Makes the row of a key of `[server]` that the server reads only when it starts.
const fn fixed(
    name: &'static str,
    default: &'static str,
    field: &'static dyn Field,
    help: &'static str,
) -> Key {
    Key { restarts: true, ..key(name, default, field, help) }
}

/// All keys, in the order of the sample settings and the manual.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    fixed("ip", "0.0.0.0", &InServer(HOSTS, |to, v| to.listen.ip = v),
        "Comma-separated addresses and host names to listen on. :: is every address, IPv6 and IPv4."),
    fixed("port", "2121", &InServer(PORT, |to, v| to.listen.port = v),
        "Control port. 21 is the usual one and needs root or CAP_NET_BIND_SERVICE; 0 lets the system choose."),
    key("welcome_msg", "Welcome", &InServer(TEXT, |to, v| to.clients.welcome_msg = v),
        "Text of the greeting."),
    fixed("max_cons", "150", &InServer(count(1..=65535), |to, v| to.clients.max = v),
        "Maximum number of clients at once, and thus of worker threads. When this many are connected and at least two thirds of them have not logged in, a new client replaces one of those."),
    key("max_per_ip", "10", &InServer(limit(0..=65535), |to, v| to.clients.max_per_ip = v),
        "Maximum number of clients at once from one address; IPv6 clients of one /64 are counted together."),
    key("max_per_user", "0", &AlsoPerUser(limit(0..=65535), |to, v| to.limits.max_per_user = v),
        "Maximum number of sessions of one user at once."),
    key("passive_ports", "50000-50200", &InServer(PORTS, |to, v| to.passive.ports = v),
        "Ports for passive data connections; open them in the firewall. Both ends belong to the range; the control port is skipped."),
    key("masquerade_address", "", &InServer(HOST, |to, v| to.passive.masquerade_address = v),
        "IPv4 address or host name sent in PASV replies, for a server behind a router. A name is looked up again when its address is older than a minute."),
    key("masquerade_except", "", &InServer(PEERS, |to, v| to.passive.masquerade_except = v),
        "Clients that receive the server's own address in PASV replies instead: comma-separated addresses and prefixes, or local for loopback, private and link-local addresses."),
    key("active_port", "0", &InServer(PORT, |to, v| to.data.active_port = v),
        "Local port of active data connections. 20 is the usual one and needs root or CAP_NET_BIND_SERVICE; 0 is any port."),
    key("allow_fxp", "off", &InServer(SWITCH, |to, v| to.data.allow_fxp = v),
        "Allow data connections to and from other hosts than the client."),
    key("proxy_from", "", &InServer(PREFIXES, |to, v| to.balancers.from = v),
        "Comma-separated addresses and prefixes of balancers. Each of their connections must begin with a PROXY header (version 1 or 2), and the client that it names counts as the client. See SEVERAL SERVERS in ftpd(8)."),
    key("proxy_timeout", "10", &InServer(PATIENCE, |to, v| to.balancers.timeout = v),
        "A connection of a balancer is closed if its PROXY header is not complete after this long."),
    key("proxy_data", "off", &InServer(SWITCH, |to, v| to.balancers.data = v),
        "Whether passive data connections come through the balancers as well, each with a PROXY header that names the client. off: clients connect to the server itself for data, and EPSV is refused to clients of a balancer, because it would send them there."),
    key("allow_from", "", &AlsoPerUser(PREFIXES, |to, v| to.limits.allow_from = v),
        "Comma-separated addresses and prefixes from which logins are allowed. Empty: anywhere."),
    key("idle_timeout", "300", &AlsoPerUser(TIME, |to, v| to.limits.idle_timeout = v),
        "A session that sends no command for this long is ended."),
    key("login_timeout", "60", &InServer(TIME, |to, v| to.login.timeout = v),
        "A session that has not logged in after this long is ended."),
    key("data_timeout", "60", &InServer(TIME, |to, v| to.data.timeout = v),
        "A data connection is closed if it is not opened or makes no progress for this long, and a passive port if no transfer uses it for this long."),
    key("max_upload", "0", &AlsoPerFolder(RATE, |to, v| to.max_upload = v),
        "Maximum speed of each transfer from client to server (STOR, APPE, STOU), in bytes per second."),
    key("max_download", "0", &AlsoPerFolder(RATE, |to, v| to.max_download = v),
        "Maximum speed of each transfer from server to client (RETR), in bytes per second."),
    key("user_max_upload", "0", &AlsoPerUser(RATE, |to, v| to.limits.user_max_upload = v),
        "Maximum speed of all uploads of one user together, in bytes per second; see SPEED in ftpd.ini(5)."),
    key("user_max_download", "0", &AlsoPerUser(RATE, |to, v| to.limits.user_max_download = v),
        "Maximum speed of all downloads of one user together, in bytes per second."),
    key("server_max_upload", "0", &InServer(RATE, |to, v| to.data.max_upload = v),
        "Maximum speed of all uploads together, in bytes per second."),
    key("server_max_download", "0", &InServer(RATE, |to, v| to.data.max_download = v),
        "Maximum speed of all downloads together, in bytes per second."),
    key("max_login_attempts", "3", &InServer(limit(0..=100), |to, v| to.login.max_attempts = v),
        "Number of wrong passwords after which the connection is closed. The answer to each takes longer than the one before."),
    key("ban_after", "20", &InServer(limit(0..=65535), |to, v| to.bans.after = v),
        "Number of failures within ban_window after which an address is banned; see BANS in ftpd.ini(5). 0: never."),
    key("ban_window", "10m", &InServer(TIME, |to, v| to.bans.window = v),
        "Period in which failures are counted together, beginning with the first one. 0: as long as the server runs."),
    key("ban_time", "1h", &InServer(TIME, |to, v| to.bans.time = v),
        "How long a ban lasts. 0: until it is lifted (ftpd unban) or the server stops."),
    key("ban_exempt", "local", &InServer(PEERS, |to, v| to.bans.exempt = v),
        "Addresses that are never banned: comma-separated addresses and prefixes, or local for loopback, private and link-local ones."),
    key("password_workers", "2", &InServer(count(1..=64), |to, v| to.login.password_workers = v),
        "Maximum number of hashed passwords that are checked at once; other logins wait for their turn, within login_timeout. This limits the memory and processor time that a flood of logins can take."),
    key("umask", "022", &AlsoPerUser(MASK, |to, v| to.files.umask = v),
        "Permission bits that new files and directories do not get, in octal. SITE UMASK changes them for a session."),
    key("file_mode", "", &AlsoPerFolder(FILE_MODE, |to, v| to.file_mode = v),
        "Mode of new files in octal, such as 0640, whatever umask is; see MODES in ftpd.ini(5). Empty: 0666 without the bits of umask."),
    key("dir_mode", "", &AlsoPerFolder(DIR_MODE, |to, v| to.dir_mode = v),
        "Mode of new directories in octal, such as 0750 or 2770, whatever umask is. Empty: 0777 without the bits of umask."),
    key("make_parents", "off", &AlsoPerFolder(SWITCH, |to, v| to.make_parents = v),
        "Make directories that are missing above a new file (STOR, STOU, APPE) or directory (MKD). Users need the permission letter m; see MODES in ftpd.ini(5). off: 550."),
    key("store_as", "", &AlsoPerFolder(FILING, |to, v| to.store_as = v),
        "Where uploads are filed, below the directory in which the client stores them, such as {year}/{month}/{day}/{name}; see FILING in ftpd.ini(5). Empty: under the name that the client sends."),
    key("chmod_mask", "0777", &AlsoPerUser(MASK, |to, v| to.files.chmod_mask = v),
        "Permission bits that SITE CHMOD may set, in octal. The set-user-ID, set-group-ID and sticky bits are never set; a directory keeps those it has, and a change that would remove its set-group-ID bit is refused."),
    key("allow_symlinks", "off", &AlsoPerUser(SWITCH, |to, v| to.files.allow_symlinks = v),
        "Let clients make symbolic links by SITE SYMLINK, to what lies in the directory of the link or below it. Users need the permission letter w."),
    key("overwrite", "yes", &AlsoPerFolder(OVERWRITE, |to, v| to.overwrite = v),
        "What an upload or a rename does if there is a file of that name. yes: it replaces the file. no: it is refused (553). rename: it gets the name with a number, such as scan (1).pdf, and the reply says so. See COLLISIONS in ftpd.ini(5)."),
    key("allow_overwrite", "", &AlsoPerUser(OLD_OVERWRITE, |to, v| if let Some(v) = v { to.folder.overwrite = v }),
        "Older name of overwrite: on is overwrite = yes, off is overwrite = no."),
    key("max_file_size", "0", &AlsoPerFolder(SIZE, |to, v| to.max_file_size = v),
        "Maximum size of an uploaded file, such as 500M or 2G. An upload that becomes larger fails (552) and leaves nothing behind."),
    key("quota_bytes", "0", &AlsoPerUser(SIZE, |to, v| to.quota.bytes = v),
        "Maximum size of all files in the home together, such as 10G. An upload that needs more fails (552) and leaves nothing behind; see QUOTA in ftpd.ini(5)."),
    key("quota_files", "0", &AlsoPerUser(limit(0..=4_294_967_295), |to, v| to.quota.files = v),
        "Maximum number of files in the home. An upload to one more fails (552)."),
    key("deny_names", "", &AlsoPerFolder(PATTERNS, |to, v| to.deny_names = v),
        "Names that an upload, a rename or a new directory cannot have (553), such as *.exe, *.tmp. Case does not matter."),
    key("allow_names", "", &AlsoPerFolder(PATTERNS, |to, v| to.allow_names = v),
        "If not empty: the only names that an upload, a rename or a new directory can have, such as *.jpg, *.mp4. deny_names counts as well."),
    key("hide", "", &AlsoPerFolder(PATTERNS, |to, v| to.hide = v),
        "Names that listings leave out, such as *.tmp, .git. Clients that know such a name can use it all the same. Case does not matter."),
    key("trash", "off", &AlsoPerFolder(SWITCH, |to, v| to.trash = v),
        "Move what is deleted or replaced to a trash that clients do not see, instead of removing it; see TRASH in ftpd.ini(5)."),
    key("trash_for", "30d", &AlsoPerFolder(AGE, |to, v| to.trash_for = v),
        "How long what was deleted stays in the trash, such as 12h or 30d, at least 1h. 0: until ftpd trash empty."),
    key("keep_for", "", &AlsoPerFolder(AGE, |to, v| to.keep.keep_for = Choice::of(v)),
        "Remove files that were stored longer ago than this, such as 30d; see RETENTION in ftpd.ini(5). Empty: never."),
    key("keep_bytes", "", &AlsoPerFolder(SIZE, |to, v| to.keep.keep_bytes = Choice::of(v.map(Into::into))),
        "Remove the oldest files while the files have more bytes than this together, such as 200G. Empty: never."),
    key("keep_files", "", &AlsoPerFolder(limit(0..=1_000_000_000_000), |to, v| to.keep.keep_files = Choice::of(v.map(|count| count as u64))),
        "Remove the oldest files while there are more than this. Empty: never."),
    key("min_free", "", &AlsoPerFolder(ROOM, |to, v| to.keep.min_free = Choice::of(v)),
        "Remove the oldest files while the file system has less free space than this, such as 5% or 20G, also before an upload begins; if that is not enough, the upload is refused (452). Empty: never."),
    key("keep_grace", "10m", &InServer(TIME, |to, v| to.retention.grace = v.unwrap_or_default()),
        "Retention does not remove files that were stored less than this long ago. 0: it may remove all files that are not in use."),
    key("keep_delay", "24h", &InServer(TIME, |to, v| to.retention.delay = v.unwrap_or_default()),
        "When a rule of retention is new, the log says what it would remove, and nothing is removed for this long, unless ftpd keep --now ends the delay."),
    key("world_readable_only", "off", &AlsoPerUser(SWITCH, |to, v| to.files.world_readable_only = v),
        "Serve only files that everybody may read (chmod o+r), whatever the server's user may read."),
    key("create_home", "off", &AlsoPerUser(SWITCH, |to, v| to.files.create_home = v),
        "Create a missing home, and the directories above it, when its user logs in; see Homes in ftpd.ini(5)."),
    key("start_dir", "", &AlsoPerUser(CLIENT_PATH, |to, v| to.files.start_dir = v),
        "Working directory after the login, as clients see it, such as /upload. If it cannot be entered, sessions start in the home, and the log has a warning. Empty: the home."),
    key("login_msg", "Logged in", &AlsoPerUser(TEXT, |to, v| to.messages.login = v),
        "Text of the reply to a login."),
    key("folder_message", "off", &AlsoPerUser(SWITCH, |to, v| to.messages.folder = v),
        "Show the text of the file .message in a directory to clients that enter it with CWD."),
    key("charset", "utf-8", &AlsoPerUser(CHARSET, |to, v| to.talk.charset = v),
        "Charset in which clients send names and are sent them: utf-8, another one such as gbk, big5, shift_jis, euc-kr or windows-1251, or auto:gbk to find out from the names that a client sends. The files themselves have names in UTF-8. A client that turns UTF-8 on (OPTS UTF8 ON) is spoken to in UTF-8. See CHARSET in ftpd.ini(5)."),
    key("list_time", "utc", &AlsoPerUser(LIST_TIME, |to, v| to.talk.local_time = v),
        "Time zone of the times in LIST: utc, or local for that of the server. MLSD and MDTM are always in UTC."),
    key("atomic_uploads", "on", &AlsoPerUser(SWITCH, |to, v| to.uploads.atomic = v),
        "Write an upload to a hidden part file and put it in place when it is complete; until then, and if the upload fails, the previous version stays. off: write to the file itself, as other servers do."),
    key("sync_uploads", "off", &AlsoPerUser(SWITCH, |to, v| to.uploads.sync = v),
        "Write each upload, and each change of a directory, to the disk before it is confirmed to the client. Slow; see UPLOADS in ftpd.ini(5) for what it protects against."),
    fixed("keep_parts", "1d", &InServer(TIME, |to, v| to.storage.keep_parts = v),
        "How long the part of a failed upload is kept so that its user can resume it. 0: not at all. At most 50,000 parts are kept; beyond that, the user with the most parts loses the oldest."),
    fixed("state_dir", "ftpd-state", &InServer(FOLDER, |to, v| to.storage.state_dir = v),
        "Directory for the server's own records: the last login of each user, and which directories contain part files, to find them after a crash. It is created when it is needed. Empty: nothing is recorded."),
    fixed("shared_storage", "off", &InServer(SWITCH, |to, v| to.storage.shared = v),
        "Whether other servers serve the same homes, on a file system that all of them mount: what only one upload at a time may change is then locked against the uploads of all servers, and an upload that broke off on one server goes on at another. See SEVERAL SERVERS in ftpd(8)."),
    fixed("admin_socket", "ftpd-state/admin.sock", &InServer(SOCKET, |to, v| to.admin.socket = v),
        "Unix socket through which subcommands such as ftpd who, kick and reload talk to the server; only the server's user and root can open it. Empty: none."),
    fixed("metrics_listen", "", &InServer(LISTEN, |to, v| to.admin.metrics = v),
        "HTTP port for metrics (/metrics, for Prometheus) and a status page (/): a port on the loopback address, such as 9121, or address:port. Everybody who can reach it sees users, addresses and paths. Empty or 0: none."),
    key("on_upload", "", &AlsoPerUser(PROGRAM, |to, v| to.hooks.set(Occasion::Upload, v)),
        "Program, with arguments, that is started without a shell when an upload is in place; see HOOKS in ftpd.ini(5). Empty: none."),
    key("on_download", "", &AlsoPerUser(PROGRAM, |to, v| to.hooks.set(Occasion::Download, v)),
        "Program that is started when a download has ended, complete or not."),
    key("on_delete", "", &AlsoPerUser(PROGRAM, |to, v| to.hooks.set(Occasion::Delete, v)),
        "Program that is started when a file was deleted."),
    key("on_rename", "", &AlsoPerUser(PROGRAM, |to, v| to.hooks.set(Occasion::Rename, v)),
        "Program that is started when a file or directory was renamed."),
    key("on_login", "", &AlsoPerUser(PROGRAM, |to, v| to.hooks.set(Occasion::Login, v)),
        "Program that is started when a user has logged in."),
    key("hook_workers", "2", &InServer(count(1..=64), |to, v| to.hooks.workers = v),
        "Maximum number of hook programs at once; others queue."),
    fixed("hook_timeout", "60", &InServer(TIME, |to, v| to.hooks.timeout = v),
        "A hook program that runs for longer than this is ended."),
    key("before_publish", "", &AlsoPerFolder(JUDGE, |to, v| to.gate.program = v),
        "Program, with arguments, that judges each upload before it is put in place; the file to judge is one more argument. Exit status 0 accepts it, 1 refuses it (550). See GATE in ftpd.ini(5). Empty: none."),
    key("scan", "", &AlsoPerFolder(SCANNER, |to, v| to.gate.scan = v),
        "Virus scanner that judges each upload before it is put in place: clamd:/run/clamav/clamd.ctl or clamd:HOST:PORT, the clamd of ClamAV. Empty: none."),
    key("quarantine", "", &AlsoPerFolder(FOLDER, |to, v| to.gate.quarantine = v),
        "Directory, outside of all homes, to which uploads are moved that before_publish or scan refuses. Empty: they are removed."),
    key("gate_fail", "closed", &AlsoPerFolder(GATE_FAIL, |to, v| to.gate.fails_open = v),
        "What becomes of an upload that was not judged, because the program or the scanner failed or took too long. closed: 451, and the client can try again. open: it is accepted, with a warning in the log."),
    key("gate_timeout", "15", &InServer(PATIENCE, |to, v| to.gate.timeout = v),
        "How long an upload waits for a verdict, including the wait for its turn. Many clients give up after 20 seconds without a reply."),
    key("gate_workers", "4", &InServer(count(1..=64), |to, v| to.gate.workers = v),
        "Maximum number of uploads that are judged at once; others queue. With more than 1, one user never takes all of them."),
    key("events", "", &InServer(EVENTS, |to, v| to.events.to = v),
        "Where events are sent, for programs on other machines: an http or https URL, by POST, or mqtt://user:password@host/topic (mqtts over TLS), to an MQTT broker. See EVENTS in ftpd.ini(5). Empty: nowhere."),
    key("event_kinds", "upload, download, delete, rename, mkdir, login, silence", &InServer(EVENT_KINDS, |to, v| to.events.kinds = v),
        "Which events are sent. refused is one more kind: a command of a user that was refused."),
    key("events_secret", "", &InServer(SECRET, |to, v| to.events.secret = v),
        "Secret of the signature in the field X-Ftpd-Signature of each POST (HMAC-SHA256 of the body). Empty: no signature."),
    key("events_keep", "64M, 7d", &InServer(EVENTS_KEPT, |to, v| to.events.kept = v),
        "How much of the events that could not be sent yet is kept in state_dir, and for how long. What goes beyond is dropped, the oldest first."),
    key("users_file", "", &InServer(FILE_OR_FOLDER, |to, v| to.storage.users_file = v),
        "File with more [user:NAME] sections, or a directory whose files *.ini contain them. Relative paths in these files start from the directory of ftpd.ini."),
    key("auth_program", "", &InServer(PROGRAM, |to, v| to.elsewhere.program = v),
        "Program, with arguments, that is asked about users that the settings do not have; see ACCOUNTS FROM ELSEWHERE in ftpd.ini(5). Empty: none."),
    key("auth_url", "", &InServer(URL, |to, v| to.elsewhere.url = v),
        "URL, http or https, that is asked instead of a program, by POST. Empty: none."),
    key("ca_file", "", &InServer(READABLE, |to, v| to.elsewhere.ca_file = v),
        "PEM file with the authorities that are trusted for https URLs. Empty: those of the system."),
    key("auth_protocol", "json", &InServer(AUTH_PROTOCOL, |to, v| to.elsewhere.protocol = v),
        "How auth_program is asked: json, on its standard input; or extauth, as Pure-FTPd asks its scripts, which puts the password into their environment."),
    key("auth_homes", "", &InServer(FOLDER, |to, v| to.elsewhere.homes = v),
        "Directory below which the homes of these users lie. Neither an answer nor a link leads out of it."),
    key("auth_perm", "elr", &InServer(PERM, |to, v| to.elsewhere.perm = v),
        "Permission letters of these users. An answer may name fewer."),
    key("auth_run_as", "off", &InServer(SWITCH, |to, v| to.elsewhere.run_as = v),
        "Let the answer name the system user as which the user's sessions act (run_as, or uid and gid of extauth), but never root; needs a server started as root. off: such an entry is ignored."),
    key("auth_timeout", "10", &InServer(PATIENCE, |to, v| to.elsewhere.timeout = v),
        "How long a login waits for the answer, and for its turn to ask. After that, it is refused with 421, which is no failed login."),
    key("auth_workers", "4", &InServer(count(1..=64), |to, v| to.elsewhere.workers = v),
        "Maximum number of logins that are asked about at once; others wait for their turn."),
    key("auth_cache", "5m", &InServer(TIME, |to, v| to.elsewhere.cache = v),
        "How long an answer that accepts a login holds for further logins with the same name, password, address, TLS version and certificate. A reload forgets all answers. 0: not at all."),
    key("enable_anonymous", "off", &InServer(SWITCH, |to, v| to.anonymous.enabled = v),
        "Allow logins as anonymous or ftp, in upper or lower case, with any password; another name for enabled in [anonymous]. If there is a [user:NAME] section with exactly the spelling that is sent, such as FTP, it takes precedence."),
    key("anonymous_path", "", &InServer(FOLDER, |to, v| to.anonymous.path = v),
        "Home of anonymous users; another name for home in [anonymous]."),
    key("anonymous_perm", "elr", &InServer(PERM, |to, v| to.anonymous.perm = v),
        "Permission letters of anonymous users; another name for perm in [anonymous]."),
    key("enable_logging", "on", &InServer(SWITCH, |to, v| to.log.enabled = v),
        "Write a log. The environment variable RUST_LOG overrides this."),
    key("log_level", "info", &InServer(LEVEL, |to, v| to.log.level = v),
        "How much is logged: error, warn, info, debug or trace. The environment variable RUST_LOG overrides this."),
    key("log_file", "", &InServer(LOG, |to, v| to.log.to = v),
        "File that the log is appended to, or /dev/stdout; or syslog for the system's log (syslog:SOCKET, if that is not /dev/log). Empty: standard error; if systemd's journal reads that, each line has its level."),
    key("log_format", "text", &InServer(LOG_FORM, |to, v| to.log.form = v),
        "Form of each line: text for people, or a JSON object for programs; see LOG in ftpd.ini(5)."),
    key("transfer_log", "", &InServer(FILE, |to, v| to.log.transfers = v),
        "File that a line in xferlog format is appended to for each transfer. Empty: none."),
    key("shutdown_grace", "10", &InServer(TIME, |to, v| to.process.shutdown_grace = v.unwrap_or_default()),
        "How long running transfers may continue after Ctrl-C or SIGTERM, and sessions after ftpd stop --drain. 0: not at all."),
    fixed("user", "", &InServer(ACCOUNT, |to, v| to.process.user_name = v),
        "System user, by name or number, that a server started as root permanently becomes once ports, logs and keys are open. Empty: the user does not change. See USERS OF THE SYSTEM in ftpd.ini(5)."),
    fixed("group", "", &InServer(GROUP, |to, v| to.process.group = v),
        "System group for new files if user is set, instead of that user's primary group."),
    fixed("sandbox", "auto", &InServer(CONFINE, |to, v| to.process.sandbox = v),
        "Let the kernel (Landlock) confine the server to the homes and its own files. auto: as far as the kernel supports it; require: do not start without it. Programs of hooks run outside of it. See SANDBOX in ftpd.ini(5)."),
    key("tls_cert", "", &InServer(CERTIFICATE, |to, v| to.tls.cert = v),
        "PEM file with the certificate and its chain, or auto for a self-signed one that the server makes and renews. Empty: no TLS. A changed file is used for new connections."),
    key("tls_key", "", &InServer(READABLE, |to, v| to.tls.key = v),
        "PEM file with the key of tls_cert."),
    key("tls_dir", "ftpd-tls", &InServer(FOLDER, |to, v| to.tls.dir = v),
        "Directory for the certificate of tls_cert = auto."),
    fixed("tls_implicit_port", "0", &InServer(PORT, |to, v| to.listen.implicit_port = v),
        "Port on which TLS begins at once, for old clients; 990 is the usual one. 0: none."),
    key("tls_required", "off", &AlsoPerUser(TLS_REQUIRED, |to, v| to.tls.required = v),
        "Whether TLS is required: control refuses logins without it, data refuses transfers without it, on refuses both."),
    key("tls_min_version", "1.2", &InServer(TLS_VERSION, |to, v| to.tls.min_version = v),
        "Lowest TLS version that is accepted."),
    key("tls_resume", "prefer", &InServer(RESUME, |to, v| to.tls.resume = v),
        "Whether data connections must resume the TLS session of their control connection, which proves that they come from the same client. prefer: not required, but the log says whether they do."),
    key("tls_client_ca", "", &InServer(READABLE, |to, v| to.tls.client_ca = v),
        "PEM file with the authorities that sign client certificates. Empty: clients are not asked for one."),
    key("tls_client_cert", "required", &InServer(CLIENT_CERTIFICATE, |to, v| to.tls.client_cert = v),
        "Whether a client must present a certificate if tls_client_ca is set."),
    key("tls_require_close_notify", "on", &AlsoPerUser(SWITCH, |to, v| to.tls.require_close_notify = v),
        "Accept an upload over TLS as complete only if the client ends TLS properly (close_notify). off: accept it in any case, for clients that do not."),
    key("like", "", &InUser(TEXT, |_, _| ()),
        "Template whose keys apply to this user unless this section sets them: NAME of [template:NAME]. Empty: none."),
    key("enabled", "on", &InUser(SWITCH, |to, v| to.enabled = v),
        "off: refuse logins, as if there were no such user."),
    key("expect_every", "", &InUser(EXPECTED, |to, v| to.expect_every = v),
        "A warning is logged if nothing is uploaded by the user for this long, such as 1d: a camera may have lost its network. ftpd who, the status page and a metric tell of it as well. At least a minute; empty: never."),
    key("expires", "", &InUser(DAY, |to, v| to.expires = v),
        "Last day, in local time, on which the user may log in, such as 2026-12-31; after it, the user is treated as with enabled = off. Empty: no end."),
    required("password", &InUser(PASSWORD, |to, v| to.password = Some(v)),
        "A hash made by ftpd passwd ($argon2id$) or crypt(3) ($y$, $6$, $5$, $2b$, $2y$, $2a$), or the password in clear text. A password may contain any character; double quotes around it keep spaces at its ends."),
    key("password_file", "", &InUser(PASSWORD_FILE, |to, v| if let Some(v) = v { to.take_password(v) }),
        "File whose first line is the password or its hash, instead of password, such as /run/secrets/{user}; {user} is replaced by the name of the user. A reload reads it again. Empty: none."),
    key("perm", "elr", &InUserAndFolder(PERM, |to, v| to.perm = v),
        "Permission letters: e enter, l list, r retrieve, a append, d delete, f rename, m make directories, w store, M change modes, T set times."),
    key("tls_client", "", &InUser(TEXT, |to, v| to.tls_client = (!v.is_empty()).then_some(v)),
        "Subject or SHA-256 fingerprint of the client certificate that this user must present in addition to the password."),
    key("run_as", "", &InUser(RUN_AS, |to, v| to.run_as = v),
        "System user, or USER:GROUP, as which this user's sessions open and create files; needs a server started as root. Empty: the server's user. See USERS OF THE SYSTEM in ftpd.ini(5)."),
    required("home", &InUser(HOME, |to, v| to.home = v),
        "Directory that is the root of what the user sees. {user} is replaced by the name of the user."),
    key("from", "", &InFolder(ELSEWHERE, |to, v| to.from = v),
        "Directory that clients see as this folder, whatever the home contains under its name; see Folders from elsewhere in ftpd.ini(5). {user} is replaced by the name of the user. Empty: the folder is that of the home."),
];

/// The keys whose values are secret, each with the key that names a file with the value.
const SECRETS: [(&str, &str); 1] = [("password", "password_file")];

/// The older names of keys, each with the key that it sets.
pub(super) const OLDER: [(&str, &str); 1] = [("allow_overwrite", "overwrite")];

/// The keys of a user that an answer of `auth_program` may give. Others start programs, read files of the
/// server, or name users of the settings, or have an effect only for users that are known at the start.
const OF_ANSWERS: [&str; 26] = [
    "home",
    "perm",
    "run_as",
    "enabled",
    "expires",
    "tls_client",
    "tls_required",
    "allow_from",
    "max_per_user",
    "idle_timeout",
    "max_upload",
    "max_download",
    "user_max_upload",
    "user_max_download",
    "max_file_size",
    "quota_bytes",
    "quota_files",
    "umask",
    "chmod_mask",
    "overwrite",
    "world_readable_only",
    "create_home",
    "start_dir",
    "login_msg",
    "charset",
    "list_time",
];

/// Returns whether an answer of `auth_program` may give a key.
pub(super) fn is_of_answers(name: &str) -> bool {
    OF_ANSWERS.contains(&name)
}

/// Returns the other key that sets the same secret: the one for a file with the value, or the one for the
/// value itself.
pub(super) fn other_form(name: &str) -> Option<&'static str> {
    SECRETS.into_iter().find_map(|(plain, file)| match name {
        _ if name == plain => Some(file),
        _ if name == file => Some(plain),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::settings::{Rules, Server, User};

    #[test]
    fn each_default_is_accepted_by_its_own_row() {
        for key in KEYS {
            let (mut server, mut rules) = (Server::blank(), Rules::blank());
            let mut user = User::blank();
            let mut target = match key.scope() {
                Scope::User => Target::User(&mut user),
                Scope::Server | Scope::Both | Scope::Folder => {
                    Target::Server(&mut server, &mut rules)
                }
            };
            if let Some(text) = key.default {
                let given = Given { text, folder: Path::new("/"), user: None };
                assert_eq!(key.set(&given, &mut target), Ok(()), "{}", key.name);
            }
        }
    }

    #[test]
    fn each_secret_has_a_key_for_a_file() {
        for (plain, file) in SECRETS {
            assert_eq!(file, format!("{plain}_file"));
            let names = [plain, file].map(|name| KEYS.iter().find(|key| key.name == name));
            let [Some(plain), Some(file)] = names else {
                panic!("{plain} or {file} is no key")
            };
            assert_eq!(plain.scope(), file.scope());
        }
    }

    #[test]
    fn what_answers_may_give_are_keys_of_users() {
        for name in OF_ANSWERS {
            let key = KEYS.iter().find(|key| key.name == name).unwrap();
            assert_ne!(key.scope(), Scope::Server, "{name}");
        }
    }

    #[test]
    fn key_names_are_unique_and_lower_case() {
        for (at, key) in KEYS.iter().enumerate() {
            assert_eq!(key.name, key.name.to_ascii_lowercase());
            assert!(KEYS[at + 1..].iter().all(|other| other.name != key.name), "{}", key.name);
        }
    }
}
