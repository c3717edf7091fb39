//! How bytes arrive over TLS: a whole file, its end and the client's Finished in one piece,
//! record by record, byte by byte; and clients that close as soon as they have what they want.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, SupportedProtocolVersion};
use socket2::SockRef;

use crate::client::{Client, reset};
use crate::server::{PATIENCE, Server, Setup, eventually, free_port};
use crate::tls_client::{Authority, Tls, VERSIONS};

fn setup() -> Setup {
    Server::setup().server("tls_cert = auto")
}

/// A TLS client over buffers, which decides what goes into one send.
struct Lump {
    tls: ClientConnection,
    stream: TcpStream,
}

/// How the bytes that follow the server's last flight are cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// All in one send.
    Together,
    /// The client's Finished, and then the rest in one send.
    FinishedAlone,
    /// A send for each record.
    Records,
    /// A send for each byte.
    Bytes,
}

const CUTS: [Cut; 4] = [Cut::Together, Cut::FinishedAlone, Cut::Records, Cut::Bytes];

impl Lump {
    /// Shakes hands up to the client's Finished, which is not sent yet.
    fn begin(tls: &Tls, stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let mut lump = Self { tls: tls.connection(), stream };
        while lump.tls.is_handshaking() {
            let flight = lump.take();
            lump.stream.write_all(&flight).unwrap();
            match lump.tls.read_tls(&mut lump.stream) {
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                read => read.unwrap(),
            };
            lump.tls.process_new_packets().unwrap();
        }
        lump
    }

    /// The bytes that TLS wants to send.
    fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Sends the client's Finished and this text, and the end of TLS if that is wanted.
    fn send(&mut self, text: &[u8], end: bool, cut: Cut) {
        let mut pieces = vec![self.take()];
        self.tls.writer().write_all(text).unwrap();
        if end {
            self.tls.send_close_notify();
        }
        let rest = self.take();
        match cut {
            Cut::Together | Cut::Bytes => pieces[0].extend(rest),
            Cut::FinishedAlone => pieces.push(rest),
            Cut::Records => {
                let mut rest = &rest[..];
                while let [_, _, _, high, low, ..] = *rest {
                    let length = 5 + usize::from(u16::from_be_bytes([high, low]));
                    let (record, others) = rest.split_at(length);
                    pieces.push(record.to_vec());
                    rest = others;
                }
            }
        }
        let bytes = pieces.iter().flat_map(|piece| match cut {
            Cut::Bytes => piece.chunks(1),
            _ => piece.chunks(usize::MAX),
        });
        for piece in bytes {
            self.stream.write_all(piece).unwrap();
        }
    }
}

/// A session that data connections resume.
fn bob(server: &Server, version: &'static SupportedProtocolVersion) -> (Client, Tls) {
    let tls = Tls::new(version);
    let client = Client::secure_bob(server, &tls);
    (client, tls)
}

