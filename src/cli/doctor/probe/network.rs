//! Reads the interfaces of this machine and their routes.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::read::text;
use super::sockets::{default_routes, default_routes_ipv6};
use crate::cli::doctor::facts::{Interface, Network};

/// Returns the interfaces that are up.
pub(super) fn network() -> Network {
    let mut interfaces: Vec<Interface> = Vec::new();
    for one in getifaddrs().into_iter().flatten() {
        let Some(address) = one.address.filter(|_| one.flags.contains(InterfaceFlags::IFF_UP))
        else {
            continue;
        };
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
        let Some(ip) = v4.or(v6) else { continue };
        let name = one.interface_name;
        if let Some(known) = interfaces.iter_mut().find(|known| known.name == name) {
            known.addresses.push(ip);
        } else {
            let link = text(format!("/sys/class/net/{name}/type"));
            let link = link.and_then(|number| number.trim().parse().ok());
            interfaces.push(Interface { link, name, addresses: vec![ip] });
        }
    }
    let mut outside = default_routes(&text("/proc/net/route").unwrap_or_default());
    outside.extend(default_routes_ipv6(&text("/proc/net/ipv6_route").unwrap_or_default()));
    Network { interfaces, outside }
}
