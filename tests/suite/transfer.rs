//! RETR, STOR, APPE, STOU, REST, ALLO.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::thread;

use crate::client::{Client, drain};
use crate::server::Server;

/// Sends commands that must be refused before a transfer begins, and checks that the data
/// connection is left for the next one.
fn refused(client: &mut Client, commands: &[(&str, u16)]) {
    let address = client.passive_address("EPSV");
    for (command, code) in commands {
        client.cmd(command, *code);
    }
    let mut data = client.data(address);
    client.cmd("NLST", 150);
    drain(&mut data);
    client.expect(226);
}

/// Pseudo-random bytes: every value, line ends of all kinds, and no period.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(len);
    bytes
}

/// Mostly line ends, with some of them at every power of two.
fn lines(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        noise(len).iter().map(|byte| b"a\r\n\nb\r\nc"[usize::from(byte % 8)]).collect();
    for power in 8..20 {
        let at = 1 << power;
        if at + 1 < len {
            bytes[at - 1] = b'\r';
            bytes[at] = b'\n';
            bytes[at + 1] = b'\n';
        }
    }
    bytes
}

fn to_wire(local: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for &byte in local {
        if byte == b'\n' && wire.last() != Some(&b'\r') {
            wire.push(b'\r');
        }
        wire.push(byte);
    }
    wire
}

fn from_wire(wire: &[u8]) -> Vec<u8> {
    let mut local = Vec::new();
    for (at, &byte) in wire.iter().enumerate() {
        if byte != b'\r' || wire.get(at + 1) != Some(&b'\n') {
            local.push(byte);
        }
    }
    local
}

#[test]
fn what_was_stored_is_retrieved() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"one\r\ntwo\n");
    assert_eq!(server.get("a"), b"one\r\ntwo\n");
    assert_eq!(client.download("RETR a"), b"one\r\ntwo\n");
}

#[test]
fn binary_type_changes_no_byte_of_a_large_or_an_empty_file() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for len in [0, 1, 65_535, 5_000_001] {
        let bytes = noise(len);
        client.upload("STOR a", &bytes);
        assert!(server.get("a") == bytes, "STOR of {len} bytes");
        assert!(client.download("RETR a") == bytes, "RETR of {len} bytes");
    }
}

#[test]
fn stor_replaces_a_longer_file_whole() {
    let server = Server::start();
    server.put("a", "a long text that was here");
    Client::bob(&server).upload("STOR a", b"short");
    assert_eq!(server.get("a"), b"short");
}

#[test]
fn appe_adds_to_a_file_and_makes_one_that_is_not_there() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.upload("APPE a", b"one");
    client.upload("APPE a", b"two");
    client.upload("APPE a", b"");
    assert_eq!(server.get("a"), b"onetwo");
}

#[test]
fn appe_writes_at_the_end_whatever_rest_said() {
    let server = Server::start();
    server.put("a", "12345");
    let mut client = Client::bob(&server);
    client.cmd("REST 2", 350);
    client.upload("APPE a", b"67");
    assert_eq!(server.get("a"), b"1234567");
}

#[test]
fn two_who_append_at_once_lose_nothing() {
    let server = Server::start();
    thread::scope(|scope| {
        for letter in [b'x', b'y'] {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::bob(server);
                for _ in 0..5 {
                    client.upload("APPE log", &[letter; 1000]);
                }
            });
        }
    });
    let log = server.get("log");
    assert_eq!(log.len(), 10_000);
    let (x, y): (Vec<u8>, Vec<u8>) = log.iter().partition(|&&byte| byte == b'x');
    assert_eq!((x.len(), y.len()), (5000, 5000));
}

#[test]
fn a_file_that_cannot_be_had_is_550_and_costs_no_data_connection() {
    let server = Server::start();
    fs::create_dir(server.home().join("dir")).unwrap();
    server.put("file", "1");
    let mut client = Client::bob(&server);
    refused(
        &mut client,
        &[
            ("RETR missing", 550),
            ("RETR dir", 550),
            ("RETR dir/missing", 550),
            ("RETR file/x", 550),
            ("RETR /", 550),
            ("STOR dir", 550),
            ("APPE dir", 550),
            ("STOR missing/x", 550),
            ("APPE missing/x", 550),
            ("STOU missing/x", 550),
            ("STOR file/x", 550),
            ("STOR /", 550),
            ("RETR", 501),
            ("STOR", 501),
            ("APPE", 501),
        ],
    );
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 2);
    assert_eq!(server.get("file"), b"1");
}

