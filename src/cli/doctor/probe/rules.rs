//! Lets the programs of packet filters print their rules. None of them changes anything.

use std::path::Path;

use super::read::{find, print, text};
use crate::cli::doctor::facts::{Rules, Text};
use crate::cli::doctor::firewall::assigns_helper;

/// Exists if the kernel has the helper, also as a part of itself.
const HELPER: &str = "/sys/module/nf_conntrack_ftp";

/// Reads all rules.
pub(super) fn rules() -> Rules {
    let nft = print("nft", &["-j", "list", "ruleset"]);
    let names = |file: &str| text(file).is_some_and(|names| !names.trim().is_empty());
    let has_legacy = names("/proc/net/ip_tables_names") || names("/proc/net/ip6_tables_names");
    let mut failed = None;
    let mut are_read = matches!(nft, Text::Is(_));
    let mut is_legacy_read = false;
    let mut save = |program: &str| {
        let mut all = Vec::new();
        // one of both variants, unless only the program with the general name is there
        let variants = [program.replace('-', "-nft-"), program.replace('-', "-legacy-")];
        let is_there = |name: &String| find(name).is_some();
        let names = match variants.iter().any(is_there) {
            true if has_legacy => variants.to_vec(),
            true => variants.into_iter().take(1).collect(),
            false => vec![program.to_owned()],
        };
        for name in names {
            match print(&name, &[]) {
                Text::Is(rules) => {
                    is_legacy_read |= !rules.contains("(nf_tables)");
                    are_read = true;
                    all.push(rules);
                }
                Text::Absent => {}
                Text::Failed(why) => failed = failed.take().or(Some(why)),
            }
        }
        all
    };
    let (ipv4, ipv6) = (save("iptables-save"), save("ip6tables-save"));
    let modules = text("/proc/modules").unwrap_or_default();
    let has = |name: &str| modules.lines().any(|line| line.split(' ').next() == Some(name));
    let has_helper = has("nf_conntrack_ftp") || Path::new(HELPER).exists();
    Rules {
        has_helper: has_helper && (is_automatic() || assigns_helper(&nft, &ipv4, &ipv6)),
        has_hidden: (!are_read && failed.is_none() && has("nf_tables"))
            || (has_legacy && !is_legacy_read),
        nft,
        ipv4,
        ipv6,
        failed,
    }
}

/// Returns whether the kernel assigns the helper by itself, as Linux before 6.0 can.
fn is_automatic() -> bool {
    let automatic = text("/proc/sys/net/netfilter/nf_conntrack_helper");
    automatic.is_some_and(|word| word.trim() == "1")
}
