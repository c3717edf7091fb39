//! `ftpd.ini` and `ftpd check`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use ftpd::config::{KEYS, Scope};

use crate::client::Client;
use crate::program::{BOB, Program, folder, log_in};
use crate::server::{PATIENCE, Server, pause, run};
use crate::tls_client::{Pair, named};

/// What `ftpd check` says of a bad file, line by line.
fn faults(ini: impl AsRef<[u8]>) -> Vec<String> {
    let dir = folder(&ini);
    let (code, out, err) = run(&["check"], dir.path());
    let ini = String::from_utf8_lossy(ini.as_ref()).into_owned();
    assert_eq!((code, out.as_str()), (78, ""), "{err}--- of ---\n{ini}");
    assert!(!err.contains("panicked"), "{err}--- of ---\n{ini}");
    err.lines().map(str::to_owned).collect()
}

/// What `ftpd check` says of a good file on standard error.
fn warnings(ini: impl AsRef<[u8]>) -> String {
    let dir = folder(&ini);
    let (code, out, err) = run(&["check"], dir.path());
    let ini = String::from_utf8_lossy(ini.as_ref()).into_owned();
    assert_eq!(code, 0, "{err}--- of ---\n{ini}");
    assert!(out.starts_with("ftpd.ini: good"), "{out}");
    err
}

#[test]
fn a_warning_is_about_prefixes_that_are_everybody_only_together() {
    for (from, everybody) in [
        ("0.0.0.0/1, 128.0.0.0/1", true),
        ("0.0.0.0/1, 2001:db8::1, 192.0.0.0/2, 128.0.0.0/2", true),
        ("::/1, 8000::/1, 192.0.2.1", true),
        ("0.0.0.0/1, 192.0.0.0/2", false),
        ("0.0.0.0/1, 8000::/1", false),
    ] {
        let found = warnings(format!("[server]\nproxy_from = {from}\n{BOB}"));
        assert_eq!(found.contains("lets each client name any"), everybody, "{from}: {found}");
    }
    for nobody in ["0.0.0.0", "::", "224.0.0.0/4", "239.1.2.3", "ff00::/8"] {
        let found = warnings(format!("[server]\nproxy_from = 192.0.2.1, {nobody}\n{BOB}"));
        let why = format!("proxy_from: '{nobody}' is not the address of a balancer");
        assert!(found.contains(&why), "{found}");
    }
}

#[test]
fn a_warning_is_about_passive_mode_past_the_balancer() {
    const WHY: &str = "proxy_data: 'on' needs masquerade_address";
    let keys = "proxy_from = 192.0.2.10\nproxy_data = on";
    for (lines, warned) in [
        (keys.to_owned(), true),
        (format!("{keys}\nmasquerade_address = 192.0.2.10"), false),
        (keys.replace("= on", "= off"), false),
    ] {
        let found = warnings(format!("[server]\n{lines}\n{BOB}"));
        assert_eq!(found.contains(WHY), warned, "{found}");
    }
}

#[test]
fn a_warning_says_that_everybody_is_a_balancer() {
    let found = warnings(format!("[server]\nproxy_from = 10.0.0.0/8, ::/0\n{BOB}"));
    assert!(
        found.contains(":2: [server] proxy_from: '::/0' lets each client name any"),
        "{found}"
    );
    let found = warnings(format!("[server]\nproxy_from = 10.0.0.0/8\n{BOB}"));
    assert!(!found.contains("proxy_from"), "{found}");
    let found = warnings(format!("[server]\nproxy_data = on\n{BOB}"));
    assert!(found.contains("proxy_data: 'on' has no effect without proxy_from"), "{found}");
}

/// The one fault of a `[server]` section with this line.
fn fault_of(line: &str) -> String {
    let found = faults(format!("[server]\n{line}\n{BOB}"));
    let [fault] = &found[..] else { panic!("{line}: {found:?}") };
    fault.clone()
}

// good files

/// A complete example, with its homes replaced by one that exists.
const EXAMPLE: &str = "\
[server]
# comma-separated list; IPv4, IPv6 and host names
ip = 0.0.0.0
port = 2121
welcome_msg = Welcome to my ftp
# the bound of the worker pool
max_cons = 150
max_per_ip = 10
# both ends belong to the range; the control port is skipped if it lies inside
passive_ports = 50000-50200
# IPv4 address or host name sent in PASV replies
masquerade_address =
# 20: active data connections leave from port 20
active_port = 0
idle_timeout = 300
login_timeout = 60
# a data connection that is not opened, or makes no progress
data_timeout = 60
# bytes per second of one transfer: client to server, server to client
max_upload = 300K
max_download = 300K
max_login_attempts = 3
enable_anonymous = off
anonymous_path = home
enable_logging = on
# empty: standard error
log_file =
# xferlog format
transfer_log =
# root is given up for these once the ports are bound
user =
group =
# PEM files; auto makes a self-signed pair
tls_cert =
tls_key =
# off, control, data, on (both)
tls_required = off

[user:huangxm]
# clear text, or a hash made by `ftpd passwd`
password = 12345
perm = elradfmwMT
home = home
";

#[test]
fn the_whole_example_of_the_design_is_accepted() {
    assert_eq!(warnings(EXAMPLE), "");
    let dotted = EXAMPLE.replace(" = ", "=").replace('\n', "\r\n");
    assert_eq!(warnings(dotted), "");
}

