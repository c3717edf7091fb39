//! Giving up root, and the rights that the server keeps. Most of these tests need root, and are
//! skipped without it.

use std::fs;
use std::io::{BufRead, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::{Client, port_command};
use crate::program::{BOB, Program, folder};
use crate::server::{Server, Setup, eventually, run};
use crate::tls_client::{Pair, named};

/// A user that every system has.
const NOBODY: u32 = 65534;

/// Whether the test can run; prints a message if not.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not tested: it takes root");
    }
    is_root
}

/// A server that gives up root and runs as the user `nobody`.
fn as_nobody() -> Setup {
    Server::setup().server("user = nobody").home_of(NOBODY)
}

#[test]
fn a_secret_that_only_root_may_read_is_a_warning_for_the_next_reload() {
    if !is_root() {
        return;
    }
    let server = as_nobody()
        .section("[user:anna]\npassword_file = secret\nhome = home")
        .start_with(|dir| {
            fs::write(dir.join("secret"), "s3cret\n").unwrap();
            fs::set_permissions(dir.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
        });
    Client::login(&server, "anna", "s3cret").cmd("QUIT", 221);
    let log = server.log();
    let warning = log.lines().find(|line| line.contains("user nobody cannot reload")).unwrap();
    assert!(warning.contains("[user:anna] password_file: 'secret' cannot be read: "), "{log}");
}

#[test]
fn a_home_of_another_user_is_named_with_its_owner_when_the_server_starts() {
    if !is_root() {
        return;
    }
    let server = Server::setup().run_as(NOBODY).home_of(1000).start();
    server.wait_for_log(&format!(
        "[user:bob] home {}: uploads will fail: the server runs as uid {NOBODY}, and the directory \
         belongs to uid 1000, gid 1000, mode 755",
        server.home().display()
    ));
    let setup = || Server::setup().run_as(NOBODY).home_of(1000);
    for quiet in [
        setup().user("perm = elr").start(),
        setup().user("enabled = off").start(),
        Server::setup().run_as(NOBODY).start(),
    ] {
        assert!(!quiet.log().contains("uploads will fail"), "{}", quiet.log());
    }
    let below = Server::setup()
        .run_as(NOBODY)
        .home_of(1000)
        .user("home = home/new\ncreate_home = on")
        .start();
    let above = below.home();
    below
        .wait_for_log(&format!("it cannot be created in {}: the server runs", above.display()));
}

/// The numbers after a word in the status of each thread, by the thread's name.
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

/// Checks that all threads have equal numbers after a word. The thread for lookups never has
/// capabilities, unless the server is root.
fn all_have(pid: u32, word: &str, wanted: &[&str]) {
    let is_root = threads(pid, "Uid").iter().all(|(_, uids)| uids[0] == "0");
    let threads = threads(pid, word);
    assert!(!threads.is_empty());
    for (name, mut found) in threads {
        found.sort();
        let has_none = name == "lookups" && word == "CapPrm" && !is_root;
        let wanted = if has_none { &[NONE] } else { wanted };
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
    fn files_that_root_made_for_the_server_belong_to_its_user() {
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
                && server.log().contains("cannot make it again"),
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
        assert!(!program.text("logs/old").contains("cannot make it again"));
    }

    #[test]
    fn a_link_in_the_folder_of_the_logs_leads_root_nowhere() {
        if !is_root() {
            return;
        }
        let lines = "log_file = logs/log\ntransfer_log = logs/xfer\nsandbox = off\n";
        let ini = format!("[server]\nip = 127.0.0.1\nport = 0\nuser = nobody\n{lines}{BOB}");
        let dir = folder(ini);
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).unwrap();
        chown(&logs, Some(NOBODY), Some(NOBODY)).unwrap();
        let (kept, new) = (dir.path().join("kept"), dir.path().join("new"));
        fs::write(&kept, "root's").unwrap();
        fs::set_permissions(&kept, PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&kept, logs.join("log")).unwrap();
        std::os::unix::fs::symlink(&new, logs.join("xfer")).unwrap();
        let mut program = Program::start_in(dir, &[]);
        assert_ne!(program.child.wait().unwrap().code(), Some(0));
        assert_eq!(fs::read_to_string(kept).unwrap(), "root's");
        assert!(!new.exists());
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
        assert_eq!(code, 78);
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
                    .contains(&format!("{key} has changed; restart the server to apply it")),
                "{out}{err}"
            );
        }
        all_have(server.pid(), "Uid", &["65534"; 4]);
    }
}

