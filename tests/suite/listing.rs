//! LIST, NLST, MLSD, MLST and STAT of a path (RFC 959 §4.1.3, RFC 1123 §4.1.2.7, RFC 3659 §7).

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::client::Client;
use crate::parts::break_off;
use crate::server::Server;

const DAY: u64 = 24 * 3600;

fn set_time(path: &Path, at: SystemTime) {
    File::open(path).unwrap().set_modified(at).unwrap();
}

/// The names of `ls -l` lines without spaces in the names.
fn last_words(lines: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    names.sort_unstable();
    names
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

/// What `stat --format` of coreutils prints for a file.
fn stat(format: &str, path: &Path) -> String {
    let output = Command::new("stat").args(["-c", format]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The facts of an `MLSx` line, and its name.
fn facts(line: &str) -> (Vec<(String, String)>, &str) {
    let (facts, name) = line.split_once(' ').unwrap();
    let one = |fact: &str| {
        let (name, value) = fact.split_once('=').unwrap_or_else(|| panic!("{line}"));
        (name.to_lowercase(), value.to_owned())
    };
    assert!(facts.is_empty() || facts.ends_with(';'), "{line}");
    (facts.split_terminator(';').map(one).collect(), name)
}

fn fact(line: &str, name: &str) -> Option<String> {
    facts(line).0.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

#[test]
fn list_says_what_ls_says() {
    let server = Server::start();
    let file = server.put("file", "12345");
    fs::create_dir(server.home().join("dir")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let mut client = Client::bob(&server);
    let lines = sorted(client.lines("LIST"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (name, line) in ["file", "dir"].into_iter().zip(&lines) {
        let path = server.home().join(name);
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let said = [words[0], words[1], words[2], words[3], words[4]].join(" ");
        assert_eq!(said, stat("%A %h %U %G %s", &path), "{line}");
        assert_eq!(words.len(), 9, "{line}");
        assert_eq!(words[8], name, "{line}");
    }
}

#[test]
fn list_shows_owners_by_name_and_those_without_a_name_by_number() {
    let server = Server::start();
    let file = server.put("file", "");
    // who may not give a file away has seen its own name in another test
    if std::os::unix::fs::chown(&file, Some(54321), Some(54322)).is_err() {
        return;
    }
    let lines = Client::bob(&server).lines("LIST");
    let words: Vec<_> = lines[0].split_ascii_whitespace().collect();
    assert_eq!(words[2..4], ["54321", "54322"], "{lines:?}");
}

#[test]
fn list_shows_the_time_of_what_is_new_and_the_year_of_what_is_old_or_to_come() {
    let server = Server::start();
    let now = SystemTime::now();
    for (name, at) in [
        ("now", now - Duration::from_secs(5)),
        ("spring", now - Duration::from_secs(150 * DAY)),
        ("old", now - Duration::from_secs(200 * DAY)),
        ("future", now + Duration::from_secs(2 * DAY)),
        ("epoch", SystemTime::UNIX_EPOCH),
    ] {
        set_time(&server.put(name, ""), at);
    }
    let lines = Client::bob(&server).lines("LIST");
    assert_eq!(lines.len(), 5);
    for line in lines {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [month, day, when, name] = words[5..] else { panic!("{line}") };
        assert_eq!(month.len(), 3, "{line}");
        assert!((1..=31).contains(&day.parse::<u8>().unwrap()), "{line}");
        match name {
            "now" | "spring" => {
                assert_eq!(when.len(), 5, "{line}");
                assert_eq!(&when[2..3], ":", "{line}");
            }
            "epoch" => assert_eq!([month, day, when], ["Jan", "1", "1970"], "{line}"),
            _ => assert!(when.len() == 4 && when.parse::<u16>().is_ok(), "{line}"),
        }
    }
}

#[test]
fn list_shows_the_time_of_the_servers_zone_if_it_is_told_to() {
    // an hour ahead of UTC, two from March to October
    let zone = "CET-1CEST,M3.5.0,M10.5.0/3";
    let now = SystemTime::now() - Duration::from_secs(60);
    let put = |server: &Server| {
        // 22:30 UTC on 1 July and on 1 January 2020
        for (name, seconds) in [("summer", 1_593_642_600), ("winter", 1_577_917_800)] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            set_time(&server.put(name, ""), at);
        }
        set_time(&server.put("now", ""), now);
    };
    let when = |lines: &str, name: &str| {
        let line = lines.lines().find(|line| line.trim_end().ends_with(name)).unwrap();
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        words[5..8].join(" ")
    };
    for (setting, summer, zone) in
        [("list_time = local", "2", zone), ("list_time = utc", "1", "UTC")]
    {
        let server = Server::setup().env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3").user(setting);
        let server = server.start();
        put(&server);
        let mut client = Client::bob(&server);
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let date = Command::new("date")
            .env("TZ", zone)
            .env("LC_ALL", "C")
            .args(["-d", &format!("@{seconds}"), "+%b %-d %H:%M"])
            .output()
            .unwrap();
        let date = String::from_utf8(date.stdout).unwrap();
        for listing in [client.lines("LIST").join("\n"), client.cmd("STAT /", 213)] {
            assert_eq!(when(&listing, "summer"), format!("Jul {summer} 2020"), "{listing}");
            assert_eq!(when(&listing, "winter"), "Jan 1 2020", "{listing}");
            assert_eq!(when(&listing, "now"), date.trim_end(), "{listing}");
        }
        let line = client.lines("MLSD").into_iter().find(|line| line.ends_with("summer"));
        assert_eq!(fact(&line.unwrap(), "modify").as_deref(), Some("20200701223000"));
        assert!(client.cmd("MDTM summer", 213).contains("20200701223000"));
    }
}

#[test]
fn option_words_are_ignored_wherever_clients_put_them() {
    let server = Server::start();
    server.put("top", "");
    server.put("sub/inner", "");
    server.put("with space/deep", "");
    let mut client = Client::bob(&server);
    for options in ["", " -a", " -l", " -al", " -la", " -aln", " -F", " -l -a", " -L", " -1"] {
        let lines = client.lines(&format!("LIST{options}"));
        let all = lines.iter().filter(|line| line.starts_with(['-', 'd'])).count();
        assert_eq!((lines.len(), all), (3, 3), "LIST{options}: {lines:?}");
        assert_eq!(client.lines(&format!("NLST{options}")).len(), 3, "NLST{options}");
        for path in ["sub", "/sub", "sub/", "./sub", "../sub"] {
            let lines = client.lines(&format!("LIST{options} {path}"));
            assert_eq!(last_words(&lines), ["inner"], "LIST{options} {path}");
        }
        let lines = client.lines(&format!("LIST{options} with space"));
        assert_eq!(last_words(&lines), ["deep"], "LIST{options} with space");
    }
    for command in ["list -al sub", "List -al  sub", "LIST -a -l  /sub"] {
        assert_eq!(last_words(&client.lines(command)), ["inner"], "{command}");
    }
    let status = client.cmd("STAT -la /sub", 213);
    assert!(status.contains(" inner\n") && !status.contains("top"), "{status}");
}

#[test]
fn a_file_whose_name_begins_with_a_dash_is_listed() {
    let server = Server::start();
    server.put("-al", "1");
    server.put("-dir/inner", "22");
    server.put("-a b", "333");
    server.put("plain", "4444");
    let mut client = Client::bob(&server);
    assert_eq!(last_words(&client.lines("LIST -al")), ["-al"]);
    assert_eq!(last_words(&client.lines("LIST -dir")), ["inner"]);
    assert_eq!(last_words(&client.lines("LIST -a ./-al")), ["-al"]);
    assert_eq!(last_words(&client.lines("LIST -l -dir")), ["inner"]);
    assert_eq!(client.lines("NLST -al"), ["-al"]);
    assert_eq!(client.lines("NLST -a b"), ["-a b"]);
    assert_eq!(client.lines("NLST -dir"), ["-dir/inner"]);
    assert!(client.cmd("STAT -al", 213).contains(" -al\n"));
    assert_eq!(client.lines("LIST -la").len(), 4);
    assert!(client.cmd("MLST -al", 250).contains("size=1;"));
    assert_eq!(client.lines("MLSD -dir").len(), 1);
}

#[test]
fn single_files_are_listed_by_all_but_mlsd() {
    let server = Server::start();
    server.put("sub/file", "12345");
    let mut client = Client::bob(&server);
    for path in ["sub/file", "/sub/file"] {
        let lines = client.lines(&format!("LIST {path}"));
        assert_eq!(last_words(&lines), ["file"]);
        assert_eq!(client.lines(&format!("NLST {path}")), [path]);
        let status = client.cmd(&format!("STAT {path}"), 213);
        assert!(status.contains(" 5 ") && status.contains(" file\n"), "{status}");
        client.cmd(&format!("MLSD {path}"), 501);
    }
    client.cmd("CWD sub", 250);
    assert_eq!(client.lines("NLST file"), ["file"]);
}

#[test]
fn what_nlst_says_can_be_retrieved_as_it_stands() {
    let server = Server::start();
    server.put("a", "x");
    server.put("sub/b", "x");
    server.put("sub/deep/c", "x");
    symlink("sub", server.home().join("link")).unwrap();
    let mut client = Client::bob(&server);
    for path in
        ["sub/b", "sub", "sub/", "/sub", ".", "sub/../sub", "link", "a", "/a", "./a", "sub/./b"]
    {
        for name in client.lines(&format!("NLST {path}")) {
            let (kind, line) = client.ask(&format!("MLST {name}"));
            assert_eq!(kind, 250, "NLST {path} said {name}");
            if line.contains("type=file") {
                assert_eq!(client.download(&format!("RETR {name}")), b"x", "NLST {path}");
            }
        }
    }
    assert_eq!(sorted(client.lines("NLST")), ["a", "link", "sub"]);
    assert_eq!(sorted(client.lines("NLST sub")), ["sub/b", "sub/deep"]);
}

#[test]
fn an_empty_directory_is_an_empty_listing() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for command in ["LIST", "NLST", "MLSD"] {
        assert_eq!(client.download(command), b"", "{command}");
    }
    let status = client.cmd("STAT /", 213);
    assert_eq!(status.lines().count(), 2, "{status}");
}

#[test]
fn dot_and_dot_dot_are_no_entries_and_hidden_files_are() {
    let server = Server::start();
    server.put(".hidden", "");
    server.put("...", "");
    let mut client = Client::bob(&server);
    assert_eq!(sorted(client.lines("NLST")), ["...", ".hidden"]);
    assert_eq!(last_words(&client.lines("LIST -a")), ["...", ".hidden"]);
    let lines = client.lines("MLSD");
    let names = lines.iter().map(|line| facts(line).1.to_owned()).collect();
    assert_eq!(sorted(names), ["...", ".hidden"]);
}

#[test]
fn what_is_not_there_is_550_and_keeps_the_passive_port() {
    let server = Server::start();
    server.put("file", "");
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    for command in ["LIST", "NLST", "MLSD", "MLST", "STAT"] {
        client.cmd(&format!("{command} none"), 550);
        client.cmd(&format!("{command} none/at/all"), 550);
        client.cmd(&format!("{command} file/below"), 550);
    }
    client.cmd("LIST -al none", 550);
    let _data = client.data(address);
    client.cmd("NLST", 150);
    client.expect(226);
}

#[test]
fn listings_take_a_data_connection_and_say_so() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for command in ["LIST", "NLST", "MLSD", "LIST -al"] {
        client.cmd(command, 425);
    }
}

#[test]
fn every_line_of_a_listing_ends_with_cr_lf_in_both_types() {
    let server = Server::start();
    server.put("a", "");
    server.put("b", "");
    let mut client = Client::bob(&server);
    for kind in ["TYPE I", "TYPE A"] {
        client.cmd(kind, 200);
        for command in ["LIST", "NLST", "MLSD"] {
            let bytes = client.download(command);
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.matches("\r\n").count(), 2, "{text:?}");
            assert_eq!(text.matches(['\r', '\n']).count(), 4, "{text:?}");
            assert!(text.ends_with("\r\n"), "{text:?}");
        }
    }
}

#[test]
fn mlsd_has_the_facts_of_each_entry() {
    let server = Server::start();
    let file = server.put("a name", "12345");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_208_000);
    set_time(&file, at);
    fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
    fs::hard_link(&file, server.home().join("twin")).unwrap();
    fs::create_dir(server.home().join("dir")).unwrap();
    let mut client = Client::bob(&server);
    let lines = client.lines("MLSD");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let line = |name: &str| lines.iter().find(|line| facts(line).1 == name).unwrap().clone();
    let meta = fs::metadata(&file).unwrap();
    let named = line("a name");
    assert_eq!(fact(&named, "type").unwrap(), "file");
    assert_eq!(fact(&named, "size").unwrap(), "5");
    assert_eq!(fact(&named, "modify").unwrap(), "20240229120000");
    assert_eq!(fact(&named, "unix.mode").unwrap(), "0604");
    assert_eq!(fact(&named, "unix.uid").unwrap(), meta.uid().to_string());
    assert_eq!(fact(&named, "unix.gid").unwrap(), meta.gid().to_string());
    assert_eq!(fact(&named, "unique"), fact(&line("twin"), "unique"));
    assert_ne!(fact(&named, "unique"), fact(&line("dir"), "unique"));
    assert_eq!(fact(&line("dir"), "type").unwrap(), "dir");
    // the same of one of them on the control connection, with its full path
    let reply = client.cmd("MLST a name", 250);
    let shown: Vec<_> = reply.lines().collect();
    assert_eq!(shown.len(), 3, "{reply}");
    assert!(shown[0].starts_with("250-") && shown[2].starts_with("250 "), "{reply}");
    assert_eq!(shown[1].strip_prefix(' ').unwrap().replace(" /a name", " a name"), named);
}

#[test]
fn mlst_names_the_path_in_full_and_the_working_directory_by_default() {
    let server = Server::start();
    server.put("sub/file", "");
    let mut client = Client::bob(&server);
    assert!(client.cmd("MLST", 250).contains(" /\n"));
    client.cmd("CWD sub", 250);
    let reply = client.cmd("MLST", 250);
    assert!(reply.contains("type=dir;") && reply.contains(" /sub\n"), "{reply}");
    for path in ["file", "/sub/file", "../sub/./file"] {
        assert!(client.cmd(&format!("MLST {path}"), 250).contains(" /sub/file\n"));
    }
}

#[test]
fn the_perm_fact_says_what_the_letters_of_the_user_allow() {
    let server = Server::setup()
        .section("[user:reader]\npassword = secret\nperm = elr\nhome = home")
        .section("[user:writer]\npassword = secret\nperm = lw\nhome = home")
        .start();
    server.put("file", "");
    server.put("dir/x", "");
    for (user, file, dir) in
        [("bob", "adfrw", "cdeflmp"), ("reader", "r", "el"), ("writer", "w", "cl")]
    {
        let mut client = Client::login(&server, user, "secret");
        for (path, wanted) in [("file", file), ("dir", dir)] {
            let reply = client.cmd(&format!("MLST {path}"), 250);
            let line = reply.lines().nth(1).unwrap().trim_start();
            let mut letters: Vec<_> = fact(line, "perm").unwrap().chars().collect();
            letters.sort_unstable();
            assert_eq!(letters.into_iter().collect::<String>(), wanted, "{user} {path}");
        }
    }
}

#[test]
fn opts_mlst_chooses_facts_and_feat_marks_them() {
    let server = Server::start();
    server.put("file", "12345");
    let mut client = Client::bob(&server);
    let marked = |client: &mut Client| {
        let feat = client.cmd("FEAT", 211);
        let line = feat.lines().find_map(|line| line.strip_prefix(" MLST ")).unwrap();
        let all: Vec<_> = line.split_terminator(';').map(str::to_owned).collect();
        assert!(line.ends_with(';') && all.len() >= 8, "{line}");
        all.iter().filter_map(|fact| fact.strip_suffix('*')).map(str::to_owned).collect()
    };
    let all: Vec<String> = marked(&mut client);
    for name in ["type", "size", "modify", "perm", "unique", "UNIX.mode"] {
        assert!(all.iter().any(|fact| fact == name), "{name} is not chosen at first");
    }
    for (wanted, chosen) in [
        ("size;type;", vec!["type", "size"]),
        ("TYPE;Modify;", vec!["type", "modify"]),
        ("type;lang;nonsense;unix.MODE;", vec!["type", "UNIX.mode"]),
        ("type", vec!["type"]),
        ("nonsense;", vec![]),
    ] {
        let reply = client.cmd(&format!("OPTS MLST {wanted}"), 200);
        let said = reply.strip_prefix("200 MLST OPTS").unwrap_or_else(|| panic!("{reply}"));
        let said: Vec<_> = said.trim().split_terminator(';').collect();
        assert_eq!(said, chosen, "{wanted}");
        assert_eq!(marked(&mut client), chosen, "{wanted}");
        let lines = client.lines("MLSD");
        let (sent, name) = facts(&lines[0]);
        let sent: Vec<_> = sent.into_iter().map(|(name, _)| name).collect();
        let lower: Vec<_> = chosen.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!((sent, name), (lower, "file"), "{wanted}");
    }
    client.cmd("OPTS MLST", 200);
    assert_eq!(marked(&mut client), Vec::<String>::new());
    assert_eq!(client.lines("MLSD"), [" file"]);
    assert!(client.cmd("MLST file", 250).contains("\n  /file\n"));
}

#[test]
fn links_inside_are_followed_by_machines_and_shown_to_people() {
    let server = Server::start();
    server.put("real/file", "12345");
    symlink("real", server.home().join("dirlink")).unwrap();
    symlink("real/file", server.home().join("filelink")).unwrap();
    symlink("../real/file", server.home().join("real/up")).unwrap();
    symlink("nowhere", server.home().join("broken")).unwrap();
    symlink("loop", server.home().join("loop")).unwrap();
    let mut client = Client::bob(&server);
    let list = client.lines("LIST");
    assert_eq!(list.len(), 5, "{list:?}");
    assert!(
        list.iter().any(|line| line.starts_with('l') && line.ends_with(" dirlink -> real"))
    );
    assert!(list.iter().any(|line| line.ends_with(" filelink -> real/file")));
    assert!(
        list.iter().any(|line| line.starts_with('l') && line.ends_with(" broken -> nowhere"))
    );
    assert!(list.iter().any(|line| line.starts_with('l') && line.ends_with(" loop -> loop")));
    let lines = client.lines("MLSD");
    let line = |name: &str| lines.iter().find(|line| facts(line).1 == name).unwrap();
    assert_eq!(fact(line("dirlink"), "type").unwrap(), "dir");
    assert_eq!(fact(line("filelink"), "type").unwrap(), "file");
    assert_eq!(fact(line("filelink"), "size").unwrap(), "5");
    assert!(!["file", "dir"].contains(&fact(line("broken"), "type").unwrap().as_str()));
    assert_eq!(sorted(client.lines("NLST dirlink")), ["dirlink/file", "dirlink/up"]);
    assert!(
        client.lines("LIST dirlink").iter().any(|line| line.ends_with("up -> ../real/file"))
    );
}

#[test]
fn a_listing_never_tells_where_a_link_leads_outside() {
    let server = Server::start();
    let secret = server.dir().join("secretplace");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("treasure"), vec![b'x'; 7777]).unwrap();
    let home = server.home();
    server.put("sub/x", "");
    symlink(&secret, home.join("absolute")).unwrap();
    symlink("../secretplace", home.join("relative")).unwrap();
    symlink("../../secretplace/treasure", home.join("sub/deep")).unwrap();
    symlink(secret.join("treasure"), home.join("file")).unwrap();
    symlink("relative", home.join("chain")).unwrap();
    symlink("relative/treasure", home.join("chain2")).unwrap();
    symlink("../home/sub", home.join("outandback")).unwrap();
    symlink(home.join("sub"), home.join("absoluteinside")).unwrap();
    symlink("/proc/self/cwd", home.join("magic")).unwrap();
    let mut client = Client::bob(&server);
    let mut all = String::new();
    for directory in ["", " /", " sub"] {
        for command in ["LIST", "LIST -L", "NLST", "MLSD"] {
            all += &client.lines(&format!("{command}{directory}")).join("\n");
            all += "\n";
        }
    }
    all += &client.cmd("STAT /", 213);
    let links = [
        "absolute",
        "relative",
        "sub/deep",
        "file",
        "chain",
        "chain2",
        "outandback",
        "absoluteinside",
        "magic",
    ];
    for link in links {
        for command in ["LIST", "NLST", "MLSD", "STAT", "MLST"] {
            let (code, text, bytes) = client.exchange(&format!("{command} {link}"), b"");
            assert!([226, 250, 213, 501, 550].contains(&code), "{command} {link}: {text}");
            all += &text;
            all += &String::from_utf8_lossy(&bytes);
            let (code, text, bytes) =
                client.exchange(&format!("{command} {link}/treasure"), b"");
            assert_eq!(code, 550, "{command} {link}/treasure: {text}");
            assert_eq!(bytes, b"");
        }
    }
    for line in all.lines() {
        for word in ["secretplace", "treasure", "7777", "..", "/proc", "/home", "home/"] {
            assert!(!line.contains(word), "'{word}' is told: {line}");
        }
        if links.iter().any(|link| line.ends_with(&format!(" {link}"))) && line.contains(';') {
            assert!(line.to_lowercase().contains("type=os."), "{line}");
        }
    }
}

/// Without an arrow node-ftp loses the name, aioftp the whole listing, and ftputil raises.
#[test]
fn a_line_that_begins_with_l_has_an_arrow_wherever_the_link_leads() {
    let server = Server::start();
    let outside = server.dir().join("secretplace");
    fs::create_dir(&outside).unwrap();
    server.put("sub/file", "x");
    server.put("locked/file", "x");
    let links = [
        // target, and what is shown of it
        ("sub", "sub"),
        ("sub/file", "sub/file"),
        ("gone", "gone"),
        ("sub/gone file", "sub/gone file"),
        ("./gone", "./gone"),
        ("sub/file/below", "sub/file/below"),
        ("16", "16"),
        ("/gone/secret", "(outside)"),
        ("../secretplace", "(outside)"),
        ("../secretplace/gone", "(outside)"),
        ("14/secret", "(outside)"),
        ("gone/../../secretplace", "(outside)"),
        ("gone/../sub", "(outside)"),
        ("14", "(outside)"),
        (outside.to_str().unwrap(), "(outside)"),
        ("/etc/passwd", "(outside)"),
        ("16", "16"),
        ("ends with/", "ends with/"),
    ];
    for (number, (target, _)) in links.iter().enumerate() {
        symlink(target, server.home().join(number.to_string())).unwrap();
    }
    symlink("../gone", server.home().join("sub/up")).unwrap();
    symlink("../../gone", server.home().join("sub/out")).unwrap();
    let mut client = Client::bob(&server);
    let listings = [
        client.lines("LIST"),
        client.lines("LIST -la /"),
        client.lines("LIST *"),
        client.cmd("STAT -l /", 213).lines().map(str::to_owned).collect(),
    ];
    for lines in &listings {
        let mut found = 0;
        for line in lines.iter().filter(|line| line.starts_with('l')) {
            assert_eq!(line.matches(" -> ").count(), 1, "{line}");
            let (front, shown) = line.split_once(" -> ").unwrap();
            let number: usize = front.rsplit(' ').next().unwrap().parse().unwrap();
            assert_eq!(shown, links[number].1, "{line}");
            found += 1;
        }
        assert_eq!(found, links.len(), "{lines:?}");
    }
    for (number, (_, shown)) in links.iter().enumerate().skip(2) {
        // also one by one; and MLST tells that it is a link
        let line = client.lines(&format!("LIST {number}"));
        assert!(line.concat().ends_with(&format!(" {number} -> {shown}")), "{line:?}");
        let reply = client.cmd(&format!("MLST {number}"), 250);
        assert!(reply.contains("type=OS.unix=symlink;"), "{reply}");
        assert_eq!(client.lines(&format!("NLST -d {number}")), [number.to_string()]);
    }
    let sub = sorted(client.lines("LIST sub"));
    assert!(sub.iter().any(|line| line.ends_with(" up -> ../gone")), "{sub:?}");
    assert!(sub.iter().any(|line| line.ends_with(" out -> (outside)")), "{sub:?}");
}

/// What a client that was written for `ls -R` makes of a listing: the folder of each name.
fn sections(lines: &[String]) -> Vec<(String, Vec<String>)> {
    let mut sections = vec![(String::new(), Vec::new())];
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            let header = lines.next().unwrap().strip_suffix(':').unwrap();
            sections.push((header.to_owned(), Vec::new()));
        } else {
            let name = line.splitn(9, ' ').last().unwrap();
            assert!(line.starts_with(['-', 'd', 'l']), "{line}");
            let name = name.split(" -> ").next().unwrap().rsplit(' ').next().unwrap();
            sections.last_mut().unwrap().1.push(name.to_owned());
        }
    }
    for (_, names) in &mut sections {
        names.sort_unstable();
    }
    sections[1..].sort_unstable();
    sections
}

