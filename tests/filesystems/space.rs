//! File systems that are full, over quota or read-only: the reply says so, nothing is lost, and the
//! server goes on afterwards.

use std::fs;
use std::io::Write;

use crate::client::Client;
use crate::home::Home;
use crate::parts::{break_off, noise, parts, resume};
use crate::promise::Promise;

/// An upload that no disk of the run has room for.
const TOO_MUCH: usize = 400 << 20;

/// Fills the file system through the server.
pub(crate) fn full(home: &Home<'_>, _: &Promise) -> Result<(), String> {
    let mut client = home.client();
    client.cmd("ALLO 1000000000000", 552);
    client.cmd("ALLO 1000", 200);
    runs_out(home, &mut client, 452);
    Ok(())
}

/// Uses up the quota of the server's user.
pub(crate) fn quota(home: &Home<'_>, _: &Promise) -> Result<(), String> {
    let Some(script) = home.disk.kind.quota else {
        return Err("no quotas".to_owned());
    };
    home.disk.run(script)?;
    let mut client = home.client();
    let none = script.replace("8192 8192", "0 0").replace("limit 8M", "limit none");
    runs_out(home, &mut client, 552);
    home.disk.run(&none).unwrap();
    Ok(())
}

/// Uploads of all kinds that run out of room end with `code` and change nothing.
fn runs_out(home: &Home<'_>, client: &mut Client, code: u16) {
    let old = noise(1, 300_000);
    client.upload("STOR old", &old);
    for line in ["STOR old", "APPE old", "STOR new", "REST 100000"] {
        if line.starts_with("REST") {
            break_off(client, "STOR old", &noise(2, 100_000), &home.path);
            client.cmd(line, 350);
        }
        let command = if line.starts_with("REST") { "STOR old" } else { line };
        let told = too_much(client, command);
        assert_eq!(told, code, "{line}");
        assert!(home.get("old") == old, "{line}");
        assert_eq!(parts(&home.path), [], "{line}");
        assert!(!home.path.join("new").exists());
    }
    // the room is there again
    let new = noise(3, 1_000_000);
    client.upload("STOR old", &new);
    assert!(home.get("old") == new);
}

/// Uploads until the server refuses more, and returns its last word.
fn too_much(client: &mut Client, command: &str) -> u16 {
    let mut data = client.passive();
    client.cmd(command, 150);
    let block = noise(4, 1 << 20);
    let mut sent = 0;
    while sent < TOO_MUCH && data.write_all(&block).is_ok() {
        sent += block.len();
    }
    drop(data);
    client.answer().0
}

/// Makes the file system read-only while a client is at work, and writable again.
pub(crate) fn read_only(home: &Home<'_>, promise: &Promise) -> Result<(), String> {
    let mut client = home.client();
    let old = noise(1, 50_000);
    client.upload("STOR old", &old);
    let new = noise(2, 60_000);
    break_off(&mut client, "STOR old", &new[..20_000], &home.path);
    // the system refuses while a file is open for writing
    if home.disk.run("mount -o remount,ro $D/mounted").is_err() {
        home.disk.run("mount -o remount,bind,ro $D/mounted").unwrap();
    }
    for line in ["STOR old", "APPE old", "STOR new", "STOU", "APPE new"] {
        let (code, text, _) = client.exchange(line, b"x");
        assert!([550, 554].contains(&code), "{line}: {text}");
    }
    client.cmd("REST 20000", 350);
    let (code, text, _) = client.exchange("STOR old", b"x");
    assert!([550, 554].contains(&code), "{text}");
    for line in ["DELE old", "MKD d", "MFMT 20200101000000 old"] {
        client.cmd(line, 550);
    }
    if promise.modes {
        client.cmd("SITE CHMOD 600 old", 550);
    }
    client.cmd("RNFR old", 350);
    client.cmd("RNTO other", 550);
    assert!(client.download("RETR old") == old);
    assert!(client.lines("NLST").contains(&"old".to_owned()));
    if home.disk.run("mount -o remount,rw $D/mounted").is_err() {
        home.disk.run("mount -o remount,bind,rw $D/mounted").unwrap();
    }
    assert!(fs::read(home.path.join("old")).unwrap() == old);
    assert_eq!(client.cmd("SIZE old", 213), "213 20000");
    resume(&mut client, 20_000, "STOR old", &new[20_000..]);
    assert!(home.get("old") == new);
    Ok(())
}