#[test]
fn without_pasv_or_port_a_transfer_is_425_and_changes_nothing() {
    let server = Server::start();
    server.put("old", "text");
    let mut client = Client::bob(&server);
    for command in ["STOR old", "STOR new", "APPE new", "STOU", "STOU new", "RETR old"] {
        client.cmd(command, 425);
    }
    assert_eq!(server.get("old"), b"text");
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
}

#[test]
fn a_data_connection_that_does_not_come_about_leaves_the_tree_as_it_was() {
    let server = Server::setup().server("data_timeout = 1s").start();
    server.put("old", "text");
    let mut client = Client::bob(&server);
    // a port that nobody listens on, and one that nobody comes to
    let held = client.refusing_port();
    client.cmd("STOR old", 425);
    drop(held);
    let held = client.refusing_port();
    client.cmd("STOU", 425);
    drop(held);
    client.passive_address("EPSV");
    client.cmd("STOR new", 425);
    assert_eq!(server.get("old"), b"text");
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
}

#[test]
fn ascii_retr_ends_every_line_with_cr_lf_across_chunk_borders() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    for file in [b"".to_vec(), b"\n".to_vec(), b"a\nb\r\nc\r".to_vec(), lines(300_007)] {
        server.put("a", &file);
        assert!(client.download("RETR a") == to_wire(&file), "{} bytes", file.len());
    }
}

#[test]
fn ascii_stor_turns_cr_lf_into_lf_across_chunk_borders() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A N", 200);
    for wire in [b"".to_vec(), b"\r".to_vec(), b"\r\n".to_vec(), lines(1_100_003)] {
        client.upload("STOR a", &wire);
        assert!(server.get("a") == from_wire(&wire), "{} bytes", wire.len());
    }
    client.upload("APPE a", b"x\r\n");
    assert!(server.get("a").ends_with(b"x\n"));
}

#[test]
fn a_line_end_that_comes_in_two_pieces_is_one_line_end() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    let mut data = client.passive();
    data.set_nodelay(true).unwrap();
    client.cmd("STOR a", 150);
    let mut sent = 0;
    for piece in [&b"one\r"[..], b"\ntwo\r", b"x\r", b"\r", b"\n\r", b"\n"] {
        data.write_all(piece).unwrap();
        sent += piece.len();
        // the piece has been taken in before the next one is sent
        while !client.cmd("STAT", 211).contains(&format!(" {sent} bytes")) {}
    }
    drop(data);
    client.expect(226);
    assert_eq!(server.get("a"), b"one\ntwo\rx\r\n\n");
}

#[test]
fn a_text_comes_back_from_ascii_as_it_was() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    let mixed = lines(200_003);
    let ends_line = |at: usize| matches!(mixed.get(at + 1), Some(b'\r' | b'\n'));
    let is_end = |(at, byte): &(usize, &u8)| **byte == b'\r' && ends_line(*at);
    let unix: Vec<u8> =
        mixed.iter().enumerate().filter(|it| !is_end(it)).map(|(_, byte)| *byte).collect();
    server.put("a", &unix);
    let dos = client.download("RETR a");
    client.upload("STOR b", &dos);
    assert!(server.get("b") == unix);
    // a file that has CR LF already is sent as it is
    server.put("c", &dos);
    assert!(client.download("RETR c") == dos);
}

#[test]
fn ascii_is_the_type_of_a_new_session() {
    let server = Server::start();
    server.put("a", "1\n");
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    assert_eq!(client.download("RETR a"), b"1\r\n");
}

#[test]
fn rest_begins_a_retr_anywhere_up_to_the_end() {
    let server = Server::start();
    let bytes = noise(3_000_000);
    server.put("a", &bytes);
    let mut client = Client::bob(&server);
    for offset in [0, 1, 2_999_999, 3_000_000] {
        client.cmd(&format!("REST {offset}"), 350);
        assert!(client.download("RETR a") == bytes[offset..], "REST {offset}");
    }
}

#[test]
fn rest_beyond_the_end_is_554_and_keeps_the_data_connection() {
    let server = Server::start();
    server.put("a", "12345");
    let mut client = Client::bob(&server);
    for offset in [6, 4_294_967_301, i64::MAX] {
        let rest = format!("REST {offset}");
        refused(&mut client, &[(&rest, 350), ("RETR a", 554)]);
        refused(&mut client, &[(&rest, 350), ("STOR a", 554)]);
        refused(&mut client, &[(&rest, 350), ("STOR new", 554)]);
    }
    assert_eq!(server.get("a"), b"12345");
    assert!(!server.has("new"));
    assert_eq!(client.download("RETR a"), b"12345");
}

