//! Speed limits that transfers share: `user_max_upload`, `user_max_download`, `server_max_upload` and
//! `server_max_download`. How fair they are is measured by `make bench ONLY=shares`, and shown on a
//! simulated clock in `src/data/crowd.rs`; here a busy machine may be slow, but none may be too fast.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use crate::client::Client;
use crate::server::{Server, Setup, eventually, run};
use crate::tls_client::Tls;

const KIB: usize = 1 << 10;

/// In clear text, and in both versions of TLS.
const OVER: [Option<&SupportedProtocolVersion>; 3] = [None, Some(&TLS12), Some(&TLS13)];

fn setup(lines: &str) -> Setup {
    Server::setup().server(&format!("tls_cert = auto\n{lines}"))
}

fn user(name: &str, lines: &str) -> String {
    format!("[user:{name}]\npassword = secret\nperm = lrw\nhome = home\n{lines}\n")
}

fn sparse(server: &Server, name: &str, size: usize) {
    let path = server.put(name, "");
    File::options().write(true).open(path).unwrap().set_len(size as u64).unwrap();
}

/// Logs in, with private data connections over TLS.
fn session(server: &Server, user: &str, tls: Option<&Tls>) -> Client {
    let Some(tls) = tls else { return Client::login(server, user, "secret") };
    let mut client = Client::auth(server, tls);
    client.cmd(&format!("USER {user}"), 331);
    client.cmd("PASS secret", 230);
    client.go_private();
    client
}

/// Uploads or downloads this many bytes, and returns how long that took.
fn transfer(
    server: &Server,
    user: &str,
    over: Option<&'static SupportedProtocolVersion>,
    (up, name, size): (bool, &str, usize),
) -> Duration {
    let tls = over.map(Tls::new);
    let mut client = session(server, user, tls.as_ref());
    let began = Instant::now();
    match (&tls, up) {
        (None, true) => drop(client.upload(&format!("STOR {name}"), &vec![7; size])),
        (None, false) => assert_eq!(client.download(&format!("RETR {name}")).len(), size),
        (Some(tls), true) => {
            client.secure_upload(tls, &format!("STOR {name}"), &vec![7; size]);
        }
        (Some(tls), false) => {
            let bytes = client.secure_download(tls, &format!("RETR {name}"));
            assert_eq!(bytes.len(), size);
        }
    }
    let took = began.elapsed();
    assert_eq!(fs::metadata(server.home().join(name)).unwrap().len(), size as u64);
    took
}

