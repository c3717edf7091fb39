//! FTP over TLS (RFC 4217), in TLS 1.2 and 1.3: sessions and transfers, what data connections
//! must do, certificates, and attacks.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::client::{Client, drain};
use crate::program;
use crate::server::{Server, Setup, eventually, free_port, run};
use crate::tls_client::{Authority, Pair, Tls, VERSIONS, fingerprint, named};

/// A server that makes its own certificate.
fn setup() -> Setup {
    Server::setup().server("tls_cert = auto")
}

/// Pseudo-random bytes, which cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(next).collect()
}

/// The session can still transfer both ways.
fn goes_on(server: &Server, client: &mut Client, tls: &Tls) {
    server.put("small", "text");
    assert_eq!(client.secure_download(tls, "RETR small"), b"text");
    client.secure_upload(tls, "STOR small", b"more");
    assert_eq!(server.get("small"), b"more");
}

mod session {
    use super::*;

    #[test]
    fn each_name_of_tls_is_taken_once() {
        let server = setup().start();
        for version in VERSIONS {
            for mechanism in ["TLS", "tls", "TLS-C", "SSL"] {
                let mut client = Client::connect(&server);
                client.cmd(&format!("AUTH {mechanism}"), 234);
                client.start_tls(&Tls::new(version));
                client.cmd("AUTH TLS", 503);
                client.cmd("AUTH GSSAPI", 503);
                client.cmd("USER bob", 331);
                client.cmd("PASS secret", 230);
                client.cmd("AUTH TLS", 503);
                client.cmd("PWD", 257);
                client.cmd("QUIT", 221);
                client.expect_close();
            }
        }
        server.wait_for_log("TLS 1.2");
        server.wait_for_log("TLS 1.3");
    }

    #[test]
    fn other_mechanisms_are_504_and_no_certificate_is_502() {
        let server = setup().start();
        let mut client = Client::connect(&server);
        for mechanism in ["TLS-P", "GSSAPI", "KERBEROS_V4", "TLSX"] {
            client.cmd(&format!("AUTH {mechanism}"), 504);
        }
        client.cmd("AUTH", 501);
        client.cmd("AUTH TLS", 234);
        client.start_tls(&Tls::new(&TLS13));
        client.cmd("NOOP", 200);
        let server = Server::start();
        let mut client = Client::connect(&server);
        client.cmd("AUTH TLS", 502);
        client.cmd("AUTH GSSAPI", 502);
        client.cmd("PBSZ 0", 503);
        client.cmd("PROT P", 503);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("CCC", 534);
    }

    #[test]
    fn feat_speaks_of_tls_only_with_a_certificate() {
        let lines = ["\n AUTH TLS", "\n PBSZ\n", "\n PROT\n"];
        let feat = Client::connect(&Server::start()).cmd("FEAT", 211);
        assert!(lines.iter().all(|line| !feat.contains(line.trim_end())), "{feat}");
        let server = setup().start();
        let mut client = Client::connect(&server);
        for _ in 0..2 {
            let feat = client.cmd("FEAT", 211);
            assert!(lines.iter().all(|line| feat.contains(line)), "{feat}");
            client = Client::auth(&server, &Tls::new(&TLS12));
        }
    }

    #[test]
    fn pbsz_comes_before_prot_and_auth_before_both() {
        let server = setup().start();
        let mut client = Client::connect(&server);
        client.cmd("PBSZ 0", 503);
        client.cmd("PROT P", 503);
        client.cmd("PROT C", 503);
        client.cmd("AUTH TLS", 234);
        client.start_tls(&Tls::new(&TLS13));
        client.cmd("PROT P", 503);
        client.cmd("PROT C", 503);
        client.cmd("PBSZ", 501);
        client.cmd("PBSZ x", 501);
        client.cmd("PROT P", 503);
        assert_eq!(client.cmd("PBSZ 0", 200), "200 PBSZ=0");
        // a size that is too large is answered with one that is accepted (RFC 2228 §3)
        assert_eq!(client.cmd("PBSZ 16384", 200), "200 PBSZ=0");
        client.cmd("PROT", 501);
        client.cmd("PROT S", 536);
        client.cmd("PROT E", 536);
        client.cmd("PROT X", 504);
        client.cmd("PROT p", 200);
        client.cmd("PROT C", 200);
        client.cmd("CCC", 530);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("PROT P", 200);
        client.cmd("PBSZ 0", 200);
        client.cmd("CCC", 534);
        client.cmd("PWD", 257);
    }

    #[test]
    fn a_second_pbsz_leaves_the_level_as_it_was() {
        let server = setup().start();
        let tls = Tls::new(&TLS13);
        let mut client = Client::secure_bob(&server, &tls);
        client.cmd("PBSZ 0", 200);
        goes_on(&server, &mut client, &tls);
    }

