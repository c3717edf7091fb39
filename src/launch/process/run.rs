//! A program that runs for the server.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::launch::message::Word;
use crate::launch::running::LAST_WORDS;
use crate::launch::table::Allowed;
use crate::launch::{tasks, wire};
use crate::rights::{self, Acting, Ids};

/// The `PATH` of a program.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variable with the path of the file that a program judges.
const PART: &str = "FTPD_PART";

/// A running program.
pub(super) struct Run {
    /// The socket of this program; `None` once the server has closed it.
    socket: Option<OwnedFd>,
    child: Child,
    /// How the program has ended.
    status: Option<ExitStatus>,
    /// The user of the system that it runs as; `None`: the server's user.
    ids: Option<Ids>,
    /// When the program was asked to end.
    asked: Option<Instant>,
    /// Whether the program is to end without further delay.
    is_killed: bool,
    /// Whether the program was given an input.
    pub(super) has_input: bool,
}

impl Run {
    /// Starts a program, and tells the server so.
    pub(super) fn start(
        socket: OwnedFd,
        program: Allowed,
        environment: Vec<(&'static str, OsString)>,
        streams: (Option<OwnedFd>, OwnedFd, OwnedFd),
    ) -> Result<Self, (OwnedFd, io::Error)> {
        let has_input = streams.0.is_some();
        let child = match spawn(&program, environment, streams) {
            Ok(child) => child,
            Err(why) => return Err((socket, why)),
        };
        let started = Word::Started(child.id());
        let (socket, ids) = (Some(socket), program.ids);
        let mut run =
            Self { socket, child, status: None, ids, asked: None, is_killed: false, has_input };
        run.tell(&started);
        Ok(run)
    }

    /// Returns what becomes readable when the server asks for the end of the program.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Whether the program was asked to end.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Asks the program to end.
    pub(super) fn ask(&mut self) {
        if self.asked.is_none() {
            self.signal(Signal::TERM);
            self.asked = Some(Instant::now());
        }
    }

    /// Does what the server asks for, and looks whether the program has ended. Returns whether
    /// all is over.
    pub(super) fn attend(&mut self) -> bool {
        match self.socket.as_ref().map(wire::hear) {
            None | Some(Ok(None)) => {}
            Some(Ok(Some(Word::Kill))) => {
                self.asked.get_or_insert_with(Instant::now);
                self.is_killed = true;
            }
            Some(Ok(Some(_))) => self.ask(),
            Some(Err(_)) => {
                self.socket = None;
                self.ask();
            }
        }
        let late =
            self.is_killed || self.asked.is_some_and(|asked| asked.elapsed() >= LAST_WORDS);
        if self.status.is_none() {
            match self.child.try_wait() {
                Ok(status) => self.status = status,
                Err(why) => {
                    self.signal(Signal::KILL);
                    self.tell(&Word::Failed(why.to_string()));
                    return true;
                }
            }
        }
        if late {
            self.signal(Signal::KILL);
        }
        let Some(status) = self.status else { return false };
        // what a program leaves in the background goes on, unless the program was asked to end
        let is_over = self.asked.is_none() || late || !self.lives();
        if is_over {
            self.tell(&Word::Ended(status.into_raw()));
        }
        is_over
    }

    /// Tells the server something about the program.
    fn tell(&mut self, word: &Word) {
        if let Some(socket) = &self.socket
            && wire::send(socket, &word.bytes(), &[]).is_err()
        {
            self.socket = None;
        }
    }

    /// Whether the program or a process that it has started still runs.
    fn lives(&self) -> bool {
        let _acting = self.act();
        let test = |group| test_kill_process_group(group) != Err(Errno::SRCH);
        self.group().is_some_and(test)
    }

    /// Sends a signal to the program and to all processes that it has started.
    fn signal(&self, signal: Signal) {
        let _acting = self.act();
        if let Some(group) = self.group() {
            // this fails if the program has ended by itself
            let _ = kill_process_group(group, signal);
        }
    }

    /// Makes this thread act as the program's user, since the server's user may not signal the
    /// programs of another one.
    fn act(&self) -> Option<Acting> {
        rights::act_as(Some(self.ids.as_ref()?)).ok().flatten()
    }

    /// Returns the process group of the program, which is the leader of a group of its own.
    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

fn spawn(
    program: &Allowed,
    environment: Vec<(&'static str, OsString)>,
    (input, output, errors): (Option<OwnedFd>, OwnedFd, OwnedFd),
) -> io::Result<Child> {
    let mut command = Command::new(tasks::OWN);
    command.arg(tasks::EXEC).arg(program.user()).args(&program.words);
    if program.judges {
        let part = environment.iter().find(|(name, _)| *name == PART).map(|(_, path)| path);
        // what begins with a slash cannot be taken for an option
        let part = part.filter(|path| Path::new(path).is_absolute());
        command.arg(part.ok_or(io::ErrorKind::InvalidInput)?);
    }
    // the program does not inherit the server's environment
    command.env_clear().env("PATH", PATH).envs(environment);
    command.current_dir("/").process_group(0);
    command.stdin(input.map_or_else(Stdio::null, Stdio::from)).stdout(output).stderr(errors);
    let _lent = program.ids.as_ref().map(|_| rights::lend_switch()).transpose()?;
    command.spawn()
}
