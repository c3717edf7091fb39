//! Programs that the administrator wants to be started when something has happened: an upload
//! is in place, say.
//!
//! Alone has the right to start programs. No shell is between; what has happened stands in the
//! environment. A session asks for room before it does what it will have to tell of; then it only
//! hands the event over, and waits for no program. A few threads, which the server starts, run one
//! program each, and end it when its time is over. What it prints goes to the log.
//!
//! The program of a user with `run_as` is that user's in every way: it opens files by names that
//! this user can change. The server's own program, which is started first (see [`LAUNCH`]), becomes
//! the user for good before it becomes the program. A thread of the server that did so could be
//! signalled, and its limits set, by that user's other programs.

mod queue;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, Read, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group, umask};
use signal_hook::consts::FORBIDDEN;
use signal_hook::flag;

pub use queue::Owner;
use queue::Queues;

use crate::config::{Occasion, Program};
use crate::log::escaped;
use crate::rights::{self, Acting, Ids, Keep};

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
    waiting: Queues<Job>,
    /// What wakes the sessions of a user that wait for room.
    bells: HashMap<String, Vec<Weak<OwnedFd>>>,
    /// Users of whom the log has been told that they wait, until nothing of theirs does.
    told: HashSet<String>,
    running: usize,
    /// Programs are ended at once.
    over: bool,
}

#[derive(Debug)]
struct Job {
    occasion: Occasion,
    program: Arc<Program>,
    /// As whom it runs; nobody in particular is the server's user.
    ids: Option<Arc<Ids>>,
    environment: Vec<(&'static str, OsString)>,
}

/// What has happened.
#[derive(Debug)]
pub struct Happening<'a> {
    /// What kind of thing.
    pub occasion: Occasion,
    /// The user.
    pub user: &'a str,
    /// Whose event it is.
    pub owner: &'a Owner,
    /// The user of the system that the program runs as; `None` is the server's.
    pub ids: Option<&'a Arc<Ids>>,
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

/// The server's own program, when this is its first word, becomes the one behind the next word,
/// which says who it becomes first.
pub const LAUNCH: &str = "launch-hook";

/// Who the program stays whose settings name nobody.
const NOBODY_ELSE: &str = "-";

/// Becomes a program, with a mask of its own and as the user that it is to be. Between a server of
/// many threads and a program nothing else could do so. Returns why it could not.
pub fn launch(words: &[OsString]) -> io::Error {
    umask(UMASK);
    heed_signals();
    let [who, program, arguments @ ..] = words else {
        return io::Error::other("expected a user and a program");
    };
    if who != NOBODY_ELSE
        && let Err(why) = become_user(who)
    {
        return why;
    }
    Command::new(program).args(arguments).exec()
}

/// Sees to it that the program ignores no signal, as those may do who have started the server: what
/// has a handler is back at its default in the program.
fn heed_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    for signal in 1..=64 {
        let is_ignored = ignored.is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1);
        if is_ignored && !FORBIDDEN.contains(&signal) {
            // the C library keeps some for itself
            let _ = flag::register(signal, Arc::default());
        }
    }
}

fn become_user(who: &OsStr) -> io::Result<()> {
    let ids = who.to_str().and_then(Ids::from_numbers);
    let ids = ids.ok_or_else(|| io::Error::other("expected the numbers of a user"))?;
    rights::give_up(&ids, Keep::default()).map_err(|why| {
        io::Error::new(why.kind(), format!("cannot become uid {}: {why}", ids.uid))
    })
}

