//! Real clients against the real server: whole trees there and back, compared by hash.
//!
//! A client that is not installed is named on standard error, and its tests pass. Each client
//! runs in a home of its own, without standard input or proxies, and for a bounded time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::net::{IpAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::parts::noise;
use crate::server::{Server, pause};

/// Maximum time that a client may take for one command line, on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// A client, and the folder where it lives and works.
pub(crate) struct Tool {
    name: &'static str,
    dir: TempDir,
}

/// How a client ended, and its output.
pub(crate) struct Outcome {
    code: i32,
    text: String,
    /// The command line, for the failure's message.
    line: String,
}

impl Tool {
    /// The client, if it is installed.
    pub(crate) fn find(name: &'static str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path).any(|dir| {
            dir.join(name).metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
        });
        if !there {
            // print even if the test passes and its output is captured
            let _ = writeln!(io::stderr(), "clients: {name} is not installed, nothing tested");
            return None;
        }
        Some(Self { name, dir: tempfile::tempdir().unwrap() })
    }

    /// A path in its home, which is its working folder as well.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Reads a file of its home.
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|why| panic!("{}: {name}: {why}", self.name))
    }

    /// Puts a file into its home.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Runs the client to its end, with any exit code.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Outcome {
        self.run_as(self.name, arguments)
    }

    /// Runs the client until a condition holds, and then kills it and its child processes.
    pub(crate) fn cut<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
        when: impl FnMut() -> bool,
    ) {
        let outcome = self.run_until(name, arguments, when);
        assert!(
            outcome.code == -1,
            "{}\nended with {}\n{}",
            outcome.line,
            outcome.code,
            outcome.text
        );
    }

    /// Runs another program of the client's package until a condition holds, and then kills it.
    pub(crate) fn run_as<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Outcome {
        self.run_until(name, arguments, || false)
    }

    fn run_until<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
        mut enough: impl FnMut() -> bool,
    ) -> Outcome {
        let said = tempfile::NamedTempFile::new().unwrap();
        let file = fs::OpenOptions::new().append(true).open(said.path()).unwrap();
        let mut command = Command::new(name);
        command.args(arguments).current_dir(self.dir.path()).process_group(0);
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy().to_ascii_lowercase();
            let settings =
                ["xdg_", "rclone_", "lftp_", "curl_", "ftp", "netrc", "wgetrc", "lc_", "lang"];
            if name.ends_with("_proxy") || settings.iter().any(|key| name.starts_with(key)) {
                command.env_remove(variable);
            }
        }
        command.env("HOME", self.dir.path()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        let line = format!("{name} {:?}", command.get_args().collect::<Vec<_>>());
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = command.spawn().unwrap();
        let text =
            || String::from_utf8_lossy(&fs::read(said.path()).unwrap_or_default()).into_owned();
        let until = Instant::now() + BOUND;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Outcome { code: status.code().unwrap_or(-1), text: text(), line };
            }
            let late = Instant::now() > until;
            if late || enough() {
                let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
                let _ = killpg(group, Signal::SIGKILL);
                let _ = child.wait();
                if !late {
                    return Outcome { code: -1, text: text(), line };
                }
                panic!("{line}\nstill ran after {BOUND:?} and was killed\n{}", text());
            }
            pause();
        }
    }
}

impl Outcome {
    /// Checks that the client succeeded, and returns its output.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        self.code(0)
    }

    /// Checks that the client failed, and returns its output.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        let Self { line, text, .. } = &self;
        assert!(self.code != 0, "{line}\nended well\n{text}");
        self.text
    }

    /// Whether the client failed and printed this text.
    pub(crate) fn failed_with(&self, text: &str) -> bool {
        self.code != 0 && self.text.contains(text)
    }

    /// Checks that the client ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> String {
        let Self { line, text, .. } = &self;
        assert!(self.code == code, "{line}\nended with {}\n{text}", self.code);
        self.text
    }
}

/// A tree as it is on disk: `None` is a directory, a file is its length and hash.
pub(crate) type Tree = BTreeMap<OsString, Option<(u64, u64)>>;

pub(crate) fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(root.join(&dir)).unwrap() {
            let path = dir.join(entry.unwrap().file_name());
            let content = if root.join(&path).is_dir() {
                open.push(path.clone());
                None
            } else {
                let bytes = fs::read(root.join(&path)).unwrap();
                let mut hasher = DefaultHasher::new();
                hasher.write(&bytes);
                Some((bytes.len() as u64, hasher.finish()))
            };
            tree.insert(path.into_os_string(), content);
        }
    }
    tree
}

#[track_caller]
pub(crate) fn same(what: &str, left: &Tree, right: &Tree) {
    let missing: Vec<_> = left.iter().filter(|(k, v)| right.get(*k) != Some(v)).collect();
    let surplus: Vec<_> = right.iter().filter(|(k, v)| left.get(*k) != Some(v)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{what}\nmissing: {missing:#?}\nsurplus: {surplus:#?}"
    );
}

/// 100 MB, made once for all tests.
fn big() -> &'static [u8] {
    static BIG: OnceLock<Vec<u8>> = OnceLock::new();
    BIG.get_or_init(|| noise(100, 100_000_000))
}

/// Names that every client in this file can carry both ways.
const PLAIN: &[&[u8]] = &[
    b"plain.txt",
    b"with space.txt",
    b"two  spaces",
    b"quote'single'.txt",
    b"semi;colon",
    b"hash#tag",
    b"~tilde",
    b"dollar$HOME",
    b"pipe|x",
    b"colon:x",
    b"plus+amp&eq=",
    b"comma,at@bang!",
    b"`tick`",
    b".hidden",
    b"..two",
    "gr\u{fc}\u{df}e-\u{65e5}\u{672c}\u{8a9e}-\u{1f600}".as_bytes(),
    "e\u{301}".as_bytes(),
];

/// Names that only some clients can carry.
const ODD: &[&[u8]] = &[
    b" leading",
    b"trailing ",
    b"quote\"double\".txt",
    b"back\\slash",
    b"percent%20enc",
    b"question?mark",
    b"star*",
    b"[bracket]",
    b"{brace}",
    b"-leading-dash",
    b"--",
    b"...",
    b"a -> b",
    b"-rw-r--r-- 1 0 0 5 Jan  1 2020 x",
    b"type=dir; x",
    LONG,
    NOT_UTF8,
    TAB,
];

