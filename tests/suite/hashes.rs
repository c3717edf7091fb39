//! HASH, XCRC and its kin, SITE MD5, OPTS HASH and RANG: checksums and ranges of files.

use std::fs::{self, File};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::{Client, reset};
use crate::parts::{hang, noise};
use crate::server::{Server, eventually, run};
use crate::tls_client::Tls;

/// Size of a file whose checksum takes longer than any test. The file is sparse.
const ENDLESS: u64 = 1 << 42;

const X: [(&str, &str); 4] = [
    ("XMD5", "md5sum"),
    ("XSHA1", "sha1sum"),
    ("XSHA256", "sha256sum"),
    ("XSHA512", "sha512sum"),
];

fn put_endless(server: &Server) {
    let path = server.put("endless", "");
    File::options().write(true).open(path).unwrap().set_len(ENDLESS).unwrap();
}

/// What a program prints for these bytes, up to the first space.
fn said(program: &str, bytes: &[u8]) -> String {
    String::from_utf8(piped(program, bytes)).unwrap().split(' ').next().unwrap().to_owned()
}

fn piped(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{program}: {why}"));
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// The CRC-32 of these bytes, which gzip writes at the end of a file.
fn crc32(bytes: &[u8]) -> String {
    let packed = piped("gzip", bytes);
    let crc: [u8; 4] = packed[packed.len() - 8..packed.len() - 4].try_into().unwrap();
    format!("{:08x}", u32::from_le_bytes(crc))
}

fn bytes(len: usize) -> Vec<u8> {
    noise(7, len)
}

fn sum_of(command: &str, bytes: &[u8]) -> String {
    match X.iter().find(|(name, _)| *name == command) {
        Some((_, program)) => said(program, bytes),
        None => crc32(bytes),
    }
}

#[test]
fn checksums_of_files_and_ranges_are_those_of_the_usual_programs() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let commands = ["XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512"];
    for (name, len) in [("empty", 0), ("one", 1), ("long", 300_001)] {
        let content = bytes(len);
        server.put(name, &content);
        for kind in ["A", "I"] {
            client.cmd(&format!("TYPE {kind}"), 200);
            for command in commands {
                let sum = sum_of(command, &content).to_ascii_uppercase();
                assert_eq!(client.cmd(&format!("{command} {name}"), 250), format!("250 {sum}"));
            }
        }
        let md5 = said("md5sum", &content);
        let answer = client.cmd(&format!("SITE MD5 {name}"), 200);
        assert_eq!(answer, format!("200 MD5({name}) = {md5}"));
    }
    let content = bytes(300_001);
    for (start, end) in [(0, 1), (0, 300_001), (131_071, 131_073), (300_000, 300_001)] {
        for command in commands {
            let sum = sum_of(command, &content[start..end]).to_ascii_uppercase();
            let answer = client.cmd(&format!("{command} long {start} {end}"), 250);
            assert_eq!(answer, format!("250 {sum}"), "{command} {start} {end}");
        }
    }
    for range in ["0 0", "5 5", "6 5", "0 300002", "300001 300002"] {
        client.cmd(&format!("XCRC long {range}"), 501);
    }
    client.cmd("XCRC empty 0 0", 501);
    let line = server.wait_for_log("XSHA512 ");
    assert!(line.contains("SHA-512 of bytes 0 to 0 in "), "{line}");
}

