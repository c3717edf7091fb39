//! Who the server is for the system: root given up, and what is kept of it. Most of this takes
//! root, and is not tested without.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::client::{Client, port_command};
use crate::program::{BOB, Program, folder};
use crate::server::{Server, Setup, eventually, run};
use crate::tls_client::{Pair, named};

/// A user that each system has.
const NOBODY: u32 = 65534;

/// Whether the test can be run; says so if not.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not tested: it takes root");
    }
    is_root
}

/// A server that gives root up for nobody.
fn as_nobody() -> Setup {
    Server::setup().server("user = nobody").home_of(NOBODY)
}

/// The numbers behind a word in the status of each thread, by the thread's name.
fn threads(pid: u32, word: &str) -> Vec<(String, Vec<String>)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = |task: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(task.unwrap().path().join("status")).ok()
    };
    let of = |text: &str, word: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{word}:")));
        line.unwrap().split_whitespace().map(str::to_owned).collect()
    };
    let both = |text: String| (of(&text, "Name").concat(), of(&text, word));
    tasks.filter_map(status).map(both).collect()
}

/// All threads must have the same behind a word.
fn all_have(pid: u32, word: &str, wanted: &[&str]) {
    let threads = threads(pid, word);
    assert!(!threads.is_empty());
    for (name, mut found) in threads {
        found.sort();
        assert_eq!(found, wanted, "{word} of the thread {name}");
    }
}

const NONE: &str = "0000000000000000";

/// `CAP_NET_BIND_SERVICE`.
const LOW_PORTS: &str = "0000000000000400";

mod giving_up_root {
    use super::*;

    #[test]
    fn no_thread_keeps_anything_of_root() {
        if !is_root() {
            return;
        }
        let server = as_nobody().server("on_upload = /bin/true").start();
        let mut client = Client::bob(&server);
        client.upload("STOR file", b"text");
        let groups = Command::new("id").args(["-G", "nobody"]).output().unwrap();
        let groups = String::from_utf8(groups.stdout).unwrap();
        let mut groups: Vec<_> = groups.split_whitespace().collect();
        groups.sort_unstable();
        let names = server.threads();
        for name in ["ftpd", "signals", "ctrl-c", "admin", "session-1", "hook-1"] {
            assert!(names.iter().any(|other| other == name), "no {name} in {names:?}");
        }
        assert!(names.iter().any(|name| name.starts_with("accept-")), "{names:?}");
        let pid = server.pid();
        all_have(pid, "Uid", &["65534"; 4]);
        all_have(pid, "Gid", &["65534"; 4]);
        all_have(pid, "Groups", &groups);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            all_have(pid, set, &[NONE]);
        }
        all_have(pid, "NoNewPrivs", &["1"]);
        let meta = fs::metadata(server.home().join("file")).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (NOBODY, NOBODY));
        assert!(server.wait_for_log("root given up").contains("uid 65534, gid 65534"));
        assert!(!server.log().contains("running as root"), "{}", server.log());
    }

    #[test]
    fn what_the_user_may_not_touch_no_client_can() {
        if !is_root() {
            return;
        }
        let server = as_nobody().start();
        let secret = server.put("secret", "text");
        fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        let mut client = Client::bob(&server);
        client.passive();
        client.cmd("RETR secret", 550);
        client.cmd("SITE CHMOD 644 secret", 550);
        client.upload("STOR own", b"text");
        // this goes by way of /proc/self, which belongs to root even now
        client.cmd("SITE CHMOD 600 own", 200);
        assert_eq!(fs::metadata(server.home().join("own")).unwrap().mode() & 0o777, 0o600);
        let wanted = format!("uid {NOBODY} may not read the file {}", secret.display());
        assert!(server.wait_for_log("RETR").contains(&wanted), "{}", server.log());
    }

    #[test]
    fn ports_below_1024_are_kept_for_active_connections_alone() {
        if !is_root() {
            return;
        }
        let server = as_nobody().server("active_port = 20").start();
        server.put("file", "text");
        let mut client = Client::bob(&server);
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            client.cmd(&port_command(listener.local_addr().unwrap()), 200);
            client.send("RETR file");
            let (mut data, from) = listener.accept().unwrap();
            assert_eq!(from.port(), 20);
            client.expect(150);
            std::io::copy(&mut data, &mut std::io::sink()).unwrap();
            client.expect(226);
        }
        for set in ["CapPrm", "CapBnd"] {
            all_have(server.pid(), set, &[LOW_PORTS]);
        }
        all_have(server.pid(), "CapEff", &[NONE]);
    }

    #[test]
    fn what_root_has_made_for_the_server_is_its_user_s() {
        if !is_root() {
            return;
        }
        let lines = "group = daemon\nlog_level = info\ntransfer_log = xfer.log\n\
                     tls_cert = auto\nadmin_socket = run/ftpd.sock";
        let server = as_nobody().server(lines).start();
        Client::bob(&server).upload("STOR file", b"text");
        let daemon = group("daemon");
        for name in [
            "xfer.log",
            "ftpd-state",
            "ftpd-state/parts",
            "ftpd-tls",
            "ftpd-tls/key.pem",
            "ftpd-tls/cert.pem",
            "run",
            "run/ftpd.sock",
            "home/file",
        ] {
            let meta = fs::symlink_metadata(server.dir().join(name)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (NOBODY, daemon), "{name}");
        }
        // its own folder is not, and the log says what follows from that
        assert!(
            server.log().contains("transfer_log")
                && server.log().contains("cannot make it anew"),
            "{}",
            server.log()
        );
        let (code, out, err) = run(&["who"], server.dir());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
    }

    fn group(name: &str) -> u32 {
        let text = fs::read_to_string("/etc/group").unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split(':').nth(2).unwrap().parse().unwrap()
    }

    #[test]
    fn a_log_that_is_moved_away_is_made_anew_by_the_user() {
        if !is_root() {
            return;
        }
        let ini = "[server]\nip = 127.0.0.1\nport = 0\nuser = nobody\nlog_file = logs/log\n";
        let dir = folder(format!("{ini}{BOB}"));
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).unwrap();
        chown(&logs, Some(NOBODY), Some(NOBODY)).unwrap();
        let mut program = Program::start_in(dir, &[]);
        let address = program.address("logs/log");
        let (log, old) = (program.dir().join("logs/log"), program.dir().join("logs/old"));
        assert_eq!(fs::metadata(&log).unwrap().uid(), NOBODY);
        fs::rename(&log, old).unwrap();
        eventually("there is a new log", || {
            drop(crate::program::connect(address));
            log.exists()
        });
        assert_eq!(fs::metadata(&log).unwrap().uid(), NOBODY);
        assert!(!program.text("logs/old").contains("cannot make it anew"));
    }

    #[test]
    fn a_key_for_root_alone_serves_and_a_reload_that_cannot_read_it_changes_nothing() {
        if !is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let pair = Pair::own(&named("localhost"));
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        fs::write(&cert, pair.certificate).unwrap();
        fs::write(&key, pair.key).unwrap();
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        let lines = format!("tls_cert = {}\ntls_key = {}", cert.display(), key.display());
        let server = as_nobody().server(&lines).start();
        let warning = server.wait_for_log("cannot reload the settings");
        assert!(warning.contains("tls_key: ") && warning.contains("Permission denied"));
        let mut client = Client::connect(&server);
        client.cmd("AUTH TLS", 234);
        let (code, _, err) = run(&["reload"], server.dir());
        assert_eq!(code, 1);
        assert!(err.contains("tls_key: ") && err.contains("Permission denied"), "{err}");
        let mut client = Client::connect(&server);
        client.cmd("AUTH TLS", 234);
    }

    #[test]
    fn user_and_group_take_a_restart() {
        if !is_root() {
            return;
        }
        let server = as_nobody().start();
        let ini = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, text.replace("user = nobody", "user = daemon\ngroup = daemon"))
            .unwrap();
        let (code, out, err) = run(&["reload"], server.dir());
        assert_eq!(code, 0, "{err}");
        for key in ["user", "group"] {
            assert!(
                (out.clone() + &err)
                    .contains(&format!("{key} has changed, which takes a restart")),
                "{out}{err}"
            );
        }
        all_have(server.pid(), "Uid", &["65534"; 4]);
    }
}

