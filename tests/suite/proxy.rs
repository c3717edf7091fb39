//! The PROXY protocol: a balancer names its clients, on control connections and on passive data
//! connections, and the client that it names is the one that counts.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::admin::change;
use crate::client::{Client, connect_from, drain, port_command};
use crate::metrics::{raw, web};
use crate::namespaces::{Machine, are_possible};
use crate::program::{Program, folder};
use crate::server::{Server, Setup, eventually, free_port, run};
use crate::tls_client::{Tls, VERSIONS};

/// The address of the balancer.
const BALANCER: &str = "127.0.0.9";

/// The address of a client, which no connection of these tests comes from.
const CLIENT: &str = "192.0.2.7";

fn setup() -> Setup {
    Server::setup().server(&format!("proxy_from = {BALANCER}\nban_exempt ="))
}

fn from(server: &Server, address: &str) -> TcpStream {
    connect_from(address.parse::<IpAddr>().unwrap(), server.address()).unwrap()
}

/// A header of version 1 for a client.
fn line(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 198.51.100.1 50000 21\r\n").into_bytes()
}

/// A header of version 2: its command and what follows the length.
fn binary(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, content].concat()
}

/// A header of version 2 for [`CLIENT`], with more than the addresses.
fn long_binary() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0, 21];
    let noop = [&[4, 1, 0][..], &[0; 256]].concat();
    binary(0x21, 0x11, &[&addresses[..], &noop].concat())
}

/// A connection of the balancer that begins with these bytes.
fn balanced(server: &Server, header: &[u8]) -> Client {
    let mut client = Client::over(from(server, BALANCER));
    client.raw(header);
    client
}

/// A session of a client of the balancer.
fn greeted(server: &Server, address: &str) -> Client {
    let mut client = balanced(server, &line(address));
    client.expect(220);
    client
}

fn log_in(client: &mut Client) {
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("TYPE I", 200);
}

#[test]
fn the_client_that_the_header_names_is_the_client_of_the_session() {
    let server = setup().start();
    for header in
        [line(CLIENT), long_binary(), b"PROXY TCP6 ::ffff:192.0.2.7 ::1 9 9\r\n".to_vec()]
    {
        let mut client = balanced(&server, &header);
        client.expect(220);
        log_in(&mut client);
        let (code, who, _) = run(&["who"], server.dir());
        assert!(code == 0 && who.contains(CLIENT) && !who.contains(BALANCER), "{who}");
        client.cmd("PORT 192,0,2,7,200,0", 200);
        client.cmd("PORT 127,0,0,9,200,0", 501);
        client.cmd("QUIT", 221);
    }
    server.wait_for_log("192.0.2.7:50000");
    assert!(!server.log().contains("127.0.0.9:"), "{}", server.log());
}

#[test]
fn a_header_may_come_in_any_pieces_and_takes_nothing_of_what_follows() {
    let server = setup().start();
    let commands = b"USER bob\r\nPASS secret\r\nNOOP\r\n";
    for header in [line(CLIENT), long_binary()] {
        // all in one piece
        let mut client = balanced(&server, &[&header[..], commands].concat());
        for code in [220, 331, 230, 200] {
            client.expect(code);
        }
        // byte by byte
        let mut client = balanced(&server, &[]);
        for byte in header.iter().chain(commands) {
            client.raw(&[*byte]);
        }
        for code in [220, 331, 230, 200] {
            client.expect(code);
        }
    }
}

#[test]
fn the_header_comes_before_implicit_tls() {
    let port = free_port();
    let lines = format!("tls_cert = auto\ntls_implicit_port = {port}");
    let server = setup().server(&lines).start();
    for version in VERSIONS {
        let tls = Tls::new(version);
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = connect_from(BALANCER.parse().unwrap(), to).unwrap();
        stream.write_all(&long_binary()).unwrap();
        let mut client = Client::over(stream);
        client.start_tls(&tls);
        client.expect(220);
        log_in(&mut client);
    }
    server.wait_for_log("192.0.2.7:50000");
}

