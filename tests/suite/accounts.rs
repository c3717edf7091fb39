//! Hashed passwords, and the subcommands that look after users.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::program::{self, folder};
use crate::server::{Server, eventually, run};

/// "tops3cret", made by crypt(3) of Debian 12; the last one by the reference of Argon2 from
/// "password".
const HASHES: [(&str, &str); 8] = [
    ("yescrypt", "$y$j75$F5Jx5fExrKuPp53xLKQ..1$cBPmA/Ts3o9M2V8w3imkA6htkN6xm3yBmybTuJvnRm0"),
    (
        "sha512",
        "$6$saltsalt$9HJUwHOB.jozecNvvho6RDb6Yd34bKc3uTbkrjSb8TAYd4lssXNBL3E3aqUeXvTTsZ6GCAtQzpCmgu9c3BDS1/",
    ),
    (
        "rounds",
        "$6$rounds=1000$saltsalt$KHJwiP2WZfMm5MqPtm1vQnPth4KxDVzT6t83ieRq2hsCnaiItOyfRpwyCzoir4WvFaDeeSHVdKW967uDCgSUt1",
    ),
    ("sha256", "$5$saltsalt$RMZpFlIoeacXWGk1MHDRd33JIZba4KWZM2aFifVrf3B"),
    ("b", "$2b$04$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl."),
    ("y", "$2y$04$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl."),
    ("a", "$2a$04$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl."),
    (
        "argon2",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    ),
];

const BCRYPT: &str = HASHES[4].1;

fn section(name: &str, password: &str) -> String {
    format!("[user:{name}]\npassword = {password}\nhome = home\n")
}

fn right(name: &str) -> &str {
    if name == "argon2" { "password" } else { "tops3cret" }
}

// hashes

#[test]
fn each_kind_of_hash_lets_its_password_in_and_no_other() {
    let sections: String = HASHES.iter().map(|(name, hash)| section(name, hash)).collect();
    let server = Server::setup().server("max_login_attempts = 100").section(&sections).start();
    for (name, hash) in HASHES {
        Client::login(&server, name, right(name)).cmd("QUIT", 221);
        let mut client = Client::connect(&server);
        for wrong in [hash, "tops3cre", ""] {
            client.cmd(&format!("USER {name}"), 331);
            client.send(&format!("PASS {wrong}"));
            let (code, _) = client.answer();
            assert!(code == 530 || code == 501, "{name} {wrong}: {code}");
        }
    }
    // passwords in clear text work beside them
    Client::bob(&server).cmd("QUIT", 221);
    assert!(!server.log().contains("tops3cret") && !server.log().contains("saltsalt"));
}

#[test]
fn a_reload_changes_from_clear_text_to_a_hash_and_back() {
    let server = Server::start();
    let ini = server.dir().join("ftpd.ini");
    let with = |password: &str, workers: u32| {
        let text = fs::read_to_string(&ini).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("password"));
        let mut text = lines.collect::<Vec<_>>().join("\n");
        text = text.replace("[server]", &format!("[server]\npassword_workers = {workers}"));
        text = text.replace("[user:bob]", &format!("[user:bob]\npassword = {password}"));
        fs::write(&ini, text).unwrap();
        let (code, _, err) = run(&["reload"], server.dir());
        assert_eq!(code, 0, "{err}");
    };
    assert!(!server.threads().iter().any(|name| name.starts_with("password")));
    for workers in [1, 3, 2] {
        with(BCRYPT, workers);
        Client::login(&server, "bob", "tops3cret").cmd("QUIT", 221);
        let mut client = Client::connect(&server);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 530);
    }
    let threads = server.threads();
    let count = threads.iter().filter(|name| name.starts_with("password-")).count();
    assert_eq!(count, 3, "{threads:?}");
    with("secret", 2);
    Client::bob(&server).cmd("QUIT", 221);
}

/// Sends a wrong password many times at once. Returns how long the last answer takes beyond the
/// penalty.
fn refusals(server: &Server, name: &str) -> Duration {
    let mut clients: Vec<_> = (0..6).map(|_| Client::connect(server)).collect();
    for client in &mut clients {
        client.cmd(&format!("USER {name}"), 331);
    }
    let asked = Instant::now();
    for client in &mut clients {
        client.send("PASS wrong");
    }
    for client in &mut clients {
        client.expect(530);
    }
    asked.elapsed().saturating_sub(Duration::from_millis(500))
}

#[test]
fn an_unknown_user_takes_as_long_as_a_known_one() {
    // six of these, one after the other, take longer than the penalty, so that waiting is
    // noticed
    let slow = BCRYPT.replace("$2b$04$", "$2b$12$");
    let server =
        Server::setup().server("password_workers = 1").section(&section("slow", &slow)).start();
    let times = ["slow", "nobody", "bob"].map(|name| (name, refusals(&server, name)));
    let shortest = times.iter().map(|(_, time)| *time).min().unwrap();
    assert!(shortest > Duration::from_millis(50), "one is answered without a check: {times:?}");
}

#[test]
fn a_flood_of_logins_waits_in_line_and_takes_no_more_memory_than_two_checks() {
    const CLIENTS: usize = 24;
    // 64 MiB each
    let costly = HASHES[7].1.replace("m=256,t=2,p=2", "m=65536,t=1,p=1");
    let server = Server::setup().section(&section("costly", &costly)).start();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        client.cmd("USER costly", 331);
    }
    for client in &mut clients {
        client.send("PASS wrong");
    }
    // a login in clear text does not wait for them
    Client::bob(&server).cmd("QUIT", 221);
    for client in &mut clients {
        client.expect(530);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    assert!(kib("VmHWM:") < 200 << 10, "more than two at once: {} KiB", kib("VmHWM:"));
    assert!(kib("VmRSS:") < 64 << 10, "not given back: {} KiB", kib("VmRSS:"));
}

#[test]
fn a_login_whose_turn_does_not_come_in_time_is_421() {
    let slow = BCRYPT.replace("$2b$04$", "$2b$14$");
    let server = Server::setup()
        .server("password_workers = 1\nlogin_timeout = 2")
        .section(&section("slow", &slow))
        .start();
    let mut clients: Vec<_> = (0..12).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        client.send("USER slow\r\nPASS wrong");
    }
    let mut late = 0;
    for client in &mut clients {
        client.expect(331);
        let (code, _) = client.answer();
        assert!(code == 530 || code == 421, "{code}");
        late += usize::from(code == 421);
    }
    assert!(late > 0, "no machine checks twelve of these in two seconds");
    server.wait_for_log("too many logins are waiting");
    // checks that were abandoned use no time
    Client::bob(&server).cmd("QUIT", 221);
}

#[test]
fn clear_text_alone_is_warned_of_in_a_file_that_others_can_read() {
    let ini =
        format!("{}{}{}", section("hashed", BCRYPT), section("one", "x"), section("two", "y"));
    let dir = folder(ini);
    let file = dir.path().join("ftpd.ini");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let (code, _, err) = run(&["check"], dir.path());
    let lines: Vec<_> = err.lines().collect();
    // the file is the cause, and so it is one warning
    assert_eq!((code, lines.len()), (0, 1), "{err}");
    assert!(lines[0].starts_with("warning: ftpd.ini:5: [user:one] password: "), "{err}");
    assert!(lines[0].contains("chmod o-r") && lines[0].ends_with("(2 users)"), "{err}");
    program::write(dir.path(), section("hashed", BCRYPT));
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(run(&["check"], dir.path()).2, "");
}

#[test]
fn each_file_of_users_that_others_can_read_is_one_warning() {
    let dir = folder("[server]\nusers_file = users.d\n");
    for name in ["a", "b", "c"] {
        let users: String = (0..50).map(|at| section(&format!("{name}{at}"), "x")).collect();
        write(dir.path(), &format!("users.d/{name}.ini"), &users);
    }
    for name in ["a", "c"] {
        let file = dir.path().join(format!("users.d/{name}.ini"));
        fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
    }
    let (code, found) = check(dir.path());
    assert_eq!((code, found.len()), (0, 2), "{found:?}");
    for (found, name) in found.iter().zip(["a", "c"]) {
        assert!(found.contains(&format!("/users.d/{name}.ini:2: ")), "{found}");
    }
}

/// What `pure-pw useradd` of Debian 12 writes, for "tops3cret".
const OF_PURE_PW: [&str; 2] = [
    "$argon2id$v=19$m=8192,t=255,p=1$MDEyMzQ1Njc4OWFiY2RlZg$TjinTotfvNSg0ODgM24gv3zvOgvH7SpzLU+JhZFAd/k",
    "$argon2id$v=19$m=8192,t=511,p=1$MDEyMzQ1Njc4OWFiY2RlZg$CFz7q26eWbVZyMaIH/uujyA+Udpt1TYUDVA+pbG7HRk",
];

