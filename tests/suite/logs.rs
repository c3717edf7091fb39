//! The log and the transfer log.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::program::{BOB, Program, folder, log_in, start_unheard};
use crate::server::{PATIENCE, Server, eventually, pause, run};

fn start_logging(lines: &str, environment: &[(&str, &str)]) -> (Program, SocketAddr) {
    let ini = format!(
        "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\nlog_file = ftpd.log\n{lines}\n{BOB}perm = elradfmwMT\n"
    );
    let mut program = Program::start(&ini, environment);
    let address = program.address("ftpd.log");
    (program, address)
}

#[test]
fn a_log_file_is_appended_to_and_holds_all_of_it() {
    let (mut program, address) = start_logging("", &[]);
    log_in(address, "bob", "tops3cret").cmd("QUIT", 221);
    program.wait_for("ftpd.log", "ended after");
    assert_eq!(program.stop(), 0);
    assert_eq!(program.text("stderr"), "", "the log goes to the file alone");
    let first = program.text("ftpd.log");
    assert!(!first.contains("tops3cret"));
    let mode = fs::metadata(program.dir().join("ftpd.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "others cannot read it: {mode:o}");
    // a second start goes on behind the first
    let ini = fs::read(program.dir().join("ftpd.ini")).unwrap();
    let dir = folder(ini);
    fs::write(dir.path().join("ftpd.log"), &first).unwrap();
    let mut again = Program::start_in(dir, &[]);
    eventually("the second start is logged", || {
        again.text("ftpd.log").matches("users: 1").count() == 2
    });
    assert!(again.text("ftpd.log").starts_with(&first));
    assert_eq!(again.stop(), 0);
}

#[test]
fn a_log_file_that_was_moved_away_is_opened_anew() {
    let (mut program, address) = start_logging("transfer_log = xferlog", &[]);
    for file in ["ftpd.log", "xferlog"] {
        fs::rename(program.dir().join(file), program.dir().join(format!("{file}.1"))).unwrap();
    }
    let old = program.text("ftpd.log.1");
    // each round writes to both; sooner or later they look for their names
    let until = Instant::now() + PATIENCE;
    let mut client = log_in(address, "bob", "tops3cret");
    let mut rounds = 0;
    while program.text("ftpd.log").is_empty() || program.text("xferlog").is_empty() {
        assert!(Instant::now() < until);
        rounds += 1;
        client.upload(&format!("STOR f{rounds}"), b"x");
        pause();
    }
    program.wait_for("ftpd.log", &format!("f{rounds}\": 1 bytes"));
    // not a line is lost
    let both = program.text("ftpd.log.1") + &program.text("ftpd.log");
    assert!(both.starts_with(&old));
    let both_xfer = program.text("xferlog.1") + &program.text("xferlog");
    for round in 1..=rounds {
        assert_eq!(both.matches(&format!("/f{round}\": 1 bytes")).count(), 1, "{both}");
        assert_eq!(both_xfer.matches(&format!("/f{round} b _ i")).count(), 1, "{both_xfer}");
    }
}

#[test]
fn log_level_says_how_much_is_logged() {
    for (level, connects, failures) in
        [("error", false, false), ("warn", false, true), ("info", true, true)]
    {
        let (mut program, mut client) =
            start_unheard(&format!("log_file = ftpd.log\nlog_level = {level}\n"), &[]);
        client.cmd("USER bob", 331);
        client.cmd("PASS wrong", 530);
        client.cmd("QUIT", 221);
        assert_eq!(program.stop(), 0);
        let log = program.text("ftpd.log");
        assert_eq!(log.contains(" connected"), connects, "{level}\n{log}");
        assert_eq!(log.contains("login failed for 'bob'"), failures, "{level}\n{log}");
        assert_eq!(log.is_empty(), !failures, "{level}\n{log}");
    }
}

#[test]
fn rust_log_goes_before_log_level() {
    for (variable, connects, failures) in [
        ("warn", false, true),
        ("off", false, false),
        ("", true, true),
        ("ftpd=error", false, false),
    ] {
        let (mut program, mut client) =
            start_unheard("log_file = ftpd.log\nlog_level = info\n", &[("RUST_LOG", variable)]);
        client.cmd("USER bob", 331);
        client.cmd("PASS wrong", 530);
        client.cmd("QUIT", 221);
        assert_eq!(program.stop(), 0);
        let log = program.text("ftpd.log");
        assert_eq!(log.contains(" connected"), connects, "'{variable}'\n{log}");
        assert_eq!(log.contains("login failed"), failures, "'{variable}'\n{log}");
    }
    let (mut program, mut client) =
        start_unheard("log_file = ftpd.log\nlog_level = error\n", &[("RUST_LOG", "info")]);
    client.cmd("QUIT", 221);
    assert_eq!(program.stop(), 0);
    assert!(program.text("ftpd.log").contains(" connected"));
}

#[test]
fn without_enable_logging_nothing_is_logged_and_no_file_is_made() {
    let (mut program, mut client) =
        start_unheard("enable_logging = off\nlog_file = ftpd.log\n", &[]);
    client.upload("STOR f", b"x");
    client.cmd("RETR missing", 550);
    client.cmd("QUIT", 221);
    assert_eq!(program.stop(), 0);
    assert_eq!(program.text("stderr"), "");
    assert!(!program.dir().join("ftpd.log").exists());
    assert_eq!(fs::read(program.dir().join("home/f")).unwrap(), b"x");
}

#[test]
fn each_event_is_one_line_with_who_and_what() {
    let server = Server::start();
    server.put("old", "12345");
    let mut client = Client::bob(&server);
    let local = client.stream().local_addr().unwrap();
    client.upload("STOR new", b"abc");
    client.download("RETR old");
    client.cmd("RETR missing", 550);
    client.cmd("MKD dir", 257);
    client.cmd("RNFR new", 350);
    client.cmd("RNTO dir/new", 250);
    client.cmd("DELE dir/new", 250);
    client.cmd("RMD dir", 250);
    client.cmd("SITE CHMOD 600 old", 200);
    client.cmd("MFMT 20200102030405 old", 213);
    client.cmd("PASS tops3cret", 503);
    client.cmd("tops3cret", 500);
    client.cmd("QUIT", 221);
    server.wait_for_log("ended after");
    let log = server.log();
    let home = server.home();
    let home = home.display();
    let who = format!("{local} [bob] ");
    for (begin, parts) in [
        (format!("{local} connected"), vec![]),
        (format!("{who}logged in, home \"{home}\""), vec![]),
        (format!("{who}STOR \"{home}/new\": 3 bytes in "), vec![" s, ", " KiB/s, complete"]),
        (format!("{who}RETR \"{home}/old\": 5 bytes in "), vec![" s, ", " KiB/s, complete"]),
        (format!("{who}RETR \"{home}/missing\" refused: "), vec![]),
        (format!("{who}MKD \"{home}/dir\""), vec![]),
        (format!("{who}RNTO \"{home}/new\" -> \"{home}/dir/new\""), vec![]),
        (format!("{who}DELE \"{home}/dir/new\""), vec![]),
        (format!("{who}RMD \"{home}/dir\""), vec![]),
        (format!("{who}SITE CHMOD \"{home}/old\""), vec![]),
        (format!("{who}MFMT \"{home}/old\""), vec![]),
        (format!("{who}PASS refused: "), vec![]),
        (format!("{who}a line refused: Unknown command"), vec![]),
        (format!("{who}ended after "), vec![" s: QUIT"]),
    ] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&begin)).collect();
        assert_eq!(lines.len(), 1, "{begin}\n{log}");
        assert!(parts.iter().all(|part| lines[0].contains(part)), "{}", lines[0]);
    }
    assert!(!log.contains("tops3cret"), "{log}");
}

