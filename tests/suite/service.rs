//! The server as a service: its messages to the supervisor, the sockets that it is handed, and
//! the files that are installed with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr as StdSocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::client::{Client, drain};
use crate::server::{PATIENCE, Server, eventually};
use crate::tls_client::Tls;

mod notify {
    use super::*;

    /// The socket on which systemd would receive the server's messages.
    struct Supervisor {
        socket: UnixDatagram,
        dir: TempDir,
    }

    impl Supervisor {
        fn listen() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
            Self::on(socket, dir)
        }

        fn on(socket: UnixDatagram, dir: TempDir) -> Self {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            Self { socket, dir }
        }

        fn name(&self) -> String {
            self.dir.path().join("notify").to_str().unwrap().to_owned()
        }

        fn next(&self) -> String {
            self.receive().expect("a message")
        }

        /// A process that was stopped for a moment sees an interrupted call.
        fn receive(&self) -> io::Result<String> {
            let mut bytes = [0; 4096];
            loop {
                match self.socket.recv(&mut bytes) {
                    Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                    got => {
                        return got
                            .map(|got| String::from_utf8(bytes[..got].to_vec()).unwrap());
                    }
                }
            }
        }

        /// The next message that is about neither the watchdog nor the number of sessions.
        fn next_event(&self) -> String {
            let mut events = std::iter::repeat_with(|| self.next());
            events.find(|text| text != "WATCHDOG=1" && !text.starts_with("STATUS=")).unwrap()
        }
    }

    fn monotonic() -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        u64::try_from(now.tv_sec).unwrap() * 1_000_000
            + u64::try_from(now.tv_nsec).unwrap() / 1000
    }

    #[test]
    fn start_reload_and_stop_are_told_in_order() {
        let supervisor = Supervisor::listen();
        let mut server = Server::setup()
            .server("shutdown_grace = 7")
            .env("NOTIFY_SOCKET", &supervisor.name())
            .start();
        assert_eq!(supervisor.next(), "READY=1");
        // it listens by now
        Client::bob(&server).cmd("NOOP", 200);
        let before = monotonic();
        server.signal("HUP");
        let text = supervisor.next_event();
        let at = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&text);
        assert!((before..=monotonic()).contains(&at.parse().unwrap()), "{text}");
        assert_eq!(supervisor.next_event(), "READY=1");
        // with a fault the old settings hold, and the server is as ready as before
        fs::write(server.dir().join("ftpd.ini"), "nonsense").unwrap();
        server.signal("HUP");
        assert!(supervisor.next_event().starts_with("RELOADING=1\n"));
        assert_eq!(supervisor.next_event(), "READY=1");
        server.signal("TERM");
        let text = supervisor.next_event();
        let most =
            text.strip_prefix("STOPPING=1\nSTATUS=Waiting for transfers\nEXTEND_TIMEOUT_USEC=");
        assert!(most.expect(&text).parse::<u64>().unwrap() > 7_000_000, "{text}");
        assert!(server.wait_for_exit().success());
    }

    #[test]
    fn a_reload_over_the_admin_socket_is_told_as_well() {
        let supervisor = Supervisor::listen();
        let server = Server::setup().env("NOTIFY_SOCKET", &supervisor.name()).start();
        assert_eq!(supervisor.next(), "READY=1");
        let (code, ..) = crate::server::run(&["reload"], server.dir());
        assert_eq!(code, 0);
        assert!(supervisor.next_event().starts_with("RELOADING=1\n"));
        assert_eq!(supervisor.next_event(), "READY=1");
    }

    #[test]
    fn an_abstract_socket_is_told_too() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("abstract").to_str().unwrap().to_owned();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let supervisor = Supervisor::on(UnixDatagram::bind_addr(&address).unwrap(), dir);
        let _server = Server::setup().env("NOTIFY_SOCKET", &format!("@{name}")).start();
        assert_eq!(supervisor.next(), "READY=1");
    }

    #[test]
    fn a_server_that_cannot_start_is_never_ready() {
        let supervisor = Supervisor::listen();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let dir = crate::program::folder(format!(
            "[server]\nip = 127.0.0.1\nport = {port}\n{}",
            crate::program::BOB
        ));
        let status = Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .current_dir(dir.path())
            .env("NOTIFY_SOCKET", supervisor.name())
            .output()
            .unwrap();
        assert_eq!(status.status.code(), Some(1));
        supervisor.socket.set_nonblocking(true).unwrap();
        assert!(supervisor.receive().is_err());
    }

    #[test]
    fn a_supervisor_that_is_not_there_is_a_warning() {
        let server = Server::setup().env("NOTIFY_SOCKET", "/nowhere/notify").start();
        server.wait_for_log("cannot tell the service manager anything");
        Client::bob(&server).cmd("NOOP", 200);
    }

    #[test]
    fn the_number_of_sessions_is_told_when_it_changes() {
        let supervisor = Supervisor::listen();
        let server = Server::setup()
            .env("NOTIFY_SOCKET", &supervisor.name())
            .env("WATCHDOG_USEC", "200000")
            .start();
        server.put("big", vec![b'x'; 64 << 20]);
        let wait_for = |text: &str| while supervisor.next() != text {};
        wait_for("STATUS=Sessions: 0, transfers: 0");
        let mut client = Client::bob(&server);
        wait_for("STATUS=Sessions: 1, transfers: 0");
        let mut data = client.passive();
        client.cmd("RETR big", 150);
        wait_for("STATUS=Sessions: 1, transfers: 1");
        drain(&mut data);
        client.expect(226);
        client.cmd("QUIT", 221);
        wait_for("STATUS=Sessions: 0, transfers: 0");
    }

    #[test]
    fn the_watchdog_hears_until_the_server_has_ended() {
        let supervisor = Supervisor::listen();
        let mut server = Server::setup()
            .server("shutdown_grace = 1h")
            .env("NOTIFY_SOCKET", &supervisor.name())
            .env("WATCHDOG_USEC", "200000")
            .start();
        server.put("big", vec![b'x'; 64 << 20]);
        let beats = |count: usize| {
            let all = std::iter::repeat_with(|| supervisor.next());
            assert_eq!(all.filter(|text| text == "WATCHDOG=1").take(count).count(), count);
        };
        beats(3);
        let mut client = Client::bob(&server);
        let mut data = client.passive();
        client.cmd("RETR big", 150);
        server.signal("TERM");
        while !supervisor.next_event().starts_with("STOPPING=1") {}
        beats(3);
        drain(&mut data);
        assert!(server.wait_for_exit().success());
    }

    #[test]
    fn a_watchdog_for_another_process_hears_nothing() {
        let supervisor = Supervisor::listen();
        let mut server = Server::setup()
            .env("NOTIFY_SOCKET", &supervisor.name())
            .env("WATCHDOG_USEC", "1000")
            .env("WATCHDOG_PID", "1")
            .start();
        server.signal("HUP");
        server.wait_for_log("settings reloaded");
        server.signal("TERM");
        server.wait_for_exit();
        supervisor.socket.set_nonblocking(true).unwrap();
        while let Ok(text) = supervisor.receive() {
            assert_ne!(text, "WATCHDOG=1");
        }
    }

    /// The log is a pipe that nobody reads. The thread that accepts waits for it when it turns
    /// a client away, but not for long: what has to be done goes before what has to be said.
    #[test]
    fn a_log_that_nobody_reads_keeps_no_client_waiting() {
        let supervisor = Supervisor::listen();
        let pipe = supervisor.dir.path().join("log");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut log = open_pipe(&pipe);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = {}\nmax_cons = 1\nlog_file = {}\n{}",
            address.port(),
            pipe.display(),
            crate::program::BOB
        );
        let name = supervisor.name();
        let environment = [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "100000")];
        let _program = crate::program::Program::start(&ini, &environment);
        while supervisor.next() != "WATCHDOG=1" {}
        let _first = crate::program::log_in(address, "bob", "tops3cret");
        while log.write(&[b'.'; 100]).is_ok() {}
        while log.write(b".").is_ok() {}
        for _ in 0..3 {
            Client::silent(address).expect(421);
        }
        // some of these are from before it got stuck
        for _ in 0..50 {
            while supervisor.next() != "WATCHDOG=1" {}
        }
        let _ = log.read(&mut vec![0; 1 << 16]).unwrap();
        while supervisor.next() != "WATCHDOG=1" {}
    }

    fn open_pipe(path: &Path) -> File {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path).unwrap()
    }
}