#[test]
fn a_balancer_that_sends_no_header_gets_no_session() {
    let server = setup().server("proxy_timeout = 1").start();
    for (bytes, why) in [
        (&b""[..], "no complete PROXY header within proxy_timeout"),
        (b"PROXY TCP4 192.0.2.7 ", "no complete PROXY header within proxy_timeout"),
        (b"USER bob\r\n", "the connection does not begin with a PROXY header"),
        (b"PROXY TCP4 192.0.2.7\r\n", "the PROXY header is not valid"),
        (&binary(0x21, 0x11, &[0; 3000]), "the PROXY header is too long"),
    ] {
        let mut client = balanced(&server, bytes);
        client.expect_close();
        let line = server.wait_for_log(why);
        assert!(line.contains(BALANCER), "{line}");
    }
    // and is not banned for it
    greeted(&server, CLIENT);
    let (_, stats, _) = run(&["stats", "--json"], server.dir());
    assert!(stats.contains("no_proxy_header"), "{stats}");
}

#[test]
fn checks_of_the_balancer_leave_no_line_and_no_ban() {
    let server = setup().server("ban_after = 1\nmax_per_ip = 2").start();
    let local = binary(0x20, 0x00, &[]);
    for _ in 0..10 {
        // the port alone
        drop(from(&server, BALANCER));
        let mut client = balanced(&server, &local);
        client.expect(220);
        drop(client);
        let mut client = balanced(&server, b"PROXY UNKNOWN\r\n");
        client.expect(220);
        client.cmd("QUIT", 221);
        client.expect_close();
    }
    // more of them at once than one address may have, and what would be an offence of others
    let mut checks: Vec<_> = (0..5).map(|_| balanced(&server, &local)).collect();
    for client in &mut checks {
        client.expect(220);
        client.cmd("GET / HTTP/1.1", 500);
    }
    drop(checks);
    let (_, bans, _) = run(&["bans"], server.dir());
    assert!(!bans.contains(BALANCER), "{bans}");
    let mut client = greeted(&server, CLIENT);
    log_in(&mut client);
    client.cmd("QUIT", 221);
    server.wait_for_log(CLIENT);
    assert!(!server.log().contains("127.0.0.9:"), "{}", server.log());
    // a session of the balancer itself is one like others
    let mut client = balanced(&server, &local);
    client.expect(220);
    log_in(&mut client);
    server.wait_for_log("127.0.0.9:");
}

#[test]
fn a_stranger_cannot_name_a_client() {
    let server = setup().start();
    let mut client = Client::over(from(&server, "127.0.0.2"));
    client.raw(&line(CLIENT));
    client.expect(220);
    client.expect(500);
    log_in(&mut client);
    let (_, who, _) = run(&["who"], server.dir());
    assert!(who.contains("127.0.0.2") && !who.contains(CLIENT), "{who}");
    let why = "PROXY headers are read from addresses in proxy_from only";
    assert!(server.wait_for_log(why).contains("127.0.0.2"));
    // the binary header ends the session of a server that takes it for commands
    let mut client = Client::over(from(&server, "127.0.0.2"));
    client.raw(&long_binary());
    client.expect(220);
    while client.next_code() != 221 {
        client.expect(500);
    }
    eventually("both are logged", || server.log().matches(why).count() == 2);
}

#[test]
fn bans_and_limits_are_for_the_client_and_not_for_the_balancer() {
    let server = setup().server("ban_after = 1\nmax_per_ip = 2").start();
    let mut bad = greeted(&server, CLIENT);
    bad.cmd("USER bob", 331);
    bad.cmd("PASS wr0ng", 530);
    bad.expect(421);
    let mut again = balanced(&server, &line(CLIENT));
    again.expect(421);
    again.expect_close();
    let first = [greeted(&server, "192.0.2.8"), greeted(&server, "192.0.2.8")];
    let mut third = balanced(&server, &line("192.0.2.8"));
    assert!(third.expect(421).contains("Too many connections"));
    third.expect_close();
    greeted(&server, "192.0.2.9");
    drop(first);
    eventually("a place is free", || {
        let mut client = balanced(&server, &line("192.0.2.8"));
        client.next_code() == 220
    });
    let line = server.wait_for_log("max_per_ip");
    assert!(line.contains("192.0.2.8"), "{line}");
}

#[test]
fn logins_are_allowed_from_the_address_of_the_client() {
    let server = setup().user("allow_from = 192.0.2.0/24").start();
    log_in(&mut greeted(&server, CLIENT));
    let mut client = greeted(&server, "203.0.113.7");
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 530);
}

