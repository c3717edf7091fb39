//! The machine as an attacker finds it: the folders of a server, and programs beside it.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

/// The user `nobody`, whom every system has.
pub(crate) const NOBODY: u32 = 65534;

/// A number that no account has: the user in `run_as`.
pub(crate) const EVE: u32 = 61_003;

/// What the attacker knows of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) dir: PathBuf,
    /// Another process of the server's user.
    pub(crate) neighbour: i32,
    pub(crate) tcp: u16,
    pub(crate) udp: u16,
}

impl Known {
    /// The form in which it is passed to a child, as arguments.
    pub(crate) fn arguments(&self) -> [String; 4] {
        let dir = self.dir.to_str().expect("a temporary folder").to_owned();
        [dir, self.neighbour.to_string(), self.tcp.to_string(), self.udp.to_string()]
    }

    pub(crate) fn of_arguments(mut given: impl Iterator<Item = String>) -> Self {
        let mut next = || given.next().expect("four arguments");
        let dir = PathBuf::from(next());
        let neighbour = next().parse().expect("a number");
        let (tcp, udp) = (next().parse(), next().parse());
        Self { dir, neighbour, tcp: tcp.expect("a port"), udp: udp.expect("a port") }
    }

    /// The abstract name of a Unix socket that another program listens on.
    pub(crate) fn abstract_socket(&self) -> SocketAddr {
        let name = self.dir.to_str().expect("a temporary folder");
        SocketAddr::from_abstract_name(name).expect("a short name")
    }
}

/// The machine. Everything in it goes with it.
pub(crate) struct World {
    pub(crate) known: Known,
    _dir: TempDir,
    neighbour: Child,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _sockets: [UnixListener; 3],
}

impl World {
    /// Makes the folders of a server with these lines of settings. `user_lines` are those of the
    /// user eve. `starter` is the user that starts the server.
    pub(crate) fn new(server_lines: &str, user_lines: &str, starter: u32) -> Self {
        // not in /tmp, where one of the acts makes a file
        let dir = tempfile::tempdir_in("/run").expect("a temporary folder");
        let at = dir.path();
        make_folders(at, if user_lines.contains("run_as") { EVE } else { NOBODY }, starter);
        make_settings(at, server_lines, user_lines);
        let becomes = if server_lines.contains("user = ") { NOBODY } else { starter };
        let neighbour = Command::new("sleep").arg("600").uid(becomes).gid(becomes).spawn();
        let neighbour = neighbour.expect("there is sleep");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let known = Known {
            dir: at.to_owned(),
            neighbour: i32::try_from(neighbour.id()).expect("a process number"),
            tcp: tcp.local_addr().expect("bound").port(),
            udp: udp.local_addr().expect("bound").port(),
        };
        let named = socket(&at.join("outside/socket"), 0o777);
        let of_root = socket(&at.join("outside/of-root"), 0o600);
        let hidden = UnixListener::bind_addr(&known.abstract_socket()).expect("a socket");
        Self {
            known,
            _dir: dir,
            neighbour,
            _tcp: tcp,
            _udp: udp,
            _sockets: [named, of_root, hidden],
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.neighbour.kill();
        let _ = self.neighbour.wait();
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("root may");
}

/// Listens on a Unix socket of root that is a file.
fn socket(path: &Path, bits: u32) -> UnixListener {
    let socket = UnixListener::bind(path).expect("a socket");
    mode(path, bits);
    socket
}

fn file(path: &Path, text: &str, owner: u32, bits: u32) {
    fs::write(path, text).expect("a new file");
    mode(path, bits);
    chown(path, Some(owner), Some(owner)).expect("root may");
}

/// Makes the homes of the users bob and eve, and the folders of the server.
fn make_folders(at: &Path, eve: u32, starter: u32) {
    mode(at, 0o755);
    for (folder, owner) in [
        ("home", NOBODY),
        ("other", eve),
        ("outside", NOBODY),
        ("log", NOBODY),
        ("tls", starter),
    ] {
        let path = at.join(folder);
        fs::create_dir(&path).expect("a new folder");
        file(&path.join("file"), "secret", owner, 0o600);
        chown(&path, Some(owner), Some(owner)).expect("root may");
    }
    mode(&at.join("other"), 0o700);
    file(&at.join("tls/of-root"), "secret", 0, 0o600);
    make_certificate(&at.join("tls"), starter);
    chown(at, Some(starter), None).expect("root may");
}

fn make_settings(at: &Path, server_lines: &str, user_lines: &str) {
    let server = format!(
        "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\n\
         tls_cert = tls/cert.pem\ntls_key = tls/key.pem\nlog_file = log/file\n\
         admin_socket = run/socket\nstate_dir = state\n{server_lines}\n"
    );
    let users = format!(
        "[user:bob]\npassword = secret\nperm = elradfmwMT\nhome = home\n\
         [user:eve]\npassword = secret\nperm = elradfmwMT\nhome = other\n{user_lines}\n"
    );
    // as the package installs it: root's, and the server may read it
    file(&at.join("ftpd.ini"), &(server + &users), 0, 0o640);
    chown(at.join("ftpd.ini"), Some(0), Some(NOBODY)).expect("root may");
}

fn make_certificate(folder: &Path, owner: u32) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    file(&folder.join("cert.pem"), &pair.cert.pem(), owner, 0o644);
    file(&folder.join("key.pem"), &pair.signing_key.serialize_pem(), owner, 0o600);
}
