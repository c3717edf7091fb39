//! SIZE, MDTM, MFMT and the older ways to set a time; SITE; and the commands that inform.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::client::Client;
use crate::server::Server;

/// 2024-02-29 12:00:00 UTC.
const LEAP_DAY: i64 = 1_709_208_000;

fn set_time(path: &Path, seconds: u64) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(at).unwrap();
}

fn time(server: &Server, name: &str) -> i64 {
    server.home().join(name).metadata().unwrap().mtime()
}

#[test]
fn size_says_what_retr_would_send_in_either_type() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let long = [b"x\n".repeat(40_000), b"end".to_vec()].concat();
    let contents: [&[u8]; 9] =
        [b"", b"\n", b"a\nb\n", b"a\r\nb\r\n", b"a\rb", b"\r", b"\n\n\r\n\r", b"no end", &long];
    for content in contents {
        server.put("file", content);
        client.cmd("TYPE I", 200);
        assert_eq!(client.cmd("SIZE file", 213), format!("213 {}", content.len()));
        assert_eq!(client.download("RETR file"), content);
        client.cmd("TYPE A", 200);
        let sent = client.download("RETR file");
        let shown = content.escape_ascii().to_string();
        assert_eq!(client.cmd("SIZE file", 213), format!("213 {}", sent.len()), "{shown}");
    }
}

#[test]
fn size_of_what_is_no_file_is_550() {
    let server = Server::start();
    fs::create_dir(server.home().join("dir")).unwrap();
    let mut client = Client::bob(&server);
    for kind in ["TYPE I", "TYPE A"] {
        client.cmd(kind, 200);
        for path in ["dir", "/", ".", "none", "dir/none", "none/at/all"] {
            client.cmd(&format!("SIZE {path}"), 550);
        }
    }
}

#[test]
fn mdtm_says_the_time_in_utc_of_files_and_directories() {
    let server = Server::start();
    let file = server.put("a file", "x");
    let mut client = Client::bob(&server);
    for (seconds, text) in [
        (LEAP_DAY.cast_unsigned(), "20240229120000"),
        (0, "19700101000000"),
        (1_000_000_000, "20010909014640"),
        (4_102_444_799, "20991231235959"),
    ] {
        set_time(&file, seconds);
        assert_eq!(client.cmd("MDTM a file", 213), format!("213 {text}"));
    }
    symlink("a file", server.home().join("link")).unwrap();
    assert_eq!(client.cmd("MDTM /link", 213), "213 20991231235959");
    client.cmd("MDTM none", 550);
    client.cmd("MDTM none/at/all", 550);
}

#[test]
fn mfmt_sets_the_time_and_says_what_it_did() {
    let server = Server::start();
    server.put("a file", "x");
    fs::create_dir(server.home().join("dir")).unwrap();
    let mut client = Client::bob(&server);
    let reply = client.cmd("MFMT 20240229120000 a file", 213);
    assert_eq!(reply, "213 Modify=20240229120000; a file");
    assert_eq!(time(&server, "a file"), LEAP_DAY);
    assert_eq!(client.cmd("MDTM a file", 213), "213 20240229120000");
    assert!(client.cmd("MLST a file", 250).contains("modify=20240229120000;"));
    client.cmd("mfmt 20240229120001.123 /a file", 213);
    assert_eq!(time(&server, "a file"), LEAP_DAY + 1);
    client.cmd("MFMT 19691231235959 a file", 213);
    assert_eq!(time(&server, "a file"), -1);
    client.cmd("MFMT 20240229120000 dir", 213);
    assert_eq!(time(&server, "dir"), LEAP_DAY);
    client.cmd("MFMT 20240229120000 none", 550);
    assert!(!server.has("none"));
}

#[test]
fn the_reply_says_the_time_that_the_file_system_kept() {
    let server = Server::start();
    server.put("file", "x");
    let mut client = Client::bob(&server);
    // many file systems cannot store that time, and keep the nearest one they can
    for date in ["99991231235959", "10000101000000", "24460601000000", "18000101000000"] {
        for (line, code) in [("MFMT", 213), ("MDTM", 213), ("SITE UTIME", 213)] {
            let reply = client.cmd(&format!("{line} {date} file"), code);
            let kept = client.cmd("MDTM file", 213).split_off(4);
            assert!(reply.contains(&kept), "{line} {date}: {reply}, but it is {kept}");
        }
    }
}

