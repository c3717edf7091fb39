//! RETR, STOR, APPE, STOU, ALLO and ABOR (RFC 959 §4.1.3).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{Occasion, Perm};
use crate::control::arg::text::Pathname;
use crate::control::command::Verb;
use crate::control::events::in_turn;
use crate::control::gate::Judge;
use crate::control::kinds::Traffic;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Mark, Reply};
use crate::control::session::Session;
use crate::control::silence;
use crate::control::state::{Login, Portion, User};
use crate::data::text::{self, At, TextSource};
use crate::data::{DataConnection, DataError, Progress, Pump, Speed, Throttle};
use crate::events::Outcome;
use crate::log::{Event, Transfer};
use crate::vfs::{
    Destination, FsError, Identity, Pin, Prepared, Store, Stored, Upload, VirtualPath,
};

/// RETR: sends a file. The file is opened first, so that the client makes no data connection
/// for a file that is missing.
pub(crate) fn retrieve(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
    portion: Portion,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Download, verb)?;
    let user = session.user()?;
    let path = user.path(path);
    let (file, size, _pin) = open(user, &path)?;
    let (_, speed) = user.speeds_for(&path)?;
    let ascii = session.is_ascii();
    if ascii && portion.end.is_some() {
        return Err(Refusal::NotForThat("RANG needs TYPE I"));
    }
    let (at, end) = if ascii {
        (located(session, verb, &file, size, portion.start)?, size)
    } else {
        let Range { start, end } = portion.within(size)?;
        (At::byte(start), end)
    };
    let mark = Mark::opening(if ascii {
        "Opening ASCII data connection".to_owned()
    } else {
        format!("Opening BINARY data connection ({} bytes)", end - at.offset)
    });
    let size_shown = (!ascii).then(|| end - at.offset);
    let traffic = verb.transfers.ok_or(Refusal::NotImplemented)?;
    let job = Job { verb, traffic, mark, path, ascii, speed, size: size_shown };
    let send = |(), pump: &mut Pump<'_>, data: &mut DataConnection| {
        if ascii {
            let mut source = TextSource::new(&file, at, size);
            pump.send(data, &mut source)?;
            if source.is_short() {
                return Err(DataError::Shortened);
            }
        } else {
            pump.send_file(data, &file, at.offset..end)?;
        }
        pump.finish(data)?;
        Ok(Moved { path: job.path.clone(), size: pump.progress.bytes, kept: false, file: None })
    };
    let (_, data) = session.transfer(&job, || Ok(()), send)?;
    session.linger(data);
    Ok(complete())
}

/// Opens a file that is to be sent to the client, or whose checksum is. Returns its size as well, and
/// what keeps retention from removing it.
pub(super) fn open(user: &User, path: &VirtualPath) -> Result<(File, u64, Pin), Refusal> {
    let (file, size, pin) = user.tree.read_pinned(path)?;
    if user.account.user.rules.files.world_readable_only && !is_world_readable(&file) {
        let why = io::Error::other("not readable for everybody (world_readable_only)");
        return Err(FsError::Denied(why).into());
    }
    Ok((file, size, pin))
}

/// Returns whether the mode of a file lets everybody read it.
fn is_world_readable(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

fn complete() -> Reply {
    Reply::new(Code::DataDone, "Transfer complete")
}

/// STOR: stores a file, from the offset of REST on.
pub(crate) fn store(
    session: &mut Session,
    verb: &Verb,
    pathname: &Pathname,
    restart: u64,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Upload, verb)?;
    let user = session.user()?;
    let named = user.path(pathname);
    if restart == 0 {
        let to = user.tree.destination(&named)?;
        return upload(session, verb, &named, (&to, None), Store::Replace);
    }
    // a restart goes on with what is there, and is never filed anew
    let (path, own) = user.begun(Perm::Store, &named)?;
    let to = Destination::exactly(path);
    if !session.is_ascii() {
        return upload(session, verb, &named, (&to, own), Store::At(restart));
    }
    // in ASCII type the offset of a restart counts the bytes of the transfer (RFC 3659 §5.3)
    let (file, size) = session.user()?.read_shown(Perm::Store, pathname)?;
    let at = located(session, verb, &file, size, restart)?;
    if at.inside {
        // the offset corresponds to no byte of the file
        return Err(Refusal::BadRestart);
    }
    upload(session, verb, &named, (&to, own), Store::At(at.offset))
}

