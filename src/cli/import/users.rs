//! Importing files with a user in each line.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::section::{Imported, Section};
use crate::config::{Hash, PermSet, may_be_clear_text};

/// The permissions of users of the other servers, unless their file says otherwise.
const ALL: &str = "elradfmwMT";

/// A user of another server.
struct User<'t> {
    name: &'t str,
    password: &'t str,
    perm: &'t str,
    home: &'t str,
}

/// Why a line is left out.
enum Left {
    /// The line cannot be read.
    Malformed(String),
    /// The user cannot be imported. A comment in the result says so as well.
    Out(String),
    /// The user would be allowed more than before. The result contains the section as a
    /// comment.
    Held(Section, String),
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Left> {
    Err(Left::Malformed(why.into()))
}

/// Imports lines of the form `user password permission home_directory`.
pub(super) fn tutorial(lines: &[(usize, &str)]) -> Imported {
    each(lines, |line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [name, password, perm, home] = fields[..] else {
            return malformed("expected four columns: user, password, permission, home");
        };
        if !may_be_clear_text(password) && Hash::parse(password).is_err() {
            return Err(Left::Out(unknown_hash(name)));
        }
        if let Err(letter) = PermSet::parse(perm) {
            let letter = letter.escape_debug();
            return malformed(format!("'{letter}' is not a permission letter"));
        }
        section(&User { name, password, perm, home })
    })
}

/// Imports lines of the form `account:password:uid:gid:gecos:home:…`, which
/// README.Virtual-Users of Pure-FTPd describes.
pub(super) fn pure_ftpd(lines: &[(usize, &str)]) -> Imported {
    let mut imported = each(lines, |line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, password, uid, gid, _, home, rest @ ..] = &fields[..] else {
            return malformed("expected account:password:uid:gid:gecos:home and more");
        };
        let mut rest = rest.iter().map(|field| field.trim());
        let mut next = || rest.next().unwrap_or_default();
        // the part before /./ is the root; this server has no directory to start in below the
        // root
        let chrooted = home.strip_suffix("/./").or_else(|| home.strip_suffix("/."));
        let home = chrooted.unwrap_or(home);
        let (root, home) =
            (home.split_once("/./").map(|(root, _)| root), home.replace("/./", "/"));
        if !home.starts_with('/') {
            return malformed("the home does not begin with /");
        }
        hashed(name, password)?;
        let mut section = section(&User { name, password, perm: ALL, home: &home })?;
        owner(&mut section, uid, gid);
        if let Some(root) = root {
            section.no_equal(&format!("root {root}, with another start directory below it"));
        }
        let lost = restrictions(&mut section, name, &mut next)?;
        if lost.is_empty() {
            return Ok(section);
        }
        let why = format!(
            "{}, whose restrictions have no equivalent here: {}",
            name.escape_debug(),
            lost.join(", ")
        );
        Err(Left::Held(section, why))
    });
    owners(&mut imported);
    imported
}

/// Imports the limits of a user of Pure-FTPd, which are the fields after the home. Returns the
/// names of the restrictions that have no equivalent here.
fn restrictions<'t>(
    section: &mut Section,
    name: &str,
    next: &mut impl FnMut() -> &'t str,
) -> Result<Vec<&'static str>, Left> {
    let mut lost = Vec::new();
    let mut restriction = |section: &mut Section, what: &'static str, text: &str| {
        missing(section, what, text);
        if !text.is_empty() && text != "0" {
            lost.push(what);
        }
    };
    for key in ["max_upload", "max_download"] {
        limit(section, key, next())?;
    }
    for what in ["upload ratio", "download ratio"] {
        restriction(section, what, next());
    }
    limit(section, "max_per_user", next())?;
    for key in ["quota_files", "quota_bytes"] {
        limit(section, key, next())?;
    }
    for what in ["authorized local IPs", "refused local IPs"] {
        restriction(section, what, next());
    }
    allow(section, name, next())?;
    for what in ["refused client IPs", "time restrictions"] {
        restriction(section, what, next());
    }
    Ok(lost)
}

/// Imports lines with the seven fields of passwd(5).
pub(super) fn pro_ftpd(lines: &[(usize, &str)]) -> Imported {
    let mut imported = each(lines, |line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, password, uid, gid, _, home, shell] = fields[..] else {
            return malformed("expected name:password:uid:gid:gecos:home:shell");
        };
        if !home.starts_with('/') {
            return malformed("the home does not begin with /");
        }
        hashed(name, password)?;
        let mut section = section(&User { name, password, perm: ALL, home })?;
        owner(&mut section, uid, gid);
        missing(&mut section, "shell", shell);
        Ok(section)
    });
    owners(&mut imported);
    imported
}