#[test]
fn a_stop_ends_connections_whose_header_is_not_complete_with_421() {
    let mut server = setup().server("proxy_timeout = 5m\nshutdown_grace = 5m").start();
    let mut waiting = [balanced(&server, b"PROXY "), balanced(&server, b"")];
    // accepted after them
    greeted(&server, CLIENT);
    server.signal("TERM");
    assert!(server.wait_for_exit().success());
    for client in &mut waiting {
        assert!(client.expect(421).contains("stopping"));
        client.expect_close();
    }
    eventually("both are logged", || {
        server.log().matches("turned away: the server is stopping").count() == 2
    });
    assert!(!server.log().contains("the PROXY header"), "{}", server.log());
}

#[test]
fn a_drained_server_serves_clients_whose_header_is_on_its_way() {
    let mut server = setup().server("proxy_timeout = 5m\nshutdown_grace = 5m").start();
    let mut client = balanced(&server, b"PROXY ");
    greeted(&server, CLIENT);
    let mut ftpd = Command::new(env!("CARGO_BIN_EXE_ftpd"));
    ftpd.args(["stop", "--drain"]).current_dir(server.dir()).stdout(Stdio::null());
    let mut stop = ftpd.spawn().unwrap();
    server.wait_for_log("no more clients are accepted");
    let rest = line(CLIENT);
    client.raw(&rest[6..]);
    client.expect(220);
    log_in(&mut client);
    client.cmd("QUIT", 221);
    assert!(server.wait_for_exit().success());
    assert!(stop.wait().unwrap().success());
}

/// Connections that a balancer makes to a full server: only a client that is welcome takes the place of
/// one that is about to log in.
#[test]
fn nobody_is_evicted_for_a_balancer_whose_client_is_not_welcome() {
    let lines =
        "max_cons = 4\nmax_per_ip = 1\nproxy_timeout = 5m\nmetrics_listen = 127.0.0.1:0";
    let server = setup().server(lines).start();
    let health = web(&server);
    let mut user = greeted(&server, "192.0.2.8");
    log_in(&mut user);
    let strangers = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    let mut strangers = strangers.map(|address| {
        let mut client = Client::over(from(&server, address));
        client.expect(220);
        client
    });
    let (code, _, err) = run(&["ban", "192.0.2.66"], server.dir());
    assert_eq!(code, 0, "{err}");
    let silent = from(&server, BALANCER);
    for _ in 0..5 {
        drop(from(&server, BALANCER));
        assert!(raw(health, b"GET /health HTTP/1.0\r\n\r\n").ends_with("ok\n"));
        for check in [binary(0x20, 0, &[]), b"PROXY UNKNOWN\r\n".to_vec()] {
            let mut client = balanced(&server, &check);
            client.expect(421);
            client.expect_close();
        }
        let mut banned = balanced(&server, &line("192.0.2.66"));
        assert!(banned.expect(421).contains("failures"));
        // as many as it may have
        balanced(&server, &line("192.0.2.8")).expect(421);
    }
    for client in &mut strangers {
        client.cmd("NOOP", 200);
    }
    let log = server.log();
    let noise = ["127.0.0.9:", "not logged in, and", "health"];
    assert!(!noise.iter().any(|noise| log.contains(noise)), "{log}");
    // and one that is welcome
    let mut welcome = balanced(&server, &line(CLIENT));
    assert!(strangers[0].expect(421).contains("Too many connections"));
    welcome.expect(220);
    log_in(&mut welcome);
    drop(silent);
    let (_, stats, _) = run(&["stats", "--json"], server.dir());
    let away = "{\"banned\":5,\"evicted\":1,\"max_cons\":0,\"max_per_ip\":5,";
    assert!(stats.contains(away), "{stats}");
}

#[test]
fn a_client_of_a_balancer_that_serves_a_pause_evicts_nobody() {
    let server = setup().server("max_cons = 2\nmax_login_attempts = 0").start();
    let mut guesser = greeted(&server, CLIENT);
    for _ in 0..3 {
        guesser.cmd("USER bob", 331);
        guesser.cmd("PASS wrong", 530);
    }
    let mut stranger = Client::over(from(&server, "127.0.0.2"));
    stranger.expect(220);
    // the fourth one takes two seconds
    guesser.raw(b"USER bob\r\nPASS last\r\n");
    guesser.expect(331);
    eventually("the pause begins", || server.log().matches("login failed").count() == 4);
    balanced(&server, &line(CLIENT)).expect(421);
    log_in(&mut stranger);
    guesser.expect(530);
}

