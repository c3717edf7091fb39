//! Bans: what leads to them, for whom they hold, which sessions they end, and how they are
//! lifted.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, TcpStream};
use std::thread;

use crate::client::{Client, connect_from, drain, reset};
use crate::server::{Server, eventually, run};

/// A server that exempts no address from bans, not even those of this machine.
fn strict(lines: &str) -> Server {
    Server::setup().server(&format!("ban_exempt =\n{lines}")).start()
}

fn ftpd(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    run(arguments, server.dir())
}

fn good(server: &Server, arguments: &[&str]) -> String {
    let (code, out, err) = ftpd(server, arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
    out
}

fn from(server: &Server, address: &str) -> TcpStream {
    connect_from(address.parse::<IpAddr>().unwrap(), server.address()).unwrap()
}

fn is_banned(server: &Server, address: &str) -> bool {
    let mut stream = from(server, address);
    // a session that is let in says 220 and ends with its client
    let _ = stream.write_all(b"QUIT\r\n");
    let said = String::from_utf8(drain(&mut stream)).unwrap();
    if said.starts_with("421 Too many failures") {
        return true;
    }
    assert!(said.starts_with("220 "), "{said}");
    false
}

fn fail_to_log_in(server: &Server, address: &str) {
    guess(server, address, "bob", "wr0ng");
}

fn guess(server: &Server, address: &str, name: &str, password: &str) {
    let mut client = greeted(server, address);
    client.cmd(&format!("USER {name}"), 331);
    client.cmd(&format!("PASS {password}"), 530);
}

fn greeted(server: &Server, address: &str) -> Client {
    let mut client = Client::over(from(server, address));
    client.expect(220);
    client
}

#[test]
fn failed_logins_ban_their_address_and_no_other() {
    let server = strict("ban_after = 3");
    for password in ["one", "two"] {
        guess(&server, "127.0.0.2", "bob", password);
    }
    assert!(!is_banned(&server, "127.0.0.2"));
    let mut client = Client::over(from(&server, "127.0.0.2"));
    client.expect(220);
    client.cmd("USER bob", 331);
    client.cmd("PASS wr0ng", 530);
    // the session that was one failure too many ends
    assert!(client.expect(421).contains("Too many failures"));
    client.expect_close();
    for _ in 0..3 {
        assert!(is_banned(&server, "127.0.0.2"));
    }
    assert!(!is_banned(&server, "127.0.0.3"));
    let line = server.wait_for_log("banned: ");
    let told = "banned: 127.0.0.2 for 3600 s, 3 failures, the last one a failed login";
    assert!(line.ends_with(told) && line.contains("WARN"), "{line}");
    server.wait_for_log("banned");
    assert_eq!(server.log().matches("banned").count(), 1, "once for each ban");
    let bans = good(&server, &["bans"]);
    let row: Vec<_> = bans.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[2], row[3]), ("127.0.0.2", "3", "3"), "{bans}");
    assert!(bans.ends_with("a failed login\n"), "{bans}");
}

#[test]
fn the_same_wrong_password_again_is_the_same_failure() {
    let server = strict("ban_after = 3\nmax_login_attempts = 0");
    let device = |name: &'static str, password: &'static str, times: usize| {
        thread::scope(|scope| {
            for _ in 0..times {
                scope.spawn(|| guess(&server, "127.0.0.2", name, password));
            }
        });
    };
    device("bob", "old", 20);
    // two passwords in turn are two guesses: the pair of name and password counts
    for _ in 0..3 {
        device("nobody", "old", 2);
        device("bob", "old", 2);
    }
    assert!(!is_banned(&server, "127.0.0.2"));
    // in one session as well
    let mut client = greeted(&server, "127.0.0.2");
    for _ in 0..3 {
        client.cmd("USER bob", 331);
        client.cmd("PASS old", 530);
    }
    drop(client);
    assert!(!is_banned(&server, "127.0.0.2"));
    // where the name ends and the password begins makes a difference
    guess(&server, "127.0.0.2", "bobo", "ld");
    assert!(is_banned(&server, "127.0.0.2"));
    let line = server.wait_for_log("banned: ");
    assert!(line.contains("3 failures, the last one a failed login"), "{line}");
}

