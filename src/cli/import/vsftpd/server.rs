//! The section `[server]`, made from the keys of vsftpd that apply to the whole server.

use super::super::section::Section;
use super::conf::Conf;
use super::keys::Audience;
use super::terms::{FTP, required};
use crate::config;

/// The user that vsftpd runs as unless `nopriv_user` names another one.
const NOBODY: &str = "nobody";

/// The longest time that the settings of this server accept, in seconds.
const YEAR: u64 = 365 * 24 * 3600;

pub(super) fn network(conf: &mut Conf<'_>, server: &mut Section) {
    let mut port = conf.number("listen_port", 65_535).unwrap_or(21);
    if conf.is_implicit() {
        // with implicit TLS, vsftpd accepts no clear text and has only one port
        server.set("tls_implicit_port", &port.to_string());
        port = if port == 21 { 2121 } else { 21 };
        server.note("vsftpd does not listen on this port; logins on it require TLS (AUTH)");
    }
    server.set("port", &port.to_string());
    addresses(conf, server);
    passive_ports(conf, port, server);
    if let Some(host) = conf.text("pasv_address") {
        if host.contains('"') || !config::is_host(host) {
            server.no_equal(&format!("pasv_address={host}"));
        } else {
            server.set("masquerade_address", host);
        }
    }
    let data_port = conf.number("ftp_data_port", 65_535).unwrap_or(20);
    if conf.switch("connect_from_port_20", false) {
        server.set("active_port", &data_port.to_string());
    }
    let (pasv, port) =
        (conf.switch("pasv_promiscuous", false), conf.switch("port_promiscuous", false));
    if pasv && port {
        server.set("allow_fxp", "on");
    } else if pasv || port {
        server.no_equal("pasv_promiscuous or port_promiscuous alone; see allow_fxp");
    }
    conf.switch("pasv_addr_resolve", false);
}

/// Sets the addresses that the server listens on.
fn addresses(conf: &mut Conf<'_>, server: &mut Section) {
    let (listens, listens_ipv6) =
        (conf.switch("listen", false), conf.switch("listen_ipv6", false));
    // vsftpd listens on one of the two only
    let key = if listens_ipv6 && !listens { "listen_address6" } else { "listen_address" };
    let addresses: Vec<_> = conf.text(key).into_iter().collect();
    if !listens && !listens_ipv6 {
        server.note("vsftpd was started by inetd or the like; this server listens itself");
    }
    if addresses.iter().any(|address| address.parse::<std::net::IpAddr>().is_err()) {
        server.no_equal(&format!("listen_address={}", addresses.join(",")));
        // the safe choice, rather than listening on all addresses
        server.set("ip", "127.0.0.1");
    } else if !addresses.is_empty() {
        server.set("ip", &addresses.join(", "));
    } else if listens_ipv6 {
        server.set("ip", "::");
    }
}

fn passive_ports(conf: &mut Conf<'_>, port: u64, server: &mut Section) {
    let first = conf.number("pasv_min_port", 65_535).filter(|&port| port > 0);
    let last = conf.number("pasv_max_port", 65_535).filter(|&port| port > 0);
    match (first, last) {
        (Some(first), Some(last)) if first > last || (first, last) == (port, port) => {
            let line = conf.values.get("pasv_min_port").map_or(0, |(line, _)| *line);
            conf.fault(line, "pasv_min_port to pasv_max_port is not a range of ports");
        }
        (Some(first), Some(last)) => {
            server.set("passive_ports", &format!("{first}-{last}"));
        }
        (Some(port), None) => server.no_equal(&format!("pasv_min_port={port} alone")),
        (None, Some(port)) => server.no_equal(&format!("pasv_max_port={port} alone")),
        (None, None) => {}
    }
}

