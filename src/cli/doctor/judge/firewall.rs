//! Judges which ports the packet filters of this machine let in.

use std::net::IpAddr;

use crate::cli::doctor::facts::{Facts, Interface, Text, Wanted};
use crate::cli::doctor::firewall::{
    Fate, Packet, Place, Table, Tool, fate, is_outside, parts, tables,
};
use crate::cli::line::Line;

/// Ports with the same fate, first and last included.
type Part = (u16, u16, Fate);

/// Returns the lines about the firewall.
pub(super) fn judge(facts: &Facts, wanted: &Wanted) -> Vec<Line> {
    let rules = &facts.rules;
    let Some(tables) = tables(rules).filter(|_| rules.failed.is_none()) else {
        let failed = match &rules.nft {
            Text::Failed(why) => Some(why),
            Text::Is(_) | Text::Absent => rules.failed.as_ref(),
        };
        let why = failed.map_or("nft prints something unknown", String::as_str);
        return vec![unread(facts, why)];
    };
    if rules.has_hidden {
        return vec![unread(facts, "neither nft nor iptables-save is installed")];
    }
    if tables.is_empty() {
        return vec![Line::good("firewall", "this machine has no rules")];
    }
    let mut lines: Vec<Line> = Vec::new();
    let targets = targets(facts, wanted);
    for (at, to, label) in &targets {
        let link = facts.network.interfaces.iter().find(|one| one.name == *at);
        let own = facts.network.interfaces.iter().flat_map(|one| one.addresses.clone());
        let packet = Packet {
            interface: at.clone(),
            link: link.and_then(|one| one.link),
            to: *to,
            port: 0,
            own: own.collect(),
            is_related: false,
        };
        let label = if targets.len() > 1 { format!(" ({label})") } else { String::new() };
        let case = Case { tables: &tables, packet, label, facts, wanted };
        for line in case.lines() {
            if !lines.iter().any(|other| other.text == line.text) {
                lines.push(line);
            }
        }
    }
    if lines.is_empty() {
        let first = tables.first().map_or("", Table::command);
        lines
            .push(Line::good("firewall", format!("lets in all ports of the server ({first})")));
    }
    lines
}

fn unread(facts: &Facts, why: &str) -> Line {
    let text = format!("cannot tell what the firewall lets in: {why}");
    let line = Line::skipped("firewall", text);
    if facts.is_root {
        line.cure("try it from outside: ftpd test ftp://USER@ADDRESS/")
    } else {
        line.cure("run it as root: sudo ftpd doctor")
    }
}

/// Returns an interface and an address on it for each way in which clients from outside come.
fn targets(facts: &Facts, wanted: &Wanted) -> Vec<(String, IpAddr, String)> {
    let network = &facts.network;
    let Ok(listen) = &wanted.listen else { return Vec::new() };
    let listens = |ip: &IpAddr| {
        listen
            .iter()
            .any(|own| own == ip || own.is_unspecified() && (own.is_ipv6() || ip.is_ipv4()))
    };
    let usable =
        |one: &&Interface| one.addresses.iter().any(|ip| is_outside(*ip) && listens(ip));
    let (outside, others): (Vec<_>, Vec<_>) = network
        .interfaces
        .iter()
        .filter(usable)
        .partition(|one| network.outside.contains(&one.name));
    let chosen = if outside.is_empty() { others } else { outside };
    let are_several = chosen.len() > 1;
    let mut all = Vec::new();
    for one in chosen {
        for (version, is_ipv4) in [("IPv4", true), ("IPv6", false)] {
            let mut ips = one.addresses.iter();
            let ip = ips.find(|ip| is_outside(**ip) && listens(ip) && ip.is_ipv4() == is_ipv4);
            let name = &one.name;
            let label =
                if are_several { format!("{version} on {name}") } else { version.to_owned() };
            all.extend(ip.map(|ip| (name.clone(), *ip, label)));
        }
    }
    all
}

