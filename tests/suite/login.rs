//! USER, PASS, ACCT, REIN, QUIT; users, anonymous, delays, attempts.

use std::fs;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::client::{Client, reset};
use crate::server::{PATIENCE, Server, Setup, eventually, pause, run};

/// A second user, whose home is the folder that bob's home lies in.
fn with_eve(setup: Setup, lines: &str) -> Server {
    setup
        .section(&format!("[user:eve]\npassword = apple\nperm = elradfmwMT\nhome = .\n{lines}"))
        .start()
}

/// A client that connects from this address.
fn from(ip: &str, server: SocketAddr) -> Client {
    let ip: IpAddr = ip.parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    socket.connect_timeout(&server.into(), PATIENCE).unwrap();
    let mut client = Client::over(TcpStream::from(socket));
    client.expect(220);
    client
}

/// Sends USER and PASS. Returns both answers, and how long the second took.
fn try_login(client: &mut Client, user: &str, password: &str, code: u16) -> (String, Duration) {
    let first = client.cmd(&format!("USER {user}"), 331);
    let began = Instant::now();
    let second = client.cmd(&format!("PASS {password}"), code);
    (format!("{first}\n{second}"), began.elapsed())
}

/// Logs in, again and again until it succeeds: a seat becomes free a moment after its session
/// ends.
fn log_in_soon(server: &Server, user: &str, password: &str) -> Client {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::connect(server);
        client.cmd(&format!("USER {user}"), 331);
        client.send(&format!("PASS {password}"));
        if client.next_code() == 230 {
            client.expect(230);
            client.cmd("TYPE I", 200);
            return client;
        }
        client.expect(421);
        assert!(Instant::now() < until, "no seat");
    }
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_user_logs_in_and_out() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    assert!(client.cmd("PWD", 257).contains("\"/\""));
    client.cmd("QUIT", 221);
    client.expect_close();
}

#[test]
fn a_session_may_end_before_a_login() {
    let server = Server::start();
    for lines in [&["QUIT"][..], &["USER bob", "quit"], &["USER bob", "REIN", "QUIT"]] {
        let mut client = Client::connect(&server);
        let (last, rest) = lines.split_last().unwrap();
        for line in rest {
            let code = if *line == "REIN" { 220 } else { 331 };
            client.cmd(line, code);
        }
        client.cmd(last, 221);
        client.expect_close();
    }
}

#[test]
fn pass_without_user_is_503_and_logs_nobody_in() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("PASS secret", 503);
    client.cmd("PWD", 530);
    // a refused login takes its USER with it
    try_login(&mut client, "bob", "wrong", 530);
    client.cmd("PASS secret", 503);
    client.cmd("PWD", 530);
    try_login(&mut client, "bob", "secret", 230);
}

#[test]
fn pass_of_somebody_who_is_logged_in_is_503_and_changes_nothing() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("PASS secret", 503);
    client.cmd("PASS wrong", 503);
    client.cmd("PWD", 257);
}

#[test]
fn user_without_a_name_is_501_and_leaves_the_login_as_it_is() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("USER", 501);
    client.cmd("USER ", 501);
    client.cmd("PASS secret", 503);
    let mut client = Client::bob(&server);
    client.cmd("USER", 501);
    client.cmd("PWD", 257);
}

#[test]
fn an_empty_password_is_530_and_not_the_end() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    client.cmd("PASS", 530);
    client.cmd("USER bob", 331);
    client.cmd("PASS ", 530);
    try_login(&mut client, "bob", "secret", 230);
}

