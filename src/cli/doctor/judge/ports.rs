//! Judges who listens on the ports, and whether they can be reached from this machine.

use std::net::{IpAddr, SocketAddr};

use crate::cli::doctor::facts::{Answer, Facts, Holder, Port, Purpose, Running, Wanted};
use crate::cli::line::Line;

/// Returns the lines about ports.
pub(super) fn judge(facts: &Facts, wanted: &Wanted) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Err(why) = &wanted.listen {
        let cure = "ip = 0.0.0.0 listens on all addresses of this machine";
        lines.push(Line::failed("address", "no_address", why).cure(cure));
    }
    lines.extend(no_interface(facts, wanted));
    lines.extend(absent(facts, wanted));
    lines.extend(not_here(facts));
    let closed = closed_within(facts);
    lines.extend(untried(&closed));
    let closed = closed.as_slice();
    let of = |purposes: &'static [Purpose]| {
        let open = facts.ports.iter().filter(move |port| !closed.contains(&port.at.ip()));
        open.filter(move |port| purposes.contains(&port.purpose))
    };
    lines.extend(
        of(&[Purpose::Control, Purpose::Implicit]).filter_map(|port| control(facts, port)),
    );
    lines.extend(of(&[Purpose::Passive]).filter_map(|port| passive(facts, port)));
    if lines.is_empty() && !facts.ports.is_empty() {
        let at = of(&[Purpose::Control, Purpose::Implicit]).map(|port| port.at);
        lines.push(Line::good("ports", format!("the server answers at {}", listed(at))));
    }
    lines
}