    #[test]
    fn what_was_said_in_clear_text_does_not_count_afterwards() {
        let server = setup().user("max_per_user = 1").start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::connect(&server);
            client.cmd("USER bob", 331);
            client.cmd("AUTH TLS", 234);
            client.start_tls(&tls);
            client.cmd("PASS secret", 503);
            client.cmd("QUIT", 221);
            // a whole login goes as well, and its seat is free
            let mut client = Client::bob(&server);
            client.cmd("REST 3", 350);
            client.cmd("AUTH TLS", 234);
            client.start_tls(&tls);
            client.cmd("PWD", 530);
            client.cmd("USER bob", 331);
            client.cmd("PASS secret", 230);
            client.go_private();
            goes_on(&server, &mut client, &tls);
            client.cmd("QUIT", 221);
            client.expect_close();
        }
    }

    #[test]
    fn auth_long_after_a_login_in_clear_text_has_time_for_its_handshake() {
        let server = setup().server("login_timeout = 1").start();
        let mut client = Client::bob(&server);
        // until no time for a login would be left
        client.expect_silence(Duration::from_millis(1500));
        client.cmd("AUTH TLS", 234);
        client.start_tls(&Tls::new(&TLS13));
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("PWD", 257);
    }

    #[test]
    fn rein_ends_the_login_and_the_protection_of_data_and_not_tls() {
        let server = setup().start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            client.cmd("REIN", 220);
            client.cmd("PWD", 530);
            client.cmd("PROT P", 503);
            client.cmd("AUTH TLS", 503);
            client.cmd("USER bob", 331);
            client.cmd("PASS secret", 230);
            client.go_private();
            goes_on(&server, &mut client, &tls);
        }
    }

    #[test]
    fn many_commands_in_one_record_are_all_answered() {
        let server = setup().start();
        for version in VERSIONS {
            let mut client = Client::secure_bob(&server, &Tls::new(version));
            // with an open passive port the session waits in another way
            for first in ["NOOP", "EPSV"] {
                let many = "NOOP\r\n".repeat(300);
                client.raw(format!("{first}\r\n{many}").as_bytes());
                client.expect(if first == "EPSV" { 229 } else { 200 });
                (0..300).for_each(|_| drop(client.expect(200)));
            }
        }
    }

    #[test]
    fn a_line_that_comes_byte_by_byte_in_records_of_its_own_is_one_line() {
        let server = setup().start();
        for version in VERSIONS {
            let mut client = Client::auth(&server, &Tls::new(version));
            b"USER bob\r\n".iter().for_each(|byte| client.raw(&[*byte]));
            client.expect(331);
            client.cmd(&"x".repeat(9000), 500);
            client.cmd("PASS secret", 230);
        }
    }

    #[test]
    fn idle_sessions_and_late_logins_get_421_over_tls() {
        let server = setup().server("login_timeout = 1").user("idle_timeout = 1").start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            for mut client in [Client::auth(&server, &tls), Client::secure_bob(&server, &tls)] {
                client.expect(421);
                client.expect_close();
            }
        }
    }

    #[test]
    fn the_end_of_the_server_is_said_over_tls() {
        let mut server = setup().start();
        let mut clients = VERSIONS.map(|version| Client::auth(&server, &Tls::new(version)));
        server.signal("TERM");
        for client in &mut clients {
            client.expect(421);
            client.expect_close();
        }
        assert!(server.wait_for_exit().success());
    }

    #[test]
    fn on_the_implicit_port_tls_begins_before_the_greeting() {
        let port = free_port();
        let server = setup().server(&format!("tls_implicit_port = {port}")).start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::silent(([127, 0, 0, 1], port).into());
            client.start_tls(&tls);
            client.expect(220);
            client.cmd("AUTH TLS", 503);
            client.cmd("USER bob", 331);
            client.cmd("PASS secret", 230);
            client.go_private();
            goes_on(&server, &mut client, &tls);
            let mut explicit = Client::secure_bob(&server, &tls);
            goes_on(&server, &mut explicit, &tls);
        }
        // clear text is no handshake, and gets no greeting
        let mut client = Client::silent(([127, 0, 0, 1], port).into());
        client.send("USER bob");
        let mut stream = client.stream().try_clone().unwrap();
        assert!(!String::from_utf8_lossy(&drain(&mut stream)).contains("220"));
        server.wait_for_log("TLS handshake failed");
    }

    #[test]
    fn versions_below_1_2_are_refused_and_1_3_can_be_the_lowest() {
        let server = setup().start();
        for version in [0_u8, 1, 2] {
            let mut client = Client::connect(&server);
            client.cmd("AUTH TLS", 234);
            client.raw(&old_hello(version));
            let mut stream = client.stream().try_clone().unwrap();
            let answer = drain(&mut stream);
            // a fatal alert: protocol_version, or handshake_failure
            assert!(matches!(answer[..], [21, 3, _, 0, 2, 2, 70 | 40]), "{answer:?}");
        }
        let server = setup().server("tls_min_version = 1.3").start();
        let mut client = Client::connect(&server);
        client.cmd("AUTH TLS", 234);
        client.try_tls(&Tls::new(&TLS12)).unwrap_err();
        let tls = Tls::new(&TLS13);
        let mut client = Client::secure_bob(&server, &tls);
        goes_on(&server, &mut client, &tls);
    }

    /// A whole hello of SSL 3.0 (0), TLS 1.0 (1) or TLS 1.1 (2).
    fn old_hello(version: u8) -> Vec<u8> {
        let mut body = vec![3, version];
        body.extend([7; 32]);
        // no session; two cipher suites; no compression; no extensions
        body.extend([0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0]);
        let length = u8::try_from(body.len()).unwrap();
        let mut hello = vec![22, 3, version, 0, length + 4, 1, 0, 0, length];
        hello.extend(body);
        hello
    }
}

mod transfers {
    use super::*;

