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

/// Sends a wrong password many times at once; how long the last answer takes, beyond the penalty.
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
    // six of these, one after the other, take longer than the penalty, so that they show
    let slow = BCRYPT.replace("$2b$04$", "$2b$13$");
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
        format!("{one}:1: [server] only '[user:NAME]' sections may stand in users_file"),
        format!("{one}:4: [user:anna] password: is a hash of an unknown kind"),
        format!("{one}:5: [user:anna] home: 'nowhere' is not a directory"),
        format!("{one}:6: [user:anna] max_cons: belongs into [server]"),
        format!("{one}:7: [user:anna] expected '[section]', 'key = value' or a comment"),
        format!("{two}:1: [user:bob] stands already in ftpd.ini:4"),
        format!("{two}:4: [user:otto] tls_client: needs a tls_cert"),
        format!("{two}:8: [nonsense] only '[user:NAME]' sections may stand in users_file"),
        format!("{three}:1: [user:otto] stands already in {two}:4"),
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
    assert!(found[0].starts_with("ftpd.ini:2: [server] users_file: 'users' is not there"));
    // a directory in the place of a file of one
    fs::create_dir_all(dir.path().join("users/x.ini")).unwrap();
    let (code, found) = check(dir.path());
    assert_eq!((code, found.len()), (78, 1), "{found:?}");
    assert!(found[0].contains("users/x.ini: cannot be read"), "{found:?}");
    // one file does as well, and users in it alone
    program::write(dir.path(), "[server]\nusers_file = users\n");
    fs::remove_dir_all(dir.path().join("users")).unwrap();
    write(dir.path(), "users", &bob);
    assert_eq!(check(dir.path()), (0, vec![]));
    fs::set_permissions(dir.path().join("users"), PermissionsExt::from_mode(0o644)).unwrap();
    let (code, found) = check(dir.path());
    assert_eq!((code, found.len()), (0, 1));
    assert!(found[0].contains("users:2: [user:bob] password: clear text"), "{found:?}");
    write(dir.path(), "users", "");
    assert_eq!(check(dir.path()).0, 78, "nobody could log in");
}

// passwd

/// Runs the program with this as its standard input.
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
    assert_eq!(
        out,
        "ftpd.ini: the password of bob is set; 'ftpd reload' lets a running server know\n"
    );
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
        (&["passwd", "--write"], 2, "--write takes a user"),
        (&["passwd", "bob", "otto"], 2, "unexpected argument 'otto'"),
        (&["passwd", "--now"], 2, "invalid option '--now'"),
    ] {
        let (found, out, err) = run_with(dir.path(), arguments, "y\n");
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.contains(said), "{err}");
    }
    assert_eq!(text(dir.path(), "ftpd.ini"), ini);
}

