//! A test and a story for each bug.

use std::fs;
use std::io::Read;
use std::net::TcpListener;

use crate::client::{Client, drain};
use crate::server::Server;

/// The directory handle was opened for lookups alone, so every listing of a directory failed
/// with 426, and clients showed an empty folder.
#[test]
fn a_directory_is_listed() {
    let server = Server::start();
    server.put("a", "1");
    server.put("sub/b", "2");
    let mut client = Client::bob(&server);
    assert_eq!(client.lines("LIST").len(), 2);
    assert_eq!(client.lines("NLST sub"), ["sub/b"]);
    assert!(client.cmd("STAT -la /sub", 213).contains(" b\n"));
}

/// `mget *.txt` of older clients sends the pattern with NLST, and got 550.
#[test]
fn nlst_and_list_match_patterns_in_the_last_part() {
    let server = Server::start();
    for name in ["sub/a.txt", "sub/b.txt", "sub/c.bin", "sub/.d.txt", "x*y"] {
        server.put(name, "");
    }
    let mut client = Client::bob(&server);
    let mut names = client.lines("NLST sub/*.txt");
    names.sort();
    assert_eq!(names, ["sub/a.txt", "sub/b.txt"]);
    assert_eq!(client.lines("LIST sub/?.bin").len(), 1);
    assert_eq!(client.lines("NLST sub/*.none"), [""; 0]);
    // a file that has the name of a pattern is that file
    assert_eq!(client.lines("NLST x*y"), ["x*y"]);
    client.cmd("NLST s*/a.txt", 550);
    client.cmd("NLST none/*", 550);
}

/// lftp on `::1` sends `EPRT |2|::|port|`, was refused, and waited for half a minute.
#[test]
fn eprt_with_no_address_means_the_client_s_own_on_ipv6() {
    let server = Server::setup().ip("::1").start();
    server.put("a", "text");
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let mut client = Client::bob(&server);
    client.cmd(&format!("EPRT |2|::|{}|", listener.local_addr().unwrap().port()), 200);
    client.send("RETR a");
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    client.expect(150);
    client.expect(226);
}

/// A log that was cut back while it was fetched was reported as complete.
#[test]
fn a_file_that_becomes_shorter_while_it_is_sent_is_451() {
    let server = Server::start();
    let path = server.home().join("log");
    let file = fs::File::create(&path).unwrap();
    let mut client = Client::bob(&server);
    for kind in ["TYPE I", "TYPE A"] {
        file.set_len(1 << 30).unwrap();
        client.cmd(kind, 200);
        let mut data = client.passive();
        client.cmd("RETR log", 150);
        data.read_exact(&mut [0; 1000]).unwrap();
        file.set_len(1000).unwrap();
        drain(&mut data);
        client.expect(451);
    }
    assert!(server.wait_for_log("RETR \"").contains("became shorter"));
}

/// `anonymous` and `ftp` are two names of one user, but were counted apart.
#[test]
fn all_anonymous_names_share_their_seats() {
    let server = Server::setup()
        .server("enable_anonymous = on\nanonymous_path = home\nmax_per_user = 1")
        .start();
    let first = Client::login(&server, "anonymous", "a@b");
    let mut second = Client::connect(&server);
    second.cmd("USER ftp", 331);
    second.cmd("PASS a@b", 421);
    drop(first);
}

/// A client that had said QUIT and gone kept its passive port until `data_timeout`.
#[test]
fn a_client_that_quits_and_goes_before_its_data_connection_is_let_go() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.passive_address("EPSV");
    client.raw(b"STOR new\r\nQUIT\r\n");
    drop(client);
    server.wait_for_log("ended");
    assert!(!server.has("new"));
}

