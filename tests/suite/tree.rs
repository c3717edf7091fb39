//! CWD, CDUP, PWD, MKD, RMD, DELE, RNFR, RNTO and SITE CHMOD; names of any bytes; confinement
//! in the home.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use ftpd::control::command::{Arg, VERBS};

use crate::client::Client;
use crate::server::Server;

/// Lists a tree: each path with its mode, time, and content or target.
fn snapshot(root: &Path) -> Vec<String> {
    fn walk(path: &Path, into: &mut Vec<String>) {
        let meta = path.symlink_metadata().unwrap();
        let held = if meta.is_file() {
            fs::read(path).unwrap().escape_ascii().to_string()
        } else if meta.is_symlink() {
            escaped(&fs::read_link(path).unwrap())
        } else {
            String::new()
        };
        let (mode, time) = (meta.mode(), (meta.mtime(), meta.mtime_nsec()));
        into.push(format!("{} {mode:o} {time:?} {held}", escaped(path)));
        if meta.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), into);
            }
        }
    }
    let mut all = Vec::new();
    walk(root, &mut all);
    all.sort_unstable();
    all
}

fn escaped(path: &Path) -> String {
    path.as_os_str().as_bytes().escape_ascii().to_string()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

#[test]
fn cwd_cdup_and_pwd_go_up_and_down_under_both_names() {
    let server = Server::start();
    server.put("a/b/file", "");
    let mut client = Client::bob(&server);
    for (cwd, cdup, pwd) in [("CWD", "CDUP", "PWD"), ("XCWD", "XCUP", "XPWD")] {
        let at = |client: &mut Client, path: &str| {
            let reply = client.cmd(pwd, 257);
            assert!(reply.starts_with(&format!("257 \"{path}\" ")), "{reply}");
        };
        at(&mut client, "/");
        for (to, path) in [
            ("a", "/a"),
            ("b", "/a/b"),
            ("..", "/a"),
            ("/a/b", "/a/b"),
            ("../../a/./b/..", "/a"),
            ("/../../..", "/"),
            ("a//b/", "/a/b"),
            (".", "/a/b"),
        ] {
            client.cmd(&format!("{cwd} {to}"), 250);
            at(&mut client, path);
        }
        client.cmd(cdup, 250);
        at(&mut client, "/a");
        client.cmd(cdup, 250);
        at(&mut client, "/");
        client.cmd(cdup, 250);
        at(&mut client, "/");
    }
}

#[test]
fn cwd_to_a_file_or_to_nothing_is_550_and_stays() {
    let server = Server::start();
    server.put("sub/file", "");
    let mut client = Client::bob(&server);
    client.cmd("CWD sub", 250);
    for path in ["file", "none", "file/..x", "file/below", "/none/sub"] {
        client.cmd(&format!("CWD {path}"), 550);
    }
    assert!(client.cmd("PWD", 257).contains("\"/sub\""));
}

#[test]
fn mkd_names_the_new_directory_from_the_root_and_rmd_takes_it_away() {
    let server = Server::start();
    fs::create_dir(server.home().join("sub")).unwrap();
    let mut client = Client::bob(&server);
    client.cmd("CWD sub", 250);
    for (mkd, rmd) in [("MKD", "RMD"), ("XMKD", "XRMD")] {
        assert!(client.cmd(&format!("{mkd} new"), 257).starts_with("257 \"/sub/new\""));
        assert!(server.home().join("sub/new").is_dir());
        client.cmd(&format!("{mkd} new"), 550);
        client.cmd(&format!("{mkd} /sub/new/deep/"), 257);
        client.cmd(&format!("{rmd} new"), 550);
        client.cmd(&format!("{rmd} new/deep"), 250);
        client.cmd(&format!("{rmd} /sub/new"), 250);
        client.cmd(&format!("{rmd} new"), 550);
        assert!(!server.has("sub/new"));
        client.cmd(&format!("{mkd} none/new"), 550);
        assert!(!server.has("sub/none"));
    }
    assert!(client.cmd("MKD say \"hi\"", 257).starts_with("257 \"/sub/say \"\"hi\"\"\" "));
}

#[test]
fn files_are_deleted_by_dele_alone_and_directories_by_rmd_alone() {
    let server = Server::start();
    server.put("file", "x");
    server.put("full/file", "x");
    fs::create_dir(server.home().join("empty")).unwrap();
    let before = snapshot(&server.home());
    let mut client = Client::bob(&server);
    for line in ["DELE empty", "DELE full", "DELE none", "DELE file/x", "RMD file", "RMD full"]
    {
        client.cmd(line, 550);
    }
    assert_eq!(snapshot(&server.home()), before);
    client.cmd("DELE file", 250);
    client.cmd("DELE file", 550);
    client.cmd("RMD empty", 250);
    assert!(!server.has("file") && !server.has("empty") && server.has("full/file"));
}

#[test]
fn a_link_is_deleted_and_renamed_itself_and_not_what_it_leads_to() {
    let server = Server::start();
    server.put("real/file", "x");
    symlink("real", server.home().join("dirlink")).unwrap();
    symlink("real/file", server.home().join("filelink")).unwrap();
    symlink("nowhere", server.home().join("broken")).unwrap();
    let mut client = Client::bob(&server);
    client.cmd("RMD dirlink", 550);
    client.cmd("RNFR filelink", 350);
    client.cmd("RNTO other", 250);
    assert_eq!(fs::read_link(server.home().join("other")).unwrap(), Path::new("real/file"));
    for link in ["dirlink", "other", "broken"] {
        client.cmd(&format!("DELE {link}"), 250);
        assert!(!server.has(link));
    }
    assert_eq!(server.get("real/file"), b"x");
}

#[test]
fn rnto_renames_what_rnfr_named() {
    let server = Server::start();
    server.put("file", "1");
    server.put("dir/inner", "2");
    server.put("old", "3");
    fs::create_dir(server.home().join("sub")).unwrap();
    let mut client = Client::bob(&server);
    for (from, to) in
        [("file", "moved"), ("/dir", "sub/dir"), ("moved", "old"), ("sub/dir/inner", "/inner")]
    {
        client.cmd(&format!("RNFR {from}"), 350);
        client.cmd(&format!("RNTO {to}"), 250);
    }
    assert!(!server.has("file") && !server.has("dir") && !server.has("moved"));
    assert_eq!((server.get("old"), server.get("inner")), (b"1".to_vec(), b"2".to_vec()));
    // the name is kept from where it was said, not from where the session is by now
    client.cmd("RNFR old", 350);
    client.cmd("RNTO sub/old", 250);
    assert_eq!(server.get("sub/old"), b"1");
}

#[test]
fn a_rename_that_cannot_be_is_550_and_changes_nothing() {
    let server = Server::start();
    server.put("file", "1");
    server.put("full/inner", "2");
    fs::create_dir(server.home().join("dir")).unwrap();
    let before = snapshot(&server.home());
    let mut client = Client::bob(&server);
    client.cmd("RNFR none", 550);
    client.cmd("RNTO x", 503);
    for (from, to) in [
        ("file", "full"),
        ("file", "none/x"),
        ("dir", "file"),
        ("dir", "full"),
        ("dir", "dir/below"),
        ("file", "file/x"),
    ] {
        client.cmd(&format!("RNFR {from}"), 350);
        client.cmd(&format!("RNTO {to}"), 550);
        assert_eq!(snapshot(&server.home()), before, "{from} to {to}");
    }
}

#[test]
fn what_rnfr_named_ends_with_rnto_another_rnfr_and_the_login() {
    let server = Server::start();
    server.put("file", "1");
    server.put("gone", "2");
    let before = snapshot(&server.home());
    let mut client = Client::bob(&server);
    client.cmd("RNTO x", 503);
    for between in ["RNTO", "RNTO x\0y", "RNTO none/x", "RNFR none", "RNFR", "RNFR x\0y"] {
        client.cmd("RNFR file", 350);
        client.ask(between);
        client.cmd("RNTO x", 503);
        assert_eq!(snapshot(&server.home()), before, "{between}");
    }
    client.cmd("RNFR gone", 350);
    client.cmd("RNFR file", 350);
    client.cmd("RNTO x", 250);
    client.cmd("RNTO y", 503);
    assert!(server.has("gone") && server.has("x") && !server.has("y"));
    for end in ["REIN", "USER bob"] {
        client.cmd("RNFR x", 350);
        client.ask(end);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("RNTO y", 503);
    }
    // a file that is gone by then is not there
    client.cmd("RNFR x", 350);
    client.cmd("DELE x", 250);
    client.cmd("RNTO y", 550);
}

#[test]
fn site_chmod_sets_permission_bits_and_never_more() {
    let server = Server::start();
    let file = server.put("a file", "x");
    let dir = server.home().join("dir");
    fs::create_dir(&dir).unwrap();
    symlink("a file", server.home().join("link")).unwrap();
    let mut client = Client::bob(&server);
    for (line, bits) in
        [("600", 0o600), ("0755", 0o755), ("000", 0), ("7", 0o007), ("644", 0o644)]
    {
        client.cmd(&format!("SITE CHMOD {line} a file"), 200);
        assert_eq!(mode(&file), bits);
    }
    client.cmd("site chmod 700 /dir", 200);
    assert_eq!(mode(&dir), 0o700);
    client.cmd("SITE CHMOD 640 link", 200);
    assert_eq!(mode(&file), 0o640);
    for bits in ["4755", "2755", "1777", "7777", "888", "u+x", "-1", "+644", "0x1ff", "01000"] {
        client.cmd(&format!("SITE CHMOD {bits} a file"), 501);
    }
    for line in ["SITE CHMOD", "SITE CHMOD 644", "SITE CHMOD 644 "] {
        client.cmd(line, 501);
    }
    client.cmd("SITE CHMOD 644 none", 550);
    assert_eq!(mode(&file), 0o640);
}

#[test]
fn the_root_can_be_neither_removed_nor_renamed_nor_replaced() {
    let server = Server::start();
    server.put("sub/file", "x");
    let before = snapshot(&server.home());
    let mut client = Client::bob(&server);
    for cwd in ["/", "/sub"] {
        client.cmd(&format!("CWD {cwd}"), 250);
        for root in ["/", "//", "/.", "/..", "/sub/..", "../..", "/../"] {
            for line in ["RMD", "XRMD", "DELE", "MKD", "STOR", "APPE", "RETR", "STOU"] {
                let (code, text, _) = client.exchange(&format!("{line} {root}"), b"");
                assert!((500..=559).contains(&code), "{line} {root}: {text}");
            }
            let (code, _) = client.ask(&format!("RNFR {root}"));
            if code == 350 {
                client.cmd("RNTO /sub/moved", 550);
            } else {
                assert_eq!(code, 550);
            }
            client.cmd("RNFR /sub", 350);
            client.cmd(&format!("RNTO {root}"), 550);
        }
    }
    assert_eq!(snapshot(&server.home()), before);
}

/// Names that trip up servers which take them for text, words or quoted strings.
fn odd_names() -> Vec<Vec<u8>> {
    let every_byte = (1..=255).filter(|byte| !b"\r\n/".contains(byte)).collect();
    let mut names: Vec<Vec<u8>> = [
        &b"\xff"[..],
        b"\xff\xff",
        b"a\xffb\xff\xffc",
        b"\xff\xf4\xff\xf2",
        b"\xff\xfb\x01",
        b"\x80\x81\xfe",
        b"latin1 \xe4\xf6\xfc",
        b"\xc3\xa4 utf8 \xe2\x82\xac",
        b" leading",
        b"trailing ",
        b"  both  ",
        b" ",
        b"in  the  middle",
        b"\"",
        b"\"quoted\"",
        b"a\"b\"\"c",
        b"tab\tin",
        b"\ttab first",
        b"back\\slash\\",
        b"it's $HOME `id` ; | & * ? [a] {b} ~ !",
        b"%s%n%d",
        b"\x1b[31mred",
        b"\x7f\x01\x02",
        b"...",
        b"..x",
        b"~",
        b"226 Transfer complete",
        b"a -> b",
        b"type=dir; x",
    ]
    .map(<[u8]>::to_vec)
    .into();
    names.push(every_byte);
    names.push(vec![b'n'; 255]);
    names
}

fn under(home: &Path, name: &[u8]) -> PathBuf {
    home.join(OsStr::from_bytes(name))
}

fn line(command: &str, name: &[u8]) -> Vec<u8> {
    [command.as_bytes(), b" ", name].concat()
}

/// A path as a 257 reply shows it.
fn quoted(path: &[u8]) -> Vec<u8> {
    let inner: Vec<u8> = path
        .iter()
        .flat_map(|&byte| std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }))
        .collect();
    [b"257 \"", &inner[..], b"\" "].concat()
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// A listing over a data connection, where a byte 255 is sent once.
fn listing(client: &mut Client, line: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut data = client.passive();
    client.tell(line, 150);
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes).unwrap();
    client.expect(226);
    bytes
}

