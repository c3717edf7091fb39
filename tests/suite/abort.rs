//! ABOR, STAT and QUIT during a transfer; transfers that are cut off.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;

use socket2::SockRef;

use crate::client::{Client, drain, port_command, reset};
use crate::param::DeafPort;
use crate::server::{Server, eventually};

/// Size of a file that is larger than all buffers between the server and a client that does not
/// read. The file is sparse, so that it needs no space.
const HUGE: u64 = 256 << 20;

fn with_huge_file() -> Server {
    let server = Server::start();
    let path = server.put("huge", "");
    File::options().write(true).open(path).unwrap().set_len(HUGE).unwrap();
    server
}

/// Begins a RETR that cannot end, because nobody reads what the server sends.
fn stuck_download(client: &mut Client) -> TcpStream {
    let data = client.passive();
    client.cmd("RETR huge", 150);
    data
}

/// Checks that the session works as before: replies, an upload and a download.
fn goes_on(server: &Server, client: &mut Client) {
    server.put("small", "text");
    assert_eq!(client.download("RETR small"), b"text");
    client.upload("STOR small", b"more");
    assert_eq!(server.get("small"), b"more");
}

/// The number of transferred bytes in the reply to STAT.
fn bytes_so_far(client: &mut Client) -> u64 {
    let reply = client.cmd("STAT", 211);
    let words: Vec<_> = reply.split([' ', ',']).collect();
    let at =
        words.iter().position(|word| *word == "bytes").unwrap_or_else(|| panic!("{reply}"));
    words[at - 1].parse().unwrap_or_else(|_| panic!("{reply}"))
}

#[test]
fn abor_without_a_transfer_is_226_and_gives_up_the_data_connection() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    client.cmd("ABOR", 226);
    let mut data = client.passive();
    client.cmd("abor", 226);
    assert_eq!(drain(&mut data), b"");
    client.cmd("RETR huge", 425);
    client.cmd("ABOR x", 501);
    goes_on(&server, &mut client);
}

#[test]
fn abor_ends_a_download_with_426_and_then_226() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    for command in ["ABOR", "abor", "ABOR "] {
        let mut data = stuck_download(&mut client);
        client.cmd(command, 426);
        client.expect(226);
        assert!((drain(&mut data).len() as u64) < HUGE);
    }
    goes_on(&server, &mut client);
    let line = server.wait_for_log("aborted by the client");
    assert!(line.contains("RETR \"") && line.contains(" bytes in "), "{line}");
}

#[test]
fn abor_ends_a_classic_upload_and_what_came_before_it_stays() {
    let server = Server::setup().user("atomic_uploads = off").start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    data.write_all(&vec![b'x'; 100_000]).unwrap();
    eventually("all bytes are there", || bytes_so_far(&mut client) == 100_000);
    client.cmd("ABOR", 426);
    client.expect(226);
    assert_eq!(drain(&mut data), b"");
    assert!(server.get("a") == vec![b'x'; 100_000]);
    goes_on(&server, &mut client);
}

/// Makes links to a path of thousands of bytes: a long listing that is quick to set up.
fn long_listing(server: &Server) {
    let name = "d".repeat(250);
    let path = vec![name; 15].join("/");
    fs::create_dir_all(server.home().join(&path)).unwrap();
    for number in 0..2500 {
        symlink(&path, server.home().join(format!("link{number}"))).unwrap();
    }
}

#[test]
fn abor_ends_a_listing() {
    let server = Server::start();
    long_listing(&server);
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("LIST", 150);
    client.cmd("ABOR", 426);
    client.expect(226);
    let got = drain(&mut data).len();
    let whole = client.download("LIST").len();
    assert!(got < whole, "{got} of {whole} bytes");
    goes_on(&server, &mut client);
}

