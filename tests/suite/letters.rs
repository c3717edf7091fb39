//! Permission letters and speed limits of folders: `perm`, `max_upload` and `max_download` in the
//! sections `[folder:...]`.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustls::version::TLS13;
use serde_json::Value;

use crate::client::Client;
use crate::server::{Server, eventually, run};
use crate::tls_client::Tls;

const ALL: &str = "elradfmwMT";

fn bob(server: &Server) -> Client {
    let mut bob = Client::bob(server);
    bob.cmd("TYPE I", 200);
    bob
}

/// Sends a line, and a byte if it is an upload, and returns its final reply.
fn say(client: &mut Client, line: &str) -> (u16, String) {
    let transfers = ["RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"];
    if transfers.contains(&&line[..4]) {
        let sent: &[u8] =
            if line.starts_with("RETR") || line[..4].contains('L') { b"" } else { b"x" };
        let (code, text, _) = client.exchange(line, sent);
        (code, text)
    } else {
        client.ask(line)
    }
}

#[test]
fn a_link_does_not_lead_to_where_a_letter_is_missing() {
    let server = Server::setup()
        .user(&format!("perm = {ALL}\nfolder_message = on"))
        .section("[folder:/closed]\nperm = e")
        .section("[folder:/read]\nperm = elr")
        .start();
    let home = server.home();
    for dir in ["closed/sub", "read", "open/sub", "open/talk"] {
        fs::create_dir_all(home.join(dir)).unwrap();
    }
    fs::write(home.join("closed/secret"), "secret").unwrap();
    fs::write(home.join("read/file"), "file").unwrap();
    for (text, link) in [
        ("../closed/secret", "open/secret"),
        ("../closed", "open/closed"),
        ("../read", "open/read"),
        ("../read/file", "open/file"),
        ("../read/new", "open/new"),
        ("../../closed/secret", "open/talk/.message"),
        ("open/closed", "twice"),
    ] {
        symlink(text, home.join(link)).unwrap();
    }
    let mut bob = bob(&server);
    for line in [
        "RETR open/secret",
        "RETR open/closed/secret",
        "RETR twice/secret",
        "RETR closed/secret",
        "SIZE open/secret",
        "MDTM twice/secret",
        "MLSD open/closed",
        "NLST open/closed/*",
        "STOR open/closed/new",
        "STOR open/file",
        "APPE open/file",
        "STOU open/read/x",
        "DELE open/read/file",
        "RMD open/closed/sub",
        "MKD open/read/new",
        "SITE CHMOD 600 open/file",
        "MFMT 20240101000000 open/read/file",
        "RNFR open/read/file",
    ] {
        let (code, text) = say(&mut bob, line);
        assert_eq!((code, text.contains("ermission")), (550, true), "{line}: {text}");
    }
    // the link is listed, but not what it leads to
    assert_eq!(bob.lines("LIST twice").len(), 1);
    assert!(!bob.cmd("STAT open/closed", 213).contains("secret"));
    // into the other letters as well
    bob.cmd("RNFR open/sub", 350);
    bob.cmd("RNTO open/read/sub", 550);
    // what the letters there allow
    assert_eq!(bob.download("RETR open/file"), b"file");
    assert_eq!(bob.download("RETR open/read/file"), b"file");
    bob.cmd("CWD open/closed", 250);
    bob.cmd("CDUP", 250);
    // the message of a directory is read, and so takes the letter to read
    assert!(!bob.cmd("CWD talk", 250).contains("secret"));
    // a link itself belongs to where it is
    bob.cmd("RNFR /open/secret", 350);
    bob.cmd("RNTO /open/moved", 250);
    bob.cmd("DELE /open/moved", 250);
    assert_eq!(fs::read(home.join("closed/secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(home.join("read")).unwrap().count(), 1);
    server.wait_for_log("lacks the permission letter 'w'");
}

#[test]
fn a_link_that_is_renamed_after_the_check_leads_to_no_other_letters() {
    for atomic in ["on", "off"] {
        let server = Server::setup()
            .server("tls_cert = auto")
            .user(&format!("perm = {ALL}\natomic_uploads = {atomic}"))
            .section("[folder:/in]\nperm = elr")
            .start();
        let home = server.home();
        fs::create_dir(home.join("in")).unwrap();
        fs::create_dir(home.join("x")).unwrap();
        symlink("in", home.join("way")).unwrap();
        let tls = Tls::new(&TLS13);
        let (mut bob, mut other) = (Client::secure_bob(&server, &tls), Client::bob(&server));
        bob.cmd("TYPE I", 200);
        let data = bob.passive();
        // a file that is not written to a part is opened after the handshake
        bob.cmd("STOR x/a", 150);
        for (from, to) in [("x", "y"), ("way", "x")] {
            other.cmd(&format!("RNFR {from}"), 350);
            other.cmd(&format!("RNTO {to}"), 250);
        }
        drop(tls.over(data));
        bob.answer();
        assert_eq!(fs::read_dir(home.join("in")).unwrap().count(), 0);
    }
}

#[test]
fn a_recursive_listing_leaves_out_what_may_not_be_listed() {
    let server = Server::setup()
        .user("perm = el")
        .section("[folder:/a/closed]\nperm = er\n[folder:/a/closed/open]\nperm = l")
        .start();
    fs::create_dir_all(server.home().join("a/closed/open")).unwrap();
    server.put("a/closed/secret", "");
    server.put("a/closed/open/shown", "");
    let mut bob = bob(&server);
    let seen = bob.lines("LIST -R").join("\n");
    assert!(seen.contains("closed") && !seen.contains("secret"), "{seen}");
    assert!(!bob.lines("NLST -R a").join("\n").contains("secret"));
    assert!(!bob.cmd("STAT -R a", 213).contains("secret"));
    assert_eq!(bob.lines("NLST a/closed/open"), ["a/closed/open/shown"]);
    server.wait_for_log("left out: the user lacks the permission letter 'l'");
}

#[test]
fn a_rename_needs_the_letter_at_both_ends() {
    let server = Server::setup()
        .user("perm = elradmwMT")
        .section("[folder:/from]\nperm = elf\n[folder:/to]\nperm = f")
        .section("[folder:/tree/in]\nperm = elrf\n[folder:/to/deep/in]\nperm = elr")
        .start();
    let home = server.home();
    for dir in ["from/dir/in", "from/empty", "to", "tree/in", "tree/empty"] {
        fs::create_dir_all(home.join(dir)).unwrap();
    }
    server.put("file", "x");
    server.put("from/file", "x");
    server.put("from/dir/in/file", "x");
    let mut bob = bob(&server);
    bob.cmd("RNFR file", 550);
    for (from, to, code) in [
        ("from/file", "file2", 550),
        ("from/file", "to/file", 250),
        ("to/file", "from/file", 250),
        // neither a folder with letters nor one around it, wherever it would go
        ("from", "to/from", 550),
        ("tree/in", "to/in", 550),
        // what it contains would get other letters than the two names have
        ("from/dir", "to/deep", 553),
        ("from/empty", "to/deep", 250),
    ] {
        let (first, _) = bob.ask(&format!("RNFR {from}"));
        let (second, text) = bob.ask(&format!("RNTO {to}"));
        let second = if first == 550 { first } else { second };
        assert_eq!(second, code, "{from} {to}: {text}");
    }
    assert!(home.join("from/dir/in/file").exists());
}

#[test]
fn a_folder_with_letters_is_neither_removed_renamed_nor_made_without_them() {
    let server = Server::setup()
        .user(&format!("perm = {ALL}"))
        .section("[folder:/a/in]\nperm = elradfmwMT\n[folder:/b/in]\nperm = elr")
        .section("[folder:/plain]\nmax_file_size = 1G")
        .start();
    let home = server.home();
    for dir in ["a/in/sub", "b", "plain", "x"] {
        fs::create_dir_all(home.join(dir)).unwrap();
    }
    symlink("a", home.join("way")).unwrap();
    let mut bob = bob(&server);
    bob.cmd("RMD a/in/sub", 250);
    for path in ["a/in", "way/in", "/a//in/", "b"] {
        bob.cmd(&format!("RMD {path}"), 553);
        bob.cmd(&format!("DELE {path}"), 553);
        bob.cmd(&format!("RNFR {path}"), 350);
        bob.cmd("RNTO y", 553);
    }
    // an empty directory could be replaced by another one
    bob.cmd("RNFR x", 350);
    bob.cmd("RNTO a/in", 553);
    // to make it takes the letter of the folder and of the one around it
    bob.cmd("MKD b/in", 550);
    bob.cmd("RNFR x", 350);
    bob.cmd("RNTO b/in", 550);
    assert_eq!(bob.exchange("STOR b/in", b"x").0, 550);
    // other settings do not keep a folder from being removed
    bob.cmd("RMD plain", 250);
}

/// The perm fact of each entry of a listing, by name.
fn facts(lines: &[String]) -> Vec<(String, String)> {
    let fact = |line: &String| {
        let (facts, name) = line.split_once(' ').unwrap();
        let perm = facts.split(';').find_map(|fact| fact.strip_prefix("perm=")).unwrap();
        (name.to_owned(), perm.to_owned())
    };
    lines.iter().map(fact).collect()
}

#[test]
fn the_perm_fact_says_what_the_commands_do() {
    let furnish = |server: &Server| {
        let home = server.home();
        for dir in ["in", "less", "around", "other", "dir"] {
            let _ = fs::remove_dir_all(home.join(dir));
        }
        for dir in ["in/dir", "less/dir", "around/in", "other", "dir"] {
            fs::create_dir_all(home.join(dir)).unwrap();
        }
        for file in ["file", "in/file", "less/file", "other/file"] {
            server.put(file, "x");
        }
        for (text, link) in [
            ("../in", "other/in"),
            ("../less", "other/less"),
            ("../in/file", "other/infile"),
            ("../less/file", "other/lessfile"),
            ("../file", "in/out"),
        ] {
            symlink(text, home.join(link)).unwrap();
        }
    };
    for own in [ALL, "elf", "elrw", "elmd"] {
        let server = Server::setup()
            .user(&format!("perm = {own}"))
            .section(&format!("[folder:/in]\nperm = {ALL}\n[folder:/less]\nperm = el"))
            .section("[folder:/around/in]\nperm = elfd")
            .start_with(|_| ());
        furnish(&server);
        let mut bob = bob(&server);
        for dir in ["", "in", "less", "around", "other"] {
            let listed = facts(&bob.lines(&format!("MLSD /{dir}")));
            assert!(!listed.is_empty());
            for (name, perm) in listed {
                let path = format!("/{dir}/{name}").replace("//", "/");
                let single = bob.cmd(&format!("MLST {path}"), 250);
                assert!(single.contains(&format!("perm={perm};")), "{own} {path}: {single}");
                let is_dir = single.contains("type=dir");
                let is_link = server.home().join(&path[1..]).is_symlink();
                let lines: &[(char, &str)] = if is_dir {
                    &[('l', "MLSD @"), ('e', "CWD @"), ('m', "MKD @/new"), ('c', "STOR @/new")]
                } else {
                    &[('r', "RETR @"), ('w', "STOR @"), ('a', "APPE @"), ('d', "DELE @")]
                };
                let others = [('f', "RNTO @new"), ('d', "RMD @")];
                for (letter, line) in lines.iter().chain(&others) {
                    // a directory that is not empty, or a link to one, is not removed anyway
                    if line.starts_with("RMD") && (!is_dir || is_link) {
                        continue;
                    }
                    if line.starts_with("RMD") {
                        fs::remove_dir_all(server.home().join(&path[1..])).unwrap();
                        fs::create_dir(server.home().join(&path[1..])).unwrap();
                    }
                    bob.cmd("REST 0", 350);
                    if line.starts_with("RNTO") && bob.ask(&format!("RNFR {path}")).0 == 550 {
                        assert!(!perm.contains('f'), "{own} {path} {perm}: RNFR");
                        continue;
                    }
                    let line = line.replace('@', &path);
                    let (code, text) = say(&mut bob, &line);
                    let may = perm.contains(*letter);
                    assert_eq!(code < 400, may, "{own} {path} {perm}: {line} {text}");
                    furnish(&server);
                }
            }
        }
        server.wait_for_log("refused");
    }
}

#[test]
fn the_limits_of_a_folder_hold_for_each_transfer_in_it() {
    let server = Server::setup()
        .server("max_download = 1G")
        .section("[folder:/slow]\nmax_download = 100K\nmax_upload = 100K")
        .start();
    let home = server.home();
    fs::create_dir(home.join("slow")).unwrap();
    symlink("slow", home.join("way")).unwrap();
    server.put("slow/file", vec![0; 200 << 10]);
    let mut bob = bob(&server);
    let begun = Instant::now();
    bob.download("RETR way/file");
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    let begun = Instant::now();
    bob.upload("STOR slow/new", &vec![0; 200 << 10]);
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    // a reload changes the limit of a running transfer
    fs::File::create(home.join("slow/long")).unwrap().set_len(1 << 34).unwrap();
    let _data = bob.passive();
    bob.cmd("RETR slow/long", 150);
    let limit = || {
        let (_, out, _) = run(&["who", "--json"], server.dir());
        let all: Value = serde_json::from_str(&out).unwrap();
        all[0]["transfer"]["share"].as_u64()
    };
    eventually("the limit of the folder is shown", || limit() == Some(100 << 10));
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("max_download = 100K", "max_download = 300K");
    fs::write(&file, text).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    assert_eq!(limit(), Some(300 << 10));
}

#[test]
fn check_users_and_why_tell_of_the_letters_of_folders() {
    let server = Server::setup()
        .server("enable_anonymous = on\nanonymous_path = home")
        .section("[folder:/in]\nperm = elrw\n[folder:/out]\nperm = er")
        .section("[folder:bob:/in]\nperm = el")
        .start();
    fs::create_dir(server.home().join("in")).unwrap();
    let (code, _, err) = run(&["check"], server.dir());
    let warnings: Vec<_> =
        err.lines().filter(|line| line.contains("anonymous users")).collect();
    assert_eq!((code, warnings.len()), (0, 1), "{err}");
    assert!(warnings[0].contains("[folder:/in] perm: "), "{err}");
    assert!(warnings[0].ends_with("elsewhere: w"), "{err}");
    let (_, out, _) = run(&["check", "-v"], server.dir());
    assert!(out.contains("perm = elrw"), "{out}");
    let (_, out, _) = run(&["users"], server.dir());
    assert!(out.contains("/in el, /out er"), "{out}");
    let (_, out, _) = run(&["users", "--json"], server.dir());
    let all: Value = serde_json::from_str(&out).unwrap();
    let bob = all.as_array().unwrap().iter().find(|user| user["name"] == "bob").unwrap();
    assert_eq!(bob["folders"]["/in"], "el");
    let (_, out, err) =
        run(&["why", "bob", "/in/x", "write", "--config", "ftpd.ini"], server.dir());
    assert!(out.contains("lacks the permission letter 'w'"), "{out}{err}");
    let mut ftp = Client::login(&server, "ftp", "x");
    ftp.cmd("TYPE I", 200);
    assert_eq!(ftp.exchange("STOR in/new", b"x").0, 226);
    assert_eq!(ftp.exchange("STOR new", b"x").0, 550);
}
