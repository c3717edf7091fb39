//! The modes of new files and directories.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::client::Client;
use crate::parts::{break_off, hang, parts, resume};
use crate::server::Server;

fn mode(server: &Server, name: &str) -> u32 {
    server.home().join(name).metadata().unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn file_mode_and_dir_mode_are_exact_in_each_way_to_make_something() {
    for way in ["atomic_uploads = on", "atomic_uploads = off", "quota_bytes = 1M"] {
        let server = Server::setup()
            .umask("077")
            .server(&format!("file_mode = 0646\ndir_mode = 0757\n{way}"))
            .user("umask = 037")
            .start();
        let mut bob = Client::bob(&server);
        bob.cmd("SITE UMASK 777", 200);
        bob.upload("STOR stored", b"x");
        bob.upload("APPE appended", b"x");
        bob.upload("STOU unique", b"x");
        bob.upload("STOU unique", b"x");
        bob.cmd("MKD dir", 257);
        for name in ["stored", "appended", "unique", "unique.1"] {
            assert_eq!(mode(&server, name), 0o646, "{name}, {way}");
        }
        assert_eq!(mode(&server, "dir"), 0o757, "{way}");
    }
}

#[test]
fn without_the_keys_the_umask_of_the_session_decides_and_not_that_of_the_process() {
    let server = Server::setup().umask("077").user("umask = 002\nfile_mode =").start();
    let mut bob = Client::bob(&server);
    bob.upload("STOR file", b"x");
    bob.cmd("MKD dir", 257);
    assert_eq!((mode(&server, "file"), mode(&server, "dir")), (0o664, 0o775));
}

#[test]
fn the_modes_are_those_of_the_folder_in_which_something_is_made() {
    for way in ["on", "off"] {
        let server = Server::setup()
            .server("umask = 027")
            .user(&format!("file_mode = 0600\natomic_uploads = {way}"))
            .section("[folder:/open]\nfile_mode = 0644\ndir_mode = 0755")
            .section("[folder:bob:/open/umask]\nfile_mode =\ndir_mode =")
            .start();
        let home = server.home();
        fs::create_dir_all(home.join("open/umask")).unwrap();
        symlink("open", home.join("way")).unwrap();
        let mut bob = Client::bob(&server);
        for (dir, file_mode, dir_mode) in [
            ("", 0o600, 0o750),
            ("open/", 0o644, 0o755),
            ("way/", 0o644, 0o755),
            ("open/umask/", 0o640, 0o750),
            ("way/umask/../", 0o644, 0o755),
        ] {
            bob.upload(&format!("STOR {dir}file"), b"x");
            bob.cmd(&format!("MKD {dir}dir"), 257);
            let both = [format!("{dir}file"), format!("{dir}dir")];
            assert_eq!(both.each_ref().map(|path| mode(&server, path)), [file_mode, dir_mode]);
            for path in &both {
                bob.cmd(&format!("RNFR {path}"), 350);
                bob.cmd("RNTO moved", 250);
                let moved = mode(&server, "moved");
                assert!([file_mode, dir_mode].contains(&moved), "{moved:o}");
                let command = if path.ends_with("dir") { "RMD" } else { "DELE" };
                bob.cmd(&format!("{command} moved"), 250);
            }
        }
    }
}

#[test]
fn a_part_has_the_mode_of_the_file_and_what_exists_keeps_its_own() {
    let server = Server::setup().server("file_mode = 0604\numask = 000").start();
    let home = server.home();
    set_mode(&server.put("old", "old"), 0o640);
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    for (name, wanted) in [("new", 0o604), ("old", 0o640)] {
        let mut data = hang(&mut bob, format!("STOR {name}"), b"x", &home, 1);
        let part = String::from_utf8(parts(&home)[0].0.clone()).unwrap();
        assert_eq!(mode(&server, &part), wanted);
        data.write_all(b"y").unwrap();
        drop(data);
        bob.expect(226);
        assert_eq!(mode(&server, name), wanted);
    }
    break_off(&mut bob, "STOR resumed", b"12", &home);
    resume(&mut bob, 2, "STOR resumed", b"34");
    assert_eq!(mode(&server, "resumed"), 0o604);
    bob.upload("APPE old", b"more");
    assert_eq!(mode(&server, "old"), 0o640);
}

#[test]
fn a_directory_may_be_set_group_id_or_sticky_and_inherits_the_first() {
    let server = Server::setup()
        .user("dir_mode = 3770\nquota_files = 100")
        .section("[folder:/plain]\ndir_mode = 0750")
        .start();
    let home = server.home();
    fs::create_dir(home.join("plain")).unwrap();
    let mut bob = Client::bob(&server);
    bob.cmd("MKD group", 257);
    assert_eq!(mode(&server, "group"), 0o3770);
    bob.cmd("MKD plain/no", 257);
    assert_eq!(mode(&server, "plain/no"), 0o750);
    set_mode(&home.join("plain"), 0o2755);
    bob.cmd("MKD plain/inherited", 257);
    assert_eq!(mode(&server, "plain/inherited"), 0o2750);
    assert!(bob.cmd("MKD group", 550).contains("exists"));
}

#[test]
fn a_home_that_is_made_and_a_folder_that_is_restored_have_dir_mode() {
    let server = Server::setup()
        .server("umask = 077\ntrash = on")
        .user("create_home = on\nhome = a/b\ndir_mode = 0751")
        .section("[folder:/dir]\ndir_mode = 0715")
        .start();
    let mut bob = Client::bob(&server);
    let mode = |name: &str| server.dir().join(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode("a"), mode("a/b")), (0o751, 0o751));
    bob.cmd("MKD dir", 257);
    bob.cmd("MKD dir/below", 257);
    bob.upload("STOR dir/below/file", b"x");
    bob.cmd("DELE dir/below/file", 250);
    fs::remove_dir_all(server.dir().join("a/b/dir")).unwrap();
    let words = ["--config", "ftpd.ini", "trash", "restore", "bob", "/dir/below/file"];
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(words)
        .current_dir(server.dir())
        .output();
    assert!(program.unwrap().status.success());
    assert_eq!((mode("a/b/dir"), mode("a/b/dir/below")), (0o751, 0o715));
}