#[test]
fn hashes_of_pure_pw_let_their_users_in_and_check_says_that_they_are_slow() {
    let sections: String =
        (0..).zip(OF_PURE_PW).map(|(at, hash)| section(&format!("slow{at}"), hash)).collect();
    let server = Server::setup().section(&sections).section(&section("fast", BCRYPT)).start();
    for at in 0..OF_PURE_PW.len() {
        Client::login(&server, &format!("slow{at}"), "tops3cret").cmd("QUIT", 221);
    }
    let (code, found) = check(server.dir());
    let found: Vec<_> = found.iter().filter(|line| line.contains("to check")).collect();
    assert_eq!((code, found.len()), (0, 1), "{found:?}");
    for part in ["[user:slow0] password: ", "ftpd passwd", "2 users: slow0, slow1"] {
        assert!(found[0].contains(part), "{part}: {found:?}");
    }
    assert!(!found[0].contains("fast") && !found[0].contains("$argon2id"), "{found:?}");
}

#[test]
fn a_hundred_thousand_users_take_ten_times_as_long_as_ten_thousand() {
    let dir = folder("");
    let took = |count: u32| {
        let users = (0..count).map(|at| section(&format!("user{at}"), BCRYPT));
        program::write(dir.path(), users.collect::<String>());
        let begin = Instant::now();
        let (code, out, err) = run(&["check"], dir.path());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        begin.elapsed()
    };
    let (few, many) = (took(10_000), took(100_000));
    // with a square in it they took more than a hundred times as long
    assert!(many < few * 40, "{few:?} and {many:?}");
}

// templates, anonymous, accounts that end

#[test]
fn a_template_says_what_its_users_do_not_and_user_in_home_is_their_name() {
    let server = Server::setup()
        .section(
            "[template:staff]\nhome = homes/{user}\nperm = elw\npassword = shared\n\
             login_msg = Hello staff\n\
             [user:anna]\nlike = staff\npassword = one\n\
             [user:otto]\nlike = staff\nperm = el\nlogin_msg = Hello Otto\n",
        )
        .start_with(|dir| {
            fs::create_dir_all(dir.join("homes/anna")).unwrap();
            fs::create_dir_all(dir.join("homes/otto")).unwrap();
            fs::write(dir.join("homes/otto/mine"), "x").unwrap();
        });
    let mut anna = Client::connect(&server);
    anna.cmd("USER anna", 331);
    assert_eq!(anna.cmd("PASS one", 230), "230 Hello staff");
    anna.upload("STOR x", b"x");
    anna.cmd("DELE x", 550);
    assert!(server.dir().join("homes/anna/x").exists());
    let mut otto = Client::connect(&server);
    otto.cmd("USER otto", 331);
    assert_eq!(otto.cmd("PASS shared", 230), "230 Hello Otto");
    assert_eq!(otto.cmd("SIZE mine", 213), "213 1");
    otto.cmd("STOR y", 550);
    // no user has the template's name
    let mut client = Client::connect(&server);
    for name in ["staff", "template:staff"] {
        client.cmd(&format!("USER {name}"), 331);
        client.cmd("PASS shared", 530);
    }
}

#[test]
fn what_is_wrong_with_a_template_is_said_once_and_at_its_line() {
    let user = |name: &str| format!("[user:{name}]\npassword = x\nhome = home\nlike = staff\n");
    let faults = |ini: &str| {
        let dir = folder(ini);
        let (code, found) = check(dir.path());
        assert_eq!(code, 78, "{found:?}");
        found
    };
    let two = format!("{}{}", user("anna"), user("otto"));
    for (line, wanted) in [
        ("perm = xyz", "perm: 'xyz' has the unknown permission letter 'x'"),
        ("max_cons = 5", "max_cons: belongs in [server]"),
        ("hom = x", "hom: unknown key; did you mean 'home'?"),
        ("expires = tomorrow", "expires: 'tomorrow' is not a day such as 2026-12-31"),
        ("like = other", "like: a template cannot be based on another template"),
    ] {
        let found = faults(&format!("[template:staff]\n{line}\n{two}"));
        let wanted = format!("ftpd.ini:2: [template:staff] {wanted}");
        assert_eq!(found, [wanted], "{line}");
    }
    let found = faults(&format!("[template:stuff]\n{}", user("anna")));
    let wanted = "ftpd.ini:5: [user:anna] like: 'staff' has no section '[template:staff]'; did \
        you mean 'stuff'?";
    assert_eq!(found, [wanted]);
    // the user's section is where a home that comes from a template is missing
    let found =
        faults("[template:t]\nhome = homes/{user}\n[user:anna]\npassword = x\nlike = t\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("ftpd.ini:3: [user:anna] home: 'homes/anna' is not a"));
    let found = faults("[template:]\n[user:anna]\npassword = x\nhome = home\n");
    assert!(
        found[0].starts_with("ftpd.ini:1: [template:] '' is not a valid template name"),
        "{found:?}"
    );
    let dir = folder("[server]\nusers_file = users.ini\n");
    write(dir.path(), "users.ini", "[template:staff]\nperm = el\n");
    let (_, found) = check(dir.path());
    assert!(
        found[0].contains("users_file may contain only '[user:NAME]' and '[folder:"),
        "{found:?}"
    );
}

#[test]
fn a_name_that_is_no_directorys_cannot_be_put_into_a_home() {
    for name in ["..", ".", "a/b", "../x", "/etc", &"x".repeat(256)] {
        let home = "homes/{user}";
        let dir =
            folder(format!("[user:{name}]\npassword = x\nhome = {home}\ncreate_home = on\n"));
        let (code, found) = check(dir.path());
        assert_eq!((code, found.len()), (78, 1), "{name} {found:?}");
        assert!(found[0].contains("cannot be the name of a directory"), "{found:?}");
    }
}

#[test]
fn the_section_of_anonymous_users_takes_what_a_users_section_takes() {
    let server = Server::setup()
        .server("max_upload = 300K")
        .section(
            "[anonymous]\nhome = pub\nperm = elrw\numask = 077\nmax_per_user = 1\n\
             login_msg = Hello stranger\noverwrite = no\n",
        )
        .start_with(|dir| fs::create_dir(dir.join("pub")).unwrap());
    server.wait_for_log("users: 1, anonymous: on");
    let mut client = Client::connect(&server);
    client.cmd("USER anonymous", 331);
    assert_eq!(client.cmd("PASS x@", 230), "230 Hello stranger");
    client.upload("STOR x", b"x");
    assert_eq!(fs::metadata(server.dir().join("pub/x")).unwrap().mode() & 0o777, 0o600);
    client.cmd("DELE x", 550);
    let mut other = Client::connect(&server);
    other.cmd("USER ftp", 331);
    other.cmd("PASS x@", 421);
}

#[test]
fn old_and_new_keys_of_anonymous_users_must_not_contradict_each_other() {
    let good = |server: &str, section: &str| {
        let dir = folder(format!("[server]\n{server}\n[anonymous]\n{section}\n"));
        assert_eq!(check(dir.path()), (0, vec![]), "{server}\n{section}");
    };
    good("enable_anonymous = on\nanonymous_path = home\nanonymous_perm = elr", "");
    good("enable_anonymous = on", "home = home\nenabled = yes");
    good("anonymous_path = home", "perm = elw");
    good("anonymous_path = home\nanonymous_perm = le", "home = ./home\nperm = el");
    // an empty value is the default, and sets nothing
    good("anonymous_path =", "home = home");
    let fault = |server: &str, section: &str| {
        let dir = folder(format!("[server]\n{server}\n[anonymous]\n{section}\n"));
        let (code, found) = check(dir.path());
        assert_eq!((code, found.len()), (78, 1), "{found:?}");
        found[0].clone()
    };
    assert_eq!(
        fault("anonymous_perm = elr", "home = home\nperm = elrw"),
        "ftpd.ini:5: [anonymous] perm: 'elrw' contradicts anonymous_perm of [server] on line 2"
    );
    assert_eq!(
        fault("enable_anonymous = off", "home = home\nenabled = on"),
        "ftpd.ini:5: [anonymous] enabled: 'on' contradicts enable_anonymous of [server] on line 2"
    );
    // each line has one fault
    let found = fault("anonymous_path = ftpd.ini", "home = nowhere");
    assert!(found.contains("home: 'nowhere'") && !found.contains("contradicts"), "{found}");
    let found = fault("anonymous_path = /", "home = home");
    assert!(found.contains("home: 'home' contradicts anonymous_path"), "{found}");
    assert!(fault("", "perm = el").ends_with("[anonymous] home: is missing"));
    let found = fault("", "home = nowhere");
    assert!(found.starts_with("ftpd.ini:4: [anonymous] home: 'nowhere' is not"), "{found}");
    let found = fault("", "home = home\npassword = x");
    assert_eq!(found, "ftpd.ini:5: [anonymous] password: belongs in [user:NAME]");
}

#[test]
fn anonymous_names_are_unknown_unless_enabled() {
    for section in ["enabled = off", "expires = 2020-01-01"] {
        let server =
            Server::setup().section(&format!("[anonymous]\nhome = home\n{section}\n")).start();
        let mut client = Client::connect(&server);
        assert_eq!(client.cmd("USER anonymous", 331), "331 Password required");
        assert_eq!(client.cmd("PASS x@", 530), "530 Login incorrect");
    }
}

#[test]
fn a_disabled_or_expired_user_is_refused_like_a_stranger() {
    let account = |name: &str, line: &str| section(name, "right") + line + "\n";
    let server = Server::setup()
        .section(&account("off", "enabled = off"))
        .section(&account("past", "expires = 2020-12-31"))
        .section(&account("future", "expires = 2999-12-31"))
        .section(&account("alone", "enabled = off\ntls_required = off\nallow_from = 192.0.2.1"))
        .start();
    Client::login(&server, "future", "right").cmd("QUIT", 221);
    let answers = ["nobody", "off", "past", "alone"].map(|name| {
        let mut client = Client::connect(&server);
        let named = client.cmd(&format!("USER {name}"), 331);
        let begin = Instant::now();
        let refused = client.cmd("PASS right", 530);
        assert!(begin.elapsed() > Duration::from_millis(490), "{name}: {:?}", begin.elapsed());
        (named, refused)
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    server.wait_for_log("the user is disabled");
    server.wait_for_log("last day has passed");
}

#[test]
fn the_last_day_ends_at_midnight_of_the_local_time() {
    // in these two zones it is never the same day
    let (west, east) = ("XXX12", "XXX-14");
    let today = |zone: &str| {
        let date = Command::new("date").arg("+%F").env("TZ", zone).output().unwrap();
        String::from_utf8(date.stdout).unwrap().trim().to_owned()
    };
    let day = today(west);
    for (zone, code) in [(west, 230), (east, 530)] {
        let line = format!("expires = {day}");
        let server =
            Server::setup().env("TZ", zone).section(&(section("anna", "x") + &line)).start();
        let mut client = Client::connect(&server);
        client.cmd("USER anna", 331);
        let (found, _) = client.ask("PASS x");
        assert!(found == code || today(west) != day, "{zone}: {found}");
    }
}

#[test]
fn a_reload_ends_the_sessions_of_a_user_who_is_disabled_by_it() {
    let server = Server::setup().section(&section("anna", "x")).start();
    let mut anna = Client::login(&server, "anna", "x");
    let mut bob = Client::bob(&server);
    let ini = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&ini).unwrap();
    fs::write(&ini, text + "enabled = off\n").unwrap();
    let (code, _, err) = run(&["reload"], server.dir());
    assert_eq!(code, 0, "{err}");
    anna.expect(421);
    bob.cmd("NOOP", 200);
}

// homes that are made

#[test]
fn a_missing_home_is_made_at_login_with_the_mode_that_its_user_gives() {
    let server = Server::setup()
        .section(
            "[template:t]\nhome = homes/{user}/files\ncreate_home = on\nperm = elw\n\
             [user:anna]\nlike = t\npassword = x\numask = 027\n\
             [user:otto]\nlike = t\npassword = x\n",
        )
        .start();
    assert_eq!(check(server.dir()).0, 0);
    for (name, mode) in [("anna", 0o750), ("otto", 0o755)] {
        let home = server.dir().join("homes").join(name).join("files");
        assert!(!home.exists());
        let mut client = Client::connect(&server);
        client.cmd(&format!("USER {name}"), 331);
        client.cmd("PASS wrong", 530);
        assert!(!home.exists(), "made before the login");
        Client::login(&server, name, "x").upload("STOR x", b"x");
        let meta = fs::metadata(&home).unwrap();
        let own = fs::metadata(server.home()).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.uid()), (mode, own.uid()), "{name}");
        // and again after it was removed
        fs::remove_dir_all(&home).unwrap();
        Client::login(&server, name, "x").cmd("QUIT", 221);
        assert!(home.is_dir());
    }
}