#[test]
fn setting_the_time_changes_neither_access_time_nor_content() {
    let server = Server::start();
    let path = server.put("file", "content");
    let before = path.metadata().unwrap();
    let mut client = Client::bob(&server);
    client.cmd("MFMT 20240229120000 file", 213);
    let after = path.metadata().unwrap();
    assert_eq!((after.atime(), after.mode()), (before.atime(), before.mode()));
    assert_eq!(server.get("file"), b"content");
}

#[test]
fn mdtm_with_a_time_sets_it() {
    let server = Server::start();
    server.put("file", "x");
    server.put("with space", "x");
    let mut client = Client::bob(&server);
    for (line, name, seconds) in [
        ("MDTM 20240229120000 file", "file", LEAP_DAY),
        ("MDTM 20240229120000+60 file", "file", LEAP_DAY - 3600),
        ("MDTM 20240229120000-090 file", "file", LEAP_DAY + 5400),
        ("MDTM 20240229120000+000 file", "file", LEAP_DAY),
        ("mdtm 20240229120005 with space", "with space", LEAP_DAY + 5),
        ("MDTM 20240229120006.5 /file", "file", LEAP_DAY + 6),
    ] {
        client.cmd(line, 213);
        assert_eq!(time(&server, name), seconds, "{line}");
    }
    client.cmd("MDTM 20240229120000 none", 550);
    assert!(!server.has("none") && !server.has("20240229120000 none"));
}

#[test]
fn mdtm_of_a_name_that_begins_with_a_time_is_a_question() {
    let server = Server::start();
    let camera = server.put("20240229120000 camera.jpg", "x");
    let bare = server.put("20240229120000", "x");
    set_time(&camera, 1_000_000_000);
    set_time(&bare, 1_000_000_001);
    let mut client = Client::bob(&server);
    assert_eq!(client.cmd("MDTM 20240229120000 camera.jpg", 213), "213 20010909014640");
    assert_eq!(client.cmd("MDTM 20240229120000", 213), "213 20010909014641");
    assert_eq!(time(&server, "20240229120000 camera.jpg"), 1_000_000_000);
    assert_eq!(time(&server, "20240229120000"), 1_000_000_001);
    // even if the rest is a name as well (RFC 3659 §3.1)
    set_time(&server.put("camera.jpg", "x"), 1_000_000_002);
    assert_eq!(client.cmd("MDTM 20240229120000 camera.jpg", 213), "213 20010909014640");
    assert_eq!(time(&server, "camera.jpg"), 1_000_000_002);
    assert_eq!(time(&server, "20240229120000 camera.jpg"), 1_000_000_000);
    // without such a file, the line sets the time
    fs::remove_file(camera).unwrap();
    assert_eq!(client.cmd("MDTM 20240229120000 camera.jpg", 213), "213 20240229120000");
    assert_eq!(time(&server, "camera.jpg"), LEAP_DAY);
}