fn section(header: &str, names: &[&str]) -> (String, Vec<String>) {
    (header.to_owned(), names.iter().map(|&name| name.to_owned()).collect())
}

fn a_small_tree(server: &Server) {
    server.put("top", "1");
    server.put("a/one", "1");
    server.put("a/deep/two", "22");
    server.put("a/deep/deeper/three", "333");
    server.put("b/four", "4444");
    fs::create_dir(server.home().join("empty")).unwrap();
    symlink("..", server.home().join("a/up")).unwrap();
    symlink(server.dir(), server.home().join("out")).unwrap();
}

#[test]
fn list_with_r_goes_down_into_directories_and_not_into_links() {
    let server = Server::start();
    a_small_tree(&server);
    let mut client = Client::bob(&server);
    let below = |base: &str| {
        vec![
            section(&format!("{base}a"), &["deep", "one", "up"]),
            section(&format!("{base}a/deep"), &["deeper", "two"]),
            section(&format!("{base}a/deep/deeper"), &["three"]),
            section(&format!("{base}b"), &["four"]),
            section(&format!("{base}empty"), &[]),
        ]
    };
    let top = ["a", "b", "empty", "out", "top"];
    for (command, base) in [
        ("LIST -R", "./"),
        ("LIST -alR", "./"),
        ("LIST -l -R .", "./"),
        ("LIST -R /", "/"),
        ("LIST -R ./", "./"),
        ("LIST -R a/..", "a/../"),
    ] {
        let found = sections(&client.lines(command));
        assert_eq!(found[0], section("", &top), "{command}");
        assert_eq!(found[1..], below(base), "{command}");
    }
    for (command, base) in
        [("LIST -R a", "a/"), ("LIST -R /a/", "/a/"), ("LIST -R ./a", "./a/")]
    {
        let found = sections(&client.lines(command));
        let wanted = vec![
            section("", &["deep", "one", "up"]),
            section(&format!("{base}deep"), &["deeper", "two"]),
            section(&format!("{base}deep/deeper"), &["three"]),
        ];
        assert_eq!(found, wanted, "{command}");
    }
    client.cmd("CWD a", 250);
    assert_eq!(sections(&client.lines("LIST -R")).len(), 3);
    client.cmd("CWD /", 250);
    // a directory that the pattern fits is gone down into, as a shell does it
    let found = sections(&client.lines("LIST -R a*"));
    assert_eq!(found[0], section("", &["a"]));
    assert_eq!(found[1..], below("./")[..3]);
    // unless it is a name
    server.put("what?/sub/x", "");
    let wanted = vec![section("", &["sub"]), section("what?/sub", &["x"])];
    assert_eq!(sections(&client.lines("LIST -R what?")), wanted);
    // a file, and the letter that takes precedence
    assert_eq!(last_words(&client.lines("LIST -R a/one")), ["one"]);
    assert_eq!(last_words(&client.lines("LIST -Rd a")), ["a"]);
    client.cmd("LIST -R none", 550);
    let status = client.cmd("STAT -R a", 213);
    assert!(status.contains("\na/deep/deeper:\n") && status.contains(" three\n"), "{status}");
}

