//! The program on an ini file that the test writes, with any destination of its log.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::client::Client;
use crate::server::{PATIENCE, free_port, pause};

/// A section that makes a file complete. Its password must never be seen anywhere.
pub(crate) const BOB: &str = "[user:bob]\npassword = tops3cret\nhome = home\n";

/// A folder with `home` and `ftpd.ini` in it.
pub(crate) fn folder(ini: impl AsRef<[u8]>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("home")).unwrap();
    write(dir.path(), ini);
    dir
}

pub(crate) fn write(dir: &Path, ini: impl AsRef<[u8]>) {
    let file = dir.join("ftpd.ini");
    fs::write(&file, ini).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A running server whose standard error goes to the file `stderr`.
pub(crate) struct Program {
    pub(crate) child: Child,
    dir: TempDir,
}

impl Program {
    pub(crate) fn start(ini: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_in(folder(ini), environment)
    }

    pub(crate) fn start_in(dir: TempDir, environment: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_ftpd"))
            .arg("--config")
            .arg(dir.path().join("ftpd.ini"))
            .env_remove("RUST_LOG")
            .env("TZ", "UTC")
            .envs(environment.iter().copied())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    /// A program that was started in another way, with its log in this folder.
    pub(crate) fn of(child: Child, dir: TempDir) -> Self {
        Self { child, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn text(&self, file: &str) -> String {
        let bytes = fs::read(self.dir().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until a line of a file contains this text, and returns the line.
    pub(crate) fn wait_for(&mut self, file: &str, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.text(file);
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            if let Some(line) = whole.lines().find(|line| line.contains(wanted)) {
                return line.to_owned();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "no '{wanted}' in {file} ({ended:?}):\n{text}\n{}",
                self.text("stderr")
            );
            pause();
        }
    }

    /// The address on which the program listens, read from the log in this file.
    pub(crate) fn address(&mut self, file: &str) -> SocketAddr {
        let begin = ">>> starting FTP server on ";
        let line = self.wait_for(file, begin);
        let address = line.split(begin).nth(1).and_then(|rest| rest.split(',').next());
        address.unwrap().parse().unwrap()
    }

    pub(crate) fn stop(&mut self) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn connect(address: SocketAddr) -> Client {
    let mut client = Client::silent(address);
    client.expect(220);
    client
}

pub(crate) fn log_in(address: SocketAddr, user: &str, password: &str) -> Client {
    let mut client = connect(address);
    client.cmd(&format!("USER {user}"), 331);
    client.cmd(&format!("PASS {password}"), 230);
    client.cmd("TYPE I", 200);
    client
}

/// A server that nothing logs for, on a port that no other test is given.
pub(crate) fn start_unheard(lines: &str, environment: &[(&str, &str)]) -> (Program, Client) {
    for _ in 0..20 {
        let port = free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = {port}\npassive_ports = 10000-32000\n{lines}{BOB}perm = elradfmwMT\n"
        );
        let mut program = Program::start(&ini, environment);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && program.child.try_wait().unwrap().is_none() {
            if std::net::TcpStream::connect(address).is_ok() {
                return (program, log_in(address, "bob", "tops3cret"));
            }
            pause();
        }
    }
    panic!("no server came up")
}