impl Hooks {
    /// None wait yet.
    pub fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Whether there is room for an event of this owner; if not, becomes readable when to ask
    /// again. Asked before something happens, so that no event must be thrown away: sessions that
    /// have been told of the last place at once may all take it.
    ///
    /// # Errors
    ///
    /// When the system has no file descriptor left to wait for.
    pub fn await_room(&self, owner: &Owner) -> io::Result<Option<Arc<OwnedFd>>> {
        let mut state = self.state();
        if !state.waiting.is_full(owner) {
            return Ok(None);
        }
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let bells = state.bells.entry(owner.name().to_owned()).or_default();
        bells.retain(|bell| bell.strong_count() > 0);
        bells.push(Arc::downgrade(&bell));
        if state.told.insert(owner.name().to_owned()) {
            let user = escaped(owner.name().as_bytes());
            log::warn!("programs of hooks fall behind: commands of {user} wait for them");
        }
        Ok(Some(bell))
    }

    /// Hands an event over to its program.
    pub fn start(&self, program: &Arc<Program>, happening: &Happening<'_>) {
        let job = Job {
            occasion: happening.occasion,
            program: Arc::clone(program),
            ids: happening.ids.cloned(),
            environment: happening.environment(),
        };
        self.state().waiting.push(happening.owner, job);
        self.changed.notify_all();
    }

    /// Runs programs, one after the other, as long as the server lives.
    pub fn work(&self) {
        let mut state = self.state();
        loop {
            match state.waiting.pop() {
                None => state = self.wait(state, None),
                Some((user, job)) => {
                    state.running += 1;
                    if !state.waiting.has(&user) {
                        state.told.remove(&user);
                    }
                    for bell in state.bells.remove(&user).iter().flatten() {
                        if let Some(bell) = bell.upgrade() {
                            // cannot fail: the counter is far from its limit
                            let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
                        }
                    }
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
            Ok((child, output)) => match self.attend(&key, job, child, output) {
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
        job: &Job,
        mut child: Child,
        output: PipeReader,
    ) -> io::Result<ExitStatus> {
        let until = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut output =
            Output { key, pid: child.id(), pipe: Some(output), ..Output::default() };
        // asked to end, with a signal that it may take its time to obey
        let mut asked: Option<Instant> = None;
        loop {
            output.take(LOOK);
            let ended = child.try_wait().inspect_err(|_| job.signal(&child, Signal::KILL));
            let since = asked.map(|asked| asked.elapsed());
            if let Some(status) = ended?
                && since.is_none_or(|since| since >= LAST_WORDS || !job.lives(&child))
            {
                if asked.is_some() {
                    job.signal(&child, Signal::KILL);
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
                    job.signal(&child, Signal::TERM);
                    asked = Some(now);
                }
                Some(since) if now.duration_since(since) >= LAST_WORDS => {
                    job.signal(&child, Signal::KILL);
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

/// A program is the leader of a group of its own.
fn group(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

impl Job {
    fn spawn(&self) -> io::Result<(Child, PipeReader)> {
        let (reader, writer) = pipe()?;
        let mut command = Command::new("/proc/self/exe");
        let who = self.ids.as_ref().map_or_else(|| NOBODY_ELSE.to_owned(), |ids| ids.numbers());
        command.arg(LAUNCH).arg(who).arg(&self.program.path).args(&self.program.args);
        // nothing of the server's own
        command.env_clear().env("PATH", PATH);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let _lent = self.ids.as_ref().map(|_| rights::lend_switch()).transpose()?;
        Ok((command.spawn()?, reader))
    }

    /// Whether the program, or anything that it has started, is still there.
    fn lives(&self, child: &Child) -> bool {
        let _acting = self.act();
        let test = |group| test_kill_process_group(group) != Err(Errno::SRCH);
        group(child).is_some_and(test)
    }

    /// To the program and all that it has started.
    fn signal(&self, child: &Child, signal: Signal) {
        let _acting = self.act();
        if let Some(group) = group(child) {
            // it may have ended by itself
            let _ = kill_process_group(group, signal);
        }
    }

    /// The server's user may not signal the programs of another one.
    fn act(&self) -> Option<Acting> {
        let ids = self.ids.as_deref()?;
        let acting = rights::act_as(Some(ids));
        acting.unwrap_or_else(|why| {
            log::error!("cannot act as uid {} to signal its program: {why}", ids.uid);
            None
        })
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