#[test]
fn abor_comes_with_telnet_ip_and_synch_as_urgent_bytes() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    // urgent bytes and those behind them, as sent by BSD ftp, lftp, RFC 854 and others
    for (before, urgent, behind) in [
        (&b""[..], &b"\xff\xf4\xff"[..], &b"\xf2ABOR\r\n"[..]),
        (b"\xff\xf4", b"\xff\xf2", b"ABOR\r\n"),
        (b"\xff\xf4\xff", b"\xf2", b"ABOR\r\n"),
        (b"\xff\xf4", b"\xff", b"\xf2ABOR\r\n"),
        (b"", b"\xff\xf4\xff\xf2", b"ABOR\r\n"),
        (b"", b"\xff\xf4\xff\xf2ABOR\r\n", b""),
        (b"\xff\xf4\xff\xf2ABOR\r\n", b"", b""),
    ] {
        let mut data = stuck_download(&mut client);
        if !before.is_empty() {
            client.raw(before);
        }
        if !urgent.is_empty() {
            SockRef::from(client.stream()).send_out_of_band(urgent).unwrap();
        }
        if !behind.is_empty() {
            client.raw(behind);
        }
        client.expect(426);
        client.expect(226);
        drain(&mut data);
    }
    goes_on(&server, &mut client);
}

#[test]
fn urgent_bytes_without_abor_end_nothing() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    data.write_all(b"one ").unwrap();
    SockRef::from(client.stream()).send_out_of_band(b"\xff\xf4\xff\xf2").unwrap();
    client.send("NOOP");
    data.write_all(b"two").unwrap();
    drop(data);
    client.expect(226);
    client.expect(200);
    assert_eq!(server.get("a"), b"one two");
    SockRef::from(client.stream()).send_out_of_band(b"\xff\xf4\xff\xf2").unwrap();
    client.cmd("NOOP", 200);
}

#[test]
fn abor_ends_the_wait_for_a_passive_connection() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    for command in ["RETR huge", "LIST", "STOR new", "APPE new"] {
        client.passive_address("EPSV");
        client.send(command);
        client.send("ABOR");
        client.expect(426);
        client.expect(226);
    }
    assert!(!server.has("new"), "an upload that never began leaves no file");
    goes_on(&server, &mut client);
}

#[test]
fn abor_ends_the_wait_for_an_active_connection() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let deaf = DeafPort::new();
    client.cmd(&port_command(deaf.address), 200);
    client.send("RETR huge");
    client.send("ABOR");
    client.expect(426);
    client.expect(226);
    goes_on(&server, &mut client);
}

#[test]
fn abor_overtakes_the_commands_that_wait_before_it() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let mut data = stuck_download(&mut client);
    for line in ["NOOP", "PWD", "NONSENSE", "ABOR", "SYST"] {
        client.send(line);
    }
    // one reply for each, in the order in which they were sent
    for code in [426, 200, 257, 500, 226, 215] {
        client.expect(code);
    }
    drain(&mut data);
    goes_on(&server, &mut client);
}

#[test]
fn abor_in_the_same_packet_as_its_transfer_ends_it() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.raw(b"RETR huge\r\nNOOP\r\nABOR\r\n");
    // it may be seen before the transfer begins, or as soon as it has begun
    let first = client.next_line();
    if first.starts_with("150") {
        client.expect(426);
    } else {
        assert!(first.starts_with("426"), "{first}");
    }
    client.expect(200);
    client.expect(226);
    drain(&mut data);
    // nor while nobody connects to the passive port
    client.passive_address("EPSV");
    client.raw(b"STOR new\r\nABOR\r\n");
    client.expect(426);
    client.expect(226);
    goes_on(&server, &mut client);
}

#[test]
fn abor_behind_the_end_of_a_transfer_does_no_harm() {
    let server = Server::start();
    server.put("small", "text");
    let mut client = Client::bob(&server);
    for _ in 0..10 {
        let mut data = client.passive();
        client.cmd("RETR small", 150);
        assert_eq!(drain(&mut data), b"text");
        // the transfer is over or as good as over
        client.send("ABOR");
        let end = client.next_line();
        assert!(end.starts_with("226") || end.starts_with("426"), "{end}");
        client.expect(226);
    }
    goes_on(&server, &mut client);
}

