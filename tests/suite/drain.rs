//! `ftpd stop --drain`: no more clients, while those that are there go on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::admin::socket;
use crate::client::{Client, drain};
use crate::metrics::{raw, web};
use crate::server::{PATIENCE, Server, Setup, eventually, run};

fn setup(grace: &str) -> Setup {
    Server::setup().server(&format!("metrics_listen = 127.0.0.1:0\nshutdown_grace = {grace}"))
}

/// Begins to drain a server. The child ends with the server.
fn begin(server: &Server) -> Child {
    let mut ftpd = Command::new(env!("CARGO_BIN_EXE_ftpd"));
    ftpd.args(["stop", "--drain"]).current_dir(server.dir()).stdout(Stdio::piped());
    ftpd.spawn().unwrap()
}

fn said(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A connection to the admin socket.
struct Admin(BufReader<UnixStream>);

impl Admin {
    fn ask(server: &Server, request: &str) -> (Self, String) {
        let mut stream = UnixStream::connect(socket(server)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut own = Self(BufReader::new(stream));
        let answer = own.line();
        (own, answer)
    }

    /// Orders that the server be drained, and waits for its end.
    fn wait(server: &Server) -> (Self, String) {
        Self::ask(server, r#"{"command":"stop","drain":true}"#)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }
}

#[test]
fn sessions_go_on_to_their_end_and_no_new_ones_begin() {
    let mut server = setup("5m").start();
    let (at, address) = (web(&server), server.address());
    let health = |text: &str| {
        let answer = raw(at, b"GET /health HTTP/1.0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 ") && answer.ends_with(text), "{answer}");
        answer
    };
    assert!(health("ok\n").contains(" 200 OK"));
    let mut client = Client::bob(&server);
    let mut stranger = Client::connect(&server);
    let stop = begin(&server);
    server.wait_for_log("no more clients are accepted; 2 sessions may go on");
    assert!(health("draining\n").contains(" 503 "));
    eventually("no more clients", || TcpStream::connect_timeout(&address, PATIENCE).is_err());
    // everything goes on, a login as well
    stranger.cmd("USER bob", 331);
    stranger.cmd("PASS secret", 230);
    for name in ["one", "two"] {
        client.upload(&format!("STOR {name}"), b"content");
        assert_eq!(stranger.download(&format!("RETR {name}")), b"content");
    }
    client.cmd("QUIT", 221);
    stranger.cmd("NOOP", 200);
    stranger.cmd("QUIT", 221);
    assert!(server.wait_for_exit().success());
    assert_eq!(said(stop), "the server has stopped\n");
}

#[test]
fn what_goes_on_for_too_long_ends_with_the_grace_period() {
    let mut server = setup("1").start();
    let (mut idle, mut busy) = (Client::bob(&server), Client::bob(&server));
    let data = busy.passive();
    busy.cmd("STOR slow", 150);
    let stop = begin(&server);
    assert!(idle.expect(421).contains("stopping"));
    busy.expect(426);
    drop(data);
    assert!(server.wait_for_exit().success());
    said(stop);
}

#[test]
fn another_order_to_stop_ends_idle_sessions_at_once_and_leaves_transfers_their_time() {
    let mut server = setup("5m").start();
    let (mut idle, mut busy) = (Client::bob(&server), Client::bob(&server));
    let data = busy.passive();
    busy.cmd("STOR slow", 150);
    let stop = begin(&server);
    server.wait_for_log("no more clients are accepted");
    server.signal("TERM");
    assert!(idle.expect(421).contains("stopping"));
    drop(data);
    busy.expect(226);
    assert!(server.wait_for_exit().success());
    said(stop);
    assert!(server.has("slow"));
}

#[test]
fn a_drained_server_without_sessions_ends_at_once() {
    let mut server = setup("5m").start();
    said(begin(&server));
    assert!(server.wait_for_exit().success());
    let (code, _, err) = run(&["stop", "--drain", "--now"], server.dir());
    assert!(code == 2 && err.contains("exclude each other"), "{err}");
}

/// Connections to the admin socket make room for others, but not while they wait for the end.
#[test]
fn whoever_waits_for_the_end_is_not_crowded_out() {
    let mut server = setup("5m").start();
    let mut client = Client::bob(&server);
    let stop = begin(&server);
    server.wait_for_log("no more clients are accepted");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (waiter, answer) = Admin::wait(&server);
            assert!(answer.contains("\"tells\":true"), "{answer}");
            waiter
        })
        .collect();
    let others: Vec<_> = (0..40).map(|_| Admin::ask(&server, r#"{"command":"who"}"#)).collect();
    assert!(others.iter().all(|(_, answer)| answer.contains("\"ok\":true")));
    assert_eq!(run(&["who"], server.dir()).0, 0);
    client.cmd("QUIT", 221);
    assert!(server.wait_for_exit().success());
    assert_eq!(said(stop), "the server has stopped\n");
    for mut waiter in waiting {
        let line = waiter.line();
        assert!(line.contains("\"stopped\":true"), "{line}");
    }
}

#[test]
fn whoever_cannot_wait_for_the_end_is_told_so() {
    let mut server = setup("5m").start();
    let mut client = Client::bob(&server);
    // those who have gone away do not count
    for _ in 0..100 {
        let (_, answer) = Admin::wait(&server);
        assert!(answer.contains("\"tells\":true"), "{answer}");
    }
    let mut waiting: Vec<_> = (0..64).map(|_| Admin::wait(&server)).collect();
    assert!(waiting.iter().all(|(_, answer)| answer.contains("\"tells\":true")));
    let (code, out, err) = run(&["stop", "--drain"], server.dir());
    assert!(code == 1 && out.is_empty(), "{code} {out}");
    assert!(err.contains("64 others wait for the end of the server already"), "{err}");
    client.cmd("NOOP", 200);
    waiting.truncate(32);
    waiting.push(Admin::wait(&server));
    client.cmd("QUIT", 221);
    assert!(server.wait_for_exit().success());
    for (mut waiter, _) in waiting {
        let line = waiter.line();
        assert!(line.contains("\"stopped\":true"), "{line}");
    }
}

#[test]
fn a_hangup_while_the_server_is_drained_reloads_the_settings() {
    let mut server = setup("5m").start();
    let mut client = Client::bob(&server);
    let stop = begin(&server);
    server.wait_for_log("no more clients are accepted");
    server.signal("HUP");
    server.wait_for_log("settings reloaded");
    client.cmd("QUIT", 221);
    assert!(server.wait_for_exit().success());
    assert_eq!(said(stop), "the server has stopped\n");
}

/// A server that is killed has not stopped, even if another one has taken its place at once.
#[test]
fn a_server_that_is_killed_while_it_is_drained_has_not_stopped() {
    for again in [false, true] {
        let mut server = setup("5m").start();
        let _client = Client::bob(&server);
        let mut ftpd = Command::new(env!("CARGO_BIN_EXE_ftpd"));
        ftpd.args(["stop", "--drain"]).current_dir(server.dir());
        let stop = ftpd.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        server.wait_for_log("no more clients are accepted");
        server.kill();
        if again {
            server.start_again();
        }
        let output = stop.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(1), &b""[..]),
            "{said}"
        );
        assert!(said.contains("killed or has crashed"), "{said}");
    }
}

/// A client that connects all the time, while the server is replaced by another one which is handed the
/// same socket: nobody is refused, and nobody's session is cut off.
#[test]
fn a_restart_refuses_nobody_whose_socket_is_handed_over() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let mut server = setup("5m").socket(&listener, "ftp").start();
    let (is_over, visits) = (AtomicBool::new(false), Arc::<AtomicUsize>::default());
    thread::scope(|scope| {
        for number in 0..3 {
            let (is_over, visits) = (&is_over, Arc::clone(&visits));
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let mut client = Client::silent(address);
                    client.expect(220);
                    client.cmd("USER bob", 331);
                    client.cmd("PASS secret", 230);
                    client.upload(&format!("STOR {number}"), b"content");
                    client.cmd("QUIT", 221);
                    assert_eq!(drain(&mut client.stream), b"");
                    visits.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // so that the clients end if this fails
        let _over = Sets(&is_over);
        for _ in 0..5 {
            let before = visits.load(Ordering::SeqCst);
            eventually("clients are served", || visits.load(Ordering::SeqCst) > before + 10);
            let stop = begin(&server);
            assert!(server.wait_for_exit().success());
            said(stop);
            // clients connect meanwhile, and wait
            thread::sleep(Duration::from_millis(50));
            server.start_again();
        }
    });
}

/// Sets a switch when it is dropped.
struct Sets<'a>(&'a AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
