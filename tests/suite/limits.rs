//! Limits and the end of the server: `max_cons`, `max_per_ip`, timeouts, throttles, stopping,
//! few file descriptors.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::client::Client;
use crate::server::{PATIENCE, Server, eventually, free_port, pause, run};

/// How far measured times may be off on a machine that has other things to do.
const PROMPT: Duration = Duration::from_secs(10);

/// A client that is let in as soon as there is a place.
fn enter(server: &Server) -> Client {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::silent(server.address());
        if client.next_code() == 220 || Instant::now() > until {
            client.expect(220);
            return client;
        }
        client.expect(421);
        client.expect_close();
        pause();
    }
}

/// A client that is let in as soon as there is a place, and has logged in.
fn enter_as_bob(server: &Server) -> Client {
    let mut client = enter(server);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("TYPE I", 200);
    client
}

/// Connects from this address without reading the greeting.
fn from(ip: &str, server: SocketAddr) -> Client {
    let ip: IpAddr = ip.parse().unwrap();
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    socket.connect_timeout(&server.into(), PATIENCE).unwrap();
    Client::over(TcpStream::from(socket))
}

/// Reads a 421 and the end of the connection.
fn turned_away(mut client: Client) {
    client.expect(421);
    client.expect_close();
}

/// Processor time that the server has used.
fn processor_time(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let field = |n: usize| -> u64 { behind_name.split(' ').nth(n).unwrap().parse().unwrap() };
    // user and system time, in hundredths of a second
    Duration::from_millis((field(12) + field(13)) * 10)
}

/// A file of zeros that needs no room.
fn sparse(server: &Server, name: &str, size: u64) {
    let file = File::create(server.home().join(name)).unwrap();
    file.set_len(size).unwrap();
}

mod admission {
    use super::*;

    #[test]
    fn one_client_more_than_max_cons_is_421_at_once_and_recovers() {
        let server = Server::setup().server("max_cons = 2").start();
        let mut first = Client::bob(&server);
        let second = Client::connect(&server);
        for _ in 0..5 {
            turned_away(Client::silent(server.address()));
        }
        first.cmd("NOOP", 200);
        // a place comes back with QUIT, and when a client just goes
        first.cmd("QUIT", 221);
        let mut first = enter_as_bob(&server);
        turned_away(Client::silent(server.address()));
        drop(second);
        let _second = enter(&server);
        turned_away(Client::silent(server.address()));
        first.cmd("NOOP", 200);
        server.wait_for_log("turned away: max_cons");
    }

    #[test]
    fn after_the_221_a_client_may_connect_again_at_once() {
        let limits = "max_cons = 1\nmax_per_user = 1\npassive_ports = 9010-9010";
        let server = Server::setup().server(limits).start();
        for _ in 0..50 {
            let mut client = Client::bob(&server);
            client.passive_address("EPSV");
            client.cmd("QUIT", 221);
        }
    }

    #[test]
    fn one_client_more_than_max_per_ip_is_421_and_other_addresses_are_not() {
        let server = Server::setup().ip("0.0.0.0").server("max_per_ip = 2").start();
        let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
        let mut inside = [from("127.0.0.1", address), from("127.0.0.1", address)];
        for client in &mut inside {
            client.expect(220);
        }
        turned_away(from("127.0.0.1", address));
        let mut others = [from("127.0.0.2", address), from("127.0.0.2", address)];
        for client in &mut others {
            client.expect(220);
        }
        turned_away(from("127.0.0.2", address));
        inside[0].cmd("QUIT", 221);
        enter(&server);
        others[0].cmd("NOOP", 200);
        server.wait_for_log("turned away: max_per_ip");
    }

    #[test]
    fn max_per_ip_knows_an_ipv4_client_of_an_ipv6_socket_by_its_ipv4_address() {
        let server = Server::setup().ip("::").server("max_per_ip = 1").start();
        let port = server.address().port();
        let mut first = from("127.0.0.1", ([127, 0, 0, 1], port).into());
        first.expect(220);
        turned_away(from("127.0.0.1", ([127, 0, 0, 1], port).into()));
        from("127.0.0.2", ([127, 0, 0, 1], port).into()).expect(220);
        from("::1", SocketAddr::new("::1".parse().unwrap(), port)).expect(220);
    }

    /// A client that has been greeted.
    fn stranger(ip: &str, server: &Server) -> Client {
        let port = server.address().port();
        let mut client = from(ip, ([127, 0, 0, 1], port).into());
        client.expect(220);
        client
    }

    fn bob_from(ip: &str, server: &Server) -> Client {
        let mut client = stranger(ip, server);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client
    }

    fn evicted(mut client: Client) {
        assert!(client.expect(421).contains("try again later"));
        client.expect_close();
    }

