//! Folders from elsewhere: `from` in the sections `[folder:...]`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::client::Client;
use crate::parts::break_off;
use crate::server::{Server, Setup, run};

const ALL: &str = "elradfmwMT";

/// A server on which bob sees the directory `srv` beside his home as `/music`.
fn setup(lines: &str) -> Setup {
    Server::setup()
        .user(&format!("perm = {ALL}"))
        .section(&format!("[folder:bob:/music]\nfrom = srv\n{lines}"))
}

fn start(setup: Setup) -> Server {
    setup.start_with(|dir| {
        fs::create_dir_all(dir.join("srv/album")).unwrap();
        fs::write(dir.join("srv/song"), "song").unwrap();
        fs::write(dir.join("srv/album/track"), "track").unwrap();
    })
}

fn bob(server: &Server) -> Client {
    let mut bob = Client::bob(server);
    bob.cmd("TYPE I", 200);
    bob
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn a_folder_from_elsewhere_is_listed_read_and_written_like_any_other() {
    let server = start(setup(""));
    server.put("own", "own");
    // what is on the disk under the name is hidden, whatever its case
    fs::create_dir(server.home().join("Music")).unwrap();
    server.put("Music/hidden", "hidden");
    symlink("Music/hidden", server.home().join("link")).unwrap();
    symlink("Music", server.home().join("way")).unwrap();
    let mut bob = bob(&server);
    assert_eq!(sorted(bob.lines("NLST")), ["link", "music", "own", "way"]);
    assert_eq!(bob.lines("NLST m*"), ["music"]);
    assert_eq!(
        sorted(bob.lines("NLST -R music")),
        ["music/album", "music/album/track", "music/song"]
    );
    assert!(
        bob.lines("LIST").iter().any(|line| line.starts_with('d') && line.ends_with(" music"))
    );
    assert!(bob.lines("LIST -R").join("\n").contains("./music/album:"));
    let line = bob.lines("MLSD").into_iter().find(|line| line.ends_with(" music")).unwrap();
    assert!(line.contains("type=dir;") && line.contains(";perm=celmp;"), "{line}");
    let shown = bob.cmd("MLST music", 250);
    assert!(shown.contains(";perm=celmp;"), "{shown}");
    for path in ["music/song", "/music//song", "music/album/../song", "/MUSIC/song"] {
        assert_eq!(bob.download(&format!("RETR {path}")), b"song");
    }
    for line in
        ["RETR music/hidden", "RETR Music/hidden", "RETR link", "RETR way/hidden", "CWD way"]
    {
        let (code, text) = if line.starts_with("RETR") {
            let (c, t, _) = bob.exchange(line, b"");
            (c, t)
        } else {
            bob.ask(line)
        };
        assert_eq!(code, 550, "{line}: {text}");
    }
    bob.cmd("CWD music/album", 250);
    assert!(bob.cmd("PWD", 257).contains("\"/music/album\""));
    assert_eq!(bob.lines("NLST"), ["track"]);
    bob.upload("STOR new", b"new");
    assert_eq!(bob.cmd("SIZE /music/album/new", 213).trim(), "213 3");
    bob.cmd("MFMT 20240101000000 new", 213);
    bob.cmd("SITE CHMOD 600 new", 200);
    bob.upload("APPE new", b"er");
    bob.cmd("RNFR new", 350);
    bob.cmd("RNTO ../moved", 250);
    assert_eq!(fs::read(server.dir().join("srv/moved")).unwrap(), b"newer");
    bob.cmd("MKD ../made", 257);
    bob.cmd("RMD ../made", 250);
    bob.cmd("DELE ../moved", 250);
    bob.cmd("CDUP", 250);
    bob.cmd("CDUP", 250);
    assert!(bob.cmd("PWD", 257).contains("\"/\""));
    bob.cmd("CWD music/../../..", 250);
    assert!(bob.cmd("PWD", 257).contains("\"/\""));
    bob.cmd("AVBL music", 213);
    let left = fs::read_dir(server.dir().join("srv")).unwrap().count();
    assert_eq!(left, 2, "nothing is left of the uploads");
    server.wait_for_log("srv/moved");
}

#[test]
fn it_is_neither_removed_nor_renamed_nor_is_a_folder_above_it() {
    let server = start(setup("").section("[folder:bob:/a/b/deep]\nfrom = srv/album"));
    fs::create_dir_all(server.home().join("a/b")).unwrap();
    fs::create_dir(server.home().join("empty")).unwrap();
    server.put("file", "x");
    symlink("a", server.home().join("way")).unwrap();
    let mut bob = bob(&server);
    for path in ["music", "/music/", "MUSIC", "a", "a/b", "way/b", "a/b/deep"] {
        assert_eq!(bob.ask(&format!("RMD {path}")).0, 553, "RMD {path}");
        assert_eq!(bob.ask(&format!("DELE {path}")).0, 553, "DELE {path}");
        bob.cmd(&format!("RNFR {path}"), 350);
        bob.cmd("RNTO other", 553);
    }
    bob.cmd("MKD music", 550);
    for (from, to) in [
        ("file", "music/file"),
        ("music/song", "song"),
        ("music/song", "a/b/deep/song"),
        ("empty", "music"),
        ("empty", "music/empty"),
        ("music/album", "album"),
        ("file", "music"),
    ] {
        bob.cmd(&format!("RNFR {from}"), 350);
        let text = bob.cmd(&format!("RNTO {to}"), 553);
        assert!(text.contains("another tree"), "{text}");
    }
    server.wait_for_log("a rename cannot lead into a folder with from");
    let why = run(&["why", "bob", "/music", "rename", "--config", "ftpd.ini"], server.dir()).1;
    assert!(why.contains("[folder:...]"), "{why}");
    assert!(server.dir().join("srv/song").exists() && server.home().join("a/b").exists());
}

#[test]
fn links_in_it_stay_in_it() {
    let server = start(setup("").section("[folder:bob:/music/live]\nfrom = live"));
    let srv = server.dir().join("srv");
    fs::create_dir(server.dir().join("live")).unwrap();
    fs::create_dir(srv.join("live")).unwrap();
    fs::write(srv.join("live/hidden"), "hidden").unwrap();
    fs::write(server.dir().join("live/shown"), "shown").unwrap();
    server.put("secret", "secret");
    for (text, link) in [
        ("../home/secret", "out"),
        ("..", "up"),
        ("/etc/passwd", "absolute"),
        ("live/hidden", "covered"),
        ("album/track", "inside"),
    ] {
        symlink(text, srv.join(link)).unwrap();
    }
    symlink("../srv/song", server.home().join("across")).unwrap();
    let mut bob = bob(&server);
    for path in ["out", "up/home/secret", "absolute", "covered", "../across", "live/hidden"] {
        assert_eq!(bob.exchange(&format!("RETR /music/{path}"), b"").0, 550, "{path}");
    }
    assert_eq!(bob.download("RETR music/inside"), b"track");
    assert_eq!(bob.lines("NLST music/live"), ["music/live/shown"]);
    assert_eq!(bob.lines("NLST music").iter().filter(|name| *name == "music/live").count(), 1);
    bob.cmd("CWD music/live", 250);
    bob.cmd("CDUP", 250);
    assert!(bob.cmd("PWD", 257).contains("\"/music\""));
}

#[test]
fn it_has_letters_limits_and_names_of_its_own() {
    let server = start(
        setup("perm = elrw\nmax_file_size = 3\ndeny_names = *.exe\nhide = album")
            .user("start_dir = /music"),
    );
    let mut bob = bob(&server);
    assert!(bob.cmd("PWD", 257).contains("\"/music\""));
    assert_eq!(bob.lines("NLST"), ["song"]);
    assert_eq!(bob.exchange("STOR new", b"new").0, 226);
    assert_eq!(bob.exchange("STOR new", b"more").0, 552);
    assert_eq!(bob.exchange("STOR a.exe", b"x").0, 553);
    for line in ["DELE song", "MKD x", "RNFR song", "SITE CHMOD 600 song", "RMD album"] {
        bob.cmd(line, 550);
    }
    assert!(bob.cmd("MLST song", 250).contains(";perm=rw;"));
    assert!(bob.cmd("MLST /", 250).contains("perm=cdeflmp;"));
    assert!(bob.lines("MLSD /").iter().any(|line| line.contains(";perm=cel;")));
    assert_eq!(bob.exchange("STOR /own", b"four").0, 226);
    assert_eq!(server.get("own"), b"four");
}

#[test]
fn it_may_be_missing_and_is_looked_for_again() {
    let server = setup("").start();
    server.wait_for_log("srv does not exist; clients do not see the folder until it does");
    let (code, _, err) = run(&["check"], server.dir());
    assert!(code == 0 && err.contains("[folder:bob:/music] from: "), "{err}");
    let mut bob = bob(&server);
    assert!(bob.lines("NLST").is_empty());
    bob.cmd("CWD music", 550);
    bob.cmd("MKD music", 550);
    server.wait_for_log("is missing, cannot open");
    fs::create_dir(server.dir().join("srv")).unwrap();
    assert_eq!(bob.lines("NLST"), ["music"]);
    bob.cmd("CWD music", 250);
    bob.upload("STOR new", b"new");
    assert_eq!(fs::read(server.dir().join("srv/new")).unwrap(), b"new");
}

#[test]
fn it_has_one_warning_until_it_appears_and_is_named_by_its_own_path() {
    let server = setup("").start();
    let warnings = || server.log().matches("is missing, cannot open").count();
    let mut bob = bob(&server);
    drop(self::bob(&server));
    bob.cmd("CWD music/album", 550);
    server.wait_for_log("srv/album");
    let why = run(&["why", "bob", "/music/f", "read", "--config", "ftpd.ini"], server.dir()).1;
    assert!(why.contains("srv/f") && !why.contains("home/music"), "{why}");
    assert_eq!(warnings(), 1, "{}", server.log());
    let srv = server.dir().join("srv");
    fs::create_dir(&srv).unwrap();
    drop(self::bob(&server));
    fs::remove_dir(&srv).unwrap();
    drop(self::bob(&server));
    drop(self::bob(&server));
    bob.cmd("CWD music/other", 550);
    server.wait_for_log("srv/other");
    assert_eq!(warnings(), 2, "{}", server.log());
}

/// What `check` says about these lines for a user whose home is `srv/anna`.
fn check_anna(lines: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["srv/anna/a", "srv/pub/in", "m"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    symlink("a", dir.path().join("srv/anna/lnk")).unwrap();
    symlink("in", dir.path().join("srv/pub/lnk")).unwrap();
    let text = format!("[user:anna]\npassword = x\nhome = srv/anna\nperm = elr\n{lines}");
    fs::write(dir.path().join("ftpd.ini"), text).unwrap();
    let (code, out, err) = run(&["check"], dir.path());
    assert_eq!(code, 0, "{out}{err}");
    err
}

#[test]
fn check_tells_of_directories_that_are_seen_twice_with_other_letters() {
    let said = check_anna("[folder:anna:/drop]\nperm = w\n[folder:/all]\nfrom = srv\n");
    assert!(
        said.contains("[folder:/all] from: ") && said.contains("contains the home"),
        "{said}"
    );
    for (lines, all, within, is_odd) in [
        ("", "", "", false),
        ("perm = elr", "", "", false),
        ("perm = el", "", "", true),
        ("", "", "\n[folder:/in/in]\nperm = w", true),
        ("", "\n[folder:/all/in]\nperm = w", "", true),
        ("", "\n[folder:/all/in]\nperm = w", "\n[folder:/in/in]\nperm = w", false),
    ] {
        for from in ["srv/pub", "srv/pub/"] {
            let sections = format!("[folder:/in]\nfrom = {from}\n{lines}{within}\n");
            let said = check_anna(&format!("{sections}[folder:/all]\nfrom = srv/pub{all}"));
            assert_eq!(said.contains("with other letters"), is_odd, "{sections}{all}: {said}");
        }
    }
    let inner = "[folder:/in]\nfrom = srv/pub/in\nperm = w\n";
    let said = check_anna(&format!("{inner}[folder:/pub]\nfrom = srv/pub"));
    let wanted = "srv/pub/in, which the folder /in shows with other letters";
    assert!(said.contains("[folder:/pub] from: ") && said.contains(wanted), "{said}");
    assert_eq!(said.matches("with other letters").count(), 1, "{said}");
    // what the inner folder shows is not seen in the outer one as well
    let inner = "[folder:/pub/in]\nfrom = srv/pub/in\nperm = w\n";
    let said = check_anna(&format!("{inner}[folder:/pub]\nfrom = srv/pub"));
    assert!(!said.contains("with other letters"), "{said}");
}

#[test]
fn below_a_link_it_is_listed_once_and_check_tells_of_the_link() {
    let server = start(Server::setup().section("[folder:bob:/lnk/x]\nfrom = srv"));
    fs::create_dir_all(server.home().join("a/X")).unwrap();
    symlink("a", server.home().join("lnk")).unwrap();
    let mut bob = bob(&server);
    assert_eq!(bob.lines("NLST lnk"), ["lnk/x"]);
    assert_eq!(bob.lines("NLST a"), ["a/X"]);
    assert_eq!(bob.download("RETR lnk/x/song"), b"song");
    for (section, link) in [
        ("[folder:/lnk/x]\nfrom = m", "srv/anna/lnk"),
        ("[folder:/m]\nfrom = srv/pub\n[folder:/m/lnk]\nperm = el", "srv/pub/lnk"),
        ("[folder:/m]\nfrom = srv/pub\n[folder:/m/lnk/x]\nfrom = m", "srv/pub/lnk"),
    ] {
        let said = check_anna(section);
        assert!(said.contains(&format!("{link} is a link, and")), "{section}: {said}");
    }
    let said = check_anna("[folder:/lnk]\nfrom = m");
    assert!(!said.contains("is a link"), "{said}");
}

#[test]
fn the_folder_around_it_may_be_missing_and_cdup_leads_out_of_it() {
    let server = start(Server::setup().section("[folder:bob:/ghost/deep/m]\nfrom = srv"));
    let mut bob = bob(&server);
    for up in ["CDUP", "CWD ..", "CWD ../"] {
        bob.cmd("CWD /ghost/deep/m", 250);
        bob.cmd(up, 250);
        assert!(bob.cmd("PWD", 257).contains("\"/\""), "{up}");
    }
    fs::create_dir(server.home().join("ghost")).unwrap();
    bob.cmd("CWD /ghost/deep/m/album", 250);
    for at in ["/ghost/deep/m", "/ghost", "/"] {
        bob.cmd("CDUP", 250);
        assert!(bob.cmd("PWD", 257).contains(&format!("\"{at}\"")), "{at}");
    }
    bob.cmd("CWD /ghost/deep", 550);
    let wanted = "the directory around it, ";
    let said = check_anna("[folder:/ghost/m]\nfrom = m");
    assert!(said.contains(wanted) && said.contains("srv/anna/ghost, does not exist"), "{said}");
    let said = check_anna("[folder:/p]\nfrom = srv/pub\n[folder:/p/no/m]\nfrom = m");
    assert!(said.contains(wanted) && said.contains("srv/pub/no, does not exist"), "{said}");
    let said = check_anna("[folder:/m]\nfrom = m\n[folder:/a/m]\nfrom = m");
    assert!(!said.contains(wanted), "{said}");
}

#[test]
fn check_tells_as_the_start_does_that_a_missing_one_needs_a_restart() {
    for (server, from) in [
        ("", "/no-such-directory-of-ftpd/in"),
        ("sandbox = off", "/no-such-directory-of-ftpd/in"),
        ("", "late"),
    ] {
        let text = "a restart is needed";
        let section = format!("[folder:bob:/music]\nfrom = {from}");
        let server = Server::setup().server(server).section(&section).start();
        let log = server.log();
        let (code, _, err) = run(&["check"], server.dir());
        assert_eq!((code, err.contains(text)), (0, log.contains(text)), "{err}{log}");
        if from.starts_with('/') && log.contains("sandbox: enforced") {
            assert!(err.contains(text), "{err}");
        }
    }
}

#[test]
fn of_two_that_show_one_directory_the_list_of_parts_names_that_of_the_upload() {
    let other = "[folder:bob:/again]\nfrom = srv\nperm = elr";
    let server = start(setup("").section(other));
    let mut bob = bob(&server);
    break_off(&mut bob, "STOR music/big", b"12345", &server.dir().join("srv"));
    let (code, out, err) = run(&["parts"], server.dir());
    assert!(code == 0 && out.contains("\"/music/big\""), "{out}{err}");
    let (code, out, err) = run(&["parts", "drop", "bob", "/music/big"], server.dir());
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn an_upload_that_broke_off_in_it_is_listed_and_resumed_after_a_restart() {
    let mut server = start(setup("").server("state_dir = state"));
    let mut bob = bob(&server);
    let mut data = bob.passive();
    bob.cmd("STOR music/album/big", 150);
    data.write_all(b"first half ").unwrap();
    crate::client::reset(data);
    bob.expect(426);
    assert!(!server.dir().join("srv/album/big").exists());
    for again in [false, true] {
        if again {
            server.restart("TERM");
        }
        let (code, out, err) = run(&["parts"], server.dir());
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("bob") && out.contains("/music/album/big"), "{out}");
    }
    let mut bob = self::bob(&server);
    let size: usize = bob.cmd("SIZE music/album/big", 213)[4..].trim().parse().unwrap();
    bob.cmd(&format!("REST {size}"), 350);
    bob.upload("STOR music/album/big", &b"first half second"[size..]);
    assert_eq!(fs::read(server.dir().join("srv/album/big")).unwrap(), b"first half second");
    let mut data = bob.passive();
    bob.cmd("STOR music/other", 150);
    data.write_all(b"x").unwrap();
    crate::client::reset(data);
    bob.expect(426);
    let (code, out, err) = run(&["parts", "drop", "bob", "/music/other"], server.dir());
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(fs::read_dir(server.dir().join("srv")).unwrap().count(), 2);
}

#[test]
fn neither_quota_nor_trash_nor_retention_of_the_home_reach_it() {
    let server = start(setup("trash = off").user("quota_bytes = 5\ntrash = on"));
    let mut bob = bob(&server);
    assert_eq!(bob.exchange("STOR music/new", b"longer").0, 226);
    assert_eq!(bob.exchange("STOR new", b"longer").0, 552);
    bob.cmd("DELE music/new", 250);
    assert!(!server.dir().join("srv/.ftpd-trash").exists());
    assert!(bob.cmd("AVBL music", 213)[4..].trim().parse::<u64>().unwrap() > 5);
    let check = |lines: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::create_dir(dir.path().join("srv")).unwrap();
        fs::write(
            dir.path().join("ftpd.ini"),
            format!("[user:bob]\npassword = x\nhome = home\n{lines}"),
        )
        .unwrap();
        let (code, out, err) = run(&["check"], dir.path());
        (code, out + &err)
    };
    for (lines, text) in [
        (
            "trash = on\n[folder:bob:/m]\nfrom = srv\n",
            "needs trash = off in a folder with from",
        ),
        ("[folder:/m]\nfrom = srv\ntrash = on\n", "needs trash = off in a folder with from"),
        ("[folder:/m]\nfrom = srv\nkeep_for = 1d\n", "keep_for: '1d' is not possible"),
        ("[folder:/m]\nfrom = srv\n[folder:/m/x]\nmin_free = 5%\n", "min_free: '5%' is not"),
        ("from = srv\n", "from: belongs in [folder:USER:/path]"),
    ] {
        let (code, said) = check(lines);
        assert!(code == 78 && said.contains(text), "{lines}{said}");
    }
    let (code, said) = check("[folder:/m]\nfrom = home\n");
    assert!(code == 0 && said.contains("is in the home"), "{said}");
    let (code, said) = check("[folder:/m]\nfrom = ftpd.ini\n");
    assert!(code == 0 && said.contains("is not a directory"), "{said}");
}

#[test]
fn all_users_may_have_one_and_each_the_own_one() {
    let server = Server::setup()
        .user(&format!("perm = {ALL}"))
        .section("[user:eve]\npassword = secret\nhome = eve\nperm = elr")
        .section("[folder:/shared]\nfrom = srv\nperm = elrw\n[folder:/own]\nfrom = own/{user}")
        .section("[folder:eve:/bobs]\nfrom = home")
        .start_with(|dir| {
            for folder in ["eve", "srv", "own/bob", "own/eve"] {
                fs::create_dir_all(dir.join(folder)).unwrap();
            }
        });
    let (mut bob, mut eve) = (bob(&server), Client::login(&server, "eve", "secret"));
    eve.cmd("TYPE I", 200);
    bob.upload("STOR shared/a", b"bob");
    assert_eq!(eve.download("RETR shared/a"), b"bob");
    eve.upload("STOR shared/a", b"eve");
    assert_eq!(bob.download("RETR shared/a"), b"eve");
    bob.upload("STOR own/a", b"x");
    assert!(server.dir().join("own/bob/a").exists());
    assert!(eve.lines("NLST own").is_empty());
    bob.upload("STOR here", b"here");
    assert_eq!(eve.download("RETR bobs/here"), b"here");
    assert_eq!(eve.exchange("STOR bobs/here", b"x").0, 550);
}

#[test]
fn a_reload_adds_one_for_new_sessions_and_others_keep_theirs() {
    let server = start(setup(""));
    let mut old = bob(&server);
    let file = server.dir().join("ftpd.ini");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("/music]", "/renamed]")).unwrap();
    let (code, _, err) = run(&["reload"], server.dir());
    assert_eq!(code, 0, "{err}");
    let mut new = bob(&server);
    assert_eq!(
        (old.lines("NLST"), new.lines("NLST")),
        (vec!["music".into()], vec!["renamed".into()])
    );
    assert_eq!(new.download("RETR renamed/song"), b"song");
    assert_eq!(old.download("RETR music/song"), b"song");
}

