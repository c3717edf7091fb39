//! `vsftpd.conf`: what it says, and what vsftpd does where it says nothing.

use std::collections::HashMap;
use std::path::PathBuf;

use super::{Imported, Section};
use crate::config;

/// Keys that are taken over, or that decide about others. What stands in none of these lists is no
/// key of vsftpd, which would not start with it.
pub(super) const KEYS: [&str; 71] = [
    "anon_max_rate",
    "anon_mkdir_write_enable",
    "anon_other_write_enable",
    "anon_root",
    "anon_umask",
    "anon_upload_enable",
    "anon_world_readable_only",
    "anonymous_enable",
    "ca_certs_file",
    "chmod_enable",
    "chown_upload_mode",
    "chown_uploads",
    "connect_from_port_20",
    "data_connection_timeout",
    "delete_failed_uploads",
    "dirlist_enable",
    "dirmessage_enable",
    "download_enable",
    "file_open_mode",
    "force_anon_data_ssl",
    "force_anon_logins_ssl",
    "force_local_data_ssl",
    "force_local_logins_ssl",
    "ftp_data_port",
    "ftp_username",
    "ftpd_banner",
    "guest_enable",
    "guest_username",
    "idle_session_timeout",
    "implicit_ssl",
    "listen",
    "listen_address",
    "listen_address6",
    "listen_ipv6",
    "listen_port",
    "local_enable",
    "local_max_rate",
    "local_root",
    "local_umask",
    "log_ftp_protocol",
    "max_clients",
    "max_login_fails",
    "max_per_ip",
    "mdtm_write",
    "message_file",
    "nopriv_user",
    "pasv_addr_resolve",
    "pasv_address",
    "pasv_max_port",
    "pasv_min_port",
    "pasv_promiscuous",
    "port_promiscuous",
    "require_cert",
    "require_ssl_reuse",
    "rsa_cert_file",
    "rsa_private_key_file",
    "run_as_launching_user",
    "ssl_enable",
    "ssl_tlsv1_2",
    "strict_ssl_read_eof",
    "syslog_enable",
    "user_sub_token",
    "userlist_deny",
    "userlist_enable",
    "validate_cert",
    "virtual_use_local_privs",
    "vsftpd_log_file",
    "write_enable",
    "xferlog_enable",
    "xferlog_file",
    "xferlog_std_format",
];

/// What holds here in any case, if it says so; otherwise it has no equal, and opens nothing.
const ALWAYS: [(&str, bool); 17] = [
    ("allow_writeable_chroot", true),
    ("ascii_download_enable", true),
    ("ascii_upload_enable", true),
    ("async_abor_enable", true),
    ("chroot_list_enable", false),
    ("chroot_local_user", true),
    ("lock_upload_files", true),
    ("ls_recurse_enable", true),
    ("ssl_sslv2", false),
    ("ssl_sslv3", false),
    ("ssl_tlsv1", false),
    ("ssl_tlsv11", false),
    ("ssl_tlsv1_1", false),
    ("ssl_tlsv1_3", true),
    ("tilde_user_enable", false),
    ("use_localtime", false),
    ("use_sendfile", true),
];

/// What has no equal here, and whose want opens nothing.
const OTHERS: [&str; 42] = [
    "accept_timeout",
    "allow_anon_ssl",
    "background",
    "better_stou",
    "banner_file",
    "check_shell",
    "chown_username",
    "chroot_list_file",
    "connect_timeout",
    "debug_ssl",
    "delay_failed_login",
    "delay_successful_login",
    "dh_param_file",
    "dsa_cert_file",
    "dsa_private_key_file",
    "dual_log_enable",
    "ecdh_param_file",
    "email_password_file",
    "force_dot_files",
    "http_enable",
    "isolate",
    "isolate_network",
    "no_anon_password",
    "no_log_lock",
    "one_process_model",
    "pam_service_name",
    "passwd_chroot_enable",
    "ptrace_sandbox",
    "reverse_lookup_enable",
    "seccomp_sandbox",
    "secure_chroot_dir",
    "session_support",
    "setproctitle_enable",
    "ssl_ciphers",
    "ssl_request_cert",
    "ssl_sni_hostname",
    "strict_ssl_write_shutdown",
    "text_userdb_names",
    "trans_chunk_size",
    "userlist_file",
    "userlist_log",
    "utf8_filesystem",
];

