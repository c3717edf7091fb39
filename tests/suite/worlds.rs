//! `ftpd test` in worlds where something stands between the client and the server: firewalls, NAT,
//! helpers that rewrite commands, links that lose large packets. Each world is made of machines of
//! its own, and has a verdict of its own; a sound one has none.

use std::fs::{self, File};
use std::process::Stdio;

use serde_json::Value;

use crate::namespaces::{Machine, are_possible};
use crate::program::{BOB, Program, folder};
use crate::test_command::Found;

/// The address at which clients reach the server.
const SERVER: &str = "203.0.113.7";

/// The passive ports.
const RANGE: &str = "50000-50009";

/// A client, a server, and what stands between them. Fields are dropped in this order.
struct World {
    program: Program,
    client: Machine,
    router: Option<Machine>,
    server: Machine,
}

/// A client and a server on one link, with public addresses of both families.
fn direct(lines: &str) -> World {
    let (client, server) = (Machine::new(), Machine::new());
    client.connect(
        ("eth0", &["203.0.113.9/24", "2001:db8::9/64"]),
        &server,
        ("eth0", &["203.0.113.7/24", "2001:db8::7/64"]),
    );
    let program = serve(&server, lines);
    World { program, client, router: None, server }
}

/// A server in a private network behind a router, which forwards the control port with `dnat` and
/// drops what it does not forward.
fn behind_nat(lines: &str, forwarded: &str) -> World {
    let (client, router, server) = (Machine::new(), Machine::new(), Machine::new());
    client.connect(("eth0", &["203.0.113.9/24"]), &router, ("wan", &["203.0.113.7/24"]));
    router.connect(("lan", &["192.168.1.1/24"]), &server, ("eth0", &["192.168.1.5/24"]));
    router.run("echo 1 > /proc/sys/net/ipv4/ip_forward");
    server.run("ip route add default via 192.168.1.1");
    router.rules(&format!(
        "table ip nat {{
           chain pre {{
             type nat hook prerouting priority dstnat
             iifname wan tcp dport 21 dnat to 192.168.1.5
             {forwarded}
           }}
           chain post {{
             type nat hook postrouting priority srcnat
             oifname wan masquerade
           }}
         }}
         table ip filter {{
           chain input {{
             type filter hook input priority filter; policy drop
             ct state established,related accept
             iifname lan accept
           }}
           chain forward {{
             type filter hook forward priority filter; policy drop
             ct state established,related accept
             ct status dnat accept
             iifname lan accept
           }}
         }}"
    ));
    let program = serve(&server, lines);
    World { program, client, router: Some(router), server }
}

/// The rule that forwards the passive ports.
const WHOLE_RANGE: &str = "iifname wan tcp dport 50000-50009 dnat to 192.168.1.5";

/// Starts our server, with these lines in its `[server]`.
fn serve(machine: &Machine, lines: &str) -> Program {
    let ip = if lines.contains("ip = ") { "" } else { "ip = 0.0.0.0\n" };
    let dir = folder(format!(
        "[server]\n{ip}port = 21\npassive_ports = {RANGE}\n{lines}\n{BOB}perm = elradfmwMT\n"
    ));
    let log = File::create(dir.path().join("stderr")).unwrap();
    let child = machine
        .command(env!("CARGO_BIN_EXE_ftpd"))
        .arg("--config")
        .arg(dir.path().join("ftpd.ini"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut program = Program::of(child, dir);
    program.address("stderr");
    program
}

/// Rules of a firewall for packets that come in.
fn firewall(rules: &str) -> String {
    format!(
        "table inet filter {{
           chain input {{
             type filter hook input priority filter
             {rules}
           }}
         }}"
    )
}

/// Runs `ftpd test` on a machine.
fn test(machine: &Machine, url: &str, options: &[&str]) -> Found {
    let mut command = machine.command(env!("CARGO_BIN_EXE_ftpd"));
    Found::of(&command.args(["test", url, "--json"]).args(options).output().unwrap())
}

impl World {
    fn plain(&self, options: &[&str]) -> Found {
        self.test("ftp", options)
    }

    fn tls(&self, options: &[&str]) -> Found {
        self.test("ftpes", options)
    }

