//! Reads the settings.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use crate::cli::doctor::facts::{Masquerade, Sandboxed, Unsettled, Wanted};
use crate::cli::settings::origin_if_there;
use crate::config::{self, Config, Confine, Origin};
use crate::rights;
use crate::server;

/// The settings, whole and as the facts have them.
pub(super) struct Found {
    pub(super) origin: Origin,
    pub(super) config: Config,
    pub(super) wanted: Wanted,
}

/// Reads the settings as the server does, apart from the files of TLS.
pub(super) fn read(file: Option<&Path>) -> Result<Found, Unsettled> {
    let origin = origin_if_there(file).ok_or(Unsettled::Absent)?;
    if let Some(file) = &origin.file {
        #[expect(
            clippy::disallowed_methods,
            reason = "a look whether the settings can be read"
        )]
        let opened = std::fs::File::open(file);
        if opened.is_err_and(|why| why.kind() == ErrorKind::PermissionDenied) {
            return Err(Unsettled::Closed(format!(
                "{}: this user may not read it",
                file.display()
            )));
        }
    }
    let config = config::load_to_serve(&origin)
        .map_err(|faults| unsettled(faults.iter().map(ToString::to_string).collect()))?;
    let wanted = wanted(&config);
    Ok(Found { origin, config, wanted })
}

/// Tells faults from files that only root may read, such as keys.
fn unsettled(faults: Vec<String>) -> Unsettled {
    let is_closed = |fault: &String| fault.contains("Permission denied");
    if !faults.iter().all(is_closed) || rights::is_root() {
        return Unsettled::Faulty(faults);
    }
    faults.into_iter().next().map_or(Unsettled::Absent, Unsettled::Closed)
}

fn wanted(config: &Config) -> Wanted {
    let server = &config.server;
    let listen = server::addresses(config, server.listen.port);
    let listen = listen.map(|all| all.iter().map(SocketAddr::ip).collect::<Vec<IpAddr>>());
    let masquerade = server.passive.masquerade_address.as_ref();
    Wanted {
        warnings: config.warnings.clone(),
        listen,
        port: server.listen.port,
        implicit_port: server.listen.implicit_port,
        range: server.passive.ports,
        max_cons: server.clients.max,
        masquerade: masquerade
            .map(|name| Masquerade { name: name.clone(), found: resolved(name) }),
        has_tls: config.tls.is_some(),
        sandbox: match server.process.sandbox {
            Confine::Off => Sandboxed::Off,
            Confine::Auto => Sandboxed::Auto,
            Confine::Require => Sandboxed::Required,
        },
    }
}

/// Looks a name up as the server does.
fn resolved(name: &str) -> Result<Vec<Ipv4Addr>, String> {
    let all = (name, 0).to_socket_addrs().map_err(|why| format!("{name}: {why}"))?;
    let ipv4 = |address: SocketAddr| match address.ip() {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    let mut found: Vec<_> = all.filter_map(ipv4).collect();
    let mut seen = std::collections::HashSet::new();
    found.retain(|ip| seen.insert(*ip));
    Ok(found)
}