mod handed_over {
    use super::*;

    fn socket() -> (Arc<TcpListener>, StdSocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (Arc::new(listener), address)
    }

    #[test]
    fn the_socket_is_listened_on_and_no_other() {
        let (listener, address) = socket();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        // a port that could not be bound: nobody tries
        let port = taken.local_addr().unwrap().port();
        let server = Server::setup()
            .server(&format!(
                "port = {port}\non_login = /bin/sh -c \"env; ls -l /proc/self/fd; echo over\""
            ))
            .socket(&listener, "ftp")
            .start();
        assert_eq!(server.address(), address);
        let log = server.log();
        assert!(
            log.contains(&format!("listening on {address}, which was handed over")),
            "{log}"
        );
        assert!(log.contains(&format!("not listening on 127.0.0.1:{port}")), "{log}");
        let mut client = Client::bob(&server);
        client.upload("STOR a", b"12345");
        assert_eq!(client.download("RETR a"), b"12345");
        // programs of hooks inherit nothing of it
        server.wait_for_log("]: over");
        let log = server.log();
        assert!(log.contains("]: PATH=") && log.contains("-> /dev/null"), "{log}");
        assert!(!log.contains("LISTEN_") && !log.contains("socket:"), "{log}");
    }

    #[test]
    fn one_that_the_settings_name_is_nothing_to_talk_about() {
        let (listener, address) = socket();
        let server = Server::setup()
            .server(&format!("port = {}", address.port()))
            .socket(&listener, "ftpd.socket")
            .start();
        Client::bob(&server).cmd("NOOP", 200);
        assert!(!server.log().contains("handed over"), "{}", server.log());
    }

