//! RETR, STOR, APPE and STOU (RFC 959 §4.1.3), and what goes with them.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::config::Occasion;
use crate::control::arg::text::Pathname;
use crate::control::counters::Way;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Mark, Reply};
use crate::control::session::Session;
use crate::control::state::User;
use crate::data::text::{self, At, TextSource};
use crate::data::{DataConnection, DataError, Progress, Pump, Throttle};
use crate::log::{self, Event, Transfer};
use crate::vfs::{FsError, Prepared, Store, Upload, VirtualPath};

/// RETR. The file is opened before the data connection, so that a file that cannot be had
/// costs the client nothing.
pub(crate) fn retrieve(
    session: &mut Session,
    path: &Pathname,
    restart: u64,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Download, "RETR")?;
    let user = session.user()?;
    let path = user.path(path);
    let (file, size) = user.tree.read(&path)?;
    if user.account.user.rules.files.world_readable_only && !is_world_readable(&file) {
        let why = io::Error::other("others may not read it (world_readable_only)");
        return Err(FsError::Denied(why).into());
    }
    let real = user.tree.real(&path);
    let rate = Arc::clone(&user.account.download);
    let ascii = session.is_ascii();
    let at = if ascii {
        located(session, "RETR", &file, size, restart)?
    } else if restart > size {
        return Err(Refusal::BadRestart);
    } else {
        At::byte(restart)
    };
    let job = Job { verb: "RETR", way: log::Way::Down, real: &real, ascii };
    let mut data = session.connect("RETR")?;
    session.connection.hold(&Mark::opening(if ascii {
        "Opening ASCII data connection".to_owned()
    } else {
        format!("Opening BINARY data connection ({} bytes)", size - restart)
    }));
    let begun = Progress::start();
    if let Err(why) = session.secure("RETR", &mut data) {
        let why = session.never_began(&job, &begun, why);
        let text = why.to_string();
        let transfer = Some((0, begun.since.elapsed(), Some(text.as_str())));
        session.happened(Occasion::Download, &path, None, transfer);
        return Err(why);
    }
    session.live.begin("RETR", &real, (!ascii).then(|| size - at.offset));
    let (progress, result) = session.transfer(&job, Throttle::new(rate), |pump| {
        if ascii {
            let mut source = TextSource::new(&file, at, size);
            pump.send(&mut data, &mut source)?;
            if source.is_short() {
                return Err(DataError::Shortened);
            }
        } else {
            pump.send_file(&mut data, &file, at.offset..size)?;
        }
        pump.finish(&mut data)
    });
    let why = result.as_ref().err().map(ToString::to_string);
    let took = progress.since.elapsed();
    let transfer = Some((progress.bytes, took, why.as_deref()));
    session.happened(Occasion::Download, &path, None, transfer);
    result?;
    session.linger(data);
    Ok(complete())
}

/// Whether the mode of a file lets everybody read it.
fn is_world_readable(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

fn complete() -> Reply {
    Reply::new(Code::DataDone, "Transfer complete")
}

/// STOR, with or without REST before it.
pub(crate) fn store(
    session: &mut Session,
    path: &Pathname,
    restart: u64,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Upload, "STOR")?;
    let path = session.user()?.path(path);
    if restart == 0 {
        return upload(session, "STOR", &path, Store::Replace);
    }
    if !session.is_ascii() {
        return upload(session, "STOR", &path, Store::At(restart));
    }
    // in ASCII type the offset of a restart counts the bytes of the transfer (RFC 3659 §5.3)
    let (file, size) = session.user()?.tree.read_shown(&path)?;
    let at = located(session, "STOR", &file, size, restart)?;
    if at.inside {
        // there is no such place in the file
        return Err(Refusal::BadRestart);
    }
    upload(session, "STOR", &path, Store::At(at.offset))
}

/// APPE. If SIZE was asked before, the client believes the end to be where SIZE has told.
pub(crate) fn append(session: &mut Session, path: &Pathname) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Upload, "APPE")?;
    let path = session.user()?.path(path);
    let told = session.state.parameters.told_size.take();
    let told = told.filter(|(of, _)| *of == path).map(|(_, told)| told);
    upload(session, "APPE", &path, Store::Append(told))
}

