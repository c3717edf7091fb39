//! The server's process with a home and settings of its own, what the system tells of the
//! process, and what its log tells of sessions.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Maximum time that starting and stopping may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills the process.
pub struct Server {
    child: Child,
    /// The address for clear text.
    pub address: SocketAddr,
    /// The address at which TLS begins with the connection, if there is one.
    pub implicit: Option<SocketAddr>,
    /// The two addresses for IPv6.
    pub address6: Option<SocketAddr>,
    pub implicit6: Option<SocketAddr>,
    /// What the server has logged.
    pub log: Arc<Log>,
    /// The directory of homes and settings.
    _dir: TempDir,
}

/// Returns the program that is tested.
pub fn program() -> PathBuf {
    env::var_os("FTPD").map_or_else(|| env!("CARGO_BIN_EXE_ftpd").into(), PathBuf::from)
}

/// What the server has logged so far.
pub struct Log {
    state: Mutex<Told>,
    changed: Condvar,
    /// How often the log was moved away, read to its end, and followed by another file.
    turns: AtomicU64,
    /// The file with the whole log.
    pub path: PathBuf,
}

#[derive(Default)]
struct Told {
    listening: Vec<(SocketAddr, bool)>,
    /// Sessions that have ended and that a client will ask for, by the client's address.
    ended: HashSet<SocketAddr>,
    /// Lines that should not be there.
    faults: Vec<String>,
    /// The number of warnings of each kind.
    over: bool,
}

/// What the system tells of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Number of open file descriptors.
    pub files: usize,
    /// Number of threads.
    pub threads: usize,
    /// Number of threads that serve sessions or wait for the next one.
    pub workers: usize,
    /// Resident memory, in KiB.
    pub memory: u64,
}

impl Server {
    /// Starts the server in a directory. `{dir}` in the settings is replaced by that directory.
    pub fn start(
        dir: TempDir,
        settings: &str,
        log: &Path,
        doors: usize,
    ) -> Result<Self, String> {
        let told = |why: std::io::Error| format!("cannot start the server: {why}");
        let ini = dir.path().join("ftpd.ini");
        let settings = settings.replace("{dir}", &dir.path().display().to_string());
        fs::write(&ini, &settings).map_err(told)?;
        let mut command = Command::new(program());
        command.arg("--config").arg(&ini).env_remove("RUST_LOG").env("TZ", "UTC");
        // a Ctrl-C that is meant for the run must not reach it
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(told)?;
        let pipe = child.stderr.take().ok_or("no pipe")?;
        let copy = File::create(log).map_err(told)?;
        let log = Arc::new(Log {
            state: Mutex::default(),
            changed: Condvar::new(),
            turns: AtomicU64::new(0),
            path: log.to_owned(),
        });
        let follower = Arc::clone(&log);
        if settings.contains("\nlog_file = ") {
            // standard error has what precedes the log, or a panic
            let tail = Tail::of(&dir.path().join("ftpd.log"), &log).map_err(told)?;
            thread::spawn(move || follower.follow(BufReader::new(tail), copy));
            let (follower, copy) = (Arc::clone(&log), io::sink());
            thread::spawn(move || follower.follow(BufReader::new(pipe), copy));
        } else {
            thread::spawn(move || follower.follow(BufReader::new(pipe), copy));
        }
        let listening = log.wait(PATIENCE, |told| {
            let is_there = told.listening.len() >= doors || told.over;
            is_there.then(|| told.listening.clone())
        });
        let listening = listening.filter(|doors| !doors.is_empty());
        let Some(listening) = listening else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the server did not start, see {}", log.path.display()));
        };
        let door = |implicit, six| {
            let doors = listening.iter().filter(|(_, at_once)| *at_once == implicit);
            doors.map(|(address, _)| *address).find(|address| address.is_ipv6() == six)
        };
        let address = door(false, false).ok_or("the server has no door")?;
        let (implicit, address6, implicit6) =
            (door(true, false), door(false, true), door(true, true));
        Ok(Self { child, address, implicit, address6, implicit6, log, _dir: dir })
    }

    /// Returns the number of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the server as a service manager does. It must end without an error.
    pub fn stop(&mut self) -> Result<(), String> {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        sent.map_err(|why| format!("cannot send a signal: {why}"))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the server ended with {status}")),
                Ok(None) if Instant::now() < until => {}
                Ok(None) => return Err("the server does not stop on SIGTERM".to_owned()),
                Err(why) => return Err(format!("cannot wait for the server: {why}")),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Figures {
    /// Reads the figures of a running process.
    pub fn of(pid: u32) -> Result<Self, String> {
        let told = |why: std::io::Error| format!("the server is gone: {why}");
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_err(told)?.count();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(told)?;
        let names = tasks.filter_map(|task| fs::read(task.ok()?.path().join("comm")).ok());
        let workers = names.filter(|name| name.starts_with(b"session-")).count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(told)?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let missing = || "the server is a zombie".to_owned();
        let threads = field("Threads:").ok_or_else(missing)? as usize;
        let memory = field("VmRSS:").ok_or_else(missing)?;
        Ok(Self { files, threads, workers, memory })
    }

    /// Returns what the file descriptors of a process are open on.
    pub fn open(pid: u32) -> Vec<String> {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
        let files = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        files.map(|file| file.display().to_string()).collect()
    }

    /// Returns the larger one of each figure.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self {
            files: self.files.max(other.files),
            threads: self.threads.max(other.threads),
            workers: self.workers.max(other.workers),
            memory: self.memory.max(other.memory),
        }
    }
}