#[test]
fn a_home_is_not_made_over_a_link_that_somebody_else_has_planted() {
    const STRANGER: u32 = 64_123;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let user = |name: &str, home: &str| {
        format!("[user:{name}]\npassword = x\nhome = {home}\ncreate_home = on\n")
    };
    let server = Server::setup()
        .section(&user("far", "homes/link/far"))
        .section(&user("self", "homes/self"))
        .section(&user("own", "homes/own/deep"))
        .start_with(|dir| {
            for folder in ["homes", "target", "target/self"] {
                fs::create_dir(dir.join(folder)).unwrap();
            }
            let links = [("link", "target"), ("self", "target/self"), ("own", "target")];
            for (link, target) in links {
                let link = dir.join("homes").join(link);
                symlink(dir.join(target), &link).unwrap();
                if !link.ends_with("own") {
                    std::os::unix::fs::lchown(&link, Some(STRANGER), None).unwrap();
                }
            }
        });
    for name in ["far", "self"] {
        let mut client = Client::connect(&server);
        client.cmd(&format!("USER {name}"), 331);
        client.cmd("PASS x", 530);
    }
    server.wait_for_log("is a link made by another user");
    assert!(!server.dir().join("target/far").exists());
    // root's own links are the administrator's
    Client::login(&server, "own", "x").cmd("QUIT", 221);
    assert!(server.dir().join("target/deep").is_dir());
}

#[test]
fn a_home_that_can_never_be_made_is_a_fault() {
    let dir = folder("");
    fs::write(dir.path().join("file"), "").unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    for home in ["file", "file/home", "dangling", "dangling/home"] {
        program::write(
            dir.path(),
            section("bob", "x")
                .replace("home = home", &format!("home = {home}\ncreate_home = on")),
        );
        let (code, found) = check(dir.path());
        assert_eq!((code, found.len()), (78, 1), "{home}: {found:?}");
        assert!(found[0].starts_with("ftpd.ini:3: [user:bob] home: "), "{found:?}");
    }
    // nobody needs the home of a user who may not log in
    let ini = section("bob", "x").replace("home = home", "home = nowhere\nenabled = off");
    program::write(dir.path(), ini);
    assert_eq!(check(dir.path()), (0, vec![]));
}

// what clients are shown

#[test]
fn the_message_of_a_folder_is_shown_to_whoever_enters_it() {
    let server = Server::setup().user("folder_message = on").start();
    server.put("a/.message", "Mind the gap\r\n250 not the end\n\u{ff}\tx\n");
    server.put("empty/.message", "");
    server.put("none/x", "");
    server.put("long/.message", "x".repeat(100_000));
    fs::create_dir_all(server.home().join("folder/.message")).unwrap();
    symlink("/etc/passwd", server.home().join("none/.message")).unwrap();
    let mut bob = Client::bob(&server);
    bob.send("CWD a");
    let lines: Vec<_> = (0..4).map(|_| bob.next_line_bytes()).collect();
    assert_eq!(lines[0], b"250-Mind the gap");
    assert_eq!(lines[1], b"250-250 not the end");
    assert!(lines[2].starts_with(b"250-\xc3\xbf"), "{lines:?}");
    assert_eq!(lines[3], b"250 Directory changed");
    for quiet in ["/empty", "/none", "/folder", "/"] {
        assert_eq!(bob.cmd(&format!("CWD {quiet}"), 250), "250 Directory changed");
    }
    assert!(bob.cmd("CWD /long", 250).len() < 20_000);
    bob.cmd("CDUP", 250);
    bob.cmd("NOOP", 200);
    // it is off by default
    let server = Server::start();
    server.put("a/.message", "Mind the gap");
    assert_eq!(Client::bob(&server).cmd("CWD a", 250), "250 Directory changed");
}

#[test]
fn a_fifo_in_place_of_the_folder_message_delays_no_session() {
    let server = Server::setup().user("folder_message = on").start();
    let fifo = server.home().join(".message");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    assert_eq!(Client::bob(&server).cmd("CWD /", 250), "250 Directory changed");
}

// what may not be replaced, and what may not be read

/// Uploads bytes over a new data connection, and returns the code of the last reply.
fn upload(client: &mut Client, line: &str, bytes: &[u8]) -> u16 {
    let mut data = client.passive();
    let (code, _) = client.ask(line);
    if code != 150 {
        return code;
    }
    // the server closes the connection as soon as the file is too large
    let _ = data.write_all(bytes);
    drop(data);
    client.answer().0
}