#[test]
fn names_of_any_bytes_survive_every_command_for_files() {
    use std::io::Write;
    let server = Server::start();
    let home = server.home();
    let mut client = Client::bob(&server);
    for name in odd_names() {
        let path = under(&home, &name);
        for (command, content) in [("STOR", &b"one"[..]), ("APPE", b"two")] {
            let mut data = client.passive();
            client.tell(line(command, &name), 150);
            data.write_all(content).unwrap();
            drop(data);
            client.expect(226);
        }
        assert_eq!(fs::read(&path).unwrap(), b"onetwo", "{}", name.escape_ascii());
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
        assert_eq!(listing(&mut client, &line("RETR", &name)), b"onetwo");
        assert_eq!(client.tell(line("SIZE", &name), 213), b"213 6");
        client.tell(line("MFMT 20240229120000", &name), 213);
        assert_eq!(client.tell(line("MDTM", &name), 213), b"213 20240229120000");
        client.tell(line("SITE UTIME 20240229120001", &name), 213);
        assert_eq!(path.metadata().unwrap().mtime(), 1_709_208_001);
        client.tell(line("SITE CHMOD 604", &name), 200);
        assert_eq!(mode(&path), 0o604);
        // with nothing but spaces behind them, some commands mean the working directory
        let optional = [if name == b" " { &b"./"[..] } else { b"" }, &name[..]].concat();
        let mlst = client.tell(line("MLST", &optional), 250);
        let shown = [b"; /", &name[..], b"\n250 "].concat();
        assert!(contains(&mlst, &shown), "{}", mlst.escape_ascii());
        let stat = client.tell(line("STAT", &optional), 213);
        let shown = [b" ", &name[..], b"\n213 "].concat();
        assert!(contains(&stat, &shown), "{}", stat.escape_ascii());
        let end = [&name[..], b"\r\n"].concat();
        for command in ["NLST", "LIST", "MLSD"] {
            let all = listing(&mut client, command.as_bytes());
            assert!(all.ends_with(&end), "{command}: {}", all.escape_ascii());
            assert_eq!(all.split(|&byte| byte == b'\n').count(), 2);
        }
        for command in ["NLST", "LIST"] {
            let one = listing(&mut client, &line(command, &optional));
            assert!(one.ends_with(&end), "{command}: {}", one.escape_ascii());
        }
        client.tell(line("RNFR", &name), 350);
        client.tell("RNTO plain", 250);
        assert!(server.has("plain") && path.symlink_metadata().is_err());
        client.tell("RNFR plain", 350);
        client.tell(line("RNTO", &name), 250);
        assert!(path.is_file());
        client.tell(line("DELE", &name), 250);
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    }
}