/// APPE: appends to a file. A client that has sent SIZE before expects to append at the size in
/// the reply, so that size is passed to the upload. If uploads are filed, it appends to the file that
/// SIZE was about, or to what an upload that broke off has left, or else to the file that has the name
/// where an upload would be filed now.
pub(crate) fn append(
    session: &mut Session,
    verb: &Verb,
    path: &Pathname,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Upload, verb)?;
    let told = session.state.parameters.told_size.take();
    let user = session.user()?;
    let named = user.path(path);
    let told = told.filter(|(of, _)| *of == named).map(|(_, told)| told);
    // where uploads are filed, a complete file is appended to only by those who asked for its size
    let goes_on = told.is_some() || user.tree.begun(&named).is_some();
    let filed = user.tree.destination(&named)?;
    let (to, own) = if goes_on || filed.path() == &named {
        let (path, own) = user.begun(Perm::Append, &named)?;
        (Destination::exactly(path), own)
    } else {
        (filed, None)
    };
    upload(session, verb, &named, (&to, own), Store::Append(told))
}

/// STOU: stores a file under a new name. The 150 reply contains the name, in the form of RFC
/// 1123 §4.1.2.9.
pub(crate) fn store_unique(
    session: &mut Session,
    verb: &Verb,
    wanted: Option<&Pathname>,
) -> Result<Reply, Refusal> {
    session.await_program(Occasion::Upload, verb)?;
    let user = session.user()?;
    let wanted = wanted.map_or_else(|| user.cwd.join(b"upload"), |path| user.path(path));
    let named = wanted;
    let wanted = user.tree.destination(&named)?;
    check_filed(user, verb, &named, &wanted)?;
    session.make_room_for(verb, wanted.path())?;
    let user = session.user()?;
    let upload = user.tree.upload_new(&wanted, user.umask)?;
    let mark = Mark::opening([b"FILE: ", &*user.short_name(upload.path())].concat());
    let name = upload.path().clone();
    receive(session, verb, upload, &name, mark)
}

/// Uploads to a destination what the client stores as `name`. `own` is a file that the session has
/// stored there and may go on writing to.
fn upload(
    session: &mut Session,
    verb: &Verb,
    name: &VirtualPath,
    (to, own): (&Destination, Option<Identity>),
    store: Store,
) -> Result<Reply, Refusal> {
    session.state.parameters.told_size = None;
    check_filed(session.user()?, verb, name, to)?;
    session.make_room_for(verb, to.path())?;
    let at_once = session.is_connected();
    let user = session.user()?;
    let (tree, umask) = (Arc::clone(&user.tree), user.umask);
    let upload =
        session.attend(verb, |heed| tree.upload(to, store, umask, at_once, own, heed))?;
    let mut text = b"Opening data connection".to_vec();
    // a client that breaks the upload off learns where the rest of it is
    if upload.path() != name {
        let place = session.user()?.short_name(upload.path());
        text.extend([b", FILE: ", &*place].concat());
    }
    let reply = receive(session, verb, upload, name, Mark::opening(text))?;
    if to.path() != name {
        tree.forget_begun(name);
    }
    Ok(reply)
}

/// Checks the letter of a command at the place where an upload goes, if that is not the name that the
/// client has sent, which was checked before.
fn check_filed(
    user: &User,
    verb: &Verb,
    name: &VirtualPath,
    to: &Destination,
) -> Result<(), Refusal> {
    match verb.perm {
        Some(perm) if to.path() != name => user.check(perm, to.path()),
        _ => Ok(()),
    }
}

/// Receives a prepared upload. An upload is prepared before the data connection is made, so
/// that the client does not connect for one that is refused. If the connection fails, the
/// prepared upload leaves no file behind, and takes no part over from another session. `name` is the
/// path that the client has sent, or was told before.
fn receive(
    session: &mut Session,
    verb: &Verb,
    upload: Prepared,
    name: &VirtualPath,
    mark: Mark,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let (path, there) = (upload.path().clone(), upload.file());
    if let Some(remark) = upload.remark() {
        session.log(&Event::InPlace(&user.tree.real(&path), remark));
    }
    let (speed, _) = user.speeds_for(&path)?;
    let ascii = session.is_ascii();
    let size = session.state.parameters.announced;
    let traffic = verb.transfers.ok_or(Refusal::NotImplemented)?;
    let job = Job { verb, traffic, mark, path, ascii, speed, size };
    let relief = session.relief(&job.path)?;
    let turn = session.turn(Occasion::Upload, &job.path, None).map(Arc::new);
    let judge = upload.is_judged().then(|| session.judge()).transpose()?;
    let take = |mut upload: Upload, pump: &mut Pump<'_>, data: &mut DataConnection| {
        if let Some(relief) = relief {
            upload.when_full(relief);
        }
        in_turn(&mut upload, turn.as_ref());
        match pump.receive(data, &mut upload, ascii) {
            Ok(()) => {
                let Stored { path, size, kept, file } = match &judge {
                    None => upload.finish().map_err(DataError::Write)?,
                    Some(judge) => published(judge, upload, pump)?,
                };
                Ok(Moved { path, size, kept, file })
            }
            Err(why) => {
                // an upload that could not be stored is of no use for a restart
                upload.fail(!matches!(why, DataError::Write(_)));
                Err(why)
            }
        }
    };
    let moved = match session.transfer(&job, || upload.ready(), take) {
        Ok((moved, _)) => moved,
        Err(why) => {
            if let (Refusal::Transfer(_), Login::In(user)) = (&why, &mut session.state.login) {
                user.aliases.note(name, &job.path, there, true);
            }
            return Err(why);
        }
    };
    drop(turn);
    let user = session.user_mut()?;
    user.aliases.note(name, &moved.path, moved.file.or(there), true);
    if moved.path == *name {
        return Ok(complete());
    }
    let stored = user.short_name(&moved.path);
    Ok(Reply::new(Code::DataDone, [b"Transfer complete, FILE: ", &*stored].concat()))
}

