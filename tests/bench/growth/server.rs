//! A server on settings of the benchmark, and a client that knows no more than it needs.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server, whose files are in memory if the system has a file system for that.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    dir: PathBuf,
}

/// Makes a directory with a home.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let at = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    let dir = tempfile::tempdir_in(at).unwrap();
    fs::create_dir(dir.path().join("home")).unwrap();
    dir
}

pub(crate) fn program() -> String {
    env::var("FTPD").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ftpd").to_owned())
}

/// The section of one user.
pub(crate) fn user(name: &str) -> String {
    format!("[user:{name}]\npassword = secret\nhome = home\nperm = elradfmwMT\n")
}

impl Server {
    /// Starts the server; `lines` are settings of `[server]`, `sections` follow.
    pub(crate) fn start(dir: &Path, lines: &str, sections: &str) -> Self {
        let ini = format!(
            "[server]\nip = 127.0.0.1\nport = 0\nlog_file = ftpd.log\nmax_per_ip = 0\n\
             passive_ports = 20000-30000\n{lines}\n{sections}"
        );
        fs::write(dir.join("ftpd.ini"), ini).unwrap();
        fs::set_permissions(dir.join("ftpd.ini"), PermissionsExt::from_mode(0o600)).unwrap();
        let _ = fs::remove_file(dir.join("ftpd.log"));
        let child = Command::new(program())
            .args(["--config", "ftpd.ini"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let log = dir.join("ftpd.log");
        let begin = ">>> starting FTP server on ";
        let address = wait_until(|| {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let line = text.lines().find(|line| line.ends_with("<<<"))?.to_owned();
            line.split(begin).nth(1)?.split(',').next()?.parse().ok()
        });
        Self { child, address, dir: dir.to_owned() }
    }

    /// Processor time of the server so far, in milliseconds.
    pub(crate) fn time(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 =
            [11, 12].iter().map(|&at: &usize| fields[at].parse::<f64>().unwrap()).sum();
        ticks * 10.0
    }

    /// A line of `/proc/PID/status` in KiB.
    pub(crate) fn memory(&self, line: &str) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|found| found.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Processor time in milliseconds that the server takes for `work`, which is repeated until the
    /// clock of the system shows it.
    pub(crate) fn cost(&self, mut work: impl FnMut()) -> f64 {
        let (before, begin) = (self.time(), Instant::now());
        let mut rounds = 0;
        while rounds == 0 || (self.time() - before < 100.0 && begin.elapsed().as_secs() < 3) {
            work();
            rounds += 1;
        }
        ((self.time() - before) / f64::from(rounds)).max(0.001)
    }

    /// Time in milliseconds that `ftpd` takes with these arguments, by the clock.
    pub(crate) fn order(&self, arguments: &[&str]) -> f64 {
        let begin = Instant::now();
        let done = Command::new(program())
            .args(arguments)
            .args(["--config", "ftpd.ini"])
            .current_dir(&self.dir)
            .stdout(Stdio::null())
            .status();
        assert!(done.unwrap().success(), "{arguments:?}");
        begin.elapsed().as_secs_f64() * 1000.0
    }

    /// Stops the server and waits for its end.
    pub(crate) fn stop(mut self) {
        self.order(&["stop", "--now"]);
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `find` returns a value.
pub(crate) fn wait_until<T>(mut find: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < until, "nothing has happened");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A client that has logged in.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn login(server: &Server, user: &str) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(server.address).unwrap()));
        client.reply(220);
        client.cmd(&format!("USER {user}"), 331);
        client.cmd("PASS secret", 230);
        client
    }

    pub(crate) fn reply(&mut self, wanted: u16) -> String {
        let mut line = String::new();
        while line.as_bytes().get(3) != Some(&b' ') {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "closed before {wanted}");
        }
        assert!(line.starts_with(&wanted.to_string()), "{line}");
        line
    }

    pub(crate) fn cmd(&mut self, line: &str, wanted: u16) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply(wanted)
    }

    /// Opens a data connection for a command.
    fn data(&mut self, line: &str) -> TcpStream {
        let port = self.cmd("EPSV", 229);
        let port = port.split('|').nth(3).unwrap().parse().unwrap();
        let mut at = self.0.get_ref().peer_addr().unwrap();
        at.set_port(port);
        let data = TcpStream::connect(at).unwrap();
        self.cmd(line, 150);
        data
    }

    /// Downloads, and drops the bytes.
    pub(crate) fn get(&mut self, line: &str) {
        let mut data = self.data(line);
        std::io::copy(&mut data, &mut std::io::sink()).unwrap();
        self.reply(226);
    }

    pub(crate) fn put(&mut self, line: &str, content: &[u8]) {
        let mut data = self.data(line);
        data.write_all(content).unwrap();
        drop(data);
        self.reply(226);
    }

    /// Begins an upload, waits until the server has these bytes, and ends it before its end.
    pub(crate) fn fail(mut self, line: &str, content: &[u8]) {
        let mut data = self.data(line);
        data.write_all(content).unwrap();
        let arrived = format!(": {} bytes ", content.len());
        wait_until(|| self.cmd("STAT", 211).contains(&arrived).then_some(()));
        self.cmd("ABOR", 426);
        self.reply(226);
        let _ = data.read(&mut [0]);
    }
}
