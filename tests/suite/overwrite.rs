//! What happens to a name that is taken (`overwrite`), and the name under which a session then sees
//! its file.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;

use ftpd::config::of_text;

use crate::client::{Client, connect_from, reset};
use crate::parts::{arrived, break_off, hang, parts};
use crate::server::{Server, eventually, run};
use crate::tls_client::Tls;

/// How files are written: to parts, or in place.
const WAYS: [&str; 2] = ["atomic_uploads = on", "atomic_uploads = off"];

// overwrite = no

#[test]
fn with_overwrite_no_a_name_is_taken_once() {
    for way in WAYS {
        for key in ["overwrite = no", "allow_overwrite = off"] {
            let server = Server::setup().user(&format!("{key}\n{way}")).start();
            server.put("there", "old");
            server.put("other", "x");
            symlink("there", server.home().join("link")).unwrap();
            symlink("nowhere", server.home().join("broken")).unwrap();
            let mut bob = Client::bob(&server);
            bob.cmd("TYPE I", 200);
            for name in ["there", "link", "broken"] {
                for verb in ["STOR", "APPE"] {
                    bob.passive();
                    bob.cmd(&format!("{verb} {name}"), 553);
                }
                bob.cmd("REST 2", 350);
                bob.passive();
                bob.cmd(&format!("STOR {name}"), 553);
                bob.cmd("RNFR other", 350);
                bob.cmd(&format!("RNTO {name}"), 553);
            }
            assert_eq!(server.get("there"), b"old", "{way}");
            assert!(!server.has("nowhere"), "{way}");
            bob.upload("STOR new", b"new");
            bob.upload("APPE more", b"more");
            bob.upload("STOU", b"unique");
            bob.upload("STOU there", b"unique");
            bob.cmd("RNFR other", 350);
            bob.cmd("RNTO free", 250);
            assert_eq!(server.get("new"), b"new");
            assert_eq!(server.get("more"), b"more");
            assert_eq!(server.get("there.1"), b"unique");
            assert_eq!(server.get("free"), b"x");
            bob.cmd("DELE there", 250);
            bob.upload("STOR there", b"again");
            assert_eq!(server.get("there"), b"again");
            server.wait_for_log("there is a file of this name (overwrite)");
        }
    }
}

#[test]
fn with_overwrite_no_a_directory_is_no_file_to_store() {
    for way in WAYS {
        let server = Server::setup().user(&format!("overwrite = no\n{way}")).start();
        server.put("file", "x");
        for dir in ["dir", "full/of"] {
            fs::create_dir_all(server.home().join(dir)).unwrap();
        }
        let mut bob = Client::bob(&server);
        for (from, to) in [("file", "dir"), ("dir", "full"), ("full", "dir")] {
            bob.cmd(&format!("RNFR {from}"), 350);
            bob.cmd(&format!("RNTO {to}"), 553);
        }
        for line in ["STOR dir", "APPE dir", "STOR /"] {
            bob.passive();
            bob.cmd(line, 550);
        }
        bob.passive();
        bob.cmd("STOR dir/", 550);
        bob.cmd("MKD dir", 550);
    }
}

#[test]
fn with_overwrite_no_two_uploads_of_one_name_both_stay() {
    let server = Server::setup().user("overwrite = no").start();
    let (mut one, mut two) = (Client::bob(&server), Client::bob(&server));
    let mut data = one.passive();
    one.cmd("STOR x", 150);
    data.write_all(b"one").unwrap();
    two.upload("STOR x", b"two");
    drop(data);
    let reply = one.expect(226);
    assert!(reply.contains("FILE: x.1"), "{reply}");
    assert_eq!((server.get("x"), server.get("x.1")), (b"two".to_vec(), b"one".to_vec()));
}

#[test]
fn with_overwrite_no_a_broken_upload_is_resumed() {
    let server = Server::setup().user("overwrite = no").start();
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    break_off(&mut bob, "STOR x", b"broken", &server.home());
    let mut again = Client::bob(&server);
    again.cmd("TYPE I", 200);
    assert_eq!(again.cmd("SIZE x", 213), "213 6");
    again.cmd("REST 6", 350);
    again.upload("STOR x", b" off");
    assert_eq!(server.get("x"), b"broken off");
    // what is complete stays as it is
    again.cmd("REST 6", 350);
    again.passive();
    again.cmd("STOR x", 553);
    assert_eq!(server.get("x"), b"broken off");
}