/// A name that is as long as Linux allows.
const LONG: &[u8] = &[b'L'; 255];
const NOT_UTF8: &[u8] = b"latin1-\xe9\xfc";
const TAB: &[u8] = b"tab\tname";
/// Telnet's IAC, which stands doubled on the control connection (RFC 959 §3.3). Few clients
/// know that.
const IAC: &[u8] = b"iac-\xff\xf4-\xff";

/// Makes a tree of files with these names, and of folders with odd ones.
fn grow(root: &Path, names: &[&[u8]]) {
    let put = |path: &[u8], content: &[u8]| {
        let path = root.join(OsStr::from_bytes(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for (at, name) in names.iter().enumerate() {
        put(name, &noise(at as u64, 1 + at * 377 % 5000));
    }
    put(b"empty", b"");
    put(b"lines", b"one\r\ntwo\nthree\r\r\n\nfour\r");
    put(b"sub dir/.hid/d/\xc3\xa4 \xc3\xb6/x", b"deep");
    put(b"sub dir/y", &noise(77, 70_000));
}

/// [`PLAIN`], and [`ODD`] without some.
fn names_but(without: &[&[u8]]) -> Vec<&'static [u8]> {
    let odd = ODD.iter().filter(|name| !without.contains(name));
    PLAIN.iter().chain(odd).copied().collect()
}

/// Encodes the path of a URL, except for its slashes.
fn encode(path: &OsStr) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let code = |&byte: &u8| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.as_bytes().iter().map(code).collect()
}

/// The tree without empty folders, for clients that transfer files only.
fn files(tree: &Tree) -> Tree {
    tree.iter().filter(|(_, file)| file.is_some()).map(|(k, v)| (k.clone(), *v)).collect()
}

/// 127.0.0.1, and `::1` where the machine has it.
fn addresses() -> Vec<&'static str> {
    let mut addresses = vec!["127.0.0.1"];
    if TcpListener::bind("[::1]:0").is_ok() {
        addresses.push("::1");
    } else {
        let _ = writeln!(io::stderr(), "clients: no IPv6 on this machine");
    }
    addresses
}

fn on(ip: &str) -> Server {
    Server::setup().ip(ip).start()
}

fn anonymous() -> Server {
    let lines = "enable_anonymous = on\nanonymous_path = home";
    Server::setup().server(lines).start()
}

mod curl {
    use super::*;

    fn url(server: &Server, path: &str) -> String {
        format!("ftp://bob:secret@{}/{path}", server.address())
    }

    /// Uploads and downloads the tree with one run each.
    fn round_trip(curl: &Tool, server: &Server, options: &[&str], to: &str) {
        let from = tree(&curl.path("up"));
        let mut up: Vec<OsString> = options.iter().map(OsString::from).collect();
        up.extend(
            ["-sSg", "-Z", "--parallel-max", "8", "--ftp-create-dirs"].map(OsString::from),
        );
        let mut down = up.clone();
        down.push("--create-dirs".into());
        let got = format!("down-{to}");
        for path in files(&from).keys() {
            let url = url(server, &format!("{to}/{}", encode(path)));
            let local = curl.path("up").join(path).into_os_string();
            up.extend([OsString::from("-T"), local, url.clone().into()]);
            let local = curl.path(&got).join(path).into_os_string();
            down.extend([OsString::from("-o"), local, url.into()]);
        }
        curl.run(up).ok();
        same("up", &files(&from), &files(&tree(&server.home().join(to))));
        curl.run(down).ok();
        same("down", &files(&from), &files(&tree(&curl.path(&got))));
    }

    #[test]
    fn curl_carries_a_tree_both_ways_with_each_way_to_change_directories() {
        let Some(curl) = Tool::find("curl") else { return };
        // curl refuses control characters in a URL
        grow(&curl.path("up"), &names_but(&[TAB]));
        let server = Server::start();
        for method in ["multicwd", "nocwd", "singlecwd"] {
            if method != "multicwd" {
                // with these curl makes at most one directory
                fs::create_dir_all(
                    server.home().join(method).join("sub dir/.hid/d/\u{e4} \u{f6}"),
                )
                .unwrap();
            }
            round_trip(&curl, &server, &["--ftp-method", method], method);
        }
    }

    #[test]
    fn curl_carries_a_tree_both_ways_active_and_passive_over_both_protocols() {
        let Some(curl) = Tool::find("curl") else { return };
        grow(&curl.path("up"), PLAIN);
        for ip in addresses() {
            let server = on(ip);
            round_trip(&curl, &server, &[], "epsv");
            round_trip(&curl, &server, &["-P", "-"], "eprt");
            if ip == "127.0.0.1" {
                round_trip(&curl, &server, &["--disable-epsv"], "pasv");
                round_trip(&curl, &server, &["-P", "-", "--disable-eprt"], "port");
                round_trip(&curl, &server, &["--ftp-pret"], "pret");
            }
        }
    }

    #[test]
    fn curl_reaches_a_dual_stack_server_over_both_protocols() {
        let Some(curl) = Tool::find("curl") else { return };
        if addresses().len() < 2 {
            return;
        }
        let server = on("::");
        server.put("a", "both");
        let port = server.address().port();
        for host in ["127.0.0.1", "[::1]"] {
            for options in [&["-P", "-"][..], &["--disable-epsv"], &[]] {
                let url = format!("ftp://bob:secret@{host}:{port}/a");
                assert_eq!(curl.run([&["-sS", &url], options].concat()).ok(), "both");
            }
        }
    }

