//! Uploads that are judged, and other settings of folders, while directories move, scanners and programs
//! misbehave, and quarantines are not where they should be.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use crate::client::Client;
use crate::parts::{hang, noise, parts};
use crate::program::{BOB, folder};
use crate::server::{Server, Setup, run};

/// The settings for a judge: a shell script without double quotes, to which `$0` is the file.
fn judged(script: &str) -> Setup {
    Server::setup().server(&format!("before_publish = /bin/sh -c \"{script}\""))
}

/// Sends a whole upload, and returns before it is answered.
fn send(client: &mut Client, command: &str, bytes: &[u8]) {
    let mut data = client.passive();
    client.cmd(command, 150);
    // the server may have stopped reading
    let _ = data.write_all(bytes);
    let _ = data.shutdown(Shutdown::Write);
}

/// Uploads, and returns the reply, which must have this code.
fn upload(client: &mut Client, command: &str, bytes: &[u8], code: u16) -> String {
    send(client, command, bytes);
    client.expect(code)
}

/// Folders whose settings an upload could evade if its directory were renamed meanwhile.
fn strict() -> Server {
    let server = Server::setup()
        .section("[folder:/names]\ndeny_names = *.exe")
        .section("[folder:/small]\nmax_file_size = 3")
        .section("[folder:/gated]\nbefore_publish = /bin/false")
        .section("[folder:/once]\noverwrite = no")
        .section("[folder:/ro]\nperm = elr")
        .start();
    for folder in ["names", "small", "gated", "once", "ro", "free"] {
        fs::create_dir(server.home().join(folder)).unwrap();
    }
    server
}

/// Begins an upload of four bytes to a new directory.
fn begun(server: &Server, name: &str) -> (Client, TcpStream) {
    fs::create_dir(server.home().join("m")).unwrap();
    let mut client = Client::bob(server);
    let data =
        hang(&mut client, format!("STOR m/{name}"), b"1234", &server.home().join("m"), 4);
    (client, data)
}

#[test]
fn an_upload_obeys_the_folder_to_which_its_directory_is_renamed_meanwhile() {
    let server = strict();
    for (folder, code) in [("names", 553), ("small", 552), ("gated", 451), ("ro", 550)] {
        let (mut client, data) = begun(&server, "f.exe");
        let to = server.home().join(folder).join("m");
        // by another program, or by a client a moment before the part is made
        fs::rename(server.home().join("m"), &to).unwrap();
        drop(data);
        client.expect(code);
        assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn an_upload_does_not_replace_a_file_where_its_directory_is_renamed_to() {
    let server = strict();
    fs::create_dir(server.home().join("m")).unwrap();
    server.put("m/f", "old");
    let mut client = Client::bob(&server);
    let data = hang(&mut client, "STOR m/f", b"1234", &server.home().join("m"), 4);
    let mut other = Client::bob(&server);
    other.cmd("RNFR m", 350);
    other.cmd("RNTO once/m", 250);
    drop(data);
    client.expect(451);
    assert_eq!(server.get("once/m/f"), b"old");
    assert!(parts(&server.home().join("once/m")).is_empty());
}

#[test]
fn an_upload_follows_its_directory_to_where_it_is_allowed() {
    let server = strict();
    let (mut client, data) = begun(&server, "f");
    let mut other = Client::bob(&server);
    other.cmd("RNFR m", 350);
    other.cmd("RNTO free/m", 250);
    // something else has the old path by now
    other.cmd("MKD m", 257);
    drop(data);
    client.expect(226);
    assert_eq!(server.get("free/m/f"), b"1234");
    assert!(parts(&server.home().join("free/m")).is_empty());
}

#[test]
fn renames_and_uploads_at_the_same_time_wait_for_each_other_and_end() {
    let server = strict();
    thread::scope(|scope| {
        for number in 0..3 {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::bob(server);
                for _ in 0..30 {
                    client.cmd(&format!("MKD d{number}"), 257);
                    client.cmd(&format!("RNFR d{number}"), 350);
                    client.cmd(&format!("RNTO names/d{number}"), 250);
                    client.cmd(&format!("RMD names/d{number}"), 250);
                    upload(&mut client, &format!("STOR f{number}"), b"1", 226);
                    client.cmd(&format!("RNFR f{number}"), 350);
                    client.cmd(&format!("RNTO free/f{number}"), 250);
                }
            });
        }
    });
}