#[test]
fn nlst_with_r_gives_names_that_can_be_used_as_they_stand() {
    let server = Server::start();
    a_small_tree(&server);
    let mut client = Client::bob(&server);
    let all =
        ["a", "a/deep", "a/deep/deeper", "a/deep/deeper/three", "a/deep/two", "a/one", "a/up"];
    assert_eq!(sorted(client.lines("NLST -R a"))[..], all[1..]);
    let below: Vec<_> = all[1..].iter().map(|name| format!("/{name}")).collect();
    assert_eq!(sorted(client.lines("NLST -R /a")), below);
    let found = sorted(client.lines("NLST -R"));
    let rest = ["b", "b/four", "empty", "out", "top"];
    assert_eq!(found, [&all[..], &rest[..]].concat());
    for name in found {
        client.cmd(&format!("MLST {name}"), 250);
    }
}

/// `STAT` answers on the control connection: no name may look like the end of the reply.
#[test]
fn a_folder_whose_name_begins_like_a_reply_does_not_end_stat() {
    let server = Server::start();
    server.put("213 x/y/z", "");
    let mut client = Client::bob(&server);
    let status = client.cmd("STAT -R 213 x", 213);
    assert!(status.contains("\n./213 x/y:\n") && status.ends_with("213 End"), "{status}");
    client.cmd("NOOP", 200);
}