#[test]
fn an_upload_that_arrives_with_its_end_behind_the_handshake_is_there_at_once() {
    let server = setup().start();
    let content: Vec<u8> = (0..20_000_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
    for version in VERSIONS {
        let (mut client, tls) = bob(&server, version);
        for verb in ["STOR", "APPE", "STOU"] {
            for size in [0, 1, 100, 4_096, 16_384, 16_385, 20_000] {
                for cut in CUTS {
                    let data = client.passive();
                    client.cmd(&format!("{verb} up"), 150);
                    let mut lump = Lump::begin(&tls, data);
                    lump.send(&content[..size], true, cut);
                    // the stream stays open: the end of TLS is enough
                    let reply = client.expect(226);
                    let stored = reply.split("FILE: ").nth(1).unwrap_or("up").trim().to_owned();
                    let name = if verb == "STOU" { stored_unique(&server) } else { stored };
                    assert!(
                        server.get(&name) == content[..size],
                        "{version:?} {verb} {size} {cut:?}"
                    );
                    client.cmd(&format!("DELE {name}"), 250);
                }
            }
        }
    }
}

/// The one file that bob's home has.
fn stored_unique(server: &Server) -> String {
    let mut names = std::fs::read_dir(server.home()).unwrap();
    names.next().unwrap().unwrap().file_name().into_string().unwrap()
}

#[test]
fn an_upload_that_comes_before_its_command_is_there_at_once() {
    let server = setup().start();
    for version in VERSIONS {
        let (mut client, tls) = bob(&server, version);
        for cut in CUTS {
            let mut lump = Lump::begin(&tls, client.passive());
            lump.send(b"early", true, cut);
            client.cmd("NOOP", 200);
            client.cmd("STOR up", 150);
            client.expect(226);
            assert_eq!(server.get("up"), b"early", "{version:?} {cut:?}");
        }
    }
}

#[test]
fn commands_that_arrive_with_the_handshake_are_answered_at_once() {
    let port = free_port();
    let server = setup().server(&format!("tls_implicit_port = {port}")).start();
    for version in VERSIONS {
        for (implicit, cut) in
            [true, false].into_iter().flat_map(|way| CUTS.map(|cut| (way, cut)))
        {
            let address =
                if implicit { ([127, 0, 0, 1], port).into() } else { server.address() };
            let mut client = Client::silent(address);
            if !implicit {
                client.expect(220);
                client.cmd("AUTH TLS", 234);
            }
            let stream = client.stream().try_clone().unwrap();
            let mut lump = Lump::begin(&Tls::new(version), stream);
            lump.send(b"USER bob\r\nPASS secret\r\nSTAT\r\nQUIT\r\n", cut == Cut::Records, cut);
            client.tls = Some(Box::new(lump.tls));
            let codes = [331, 230, 211, 221];
            for code in implicit.then_some(220).into_iter().chain(codes) {
                client.expect(code);
            }
        }
    }
}

#[test]
fn a_client_that_says_the_end_of_tls_and_keeps_the_stream_is_gone() {
    let server = setup().start();
    for version in VERSIONS {
        let (client, _) = bob(&server, version);
        let mut tls = client.tls.unwrap();
        let _ = tls.writer().write_all(b"NOOP\r\n");
        tls.send_close_notify();
        let mut bytes = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut bytes).unwrap();
        }
        let mut stream = client.stream;
        stream.write_all(&bytes).unwrap();
        // the reply to NOOP, and the server's end
        stream.read_to_end(&mut bytes).unwrap();
    }
}

#[test]
fn a_download_that_the_client_leaves_at_its_length_is_226() {
    let server = setup().start();
    for size in [0, 1, 5_000, 100_000] {
        server.put(&format!("f{size}"), vec![7; size]);
    }
    std::fs::create_dir(server.home().join("empty")).unwrap();
    for version in VERSIONS {
        let (mut client, tls) = bob(&server, version);
        for turn in 0..25 {
            for (line, size) in [
                ("RETR f0", 0),
                ("NLST empty", 0),
                ("RETR f1", 1),
                ("RETR f5000", 5_000),
                ("RETR f100000", 100_000),
            ] {
                let mut data = client.begin(&tls, line);
                let bytes = data.read_exactly(size);
                assert_eq!(bytes.len(), size);
                if turn % 2 == 0 {
                    drop(data);
                } else {
                    reset(data.into_stream());
                }
                client.expect(226);
            }
        }
    }
}

#[test]
fn a_client_that_keeps_its_end_of_a_download_open_gets_its_reply_at_once() {
    let server = setup().start();
    server.put("file", "content");
    for version in VERSIONS {
        let (mut client, tls) = bob(&server, version);
        let began = Instant::now();
        let mut kept = Vec::new();
        for line in ["RETR file", "LIST", "NLST", "MLSD", "RETR file"] {
            let mut data = client.begin(&tls, line);
            data.read_all().unwrap();
            client.expect(226);
            kept.push(data);
        }
        // each would take five seconds
        assert!(began.elapsed() < Duration::from_secs(10));
        client.cmd("NOOP", 200);
        drop(kept);
    }
    // and none of them stays open on the server
    let before = server.open_files();
    let (mut client, tls) = bob(&server, VERSIONS[1]);
    client.secure_download(&tls, "RETR file");
    client.cmd("QUIT", 221);
    client.expect_close();
    eventually("all is closed", || server.open_files() <= before);
}

