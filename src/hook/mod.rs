//! Programs that the administrator wants to be started when something has happened: an upload
//! is in place, say.
//!
//! Alone has the right to start programs. No shell is between; what has happened stands in the
//! environment. A session only hands the event over and never waits: a few threads, which the
//! server starts, run one program each, and end it when its time is over. What it prints goes
//! to the log.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{PipeReader, Read, pipe};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group, umask};

use crate::config::{Occasion, Program};
use crate::log::escaped;

/// The events that wait for their programs.
#[derive(Debug)]
pub struct Hooks {
    /// How long a program may run.
    timeout: Option<Duration>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    running: usize,
    /// Programs are ended at once.
    over: bool,
}

#[derive(Debug)]
struct Job {
    occasion: Occasion,
    program: Arc<Program>,
    environment: Vec<(&'static str, OsString)>,
}

/// What has happened.
#[derive(Debug)]
pub struct Happening<'a> {
    /// What kind of thing.
    pub occasion: Occasion,
    /// The user.
    pub user: &'a str,
    /// The client's address.
    pub address: std::net::IpAddr,
    /// The file: where it lies, and what the client calls it. For a login, the home.
    pub path: (&'a Path, &'a [u8]),
    /// For a rename, the same for what it was before.
    pub from: Option<(&'a Path, &'a [u8])>,
    /// For a transfer: the size of an upload or the bytes sent of a download, how long it took,
    /// and why it failed if it did.
    pub transfer: Option<(u64, Duration, Option<&'a str>)>,
}

/// So many events wait. A server that gets more of them than its programs can take forgets
/// some, and says so, rather than its clients.
const MOST_WAITING: usize = 4096;

/// A program that runs is looked after so often.
const LOOK: Duration = Duration::from_millis(50);

/// From the signal that asks a program to end to the one that ends it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Of one program, so many lines go to the log, each up to this length.
const MOST_LINES: usize = 1000;
const LONGEST_LINE: usize = 1000;

/// So many pieces of output are read before the program is looked after again.
const CHUNKS: usize = 16;

/// New files of a program, and of whatever it starts, get their modes with this mask; the
/// server's own is empty.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// The server's own program, when this is its first word, becomes the one that follows.
pub const LAUNCH: &str = "launch-hook";

/// Becomes a program, with a mask of its own: between a server of many threads and a program
/// nothing else could set it. Gives back why it could not.
pub fn launch(words: &[OsString]) -> std::io::Error {
    umask(UMASK);
    let (program, arguments) = words.split_first().unzip();
    let mut command = Command::new(program.map_or(OsStr::new(""), OsString::as_os_str));
    command.args(arguments.unwrap_or_default()).exec()
}

impl Hooks {
    /// None wait yet.
    pub fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Hands an event over to its program.
    pub fn start(&self, program: &Arc<Program>, happening: &Happening<'_>) {
        let mut state = self.state();
        if state.waiting.len() >= MOST_WAITING {
            let path = crate::log::path(happening.path.0);
            let name = happening.occasion.name();
            log::error!("on_{name} is not run for {path}: too many wait");
            return;
        }
        let (occasion, program) = (happening.occasion, Arc::clone(program));
        let environment = happening.environment();
        state.waiting.push_back(Job { occasion, program, environment });
        drop(state);
        self.changed.notify_all();
    }

    /// Runs programs, one after the other, as long as the server lives.
    pub fn work(&self) {
        let mut state = self.state();
        loop {
            match state.waiting.pop_front() {
                None => state = self.wait(state, None),
                Some(job) => {
                    state.running += 1;
                    drop(state);
                    self.run(&job);
                    state = self.state();
                    state.running -= 1;
                    self.changed.notify_all();
                }
            }
        }
    }

    /// The server stops: what still waits and runs may go on for a while.
    pub fn finish(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        while state.running + state.waiting.len() > 0 && Instant::now() < until {
            state = self.wait(state, Some(until));
        }
        let lost = std::mem::take(&mut state.waiting).len();
        if lost > 0 {
            log::error!("{lost} programs of hooks are not run: the server is stopping");
        }
        state.over = true;
        let until = Instant::now() + LAST_WORDS + LOOK * 2;
        while state.running > 0 && Instant::now() < until {
            state = self.wait(state, Some(until));
        }
    }

    fn run(&self, job: &Job) {
        let name = crate::log::path(&job.program.path);
        let key = format!("on_{}", job.occasion.name());
        match job.spawn() {
            Err(why) => log::error!("{key} {name}: cannot be started: {why}"),
            Ok((child, output)) => match self.attend(&key, child, output) {
                Ok(status) if status.success() => log::debug!("{key} {name}: {status}"),
                Ok(status) => log::warn!("{key} {name}: {status}"),
                Err(why) => log::error!("{key} {name}: {why}"),
            },
        }
    }

