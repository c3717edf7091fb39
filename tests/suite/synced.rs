//! What is brought to the disk, and before which call or reply: strace shows it. `make powerloss`
//! shows what it is good for.

use std::fs;

use crate::client::Client;
use crate::server::{Server, eventually};
use crate::tracer::{self, Tracer};

/// The calls that the session makes during some work, a line each. Returns `None` without strace.
fn calls(server: &Server, work: impl FnOnce()) -> Option<String> {
    calls_of(server, "session-", work)
}

/// The calls that threads with this front of a name make during some work.
fn calls_of(server: &Server, front: &str, work: impl FnOnce()) -> Option<String> {
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so the calls are not seen");
        return None;
    }
    let trace = server.dir().join("trace");
    let threads = tracer::threads(server.pid(), &[front]);
    let tracer = Tracer::attach(&threads, "", None, &trace);
    work();
    tracer.end();
    Some(fs::read_to_string(trace).unwrap())
}

/// Checks that lines with these pairs of texts follow each other.
fn assert_order(calls: &str, wanted: &[(&str, &str)]) {
    let mut lines = calls.lines();
    for (call, what) in wanted {
        let found = lines.any(|line| line.contains(call) && line.contains(what));
        assert!(found, "no {call} of {what} in its place:\n{calls}");
    }
}

#[test]
fn sync_uploads_brings_each_change_of_a_directory_to_the_disk_before_its_reply() {
    let server = Server::setup().server("sync_uploads = on").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    for (line, code, call, dirs) in [
        ("MKD d", 257, "mkdirat(", &["/home>"][..]),
        ("RNFR a", 350, "", &[]),
        ("RNTO d/b", 250, "renameat", &["/home/d>", "/home>"]),
        ("DELE d/b", 250, "unlinkat(", &["/home/d>"]),
        ("RMD d", 250, "unlinkat(", &["/home>"]),
    ] {
        let Some(calls) = calls(&server, || drop(client.cmd(line, code))) else { return };
        let reply = format!("\"{code} ");
        let mut wanted = vec![(call, "")];
        wanted.extend(dirs.iter().map(|dir| ("fsync(", *dir)));
        wanted.push(("", &reply));
        assert_order(&calls, &wanted);
    }
}

#[test]
fn sync_uploads_brings_the_journal_to_the_disk_before_a_part_and_the_name_of_a_file_made_in_place()
 {
    let server = Server::setup()
        .server("sync_uploads = on")
        .section("[user:old]\npassword = p\nperm = elradfmw\nhome = home\natomic_uploads = off")
        .start();
    let mut client = Client::bob(&server);
    let Some(seen) = calls(&server, || drop(client.upload("STOR a", b"text"))) else { return };
    assert_order(&seen, &[("fdatasync(", "/parts>"), ("openat(", "O_CREAT"), ("", "\"226 ")]);
    let mut client = Client::login(&server, "old", "p");
    let seen = calls(&server, || drop(client.upload("STOR b", b"text"))).unwrap();
    assert_order(&seen, &[("fsync(", "/home/b>"), ("fsync(", "/home>"), ("", "\"226 ")]);
}

#[test]
fn what_replaces_a_file_is_on_the_disk_before_even_without_sync_uploads() {
    let server = Server::start();
    server.put("a", "old");
    let mut client = Client::bob(&server);
    let Some(new) = calls(&server, || drop(client.upload("STOR new", b"text"))) else { return };
    assert!(!new.contains("sync("), "{new}");
    let over = calls(&server, || drop(client.upload("STOR a", b"text"))).unwrap();
    assert_order(&over, &[("fdatasync(", ".ftpd-part-"), ("renameat", "")]);
    let append = calls(&server, || drop(client.upload("APPE a", b"text"))).unwrap();
    assert_order(&append, &[("fdatasync(", ""), ("", "\"226 ")]);
    client.cmd("RNFR new", 350);
    let moved = calls(&server, || drop(client.cmd("RNTO a", 250))).unwrap();
    assert_order(&moved, &[("fdatasync(", "/home/new>"), ("renameat", "")]);
    client.cmd("RNFR a", 350);
    let alone = calls(&server, || drop(client.cmd("RNTO b", 250))).unwrap();
    assert!(!alone.contains("sync("), "{alone}");
}

#[test]
fn the_last_logins_are_on_the_disk_before_they_replace_the_former_ones() {
    // the main thread saves them when it looks for parts that are too old
    let server = Server::setup().server("keep_parts = 1").start();
    let calls = calls_of(&server, "ftpd", || {
        drop(Client::bob(&server));
        let saved = server.dir().join("ftpd-state/logins");
        eventually("the last logins are saved", || saved.exists());
    });
    let Some(calls) = calls else { return };
    assert_order(&calls, &[("fdatasync(", "logins.new"), ("rename", "logins.new")]);
}
