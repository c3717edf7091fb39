//! Failing system calls: strace makes a call of the server fail. `make faults` tries all of them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::parts::{break_off, parts};
use crate::server::Server;
use crate::tracer::{self, Fault, Seen, Tracer};

/// Carries out `work` while a call of the threads with this front of a name fails: the `nth`, or
/// each one. Returns `None` without strace.
fn failing(
    server: &Server,
    front: &str,
    (call, nth, error): (&str, Option<usize>, &'static str),
    work: impl FnOnce(),
) -> Option<Seen> {
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call fails");
        return None;
    }
    let threads = tracer::threads(server.pid(), &[front]);
    let fault = Fault { call: call.to_owned(), nth, error };
    let trace = server.dir().join("trace");
    let tracer = Tracer::attach(&threads, "", Some(&fault), &trace);
    work();
    Some(tracer.end())
}

/// Starts a server again while a call of it fails, perhaps only on one file. Returns whether it has
/// ended well, and what it has printed.
fn start(server: &Server, fault: &Fault, file: Option<&Path>) -> (bool, String) {
    let mut command = tracer::strace("", Some(fault), &server.dir().join("trace"));
    command.arg("-f");
    if let Some(file) = file {
        command.arg("-P").arg(file);
    }
    command.arg(env!("CARGO_BIN_EXE_ftpd")).args(["--config", "ftpd.ini"]);
    let ended = command.current_dir(server.dir()).output().unwrap();
    (ended.status.success(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn a_failing_disk_is_451_and_the_log_says_why() {
    let server = Server::start();
    server.put("a", "old");
    fs::create_dir(server.home().join("d")).unwrap();
    let mut client = Client::bob(&server);
    for (line, call) in [
        ("RETR a", "openat2"),
        ("STOR a", "openat2,openat"),
        ("SIZE a", "fstat"),
        ("CWD d", "openat2"),
        ("DELE a", "unlinkat"),
        ("RMD d", "unlinkat"),
        ("MKD e", "mkdirat"),
        ("SITE CHMOD 600 a", "fchmodat"),
    ] {
        for (error, text) in [
            ("EIO", "Input/output error"),
            ("ENOMEM", "Cannot allocate memory"),
            ("ESTALE", "Stale file handle"),
        ] {
            let before = server.log().len();
            let _data = client.passive();
            let fault = (call, None, error);
            let seen = failing(&server, "session-", fault, || drop(client.cmd(line, 451)));
            let Some(seen) = seen else { return };
            assert!(!seen.injected.is_empty(), "{line}");
            crate::server::eventually("the log says why", || {
                server.log()[before..].contains(text)
            });
        }
    }
    assert_eq!(server.get("a"), b"old");
}

#[test]
fn an_upload_that_cannot_be_checked_says_why_and_leaves_the_old_version() {
    let server = Server::setup().server("sync_uploads = on").start();
    server.put("a", "old");
    let mut client = Client::bob(&server);
    // no. 3 opens the directory that is synced
    for (call, nth) in [("newfstatat", None), ("close", None), ("openat", Some(3))] {
        let mut data = client.passive();
        let seen = failing(&server, "session-", (call, nth, "EIO"), || {
            client.cmd("STOR a", 150);
            std::io::Write::write_all(&mut data, b"new").unwrap();
            drop(data);
            client.expect(451);
        });
        let Some(seen) = seen else { return };
        assert!(call != "openat" || seen.injected[0].contains("\".\""), "{seen:?}");
        assert_eq!(server.get("a"), b"old", "{call}");
        server.wait_for_log("Input/output error");
    }
}

/// Once the old version was in the trash, a failed look at it was the end of both: it went to the name of
/// the part, which the end of the failed upload removed.
#[test]
fn whichever_call_fails_the_old_version_is_in_place_or_in_the_trash() {
    let server = Server::setup().server("trash = on").start();
    let mut client = Client::bob(&server);
    let works: [(&str, &[&str]); 3] =
        [("STOR a", &[]), ("RNTO a", &["RNFR b"]), ("RMD d", &[])];
    for (line, first) in works {
        for call in ["newfstatat", "statx", "renameat2", "getdents64"] {
            for nth in 1.. {
                let _ = fs::remove_dir_all(server.home().join(".ftpd-trash"));
                let _ = fs::create_dir(server.home().join("d"));
                server.put("a", "old");
                server.put("b", "new");
                let mut reply = (0, String::new());
                let seen = failing(&server, "session-", (call, Some(nth), "EIO"), || {
                    for line in first {
                        client.cmd(line, 350);
                    }
                    reply = upload_or_ask(&mut client, line);
                });
                let Some(seen) = seen else { return };
                let is_done = reply.0 < 300;
                let what = format!("{line}, {call} no. {nth}: {reply:?}");
                let kept = fs::exists(server.home().join(".ftpd-trash/a")).unwrap();
                match line {
                    "RMD d" => assert_ne!(is_done, server.has("d"), "{what}"),
                    _ if is_done => assert!(server.get("a") == b"new" && kept, "{what}"),
                    _ => assert_eq!(server.get("a"), b"old", "{what}"),
                }
                assert!(is_done || line != "RNTO a" || server.get("b") == b"new", "{what}");
                if seen.injected.is_empty() {
                    break;
                }
            }
        }
    }
}

/// Sends a command, and `new` if it is an upload. Returns the last reply.
fn upload_or_ask(client: &mut Client, line: &str) -> (u16, String) {
    let mut data = line.starts_with("STOR").then(|| client.passive());
    let reply = client.ask(line);
    if let (150, Some(mut data)) = (reply.0, data.take()) {
        std::io::Write::write_all(&mut data, b"new").unwrap();
        drop(data);
        let (code, text) = client.answer();
        return (code, String::from_utf8_lossy(&text).into_owned());
    }
    reply
}

/// Quotas and NFS may report only here that bytes were not stored.
#[test]
fn an_error_at_closing_is_the_reply_to_the_upload() {
    for atomic in ["on", "off"] {
        let server = Server::setup().server(&format!("atomic_uploads = {atomic}")).start();
        let mut client = Client::bob(&server);
        for command in ["STOR", "APPE"] {
            for (error, code) in [("EDQUOT", 552), ("ENOSPC", 452), ("EIO", 451)] {
                server.put("a", "old");
                let mut data = client.passive();
                let seen = failing(&server, "session-", ("close", None, error), || {
                    client.cmd(&format!("{command} a"), 150);
                    std::io::Write::write_all(&mut data, b"new").unwrap();
                    drop(data);
                    client.expect(code);
                });
                let Some(seen) = seen else { return };
                assert!(!seen.injected.is_empty());
                // the classic way has changed the file before
                if atomic == "on" {
                    assert_eq!(server.get("a"), b"old", "{command} {error}");
                }
            }
        }
    }
}

#[test]
fn a_part_that_cannot_be_taken_over_is_no_wrong_offset() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    break_off(&mut client, "STOR a", b"first", &server.home());
    client.cmd("REST 5", 350);
    let _data = client.passive();
    let fault = ("renameat", None, "EIO");
    if failing(&server, "session-", fault, || drop(client.cmd("STOR a", 451))).is_none() {
        return;
    }
    server.wait_for_log("Input/output error");
    // nor is one that cannot be examined a missing one, which would change the file in place
    server.put("a", "an old version");
    client.cmd("REST 5", 350);
    let fault = ("newfstatat", None, "EIO");
    failing(&server, "session-", fault, || drop(client.cmd("STOR a", 451)));
    assert_eq!(server.get("a"), b"an old version");
    assert_eq!(parts(&server.home()).len(), 1);
    crate::parts::resume(&mut client, 5, "STOR a", b" second");
    assert_eq!(server.get("a"), b"first second");
}

#[test]
fn a_listing_without_an_entry_that_the_disk_does_not_give_is_no_success() {
    let server = Server::start();
    server.put("a", "text");
    fs::create_dir(server.home().join("d")).unwrap();
    let mut client = Client::bob(&server);
    for (line, fault, code) in [
        ("LIST", ("newfstatat", Some(1), "EIO"), 451),
        ("LIST", ("newfstatat", Some(1), "ENOMEM"), 451),
        // no. 1 looks at the directory, which must not be listed as a file
        ("LIST", ("openat2", Some(1), "EIO"), 451),
        ("MLSD", ("newfstatat", Some(2), "EIO"), 451),
        // a mount that does not answer costs its own entry alone
        ("NLST", ("newfstatat", Some(1), "ESTALE"), 226),
    ] {
        let _data = client.passive();
        let seen = failing(&server, "session-", fault, || {
            client.send(line);
            if client.next_code() == 150 {
                client.expect(150);
            }
            client.expect(code);
        });
        if seen.is_none() {
            return;
        }
    }
}

#[test]
fn a_log_line_that_a_pipe_has_no_memory_for_is_written_later() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let fault = ("write", Some(1), "ENOMEM");
    let seen = failing(&server, "log", fault, || {
        client.cmd("DELE missing", 550);
        server.wait_for_log("missing");
    });
    assert!(seen.is_none_or(|seen| seen.injected.len() == 1));
}

#[test]
fn an_admin_client_for_which_no_thread_starts_is_logged() {
    let server = Server::setup().server("admin_socket = admin").start();
    let fault = ("clone3,clone", None, "EAGAIN");
    let seen = failing(&server, "admin", fault, || {
        let (code, ..) = crate::server::run(&["who", "--config", "ftpd.ini"], server.dir());
        assert_ne!(code, 0);
    });
    if seen.is_some() {
        server.wait_for_log("cannot start a thread for a client of the admin socket");
    }
}

#[test]
fn an_admin_client_that_cannot_be_accepted_is_logged() {
    let server = Server::setup().server("admin_socket = admin").start();
    let seen = failing(&server, "admin", ("accept4", Some(1), "ENOMEM"), || {
        let (code, _, err) = crate::server::run(&["who", "--config", "ftpd.ini"], server.dir());
        assert_eq!(code, 0, "it is accepted at the next attempt: {err}");
    });
    if seen.is_some() {
        server
            .wait_for_log("cannot accept a client of the admin socket: Cannot allocate memory");
    }
}

#[test]
fn a_certificate_that_the_disk_does_not_give_is_not_replaced() {
    let mut server = Server::setup().server("tls_cert = auto").start();
    let file = server.dir().join("ftpd-tls/cert.pem");
    let before = fs::read(&file).unwrap();
    server.signal("TERM");
    server.wait_for_exit();
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call fails");
        return;
    }
    let fault = Fault { call: "read".to_owned(), nth: None, error: "EIO" };
    let (has_started, said) = start(&server, &fault, Some(&file));
    assert!(!has_started && said.contains("Input/output error"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_wait_that_the_system_refuses_is_logged_and_keeps_no_processor_busy() {
    let server = Server::setup().server("data_timeout = 1").start();
    let mut client = Client::bob(&server);
    let _data = client.passive();
    let seen = failing(&server, "session-", ("ppoll,poll", None, "ENOMEM"), || {
        client.cmd("STOR a", 150);
        server.wait_for_log("cannot wait for connections: Cannot allocate memory");
        client.expect(426);
    });
    // a pause of 10 ms after each, in a second or two
    let waits = seen.map_or(0, |seen| seen.injected.len());
    assert!(waits < 1_000, "{waits} waits");
}

#[test]
fn a_home_for_which_the_disk_has_no_room_is_421() {
    let server = Server::setup()
        .section("[user:new]\npassword = secret\nhome = new\ncreate_home = on")
        .start();
    let mut client = Client::connect(&server);
    client.cmd("USER new", 331);
    let fault = ("mkdirat,mkdir", None, "ENOSPC");
    let seen = failing(&server, "session-", fault, || drop(client.cmd("PASS secret", 421)));
    assert!(seen.is_none_or(|seen| !seen.injected.is_empty()));
}

#[test]
fn a_server_that_cannot_tell_its_port_does_not_start() {
    let mut server = Server::start();
    server.signal("TERM");
    server.wait_for_exit();
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call fails");
        return;
    }
    let fault = Fault { call: "getsockname".to_owned(), nth: None, error: "EIO" };
    let (has_started, said) = start(&server, &fault, None);
    assert!(!has_started, "{said}");
    assert!(said.contains("cannot listen on 127.0.0.1:0: Input/output error"), "{said}");
}

#[test]
fn a_client_that_cannot_be_accepted_is_logged_and_the_next_one_is_served() {
    let server = Server::start();
    let fault = ("accept4", Some(1), "EIO");
    let seen = failing(&server, "accept-", fault, || {
        Client::connect(&server);
        Client::connect(&server);
    });
    if seen.is_some() {
        server.wait_for_log("cannot accept: Input/output error");
    }
}

#[test]
fn a_server_that_has_no_file_left_even_for_a_refusal_says_so_and_pauses() {
    let server = Server::start();
    let seen = failing(&server, "accept-", ("accept4", None, "ENFILE"), || {
        let _waits = std::net::TcpStream::connect(server.address()).unwrap();
        server.wait_for_log("cannot accept: Too many open files in system");
    });
    // two attempts and a pause of 100 ms, or no pause and thousands
    let attempts = seen.map_or(0, |seen| seen.injected.len());
    assert!(attempts < 200, "{attempts} attempts");
    Client::connect(&server);
}

/// A disk may take long, such as one that must first spin up. The wait is the client's own, and
/// it is no reason to give the client up.
#[test]
fn a_slow_disk_holds_up_its_own_session_alone() {
    let server = Server::setup().server("data_timeout = 1s").start();
    fs::create_dir(server.home().join("new")).unwrap();
    let mut slow = Client::bob(&server);
    // the journal of parts lists this directory from now on
    slow.upload("STOR quick", b"old");
    let mut data = slow.passive();
    // the session that is attached is the only one so far
    let seen = failing(&server, "session-", ("write", None, "delay_enter=3s"), || {
        slow.send("STOR new/slow");
        std::io::Write::write_all(&mut data, b"slow").unwrap();
        drop(data);
        let begun = Instant::now();
        let mut other = Client::bob(&server);
        other.upload("STOR quick", b"quick");
        assert_eq!(other.download("RETR quick"), b"quick");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        slow.expect(150);
        slow.expect(226);
    });
    let Some(seen) = seen else { return };
    assert!(!seen.injected.is_empty());
    assert_eq!(server.get("new/slow"), b"slow");
}

/// Each PASV waited for the name server, one after the other.
#[test]
fn a_name_server_that_does_not_answer_delays_no_session() {
    let name = "no-such-host.invalid";
    let server = Server::setup().server(&format!("masquerade_address = {name}")).start();
    server.put("a", "text");
    server.wait_for_log("masquerade_address: no-such-host.invalid");
    let mut client = Client::bob(&server);
    if !tracer::is_there() {
        eprintln!("skipped: strace is not installed, so no call takes long");
        return;
    }
    // what a lookup does takes long from now on, in whichever thread
    let call = "openat,connect".to_owned();
    let fault = Fault { call, nth: None, error: "delay_enter=5s" };
    let trace = server.dir().join("trace");
    let mut command = tracer::strace("", Some(&fault), &trace);
    command.arg("-f");
    let tracer = Tracer::run(command, &[server.pid()], &trace);
    let begun = Instant::now();
    for _ in 0..2 {
        client.cmd("PASV", 425);
    }
    client.cmd("EPSV", 229);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(tracer.end().injected.is_empty());
}