#[test]
fn a_folder_may_overwrite_otherwise() {
    let server = Server::setup()
        .user("overwrite = no")
        .section("[folder:bob:/work]\noverwrite = yes\n[folder:/work/done]\noverwrite = no")
        .start_with(|dir| {
            fs::create_dir_all(dir.join("home/work/done")).unwrap();
        });
    for path in ["a", "work/a", "work/done/a"] {
        server.put(path, "old");
    }
    symlink("../a", server.home().join("work/link")).unwrap();
    let mut bob = Client::bob(&server);
    bob.upload("STOR work/a", b"new");
    bob.upload("APPE work/a", b"er");
    for path in ["a", "work/done/a", "work/link"] {
        for verb in ["STOR", "APPE"] {
            bob.passive();
            bob.cmd(&format!("{verb} {path}"), 553);
        }
    }
    bob.cmd("RNFR work/a", 350);
    bob.cmd("RNTO work/done/a", 553);
    bob.cmd("RNFR work/done/a", 350);
    bob.cmd("RNTO work/a", 250);
    assert_eq!((server.get("a"), server.get("work/a")), (b"old".to_vec(), b"old".to_vec()));
}

#[test]
fn the_older_name_of_the_key_cannot_contradict_the_newer() {
    let bob = "[user:bob]\npassword = x\nhome = /\n";
    let fault = |section: &str, keys: &str| {
        let text = format!("[server]\n{bob}{keys}").replacen("[server]\n", section, 1);
        of_text(&text)
            .err()
            .into_iter()
            .flatten()
            .map(|fault| fault.to_string())
            .collect::<Vec<_>>()
    };
    for keys in [
        "overwrite = on\n",
        "overwrite = NO\n",
        "allow_overwrite = yes\n",
        "allow_overwrite =\noverwrite = no\n",
    ] {
        assert_eq!(fault("[server]\n", keys), [""; 0], "{keys}");
        assert_eq!(fault(&format!("[server]\n{keys}"), ""), [""; 0], "{keys}");
    }
    let both = "allow_overwrite = off\noverwrite = no\n";
    let why = "allow_overwrite: cannot be set together with 'overwrite'";
    assert_eq!(fault("", both), [format!("settings:4: [user:bob] {why}")]);
    assert_eq!(
        fault(&format!("[server]\n{both}"), ""),
        [format!("settings:2: [server] {why}")]
    );
    let template = format!("[server]\n[template:all]\n{both}");
    assert_eq!(fault(&template, ""), [format!("settings:3: [template:all] {why}")]);
    let odd = fault("", "overwrite = never\n");
    assert_eq!(
        odd,
        ["settings:4: [user:bob] overwrite: 'never' is not one of yes, no, rename"]
    );
    let found = fault("", "[folder:/a]\nallow_overwrite = off\n");
    assert_eq!(found, ["settings:5: [folder:/a] allow_overwrite: belongs in [user:NAME]"]);
}

#[test]
fn ftpd_why_knows_of_names_that_are_taken() {
    let server = Server::setup().user("overwrite = no").start();
    server.put("there", "old");
    let why = |path: &str| {
        let (code, out, _) = run(&["why", "bob", path, "write"], server.dir());
        (code, out)
    };
    let (code, out) = why("there");
    assert_eq!(code, 1, "{out}");
    assert!(out.ends_with("no: there is a file of this name (overwrite)\n"), "{out}");
    assert_eq!(why("new").0, 0);
}

// overwrite = rename

