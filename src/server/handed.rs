//! Listening sockets that another program has opened and handed over. systemd, for example,
//! keeps them open while the server restarts, so that no client is refused.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::doors::{Door, resolve};
use crate::config::Config;

/// A listening socket that another program has handed over.
#[derive(Debug)]
pub struct Handed {
    /// The socket, which is already listening.
    pub listener: TcpListener,
    /// The name that the other program gave it. With `ftps`, TLS begins before the greeting;
    /// with `ftp`, it does not. With any other name the port decides.
    pub name: String,
}

/// Takes over sockets. The server then listens on these only, and logs how they differ from the
/// settings.
pub(super) fn take_over(handed: Vec<Handed>, config: &Config) -> Result<Vec<Door>, String> {
    let doors = handed.into_iter().map(|handed| take(handed, config));
    let doors = doors.collect::<Result<Vec<_>, _>>()?;
    let there: Vec<_> = doors.iter().map(|door| door.address).collect();
    let wanted = wanted(config);
    for address in there.iter().filter(|there| !wanted.iter().any(|want| fits(*want, **there)))
    {
        log::warn!("listening on {address}, which was handed over but is not in the settings");
    }
    for address in wanted.iter().filter(|want| !there.iter().any(|there| fits(**want, *there)))
    {
        log::warn!("not listening on {address}: it is in the settings but was not handed over");
    }
    Ok(doors)
}

fn take(Handed { listener, name }: Handed, config: &Config) -> Result<Door, String> {
    let cannot = |why| format!("cannot listen on the socket '{name}': {why}");
    let address = listener.local_addr().map_err(cannot)?;
    listener.set_nonblocking(false).map_err(cannot)?;
    let implicit_tls = match name.as_str() {
        "ftps" => true,
        "ftp" => false,
        _ => config.server.listen.implicit_port == address.port(),
    };
    if implicit_tls && config.tls.is_none() {
        return Err(format!("implicit TLS on {address} needs a tls_cert"));
    }
    Ok(Door { listener, address, implicit_tls, pulse: Arc::default(), handed: true })
}

/// The addresses in the settings.
fn wanted(config: &Config) -> Vec<SocketAddr> {
    let server = &config.server;
    let ports = [
        Some(server.listen.port),
        (server.listen.implicit_port > 0).then_some(server.listen.implicit_port),
    ];
    // a failed name lookup does not matter, because these addresses are not bound
    let addresses = |port| resolve(config, port).unwrap_or_default();
    ports.into_iter().flatten().flat_map(addresses).collect()
}

/// Whether a socket listens on an address of the settings. `0.0.0.0` and `::` count as equal,
/// and port 0 in the settings matches any port.
fn fits(wanted: SocketAddr, there: SocketAddr) -> bool {
    let same_port = wanted.port() == there.port() || wanted.port() == 0;
    let every = wanted.ip().is_unspecified() && there.ip().is_unspecified();
    same_port && (wanted.ip() == there.ip() || every)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_fits_when_the_settings_mean_it() {
        let fits = |wanted: &str, there: &str| {
            super::fits(wanted.parse().unwrap(), there.parse().unwrap())
        };
        assert!(fits("192.0.2.1:21", "192.0.2.1:21"));
        assert!(fits("0.0.0.0:21", "[::]:21"));
        assert!(fits("127.0.0.1:0", "127.0.0.1:4000"));
        assert!(!fits("127.0.0.1:21", "0.0.0.0:21"));
        assert!(!fits("127.0.0.1:21", "127.0.0.1:2121"));
    }
}
