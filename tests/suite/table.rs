//! Loops over the command table and the key table, for checks of every row.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ftpd::config::{KEYS, Key, Perm, Scope};
use ftpd::control::command::{Arg, Feature, VERBS, Verb};
use ftpd::control::request::parse;

use crate::client::Client;
use crate::server::{Server, run};

/// An example line that only this row parses, and that a user with the row's letter may send in
/// the home of [`furnish`]. A new row needs an example here.
fn example(verb: &Verb) -> String {
    let bare = matches!(verb.arg, Arg::Nothing(_));
    let argument = match verb.name() {
        _ if bare => "",
        "USER" => "bob",
        "PASS" => "secret",
        "ACCT" => "main",
        "CWD" | "MLSD" | "SMNT" => "dir",
        "AUTH" => "TLS",
        "PROT" => "P",
        "TYPE" => "I",
        "STRU" => "F",
        "MODE" => "S",
        "PORT" => "127,0,0,1,200,200",
        "EPRT" => "|1|127.0.0.1|51400|",
        "EPSV" => "1",
        "PRET" => "RETR file",
        "RETR" | "STOR" | "APPE" | "STOU" | "DELE" | "RNFR" | "SIZE" | "LIST" | "NLST"
        | "MLST" | "STAT" | "HASH" | "XCRC" | "XMD5" | "XSHA1" | "XSHA256" | "XSHA512"
        | "SITE MD5" | "SITE CPFR" => "file",
        "RANG" => "1 0",
        "OPTS HASH" => "MD5",
        "REST" | "ALLO" | "PBSZ" => "0",
        "MDTM" if matches!(verb.arg, Arg::Path(_)) => "file",
        "MDTM" | "MFMT" | "SITE UTIME" => "20240229120000 file",
        "RMD" | "AVBL" | "SITE RMDIR" => "empty",
        "MKD" | "RNTO" | "SITE CPTO" => "new",
        "SITE CHMOD" => "600 file",
        "SITE SYMLINK" => "file new",
        "SITE CHGRP" => return chgrp(verb),
        "SITE MKDIR" => "new/below",
        "MFF" if matches!(verb.arg, Arg::TimeFactAndPath(_)) => "modify=20240229120000; file",
        "MFF" => "UNIX.mode=600; file",
        "LANG" => "EN",
        "SITE UMASK" => "027",
        "SITE IDLE" => "60",
        "HELP" => "NOOP",
        "OPTS MLST" => "type;size;modify;",
        "OPTS UTF8" => "ON",
        "CLNT" | "CSID" => "Name=suite;",
        "HOST" => "localhost",
        "QUIT" | "NOOP" => "",
        name => panic!("{name} needs an example here"),
    };
    let line = format!("{} {argument}", verb.name()).trim_end().to_owned();
    let request = parse(line.as_bytes());
    let (found, _) = request.asks().unwrap_or_else(|why| panic!("{line}: {why:?}"));
    assert!(
        std::ptr::eq(found, verb),
        "{line} is not of the row {} {}",
        verb.name(),
        verb.usage
    );
    line
}

/// The group that the files of this process have already.
fn chgrp(verb: &Verb) -> String {
    format!("{} {} file", verb.name(), rustix::process::getegid().as_raw())
}

/// Whether the command ends the session or changes its user.
fn is_about_the_session(verb: &Verb) -> bool {
    ["USER", "PASS", "REIN", "QUIT"].contains(&verb.name())
}

/// Fills a home, which may be in use, with the files that the examples need and no others.
fn furnish(home: &Path) {
    fs::create_dir_all(home).unwrap();
    for entry in fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    fs::create_dir(home.join("dir")).unwrap();
    fs::create_dir(home.join("empty")).unwrap();
    fs::write(home.join("file"), "content").unwrap();
    fs::write(home.join("dir/inner"), "inner").unwrap();
}

/// Each path with its mode, times and content.
fn snapshot(root: &Path) -> BTreeMap<String, (u32, i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let held = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let seen = (meta.mode(), meta.mtime(), meta.mtime_nsec(), held);
        all.insert(path.display().to_string(), seen);
    }
    all
}

