//! Uploads are in place whole or not at all, and can be continued where they broke off.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use ftpd::control::command::{Arg, VERBS};
use ftpd::control::request::parse;
use rustix::fs::XattrFlags;

use crate::client::{Client, connect_from, reset};
use crate::parts::{arrived, break_off, hang, make_old, no_parts, noise, parts, resume};
use crate::server::{Server, eventually};
use crate::tls_client::{Tls, VERSIONS};

/// Sends an upload command that must be refused, and returns the reply.
fn refused(client: &mut Client, line: &str, code: u16) -> String {
    let _data = client.passive();
    client.cmd(line, code)
}

/// The size according to SIZE, MLST, LIST and MLSD, which must agree.
fn sizes(client: &mut Client, name: &str) -> Option<usize> {
    let (code, text) = client.ask(&format!("SIZE {name}"));
    let size = (code == 213).then(|| text[4..].trim().parse().unwrap());
    let (code, text) = client.ask(&format!("MLST {name}"));
    let fact = |line: &str| {
        let rest = line.split(';').find_map(|fact| fact.trim().strip_prefix("size="))?;
        rest.parse::<usize>().ok()
    };
    let told = (code == 250).then(|| fact(text.lines().nth(1).unwrap()).unwrap());
    assert_eq!(told, size, "MLST and SIZE: {text}");
    let lines = client.lines("MLSD");
    let line = lines.iter().find(|line| line.ends_with(&format!("; {name}")));
    assert_eq!(line.map(|line| fact(line).unwrap()), size, "MLSD and SIZE: {lines:?}");
    let lines = client.lines("LIST");
    let line = lines.iter().find(|line| line.ends_with(&format!(" {name}")));
    let told = line.map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap());
    assert_eq!(told, size, "LIST and SIZE: {lines:?}");
    assert_eq!(client.lines("NLST").iter().any(|line| line == name), size.is_some());
    size
}

/// Checks that the file system and another session see this content under a name.
fn others_see(server: &Server, user: &str, name: &str, old: Option<&[u8]>) {
    let path = server.home().join(name);
    assert_eq!(fs::read(path).ok().as_deref(), old, "from outside");
    let mut other = Client::login(server, user, "secret");
    assert_eq!(sizes(&mut other, name), old.map(<[u8]>::len));
    match old {
        None => drop(refused(&mut other, &format!("RETR {name}"), 550)),
        Some(old) => assert_eq!(other.download(&format!("RETR {name}")), old),
    }
    for command in
        ["LIST", "LIST -a", "NLST", "NLST -a", "MLSD", "NLST .f*", "LIST .ftpd-part-*"]
    {
        let (_, _, bytes) = other.exchange(command, b"");
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        assert!(!text.contains("ftpd-part"), "{command}: {text}");
    }
    let (_, text) = other.ask("STAT /");
    assert!(!text.contains("ftpd-part"), "{text}");
}

/// A server with bob, and ann in the same home.
fn two_users() -> Server {
    let ann = "[user:ann]\npassword = secret\nperm = elradfmwMT\nhome = home";
    Server::setup().section(ann).start()
}

#[test]
fn abor_right_before_the_end_of_the_data_leaves_the_old_version() {
    let server = Server::start();
    let old = noise(1, 1000);
    server.put("a", &old);
    let mut client = Client::bob(&server);
    for _ in 0..50 {
        let mut data = client.passive();
        client.cmd("STOR a", 150);
        data.write_all(&noise(2, 300_000)).unwrap();
        client.raw(b"ABOR\r\n");
        drop(data);
        client.expect(426);
        client.expect(226);
        assert_eq!(server.get("a"), old);
    }
}

#[test]
fn a_client_that_is_killed_in_the_middle_leaves_the_old_version() {
    let server = Server::start();
    let old = noise(1, 1000);
    server.put("a", &old);
    for round in 0..50 {
        let mut client = Client::bob(&server);
        let peer = client.stream().local_addr().unwrap().to_string();
        let mut data = client.passive();
        client.cmd("STOR a", 150);
        data.write_all(&noise(2, 300_000)).unwrap();
        // the kernel closes the files of a dead process in the order of their numbers; a program that
        // another test is starting may still have copies of them, so that a drop would not close
        client.stream().shutdown(Shutdown::Both).unwrap();
        // the server may have reset it by now
        let _ = data.shutdown(Shutdown::Write);
        drop((client, data));
        eventually("the session ends", || {
            server.log().lines().any(|line| line.contains(&peer) && line.contains("ended"))
        });
        assert!(server.get("a") == old, "round {round}\n{}", server.log());
    }
    let mut client = Client::bob(&server);
    assert_eq!(sizes(&mut client, "a"), Some(300_000));
}

#[test]
fn rmd_leaves_alone_what_is_being_uploaded_even_if_no_parts_are_kept() {
    for keep in ["0", "1s"] {
        let server = Server::setup().server(&format!("keep_parts = {keep}")).start();
        fs::create_dir(server.home().join("d")).unwrap();
        let mut client = Client::bob(&server);
        let mut data = hang(&mut client, "STOR d/a", b"first", &server.home().join("d"), 5);
        if keep == "1s" {
            let part = server
                .home()
                .join("d")
                .join(std::ffi::OsStr::from_bytes(&parts(&server.home().join("d"))[0].0));
            let at = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
            fs::File::options().write(true).open(part).unwrap().set_modified(at).unwrap();
        }
        Client::bob(&server).cmd("RMD d", 550);
        data.write_all(b" second").unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        client.expect(226);
        assert_eq!(server.get("d/a"), b"first second");
    }
}

#[test]
fn appends_of_one_user_to_one_name_take_turns() {
    let server = Server::start();
    server.put("there", b"old ");
    for (name, old) in [("new", ""), ("there", "old ")] {
        let mut first = Client::bob(&server);
        let mut data = first.passive();
        first.cmd(&format!("APPE {name}"), 150);
        data.write_all(b"one ").unwrap();
        let mut second = Client::bob(&server);
        let mut other = second.passive();
        second.send(&format!("APPE {name}"));
        second.expect_silence(Duration::from_millis(300));
        data.shutdown(Shutdown::Write).unwrap();
        first.expect(226);
        second.expect(150);
        other.write_all(b"two").unwrap();
        drop(other);
        second.expect(226);
        assert_eq!(server.get(name), format!("{old}one two").as_bytes());
    }
}

#[test]
fn appe_after_size_never_joins_two_versions() {
    let server = Server::setup().server("keep_parts = 1s").start();
    server.put("a", b"the old version");
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"first", &server.home());
    client.cmd("SIZE a", 213);
    no_parts(&server.home());
    let reply = refused(&mut client, "APPE a", 554);
    assert!(reply.contains("15"), "{reply}");
    assert_eq!(server.get("a"), b"the old version");
}

#[test]
fn a_server_that_keeps_no_parts_leaves_those_of_others_alone() {
    let one = Server::start();
    let home = one.home();
    let two = Server::setup()
        .server("keep_parts = 0")
        .user(&format!("home = {}", home.display()))
        .start();
    let mut client = Client::bob(&one);
    let mut data = hang(&mut client, "STOR a", b"first", &home, 5);
    Client::bob(&two).lines("LIST");
    data.write_all(b" second").unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    client.expect(226);
    assert_eq!(one.get("a"), b"first second");
}

#[test]
fn an_unfinished_upload_is_not_visible_under_its_name() {
    let server = two_users();
    let new = noise(1, 50_000);
    for old in [None, Some(&noise(2, 70_000)[..]), Some(&noise(3, 100)[..])] {
        if let Some(old) = old {
            server.put("a", old);
        }
        let mut client = Client::bob(&server);
        let mut data = hang(&mut client, "STOR a", &new[..20_000], &server.home(), 20_000);
        others_see(&server, "ann", "a", old);
        let mut own = Client::bob(&server);
        assert_eq!(sizes(&mut own, "a"), Some(20_000));
        match old {
            None => drop(refused(&mut own, "RETR a", 550)),
            Some(old) => assert!(own.download("RETR a") == old),
        }
        data.write_all(&new[20_000..]).unwrap();
        drop(data);
        client.expect(226);
        others_see(&server, "ann", "a", Some(&new));
        assert!(server.get("a") == new);
        assert_eq!(parts(&server.home()), []);
        fs::remove_file(server.home().join("a")).unwrap();
    }
}

