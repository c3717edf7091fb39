//! `ftpd test` against our own server in several setups, and against servers that misbehave by a
//! script.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::program::{BOB, Program, folder, write};
use crate::server::PATIENCE;
use crate::tls_client::{Authority, Pair};

/// Starts `ftpd test` without a terminal.
fn start(url: &str, options: &[&str], environment: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(["test", url])
        .args(options)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What `ftpd test --json` has found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) status: i32,
    pub(crate) report: Value,
}

impl Found {
    pub(crate) fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        Self { status: output.status.code().unwrap(), report }
    }

    fn at(url: &str, options: &[&str]) -> Self {
        let options = [options, &["--json"]].concat();
        Self::of(&start(url, &options, &[]).wait_with_output().unwrap())
    }

    pub(crate) fn checks(&self) -> impl Iterator<Item = &Value> {
        self.report["checks"].as_array().unwrap().iter()
    }

    /// The causes of the lines with this verdict.
    pub(crate) fn causes(&self, verdict: &str) -> Vec<&str> {
        let lines = self.checks().filter(|line| line["verdict"] == verdict);
        lines.map(|line| line["cause"].as_str().unwrap()).collect()
    }

    /// Checks what has failed, and the exit status, which counts it.
    pub(crate) fn fails_with(&self, wanted: &[&str]) {
        assert_eq!(self.causes("failed"), wanted, "{:#}", self.report);
        assert_eq!(self.status, i32::try_from(wanted.len()).unwrap());
        assert_eq!(self.report["failed"], wanted.len());
    }

    /// The text of the first line of a check.
    pub(crate) fn text(&self, check: &str) -> &str {
        let line = self.checks().find(|line| line["check"] == check);
        line.unwrap_or_else(|| panic!("no {check}: {:#}", self.report))["text"]
            .as_str()
            .unwrap()
    }
}

/// Our own server, with a user bob who may do everything.
fn own(lines: &str) -> (Program, SocketAddr) {
    let ini = format!(
        "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\n{lines}\n{BOB}perm = elradfmwMT\n"
    );
    let mut program = Program::start(&ini, &[]);
    let address = program.address("stderr");
    (program, address)
}

fn is_empty(program: &Program) -> bool {
    fs::read_dir(program.dir().join("home")).unwrap().count() == 0
}

#[test]
fn a_sound_server_passes_and_nothing_stays_behind() {
    let (program, address) = own("");
    let found = Found::at(&format!("ftp://bob:tops3cret@{address}/"), &["--active"]);
    found.fails_with(&[]);
    for (check, text) in [
        ("EPSV", "6 of 6"),
        ("PASV", "6 of 6"),
        ("active", "connects"),
        ("resume", "REST and STOR: 256.0 KiB"),
        ("download", "the same bytes"),
        ("cleanup", "removed ftpd-test-"),
    ] {
        assert!(found.text(check).contains(text), "{check}: {}", found.text(check));
    }
    assert!(is_empty(&program));
}

#[test]
fn tls_is_examined_and_resumed_where_that_is_required() {
    let lines = "tls_cert = auto\ntls_required = on\ntls_resume = require";
    let (program, address) = own(lines);
    let found = Found::at(&format!("ftpes://bob:tops3cret@{address}"), &[]);
    found.fails_with(&[]);
    assert!(found.text("TLS").starts_with("TLS 1.3"));
    assert!(found.causes("warning").contains(&"self_signed"), "{:#}", found.report);
    let texts: Vec<_> = found.checks().filter(|line| line["check"] == "TLS data").collect();
    assert!(texts[0]["text"].as_str().unwrap().contains("resume"), "{texts:?}");
    assert!(texts[1]["text"].as_str().unwrap().contains("are refused"), "{texts:?}");
    assert!(texts[1]["cures"].to_string().contains("tls_resume = prefer"), "{texts:?}");
    assert!(is_empty(&program));
    let plain = Found::at(&format!("ftp://bob:tops3cret@{address}"), &[]);
    plain.fails_with(&["tls_needed"]);
}

