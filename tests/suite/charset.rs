//! Names in the charset of the client: `charset` of ftpd.ini.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::client::Client;
use crate::server::{Server, eventually, run};
use crate::tls_client::Tls;

/// A text in a charset, as a client sends it.
pub(crate) fn said(label: &str, text: &str) -> Vec<u8> {
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
    let (bytes, _, lossy) = encoding.encode(text);
    assert!(!lossy, "{text} in {label}");
    bytes.into_owned()
}

fn line(word: &str, name: &[u8]) -> Vec<u8> {
    [word.as_bytes(), b" ", name].concat()
}

/// Sends a line as clients do that know nothing of Telnet, and reads the reply.
fn ask(client: &mut Client, line: &[u8], code: u16) -> Vec<u8> {
    client.raw(&[line, b"\r\n"].concat());
    client.expect_bytes(code)
}

fn get(client: &mut Client, line: &[u8]) -> Vec<u8> {
    let mut data = client.passive();
    ask(client, line, 150);
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes).unwrap();
    client.expect(226);
    bytes
}

/// Uploads, and returns the last reply.
fn put(client: &mut Client, line: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut data = client.passive();
    ask(client, line, 150);
    data.write_all(bytes).unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    drop(data);
    client.expect_bytes(226)
}

fn names(client: &mut Client, line: &[u8]) -> Vec<Vec<u8>> {
    let bytes = get(client, line);
    let text = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes);
    let mut names: Vec<_> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    for name in &mut names {
        name.pop_if(|last| *last == b'\r');
    }
    names.sort();
    names
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn raw(server: &Server, name: &[u8]) -> PathBuf {
    server.home().join(OsStr::from_bytes(name))
}

fn server(lines: &str) -> Server {
    Server::setup().user(lines).start()
}

#[test]
fn every_command_takes_and_sends_names_in_the_charset() {
    let server = server("charset = gbk\noverwrite = rename");
    server.put("\u{4e2d}\u{6587}.txt", "12345");
    let mut client = Client::bob(&server);
    let name = said("gbk", "\u{4e2d}\u{6587}.txt");
    for command in ["LIST", "NLST", "MLSD"] {
        assert!(has(&get(&mut client, command.as_bytes()), &name), "{command}");
    }
    for command in ["STAT", "MLST"] {
        let code = if command == "STAT" { 213 } else { 250 };
        assert!(has(&ask(&mut client, &line(command, &name), code), &name), "{command}");
    }
    assert!(has(&ask(&mut client, &line("SIZE", &name), 213), b"213 5"));
    assert_eq!(get(&mut client, &line("RETR", &name)), b"12345");
    ask(&mut client, b"REST 3", 350);
    assert_eq!(get(&mut client, &line("RETR", &name)), b"45");
    let dir = said("gbk", "\u{76ee}\u{5f55}");
    let quoted = [b"257 \"/", &dir[..], b"\" "].concat();
    assert!(ask(&mut client, &line("MKD", &dir), 257).starts_with(&quoted));
    assert!(server.home().join("\u{76ee}\u{5f55}").is_dir());
    ask(&mut client, &line("CWD", &dir), 250);
    assert!(ask(&mut client, b"PWD", 257).starts_with(&quoted));
    let new = said("gbk", "\u{65b0}.bin");
    put(&mut client, &line("STOR", &new), b"first");
    // what the server names in its replies
    let second = said("gbk", "\u{65b0} (1).bin");
    let below = [&dir[..], b"/", &new].concat();
    let reply = put(&mut Client::bob(&server), &line("STOR", &below), b"2");
    assert!(has(&reply, &second), "{}", reply.escape_ascii());
    assert_eq!(
        fs::read(server.home().join("\u{76ee}\u{5f55}/\u{65b0} (1).bin")).unwrap(),
        b"2"
    );
    assert_eq!(names(&mut client, b"NLST"), [second, new.clone()]);
    let from = [b"/", &dir[..], b"/", &new].concat();
    ask(&mut client, &line("RNFR", &from), 350);
    ask(&mut client, &line("RNTO", &[b"../", &new[..]].concat()), 250);
    ask(&mut client, b"CWD ~", 250);
    assert_eq!(fs::read(server.home().join("\u{65b0}.bin")).unwrap(), b"first");
    ask(&mut client, &line("SITE CHMOD 600", &name), 200);
    ask(&mut client, &line("MFMT 20240101000000", &name), 213);
    assert!(has(
        &ask(&mut client, &line("XMD5", &name), 250),
        b"827CCB0EEA8A706C4C34A16891F84E7B"
    ));
    ask(&mut client, &line("DELE", &name), 250);
    assert!(!server.home().join("\u{4e2d}\u{6587}.txt").exists());
    // the log has UTF-8
    server.wait_for_log("\u{4e2d}\u{6587}.txt");
}