/// A client that is killed in the middle of a queue: its control connection breaks while a
/// download runs, and the upload that is queued behind gets a few bytes and an end.
#[test]
fn an_upload_queued_behind_a_broken_control_connection_never_replaces_a_file() {
    let server = Server::setup().server("data_timeout = 5").start();
    let old = vec![b'o'; 12_000];
    server.put("big", vec![b'x'; 20 << 20]);
    for (ended, way) in ["reset", "close", "half"].into_iter().enumerate() {
        server.put("victim", &old);
        let mut client = Client::bob(&server);
        let [a, b] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [to_a, to_b] =
            [&a, &b].map(|one| crate::client::port_command(one.local_addr().unwrap()));
        client.raw(format!("{to_a}\r\nRETR big\r\n{to_b}\r\nSTOR victim\r\n").as_bytes());
        let mut down = a.accept().unwrap().0;
        down.read_exact(&mut [0]).unwrap();
        let stream = client.stream().try_clone().unwrap();
        match way {
            "reset" => {
                drop(client);
                reset(stream);
            }
            "close" => drop((client, stream)),
            _ => {
                stream.shutdown(Shutdown::Write).unwrap();
                std::mem::forget(client);
            }
        }
        let cutting = thread::spawn(move || {
            b.set_nonblocking(true).unwrap();
            let until = Instant::now() + PATIENCE;
            while Instant::now() < until {
                if let Ok((mut up, _)) = b.accept() {
                    let _ = up.write_all(b"cut");
                    return;
                }
                if down.read(&mut [0; 4096]).is_ok_and(|read| read == 0) {
                    return;
                }
            }
        });
        cutting.join().unwrap();
        eventually("the session has ended", || {
            server.log().matches(" ended after ").count() > ended
        });
        assert!(server.get("victim") == old, "{way}");
    }
}

#[test]
fn an_upload_whose_control_connection_breaks_before_its_150_never_replaces_a_file() {
    let server = Server::start();
    let old = vec![b'o'; 12_000];
    server.put("victim", &old);
    for _ in 0..40 {
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.send("STOR victim");
        let stream = client.stream().try_clone().unwrap();
        drop(client);
        reset(stream);
        let _ = data.write_all(b"cut");
        let _ = data.shutdown(Shutdown::Write);
        // the server has closed it, whatever the result was
        let _ = data.read_to_end(&mut Vec::new());
        assert!(server.get("victim") == old);
    }
}

/// What the client has said before it went away is read piece by piece, and its end behind
/// that.
#[test]
fn an_upload_whose_client_went_away_behind_many_commands_never_replaces_a_file() {
    let server = Server::start();
    let old = vec![b'o'; 12_000];
    server.put("victim", &old);
    for (round, line) in ["NOOP\r\n", "STAT\r\n"].into_iter().enumerate() {
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        // all of it is there when the server gets to the command
        server.signal("STOP");
        client.raw(b"STOR victim\r\n");
        client.raw(line.repeat(1000).as_bytes());
        drop(client);
        data.write_all(b"cut").unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        server.signal("CONT");
        eventually("the session has ended", || {
            server.log().matches(" ended after ").count() > round
        });
        assert!(server.get("victim") == old, "{line}");
    }
}

mod levels {
    use super::*;

    /// Each order of PROT, PASV, the connection and the command.
    #[test]
    fn the_level_at_the_command_decides_whatever_it_was_before() {
        let server = setup().start();
        server.put("file", "content");
        for version in VERSIONS {
            let (mut client, tls) = bob(&server, version);
            for (line, listed) in [("RETR file", "content"), ("NLST", "file\r\n")] {
                for connect_first in [true, false] {
                    // to clear text
                    client.cmd("PROT P", 200);
                    let address = client.passive_address("EPSV");
                    let early = connect_first.then(|| client.data(address));
                    client.cmd("NOOP", 200);
                    client.cmd("PROT C", 200);
                    let mut data = early.unwrap_or_else(|| client.data(address));
                    client.cmd(line, 150);
                    let mut text = String::new();
                    data.read_to_string(&mut text).unwrap();
                    assert_eq!(text, listed);
                    client.expect(226);
                    // and to TLS, with a handshake before the command
                    let address = client.passive_address("EPSV");
                    let early = connect_first.then(|| client.data(address));
                    client.cmd("NOOP", 200);
                    client.cmd("PROT P", 200);
                    let mut data = tls.over(early.unwrap_or_else(|| client.data(address)));
                    client.cmd(line, 150);
                    assert_eq!(data.read_all().unwrap(), listed.as_bytes());
                    data.end();
                    client.expect(226);
                }
            }
        }
    }