#[test]
fn with_overwrite_rename_a_taken_name_gets_a_number() {
    for way in WAYS {
        let trash = if way.ends_with("on") { "\ntrash = on" } else { "" };
        let server = Server::setup().user(&format!("overwrite = rename\n{way}{trash}")).start();
        let mut bob = Client::bob(&server);
        let mut store = |name: &str, text: &str| {
            let (code, reply, _) = bob.exchange(&format!("STOR {name}"), text.as_bytes());
            assert_eq!(code, 226, "{reply}");
            reply
        };
        for (name, stored) in [
            ("scan.pdf", "scan.pdf"),
            ("scan.pdf", "scan (1).pdf"),
            ("scan.pdf", "scan (2).pdf"),
            ("scan (1).pdf", "scan (1) (1).pdf"),
            ("a.tar.gz", "a.tar.gz"),
            ("a.tar.gz", "a (1).tar.gz"),
            (".profile", ".profile"),
            (".profile", ".profile (1)"),
            ("README", "README"),
            ("README", "README (1)"),
        ] {
            let reply = store(name, stored);
            let named = format!("226 Transfer complete, FILE: {stored}");
            let expected = if name == stored { "226 Transfer complete" } else { &named };
            assert_eq!(reply, expected, "{way}");
            assert_eq!(server.get(stored), stored.as_bytes(), "{way}");
        }
        assert_eq!(server.get("scan.pdf"), b"scan.pdf");
        // nothing was replaced, so nothing is in the trash
        assert!(!server.has(".ftpd-trash"), "{way}");
        bob.cmd("DELE scan.pdf", 250);
        bob.upload("STOR scan.pdf", b"again");
        assert_eq!(server.get("scan.pdf"), b"again");
        assert!(bob.upload("STOU scan.pdf", b"unique").contains("scan.pdf.1"));
        let line = server.wait_for_log("scan (2).pdf");
        assert!(line.contains("STOR"), "{line}");
    }
}

#[test]
fn names_that_are_long_or_not_text_get_a_number_as_well() {
    for way in WAYS {
        let server = Server::setup().user(&format!("overwrite = rename\n{way}")).start();
        let mut bob = Client::bob(&server);
        let long = [&[b'x'; 250][..], b".pdf"].concat();
        let letters = "\u{e4}".repeat(127);
        for (name, stored) in [
            (&long[..], [&[b'x'; 247][..], b" (1).pdf"].concat()),
            (letters.as_bytes(), format!("{} (1)", "\u{e4}".repeat(125)).into_bytes()),
            (b"a\xe4b.\xfcx", b"a\xe4b (1).\xfcx".to_vec()),
        ] {
            for text in ["one", "two"] {
                let mut data = bob.passive();
                bob.tell([b"STOR ", name].concat(), 150);
                data.write_all(text.as_bytes()).unwrap();
                drop(data);
                bob.expect_bytes(226);
            }
            let path = |name: &[u8]| server.home().join(OsStr::from_bytes(name));
            assert_eq!(fs::read(path(name)).unwrap(), b"one", "{way}");
            assert_eq!(fs::read(path(&stored)).unwrap(), b"two", "{way}");
        }
    }
}

#[test]
fn with_overwrite_rename_what_is_complete_is_neither_appended_to_nor_changed() {
    for way in WAYS {
        let server = Server::setup().user(&format!("overwrite = rename\n{way}")).start();
        server.put("old", "0123456789");
        symlink("old", server.home().join("link")).unwrap();
        fs::create_dir(server.home().join("dir")).unwrap();
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        for name in ["old", "link"] {
            bob.passive();
            bob.cmd(&format!("APPE {name}"), 553);
            bob.cmd("REST 5", 350);
            bob.passive();
            bob.cmd(&format!("STOR {name}"), 553);
            // a client that has asked for the size means the file as well
            bob.cmd("SIZE old", 213);
            bob.passive();
            bob.cmd(&format!("APPE {name}"), 553);
        }
        for line in ["STOR dir", "APPE dir"] {
            bob.passive();
            bob.cmd(line, 550);
        }
        bob.upload("APPE new", b"new");
        bob.upload("STOR link", b"beside");
        assert_eq!(
            (server.get("old"), server.get("link (1)")),
            (b"0123456789".to_vec(), b"beside".to_vec())
        );
        assert_eq!(server.get("new"), b"new");
    }
}