/// The program on a terminal of its own: what it says, and a way to type.
struct Typist {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Typist {
    /// `None` where this system has no `script` to make a terminal.
    fn start(dir: &Path, arguments: &str) -> Option<Self> {
        let program = env!("CARGO_BIN_EXE_ftpd");
        // the shell gets the Ctrl-C too, and some end by it although the program has dealt with it
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

    /// All that was said, once the shell has told whether the terminal echoes.
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
    typist.answer("The same again: ", "tops3cret\r");
    let said = typist.end();
    assert!(said.contains("the password of bob is set") && said.contains("code=0"), "{said}");
    assert!(said.contains(" echo ") && !said.contains("tops3cret"), "{said}");
    assert!(text(dir.path(), "ftpd.ini").contains("password = $argon2id$"));
    let mut typist = Typist::start(dir.path(), "passwd").unwrap();
    typist.answer("Password: ", "one\r");
    typist.answer("The same again: ", "two\r");
    let said = typist.end();
    assert!(said.contains("these were two passwords") && said.contains("code=1"), "{said}");
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
    assert!(out.starts_with("ftpd.ini: [user:anna b] is there"), "{out}");
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
    assert!(out.contains("[user:anna b] is gone, with password, perm, home;"), "{out}");
    assert!(out.contains("/homes and all in it stay") && !out.contains("argon2"), "{out}");
    assert_eq!(text(dir, "ftpd.ini").trim_end(), before.trim_end());
    assert_eq!(run(&["reload"], dir).0, 0);
    anna.expect(421);
    assert!(dir.join("homes/x").is_file());
}

#[test]
fn who_stands_twice_is_left_alone_for_the_other_one_would_still_be_there() {
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
            let said = format!("[user:bob] stands 2 times, at {places}; nothing is changed");
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
        (&["adduser", "otto", "--home", "nowhere"], 1, "nowhere is not there; --create-home"),
        (&["adduser", "otto", "--home", "ftpd.ini"], 1, "ftpd.ini is not a directory"),
        (&["adduser", "otto", "--home", "a\nb"], 1, "no text of one line"),
        (&["adduser", "otto", "--home", "home", "--perm", "elx"], 2, "'x' is no permission"),
        (&["adduser", "otto"], 2, "expected a name and --home DIR"),
        (&["adduser", "--home", "home"], 2, "expected a name"),
        (&["adduser", " otto", "--home", "home"], 2, "a user's name"),
        (&["adduser", "ot]to", "--home", "home"], 2, "a user's name"),
        (&["adduser", "ot\nto", "--home", "home"], 2, "a user's name"),
        (&["adduser", "../x", "--home", "home"], 2, "a user's name"),
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
        err.contains("no '[user:NAME]' section") && err.contains("nothing is changed"),
        "{err}"
    );
    assert_eq!(text(dir.path(), "ftpd.ini"), ini);
    // a name that anonymous users have, and the home made for it goes again
    let ini = format!("[server]\nenable_anonymous = on\nanonymous_path = home\n{ini}");
    program::write(dir.path(), &ini);
    let arguments = ["adduser", "ftp", "--home", "new", "--create-home"];
    let (code, _, err) = run_with(dir.path(), &arguments, "y\n");
    assert_eq!(code, 1);
    assert!(err.contains("is an anonymous user already"), "{err}");
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
fn users_lists_who_may_log_in_and_who_was_here_last() {
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
    // the next server knows it, too
    server.start_again();
    Client::bob(&server).cmd("QUIT", 221);
    server.signal("TERM");
    server.wait_for_exit();
    let (_, out, _) = run(&["users"], server.dir());
    assert!(line(&out, "anna").contains(" 127.0.0.1 "), "{out}");
    assert!(line(&out, "bob").contains(" 127.0.0.1 "), "{out}");
}

// import

/// Imports a file into `ftpd.ini` of the same folder; the exit code and standard error.
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
            format!("anna:{BCRYPT}:500:101:Anna:{home}/./:307200::1:5:2:::::127.0.0.0/8:::\n"),
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
    assert!(new.contains("root /srv/b, with a place below it to start in"), "{new}");
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
            "old:4: 'q' is no permission letter; left out",
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
fn an_imported_vsftpd_conf_is_good_but_for_homes_that_are_not_there() {
    let dir = folder("");
    let conf = "listen=NO\nlisten_ipv6=YES\nanonymous_enable=NO\nlocal_enable=YES\n\
        dirmessage_enable=YES\nuse_localtime=YES\nxferlog_enable=YES\nconnect_from_port_20=YES\n\
        secure_chroot_dir=/var/run/vsftpd/empty\npam_service_name=vsftpd\nssl_enable=NO\n\
        rsa_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem\n";
    assert_eq!(import(dir.path(), conf), (0, String::new()));
    let (code, found) = check(dir.path());
    assert_eq!((code, found.len()), (78, 1), "{found:?}");
    assert!(found[0].contains("home: '/home/nobody-yet' is not a directory"), "{found:?}");
    let home = dir.path().join("home").display().to_string();
    assert_eq!(import(dir.path(), &format!("{conf}local_root={home}\n")), (0, String::new()));
    assert_eq!(check(dir.path()), (0, vec![]));
    // nobody knows a password for the user who stands there as an example
    let ini = text(dir.path(), "ftpd.ini");
    let users = &ini[ini.find("[user:").unwrap()..];
    let server = Server::setup().section(users).start();
    let mut client = Client::connect(&server);
    client.cmd("USER nobody-yet", 331);
    client.cmd("PASS x", 530);
}