    #[test]
    fn strangers_do_not_shut_out_users() {
        let server = Server::setup().ip("0.0.0.0").server("max_cons = 6").start();
        let mut few: Vec<_> = (0..2).map(|_| stranger("127.0.0.3", &server)).collect();
        let mut many: Vec<_> = (0..4).map(|_| stranger("127.0.0.2", &server)).collect();
        // the oldest of those from where most of them come
        let mut users = vec![bob_from("127.0.0.4", &server)];
        evicted(many.remove(0));
        users.push(bob_from("127.0.0.2", &server));
        evicted(many.remove(0));
        // two strangers each now, and the oldest of all is from there; then they have only half
        let mut last = stranger("127.0.0.5", &server);
        evicted(few.remove(0));
        last.cmd("USER bob", 331);
        last.cmd("PASS secret", 230);
        let port = server.address().port();
        turned_away(from("127.0.0.6", ([127, 0, 0, 1], port).into()));
        for client in few.iter_mut().chain(&mut many) {
            client.cmd("NOOP", 200);
        }
        for user in &mut users {
            user.cmd("PWD", 257);
        }
        let line = server.wait_for_log("turned away: ");
        assert!(line.contains("127.0.0.2:") && line.contains("WARN"), "{line}");
        let (_, out, _) = run(&["stats"], server.dir());
        assert!(out.contains("3 evicted, 1 max cons"), "{out}");
    }

    #[test]
    fn users_are_never_evicted_and_who_logs_out_is_a_stranger_again() {
        let server = Server::setup().server("max_cons = 3").start();
        let mut users: Vec<_> = (0..3).map(|_| Client::bob(&server)).collect();
        turned_away(Client::silent(server.address()));
        users[1].cmd("REIN", 220);
        turned_away(Client::silent(server.address()));
        users[0].cmd("USER bob", 331);
        // the last of these to log out is the youngest stranger, whenever it came
        let next = Client::bob(&server);
        evicted(users.remove(1));
        users[0].cmd("PASS secret", 230);
        users[1].cmd("NOOP", 200);
        turned_away(Client::silent(server.address()));
        drop(next);
    }

    #[test]
    fn max_per_ip_goes_before_a_place_that_could_be_had() {
        let server = Server::setup().server("max_cons = 3\nmax_per_ip = 3").start();
        let mut inside: Vec<_> = (0..3).map(|_| Client::connect(&server)).collect();
        turned_away(Client::silent(server.address()));
        server.wait_for_log("turned away: max_per_ip");
        for client in &mut inside {
            client.cmd("NOOP", 200);
        }
    }

    /// What a client does while it holds its place.
    type Occupy<'a> = &'a dyn Fn(&mut Client);

