//! `vsftpd.conf`: what it says, and what vsftpd does where it says nothing.

use std::collections::HashMap;

use super::{Imported, Section};
use crate::config;

/// Keys that are taken over, or whose meaning others have a part in. What stands in none of these
/// lists has no equal.
pub(super) const KEYS: [&str; 48] = [
    "anon_max_rate",
    "anon_mkdir_write_enable",
    "anon_other_write_enable",
    "anon_root",
    "anon_upload_enable",
    "anon_world_readable_only",
    "anonymous_enable",
    "ca_certs_file",
    "chmod_enable",
    "connect_from_port_20",
    "data_connection_timeout",
    "dirlist_enable",
    "download_enable",
    "force_local_data_ssl",
    "force_local_logins_ssl",
    "ftp_data_port",
    "ftpd_banner",
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
    "max_clients",
    "max_login_fails",
    "max_per_ip",
    "mdtm_write",
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
    "ssl_enable",
    "strict_ssl_read_eof",
    "vsftpd_log_file",
    "write_enable",
    "xferlog_enable",
    "xferlog_file",
];

/// What holds here in any case, if it says so.
const ALWAYS: [(&str, bool); 21] = [
    ("allow_writeable_chroot", true),
    ("ascii_download_enable", true),
    ("ascii_upload_enable", true),
    ("async_abor_enable", true),
    ("chroot_list_enable", false),
    ("chroot_local_user", true),
    ("guest_enable", false),
    ("hide_ids", false),
    ("lock_upload_files", true),
    ("ls_recurse_enable", false),
    ("pasv_enable", true),
    ("port_enable", true),
    ("ssl_sslv2", false),
    ("ssl_sslv3", false),
    ("ssl_tlsv1", false),
    ("ssl_tlsv1_1", false),
    ("ssl_tlsv1_2", true),
    ("tcp_wrappers", false),
    ("use_localtime", false),
    ("use_sendfile", true),
    ("userlist_enable", false),
];

/// What would be open without them: a comment alone is too little.
const RESTRICTIONS: [&str; 9] = [
    "banned_email_file",
    "cmds_allowed",
    "cmds_denied",
    "deny_email_enable",
    "deny_file",
    "force_anon_data_ssl",
    "force_anon_logins_ssl",
    "secure_email_list_enable",
    "tcp_wrappers",
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
    /// Anonymous users were let in by a list.
    by_list: bool,
}

pub(super) fn import(lines: &[(usize, &str)]) -> Imported {
    let mut server = Section::new("server");
    let mut conf = Conf { values: HashMap::new(), faults: Vec::new(), by_list: false };
    for &(number, line) in lines {
        conf.take(number, line, &mut server);
    }
    conf.network(&mut server);
    conf.limits(&mut server);
    conf.tls(&mut server);
    conf.logs(&mut server);
    conf.anonymous(&mut server);
    server.text.push('\n');
    let mut imported = Imported { text: server.text, faults: Vec::new() };
    if conf.switch("local_enable", false) {
        imported.text += &conf.user().text;
    }
    imported.faults = conf.faults;
    imported
}

impl<'t> Conf<'t> {
    fn take(&mut self, number: usize, line: &'t str, server: &mut Section) {
        let line = line.trim_start();
        let Some((key, value)) = line.split_once('=') else {
            return self.fault(number, "expected key=value");
        };
        if key.trim() != key || value.trim_start() != value {
            return self.fault(number, "vsftpd takes no spaces around =");
        }
        let value = value.trim_end();
        if KEYS.contains(&key) {
            // the last one counts
            self.values.insert(key, (number, value));
        } else if !ALWAYS
            .iter()
            .any(|(always, holds)| *always == key && yes(value) == Some(*holds))
        {
            server.no_equal(&format!("{key}={value}"));
            if RESTRICTIONS.contains(&key) && yes(value) != Some(false) && !value.is_empty() {
                self.by_list |= key == "secure_email_list_enable";
                self.fault(
                    number,
                    format!("{key} restricts what can be done, and has no equal"),
                );
            }
        }
    }

    // this and the next three have many callers, and no hurry
    #[inline(never)]
    fn fault(&mut self, number: usize, why: impl Into<String>) {
        self.faults.push((number, why.into()));
    }

