//! Threads that sleep while nothing happens.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustls::version::TLS13;

use crate::client::Client;
use crate::server::Server;
use crate::tls_client::Tls;

/// How long nothing may run.
const QUIET: Duration = Duration::from_secs(3);

/// How long it may take until nothing runs.
const LONG: Duration = Duration::from_secs(30);

/// How often each thread has run so far, with its name.
fn turns(server: &Server) -> BTreeMap<String, u64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let count = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let name = status.lines().next()?.to_owned();
        let turns = status.lines().filter(|line| line.contains("ctxt_switches"));
        let turns =
            turns.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        Some((format!("{name} {}", task.file_name().display()), turns.sum()))
    };
    tasks.filter_map(|task| count(task.unwrap())).collect()
}

/// Waits until no thread has run for a while. The pace of the server is what is tested.
fn falls_silent(server: &Server) {
    let until = Instant::now() + LONG;
    loop {
        let before = turns(server);
        thread::sleep(QUIET);
        let after = turns(server);
        if before == after {
            return;
        }
        assert!(Instant::now() < until, "before: {before:#?}\nafter: {after:#?}");
    }
}

#[test]
fn no_thread_wakes_up_while_nothing_happens() {
    let lines = "transfer_log = xferlog\nmetrics_listen = 127.0.0.1:0\non_login = /bin/true";
    let server = Server::setup().server(lines).alone().start();
    falls_silent(&server);
    let mut client = Client::bob(&server);
    client.upload("STOR file", b"text");
    falls_silent(&server);
    client.cmd("DELE file", 250);
}

#[test]
fn no_thread_wakes_up_while_sessions_are_idle() {
    let server = Server::setup().server("tls_cert = auto\nmax_per_ip = 0").alone().start();
    let tls = Tls::new(&TLS13);
    let clients: Vec<_> =
        (0..10)
            .map(|at| {
                if at % 2 == 0 {
                    Client::bob(&server)
                } else {
                    Client::secure_bob(&server, &tls)
                }
            })
            .collect();
    falls_silent(&server);
    for mut client in clients {
        client.cmd("NOOP", 200);
    }
}