    #[test]
    fn a_stranger_gives_its_place_back_whatever_it_is_doing() {
        let slow = "$2b$14$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl.";
        let port = free_port();
        let lines = "max_cons = 1\ntls_cert = auto\nlogin_timeout = 0\npassword_workers = 1";
        let server = Server::setup()
            .ip("0.0.0.0")
            .server(&format!("{lines}\ntls_implicit_port = {port}"))
            .section(&format!("[user:slow]\npassword = {slow}\nperm = el\nhome = home"))
            .start();
        let implicit = SocketAddr::from(([127, 0, 0, 1], port));
        let explicit = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
        let waits = |client: &mut Client| {
            client.expect(220);
        };
        let shakes_hands = |client: &mut Client| {
            client.expect(220);
            client.cmd("AUTH TLS", 234);
            client.raw(b"\x16\x03\x01\x02\x00\x01");
        };
        let reads_nothing = |client: &mut Client| {
            client.stream().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            while client.stream().write(&b"HELP\r\n".repeat(1000)).is_ok() {}
        };
        let is_checked = |client: &mut Client| {
            client.expect(220);
            client.raw(b"USER slow\r\nPASS wrong\r\n");
            client.expect(331);
        };
        let pauses = |client: &mut Client| {
            client.raw(b"USER bob\r\nPASS wrong\r\n");
            server.wait_for_log("login failed for 'bob'");
        };
        let says_nothing = |_: &mut Client| {};
        let cases: [(SocketAddr, Occupy<'_>); 6] = [
            (explicit, &waits),
            (explicit, &shakes_hands),
            (explicit, &reads_nothing),
            (explicit, &is_checked),
            (explicit, &pauses),
            (implicit, &says_nothing),
        ];
        for (number, (address, occupy)) in cases.into_iter().enumerate() {
            let mut old = Client::silent(address);
            // a flood at the accept thread has nothing to do with it
            eventually("it is inside", || run(&["who"], server.dir()).1.lines().count() == 2);
            occupy(&mut old);
            let began = Instant::now();
            // from the address of one that serves a pause nobody would get its place
            let mut user = from("127.0.0.3", explicit);
            user.expect(220);
            user.cmd("USER bob", 331);
            user.cmd("PASS secret", 230);
            assert!(began.elapsed() < PROMPT, "{number}: {:?}", began.elapsed());
            turned_away(Client::silent(explicit));
            user.cmd("QUIT", 221);
            user.expect_close();
            drop(old);
            eventually("all are gone", || run(&["who"], server.dir()).1.lines().count() == 1);
        }
    }

    /// A client whose fourth wrong password, which takes two seconds, has just been sent.
    fn guesser(ip: &str, server: &Server) -> (Client, Instant) {
        let mut client = stranger(ip, server);
        for _ in 0..3 {
            client.cmd("USER bob", 331);
            client.cmd("PASS wrong", 530);
        }
        let began = Instant::now();
        client.raw(b"USER bob\r\nPASS last\r\n");
        client.expect(331);
        eventually("the pause begins", || server.log().matches("login failed").count() == 4);
        (client, began)
    }

    #[test]
    fn a_pause_is_evicted_last() {
        let lines = "max_cons = 3\nmax_login_attempts = 0";
        let server = Server::setup().ip("0.0.0.0").server(lines).start();
        let (mut guesser, began) = guesser("127.0.0.2", &server);
        let second = stranger("127.0.0.2", &server);
        let third = stranger("127.0.0.2", &server);
        let mut bob = bob_from("127.0.0.3", &server);
        evicted(second);
        let fourth = stranger("127.0.0.4", &server);
        evicted(third);
        let mut fifth = stranger("127.0.0.5", &server);
        evicted(fourth);
        guesser.expect(530);
        assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
        bob.cmd("PWD", 257);
        fifth.cmd("NOOP", 200);
    }

    #[test]
    fn who_serves_a_pause_does_not_evict_those_from_where_no_more_come() {
        let lines = "max_cons = 2\nmax_login_attempts = 0";
        let server = Server::setup().ip("0.0.0.0").server(lines).start();
        let (mut guesser, _) = guesser("127.0.0.2", &server);
        let mut bob = stranger("127.0.0.3", &server);
        let port = server.address().port();
        turned_away(from("127.0.0.2", ([127, 0, 0, 1], port).into()));
        bob.cmd("USER bob", 331);
        bob.cmd("PASS secret", 230);
        guesser.expect(530);
    }

    #[test]
    fn an_evicted_pause_is_still_paid_for() {
        let lines = "max_cons = 1\nmax_login_attempts = 0\nmax_per_ip = 1";
        let server = Server::setup().ip("0.0.0.0").server(lines).start();
        let (mut guesser, began) = guesser("127.0.0.2", &server);
        let mut bob = bob_from("127.0.0.3", &server);
        guesser.expect(530);
        evicted(guesser);
        assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
        bob.cmd("QUIT", 221);
        bob.expect_close();
        let port = server.address().port();
        loop {
            let mut again = from("127.0.0.2", ([127, 0, 0, 1], port).into());
            if again.next_code() == 220 {
                break;
            }
            turned_away(again);
            assert!(began.elapsed() < PATIENCE);
            pause();
        }
        assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    }

    #[test]
    fn a_flood_of_connects_leaves_the_sessions_inside_undisturbed() {
        let server = Server::setup().server("max_cons = 2").start();
        let content: Vec<u8> =
            (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        server.put("file", &content);
        let mut worker = Client::bob(&server);
        let mut idler = Client::bob(&server);
        let over = AtomicBool::new(false);
        let files = server.open_files();
        thread::scope(|scope| {
            scope.spawn(|| {
                // as fast as one can: first all connects, then all answers
                for _ in 0..5 {
                    let crowd: Vec<_> =
                        (0..100).map(|_| Client::silent(server.address())).collect();
                    crowd.into_iter().for_each(turned_away);
                }
                over.store(true, Ordering::SeqCst);
            });
            let mut rounds = 0;
            while !over.load(Ordering::SeqCst) || rounds < 3 {
                assert!(worker.download("RETR file") == content);
                worker.upload("STOR copy", &content);
                assert!(server.get("copy") == content);
                rounds += 1;
            }
        });
        idler.cmd("NOOP", 200);
        eventually("all descriptors are given back", || server.open_files() <= files);
        idler.cmd("QUIT", 221);
        enter(&server);
    }

    #[test]
    fn sessions_give_back_descriptors_threads_and_ports() {
        let server = Server::setup().server("passive_ports = 9000-9003").start();
        sparse(&server, "large", 64 << 20);
        let visit = |ending: usize| {
            let mut client = Client::bob(&server);
            client.upload("STOR file", b"text");
            client.lines("LIST");
            client.passive_address("EPSV");
            client.passive_address("PASV");
            match ending % 5 {
                0 => drop(client.cmd("QUIT", 221)),
                1 => drop(client.cmd("REIN", 220)),
                2 => {
                    let data = client.passive();
                    client.cmd("RETR large", 150);
                    drop((client, data));
                }
                3 => {
                    let mut data = client.passive();
                    client.cmd("STOR other", 150);
                    data.write_all(b"half").unwrap();
                    drop(client);
                }
                _ => {
                    client.passive_address("EPSV");
                    client.send("RETR file");
                }
            }
        };
        let sessions = || {
            let threads = server.threads();
            threads.iter().filter(|name| name.starts_with("session")).count()
        };
        visit(0);
        eventually("the first session is over", || server.log().matches("ended").count() == 1);
        let files = server.open_files();
        for ending in 0..20 {
            visit(ending);
            let ended = ending + 2;
            eventually("the session is over", || {
                server.log().matches("ended").count() == ended
            });
        }
        eventually("all descriptors are given back", || server.open_files() <= files);
        assert!(sessions() < 10, "{:?}", server.threads());
    }
}

mod timeouts {
    use super::*;

    #[test]
    fn an_idle_session_is_421_and_the_end() {
        let server = Server::setup().server("idle_timeout = 1").start();
        let began = Instant::now();
        let client = Client::bob(&server);
        // a line that does not end is no command
        let talker = Client::bob(&server);
        let stream = talker.stream().try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || drip(stream, b"N"));
            turned_away(client);
            turned_away(talker);
        });
        assert!(began.elapsed() >= Duration::from_millis(900));
        eventually("the log has both", || server.log().matches(": idle").count() == 2);
    }

    #[test]
    fn commands_and_transfers_are_not_idle() {
        let setup = Server::setup().server("idle_timeout = 2");
        let server = setup.user("max_download = 100K").start();
        sparse(&server, "file", 250 << 10);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = Client::bob(&server);
                assert_eq!(client.download("RETR file").len(), 250 << 10);
                client.cmd("NOOP", 200);
            });
            scope.spawn(|| {
                let mut client = Client::bob(&server);
                for _ in 0..6 {
                    // six pauses, which together are longer than idle_timeout
                    thread::sleep(Duration::from_millis(500));
                    client.cmd("NOOP", 200);
                }
            });
        });
    }

    /// Sends these bytes again and again, until the server closes the connection.
    fn drip(mut stream: TcpStream, bytes: &[u8]) {
        let until = Instant::now() + PATIENCE;
        while !bytes.is_empty() && Instant::now() < until && stream.write_all(bytes).is_ok() {
            // a byte now and then: sent at full speed, they would only fill the line
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn login_timeout_ends_strangers_whatever_they_send() {
        let server =
            Server::setup().server("login_timeout = 1\nmax_login_attempts = 100").start();
        let mut bob = Client::bob(&server);
        let drippings: [&[u8]; 7] = [
            b"",
            b"x",
            b"NOOP\r\n",
            b"USER bob\r\n",
            b"USER bob\r\nREIN\r\n",
            b"\xff\xf1",
            b"NOOP\r\nNO",
        ];
        thread::scope(|scope| {
            for bytes in drippings {
                let server = &server;
                scope.spawn(move || {
                    let mut client = Client::connect(server);
                    let began = Instant::now();
                    let stream = client.stream().try_clone().unwrap();
                    thread::scope(|scope| {
                        scope.spawn(move || drip(stream, bytes));
                        while client.next_code() != 421 {
                            client.expect_in(200..600);
                        }
                        turned_away(client);
                    });
                    let took = began.elapsed();
                    assert!(took >= Duration::from_millis(900) && took < PROMPT, "{took:?}");
                });
            }
        });
        // who has logged in is beyond it
        bob.cmd("NOOP", 200);
        let refused = || server.log().matches("no login in time").count();
        eventually("the log has them all", || refused() == drippings.len());
    }

    #[test]
    fn login_timeout_begins_anew_when_a_user_logs_out() {
        let server = Server::setup().server("login_timeout = 1").start();
        let mut first = Client::bob(&server);
        let mut second = Client::bob(&server);
        turned_away(Client::connect(&server));
        first.cmd("REIN", 220);
        second.cmd("USER bob", 331);
        first.cmd("USER bob", 331);
        first.cmd("PASS secret", 230);
        turned_away(second);
        first.cmd("NOOP", 200);
    }

    #[test]
    fn login_timeout_ends_a_stranger_who_does_not_read_the_replies() {
        let server = Server::setup().server("login_timeout = 1\nmax_cons = 1").start();
        let stranger = Client::connect(&server);
        let mut stream = stranger.stream();
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        // until the replies fill all buffers, and then the commands
        let lines = b"HELP\r\n".repeat(1000);
        let mut sent = 0;
        while let Ok(more @ 1..) = stream.write(&lines) {
            sent += more;
            assert!(sent < 100 << 20, "the server never stops reading");
        }
        let began = Instant::now();
        enter(&server);
        assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    }

    #[test]
    fn a_data_connection_that_is_never_opened_is_425_and_changes_nothing() {
        let server = Server::setup().server("data_timeout = 1").start();
        server.put("file", "old");
        thread::scope(|scope| {
            for line in ["RETR file", "STOR file", "STOR new", "APPE file", "STOU", "LIST"] {
                let server = &server;
                scope.spawn(move || {
                    let mut client = Client::bob(server);
                    client.passive_address("EPSV");
                    let began = Instant::now();
                    client.cmd(line, 425);
                    let took = began.elapsed();
                    let range = Duration::from_millis(900)..PROMPT;
                    assert!(range.contains(&took), "{line}: {took:?}");
                    // and once it is opened, all is well
                    assert_eq!(client.download("RETR file"), b"old");
                });
            }
        });
        assert_eq!(server.get("file"), b"old");
        assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
        server.wait_for_log("firewall");
    }

    #[test]
    fn an_upload_that_stands_still_is_426_and_the_session_goes_on() {
        let server = Server::setup().server("data_timeout = 1").start();
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("STOR file", 150);
        data.write_all(b"half").unwrap();
        client.expect(426);
        assert!(matches!(data.read(&mut [0]), Ok(0) | Err(_)), "data connection still open");
        assert!(!server.has("file"));
        client.upload("STOR file", b"whole");
        assert_eq!(server.get("file"), b"whole");
    }

    #[test]
    fn a_download_that_nobody_reads_is_426_and_the_session_goes_on() {
        let server = Server::setup().server("data_timeout = 1").start();
        sparse(&server, "large", 256 << 20);
        server.put("file", "text");
        thread::scope(|scope| {
            for letter in ["I", "A"] {
                let server = &server;
                scope.spawn(move || {
                    let mut client = Client::bob(server);
                    client.cmd(&format!("TYPE {letter}"), 200);
                    let data = client.passive();
                    client.cmd("RETR large", 150);
                    client.expect(426);
                    drop(data);
                    assert_eq!(client.download("RETR file"), b"text");
                });
            }
        });
    }

    #[test]
    fn a_slow_peer_is_not_taken_for_one_that_stands_still() {
        let server = Server::setup().server("data_timeout = 1").start();
        sparse(&server, "large", 32 << 20);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = Client::bob(&server);
                let mut data = client.passive();
                client.cmd("RETR large", 150);
                // it takes much longer than data_timeout until a good part of the buffers is
                // free again, but a little of them is free all the time
                let mut chunk = vec![0; 10 << 10];
                let mut size = 0;
                for _ in 0..80 {
                    // the pace of a slow client is what is tested
                    thread::sleep(Duration::from_millis(50));
                    data.read_exact(&mut chunk).unwrap();
                    size += chunk.len();
                }
                let mut rest = Vec::new();
                size += data.read_to_end(&mut rest).unwrap();
                client.expect(226);
                assert_eq!(size, 32 << 20);
            });
            scope.spawn(|| {
                let mut client = Client::bob(&server);
                let mut data = client.passive();
                client.cmd("STOR file", 150);
                for _ in 0..30 {
                    data.write_all(b"x").unwrap();
                    // the pace of a slow client is what is tested
                    thread::sleep(Duration::from_millis(100));
                }
                drop(data);
                client.expect(226);
                assert_eq!(server.get("file"), b"x".repeat(30));
            });
        });
    }
}

