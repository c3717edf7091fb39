//! MFF, SITE CHGRP, SITE MKDIR, SITE RMDIR and SITE SYMLINK, LANG, and `CWD ~`.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::client::Client;
use crate::server::{Server, run};

/// Mode, group and time of a file.
fn facts(server: &Server, name: &str) -> (u32, u32, i64) {
    let meta = fs::metadata(server.home().join(name)).unwrap();
    (meta.mode() & 0o7777, meta.gid(), meta.mtime())
}

/// A file of mode 0640 and a known time.
fn put(server: &Server, name: &str) {
    let path = server.put(name, "text");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 0);
    File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
}

#[test]
fn mff_sets_all_facts_and_lists_them_as_they_are_now() {
    let server = Server::start();
    put(&server, "a b");
    let gid = facts(&server, "a b").1;
    let mut client = Client::bob(&server);
    assert!(client.cmd("FEAT", 211).contains(" MFF modify;UNIX.group;UNIX.mode;\n"));
    let answer = client.cmd("MFF modify=20240229120000; a b", 213);
    assert_eq!(answer, "213 modify=20240229120000; a b");
    assert_eq!(facts(&server, "a b"), (0o640, gid, 1_709_208_000));
    let line = format!("MFF UNIX.mode=600;Modify=20200101000000;unix.GROUP={gid}; a b");
    let answer = client.cmd(&line, 213);
    let wanted = format!("213 modify=20200101000000;UNIX.mode=0600;UNIX.group={gid}; a b");
    assert_eq!(answer, wanted);
    assert_eq!(facts(&server, "a b"), (0o600, gid, 1_577_836_800));
    for byte in b"MFF UNIX.mode=644; a b\r\n" {
        client.raw(&[*byte]);
    }
    client.expect(213);
    assert_eq!(facts(&server, "a b").0, 0o644);
    let line = server.wait_for_log("MFF \"");
    assert!(line.contains("a b"), "{line}");
}

#[test]
fn mff_sets_nothing_if_one_fact_cannot_be_set() {
    let server = Server::start();
    put(&server, "file");
    let before = facts(&server, "file");
    let mut client = Client::bob(&server);
    for (line, code) in [
        // what ncftp tries first
        ("MFF Modify=20240229120000;Create=20240229120000 file", 504),
        ("MFF UNIX.mode=600;size=5; file", 504),
        ("MFF UNIX.mode=600;modify=20240230120000; file", 501),
        ("MFF UNIX.mode=4755;modify=20240229120000; file", 501),
        ("MFF UNIX.mode=600;UNIX.mode=644; file", 501),
        ("MFF UNIX.mode=600;UNIX.group=nobody-of-that-name; file", 550),
        ("MFF UNIX.mode=600;UNIX.group=64999; file", 550),
        ("MFF UNIX.mode=600; none", 550),
        ("MFF UNIX.mode=600;", 501),
        ("MFF file", 501),
    ] {
        client.cmd(line, code);
        assert_eq!(facts(&server, "file"), before, "{line}");
    }
    std::os::unix::fs::symlink("/etc/passwd", server.home().join("out")).unwrap();
    client.cmd("MFF UNIX.mode=600;modify=20240229120000; out", 550);
}

#[test]
fn mff_takes_back_the_mode_if_the_time_may_not_be_set_where_a_link_leads() {
    let server = Server::setup().section("[folder:bob:/in]\nperm = elradfmwM").start();
    fs::create_dir(server.home().join("in")).unwrap();
    put(&server, "in/file");
    std::os::unix::fs::symlink("in/file", server.home().join("link")).unwrap();
    let before = facts(&server, "in/file");
    let mut client = Client::bob(&server);
    for line in [
        "MFF UNIX.mode=600;modify=20240229120000; link",
        "MFF UNIX.mode=600;modify=20240229120000; in/file",
        "MFF modify=20240229120000; link",
        "MFF modify=20240229120000; in/file",
    ] {
        client.cmd(line, 550);
        assert_eq!(facts(&server, "in/file"), before, "{line}");
    }
    client.cmd("MFF UNIX.mode=600; link", 213);
    assert_eq!(facts(&server, "in/file").0, 0o600);
}

