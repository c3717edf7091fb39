//! Long lines, NUL, IAC, pipelining, slow and half-closed peers, devices and FIFOs, full disks.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::client::{Client, drain, port_command, reset};
use crate::server::{Server, eventually};

/// Checks that another session can log in and transfer.
fn others_go_on(server: &Server) {
    let mut client = Client::bob(server);
    client.upload("STOR others", b"text");
    assert_eq!(client.download("RETR others"), b"text");
    client.cmd("QUIT", 221);
    client.expect_close();
}

#[test]
fn an_oversized_line_is_500_and_the_session_goes_on() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    for len in [10_000, 100_000, 500_000] {
        client.raw(format!("USER {}\r\n", "x".repeat(len)).as_bytes());
        client.expect(500);
    }
    client.raw(&[&vec![0xfe; 20_000][..], b"\r\nNOOP\r\n"].concat());
    client.expect(500);
    let next = client.next_line();
    assert!(next.starts_with("200") || next.starts_with("530"), "{next}");
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.raw(format!("STOR {}\r\n", "x".repeat(50_000)).as_bytes());
    client.expect(500);
    client.cmd("PWD", 257);
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}

#[test]
fn a_path_longer_than_the_system_takes_is_refused_and_no_more() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for len in [256, 4095, 4096, 5000, 8000] {
        for path in ["a".repeat(len), "a/".repeat(len / 2)] {
            for command in ["MKD", "CWD", "RETR", "SIZE", "DELE", "RNFR", "MLST"] {
                let reply = client.read_any(&format!("{command} {path}"));
                assert!(reply.starts_with("55"), "{command} of {len} bytes: {reply}");
            }
        }
    }
    client.cmd("PWD", 257);
    others_go_on(&server);
}

#[test]
fn a_line_without_an_end_is_cut_off() {
    let server = Server::start();
    let client = Client::bob(&server);
    let chunk = [b'a'; 16_384];
    let mut sent = 0_usize;
    let why = loop {
        match client.stream().write(&chunk) {
            Ok(written) => sent += written,
            Err(why) => break why,
        }
        assert!(sent < 64 << 20, "64 MiB were taken without a line end");
    };
    let gone = matches!(why.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    assert!(gone, "{why}");
    server.wait_for_log("a line without an end");
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 32 << 10, "{peak} KiB");
    others_go_on(&server);
}

#[test]
fn a_line_without_an_end_during_a_transfer_is_cut_off_too() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    let chunk = [b'a'; 16_384];
    for _ in 0..4096 {
        if client.stream().write(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(drain(&mut data), b"");
    server.wait_for_log("ended");
    others_go_on(&server);
}

#[test]
fn nul_and_line_ends_in_a_name_are_refused() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for command in ["MKD", "CWD", "STOR", "RETR", "DELE", "RNFR", "SIZE", "MLST"] {
        for name in [&b"a\0b"[..], b"\0", b"a\rb", b"a\r\0b", b"a\0"] {
            client.raw(&[command.as_bytes(), b" ", name, b"\r\n"].concat());
            let reply = client.next_line();
            assert!(reply.starts_with("501") || reply.starts_with("55"), "{command}: {reply}");
        }
    }
    client.cmd("NOOP", 200);
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}

#[test]
fn nul_in_a_command_is_500() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for line in [&b"\0\r\n"[..], b"NO\0OP\r\n", b"\0NOOP\r\n", b"\x01\x02\x03\r\n"] {
        client.raw(line);
        client.expect(500);
    }
    client.raw(b"NOOP\0\r\n");
    let reply = client.next_line();
    assert!(reply.starts_with('5') || reply.starts_with("200"), "{reply}");
    client.cmd("PWD", 257);
}

#[test]
fn an_empty_line_harms_nothing() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for line in [&b"\r\n"[..], b"\n", b" \r\n", b"\t\r\n", b"\r\r\n"] {
        client.raw(line);
        client.expect(500);
    }
    client.raw(b"NOOP\n");
    client.expect(200);
}