    #[test]
    fn what_was_sent_in_clear_text_while_the_level_was_p_is_the_file_at_level_c() {
        let server = setup().start();
        for version in VERSIONS {
            let (mut client, _) = bob(&server, version);
            let mut data = client.passive();
            data.write_all(b"clear text").unwrap();
            data.shutdown(Shutdown::Write).unwrap();
            client.cmd("NOOP", 200);
            client.cmd("PROT C", 200);
            client.cmd("STOR up", 150);
            client.expect(226);
            assert_eq!(server.get("up"), b"clear text");
        }
    }

    #[test]
    fn bytes_of_a_tls_handshake_are_never_a_file() {
        let server = setup().start();
        server.put("file", "content");
        for version in VERSIONS {
            let (mut client, tls) = bob(&server, version);
            for line in ["RETR file", "STOR new"] {
                client.cmd("PROT P", 200);
                let mut data = tls.over(client.passive());
                client.cmd("PROT C", 200);
                client.cmd(line, 150);
                client.expect(425);
                assert_eq!(data.read_all().unwrap_or_default(), b"");
                assert!(!server.has("new"));
            }
        }
    }

    #[test]
    fn on_the_implicit_port_data_is_private_until_prot_c() {
        let port = free_port();
        let server = setup().server(&format!("tls_implicit_port = {port}")).start();
        server.put("file", "content");
        for version in VERSIONS {
            let tls = Tls::new(version);
            let mut client = Client::silent(([127, 0, 0, 1], port).into());
            client.start_tls(&tls);
            client.expect(220);
            client.cmd("USER bob", 331);
            client.cmd("PASS secret", 230);
            assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
            // PROT takes no PBSZ before it, and turns it off and on
            client.cmd("PROT C", 200);
            assert_eq!(client.download("RETR file"), b"content");
            client.cmd("PROT P", 200);
            client.cmd("PBSZ 0", 200);
            assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
            client.cmd("PROT C", 200);
            client.cmd("REIN", 220);
            client.cmd("USER bob", 331);
            client.cmd("PASS secret", 230);
            assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
        }
    }
}

mod thieves {
    use super::*;

    /// A stranger at the client's address reaches the passive port first, shakes hands in full,
    /// and comes again with whatever ticket it was given.
    #[test]
    fn a_refused_data_connection_gets_no_ticket_that_would_do() {
        let server = setup().server("tls_resume = require").start();
        server.put("file", "content");
        for version in VERSIONS {
            for keep in [true, false] {
                let (mut client, tls) = bob(&server, version);
                for line in ["RETR file", "LIST", "MLSD", "STOR new", "APPE new"] {
                    let thief = Tls::new(version);
                    for turn in 0..2 {
                        let data = client.passive();
                        client.cmd(line, 150);
                        let mut data = thief.over(data);
                        assert!(!data.is_resumed(), "{version:?} {line} {turn}");
                        if keep {
                            let _ = data.send(b"stolen");
                        } else {
                            // what is no record: the alert of it must bring no ticket along
                            let _ = (&mut data.stream()).write_all(&[0x17, 3, 3, 0, 1, 9]);
                        }
                        client.expect(522);
                        assert_eq!(data.read_all().unwrap_or_default(), b"");
                        assert!(!server.has("new"));
                    }
                }
                assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
                client.secure_upload(&tls, "STOR own", b"own");
                assert_eq!(server.get("own"), b"own");
            }
        }
    }

