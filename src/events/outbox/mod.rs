//! The outbox: events that the receiver has not taken yet, in files of a directory in `state_dir`.

mod segment;

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::event::Event;
use crate::config::EventsKept;
use crate::rights;
use segment::{Part, Segment};

pub(super) use segment::Record;

/// The events that wait for the receiver.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The directory of the files; `None`: there is no `state_dir`.
    dir: Option<PathBuf>,
    /// The first part of the ids of this server's events.
    start: u64,
    /// The number of events so far, which is the second part.
    count: AtomicU64,
    /// Wakes the thread that sends.
    bell: OwnedFd,
    content: Mutex<Content>,
    /// The name of this server for brokers, with its file, which is locked if the name is in there.
    id: OnceLock<(String, Option<File>)>,
    sent: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

#[derive(Debug, Default)]
struct Content {
    /// How much is kept; `None`: there is no receiver.
    kept: Option<EventsKept>,
    /// The files, the oldest first. Events are appended to the last one if this server has made it.
    segments: VecDeque<Segment>,
    /// The file that events are appended to.
    current: Option<u64>,
    /// Whether the files of earlier servers were taken over.
    is_open: bool,
    /// Whether another server still has files here.
    shared: bool,
    /// Whether the thread that sends is waiting for events.
    asleep: bool,
    /// When the log was last told that events are lost.
    told: Option<Instant>,
    /// Numbers of lost events that the log has not been told of, in the order of [`Dropped::ALL`].
    untold: [u64; Dropped::ALL.len()],
    /// Why an event could not be written last.
    fault: Option<String>,
}

/// Why an event was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It could not be written.
    Unwritten,
    /// There were too many.
    Size,
    /// It waited for too long.
    Age,
    /// The receiver will not have it.
    Refused,
    /// It was damaged in its file.
    Damaged,
}

impl Dropped {
    /// All reasons, in the order of the variants.
    pub const ALL: [Self; 5] =
        [Self::Unwritten, Self::Size, Self::Age, Self::Refused, Self::Damaged];

    /// Returns a word for the reason.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unwritten => "unwritten",
            Self::Size => "size",
            Self::Age => "age",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
        }
    }

    fn why(self) -> &'static str {
        match self {
            Self::Unwritten => "they could not be written",
            Self::Size => "more are waiting than events_keep allows",
            Self::Age => "they have waited for longer than events_keep allows",
            Self::Refused => "the receiver refuses them",
            Self::Damaged => "they are damaged in their files",
        }
    }
}

/// How many events have gone which way since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Taken by the receiver.
    pub sent: u64,
    /// Not taken yet.
    pub waiting: u64,
    /// Dropped, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
}

/// What the thread that sends does next.
pub(super) enum Next {
    /// It sends these events.
    Send(Batch),
    /// It looks after its connection.
    Idle,
    /// There is nothing to be sent, for now.
    Nothing,
}

/// Events that follow one another in a file.
pub(super) struct Batch {
    segment: u64,
    pub(super) records: Vec<Record>,
}

/// Name of the directory in `state_dir`.
const DIR: &str = "events";

/// Name of the file with the name of this server for brokers.
const ID: &str = "id";

/// Maximum number of events in a batch.
const MOST: usize = 32;

/// A file has at most this part of what is kept, so that dropping the oldest one drops little.
const PARTS: u64 = 16;

/// Number of bytes that an event takes in a file at most besides its JSON text.
const MORE: u64 = 64;

/// Minimum time between two lines of the log about lost events.
const SELDOM: Duration = Duration::from_secs(60);

/// How often it is tried to take over the files of another server.
const LOOK: Duration = Duration::from_secs(10);