#[test]
fn iac_in_a_name_is_a_byte_of_it_when_it_comes_twice() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let name = |bytes: &[u8]| server.home().join(std::ffi::OsStr::from_bytes(bytes));
    client.raw(b"MKD a\xff\xffb\r\n");
    let made = client.expect_bytes(257);
    assert!(made.starts_with(b"257 \"/a\xff\xffb\""), "{}", made.escape_ascii());
    assert!(name(b"a\xffb").is_dir());
    client.raw(b"CWD a\xff\xffb\r\n");
    client.expect(250);
    client.send("PWD");
    assert!(client.expect_bytes(257).starts_with(b"257 \"/a\xff\xffb\""));
    client.raw(b"STOU \xff\xff\r\n");
    client.expect(425);
    client.passive();
    client.raw(b"STOU \xff\xff\r\n");
    assert_eq!(client.expect_bytes(150), b"150 FILE: \xff\xff");
    client.expect(226);
    assert!(name(b"a\xffb/\xff").is_file());
    client.raw(b"MLST \xff\xff\r\n");
    let facts = client.expect_bytes(250);
    let there = facts.windows(8).any(|part| part == b"/a\xff\xffb/\xff\xff");
    assert!(there, "{}", facts.escape_ascii());
}

#[test]
fn telnet_negotiation_is_no_part_of_a_command() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.raw(b"\xff\xfd\x01\xff\xfb\x03NO\xff\xf1OP\r\n");
    // DO is answered with WONT and WILL with DONT (RFC 1123 §4.1.2.12)
    assert_eq!(client.next_line_bytes(), b"\xff\xfc\x01\xff\xfe\x03200 Still here");
    client.raw(b"\xff\xfe\x0aNOOP\r\n");
    client.expect(200);
    client.raw(b"\xff\xf4NOOP\r\n");
    client.expect(200);
}

/// Names that somebody with a shell may have made: none of them may pass for a reply.
#[test]
fn names_with_line_ends_forge_no_reply() {
    let server = Server::start();
    let forged = "x\r\n213 End\r\n226 Transfer complete\r\n230 Logged in\r\n";
    for name in [forged, "\n250 End\n", "\r\n", "y\r", "z\n211 End"] {
        server.put(&format!("dir/{name}"), "");
    }
    let links = server.home().join("links");
    fs::create_dir(&links).unwrap();
    symlink(format!("../dir/{forged}"), links.join("link")).unwrap();
    symlink(format!("../dir/{forged}"), links.join(forged)).unwrap();
    let mut client = Client::bob(&server);
    for dir in ["dir", "links"] {
        client.cmd(&format!("STAT {dir}"), 213);
        client.cmd("NOOP", 200);
        let entries = fs::read_dir(server.home().join(dir)).unwrap().count();
        for command in ["LIST", "NLST", "MLSD"] {
            let bytes = client.download(&format!("{command} {dir}"));
            let count = bytes.split_inclusive(|&byte| byte == b'\n').count();
            assert_eq!(count, entries, "{command}: {}", bytes.escape_ascii());
        }
        client.cmd("NOOP", 200);
    }
    client.cmd("MLST links/link", 250);
    client.cmd("NOOP", 200);
    // nor may a name that the client itself sends
    client.raw(b"HELP x\r230 Logged in\r\n");
    client.next_line();
    client.raw(b"CLNT x\r230 Logged in\r\n");
    client.next_line();
    client.cmd("PWD", 257);
}

#[test]
fn hundreds_of_commands_at_once_are_answered_in_order() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let kinds =
        [("NOOP", 200), ("PWD", 257), ("NONSENSE", 500), ("SYST", 215), ("DELE no", 550)];
    let chosen: Vec<_> = (0..3000).map(|number| kinds[number * number % 7 % 5]).collect();
    let (lines, codes): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
    client.raw((lines.join("\r\n") + "\r\n").as_bytes());
    for code in codes {
        client.expect(code);
    }
    client.cmd("QUIT", 221);
    client.expect_close();
}

