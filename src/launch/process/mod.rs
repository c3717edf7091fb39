//! The process that starts programs. It has one thread, and waits for the server, for the
//! programs, and for the process that reads the settings.

mod reading;
mod run;

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::pipe;

use super::message::{LONGEST, Request, Word};
use super::table::{Most, Table};
use super::tasks;
use super::wire::{self, Arrived};
use crate::config::Config;
use reading::Reading;
use run::Run;

/// Time between two looks at programs that are being ended.
const LOOK: Duration = Duration::from_millis(50);

/// Starts programs for the server at the other end of standard input, until the server ends or
/// sends something that is no message. `file` is the settings file of the server.
///
/// # Errors
///
/// When the system refuses something that is needed, or when the server sends no message.
pub fn start_programs(file: Option<&OsStr>) -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let (child_ended, signal) = UnixStream::pair()?;
    child_ended.set_nonblocking(true)?;
    pipe::register(SIGCHLD, signal)?;
    let table = first_table(&socket)?;
    let ready = Word::Read(table.digest().into());
    wire::send(&socket, &ready.bytes(), &[])?;
    let process = Process {
        file: file.map(OsStr::to_owned),
        child_ended,
        server: Some(socket),
        most: table.most,
        table,
        earlier: Table::default(),
        runs: Vec::new(),
        reading: None,
    };
    process.serve()
}

/// Prints the table of the programs in the settings, for the process that starts programs.
///
/// # Errors
///
/// When nobody reads it.
pub fn print_table(config: &Config) -> io::Result<()> {
    io::stdout().write_all(&Table::of(config).bytes())
}

/// Reads the table that the server sends before it serves any client.
fn first_table(socket: &OwnedFd) -> io::Result<Table> {
    wire::wait(&mut [PollFd::new(socket, PollFlags::IN)], None)?;
    let Arrived::Message(bytes, mut beside) = wire::receive(socket, LONGEST)? else {
        return Err(unexpected());
    };
    let (Some(Request::Table), Some(pipe)) = (Request::of_bytes(&bytes), beside.pop()) else {
        return Err(unexpected());
    };
    let mut bytes = Vec::new();
    io::PipeReader::from(pipe).read_to_end(&mut bytes)?;
    Table::of_bytes(&bytes).ok_or_else(unexpected)
}

fn unexpected() -> io::Error {
    io::Error::other("the server has sent something that is no message")
}

/// The state of the process.
struct Process {
    /// The settings file.
    file: Option<OsString>,
    /// Becomes readable when a child has ended.
    child_ended: UnixStream,
    /// The socket of the server; `None` once the server has ended.
    server: Option<OwnedFd>,
    /// Maximum numbers of programs at once. They never become lower, like the number of threads
    /// in the server that wait for programs.
    most: Most,
    table: Table,
    /// The table of the settings before those, since events that wait in the server name its
    /// programs.
    earlier: Table,
    runs: Vec<Run>,
    reading: Option<Reading>,
}

impl Process {
    fn serve(mut self) -> io::Result<()> {
        let mut result = Ok(());
        while self.server.is_some() || !self.runs.is_empty() {
            self.wait()?;
            // what has ended makes room for what is asked for next
            while self.child_ended.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
            self.runs.retain_mut(|run| !run.attend());
            self.read_settings();
            if let Err(why) = self.hear() {
                result = Err(why);
                self.server = None;
            }
            if self.server.is_none() {
                self.runs.iter_mut().for_each(Run::ask);
                drop(self.reading.take());
            }
        }
        result
    }

    /// Waits until there is something to do.
    fn wait(&self) -> io::Result<()> {
        let reading = self.reading.iter().flat_map(Reading::fds);
        let runs = self.runs.iter().filter_map(Run::fd);
        let server = self.server.iter().map(AsFd::as_fd);
        let all = server.chain(runs).chain(reading).chain([self.child_ended.as_fd()]);
        let mut all: Vec<_> =
            all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let soon = self.runs.iter().any(Run::is_asked);
        wire::wait(&mut all, soon.then(|| Instant::now() + LOOK))
    }

    /// Takes one message of the server.
    fn hear(&mut self) -> io::Result<()> {
        let Some(server) = &self.server else { return Ok(()) };
        let (bytes, beside) = match wire::receive(server, LONGEST)? {
            Arrived::Nothing => return Ok(()),
            Arrived::Message(bytes, beside) => (bytes, beside),
            Arrived::End => {
                self.server = None;
                return Ok(());
            }
        };
        let mut beside = beside.into_iter();
        let socket = beside.next().ok_or_else(unexpected)?;
        let answer = match Request::of_bytes(&bytes).ok_or_else(unexpected)? {
            Request::Table => return Err(unexpected()),
            Request::Reload => self.reload(socket),
            Request::Start(digest, user, environment) => {
                let (output, errors) =
                    beside.next().zip(beside.next()).ok_or_else(unexpected)?;
                let streams = (beside.next(), output, errors);
                self.start(socket, (&digest, &user), environment, streams)
            }
        };
        if let Err((socket, why)) = answer {
            // the server need not wait for it
            let _ = wire::send(&socket, &Word::Failed(why).bytes(), &[]);
        }
        Ok(())
    }

    fn start(
        &mut self,
        socket: OwnedFd,
        (digest, user): (&[u8], &str),
        environment: Vec<(&'static str, OsString)>,
        streams: (Option<OwnedFd>, OwnedFd, OwnedFd),
    ) -> Result<(), (OwnedFd, String)> {
        let is_asked = streams.0.is_some();
        let most = if is_asked { self.most.asked } else { self.most.hooks };
        if self.runs.iter().filter(|run| run.has_input == is_asked).count() >= most {
            return Err((socket, "too many programs run".to_owned()));
        }
        // the server may have sent word of new settings just before
        self.read_settings();
        let allowed = self.table.allowed(digest, user);
        let Some(allowed) = allowed.or_else(|| self.earlier.allowed(digest, user)) else {
            return Err((socket, "the settings do not name it".to_owned()));
        };
        let run = Run::start(socket, allowed, environment, streams);
        self.runs.push(run.map_err(|(socket, why)| (socket, why.to_string()))?);
        Ok(())
    }

    /// Starts to read the settings.
    fn reload(&mut self, socket: OwnedFd) -> Result<(), (OwnedFd, String)> {
        if self.reading.as_ref().is_some_and(|reading| !reading.is_over()) {
            return Err((socket, "another reload has not ended".to_owned()));
        }
        let mut command = Command::new(tasks::OWN);
        command.arg0("ftpd").arg(tasks::LIST).args(&self.file).stdin(Stdio::null());
        self.reading = Some(Reading::start(socket, command)?);
        Ok(())
    }

    /// Takes over the settings once they have been read and are in effect.
    fn read_settings(&mut self) {
        let Some(reading) = &mut self.reading else { return };
        if let Some(table) = reading.attend() {
            self.most = self.most.max(table.most);
            self.earlier = std::mem::replace(&mut self.table, table);
        }
        if reading.is_over() {
            self.reading = None;
        }
    }
}