#[test]
fn a_reload_changes_the_modes() {
    let server = Server::setup().user("file_mode = 0600").start();
    let ini = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&ini).unwrap();
    fs::write(&ini, text.replace("file_mode = 0600", "file_mode = 0660")).unwrap();
    server.signal("HUP");
    server.wait_for_log("reload");
    let mut bob = Client::bob(&server);
    bob.upload("STOR file", b"x");
    assert_eq!(mode(&server, "file"), 0o660);
}

#[test]
fn missing_directories_are_made_for_uploads_and_new_directories() {
    for way in ["on", "off"] {
        let server = Server::setup()
            .server("dir_mode = 0751\nquota_files = 100")
            .user(&format!("make_parents = on\natomic_uploads = {way}"))
            .start();
        let mut bob = Client::bob(&server);
        bob.upload("STOR a/b/file", b"1");
        bob.upload("APPE /c/d/../e/file", b"2");
        assert!(bob.upload("STOU u/v/w", b"3").contains("/u/v/w"));
        bob.cmd("MKD x/y/z", 257);
        bob.cmd("CWD x", 250);
        bob.upload("STOR rel/file", b"4");
        bob.upload("STOR rel/file", b"5");
        for (name, text) in [("a/b/file", "1"), ("c/e/file", "2"), ("x/rel/file", "5")] {
            assert_eq!(server.get(name), text.as_bytes());
        }
        for dir in ["a", "a/b", "c", "c/e", "u/v", "x", "x/y", "x/y/z", "x/rel"] {
            assert_eq!(mode(&server, dir), 0o751, "{dir}");
        }
        assert!(!server.has("c/d"), "`..` removes a name before anything is looked up");
        assert!(bob.cmd("MKD y", 550).contains("exists"));
        // others do not make any
        bob.cmd("CWD new", 550);
        bob.cmd("RNFR rel/file", 350);
        bob.cmd("RNTO new/file", 550);
        assert!(!server.has("x/new"));
    }
}

#[test]
fn without_the_key_or_the_letter_no_directory_is_made() {
    let server = Server::setup()
        .section("[user:eve]\npassword = secret\nhome = home\nperm = elrawd\nmake_parents = on")
        .section("[folder:bob:/in]\nmake_parents = on")
        .section("[folder:bob:/in/not]\nmake_parents = off")
        .start();
    let home = server.home();
    fs::create_dir_all(home.join("in/not")).unwrap();
    symlink("in", home.join("way")).unwrap();
    let mut bob = Client::bob(&server);
    let mut eve = Client::login(&server, "eve", "secret");
    for line in ["STOR a/b", "APPE a/b", "STOU a/b", "MKD a/b", "STOR in/not/a/b"] {
        assert_eq!(bob.exchange(line, b"x").0, 550, "{line}");
    }
    for line in ["STOR a/b", "APPE a/b", "STOU a/b"] {
        assert_eq!(eve.exchange(line, b"x").0, 550, "{line}");
    }
    server.wait_for_log("lacks the permission letter 'm'");
    eve.upload("STOR file", b"x");
    bob.upload("STOR way/a/file", b"x");
    assert_eq!(server.get("in/a/file"), b"x");
    assert!(!server.has("a") && !server.has("in/not/a"));
}