/// Whom a restriction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Anonymous users.
    Anonymous,
    /// They and all others.
    All,
}

/// When a key restricts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// When it is on.
    On,
    /// When it is off.
    Off,
    /// When it says anything.
    Said,
}

/// What would be open without them and has no equal: a comment alone is too little.
const RESTRICTIONS: [(&str, When, Who); 13] = [
    ("banned_email_file", When::Said, Who::Anonymous),
    ("cmds_allowed", When::Said, Who::All),
    ("cmds_denied", When::Said, Who::All),
    ("deny_email_enable", When::On, Who::Anonymous),
    ("deny_file", When::Said, Who::All),
    ("ftp_enable", When::Off, Who::All),
    ("hide_file", When::Said, Who::All),
    ("hide_ids", When::On, Who::All),
    ("pasv_enable", When::Off, Who::All),
    ("port_enable", When::Off, Who::All),
    ("secure_email_list_enable", When::On, Who::Anonymous),
    ("tcp_wrappers", When::On, Who::All),
    ("user_config_dir", When::Said, Who::All),
];

/// A hash that nobody knows a password for: nobody has ever made it of one.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The longest time that can be set here.
const YEAR: u64 = 365 * 24 * 3600;

/// The lines, and what is wrong with them.
struct Conf<'t> {
    values: HashMap<&'t str, (usize, &'t str)>,
    faults: Vec<(usize, String)>,
    /// Why nobody may be let in by the result.
    all_held: Option<&'static str>,
    /// Why no anonymous user may be.
    anonymous_held: Option<&'static str>,
    /// The home of a user of this system.
    system_user: fn(&str) -> Result<PathBuf, String>,
}

/// What the sessions of anonymous users come under, and those of guests with their rights.
struct Strangers {
    perm: String,
    umask: u32,
    rate: u64,
    public_only: bool,
    may_replace: bool,
}

/// A restriction that would be lost.
const LOST: &str = "a restriction has no equal";

/// A line that vsftpd would not take.
const BROKEN: &str = "a line cannot be read";

pub(super) fn import(
    lines: &[(usize, &str)],
    system_user: fn(&str) -> Result<PathBuf, String>,
) -> Imported {
    let mut server = Section::new("server");
    let mut conf = Conf {
        values: HashMap::new(),
        faults: Vec::new(),
        all_held: None,
        anonymous_held: None,
        system_user,
    };
    for &(number, line) in lines {
        conf.take(number, line, &mut server);
    }
    conf.network(&mut server);
    conf.limits(&mut server);
    conf.tls(&mut server);
    conf.logs(&mut server);
    conf.become_whom(&mut server);
    let strangers = conf.strangers();
    let anonymous = conf.anonymous(&strangers, &mut server);
    let users = conf.switch("local_enable", false).then(|| conf.users(&strangers));
    let mut text = server.text + "\n";
    let all_held = conf.all_held;
    for (section, held) in [(anonymous, all_held.or(conf.anonymous_held)), (users, all_held)] {
        let Some(section) = section else { continue };
        match held {
            None => text += &section.text,
            Some(why) => {
                let mut note = Section::default();
                note.note(&format!("left out, because {why}; to let them in all the same:"));
                text += &(note.text + &section.held());
            }
        }
        text.push('\n');
    }
    Imported { text, faults: conf.faults }
}