#[test]
fn no_file_becomes_larger_than_max_file_size() {
    let server = Server::setup().user("max_file_size = 300000").start();
    server.put("old", "old");
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    let bytes = vec![b'x'; 300_001];
    assert_eq!(upload(&mut bob, "STOR full", &bytes[..300_000]), 226);
    for line in ["STOR old", "STOR new", "STOU new", "APPE old", "APPE full"] {
        assert_eq!(upload(&mut bob, line, &bytes), 552, "{line}");
    }
    bob.cmd("REST 300001", 350);
    assert_eq!(upload(&mut bob, "STOR full", b"x"), 552);
    bob.cmd("TYPE A", 200);
    assert_eq!(upload(&mut bob, "STOR text", &b"text\r\n".repeat(60_001)), 552);
    // 6 bytes of the transfer are 5 of the file
    assert_eq!(upload(&mut bob, "STOR text", &b"text\r\n".repeat(60_000)), 226);
    bob.cmd("ALLO 300001", 552);
    bob.cmd("ALLO 300000", 200);
    let there = fs::read_dir(server.home()).unwrap().flatten();
    let mut there: Vec<_> = there.map(|entry| entry.file_name()).collect();
    there.sort();
    assert_eq!(there, ["full", "old", "text"], "nothing is left behind");
    assert_eq!(server.get("old"), b"old");
    assert_eq!(server.get("full").len(), 300_000);
    server.wait_for_log("larger than max_file_size, 300000 bytes");
}

#[test]
fn in_the_classic_way_a_file_ends_at_max_file_size() {
    let server = Server::setup().user("max_file_size = 5\natomic_uploads = off").start();
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    assert_eq!(upload(&mut bob, "STOR a", b"12345"), 226);
    assert_eq!(upload(&mut bob, "APPE a", b"6"), 552);
    assert_eq!(server.get("a"), b"12345");
}

#[test]
fn names_that_are_denied_or_not_allowed_are_553_for_all_that_makes_them() {
    for (lines, pattern) in [
        ("deny_names = .ht*, *.exe", "deny_names = *.exe"),
        ("allow_names = a, b, *.jpg", "allow_names = a, b, *.jpg"),
    ] {
        for atomic in ["on", "off"] {
            let lines = format!("{lines}\natomic_uploads = {atomic}");
            let server = Server::setup().user(&lines).start();
            server.put("a", "a");
            server.put("There.EXE", "old");
            let mut bob = Client::bob(&server);
            bob.cmd("TYPE I", 200);
            for line in ["STOR x.exe", "STOR There.EXE", "APPE X.Exe", "STOU x.exe"] {
                assert_eq!(upload(&mut bob, line, b"x"), 553, "{line}");
            }
            bob.cmd("MKD d.exe", 553);
            bob.cmd("RNFR a", 350);
            bob.cmd("RNTO a.exe", 553);
            assert_eq!(server.get("There.EXE"), b"old");
            server.wait_for_log(pattern);
            assert_eq!(upload(&mut bob, "STOR photo.JPG", b"x"), 226);
            bob.cmd("RNFR a", 350);
            bob.cmd("RNTO b", 250);
            // what is there can be read and removed
            assert_eq!(bob.download("RETR There.EXE"), b"old");
            bob.cmd("DELE There.EXE", 250);
            assert_eq!(fs::read_dir(server.home()).unwrap().count(), 2);
        }
    }
}

#[test]
fn only_files_that_everybody_may_read_are_served_where_that_is_asked_for() {
    let server = Server::setup().user("world_readable_only = on").start();
    for (name, mode) in [("open", 0o604), ("closed", 0o640)] {
        let file = server.put(name, "text");
        fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    assert_eq!(bob.download("RETR open"), b"text");
    bob.passive();
    bob.cmd("RETR closed", 550);
    server.wait_for_log("world_readable_only");
}

// users_file

fn write(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
}

fn check(dir: &Path) -> (i32, Vec<String>) {
    let (code, _, err) = run(&["check"], dir);
    (code, err.lines().map(str::to_owned).collect())
}

#[test]
fn users_stand_in_files_of_a_directory_and_a_reload_reads_them_again() {
    let server = Server::setup().server("users_file = users.d").section("").start_with(|dir| {
        write(dir, "users.d/b.ini", &section("anna", "one"));
        write(dir, "users.d/a.ini", &section("otto", BCRYPT));
        write(dir, "users.d/c.txt", "nonsense");
        write(dir, "users.d/.d.ini", "nonsense");
    });
    server.wait_for_log("users: 3");
    Client::login(&server, "anna", "one").cmd("QUIT", 221);
    Client::login(&server, "otto", "tops3cret").cmd("QUIT", 221);
    Client::bob(&server).cmd("QUIT", 221);
    let mut anna = Client::login(&server, "anna", "one");
    write(server.dir(), "users.d/b.ini", &section("carl", "two"));
    let (code, out, err) = run(&["reload"], server.dir());
    assert_eq!(code, 0, "{out}{err}");
    anna.expect(421);
    Client::login(&server, "carl", "two").cmd("QUIT", 221);
    // a fault in one of them changes nothing
    write(server.dir(), "users.d/b.ini", "[user:carl]\nhome = home\n");
    let (code, _, err) = run(&["reload"], server.dir());
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("/users.d/b.ini:1: [user:carl] password: is missing"), "{err}");
    Client::login(&server, "carl", "two").cmd("QUIT", 221);
}

#[test]
fn faults_of_users_files_name_their_file_and_line() {
    let dir = folder(format!(
        "[server]\nusers_file = users.d\nmax_cons = x\n{}",
        section("bob", "x")
    ));
    let place = |name: &str| dir.path().join("users.d").join(name).display().to_string();
    write(
        dir.path(),
        "users.d/1.ini",
        "[server]\nport = 1\n[user:anna]\npassword = $1$a$b\nhome = nowhere\nmax_cons = 2\nlost\n",
    );
    let two = section("bob", "y") + &section("otto", "z") + "tls_client = x\n[nonsense]\n";
    write(dir.path(), "users.d/2.ini", &two);
    write(dir.path(), "users.d/3.ini", &section("otto", "z"));
    let (code, found) = check(dir.path());
    assert_eq!(code, 78);
    let (one, two, three) = (place("1.ini"), place("2.ini"), place("3.ini"));
    let expected = [
        "ftpd.ini:3: [server] max_cons: 'x' is not a whole number".to_owned(),
        format!("{one}:1: [server] users_file may contain only '[user:NAME]' and '[folder:"),
        format!("{one}:4: [user:anna] password: is a hash of an unknown kind"),
        format!("{one}:5: [user:anna] home: 'nowhere' is not a directory"),
        format!("{one}:6: [user:anna] max_cons: belongs in [server]"),
        format!("{one}:7: [user:anna] expected '[section]', 'key = value' or a comment"),
        format!("{two}:1: [user:bob] is already in ftpd.ini:4"),
        format!("{two}:4: [user:otto] tls_client: needs a tls_cert"),
        format!("{two}:8: [nonsense] users_file may contain only '[user:NAME]' and '[folder:"),
        format!("{three}:1: [user:otto] is already in {two}:4"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(&expected), "{found}\n{expected}");
    }
}

#[test]
fn a_users_file_that_is_not_there_or_cannot_be_read_is_a_fault() {
    let bob = section("bob", "x");
    let dir = folder(format!("[server]\nusers_file = users\n{bob}"));
    let (code, found) = check(dir.path());
    assert_eq!((code, found.len()), (78, 1));
    assert!(found[0].starts_with("ftpd.ini:2: [server] users_file: 'users' does not exist"));
    // a directory instead of a single file
    fs::create_dir_all(dir.path().join("users/x.ini")).unwrap();
    let (code, found) = check(dir.path());
    assert_eq!((code, found.len()), (78, 1), "{found:?}");
    assert!(found[0].contains("users/x.ini: cannot be read"), "{found:?}");
    // a single file works as well, even if it holds all users
    program::write(dir.path(), "[server]\nusers_file = users\n");
    fs::remove_dir_all(dir.path().join("users")).unwrap();
    write(dir.path(), "users", &bob);
    assert_eq!(check(dir.path()), (0, vec![]));
    fs::set_permissions(dir.path().join("users"), PermissionsExt::from_mode(0o644)).unwrap();
    let (code, found) = check(dir.path());
    assert_eq!((code, found.len()), (0, 1));
    assert!(found[0].contains("users:2: [user:bob] password: is in clear text"), "{found:?}");
    write(dir.path(), "users", "");
    assert_eq!(check(dir.path()).0, 78, "nobody could log in");
}