    #[test]
    fn files_go_up_and_down_and_on_in_both_types() {
        let server = setup().start();
        let big = noise(3 << 20);
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for bytes in [&big[..], b"", b"x", &big[..16384], &big[..16385]] {
                client.secure_upload(&tls, "STOR file", bytes);
                assert!(server.get("file") == bytes, "{} bytes up", bytes.len());
                let down = client.secure_download(&tls, "RETR file");
                assert!(down == bytes, "{} bytes down", bytes.len());
            }
            server.put("file", "0123456789");
            client.cmd("REST 4", 350);
            assert_eq!(client.secure_download(&tls, "RETR file"), b"456789");
            client.cmd("REST 4", 350);
            client.secure_upload(&tls, "STOR file", b"new");
            assert_eq!(server.get("file"), b"0123new");
            client.secure_upload(&tls, "APPE file", b" end");
            assert_eq!(server.get("file"), b"0123new end");
            client.secure_upload(&tls, "STOU unique", b"one");
            assert_eq!(server.get("unique"), b"one");
            client.cmd("DELE unique", 250);
            client.cmd("TYPE A", 200);
            client.secure_upload(&tls, "STOR text", b"one\r\ntwo\r\n");
            assert_eq!(server.get("text"), b"one\ntwo\n");
            assert_eq!(client.secure_download(&tls, "RETR text"), b"one\r\ntwo\r\n");
            client.cmd("REST 4", 350);
            assert_eq!(client.secure_download(&tls, "RETR text"), b"\ntwo\r\n");
        }
    }

    #[test]
    fn listings_are_the_same_as_in_clear_text() {
        let server = setup().start();
        (0..500).for_each(|n| drop(server.put(&format!("file {n}"), "x")));
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            let mut plain = Client::bob(&server);
            for line in ["LIST", "NLST", "MLSD", "LIST file*"] {
                let clear = plain.download(line);
                assert!(clear.len() > 1000);
                assert!(client.secure_download(&tls, line) == clear, "{line}");
            }
        }
    }

    #[test]
    fn the_server_is_the_server_on_active_data_connections_too() {
        let server = setup().start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            let listener = client.listener();
            client.cmd("RETR file", 150);
            let mut data = tls.over(listener.accept().unwrap().0);
            assert!(data.is_resumed());
            assert_eq!(data.read_all().unwrap(), b"content");
            data.end();
            client.expect(226);
        }
    }

    #[test]
    fn prot_c_sends_in_clear_text_and_prot_p_comes_back() {
        let server = setup().start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            client.cmd("PROT C", 200);
            assert_eq!(client.download("RETR file"), b"content");
            client.upload("STOR up", b"clear");
            assert_eq!(server.get("up"), b"clear");
            // the level counts that holds when the transfer begins
            let data = client.passive();
            client.cmd("PROT P", 200);
            client.cmd("RETR file", 150);
            let mut data = tls.over(data);
            assert_eq!(data.read_all().unwrap(), b"content");
            data.end();
            client.expect(226);
            let mut data = client.passive();
            client.cmd("PROT C", 200);
            client.cmd("RETR file", 150);
            assert_eq!(drain(&mut data), b"content");
            client.expect(226);
            client.cmd("PROT P", 200);
            goes_on(&server, &mut client, &tls);
        }
    }

    fn with_huge_file() -> Server {
        let server = setup().start();
        let path = server.put("huge", "");
        File::options().write(true).open(path).unwrap().set_len(256 << 20).unwrap();
        server
    }

    #[test]
    fn abor_and_stat_are_heard_during_transfers_that_nobody_reads_or_feeds() {
        let server = with_huge_file();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for line in ["RETR huge", "STOR up", "APPE up2"] {
                let mut data = client.begin(&tls, line);
                if let Some(name) = line.split(' ').nth(1).filter(|name| *name != "huge") {
                    data.send(b"some").unwrap();
                    eventually("the first bytes are there", || {
                        client.cmd("STAT", 211).contains(" 4 bytes")
                    });
                    assert!(!server.has(name));
                } else {
                    data.read_one();
                }
                let status = client.cmd("STAT", 211);
                assert!(status.contains("is running"), "{status}");
                client.send("ABOR");
                client.expect(426);
                client.expect(226);
                drop(data);
                goes_on(&server, &mut client, &tls);
            }
            // far down in a record as well
            let mut data = client.begin(&tls, "RETR huge");
            data.read_one();
            client.raw(format!("{}ABOR\r\n", "NOOP\r\n".repeat(240)).as_bytes());
            client.expect(426);
            (0..240).for_each(|_| drop(client.expect(200)));
            client.expect(226);
            drop(data);
            // and before the handshake
            let data = client.passive();
            client.cmd("RETR small", 150);
            client.send("ABOR");
            client.expect(426);
            client.expect(226);
            drop(data);
            goes_on(&server, &mut client, &tls);
        }
    }

    #[test]
    fn quit_during_a_transfer_waits_for_its_end() {
        let server = setup().start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            let mut data = client.begin(&tls, "STOR file");
            data.send(b"one ").unwrap();
            client.send("QUIT");
            data.send(b"two").unwrap();
            data.end();
            client.expect(226);
            client.expect(221);
            client.expect_close();
            assert_eq!(server.get("file"), b"one two");
        }
    }

    #[test]
    fn a_client_that_goes_away_during_a_transfer_frees_all() {
        let server = with_huge_file();
        let tls = Tls::new(&TLS13);
        let mut idle = Client::secure_bob(&server, &tls);
        goes_on(&server, &mut idle, &tls);
        let before = server.open_files();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            let mut data = client.begin(&tls, "RETR huge");
            data.read_one();
            drop(client);
            server.wait_for_log("control connection lost");
            drop(data);
            eventually("all is closed", || server.open_files() <= before);
        }
        idle.cmd("NOOP", 200);
    }

    #[test]
    fn throttles_count_the_bytes_of_the_file() {
        let server = setup().user("max_upload = 100K\nmax_download = 100K").start();
        let bytes = noise(150 << 10);
        thread::scope(|scope| {
            for version in VERSIONS {
                let (server, bytes) = (&server, &bytes);
                scope.spawn(move || {
                    let tls = Tls::new(version);
                    let name = format!("file-{:?}", version.version);
                    let mut client = Client::secure_bob(server, &tls);
                    let began = Instant::now();
                    client.secure_upload(&tls, &format!("STOR {name}"), bytes);
                    let up = began.elapsed();
                    assert!(client.secure_download(&tls, &format!("RETR {name}")) == *bytes);
                    let down = began.elapsed().saturating_sub(up);
                    assert!(server.get(&name) == *bytes);
                    let least = Duration::from_millis(1450);
                    assert!(up >= least && down >= least, "{up:?} {down:?}");
                    let most = Duration::from_secs(10);
                    assert!(up < most && down < most, "{up:?} {down:?}");
                });
            }
        });
    }

    #[test]
    fn a_transfer_that_stalls_is_426_after_data_timeout() {
        let server = setup().server("data_timeout = 1").start();
        let path = server.put("huge", "");
        File::options().write(true).open(path).unwrap().set_len(256 << 20).unwrap();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for line in ["RETR huge", "STOR up"] {
                let mut data = client.begin(&tls, line);
                if line == "RETR huge" {
                    // with the bytes comes a ticket for the next one
                    data.read_one();
                }
                client.expect(426);
                drop(data);
            }
            goes_on(&server, &mut client, &tls);
        }
    }

    #[test]
    fn an_upload_that_ends_without_close_notify_is_426() {
        let server = setup()
            .section("[user:lax]\npassword = secret\nperm = lrwa\nhome = home\ntls_require_close_notify = off")
            .start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            for (user, code) in [("bob", 426), ("lax", 226)] {
                for line in ["STOR cut", "APPE cut", "STOU cut"] {
                    let _ = fs::remove_file(server.home().join("cut"));
                    let mut client = Client::auth(&server, &tls);
                    client.cmd(&format!("USER {user}"), 331);
                    client.cmd("PASS secret", 230);
                    client.go_private();
                    let mut data = client.begin(&tls, line);
                    data.send(b"half of it").unwrap();
                    data.cut();
                    client.expect(code);
                    if user == "bob" {
                        assert!(!server.has("cut"), "{line}");
                    } else {
                        assert_eq!(server.get("cut"), b"half of it", "{line}");
                    }
                    goes_on(&server, &mut client, &tls);
                }
            }
        }
        assert!(server.wait_for_log("data connection lost").contains("STOR"));
    }

    #[test]
    fn a_record_that_was_changed_on_its_way_is_426() {
        let server = setup().start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            let mut data = client.begin(&tls, "STOR file");
            data.send(b"good").unwrap();
            let mut forged = vec![23, 3, 3, 0, 40];
            forged.extend([0x55; 40]);
            data.stream().write_all(&forged).unwrap();
            client.expect(426);
            drop(data);
            goes_on(&server, &mut client, &tls);
        }
    }
}

/// Resumption as proof that a data connection is the client's (`tls_resume`).
mod resumption {
    use super::*;