/// Packets that come by one way.
struct Case<'a> {
    tables: &'a [Table],
    packet: Packet,
    label: String,
    facts: &'a Facts,
    wanted: &'a Wanted,
}

impl Case<'_> {
    fn lines(&self) -> Vec<Line> {
        let wanted = self.wanted;
        let ports = [Some(wanted.port), Some(wanted.implicit_port).filter(|port| *port != 0)];
        let control: Vec<Part> = ports
            .into_iter()
            .flatten()
            .map(|port| (port, port, self.fate(port, false)))
            .collect();
        let data = self.parts(false);
        let is_open = |(_, _, fate): &Part| *fate == Fate::Open;
        let mut lines = self.judge("control port", &control);
        lines.extend(self.limited(&control));
        let is_limited = limited(&control).is_some();
        if let (Some((_, place)), false) = (limited(&data), is_limited) {
            let text = format!(
                "lets everybody connect to the control port, but only certain addresses to the \
                 passive ports{} ({})",
                self.label, place.text
            );
            let line = Line::warning("firewall", "data_limited", text);
            lines.push(line.cure("let the same addresses in at passive_ports"));
        }
        // connections that a helper announces
        if self.facts.rules.has_helper
            && !data.iter().all(is_open)
            && self.parts(true).iter().all(is_open)
        {
            lines.push(self.helped());
            return lines;
        }
        lines.extend(self.judge("passive ports", &data));
        lines
    }

    fn fate(&self, port: u16, is_related: bool) -> Fate {
        fate(self.tables, &Packet { port, is_related, ..self.packet.clone() })
    }

    /// Splits the passive range into parts with the same fate.
    fn parts(&self, is_related: bool) -> Vec<Part> {
        let range = self.wanted.range;
        let starts = parts(self.tables, range.first, range.last);
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([range.last]);
        let mut all: Vec<Part> = Vec::new();
        for (first, last) in starts.iter().zip(ends) {
            let fate = self.fate(*first, is_related);
            match all.last_mut() {
                Some(before) if before.2 == fate => before.1 = last,
                _ => all.push((*first, last, fate)),
            }
        }
        all
    }

    /// Judges ports of one kind.
    fn judge(&self, what: &str, all: &[Part]) -> Vec<Line> {
        let mut lines = Vec::new();
        let stopped = |part: &&Part| matches!(part.2, Fate::Dropped(_) | Fate::Rejected(_));
        let stops: Vec<_> = all.iter().filter(stopped).collect();
        if let Some((_, _, Fate::Dropped(place) | Fate::Rejected(place))) =
            stops.first().copied()
        {
            let drops = matches!(stops.first(), Some((_, _, Fate::Dropped(_))));
            let verb = if drops { "drops" } else { "rejects" };
            let some = if stops.len() == all.len() { "" } else { "some of the " };
            let ports = listed(stops.iter().copied());
            let label = &self.label;
            let text = format!(
                "{verb} connections from outside to {some}{what} {ports}{label}: {}",
                place.text
            );
            let cause = if what == "control port" { "control_blocked" } else { "data_blocked" };
            let line = Line::failed("firewall", cause, text);
            lines.push(line.cures(self.openings(place, all)));
        }
        let redirected = all.iter().find_map(|part| {
            let Fate::Redirected(place) = &part.2 else { return None };
            Some((part, place))
        });
        if let Some((part, place)) = redirected {
            let ports = listed([part].into_iter());
            let text = format!("redirects {what} {ports}{}: {}", self.label, place.text);
            let line = Line::warning("firewall", "redirected", text);
            lines.push(line.cure("if clients should reach this server, remove the rule"));
        }
        let unclear = all.iter().find_map(|part| {
            let Fate::Unclear(rule) = &part.2 else { return None };
            Some((part, rule))
        });
        if let Some((part, rule)) = unclear {
            let ports = listed([part].into_iter());
            let text = format!(
                "cannot tell whether {what} {ports}{} is let in: this rule decides, and its \
                 conditions cannot be judged here: {rule}",
                self.label
            );
            let line = Line::skipped("firewall", text);
            lines.push(line.cure("try it from outside: ftpd test ftp://USER@ADDRESS/"));
        }
        lines
    }

    /// Says that only certain addresses may connect to the control port.
    fn limited(&self, control: &[Part]) -> Option<Line> {
        let (part, place) = limited(control)?;
        let text = format!(
            "only certain addresses may connect to control port {}{} ({})",
            listed([part].into_iter()),
            self.label,
            place.text
        );
        let line = Line::warning("firewall", "control_limited", text);
        let line = line.cure("if others should connect, open the port to them:");
        Some(line.cures(self.openings(place, std::slice::from_ref(part))))
    }

    /// Says that data connections depend on a helper of the kernel.
    fn helped(&self) -> Line {
        let range = self.wanted.range;
        let opened = format!("open {}-{}", range.first, range.last);
        let text = "lets in passive ports only where the kernel reads the control connection \
                    (nf_conntrack_ftp)";
        if self.wanted.has_tls {
            let text = format!(
                "{text}, which it cannot do with TLS: listings will hang{}",
                self.label
            );
            Line::failed("firewall", "helper_tls", text)
                .cure(format!("{opened} in the firewall, without the help of the kernel"))
        } else {
            let text = format!("{text}{}", self.label);
            Line::warning("firewall", "helper", text).cure(format!(
                "{opened} in the firewall: the help of the kernel must be assigned by a rule, and \
                 ends with TLS"
            ))
        }
    }

    /// Returns how to open ports, with the program that has made the rules.
    fn openings(&self, place: &Place, all: &[Part]) -> Vec<String> {
        let (Some((first, ..)), Some((_, last, _))) = (all.first(), all.last()) else {
            return Vec::new();
        };
        let range = |mark: &str| {
            if first == last { first.to_string() } else { format!("{first}{mark}{last}") }
        };
        let Some(table) = self.tables.get(place.table) else { return Vec::new() };
        if table.has_chain("ufw-user-input") || table.has_chain("ufw6-user-input") {
            return vec![format!("ufw allow {}/tcp", range(":"))];
        }
        if table.is_firewalld() {
            let zone = zone(&place.text);
            return vec![format!(
                "firewall-cmd --permanent {zone}--add-port={}/tcp && firewall-cmd --reload",
                range("-")
            )];
        }
        let (command, entry) = (table.command(), &place.entry);
        match table.tool() {
            Tool::Nft => vec![
                format!(
                    "nft insert rule {} {entry} tcp dport {} accept",
                    table.address(),
                    range("-")
                ),
                "and add the rule to the file that the system loads (/etc/nftables.conf)".to_owned(),
            ],
            Tool::Iptables { .. } => vec![
                format!("{command} {}-I {entry} -p tcp --dport {} -j ACCEPT", table.option(), range(":")),
                "and save the rules, so that they outlive a restart (netfilter-persistent save)"
                    .to_owned(),
            ],
        }
    }
}

/// Returns the first ports to which only certain addresses may connect, and where that is decided.
fn limited(parts: &[Part]) -> Option<(&Part, &Place)> {
    parts.iter().find_map(|part| {
        let Fate::OnlyFrom(place) = &part.2 else { return None };
        Some((part, place))
    })
}

/// Returns the option that names the zone of firewalld whose chain decides. Without it, the command
/// changes the default zone.
fn zone(place: &str) -> String {
    let chain = place.split_once("chain filter_IN_").map_or("", |(_, chain)| chain);
    let end = chain.find([':', ' ']).unwrap_or(chain.len());
    let name = chain.get(..end).unwrap_or_default();
    if name.is_empty() { String::new() } else { format!("--zone={name} ") }
}

/// Lists ports, of which many may be in a row.
fn listed<'p>(parts: impl Iterator<Item = &'p Part>) -> String {
    let text = |(first, last, _): &Part| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let all: Vec<_> = parts.map(text).collect();
    all.join(", ")
}
