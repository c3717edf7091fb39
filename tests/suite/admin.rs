//! The running server from outside: who, kick, reload, stop, SIGHUP, and the socket behind
//! them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Client, drain};
use crate::server::{Server, eventually, run};

/// Runs a subcommand on the server's settings.
fn ftpd(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    run(arguments, server.dir())
}

pub(crate) fn socket(server: &Server) -> PathBuf {
    server.dir().join("ftpd-state/admin.sock")
}

/// Replaces a part of the settings.
pub(crate) fn change(server: &Server, from: &str, to: &str) {
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "no '{from}' in\n{text}");
    // by a rename, because a reload may be reading the file
    let new = server.dir().join("ftpd.ini.new");
    fs::write(&new, text.replace(from, to)).unwrap();
    fs::set_permissions(&new, fs::metadata(&file).unwrap().permissions()).unwrap();
    fs::rename(&new, &file).unwrap();
}

fn reload(server: &Server) -> String {
    let (code, out, err) = ftpd(server, &["reload"]);
    assert_eq!(code, 0, "{err}");
    out + &err
}

mod who {
    use super::*;

    #[test]
    fn each_session_is_listed_with_what_it_does() {
        let server = Server::start();
        server.put("big \x1b[2J", vec![b'x'; 64 << 20]);
        let _stranger = Client::connect(&server);
        let mut client = Client::bob(&server);
        let data = client.passive();
        client.cmd("RETR big \x1b[2J", 150);
        eventually("bytes are counted", || {
            let (_, out, _) = ftpd(&server, &["who", "--json"]);
            let bytes = out.split("\"bytes\":").nth(1).unwrap_or("0");
            !bytes.starts_with('0')
        });
        let (code, out, err) = ftpd(&server, &["who"]);
        assert_eq!((code, err.as_str()), (0, ""));
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 3, "{out}");
        for word in ["ID", "USER", "ADDRESS", "TIME", "DOING"] {
            assert!(lines[0].contains(word), "{out}");
        }
        assert!(lines[1].contains(" - ") && lines[1].ends_with("idle"), "{out}");
        for part in ["2 bob", "127.0.0.1", "RETR ", "big \\x1b[2J", "of 64.0 MiB", " %, ", "/s"]
        {
            assert!(lines[2].contains(part), "no {part} in\n{out}");
        }
        drop(data);
        client.expect(426);
        eventually("the transfer is over", || ftpd(&server, &["who"]).1.ends_with("idle\n"));
    }

    #[test]
    fn json_has_nothing_in_it_that_a_terminal_obeys() {
        let name = "a\u{202e}b\u{85}\u{9b}c\u{2066}\u{feff}\u{e0041}\u{7f}";
        let user = "an\u{202e}na";
        let server = Server::setup()
            .server("log_format = json\nmetrics_listen = 127.0.0.1:0")
            .section(&format!("[user:{user}]\npassword = secret\nperm = elr\nhome = home"))
            .start();
        server.put(name, vec![b'x'; 64 << 20]);
        let mut client = Client::login(&server, user, "secret");
        let _data = client.passive();
        client.cmd(&format!("RETR {name}"), 150);
        client.send("DELE x");
        let mut outputs: Vec<String> =
            [&["who", "--json"][..], &["top", "--once", "--json"], &["users", "--json"]]
                .map(|arguments| ftpd(&server, arguments).1)
                .into();
        for (out, named) in outputs.iter().zip([true, true, false]) {
            let list: Value = serde_json::from_str(out).unwrap();
            let text = list.to_string();
            assert!(text.contains(user) && (!named || text.contains(name)), "{out}");
        }
        let mut socket = UnixStream::connect(socket(&server)).unwrap();
        socket.write_all(b"{\"command\":\"who\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).unwrap();
        assert!(line.contains("an\\u202ena"), "{line}");
        outputs.push(line);
        outputs.push(server.log());
        server.wait_for_log("an\\u202ena");
        for out in outputs {
            let odd = |letter: char| {
                name.contains(letter) && !letter.is_ascii_alphabetic() || letter == '\u{202e}'
            };
            assert!(!out.contains(odd), "{}", out.escape_unicode());
        }
    }

    #[test]
    fn an_upload_that_was_announced_is_shown_in_percent() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("ALLO 4096", 200);
        let mut data = client.passive();
        client.cmd("STOR file", 150);
        data.write_all(&[b'x'; 1024]).unwrap();
        eventually("a quarter is shown", || {
            ftpd(&server, &["who"]).1.contains("1.0 KiB of 4.0 KiB, 25 %")
        });
        drop(data);
        client.expect(226);
        // the wait was for that upload alone
        let mut data = client.passive();
        client.cmd("STOR other", 150);
        data.write_all(&[b'x'; 1024]).unwrap();
        eventually("the next one runs", || ftpd(&server, &["who"]).1.contains("STOR"));
        assert!(!ftpd(&server, &["who"]).1.contains(" % "));
        drop(data);
        client.expect(226);
    }

    #[test]
    fn without_a_server_the_answer_is_a_failure_that_names_the_socket() {
        let mut server = Server::start();
        server.signal("TERM");
        server.wait_for_exit();
        assert!(!socket(&server).exists());
        for command in [&["who"][..], &["kick", "1"], &["reload"], &["stop"]] {
            let (code, out, err) = ftpd(&server, command);
            assert_eq!((code, out.as_str()), (1, ""));
            assert!(
                err.contains("no server answers at") && err.contains("admin.sock"),
                "{err}"
            );
        }
    }
}