    #[test]
    fn curl_carries_100_mb_both_ways_and_resumes_up_and_down() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::start();
        curl.put("big", big());
        let url = url(&server, "big");
        curl.run(["-sS", "-T", "big", &url]).ok();
        assert!(server.get("big") == big());
        curl.run(["-sS", "-o", "down", &url]).ok();
        assert!(curl.get("down") == big());
        let part = &big()[..40_000_001];
        curl.put("down", part);
        let said = curl.run(["-sSv", "-C", "-", "-o", "down", &url]).ok();
        assert!(said.contains("REST 40000001"), "{said}");
        assert!(curl.get("down") == big());
        server.put("big", part);
        let said = curl.run(["-sSv", "-C", "-", "-T", "big", &url]).ok();
        assert!(said.contains("APPE big"), "{said}");
        assert!(server.get("big") == big());
    }

    #[test]
    fn curl_has_nothing_to_resume_in_a_whole_file() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::start();
        server.put("a", "whole");
        curl.put("a", "whole");
        let url = url(&server, "a");
        curl.run(["-sS", "-C", "-", "-o", "a", &url]).ok();
        curl.run(["-sS", "-C", "-", "-T", "a", &url]).ok();
        assert_eq!((server.get("a"), curl.get("a")), (b"whole".to_vec(), b"whole".to_vec()));
        assert_eq!(curl.run(["-sS", "-r", "1-3", &url]).ok(), "hol");
        assert_eq!(curl.run(["-sS", "-r", "-2", &url]).ok(), "le");
    }

    #[test]
    fn curl_appends() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::start();
        server.put("log", "one\n");
        curl.put("more", "two\n");
        curl.run(["-sS", "-a", "-T", "more", &url(&server, "log")]).ok();
        assert_eq!(server.get("log"), b"one\ntwo\n");
    }

    #[test]
    fn curl_quotes_commands_before_and_after_a_transfer() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::start();
        server.put("old", "x");
        server.put("gone", "x");
        let commands = ["MKD a dir", "RNFR old", "RNTO a dir/new", "DELE gone"];
        let mut line = vec!["-sS".to_owned(), "-l".to_owned(), url(&server, "")];
        for command in commands {
            line.extend(["-Q".to_owned(), command.to_owned()]);
        }
        line.extend(["-Q".to_owned(), "-SITE CHMOD 640 a dir/new".to_owned()]);
        assert_eq!(curl.run(line).ok(), "a dir\n");
        assert!(server.has("a dir/new") && !server.has("old") && !server.has("gone"));
        let mode = server.home().join("a dir/new").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        // 21: a quoted command was refused
        let said = curl.run(["-sS", "-Q", "DELE gone", &url(&server, "")]).code(21);
        assert!(said.contains("550"), "{said}");
        // an asterisk in front: never mind
        curl.run(["-sS", "-Q", "*DELE gone", &url(&server, "")]).ok();
    }

    #[test]
    fn curl_lists_names_only() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::start();
        grow(&server.home(), &names_but(&[]));
        let mut wanted: Vec<_> = fs::read_dir(server.home())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        let said = curl.run(["-sS", "--list-only", &url(&server, "")]).ok();
        let mut names: Vec<_> = said.lines().map(str::to_owned).collect();
        wanted.sort();
        names.sort();
        assert_eq!(names, wanted);
        assert_eq!(curl.run(["-sS", "-l", &url(&server, "sub%20dir/.hid/")]).ok(), "d\n");
        let said = curl.run(["-sS", &url(&server, "sub%20dir/")]).ok();
        assert!(said.contains("70000") && said.contains(" y\n"), "{said}");
    }

    #[test]
    fn curl_asks_for_a_file_only_if_it_is_newer() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::start();
        let path = server.put("a", "x");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000); // 14 July 2017
        fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        let url = url(&server, "a");
        let conditional = |date: &str| curl.run(["-sS", "-z", date, &url]).ok();
        assert_eq!(conditional("14 Jul 2017 02:39:59 GMT"), "x");
        assert_eq!(conditional("14 Jul 2017 02:40:01 GMT"), "");
        assert_eq!(conditional("-14 Jul 2017 02:40:01 GMT"), "x");
        assert_eq!(conditional("-14 Jul 2017 02:39:59 GMT"), "");
        curl.run(["-sS", "-R", "-o", "a", &url]).ok();
        assert_eq!(curl.path("a").metadata().unwrap().modified().unwrap(), at);
        let said = curl.run(["-sS", "-I", &url]).ok();
        assert!(said.contains("Last-Modified: Fri, 14 Jul 2017 02:40:00 GMT"), "{said}");
        assert!(said.contains("Content-Length: 1"), "{said}");
    }

    #[test]
    fn curl_converts_lines_in_ascii() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::start();
        let unix = "line\n".repeat(50_000);
        let wire = "line\r\n".repeat(50_000);
        curl.put("unix", &unix);
        curl.run(["-sS", "--use-ascii", "-T", "unix", &url(&server, "a")]).ok();
        assert!(server.get("a") == unix.as_bytes());
        curl.run(["-sS", "--use-ascii", "-o", "down", &url(&server, "a")]).ok();
        // curl takes the CR out where local lines have none, or leaves them
        let down = curl.get("down");
        assert!(down == unix.as_bytes() || down == wire.as_bytes());
        curl.run(["-sS", "-o", "down", &format!("{};type=i", url(&server, "a"))]).ok();
        assert!(curl.get("down") == unix.as_bytes());
    }

    #[test]
    fn curl_says_what_was_refused() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = Server::setup().user("perm = elr").start();
        server.put("dir/a", "x");
        curl.put("a", "x");
        let address = server.address();
        // 67: login denied, 78: no such file, 9: no such directory, 25: upload refused
        curl.run(["-sS", &format!("ftp://bob:wrong@{address}/")]).code(67);
        curl.run(["-sS", &url(&server, "none")]).code(78);
        curl.run(["-sS", &url(&server, "none/a")]).code(9);
        curl.run(["-sS", &url(&server, "dir/a/")]).code(9);
        curl.run(["-sS", "-T", "a", &url(&server, "a")]).code(25);
        curl.run(["-sS", "--ftp-create-dirs", "-T", "a", &url(&server, "new/a")]).code(9);
        assert!(!server.has("a") && !server.has("new"));
    }

    #[test]
    fn curl_gets_a_file_as_anonymous_without_credentials() {
        let Some(curl) = Tool::find("curl") else { return };
        let server = anonymous();
        server.put("pub/a", "for all");
        curl.put("a", "x");
        let url = format!("ftp://{}/pub", server.address());
        assert_eq!(curl.run(["-sS", &format!("{url}/a")]).ok(), "for all");
        assert_eq!(curl.run(["-sSl", &format!("{url}/")]).ok(), "a\n");
        curl.run(["-sS", "-T", "a", &format!("{url}/b")]).code(25);
        assert!(!server.has("pub/b"));
    }
}

mod lftp {
    use super::*;

    /// Runs lftp commands, and gives up at the first refusal.
    fn lftp(tool: &Tool, server: &Server, commands: &str) -> Outcome {
        let address = server.address();
        let script = format!(
            "set cmd:fail-exit on; set net:max-retries 2; set net:timeout 20; \
             set xfer:clobber on; open -u bob,secret -p {} {}; {commands}",
            address.port(),
            address.ip()
        );
        tool.run(["--norc", "-c", &script])
    }