/// More connections without a header than the server waits for: the oldest make room, and clients are
/// served all the time.
#[test]
fn a_flood_of_connections_without_a_header_keeps_nobody_out() {
    let server = setup().server("max_cons = 3\nproxy_timeout = 5m").start();
    let mut silent: Vec<_> = (0..300).map(|_| balanced(&server, b"PROXY ")).collect();
    let mut client = greeted(&server, CLIENT);
    log_in(&mut client);
    silent[0].expect_close();
    server.wait_for_log("too many connections without a PROXY header");
    // those that are left are waited for
    let rest = line("192.0.2.8");
    silent[299].raw(&rest[6..]);
    silent[299].expect(220);
    log_in(&mut client);
}

/// Opens a data connection of the balancer that begins with these bytes.
fn data(to: SocketAddr, header: &[u8]) -> TcpStream {
    let mut stream = connect_from(BALANCER.parse().unwrap(), to).unwrap();
    stream.write_all(header).unwrap();
    stream
}

#[test]
fn data_connections_through_the_balancer_must_name_the_client_of_the_session() {
    let server = setup().server("proxy_data = on").start();
    server.put("file", "content");
    let mut client = greeted(&server, CLIENT);
    log_in(&mut client);
    for header in [line(CLIENT), long_binary()] {
        let to = client.passive_address("EPSV");
        // others are dropped, and the client gets its connection all the same
        for other in [&line("192.0.2.8")[..], &binary(0x20, 0, &[]), b"USER bob\r\n"] {
            assert_eq!(drain(&mut data(to, other)), b"");
        }
        // nobody but the balancer can name the client
        let mut direct = connect_from("127.0.0.2".parse().unwrap(), to).unwrap();
        direct.write_all(&header).unwrap();
        assert_eq!(drain(&mut direct), b"");
        // a look at the port
        drop(connect_from(BALANCER.parse().unwrap(), to).unwrap());
        let mut stream = data(to, &header);
        client.cmd("RETR file", 150);
        assert_eq!(drain(&mut stream), b"content");
        client.expect(226);
        // the first bytes of a file come together with the header, or the header byte by byte
        let to = client.passive_address("PASV");
        let stream = data(to, &[&header[..], b"PROXY x\r\n"].concat());
        client.cmd("STOR new", 150);
        stream.shutdown(Shutdown::Write).unwrap();
        client.expect(226);
        assert_eq!(server.get("new"), b"PROXY x\r\n");
        let to = client.passive_address("PASV");
        client.send("RETR new");
        let mut stream = data(to, b"");
        stream.set_nodelay(true).unwrap();
        for byte in &header {
            stream.write_all(&[*byte]).unwrap();
        }
        client.expect(150);
        assert_eq!(drain(&mut stream), b"PROXY x\r\n");
        client.expect(226);
    }
    server.wait_for_log("192.0.2.8 connected to passive port");
    server.wait_for_log("does not begin with a PROXY header");
}

#[test]
fn data_connections_without_a_header_do_not_hold_up_the_one_of_the_client() {
    let server = setup().server("proxy_data = on\nproxy_timeout = 5m").start();
    server.put("file", "content");
    let mut client = greeted(&server, CLIENT);
    log_in(&mut client);
    // before the command, and after it
    for command_first in [false, true] {
        for count in [1, 5, 40] {
            let to = client.passive_address("EPSV");
            if command_first {
                client.send("RETR file");
            }
            let mut silent: Vec<_> = (0..count).map(|_| data(to, b"PROXY ")).collect();
            let mut stream = data(to, &line(CLIENT));
            if !command_first {
                client.send("RETR file");
            }
            client.expect(150);
            assert_eq!(drain(&mut stream), b"content");
            client.expect(226);
            for late in &mut silent {
                assert_eq!(drain(late), b"");
            }
        }
    }
    // one of many that has waited
    let to = client.passive_address("EPSV");
    let mut waiting: Vec<_> = (0..5).map(|_| data(to, b"PROXY ")).collect();
    client.send("RETR file");
    waiting[2].write_all(&line(CLIENT)[6..]).unwrap();
    client.expect(150);
    assert_eq!(drain(&mut waiting[2]), b"content");
    client.expect(226);
}