#[test]
fn a_program_finds_the_file_although_the_link_to_it_leads_elsewhere_by_now() {
    // one that takes a file that it does not find for harmless
    let script = "echo $0 >&2; grep -q bad $0 && exit 1; exit 0";
    let server = judged(script).start();
    for folder in ["a", "b"] {
        fs::create_dir(server.home().join(folder)).unwrap();
    }
    symlink("a", server.home().join("l")).unwrap();
    let mut client = Client::bob(&server);
    let data = hang(&mut client, "STOR l/f", b"bad", &server.home().join("a"), 3);
    fs::remove_file(server.home().join("l")).unwrap();
    symlink("b", server.home().join("l")).unwrap();
    drop(data);
    client.expect(550);
    server.wait_for_log(&format!("]: {}/.ftpd-part-", server.home().join("a").display()));
    assert!(!server.has("a/f") && !server.has("b/f"));
}

#[test]
fn an_upload_whose_directory_is_renamed_while_a_program_judges_it_is_not_in_place() {
    let script = "mv $(dirname $0) $(dirname $0).new; grep -q bad $0 && exit 1; exit 0";
    let server = judged(script).start();
    fs::create_dir(server.home().join("a")).unwrap();
    upload(&mut Client::bob(&server), "STOR a/f", b"bad", 451);
    assert_eq!(fs::read_dir(server.home().join("a.new")).unwrap().count(), 0);
}

#[test]
fn files_that_their_own_user_cannot_read_are_judged() {
    let is_root = rustix::process::geteuid().is_root();
    // root can read everything
    let run_as = if is_root { "run_as = 61001:61002" } else { "" };
    let setup = judged("grep -q bad $0; [ $? = 1 ]").user(run_as);
    let server = if is_root { setup.home_of(61_001).start() } else { setup.start() };
    let mode = |name: &str| fs::metadata(server.home().join(name)).unwrap().mode() & 0o777;
    let mut client = Client::bob(&server);
    client.cmd("SITE UMASK 777", 200);
    upload(&mut client, "STOR a", b"good", 226);
    upload(&mut client, "STOR b", b"bad", 550);
    assert_eq!((mode("a"), server.has("b")), (0, false));
    client.cmd("SITE UMASK 022", 200);
    upload(&mut client, "STOR c", b"good", 226);
    client.cmd("SITE CHMOD 200 c", 200);
    upload(&mut client, "STOR c", b"better", 226);
    upload(&mut client, "STOR c", b"bad", 550);
    assert_eq!(mode("c"), 0o200);
    fs::set_permissions(server.home().join("c"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(server.get("c"), b"better");
}

#[test]
fn a_judge_that_prints_much_to_standard_error_is_in_time() {
    let script = "head -c 5000000 /dev/zero >&2; exit 0";
    let server = judged(script).server("gate_timeout = 4").start();
    upload(&mut Client::bob(&server), "STOR a", b"1", 226);
}

/// A scanner that does this with each connection.
fn scanner(lines: &str, answer: impl Fn(&mut UnixStream) + Send + 'static) -> Server {
    let listen = |dir: &Path| {
        let listener = UnixListener::bind(dir.join("clamd.ctl")).unwrap();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                answer(&mut stream);
            }
        });
    };
    Server::setup().server(&format!("scan = clamd:./clamd.ctl\n{lines}")).start_with(listen)
}

/// Reads a few bytes of the file.
fn some(stream: &mut UnixStream) {
    stream.read_exact(&mut [0; 1000]).unwrap();
}

/// Waits until the server closes the connection, and reads nothing more before.
fn wait_for_end(stream: &UnixStream) {
    let mut fds = [rustix::event::PollFd::new(stream, rustix::event::PollFlags::RDHUP)];
    rustix::event::poll(&mut fds, None).unwrap();
}

#[test]
fn what_a_scanner_finds_in_a_part_of_a_file_refuses_it() {
    let content = noise(1, 3_000_000);
    let answers: [fn(&mut UnixStream); 3] = [
        // it reads no more, and waits
        |stream| {
            some(stream);
            stream.write_all(b"stream: Evil FOUND\0").unwrap();
            wait_for_end(stream);
        },
        // it closes the connection
        |stream| {
            some(stream);
            stream.write_all(b"stream: Evil FOUND\0").unwrap();
        },
        // it reads on
        |stream| {
            some(stream);
            stream.write_all(b"stream: Evil FOUND\0").unwrap();
            let _ = std::io::copy(stream, &mut std::io::sink());
        },
    ];
    for answer in answers {
        let server = scanner("gate_fail = open\ngate_timeout = 5", answer);
        let reply = upload(&mut Client::bob(&server), "STOR a", &content, 550);
        assert_eq!(reply.trim_end(), "550 Refused: Evil");
        assert!(!server.has("a"));
    }
}