/// `ip = ::, 0.0.0.0` bound IPv6 for both families, and then found IPv4 taken.
#[test]
fn all_of_ipv6_and_all_of_ipv4_may_be_listened_on_together() {
    for order in ["::, 127.0.0.1", "127.0.0.1, ::"] {
        // with a fixed port, which both need; another program may take it first
        let free = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
        let server = Server::setup().ip(order).server(&format!("port = {free}")).start();
        Client::bob(&server);
        Client::silent(format!("[::1]:{free}").parse().unwrap()).expect(220);
    }
}

/// REST outlived a listing that was refused before its data connection.
#[test]
fn a_restart_offset_ends_with_the_next_transfer_command_whatever_comes_of_it() {
    let server = Server::start();
    server.put("f", "0123456789");
    for command in ["NLST none", "MLSD f", "LIST none", "RETR none", "STOU /"] {
        let mut client = Client::bob(&server);
        client.cmd("REST 3", 350);
        client.send(command);
        client.expect_in(500..600);
        assert_eq!(client.download("RETR f"), b"0123456789", "{command}");
    }
}

/// QUIT takes any text, but only a bare one was heard during a transfer.
#[test]
fn a_client_may_leave_after_any_quit_while_its_download_runs() {
    let server = Server::start();
    server.put("large", vec![7; 8 << 20]);
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("RETR large", 150);
    client.send("QUIT now");
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(drain(&mut data).len(), 8 << 20);
    client.expect(226);
    client.expect(221);
}

/// The log of a refusal named what stood behind the first word as the path.
#[test]
fn a_refusal_is_logged_with_the_path_that_was_meant() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("SITE UTIME no such 20200101000000 20200101000000 20200101000000 UTC", 550);
    client.send("LIST -al /none");
    client.expect(550);
    let real = |name: &str| format!("\"{}\" refused", server.home().join(name).display());
    server.wait_for_log(&format!("SITE UTIME {}", real("no such")));
    server.wait_for_log(&format!("LIST {}", real("none")));
}

/// An upload that waited for its data connection had made its file already, and removed it
/// when it gave up, though another session had stored it meanwhile.
#[test]
fn an_upload_that_never_began_takes_nobody_s_file_away() {
    let server = Server::setup().server("data_timeout = 1").start();
    for command in ["STOR", "APPE"] {
        for end in ["timeout", "ABOR", "lost"] {
            let name = format!("{command}-{end}");
            let mut waiting = Client::bob(&server);
            waiting.passive_address("EPSV");
            waiting.send(&format!("{command} {name}"));
            // what it has to say is read before the wait begins, so the wait has begun
            waiting.send("STAT");
            waiting.expect(211);
            assert!(!server.has(&name), "{name} is made before there is anything to store");
            Client::bob(&server).upload(&format!("STOR {name}"), b"whole");
            match end {
                "timeout" => drop(waiting.expect(425)),
                "ABOR" => {
                    waiting.send("ABOR");
                    waiting.expect(426);
                    waiting.expect(226);
                }
                _ => drop(waiting),
            }
            let mut other = Client::bob(&server);
            assert_eq!(other.download(&format!("RETR {name}")), b"whole", "{name}");
        }
    }
}

/// A file that outgrew the limit on file sizes ended the whole process with SIGXFSZ.
#[test]
fn a_file_beyond_the_limit_on_file_sizes_is_452_and_the_server_goes_on() {
    let server = Server::start();
    let limit = format!("prlimit --fsize=100000 --pid {}", server.pid());
    let set = std::process::Command::new("sh").args(["-c", &limit]).status().unwrap();
    if !set.success() {
        println!("skipped: prlimit is missing");
        return;
    }
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR large", 150);
    // the server may close the connection before it has taken all
    let _ = std::io::Write::write_all(&mut data, &vec![0; 300_000]);
    drop(data);
    client.expect(452);
    client.cmd("NOOP", 200);
}

/// Garbage before a login filled the log as fast as the network would carry it.
#[test]
fn a_stranger_s_refused_commands_are_counted() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.raw(&b"X\r\n".repeat(300));
    for _ in 0..250 {
        client.expect(500);
    }
    client.expect_close();
}