#[test]
fn the_examples_of_the_manual_and_the_readme_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = fs::read_to_string(root.join("etc/ftpd.ini.5")).unwrap();
    let examples = manual.split(".nf\n").skip(1).map(|rest| {
        let example = rest.split(".fi\n").next().unwrap();
        example.replace("\\-", "-")
    });
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let fenced = readme.split("```ini\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let readme: Vec<_> = fenced.filter(|example| example.contains("[user:")).collect();
    assert_eq!(readme.len(), 1);
    let examples = examples.filter(|example| example.starts_with("[server]\n"));
    let all: Vec<_> = examples.chain(readme.into_iter().map(str::to_owned)).collect();
    assert_eq!(all.len(), 7);
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    fs::write(&authority, rcgen::generate_simple_self_signed([]).unwrap().cert.pem()).unwrap();
    for example in all {
        let homes = ["/srv/camera", "/srv/oldcamera", "/srv/ftp", "/srv/backup"];
        let here = homes.iter().fold(example, |text, path| text.replace(path, "home"));
        let here = here.replace("ca.pem", authority.to_str().unwrap());
        assert_eq!(warnings(&here), "", "{here}");
    }
}

/// A good value of each key. USERS stands for a folder that is in no home.
pub(crate) const VALUES: &[(&str, &str)] = &[
    ("ip", "127.0.0.1, ::1, localhost"),
    ("port", "0"),
    ("welcome_msg", "hello; # there = \u{e4}"),
    ("max_cons", "16000"),
    ("max_per_ip", "0"),
    ("max_per_user", "3"),
    ("passive_ports", "40000 - 40100"),
    ("masquerade_address", "ftp.example.org"),
    ("masquerade_except", "local, 203.0.113.0/24, 2001:db8::1"),
    ("active_port", "20"),
    ("allow_fxp", "yes"),
    ("allow_from", "192.168.0.0/16, ::1"),
    ("idle_timeout", "15m"),
    ("login_timeout", "1h"),
    ("data_timeout", "90s"),
    ("max_upload", "300K/s"),
    ("max_download", "10 M"),
    ("user_max_upload", "1M"),
    ("user_max_download", "2M/s"),
    ("server_max_upload", "20M"),
    ("server_max_download", "1G"),
    ("max_login_attempts", "100"),
    ("ban_after", "5"),
    ("ban_window", "1h"),
    ("ban_time", "1d"),
    ("ban_exempt", "local, 192.0.2.0/24"),
    ("proxy_from", "192.0.2.0/24, 2001:db8::1"),
    ("proxy_timeout", "5s"),
    ("proxy_data", "on"),
    ("metrics_listen", "127.0.0.1:9121"),
    ("password_workers", "1"),
    ("users_file", "USERS"),
    ("umask", "0027"),
    ("file_mode", "0640"),
    ("dir_mode", "2750"),
    ("make_parents", "on"),
    ("auth_program", "/bin/true \"a b\""),
    ("auth_url", ""),
    ("ca_file", ""),
    ("auth_protocol", "Extauth"),
    ("auth_homes", "home"),
    ("auth_perm", "elrw"),
    ("auth_run_as", "off"),
    ("auth_timeout", "5m"),
    ("auth_workers", "64"),
    ("auth_cache", "1h"),
    ("store_as", "{year}/{month}/{day}/{hour}-{name}-{stem}.{ext}/{user}@{ip}"),
    ("enable_anonymous", "TRUE"),
    ("anonymous_path", "home"),
    ("anonymous_perm", "elrw"),
    ("enable_logging", "1"),
    ("log_level", "Debug"),
    ("log_file", "ftpd.log"),
    ("log_format", "JSON"),
    ("transfer_log", "xferlog"),
    ("shutdown_grace", "0"),
    ("chmod_mask", "0755"),
    ("overwrite", "no"),
    ("allow_overwrite", ""),
    ("max_file_size", "2T"),
    ("quota_bytes", "10G"),
    ("quota_files", "100000"),
    ("deny_names", "*.exe, .ht*"),
    ("hide", "*.tmp, .git"),
    ("start_dir", "/upload"),
    ("allow_names", "*.jpg"),
    ("trash", "Off"),
    ("trash_for", "12h"),
    ("keep_for", "90d"),
    ("keep_bytes", "200G"),
    ("keep_files", "100000"),
    ("min_free", "5%"),
    ("keep_grace", "1h"),
    ("keep_delay", "0"),
    ("world_readable_only", "on"),
    ("allow_symlinks", "on"),
    ("create_home", "on"),
    ("login_msg", "hello; # there = \u{e4}"),
    ("folder_message", "on"),
    ("charset", "auto:gbk"),
    ("list_time", "local"),
    ("like", ""),
    ("enabled", "on"),
    ("from", "srv"),
    ("expires", "2999-12-31"),
    ("expect_every", "1d"),
    ("atomic_uploads", "off"),
    ("sync_uploads", "On"),
    ("keep_parts", "2d"),
    ("state_dir", "state"),
    ("shared_storage", "off"),
    ("admin_socket", "admin"),
    ("on_upload", "/bin/true \"a b\" c"),
    ("on_download", ""),
    ("on_delete", "/bin/true"),
    ("on_rename", "/bin/true"),
    ("on_login", "/bin/true"),
    ("hook_workers", "64"),
    ("before_publish", ""),
    ("scan", ""),
    ("quarantine", "/var/lib/ftpd/quarantine"),
    ("gate_fail", "open"),
    ("gate_timeout", "10"),
    ("gate_workers", "64"),
    ("hook_timeout", "0"),
    ("events", "https://user.example/a?b"),
    ("event_kinds", "upload, Silence"),
    ("events_secret", "a; b"),
    ("events_keep", "1M, 1m"),
    ("user", "4000000000"),
    ("group", "65534"),
    ("sandbox", "Off"),
    ("tls_cert", "auto"),
    ("tls_key", ""),
    ("tls_dir", "certificates"),
    ("tls_implicit_port", "990"),
    ("tls_required", "Control"),
    ("tls_min_version", "1.3"),
    ("tls_resume", "require"),
    ("tls_client_ca", ""),
    ("tls_client_cert", "optional"),
    ("tls_require_close_notify", "off"),
    ("tls_client", ""),
    ("run_as", "4000000000:65534"),
    ("password", "x"),
    ("password_file", ""),
    ("perm", "elradfmwMT"),
    ("home", "home"),
];

#[test]
fn every_key_takes_a_good_value_where_it_may_stand() {
    // retention must not reach files of the server
    let users = tempfile::tempdir().unwrap();
    let all = |wanted: Scope| {
        let here =
            |key: &&ftpd::config::Key| key.scope() == wanted || key.scope() == Scope::Both;
        let line = |key: &ftpd::config::Key| {
            let value = VALUES.iter().find(|(name, _)| *name == key.name);
            let value = value.unwrap_or_else(|| panic!("{} has no value above", key.name)).1;
            let value = value.replace("USERS", users.path().to_str().unwrap());
            format!("{} = {value}\n", key.name)
        };
        KEYS.iter().filter(here).map(line).collect::<String>()
    };
    let ini = format!("[server]\n{}[user:bob]\n{}", all(Scope::Server), all(Scope::User));
    assert_eq!(warnings(ini), "");
}

#[test]
fn sections_of_folders_are_checked() {
    let good = "[folder:/in]\nmax_file_size = 1\n[folder:bob:/in/a b/]\ndeny_names = x\n";
    assert_eq!(warnings(format!("[server]\n{good}{BOB}")), "");
    let found = faults(format!(
        "{BOB}[folder:in]\n[folder:bob:in]\n[folder:bab:/in]\n[folder:/]\n[folder:bob:/]\n\
         [folder:/a/../b]\n[folder:/a//b]\n\
         [folder:/keys]\nport = 1\nhome = x\numask = 0\nmax_file_sizes = 1\n\
         max_file_size = big\n\
         [folder:/twice]\n[folder:/twice/]\n"
    ));
    let line = BOB.lines().count();
    let expected = [
        (1, "[folder:in] 'in' is not a folder such as [folder:/path] or [folder:USER:/path]"),
        (2, "[folder:bob:in] 'bob:in' is not a folder such as"),
        (3, "[folder:bab:/in] 'bab:/in' has no section '[user:bab]'; did you mean 'bob'?"),
        (4, "[folder:/] '/' is a whole home; set the key in [server] or [user:NAME]"),
        (5, "[folder:bob:/] 'bob:/' is a whole home"),
        (6, "[folder:/a/../b] '/a/../b' is not a path without empty parts, '.' and '..'"),
        (7, "[folder:/a//b] '/a//b' is not a path without"),
        (9, "[folder:/keys] port: belongs in [server]"),
        (10, "[folder:/keys] home: belongs in [user:NAME]"),
        (11, "[folder:/keys] umask: belongs in [user:NAME]"),
        (12, "[folder:/keys] max_file_sizes: unknown key; did you mean 'max_file_size'?"),
        (13, "[folder:/keys] max_file_size: 'big' is not a size"),
        (15, "[folder:/twice/] is already on line"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (after, text)) in found.iter().zip(expected) {
        let begin = format!("ftpd.ini:{}: {text}", line + after);
        assert!(found.starts_with(&begin), "{found}\n{begin}");
    }
}

#[test]
fn a_byte_order_mark_crlf_tabs_and_comments_change_nothing() {
    let crlf =
        format!("[server]\nmax_cons = 5\n; a\n# b\n\n\t ; c\n{BOB}").replace('\n', "\r\n");
    assert_eq!(warnings(&crlf), "");
    assert_eq!(warnings(format!("\u{feff}{crlf}")), "");
    assert_eq!(warnings(format!("\t[server]\t\n\tmax_cons\t=\t5\t\n{BOB}")), "");
    // the last line has no line end
    assert_eq!(warnings(BOB.trim_end()), "");
    // and the line numbers are still those of the editor
    let found = faults(format!("\u{feff}[server]\r\n\r\nmax_cons = many\r\n{BOB}"));
    assert_eq!(found, ["ftpd.ini:3: [server] max_cons: 'many' is not a whole number"]);
}

#[test]
fn sections_keys_and_switches_ignore_case_and_user_names_do_not() {
    let server = Server::setup()
        .server("MAX_Login_Attempts = 5\nEnable_Logging = ON")
        .section("[USER:Bob]\nPassword = Other\nHOME = home\nPerm = elr")
        .start();
    Client::login(&server, "bob", "secret").cmd("QUIT", 221);
    let mut client = Client::login(&server, "Bob", "Other");
    client.cmd("MKD x", 550);
    client.cmd("QUIT", 221);
    let mut client = Client::connect(&server);
    client.cmd("USER BOB", 331);
    client.cmd("PASS secret", 530);
    client.cmd("USER Bob", 331);
    client.cmd("PASS other", 530);
    let dir = folder("[user:bob]\npassword = x\nhome = Home\n");
    assert_eq!(run(&["check"], dir.path()).0, 78, "paths keep their case");
}

#[test]
fn relative_paths_start_from_the_folder_of_the_file() {
    let dir = folder(format!("[server]\nlog_file = logs/ftpd.log\n{BOB}"));
    fs::create_dir(dir.path().join("logs")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = dir.path().join("ftpd.ini");
    let (code, out, err) =
        run(&["check", "--config", path.to_str().unwrap()], elsewhere.path());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    // the file itself by a relative name
    let sub = dir.path().join("home");
    let (code, _, err) = run(&["check", "--config", "../ftpd.ini"], &sub);
    assert_eq!((code, err.as_str()), (0, ""));
    // and the home is used from there too
    let server = Server::start();
    Client::bob(&server).upload("STOR f", b"x");
    assert_eq!(server.get("f"), b"x");
    server.wait_for_log(&format!("home \"{}\"", server.home().display()));
}

#[test]
fn passwords_of_any_characters_log_in() {
    let secrets = [
        "a;b#c",
        "; x",
        "# x",
        "a=b",
        "=",
        "a\"b",
        "\"",
        "a\\b\\",
        "a:b",
        "[x]",
        "a b  c",
        "p%20\u{e4}\u{20ac}",
        "$HOME",
        "''",
        "\"\"x",
        "x\"",
    ];
    let mut ini = String::new();
    for (at, secret) in secrets.iter().enumerate() {
        ini += &format!("[user:u{at}]\npassword = {secret}\nhome = home\n");
        ini += &format!("[user:q{at}]\npassword = \"{secret}\"\nhome = home\n");
        ini += &format!("[user:s{at}]\npassword = \"  {secret} \"\nhome = home\n");
    }
    let server = Server::setup().section(&ini).start();
    let mut client = Client::connect(&server);
    for (at, secret) in secrets.iter().enumerate() {
        for (kind, wanted) in [
            ("u", (*secret).to_owned()),
            ("q", (*secret).to_owned()),
            ("s", format!("  {secret} ")),
        ] {
            client.cmd(&format!("USER {kind}{at}"), 331);
            client.cmd(&format!("PASS {wanted}"), 230);
            client.cmd("REIN", 220);
        }
    }
    let log = server.log();
    assert!(!log.contains("a;b#c") && !log.contains("p%20"), "a password is in the log");
}

#[test]
fn ten_thousand_users_are_checked_and_served_in_a_few_seconds() {
    let mut ini =
        String::from("[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\n");
    for at in 0..10_000 {
        ini += &format!("[user:user{at}]\npassword = pass{at}\nhome = home\n");
    }
    let begin = Instant::now();
    let dir = folder(&ini);
    let (code, out, err) = run(&["check"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("good, 10000 users"), "{out}");
    let mut program = Program::start_in(dir, &[]);
    let address = program.address("stderr");
    log_in(address, "user9999", "pass9999").cmd("PWD", 257);
    program.wait_for("stderr", "users: 10000, anonymous: off");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

// faults

#[test]
fn every_fault_is_reported_in_one_run_in_the_order_of_the_lines() {
    let ini = "\
early = 1
[server]
port = 99999
max_cons = many
nonsense
max_per_ip = -1
pasive_ports = 2000-2100
passive_ports = 2200-2000
idle_timeout = soon
max_upload = fast
enable_anonymous = maybe
umask = 9
allow_from = here
log_level = loud
home = home
[user:bob]
password =
perm = elx
home = nowhere
port = 21
[user:eve]
[users]
x = 1
[user:bob]
[server]
[broken
= value
";
    let found = faults(ini);
    let expected = [
        "1: early: comes before the first '[section]'",
        "3: [server] port: '99999' is not between 0 and 65535",
        "4: [server] max_cons: 'many' is not a whole number",
        "5: [server] expected '[section]', 'key = value' or a comment",
        "6: [server] max_per_ip: '-1' is not a whole number",
        "7: [server] pasive_ports: unknown key; did you mean 'passive_ports'?",
        "8: [server] passive_ports: '2200-2000' ends before it begins",
        "9: [server] idle_timeout: 'soon' is not a duration such as 300, 90s, 5m, 1h or 1d",
        "10: [server] max_upload: 'fast' is not a size such as 300K, 10M or 1G",
        "11: [server] enable_anonymous: 'maybe' is neither on nor off",
        "12: [server] umask: '9' is not an octal mask between 000 and 777",
        "13: [server] allow_from: 'here' is not a list of addresses and prefixes such as 192.168.1.0/24, ::1",
        "14: [server] log_level: 'loud' is not one of error, warn, info, debug, trace",
        "15: [server] home: belongs in [user:NAME]",
        "17: [user:bob] password: is empty; a user must have a password",
        "18: [user:bob] perm: 'elx' has the unknown permission letter 'x'",
        "19: [user:bob] home: 'nowhere' is not a directory: No such file or directory (os error 2)",
        "20: [user:bob] port: belongs in [server]",
        "21: [user:eve] password: is missing",
        "21: [user:eve] home: is missing",
        "22: [users] unknown section; expected '[server]' or '[user:NAME]'",
        "24: [user:bob] is already on line 16",
        "25: [server] is already on line 2",
        "26: expected '[section]' and nothing after it",
        "27: expected '[section]', 'key = value' or a comment",
    ];
    let expected: Vec<_> = expected.iter().map(|line| format!("ftpd.ini:{line}")).collect();
    assert_eq!(found, expected);
    // the server says the same, and does not start
    let dir = folder(ini);
    let (code, out, err) = run(&["--config", "ftpd.ini"], dir.path());
    assert_eq!((code, out.as_str(), err.lines().count()), (78, "", expected.len()), "{err}");
}

#[test]
fn a_fault_names_the_file_as_it_was_named() {
    let dir = folder(format!("[server]\nmax_cons = many\n{BOB}"));
    let path = dir.path().join("ftpd.ini");
    let path = path.to_str().unwrap();
    let (_, _, err) = run(&["check", "--config", path], dir.path());
    assert_eq!(err, format!("{path}:2: [server] max_cons: 'many' is not a whole number\n"));
}

#[test]
fn a_typo_is_answered_with_the_key_that_was_meant() {
    for (typo, meant) in [
        ("maxcons", "max_cons"),
        ("max-cons", "max_cons"),
        ("passive_port", "passive_ports"),
        ("welcome_message", "welcome_msg"),
        ("idle_timeuot", "idle_timeout"),
        ("prot", "port"),
        ("enable_anonymus", "enable_anonymous"),
        ("masquerade_adress", "masquerade_address"),
    ] {
        let fault = fault_of(&format!("{typo} = 1"));
        let wanted =
            format!("ftpd.ini:2: [server] {typo}: unknown key; did you mean '{meant}'?");
        assert_eq!(fault, wanted);
    }
    let found = faults(format!("{BOB}passwd = x\nperms = elr\nmax_uplaod = 1\n"));
    let meant = ["password", "perm", "max_upload"];
    assert_eq!(found.len(), 3);
    for (fault, meant) in found.iter().zip(meant) {
        assert!(fault.ends_with(&format!("did you mean '{meant}'?")), "{fault}");
    }
    let far = fault_of("zzzzzzzzzz = 1");
    assert_eq!(far, "ftpd.ini:2: [server] zzzzzzzzzz: unknown key");
    let section = faults(format!("[sever]\nport = 1\n{BOB}"));
    assert!(section[0].ends_with("did you mean '[server]'?"), "{section:?}");
}

#[test]
fn an_unknown_section_is_refused() {
    for name in ["bob", "user", "user bob", "", "default", "server:x", "users:bob"] {
        let found = faults(format!("[{name}]\n{BOB}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let section = name.to_lowercase();
        let begin = format!("ftpd.ini:1: [{section}] unknown section; expected '[server]'");
        assert!(found[0].starts_with(&begin), "{found:?}");
    }
    for name in ["user:", "user: ", "user:a\u{7}b"] {
        let found = faults(format!("[{name}]\nhome = home\npassword = x\n{BOB}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("ftpd.ini:1:"), "{found:?}");
        assert!(found[0].contains("is not a valid user name"), "{found:?}");
        assert!(!found[0].contains('\u{7}'), "{found:?}");
    }
}

#[test]
fn a_user_of_the_system_must_be_one_and_not_root() {
    for (line, fault) in [
        ("user = nobody-of-that-name", "is not a user of this system"),
        ("user = off", "is not a user of this system"),
        ("user = root", "is root; expected a user with fewer rights"),
        ("user = 0", "is root; expected a user with fewer rights"),
        ("user = 4000000000", "has no primary group; name a group"),
        ("group = no-group-of-that-name", "is not a group of this system"),
        ("group = 7", "has no effect without the key 'user'"),
        ("group = daemon", "has no effect without the key 'user'"),
    ] {
        let (key, value) = line.split_once(" = ").unwrap();
        assert_eq!(fault_of(line), format!("ftpd.ini:2: [server] {key}: '{value}' {fault}"));
    }
    assert_eq!(warnings(format!("[server]\nuser=4000000000\ngroup=7\n{BOB}")), "");
    for (value, fault) in [
        ("root", "is root; expected a user with fewer rights"),
        ("0:7", "is root; expected a user with fewer rights"),
        ("nobody:no-group-of-that-name", "is not a group of this system"),
        ("no-user-of-that-name:7", "is not a user of this system"),
        ("4000000000", "has no primary group; name a group"),
    ] {
        let found = faults(format!("{BOB}run_as = {value}\n"));
        assert_eq!(found, [format!("ftpd.ini:4: [user:bob] run_as: '{value}' {fault}")]);
    }
    assert_eq!(warnings(format!("{BOB}run_as = 4000000000:7\n")), "");
    assert_eq!(warnings(format!("[server]\nuser=\ngroup =\n{BOB}")), "");
}

#[test]
fn tls_that_is_asked_for_takes_a_certificate() {
    for line in ["tls_required = on", "tls_required = Control", "tls_required = data"] {
        assert_eq!(fault_of(line), "ftpd.ini:2: [server] tls_required: needs a tls_cert");
    }
    assert_eq!(
        fault_of("tls_required = perhaps"),
        "ftpd.ini:2: [server] tls_required: 'perhaps' is not one of off, control, data, on"
    );
    let found = faults(format!("{BOB}tls_required = on\n"));
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with(": [user:bob] tls_required: needs a tls_cert"), "{found:?}");
    let off = format!("[server]\ntls_required = Off\ntls_cert=\n{BOB}tls_required = off\n");
    assert_eq!(warnings(off), "");
}

/// What `ftpd check` says where `cert.pem` and `key.pem` are these: exit code, and standard
/// error.
fn check_pair(certificate: &str, key: &str, mode: u32) -> (i32, String) {
    let lines = "tls_cert = cert.pem\ntls_key = key.pem";
    let dir = folder(format!("[server]\n{lines}\n{BOB}"));
    fs::write(dir.path().join("cert.pem"), certificate).unwrap();
    fs::write(dir.path().join("key.pem"), key).unwrap();
    let mode = PermissionsExt::from_mode(mode);
    fs::set_permissions(dir.path().join("key.pem"), mode).unwrap();
    let (code, out, err) = run(&["check"], dir.path());
    assert_eq!(out.is_empty(), code != 0, "{out}{err}");
    (code, err)
}

#[test]
fn faults_of_a_certificate_and_its_key_are_reported_with_the_path() {
    let [pair, other] = ["one", "other"].map(|name| Pair::own(&named(name)));
    assert_eq!(check_pair(&pair.certificate, &pair.key, 0o600), (0, String::new()));
    assert_eq!(check_pair(&pair.certificate, &pair.key, 0o640), (0, String::new()));
    let both = format!("{}{}", pair.certificate, pair.key);
    assert_eq!(check_pair(&both, &both, 0o600), (0, String::new()));

    let (code, said) = check_pair(&pair.certificate, &pair.key, 0o644);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("key.pem: others can read it"), "{said}");

    let mut params = named("old");
    params.not_after = (SystemTime::now() - Duration::from_secs(60)).into();
    let old = Pair::own(&params);
    let (code, said) = check_pair(&old.certificate, &old.key, 0o600);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("cert.pem: has expired"), "{said}");

    for (certificate, key, path) in [
        (pair.certificate.as_str(), other.key.as_str(), "key.pem"),
        (&pair.certificate, "", "key.pem"),
        (&pair.certificate, "nonsense", "key.pem"),
        (&pair.certificate, &pair.certificate, "key.pem"),
        ("", &pair.key, "cert.pem"),
        ("nonsense", &pair.key, "cert.pem"),
        (&pair.key, &pair.key, "cert.pem"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &pair.key,
            "cert.pem",
        ),
    ] {
        let (code, said) = check_pair(certificate, key, 0o600);
        assert_eq!(code, 78, "{path}: {said}");
        assert!(said.contains(path) && said.lines().count() == 1, "{path}: {said}");
        assert!(said.starts_with("ftpd.ini: [server] tls_"), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
}

#[test]
fn keys_of_all_usual_forms_are_taken() {
    for make in [
        "ecparam -name prime256v1 -genkey -noout",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "genrsa -traditional 2048",
        "genpkey -algorithm ed25519",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let openssl = |line: &str| {
            let words = line.split(' ');
            Command::new("openssl").args(words).current_dir(dir.path()).output()
        };
        let Ok(output) = openssl(&format!("{make} -out key.pem")) else {
            eprintln!("config: openssl is not installed, nothing tested");
            return;
        };
        if !output.status.success() {
            eprintln!("config: this openssl does not know: {make}");
            continue;
        }
        let line = "req -x509 -key key.pem -subj /CN=localhost -days 2 -out cert.pem";
        assert!(openssl(line).unwrap().status.success());
        let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        let found = check_pair(&read("cert.pem"), &read("key.pem"), 0o600);
        assert_eq!(found, (0, String::new()), "{make}");
    }
}

#[test]
fn certificate_files_that_are_not_there_are_refused_at_their_line() {
    for line in ["tls_cert = none.pem", "tls_cert = auto\ntls_client_ca = none.pem"] {
        let fault = fault_of(line);
        assert!(fault.contains("none.pem"), "{fault}");
        assert!(!fault.starts_with("ftpd.ini:0"), "{fault}");
    }
    // a file without its key
    let fault = fault_of("tls_cert = ftpd.ini");
    assert_eq!(fault, "ftpd.ini:2: [server] tls_key: is missing");
    let fault = fault_of("tls_cert = ftpd.ini\ntls_key =");
    assert!(fault.contains("tls_key"), "{fault}");
    // a directory, and an authority that is none
    assert!(fault_of("tls_cert = home\ntls_key = ftpd.ini").contains("home"));
    let fault = fault_of("tls_cert = auto\ntls_client_ca = ftpd.ini");
    assert!(fault.contains("ftpd.ini"), "{fault}");
}

#[test]
fn check_makes_no_certificate_and_cert_does() {
    let dir = folder(format!("[server]\ntls_cert = auto\n{BOB}"));
    let (code, _, err) = run(&["check"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(!dir.path().join("ftpd-tls").exists());
    let (code, out, err) = run(&["cert"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("SHA-256 ") && dir.path().join("ftpd-tls/key.pem").exists(), "{out}");
    let (code, _, err) = run(&["cert"], folder(BOB).path());
    assert_eq!(code, 1);
    assert!(err.contains("tls_cert"), "{err}");
}

#[test]
fn what_stands_twice_is_refused() {
    let found = faults(format!(
        "[server]\nport = 1\nPORT = 2\n[Server]\nmax_cons = 1\n{BOB}[user:bob]\npassword = y\n[User: bob ]\n"
    ));
    assert_eq!(
        found,
        [
            "ftpd.ini:3: [server] port: is already on line 2",
            "ftpd.ini:4: [server] is already on line 1",
            "ftpd.ini:9: [user:bob] is already on line 6",
            "ftpd.ini:11: [user:bob] is already on line 6",
        ]
    );
    let found = faults(format!("{BOB}password = again\n"));
    assert_eq!(found, ["ftpd.ini:4: [user:bob] password: is already on line 2"]);
    // names that differ by case are two users
    let two = format!("{BOB}[user:Bob]\npassword = x\nhome = home\n");
    assert_eq!(warnings(two), "");
}

#[test]
fn bad_values_are_refused_and_good_ones_are_not() {
    let bad = [
        ("port", "-1 65536 21x 2.5 0x15"),
        ("max_cons", "0 65536 1e3 ten 99999999999999999999999"),
        ("max_per_ip", "-1 65536 few"),
        ("max_login_attempts", "-1 101 none"),
        ("active_port", "65536 -20"),
        ("passive_ports", "0 0-10 50000- -50000 a-b 1-65536 2-1 50000:50200 1-2-3"),
        ("idle_timeout", "-1 1w 5x 1.5m h 99999999h 18446744073709551616"),
        ("data_timeout", "5mm ms"),
        ("max_upload", "K 10P 1.5M -5 99999999999999G 10KB 300K/m"),
        ("max_download", "unlimited /s"),
        ("umask", "8 1000 rwx -1 0x1"),
        ("file_mode", "0 440 2640 0x1a0 rw-r-----"),
        ("dir_mode", "0 0555 4755 7777 rwx"),
        ("make_parents", "2 all"),
        (
            "store_as",
            "/{name} ../{name} a//b {yaer}/{name} {name a/ .ftpd-part-{name} {year}/{month}",
        ),
        ("allow_fxp", "2 perhaps onoff"),
        ("log_level", "loud 3"),
        ("allow_from", "192.168.1.0/33 localhost 1.2.3 ::1/129"),
        ("masquerade_except", "lan 10.0.0.0/8,nowhere"),
        (
            "masquerade_address",
            "::1 2001:db8::1 1.2.3.4:21 300.1.1.1 1.2.3 10.0.0.256 0.0.0.0 0.1.2.3 224.0.0.1 \
             255.255.255.255 240.0.0.1 $PASV_ADDRESS ${IP} ftp..example.org \
             -x.example x-.example <ip> ftp.ex\u{e4}mple",
        ),
        ("ip", "$IP 127.0.0.1;x *:21 ::1] 1::2::3 eth0:"),
        ("metrics_listen", "$IP:9121 *:9121"),
        ("anonymous_perm", "xyz elr! E"),
        ("log_file", "home nowhere/log"),
        ("transfer_log", "home nowhere/log"),
        ("chmod_mask", "1777 rwx"),
        ("keep_parts", "1w forever"),
        ("atomic_uploads", "2 perhaps"),
        ("on_upload", "home /nowhere/program /etc/passwd"),
        ("hook_workers", "0 65"),
        ("before_publish", "home /nowhere/program /etc/passwd"),
        (
            "scan",
            "clamd clamd: clamd:3310 clamd:a:0 clamd:a:65536 clamd:a b:1 savd:/run/x /run/x",
        ),
        ("gate_fail", "on maybe"),
        ("gate_timeout", "0 301 6m"),
        ("gate_workers", "0 65"),
        ("auth_program", "home /nowhere/program /etc/passwd"),
        ("auth_protocol", "xml"),
        (
            "auth_url",
            "x ftp://a http:// http://a:0/ http://a:65536/ http://u:p@a/ http://a/#x https://[::1/ \
             http://a:x/ http://1.2.3/ http://a/\u{e4}",
        ),
        ("ca_file", "home /nowhere/ca.pem"),
        ("auth_perm", "xyz elr!"),
        ("auth_timeout", "0 301 6m 1w"),
        ("auth_workers", "0 65"),
        ("max_file_size", "10M/s -1 big"),
        ("deny_names", ", a,,b /etc dir/*"),
        ("start_dir", "upload ../x ./y"),
        ("trash", "2 maybe"),
        ("trash_for", "30 59m 1w"),
        ("keep_for", "30 3600 59m 1s 1w -1d"),
        ("keep_bytes", "10M/s -1 big"),
        ("keep_files", "-1 1K many"),
        ("min_free", "% 91% 2.5% -1 10G/s"),
        ("keep_grace", "1w"),
    ];
    // a file with one value for each key, until all values were used
    let most = bad.iter().map(|(_, values)| values.split(' ').count()).max().unwrap();
    for turn in 0..most {
        let pick = |(key, values): &(&'static str, &'static str)| {
            values.split(' ').nth(turn).map(|value| (*key, value))
        };
        let lines: Vec<_> = bad.iter().filter_map(pick).collect();
        refused_one_by_one(&lines);
    }
    refused_one_by_one(
        &["port", "max_cons", "passive_ports", "ip", "umask", "active_port"]
            .map(|key| (key, "")),
    );
    let good = [
        ("max_per_ip", ",0,1"),
        ("max_login_attempts", ",0,1,100"),
        ("passive_ports", "60000,1-65535,50000 - 50200"),
        ("idle_timeout", ",0,1,30S,5m,8760h"),
        ("max_upload", ",0,1,300k,300K/s,300 K/S,10M,1G,17179869183G"),
        ("umask", "0,077,0777"),
        ("allow_fxp", "on,OFF,yes,No,true,FALSE,1,0"),
        ("log_level", "error,WARN,info,debug,trace"),
        (
            "masquerade_address",
            ",192.0.2.1,ftp.example.org,nas2,3com.example,a_b,x.org.,127.0.0.1",
        ),
        ("ip", "0.0.0.0,::,localhost,fe80::1%eth0,::ffff:1.2.3.4"),
        ("anonymous_perm", ",elr"),
    ];
    for turn in 0..9 {
        let mut lines = String::new();
        for (key, values) in good {
            let values: Vec<_> = values.split(',').collect();
            lines += &format!("{key} = {}\n", values[turn % values.len()]);
        }
        warnings(format!("[server]\n{lines}{BOB}"));
    }
}

/// Each of these lines of `[server]` has a fault, and no other line has.
fn refused_one_by_one(lines: &[(&str, &str)]) {
    let mut ini = String::from("[server]\n");
    for (key, value) in lines {
        ini += &format!("{key} = {value}\n");
    }
    let found = faults(ini + BOB);
    assert_eq!(found.len(), lines.len(), "{found:#?}");
    for (line, ((key, value), fault)) in (2..).zip(lines.iter().zip(&found)) {
        let begin = format!("ftpd.ini:{line}: [server] {key}: '{value}' ");
        assert!(fault.starts_with(&begin), "expected {begin}...\n{fault}");
    }
}

#[test]
fn a_directory_that_the_system_does_not_show_is_not_called_missing() {
    let fault = fault_of(&format!("transfer_log = {}/log", "x".repeat(300)));
    assert!(fault.contains("cannot be examined: File name too long"), "{fault}");
    let fault = fault_of("transfer_log = nowhere/log");
    assert!(fault.ends_with("is not in an existing directory"), "{fault}");
}

#[test]
fn a_value_is_shown_on_one_line_and_without_escape_sequences() {
    for value in ["\u{1b}[2J", "a\rb", "\u{0}x", "x\u{85}y"] {
        let fault = fault_of(&format!("max_cons = {value}"));
        assert!(!fault.contains(char::is_control), "{fault:?}");
    }
    let found =
        faults(b"[server]\nwelcome_msg = \xff\xfe\n[user:bob]\npassword=x\nhome=home\n");
    assert_eq!(found, ["ftpd.ini:2: [server] expected UTF-8 text"]);
}

#[test]
fn hashes_that_cannot_be_checked_are_not_taken_for_passwords() {
    for (hash, why) in [
        ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "malformed"),
        ("$6$saltsalt$hashhash", "malformed"),
        ("$5$saltsalt$hashhash", "malformed"),
        ("$y$j9T$saltsalt$", "malformed"),
        ("$2b$12$abcdefghijklmnopqrstuv", "malformed"),
        ("$1$saltsalt$hashhash", "unknown kind"),
        ("$argon2i$v=19$m=4096,t=3,p=1$c2FsdA$aGFzaA", "unknown kind"),
        ("!$6$saltsalt$hashhash", "unknown kind"),
        // accounts without a password, in shadow(5)
        ("*", "unknown kind"),
        ("!", "unknown kind"),
        ("!!", "unknown kind"),
        ("!*", "unknown kind"),
        ("$2b$31$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl.", "too much time"),
        (
            "$argon2id$v=19$m=2097152,t=1,p=1$c2FsdHNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
            "too much time or memory",
        ),
    ] {
        let found = faults(format!("[user:bob]\nhome = home\npassword = {hash}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("ftpd.ini:3: [user:bob] password: is a "), "{found:?}");
        assert!(found[0].contains(why), "{hash}: {found:?}");
        assert!(!found[0].contains("salt") && !found[0].contains("c2Fsd"), "{found:?}");
    }
    for password in ["$", "$$", "$money$", "$10", "x$6$", "$12$5", "!a", "*1*"] {
        warnings(format!("[user:bob]\npassword = {password}\nhome = home\n"));
    }
}

#[test]
fn a_fifo_among_the_files_of_users_does_not_block() {
    let dir = folder("[server]\nusers_file = users.d\n[user:bob]\npassword = x\nhome = home\n");
    fs::create_dir(dir.path().join("users.d")).unwrap();
    let fifo = dir.path().join("users.d/f.ini");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let (code, _, err) = run(&["check", "--config", "ftpd.ini"], dir.path());
    assert_eq!(code, 78);
    assert!(err.contains("users.d/f.ini") && err.contains("is not a file"), "{err}");
}

#[test]
fn an_address_with_a_slip_of_the_pen_is_no_host_name() {
    let ini = |line: &str| format!("[server]\n{line}\n[user:bob]\npassword = x\nhome = home\n");
    for host in ["300.1.1.1", "1.2.3", "192.168.1.1.1", "2121"] {
        let found = faults(ini(&format!("ip = 127.0.0.1, {host}")));
        assert_eq!(
            found,
            [format!("ftpd.ini:2: [server] ip: '{host}' is not an IPv4 address")]
        );
    }
    warnings(ini("ip = ::1, [::1], localhost, 127.0.0.1"));
}

/// All keys with prefixes refuse one that would mean more addresses than it seems to.
#[test]
fn a_prefix_that_names_a_host_is_refused() {
    for key in ["proxy_from", "allow_from", "ban_exempt", "masquerade_except"] {
        for (prefix, network) in [
            ("127.0.0.9/8", "127.0.0.0/8"),
            ("192.168.1.5/24", "192.168.1.0/24"),
            ("2001:db8::7/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
        ] {
            let fault = fault_of(&format!("{key} = ::1, {prefix}"));
            let why =
                format!("names a host in a network; write {network}, or the address alone");
            assert!(fault.ends_with(&format!("{key}: '{prefix}' {why}")), "{fault}");
        }
        let good = "127.0.0.9, 127.0.0.9/32, 192.168.1.0/24, ::1/128, 2001:db8::/32";
        warnings(format!("[server]\n{key} = {good}\n{BOB}"));
    }
}

#[test]
fn quotation_marks_of_another_language_belong_to_no_address() {
    for key in ["masquerade_address", "ip", "metrics_listen"] {
        let port = if key == "metrics_listen" { ":9121" } else { "" };
        for host in ["'203.0.113.5'", "`203.0.113.5`", "'ftp.example.org'"] {
            let found = faults(format!("[server]\n{key} = {host}{port}\n{BOB}"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("ftpd.ini:2: [server] {key}: ")));
        }
    }
}

#[test]
fn a_file_in_which_nobody_can_log_in_is_refused() {
    let nobody =
        "ftpd.ini: no user can log in: no '[user:NAME]' section, and enable_anonymous is off";
    for ini in ["", "\n\n", "; nothing\n", "[server]\n", "\u{feff}", "[server]\nport = 1\n"] {
        assert_eq!(faults(ini), [nobody]);
    }
    // in the same run as other faults
    let found = faults("[server]\nmax_cons = many\n");
    assert_eq!(found, [nobody, "ftpd.ini:2: [server] max_cons: 'many' is not a whole number"]);
    // but not where a user was meant
    assert_eq!(faults("[user:bob]\n").len(), 2);
    assert_eq!(faults("[usr:bob]\npassword = x\nhome = home\n").len(), 1);
    assert_eq!(faults("[user:bob\npassword = x\nhome = home\n").len(), 1);
}

#[test]
fn anonymous_needs_a_path_that_is_a_directory() {
    assert_eq!(
        faults(format!("[server]\nenable_anonymous = on\n{BOB}")),
        ["ftpd.ini:2: [server] anonymous_path: is missing"]
    );
    assert_eq!(
        faults(format!("[server]\nanonymous_path =\nenable_anonymous = on\n{BOB}")),
        ["ftpd.ini:2: [server] anonymous_path: is missing"]
    );
    let found = faults("[server]\nenable_anonymous = on\nanonymous_path = nowhere\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("ftpd.ini:3: [server] anonymous_path: 'nowhere' is not a"));
    // anonymous alone is enough
    assert_eq!(warnings("[server]\nenable_anonymous = on\nanonymous_path = home\n"), "");
    // as long as nobody uses it, it need not be there
    assert_eq!(warnings(format!("[server]\nanonymous_path = nowhere\n{BOB}")), "");
}

#[test]
fn a_user_cannot_have_the_name_of_an_anonymous_one() {
    for name in ["anonymous", "ftp"] {
        let user = BOB.replace("bob", name);
        let found =
            faults(format!("[server]\nenable_anonymous = on\nanonymous_path = home\n{user}"));
        let wanted = format!(
            "ftpd.ini:4: [user:{name}] '{name}' is already the name of an anonymous user (enable_anonymous)"
        );
        assert_eq!(found, [wanted]);
        assert_eq!(warnings(&user), "", "without enable_anonymous it is a name like others");
    }
}

#[test]
fn no_message_shows_a_password() {
    let secret = "tops3cret";
    for ini in [
        format!("[user:bob]\npassword {secret}\nhome = home\n"),
        format!("[user:bob]\npassword: {secret}\nhome = home\n"),
        format!("[user:bob]\npassword : {secret}=x\nhome = home\n"),
        format!("[user:bob]\npassword {secret}=\nhome = home\n"),
        format!("[user:bob]\n= {secret}\nhome = home\n"),
        format!("[user:bob]\npasswrd = {secret}\nhome = home\n"),
        format!("[server]\npassword = {secret}\n{BOB}"),
        format!("password = {secret}\n{BOB}"),
        format!("[nobody]\npassword = {secret}\n"),
        format!("[user:bob]\npassword = x\npassword = {secret}\nhome = home\n"),
        format!("{BOB}{BOB}"),
        format!("[user:bob]\npassword = $6${secret}$x\nhome = home\n"),
        format!("[user:bob\npassword = {secret}\n"),
        format!("[user:bob]\npassword = {secret}\nhome = nowhere\nperm = ?\n"),
        format!("[user:bob]\n\"password = {secret}\"\nhome = home\n"),
    ] {
        let found = faults(&ini);
        assert!(!found.is_empty());
        assert!(!found.concat().contains(secret), "{found:?}");
    }
    let found = faults(b"[user:bob]\npassword = tops3cret\xff\nhome = home\n");
    assert!(!found.concat().contains(secret), "{found:?}");
}

#[test]
fn thousands_of_faults_into_a_pipe_that_closes_are_still_exit_code_78() {
    let mut ini = String::from("[server]\n");
    for at in 0..2_500 {
        ini += &format!("nonsense{at} = 1\n");
    }
    let dir = folder(ini + BOB);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .arg("check")
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("ftpd.ini:2: [server] nonsense0: unknown key"), "{first}");
    assert_eq!(child.wait().unwrap().code(), Some(78));
}

// warnings

#[test]
fn a_file_that_others_can_read_is_warned_of_and_served() {
    let dir = folder(format!("[server]\nip = 127.0.0.1\nport = 0\n{BOB}"));
    let file = dir.path().join("ftpd.ini");
    for (mode, warned) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let (code, out, err) = run(&["check"], dir.path());
        assert_eq!((code, !err.is_empty()), (0, warned), "{mode:o} {out}{err}");
        if warned {
            assert!(err.starts_with("warning: ftpd.ini:5: [user:bob] password: "), "{err}");
            assert!(err.contains("chmod o-r"), "{err}");
            assert!(!err.contains("tops3cret"), "{err}");
        }
    }
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mut program = Program::start_in(dir, &[]);
    program.address("stderr");
    let line = program.wait_for("stderr", "[user:bob] password");
    assert!(line.contains(" WARN "), "{line}");
    assert!(!program.text("stderr").contains("tops3cret"));
    // without users there is no password to read
    let dir = folder("[server]\nenable_anonymous = on\nanonymous_path = home\n");
    let file = dir.path().join("ftpd.ini");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(run(&["check"], dir.path()).2, "");
}

#[test]
fn fewer_passive_ports_than_max_per_ip_are_warned_of() {
    let check = |lines: &str| warnings(format!("[server]\n{lines}\n{BOB}"));
    let said = check("max_per_ip = 10\npassive_ports = 50000-50004");
    assert_eq!(
        said,
        "warning: ftpd.ini:3: [server] passive_ports: '50000-50004' has 5 ports, fewer than max_per_ip (10)\n"
    );
    assert_eq!(check("max_per_ip = 5\npassive_ports = 50000-50004"), "");
    assert_eq!(check("max_per_ip = 0\npassive_ports = 50000-50000"), "");
    // the control port does not count
    let said = check("port = 50000\nmax_per_ip = 5\npassive_ports = 50000-50004");
    assert!(said.contains("has 4 ports"), "{said}");
}

#[test]
fn more_clients_than_the_kernel_has_memory_mappings_for_are_warned_of() {
    let allowed = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let allowed: usize = allowed.trim().parse().unwrap();
    let said = warnings(format!("[server]\nmax_cons = 65535\n{BOB}"));
    assert_eq!(said.contains("max_map_count"), allowed < 65535 * 4, "{said}");
    if !said.is_empty() {
        let place = "warning: ftpd.ini:2: [server] max_cons: '65535' needs vm.max_map_count";
        assert!(said.starts_with(place), "{said}");
    }
    assert_eq!(warnings(format!("[server]\nmax_cons = 1000\n{BOB}")), "");
}

#[test]
fn the_control_port_in_the_passive_range_is_warned_of() {
    let said = warnings(format!("[server]\npassive_ports = 2000-2200\n{BOB}"));
    assert_eq!(
        said,
        "warning: ftpd.ini:2: [server] passive_ports: '2000-2200' contains the control port 2121, which is skipped\n"
    );
    for port in [2000, 2200] {
        let said =
            warnings(format!("[server]\nport = {port}\npassive_ports = 2000-2200\n{BOB}"));
        assert!(said.contains("is skipped"), "{said}");
    }
    for port in [1999, 2201] {
        let ini = format!("[server]\nport = {port}\npassive_ports = 2000-2200\n{BOB}");
        assert_eq!(warnings(ini), "");
    }
    let found = faults(format!("[server]\nport = 2000\npassive_ports = 2000\n{BOB}"));
    assert_eq!(
        found,
        [
            "ftpd.ini:3: [server] passive_ports: '2000-2000' contains only the control port, which is skipped"
        ]
    );
}

#[test]
fn the_control_port_in_the_passive_range_is_never_given_out() {
    for _ in 0..20 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let Some(next) = port.checked_add(1) else { continue };
        let Ok(second) = TcpListener::bind(("127.0.0.1", next)) else { continue };
        drop((first, second));
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = {port}\npassive_ports = {port}-{next}\nmax_per_ip = 0\n{BOB}"
        );
        let mut program = Program::start(&ini, &[]);
        let until = Instant::now() + PATIENCE;
        let up = loop {
            if program.text("stderr").contains("users: 1") {
                break true;
            }
            if program.child.try_wait().unwrap().is_some() {
                break false;
            }
            assert!(Instant::now() < until);
            pause();
        };
        if !up {
            // somebody else took the port meanwhile
            continue;
        }
        assert!(program.text("stderr").contains("which is skipped"));
        let mut client = log_in(([127, 0, 0, 1], port).into(), "bob", "tops3cret");
        for _ in 0..8 {
            assert_eq!(client.passive_address("PASV").port(), next);
            assert_eq!(client.passive_address("EPSV").port(), next);
        }
        return;
    }
    panic!("no two ports were free");
}

// mutations

/// A small generator of numbers that are equal in each run (Knuth's constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

fn mutate(good: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    const BITS: [&[u8]; 16] = [
        b"[",
        b"]",
        b"=",
        b"\n",
        b"\r",
        b"\"",
        b";",
        b"\0",
        b"\xff",
        b"\xc3",
        b":",
        b" ",
        b"-",
        b"99999999999999999999",
        b"[user:",
        "\u{feff}\u{2028}\u{130}".as_bytes(),
    ];
    let mut text = good.to_vec();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(text.len());
        let end = (at + numbers.below(40)).min(text.len());
        match numbers.below(5) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, BITS[numbers.below(BITS.len())].iter().copied())),
            2 => {
                let piece = text[at..end].to_vec();
                let to = numbers.below(text.len());
                drop(text.splice(to..to, piece));
            }
            3 if at < text.len() => text[at] = u8::try_from(numbers.below(256)).unwrap(),
            _ => text.truncate(text.len() - numbers.below(text.len() / 8)),
        }
    }
    text
}

#[test]
fn mutations_of_a_good_file_are_accepted_or_refused_and_never_a_panic() {
    let dir = folder("");
    let file = dir.path().join("ftpd.ini");
    let mut numbers = Numbers(42);
    let (mut good, mut bad) = (0, 0);
    for round in 0..1500 {
        let text = mutate(EXAMPLE.as_bytes(), &mut numbers);
        fs::write(&file, &text).unwrap();
        let shown = || text.escape_ascii().to_string();
        match ftpd::config::load(&ftpd::config::Origin::file(&file)) {
            Ok(config) => {
                good += 1;
                assert!(!config.users.is_empty(), "{}", shown());
            }
            Err(faults) => {
                bad += 1;
                assert!(!faults.is_empty(), "{}", shown());
                assert!(faults.is_sorted_by_key(|fault| fault.place.line), "{}", shown());
                let lines = text.split(|&byte| byte == b'\n').count();
                for fault in &faults {
                    assert!(fault.place.line <= lines, "{fault}\n{}", shown());
                    assert!(!fault.to_string().contains(['\n', '\r', '\u{1b}']), "{fault}");
                }
            }
        }
        if round % 75 == 0 {
            let (code, out, err) = run(&["check"], dir.path());
            assert!([0, 78].contains(&code), "{code} {out}{err}\n{}", shown());
            assert!(!err.contains("panicked"), "{err}\n{}", shown());
        }
    }
    assert!(good > 20 && bad > 20, "{good} good, {bad} bad");
}