#[test]
fn a_data_connection_whose_header_is_late_is_dropped() {
    let server = setup().server("proxy_data = on\nproxy_timeout = 1").start();
    let mut client = greeted(&server, CLIENT);
    log_in(&mut client);
    for command_first in [false, true] {
        let to = client.passive_address("EPSV");
        if command_first {
            client.send("LIST");
        }
        assert_eq!(drain(&mut data(to, b"PROXY ")), b"");
        server.wait_for_log("was dropped: no complete PROXY header within proxy_timeout");
    }
}

/// The line about a firewall alone would mislead.
#[test]
fn the_log_tells_of_a_header_that_was_not_complete_when_the_client_gave_up() {
    for lines in ["proxy_timeout = 5m\ndata_timeout = 1", "proxy_timeout = 5m"] {
        let server = setup().server(&format!("proxy_data = on\n{lines}")).start();
        let mut client = greeted(&server, CLIENT);
        log_in(&mut client);
        let to = client.passive_address("EPSV");
        let mut late = data(to, b"PROXY ");
        if lines.contains("data_timeout") {
            client.cmd("LIST", 425);
        } else {
            // another port takes the place of this one
            client.cmd("EPSV", 229);
        }
        assert_eq!(drain(&mut late), b"");
        server.wait_for_log("its PROXY header was not complete when the port was closed");
    }
}

#[test]
fn no_header_becomes_the_content_of_a_file() {
    let server = setup().server("allow_fxp = on").start();
    let mut check = balanced(&server, &binary(0x20, 0, &[]));
    check.expect(220);
    // for a client, it would name a port of the balancer
    for (mut client, epsv) in [(greeted(&server, "127.0.0.2"), 502), (check, 229)] {
        log_in(&mut client);
        client.cmd("EPSV", epsv);
        let to = client.passive_address("PASV");
        for header in [line("127.0.0.2"), long_binary()] {
            let mut stream = data(to, &[&header[..], b"content"].concat());
            assert_eq!(drain(&mut stream), b"");
        }
        server.wait_for_log("dropped, because proxy_data is off");
        // another server
        let mut stream = connect_from("127.0.0.3".parse().unwrap(), to).unwrap();
        stream.write_all(b"content").unwrap();
        client.cmd("STOR file", 150);
        drop(stream);
        client.expect(226);
        assert_eq!(server.get("file"), b"content");
        client.cmd("DELE file", 250);
    }
}

