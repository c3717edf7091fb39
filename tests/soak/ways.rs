//! The ways in which the server is set up, one after another.

use std::net::{Ipv6Addr, TcpListener};

use crate::operators::KILLED;
use crate::tls::Tls;

/// One way of setting up the server and its clients.
pub struct Way {
    pub name: &'static str,
    pub about: &'static str,
    /// Additional lines of `[server]`.
    pub settings: &'static str,
    /// The versions of TLS; empty for clear text.
    pub versions: &'static [Tls],
    /// Whether TLS begins with the connection, and not with AUTH.
    pub implicit: bool,
    /// Whether some clients use no TLS.
    pub mixed: bool,
    /// Whether clients have certificates, which their users are bound to.
    pub certificates: bool,
    /// Whether data connections must be protected and resume the session.
    pub strict: bool,
    /// Whether uploads are written to the file in place, and need not be ended by
    /// `close_notify` under TLS.
    pub classic: bool,
    /// Whether the server has no room for all clients, and gives up soon.
    pub limits: bool,
    /// Whether there are strangers that guess passwords and are banned.
    pub bans: bool,
    /// Whether everything else is on as well, and operators are at work: see `operators.rs`.
    pub everything: bool,
    /// Seconds after which the server gives up a data connection without progress.
    pub data_timeout: u64,
    /// Maximum number of bytes per second of an upload and of a download; 0: no limit.
    pub rates: (u64, u64),
}

/// The base of most ways. If the server waits for a data connection without need, a reply comes
/// too late, because the server waits for twice the time in which replies must come.
const USUAL: Way = Way {
    name: "",
    about: "",
    settings: "",
    versions: &[],
    implicit: false,
    mixed: false,
    certificates: false,
    strict: false,
    classic: false,
    limits: false,
    bans: false,
    everything: false,
    data_timeout: 20,
    rates: (0, 0),
};

const BOTH: &[Tls] = &[Tls::V12, Tls::V13];

/// All ways.
pub static WAYS: &[Way] = &[
    Way { name: "plain", about: "clear text", ..USUAL },
    Way { name: "tls12", about: "AUTH TLS, version 1.2", versions: &[Tls::V12], ..USUAL },
    Way { name: "tls13", about: "AUTH TLS, version 1.3", versions: &[Tls::V13], ..USUAL },
    Way {
        name: "implicit",
        about: "TLS at once, both versions",
        versions: BOTH,
        implicit: true,
        ..USUAL
    },
    Way {
        name: "certificates",
        about: "client certificates, protected data connections that resume",
        settings: "tls_required = on\ntls_resume = require\n",
        versions: BOTH,
        certificates: true,
        strict: true,
        ..USUAL
    },
    Way {
        name: "classic",
        about: "uploads in place, clear text and TLS",
        settings: "atomic_uploads = off\ntls_require_close_notify = off\n",
        versions: BOTH,
        mixed: true,
        classic: true,
        ..USUAL
    },
    Way {
        name: "limits",
        about: "little room, slow transfers, short timeouts, clear text and TLS",
        settings: "max_upload = 2M\nmax_download = 3M\nidle_timeout = 8\nlogin_timeout = 8\n",
        versions: BOTH,
        mixed: true,
        limits: true,
        data_timeout: 2,
        rates: (2 << 20, 3 << 20),
        ..USUAL
    },
    Way {
        name: "bans",
        about: "guessers are banned, users are not, clear text and TLS",
        settings: "ban_after = 5\nban_window = 60\nban_time = 3\nban_exempt = 192.0.2.1\n",
        versions: BOTH,
        mixed: true,
        bans: true,
        ..USUAL
    },
    Way {
        name: "everything",
        about: "limits, bans, hooks, metrics and logs; reloads, moved logs, killed clients",
        settings: "max_upload = 2M\nmax_download = 3M\nidle_timeout = 8\nlogin_timeout = 8\n\
                   ban_after = 5\nban_window = 60\nban_time = 3\nban_exempt = 192.0.2.1\n\
                   log_file = {dir}/ftpd.log\ntransfer_log = {dir}/transfers.log\n\
                   metrics_listen = {metrics}\nadmin_socket = {dir}/admin.sock\n\
                   on_upload = {dir}/hook\non_login = {dir}/hook\nhook_workers = 16\n",
        versions: BOTH,
        mixed: true,
        limits: true,
        bans: true,
        everything: true,
        data_timeout: 2,
        rates: (2 << 20, 3 << 20),
        ..USUAL
    },
];

impl Way {
    /// Returns the text of the settings.
    pub fn ini(&self, clients: usize) -> String {
        // clients of one /64 share the limits of an address
        let has_six = !self.limits && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let six = if has_six { ", ::1" } else { "" };
        let mut ini = format!(
            "[server]\nip = 127.0.0.1{six}\nport = 0\npasv\n\
             data_timeout = {}\nshutdown_grace = 5\n{}",
            self.data_timeout, self.settings
        );
        ini = ini.replace("pasv\n", "passive_ports = 10000-32000\n");
        if self.limits {
            // there is room for two of three clients, and for two of each address
            let most = (clients * 2 / 3).max(2) + if self.everything { 4 } else { 0 };
            ini += &format!("max_cons = {most}\nmax_per_ip = 2\nmax_per_user = {clients}\n");
        } else {
            ini += "max_cons = 1000\nmax_per_ip = 0\n";
        }
        if !self.versions.is_empty() {
            ini += "tls_cert = auto\n";
        }
        if self.implicit {
            ini += "tls_implicit_port = {implicit}\n";
        }
        if self.certificates {
            ini += "tls_client_ca = {dir}/ca.pem\n";
        }
        if self.everything {
            ini += &format!(
                "[user:{KILLED}]\npassword = {KILLED}\nhome = {KILLED}\nperm = elradfmwMT\n"
            );
        }
        for number in 0..USERS {
            for (letter, home) in [('a', "home"), ('b', "other")] {
                ini += &format!(
                    "[user:{letter}{number}]\npassword = secret{number}\nhome = {home}\n\
                     perm = elradfmwMT\n"
                );
                if self.certificates {
                    ini += &format!("tls_client = CN=pair{number},O=Example\n");
                }
            }
        }
        ini
    }
}

/// Pairs of accounts. One of each pair has its home in `home`, the other one in `other`.
pub const USERS: usize = 4;
