//! Whole runs of the program, whose calls fail from its first line on: starts of the server, and
//! subcommands that change the settings.
//!
//! A start either succeeds and serves, or ends with the cause on standard error. A subcommand
//! either succeeds and the change is there, or fails and the file is as it was. Afterwards the
//! server starts without a fault, with what it had kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path as Folder;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::judge::Error;
use crate::link::Link;
use crate::server::pause;
use crate::tracer::{self, Fault, Seen};

/// One way to run the program.
pub struct Program {
    pub name: &'static str,
    pub about: &'static str,
    /// The subcommand; empty: the server.
    words: &'static [&'static str],
    /// Whether the server has run in the directory before.
    used: bool,
    /// The files whose calls fail, in any thread; empty: all calls of the first thread.
    only: &'static [&'static str],
}

/// All ways.
pub static PROGRAMS: &[Program] = &[
    Program {
        name: "first start",
        about: "a start that makes a certificate, a journal and logs",
        words: &[],
        used: false,
        only: &[],
    },
    Program {
        name: "start",
        about: "a start with what an earlier one has left",
        words: &[],
        used: true,
        only: &[],
    },
    Program {
        name: "own files",
        about: "calls of a start on its settings, certificate, journal and records",
        words: &[],
        used: true,
        only: OWN,
    },
    Program {
        name: "certificate",
        about: "calls of a start on the certificate that it has made before",
        words: &[],
        used: true,
        only: &["ftpd-tls/cert.pem", "ftpd-tls/key.pem"],
    },
    Program {
        name: "adduser",
        about: "`ftpd adduser`",
        words: &["adduser", "ann", "--home", "home"],
        used: false,
        only: &[],
    },
    Program {
        name: "passwd",
        about: "`ftpd passwd`",
        words: &["passwd", "bob", "--write"],
        used: false,
        only: &[],
    },
];

/// Calls on files, of which a start makes hundreds.
const ON_FILES: &[&str] = &[
    "openat",
    "read",
    "close",
    "fstat",
    "statx",
    "newfstatat",
    "fcntl",
    "lseek",
    "readlink",
    "getcwd",
    "getdents64",
];

/// What the server keeps.
const OWN: &[&str] = &[
    "ftpd.ini",
    "transfers",
    "ftpd-tls",
    "ftpd-tls/cert.pem",
    "ftpd-tls/key.pem",
    "ftpd-state",
    "ftpd-state/parts",
    "ftpd-state/logins",
];

const INI: &str = "[server]\nip = 127.0.0.1\nport = 0\npassive_ports = 10000-32000\n\
    transfer_log = transfers\nadmin_socket = admin\ntls_cert = auto\n\
    [user:bob]\npassword = secret\nhome = home\nperm = elradfmwMT\n";

/// Maximum time for a start or an end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first call of Rust's runtime. What comes before is the loader's.
const BEGIN: &str = "poll([{fd=0";

impl Program {
    /// Runs the program without a fault. Returns, for each call, the numbers of the first and
    /// of the last one that is its own.
    pub fn calls(&self) -> BTreeMap<String, (usize, usize)> {
        let dir = self.folder();
        let trace = dir.path().join("trace");
        let run = self.run(dir.path(), None, &trace);
        assert!(run.end().1, "{} fails without a fault", self.name);
        if !self.only.is_empty() {
            let seen = Seen::read(&trace).calls.into_iter();
            return seen.map(|(call, count)| (call, (1, count))).collect();
        }
        let text = fs::read_to_string(&trace).unwrap_or_default();
        // the first thread is the one that starts the others
        let main = text.split_whitespace().next().unwrap_or_default().to_owned();
        let (mut calls, mut begun) = (BTreeMap::new(), false);
        for line in text.lines().filter(|line| line.starts_with(&main)) {
            let name = line[main.len()..].trim_start().split('(').next().unwrap_or_default();
            begun |= line.contains(BEGIN);
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if is_name && !name.is_empty() && !line.contains(BEGIN) {
                let (first, last) = calls.entry(name.to_owned()).or_insert((1, 0));
                *last += 1;
                *first += usize::from(!begun);
            }
        }
        // the calls on files are those of `OWN`, and of files that the libraries read
        calls.retain(|call, (first, last)| {
            first <= last && (!self.words.is_empty() || !ON_FILES.contains(&call.as_str()))
        });
        calls
    }