/// How clients of a balancer may open data connections, for each protocol of theirs, of the balancer's
/// connection, and with and without `proxy_data`: no refusal names a command that is refused as well.
#[test]
fn the_protocol_of_the_client_decides_and_not_that_of_the_balancer() {
    const V4: &str = "127.0.0.2";
    for (link, mask, data) in [
        ("127.0.0.1", true, true),
        ("127.0.0.1", true, false),
        ("127.0.0.1", false, true),
        ("127.0.0.1", false, false),
        ("::1", true, true),
        ("::1", true, false),
        ("::1", false, true),
        ("::1", false, false),
    ] {
        let mut lines = format!("proxy_from = {link}\nproxy_data = {data}\n");
        if mask {
            lines += "masquerade_address = 192.0.2.10\n";
        }
        let server = Server::setup().ip(link).server(&lines).start();
        let balanced = |header: String| {
            let stream = connect_from(link.parse().unwrap(), server.address()).unwrap();
            let mut client = Client::over(stream);
            client.raw(header.as_bytes());
            client.expect(220);
            log_in(&mut client);
            client
        };
        let case = format!("{link}, mask {mask}, data {data}");
        let mut v4 = balanced(format!("PROXY TCP4 {V4} 198.51.100.1 50000 21\r\n"));
        let mut v6 = balanced("PROXY TCP6 2001:db8::7 ::1 50000 21\r\n".to_owned());
        for (client, own, other) in [(&mut v4, 1, 2), (&mut v6, 2, 1)] {
            let pasv = client.ask("PASV");
            let epsv = client.ask("EPSV");
            let has_pasv = own == 1 && (mask || link == "127.0.0.1");
            assert_eq!(pasv.0, if has_pasv { 227 } else { 502 }, "{case}: {pasv:?}");
            assert_eq!(epsv.0, if data { 229 } else { 502 }, "{case}: {epsv:?}");
            let [names_epsv, names_pasv] = [pasv.1.contains("EPSV"), epsv.1.contains("PASV")];
            assert_eq!(names_epsv, !has_pasv && data, "{case}: {pasv:?}");
            assert_eq!(names_pasv, has_pasv && !data, "{case}: {epsv:?}");
            if !has_pasv && !data {
                let active = if own == 1 { "PORT" } else { "EPRT" };
                assert!(
                    pasv.1.contains(active) && epsv.1.contains(active),
                    "{pasv:?} {epsv:?}"
                );
            }
            client.cmd(&format!("EPSV {own}"), if data { 229 } else { 502 });
            let wrong = client.cmd(&format!("EPSV {other}"), if data { 522 } else { 502 });
            assert_eq!(wrong.contains(&format!("({own})")), data, "{case}: {wrong}");
            for (line, family) in [
                ("EPRT |1|127.0.0.2|50000|", 1),
                ("PORT 127,0,0,2,200,0", 1),
                ("EPRT |2|2001:db8::7|50000|", 2),
            ] {
                client.cmd(line, if family == own { 200 } else { 522 });
            }
            client.cmd("EPSV ALL", if data { 200 } else { 502 });
            if data {
                client.cmd("PASV", 503);
                client.cmd("EPSV", 229);
            }
        }
    }
}

#[test]
fn a_balancer_on_ipv6_names_a_client_on_ipv4_that_transfers_both_ways() {
    for (lines, through) in [("proxy_data = on", true), ("proxy_data = off", false)] {
        let lines = format!("proxy_from = ::1\nmasquerade_address = 127.0.0.1\n{lines}");
        let server = Server::setup().ip("::1").server(&lines).start();
        server.put("file", "content");
        let mut client =
            Client::over(connect_from("::1".parse().unwrap(), server.address()).unwrap());
        client.raw(&line("127.0.0.2"));
        client.expect(220);
        log_in(&mut client);
        let to = client.passive_address("PASV");
        assert_eq!(to.ip().to_string(), "127.0.0.1");
        let mut stream = if through {
            let to = SocketAddr::new(server.address().ip(), to.port());
            let mut stream = connect_from("::1".parse().unwrap(), to).unwrap();
            stream.write_all(&line("127.0.0.2")).unwrap();
            stream
        } else {
            connect_from("127.0.0.2".parse().unwrap(), to).unwrap()
        };
        client.cmd("RETR file", 150);
        assert_eq!(drain(&mut stream), b"content");
        client.expect(226);
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        client.cmd(&port_command(listener.local_addr().unwrap()), 200);
        client.cmd("RETR file", 150);
        assert_eq!(drain(&mut listener.accept().unwrap().0), b"content");
        client.expect(226);
    }
}

#[test]
fn a_client_on_ipv6_whose_balancer_uses_ipv4_transfers_in_active_mode() {
    let server = setup().start();
    server.put("file", "content");
    let mut client = balanced(&server, b"PROXY TCP6 ::1 2001:db8::1 50000 21\r\n");
    client.expect(220);
    log_in(&mut client);
    let listener = TcpListener::bind("[::1]:0").unwrap();
    client.cmd(&port_command(listener.local_addr().unwrap()), 200);
    client.cmd("RETR file", 150);
    assert_eq!(drain(&mut listener.accept().unwrap().0), b"content");
    client.expect(226);
}

#[test]
fn checks_with_any_block_of_addresses_are_accepted() {
    let server = setup().start();
    for header in [
        binary(0x20, 0x11, &[1, 2, 3]),
        binary(0x20, 0x7f, &[]),
        binary(0x20, 0x21, &vec![b'x'; 60_000]),
        binary(0x21, 0x00, &[9; 30]),
        binary(0x21, 0x31, &[0; 216]),
    ] {
        let mut client = balanced(&server, &[&header[..], b"NOOP\r\nUSER bob\r\n"].concat());
        for code in [220, 200, 331] {
            client.expect(code);
        }
        client.cmd("PASS secret", 230);
    }
}