#[test]
fn mdtm_of_a_name_that_is_there_sets_nothing_whatever_it_looks_like() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    for front in [
        "20240229120000",
        "20240229120000.123",
        "20240229120000+60",
        "20240229120000-090",
        "20240229120000.5+60",
        "20240229120000 20240301120000",
        "20240229120000 ",
        "/20240229120000",
    ] {
        let whole = format!("{front} cam.jpg");
        let whole = whole.trim_start_matches('/');
        let rest = whole.split_once(' ').unwrap().1.to_owned();
        set_time(&server.put(whole, "x"), 1_000_000_000);
        set_time(&server.put(&rest, "x"), 1_000_000_001);
        assert_eq!(client.cmd(&format!("MDTM {front} cam.jpg"), 213), "213 20010909014640");
        assert_eq!(time(&server, &rest), 1_000_000_001, "{front}");
        assert_eq!(time(&server, whole), 1_000_000_000, "{front}");
        fs::remove_file(server.home().join(whole)).unwrap();
        if !front.starts_with('/') {
            client.cmd(&format!("MDTM {front} cam.jpg"), 213);
            assert_ne!(time(&server, &rest), 1_000_000_001, "{front}");
        }
        fs::remove_file(server.home().join(rest)).unwrap();
    }
    // a directory is something as well, and so is a link that leads to nothing
    fs::create_dir(server.home().join("20240229120000 dir")).unwrap();
    symlink("nothing", server.home().join("20240229120000 link")).unwrap();
    for name in ["dir", "link"] {
        set_time(&server.put(name, "x"), 1_000_000_001);
        client.ask(&format!("MDTM 20240229120000 {name}"));
        assert_eq!(time(&server, name), 1_000_000_001, "{name}");
    }
    // a name that is too long to be there is no name
    let long = "n".repeat(250);
    server.put(&long, "x");
    client.cmd(&format!("MDTM 20240229120000 {long}"), 213);
    assert_eq!(time(&server, &long), LEAP_DAY);
    // what stands before `..` would have to be there
    fs::create_dir(server.home().join("sub")).unwrap();
    server.put("over", "x");
    client.cmd("MDTM 20240229120000 sub/../over", 213);
    assert_eq!(time(&server, "over"), LEAP_DAY);
    // MFMT has no other meaning (draft-somers-ftp-mfxx §3.1)
    server.put("20240301120000 file", "x");
    set_time(&server.put("file", "x"), 1_000_000_001);
    client.cmd("MFMT 20240229120000 20240301120000 file", 213);
    assert_eq!(time(&server, "20240301120000 file"), LEAP_DAY);
    assert_eq!(time(&server, "file"), 1_000_000_001);
}

#[test]
fn a_user_without_l_is_told_no_time_and_sets_none_by_a_question() {
    let server = Server::setup().user("perm = T").start();
    set_time(&server.put("20240229120000 cam.jpg", "x"), 1_000_000_000);
    set_time(&server.put("cam.jpg", "x"), 1_000_000_001);
    set_time(&server.put("other", "x"), 1_000_000_001);
    let mut client = Client::bob(&server);
    let reply = client.cmd("MDTM 20240229120000 cam.jpg", 550);
    assert!(!reply.contains("2001"), "{reply}");
    assert_eq!(time(&server, "cam.jpg"), 1_000_000_001);
    assert_eq!(time(&server, "20240229120000 cam.jpg"), 1_000_000_000);
    assert!(server.wait_for_log("MDTM").contains("20240229120000 cam.jpg"));
    client.cmd("MDTM 20240229120000 other", 213);
    assert_eq!(time(&server, "other"), LEAP_DAY);
    client.cmd("MDTM cam.jpg", 550);
}

/// Both forms of SITE UTIME may fit one line: what is there is meant.
#[test]
fn site_utime_means_the_name_that_is_there() {
    const ZONE: &str = "20010101000000 20240229120001 20010101000000 UTC";
    let server = Server::start();
    let names = ["20200101000000 cam.jpg".to_owned(), format!("cam.jpg {ZONE}")];
    let line = format!("SITE UTIME 20200101000000 cam.jpg {ZONE}");
    let mut client = Client::bob(&server);
    client.cmd(&line, 550);
    for (name, seconds) in [(&names[1], 1_577_836_800), (&names[0], LEAP_DAY + 1)] {
        server.put(name, "x");
        client.cmd(&line, 213);
        assert_eq!(time(&server, name), seconds, "{name}");
    }
    assert_eq!(time(&server, &names[1]), 1_577_836_800);
}

#[test]
fn a_user_without_t_may_ask_mdtm_of_a_name_that_begins_with_a_time() {
    let server = Server::setup().user("perm = elr").start();
    let camera = server.put("20240229120000 camera.jpg", "x");
    let other = server.put("other", "x");
    set_time(&camera, 1_000_000_000);
    set_time(&other, 1_000_000_000);
    let mut client = Client::bob(&server);
    assert_eq!(client.cmd("MDTM 20240229120000 camera.jpg", 213), "213 20010909014640");
    client.cmd("MDTM 20240229120000 other", 550);
    client.cmd("MFMT 20240229120000 other", 550);
    client.cmd("SITE UTIME 20240229120000 other", 550);
    assert_eq!(time(&server, "other"), 1_000_000_000);
}