    /// Logs what a program prints, until it has ended or its time is over.
    fn attend(
        &self,
        key: &str,
        mut child: Child,
        output: PipeReader,
    ) -> std::io::Result<ExitStatus> {
        let until = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut output =
            Output { key, pid: child.id(), pipe: Some(output), ..Output::default() };
        // asked to end, with a signal that it may take its time to obey
        let mut asked: Option<Instant> = None;
        loop {
            output.take(LOOK);
            let ended = child.try_wait().inspect_err(|_| signal(&child, Signal::KILL));
            let since = asked.map(|asked| asked.elapsed());
            if let Some(status) = ended?
                && since.is_none_or(|since| since >= LAST_WORDS || !lives(&child))
            {
                if asked.is_some() {
                    signal(&child, Signal::KILL);
                }
                // what it has left behind in the background may hold the pipe open
                output.take(Duration::ZERO);
                output.end();
                return Ok(status);
            }
            let now = Instant::now();
            let too_long = until.is_some_and(|until| until <= now) || self.state().over;
            match asked {
                None if too_long => {
                    log::warn!("{key}[{}] runs for too long and is ended", child.id());
                    signal(&child, Signal::TERM);
                    asked = Some(now);
                }
                Some(since) if now.duration_since(since) >= LAST_WORDS => {
                    signal(&child, Signal::KILL);
                }
                None | Some(_) => {}
            }
        }
    }

    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        until: Option<Instant>,
    ) -> MutexGuard<'s, State> {
        match until {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the program, or anything that it has started, is still there.
fn lives(child: &Child) -> bool {
    group(child).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// A program is the leader of a group of its own.
fn group(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// To the program and all that it has started.
fn signal(child: &Child, signal: Signal) {
    if let Some(group) = group(child) {
        // it may have ended by itself
        let _ = kill_process_group(group, signal);
    }
}

impl Job {
    fn spawn(&self) -> std::io::Result<(Child, PipeReader)> {
        let (reader, writer) = pipe()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(LAUNCH).arg(&self.program.path).args(&self.program.args);
        // nothing of the server's own
        command.env_clear().env("PATH", PATH);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        Ok((command.spawn()?, reader))
    }
}

/// Where a program finds others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Happening<'_> {
    fn environment(&self) -> Vec<(&'static str, OsString)> {
        use std::os::unix::ffi::OsStrExt;
        let bytes = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let mut all = vec![
            ("FTPD_EVENT", self.occasion.name().into()),
            ("FTPD_USER", self.user.into()),
            ("FTPD_ADDRESS", self.address.to_string().into()),
            ("FTPD_PATH", self.path.0.into()),
            ("FTPD_VIRTUAL_PATH", bytes(self.path.1)),
        ];
        if let Some((real, path)) = self.from {
            all.push(("FTPD_FROM", real.into()));
            all.push(("FTPD_VIRTUAL_FROM", bytes(path)));
        }
        let result = match self.transfer {
            Some((size, took, why)) => {
                all.push(("FTPD_SIZE", size.to_string().into()));
                all.push(("FTPD_SECONDS", format!("{:.3}", took.as_secs_f64()).into()));
                why.map_or_else(|| "complete".to_owned(), |why| format!("failed: {why}"))
            }
            None => "done".to_owned(),
        };
        all.push(("FTPD_RESULT", result.into()));
        all
    }
}

/// What a program prints, line by line.
#[derive(Debug, Default)]
struct Output<'a> {
    key: &'a str,
    pid: u32,
    /// Nothing once the program has closed it.
    pipe: Option<PipeReader>,
    line: Vec<u8>,
    lines: usize,
}

impl Output<'_> {
    /// Takes what is there, and waits for it up to this long. A program that prints without
    /// end is left in between, so that its time can run out.
    #[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
    fn take(&mut self, time: Duration) {
        let Some(pipe) = &mut self.pipe else { return thread::sleep(time) };
        let mut wait = time;
        let mut chunk = [0; 4096];
        for _ in 0..CHUNKS {
            let timeout = Timespec::try_from(wait).ok();
            let mut fds = [PollFd::new(&*pipe, PollFlags::IN)];
            if !matches!(poll(&mut fds, timeout.as_ref()), Ok(1..)) {
                return;
            }
            match pipe.read(&mut chunk) {
                Ok(read) if read > 0 => {
                    for &byte in chunk.get(..read).unwrap_or_default() {
                        if byte == b'\n' || self.line.len() >= LONGEST_LINE {
                            say(self.key, self.pid, &mut self.line, &mut self.lines);
                        }
                        if byte != b'\n' {
                            self.line.push(byte);
                        }
                    }
                }
                Ok(_) | Err(_) => {
                    self.pipe = None;
                    return;
                }
            }
            wait = Duration::ZERO;
        }
    }

    fn end(&mut self) {
        if !self.line.is_empty() {
            say(self.key, self.pid, &mut self.line, &mut self.lines);
        }
    }
}

fn say(key: &str, pid: u32, line: &mut Vec<u8>, lines: &mut usize) {
    *lines += 1;
    if *lines <= MOST_LINES {
        log::info!("{key}[{pid}]: {}", escaped(line));
    } else if *lines == MOST_LINES + 1 {
        log::warn!("{key}[{pid}] prints more than {MOST_LINES} lines; the rest is left out");
    }
    line.clear();
}