    #[test]
    fn a_client_that_comes_between_two_servers_is_served_by_the_second() {
        let (listener, address) = socket();
        let mut server = Server::setup().socket(&listener, "ftp").start();
        let mut before = Client::bob(&server);
        server.signal("TERM");
        before.expect(421);
        assert!(server.wait_for_exit().success());
        let between = TcpStream::connect(address).unwrap();
        server.start_again();
        Client::bob_over(between).cmd("NOOP", 200);
        assert_eq!(server.address(), address);
    }

    #[test]
    fn ftps_begins_with_tls_and_so_does_the_port_of_the_settings() {
        let (plain, explicit) = socket();
        for named in [true, false] {
            let (listener, implicit) = socket();
            let port = if named { 0 } else { implicit.port() };
            let server = Server::setup()
                .server(&format!("tls_cert = auto\ntls_implicit_port = {port}"))
                .socket(&listener, if named { "ftps" } else { "ftpd.socket" })
                .socket(&plain, "ftp")
                .start();
            let mut client = Client::silent(implicit);
            client.start_tls(&Tls::new(&rustls::version::TLS13));
            client.expect(220);
            Client::silent(explicit).expect(220);
            drop(server);
        }
    }

    #[test]
    fn tls_at_once_without_a_certificate_is_no_start() {
        let (listener, address) = socket();
        let (code, err) = run(&listener, "ftps", "");
        assert_eq!(code, 1);
        assert!(err.contains(&format!("implicit TLS on {address} needs a tls_cert")), "{err}");
    }

