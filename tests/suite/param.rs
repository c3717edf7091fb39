//! TYPE, STRU, MODE, PASV, EPSV, PORT, EPRT, REST, OPTS; data connections.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::client::{Client, connect_from, drain, port_command, reset};
use crate::server::{PATIENCE, Server, eventually};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The first of this many free ports in a row, which no other test of this run gets.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // beside those of the harness, and another place for each run
    let base = 32_000 + u16::try_from(std::process::id() % 50).unwrap() * 10;
    loop {
        let first = base + NEXT.fetch_add(count, Ordering::Relaxed) % 600;
        // held until all are known to be free
        let open = |port| TcpListener::bind((HERE, port)).ok();
        let held: Option<Vec<_>> = (first..first + count).map(open).collect();
        if held.is_some() {
            return first;
        }
    }
}

/// Whether nothing listens on a port any more.
fn is_closed(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PATIENCE)
        .is_err_and(|why| why.kind() == ErrorKind::ConnectionRefused)
}

/// The server's port at another address of this machine.
fn at(ip: impl Into<IpAddr>, server: &Server) -> SocketAddr {
    SocketAddr::new(ip.into(), server.address().port())
}

/// Downloads over a data connection that the server opens.
fn download_active(client: &mut Client, command: &str) -> (Vec<u8>, SocketAddr) {
    let listener = client.listener();
    client.cmd(command, 150);
    let (mut data, peer) = listener.accept().unwrap();
    data.set_read_timeout(Some(PATIENCE)).unwrap();
    let bytes = drain(&mut data);
    client.expect(226);
    (bytes, peer)
}

#[test]
fn type_takes_ascii_and_image_and_nothing_else() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for good in ["TYPE A", "TYPE A N", "TYPE I", "TYPE L 8", "type a", "type i", "Type l 8"] {
        client.cmd(good, 200);
    }
    for other in ["TYPE E", "TYPE E N", "TYPE A T", "TYPE A C", "TYPE L 7", "TYPE L 36"] {
        client.cmd(other, 504);
    }
    for bad in ["TYPE", "TYPE X", "TYPE 8", "TYPE L", "TYPE \u{e9}"] {
        client.cmd(bad, 501);
    }
}

#[test]
fn a_type_that_was_refused_leaves_the_old_one() {
    let server = Server::start();
    server.put("a", "1\n");
    let mut client = Client::bob(&server);
    client.cmd("TYPE E", 504);
    assert_eq!(client.download("RETR a"), b"1\n");
    client.cmd("TYPE A", 200);
    client.cmd("TYPE X", 501);
    assert_eq!(client.download("RETR a"), b"1\r\n");
}

#[test]
fn stru_is_file_and_mode_is_stream() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for (line, code) in [
        ("STRU F", 200),
        ("STRU f", 200),
        ("STRU R", 504),
        ("STRU P", 504),
        ("STRU X", 501),
        ("STRU", 501),
        ("STRU FF", 501),
        ("MODE S", 200),
        ("MODE s", 200),
        ("MODE B", 504),
        ("MODE C", 504),
        ("MODE Z", 504),
        ("MODE X", 501),
        ("MODE", 501),
    ] {
        client.cmd(line, code);
    }
}

#[test]
fn pasv_names_the_address_that_the_client_came_to() {
    let server = Server::setup().ip("0.0.0.0").start();
    server.put("a", "text");
    for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 5)] {
        let mut client = Client::bob_over(TcpStream::connect(at(ip, &server)).unwrap());
        for command in ["PASV", "pasv", "P@SW"] {
            let address = client.passive_address(command);
            assert_eq!(address.ip(), ip, "{command}");
            assert!((10_000..=32_000).contains(&address.port()));
            let mut data = client.data(address);
            client.cmd("RETR a", 150);
            assert_eq!(drain(&mut data), b"text");
            client.expect(226);
        }
        client.cmd("PASV x", 501);
    }
}

#[test]
fn epsv_takes_the_protocol_that_is_spoken() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let first = client.passive_address("EPSV");
    let second = client.passive_address("EPSV 1");
    assert!(is_closed(first) || first == second);
    let reply = client.cmd("EPSV 2", 522);
    assert!(reply.contains("(1)"), "{reply}");
    let reply = client.cmd("EPSV 3", 522);
    assert!(reply.contains("(1"), "{reply}");
    client.cmd("EPSV x", 501);
    // those that were refused have closed nothing
    let mut data = client.data(second);
    client.cmd("NLST", 150);
    drain(&mut data);
    client.expect(226);
}