/// Puts an upload in place whose bytes have all arrived, once it was judged. The loss of the control
/// connection does not undo it any more, or clients that close early would send it again for ever.
fn published(judge: &Judge, upload: Upload, pump: &mut Pump<'_>) -> Result<Stored, DataError> {
    let arrived = Instant::now();
    let took = arrived.duration_since(pump.progress.since);
    pump.outlive();
    let mut interrupt = None;
    let stored = judge.publish(upload, took, &mut || {
        interrupt = pump.look().err();
        interrupt.is_none()
    });
    // the transfer did not take the time in which it was judged
    pump.progress.since += arrived.elapsed();
    match (stored, interrupt) {
        // also if it was refused, and the client wants to wait no more until it is in the quarantine
        (Err(_), Some(interrupt)) => Err(interrupt.into()),
        (stored, _) => stored.map_err(DataError::Write),
    }
}

/// Returns the place in a file of this size at which a restart in ASCII type begins. The file
/// must be read up to there, so offsets beyond [`text::MOST_COUNTED`] are refused.
fn located(
    session: &mut Session,
    verb: &Verb,
    file: &File,
    size: u64,
    restart: u64,
) -> Result<At, Refusal> {
    // a byte of a file takes two bytes on the wire at most
    if restart > size.saturating_mul(2) {
        return Err(Refusal::BadRestart);
    }
    if restart > text::MOST_COUNTED {
        return Err(Refusal::TooLargeToCount);
    }
    let found = session.attend(verb, |heed| text::local_offset(file, size, restart, heed))?;
    found.ok_or(Refusal::BadRestart)
}

/// ALLO: replies whether there is enough free space (RFC 959 §4.1.3), and keeps the size of
/// the next upload.
pub(crate) fn allocate(
    session: &mut Session,
    verb: &Verb,
    bytes: u64,
) -> Result<Reply, Refusal> {
    let user = session.user()?;
    // the name of the file is not known yet
    user.tree.check_size(&user.cwd, bytes)?;
    session.make_room_here(verb, bytes)?;
    let user = session.user()?;
    if user.tree.free_space(&user.cwd)? < bytes {
        return Err(Refusal::NoRoom);
    }
    session.state.parameters.announced = Some(bytes);
    Ok(Reply::ok("There is enough free space"))
}

/// AVBL: replies how many bytes may still be stored in a directory (draft-peterson-streamlined-ftp
/// §4): the room on the disk, or less if a quota leaves less.
pub(crate) fn available(session: &Session, path: Option<&Pathname>) -> Result<Reply, Refusal> {
    let user = session.user()?;
    let path = path.map_or_else(|| user.cwd.clone(), |path| user.path(path));
    Ok(Reply::value(user.tree.room(&path)?.to_string()))
}

/// ABOR: replies that no transfer is running. An ABOR that has ended a transfer is answered
/// here as well, after the 426 of the transfer (RFC 959 §4.1.3).
pub(crate) fn abort(session: &mut Session) -> Reply {
    session.drop_setup();
    Reply::new(Code::DataDone, "No transfer is running")
}

/// A transfer of a file that is about to begin.
struct Job<'a> {
    verb: &'a Verb,
    traffic: Traffic,
    /// The preliminary reply.
    mark: Mark,
    /// The file. An upload may be stored under another name in the end.
    path: VirtualPath,
    ascii: bool,
    speed: Arc<Speed>,
    /// Number of bytes to transfer, if that is known.
    size: Option<u64>,
}

/// What a successful transfer has moved.
struct Moved {
    path: VirtualPath,
    /// The size of an uploaded file, or the number of bytes sent.
    size: u64,
    /// Whether the old version of an uploaded file was moved to the trash.
    kept: bool,
    /// The uploaded file, if the session may go on writing to it although others may not replace it.
    file: Option<Identity>,
}

