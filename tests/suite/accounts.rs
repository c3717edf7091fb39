//! Hashed passwords, and the subcommands that look after users.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::program::{self, folder};
use crate::server::{Server, run};

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
    // beside them clear text does as before
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

/// Sends a password; how long the answer takes, beyond the penalty.
fn refusal(server: &Server, name: &str) -> Duration {
    let mut client = Client::connect(server);
    client.cmd(&format!("USER {name}"), 331);
    let asked = Instant::now();
    client.cmd("PASS wrong", 530);
    asked.elapsed().saturating_sub(Duration::from_millis(500))
}

#[test]
fn an_unknown_user_takes_as_long_as_a_known_one() {
    // bcrypt with a cost of 14 takes longer than the penalty, so that the check shows
    let slow = BCRYPT.replace("$2b$04$", "$2b$14$");
    let server = Server::setup().section(&section("slow", &slow)).start();
    let mut times = Vec::new();
    for name in ["slow", "nobody", "somebody", "bob"] {
        times.push((name, refusal(&server, name)));
    }
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
    server.wait_for_log("too many logins wait");
    // those that were given up cost nothing any more
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
    assert_eq!((code, lines.len()), (0, 2), "{err}");
    assert!(lines[0].starts_with("warning: ftpd.ini:5: [user:one] password: "), "{err}");
    assert!(lines[1].starts_with("warning: ftpd.ini:8: [user:two] password: "), "{err}");
    program::write(dir.path(), section("hashed", BCRYPT));
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(run(&["check"], dir.path()).2, "");
}