#[test]
fn after_epsv_all_there_is_only_epsv() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let port = port_command(listener.local_addr().unwrap());
    let eprt = format!("EPRT |1|127.0.0.1|{}|", listener.local_addr().unwrap().port());
    client.cmd("EPSV ALL", 200);
    for command in ["PASV", "P@SW", &port, &eprt] {
        client.cmd(command, 503);
    }
    client.cmd("epsv all", 200);
    assert_eq!(client.download("RETR a"), b"text");
    // a new login starts with the defaults
    client.cmd("REIN", 220);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd(&port, 200);
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut listener.accept().unwrap().0), b"text");
    client.expect(226);
}

#[test]
fn pret_is_taken_before_a_passive_transfer() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    for command in ["PRET RETR a", "PRET STOR new", "PRET NLST"] {
        client.cmd(command, 200);
    }
    assert_eq!(client.download("RETR a"), b"text");
    assert!(!server.has("new"));
}

#[test]
fn port_and_eprt_bring_the_server_to_the_client() {
    let server = Server::setup().ip("::").start();
    server.put("a", "text");
    for ip in [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let mut client = Client::bob_over(TcpStream::connect(at(ip, &server)).unwrap());
        let (bytes, peer) = download_active(&mut client, "RETR a");
        assert_eq!((bytes.as_slice(), peer.ip()), (&b"text"[..], ip));
        // EPRT on both
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let kind = if ip.is_ipv4() { 1 } else { 2 };
        client.cmd(&format!("EPRT |{kind}|{ip}|{port}|"), 200);
        client.cmd("STOR b", 150);
        drop(listener.accept().unwrap());
        client.expect(226);
        assert_eq!(server.get("b"), b"");
    }
}

#[test]
fn a_dual_stack_server_treats_ipv4_clients_as_such() {
    let server = Server::setup().ip("::").start();
    server.put("a", "text");
    let mut client = Client::bob_over(TcpStream::connect(at(HERE, &server)).unwrap());
    let address = client.passive_address("PASV");
    assert_eq!(address.ip(), HERE);
    let mut data = client.data(address);
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
    assert_eq!(client.download("RETR a"), b"text");
    client.cmd("EPSV 1", 229);
    client.cmd("EPSV 2", 522);
    client.cmd("EPRT |2|::1|5000|", 522);
    server.wait_for_log(" 127.0.0.1:");
    assert!(!server.log().contains("::ffff:"));
}

#[test]
fn ipv6_has_epsv_and_eprt_but_no_pasv() {
    let server = Server::setup().ip("::1").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    assert_eq!(client.download("RETR a"), b"text");
    client.upload("STOR b", b"more");
    assert_eq!(server.get("b"), b"more");
    let refusal = client.read_any("PASV");
    assert!(refusal.starts_with('5'), "{refusal}");
    let refusal = client.read_any("PORT 127,0,0,1,20,0");
    assert!(refusal.starts_with('5'), "{refusal}");
    let reply = client.cmd("EPRT |1|127.0.0.1|5000|", 522);
    assert!(reply.contains("(2)"), "{reply}");
    let reply = client.cmd("EPSV 1", 522);
    assert!(reply.contains("(2)"), "{reply}");
    client.cmd("EPSV 2", 229);
    let (bytes, peer) = download_active(&mut client, "RETR a");
    assert_eq!((bytes.as_slice(), peer.ip()), (&b"text"[..], IpAddr::V6(Ipv6Addr::LOCALHOST)));
}

#[test]
fn bad_addresses_are_501_and_set_nothing() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    for bad in [
        "PORT",
        "PORT 127,0,0,1,20",
        "PORT 127,0,0,1,20,0,0",
        "PORT 127,0,0,1,256,0",
        "PORT 127.0.0.1:5000",
        "PORT -1,0,0,1,20,0",
        "PORT 127,0,0,1,20,",
        "PORT ,,,,,",
        "PORT 99999999999999999999,0,0,1,20,0",
        "EPRT",
        "EPRT |",
        "EPRT |1|||",
        "EPRT |1|127.0.0.1|",
        "EPRT |1|127.0.0.1|5000",
        "EPRT |1|127.0.0.1|65536|",
        "EPRT |1|127.0.0.1|-1|",
        "EPRT |1|localhost|5000|",
        "EPRT |1|::1|5000|",
        "EPRT 1 127.0.0.1 5000",
    ] {
        client.cmd(bad, 501);
    }
    client.cmd("EPRT |3|x|5000|", 522);
    let mut data = client.data(address);
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
}