#[test]
fn names_of_any_bytes_survive_every_command_for_directories() {
    let server = Server::start();
    let home = server.home();
    let mut client = Client::bob(&server);
    for name in odd_names() {
        let path = under(&home, &name);
        let full = [b"/", &name[..]].concat();
        let made = client.tell(line("MKD", &name), 257);
        assert!(made.starts_with(&quoted(&full)), "{}", made.escape_ascii());
        assert!(path.is_dir(), "{}", name.escape_ascii());
        for arrive in [&name, &full] {
            client.tell(line("CWD", arrive), 250);
            let told = client.tell("PWD", 257);
            assert!(told.starts_with(&quoted(&full)), "{}", told.escape_ascii());
            client.tell("CDUP", 250);
        }
        fs::write(path.join("inner"), "").unwrap();
        // with nothing but spaces behind them, some commands mean the working directory
        let optional = [if name == b" " { &b"./"[..] } else { b"" }, &name[..]].concat();
        let names = listing(&mut client, &line("NLST", &optional));
        assert_eq!(names, [&optional[..], b"/inner\r\n"].concat());
        for command in ["LIST", "MLSD"] {
            let all = listing(&mut client, &line(command, &optional));
            assert!(all.ends_with(b" inner\r\n"), "{}", all.escape_ascii());
        }
        fs::remove_file(path.join("inner")).unwrap();
        client.tell(line("SITE CHMOD 711", &name), 200);
        assert_eq!(mode(&path), 0o711);
        client.tell(line("RMD", &name), 250);
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    }
}