#[test]
fn only_the_very_name_and_the_very_password_will_do() {
    let server = Server::setup().server("max_login_attempts = 100").start();
    let tries = [
        ("BOB", "secret"),
        ("bob ", "secret"),
        (" bob", "secret"),
        ("bo", "secret"),
        ("bobb", "secret"),
        ("*", "secret"),
        ("bob", "Secret"),
        ("bob", "secre"),
        ("bob", "secret "),
        ("bob", " secret"),
        ("bob", "secrets"),
        ("bob", "secret\0"),
        ("bob\0", "secret"),
    ];
    thread::scope(|scope| {
        for (user, password) in tries {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::connect(server);
                try_login(&mut client, user, password, 530);
                client.cmd("PWD", 530);
            });
        }
    });
}

#[test]
fn a_wrong_password_an_unknown_user_and_a_wrong_address_look_alike() {
    let eve = "allow_from = 192.0.2.0/24";
    let server = with_eve(Server::setup(), eve);
    let tries = [("bob", "wrong"), ("nobody", "secret"), ("eve", "apple"), ("eve", "wrong")];
    let seen: Vec<_> = thread::scope(|scope| {
        let attempt = |(user, password)| {
            let server = &server;
            scope.spawn(move || try_login(&mut Client::connect(server), user, password, 530))
        };
        let attempts = tries.map(attempt);
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    for (text, took) in &seen {
        assert_eq!(*text, seen[0].0);
        // none is answered before the penalty is over, so none is quicker than another
        assert!(*took >= Duration::from_millis(400), "{took:?}");
    }
    for why in ["wrong password", "no such user", "allow_from"] {
        server.wait_for_log(why);
    }
}

#[test]
fn each_wrong_password_takes_longer_and_the_last_is_530_and_the_end() {
    let server = Server::setup().server("max_login_attempts = 3").start();
    let mut client = Client::connect(&server);
    let said: Vec<_> = (0..3).map(|_| try_login(&mut client, "bob", "wrong", 530)).collect();
    client.expect_close();
    // a client that takes 421 for "try again later" would not ask for another password
    assert!(said.iter().all(|(text, _)| *text == said[0].0), "{said:?}");
    for (number, (_, took)) in (1..).zip(said) {
        assert!(took >= Duration::from_millis(400) * number, "{number}: {took:?}");
    }
    Client::bob(&server);
}

#[test]
fn without_a_bound_a_client_may_try_until_it_knows() {
    let server = Server::setup().server("max_login_attempts = 0").start();
    let mut client = Client::connect(&server);
    for _ in 0..4 {
        try_login(&mut client, "bob", "wrong", 530);
    }
    try_login(&mut client, "bob", "secret", 230);
}

#[test]
fn attempts_count_across_names_and_rein() {
    let server = Server::setup().server("max_login_attempts = 2").start();
    let mut client = Client::connect(&server);
    try_login(&mut client, "nobody", "x", 530);
    client.cmd("REIN", 220);
    try_login(&mut client, "bob", "x", 530);
    client.expect_close();
}

#[test]
fn a_good_login_in_between_gives_a_guesser_no_further_attempts() {
    let server = with_eve(Server::setup().server("max_login_attempts = 2"), "");
    let mut client = Client::connect(&server);
    try_login(&mut client, "bob", "x", 530);
    try_login(&mut client, "eve", "apple", 230);
    try_login(&mut client, "bob", "y", 530);
    client.expect_close();
}

#[test]
fn max_login_attempts_of_one_ends_the_session_at_the_first() {
    let server = Server::setup().server("max_login_attempts = 1").start();
    let mut client = Client::connect(&server);
    try_login(&mut client, "bob", "x", 530);
    client.expect_close();
}

#[test]
fn a_guesser_who_half_closes_the_connection_waits_like_any_other() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    let began = Instant::now();
    client.send("PASS wrong");
    client.stream().shutdown(Shutdown::Write).unwrap();
    client.expect(530);
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    client.expect_close();
}

#[test]
fn a_guesser_who_goes_keeps_its_place_until_the_pause_is_over() {
    let server = Server::setup().server("max_per_ip = 1").start();
    let ways: [fn(TcpStream); 3] = [reset, drop, |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        reset(stream);
    }];
    for (number, leave) in ways.into_iter().enumerate() {
        let mut client = Client::connect(&server);
        let began = Instant::now();
        client.raw(format!("USER u{number}\r\nPASS wrong\r\n").as_bytes());
        server.wait_for_log(&format!("login failed for 'u{number}'"));
        let stream = client.stream().try_clone().unwrap();
        drop(client);
        leave(stream);
        loop {
            let mut next = Client::silent(server.address());
            if next.next_code() == 220 {
                break;
            }
            next.expect(421);
            assert!(began.elapsed() < PATIENCE, "the place is never given back");
            pause();
        }
        assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
        // and the place of the client that has just looked
        eventually("the place is free again", || {
            Client::silent(server.address()).next_code() == 220
        });
        eventually("no session is left", || {
            let (_, out, _) = run(&["who"], server.dir());
            out.lines().count() == 1
        });
    }
}