#[test]
fn without_proxy_data_clients_connect_for_data_themselves() {
    let server = setup().start();
    server.put("file", "content");
    let mut client = greeted(&server, "127.0.0.2");
    log_in(&mut client);
    // EPSV would name a port of the balancer
    assert!(client.cmd("EPSV", 502).contains("use PASV"));
    client.cmd("EPSV ALL", 502);
    let to = client.passive_address("PASV");
    assert_eq!(drain(&mut data(to, b"")), b"", "the balancer is not the client");
    server.wait_for_log("dropped, because proxy_data is off");
    let mut stream = connect_from("127.0.0.2".parse().unwrap(), to).unwrap();
    client.cmd("RETR file", 150);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"content");
    client.expect(226);
    // a client that has no balancer is asked for nothing
    let mut client = Client::bob(&server);
    assert_eq!(client.download("RETR file"), b"content");
}

#[test]
fn tls_on_a_data_connection_begins_behind_the_header() {
    let server =
        setup().server("proxy_data = on\ntls_cert = auto\ntls_resume = require").start();
    server.put("file", "content");
    for version in VERSIONS {
        let tls = Tls::new(version);
        let mut client = greeted(&server, CLIENT);
        client.cmd("AUTH TLS", 234);
        client.start_tls(&tls);
        log_in(&mut client);
        client.go_private();
        let to = client.passive_address("EPSV");
        let stream = data(to, &long_binary());
        client.send("RETR file");
        client.expect(150);
        let mut secure = tls.over(stream);
        assert_eq!(secure.read_all().unwrap(), b"content");
        client.expect(226);
    }
}

/// A balancer looks whether the passive ports are open. With `allow_fxp`, the session waits for anybody.
#[test]
fn a_check_of_a_passive_port_is_not_the_data_connection_of_a_client() {
    let local = binary(0x20, 0, &[]);
    for lines in ["", "allow_fxp = on"] {
        let server = setup().server(&format!("proxy_data = on\n{lines}")).start();
        server.put("file", "old");
        let unix = binary(0x21, 0x31, &[b'/'; 216]);
        let mut client = greeted(&server, CLIENT);
        log_in(&mut client);
        for check in [&local[..], b"PROXY UNKNOWN\r\n", &unix, &binary(0x21, 0, &[])] {
            let to = client.passive_address("EPSV");
            assert_eq!(drain(&mut data(to, check)), b"");
            let stream = data(to, &[&line(CLIENT)[..], b"content"].concat());
            client.cmd("STOR file", 150);
            drop(stream);
            client.expect(226);
            assert_eq!(server.get("file"), b"content");
            client.cmd("DELE file", 250);
        }
        assert!(!server.log().contains("to passive port"), "{}", server.log());
        assert!(!server.log().contains("was dropped"), "{}", server.log());
        // the balancer itself is a client if a header names it
        let mut own = balanced(&server, &local);
        own.expect(220);
        log_in(&mut own);
        let to = own.passive_address("EPSV");
        assert_eq!(drain(&mut data(to, &local)), b"");
        let stream = data(to, &[&line(BALANCER)[..], b"content"].concat());
        own.cmd("STOR file", 150);
        drop(stream);
        own.expect(226);
        assert_eq!(server.get("file"), b"content");
    }
}