#[test]
fn abor_is_prompt_in_a_slow_transfer() {
    let server = Server::setup().server("max_download = 100\nmax_upload = 100").start();
    server.put("a", vec![b'x'; 100_000]);
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("RETR a", 150);
    client.cmd("ABOR", 426);
    client.expect(226);
    drain(&mut data);
    let mut data = client.passive();
    client.cmd("STOR b", 150);
    data.write_all(&vec![b'x'; 100_000]).unwrap();
    client.cmd("ABOR", 426);
    client.expect(226);
    drain(&mut data);
}

#[test]
fn many_aborted_transfers_leave_nothing_behind() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let small = client.download("NLST");
    assert!(!small.is_empty());
    let before = server.open_files();
    for _ in 0..20 {
        let data = stuck_download(&mut client);
        client.cmd("ABOR", 426);
        client.expect(226);
        drop(data);
    }
    eventually("all files are closed", || server.open_files() <= before);
}

#[test]
fn stat_tells_of_bytes_and_rate_during_a_transfer() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    assert_eq!(bytes_so_far(&mut client), 0);
    for megabytes in 1..4_u64 {
        data.write_all(&vec![b'x'; 1 << 20]).unwrap();
        eventually("the bytes are counted", || bytes_so_far(&mut client) == megabytes << 20);
    }
    let reply = client.cmd("stat", 211);
    assert!(reply.contains("STOR") && reply.contains("iB/s"), "{reply}");
    drop(data);
    client.expect(226);
    assert_eq!(server.get("a").len(), 3 << 20);
    client.cmd("STAT", 211);
}

#[test]
fn stat_answers_during_a_download_and_a_listing() {
    let server = with_huge_file();
    long_listing(&server);
    let mut client = Client::bob(&server);
    for command in ["RETR huge", "LIST"] {
        let data = client.passive();
        client.cmd(command, 150);
        let mut last = 0;
        for _ in 0..3 {
            let now = bytes_so_far(&mut client);
            assert!(now >= last);
            last = now;
        }
        client.cmd("ABOR", 426);
        client.expect(226);
        drop(data);
    }
}

#[test]
fn stat_in_the_same_packet_as_its_transfer_is_answered_during_it() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.raw(b"RETR huge\r\nSTAT\r\n");
    let first = client.next_line();
    let second = client.next_line();
    let codes = [&first[..3], &second[..3]];
    assert!(codes == ["150", "211"] || codes == ["211", "150"], "{first} / {second}");
    client.cmd("ABOR", 426);
    client.expect(226);
    drain(&mut data);
}

#[test]
fn stat_answers_while_the_server_waits_for_the_data_connection() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    client.send("STOR a");
    assert_eq!(bytes_so_far(&mut client), 0);
    let mut data = client.data(address);
    client.expect(150);
    data.write_all(b"text").unwrap();
    drop(data);
    client.expect(226);
    assert_eq!(server.get("a"), b"text");
}

#[test]
fn other_commands_are_answered_after_the_transfer() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    for line in ["NOOP", "PWD", "STAT", "DELE a", "NONSENSE", "STAT /"] {
        client.send(line);
    }
    // the bytes that follow are taken in while the commands wait
    data.write_all(b"text").unwrap();
    drop(data);
    client.expect(226);
    for code in [200, 257] {
        client.expect(code);
    }
    // a STAT that had to wait for its turn is about the session
    client.expect(211);
    for code in [250, 500, 213] {
        client.expect(code);
    }
    assert!(!server.has("a"));
}

#[test]
fn quit_waits_for_the_end_of_the_transfer() {
    let server = Server::start();
    server.put("big", vec![b'x'; 3_000_000]);
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    data.write_all(b"one ").unwrap();
    client.send("QUIT");
    data.write_all(b"two").unwrap();
    drop(data);
    client.expect(226);
    client.expect(221);
    client.expect_close();
    assert_eq!(server.get("a"), b"one two");

    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.raw(b"RETR big\r\nQUIT\r\n");
    client.expect(150);
    assert_eq!(drain(&mut data).len(), 3_000_000);
    client.expect(226);
    client.expect(221);
    client.expect_close();
}