impl Log {
    fn follow(&self, lines: impl BufRead, mut copy: impl Write) {
        for line in lines.split(b'\n') {
            let Ok(line) = line else { break };
            let _ = copy.write_all(&line).and_then(|()| copy.write_all(b"\n"));
            let line = String::from_utf8_lossy(&line);
            let mut told = self.state();
            told.take(&line);
            self.changed.notify_all();
        }
        self.state().over = true;
        self.changed.notify_all();
    }

    /// Returns how often the log was moved away and another file has followed.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Told> {
        self.state.lock().expect("no thread panics with the log")
    }

    fn wait<T>(
        &self,
        time: Duration,
        mut wanted: impl FnMut(&mut Told) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + time;
        let mut told = self.state();
        loop {
            if let Some(found) = wanted(&mut told) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            told = self.changed.wait_timeout(told, left).expect("as above").0;
        }
    }

    /// Waits until the session of a client has ended, and returns whether it has.
    pub fn has_ended(&self, client: SocketAddr, time: Duration) -> bool {
        self.wait(time, |told| told.ended.remove(&client).then_some(())).is_some()
    }

    /// Forgets earlier sessions from the address of a client that has just connected.
    pub fn begins(&self, client: SocketAddr) {
        self.state().ended.remove(&client);
    }

    /// Returns the lines that should not be there.
    pub fn faults(&self) -> Vec<String> {
        self.state().faults.clone()
    }
}

/// Reads a log file that grows, and the one that follows it after it was moved away.
struct Tail {
    path: PathBuf,
    file: File,
    log: Arc<Log>,
}

impl Tail {
    /// The server appends to the file that this makes.
    fn of(path: &Path, log: &Arc<Log>) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, log: Arc::clone(log) })
    }

    /// Returns the file that the server writes to if that is another one.
    fn next(&self) -> io::Result<Option<File>> {
        let next = match File::open(&self.path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let is_same = next.metadata()?.ino() == self.file.metadata()?.ino();
        Ok(if is_same { None } else { Some(next) })
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let next = self.next()?;
            // once there is another file, nothing more is written to this one
            let count = self.file.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            match next {
                Some(next) => {
                    self.file = next;
                    self.log.turns.fetch_add(1, Ordering::Relaxed);
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Told {
    /// Takes in a line: `time LEVEL text`, where the text of a session begins with its address.
    fn take(&mut self, line: &str) {
        if let Some((_, rest)) = line.split_once(">>> starting FTP server on ") {
            let address = rest.split(',').next().and_then(|address| address.parse().ok());
            let implicit = rest.contains("TLS at once");
            self.listening.extend(address.map(|address| (address, implicit)));
        }
        if line.contains(" ERROR ") || line.contains("panicked") {
            self.faults.push(line.to_owned());
        }
        if let Some((front, _)) = line.split_once(" ended after ") {
            let words = front.split_ascii_whitespace();
            self.ended.extend(words.filter_map(|word| word.parse::<SocketAddr>().ok()));
        }
    }
}
