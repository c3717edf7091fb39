//! What happens to a name that is taken (`overwrite`), and the name under which a session then sees
//! its file.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use ftpd::config::of_text;

use crate::client::Client;
use crate::parts::break_off;
use crate::server::{Server, run};

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
    assert_eq!(odd, ["settings:4: [user:bob] overwrite: 'never' is not one of yes, no"]);
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
