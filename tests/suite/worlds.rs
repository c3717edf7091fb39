//! `ftpd test` in worlds where something stands between the client and the server: firewalls, NAT,
//! helpers that rewrite commands, links that lose large packets. Each world is made of machines of
//! its own, and has a verdict of its own; a sound one has none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use crate::middlebox::{Act, Middlebox, Rules, Tls};
use crate::namespaces::{Machine, are_possible};
use crate::other_servers::{Kind, PROFTPD, PURE_FTPD, PYFTPDLIB, VSFTPD};
use crate::program::{BOB, Program, folder};
use crate::test_command::Found;
use crate::tls_client::Authority;

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
    let (client, server) = link();
    let program = serve(&server, lines);
    World { program, client, router: None, server }
}

fn link() -> (Machine, Machine) {
    let (client, server) = (Machine::new(), Machine::new());
    client.connect(
        ("eth0", &["203.0.113.9/24", "2001:db8::9/64"]),
        &server,
        ("eth0", &["203.0.113.7/24", "2001:db8::7/64"]),
    );
    (client, server)
}

/// A server in a private network behind a router, which forwards the control port with `dnat` and
/// drops what it does not forward.
fn behind_nat(lines: &str, forwarded: &str) -> World {
    let (client, router, server) = nat(forwarded);
    let program = serve(&server, lines);
    World { program, client, router: Some(router), server }
}

fn nat(forwarded: &str) -> (Machine, Machine, Machine) {
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
    (client, router, server)
}

/// The rule that forwards the passive ports.
const WHOLE_RANGE: &str = "iifname wan tcp dport 50000-50009 dnat to 192.168.1.5";

