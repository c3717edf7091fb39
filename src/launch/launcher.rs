//! The server's side: it starts the process that starts programs, and asks it for programs.

use std::ffi::OsString;
use std::io::{self, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::message::{Request, Word};
use super::running::Running;
use super::table::{Table, digest_of_program, user_of};
use super::{tasks, wire};
use crate::config::{Config, Program};
use crate::log::escaped;
use crate::rights::{self, Ids};

/// How long the process may take to start, or to start a program.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the programs that the settings name, through a process of their own. That process runs
/// from the start of the server if the settings name a program then.
#[derive(Debug, Default)]
pub struct Launcher {
    /// The settings file, if there is one.
    file: Option<PathBuf>,
    process: Mutex<Option<Arc<Process>>>,
}

/// The process that starts programs.
#[derive(Debug)]
struct Process {
    socket: OwnedFd,
    child: Mutex<Child>,
    has_ended: AtomicBool,
}

/// Programs of new settings, which can be started once the settings are in effect.
#[derive(Debug)]
#[must_use]
pub struct Renewal {
    /// The socket on which the process that starts programs waits for the decision.
    socket: Option<OwnedFd>,
    /// Why no program can be started, if the process has ended.
    pub warning: Option<String>,
}

impl Launcher {
    /// Returns a launcher for the settings in this file, or in the environment alone.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, process: Mutex::default() }
    }

    /// Starts the process that starts programs, if the settings name any. It gets the present
    /// rights of this thread, and is in its sandbox.
    ///
    /// # Errors
    ///
    /// Returns an error text for the administrator.
    pub fn start(&self, config: &Config) -> Result<(), String> {
        let started = self.try_start(config);
        started.map_err(|why| format!("cannot start the process that starts programs: {why}"))
    }

    fn try_start(&self, config: &Config) -> io::Result<()> {
        let table = Table::of(config);
        if table.is_empty() {
            return Ok(());
        }
        let (socket, theirs) = wire::pair()?;
        let lent = config.may_act().then(rights::lend_switch).transpose()?;
        let child = self.command(theirs).spawn()?;
        drop(lent);
        let process =
            Process { socket, child: Mutex::new(child), has_ended: AtomicBool::default() };
        process.hand_over(&table)?;
        *self.lock() = Some(Arc::new(process));
        Ok(())
    }

    /// Returns the command that starts the process, with its end of the socket as standard input.
    fn command(&self, socket: OwnedFd) -> Command {
        let mut command = Command::new(tasks::OWN);
        command.arg0("ftpd").arg(tasks::START).args(&self.file);
        command.stdin(socket).stdout(Stdio::null());
        command
    }

    /// Starts a program of the settings. It runs as this user, or as the server's user, in a
    /// process group of its own. Its environment contains these variables and `PATH`. Without
    /// `input`, it reads from an empty file.
    ///
    /// # Errors
    ///
    /// When the program cannot be started. If its file does not exist or cannot be executed,
    /// it is started all the same, prints that to standard error, and fails.
    pub fn launch(
        &self,
        (program, ids): (&Program, Option<&Ids>),
        environment: Vec<(&'static str, OsString)>,
        input: Option<BorrowedFd<'_>>,
        [output, errors]: [BorrowedFd<'_>; 2],
    ) -> io::Result<Running> {
        let process = self.process().ok_or_else(|| io::Error::other(self.missing()))?;
        let digest = digest_of_program(program).into();
        let request = Request::Start(digest, user_of(ids), environment);
        let request = request.bytes().ok_or(io::ErrorKind::InvalidInput)?;
        let (socket, theirs) = wire::pair()?;
        let beside = [Some(theirs.as_fd()), Some(output), Some(errors), input];
        let beside: Vec<_> = beside.into_iter().flatten().collect();
        wire::send_within(&process.socket, &request, &beside, PATIENCE)?;
        drop(theirs);
        match wire::hear_within(&socket, PATIENCE)? {
            Word::Started(pid) => Ok(Running::new(socket, pid)),
            Word::Failed(why) => Err(io::Error::other(why)),
            Word::Ended(_) | Word::Read(_) | Word::End | Word::Kill | Word::Commit => {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    /// Makes the programs of new settings known. If the settings name a program for the first
    /// time, starts the process for that.
    ///
    /// # Errors
    ///
    /// Returns an error text for the administrator. The settings cannot be used then.
    pub fn renew(&self, config: &Config) -> Result<Renewal, String> {
        let nothing = Renewal { socket: None, warning: None };
        let Some(process) = self.process() else {
            if config.programs().next().is_none() {
                return Ok(nothing);
            }
            if !rights::is_in_sandbox() {
                return self.start(config).map(|()| nothing);
            }
            if self.lock().is_some() {
                return Ok(Renewal { warning: Some(self.missing().to_owned()), ..nothing });
            }
            return Err(first_program(config));
        };
        let cannot = |why: io::Error| format!("the programs cannot be read again: {why}");
        let (socket, theirs) = wire::pair().map_err(cannot)?;
        let request = Request::Reload.bytes().unwrap_or_default();
        wire::send_within(&process.socket, &request, &[theirs.as_fd()], PATIENCE)
            .map_err(cannot)?;
        drop(theirs);
        match wire::hear_within(&socket, PATIENCE).map_err(cannot)? {
            Word::Read(digest) if digest == Table::of(config).digest() => {
                Ok(Renewal { socket: Some(socket), warning: None })
            }
            Word::Read(_) => {
                Err("the programs in the settings have changed while the settings \
                                  were read; reload again"
                    .to_owned())
            }
            Word::Failed(why) => Err(why),
            Word::Started(_) | Word::Ended(_) | Word::End | Word::Kill | Word::Commit => {
                Err(cannot(io::ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Logs it if the process that starts programs has ended since the last call.
    pub fn look(&self) {
        let process = self.lock().clone();
        let Some(process) = process.filter(|process| !process.has_ended()) else { return };
        let ended = process.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
        if let Ok(Some(status)) = ended
            && !process.has_ended.swap(true, Ordering::Relaxed)
        {
            log::error!("{} ({status})", self.missing());
        }
    }

    /// Says that no program can be started, and what to do about it.
    #[expect(clippy::unused_self, reason = "said by a launcher that has no process")]
    fn missing(&self) -> &'static str {
        if rights::is_in_sandbox() {
            "the process that starts programs has ended: no program can be started until the \
             server is restarted"
        } else {
            "the process that starts programs has ended: no program can be started until a reload"
        }
    }

    /// Returns the process that starts programs, if it still runs.
    fn process(&self) -> Option<Arc<Process>> {
        self.look();
        self.lock().clone().filter(|process| !process.has_ended())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Process>>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Hands over the table of programs and waits until the process is ready.
    fn hand_over(&self, table: &Table) -> io::Result<()> {
        let (reader, mut writer) = pipe()?;
        let request = Request::Table.bytes().unwrap_or_default();
        wire::send(&self.socket, &request, &[reader.as_fd()])?;
        drop(reader);
        writer.write_all(&table.bytes())?;
        drop(writer);
        match wire::hear_within(&self.socket, PATIENCE)? {
            Word::Read(digest) if digest == table.digest() => Ok(()),
            Word::Failed(why) => Err(io::Error::other(why)),
            Word::Read(_)
            | Word::Started(_)
            | Word::Ended(_)
            | Word::End
            | Word::Kill
            | Word::Commit => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Renewal {
    /// Tells the process that starts programs that the settings are in effect.
    pub fn commit(self) {
        let told = self.socket.map(|socket| wire::send(&socket, &Word::Commit.bytes(), &[]));
        if let Some(Err(why)) = told {
            log::error!("the programs of the new settings cannot be started: {why}");
        }
    }
}

/// Returns the fault of settings that name a program for the first time.
fn first_program(config: &Config) -> String {
    let program = config.programs().next();
    let path =
        program.map_or(&b""[..], |(program, _)| program.path.as_os_str().as_encoded_bytes());
    format!(
        "program {}: cannot be started, since the settings named no program when the server \
         entered its sandbox; restart the server to use it",
        escaped(path)
    )
}