#[test]
fn strangers_have_twenty_refused_commands_before_they_count() {
    let server = strict("ban_after = 3");
    let mut client = greeted(&server, "127.0.0.2");
    for _ in 0..19 {
        client.cmd("PWD", 530);
    }
    client.cmd("NOOP", 200);
    assert!(!is_banned(&server, "127.0.0.2"));
    for _ in 0..3 {
        client.cmd("PWD", 530);
    }
    assert!(client.expect(421).contains("Too many failures"));
    assert!(is_banned(&server, "127.0.0.2"));
    // lines that are too long are refused commands like others
    let mut client = greeted(&server, "127.0.0.3");
    for _ in 0..22 {
        client.raw(&[&[b'a'; 9000][..], b"\r\n"].concat());
        client.expect(500);
    }
    client.expect(421);
    for address in ["127.0.0.2", "127.0.0.3"] {
        let line = server.wait_for_log(&format!("banned: {address} "));
        assert!(line.ends_with("3 failures, the last one too many refused commands"), "{line}");
    }
}

#[test]
fn refused_commands_of_sessions_that_never_log_in_add_up() {
    let server = strict("ban_after = 2");
    let mut visits = 0;
    while !is_banned(&server, "127.0.0.2") {
        let mut client = greeted(&server, "127.0.0.2");
        client.raw("PWD\r\n".repeat(19).as_bytes());
        (0..19).for_each(|_| drop(client.expect(530)));
        client.cmd("QUIT", 221);
        client.expect_close();
        visits += 1;
        assert!(visits < 8, "never banned");
    }
    assert!(visits > 1, "nineteen are free");
    // but what a client tries before it logs in is forgiven, and a few commands always are
    for _ in 0..8 {
        let mut client = greeted(&server, "127.0.0.3");
        client.raw("AUTH TLS\r\nAUTH SSL\r\nOPTS X\r\n".repeat(6).as_bytes());
        (0..18).for_each(|_| drop(client.expect_in(500..600)));
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("QUIT", 221);
    }
    for _ in 0..50 {
        let mut client = greeted(&server, "127.0.0.3");
        client.raw(b"AUTH TLS\r\nAUTH SSL\r\nPWD\r\nQUIT\r\n");
        (0..3).for_each(|_| drop(client.expect_in(500..600)));
        client.expect(221);
    }
    assert!(!is_banned(&server, "127.0.0.3"));
}

#[test]
fn health_checks_are_no_failures() {
    let server = strict("ban_after = 1");
    for number in 0..40 {
        let stream = from(&server, "127.0.0.2");
        let leave: fn(TcpStream) = if number % 2 == 0 { reset } else { drop };
        leave(stream);
        greeted(&server, "127.0.0.2").cmd("QUIT", 221);
    }
    assert!(!is_banned(&server, "127.0.0.2"));
    let server = Server::setup().server("ban_after = 1").start();
    for _ in 0..3 {
        greeted(&server, "127.0.0.2").cmd("GET / HTTP/1.0", 500);
    }
    assert_eq!(good(&server, &["bans"]), "nobody is banned\n");
}

#[test]
fn right_passwords_are_no_failures() {
    let server = strict("ban_after = 1\nmax_per_user = 1");
    let _inside = Client::bob(&server);
    let mut second = Client::connect(&server);
    second.cmd("USER bob", 331);
    second.cmd("PASS secret", 421);
    for _ in 0..3 {
        Client::connect(&server).cmd("PWD", 530);
    }
    assert_eq!(good(&server, &["bans"]), "nobody is banned\n");
}

#[test]
fn a_client_that_does_not_speak_ftp_is_banned() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let cases: [(&str, Vec<u8>); 7] = [
        ("bytes that are not FTP", b"SSH-2.0-Go\r\n".to_vec()),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("bytes that are not FTP", hello.to_vec()),
        ("bytes that are not FTP", [hello, &b"\n"[..]].concat()),
        ("bytes that are not FTP", b"\0\0\0\r\n".to_vec()),
        ("a line without an end", vec![b'a'; 2 << 20]),
        ("too many refused commands", b"nonsense\r\n".repeat(250)),
    ];
    let server = strict("ban_after = 1");
    for (number, (what, bytes)) in cases.into_iter().enumerate() {
        let address = format!("127.0.1.{}", number + 1);
        let mut stream = from(&server, &address);
        // the server may end it before all is sent
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let line = server.wait_for_log(&format!("banned: {address} "));
        assert!(line.ends_with(&format!("the last one {what}")), "{line}");
        drop(stream);
        assert!(is_banned(&server, &address));
    }
}