#[test]
fn the_certificate_is_checked_for_its_chain_and_name() {
    let certificate = |dir: &Path, file: &str| dir.join("ftpd-tls").join(file);
    let (program, address) = own("tls_cert = auto\ntls_required = on");
    let url = format!("ftpes://bob:tops3cret@{address}");
    let files = fs::read_dir(program.dir().join("ftpd-tls")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let is_certificate = |path: &PathBuf| {
        fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"))
    };
    let file = files.find(is_certificate).unwrap();
    let trusted = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let output = start(&url, &["--json", "--read-only"], &trusted).wait_with_output().unwrap();
    let found = Found::of(&output);
    found.fails_with(&[]);
    assert!(found.causes("warning").is_empty(), "{:#}", found.report);
    // names somebody else
    let authority = Authority::new();
    let issued = authority.issue("ftp.example.org");
    let own_key = rcgen::generate_simple_self_signed(["ftp.example.org".to_owned()]).unwrap();
    let own_pair =
        Pair { certificate: own_key.cert.pem(), key: own_key.signing_key.serialize_pem() };
    for (pair, failed, warnings) in [
        (issued, &["wrong_name"][..], &[][..]),
        // clients ask their users in any case
        (own_pair, &[], &["self_signed", "wrong_name"]),
    ] {
        let dir = folder("");
        fs::create_dir(dir.path().join("ftpd-tls")).unwrap();
        fs::write(certificate(dir.path(), "c.pem"), pair.certificate).unwrap();
        fs::write(certificate(dir.path(), "k.pem"), pair.key).unwrap();
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\n\
             tls_cert = ftpd-tls/c.pem\ntls_key = ftpd-tls/k.pem\n{BOB}perm = elradfmwMT\n"
        );
        write(dir.path(), ini);
        let mut program = Program::start_in(dir, &[]);
        let address = program.address("stderr");
        let url = format!("ftpes://bob:tops3cret@{address}");
        let file = authority.file();
        let trusted = [("SSL_CERT_FILE", file.to_str().unwrap())];
        let output = start(&url, &["--json"], &trusted).wait_with_output().unwrap();
        let found = Found::of(&output);
        found.fails_with(failed);
        assert_eq!(found.causes("warning"), warnings, "{:#}", found.report);
    }
}

#[test]
fn implicit_tls_is_told_from_plain_ftp_and_from_explicit_tls() {
    let (_program, address) = own("tls_cert = auto");
    let found = Found::at(&format!("ftps://bob:tops3cret@{address}"), &[]);
    found.fails_with(&["not_tls"]);
    assert!(found.report.to_string().contains("ftpes://"), "{:#}", found.report);
}

#[test]
fn a_user_who_may_only_read_is_tested_without_uploads() {
    let anonymous = "enable_anonymous = on\nanonymous_path = home\nanonymous_perm = elr";
    let (_program, address) = own(anonymous);
    let url = format!("ftp://{address}/");
    Found::at(&url, &[]).fails_with(&["upload_refused"]);
    Found::at(&url, &["--read-only"]).fails_with(&[]);
    let found = Found::at(&format!("ftp://{address}/nowhere/"), &[]);
    found.fails_with(&["no_directory"]);
}

#[test]
fn an_upload_in_a_directory_leaves_the_others_alone() {
    let (program, address) = own("");
    let inner = program.dir().join("home/a b");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("file"), "text").unwrap();
    Found::at(&format!("ftp://bob:tops3cret@{address}/a%20b/"), &[]).fails_with(&[]);
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    assert_eq!(fs::read(inner.join("file")).unwrap(), b"text");
}

#[test]
fn a_user_who_may_not_resume_or_remove_is_told_so() {
    let lines = "[user:ann]\npassword = x\nperm = elrw\nhome = home";
    let (program, address) = own(lines);
    let found = Found::at(&format!("ftp://ann:x@{address}"), &[]);
    let warnings = found.causes("warning");
    assert!(warnings.contains(&"not_removed"), "{:#}", found.report);
    assert!(found.report.to_string().contains("perm needs d"));
    assert_eq!(fs::read_dir(program.dir().join("home")).unwrap().count(), 1);
}

/// The files below a directory, also those that clients do not see.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn the_probe_file_is_followed_to_where_the_server_files_it() {
    for template in ["{year}/{month}/{name}", "{stem}/{user}/{ext}", "{day}-{name}"] {
        let lines = format!(
            "[user:ann]\npassword = x\nperm = elradfmw\nhome = home\nstore_as = {template}"
        );
        let (program, address) = own(&lines);
        fs::create_dir(program.dir().join("home/in")).unwrap();
        let found = Found::at(&format!("ftp://ann:x@{address}/in"), &[]);
        found.fails_with(&[]);
        assert_eq!(found.causes("warning"), [] as [&str; 0], "{:#}", found.report);
        assert!(found.text("resume").contains("REST and STOR: 256"), "{template}");
        assert!(found.text("download").contains("the same bytes"), "{template}");
        assert!(found.text("cleanup").contains("removed "), "{template}");
        assert_eq!(files_below(&program.dir().join("home")), [] as [PathBuf; 0], "{template}");
    }
}