    #[test]
    fn fresh_tickets_resume_every_time() {
        let server = setup().server("tls_resume = require").start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for turn in 0..10 {
                let mut data = client.begin(&tls, "RETR file");
                assert!(data.is_resumed(), "{version:?} {turn}");
                assert_eq!(data.read_all().unwrap(), b"content");
                data.end();
                client.expect(226);
                client.secure_upload(&tls, "STOR up", b"content");
            }
        }
    }

    #[test]
    fn uploads_of_a_client_that_never_reads_its_data_connections_are_whole() {
        let server = setup().server("tls_resume = require").start();
        let bytes = noise(1 << 20);
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for turn in 0..6 {
                let mut data = client.begin(&tls, "STOR file");
                data.send(&bytes).unwrap();
                data.leave();
                client.expect(226);
                assert!(server.get("file") == bytes, "{version:?} {turn}");
            }
        }
    }

    #[test]
    fn require_refuses_a_whole_handshake_with_522_and_leaves_no_file() {
        let server = setup().server("tls_resume = require").start();
        server.put("file", "content");
        for version in VERSIONS {
            let (tls, other) = (Tls::new(version), Tls::forgetful(version));
            let mut client = Client::secure_bob(&server, &tls);
            for line in ["RETR file", "LIST", "MLSD", "STOR new", "STOU new", "APPE file"] {
                let data = client.passive();
                client.cmd(line, 150);
                let mut data = other.over(data);
                let _ = data.send(b"bad");
                client.expect(522);
                assert_eq!(data.read_all().unwrap_or_default(), b"", "{line}");
                assert!(!server.has("new"));
                assert_eq!(server.get("file"), b"content");
            }
            goes_on(&server, &mut client, &tls);
        }
        server.wait_for_log("did not resume");
    }

    #[test]
    fn a_ticket_of_another_session_is_refused_on_the_data_port() {
        let server = setup().server("tls_resume = require").start();
        server.put("file", "content");
        for version in VERSIONS {
            let (tls, thief) = (Tls::new(version), Tls::new(version));
            // the same user, the same server, another control connection
            let mut other = Client::secure_bob(&server, &thief);
            goes_on(&server, &mut other, &thief);
            let mut client = Client::secure_bob(&server, &tls);
            let data = client.passive();
            client.cmd("RETR file", 150);
            let mut data = thief.over(data);
            assert!(!data.is_resumed());
            client.expect(522);
            assert_eq!(data.read_all().unwrap_or_default(), b"");
            goes_on(&server, &mut client, &tls);
            // nor does a new control connection resume an old one
            let client = Client::auth(&server, &tls);
            let kind = client.tls.as_ref().unwrap().handshake_kind();
            assert_eq!(kind, Some(rustls::HandshakeKind::Full));
        }
    }

    #[test]
    fn prefer_accepts_data_connections_that_do_not_resume_and_logs_it() {
        let server = setup().start();
        server.put("file", "content");
        for version in VERSIONS {
            let (tls, other) = (Tls::new(version), Tls::forgetful(version));
            let mut client = Client::secure_bob(&server, &tls);
            for _ in 0..3 {
                assert_eq!(client.secure_download(&other, "RETR file"), b"content");
            }
            assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
            assert_eq!(client.secure_download(&other, "RETR file"), b"content");
            assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
        }
        server.wait_for_log("TLS data connections resume the session");
        server.wait_for_log("TLS data connections do not resume the session");
    }

    #[test]
    fn off_takes_whole_handshakes_and_offers_nothing_else() {
        let server = setup().server("tls_resume = off").start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for _ in 0..4 {
                let mut data = client.begin(&tls, "RETR file");
                assert!(!data.is_resumed());
                assert_eq!(data.read_all().unwrap(), b"content");
                data.end();
                client.expect(226);
            }
        }
    }

    /// OpenSSL's habit, and that of all who build on it.
    #[test]
    fn one_ticket_serves_ten_data_connections() {
        const SCRIPT: &str = "\
import socket, ssl, sys
port, version = int(sys.argv[1]), getattr(ssl.TLSVersion, sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.minimum_version = context.maximum_version = version
def connect(port):
    return socket.create_connection(('127.0.0.1', port), timeout=30)
control = connect(port)
def say(line, code):
    if line:
        control.sendall(line.encode() + b'\\r\\n')
    reply = b''
    while not reply.endswith(b'\\r\\n'):
        got = control.recv(1)
        assert got, reply
        reply += got
    assert reply.startswith(code.encode()), (line, reply)
    return reply.decode()
say('', '220')
say('AUTH TLS', '234')
control = context.wrap_socket(control)
for line, code in ('USER bob', '331'), ('PASS secret', '230'), ('PBSZ 0', '200'), \\
        ('PROT P', '200'), ('TYPE I', '200'):
    say(line, code)
ticket = control.session
for turn in range(10):
    data = connect(int(say('EPSV', '229').split('|')[3]))
    say('RETR file', '150')
    data = context.wrap_socket(data, session=ticket)
    assert data.session_reused, turn
    content = b''
    while True:
        got = data.recv(1000)
        if not got:
            break
        content += got
    assert content == b'content'
    data.unwrap()
    say('', '226')
";
        if Command::new("python3").arg("--version").output().is_err() {
            eprintln!("tls: python3 is not installed, nothing tested");
            return;
        }
        let server = setup().server("tls_resume = require").start();
        server.put("file", "content");
        for version in ["TLSv1_2", "TLSv1_3"] {
            let port = server.address().port().to_string();
            let output = Command::new("python3").args(["-c", SCRIPT, &port, version]).output();
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{version}: {said}");
        }
    }

    /// aioftp does so: it connects and shakes hands before it sends its command.
    #[test]
    fn a_handshake_before_the_command_is_answered() {
        let server = setup().server("tls_resume = require").start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for _ in 0..3 {
                let mut data = tls.over(client.passive());
                assert!(data.is_resumed());
                // other commands in between are answered as ever
                client.cmd("NOOP", 200);
                client.cmd("RETR file", 150);
                assert_eq!(data.read_all().unwrap(), b"content");
                data.end();
                client.expect(226);
                let mut data = tls.over(client.passive());
                client.cmd("STOR up", 150);
                data.send(b"up").unwrap();
                data.end();
                client.expect(226);
                assert_eq!(server.get("up"), b"up");
            }
            // a whole one is met by the transfer
            let _data = Tls::forgetful(version).over(client.passive());
            client.cmd("RETR file", 150);
            client.expect(522);
            // and so is garbage, and a client that leaves again
            client.passive().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            client.cmd("NOOP", 200);
            client.cmd("RETR file", 150);
            client.expect(522);
            drop(client.passive());
            client.cmd("NOOP", 200);
            client.cmd("STOR none", 150);
            client.expect(522);
            assert!(!server.has("none"));
            goes_on(&server, &mut client, &tls);
        }
    }

    #[test]
    fn a_connection_that_no_command_uses_is_closed_after_data_timeout() {
        let server = setup().server("data_timeout = 1").start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            // with its handshake and without
            let _ = tls.over(client.passive()).read_all();
            assert!(client.cmd("RETR file", 425).contains("closed"));
            drain(&mut client.passive());
            assert!(client.cmd("STOR new", 425).contains("closed"));
            assert!(!server.has("new"));
            goes_on(&server, &mut client, &tls);
        }
    }
}

