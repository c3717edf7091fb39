//! SITE CPFR and SITE CPTO: copies of files within the home.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};

use crate::client::{Client, reset};
use crate::parts::{no_parts, noise};
use crate::server::{Server, eventually};
use crate::tls_client::Tls;

fn copy(client: &mut Client, from: &str, to: &str, code: u16) -> String {
    client.cmd(&format!("SITE CPFR {from}"), 350);
    client.cmd(&format!("SITE CPTO {to}"), code)
}

#[test]
fn a_copy_is_a_new_file_or_takes_the_place_of_an_old_one() {
    let server = Server::setup().user("umask = 027").start();
    let content = noise(1, 5_000_001);
    server.put("a b", &content);
    server.put("old", "old");
    server.put("empty", "");
    fs::create_dir(server.home().join("dir")).unwrap();
    let mut client = Client::bob(&server);
    for kind in ["A", "I"] {
        client.cmd(&format!("TYPE {kind}"), 200);
        for to in ["new", "old", "dir/a b", "new"] {
            copy(&mut client, "a b", to, 250);
            assert!(server.get(to) == content, "{to}");
        }
    }
    copy(&mut client, "empty", "new", 250);
    assert_eq!(server.get("new"), b"");
    client.cmd("CWD dir", 250);
    copy(&mut client, "../empty", "a b", 250);
    assert_eq!(server.get("dir/a b"), b"");
    assert!(server.get("a b") == content);
    let made = fs::metadata(server.home().join("new")).unwrap();
    assert_eq!(made.mode() & 0o777, 0o640);
    no_parts(&server.home());
    let line = server.wait_for_log("SITE CPTO \"");
    assert!(line.contains("a b\" -> \"") && line.contains("5000001 bytes in "), "{line}");
}

#[test]
fn cpto_follows_a_cpfr_that_was_granted_and_each_is_for_one_copy() {
    let server = Server::start();
    server.put("file", "text");
    fs::create_dir(server.home().join("dir")).unwrap();
    let mut client = Client::bob(&server);
    client.cmd("SITE CPTO new", 503);
    for missing in ["none", "dir", "/", "../file/x"] {
        client.cmd("SITE CPFR file", 350);
        client.cmd(&format!("SITE CPFR {missing}"), 550);
        client.cmd("SITE CPTO new", 503);
    }
    client.cmd("SITE CPFR file", 350);
    client.cmd("SITE CPTO", 501);
    client.cmd("SITE CPTO new", 503);
    client.cmd("SITE CPFR file", 350);
    client.cmd("REIN", 220);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("SITE CPTO new", 503);
    assert!(!server.has("new"));
    // others may come between
    client.cmd("SITE CPFR file", 350);
    client.cmd("NOOP", 200);
    client.cmd("SITE CPTO new", 250);
    client.cmd("SITE CPTO newer", 503);
    for byte in b"SITE CPFR file\r\nSITE CPTO bytes\r\n" {
        client.raw(&[*byte]);
    }
    client.expect(350);
    client.expect(250);
    assert_eq!(server.get("bytes"), b"text");
    for to in ["dir", "/", "dir/", "none/new", "file/new", "new/", ".ftpd-part-x"] {
        let (code, text) = {
            client.cmd("SITE CPFR file", 350);
            client.ask(&format!("SITE CPTO {to}"))
        };
        assert!([550, 553].contains(&code), "{to}: {text}");
    }
    assert!(server.home().join("dir").is_dir());
}

#[test]
fn a_file_is_not_copied_onto_itself() {
    for way in ["on", "off"] {
        let server = Server::setup().user(&format!("atomic_uploads = {way}")).start();
        let path = server.put("file", "text");
        fs::hard_link(&path, server.home().join("hard")).unwrap();
        symlink("file", server.home().join("soft")).unwrap();
        let mut client = Client::bob(&server);
        for (from, to) in [
            ("file", "file"),
            ("file", "hard"),
            ("hard", "file"),
            ("file", "soft"),
            ("soft", "hard"),
        ] {
            copy(&mut client, from, to, 550);
            assert_eq!(server.get("file"), b"text", "{way}: {from} {to}");
        }
        copy(&mut client, "file", "other", 250);
        assert_eq!(server.get("other"), b"text");
    }
}

#[test]
fn the_letters_of_both_folders_decide_also_where_links_lead() {
    let server = Server::setup()
        .section("[folder:bob:/no-read]\nperm = elw")
        .section("[folder:bob:/no-write]\nperm = elr")
        .start();
    for dir in ["no-read", "no-write"] {
        fs::create_dir(server.home().join(dir)).unwrap();
        server.put(&format!("{dir}/file"), "secret");
        symlink(dir, server.home().join(format!("to-{dir}"))).unwrap();
        symlink(format!("{dir}/file"), server.home().join(format!("file-{dir}"))).unwrap();
    }
    server.put("file", "text");
    let mut client = Client::bob(&server);
    for from in ["no-read/file", "to-no-read/file", "file-no-read"] {
        client.cmd(&format!("SITE CPFR {from}"), 550);
        client.cmd("SITE CPTO new", 503);
    }
    for to in ["no-write/new", "no-write/file", "to-no-write/new", "file-no-write"] {
        copy(&mut client, "file", to, 550);
    }
    assert!(!server.has("new") && !server.has("no-write/new"));
    assert_eq!(server.get("no-write/file"), b"secret");
    copy(&mut client, "no-write/file", "no-read/new", 250);
    copy(&mut client, "file-no-write", "to-no-read/file", 250);
}