#[test]
fn names_that_would_end_a_line_forge_no_reply() {
    let server = Server::start();
    let home = server.home();
    let evil = b"x\r\n226 forged\n\rend";
    fs::create_dir(under(&home, evil)).unwrap();
    fs::write(under(&home, evil).join("in"), "").unwrap();
    let mut client = Client::bob(&server);
    for command in ["LIST", "NLST", "MLSD"] {
        let all = listing(&mut client, command.as_bytes());
        assert_eq!(all.iter().filter(|byte| b"\r\n".contains(byte)).count(), 2, "{command}");
    }
    let status = client.tell("STAT /", 213);
    assert_eq!(status.split(|&byte| byte == b'\n').count(), 3, "{}", status.escape_ascii());
    assert!(!status.contains(&b'\r'));
    client.cmd("NOOP", 200);
    for line in ["CWD a\0b", "DELE a\rb", "MKD a\0", "STOR \0"] {
        client.cmd(line, 501);
    }
    client.cmd("NOOP", 200);
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
}

#[test]
fn names_that_are_too_long_are_refused_and_the_session_goes_on() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let name = "n".repeat(256);
    let deep = "d/".repeat(3000);
    for path in [&name, &deep] {
        for command in ["MKD", "CWD", "DELE", "SIZE", "RNFR", "MLST", "STOR", "RETR"] {
            let (code, text) = client.ask(&format!("{command} {path}"));
            assert!(code == 550 || code == 553, "{command}: {text}");
        }
    }
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
    client.cmd("NOOP", 200);
}

/// One line for each command that takes a path, with this path in it.
fn lines_with(path: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for verb in VERBS {
        let name = verb.name();
        // takes a path only after SITE CPFR: see `copies.rs`
        if name == "SITE CPTO" {
            continue;
        }
        match verb.arg {
            Arg::Path(_) | Arg::OptionsAndPath(_) => lines.push(format!("{name} {path}")),
            Arg::ModeAndPath(_) => lines.push(format!("{name} 777 {path}")),
            Arg::RangedPath(_) => {
                lines.push(format!("{name} {path}"));
                lines.push(format!("{name} {path} 0 1"));
                lines.push(format!("{name} \"{path}\" 0 1"));
            }
            Arg::TimeFactAndPath(_) => {
                lines.push(format!("{name} modify=20010203040506; {path}"));
            }
            Arg::ModeFactsAndPath(_) => lines.push(format!("{name} UNIX.mode=777; {path}")),
            Arg::GroupAndPath(_) => {
                let group = rustix::process::getegid().as_raw();
                lines.push(format!("{name} {group} {path}"));
            }
            Arg::TimeAndPath(_) | Arg::TimedPath(_) | Arg::UtimeAndPath(_) => {
                lines.push(format!("{name} 20010203040506 {path}"));
            }
            _ => {}
        }
    }
    assert!(lines.len() > 20, "{lines:?}");
    lines
}