#[test]
fn rest_takes_numbers_up_to_what_a_file_can_hold() {
    let server = Server::start();
    server.put("a", "12345");
    let mut client = Client::bob(&server);
    client.cmd("REST 9223372036854775807", 350);
    client.cmd("REST 0", 350);
    for bad in [
        "REST 9223372036854775808",
        "REST 18446744073709551616",
        "REST -1",
        "REST +1",
        "REST 1x",
        "REST 1 2",
        "REST 0x1",
        "REST",
        "REST ",
    ] {
        client.cmd(bad, 501);
    }
    assert_eq!(client.download("RETR a"), b"12345");
}

#[test]
fn rest_works_beyond_four_gibibytes_both_ways() {
    let server = Server::start();
    let path = server.put("a", "");
    let file = File::options().write(true).open(&path).unwrap();
    let end = (1_u64 << 42) + 5;
    if let Err(why) = file.set_len(end) {
        eprintln!("skipped: no sparse file of {end} bytes here: {why}");
        return;
    }
    file.write_all_at(b"tail!", end - 5).unwrap();
    let mut client = Client::bob(&server);
    client.cmd(&format!("REST {}", end - 5), 350);
    assert_eq!(client.download("RETR a"), b"tail!");
    client.cmd(&format!("REST {}", end - 1), 350);
    client.upload("STOR a", b"more");
    assert_eq!(path.metadata().unwrap().len(), end + 3);
    client.cmd(&format!("REST {}", end - 5), 350);
    assert_eq!(client.download("RETR a"), b"tailmore");
}

#[test]
fn rest_and_stor_continue_an_upload() {
    let server = Server::start();
    server.put("a", "12345");
    let mut client = Client::bob(&server);
    client.cmd("REST 5", 350);
    client.upload("STOR a", b"678");
    assert_eq!(server.get("a"), b"12345678");
    client.cmd("REST 2", 350);
    client.upload("STOR a", b"abcdefghi");
    assert_eq!(server.get("a"), b"12abcdefghi");
}

#[test]
fn rest_serves_one_transfer_only() {
    let server =
        Server::setup().section("[user:eve]\npassword = e\nperm = elr\nhome = home").start();
    server.put("a", "12345");
    let mut client = Client::login(&server, "eve", "e");
    // a transfer that worked, and some that did not, all use it up
    client.cmd("REST 2", 350);
    assert_eq!(client.download("RETR a"), b"345");
    assert_eq!(client.download("RETR a"), b"12345");
    for (command, code) in [
        ("RETR missing", 550),
        ("STOR a", 550),
        ("APPE a", 550),
        ("STOU", 550),
        ("RETR a", 425),
    ] {
        client.cmd("REST 2", 350);
        client.cmd(command, code);
        assert_eq!(client.download("RETR a"), b"12345", "after {command}");
    }
    client.cmd("REST 2", 350);
    client.lines("NLST");
    assert_eq!(client.download("RETR a"), b"12345", "after NLST");
    client.cmd("REST 2", 350);
    client.cmd("REIN", 220);
    client.cmd("USER eve", 331);
    client.cmd("PASS e", 230);
    assert_eq!(client.download("RETR a"), b"12345", "after REIN");
}

#[test]
fn what_stands_between_rest_and_its_transfer_does_not_matter() {
    let server = Server::start();
    server.put("a", "12345");
    let mut client = Client::bob(&server);
    client.cmd("REST 2", 350);
    client.cmd("NOOP", 200);
    client.cmd("SIZE a", 213);
    client.cmd("TYPE I", 200);
    let mut data = client.passive();
    client.cmd("RETR a", 150);
    assert_eq!(drain(&mut data), b"345");
    client.expect(226);
}

#[test]
fn rest_in_ascii_counts_bytes_of_the_wire() {
    let server = Server::start();
    let file = lines(100_003);
    let wire = to_wire(&file);
    server.put("a", &file);
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    let inside = wire.windows(2).rposition(|two| two == b"\r\n").unwrap() + 1;
    for offset in [0, 1, 65_535, 65_536, 65_537, inside, wire.len() - 1, wire.len()] {
        client.cmd(&format!("REST {offset}"), 350);
        assert!(client.download("RETR a") == wire[offset..], "REST {offset}");
    }
    refused(&mut client, &[(&format!("REST {}", wire.len() + 1), 350), ("RETR a", 554)]);
    refused(&mut client, &[("REST 9223372036854775807", 350), ("RETR a", 554)]);
}