    fn round_trips(settings: &[&str], ip: &str, names: &[&[u8]]) {
        let Some(tool) = Tool::find("lftp") else { return };
        let server = on(ip);
        grow(&tool.path("up"), names);
        fs::create_dir(tool.path("up/empty dir")).unwrap();
        let wanted = tree(&tool.path("up"));
        for (at, setting) in settings.iter().enumerate() {
            let commands = format!("{setting}; mirror -R up t{at}; mirror t{at} down{at}");
            lftp(&tool, &server, &commands).ok();
            same(setting, &wanted, &tree(&server.home().join(format!("t{at}"))));
            same(setting, &wanted, &tree(&tool.path(&format!("down{at}"))));
        }
    }

    #[test]
    fn lftp_mirrors_every_name_both_ways_with_each_of_its_settings() {
        let settings = [
            "set ftp:use-mlsd on",
            "set ftp:prefer-epsv on",
            "set ftp:prefer-epsv off",
            "set ftp:passive-mode off",
            "set ftp:sync-mode off",
            "set ftp:use-size off",
            "set ftp:use-mdtm off",
            "set ftp:use-utf8 off",
            "set ftp:use-tvfs no",
            "set ftp:use-tvfs yes",
            "set ftp:use-allo off",
            "set ftp:use-pret on",
            "set ftp:nop-interval 1",
            "set ftp:use-telnet-iac on",
            "set mirror:parallel-transfer-count 4; set ftp:sync-mode off",
        ];
        let names = [&names_but(&[])[..], &[IAC]].concat();
        round_trips(&settings, "127.0.0.1", &names);
    }

    #[test]
    fn lftp_mirrors_by_long_listings() {
        let settings = [
            "set ftp:use-mlsd off",
            "set ftp:use-feat off",
            "set ftp:use-mlsd off; set ftp:list-options -a",
            "set ftp:use-mlsd off; set ftp:use-stat-for-list on",
        ];
        // what its reading of LIST takes for something else
        round_trips(
            &settings,
            "127.0.0.1",
            &names_but(&[b" leading", b"trailing ", b"a -> b"]),
        );
    }

    #[test]
    fn lftp_mirrors_over_ipv6() {
        if addresses().len() == 2 {
            // not active: over ::1 alone, lftp names `::` in EPRT
            let settings = ["", "set ftp:use-feat off"];
            round_trips(&settings, "::1", PLAIN);
        }
    }

    #[test]
    fn lftp_carries_100_mb_both_ways_in_pieces_and_resumes() {
        let Some(tool) = Tool::find("lftp") else { return };
        let server = Server::start();
        tool.put("big", big());
        lftp(&tool, &server, "put big; get big -o down; pget -n 4 big -o pieces").ok();
        assert!(server.get("big") == big());
        assert!(tool.get("down") == big());
        assert!(tool.get("pieces") == big());
        let part = &big()[..33_333_333];
        server.put("big", part);
        tool.put("down", part);
        lftp(&tool, &server, "put -c big; get -c big -o down").ok();
        assert!(server.get("big") == big());
        assert!(tool.get("down") == big());
        let log = server.log();
        assert!(log.contains(&(big().len() - part.len()).to_string()), "{log}");
    }

    #[test]
    fn lftp_mirror_with_delete_takes_away_what_is_not_there() {
        let Some(tool) = Tool::find("lftp") else { return };
        let server = Server::start();
        grow(&tool.path("up"), &names_but(&[]));
        grow(&server.home().join("t"), &names_but(&[]));
        server.put("t/old dir/deep/-x", "x");
        server.put("t/old file", "x");
        server.put("t/plain.txt", "changed");
        lftp(&tool, &server, "mirror -R --delete --parallel=3 up t").ok();
        let wanted = tree(&tool.path("up"));
        same("mirror -R --delete", &wanted, &tree(&server.home().join("t")));
        tool.put("down/sub dir/surplus", "x");
        lftp(&tool, &server, "mirror --delete --parallel=3 t down").ok();
        same("mirror --delete", &wanted, &tree(&tool.path("down")));
    }

    #[test]
    fn lftp_keeps_times_and_finds_nothing_to_do_the_second_time() {
        let Some(tool) = Tool::find("lftp") else { return };
        let server = Server::start();
        let path = tool.put("up/a", "x");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_001);
        fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        lftp(&tool, &server, "mirror -R up t; mirror t down").ok();
        for path in [server.home().join("t/a"), tool.path("down/a")] {
            assert_eq!(path.metadata().unwrap().modified().unwrap(), at, "{}", path.display());
        }
        let said = lftp(&tool, &server, "mirror -R -v up t; mirror -v t down").ok();
        assert!(!said.contains("ransferring"), "{said}");
    }

    #[test]
    fn lftp_manages_files() {
        let Some(tool) = Tool::find("lftp") else { return };
        let server = Server::start();
        server.put("a", "x");
        let commands = "mkdir -p 'd 1/e/f'; mv a 'd 1/b'; chmod 600 'd 1/b'; cd 'd 1/e'; pwd; \
                        cls -1 ..; rmdir f; cd; glob echo 'd 1/*'; du -s; find; \
                        mkdir gone; put /dev/null -o gone/x; rm -r gone";
        let said = lftp(&tool, &server, commands).ok();
        assert!(said.contains("/d%201/e"), "{said}");
        let mode = server.home().join("d 1/b").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(server.has("d 1/e") && !server.has("d 1/e/f") && !server.has("gone"));
    }
}

mod wget {
    use super::*;

    fn url(server: &Server, path: &str) -> String {
        format!("ftp://bob:secret@{}/{path}", server.address())
    }

    #[test]
    fn wget_fetches_a_tree_active_and_passive_over_both_protocols() {
        let Some(wget) = Tool::find("wget") else { return };
        for ip in addresses() {
            let server = on(ip);
            // what its reading of LIST, and of names as parts of URLs, loses
            let without: [&[u8]; 4] = [b" leading", b"percent%20enc", LONG, TAB];
            grow(&server.home().join("t"), &names_but(&without));
            fs::create_dir(server.home().join("t/empty dir")).unwrap();
            let wanted = tree(&server.home().join("t"));
            for (to, option) in [("passive", "--passive-ftp"), ("active", "--no-passive-ftp")] {
                let line = ["-nv", "-r", "-l", "0", "-nH", "--cut-dirs=1", "-P", to, option];
                let plain = ["--restrict-file-names=nocontrol", &url(&server, "t/")];
                wget.run([&line[..], &plain[..]].concat()).ok();
                same(option, &wanted, &tree(&wget.path(to)));
            }
        }
    }