impl<'t> Conf<'t> {
    fn take(&mut self, number: usize, line: &'t str, server: &mut Section) {
        let line = line.trim_start();
        let Some((key, value)) = line.split_once('=') else {
            return self.broken(number, "expected key=value");
        };
        if key.trim() != key || value.trim_start() != value {
            return self.broken(number, "vsftpd takes no spaces around =");
        }
        let value = value.trim_end();
        if KEYS.contains(&key) {
            // the last one counts
            self.values.insert(key, (number, value));
            return;
        }
        if ALWAYS.iter().any(|(always, holds)| *always == key && yes(value) == Some(*holds)) {
            return;
        }
        let restriction = RESTRICTIONS.iter().find(|(name, ..)| *name == key);
        let restricts = restriction.filter(|(_, when, _)| match when {
            When::On => yes(value) != Some(false),
            When::Off => yes(value) != Some(true),
            When::Said => !value.is_empty(),
        });
        if let Some((_, _, who)) = restricts {
            server.no_equal(&format!("{key}={value}"));
            self.lost(
                number,
                *who,
                format!("{key} restricts what can be done, and has no equal"),
            );
        } else if restriction.is_none() {
            server.no_equal(&format!("{key}={value}"));
            let is_known = OTHERS.contains(&key) || ALWAYS.iter().any(|(name, _)| *name == key);
            if !is_known {
                self.broken(number, format!("{} is not a key of vsftpd", key.escape_debug()));
            }
        }
    }

    // this and the next five have many callers, and no hurry
    #[inline(never)]
    fn fault(&mut self, number: usize, why: impl Into<String>) {
        self.faults.push((number, why.into()));
    }

    /// A line that says nobody knows what: it may have been a restriction.
    #[inline(never)]
    fn broken(&mut self, number: usize, why: impl Into<String>) {
        self.fault(number, why);
        self.all_held.get_or_insert(BROKEN);
    }

    /// A restriction that cannot be kept.
    #[inline(never)]
    fn lost(&mut self, number: usize, who: Who, why: impl Into<String>) {
        self.fault(number, why);
        match who {
            Who::All => self.all_held = Some(LOST),
            Who::Anonymous => self.anonymous_held = Some(LOST),
        }
    }

    #[inline(never)]
    fn text(&self, key: &str) -> Option<&'t str> {
        self.values.get(key).map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    /// Where a key stands.
    #[inline(never)]
    fn line(&self, key: &str) -> usize {
        self.values.get(key).map_or(0, |(line, _)| *line)
    }

    #[inline(never)]
    fn switch(&mut self, key: &str, default: bool) -> bool {
        let Some(&(number, value)) = self.values.get(key) else { return default };
        yes(value).unwrap_or_else(|| {
            self.values.remove(key);
            self.broken(number, format!("{key} is neither YES nor NO"));
            default
        })
    }

    #[inline(never)]
    fn number(&mut self, key: &str, most: u64) -> Option<u64> {
        let &(number, value) = self.values.get(key)?;
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = value.parse().ok().filter(|&parsed: &u64| digits && parsed <= most);
        if parsed.is_none() {
            self.values.remove(key);
            self.broken(number, format!("{key} is not a number up to {most}"));
        }
        parsed
    }

    /// A mask or a mode, which vsftpd takes for decimal unless it begins with 0.
    fn mode(&mut self, key: &str, default: u32) -> u32 {
        let Some(&(number, value)) = self.values.get(key) else { return default };
        let radix = if value.starts_with('0') { 8 } else { 10 };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let mode =
            u32::from_str_radix(value, radix).ok().filter(|&mode| digits && mode <= 0o777);
        mode.unwrap_or_else(|| {
            self.values.remove(key);
            self.broken(number, format!("{key} is not a mask or mode such as 022"));
            default
        })
    }