/// Starts our server, with these lines in its `[server]`.
pub(crate) fn serve(machine: &Machine, lines: &str) -> Program {
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

#[test]
fn the_log_of_a_server_that_names_its_inner_address_says_so_once() {
    if !are_possible("the_log_of_a_server_that_names_its_inner_address_says_so_once") {
        return;
    }
    for (lines, wanted) in [("", 1), ("masquerade_address = 203.0.113.7", 0)] {
        let mut world = behind_nat(lines, "");
        let settings = world.program.dir().join("ftpd.ini");
        let mut stop = world.server.command(env!("CARGO_BIN_EXE_ftpd"));
        assert!(stop.arg("stop").arg("--config").arg(settings).status().unwrap().success());
        world.program.wait_for("stderr", "shutting down");
        let log = world.program.text("stderr");
        // in a container the words are others
        let is_it = |line: &&str| {
            line.contains("masquerade_address is not set")
                && line.contains("(192.168.1.5)")
                && line.ends_with("'ftpd doctor' says what to do")
        };
        assert_eq!(log.lines().filter(is_it).count(), wanted, "{log}");
    }
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

/// Makes a router read FTP with the kernel's helper, which rewrites addresses and opens ports.
/// Returns whether the kernel has one; if not, the middlebox that rewrites PASV is all that is
/// tested.
fn helper(router: &Machine) -> bool {
    let added = router.try_rules(
        "table ip helper {
           ct helper ftp { type \"ftp\" protocol tcp; }
           chain pre {
             type filter hook prerouting priority filter
             tcp dport 21 ct helper set \"ftp\"
           }
         }",
    );
    if let Err(why) = &added {
        let why = why.lines().next().unwrap_or_default();
        let _ = writeln!(io::stderr(), "worlds: no FTP helper, nothing tested with it: {why}");
    }
    added.is_ok()
}

#[test]
fn a_helper_at_the_server_rewrites_pasv_and_opens_ports() {
    if !are_possible("an FTP helper at the server") {
        return;
    }
    let world = behind_nat("tls_cert = auto", "");
    if !helper(world.router.as_ref().unwrap()) {
        return;
    }
    world.client.rules(&firewall(ONLY_REPLIES));
    // without TLS all is well; with it the helper sees nothing
    let found = world.plain(SOON);
    found.fails_with(&[]);
    assert!(found.causes("warning").contains(&"helper"), "{:#}", found.report);
    found.advises("with TLS", &["rewrites the replies", "masquerade_address = 203.0.113.7"]);
    let found = world.tls(SOON);
    found.fails_with(&["range_silent", "pasv_private", "active_blocked"]);
    found.advises("EPSV", &["nf_conntrack_ftp, ALG"]);
}

#[test]
fn a_helper_at_the_server_opens_ports() {
    if !are_possible("an FTP helper that opens ports") {
        return;
    }
    let lines = format!("tls_cert = auto\nmasquerade_address = {SERVER}");
    let world = behind_nat(&lines, "");
    if !helper(world.router.as_ref().unwrap()) {
        return;
    }
    let found = world.plain(SOON);
    // it does not know the address in the reply, so it opens ports for EPSV alone
    found.fails_with(&["helper"]);
    found.advises("PASV", &["although those with EPSV did", "ufw allow"]);
    found.advises("with TLS", &["opens the ports", "ufw allow"]);
}

#[test]
fn a_helper_at_the_client_rewrites_port() {
    if !are_possible("an FTP helper at the client") {
        return;
    }
    let server = direct("tls_cert = auto");
    // another client of the same server, behind a router
    let (client, router) = (Machine::new(), &server.client);
    client.connect(("eth0", &["192.168.7.9/24"]), router, ("lan", &["192.168.7.1/24"]));
    client.run("ip route add default via 192.168.7.1");
    router.run("echo 1 > /proc/sys/net/ipv4/ip_forward");
    router.rules(
        "table ip nat {
           chain post {
             type nat hook postrouting priority srcnat
             oifname eth0 masquerade
           }
         }",
    );
    let url = |scheme| format!("{scheme}://bob:tops3cret@{SERVER}/");
    let active = &["--active", "--timeout", "1"];
    let found = test(&client, &url("ftp"), active);
    found.fails_with(&["active_nat"]);
    if !helper(router) {
        return;
    }
    let found = test(&client, &url("ftp"), active);
    found.fails_with(&[]);
    found.advises("active", &["rewrites PORT and EPRT", "use passive mode"]);
    let found = test(&client, &url("ftpes"), active);
    found.fails_with(&["active_nat"]);
    found.advises("active", &["behind a router (NAT)", "use passive mode from here"]);
}

/// A router on which a middlebox stands between client and server. Data connections pass it by, but
/// seem to come from it as well.
fn behind_middlebox(lines: &str, rules: Rules) -> (World, Middlebox) {
    let world = behind_nat(lines, WHOLE_RANGE);
    let router = world.router.as_ref().unwrap();
    router.rules(
        "flush chain ip nat pre
         table ip nat {
           chain pre {
             iifname wan tcp dport 50000-50009 dnat to 192.168.1.5
           }
           chain post {
             oifname lan masquerade
           }
         }
         insert rule ip filter input iifname wan tcp dport 21 accept",
    );
    let middlebox = Middlebox::start(router, "203.0.113.7:21", "192.168.1.5:21", rules);
    (world, middlebox)
}

const HONEST: Rules = Rules { commands: |_| Act::Pass, replies: |_| Act::Pass, tls: Tls::Pass };

#[test]
fn a_middlebox_that_opens_no_ports_for_epsv() {
    if !are_possible("a middlebox that opens no ports for EPSV") {
        return;
    }
    // names a port that is closed instead of the one that is open
    let replies = |line: &str| {
        let is_epsv = line.starts_with("229");
        if is_epsv { Act::Change("229 Entering (|||60000|)".to_owned()) } else { Act::Pass }
    };
    let masquerade = format!("masquerade_address = {SERVER}");
    let (world, _middlebox) = behind_middlebox(&masquerade, Rules { replies, ..HONEST });
    let found = world.plain(SOON);
    found.fails_with(&["range_silent"]);
    assert!(found.causes("warning").contains(&"helper"), "{:#}", found.report);
    found.advises("PASV", &["opens the ports", "TLS hides the replies"]);
}

#[test]
fn a_middlebox_that_rewrites_pasv() {
    if !are_possible("a middlebox that rewrites PASV") {
        return;
    }
    let replies = |line: &str| {
        let is_pasv = line.starts_with("227");
        if is_pasv {
            Act::Change(line.replace("192,168,1,5", "203,0,113,7"))
        } else {
            Act::Pass
        }
    };
    let (world, _middlebox) = behind_middlebox("tls_cert = auto", Rules { replies, ..HONEST });
    let found = world.plain(SOON);
    found.fails_with(&[]);
    found.advises("with TLS", &["rewrites the replies", "masquerade_address = 203.0.113.7"]);
    let found = world.tls(SOON);
    found.fails_with(&["pasv_private"]);
    found.advises("PASV", &["behind a router (NAT)", "masquerade_address = 203.0.113.7"]);
}

#[test]
fn a_middlebox_that_cuts_tls() {
    if !are_possible("a middlebox that cuts TLS") {
        return;
    }
    let lines = format!("tls_cert = auto\nmasquerade_address = {SERVER}");
    for (tls, cause, cure) in [
        (Tls::Reset, "tls_cut", "something between cuts connections that begin TLS"),
        (Tls::Drop, "tls_silent", "something in between swallows TLS"),
    ] {
        let (world, _middlebox) = behind_middlebox(&lines, Rules { tls, ..HONEST });
        let found = world.tls(SOON);
        found.fails_with(&[cause]);
        found.advises("TLS", &[cure]);
        let found = world.plain(SOON);
        found.fails_with(&[]);
        assert!(found.causes("warning").contains(&"tls_cut"), "{:#}", found.report);
    }
    let (world, _middlebox) = behind_middlebox(&lines, HONEST);
    world.tls(&[]).fails_with(&[]);
}

#[test]
fn a_middlebox_that_hides_tls() {
    if !are_possible("a middlebox that hides TLS") {
        return;
    }
    let lines = format!("tls_cert = auto\nmasquerade_address = {SERVER}");
    let commands = |line: &str| {
        if line.starts_with("AUTH") { Act::Answer("500 Blocked by policy") } else { Act::Pass }
    };
    let replies = |line: &str| {
        let is_hidden = line.trim_start().starts_with("AUTH");
        if is_hidden { Act::Drop } else { Act::Pass }
    };
    for rules in [Rules { commands, ..HONEST }, Rules { commands, replies, ..HONEST }] {
        let (world, _middlebox) = behind_middlebox(&lines, rules);
        let found = world.tls(SOON);
        found.fails_with(&["tls_stripped"]);
        found.advises("TLS", &["something in between answers instead of the server"]);
    }
}

#[test]
fn tls_that_is_cut_on_data_connections() {
    if !are_possible("TLS that is cut on data connections") {
        return;
    }
    let world = direct("tls_cert = auto");
    // the first bytes of a handshake
    let rule = "tcp dport 50000-50009 @ih,0,16 0x1603 reject with tcp reset";
    if let Err(why) = world.server.try_rules(&firewall(rule)) {
        let _ = writeln!(io::stderr(), "worlds: no look into packets, nothing tested: {why}");
        return;
    }
    let found = world.tls(SOON);
    assert!(found.causes("failed").contains(&"data_tls_failed"), "{:#}", found.report);
    found.advises("listing", &["TLS on the data connection fails"]);
    world.plain(SOON).fails_with(&[]);
}

/// Makes the links of a router narrow, and lets it not say so.
fn narrow(router: &Machine) {
    router.run(
        "ip route change 203.0.113.0/24 dev wan mtu lock 900
         ip route change 192.168.1.0/24 dev lan mtu lock 900",
    );
    router.rules(
        "table ip quiet {
           chain output {
             type filter hook output priority filter
             icmp type destination-unreachable drop
           }
         }",
    );
}

