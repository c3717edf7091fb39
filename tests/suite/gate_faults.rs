//! Uploads that are judged, and other settings of folders, while directories move, scanners and programs
//! misbehave, and quarantines are not where they should be.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use crate::client::Client;
use crate::parts::{hang, noise, parts};
use crate::server::{Server, Setup};

/// The settings for a judge: a shell script without double quotes, to which `$0` is the file.
fn judged(script: &str) -> Setup {
    Server::setup().server(&format!("before_publish = /bin/sh -c \"{script}\""))
}

/// Sends a whole upload, and returns before it is answered.
fn send(client: &mut Client, command: &str, bytes: &[u8]) {
    let mut data = client.passive();
    client.cmd(command, 150);
    // the server may have stopped reading
    let _ = data.write_all(bytes);
    let _ = data.shutdown(Shutdown::Write);
}

/// Uploads, and returns the reply, which must have this code.
fn upload(client: &mut Client, command: &str, bytes: &[u8], code: u16) -> String {
    send(client, command, bytes);
    client.expect(code)
}

/// Folders whose settings an upload could evade if its directory were renamed meanwhile.
fn strict() -> Server {
    let server = Server::setup()
        .section("[folder:/names]\ndeny_names = *.exe")
        .section("[folder:/small]\nmax_file_size = 3")
        .section("[folder:/gated]\nbefore_publish = /bin/false")
        .section("[folder:/once]\noverwrite = no")
        .section("[folder:/ro]\nperm = elr")
        .start();
    for folder in ["names", "small", "gated", "once", "ro", "free"] {
        fs::create_dir(server.home().join(folder)).unwrap();
    }
    server
}

/// Begins an upload of four bytes to a new directory.
fn begun(server: &Server, name: &str) -> (Client, TcpStream) {
    fs::create_dir(server.home().join("m")).unwrap();
    let mut client = Client::bob(server);
    let data = hang(&mut client, format!("STOR m/{name}"), b"1234", &server.home().join("m"), 4);
    (client, data)
}

#[test]
fn an_upload_obeys_the_folder_to_which_its_directory_is_renamed_meanwhile() {
    let server = strict();
    for (folder, code) in [("names", 553), ("small", 552), ("gated", 451), ("ro", 550)] {
        let (mut client, data) = begun(&server, "f.exe");
        let to = server.home().join(folder).join("m");
        // by another program, or by a client a moment before the part is made
        fs::rename(server.home().join("m"), &to).unwrap();
        drop(data);
        client.expect(code);
        assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn an_upload_does_not_replace_a_file_where_its_directory_is_renamed_to() {
    let server = strict();
    fs::create_dir(server.home().join("m")).unwrap();
    server.put("m/f", "old");
    let mut client = Client::bob(&server);
    let data = hang(&mut client, "STOR m/f", b"1234", &server.home().join("m"), 4);
    let mut other = Client::bob(&server);
    other.cmd("RNFR m", 350);
    other.cmd("RNTO once/m", 250);
    drop(data);
    client.expect(451);
    assert_eq!(server.get("once/m/f"), b"old");
    assert!(parts(&server.home().join("once/m")).is_empty());
}

#[test]
fn an_upload_follows_its_directory_to_where_it_is_allowed() {
    let server = strict();
    let (mut client, data) = begun(&server, "f");
    let mut other = Client::bob(&server);
    other.cmd("RNFR m", 350);
    other.cmd("RNTO free/m", 250);
    // something else has the old path by now
    other.cmd("MKD m", 257);
    drop(data);
    client.expect(226);
    assert_eq!(server.get("free/m/f"), b"1234");
    assert!(parts(&server.home().join("free/m")).is_empty());
}

#[test]
fn renames_and_uploads_at_the_same_time_wait_for_each_other_and_end() {
    let server = strict();
    thread::scope(|scope| {
        for number in 0..3 {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::bob(server);
                for _ in 0..30 {
                    client.cmd(&format!("MKD d{number}"), 257);
                    client.cmd(&format!("RNFR d{number}"), 350);
                    client.cmd(&format!("RNTO names/d{number}"), 250);
                    client.cmd(&format!("RMD names/d{number}"), 250);
                    upload(&mut client, &format!("STOR f{number}"), b"1", 226);
                    client.cmd(&format!("RNFR f{number}"), 350);
                    client.cmd(&format!("RNTO free/f{number}"), 250);
                }
            });
        }
    });
}