#[test]
fn uploads_go_on_under_a_name_in_the_charset() {
    let server = server("charset = shift_jis");
    let mut client = Client::bob(&server);
    let name = said("shift_jis", "\u{8868}\u{793a}.dat");
    put(&mut client, &line("STOR", &name), b"abc");
    assert!(has(&ask(&mut client, &line("SIZE", &name), 213), b"213 3"));
    ask(&mut client, b"REST 3", 350);
    put(&mut client, &line("STOR", &name), b"def");
    put(&mut client, &line("APPE", &name), b"ghi");
    let file = fs::read(server.home().join("\u{8868}\u{793a}.dat")).unwrap();
    assert_eq!(file, b"abcdefghi");
}

#[test]
fn letters_whose_second_byte_is_a_sign_are_letters() {
    // each has a second byte that means something to FTP, to a shell or to ls
    for (label, letters) in [
        ("shift_jis", "\u{8868}\u{30bd}\u{30df}\u{30dd}\u{30fd}"),
        ("gbk", "\u{4e02}\u{4e57}\u{4e84}\u{4e8a}"),
        ("big5", "\u{8a31}\u{84cb}\u{529f}"),
    ] {
        let server = server(&format!("charset = {label}"));
        let mut client = Client::bob(&server);
        for letter in letters.chars() {
            let (name, dir) = (format!("{letter}\"{letter}.txt"), format!("{letter} d"));
            let (name, dir) = (said(label, &name), said(label, &dir));
            assert!((0x40..0x80).contains(&name[1]), "{letter} in {label}");
            put(&mut client, &line("STOR", &name), b"x");
            ask(&mut client, &line("MKD", &dir), 257);
            ask(&mut client, &line("CWD", &dir), 250);
            let shown = ask(&mut client, b"PWD", 257);
            assert!(
                has(&shown, &[b"\"/", &dir[..], b"\""].concat()),
                "{}",
                shown.escape_ascii()
            );
            put(&mut client, &line("STOR", &name), b"y");
            ask(&mut client, b"CDUP", 250);
            let first = said(label, &letter.to_string());
            let pattern = [&first[..], b"*.txt"].concat();
            assert_eq!(names(&mut client, &line("NLST", &pattern)), [&name[..]]);
            let below = [&dir[..], b"/", &pattern].concat();
            let wanted = [&dir[..], b"/", &name].concat();
            assert_eq!(names(&mut client, &line("NLST -1", &below)), [wanted]);
            let listed = get(&mut client, &line("LIST -R", &dir));
            assert!(has(&listed, &name), "{}", listed.escape_ascii());
        }
    }
}

#[test]
fn the_letter_255_of_cyrillic_is_no_telnet_code() {
    let server = server("charset = windows-1251");
    let mut client = Client::bob(&server);
    let name = |text| said("windows-1251", text);
    // once, as most clients send it
    put(&mut client, &line("STOR", &name("\u{43c}\u{44f}.txt")), b"1");
    assert!(server.home().join("\u{43c}\u{44f}.txt").exists());
    // twice, as RFC 959 has it
    client.tell(line("MKD", &name("\u{44f}")), 257);
    assert!(server.home().join("\u{44f}").is_dir());
    // two letters that are sent once each are one letter to Telnet
    ask(&mut client, &line("MKD", &name("\u{44f}\u{44f}x")), 257);
    assert!(server.home().join("\u{44f}x").is_dir());
    client.tell(line("MKD", &name("\u{44f}\u{44f}y")), 257);
    assert!(server.home().join("\u{44f}\u{44f}y").is_dir());
    // a synch before a command
    ask(&mut client, &[b"\xff\xf4\xff\xf2", &line("CWD", &name("\u{44f}"))[..]].concat(), 250);
    let shown = ask(&mut client, b"PWD", 257);
    assert!(has(&shown, b"\"/\xff\xff\""), "{}", shown.escape_ascii());
    ask(&mut client, b"CDUP", 250);
    assert!(names(&mut client, b"NLST").contains(&name("\u{43c}\u{44f}.txt")));
}