    /// Runs `ftpd test` on the client's machine. Whatever it finds, it leaves nothing behind.
    fn test(&self, scheme: &str, options: &[&str]) -> Found {
        let url = format!("{scheme}://bob:tops3cret@{SERVER}/");
        let found = test(&self.client, &url, options);
        let home = self.program.dir().join("home");
        assert_eq!(fs::read_dir(home).unwrap().count(), 0, "{:#}", found.report);
        found
    }
}

impl Found {
    /// Checks that the first line of a check which is not good says what to do.
    fn advises(&self, check: &str, wanted: &[&str]) {
        let is_wanted = |line: &&Value| line["check"] == check && line["verdict"] != "ok";
        let line = self.checks().find(is_wanted).unwrap_or_else(|| panic!("{:#}", self.report));
        for text in wanted {
            assert!(line.to_string().contains(text), "no '{text}' in {line:#}");
        }
    }
}

/// For worlds in which packets are lost, and all others arrive at once.
const SOON: &[&str] = &["--timeout", "1"];

/// Passes connections to the client only if it has asked for them, as most clients' firewalls do.
const ONLY_REPLIES: &str = "ct state established,related accept\n meta l4proto tcp drop";

#[test]
fn a_sound_world_has_no_verdict() {
    if !are_possible("a sound world") {
        return;
    }
    let world = direct("tls_cert = auto");
    for found in [world.plain(&["--active"]), world.tls(&["--active"])] {
        found.fails_with(&[]);
    }
    let world = behind_nat(&format!("masquerade_address = {SERVER}"), WHOLE_RANGE);
    let found = world.plain(&["--active"]);
    found.fails_with(&[]);
    assert_eq!(found.causes("warning"), ["clear_text"], "{:#}", found.report);
}

#[test]
fn dropped_data_ports() {
    if !are_possible("dropped data ports") {
        return;
    }
    let world = direct("");
    world.server.rules(&firewall("tcp dport 50000-50009 drop"));
    world.client.rules(&firewall(ONLY_REPLIES));
    let found = world.plain(SOON);
    found.fails_with(&["range_silent", "range_silent", "active_blocked"]);
    found.advises("EPSV", &["a firewall drops", "ufw allow", "forward the same numbers"]);
}

#[test]
fn data_ports_that_are_rejected_with_icmp() {
    if !are_possible("data ports that are rejected with ICMP") {
        return;
    }
    // as firewalld and ufw do
    for with in ["icmpx admin-prohibited", "icmpx host-unreachable"] {
        let world = direct("");
        world.server.rules(&firewall(&format!("tcp dport 50000-50009 reject with {with}")));
        world.client.rules(&firewall(ONLY_REPLIES));
        let found = world.plain(SOON);
        found.fails_with(&["range_rejected", "range_rejected", "active_blocked"]);
        found.advises("EPSV", &["a firewall rejects", "with ICMP", "ufw allow"]);
    }
}

#[test]
fn data_ports_that_are_rejected_with_resets() {
    if !are_possible("data ports that are rejected with resets") {
        return;
    }
    let world = direct("");
    let rules = "ct state established,related accept\n tcp dport != 21 reject with tcp reset";
    world.server.rules(&firewall(rules));
    world.client.rules(&firewall(ONLY_REPLIES));
    let found = world.plain(SOON);
    found.fails_with(&["range_refused", "range_refused", "active_blocked"]);
    found.advises("EPSV", &["a firewall rejects", "not forwarded", "ufw allow"]);
}

#[test]
fn nat_without_masquerade() {
    if !are_possible("NAT without masquerade") {
        return;
    }
    let world = behind_nat("", WHOLE_RANGE);
    let found = world.plain(&[]);
    found.fails_with(&["pasv_private"]);
    found.advises("PASV", &["behind a router (NAT)", "masquerade_address = 203.0.113.7"]);
}

#[test]
fn nat_with_a_wrong_masquerade() {
    if !are_possible("NAT with a wrong masquerade") {
        return;
    }
    let world = behind_nat("masquerade_address = 203.0.113.99", WHOLE_RANGE);
    let found = world.plain(SOON);
    found.fails_with(&["wrong_masquerade"]);
    found.advises("PASV", &["is set wrongly", "masquerade_address = 203.0.113.7"]);
}