    #[test]
    fn a_handed_over_socket_that_does_not_listen_stops_the_start() {
        let (listener, address) = socket();
        let client = TcpStream::connect(address).unwrap();
        let (connected, _) = listener.accept().unwrap();
        let (code, err) = run(&TcpListener::from(OwnedFd::from(connected)), "ftp", "");
        assert_eq!(code, 1);
        assert!(err.contains("does not listen"), "{err}");
        let (file, _) = UnixStream::pair().unwrap();
        let (code, err) = run(&TcpListener::from(OwnedFd::from(file)), "ftp", "");
        assert_eq!(code, 1);
        assert!(err.contains("is not a valid tcp socket"), "{err}");
        let (code, err) = run(&listener, "ftp", "LISTEN_FDS=many");
        assert_eq!(code, 1);
        assert!(err.contains("LISTEN_FDS: 'many' is not a whole number"), "{err}");
        drop(client);
    }

    #[test]
    fn sockets_for_another_process_are_left_alone() {
        let server = Server::setup().env("LISTEN_FDS", "1").env("LISTEN_PID", "1").start();
        Client::bob(&server).cmd("NOOP", 200);
        let server = Server::setup().env("LISTEN_FDS", "1").start();
        Client::bob(&server).cmd("NOOP", 200);
    }

    /// Starts a server that must fail to start. Returns the exit code and standard error.
    fn run(listener: &TcpListener, name: &str, environment: &str) -> (i32, String) {
        let ini = format!("[server]\nip = 127.0.0.1\nport = 0\n{}", crate::program::BOB);
        let dir = crate::program::folder(ini);
        let script = "exec 3<&0 </dev/null; exec env LISTEN_FDS=1 LISTEN_PID=$$ $0 \"$@\"";
        let output = Command::new("sh")
            .args(["-c", script, environment, env!("CARGO_BIN_EXE_ftpd")])
            .env("LISTEN_FDNAMES", name)
            .current_dir(dir.path())
            .stdin(OwnedFd::from(listener.try_clone().unwrap()))
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Hands over sockets by `systemd-socket-activate`.
    #[test]
    fn systemd_socket_activate_starts_it_with_the_first_client() {
        let Some(starter) = tool("systemd-socket-activate") else { return };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = {}\n{}",
            address.port(),
            crate::program::BOB
        );
        let dir = crate::program::folder(ini);
        let mut child = Command::new(starter)
            .args(["--fdname=ftp", &format!("--listen={address}"), env!("CARGO_BIN_EXE_ftpd")])
            .arg("--config")
            .arg(dir.path().join("ftpd.ini"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stream = None;
        eventually("somebody listens", || {
            stream = TcpStream::connect(address).ok();
            stream.is_some()
        });
        let mut client = Client::over(stream.unwrap());
        client.expect(220);
        client.cmd("USER bob", 331);
        client.cmd("PASS tops3cret", 230);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// The path of a program; if it is not installed, prints what is not tested.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|file| file.exists());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

mod installed {
    use super::*;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    fn etc(file: &str) -> String {
        fs::read_to_string(Path::new(ROOT).join("etc").join(file)).unwrap()
    }

    fn make(target: &str, into: &Path) {
        let output = Command::new("make")
            .args(["-C", ROOT, "--no-print-directory", target, "PREFIX=/usr", "OPENRC=yes"])
            .arg(format!("DESTDIR={}", into.display()))
            .arg(format!("BINARY={}", env!("CARGO_BIN_EXE_ftpd")))
            .env_remove("MAKEFLAGS")
            .env_remove("MFLAGS")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "make {target}: {said}");
    }

    /// Every file below a folder, with its mode.
    fn files(folder: &Path, root: &Path, into: &mut Vec<(String, u32)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, root, into);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                into.push((name, path.metadata().unwrap().permissions().mode() & 0o7777));
            }
        }
        into.sort();
    }

