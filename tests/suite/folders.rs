//! Settings of folders: the sections `[folder:/path]` and `[folder:USER:/path]`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use rustls::version::TLS13;

use crate::client::Client;
use crate::server::Server;
use crate::tls_client::Tls;

const EVE: &str = "[user:eve]\npassword = secret\nhome = home\nperm = elradfmw";

/// Uploads one byte, and returns the code of the reply.
fn stored(client: &mut Client, path: &str) -> u16 {
    client.exchange(&format!("STOR {path}"), b"x").0
}

#[test]
fn the_innermost_folder_that_sets_a_key_decides() {
    let server = Server::setup()
        .user("deny_names = *.exe")
        .section(EVE)
        .section("[folder:/in]\ndeny_names = *.tmp\nmax_file_size = 5")
        .section("[folder:bob:/in]\nmax_file_size = 3")
        .section("[folder:bob:/in/free]\ndeny_names =")
        .start();
    fs::create_dir_all(server.home().join("in/free")).unwrap();
    fs::create_dir(server.home().join("inn")).unwrap();
    let mut bob = Client::bob(&server);
    let mut eve = Client::login(&server, "eve", "secret");
    for client in [&mut bob, &mut eve] {
        client.cmd("TYPE I", 200);
    }
    for (path, code) in [
        ("a.exe", 553),
        ("a.tmp", 226),
        ("inn/a.exe", 553),
        ("in/a.exe", 226),
        ("in/a.tmp", 553),
        ("in/free/a.tmp", 226),
        ("in/free/../a.tmp", 553),
    ] {
        assert_eq!(stored(&mut bob, path), code, "{path}");
    }
    assert_eq!(stored(&mut eve, "in/a.tmp"), 553);
    assert_eq!(stored(&mut eve, "in/free/a.tmp"), 553, "that section is bob's");
    let sized = |client: &mut Client, path: &str, bytes: &[u8]| {
        client.exchange(&format!("STOR {path}"), bytes).0
    };
    assert_eq!(sized(&mut bob, "in/size", b"1234"), 552);
    assert_eq!(
        sized(&mut bob, "in/free/size", b"1234"),
        552,
        "taken from the folder around it"
    );
    assert_eq!(sized(&mut eve, "in/size", b"12345"), 226);
    assert_eq!(sized(&mut bob, "size", b"123456"), 226);
    bob.cmd("CWD in", 250);
    bob.cmd("ALLO 4", 552);
    bob.cmd("ALLO 3", 200);
    bob.cmd("MKD b.tmp", 553);
    bob.cmd("RNFR a.exe", 350);
    bob.cmd("RNTO c.tmp", 553);
    bob.cmd("RNFR a.exe", 350);
    bob.cmd("RNTO /c.tmp", 250);
}

#[test]
fn no_link_leads_around_the_settings_of_a_folder() {
    let server = Server::setup().section("[folder:/in]\nallow_names = *.jpg").start();
    let home = server.home();
    fs::create_dir_all(home.join("in/below")).unwrap();
    symlink("in", home.join("way")).unwrap();
    symlink("in/old.txt", home.join("file.jpg")).unwrap();
    fs::write(home.join("in/old.txt"), "old").unwrap();
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    for path in ["way/a.txt", "way/below/a.txt", "in/below/../a.txt", "file.jpg"] {
        assert_eq!(stored(&mut bob, path), 553, "{path}");
    }
    bob.cmd("CWD way/below", 250);
    assert_eq!(stored(&mut bob, "a.txt"), 553);
    bob.cmd("MKD new", 553);
    assert_eq!(stored(&mut bob, "a.jpg"), 226);
    bob.cmd("RNFR a.jpg", 350);
    bob.cmd("RNTO a.txt", 553);
    assert_eq!(fs::read(home.join("in/old.txt")).unwrap(), b"old");
}