/// Sends a line and reads its final reply; a transfer that begins is carried out.
fn say(client: &mut Client, line: &str) -> (u16, String) {
    let transfers = ["RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"];
    if transfers.contains(&line.split(' ').next().unwrap()) {
        let (code, text, _) = client.exchange(line, b"");
        (code, text)
    } else {
        client.ask(line)
    }
}

#[test]
fn each_verb_before_the_login_is_530_unless_its_row_says_otherwise() {
    let server = Server::setup().server("tls_cert = auto").start();
    furnish(&server.home());
    let before = snapshot(&server.home());
    for named in [false, true] {
        let mut client = Client::connect(&server);
        if named {
            client.cmd("USER bob", 331);
        }
        for verb in VERBS.iter().filter(|verb| !is_about_the_session(verb)) {
            let line = example(verb);
            let (code, text) = client.ask(&line);
            assert_eq!(code == 530, !verb.before_login, "{line}: {text}");
            match verb.name() {
                // commands that have a meaning over TLS only
                "PBSZ" | "PROT" => assert_eq!(code, 503, "{line}: {text}"),
                // the next row is tested in clear text again
                "AUTH" => {
                    assert_eq!(code, 234, "{line}: {text}");
                    client = Client::connect(&server);
                    if named {
                        client.cmd("USER bob", 331);
                    }
                }
                _ if verb.before_login => assert!(code < 500, "{line}: {text}"),
                _ => {}
            }
        }
        // none of them has logged anybody in
        client.cmd("PWD", 530);
    }
    for line in ["PASS secret", "PASS", "REIN", "QUIT"] {
        let (code, text) = Client::connect(&server).ask(line);
        assert!([220, 221, 503].contains(&code), "{line}: {text}");
    }
    assert_eq!(snapshot(&server.home()), before);
}

#[test]
fn each_verb_that_needs_a_letter_needs_a_login() {
    for verb in VERBS.iter().filter(|verb| verb.perm.is_some()) {
        assert!(!verb.before_login, "{} {}", verb.name(), verb.usage);
    }
}

/// Whether a row accepts its name without an argument.
fn takes_nothing(verb: &Verb) -> bool {
    matches!(
        verb.arg,
        Arg::Nothing(_)
            | Arg::Ignored(_)
            | Arg::Secret(_)
            | Arg::Facts(_)
            | Arg::Switch(_)
            | Arg::Algorithm(_)
    )
}

#[test]
fn a_missing_or_unwanted_argument_is_501() {
    let server = Server::start();
    furnish(&server.home());
    let before = snapshot(&server.home());
    let mut client = Client::bob(&server);
    for verb in VERBS {
        for name in verb.names {
            let rows: Vec<_> = VERBS.iter().filter(|row| row.names.contains(name)).collect();
            if !rows.iter().any(|row| takes_nothing(row)) {
                client.cmd(name, 501);
                client.cmd(&format!("{name} "), 501);
                client.cmd(&name.to_lowercase(), 501);
            }
            if rows.iter().all(|row| matches!(row.arg, Arg::Nothing(_))) {
                client.cmd(&format!("{name} unwanted"), 501);
                client.cmd(&format!("{name}  -x /"), 501);
            }
            let two = |arg: &Arg| {
                matches!(arg, Arg::ModeAndPath(_) | Arg::TimeAndPath(_) | Arg::UtimeAndPath(_))
            };
            if two(&verb.arg) {
                let line = example(verb);
                let first = line.rsplit_once(' ').unwrap().0;
                client.cmd(first, 501);
                client.cmd(&format!("{first} "), 501);
            }
        }
    }
    client.cmd("SITE", 501);
    client.cmd("OPTS", 501);
    client.cmd("PWD", 257);
    assert_eq!(snapshot(&server.home()), before);
}

#[test]
fn a_name_takes_no_letter_more_and_none_less() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for verb in VERBS {
        for name in verb.names {
            let less = &name[..name.len() - 1];
            for wrong in [format!("{name}X"), less.to_owned(), format!("Q{name}")] {
                if !VERBS.iter().any(|row| row.names.contains(&wrong.as_str())) {
                    let (code, text) = client.ask(&format!("{wrong} file"));
                    assert!([500, 501, 502, 504].contains(&code), "{wrong}: {text}");
                }
            }
        }
    }
    client.cmd("PWD", 257);
}