#[test]
fn a_directory_that_cannot_be_read_does_not_end_a_recursive_listing() {
    // root may read all
    let server = Server::setup().run_as(65534).start();
    a_small_tree(&server);
    let locked = server.home().join("a/deep");
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    let found = sections(&Client::bob(&server).lines("LIST -R"));
    let headers: Vec<_> = found.iter().map(|(header, _)| header.as_str()).collect();
    assert_eq!(headers, ["", "./a", "./b", "./empty"]);
    let line = server.wait_for_log("LIST -R");
    assert!(line.contains("a/deep") && line.contains("ermission denied"), "{line}");
    fs::set_permissions(&locked, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_recursive_listing_is_bounded_in_depth_and_says_so() {
    let server = Server::start();
    let chain = vec!["d"; 40].join("/");
    server.put(&format!("{chain}/file"), "");
    let mut data = Vec::new();
    let mut client = Client::bob(&server);
    for command in ["LIST -R", "NLST -R"] {
        let (code, text, bytes) = client.exchange(command, b"");
        assert_eq!(code, 226);
        assert!(text.contains("16"), "{text}");
        data = bytes;
    }
    let deepest =
        String::from_utf8(data).unwrap().lines().map(|line| line.matches('/').count()).max();
    assert_eq!(deepest, Some(16));
    let line = server.wait_for_log("NLST -R");
    assert!(line.contains("16"), "{line}");
    // what is not cut off does not say so
    let (_, text, _) =
        client.exchange("LIST -R /d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d", b"");
    assert_eq!(text, "226 Listing complete");
}

#[test]
fn a_recursive_listing_is_bounded_in_entries_and_needs_little_memory() {
    const BOUND: usize = 100_000;
    let memory = Path::new("/dev/shm");
    let home = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let home = home.unwrap();
    let seed = home.path().join("seed");
    fs::write(&seed, "").unwrap();
    for folder in 0..110 {
        let folder = home.path().join(format!("folder {folder}"));
        fs::create_dir(&folder).unwrap();
        for number in 0..1000 {
            let name =
                folder.join(format!("{number:06} with a name that is as long as many are"));
            if fs::hard_link(&seed, &name).is_err() {
                fs::write(&name, "").unwrap();
            }
        }
    }
    let server = Server::setup().user(&format!("home = {}", home.path().display())).start();
    let mut client = Client::bob(&server);
    for command in ["LIST -R", "NLST -R"] {
        client.download(&format!("{command} folder 0"));
    }
    let before = peak_memory(&server);
    for command in ["LIST -R", "NLST -R", "LIST -Rt"] {
        let (code, text, bytes) = client.exchange(command, b"");
        assert_eq!(code, 226, "{text}");
        assert!(text.contains("100000"), "{text}");
        let lines = String::from_utf8(bytes).unwrap();
        let entries = lines.lines().filter(|line| !line.is_empty() && !line.ends_with(':'));
        assert_eq!(entries.count(), BOUND, "{command}");
        assert!(server.wait_for_log(&command[..7]).contains("100000"));
    }
    let growth = peak_memory(&server) - before;
    assert!(growth < 3 << 20, "{growth} bytes more");
    // a plain listing has no bound
    assert_eq!(client.lines("NLST").len(), 111);
}

#[test]
fn abor_ends_a_recursive_listing() {
    let server = Server::start();
    for folder in 0..200 {
        for number in 0..100 {
            server.put(&format!("{}{folder}/{}{number}", "f".repeat(200), "n".repeat(200)), "");
        }
    }
    let mut client = Client::bob(&server);
    let address = client.passive_address("EPSV");
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )
    .unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    client.cmd("LIST -R", 150);
    client.cmd("ABOR", 426);
    client.expect(226);
    client.cmd("NOOP", 200);
}

#[test]
fn listings_are_sorted_as_ls_sorts_them() {
    let server = Server::start();
    let day =
        |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + days * DAY);
    // name, size, age
    for (name, size, at) in
        [("c", 3, 1), ("a", 30, 2), ("b", 300, 3), ("e", 3, 2), ("d", 3000, 0), (".f", 0, 4)]
    {
        set_time(&server.put(name, vec![b'x'; size]), day(at));
    }
    let mut client = Client::bob(&server);
    for (options, wanted) in [
        ("-t", ".f b a e c d"),
        ("-tr", "d c e a b .f"),
        ("-rt", "d c e a b .f"),
        ("-lart", "d c e a b .f"),
        ("-l -a -r -t", "d c e a b .f"),
        ("-S", "d b a c e .f"),
        ("-Sr", ".f e c a b d"),
        ("-r", "e d c b a .f"),
        ("-t -S", "d b a c e .f"),
        ("-St", ".f b a e c d"),
        ("-1t", ".f b a e c d"),
        ("-t1FgoQz", ".f b a e c d"),
        ("-t --", ".f b a e c d"),
        ("-t -- .", ".f b a e c d"),
        ("--color=never -t /", ".f b a e c d"),
        ("-t *", "b a e c d"),
    ] {
        let lines = client.lines(&format!("LIST {options}"));
        let found: Vec<_> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(found.join(" "), wanted, "LIST {options}");
        let names: Vec<_> = client.lines(&format!("NLST {options}"));
        let names: Vec<_> = names.iter().map(|name| name.rsplit('/').next().unwrap()).collect();
        assert_eq!(names.join(" "), wanted, "NLST {options}");
        let path = if options.ends_with(['.', '/', '*']) { "" } else { " ." };
        let status = client.cmd(&format!("STAT {options}{path}"), 213);
        let found: Vec<_> = status
            .lines()
            .filter(|line| line.starts_with('-'))
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(found.join(" "), wanted, "STAT {options}");
    }
}