impl Outbox {
    /// Returns an outbox in a `state_dir`. Nothing is opened before there is a receiver.
    pub(super) fn new(state_dir: Option<&Path>) -> io::Result<Self> {
        Ok(Self {
            dir: state_dir.map(|dir| dir.join(DIR)),
            start: stamped(0),
            count: AtomicU64::default(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            content: Mutex::default(),
            id: OnceLock::new(),
            sent: AtomicU64::default(),
            dropped: Default::default(),
        })
    }

    /// Sets how much is kept; `None`: events are not added. The first receiver gets the events that
    /// earlier servers have left.
    pub(super) fn keep(&self, kept: Option<EventsKept>) {
        let mut content = self.content();
        content.kept = kept;
        if kept.is_some() && !std::mem::replace(&mut content.is_open, true) {
            drop(content);
            self.take_over();
        }
    }

    /// Takes over the files of servers that run no more.
    #[expect(clippy::disallowed_methods, reason = "the server's own folder, not a served one")]
    fn take_over(&self) {
        let Some(dir) = &self.dir else { return };
        let known: Vec<_> = self.content().segments.iter().map(|one| one.name).collect();
        let (mut found, mut shared, mut damaged) = (Vec::new(), false, 0);
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_str().filter(|name| name.len() == 16);
            let name = name.and_then(|name| u64::from_str_radix(name, 16).ok());
            let Some(name) = name.filter(|name| !known.contains(name)) else { continue };
            match Segment::take_over(dir, name) {
                Ok(Some(segment)) => {
                    damaged += segment.damaged;
                    if segment.waiting > 0 { found.push(segment) } else { segment.remove() }
                }
                Ok(None) => shared = true,
                Err(why) => log::warn!("{}/{name:016x}: {why}", dir.display()),
            }
        }
        let mut content = self.content();
        content.shared = shared;
        content.segments.extend(found);
        content.segments.make_contiguous().sort_by_key(|one| one.name);
        self.lose(content, damaged, Dropped::Damaged);
    }

    /// Returns a name for this server, for brokers, which the next one has as well. Of several servers that
    /// run with the same directory, one alone has that name: brokers let in one client of a name.
    pub(super) fn server_id(&self) -> &str {
        let new = || format!("{:016x}", self.start);
        let (id, _) = self.id.get_or_init(|| {
            let Some(dir) = &self.dir else { return (new(), None) };
            match kept_id(dir, new()) {
                Ok(Some((id, file))) => (id, Some(file)),
                Ok(None) => (new(), None),
                Err(why) => {
                    log::warn!("cannot write {}: {why}", dir.join(ID).display());
                    (new(), None)
                }
            }
        });
        id
    }

    /// Adds an event. `sync`: it is on the disk afterwards. If that fails, the event is counted as lost.
    pub(super) fn add(&self, event: &Event<'_>, sync: bool) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let at = SystemTime::now();
        let json = event.json(&format!("{:016x}-{number}", self.start), at);
        let mut content = self.content();
        let Some(kept) = content.kept else { return };
        let quarters = event.quarters();
        if quarters < 4 && content.bytes() > kept.bytes / 4 * quarters {
            return self.lose(content, 1, Dropped::Size);
        }
        let mut lost = 0;
        while content.bytes() + json.len() as u64 + MORE > kept.bytes
            && let Some(oldest) = content.segments.pop_front()
        {
            lost += oldest.waiting;
            // the thread may act as a user who cannot remove it
            let _ = rights::as_server(|| oldest.remove());
        }
        let written = self.current(&mut content, kept).and_then(|segment| {
            segment.append(at, &json)?;
            let is_named = segment.is_named;
            segment.is_named |= sync;
            Ok((segment.reader(), is_named))
        });
        let wakes = written.is_ok() && std::mem::take(&mut content.asleep);
        if lost > 0 {
            self.lose(content, lost, Dropped::Size);
        } else {
            drop(content);
        }
        if wakes {
            self.ring();
        }
        let synced = match (written, &self.dir) {
            (Err(why), _) => {
                let mut content = self.content();
                let path = content.segments.back().map(Segment::path).or(self.dir.as_deref());
                let path = path.map(|path| format!("{}: ", path.display()));
                content.fault = Some(format!("{}{why}", path.unwrap_or_default()));
                return self.lose(content, 1, Dropped::Unwritten);
            }
            (Ok((file, is_named)), Some(dir)) if sync => {
                file.sync().and_then(|()| if is_named { Ok(()) } else { sync_dir(dir) })
            }
            _ => Ok(()),
        };
        if let Err(why) = synced {
            log::warn!("an event is not on the disk yet: {why}");
        }
    }