#[test]
fn links_out_of_the_home_are_copied_neither_from_nor_to() {
    let server = Server::start();
    let outside = server.dir().join("outside");
    fs::write(&outside, "outside").unwrap();
    symlink(&outside, server.home().join("out")).unwrap();
    symlink("../outside-new", server.home().join("dangling")).unwrap();
    server.put("file", "text");
    let mut client = Client::bob(&server);
    client.cmd("SITE CPFR out", 550);
    for to in ["out", "dangling"] {
        client.cmd("SITE CPFR file", 350);
        client.ask(&format!("SITE CPTO {to}"));
        assert_eq!(fs::read(&outside).unwrap(), b"outside");
        assert!(!server.dir().join("outside-new").exists());
    }
}

#[test]
fn what_limits_uploads_limits_copies() {
    let limits = "quota_bytes = 10K\nquota_files = 4\nmax_file_size = 6K\ndeny_names = *.exe";
    let server = Server::setup().user(limits).start();
    let mut client = Client::bob(&server);
    client.upload("STOR small", &[b'x'; 1 << 10]);
    client.upload("STOR large", &[b'x'; 5 << 10]);
    copy(&mut client, "large", "new", 552);
    assert!(!server.has("new"));
    no_parts(&server.home());
    copy(&mut client, "small", "new.exe", 553);
    copy(&mut client, "small", "one", 250);
    copy(&mut client, "small", "two", 250);
    copy(&mut client, "small", "three", 552);
    // a replaced file gives its room back
    copy(&mut client, "large", "one", 552);
    copy(&mut client, "small", "one", 250);
    client.cmd("DELE two", 250);
    client.upload("STOR one", b"x");
    fs::write(server.home().join("huge"), vec![b'x'; 7 << 10]).unwrap();
    let answer = copy(&mut client, "huge", "one", 552);
    assert!(answer.contains("6144"), "{answer}");
    no_parts(&server.home());
    assert_eq!(server.get("one"), b"x");
}

#[test]
fn a_copy_obeys_overwrite_and_keeps_the_old_version_in_the_trash() {
    let server = Server::setup().user("trash = on").start();
    server.put("file", "new");
    server.put("old", "old");
    let mut client = Client::bob(&server);
    copy(&mut client, "file", "old", 250);
    assert_eq!(server.get("old"), b"new");
    server.wait_for_log("moved to the trash");
    let server = Server::setup().user("overwrite = no").start();
    server.put("file", "new");
    server.put("old", "old");
    let mut client = Client::bob(&server);
    let (code, text) = {
        client.cmd("SITE CPFR file", 350);
        client.ask("SITE CPTO old")
    };
    assert!([550, 553].contains(&code), "{text}");
    assert_eq!(server.get("old"), b"old");
}

#[test]
fn a_copy_starts_the_program_of_uploads() {
    let server = Server::setup().server("on_upload = /usr/bin/env").start();
    server.put("file", "text");
    let mut client = Client::bob(&server);
    copy(&mut client, "file", "new", 250);
    server.wait_for_log("]: FTPD_SIZE=4");
    assert!(server.wait_for_log("]: FTPD_PATH=").ends_with("/new"));
}

fn put_large(server: &Server) {
    let path = server.put("large", "");
    File::options().write(true).open(path).unwrap().set_len(1 << 30).unwrap();
}

#[test]
fn abor_ends_a_copy_and_leaves_nothing() {
    let server = Server::setup().server("tls_cert = auto").start();
    put_large(&server);
    server.put("old", "old");
    let mut clients = vec![Client::bob(&server)];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        clients.push(Client::secure_bob(&server, &Tls::new(version)));
    }
    for client in &mut clients {
        client.raw(b"SITE CPFR large\r\nSITE CPTO old\r\nABOR\r\n");
        client.expect(350);
        // where the file system clones files, there is nothing to end
        let code = client.next_code();
        client.expect(if code == 250 { 250 } else { 426 });
        client.expect(226);
        no_parts(&server.home());
        if code == 250 {
            server.put("old", "old");
        }
        assert_eq!(server.get("old"), b"old");
        client.cmd("NOOP", 200);
    }
}

#[test]
fn a_copy_ends_with_its_session() {
    let server = Server::start();
    put_large(&server);
    let mut client = Client::bob(&server);
    client.raw(b"SITE CPFR large\r\nSITE CPTO new\r\n");
    client.expect(350);
    reset(client.stream);
    let mut other = Client::bob(&server);
    eventually("no copy is running", || {
        let names = fs::read_dir(server.home()).unwrap().map(|one| one.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".ftpd")).count() == 0
    });
    other.cmd("NOOP", 200);
}

#[test]
fn a_copy_waits_while_the_user_has_a_checksum_computed() {
    let server = Server::start();
    let path = server.put("endless", "");
    File::options().write(true).open(path).unwrap().set_len(1 << 42).unwrap();
    server.put("file", "text");
    let mut busy = Client::bob(&server);
    busy.send("XSHA512 endless");
    eventually("bytes are counted", || !busy.cmd("STAT", 211).contains(" 0 bytes"));
    let mut client = Client::bob(&server);
    client.cmd("SITE CPFR file", 350);
    client.raw(b"SITE CPTO new\r\nABOR\r\n");
    client.expect(426);
    client.expect(226);
    client.cmd("SITE CPFR file", 350);
    client.send("SITE CPTO new");
    assert!(client.cmd("STAT", 211).contains("SITE CPTO is running"));
    assert!(!server.has("new"));
    busy.cmd("ABOR", 426);
    busy.expect(226);
    client.expect(250);
    assert_eq!(server.get("new"), b"text");
}
