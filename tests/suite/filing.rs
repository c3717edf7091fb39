//! The modes of new files and directories, directories that are made, and where uploads are filed.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::client::Client;
use crate::clients::Tool;
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

/// The date of today in a time zone, twice, in case midnight passes between the two.
fn today(zone: &str) -> String {
    let output = std::process::Command::new("date").env("TZ", zone).arg("+%Y/%m/%d").output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

/// All files of bob's home, with what is in them.
fn files(server: &Server) -> Vec<(String, String)> {
    fn below(dir: &Path, path: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{path}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                below(&entry.path(), &name, found);
            } else {
                let text = fs::read(entry.path()).unwrap();
                found.push((name, String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    let mut found = Vec::new();
    below(&server.home(), "", &mut found);
    found.sort();
    found
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

#[test]
fn uploads_are_filed_by_the_local_date_and_found_under_the_name_that_was_sent() {
    for (zone, way) in [("AAA-14", "on"), ("BBB12", "off")] {
        let server = Server::setup()
            .env("TZ", zone)
            .user(&format!(
                "store_as = {{year}}/{{month}}/{{day}}/{{name}}\natomic_uploads = {way}"
            ))
            .start();
        fs::create_dir(server.home().join("in")).unwrap();
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        let before = today(zone);
        let (_, reply, _) = bob.exchange("STOR in/scan.pdf", b"text");
        // unless midnight passes
        let date = if server.has(&format!("in/{before}")) { before } else { today(zone) };
        let path = format!("/in/{date}/scan.pdf");
        assert!(reply.contains(&path), "{reply}");
        assert_eq!(files(&server), [file(&path, "text")]);
        // the order of a scanner
        assert!(bob.cmd("SIZE in/scan.pdf", 213).contains('4'));
        bob.cmd("MFMT 20200102030405 in/scan.pdf", 213);
        assert!(bob.cmd("MDTM /in/scan.pdf", 213).contains("20200102030405"));
        bob.cmd("MDTM 20210102030405 in/scan.pdf", 213);
        bob.cmd("SITE UTIME 202201020304 in/scan.pdf", 213);
        bob.cmd("SITE CHMOD 640 in/scan.pdf", 200);
        assert_eq!(mode(&server, &path[1..]), 0o640);
        bob.cmd("CWD in", 250);
        bob.cmd("RNFR scan.pdf", 350);
        bob.cmd("RNTO final.pdf", 250);
        let path = format!("/in/{date}/final.pdf");
        assert_eq!(files(&server), [file(&path, "text")]);
        bob.cmd("SIZE scan.pdf", 550);
        assert!(bob.cmd("SIZE final.pdf", 213).contains('4'));
        bob.cmd("REST 2", 350);
        bob.upload("STOR final.pdf", b"XT");
        assert_eq!(files(&server), [file(&path, "teXT")]);
        // RETR and DELE mean what a listing shows, and a listing ends it
        bob.cmd("DELE final.pdf", 550);
        assert_eq!(bob.exchange("RETR final.pdf", b"").0, 550);
        bob.cmd("SIZE final.pdf", 213);
        assert_eq!(bob.lines("NLST").len(), 1);
        bob.cmd("SIZE final.pdf", 550);
        bob.cmd("RNFR final.pdf", 550);
        // in the folder by the date it is filed again
        bob.cmd(&format!("CWD {date}"), 250);
        bob.upload("STOR more.pdf", b"more");
        assert!(server.has(&format!("in/{date}/{date}/more.pdf")));
    }
}

#[test]
fn dele_of_a_name_under_which_an_upload_broke_off_removes_what_it_has_left() {
    let server = Server::setup()
        .user("store_as = {ext}/{name}")
        .section("[folder:bob:/txt]\nperm = elraw")
        .start();
    let dir = server.home().join("bin");
    let broken = |bob: &mut Client, name: &str| {
        let mut data = bob.passive();
        bob.cmd(&format!("STOR {name}"), 150);
        data.write_all(b"12").unwrap();
        crate::parts::arrived(&server.home().join(&name[name.len() - 3..]), 2);
        crate::client::reset(data);
        bob.expect(426);
    };
    let mut bob = Client::bob(&server);
    broken(&mut bob, "a.bin");
    bob.cmd("DELE a.bin", 250);
    assert_eq!(parts(&dir), []);
    bob.cmd("DELE a.bin", 550);
    // in a later session, too; a complete file that is filed in the same place stays
    bob.upload("STOR a.bin", b"whole");
    broken(&mut bob, "a.bin");
    drop(bob);
    let mut bob = Client::bob(&server);
    bob.cmd("DELE a.bin", 250);
    assert_eq!(parts(&dir), []);
    bob.cmd("DELE a.bin", 550);
    assert_eq!(files(&server), [file("/bin/a.bin", "whole")]);
    // the letter is needed where the upload was filed
    broken(&mut bob, "a.txt");
    let reply = bob.cmd("DELE a.txt", 550);
    assert!(reply.contains("Permission denied"), "{reply}");
    assert_eq!(parts(&server.home().join("txt")).len(), 1);
}

#[test]
fn what_each_command_stores_is_filed() {
    let server = Server::setup()
        .user("store_as = {user}/{ip}/{ext}/{stem}-{name}\nperm = elrawdf\ndir_mode = 0711")
        .start();
    let mut bob = Client::bob(&server);
    bob.upload("STOR a.b.c", b"1");
    bob.upload("APPE log.txt", b"1");
    bob.cmd("CWD bob", 250);
    bob.cmd("CWD /", 250);
    bob.upload("APPE log.txt", b"2");
    let reply = bob.upload("STOU x.y", b"3");
    assert!(reply.contains("FILE: /bob/127.0.0.1/y/x-x.y"), "{reply}");
    bob.upload("STOU x.y", b"4");
    let dir = "/bob/127.0.0.1";
    assert_eq!(
        files(&server),
        [
            file(&format!("{dir}/c/a.b-a.b.c"), "1"),
            file(&format!("{dir}/txt/log-log.txt"), "12"),
            file(&format!("{dir}/y/x-x.y"), "3"),
            file(&format!("{dir}/y/x-x.y.1"), "4"),
        ]
    );
    // the letter m is not needed for them
    assert_eq!(mode(&server, "bob/127.0.0.1/txt"), 0o711);
    let odd = b"STOR \xff\xfe{name}.\xe9";
    let mut data = bob.passive();
    bob.tell(odd, 150);
    data.write_all(b"odd").unwrap();
    drop(data);
    bob.expect(226);
    let mut name = b"bob/127.0.0.1/\xe9/\xff\xfe{name}-".to_vec();
    name.extend_from_slice(&odd[5..]);
    let path = server.home().join(std::ffi::OsStr::from_bytes(&name));
    assert_eq!(fs::read(path).unwrap(), b"odd");
}

#[test]
fn a_temporary_name_is_filed_like_the_name_that_it_gets() {
    for (template, path) in [
        ("{ext}/{name}", "/jpg/x.jpg"),
        ("{year}-filed/{name}", "/2xxx-filed/x.jpg"),
        ("all/{stem}.{ext}.{stem}", "/all/x.jpg.x"),
    ] {
        let server = Server::setup().user(&format!("store_as = {template}")).start();
        let path = path.replace("2xxx", &today("UTC")[..4]);
        let mut bob = Client::bob(&server);
        bob.upload("STOR x.filepart", b"picture");
        bob.cmd("RNFR x.filepart", 350);
        bob.cmd("NOOP", 200);
        bob.cmd("RNTO x.jpg", 250);
        assert_eq!(files(&server), [file(&path, "picture")], "{template}");
        bob.cmd("MFMT 20200102030405 x.jpg", 213);
        bob.cmd("SIZE x.filepart", 550);
        // to another directory, as the client says
        fs::create_dir(server.home().join("other")).unwrap();
        bob.cmd("RNFR x.jpg", 350);
        bob.cmd("RNTO other/y.jpg", 250);
        assert_eq!(files(&server), [file("/other/y.jpg", "picture")]);
        // what a listing shows is not filed by a rename
        bob.cmd("RNFR other/y.jpg", 350);
        bob.cmd("RNTO other/z.jpg", 250);
        assert_eq!(files(&server), [file("/other/z.jpg", "picture")]);
    }
}

#[test]
fn an_upload_that_broke_off_is_resumed_by_a_later_session_even_on_another_day() {
    let mut server = Server::setup()
        .env("TZ", "AAA-14")
        .user("store_as = {year}/{month}/{day}/{name}")
        .section("[user:eve]\npassword = secret\nhome = home\nperm = elradfmw\nstore_as = {name}.{day}")
        .start();
    let day = today("AAA-14");
    let broken = |server: &Server, name: &str| {
        let mut bob = Client::bob(server);
        bob.cmd("TYPE I", 200);
        let mut data = bob.passive();
        bob.cmd(&format!("STOR {name}"), 150);
        data.write_all(b"12").unwrap();
        crate::parts::arrived(&server.home().join(&day), 2);
        crate::client::reset(data);
        bob.expect(426);
        assert!(bob.cmd(&format!("SIZE {name}"), 213).contains('2'));
        bob
    };
    let mut bob = broken(&server, "same.bin");
    resume(&mut bob, 2, "STOR same.bin", b"34");
    drop(bob);
    for name in ["rest.bin", "appe.bin", "anew.bin"] {
        // each has a folder to itself, in which it is waited for
        drop(broken(&server, name));
        let part = &parts(&server.home().join(&day))[0].0;
        assert_eq!(parts(&server.home().join(&day)).len(), 1);
        // another day: more than a day behind
        server.set_env("TZ", "BBB12");
        server.restart("TERM");
        assert_ne!(today("BBB12"), day);
        let mut bob = Client::bob(&server);
        let mut eve = Client::login(&server, "eve", "secret");
        for client in [&mut bob, &mut eve] {
            client.cmd("TYPE I", 200);
        }
        eve.cmd(&format!("SIZE {name}"), 550);
        bob.cmd("SIZE other.bin", 550);
        assert!(bob.cmd(&format!("SIZE {name}"), 213).contains('2'), "{part:?}");
        match name {
            "rest.bin" => resume(&mut bob, 2, "STOR rest.bin", b"34"),
            "appe.bin" => drop(bob.upload("APPE appe.bin", b"34")),
            _ => {
                bob.upload("STOR anew.bin", b"new");
                // the old part is not mixed into it
                drop(bob);
                let mut bob = Client::bob(&server);
                bob.cmd("SIZE anew.bin", 550);
            }
        }
        assert_eq!(parts(&server.home().join(&day)), []);
        server.set_env("TZ", "AAA-14");
        server.restart("TERM");
    }
    let mut wanted: Vec<_> = ["appe.bin", "rest.bin", "same.bin"]
        .map(|name| file(&format!("/{day}/{name}"), "1234"))
        .into();
    wanted.push(file(&format!("/{}/anew.bin", today("BBB12")), "new"));
    wanted.sort();
    assert_eq!(files(&server), wanted);
}

#[test]
fn settings_of_the_place_where_a_file_is_filed_apply() {
    let server = Server::setup()
        .user("store_as = {ext}/{name}\nallow_names = *.jpg, *.txt, *.exe, *.bin\nfile_mode = 0600")
        .section("[folder:/jpg]\nfile_mode = 0644\nmax_file_size = 3")
        .section("[folder:/exe]\ndeny_names = *.exe")
        .section("[folder:bob:/bin]\nperm = elr")
        .section("[folder:/plain]\nstore_as =")
        .start();
    fs::create_dir(server.home().join("plain")).unwrap();
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    for (name, code) in [
        ("a.jpg", 226),
        ("long.jpg", 552),
        ("a.exe", 553),
        ("a.txt", 226),
        ("a.pdf", 553),
        ("a.bin", 550),
        ("noext", 553),
        ("plain/a.txt", 226),
        ("dir.txt/", 550),
        ("missing/a.txt", 550),
    ] {
        let text = if name.starts_with("long") { "long" } else { "x" };
        let (got, reply, _) = bob.exchange(&format!("STOR {name}"), text.as_bytes());
        assert_eq!(got, code, "{name}: {reply}");
    }
    assert_eq!(
        files(&server),
        [file("/jpg/a.jpg", "x"), file("/plain/a.txt", "x"), file("/txt/a.txt", "x"),]
    );
    assert_eq!((mode(&server, "jpg/a.jpg"), mode(&server, "txt/a.txt")), (0o644, 0o600));
    assert!(!server.has("exe") && !server.has("bin") && !server.has("pdf"));
    // an alias gives no letters
    bob.upload("STOR b.txt", b"x");
    bob.cmd("RNFR b.txt", 350);
    bob.cmd("RNTO b.bin", 550);
    assert!(server.has("txt/b.txt") && !server.has("bin"));
}

#[test]
fn no_name_and_no_link_leads_out_of_the_place_where_files_are_filed() {
    let outside = tempfile::tempdir().unwrap();
    for way in ["on", "off"] {
        let server = Server::setup()
            .user(&format!("store_as = {{stem}}/{{user}}/{{ext}}\natomic_uploads = {way}"))
            .section("[user:..]\npassword = secret\nhome = home\nperm = elrw\nstore_as = {user}/{name}")
            .section("[user:a/b]\npassword = secret\nhome = home\nperm = elrw\nstore_as = {user}/{name}")
            .start();
        let home = server.home();
        symlink(outside.path(), home.join("out")).unwrap();
        symlink("/etc", home.join("etc")).unwrap();
        symlink("nowhere", home.join("dangling")).unwrap();
        fs::create_dir(home.join("in")).unwrap();
        symlink(outside.path(), home.join("in/bob")).unwrap();
        let mut bob = Client::bob(&server);
        for (name, code) in [
            ("out.x", 550),
            ("etc.x", 550),
            ("in.x", 550),
            ("dangling.x", 550),
            ("...x", 553),
            ("../../...x", 553),
            ("..", 550),
            (".x", 553),
            ("x", 553),
            (".ftpd-part-a.x", 553),
            (".ftpd-trash.x", 553),
            ("a..ftpd-part-x", 226),
        ] {
            let (got, reply, _) = bob.exchange(&format!("STOR {name}"), b"x");
            assert_eq!(got, code, "{name}, {way}: {reply}");
        }
        let long = format!("STOR {}.x", "l".repeat(300));
        assert_eq!(bob.exchange(&long, b"x").0, 553);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        for user in ["..", "a/b"] {
            let mut odd = Client::login(&server, user, "secret");
            assert_eq!(odd.exchange("STOR x", b"x").0, 553, "{user}");
        }
        let made = fs::read_dir(&home).unwrap().count();
        assert_eq!(made, 5, "only a. was made, for a. .ftpd-part-x, {way}");
    }
}

fn url(server: &Server, path: &str) -> String {
    format!("ftp://bob:secret@{}/{path}", server.address())
}

fn lftp(server: &Server, commands: &str) -> [String; 3] {
    let address = server.address();
    let script = format!(
        "set cmd:fail-exit on; set net:max-retries 2; set net:timeout 20; \
         open -u bob,secret -p {} {}; {commands}",
        address.port(),
        address.ip()
    );
    ["--norc".to_owned(), "-c".to_owned(), script]
}

#[test]
fn curl_and_lftp_store_into_missing_directories() {
    let server = Server::setup().user("make_parents = on").start();
    if let Some(curl) = Tool::find("curl") {
        curl.put("file", "curl");
        for (path, options) in [
            ("a/b/c", &["--ftp-method", "nocwd"][..]),
            ("create/b/c", &["--ftp-create-dirs"]),
            ("both/b/c", &["--ftp-create-dirs", "--ftp-method", "nocwd"]),
        ] {
            let line = ["-sS", "-T", "file", &url(&server, path)];
            curl.run([&line[..], options].concat()).ok();
            assert_eq!(server.get(path), b"curl", "{path}");
        }
    }
    if let Some(tool) = Tool::find("lftp") {
        tool.put("up/x/y/file", "lftp");
        fs::create_dir(tool.path("up/empty")).unwrap();
        tool.run(lftp(&server, "mirror -R up l; put up/x/y/file -o l/m/n/file")).ok();
        assert_eq!(server.get("l/x/y/file"), b"lftp");
        assert_eq!(server.get("l/m/n/file"), b"lftp");
        assert!(server.has("l/empty"));
    }
}

#[test]
fn what_curl_and_lftp_send_is_filed_and_resumed() {
    let server = Server::setup().user("store_as = {ext}/{stem}/{name}").start();
    let broken = |name: &str, dir: &str| {
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        let mut data = bob.passive();
        bob.cmd(&format!("STOR {name}"), 150);
        data.write_all(b"12345").unwrap();
        crate::parts::arrived(&server.home().join(dir), 5);
        crate::client::reset(data);
        bob.expect(426);
    };
    if let Some(curl) = Tool::find("curl") {
        curl.put("file", "1234567890");
        // as cameras and scanners do it
        let line = ["-sS", "-T", "file", &url(&server, "up.tmp"), "-Q", "-RNFR up.tmp"];
        curl.run([&line[..], &["-Q", "-RNTO curl.jpg"]].concat()).ok();
        assert_eq!(server.get("jpg/curl/curl.jpg"), b"1234567890");
        broken("curl.bin", "bin/curl");
        let said = curl.run(["-sSv", "-C", "-", "-T", "file", &url(&server, "curl.bin")]).ok();
        assert!(said.contains("APPE"), "{said}");
        assert_eq!(server.get("bin/curl/curl.bin"), b"1234567890");
    }
    if let Some(tool) = Tool::find("lftp") {
        tool.put("up/lftp.jpg", "1234567890");
        tool.put("up/lftp.bin", "1234567890");
        tool.run(lftp(&server, "set xfer:use-temp-file on; put up/lftp.jpg")).ok();
        assert_eq!(server.get("jpg/lftp/lftp.jpg"), b"1234567890");
        broken("lftp.bin", "bin/lftp");
        tool.run(lftp(&server, "put -c up/lftp.bin")).ok();
        assert_eq!(server.get("bin/lftp/lftp.bin"), b"1234567890");
        tool.run(lftp(&server, "mirror -R up m")).ok();
        assert_eq!(server.get("m/jpg/lftp/lftp.jpg"), b"1234567890");
    }
    assert!(files(&server).iter().all(|(path, _)| !path.contains("ftpd-part")));
}

#[test]
fn the_letters_where_a_file_is_filed_count_for_each_way_to_store_it() {
    let server = Server::setup()
        .user("store_as = sub/{name}")
        .section("[folder:bob:/sub]\nperm = elr")
        .start();
    fs::create_dir(server.home().join("sub")).unwrap();
    let mut bob = Client::bob(&server);
    for line in ["STOR a", "APPE a", "STOU a"] {
        bob.passive();
        bob.cmd(line, 550);
    }
    assert_eq!(fs::read_dir(server.home().join("sub")).unwrap().count(), 0);
}

#[test]
fn an_append_goes_where_an_upload_would_be_filed_now() {
    let server = Server::setup().user("store_as = {year}/{name}").start();
    let mut bob = Client::bob(&server);
    bob.upload("STOR log.txt", b"1");
    // as when a year ends, or somebody clears up
    let year = fs::read_dir(server.home()).unwrap().map(|entry| entry.unwrap().path());
    let year = year.into_iter().find(|path| path.join("log.txt").exists()).unwrap();
    fs::rename(&year, server.home().join("before")).unwrap();
    bob.upload("APPE log.txt", b"2");
    assert_eq!(fs::read(year.join("log.txt")).unwrap(), b"2");
    assert_eq!(server.get("before/log.txt"), b"1");
}