#[test]
fn a_masquerade_that_is_right_outside_and_no_hairpin_inside() {
    if !are_possible("a masquerade without a hairpin") {
        return;
    }
    let world = behind_nat(&format!("masquerade_address = {SERVER}"), WHOLE_RANGE);
    // a second client, in the network of the server
    let inner = Machine::new();
    inner.connect(
        ("eth0", &["192.168.2.9/24"]),
        world.router.as_ref().unwrap(),
        ("lan2", &["192.168.2.1/24"]),
    );
    inner.run("ip route add default via 192.168.2.1");
    world
        .router
        .as_ref()
        .unwrap()
        .rules("insert rule ip filter forward iifname lan2 oifname lan accept");
    let found = test(&inner, "ftp://bob:tops3cret@192.168.1.5/", SOON);
    found.fails_with(&["no_hairpin"]);
    found.advises("PASV", &["NAT loopback", "masquerade_except = local"]);
    world.plain(&[]).fails_with(&[]);
}

/// The server chooses the ports at random, so the report can miss one half of them.
#[test]
fn a_range_that_is_half_open() {
    if !are_possible("a range that is half open") {
        return;
    }
    let world = direct("");
    world.server.rules(&firewall("tcp dport 50005-50009 drop"));
    let is_found = || {
        let found = world.plain(SOON);
        let causes = found.causes("failed");
        let (half, others): (Vec<_>, _) =
            causes.iter().partition(|cause| **cause == "range_half_open");
        let may_be = |cause: &&&str| matches!(**cause, "range_silent");
        assert!(others.iter().all(may_be), "{:#}", found.report);
        if !half.is_empty() {
            let text = "a part of the range is closed, for example port 5000";
            assert!(found.report.to_string().contains(text), "{:#}", found.report);
        }
        !half.is_empty()
    };
    assert!((0..4).any(|_| is_found()));
}

#[test]
fn a_range_that_is_forwarded_to_other_numbers() {
    if !are_possible("a range that is forwarded to other numbers") {
        return;
    }
    let world = behind_nat(
        &format!("masquerade_address = {SERVER}"),
        "iifname wan tcp dport 50000-50009 dnat to 192.168.1.5:60000-60009",
    );
    world.client.rules(&firewall(ONLY_REPLIES));
    let found = world.plain(SOON);
    found.fails_with(&["range_elsewhere", "range_elsewhere", "active_blocked"]);
    found.advises("EPSV", &["forwarded to other numbers", "to the same number of the server"]);
}

#[test]
fn ipv6_alone() {
    if !are_possible("IPv6 alone") {
        return;
    }
    let world = direct("ip = 2001:db8::7\ntls_cert = auto");
    for scheme in ["ftp", "ftpes"] {
        let url = format!("{scheme}://bob:tops3cret@[2001:db8::7]/");
        let found = test(&world.client, &url, &["--active"]);
        found.fails_with(&[]);
        assert!(found.checks().all(|line| line["check"] != "PASV"), "{:#}", found.report);
    }
    // a name with an address of each family, of which one is dead
    world.client.run(
        "echo 203.0.113.7 ftp.example.org >/tmp/hosts.$$
         echo 2001:db8::7 ftp.example.org >>/tmp/hosts.$$
         mount --bind /tmp/hosts.$$ /etc/hosts; rm /tmp/hosts.$$",
    );
    let found = test(&world.client, "ftp://bob:tops3cret@ftp.example.org/", SOON);
    found.fails_with(&[]);
    assert!(found.causes("warning").contains(&"one_address_dead"), "{:#}", found.report);
}

#[test]
fn only_active_mode_works() {
    if !are_possible("only active mode") {
        return;
    }
    let world = direct("");
    world.server.rules(&firewall("tcp dport 50000-50009 drop"));
    let found = world.plain(SOON);
    found.fails_with(&["range_silent", "range_silent"]);
    assert!(found.causes("warning").contains(&"only_active"), "{:#}", found.report);
    found.advises("active", &["until passive mode works"]);
    assert!(found.text("download").contains("the same bytes"));
}