#[test]
fn names_that_are_not_utf8_come_back_and_those_that_look_alike_are_told_apart() {
    let server = server("charset = gbk");
    let zhong = said("gbk", "\u{4e2d}");
    fs::write(raw(&server, &zhong), "raw").unwrap();
    fs::write(raw(&server, b"\xff\x80"), "odd").unwrap();
    server.put("\u{1f600}", "smile");
    let mut client = Client::bob(&server);
    let smile = "\u{1f600}".as_bytes().to_vec();
    assert_eq!(
        names(&mut client, b"NLST"),
        [zhong.clone(), smile.clone(), b"\xff\x80".to_vec()]
    );
    for (name, content) in [(&zhong[..], "raw"), (&smile, "smile")] {
        assert_eq!(get(&mut client, &line("RETR", name)), content.as_bytes());
    }
    assert_eq!(get(&mut client, b"RETR \xff\x80"), b"odd");
    // until there is another name that looks like it
    server.put("\u{4e2d}", "utf-8");
    assert!(names(&mut client, b"NLST").contains(&b"\\xD6\\xD0".to_vec()));
    server.wait_for_log("convert-names");
    assert_eq!(get(&mut client, &line("RETR", &zhong)), b"utf-8");
    assert_eq!(get(&mut client, b"RETR \\xD6\\xD0"), b"raw");
    ask(&mut client, b"DELE \\xD6\\xD0", 250);
    assert!(!raw(&server, &zhong).exists() && server.home().join("\u{4e2d}").exists());
}

#[test]
fn auto_takes_gbk_or_utf8_by_the_first_name_that_tells() {
    let server = server("charset = auto:gbk");
    server.put("\u{4e2d}.txt", "old");
    let (utf8, gbk) = ("\u{4e2d}.txt".as_bytes().to_vec(), said("gbk", "\u{4e2d}.txt"));
    // nothing said yet: GBK for who has never asked for FEAT
    let mut client = Client::bob(&server);
    assert_eq!(names(&mut client, b"NLST"), [&gbk[..]]);
    let mut client = Client::bob(&server);
    client.cmd("FEAT", 211);
    assert_eq!(names(&mut client, b"NLST"), [&utf8[..]]);
    // a name decides, against FEAT
    assert_eq!(get(&mut client, &line("RETR", &gbk)), b"old");
    assert_eq!(names(&mut client, b"NLST"), [&gbk[..]]);
    let mut client = Client::bob(&server);
    assert_eq!(get(&mut client, &line("RETR", &utf8)), b"old");
    assert_eq!(names(&mut client, b"NLST"), [&utf8[..]]);
    // and is the end of it, until OPTS
    ask(&mut client, &line("SIZE", &gbk), 550);
    let mut client = Client::bob(&server);
    put(&mut client, &line("STOR", &said("gbk", "\u{65b0}")), b"new");
    assert!(server.home().join("\u{65b0}").exists());
    client.cmd("OPTS UTF8 ON", 200);
    assert!(names(&mut client, b"NLST").contains(&utf8));
    client.cmd("OPTS UTF8 OFF", 200);
    assert!(names(&mut client, b"NLST").contains(&gbk));
}

#[test]
fn auto_means_the_file_that_is_there_while_a_name_can_be_both() {
    // U+6A21 in GBK has the bytes of U+0123 in UTF-8
    let both = said("gbk", "\u{6a21}");
    assert_eq!(both, "\u{123}".as_bytes());
    let server = server("charset = auto:gbk");
    let mut client = Client::bob(&server);
    // new names are in GBK
    put(&mut client, &line("STOR", &both), b"gbk");
    assert!(server.home().join("\u{6a21}").exists());
    assert_eq!(get(&mut client, &line("RETR", &both)), b"gbk");
    fs::rename(server.home().join("\u{6a21}"), server.home().join("\u{123}")).unwrap();
    assert_eq!(get(&mut client, &line("RETR", &both)), b"gbk");
    server.put("\u{6a21}", "other");
    assert_eq!(get(&mut client, &line("RETR", &both)), b"gbk");
}