/// A home with every kind of link out of it, and the place outside that they lead to.
fn links_outside() -> (Server, PathBuf) {
    let server = Server::start();
    let outside = server.dir().join("outside");
    fs::create_dir_all(outside.join("dir/deep")).unwrap();
    fs::create_dir(outside.join("empty")).unwrap();
    for file in ["secret", "victim", "dir/secret"] {
        fs::write(outside.join(file), "outside").unwrap();
    }
    // what a prefix of the home's name might be mistaken for
    fs::create_dir(server.dir().join("home-not")).unwrap();
    fs::write(server.dir().join("home-not/secret"), "outside").unwrap();
    let home = server.home();
    server.put("sub/inside", "inside");
    symlink(&outside, home.join("absolute")).unwrap();
    symlink("../outside", home.join("relative")).unwrap();
    symlink("../../outside", home.join("sub/relative")).unwrap();
    symlink("sub/relative/dir", home.join("chain")).unwrap();
    symlink("..", home.join("up")).unwrap();
    symlink("/", home.join("top")).unwrap();
    symlink("../home-not", home.join("sibling")).unwrap();
    symlink("/proc/self/cwd", home.join("magic")).unwrap();
    symlink("../outside/secret", home.join("file")).unwrap();
    symlink(outside.join("secret"), home.join("absfile")).unwrap();
    symlink("../outside/empty", home.join("emptydir")).unwrap();
    symlink("../outside/new", home.join("dangling")).unwrap();
    symlink(outside.join("new"), home.join("absdangling")).unwrap();
    (server, outside)
}

#[test]
fn no_command_follows_a_link_out_of_the_home() {
    let (server, outside) = links_outside();
    let not = server.dir().join("home-not");
    let before = (snapshot(&outside), snapshot(&not), snapshot(&server.home()));
    let mut client = Client::bob(&server);
    let through = [
        "absolute/secret",
        "relative/secret",
        "sub/relative/victim",
        "chain/secret",
        "chain/new",
        "absolute/empty",
        "relative/empty",
        "relative/new",
        "absolute/dir/deep",
        "up/outside/secret",
        "up/home/sub/inside",
        "up/home",
        "top/etc/passwd",
        "top/tmp",
        "sibling/secret",
        "magic/ftpd.ini",
        "sub/../relative/secret",
        "emptydir/new",
    ];
    for path in through {
        for line in lines_with(path) {
            let (code, text, bytes) = client.exchange(&line, b"poison");
            if line.starts_with("RNTO") {
                assert_eq!(code, 503, "{line}: {text}");
                client.cmd("RNFR sub/inside", 350);
                client.cmd(&line, 550);
                continue;
            }
            assert_eq!(code, 550, "{line}: {text}");
            assert!(bytes.is_empty(), "{line}");
            assert!(!text.contains("outside") || path.contains("outside"), "{line}: {text}");
        }
    }
    let after = (snapshot(&outside), snapshot(&not), snapshot(&server.home()));
    assert_eq!(after, before);
}

#[test]
fn no_command_follows_a_last_link_out_of_the_home() {
    let (server, outside) = links_outside();
    let before = (snapshot(&outside), snapshot(&server.home()));
    let mut client = Client::bob(&server);
    let links = [
        "absolute",
        "relative",
        "chain",
        "up",
        "top",
        "sibling",
        "magic",
        "file",
        "absfile",
        "emptydir",
        "dangling",
        "absdangling",
        "sub/relative",
    ];
    for link in links {
        for line in lines_with(link) {
            let command = line.split(' ').next().unwrap();
            match command {
                // these mean the link itself
                "DELE" | "RNFR" | "RNTO" | "LIST" | "STAT" | "MLST" | "STOU" => continue,
                _ => {}
            }
            let (code, text, bytes) = client.exchange(&line, b"poison");
            let refused = code == 550 || (command == "MLSD" && code == 501);
            assert!(refused && bytes.is_empty(), "{line}: {text}");
        }
    }
    assert_eq!((snapshot(&outside), snapshot(&server.home())), before);
    // those that mean the link itself do not touch what it leads to
    client.cmd("RNFR file", 350);
    client.cmd("RNTO renamed", 250);
    client.cmd("RNFR sub/inside", 350);
    client.cmd("RNTO absfile", 250);
    client.cmd("RNFR sub/absent", 550);
    assert_eq!(server.get("absfile"), b"inside");
    for link in ["renamed", "dangling", "absdangling", "absolute", "relative", "up", "top"] {
        client.cmd(&format!("DELE {link}"), 250);
        assert!(!server.has(link));
    }
    let (code, text, _) = client.exchange("STOU emptydir", b"x");
    assert!(code == 226 || code == 550, "{text}");
    assert_eq!(snapshot(&outside), before.0);
}

#[test]
fn dot_dot_never_leaves_the_home() {
    let server = Server::start();
    let outside = server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "outside").unwrap();
    server.put("sub/inside", "inside");
    let mut client = Client::bob(&server);
    let before = (snapshot(&outside), snapshot(&server.home()));
    let real = outside.join("secret");
    for path in [
        "../outside/secret",
        "/../outside/secret",
        "sub/../../outside/secret",
        "../../../../../../../../etc/passwd",
        "..//..//etc/passwd",
        "./.././../etc/passwd",
        "/etc/passwd",
        "..\\outside\\secret",
        "~/../outside/secret",
        "~root/x",
        real.to_str().unwrap(),
    ] {
        for line in lines_with(path) {
            // MKD and STOR of `..\outside\secret` would make a name with backslashes
            let makes =
                ["MKD", "STOR", "STOU", "APPE"].iter().any(|verb| line.starts_with(verb));
            if makes && path.contains('\\') || line.starts_with("RNTO") {
                continue;
            }
            // makes what is missing, in the home: see `site.rs`
            if line.starts_with("SITE MKDIR") {
                continue;
            }
            let (code, text, _) = client.exchange(&line, b"poison");
            assert_eq!(code, 550, "{line}: {text}");
        }
    }
    assert_eq!((snapshot(&outside), snapshot(&server.home())), before);
    client.cmd("CWD ../../..", 250);
    assert!(client.cmd("PWD", 257).contains("\"/\""));
    assert_eq!(client.download("RETR ../../sub/inside"), b"inside");
    client.upload("STOR ../../new", b"x");
    assert_eq!(server.get("new"), b"x");
}