#[test]
fn a_client_that_says_quit_and_closes_its_side_still_gets_its_file() {
    let server = Server::start();
    server.put("big", vec![b'x'; 3_000_000]);
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.raw(b"RETR big\r\nQUIT\r\n");
    client.stream().shutdown(Shutdown::Write).unwrap();
    client.expect(150);
    assert_eq!(drain(&mut data).len(), 3_000_000);
    client.expect(226);
    client.expect(221);
    client.expect_close();
}

#[test]
fn abor_and_quit_together_end_both() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let mut data = stuck_download(&mut client);
    client.raw(b"ABOR\r\nQUIT\r\n");
    client.expect(426);
    client.expect(226);
    client.expect(221);
    client.expect_close();
    drain(&mut data);
}

#[test]
fn a_download_whose_client_is_gone_is_logged_and_lets_go_of_everything() {
    let server = with_huge_file();
    Client::bob(&server).download("NLST");
    server.wait_for_log("ended");
    eventually("the first session is gone", || server.open_files() > 0);
    let before = settled(&server);
    for (round, way) in ["both", "control", "data by reset"].iter().enumerate() {
        let mut client = Client::bob(&server);
        let mut data = stuck_download(&mut client);
        assert!(data.read(&mut [0; 1000]).unwrap() > 0);
        match *way {
            "control" => {
                drop(client);
                drain(&mut data);
            }
            "data by reset" => {
                reset(data);
                client.expect(426);
                client.cmd("NOOP", 200);
                drop(client);
            }
            _ => drop((data, client)),
        }
        eventually("the transfer is logged", || {
            let log = server.log();
            let lines: Vec<_> = log.lines().filter(|line| line.contains("/huge\": ")).collect();
            assert!(lines.iter().all(|line| line.contains("failed: ")), "{log}");
            assert!(lines.iter().all(|line| !line.contains(": 0 bytes")), "{log}");
            lines.len() == round + 1
        });
        eventually("all files are closed", || server.open_files() <= before);
    }
}

/// The number of open files once the server is idle.
fn settled(server: &Server) -> usize {
    let mut least = usize::MAX;
    eventually("the sessions have ended", || {
        least = server.open_files();
        let log = server.log();
        log.matches(" connected\n").count() == log.matches(" ended after ").count()
    });
    // the line is written before the socket is closed
    let mut client = Client::connect(server);
    client.cmd("QUIT", 221);
    client.expect_close();
    drop(client);
    eventually("the last one is closed", || {
        let now = server.open_files();
        let same = now == least;
        least = least.min(now);
        same
    });
    least
}

#[test]
fn a_classic_upload_whose_client_is_gone_is_logged_and_keeps_what_came() {
    let server = Server::setup().user("atomic_uploads = off").start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    data.write_all(&[b'x'; 12_345]).unwrap();
    eventually("all bytes are there", || bytes_so_far(&mut client) == 12_345);
    drop(client);
    let line = server.wait_for_log("STOR \"");
    assert!(line.contains(": 12345 bytes in ") && line.contains("failed: "), "{line}");
    assert_eq!(server.get("a"), [b'x'; 12_345]);
    assert_eq!(drain(&mut data), b"");
    server.wait_for_log("ended");
}

#[test]
fn an_upload_cut_off_by_a_reset_is_426() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for (kind, command) in [("I", "STOR a"), ("A", "STOR b"), ("I", "APPE c"), ("I", "STOU d")]
    {
        client.cmd(&format!("TYPE {kind}"), 200);
        let mut data = client.passive();
        client.cmd(command, 150);
        data.write_all(&[b'x'; 1000]).unwrap();
        reset(data);
        client.expect(426);
        let line = server.wait_for_log(&format!("{} \"", &command[..4]));
        assert!(line.contains("failed: ") || command == "STOR b", "{line}");
    }
    assert!(!server.log().contains("complete"), "{}", server.log());
}