    /// Runs the program while a call fails. Returns the outcome, and what is wrong.
    pub fn case(&self, fault: &Fault, error: &Error) -> (String, Vec<String>) {
        let dir = self.folder();
        let ini = dir.path().join("ftpd.ini");
        let before = fs::read_to_string(&ini).expect("the settings");
        let kept = certificate(dir.path());
        let trace = dir.path().join("trace");
        let mut run = self.run(dir.path(), Some(fault), &trace);
        let served = run.serves();
        let started = run.address.is_some();
        let (text, succeeded) = run.end();
        let Some(call) = Seen::read(&trace).injected.into_iter().next() else {
            return ("not made".to_owned(), Vec::new());
        };
        let mut faults = Vec::new();
        // the C library reports EAGAIN when the kernel has no memory for a thread
        let is_thread = fault.call == "clone3" && error.name == "ENOMEM";
        let is_named = text.contains(error.text)
            || text.contains(error.message)
            || is_thread && text.contains("os error 11)");
        // a line that the reader of a pipe does not get is gone, such as the one with the address
        let is_log = call.contains("write(2<pipe:")
            || call.contains("write(5<pipe:")
            || fault.call == "write" && fault.nth.is_none();
        if !is_named && !succeeded && !is_log {
            faults.push("it fails and does not name the cause".to_owned());
        }
        if text.contains("panicked") {
            faults.push("panic".to_owned());
        }
        if started && !served && succeeded && !is_named {
            faults.push("it starts and does not serve".to_owned());
        }
        let after = fs::read_to_string(&ini).unwrap_or_default();
        let is_new = after != before;
        // the directory is synced last, when the file is in place, and then a message is printed
        let is_late = fault.call == "fsync" || call.contains("write(1<");
        if is_new && !succeeded && !is_late {
            faults.push("it fails, and the settings have changed".to_owned());
        }
        if !is_new && succeeded && !self.words.is_empty() {
            faults.push("it succeeds, and the settings have not changed".to_owned());
        }
        let mut again = Run::plain(dir.path());
        if !again.serves() {
            faults.push("afterwards the server does not start".to_owned());
        }
        again.end();
        if kept.is_some() && certificate(dir.path()) != kept {
            faults.push("the certificate has changed".to_owned());
        }
        for what in &mut faults {
            *what += &format!("\n    {call}\n{}", crate::indented(&text));
        }
        let cell = if succeeded { "ok" } else { "fails" };
        (cell.to_owned(), faults)
    }

    /// Starts the program in a directory, perhaps with a fault.
    fn run(&self, dir: &Folder, fault: Option<&Fault>, trace: &Folder) -> Run {
        let mut strace = tracer::strace("", fault, trace);
        for file in self.only {
            strace.arg("-P").arg(dir.join(file));
        }
        Run::start(strace, dir, self.words)
    }

    fn folder(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("home")).expect("a folder");
        fs::write(dir.path().join("ftpd.ini"), INI).expect("the settings");
        if self.used {
            Run::plain(dir.path()).end();
        }
        dir
    }
}

/// The certificate that the server has made, if it has.
fn certificate(dir: &Folder) -> Option<Vec<u8>> {
    let made = fs::read_dir(dir.join("ftpd-tls")).ok()?.map_while(Result::ok);
    let mut files: Vec<_> = made.map(|file| file.path()).collect();
    files.sort();
    Some(files.into_iter().flat_map(|path| fs::read(path).unwrap_or_default()).collect())
}

/// A run under strace.
struct Run {
    child: Child,
    /// The server's number and address, once it listens.
    address: Option<(String, SocketAddr)>,
    lines: Receiver<String>,
    text: String,
}

impl Run {
    /// Starts the server without a fault.
    fn plain(dir: &Folder) -> Self {
        Self::start(tracer::strace("", None, &dir.join("trace")), dir, &[])
    }

    /// Starts the program, and waits until it listens or ends.
    fn start(mut command: Command, dir: &Folder, words: &[&str]) -> Self {
        command.arg("-f").arg(env!("CARGO_BIN_EXE_ftpd")).args(words);
        command.args(["--config", "ftpd.ini"]).current_dir(dir).env_remove("RUST_LOG");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("strace");
        // what subcommands ask for: the password, twice
        let mut input = child.stdin.take().expect("a pipe");
        let _ = input.write_all(b"fresh\nfresh\n");
        let (sender, lines) = channel();
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        thread::spawn(move || {
            errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut run = Self { child, address: None, lines, text: String::new() };
        while let Ok(line) = run.lines.recv_timeout(PATIENCE) {
            run.text += &format!("{line}\n");
            if let Some((_, rest)) = line.split_once(">>> starting FTP server on ") {
                let address = rest.split(',').next().and_then(|address| address.parse().ok());
                let pid = rest.split("pid=").nth(1).and_then(|rest| rest.split(' ').next());
                run.address = pid.map(str::to_owned).zip(address);
                break;
            }
        }
        run
    }

    /// Whether a client can log in before the program ends.
    fn serves(&mut self) -> bool {
        let Some((_, address)) = self.address.clone() else { return false };
        let until = Instant::now() + PATIENCE;
        // the line is logged before the thread that accepts runs
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            // the second one is that of a subcommand
            let enters = |password| {
                Link::connect(address).and_then(|mut link| link.login_with("bob", password))
            };
            if ["secret", "fresh"].into_iter().any(|password| enters(password).is_ok()) {
                return true;
            }
            pause();
        }
        false
    }

    /// Ends a server. Returns what was printed, and whether the program has succeeded.
    fn end(mut self) -> (String, bool) {
        // the one child of strace; a subcommand has ended by itself
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        if let Some(pid) = children.split_whitespace().next() {
            let _ = Command::new("kill").args(["-TERM", pid]).status();
        }
        let until = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < until => pause(),
                _ => break None,
            }
        };
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.text += "it does not end\n";
        }
        // until the end of standard error, which the program has closed
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.text += &format!("{line}\n");
        }
        (self.text, status.is_some_and(|status| status.success()))
    }
}
