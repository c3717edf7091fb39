//! `ftpd doctor`: on machines of the test's own, with the real programs of firewalls, and on broken
//! settings. The judge has its worlds as rows of unit tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::namespaces::{Machine, are_possible};
use crate::program::{BOB, Program, folder};
use crate::server::eventually;
use crate::test_command::Found;
use crate::worlds::serve;

/// A server with public addresses on a machine of its own. The programs are dropped first.
struct World {
    program: Option<Program>,
    machine: Machine,
    _client: Machine,
}

/// Settings that do not depend on what the kernel of this machine can do.
const PLAIN: &str = "sandbox = off\nmax_cons = 20";

/// A machine with a link, a default route, and public addresses of both families.
fn machine() -> (Machine, Machine) {
    let (client, machine) = (Machine::new(), Machine::new());
    client.connect(
        ("eth0", &["203.0.113.9/24", "2001:db8::9/64"]),
        &machine,
        ("eth0", &["203.0.113.7/24", "2001:db8::7/64"]),
    );
    machine
        .run("ip route add default via 203.0.113.9; ip -6 route add default via 2001:db8::9");
    (machine, client)
}

impl World {
    fn new(lines: &str) -> Self {
        let (machine, client) = machine();
        let program = serve(&machine, &format!("{PLAIN}\n{lines}"));
        Self { program: Some(program), machine, _client: client }
    }

    fn settings(&self) -> String {
        let dir = self.program.as_ref().unwrap().dir();
        dir.join("ftpd.ini").to_str().unwrap().to_owned()
    }

    fn examine(&self) -> Found {
        examine(&self.machine, &self.settings())
    }

    /// Checks the only failure, applies its cure, after which nothing is left to cure.
    #[track_caller]
    fn is_cured(&self, cause: &str, word: &str) {
        let found = self.examine();
        found.fails_with(&[cause]);
        let line = found.checks().find(|line| line["cause"] == cause).unwrap();
        let (text, cures) = (line["text"].as_str().unwrap(), line["cures"].as_array().unwrap());
        let cure = cures[0].as_str().unwrap();
        assert!(format!("{text}\n{cure}").contains(word), "no '{word}' in {line:#}");
        self.machine.run(cure);
        self.is_sound();
    }

    #[track_caller]
    fn is_sound(&self) {
        let found = self.examine();
        found.fails_with(&[]);
        assert_eq!(found.causes("warning"), [""; 0], "{:#}", found.report);
        assert_eq!(found.causes("skipped"), [""; 0], "{:#}", found.report);
    }
}

fn examine(machine: &Machine, settings: &str) -> Found {
    let mut command = machine.command(env!("CARGO_BIN_EXE_ftpd"));
    Found::of(&command.args(["doctor", "--json", "--config", settings]).output().unwrap())
}

/// Runs `ftpd doctor` in a folder and returns its exit status and what it prints.
fn doctor(folder: &Path, uid: Option<u32>) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftpd"));
    command.arg("doctor").current_dir(folder).stdin(Stdio::null());
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Returns whether programs are installed. If not, it says so.
fn are_installed(test: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
        !places.iter().any(|place| Path::new(place).join(program).exists())
    });
    if let Some(program) = missing {
        eprintln!("{program} is not installed, so {test} has tested nothing");
    }
    missing.is_none()
}

/// A table of nftables with these rules, which drops everything else.
fn nft(rules: &str) -> String {
    format!(
        "table inet filter {{
           chain input {{
             type filter hook input priority filter; policy drop
             ct state established,related accept
             iif lo accept
             meta l4proto {{ icmp, ipv6-icmp }} accept
             {rules}
           }}
         }}"
    )
}

#[test]
fn a_sound_machine_takes_one_line_and_is_left_as_it_was() {
    if !are_possible("a_sound_machine_takes_one_line_and_is_left_as_it_was") {
        return;
    }
    let world = World::new("");
    world.is_sound();
    let mut command = world.machine.command(env!("CARGO_BIN_EXE_ftpd"));
    let output = command.args(["doctor", "--config", &world.settings()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("all ") && text.ends_with(" checks are good\n"), "{text}");
    assert_eq!((text.lines().count(), output.status.code()), (1, Some(0)));
    // not even an empty table was made
    let mut command = world.machine.command("nft");
    let rules = command.args(["list", "ruleset"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&rules.stdout), "");
}

#[test]
fn ports_that_nftables_does_not_let_in_are_found_and_cured() {
    if !are_possible("ports_that_nftables_does_not_let_in_are_found_and_cured") {
        return;
    }
    for (rules, cause, word) in [
        ("tcp dport 21 accept", "data_blocked", "drops"),
        ("tcp dport 50000-50009 accept", "control_blocked", "control port 21"),
        (
            "tcp dport { 21, 50000-50004 } accept",
            "data_blocked",
            "some of the passive ports 50005",
        ),
        ("tcp dport 21 accept\nreject with tcp reset", "data_blocked", "rejects"),
        (
            "tcp dport 21 accept\njump more\n}\nchain more {\ntcp dport 50000-50100 drop",
            "data_blocked",
            "chain more",
        ),
    ] {
        let world = World::new("");
        world.machine.rules(&nft(rules));
        world.is_cured(cause, word);
    }
    let world = World::new("");
    world.machine.rules(&nft("tcp dport { 21, 50000-50009 } ct state new accept"));
    world.is_sound();
}

#[test]
fn a_firewall_that_stops_a_machine_from_reaching_itself_is_no_failure() {
    if !are_possible("a_firewall_that_stops_a_machine_from_reaching_itself_is_no_failure") {
        return;
    }
    let world = World::new("");
    // without state, the answers of the server to the machine itself are dropped
    world.machine.rules(
        "table inet filter {
           chain input {
             type filter hook input priority filter; policy drop
             meta l4proto { icmp, ipv6-icmp } accept
             meta iiftype ether tcp dport { 21, 50000-50009 } accept
           }
         }",
    );
    let found = world.examine();
    found.fails_with(&[]);
    assert_eq!(found.causes("warning"), ["closed_within"], "{:#}", found.report);
    assert_eq!(found.causes("skipped"), [""; 0], "{:#}", found.report);
    assert!(found.text("port").contains("itself at 203.0.113.7,"), "{:#}", found.report);
    world.machine.run("nft add rule inet filter input iif lo accept");
    world.is_sound();
}