#[test]
fn a_folder_with_settings_or_around_one_is_not_renamed() {
    let server = Server::setup().section("[folder:/a/in]\nallow_names = *.jpg").start();
    let home = server.home();
    fs::create_dir_all(home.join("a/in/below")).unwrap();
    fs::create_dir(home.join("a/inn")).unwrap();
    symlink("a", home.join("way")).unwrap();
    let mut bob = Client::bob(&server);
    for from in ["a", "a/in", "/a/in/", "way/in", "a/inn/../in"] {
        bob.cmd(&format!("RNFR {from}"), 350);
        bob.cmd("RNTO x", 553);
    }
    // the link itself, what is beside, and what is below
    for (from, to) in [("way", "x"), ("a/inn", "a/x"), ("a/in/below", "y")] {
        bob.cmd(&format!("RNFR {from}"), 350);
        bob.cmd(&format!("RNTO {to}"), 250);
    }
    server.wait_for_log("section [folder:...]");
    // it may be removed, and the settings hold for the next folder of this name
    bob.cmd("RMD a/in", 250);
    bob.cmd("MKD a/in", 257);
    bob.cmd("TYPE I", 200);
    assert_eq!(stored(&mut bob, "a/in/a.txt"), 553);
}

#[test]
fn anonymous_users_have_folders_and_why_knows_them() {
    let server = Server::setup()
        .server("enable_anonymous = on\nanonymous_path = home\nanonymous_perm = elrw")
        .section("[folder:anonymous:/in]\nmax_file_size = 0\ndeny_names = *.php")
        .start();
    fs::create_dir(server.home().join("in")).unwrap();
    for name in ["anonymous", "ftp"] {
        let mut client = Client::login(&server, name, "x");
        client.cmd("TYPE I", 200);
        assert_eq!(stored(&mut client, "in/a.PHP"), 553);
    }
    let words = ["why", "anonymous", "/in/a.php", "write", "--config", "ftpd.ini"];
    let (_, out, err) = crate::server::run(&words, server.dir());
    assert!(out.contains("not allowed by deny_names = *.php"), "{out}{err}");
}

#[test]
fn the_case_of_letters_does_not_matter() {
    let server = Server::setup()
        .section("[folder:/In]\nallow_names = *.jpg")
        .section("[folder:bob:/iN]\nmax_file_size = 1")
        .start();
    for name in ["in", "IN", "inn"] {
        fs::create_dir(server.home().join(name)).unwrap();
    }
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    for (path, code) in [("in/a", 553), ("IN/a", 553), ("IN/a.jpg", 226), ("inn/a", 226)] {
        assert_eq!(stored(&mut bob, path), code, "{path}");
    }
    assert_eq!(bob.exchange("STOR in/a.jpg", b"ab").0, 552);
    bob.cmd("RNFR IN", 350);
    bob.cmd("RNTO x", 553);
}

#[test]
fn a_section_for_a_link_is_worth_a_warning() {
    let server = Server::setup()
        .section("[folder:/in/way/x]\nmax_file_size = 1")
        .section("[folder:/in]\nmax_file_size = 1")
        .start_with(|dir| {
            fs::create_dir(dir.join("home/in")).unwrap();
            symlink(".", dir.join("home/in/way")).unwrap();
        });
    server.wait_for_log("[folder:/in/way/x] ");
    let (code, _, err) = crate::server::run(&["check"], server.dir());
    assert_eq!((code, err.matches("home/in/way is a link").count()), (0, 1), "{err}");
}

#[test]
fn a_number_in_a_name_is_allowed_as_well() {
    for atomic in ["on", "off"] {
        let server = Server::setup()
            .user(&format!("atomic_uploads = {atomic}\nallow_names = *.jpg, up*"))
            .user("deny_names = *.2")
            .section("[folder:/in]\nallow_names = *.jpg")
            .start();
        let home = server.home();
        fs::create_dir(home.join("in")).unwrap();
        server.put("other.txt", "old");
        symlink("../other.txt", home.join("in/upload")).unwrap();
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        for (line, name) in [
            ("STOU a.jpg", "a.jpg"),
            ("STOU a.jpg", "a.1.jpg"),
            ("STOU a.jpg", "a.2.jpg"),
            ("STOU up", "up"),
            ("STOU up", "up.1"),
            ("STOU up", "up.3"),
        ] {
            assert_eq!(bob.exchange(line, b"x").0, 226);
            assert!(home.join(name).exists(), "{name}");
        }
        // the name of a link does not count as that of its target
        assert_eq!(bob.exchange("STOU in/upload", b"x").0, 553);
        assert_eq!(fs::read_dir(home.join("in")).unwrap().count(), 1);
    }
}