    #[test]
    fn make_install_puts_each_file_in_its_place_and_uninstall_leaves_the_settings() {
        let Some(_) = tool("make") else { return };
        let dir = tempfile::tempdir().unwrap();
        make("install", dir.path());
        let mut there = Vec::new();
        files(dir.path(), dir.path(), &mut there);
        let wanted = [
            ("etc/ftpd.ini", 0o640),
            ("etc/init.d/ftpd", 0o755),
            ("etc/logrotate.d/ftpd", 0o644),
            ("usr/lib/systemd/system/ftpd.service", 0o644),
            ("usr/lib/systemd/system/ftpd.socket", 0o644),
            ("usr/sbin/ftpd", 0o755),
            ("usr/share/bash-completion/completions/ftpd", 0o644),
            ("usr/share/fish/vendor_completions.d/ftpd.fish", 0o644),
            ("usr/share/ftpd/auth/ldap.py", 0o755),
            ("usr/share/ftpd/auth/pam.py", 0o755),
            ("usr/share/ftpd/auth/sqlite.py", 0o755),
            ("usr/share/man/man5/ftpd.ini.5", 0o644),
            ("usr/share/man/man8/ftpd.8", 0o644),
            ("usr/share/zsh/vendor-completions/_ftpd", 0o644),
        ];
        assert_eq!(there, wanted.map(|(name, mode)| (name.to_owned(), mode)));
        // the administrator's changes stay
        for file in ["etc/ftpd.ini", "etc/logrotate.d/ftpd"] {
            fs::write(dir.path().join(file), "mine").unwrap();
        }
        make("install", dir.path());
        make("uninstall", dir.path());
        there.clear();
        files(dir.path(), dir.path(), &mut there);
        let left: Vec<_> = there.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(left, ["etc/ftpd.ini", "etc/logrotate.d/ftpd"]);
        for file in left {
            assert_eq!(fs::read_to_string(dir.path().join(file)).unwrap(), "mine");
        }
    }

    #[test]
    fn make_takes_the_program_from_where_cargo_puts_it() {
        let Some(_) = tool("make") else { return };
        let dir = tempfile::tempdir().unwrap();
        for (target, file) in [("install", "release/ftpd"), ("static", "-musl/release/ftpd")] {
            let output = Command::new("make")
                .args(["-C", ROOT, "-n", target, "OPENRC=no"])
                .arg(format!("DESTDIR={}", dir.path().join("to").display()))
                .env("CARGO_TARGET_DIR", dir.path())
                .env_remove("MAKEFLAGS")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let place = dir.path().to_str().unwrap();
            assert!(
                said.lines().any(|line| line.contains(place) && line.contains(file)),
                "{said}"
            );
            assert!(!said.contains(" target/"), "{said}");
        }
    }

    #[test]
    fn the_files_name_the_program_where_it_is_installed() {
        let Some(_) = tool("make") else { return };
        let dir = tempfile::tempdir().unwrap();
        let prefix = "PREFIX=/opt/ftp";
        let status = Command::new("make")
            .args(["-C", ROOT, "-s", "install", prefix, "OPENRC=yes"])
            .arg(format!("DESTDIR={}", dir.path().display()))
            .arg(format!("BINARY={}", env!("CARGO_BIN_EXE_ftpd")))
            .env_remove("MAKEFLAGS")
            .status()
            .unwrap();
        assert!(status.success());
        for file in ["opt/ftp/lib/systemd/system/ftpd.service", "etc/init.d/ftpd"] {
            let text = fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(text.contains("/opt/ftp/sbin/ftpd"), "{text}");
            assert!(!text.contains("/usr/sbin/ftpd"), "{text}");
        }
    }

    /// The settings that are installed, with the folders that they name below a folder of the
    /// test's own.
    fn system_ini(dir: &Path) -> String {
        let text = etc("ftpd.system.ini");
        ["/var/lib/ftpd", "/srv/ftp", "/run/ftpd"].iter().fold(text, |text, folder| {
            let own = dir.join(folder.trim_start_matches('/'));
            fs::create_dir_all(&own).unwrap();
            text.replace(folder, own.to_str().unwrap())
        })
    }