mod throttles {
    use super::*;

    /// How long it takes to send or receive this many bytes.
    fn time(server: &Server, user: &str, up: bool, size: usize) -> Duration {
        let mut client = Client::login(server, user, "secret");
        let mut data = client.passive();
        let name = format!("{user}-{up}");
        if up {
            client.cmd(&format!("STOR {name}"), 150);
            let began = Instant::now();
            data.write_all(&vec![1; size]).unwrap();
            drop(data);
            client.expect(226);
            let took = began.elapsed();
            assert!(server.get(&name) == vec![1; size]);
            return took;
        }
        sparse(server, &name, size as u64);
        client.cmd(&format!("RETR {name}"), 150);
        let began = Instant::now();
        let mut content = Vec::new();
        data.read_to_end(&mut content).unwrap();
        client.expect(226);
        assert_eq!(content.len(), size);
        began.elapsed()
    }

    fn user(name: &str, lines: &str) -> String {
        format!("[user:{name}]\npassword = secret\nperm = lrw\nhome = home\n{lines}\n")
    }

    #[test]
    fn throttles_hold_at_low_and_at_high_rates_up_and_down() {
        let server = Server::setup()
            .server("max_upload = 300K\nmax_download = 300K")
            .section(&user("fast", "max_upload = 10M\nmax_download = 10M/s"))
            .start();
        thread::scope(|scope| {
            for (user, rate) in [("bob", 300 << 10), ("fast", 10 << 20)] {
                for up in [true, false] {
                    let server = &server;
                    scope.spawn(move || {
                        let took = time(server, user, up, rate * 3).as_secs_f64();
                        let share = 3.0 / took;
                        // a busy machine may be slower; no machine may be faster
                        assert!((0.6..1.02).contains(&share), "{user}, up {up}: {share}");
                    });
                }
            }
        });
    }

