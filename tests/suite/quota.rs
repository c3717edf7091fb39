//! Quotas: `quota_bytes`, `quota_files`, the count behind them and `ftpd quota`.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::client::{Client, reset};
use crate::parts::{arrived, noise, parts};
use crate::server::{PATIENCE, Server, eventually, run};

/// What `ftpd quota` reports of a user: bytes, files, and whether that is exact.
fn reported(server: &Server, user: &str) -> (u64, u64, bool) {
    let (code, out, err) = run(&["quota", user, "--json"], server.dir());
    assert_eq!(code, 0, "{err}");
    let all: Value = serde_json::from_str(&out).unwrap();
    let one = &all[0];
    assert_eq!(one["user"], user, "{out}");
    let number = |name: &str| one[name].as_u64().unwrap();
    (number("bytes"), number("files"), one["exact"].as_bool().unwrap())
}

/// What bob has, once it has been counted.
pub(crate) fn used(server: &Server) -> (u64, u64) {
    used_by(server, "bob")
}

fn used_by(server: &Server, user: &str) -> (u64, u64) {
    let mut last = (0, 0);
    eventually("the home is counted", || {
        let (bytes, files, exact) = reported(server, user);
        last = (bytes, files);
        exact
    });
    last
}

/// Counts a tree as the manual says.
pub(crate) fn walked(dir: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            let (bytes, files) = walked(&entry.path());
            sum = (sum.0 + bytes, sum.1 + files);
        } else {
            sum = (sum.0 + meta.len(), sum.1 + 1);
        }
    }
    sum
}

/// Uploads bytes, and returns the code of the last reply.
pub(crate) fn upload(client: &mut Client, line: &str, bytes: &[u8]) -> u16 {
    let mut data = client.passive();
    let (code, _) = client.ask(line);
    if code != 150 {
        return code;
    }
    // the server closes the connection as soon as the quota is used up
    let _ = data.write_all(bytes);
    drop(data);
    client.answer().0
}

/// A server on which bob has a quota, with his home counted.
fn start(lines: &str) -> Server {
    let server = Server::setup().user(lines).start();
    used(&server);
    server
}

#[test]
fn what_exceeds_quota_bytes_is_552_and_leaves_nothing() {
    for atomic in ["on", "off"] {
        let server = start(&format!("quota_bytes = 300000\natomic_uploads = {atomic}"));
        let mut bob = Client::bob(&server);
        assert_eq!(upload(&mut bob, "STOR a", &vec![b'a'; 200_000]), 226);
        for line in ["STOR b", "STOU b", "APPE b", "APPE a"] {
            assert_eq!(upload(&mut bob, line, &vec![b'b'; 100_001]), 552, "{atomic} {line}");
        }
        assert_eq!(walked(&server.home()), (200_000, 1));
        bob.cmd("ALLO 100001", 552);
        bob.cmd("ALLO 100000", 200);
        bob.cmd("AVBL", 213);
        assert!(bob.cmd("AVBL /", 213).contains("213 100000"));
        assert_eq!(upload(&mut bob, "STOR b", &vec![b'b'; 100_000]), 226);
        // nothing is left: refused before the 150
        for line in ["STOR c", "STOU c", "APPE a"] {
            assert_eq!(bob.exchange(line, b"").0, 552, "{line}");
        }
        assert_eq!(used(&server), (300_000, 2));
        bob.cmd("DELE b", 250);
        assert_eq!(used(&server), (200_000, 1));
        assert_eq!(upload(&mut bob, "APPE a", &vec![b'b'; 100_000]), 226);
        assert_eq!(used(&server), walked(&server.home()));
        server.wait_for_log("quota_bytes is used up, 300000");
    }
}