    #[test]
    fn wget_carries_100_mb_and_continues() {
        let Some(wget) = Tool::find("wget") else { return };
        let server = Server::start();
        server.put("big", big());
        wget.run(["-nv", &url(&server, "big")]).ok();
        assert!(wget.get("big") == big());
        wget.put("big", &big()[..55_555_555]);
        let said = wget.run(["-c", "--progress=dot:giga", &url(&server, "big")]).ok();
        assert!(said.contains("REST 55555555"), "{said}");
        assert!(wget.get("big") == big());
        // nothing is left to get
        wget.run(["-nv", "-c", &url(&server, "big")]).ok();
        assert!(wget.get("big") == big());
    }

    #[test]
    fn wget_keeps_times_and_fetches_only_what_is_newer() {
        let Some(wget) = Tool::find("wget") else { return };
        let server = Server::start();
        let path = server.put("a", "first");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
        let touch = |at| fs::File::options().write(true).open(&path).unwrap().set_modified(at);
        touch(at).unwrap();
        wget.run(["-N", &url(&server, "a")]).ok();
        assert_eq!(wget.get("a"), b"first");
        let local = wget.path("a").metadata().unwrap().modified().unwrap();
        let apart = local.duration_since(at).unwrap_or_else(|why| why.duration());
        // LIST says no more than the day
        assert!(apart <= Duration::from_secs(86_400), "{local:?}");
        let said = wget.run(["-N", &url(&server, "a")]).ok();
        assert!(said.contains("not retrieving"), "{said}");
        fs::write(&path, "other").unwrap();
        touch(at + Duration::from_secs(10 * 86_400)).unwrap();
        wget.run(["-N", &url(&server, "a")]).ok();
        assert_eq!(wget.get("a"), b"other");
    }

    #[test]
    fn wget_gets_a_file_as_anonymous_without_credentials() {
        let Some(wget) = Tool::find("wget") else { return };
        let server = anonymous();
        server.put("pub/a b", "for all");
        wget.run(["-nv", &format!("ftp://{}/pub/a%20b", server.address())]).ok();
        assert_eq!(wget.get("a b"), b"for all");
        // 8: the server said no
        wget.run(["-nv", "-t", "1", &format!("ftp://{}/pub/none", server.address())]).code(8);
    }

    #[test]
    fn wget_globs_by_the_listing() {
        let Some(wget) = Tool::find("wget") else { return };
        let server = Server::start();
        for name in ["d/one.txt", "d/two.txt", "d/three.bin"] {
            server.put(name, name);
        }
        wget.run(["-nv", &url(&server, "d/*.txt")]).ok();
        assert_eq!(wget.get("two.txt"), b"d/two.txt");
        assert!(wget.path("one.txt").exists() && !wget.path("three.bin").exists());
    }
}

mod ftplib {
    use super::*;

    /// Names go as Latin-1, which carries each byte as it is.
    const SCRIPT: &str = r#"
import ftplib, os, sys
host, port, passive = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "passive"
ftp = ftplib.FTP(encoding="latin-1")
ftp.connect(host, port, timeout=50)
ftp.login("bob", "secret")
ftp.set_pasv(passive)
root = ftp.pwd()
name = lambda path: path.decode("latin-1")

def put(local, remote):
    assert ftp.mkd(remote) == remote
    for entry in os.scandir(local):
        there = remote + "/" + name(entry.name)
        if entry.is_dir():
            put(entry.path, there)
        else:
            with open(entry.path, "rb") as file:
                assert ftp.storbinary("STOR " + there, file).startswith("226")
            assert ftp.size(there) == entry.stat().st_size

def get(remote, local):
    os.mkdir(local)
    names = []
    for entry, facts in ftp.mlsd(remote):
        names.append(entry)
        there, here = remote + "/" + entry, local + b"/" + entry.encode("latin-1")
        if facts["type"] == "dir":
            get(there, here)
        else:
            with open(here, "wb") as file:
                assert ftp.retrbinary("RETR " + there, file.write).startswith("226")
            assert os.stat(here).st_size == int(facts["size"])
    assert sorted(ftp.nlst(remote)) == sorted(remote + "/" + entry for entry in names)
    lines = []
    ftp.dir(remote, lines.append)
    assert len(lines) == len(names)

def clear(remote):
    for entry, facts in list(ftp.mlsd(remote)):
        there = remote + "/" + entry
        clear(there) if facts["type"] == "dir" else ftp.delete(there)
    ftp.rmd(remote)

to = root + sys.argv[3]
put(b"up", to)
get(to, b"down-" + sys.argv[3].encode())
if len(sys.argv) > 4:
    ftp.rename(to, root + "away")
    clear(root + "away")
assert ftp.quit().startswith("221")
"#;

    #[test]
    fn ftplib_carries_a_tree_both_ways_active_and_passive_over_both_protocols() {
        let Some(python) = Tool::find("python3") else { return };
        grow(&python.path("up"), &names_but(&[]));
        fs::create_dir(python.path("up/empty dir")).unwrap();
        let wanted = tree(&python.path("up"));
        for ip in addresses() {
            let server = on(ip);
            let port = server.address().port().to_string();
            for mode in ["passive", "active"] {
                python.run(["-c", SCRIPT, ip, &port, mode]).ok();
                same(mode, &wanted, &tree(&server.home().join(mode)));
                let down = python.path(&format!("down-{mode}"));
                same(mode, &wanted, &tree(&down));
                fs::remove_dir_all(down).unwrap();
            }
        }
    }

    #[test]
    fn ftplib_carries_100_mb_both_ways_and_clears_up() {
        let Some(python) = Tool::find("python3") else { return };
        python.put("up/big", big());
        let server = Server::start();
        let port = server.address().port().to_string();
        python.run(["-c", SCRIPT, "127.0.0.1", &port, "passive", "clear"]).ok();
        assert!(python.get("down-passive/big") == big());
        assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
    }
}