mod kick {
    use super::*;

    #[test]
    fn a_client_that_takes_no_reply_goes_at_once() {
        let server = Server::start();
        let client = Client::bob(&server);
        client.stream().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        // until the server waits for it as well
        while client.stream().write(&b"HELP\r\n".repeat(1000)).is_ok() {}
        let began = Instant::now();
        assert_eq!(ftpd(&server, &["kick", "bob"]).0, 0);
        eventually("it is gone", || ftpd(&server, &["who"]).1.lines().count() == 1);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn a_session_ends_by_number_by_user_and_by_address() {
        let server =
            Server::setup().section("[user:eve]\npassword = secret\nhome = home").start();
        for whom in ["1", "bob", "127.0.0.1"] {
            let mut client =
                if whom == "1" { Client::connect(&server) } else { Client::bob(&server) };
            let (code, out, _) = ftpd(&server, &["kick", whom]);
            assert_eq!((code, out.as_str()), (0, "1 session ended\n"), "{whom}");
            let reply = client.expect(421);
            assert!(reply.contains("administrator"), "{reply}");
            client.expect_close();
            eventually("it is gone", || ftpd(&server, &["who"]).1.lines().count() == 1);
        }
        let mut eve = Client::login(&server, "eve", "secret");
        let (code, _, err) = ftpd(&server, &["kick", "bob"]);
        assert_eq!((code, err.as_str()), (1, "ftpd: no session matches\n"));
        eve.cmd("NOOP", 200);
        let (code, ..) = ftpd(&server, &["kick"]);
        assert_eq!(code, 2);
    }

    #[test]
    fn an_upload_that_runs_is_not_put_in_place() {
        let server = Server::start();
        server.put("file", "old");
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("STOR file", 150);
        data.write_all(&[b'x'; 1000]).unwrap();
        eventually("it runs", || ftpd(&server, &["who"]).1.contains("STOR"));
        assert_eq!(ftpd(&server, &["kick", "bob"]).0, 0);
        client.expect_in(400..500);
        eventually("it is gone", || ftpd(&server, &["who"]).1.lines().count() == 1);
        drop(data);
        assert_eq!(server.get("file"), b"old");
    }

    /// The client may still get its file, unless the administrator prevents it.
    #[test]
    fn a_transfer_ends_whose_client_has_said_quit_and_closed_its_side() {
        for stalls in [false, true] {
            let server = Server::start();
            server.put("file", "old");
            let mut client = Client::bob(&server);
            let mut data = client.passive();
            client.cmd("STOR file", 150);
            client.raw(b"STAT\r\nQUIT\r\n");
            client.expect(211);
            client.stream().shutdown(Shutdown::Write).unwrap();
            data.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            data.write_all(b"new").unwrap();
            eventually("it runs", || ftpd(&server, &["who"]).1.contains("3 B"));
            assert_eq!(ftpd(&server, &["kick", "bob"]).0, 0);
            eventually("it is gone", || {
                if !stalls {
                    let _ = data.write_all(b"new");
                }
                ftpd(&server, &["who"]).1.lines().count() == 1
            });
            client.expect(426);
            assert_eq!(server.get("file"), b"old");
        }
    }

    #[test]
    fn commands_that_wait_are_not_obeyed_any_more() {
        let server = Server::start();
        server.put("big", vec![b'x'; 64 << 20]);
        let mut client = Client::bob(&server);
        let _data = client.passive();
        client.cmd("RETR big", 150);
        client.raw(b"DELE big\r\n");
        assert_eq!(ftpd(&server, &["kick", "bob"]).0, 0);
        client.expect(426);
        client.expect(421);
        client.expect_close();
        assert!(server.has("big"));
        let line = server.wait_for_log("RETR");
        assert!(line.ends_with("failed: Ended by the administrator"), "{line}");
    }
}

mod reload {
    use super::*;