    fn network(&mut self, server: &mut Section) {
        let mut port = self.number("listen_port", 65_535).unwrap_or(21);
        if self.is_implicit() {
            // on its own port it speaks no clear text, and it has no other
            server.set("tls_implicit_port", &port.to_string());
            port = if port == 21 { 2121 } else { 21 };
            server.note("vsftpd does not listen here; logins take TLS (AUTH)");
        }
        server.set("port", &port.to_string());
        let (listens, listens_ipv6) =
            (self.switch("listen", false), self.switch("listen_ipv6", false));
        // it listens on one of the two alone
        let key = if listens_ipv6 && !listens { "listen_address6" } else { "listen_address" };
        let addresses: Vec<_> = self.text(key).into_iter().collect();
        if !listens && !listens_ipv6 {
            server.note("vsftpd was started by inetd or the like; this server listens itself");
        }
        if addresses.iter().any(|address| address.parse::<std::net::IpAddr>().is_err()) {
            server.no_equal(&format!("listen_address={}", addresses.join(",")));
            // rather than everywhere
            server.set("ip", "127.0.0.1");
        } else if !addresses.is_empty() {
            server.set("ip", &addresses.join(", "));
        } else if listens_ipv6 {
            server.set("ip", "::");
        }
        let first = self.number("pasv_min_port", 65_535).filter(|&port| port > 0);
        let last = self.number("pasv_max_port", 65_535).filter(|&port| port > 0);
        match (first, last) {
            (Some(first), Some(last)) if first > last || (first, last) == (port, port) => {
                let line = self.values.get("pasv_min_port").map_or(0, |(line, _)| *line);
                self.fault(line, "pasv_min_port to pasv_max_port is no range of ports");
            }
            (Some(first), Some(last)) => {
                server.set("passive_ports", &format!("{first}-{last}"));
            }
            (Some(port), None) => server.no_equal(&format!("pasv_min_port={port} alone")),
            (None, Some(port)) => server.no_equal(&format!("pasv_max_port={port} alone")),
            (None, None) => {}
        }
        if let Some(host) = self.text("pasv_address") {
            if host.contains('"') || !config::is_host(host) {
                server.no_equal(&format!("pasv_address={host}"));
            } else {
                server.set("masquerade_address", host);
            }
        }
        let data_port = self.number("ftp_data_port", 65_535).unwrap_or(20);
        if self.switch("connect_from_port_20", false) {
            server.set("active_port", &data_port.to_string());
        }
        let (pasv, port) =
            (self.switch("pasv_promiscuous", false), self.switch("port_promiscuous", false));
        if pasv && port {
            server.set("allow_fxp", "on");
        } else if pasv || port {
            server.no_equal("pasv_promiscuous or port_promiscuous alone; see allow_fxp");
        }
        self.switch("pasv_addr_resolve", false);
    }

    fn limits(&mut self, server: &mut Section) {
        if let Some(banner) = self.text("ftpd_banner") {
            server.set("welcome_msg", banner);
        }
        match self.number("max_clients", 65_535) {
            Some(0) => server.no_equal("max_clients=0, no limit; see max_cons"),
            Some(most) => server.set("max_cons", &most.to_string()),
            None => {}
        }
        // 0 is no limit with both
        if let Some(most) = self.number("max_per_ip", 65_535) {
            server.set("max_per_ip", &most.to_string());
        }
        for (theirs, ours) in [
            ("idle_session_timeout", "idle_timeout"),
            ("data_connection_timeout", "data_timeout"),
        ] {
            if let Some(seconds) = self.number(theirs, YEAR) {
                server.set(ours, &seconds.to_string());
            }
        }
        match self.number("max_login_fails", u64::MAX) {
            Some(most @ 1..=100) => server.set("max_login_attempts", &most.to_string()),
            Some(most) => server.no_equal(&format!("max_login_fails={most}")),
            None => {}
        }
        // of new files both take away
        let umask = self.mode("local_umask", 0o077) | self.not_opened();
        server.set("umask", &format!("{umask:03o}"));
        let rate = self.number("local_max_rate", u64::MAX).filter(|&rate| rate > 0);
        for key in ["max_upload", "max_download"] {
            if let Some(rate) = rate {
                server.set(key, &rate.to_string());
            }
        }
        if self.switch("delete_failed_uploads", false) {
            server.set("keep_parts", "0");
        }
        let shows = self.switch("dirmessage_enable", false);
        match self.text("message_file") {
            Some(file) if shows && file != ".message" => {
                server.no_equal(&format!("message_file={file}"));
            }
            _ if shows => server.set("folder_message", "on"),
            _ => {}
        }
    }