#[test]
fn guesses_that_were_sent_at_once_are_all_paid_for() {
    let guesses = b"USER bob\r\nPASS x\r\nUSER bob\r\nPASS y\r\nQUIT\r\n";
    // a reset ends what is queued, so that the second guess is never looked at
    for (way, looked_at, least) in [("reset", 1, 450), ("half", 2, 1400)] {
        let server = Server::setup().server("max_per_ip = 1").start();
        let mut client = Client::connect(&server);
        let began = Instant::now();
        client.raw(guesses);
        let stream = client.stream().try_clone().unwrap();
        if way == "half" {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            for code in [331, 530, 331, 530, 221] {
                client.expect(code);
            }
            drop(client);
        } else {
            server.wait_for_log("login failed");
            drop(client);
            reset(stream);
        }
        eventually("the place is free again", || {
            Client::silent(server.address()).next_code() == 220
        });
        eventually("all are logged", || {
            server.log().matches("login failed").count() >= looked_at
        });
        assert_eq!(server.log().matches("login failed").count(), looked_at, "{way}");
        assert!(began.elapsed() >= Duration::from_millis(least), "{:?}", began.elapsed());
    }
}

#[test]
fn passwords_with_special_characters_work_and_their_beginnings_do_not() {
    let passwords = [
        "a;b",
        ";",
        "a # b",
        "#hash",
        "a=b=c",
        "a\"b",
        "back\\slash\\",
        "c:d",
        "two  spaces",
        "päßwörd",
        "100%s",
        "[x]",
        "'single'",
        "$HOME",
        "tab\tinside",
    ];
    let section =
        |(n, password)| format!("[user:u{n}]\npassword = {password}\nperm = el\nhome = home\n");
    let sections: Vec<_> = passwords.iter().enumerate().map(section).collect();
    let server = Server::setup()
        .section(&sections.concat())
        .section("[user:outer]\npassword = \"  outer  \"\nperm = el\nhome = home")
        .section("[user:quotes]\npassword = \"\"in quotes\"\"\nperm = el\nhome = home")
        .section("[user:carol smith]\npassword = x\nperm = el\nhome = home")
        .section("[user:zoë]\npassword = x\nperm = el\nhome = home")
        .start();
    for (n, password) in passwords.iter().enumerate() {
        Client::login(&server, &format!("u{n}"), password);
    }
    Client::login(&server, "outer", "  outer  ");
    Client::login(&server, "quotes", "\"in quotes\"");
    Client::login(&server, "carol smith", "x");
    Client::login(&server, "zoë", "x");
    thread::scope(|scope| {
        for (n, password) in passwords.iter().enumerate() {
            let server = &server;
            scope.spawn(move || {
                let cut = password.char_indices().nth(1).map_or(0, |(at, _)| at);
                let mut client = Client::connect(server);
                try_login(&mut client, &format!("u{n}"), &password[..cut], 530);
            });
        }
        scope.spawn(|| try_login(&mut Client::connect(&server), "outer", "outer", 530));
    });
}