#[test]
fn mff_of_several_facts_takes_the_letter_of_each() {
    let server = Server::setup()
        .section("[user:time]\npassword = secret\nhome = home\nperm = elT")
        .section("[user:mode]\npassword = secret\nhome = home\nperm = elM")
        .start();
    put(&server, "file");
    let before = facts(&server, "file");
    for user in ["time", "mode"] {
        let mut client = Client::login(&server, user, "secret");
        client.cmd("MFF UNIX.mode=600;modify=20240229120000; file", 550);
        assert_eq!(facts(&server, "file"), before, "{user}");
    }
    Client::login(&server, "time", "secret").cmd("MFF modify=20240229120000; file", 213);
    Client::login(&server, "mode", "secret").cmd("MFF UNIX.mode=600; file", 213);
}

#[test]
fn a_group_is_one_of_the_server_s_own() {
    let server = Server::start();
    put(&server, "a b");
    let gid = facts(&server, "a b").1;
    let mut client = Client::bob(&server);
    client.cmd(&format!("SITE CHGRP {gid} a b"), 200);
    for group in ["64999", "nobody-of-that-name", "4294967295", "-1"] {
        client.cmd(&format!("SITE CHGRP {group} a b"), 550);
        assert_eq!(facts(&server, "a b").1, gid);
    }
    client.cmd(&format!("SITE CHGRP {gid} none"), 550);
    client.cmd(&format!("SITE CHGRP {gid}"), 501);
    std::os::unix::fs::symlink("/etc", server.home().join("out")).unwrap();
    client.cmd(&format!("SITE CHGRP {gid} out"), 550);
    let groups = rustix::process::getgroups().unwrap();
    if let Some(other) = groups.iter().map(|one| one.as_raw()).find(|other| *other != gid) {
        client.cmd(&format!("SITE CHGRP {other} a b"), 200);
        assert_eq!(facts(&server, "a b").1, other);
    }
}

#[test]
fn site_mkdir_makes_what_is_missing_and_site_rmdir_removes_what_is_empty() {
    let server = Server::setup().user("deny_names = *.no").start();
    let mut client = Client::bob(&server);
    client.cmd("SITE MKDIR a b/c d/e", 200);
    assert!(server.home().join("a b/c d/e").is_dir());
    client.cmd("SITE MKDIR a b/c d/e", 200);
    client.cmd("SITE MKDIR /", 200);
    client.cmd("CWD a b", 250);
    client.cmd("SITE MKDIR x/../y/", 200);
    assert!(server.home().join("a b/y").is_dir() && !server.has("a b/x"));
    client.cmd("CWD /", 250);
    server.put("file", "text");
    client.cmd("SITE MKDIR file", 550);
    client.cmd("SITE MKDIR file/x", 550);
    client.cmd("SITE MKDIR new/x.no/y", 553);
    assert!(!server.has("new/x.no"));
    client.cmd("SITE MKDIR .ftpd-part-x/y", 553);
    client.cmd("SITE MKDIR ../outside/../../far", 200);
    assert!(server.has("far") && !server.dir().join("far").exists() && !server.has("outside"));
    client.cmd("SITE RMDIR a b", 550);
    client.cmd("SITE RMDIR a b/c d/e", 250);
    client.cmd("SITE RMDIR a b/c d", 250);
    client.cmd("SITE RMDIR /", 550);
    client.cmd("SITE RMDIR file", 550);
    std::os::unix::fs::symlink("/tmp", server.home().join("out")).unwrap();
    client.cmd("SITE MKDIR out/ftpd-must-not-be-there", 550);
    assert!(!std::path::Path::new("/tmp/ftpd-must-not-be-there").exists());
}