/// The reset may arrive before the server has looked at the connection.
#[test]
fn an_upload_whose_connection_was_reset_before_it_began_is_no_success() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for bytes in [0, 1, 100_000] {
        let mut data = client.passive();
        // part of it may be refused already
        let _ = data.write_all(&vec![b'x'; bytes]);
        reset(data);
        client.send("STOR a");
        let mut reply = client.next_line();
        if reply.starts_with("150") {
            reply = client.next_line();
        }
        assert!(reply.starts_with("426") || reply.starts_with("425"), "{bytes}: {reply}");
    }
}

#[test]
fn an_active_upload_that_is_reset_is_no_success() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let listener = client.listener();
    client.cmd("STOR a", 150);
    let (mut data, _) = listener.accept().unwrap();
    data.write_all(b"text").unwrap();
    reset(data);
    client.expect(426);
}

#[test]
fn a_lost_data_connection_is_426_and_the_session_goes_on() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let mut data = stuck_download(&mut client);
    assert!(data.read(&mut [0; 1000]).unwrap() > 0);
    // bytes are unread, so this is a reset
    drop(data);
    client.expect(426);
    goes_on(&server, &mut client);
}

#[test]
fn a_transfer_without_progress_is_given_up_after_data_timeout() {
    let server = Server::setup().server("data_timeout = 1s").start();
    let path = server.put("huge", "");
    File::options().write(true).open(path).unwrap().set_len(HUGE).unwrap();
    let mut client = Client::bob(&server);
    let data = stuck_download(&mut client);
    client.expect(426);
    drop(data);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    data.write_all(b"text").unwrap();
    client.expect(426);
    assert!(!server.has("a"));
    assert_eq!(client.cmd("SIZE a", 213), "213 4");
    goes_on(&server, &mut client);
}

#[test]
fn abor_is_heard_behind_more_commands_than_a_packet_holds() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let mut data = stuck_download(&mut client);
    client.raw("NOOP\r\n".repeat(250).as_bytes());
    client.send("ABOR");
    client.expect(426);
    for _ in 0..250 {
        client.expect(200);
    }
    client.expect(226);
    drain(&mut data);
    goes_on(&server, &mut client);
}

/// The queue of commands is bounded; a client that has filled it can still be seen to go.
#[test]
fn a_client_that_is_gone_is_noticed_behind_a_full_queue_of_commands() {
    let server = with_huge_file();
    let mut client = Client::bob(&server);
    let mut data = stuck_download(&mut client);
    client.raw("NOOP\r\n".repeat(2000).as_bytes());
    drop(client);
    // the data connection is still there, and nobody reads it
    let line = server.wait_for_log("RETR \"");
    assert!(line.contains("failed: "), "{line}");
    drain(&mut data);
    server.wait_for_log("ended");
}

/// After QUIT a client may close its side. A reset means that it was killed, whether the server
/// notices it by a reply that cannot be sent or behind a full queue of commands.
#[test]
fn a_reset_behind_quit_leaves_the_old_version_in_place() {
    let many = "NOOP\r\n".repeat(300);
    let full = format!("QUIT\r\n{}", "NOOP\r\n".repeat(2100));
    for queued in ["QUIT\r\n", "STAT\r\nQUIT\r\n", &many, &full] {
        for command in ["STOR file", "APPE file"] {
            let server = Server::start();
            server.put("file", "old");
            let mut client = Client::bob(&server);
            let mut data = client.passive();
            client.cmd(command, 150);
            client.raw(queued.as_bytes());
            reset(client.stream);
            // the server may have closed it already
            let _ = data.write_all(b"cut").and_then(|()| data.shutdown(Shutdown::Write));
            let line = server.wait_for_log(&format!("{} \"", &command[..4]));
            assert!(line.contains("failed: "), "{queued:.20} ({} bytes): {line}", queued.len());
            server.wait_for_log("ended");
            assert_eq!(server.get("file"), b"old", "{command} {queued:.20}");
        }
    }
}