#[test]
fn bytes_that_are_not_tls_lead_to_a_ban_and_a_broken_handshake_does_not() {
    let server = strict("ban_after = 1\ntls_cert = auto");
    for (address, bytes, banned) in
        [("127.0.0.2", &b""[..], false), ("127.0.0.3", b"USER bob\r\nPASS secret\r\n", true)]
    {
        let mut client = Client::over(from(&server, address));
        client.expect(220);
        client.cmd("AUTH TLS", 234);
        client.raw(bytes);
        client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        server.wait_for_log(&format!("{address}:"));
        drain(&mut client.stream().try_clone().unwrap());
        eventually("the session is over", || good(&server, &["who"]).lines().count() == 1);
        assert_eq!(is_banned(&server, address), banned, "{address}");
    }
    server.wait_for_log("the last one bytes that are not TLS");
}

#[test]
fn clear_text_behind_auth_bans() {
    let server = strict("ban_after = 1\ntls_cert = auto");
    let mut client = Client::over(from(&server, "127.0.0.2"));
    client.expect(220);
    client.raw(b"AUTH TLS\r\nUSER bob\r\n");
    client.expect(421);
    server.wait_for_log("banned: 127.0.0.2 ");
}

#[test]
fn strangers_from_there_end_and_users_stay() {
    let server = strict("ban_after = 1");
    server.put("file", "content");
    let log_in = |address| {
        let mut client = Client::over(from(&server, address));
        client.expect(220);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client
    };
    let mut user = log_in("127.0.0.2");
    let mut stranger = Client::over(from(&server, "127.0.0.2"));
    stranger.expect(220);
    let mut elsewhere = Client::connect(&server);
    let mut culprit = Client::over(from(&server, "127.0.0.2"));
    culprit.expect(220);
    culprit.cmd("GET / HTTP/1.1", 500);
    assert!(stranger.expect(421).contains("Too many failures"));
    stranger.expect_close();
    user.cmd("NOOP", 200);
    user.cmd("SIZE file", 213);
    elsewhere.cmd("USER bob", 331);
    // but a ban set by hand holds for all of them
    let said = good(&server, &["ban", "127.0.0.2", "1h"]);
    assert_eq!(said, "127.0.0.2 is banned for 3600 s; 1 sessions ended\n");
    assert!(user.expect(421).contains("banned"));
    user.expect_close();
    elsewhere.cmd("PASS secret", 230);
}

#[test]
fn a_banned_address_takes_no_worker() {
    let server = strict("max_cons = 2");
    good(&server, &["ban", "127.0.0.2"]);
    // the server announces itself before it starts its threads; this is the last one
    let accepts = |name: &String| name.starts_with("accept-");
    eventually("all threads run", || server.threads().iter().any(accepts));
    let before = server.threads().len();
    let held: Vec<_> = (0..20).map(|_| from(&server, "127.0.0.2")).collect();
    let mut inside = Client::connect(&server);
    inside.cmd("PWD", 530);
    assert!(server.threads().len() <= before + 1, "{:?}", server.threads());
    drop(held);
}