#[test]
fn a_broken_upload_goes_on_where_it_broke_off_whatever_stood_there_before() {
    let server = two_users();
    let home = server.home();
    let new = noise(1, 5000);
    for old in [None, Some(&noise(2, 9000)[..]), Some(&noise(3, 100)[..]), Some(b"")] {
        for way in ["exact", "back", "APPE", "SIZE APPE"] {
            match old {
                Some(old) => drop(server.put("a", old)),
                None => drop(fs::remove_file(home.join("a"))),
            }
            break_off(&mut Client::bob(&server), "STOR a", &new[..3000], &home);
            others_see(&server, "ann", "a", old);
            let mut client = Client::bob(&server);
            if let Some(old) = old {
                assert!(client.download("RETR a") == old);
                client.cmd("REST 50", 350);
                let rest = client.exchange("RETR a", b"");
                match old.get(50..) {
                    Some(old) => assert!(rest.2 == old),
                    None => assert_eq!(rest.0, 554, "{}", rest.1),
                }
            } else {
                refused(&mut client, "RETR a", 550);
            }
            assert_eq!(sizes(&mut client, "a"), Some(3000));
            client.cmd("REST 3001", 350);
            let reply = refused(&mut client, "STOR a", 554);
            assert!(reply.contains("3000"), "{reply}");
            match way {
                "exact" => resume(&mut client, 3000, "STOR a", &new[3000..]),
                "back" => resume(&mut client, 1234, "STOR a", &new[1234..]),
                "APPE" => drop(Client::bob(&server).upload("APPE a", &new[3000..])),
                _ => {
                    client.cmd("SIZE a", 213);
                    client.upload("APPE a", &new[3000..]);
                }
            }
            assert!(server.get("a") == new, "{way}, {:?} bytes before", old.map(<[u8]>::len));
            others_see(&server, "ann", "a", Some(&new));
            assert_eq!(parts(&home), []);
        }
    }
}

#[test]
fn an_upload_that_breaks_several_times_is_whole_at_last() {
    let server = Server::start();
    server.put("a", "old");
    let new = noise(1, 10_000);
    let mut client = Client::bob(&server);
    for step in 0..10 {
        let (from, to) = (step * 1000, (step + 1) * 1000);
        client.cmd(&format!("REST {from}"), 350);
        let data = hang(&mut client, "STOR a", &new[from..to], &server.home(), to);
        reset(data);
        client.expect(426);
        assert_eq!(sizes(&mut client, "a"), Some(to));
        assert_eq!(server.get("a"), b"old");
        assert_eq!(parts(&server.home()).len(), 1);
    }
    // nothing more to send
    resume(&mut client, 10_000, "STOR a", b"");
    assert!(server.get("a") == new);
}

#[test]
fn rest_into_a_finished_file_without_a_part_changes_it_whole_or_not_at_all() {
    let server = Server::start();
    let old = noise(1, 5000);
    let more = noise(2, 4000);
    for at in [0, 1, 2500, 4999, 5000] {
        server.put("a", &old);
        let mut client = Client::bob(&server);
        client.cmd(&format!("REST {at}"), 350);
        let mut data = client.passive();
        client.cmd("STOR a", 150);
        data.write_all(&more[..1000]).unwrap();
        // where it goes into the middle, it must not be seen before the end
        if at < 5000 {
            arrived(&server.home(), at + 1000);
            assert!(server.get("a") == old);
        }
        data.write_all(&more[1000..]).unwrap();
        drop(data);
        client.expect(226);
        assert!(server.get("a") == [&old[..at], &more].concat(), "{at}");
    }
    server.put("a", &old);
    let mut client = Client::bob(&server);
    client.cmd("REST 5001", 350);
    let reply = refused(&mut client, "STOR a", 554);
    assert!(reply.contains("5000"), "{reply}");
    client.cmd("REST 1", 350);
    let reply = refused(&mut client, "STOR none", 554);
    assert!(reply.contains(" 0 "), "{reply}");
    assert!(server.get("a") == old && !server.has("none"));
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn a_new_upload_from_the_beginning_ends_the_part_only_when_it_succeeds() {
    let server = Server::start();
    let home = server.home();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"first half", &home);
    let data = hang(&mut client, "STOR a", b"sec", &home, 3);
    assert_eq!(parts(&home).len(), 2);
    reset(data);
    client.expect(426);
    // the younger one is what is shown, and there is no more than one
    assert_eq!(sizes(&mut client, "a"), Some(3));
    assert_eq!(parts(&home).len(), 1);
    // an upload that breaks off before its first byte costs nothing
    let data = client.passive();
    client.cmd("STOR a", 150);
    reset(data);
    client.expect(426);
    assert_eq!(sizes(&mut client, "a"), Some(3));
    // nor does one without a data connection, nor one that is refused
    client.cmd("STOR a", 425);
    client.cmd("STOR none/a", 550);
    assert_eq!(sizes(&mut client, "a"), Some(3));
    client.upload("STOR a", b"whole");
    assert_eq!(parts(&home), []);
    assert_eq!(sizes(&mut client, "a"), Some(5));
    client.cmd("REST 6", 350);
    assert!(refused(&mut client, "STOR a", 554).contains(" 5 "));
}