#[test]
fn nothing_stays_behind_after_ctrl_c_wherever_the_server_files_uploads() {
    for key in [
        "",
        "store_as = {year}/{month}/{name}",
        "atomic_uploads = off\nstore_as = {user}/{name}",
    ] {
        let lines = format!(
            "[user:ann]\npassword = x\nperm = elradfmw\nhome = home\nmax_upload = 4K\n{key}"
        );
        let (program, address) = own(&lines);
        let home = program.dir().join("home");
        let child = start(&format!("ftp://ann:x@{address}"), &["--json"], &[]);
        crate::server::eventually("the upload begins", || !files_below(&home).is_empty());
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let found = Found::of(&child.wait_with_output().unwrap());
        assert_eq!(found.status, 130, "{:#}", found.report);
        let text = found.text("cleanup");
        let is_gone = text.contains("removed ") || text.contains("has kept nothing of ");
        assert!(is_gone, "{key}: {:#}", found.report);
        assert_eq!(files_below(&home), [] as [PathBuf; 0], "{key}: {:#}", found.report);
    }
}

#[test]
fn an_upload_for_which_there_is_no_room_is_told_from_one_that_is_not_allowed() {
    for (key, failed, warnings, cure) in [
        ("max_file_size = 100K", &["no_room"][..], &[][..], "max_file_size"),
        ("quota_bytes = 300K", &[], &["no_room"], "quota_bytes"),
        ("deny_names = *.tmp", &["name_refused"], &[], "deny_names"),
        ("overwrite = no", &[], &[], "overwrite"),
        ("perm = elr", &["upload_refused"], &[], "perm needs w"),
    ] {
        let perm = if key.starts_with("perm") { "" } else { "perm = elradfmw\n" };
        let lines = format!("[user:ann]\npassword = x\n{perm}home = home\n{key}");
        let (program, address) = own(&lines);
        let found = Found::at(&format!("ftp://ann:x@{address}"), &[]);
        found.fails_with(failed);
        assert_eq!(found.causes("warning"), warnings, "{:#}", found.report);
        let text = found.report.to_string();
        assert!(text.contains(cure), "{key}: {text}");
        assert_eq!(text.contains("perm needs"), key.starts_with("perm"), "{text}");
        assert!(is_empty(&program), "{key}");
    }
}

#[test]
fn a_wrong_masquerade_is_found_and_its_cure_named() {
    let (_program, address) = own("masquerade_address = 127.0.0.2");
    let found = Found::at(&format!("ftp://bob:tops3cret@{address}/"), &[]);
    found.fails_with(&["wrong_masquerade"]);
    assert!(found.text("PASV").contains("127.0.0.2"), "{}", found.text("PASV"));
    let text = found.report.to_string();
    assert!(text.contains("masquerade_address = 127.0.0.1"), "{text}");
    // it is recognized, so the settings of others are not named
    assert!(!text.contains("pasv_address"), "{text}");
}

#[test]
fn the_password_comes_from_a_file_or_standard_input_and_is_never_shown() {
    let (program, address) = own("");
    let file = program.dir().join("password");
    fs::write(&file, "tops3cret\nmore\n").unwrap();
    let url = format!("ftp://bob@{address}");
    let options = ["--password-file", file.to_str().unwrap()];
    let output = start(&url, &options, &[]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(["test", &url, "--read-only"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"tops3cret\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    for missing in ["nowhere/pass word", "."] {
        let output =
            start(&url, &["--password-file", missing], &[]).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("no password in {missing}: ")), "{text}");
    }
    let found = Found::at(&format!("ftp://bob:tops3cret-not@{address}"), &[]);
    found.fails_with(&["login_refused"]);
    assert!(!found.report.to_string().contains("tops3cret"), "{:#}", found.report);
}