#[test]
fn commands_behind_quit_are_not_carried_out() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.raw(b"NOOP\r\nQUIT\r\nMKD late\r\nNOOP\r\n");
    client.expect(200);
    client.expect(221);
    client.expect_close();
    server.wait_for_log("ended");
    assert!(!server.has("late"));
}

#[test]
fn a_whole_session_in_one_packet_is_carried_out_in_order() {
    let server = Server::start();
    server.put("a", "one");
    server.put("b", "two");
    let one = TcpListener::bind("127.0.0.1:0").unwrap();
    let two = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [&one, &two].map(|listener| port_command(listener.local_addr().unwrap()));
    let mut client = Client::silent(server.address());
    let script = [
        "USER bob",
        "PASS secret",
        "TYPE I",
        &ports[0],
        "RETR a",
        "NOOP",
        &ports[1],
        "RETR b",
        "DELE a",
        "QUIT",
    ];
    client.raw((script.join("\r\n") + "\r\n").as_bytes());
    for code in [220, 331, 230, 200, 200, 150, 226, 200, 200, 150, 226, 250, 221] {
        client.expect(code);
    }
    client.expect_close();
    assert_eq!(drain(&mut one.accept().unwrap().0), b"one");
    assert_eq!(drain(&mut two.accept().unwrap().0), b"two");
    assert!(!server.has("a"));
}

#[test]
fn more_commands_during_a_transfer_than_the_queue_holds_all_get_their_reply() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    client.raw("NOOP\r\nPWD\r\n".repeat(1000).as_bytes());
    data.write_all(b"text").unwrap();
    drop(data);
    client.expect(226);
    for _ in 0..1000 {
        client.expect(200);
        client.expect(257);
    }
    assert_eq!(server.get("a"), b"text");
}

#[test]
fn a_half_closed_client_gets_all_its_replies() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.raw(b"USER bob\r\nPASS secret\r\nPWD\r\nMKD a\r\nNONSENSE\r\nNOOP\r\nPW");
    client.stream().shutdown(Shutdown::Write).unwrap();
    for code in [331, 230, 257, 257, 500, 200] {
        client.expect(code);
    }
    client.expect_close();
    assert!(server.has("a"));
    server.wait_for_log("closed by the client");
}

#[test]
fn a_command_that_comes_byte_by_byte_is_a_command() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    for (line, code) in [("USER bob\r\n", 331), ("PASS secret\r\n", 230), ("MKD a\r\n", 257)] {
        for byte in line.as_bytes() {
            client.raw(&[*byte]);
        }
        client.expect(code);
    }
    // and others need not wait for one that has stopped in the middle
    client.raw(b"NO");
    others_go_on(&server);
    client.raw(b"OP\r\n");
    client.expect(200);
}

#[test]
fn http_requests_are_turned_away_at_once() {
    let server = Server::start();
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70\r\n\r\n\
         USER bob\r\nPASS secret\r\nMKD forged\r\n",
        "HEAD / HTTP/1.0\r\n\r\nUSER bob\r\nPASS secret\r\nMKD forged\r\n",
        "PUT / HTTP/1.1\r\n\r\nUSER bob\r\nPASS secret\r\nMKD forged\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\nUSER bob\r\nPASS secret\r\nMKD forged\r\n",
        "CONNECT localhost:25 HTTP/1.1\r\n\r\nUSER bob\r\nPASS secret\r\nMKD forged\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.raw(request.as_bytes());
        client.expect(500);
        client.expect_close();
    }
    assert!(!server.has("forged"));
    others_go_on(&server);
}

/// Without IAC WONT and IAC DONT, with which Telnet options are refused.
fn without_negotiation(mut bytes: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    while let [first, behind @ ..] = bytes {
        bytes = if let [0xff, 0xfc | 0xfe, _, behind @ ..] = bytes {
            behind
        } else {
            rest.push(*first);
            behind
        };
    }
    rest
}

