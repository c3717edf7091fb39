//! RETR, STOR, APPE and STOU (RFC 959 §4.1.3), and what goes with them.

use std::net::TcpStream;
use std::path::Path;

use crate::control::Session;
use crate::control::arg::{Pathname, TransferType};
use crate::control::connection::Ear;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Mark, Reply};
use crate::control::state::{Setup, User};
use crate::data::text::{self, At, TextSource};
use crate::data::{self, DataError, Progress, Pump, Throttle};
use crate::log::{Event, Transfer, Who};
use crate::vfs::{FsError, Store, Upload, VirtualPath};

/// RETR. The file is opened before the data connection, so that a file that cannot be had
/// costs the client nothing.
pub(crate) fn retrieve(
    session: &mut Session,
    path: &Pathname,
    restart: u64,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = user.path(path);
    let (file, size) = user.tree.read(&path)?;
    let real = user.tree.real(&path);
    let rate = user.account.user.limits.max_download;
    let ascii = session.is_ascii();
    let at = if ascii {
        text::local_offset(&file, restart)?.ok_or(Refusal::BadRestart)?
    } else if restart > size {
        return Err(Refusal::BadRestart);
    } else {
        At { offset: restart, inside: false }
    };
    let job = Job { verb: "RETR", real: &real, ascii };
    let data = session.connect("RETR")?;
    session.connection.mark(&Mark::opening(if ascii {
        "Opening ASCII data connection".to_owned()
    } else {
        format!("Opening BINARY data connection ({} bytes)", size - restart)
    }));
    session.transfer(&job, Throttle::new(rate), |pump| {
        if ascii {
            let mut source = TextSource::new(&file, at);
            pump.send(&data, &mut source)?;
        } else {
            pump.send_file(&data, &file, at.offset)?;
            if pump.progress.bytes < size - restart {
                return Err(DataError::Shortened);
            }
        }
        finish(&data)
    })
}

/// STOR, with or without REST before it.
pub(crate) fn store(
    session: &mut Session,
    path: &Pathname,
    restart: u64,
) -> Result<Reply, Refusal> {
    let path = session.user()?.path(path);
    let store = if restart > 0 { Store::At(restart) } else { Store::Replace };
    upload(session, "STOR", &path, store, "Opening data connection")
}

/// APPE.
pub(crate) fn append(session: &mut Session, path: &Pathname) -> Result<Reply, Refusal> {
    let path = session.user()?.path(path);
    upload(session, "APPE", &path, Store::Append, "Opening data connection")
}

/// STOU. The 150 names the file, in the words of RFC 1123 §4.1.2.9.
pub(crate) fn store_unique(
    session: &mut Session,
    wanted: Option<&Pathname>,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let wanted = wanted.map_or_else(|| user.cwd.join(b"upload"), |path| user.path(path));
    if wanted.is_root() {
        return Err(FsError::IsADirectory.into());
    }
    for attempt in 0..NAMES {
        let suffix = if attempt == 0 { String::new() } else { format!(".{attempt}") };
        let name = [wanted.name(), suffix.as_bytes()].concat();
        let path = wanted.parent().join(&name);
        let user = session.user()?;
        let text = if path.parent() == user.cwd { path.name() } else { path.as_bytes() };
        let text = [b"FILE: ", text].concat();
        match upload(session, "STOU", &path, Store::New, text) {
            Err(Refusal::Fs(FsError::Exists)) => {}
            other => return other,
        }
    }
    Err(FsError::Exists.into())
}

/// STOU tries so many names: `upload`, `upload.1`, ...
const NAMES: u32 = 10_000;

fn upload(
    session: &mut Session,
    verb: &'static str,
    path: &VirtualPath,
    mut store: Store,
    text: impl AsRef<[u8]>,
) -> Result<Reply, Refusal> {
    let ascii = session.is_ascii();
    let user = session.user()?;
    let real = user.tree.real(path);
    let rate = user.account.user.limits.max_upload;
    let mut upload = user.tree.write(path, store, 0o666 & !user.umask)?;
    let begun = check_restart(user, path, &mut store, &upload, ascii)
        .and_then(|()| session.connect(verb));
    let data = match begun {
        Ok(data) => data,
        Err(why) => {
            // nothing was sent, so nothing may be left
            if upload.created
                && let Ok(user) = session.user()
            {
                let _ = user.tree.remove_file(path);
            }
            return Err(why);
        }
    };
    session.connection.mark(&Mark::opening(text));
    let job = Job { verb, real: &real, ascii };
    session.transfer(&job, Throttle::new(rate), |pump| {
        upload.begin(store).map_err(DataError::Write)?;
        pump.receive(&data, &mut upload.file, ascii)?;
        upload.close().map_err(DataError::Write)
    })
}