#[test]
fn ports_that_iptables_does_not_let_in_are_found_and_cured() {
    let test = "ports_that_iptables_does_not_let_in_are_found_and_cured";
    if !are_possible(test) || !are_installed(test, &["iptables-nft", "ip6tables-nft"]) {
        return;
    }
    for kind in ["nft", "legacy"] {
        let world = World::new("");
        let table = format!("iptables-{kind}");
        // the kernel may be without the old tables
        let mut command = world.machine.command(&table);
        if !command.args(["-P", "INPUT", "DROP"]).output().unwrap().status.success() {
            eprintln!("{table} does not work here");
            continue;
        }
        world.machine.run(&format!(
            "{table} -A INPUT -i lo -j ACCEPT
             {table} -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
             {table} -A INPUT -p tcp -m multiport --dports 21,50000:50004 -j ACCEPT"
        ));
        world.is_cured("data_blocked", "some of the passive ports 50005-50009");
    }
}

#[test]
fn ufw_is_read_and_cured() {
    let test = "ufw_is_read_and_cured";
    if !are_possible(test) || !are_installed(test, &["ufw", "iptables"]) {
        return;
    }
    let world = World::new("");
    world.machine.run(
        "mount -t tmpfs none /run; cp -r /etc/ufw /run/ufw; mount --bind /run/ufw /etc/ufw
         ufw default deny incoming; ufw allow 21/tcp; ufw --force enable",
    );
    world.is_cured("data_blocked", "ufw allow 50000:50009/tcp");
}

#[test]
fn another_program_on_the_port_is_named() {
    if !are_possible("another_program_on_the_port_is_named") {
        return;
    }
    let (machine, _client) = machine();
    let dir = folder(format!("[server]\nport = 21\n{PLAIN}\n{BOB}"));
    let settings = dir.path().join("ftpd.ini");
    let settings = settings.to_str().unwrap();
    examine(&machine, settings).fails_with(&["not_running"]);
    // another program, although it is a copy of this one
    let other = dir.path().join("vsftpd");
    fs::copy(env!("CARGO_BIN_EXE_ftpd"), &other).unwrap();
    let mut command = machine.command(other.to_str().unwrap());
    let mut child = command
        .args(["share", "--port", "21", dir.path().to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the port is taken", || {
        let found = examine(&machine, settings);
        found.causes("failed") == ["port_taken"]
            && found.text("port").contains("in use by vsftpd (pid ")
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_home_that_the_servers_user_cannot_write_to_is_found() {
    if !are_possible("a_home_that_the_servers_user_cannot_write_to_is_found") {
        return;
    }
    let world = World::new("user = 65534\ngroup = 65534");
    let dir = world.program.as_ref().unwrap().dir();
    fs::set_permissions(dir, PermissionsExt::from_mode(0o700)).unwrap();
    let closed = world.examine();
    closed.fails_with(&["home_closed"]);
    let entry = format!("may not enter {}", dir.display());
    assert!(closed.text("home").contains(&entry), "{:#}", closed.report);
    fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    let closed = world.examine();
    closed.fails_with(&["home_closed"]);
    assert!(closed.text("home").contains("belongs to uid 0"), "{:#}", closed.report);
    std::os::unix::fs::chown(dir.join("home"), Some(65_534), Some(65_534)).unwrap();
    world.examine().fails_with(&[]);
}

#[test]
fn without_usable_settings_the_report_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    if !Path::new("/etc/ftpd.ini").exists() {
        let (status, text) = doctor(empty.path(), None);
        assert_eq!(status, 1, "{text}");
        assert!(text.starts_with("FAILED   settings      there are no settings"), "{text}");
    }
    let dir = folder(format!("[server]\nport = x\npasive_ports = 1-2\n{BOB}"));
    let (status, text) = doctor(dir.path(), None);
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("ftpd.ini:2: [server] port: 'x'"), "{text}");
    assert!(text.contains("did you mean 'passive_ports'?"), "{text}");
    // a user who may not read the settings
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let (status, text) = doctor(dir.path(), Some(65_534));
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("sudo ftpd doctor"), "{text}");
        // or not a file that they name
        let dir = folder("[server]\n[user:bob]\npassword_file = secret\nhome = .\n");
        for (name, mode) in [("", 0o755), ("ftpd.ini", 0o644), ("secret", 0o600)] {
            let path = dir.path().join(name);
            if name == "secret" {
                fs::write(&path, "builder\n").unwrap();
            }
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        let (status, text) = doctor(dir.path(), Some(65_534));
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("skipped  settings"), "{text}");
        assert!(text.contains("password_file"), "{text}");
        assert!(text.contains("sudo ftpd doctor"), "{text}");
    }
}