mod clocks {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::client::connect_from;
    use crate::server::{Setup, run};
    use crate::tls_client::{Tls, VERSIONS};

    /// The library that gives a program another time, if it is installed.
    fn library() -> Option<String> {
        let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
        let found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
        let found = found.filter(|file| file.exists()).map(|file| file.display().to_string());
        let found = found.collect::<Vec<_>>().pop();
        if found.is_none() {
            eprintln!("regress: faketime is not installed, nothing tested");
        }
        found
    }

    fn setup(library: &str) -> Setup {
        let setup = Server::setup().server("tls_cert = auto\nsandbox = off");
        setup.env("LD_PRELOAD", library).env("DONT_FAKE_MONOTONIC", "1")
    }

    /// A box without a battery starts before 1970 or far in the future: TLS sessions panicked.
    #[test]
    fn no_date_keeps_sessions_from_their_work() {
        let Some(library) = library() else { return };
        for date in ["@1931-05-06 07:08:09", "@1970-01-01 00:00:00", "@2261-01-01 00:00:00"] {
            let server = setup(&library).env("FAKETIME", date).start();
            server.put("file", "content");
            for version in VERSIONS {
                let tls = Tls::new(version);
                let mut client = Client::secure_bob(&server, &tls);
                client.secure_upload(&tls, "STOR up", b"up");
                assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
                assert!(!client.secure_download(&tls, "LIST").is_empty());
                client.cmd("MDTM up", 213);
                client.cmd("STAT", 211);
            }
            assert!(!server.log().contains("panicked"), "{date}");
        }
    }

    /// Starts a server whose time is what the file says.
    fn start_with_clock(setup: Setup, file: &Path) -> Server {
        std::fs::write(file, "+0").unwrap();
        setup
            .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .start()
    }

    #[test]
    fn a_clock_that_is_set_ends_no_ban_no_session_and_no_transfer() {
        let Some(library) = library() else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("time");
        let setup = setup(&library).server("ban_exempt =\nban_after = 1\nban_time = 1h");
        let server = start_with_clock(setup, &file);
        let banned = || connect_from([127, 0, 0, 9].into(), server.address()).unwrap();
        let mut guesser = Client::over(banned());
        guesser.expect(220);
        guesser.cmd("USER bob", 331);
        guesser.cmd("PASS wrong", 530);
        let mut client = Client::bob(&server);
        for shift in ["+240h", "-240h", "+0"] {
            let mut data = client.passive();
            client.cmd("STOR file", 150);
            data.write_all(b"be").unwrap();
            std::fs::write(&file, shift).unwrap();
            Client::bob(&server).cmd("NOOP", 200);
            data.write_all(b"fore").unwrap();
            drop(data);
            client.expect(226);
            assert_eq!(server.get("file"), b"before");
            // the idle time of the session is not over
            client.cmd("NOOP", 200);
            Client::over(banned()).expect(421);
            assert!(!server.log().contains("panicked"), "{shift}");
        }
    }

    /// The system's time was set by ten days, and each session was ten days old.
    #[test]
    fn a_clock_that_is_set_does_not_age_sessions() {
        let Some(library) = library() else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("time");
        let setup = setup(&library).server("admin_socket = admin");
        let server = start_with_clock(setup, &file);
        let mut client = Client::bob(&server);
        for shift in ["+240h", "-240h"] {
            std::fs::write(&file, shift).unwrap();
            client.cmd("NOOP", 200);
            let config = server.dir().join("ftpd.ini");
            let config = config.to_str().unwrap();
            let (code, said, _) = run(&["who", "--json", "--config", config], server.dir());
            assert_eq!(code, 0);
            let session: serde_json::Value =
                serde_json::from_str(said.lines().next().unwrap_or_default()).unwrap();
            let session = &session[0];
            assert!(session["seconds"].as_u64().unwrap() < 3_600, "{shift}: {said}");
        }
    }
}
