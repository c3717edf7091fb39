//! Asking a program: it is given a question on its standard input, and prints the answer.

use std::ffi::OsString;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use super::output::Output;
use crate::config::Program;
use crate::launch::{LAST_WORDS, Launcher, Running};
use crate::rights::Ids;

/// A question for a program.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The key of the settings that names the program, for the log.
    pub key: &'a str,
    /// The program.
    pub program: &'a Program,
    /// The environment of the program, except for `PATH`.
    pub environment: Vec<(&'static str, OsString)>,
    /// The system user that the program runs as; `None`: the server's user.
    pub ids: Option<&'a Ids>,
    /// What the program can read from its standard input.
    pub input: Vec<u8>,
    /// Maximum length of the answer in bytes.
    pub longest: usize,
    /// Whether a longer answer is cut off at `longest`. If not, it is an error.
    pub cuts: bool,
    /// The program is ended at this time.
    pub until: Instant,
}

/// The three ends of the pipes to a program, as far as they are still open.
struct Pipes<'a> {
    input: Option<PipeWriter>,
    rest: &'a [u8],
    answer: Option<PipeReader>,
    said: Vec<u8>,
    longest: usize,
    cuts: bool,
}

/// How often it is checked whether the session must end.
const LOOK: Duration = Duration::from_millis(100);

impl Asked<'_> {
    /// Runs the program to its end and returns what it has printed on its standard output. What it
    /// prints on its standard error is logged. The program, with all processes that it has started, is
    /// ended if it does not end in time, and killed as soon as `is_over` says that nobody waits for the
    /// answer; this returns when it has ended.
    ///
    /// # Errors
    ///
    /// When there is no whole answer of a program that has ended well; the text says why.
    pub fn ask(
        self,
        launcher: &Launcher,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, String> {
        let (status, said) = self.run(launcher, is_over)?;
        if status.success() { Ok(said) } else { Err(format!("ended with {status}")) }
    }

    /// Like [`Asked::ask`], but also returns how the program has ended, however that was.
    ///
    /// # Errors
    ///
    /// When the program has not ended by itself, or has printed too much.
    pub fn run(
        self,
        launcher: &Launcher,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(ExitStatus, Vec<u8>), String> {
        let Self { key, program, ids, environment, input: question, longest, cuts, until } =
            self;
        let start = || -> io::Result<_> {
            let ((stdin, input), (answer, stdout), (words, stderr)) =
                (pipe()?, pipe()?, pipe()?);
            fcntl_setfl(&input, OFlags::NONBLOCK)?;
            fcntl_setfl(&answer, OFlags::NONBLOCK)?;
            let output = [stdout.as_fd(), stderr.as_fd()];
            let running =
                launcher.launch((program, ids), environment, Some(stdin.as_fd()), output)?;
            Ok((running, input, answer, words))
        };
        let (running, input, answer, words) =
            start().map_err(|why| format!("cannot be started: {why}"))?;
        let mut pipes = Pipes {
            input: Some(input),
            rest: &question,
            answer: Some(answer),
            said: Vec::new(),
            longest,
            cuts,
        };
        let mut words = Output::new(key, &running, words);
        let ended = attend(&running, &mut pipes, &mut words, until, is_over);
        words.take(Duration::ZERO);
        words.end();
        if ended.is_err() {
            await_end(&running, is_over);
        }
        Ok((ended?, pipes.said))
    }
}

/// Passes bytes on until the program has ended.
fn attend(
    running: &Running,
    pipes: &mut Pipes<'_>,
    words: &mut Output<'_>,
    until: Instant,
    is_over: &dyn Fn() -> bool,
) -> Result<ExitStatus, String> {
    loop {
        let failed = |why: io::Error| format!("cannot be attended: {why}");
        let ended = running.ended().map_err(failed)?;
        // also after its end, and then no more: a background process may hold the pipe open
        pipes.move_bytes().map_err(failed)?;
        if pipes.said.len() > pipes.longest {
            return Err(format!("printed more than {} bytes", pipes.longest));
        }
        words.take(Duration::ZERO);
        if let Some(status) = ended {
            return Ok(status);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("did not answer in time".to_owned());
        }
        if is_over() {
            return Err("was ended, because the session ends".to_owned());
        }
        pipes.wait(running, words, left.min(LOOK));
    }
}

/// Ends a program, and waits for that, so that it counts as one of those that run for as long as it does.
#[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
fn await_end(running: &Running, is_over: &dyn Fn() -> bool) {
    let mut is_killed = is_over();
    if is_killed {
        running.kill();
    } else {
        running.end();
    }
    // the process that starts programs may need a while for the second signal
    let until = Instant::now() + 2 * LAST_WORDS;
    while matches!(running.ended(), Ok(None)) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if !is_killed && is_over() {
            running.kill();
            is_killed = true;
        }
        let time = Timespec::try_from(left.min(LOOK)).unwrap_or_default();
        if let Err(why) = poll(&mut [PollFd::new(running, PollFlags::IN)], Some(&time))
            && why != Errno::INTR
        {
            return;
        }
    }
}

impl Pipes<'_> {
    /// Writes and reads as much as is possible without waiting, but no more than a bit over `longest`.
    fn move_bytes(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        while let Some(pipe) = &mut self.input {
            match pipe.write(self.rest) {
                Ok(written) if written < self.rest.len() => {
                    self.rest = self.rest.get(written..).unwrap_or_default();
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                // the end of the question, or a program that does not read it
                Ok(_) | Err(_) => self.input = None,
            }
        }
        while let Some(pipe) = &mut self.answer
            && self.said.len() <= self.longest
        {
            match pipe.read(&mut chunk) {
                Ok(0) => self.answer = None,
                Ok(read) => {
                    self.said.extend(chunk.get(..read).unwrap_or_default());
                    if self.cuts && self.said.len() >= self.longest {
                        self.said.truncate(self.longest);
                        // the rest is read as well, but the caller looks at the time first
                        break;
                    }
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Waits until there is something to read or to write, or the program has ended.
    #[expect(clippy::disallowed_methods, reason = "no connection is waited for")]
    fn wait(&self, running: &Running, words: &Output<'_>, time: Duration) {
        let read = self.answer.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let write = self.input.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT));
        let words = words.pipe().map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let end = PollFd::new(running, PollFlags::IN);
        let mut fds: Vec<_> = read.into_iter().chain(write).chain(words).chain([end]).collect();
        let time = Timespec::try_from(time).unwrap_or_default();
        if let Err(why) = poll(&mut fds, Some(&time))
            && why != Errno::INTR
        {
            // the caller repeats this, which must not keep the processor busy
            thread::sleep(LOOK);
        }
    }
}