/// Links to the server's own files, which root must not follow.
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with settings, where `planted` is nobody's.
    fn with(lines: &str) -> tempfile::TempDir {
        let dir = folder(format!("[server]\nip = 127.0.0.1\nport = 0\n{lines}\n{BOB}"));
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let planted = dir.path().join("planted");
        fs::create_dir(&planted).unwrap();
        chown(&planted, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::create_dir(dir.path().join("roots")).unwrap();
        dir
    }

    /// The check and the start say the same of the settings: a fault of this key.
    fn is_refused(dir: &Path, key: &str, why: &str) {
        for arguments in [&["check"][..], &[]] {
            let (code, out, err) = run(arguments, dir);
            assert_eq!(code, 78, "{key} {arguments:?}: {out}{err}");
            assert!(err.contains(&format!("[server] {key}: ")) && err.contains(why), "{err}");
        }
    }

    const KEYS: [(&str, &str, &str); 5] = [
        ("log_file", "log", ""),
        ("transfer_log", "log", ""),
        ("state_dir", "state", ""),
        ("admin_socket", "socket", ""),
        ("tls_dir", "tls", "tls_cert = auto"),
    ];

    #[test]
    fn one_that_others_could_have_planted_is_refused_by_the_check_and_the_start() {
        if !is_root() {
            return;
        }
        for user in ["", "user = nobody"] {
            for (key, name, more) in KEYS {
                for path in [name.to_owned(), format!("deeper/{name}")] {
                    let dir = with(&format!("{user}\n{more}\n{key} = planted/{path}"));
                    let link = dir.path().join("planted").join(path.split('/').next().unwrap());
                    symlink(dir.path().join("roots"), &link).unwrap();
                    // a log that is a link to a directory is refused for that
                    if path == "log" {
                        fs::remove_file(&link).unwrap();
                        symlink(dir.path().join("roots/log"), &link).unwrap();
                    }
                    is_refused(dir.path(), key, "root does not follow it");
                    let roots = fs::read_dir(dir.path().join("roots")).unwrap();
                    assert_eq!(roots.count(), 0, "{key}");
                }
            }
        }
    }

    #[test]
    fn one_that_only_root_can_have_put_there_is_followed() {
        if !is_root() {
            return;
        }
        for user in ["", "user = nobody"] {
            let lines =
                KEYS.map(|(key, name, more)| format!("{more}\n{key} = link/{name}-{key}"));
            let dir = with(&format!("{user}\n{}", lines.join("\n")));
            symlink("roots/real", dir.path().join("link")).unwrap();
            let real = dir.path().join("roots/real");
            fs::create_dir(&real).unwrap();
            symlink("the-log", real.join("log-log_file")).unwrap();
            assert_eq!(run(&["check"], dir.path()).0, 0, "{}", run(&["check"], dir.path()).2);
            let mut program = Program::start_in(dir, &[]);
            let log = "roots/real/the-log";
            program.address(log);
            for (key, name, _) in KEYS {
                let made = program.dir().join(format!("link/{name}-{key}"));
                assert!(made.exists(), "{key}: {}", program.text(log));
            }
            assert_eq!(program.stop(), 0);
        }
    }

    #[test]
    fn a_second_name_of_a_file_is_not_written_to_and_a_fifo_holds_nobody_up() {
        if !is_root() {
            return;
        }
        for user in ["", "user = nobody"] {
            for key in ["log_file", "transfer_log"] {
                let dir = with(&format!("{user}\n{key} = planted/log"));
                let kept = dir.path().join("roots/kept");
                fs::write(&kept, "root's").unwrap();
                fs::set_permissions(&kept, PermissionsExt::from_mode(0o600)).unwrap();
                fs::hard_link(&kept, dir.path().join("planted/log")).unwrap();
                is_refused(dir.path(), key, "a hard link");
                assert_eq!(fs::read_to_string(&kept).unwrap(), "root's");
                let dir = with(&format!("{user}\n{key} = planted/log"));
                let fifo = dir.path().join("planted/log");
                assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
                is_refused(dir.path(), key, "is not a plain file");
            }
        }
    }

    #[test]
    fn keys_and_users_are_not_read_by_way_of_one() {
        if !is_root() {
            return;
        }
        let dir = with("user = nobody\ntls_cert = cert.pem\ntls_key = planted/key.pem");
        let pair = Pair::own(&named("localhost"));
        fs::write(dir.path().join("cert.pem"), pair.certificate).unwrap();
        fs::write(dir.path().join("roots/key.pem"), pair.key).unwrap();
        let (key, link) =
            (dir.path().join("roots/key.pem"), dir.path().join("planted/key.pem"));
        symlink(&key, &link).unwrap();
        is_refused(dir.path(), "tls_key", "root does not follow it");
        fs::remove_file(&link).unwrap();
        fs::rename(&key, &link).unwrap();
        assert_eq!(run(&["check"], dir.path()).0, 0);

        for users in ["planted/users.ini", "planted/users"] {
            let dir = with(&format!("user = nobody\nusers_file = {users}"));
            let secret = dir.path().join("roots/secret");
            fs::write(&secret, "hidden = of root alone\n").unwrap();
            let mut link = dir.path().join(users);
            if users == "planted/users" {
                fs::create_dir(&link).unwrap();
                chown(&link, Some(NOBODY), None).unwrap();
                link.push("x.ini");
            }
            symlink(&secret, &link).unwrap();
            for arguments in [&["check"][..], &[], &["users"]] {
                let (code, out, err) = run(arguments, dir.path());
                assert_eq!(code, 78, "{out}{err}");
                assert!(
                    err.contains("root does not follow it") && !err.contains("hidden"),
                    "{err}"
                );
            }
            let text = "[user:eve]\npassword = x\nhome = /\n";
            fs::write(&secret, text).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_ftpd"));
            command.args(["passwd", "eve", "--write"]).current_dir(dir.path());
            command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            let mut child = command.spawn().unwrap();
            let _ = child.stdin.take().unwrap().write_all(b"new password\n");
            let output = child.wait_with_output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(err.contains("root does not follow it"), "{err}");
            assert_eq!(fs::read_to_string(&secret).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_that_root_makes_is_the_user_s_with_those_above_it() {
        if !is_root() {
            return;
        }
        let dir =
            with("user = nobody\nstate_dir = planted/a/state\nadmin_socket = roots/b/c/socket");
        let mut program = Program::start_in(dir, &[]);
        program.address("stderr");
        for made in ["planted/a", "planted/a/state", "roots/b", "roots/b/c", "roots/b/c/socket"]
        {
            let meta = fs::symlink_metadata(program.dir().join(made)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (NOBODY, NOBODY), "{made}");
        }
    }

    #[test]
    fn temporary_files_of_the_state_lead_nowhere() {
        let dir = with("state_dir = planted/state");
        let state = dir.path().join("planted/state");
        fs::create_dir(&state).unwrap();
        let kept = dir.path().join("roots/kept");
        fs::write(&kept, "root's").unwrap();
        for name in ["parts.new", "logins.new"] {
            symlink(&kept, state.join(name)).unwrap();
        }
        let mut program = Program::start_in(dir, &[]);
        let address = program.address("stderr");
        drop(crate::program::log_in(address, "bob", "tops3cret"));
        assert_eq!(program.stop(), 0);
        assert_eq!(fs::read_to_string(kept).unwrap(), "root's");
        assert!(program.text("planted/state/logins").contains("bob"));
    }
}

/// Numbers that no account has, so that nobody's files are at stake.
const ANN: u32 = 61_001;
const BEN: u32 = 61_002;

/// `CAP_SETUID` and `CAP_SETGID`.
const SWITCH: &str = "00000000000000c0";

mod acting {
    use super::*;

    /// Ann and ben share bob's home, each with a folder that the other cannot enter.
    pub(super) fn setup() -> Setup {
        let of = |name: &str, uid: u32| {
            format!(
                "[user:{name}]\npassword = secret\nhome = home\nperm = elradfmwMT\n\
                 run_as = {uid}:{uid}\n"
            )
        };
        Server::setup().home_of(0).section(&of("ann", ANN)).section(&of("ben", BEN))
    }

    pub(super) fn start(setup: Setup) -> Server {
        let server = setup.start();
        fs::set_permissions(server.home(), PermissionsExt::from_mode(0o1777)).unwrap();
        for (name, uid) in [("ann", ANN), ("ben", BEN)] {
            let folder = server.home().join(name);
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
            chown(&folder, Some(uid), Some(uid)).unwrap();
        }
        server
    }

    fn owner(server: &Server, name: &str) -> (u32, u32) {
        let meta = fs::symlink_metadata(server.home().join(name)).unwrap();
        (meta.uid(), meta.gid())
    }

    /// What the status of the one session's thread says.
    fn session(server: &Server, word: &str) -> Vec<String> {
        let threads = threads(server.pid(), word);
        let mut sessions = threads.into_iter().filter(|(name, _)| name.starts_with("session-"));
        let found = sessions.next().unwrap().1;
        assert!(sessions.next().is_none());
        found
    }

    fn uids(real: u32, effective: u32) -> [String; 4] {
        [real, effective, real, effective].map(|uid| uid.to_string())
    }

    #[test]
    fn what_a_session_makes_is_its_user_s_and_what_others_keep_it_does_not_get() {
        if !is_root() {
            return;
        }
        for lines in ["", "user = nobody"] {
            let server = start(setup().server(lines));
            for (name, uid) in [("ann", ANN), ("ben", BEN)] {
                let mut client = Client::login(&server, name, "secret");
                client.upload(&format!("STOR {name}.txt"), b"text");
                client.upload(&format!("STOR {name}/file"), b"text");
                client.cmd(&format!("MKD {name}/folder"), 257);
                client.upload(&format!("APPE {name}/file"), b"more");
                client.cmd(&format!("SITE CHMOD 600 {name}.txt"), 200);
                client.cmd(&format!("RNFR {name}/file"), 350);
                client.cmd(&format!("RNTO {name}/new"), 250);
                for path in [".txt", "/new", "/folder"] {
                    assert_eq!(owner(&server, &format!("{name}{path}")), (uid, uid));
                }
                assert_eq!(server.get(&format!("{name}/new")), b"textmore");
            }
            let mut ben = Client::login(&server, "ben", "secret");
            for command in ["CWD ann", "DELE ann/new", "SIZE ann/new", "DELE ann.txt"] {
                ben.cmd(command, 550);
            }
            ben.passive();
            ben.cmd("RETR ann.txt", 550);
            ben.cmd("RETR ann/new", 550);
            ben.cmd("STOR ann/new", 550);
            ben.cmd("SITE CHMOD 644 ann.txt", 550);
            let line = server.wait_for_log(&format!("uid {BEN} may not enter the directory"));
            assert!(line.contains("[ben]") && line.contains("(mode 700, owner 61001:61001)"));
            assert_eq!(server.get("ann/new"), b"textmore");
        }
    }

    #[test]
    fn a_thread_acts_as_one_user_at_a_time_and_then_as_the_server_again() {
        if !is_root() {
            return;
        }
        for (lines, own, kept) in [("", 0, None), ("user = nobody", NOBODY, Some(SWITCH))] {
            let server = start(setup().server(lines));
            let mut client = Client::connect(&server);
            let pid = server.pid();
            let settled = || {
                all_have(pid, "Uid", &uids(own, own).each_ref().map(String::as_str));
                let sets = threads(pid, "CapEff");
                assert!(sets.iter().all(|(_, set)| *set == sets[0].1), "{sets:?}");
                let groups = threads(pid, "Groups");
                assert!(groups.iter().all(|(_, set)| *set == groups[0].1), "{groups:?}");
            };
            settled();
            for (name, uid) in [("ann", ANN), ("ben", BEN), ("ann", ANN)] {
                client.cmd(&format!("USER {name}"), 331);
                settled();
                client.cmd("PASS secret", 230);
                client.cmd("TYPE I", 200);
                assert_eq!(session(&server, "Uid"), uids(own, uid));
                assert_eq!(session(&server, "Gid"), uids(own, uid));
                assert_eq!(session(&server, "Groups"), [uid.to_string()]);
                for set in ["CapEff", "CapInh", "CapAmb"] {
                    assert_eq!(session(&server, set), [NONE], "{set}");
                }
                if let Some(kept) = kept {
                    all_have(pid, "CapPrm", &[kept]);
                }
                // nobody else acts with it
                let others = threads(pid, "Uid");
                let acting = others.iter().filter(|(_, ids)| *ids != uids(own, own));
                assert_eq!(acting.count(), 1, "{others:?}");
                client.upload("STOR file", b"text");
                assert_eq!(owner(&server, "file"), (uid, uid));
                client.cmd("DELE file", 250);
            }
            client.cmd("REIN", 220);
            settled();
            client.cmd("USER ann", 331);
            client.cmd("PASS secret", 230);
            // cut off, and not ended
            drop(client);
            eventually("the thread is the server's again", || {
                threads(pid, "Uid").iter().all(|(_, ids)| *ids == uids(own, own))
            });
            let mut next = Client::bob(&server);
            settled();
            if own == 0 {
                next.upload("STOR file", b"text");
                assert_eq!(owner(&server, "file"), (0, 0));
            }
        }
    }

    #[test]
    fn supplementary_groups_are_the_user_s_own() {
        if !is_root() {
            return;
        }
        let Some((name, groups)) = somebody_with_groups() else {
            eprintln!("not tested: nobody here is in a second group");
            return;
        };
        let server = Server::setup().home_of(0).user(&format!("run_as = {name}")).start();
        let _client = Client::bob(&server);
        assert_eq!(session(&server, "Groups"), groups);
    }

    fn somebody_with_groups() -> Option<(String, Vec<String>)> {
        let text = fs::read_to_string("/etc/group").unwrap();
        let members = text.lines().filter_map(|line| line.split(':').nth(3));
        let mut names =
            members.flat_map(|list| list.split(',')).filter(|name| !name.is_empty());
        names.find_map(|name| {
            let output = Command::new("id").args(["-G", name]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let mut numbers: Vec<u32> =
                text.split_whitespace().map(|number| number.parse().unwrap()).collect();
            numbers.sort_unstable();
            let groups: Vec<_> = numbers.iter().map(u32::to_string).collect();
            (name != "root" && groups.len() > 1).then(|| (name.to_owned(), groups))
        })
    }

    /// An upload of ann's into her folder that breaks off.
    fn break_off(server: &Server) {
        let mut client = Client::login(server, "ann", "secret");
        let mut data = client.passive();
        client.cmd("STOR ann/broken", 150);
        data.write_all(b"some").unwrap();
        eventually("the bytes have arrived", || {
            parts(server).iter().any(|&(_, size)| size == 4)
        });
        drop(client);
        server.wait_for_log("failed: control connection lost");
    }

    /// Settings with which ann's uploads start a program.
    fn with_hook(lines: &str, program: &str) -> Server {
        let section = format!(
            "[user:ann]\npassword = secret\nhome = home\nperm = elradfmwMT\n\
             run_as = {ANN}:{ANN}\non_upload = {program}"
        );
        let server = Server::setup().server(lines).home_of(0).section(&section).start();
        fs::set_permissions(server.home(), PermissionsExt::from_mode(0o1777)).unwrap();
        server
    }

    #[test]
    fn a_hook_is_its_user_in_every_way() {
        if !is_root() {
            return;
        }
        for lines in
            ["", "user = nobody", "sandbox = require", "sandbox = require\nuser = nobody"]
        {
            let server = with_hook(lines, "/bin/cat /proc/self/status");
            let mut ann = Client::login(&server, "ann", "secret");
            ann.upload("STOR file", b"text");
            let told = |word: &str| {
                let line = server.wait_for_log(&format!("]: {word}:"));
                let text = line.split(&format!("]: {word}:")).nth(1).unwrap().to_owned();
                text.replace("\\x09", " ").split_whitespace().collect::<Vec<_>>().join(" ")
            };
            let uid = ANN.to_string();
            assert_eq!(told("Uid"), [&*uid; 4].join(" "), "{lines}");
            assert_eq!(told("Gid"), [&*uid; 4].join(" "));
            assert_eq!(told("Groups"), uid);
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(told(set), NONE, "{set}");
            }
            assert_eq!(told("NoNewPrivs"), "1");
            server.wait_for_log("]: Uid:");
            // what has started it is as it was
            let starter = server.starter().unwrap().parse().unwrap();
            for pid in [server.pid(), starter] {
                for word in ["CapAmb", "CapInh"] {
                    let sets = threads(pid, word);
                    assert!(sets.iter().all(|(_, set)| *set == [NONE]), "{word} {sets:?}");
                }
            }
        }
    }

    #[test]
    fn a_hook_follows_no_name_to_what_its_user_may_not_read() {
        if !is_root() {
            return;
        }
        for lines in ["", "user = nobody"] {
            let server = with_hook(lines, "/bin/sh -c \"cat $FTPD_PATH; echo; echo over\"");
            let secret = server.dir().join("secret");
            fs::write(&secret, "of root alone").unwrap();
            fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
            // nobody's as well
            chown(&secret, Some(if lines.is_empty() { 0 } else { NOBODY }), None).unwrap();
            let mut ann = Client::login(&server, "ann", "secret");
            // stopped before it looks, its file is another one by then
            ann.upload("STOR file", b"own");
            server.wait_for_log("]: over");
            server.wait_for_log("]: own");
            let script = "/bin/sh -c \"while [ ! -L $FTPD_PATH ]; do sleep 0.01; done; \
                          cat $FTPD_PATH; echo; echo over\"";
            let server = with_hook(lines, script);
            Client::login(&server, "ann", "secret").upload("STOR file", b"own");
            let file = server.home().join("file");
            fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink(&secret, &file).unwrap();
            server.wait_for_log("]: over");
            let log = server.log();
            assert!(
                log.contains("Permission denied") && !log.contains("of root alone"),
                "{log}"
            );
        }
    }

    #[test]
    fn a_hook_of_another_user_is_ended_as_well_when_its_time_is_over() {
        if !is_root() {
            return;
        }
        for lines in ["hook_timeout = 1", "hook_timeout = 1\nuser = nobody"] {
            let stubborn = "/bin/sh -c \"trap '' TERM; sleep 77 & echo child $!; while :; do sleep 1; done\"";
            let server = with_hook(lines, stubborn);
            Client::login(&server, "ann", "secret").upload("STOR file", b"own");
            let line = server.wait_for_log("]: child ");
            let child = line.split("child ").nth(1).unwrap().to_owned();
            let line = server.wait_for_log("on_upload \"/bin/sh\": ");
            assert!(line.contains("signal: 9"), "{line}");
            eventually("its child is gone", || {
                let stat = fs::read_to_string(format!("/proc/{child}/stat"));
                stat.map_or(true, |stat| stat.contains(") Z "))
            });
        }
    }

    #[test]
    fn a_hook_that_its_user_may_not_start_is_said_at_the_start() {
        if !is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        fs::copy("/bin/true", &program).unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let server = with_hook("", program.to_str().unwrap());
        let line = server.wait_for_log("[user:ann] on_upload ");
        assert!(line.contains("/program: uid 61001 cannot start it"), "{line}");
        Client::login(&server, "ann", "secret").upload("STOR file", b"own");
        server.wait_for_log("cannot be started: Permission denied");
    }

    fn parts(server: &Server) -> Vec<(PathBuf, u64)> {
        let entries = fs::read_dir(server.home().join("ann")).unwrap();
        let entries = entries.map(|entry| entry.unwrap());
        let part = |entry: &fs::DirEntry| {
            entry.file_name().to_string_lossy().starts_with(".ftpd-part-")
        };
        // one that has gone meanwhile is none
        let sized = |e: fs::DirEntry| Some((e.path(), e.metadata().ok()?.len()));
        entries.filter(part).filter_map(sized).collect()
    }

    #[test]
    fn parts_where_the_server_may_not_go_are_gone_on_with_and_swept_as_their_user() {
        if !is_root() {
            return;
        }
        for lines in ["", "user = nobody"] {
            let mut server = start(setup().server(lines));
            break_off(&server);
            let (part, _) = parts(&server).pop().unwrap();
            assert_eq!(fs::metadata(&part).unwrap().uid(), ANN);
            // and after a crash
            server.kill();
            server.start_again();
            server.wait_for_log("1 kept, 0 removed");
            let mut client = Client::login(&server, "ann", "secret");
            assert_eq!(client.cmd("SIZE ann/broken", 213), "213 4");
            client.cmd("REST 4", 350);
            client.upload("STOR ann/broken", b"more");
            assert_eq!(server.get("ann/broken"), b"somemore");
            assert_eq!(owner(&server, "ann/broken"), (ANN, ANN));
            let server = start(setup().server(lines).server("keep_parts = 1"));
            break_off(&server);
            eventually("the part is swept", || parts(&server).is_empty());
            all_have_main(&server);
        }
    }

    /// Checks that the thread that sweeps acts as the server again.
    fn all_have_main(server: &Server) {
        eventually("the thread that sweeps has the server's user", || {
            let uids = threads(server.pid(), "Uid");
            let main = uids.iter().find(|(name, _)| name == "ftpd").unwrap();
            main.1[0] == main.1[1]
        });
    }

    #[test]
    fn active_connections_leave_from_a_low_port_all_the_same() {
        if !is_root() {
            return;
        }
        for lines in ["", "user = nobody"] {
            let server = start(setup().server(lines).server("active_port = 20"));
            server.put("file", "text");
            let mut client = Client::login(&server, "ann", "secret");
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            client.cmd(&port_command(listener.local_addr().unwrap()), 200);
            client.send("RETR file");
            let (mut data, from) = listener.accept().unwrap();
            assert_eq!(from.port(), 20);
            client.expect(150);
            std::io::copy(&mut data, &mut std::io::sink()).unwrap();
            client.expect(226);
            assert_eq!(session(&server, "CapEff"), [NONE]);
        }
    }

    #[test]
    fn a_log_that_was_moved_away_stays_the_server_s() {
        if !is_root() {
            return;
        }
        let server = start(setup().server("transfer_log = home/xfer"));
        let mut client = Client::login(&server, "ann", "secret");
        let log = server.home().join("xfer");
        fs::rename(&log, server.home().join("old")).unwrap();
        eventually("there is a new log", || {
            client.upload("STOR file", b"text");
            log.exists()
        });
        assert_eq!(owner(&server, "xfer"), (0, 0));
        assert_eq!(session(&server, "Uid"), uids(0, ANN));
    }

    #[test]
    fn it_takes_a_start_as_root_and_with_a_user_one_with_such_settings() {
        if !is_root() {
            return;
        }
        let dir = folder(format!("[server]\nport = 0\n{BOB}run_as = 7:7\n"));
        for path in ["", "ftpd.ini", "home"] {
            chown(dir.path().join(path), Some(NOBODY), None).unwrap();
        }
        let (code, err) = super::without_root::nobody(&[], dir.path());
        let wanted = "ftpd.ini:6: [user:bob] run_as: '7' requires a start as root\n";
        assert_eq!((code, err.as_str()), (78, wanted));

        let server = as_nobody().start();
        let ini = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, format!("{text}run_as = 7:7\n")).unwrap();
        let (code, _, err) = run(&["reload"], server.dir());
        assert_eq!(code, 78);
        let place = format!(
            "{}:{}: [user:bob] run_as: '7' requires",
            ini.display(),
            text.lines().count() + 1
        );
        assert!(err.contains(&place), "{err}");
        Client::bob(&server);
    }

    #[test]
    fn a_home_that_only_its_user_may_enter_is_reloaded_and_one_that_is_not_is_said() {
        if !is_root() {
            return;
        }
        let section = format!(
            "[user:eve]\npassword = secret\nperm = elw\nhome = home/ann/own\nrun_as = {ANN}:{ANN}"
        );
        let setup = Server::setup().server("user = nobody").home_of(0);
        let server =
            start(setup.section("[user:ann]\npassword = x\nhome = home\nrun_as = 7:7"));
        let own = server.home().join("ann/own");
        fs::create_dir(&own).unwrap();
        chown(&own, Some(ANN), Some(ANN)).unwrap();
        let ini = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, format!("{text}{section}\n")).unwrap();
        let (code, _, err) = run(&["reload"], server.dir());
        assert_eq!(code, 0, "{err}");
        Client::login(&server, "eve", "secret").upload("STOR file", b"text");
        assert_eq!(owner(&server, "ann/own/file"), (ANN, ANN));
        fs::write(
            &ini,
            format!("{text}{}\n", section.replace(&ANN.to_string(), &BEN.to_string())),
        )
        .unwrap();
        assert_eq!(run(&["reload"], server.dir()).0, 0);
        let mut client = Client::connect(&server);
        client.cmd("USER eve", 331);
        client.cmd("PASS secret", 530);
        assert!(
            server.wait_for_log("PASS refused").contains("cannot open the home: Permission")
        );
    }

    #[test]
    fn a_home_that_is_made_belongs_to_run_as_whoever_may_make_it() {
        if !is_root() {
            return;
        }
        let user = |name: &str, folder: &str| {
            format!(
                "[user:{name}]\npassword = secret\nperm = elw\nhome = home/{folder}/{name}\n\
                 create_home = on\nrun_as = {ANN}:{BEN}\n"
            )
        };
        for server in ["", "user = nobody"] {
            let setup = Server::setup().server(server).home_of(NOBODY);
            let setup =
                setup.section(&(user("a", "own") + &user("b", "nobodys") + &user("c", "open")));
            let server = setup.start_with(|dir| {
                for (folder, uid, mode) in
                    [("own", ANN, 0o755), ("nobodys", NOBODY, 0o755), ("open", BEN, 0o775)]
                {
                    let folder = dir.join("home").join(folder);
                    fs::create_dir(&folder).unwrap();
                    fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
                    chown(folder, Some(uid), Some(7)).unwrap();
                }
            });
            let given_up = server.log().contains("root given up");
            let mut client = Client::login(&server, "a", "secret");
            client.upload("STOR x", b"x");
            assert_eq!(owner(&server, "own/a"), (ANN, BEN));
            if given_up {
                // from the server, which gives it away
                Client::login(&server, "b", "secret").upload("STOR x", b"x");
                assert_eq!(owner(&server, "nobodys/b"), (ANN, BEN));
                assert_eq!(owner(&server, "nobodys/b/x"), (ANN, BEN));
                let mode = fs::metadata(server.home().join("nobodys/b")).unwrap().mode();
                assert_eq!(mode & 0o777, 0o755);
            }
            // ben could put something else in its place
            let mut client = Client::connect(&server);
            client.cmd("USER c", 331);
            client.cmd("PASS secret", 530);
            assert!(!server.home().join("open/c").exists());
        }
    }

    #[test]
    fn why_answers_for_the_user_that_the_session_would_act_as() {
        if !is_root() {
            return;
        }
        let server = start(setup());
        fs::write(server.home().join("ann/file"), "text").unwrap();
        chown(server.home().join("ann/file"), Some(ANN), None).unwrap();
        assert_eq!(run(&["why", "ann", "ann/file", "read"], server.dir()).0, 0);
        let (code, out, err) = run(&["why", "ben", "ann/file", "read"], server.dir());
        assert_eq!((code, err.as_str()), (1, ""));
        assert!(out.contains(&format!("uid {BEN} may not enter the directory")), "{out}");
    }
}

mod staying_root {
    use super::*;

    /// `CAP_CHOWN`, `CAP_DAC_OVERRIDE` and `CAP_FOWNER`.
    const FILES: u64 = 0xb;

    fn has(lines: &str, user: &str, capabilities: u64, bounding: Option<u64>) {
        let server = Server::setup().server(lines).user(user).home_of(0).start();
        let hex = |set: u64| format!("{set:016x}");
        let _client = Client::connect(&server);
        for set in ["CapPrm", "CapEff"] {
            all_have(server.pid(), set, &[&hex(capabilities)]);
        }
        for set in ["CapInh", "CapAmb"] {
            all_have(server.pid(), set, &[NONE]);
        }
        if let Some(bounding) = bounding {
            all_have(server.pid(), "CapBnd", &[&hex(bounding)]);
        }
        assert!(
            server
                .wait_for_log("capabilities: ")
                .contains("CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER")
        );
    }

    #[test]
    fn only_the_rights_that_the_settings_need_are_kept() {
        if !is_root() {
            return;
        }
        has("", "", FILES, Some(FILES));
        has("sandbox = off", "", FILES, Some(FILES));
        has("active_port = 20", "", FILES | 0x400, Some(FILES | 0x400));
        has("", &format!("run_as = {ANN}:{ANN}"), FILES | 0xc0, Some(FILES | 0xc0));
        // programs of root's own are not ours to judge
        has("on_upload = /bin/true", "", FILES, None);
        let acting = format!("run_as = {ANN}:{ANN}\non_upload = /bin/true");
        has("", &acting, FILES | 0xc0, Some(FILES | 0xc0));
    }

    #[test]
    fn that_is_enough_for_files_of_anybody_and_programs_are_as_before() {
        if !is_root() {
            return;
        }
        let server = Server::setup()
            .server("on_upload = /bin/sh -c \"grep CapEff /proc/self/status\"")
            .home_of(ANN)
            .start();
        let kept = server.put("kept", "text");
        for (path, mode) in [(kept, 0o400), (server.home(), 0o500)] {
            chown(&path, Some(ANN), Some(ANN)).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        let mut client = Client::bob(&server);
        assert_eq!(client.download("RETR kept"), b"text");
        client.cmd("SITE CHMOD 600 kept", 200);
        client.cmd("MFMT 20200101000000 kept", 213);
        client.upload("APPE kept", b"more");
        client.upload("STOR new", b"text");
        client.cmd("RNFR kept", 350);
        client.cmd("RNTO new", 250);
        client.cmd("DELE new", 250);
        let own = fs::read_to_string("/proc/self/status").unwrap();
        let own = own.lines().find(|line| line.starts_with("CapEff:")).unwrap();
        let wanted = own.replace('\t', "\\x09");
        server.wait_for_log(&format!("]: {wanted}"));
    }
}

mod without_root {
    use super::*;

    /// Runs the program as the user `nobody`.
    pub(super) fn nobody(arguments: &[&str], dir: &Path) -> (i32, String) {
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
        let wanted = "ftpd.ini:3: [server] user: 'daemon' requires a start as root, but this process has uid 65534\n";
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
        server.wait_for_log("running as user nobody");
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

/// Programs of the server's user, such as those of hooks, beside the server.
mod beside {
    use super::*;

    /// Runs a command as a user and says whether it succeeded.
    fn may(user: u32, command: &str) -> bool {
        let user = user.to_string();
        let mut other = Command::new("setpriv");
        other.args(["--reuid", &user, "--regid", &user, "--clear-groups", "sh", "-c", command]);
        other.output().unwrap().status.success()
    }

    #[test]
    fn no_program_of_the_server_s_user_reads_its_memory_or_files() {
        if !is_root() {
            return;
        }
        let started = Server::setup().run_as(NOBODY).home_of(NOBODY).start();
        let given_up = as_nobody().start();
        let with_hook = as_nobody().server("on_upload = /bin/true").start();
        for server in [started, given_up, with_hook] {
            Client::bob(&server).upload("STOR file", b"text");
            let pid = server.pid();
            assert!(may(NOBODY, &format!("cat /proc/{pid}/status")));
            for secret in ["environ", "maps", "mem", "fd/0", "root/etc/passwd"] {
                assert!(!may(NOBODY, &format!("head -c 1 /proc/{pid}/{secret}")), "{secret}");
            }
            assert!(!may(NOBODY, &format!("ls /proc/{pid}/fd/")));
            // nor that of the process which starts such programs
            if let Some(pid) = server.starter() {
                for secret in ["environ", "mem", "fd/0", "root/etc/passwd"] {
                    let read = format!("head -c 1 /proc/{pid}/{secret}");
                    assert!(!may(NOBODY, &read), "{secret}");
                }
            }
        }
    }

    #[test]
    fn no_program_of_a_user_in_run_as_signals_or_traces_the_server() {
        if !is_root() {
            return;
        }
        let server = acting::start(acting::setup().server("user = nobody"));
        let mut ann = Client::login(&server, "ann", "secret");
        ann.upload("STOR ann.txt", b"text");
        let pid = server.pid();
        for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let task = task.unwrap().file_name().into_string().unwrap();
            assert!(!may(ANN, &format!("kill -0 {task}")), "{task}");
            assert!(!may(ANN, &format!("head -c 1 /proc/{pid}/task/{task}/environ")));
        }
        ann.cmd("NOOP", 200);
    }
}

/// For the system, changing the mode of a directory whose group one is not in takes its
/// set-group-ID bit away.
#[test]
fn site_chmod_does_not_take_the_bit_of_a_shared_directory_away() {
    const SHARED: u32 = 60_123;
    if !is_root() {
        return;
    }
    for acts in [false, true] {
        let setup = if acts {
            Server::setup().user("run_as = nobody").home_of(NOBODY)
        } else {
            as_nobody()
        };
        let server = setup.start();
        let shared = server.home().join("shared");
        let own = server.home().join("own");
        for (path, group) in [(&shared, SHARED), (&own, NOBODY)] {
            fs::create_dir(path).unwrap();
            chown(path, Some(NOBODY), Some(group)).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(0o2775)).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let mut client = Client::bob(&server);
        let text = client.cmd("SITE CHMOD 755 shared", 550);
        assert!(text.contains("set-group-ID"), "{text}");
        assert_eq!(mode(&shared), 0o2775);
        let line = server.wait_for_log("SITE CHMOD");
        assert!(line.contains("set-group-ID") && line.contains("shared"), "{line}");
        // what is so already needs no change
        let text = client.cmd("SITE CHMOD 775 shared", 200);
        assert!(text.ends_with(" 2775"), "{text}");
        assert_eq!(mode(&shared), 0o2775);
        // where the group is the server's own, the bit stays
        let text = client.cmd("SITE CHMOD 750 own", 200);
        assert!(text.ends_with(" 2750"), "{text}");
        assert_eq!(mode(&own), 0o2750);
        // what is made in it has its group, and directories its bit
        client.cmd("MKD shared/folder", 257);
        client.upload("STOR shared/file", b"one");
        client.upload("STOR shared/file", b"two");
        for name in ["folder", "file"] {
            assert_eq!(fs::metadata(shared.join(name)).unwrap().gid(), SHARED, "{name}");
        }
        assert_eq!(mode(&shared.join("folder")), 0o2755);
        client.cmd("SITE CHMOD 700 shared/folder", 550);
        assert_eq!(mode(&shared.join("folder")), 0o2755);
        // a file of that group has no bit to lose
        let text = client.cmd("SITE CHMOD 600 shared/file", 200);
        assert!(text.ends_with(" 600"), "{text}");
        // somebody else's is denied, as ever
        chown(&shared, Some(12_345), None).unwrap();
        fs::set_permissions(&shared, PermissionsExt::from_mode(0o2777)).unwrap();
        for bits in ["777", "755"] {
            let text = client.cmd(&format!("SITE CHMOD {bits} shared"), 550);
            assert!(text.contains("denied"), "{text}");
        }
        assert_eq!(mode(&shared), 0o2777);
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
    let mut server = Server::start();
    // one that runs would answer for itself
    server.kill();
    let (code, _, err) = run(&["why", "bob", "/", "list"], server.dir());
    assert_eq!(code, 0);
    assert!(err.starts_with("(checked as root; the server may run as"), "{err}");
}

/// Links are followed by way of /proc/self, which looks different to each of these; where that
/// fails, a FIFO would hold the session.
#[test]
fn a_link_to_a_fifo_is_refused_at_once_whoever_the_server_is() {
    if !is_root() {
        return;
    }
    let acting = format!("run_as = {ANN}:{ANN}");
    for (server, user, owner) in [
        ("sandbox = off", "", 0),
        ("", "", 0),
        ("sandbox = off\nuser = nobody", "", NOBODY),
        ("user = nobody", "", NOBODY),
        ("", &acting, ANN),
        ("sandbox = off", &acting, ANN),
        ("user = nobody", &acting, ANN),
    ] {
        let server = Server::setup().server(server).user(user).home_of(owner).start();
        let fifo = server.home().join("fifo");
        assert!(
            Command::new("mkfifo").arg("-m").arg("666").arg(&fifo).status().unwrap().success()
        );
        std::os::unix::fs::symlink("fifo", server.home().join("link")).unwrap();
        let mut client = Client::bob(&server);
        for name in ["fifo", "link"] {
            for command in ["RETR", "STOR", "APPE", "SIZE", "MLST", "SITE CHMOD 600"] {
                let (code, text) = client.ask(&format!("{command} {name}"));
                assert!(code == 550 || command == "MLST", "{command} {name}: {text}");
            }
        }
    }
}

mod sandbox {
    use super::*;

    /// Whether the kernel has Landlock; prints a message if not.
    fn is_enforced(server: &Server) -> bool {
        let line = server.wait_for_log("sandbox: ");
        let is_enforced = line.contains("sandbox: enforced, Landlock ABI ");
        if !is_enforced {
            eprintln!("not tested: {line}");
        }
        is_enforced
    }

    fn add(server: &Server, lines: &str) -> (i32, String) {
        let ini = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, format!("{text}{lines}\n")).unwrap();
        let (code, out, err) = run(&["reload"], server.dir());
        fs::write(&ini, text).unwrap();
        (code, out + &err)
    }

    #[test]
    fn the_folder_of_the_state_is_there_for_readers_alone_as_well() {
        let mut server =
            Server::setup().server("state_dir = made/state").user("perm = elr").start();
        Client::bob(&server).cmd("QUIT", 221);
        server.signal("TERM");
        assert!(server.wait_for_exit().success());
        assert!(server.dir().join("made/state/logins").is_file(), "{}", server.log());
        assert!(!server.log().contains("state_dir"), "{}", server.log());
    }

    #[test]
    fn a_home_that_is_still_to_be_made_lies_within_the_sandbox() {
        let user = |name: &str| {
            format!(
                "[user:{name}]\npassword = secret\nperm = elw\nhome = homes/{name}/files\ncreate_home = on\n"
            )
        };
        let server = Server::setup()
            .section(&user("anna"))
            .start_with(|dir| fs::create_dir(dir.join("homes")).unwrap());
        if !is_enforced(&server) {
            return;
        }
        Client::login(&server, "anna", "secret").upload("STOR x", b"x");
        assert!(server.dir().join("homes/anna/files/x").exists());
        // and a user who comes with a reload
        let ini = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, text + &user("otto")).unwrap();
        let (code, out, err) = run(&["reload"], server.dir());
        assert_eq!(code, 0, "{out}{err}");
        Client::login(&server, "otto", "secret").upload("STOR x", b"x");
        // what lies beside it is outside
        let (code, said) = add(&server, &user("eve").replace("homes/", "others/"));
        assert!(code == 78 && said.contains("outside of the sandbox"), "{said}");
    }

    #[test]
    fn the_kernel_keeps_the_server_from_what_it_does_not_need() {
        let elsewhere = tempfile::tempdir().unwrap();
        let server = Server::start();
        if !is_enforced(&server) {
            return;
        }
        let ini = server.dir().join("ftpd.ini");
        let away = elsewhere.path().join("ftpd.ini");
        fs::copy(&ini, &away).unwrap();
        fs::remove_file(&ini).unwrap();
        std::os::unix::fs::symlink(&away, &ini).unwrap();
        // for everybody else it is there, and readable
        assert_eq!(run(&["check"], server.dir()).0, 0);
        let (code, _, err) = run(&["reload"], server.dir());
        assert_eq!(code, 78);
        assert!(err.contains("ftpd.ini: cannot be read: Permission denied"), "{err}");
        Client::bob(&server).upload("STOR file", b"text");
    }

    #[test]
    fn no_session_reads_etc_and_names_are_looked_up_aside() {
        let server = Server::setup().server("log_level = debug").start();
        if !is_enforced(&server) {
            return;
        }
        let granted = server.wait_for_log("the sandbox lets all threads read ");
        assert!(!granted.contains("/etc,") && !granted.contains("/usr/lib"), "{granted}");
        let aside = server
            .wait_for_log("the sandbox lets the thread for settings, keys and names read ");
        assert!(
            aside.contains("/etc, ") && aside.contains(server.dir().to_str().unwrap()),
            "{aside}"
        );
        all_have(server.pid(), "NoNewPrivs", &["1"]);
        assert!(server.threads().iter().any(|name| name == "lookups"));
        // names of owners, and settings that are replaced by a rename
        server.put("file", "");
        let mut client = Client::bob(&server);
        let listing = client.lines("LIST").join("\n");
        let me = run_id("-un");
        assert!(listing.contains(&format!(" {me} ")), "{me}: {listing}");
        let (code, text) = add(&server, "max_per_user = 7");
        assert_eq!(code, 0, "{text}");
        let ini = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(server.dir().join("new"), format!("{text}max_per_user = 7\n")).unwrap();
        fs::rename(server.dir().join("new"), &ini).unwrap();
        assert_eq!(run(&["reload"], server.dir()).0, 0);
        Client::bob(&server);
    }

    fn run_id(option: &str) -> String {
        let output = Command::new("id").arg(option).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn all_that_the_server_needs_is_inside_the_sandbox() {
        let server = Server::setup().server("masquerade_address = localhost").start();
        if !is_enforced(&server) {
            return;
        }
        let mut client = Client::bob(&server);
        // hosts, accounts and the device that a full server falls back on
        client.cmd("PASV", 227);
        client.upload("STOR one", b"text");
        client.cmd("MKD folder", 257);
        client.cmd("RNFR one", 350);
        client.cmd("RNTO folder/two", 250);
        client.cmd("SITE CHMOD 600 folder/two", 200);
        assert_eq!(server.get("folder/two"), b"text");
        let (code, text) = add(&server, "max_per_user = 7");
        assert_eq!(code, 0, "{text}");
        all_have(server.pid(), "NoNewPrivs", &["1"]);
    }

    #[test]
    fn a_home_that_a_reload_brings_from_outside_is_a_fault_that_names_it() {
        let elsewhere = tempfile::tempdir().unwrap();
        let server = Server::start();
        if !is_enforced(&server) {
            return;
        }
        let place = elsewhere.path().display();
        let eve = |home: &str| format!("[user:eve]\npassword = secret\nhome = {home}");
        let (code, text) = add(&server, &eve(&place.to_string()));
        assert_eq!(code, 78);
        let wanted = format!(
            "[user:eve] home {place}: is outside of the sandbox; restart the server to use it"
        );
        assert!(text.contains(&wanted), "{text}");
        let (code, text) = add(&server, "on_upload = /bin/true");
        assert_eq!(code, 78);
        assert!(
            text.contains(
                "program /bin/true: cannot be started, since the settings named no program"
            ),
            "{text}"
        );
        let mut client = Client::connect(&server);
        client.cmd("USER eve", 331);
        client.cmd("PASS secret", 530);
        // and one inside is none
        fs::create_dir(server.home().join("inner")).unwrap();
        let (code, text) = add(&server, &eve("home/inner"));
        assert_eq!(code, 0, "{text}");
        Client::login(&server, "eve", "secret");
    }

    #[test]
    fn a_home_that_was_made_anew_is_refused_with_the_reason() {
        let server = Server::start();
        if !is_enforced(&server) {
            return;
        }
        fs::rename(server.home(), server.dir().join("away")).unwrap();
        fs::create_dir(server.home()).unwrap();
        let mut client = Client::connect(&server);
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 530);
        let line = server.wait_for_log("PASS refused");
        assert!(line.contains("mounted or made after the server started"), "{line}");
    }

    #[test]
    fn what_is_mounted_in_a_home_belongs_to_it() {
        let elsewhere = tempfile::tempdir().unwrap();
        let server = Server::start();
        let mounted = server.home().join("mounted");
        fs::create_dir(&mounted).unwrap();
        let bind =
            Command::new("mount").arg("--bind").arg(elsewhere.path()).arg(&mounted).status();
        if !bind.is_ok_and(|status| status.success()) || !is_enforced(&server) {
            eprintln!("not tested: this user may not mount");
            return;
        }
        let mut client = Client::bob(&server);
        client.upload("STOR mounted/file", b"text");
        client.upload("APPE mounted/file", b"more");
        let text = client.download("RETR mounted/file");
        let _ = Command::new("umount").arg("-l").arg(&mounted).status();
        assert_eq!(text, b"textmore");
        assert_eq!(fs::read(elsewhere.path().join("file")).unwrap(), b"textmore");
    }

    #[test]
    fn programs_of_hooks_are_outside_of_the_sandbox_that_the_server_is_in() {
        // no part of the sandbox
        let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
            eprintln!("not tested: no /dev/shm");
            return;
        };
        fs::set_permissions(elsewhere.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let place = elsewhere.path().join("secret");
        for lines in ["", "sandbox = require"] {
            fs::write(&place, "outside").unwrap();
            let script = format!(
                "cat {place}; echo; echo made > {place}; grep NoNewPrivs /proc/self/status",
                place = place.display()
            );
            let hook = format!("{lines}\non_upload = /bin/sh -c \"{script}\"");
            let server = Server::setup().server(&hook).start();
            if !is_enforced(&server) {
                return;
            }
            assert!(!server.log().contains("sandbox: off"));
            Client::bob(&server).upload("STOR file", b"own text");
            server.wait_for_log("]: outside");
            server.wait_for_log("]: NoNewPrivs:\\x090");
            assert_eq!(fs::read_to_string(&place).unwrap(), "made\n");
            all_have(server.pid(), "NoNewPrivs", &["1"]);
            let granted = server.wait_for_log("the sandbox lets all threads read ");
            assert!(!granted.contains("/bin") && !granted.contains("/usr,"), "{granted}");
        }
    }

    #[test]
    fn it_can_be_switched_off() {
        let server = Server::setup().server("sandbox = off").start();
        server.wait_for_log("sandbox: off");
        let elsewhere = tempfile::tempdir().unwrap();
        let eve = format!("[user:eve]\npassword = x\nhome = {}", elsewhere.path().display());
        assert_eq!(add(&server, &eve).0, 0);
    }

    #[test]
    fn a_share_is_within_and_leaves_nothing_behind() {
        let temporary = tempfile::tempdir().unwrap();
        let shared = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .args(["share", "--tls", "--ip", "127.0.0.1", "--port", "0"])
            .arg(shared.path())
            .env("TMPDIR", temporary.path())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find(|line| line.as_ref().unwrap().starts_with("Ctrl-C"));
        assert!(ready.is_some());
        let pid = child.id().to_string();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let confined = is_enforced(&Server::start());
        assert_eq!(status.contains("NoNewPrivs:\t1"), confined, "{status}");
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "{log}");
    }

    #[test]
    fn a_reload_reads_the_certificate_that_was_made_here() {
        let elsewhere = tempfile::tempdir().unwrap();
        let tls = format!("tls_cert = auto\ntls_dir = {}/tls", elsewhere.path().display());
        let server = Server::setup().server(&tls).start();
        let (code, text) = add(&server, "max_per_user = 7");
        assert_eq!(code, 0, "{text}");
    }

    /// A user whose disk is not mounted yet, besides bob.
    fn late(home: &str) -> String {
        format!("[user:late]\npassword = secret\nhome = {home}\nperm = elradfmw")
    }

    fn refused(server: &Server) -> String {
        let mut client = Client::connect(server);
        client.cmd("USER late", 331);
        client.cmd("PASS secret", 530)
    }

    #[test]
    fn a_home_that_does_not_exist_stops_nobody_else_and_is_looked_for_at_each_login() {
        let server = Server::setup().section(&late("disk/cam/late")).start();
        let line = server.wait_for_log("[user:late] home: ");
        assert!(line.contains("WARN") && line.contains("until it exists"), "{line}");
        assert!(!line.contains("restart is needed"), "{line}");
        assert!(refused(&server).contains("Home directory is not available"));
        // a stolen password can be changed all the same
        let ini = server.dir().join("ftpd.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, text.replacen("password = secret", "password = other", 1)).unwrap();
        let (code, _, err) = run(&["reload"], server.dir());
        assert!(
            code == 0 && err.contains("warning: ") && err.contains("until it exists"),
            "{err}"
        );
        Client::login(&server, "bob", "other");
        // a typo is found
        let (code, _, err) = run(&["check"], server.dir());
        assert!(
            code == 78 && err.contains("[user:late] home: 'disk/cam/late' is not a"),
            "{err}"
        );
        let (code, _, err) = run(&["check", "--late-homes"], server.dir());
        assert!(code == 0 && err.contains("warning: "), "{err}");
        fs::create_dir_all(server.dir().join("disk/cam/late")).unwrap();
        Client::login(&server, "late", "secret").upload("STOR file", b"text");
    }

    #[test]
    fn all_else_about_a_home_is_still_a_fault_for_the_server() {
        let server = Server::start();
        fs::write(server.dir().join("file"), "").unwrap();
        std::os::unix::fs::symlink("loop", server.dir().join("loop")).unwrap();
        for home in ["file", "file/below", "loop", "loop/below", &"x".repeat(300)] {
            let (code, text) = add(&server, &late(home));
            assert_eq!(code, 78, "{home}: {text}");
        }
        // a link to a disk that is late is late as well
        std::os::unix::fs::symlink("disk/late", server.dir().join("link")).unwrap();
        let (code, text) = add(&server, &late("link"));
        assert!(code == 0 && text.contains("until it exists"), "{text}");
        fs::create_dir_all(server.dir().join("disk/late")).unwrap();
    }

    #[test]
    fn anonymous_users_may_be_late_too() {
        let lines = "enable_anonymous = on\nanonymous_path = late/pub";
        let server = Server::setup().server(lines).start();
        server.wait_for_log("[server] anonymous_path: 'late/pub' is not a directory");
        let mut client = Client::connect(&server);
        client.cmd("USER ftp", 331);
        client.cmd("PASS x", 530);
        fs::create_dir_all(server.dir().join("late/pub")).unwrap();
        Client::login(&server, "ftp", "x");
        Client::bob(&server);
    }

    /// Mounts an empty file system; prints a message if that is not possible here.
    fn mounted(at: &Path) -> bool {
        let mount = Command::new("mount").args(["-t", "tmpfs", "ftpd-test"]).arg(at).status();
        let is_mounted = mount.is_ok_and(|status| status.success());
        if !is_mounted {
            eprintln!("not tested: this user may not mount");
        }
        is_mounted
    }

    struct Mounted(std::path::PathBuf);

    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }

    #[test]
    fn a_disk_that_is_mounted_later_below_a_folder_of_the_sandbox_is_served() {
        let server = Server::setup().section(&late("disk/late")).start();
        let at = server.dir().join("disk");
        assert!(refused(&server).contains("not available"));
        fs::create_dir(&at).unwrap();
        if !mounted(&at) {
            return;
        }
        let _mounted = Mounted(at.clone());
        assert!(refused(&server).contains("not available"));
        fs::create_dir(at.join("late")).unwrap();
        Client::login(&server, "late", "secret").upload("STOR file", b"text");
    }

    #[test]
    fn a_disk_that_is_mounted_over_all_that_the_sandbox_has_takes_a_restart() {
        let mut server = Server::setup()
            .section(&late("disk/late"))
            .start_with(|dir| fs::create_dir(dir.join("disk")).unwrap());
        if !is_enforced(&server) {
            return;
        }
        let at = server.dir().join("disk");
        let line = server.wait_for_log("[user:late] home: ");
        assert!(line.contains(&format!("mounted on {} itself", at.display())), "{line}");
        if !mounted(&at) {
            return;
        }
        let _mounted = Mounted(at.clone());
        fs::create_dir(at.join("late")).unwrap();
        refused(&server);
        assert!(
            server
                .wait_for_log("PASS refused")
                .contains("mounted or made after the server started")
        );
        // and nothing else is held up by it
        let (code, _, err) = run(&["reload"], server.dir());
        assert!(code == 0 && err.contains("is outside of the sandbox"), "{err}");
        server.restart("TERM");
        Client::login(&server, "late", "secret").upload("STOR file", b"text");
    }

    #[test]
    fn the_root_of_the_system_is_not_let_in_for_a_home_that_is_late() {
        for home in ["/ftpd-test-late/home", "/srv/ftpd-test-late/home"] {
            let server =
                Server::setup().server("log_level = debug").section(&late(home)).start();
            if !is_enforced(&server) {
                return;
            }
            let line = server.wait_for_log("[user:late] home: ");
            assert!(line.contains("restart is needed"), "{line}");
            assert!(!server.log().contains("change [user:late] home"), "{}", server.log());
        }
    }

    #[test]
    fn a_disk_with_thousands_of_homes_does_not_fill_the_log() {
        let many = |at: usize| format!("[user:u{at}]\npassword = x\nhome = gone/{at}\n");
        let server = Server::setup().section(&(0..500).map(many).collect::<String>()).start();
        server.wait_for_log("480 more homes do not exist");
        eventually("all are logged", || server.log().matches("until it exists").count() >= 20);
        assert_eq!(server.log().matches("until it exists").count(), 20);
    }

    /// Starts the program with a filter that answers a system call with an error.
    fn filtered(call: u32, errno: i32, lines: &str) -> Option<Vec<String>> {
        const SCRIPT: &str = "\
import ctypes, os, struct, sys
call, errno = int(sys.argv[1]), int(sys.argv[2])
code = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (6, 0, 0, 0x50000 | errno), (6, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *one) for one in code))
program = struct.pack('HxxxxxxP', len(code), ctypes.addressof(text))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[3], sys.argv[3:])
";
        let ini =
            format!("[server]\nip = 127.0.0.1\nport = 0\n{lines}\n{}", crate::program::BOB);
        let dir = crate::program::folder(ini);
        let mut child = match Command::new("python3")
            .args(["-c", SCRIPT, &call.to_string(), &errno.to_string()])
            .arg(env!("CARGO_BIN_EXE_ftpd"))
            .current_dir(dir.path())
            .env_remove("RUST_LOG")
            .stderr(std::process::Stdio::piped())
            .spawn()
        {
            Ok(child) => child,
            Err(why) => {
                eprintln!("not tested: python3: {why}");
                return None;
            }
        };
        let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            let is_ready = line.contains("users: ");
            said.push(line);
            if is_ready {
                break;
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        Some(said)
    }

    /// Numbers of system calls, on every kind of processor.
    const CREATE_RULESET: u32 = 444;
    const RESTRICT_SELF: u32 = 446;
    const CLONE3: u32 = 435;

    #[test]
    fn the_causes_of_a_missing_sandbox_are_told_apart_in_a_warning() {
        for (errno, word) in [(1, "seccomp filter"), (38, "older than"), (95, "lsm=")] {
            let Some(said) = filtered(CREATE_RULESET, errno, "") else { return };
            let line = said.iter().find(|line| line.contains("sandbox: not enforced"));
            let line = line.unwrap_or_else(|| panic!("{said:?}"));
            assert!(line.contains("WARN") && line.contains(word), "{line}");
            let Some(said) = filtered(CREATE_RULESET, errno, "sandbox = require") else {
                return;
            };
            let last = said.last().unwrap();
            assert!(last.starts_with("ftpd: sandbox: ") && last.contains(word), "{said:?}");
        }
        // and the last of the three
        let Some(said) = filtered(RESTRICT_SELF, 1, "sandbox = require") else { return };
        assert!(said.last().unwrap().contains("seccomp filter"), "{said:?}");
    }

    #[test]
    fn a_container_that_starts_no_threads_is_named() {
        for lines in ["", "sandbox = off", "sandbox = require"] {
            let Some(said) = filtered(CLONE3, 1, lines) else { return };
            let last = said.last().unwrap();
            // musl starts threads with the older call
            if cfg!(target_env = "musl") {
                assert!(last.contains("users: "), "{said:?}");
                continue;
            }
            assert!(last.starts_with("ftpd: ") && last.contains("clone3"), "{said:?}");
        }
    }
}