#[test]
fn files_of_one_second_are_sorted_by_its_parts() {
    let server = Server::start();
    for (name, nanos) in [("b", 500), ("a", 100), ("c", 900)] {
        set_time(
            &server.put(name, ""),
            SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, nanos),
        );
    }
    assert_eq!(Client::bob(&server).lines("NLST -t"), ["c", "b", "a"]);
}

#[test]
fn d_shows_a_directory_and_not_what_is_in_it() {
    let server = Server::start();
    a_small_tree(&server);
    let mut client = Client::bob(&server);
    for (command, wanted) in [
        ("LIST -d", "."),
        ("LIST -ld .", "."),
        ("LIST -d /", "/"),
        ("LIST -d a", "a"),
        ("LIST -d a/", "a"),
        ("LIST -d a/deep", "deep"),
        ("LIST -d top", "top"),
        ("NLST -d", "."),
        ("NLST -d a", "a"),
        ("NLST -d /a", "/a"),
        ("NLST -d a/deep", "a/deep"),
        ("NLST -d /", "/"),
        ("NLST -d top", "top"),
        ("NLST -ad a*", "a"),
    ] {
        let lines = client.lines(command);
        assert_eq!(last_words(&lines), [wanted], "{command}");
        assert_eq!(lines[0].starts_with('d'), command.starts_with("LIST") && wanted != "top");
    }
    client.cmd("CWD a/deep", 250);
    for command in ["LIST -d", "NLST -d", "LIST -d ."] {
        assert_eq!(last_words(&client.lines(command)), ["."], "{command}");
    }
    assert_eq!(last_words(&client.lines("LIST -d ..")), [".."]);
    let status = client.cmd("STAT -d /a", 213);
    assert!(status.lines().count() == 3 && status.contains(" a\n"), "{status}");
    client.cmd("LIST -d none", 550);
}