/// Runs the classic clients, with commands from a macro in `.netrc` instead of standard input.
mod classic {
    use super::*;

    fn run(tool: &Tool, server: &Server, options: &[&str], commands: &str) -> String {
        let address = server.address();
        let netrc = format!(
            "machine {}\nlogin bob\npassword secret\nmacdef init\nbinary\nprompt\n{commands}\nquit\n\n",
            address.ip()
        );
        let path = tool.put(".netrc", netrc);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        tool.run([options, &["-v", &ip, &port]].concat()).text
    }

    /// Both clients take a leading dash for an option or a pipe for a command, and few quotes.
    fn names() -> Vec<&'static [u8]> {
        PLAIN.iter().copied().filter(|name| *name != b"pipe|x").collect()
    }

    fn round_trips(name: &'static str, modes: &[(&str, &str)]) {
        let Some(tool) = Tool::find(name) else { return };
        for name in names() {
            tool.put(&format!("up/{}", String::from_utf8_lossy(name)), noise(1, 999));
        }
        tool.put("up/empty", "");
        let wanted = tree(&tool.path("up"));
        for (ip, option) in modes {
            if !addresses().contains(ip) {
                continue;
            }
            let server = on(ip);
            let _ = fs::remove_dir_all(tool.path("down"));
            fs::create_dir(tool.path("down")).unwrap();
            let mut commands = "mkdir t\ncd t\nlcd up\n".to_owned();
            for name in wanted.keys() {
                let name = name.to_str().unwrap();
                commands += &format!("put \"{name}\"\n");
            }
            let said = run(&tool, &server, &[option], &commands);
            let stored = tree(&server.home().join("t"));
            assert_eq!(stored, wanted, "{said}");
            let mut commands = "cd t\nlcd down\n".to_owned();
            for name in wanted.keys() {
                let name = name.to_str().unwrap();
                commands += &format!("get \"{name}\"\n");
            }
            let said = run(&tool, &server, &[option], &commands);
            assert_eq!(tree(&tool.path("down")), wanted, "{said}");
        }
    }

    #[test]
    fn tnftp_carries_files_both_ways_active_and_passive_over_both_protocols() {
        round_trips(
            "tnftp",
            &[("127.0.0.1", "-p"), ("127.0.0.1", "-A"), ("::1", "-p"), ("::1", "-A")],
        );
    }

    #[test]
    fn inetutils_ftp_carries_files_both_ways_active_and_passive_over_both_protocols() {
        round_trips(
            "inetutils-ftp",
            &[("127.0.0.1", "-p"), ("127.0.0.1", "-A"), ("::1", "-p"), ("::1", "-A")],
        );
    }

    fn a_day(name: &'static str) {
        let Some(tool) = Tool::find(name) else { return };
        let server = Server::start();
        tool.put("big", big());
        let commands = "put big\nmkdir d\nrename big d/big\nchmod 600 d/big\nget d/big down\n\
                        umask 077\nsystem\nstatus\nrstatus\nremotehelp\nsize d/big\n\
                        modtime d/big\nidle 60\nls -la\nnlist d\nput big x\ndelete x\nmkdir e\n\
                        rmdir e";
        let said = run(&tool, &server, &[], commands);
        assert!(tool.get("down") == big(), "{said}");
        assert!(server.get("d/big") == big(), "{said}");
        assert!(!server.has("x") && !server.has("e"), "{said}");
        let mode = server.home().join("d/big").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{said}");
        assert!(!said.contains("\n5"), "{said}");
    }

    #[test]
    fn tnftp_carries_100_mb_and_manages_files() {
        a_day("tnftp");
    }

    #[test]
    fn inetutils_ftp_carries_100_mb_and_manages_files() {
        a_day("inetutils-ftp");
    }

    fn many(name: &'static str) {
        let Some(tool) = Tool::find(name) else { return };
        let server = Server::start();
        for name in ["one.txt", "two words.txt", "three.bin"] {
            server.put(name, name);
        }
        let said = run(&tool, &server, &[], "mget *.txt\nmdelete *.bin");
        assert!(tool.path("one.txt").exists(), "{said}");
        assert_eq!(tool.get("two words.txt"), b"two words.txt");
        assert!(!tool.path("three.bin").exists() && !server.has("three.bin"), "{said}");
    }

    #[test]
    fn tnftp_gets_and_deletes_by_pattern() {
        many("tnftp");
    }

    #[test]
    fn inetutils_ftp_gets_and_deletes_by_pattern() {
        many("inetutils-ftp");
    }

    #[test]
    fn tnftp_fetches_and_stores_by_url() {
        let Some(tool) = Tool::find("tnftp") else { return };
        let server = anonymous();
        server.put("pub/a b", "for all");
        tool.put("up", "mine");
        let address = server.address();
        tool.run(["-o", "down", &format!("ftp://{address}/pub/a%20b")]).ok();
        assert_eq!(tool.get("down"), b"for all");
        let url = format!("ftp://bob:secret@{address}/pub/up");
        tool.run(["-u", &url, "up"]).ok();
        assert_eq!(server.get("pub/up"), b"mine");
    }
}

mod ncftp {
    use super::*;

    fn run(tool: &Tool, name: &str, server: &Server, rest: &[&str]) -> Outcome {
        let address = server.address();
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let mut line = vec!["-V", "-u", "bob", "-p", "secret", "-P", &port];
        let (options, places) =
            rest.split_at(rest.iter().position(|a| !a.starts_with('-')).unwrap_or(rest.len()));
        line.extend(options);
        line.push(&ip);
        line.extend(places);
        tool.run_as(name, line)
    }

    #[test]
    fn ncftp_carries_a_tree_both_ways_active_and_passive() {
        let Some(tool) = Tool::find("ncftpput") else { return };
        // its own walk of a folder stumbles over more than these
        grow(&tool.path("up"), PLAIN);
        let wanted = tree(&tool.path("up"));
        let server = Server::start();
        for (to, option) in [("passive", "-F"), ("active", "-E")] {
            run(&tool, "ncftpput", &server, &[option, "-m", "-R", to, "up"]).ok();
            same(to, &wanted, &tree(&server.home().join(to).join("up")));
            fs::create_dir(tool.path(to)).unwrap();
            // it tries a tar of the folder first and says so when there is none
            run(&tool, "ncftpget", &server, &[option, "-T", "-R", to, &format!("{to}/up")]);
            same(to, &wanted, &tree(&tool.path(to).join("up")));
        }
    }

