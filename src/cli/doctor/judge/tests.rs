//! Each world is a row: what differs from a sound one, and the findings that this must give.

use std::time::{Duration, SystemTime};

use super::judge;
use crate::cli::doctor::facts::{
    Answer, Certificate, Clock, Disk, Facts, Files, Holder, Homes, Interface, Kernel,
    Masquerade, Network, Port, Purpose, Rules, Running, Sandboxed, Text, Uncertified,
    Unsettled, Wanted,
};
use crate::cli::line::{Line, Verdict};
use crate::config::PortRange;
use crate::tls::Presented;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

fn presented(subject: &str, issuer: &str) -> Presented {
    Presented {
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        begins: now() - DAY,
        ends: now() + 60 * DAY,
        fingerprint: String::new(),
    }
}

fn port(purpose: Purpose, at: &str, holder: Holder, answer: Answer) -> Port {
    Port { purpose, at: at.parse().unwrap(), holder, answer }
}

fn ours() -> Holder {
    Holder::Process { name: "ftpd".to_owned(), pid: 7, is_ours: true }
}

fn other() -> Holder {
    Holder::Process { name: "vsftpd".to_owned(), pid: 9, is_ours: false }
}

/// A machine with a public address and a server that runs, where all is well.
#[expect(clippy::too_many_lines, reason = "a table")]
fn sound() -> Facts {
    let wanted = Wanted {
        warnings: Vec::new(),
        listen: Ok(vec!["0.0.0.0".parse().unwrap()]),
        port: 21,
        implicit_port: 0,
        range: PortRange { first: 50_000, last: 50_200 },
        max_cons: 150,
        masquerade: None,
        has_tls: true,
        sandbox: Sandboxed::Auto,
    };
    let interface = |name: &str, ip: &str| Interface {
        link: Some(1),
        name: name.to_owned(),
        addresses: vec![ip.parse().unwrap()],
    };
    Facts {
        settings: Ok(wanted),
        is_root: true,
        container: None,
        running: Running::Yes(7),
        ports: vec![
            port(
                Purpose::Control,
                "203.0.113.5:21",
                ours(),
                Answer::Greeted("220 x".to_owned()),
            ),
            port(Purpose::Passive, "203.0.113.5:50000", Holder::Nobody, Answer::Connected),
            port(Purpose::Passive, "203.0.113.5:50200", Holder::Nobody, Answer::Connected),
        ],
        network: Network {
            interfaces: vec![interface("lo", "127.0.0.1"), interface("eth0", "203.0.113.5")],
            outside: vec!["eth0".to_owned()],
        },
        rules: Rules {
            nft: Text::Absent,
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            failed: None,
            has_hidden: false,
            has_helper: false,
        },
        homes: Homes::default(),
        disks: vec![Disk {
            of: "x".to_owned(),
            bytes: (1 << 40, 1 << 41),
            inodes: (1 << 20, 1 << 21),
        }],
        files: Some(Files { needed: 1532, allowed: Some(524_288), of: Some(7) }),
        certificate: Some(Ok(Certificate {
            is_auto: false,
            file: "/etc/x.pem".to_owned(),
            chain: vec![presented("CN=a", "CN=b"), presented("CN=b", "CN=c")],
            is_trusted: Some(true),
            lacks_name: None,
            is_key_open: None,
            unreadable: Vec::new(),
        })),
        clock: Clock { now: now(), built: Some(now() - DAY), is_synchronised: Some(true) },
        kernel: Kernel { no_openat2: None, no_landlock: None, congestion: "cubic".to_owned() },
    }
}

fn findings(facts: &Facts) -> Vec<Line> {
    judge(facts).into_iter().filter(|line| line.verdict != Verdict::Good).collect()
}

/// Changes a sound world, and checks the only finding in it: its verdict, its cause (for those that
/// are skipped, its check), and a word of its text or cures.
#[track_caller]
fn world(change: impl FnOnce(&mut Facts), verdict: Verdict, cause: &str, word: &str) {
    let mut facts = sound();
    change(&mut facts);
    let found = findings(&facts);
    let [line] = found.as_slice() else { panic!("{found:#?}") };
    let name = if verdict == Verdict::Skipped { line.check } else { line.cause };
    assert_eq!((line.verdict, name), (verdict, cause), "{line:#?}");
    let all = format!("{}\n{}", line.text, line.cures.join("\n"));
    assert!(all.contains(word), "no '{word}' in\n{all}");
    assert!(
        !line.cures.is_empty()
            || line.check == "settings"
            || line.cause == "home_unit"
            || line.cause == "key_open"
    );
}

