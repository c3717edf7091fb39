//! Judges the addresses that clients are told: NAT, containers, and the passive range.

use std::net::{IpAddr, Ipv4Addr};

use crate::cli::doctor::facts::{Facts, Masquerade, Network, Wanted};
use crate::cli::line::Line;
use crate::cli::reach::Reach;

/// The passive range is small if there are more clients than this for each port. A port is in use only
/// until its client has connected, so one port serves several clients.
const CLIENTS_PER_PORT: usize = 4;

/// Returns the lines about addresses.
pub(super) fn judge(facts: &Facts, wanted: &Wanted) -> Vec<Line> {
    let own = own(&facts.network);
    let mut lines = vec![match &wanted.masquerade {
        Some(masquerade) => masked(masquerade, &own),
        None => unmasked(facts, wanted, &own),
    }];
    let is_public = own.iter().any(|ip| Reach::of(*ip) == Reach::Public);
    if wanted.masquerade.is_some() && !is_public {
        lines.extend(published(facts, wanted));
    }
    lines.extend(few_ports(wanted));
    lines
}

/// Returns the addresses of this machine that other machines can use.
fn own(network: &Network) -> Vec<IpAddr> {
    let all = network.interfaces.iter().flat_map(|one| &one.addresses);
    let usable = |ip: &IpAddr| !matches!(Reach::of(*ip), Reach::Loopback | Reach::Link);
    all.copied().filter(usable).collect()
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why clients may be told an address that they cannot reach.
enum Suspicion {
    /// The text names the container.
    Container(String),
    Nat,
}

/// Suspects the address that a server without `masquerade_address` names.
fn suspect(container: Option<&str>, listen: &[IpAddr], own: &[IpAddr]) -> Option<Suspicion> {
    if own.iter().any(|ip| Reach::of(*ip) == Reach::Public) || own.is_empty() {
        return None;
    }
    if listen.iter().all(IpAddr::is_loopback) {
        return None;
    }
    if let Some(container) = container {
        return Some(Suspicion::Container(container.to_owned()));
    }
    listen.iter().any(IpAddr::is_unspecified).then_some(Suspicion::Nat)
}

impl Suspicion {
    fn text(&self, own: &[IpAddr]) -> String {
        let own = listed(own);
        match self {
            Self::Container(container) => format!(
                "in a container ({container}), and masquerade_address is not set: clients are told an \
                 address ({own}) that exists only within the container's network"
            ),
            Self::Nat => format!(
                "this machine has only private addresses ({own}), and masquerade_address is not set: \
                 clients outside of the private network are told one that they cannot reach"
            ),
        }
    }
}

/// Returns what is suspicious about the addresses of a server without `masquerade_address`.
pub(in crate::cli::doctor) fn suspicion(
    network: &Network,
    container: Option<&str>,
    listen: &[IpAddr],
) -> Option<String> {
    let own = own(network);
    Some(suspect(container, listen, &own)?.text(&own))
}

/// Judges a server that names its own address.
fn unmasked(facts: &Facts, wanted: &Wanted, own: &[IpAddr]) -> Line {
    let listen = wanted.listen.as_deref().unwrap_or_default();
    if !listen.is_empty() && listen.iter().all(IpAddr::is_loopback) {
        let text = format!("listens on {} only: other machines cannot connect", listed(listen));
        return Line::warning("address", "loopback", text)
            .cure("ip = 0.0.0.0 listens on all addresses of this machine");
    }
    let Some(suspicion) = suspect(facts.container.as_deref(), listen, own) else {
        return Line::good("address", "the server names the address at which it was reached");
    };
    let text = suspicion.text(own);
    if let Suspicion::Container(_) = suspicion {
        return Line::warning("address", "container", text)
            .cure("set masquerade_address to the name or address of the host that clients use")
            .cure(publishing(wanted));
    }
    let range = wanted.range;
    let forward = format!(
        "for clients on the internet: masquerade_address = the router's public name or address, and \
         forward ports {} and {}-{} in the router",
        wanted.port, range.first, range.last
    );
    let line = Line::warning("address", "nat", text).cure(forward);
    line.cures(own.first().map(|ip| {
        format!(
            "if all clients are in the private network, say so, and this line goes: ip = {ip}"
        )
    }))
}

/// Judges a server that names another address than its own.
fn masked(masquerade: &Masquerade, own: &[IpAddr]) -> Line {
    let name = &masquerade.name;
    let found = match &masquerade.found {
        Ok(found) => found.as_slice(),
        Err(why) => {
            let text = format!("masquerade_address: {why}, so PASV fails");
            return Line::failed("address", "masquerade_unresolved", text)
                .cure("correct the name, or the name servers in /etc/resolv.conf")
                .cure("an address instead of a name needs no name server");
        }
    };
    let Some(first) = found.first().copied().map(IpAddr::from) else {
        let text = format!("masquerade_address: {name} has no IPv4 address, so PASV fails");
        return Line::failed("address", "masquerade_unresolved", text)
            .cure("give the name an A record, or set an IPv4 address");
    };
    let reach = Reach::of(first);
    if matches!(reach, Reach::Loopback | Reach::Unspecified | Reach::Nowhere) {
        let text = format!(
            "masquerade_address is {first} ({}), which no client can reach",
            reach.word()
        );
        return Line::failed("address", "masquerade_unusable", text)
            .cure("set masquerade_address to the address or name that clients use")
            .cure("a name may have this address in /etc/hosts of this machine");
    }
    if own.contains(&first) {
        return Line::good(
            "address",
            format!("masquerade_address is {first}, of this machine"),
        );
    }
    elsewhere(name, first, own).or_else(|| several(name, found)).unwrap_or_else(|| {
        Line::good("address", format!("masquerade_address leads to {first}"))
    })
}

/// Says that the address differs from that of this machine, which has a public one.
fn elsewhere(name: &str, first: IpAddr, own: &[IpAddr]) -> Option<Line> {
    let is_public = |ip: &IpAddr| ip.is_ipv4() && Reach::of(*ip) == Reach::Public;
    let public: Vec<_> = own.iter().copied().filter(is_public).collect();
    if public.is_empty() {
        return None;
    }
    let text = format!(
        "masquerade_address {name} leads to {first}, but the public address of this machine is {}: \
         clients connect to another machine for their data",
        listed(&public)
    );
    Some(
        Line::warning("address", "masquerade_elsewhere", text)
            .cure("if the address has changed, correct the DNS record or the setting")
            .cure(
                "without a router that has the other address, leave masquerade_address empty",
            ),
    )
}

/// Says that the name has several addresses.
fn several(name: &str, found: &[Ipv4Addr]) -> Option<Line> {
    if found.len() < 2 {
        return None;
    }
    let all: Vec<_> = found.iter().copied().map(IpAddr::from).collect();
    let text = format!(
        "masquerade_address {name} has several addresses ({}), and each client is told the one that \
         the name server returns first",
        listed(&all)
    );
    Some(
        Line::warning("address", "masquerade_several", text)
            .cure("use a name with a single address"),
    )
}

/// Names what must be published if this is a container; that cannot be seen from within.
fn published(facts: &Facts, wanted: &Wanted) -> Option<Line> {
    let container = facts.container.as_ref()?;
    let text = format!(
        "in a container ({container}): whether its ports are published cannot be seen from inside"
    );
    Some(
        Line::skipped("container", text)
            .cure(publishing(wanted))
            .cure("from another machine, 'ftpd test' shows whether they can be reached"),
    )
}

fn publishing(wanted: &Wanted) -> String {
    let (port, range) = (wanted.port, wanted.range);
    let (first, last) = (range.first, range.last);
    let implicit = match wanted.implicit_port {
        0 => String::new(),
        port => format!(" -p {port}:{port}"),
    };
    format!(
        "publish the ports, passive ones under the same numbers: \
         -p {port}:{port}{implicit} -p {first}-{last}:{first}-{last}"
    )
}

fn few_ports(wanted: &Wanted) -> Option<Line> {
    let (range, most) = (wanted.range, wanted.max_cons);
    let count = range.count();
    (count.saturating_mul(CLIENTS_PER_PORT) < most).then(|| {
        let text = format!(
            "passive_ports has {count} ports for {most} clients (max_cons): when many of them open \
             data connections at once, some get 425"
        );
        let last = u16::try_from(usize::from(range.first) + most.div_ceil(CLIENTS_PER_PORT) - 1);
        let line = Line::warning("address", "few_ports", text);
        match last {
            Ok(last) => line.cure(format!(
                "passive_ports = {}-{last} or more, also in the firewall and the router",
                range.first
            )),
            Err(_) => line.cure("a wider passive_ports, also in the firewall and the router"),
        }
    })
}