#[test]
fn links_inside_the_home_work_for_every_command() {
    let server = Server::start();
    server.put("real/file", "12345");
    fs::create_dir(server.home().join("other")).unwrap();
    symlink("real", server.home().join("link")).unwrap();
    symlink("../real/file", server.home().join("other/up")).unwrap();
    symlink("link/file", server.home().join("chain")).unwrap();
    let mut client = Client::bob(&server);
    for file in ["link/file", "other/up", "chain", "real/file"] {
        assert_eq!(client.download(&format!("RETR {file}")), b"12345");
        assert_eq!(client.cmd(&format!("SIZE {file}"), 213), "213 5");
    }
    client.cmd("CWD link", 250);
    assert!(client.cmd("PWD", 257).contains("\"/link\""));
    assert_eq!(client.download("RETR file"), b"12345");
    client.cmd("CDUP", 250);
    assert!(client.cmd("PWD", 257).contains("\"/\""));
    client.upload("STOR link/new", b"new");
    client.upload("APPE other/up", b"6");
    client.upload("STOR chain", b"54321");
    assert_eq!(
        (server.get("real/new"), server.get("real/file")),
        (b"new".into(), b"54321".into())
    );
    client.cmd("MKD link/dir", 257);
    client.cmd("RNFR link/new", 350);
    client.cmd("RNTO other/new", 250);
    client.cmd("MFMT 20240229120000 other/up", 213);
    client.cmd("RMD link/dir", 250);
    client.cmd("DELE link/file", 250);
    assert!(server.has("other/new") && !server.has("real/file") && !server.has("real/dir"));
    assert!(server.has("chain") && server.has("other/up"));
}

#[test]
fn links_that_lead_round_in_circles_or_nowhere_are_550() {
    let server = Server::start();
    let home = server.home();
    symlink("loop", home.join("loop")).unwrap();
    symlink("there", home.join("here")).unwrap();
    symlink("here", home.join("there")).unwrap();
    symlink("nowhere", home.join("broken")).unwrap();
    let before = snapshot(&home);
    let mut client = Client::bob(&server);
    for path in ["loop/x", "here/x", "broken/x", "loop", "here", "broken"] {
        for line in lines_with(path) {
            let command = line.split(' ').next().unwrap();
            // these mean the link itself, or a name beside it
            let itself = ["DELE", "RNFR", "RNTO", "LIST", "STAT", "MLST", "STOU"];
            if path.ends_with("/x") && command != "RNTO" || !itself.contains(&command) {
                let (code, text, _) = client.exchange(&line, b"x");
                assert!(code == 550 || (command == "MLSD" && code == 501), "{line}: {text}");
            }
        }
    }
    assert_eq!(snapshot(&home), before);
}