/// Attacks, and clients that break the protocol.
mod attacks {
    use super::*;

    #[test]
    fn commands_behind_auth_in_the_same_packet_are_never_run() {
        let server = setup().start();
        for tail in ["USER bob\r\nPASS secret\r\nMKD pwned\r\n", "US", "\r\n", "\n", "\0"] {
            let mut client = Client::connect(&server);
            client.raw(format!("AUTH TLS\r\n{tail}").as_bytes());
            client.expect(421);
            client.expect_close();
        }
        // in a session that could run them
        let mut client = Client::bob(&server);
        client.raw(b"AUTH TLS\r\nMKD pwned\r\nSTOR pwned\r\n");
        client.expect(421);
        client.expect_close();
        eventually("each is in the log", || {
            server.log().matches("clear text after AUTH").count() == 6
        });
        assert!(!server.has("pwned"));
        // a server that goes on in clear text obeys, as it does after any refusal
        let mut client = Client::bob(&server);
        client.raw(b"AUTH NONE\r\nMKD fine\r\n");
        client.expect(504);
        client.expect(257);
    }

    #[test]
    fn clear_text_after_the_reply_to_auth_is_a_failed_handshake() {
        let server = setup().start();
        let mut client = Client::bob(&server);
        client.cmd("AUTH TLS", 234);
        client.send("MKD pwned");
        let mut stream = client.stream().try_clone().unwrap();
        assert!(!String::from_utf8_lossy(&drain(&mut stream)).contains("257"));
        server.wait_for_log("TLS handshake failed");
        assert!(!server.has("pwned"));
    }

    /// The client sends the beginning of a handshake message, and then something that does not continue it.
    #[test]
    fn a_handshake_message_that_goes_on_with_something_else_is_a_failed_handshake() {
        let server = setup().start();
        let half: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x10\x00x";
        for rest in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x17\x03\x03\x00\x03abc",
            b"\x15\x03\x03\x00\x02\x01\x00",
            b"\x14\x03\x03\x00\x01\x01",
            b"\x16\x03\x03\xff\xff",
        ] {
            for together in [true, false] {
                let mut client = Client::bob(&server);
                client.cmd("AUTH TLS", 234);
                if together {
                    client.raw(&[half, rest].concat());
                } else {
                    // the server may give up before the last byte
                    let mut stream = client.stream();
                    let all = [half, rest].concat();
                    let _ = all.iter().try_for_each(|byte| stream.write_all(&[*byte]));
                }
                drain(&mut client.stream().try_clone().unwrap());
            }
        }
        eventually("all have ended", || {
            server.log().matches("TLS handshake failed").count() == 10
        });
        assert!(!server.log().contains("panicked"));
    }

    #[test]
    fn plain_bytes_on_the_data_port_are_never_file_content() {
        let server = setup().start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for line in ["STOR new", "STOU new", "APPE new", "APPE file", "RETR file", "LIST"] {
                let mut data = client.passive();
                client.cmd(line, 150);
                data.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
                client.expect(522);
                let answer = drain(&mut data);
                assert!(!answer.windows(7).any(|seven| seven == b"content"));
                assert!(!server.has("new"), "{line}");
                assert_eq!(server.get("file"), b"content");
            }
            // an end without a word is no empty file
            let data = client.passive();
            client.cmd("STOR file", 150);
            drop(data);
            client.expect(522);
            assert_eq!(server.get("file"), b"content");
            goes_on(&server, &mut client, &tls);
        }
    }

    /// The beginning of a hello, and then one byte at a time until the server has enough.
    fn drip(mut stream: TcpStream) {
        let _ = stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
        while stream.write_all(&[1]).is_ok() {
            // a byte now and then, as an attacker sends them who wants to hold a place
            thread::sleep(Duration::from_millis(100));
        }
    }

    #[test]
    fn stalled_and_dripping_handshakes_on_the_data_port_are_bounded() {
        let server = setup().server("data_timeout = 1").start();
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            for drips in [false, true] {
                let data = client.passive();
                client.cmd("STOR new", 150);
                let began = Instant::now();
                let other = data.try_clone().unwrap();
                let dripping = drips.then(|| thread::spawn(move || drip(other)));
                client.expect(522);
                assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
                assert!(!server.has("new"));
                drop(data);
                if let Some(thread) = dripping {
                    thread.join().unwrap();
                }
            }
            goes_on(&server, &mut client, &tls);
        }
    }

    #[test]
    fn stalled_dripping_and_garbage_handshakes_on_the_control_port_are_bounded() {
        let port = free_port();
        let server =
            setup().server(&format!("login_timeout = 1\ntls_implicit_port = {port}")).start();
        let explicit = server.address().port();
        // a thread that has admitted a client has opened its spare files
        let mut client = Client::silent(([127, 0, 0, 1], port).into());
        client.raw(&noise(5000));
        drain(&mut client.stream().try_clone().unwrap());
        server.wait_for_log("handshake failed");
        let first = Client::connect(&server);
        let (mut sessions, files) = (1, server.open_files());
        drop(first);
        for implicit in [false, true] {
            for how in ["stalls", "drips", "garbage"] {
                let began = Instant::now();
                let address = ([127, 0, 0, 1], if implicit { port } else { explicit }).into();
                let mut client = Client::silent(address);
                if !implicit {
                    client.expect(220);
                    client.cmd("AUTH TLS", 234);
                }
                let other = client.stream().try_clone().unwrap();
                match how {
                    "drips" => drip(other),
                    "garbage" => client.raw(&noise(5000)),
                    _ => {}
                }
                let mut stream = client.stream().try_clone().unwrap();
                drain(&mut stream);
                assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
                drop(client);
                sessions += 1;
                eventually("the session has ended", || {
                    server.log().matches("handshake failed").count() == sessions
                });
                eventually("all is closed", || server.open_files() < files);
            }
        }
    }

    #[test]
    fn a_crowd_of_half_handshakes_leave_nothing_open() {
        let server = setup().start();
        let mut idle = Client::auth(&server, &Tls::new(&TLS13));
        let before = server.open_files();
        // 150 at once
        let crowd: Vec<_> = (0..149)
            .map(|_| {
                let mut client = Client::connect(&server);
                client.cmd("AUTH TLS", 234);
                client.raw(&[22, 3, 1, 2, 0, 1, 0, 1]);
                client
            })
            .collect();
        assert!(server.open_files() >= before + crowd.len());
        drop(crowd);
        eventually("all is closed", || server.open_files() <= before);
        idle.cmd("NOOP", 200);
    }
}