    /// Bits that `file_open_mode` does not give to new files.
    fn not_opened(&mut self) -> u32 {
        0o666 & !self.mode("file_open_mode", 0o666)
    }

    fn is_implicit(&mut self) -> bool {
        self.switch("implicit_ssl", false) && self.switch("ssl_enable", false)
    }

    fn tls(&mut self, server: &mut Section) {
        let enabled = self.switch("ssl_enable", false);
        let implicit = self.is_implicit();
        let (logins, data) = (
            self.switch("force_local_logins_ssl", true) || implicit,
            self.switch("force_local_data_ssl", true),
        );
        let reuse = self.switch("require_ssl_reuse", true);
        let strict = self.values.contains_key("strict_ssl_read_eof");
        let strict = self
            .switch("strict_ssl_read_eof", false)
            .then_some("on")
            .or(strict.then_some("off"));
        let asks = self.switch("require_cert", false);
        let validates = self.switch("validate_cert", false);
        let newest_alone = !self.switch("ssl_tlsv1_2", true);
        if !enabled {
            return;
        }
        let cert = self.text("rsa_cert_file").unwrap_or("/usr/share/ssl/certs/vsftpd.pem");
        server.set("tls_cert", cert);
        // vsftpd looks for the key in the same file
        server.set("tls_key", self.text("rsa_private_key_file").unwrap_or(cert));
        server.set("tls_required", required(logins, data));
        if newest_alone {
            server.set("tls_min_version", "1.3");
        }
        server.set("tls_resume", if reuse { "require" } else { "prefer" });
        if let Some(strict) = strict {
            server.set("tls_require_close_notify", strict);
        }
        match self.text("ca_certs_file") {
            Some(file) if asks || validates => {
                server.set("tls_client_ca", file);
                if !asks {
                    server.set("tls_client_cert", "optional");
                }
            }
            Some(file) => {
                server.no_equal(&format!("ca_certs_file={file} without require_cert"));
            }
            None if asks => {
                server.no_equal("require_cert without ca_certs_file; see tls_client_ca");
                let why = "require_cert without ca_certs_file restricts what can be done, and \
                           has no equal";
                self.lost(self.line("require_cert"), Who::All, why);
            }
            None => {}
        }
    }

    fn logs(&mut self, server: &mut Section) {
        if self.switch("syslog_enable", false) {
            server.set("log_file", "syslog");
        } else if let Some(file) = self.text("vsftpd_log_file") {
            server.set("log_file", file);
        }
        if self.switch("log_ftp_protocol", false) {
            server.set("log_level", "debug");
        }
        self.switch("xferlog_std_format", false);
        if self.switch("xferlog_enable", false) {
            let file = self.text("xferlog_file").unwrap_or("/var/log/xferlog");
            server.set("transfer_log", file);
        }
    }

