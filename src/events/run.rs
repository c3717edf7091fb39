//! One run of a program: starting it, logging what it prints, and ending it when its time is over.

use std::ffi::OsString;
use std::io::{self, PipeReader, pipe};
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output::Output;
use crate::config::{Occasion, Program};
use crate::launch::{Launcher, Running};
use crate::rights::Ids;

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

impl ProgramRun {
    /// Runs the program to its end and logs how it ended. The program is ended after `timeout`,
    /// or as soon as `is_over` says so.
    pub(super) fn run(
        self,
        launcher: &Launcher,
        timeout: Option<Duration>,
        is_over: impl Fn() -> bool,
    ) {
        let program = Arc::clone(&self.program);
        let name = crate::log::path(&program.path);
        let key = format!("on_{}", self.occasion.name());
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let is_late = || until.is_some_and(|until| until <= Instant::now()) || is_over();
        match self.start(launcher) {
            Err(why) => log::error!("{key} {name}: cannot be started: {why}"),
            Ok((running, output)) => match attend(&key, &running, output, is_late) {
                Ok(status) if status.success() => log::debug!("{key} {name}: {status}"),
                Ok(status) => log::warn!("{key} {name}: {status}"),
                Err(why) => log::error!("{key} {name}: {why}"),
            },
        }
    }

    fn start(self, launcher: &Launcher) -> io::Result<(Running, PipeReader)> {
        let (reader, writer) = pipe()?;
        let program = (&*self.program, self.ids.as_deref());
        let output = [writer.as_fd(); 2];
        Ok((launcher.launch(program, self.environment, None, output)?, reader))
    }
}

/// Logs what the program prints until it ends. Ends it if it runs for too long.
fn attend(
    key: &str,
    running: &Running,
    output: PipeReader,
    is_late: impl Fn() -> bool,
) -> io::Result<ExitStatus> {
    let mut output = Output::new(key, running, output);
    let mut asked = false;
    loop {
        output.take(LOOK);
        let ended = running.ended();
        if !matches!(ended, Ok(None)) {
            // a background process that the program has left may hold the pipe open
            output.take(Duration::ZERO);
            output.end();
        }
        if let Some(status) = ended? {
            return Ok(status);
        }
        if !asked && is_late() {
            log::warn!("{key}[{}] runs for too long and is ended", running.pid());
            running.end();
            asked = true;
        }
    }
}
