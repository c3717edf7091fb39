//! One run of a program: starting it, watching it, and ending it when its time is over.

use std::ffi::OsString;
use std::io::{self, PipeReader, pipe};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::launch::{LAUNCH, NOBODY_ELSE};
use super::output::Output;
use crate::config::{Occasion, Program};
use crate::rights::{self, Acting, Ids};

/// A program that is to run, or runs, for one event.
#[derive(Debug)]
pub(super) struct ProgramRun {
    pub(super) occasion: Occasion,
    pub(super) program: Arc<Program>,
    /// The system user that the program runs as; `None`: the server's user.
    pub(super) ids: Option<Arc<Ids>>,
    /// The environment of the program, except for `PATH`.
    pub(super) environment: Vec<(&'static str, OsString)>,
}

/// Time between two checks of a running program.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Time between the signal that asks a program to end and the one that ends it.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// The `PATH` of a program.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl ProgramRun {
    /// Runs the program to its end and logs how it ended. The program is ended after `timeout`,
    /// or as soon as `is_over` says so.
    pub(super) fn run(&self, timeout: Option<Duration>, is_over: impl Fn() -> bool) {
        let name = crate::log::path(&self.program.path);
        let key = format!("on_{}", self.occasion.name());
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let is_late = || until.is_some_and(|until| until <= Instant::now()) || is_over();
        match self.spawn() {
            Err(why) => log::error!("{key} {name}: cannot be started: {why}"),
            Ok((child, output)) => match self.attend(&key, child, output, is_late) {
                Ok(status) if status.success() => log::debug!("{key} {name}: {status}"),
                Ok(status) => log::warn!("{key} {name}: {status}"),
                Err(why) => log::error!("{key} {name}: {why}"),
            },
        }
    }

    fn spawn(&self) -> io::Result<(Child, PipeReader)> {
        let (reader, writer) = pipe()?;
        let mut command = Command::new("/proc/self/exe");
        let who = self.ids.as_ref().map_or_else(|| NOBODY_ELSE.to_owned(), |ids| ids.numbers());
        command.arg(LAUNCH).arg(who).arg(&self.program.path).args(&self.program.args);
        // the program does not inherit the server's environment
        command.env_clear().env("PATH", PATH);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let _lent = self.ids.as_ref().map(|_| rights::lend_switch()).transpose()?;
        Ok((command.spawn()?, reader))
    }

    /// Logs what the program prints until it ends. Ends it if it runs for too long.
    fn attend(
        &self,
        key: &str,
        mut child: Child,
        output: PipeReader,
        is_late: impl Fn() -> bool,
    ) -> io::Result<ExitStatus> {
        let mut output = Output::new(key, child.id(), output);
        // when the program was asked to end
        let mut asked: Option<Instant> = None;
        loop {
            output.take(LOOK);
            let ended = child.try_wait().inspect_err(|_| self.signal(&child, Signal::KILL));
            let since = asked.map(|asked| asked.elapsed());
            if let Some(status) = ended?
                && since.is_none_or(|since| since >= LAST_WORDS || !self.lives(&child))
            {
                if asked.is_some() {
                    self.signal(&child, Signal::KILL);
                }
                // a background process that the program has left may hold the pipe open
                output.take(Duration::ZERO);
                output.end();
                return Ok(status);
            }
            let now = Instant::now();
            match asked {
                None if is_late() => {
                    log::warn!("{key}[{}] runs for too long and is ended", child.id());
                    self.signal(&child, Signal::TERM);
                    asked = Some(now);
                }
                Some(since) if now.duration_since(since) >= LAST_WORDS => {
                    self.signal(&child, Signal::KILL);
                }
                None | Some(_) => {}
            }
        }
    }

    /// Whether the program or a process that it has started still runs.
    fn lives(&self, child: &Child) -> bool {
        let _acting = self.act();
        let test = |group| test_kill_process_group(group) != Err(Errno::SRCH);
        group(child).is_some_and(test)
    }

    /// Sends a signal to the program and to all processes that it has started.
    fn signal(&self, child: &Child, signal: Signal) {
        let _acting = self.act();
        if let Some(group) = group(child) {
            // this fails if the program has ended by itself
            let _ = kill_process_group(group, signal);
        }
    }

    /// Makes this thread act as the program's user, since the server's user may not signal the
    /// programs of another one.
    fn act(&self) -> Option<Acting> {
        let ids = self.ids.as_deref()?;
        let acting = rights::act_as(Some(ids));
        acting.unwrap_or_else(|why| {
            log::error!("cannot act as uid {} to signal its program: {why}", ids.uid);
            None
        })
    }
}

/// Returns the process group of a program, which is the leader of a group of its own.
fn group(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}