#[test]
fn site_utime_takes_both_forms() {
    let server = Server::start();
    server.put("file", "x");
    server.put("with space", "x");
    let mut client = Client::bob(&server);
    for (line, name, seconds) in [
        ("SITE UTIME 202402291200 file", "file", LEAP_DAY),
        ("SITE UTIME 20240229120007 with space", "with space", LEAP_DAY + 7),
        (
            "site utime file 20010101000000 20240229120001 20010101000000 UTC",
            "file",
            LEAP_DAY + 1,
        ),
        (
            "SITE UTIME with space 20010101000000 20240229120002 20010101000000 utc",
            "with space",
            LEAP_DAY + 2,
        ),
    ] {
        let (code, text) = client.ask(line);
        assert!((200..300).contains(&code), "{line}: {text}");
        assert_eq!(time(&server, name), seconds, "{line}");
    }
    client.cmd("SITE UTIME 20240229120000 none", 550);
}

#[test]
fn dates_that_do_not_exist_are_501_and_change_nothing() {
    let server = Server::start();
    set_time(&server.put("file", "x"), 1_000_000_000);
    let mut client = Client::bob(&server);
    for date in [
        "20230229120000",
        "20240230000000",
        "20241301000000",
        "20240001000000",
        "20240100000000",
        "20240431000000",
        "20240101240000",
        "20240101006000",
        "20240101000061",
        "2024010100000",
        "202401010000000",
        "2024-01-01",
        "20240101000000Z",
        "20240101000000.",
        "20240101000000.x",
        "-0240101000000",
        "+0240101000000",
        "now",
        "0",
    ] {
        client.cmd(&format!("MFMT {date} file"), 501);
        let (code, text) = client.ask(&format!("SITE UTIME {date} file"));
        assert_eq!(code, 501, "SITE UTIME {date}: {text}");
        // as a path, `date file` is a name that is not there
        let (code, text) = client.ask(&format!("MDTM {date} file"));
        assert!(code == 501 || code == 550, "MDTM {date}: {text}");
    }
    for line in [
        "MFMT",
        "MFMT 20240101000000",
        "MFMT 20240101000000 ",
        "MFMT file",
        "SITE UTIME",
        "SITE UTIME 20240101000000",
        "SITE UTIME file",
        "MDTM",
        "MDTM 20240101000000+x file",
        "MDTM 20240101000000+99999 file",
    ] {
        let (code, text) = client.ask(line);
        assert!(code == 501 || (line.starts_with("MDTM 2") && code == 550), "{line}: {text}");
    }
    assert_eq!(time(&server, "file"), 1_000_000_000);
}

#[test]
fn site_umask_says_and_sets_the_mask() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    assert!(client.cmd("SITE UMASK", 200).contains("022"));
    client.cmd("SITE UMASK 077", 200);
    assert!(client.cmd("site umask", 200).contains("077"));
    for mask in ["888", "1777", "-1", "x", "0x7", "00077", "7 7"] {
        client.cmd(&format!("SITE UMASK {mask}"), 501);
    }
    assert!(client.cmd("SITE UMASK", 200).contains("077"));
    client.upload("STOR file", b"x");
    assert_eq!(server.home().join("file").metadata().unwrap().mode() & 0o777, 0o600);
    // the mask is that of the session
    assert!(Client::bob(&server).cmd("SITE UMASK", 200).contains("022"));
}

#[test]
fn site_idle_says_and_sets_the_timeout_up_to_the_configured_one() {
    let server = Server::setup().server("idle_timeout = 100").start();
    let mut client = Client::bob(&server);
    assert!(client.cmd("SITE IDLE", 200).contains("100"));
    client.cmd("SITE IDLE 60", 200);
    assert!(client.cmd("SITE IDLE", 200).contains("60"));
    client.cmd("SITE IDLE 100", 200);
    for seconds in ["0", "101", "-1", "x", "99999999999999999999", "18446744073709551615"] {
        client.cmd(&format!("SITE IDLE {seconds}"), 501);
    }
    assert!(client.cmd("SITE IDLE", 200).contains("100"));
}

#[test]
fn site_idle_is_obeyed() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("SITE IDLE 1", 200);
    client.expect(421);
    client.expect_close();
}