#[test]
fn going_on_without_a_data_connection_costs_nothing_of_what_has_arrived() {
    let server = Server::setup().server("data_timeout = 1").start();
    let new = noise(1, 5000);
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", &new[..3000], &server.home());
    // none is set up, and none comes in
    for setup in [false, true] {
        client.cmd("REST 1000", 350);
        if setup {
            client.passive_address("EPSV");
        }
        client.cmd("STOR a", 425);
        assert_eq!(sizes(&mut client, "a"), Some(3000));
    }
    resume(&mut client, 1000, "STOR a", &new[1000..2000]);
    assert!(server.get("a") == new[..2000]);
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn an_upload_without_a_data_connection_takes_over_no_part() {
    let server = Server::start();
    let new = noise(1, 5000);
    let mut first = Client::bob(&server);
    let mut data = hang(&mut first, "STOR a", &new[..3000], &server.home(), 3000);
    let mut second = Client::bob(&server);
    second.cmd("REST 3000", 350);
    second.cmd("STOR a", 425);
    data.write_all(&new[3000..]).unwrap();
    drop(data);
    first.expect(226);
    assert!(server.get("a") == new);
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn appends_to_two_names_of_one_file_both_stay() {
    let server = two_users();
    let path = server.put("a", b"old ");
    fs::hard_link(&path, server.home().join("b")).unwrap();
    let mut first = Client::bob(&server);
    let mut data = first.passive();
    first.cmd("APPE a", 150);
    data.write_all(b"one ").unwrap();
    eventually("it has arrived", || server.get("a") == b"old one ");
    let mut second = Client::login(&server, "ann", "secret");
    let mut other = second.passive();
    second.send("APPE b");
    second.expect_silence(Duration::from_millis(300));
    data.write_all(b"more ").unwrap();
    drop(data);
    first.expect(226);
    second.expect(150);
    other.write_all(b"two").unwrap();
    drop(other);
    second.expect(226);
    assert_eq!(server.get("a"), b"old one more two");
    assert_eq!(server.get("b"), b"old one more two");
}

#[test]
fn an_upload_of_a_new_file_does_not_replace_one_made_meanwhile() {
    let server = two_users();
    let mut first = Client::bob(&server);
    let data = hang(&mut first, "APPE a", b"a line", &server.home(), 6);
    Client::login(&server, "ann", "secret").upload("STOR a", b"whole");
    drop(data);
    first.expect(451);
    assert_eq!(server.get("a"), b"whole");
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn an_upload_that_began_with_a_copy_does_not_replace_a_newer_version() {
    let server = two_users();
    server.put("a", b"0123456789");
    let mut first = Client::bob(&server);
    first.cmd("REST 5", 350);
    let data = hang(&mut first, "STOR a", b"new", &server.home(), 8);
    Client::login(&server, "ann", "secret").upload("STOR a", b"whole");
    drop(data);
    first.expect(451);
    assert_eq!(server.get("a"), b"whole");
}

#[test]
fn appe_goes_on_with_a_part_only_if_its_user_was_shown_it() {
    for shown in ["", "LIST", "MLSD", "MLST log", "SIZE log"] {
        let server = Server::start();
        server.put("log", "line1\n");
        break_off(&mut Client::bob(&server), "STOR log", b"half", &server.home());
        let mut viewer = Client::bob(&server);
        match shown {
            "" => {}
            "LIST" | "MLSD" => drop(viewer.lines(shown)),
            _ => drop(viewer.ask(shown)),
        }
        Client::bob(&server).upload("APPE log", b"more\n");
        let expected = if shown.is_empty() { "line1\nmore\n" } else { "halfmore\n" };
        assert_eq!(server.get("log"), expected.as_bytes(), "{shown}");
    }
}

#[test]
fn appe_after_size_goes_on_with_that_part_and_no_other() {
    let server = Server::start();
    let home = server.home();
    let mut first = Client::bob(&server);
    break_off(&mut first, "STOR a", &b"1".repeat(500), &home);
    assert_eq!(first.cmd("SIZE a", 213), "213 500");
    break_off(&mut Client::bob(&server), "STOR a", &b"2".repeat(700), &home);
    let reply = refused(&mut first, "APPE a", 554);
    assert!(reply.contains(" 0 "), "{reply}");
    assert_eq!(first.cmd("SIZE a", 213), "213 700");
    first.upload("APPE a", b"2");
    assert_eq!(server.get("a"), b"2".repeat(701));
    // what was told is forgotten with the file
    break_off(&mut first, "STOR b", b"123", &home);
    first.cmd("SIZE b", 213);
    first.cmd("DELE b", 250);
    first.cmd("SIZE b", 550);
    first.upload("APPE b", b"new");
    assert_eq!(server.get("b"), b"new");
}

#[test]
fn a_part_that_began_with_a_version_ends_with_it() {
    let server = two_users();
    server.put("a", b"1".repeat(1000));
    let mut first = Client::bob(&server);
    first.cmd("REST 500", 350);
    let data = hang(&mut first, "STOR a", b"new", &server.home(), 503);
    reset(data);
    first.expect(426);
    assert_eq!(sizes(&mut first, "a"), Some(503));
    // the same version: it goes on, and is begun once more
    first.cmd("REST 503", 350);
    let data = hang(&mut first, "STOR a", b"er", &server.home(), 505);
    reset(data);
    first.expect(426);
    assert_eq!(sizes(&mut first, "a"), Some(505));
    Client::login(&server, "ann", "secret").upload("STOR a", b"whole");
    assert_eq!(sizes(&mut first, "a"), Some(5));
    first.cmd("REST 505", 350);
    assert!(refused(&mut first, "STOR a", 554).contains(" 5 "));
    assert_eq!(server.get("a"), b"whole");
}

#[test]
fn the_tail_of_a_large_file_is_not_put_at_risk() {
    let server = Server::start();
    let size = 100 << 20;
    let path = server.home().join("a");
    fs::File::create(&path).unwrap().set_len(size).unwrap();
    let mut client = Client::bob(&server);
    client.cmd(&format!("REST {}", 70 << 20), 350);
    let mut data = client.passive();
    let (code, text) = client.ask("STOR a");
    if code == 150 {
        // a version that was cloned
        data.write_all(b"new").unwrap();
        reset(data);
        client.expect(426);
    } else {
        assert_eq!(code, 554, "{text}");
        assert!(text.contains(&size.to_string()), "{text}");
    }
    assert_eq!(path.metadata().unwrap().len(), size);
}

#[test]
fn a_mode_that_is_changed_during_the_upload_stays() {
    let server = Server::start();
    let path = server.put("a", "old");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut client = Client::bob(&server);
    let data = hang(&mut client, "STOR a", b"new", &server.home(), 3);
    Client::bob(&server).cmd("SITE CHMOD 600 a", 200);
    drop(data);
    client.expect(226);
    assert_eq!(server.get("a"), b"new");
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn each_user_has_a_part_of_its_own() {
    let server = two_users();
    let home = server.home();
    server.put("a", "old");
    let (one, two) = (noise(1, 3000), noise(2, 4000));
    let mut bob = Client::bob(&server);
    let mut ann = Client::login(&server, "ann", "secret");
    break_off(&mut bob, "STOR a", &one[..1000], &home);
    break_off(&mut ann, "STOR a", &two[..2000], &home);
    assert_eq!((sizes(&mut bob, "a"), sizes(&mut ann, "a")), (Some(1000), Some(2000)));
    resume(&mut ann, 2000, "STOR a", &two[2000..]);
    assert!(server.get("a") == two);
    assert_eq!((sizes(&mut bob, "a"), sizes(&mut ann, "a")), (Some(1000), Some(4000)));
    assert!(bob.download("RETR a") == two);
    resume(&mut bob, 1000, "STOR a", &one[1000..]);
    assert!(server.get("a") == one);
    assert_eq!(parts(&home), []);
}

#[test]
fn ascii_uploads_go_on_by_the_bytes_of_the_wire() {
    let server = Server::start();
    server.put("a", "an older version\n".repeat(500));
    let wire = "a line\r\n".repeat(1000);
    let unix = "a line\n".repeat(1000);
    // between lines, in a line, and between CR and LF
    for (cut, local) in [(800, 700), (803, 703), (807, 706)] {
        let mut client = Client::bob(&server);
        client.cmd("TYPE A", 200);
        let mut data = client.passive();
        client.cmd("STOR a", 150);
        data.write_all(&wire.as_bytes()[..cut]).unwrap();
        arrived(&server.home(), local);
        reset(data);
        client.expect(426);
        let told: usize = client.cmd("SIZE a", 213)[4..].parse().unwrap();
        assert!(told <= cut && told + 1 >= cut, "{told} of {cut}");
        resume(&mut client, told, "STOR a", &wire.as_bytes()[told..]);
        assert_eq!(server.get("a"), unix.as_bytes());
        server.put("a", "an older version\n".repeat(500));
    }
}

#[test]
fn a_truncated_tls_stream_leaves_the_old_version_and_goes_on() {
    let server = Server::setup().server("tls_cert = auto").start();
    let new = noise(1, 50_000);
    for version in VERSIONS {
        server.put("a", "old");
        let tls = Tls::new(version);
        let mut client = Client::secure_bob(&server, &tls);
        let mut data = client.begin(&tls, "STOR a");
        data.send(&new[..20_000]).unwrap();
        arrived(&server.home(), 20_000);
        data.cut();
        client.expect(426);
        assert_eq!(server.get("a"), b"old");
        assert_eq!(client.cmd("SIZE a", 213), "213 20000");
        client.cmd("REST 20000", 350);
        client.secure_upload(&tls, "STOR a", &new[20_000..]);
        assert!(server.get("a") == new);
    }
}

#[test]
fn an_upload_through_a_link_replaces_its_target_and_the_link_stays() {
    let server = two_users();
    fs::create_dir_all(server.home().join("dir/deep")).unwrap();
    symlink("dir/deep/real", server.home().join("link")).unwrap();
    symlink("link", server.home().join("link2")).unwrap();
    let new = noise(1, 3000);
    for (broken, resumed) in
        [("link", "link"), ("link2", "dir/deep/real"), ("dir/deep/real", "link")]
    {
        server.put("dir/deep/real", "old");
        let mut client = Client::bob(&server);
        let deep = server.home().join("dir/deep");
        break_off(&mut client, format!("STOR {broken}"), &new[..1000], &deep);
        assert_eq!(server.get("link"), b"old");
        assert_eq!(parts(&server.home()), []);
        for name in ["link", "link2", "dir/deep/real"] {
            assert_eq!(client.cmd(&format!("SIZE {name}"), 213), "213 1000");
            assert_eq!(client.download(&format!("RETR {name}")), b"old");
            let mut ann = Client::login(&server, "ann", "secret");
            assert_eq!(ann.cmd(&format!("SIZE {name}"), 213), "213 3");
        }
        resume(&mut client, 1000, &format!("STOR {resumed}"), &new[1000..]);
        for link in ["link", "link2"] {
            let meta = server.home().join(link).symlink_metadata().unwrap();
            assert!(meta.file_type().is_symlink());
        }
        assert!(server.get("dir/deep/real") == new);
        assert_eq!(parts(&deep), []);
    }
}

#[test]
fn names_of_any_length_and_of_any_bytes_can_be_gone_on_with() {
    let server = Server::start();
    let home = server.home();
    let mut names: Vec<Vec<u8>> =
        [189, 190, 191, 200, 254, 255].iter().map(|&len| vec![b'L'; len]).collect();
    names.extend([
        b"latin1-\xe9\xfc".to_vec(),
        b"iac-\xff\xf4-\xff".to_vec(),
        b"new\x01line".to_vec(),
        b" leading and trailing ".to_vec(),
        b"percent%20%".to_vec(),
        b"~".to_vec(),
        [b"\xff".repeat(255)].concat(),
    ]);
    let mut client = Client::bob(&server);
    for name in names {
        let line = |verb: &str| [verb.as_bytes(), b" ", &name].concat();
        let path = home.join(OsStr::from_bytes(&name));
        for old in [None, Some(b"the old one")] {
            if let Some(old) = old {
                fs::write(&path, old).unwrap();
            }
            break_off(&mut client, line("STOR"), b"first", &home);
            assert_eq!(client.tell(line("SIZE"), 213), b"213 5");
            assert_eq!(fs::read(&path).ok().as_deref(), old.map(|old| &old[..]));
            let data = client.download("MLSD");
            let lines: Vec<_> = data.split(|&byte| byte == b'\n').collect();
            if old.is_some() || name.len() <= 190 {
                let own = lines.iter().find(|line| line.windows(name.len()).any(|w| w == name));
                let own = own.unwrap_or_else(|| panic!("{}", data.escape_ascii()));
                let size = own.windows(7).any(|word| word == b"size=5;");
                assert!(size, "{}", own.escape_ascii());
            }
            client.tell("REST 5", 350);
            let mut data = client.passive();
            client.tell(line("STOR"), 150);
            data.write_all(b" second").unwrap();
            drop(data);
            client.expect(226);
            assert_eq!(fs::read(&path).unwrap(), b"first second");
            assert_eq!(parts(&home), []);
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn another_session_takes_over_from_one_that_hangs() {
    let server = Server::start();
    let home = server.home();
    let new = noise(1, 9000);
    for ending in ["more", "end", "reset", "nothing"] {
        server.put("a", "old");
        let mut first = Client::bob(&server);
        let mut stale = hang(&mut first, "STOR a", &new[..3000], &home, 3000);
        let mut second = Client::bob(&server);
        assert_eq!(second.cmd("SIZE a", 213), "213 3000");
        second.cmd("REST 3000", 350);
        let mut data = hang(&mut second, "STOR a", &new[3000..6000], &home, 6000);
        match ending {
            "more" => {
                stale.write_all(&noise(2, 5000)).unwrap();
                first.expect(426);
            }
            "end" => {
                drop(stale);
                first.expect(426);
            }
            "reset" => {
                reset(stale);
                first.expect(426);
            }
            _ => {}
        }
        assert_eq!(server.get("a"), b"old");
        assert_eq!(sizes(&mut Client::bob(&server), "a"), Some(6000), "{ending}");
        data.write_all(&new[6000..]).unwrap();
        drop(data);
        second.expect(226);
        assert!(server.get("a") == new, "{ending}");
        if ending == "nothing" {
            // and afterwards it can do no harm either
            first.raw(b"ABOR\r\n");
            first.expect(426);
            first.expect(226);
        }
        assert!(server.get("a") == new, "{ending}");
        assert_eq!(parts(&home), [], "{ending}");
        // the first session is as good as new
        first.upload("STOR b", b"x");
    }
}

#[test]
fn sessions_that_take_over_from_each_other_all_the_time_join_no_bytes() {
    let server = Server::start();
    let new = noise(1, 40_000);
    let mut sessions: Vec<(Client, TcpStream)> = Vec::new();
    for step in 0..20 {
        let mut client = Client::bob(&server);
        let at = step * 2000;
        if at > 0 {
            client.cmd(&format!("REST {at}"), 350);
        }
        let data = hang(&mut client, "STOR a", &new[at..at + 2000], &server.home(), at + 2000);
        sessions.push((client, data));
    }
    // all at once: the last one has the whole
    let mut last = sessions.pop().unwrap();
    drop(last.1);
    last.0.expect(226);
    for (mut client, mut data) in sessions {
        let _ = data.write_all(b"late");
        drop(data);
        client.expect(426);
    }
    assert!(server.get("a") == new);
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn anonymous_users_from_two_addresses_have_parts_of_their_own() {
    let lines = "enable_anonymous = on\nanonymous_path = home\nanonymous_perm = elradfmw";
    let server = Server::setup().server(lines).start();
    let home = server.home();
    let anonymous = |own: &str| {
        let own: IpAddr = own.parse().unwrap();
        let mut client = Client::over(connect_from(own, server.address()).unwrap());
        client.expect(220);
        client.cmd("USER ftp", 331);
        client.cmd("PASS x@", 230);
        client.cmd("TYPE I", 200);
        client
    };
    let begin = |client: &mut Client, line: &str| {
        let listener = client.listener();
        client.cmd(line, 150);
        listener.accept().unwrap().0
    };
    let mut one = anonymous("127.0.0.1");
    let mut two = anonymous("127.0.0.2");
    let mut data = begin(&mut one, "STOR a");
    data.write_all(b"first").unwrap();
    arrived(&home, 5);
    two.cmd("SIZE a", 550);
    reset(data);
    one.expect(426);
    two.cmd("SIZE a", 550);
    two.cmd("DELE a", 550);
    assert_eq!(anonymous("127.0.0.1").cmd("SIZE a", 213), "213 5");
    two.cmd("REST 5", 350);
    let _listener = two.listener();
    two.cmd("STOR a", 554);
    one.cmd("REST 5", 350);
    let mut data = begin(&mut one, "STOR a");
    data.write_all(b" second").unwrap();
    drop(data);
    one.expect(226);
    assert_eq!(server.get("a"), b"first second");
}

#[test]
fn parts_are_removed_after_keep_parts_without_any_session() {
    let server = Server::setup().server("keep_parts = 1s").start();
    server.put("a", "old");
    fs::create_dir(server.home().join("d")).unwrap();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"first", &server.home());
    break_off(&mut client, "STOR d/b", b"second", &server.home().join("d"));
    client.cmd("QUIT", 221);
    drop(client);
    no_parts(&server.home());
    no_parts(&server.home().join("d"));
    assert_eq!(server.get("a"), b"old");
    let mut client = Client::bob(&server);
    assert_eq!(sizes(&mut client, "a"), Some(3));
    client.cmd("SIZE d/b", 550);
    client.cmd("REST 5", 350);
    assert!(refused(&mut client, "STOR a", 554).contains(" 3 "));
}

#[test]
fn a_part_that_is_being_written_outlives_keep_parts() {
    let server = Server::setup().server("keep_parts = 1s").start();
    let mut client = Client::bob(&server);
    let mut data = hang(&mut client, "STOR a", b"first", &server.home(), 5);
    make_old(&server.home());
    // a dead one shows when the parts have been looked through
    break_off(&mut Client::bob(&server), "STOR b", b"x", &server.home());
    eventually("the dead part is gone", || parts(&server.home()).len() == 1);
    Client::bob(&server).lines("LIST");
    data.write_all(b" second").unwrap();
    drop(data);
    client.expect(226);
    assert_eq!(server.get("a"), b"first second");
}

#[test]
fn keep_parts_0_keeps_none() {
    let server = Server::setup().server("keep_parts = 0").start();
    server.put("a", "old");
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"first", &server.home());
    assert_eq!(parts(&server.home()), []);
    assert_eq!(sizes(&mut client, "a"), Some(3));
    assert_eq!(server.get("a"), b"old");
}

#[test]
fn dele_ends_the_part_as_well() {
    let server = two_users();
    let home = server.home();
    let mut client = Client::bob(&server);
    // with an old version, and without
    for old in [Some("old"), None] {
        if let Some(old) = old {
            server.put("a", old);
        }
        break_off(&mut client, "STOR a", b"first", &home);
        client.cmd("DELE a", 250);
        assert_eq!(parts(&home), []);
        assert_eq!(sizes(&mut client, "a"), None);
        client.cmd("DELE a", 550);
    }
    // another one's stays
    server.put("a", "old");
    break_off(&mut client, "STOR a", b"first", &home);
    let mut ann = Client::login(&server, "ann", "secret");
    ann.cmd("DELE a", 250);
    ann.cmd("DELE a", 550);
    assert_eq!(sizes(&mut client, "a"), Some(5));
    resume(&mut client, 5, "STOR a", b" second");
    assert_eq!(server.get("a"), b"first second");
    // what is being uploaded stands when it ends
    let mut data = hang(&mut client, "STOR a", b"third", &home, 5);
    Client::bob(&server).cmd("DELE a", 250);
    Client::bob(&server).cmd("DELE a", 450);
    data.write_all(b"!").unwrap();
    drop(data);
    client.expect(226);
    assert_eq!(server.get("a"), b"third!");
}

#[test]
fn renaming_takes_the_file_and_never_the_part() {
    let server = Server::start();
    let home = server.home();
    server.put("a", "old a");
    server.put("b", "old b");
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"first", &home);
    client.cmd("RNFR a", 350);
    client.cmd("RNTO c", 250);
    assert_eq!(server.get("c"), b"old a");
    assert_eq!(sizes(&mut client, "a"), None);
    assert_eq!(sizes(&mut client, "c"), Some(5));
    break_off(&mut client, "STOR b", b"123456", &home);
    client.cmd("RNFR c", 350);
    client.cmd("RNTO b", 250);
    assert_eq!(server.get("b"), b"old a");
    assert_eq!(sizes(&mut client, "b"), Some(5));
    assert_eq!(parts(&home), []);
    // what has no other version than its part has nothing to rename
    break_off(&mut client, "STOR x", b"first", &home);
    client.cmd("RNFR x", 550);
    assert_eq!(sizes(&mut client, "x"), Some(5));
    // while it is uploaded, the old version can go away, and the new one comes all the same
    let mut data = hang(&mut client, "STOR b", b"new ", &home, 4);
    let mut other = Client::bob(&server);
    other.cmd("RNFR b", 350);
    other.cmd("RNTO kept", 250);
    data.write_all(b"b").unwrap();
    drop(data);
    client.expect(226);
    assert_eq!((server.get("b"), server.get("kept")), (b"new b".to_vec(), b"old a".to_vec()));
}

#[test]
fn a_renamed_directory_takes_its_uploads_along() {
    let server = Server::start();
    fs::create_dir(server.home().join("d")).unwrap();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR d/dead", b"first", &server.home().join("d"));
    let mut data = hang(&mut client, "STOR d/live", b"ab", &server.home().join("d"), 2);
    let mut other = Client::bob(&server);
    other.cmd("RNFR d", 350);
    other.cmd("RNTO e", 250);
    data.write_all(b"c").unwrap();
    drop(data);
    client.expect(226);
    assert_eq!(server.get("e/live"), b"abc");
    assert_eq!(client.cmd("SIZE e/dead", 213), "213 5");
    resume(&mut client, 5, "STOR e/dead", b" second");
    assert_eq!(server.get("e/dead"), b"first second");
}

#[test]
fn a_directory_with_nothing_but_dead_parts_can_be_removed() {
    let server = two_users();
    let dir = server.home().join("d");
    fs::create_dir(&dir).unwrap();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR d/a", b"first", &dir);
    break_off(&mut client, "STOR d/b", b"second", &dir);
    let mut ann = Client::login(&server, "ann", "secret");
    break_off(&mut ann, "STOR d/b", b"third!!", &dir);
    fs::write(dir.join("file"), "x").unwrap();
    client.cmd("RMD d", 550);
    assert_eq!(parts(&dir).len(), 3);
    client.cmd("DELE d/file", 250);
    ann.cmd("RMD d", 250);
    assert!(!server.has("d"));
    client.cmd("SIZE d/a", 550);
    // a new directory of the name has none of them
    client.cmd("MKD d", 257);
    assert_eq!(client.lines("LIST d").len(), 0);
    client.upload("STOR d/a", b"new");
    assert_eq!(server.get("d/a"), b"new");
}

#[test]
fn the_names_of_parts_do_not_exist_in_any_command() {
    let server = Server::start();
    let home = server.home();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"first", &home);
    let real = String::from_utf8(parts(&home)[0].0.clone()).unwrap();
    server.put("file", "x");
    // as a part of another server would be, and one that is nobody's
    fs::write(home.join(".ftpd-part-x"), "foreign").unwrap();
    fs::create_dir(home.join(".ftpd-part-dir")).unwrap();
    fs::write(home.join(".ftpd-part-dir/in"), "inside").unwrap();
    let before: Vec<_> = crate::clients::tree(&home).into_iter().collect();
    let names = [
        real.clone(),
        real.to_ascii_uppercase(),
        format!("./{real}"),
        format!("/{real}"),
        format!("{real}/"),
        ".ftpd-part-x".to_owned(),
        ".FTPD-PART-X".to_owned(),
        ".ftpd-part-".to_owned(),
        ".ftpd-part-dir".to_owned(),
        ".ftpd-part-dir/in".to_owned(),
        ".Ftpd-Part-Dir/new".to_owned(),
    ];
    let mut tried = 0;
    for verb in VERBS {
        let lines: Vec<(String, u16)> = match (verb.name(), &verb.arg) {
            // without SITE CPFR, SITE CPTO is refused whatever the name is: see `copies.rs`
            (_, Arg::Nothing(_)) | ("SITE CPTO", _) => continue,
            ("STOR" | "APPE" | "STOU" | "MKD" | "XMKD" | "RNTO" | "SITE MKDIR", _) => {
                names.iter().map(|name| (format!("{} {name}", verb.name()), 553)).collect()
            }
            ("MFMT" | "SITE UTIME" | "MDTM", _) if !matches!(verb.arg, Arg::Path(_)) => names
                .iter()
                .map(|name| (format!("{} 20240229120000 {name}", verb.name()), 550))
                .collect(),
            ("SITE CHMOD", _) => {
                names.iter().map(|name| (format!("SITE CHMOD 600 {name}"), 550)).collect()
            }
            ("SITE SYMLINK", _) => {
                let both = |name: &String| {
                    let (from, to) = (format!("{name} x"), format!("x {name}"));
                    [from, to].map(|line| (format!("SITE SYMLINK {line}"), 550))
                };
                names.iter().flat_map(both).collect()
            }
            ("SITE CHGRP", _) => {
                names.iter().map(|name| (format!("SITE CHGRP 0 {name}"), 550)).collect()
            }
            ("MFF", arg) => {
                let fact = match arg {
                    Arg::TimeFactAndPath(_) => "modify=20240229120000",
                    _ => "UNIX.mode=0600",
                };
                names.iter().map(|name| (format!("MFF {fact}; {name}"), 550)).collect()
            }
            (
                "RETR" | "CWD" | "DELE" | "RMD" | "RNFR" | "SIZE" | "MDTM" | "MLST" | "MLSD"
                | "LIST" | "NLST" | "STAT" | "AVBL" | "HASH" | "XCRC" | "XMD5" | "XSHA1"
                | "XSHA256" | "XSHA512" | "SITE MD5" | "SITE RMDIR" | "SITE CPFR",
                _,
            ) => names.iter().map(|name| (format!("{} {name}", verb.name()), 550)).collect(),
            (name, arg) => {
                assert!(
                    !matches!(arg, Arg::Path(_) | Arg::OptionsAndPath(_))
                        || ["SMNT", "PRET"].contains(&name),
                    "{name}: say here what it does"
                );
                continue;
            }
        };
        for (line, code) in lines {
            parse(line.as_bytes()).asks().unwrap_or_else(|why| panic!("{line}: {why:?}"));
            let (got, text, bytes) = if line.starts_with("RNTO") {
                client.cmd("RNFR file", 350);
                let (code, text) = client.ask(&line);
                (code, text, Vec::new())
            } else {
                client.exchange(&line, b"x")
            };
            // a pattern, or a name that a listing knows nothing of, may be an empty list too
            let empty =
                bytes.is_empty() && got == 226 && ["LIST", "NLST"].contains(&&line[..4]);
            let status =
                line.starts_with("STAT") && got != 211 && !text.contains(".ftpd-part-x\n");
            assert!(
                got == code || empty || (status && (400..600).contains(&got)),
                "{line}: {text}"
            );
            tried += 1;
        }
    }
    assert!(tried > 15 * names.len(), "{tried}");
    assert_eq!(before, crate::clients::tree(&home).into_iter().collect::<Vec<_>>());
    assert_eq!(sizes(&mut client, "a"), Some(5));
    for line in ["NLST *", "LIST -la", "NLST .f*", "LIST *part*", "MLSD", "NLST .ftpd-part-dir"]
    {
        let (_, _, bytes) = client.exchange(line, b"");
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        assert!(!text.contains("ftpd-part"), "{line}: {text}");
    }
}

#[test]
fn two_who_stou_at_once_get_two_names_and_nothing_is_seen_before_the_end() {
    let server = two_users();
    server.put("x", "there before");
    let mut one = Client::bob(&server);
    let mut two = Client::login(&server, "ann", "secret");
    for (line, names) in [("STOU", ["upload", "upload.1"]), ("STOU x", ["x.1", "x.2"])] {
        let mut first = one.passive();
        let reply = one.cmd(line, 150);
        assert!(reply.ends_with(&format!("FILE: {}", names[0])), "{reply}");
        let mut second = two.passive();
        let reply = two.cmd(line, 150);
        assert!(reply.ends_with(&format!("FILE: {}", names[1])), "{reply}");
        first.write_all(b"one").unwrap();
        second.write_all(b"two").unwrap();
        arrived(&server.home(), 3);
        assert!(!server.has(names[0]) && !server.has(names[1]));
        two.raw(b"STAT\r\n");
        two.expect(211);
        drop(second);
        two.expect(226);
        assert!(!server.has(names[0]));
        drop(first);
        one.expect(226);
        assert_eq!(server.get(names[0]), b"one");
        assert_eq!(server.get(names[1]), b"two");
    }
    assert_eq!(server.get("x"), b"there before");
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn stou_replaces_nothing_that_another_program_has_made_meanwhile() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOU", 150);
    data.write_all(b"ours").unwrap();
    arrived(&server.home(), 4);
    server.put("upload", "theirs");
    fs::create_dir(server.home().join("upload.1")).unwrap();
    symlink("nowhere", server.home().join("upload.2")).unwrap();
    drop(data);
    let reply = client.expect(226);
    assert!(reply.contains("FILE: upload.3"), "{reply}");
    assert_eq!(server.get("upload"), b"theirs");
    assert_eq!(server.get("upload.3"), b"ours");
    let line = server.wait_for_log("STOU ");
    assert!(line.contains("/upload.3"), "{line}");
}

#[test]
fn stou_that_breaks_off_leaves_no_name() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOU", b"half", &server.home());
    assert!(!server.has("upload"));
    client.upload("STOU", b"whole");
    assert_eq!(server.get("upload"), b"whole");
    assert_eq!(parts(&server.home()), []);
}

#[test]
fn atomic_uploads_off_is_the_classic_way_per_server_and_per_user() {
    let ann =
        "[user:ann]\npassword = secret\nperm = elradfmwMT\nhome = home\natomic_uploads = on";
    let eve =
        "[user:ann]\npassword = secret\nperm = elradfmwMT\nhome = home\natomic_uploads = off";
    for (all, section, classic, atomic) in
        [("off", ann, "bob", "ann"), ("on", eve, "ann", "bob")]
    {
        let server =
            Server::setup().server(&format!("atomic_uploads = {all}")).section(section).start();
        server.put("a", "the old version");
        let mut client = Client::login(&server, classic, "secret");
        let mut data = client.passive();
        client.cmd("STOR a", 150);
        data.write_all(b"new").unwrap();
        eventually("it is written to in place", || server.get("a") == b"new");
        assert_eq!(parts(&server.home()), []);
        reset(data);
        client.expect(426);
        assert_eq!(server.get("a"), b"new");
        assert_eq!(sizes(&mut client, "a"), Some(3));
        resume(&mut client, 3, "STOR a", b"er");
        client.upload("APPE a", b"!");
        assert_eq!(server.get("a"), b"newer!");
        let mut client = Client::login(&server, atomic, "secret");
        break_off(&mut client, "STOR a", b"first", &server.home());
        assert_eq!(server.get("a"), b"newer!");
        assert_eq!(sizes(&mut client, "a"), Some(5));
        others_see(&server, classic, "a", Some(b"newer!"));
    }
}

#[test]
fn a_classic_upload_whose_file_is_gone_is_no_success() {
    let other = "[user:eve]\npassword = secret\nperm = elradfmwMT\nhome = home";
    for (lines, code) in
        [(&["DELE a"][..], 451), (&["RNFR other", "RNTO a"], 451), (&["RNFR a", "RNTO b"], 226)]
    {
        let server = Server::setup().server("atomic_uploads = off").section(other).start();
        server.put("other", "x");
        let (mut bob, mut eve) =
            (Client::bob(&server), Client::login(&server, "eve", "secret"));
        let mut data = bob.passive();
        bob.cmd("STOR a", 150);
        data.write_all(b"first").unwrap();
        eventually("it is written to in place", || {
            server.has("a") && server.get("a") == b"first"
        });
        for line in lines {
            eve.cmd(line, if line.starts_with("RNFR") { 350 } else { 250 });
        }
        drop(data);
        bob.expect(code);
        assert_eq!(server.has("b") && server.get("b") == b"first", code == 226);
    }
}

/// Sets an extended attribute, where the file system has them.
fn set_attribute(path: &Path, name: &CStr, value: &[u8]) -> bool {
    let set = rustix::fs::setxattr(path, name, value, XattrFlags::empty());
    if let Err(why) = set {
        eprintln!("skipped: no attribute {name:?} here: {why}");
    }
    set.is_ok()
}

fn attribute(path: &Path, name: &CStr) -> Option<Vec<u8>> {
    let mut value = [0_u8; 4096];
    let len = rustix::fs::getxattr(path, name, &mut value[..]).ok()?;
    Some(value[..len].to_vec())
}

/// `user::rw-, user:1234:rwx, group::r--, mask::rwx, other::---`, as the kernel stores it.
fn acl() -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, perm, id) in [
        (0x01_u16, 6_u16, u32::MAX),
        (0x02, 7, 1234),
        (0x04, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(perm.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

#[test]
fn mode_owner_attributes_and_access_lists_of_a_replaced_file_are_kept() {
    let server = Server::start();
    let is_root = rustix::process::geteuid().is_root();
    let mut client = Client::bob(&server);
    let path = server.put("a", "old");
    let acl = acl();
    for (mode, way) in [(0o600, "STOR"), (0o666, "resumed"), (0o755, "REST"), (0o640, "APPE")] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        if is_root {
            chown(&path, Some(1234), Some(4321)).unwrap();
        }
        let noted = set_attribute(&path, c"user.note", way.as_bytes());
        let listed = mode == 0o666 && set_attribute(&path, c"system.posix_acl_access", &acl);
        let mode = path.metadata().unwrap().mode();
        match way {
            "STOR" => drop(client.upload("STOR a", b"new")),
            "APPE" => drop(client.upload("APPE a", b"new")),
            "REST" => resume(&mut client, 1, "STOR a", b"new"),
            _ => {
                break_off(&mut client, "STOR a", b"ne", &server.home());
                resume(&mut client, 2, "STOR a", b"w");
            }
        }
        assert!(server.get("a").ends_with(b"new"));
        let meta = path.metadata().unwrap();
        assert_eq!(meta.mode(), mode, "{way}: {:o}", meta.mode());
        if is_root {
            assert_eq!((meta.uid(), meta.gid()), (1234, 4321), "{way}");
        }
        if noted {
            assert_eq!(attribute(&path, c"user.note").as_deref(), Some(way.as_bytes()));
        }
        if listed {
            assert_eq!(attribute(&path, c"system.posix_acl_access"), Some(acl.clone()));
        }
        fs::remove_file(&path).unwrap();
        server.put("a", "old");
    }
}

#[test]
fn a_part_is_never_more_open_than_the_file_it_replaces() {
    let server = Server::setup().user("umask = 027").start();
    let path = server.put("a", "old");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut client = Client::bob(&server);
    for (name, mode) in [("a", 0o600), ("new", 0o640)] {
        let mut data = hang(&mut client, format!("STOR {name}"), b"x", &server.home(), 1);
        let part = server.home().join(OsStr::from_bytes(&parts(&server.home())[0].0));
        assert_eq!(part.metadata().unwrap().mode() & 0o7777, mode);
        data.write_all(b"y").unwrap();
        drop(data);
        client.expect(226);
        let meta = server.home().join(name).metadata().unwrap();
        assert_eq!(meta.mode() & 0o7777, mode, "{name}");
    }
}

#[test]
fn a_file_with_several_names_is_written_to_in_place_and_the_log_says_so() {
    let server = Server::start();
    let path = server.put("a", "the old version");
    fs::hard_link(&path, server.home().join("b")).unwrap();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"new");
    assert_eq!(server.get("b"), b"new");
    assert_eq!(path.metadata().unwrap().nlink(), 2);
    let line = server.wait_for_log("written to in place");
    assert!(line.contains("hard links") && line.contains("/a\""), "{line}");
    // and it continues as earlier servers did
    let mut data = client.passive();
    client.cmd("STOR b", 150);
    data.write_all(b"first").unwrap();
    eventually("it is in place", || server.get("a") == b"first");
    reset(data);
    client.expect(426);
    assert_eq!(sizes(&mut client, "a"), Some(5));
    resume(&mut client, 5, "STOR a", b" second");
    assert_eq!(server.get("b"), b"first second");
    assert_eq!(parts(&server.home()), []);
    // the appended bytes are removed again
    let mut data = client.passive();
    client.cmd("APPE a", 150);
    data.write_all(b" third").unwrap();
    eventually("it is in place", || server.get("b") == b"first second third");
    reset(data);
    client.expect(426);
    assert_eq!(server.get("b"), b"first second");
}

#[test]
fn special_bits_are_never_set_and_directories_keep_theirs() {
    let server = Server::start();
    let file = server.put("file", "x");
    let dir = server.home().join("dir");
    let plain = server.home().join("plain");
    for dir in [&dir, &plain] {
        fs::create_dir(dir).unwrap();
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o3770)).unwrap();
    let mut client = Client::bob(&server);
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
    for asked in ["4755", "2755", "1777", "7777", "6755", "04755", "00002755"] {
        for path in [&file, &dir, &plain] {
            let before = mode(path);
            let name = path.file_name().unwrap().to_str().unwrap();
            let (code, text) = client.ask(&format!("SITE CHMOD {asked} {name}"));
            assert!([200, 501].contains(&code), "{text}");
            assert_eq!(mode(path) & 0o7000, before & 0o7000, "{asked} {name}");
        }
    }
    for (path, wanted) in [(&file, 0o751), (&dir, 0o3751), (&plain, 0o751)] {
        let name = path.file_name().unwrap().to_str().unwrap();
        client.cmd(&format!("SITE CHMOD 751 {name}"), 200);
        assert_eq!(mode(path), wanted, "{name}");
    }
    // and an upload brings none back
    fs::set_permissions(&file, fs::Permissions::from_mode(0o6755)).unwrap();
    client.upload("STOR file", b"new");
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn times_that_do_not_exist_are_501_and_change_nothing() {
    let server = Server::start();
    let path = server.put("a", "x");
    let before = path.metadata().unwrap().modified().unwrap();
    let mut client = Client::bob(&server);
    for time in [
        "20230229120000",
        "20240230120000",
        "20240431000000",
        "20241301000000",
        "20240001000000",
        "20240100000000",
        "20240101240000",
        "20240101006000",
        "20240101000061",
        "2024010100000",
        "00000000000000",
        "19000229000000",
        "21000229000000",
    ] {
        client.cmd(&format!("MFMT {time} a"), 501);
        client.cmd(&format!("SITE UTIME {time} a"), 501);
        assert_eq!(path.metadata().unwrap().modified().unwrap(), before, "{time}");
    }
    client.cmd("MFMT 20240229120000 a", 213);
    client.cmd("MFMT 20000229120000 a", 213);
}

#[test]
fn however_a_connection_ends_the_old_version_stays_and_the_upload_goes_on() {
    let server = Server::setup().server("data_timeout = 1").start();
    let old = noise(1, 30_000);
    let new = noise(2, 40_000);
    for way in ["reset", "silent", "abor", "control", "control reset", "half"] {
        server.put("a", &old);
        let mut client = Client::bob(&server);
        let data = hang(&mut client, "STOR a", &new[..20_000], &server.home(), 20_000);
        match way {
            "reset" => {
                reset(data);
                client.expect(426);
            }
            "silent" => drop(client.expect(426)),
            "abor" => {
                client.cmd("ABOR", 426);
                client.expect(226);
            }
            "control" => drop(client),
            "control reset" => {
                reset(client.stream().try_clone().unwrap());
                drop(client);
            }
            _ => {
                client.stream().shutdown(Shutdown::Write).unwrap();
                client.expect(426);
            }
        }
        let mut client = Client::bob(&server);
        eventually("the upload has failed", || {
            server.log().matches("failed:").count() > 0 && {
                let tag = &parts(&server.home())[0].0;
                tag.windows(3).any(|word| word == b"-0.")
            }
        });
        assert!(server.get("a") == old, "{way}");
        assert!(client.download("RETR a") == old);
        assert_eq!(sizes(&mut client, "a"), Some(20_000), "{way}");
        resume(&mut client, 20_000, "STOR a", &new[20_000..]);
        assert!(server.get("a") == new, "{way}");
        assert_eq!(parts(&server.home()), []);
    }
}

#[test]
fn appends_that_fail_leave_no_trace() {
    let server = Server::setup().server("data_timeout = 1").start();
    let old = noise(1, 30_000);
    for way in ["reset", "silent", "abor", "control"] {
        let path = server.put("log", &old);
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("APPE log", 150);
        data.write_all(&noise(2, 20_000)).unwrap();
        eventually("it has arrived", || {
            path.metadata().unwrap().len() == 50_000
                || parts(&server.home()).iter().any(|part| part.1 == 50_000)
        });
        match way {
            "reset" => {
                reset(data);
                client.expect(426);
            }
            "silent" => drop(client.expect(426)),
            "abor" => {
                client.cmd("ABOR", 426);
                client.expect(226);
            }
            _ => drop(client),
        }
        eventually("it is gone", || {
            path.metadata().unwrap().len() == 30_000 && parts(&server.home()).is_empty()
        });
        assert!(server.get("log") == old, "{way}");
        let mut client = Client::bob(&server);
        assert_eq!(sizes(&mut client, "log"), Some(30_000));
        client.upload("APPE log", b"a line\n");
        assert!(server.get("log") == [&old[..], b"a line\n"].concat());
    }
}

#[test]
fn a_download_that_began_before_has_the_old_version_to_its_end() {
    let server = Server::start();
    let old = noise(1, 8 << 20);
    let new = noise(2, 9 << 20);
    server.put("a", &old);
    let mut reader = Client::bob(&server);
    let mut data = reader.passive();
    reader.cmd("RETR a", 150);
    Client::bob(&server).upload("STOR a", &new);
    assert!(Client::bob(&server).download("RETR a") == new);
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut data, &mut got).unwrap();
    reader.expect(226);
    assert!(got == old);
}

#[test]
fn sync_uploads_brings_file_and_directory_to_the_disk_before_the_226() {
    let server = Server::setup().server("sync_uploads = on").start();
    server.put("a", "old");
    let trace = server.dir().join("trace");
    let pid = server.pid().to_string();
    let tracer = std::process::Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-y",
            "-e",
            "trace=fsync,fdatasync,renameat,renameat2,close,sendto",
            "-p",
            &pid,
            "-o",
        ])
        .arg(&trace)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut client = Client::bob(&server);
    let seen = tracer.is_ok() && {
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while fs::read(&trace).unwrap_or_default().is_empty()
            && std::time::Instant::now() < until
        {
            client.cmd("NOOP", 200);
        }
        !fs::read(&trace).unwrap_or_default().is_empty()
    };
    client.upload("STOR a", b"first");
    client.upload("APPE a", b" second");
    client.upload("STOR b", b"new");
    assert_eq!((server.get("a"), server.get("b")), (b"first second".to_vec(), b"new".to_vec()));
    drop(client);
    if let Ok(mut tracer) = tracer {
        let _ = std::process::Command::new("kill").arg(tracer.id().to_string()).status();
        let _ = tracer.wait();
    }
    if !seen {
        eprintln!("skipped: no strace, so the calls were not seen");
        return;
    }
    let text = fs::read_to_string(&trace).unwrap();
    let at = |from: usize, what: &str| {
        let found = text[from..].find(what);
        from + found.unwrap_or_else(|| panic!("no {what} behind {from}:\n{text}"))
    };
    let file = at(0, "fsync(");
    assert!(text[file..].lines().next().unwrap().contains(".ftpd-part-"), "{text}");
    let renamed = at(file, "renameat");
    let dir = at(renamed, "fsync(");
    assert!(text[dir..].lines().next().unwrap().contains("/home>"), "{text}");
    at(dir, "226 ");
}

