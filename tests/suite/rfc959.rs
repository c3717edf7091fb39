//! RFC 959, the protocol itself; one module for each section.
//!
//! Held loosely where RFC 1123 §4.1.2.11 lets a server: a code that the table of §5.4 does not
//! list for a command is taken if it is defined and says what happened. Such codes are named
//! in [`section_5_4`], each with its reason.

use crate::client::Client;
use crate::server::Server;

/// ASCII is the default type; lines end with CR LF on the wire.
mod section_3_1_1_1 {
    use super::*;

    #[test]
    fn the_default_type_is_ascii_and_lines_end_with_cr_lf() {
        let server = Server::start();
        server.put("a", "one\ntwo\n");
        let mut client = Client::connect(&server);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        assert_eq!(client.download("RETR a"), b"one\r\ntwo\r\n");
        client.upload("STOR b", b"three\r\nfour\r\n");
        assert_eq!(server.get("b"), b"three\nfour\n");
    }
}

/// Data structures.
mod section_3_1_2 {
    use super::*;

    #[test]
    fn the_structure_is_file_and_others_are_refused_without_effect() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("STRU F", 200);
        client.cmd("STRU R", 504);
        client.cmd("STRU P", 504);
        client.upload("STOR a", b"\xff\x01\xff\x02");
        assert_eq!(server.get("a"), b"\xff\x01\xff\x02");
    }
}

/// Establishing data connections: when the server must close.
mod section_3_2 {
    use std::io::ErrorKind;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::server::{PATIENCE, eventually};

    /// A server with an address of its own, so that no other test listens on a port of it.
    fn start() -> Server {
        Server::setup().ip("127.9.5.9").start()
    }

