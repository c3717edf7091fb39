//! The columns of the table: what differs between file systems.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;

use crate::client::{Client, doubled};
use crate::home::Home;

/// What the server can promise on a file system.
pub(crate) struct Promise {
    /// Whether an overwritten file is replaced as a whole.
    pub(crate) overwrite: bool,
    /// Whether an append, or a restart in a complete file, replaces the file as a whole.
    pub(crate) append: bool,
    /// First and last year of the times that MFMT can set; empty: no limit.
    years: (&'static str, &'static str),
    /// Whether a time keeps its odd seconds.
    seconds: bool,
    /// Whether SITE CHMOD has an effect.
    pub(crate) modes: bool,
    /// Whether names are limited to 255 characters instead of 255 bytes.
    characters: bool,
    /// Whether `a` and `A` are two files.
    pub(crate) case: bool,
    /// Whether there are symbolic links.
    pub(crate) links: bool,
}

/// Years near which a known format begins or ends, and the year to be printed: 1901 (32 bits with a
/// sign), 1970 (without), 1980 (FAT); 2038, 2106, 2107 (FAT), 2446 (ext4), 2486 (XFS).
const FIRST: [(u16, &str); 4] = [(1900, ""), (1902, "1901"), (1971, "1970"), (1981, "1980")];
const LAST: [(u16, &str); 6] = [
    (9999, ""),
    (2485, "2486"),
    (2445, "2446"),
    (2107, "2107"),
    (2105, "2106"),
    (2037, "2038"),
];

impl Promise {
    /// Measures all columns through the server.
    pub(crate) fn measure(home: &Home<'_>) -> Self {
        let mut client = home.client();
        Self {
            overwrite: overwrites_whole(home, &mut client),
            append: appends_whole(home, &mut client),
            years: years(&mut client),
            seconds: keeps(&mut client, "20010203040507"),
            modes: has_modes(&mut client),
            characters: stores(&mut client, "\u{e4}".repeat(255).as_bytes()),
            case: tells_case(&mut client),
            links: symlink("nowhere", home.path.join("link")).is_ok(),
        }
    }

    /// The first line of the table.
    pub(crate) fn head() -> String {
        row(["", "STOR", "APPE", "Times", "Modes", "Names", "Case", "Links"])
    }

    /// The line of this file system.
    pub(crate) fn row(&self, name: &str) -> String {
        let either = |yes: bool, one, other| if yes { one } else { other };
        let (first, last) = self.years;
        let years =
            if self.years == ("", "") { "any".to_owned() } else { format!("{first}-{last}") };
        let step = either(self.seconds, "", ", even");
        let unit = either(self.characters, "letters", "bytes");
        row([
            name,
            either(self.overwrite, "whole", "in place"),
            either(self.append, "whole", "in place"),
            &format!("{years}{step}"),
            either(self.modes, "kept", "fixed"),
            &format!("255 {unit}"),
            either(self.case, "kept", "ignored"),
            either(self.links, "yes", "no"),
        ])
    }
}

fn row([name, stor, appe, times, modes, names, case, links]: [&str; 8]) -> String {
    format!(
        "{name:10} {stor:8}  {appe:8}  {times:15}  {modes:5}  {names:15}  {case:7}  {links}"
    )
    .trim_end()
    .to_owned()
}

/// Whether a reader of the previous version has it to its end, whatever is uploaded meanwhile.
fn overwrites_whole(home: &Home<'_>, client: &mut Client) -> bool {
    client.upload("STOR over", b"the old version");
    let mut reader = File::open(home.path.join("over")).unwrap();
    client.upload("STOR over", b"new");
    let mut seen = Vec::new();
    reader.read_to_end(&mut seen).unwrap();
    assert_eq!(home.get("over"), b"new");
    seen == b"the old version"
}

/// Whether others see what is appended only when all of it has arrived.
fn appends_whole(home: &Home<'_>, client: &mut Client) -> bool {
    client.upload("STOR log", b"one ");
    let mut data = client.passive();
    client.cmd("APPE log", 150);
    data.write_all(b"two ").unwrap();
    // the server tells its progress once it has written
    while !client.cmd("STAT", 211).contains(": 4 bytes") {}
    let seen = home.get("log");
    drop(data);
    client.expect(226);
    assert_eq!(home.get("log"), b"one two ");
    seen == b"one "
}

/// Whether a file keeps this time. What MFMT replies must be what MDTM says afterwards.
fn keeps(client: &mut Client, time: &str) -> bool {
    let (code, text) = client.ask(&format!("MFMT {time} log"));
    if code != 213 {
        assert_eq!(code / 100, 5, "{text}");
        return false;
    }
    let told = client.cmd("MDTM log", 213);
    let told = told.trim_start_matches("213 ").trim();
    assert!(text.contains(&format!("Modify={told};")), "{text} but MDTM says {told}");
    told == time
}

fn years(client: &mut Client) -> (&'static str, &'static str) {
    let mut first_kept = |years: &[(u16, &'static str)]| {
        let kept = years.iter().find(|(year, _)| keeps(client, &format!("{year}0102030406")));
        kept.unwrap_or_else(|| panic!("no time is kept")).1
    };
    (first_kept(&FIRST), first_kept(&LAST))
}

fn has_modes(client: &mut Client) -> bool {
    let mut set = |mode: &str| {
        let (code, _) = client.ask(&format!("SITE CHMOD {mode} log"));
        code == 200 && client.cmd("MLST log", 250).contains(&format!("UNIX.mode=0{mode};"))
    };
    set("600") && set("644")
}

/// Whether a file of this name can be uploaded. A refusal must say that the name is the cause.
fn stores(client: &mut Client, name: &[u8]) -> bool {
    let line = [b"STOR ", name].concat();
    let mut data = client.passive();
    client.raw(&[&doubled(&line)[..], b"\r\n"].concat());
    if client.next_code() != 150 {
        client.expect(553);
        return false;
    }
    client.expect(150);
    data.write_all(b"x").unwrap();
    drop(data);
    client.expect(226);
    true
}

fn tells_case(client: &mut Client) -> bool {
    client.upload("STOR Case", b"x");
    let (code, _) = client.ask("SIZE cASE");
    code == 550
}
