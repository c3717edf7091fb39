//! Bans, made by hand over the admin socket. The server refuses more than 5,000 of these.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::Costs;
use crate::server::{Client, Server, folder, user};

pub(crate) fn measure(count: usize) -> Costs {
    let dir = folder();
    let server = Server::start(dir.path(), "ban_exempt =", &user("anna"));
    let socket = UnixStream::connect(dir.path().join("ftpd-state/admin.sock")).unwrap();
    let mut socket = BufReader::new(socket);
    let mut ban = |address: &str| {
        let line = format!("{{\"command\":\"ban\",\"address\":\"{address}\",\"seconds\":0}}\n");
        socket.get_mut().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_line(&mut answer).unwrap();
        assert!(answer.contains("\"ok\":true"), "{answer}");
    };
    let time = server.time();
    for at in 1..count {
        ban(&format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255));
    }
    let each = (server.time() - time) * 1000.0 / count as f64;
    ban("127.0.0.9");
    let login = server.cost(|| drop(Client::login(&server, "anna")));
    let refused = server.cost(|| refused(&server));
    vec![
        ("a ban, microseconds", each.max(0.1)),
        ("a login, ms", login),
        ("a refused connection, ms", refused),
        ("`ftpd bans`, ms by the clock", server.order(&["bans"])),
        ("`ftpd unban all`, ms by the clock", server.order(&["unban", "all"])),
    ]
}

/// Connects from the banned address.
fn refused(server: &Server) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.9:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut line = String::new();
    let _ = BufReader::new(TcpStream::from(socket)).read_line(&mut line);
    assert!(line.starts_with("421"), "{line}");
}