pub(super) fn limits(conf: &mut Conf<'_>, server: &mut Section) {
    if let Some(banner) = conf.text("ftpd_banner") {
        server.set("welcome_msg", banner);
    }
    match conf.number("max_clients", 65_535) {
        Some(0) => server.no_equal("max_clients=0, no limit; see max_cons"),
        Some(most) => server.set("max_cons", &most.to_string()),
        None => {}
    }
    // 0 means no limit in both
    if let Some(most) = conf.number("max_per_ip", 65_535) {
        server.set("max_per_ip", &most.to_string());
    }
    for (theirs, ours) in
        [("idle_session_timeout", "idle_timeout"), ("data_connection_timeout", "data_timeout")]
    {
        if let Some(seconds) = conf.number(theirs, YEAR) {
            server.set(ours, &seconds.to_string());
        }
    }
    match conf.number("max_login_fails", u64::MAX) {
        Some(most @ 1..=100) => server.set("max_login_attempts", &most.to_string()),
        Some(most) => server.no_equal(&format!("max_login_fails={most}")),
        None => {}
    }
    // both remove bits from the modes of new files
    let umask = conf.mode("local_umask", 0o077) | conf.not_opened();
    server.set("umask", &format!("{umask:03o}"));
    let rate = conf.number("local_max_rate", u64::MAX).filter(|&rate| rate > 0);
    for key in ["max_upload", "max_download"] {
        if let Some(rate) = rate {
            server.set(key, &rate.to_string());
        }
    }
    if conf.switch("delete_failed_uploads", false) {
        server.set("keep_parts", "0");
    }
    if conf.switch("use_localtime", false) {
        server.set("list_time", "local");
    }
    let shows = conf.switch("dirmessage_enable", false);
    match conf.text("message_file") {
        Some(file) if shows && file != ".message" => {
            server.no_equal(&format!("message_file={file}"));
        }
        _ if shows => server.set("folder_message", "on"),
        _ => {}
    }
}

pub(super) fn tls(conf: &mut Conf<'_>, server: &mut Section) {
    let enabled = conf.switch("ssl_enable", false);
    let implicit = conf.is_implicit();
    let (logins, data) = (
        conf.switch("force_local_logins_ssl", true) || implicit,
        conf.switch("force_local_data_ssl", true),
    );
    let reuse = conf.switch("require_ssl_reuse", true);
    let strict = conf.values.contains_key("strict_ssl_read_eof");
    let strict =
        conf.switch("strict_ssl_read_eof", false).then_some("on").or(strict.then_some("off"));
    let asks = conf.switch("require_cert", false);
    let validates = conf.switch("validate_cert", false);
    let newest_alone = !conf.switch("ssl_tlsv1_2", true);
    if !enabled {
        return;
    }
    let cert = conf.text("rsa_cert_file").unwrap_or("/usr/share/ssl/certs/vsftpd.pem");
    server.set("tls_cert", cert);
    // without a file for the key, vsftpd expects it in the file of the certificate
    server.set("tls_key", conf.text("rsa_private_key_file").unwrap_or(cert));
    server.set("tls_required", required(logins, data));
    if newest_alone {
        server.set("tls_min_version", "1.3");
    }
    server.set("tls_resume", if reuse { "require" } else { "prefer" });
    if let Some(strict) = strict {
        server.set("tls_require_close_notify", strict);
    }
    match conf.text("ca_certs_file") {
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
            let why = "require_cert without ca_certs_file restricts users and has no \
                       equivalent here";
            conf.lost(conf.line("require_cert"), Audience::All, why);
        }
        None => {}
    }
}

pub(super) fn logs(conf: &mut Conf<'_>, server: &mut Section) {
    if conf.switch("syslog_enable", false) {
        server.set("log_file", "syslog");
    } else if let Some(file) = conf.text("vsftpd_log_file") {
        server.set("log_file", file);
    }
    if conf.switch("log_ftp_protocol", false) {
        server.set("log_level", "debug");
    }
    conf.switch("xferlog_std_format", false);
    if conf.switch("xferlog_enable", false) {
        let file = conf.text("xferlog_file").unwrap_or("/var/log/xferlog");
        server.set("transfer_log", file);
    }
}

/// Sets the user that the server becomes. vsftpd starts as root, and serves clients as another
/// user.
pub(super) fn become_whom(conf: &mut Conf<'_>, server: &mut Section) {
    if conf.switch("run_as_launching_user", false) {
        return server.note("run_as_launching_user: start this server as the same user");
    }
    let anonymous = conf.switch("anonymous_enable", false);
    let guests = conf.switch("guest_enable", false) && conf.switch("local_enable", false);
    let mut keys = vec!["nopriv_user"];
    if guests {
        keys.insert(0, "guest_username");
    }
    if anonymous {
        keys.insert(0, "ftp_username");
    }
    let said = keys.into_iter().find_map(|key| Some((key, conf.text(key)?)));
    let user = match said {
        Some((key, name)) => match (conf.system_user)(name) {
            Ok(_) => name,
            Err(why) => {
                conf.fault(conf.line(key), format!("{key}: '{}' {why}", name.escape_debug()));
                NOBODY
            }
        },
        None if (anonymous || guests) && (conf.system_user)(FTP).is_ok() => FTP,
        None => NOBODY,
    };
    server.note("the server becomes this user; as root it would serve even root's own files");
    server.set("user", user);
}