#[test]
fn what_stands_behind_two_dashes_is_a_path() {
    let server = Server::start();
    server.put("-t/inner", "");
    server.put("x", "");
    let mut client = Client::bob(&server);
    assert_eq!(client.lines("NLST -- -t"), ["-t/inner"]);
    assert_eq!(last_words(&client.lines("LIST -a -- -t")), ["inner"]);
    client.cmd("LIST -- -a", 550);
    assert_eq!(last_words(&client.lines("LIST -a --")), ["-t", "x"]);
}

#[test]
fn sorting_is_bounded_in_entries_and_says_so() {
    const BOUND: usize = 10_000;
    let server = Server::start();
    let many = server.home().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..BOUND {
        fs::write(many.join(format!("{number:05}")), "").unwrap();
    }
    let mut client = Client::bob(&server);
    let backwards: Vec<_> =
        (0..BOUND).rev().map(|number| format!("many/{number:05}")).collect();
    assert!(client.lines("NLST -r many") == backwards);
    assert!(!server.log().contains("sorted"));
    fs::write(many.join("one more"), "").unwrap();
    let lines = sorted(client.lines("NLST -r many"));
    assert_eq!(lines.len(), BOUND + 1);
    assert_eq!((lines[0].as_str(), lines[BOUND].as_str()), ("many/00000", "many/one more"));
    let line = server.wait_for_log("sorted");
    assert!(
        line.contains("NLST") && line.contains("/many") && line.contains("10000"),
        "{line}"
    );
    let status = client.cmd("STAT -r many", 213);
    assert!(status.lines().count() < 1100, "{}", status.lines().count());
}