    /// vsftpd starts as root, and serves as somebody else.
    fn become_whom(&mut self, server: &mut Section) {
        if self.switch("run_as_launching_user", false) {
            return server.note("run_as_launching_user: start this server as the same user");
        }
        let anonymous = self.switch("anonymous_enable", false);
        let guests = self.switch("guest_enable", false) && self.switch("local_enable", false);
        let mut keys = vec!["nopriv_user"];
        if guests {
            keys.insert(0, "guest_username");
        }
        if anonymous {
            keys.insert(0, "ftp_username");
        }
        let said = keys.into_iter().find_map(|key| Some((key, self.text(key)?)));
        let user = match said {
            Some((key, name)) => match (self.system_user)(name) {
                Ok(_) => name,
                Err(why) => {
                    self.fault(
                        self.line(key),
                        format!("{key}: '{}' {why}", name.escape_debug()),
                    );
                    NOBODY
                }
            },
            None if (anonymous || guests) && (self.system_user)(FTP).is_ok() => FTP,
            None => NOBODY,
        };
        server.note(
            "the user for whom root is given up; without one, root's own files would be served",
        );
        server.set("user", user);
    }

    fn strangers(&mut self) -> Strangers {
        let write = self.switch("write_enable", false);
        let mut perm = "e".to_owned();
        for (key, letter) in [("dirlist_enable", "l"), ("download_enable", "r")] {
            if self.switch(key, true) {
                perm += letter;
            }
        }
        // what a stranger has uploaded becomes another user's there, whom no stranger can act for
        let chown = self.switch("chown_uploads", false);
        let may_replace = self.switch("anon_other_write_enable", false) && write && !chown;
        let letters = [
            (may_replace, "df"),
            (self.switch("anon_mkdir_write_enable", false), "m"),
            (self.switch("anon_upload_enable", false), "w"),
        ];
        for (_, letters) in letters.iter().filter(|(said, _)| *said && write) {
            perm += letters;
        }
        let mut umask = self.mode("anon_umask", 0o077) | self.not_opened();
        let chown_mode = self.mode("chown_upload_mode", 0o600);
        if chown {
            umask |= 0o666 & !chown_mode;
        }
        Strangers {
            perm,
            umask,
            rate: self.number("anon_max_rate", u64::MAX).unwrap_or_default(),
            public_only: self.switch("anon_world_readable_only", true) || chown,
            may_replace,
        }
    }

    fn anonymous(&mut self, strangers: &Strangers, server: &mut Section) -> Option<Section> {
        if !self.values.contains_key("anonymous_enable") {
            server.note(
                "anonymous_enable is not set, which vsftpd takes for YES; here it is off",
            );
            return None;
        }
        if !self.switch("anonymous_enable", false) {
            return None;
        }
        if self.switch("userlist_enable", false) {
            // the list may name them, or name others alone
            let allows = !self.switch("userlist_deny", true);
            let why =
                "userlist_enable: whether anonymous users are let in, depends on the list";
            self.lost(self.line("userlist_enable"), Who::Anonymous, why);
            if allows {
                let why = "userlist_deny=NO lets in those of the list alone, and has no equal";
                self.lost(self.line("userlist_deny"), Who::Anonymous, why);
            }
        }
        let mut section = Section::new("anonymous");
        let ftp = (self.system_user)(self.text("ftp_username").unwrap_or(FTP)).ok();
        let home = self.text("anon_root").map(str::to_owned);
        if home.is_none() {
            section.note("the home of ftp_username");
        }
        let home = home.or_else(|| ftp?.into_os_string().into_string().ok());
        let home = home.unwrap_or_else(|| "/srv/ftp".to_owned());
        if home.starts_with('/') && !home.contains(TOKEN) {
            section.set("home", &home);
        } else {
            section.no_equal(&format!("anon_root={home}"));
            let line = self.line("anon_root");
            self.lost(line, Who::Anonymous, "anon_root is not an absolute path");
        }
        strangers.write_to(&mut section);
        if self.switch("ssl_enable", false) {
            let logins = self.switch("force_anon_logins_ssl", false) || self.is_implicit();
            let data = self.switch("force_anon_data_ssl", false);
            section.set("tls_required", required(logins, data));
        }
        Some(section)
    }