fn wanted(facts: &mut Facts) -> &mut Wanted {
    facts.settings.as_mut().unwrap()
}

/// A machine behind a router.
fn private(facts: &mut Facts) {
    facts.network.interfaces[1].addresses = vec!["192.168.1.20".parse().unwrap()];
}

fn masked(facts: &mut Facts, found: &[&str]) {
    let found = found.iter().map(|ip| ip.parse().unwrap()).collect();
    wanted(facts).masquerade =
        Some(Masquerade { name: "ftp.example.org".to_owned(), found: Ok(found) });
}

fn nft(facts: &mut Facts, rules: &[&str]) {
    let chain = r#"{"chain": {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "drop"}}"#;
    let table = r#"{"table": {"family": "inet", "name": "filter"}}"#;
    let rule = |expr: &&str| {
        format!(
            r#"{{"rule": {{"family": "inet", "table": "filter", "chain": "input", "handle": 1, "expr": [{expr}]}}}}"#
        )
    };
    let all: Vec<_> = [table.to_owned(), chain.to_owned()]
        .into_iter()
        .chain(rules.iter().map(rule))
        .collect();
    facts.rules.nft = Text::Is(format!(r#"{{"nftables": [{}]}}"#, all.join(",")));
}

/// The expression that accepts ports.
fn accept(right: &str) -> String {
    format!(
        r#"{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "tcp", "field": "dport"}}}}, "right": {right}}}}}, {{"accept": null}}"#
    )
}

#[test]
fn a_sound_world_has_no_finding() {
    assert_eq!(findings(&sound()), []);
    let mut open = sound();
    nft(&mut open, &[&accept("21"), &accept(r#"{"range": [50000, 50200]}"#)]);
    assert_eq!(findings(&open), []);
    let mut behind = sound();
    private(&mut behind);
    masked(&mut behind, &["203.0.113.9"]);
    assert_eq!(findings(&behind), []);
    let mut within = sound();
    private(&mut within);
    wanted(&mut within).listen = Ok(vec!["192.168.1.20".parse().unwrap()]);
    assert_eq!(findings(&within), []);
}

#[test]
fn settings_that_cannot_be_used() {
    let settings = |why: Unsettled| move |facts: &mut Facts| facts.settings = Err(why);
    world(settings(Unsettled::Absent), Verdict::Failed, "no_settings", "--config FILE");
    world(
        settings(Unsettled::Closed("/etc/ftpd.ini".to_owned())),
        Verdict::Skipped,
        "settings",
        "sudo",
    );
    let fault = vec!["x.ini:3: [server] port: 'x' is not a port".to_owned()];
    world(settings(Unsettled::Faulty(fault)), Verdict::Failed, "settings_fault", "x.ini:3");
    world(
        |facts| wanted(facts).warnings = vec!["w".to_owned()],
        Verdict::Warning,
        "settings_warning",
        "w",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn ports() {
    let control = |holder: Holder, answer: Answer| {
        move |facts: &mut Facts| {
            facts.ports[0].holder = holder;
            facts.ports[0].answer = answer;
        }
    };
    let stopped = |facts: &mut Facts| {
        control(Holder::Nobody, Answer::Untried)(facts);
        facts.running = Running::No;
    };
    world(stopped, Verdict::Failed, "not_running", "systemctl start ftpd");
    world(control(Holder::Nobody, Answer::Untried), Verdict::Failed, "not_listening", "pid 7");
    world(control(other(), Answer::Untried), Verdict::Failed, "port_taken", "stop vsftpd");
    world(
        control(ours(), Answer::Connected),
        Verdict::Failed,
        "port_unreachable",
        "no greeting",
    );
    world(control(ours(), Answer::Silent), Verdict::Failed, "port_unreachable", "lo");
    world(
        control(ours(), Answer::Greeted("SSH-2.0".to_owned())),
        Verdict::Failed,
        "port_unreachable",
        "SSH",
    );
    world(control(Holder::Nobody, Answer::NotHere), Verdict::Failed, "not_here", "ip address");
    let hidden = |facts: &mut Facts| {
        control(Holder::Somebody, Answer::Connected)(facts);
        facts.running = Running::No;
    };
    world(hidden, Verdict::Skipped, "port", "sudo");
    let passive = |holder: Holder, answer: Answer| {
        move |facts: &mut Facts| {
            facts.ports[1].holder = holder;
            facts.ports[1].answer = answer;
        }
    };
    world(passive(other(), Answer::Untried), Verdict::Warning, "passive_taken", "50000");
    world(
        passive(Holder::Nobody, Answer::Silent),
        Verdict::Failed,
        "passive_unreachable",
        "lo",
    );
    world(
        passive(Holder::Nobody, Answer::Refused),
        Verdict::Failed,
        "passive_unreachable",
        "refuses",
    );
    for answer in [Answer::Silent, Answer::Refused] {
        let closed = |facts: &mut Facts| {
            for port in &mut facts.ports {
                port.answer = answer.clone();
            }
        };
        world(closed, Verdict::Warning, "closed_within", "203.0.113.5");
    }
    world(passive(Holder::Nobody, Answer::NotAllowed), Verdict::Failed, "passive_low", "1023");
    world(
        |facts| wanted(facts).listen = Err("cannot listen on x".to_owned()),
        Verdict::Failed,
        "no_address",
        "0.0.0.0",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn firewalls() {
    let (control, data) = (accept("21"), accept(r#"{"range": [50000, 50200]}"#));
    let half = accept(r#"{"range": [50000, 50100]}"#);
    let insert = "nft insert rule inet filter input tcp dport 50000-50200 accept";
    world(|facts| nft(facts, &[&control]), Verdict::Failed, "data_blocked", insert);
    world(|facts| nft(facts, &[&data]), Verdict::Failed, "control_blocked", "dport 21 accept");
    world(
        |facts| nft(facts, &[&control, &half]),
        Verdict::Failed,
        "data_blocked",
        "some of the passive ports 50101-50200",
    );
    let reject = data.replace("accept", "reject");
    world(|facts| nft(facts, &[&control, &reject]), Verdict::Failed, "data_blocked", "rejects");
    let odd = format!(
        r#"{{"match": {{"op": "==", "left": {{"meta": {{"key": "mark"}}}}, "right": 1}}}}, {data}"#
    );
    world(|facts| nft(facts, &[&control, &odd]), Verdict::Skipped, "firewall", "ftpd test");
    let lan = format!(
        r#"{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "10.0.0.0", "len": 8}}}}}}}}, {data}"#
    );
    world(
        |facts| nft(facts, &[&control, &lan]),
        Verdict::Warning,
        "data_limited",
        "certain addresses",
    );
    let admin = lan.replace("50200", "50000").replace("50000", "21");
    let (admin, inside) = (admin.as_str(), lan.replace("10.0.0.0", "127.0.0.0"));
    for cure in ["only certain addresses may connect to control port 21", "dport 21 accept"] {
        world(|facts| nft(facts, &[admin, &data]), Verdict::Warning, "control_limited", cure);
    }
    let closed = |facts: &mut Facts| nft(facts, &[&control, &inside]);
    world(closed, Verdict::Failed, "data_blocked", "drops");
    let away = control.replace("accept", "redirect");
    world(
        |facts| nft(facts, &[&away, &data]),
        Verdict::Warning,
        "redirected",
        "redirects control port 21",
    );
    let related = r#"{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "related"}}, {"accept": null}"#;
    let helped = |facts: &mut Facts| {
        nft(facts, &[related, &control]);
        facts.rules.has_helper = true;
    };
    world(helped, Verdict::Failed, "helper_tls", "open 50000-50200");
    let clear = |facts: &mut Facts| {
        helped(facts);
        wanted(facts).has_tls = false;
    };
    world(clear, Verdict::Warning, "helper", "nf_conntrack_ftp");
    let ufw = "*filter\n:INPUT DROP [0:0]\n:ufw-user-input - [0:0]\n-A INPUT -j ufw-user-input\n\
               -A ufw-user-input -p tcp --dport 21 -j ACCEPT\n";
    world(
        |facts| facts.rules.ipv4 = vec![ufw.to_owned()],
        Verdict::Failed,
        "data_blocked",
        "ufw allow 50000:50200/tcp",
    );
    let plain = ufw.replace("ufw-user-input", "mine");
    let insert = "iptables-legacy -I INPUT -p tcp --dport 50000:50200 -j ACCEPT";
    world(
        |facts| facts.rules.ipv4 = vec![plain.clone()],
        Verdict::Failed,
        "data_blocked",
        insert,
    );
    let closed = |facts: &mut Facts| {
        facts.rules.nft = Text::Failed("nft: Operation not permitted".to_owned());
        facts.is_root = false;
    };
    world(closed, Verdict::Skipped, "firewall", "sudo");
    world(|facts| facts.rules.has_hidden = true, Verdict::Skipped, "firewall", "installed");
}

#[test]
fn a_machine_without_a_network() {
    world(
        |facts| facts.network.interfaces.truncate(1),
        Verdict::Failed,
        "no_interface",
        "link set",
    );
}

#[test]
fn both_families_are_judged() {
    let both = |facts: &mut Facts| {
        facts.network.interfaces[1].addresses.push("2001:db8::5".parse().unwrap());
        wanted(facts).listen = Ok(vec!["::".parse().unwrap()]);
        let save = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 21 -j ACCEPT\n";
        facts.rules.ipv6 = vec![save.to_owned()];
    };
    world(both, Verdict::Failed, "data_blocked", "50000-50200 (IPv6): ip6tables-legacy");
}

#[test]
fn addresses() {
    world(private, Verdict::Warning, "nat", "forward ports 21 and 50000-50200");
    let local =
        |facts: &mut Facts| wanted(facts).listen = Ok(vec!["127.0.0.1".parse().unwrap()]);
    world(local, Verdict::Warning, "loopback", "0.0.0.0");
    let container = |facts: &mut Facts| {
        private(facts);
        facts.container = Some("docker".to_owned());
    };
    world(container, Verdict::Warning, "container", "-p 21:21 -p 50000-50200:50000-50200");
    let masked_container = |facts: &mut Facts| {
        container(facts);
        masked(facts, &["203.0.113.9"]);
    };
    world(masked_container, Verdict::Skipped, "container", "-p 21:21");
    let masked = |found: &'static [&'static str]| move |facts: &mut Facts| masked(facts, found);
    world(masked(&["203.0.113.9"]), Verdict::Warning, "masquerade_elsewhere", "203.0.113.5");
    world(masked(&[]), Verdict::Failed, "masquerade_unresolved", "A record");
    world(masked(&["127.0.1.1"]), Verdict::Failed, "masquerade_unusable", "/etc/hosts");
    let several = |facts: &mut Facts| {
        private(facts);
        self::masked(facts, &["203.0.113.9", "203.0.113.10"]);
    };
    world(several, Verdict::Warning, "masquerade_several", "203.0.113.10");
    let lost = |facts: &mut Facts| {
        let found = Err("x.example: Name or service not known".to_owned());
        wanted(facts).masquerade = Some(Masquerade { name: "x.example".to_owned(), found });
    };
    world(lost, Verdict::Failed, "masquerade_unresolved", "resolv.conf");
    let few = |facts: &mut Facts| wanted(facts).range.last = 50_010;
    world(few, Verdict::Warning, "few_ports", "passive_ports = 50000-50037");
}

#[test]
fn homes_disks_and_limits() {
    let text = || vec!["[user:a] home /srv/a: x".to_owned()];
    world(|facts| facts.homes.absent = text(), Verdict::Failed, "home_absent", "create_home");
    world(|facts| facts.homes.closed = text(), Verdict::Failed, "home_closed", "chown");
    world(|facts| facts.homes.kept_out = text(), Verdict::Failed, "home_unit", "/srv/a");
    world(
        |facts| facts.homes.unchecked = Some("x".to_owned()),
        Verdict::Skipped,
        "home",
        "sudo",
    );
    world(|facts| facts.disks[0].bytes.0 = 0, Verdict::Failed, "disk_full", "min_free");
    world(
        |facts| facts.disks[0].bytes.0 = 1 << 20,
        Verdict::Warning,
        "disk_nearly_full",
        "1 MiB",
    );
    world(|facts| facts.disks[0].inodes.0 = 0, Verdict::Failed, "no_inodes", "df -i");
    world(|facts| facts.disks[0].inodes.0 = 9, Verdict::Warning, "few_inodes", "9 inodes");
    let few = |facts: &mut Facts| facts.files.as_mut().unwrap().allowed = Some(1024);
    world(few, Verdict::Warning, "few_files", "LimitNOFILE=1532");
    let mut uncounted = sound();
    (uncounted.disks[0].inodes, uncounted.files) = ((0, 0), None);
    assert_eq!(findings(&uncounted), []);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn certificates() {
    fn with(change: impl FnOnce(&mut Certificate)) -> impl FnOnce(&mut Facts) {
        |facts| change(facts.certificate.as_mut().unwrap().as_mut().unwrap())
    }
    let ends = |days: u32| with(move |one| one.chain[0].ends = now() + days * DAY);
    world(ends(0), Verdict::Warning, "certificate_days", "in 0 days");
    world(ends(13), Verdict::Warning, "certificate_days", "certbot renew");
    world(
        with(|one| one.chain[0].ends = now() - DAY),
        Verdict::Failed,
        "certificate_expired",
        "renew",
    );
    world(
        with(|one| one.chain[0].begins = now() + DAY),
        Verdict::Failed,
        "certificate_future",
        "clock",
    );
    let alone = |trusted| {
        with(move |one| {
            one.chain.pop();
            one.is_trusted = trusted;
        })
    };
    world(alone(Some(false)), Verdict::Warning, "chain_short", "fullchain.pem");
    world(with(|one| one.chain.swap(0, 1)), Verdict::Warning, "chain_order", "first");
    world(
        with(|one| one.lacks_name = Some("f.example".to_owned())),
        Verdict::Warning,
        "certificate_name",
        "f.example",
    );
    world(
        with(|one| one.is_key_open = Some("chmod".to_owned())),
        Verdict::Warning,
        "key_open",
        "chmod",
    );
    world(
        with(|one| one.unreadable = vec!["x".to_owned()]),
        Verdict::Warning,
        "certificate_closed",
        "renewal",
    );
    let closed =
        |facts: &mut Facts| facts.certificate = Some(Err(Uncertified::Closed("x".to_owned())));
    world(closed, Verdict::Skipped, "certificate", "sudo");
    let bad =
        |facts: &mut Facts| facts.certificate = Some(Err(Uncertified::Faulty("x".to_owned())));
    world(bad, Verdict::Failed, "certificate_unusable", "ftpd check");
    for trusted in [Some(true), None] {
        let mut facts = sound();
        alone(trusted)(&mut facts);
        assert_eq!(findings(&facts), []);
    }
    // the server renews its own in time
    let mut own = sound();
    with(|one| {
        one.is_auto = true;
        one.chain = vec![presented("CN=a", "CN=a")];
        one.chain[0].ends = now() + 3 * DAY;
        one.is_trusted = Some(false);
    })(&mut own);
    assert_eq!(findings(&own), []);
}

#[test]
fn the_machine() {
    let slow = |facts: &mut Facts| facts.clock.built = Some(now() + 2 * DAY);
    world(slow, Verdict::Failed, "clock_slow", "chrony");
    world(
        |facts| facts.clock.is_synchronised = Some(false),
        Verdict::Warning,
        "clock_free",
        "chrony",
    );
    let old = || Some("x".to_owned());
    world(|facts| facts.kernel.no_openat2 = old(), Verdict::Warning, "no_openat2", "5.6");
    world(|facts| facts.kernel.no_landlock = old(), Verdict::Warning, "no_landlock", "lsm");
    let required = |facts: &mut Facts| {
        facts.kernel.no_landlock = old();
        wanted(facts).sandbox = Sandboxed::Required;
    };
    world(required, Verdict::Failed, "no_landlock", "sandbox = auto");
    let mut off = sound();
    off.kernel.no_landlock = old();
    wanted(&mut off).sandbox = Sandboxed::Off;
    assert_eq!(findings(&off), []);
}

#[test]
fn the_worst_comes_first() {
    let mut facts = sound();
    facts.homes.unchecked = Some("x".to_owned());
    facts.clock.is_synchronised = Some(false);
    facts.disks[0].bytes.0 = 0;
    let found: Vec<_> = findings(&facts).iter().map(|line| line.verdict).collect();
    assert_eq!(found, [Verdict::Failed, Verdict::Warning, Verdict::Skipped]);
}
