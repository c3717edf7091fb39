//! RFC 1123, its corrections of RFC 959; one module for each section.

use crate::client::Client;
use crate::server::Server;

/// LOCAL type.
mod section_4_1_2_1 {
    use super::*;

    #[test]
    fn image_and_local_8_are_the_same() {
        let server = Server::start();
        server.put("a", "x\r\n\n");
        let mut client = Client::bob(&server);
        let image = client.download("RETR a");
        client.cmd("TYPE A", 200);
        client.cmd("TYPE L 8", 200);
        assert_eq!(client.download("RETR a"), image);
    }
}

/// Data connection management.
mod section_4_1_2_5 {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_before_each_transfer_is_enough_for_many() {
        let server = Server::start();
        server.put("a", "x");
        let mut client = Client::bob(&server);
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            client.cmd(&format!("PORT 127,0,0,1,{},{}", port >> 8, port & 255), 200);
            client.cmd("RETR a", 150);
            let mut bytes = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, b"x");
            client.expect(226);
        }
    }
}

/// PASV.
mod section_4_1_2_6 {
    use super::*;

    #[test]
    fn the_first_six_numbers_of_a_227_are_the_address() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        let reply = client.cmd("PASV", 227);
        let text = reply.strip_prefix("227 ").unwrap();
        let from = text.find(|letter: char| letter.is_ascii_digit()).unwrap();
        let numbers: Vec<_> = text[from..]
            .split(|letter: char| !letter.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .collect();
        assert_eq!(numbers.len(), 6, "{reply}");
        assert_eq!(numbers[..4], ["127", "0", "0", "1"]);
    }

    #[test]
    fn each_transfer_takes_a_pasv_of_its_own() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        let address = client.passive_address("PASV");
        let data = client.data(address);
        client.cmd("NLST", 150);
        client.expect(226);
        drop(data);
        client.cmd("NLST", 425);
        client.cmd("PASV", 227);
    }
}

/// LIST and NLST.
mod section_4_1_2_7 {
    use super::*;

    #[test]
    fn what_nlst_says_can_be_retrieved_as_it_stands() {
        let server = Server::start();
        for name in ["d/a", "d/b c", "d/-dash", "d/\u{e4}", "d/e/f"] {
            server.put(name, name);
        }
        let mut client = Client::bob(&server);
        for (directory, argument) in
            [("/", "d"), ("/", "d/"), ("/", "/d"), ("/d", ""), ("/d/e", ".."), ("/d/e", "/d")]
        {
            client.cmd(&format!("CWD {directory}"), 250);
            let names = client.lines(format!("NLST {argument}").trim_end());
            assert_eq!(names.len(), 5, "{names:?}");
            for name in names.iter().filter(|name| !name.ends_with('e')) {
                let content = client.download(&format!("RETR {name}"));
                assert!(String::from_utf8(content).unwrap().starts_with("d/"));
            }
        }
        client.cmd("CWD /", 250);
        assert_eq!(client.lines("NLST d/a"), ["d/a"]);
    }

    #[test]
    fn nlst_has_names_and_nothing_else() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        assert_eq!(client.download("NLST"), b"");
        server.put("only", "");
        assert_eq!(client.download("NLST"), b"only\r\n");
    }
}

/// The end of a line has nothing to do with the ends of reads.
mod section_4_1_2_10 {
    use super::*;

    #[test]
    fn a_command_may_come_byte_by_byte_and_several_may_come_at_once() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        for byte in b"NOOP\r\n" {
            client.raw(&[*byte]);
        }
        client.expect(200);
        client.raw(b"NOOP\r\nPWD\r\nSY");
        client.expect(200);
        client.expect(257);
        client.raw(b"ST\r");
        client.raw(b"\nNOOP\r\n");
        client.expect(215);
        client.expect(200);
    }
}

/// Replies.
mod section_4_1_2_11 {
    use super::*;