#[test]
fn site_words_that_do_not_exist_are_refused_and_nothing_more() {
    let server = Server::start();
    server.put("file", "x");
    let mut client = Client::bob(&server);
    for line in [
        "SITE EXEC ls",
        "SITE COPY file copy",
        "SITE CHOWN root file",
        "SITE LINK file link",
        "SITE MKDIRS dir",
        "SITE CHMODE 777 file",
    ] {
        let (code, text) = client.ask(line);
        assert!([500, 501, 502, 504].contains(&code), "{line}: {text}");
    }
    client.cmd("SITE", 501);
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
}

#[test]
fn help_and_site_help_explain_and_may_come_before_the_login() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    for round in 0..2 {
        let help = client.cmd("HELP", 214);
        for name in ["RETR", "STOR", "MLSD", "SITE", "OPTS"] {
            let named = help.split_ascii_whitespace().any(|word| word == name);
            assert!(named, "no {name} in {help}");
        }
        let site = client.cmd("SITE HELP", 214);
        for name in ["CHMOD", "UTIME", "UMASK", "IDLE", "HELP"] {
            assert!(site.split_ascii_whitespace().any(|word| word == name), "{site}");
        }
        // where RFC 959 §4.1.3 (SITE) sends people
        let site = client.cmd("HELP SITE", 214);
        assert!(site.contains("CHMOD") && site.contains("UTIME"), "{site}");
        assert!(client.cmd("HELP OPTS", 214).contains("MLST"));
        assert!(client.cmd("help retr", 214).contains("RETR path"));
        assert!(client.cmd("HELP SITE CHMOD", 214).contains("mode path"));
        for unknown in ["XYZZY", "\u{e4}", "RETR path"] {
            let (code, text) = client.ask(&format!("HELP {unknown}"));
            assert!([501, 502].contains(&code), "HELP {unknown}: {text}");
        }
        if round == 0 {
            client.cmd("USER bob", 331);
            client.cmd("PASS secret", 230);
        }
    }
}

#[test]
fn syst_says_unix_and_noop_does_nothing_before_and_after_the_login() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    for _ in 0..2 {
        assert_eq!(client.cmd("SYST", 215), "215 UNIX Type: L8");
        client.cmd("NOOP", 200);
        client.cmd("noop and more words", 200);
        client.ask("USER bob");
        client.cmd("PASS secret", 230);
    }
}

#[test]
fn opts_takes_utf8_in_all_the_ways_that_clients_send_it() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    for _ in 0..2 {
        for line in [
            "OPTS UTF8 ON",
            "OPTS UTF-8 ON",
            "opts utf8 on",
            "OPTS utf8 On",
            "OPTS UTF8",
            "OPTS UTF8 ",
        ] {
            client.cmd(line, 200);
        }
        let (code, text) = client.ask("OPTS UTF8 OFF");
        assert!([200, 501, 504].contains(&code), "{text}");
        client.cmd("OPTS UTF8 PERHAPS", 501);
        client.ask("USER bob");
        client.cmd("PASS secret", 230);
    }
}

#[test]
fn clients_may_introduce_themselves() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("CLNT NcFTP 3.2.5 linux-x86_64", 200);
    client.cmd("CSID Name=BSD FTP; Version=7.3.0;", 200);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("CLNT curl", 200);
    let reply = client.cmd("CSID Name=x;", 200);
    assert!(reply.contains("Name=") && reply.ends_with(';'), "{reply}");
    client.cmd("PWD", 257);
}

#[test]
fn what_is_not_implemented_says_so() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.cmd("SMNT /x", 502);
    for line in [
        "XYZZY",
        "XYZZY with words",
        "RETRO",
        "LISTX",
        "",
        " ",
        " NOOP",
        "\u{e4}\u{f6}",
        "\x01",
    ] {
        let (code, text) = client.ask(line);
        assert!(code == 500 || code == 502, "'{line}': {text}");
    }
    client.cmd("NOOP", 200);
}

#[test]
fn stat_describes_the_session_and_shows_no_password() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    let status = client.cmd("STAT", 211);
    assert!(status.contains("127.0.0.1") && status.contains("bob"), "{status}");
    assert!(!status.contains("secret"), "{status}");
    client.cmd("TYPE A", 200);
    assert!(client.cmd("STAT", 211).contains("ASCII"));
}