/// Returns the addresses at which this machine can reach neither the server nor a passive port. A
/// firewall then stops what goes from this machine to itself, such as one that has no rule for lo and
/// keeps no state. That says nothing about clients.
fn closed_within(facts: &Facts) -> Vec<IpAddr> {
    let stops = |port: &&Port| matches!(port.answer, Answer::Silent | Answer::Refused);
    let mut found = Vec::new();
    for ip in facts.ports.iter().map(|port| port.at.ip()) {
        let here = facts.ports.iter().filter(|port| port.at.ip() == ip);
        let mut tried = here.filter(|port| port.answer != Answer::Untried);
        let are_both = [Purpose::Control, Purpose::Passive]
            .iter()
            .all(|purpose| tried.clone().any(|port| port.purpose == *purpose));
        if are_both && tried.all(|port| stops(&port)) && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

/// Says that connections within this machine are stopped.
fn untried(closed: &[IpAddr]) -> Option<Line> {
    let all: Vec<_> = closed.iter().map(IpAddr::to_string).collect();
    (!all.is_empty()).then(|| {
        let text = format!(
            "this machine cannot connect to itself at {}, so its ports were not tried; clients \
             may reach them all the same",
            all.join(", ")
        );
        Line::warning("port", "closed_within", text).cure(LOCAL)
    })
}

fn listed(addresses: impl Iterator<Item = SocketAddr>) -> String {
    let mut all: Vec<_> = addresses.map(|address| address.to_string()).collect();
    all.dedup();
    all.join(", ")
}

/// Says that this machine has no address at which others could reach it.
fn no_interface(facts: &Facts, wanted: &Wanted) -> Option<Line> {
    let mut own = facts.network.interfaces.iter().flat_map(|one| &one.addresses);
    let is_local = wanted.listen.iter().flatten().all(IpAddr::is_loopback);
    (own.all(IpAddr::is_loopback) && !is_local).then(|| {
        let text =
            "no interface of this machine is up and has an address, so nobody can connect";
        Line::failed("address", "no_interface", text)
            .cure("'ip address' lists the interfaces; 'ip link set NAME up' brings one up")
    })
}

/// Says that no server listens.
fn absent(facts: &Facts, wanted: &Wanted) -> Option<Line> {
    let control = facts
        .ports
        .iter()
        .filter(|port| port.purpose != Purpose::Passive && port.answer != Answer::NotHere);
    let silent: Vec<_> = control.clone().filter(|port| port.holder == Holder::Nobody).collect();
    if silent.is_empty() {
        return None;
    }
    let at = listed(silent.iter().map(|port| port.at));
    let line = match facts.running {
        Running::Yes(pid) => Line::failed(
            "server",
            "not_listening",
            format!("the server runs (pid {pid}), but nothing listens on {at}"),
        )
        .cure("if ip or port was changed since its start, restart the server")
        .cure("if it runs in a container or network namespace, run 'ftpd doctor' in there"),
        Running::No | Running::Unknown => {
            let port = wanted.port;
            let low =
                if port < 1024 && !facts.is_root { " (as root, for this port)" } else { "" };
            Line::failed("server", "not_running", format!("no server listens on {at}"))
                .cure(format!("start it: systemctl start ftpd, or ftpd --config FILE{low}"))
                .cure("if it does not start, the reason is in its log: journalctl -u ftpd")
        }
    };
    Some(line)
}

/// Says that an address in `ip` is none of this machine.
fn not_here(facts: &Facts) -> Option<Line> {
    let all: Vec<_> =
        facts.ports.iter().filter(|port| port.answer == Answer::NotHere).collect();
    let mut texts: Vec<_> = all.iter().map(|port| port.at.ip().to_string()).collect();
    texts.sort();
    texts.dedup();
    if texts.is_empty() {
        return None;
    }
    let text = format!("ip: {} is not an address of this machine", texts.join(", "));
    Some(
        Line::failed("address", "not_here", text)
            .cure("'ip address' lists the addresses of this machine")
            .cure("ip = 0.0.0.0 listens on all of them; the address of a router belongs in masquerade_address"),
    )
}

/// Judges a control port on which something listens.
fn control(facts: &Facts, port: &Port) -> Option<Line> {
    let at = port.at;
    match &port.holder {
        Holder::Process { name, pid, is_ours: false } => {
            let text =
                format!("{at} is in use by {name} (pid {pid}), so the server cannot use it");
            return Some(
                Line::failed("port", "port_taken", text)
                    .cure(format!("stop {name}: systemctl disable --now {name}"))
                    .cure("or choose another port: port = 2121"),
            );
        }
        Holder::Nobody => return None,
        Holder::Process { .. } | Holder::Somebody => {}
    }
    if port.holder == Holder::Somebody && facts.running == Running::No {
        let text = format!(
            "a program that this user cannot see listens on {at}, and the server does not answer \
             on its admin socket"
        );
        return Some(
            Line::skipped("port", text).cure("run it as root, to see which: sudo ftpd doctor"),
        );
    }
    let why = match &port.answer {
        Answer::Greeted(line) if line.starts_with("220") || line.starts_with("421") => {
            return None;
        }
        Answer::Connected if port.purpose == Purpose::Implicit => return None,
        Answer::NotHere | Answer::NotAllowed | Answer::Untried => return None,
        Answer::Greeted(line) => format!("{at} greets with '{line}', which is not FTP"),
        Answer::Connected => format!("{at} accepts connections, but sends no greeting"),
        Answer::Refused => format!("{at} refuses connections from this machine itself"),
        Answer::Silent => format!("{at} does not answer this machine itself"),
        Answer::Failed(why) => format!("{at}: {why}"),
    };
    let is_stopped =
        matches!(port.answer, Answer::Refused | Answer::Silent | Answer::Failed(_));
    let hangs = "'ftpd who' and the log show what the server is doing; restart it if it hangs";
    let line = Line::failed("port", "port_unreachable", why);
    Some(line.cure(if is_stopped { LOCAL } else { hangs }))
}

/// The cure for a firewall that stops packets within this machine.
const LOCAL: &str = "a firewall on this machine stops connections within it: let in all that arrives \
                     on lo (nft: iif lo accept; iptables: -I INPUT -i lo -j ACCEPT)";

/// Judges an end of the passive range.
fn passive(facts: &Facts, port: &Port) -> Option<Line> {
    let at = port.at;
    if let Holder::Process { name, pid, is_ours: false } = &port.holder {
        let text = format!(
            "passive port {at} is in use by {name} (pid {pid}), so the server passes it over"
        );
        return Some(
            Line::warning("port", "passive_taken", text)
                .cure("choose a range that no other program uses: passive_ports"),
        );
    }
    let why = match &port.answer {
        Answer::Refused => "refuses connections from this machine itself".to_owned(),
        Answer::Silent => "does not answer this machine itself".to_owned(),
        Answer::Failed(why) => why.clone(),
        Answer::Greeted(_) | Answer::Connected | Answer::NotHere | Answer::Untried => {
            return None;
        }
        Answer::NotAllowed if facts.is_root => {
            let text = format!("passive port {at}: this process may not listen on it");
            return Some(
                Line::failed("port", "passive_low", text)
                    .cure("choose ports above 1023: passive_ports = 50000-50200"),
            );
        }
        Answer::NotAllowed => return None,
    };
    let line = Line::failed("port", "passive_unreachable", format!("passive port {at} {why}"));
    Some(line.cure(LOCAL))
}