#[test]
fn hash_has_the_algorithm_of_opts_and_the_range_of_rang_or_rest() {
    let server = Server::start();
    let content = bytes(1000);
    server.put("a file", &content);
    server.put("empty", "");
    let mut client = Client::bob(&server);
    let feature = " HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32\n";
    assert!(client.cmd("FEAT", 211).contains(feature));
    let all = said("sha256sum", &content);
    let answer = client.cmd("HASH a file", 213);
    assert_eq!(answer, format!("213 SHA-256 0-1000 {all} a file"));
    assert_eq!(client.cmd("OPTS HASH", 200), "200 SHA-256");
    assert_eq!(client.cmd("opts hash md5", 200), "200 MD5");
    client.cmd("OPTS HASH SHA-3", 501);
    let feature = " HASH SHA-256;SHA-512;SHA-1;MD5*;CRC32\n";
    assert!(client.cmd("FEAT", 211).contains(feature));
    let of = |start: usize, end: usize| {
        let md5 = said("md5sum", &content[start..end]);
        format!("213 MD5 {start}-{end} {md5} a file")
    };
    let answer = client.cmd("RANG 10 19", 350);
    assert_eq!(answer, "350 Restarting at 10. End byte range at 19");
    assert_eq!(client.cmd("HASH a file", 213), of(10, 20));
    // the range was for one command
    assert_eq!(client.cmd("HASH a file", 213), of(0, 1000));
    client.cmd("REST 990", 350);
    assert_eq!(client.cmd("HASH a file", 213), of(990, 1000));
    // the last of the two counts
    client.cmd("RANG 10 19", 350);
    client.cmd("REST 990", 350);
    assert_eq!(client.cmd("HASH a file", 213), of(990, 1000));
    client.cmd("REST 990", 350);
    client.cmd("RANG 999 5000", 350);
    assert_eq!(client.cmd("HASH a file", 213), of(999, 1000));
    client.cmd("RANG 10 19", 350);
    client.cmd("RANG 1 0", 350);
    assert_eq!(client.cmd("HASH a file", 213), of(0, 1000));
    client.cmd("RANG 1000 1000", 350);
    client.cmd("HASH a file", 554);
    client.cmd("RANG 0 0", 350);
    client.cmd("HASH empty", 554);
    client.cmd("REST 1001", 350);
    client.cmd("HASH a file", 554);
    assert_eq!(client.cmd("HASH a file", 213), of(0, 1000));
    client.cmd("HASH empty", 213);
    for wrong in ["RANG", "RANG 5", "RANG 5 4", "RANG -1 5", "RANG 0 9223372036854775808"] {
        client.cmd(wrong, 501);
    }
}

#[test]
fn rang_limits_one_download_and_no_upload() {
    let server = Server::start();
    let content = bytes(500_000);
    server.put("file", &content);
    let mut client = Client::bob(&server);
    for (range, wanted) in [
        ("RANG 0 0", 0..1),
        ("RANG 5 99999", 5..100_000),
        ("RANG 499999 600000", 499_999..500_000),
        ("RANG 1 0", 0..500_000),
        ("REST 499990", 499_990..500_000),
    ] {
        client.cmd(range, 350);
        assert!(client.download("RETR file") == content[wanted], "{range}");
        assert!(client.download("RETR file") == content, "after {range}");
    }
    client.cmd("RANG 5 9", 350);
    client.cmd("NOOP", 200);
    let mut data = client.passive();
    let mark = client.cmd("RETR file", 150);
    assert!(mark.contains("(5 bytes)"), "{mark}");
    assert_eq!(crate::client::drain(&mut data), &content[5..10]);
    client.expect(226);
    // a listing takes the range away
    client.cmd("RANG 5 9", 350);
    client.download("LIST");
    assert!(client.download("RETR file") == content);
    for command in ["STOR file", "APPE file", "STOU", "STOU file"] {
        client.cmd("RANG 5 9", 350);
        client.cmd(command, 503);
        assert!(server.get("file") == content, "{command}");
    }
    client.cmd("RANG 500000 500001", 350);
    client.cmd("RETR file", 554);
    client.cmd("TYPE A", 200);
    client.cmd("RANG 5 9", 350);
    client.cmd("RETR file", 504);
    client.cmd("TYPE I", 200);
    client.cmd("RANG 5 9", 350);
    client.cmd("REIN", 220);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("TYPE I", 200);
    assert!(client.download("RETR file") == content);
}

#[test]
fn names_with_spaces_quotes_and_numbers_have_checksums() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for (name, content) in [("a b", "spaces"), ("q\"q", "quote"), ("\"in\"", "quoted")] {
        server.put(name, content);
    }
    let sum = |text: &str| format!("250 {}", said("md5sum", text.as_bytes()).to_uppercase());
    for (line, text) in [
        ("XMD5 a b", "spaces"),
        ("XMD5 \"a b\"", "spaces"),
        ("XMD5 \"a b\" 1 3", "pa"),
        ("XMD5 a b 1 3", "pa"),
        ("XMD5 \"q\"\"q\" 0 2", "qu"),
        ("XMD5 q\"q", "quote"),
        ("XMD5 \"in\"", "quoted"),
        ("XMD5 \"in\" 0 1", "q"),
    ] {
        assert_eq!(client.cmd(line, 250), sum(text), "{line}");
    }
    // a name that looks like a path with a range comes first
    server.put("a b 1 3", "name");
    assert_eq!(client.cmd("XMD5 a b 1 3", 250), sum("name"));
    for byte in "XSHA a b 0 1\r\n".bytes() {
        client.raw(&[byte]);
    }
    client.expect(250);
    client.raw(b"XMD5 a b\r\nHASH a b\r\nPWD\r\n");
    client.expect(250);
    client.expect(213);
    client.expect(257);
    client.cmd("XMD5 a b 1", 550);
    client.cmd("XMD5 none 1 2", 550);
}