    #[test]
    fn ncftp_carries_100_mb_both_ways_and_resumes() {
        let Some(tool) = Tool::find("ncftpput") else { return };
        let server = Server::start();
        tool.put("big", big());
        run(&tool, "ncftpput", &server, &["-z", "/", "big"]).ok();
        assert!(server.get("big") == big());
        fs::create_dir(tool.path("down")).unwrap();
        tool.put("down/big", &big()[..1_234_567]);
        run(&tool, "ncftpget", &server, &["-z", "down", "/big"]).ok();
        assert!(tool.get("down/big") == big());
    }

    #[test]
    fn ncftpls_lists_names_and_facts() {
        let Some(tool) = Tool::find("ncftpls") else { return };
        let server = Server::start();
        server.put("d/with space", "12345");
        let address = server.address();
        for options in ["-1", "-l", "-m", "-R", "-a"] {
            let url = format!("ftp://bob:secret@{address}/d/");
            let said = tool.run([options, &url]).ok();
            assert!(said.contains("with space"), "{options}: {said}");
        }
    }
}

mod rclone {
    use super::*;

    fn rclone(tool: &Tool, server: &Server, options: &str, line: &[&str]) -> Outcome {
        let obscured = tool.run(["obscure", "secret"]).ok();
        let address = server.address();
        // written into an address as it is
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let config = format!(
            "[s]\ntype = ftp\nhost = {host}\nport = {}\nuser = bob\npass = {}\n{options}\n",
            address.port(),
            obscured.lines().last().unwrap()
        );
        tool.put("rclone.conf", config);
        let bounds = ["--config", "rclone.conf", "--retries", "1"];
        tool.run([line, &bounds].concat())
    }

    #[test]
    fn rclone_copies_checks_and_syncs_over_both_protocols() {
        let Some(tool) = Tool::find("rclone") else { return };
        // rclone changes the spelling of these before they reach the server
        let without: [&[u8]; 3] = [b"trailing ", NOT_UTF8, TAB];
        grow(&tool.path("up"), &names_but(&without));
        fs::create_dir(tool.path("up/empty dir")).unwrap();
        let wanted = tree(&tool.path("up"));
        for ip in addresses() {
            for options in ["", "disable_mlsd = true", "disable_epsv = true"] {
                if ip == "::1" && options.contains("epsv") {
                    continue; // PASV has no words for IPv6
                }
                let server = on(ip);
                rclone(
                    &tool,
                    &server,
                    options,
                    &["copy", "--create-empty-src-dirs", "up", "s:t"],
                )
                .ok();
                same(options, &wanted, &tree(&server.home().join("t")));
                rclone(&tool, &server, options, &["check", "--download", "up", "s:t"]).ok();
                let said = rclone(&tool, &server, options, &["copy", "-v", "up", "s:t"]).ok();
                assert!(!said.contains("Copied"), "{said}");
                server.put("t/old/file", "x");
                server.put("t/plain.txt", "changed");
                rclone(
                    &tool,
                    &server,
                    options,
                    &["sync", "--create-empty-src-dirs", "up", "s:t"],
                )
                .ok();
                same(options, &wanted, &tree(&server.home().join("t")));
                let _ = fs::remove_dir_all(tool.path("down"));
                tool.put("down/surplus", "x");
                rclone(
                    &tool,
                    &server,
                    options,
                    &["sync", "--create-empty-src-dirs", "s:t", "down"],
                )
                .ok();
                same(options, &wanted, &tree(&tool.path("down")));
            }
        }
    }

    #[test]
    fn rclone_carries_100_mb_both_ways() {
        let Some(tool) = Tool::find("rclone") else { return };
        tool.put("up/big", big());
        let server = Server::start();
        rclone(&tool, &server, "", &["copy", "up", "s:"]).ok();
        assert!(server.get("big") == big());
        rclone(&tool, &server, "", &["copy", "s:", "down"]).ok();
        assert!(tool.get("down/big") == big());
    }
}

/// Uploads that the client's sudden death cuts off half-way, and each client's own way to
/// continue them: the old version stays in place until the new one is whole.
mod resumption {
    use super::*;
    use crate::client::Client;
    use crate::parts::parts;
    use crate::server::eventually;

    const SIZE: usize = 1_500_000;

    /// Slow enough to be cut off at half of it, quick enough to be waited for.
    fn slow(overwrite: &str) -> Server {
        let ann = "[user:ann]\npassword = secret\nperm = elradfmwMT\nhome = home";
        let lines = format!("max_upload = 3M\noverwrite = {overwrite}");
        Server::setup().user(&lines).section(ann).start()
    }

    /// What the file was before: nothing, shorter than what arrives, longer than the whole.
    fn olds() -> [Option<Vec<u8>>; 3] {
        [None, Some(noise(8, 1000)), Some(noise(9, SIZE + 500_000))]
    }

    fn url(server: &Server, path: &str) -> String {
        format!("ftp://bob:secret@{}/{path}", server.address())
    }

    fn ip_and_port(server: &Server) -> (String, String) {
        (server.address().ip().to_string(), server.address().port().to_string())
    }

