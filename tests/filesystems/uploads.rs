//! Uploads: what was answered with success is there, and what was not has changed nothing.

use std::io::Write;

use crate::client::{Client, reset};
use crate::home::Home;
use crate::parts::{break_off, noise, parts, resume};
use crate::promise::Promise;

/// Sizes around those at which the server changes how it writes.
const SIZES: [usize; 6] = [0, 1, 4096, 70_000, 300_001, 1_200_000];

/// Checks uploads that are put in place by a rename.
pub(crate) fn whole(home: &Home<'_>, _: &Promise) -> Result<(), String> {
    let mut client = home.client();
    store_and_replace(home, &mut client);
    let old = noise(20, 100_000);
    client.upload("STOR old", &old);
    let new = noise(21, 400_000);
    // broken off: the old version is there, and the part is shown to its user
    break_off(&mut client, "STOR old", &new[..150_000], &home.path);
    assert!(home.get("old") == old);
    assert_eq!(client.cmd("SIZE old", 213), "213 150000");
    assert!(client.download("RETR old") == old);
    resume(&mut client, 150_000, "STOR old", &new[150_000..]);
    assert!(home.get("old") == new);
    // a name without an old version
    break_off(&mut client, "STOR fresh", &new[..1000], &home.path);
    assert!(!home.path.join("fresh").exists());
    resume(&mut client, 1000, "STOR fresh", &new[1000..]);
    assert!(home.get("fresh") == new);
    aborted(home, &mut client);
    unique(home, &mut client);
    added_to(home, &mut client);
    assert_eq!(parts(&home.path), []);
    Ok(())
}

/// Checks uploads with `atomic_uploads = off`.
pub(crate) fn in_place(home: &Home<'_>, _: &Promise) -> Result<(), String> {
    let mut client = home.client_in_place();
    store_and_replace(home, &mut client);
    let all = noise(30, 200_000);
    client.upload("STOR a", &all[..50_000]);
    client.upload("APPE a", &all[50_000..120_000]);
    resume(&mut client, 120_000, "STOR a", &all[120_000..]);
    assert!(home.get("a") == all);
    unique(home, &mut client);
    Ok(())
}

fn store_and_replace(home: &Home<'_>, client: &mut Client) {
    for (at, size) in SIZES.into_iter().enumerate() {
        let name = format!("size{size}");
        // new, then replaced by a longer and by a shorter version
        for (turn, size) in [size, size + 100_000, size].into_iter().enumerate() {
            let bytes = noise((at * 10 + turn) as u64, size);
            client.upload(&format!("STOR {name}"), &bytes);
            assert!(home.get(&name) == bytes, "{name}");
            assert_eq!(client.cmd(&format!("SIZE {name}"), 213), format!("213 {size}"));
            assert!(client.download(&format!("RETR {name}")) == bytes, "{name}");
        }
    }
    client.cmd("REST 100000", 350);
    let middle = client.download("RETR size300001");
    assert!(middle == home.get("size300001")[100_000..]);
}

fn aborted(home: &Home<'_>, client: &mut Client) {
    client.upload("STOR keep", b"the old version");
    for line in ["STOR keep", "STOR never", "APPE keep"] {
        let mut data = client.passive();
        client.cmd(line, 150);
        data.write_all(b"half").unwrap();
        while !client.cmd("STAT", 211).contains(": 4 bytes") {}
        client.raw(b"ABOR\r\n");
        client.expect(426);
        client.expect(226);
        assert_eq!(home.get("keep"), b"the old version", "{line}");
        assert!(!home.path.join("never").exists());
    }
    client.cmd("DELE keep", 250);
    let _ = client.ask("DELE never");
    assert_eq!(parts(&home.path), []);
}

fn unique(home: &Home<'_>, client: &mut Client) {
    let mut names = Vec::new();
    for text in ["one", "two", "three"] {
        let mark = client.upload("STOU many", text.as_bytes());
        let name = mark.split("FILE: ").nth(1).unwrap().trim().to_owned();
        assert_eq!(home.get(&name), text.as_bytes());
        assert!(!names.contains(&name), "{name}");
        names.push(name);
    }
}

/// Appends to a file and restarts in it.
fn added_to(home: &Home<'_>, client: &mut Client) {
    let all = noise(40, 500_000);
    client.upload("STOR log", &all[..100_000]);
    client.upload("APPE log", &all[100_000..400_000]);
    assert!(home.get("log") == all[..400_000]);
    let mut data = client.passive();
    client.cmd("APPE log", 150);
    data.write_all(b"broken off").unwrap();
    while !client.cmd("STAT", 211).contains(": 10 bytes") {}
    reset(data);
    client.expect(426);
    assert!(home.get("log") == all[..400_000]);
    resume(client, 400_000, "STOR log", &all[400_000..]);
    assert!(home.get("log") == all);
    resume(client, 250_000, "STOR log", &all[..1000]);
    assert!(home.get("log") == [&all[..250_000], &all[..1000]].concat());
    client.cmd("TYPE A", 200);
    client.upload("STOR text", b"one\r\ntwo\r\n");
    client.cmd("TYPE I", 200);
    assert_eq!(home.get("text"), b"one\ntwo\n");
}