/// `tls_required`.
mod required {
    use super::*;

    const TRANSFERS: [&str; 7] =
        ["RETR file", "STOR up", "APPE up", "STOU up", "LIST", "NLST", "MLSD"];

    fn refuses_clear_logins(server: &Server, user: &str) {
        let mut client = Client::connect(server);
        client.cmd(&format!("USER {user}"), 530);
        client.cmd("PASS secret", 503);
        client.cmd("PWD", 530);
    }

    fn refuses_clear_data(client: &mut Client) {
        for line in TRANSFERS {
            let _data = client.passive();
            client.cmd(line, 521);
        }
    }

    #[test]
    fn by_everybody() {
        for word in ["control", "data", "on"] {
            let server = setup().server(&format!("tls_required = {word}")).start();
            server.put("file", "content");
            let tls = Tls::new(&TLS13);
            if word == "data" {
                let mut client = Client::bob(&server);
                refuses_clear_data(&mut client);
                // a listing is one on any connection
                for line in ["STAT file", "STAT .", "STAT nothing", "STAT -l *"] {
                    client.cmd(line, 521);
                }
                // what tells of one file goes on, and so does STAT of the session
                client.cmd("STAT", 211);
                client.cmd("MLST file", 250);
                client.cmd("SIZE file", 213);
            } else {
                refuses_clear_logins(&server, "bob");
                refuses_clear_logins(&server, "nobody");
            }
            let mut client = Client::auth(&server, &tls);
            client.cmd("USER bob", 331);
            client.cmd("PASS secret", 230);
            client.cmd("TYPE I", 200);
            client.cmd("STAT file", 213);
            if word == "control" {
                assert_eq!(client.download("RETR file"), b"content");
                client.cmd("PBSZ 0", 200);
                client.cmd("PROT P", 200);
                client.cmd("PROT C", 200);
            } else {
                refuses_clear_data(&mut client);
                client.cmd("PBSZ 0", 200);
                refuses_clear_data(&mut client);
                client.cmd("PROT C", 534);
                refuses_clear_data(&mut client);
            }
            client.cmd("PROT P", 200);
            goes_on(&server, &mut client, &tls);
            assert!(!server.has("up"));
        }
    }

    #[test]
    fn by_one_user_or_by_all_but_one() {
        let ann = |word: &str| {
            let keys = "password = secret\nperm = elradfmw\nhome = home";
            format!("[user:ann]\n{keys}\ntls_required = {word}")
        };
        let tls = Tls::new(&TLS13);
        let server = setup().section(&ann("on")).start();
        refuses_clear_logins(&server, "ann");
        server.put("file", "content");
        assert_eq!(Client::bob(&server).download("RETR file"), b"content");
        let mut client = Client::auth(&server, &tls);
        client.cmd("USER ann", 331);
        client.cmd("PASS secret", 230);
        refuses_clear_data(&mut client);
        client.go_private();
        goes_on(&server, &mut client, &tls);
        // before the login nothing is known of the user, afterwards it is
        let mut client = Client::auth(&server, &tls);
        client.cmd("PBSZ 0", 200);
        client.cmd("PROT C", 200);
        client.cmd("USER ann", 331);
        client.cmd("PASS secret", 230);
        refuses_clear_data(&mut client);

        let server = setup().server("tls_required = on").section(&ann("off")).start();
        refuses_clear_logins(&server, "bob");
        server.put("file", "content");
        let mut client = Client::login(&server, "ann", "secret");
        assert_eq!(client.download("RETR file"), b"content");
    }

    #[test]
    fn a_refusal_at_user_does_not_tell_that_there_is_such_a_user() {
        let ann = "[user:ann]\npassword = secret\nhome = home\ntls_required = control";
        let server =
            setup().server("enable_anonymous = on\nanonymous_path = home").section(ann).start();
        let said = |name: &str| {
            let mut client = Client::connect(&server);
            client.ask(&format!("USER {name}"))
        };
        let refused = said("ann");
        assert_eq!(refused.0, 530);
        for name in ["nobody", "Ann", "ann ", "\u{e4}"] {
            assert_eq!(said(name), refused, "{name}");
        }
        // who needs no TLS may go on without, and who has a name of no user with it
        for name in ["bob", "anonymous", "Anonymous", "ftp"] {
            assert_eq!(said(name).0, 331, "{name}");
        }
        let mut client = Client::auth(&server, &Tls::new(&TLS13));
        client.cmd("USER nobody", 331);
        client.cmd("PASS secret", 530);
        // where nobody needs it, all names are alike
        let server = setup().start();
        Client::connect(&server).cmd("USER nobody", 331);
    }

    #[test]
    fn anonymous_users_too() {
        let server = setup()
            .server("tls_required = control\nenable_anonymous = on\nanonymous_path = home")
            .start();
        refuses_clear_logins(&server, "anonymous");
        refuses_clear_logins(&server, "ftp");
        let mut client = Client::auth(&server, &Tls::new(&TLS12));
        client.cmd("USER anonymous", 331);
        client.cmd("PASS me@", 230);
    }
}

/// The server's certificate and the clients'.
mod cut_early {
    use super::*;

    /// A transfer that was announced and never began is in both logs.
    fn is_told(server: &Server, verb: &str, name: &str, way: char) {
        let text = || fs::read_to_string(server.dir().join("xferlog")).unwrap_or_default();
        eventually("it is in the transfer log", || text().contains(&format!("/{name} ")));
        let text = text();
        let line = text.lines().find(|line| line.contains(&format!("/{name} "))).unwrap();
        assert!(line.ends_with(&format!(" b _ {way} r bob ftp 0 * i")), "{line}");
        let line = server.wait_for_log(&format!("/{name}\""));
        assert!(line.contains(verb) && line.contains("failed: "), "{line}");
        assert!(!server.log().contains("refused"), "{}", server.log());
    }

    #[test]
    fn transfers_that_end_behind_or_before_their_handshake_are_incomplete_ones() {
        for version in VERSIONS {
            let server = setup().server("transfer_log = xferlog").start();
            server.put("down", "content");
            let tls = Tls::new(version);
            let mut client = Client::secure_bob(&server, &tls);
            client.begin(&tls, "STOR cut").cut();
            client.expect(426);
            is_told(&server, "STOR", "cut", 'i');
            let data = client.passive();
            client.cmd("STOR never", 150);
            crate::client::reset(data);
            client.expect(522);
            is_told(&server, "STOR", "never", 'i');
            let data = client.passive();
            client.send("RETR down");
            crate::client::reset(data);
            if client.next_code() == 150 {
                client.expect(150);
            }
            client.expect_in(400..600);
            is_told(&server, "RETR", "down", 'o');
            assert!(!server.has("cut") && !server.has("never"));
        }
    }
}