#[test]
fn an_ascii_upload_goes_on_where_the_wire_broke() {
    let server = Server::start();
    server.put("a", "one\ntwo\n");
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    // 5 bytes of the wire are 4 of the file
    client.cmd("REST 5", 350);
    client.upload("STOR a", b"2\r\nthree\r\n");
    assert_eq!(server.get("a"), b"one\n2\nthree\n");
    // between CR and LF there is no place in the file
    refused(&mut client, &[("REST 4", 350), ("STOR a", 554)]);
    refused(&mut client, &[("REST 1000", 350), ("STOR a", 554)]);
    assert_eq!(server.get("a"), b"one\n2\nthree\n");
}

#[test]
fn stou_makes_a_new_name_each_time_and_says_it() {
    let server = Server::start();
    server.put("report", "old");
    let mut client = Client::bob(&server);
    let mut names = Vec::new();
    for (command, content) in [
        ("STOU", "1"),
        ("STOU", "2"),
        ("STOU report", "3"),
        ("STOU report", "4"),
        ("STOU new", "5"),
    ] {
        let mark = client.upload(command, content.as_bytes());
        let name =
            mark.strip_prefix("150 FILE: ").unwrap_or_else(|| panic!("{mark}")).to_owned();
        assert_eq!(server.get(&name), content.as_bytes(), "{command}");
        assert!(!names.contains(&name), "{name} came twice");
        names.push(name);
    }
    assert_eq!(names.last().unwrap(), "new");
    assert!(names[2].starts_with("report") && names[2] != "report");
    assert_eq!(server.get("report"), b"old");
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 6);
}

#[test]
fn stou_names_a_file_of_another_directory_so_that_it_can_be_found() {
    let server = Server::start();
    server.put("in/x", "old");
    let mut client = Client::bob(&server);
    let mark = client.upload("STOU in/x", b"new");
    let name = mark.strip_prefix("150 FILE: ").unwrap();
    client.cmd("CWD in", 250);
    assert_eq!(client.download(&format!("RETR {name}")), b"new");
    assert_eq!(server.get("in/x"), b"old");
}

#[test]
fn stou_follows_no_link_that_leads_to_nothing() {
    let server = Server::start();
    std::os::unix::fs::symlink("elsewhere", server.home().join("upload")).unwrap();
    let mut client = Client::bob(&server);
    client.upload("STOU", b"1");
    assert!(!server.has("elsewhere"));
}

#[test]
fn many_who_stou_at_once_get_a_file_each() {
    let server = Server::start();
    thread::scope(|scope| {
        for letter in 0..8_u8 {
            let server = &server;
            scope.spawn(move || Client::bob(server).upload("STOU x", &[b'0' + letter; 100]));
        }
    });
    let mut contents: Vec<_> = fs::read_dir(server.home())
        .unwrap()
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    contents.sort();
    let wanted: Vec<_> = (0..8_u8).map(|letter| vec![b'0' + letter; 100]).collect();
    assert_eq!(contents, wanted);
}

#[test]
fn allo_says_whether_there_is_room() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for good in ["ALLO 0", "ALLO 1000", "ALLO 1000 R 80", "allo 1000 r 80"] {
        let reply = client.read_any(good);
        assert!(reply.starts_with("200") || reply.starts_with("202"), "{good}: {reply}");
    }
    for full in ["ALLO 9223372036854775807", "ALLO 18446744073709551615"] {
        let reply = client.read_any(full);
        assert!(reply.starts_with("552") || reply.starts_with("452"), "{full}: {reply}");
    }
    for bad in ["ALLO", "ALLO x", "ALLO -1", "ALLO 1 R", "ALLO 1 2", "ALLO 1 R 2 3"] {
        client.cmd(bad, 501);
    }
    client.upload("STOR a", b"1");
}

#[test]
fn a_file_can_be_read_while_a_classic_upload_writes_it() {
    let server = Server::setup().user("atomic_uploads = off").start();
    let (mut one, mut two) = (Client::bob(&server), Client::bob(&server));
    let mut data = one.passive();
    one.cmd("STOR a", 150);
    data.write_all(b"first ").unwrap();
    while !one.cmd("STAT", 211).contains(" 6 bytes") {}
    assert_eq!(two.download("RETR a"), b"first ");
    data.write_all(b"second").unwrap();
    drop(data);
    one.expect(226);
    assert_eq!(two.download("RETR a"), b"first second");
}