    #[test]
    fn users_passwords_and_the_banner_hold_for_new_logins() {
        let server = Server::setup().server("welcome_msg = first").start();
        let mut before = Client::bob(&server);
        let (mut waiting, mut named) = (Client::connect(&server), Client::connect(&server));
        named.cmd("USER bob", 331);
        change(&server, "welcome_msg = first", "welcome_msg = second");
        change(&server, "password = secret", "password = changed");
        change(&server, "[user:bob]", "[user:eve]\npassword = new\nhome = home\n[user:bob]");
        reload(&server);
        before.cmd("NOOP", 200);
        let mut late = Client::silent(server.address());
        assert!(late.expect(220).contains("second"));
        Client::login(&server, "eve", "new").cmd("NOOP", 200);
        Client::login(&server, "bob", "changed").cmd("NOOP", 200);
        // a client that was connected before must not log in by the old settings
        waiting.cmd("USER bob", 331);
        waiting.cmd("PASS secret", 530);
        named.cmd("PASS secret", 530);
    }

    #[test]
    fn sessions_of_a_removed_user_end() {
        let server =
            Server::setup().section("[user:eve]\npassword = secret\nhome = home").start();
        let mut bob = Client::bob(&server);
        let mut eve = Client::login(&server, "eve", "secret");
        let mut named = Client::connect(&server);
        named.cmd("USER eve", 331);
        change(&server, "[user:eve]\npassword = secret\nhome = home", "");
        assert!(reload(&server).contains("users ended: 1\n"));
        assert!(eve.expect(421).contains("removed"));
        eve.expect_close();
        bob.cmd("NOOP", 200);
        // the name was given before
        named.cmd("PASS secret", 530);
    }

    #[test]
    fn a_fault_changes_nothing_and_is_told_to_the_caller_and_the_log() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        change(&server, "password = secret", "password = changed\nnonsense = 1");
        let (code, out, err) = ftpd(&server, &["reload"]);
        assert_eq!((code, out.as_str()), (78, ""));
        assert!(err.contains("nonsense: unknown key"), "{err}");
        assert!(!err.contains("changed") && !err.contains("secret"), "{err}");
        server.wait_for_log("nonsense: unknown key");
        server.wait_for_log("settings not reloaded");
        client.cmd("NOOP", 200);
        Client::bob(&server);
    }