#[test]
fn a_command_line_that_cannot_be_carried_out_exits_with_2() {
    for words in [
        &["127.0.0.1"][..],
        &["http://127.0.0.1/"],
        &["ftp://bob:tops3cret@127.0.0.1:0/"],
        &["ftp://127.0.0.1/", "more"],
        &["ftp://127.0.0.1/", "--what"],
        &["ftp://127.0.0.1/", "--timeout", "0"],
        &["ftp://127.0.0.1/", "--timeout", "soon"],
        &["ftp://127.0.0.1/%0d%0aDELE%20x"],
        &[],
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_ftpd")).arg("test").args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("tops3cret"), "{words:?}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Found::at(&format!("ftp://{free}/"), &[]).fails_with(&["control_refused"]);
    Found::at("ftp://host..invalid/", &[]).fails_with(&["name_unknown"]);
}

/// What a scripted server does when a command arrives.
#[derive(Clone, Copy)]
enum Act {
    /// Sends this.
    Say(&'static str),
    /// Names a port on which it listens, and keeps the listener.
    Epsv,
    /// Names a port on which connections are neither accepted nor refused.
    Silent,
    /// Names in reply to PASV a port on which it listens, and from the third time on one on which
    /// connections are neither accepted nor refused.
    HalfPasv,
    /// Says 150, transfers nothing, and closes all connections.
    Vanish,
    /// Says 150, and nothing more.
    Hang,
    /// Answers a handshake of TLS with text.
    Noise,
    /// Closes the control connection.
    Close,
}

/// What a script does about the commands that it does not name.
const USUAL: &[(&str, Act)] = &[
    ("USER", Act::Say("331 password?\r\n")),
    ("PASS", Act::Say("230 in\r\n")),
    ("FEAT", Act::Say("211-Features\r\n EPSV\r\n211 End\r\n")),
    ("EPSV", Act::Epsv),
    ("PASV", Act::Say("502 no\r\n")),
    ("LIST", Act::Say("150 here\r\n226 done\r\n")),
    ("QUIT", Act::Say("221 bye\r\n")),
    ("DELE", Act::Say("250 gone\r\n")),
    ("STOR", Act::Say("550 no\r\n")),
    ("", Act::Say("200 ok\r\n")),
];

/// Starts a server that follows a script, and tells each command that it hears with the number of
/// its connection.
fn fake(
    greeting: &'static [u8],
    script: &'static [(&'static str, Act)],
) -> (SocketAddr, Receiver<(usize, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, heard) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let tell = tell.clone();
            thread::spawn(move || follow(stream.unwrap(), greeting, script, number, &tell));
        }
    });
    (address, heard)
}

fn follow(
    mut stream: TcpStream,
    greeting: &[u8],
    script: &[(&str, Act)],
    number: usize,
    tell: &Sender<(usize, String)>,
) {
    let _ = stream.write_all(greeting);
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut data, mut open, mut full) = (None, Vec::new(), Vec::new());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let _ = tell.send((number, line.trim_end().to_owned()));
        let row = |rows: &[(&str, Act)]| {
            rows.iter().find(|(name, _)| line.starts_with(name)).map(|(_, act)| *act)
        };
        let act = row(script).or_else(|| row(USUAL)).unwrap();
        let said = match act {
            Act::Say(text) => text.to_owned(),
            Act::Epsv => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                data = Some(listener);
                format!("229 Entering (|||{port}|)\r\n")
            }
            Act::Silent => {
                let (listener, port) = deaf();
                full.push(listener);
                format!("229 Entering (|||{port}|)\r\n")
            }
            Act::HalfPasv => {
                let port = if open.len() < 2 {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let port = listener.local_addr().unwrap().port();
                    open.push(listener);
                    port
                } else {
                    let (listener, port) = deaf();
                    full.push(listener);
                    port
                };
                format!("227 Entering (127,0,0,1,{},{})\r\n", port >> 8, port & 255)
            }
            Act::Vanish => {
                let _ = stream.write_all(b"150 here\r\n");
                return;
            }
            Act::Hang => "150 here\r\n".to_owned(),
            Act::Noise => {
                let _ = stream.write_all(b"234 go\r\n234 injected\r\n");
                let _ = lines.fill_buf();
                let _ = stream.write_all(b"500 what?\r\n");
                // until the client has closed
                let _ = lines.read_to_end(&mut Vec::new());
                return;
            }
            Act::Close => return,
        };
        if said.contains("226")
            && let Some(listener) = data.take()
        {
            // an empty listing
            let _ = listener.accept();
        }
        if stream.write_all(said.as_bytes()).is_err() {
            return;
        }
    }
}