#[test]
fn the_server_connects_to_no_other_host_and_to_no_low_port() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    // a listener on another address, so that a bounce would be seen
    let victim = TcpListener::bind((STRANGER, 0)).unwrap();
    let at = victim.local_addr().unwrap();
    let eprt = format!("EPRT |1|{}|{}|", at.ip(), at.port());
    for bad in [
        port_command(at).as_str(),
        &eprt,
        "PORT 192,0,2,1,20,0",
        "PORT 0,0,0,0,20,0",
        "PORT 255,255,255,255,20,0",
        "PORT 127,0,0,1,0,0",
        "PORT 127,0,0,1,0,25",
        "PORT 127,0,0,1,3,255",
        "EPRT |1|127.0.0.1|0|",
        "EPRT |1|127.0.0.1|1023|",
        "EPRT |1|0.0.0.0|5000|",
    ] {
        let reply = client.read_any(bad);
        assert!(reply.starts_with("500") || reply.starts_with("501"), "{bad}: {reply}");
        client.cmd("RETR a", 425);
    }
    client.cmd("PORT 127,0,0,1,4,0", 200);
    victim.set_nonblocking(true).unwrap();
    assert_eq!(victim.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    server.wait_for_log("PORT refused: not the client's own address");
}

#[test]
fn allow_fxp_lets_other_hosts_take_part_but_no_low_port() {
    let server = Server::setup().server("allow_fxp = on").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let other = TcpListener::bind((STRANGER, 0)).unwrap();
    client.cmd(&port_command(other.local_addr().unwrap()), 200);
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut other.accept().unwrap().0), b"text");
    client.expect(226);
    let address = client.passive_address("PASV");
    let mut data = connect_from(STRANGER, address).unwrap();
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
    let reply = client.read_any("PORT 127,0,0,2,0,25");
    assert!(reply.starts_with("50"), "{reply}");
}

#[test]
fn active_connections_leave_from_active_port() {
    let port = free_ports(1);
    let server = Server::setup().server(&format!("active_port = {port}")).start();
    server.put("a", "text");
    let (mut one, mut two) = (Client::bob(&server), Client::bob(&server));
    // two at once, and one after the other
    let listener = one.listener();
    one.cmd("STOR b", 150);
    let (held, peer) = listener.accept().unwrap();
    assert_eq!(peer, SocketAddr::new(HERE, port));
    for _ in 0..3 {
        let (bytes, peer) = download_active(&mut two, "RETR a");
        assert_eq!((bytes.as_slice(), peer), (&b"text"[..], SocketAddr::new(HERE, port)));
    }
    drop(held);
    one.expect(226);
}

#[test]
fn a_port_that_nobody_listens_on_is_425_and_the_next_one_works() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    for _ in 0..3 {
        let _held = client.refusing_port();
        client.cmd("RETR a", 425);
    }
    assert_eq!(download_active(&mut client, "RETR a").0, b"text");
    // a PORT serves one transfer
    client.cmd("RETR a", 425);
}

#[test]
fn an_active_connection_that_hangs_is_given_up_after_data_timeout() {
    let server = Server::setup().server("data_timeout = 1s").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let deaf = DeafPort::new();
    client.cmd(&port_command(deaf.address), 200);
    client.cmd("RETR a", 425);
    assert_eq!(client.download("RETR a"), b"text");
}

/// A port whose queue is full: whoever connects to it waits.
pub(crate) struct DeafPort {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

impl DeafPort {
    pub(crate) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::new(HERE, 0).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let queue = std::iter::from_fn(knock).take(20).collect();
        Self { address, _listener: listener, _queue: queue }
    }
}