    #[test]
    fn each_direction_and_each_user_has_a_limit_of_its_own() {
        let server = Server::setup()
            .server("max_download = 100K")
            .section(&user("free", "max_download = 0"))
            .section(&user("up", "max_download = 0\nmax_upload = 100K"))
            .start();
        // at 100K this would take 40 s
        let much = 4 << 20;
        let (little, two_seconds) = (200 << 10, Duration::from_millis(1950));
        thread::scope(|scope| {
            for (user, up) in [("free", false), ("free", true), ("bob", true), ("up", false)] {
                let server = &server;
                scope.spawn(move || {
                    let took = time(server, user, up, much);
                    assert!(took < Duration::from_secs(20), "{user}, up {up}: {took:?}");
                });
            }
            for (user, up) in [("bob", false), ("up", true)] {
                let server = &server;
                scope.spawn(move || {
                    let took = time(server, user, up, little);
                    assert!(took >= two_seconds, "{user}, up {up}: {took:?}");
                });
            }
        });
    }

    #[test]
    fn a_pause_of_the_client_is_no_credit_for_a_burst() {
        let server = Server::setup().user("max_upload = 100K").start();
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("STOR file", 150);
        data.write_all(b"x").unwrap();
        eventually("the first byte is there", || client.cmd("STAT", 211).contains(" 1 bytes"));
        // the pause that must earn no credit
        thread::sleep(Duration::from_secs(1));
        let began = Instant::now();
        data.write_all(&vec![0; 150 << 10]).unwrap();
        drop(data);
        client.expect(226);
        assert!(began.elapsed() >= Duration::from_millis(1200), "{:?}", began.elapsed());
    }

    #[test]
    fn abor_and_stat_are_prompt_however_low_the_rate() {
        let setup = Server::setup().server("data_timeout = 1");
        let server = setup.user("max_download = 1\nmax_upload = 1").start();
        sparse(&server, "file", 1 << 20);
        for line in ["RETR file", "STOR other"] {
            let mut client = Client::bob(&server);
            let mut data = client.passive();
            client.cmd(line, 150);
            let began = Instant::now();
            if line.starts_with("STOR") {
                data.write_all(&[0; 1000]).unwrap();
            } else {
                data.read_exact(&mut [0]).unwrap();
            }
            client.send("STAT");
            client.expect_in(211..214);
            client.send("ABOR");
            client.expect(426);
            client.expect(226);
            assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
            client.cmd("NOOP", 200);
        }
    }
}

mod stopping {
    use super::*;

