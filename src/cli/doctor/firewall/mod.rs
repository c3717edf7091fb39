//! What the packet filters of this machine let in. Only text that their programs have printed is read
//! here; nothing is run.

mod iptables;
mod model;
mod nft;
mod walk;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::facts::{Rules, Text};
pub(super) use model::{Packet, Table, Tool};
pub(super) use walk::{Fate, Place, fate, parts};

/// Reads all rules. Returns `None` if they cannot be read.
pub(super) fn tables(rules: &Rules) -> Option<Vec<Table>> {
    let mut all = Vec::new();
    for (save, family) in [(&rules.ipv4, "ip"), (&rules.ipv6, "ip6")] {
        for text in save {
            let new = iptables::parse(text, family);
            all.extend(new.into_iter().filter(|table| !table.is_empty()));
        }
    }
    match &rules.nft {
        Text::Is(text) => {
            let tables = nft::parse(text)?.into_iter();
            // rules that iptables has made have parts that only iptables prints
            let is_there = |table: &Table| {
                all.iter().any(|other: &Table| {
                    other.tool == Tool::Iptables { is_legacy: false } && other.is_same(table)
                })
            };
            let others: Vec<_> = tables.filter(|table| !is_there(table)).collect();
            all.extend(others.into_iter().filter(|table| !table.is_empty()));
        }
        Text::Absent => {}
        Text::Failed(_) => return None,
    }
    Some(all)
}

/// Returns whether a rule assigns the helper for FTP to connections.
pub(super) fn assigns_helper(nft: &Text, ipv4: &[String], ipv6: &[String]) -> bool {
    matches!(nft, Text::Is(text) if nft::assigns_helper(text))
        || ipv4.iter().chain(ipv6).any(|text| iptables::assigns_helper(text))
}

/// Returns whether an address can be that of packets from outside.
pub(super) fn is_outside(address: IpAddr) -> bool {
    let is_link = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !address.is_loopback() && !address.is_unspecified() && !is_link
}