#[test]
fn a_rename_gets_a_number_as_well() {
    for trash in ["on", "off"] {
        let server =
            Server::setup().user(&format!("overwrite = rename\ntrash = {trash}")).start();
        server.put("scan.pdf", "old");
        fs::create_dir_all(server.home().join("dir/x")).unwrap();
        fs::create_dir(server.home().join("sub")).unwrap();
        let mut bob = Client::bob(&server);
        let mut rename = |from: &str, to: &str| {
            bob.cmd(&format!("RNFR {from}"), 350);
            bob.ask(&format!("RNTO {to}"))
        };
        server.put("one", "1");
        server.put("two", "2");
        server.put("three", "3");
        assert_eq!(rename("one", "scan.pdf"), (250, "250 Renamed, FILE: scan (1).pdf".into()));
        assert_eq!(rename("two", "scan.pdf"), (250, "250 Renamed, FILE: scan (2).pdf".into()));
        assert_eq!(rename("three", "sub/free"), (250, "250 Renamed".into()));
        // the name means the file that the session has just renamed
        let same = (250, "250 Renamed, FILE: scan (2).pdf".into());
        assert_eq!(rename("scan.pdf", "scan.pdf"), same);
        // a client would go on with the name of a directory
        assert_eq!(rename("sub", "dir").0, 553);
        assert_eq!(rename("sub/free", "dir").0, 550);
        for (path, text) in [
            ("scan.pdf", "old"),
            ("scan (1).pdf", "1"),
            ("scan (2).pdf", "2"),
            ("sub/free", "3"),
        ] {
            assert_eq!(server.get(path), text.as_bytes());
        }
        server.wait_for_log("scan (2).pdf");
    }
}

// the name under which a session sees its file

/// A scanner that stores a file under a name that is taken.
fn scanner(server: &Server) -> Client {
    server.put("scan.pdf", "of another one");
    let mut client = Client::bob(server);
    client.cmd("TYPE I", 200);
    client.upload("STOR scan.pdf", b"mine");
    assert_eq!(server.get("scan (1).pdf"), b"mine");
    client
}

#[test]
fn a_session_sees_what_it_has_stored_under_the_name_it_used() {
    for way in WAYS {
        let server = Server::setup().user(&format!("overwrite = rename\n{way}")).start();
        let mut bob = scanner(&server);
        assert_eq!(bob.cmd("SIZE scan.pdf", 213), "213 4");
        assert_eq!(bob.cmd("SIZE /./scan.pdf", 213), "213 4");
        bob.cmd("MFMT 20200102030405 scan.pdf", 213);
        assert_eq!(bob.cmd("MDTM scan.pdf", 213), "213 20200102030405");
        bob.cmd("SITE UTIME 20210102030405 scan.pdf", 213);
        assert_eq!(bob.cmd("MDTM scan (1).pdf", 213), "213 20210102030405");
        bob.cmd("MDTM 20220102030405 scan.pdf", 213);
        assert_eq!(bob.cmd("MDTM scan (1).pdf", 213), "213 20220102030405");
        bob.cmd("SITE CHMOD 640 scan.pdf", 200);
        let mode = |name: &str| {
            fs::metadata(server.home().join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode("scan (1).pdf"), mode("scan.pdf") == 0o640), (0o640, false));
        bob.cmd("MFF modify=20230102030405;UNIX.mode=0600; scan.pdf", 213);
        assert_eq!(bob.cmd("MDTM scan (1).pdf", 213), "213 20230102030405");
        assert_eq!((mode("scan (1).pdf"), mode("scan.pdf") == 0o600), (0o600, false));
        let facts = bob.cmd("MLST scan.pdf", 250);
        assert!(facts.contains("size=4;") && facts.contains(" /scan.pdf"), "{facts}");
        for verb in ["XCRC", "XMD5"] {
            let of = |client: &mut Client, name| client.cmd(&format!("{verb} {name}"), 250);
            assert_eq!(of(&mut bob, "scan.pdf"), of(&mut bob, "scan (1).pdf"));
        }
        // what is read and deleted is what a listing shows
        assert_eq!(bob.download("RETR scan.pdf"), b"of another one");
        bob.cmd("REST 2", 350);
        bob.upload("STOR scan.pdf", b"XY");
        assert_eq!(server.get("scan (1).pdf"), b"miXY", "{way}");
        bob.cmd("SIZE scan.pdf", 213);
        bob.upload("APPE scan.pdf", b"Z");
        assert_eq!(server.get("scan (1).pdf"), b"miXYZ", "{way}");
        // another session sees what is there
        let mut other = Client::bob(&server);
        other.cmd("TYPE I", 200);
        assert_eq!(other.cmd("SIZE scan.pdf", 213), "213 14");
        bob.cmd("RNFR scan.pdf", 350);
        bob.cmd("RNTO done.pdf", 250);
        assert_eq!(server.get("done.pdf"), b"miXYZ", "{way}");
        assert_eq!(bob.cmd("SIZE scan.pdf", 213), "213 14");
        assert_eq!(server.get("scan.pdf"), b"of another one");
    }
}