    #[test]
    fn idle_sessions_get_421_and_the_program_ends_well_and_leaves_nothing() {
        for signal in ["INT", "TERM"] {
            let mut server = Server::start();
            let port = server.address().port();
            let clients = [Client::connect(&server), Client::bob(&server), {
                let mut client = Client::connect(&server);
                client.cmd("USER bob", 331);
                client
            }];
            let mut waiting = Client::bob(&server);
            let passive = waiting.passive_address("EPSV");
            let began = Instant::now();
            server.signal(signal);
            clients.into_iter().for_each(turned_away);
            turned_away(waiting);
            let status = server.wait_for_exit();
            assert_eq!(status.code(), Some(0), "{signal}\n{}", server.log());
            assert!(began.elapsed() < PROMPT);
            for address in [server.address(), passive] {
                assert!(TcpStream::connect_timeout(&address, PATIENCE).is_err(), "{address}");
            }
            assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
            server.wait_for_log("shutting down");
            // the next one can have the port at once
            let next = Server::setup().server(&format!("port = {port}")).start();
            Client::bob(&next);
        }
    }

    #[test]
    fn a_server_without_clients_ends_at_once() {
        for signal in ["INT", "TERM"] {
            let mut server = Server::setup().server("shutdown_grace = 1h").start();
            server.signal(signal);
            assert_eq!(server.wait_for_exit().code(), Some(0));
        }
    }

    #[test]
    fn running_transfers_may_finish_and_nobody_else_comes_in() {
        let mut server = Server::setup().server("shutdown_grace = 1h").start();
        sparse(&server, "large", 64 << 20);
        let (mut sender, mut getter) = (Client::bob(&server), Client::bob(&server));
        let (mut up, mut down) = (sender.passive(), getter.passive());
        sender.cmd("STOR file", 150);
        up.write_all(b"one half, ").unwrap();
        getter.cmd("RETR large", 150);
        down.read_exact(&mut [0; 1000]).unwrap();
        let idle = Client::bob(&server);
        server.signal("TERM");
        turned_away(idle);
        let address = server.address();
        eventually("the port is closed", || {
            TcpStream::connect_timeout(&address, PATIENCE).is_err()
        });
        up.write_all(b"and the other").unwrap();
        up.shutdown(Shutdown::Write).unwrap();
        sender.expect(226);
        turned_away(sender);
        let mut rest = Vec::new();
        down.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), (64 << 20) - 1000);
        getter.expect(226);
        turned_away(getter);
        assert_eq!(server.wait_for_exit().code(), Some(0));
        assert_eq!(server.get("file"), b"one half, and the other");
    }

    #[test]
    fn transfers_that_outlast_the_grace_are_426_and_never_226() {
        for grace in [0, 1] {
            let mut server = Server::setup()
                .server(&format!("shutdown_grace = {grace}\natomic_uploads = off"))
                .section("[user:slow]\npassword = x\nperm = rw\nhome = home")
                .section("max_download = 100K\nmax_upload = 10")
                .start();
            sparse(&server, "large", 256 << 20);
            let mut stalled = Client::bob(&server);
            let mut up = stalled.passive();
            stalled.cmd("STOR stalled", 150);
            up.write_all(b"half").unwrap();
            let mut unread = Client::bob(&server);
            let unread_data = unread.passive();
            unread.cmd("RETR large", 150);
            let mut throttled = Client::login(&server, "slow", "x");
            let mut down = throttled.passive();
            throttled.cmd("RETR large", 150);
            let mut trickle = Client::login(&server, "slow", "x");
            let mut all = trickle.passive();
            trickle.cmd("STOR trickle", 150);
            all.write_all(&[0; 1000]).unwrap();
            all.shutdown(Shutdown::Write).unwrap();
            eventually("both have begun", || server.get("stalled") == b"half");
            let began = Instant::now();
            server.signal("INT");
            for client in [&mut stalled, &mut unread, &mut throttled, &mut trickle] {
                let code = client.next_code();
                assert!([426, 451].contains(&code), "{code}");
                client.expect(code);
            }
            assert!(began.elapsed() >= Duration::from_secs(grace), "cut too early");
            [stalled, unread, throttled, trickle].into_iter().for_each(turned_away);
            let mut part = Vec::new();
            let _ = down.read_to_end(&mut part);
            assert!(part.len() < 10 << 20, "{}", part.len());
            drop((unread_data, up, all));
            assert_eq!(server.wait_for_exit().code(), Some(0));
            assert!(began.elapsed() < PROMPT + Duration::from_secs(grace));
            assert_eq!(server.get("stalled"), b"half");
            assert!(server.get("trickle").len() < 1000);
            eventually("the log has them all", || server.log().matches("failed:").count() == 4);
            assert!(!server.log().contains("complete"), "{}", server.log());
        }
    }

    #[test]
    fn a_second_signal_ends_at_once_and_is_no_226() {
        for signals in [["INT", "INT"], ["TERM", "TERM"], ["INT", "TERM"]] {
            let mut server = Server::setup().server("shutdown_grace = 1h").start();
            let mut client = Client::bob(&server);
            let mut data = client.passive();
            client.cmd("STOR file", 150);
            data.write_all(b"half").unwrap();
            let idle = Client::bob(&server);
            server.signal(signals[0]);
            turned_away(idle);
            client.expect_silence(Duration::from_millis(100));
            server.signal(signals[1]);
            // ended by itself, not by the signal
            assert!(server.wait_for_exit().code().is_some());
            drop(data);
            let mut last = String::new();
            let _ = client.stream().read_to_string(&mut last);
            assert!(!last.contains("226"), "{last}");
        }
    }

    #[test]
    fn a_transfer_whose_data_connection_never_came_is_refused_and_leaves_no_file() {
        let mut server =
            Server::setup().server("shutdown_grace = 1\ndata_timeout = 1h").start();
        server.put("old", "old");
        let mut clients = [Client::bob(&server), Client::bob(&server)];
        for (client, line) in clients.iter_mut().zip(["STOR new", "STOR old"]) {
            client.passive_address("EPSV");
            client.send(line);
            // answered during the wait for the data connection, so the wait has begun
            client.send("STAT");
            client.expect(211);
        }
        server.signal("TERM");
        for mut client in clients {
            client.expect_in(421..452);
        }
        assert_eq!(server.wait_for_exit().code(), Some(0));
        assert!(!server.has("new"));
        assert_eq!(server.get("old"), b"old");
    }

    #[test]
    fn a_client_that_never_stops_talking_is_no_running_transfer() {
        let mut server = Server::setup().server("shutdown_grace = 1h").start();
        let client = Client::bob(&server);
        let mut stream = client.stream().try_clone().unwrap();
        let mut replies = client.stream().try_clone().unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let lines = b"NOOP\r\n".repeat(10_000);
                while !over.load(Ordering::SeqCst) {
                    if stream.write_all(&lines).is_err() {
                        return;
                    }
                }
            });
            scope.spawn(|| {
                let mut chunk = [0; 1 << 14];
                while matches!(replies.read(&mut chunk), Ok(1..)) {}
            });
            server.signal("INT");
            server.wait_for_log("shutting down");
            let until = Instant::now() + PROMPT;
            let gone = || fs::read_to_string(format!("/proc/{}/stat", server.pid()));
            while !gone().unwrap().contains(") Z ") && Instant::now() < until {
                pause();
            }
            over.store(true, Ordering::SeqCst);
            let _ = client.stream().shutdown(Shutdown::Both);
            assert!(Instant::now() < until, "still running");
        });
        assert_eq!(server.wait_for_exit().code(), Some(0));
    }

    #[test]
    fn a_client_that_reads_nothing_does_not_keep_the_server() {
        let mut server = Server::setup().server("shutdown_grace = 1").start();
        let client = Client::bob(&server);
        let mut stream = client.stream();
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let lines = b"HELP\r\n".repeat(1000);
        while let Ok(1..) = stream.write(&lines) {}
        let began = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait_for_exit().code(), Some(0));
        assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    }
}