    /// A client that is killed half-way by `begin`, and goes on by `go_on`, with each older
    /// version, which is replaced or, with `overwrite = rename`, stays.
    fn cut_and_go_on(
        tool: &Tool,
        begin: impl Fn(&Server) -> (&'static str, Vec<String>),
        go_on: impl Fn(&Server) -> String,
    ) {
        for overwrite in ["yes", "rename"] {
            cut_and_go_on_with(overwrite, tool, &begin, &go_on);
        }
    }

    fn cut_and_go_on_with(
        overwrite: &str,
        tool: &Tool,
        begin: impl Fn(&Server) -> (&'static str, Vec<String>),
        go_on: impl Fn(&Server) -> String,
    ) {
        let new = noise(1, SIZE);
        let hours_ago = |path: &Path, hours: u64| {
            let at = SystemTime::now() - Duration::from_secs(hours * 3600);
            fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        };
        // lftp's mirror goes on only with what is younger than its own file
        hours_ago(&tool.put("t/big", &new), 1);
        for old in olds() {
            let server = slow(overwrite);
            let home = server.home().join("t");
            fs::create_dir(&home).unwrap();
            if let Some(old) = &old {
                hours_ago(&server.put("t/big", old), 24);
            }
            let (name, line) = begin(&server);
            tool.cut(name, line, || parts(&home).iter().any(|part| part.1 > 500_000));
            eventually("the session has ended", || server.log().contains("failed:"));
            let before = old.as_ref().map(Vec::len);
            assert!(fs::read(home.join("big")).ok() == old, "{before:?} bytes before");
            let mut ann = Client::login(&server, "ann", "secret");
            match before {
                None => drop(ann.cmd("SIZE t/big", 550)),
                Some(len) => assert_eq!(ann.cmd("SIZE t/big", 213), format!("213 {len}")),
            }
            let left: usize =
                parts(&home).iter().map(|part| usize::try_from(part.1).unwrap()).sum();
            let said = go_on(&server);
            let stays = old.as_ref().filter(|_| overwrite == "rename");
            let stored = if stays.is_some() { "t/big (1)" } else { "t/big" };
            assert!(
                server.get(stored) == new,
                "{before:?} bytes before\n{said}\n{}",
                server.log()
            );
            assert!(stays.is_none_or(|old| server.get("t/big") == *old), "{said}");
            assert_eq!(parts(&home), [], "{said}");
            // it did continue, and did not start again
            let rest = format!(": {} bytes", SIZE - left);
            let line = server.wait_for_log(&rest);
            assert!(line.ends_with("complete"), "{line}\n{said}");
        }
    }

    #[test]
    fn curl_resumes_a_broken_upload() {
        let Some(tool) = Tool::find("curl") else { return };
        cut_and_go_on(
            &tool,
            |server| {
                (
                    "curl",
                    ["-sS", "-T", "t/big", &url(server, "t/big")].map(str::to_owned).into(),
                )
            },
            |server| tool.run(["-sSv", "-C", "-", "-T", "t/big", &url(server, "t/big")]).ok(),
        );
    }

    fn lftp(server: &Server, commands: &str) -> Vec<String> {
        let (ip, port) = ip_and_port(server);
        let script = format!(
            "set cmd:fail-exit on; set net:max-retries 2; set net:timeout 20; set xfer:clobber on; \
             open -u bob,secret -p {port} {ip}; {commands}"
        );
        vec!["--norc".to_owned(), "-c".to_owned(), script]
    }

    #[test]
    fn lftp_put_resumes_a_broken_upload() {
        let Some(tool) = Tool::find("lftp") else { return };
        cut_and_go_on(
            &tool,
            |server| ("lftp", lftp(server, "put t/big -o t/big")),
            |server| tool.run(lftp(server, "put -c t/big -o t/big")).ok(),
        );
    }

    #[test]
    fn lftp_mirror_resumes_a_broken_upload() {
        let Some(tool) = Tool::find("lftp") else { return };
        for settings in ["", "set ftp:use-mlsd off; "] {
            cut_and_go_on(
                &tool,
                |server| {
                    ("lftp", lftp(server, &format!("{settings}mirror -R --overwrite t t")))
                },
                |server| tool.run(lftp(server, &format!("{settings}mirror -R -c t t"))).ok(),
            );
        }
    }

    /// ncftpput 3.2.6 asks for the right place, and sends the whole file behind it: its
    /// `sendfile` begins at 0. Without `-z` it has no part in that.
    #[test]
    fn ncftpput_is_led_to_the_right_place_and_without_z_begins_anew() {
        let Some(tool) = Tool::find("ncftpput") else { return };
        let new = noise(1, SIZE);
        tool.put("t/big", &new);
        let line = |server: &Server, option: &str| {
            let (ip, port) = ip_and_port(server);
            let words =
                ["-V", option, "-u", "bob", "-p", "secret", "-P", &port, &ip, "/", "t/big"];
            words.map(str::to_owned).to_vec()
        };
        for (old, option) in
            olds().into_iter().flat_map(|old| [(old.clone(), "-Z"), (old, "-z")])
        {
            let server = slow("yes");
            if let Some(old) = &old {
                server.put("big", old);
            }
            let home = server.home();
            let there = || parts(&home).iter().any(|part| part.1 > 500_000);
            tool.cut("ncftpput", line(&server, "-Z"), there);
            eventually("the session has ended", || server.log().contains("failed:"));
            assert_eq!(fs::read(home.join("big")).ok(), old);
            let left = usize::try_from(parts(&home)[0].1).unwrap();
            let said = tool.run(line(&server, option)).ok();
            let got = server.get("big");
            let doubled = option == "-z" && got == [&new[..left], &new].concat();
            assert!(got == new || doubled, "{option}: {} bytes\n{said}", got.len());
            assert_eq!(parts(&home), []);
        }
    }

    /// Asks for the size, and goes on from there with REST and STOR.
    const SCRIPT: &str = r#"
import ftplib, os, sys
ftp = ftplib.FTP()
ftp.connect(sys.argv[1], int(sys.argv[2]), timeout=30)
ftp.login("bob", "secret")
with open("t/big", "rb") as file:
    rest = None
    if sys.argv[3] == "resume":
        ftp.voidcmd("TYPE I")
        rest = ftp.size("t/big")
        file.seek(rest)
    print(rest, ftp.storbinary("STOR t/big", file, rest=rest))
"#;

    #[test]
    fn ftplib_resumes_a_broken_upload() {
        let Some(tool) = Tool::find("python3") else { return };
        let line = |server: &Server, how: &str| {
            let (ip, port) = ip_and_port(server);
            ["-c", SCRIPT, &ip, &port, how].map(str::to_owned).to_vec()
        };
        cut_and_go_on(
            &tool,
            |server| ("python3", line(server, "begin")),
            |server| tool.run(line(server, "resume")).ok(),
        );
    }

    #[test]
    fn a_client_that_begins_anew_has_its_file_in_place_whole() {
        let Some(tool) = Tool::find("curl") else { return };
        let new = noise(1, SIZE);
        tool.put("t/big", &new);
        let server = slow("yes");
        server.put("big", "old");
        let line = ["-sS", "-T", "t/big", &url(&server, "big")].map(str::to_owned);
        tool.cut("curl", &line, || parts(&server.home()).iter().any(|part| part.1 > 500_000));
        assert_eq!(server.get("big"), b"old");
        tool.run(&line).ok();
        assert!(server.get("big") == new);
        assert_eq!(parts(&server.home()), []);
    }
}