    #[test]
    fn a_data_connection_with_another_certificate_or_none_is_refused() {
        let authority = Authority::new();
        let ca = authority.file();
        let lines = format!("tls_client_ca = {}\ntls_client_cert = optional", ca.display());
        let server = setup().server(&lines).start();
        server.put("file", "content");
        let (own, other) = (authority.issue("bob"), authority.issue("eve"));
        for version in VERSIONS {
            let tls = Tls::certified(version, &own);
            let strangers = [Tls::certified(version, &other), Tls::new(version)];
            let mut client = Client::secure_bob(&server, &tls);
            for thief in &strangers {
                for line in ["RETR file", "LIST", "STOR new"] {
                    let data = client.passive();
                    client.cmd(line, 150);
                    let mut data = thief.over(data);
                    let _ = data.send(b"bad");
                    client.expect(522);
                    assert_eq!(data.read_all().unwrap_or_default(), b"");
                    assert!(!server.has("new"));
                }
            }
            // with the same one a full handshake will do
            let again = Tls::certified(version, &own);
            assert_eq!(client.secure_download(&again, "RETR file"), b"content");
            assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
            // one that has shown none may show any
            let mut client = Client::secure_bob(&server, &strangers[1]);
            assert_eq!(client.secure_download(&tls, "RETR file"), b"content");
        }
    }

    #[test]
    fn that_a_client_stops_resuming_is_a_warning_once() {
        let server = setup().start();
        server.put("file", "content");
        let (mut client, tls) = bob(&server, VERSIONS[1]);
        let stranger = Tls::forgetful(VERSIONS[1]);
        for tls in [&tls, &stranger, &tls, &stranger] {
            assert_eq!(client.secure_download(tls, "RETR file"), b"content");
        }
        client.cmd("QUIT", 221);
        client.expect_close();
        // the log is written by a thread of its own
        server.wait_for_log("ended after");
        let log = server.log();
        let warnings = log.lines().filter(|line| line.contains("although earlier ones did"));
        let warnings: Vec<_> = warnings.collect();
        assert!(matches!(warnings[..], [one] if one.contains("WARN")), "{log}");
    }
}

#[test]
fn an_upload_that_ends_without_close_notify_tells_the_administrator_what_to_do() {
    let server = setup().start();
    for version in VERSIONS {
        for content in ["", "text"] {
            let (mut client, tls) = bob(&server, version);
            let mut data = client.begin(&tls, "STOR up");
            if !content.is_empty() {
                data.send(content.as_bytes()).unwrap();
            }
            let stream = data.into_stream();
            SockRef::from(&stream).shutdown(Shutdown::Write).unwrap();
            client.expect(426);
            server.wait_for_log("tls_require_close_notify");
            assert!(!server.has("up"));
        }
    }
}

/// The client sends the rest of its line end when it goes on, and must not find a second CR.
#[test]
fn a_text_that_is_cut_between_cr_and_lf_is_gone_on_with_as_it_is() {
    let server = Server::start();
    for turn in 0..20 {
        let name = format!("text{turn}");
        let mut client = Client::bob(&server);
        client.cmd("TYPE A", 200);
        let mut data = client.passive();
        client.cmd(&format!("STOR {name}"), 150);
        data.write_all(b"one\r").unwrap();
        eventually("it has arrived", || {
            let mut files = std::fs::read_dir(server.home()).unwrap().flatten();
            files.any(|file| file.metadata().is_ok_and(|meta| meta.len() == 3))
        });
        let stream = client.stream().try_clone().unwrap();
        drop(client);
        reset(stream);
        data.shutdown(Shutdown::Write).unwrap();
        let _ = data.read_to_end(&mut Vec::new());
        let mut client = Client::bob(&server);
        let mut size = String::new();
        eventually("the part is shown", || {
            size = client.read_any(&format!("SIZE {name}"));
            size.starts_with("213")
        });
        assert_eq!(size, "213 3");
        client.cmd("REST 3", 350);
        client.upload(&format!("STOR {name}"), b"\ntwo\n");
        assert_eq!(server.get(&name), b"one\ntwo\n");
    }
}