    #[test]
    fn the_installed_settings_let_nobody_in_and_are_good_with_four_lines() {
        let dir = tempfile::tempdir().unwrap();
        let ini = system_ini(dir.path());
        let check = |ini: &str| {
            crate::program::write(dir.path(), ini);
            crate::server::run(&["check"], dir.path())
        };
        let (code, _, err) = check(&ini);
        assert_eq!(code, 78);
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains("no '[user:NAME]' section"), "{err}");
        let (code, ..) = crate::server::run(&["serve"], dir.path());
        assert_eq!(code, 78);
        // the four lines alone are no password
        let lines = ["[user:camera]", "password =", "perm = elmw", "home ="];
        let ini = lines.iter().fold(ini, |ini, line| {
            assert_eq!(ini.matches(&format!("\n;{line}")).count(), 1, "{line}");
            ini.replace(&format!("\n;{line}"), &format!("\n{line}"))
        });
        let (code, _, err) = check(&ini);
        assert!(code == 78 && err.contains("password"), "{err}");
        fs::create_dir_all(dir.path().join("srv/ftp/camera")).unwrap();
        let (code, out, err) = check(&ini.replace("\npassword =", "\npassword = s3cret"));
        assert_eq!(code, 0, "{out}{err}");
    }

    /// Every call of the program in a file.
    fn calls(text: &str) -> Vec<Vec<String>> {
        let calls = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (_, call) = line.split_once("/usr/sbin/ftpd")?;
            Some(call.trim_matches(['"', ',', ']', ' ']).to_owned())
        });
        let words = |call: String| {
            let words = call.split([' ', ',', '"']).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        calls.map(words).filter(|words| words.contains(&"--config".to_owned())).collect()
    }

    #[test]
    fn the_program_is_called_as_it_may_be() {
        let dir = crate::program::folder("nonsense");
        let mut count = 0;
        for call in calls(&etc("ftpd.service")) {
            let own = |word| if word == "/etc/ftpd.ini" { "ftpd.ini" } else { word };
            let words: Vec<_> = call.iter().map(|word| own(word.as_str())).collect();
            let (code, _, err) = crate::server::run(&words, dir.path());
            // it got as far as the settings, or as the server that is not there
            assert!(code == 78 || code == 1, "{code}, {words:?}: {err}");
            count += 1;
        }
        assert_eq!(count, 2);
    }

    /// The unit with a program that is there.
    fn unit(dir: &Path) -> PathBuf {
        let text = etc("ftpd.service").replace("/usr/sbin/ftpd", env!("CARGO_BIN_EXE_ftpd"));
        fs::write(dir.join("ftpd.service"), text).unwrap();
        fs::write(dir.join("ftpd.socket"), etc("ftpd.socket")).unwrap();
        dir.join("ftpd.service")
    }

    #[test]
    fn the_unit_allows_the_sandbox_and_waits_for_disks_of_the_network() {
        let unit = etc("ftpd.service");
        let values = |key: &str| {
            let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
            lines.map(|line| line.trim_start_matches('=')).collect::<Vec<_>>().join(" ")
        };
        // by name: @system-service of Debian 12 leaves them out
        for call in ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
            assert!(values("SystemCallFilter").split(' ').any(|word| word == call), "{call}");
        }
        assert!(values("After").split(' ').any(|word| word == "remote-fs.target"));
        assert!(values("ExecReload").contains("check --late-homes --config"), "{unit}");
        let script = etc("ftpd.openrc");
        assert!(script.contains("check --late-homes"), "{script}");
    }

    #[test]
    fn systemd_finds_no_fault_with_the_units() {
        let Some(analyze) = tool("systemd-analyze") else { return };
        let dir = tempfile::tempdir().unwrap();
        let service = unit(dir.path());
        let output = Command::new(analyze)
            .args(["verify", "--man=no"])
            .arg(&service)
            .arg(dir.path().join("ftpd.socket"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let about: Vec<_> = said.lines().filter(|line| line.contains("ftpd")).collect();
        assert!(about.is_empty(), "{about:#?}");
    }

    #[test]
    fn systemd_takes_the_service_for_well_confined() {
        let Some(analyze) = tool("systemd-analyze") else { return };
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(analyze)
            .args(["security", "--offline=true", "--threshold=25"])
            .arg(unit(dir.path()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        if said.contains("unrecognized option") {
            eprintln!("skipped: systemd-analyze is too old");
            return;
        }
        assert!(output.status.success(), "{said}");
        assert!(said.contains("OK"), "{said}");
    }

    #[test]
    fn logs_go_on_after_logrotate_has_moved_them_away() {
        let Some(logrotate) = tool("logrotate") else { return };
        let dir = crate::program::folder(format!(
            "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\n\
             log_file = logs/ftpd.log\ntransfer_log = logs/transfers.log\n{}perm = elradfmwMT\n",
            crate::program::BOB
        ));
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mut server = crate::program::Program::start_in(dir, &[]);
        let address = server.address("logs/ftpd.log");
        let log_in = || crate::program::log_in(address, "bob", "tops3cret");
        let logs = server.dir().join("logs");
        let name = |option: &str| {
            let output = Command::new("id").arg(option).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let own = format!("{} {}", name("-un"), name("-gn"));
        let text = etc("ftpd.logrotate")
            .replace("/var/log/ftpd", logs.to_str().unwrap())
            .replace("ftpd ftpd", &own);
        let file = server.dir().join("logrotate");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        let rotate = |flag: &str| {
            let output = Command::new(&logrotate)
                .arg(flag)
                .arg("--state")
                .arg(server.dir().join("state"))
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !said.contains("error"), "{said}");
        };
        rotate("--debug");
        log_in().upload("STOR before", b"1");
        let read = |name: &str| fs::read_to_string(logs.join(name)).unwrap_or_default();
        eventually("it is logged", || read("transfers.log").contains("before"));
        rotate("--force");
        assert!(read("transfers.log.1").contains("before"));
        // the logs are looked for once in a second
        let mut count = 0;
        eventually("the logs go on in new files", || {
            count += 1;
            log_in().upload(&format!("STOR after{count}"), b"1");
            read("transfers.log").contains("after") && read("ftpd.log").contains("after")
        });
        let mode = logs.join("ftpd.log").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn the_scripts_can_be_read_by_a_shell() {
        for script in ["ftpd.openrc", "debian/postinst", "debian/prerm", "debian/postrm"] {
            let path = Path::new(ROOT).join("etc").join(script);
            let status = Command::new("sh").arg("-n").arg(path).status().unwrap();
            assert!(status.success(), "{script}");
        }
    }

    #[test]
    fn the_package_has_the_version_of_the_program() {
        let first = etc("debian/changelog");
        let wanted = format!("ftpd-ini ({}-1) ", env!("CARGO_PKG_VERSION"));
        assert!(first.starts_with(&wanted), "{first}");
    }

    #[test]
    fn the_image_is_built_from_files_that_are_there_and_not_ignored() {
        let ignored = etc("Dockerfile.dockerignore");
        let mut count = 0;
        for line in etc("Dockerfile").lines().filter(|line| line.starts_with("COPY ")) {
            if line.contains("--from=") {
                continue;
            }
            let words: Vec<_> = line.split_ascii_whitespace().skip(1).collect();
            for file in &words[..words.len() - 1] {
                assert!(Path::new(ROOT).join(file).exists(), "{file}");
                assert!(ignored.lines().any(|rule| rule == format!("!{file}")), "{file}");
                count += 1;
            }
        }
        assert!(count >= 5, "{count}");
    }
}