// passwd

/// Runs the program with `input` as its standard input.
fn run_with(dir: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a program that refuses its arguments reads nothing
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn text(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn passwd_prints_a_hash_that_lets_the_password_in() {
    let dir = folder("");
    for (input, password) in
        [("tops3cret\n", "tops3cret"), (" p;#\"\u{e4} \r\n", " p;#\"\u{e4} ")]
    {
        let (code, out, err) = run_with(dir.path(), &["passwd"], input);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{out}");
        let server = Server::setup().section(&section("anna", out.trim())).start();
        Client::login(&server, "anna", password).cmd("QUIT", 221);
    }
    for input in ["", "\n", &"x".repeat(600)] {
        let (code, out, err) = run_with(dir.path(), &["passwd"], input);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.starts_with("ftpd: no password: "), "{err}");
    }
}

#[test]
fn passwd_write_changes_one_value_and_a_reload_takes_it_over() {
    let server = Server::setup().user("; the yard\npassword = old").section("; end").start();
    let ini = server.dir().join("ftpd.ini");
    let before = fs::read_to_string(&ini).unwrap();
    fs::set_permissions(&ini, PermissionsExt::from_mode(0o640)).unwrap();
    let (code, out, err) = run_with(server.dir(), &["passwd", "bob", "--write"], "new\n");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "ftpd.ini: changed the password of bob. Run 'ftpd reload' to apply it.\n");
    let after = fs::read_to_string(&ini).unwrap();
    let line = after.lines().find(|line| line.starts_with("password = ")).unwrap();
    assert!(line.starts_with("password = $argon2id$"), "{after}");
    assert_eq!(after.replace(line, "password = old"), before);
    assert_eq!(ini.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    Client::login(&server, "bob", "old").cmd("QUIT", 221);
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    Client::login(&server, "bob", "new").cmd("QUIT", 221);
    let names: Vec<_> = fs::read_dir(server.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".ftpd-"))
        .collect();
    assert!(names.is_empty(), "left behind: {names:?}");
}

#[test]
fn passwd_write_follows_a_link_and_finds_users_in_other_files() {
    let dir = folder("");
    fs::remove_file(dir.path().join("ftpd.ini")).unwrap();
    write(
        dir.path(),
        "real/settings",
        &format!("[server]\r\nusers_file = {}\r\n", dir.path().join("users.d").display()),
    );
    symlink("real/settings", dir.path().join("ftpd.ini")).unwrap();
    write(dir.path(), "users.d/anna.ini", "[user:anna]\r\nhome = ../home\r\n");
    // the home starts from the folder of ftpd.ini, where the link is
    write(dir.path(), "users.d/anna.ini", "[user:anna]\r\nhome = home\r\nperm=elr");
    let (code, _, err) = run_with(dir.path(), &["passwd", "anna", "--write"], "x\n");
    assert_eq!((code, err.as_str()), (0, ""), "a fault that was there before is no obstacle");
    let users = text(dir.path(), "users.d/anna.ini");
    assert!(users.starts_with("[user:anna]\r\npassword = $argon2id$"), "{users}");
    assert!(users.ends_with("\r\nhome = home\r\nperm=elr"), "{users}");
    assert_eq!(check(dir.path()).0, 0);
    let settings = "[user:otto]\npassword = x\nhome = home\n";
    write(dir.path(), "real/settings", settings);
    assert_eq!(run_with(dir.path(), &["passwd", "otto", "--write"], "x\n").0, 0);
    assert!(dir.path().join("ftpd.ini").symlink_metadata().unwrap().is_symlink());
    assert_ne!(text(dir.path(), "real/settings"), settings);
    assert!(fs::metadata(dir.path().join("real/settings")).unwrap().is_file());
}

#[test]
fn passwd_write_refuses_a_user_without_a_section_and_changes_nothing() {
    let ini = section("bob", "x");
    let dir = folder(&ini);
    for (arguments, code, said) in [
        (&["passwd", "Bob", "--write"][..], 1, "ftpd: ftpd.ini has no [user:Bob]\n"),
        (&["passwd", "--write"], 2, "--write needs a user"),
        (&["passwd", "bob", "otto"], 2, "unexpected argument 'otto'"),
        (&["passwd", "--now"], 2, "invalid option '--now'"),
    ] {
        let (found, out, err) = run_with(dir.path(), arguments, "y\n");
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.contains(said), "{err}");
    }
    assert_eq!(text(dir.path(), "ftpd.ini"), ini);
}

/// The program on a terminal of its own: its output, and a way to type.
struct Typist {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Typist {
    /// `None` where this system has no `script` to make a terminal.
    fn start(dir: &Path, arguments: &str) -> Option<Self> {
        let program = env!("CARGO_BIN_EXE_ftpd");
        // the shell gets the Ctrl-C too, and some end by it although the program has dealt with
        // it
        let shell = format!(
            "trap : INT; {program} {arguments}; echo code=$?; stty -a | grep -o ' -*echo '"
        );
        let child = Command::new("script")
            .args(["-qec", &shell, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("not tested: there is no script(1)");
            return None;
        };
        let said = Arc::<Mutex<String>>::default();
        let (own, mut from) = (Arc::clone(&said), child.stdout.take().unwrap());
        thread::spawn(move || {
            let mut chunk = [0; 256];
            while let Ok(read @ 1..) = from.read(&mut chunk) {
                *own.lock().unwrap() += &String::from_utf8_lossy(&chunk[..read]);
            }
        });
        Some(Self { child, said })
    }

    fn wait_for(&self, text: &str) -> String {
        eventually(text, || self.said.lock().unwrap().contains(text));
        self.said.lock().unwrap().clone()
    }

    fn answer(&mut self, question: &str, answer: &str) {
        self.wait_for(question);
        self.child.stdin.as_mut().unwrap().write_all(answer.as_bytes()).unwrap();
    }

    /// All output, once the shell has said whether the terminal echoes.
    fn end(mut self) -> String {
        self.wait_for("echo ");
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        self.said.lock().unwrap().clone()
    }
}

#[test]
fn passwd_on_a_terminal_asks_twice_and_shows_nothing() {
    let dir = folder(section("bob", "x"));
    let Some(mut typist) = Typist::start(dir.path(), "passwd bob --write") else { return };
    typist.answer("Password of bob: ", "tops3cret\r");
    typist.answer("Repeat the password: ", "tops3cret\r");
    let said = typist.end();
    assert!(said.contains("changed the password of bob") && said.contains("code=0"), "{said}");
    assert!(said.contains(" echo ") && !said.contains("tops3cret"), "{said}");
    assert!(text(dir.path(), "ftpd.ini").contains("password = $argon2id$"));
    let mut typist = Typist::start(dir.path(), "passwd").unwrap();
    typist.answer("Password: ", "one\r");
    typist.answer("Repeat the password: ", "two\r");
    let said = typist.end();
    assert!(said.contains("the passwords differ") && said.contains("code=1"), "{said}");
}

#[test]
fn ctrl_c_at_the_question_brings_the_echo_back() {
    let dir = folder(section("bob", "x"));
    let Some(mut typist) = Typist::start(dir.path(), "passwd bob --write") else { return };
    typist.answer("Password of bob: ", "half\x03");
    let said = typist.end();
    assert!(said.contains("code=130") && said.contains(" echo "), "{said}");
    assert_eq!(text(dir.path(), "ftpd.ini"), section("bob", "x"));
}

// adduser, deluser, users

#[test]
fn adduser_appends_a_section_and_deluser_takes_it_away_again() {
    // the new home lies beside the old one, and a sandbox cannot be widened
    let server = Server::setup().server("sandbox = off").section("; the end").start();
    let dir = server.dir();
    let before = text(dir, "ftpd.ini");
    let arguments = ["adduser", "anna b", "--home", "homes", "--perm", "elw", "--create-home"];
    let (code, out, err) = run_with(dir, &arguments, "one\n");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("ftpd.ini: added [user:anna b]"), "{out}");
    let after = text(dir, "ftpd.ini");
    let new = after.strip_prefix(&before).unwrap();
    assert!(new.starts_with("\n[user:anna b]\npassword = $argon2id$"), "{new}");
    assert!(new.ends_with(&format!("\nperm = elw\nhome = {}/homes\n", dir.display())), "{new}");
    assert!(dir.join("homes").is_dir());
    assert_eq!(run(&["reload"], dir).0, 0);
    let mut anna = Client::login(&server, "anna b", "one");
    anna.cmd("DELE x", 550);
    anna.upload("STOR x", b"x");
    let (code, out, err) = run(&["deluser", "anna b"], dir);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("removed [user:anna b] with password, perm, home."), "{out}");
    assert!(out.contains("/homes was left as it is") && !out.contains("argon2"), "{out}");
    assert_eq!(text(dir, "ftpd.ini").trim_end(), before.trim_end());
    assert_eq!(run(&["reload"], dir).0, 0);
    anna.expect(421);
    assert!(dir.join("homes/x").is_file());
}