#[test]
fn anonymous_and_ftp_read_with_any_password_and_change_nothing() {
    let server = Server::setup().server("enable_anonymous = on\nanonymous_path = home").start();
    server.put("file", "text");
    fs::create_dir(server.home().join("dir")).unwrap();
    for (user, password) in
        [("anonymous", "me@example.org"), ("ftp", "x"), ("anonymous", ""), ("ftp", "-me@ a b")]
    {
        let mut client = Client::login(&server, user, password);
        client.cmd("CWD dir", 250);
        client.cmd("CDUP", 250);
        assert_eq!(client.download("RETR file"), b"text");
        assert_eq!(client.lines("NLST").len(), 2);
        client.cmd("SIZE file", 213);
        client.cmd("MDTM file", 213);
    }
    let mut client = Client::login(&server, "ftp", "x");
    for line in [
        "STOR new",
        "STOU",
        "APPE file",
        "DELE file",
        "RMD dir",
        "MKD new",
        "RNFR file",
        "SITE CHMOD 600 file",
        "MFMT 20200101000000 file",
        "SITE UTIME 20200101000000 file",
    ] {
        client.cmd(line, 550);
    }
    client.cmd("QUIT", 221);
    assert_eq!(server.get("file"), b"text");
    let mut names: Vec<_> =
        fs::read_dir(server.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dir", "file"]);
    server.wait_for_log("[anonymous]");
    server.wait_for_log("[ftp]");
}

#[test]
fn anonymous_names_may_be_spelled_in_any_case() {
    let lines = "enable_anonymous = on\nanonymous_path = home\ntransfer_log = xferlog";
    let server = Server::setup().server(lines).start();
    server.put("file", "text");
    for name in ["FTP", "Ftp", "Anonymous", "ANONYMOUS", "aNONYMOUS"] {
        let mut client = Client::connect(&server);
        assert!(client.cmd(&format!("USER {name}"), 331).contains("e-mail"), "{name}");
        client.cmd("PASS", 230);
        client.cmd("TYPE I", 200);
        assert_eq!(client.download("RETR file"), b"text");
        client.cmd("DELE file", 550);
        client.cmd("QUIT", 221);
    }
    // one user each, under the name that has always been theirs
    server.wait_for_log("[anonymous] logged in");
    server.wait_for_log("[ftp] logged in");
    let log = server.log();
    assert!(!log.to_ascii_lowercase().contains("login failed") && !log.contains("[FTP]"));
    let read = || fs::read_to_string(server.dir().join("xferlog")).unwrap();
    eventually("the transfers are logged", || read().matches('\n').count() >= 5);
    let transfers = read();
    assert_eq!(transfers.matches(" o a ftp ftp ").count(), 2, "{transfers}");
    assert_eq!(transfers.matches(" o a anonymous ftp ").count(), 3, "{transfers}");
    try_login(&mut Client::connect(&server), "ftp ", "x", 530);
    try_login(&mut Client::connect(&server), "\u{212a}ftp", "x", 530);
}

#[test]
fn a_section_of_exactly_that_name_goes_before_anonymous() {
    let section = "[user:FTP]\npassword = secret\nperm = elradfmwMT\nhome = home";
    let lines = "enable_anonymous = on\nanonymous_path = home\nmax_per_user = 1";
    let server = Server::setup().server(lines).section(section).start();
    let mut own = Client::connect(&server);
    assert!(!own.cmd("USER FTP", 331).contains("e-mail"));
    own.cmd("PASS x", 530);
    try_login(&mut own, "FTP", "secret", 230);
    own.cmd("MKD made", 257);
    // no seat of the anonymous users is taken
    let mut other = Client::login(&server, "Ftp", "x");
    other.cmd("RMD made", 550);
    try_login(&mut Client::connect(&server), "ANONYMOUS", "x", 421);
}

#[test]
fn anonymous_perm_replaces_the_usual_letters() {
    let server = Server::setup()
        .server("enable_anonymous = on\nanonymous_path = home\nanonymous_perm = w")
        .start();
    server.put("file", "text");
    let mut client = Client::login(&server, "anonymous", "x");
    client.upload("STOR new", b"gift");
    assert_eq!(server.get("new"), b"gift");
    client.cmd("RETR file", 550);
    client.cmd("LIST", 550);
    client.cmd("CWD /", 550);
    client.cmd("DELE new", 550);
    assert!(server.has("new"));
}

#[test]
fn anonymous_is_nobody_unless_it_is_enabled() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    let (known, _) = try_login(&mut client, "bob", "x", 530);
    let (anonymous, _) = try_login(&mut client, "anonymous", "me@example.org", 530);
    assert_eq!(anonymous, known);
    client.cmd("PWD", 530);
}

