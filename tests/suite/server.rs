//! The real program on port 0, in a temporary folder that is removed with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Maximum time that a test waits for anything: far more than is needed, for busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The settings in which a test's server differs from the usual one.
pub(crate) struct Setup {
    ip: String,
    server: String,
    user: String,
    sections: String,
    launch: Launch,
}

/// How the program is started, apart from its settings.
#[derive(Clone, Default)]
struct Launch {
    limits: Option<String>,
    user: Option<u32>,
    /// The owner of the home, which lies in a folder that everybody may search.
    owner: Option<u32>,
    environment: Vec<(String, String)>,
    /// Sockets that are handed over as by systemd, and their names.
    sockets: Vec<(Arc<TcpListener>, &'static str)>,
    /// Whether the server does not notice what others mount.
    alone: bool,
}

/// A running server. It is killed on drop.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
    log: Arc<Log>,
    launch: Launch,
}

#[derive(Default)]
struct Log {
    text: Mutex<(String, bool)>,
    grown: Condvar,
}

impl Setup {
    /// More lines of `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server += lines;
        self.server += "\n";
        self
    }

    /// More lines of `[user:bob]`; a key given here replaces the usual one.
    pub(crate) fn user(mut self, lines: &str) -> Self {
        self.user += lines;
        self.user += "\n";
        self
    }

    /// Whole sections.
    pub(crate) fn section(mut self, lines: &str) -> Self {
        self.sections += lines;
        self.sections += "\n";
        self
    }

    /// The address to listen on, instead of 127.0.0.1.
    pub(crate) fn ip(mut self, ip: &str) -> Self {
        self.ip = ip.to_owned();
        self
    }

    /// The limit on open files (`ulimit -n`).
    pub(crate) fn files(mut self, files: u64) -> Self {
        self.launch.limits = Some(format!("ulimit -n {files}"));
        self
    }

    /// The umask that the process starts with.
    pub(crate) fn umask(mut self, umask: &str) -> Self {
        self.launch.limits = Some(format!("umask {umask}"));
        self
    }

    /// An environment variable of the server, such as `RUST_LOG`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.launch.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A socket that is handed over at the start; at most two.
    pub(crate) fn socket(mut self, listener: &Arc<TcpListener>, name: &'static str) -> Self {
        self.launch.sockets.push((Arc::clone(listener), name));
        self
    }

    /// Keeps what other tests mount from the server, which looks at its files after each mount.
    pub(crate) fn alone(mut self) -> Self {
        self.launch.alone = true;
        self
    }

    /// The user number of the server, if the tests run as root.
    pub(crate) fn run_as(mut self, user: u32) -> Self {
        self.launch.user = Some(user);
        self
    }

    /// Gives the home to this user and makes it reachable, if the tests run as root.
    pub(crate) fn home_of(mut self, user: u32) -> Self {
        self.launch.owner = Some(user);
        self
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(self) -> Server {
        self.start_with(|_| ())
    }

    /// Starts the server in a folder that holds more than the ini file.
    pub(crate) fn start_with(self, put: impl FnOnce(&Path)) -> Server {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::write(dir.path().join("ftpd.ini"), self.ini()).unwrap();
        put(dir.path());
        if let Some(user) = self.launch.user {
            for path in ["", "home", "ftpd.ini"] {
                chown(dir.path().join(path), Some(user), Some(user)).unwrap();
            }
        }
        if let Some(owner) = self.launch.owner {
            fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
            chown(dir.path().join("home"), Some(owner), Some(owner)).unwrap();
        }
        let (child, address, log) = self.launch.run(dir.path());
        Server { child, address, dir, log, launch: self.launch }
    }

    fn ini(&self) -> String {
        let usual = |lines: &str, key: &str, value: &str| {
            let said = lines
                .lines()
                .any(|line| line.split('=').next().is_some_and(|name| name.trim() == key));
            if said { String::new() } else { format!("{key} = {value}\n") }
        };
        let server = [
            usual(&self.server, "port", "0"),
            usual(&self.server, "passive_ports", "10000-32000"),
            usual(&self.server, "max_per_ip", "0"),
        ];
        let user = [
            usual(&self.user, "password", "secret"),
            usual(&self.user, "perm", "elradfmwMT"),
            usual(&self.user, "home", "home"),
        ];
        format!(
            "[server]\nip = {}\n{}{}[user:bob]\n{}{}{}",
            self.ip,
            server.concat(),
            self.server,
            user.concat(),
            self.user,
            self.sections
        )
    }
}

impl Launch {
    /// Starts the program on the ini file of a folder, and waits until it listens.
    fn run(&self, dir: &Path) -> (Child, SocketAddr, Arc<Log>) {
        let mut command = self.program();
        command.arg("--config").arg(dir.join("ftpd.ini"));
        command.env_remove("RUST_LOG").env("TZ", "UTC");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // so that a Ctrl-C for the test run does not reach it
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let stdio = |listener: &TcpListener| OwnedFd::from(listener.try_clone().unwrap());
        for ((listener, _), place) in self.sockets.iter().zip([Command::stdin, Command::stdout])
        {
            place(&mut command, Stdio::from(stdio(listener)));
        }
        if !self.sockets.is_empty() {
            let names: Vec<_> = self.sockets.iter().map(|(_, name)| *name).collect();
            command.env("LISTEN_FDS", names.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
        }
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Log::default());
        let pipe = child.stderr.take().unwrap();
        let writer = Arc::clone(&log);
        thread::spawn(move || writer.follow(BufReader::new(pipe)));
        let begin = ">>> starting FTP server on ";
        let line = log.wait(begin);
        let address = line.split(begin).nth(1).and_then(|rest| rest.split(',').next());
        let address = address.unwrap().parse().unwrap();
        (child, address, log)
    }

