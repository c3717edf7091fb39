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
    Packet {
        interface: "eth0".to_owned(),
        link: Some(1),
        to,
        port,
        own: vec![to, "203.0.113.6".parse().unwrap()],
        is_related: false,
    }
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

/// A chain of nftables with the policy drop, with the expressions of its rules.
fn input(rules: &[&str]) -> String {
    let rule = |expr: &&str| {
        format!(
            r#",{{"rule": {{"family": "inet", "table": "f", "chain": "input", "handle": 1, "expr": [{expr}]}}}}"#
        )
    };
    let rules: String = rules.iter().map(rule).collect();
    format!(
        r#"{{"nftables": [{{"table": {{"family": "inet", "name": "f"}}}},
        {{"chain": {{"family": "inet", "table": "f", "name": "input", "hook": "input", "policy": "drop"}}}},
        {{"chain": {{"family": "inet", "table": "f", "name": "pre", "hook": "prerouting", "policy": "accept"}}}}
        {rules}]}}"#
    )
}

/// A comparison of nftables.
fn compare(op: &str, left: &str, right: &str) -> String {
    format!(r#"{{"match": {{"op": "{op}", "left": {left}, "right": {right}}}}}"#)
}

#[test]
fn sources_that_nobody_outside_has_open_nothing() {
    let saddr = |protocol: &str| {
        format!(r#"{{"payload": {{"protocol": "{protocol}", "field": "saddr"}}}}"#)
    };
    let net = |address: &str, length: u8| {
        format!(r#"{{"prefix": {{"addr": "{address}", "len": {length}}}}}"#)
    };
    let rows = [
        ("ip", net("127.0.0.0", 8), V4, "dropped"),
        ("ip", net("169.254.0.0", 16), V4, "dropped"),
        ("ip6", r#""::1""#.to_owned(), V6, "dropped"),
        ("ip6", net("fe80::", 10), V6, "dropped"),
        ("ip", format!(r#""{V4}""#), V4, "dropped"),
        ("ip", r#""203.0.113.6""#.to_owned(), V4, "dropped"),
        ("ip", r#""203.0.113.7""#.to_owned(), V4, "some"),
        ("ip", net("203.0.113.0", 24), V4, "some"),
        ("ip", net("0.0.0.0", 1), V4, "some"),
    ];
    for (protocol, right, to, wanted) in rows {
        let rule = compare("==", &saddr(protocol), &right) + r#", {"accept": null}"#;
        let tables = nft::parse(&input(&[&rule])).unwrap();
        let found = fate(&tables, &packet(to, 21));
        assert_eq!(word(&found), wanted, "{right}: {found:?}");
    }
    let save = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 127.0.0.0/8 -j ACCEPT\n";
    check(&iptables::parse(save, "ip"), V4, &[(21, "dropped")]);
}

#[test]
fn conditions_of_sound_sets_are_known() {
    let dport = r#"{"payload": {"protocol": "tcp", "field": "dport"}}"#;
    let flags = r#"{"payload": {"protocol": "tcp", "field": "flags"}}"#;
    let (meta, ct) = (r#"{"meta": {"key": "protocol"}}"#, r#"{"ct": {"key": "state"}}"#);
    let rows = [
        (compare("==", meta, r#"{"set": ["ip", "ip6"]}"#), "open", "open"),
        (compare("==", meta, r#""ip""#), "open", "dropped"),
        (compare("==", meta, r#""arp""#), "dropped", "dropped"),
        (compare("in", flags, r#"["syn", "ack"]"#), "open", "open"),
        (compare("in", flags, r#""syn""#), "open", "open"),
        (compare("in", flags, r#"["fin", "ack"]"#), "dropped", "dropped"),
        (compare("!", flags, r#""syn""#), "dropped", "dropped"),
        (compare("==", flags, r#"{"set": ["syn", "ack"]}"#), "open", "open"),
        (compare("==", flags, r#"["syn", "ack"]"#), "dropped", "dropped"),
        (compare("in", ct, r#""untracked""#), "dropped", "dropped"),
    ];
    for (condition, v4, v6) in rows {
        let rule =
            format!(r#"{condition}, {}, {{"accept": null}}"#, compare("==", dport, "21"));
        let tables = nft::parse(&input(&[&rule])).unwrap();
        check(&tables, V4, &[(21, v4), (22, "dropped")]);
        check(&tables, V6, &[(21, v6)]);
    }
}

#[test]
fn connections_that_are_not_tracked_are_known() {
    let pre = compare("==", r#"{"payload": {"protocol": "tcp", "field": "dport"}}"#, "21");
    let state = |word: &str| {
        compare("in", r#"{"ct": {"key": "state"}}"#, word) + r#", {"accept": null}"#
    };
    for (word, on_21, on_22) in [
        (r#""untracked""#, "open", "dropped"),
        (r#""new""#, "dropped", "open"),
        (r#"["new", "untracked"]"#, "open", "open"),
    ] {
        let text =
            input(&[&(pre.clone() + r#", {"notrack": null}, {"accept": null}"#), &state(word)]);
        // the first rule is in the other chain
        let text = text.replacen(r#""chain": "input""#, r#""chain": "pre""#, 1);
        check(&nft::parse(&text).unwrap(), V4, &[(21, on_21), (22, on_22)]);
    }
    for target in ["CT --notrack", "NOTRACK"] {
        let save = format!(
            "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 21 -j {target}\n*filter\n\
             :INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT\n"
        );
        check(&iptables::parse(&save, "ip"), V4, &[(21, "open"), (22, "dropped")]);
    }
}

#[test]
fn dormant_tables_stop_nothing() {
    for flags in [r#""dormant""#, r#""f""#, r#"["dormant", "owner"]"#] {
        let text =
            input(&[]).replace(r#""name": "f""#, &format!(r#""name": "f", "flags": {flags}"#));
        check(&nft::parse(&text).unwrap(), V4, &[(21, "open")]);
    }
}

#[test]
fn the_keys_of_a_map_are_conditions() {
    let port = r#"{"payload": {"protocol": "tcp", "field": "dport"}}"#;
    let mark = r#"{"meta": {"key": "mark"}}"#;
    for (key, data, rows) in [
        (port, r#"{"set": [[8080, "10.0.0.2"]]}"#, [(21, "open"), (8080, "redirected")]),
        (port, r#""@elsewhere""#, [(21, "unclear"), (8080, "unclear")]),
        (mark, r#"{"set": [[1, "10.0.0.2"]]}"#, [(21, "unclear"), (8080, "unclear")]),
    ] {
        let rule = format!(
            r#"{{"dnat": {{"family": "ip", "addr": {{"map": {{"key": {key}, "data": {data}}}}}}}}}"#
        );
        let text = input(&[&rule]).replace("drop", "accept");
        check(&nft::parse(&text).unwrap(), V4, &rows);
    }
}

#[test]
fn the_kind_of_a_link_is_compared() {
    let rule = |op: &str, kinds: &str| {
        let left = r#"{"meta": {"key": "iiftype"}}"#;
        let compare = compare(op, left, kinds);
        nft::parse(&input(&[&format!(r#"{compare}, {{"accept": null}}"#)])).unwrap()
    };
    for (op, kinds, link, wanted) in [
        ("==", r#""ether""#, Some(1), "open"),
        ("==", r#""ether""#, Some(65_534), "dropped"),
        ("==", "65534", Some(65_534), "open"),
        ("==", r#""loopback""#, Some(1), "dropped"),
        ("!=", r#""loopback""#, Some(1), "open"),
        ("==", r#"{"set": ["ether", "ppp"]}"#, Some(512), "open"),
        ("==", r#""ether""#, None, "unclear"),
        ("==", r#""unheard_of""#, Some(1), "unclear"),
    ] {
        let found = fate(&rule(op, kinds), &Packet { link, ..packet(V4, 21) });
        assert_eq!(word(&found), wanted, "{op} {kinds} {link:?}: {found:?}");
    }
}

#[test]
fn connections_that_a_helper_announces_are_told_from_others() {
    let nft = |name: &str| {
        let compare = compare("==", r#"{"ct": {"key": "helper"}}"#, name);
        nft::parse(&input(&[&format!(r#"{compare}, {{"accept": null}}"#)])).unwrap()
    };
    let save = |options: &str| {
        let save =
            format!("*filter\n:INPUT DROP [0:0]\n-A INPUT -m helper {options} -j ACCEPT\n");
        iptables::parse(&save, "ip")
    };
    for (tables, new, related) in [
        (nft(r#""ftp""#), "dropped", "open"),
        (nft(r#""tftp""#), "dropped", "dropped"),
        (save("--helper ftp"), "dropped", "open"),
        (save("--helper \"\""), "dropped", "open"),
        (save("--helper ftp-2121"), "dropped", "open"),
        (save("! --helper ftp"), "open", "dropped"),
        (save("--helper sip"), "dropped", "dropped"),
    ] {
        for (is_related, wanted) in [(false, new), (true, related)] {
            let found = fate(&tables, &Packet { is_related, ..packet(V4, 50_000) });
            assert_eq!(word(&found), wanted, "{tables:?} {found:?}");
        }
    }
}

#[test]
fn only_rules_assign_a_helper() {
    let assigned = |rule: &str| nft::assigns_helper(&input(&[rule]));
    assert!(assigned(r#"{"ct helper": "ftp-std"}"#));
    let key = r#"{"ct": {"key": "helper"}}"#;
    assert!(assigned(&format!(r#"{{"mangle": {{"key": {key}, "value": "ftp"}}}}"#)));
    assert!(!assigned(&compare("==", key, r#""ftp""#)));
    let declared =
        r#"{"nftables": [{"ct helper": {"family": "ip", "name": "x", "type": "ftp"}}]}"#;
    assert!(!nft::assigns_helper(declared));
    for (line, wanted) in [
        ("-A PREROUTING -p tcp --dport 21 -j CT --helper ftp", true),
        ("-A INPUT -m helper --helper ftp -j ACCEPT", false),
        ("-A INPUT -m comment --comment \"-j CT --helper ftp\" -j ACCEPT", false),
        ("-A PREROUTING -p udp --dport 69 -j CT --helper tftp", false),
    ] {
        assert_eq!(iptables::assigns_helper(line), wanted, "{line}");
    }
}

#[test]
fn options_of_iptables_are_known() {
    for options in [
        "-m multiport --dports 21 -m comment --comment \"--- ftp ---\"",
        "-m multiport --dports 21 -m comment --comment \"-j DROP ! -s 1.2.3.4\"",
        "-m multiport --dports 21 -m comment --comment !",
        "-m multiport --dports 21 -m comment --comment --dport",
        "-m multiport --ports 21",
        "-m tcp --dport 21 ! -f",
    ] {
        let save = format!(
            "*filter\n:INPUT DROP [0:0]\n-A INPUT -f -j ACCEPT\n-A INPUT -p tcp {options} -j ACCEPT\n"
        );
        let found = fate(&iptables::parse(&save, "ip"), &packet(V4, 21));
        assert_eq!(word(&found), "open", "{options}: {found:?}");
        check(&iptables::parse(&save, "ip"), V4, &[(22, "dropped")]);
    }
}