#[test]
fn one_file_more_than_quota_files_is_552() {
    for atomic in ["on", "off"] {
        let server = start(&format!("quota_files = 2\natomic_uploads = {atomic}"));
        symlink("x", server.home().join("link")).unwrap();
        assert_eq!(run(&["quota", "--rescan"], server.dir()).0, 0);
        let mut bob = Client::bob(&server);
        bob.upload("STOR a", b"a");
        for line in ["STOR b", "STOU b", "APPE b"] {
            assert_eq!(bob.exchange(line, b"b").0, 552, "{line}");
        }
        bob.cmd("MKD folders do not count", 257);
        // a file that takes the place of another one
        bob.upload("STOR a", b"aa");
        bob.upload("APPE a", b"a");
        bob.cmd("DELE link", 250);
        bob.upload("STOR b", b"b");
        assert_eq!(used(&server), (4, 2));
        server.wait_for_log("quota_files is used up, 2");
    }
}

#[test]
fn replacing_counts_the_difference() {
    for atomic in ["on", "off"] {
        let server = start(&format!("quota_bytes = 10\natomic_uploads = {atomic}"));
        let mut bob = Client::bob(&server);
        bob.upload("STOR a", b"1234");
        bob.upload("STOR b", b"123456");
        bob.upload("STOR a", b"4321");
        assert_eq!(server.get("a"), b"4321");
        assert_eq!(upload(&mut bob, "STOR a", b"12345"), 552);
        if atomic == "on" {
            assert_eq!(server.get("a"), b"4321", "the old version stays");
        }
        bob.upload("STOR a", b"12");
        assert_eq!(used(&server), (8, 2));
        bob.cmd("RNFR a", 350);
        bob.cmd("RNTO b", 250);
        assert_eq!(used(&server), (2, 1));
        bob.upload("STOR c", b"12345678");
        assert_eq!(used(&server), (10, 2));
    }
}

#[test]
fn a_part_that_is_kept_counts_and_may_not_exceed_the_quota() {
    let server = start("quota_bytes = 100");
    let home = server.home();
    let mut bob = Client::bob(&server);
    bob.upload("STOR old", &[b'x'; 60]);
    let broken = |bob: &mut Client, line: &str, bytes: usize| {
        let mut data = bob.passive();
        bob.cmd(line, 150);
        data.write_all(&vec![b'y'; bytes]).unwrap();
        arrived(&home, bytes);
        reset(data);
        bob.expect(426);
    };
    broken(&mut bob, "STOR new", 30);
    assert_eq!(used(&server), (90, 2));
    // the old version counts again, and there is no room for both
    broken(&mut bob, "STOR old", 50);
    assert_eq!(parts(&home).len(), 1);
    assert_eq!(used(&server), (90, 2));
    assert_eq!(server.get("old"), [b'x'; 60]);
    bob.cmd("REST 30", 350);
    bob.upload("STOR new", &[b'z'; 10]);
    assert_eq!(used(&server), (100, 2));
    bob.cmd("DELE old", 250);
    broken(&mut bob, "STOR third", 60);
    // a part that cannot grow is refused before it is touched
    bob.cmd("REST 60", 350);
    assert_eq!(bob.exchange("STOR third", b"").0, 552);
    assert_eq!(used(&server), (100, 2));
    bob.cmd("DELE third", 250);
    assert_eq!(used(&server), (40, 1));
    assert_eq!(walked(&home), (40, 1));
}