    #[inline(never)]
    fn text(&self, key: &str) -> Option<&'t str> {
        self.values.get(key).map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    #[inline(never)]
    fn switch(&mut self, key: &str, default: bool) -> bool {
        let Some(&(number, value)) = self.values.get(key) else { return default };
        yes(value).unwrap_or_else(|| {
            self.values.remove(key);
            self.fault(number, format!("{key} is neither YES nor NO"));
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
            self.fault(number, format!("{key} is not a number up to {most}"));
        }
        parsed
    }

    fn network(&mut self, server: &mut Section) {
        let mut port = self.number("listen_port", 65_535).unwrap_or(21);
        let implicit = self.switch("implicit_ssl", false) && self.switch("ssl_enable", false);
        if implicit && port != 21 {
            server.set("tls_implicit_port", &port.to_string());
            port = 21;
        } else if implicit {
            server.no_equal("implicit_ssl on port 21; set tls_implicit_port");
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
        let umask = self.umask();
        server.set("umask", &format!("{umask:03o}"));
        let rate = self.number("local_max_rate", u64::MAX).filter(|&rate| rate > 0);
        for key in ["max_upload", "max_download"] {
            if let Some(rate) = rate {
                server.set(key, &rate.to_string());
            }
        }
        match self.number("anon_max_rate", u64::MAX).filter(|&other| other > 0) {
            other if other == rate => {}
            Some(other) => server.no_equal(&format!("anon_max_rate={other}")),
            None => {}
        }
    }

    /// vsftpd takes it for decimal unless it begins with 0, and has 077.
    fn umask(&mut self) -> u32 {
        let Some(&(number, value)) = self.values.get("local_umask") else { return 0o077 };
        let radix = if value.starts_with('0') { 8 } else { 10 };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let mask =
            u32::from_str_radix(value, radix).ok().filter(|&mask| digits && mask <= 0o777);
        mask.unwrap_or_else(|| {
            self.fault(number, "local_umask is not a mask such as 022");
            0o077
        })
    }

    fn tls(&mut self, server: &mut Section) {
        let enabled = self.switch("ssl_enable", false);
        let (logins, data) = (
            self.switch("force_local_logins_ssl", true),
            self.switch("force_local_data_ssl", true),
        );
        let reuse = self.switch("require_ssl_reuse", true);
        let strict = self.values.contains_key("strict_ssl_read_eof");
        let strict = self
            .switch("strict_ssl_read_eof", false)
            .then_some("on")
            .or(strict.then_some("off"));
        let asks = self.switch("require_cert", false);
        if !enabled {
            return;
        }
        let cert = self.text("rsa_cert_file").unwrap_or("/usr/share/ssl/certs/vsftpd.pem");
        server.set("tls_cert", cert);
        // vsftpd looks for the key in the same file
        server.set("tls_key", self.text("rsa_private_key_file").unwrap_or(cert));
        let required = match (logins, data) {
            (true, true) => "on",
            (true, false) => "control",
            (false, true) => "data",
            (false, false) => "off",
        };
        server.set("tls_required", required);
        server.set("tls_resume", if reuse { "require" } else { "prefer" });
        if let Some(strict) = strict {
            server.set("tls_require_close_notify", strict);
        }
        match self.text("ca_certs_file") {
            Some(file) if asks => server.set("tls_client_ca", file),
            Some(file) => {
                server.no_equal(&format!("ca_certs_file={file} without require_cert"));
            }
            None if asks => {
                server.no_equal("require_cert without ca_certs_file; see tls_client_ca");
            }
            None => {}
        }
    }

    fn logs(&mut self, server: &mut Section) {
        if let Some(file) = self.text("vsftpd_log_file") {
            server.set("log_file", file);
        }
        if self.switch("xferlog_enable", false) {
            let file = self.text("xferlog_file").unwrap_or("/var/log/xferlog");
            server.set("transfer_log", file);
        }
    }

    fn anonymous(&mut self, server: &mut Section) {
        let is_said = self.values.contains_key("anonymous_enable");
        let write = self.switch("write_enable", false);
        let mut perm = "e".to_owned();
        for (key, letter) in [("dirlist_enable", "l"), ("download_enable", "r")] {
            if self.switch(key, true) {
                perm += letter;
            }
        }
        let other = self.switch("anon_other_write_enable", false);
        let letters = [
            (other, "df"),
            (self.switch("anon_mkdir_write_enable", false), "m"),
            (self.switch("anon_upload_enable", false), "w"),
        ];
        for (_, letters) in letters.iter().filter(|(said, _)| *said && write) {
            perm += letters;
        }
        if !is_said {
            server.note(
                "anonymous_enable is not set, which vsftpd takes for YES; enable_anonymous is off",
            );
        } else if self.switch("anonymous_enable", false) && self.by_list {
            server
                .note("anonymous users by a list of e-mail addresses; enable_anonymous is off");
        } else if self.switch("anonymous_enable", false) {
            let only_public = self.switch("anon_world_readable_only", true);
            if perm.contains('w') && perm.contains('r') && only_public {
                perm = perm.replace('r', "");
                server.no_equal(
                    "anon_world_readable_only: what was uploaded could not be read, and the letter \
                     r would let it be; it is left out",
                );
            }
            if self.text("anon_root").is_none() {
                server.note("vsftpd serves the home of the system's user ftp");
            }
            server.set("enable_anonymous", "on");
            server.set("anonymous_path", self.text("anon_root").unwrap_or("/srv/ftp"));
            server.set("anonymous_perm", &perm);
            if only_public {
                server.no_equal(
                    "anon_world_readable_only; what the server's user may read is served",
                );
            }
            if self.switch("ssl_enable", false) {
                server.no_equal("clear text for anonymous users alone; see tls_required");
            }
            if perm.contains('w') && !other {
                server.no_equal("anonymous uploads that replace no file; w lets them");
            }
        }
    }

    /// One section to show what the system's users were allowed.
    fn user(&mut self) -> Section {
        let mut user = Section::default();
        for line in [
            "vsftpd's users are those of the system, and their passwords are not here. Nobody can",
            "log in as this one: give each user a section like it, with 'ftpd adduser', or with the",
            "hash from /etc/shadow as the password.",
        ] {
            user.note(line);
        }
        user.text += &Section::new("user:nobody-yet").text;
        user.set("password", NOBODYS);
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
        let root = self.text("local_root");
        let plain = root.filter(|root| root.starts_with('/') && !root.contains('$'));
        if let Some(root) = root.filter(|_| plain.is_none()) {
            user.no_equal(&format!("local_root={root}"));
        }
        user.set("home", plain.unwrap_or("/home/nobody-yet"));
        user
    }
}

fn yes(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "YES" | "TRUE" | "1" => Some(true),
        "NO" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}