mod few_descriptors {
    use super::*;

    /// The numbers say what each part of the settings may need, so that the warning comes in time.
    #[test]
    fn the_warning_about_open_files_counts_what_the_settings_need() {
        for (lines, needed) in [
            ("", 10 * 20 + 32),
            ("before_publish = /bin/true\ngate_workers = 2", 11 * 20 + 32 + 16),
            ("proxy_from = 127.0.0.9", 10 * 20 + 32 + 256),
            ("proxy_from = 127.0.0.9\nproxy_data = on", 19 * 20 + 32 + 256),
        ] {
            let setup = Server::setup().server("max_cons = 20").server(lines);
            let server = setup.files(64).start();
            server.wait_for_log(&format!("max_cons may need {needed} open files"));
        }
    }

    #[test]
    fn a_server_without_descriptors_neither_ends_nor_spins_and_recovers() {
        let server = Server::setup().files(64).start();
        server.put("file", "text");
        let mut inside = Client::bob(&server);
        let mut crowd = Vec::new();
        let mut refused = 0;
        for _ in 0..120 {
            let mut client = Client::silent(server.address());
            if client.next_code() == 220 {
                client.expect(220);
                crowd.push(client);
            } else {
                turned_away(client);
                refused += 1;
            }
        }
        assert!(crowd.len() >= 20 && refused >= 50, "{} in, {refused} not", crowd.len());
        // who is inside gets refusals, and goes on
        inside.cmd("NOOP", 200);
        inside.send("EPSV");
        inside.expect_in(200..500);
        // neither a data connection nor a file can be had
        inside.send("RETR file");
        inside.expect_in(400..500);
        inside.cmd("NOOP", 200);
        let before = processor_time(&server);
        // the second of rest in which processor time is counted
        thread::sleep(Duration::from_secs(1));
        let used = processor_time(&server).saturating_sub(before);
        assert!(used < Duration::from_millis(300), "{used:?} in a second of rest");
        drop(crowd);
        let mut next = enter_as_bob(&server);
        eventually("there is room again", || server.open_files() < 32);
        for client in [&mut inside, &mut next] {
            assert_eq!(client.download("RETR file"), b"text");
            client.upload("STOR copy", b"other");
            client.lines("LIST");
        }
        assert_eq!(server.get("copy"), b"other");
        server.wait_for_log("ulimit -n");
    }

    #[test]
    fn a_server_without_descriptors_can_be_stopped() {
        let mut server = Server::setup().files(64).start();
        let mut inside = Vec::new();
        loop {
            let mut client = Client::silent(server.address());
            if client.next_code() == 421 {
                break;
            }
            client.expect(220);
            inside.push(client);
        }
        server.signal("TERM");
        inside.into_iter().for_each(turned_away);
        assert_eq!(server.wait_for_exit().code(), Some(0));
    }