#[test]
fn binary_garbage_harms_nobody() {
    let server = Server::start();
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let garbage: Vec<u8> = (0..200_000).map(|_| noise()).collect();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0a\x0a\x0a\x0a".to_vec();
    let words =
        b"%n%s%x\r\n${jndi}\r\n../../..\r\nRETR ../../etc/passwd\r\n\xff\xff\xff\r\n".to_vec();
    for bytes in [garbage, hello, words, vec![0; 100_000], vec![0xff; 100_001]] {
        let client = Client::connect(&server);
        // what the server has sent meanwhile is read, so that neither side waits
        let mut reader = client.stream().try_clone().unwrap();
        let reading = std::thread::spawn(move || drain(&mut reader));
        let _ = (&mut client.stream()).write_all(&bytes);
        let _ = client.stream().shutdown(Shutdown::Write);
        let replies = without_negotiation(&reading.join().unwrap());
        for line in replies.split_inclusive(|&byte| byte == b'\n') {
            assert!(
                line[0].is_ascii_digit() && line.ends_with(b"\r\n"),
                "{}",
                line.escape_ascii()
            );
            assert!(!line.starts_with(b"2"), "{}", line.escape_ascii());
        }
    }
    others_go_on(&server);
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn garbage_after_login_harms_nobody() {
    let server = Server::start();
    server.put("keep", "text");
    let mut client = Client::bob(&server);
    for byte in 0..=255_u8 {
        for line in
            [vec![byte; 3], [b"STAT ", &[byte; 5][..]].concat(), [&[byte][..], b" x"].concat()]
        {
            client.raw(&[&line[..], b"\r\nNOOP\r\n"].concat());
            // whatever is said of the garbage, NOOP is answered last
            loop {
                let reply = client.next_line();
                if reply == "200 Still here" {
                    break;
                }
            }
        }
    }
    assert_eq!(server.get("keep"), b"text");
}

#[test]
fn a_client_that_never_reads_its_replies_costs_the_others_nothing() {
    let server = Server::start();
    let client = Client::bob(&server);
    client.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let lines = "HELP\r\n".repeat(10_000);
    let mut sent = 0_usize;
    // until the server has stopped reading as well
    while let Ok(written) = client.stream().write(lines.as_bytes()) {
        sent += written;
        assert!(sent < 256 << 20, "the server takes commands without end");
    }
    others_go_on(&server);
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 32 << 10, "{peak} KiB");
    let peer = client.stream().local_addr().unwrap();
    drop(client);
    eventually("the session ends with its client", || {
        server
            .log()
            .lines()
            .any(|line| line.contains(&peer.to_string()) && line.contains("ended"))
    });
}

#[test]
fn clients_that_vanish_at_once_leave_nothing_behind() {
    let server = Server::start();
    others_go_on(&server);
    eventually("the session has ended", || server.log().contains("ended"));
    let least = (0..3).map(|_| server.open_files()).min().unwrap();
    for number in 0..100 {
        let client = Client::silent(server.address());
        let stream = client.stream().try_clone().unwrap();
        drop(client);
        if number % 2 == 0 { reset(stream) } else { drop(stream) }
    }
    others_go_on(&server);
    eventually("all files are closed", || server.open_files() <= least);
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Makes a device, if this user may.
fn mknod(path: &Path, kind: &str, major: &str, minor: &str) -> bool {
    let made = Command::new("mknod").arg(path).args([kind, major, minor]).status();
    let made = made.is_ok_and(|status| status.success());
    if !made {
        eprintln!("skipped: no devices, this user may not make them");
    }
    made
}

#[test]
fn devices_and_fifos_are_550_at_once_both_ways() {
    let server = Server::start();
    let home = server.home();
    mkfifo(&home.join("fifo"));
    let _socket = UnixListener::bind(home.join("socket")).unwrap();
    let mut names = vec!["fifo", "socket"];
    // the null device, and one that no driver has
    if mknod(&home.join("null"), "c", "1", "3") {
        names.push("null");
    }
    if names.len() > 2 && mknod(&home.join("odd"), "b", "240", "7") {
        names.push("odd");
    }
    for name in names.clone() {
        symlink(name, home.join(format!("{name}-link"))).unwrap();
    }
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    for name in names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}-link")]) {
        for command in ["RETR", "STOR", "APPE", "SIZE"] {
            client.cmd(&format!("{command} {name}"), 550);
        }
        client.cmd("REST 1", 350);
        client.cmd(&format!("RETR {name}"), 550);
        client.cmd(&format!("CWD {name}"), 550);
    }
    // and the data connection is still there
    let mut data = client.data(address);
    client.cmd("NLST", 150);
    drain(&mut data);
    client.expect(226);
}