    /// Returns the file that events are appended to.
    fn current<'c>(
        &self,
        content: &'c mut Content,
        kept: EventsKept,
    ) -> io::Result<&'c mut Segment> {
        let dir =
            self.dir.as_deref().ok_or_else(|| io::Error::other("there is no state_dir"))?;
        let most = kept.bytes / PARTS;
        let is_good =
            |last: &Segment| Some(last.name) == content.current && last.end < most.max(1);
        if !content.segments.back().is_some_and(is_good) {
            let last = content.segments.back().map_or(0, |last| last.name);
            let create = || {
                make_dir(dir)?;
                Segment::create(dir, stamped(last))
            };
            let segment = rights::as_server(create)??;
            content.current = Some(segment.name);
            content.segments.push_back(segment);
        }
        content.segments.back_mut().ok_or_else(|| io::Error::other("there is no file"))
    }

    /// Returns what is to be done next. Waits until there is an event, or `fd` is readable, or for `time`.
    /// `is_over` says whether to stop, given whether there is no event.
    pub(super) fn next(
        &self,
        time: Option<Duration>,
        fd: Option<BorrowedFd<'_>>,
        is_over: &dyn Fn(bool) -> bool,
    ) -> Next {
        loop {
            if is_over(false) {
                return Next::Nothing;
            }
            if let Some(batch) = self.head() {
                return Next::Send(batch);
            }
            self.content().asleep = true;
            // an event that was added before the line above has not rung the bell
            if self.head().is_some() {
                continue;
            }
            if is_over(true) {
                return Next::Nothing;
            }
            let again = self.content().shared.then_some(LOOK);
            let is_idle = self.wait(time.into_iter().chain(again).min(), fd);
            self.content().asleep = false;
            if again.is_some() {
                self.take_over();
            }
            if is_idle {
                return Next::Idle;
            }
        }
    }

    /// Waits until the bell rings, or until the log is to be told of losses. Returns whether it has not rung.
    #[expect(clippy::disallowed_methods, reason = "TLS holds nothing that is waited for here")]
    fn wait(&self, time: Option<Duration>, fd: Option<BorrowedFd<'_>>) -> bool {
        let bell = PollFd::new(&self.bell, PollFlags::IN);
        let other = fd.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let mut fds: Vec<_> = [bell].into_iter().chain(other).collect();
        let untold = self.content().until_told(SELDOM);
        let time = time.into_iter().chain(untold).min();
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let _ = poll(&mut fds, time.as_ref());
        let rang = fds.first().is_some_and(|bell| !bell.revents().is_empty());
        // the number in it does not matter
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        self.tell_losses(self.content(), SELDOM);
        !rang
    }

    /// Wakes the thread that sends.
    pub(super) fn ring(&self) {
        // this cannot fail: the counter is far from its limit
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Waits for a time, or until `is_over` and the bell rings.
    pub(super) fn pause(&self, time: Duration, is_over: &dyn Fn() -> bool) {
        let until = Instant::now() + time;
        while !is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.wait(Some(left), None);
        }
    }

    /// Returns the first events, without those that are too old.
    fn head(&self) -> Option<Batch> {
        loop {
            let mut content = self.content();
            let current = content.current;
            let done = |one: &&mut Segment| one.sent >= one.end;
            if let Some(first) =
                content.segments.iter_mut().filter(done).find(|one| one.waiting > 0)
            {
                let damaged = std::mem::take(&mut first.waiting);
                self.lose(content, damaged, Dropped::Damaged);
                continue;
            }
            while content
                .segments
                .front()
                .is_some_and(|first| first.sent >= first.end && Some(first.name) != current)
            {
                content.segments.pop_front().inspect(Segment::remove);
            }
            let age = content.kept?.age;
            let first = content.segments.iter().find(|one| one.sent < one.end)?;
            let (segment, from, reader) = (first.name, first.sent, first.reader());
            drop(content);
            let Part { mut records, behind, .. } = match reader.read(from) {
                Ok(read) => read?,
                Err(why) => {
                    log::warn!("cannot read events: {why}");
                    self.lose_file(segment);
                    continue;
                }
            };
            let oldest = SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH);
            let old = records.iter().take_while(|one| one.at < oldest).count();
            if old > 0 {
                let end = records.get(old - 1).map_or(behind, |last| last.end);
                self.pass(segment, end, old as u64);
                self.lose(self.content(), old as u64, Dropped::Age);
            } else if records.is_empty() {
                self.pass(segment, behind, 0);
            } else {
                records.truncate(MOST);
                return Some(Batch { segment, records });
            }
        }
    }

    /// Notes that these events of a batch were sent. Those before them have been noted already.
    pub(super) fn sent(&self, batch: &Batch, which: Range<usize>) {
        let done = batch.records.get(which).unwrap_or_default();
        if let Some(last) = done.last() {
            self.pass(batch.segment, last.end, done.len() as u64);
            self.sent.fetch_add(done.len() as u64, Ordering::Relaxed);
        }
    }

    /// Notes that the receiver will not have an event of a batch. Those before it have been noted already.
    pub(super) fn refused(&self, batch: &Batch, at: usize) {
        if let Some(record) = batch.records.get(at) {
            self.pass(batch.segment, record.end, 1);
            self.lose(self.content(), 1, Dropped::Refused);
        }
    }

    /// Notes that the events of a file up to a position, of which `count` are new, do not wait any more.
    fn pass(&self, segment: u64, end: u64, count: u64) {
        let mut content = self.content();
        let Some(found) = content.segments.iter_mut().find(|one| one.name == segment) else {
            return;
        };
        if end > found.sent {
            found.sent = end;
            found.waiting = found.waiting.saturating_sub(count);
        }
        let file = found.reader();
        drop(content);
        if let Err(why) = file.note(end) {
            log::debug!("events may be sent again after a restart: {why}");
        }
    }

    /// Gives up a file that cannot be read.
    fn lose_file(&self, segment: u64) {
        let mut content = self.content();
        let Some(at) = content.segments.iter().position(|one| one.name == segment) else {
            return;
        };
        let lost = content.segments.remove(at).map_or(0, |one| one.waiting);
        self.lose(content, lost, Dropped::Damaged);
    }

    /// Counts events that are lost, and tells the log of it, but not too often.
    fn lose(&self, mut content: MutexGuard<'_, Content>, count: u64, why: Dropped) {
        if count == 0 {
            return;
        }
        if let Some(number) = self.dropped.get(why as usize) {
            number.fetch_add(count, Ordering::Relaxed);
        }
        let is_first = content.untold.iter().all(|&number| number == 0);
        if let Some(number) = content.untold.get_mut(why as usize) {
            *number += count;
        }
        if !self.tell_losses(content, SELDOM) && is_first {
            // the thread that sends tells the log when it is time
            self.ring();
        }
    }

    /// Tells the log of events that are lost, unless it was told less than this time ago. Returns whether
    /// nothing is left to be told.
    fn tell_losses(&self, mut content: MutexGuard<'_, Content>, quiet: Duration) -> bool {
        match content.until_told(quiet) {
            None => return true,
            Some(left) if !left.is_zero() => return false,
            Some(_) => {}
        }
        content.told = Some(Instant::now());
        let untold = std::mem::take(&mut content.untold);
        let fault = content.fault.take();
        drop(content);
        let all = self.dropped.each_ref().map(|number| number.load(Ordering::Relaxed));
        for ((why, count), all) in Dropped::ALL.into_iter().zip(untold).zip(all) {
            let fault = fault.as_ref().filter(|_| why == Dropped::Unwritten);
            let fault = fault.map(|fault| format!(": {fault}")).unwrap_or_default();
            if count > 0 {
                let why = why.why();
                log::warn!(
                    "events are dropped: {why}{fault} ({count} more, {all} since the start)"
                );
            }
        }
        true
    }

    /// Begins a new file if the one that events are appended to was removed.
    pub(super) fn look_after_file(&self) -> bool {
        let mut content = self.content();
        let (current, kept) = (content.current, content.kept);
        let file = content.segments.iter().find(|one| Some(one.name) == current);
        if file.is_none_or(Segment::is_there) {
            return true;
        }
        content.current = None;
        kept.is_none_or(|kept| self.current(&mut content, kept).is_ok())
    }

    pub(super) fn numbers(&self) -> Numbers {
        let waiting = self.content().segments.iter().map(|one| one.waiting).sum();
        let dropped = self.dropped.each_ref().map(|number| number.load(Ordering::Relaxed));
        Numbers { sent: self.sent.load(Ordering::Relaxed), waiting, dropped }
    }

    /// Removes the files whose events were all sent.
    pub(super) fn close(&self) {
        let mut content = self.content();
        content.segments.iter().filter(|one| one.waiting == 0).for_each(Segment::remove);
        content.segments.retain(|one| one.waiting > 0);
        self.tell_losses(content, Duration::ZERO);
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// Returns the size of all files.
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|one| one.end).sum()
    }

    /// Returns how long it takes until the log is to be told of losses, if it is told only after such a time;
    /// `None`: there is nothing to be told.
    fn until_told(&self, quiet: Duration) -> Option<Duration> {
        let is_told = self.untold.iter().all(|&number| number == 0);
        let left = self.told.map(|told| quiet.saturating_sub(told.elapsed()));
        (!is_told).then_some(left.unwrap_or_default())
    }
}