#[test]
fn the_folders_of_a_user_go_with_the_user() {
    let folders = "[folder:bob:/a]\ndeny_names = x\n\n[folder:bobby:/a]\ndeny_names = x\n\n\
                   [folder:/b]\ndeny_names = x\n\n[ Folder:bob:/a/b ]\nallow_names = y\n";
    let dir = folder(section("bob", "x") + &section("bobby", "y") + folders);
    let (code, out, err) = run(&["deluser", "bob"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("home, and [folder:bob:/a], and [folder:bob:/a/b]."), "{out}");
    assert_eq!(run(&["check"], dir.path()).0, 0);
    let left = text(dir.path(), "ftpd.ini");
    assert!(!left.contains("bob:/") && left.contains("[folder:bobby:/a]\ndeny"), "{left}");
    assert!(left.contains("[folder:/b]\ndeny_names = x"), "{left}");
    // a folder in another file keeps the user from being removed
    fs::write(dir.path().join("more.ini"), section("anna", "x")).unwrap();
    let main = "[server]\nusers_file = more.ini\n[folder:anna:/a]\ndeny_names = x\n";
    fs::write(dir.path().join("ftpd.ini"), main).unwrap();
    let (code, _, err) = run(&["deluser", "anna"], dir.path());
    assert_eq!(code, 1);
    assert!(err.contains("ftpd.ini:3: [folder:anna:/a] 'anna:/a'"), "{err}");
    assert!(text(dir.path(), "more.ini").contains("[user:anna]"));
}

#[test]
fn a_user_with_two_sections_is_neither_removed_nor_changed() {
    let main = section("bob", "x") + &section("bob", "y");
    let other = format!("[server]\nusers_file = more.ini\n{}", section("bob", "x"));
    for (ini, more, places) in [
        (&main, "", "ftpd.ini:1, ftpd.ini:4"),
        (&other, "[user:bob]\npassword = z\nhome = home\n", "ftpd.ini:3, more.ini:1"),
    ] {
        let dir = folder(ini);
        fs::write(dir.path().join("more.ini"), more).unwrap();
        for command in [&["deluser", "bob"][..], &["passwd", "bob", "--write"]] {
            let (code, _, err) = run_with(dir.path(), command, "new\n");
            assert_eq!(code, 1, "{command:?}");
            let places =
                places.replace("more.ini", &dir.path().join("more.ini").to_string_lossy());
            let said = format!("[user:bob] occurs 2 times, at {places}; nothing was changed");
            assert!(err.contains(&said), "{err}");
            assert_eq!(
                (text(dir.path(), "ftpd.ini"), text(dir.path(), "more.ini").as_str()),
                (ini.clone(), more)
            );
        }
    }
}

#[test]
fn the_first_user_of_a_users_file_makes_it() {
    let dir = folder("[server]\nusers_file = new.ini\n");
    let arguments = ["adduser", "anna", "--home", "home"];
    let (code, _, err) = run_with(dir.path(), &arguments, "one\n");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(text(dir.path(), "new.ini").starts_with("[user:anna]\npassword = $argon2id$"));
    assert_eq!(run(&["check"], dir.path()).0, 0);
}

#[test]
fn adduser_checks_all_before_it_asks_and_changes_nothing_otherwise() {
    let ini = section("bob", "x") + "[user:bad]\npassword = x\n";
    let dir = folder(&ini);
    for (arguments, code, said) in [
        (&["adduser", "bob", "--home", "home"][..], 1, "ftpd.ini has [user:bob] already"),
        (&["adduser", "otto", "--home", "nowhere"], 1, "nowhere does not exist; --create-home"),
        (&["adduser", "otto", "--home", "ftpd.ini"], 1, "ftpd.ini is not a directory"),
        (&["adduser", "otto", "--home", "a\nb"], 1, "must be text without line breaks"),
        (&["adduser", "otto", "--home", "home", "--perm", "elx"], 2, "'x' is not a permission"),
        (&["adduser", "otto"], 2, "expected a name and --home DIR"),
        (&["adduser", "--home", "home"], 2, "expected a name"),
        (&["adduser", " otto", "--home", "home"], 2, "the name of a user must be text"),
        (&["adduser", "ot]to", "--home", "home"], 2, "the name of a user must be text"),
        (&["adduser", "ot\nto", "--home", "home"], 2, "the name of a user must be text"),
        (&["adduser", "../x", "--home", "home"], 2, "the name of a user must be text"),
        (&["deluser"], 2, "expected a user"),
        (&["deluser", "Bob"], 1, "ftpd.ini has no [user:Bob]"),
        (&["deluser", "bob", "x"], 2, "unexpected argument"),
    ] {
        let (found, out, err) = run_with(dir.path(), arguments, "y\n");
        assert_eq!((found, out.as_str()), (code, ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
        assert_eq!(text(dir.path(), "ftpd.ini"), ini);
    }
    // the fault that is there already is no obstacle
    let (code, _, err) = run_with(dir.path(), &["adduser", "otto", "--home", "home"], "y\n");
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn a_change_that_would_be_a_fault_is_not_made() {
    let ini = section("bob", "x");
    let dir = folder(&ini);
    // nobody could log in any more
    let (code, out, err) = run(&["deluser", "bob"], dir.path());
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("no '[user:NAME]' section") && err.contains("nothing was changed"),
        "{err}"
    );
    assert_eq!(text(dir.path(), "ftpd.ini"), ini);
    // a name that anonymous users have, and the home made for it goes again
    let ini = format!("[server]\nenable_anonymous = on\nanonymous_path = home\n{ini}");
    program::write(dir.path(), &ini);
    let arguments = ["adduser", "ftp", "--home", "new", "--create-home"];
    let (code, _, err) = run_with(dir.path(), &arguments, "y\n");
    assert_eq!(code, 1);
    assert!(err.contains("is already the name of an anonymous user"), "{err}");
    assert_eq!(text(dir.path(), "ftpd.ini"), ini);
    assert!(!dir.path().join("new").exists());
}

#[test]
fn adduser_makes_a_file_in_the_directory_of_users_like_the_settings() {
    let dir = folder("[server]\nusers_file = users.d\n");
    fs::create_dir(dir.path().join("users.d")).unwrap();
    let ini = dir.path().join("ftpd.ini");
    fs::set_permissions(&ini, PermissionsExt::from_mode(0o640)).unwrap();
    for name in ["anna", "otto"] {
        let (code, _, err) = run_with(dir.path(), &["adduser", name, "--home", "home"], "y\n");
        assert_eq!((code, err.as_str()), (0, ""));
        let file = dir.path().join(format!("users.d/{name}.ini"));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
    let (code, out, _) = run(&["check"], dir.path());
    assert_eq!((code, out.as_str()), (0, "ftpd.ini: good, 2 users\n"));
    assert_eq!(run(&["deluser", "anna"], dir.path()).0, 0);
    assert_eq!(text(dir.path(), "users.d/anna.ini"), "");
    assert_eq!(run(&["check"], dir.path()).1, "ftpd.ini: good, 1 user\n");
}

#[test]
fn files_keep_their_owner() {
    let dir = folder(section("bob", "x"));
    let ini = dir.path().join("ftpd.ini");
    if chown(&ini, Some(65534), Some(65534)).is_err() {
        eprintln!("not tested: it takes root to give a file away");
        return;
    }
    assert_eq!(run_with(dir.path(), &["passwd", "bob", "--write"], "y\n").0, 0);
    let meta = ini.metadata().unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (65534, 65534, 0o600));
    let homes = dir.path().join("homes");
    fs::create_dir(&homes).unwrap();
    chown(&homes, Some(65534), Some(65534)).unwrap();
    let arguments = ["adduser", "anna", "--home", "homes/anna", "--create-home"];
    assert_eq!(run_with(dir.path(), &arguments, "y\n").0, 0);
    assert_eq!(homes.join("anna").metadata().unwrap().uid(), 65534);
}

#[test]
fn users_lists_who_may_log_in_and_the_last_logins() {
    let mut server = Server::setup()
        .server("max_download = 2M\nenable_anonymous = on\nanonymous_path = home")
        .section(&format!(
            "{}max_upload = 300K\nmax_per_user = 2\nallow_from = 127.0.0.0/8\nperm = elw\n",
            section("anna", BCRYPT)
        ))
        .section(&section("never", "x"))
        .start();
    let mut anna = Client::login(&server, "anna", "tops3cret");
    let (code, out, err) = run(&["users"], server.dir());
    assert_eq!((code, err.as_str()), (0, ""));
    let line = |out: &str, name: &str| {
        let line = out.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("{name}\n{out}")).to_owned()
    };
    let found = line(&out, "anna");
    for part in ["elw", " now ", "up 300.0 KiB/s, down 2.0 MiB/s, 2 sessions, from 127.0.0.0/8"]
    {
        assert!(found.contains(part), "{found}");
    }
    assert!(found.ends_with("/home") && !out.contains("$2b$"), "{out}");
    assert!(line(&out, "bob").contains("password in clear text"), "{out}");
    assert!(line(&out, "anonymous").contains("elr"), "{out}");
    anna.cmd("QUIT", 221);
    server.signal("TERM");
    server.wait_for_exit();
    let (_, out, err) = run(&["users"], server.dir());
    assert!(line(&out, "anna").contains(" 127.0.0.1 ") && err.is_empty(), "{out}{err}");
    let (_, out, _) = run(&["users", "--json"], server.dir());
    let list: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    let of = |name: &str| list.iter().find(|user| user["name"] == name).unwrap();
    assert_eq!(of("anna")["last_login"]["address"], "127.0.0.1");
    assert_eq!(
        (&of("anna")["password"], &of("bob")["password"]),
        (&"hash".into(), &"clear text".into())
    );
    assert_eq!(
        (&of("anna")["max_upload"], &of("anna")["perm"]),
        (&307_200.into(), &"elw".into())
    );
    assert!(of("never")["last_login"].is_null() && !out.contains("tops3cret"), "{out}");
    // the next server knows it as well
    server.start_again();
    Client::bob(&server).cmd("QUIT", 221);
    server.signal("TERM");
    server.wait_for_exit();
    let (_, out, _) = run(&["users"], server.dir());
    assert!(line(&out, "anna").contains(" 127.0.0.1 "), "{out}");
    assert!(line(&out, "bob").contains(" 127.0.0.1 "), "{out}");
}

// import

/// Imports a file into `ftpd.ini` of its folder. Returns the exit code and standard error.
fn import(dir: &Path, text: &str) -> (i32, String) {
    write(dir, "old", text);
    let (code, out, err) = run(&["import", "old"], dir);
    assert!(out.starts_with("; Made by 'ftpd import' of a "), "{out}{err}");
    program::write(dir, out);
    (code, err)
}

#[test]
fn users_of_other_servers_log_in_after_an_import() {
    let dir = folder("");
    let home = dir.path().join("home").display().to_string();
    let imports = [
        (
            format!("# user password permission home\nanna \"se;cret\" elw {home}\n"),
            "\"se;cret\"",
            false,
        ),
        (
            format!("anna:{BCRYPT}:500:101:Anna:{home}/./:307200::::2:::::127.0.0.0/8:::\n"),
            "tops3cret",
            true,
        ),
        (format!("anna:{BCRYPT}:500:101:Anna:{home}:/bin/false\n"), "tops3cret", true),
    ];
    for (old, password, may_delete) in imports {
        assert_eq!(import(dir.path(), &old), (0, String::new()));
        assert_eq!(check(dir.path()), (0, vec![]));
        let server = Server::setup().section(&text(dir.path(), "ftpd.ini")).start();
        let mut anna = Client::login(&server, "anna", password);
        anna.upload("STOR x", b"x");
        anna.cmd("DELE x", if may_delete { 250 } else { 550 });
    }
}

#[test]
fn a_place_to_start_in_below_a_root_becomes_the_home_and_the_root_is_told() {
    let dir = folder("");
    import(dir.path(), &format!("anna:{BCRYPT}:500:101::/srv/b/./sub::::::::::::\n"));
    let new = text(dir.path(), "ftpd.ini");
    assert!(new.contains("home = /srv/b/sub\n"), "{new}");
    assert!(new.contains("root /srv/b, with another start directory below it"), "{new}");
}

#[test]
fn what_an_import_leaves_out_is_reported_by_line_and_the_rest_is_good() {
    let dir = folder("");
    let home = dir.path().join("home").display().to_string();
    let (code, err) = import(
        dir.path(),
        &format!("a x elr {home}\nb y\nc $1$salt$tops3cret elr {home}\nd z q {home}\n"),
    );
    assert_eq!(code, 1);
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(
        lines,
        [
            "old:2: expected four columns: user, password, permission, home; left out",
            "old:3: c, whose password is a hash of an unknown kind; left out",
            "old:4: 'q' is not a permission letter; left out",
        ]
    );
    assert_eq!(check(dir.path()), (0, vec![]));
    for (arguments, code, said) in [
        (&["import"][..], 2, "expected a file"),
        (&["import", "nowhere"], 1, "nowhere: No such file"),
        (&["import", "ftpd.ini"], 1, "ftpd.ini is none of these: a user.conf of pyftpdlib's"),
        (&["import", "old", "old"], 2, "unexpected argument"),
    ] {
        let (found, out, err) = run(arguments, dir.path());
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.contains(said), "{err}");
    }
}

#[test]
fn a_user_of_pure_ftpd_with_a_ratio_is_left_out_and_one_with_a_quota_keeps_it() {
    let dir = folder("");
    let home = dir.path().join("home").display().to_string();
    let (code, err) = import(
        dir.path(),
        &format!(
            "a:{BCRYPT}:500:101::{home}/./:::1:5::::::::\n\
             b:{BCRYPT}:500:101::{home}/./::::::100:::::::\n\
             c:{BCRYPT}:500:101::{home}/./:::::::1048576::::::\n\
             d:{}:500:101::{home}/./:::0:0::0:0::::::\n",
            OF_PURE_PW[0],
        ),
    );
    assert_eq!((code, err.lines().count()), (1, 1), "{err}");
    assert!(err.contains("old:1: ") && err.contains("upload ratio, download ratio"), "{err}");
    let (code, found) = check(dir.path());
    // the hash of the one who is left takes its time
    assert_eq!((code, found.len()), (0, 1), "{found:?}");
    let ini = text(dir.path(), "ftpd.ini");
    assert_eq!(ini.lines().filter(|line| line.starts_with("[user:")).count(), 3, "{ini}");
    assert!(ini.contains("quota_files = 100\n") && ini.contains("quota_bytes = 1048576\n"));
}

#[test]
fn an_imported_vsftpd_conf_passes_the_check_as_it_is() {
    let dir = folder("");
    let conf = "listen=NO\nlisten_ipv6=YES\nanonymous_enable=NO\nlocal_enable=YES\n\
        dirmessage_enable=YES\nuse_localtime=YES\nxferlog_enable=YES\nconnect_from_port_20=YES\n\
        secure_chroot_dir=/var/run/vsftpd/empty\npam_service_name=vsftpd\nssl_enable=NO\n\
        rsa_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem\n";
    let home = dir.path().join("home").display().to_string();
    for more in [
        String::new(),
        format!("local_root={home}\n"),
        format!("local_root={home}/%u\nuser_sub_token=%u\nguest_enable=YES\n"),
        format!("anonymous_enable=YES\nanon_root={home}\n"),
    ] {
        let conf = format!("{conf}{more}");
        assert_eq!(import(dir.path(), &conf), (0, String::new()), "{more}");
        assert_eq!(check(dir.path()), (0, vec![]), "{more}");
        // the user that serves as an example has a password that nobody knows
        let ini = text(dir.path(), "ftpd.ini");
        let users = &ini[ini.find("[user:").unwrap()..];
        let server = Server::setup().section(users).start();
        let mut client = Client::connect(&server);
        client.cmd("USER nobody-yet", 331);
        client.cmd("PASS x", 530);
    }
}

#[test]
fn an_imported_anonymous_server_is_no_more_open_than_vsftpd() {
    let dir = folder("");
    let home = dir.path().join("home");
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(&home, PermissionsExt::from_mode(0o777)).unwrap();
    for (name, mode) in [("public", 0o644), ("secret", 0o600), ("group", 0o640)] {
        fs::write(home.join(name), "text").unwrap();
        fs::set_permissions(home.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let launching = if is_root { "" } else { "run_as_launching_user=YES\n" };
    let conf = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port=0\nanonymous_enable=YES\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_root={}\npasv_min_port=10000\n\
         pasv_max_port=32000\n{launching}",
        home.display()
    );
    assert_eq!(import(dir.path(), &conf), (0, String::new()));
    assert_eq!(check(dir.path()), (0, vec![]));
    let mut program = program::Program::start_in(dir, &[]);
    let address = program.address("stderr");
    let mut client = program::log_in(address, "anonymous", "x@");
    client.cmd("TYPE I", 200);
    assert_eq!(client.download("RETR public"), b"text");
    client.upload("STOR new", b"new");
    for (command, code) in [
        ("RETR secret", 550),
        ("RETR group", 550),
        ("RETR new", 550),
        ("STOR public", 553),
        ("APPE public", 550),
        ("STOR new", 553),
        ("DELE new", 550),
        ("RNFR new", 550),
        ("MKD x", 550),
        ("SITE CHMOD 644 new", 550),
    ] {
        client.passive();
        client.cmd(command, code);
    }
    let meta = fs::metadata(home.join("new")).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.len()), (0o600, 3));
    assert!(!is_root || meta.uid() != 0, "the server was root");
}