#[test]
fn machines_are_shown_the_part_behind_a_link_as_well() {
    let server = Server::start();
    server.put("a", "old");
    std::os::unix::fs::symlink("a", server.home().join("link")).unwrap();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"1234567", &server.home());
    client.cmd("OPTS MLST size;", 200);
    let mut lines = client.lines("MLSD");
    lines.sort();
    assert_eq!(lines, ["size=7; a", "size=7; link"]);
    assert_eq!(client.cmd("SIZE link", 213), "213 7");
}

#[test]
fn a_file_that_can_only_be_appended_to_is_appended_to() {
    let server = Server::start();
    let path = server.put("log", "one ");
    let attribute = |value: &str| {
        let done = std::process::Command::new("chattr").arg(value).arg(&path).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !attribute("+a") {
        eprintln!("skipped: this user or file system has no attribute +a");
        return;
    }
    let mut client = Client::bob(&server);
    let appended = client.exchange("APPE log", b"two");
    let stored = client.ask("STOR log");
    attribute("-a");
    assert_eq!(appended.0, 226, "{}", appended.1);
    assert_eq!(stored.0, 550, "{}", stored.1);
    assert_eq!(server.get("log"), b"one two");
}

/// Files that others may put in the place of a part.
const STRANGERS: [&str; 4] = ["mkfifo", "mkdir", "ln -s /etc/passwd", "ln -s nowhere"];

/// Puts something else in the place of all parts of a directory.
fn swap_parts(dir: &Path, how: &str) {
    for (name, _) in parts(dir) {
        fs::remove_file(dir.join(OsStr::from_bytes(&name))).unwrap();
        let script = format!("exec {how} \"$1\"");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, "sh"]).arg(OsStr::from_bytes(&name)).current_dir(dir);
        assert!(shell.status().unwrap().success());
    }
}