#[test]
fn refusals_name_the_permission_that_is_missing() {
    let server = Server::setup().user("perm = elr").start();
    let mut client = Client::bob(&server);
    client.cmd("MKD dir", 550);
    let line = server.wait_for_log("MKD ");
    let path = format!("MKD \"{}\" refused: ", server.home().join("dir").display());
    assert!(line.contains(&path) && line.contains("permission letter 'm'"), "{line}");
    assert!(!server.has("dir"));
}

#[test]
fn names_from_strangers_cannot_forge_a_line() {
    let server = Server::setup().server("enable_anonymous = on\nanonymous_path = home").start();
    let mut client = Client::bob(&server);
    let evil = b"a\x1b[2J\xfe\"\\ \xc2\x85b";
    for (verb, code) in [(&b"MKD "[..], 257), (b"RMD ", 250), (b"DELE ", 550)] {
        client.raw(&[verb, evil, b"\r\n"].concat());
        client.expect(code);
    }
    client.raw(b"USER x\x1b]0;owned\x07\xfe\r\n");
    client.expect(331);
    client.cmd("PASS x", 530);
    client.raw(b"NO\x1bSUCH\x07 thing\r\n");
    client.expect(500);
    client.cmd("QUIT", 221);
    server.wait_for_log("ended after");
    let log = server.log();
    for line in log.lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.starts_with("20") && line.contains("Z "), "{line:?}");
    }
    assert!(log.contains(r#"/a\x1b[2J\xfe\"\\ "#), "{log}");
    assert!(log.contains(r"login failed for 'x\x1b]0;owned\x07\xfe'"), "{log}");
    assert!(!log.contains('\u{fffd}'), "what is not UTF-8 is escaped");
}

// the transfer log

/// The fields of an xferlog line, the date as one.
fn fields(line: &str) -> Vec<String> {
    assert!(line.is_char_boundary(24) && line.as_bytes()[24] == b' ', "{line}");
    let (date, rest) = line.split_at(24);
    let words = rest.split(' ').skip(1).map(str::to_owned);
    let all: Vec<_> = std::iter::once(date.to_owned()).chain(words).collect();
    assert_eq!(all.len(), 14, "{line}");
    all
}

/// The transfer log, once it has this number of lines.
fn transfers(server: &Server, number: usize) -> String {
    let read = || fs::read_to_string(server.dir().join("xferlog")).unwrap();
    eventually("the transfers are logged", || read().matches('\n').count() >= number);
    read()
}

#[test]
fn the_transfer_log_has_a_line_for_each_transfer_that_others_can_read() {
    let server = Server::setup()
        .server("transfer_log = xferlog\nenable_anonymous = on\nanonymous_path = home\nanonymous_perm = elrw")
        .start();
    server.put("old file", "line\nline\n");
    let mut client = Client::bob(&server);
    client.upload("STOR a b", b"12345");
    client.download("RETR old file");
    client.upload("APPE a b", b"678");
    client.cmd("TYPE A", 200);
    client.download("RETR old file");
    client.lines("NLST");
    client.cmd("TYPE I", 200);
    client.cmd("RETR missing", 550);
    client.raw(b"STOR \x1b\xfe\r\n");
    client.expect(425);
    let mut guest = Client::login(&server, "anonymous", "me@example.org");
    guest.download("RETR old file");
    guest.cmd("QUIT", 221);
    client.cmd("QUIT", 221);
    let text = transfers(&server, 5);
    let lines: Vec<_> = text.lines().map(fields).collect();
    let home = server.home();
    let home = home.display();
    let expected = [
        ("5", format!("{home}/a_b"), "b", "i", "r", "bob"),
        ("10", format!("{home}/old_file"), "b", "o", "r", "bob"),
        ("3", format!("{home}/a_b"), "b", "i", "r", "bob"),
        ("12", format!("{home}/old_file"), "a", "o", "r", "bob"),
        ("10", format!("{home}/old_file"), "b", "o", "a", "anonymous"),
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, (bytes, path, kind, way, mode, user)) in lines.iter().zip(expected) {
        let [
            date,
            seconds,
            host,
            size,
            file,
            kind_,
            action,
            way_,
            mode_,
            user_,
            service,
            method,
            id,
            done,
        ] = &line[..]
        else {
            panic!("{text}")
        };
        // Sun Nov 22 13:34:20 2026
        let parts: Vec<_> = date.split_whitespace().collect();
        assert_eq!((parts.len(), parts[0].len(), parts[1].len()), (5, 3, 3), "{date}");
        assert!(parts[4].starts_with("20") && parts[3].len() == 8, "{date}");
        assert!(seconds.parse::<u64>().unwrap() < 60);
        assert_eq!((host.as_str(), size.as_str()), ("127.0.0.1", bytes));
        assert_eq!((file, kind_.as_str(), action.as_str()), (&path, kind, "_"));
        assert_eq!((way_.as_str(), mode_.as_str(), user_.as_str()), (way, mode, user));
        assert_eq!((service.as_str(), method.as_str(), id.as_str()), ("ftp", "0", "*"));
        assert_eq!(done, "c");
    }
}

#[test]
fn a_failed_transfer_is_marked_incomplete_in_the_transfer_log() {
    let server = Server::setup().server("transfer_log = xferlog\nmax_download = 64K").start();
    server.put("big", vec![b'x'; 4 << 20]);
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("RETR big", 150);
    data.read_exact(&mut [0; 1000]).unwrap();
    client.send("ABOR");
    client.expect(426);
    client.expect(226);
    let mut data = client.passive();
    client.cmd("STOR part\u{1b}\"x", 150);
    data.write_all(b"12345").unwrap();
    while !client.cmd("STAT", 211).contains(" 5 bytes") {}
    client.send("ABOR");
    client.expect(426);
    client.expect(226);
    client.cmd("QUIT", 221);
    let text = transfers(&server, 2);
    let lines: Vec<_> = text.lines().map(fields).collect();
    assert_eq!(lines.len(), 2, "{text}");
    let sent: u64 = lines[0][3].parse().unwrap();
    assert!((1000..4 << 20).contains(&sent), "{text}");
    assert_eq!((lines[0][7].as_str(), lines[0][13].as_str()), ("o", "i"), "{text}");
    assert_eq!(lines[1][3], "5", "{text}");
    assert!(lines[1][4].ends_with("/part_\\\"x"), "{text}");
    assert_eq!((lines[1][7].as_str(), lines[1][13].as_str()), ("i", "i"), "{text}");
    let line = server.wait_for_log("RETR ");
    assert!(line.contains(&format!("{sent} bytes")) && line.contains("failed: "), "{line}");
    server.wait_for_log("STOR ");
}

/// A few events of all kinds.
fn make_events(server: &Server) {
    let mut client = Client::connect(server);
    client.cmd("USER bob", 331);
    client.cmd("PASS wr0ng", 530);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("TYPE I", 200);
    client.upload("STOR a \"b\"", b"12345");
    client.cmd("RNFR a \"b\"", 350);
    client.cmd("RNTO \u{1b}[2J\u{2028}", 250);
    client.tell(b"MKD d\xff", 257);
    client.cmd("RETR nowhere", 550);
    client.cmd("QUIT", 221);
    server.wait_for_log("QUIT");
}

/// A server whose log goes to what it has open, by this name.
fn to_descriptor(name: &str, link: bool) {
    let key = if link { "log" } else { name };
    let dir = folder(format!("[server]\nip = 127.0.0.1\nport = 0\nlog_file = {key}\n{BOB}"));
    if link {
        std::os::unix::fs::symlink(name, dir.path().join("log")).unwrap();
    }
    let (code, _, err) = crate::server::run(&["check"], dir.path());
    assert_eq!(code, 0, "{err}");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "exec \"$@\" 3>&1", "sh", env!("CARGO_BIN_EXE_ftpd")]);
    command.current_dir(dir.path()).env_remove("RUST_LOG");
    let piped = std::process::Stdio::piped;
    let mut child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let of_log: Box<dyn std::io::Read> = if name.ends_with('2') || name.ends_with("stderr") {
        Box::new(err)
    } else {
        Box::new(out)
    };
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(of_log));
    let started = lines.find(|line| line.as_ref().unwrap().contains("starting FTP server"));
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success()
    );
    assert!(started.is_some());
    let rest = lines.map(Result::unwrap).collect::<Vec<_>>().join("\n");
    assert!(child.wait().unwrap().success());
    assert!(rest.contains("shutting down"), "{rest}");
}