/// Number of bits of such a number that are left to chance.
const CHANCE: u32 = 20;

/// Returns a number that is greater than this one, greater for a later time, and different for each server.
fn stamped(last: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or_default();
    let chance = RandomState::new().build_hasher().finish();
    (now.max((last >> CHANCE) + 1) << CHANCE) | chance >> (u64::BITS - CHANCE)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Returns the id in the file of a directory, or writes this new one to it. The file stays locked as long as
/// it is open; returns `None` if another server has locked it.
#[expect(clippy::disallowed_methods, reason = "the server's own file, not a served one")]
fn kept_id(dir: &Path, new: String) -> io::Result<Option<(String, File)>> {
    make_dir(dir)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(dir.join(ID))?;
    // some file systems have no locks
    if let Err(Errno::WOULDBLOCK) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        return Ok(None);
    }
    let mut id = String::new();
    let _ = (&mut file).take(17).read_to_string(&mut id);
    if id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Some((id, file)));
    }
    file.set_len(0)?;
    file.write_all_at(new.as_bytes(), 0)?;
    Ok(Some((new, file)))
}

/// Brings the names in a directory to the disk.
#[expect(clippy::disallowed_methods, reason = "the server's own folder, not a served one")]
fn sync_dir(dir: &Path) -> io::Result<()> {
    rights::as_server(|| fs::File::open(dir)?.sync_all())?
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "files of the test")]

    use std::net::IpAddr;

    use super::super::event::Outcome;
    use super::*;
    use crate::config::Occasion;

    const KEPT: EventsKept = EventsKept { bytes: 1 << 20, age: Duration::from_secs(3600) };

    fn outbox(dir: &Path, kept: EventsKept) -> Outbox {
        let outbox = Outbox::new(Some(dir)).unwrap();
        outbox.keep(Some(kept));
        outbox
    }

    /// Adds an event of about a kilobyte.
    fn add(outbox: &Outbox, occasion: Occasion, user: &str) {
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let text = "x".repeat(700);
        let (outcome, tls) = (Outcome::Refused(&text), None);
        let outcome =
            if occasion == Occasion::Refused { outcome } else { Outcome::Failed(&text) };
        let (path, from, transfer) = (None, None, None);
        let is_anonymous = user == "anonymous";
        let event =
            Event { occasion, user, is_anonymous, address, tls, path, from, transfer, outcome };
        outbox.add(&event, false);
    }

    /// Takes up to this number of events, and returns their users.
    fn take(outbox: &Outbox, most: usize) -> Vec<String> {
        let mut users = Vec::new();
        while users.len() < most
            && let Some(batch) = outbox.head()
        {
            let upto = batch.records.len().min(most - users.len());
            for record in &batch.records[..upto] {
                let json: serde_json::Value = serde_json::from_slice(&record.json).unwrap();
                users.push(json["user"].as_str().unwrap().to_owned());
            }
            outbox.sent(&batch, 0..upto);
        }
        users
    }

    fn names(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|number| number.to_string()).collect()
    }

    #[test]
    fn the_next_server_goes_on_where_this_one_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let first = outbox(dir.path(), KEPT);
        for name in names(0..100) {
            add(&first, Occasion::Upload, &name);
        }
        assert_eq!(take(&first, 40), names(0..40));
        let beside = outbox(dir.path(), KEPT);
        assert_eq!(beside.numbers().waiting, 0, "the first one still runs");
        add(&beside, Occasion::Upload, "beside");
        drop(first);
        assert_eq!(take(&beside, 9), ["beside"]);
        beside.take_over();
        assert_eq!(take(&beside, 10), names(40..50));
        drop(beside);
        let last = outbox(dir.path(), KEPT);
        assert_eq!(last.numbers().waiting, 50);
        assert_eq!(take(&last, 99), names(50..100));
        assert!(last.head().is_none());
        last.close();
        assert_eq!(fs::read_dir(dir.path().join(DIR)).unwrap().count(), 0);
    }

    #[test]
    fn the_oldest_events_are_dropped_when_there_is_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = outbox(dir.path(), KEPT);
        for name in names(0..3000) {
            add(&outbox, Occasion::Upload, &name);
        }
        let Numbers { waiting, dropped, .. } = outbox.numbers();
        assert_eq!(dropped, [0, 3000 - waiting, 0, 0, 0]);
        assert!((900..1100).contains(&waiting), "{waiting}");
        let size = |entry: io::Result<fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
        let size: u64 = fs::read_dir(dir.path().join(DIR)).unwrap().map(size).sum();
        assert!(size <= KEPT.bytes, "{size}");
        let first = 3000 - usize::try_from(waiting).unwrap();
        assert_eq!(take(&outbox, 9999), names(first..3000));
    }

    #[test]
    fn what_strangers_cause_does_not_drive_out_anything() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = outbox(dir.path(), KEPT);
        add(&outbox, Occasion::Upload, "first");
        for name in names(0..3000) {
            add(&outbox, Occasion::Login, &name);
            add(&outbox, Occasion::Refused, &name);
        }
        add(&outbox, Occasion::Upload, "last");
        let all = take(&outbox, 9999);
        assert!((400..700).contains(&all.len()), "{}", all.len());
        assert_eq!((all[0].as_str(), all[all.len() - 1].as_str()), ("first", "last"));
        assert_eq!(outbox.numbers().dropped[Dropped::Size as usize], 6002 - all.len() as u64);
    }

    #[test]
    fn downloads_of_anonymous_users_drive_out_nothing_and_leave_no_room_for_less() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = outbox(dir.path(), KEPT);
        add(&outbox, Occasion::Upload, "first");
        for _ in 0..3000 {
            add(&outbox, Occasion::Download, "anonymous");
        }
        let waiting = outbox.numbers().waiting;
        assert!((700..900).contains(&waiting), "{waiting}");
        add(&outbox, Occasion::Refused, "bob");
        assert_eq!(outbox.numbers().waiting, waiting);
        add(&outbox, Occasion::Download, "bob");
        assert_eq!(outbox.numbers().waiting, waiting + 1);
        assert_eq!(take(&outbox, 1), ["first"]);
    }

    #[test]
    fn two_servers_in_one_place_have_different_names_for_brokers() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (outbox(dir.path(), KEPT), outbox(dir.path(), KEPT));
        let id = one.server_id().to_owned();
        assert_ne!(two.server_id(), id);
        drop(one);
        assert_eq!(outbox(dir.path(), KEPT).server_id(), id);
    }

    #[test]
    fn what_is_damaged_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let one = outbox(dir.path(), KEPT);
        for name in names(0..4) {
            add(&one, Occasion::Upload, &name);
        }
        let path = one.content().segments[0].path().to_owned();
        let mut bytes = fs::read(&path).unwrap();
        bytes[60] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(take(&one, 1), ["1"]);
        drop(one);
        bytes.pop();
        // what the first server has noted as sent is not in this copy
        fs::write(&path, &bytes).unwrap();
        let next = outbox(dir.path(), KEPT);
        assert_eq!(next.numbers().dropped[Dropped::Damaged as usize], 2);
        assert_eq!(take(&next, 9), ["1", "2"]);
        // while the server runs
        for name in names(4..6) {
            add(&next, Occasion::Upload, &name);
        }
        let path = next.content().segments[0].path().to_owned();
        let mut bytes = fs::read(&path).unwrap();
        bytes[60] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(take(&next, 9), ["5"]);
        let Numbers { waiting, dropped, .. } = next.numbers();
        assert_eq!((waiting, dropped[Dropped::Damaged as usize]), (0, 3));
    }

    #[test]
    fn what_waits_for_too_long_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = outbox(dir.path(), EventsKept { age: Duration::ZERO, ..KEPT });
        add(&outbox, Occasion::Upload, "old");
        assert!(outbox.head().is_none());
        assert_eq!(outbox.numbers().dropped[Dropped::Age as usize], 1);
        assert_eq!(outbox.numbers().waiting, 0);
    }

    #[test]
    fn a_file_that_was_removed_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = outbox(dir.path(), KEPT);
        assert!(outbox.look_after_file(), "nothing to look after");
        add(&outbox, Occasion::Upload, "1");
        fs::remove_dir_all(dir.path().join(DIR)).unwrap();
        assert!(outbox.look_after_file());
        add(&outbox, Occasion::Upload, "2");
        assert_eq!(take(&outbox, 9), ["1", "2"]);
        assert_eq!(fs::read_dir(dir.path().join(DIR)).unwrap().count(), 1);
    }
}