impl Session {
    /// Transfers a file: makes the data connection, calls `open` and then `work`, and reports
    /// the result to the logs and the hook programs.
    ///
    /// `open` is called once nothing else can keep the transfer from beginning: until then
    /// another session may store a file under the same name, which a failure of this transfer
    /// must not remove. With TLS, that is after the handshake, and so after the preliminary
    /// reply.
    fn transfer<F>(
        &mut self,
        job: &Job<'_>,
        open: impl FnOnce() -> Result<F, FsError>,
        work: impl FnOnce(F, &mut Pump<'_>, &mut DataConnection) -> Result<Moved, DataError>,
    ) -> Result<(Moved, DataConnection), Refusal> {
        let real = self.user()?.tree.real(&job.path);
        let mut data = self.connect(job.verb)?;
        let open: Box<dyn FnOnce() -> Result<F, FsError> + '_> = if self.private().is_some() {
            Box::new(open)
        } else {
            let opened = open()?;
            Box::new(|| Ok(opened))
        };
        match job.traffic {
            Traffic::Upload => self.connection.mark(&job.mark),
            // the client does not need the reply before the data
            Traffic::Download | Traffic::Listing => self.connection.hold(&job.mark),
        }
        let begun = Progress::start();
        let ready = self.secure(job.verb, &mut data);
        let (progress, result) = match ready.and_then(|()| Ok(open()?)) {
            Err(why) => (begun, Err(self.never_began(job, &begun, why))),
            Ok(file) => {
                if job.traffic == Traffic::Upload {
                    self.state.parameters.announced = None;
                }
                self.live.show_transfer(
                    job.verb.name(),
                    job.traffic,
                    &real,
                    job.size,
                    Some(&job.speed),
                );
                let throttle = Throttle::new(Arc::clone(&job.speed));
                let work = |pump: &mut Pump<'_>| work(file, pump, &mut data);
                let (progress, result) = self.pump(job.verb, job.traffic, throttle, work);
                (progress, result.map_err(Refusal::Transfer))
            }
        };
        self.tell(job, &progress, &result)?;
        Ok((result?, data))
    }

    /// Counts a transfer that failed between its preliminary reply and its first byte.
    fn never_began(&self, job: &Job<'_>, begun: &Progress, why: Refusal) -> Refusal {
        let (Refusal::Data(why) | Refusal::Transfer(why)) = why else { return why };
        let took = begun.since.elapsed();
        self.shared.counters.transferred(job.traffic, took, Some(&why));
        Refusal::Transfer(why)
    }

    /// Reports the result of a transfer to the logs and to who is told of events. There is no event for a
    /// failed upload.
    fn tell(
        &self,
        job: &Job<'_>,
        progress: &Progress,
        result: &Result<Moved, Refusal>,
    ) -> Result<(), Refusal> {
        let user = self.user()?;
        let path = result.as_ref().map_or(&job.path, |moved| &moved.path);
        let real = user.tree.real(path);
        let failure = result.as_ref().err().map(ToString::to_string);
        let took = progress.since.elapsed();
        let transfer = Transfer {
            verb: job.verb.name(),
            way: job.traffic.way(),
            path: &real,
            bytes: progress.bytes,
            took,
            ascii: job.ascii,
            result: failure.as_deref().map_or(Ok(()), Err),
        };
        self.log(&Event::Transferred(transfer));
        self.log_trashed(result.as_ref().is_ok_and(|moved| moved.kept), path)?;
        if let Some(log) = &self.settings.transfers {
            let account = &user.account;
            log.record(self.peer.ip(), &account.name, account.is_anonymous(), &transfer);
        }
        if let (Traffic::Upload, Ok(_)) = (job.traffic, &result) {
            let (account, address) = (&user.account, self.peer.ip());
            if self.shared.silence.break_by(&account.name, &account.user, address) {
                let events = &self.shared.events;
                silence::tell(events, account.counted_as(), Some(address), Outcome::Back);
            }
        }
        if let Err(Refusal::Transfer(DataError::Write(FsError::Rejected(_)))) = result {
            let why =
                format!("{}: {}", job.verb.name(), failure.as_deref().unwrap_or_default());
            let about = (user.account.name.as_bytes(), Some((&*real, path.as_bytes())));
            self.tell_refused(Occasion::Refused, about, Outcome::Refused(&why));
        }
        let event = match (job.traffic, result) {
            (Traffic::Upload, Ok(moved)) => Some((Occasion::Upload, moved.size)),
            (Traffic::Upload, Err(_)) => None,
            (Traffic::Download | Traffic::Listing, _) => {
                Some((Occasion::Download, progress.bytes))
            }
        };
        if let Some((occasion, size)) = event {
            self.happened(occasion, path, None, Some((size, took, failure.as_deref())));
        }
        Ok(())
    }
}