#[test]
fn that_a_scanner_finds_nothing_in_a_part_of_a_file_says_nothing() {
    let content = noise(1, 3_000_000);
    let answers: [fn(&mut UnixStream); 2] = [
        |stream| {
            some(stream);
            stream.write_all(b"stream: OK\0").unwrap();
            wait_for_end(stream);
        },
        |stream| {
            some(stream);
            stream.write_all(b"stream: OK\0").unwrap();
            let _ = std::io::copy(stream, &mut std::io::sink());
        },
    ];
    for answer in answers {
        let server = scanner("gate_timeout = 5", answer);
        upload(&mut Client::bob(&server), "STOR a", &content, 451);
        server.wait_for_log("before it had the whole file");
        assert!(!server.has("a"));
    }
}

#[test]
fn a_quarantine_that_leads_into_a_home_or_has_another_purpose_is_a_fault() {
    for (quarantine, why) in [
        ("new/../home/q", ", where clients can see it"),
        ("link", ", where clients can see it"),
        ("link/q", ", where clients can see it"),
        ("state", "is state_dir"),
        ("new/../state", "is state_dir"),
        ("/", "is the root of the file system"),
    ] {
        let lines =
            format!("scan = clamd:./clamd.ctl\nstate_dir = state\nquarantine = {quarantine}");
        let dir = folder(format!("[server]\n{lines}\n{BOB}"));
        fs::create_dir(dir.path().join("state")).unwrap();
        symlink("home/zz", dir.path().join("link")).unwrap();
        let (code, _, err) = run(&["check"], dir.path());
        assert!(code == 78 && err.contains(why), "{quarantine}: {code} {err}");
        fs::write(dir.path().join("ftpd.ini"), format!("[server]\n{lines}/q\n{BOB}")).unwrap();
        if quarantine == "state" {
            assert_eq!(run(&["check"], dir.path()).0, 0, "below it");
        }
    }
}

#[test]
fn a_quarantine_that_is_led_into_a_home_later_gets_nothing() {
    let server = judged("exit 1").server("quarantine = apart/files").start();
    let apart = server.dir().join("apart/files");
    fs::remove_dir(&apart).unwrap();
    symlink(server.home(), &apart).unwrap();
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR a", b"12345", 550);
    server.wait_for_log("cannot keep a refused upload: it lies in ");
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}

/// Changes a line of the settings, and reloads them. Returns the exit status and the messages.
fn reloaded(server: &Server, from: &str, to: &str) -> (i32, String) {
    let ini = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&ini).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&ini, text.replace(from, to)).unwrap();
    let (code, _, err) = run(&["reload"], server.dir());
    (code, err)
}

#[test]
fn a_reload_makes_a_new_quarantine_or_changes_nothing() {
    let server = judged("exit 1").server("quarantine = apart").start();
    let dir = server.dir();
    let (code, err) = reloaded(&server, "quarantine = apart", "quarantine = apart/new");
    assert_eq!(code, 0, "{err}");
    assert!(dir.join("apart/new").is_dir());
    let mut client = Client::bob(&server);
    upload(&mut client, "STOR a", b"12345", 550);
    assert_eq!(fs::read_dir(dir.join("apart/new")).unwrap().count(), 1);
    if !server.log().contains("sandbox: enforced") {
        eprintln!("not tested: no sandbox");
        return;
    }
    let (code, err) = reloaded(&server, "quarantine = apart/new", "quarantine = other/new");
    assert!(code != 0 && err.contains("cannot be made") && err.contains("restart"), "{err}");
    upload(&mut Client::bob(&server), "STOR a", b"12345", 550);
    assert_eq!(fs::read_dir(dir.join("apart/new")).unwrap().count(), 2);
    assert!(!dir.join("other").exists());
}

#[test]
fn a_refused_file_of_the_server_s_user_is_renamed() {
    let server = judged("stat -c i%i. $0 >&2; exit 1").server("quarantine = apart").start();
    let mut client = Client::bob(&server);
    client.cmd("SITE UMASK 0", 200);
    upload(&mut client, "STOR a", &noise(1, 100_000), 550);
    let kept = fs::read_dir(server.dir().join("apart")).unwrap().next().unwrap().unwrap();
    let kept = kept.metadata().unwrap();
    server.wait_for_log(&format!("]: i{}.", kept.ino()));
    assert_eq!((kept.len(), kept.nlink(), kept.mode() & 0o777), (100_000, 1, 0o600));
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}