/// A user for each letter alone and each letter missing, with the letters.
fn users_with_letters() -> Vec<(String, Vec<Perm>)> {
    let mut sets: Vec<(String, Vec<Perm>)> = Vec::new();
    for (number, perm) in Perm::ALL.into_iter().enumerate() {
        sets.push((format!("only{number}"), vec![perm]));
        let others = Perm::ALL.into_iter().filter(|other| *other != perm).collect();
        sets.push((format!("lacks{number}"), others));
    }
    sets.push(("nothing".to_owned(), Vec::new()));
    sets.push(("everything".to_owned(), Perm::ALL.to_vec()));
    sets
}

#[test]
fn the_permission_matrix_holds_for_each_letter_alone_and_each_letter_missing() {
    hold_the_matrix(false);
}

#[test]
fn the_permission_matrix_holds_in_a_folder_while_the_user_has_the_opposite_letters() {
    hold_the_matrix(true);
}

/// Sends each command with each set of letters. `in_folder`: they are those of a folder in which the
/// session starts, and its user has the opposite ones.
fn hold_the_matrix(in_folder: bool) {
    let sets = users_with_letters();
    // the homes must be there when the server starts
    let homes = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let home = homes.path().join(name);
        if in_folder { home.join("in") } else { home }
    };
    let mut setup = Server::setup().server("allow_symlinks = on");
    for (name, perms) in &sets {
        let is_own = |perm: &Perm| perms.contains(perm) != in_folder;
        let own = Perm::ALL.into_iter().filter(is_own);
        let own: String = own.map(Perm::letter).collect();
        furnish(&place(name));
        let home = homes.path().join(name);
        let home = home.display();
        setup = setup
            .section(&format!("[user:{name}]\npassword = secret\nperm = {own}\nhome = {home}"));
        if in_folder {
            let letters: String = perms.iter().map(|perm| perm.letter()).collect();
            setup = setup
                .section(&format!("start_dir = /in\n[folder:{name}:/in]\nperm = {letters}"));
        }
    }
    let server = setup.start();
    let mut asked = 0;
    for (name, perms) in &sets {
        let home = place(name);
        let mut client = Client::login(&server, name, "secret");
        for verb in VERBS.iter().filter(|verb| !is_about_the_session(verb)) {
            let line = example(verb);
            // these are about the directory above and the whole home
            let is_above = in_folder && ["CDUP", "SITE UMASK"].contains(&verb.name());
            let has = |perm| perms.contains(&perm) != is_above;
            let allowed = verb.perm.is_none_or(has);
            if verb.name() == "RNTO" {
                let code = if allowed { 350 } else { 550 };
                client.cmd("RNFR file", code);
            }
            if verb.name() == "SITE CPTO" {
                let reads = perms.contains(&Perm::Retrieve);
                client.cmd("SITE CPFR file", if reads { 350 } else { 550 });
                if allowed && !reads {
                    client.cmd(&line, 503);
                    continue;
                }
            }
            let before = snapshot(&home);
            let (code, text) = say(&mut client, &line);
            asked += 1;
            if allowed {
                let fine =
                    code < 400 || verb.perm.is_none() && [425, 502, 503, 534].contains(&code);
                assert!(fine, "{name}: {line}: {text}");
                if snapshot(&home) != before {
                    assert!(verb.perm.is_some(), "{name}: {line} changes something");
                    furnish(&home);
                }
                if verb.name() == "CWD" {
                    // back, which takes the same letter
                    client.cmd("CDUP", 250);
                }
                if verb.name() == "CDUP" && in_folder {
                    client.cmd("QUIT", 221);
                    client = Client::login(&server, name, "secret");
                }
            } else {
                assert_eq!(code, 550, "{name}: {line}: {text}");
                assert!(text.contains("ermission"), "{name}: {line}: {text}");
                assert_eq!(snapshot(&home), before, "{name}: {line}");
            }
        }
        client.cmd("QUIT", 221);
    }
    assert!(asked > 22 * 50, "{asked}");
}