#[test]
fn fifos_sockets_and_devices_are_refused_at_once() {
    let server = Server::start();
    let home = server.home();
    assert!(Command::new("mkfifo").arg(home.join("fifo")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(home.join("sock")).unwrap();
    let device = Command::new("mknod").arg(home.join("null")).args(["c", "1", "3"]).output();
    let mut names = vec!["fifo", "sock"];
    if device.is_ok_and(|output| output.status.success()) {
        names.push("null");
    }
    let before = snapshot_without_reading(&home);
    let mut client = Client::bob(&server);
    for name in names {
        for line in lines_with(name) {
            let command = line.split(' ').next().unwrap();
            if ["DELE", "RNFR", "RNTO", "LIST", "NLST", "STAT", "MLST", "MDTM", "STOU"]
                .contains(&command)
            {
                continue;
            }
            let (code, text, _) = client.exchange(&line, b"poison");
            assert!(code == 550 || (command == "MLSD" && code == 501), "{line}: {text}");
        }
        client.cmd(&format!("MDTM 20010203040506 {name}"), 550);
    }
    assert_eq!(snapshot_without_reading(&home), before);
    client.cmd("DELE fifo", 250);
    assert!(!server.has("fifo"));
}

/// Lists names, modes and times without reading files: reading a FIFO would wait.
fn snapshot_without_reading(directory: &Path) -> Vec<String> {
    let one = |entry: fs::DirEntry| {
        let meta = entry.path().symlink_metadata().unwrap();
        format!("{} {:o} {}", escaped(&entry.path()), meta.mode(), meta.mtime())
    };
    let mut all: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| one(entry.unwrap())).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_link_that_is_swapped_in_while_in_use_gains_nothing() {
    let server = Server::start();
    let (home, outside) = (server.home(), server.dir().join("outside"));
    for root in [server.home().join("real"), outside.clone()] {
        fs::create_dir(&root).unwrap();
        for number in 0..40 {
            fs::create_dir(root.join(format!("d{number}"))).unwrap();
            fs::write(root.join(format!("f{number}")), "x").unwrap();
        }
    }
    fs::write(home.join("real/secret"), "in").unwrap();
    fs::write(outside.join("secret"), "outside").unwrap();
    fs::write(outside.join("marker"), "").unwrap();
    let before = snapshot(&outside);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // `swing` is by turns a link to the good place and one to the bad place
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for place in ["real", "../outside"] {
                    let next = home.join("next");
                    symlink(place, &next).unwrap();
                    fs::rename(&next, home.join("swing")).unwrap();
                }
            }
        });
        let attack = std::panic::catch_unwind(|| {
            let mut client = Client::bob(&server);
            let (mut good, mut refused) = (0, 0);
            for round in 0..400 {
                match client.ask("SIZE swing/secret") {
                    (213, size) => {
                        assert_eq!(size, "213 2");
                        good += 1;
                    }
                    (code, text) => {
                        assert_eq!(code, 550, "{text}");
                        refused += 1;
                    }
                }
                let at = round % 40;
                client.ask(&format!("SITE CHMOD 777 swing/f{at}"));
                client.ask(&format!("MFMT 20010203040506 swing/f{at}"));
                client.ask(&format!("MKD swing/new{at}"));
                client.ask(&format!("RMD swing/d{at}"));
                client.ask(&format!("DELE swing/f{at}"));
                client.ask("RNFR swing/secret");
                client.ask(&format!("RNTO swing/moved{at}"));
                client.ask(&format!("RNFR swing/moved{at}"));
                client.ask("RNTO swing/secret");
                if round % 8 == 0 {
                    let (_, _, bytes) = client.exchange("RETR swing/secret", b"");
                    assert!(bytes.is_empty() || bytes == b"in");
                    client.exchange(&format!("STOR swing/stored{at}"), b"poison");
                    let (_, _, bytes) = client.exchange("NLST swing", b"");
                    assert!(!contains(&bytes, b"marker"));
                }
                let _ = fs::write(home.join("real/secret"), "in");
            }
            (good, refused)
        });
        stop.store(true, Ordering::Relaxed);
        match attack {
            Ok((good, refused)) => assert!(good + refused == 400),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn a_home_that_is_removed_under_a_session_gives_550() {
    // a home that is removed and made again is a new one for the sandbox
    let server = Server::setup().server("sandbox = off").start();
    server.put("sub/file", "x");
    let mut client = Client::bob(&server);
    let mut deep = Client::bob(&server);
    deep.cmd("CWD sub", 250);
    fs::remove_dir_all(server.home()).unwrap();
    for client in [&mut client, &mut deep] {
        for line in lines_with("file").into_iter().chain(
            [
                "LIST",
                "NLST",
                "MLSD",
                "CWD /",
                "CWD .",
                "LIST /",
                "MKD /new",
                "STOR /new",
                "STOU",
            ]
            .map(str::to_owned),
        ) {
            let (code, text, _) = client.exchange(&line, b"x");
            let wanted = if line.starts_with("RNTO") { 503 } else { 550 };
            assert_eq!(code, wanted, "{line}: {text}");
        }
        client.cmd("PWD", 257);
        client.cmd("NOOP", 200);
    }
    assert!(!server.home().exists());
    // a home that is there again serves whoever logs in again, but is not the old one
    fs::create_dir(server.home()).unwrap();
    client.cmd("MKD new", 550);
    client.cmd("REIN", 220);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("MKD new", 257);
    assert!(server.has("new"));
}

#[test]
fn a_login_without_its_home_is_refused_and_says_why() {
    // a home that is removed and made again is a new one for the sandbox
    let server = Server::setup().server("sandbox = off").start();
    fs::remove_dir(server.home()).unwrap();
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    let reply = client.cmd("PASS secret", 530);
    assert!(reply.to_lowercase().contains("home"), "{reply}");
    client.cmd("PWD", 530);
    fs::create_dir(server.home()).unwrap();
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
}

#[test]
fn a_home_that_becomes_a_link_does_not_move_a_session() {
    let server = Server::start();
    server.put("file", "inside");
    let outside = server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "outside").unwrap();
    let before = snapshot(&outside);
    let mut client = Client::bob(&server);
    let moved = server.dir().join("moved");
    fs::rename(server.home(), &moved).unwrap();
    symlink("outside", server.home()).unwrap();
    assert_eq!(client.download("RETR file"), b"inside");
    assert_eq!(client.cmd("SIZE /file", 213), "213 6");
    client.upload("STOR new", b"x");
    client.cmd("MKD dir", 257);
    client.cmd("SITE CHMOD 600 file", 200);
    client.cmd("DELE file", 250);
    assert_eq!(client.lines("NLST").len(), 2);
    assert_eq!(snapshot(&outside), before);
    assert!(moved.join("new").exists() && moved.join("dir").exists());
}

#[test]
fn a_working_directory_that_is_removed_gives_550_and_can_be_left() {
    let server = Server::start();
    server.put("file", "x");
    fs::create_dir(server.home().join("sub")).unwrap();
    let mut client = Client::bob(&server);
    client.cmd("CWD sub", 250);
    fs::remove_dir(server.home().join("sub")).unwrap();
    for line in ["LIST", "NLST", "MLSD", "MLST", "STOR x", "MKD x", "CWD .", "STOU", "STAT ."] {
        let (code, text, _) = client.exchange(line, b"");
        assert_eq!(code, 550, "{line}: {text}");
    }
    assert!(client.cmd("PWD", 257).contains("\"/sub\""));
    client.cmd("CDUP", 250);
    assert_eq!(client.lines("NLST"), ["file"]);
}