#[test]
fn only_what_retr_would_send_has_a_checksum() {
    let server = Server::setup()
        .user("world_readable_only = on")
        .section("[user:eve]\npassword = secret\nhome = home\nperm = elw")
        .start();
    let mut client = Client::bob(&server);
    server.put("open", "text");
    let closed = server.put("closed", "text");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o660)).unwrap();
    fs::create_dir(server.home().join("dir")).unwrap();
    let made = Command::new("mkfifo").arg(server.home().join("fifo")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("/etc/passwd", server.home().join("out")).unwrap();
    client.cmd("XMD5 open", 250);
    let mut eve = Client::login(&server, "eve", "secret");
    let mut writer = Client::login(&server, "eve", "secret");
    let part = hang(&mut writer, "STOR new", b"secret", &server.home(), 6);
    for command in ["HASH", "XCRC", "XSHA512", "SITE MD5"] {
        for name in
            ["closed", "dir", "dir/", "fifo", "out", "none", "/", "../etc/passwd", "new"]
        {
            client.cmd(&format!("{command} {name}"), 550);
        }
        for entry in fs::read_dir(server.home()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(".ftpd") {
                client.cmd(&format!("{command} {name}"), 550);
            }
        }
        // without the letter r
        eve.cmd(&format!("{command} open"), 550);
        eve.cmd(&format!("{command} new"), 550);
    }
    drop(part);
    let line = server.wait_for_log("world_readable_only");
    assert!(line.contains("refused"), "{line}");
}

#[test]
fn the_letters_of_the_folder_decide_also_where_a_link_leads() {
    let server = Server::setup().section("[folder:bob:/secret]\nperm = elw").start();
    fs::create_dir(server.home().join("secret")).unwrap();
    server.put("secret/file", "text");
    server.put("file", "text");
    std::os::unix::fs::symlink("secret/file", server.home().join("link")).unwrap();
    let mut client = Client::bob(&server);
    for name in ["secret/file", "link", "/secret/../secret/file"] {
        for line in ["HASH #", "XCRC # 0 1", "XMD5 \"#\" 0 1", "SITE MD5 #"] {
            client.cmd(&line.replace('#', name), 550);
        }
    }
    client.cmd("CWD secret", 250);
    client.cmd("XCRC file 0 1", 550);
    client.cmd("XCRC /file 0 1", 250);
}

#[test]
fn where_data_must_be_protected_checksums_are_too() {
    let server = Server::setup().server("tls_cert = auto").user("tls_required = data").start();
    server.put("file", "text");
    let mut client = Client::bob(&server);
    for line in ["HASH file", "XCRC file 0 1", "SITE MD5 file"] {
        client.cmd(line, 521);
    }
    let mut client = Client::secure_bob(&server, &Tls::new(&rustls::version::TLS13));
    client.cmd("XCRC file 0 1", 250);
}

/// Checks that the session goes on.
fn goes_on(client: &mut Client, server: &Server) {
    server.put("small", "text");
    client.cmd("XMD5 small", 250);
    client.cmd("NOOP", 200);
}

#[test]
fn abor_and_stat_are_answered_amid_a_checksum() {
    let server = Server::setup().server("tls_cert = auto").start();
    put_endless(&server);
    let mut clients = vec![Client::bob(&server)];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        clients.push(Client::secure_bob(&server, &Tls::new(version)));
    }
    for client in &mut clients {
        for line in [
            "XSHA512 endless",
            "HASH endless",
            "SITE MD5 endless",
            "XCRC endless 9 99999999999",
        ] {
            client.send(line);
            let mut done = 0;
            eventually("bytes are counted", || {
                let status = client.cmd("STAT", 211);
                let verb = line.split(" endless").next().unwrap();
                assert!(status.contains(&format!("{verb} is running")), "{status}");
                let words: Vec<_> = status.split(' ').collect();
                let at = words.iter().position(|word| *word == "bytes").unwrap();
                let now = words[at - 1].parse::<u64>().unwrap();
                assert!(now >= done);
                done = now;
                done > 0
            });
            client.cmd("ABOR", 426);
            client.expect(226);
            // together, and byte by byte
            client.raw(format!("{line}\r\nABOR\r\n").as_bytes());
            client.expect(426);
            client.expect(226);
            for byte in format!("{line}\r\nABOR\r\n").bytes() {
                client.raw(&[byte]);
            }
            client.expect(426);
            client.expect(226);
        }
        goes_on(client, &server);
    }
}