/// The loopback addresses of the balancer's machine are not those of the server's.
#[test]
fn active_mode_leads_to_loopback_only_from_a_balancer_on_the_same_machine() {
    if !are_possible("active mode to loopback") {
        return;
    }
    for fxp in ["off", "on"] {
        let (place, balancer) = (Machine::new(), Machine::new());
        place.connect(("eth0", &["192.0.2.11/24"]), &balancer, ("eth0", &["192.0.2.10/24"]));
        let dir = folder(format!(
            "[server]\nip = 0.0.0.0\nport = 21\nallow_fxp = {fxp}\n\
             proxy_from = 192.0.2.10, 192.0.2.11, 127.0.0.9\n\
             [user:bob]\npassword = secret\nperm = elradfmwMT\nhome = home\n"
        ));
        let log = File::create(dir.path().join("stderr")).unwrap();
        let mut command = place.command(env!("CARGO_BIN_EXE_ftpd"));
        command.arg("--config").arg(dir.path().join("ftpd.ini"));
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut server = Program::of(child, dir);
        server.address("stderr");
        let enter = |machine: &Machine, from: [u8; 4], header: String| {
            let to = if from[0] == 127 { from } else { [192, 0, 2, 11] };
            let to = SocketAddr::from((to, 21));
            let stream = machine.inside(move || connect_from(from.into(), to)).unwrap();
            let mut client = Client::over(stream);
            client.raw(header.as_bytes());
            client.expect(220);
            log_in(&mut client);
            client
        };
        let v4 = |client: &str| format!("PROXY TCP4 {client} 192.0.2.10 50000 21\r\n");
        let v6 = |client: &str| format!("PROXY TCP6 {client} ::1 50000 21\r\n");
        let far = |header| enter(&balancer, [192, 0, 2, 10], header);
        for (header, command) in [
            (v4("127.0.0.1"), "PORT 127,0,0,1,200,0"),
            (v4("127.0.0.1"), "EPRT |1|127.0.0.1|50000|"),
            (v4("0.0.0.0"), "PORT 0,0,0,0,200,0"),
            (v6("::1"), "EPRT |2|::1|50000|"),
            (v6("::1"), "EPRT |2|::|50000|"),
            (v6("::"), "EPRT |2|::|50000|"),
        ] {
            let reply = far(header).cmd(command, 501);
            assert!(reply.contains("would be the server's own"), "{reply}");
        }
        server.wait_for("stderr", "a loopback address of another machine");
        far(v4(CLIENT)).cmd("PORT 127,0,0,1,200,0", 501);
        far(v6("2001:db8::7")).cmd("EPRT |2|::1|50000|", 501);
        // those that a client on the balancer's machine has for others
        far(v4("192.0.2.10")).cmd("PORT 192,0,2,10,200,0", 200);
        for own in [[127, 0, 0, 9], [192, 0, 2, 11]] {
            enter(&place, own, v4("127.0.0.1")).cmd("PORT 127,0,0,1,200,0", 200);
            enter(&place, own, v6("::1")).cmd("EPRT |2|::1|50000|", 200);
        }
    }
}

#[test]
fn a_session_that_began_without_a_header_needs_none_for_data_after_a_reload() {
    for data_too in ["on", "off"] {
        let server = setup().server(&format!("proxy_data = {data_too}")).start();
        let mut clients = ["127.0.0.60", "127.0.0.61"].map(|own| {
            let mut client = Client::over(from(&server, own));
            client.expect(220);
            client
        });
        // one logs in with the old settings, and the other one with the new ones
        log_in(&mut clients[0]);
        let others = format!("proxy_from = {BALANCER}, 127.0.0.60, 127.0.0.61");
        change(&server, &format!("proxy_from = {BALANCER}"), &others);
        let (code, _, err) = run(&["reload"], server.dir());
        assert_eq!(code, 0, "{err}");
        log_in(&mut clients[1]);
        for client in &mut clients {
            let own = client.stream().local_addr().unwrap().ip();
            for command in ["PASV", "EPSV"] {
                let to = client.passive_address(command);
                let mut stream = connect_from(own, to).unwrap();
                stream.write_all(b"PROXY content").unwrap();
                client.cmd("STOR file", 150);
                drop(stream);
                client.expect(226);
                assert_eq!(server.get("file"), b"PROXY content");
            }
        }
    }
}

/// Connections without a header take descriptors, but give them up for clients.
#[test]
fn connections_without_a_header_leave_descriptors_to_clients() {
    let server = setup().server("proxy_timeout = 5m").files(64).start();
    server.put("file", "content");
    let mut silent: Vec<_> = (0..80).map(|_| balanced(&server, b"PROXY ")).collect();
    silent[0].expect_close();
    let mut own = greeted(&server, CLIENT);
    log_in(&mut own);
    let mut direct = Client::bob(&server);
    assert_eq!(direct.download("RETR file"), b"content");
    // those that are left are waited for, until clients need all descriptors
    let rest = line("192.0.2.8");
    silent[78].raw(&rest[6..]);
    silent[78].expect(220);
    let _clients: Vec<_> = (0..40).map(|_| Client::silent(server.address())).collect();
    silent[79].expect_close();
}