mod certificates {
    use super::*;

    /// A pair on disk, in a folder of its own.
    fn on_disk(pair: &Pair) -> (TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), pair);
        let at = dir.path().display();
        let lines = format!("tls_cert = {at}/cert.pem\ntls_key = {at}/key.pem");
        (dir, lines)
    }

    fn write(dir: &Path, pair: &Pair) {
        fs::write(dir.join("cert.pem"), &pair.certificate).unwrap();
        fs::write(dir.join("key.pem"), &pair.key).unwrap();
        fs::set_permissions(dir.join("key.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn shown(server: &Server) -> Vec<u8> {
        Client::auth(server, &Tls::new(&TLS13)).certificate()
    }

    #[test]
    fn auto_makes_a_pair_for_the_owner_alone_and_says_its_fingerprint() {
        let server = setup().start();
        let dir = server.dir().join("ftpd-tls");
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.clone()), 0o700);
        let mut names: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["cert.pem", "key.pem"]);
        for name in names {
            assert_eq!(mode(dir.join(name)), 0o600);
        }
        let shown = fingerprint(&shown(&server));
        server.wait_for_log(&shown);
        let ini = server.dir().join("ftpd.ini");
        let arguments = ["--config", ini.to_str().unwrap(), "cert"];
        let (code, out, err) = run(&arguments, server.dir());
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains(&shown), "{out}");
    }

    #[test]
    fn auto_keeps_its_pair_and_replaces_what_is_unusable_or_near_its_end() {
        let server = setup().start();
        let ini = server.dir().join("ftpd.ini");
        let dir = server.dir().join("ftpd-tls");
        let said = || {
            let (code, out, err) =
                run(&["--config", ini.to_str().unwrap(), "cert"], server.dir());
            assert_eq!(code, 0, "{err}");
            out
        };
        let first = said();
        assert_eq!(said(), first);
        let mut params = named("old");
        params.not_after = (std::time::SystemTime::now() + Duration::from_secs(86400)).into();
        write(&dir, &Pair::own(&params));
        let second = said();
        assert_ne!(second, first);
        let wanted = second.rsplit(' ').next().unwrap().trim().to_owned();
        // the running server has seen it too
        eventually("it is taken", || fingerprint(&shown(&server)) == wanted);
        fs::remove_file(dir.join("key.pem")).unwrap();
        assert_ne!(said(), second);
    }

    /// Runs `ftpd cert`.
    fn cert(dir: &Path) -> std::process::Child {
        std::process::Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .args(["--config", "ftpd.ini", "cert"])
            .current_dir(dir)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn said(child: std::process::Child) -> String {
        let out = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(out.status.success(), "{}", text(out.stderr));
        text(out.stdout)
    }

    fn names(dir: &Path) -> Vec<std::ffi::OsString> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn of_several_makers_one_makes_the_pair_and_all_say_it() {
        let dir = program::folder(format!("[server]\ntls_cert = auto\n{}", program::BOB));
        let tls = dir.path().join("ftpd-tls");
        for round in 0..15 {
            let makers: Vec<_> = (0..4).map(|_| cert(dir.path())).collect();
            let said: Vec<_> = makers.into_iter().map(said).collect();
            assert!(said.iter().all(|one| *one == said[0]), "round {round}: {said:?}");
            assert_eq!(names(&tls), ["cert.pem", "key.pem"]);
            fs::remove_dir_all(&tls).unwrap();
        }
    }

    #[test]
    fn a_pair_that_is_removed_beside_makers_and_reloads_is_made_again() {
        let server = setup().start();
        let tls = server.dir().join("ftpd-tls");
        for _ in 0..12 {
            let makers: Vec<_> = (0..3).map(|_| cert(server.dir())).collect();
            server.signal("HUP");
            for name in ["cert.pem", "key.pem"] {
                let _ = fs::remove_file(tls.join(name));
            }
            for maker in makers {
                said(maker);
            }
        }
        let now = said(cert(server.dir()));
        let now = now.rsplit(' ').next().unwrap().trim().to_owned();
        eventually("the server has it too", || fingerprint(&shown(&server)) == now);
        let log = server.log();
        assert!(!log.contains("ERROR"), "{log}");
    }

    #[test]
    fn a_mixed_pair_of_auto_is_made_again_and_drafts_of_a_crash_go() {
        let server = setup().start();
        let tls = server.dir().join("ftpd-tls");
        let before = fingerprint(&shown(&server));
        fs::write(tls.join("key.pem"), Pair::own(&named("other")).key).unwrap();
        for draft in ["cert.new", "key.0123456789abcdef.new"] {
            fs::write(tls.join(draft), "").unwrap();
        }
        let (code, _, err) = run(&["--config", "ftpd.ini", "check"], server.dir());
        assert_eq!(code, 0, "{err}");
        let now = said(cert(server.dir()));
        let now = now.rsplit(' ').next().unwrap().trim().to_owned();
        assert_ne!(now, before);
        assert_eq!(names(&tls), ["cert.pem", "key.pem"]);
        eventually("the server has it too", || fingerprint(&shown(&server)) == now);
    }

    #[test]
    fn a_certificate_that_may_not_be_read_yet_is_looked_at_again() {
        let [first, second] = ["first", "second"].map(|name| Pair::own(&named(name)));
        let (dir, lines) = on_disk(&first);
        let own = |path: &Path| {
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
            }
        };
        for path in ["", "cert.pem", "key.pem"] {
            own(&dir.path().join(path));
        }
        let mut server = Server::setup().server(&lines);
        if rustix::process::geteuid().is_root() {
            server = server.run_as(65534);
        }
        let server = server.start();
        assert_eq!(shown(&server), first.der());
        let [cert, new] = ["cert.pem", "cert.new"].map(|name| dir.path().join(name));
        fs::write(&new, &second.certificate).unwrap();
        own(&new);
        fs::set_permissions(&new, PermissionsExt::from_mode(0o0)).unwrap();
        fs::write(dir.path().join("key.pem"), &second.key).unwrap();
        fs::rename(new, &cert).unwrap();
        eventually("it cannot be read", || {
            assert_eq!(shown(&server), first.der());
            server.log().contains("Permission denied")
        });
        // it is looked at again, which is no news
        let began = Instant::now();
        eventually("two more looks", || {
            assert_eq!(shown(&server), first.der());
            began.elapsed() > Duration::from_millis(2200)
        });
        server.wait_for_log("was not replaced");
        assert_eq!(server.log().matches("was not replaced").count(), 1, "{}", server.log());
        fs::set_permissions(&cert, PermissionsExt::from_mode(0o600)).unwrap();
        eventually("the second is shown", || shown(&server) == second.der());
        server.wait_for_log(&second.fingerprint());
    }

    #[test]
    fn a_link_that_leads_out_of_the_sandbox_is_said_to_do_so() {
        let [first, second] = ["first", "second"].map(|name| Pair::own(&named(name)));
        let (dir, lines) = on_disk(&first);
        let server = Server::setup().server(&lines).start();
        if !server.log().contains("sandbox: enforced") {
            eprintln!("skipped: no sandbox");
            return;
        }
        assert_eq!(shown(&server), first.der());
        let elsewhere = tempfile::tempdir().unwrap();
        write(elsewhere.path(), &second);
        let cert = dir.path().join("cert.pem");
        fs::remove_file(&cert).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("cert.pem"), &cert).unwrap();
        eventually("it is said", || {
            assert_eq!(shown(&server), first.der());
            server.log().contains("by the sandbox")
        });
        let line = server.wait_for_log("by the sandbox");
        assert!(line.contains(elsewhere.path().to_str().unwrap()), "{line}");
    }

    #[test]
    fn auto_in_a_sandbox_reads_what_it_has_made() {
        let server = setup().start();
        let before = fingerprint(&shown(&server));
        fs::remove_file(server.dir().join("ftpd-tls/key.pem")).unwrap();
        eventually("another one is shown", || fingerprint(&shown(&server)) != before);
        let log = server.log();
        assert!(!log.contains("ERROR"), "{log}");
    }

    #[test]
    fn a_new_certificate_is_taken_under_load_and_a_broken_one_is_not() {
        let [first, second] = ["first", "second"].map(|name| Pair::own(&named(name)));
        let (dir, lines) = on_disk(&first);
        let server = Server::setup().server(&lines).start();
        server.put("file", "content");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut turns = 0;
                let tls = Tls::new(&TLS13);
                let mut old = Client::secure_bob(&server, &tls);
                while !done.load(Ordering::Relaxed) {
                    let tls = Tls::new(VERSIONS[turns % 2]);
                    let mut client = Client::secure_bob(&server, &tls);
                    assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
                    turns += 1;
                }
                // what began before goes on with what it had
                assert_eq!(old.secure_download(&tls, "RETR file"), b"content");
                turns
            });
            assert_eq!(shown(&server), first.der());
            let began = Instant::now();
            write(dir.path(), &second);
            eventually("the second is shown", || shown(&server) == second.der());
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
            server.wait_for_log(&second.fingerprint());
            fs::write(dir.path().join("cert.pem"), "nonsense").unwrap();
            eventually("it is found out", || {
                assert_eq!(shown(&server), second.der());
                server.log().contains("certificate in use was not replaced")
            });
            assert_eq!(shown(&server), second.der());
            // certificate and key that do not belong together
            fs::write(dir.path().join("cert.pem"), &first.certificate).unwrap();
            eventually("it is found out", || {
                assert_eq!(shown(&server), second.der());
                server.log().matches("certificate in use was not replaced").count() == 2
            });
            fs::remove_file(dir.path().join("cert.pem")).unwrap();
            eventually("it is found out", || {
                assert_eq!(shown(&server), second.der());
                server.log().matches("certificate in use was not replaced").count() == 3
            });
            write(dir.path(), &first);
            eventually("the first is back", || shown(&server) == first.der());
            done.store(true, Ordering::Relaxed);
            assert!(load.join().unwrap() > 0);
        });
    }

    /// Whether a session can be set up and used.
    fn gets_in(server: &Server, tls: &Tls) -> bool {
        let mut client = Client::connect(server);
        client.cmd("AUTH TLS", 234);
        if client.try_tls(tls).is_err() {
            return false;
        }
        // in TLS 1.3 the refusal comes behind the client's own handshake
        let mut stream = client.stream().try_clone().unwrap();
        let layer = client.tls.as_mut().unwrap();
        let mut layer = rustls::Stream::new(layer.as_mut(), &mut stream);
        let mut reply = [0; 3];
        layer.write_all(b"NOOP\r\n").is_ok()
            && layer.read_exact(&mut reply).is_ok()
            && reply == *b"200"
    }

    #[test]
    fn client_certificates_right_wrong_and_absent() {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let [right, wrong] = [&authority, &stranger].map(|by| by.issue("bob"));
        let own = Pair::own(&named("bob"));
        let ca = authority.file();
        for optional in [false, true] {
            let word = if optional { "optional" } else { "required" };
            let server = setup()
                .server(&format!("tls_client_ca = {}\ntls_client_cert = {word}", ca.display()))
                .start();
            for version in VERSIONS {
                let tls = Tls::certified(version, &right);
                assert!(gets_in(&server, &tls));
                assert!(!gets_in(&server, &Tls::certified(version, &wrong)));
                assert!(!gets_in(&server, &Tls::certified(version, &own)));
                assert_eq!(gets_in(&server, &Tls::new(version)), optional);
                let mut client = Client::secure_bob(&server, &tls);
                goes_on(&server, &mut client, &tls);
            }
            server.wait_for_log("CN=bob");
        }
    }

    #[test]
    fn a_user_can_be_bound_to_a_certificate() {
        let authority = Authority::new();
        let [bob, eve] = ["bob", "eve"].map(|name| authority.issue(name));
        let print = bob.fingerprint();
        let bindings = [
            "CN=bob,O=Example".to_owned(),
            print.clone(),
            print.replace(':', "").to_lowercase(),
            format!("sha256:{}", print.to_lowercase()),
        ];
        let ca = format!(
            "tls_client_ca = {}\ntls_client_cert = optional\nmax_login_attempts = 100",
            authority.file().display()
        );
        let ann = "[user:ann]\npassword = secret\nhome = home";
        thread::scope(|scope| {
            for (turn, binding) in bindings.iter().enumerate() {
                let (ca, bob, eve) = (&ca, &bob, &eve);
                scope.spawn(move || {
                    let server = setup()
                        .server(ca)
                        .user(&format!("tls_client = {binding}"))
                        .section(ann)
                        .start();
                    let version = VERSIONS[turn % 2];
                    let mut client = Client::secure_bob(&server, &Tls::certified(version, bob));
                    client.cmd("PWD", 257);
                    client.cmd("REIN", 220);
                    client.cmd("USER bob", 331);
                    client.cmd("PASS wrong", 530);
                    for tls in [Tls::certified(version, eve), Tls::new(version)] {
                        let mut client = Client::auth(&server, &tls);
                        client.cmd("USER bob", 331);
                        client.cmd("PASS secret", 530);
                        client.cmd("USER ann", 331);
                        client.cmd("PASS secret", 230);
                    }
                    // nor without TLS
                    let mut client = Client::connect(&server);
                    client.cmd("USER bob", 331);
                    client.cmd("PASS secret", 530);
                });
            }
        });
    }
}