    #[test]
    fn a_hangup_does_the_same() {
        let server = Server::start();
        change(&server, "password = secret", "password = changed");
        server.signal("HUP");
        server.wait_for_log("settings reloaded");
        Client::login(&server, "bob", "changed").cmd("NOOP", 200);
        change(&server, "password = changed", "password =");
        server.signal("HUP");
        server.wait_for_log("settings not reloaded");
        Client::login(&server, "bob", "changed").cmd("NOOP", 200);
    }

    #[test]
    fn reload_names_the_keys_that_need_a_restart() {
        let server = Server::setup().server("max_cons = 20\nmax_download = 0").start();
        change(&server, "max_cons = 20", "max_cons = 30");
        change(&server, "max_download = 0", "max_download = 10M");
        let said = reload(&server);
        assert!(
            said.contains("max_cons has changed; restart the server to apply it"),
            "{said}"
        );
        assert_eq!(said.matches("restart").count(), 1, "{said}");
    }

    #[test]
    fn a_restart_is_asked_for_as_long_as_it_is_needed_and_not_for_other_words() {
        let server = Server::setup().server("max_cons = 20\nhook_timeout = 60").start();
        change(&server, "hook_timeout = 60", "hook_timeout = 1m");
        assert!(!reload(&server).contains("restart"));
        change(&server, "max_cons = 20", "max_cons = 30");
        for _ in 0..2 {
            assert!(reload(&server).contains("max_cons has changed"));
        }
        change(&server, "max_cons = 30", "max_cons = 20");
        assert!(!reload(&server).contains("restart"));
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_a_fault() {
        let server = Server::setup().server("sandbox = off\nwelcome_msg = first").start();
        let lines = "welcome_msg = second\nlog_file = /proc/nothing";
        change(&server, "welcome_msg = first", lines);
        let (code, _, err) = ftpd(&server, &["reload"]);
        assert_eq!(code, 78, "{err}");
        assert!(err.contains("cannot open the log /proc/nothing"), "{err}");
        assert!(Client::silent(server.address()).expect(220).contains("first"));
        server.wait_for_log("settings not reloaded");
    }

    #[test]
    fn an_anonymous_session_ends_with_anonymous_access() {
        let lines = "enable_anonymous = on\nanonymous_path = home";
        let server = Server::setup().server(lines).start();
        let mut client = Client::login(&server, "ftp", "x@y");
        change(&server, lines, "");
        change(&server, "[user:bob]", "[user:ftp]\npassword = secret\nhome = home\n[user:bob]");
        assert!(reload(&server).contains("users ended: 1"));
        client.expect(421);
    }

    #[test]
    fn no_order_to_stop_is_lost_among_many_to_reload() {
        let mut server = Server::start();
        for _ in 0..30 {
            server.signal("HUP");
        }
        assert_eq!(ftpd(&server, &["stop"]).0, 0);
        assert!(server.wait_for_exit().success());
    }

    #[test]
    fn a_transfer_that_runs_keeps_to_the_new_limit() {
        let server = Server::setup().user("max_download = 100\nmax_upload = 100").start();
        server.put("file", vec![b'x'; 2 << 20]);
        let (mut down, mut up) = (Client::bob(&server), Client::bob(&server));
        let mut slow = down.passive();
        down.cmd("RETR file", 150);
        let mut slow_up = up.passive();
        up.cmd("STOR other", 150);
        slow_up.write_all(&vec![b'x'; 1 << 20]).unwrap();
        slow_up.shutdown(std::net::Shutdown::Write).unwrap();
        slow.read_exact(&mut [0; 10]).unwrap();
        change(&server, "max_download = 100", "max_download = 0");
        change(&server, "max_upload = 100", "max_upload = 50M");
        let asked = Instant::now();
        reload(&server);
        assert_eq!(drain(&mut slow).len(), (2 << 20) - 10);
        down.expect(226);
        up.expect(226);
        // at the old speed it would take hours
        assert!(asked.elapsed().as_secs() < 60);
        assert_eq!(server.get("other").len(), 1 << 20);
    }

    #[test]
    fn a_limit_that_comes_holds_for_a_transfer_without_one() {
        let server = Server::start();
        server.put("file", vec![b'x'; 64 << 20]);
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("RETR file", 150);
        data.read_exact(&mut [0; 1000]).unwrap();
        change(&server, "perm = ", "max_download = 1K\nperm = ");
        reload(&server);
        // bytes that are in the system's buffers arrive at once, the rest does not
        data.set_read_timeout(Some(std::time::Duration::from_millis(700))).unwrap();
        let mut all = 0;
        let mut chunk = vec![0; 1 << 16];
        let until = Instant::now() + std::time::Duration::from_secs(3);
        while Instant::now() < until {
            all += data.read(&mut chunk).unwrap_or_default();
        }
        assert!(all < 60 << 20, "{all}");
        client.cmd("ABOR", 426);
        client.expect(226);
    }

    #[test]
    fn the_log_goes_on_where_the_settings_say() {
        // its folder was not in the settings when the sandbox was made
        let server = Server::setup().server("sandbox = off").start();
        change(&server, "[server]\n", "[server]\nlog_file = new.log\n");
        reload(&server);
        Client::bob(&server).cmd("NOOP", 200);
        let log = || fs::read_to_string(server.dir().join("new.log")).unwrap_or_default();
        eventually("the new file has the login", || log().contains("[bob] logged in"));
        assert!(!server.log().contains("logged in"));
    }
}

mod stop {
    use super::*;