#[test]
fn an_alias_ends_with_a_listing_a_login_and_what_happens_to_the_name() {
    for (ends, after) in [
        (&["DELE scan.pdf"][..], "550"),
        (&["USER bob", "PASS secret", "TYPE I"], "213 14"),
        (&["REIN", "USER bob", "PASS secret", "TYPE I"], "213 14"),
        (&["STAT /"], "213 14"),
        (&["LIST"], "213 14"),
        (&["NLST"], "213 14"),
        (&["MLSD"], "213 14"),
        (&["RNFR other", "RNTO scan.pdf"], "213 5"),
        (&["STOR scan.pdf"], "213 9"),
        // and not with these
        (&["CWD sub", "CDUP", "MLST /", "NOOP", "RETR scan.pdf"], "213 4"),
        (&["RNFR other", "RNTO else"], "213 4"),
        (&["DELE scan (1).pdf"], "213 14"),
        (&["RNFR scan (1).pdf", "RNTO else"], "213 14"),
    ] {
        let server = Server::setup().user("overwrite = rename").start();
        fs::create_dir(server.home().join("sub")).unwrap();
        server.put("other", "other");
        let mut bob = scanner(&server);
        for line in ends {
            let (code, reply, _) = if ["LIST", "NLST", "MLSD", "RETR", "STOR"]
                .iter()
                .any(|verb| line.starts_with(verb))
            {
                bob.exchange(line, if line.starts_with("STOR") { b"nine here" } else { b"" })
            } else {
                let (code, reply) = bob.ask(line);
                (code, reply, Vec::new())
            };
            assert!(code < 400, "{line}: {reply}");
        }
        let (_, reply) = bob.ask("SIZE scan.pdf");
        assert!(reply.starts_with(after), "{ends:?}: {reply}");
    }
}

#[test]
fn a_session_writes_to_no_file_that_has_taken_the_place_of_its_own() {
    for way in WAYS {
        let server = Server::setup().user(&format!("overwrite = rename\n{way}")).start();
        let mut bob = scanner(&server);
        let stored = server.home().join("scan (1).pdf");
        fs::write(server.home().join("new"), "theirs").unwrap();
        fs::rename(server.home().join("new"), &stored).unwrap();
        bob.cmd("REST 2", 350);
        bob.passive();
        bob.cmd("STOR scan.pdf", 553);
        bob.passive();
        bob.cmd("APPE scan.pdf", 553);
        assert_eq!(fs::read(&stored).unwrap(), b"theirs", "{way}");
        fs::remove_file(&stored).unwrap();
        // the name means what has it
        assert_eq!(bob.cmd("SIZE scan.pdf", 213), "213 14", "{way}");
        bob.passive();
        bob.cmd("APPE scan.pdf", 553);
        bob.cmd("REST 2", 350);
        bob.passive();
        bob.cmd("STOR scan.pdf", 553);
        assert!(!stored.exists(), "{way}");
        assert_eq!(server.get("scan.pdf"), b"of another one", "{way}");
        // numbers go on
        bob.upload("STOR scan.pdf", b"anew");
        assert_eq!(server.get("scan (2).pdf"), b"anew", "{way}");
    }
}