/// Sends the commands that name a path, with other forms of the path, to a folder and past a link to
/// it. Only where both the user and the folder have all letters may they succeed by the link.
#[test]
fn no_form_of_a_path_and_no_link_leads_around_the_letters_of_a_folder() {
    let all: String = Perm::ALL.into_iter().map(Perm::letter).collect();
    let homes = tempfile::tempdir().unwrap();
    let mut setup = Server::setup();
    for (name, own, letters) in [("strict", all.as_str(), ""), ("free", "", all.as_str())] {
        let home = homes.path().join(name);
        furnish(&home.join("in"));
        fs::create_dir(home.join("other")).unwrap();
        fs::write(home.join("plain"), "plain").unwrap();
        std::os::unix::fs::symlink("in", home.join("way")).unwrap();
        std::os::unix::fs::symlink("../in", home.join("other/way")).unwrap();
        let home = home.display();
        setup = setup.section(&format!(
            "[user:{name}]\npassword = secret\nperm = {own}\nhome = {home}\n\
             [folder:{name}:/in]\nperm = {letters}"
        ));
    }
    let server = setup.start();
    for name in ["strict", "free"] {
        let home = homes.path().join(name);
        for verb in VERBS.iter().filter(|verb| verb.perm.is_some()) {
            let line = example(verb);
            let Some((start, path)) = line.rsplit_once(' ') else { continue };
            // the first path of SITE SYMLINK is another one: see `site.rs`
            if ["SITE UMASK", "SITE SYMLINK"].contains(&verb.name()) {
                continue;
            }
            for form in [
                "/in/",
                "in/",
                "//in//",
                "/in/./",
                "in/dir/../",
                "/IN/../in/",
                "way/",
                "/other/way/",
                "/other/way/dir/../",
            ] {
                let line = format!("{start} {form}{path}");
                let mut client = Client::login(&server, name, "secret");
                let allowed = name == "free" && !form.contains("way");
                if verb.name() == "RNTO" {
                    let from = if name == "free" { "/in/file" } else { "/plain" };
                    client.cmd(&format!("RNFR {from}"), 350);
                }
                if verb.name() == "SITE CPTO" {
                    let from = if name == "free" { "/in/file" } else { "/plain" };
                    client.cmd(&format!("SITE CPFR {from}"), 350);
                }
                let before = snapshot(&home);
                let (code, text) = say(&mut client, &line);
                assert_eq!(code < 400, allowed, "{name}: {line}: {text}");
                if allowed {
                    furnish(&home.join("in"));
                } else {
                    assert_eq!(code, 550, "{name}: {line}: {text}");
                    assert_eq!(snapshot(&home), before, "{name}: {line}");
                }
            }
        }
    }
}