    /// A download that waits for its client.
    fn downloading(server: &Server, mib: usize) -> (Client, TcpStream) {
        server.put("big", vec![b'x'; mib << 20]);
        let mut client = Client::bob(server);
        let data = client.passive();
        client.cmd("RETR big", 150);
        (client, data)
    }

    #[test]
    fn the_server_stops_with_and_without_its_transfers() {
        let mut server = Server::start();
        let (mut client, mut data) = downloading(&server, 32);
        assert_eq!(ftpd(&server, &["stop"]).0, 0);
        server.wait_for_log("shutting down");
        assert_eq!(drain(&mut data).len(), 32 << 20);
        client.expect(226);
        assert!(server.wait_for_exit().success());

        let mut server = Server::setup().server("shutdown_grace = 1h").start();
        let (mut client, _data) = downloading(&server, 64);
        assert_eq!(ftpd(&server, &["stop"]).0, 0);
        server.wait_for_log("shutting down");
        // while the server waits for the transfer, the session is listed and can be kicked
        assert!(ftpd(&server, &["who"]).1.contains("RETR"));
        assert_eq!(ftpd(&server, &["stop", "--now"]).0, 0);
        client.expect(426);
        assert!(server.wait_for_exit().success());

        let mut server = Server::setup().server("shutdown_grace = 1h").start();
        let (mut client, _data) = downloading(&server, 64);
        assert_eq!(ftpd(&server, &["stop", "--now"]).0, 0);
        client.expect(426);
        assert!(server.wait_for_exit().success());
    }
}

mod socket {
    use super::*;