/// A port whose queue of connections is full, so that the kernel drops others without a word.
fn deaf() -> ((Socket, TcpStream), u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let only = TcpStream::connect(address).unwrap();
    ((socket, only), address.port())
}

#[test]
fn ports_that_stay_silent_are_told_from_those_that_refuse() {
    const SILENT: &[(&str, Act)] = &[
        ("EPSV", Act::Silent),
        ("EPRT", Act::Say("500 no\r\n")),
        ("PORT", Act::Say("500 no\r\n")),
    ];
    let (address, _heard) = fake(b"220 (vsFTPd 3.0.5)\r\n", SILENT);
    let found = Found::at(&format!("ftp://{address}/"), &["--timeout", "1"]);
    found.fails_with(&["range_silent", "no_passive", "active_refused"]);
    let text = found.report.to_string();
    assert!(text.contains("ufw allow") && text.contains("pasv_min_port"), "{text}");
    // the greeting says which server it is
    assert!(!text.contains("PassivePortRange"), "{text}");
}

#[test]
fn a_range_whose_open_half_only_pasv_has_met_is_not_taken_for_the_work_of_a_helper() {
    const HALF: &[(&str, Act)] =
        &[("EPSV", Act::Silent), ("PASV", Act::HalfPasv), ("LIST", Act::Say("550 no\r\n"))];
    let (address, _heard) = fake(b"220 hello\r\n", HALF);
    let found = Found::at(&format!("ftp://{address}/"), &["--timeout", "1", "--read-only"]);
    let failed = found.causes("failed");
    assert_eq!(failed[..2], ["range_silent", "range_half_open"], "{:#}", found.report);
    assert!(!found.causes("warning").contains(&"helper"), "{:#}", found.report);
}

#[test]
fn servers_that_are_none_are_recognized() {
    for (greeting, cause) in [
        (&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], "is_ssh"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "is_implicit_tls"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no_greeting"),
        (b"\0\0\0", "no_greeting"),
        (b"421 Too many connections\r\n", "turned_away"),
    ] {
        let (address, _heard) = fake(greeting, &[]);
        Found::at(&format!("ftp://{address}/"), &[]).fails_with(&[cause]);
    }
}

#[test]
fn odd_greetings_and_hostile_texts_are_shown_without_harm() {
    let greeting = b"220-\r\n220-\x1b]0;owned\x07 hello \xff\r\n 220 not yet\n230 nor this\r\n220 ready\r\n";
    let (address, _heard) = fake(greeting, &[]);
    let output =
        start(&format!("ftp://{address}/"), &["--read-only"], &[]).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\\x1b]0;owned\\x07 hello \\xff"), "{text}");
    assert!(!output.stdout.contains(&0x1b) && !output.stdout.contains(&7), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}

#[test]
fn lies_about_passive_ports_are_found() {
    const ZERO: &[(&str, Act)] = &[("PASV", Act::Say("227 ok (0,0,0,0,195,80)\r\n"))];
    const NONSENSE: &[(&str, Act)] = &[("PASV", Act::Say("227 Entering Passive Mode\r\n"))];
    const FULL: &[(&str, Act)] = &[("PASV", Act::Say("425 no port left\r\n"))];
    const CLOSES: &[(&str, Act)] = &[("PASV", Act::Close)];
    for (script, cause) in [
        (ZERO, "pasv_unroutable"),
        (NONSENSE, "unreadable_reply"),
        (FULL, "no_free_port"),
        (CLOSES, "control_lost"),
    ] {
        let (address, _heard) = fake(b"220 hello\r\n", script);
        Found::at(&format!("ftp://{address}/"), &["--read-only"]).fails_with(&[cause]);
    }
}

#[test]
fn a_closed_range_is_found_and_active_mode_tried() {
    // a port below the usual ones, on which nothing listens
    const CLOSED: &[(&str, Act)] = &[
        ("EPSV", Act::Say("229 Entering (|||1|)\r\n")),
        ("PASV", Act::Say("227 ok (127,0,0,1,0,1)\r\n")),
        ("EPRT", Act::Say("500 no\r\n")),
        ("PORT", Act::Say("500 no\r\n")),
    ];
    let (address, heard) = fake(b"220 hello\r\n", CLOSED);
    let found = Found::at(&format!("ftp://{address}/"), &[]);
    found.fails_with(&["range_refused", "range_refused", "active_refused"]);
    assert!(found.text("transfers").contains("nothing was transferred"));
    let heard: Vec<_> = heard.try_iter().map(|(_, line)| line).collect();
    assert!(!heard.iter().any(|line| line.starts_with("STOR")), "{heard:?}");
}