#[test]
fn each_change_takes_the_letter_that_the_design_gives_it() {
    let wanted = [
        ('e', "CWD CDUP"),
        ('l', "LIST NLST STAT MLSD MLST SIZE MDTM AVBL"),
        ('r', "RETR SITE CPFR HASH XCRC XMD5 XSHA1 XSHA256 XSHA512 SITE MD5"),
        ('a', "APPE"),
        ('d', "DELE RMD SITE RMDIR"),
        ('f', "RNFR RNTO"),
        ('m', "MKD SITE MKDIR"),
        ('w', "STOR STOU SITE CPTO SITE SYMLINK"),
        ('M', "SITE CHMOD SITE CHGRP MFF"),
        ('T', "MFMT SITE UTIME MDTM MFF"),
    ];
    for (letter, names) in wanted {
        for verb in VERBS.iter().filter(|verb| verb.perm.map(Perm::letter) == Some(letter)) {
            let also = verb.name() == "SITE UMASK" && letter == 'M';
            assert!(names.contains(verb.name()) || also, "{} under {letter}", verb.name());
        }
        for name in names.replace("SITE ", "SITE_").split(' ') {
            let name = name.replace('_', " ");
            let row = VERBS
                .iter()
                .any(|verb| verb.name() == name && verb.perm.map(Perm::letter) == Some(letter));
            assert!(row, "{name} does not take {letter}");
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split(|letter: char| letter.is_whitespace() || "`|,\"".contains(letter)).collect()
}

#[test]
fn help_and_the_manual_name_each_command() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let help = client.cmd("HELP", 214);
    let site_help = client.cmd("SITE HELP", 214);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = fs::read_to_string(root.join("etc/ftpd.8")).unwrap().replace("\\-", "-");
    let prose = manual.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    for verb in VERBS {
        let (first, rest) = verb.name().split_once(' ').unwrap_or((verb.name(), ""));
        assert!(words(&help).contains(&first), "HELP: {}", verb.name());
        if first == "SITE" {
            assert!(words(&site_help).contains(&rest), "SITE HELP: {}", verb.name());
        }
        for name in verb.names {
            let explained = client.cmd(&format!("HELP {name}"), 214);
            assert!(explained.contains(verb.help), "HELP {name}: {explained}");
            let explained = client.cmd(&format!("help {}", name.to_lowercase()), 214);
            assert!(explained.contains(verb.help), "help {name}: {explained}");
            for word in name.split(' ') {
                assert!(words(&manual).contains(&word), "manual: {name}");
            }
        }
        assert!(prose.contains(&verb.help.to_lowercase()), "manual: {}", verb.help);
    }
}

#[test]
fn feat_says_what_the_table_says_and_nothing_else() {
    for tls in [false, true] {
        let setup = Server::setup().server(if tls { "tls_cert = auto" } else { "" });
        hold_feat_to_the_table(&setup.start(), tls);
    }
}

fn hold_feat_to_the_table(server: &Server, tls: bool) {
    let feat = Client::connect(server).cmd("FEAT", 211);
    let mut said: Vec<_> =
        feat.lines().filter_map(|line| line.strip_prefix(' ')).map(str::to_owned).collect();
    let mut wanted: Vec<_> = VERBS
        .iter()
        .filter_map(|verb| match verb.feature? {
            Feature::Line(line) => Some(line.to_owned()),
            Feature::Tls(line) => tls.then(|| line.to_owned()),
            Feature::Facts => Some("MLST".to_owned()),
            Feature::Hashes => Some("HASH".to_owned()),
        })
        .collect();
    for line in &mut said {
        if line.starts_with("MLST ") || line.starts_with("HASH ") {
            line.truncate(4);
        }
    }
    said.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(said, wanted);
    wanted.dedup();
    assert_eq!(said, wanted, "a feature twice");
    // what FEAT names can be done: a command of that name is there
    for feature in said {
        let name = feature.split(' ').next().unwrap();
        let is_it = |verb: &Verb| {
            verb.name() == name || feature.starts_with("SITE ") && verb.name() == feature
        };
        let known = ["TVFS", "UTF8"].contains(&name);
        assert!(known || VERBS.iter().any(is_it), "{feature}");
    }
}

/// Runs `ftpd check` on a file: the exit code and what it says.
fn check(dir: &Path, ini: &str) -> (i32, String) {
    fs::create_dir_all(dir.join("home")).unwrap();
    fs::write(dir.join("ftpd.ini"), ini).unwrap();
    let (code, out, err) = run(&["check", "--config", "ftpd.ini"], dir);
    (code, out + &err)
}

const USER: &str = "[user:bob]\npassword = secret\nhome = home\n";

fn may_stand(key: &Key, section: Scope) -> bool {
    key.scope() == section || key.scope() == Scope::Both
}

#[test]
fn each_key_takes_its_default_in_each_section_where_it_may_stand() {
    let dir = tempfile::tempdir().unwrap();
    let mut ini = "[server]\n".to_owned();
    let line = |key: &&Key| {
        let name = key.name.to_uppercase();
        key.default.map(|default| format!("{name} = {default}\n")).unwrap_or_default()
    };
    ini.extend(KEYS.iter().filter(|key| may_stand(key, Scope::Server)).map(|key| line(&key)));
    ini += USER;
    ini.extend(KEYS.iter().filter(|key| may_stand(key, Scope::User)).map(|key| line(&key)));
    let (code, said) = check(dir.path(), &ini);
    assert_eq!(code, 0, "{said}\n{ini}");
}

/// Whether no text is a bad value of the key.
pub(crate) fn takes_any_text(key: &Key) -> bool {
    // a home must exist; other directories and the socket need not
    match key.describe().as_str() {
        "directory" => key.name != "home",
        "text"
        | "password"
        | "path"
        | "addresses or host names"
        | "IPv4 address or host name" => true,
        _ => false,
    }
}

#[test]
fn each_key_refuses_nonsense_with_its_line_and_all_in_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = vec!["[server]".to_owned()];
    let mut wanted = Vec::new();
    let mut put = |lines: &mut Vec<String>, key: &'static Key, section: &str| {
        if takes_any_text(key) {
            return;
        }
        // neither a word, a number, a file in a folder nor letters
        lines.push(format!("{} = none/such ! thing", key.name));
        let place = format!("ftpd.ini:{}: [{section}] {}:", lines.len(), key.name);
        wanted.push((place, key));
    };
    for key in KEYS.iter().filter(|key| may_stand(key, Scope::Server)) {
        put(&mut lines, key, "server");
    }
    lines.push("[user:bob]".to_owned());
    lines.push("password = secret".to_owned());
    for key in KEYS.iter().filter(|key| may_stand(key, Scope::User)) {
        put(&mut lines, key, "user:bob");
    }
    let (code, said) = check(dir.path(), &(lines.join("\n") + "\n"));
    assert_eq!(code, 78, "{said}");
    for (place, _) in &wanted {
        let line = said.lines().find(|line| line.starts_with(place.as_str()));
        let line = line.unwrap_or_else(|| panic!("no '{place}' in\n{said}"));
        assert!(line.contains("none/such ! thing"), "{line}");
    }
    let faults = said.lines().filter(|line| line.starts_with("ftpd.ini:")).count();
    assert_eq!(faults, wanted.len(), "{said}");
}