#[test]
fn site_mkdir_asks_for_the_letter_of_each_folder_that_it_makes() {
    let server = Server::setup()
        .section("[folder:bob:/in]\nperm = el")
        .section("[folder:bob:/in/deep/free]\nperm = elm")
        .start();
    let mut client = Client::bob(&server);
    fs::create_dir(server.home().join("in")).unwrap();
    client.cmd("SITE MKDIR in/deep/free/x", 550);
    assert!(!server.has("in/deep"));
}

#[test]
fn the_only_language_is_english() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    assert!(client.cmd("FEAT", 211).contains(" LANG EN*\n"));
    for line in ["LANG", "LANG EN", "lang en-GB"] {
        client.cmd(line, 200);
    }
    for line in ["LANG FR", "LANG zh-CN", "LANG ENG"] {
        client.cmd(line, 504);
    }
}

#[test]
fn a_tilde_is_the_home_unless_something_has_this_name() {
    let server = Server::setup().section("[folder:bob:/closed]\nperm = l").start();
    for dir in ["dir/sub", "~x", "closed"] {
        fs::create_dir_all(server.home().join(dir)).unwrap();
    }
    let mut client = Client::bob(&server);
    let cwd =
        |client: &mut Client| client.cmd("PWD", 257).split('"').nth(1).unwrap().to_owned();
    client.cmd("CWD dir/sub", 250);
    client.cmd("CWD ~/dir", 250);
    assert_eq!(cwd(&mut client), "/dir");
    client.cmd("XCWD ~", 250);
    assert_eq!(cwd(&mut client), "/");
    client.cmd("CWD ~x", 250);
    assert_eq!(cwd(&mut client), "/~x");
    client.cmd("CWD ~/../../dir/", 250);
    assert_eq!(cwd(&mut client), "/dir");
    client.cmd("CWD ~/none", 550);
    client.cmd("CWD ~bob", 550);
    // the letters are those of the directory that is meant
    client.cmd("CWD ~/closed", 550);
    fs::create_dir_all(server.home().join("dir/~/sub")).unwrap();
    client.cmd("CWD ~/sub", 250);
    assert_eq!(cwd(&mut client), "/dir/~/sub");
    client.cmd("CWD ..", 250);
    client.cmd("CWD ..", 250);
    client.cmd("CWD ~", 250);
    assert_eq!(cwd(&mut client), "/dir/~");
    // other commands take it for a name
    client.cmd("SIZE ~/dir", 550);
}

mod symlink {
    use std::path::Path;

    use super::*;

    fn text(server: &Server, name: &str) -> Option<String> {
        let text = fs::read_link(server.home().join(name)).ok()?;
        Some(text.to_str().unwrap().to_owned())
    }

    #[test]
    fn no_link_is_made_unless_the_settings_allow_it() {
        let server = Server::start();
        server.put("file", "text");
        let mut client = Client::bob(&server);
        client.cmd("SITE SYMLINK file link", 550);
        assert!(!server.has("link"));
        let line = server.wait_for_log("allow_symlinks is off");
        assert!(line.contains("SITE SYMLINK"), "{line}");
    }

    #[test]
    fn a_link_leads_to_what_lies_below_its_directory() {
        let server = Server::setup().user("allow_symlinks = on\ndeny_names = *.no").start();
        server.put("dir/sub/file", "text");
        server.put("dir/a b", "spaces");
        let mut client = Client::bob(&server);
        for (line, name, to) in [
            ("dir/sub/file one", "one", "dir/sub/file"),
            ("/dir/sub dir/two", "dir/two", "sub"),
            ("\"dir/a b\" \"dir/c d\"", "dir/c d", "a b"),
            ("dir/../dir/sub/../sub/file three", "three", "dir/sub/file"),
        ] {
            client.cmd(&format!("SITE SYMLINK {line}"), 200);
            assert_eq!(text(&server, name).as_deref(), Some(to), "{line}");
        }
        assert_eq!(client.download("RETR one"), b"text");
        assert_eq!(client.download("RETR dir/two/file"), b"text");
        // relative to the working directory, and by another link
        client.cmd("CWD dir", 250);
        client.cmd("SITE SYMLINK two/file four", 200);
        assert_eq!(text(&server, "dir/four").as_deref(), Some("sub/file"));
        client.cmd("CWD /", 250);
        for (line, code) in [
            ("dir/sub/file one", 553),
            ("none new", 550),
            ("dir none/new", 550),
            ("dir/sub/file dir/sub/file", 553),
            ("dir dir/new", 550),
            ("dir/a dir/sub/new", 550),
            ("/ new", 550),
            (". new", 550),
            ("../file new", 550),
            ("dir/sub new.no", 553),
            ("dir/sub .ftpd-part-x", 553),
            ("dir new/", 550),
            ("dir", 501),
            ("a b c", 501),
        ] {
            client.cmd(&format!("SITE SYMLINK {line}"), code);
        }
        assert!(!server.has("new") && !server.has("dir/new"));
    }