#[test]
fn tls_that_is_cut_or_refused_is_told_apart() {
    const CUT: &[(&str, Act)] = &[("AUTH", Act::Close)];
    const NONE: &[(&str, Act)] = &[("AUTH", Act::Say("502 what?\r\n"))];
    const NOISE: &[(&str, Act)] = &[("AUTH", Act::Noise)];
    for (script, cause) in [(CUT, "tls_cut"), (NONE, "no_tls"), (NOISE, "not_tls")] {
        let (address, heard) = fake(b"220 hello\r\n", script);
        Found::at(&format!("ftpes://bob:x@{address}/"), &[]).fails_with(&[cause]);
        let mut heard = heard.try_iter();
        // no password without TLS
        assert!(!heard.any(|(_, line)| line.starts_with("PASS")), "{cause}");
    }
}

#[test]
fn a_server_that_does_not_know_epsv_or_feat_is_only_warned_about() {
    const OLD: &[(&str, Act)] = &[
        ("FEAT", Act::Say("500 what?\r\n")),
        ("EPSV", Act::Say("500 what?\r\n")),
        ("PASV", Act::Say("500 what?\r\n")),
        ("EPRT", Act::Say("500 what?\r\n")),
        ("PORT", Act::Say("500 what?\r\n")),
    ];
    let (address, _heard) = fake(b"220 hello\r\n", OLD);
    let found = Found::at(&format!("ftp://{address}/"), &["--read-only"]);
    assert_eq!(found.causes("warning"), ["no_feat", "no_epsv"], "{:#}", found.report);
}

#[test]
fn pasv_is_tested_even_if_the_connection_ends_at_epsv() {
    const CLOSES: &[(&str, Act)] = &[("EPSV", Act::Close)];
    let (address, heard) = fake(b"220 hello\r\n", CLOSES);
    let found = Found::at(&format!("ftp://{address}/"), &["--timeout", "1"]);
    assert_eq!(found.causes("failed")[..2], ["control_lost", "no_passive"], "{found:?}");
    let heard: Vec<_> = heard.try_iter().collect();
    assert!(heard.contains(&(1, "PASV".to_owned())), "{heard:?}");
}

#[test]
fn the_probe_file_is_removed_on_another_connection_if_the_first_one_breaks() {
    const VANISH: &[(&str, Act)] = &[("STOR", Act::Vanish)];
    let (address, heard) = fake(b"220 hello\r\n", VANISH);
    let found = Found::at(&format!("ftp://{address}/"), &[]);
    assert_eq!(found.causes("failed").len(), 1, "{:#}", found.report);
    let heard: Vec<_> = heard.try_iter().collect();
    let stored = heard.iter().find_map(|(_, line)| line.strip_prefix("STOR ")).unwrap();
    let removed = heard.iter().find(|(_, line)| *line == format!("DELE {stored}"));
    assert_eq!(removed.map(|(number, _)| *number), Some(1), "{heard:?}");
}

#[test]
fn the_probe_file_is_removed_after_ctrl_c() {
    const HANG: &[(&str, Act)] = &[("STOR", Act::Hang)];
    let (address, heard) = fake(b"220 hello\r\n", HANG);
    let child = start(&format!("ftp://{address}/"), &["--json"], &[]);
    let wait = |begin: &str| loop {
        let (_, line) = heard.recv_timeout(PATIENCE).unwrap();
        if let Some(rest) = line.strip_prefix(begin) {
            return rest.to_owned();
        }
    };
    let name = wait("STOR ");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(wait("DELE "), name);
    let found = Found::of(&child.wait_with_output().unwrap());
    assert_eq!(found.status, 130);
    assert_eq!(found.report["interrupted"], true);
}

#[test]
fn a_report_for_people_names_each_check_and_its_cure() {
    let (_program, address) = own("masquerade_address = 127.0.0.2");
    let url = format!("ftp://bob:tops3cret@{address}/");
    let mut child = start(&url, &["--read-only"], &[]);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(text.contains("\nok       EPSV          6 of 6"), "{text}");
    assert!(text.contains("\nFAILED   PASV          names"), "{text}");
    assert!(text.contains("- ftpd: masquerade_address = 127.0.0.1\n"), "{text}");
    assert!(text.ends_with("\n1 failed, 0 warnings\n"), "{text}");
}