#[test]
fn the_log_may_go_to_an_open_descriptor() {
    for name in ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1"] {
        for link in [false, true] {
            to_descriptor(name, link);
        }
    }
    to_descriptor("/dev/fd/3", false);
}

#[test]
fn in_json_each_line_is_an_object_with_all_that_the_text_says() {
    let server = Server::setup().server("log_format = json").start();
    make_events(&server);
    let log = server.log();
    assert!(!log.contains("secret") && !log.contains("wr0ng"), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let one = |event: &str| {
        let found = lines.iter().find(|line| line["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} in\n{log}"))
    };
    for line in &lines {
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(["info", "warn"].contains(&line["level"].as_str().unwrap()), "{line}");
    }
    assert!(one("message")["text"].as_str().unwrap().contains("is in clear text"));
    assert_eq!(one("connected")["peer"], "127.0.0.1");
    let failed = one("login_failed");
    assert_eq!((&failed["name"], &failed["why"]), (&"bob".into(), &"wrong password".into()));
    assert_eq!(failed["level"], "warn");
    assert_eq!(one("logged_in")["path"].as_str().unwrap(), server.home().to_str().unwrap());
    let upload = one("transfer");
    assert_eq!((&upload["command"], &upload["user"]), (&"STOR".into(), &"bob".into()));
    assert_eq!((&upload["bytes"], &upload["result"]), (&5.into(), &"complete".into()));
    assert!(upload["seconds"].as_f64().is_some());
    assert!(upload["path"].as_str().unwrap().ends_with("/a \"b\""));
    let renamed = one("renamed");
    assert!(renamed["from"].as_str().unwrap().ends_with("/a \"b\""));
    assert!(renamed["path"].as_str().unwrap().ends_with("/\u{1b}[2J\u{2028}"));
    assert!(one("changed")["path_hex"].as_str().unwrap().ends_with("64ff"));
    let refused = one("refused");
    assert_eq!((&refused["command"], &refused["user"]), (&"RETR".into(), &"bob".into()));
    assert!(refused["path"].as_str().unwrap().ends_with("/nowhere") && refused["why"] != "");
    let ended = one("ended");
    assert_eq!(ended["why"], "QUIT");
    assert!(ended["seconds"].as_f64().is_some());
}

#[test]
fn json_escapes_what_text_escapes() {
    // controls of C0 and C1, marks of direction, letters without a width, ends of lines, a tag
    let odd = "\u{1b}\u{7f}\u{9b}\u{85}\u{202e}\u{2066}\u{200b}\u{feff}\u{ad}\u{2028}\u{e0041}";
    for form in ["text", "json"] {
        let server = Server::setup().server(&format!("log_format = {form}")).start();
        let mut client = Client::bob(&server);
        client.raw(format!("MKD {odd}\r\n").as_bytes());
        client.expect(257);
        client.raw(format!("USER {odd}\r\n").as_bytes());
        client.expect(331);
        client.cmd("PASS wrong", 530);
        client.cmd("QUIT", 221);
        server.wait_for_log("QUIT");
        let log = server.log();
        let raw = log.chars().find(|&letter| letter != '\n' && odd.contains(letter));
        assert_eq!(raw, None, "{form}\n{log}");
        for line in log.lines().filter(|_| form == "json") {
            let line: Value = serde_json::from_str(line).unwrap();
            if line["event"] == "login_failed" {
                assert_eq!(line["name"], odd);
            }
        }
    }
}

#[test]
fn the_form_changes_with_a_reload() {
    let server = Server::setup().server("log_format = text").start();
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("= text", "= json")).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    server.wait_for_log(r#""event":"message","text":"settings reloaded"#);
    drop(Client::connect(&server));
    server.wait_for_log(r#""event":"connected""#);
    fs::write(&file, text).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    Client::bob(&server).cmd("NOOP", 200);
    server.wait_for_log("[bob] logged in");
}

fn received(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

fn wait_for_datagram(socket: &UnixDatagram, wanted: &str) -> String {
    loop {
        let line = received(socket);
        if line.contains(wanted) {
            return line;
        }
    }
}

fn bind(path: &std::path::Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn the_system_log_gets_a_datagram_for_each_line_and_may_go_and_come() {
    let server = Server::setup().start();
    let (file, path) = (server.dir().join("ftpd.ini"), server.dir().join("log.sock"));
    let text = fs::read_to_string(&file).unwrap();
    let settings = |more: &str| {
        let text = text
            .replace("[server]\n", &format!("[server]\nlog_file = syslog:log.sock\n{more}"));
        fs::write(&file, text).unwrap();
        assert_eq!(run(&["reload"], server.dir()).0, 0);
    };
    // there is none yet: nothing is lost
    settings("");
    let none = format!("no syslog at {}: ", path.display());
    assert!(server.wait_for_log(&none).ends_with("the log is written to standard error"));
    drop(Client::connect(&server));
    let line = server.wait_for_log(" connected");
    assert!(line.contains(&format!(" ftpd[{}]: 127.0.0.1:", server.pid())), "{line}");
    let socket = bind(&path);
    Client::bob(&server).cmd("QUIT", 221);
    let line = wait_for_datagram(&socket, "[bob] logged in");
    assert!(line.starts_with("<94>") && !line.ends_with('\n'), "{line}");
    assert!(line.contains(&format!(" ftpd[{}]: 127.0.0.1:", server.pid())), "{line}");
    // its reader is started anew
    drop(socket);
    fs::remove_file(&path).unwrap();
    let socket = bind(&path);
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    client.cmd("PASS wr0ng", 530);
    assert!(wait_for_datagram(&socket, "login failed").starts_with("<92>"));
    settings("log_format = json\n");
    Client::bob(&server).cmd("QUIT", 221);
    let line = wait_for_datagram(&socket, r#""event":"logged_in""#);
    let object = line.split_once("]: ").unwrap().1;
    assert!(serde_json::from_str::<Value>(object).is_ok(), "{line}");
    server.wait_for_log("no syslog at");
    assert_eq!(server.log().matches("no syslog at").count(), 1, "{}", server.log());
}

#[test]
fn a_system_log_that_blocks_delays_no_session() {
    let server = Server::setup().start();
    let (file, path) = (server.dir().join("ftpd.ini"), server.dir().join("log.sock"));
    let socket = bind(&path);
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("[server]\n", "[server]\nlog_file = syslog:log.sock\n");
    fs::write(&file, text).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    // nobody reads, so its queue is full soon
    let mut client = Client::bob(&server);
    for _ in 0..2000 {
        client.cmd("SIZE nowhere", 550);
        if server.log().contains("no syslog at") {
            break;
        }
    }
    eventually("lines go to standard error", || server.log().contains("SIZE"));
    drop(socket);
}

#[test]
fn the_system_log_gets_every_line_of_many_sessions() {
    let dir = folder(format!(
        "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\nmax_per_ip = 0\nlog_file = syslog:log.sock\n{BOB}perm = elradfmwMT\n"
    ));
    let socket = bind(&dir.path().join("log.sock"));
    let mut program = Program::start_in(dir, &[]);
    let line = wait_for_datagram(&socket, ">>> starting FTP server on ");
    let address = line.split(" on ").nth(1).unwrap().split(',').next().unwrap();
    let address = address.parse().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = String::new();
        while !all.contains("shutting down") {
            all.push_str(&received(&socket));
            all.push('\n');
        }
        all
    });
    ask_at_once(address, 6, 300);
    assert_eq!(program.stop(), 0);
    assert_in_order(&reader.join().unwrap(), 6, 300);
    assert_eq!(program.text("stderr"), "");
}

#[test]
fn the_journal_is_told_the_level_and_not_the_time() {
    let dir = folder(format!(
        "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\n{BOB}"
    ));
    let file = dir.path().join("stderr");
    fs::write(&file, "").unwrap();
    let meta = fs::metadata(&file).unwrap();
    let stream = format!("{}:{}", meta.dev(), meta.ino());
    let mut program = Program::start_in(dir, &[("JOURNAL_STREAM", &stream)]);
    let address = program.address("stderr");
    let mut client = log_in(address, "bob", "tops3cret");
    client.cmd("USER bob", 331);
    client.cmd("PASS wr0ng", 530);
    let line = program.wait_for("stderr", "[bob] logged in");
    assert!(line.starts_with("<6>127.0.0.1:"), "{line}");
    let line = program.wait_for("stderr", "login failed");
    assert!(line.starts_with("<4>127.0.0.1:"), "{line}");
    assert_eq!(program.stop(), 0);
    assert!(program.text("stderr").lines().all(|line| line.starts_with('<')));
    // a stream that standard error is not, as where it was sent elsewhere
    let (mut program, _) = start_logging("log_format = text", &[("JOURNAL_STREAM", &stream)]);
    let line = program.wait_for("ftpd.log", "starting FTP server");
    assert!(!line.starts_with('<'), "{line}");
    assert_eq!(program.stop(), 0);
    let server = Server::setup().env("JOURNAL_STREAM", "1:1").start();
    assert!(!server.log().starts_with('<'));
}

#[test]
fn a_stranger_who_floods_the_log_is_muffled_and_counted() {
    let (mut program, address) = start_logging("max_per_ip = 0", &[]);
    let noise = b"NONSENSE\r\n".repeat(249);
    for _ in 0..8 {
        let mut client = Client::silent(address);
        client.expect(220);
        client.raw(&noise);
        (0..249).for_each(|_| drop(client.expect(500)));
        client.cmd("QUIT", 221);
        client.expect_close();
    }
    // what users do is told all the same, and a login that failed
    let mut bob = log_in(address, "bob", "tops3cret");
    bob.cmd("DELE nothing", 550);
    bob.cmd("QUIT", 221);
    let mut guesser = Client::silent(address);
    guesser.expect(220);
    guesser.cmd("USER guessed", 331);
    guesser.cmd("PASS wrong", 530);
    program.wait_for("ftpd.log", "login failed for 'guessed'");
    drop(guesser);
    assert_eq!(program.stop(), 0);
    let log = program.text("ftpd.log");
    let lines = log.lines().filter(|line| line.contains("127.0.0.1:")).count();
    assert!((100..1000).contains(&lines), "{lines} lines");
    for part in ["[bob] logged in", "[bob] DELE ", "[bob] ended"] {
        assert!(log.contains(part), "no {part} in\n{log}");
    }
    let unsaid: usize = log
        .lines()
        .filter_map(|line| line.split_once(" more log lines about clients from 127.0.0.1"))
        .map(|(before, _)| before.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
        .sum();
    let said = log.lines().filter(|line| line.contains("a line refused")).count();
    assert!(unsaid > 1000 && said + unsaid >= 8 * 249, "{said} and {unsaid} in\n{log}");
}

mod full_disks {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    use super::*;

    /// From now on no file of the server grows beyond this length.
    fn limit(program: &Program, length: Option<u64>) {
        let pid = Pid::from_raw(i32::try_from(program.child.id()).unwrap());
        let limit = Rlimit { current: length, maximum: None };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }

    fn length(program: &Program, file: &str) -> u64 {
        fs::metadata(program.dir().join(file)).unwrap().len()
    }

    #[test]
    fn no_line_of_the_transfer_log_is_torn_glued_or_lost() {
        let (mut program, address) =
            start_logging("transfer_log = xferlog\natomic_uploads = off", &[]);
        let mut client = log_in(address, "bob", "tops3cret");
        client.upload("STOR before", b"x");
        program.wait_for("xferlog", "/before ");
        limit(&program, Some(length(&program, "xferlog") + 20));
        for name in ["full", "fuller"] {
            client.upload(&format!("STOR {name}"), b"x");
        }
        eventually("the line is cut short", || !program.text("xferlog").ends_with('\n'));
        limit(&program, None);
        // it need not wait for another transfer
        program.wait_for("xferlog", "/fuller ");
        client.upload("STOR after", b"x");
        program.wait_for("xferlog", "/after ");
        let text = program.text("xferlog");
        let names = text.lines().map(|line| {
            assert!(line.ends_with(" b _ i r bob ftp 0 * c"), "{text}");
            line.split_ascii_whitespace().nth(8).unwrap().rsplit('/').next().unwrap()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["before", "full", "fuller", "after"]);
        program.wait_for("ftpd.log", "lines are kept and written when there is room");
    }

    #[test]
    fn no_line_of_a_json_log_is_torn_glued_or_lost() {
        let (mut program, address) = start_logging("log_format = json", &[]);
        log_in(address, "bob", "tops3cret").cmd("QUIT", 221);
        eventually("it is quiet", || program.text("ftpd.log").contains("\"ended\""));
        limit(&program, Some(length(&program, "ftpd.log") + 30));
        for _ in 0..3 {
            log_in(address, "bob", "tops3cret").cmd("QUIT", 221);
        }
        eventually("the line is cut short", || !program.text("ftpd.log").ends_with('\n'));
        limit(&program, None);
        let logged_in = |text: &str| text.matches("\"event\":\"logged_in\"").count();
        eventually("all is there", || logged_in(&program.text("ftpd.log")) == 4);
        program.wait_for("stderr", "lines are kept and written when there is room");
        assert_eq!(program.stop(), 0);
        for line in program.text("ftpd.log").lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn log_lines_that_do_not_fit_on_the_disk_are_counted() {
        let (mut program, address) = start_logging("transfer_log = xferlog", &[]);
        let mut client = log_in(address, "bob", "tops3cret");
        limit(&program, Some(0));
        let long = "d".repeat(200);
        for name in [&long, &format!("{long}/{long}"), &format!("{long}/{long}/{long}")] {
            client.cmd(&format!("MKD {name}"), 257);
        }
        client.cmd(&format!("CWD {long}/{long}/{long}"), 250);
        for _ in 0..400 {
            // an empty file is no longer than the limit
            client.upload("STOR empty", b"");
        }
        limit(&program, None);
        program.wait_for("ftpd.log", "lines were dropped: there was no room");
        for line in program.text("xferlog").lines() {
            assert!(line.ends_with(" b _ i r bob ftp 0 * c"), "{line}");
        }
    }

    #[test]
    fn a_line_that_an_earlier_server_has_cut_short_ends_there() {
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\nlog_file = ftpd.log\ntransfer_log = xferlog\n{BOB}perm = elradfmwMT\n"
        );
        let dir = folder(ini);
        for file in ["ftpd.log", "xferlog"] {
            fs::write(dir.path().join(file), "half a li").unwrap();
        }
        let mut program = Program::start_in(dir, &[]);
        let address = program.address("ftpd.log");
        log_in(address, "bob", "tops3cret").upload("STOR a", b"x");
        program.wait_for("xferlog", "/a ");
        for file in ["ftpd.log", "xferlog"] {
            let text = program.text(file);
            assert!(text.starts_with("half a li\n"), "{text}");
        }
    }
}

mod moved_folders {
    use super::*;

    fn moved(lines: &str) -> (Program, Client) {
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\nlog_file = logs/ftpd.log\ntransfer_log = logs/xferlog\n{lines}\n{BOB}perm = elradfmwMT\n"
        );
        let dir = folder(ini);
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mut program = Program::start_in(dir, &[]);
        let address = program.address("logs/ftpd.log");
        let client = log_in(address, "bob", "tops3cret");
        let logs = program.dir().join("logs");
        fs::rename(&logs, program.dir().join("old")).unwrap();
        fs::create_dir(&logs).unwrap();
        (program, client)
    }

    #[test]
    fn logs_go_on_in_a_folder_that_was_replaced() {
        let (program, mut client) = moved("sandbox = off");
        for file in ["logs/ftpd.log", "logs/xferlog"] {
            eventually("it is opened again", || {
                client.upload("STOR a", b"x");
                program.text(file).contains("/a")
            });
        }
    }

    #[test]
    fn it_is_said_when_they_cannot() {
        let (mut program, _client) = moved("sandbox = auto");
        if !program.text("old/ftpd.log").contains("sandbox: enforced") {
            return;
        }
        for key in ["log_file", "transfer_log"] {
            let line = program.wait_for("old/ftpd.log", &format!("{key} "));
            assert!(line.contains("cannot be opened again"), "{line}");
        }
        let line = program.wait_for("stderr", "log_file ");
        assert!(line.contains("by the sandbox"), "{line}");
    }
}

/// Many sessions, each of which asks for files that do not exist, numbered from 0.
fn ask_at_once(address: SocketAddr, sessions: usize, files: usize) {
    std::thread::scope(|scope| {
        for session in 0..sessions {
            scope.spawn(move || {
                let mut client = log_in(address, "bob", "tops3cret");
                for file in 0..files {
                    client.cmd(&format!("RETR s{session}-{file}"), 550);
                }
                client.cmd("QUIT", 221);
            });
        }
    });
}

/// Each session's files are in the log, once each and in order.
fn assert_in_order(log: &str, sessions: usize, files: usize) {
    for session in 0..sessions {
        let name = format!("/s{session}-");
        let lines = log.lines().filter(|line| line.contains("RETR \""));
        let numbers = lines.filter_map(|line| line.split_once(&name)?.1.split('"').next());
        let numbers: Vec<usize> = numbers.map(|number| number.parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..files), "{session}: {numbers:?}");
    }
}

#[test]
fn lines_of_many_sessions_are_whole_and_in_order() {
    let (mut program, address) =
        start_logging("max_per_ip = 0\ntransfer_log = ftpd.log\nlog_level = info", &[]);
    ask_at_once(address, 12, 200);
    let mut client = log_in(address, "bob", "tops3cret");
    client.upload("STOR last", b"x");
    assert_eq!(program.stop(), 0);
    let log = program.text("ftpd.log");
    assert_in_order(&log, 12, 200);
    let mut last = "";
    for line in log.lines() {
        let Some((time, rest)) = line.split_once("Z ") else {
            // the transfer log goes to the same file
            assert!(line.ends_with("/last b _ i r bob ftp 0 * c"), "{line}");
            continue;
        };
        assert_eq!(time.len(), "2026-11-28T12:00:00.000".len(), "{line}");
        assert!(time >= last && rest.starts_with(['I', 'W']), "{last} before {line}");
        last = time;
    }
    assert!(log.contains(" ftp 0 * c\n"), "{log}");
}

#[test]
fn every_ordered_end_writes_all_lines() {
    for how in ["INT", "TERM", "stop"] {
        let (mut program, address) = start_logging("transfer_log = xferlog", &[]);
        let mut client = log_in(address, "bob", "tops3cret");
        client.upload("STOR a", b"x");
        client.cmd("RETR missing", 550);
        if how == "stop" {
            assert_eq!(run(&["stop"], program.dir()).0, 0);
        } else {
            let id = program.child.id().to_string();
            let kill =
                std::process::Command::new("kill").args([&format!("-{how}"), &id]).status();
            assert!(kill.unwrap().success());
        }
        assert!(program.child.wait().unwrap().success(), "{how}");
        let log = program.text("ftpd.log");
        for part in ["/missing\" refused", "] ended after", "shutting down"] {
            assert!(log.contains(part), "{how}: no {part} in\n{log}");
        }
        assert!(program.text("xferlog").ends_with(" ftp 0 * c\n"), "{how}");
    }
}

#[test]
fn a_start_that_fails_has_written_its_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir =
        folder(format!("[server]\nip = 127.0.0.1\nport = {port}\nlog_file = ftpd.log\n{BOB}"));
    fs::set_permissions(dir.path().join("ftpd.ini"), PermissionsExt::from_mode(0o644)).unwrap();
    let (code, _, err) = run(&[], dir.path());
    assert_ne!(code, 0);
    assert!(err.contains(&port.to_string()), "{err}");
    let log = fs::read_to_string(dir.path().join("ftpd.log")).unwrap();
    assert!(log.contains("is in clear text") && log.ends_with('\n'), "{log}");
}

mod stalled_readers {
    use std::process::{Command, Stdio};
    use std::thread;

    use super::*;

    #[test]
    fn a_reader_that_has_stalled_holds_up_neither_kick_nor_the_end() {
        let (mut program, address, _stderr) = with_small_pipe("shutdown_grace = 1");
        fs::write(program.dir().join("home/big"), vec![b'x'; 64 << 20]).unwrap();
        // nobody reads on
        let mut client = log_in(address, "bob", "tops3cret");
        for _ in 0..100 {
            client.cmd("RETR missing", 550);
        }
        let passive = client.passive();
        client.cmd("RETR big", 150);
        let _other = log_in(address, "bob", "tops3cret");
        let asked = Instant::now();
        let (code, out, err) = run(&["kick", "2"], program.dir());
        assert_eq!(code, 0, "{out}{err}");
        let kicked = asked.elapsed();
        assert!(kicked < Duration::from_secs(3), "{kicked:?}");
        let asked = Instant::now();
        let id = program.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = program.child.wait().unwrap();
        assert!(status.success());
        assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
        drop((passive, client));
    }

    /// A server whose log goes to a pipe of 4 KiB, and the pipe.
    fn with_small_pipe(lines: &str) -> (Program, SocketAddr, impl std::io::BufRead + use<>) {
        let dir = folder(format!(
            "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\nmax_per_ip = 0\n{lines}\n{BOB}perm = elradfmwMT\n"
        ));
        let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .args(["--config", "ftpd.ini"])
            .current_dir(dir.path())
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        rustix::pipe::fcntl_setpipe_size(stderr.get_ref(), 4096).unwrap();
        let begin = ">>> starting FTP server on ";
        let mut line = String::new();
        while !line.contains(begin) {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut stderr, &mut line).unwrap() > 0);
        }
        let address = line.split(begin).nth(1).unwrap().split(',').next().unwrap();
        let address = address.parse().unwrap();
        (Program::of(child, dir), address, stderr)
    }

    #[test]
    fn what_a_stalled_reader_misses_is_counted_and_nobody_waits_for_it() {
        const FILES: usize = 1500;
        let (mut program, address, stderr) = with_small_pipe("transfer_log = xferlog");
        let mut client = log_in(address, "bob", "tops3cret");
        let long = "x".repeat(200);
        for file in 0..FILES {
            client.cmd(&format!("RETR {long}-{file}"), 550);
        }
        // the transfer log does not wait either
        client.upload("STOR a", b"x");
        program.wait_for("xferlog", "/a ");
        let lines = std::io::BufRead::lines(stderr);
        let (send, receive) = std::sync::mpsc::channel();
        let reader = thread::spawn(move || {
            for line in lines.map(Result::unwrap) {
                let _ = send.send(line);
            }
        });
        let (mut seen, mut dropped) = (0, None);
        while dropped.is_none() {
            let line: String = receive.recv_timeout(PATIENCE).unwrap();
            if line.contains(&long) {
                assert!(line.contains(&format!("-{seen}\" refused: ")), "{seen}: {line}");
                seen += 1;
            }
            if line.contains("lines were dropped") {
                let words: Vec<_> = line.split(' ').collect();
                let at = words.iter().position(|word| *word == "lines").unwrap();
                dropped = words[at - 1].parse::<usize>().ok();
            }
        }
        // and the line of the upload may be among them
        let lost = FILES - seen;
        assert!([lost, lost + 1].contains(&dropped.unwrap()), "{lost} of {dropped:?}");
        assert_eq!(program.stop(), 0);
        reader.join().unwrap();
        assert!(receive.iter().any(|line| line.contains("shutting down")));
    }

    #[test]
    fn a_slow_reader_gets_every_line() {
        let (mut program, address, stderr) = with_small_pipe("");
        let reader = thread::spawn(move || {
            let mut all = String::new();
            let mut lines = std::io::BufRead::lines(stderr);
            let mut number = 0;
            while let Some(Ok(line)) = lines.next() {
                all.push_str(&line);
                all.push('\n');
                number += 1;
                // a pause now and then, far shorter than the server's patience
                if number % 100 == 0 {
                    pause();
                }
            }
            all
        });
        ask_at_once(address, 4, 150);
        assert_eq!(program.stop(), 0);
        let log = reader.join().unwrap();
        assert_in_order(&log, 4, 150);
        assert!(!log.contains("dropped") && log.contains("shutting down"), "{log}");
    }

    #[test]
    fn the_server_stops_while_nobody_reads() {
        let (mut program, address, stderr) = with_small_pipe("shutdown_grace = 0");
        let mut client = log_in(address, "bob", "tops3cret");
        for _ in 0..200 {
            client.cmd("RETR missing", 550);
        }
        assert_eq!(program.stop(), 0);
        drop(stderr);
    }
}

#[test]
fn the_first_client_that_never_comes_to_its_port_makes_the_log_name_what_finds_out_why() {
    let server = Server::start();
    let mut bob = Client::bob(&server);
    for _ in 0..3 {
        bob.cmd("EPSV", 229);
    }
    bob.cmd("QUIT", 221);
    eventually("the third port is given up", || {
        server.log().matches("the client never connected to passive port").count() == 3
    });
    server.wait_for_log("run 'ftpd doctor' here and 'ftpd test' where the client is");
    let log = server.log();
    assert_eq!(log.matches("'ftpd doctor'").count(), 1, "{log}");
}