#[test]
fn a_stranger_on_the_passive_port_gets_nothing_and_the_owner_everything() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    for early in [true, false] {
        let address = client.passive_address("EPSV");
        let mut stranger = connect_from(STRANGER, address).unwrap();
        let mut begun = false;
        if !early {
            // the server waits for the owner already
            client.send("RETR a");
            begun = true;
        }
        assert_eq!(drain(&mut stranger), b"");
        let mut data = client.data(address);
        if !begun {
            client.send("RETR a");
        }
        client.expect(150);
        assert_eq!(drain(&mut data), b"text");
        client.expect(226);
    }
    server.wait_for_log("127.0.0.2 connected to passive port");
}

#[test]
fn a_stranger_cannot_send_an_upload() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let address = client.passive_address("PASV");
    let mut stranger = connect_from(STRANGER, address).unwrap();
    let _ = std::io::Write::write_all(&mut stranger, b"forged");
    let data = client.data(address);
    client.cmd("STOR a", 150);
    drop(data);
    client.expect(226);
    assert_eq!(server.get("a"), b"");
}

#[test]
fn many_strangers_do_not_keep_the_owner_out() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    let strangers: Vec<_> = (0..100)
        .map(|number| connect_from(IpAddr::from([127, 0, 1, number]), address).unwrap())
        .collect();
    let mut data = client.data(address);
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
    for mut stranger in strangers {
        assert_eq!(drain(&mut stranger), b"");
    }
    // nor do they fill the log
    server.wait_for_log("95 more connections to passive port");
    eventually("all are logged", || {
        server.log().matches("connected to passive port").count() >= 5
    });
    assert_eq!(server.log().matches("connected to passive port").count(), 5);
}

#[test]
fn strangers_that_come_while_the_server_waits_do_not_end_the_wait() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    client.send("RETR a");
    for _ in 0..50 {
        assert_eq!(drain(&mut connect_from(STRANGER, address).unwrap()), b"");
    }
    reset(connect_from(STRANGER, address).unwrap());
    let mut data = client.data(address);
    client.expect(150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
}

#[test]
fn only_the_first_connection_of_the_owner_counts() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    let mut data = client.data(address);
    client.cmd("NOOP", 200);
    // the port is closed as soon as the owner is in
    eventually("the port is closed", || is_closed(address));
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
    assert!(is_closed(address));
    client.cmd("RETR a", 425);
}

#[test]
fn a_second_pasv_closes_the_first_port() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for (first, second) in [("PASV", "PASV"), ("EPSV", "PASV"), ("PASV", "EPSV")] {
        let old = client.passive_address(first);
        let new = client.passive_address(second);
        assert!(old == new || is_closed(old));
        // PORT closes it as well
        let listener = client.listener();
        assert!(is_closed(new));
        drop(listener);
    }
    // an early connection to the first one is dropped with it
    let mut old = client.passive();
    let mut data = client.passive();
    client.cmd("NLST", 150);
    assert_eq!(drain(&mut old), b"");
    drain(&mut data);
    client.expect(226);
}

#[test]
fn pasv_after_port_means_pasv() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let listener = client.listener();
    assert_eq!(client.download("RETR a"), b"text");
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_failed_retr_keeps_the_passive_port() {
    let server =
        Server::setup().section("[user:eve]\npassword = e\nperm = elr\nhome = home").start();
    server.put("a", "text");
    let mut client = Client::login(&server, "eve", "e");
    for early in [true, false] {
        let address = client.passive_address("PASV");
        let data = early.then(|| client.data(address));
        client.cmd("RETR missing", 550);
        client.cmd("LIST missing", 550);
        client.cmd("STOR new", 550);
        client.cmd("RETR", 501);
        let mut data = data.unwrap_or_else(|| client.data(address));
        client.cmd("RETR a", 150);
        assert_eq!(drain(&mut data), b"text");
        client.expect(226);
    }
}

#[test]
fn the_control_port_inside_the_range_is_skipped() {
    let first = free_ports(4);
    let lines = format!("port = {}\npassive_ports = {first}-{}", first + 1, first + 3);
    let server = Server::setup().server(&lines).start();
    let mut clients: Vec<_> = (0..3).map(|_| Client::bob(&server)).collect();
    let ports: HashSet<_> =
        clients.iter_mut().map(|client| client.passive_address("PASV").port()).collect();
    assert_eq!(ports, HashSet::from([first, first + 2, first + 3]));
    // and none is left
    let mut one_more = Client::bob(&server);
    one_more.cmd("PASV", 425);
    one_more.cmd("EPSV", 425);
}