#[test]
fn sessions_of_one_user_never_exceed_the_quota_together() {
    const MOST: usize = 3_000_000;
    let server = start(&format!("quota_bytes = {MOST}"));
    let codes: Vec<_> = thread::scope(|scope| {
        let one = |at: usize| {
            let server = &server;
            move || {
                let mut bob = Client::bob(server);
                upload(&mut bob, &format!("STOR {at}"), &vec![b'x'; MOST / 4])
            }
        };
        let all: Vec<_> = (0..8).map(|at| scope.spawn(one(at))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(codes.contains(&552), "{codes:?}");
    let there = walked(&server.home());
    assert!(there.0 <= MOST as u64, "{there:?}");
    assert_eq!(used(&server), there);
}

#[test]
fn users_share_the_count_of_a_home_and_each_has_a_limit() {
    let server = Server::setup()
        .user("quota_bytes = 10")
        .section("[user:eve]\npassword = secret\nhome = home\nperm = elradfmw\nquota_bytes = 5")
        .section("[user:kim]\npassword = secret\nhome = home\nperm = elradfmw")
        .start();
    used(&server);
    let [mut bob, mut eve, mut kim] =
        ["bob", "eve", "kim"].map(|name| Client::login(&server, name, "secret"));
    bob.upload("STOR a", b"123456");
    assert_eq!(eve.exchange("STOR b", b"1").0, 552);
    bob.cmd("DELE a", 250);
    eve.upload("STOR b", b"12345");
    assert_eq!(used_by(&server, "bob"), (5, 1));
    assert_eq!(used_by(&server, "eve"), (5, 1));
    kim.upload("STOR c", &[b'c'; 20]);
    assert_eq!(used_by(&server, "bob"), (25, 2));
    assert_eq!(bob.exchange("STOR d", b"1").0, 552);
}

#[test]
fn where_homes_are_nested_both_pay() {
    let server = Server::setup()
        .user("quota_bytes = 100")
        .section(
            "[user:eve]\npassword = secret\nhome = home/in\nperm = elradfmw\nquota_bytes = 50",
        )
        .section("[user:kim]\npassword = secret\nhome = home/kim\nperm = elradfmw")
        .start_with(|dir| {
            fs::create_dir_all(dir.join("home/in/deep")).unwrap();
            fs::create_dir_all(dir.join("home/out")).unwrap();
            fs::create_dir_all(dir.join("home/kim")).unwrap();
            symlink("in", dir.join("home/way")).unwrap();
        });
    let link = 2;
    assert_eq!(used(&server), (link, 1));
    let [mut bob, mut eve, mut kim] =
        ["bob", "eve", "kim"].map(|name| Client::login(&server, name, "secret"));
    eve.upload("STOR a", &[b'x'; 40]);
    assert_eq!((used(&server), used_by(&server, "eve")), ((40 + link, 2), (40, 1)));
    // both limits hold
    assert_eq!(upload(&mut bob, "STOR way/b", &[b'x'; 11]), 552);
    bob.upload("STOR way/b", &[b'x'; 10]);
    assert_eq!((used(&server), used_by(&server, "eve")), ((50 + link, 3), (50, 2)));
    assert_eq!(upload(&mut kim, "STOR k", &[b'x'; 60]), 552);
    bob.upload("STOR big", &[b'x'; 48]);
    assert_eq!(kim.exchange("STOR k", b"1").0, 552);
    bob.cmd("DELE way/b", 250);
    assert_eq!(used_by(&server, "eve"), (40, 1));
    // a file, and a folder with something in it, are moved out and in
    for (from, to, eves) in [
        ("in/a", "out/a", (0, 0)),
        ("out", "in/out", (40, 1)),
        ("in/out", "out", (0, 0)),
        ("big", "in/big", (48, 1)),
    ] {
        bob.cmd(&format!("RNFR {from}"), 350);
        bob.cmd(&format!("RNTO {to}"), 250);
        assert_eq!((used(&server), used_by(&server, "eve")), ((88 + link, 3), eves), "{to}");
    }
    bob.cmd("RNFR out", 350);
    bob.cmd("RNTO in/out", 552);
    assert_eq!(used_by(&server, "eve"), (48, 1));
}

#[test]
fn after_a_kill_the_home_is_counted_again() {
    let mut server = start("quota_bytes = 1G");
    server.put("by another program", [b'x'; 1000]);
    let home = server.home();
    let mut uploads: Vec<(Client, TcpStream)> = Vec::new();
    for at in 0..8 {
        let mut bob = Client::bob(&server);
        let mut data = bob.passive();
        bob.cmd(&format!("STOR {at}"), 150);
        data.write_all(&vec![b'x'; 100_000 + at]).unwrap();
        arrived(&home, 100_000 + at);
        uploads.push((bob, data));
    }
    server.kill();
    server.start_again();
    assert_eq!(used(&server), walked(&home));
    assert_eq!(used(&server).1, 9);
    server.wait_for_log("quota: counted ");
}

#[test]
fn after_an_orderly_stop_the_count_is_known() {
    let mut server = start("quota_bytes = 1G");
    let mut bob = Client::bob(&server);
    bob.upload("STOR a", &[b'x'; 1234]);
    drop(bob);
    server.restart("TERM");
    // nothing was counted again: what another program has stored is not known yet
    server.put("by another program", [b'x'; 1000]);
    assert_eq!(reported(&server, "bob"), (1234, 1, true));
    assert_eq!(run(&["quota", "--rescan"], server.dir()).0, 0);
    assert_eq!(reported(&server, "bob"), (2234, 2, true));
    // without a server, the command counts by itself
    server.signal("TERM");
    server.wait_for_exit();
    let (code, out, err) = run(&["quota"], server.dir());
    assert!(code == 0 && err.is_empty() && out.contains("2.2 KiB"), "{out}{err}");
    let (code, _, err) = run(&["quota", "nobody"], server.dir());
    assert!(code == 1 && err.contains("no user nobody"), "{err}");
}

#[test]
fn a_quota_that_a_reload_brings_counts_what_is_there() {
    let server = Server::start();
    server.put("a", [b'x'; 60]);
    let mut bob = Client::bob(&server);
    bob.upload("STOR b", &[b'x'; 10]);
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\nquota_bytes = 100\n")).unwrap();
    assert_eq!(run(&["reload"], server.dir()).0, 0);
    assert_eq!(used(&server), (70, 2));
    // a session of before has no limit, and counts
    bob.upload("STOR c", &[b'x'; 20]);
    assert_eq!(used(&server), (90, 3));
    let mut bob = Client::bob(&server);
    assert_eq!(upload(&mut bob, "STOR d", &[b'x'; 11]), 552);
    bob.upload("STOR d", &[b'x'; 10]);
}

#[test]
fn the_trash_counts_and_is_emptied_before_a_552() {
    let server = start("quota_bytes = 100000\ntrash = on");
    let home = server.home();
    let mut bob = Client::bob(&server);
    for (name, size) in [("a", 30_000), ("b", 20_000), ("c", 10_000)] {
        bob.upload(&format!("STOR {name}"), &vec![b'x'; size]);
    }
    bob.cmd("DELE a", 250);
    bob.cmd("DELE b", 250);
    assert_eq!(used(&server), (60_000, 3));
    assert!(bob.cmd("AVBL", 213).contains("213 90000"), "the trash is room");
    bob.cmd("ALLO 90001", 552);
    assert_eq!(used(&server), (60_000, 3), "nothing is lost for what does not fit anyway");
    // the oldest goes first, and only as much as is needed
    bob.cmd("ALLO 70000", 200);
    assert_eq!(used(&server), (30_000, 2));
    bob.upload("STOR d", &vec![b'x'; 70_000]);
    assert_eq!(used(&server), (100_000, 3));
    bob.upload("STOR e", &vec![b'x'; 15_000]);
    // an old version stays in the trash, so that the new one needs room of its own
    assert_eq!(upload(&mut bob, "STOR e", &vec![b'y'; 15_000]), 552);
    assert_eq!(server.get("e"), vec![b'x'; 15_000]);
    bob.cmd("DELE d", 250);
    bob.upload("STOR e", &vec![b'y'; 15_000]);
    bob.cmd("RNFR e", 350);
    bob.cmd("RNTO c", 250);
    assert_eq!(used(&server), walked(&home));
    assert_eq!(run(&["quota", "--rescan"], server.dir()).0, 0);
    assert_eq!(used(&server), walked(&home));
}

#[test]
fn quota_files_empties_the_trash_as_well() {
    let server = start("quota_files = 3\ntrash = on");
    let mut bob = Client::bob(&server);
    for at in 0..5 {
        bob.upload(&format!("STOR {at}"), b"x");
        bob.upload("STOR b", b"x");
        bob.cmd(&format!("DELE {at}"), 250);
    }
    assert_eq!(used(&server).1, 3);
    assert_eq!(used(&server), walked(&server.home()));
}

/// Random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        let bytes = noise(self.0, 8);
        self.0 = u64::from_le_bytes(bytes.try_into().unwrap());
        self.0 % most
    }

    fn name(&mut self) -> String {
        let folder = ["", "d/", "d/e/", "f/"][usize::try_from(self.below(4)).unwrap()];
        format!("{folder}{}", self.below(4))
    }
}

/// Does something at random, whatever the reply.
fn act(client: &mut Client, dice: &mut Dice, server: &Server) {
    let (one, two) = (dice.name(), dice.name());
    let size = usize::try_from(dice.below(3) * dice.below(40_000)).unwrap();
    let bytes = noise(dice.below(1000), size);
    match dice.below(13) {
        0..=2 => drop(upload(client, &format!("STOR {one}"), &bytes)),
        3 => drop(upload(client, &format!("STOU {one}"), &bytes)),
        4 => drop(upload(client, &format!("APPE {one}"), &bytes)),
        5 => {
            client.ask(&format!("REST {}", dice.below(30_000)));
            upload(client, &format!("STOR {one}"), &bytes);
        }
        6 => {
            // resumes what has broken off
            let (code, text) = client.ask(&format!("SIZE {one}"));
            if code == 213 {
                client.ask(&format!("REST {}", text.trim().split(' ').next_back().unwrap()));
                upload(client, &format!("STOR {one}"), &bytes);
            }
        }
        7 | 8 => {
            let mut data = client.passive();
            let verb = ["STOR", "APPE"][usize::try_from(dice.below(2)).unwrap()];
            if client.ask(&format!("{verb} {one}")).0 == 150 {
                let _ = data.write_all(&bytes);
                reset(data);
                client.answer();
            }
        }
        9 => drop(client.ask(&format!("DELE {one}"))),
        10 | 11 => {
            if client.ask(&format!("RNFR {one}")).0 == 350 {
                client.ask(&format!("RNTO {two}"));
            }
        }
        _ => {
            let folder = ["d/e", "d", "f"][usize::try_from(dice.below(3)).unwrap()];
            let verb = ["RMD", "MKD", "LIST"][usize::try_from(dice.below(3)).unwrap()];
            if verb != "LIST" {
                client.ask(&format!("{verb} {folder}"));
            } else if dice.below(8) == 0 {
                assert_eq!(run(&["quota", "--rescan"], server.dir()).0, 0);
            }
        }
    }
}

/// Several sessions do what they like. With rescans meanwhile or without, the count is right.
#[test]
fn after_anything_the_count_is_that_of_a_walk() {
    for (seed, lines) in [
        (1, "atomic_uploads = on"),
        (2, "atomic_uploads = off"),
        (3, "trash = on"),
        (4, "overwrite = no"),
    ] {
        let server = Server::setup()
            .user(&format!("quota_bytes = 600000\nquota_files = 30\n{lines}"))
            .section("[user:eve]\npassword = secret\nhome = home/d\nperm = elradfmw\nquota_bytes = 300000")
            .start_with(|dir| {
                fs::create_dir_all(dir.join("home/d/e")).unwrap();
                fs::create_dir_all(dir.join("home/f")).unwrap();
            });
        used(&server);
        thread::scope(|scope| {
            for session in 0..4 {
                let server = &server;
                scope.spawn(move || {
                    let user = if session == 3 { "eve" } else { "bob" };
                    let mut client = Client::login(server, user, "secret");
                    let mut dice = Dice(seed * 100 + session);
                    for _ in 0..120 {
                        act(&mut client, &mut dice, server);
                    }
                    client.cmd("QUIT", 221);
                });
            }
        });
        let home = server.home();
        assert_eq!(used(&server), walked(&home), "{seed} {lines}");
        if home.join("d").is_dir() {
            assert_eq!(used_by(&server, "eve"), walked(&home.join("d")), "{seed} {lines}");
        }
    }
}

/// A directory that is renamed while the tree is read makes the count inexact, time and again. Once
/// nothing is renamed, it becomes exact without being asked for.
#[test]
fn a_count_that_was_disturbed_each_time_is_made_exact_later() {
    let server = Server::setup().user("quota_files = 5000").start_with(|dir| {
        for folder in 0..400 {
            fs::create_dir_all(dir.join(format!("home/{folder}"))).unwrap();
        }
    });
    used(&server);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let restless = scope.spawn(|| {
            let mut bob = Client::bob(&server);
            bob.cmd("MKD a", 257);
            let mut names = ["a", "b"];
            let until = Instant::now() + PATIENCE;
            while !is_over.load(Ordering::Relaxed) && Instant::now() < until {
                bob.cmd(&format!("RNFR {}", names[0]), 350);
                bob.cmd(&format!("RNTO {}", names[1]), 250);
                names.reverse();
            }
        });
        eventually("the count is not exact", || {
            assert!(!restless.is_finished());
            assert_eq!(run(&["quota", "--rescan"], server.dir()).0, 0);
            !reported(&server, "bob").2
        });
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(used(&server), (0, 0));
}

/// Two trees that have made each other doubtful do not wait for each other.
#[test]
fn files_that_change_places_during_an_upload_in_place_leave_exact_counts() {
    let server = Server::setup()
        .user("perm = elradfmwM")
        .section("[user:ann]\npassword = secret\nhome = home/a\nperm = elradfmw\nquota_files = 9\natomic_uploads = off")
        .section("[user:eve]\npassword = secret\nhome = home/e\nperm = elradfmw\nquota_files = 9")
        .start_with(|dir| {
            for (name, bytes) in [("a/one", 1), ("a/two", 2), ("e/three", 3)] {
                let path = dir.join("home").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, vec![b'x'; bytes]).unwrap();
            }
        });
    assert_eq!((used_by(&server, "ann"), used_by(&server, "eve")), ((3, 2), (3, 1)));
    let mut ann = Client::login(&server, "ann", "secret");
    ann.cmd("TYPE I", 200);
    let mut data = ann.passive();
    ann.cmd("APPE one", 150);
    let mut bob = Client::bob(&server);
    for (from, to) in [("a/two", "e/two"), ("e/three", "a/three"), ("a/one", "e/one")] {
        bob.cmd(&format!("RNFR {from}"), 350);
        bob.cmd(&format!("RNTO {to}"), 250);
    }
    data.write_all(b"0123456789").unwrap();
    drop(data);
    ann.expect(226);
    assert_eq!((used_by(&server, "ann"), used_by(&server, "eve")), ((3, 1), (13, 2)));
}

