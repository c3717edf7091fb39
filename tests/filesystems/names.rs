//! Names: what a client stores under a name is found under it, and nowhere else.

use std::io::Write;

use crate::client::{Client, doubled};
use crate::home::Home;
use crate::parts::noise;
use crate::promise::Promise;

/// Checks RNFR and RNTO.
pub(crate) fn renames(home: &Home<'_>, promise: &Promise) -> Result<(), String> {
    let mut client = home.client();
    let bytes = noise(1, 10_000);
    client.upload("STOR a", &bytes);
    client.upload("STOR b", b"replaced by a");
    moved(&mut client, "a", "b");
    assert!(home.get("b") == bytes && !home.path.join("a").exists());
    // into another directory, and with it
    client.cmd("MKD d", 257);
    client.cmd("MKD e", 257);
    moved(&mut client, "b", "d/b");
    moved(&mut client, "d", "e/d");
    assert!(home.get("e/d/b") == bytes);
    // onto itself, and only the case
    moved(&mut client, "e/d/b", "e/d/b");
    assert!(home.get("e/d/b") == bytes);
    moved(&mut client, "e/d/b", "e/d/B");
    assert_eq!(client.lines("NLST e/d"), ["e/d/B"]);
    moved(&mut client, "e/d", "e/D");
    assert_eq!(client.lines("NLST e"), ["e/D"]);
    assert!(home.get("e/D/B") == bytes);
    // an upload in another case writes to the file that a case-insensitive system finds
    client.upload("STOR e/D/b", b"other case");
    let names = client.lines("NLST e/D");
    assert_eq!(names.len(), if promise.case { 2 } else { 1 }, "{names:?}");
    assert_eq!(home.get("e/D/b"), b"other case");
    // refused, with nothing changed
    client.cmd("RNFR e", 350);
    client.cmd("RNTO e/D/e", 550);
    client.cmd("RNFR e/D/B", 350);
    client.cmd("RNTO nowhere/B", 550);
    client.cmd("RMD e", 550);
    client.cmd("RNFR e/D/B", 350);
    client.cmd(&format!("RNTO {}", "n".repeat(256)), 553);
    assert_eq!(client.lines("NLST e/D").len(), names.len());
    Ok(())
}

fn moved(client: &mut Client, from: &str, to: &str) {
    client.cmd(&format!("RNFR {from}"), 350);
    client.cmd(&format!("RNTO {to}"), 250);
}

/// Checks names of all kinds in uploads, downloads, listings and renames.
pub(crate) fn listings(home: &Home<'_>, _: &Promise) -> Result<(), String> {
    let mut client = home.client();
    let names = names();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let count = names.len();
    let stored: Vec<&[u8]> =
        names.into_iter().filter(|name| store(&mut client, name)).collect();
    println!("    {} of {} names are allowed", stored.len(), count);
    assert!(stored.len() >= 10);
    let mut wanted: Vec<Vec<u8>> = stored.iter().map(|name| name.to_vec()).collect();
    wanted.sort();
    for (command, lead) in [("NLST -a", 0), ("MLSD", 1), ("LIST -a", 2)] {
        let listed = client.download(command);
        let lines = listed.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let name_of = |line: &[u8]| {
            let line = line.strip_suffix(b"\r").unwrap();
            match lead {
                0 => line.to_vec(),
                1 => line.splitn(2, |&byte| byte == b' ').nth(1).unwrap().to_vec(),
                // eight columns of one or more blanks come before the name
                _ => after_columns(line).to_vec(),
            }
        };
        let dots: [&[u8]; 2] = [b".", b".."];
        let entry =
            |line: &&[u8]| !line.starts_with(b"type=cdir") && !line.starts_with(b"type=pdir");
        let mut found: Vec<_> = lines.filter(entry).map(name_of).collect();
        found.retain(|name| !dots.contains(&name.as_slice()));
        found.sort();
        assert_eq!(found, wanted, "{command}");
    }
    for name in stored {
        client.tell([b"MDTM ", name].concat(), 213);
        client.tell([b"RNFR ", name].concat(), 350);
        client.tell("RNTO other", 250);
        assert_eq!(client.download("RETR other"), name);
        client.cmd("DELE other", 250);
    }
    assert_eq!(client.lines("NLST -a"), [] as [&str; 0]);
    Ok(())
}

/// Names that clients use, and some that a file system may refuse.
fn names() -> Vec<Vec<u8>> {
    let texts = [
        "plain",
        "two words",
        "-dash",
        ".hidden",
        "\u{e4}\u{f6}",
        "a\u{308}",
        "\u{65e5}\u{672c}",
        "\u{1f600}",
        "a:b",
        "a?b*",
        "back\\slash",
        "quo\"te",
        "dot.",
        "con",
    ];
    let mut names: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    names.extend([b"raw\xe4".to_vec(), b"iac\xff".to_vec()]);
    names.extend(["n".repeat(255), "\u{65e5}".repeat(85)].map(String::into_bytes));
    names
}

fn after_columns(line: &[u8]) -> &[u8] {
    let mut rest = line;
    for _ in 0..8 {
        let word = rest.iter().position(|&byte| byte == b' ').unwrap();
        let blanks = rest[word..].iter().position(|&byte| byte != b' ').unwrap();
        rest = &rest[word + blanks..];
    }
    rest
}

/// Uploads a file whose content is its name. Returns `false` if the name is refused, which must
/// leave nothing behind.
fn store(client: &mut Client, name: &[u8]) -> bool {
    let mut data = client.passive();
    client.raw(&[&doubled(&[b"STOR ", name].concat())[..], b"\r\n"].concat());
    if client.next_code() != 150 {
        client.expect(553);
        return false;
    }
    client.expect(150);
    data.write_all(name).unwrap();
    drop(data);
    if client.next_code() != 226 {
        client.expect(553);
        return false;
    }
    client.expect(226);
    true
}
