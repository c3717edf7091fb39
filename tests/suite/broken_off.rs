//! `ftpd parts`: which uploads broke off, who may resume them, and removing what they have left.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::client::{Client, reset};
use crate::parts::{break_off, hang, no_parts, parts};
use crate::server::{Server, run};

const ANONYMOUS: &str = "[anonymous]\nenabled = yes\nhome = pub\nperm = elrw";

fn list(server: &Server) -> Vec<Value> {
    let (code, out, err) = run(&["parts", "--json"], server.dir());
    assert_eq!((code, err.as_str()), (0, ""));
    serde_json::from_str(&out).unwrap()
}

fn drop_part(server: &Server, user: &str, path: &str) -> (i32, String, String) {
    run(&["parts", "drop", user, path], server.dir())
}

/// Whom the list names, with the path: `user address path bytes`.
fn summary(server: &Server) -> Vec<String> {
    let text = |part: &Value, name: &str| part[name].as_str().unwrap_or("-").to_owned();
    let line = |part: &Value| {
        let (user, address) = (text(part, "user"), text(part, "address"));
        format!("{user} {address} {} {}", text(part, "path"), part["bytes"])
    };
    list(server).iter().map(line).collect()
}

fn make_pub(dir: &Path) {
    fs::create_dir(dir.join("pub")).unwrap();
}

fn login_anonymous(server: &Server) -> Client {
    let mut client = Client::connect(server);
    client.cmd("USER ftp", 331);
    client.cmd("PASS me@", 230);
    client
}

#[test]
fn uploads_that_broke_off_are_listed_with_those_who_may_resume_them() {
    let mut server = Server::setup().section(ANONYMOUS).start_with(make_pub);
    let sub = server.home().join("sub");
    fs::create_dir(&sub).unwrap();
    assert_eq!(run(&["parts"], server.dir()).1, "no upload has broken off\n");
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR sub/a b.bin", b"12345", &sub);
    let long = "x".repeat(220);
    break_off(&mut client, format!("STOR {long}"), b"1234567", &server.home());
    break_off(&mut login_anonymous(&server), "STOR anon", b"123", &server.dir().join("pub"));
    // an upload that is under way has not broken off
    let data = hang(&mut client, "STOR running", b"1", &server.home(), 1);
    let lines = [
        "bob - \"/sub/a b.bin\" 5".to_owned(),
        "bob - \"/\" (a long name) 7".to_owned(),
        "anonymous 127.0.0.1 \"/anon\" 3".to_owned(),
    ];
    assert_eq!(summary(&server), lines);
    let table = run(&["parts"], server.dir()).1;
    assert!(table.contains("anonymous 127.0.0.1") & table.contains("5 B"), "{table}");
    let real = list(&server)[0]["real"].as_str().unwrap().to_owned();
    assert!(real.ends_with("/sub/a b.bin\""), "{real}");
    reset(data);
    client.expect(426);
    // after a crash, the name of a user is found by that of the part; an address is not
    server.restart("KILL");
    let mut lines = summary(&server);
    lines.sort();
    assert_eq!(
        lines,
        [
            "- - \"/\" (a long name) 7",
            "anonymous - \"/anon\" 3",
            "bob - \"/running\" 1",
            "bob - \"/sub/a b.bin\" 5",
        ]
    );
}

#[test]
fn a_part_is_removed_by_its_user_and_path_and_no_other() {
    let server = Server::setup().section(ANONYMOUS).start_with(make_pub);
    let mut client = Client::bob(&server);
    let long = "x".repeat(220);
    for name in ["one", "two", &long] {
        break_off(&mut client, format!("STOR {name}"), b"12345", &server.home());
    }
    let pub_dir = server.dir().join("pub");
    break_off(&mut login_anonymous(&server), "STOR one", b"123", &pub_dir);
    for (user, path) in [("bob", "/three"), ("eve", "/one"), ("anonymous", "/two")] {
        let (code, _, err) = drop_part(&server, user, path);
        assert_eq!(code, 1);
        assert!(err.contains("no upload of this user to this path has broken off"), "{err}");
    }
    assert_eq!(parts(&server.home()).len(), 3);
    assert_eq!(drop_part(&server, "bob", "/one").1, "removed a part of 5 B\n");
    assert_eq!(drop_part(&server, "bob", long.as_str()).0, 0);
    assert_eq!(summary(&server), ["bob - \"/two\" 5", "anonymous 127.0.0.1 \"/one\" 3"]);
    assert_eq!(drop_part(&server, "anonymous", "one").0, 0);
    no_parts(&pub_dir);
    server.wait_for_log("the administrator has removed the part of");
    // an upload under way keeps its part
    let data = hang(&mut client, "STOR running", b"1", &server.home(), 1);
    assert_eq!(drop_part(&server, "bob", "/running").0, 1);
    reset(data);
    client.expect(426);
    // and the session that resumes sees that nothing is left
    assert_eq!(drop_part(&server, "bob", "/two").0, 0);
    client.cmd("SIZE two", 550);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let server = Server::start();
    for arguments in [&["parts", "two"][..], &["parts", "drop", "bob"], &["parts", "-x"]] {
        let (code, out, err) = run(arguments, server.dir());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?} {err}");
    }
}