#[test]
fn anonymous_comes_under_the_limits_of_the_server() {
    let server = Server::setup()
        .server("enable_anonymous = on\nanonymous_path = home\nanonymous_perm = elrw")
        .server("max_per_user = 1\numask = 037")
        .start();
    let mut first = Client::login(&server, "anonymous", "x");
    first.upload("STOR new", b"");
    assert_eq!(mode(server.home().join("new")), 0o640);
    try_login(&mut Client::connect(&server), "anonymous", "x", 421);
}

#[test]
fn one_session_more_than_max_per_user_is_421_and_recovers() {
    let server = with_eve(Server::setup().server("max_per_user = 1"), "max_per_user = 2");
    let mut first = Client::login(&server, "eve", "apple");
    let second = Client::login(&server, "eve", "apple");
    let mut third = Client::connect(&server);
    try_login(&mut third, "eve", "apple", 421);
    third.expect_close();
    // the others are not touched, and have the server's limit
    first.cmd("NOOP", 200);
    let bob = Client::bob(&server);
    try_login(&mut Client::connect(&server), "bob", "secret", 421);
    // who does not know the password does not learn that the seats are taken
    try_login(&mut Client::connect(&server), "eve", "wrong", 530);
    // a seat comes back with QUIT, when the client just goes, with REIN and with USER
    first.cmd("QUIT", 221);
    let mut first = log_in_soon(&server, "eve", "apple");
    drop(second);
    let mut second = log_in_soon(&server, "eve", "apple");
    first.cmd("REIN", 220);
    let third = log_in_soon(&server, "eve", "apple");
    second.cmd("USER bob", 331);
    let fourth = log_in_soon(&server, "eve", "apple");
    drop((bob, third, fourth));
}

#[test]
fn allow_from_lets_in_its_addresses_and_prefixes_alone() {
    let server = with_eve(
        Server::setup().ip("0.0.0.0").server("allow_from = 127.0.0.2, 127.9.0.0/16"),
        "allow_from = 127.0.0.3/32",
    );
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    for ip in ["127.0.0.2", "127.9.0.0", "127.9.255.255"] {
        try_login(&mut from(ip, address), "bob", "secret", 230);
    }
    try_login(&mut from("127.0.0.3", address), "eve", "apple", 230);
    thread::scope(|scope| {
        for (ip, user, password) in [
            ("127.0.0.1", "bob", "secret"),
            ("127.0.0.3", "bob", "secret"),
            ("127.8.255.255", "bob", "secret"),
            ("127.10.0.0", "bob", "secret"),
            // a user's own list replaces the server's
            ("127.0.0.2", "eve", "apple"),
        ] {
            scope.spawn(move || {
                let mut client = from(ip, address);
                try_login(&mut client, user, password, 530);
                client.cmd("PWD", 530);
            });
        }
    });
}