/// Imports each line with `read`. If several users have one name, the first one counts.
fn each(
    lines: &[(usize, &str)],
    mut read: impl FnMut(&str) -> Result<Section, Left>,
) -> Imported {
    let mut imported = Imported::default();
    let mut first: HashMap<String, usize> = HashMap::new();
    for &(number, line) in lines {
        let read = read(line.trim()).and_then(|section| {
            let name = section.text.lines().next().unwrap_or_default().to_owned();
            if let Some(first) = first.get(&name) {
                return malformed(format!("the user is already on line {first}"));
            }
            first.insert(name, number);
            Ok(section)
        });
        match read {
            Ok(section) => imported.text += &(section.text + "\n"),
            Err(Left::Malformed(why)) => imported.faults.push((number, why)),
            Err(Left::Out(why)) => {
                let mut note = Section::default();
                note.note(&format!("left out: {why}"));
                imported.text += &(note.text + "\n");
                imported.faults.push((number, why));
            }
            Err(Left::Held(section, why)) => {
                let mut note = Section::default();
                note.note(&format!("left out: {why}; to let the user in anyway:"));
                imported.text += &(note.text + &section.held() + "\n");
                imported.faults.push((number, why));
            }
        }
    }
    imported
}

/// Returns the section of a user.
fn section(user: &User<'_>) -> Result<Section, Left> {
    let odd = |letter: char| letter.is_control() || "[]".contains(letter);
    if user.name.is_empty() || user.name.trim() != user.name || user.name.contains(odd) {
        return malformed("the name is not allowed for a user");
    }
    if user.home.contains(char::is_control) || user.password.contains(char::is_control) {
        return malformed("contains control characters");
    }
    let mut section = Section::new(&format!("user:{}", user.name));
    section.set("password", user.password);
    section.set("perm", user.perm);
    section.set("home", user.home);
    Ok(section)
}

/// Checks that a password is a known hash. These files contain only hashes, so any other text,
/// such as a DES hash, must not be taken for a password in clear text.
fn hashed(name: &str, password: &str) -> Result<(), Left> {
    let shown = name.escape_debug();
    if password.is_empty() {
        return Err(Left::Out(format!("{shown}, who has no password")));
    }
    if password == "x" || password.starts_with(['!', '*']) {
        return Err(Left::Out(format!("{shown}, whose password is locked or missing")));
    }
    Hash::parse(password).map(drop).map_err(|why| {
        if may_be_clear_text(password) {
            return Left::Out(unknown_hash(name));
        }
        let why = why.split(';').next().unwrap_or(why);
        Left::Out(format!("{shown}, whose password {why}"))
    })
}

fn unknown_hash(name: &str) -> String {
    format!("{}, whose password is a hash of an unknown kind", name.escape_debug())
}

/// Adds a limit. An empty text and 0 mean that there is no limit.
fn limit(section: &mut Section, key: &str, text: &str) -> Result<(), Left> {
    if text.is_empty() {
        return Ok(());
    }
    let number = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    let Some(number) = number else {
        return malformed(format!("{key}: '{}' is not a number", text.escape_debug()));
    };
    let most = match key {
        "max_per_user" => 65_535,
        "quota_files" => u64::from(u32::MAX),
        _ => u64::MAX,
    };
    if number > most {
        return malformed(format!("{key}: {number} is too large"));
    }
    if number > 0 {
        section.set(key, &number.to_string());
    }
    Ok(())
}

/// Adds a comment about a setting that this server does not have, unless it is empty or 0.
fn missing(section: &mut Section, what: &str, text: &str) {
    if !text.is_empty() && text != "0" {
        section.no_equal(&format!("{what} {text}"));
    }
}

/// Adds the addresses that a user may log in from, with prefixes or with masks such as
/// 255.255.255.0. If there are only names of hosts, the user is left out, because the result
/// would allow logins from every address.
fn allow(section: &mut Section, name: &str, text: &str) -> Result<(), Left> {
    let mut prefixes = Vec::new();
    let mut others = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let address = || part.parse::<IpAddr>().map(IpNet::from);
        let prefix = part.parse::<IpNet>().ok().or_else(|| address().ok());
        match prefix.or_else(|| masked(part)) {
            Some(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
                prefixes.push(prefix.addr().to_string());
            }
            Some(prefix) => prefixes.push(prefix.trunc().to_string()),
            None => others.push(part),
        }
    }
    if prefixes.is_empty() && !others.is_empty() {
        let shown = name.escape_debug();
        return Err(Left::Out(format!(
            "{shown}, who may log in only from host names, not addresses"
        )));
    }
    if !prefixes.is_empty() {
        section.set("allow_from", &prefixes.join(", "));
    }
    for other in others {
        section.no_equal(&format!("authorized client {other}"));
    }
    Ok(())
}

/// Reads an address with a mask such as 192.0.2.0/255.255.255.0.
fn masked(part: &str) -> Option<IpNet> {
    let (address, mask) = part.split_once('/')?;
    let (address, mask) = (address.parse::<Ipv4Addr>().ok()?, mask.parse().ok()?);
    Ipv4Net::with_netmask(address, mask).ok().map(IpNet::V4)
}

/// Adds a comment with the user and group of the system that own the user's files. It is a
/// comment only, because `run_as` requires a start as root.
fn owner(section: &mut Section, uid: &str, gid: &str) {
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| number > 0);
    if is_number(uid) && is_number(gid) {
        section.note(&format!("run_as = {uid}:{gid}"));
    }
}

/// Adds a comment about the owners of files before the users.
fn owners(imported: &mut Imported) {
    if imported.text.contains("[user:") {
        let mut note = Section::default();
        note.no_equal("uid and gid; all files belong to the server's user");
        note.note(
            "and are read with its rights. Do not start it as root without a user in [server],",
        );
        note.note("or make the lines with run_as settings, which require a start as root.");
        imported.text = note.text + "\n" + &imported.text;
    }
}
