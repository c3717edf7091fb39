//! The rules of real firewalls, as their programs print them (`tests/firewalls`), and short ones.

use std::net::IpAddr;

use super::{Fate, Packet, Table, fate, iptables, nft, parts, tables};
use crate::cli::doctor::facts::{Rules, Text};

const NFTABLES: &str = include_str!("../../../../tests/firewalls/nftables.json");
const FIREWALLD: &str = include_str!("../../../../tests/firewalls/firewalld.json");
const IPTABLES: &str = include_str!("../../../../tests/firewalls/iptables.v4");
const UFW: &str = include_str!("../../../../tests/firewalls/ufw.v4");
const UFW_6: &str = include_str!("../../../../tests/firewalls/ufw.v6");

const V4: &str = "203.0.113.5";
const V6: &str = "2001:db8::5";

fn packet(to: &str, port: u16) -> Packet {
    let to: IpAddr = to.parse().unwrap();
    Packet { interface: "eth0".to_owned(), to, port, is_related: false }
}

/// A word for a fate, without its place.
fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Open => "open",
        Fate::OnlyFrom(_) => "some",
        Fate::Unclear(_) => "unclear",
        Fate::Redirected(_) => "redirected",
        Fate::Dropped(_) => "dropped",
        Fate::Rejected(_) => "rejected",
    }
}

#[track_caller]
fn check(tables: &[Table], to: &str, rows: &[(u16, &str)]) {
    for (port, wanted) in rows {
        let found = fate(tables, &packet(to, *port));
        assert_eq!(word(&found), *wanted, "{to} {port}: {found:?}");
    }
}

#[test]
fn rules_of_nftables_are_followed() {
    let tables = nft::parse(NFTABLES).unwrap();
    let open = [
        21, 50_000, 50_100, 2222, 3000, 4000, 4001, 5000, 6000, 7001, 7002, 7003, 7004, 7010,
        7025, 7040,
    ];
    check(&tables, V4, &open.map(|port| (port, "open")));
    let dropped = [50_101, 53, 60_000, 5005, 5011, 6001, 7015, 6600];
    check(&tables, V4, &dropped.map(|port| (port, "dropped")));
    let others = [
        (8000, "some"),
        (60_001, "rejected"),
        (990, "unclear"),
        (6500, "redirected"),
        (6501, "redirected"),
    ];
    check(&tables, V4, &others);
    check(&tables, V6, &[(21, "open"), (6000, "dropped"), (6001, "open"), (6500, "dropped")]);
    let other = |port| Packet { interface: "wg0".to_owned(), ..packet(V4, port) };
    assert_eq!(word(&fate(&tables, &other(21))), "dropped");
    assert_eq!(word(&fate(&tables, &other(3000))), "open");
    let related = Packet { is_related: true, ..packet(V4, 50_101) };
    assert_eq!(word(&fate(&tables, &related)), "open");
}

#[test]
fn a_fate_names_the_rule_that_decides() {
    let tables = nft::parse(NFTABLES).unwrap();
    let Fate::Dropped(place) = fate(&tables, &packet(V4, 50_101)) else { panic!() };
    assert_eq!(place.text, "nftables, table inet filter, chain input: its policy");
    let Fate::Dropped(place) = fate(&tables, &packet(V4, 6600)) else { panic!() };
    let rule = "nftables, table inet raw, chain pre: rule 2 (handle ";
    assert!(place.text.starts_with(rule), "{}", place.text);
    let tables = iptables::parse(IPTABLES, "ip");
    let Fate::Rejected(place) = fate(&tables, &packet(V4, 60_001)) else { panic!() };
    let rule = "iptables, table filter, chain INPUT: -A INPUT -p tcp -m tcp ! --dport 1:60000";
    assert!(place.text.starts_with(rule), "{}", place.text);
}