    #[test]
    fn every_line_of_every_reply_ends_with_cr_lf_and_begins_with_a_code_or_a_space() {
        let server = Server::start();
        server.put("a", "");
        let mut client = Client::bob(&server);
        for (command, code) in [("HELP", 214), ("FEAT", 211), ("STAT", 211), ("MLST a", 250)] {
            let reply = client.cmd(command, code);
            assert!(!reply.contains('\r'), "{reply}");
            for line in reply.lines() {
                assert!(line.starts_with(' ') || line.starts_with(&code.to_string()));
            }
        }
    }
}

/// The control connection is a Telnet connection.
mod section_4_1_2_12 {
    use std::io::Read;

    use super::*;

    const NEGOTIATIONS: [(&[u8], &[u8]); 4] = [
        // WILL is refused with DONT, DO with WONT
        (b"\xff\xfb\x01", b"\xff\xfe\x01"),
        (b"\xff\xfd\x03", b"\xff\xfc\x03"),
        // an option that is off already gets no answer, or the answers would never end
        (b"\xff\xfc\x01", b""),
        (b"\xff\xfe\x03", b""),
    ];

    #[test]
    fn telnet_options_are_refused_and_the_session_goes_on() {
        let server = Server::start();
        let client = Client::connect(&server);
        for (ask, answer) in NEGOTIATIONS {
            let mut stream = client.stream();
            std::io::Write::write_all(&mut stream, &[ask, b"SYST\r\n"].concat()).unwrap();
            let expected = [answer, b"215 "].concat();
            let mut heard = vec![0; expected.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, expected);
            while heard.last() != Some(&b'\n') {
                heard = vec![0];
                stream.read_exact(&mut heard).unwrap();
            }
        }
    }

    #[test]
    fn interrupt_process_and_synch_before_a_command_have_no_unusual_effect() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.raw(b"\xff\xf4\xff\xf2ABOR\r\n");
        client.expect(226);
        client.raw(b"\xff\xf4\xff\xf2STAT\r\n");
        client.expect(211);
    }

    #[test]
    fn the_data_connection_leaves_from_the_address_of_the_control_connection() {
        let server = Server::setup().ip("0.0.0.0").start();
        server.put("a", "x");
        let address = (std::net::Ipv4Addr::new(127, 0, 0, 3), server.address().port());
        let mut client = Client::silent(address.into());
        client.expect(220);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        let own = client.stream().local_addr().unwrap().ip();
        let listener = std::net::TcpListener::bind((own, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        client.cmd(&format!("EPRT |1|{own}|{port}|"), 200);
        client.cmd("RETR a", 150);
        let (_data, from) = listener.accept().unwrap();
        client.expect(226);
        assert_eq!(from.ip().to_string(), "127.0.0.3");
        let passive = client.passive_address("PASV");
        assert_eq!(passive.ip().to_string(), "127.0.0.3");
    }
}

/// Minimum implementation.
mod section_4_1_2_13 {
    use super::*;

    #[test]
    fn every_command_of_the_minimum_is_known() {
        let server = Server::start();
        let help = Client::connect(&server).cmd("HELP", 214);
        let words: Vec<_> = help.split_ascii_whitespace().collect();
        for name in [
            "USER", "PASS", "ACCT", "PORT", "PASV", "TYPE", "MODE", "STRU", "RETR", "STOR",
            "APPE", "RNFR", "RNTO", "DELE", "CWD", "CDUP", "RMD", "MKD", "PWD", "LIST", "NLST",
            "SYST", "STAT", "HELP", "NOOP", "QUIT",
        ] {
            assert!(words.contains(&name), "{name}: {help}");
        }
    }
}

/// Idle timeout.
mod section_4_1_3_2 {
    use super::*;

    #[test]
    fn the_default_idle_timeout_is_five_minutes() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        assert!(client.cmd("SITE IDLE", 200).contains("300"));
    }
}