    /// Returns the program, by way of the program that starts it.
    fn program(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_ftpd");
        match (&self.limits, self.user) {
            (None, None) if !self.sockets.is_empty() => {
                let mut shell = Command::new("sh");
                let script = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$@\"";
                shell.args(["-c", script, "sh", program]);
                shell
            }
            (None, None) if self.alone => {
                let mut shell = Command::new("sh");
                // without the right to do this, other tests cannot mount anything either
                let script =
                    "unshare --mount true 2>&- && exec unshare --mount \"$@\"; exec \"$@\"";
                shell.args(["-c", script, "sh", program]);
                shell
            }
            (None, None) => Command::new(program),
            (Some(limits), _) => {
                let mut shell = Command::new("sh");
                let script = format!("{limits} && exec \"$@\"");
                shell.args(["-c", &script, "sh", program]);
                shell
            }
            (None, Some(user)) => {
                let mut other = Command::new("setpriv");
                let user = user.to_string();
                other.args(["--reuid", &user, "--regid", &user, "--clear-groups", program]);
                other
            }
        }
    }
}

impl Server {
    /// Starts the usual server: its user `bob` with the password `secret` may do everything.
    pub(crate) fn start() -> Self {
        Self::setup().start()
    }

    /// Settings for a server that differs from the usual one.
    pub(crate) fn setup() -> Setup {
        Setup {
            ip: "127.0.0.1".to_owned(),
            server: String::new(),
            user: String::new(),
            sections: String::new(),
            launch: Launch::default(),
        }
    }

    /// Ends the server by a signal such as `KILL`, and starts it again.
    pub(crate) fn restart(&mut self, signal: &str) {
        self.signal(signal);
        self.wait_for_exit();
        self.start_again();
    }

    /// Sets an environment variable for the next start.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.launch.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again in the same folder, after its end.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.address, self.log) = self.launch.run(self.dir.path());
    }

    /// The address on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of its ini file.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Bob's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Puts a file into bob's home.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Reads a file of bob's home.
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        let path = self.home().join(name);
        fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }

    /// Whether bob's home has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.home().join(name).symlink_metadata().is_ok()
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.log.text.lock().unwrap().0.clone()
    }

    /// Waits for a line of the log with this text, and returns it.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.log.wait(text)
    }

    /// The server's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the server a signal by name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid())])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits until the server has ended.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "still running\n{}", self.log());
            pause();
        }
    }

    /// The number of file descriptors that the server has open.
    pub(crate) fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.pid());
        if let Ok(files) = fs::read_dir(&path) {
            return files.count();
        }
        // the server hides them from all but root, but Linux 6.2 tells everybody their number
        let count = fs::metadata(path).unwrap().len();
        assert_ne!(count, 0, "this test takes root or Linux 6.2");
        usize::try_from(count).unwrap()
    }

    /// The number of the process that starts programs for the server, if there is one.
    pub(crate) fn starter(&self) -> Option<String> {
        let children = children_of(&self.pid().to_string());
        let name = |pid: &String| fs::read_to_string(format!("/proc/{pid}/comm"));
        children.into_iter().find(|pid| name(pid).is_ok_and(|name| name == "ftpd-programs\n"))
    }

    /// The numbers of the processes that were started for the server and still run.
    pub(crate) fn programs(&self) -> Vec<String> {
        self.starter().map(|pid| children_of(&pid)).unwrap_or_default()
    }

    /// The names of the server's threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        tasks
            .filter_map(|task| name(task.unwrap()))
            .map(|name| name.trim().to_owned())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

impl Log {
    fn follow(&self, lines: impl BufRead) {
        for line in lines.split(b'\n') {
            let Ok(line) = line else { break };
            let mut text = self.text.lock().unwrap();
            text.0 += &String::from_utf8_lossy(&line);
            text.0 += "\n";
            self.grown.notify_all();
        }
        self.text.lock().unwrap().1 = true;
        self.grown.notify_all();
    }

    fn wait(&self, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut text = self.text.lock().unwrap();
        loop {
            if let Some(line) = text.0.lines().find(|line| line.contains(wanted)) {
                return line.to_owned();
            }
            let left = until.saturating_duration_since(Instant::now());
            if text.1 || left.is_zero() {
                drop(text);
                panic!("no '{wanted}' in the log");
            }
            text = self.grown.wait_timeout(text, left).unwrap().0;
        }
    }
}

/// The children of all threads of a process.
fn children_of(pid: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let all: String = tasks.map(|task| of(task.unwrap()).unwrap_or_default()).collect();
    all.split_whitespace().map(str::to_owned).collect()
}

/// Runs the program to its end. Returns the exit code, standard output and standard error.
pub(crate) fn run(arguments: &[&str], dir: &Path) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ftpd"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Waits a moment between two looks at something that announces no change: a child process, a
/// file of another process, a place that the server gives back. The looks themselves have a
/// deadline.
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(5));
}

/// Waits until a condition holds that no line of the log tells of.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        pause();
    }
}

/// A free port above those that the system assigns by itself. No other test is given it before this
/// process ends, also in another test run.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static TAKEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    loop {
        let next = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 61_000 + u16::try_from(next % 4_500).unwrap();
        // only one process can have this name, which goes with it
        let name = format!("ftpd tests: port {port}");
        let name = unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let Ok(taken) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            TAKEN.lock().unwrap().push(taken);
            return port;
        }
    }
}
