//! Real clients that speak other charsets than UTF-8, and what others send, as it was recorded.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;

use crate::charset::said;
use crate::client::Client;
use crate::clients::{Outcome, Tool, same, tree};
use crate::server::Server;

/// Charsets with names that they can say. In the second of each, second bytes are signs of ASCII.
const NAMES: [(&str, [&str; 3]); 3] = [
    ("gbk", ["\u{4e2d}\u{6587}.txt", "\u{4e57}\u{4e84} b\"c.txt", "plain.txt"]),
    ("shift_jis", ["\u{65e5}\u{672c}.txt", "\u{8868}\u{30bd} b.txt", "plain.txt"]),
    (
        "windows-1251",
        ["\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}.txt", "\u{44f} \u{44f}.txt", "plain.txt"],
    ),
];

fn put_names(tool: &Tool, names: &[&str]) {
    for (at, name) in names.iter().enumerate() {
        tool.put(&format!("up/{name}"), format!("{at} {name}"));
        tool.put(&format!("up/{}/{name}", names[0].trim_end_matches(".txt")), name);
    }
}

fn server(charset: &str) -> Server {
    Server::setup().user(&format!("charset = {charset}")).start()
}

/// Names of lftp's charsets.
fn iconv(label: &str) -> &str {
    match label {
        "shift_jis" => "CP932",
        "windows-1251" => "CP1251",
        other => other,
    }
}

fn lftp(tool: &Tool, server: &Server, settings: &str, commands: &str) -> Outcome {
    let address = server.address();
    let script = format!(
        "set cmd:fail-exit on; set net:max-retries 2; set net:timeout 20; set xfer:clobber on; \
         set file:charset UTF-8; {settings}; open -u bob,secret -p {} {}; {commands}",
        address.port(),
        address.ip()
    );
    tool.run(["--norc", "-c", &script])
}

#[test]
fn lftp_mirrors_names_in_its_charset_both_ways() {
    for (label, names) in NAMES {
        let Some(tool) = Tool::find("lftp") else { return };
        put_names(&tool, &names);
        let wanted = tree(&tool.path("up"));
        // with UTF-8 turned on by itself, with UTF-8 that is not turned on, and in the charset
        for (at, settings) in [
            "",
            "set ftp:use-utf8 off",
            "set ftp:use-feat off; set ftp:use-utf8 off",
            "set ftp:use-feat off; set ftp:use-utf8 off; set ftp:use-mlsd on",
        ]
        .into_iter()
        .enumerate()
        {
            for charset in [label.to_owned(), format!("auto:{label}")] {
                // whoever knows of FEAT and LANG speaks UTF-8, whatever its settings are
                if settings == "set ftp:use-utf8 off" && !charset.starts_with("auto:") {
                    continue;
                }
                let server = server(&charset);
                let charset = iconv(label);
                let down = format!("down{at}");
                let _ = fs::remove_dir_all(tool.path(&down));
                let settings = format!("set ftp:charset {charset}; {settings}");
                let commands = format!("mirror -R up t; mirror t {down}");
                lftp(&tool, &server, &settings, &commands).ok();
                same(label, &wanted, &tree(&server.home().join("t")));
                same(label, &wanted, &tree(&tool.path(&down)));
            }
        }
    }
}

#[test]
fn ftplib_carries_names_in_its_encoding_both_ways() {
    const SCRIPT: &str = r#"
import ftplib, os, sys
host, port, encoding = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ftp = ftplib.FTP(encoding=encoding)
ftp.connect(host, port, timeout=50)
ftp.login("bob", "secret")
names = sorted(os.listdir("flat"))
folder = names[-1][:-4] + " d"
# a letter of Cyrillic comes twice in this reply, as Telnet has it
assert ftp.mkd(folder).replace("\u044f\u044f", "\u044f") == "/" + folder
ftp.cwd(folder)
for name in names:
    with open("flat/" + name, "rb") as file:
        ftp.storbinary("STOR " + name, file)
    assert ftp.size(name) == os.stat("flat/" + name).st_size
assert sorted(ftp.nlst()) == names, ftp.nlst()
assert sorted(name for name, _ in ftp.mlsd()) == names
lines = []
ftp.dir(lines.append)
assert all(any(line.endswith(name) for line in lines) for name in names), lines
os.mkdir("down")
for name in names:
    ftp.rename(name, name + ".new")
    with open("down/" + name, "wb") as file:
        ftp.retrbinary("RETR " + name + ".new", file.write)
    ftp.rename(name + ".new", name)
ftp.quit()
"#;
    for (label, names) in NAMES {
        for charset in [label.to_owned(), format!("auto:{label}")] {
            let Some(python) = Tool::find("python3") else { return };
            for name in names {
                python.put(&format!("flat/{name}"), name);
            }
            let wanted = tree(&python.path("flat"));
            let server = server(&charset);
            let port = server.address().port().to_string();
            let encoding = if label == "shift_jis" { "cp932" } else { label };
            python.run(["-c", SCRIPT, "127.0.0.1", &port, encoding]).ok();
            same(label, &wanted, &tree(&python.path("down")));
            let mut folders = fs::read_dir(server.home()).unwrap();
            let folder = folders.next().unwrap().unwrap().path();
            assert!(folder.to_str().is_some(), "{}", folder.display());
            same(label, &wanted, &tree(&folder));
        }
    }
}