/// The files below a directory, with their content.
fn tree(top: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(top).unwrap().display().to_string();
                all.push((name, fs::read(path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn lftp_mirrors_a_home_with_one_and_into_one_and_curl_lists_it() {
    let server = start(setup(""));
    server.put("own", "own");
    let address = server.address();
    let lftp = |commands: &str| {
        Command::new("lftp")
            .args(["--norc", "-u", "bob,secret", "-e", &format!("{commands}; bye")])
            .arg(format!("ftp://{address}/"))
            .env("HOME", server.dir())
            .output()
    };
    let down = server.dir().join("down");
    let Ok(output) = lftp(&format!("mirror / {}", down.display())) else {
        eprintln!("skipped: lftp is not installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut wanted = tree(&server.dir().join("srv"));
    for (name, _) in &mut wanted {
        name.insert_str(0, "music/");
    }
    wanted.push(("own".to_owned(), b"own".to_vec()));
    assert_eq!(tree(&down), wanted);
    let output = lftp(&format!("mirror -R {} /music/copy", down.display())).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(tree(&server.dir().join("srv/copy")), wanted);
    let curl = |args: &[&str]| {
        Command::new("curl").args(["-sS", "-u", "bob:secret"]).args(args).output()
    };
    let url = format!("ftp://{address}/music/");
    let Ok(output) = curl(&["-l", &url]) else { return };
    let mut names: Vec<_> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["album", "copy", "song"]);
    assert_eq!(curl(&[&format!("{url}song")]).unwrap().stdout, b"song");
    let output = curl(&["-T", down.join("own").to_str().unwrap(), &url]).unwrap();
    assert!(output.status.success());
    assert_eq!(fs::read(server.dir().join("srv/own")).unwrap(), b"own");
}

/// What `FileZilla` 3 sends for a walk into the folder, a download, an upload and a rename.
#[test]
fn the_order_of_filezilla_s_commands_works() {
    let server = start(setup(""));
    let mut client = Client::bob(&server);
    client.cmd("SYST", 215);
    client.cmd("FEAT", 211);
    client.cmd("OPTS UTF8 ON", 200);
    client.cmd("PWD", 257);
    client.cmd("TYPE I", 200);
    assert!(client.lines("MLSD").iter().any(|line| line.ends_with(" music")));
    client.cmd("CWD music", 250);
    client.cmd("PWD", 257);
    assert_eq!(client.lines("MLSD").len(), 2);
    assert_eq!(client.download("RETR song"), b"song");
    client.cmd("CWD /music", 250);
    client.upload("STOR new.txt", b"new");
    client.cmd("MFMT 20240229120000 new.txt", 213);
    client.cmd("RNFR new.txt", 350);
    client.cmd("RNTO newer.txt", 250);
    client.cmd("CDUP", 250);
    client.cmd("CWD /", 250);
    client.cmd("DELE /music/newer.txt", 250);
}