#[test]
fn parts_of_uploads_stay_hidden_in_all_listings() {
    let server = Server::start();
    server.put("sub/file", "");
    let mut client = Client::bob(&server);
    let mut other = Client::login(&server, "bob", "secret");
    let mut data = other.passive();
    other.cmd("STOR sub/new", 150);
    std::io::Write::write_all(&mut data, b"half").unwrap();
    for command in ["LIST -R", "LIST -Rt", "NLST -R", "LIST -r sub", "LIST -S sub"] {
        let lines = client.lines(command).concat();
        assert!(lines.contains("file") && !lines.contains(".ftpd"), "{command}: {lines}");
    }
    drop(data);
    other.expect(226);
}

#[test]
fn stat_of_a_large_directory_is_cut_off_and_says_so() {
    let server = Server::start();
    for number in 0..1100 {
        server.put(&format!("many/{number}"), "");
    }
    let mut client = Client::bob(&server);
    let status = client.cmd("STAT many", 213);
    assert!((100..1100).contains(&status.lines().count()), "{}", status.lines().count());
    assert!(status.lines().last().unwrap().contains("LIST"));
    client.cmd("NOOP", 200);
}

/// The most memory that the server has ever held, in bytes.
fn peak_memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn a_directory_of_100_000_entries_needs_no_more_memory_than_a_small_one() {
    const ENTRIES: usize = 100_000;
    let memory = Path::new("/dev/shm");
    let home = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let home = home.unwrap();
    fs::create_dir(home.path().join("small")).unwrap();
    fs::create_dir(home.path().join("large")).unwrap();
    let seed = home.path().join("small/seed");
    fs::write(&seed, "").unwrap();
    for number in 0..ENTRIES {
        let name =
            format!("large/{number:06} and a name that is as long as many are, or longer");
        let name = home.path().join(name);
        // a name of its own is cheaper than a file of its own, as far as there may be many
        if fs::hard_link(&seed, &name).is_err() {
            fs::write(&name, "").unwrap();
        }
    }
    let server = Server::setup().user(&format!("home = {}", home.path().display())).start();
    let mut client = Client::bob(&server);
    for command in ["LIST", "NLST", "MLSD"] {
        client.download(&format!("{command} small"));
    }
    client.cmd("STAT small", 213);
    let before = peak_memory(&server);
    for command in ["LIST", "NLST", "MLSD"] {
        let bytes = client.download(&format!("{command} large"));
        let lines = bytes.split_inclusive(|&byte| byte == b'\n').count();
        assert_eq!(lines, ENTRIES, "{command}");
        assert!(bytes.len() > 5 << 20, "{command}");
    }
    client.cmd("STAT large", 213);
    let growth = peak_memory(&server) - before;
    assert!(growth < 2 << 20, "{growth} bytes more");
}