#[test]
fn an_upload_that_replaces_nothing_in_the_end_needs_room_of_its_own() {
    for (lines, bytes) in [("quota_bytes = 100000", 60_000), ("quota_files = 1", 10)] {
        let server = start(lines);
        let (mut bob, mut other) = (Client::bob(&server), Client::bob(&server));
        for client in [&mut bob, &mut other] {
            client.cmd("TYPE I", 200);
        }
        bob.upload("STOR a", &vec![b'a'; bytes]);
        let mut data = bob.passive();
        bob.cmd("STOR a", 150);
        data.write_all(&vec![b'b'; bytes]).unwrap();
        arrived(&server.home(), bytes);
        other.cmd("RNFR a", 350);
        other.cmd("RNTO b", 250);
        drop(data);
        bob.expect(552);
        assert_eq!(walked(&server.home()), (bytes as u64, 1), "{lines}");
        assert_eq!(used(&server), (bytes as u64, 1), "{lines}");
        // the room of a file that was deleted meanwhile is free again
        let mut data = bob.passive();
        bob.cmd("STOR b", 150);
        data.write_all(&vec![b'c'; bytes]).unwrap();
        arrived(&server.home(), bytes);
        other.cmd("DELE b", 250);
        drop(data);
        bob.expect(226);
        assert_eq!(used(&server), walked(&server.home()), "{lines}");
    }
}

#[test]
fn an_upload_that_began_before_there_was_a_quota_counts() {
    for atomic in ["on", "off"] {
        let server = Server::setup().user(&format!("atomic_uploads = {atomic}")).start();
        let mut bob = Client::bob(&server);
        bob.cmd("TYPE I", 200);
        let mut data = bob.passive();
        bob.cmd("STOR a", 150);
        data.write_all(b"0123456789").unwrap();
        let file = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\nquota_bytes = 100\n")).unwrap();
        assert_eq!(run(&["reload"], server.dir()).0, 0);
        used(&server);
        data.write_all(b"0123456789").unwrap();
        drop(data);
        bob.expect(226);
        eventually("the rest counts", || reported(&server, "bob") == (20, 1, true));
    }
}