#[test]
fn a_checksum_ends_with_its_session() {
    let mut server = Server::start();
    put_endless(&server);
    let doing = |server: &Server| {
        let (_, out, _) = run(&["who", "--config", "ftpd.ini"], server.dir());
        out.matches("HASH ").count()
    };
    let begin = |server: &Server| {
        let mut client = Client::bob(server);
        client.send("HASH endless");
        eventually("who shows the checksum", || doing(server) == 1);
        client
    };
    reset(begin(&server).stream);
    eventually("the checksum is over", || doing(&server) == 0);
    let client = begin(&server);
    client.stream().shutdown(Shutdown::Both).unwrap();
    eventually("the checksum is over", || doing(&server) == 0);
    let mut client = begin(&server);
    let (code, out, err) = run(&["kick", "bob", "--config", "ftpd.ini"], server.dir());
    assert_eq!(code, 0, "{out}{err}");
    client.expect(426);
    client.expect(421);
    client.expect_close();
    eventually("the checksum is over", || doing(&server) == 0);
    let mut client = begin(&server);
    server.signal("TERM");
    client.expect(426);
    client.expect(421);
    assert!(server.wait_for_exit().success());
}

/// Begins a checksum that does not end.
fn keep_busy(server: &Server, client: &mut Client) {
    put_endless(server);
    client.send("XSHA512 endless");
    eventually("bytes are counted", || !client.cmd("STAT", 211).contains(" 0 bytes"));
}

#[test]
fn a_user_has_one_checksum_at_a_time_and_another_one_waits() {
    let server = Server::start();
    server.put("small", "text");
    let mut busy = Client::bob(&server);
    keep_busy(&server, &mut busy);
    let mut client = Client::bob(&server);
    client.raw(b"HASH small\r\nABOR\r\n");
    client.expect(426);
    client.expect(226);
    client.send("HASH small");
    assert!(client.cmd("STAT", 211).contains("HASH is running: 0 bytes"));
    busy.cmd("ABOR", 426);
    busy.expect(226);
    client.expect(213);
    goes_on(&mut client, &server);
}

#[test]
fn all_users_together_have_few_checksums_at_a_time_and_wait_no_longer_than_for_data() {
    let places = std::thread::available_parallelism().map_or(1, usize::from) / 2;
    let users = (1..=places.max(1)).map(|number| format!("user{number}"));
    let mut setup = Server::setup().server("data_timeout = 1");
    for user in users.clone() {
        setup = setup.section(&format!("[user:{user}]\npassword = secret\nhome = home"));
    }
    let server = setup.start();
    server.put("small", "text");
    let mut busy: Vec<_> = users.map(|user| Client::login(&server, &user, "secret")).collect();
    for client in &mut busy {
        keep_busy(&server, client);
    }
    let mut client = Client::bob(&server);
    let answer = client.cmd("HASH small", 450);
    assert!(answer.contains("try again later"), "{answer}");
    let mut first = busy.pop().unwrap();
    first.cmd("ABOR", 426);
    first.expect(226);
    client.cmd("HASH small", 213);
}

#[test]
fn a_file_that_changes_has_another_checksum() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let path = server.put("file", bytes(400_000));
    let old = fs::metadata(&path).unwrap().modified().unwrap();
    let first = client.cmd("HASH file", 213);
    assert_eq!(client.cmd("HASH file", 213), first);
    // the same size, and the time is set back
    let mut other = bytes(400_000);
    other[7] ^= 1;
    overwrite(&path, &other);
    File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    let second = client.cmd("HASH file", 213);
    assert!(second.contains(&said("sha256sum", &other)) && second != first, "{second}");
}

fn overwrite(path: &Path, content: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all(content).unwrap();
}