#[test]
fn fifos_and_sockets_are_listed_with_their_letters() {
    let server = Server::start();
    let fifo = server.home().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(server.home().join("sock")).unwrap();
    let mut client = Client::bob(&server);
    let lines = client.lines("LIST");
    assert!(lines.iter().any(|line| line.starts_with('p') && line.ends_with(" fifo")));
    assert!(lines.iter().any(|line| line.starts_with('s') && line.ends_with(" sock")));
    for line in client.lines("MLSD") {
        assert!(!["file", "dir"].contains(&fact(&line, "type").unwrap().as_str()), "{line}");
    }
}

#[test]
fn files_that_come_and_go_meanwhile_do_not_break_a_listing() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let server = Server::start();
    server.put("stays", "");
    let (home, stop) = (server.home(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for number in 0..50 {
                    fs::write(home.join(format!("t{number}")), "").unwrap();
                }
                for number in 0..50 {
                    fs::remove_file(home.join(format!("t{number}"))).unwrap();
                }
            }
        });
        let listings = std::panic::catch_unwind(|| {
            let mut client = Client::bob(&server);
            for round in 0..60 {
                let command = ["LIST", "NLST", "MLSD"][round % 3];
                let lines = client.lines(command);
                assert!(lines.iter().any(|line| line.ends_with("stays")), "{lines:?}");
            }
        });
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = listings {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn names_that_are_hidden_are_not_listed_but_reachable() {
    let folder = "[folder:/in]\nhide = *.bak";
    let server = Server::setup().server("hide = *.tmp, .git").section(folder).start();
    for name in ["a.txt", "b.TMP", ".git/config", "in/c.bak", "in/d.tmp"] {
        let path = server.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "text").unwrap();
    }
    symlink("in", server.home().join("link")).unwrap();
    let mut client = Client::bob(&server);
    for command in ["NLST", "NLST -a", "NLST *"] {
        let names = client.lines(command);
        assert_eq!(sorted(names), ["a.txt", "in", "link"], "{command}");
    }
    for command in ["LIST -a", "MLSD", "LIST"] {
        let text = String::from_utf8(client.download(command)).unwrap();
        assert!(text.contains("a.txt"), "{text}");
        assert!(!text.contains("TMP") && !text.contains(".git"), "{text}");
    }
    let status = client.cmd("STAT /", 213) + &client.cmd("STAT .", 213);
    assert!(!status.contains("TMP"), "{status}");
    // the section of a folder replaces the patterns, also on the way through a link
    assert_eq!(sorted(client.lines("NLST in")), ["in/d.tmp"]);
    assert_eq!(sorted(client.lines("NLST link")), ["link/d.tmp"]);
    // what is hidden is there all the same
    assert_eq!(client.download("RETR b.TMP"), b"text");
    client.cmd("SIZE .git/config", 213);
    client.cmd("MLST b.TMP", 250);
    client.cmd("CWD .git", 250);
    client.cmd("CDUP", 250);
    client.cmd("RMD .git", 550);
    // an upload that broke off is hidden as its file would be
    break_off(&mut client, "STOR new.tmp", b"123", &server.home());
    assert_eq!(sorted(client.lines("NLST")), ["a.txt", "in", "link"]);
    client.cmd("SIZE new.tmp", 213);
}