#[test]
fn curl_sends_and_takes_the_bytes_of_a_url() {
    for (label, names) in NAMES {
        let Some(curl) = Tool::find("curl") else { return };
        let server = server(label);
        for name in names {
            let bytes = said(label, name);
            let code: Vec<_> = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
            let code = code.concat();
            let url = format!("ftp://bob:secret@{}/{code}", server.address());
            let local = curl.put("local", name);
            curl.run(["-sSg", "-T", local.to_str().unwrap(), &url]).ok();
            assert_eq!(server.get(name), name.as_bytes());
            curl.run(["-sSg", "-o", "back", &url]).ok();
            assert_eq!(curl.get("back"), name.as_bytes());
        }
        let url = format!("ftp://bob:secret@{}/", server.address());
        curl.run(["-sSl", "-o", "names", &url]).ok();
        let listed = curl.get("names");
        for name in names {
            let name = said(label, name);
            assert!(listed.windows(name.len()).any(|part| part == name), "{label}");
        }
    }
}

/// A client of which only the lines are known that it sends.
struct Recorded {
    client: Client,
    charset: &'static str,
}

impl Recorded {
    fn connect(server: &Server, charset: &'static str) -> Self {
        Self { client: Client::connect(server), charset }
    }

    fn raw(&mut self, line: &str) {
        let line = said(self.charset, line);
        self.client.raw(&[&line[..], b"\r\n"].concat());
    }

    fn send(&mut self, line: &str, code: u16) -> String {
        self.raw(line);
        self.text(code)
    }

    fn text(&mut self, code: u16) -> String {
        let reply = self.client.expect_bytes(code);
        let encoding = encoding_rs::Encoding::for_label(self.charset.as_bytes()).unwrap();
        encoding.decode(&reply).0.into_owned()
    }

    /// A transfer over PORT, as Windows' ftp.exe makes it, or over PASV.
    fn transfer(&mut self, active: bool, line: &str, sent: &[u8]) -> String {
        let (mut data, begun) = if active {
            let listener = self.client.listener();
            self.raw(line);
            self.client.expect(150);
            (listener.accept().unwrap().0, true)
        } else {
            let address = self.client.passive_address("PASV");
            (self.client.data(address), false)
        };
        if !begun {
            self.raw(line);
            self.client.expect(150);
        }
        data.write_all(sent).unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        drop(data);
        self.text(226);
        let encoding = encoding_rs::Encoding::for_label(self.charset.as_bytes()).unwrap();
        encoding.decode(&bytes).0.into_owned()
    }
}

#[test]
fn ftp_exe_of_windows_stores_and_lists_chinese_names_with_and_without_utf8() {
    // Windows 10 and later turn UTF-8 on before the login; earlier ones send the system's charset
    for (speaks_utf8, charset) in [(true, "utf-8"), (false, "gbk")] {
        let server = server("gbk");
        let mut client = Recorded::connect(&server, charset);
        if speaks_utf8 {
            client.send("OPTS UTF8 ON", 200);
        }
        client.send("USER bob", 331);
        client.send("PASS secret", 230);
        client.send("XMKD \u{65b0}\u{5efa}\u{6587}\u{4ef6}\u{5939}", 257);
        client.send("CWD \u{65b0}\u{5efa}\u{6587}\u{4ef6}\u{5939}", 250);
        let shown = client.send("XPWD", 257);
        assert!(shown.contains("\"/\u{65b0}\u{5efa}\u{6587}\u{4ef6}\u{5939}\""), "{shown}");
        client.send("TYPE I", 200);
        client.transfer(true, "STOR \u{62a5}\u{544a}.doc", b"report");
        client.send("TYPE A", 200);
        // 'mget *.doc' asks for names in this way
        assert_eq!(client.transfer(true, "NLST *.doc", b""), "\u{62a5}\u{544a}.doc\r\n");
        let listed = client.transfer(true, "LIST", b"");
        assert!(listed.trim_end().ends_with("\u{62a5}\u{544a}.doc"), "{listed}");
        client.send("RNFR \u{62a5}\u{544a}.doc", 350);
        client.send("RNTO \u{65e7}.doc", 250);
        let folder = "\u{65b0}\u{5efa}\u{6587}\u{4ef6}\u{5939}";
        assert_eq!(server.get(&format!("{folder}/\u{65e7}.doc")), b"report");
        client.send("QUIT", 221);
    }
}