    #[test]
    fn no_link_and_no_rename_of_one_leads_out_of_the_home() {
        let server = Server::setup().user("allow_symlinks = on").start();
        let outside = server.dir().join("outside");
        fs::write(&outside, "outside").unwrap();
        std::os::unix::fs::symlink(&outside, server.home().join("out")).unwrap();
        std::os::unix::fs::symlink("..", server.home().join("up")).unwrap();
        // what the path of the real file outside would be if a link were moved upwards
        server.put("a/b/c/outside", "inside");
        server.put("outside", "inside");
        let mut client = Client::bob(&server);
        for line in [
            "out new",
            "up new",
            "up/outside new",
            "/outside a/b/c/new",
            "../../../outside a/b/c/new",
            "/etc/passwd new",
            "out/.. new",
        ] {
            let (code, _) = client.ask(&format!("SITE SYMLINK {line}"));
            if code == 200 {
                let name = line.split(' ').nth(1).unwrap();
                let text = fs::read_link(server.home().join(name)).unwrap();
                assert!(text.is_relative(), "{line}: {text:?}");
                assert!(!text.iter().any(|part| part == ".."), "{line}: {text:?}");
                client.cmd(&format!("DELE {name}"), 250);
            }
        }
        client.cmd("SITE SYMLINK a/b/c/outside a/b/link", 200);
        client.cmd("RNFR a/b/link", 350);
        client.cmd("RNTO link", 250);
        client.cmd("RETR link", 550);
        client.cmd("RNFR a/b", 350);
        client.cmd("RNTO b", 250);
        let inside = |link: &Path| {
            let text = fs::read_link(link).unwrap();
            assert!(text.is_relative() && !text.iter().any(|part| part == ".."), "{text:?}");
        };
        inside(&server.home().join("link"));
    }

    #[test]
    fn the_letters_of_both_ends_and_the_quota_decide() {
        let server = Server::setup()
            .user("allow_symlinks = on\nquota_files = 3")
            .section("[folder:bob:/closed]\nperm = el")
            .start_with(|dir| {
                fs::create_dir(dir.join("home/closed")).unwrap();
                fs::write(dir.join("home/closed/file"), "secret").unwrap();
                fs::write(dir.join("home/file"), "text").unwrap();
            });
        // what was there before the start counts only once it has been found
        assert_eq!(run(&["quota", "--rescan"], server.dir()).0, 0);
        let mut client = Client::bob(&server);
        client.cmd("SITE SYMLINK closed/file closed/link", 550);
        // the file stays closed to those who follow the link
        let (code, _) = client.ask("SITE SYMLINK closed/file link");
        if code == 200 {
            client.cmd("RETR link", 550);
            client.cmd("XCRC link 0 1", 550);
            client.cmd("DELE link", 250);
        }
        client.cmd("SITE SYMLINK file one", 200);
        client.cmd("SITE SYMLINK file two", 552);
        assert!(!server.has("two"));
        client.cmd("DELE one", 250);
        client.cmd("SITE SYMLINK file two", 200);
    }
}