#[test]
fn the_letter_of_the_folder_in_which_a_directory_would_be_made_counts() {
    let server = Server::setup()
        .user("perm = elrw\nmake_parents = on")
        .section("[folder:bob:/in]\nperm = elrwm")
        .section("[folder:bob:/in/no]\nperm = elrw")
        .start();
    let home = server.home();
    fs::create_dir_all(home.join("in/no")).unwrap();
    symlink("in", home.join("way")).unwrap();
    symlink("../in/no", home.join("in/back")).unwrap();
    let mut bob = Client::bob(&server);
    for (path, code) in [
        ("a/file", 550),
        ("in/a/file", 226),
        ("in/no/a/file", 550),
        ("way/b/c/file", 226),
        ("in/back/a/file", 550),
        ("way/no/a/file", 550),
    ] {
        assert_eq!(bob.exchange(&format!("STOR {path}"), b"x").0, code, "{path}");
    }
    assert_eq!(fs::read_dir(home.join("in/no")).unwrap().count(), 0);
    assert!(!server.has("a") && server.get("in/b/c/file") == b"x");
}

#[test]
fn what_is_refused_makes_no_directory_or_takes_it_back() {
    let outside = tempfile::tempdir().unwrap();
    for way in ["on", "off"] {
        let server = Server::setup()
            .server(&format!("atomic_uploads = {way}\nquota_bytes = 1M"))
            .user("make_parents = on\ndeny_names = *.exe\nmax_file_size = 10")
            .section("[folder:/small]\nmax_file_size = 1")
            .start();
        let home = server.home();
        server.put("file", "x");
        symlink(outside.path(), home.join("out")).unwrap();
        symlink("nowhere/at/all", home.join("dangling")).unwrap();
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        for (line, code) in [
            ("STOR a/x.exe", 553),
            ("STOR a.exe/b/x", 553),
            ("STOR a/b.exe/x", 553),
            ("STOR a/.ftpd-part-x/y", 553),
            ("STOR .ftpd-trash/y", 553),
            ("STOR a/b/", 550),
            ("STOR file/a/b", 550),
            ("STOR out/a/b", 550),
            ("STOR dangling/a/b", 550),
            ("STOR a/x", 552),
            ("STOR small/a/x", 552),
            ("MKD a/x.exe", 553),
            ("MKD out/a/b", 550),
        ] {
            if (way, code) == ("off", 552) {
                // such a file stays
                continue;
            }
            assert_eq!(bob.exchange(line, b"more than ten bytes").0, code, "{line}, {way}");
            let mut names = bob.lines("NLST");
            names.sort();
            assert_eq!(names, ["dangling", "file", "out"], "{line}, {way}");
        }
        let long = format!("STOR a/b/{}/x", "l".repeat(300));
        assert_eq!(bob.exchange(&long, b"x").0, 553);
        bob.cmd("REST 5", 350);
        assert_eq!(bob.exchange("STOR a/b/c", b"x").0, 554, "{way}");
        // the data connection is never made
        bob.cmd("PORT 127,0,0,1,255,255", 200);
        bob.cmd("STOR a/b/c", 425);
        if way == "on" {
            // it breaks off before the first byte
            let data = bob.passive();
            bob.cmd("STOR a/b/c", 150);
            bob.cmd("ABOR", 426);
            bob.expect(226);
            drop(data);
        }
        assert!(!server.has("a"), "{way}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_part_keeps_the_directory_that_was_made_for_it() {
    let server = Server::setup().user("make_parents = on").start();
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    let mut data = bob.passive();
    bob.cmd("STOR a/b/c", 150);
    data.write_all(b"12").unwrap();
    let dir = server.home().join("a/b");
    crate::parts::arrived(&dir, 2);
    crate::client::reset(data);
    bob.expect(426);
    resume(&mut bob, 2, "STOR a/b/c", b"34");
    assert_eq!(server.get("a/b/c"), b"1234");
}

/// One of them is refused and removes what it has made, while the others need it.
#[test]
fn clients_that_make_the_same_directories_at_once_are_all_served() {
    let server = Server::setup().user("make_parents = on\nmax_file_size = 3").start();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut bob = Client::bob(server);
                bob.cmd("TYPE I", 200);
                for turn in 0..25 {
                    let (bytes, code) = if client == 0 { ("long", 552) } else { ("x", 226) };
                    let path = format!("{turn}/b/c/d/{client}");
                    let (got, text, _) =
                        bob.exchange(&format!("STOR {path}"), bytes.as_bytes());
                    assert_eq!(got, code, "{path}: {text}");
                }
            });
        }
    });
    for turn in 0..25 {
        let dir = server.home().join(format!("{turn}/b/c/d"));
        assert_eq!(fs::read_dir(dir).unwrap().count(), 3, "{turn}");
    }
}