#[test]
fn explorer_of_windows_makes_renames_and_stores_with_and_without_utf8() {
    for (speaks_utf8, charset) in [(true, "utf-8"), (false, "gbk")] {
        let server = server("auto:gbk");
        server.put("\u{65e7}\u{6587}\u{4ef6}.txt", "old");
        let mut client = Recorded::connect(&server, charset);
        client.send("USER bob", 331);
        client.send("PASS secret", 230);
        if speaks_utf8 {
            client.send("opts utf8 on", 200);
        }
        client.send("syst", 215);
        client.send("site help", 214);
        client.send("PWD", 257);
        client.send("noop", 200);
        client.send("CWD /", 250);
        client.send("TYPE A", 200);
        let listed = client.transfer(false, "LIST", b"");
        assert!(listed.contains("\u{65e7}\u{6587}\u{4ef6}.txt"), "{listed}");
        client.send("MKD \u{65b0}\u{5efa}\u{6587}\u{4ef6}\u{5939}", 257);
        client.send("RNFR \u{65b0}\u{5efa}\u{6587}\u{4ef6}\u{5939}", 350);
        client.send("RNTO \u{7167}\u{7247}", 250);
        client.send("CWD /\u{7167}\u{7247}/", 250);
        client.send("TYPE I", 200);
        client.transfer(false, "STOR \u{732b}.jpg", b"cat");
        client.send("SIZE \u{732b}.jpg", 213);
        client.send("MDTM \u{732b}.jpg", 213);
        client.send("CWD /", 250);
        client.send("DELE \u{65e7}\u{6587}\u{4ef6}.txt", 250);
        assert_eq!(server.get("\u{7167}\u{7247}/\u{732b}.jpg"), b"cat");
        assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
    }
}

#[test]
fn cuteftp_checks_what_it_has_stored_by_xcrc() {
    let server = server("gbk");
    let mut client = Recorded::connect(&server, "gbk");
    client.send("USER bob", 331);
    client.send("PASS secret", 230);
    client.send("PWD", 257);
    let features = client.send("FEAT", 211);
    assert!(features.contains("\n XCRC\n"), "{features}");
    client.send("TYPE I", 200);
    let content = crate::parts::noise(7, 70_000);
    client.transfer(false, "STOR \u{62a5}\u{544a}.zip", &content);
    // from the first byte to behind the last one, with the name in quotes
    let reply = client.send("XCRC \"/\u{62a5}\u{544a}.zip\" 0 70000", 250);
    let wanted = format!("{:08X}", crc32fast::hash(&content));
    assert_eq!(reply.trim_end(), format!("250 {wanted}"));
    let reply = client.send("XCRC \"/\u{62a5}\u{544a}.zip\"", 250);
    assert_eq!(reply.trim_end(), format!("250 {wanted}"));
    client.send("SIZE \u{62a5}\u{544a}.zip", 213);
}

#[test]
fn lftp_changes_modes_and_times_and_asks_for_checksums() {
    let Some(tool) = Tool::find("lftp") else { return };
    let server = Server::setup().server("log_level = debug").start();
    tool.put("a b", "12345");
    let file = fs::File::open(tool.path("a b")).unwrap();
    let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    file.set_modified(at).unwrap();
    let commands = "put 'a b'; chmod 640 'a b'; quote 'MFF UNIX.mode=604; a b'; quote HASH a b; quote XMD5 a b; \
                    quote SITE MD5 a b; quote SITE MKDIR x/y; quote SITE CPFR a b; \
                    quote SITE CPTO x/y/c; quote AVBL; quote LANG EN; quote RANG 0 2; quote HASH a b";
    let text = lftp(&tool, &server, "", commands).ok();
    // printf 12345 | sha256sum, md5sum; printf 123 | sha256sum
    for wanted in [
        "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5",
        "827CCB0EEA8A706C4C34A16891F84E7B",
        "a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
    let meta = server.home().join("a b").metadata().unwrap();
    assert_eq!(meta.modified().unwrap(), at, "{text}");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777, 0o604);
    assert_eq!(server.get("x/y/c"), b"12345");
    for command in ["MFMT", "SITE CHMOD", "MFF"] {
        server.wait_for_log(command);
    }
}

#[test]
fn ncftp_keeps_times_and_changes_modes() {
    let Some(tool) = Tool::find("ncftpput") else { return };
    let server = Server::setup().server("log_level = debug").start();
    tool.put("a b", "12345");
    let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    fs::File::open(tool.path("a b")).unwrap().set_modified(at).unwrap();
    let port = server.address().port().to_string();
    let place = ["-V", "-u", "bob", "-p", "secret", "-P", &port];
    let put = ["-Y", "SITE CHMOD 600 a b", "127.0.0.1", "/", "a b"];
    let text = tool.run(place.into_iter().chain(put)).ok();
    let meta = server.home().join("a b").metadata().unwrap();
    assert_eq!(meta.modified().unwrap(), at, "{text}\n{}", server.log());
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777, 0o600);
}