#[test]
fn a_session_acts_on_no_file_that_has_taken_the_place_of_its_own() {
    for way in WAYS {
        let server = Server::setup().user(&format!("overwrite = rename\n{way}")).start();
        let mut bob = scanner(&server);
        server.put("other", "renamed");
        bob.cmd("RNFR other", 350);
        assert!(bob.cmd("RNTO scan (1).pdf", 250).contains("scan (1) (1).pdf"));
        for (name, kept) in [("scan (1).pdf", "one"), ("scan (1) (1).pdf", "two")] {
            // so that no new file gets the inode
            fs::hard_link(server.home().join(name), server.dir().join(kept)).unwrap();
        }
        let mut other = Client::bob(&server);
        for name in ["scan.pdf", "scan (1).pdf", "scan (1) (1).pdf"] {
            other.cmd(&format!("DELE {name}"), 250);
        }
        other.upload("STOR scan.pdf", b"first");
        other.upload("STOR scan (1).pdf", b"second");
        other.upload("STOR scan (1) (1).pdf", b"the third");
        bob.cmd("SITE CHMOD 640 scan.pdf", 200);
        bob.cmd("MFMT 20200102030405 scan (1).pdf", 213);
        for (name, size, mode) in
            [("scan.pdf", 5, true), ("scan (1).pdf", 6, false), ("scan (1) (1).pdf", 9, false)]
        {
            assert_eq!(bob.cmd(&format!("SIZE {name}"), 213), format!("213 {size}"), "{way}");
            let facts = bob.cmd(&format!("MLST {name}"), 250);
            assert!(facts.contains(&format!("size={size};")), "{way}: {facts}");
            let there = fs::metadata(server.home().join(name)).unwrap().permissions().mode();
            assert_eq!(there & 0o777 == 0o640, mode, "{way}: {name}");
        }
        assert_eq!(bob.cmd("MDTM scan (1).pdf", 213), "213 20200102030405");
        bob.cmd("RNFR scan.pdf", 350);
        bob.cmd("RNTO done.pdf", 250);
        assert_eq!(server.get("done.pdf"), b"first", "{way}");
        assert_eq!(server.get("scan (1).pdf"), b"second", "{way}");
    }
}

#[test]
fn a_directory_that_is_made_or_removed_has_its_name() {
    for (before, line) in [
        (&["DELE scan.pdf"][..], "MKD scan.pdf"),
        (&["DELE scan.pdf"], "SITE MKDIR scan.pdf"),
        (&["DELE scan.pdf"], "SITE MKDIR scan.pdf/sub"),
        (&["DELE scan.pdf", "MKD scan.pdf"], "RMD scan.pdf"),
        (&["DELE scan.pdf", "MKD scan.pdf"], "SITE RMDIR scan.pdf"),
    ] {
        let server = Server::setup().user("overwrite = rename").start();
        let mut bob = scanner(&server);
        let mut other = Client::bob(&server);
        for line in before {
            assert!(other.ask(line).0 < 300, "{line}");
        }
        assert_eq!(bob.cmd("SIZE scan.pdf", 213), "213 4");
        let (code, reply) = bob.ask(line);
        assert!(code < 300, "{line}: {reply}");
        bob.cmd("SIZE scan.pdf", 550);
        assert_eq!(bob.cmd("SIZE scan (1).pdf", 213), "213 4", "{line}");
    }
}

// several clients

#[test]
fn of_many_clients_with_one_name_each_keeps_every_file() {
    for way in WAYS {
        let server = Server::setup()
            .server("max_per_ip = 0")
            .user(&format!("overwrite = rename\n{way}"))
            .start();
        thread::scope(|scope| {
            for client in 0..8 {
                let server = &server;
                scope.spawn(move || {
                    let mut bob = Client::bob(server);
                    bob.cmd("TYPE I", 200);
                    for scan in 0..50 {
                        let text = format!("{client} {scan}");
                        bob.upload("STOR scan.pdf", text.as_bytes());
                        assert_eq!(
                            bob.cmd("SIZE scan.pdf", 213),
                            format!("213 {}", text.len())
                        );
                    }
                });
            }
        });
        let there = fs::read_dir(server.home())
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap());
        let there: BTreeSet<_> = there.collect();
        assert_eq!(there.len(), 400, "{way}");
        assert_eq!(fs::read_dir(server.home()).unwrap().count(), 400, "{way}");
    }
}