#[test]
fn bans_by_hand_are_listed_and_lifted() {
    let server = strict("ban_time = 2h");
    assert_eq!(good(&server, &["bans"]), "nobody is banned\n");
    assert!(good(&server, &["ban", "127.0.0.2"]).contains("for 7200 s"));
    assert!(good(&server, &["ban", "127.0.0.3", "0"]).contains("until it is lifted"));
    assert!(
        good(&server, &["ban", "2001:db8::77", "1d"]).starts_with("2001:db8::/64 is banned")
    );
    let bans = good(&server, &["bans"]);
    for part in ["127.0.0.3", "no end", "by hand", "2001:db8::/64"] {
        assert!(bans.contains(part), "no {part} in\n{bans}");
    }
    let json = good(&server, &["bans", "--json"]);
    assert!(
        json.contains(r#""address":"127.0.0.3""#) && json.contains(r#""left":null"#),
        "{json}"
    );
    assert!(is_banned(&server, "127.0.0.2") && is_banned(&server, "127.0.0.3"));
    assert_eq!(good(&server, &["unban", "127.0.0.2"]), "1 ban lifted\n");
    assert!(!is_banned(&server, "127.0.0.2"));
    assert_eq!(ftpd(&server, &["unban", "127.0.0.2"]).0, 1);
    assert_eq!(good(&server, &["unban", "all"]), "2 bans lifted\n");
    assert_eq!(good(&server, &["unban", "all"]), "0 bans lifted\n");
    assert!(!is_banned(&server, "127.0.0.3"));
    for (arguments, code, part) in [
        (&["ban"][..], 2, "expected an address"),
        (&["unban"], 2, "expected an address"),
        (&["ban", "bob"], 1, "'bob' is neither an address nor an IPv6 prefix"),
        (&["ban", "10.0.0.0/8"], 1, "neither an address"),
        (&["ban", "127.0.0.9", "soon"], 2, "'soon' is not a duration"),
        (&["ban", "127.0.0.9", "1h", "x"], 2, "unexpected argument 'x'"),
        (&["unban", "bob"], 1, "'bob' is neither"),
        (&["bans", "x"], 2, "unexpected argument"),
    ] {
        let (is, out, err) = ftpd(&server, arguments);
        assert_eq!((is, out.as_str()), (code, ""), "{arguments:?}");
        assert!(err.contains(part), "{err}");
    }
}

#[test]
fn a_ban_ends_with_its_time() {
    let server = strict("ban_after = 1\nban_time = 1s");
    drop(from(&server, "127.0.0.2").write_all(b"GET / HTTP/1.1\r\n"));
    server.wait_for_log("banned: 127.0.0.2 for 1 s");
    eventually("it is over", || !is_banned(&server, "127.0.0.2"));
    assert_eq!(good(&server, &["bans"]), "nobody is banned\n");
}

#[test]
fn this_machine_and_private_networks_are_exempt_unless_said_otherwise() {
    let server = Server::setup().server("ban_after = 1").start();
    fail_to_log_in(&server, "127.0.0.1");
    fail_to_log_in(&server, "127.0.0.2");
    assert_eq!(good(&server, &["bans"]), "nobody is banned\n");
    let (code, _, err) = ftpd(&server, &["ban", "192.168.1.7"]);
    assert_eq!((code, err.as_str()), (1, "ftpd: 192.168.1.7 is in ban_exempt\n"));
}

#[test]
fn bans_outlive_a_reload_and_their_keys_hold_after_it() {
    let server = strict("ban_after = 0");
    let file = server.dir().join("ftpd.ini");
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).unwrap();
        assert_eq!(ftpd(&server, &["reload"]).0, 0);
    };
    fail_to_log_in(&server, "127.0.0.2");
    fail_to_log_in(&server, "127.0.0.2");
    assert!(!is_banned(&server, "127.0.0.2"));
    change("ban_after = 0", "ban_after = 1");
    fail_to_log_in(&server, "127.0.0.2");
    assert!(is_banned(&server, "127.0.0.2"));
    change("ban_after = 1", "ban_after = 0");
    assert!(is_banned(&server, "127.0.0.2"));
    change("ban_exempt =", "ban_exempt = 127.0.0.2");
    assert!(!is_banned(&server, "127.0.0.2"));
}

#[test]
fn values_are_checked() {
    let server = Server::start();
    for (lines, part) in [
        ("ban_after = many", "[server] ban_after: 'many' is not a whole number"),
        ("ban_time = soon", "[server] ban_time: 'soon' is not a duration"),
        ("ban_exempt = home", "[server] ban_exempt: 'home' is not a list of addresses"),
    ] {
        let file = server.dir().join("bad.ini");
        fs::write(&file, format!("[server]\n{lines}\n")).unwrap();
        let (code, _, err) = ftpd(&server, &["check", "--config", "bad.ini"]);
        assert_eq!(code, 78);
        assert!(err.contains(part), "{err}");
    }
}