#[test]
fn a_number_that_overwriting_would_need_is_allowed_as_well() {
    let server = Server::setup().user("overwrite = no\nallow_names = *.jpg").start();
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    let mut data = bob.passive();
    bob.cmd("STOR a.jpg", 150);
    server.put("a.jpg", "old");
    data.write_all(b"new").unwrap();
    drop(data);
    let (code, text) = bob.answer();
    let text = String::from_utf8(text).unwrap();
    assert_eq!((code, text.contains("a.1.jpg")), (226, true), "{text}");
    assert_eq!(server.get("a.1.jpg"), b"new");
    assert_eq!(server.get("a.jpg"), b"old");
}

#[test]
fn no_rename_leads_around_the_settings_of_the_new_folder() {
    let server = Server::setup()
        .section("[folder:/in]\ndeny_names = *.exe\nmax_file_size = 3")
        .section("[folder:/a/b/in]\nallow_names = *.jpg")
        .section("[folder:/free]\nmax_file_size = 10")
        .start();
    let home = server.home();
    for dir in ["in/sub", "dir/b/in", "empty", "free/dir", "inside"] {
        fs::create_dir_all(home.join(dir)).unwrap();
    }
    for file in ["dir/b/in/a.exe", "free/dir/a", "in/sub/a", "big", "in/big", "free/a"] {
        server.put(file, "four");
    }
    symlink("big", home.join("link")).unwrap();
    symlink("in", home.join("way")).unwrap();
    let mut bob = Client::bob(&server);
    for (from, to, code) in [
        ("dir", "in/dir", 553),
        ("dir", "way/dir", 553),
        // over an empty directory, and over one that is not there
        ("dir", "in", 553),
        ("dir", "a", 553),
        ("free/dir", "in/dir", 553),
        ("free/dir", "dir/free", 250),
        // an empty directory holds nothing that is not allowed
        ("empty", "in/empty", 250),
        ("in/sub", "in/other", 250),
        ("in/other", "free/other", 250),
        ("big", "in/large", 553),
        ("big", "way/large", 553),
        ("free/a", "in/a", 553),
        ("big", "free/big", 250),
        ("link", "in/link", 250),
        // it was there before
        ("in/big", "in/large", 250),
        ("in/large", "large", 250),
    ] {
        bob.cmd(&format!("RNFR {from}"), 350);
        bob.cmd(&format!("RNTO {to}"), code);
    }
    server.wait_for_log("max_file_size of the new folder");
    server.wait_for_log("the directory is not empty");
}

#[test]
fn nothing_is_added_to_what_is_too_large_already() {
    for atomic in ["on", "off"] {
        let server = Server::setup()
            .user(&format!("atomic_uploads = {atomic}\nmax_file_size = 5"))
            .start();
        server.put("long", "123456");
        server.put("short", "12");
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        assert_eq!(bob.exchange("APPE long", b"").0, 552);
        assert_eq!(server.get("long"), b"123456");
        if atomic == "off" {
            // two clients that append at the same time
            let mut other = Client::bob(&server);
            other.cmd("TYPE I", 200);
            let (mut one, mut two) = (bob.passive(), other.passive());
            bob.cmd("APPE short", 150);
            other.cmd("APPE short", 150);
            one.write_all(b"34").unwrap();
            drop(one);
            assert_eq!(bob.answer().0, 226);
            two.write_all(b"56").unwrap();
            drop(two);
            assert_eq!(other.answer().0, 552);
            assert_eq!(server.get("short"), b"1234");
        }
    }
}

#[test]
fn a_link_that_is_renamed_before_the_data_comes_leads_nowhere_else() {
    let server = Server::setup()
        .server("tls_cert = auto")
        .user("atomic_uploads = off")
        .section("[folder:/in]\nallow_names = *.jpg")
        .start();
    let home = server.home();
    fs::create_dir(home.join("in")).unwrap();
    fs::create_dir(home.join("x")).unwrap();
    symlink("in", home.join("way")).unwrap();
    let tls = Tls::new(&TLS13);
    let (mut bob, mut other) = (Client::secure_bob(&server, &tls), Client::bob(&server));
    bob.cmd("TYPE I", 200);
    let data = bob.passive();
    // the file is opened after the handshake
    bob.cmd("STOR x/a.exe", 150);
    for (from, to) in [("x", "y"), ("way", "x")] {
        other.cmd(&format!("RNFR {from}"), 350);
        other.cmd(&format!("RNTO {to}"), 250);
    }
    let _data = tls.over(data);
    assert_eq!(bob.answer().0, 553);
    assert_eq!(fs::read_dir(home.join("in")).unwrap().count(), 0);
}