    fn ask(server: &Server, line: &str) -> String {
        let mut stream = UnixStream::connect(socket(server)).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_admin_socket_is_private_and_is_removed_with_the_server() {
        let mut server = Server::start();
        let meta = socket(&server).metadata().unwrap();
        assert!(meta.file_type().is_socket());
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        server.signal("KILL");
        server.wait_for_exit();
        assert!(socket(&server).exists());
        // the socket that was left behind is replaced
        server.start_again();
        assert_eq!(ftpd(&server, &["who"]).0, 0);
    }

    #[test]
    fn nonsense_on_the_admin_socket_is_answered_and_harms_no_session() {
        let server = Server::start();
        for line in
            ["nonsense\n", "{}\n", "[1]\n", "{\"command\":\"x\"}\n", "{\"command\":1}\n"]
        {
            assert!(ask(&server, line).starts_with("{\"error\":"), "{line}");
        }
        assert!(ask(&server, &format!("{}\n", "[".repeat(60_000))).contains("error"));
        assert_eq!(ftpd(&server, &["who"]).0, 0);
    }

    #[test]
    fn only_an_object_with_valid_members_is_carried_out() {
        let mut server = Server::start();
        for (line, says) in [
            (r#"["stop"]"#, "no such command"),
            (r#"["stop", true]"#, "no such command"),
            (r#"["unban", "all"]"#, "no such command"),
            ("{}", "no such command"),
            ("null", "no such command"),
            ("stop", "must be one line of JSON"),
            (r#"{"command": "kick"}"#, "cannot read kick: missing field `whom`"),
            (r#"{"command": "kick", "whom": 5}"#, "cannot read kick: invalid type"),
            (
                r#"{"command": "ban", "address": "203.0.113.9", "seconds": null}"#,
                "cannot read ban",
            ),
            (
                r#"{"command": "ban", "address": "203.0.113.9", "seconds": -1}"#,
                "cannot read ban",
            ),
            (r#"{"command": "why", "user": "bob", "path": [47]}"#, "cannot read why"),
        ] {
            let answer = ask(&server, &format!("{line}\n"));
            assert!(
                answer.starts_with("{\"error\":") && answer.contains(says),
                "{line}: {answer}"
            );
        }
        assert!(ask(&server, "{\"command\":\"bans\"}\n").contains("\"bans\":[]"));
        // a member given twice has its last value, and one of another type is as if not given
        let twice = r#"{"command": "kick", "whom": "anna", "whom": "bob"}"#;
        assert!(ask(&server, &format!("{twice}\n")).contains("\"ended\":0"));
        let why = r#"{"command": "why", "user": [98, 111, 98], "path": [47], "action": 5}"#;
        assert!(ask(&server, &format!("{why}\n")).contains("\"answers\":["));
        assert!(ask(&server, "{\"command\":\"stop\",\"now\":null}\n").contains("\"ok\":true"));
        assert!(server.wait_for_exit().success());
    }

    #[test]
    fn one_connection_may_ask_many_times() {
        let server = Server::start();
        let mut stream = UnixStream::connect(socket(&server)).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        for _ in 0..3 {
            stream.write_all(b"{\"command\":\"who\"}\n").unwrap();
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            assert_eq!(line, "{\"ok\":true,\"sessions\":[]}\n");
        }
    }

    #[test]
    fn an_admin_request_that_is_too_long_is_not_taken_for_two() {
        let server = Server::start();
        let long = format!("{}{{\"command\":\"stop\"}}\n", " ".repeat(64 << 10));
        assert!(ask(&server, &long).contains("too long"));
        assert_eq!(ftpd(&server, &["who"]).0, 0);
    }

    #[test]
    fn a_reload_with_another_admin_socket_leaves_those_of_other_servers() {
        let mut server = Server::start();
        let other = server.dir().join("precious");
        fs::write(&other, "text").unwrap();
        change(&server, "[server]\n", "[server]\nadmin_socket = precious\n");
        server.signal("HUP");
        server.wait_for_log("admin_socket has changed; restart the server to apply it");
        server.signal("TERM");
        server.wait_for_exit();
        assert_eq!(fs::read(other).unwrap(), b"text");
        assert!(!socket(&server).exists());
    }

    #[test]
    fn where_it_cannot_be_made_the_server_serves_without_it() {
        let server = Server::setup().server("admin_socket = /proc/nowhere/x").start();
        server.wait_for_log("no admin socket at /proc/nowhere/x");
        Client::bob(&server).cmd("NOOP", 200);
        let off = Server::setup().server("admin_socket =").start();
        assert!(!socket(&off).exists());
        let (code, _, err) = ftpd(&off, &["who"]);
        assert_eq!(code, 1);
        assert!(err.contains("admin_socket is empty"), "{err}");
    }
}

mod silence {
    use super::*;

    #[test]
    fn silent_admin_connections_keep_no_other_out() {
        let server = Server::start();
        let silent: Vec<_> =
            (0..40).map(|_| UnixStream::connect(socket(&server)).unwrap()).collect();
        // a client that sends a byte now and then counts as silent
        (&silent[39]).write_all(b"{").unwrap();
        let began = Instant::now();
        for _ in 0..5 {
            let (code, _, err) = ftpd(&server, &["who"]);
            assert_eq!(code, 0, "{err}");
        }
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        eventually("all are let go", || {
            let threads = server.threads();
            !threads.iter().any(|name| name == "admin-client")
        });
    }

    #[test]
    fn an_admin_connection_may_carry_several_requests() {
        let server = Server::start();
        let mut asks = UnixStream::connect(socket(&server)).unwrap();
        let mut answers = BufReader::new(asks.try_clone().unwrap());
        let mut ask = || {
            asks.write_all(b"{\"command\":\"who\"}\n").unwrap();
            let mut line = String::new();
            answers.read_line(&mut line).unwrap();
            assert!(line.contains("\"ok\":true"), "{line}");
        };
        ask();
        let _silent: Vec<_> =
            (0..40).map(|_| UnixStream::connect(socket(&server)).unwrap()).collect();
        assert_eq!(ftpd(&server, &["who"]).0, 0);
        ask();
    }
}

mod floods {
    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    #[test]
    fn however_many_sighups_come_one_reload_runs_and_none_is_lost() {
        let sections: Vec<_> = (0..1000)
            .map(|n| format!("[user:u{n}]\npassword = secret\nhome = home\n"))
            .collect();
        let sections = sections.concat();
        let server = Server::setup().section(&sections).start();
        let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
        let mut most = 0;
        for round in 0..2000 {
            kill_process(pid, Signal::HUP).unwrap();
            if round % 20 == 0 {
                let threads = server.threads();
                most = most.max(threads.iter().filter(|name| *name == "reload").count());
            }
        }
        change(&server, "password = secret", "password = other");
        kill_process(pid, Signal::HUP).unwrap();
        eventually("the last one is obeyed", || {
            let mut client = Client::connect(&server);
            client.cmd("USER bob", 331);
            client.ask("PASS other").0 == 230
        });
        assert!(most <= 1, "{most} threads");
        server.wait_for_log("settings reloaded");
        assert!(!server.log().contains("ERROR"), "{}", server.log());
    }
}

mod state {
    use super::*;

    /// A server with a part of a failed upload, on which somebody has logged in.
    fn with_part(lines: &str) -> Server {
        let server = Server::setup().server(lines).start();
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("STOR part", 150);
        data.write_all(b"half").unwrap();
        crate::client::reset(data);
        client.expect(426);
        server
    }

    fn has_all_again(server: &Server) -> bool {
        let text = |name: &str| {
            fs::read_to_string(server.dir().join("ftpd-state").join(name)).unwrap_or_default()
        };
        text("parts").contains("/home /") && text("logins").contains(" bob")
    }

    #[test]
    fn a_state_dir_that_was_removed_is_made_again() {
        let server = with_part("sandbox = off\nkeep_parts = 2");
        eventually("all is there", || has_all_again(&server));
        fs::remove_dir_all(server.dir().join("ftpd-state")).unwrap();
        server.wait_for_log("the journal of parts was removed");
        eventually("all is there again", || has_all_again(&server));
    }

    #[test]
    fn files_that_were_removed_from_state_dir_are_written_again() {
        let server = with_part("keep_parts = 2");
        eventually("all is there", || has_all_again(&server));
        for name in ["parts", "logins"] {
            fs::remove_file(server.dir().join("ftpd-state").join(name)).unwrap();
        }
        eventually("all is there again", || has_all_again(&server));
    }

    #[test]
    fn an_admin_socket_that_was_removed_is_made_again() {
        let server = Server::setup().server("sandbox = off").start();
        // the number of a file that was removed may be given to another one
        let id = || {
            let meta = fs::symlink_metadata(socket(&server)).ok()?;
            Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
        };
        let before = id();
        fs::remove_dir_all(server.dir().join("ftpd-state")).unwrap();
        server.wait_for_log("admin socket: ");
        assert_eq!(ftpd(&server, &["who"]).0, 0);
        // one that is in its place is no longer the server's, and nobody listens there
        fs::remove_file(socket(&server)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(socket(&server)).unwrap());
        eventually("it is made again", || ftpd(&server, &["who"]).0 == 0);
        assert!(id().is_some() && id() != before);
        let accepting = || server.threads().iter().filter(|name| *name == "admin").count();
        eventually("the threads of the others have ended", || accepting() == 1);
        assert_eq!(ftpd(&server, &["stop"]).0, 0);
        eventually("it goes with the server", || !socket(&server).exists());
    }

    #[test]
    fn another_server_that_answers_nobody_at_the_admin_socket_does_not_delay_a_stop() {
        let mut server = Server::setup().server("sandbox = off").start();
        fs::remove_file(socket(&server)).unwrap();
        let address = socket2::SockAddr::unix(socket(&server)).unwrap();
        let unix = || {
            let kind = socket2::Type::STREAM.nonblocking();
            socket2::Socket::new(socket2::Domain::UNIX, kind, None).unwrap()
        };
        let other = unix();
        other.bind(&address).unwrap();
        other.listen(0).unwrap();
        let mut waiting = vec![unix()];
        while waiting.last().unwrap().connect(&address).is_ok() {
            waiting.push(unix());
        }
        server.wait_for_log("cannot be made again");
        server.signal("TERM");
        assert!(server.wait_for_exit().success());
        assert!(socket(&server).exists(), "it belongs to the other one");
    }

    #[test]
    fn it_is_said_when_the_sandbox_forbids_it() {
        let server = with_part("");
        if !server.log().contains("sandbox: enforced") {
            return;
        }
        fs::remove_dir_all(server.dir().join("ftpd-state")).unwrap();
        let line = server.wait_for_log("parts of uploads may be left behind");
        assert!(line.contains("sandbox"), "{line}");
    }

    #[test]
    fn a_second_server_takes_over_ports_and_journal_when_the_first_ends() {
        let port = crate::server::free_port();
        let mut first = with_part(&format!("metrics_listen = {port}"));
        let dir = first.dir().to_owned();
        let log = || fs::read_to_string(dir.join("second")).unwrap_or_default();
        let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .arg("--config")
            .arg(dir.join("ftpd.ini"))
            .env_remove("RUST_LOG")
            .stderr(fs::File::create(dir.join("second")).unwrap())
            .spawn()
            .unwrap();
        eventually("it has not all of it", || {
            let log = log();
            ["no metrics at", "no admin socket at", "another server uses it; after a crash"]
                .iter()
                .all(|text| log.contains(text))
        });
        let parts = dir.join("ftpd-state/parts");
        let before = fs::read_to_string(&parts).unwrap();
        first.signal("TERM");
        first.wait_for_exit();
        eventually("it has all of it", || {
            let log = log();
            ["metrics: http://", "admin socket: ", "the journal of parts is written again"]
                .iter()
                .all(|text| log.contains(text))
        });
        eventually("the journal is its own", || {
            let now = fs::read_to_string(&parts).unwrap_or_default();
            now.contains("/home /") && now.lines().next() != before.lines().next()
        });
        assert!(log().contains("1 kept"), "{}", log());
        let (code, out, err) = run(&["who"], &dir);
        assert_eq!(code, 0, "{out}{err}");
        let mode =
            fs::metadata(dir.join("ftpd-state/admin.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        second.kill().unwrap();
        second.wait().unwrap();
    }
}