#[test]
fn opts_utf8_before_the_login_counts_and_outlasts_it() {
    let server =
        Server::setup().server("charset = gbk\nwelcome_msg = \u{4f60}\u{597d}").start();
    server.put("\u{4e2d}", "");
    let mut client = Client::silent(server.address());
    assert!(has(&client.expect_bytes(220), &said("gbk", "\u{4f60}\u{597d}")));
    client.cmd("OPTS UTF8 ON", 200);
    for _ in 0..2 {
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
        client.cmd("TYPE I", 200);
        assert_eq!(names(&mut client, b"NLST"), ["\u{4e2d}".as_bytes()]);
    }
    client.cmd("REIN", 220);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    client.cmd("TYPE I", 200);
    assert_eq!(names(&mut client, b"NLST"), [said("gbk", "\u{4e2d}")]);
    // where all names are in UTF-8, OFF is refused
    let server = Server::start();
    Client::bob(&server).cmd("OPTS UTF8 OFF", 501);
}

#[test]
fn texts_are_in_the_charset_too() {
    let server =
        server("charset = shift_jis\nlogin_msg = \u{8868} \u{1f600}\nfolder_message = on");
    server.put("\u{8868}/.message", "\u{8868}\u{793a}\nplain\n");
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    let reply = ask(&mut client, b"PASS secret", 230);
    assert_eq!(reply, [b"230 ", &said("shift_jis", "\u{8868}")[..], b" ?"].concat());
    let reply = ask(&mut client, &line("CWD", &said("shift_jis", "\u{8868}")), 250);
    assert!(has(&reply, &said("shift_jis", "\u{8868}\u{793a}")), "{}", reply.escape_ascii());
}

#[test]
fn rules_about_names_are_about_those_on_the_disk() {
    let server = Server::setup()
        .user("charset = gbk\nhide = \u{9690}*\ndeny_names = \u{7981}*")
        .section("[folder:bob:/\u{53ea}\u{8bfb}]\nperm = elr")
        .start();
    server.put("\u{9690}\u{85cf}", "x");
    server.put("\u{53ea}\u{8bfb}/f", "x");
    let mut client = Client::bob(&server);
    let read_only = said("gbk", "\u{53ea}\u{8bfb}");
    assert_eq!(names(&mut client, b"NLST"), [&read_only[..]]);
    ask(&mut client, &line("MKD", &said("gbk", "\u{7981}\u{6b62}")), 553);
    ask(&mut client, &line("DELE", &[&read_only[..], b"/f"].concat()), 550);
    assert!(server.home().join("\u{53ea}\u{8bfb}/f").exists());
}

#[test]
fn links_show_their_targets_in_the_charset() {
    let server = server("charset = gbk");
    server.put("\u{4e2d}", "x");
    std::os::unix::fs::symlink("\u{4e2d}", server.home().join("\u{94fe}")).unwrap();
    std::os::unix::fs::symlink("\u{65e0}", server.home().join("dead")).unwrap();
    let mut client = Client::bob(&server);
    let listed = get(&mut client, b"LIST");
    for (name, target) in [("\u{94fe}", "\u{4e2d}"), ("dead", "\u{65e0}")] {
        let wanted = said("gbk", &format!("{name} -> {target}\r\n"));
        assert!(has(&listed, &wanted), "{}", listed.escape_ascii());
    }
    assert_eq!(get(&mut client, &line("RETR", &said("gbk", "\u{94fe}"))), b"x");
}