#[test]
fn a_broken_upload_is_resumed_beside_a_file_of_its_name() {
    let server = Server::setup().user("overwrite = rename").start();
    server.put("scan.pdf", "of another one");
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    break_off(&mut bob, "STOR scan.pdf", b"broken", &server.home());
    assert_eq!(bob.cmd("SIZE scan.pdf", 213), "213 6");
    let mut again = Client::bob(&server);
    again.cmd("TYPE I", 200);
    assert_eq!(again.cmd("SIZE scan.pdf", 213), "213 6");
    again.cmd("REST 6", 350);
    let (code, reply, _) = again.exchange("STOR scan.pdf", b" off");
    assert_eq!((code, &*reply), (226, "226 Transfer complete, FILE: scan (1).pdf"));
    assert_eq!(server.get("scan (1).pdf"), b"broken off");
    // with APPE, as curl does it
    break_off(&mut again, "STOR scan.pdf", b"and", &server.home());
    assert_eq!(bob.cmd("SIZE scan.pdf", 213), "213 3");
    bob.upload("APPE scan.pdf", b" again");
    assert_eq!(server.get("scan (2).pdf"), b"and again");
    assert_eq!(server.get("scan.pdf"), b"of another one");
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn a_part_goes_with_no_file_of_another_user() {
    for overwrite in ["no", "rename"] {
        let overwrites = format!("overwrite = {overwrite}");
        let anna = format!(
            "[user:anna]\npassword = secret\nhome = home\nperm = elradfmwMT\n{overwrites}"
        );
        let server = Server::setup().user(&overwrites).section(&anna).start();
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        break_off(&mut bob, "STOR x", b"broken off", &server.home());
        let mut other = Client::login(&server, "anna", "secret");
        other.upload("STOR x", b"theirs");
        let size = |client: &mut Client| client.cmd("SIZE x", 213);
        if overwrite == "no" {
            // the part cannot be resumed while the name is taken
            assert_eq!(size(&mut bob), "213 6");
            let (_, _, listing) = bob.exchange("MLSD", b"");
            let listing = String::from_utf8(listing).unwrap();
            assert!(listing.contains("size=6;") && !listing.contains("size=10;"), "{listing}");
        }
        bob.cmd("RNFR x", 350);
        bob.cmd("RNTO y", 250);
        assert_eq!(server.get("y"), b"theirs");
        assert_eq!(size(&mut bob), "213 10", "{overwrite}");
        other.upload("STOR x", b"theirs");
        bob.cmd("DELE x", 250);
        assert_eq!(size(&mut bob), "213 10", "{overwrite}");
        bob.cmd("REST 10", 350);
        bob.upload("STOR x", b", resumed");
        assert_eq!(server.get("x"), b"broken off, resumed");
        // without a file of the name, the part itself is deleted
        break_off(&mut bob, "STOR z", b"broken", &server.home());
        bob.cmd("DELE z", 250);
        bob.cmd("SIZE z", 550);
        assert_eq!(parts(&server.home()), []);
    }
}

#[test]
fn clients_at_two_addresses_do_not_resume_each_other() {
    let server = Server::setup().user("overwrite = rename").start();
    let at = |ip: u8| {
        let own = Ipv4Addr::new(127, 0, 0, ip).into();
        let mut client = Client::bob_over(connect_from(own, server.address()).unwrap());
        client.cmd("TYPE I", 200);
        client
    };
    let (mut one, mut two) = (at(2), at(3));
    let break_off = |client: &mut Client, own: u8, text: &[u8]| {
        let address = client.passive_address("EPSV");
        let mut data = connect_from(Ipv4Addr::new(127, 0, 0, own).into(), address).unwrap();
        client.cmd("STOR scan.pdf", 150);
        data.write_all(text).unwrap();
        arrived(&server.home(), text.len());
        reset(data);
        client.expect(426);
    };
    break_off(&mut one, 2, b"one");
    two.cmd("SIZE scan.pdf", 550);
    break_off(&mut two, 3, b"two's");
    assert_eq!(at(2).cmd("SIZE scan.pdf", 213), "213 3");
    assert_eq!(at(3).cmd("SIZE scan.pdf", 213), "213 5");
    let (_, out, _) = run(&["parts"], server.dir());
    assert!(out.contains("127.0.0.2") && out.contains("127.0.0.3"), "{out}");
}

#[test]
fn a_refused_upload_takes_no_name() {
    for way in WAYS {
        let server = Server::setup()
            .user(&format!("overwrite = rename\nmax_file_size = 10\nquota_bytes = 100\n{way}"))
            .start();
        server.put("scan.pdf", "old");
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        for _ in 0..3 {
            let mut data = bob.passive();
            bob.cmd("STOR scan.pdf", 150);
            let _ = data.write_all(&[b'x'; 11]);
            drop(data);
            bob.expect(552);
        }
        let left = || {
            let names =
                fs::read_dir(server.home()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        if way.ends_with("on") {
            assert_eq!(left(), ["scan.pdf"]);
            bob.upload("STOR scan.pdf", b"fits");
            assert_eq!(left(), ["scan (1).pdf", "scan.pdf"]);
        }
        assert_eq!(server.get("scan.pdf"), b"old", "{way}");
    }
}

#[test]
fn the_names_that_a_folder_allows_hold_for_numbers_too() {
    for way in WAYS {
        let server = Server::setup()
            .user(&format!("overwrite = yes\n{way}"))
            .section("[folder:/one]\noverwrite = rename\nallow_names = scan.pdf")
            .start_with(|dir| fs::create_dir_all(dir.join("home/one")).unwrap());
        let mut bob = Client::bob(&server);
        for path in ["scan.pdf", "one/scan.pdf"] {
            bob.upload(&format!("STOR {path}"), b"old");
        }
        bob.upload("STOR scan.pdf", b"new");
        bob.passive();
        bob.cmd("STOR one/scan.pdf", 553);
        assert_eq!(server.get("scan.pdf"), b"new", "{way}");
        assert_eq!(fs::read_dir(server.home().join("one")).unwrap().count(), 1);
    }
}

#[test]
fn an_upload_of_another_session_does_not_hide_what_a_session_has_stored() {
    let server = Server::setup().user("overwrite = rename").start();
    let mut bob = Client::bob(&server);
    bob.cmd("TYPE I", 200);
    bob.upload("STOR scan.pdf", b"mine");
    // from the same address, so it would be shown otherwise
    let mut other = Client::bob(&server);
    let data = hang(&mut other, "STOR scan.pdf", b"another", &server.home(), 7);
    assert_eq!(bob.cmd("SIZE scan.pdf", 213), "213 4");
    let facts = bob.cmd("MLST scan.pdf", 250);
    assert!(facts.contains("size=4;"), "{facts}");
    bob.upload("APPE scan.pdf", b" too");
    drop(data);
    assert!(other.expect(226).contains("scan (1).pdf"));
    assert_eq!(server.get("scan.pdf"), b"mine too");
    assert_eq!(server.get("scan (1).pdf"), b"another");
}

#[test]
fn logs_and_hooks_have_the_name_under_which_a_file_is_stored() {
    let lines = "transfer_log = xferlog\non_upload = /usr/bin/env\non_rename = /usr/bin/env";
    let server = Server::setup().server(lines).user("overwrite = rename").start();
    let mut bob = scanner(&server);
    let from = server.home().join("scan (1).pdf").display().to_string();
    server.wait_for_log(&format!("]: FTPD_PATH={from}"));
    server.put("done.pdf", "there");
    bob.cmd("RNFR scan.pdf", 350);
    bob.cmd("RNTO done.pdf", 250);
    let stored = server.home().join("done (1).pdf").display().to_string();
    server.wait_for_log(&format!("]: FTPD_PATH={stored}"));
    server.wait_for_log(&format!("]: FTPD_FROM={from}"));
    eventually("a line of the transfer log", || {
        let log = fs::read_to_string(server.dir().join("xferlog")).unwrap();
        log.contains("/scan_(1).pdf ")
    });
}

#[test]
fn over_tls_a_taken_name_gets_a_number_as_well() {
    for way in WAYS {
        let server = Server::setup()
            .server("tls_cert = auto")
            .user(&format!("overwrite = rename\n{way}"))
            .start();
        let tls = Tls::new(&rustls::version::TLS13);
        let mut bob = Client::secure_bob(&server, &tls);
        for text in ["one", "three"] {
            bob.secure_upload(&tls, "STOR scan.pdf", text.as_bytes());
            let size = bob.cmd("SIZE scan.pdf", 213);
            assert_eq!(size, format!("213 {}", text.len()), "{way}");
        }
        assert_eq!(server.get("scan.pdf"), b"one", "{way}");
        assert_eq!(server.get("scan (1).pdf"), b"three", "{way}");
    }
}