    /// Whether somebody listens there: a refused connection is the only proof of no.
    fn listens(address: SocketAddr) -> bool {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => true,
            Err(why) => why.kind() != ErrorKind::ConnectionRefused,
        }
    }

    #[test]
    fn the_server_closes_the_data_connection_at_the_end_of_the_file() {
        let server = Server::start();
        server.put("a", "x");
        let mut client = Client::bob(&server);
        // `download` reads to the end
        assert_eq!(client.download("RETR a"), b"x");
    }

    #[test]
    fn a_changed_port_specification_closes_the_old_passive_port() {
        let server = start();
        let mut client = Client::bob(&server);
        let old = client.passive_address("PASV");
        let own = client.stream().local_addr().unwrap().ip();
        let listener = TcpListener::bind((own, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        client.cmd(&format!("EPRT |1|{own}|{port}|"), 200);
        assert!(!listens(old));
    }

    #[test]
    fn abor_closes_a_passive_port_that_waits() {
        let server = start();
        let mut client = Client::bob(&server);
        let address = client.passive_address("EPSV");
        client.cmd("ABOR", 226);
        assert!(!listens(address));
    }

    #[test]
    fn the_end_of_the_control_connection_closes_the_passive_port() {
        let server = start();
        let mut client = Client::bob(&server);
        let address = client.passive_address("PASV");
        client.cmd("QUIT", 221);
        client.expect_close();
        eventually("the port is closed", || !listens(address));
    }
}

/// Access control commands.
mod section_4_1_1 {
    use super::*;

    #[test]
    fn cwd_leaves_the_parameters_and_the_login() {
        let server = Server::start();
        server.put("d/a", "x\n");
        let mut client = Client::bob(&server);
        client.cmd("CWD d", 250);
        assert_eq!(client.download("RETR a"), b"x\n");
        client.cmd("CWD nowhere", 550);
        client.cmd("CWD a", 550);
        assert!(client.cmd("PWD", 257).starts_with("257 \"/d\""));
    }
}

/// Transfer parameter commands.
mod section_4_1_2 {
    use super::*;

    #[test]
    fn what_was_set_last_is_the_default_from_then_on() {
        let server = Server::start();
        server.put("a", "x\n");
        let mut client = Client::bob(&server);
        client.cmd("TYPE A", 200);
        assert_eq!(client.download("RETR a"), b"x\r\n");
        assert_eq!(client.download("RETR a"), b"x\r\n");
        client.cmd("TYPE I", 200);
        assert_eq!(client.download("RETR a"), b"x\n");
    }
}

/// Service commands.
mod section_4_1_3 {
    use std::net::Shutdown;

    use super::*;

    #[test]
    fn stou_makes_a_file_that_was_not_there_in_the_current_directory() {
        let server = Server::start();
        server.put("d/a", "old");
        let mut client = Client::bob(&server);
        client.cmd("CWD d", 250);
        let mark = client.upload("STOU", b"one");
        let name = mark.strip_prefix("150 FILE: ").unwrap();
        assert_eq!(server.get(&format!("d/{name}")), b"one");
        let mark = client.upload("STOU a", b"two");
        let name = mark.strip_prefix("150 FILE: ").unwrap();
        assert_ne!(name, "a");
        assert_eq!(server.get(&format!("d/{name}")), b"two");
        assert_eq!(server.get("d/a"), b"old");
    }

    /// FTP clients keep a connection alive with NOOP, and look before they rename.
    #[test]
    fn what_rnfr_names_is_kept_for_rnto_whatever_comes_between() {
        let server = Server::start();
        server.put("dir/a", "x");
        let mut client = Client::bob(&server);
        client.cmd("CWD dir", 250);
        for line in [
            "NOOP",
            "TYPE A",
            "TYPE I",
            "PWD",
            "SIZE a",
            "SIZE none",
            "MDTM a",
            "PASV",
            "EPSV",
            "STAT",
            "FEAT",
            "REST 5",
            "MLST a",
            "CWD /",
            "CWD /none",
            "CDUP",
            "XYZZY",
            "",
            "MKD",
            "SITE UMASK",
            "LIST none",
            "RETR none",
            "SITE NONE",
            "ABOR",
            "ALLO 1",
            "OPTS UTF8 ON",
            "SITE CHMOD 600 a",
            "DELE none",
            "PASS x",
            "HELP",
            "MODE S",
            "STRU F",
        ] {
            client.cmd("CWD /dir", 250);
            client.cmd("RNFR a", 350);
            client.ask(line);
            client.cmd("RNTO /dir/b", 250);
            assert!(!server.has("dir/a") && server.has("dir/b"), "{line}");
            client.cmd("RNFR /dir/b", 350);
            client.cmd("RNTO /dir/a", 250);
        }
        client.cmd("CWD /dir", 250);
        client.cmd("RNFR a", 350);
        client.upload("STOR c", b"y");
        client.download("RETR c");
        client.download("LIST");
        client.cmd("RNTO b", 250);
        assert!(server.has("dir/b") && server.has("dir/c"));
    }

    #[test]
    fn stat_during_a_transfer_tells_of_it_and_without_one_of_the_session() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        let data = client.passive();
        client.cmd("STOR a", 150);
        assert!(client.cmd("STAT", 211).contains("STOR"));
        data.shutdown(Shutdown::Write).unwrap();
        client.expect(226);
        let status = client.cmd("STAT", 211).to_ascii_lowercase();
        for parameter in ["type", "structure", "mode", "connect"] {
            assert!(status.contains(parameter), "{parameter}: {status}");
        }
    }

    #[test]
    fn stat_of_a_path_is_a_list_on_the_control_connection() {
        let server = Server::start();
        server.put("d/some", "");
        server.put("d/226 trick", "");
        let mut client = Client::bob(&server);
        let of_dir = client.cmd("STAT d", 213);
        assert!(of_dir.contains("some") && of_dir.contains("226 trick"));
        assert!(client.cmd("STAT d/some", 213).contains("some"));
    }

    #[test]
    fn list_and_nlst_without_a_path_are_of_the_current_directory() {
        let server = Server::start();
        server.put("d/a", "");
        server.put("b", "");
        let mut client = Client::bob(&server);
        client.cmd("CWD d", 250);
        assert_eq!(client.lines("NLST"), ["a"]);
        let lines = client.lines("LIST");
        assert!(lines.len() == 1 && lines[0].ends_with(" a"), "{lines:?}");
        let lines = client.lines("LIST /b");
        assert!(lines.len() == 1 && lines[0].ends_with('b'), "{lines:?}");
    }
}