#[test]
fn a_file_that_others_put_in_the_place_of_a_dead_part_is_never_opened() {
    let server = Server::start();
    let home = server.home();
    for how in STRANGERS {
        for old in [None, Some("old version")] {
            if let Some(old) = old {
                server.put("a", old);
            }
            let mut client = Client::bob(&server);
            let data = hang(&mut client, "STOR a", &noise(1, 5000), &home, 5000);
            reset(data);
            client.expect(426);
            assert_eq!(client.cmd("SIZE a", 213), "213 5000");
            swap_parts(&home, how);
            if let Some(old) = old {
                let told = format!("213 {}", old.len());
                assert_eq!(client.cmd("SIZE a", 213), told, "{how}");
                client.cmd("TYPE A", 200);
                client.cmd("SIZE a", 213);
                client.cmd("TYPE I", 200);
                assert_eq!(client.download("RETR a"), old.as_bytes());
            } else {
                client.cmd("SIZE a", 550);
                client.cmd("TYPE A", 200);
                client.cmd("SIZE a", 550);
                client.cmd("REST 5000", 350);
                client.passive();
                client.cmd("STOR a", 550);
                client.cmd("TYPE I", 200);
            }
            client.cmd("REST 5000", 350);
            client.passive();
            client.cmd("STOR a", 554);
            client.lines("LIST");
            client.upload("APPE a", b"more");
            let whole = [old.unwrap_or_default().as_bytes(), b"more"].concat();
            assert_eq!(server.get("a"), whole, "{how}");
            client.cmd("DELE a", 250);
            for (name, _) in parts(&home) {
                let path = home.join(OsStr::from_bytes(&name));
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            }
        }
    }
}