#[test]
fn convert_names_renames_what_is_in_the_charset_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
    let gbk = |text: &str| said("gbk", text);
    let folder = gbk("\u{7167}\u{7247}");
    fs::create_dir(path(&folder)).unwrap();
    let inner = [&folder[..], b"/", &gbk("\u{4e57}.txt")].concat();
    fs::write(path(&inner), "inner").unwrap();
    fs::write(path(&gbk("\u{4e2d}")), "taken").unwrap();
    fs::write(path("\u{4e2d}".as_bytes()), "there").unwrap();
    // valid UTF-8 that could be GBK as well, and that could not
    fs::write(path("\u{123}".as_bytes()), "doubtful").unwrap();
    fs::write(path(b"plain"), "").unwrap();
    fs::write(path(b"\xff\xff"), "").unwrap();
    let outside = tempfile::tempdir().unwrap();
    let beyond = outside.path().join(OsStr::from_bytes(&gbk("\u{5916}")));
    fs::write(&beyond, "").unwrap();
    std::os::unix::fs::symlink(outside.path(), path(b"link")).unwrap();
    let convert = |more: &[&str]| {
        run(&[&["convert-names", "--from", "gbk", "."], more].concat(), dir.path())
    };
    let before = crate::clients::tree(dir.path());
    let (code, out, err) = convert(&["--dry-run"]);
    assert_eq!(code, 1, "{out}{err}");
    assert_eq!(crate::clients::tree(dir.path()), before);
    assert!(out.contains("2 to be converted, 1 doubtful"), "{out}");
    assert!(err.contains("there is \"\u{4e2d}\" already") && err.contains("neither"), "{err}");
    let (code, out, _) = convert(&[]);
    assert_eq!(code, 1);
    assert!(out.contains("2 converted, 1 doubtful") && out.contains("\u{123}"), "{out}");
    assert_eq!(fs::read(path("\u{7167}\u{7247}/\u{4e57}.txt".as_bytes())).unwrap(), b"inner");
    assert_eq!(fs::read(path(&gbk("\u{4e2d}"))).unwrap(), b"taken");
    assert_eq!(fs::read(path("\u{4e2d}".as_bytes())).unwrap(), b"there");
    assert!(path("\u{123}".as_bytes()).exists() && path(b"\xff\xff").exists());
    assert!(beyond.exists());
    fs::remove_file(path(&gbk("\u{4e2d}"))).unwrap();
    fs::remove_file(path(b"\xff\xff")).unwrap();
    // this one can be GBK as well
    fs::rename(path("\u{7167}\u{7247}".as_bytes()), path(b"folder")).unwrap();
    let (code, out, err) = convert(&["--force"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(fs::read(path("\u{6a21}".as_bytes())).unwrap(), b"doubtful");
    for arguments in [
        &["convert-names", "."][..],
        &["convert-names", "--from", "gbk"],
        &["convert-names", "--from", "utf-8", "."],
        &["convert-names", "--from", "klingon", "."],
    ] {
        assert_eq!(run(arguments, dir.path()).0, 2, "{arguments:?}");
    }
    assert_eq!(run(&["convert-names", "--from", "gbk", "missing"], dir.path()).0, 1);
}

#[test]
fn logs_and_hooks_have_names_in_utf8() {
    let server = Server::setup()
        .server("transfer_log = xferlog\non_upload = /usr/bin/env")
        .user("charset = big5")
        .start();
    let mut client = Client::bob(&server);
    let name = "\u{8a31}\u{529f}";
    put(&mut client, &line("STOR", &said("big5", name)), b"12345");
    let log = server.wait_for_log("FTPD_VIRTUAL_PATH");
    assert!(log.contains(&format!("FTPD_VIRTUAL_PATH=/{name}")), "{log}");
    server.wait_for_log(&format!("STOR \"{}\"", server.home().join(name).display()));
    let read = || fs::read_to_string(server.dir().join("xferlog")).unwrap_or_default();
    eventually("the transfer is logged", || read().contains('\n'));
    assert!(read().contains(name), "{}", read());
    ask(&mut client, &line("RMD", &said("big5", name)), 550);
    let log = server.wait_for_log("RMD");
    assert!(log.contains(name), "{log}");
}

#[test]
fn utf8_that_was_turned_on_before_tls_stays_on() {
    let server = Server::setup().server("tls_cert = auto").user("charset = gbk").start();
    server.put("\u{4e2d}", "");
    let mut client = Client::connect(&server);
    client.cmd("OPTS UTF8 ON", 200);
    client.cmd("AUTH TLS", 234);
    client.start_tls(&Tls::new(&rustls::version::TLS13));
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);

    client.cmd("TYPE I", 200);
    client.cmd("SIZE \u{4e2d}", 213);
    client.cmd("MKD \u{6587}", 257);
    assert!(server.home().join("\u{6587}").is_dir());
}