#[test]
fn rules_of_iptables_are_followed() {
    for text in [IPTABLES.to_owned(), IPTABLES.replace(" (nf_tables)", "")] {
        let tables = iptables::parse(&text, "ip");
        check(&tables, V4, &[21, 4000, 4001, 4003, 4005].map(|port| (port, "open")));
        let dropped = [50_101, 3000, 4006, 6600];
        check(&tables, V4, &dropped.map(|port| (port, "dropped")));
        let others = [
            // a rule about the length of the packet decides
            (990, "unclear"),
            (50_050, "unclear"),
            (4002, "unclear"),
            (60_001, "rejected"),
            (4004, "some"),
            (4010, "some"),
            (6500, "redirected"),
        ];
        check(&tables, V4, &others);
    }
    // rules for IPv4 do not concern IPv6
    check(&iptables::parse(IPTABLES, "ip"), V6, &[(22, "open")]);
}

#[test]
fn rules_of_firewalld_are_followed() {
    let tables = nft::parse(FIREWALLD).unwrap();
    for to in [V4, V6] {
        let rows = [(21, "open"), (22, "open"), (50_050, "open"), (50_051, "rejected")];
        check(&tables, to, &rows);
    }
    assert!(tables.iter().any(Table::is_firewalld));
}

#[test]
fn rules_of_ufw_are_followed() {
    for (text, family, to) in [(UFW, "ip", V4), (UFW_6, "ip6", V6)] {
        let tables = iptables::parse(text, family);
        let rows = [(21, "open"), (22, "open"), (50_000, "open"), (50_100, "open")];
        check(&tables, to, &rows);
        check(&tables, to, &[(50_101, "dropped"), (139, "dropped"), (2121, "dropped")]);
    }
}

#[test]
fn tables_that_nftables_and_iptables_print_are_read_once() {
    let nft = r#"{"nftables": [
        {"table": {"family": "ip", "name": "filter"}},
        {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}},
        {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 3, "expr": [
            {"xt": {"type": "match", "name": "multiport"}}, {"accept": null}]}}
    ]}"#;
    let save = "# Generated by iptables-save v1.8.9 (nf_tables)\n*filter\n:INPUT DROP [0:0]\n\
                -A INPUT -p tcp -m multiport --dports 21,990 -j ACCEPT\nCOMMIT\n";
    let rules = |ipv4: &[&str]| Rules {
        nft: Text::Is(nft.to_owned()),
        ipv4: ipv4.iter().map(|text| (*text).to_owned()).collect(),
        ipv6: Vec::new(),
        failed: None,
        has_hidden: false,
        has_helper: false,
    };
    let both = tables(&rules(&[save])).unwrap();
    assert_eq!(both.len(), 1);
    check(&both, V4, &[(21, "open"), (22, "dropped")]);
    // without iptables-save, nobody knows what the rule means
    check(&tables(&rules(&[])).unwrap(), V4, &[(21, "unclear")]);
    // rules of the legacy variant count as well
    let legacy = save.replace(" (nf_tables)", "").replace("21,990", "990");
    check(&tables(&rules(&[save, &legacy])).unwrap(), V4, &[(21, "dropped"), (990, "open")]);
}

#[test]
fn without_rules_everything_is_open() {
    check(&[], V4, &[(21, "open")]);
    let empty = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}]}"#;
    assert_eq!(nft::parse(empty), Some(Vec::new()));
    for broken in ["", "{}", "[]", r#"{"nftables": 1}"#] {
        assert_eq!(nft::parse(broken), None, "{broken}");
    }
    let odd = [
        "",
        "*filter",
        "-A INPUT -j DROP",
        ":INPUT DROP",
        "*filter\n-A INPUT -p",
        "*x\n:INPUT",
    ];
    for odd in odd {
        check(&iptables::parse(odd, "ip"), V4, &[(21, "open")]);
    }
}

#[test]
fn chains_that_jump_to_each_other_end() {
    let save = "*filter\n:INPUT DROP [0:0]\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -j b\n\
                -A b -j a\n";
    check(&iptables::parse(save, "ip"), V4, &[(21, "dropped")]);
}

#[test]
fn a_range_is_split_where_rules_begin_and_end() {
    let tables = nft::parse(NFTABLES).unwrap();
    assert_eq!(parts(&tables, 50_000, 50_200), [50_000, 50_101]);
    assert_eq!(parts(&tables, 40_000, 40_001), [40_000]);
}