mod without_root {
    use super::*;

    /// The program, started by nobody.
    fn nobody(arguments: &[&str], dir: &Path) -> (i32, String) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.arg(env!("CARGO_BIN_EXE_ftpd")).args(arguments).current_dir(dir);
        let output = command.output().unwrap();
        let code = output.status.code().unwrap_or(-1);
        (code, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn a_server_that_cannot_become_its_user_does_not_start() {
        if !is_root() {
            return;
        }
        let dir = folder(format!("[server]\nport = 0\nuser = daemon\n{BOB}"));
        for path in ["", "ftpd.ini", "home"] {
            chown(dir.path().join(path), Some(NOBODY), None).unwrap();
        }
        let (code, err) = nobody(&[], dir.path());
        let wanted = "ftpd.ini:3: [server] user: 'daemon' takes a start as root, and this is uid 65534\n";
        assert_eq!((code, err.as_str()), (78, wanted));
        // the settings are good all the same
        assert_eq!(nobody(&["check"], dir.path()).0, 0);
    }

    #[test]
    fn a_server_that_is_its_user_already_starts() {
        if !is_root() {
            return;
        }
        let server = Server::setup().server("user = nobody").run_as(NOBODY).start();
        assert!(server.log().contains("running as user nobody"), "{}", server.log());
        Client::bob(&server).upload("STOR file", b"text");
        all_have(server.pid(), "CapPrm", &[NONE]);
        all_have(server.pid(), "NoNewPrivs", &["1"]);
    }

    #[test]
    fn root_without_a_user_is_a_warning() {
        let server = Server::start();
        let warned = server.log().matches("running as root").count();
        assert_eq!(warned, usize::from(rustix::process::geteuid().is_root()));
    }
}

#[test]
fn why_asked_by_root_answers_for_the_server_s_user() {
    if !is_root() {
        return;
    }
    let server = as_nobody().start();
    let path = server.put("kept", "text");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let (code, out, err) = run(&["why", "bob", "kept", "read"], server.dir());
    assert_eq!((code, err.as_str()), (1, ""));
    let wanted =
        format!("uid {NOBODY} may not read the file {} (mode 600, owner 0:0)", path.display());
    assert!(out.contains(&wanted), "{out}");
    let server = Server::start();
    let (code, _, err) = run(&["why", "bob", "/", "list"], server.dir());
    assert_eq!(code, 0);
    assert!(err.starts_with("(for root; ask as the server's user"), "{err}");
}