    /// One section to show what the system's users were allowed.
    fn users(&mut self, strangers: &Strangers) -> Section {
        let mut user = Section::default();
        for line in [
            "vsftpd's users are those of the system, or of PAM, and their passwords are not here. Nobody",
            "can log in as this one: give each user a section like it, with 'ftpd adduser', or with the",
            "hash from /etc/shadow as the password. With run_as = NAME the sessions of a user have that",
            "user's rights, as with vsftpd.",
        ] {
            user.note(line);
        }
        if self.switch("userlist_enable", false) {
            let which = if self.switch("userlist_deny", true) { "none" } else { "only those" };
            user.no_equal("userlist_enable=YES");
            user.note(&format!("make sections for {which} of the list"));
        }
        user.text += &Section::new("user:nobody-yet").text;
        user.set("like", "local");
        user.set("password", NOBODYS);
        user.set("enabled", "off");
        user.text += &("\n".to_owned() + &Section::new("template:local").text);
        let guests = self.switch("guest_enable", false);
        let are_strangers = guests && !self.switch("virtual_use_local_privs", false);
        if are_strangers {
            user.note(
                "guest_enable without virtual_use_local_privs: the rights of anonymous users",
            );
            strangers.write_to(&mut user);
        } else {
            self.local_perm(&mut user);
        }
        self.local_home(guests, &mut user);
        user
    }

    fn local_perm(&mut self, user: &mut Section) {
        let (write, list) =
            (self.switch("write_enable", false), self.switch("dirlist_enable", true));
        let read = self.switch("download_enable", true);
        let letters = [
            (true, "e"),
            (list, "l"),
            (read, "r"),
            (write, "adfmw"),
            (write && self.switch("chmod_enable", true), "M"),
            (write && self.switch("mdtm_write", true), "T"),
        ];
        let perm: String =
            letters.iter().filter(|(may, _)| *may).map(|(_, letters)| *letters).collect();
        user.set("perm", &perm);
    }

    /// `local_root`, with the name of the user for the token that stands for it.
    fn local_home(&mut self, guests: bool, user: &mut Section) {
        let guest = self.text("guest_username").unwrap_or(FTP);
        let of_guest = || (self.system_user)(guest).ok()?.into_os_string().into_string().ok();
        let root = match self.text("local_root") {
            Some(root) => Some(root.to_owned()),
            None if guests => of_guest(),
            None => None,
        };
        let Some(root) = root else {
            user.note("vsftpd serves the home that the system has for the user");
            return user.set("home", &format!("/home/{TOKEN}"));
        };
        let token = self.text("user_sub_token");
        let home = token.map_or_else(|| root.clone(), |token| root.replace(token, TOKEN));
        let is_plain = root.starts_with('/') && !root.contains(TOKEN) && !home.contains('$');
        if is_plain {
            return user.set("home", &home);
        }
        user.no_equal(&format!("local_root={root}"));
        user.set("home", &format!("/home/{TOKEN}"));
        let line = self.line("local_root").max(self.line("user_sub_token"));
        self.fault(line, "local_root does not say where a home is");
        self.all_held.get_or_insert("a home is not known");
    }
}

impl Strangers {
    fn write_to(&self, section: &mut Section) {
        section.set("perm", &self.perm);
        section.set("umask", &format!("{:03o}", self.umask));
        for key in ["max_upload", "max_download"] {
            section.set(key, &self.rate.to_string());
        }
        if self.public_only {
            section.set("world_readable_only", "on");
        }
        if !self.may_replace {
            section.set("allow_overwrite", "off");
        }
    }
}

/// Users of the system that vsftpd takes where it is told no others.
const FTP: &str = "ftp";
const NOBODY: &str = "nobody";

/// What stands for the name of the user in a home of ours.
const TOKEN: &str = "{user}";

fn required(logins: bool, data: bool) -> &'static str {
    match (logins, data) {
        (true, true) => "on",
        (true, false) => "control",
        (false, true) => "data",
        (false, false) => "off",
    }
}

fn yes(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "YES" | "TRUE" | "1" => Some(true),
        "NO" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}