#[test]
fn a_fifo_with_somebody_at_the_other_end_is_550_all_the_same() {
    let server = Server::start();
    let path = server.home().join("fifo");
    mkfifo(&path);
    // both ends at once, so that neither open waits
    let mut both = fs::File::options().read(true).write(true).open(&path).unwrap();
    both.write_all(b"secret").unwrap();
    let mut client = Client::bob(&server);
    client.passive_address("EPSV");
    for command in ["RETR fifo", "STOR fifo", "APPE fifo"] {
        client.cmd(command, 550);
    }
    let mut got = [0; 6];
    both.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"secret", "nothing was read from it or written to it");
}

/// A file system of 1 MiB, or nothing where this user may not mount.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub(crate) fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "ftpd-test"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: no full disk, this user may not mount one");
        }
        mounted.then_some(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Mounts the file system again with other options.
    pub(crate) fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(self.path()).status();
        assert!(done.unwrap().success(), "{options}");
    }

    /// The section of a user who lives there.
    pub(crate) fn user(&self) -> String {
        let home = self.path().display();
        format!("[user:eve]\npassword = e\nperm = elradfmwMT\nhome = {home}")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_452_for_the_upload_and_nothing_for_the_others() {
    let Some(disk) = SmallDisk::mount() else { return };
    let server = Server::setup().section(&disk.user()).start();
    let mut client = Client::login(&server, "eve", "e");
    client.upload("STOR keep", b"text");
    for (kind, command) in [("I", "STOR big"), ("A", "STOR big"), ("I", "APPE keep2")] {
        client.cmd(&format!("TYPE {kind}"), 200);
        let mut data = client.passive();
        client.cmd(command, 150);
        // the server stops reading when it has no place for it
        let sent = data.write_all(&vec![b'x'; 32 << 20]);
        drop(data);
        let reply = client.next_line();
        assert!(reply.starts_with("452"), "{command}: {reply}, {sent:?}");
        others_go_on(&server);
        // and nothing is left of it
        client.cmd(&format!("DELE {}", &command[5..]), 550);
    }
    let line = server.wait_for_log("failed: ");
    assert!(line.contains("STOR \"") && line.contains("/big\""), "{line}");
    // room is there again
    client.cmd("TYPE I", 200);
    client.upload("STOR small", &vec![b'x'; 100_000]);
    assert_eq!(client.download("RETR keep"), b"text");
    client.cmd("ALLO 10000000", 552);
}

#[test]
fn a_full_disk_refuses_names_as_well() {
    let Some(disk) = SmallDisk::mount() else { return };
    let server = Server::setup().section(&disk.user()).start();
    let mut client = Client::login(&server, "eve", "e");
    let mut data = client.passive();
    client.cmd("STOR big", 150);
    let _ = data.write_all(&vec![b'x'; 4 << 20]);
    drop(data);
    client.expect(452);
    let mut data = client.passive();
    client.cmd("STOR most", 150);
    data.write_all(&vec![b'x'; 1000 << 10]).unwrap();
    drop(data);
    client.expect(226);
    // a directory takes a page as well, sooner or later
    let mut last = String::new();
    for number in 0..2000 {
        last = client.read_any(&format!("MKD {number}"));
        if !last.starts_with("257") {
            break;
        }
    }
    assert!(last.starts_with("452") || last.starts_with("257"), "{last}");
    client.cmd("DELE most", 250);
    client.upload("STOR small", b"text");
}

#[test]
fn many_idle_connections_do_not_hinder_a_session() {
    let server = Server::start();
    let idle: Vec<_> = (0..100).map(|_| Client::connect(&server)).collect();
    others_go_on(&server);
    drop(idle);
    others_go_on(&server);
}