/// STOU. The 150 names the file, in the words of RFC 1123 §4.1.2.9.
pub(crate) fn store_unique(
    session: &mut Session,
    wanted: Option<&Pathname>,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Upload, "STOU")?;
    let user = session.user()?;
    let wanted = wanted.map_or_else(|| user.cwd.join(b"upload"), |path| user.path(path));
    let upload = user.tree.upload_new(&wanted, 0o666 & !user.umask)?;
    let mark = Mark::opening([b"FILE: ", named(user, upload.path())].concat());
    begin(session, "STOU", upload, &mark)
}

/// A path as it can be used from the working directory.
fn named<'p>(user: &User, path: &'p VirtualPath) -> &'p [u8] {
    if path.parent() == user.cwd { path.name() } else { path.as_bytes() }
}

fn upload(
    session: &mut Session,
    verb: &'static str,
    path: &VirtualPath,
    store: Store,
) -> Result<Reply, Refusal> {
    session.state.parameters.told_size = None;
    let user = session.user()?;
    let (tree, mode) = (Arc::clone(&user.tree), 0o666 & !user.umask);
    let upload = session.attend(verb, |heed| tree.upload(path, store, mode, heed))?;
    begin(session, verb, upload, &Mark::opening("Opening data connection"))
}

/// Makes the data connection and receives the file. An upload that cannot be made costs the
/// client no data connection, and one without a data connection leaves nothing behind and takes
/// nothing over. In the classic way the file is opened only when nothing more can keep the
/// transfer from beginning: what another session stores meanwhile under the same name is not ours
/// to remove. With TLS that is after the handshake, and so after the 150.
fn begin(
    session: &mut Session,
    verb: &'static str,
    upload: Prepared,
    mark: &Mark,
) -> Result<Reply, Refusal> {
    if let Some(remark) = upload.remark() {
        let real = session.user()?.tree.real(upload.path());
        session.log(&Event::InPlace(&real, remark));
    }
    let path = upload.path().clone();
    let mut data = session.connect(verb)?;
    let (begun, ready) = if session.private().is_some() {
        session.connection.mark(mark);
        let begun = Progress::start();
        (begun, session.secure(verb, &mut data).and_then(|()| Ok(upload.ready()?)))
    } else {
        let upload = upload.ready()?;
        session.connection.mark(mark);
        let begun = Progress::start();
        (begun, session.secure(verb, &mut data).map(|()| upload))
    };
    match ready {
        Ok(upload) => receive(session, verb, upload, &mut data),
        Err(why) => {
            let real = session.user()?.tree.real(&path);
            let job = Job { verb, way: log::Way::Up, real: &real, ascii: session.is_ascii() };
            Err(session.never_began(&job, &begun, why))
        }
    }
}

fn receive(
    session: &mut Session,
    verb: &'static str,
    mut upload: Upload,
    data: &mut DataConnection,
) -> Result<Reply, Refusal> {
    let ascii = session.is_ascii();
    let user = session.user()?;
    let announced = upload.path().clone();
    let tree = Arc::clone(&user.tree);
    let rate = Arc::clone(&user.account.upload);
    let mut placed = None;
    let size = session.state.parameters.announced.take();
    session.live.begin(verb, &tree.real(&announced), size);
    let (progress, result) = session.pump(verb, Throttle::new(rate), |pump| {
        match pump.receive(data, &mut upload, ascii) {
            Ok(()) => {
                placed = Some(upload.finish().map_err(DataError::Write)?);
                Ok(())
            }
            Err(why) => {
                // what our disk could not take is of no use to anybody
                upload.fail(!matches!(why, DataError::Write(_)));
                Err(why)
            }
        }
    });
    let path = placed.as_ref().map_or(&announced, |(_, path)| path);
    let job = Job { verb, way: log::Way::Up, real: &tree.real(path), ascii };
    session.record(&job, &progress, &result);
    result.map_err(Refusal::Transfer)?;
    let Some((size, path)) = placed else { return Ok(complete()) };
    let took = progress.since.elapsed();
    session.happened(Occasion::Upload, &path, None, Some((size, took, None)));
    if path == announced {
        return Ok(complete());
    }
    let name = named(session.user()?, &path);
    Ok(Reply::new(Code::DataDone, [b"Transfer complete, FILE: ", name].concat()))
}

