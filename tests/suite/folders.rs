//! Settings of folders: the sections `[folder:/path]` and `[folder:USER:/path]`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::client::Client;
use crate::server::Server;

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