#[test]
fn nothing_or_nought_in_a_users_section_lifts_the_servers_limit() {
    let server = with_eve(
        Server::setup().server("allow_from = 192.0.2.1\nmax_per_user = 1\nidle_timeout = 1"),
        "allow_from =\nmax_per_user = 0\nidle_timeout = 0",
    );
    let mut eves: Vec<_> = (0..3).map(|_| Client::login(&server, "eve", "apple")).collect();
    // the server's own limit is over by the time that it ends this one
    let mut stranger = Client::connect(&server);
    stranger.expect(421);
    for eve in &mut eves {
        eve.cmd("NOOP", 200);
    }
    try_login(&mut Client::connect(&server), "bob", "secret", 530);
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client_to_allow_from() {
    let server = Server::setup().ip("::").user("allow_from = 127.0.0.0/8").start();
    let port = server.address().port();
    try_login(&mut from("127.0.0.1", ([127, 0, 0, 1], port).into()), "bob", "secret", 230);
    let mut other = Client::silent(SocketAddr::new("::1".parse().unwrap(), port));
    other.expect(220);
    try_login(&mut other, "bob", "secret", 530);
}

#[test]
fn ipv4_addresses_may_be_written_in_the_form_of_ipv6() {
    for net in ["::ffff:127.0.0.1", "::ffff:127.0.0.0/104", "::FFFF:7f00:1"] {
        let server = Server::setup().user(&format!("allow_from = {net}")).start();
        try_login(&mut Client::connect(&server), "bob", "secret", 230);
    }
    let server = Server::setup().user("allow_from = ::ffff:127.0.0.2/127").start();
    try_login(&mut Client::connect(&server), "bob", "secret", 530);
    // and so may the address to listen on
    let server = Server::setup().ip("::ffff:127.0.0.1, 127.0.0.1").start();
    assert!(server.address().is_ipv4());
    Client::bob(&server);
}

#[test]
fn umask_takes_bits_from_new_files_and_directories() {
    let server = with_eve(Server::setup(), "umask = 077");
    let mut bob = Client::bob(&server);
    bob.upload("STOR file", b"");
    bob.upload("APPE appended", b"");
    bob.cmd("MKD dir", 257);
    assert_eq!(mode(server.home().join("file")), 0o644);
    assert_eq!(mode(server.home().join("appended")), 0o644);
    assert_eq!(mode(server.home().join("dir")), 0o755);
    let mut eve = Client::login(&server, "eve", "apple");
    eve.upload("STOR file", b"");
    eve.upload("STOU unique", b"");
    eve.cmd("MKD dir", 257);
    assert_eq!(mode(server.dir().join("file")), 0o600);
    assert_eq!(mode(server.dir().join("unique")), 0o600);
    assert_eq!(mode(server.dir().join("dir")), 0o700);
}

#[test]
fn idle_timeout_of_a_user_goes_before_the_servers() {
    let server = with_eve(Server::setup().server("idle_timeout = 1"), "idle_timeout = 1h");
    let mut eve = Client::login(&server, "eve", "apple");
    let mut bob = Client::bob(&server);
    bob.expect(421);
    bob.expect_close();
    eve.cmd("NOOP", 200);
    assert!(eve.cmd("SITE IDLE", 200).contains("3600"));
}

#[test]
fn rein_forgets_the_login_and_all_parameters() {
    let server = with_eve(Server::setup(), "");
    server.put("dir/file", "a\nb\n");
    let mut client = Client::bob(&server);
    client.cmd("CWD dir", 250);
    client.cmd("REST 2", 350);
    client.cmd("RNFR file", 350);
    client.cmd("EPSV ALL", 200);
    let port = client.passive_address("EPSV");
    client.cmd("REIN", 220);
    for line in ["PWD", "LIST", "RETR file", "RNTO other"] {
        client.cmd(line, 530);
    }
    client.cmd("PASS secret", 503);
    assert!(TcpStream::connect_timeout(&port, PATIENCE).is_err(), "the port is still open");
    try_login(&mut client, "bob", "secret", 230);
    assert!(client.cmd("PWD", 257).contains("\"/\""));
    client.cmd("RNTO other", 503);
    client.cmd("RETR dir/file", 425);
    // EPSV ALL is over, the type is ASCII, the restart offset is gone
    let address = client.passive_address("PASV");
    let mut data = client.data(address);
    client.cmd("RETR dir/file", 150);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut data, &mut text).unwrap();
    client.expect(226);
    assert_eq!(text, "a\r\nb\r\n");
    client.cmd("REIN", 220);
    try_login(&mut client, "eve", "apple", 230);
    client.cmd("MDTM ftpd.ini", 213);
    assert!(server.has("dir/file") && !server.has("other"));
}