    #[test]
    fn a_crowd_that_comes_and_goes_at_once_leaves_no_trace() {
        let server = Server::setup().files(64).start();
        let mut inside = Client::bob(&server);
        let files = server.open_files();
        for _ in 0..5 {
            let crowd: Vec<_> = (0..100)
                .map(|_| TcpStream::connect_timeout(&server.address(), PATIENCE).unwrap())
                .collect();
            drop(crowd);
        }
        eventually("all descriptors are given back", || {
            inside.cmd("NOOP", 200);
            server.open_files() <= files
        });
        enter_as_bob(&server).upload("STOR file", b"text");
        assert_eq!(server.get("file"), b"text");
    }
}

/// As deep as paths go: the system takes 4,095 bytes.
mod deep_paths {
    use super::*;

    const DEPTH: usize = 2040;

    /// A directory that lies so deep, made by the client; gives its path.
    fn descend(client: &mut Client) -> String {
        let mut path = String::new();
        for _ in 0..DEPTH / 8 {
            let mut lines = String::new();
            for _ in 0..8 {
                path += "/d";
                lines += &format!("MKD {path}\r\n");
            }
            client.raw(lines.as_bytes());
            for _ in 0..8 {
                client.expect(257);
            }
        }
        path
    }

    /// The home's own clean-up would hold every directory of the way.
    fn remove(server: &Server) {
        let removed = std::process::Command::new("rm").arg("-rf").arg(server.home()).status();
        assert!(removed.unwrap().success());
    }

    #[test]
    fn no_command_takes_more_than_a_few_descriptors_however_deep_its_path() {
        let server = Server::setup().files(48).start();
        let mut client = Client::bob(&server);
        let deep = descend(&mut client);
        // with a part about, every name is asked whether it has one
        let mut data = client.passive();
        client.cmd("STOR /part", 150);
        data.write_all(b"some").unwrap();
        crate::parts::arrived(&server.home(), 4);
        crate::client::reset(data);
        client.expect(426);
        client.upload(&format!("STOR {deep}/f"), b"text");
        client.upload(&format!("APPE {deep}/f"), b"more");
        client.cmd("REST 4", 350);
        client.upload(&format!("STOR {deep}/f"), b"most");
        assert_eq!(client.cmd(&format!("SIZE {deep}/f"), 213), "213 8");
        client.cmd("TYPE A", 200);
        assert_eq!(client.cmd(&format!("SIZE {deep}/f"), 213), "213 8");
        client.cmd("TYPE I", 200);
        for (line, code) in [
            ("SIZE {}/none", 550),
            ("MDTM {}/f", 213),
            ("MDTM 20200101000000 {}/f", 213),
            ("MFMT 20200101000000 {}/f", 213),
            ("MLST {}/f", 250),
            ("MLST {}", 250),
            ("STAT {}/f", 213),
            ("STAT {}", 213),
            ("SITE CHMOD 640 {}/f", 200),
            ("SITE UTIME 20200101000000 {}/f", 213),
            ("CWD {}", 250),
            ("SIZE f", 213),
            ("CDUP", 250),
            ("CWD /", 250),
            ("RNFR {}/f", 350),
            ("RNTO {}/g", 250),
            ("RNFR {}/g", 350),
            ("RNTO /g", 250),
            ("RNFR /g", 350),
            ("RNTO {}/f", 250),
            ("MKD {}/e", 257),
            ("RMD {}/e", 250),
            ("RMD {}", 550),
            ("DELE {}/none", 550),
        ] {
            let (got, text) = client.ask(&line.replace("{}", &deep));
            assert_eq!(got, code, "{line}: {}", text.get(..100).unwrap_or(&text));
        }
        for verb in ["LIST", "NLST", "MLSD", "LIST -a"] {
            assert_eq!(client.lines(&format!("{verb} {deep}")).len(), 1, "{verb}");
        }
        assert_eq!(client.download(&format!("RETR {deep}/f")), b"textmost");
        // an upload that is cut off and gone on with there
        let mut data = client.passive();
        client.cmd(&format!("STOR {deep}/f"), 150);
        data.write_all(b"lo").unwrap();
        let two = |client: &mut Client| client.cmd(&format!("SIZE {deep}/f"), 213) == "213 2";
        drop(data);
        client.expect(226);
        assert!(two(&mut client));
        client.upload(&format!("STOU {deep}/u"), b"unique");
        client.cmd(&format!("DELE {deep}/u"), 250);
        client.cmd(&format!("DELE {deep}/f"), 250);
        client.cmd("DELE /part", 250);
        remove(&server);
    }

    /// What a refusal costs grows with the depth, and not with its square.
    #[test]
    fn a_refusal_is_explained_as_quickly_as_it_is_looked_up() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tested: it takes root");
            return;
        }
        let server = Server::setup().run_as(65534).start();
        let mut client = Client::bob(&server);
        let deep = descend(&mut client);
        client.upload(&format!("STOR {deep}/f"), b"text");
        client.cmd(&format!("SITE CHMOD 555 {deep}"), 200);
        let before = processor_time(&server);
        for _ in 0..5 {
            client.cmd(&format!("DELE {deep}/f"), 550);
        }
        let used = processor_time(&server).saturating_sub(before);
        let line = server.wait_for_log("may not write to the directory");
        assert!(line.contains("DELE"), "{}", line.get(..200).unwrap_or(&line));
        assert!(used < Duration::from_millis(750), "{used:?} for five refusals");
        remove(&server);
    }
}