#[test]
fn a_classic_upload_whose_client_has_gone_before_its_first_byte_cuts_nothing() {
    let server = Server::setup().server("atomic_uploads = off").start();
    server.put("file", "old");
    let mut client = Client::bob(&server);
    let data = client.passive();
    client.cmd("STOR file", 150);
    reset(client.stream);
    let line = server.wait_for_log("STOR \"");
    assert!(line.contains("failed: "), "{line}");
    assert_eq!(server.get("file"), b"old");
    drop(data);
}

#[test]
fn a_reset_ends_what_waits_in_a_full_queue_of_commands() {
    let server = with_huge_file();
    server.put("file", "old");
    let mut client = Client::bob(&server);
    let mut data = stuck_download(&mut client);
    client.raw(format!("DELE file\r\n{}", "NOOP\r\n".repeat(2100)).as_bytes());
    reset(client.stream);
    server.wait_for_log("ended");
    assert_eq!(server.get("file"), b"old");
    drain(&mut data);
}

#[test]
fn a_client_that_is_gone_ends_the_wait_for_its_data_connection() {
    for last in ["", "NOOP\r\n"] {
        let server = with_huge_file();
        let mut client = Client::bob(&server);
        client.passive_address("EPSV");
        client.raw(format!("STOR new\r\n{last}").as_bytes());
        drop(client);
        server.wait_for_log("ended");
        assert!(!server.has("new"));
    }
}

/// While the server reads a file to answer SIZE, it obeys ABOR as during a transfer.
#[test]
fn abor_ends_the_counting_of_a_file_in_ascii_type() {
    let server = Server::start();
    let size = 60 << 20;
    let path = server.put("long", "");
    File::options().write(true).open(path).unwrap().set_len(size).unwrap();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    client.raw(b"SIZE long\r\nABOR\r\n");
    client.expect(426);
    client.expect(226);
    let address = client.passive_address("EPSV");
    for verb in ["RETR", "STOR"] {
        client.cmd(&format!("REST {size}"), 350);
        client.raw(format!("{verb} long\r\nABOR\r\n").as_bytes());
        client.expect(426);
        client.expect(226);
        client.cmd("EPSV", 229);
    }
    drop(TcpStream::connect(address));
    assert_eq!(client.cmd("SIZE long", 213), format!("213 {size}"));
    client.cmd("TYPE I", 200);
    goes_on(&server, &mut client);
    assert_eq!(server.home().join("long").metadata().unwrap().len(), size);
}

/// The server stops counting when the client is gone.
#[test]
fn the_counting_of_a_file_in_ascii_type_ends_with_the_client() {
    let server = Server::start();
    let path = server.put("long", "");
    File::options().write(true).open(path).unwrap().set_len(60 << 20).unwrap();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    client.send("SIZE long");
    client.stream().shutdown(Shutdown::Write).unwrap();
    server.wait_for_log("SIZE");
    client.expect(426);
    client.expect_close();
}

/// One upload at a time changes a file in place. The others wait some seconds for their turn,
/// and obey ABOR meanwhile.
#[test]
fn abor_ends_the_wait_for_another_upload() {
    let server = Server::start();
    let path = server.put("a", "text");
    fs::hard_link(path, server.home().join("b")).unwrap();
    let mut first = Client::bob(&server);
    let mut data = first.passive();
    first.cmd("STOR a", 150);
    data.write_all(b"new").unwrap();
    for verb in ["STOR", "APPE"] {
        let mut second = Client::bob(&server);
        second.passive_address("EPSV");
        second.raw(format!("{verb} b\r\nABOR\r\n").as_bytes());
        second.expect(426);
        second.expect(226);
        goes_on(&server, &mut second);
    }
    drop(data);
    first.expect(226);
    assert_eq!(server.get("b"), b"new");
}