/// A restart must not leave a hole. In ASCII type the offset counts the bytes of the transfer
/// (RFC 3659 §5.3), and is turned into one of the file.
fn check_restart(
    user: &User,
    path: &VirtualPath,
    store: &mut Store,
    upload: &Upload,
    ascii: bool,
) -> Result<(), Refusal> {
    let Store::At(restart) = store else { return Ok(()) };
    if ascii {
        let there = if upload.created { None } else { Some(user.tree.read(path)?.0) };
        let offset = there.map(|file| text::local_offset(&file, *restart)).transpose()?;
        *restart = match offset.flatten() {
            Some(At { offset, inside: false }) => offset,
            Some(At { inside: true, .. }) | None => return Err(Refusal::BadRestart),
        };
    }
    if *restart > upload.size { Err(Refusal::BadRestart) } else { Ok(()) }
}

/// ALLO: whether there is room (RFC 959 §4.1.3).
pub(crate) fn allocate(user: &User, bytes: u64) -> Result<Reply, Refusal> {
    if user.tree.free_space(&user.cwd)? < bytes {
        return Err(Refusal::NoRoom);
    }
    Ok(Reply::ok("There is room"))
}

/// ABOR. One that ended a transfer is answered here as well, after the transfer's 426
/// (RFC 959 §4.1.3).
pub(crate) fn abort(session: &mut Session) -> Reply {
    session.drop_setup();
    Reply::new(Code::DataDone, "No transfer is running")
}

/// All has been sent: the client may see the end of it.
pub(super) fn finish(data: &TcpStream) -> Result<(), DataError> {
    data.shutdown(std::net::Shutdown::Write).map_err(DataError::Lost)
}

/// A transfer of a file, for the logs.
struct Job<'a> {
    verb: &'static str,
    real: &'a Path,
    ascii: bool,
}

impl Session {
    fn is_ascii(&self) -> bool {
        self.state.parameters.transfer_type == TransferType::Ascii
    }

    /// Forgets how the next data connection was to be made.
    pub(in crate::control) fn drop_setup(&mut self) {
        if let Setup::Passive(passive) = std::mem::take(&mut self.state.parameters.setup) {
            passive.give_up(Who { peer: self.peer, user: self.state.login.name() });
        }
    }

    /// Makes the data connection that PASV or PORT has set up.
    pub(super) fn connect(&mut self, verb: &'static str) -> Result<TcpStream, Refusal> {
        let patience = self.shared.config.server.data_timeout;
        let setup = std::mem::take(&mut self.state.parameters.setup);
        let Self { connection, shared, state, peer, local, .. } = self;
        let who = Who { peer: *peer, user: state.login.name() };
        let mut ear = Ear { connection, stop: &shared.stop, verb, flowing: false };
        // an ABOR may have come right behind its command
        if let Err(interrupt) = ear.obey(&Progress::start()) {
            if let Setup::Passive(passive) = setup {
                passive.give_up(who);
            }
            return Err(DataError::from(interrupt).into());
        }
        match setup {
            Setup::None => Err(Refusal::NoDataSetup),
            Setup::Active(to) => {
                let mut local = *local;
                local.set_port(shared.config.server.active_port);
                Ok(data::connect(to, local, &mut ear, patience)?)
            }
            Setup::Passive(passive) => Ok(passive.connection(who, &mut ear, patience)?),
        }
    }

    /// Runs a transfer over a data connection that is there, and logs how it went.
    fn transfer(
        &mut self,
        job: &Job<'_>,
        throttle: Throttle,
        run: impl FnOnce(&mut Pump<'_>) -> Result<(), DataError>,
    ) -> Result<Reply, Refusal> {
        let (progress, result) = self.pump(job.verb, throttle, run);
        let why = result.as_ref().err().map(ToString::to_string);
        let transfer = Transfer {
            verb: job.verb,
            path: job.real,
            bytes: progress.bytes,
            took: progress.since.elapsed(),
            ascii: job.ascii,
            result: why.as_deref().map_or(Ok(()), Err),
        };
        self.log(&Event::Transferred(&transfer));
        if let (Some(log), Ok(user)) = (&self.shared.transfers, self.user()) {
            let account = &user.account;
            log.record(self.peer.ip(), &account.name, account.is_anonymous(), &transfer);
        }
        result.map_err(Refusal::Transfer)?;
        Ok(Reply::new(Code::DataDone, "Transfer complete"))
    }

    /// Runs a transfer with an ear on the control connection.
    pub(super) fn pump(
        &mut self,
        verb: &'static str,
        throttle: Throttle,
        run: impl FnOnce(&mut Pump<'_>) -> Result<(), DataError>,
    ) -> (Progress, Result<(), DataError>) {
        let patience = self.shared.config.server.data_timeout;
        let Self { connection, shared, .. } = self;
        let mut ear = Ear { connection, stop: &shared.stop, verb, flowing: true };
        let mut pump = Pump::new(&mut ear, throttle, patience);
        let result = run(&mut pump);
        (pump.progress, result)
    }
}
