//! RFC 2428, EPRT and EPSV; one module for each section.

use std::io::Read;
use std::net::TcpListener;

use crate::client::Client;
use crate::server::Server;

/// EPRT.
mod section_2 {
    use super::*;

    #[test]
    fn any_printable_delimiter_will_do() {
        let server = Server::start();
        server.put("a", "x");
        let mut client = Client::bob(&server);
        for d in ['|', '!', '~', '/', '@'] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            client.cmd(&format!("EPRT {d}1{d}127.0.0.1{d}{port}{d}"), 200);
            client.cmd("RETR a", 150);
            let mut bytes = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
            client.expect(226);
            assert_eq!(bytes, b"x");
        }
    }

    #[test]
    fn an_ipv6_client_names_its_address_in_the_second_family() {
        let server = Server::setup().ip("::1").start();
        server.put("a", "x");
        let mut client = Client::bob(&server);
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in ["::1", "0:0:0:0:0:0:0:1"] {
            client.cmd(&format!("EPRT |2|{address}|{port}|"), 200);
            client.cmd("RETR a", 150);
            let mut bytes = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
            client.expect(226);
            assert_eq!(bytes, b"x");
        }
    }

    /// The text of a 522: one pair of brackets, with numbers and commas in it.
    fn families(reply: &str) -> Vec<u32> {
        assert_eq!(reply.matches('(').count(), 1, "{reply}");
        let inside = reply.split_once('(').unwrap().1;
        let inside = inside.strip_suffix(')').unwrap();
        inside.split(',').map(|number| number.parse().unwrap()).collect()
    }

    #[test]
    fn an_unknown_family_is_522_with_those_that_would_do() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        for family in ["0", "3", "28"] {
            let reply = client.cmd(&format!("EPRT |{family}|127.0.0.1|5000|"), 522);
            assert!(families(&reply).contains(&1));
        }
        let reply = client.cmd("EPRT |2|::1|5000|", 522);
        assert_eq!(families(&reply), [1]);
        let reply = client.cmd("EPSV 3", 522);
        assert!(families(&reply).contains(&1));
    }

    #[test]
    fn a_broken_argument_is_501() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        for argument in [
            "",
            "|",
            "||||",
            "|x|127.0.0.1|5000|",
            "1|127.0.0.1|5000",
            "|1|127.0.0.1|5000",
            "|1|127.0.0.1|65536|",
            "|1|127.0.0.1|-1|",
            "|1|127.0.0|5000|",
            "|1|localhost|5000|",
            "|1|::1|5000|",
            "|1|127.0.0.1|5000|x",
            "|2|127.0.0.1|5000|",
        ] {
            client.cmd(&format!("EPRT {argument}"), 501);
        }
    }
}

/// EPSV.
mod section_3 {
    use super::*;

    #[test]
    fn the_229_has_the_port_alone_in_three_delimiters() {
        for ip in ["127.0.0.1", "::1"] {
            let server = Server::setup().ip(ip).start();
            let mut client = Client::bob(&server);
            let reply = client.cmd("EPSV", 229);
            let inside = reply.strip_suffix("|)").unwrap().split_once("(|||").unwrap().1;
            let port: u16 = inside.parse().unwrap();
            assert_eq!(reply.matches('(').count(), 1);
            let mut address = server.address();
            address.set_port(port);
            let mut data = client.data(address);
            client.cmd("NLST", 150);
            assert_eq!(data.read_to_end(&mut Vec::new()).unwrap(), 0);
            client.expect(226);
        }
    }

    #[test]
    fn the_family_of_the_connection_may_be_asked_for_and_another_is_522() {
        for (ip, own, other) in [("127.0.0.1", 1, 2), ("::1", 2, 1)] {
            let server = Server::setup().ip(ip).start();
            let mut client = Client::bob(&server);
            client.cmd(&format!("EPSV {own}"), 229);
            let reply = client.cmd(&format!("EPSV {other}"), 522);
            assert!(reply.ends_with(&format!("({own})")), "{reply}");
        }
    }

    #[test]
    fn abor_takes_back_an_epsv() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.passive_address("EPSV");
        client.cmd("ABOR", 226);
        client.cmd("NLST", 425);
        client.cmd("EPSV 1", 229);
    }

    #[test]
    fn a_broken_argument_is_501() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        for argument in ["x", "-1", "1 2", "ALLE"] {
            client.cmd(&format!("EPSV {argument}"), 501);
        }
    }
}

/// The two machines are the same for control and data: PASV cannot say so for IPv6.
mod section_4 {
    use super::*;

    #[test]
    fn pasv_on_ipv6_is_refused_and_epsv_is_the_way() {
        let server = Server::setup().ip("::1").start();
        server.put("a", "x");
        let mut client = Client::bob(&server);
        client.cmd("PASV", 502);
        assert_eq!(client.download("RETR a"), b"x");
    }
}