#[test]
fn the_users_mask_decides_the_modes_of_what_is_made() {
    let server = Server::setup().user("umask = 027").start();
    let mut client = Client::bob(&server);
    client.upload("STOR file", b"x");
    client.upload("APPE appended", b"x");
    client.cmd("MKD dir", 257);
    for (name, bits) in [("file", 0o640), ("appended", 0o640), ("dir", 0o750)] {
        assert_eq!(mode(&server.home().join(name)), bits, "{name}");
    }
    client.cmd("SITE UMASK 000", 200);
    client.upload("STOR open", b"x");
    client.cmd("MKD opendir", 257);
    assert_eq!(mode(&server.home().join("open")), 0o666);
    assert_eq!(mode(&server.home().join("opendir")), 0o777);
    // what is there keeps the mode it has
    fs::set_permissions(server.home().join("file"), Permissions::from_mode(0o604)).unwrap();
    client.upload("STOR file", b"y");
    assert_eq!(mode(&server.home().join("file")), 0o604);
}

/// `file/` names a directory, as it does for the system.
#[test]
fn a_slash_behind_the_name_of_a_file_is_refused_by_every_command() {
    let server = Server::start();
    server.put("file", "text");
    server.put("other", "other");
    server.put("dir/inner", "inner");
    symlink("file", server.home().join("link")).unwrap();
    let before = snapshot(&server.home());
    let mut client = Client::bob(&server);
    for name in ["file/", "/file//", "dir/../file/", "file/.", "link/", "file/./", "dir/inner/"]
    {
        for verb in [
            "DELE",
            "SIZE",
            "MDTM",
            "RNFR",
            "MLST",
            "STAT",
            "CWD",
            "RMD",
            "MDTM 20200101000000",
            "MFMT 20200101000000",
            "SITE CHMOD 600",
            "SITE UTIME 202001010000",
        ] {
            client.cmd(&format!("{verb} {name}"), 550);
        }
        for verb in ["RETR", "STOR", "APPE", "STOU", "LIST", "NLST"] {
            client.passive();
            client.cmd(&format!("{verb} {name}"), 550);
        }
        client.passive();
        client.cmd(&format!("MLSD {name}"), 550);
        client.cmd("REST 2", 350);
        client.cmd(&format!("RETR {name}"), 550);
        client.cmd("REST 2", 350);
        client.cmd(&format!("STOR {name}"), 550);
        client.cmd("RNFR other", 350);
        client.cmd(&format!("RNTO {name}"), 550);
    }
    client.cmd("TYPE A", 200);
    client.cmd("SIZE file/", 550);
    assert_eq!(snapshot(&server.home()), before);
}

#[test]
fn a_new_name_with_a_slash_behind_it_is_for_directories_alone() {
    for classic in ["", "atomic_uploads = off"] {
        let server = Server::setup().user(classic).start();
        server.put("file", "text");
        fs::create_dir(server.home().join("dir")).unwrap();
        symlink("nowhere", server.home().join("dead")).unwrap();
        let mut client = Client::bob(&server);
        let before = snapshot(&server.home());
        for name in ["newd/", "newd/.", "newd//", "dir/", "dead/", "./newd/"] {
            for verb in ["STOR", "APPE", "STOU"] {
                client.passive();
                client.cmd(&format!("{verb} {name}"), 550);
            }
            client.cmd("RNFR file", 350);
            client.cmd(&format!("RNTO {name}"), 550);
        }
        assert_eq!(snapshot(&server.home()), before);
        // what is a directory may be named so
        let made = client.cmd("MKD newd/", 257);
        assert!(made.starts_with("257 \"/newd\" "), "{made}");
        client.cmd("CWD newd/", 250);
        assert!(client.cmd("PWD", 257).starts_with("257 \"/newd\" "));
        client.cmd("CWD /", 250);
        for verb in ["MLST", "MDTM", "STAT", "MFMT 20200101000000", "SITE CHMOD 755"] {
            let (code, text) = client.ask(&format!("{verb} newd/"));
            assert!((200..300).contains(&code), "{verb}: {text}");
        }
        for verb in ["LIST", "NLST", "MLSD"] {
            client.download(&format!("{verb} newd/"));
        }
        client.cmd("RNFR newd/", 350);
        client.cmd("RNTO moved/", 250);
        client.cmd("RMD moved/", 250);
        // names are joined before anything is looked up
        client.upload("STOR none/../plain", b"x");
        client.upload("STOR file/../plain", b"y");
        assert_eq!(server.get("plain"), b"y");
        client.cmd("RMD dir/.", 250);
    }
}

#[test]
fn a_pattern_with_a_slash_behind_it_lists_directories() {
    let server = Server::start();
    server.put("af", "text");
    server.put("ad/inner", "text");
    let mut client = Client::bob(&server);
    assert_eq!(client.lines("NLST a*").len(), 2);
    let found = client.lines("NLST a*/");
    assert!(found.len() == 1 && found[0].ends_with("ad"), "{found:?}");
}