#[test]
fn when_ports_are_exhausted_pasv_is_425_until_one_is_free() {
    let first = free_ports(2);
    let lines = format!("passive_ports = {first}-{}", first + 1);
    let server = Server::setup().server(&lines).start();
    server.put("a", "text");
    let (mut one, mut two, mut three) =
        (Client::bob(&server), Client::bob(&server), Client::bob(&server));
    one.passive_address("PASV");
    let second = two.passive_address("EPSV");
    for _ in 0..3 {
        three.cmd("PASV", 425);
        three.cmd("EPSV", 425);
        three.cmd("RETR a", 425);
    }
    // the active way is not barred
    assert_eq!(download_active(&mut three, "RETR a").0, b"text");
    // a transfer gives one back as soon as its connection is there
    let mut data = two.data(second);
    two.cmd("STOR b", 150);
    assert_eq!(three.download("RETR a"), b"text");
    std::io::Write::write_all(&mut data, b"2").unwrap();
    drop(data);
    two.expect(226);
    // QUIT, a lost connection, ABOR and PORT give one back as well
    for end in ["QUIT", "lost", "ABOR", "PORT", "REIN"] {
        let mut holder = Client::bob(&server);
        let port = holder.passive_address("PASV").port();
        three.cmd("PASV", 425);
        match end {
            "QUIT" => drop(holder.cmd("QUIT", 221)),
            "ABOR" => drop(holder.cmd("ABOR", 226)),
            "PORT" => drop(holder.listener()),
            "REIN" => drop(holder.cmd("REIN", 220)),
            _ => drop(holder),
        }
        let mut got = None;
        eventually("a port is free again", || {
            let reply = three.read_any("EPSV");
            got = reply.starts_with("229").then_some(reply);
            got.is_some()
        });
        assert!(got.unwrap().contains(&format!("|||{port}|")));
        three.cmd("ABOR", 226);
    }
}

#[test]
fn a_port_that_another_program_holds_is_passed_over() {
    let first = free_ports(2);
    let lines = format!("passive_ports = {first}-{}", first + 1);
    let server = Server::setup().server(&lines).start();
    let busy = TcpListener::bind((HERE, first)).unwrap();
    let mut client = Client::bob(&server);
    for _ in 0..5 {
        assert_eq!(client.passive_address("PASV").port(), first + 1);
    }
    drop(busy);
    let (mut one, mut two) = (client, Client::bob(&server));
    one.cmd("PASV", 227);
    two.cmd("PASV", 227);
}

/// Two sessions that never connected and kept saying NOOP took a range of two for good.
#[test]
fn a_passive_port_that_is_not_used_is_closed_after_data_timeout() {
    let first = free_ports(2);
    let lines = format!("passive_ports = {first}-{}\ndata_timeout = 1s", first + 1);
    let server = Server::setup().server(&lines).start();
    server.put("a", "text");
    let (mut talker, mut silent) = (Client::bob(&server), Client::bob(&server));
    let port = talker.passive_address("PASV").port();
    silent.passive_address("EPSV");
    let mut third = Client::bob(&server);
    third.cmd("PASV", 425);
    // two ports become free: of one who talks all the time, and of one who says nothing
    let mut fourth = Client::bob(&server);
    eventually("a port is free", || {
        talker.cmd("NOOP", 200);
        third.ask("PASV").0 == 227
    });
    // the third one's is closed as well after a while
    eventually("another port is free", || {
        talker.cmd("NOOP", 200);
        fourth.ask("EPSV").0 == 229
    });
    let line = server.wait_for_log("firewall");
    assert!(line.contains("passive port"), "{line}");
    for client in [&mut talker, &mut silent] {
        for line in ["RETR a", "LIST"] {
            let (code, text) = client.ask(line);
            assert_eq!(code, 425, "{text}");
            // the first command is told why, and a second one what is missing
            assert!(text.contains("PASV"), "{text}");
        }
    }
    drop((third, fourth));
    assert!(port >= first);
    eventually("and there is another", || talker.ask("EPSV").0 == 229);
    eventually("for the other as well", || silent.ask("PASV").0 == 227);
    assert_eq!(talker.download("RETR a"), b"text");
    assert_eq!(silent.download("RETR a"), b"text");
}