#[test]
fn large_packets_that_are_lost() {
    if !are_possible("large packets that are lost") {
        return;
    }
    let lines = format!("tls_cert = auto\nmasquerade_address = {SERVER}");
    let world = behind_nat(&lines, WHOLE_RANGE);
    let router = world.router.as_ref().unwrap();
    narrow(router);
    let found = world.plain(SOON);
    found.fails_with(&["mtu"]);
    found.advises("upload", &["small packets pass and large ones vanish", "maxseg size set"]);
    // a certificate that fits into a small packet
    let found = world.tls(SOON);
    found.fails_with(&["mtu"]);
    found.advises("upload", &["small packets pass and large ones vanish"]);
}

#[test]
fn a_handshake_whose_packets_are_lost() {
    if !are_possible("a handshake whose packets are lost") {
        return;
    }
    let authority = Authority::new();
    let pair = authority.issue("ftp.example.org");
    let own = fs::read_to_string(authority.file()).unwrap();
    // with its chain, the certificate does not fit into a small packet
    let chain = format!("{}{own}{own}", pair.certificate);
    let (client, router, server) = nat(WHOLE_RANGE);
    narrow(&router);
    let dir = authority.file().parent().unwrap().to_owned();
    for (name, text) in [("chain.pem", &chain), ("key.pem", &pair.key)] {
        fs::write(dir.join(name), text).unwrap();
        fs::set_permissions(dir.join(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let dir = dir.display();
    let lines = format!("tls_cert = {dir}/chain.pem\ntls_key = {dir}/key.pem");
    let lines = format!("{lines}\nmasquerade_address = {SERVER}");
    let program = serve(&server, &lines);
    let world = World { program, client, router: Some(router), server };
    let found = world.tls(SOON);
    assert_eq!(found.causes("failed")[0], "mtu", "{:#}", found.report);
    found.advises("TLS", &["small packets pass and large ones vanish"]);
    // the rest is tested with small packets
    assert!(found.text("download").contains("the same bytes"), "{:#}", found.report);
}

/// Another server in three worlds: one that is sound, one behind NAT that does not know its outer
/// address, and one whose passive ports are closed. Only its own settings are named.
fn other_server(kind: Kind, masquerade: &str, range: &str) {
    if !are_possible(kind.name) {
        return;
    }
    let url = format!("ftp://{}{SERVER}/{}", kind.login, kind.path);
    let is_only = |found: &Found| {
        let text = found.report.to_string();
        for name in ["ftpd: ", "vsftpd: ", "Pure-FTPd: ", "ProFTPD: ", "pyftpdlib: "] {
            let is_named = text.contains(&format!("\"{name}"));
            assert_eq!(is_named, name.starts_with(kind.name), "{name}: {:#}", found.report);
        }
    };
    let (client, server) = link();
    let Some(other) = kind.start(&server) else { return };
    let found = test(&client, &url, &["--active"]);
    found.fails_with(&[]);
    assert!(found.text("download").contains("the same bytes"), "{:#}", found.report);
    assert!(other.is_empty());
    server.rules(&firewall("tcp dport 50000-50009 drop"));
    let found = test(&client, &url, SOON);
    found.fails_with(&["range_silent", "range_silent"]);
    found.advises("EPSV", &[range]);
    is_only(&found);
    drop((other, client, server));
    let (client, _router, server) = nat(WHOLE_RANGE);
    let Some(other) = kind.start(&server) else { return };
    let found = test(&client, &url, &[]);
    found.fails_with(&["pasv_private"]);
    found.advises("PASV", &[masquerade]);
    is_only(&found);
    assert!(other.is_empty());
}

#[test]
fn vsftpd() {
    other_server(VSFTPD, "pasv_address=203.0.113.7", "pasv_min_port");
}

#[test]
fn pure_ftpd() {
    other_server(PURE_FTPD, "ForcePassiveIP 203.0.113.7", "PassivePortRange");
}

#[test]
fn proftpd() {
    other_server(PROFTPD, "MasqueradeAddress 203.0.113.7", "PassivePorts");
}

#[test]
fn pyftpdlib() {
    other_server(PYFTPDLIB, "handler.masquerade_address = '203.0.113.7'", "passive_ports");
}