/// Where a restart in ASCII type lies in a file of this size. That takes reading what comes
/// before, so a restart beyond what SIZE would count is refused.
fn located(
    session: &mut Session,
    verb: &'static str,
    file: &File,
    size: u64,
    restart: u64,
) -> Result<At, Refusal> {
    // no byte of a file is more than two on the wire
    if restart > size.saturating_mul(2) {
        return Err(Refusal::BadRestart);
    }
    if restart > text::MOST_COUNTED {
        return Err(Refusal::TooLargeToCount);
    }
    let found = session.attend(verb, |heed| text::local_offset(file, size, restart, heed))?;
    found.ok_or(Refusal::BadRestart)
}

/// ALLO: whether there is room (RFC 959 §4.1.3). It also tells how long the next upload is.
pub(crate) fn allocate(session: &mut Session, bytes: u64) -> Result<Reply, Refusal> {
    let user = session.user()?;
    if user.tree.free_space(&user.cwd)? < bytes {
        return Err(Refusal::NoRoom);
    }
    session.state.parameters.announced = Some(bytes);
    Ok(Reply::ok("There is room"))
}

/// ABOR. One that ended a transfer is answered here as well, after the transfer's 426
/// (RFC 959 §4.1.3).
pub(crate) fn abort(session: &mut Session) -> Reply {
    session.drop_setup();
    Reply::new(Code::DataDone, "No transfer is running")
}

/// A transfer of a file, for the logs.
struct Job<'a> {
    verb: &'static str,
    way: log::Way,
    real: &'a Path,
    ascii: bool,
}

impl Session {
    /// Runs a transfer over a data connection that is there, and logs how it went.
    fn transfer(
        &mut self,
        job: &Job<'_>,
        throttle: Throttle,
        run: impl FnOnce(&mut Pump<'_>) -> Result<(), DataError>,
    ) -> (Progress, Result<(), Refusal>) {
        let (progress, result) = self.pump(job.verb, throttle, run);
        self.record(job, &progress, &result);
        (progress, result.map_err(Refusal::Transfer))
    }

    /// A transfer has been announced by a mark and has failed before its first byte: the logs have
    /// it among the transfers.
    fn never_began(&self, job: &Job<'_>, begun: &Progress, why: Refusal) -> Refusal {
        let (Refusal::Data(why) | Refusal::Transfer(why)) = why else {
            self.record_as(job, begun, Err(&why.to_string()));
            return why;
        };
        let result = Err(why);
        let counters = &self.shared.counters;
        counters.transferred(Way::of(job.verb), begun.since.elapsed(), &result);
        self.record(job, begun, &result);
        result.map_or_else(Refusal::Transfer, |()| Refusal::NoDataSetup)
    }

    /// Logs how a transfer went.
    fn record(&self, job: &Job<'_>, progress: &Progress, result: &Result<(), DataError>) {
        let why = result.as_ref().err().map(ToString::to_string);
        self.record_as(job, progress, why.as_deref().map_or(Ok(()), Err));
    }

    fn record_as(&self, job: &Job<'_>, progress: &Progress, result: Result<(), &str>) {
        let transfer = Transfer {
            verb: job.verb,
            way: job.way,
            path: job.real,
            bytes: progress.bytes,
            took: progress.since.elapsed(),
            ascii: job.ascii,
            result,
        };
        self.log(&Event::Transferred(&transfer));
        if let (Some(log), Ok(user)) = (&self.settings.transfers, self.user()) {
            let account = &user.account;
            log.record(self.peer.ip(), &account.name, account.is_anonymous(), &transfer);
        }
    }
}