/// Replies.
mod section_4_2 {
    use super::*;

    #[test]
    fn the_first_and_the_last_line_of_several_have_the_code_and_none_between_has_it() {
        let server = Server::start();
        server.put("d/211 x", "");
        let mut client = Client::bob(&server);
        let replies = [("FEAT", 211), ("HELP", 214), ("STAT", 211), ("STAT d", 213)];
        for (command, code) in replies.into_iter().chain([("MLST d", 250), ("SITE HELP", 214)])
        {
            let reply = client.cmd(command, code);
            let lines: Vec<_> = reply.lines().collect();
            assert!(lines.len() > 2, "{reply}");
            assert!(lines[0].starts_with(&format!("{code}-")), "{reply}");
            let between = &lines[1..lines.len() - 1];
            let digits = |line: &&str| line.bytes().take(3).all(|byte| byte.is_ascii_digit());
            assert!(!between.iter().any(digits), "{reply}");
        }
    }

    #[test]
    fn commands_that_come_too_early_are_queued_and_answered_in_order() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.raw(b"NOOP\r\nPWD\r\nSYST\r\nNOTHING\r\nTYPE A\r\n");
        for code in [200, 257, 215, 500, 200] {
            client.expect(code);
        }
    }

    #[test]
    fn an_unknown_command_is_500_and_an_unknown_parameter_is_504() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("XYZZY", 500);
        client.cmd("RETRO a", 500);
        client.cmd("", 500);
        client.cmd("MODE C", 504);
    }
}

/// Connections.
mod section_5_2 {
    use std::io::{Read, Write};
    use std::net::Shutdown;

    use super::*;

    #[test]
    fn the_226_comes_after_the_data_connection_was_closed() {
        let server = Server::start();
        server.put("a", "x");
        let mut client = Client::bob(&server);
        for _ in 0..20 {
            let mut data = client.passive();
            client.cmd("RETR a", 150);
            client.expect(226);
            // all bytes and the end have arrived
            data.set_nonblocking(true).unwrap();
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, b"x");
        }
    }

    #[test]
    fn what_was_sent_before_a_half_close_is_read_to_the_end() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        data.write_all(&vec![7; 100_000]).unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        client.cmd("STOR a", 150);
        client.expect(226);
        assert_eq!(server.get("a").len(), 100_000);
    }
}

/// Commands: case and spaces.
mod section_5_3 {
    use super::*;

    #[test]
    fn the_case_of_commands_and_parameters_does_not_matter() {
        let server = Server::start();
        server.put("Case", "x");
        let mut client = Client::bob(&server);
        for command in ["type a", "Type I", "tYpE l 8", "stru f", "MODE s", "noop"] {
            client.cmd(command, 200);
        }
        assert_eq!(client.download("rEtR Case"), b"x");
        client.cmd("size case", 550);
        client.cmd("help RetR", 214);
        client.cmd("opts utf8 on", 200);
    }

    #[test]
    fn more_than_one_space_may_stand_before_a_parameter() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        for command in ["TYPE   A", "TYPE  L  8", "STRU  F", "MODE   S", "ALLO  10  R  5"] {
            client.cmd(command, 200);
        }
        client.cmd("REST   0", 350);
        client.cmd("SITE   UMASK   022", 200);
    }

    #[test]
    fn no_action_is_taken_before_the_end_of_the_line() {
        let server = Server::start();
        server.put("a", "x");
        server.put("ab", "x");
        let mut client = Client::bob(&server);
        client.raw(b"DELE a");
        // the server has seen it all: it answers another client meanwhile
        Client::bob(&server).cmd("NOOP", 200);
        assert!(server.has("a"));
        client.raw(b"b\r\n");
        client.expect(250);
        assert!(server.has("a") && !server.has("ab"));
    }
}

/// Sequences of commands and replies.
mod section_5_4 {
    use super::*;

    #[test]
    fn the_greeting_is_220_and_comes_unasked() {
        let server = Server::start();
        let mut client = Client::silent(server.address());
        client.expect(220);
    }