#[test]
fn a_command_that_comes_after_the_close_is_told_why() {
    let server = Server::setup().server("data_timeout = 1s").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    for command in ["RETR a", "LIST", "STOR new", "MLSD"] {
        let address = client.passive_address("EPSV");
        eventually("it is closed", || {
            client.cmd("NOOP", 200);
            server.log().contains(&format!("passive port {}", address.port()))
        });
        let text = client.cmd(command, 425);
        assert!(text.contains("closed") && text.contains("EPSV"), "{text}");
    }
    assert!(!server.has("new"));
    assert_eq!(client.download("RETR a"), b"text");
}

#[test]
fn a_passive_connection_that_no_command_uses_is_closed_after_data_timeout() {
    let server = Server::setup().server("data_timeout = 1s").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    for talks in [true, false] {
        let mut data = client.passive();
        if talks {
            data.set_nonblocking(true).unwrap();
            eventually("the data connection is closed", || {
                client.cmd("NOOP", 200);
                matches!(data.read(&mut [0]), Ok(0))
            });
        } else {
            assert_eq!(data.read(&mut [0]).unwrap(), 0);
        }
        let text = client.cmd("RETR a", 425);
        assert!(text.contains("closed"), "{text}");
        assert_eq!(client.download("RETR a"), b"text");
    }
}

#[test]
fn without_data_timeout_a_passive_port_stays_open() {
    let server = Server::setup().server("data_timeout = 0\nidle_timeout = 1s").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    // for longer than a second
    let until = std::time::Instant::now() + Duration::from_millis(1500);
    eventually("time has passed", || {
        client.cmd("NOOP", 200);
        std::time::Instant::now() > until
    });
    let mut data = client.data(address);
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
}

#[test]
fn passive_ports_begin_at_a_random_place() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let ports: HashSet<_> = (0..8).map(|_| client.passive_address("EPSV").port()).collect();
    assert!(ports.len() > 4, "{ports:?}");
    let mut sorted: Vec<_> = ports.into_iter().collect();
    sorted.sort_unstable();
    assert!(sorted.last().unwrap() - sorted[0] > 100, "{sorted:?}");
}

#[test]
fn nothing_leaks_on_any_path() {
    let first = free_ports(3);
    let lines = format!("passive_ports = {first}-{}\ndata_timeout = 1s", first + 2);
    let server = Server::setup().server(&lines).start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    client.download("RETR a");
    let before = server.open_files();
    for round in 0..12 {
        let address = client.passive_address(if round % 2 == 0 { "EPSV" } else { "PASV" });
        match round % 6 {
            0 => drop(client.cmd("RETR missing", 550)),
            1 => {
                let data = client.data(address);
                client.cmd("ABOR", 226);
                drop(data);
            }
            2 => {
                let data = client.data(address);
                client.cmd("STOR b", 150);
                reset(data);
                client.expect(426);
            }
            3 => {
                let mut data = client.data(address);
                client.cmd("RETR a", 150);
                client.expect(226);
                assert_eq!(data.read(&mut [0; 2]).unwrap(), 2);
                drop(data);
            }
            4 => {
                drop(connect_from(STRANGER, address).unwrap());
                // a port that is taken, so that nobody else listens there, and is not listened
                // on
                let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                taken.bind(&SocketAddr::from((HERE, 0)).into()).unwrap();
                let to = taken.local_addr().unwrap().as_socket().unwrap();
                client.cmd(&port_command(to), 200);
                client.cmd("STOR c", 425);
            }
            _ => {
                client.upload("APPE d", b"1");
            }
        }
    }
    client.cmd("ABOR", 226);
    eventually("all files are closed", || server.open_files() <= before);
    let mut others: Vec<_> = (0..3).map(|_| Client::bob(&server)).collect();
    for other in &mut others {
        other.passive_address("EPSV");
    }
    drop(others);
    eventually("sessions are closed", || server.open_files() <= before);
}

#[test]
fn the_log_asks_about_the_firewall_when_the_client_never_connects() {
    let server = Server::setup().server("data_timeout = 1s").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let port = client.passive_address("PASV").port();
    client.cmd("RETR a", 425);
    let line = server.wait_for_log("firewall");
    assert!(line.contains(&port.to_string()) && line.contains("passive_ports"), "{line}");
}

