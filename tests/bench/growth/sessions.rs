//! Sessions that are logged in and do nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Costs;
use crate::server::{Client, Server, folder, user};

/// Returns how many sessions the limit of open files allows. The server has two files for each.
pub(crate) fn most() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let most = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap());
    most.saturating_sub(500) / 2
}

pub(crate) fn measure(count: usize) -> Costs {
    let dir = folder();
    let lines = "max_cons = 16000\nidle_timeout = 3600\nmetrics_listen = 127.0.0.1:29871";
    let server = Server::start(dir.path(), lines, &user("anna"));
    let (memory, time, begin) = (server.memory("VmRSS"), server.time(), Instant::now());
    let mut clients: Vec<_> = (0..count).map(|_| Client::login(&server, "anna")).collect();
    let took = begin.elapsed().as_secs_f64() * 1e6 / count as f64;
    let login = (server.time() - time) * 1000.0 / count as f64;
    let memory = (server.memory("VmRSS") - memory) / count as f64;
    let who = server.order(&["who"]);
    let scrape = server.cost(|| {
        let mut stream = TcpStream::connect("127.0.0.1:29871").unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let reload = server.order(&["reload"]);
    let one_more = server.cost(|| drop(Client::login(&server, "anna")));
    clients.last_mut().unwrap().cmd("NOOP", 200);
    vec![
        ("a login, microseconds by the clock", took),
        ("a login, microseconds", login.max(0.1)),
        ("resident memory of a session, KiB", memory),
        ("one more login and its end, ms", one_more),
        ("`ftpd who`, ms by the clock", who),
        ("a scrape of the metrics, ms", scrape),
        ("`ftpd reload`, ms by the clock", reload),
    ]
}