#[test]
fn rein_takes_no_argument_and_is_fine_before_a_login() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("REIN", 220);
    client.cmd("USER bob", 331);
    client.cmd("REIN x", 501);
    client.cmd("PASS secret", 230);
}

#[test]
fn user_logs_the_former_user_out_and_the_next_one_gets_another_home() {
    let server = with_eve(Server::setup(), "");
    server.put("sub/bobs", "");
    let mut client = Client::bob(&server);
    client.cmd("CWD sub", 250);
    client.cmd("USER eve", 331);
    client.cmd("PWD", 530);
    client.cmd("DELE bobs", 530);
    client.cmd("PASS wrong", 530);
    client.cmd("DELE bobs", 530);
    try_login(&mut client, "eve", "apple", 230);
    assert!(client.cmd("PWD", 257).contains("\"/\""));
    // RFC 959 §4.1.1: the parameters stay as they are
    assert!(client.cmd("STAT", 211).contains("binary"));
    client.cmd("SIZE bobs", 550);
    client.cmd("SIZE home/sub/bobs", 213);
    assert!(server.has("sub/bobs"));
}

#[test]
fn a_name_that_is_not_utf8_is_an_unknown_user() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.raw(b"USER b\xe9b\r\n");
    client.expect(331);
    client.raw(b"PASS \xfe\xe9\r\n");
    client.expect(530);
    try_login(&mut client, "bob", "secret", 230);
    server.wait_for_log("'b\\xe9b'");
}

#[test]
fn acct_is_202_and_changes_nothing() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("ACCT", 501);
    client.cmd("ACCT any", 202);
    client.cmd("PWD", 530);
    client.cmd("USER bob", 331);
    client.cmd("ACCT any", 202);
    client.cmd("PASS secret", 230);
    client.cmd("ACCT any", 202);
    client.cmd("PWD", 257);
}

#[test]
fn a_login_whose_home_has_vanished_is_refused_and_takes_no_seat() {
    let server = Server::setup().user("max_per_user = 1").start();
    let away = server.dir().join("away");
    fs::rename(server.home(), &away).unwrap();
    let mut client = Client::connect(&server);
    try_login(&mut client, "bob", "secret", 530);
    client.cmd("PWD", 530);
    fs::rename(&away, server.home()).unwrap();
    try_login(&mut client, "bob", "secret", 230);
    client.cmd("PWD", 257);
}