    /// Every row of the table that can succeed without a transfer, in the order of a session.
    #[test]
    fn successes_have_the_codes_of_the_table() {
        let server = Server::start();
        server.put("a", "x");
        let mut client = Client::connect(&server);
        for (command, code) in [
            ("USER bob", 331),
            ("PASS secret", 230),
            ("ACCT x", 202),
            ("MKD d", 257),
            ("CWD d", 250),
            ("CDUP", 250), // 200 in the table, but as CWD in §4.1.1
            ("PORT 127,0,0,1,200,1", 200),
            ("PASV", 227),
            ("MODE S", 200),
            ("TYPE A", 200),
            ("STRU F", 200),
            ("ALLO 1", 200),
            ("REST 1", 350),
            ("RNFR a", 350),
            ("RNTO b", 250),
            ("DELE b", 250),
            ("RMD d", 250),
            ("PWD", 257),
            ("ABOR", 226),
            ("SYST", 215),
            ("STAT", 211),
            ("STAT /", 213),
            ("HELP", 214),
            ("SITE UMASK 022", 200),
            ("NOOP", 200),
            ("REIN", 220),
            ("QUIT", 221),
        ] {
            client.cmd(command, code);
        }
        client.expect_close();
        assert_eq!(std::fs::read_dir(server.home()).unwrap().count(), 0);
    }

    /// Every row of the table whose failure a client can bring about, and the code we give. A
    /// missing or unwanted argument is 501 for all commands: see `table.rs`.
    #[test]
    fn failures_have_the_codes_of_the_table() {
        let server = Server::start();
        server.put("a", "x");
        server.put("full/b", "x");
        let mut client = Client::bob(&server);
        for (command, code) in [
            ("CWD nowhere", 550),
            ("MODE B", 504),
            ("TYPE E", 504),
            ("STRU R", 504),
            ("RETR nothing", 550),
            ("RETR full", 550),
            ("APPE nowhere/x", 550),
            ("RNFR nothing", 550),
            ("RNTO x", 503),
            ("DELE nothing", 550),
            ("DELE full", 550),
            ("RMD nothing", 550),
            ("RMD full", 550),
            ("RMD a", 550),
            ("MKD a", 550),
            ("MKD nowhere/x", 550),
            ("HELP xyzzy", 502),
            ("SITE XYZZY", 500),
            // not in the table, which has 450, 452 or 553 for them: it is not going to be
            // different a little later, and this is the code that clients know (RFC 1123
            // §4.1.2.11)
            ("STOR nowhere/x", 550),
            ("STOR full", 550),
            ("STOU nowhere/x", 550),
            ("LIST nothing", 550),
            ("NLST nothing", 550),
            ("STAT nothing", 550),
        ] {
            client.cmd(command, code);
        }
        client.cmd("RNFR a", 350);
        client.cmd("RNTO nowhere/a", 550); // 553 in the table
        assert!(server.has("a") && server.has("full/b") && !server.has("nowhere"));
    }
}

/// Directory commands.
mod appendix_ii {
    use super::*;

    #[test]
    fn a_quote_in_a_257_is_doubled_and_the_name_is_absolute() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        assert!(client.cmd("MKD d", 257).starts_with("257 \"/d\" "));
        client.cmd("CWD d", 250);
        assert!(client.cmd("MKD say \"hi\"", 257).starts_with("257 \"/d/say \"\"hi\"\"\" "));
        client.cmd("CWD /d/say \"hi\"", 250);
        assert!(client.cmd("PWD", 257).starts_with("257 \"/d/say \"\"hi\"\"\" "));
        assert!(server.has("d/say \"hi\""));
        client.cmd("CDUP", 250);
        client.cmd("RMD say \"hi\"", 250);
        assert!(!server.has("d/say \"hi\""));
    }

    #[test]
    fn the_old_names_of_the_directory_commands_are_there() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("XMKD d", 257);
        client.cmd("XCWD d", 250);
        assert!(client.cmd("XPWD", 257).starts_with("257 \"/d\""));
        client.cmd("XCUP", 250);
        client.cmd("XRMD d", 250);
        assert!(!server.has("d"));
    }
}