#[test]
fn the_tutorials_two_files_become_one_server() {
    let dir = folder("");
    let home = dir.path().join("home").display().to_string();
    write(
        dir.path(),
        "settings.py",
        "ip = '127.0.0.1'\nport = '0'\nmax_upload = 300 * 1024\nmax_download = 2 * 1024 * 1024\n\
         max_cons = 150\nmax_per_ip = 10\npassive_ports = (10000, 32000)\n\
         enable_anonymous = 'off'\nenable_logging = 'on'\nloging_name = 'pyftp.log'\n\
         welcome_msg = 'Welcome to my ftp'\n",
    );
    write(
        dir.path(),
        "user.py",
        &format!("# user password perm home\nhuang 12345 elr {home}\n"),
    );
    for files in [["settings.py", "user.py"], ["user.py", "settings.py"]] {
        let (code, out, err) = run(&["import", files[0], files[1]], dir.path());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        program::write(dir.path(), &out);
        assert_eq!(check(dir.path()), (0, vec![]));
    }
    let (code, _, err) = run(&["import", "settings.py", "settings.py"], dir.path());
    assert!(code == 2 && err.contains("unexpected argument"), "{err}");
    let mut program = program::Program::start_in(dir, &[]);
    let address = program.address("pyftp.log");
    let mut client = Client::silent(address);
    assert_eq!(client.expect(220), "220 Welcome to my ftp");
    client.cmd("USER huang", 331);
    client.cmd("PASS 12345", 230);
    client.cmd("MKD x", 550);
}