#[test]
fn a_client_that_shuts_down_only_its_writing_side_has_sent_all() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let mut data = client.passive();
    client.cmd("STOR a", 150);
    data.write_all(b"text").unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    client.expect(226);
    assert_eq!(data.read(&mut [0]).unwrap(), 0);
    assert_eq!(server.get("a"), b"text");
}

#[test]
fn the_log_tells_of_each_transfer() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"12345");
    client.download("RETR a");
    client.cmd("QUIT", 221);
    let path = server.home().join("a");
    for verb in ["STOR", "RETR"] {
        let line = server.wait_for_log(&format!("{verb} \"{}\"", path.display()));
        assert!(line.contains("[bob]") && line.contains(": 5 bytes in "), "{line}");
        assert!(line.ends_with("complete"), "{line}");
    }
}

/// Line ends of all kinds on disk, and what they are on the wire: CR is added where none is.
const LINES: &[(&str, &str)] = &[
    ("a\r\nb\n", "a\r\nb\r\n"),
    ("\n", "\r\n"),
    ("\r\n", "\r\n"),
    ("\r\r\n\n", "\r\r\n\r\n"),
    ("\n\r\n\r", "\r\n\r\n\r"),
    ("a\rb\n\n", "a\rb\r\n\r\n"),
];

#[test]
fn in_ascii_type_a_line_end_is_cr_lf_whichever_it_was_on_disk() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    for (local, wire) in LINES {
        server.put("a", local);
        assert_eq!(client.download("RETR a"), wire.as_bytes(), "{local:?}");
        assert_eq!(client.cmd("SIZE a", 213), format!("213 {}", wire.len()), "{local:?}");
        for marker in 1..=wire.len() {
            client.cmd(&format!("REST {marker}"), 350);
            let rest = client.download("RETR a");
            assert_eq!(rest, wire.as_bytes()[marker..], "{local:?} from {marker}");
            if wire.contains("\r\r\n") {
                // of which an upload keeps one CR, however it arrives
                continue;
            }
            // an upload that goes on there makes the file that it would have been
            server.put("b", local);
            client.cmd(&format!("REST {marker}"), 350);
            if (0..local.len()).all(|at| to_wire(&local.as_bytes()[..at]).len() != marker)
                && marker < wire.len()
            {
                // between a CR and an LF of which the file has one
                client.passive();
                client.cmd("STOR b", 554);
                continue;
            }
            client.upload("STOR b", &wire.as_bytes()[marker..]);
            assert_eq!(client.download("RETR b"), wire.as_bytes(), "{local:?} at {marker}");
        }
    }
}

#[test]
fn in_ascii_type_pairs_of_cr_and_lf_stay_pairs_across_all_boundaries() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    // each file has a CR as the last byte of some piece that is read at once
    for before in [1023, 4095, 8191, 16_383, 32_767, 65_535, 131_071] {
        let local = [&vec![b'x'; before][..], b"\r\n", &vec![b'y'; before], b"\n\n"].concat();
        let wire = [&local[..2 * before + 2], b"\r\n\r\n"].concat();
        server.put("a", &local);
        assert!(client.download("RETR a") == wire, "{before}");
        assert_eq!(client.cmd("SIZE a", 213), format!("213 {}", wire.len()));
        for marker in [before - 1, before, before + 1, before + 2, wire.len() - 3] {
            client.cmd(&format!("REST {marker}"), 350);
            assert!(client.download("RETR a") == wire[marker..], "{before} {marker}");
        }
    }
}

/// A client must not make the server read for minutes before there is a data connection.
#[test]
fn in_ascii_type_a_restart_that_takes_reading_too_much_is_refused_at_once() {
    let server = Server::start();
    let path = server.put("huge", "");
    File::options().write(true).open(path).unwrap().set_len(40 << 30).unwrap();
    let mut client = Client::bob(&server);
    client.cmd("TYPE A", 200);
    let _data = client.passive();
    let size = client.cmd("SIZE huge", 550);
    for verb in ["RETR", "STOR"] {
        client.cmd(&format!("REST {}", 30_u64 << 30), 350);
        assert_eq!(client.cmd(&format!("{verb} huge"), 550), size, "{verb}");
        client.cmd(&format!("REST {}", 90_u64 << 30), 350);
        client.cmd(&format!("{verb} huge"), 554);
    }
    // where little has to be read it does not matter how long the file is
    client.cmd("REST 1000", 350);
    let mut data = client.passive();
    client.cmd("RETR huge", 150);
    let mut some = [1; 1000];
    data.read_exact(&mut some).unwrap();
    assert_eq!(some, [0; 1000]);
}
