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