#[test]
fn a_file_that_others_put_in_the_place_of_an_active_part_is_not_put_in_place() {
    let server = Server::start();
    let home = server.home();
    for how in STRANGERS {
        server.put("a", "old version");
        let mut client = Client::bob(&server);
        let data = hang(&mut client, "STOR a", &noise(1, 5000), &home, 5000);
        swap_parts(&home, how);
        drop(data);
        client.expect(451);
        assert_eq!(server.get("a"), b"old version", "{how}");
        assert!(!home.join("a").is_symlink());
        client.upload("STOR a", b"new version");
        assert_eq!(server.get("a"), b"new version", "{how}");
        for (name, _) in parts(&home) {
            let path = home.join(OsStr::from_bytes(&name));
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }
}

#[test]
fn a_refused_upload_leaves_the_data_connection_to_the_next_one() {
    for way in ["on", "off"] {
        let server = Server::setup().server(&format!("atomic_uploads = {way}")).start();
        fs::create_dir(server.home().join("dir")).unwrap();
        server.put("old", "old");
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("STOR dir", 550);
        client.cmd("STOR none/new", 550);
        client.cmd("STOR old", 150);
        data.write_all(b"new").unwrap();
        drop(data);
        client.expect(226);
        assert_eq!(server.get("old"), b"new");
    }
}

#[test]
fn a_restart_of_a_missing_file_is_told_where_it_could_begin() {
    for overwrite in ["yes", "no"] {
        let lines = format!("atomic_uploads = off\noverwrite = {overwrite}");
        let server = Server::setup().server(&lines).start();
        let mut client = Client::bob(&server);
        // the client has connected, or connects later
        for connected in [true, false] {
            let address = client.passive_address("EPSV");
            let data = connected.then(|| TcpStream::connect(address).unwrap());
            client.cmd("REST 4", 350);
            let reply = client.cmd("STOR new", 554);
            assert!(reply.contains("0 would fit"), "{reply}");
            client.cmd("STOR none/new", 550);
            drop(data);
        }
    }
}