/// Eight transfers in as many sessions, in clear text and over TLS. Returns how long each took, and all
/// together.
fn eight(
    server: &Server,
    users: [&str; 2],
    up: bool,
    size: usize,
) -> (Vec<Duration>, Duration) {
    if !up {
        sparse(server, "file", size);
    }
    let began = Instant::now();
    let took = thread::scope(|scope| {
        let one = |which: usize| {
            let name = if up { format!("file-{which}") } else { "file".to_owned() };
            let (user, over) = (users[which % 2], OVER[which % 3]);
            scope.spawn(move || transfer(server, user, over, (up, &name, size)))
        };
        let all: Vec<_> = (0..8).map(one).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    (took, began.elapsed())
}

/// All eight together took about two seconds, however late some of them began, and none was faster than
/// the limit lets one alone be.
#[track_caller]
fn shared((took, together): (Vec<Duration>, Duration), up: bool) {
    assert!((1.85..30.0).contains(&together.as_secs_f64()), "{together:?} {took:?}, up {up}");
    assert!(took.iter().all(|took| took.as_secs_f64() > 0.2), "{took:?}, up {up}");
}

#[test]
fn the_transfers_of_a_user_share_its_limit_in_all_sessions() {
    let lines = "user_max_upload = 2M\nuser_max_download = 2M";
    let server = setup(lines).section(&user("free", "user_max_download = 0")).start();
    sparse(&server, "huge", 128 << 20);
    for up in [false, true] {
        thread::scope(|scope| {
            // the section of a user goes before [server]: at 2M, this would take a minute
            let free = || transfer(&server, "free", None, (false, "huge", 128 << 20));
            let free = scope.spawn(free);
            shared(eight(&server, ["bob", "bob"], up, 512 * KIB), up);
            assert!(free.join().unwrap() < Duration::from_secs(40));
        });
    }
}

#[test]
fn the_transfers_of_all_users_share_the_limit_of_the_server() {
    let lines = "server_max_upload = 2M\nserver_max_download = 2M";
    let server = setup(lines).section(&user("anna", "")).start();
    for up in [false, true] {
        shared(eight(&server, ["bob", "anna"], up, 512 * KIB), up);
    }
}

#[test]
fn anonymous_users_are_one_user_and_each_other_user_is_another() {
    let lines = "user_max_download = 1M\nenable_anonymous = on\nanonymous_path = home";
    let server = setup(lines).start();
    sparse(&server, "file", 1 << 20);
    let took = |names: [&'static str; 2]| {
        let began = Instant::now();
        thread::scope(|scope| {
            for name in names {
                let server = &server;
                scope.spawn(move || {
                    let one = (false, "file", 1 << 20);
                    transfer(server, name, None, one)
                });
            }
        });
        began.elapsed()
    };
    assert!(took(["anonymous", "ftp"]) >= Duration::from_millis(1850));
    assert!(took(["anonymous", "bob"]) >= Duration::from_millis(850));
}

#[test]
fn what_clients_that_stand_still_leave_goes_to_the_others() {
    let server = setup("user_max_download = 1M").start();
    sparse(&server, "huge", 1 << 30);
    sparse(&server, "file", 4 << 20);
    // the buffers of the system take some megabytes of each first
    let mut stuck: Vec<(Client, TcpStream)> = Vec::new();
    for _ in 0..7 {
        let mut client = Client::bob(&server);
        let data = client.passive();
        socket2::SockRef::from(&data).set_recv_buffer_size(16 * KIB).unwrap();
        client.cmd("RETR huge", 150);
        stuck.push((client, data));
    }
    let bytes = || {
        let of = |session: &Value| session["transfer"]["bytes"].as_u64();
        sessions(&server).iter().filter_map(of).sum::<u64>()
    };
    let mut before = u64::MAX;
    eventually("nobody takes anything", || {
        thread::sleep(Duration::from_millis(500));
        std::mem::replace(&mut before, bytes()) == before
    });
    let took = transfer(&server, "bob", None, (false, "file", 4 << 20));
    // with an eighth of the limit it would take half a minute
    assert!((3.8..20.0).contains(&took.as_secs_f64()), "{took:?}");
    drop(stuck);
}

#[test]
fn the_tightest_of_all_limits_wins() {
    let lines = "max_download = 400K\nuser_max_download = 2M\nserver_max_download = 1M";
    let server = setup(lines).section(&user("anna", "max_download = 0")).start();
    sparse(&server, "file", 800 * KIB);
    let took = transfer(&server, "bob", None, (false, "file", 800 * KIB)).as_secs_f64();
    assert!((1.9..20.0).contains(&took), "{took}");
    let took = transfer(&server, "anna", None, (false, "file", 800 * KIB)).as_secs_f64();
    assert!((0.7..20.0).contains(&took), "{took}");
}

fn change(server: &Server, from: &str, to: &str) {
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "no '{from}' in\n{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
    let (code, _, err) = run(&["reload"], server.dir());
    assert_eq!(code, 0, "{err}");
}

#[test]
fn a_reload_raises_and_lifts_the_limits_of_running_transfers() {
    for (key, new) in [
        ("user_max_download", "50M"),
        ("user_max_upload", "50M"),
        ("server_max_download", "0"),
        ("server_max_upload", "0"),
    ] {
        let server = setup(&format!("{key} = 1K")).start();
        let up = key.ends_with("upload");
        sparse(&server, "file", 4 << 20);
        let began: Vec<_> = OVER
            .iter()
            .enumerate()
            .map(|(which, over)| {
                let tls = over.map(Tls::new);
                let mut client = session(&server, "bob", tls.as_ref());
                let data = client.passive();
                let line = if up { format!("STOR {which}") } else { "RETR file".to_owned() };
                client.cmd(&line, 150);
                (client, tls, data)
            })
            .collect();
        thread::scope(|scope| {
            for (mut client, tls, mut data) in began {
                scope.spawn(move || {
                    match (tls, up) {
                        (None, true) => {
                            data.write_all(&vec![7; 4 << 20]).unwrap();
                            drop(data);
                        }
                        (None, false) => {
                            assert_eq!(data.read_to_end(&mut Vec::new()).unwrap(), 4 << 20);
                        }
                        (Some(tls), true) => {
                            let mut data = tls.over(data);
                            data.send(&vec![7; 4 << 20]).unwrap();
                            data.end();
                        }
                        (Some(tls), false) => {
                            let mut data = tls.over(data);
                            assert_eq!(data.read_all().unwrap().len(), 4 << 20);
                            data.end();
                        }
                    }
                    client.expect(226);
                });
            }
            eventually("all three move", || {
                let moves = |session: &&Value| session["transfer"]["bytes"].as_u64() > Some(0);
                sessions(&server).iter().filter(moves).count() == 3
            });
            // at the old speed it would take hours
            change(&server, &format!("{key} = 1K"), &format!("{key} = {new}"));
        });
    }
}

#[test]
fn a_reload_limits_transfers_that_had_no_limit() {
    let server = setup("welcome_msg = x").start();
    sparse(&server, "file", 1 << 40);
    let mut clients: Vec<_> = (0..2)
        .map(|_| {
            let mut client = Client::bob(&server);
            let mut data = client.passive();
            client.cmd("RETR file", 150);
            data.read_exact(&mut [0; 1000]).unwrap();
            (client, data)
        })
        .collect();
    change(&server, "welcome_msg = x", "user_max_download = 100K");
    // what is in the buffers of the system still arrives
    thread::scope(|scope| {
        for (_, data) in &mut clients {
            scope.spawn(move || {
                data.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                let (mut all, began) = (0, Instant::now());
                while began.elapsed() < Duration::from_secs(3) {
                    all += data.read(&mut vec![0; 64 * KIB]).unwrap_or_default();
                }
                assert!(all < 60 << 20, "{all}");
            });
        }
    });
    for (client, _) in &mut clients {
        client.cmd("ABOR", 426);
        client.expect(226);
    }
}

fn sessions(server: &Server) -> Vec<Value> {
    let (code, out, err) = run(&["who", "--json"], server.dir());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn who_shows_the_share_of_each_transfer() {
    let server = setup("user_max_download = 400K").section(&user("anna", "")).start();
    sparse(&server, "file", 1 << 30);
    let mut clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = Client::bob(&server);
            let data = client.passive();
            client.cmd("RETR file", 150);
            (client, data)
        })
        .collect();
    thread::scope(|scope| {
        for (client, data) in &mut clients {
            scope.spawn(move || {
                while data.read(&mut vec![0; 64 * KIB]).is_ok_and(|bytes| bytes > 0) {}
                client.expect(426);
            });
        }
        eventually("each has a quarter", || {
            let share = |session: &Value| session["transfer"]["share"].as_u64();
            let all = sessions(&server);
            let quarters = all.iter().filter_map(share);
            quarters.filter(|share| (80 << 10..130 << 10).contains(share)).count() == 4
        });
        let (_, out, _) = run(&["who"], server.dir());
        assert_eq!(out.matches(" (share ").count(), 4, "{out}");
        change(&server, "user_max_download = 400K", "user_max_download = 0");
        assert!(sessions(&server).iter().all(|one| one["transfer"]["share"].is_null()));
        run(&["kick", "bob"], server.dir());
    });
}

#[test]
fn users_lists_the_limits_that_transfers_share() {
    let server = setup("user_max_download = 4M")
        .section(&user("anna", "user_max_upload = 1M\nuser_max_download = 0"))
        .start();
    let (_, out, _) = run(&["users"], server.dir());
    let line = |name: &str| out.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("bob").contains("all down 4.0 MiB/s"), "{out}");
    assert!(line("anna").contains("all up 1.0 MiB/s"), "{out}");
    assert!(!line("anna").contains("all down"), "{out}");
}
