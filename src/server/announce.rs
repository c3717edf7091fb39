//! The log lines with which the server starts.

use super::doors::Door;
use crate::config::Config;
use crate::control::Settings;

/// Logs the addresses and the most important settings.
pub(super) fn announce(doors: &[Door], settings: &Settings) {
    let config = &settings.config;
    let server = &config.server;
    let pid = std::process::id();
    for door in doors {
        let address = door.address;
        let tls = if door.implicit_tls { ", TLS at once" } else { "" };
        log::info!(">>> starting FTP server on {address}, pid={pid}{tls} <<<");
    }
    log::info!("concurrency model: a thread per connection, {} at most", server.clients.max);
    let masquerade = server.passive.masquerade_address.as_deref().unwrap_or("none");
    log::info!("masquerade (NAT) address: {masquerade}");
    let range = server.passive.ports;
    log::info!("passive ports: {}->{}", range.first, range.last);
    let balancers: Vec<_> = server.balancers.from.iter().map(ToString::to_string).collect();
    if !balancers.is_empty() {
        let data = if server.balancers.data { ", on data connections too" } else { "" };
        log::info!("PROXY headers: from {}{data}", balancers.join(", "));
    }
    if let Some(fingerprint) = settings.fingerprint() {
        let required = server_requires(config);
        log::info!("TLS: {required}, certificate SHA-256 {fingerprint}");
    } else {
        log::info!("TLS: off");
    }
    let anonymous = if server.anonymous.enabled { "on" } else { "off" };
    let named = config.named_users();
    log::info!("users: {named}, anonymous: {anonymous}");
}

/// Describes for the log where TLS is required.
fn server_requires(config: &Config) -> &'static str {
    let required = config.rules.tls.required;
    match (required.control, required.data) {
        (false, false) => "on offer",
        (true, false) => "required for logins",
        (false, true) => "required for transfers",
        (true, true) => "required",
    }
}