/// Most clients connect before they send RETR, so a firewall makes them give up before any
/// command waits for the data connection.
#[test]
fn the_log_asks_about_the_firewall_when_the_client_gives_up_by_itself() {
    for end in ["QUIT", "lost", "lost in RETR", "ABOR in RETR"] {
        let server = Server::start();
        server.put("a", "text");
        let mut client = Client::bob(&server);
        let port = client.passive_address("EPSV").port();
        match end {
            "QUIT" => drop(client.cmd("QUIT", 221)),
            "lost" => drop(client),
            "lost in RETR" => {
                client.send("RETR a");
                drop(client);
            }
            _ => {
                client.send("RETR a");
                client.send("ABOR");
                client.expect(426);
                client.expect(226);
            }
        }
        let line = server.wait_for_log("firewall");
        assert!(line.contains(&port.to_string()), "{end}: {line}");
    }
}

#[test]
fn the_log_does_not_ask_about_the_firewall_when_all_went_well() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    client.download("RETR a");
    client.passive();
    client.cmd("QUIT", 221);
    server.wait_for_log("ended");
    assert!(!server.log().contains("firewall"), "{}", server.log());
}

#[test]
fn masquerade_address_is_what_pasv_says() {
    let server = Server::setup().server("masquerade_address = 192.0.2.7").start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let told = client.passive_address("PASV");
    assert_eq!(told.ip(), IpAddr::from([192, 0, 2, 7]));
    // the port is open all the same, where the client came to
    let mut data = client.data(SocketAddr::new(HERE, told.port()));
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
    // EPSV names no address
    assert_eq!(client.download("RETR a"), b"text");
}

#[test]
fn masquerade_address_may_be_a_host_name() {
    let server =
        Server::setup().ip("127.0.0.5").server("masquerade_address = localhost").start();
    let mut client = Client::bob(&server);
    assert_eq!(client.passive_address("PASV").ip(), HERE);
}

#[test]
fn a_masquerade_name_that_cannot_be_resolved_is_425_for_pasv_alone() {
    let name = "no-such-host.invalid";
    let server = Server::setup().server(&format!("masquerade_address = {name}")).start();
    server.put("a", "text");
    // before anybody asks for it
    server.wait_for_log("masquerade_address: no-such-host.invalid");
    let mut client = Client::bob(&server);
    client.cmd("PASV", 425);
    assert_eq!(client.download("RETR a"), b"text");
    server.wait_for_log("masquerade_address");
}

#[test]
fn masquerade_except_names_peers_that_are_told_the_own_address() {
    let masked = IpAddr::from([192, 0, 2, 7]);
    for (except, here, stranger) in [
        ("", masked, masked),
        ("127.0.0.2", masked, HERE),
        ("127.0.0.2/32, 10.0.0.0/8", masked, HERE),
        ("127.0.0.0/8", HERE, HERE),
        ("10.0.0.0/8", masked, masked),
        ("local", HERE, HERE),
        ("10.0.0.0/8, LOCAL", HERE, HERE),
    ] {
        let lines = format!("masquerade_address = 192.0.2.7\nmasquerade_except = {except}");
        let server = Server::setup().server(&lines).start();
        for (own, told) in [(HERE, here), (STRANGER, stranger)] {
            let stream = connect_from(own, server.address()).unwrap();
            let mut client = Client::bob_over(stream);
            assert_eq!(client.passive_address("PASV").ip(), told, "{own}, except '{except}'");
        }
    }
}

#[test]
fn an_early_connection_waits_for_its_command() {
    let server = Server::start();
    server.put("a", "text");
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    for _ in 0..20 {
        client.cmd("NOOP", 200);
    }
    client.cmd("PWD", 257);
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"text");
    client.expect(226);
}

#[test]
fn uploads_and_downloads_run_side_by_side() {
    let server = Server::start();
    server.put("a", vec![b'x'; 2_000_000]);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::bob(server);
                for _ in 0..3 {
                    assert_eq!(client.download("RETR a").len(), 2_000_000);
                    client.upload(&format!("STOR {number}"), &vec![b'y'; 500_000]);
                }
            });
        }
    });
    for number in 0..8 {
        assert!(server.get(&number.to_string()) == vec![b'y'; 500_000]);
    }
}