#[test]
fn each_key_is_refused_where_it_may_not_stand_and_when_it_stands_twice() {
    let dir = tempfile::tempdir().unwrap();
    let value = |key: &Key| match key.name {
        "home" => "home",
        "password" => "secret",
        _ => key.default.unwrap_or_default(),
    };
    let mut lines = vec!["[server]".to_owned()];
    let mut wanted = Vec::new();
    for key in KEYS {
        lines.push(format!("{} = {}", key.name, value(key)));
        if key.scope() != Scope::User {
            lines.push(format!("{} = {}", key.name.to_uppercase(), value(key)));
        }
        wanted.push((format!("ftpd.ini:{}: [server] {}:", lines.len(), key.name), key));
    }
    lines.push("[user:bob]".to_owned());
    for key in KEYS {
        lines.push(format!("{} = {}", key.name, value(key)));
        if key.scope() != Scope::Server {
            lines.push(format!("{} = {}", key.name, value(key)));
        }
        wanted.push((format!("ftpd.ini:{}: [user:bob] {}:", lines.len(), key.name), key));
    }
    let (code, said) = check(dir.path(), &(lines.join("\n") + "\n"));
    assert_eq!(code, 78, "{said}");
    for (place, key) in &wanted {
        let line = said.lines().find(|line| line.starts_with(place.as_str()));
        let line = line.unwrap_or_else(|| panic!("no '{place}' in\n{said}"));
        let reason = ["belongs in", "already on line"].iter().any(|text| line.contains(text));
        assert!(reason, "{}: {line}", key.name);
    }
}

#[test]
fn a_user_without_a_key_that_must_be_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for key in KEYS.iter().filter(|key| key.default.is_none()) {
        let left = USER.lines().filter(|line| !line.starts_with(key.name)).collect::<Vec<_>>();
        let (code, said) = check(dir.path(), &(left.join("\n") + "\n"));
        assert_eq!(code, 78, "{}: {said}", key.name);
        assert!(said.contains(&format!("[user:bob] {}: is missing", key.name)), "{said}");
    }
}

#[test]
fn the_manual_and_the_sample_name_each_key_with_its_help() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = fs::read_to_string(root.join("etc/ftpd.ini")).unwrap();
    let manual = fs::read_to_string(root.join("etc/ftpd.ini.5")).unwrap().replace("\\-", "-");
    let whole = manual.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let unwrapped: Vec<_> =
        sample.split_ascii_whitespace().filter(|word| *word != ";").collect();
    let unwrapped = unwrapped.join(" ");
    for key in KEYS {
        assert!(!key.help.is_empty() && key.help.ends_with('.'), "{}", key.name);
        assert!(manual.contains(&format!("\n.B {}\n", key.name)), "manual: {}", key.name);
        assert!(whole.contains(key.help), "manual: {}", key.help);
        let stands =
            |line: &str| line.trim_start_matches(';').starts_with(&format!("{} =", key.name));
        assert!(sample.lines().any(stands), "sample: {}", key.name);
        assert!(unwrapped.contains(key.help), "sample: {}", key.help);
    }
}