#[test]
fn no_password_ever_appears_in_the_log() {
    let word = "Xyzzy-42";
    let setup = Server::setup().env("RUST_LOG", "trace").user(&format!("password = {word}"));
    let server = setup.server("max_login_attempts = 100\ntransfer_log = xferlog").start();
    let mut client = Client::connect(&server);
    client.cmd(&format!("PASS {word}"), 503);
    client.cmd("USER bob", 331);
    client.cmd(&format!("pAsS {word}"), 230);
    client.cmd(&format!("PASS {word}"), 503);
    client.upload("STOR file", b"x");
    client.cmd(&format!("ACCT {word}"), 202);
    // typed in the wrong place, or in a wrong way
    for line in ["", "PASSWORD ", "PASS\t", "PASS", "PASS:", "\x01PASS ", "SITE PASS ", "OPTS "]
    {
        client.send(&format!("{line}{word}"));
        let reply = client.expect_in(400..600);
        assert!(!reply.contains(word), "{reply}");
    }
    client.cmd("QUIT", 221);
    client.expect_close();
    thread::scope(|scope| {
        for password in [
            format!("{word}x"),
            format!(" {word}"),
            format!("{word}\0"),
            format!("{word}\r"),
            format!("\u{7f}{word}"),
        ] {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::connect(server);
                client.cmd("USER bob", 331);
                client.send(&format!("PASS {password}"));
                client.expect_in(200..600);
                client.cmd("QUIT", 221);
                client.expect_close();
            });
        }
        scope.spawn(|| {
            let mut client = Client::connect(&server);
            client.cmd("USER bob", 331);
            client.cmd(&format!("PASS {word}{}", "x".repeat(20_000)), 500);
        });
    });
    // the last line: all others are there when this one is
    let mut client = Client::connect(&server);
    try_login(&mut client, "the last one", "x", 530);
    server.wait_for_log("the last one");
    let log = server.log();
    assert!(log.contains("logged in") && log.contains("DEBUG"), "{log}");
    assert!(!log.contains(word), "{log}");
    assert!(
        !String::from_utf8_lossy(&fs::read(server.dir().join("xferlog")).unwrap())
            .contains(word)
    );
}

/// The next user of a session must not see what the previous one has set.
#[test]
fn a_second_login_of_a_session_begins_as_a_new_session_does() {
    let server = Server::setup()
        .section("[user:eve]\npassword = secret\nhome = home\nperm = elradfmw")
        .start();
    server.put("log", "12345");
    let mut client = Client::bob(&server);
    for user in ["eve", "bob", "bob"] {
        client.cmd("SIZE log", 213);
        server.put("log", "1234567890");
        client.cmd("RNFR log", 350);
        client.cmd("REST 3", 350);
        let old = client.passive_address("EPSV");
        client.cmd("OPTS MLST size;", 200);
        client.cmd(&format!("USER {user}"), 331);
        client.cmd("PASS secret", 230);
        client.cmd("RNTO other", 503);
        client.cmd("RETR log", 425);
        assert!(std::net::TcpStream::connect(old).is_err(), "the port is closed");
        assert!(client.cmd("MLST log", 250).contains("type=file;"));
        client.upload("APPE log", b"x");
        assert_eq!(server.get("log"), b"1234567890x");
        assert_eq!(client.download("RETR log"), b"1234567890x");
        server.put("log", "12345");
    }
}

/// The protection of data connections stays, because the client may rely on it.
#[test]
fn a_second_login_of_a_session_keeps_the_protection_of_data() {
    let server = Server::setup().server("tls_cert = auto").start();
    server.put("file", "content");
    for version in crate::tls_client::VERSIONS {
        let tls = crate::tls_client::Tls::new(version);
        let mut client = Client::secure_bob(&server, &tls);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("TYPE I", 200);
        assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
    }
}

#[test]
fn a_session_starts_in_start_dir_if_it_can_be_entered() {
    let other = "[user:eve]\npassword = secret\nperm = elr\nhome = home\nstart_dir = /gone/x";
    let server = Server::setup().user("start_dir = /in/box/").section(other).start();
    fs::create_dir_all(server.home().join("in/box")).unwrap();
    let mut client = Client::bob(&server);
    assert!(client.cmd("PWD", 257).contains("\"/in/box\""));
    client.upload("STOR a", b"1");
    assert!(server.has("in/box/a"));
    // it is no prison
    client.cmd("CDUP", 250);
    assert!(client.cmd("PWD", 257).contains("\"/in\""));
    let mut client = Client::login(&server, "eve", "secret");
    assert!(client.cmd("PWD", 257).contains("\"/\""));
    server.wait_for_log("start_dir of eve, \"");
}