/// A folder with a unit for systemd that starts a server of these settings, for
/// `SYSTEMD_UNIT_PATH`.
fn unit(dir: &Path, user: &str) -> String {
    let folder = dir.join("units");
    fs::create_dir_all(folder.join("ftpd.service.d")).unwrap();
    let text = include_str!("../../etc/ftpd.service");
    let text = text.replace("/etc/ftpd.ini", dir.join("ftpd.ini").to_str().unwrap());
    let text = text.replace("User=ftpd", &format!("User={user}")).replace("Group=ftpd", "");
    // the folders of tests lie there
    let text = text.replace("PrivateTmp=yes", "");
    fs::write(folder.join("ftpd.service"), text).unwrap();
    folder.to_str().unwrap().to_owned()
}

fn run_by(dir: &Path, units: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(arguments)
        .current_dir(dir)
        .env("SYSTEMD_UNIT_PATH", units)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a process that needs no answer may be gone
    let _ = child.stdin.take().unwrap().write_all(b"secret\n");
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_root_makes_belongs_to_the_user_of_the_settings_or_else_of_the_unit() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let owner = |path: &Path| fs::metadata(path).unwrap().uid();
    // no user yet, which is a fault as long as there is none
    let dir = folder("[server]\nbefore_publish = /bin/true\nquarantine = apart\n");
    let units = unit(dir.path(), "nobody");
    let add = |name: &str| {
        let words = ["adduser", name, "--home", name, "--create-home", "--perm", "elw"];
        run_by(dir.path(), &units, &words)
    };
    let (code, out, err) = add("first");
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(owner(&dir.path().join("first")), NOBODY);
    let line = format!("[Service] ReadWritePaths={}", dir.path().join("first").display());
    assert!(
        err.contains("does not let the server write there") && err.contains(&line),
        "{err}"
    );
    let (code, _, err) = run_by(dir.path(), &units, &["check"]);
    assert!(code == 0 && err.contains("[user:first] home ") && err.contains(&line), "{err}");
    let line = format!("[Service] ReadWritePaths={}/apart", dir.path().display());
    assert!(err.contains("quarantine ") && err.contains(&line), "{err}");
    // a drop-in is a cure
    let more = format!("[Service]\nReadWritePaths={}\n", dir.path().display());
    fs::write(dir.path().join("units/ftpd.service.d/homes.conf"), more).unwrap();
    let (code, _, err) = run_by(dir.path(), &units, &["check"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, _, err) = add("second");
    assert_eq!(err, "");
    // the settings go first
    let text = fs::read_to_string(dir.path().join("ftpd.ini")).unwrap();
    fs::write(
        dir.path().join("ftpd.ini"),
        text.replace("[server]\n", "[server]\nuser = daemon\n"),
    )
    .unwrap();
    assert_eq!(add("third").0, 0);
    let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap().uid.as_raw();
    assert_eq!(owner(&dir.path().join("third")), daemon);
    // a unit of other settings says nothing
    let other = folder("[server]\n");
    let words = ["adduser", "x", "--home", "x", "--create-home", "--perm", "elw"];
    let (code, _, err) = run_by(other.path(), &units, &words);
    assert_eq!((code, err.as_str(), owner(&other.path().join("x"))), (0, "", 0));
}

#[test]
fn a_certificate_that_root_makes_belongs_to_the_server_s_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = folder(format!("[server]\ntls_cert = auto\n{}", program::BOB));
    let units = unit(dir.path(), "nobody");
    let (code, out, err) = run_by(dir.path(), &units, &["cert"]);
    assert_eq!(code, 0, "{out}{err}");
    for name in ["ftpd-tls", "ftpd-tls/cert.pem", "ftpd-tls/key.pem"] {
        assert_eq!(fs::metadata(dir.path().join(name)).unwrap().uid(), 65534, "{name}");
    }
}

#[test]
fn settings_that_are_a_mount_of_their_own_are_written_in_place() {
    let dir = folder(section("bob", "old"));
    let (real, ini) = (dir.path().join("real.ini"), dir.path().join("ftpd.ini"));
    fs::copy(&ini, &real).unwrap();
    let status = Command::new("mount").arg("--bind").arg(&real).arg(&ini).status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("not tested: this user may not mount");
        return;
    }
    let id = fs::metadata(&real).unwrap().ino();
    let (code, out, err) = run_with(dir.path(), &["passwd", "bob", "--write"], "new\n");
    let words = ["adduser", "ann", "--home", "home", "--perm", "elw"];
    let added = run_with(dir.path(), &words, "x\n");
    let removed = run_with(dir.path(), &["deluser", "ann"], "");
    let _ = Command::new("umount").arg("-l").arg(&ini).status();
    assert_eq!((code, added.0, removed.0), (0, 0, 0), "{out}{err}{added:?}{removed:?}");
    assert_eq!(fs::metadata(&real).unwrap().ino(), id);
    let text = fs::read_to_string(&real).unwrap();
    assert!(text.contains("password = $argon2id$") && !text.contains("ann"), "{text}");
    assert!(!text.contains("\n\n\n") && text.ends_with('\n'), "{text}");
    // and no other file is left beside it
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_str().unwrap().starts_with(".ftpd-")));
}

#[test]
fn top_scrolls_and_ends_with_q_and_gives_the_terminal_back() {
    let server = Server::start();
    let Some(mut typist) = Typist::start(server.dir(), "top") else { return };
    typist.answer("ADDRESS (* TLS)", "j");
    typist.answer("q quit", "q");
    let said = typist.end();
    assert!(said.contains("code=0") && said.contains(" echo "), "{said}");
}

#[test]
fn top_sorts_and_ends_the_session_whose_number_is_typed() {
    let server = Server::start();
    let (mut first, mut second) = (Client::bob(&server), Client::bob(&server));
    let Some(mut typist) = Typist::start(server.dir(), "top") else { return };
    typist.answer("q quit", "i");
    typist.answer("IDv", "x");
    // Escape arrives together with what follows it, as over a slow line
    typist.answer("session to end: _", "9\x1b");
    typist.answer("IDvUSER", "i");
    typist.answer("ID^", "x");
    typist.answer("session to end: _", "77\r");
    typist.answer("no session matches", "x2");
    typist.answer("session to end: 2_", "\r");
    typist.answer("1 session ended", "q");
    let said = typist.end();
    assert!(said.contains("code=0"), "{said}");
    second.expect(421);
    second.expect_close();
    first.cmd("NOOP", 200);
}
