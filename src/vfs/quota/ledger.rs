//! The ledger of one tree: its count, the locks that keep the count right, and the bell that wakes
//! the thread for rescans and for the file.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::{Duration, Instant};

use super::common::{Common, Hold, Record};
use super::count::{Change, Count, Limits, Sum};
use super::doubts::Doubts;
use super::scan::Scan;
use crate::rights::Ids;
use crate::vfs::error::FsError;
use crate::vfs::tree::entry::FileId;

/// The count of everything below a directory.
///
/// A thread that needs several of the locks takes them in the order `names`, `gate`, `common`, `page`, and that
/// of the jobs of the bell last. Of several ledgers, it takes those of the outer tree first.
#[derive(Debug)]
pub(in crate::vfs) struct Ledger {
    /// Path of the directory, without links.
    pub(in crate::vfs) path: PathBuf,
    /// Held while a name is removed, replaced or renamed, and while a file in place is written to,
    /// so that the size that is lost or gained is known.
    names: Mutex<()>,
    /// Held for reading while something in the tree is changed and reported, and for writing by a
    /// rescan for short moments.
    gate: RwLock<()>,
    /// The count that servers share, of which the one in `page` is a copy; `None`: only this server changes
    /// the tree.
    common: Option<Common>,
    page: Mutex<Page>,
    bell: Arc<Bell>,
}

/// What a ledger holds. No system call is made under this lock.
#[derive(Debug)]
struct Page {
    sum: Sum,
    scan: Option<Scan>,
    /// What the servers had added when the rescan began, if that is known, and what this one has added
    /// since.
    since: (Option<Record>, Record),
    /// When the last rescan began.
    begun: Option<Instant>,
    /// Whether the count is known to be exact as far as this server is concerned.
    exact: bool,
    /// When the tree is to be read through next, even if nobody asks for it.
    due: Instant,
    /// Whether it could not be read the last time.
    unread: bool,
    /// Number of uploads that write to files in place. They do not notice if their file is moved.
    shared: usize,
    /// Whether such a file may have been moved into or out of the tree, which is read through when
    /// these uploads have ended.
    doubtful: bool,
    /// What those may use who have their home elsewhere.
    limits: Limits,
    /// The system user that can read the tree (`run_as`); `None`: the server's own.
    ids: Option<Arc<Ids>>,
}

/// Wakes the thread for rescans and for the file.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Whether a count has changed since the file was written.
    changed: AtomicBool,
    jobs: Mutex<Jobs>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    scans: Vec<Arc<Ledger>>,
    doubts: Doubts<Arc<Ledger>>,
    /// The tree that is read now.
    running: Option<Arc<Ledger>>,
    changed: bool,
    closed: bool,
}

/// What the thread is to do next.
pub(super) enum Job {
    Scan(Arc<Ledger>),
    Save,
    /// A time has come.
    Look,
    End,
}

/// How often a tree is read through: other programs may change it.
pub(super) const DAILY: Duration = Duration::from_secs(24 * 3600);

/// Right to change and report something in a tree.
pub(super) struct Entered<'l> {
    /// Given back first, because this writes what has changed.
    _hold: Option<Hold<'l>>,
    _names: Option<MutexGuard<'l, ()>>,
    _gate: RwLockReadGuard<'l, ()>,
}

/// The pause before a tree that could not be read is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(60);

/// How many times a rescan tries to get the gate before it makes others wait, and the pause between
/// two attempts.
const TRIES: u32 = 500;
const BREATH: Duration = Duration::from_millis(1);

impl Ledger {
    /// Makes the ledger of a tree with a known count, which servers share if `common` is given.
    pub(super) fn new(
        path: PathBuf,
        (known, exact): (Count, bool),
        common: Option<Common>,
        bell: &Arc<Bell>,
    ) -> Self {
        let page = Page {
            sum: Sum::of(known),
            scan: None,
            since: Default::default(),
            begun: None,
            exact,
            due: Instant::now() + DAILY,
            unread: false,
            shared: 0,
            doubtful: false,
            limits: Limits::default(),
            ids: None,
        };
        let (names, gate) = (Mutex::default(), RwLock::default());
        Self { path, names, gate, common, page: Mutex::new(page), bell: Arc::clone(bell) }
    }

    /// Begins a change. `alone`: one in which no other may take part.
    pub(super) fn enter(&self, alone: bool) -> Entered<'_> {
        let names = alone.then(|| self.names.lock().unwrap_or_else(PoisonError::into_inner));
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        // if the lock cannot be had, what is reserved is refused
        let hold = self.common.as_ref().filter(|_| alone).and_then(|common| common.hold().ok());
        Entered { _hold: hold, _names: names, _gate: gate }
    }

    /// Waits until no change is under way, and keeps others from beginning one.
    pub(super) fn close(&self) -> RwLockWriteGuard<'_, ()> {
        for _ in 0..TRIES {
            if let Ok(gate) = self.gate.try_write() {
                return gate;
            }
            std::thread::sleep(BREATH);
        }
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a change in a directory of the tree.
    pub(super) fn change(&self, dir: FileId, change: Change) {
        self.report(|page| {
            page.sum.add(change);
            page.note(dir, change);
        });
    }

    /// Does `work` with the page, and with the count that servers share, if they do.
    ///
    /// # Errors
    ///
    /// When that count cannot be used. Nothing is changed then.
    fn update<T>(&self, work: impl FnOnce(&mut Page) -> T) -> Result<T, FsError> {
        let Some(common) = &self.common else { return Ok(work(&mut self.page())) };
        common.with(|record| {
            let mut page = self.page();
            page.exact &= record.is_counted;
            page.sum.set_all(record.used);
            let done = work(&mut page);
            let added = page.sum.all().added_since(record.used);
            record.used = page.sum.all();
            record.added.add(added);
            page.since.1.added.add(added);
            done
        })
    }

    /// Does `work` with the page, which reports something that has happened.
    fn report(&self, work: impl Fn(&mut Page)) {
        if self.update(&work).is_err() {
            work(&mut self.page());
            if let Some(common) = &self.common {
                common.spoil();
            }
        }
        self.bell.change();
    }

    /// Reports more in a directory of the tree, if that is allowed.
    pub(super) fn reserve(
        &self,
        dir: FileId,
        (more, credit): (Count, Count),
        limits: Option<Limits>,
    ) -> Result<(), FsError> {
        self.update(|page| {
            let limits = limits.unwrap_or(page.limits);
            page.sum.reserve(more, credit, limits)?;
            page.note(dir, Change::more(more));
            Ok::<_, FsError>(())
        })??;
        self.bell.change();
        Ok(())
    }

    /// Checks that an upload with this credit may end, which frees `lost`.
    pub(super) fn check_end(
        &self,
        (lost, credit): (Count, Count),
        limits: Option<Limits>,
    ) -> Result<(), FsError> {
        self.update(|page| page.sum.check_end(lost, credit, limits.unwrap_or(page.limits)))?
    }

    /// Reports that an upload with this credit has freed `lost` in a directory. No other upload sees
    /// one without the other.
    pub(super) fn end(&self, dir: FileId, lost: Count, credit: Count) {
        self.report(|page| {
            page.sum.settle(credit);
            page.sum.add(Change::less(lost));
            page.note(dir, Change::less(lost));
        });
    }

    /// Takes back the credit of an upload that has ended.
    pub(super) fn settle(&self, credit: Count) {
        self.page().sum.settle(credit);
    }

    /// Tells a rescan, if one runs, of a directory.
    pub(super) fn tell(&self, what: impl FnOnce(&mut Scan)) {
        if let Some(scan) = &mut self.page().scan {
            what(scan);
        }
    }

    /// Records that a directory was renamed.
    pub(super) fn moved(&self) {
        self.tell(Scan::moved);
        self.moved_between_servers();
    }

    /// Tells the other servers, whose rescans may have missed what was moved or have met it twice.
    fn moved_between_servers(&self) {
        let Some(common) = &self.common else { return };
        let told = common.with(|record| record.moves += 1);
        if told.is_err() {
            common.spoil();
        }
        self.page().since.1.moves += 1;
    }

    /// Records that an upload writes to a file in place.
    pub(super) fn share(&self) {
        self.page().shared += 1;
    }

    /// Records that such an upload has ended.
    pub(super) fn unshare(&self) {
        self.page().shared -= 1;
    }

    /// Records that a file was moved to another directory, and out of or into these trees. This
    /// matters only if an upload may be writing to it.
    pub(super) fn file_moved(&self, changed: &[Arc<Self>]) {
        let mut page = self.page();
        if page.shared == 0 && !page.doubtful {
            return;
        }
        if let Some(scan) = &mut page.scan {
            scan.moved();
        }
        drop(page);
        changed.iter().for_each(Self::doubt);
    }

    /// Records that the count may be wrong until the uploads that run now have ended.
    fn doubt(self: &Arc<Self>) {
        let mut page = self.page();
        (page.doubtful, page.exact) = (true, false);
        self.bell.doubt(self);
    }

    /// Returns what is there, what counts against the limits, and whether this is exact.
    pub(in crate::vfs) fn state(&self) -> (Count, Count, bool) {
        let state = |page: &mut Page| (page.sum.used(), page.sum.charged(), page.exact);
        self.update(state).unwrap_or_else(|_| self.last_state())
    }

    /// Returns the same as [`Ledger::state`], but perhaps without what other servers have changed.
    pub(super) fn last_state(&self) -> (Count, Count, bool) {
        let page = self.page();
        (page.sum.used(), page.sum.charged(), page.exact)
    }

    /// Whether the tree must be counted because the count that servers share is known to be wrong.
    pub(super) fn must_be_counted(&self) -> bool {
        let is_wrong = self.common.as_ref().is_some_and(Common::is_uncounted);
        // the last attempt may have failed, or may still run
        is_wrong && self.page().begun.is_none_or(|begun| begun.elapsed() >= RETRY)
    }

    /// Returns the limits of those who have their home elsewhere.
    pub(super) fn limits(&self) -> Limits {
        self.page().limits
    }

    /// Sets the limits for others, and who can read the tree.
    pub(super) fn renew(&self, limits: Limits, ids: Option<Arc<Ids>>) {
        if let Some(common) = &self.common {
            common.renew(ids.clone());
        }
        let mut page = self.page();
        (page.limits, page.ids) = (limits, ids);
    }

    pub(super) fn ids(&self) -> Option<Arc<Ids>> {
        self.page().ids.clone()
    }

    /// When the tree is to be read through next, even if nobody asks for it.
    pub(super) fn due(&self) -> Instant {
        self.page().due
    }

    /// Sets when the tree is to be read through next.
    pub(super) fn scan_at(&self, due: Instant) {
        self.page().due = due;
    }

    /// Records whether the tree could be read, and returns whether it could the last time.
    pub(super) fn set_unread(&self, unread: bool) -> bool {
        std::mem::replace(&mut self.page().unread, unread)
    }

    /// Asks for a rescan.
    pub(super) fn want_scan(self: &Arc<Self>) {
        self.bell.want_scan(self);
    }

    pub(super) fn begin_scan(&self) {
        let _gate = self.close();
        let shared = self.common.as_ref().and_then(|common| common.with(|record| *record).ok());
        let mut page = self.page();
        page.since = (shared, Record::default());
        page.begun = Some(Instant::now());
        page.doubtful &= self.bell.is_doubted(self);
        page.scan = Some(Scan::default());
    }

    /// Ends a rescan. If `is_whole`, its result is the new count; if not, the count stays. Returns
    /// the difference that was found, and whether the result is exact.
    pub(super) fn end_scan(&self, is_whole: bool) -> (Change, bool) {
        let _gate = self.close();
        let none = Record::default();
        let ended = match &self.common {
            None => Ok(self.page().end_scan(is_whole, none)),
            Some(common) => common.with(|record| self.page().end_common_scan(is_whole, record)),
        };
        self.bell.change();
        ended.unwrap_or_default()
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    /// Ends a rescan. `others` is what other servers have done meanwhile: what they have added counts,
    /// although the rescan may have met it.
    fn end_scan(&mut self, is_whole: bool, others: Record) -> (Change, bool) {
        self.due = Instant::now() + DAILY;
        let Some(scan) = self.scan.take().filter(|_| is_whole) else {
            return (Change::default(), false);
        };
        let (mut found, exact) = scan.result();
        let is_alone = others.added == Count::default() && others.moves == 0;
        found.add(others.added);
        let mut difference = Change::more(found);
        difference.add(Change::less(self.sum.used()));
        self.sum.correct(found);
        self.exact = exact && is_alone && !self.doubtful;
        (difference, exact && is_alone)
    }

    /// Ends a rescan of a tree whose count servers share.
    fn end_common_scan(&mut self, is_whole: bool, record: &mut Record) -> (Change, bool) {
        let (then, own) = self.since;
        let is_whole = is_whole && then.is_some();
        let then = then.unwrap_or_default();
        self.sum.set_all(record.used);
        let others = Record {
            added: record.added.less(then.added).less(own.added),
            moves: record.moves.saturating_sub(then.moves).saturating_sub(own.moves),
            ..Record::default()
        };
        let ended = self.end_scan(is_whole, others);
        if is_whole {
            record.used = self.sum.all();
            record.is_counted = true;
        }
        ended
    }

    fn note(&mut self, dir: FileId, change: Change) {
        if let Some(scan) = &mut self.scan {
            scan.note(dir, change);
        }
    }
}

impl Bell {
    /// Tells that a count has changed. The thread is woken only by the first change after the file
    /// was written.
    fn change(&self) {
        if !self.changed.load(Ordering::Relaxed) && !self.changed.swap(true, Ordering::AcqRel) {
            self.jobs().changed = true;
            self.rung.notify_all();
        }
    }

    fn want_scan(&self, ledger: &Arc<Ledger>) {
        self.want_scans(self.jobs(), [Arc::clone(ledger)]);
    }

    fn want_scans(
        &self,
        mut jobs: MutexGuard<'_, Jobs>,
        ledgers: impl IntoIterator<Item = Arc<Ledger>>,
    ) {
        for ledger in ledgers {
            if !jobs.scans.iter().any(|other| Arc::ptr_eq(other, &ledger)) {
                jobs.scans.push(ledger);
                self.rung.notify_all();
            }
        }
    }

    /// Records that an upload begins that writes to a file in place, and returns its number.
    pub(super) fn begin_in_place(&self) -> u64 {
        self.jobs().doubts.begin()
    }

    /// Records that such an upload has ended. The trees that it made doubtful are read through.
    pub(super) fn end_in_place(&self, number: u64) {
        let mut jobs = self.jobs();
        let over = jobs.doubts.end(number);
        self.want_scans(jobs, over);
    }

    fn doubt(&self, ledger: &Arc<Ledger>) {
        let mut jobs = self.jobs();
        let is_same = |other: &Arc<Ledger>| Arc::ptr_eq(other, ledger);
        let over = jobs.doubts.doubt(Arc::clone(ledger), is_same);
        self.want_scans(jobs, over);
    }

    fn is_doubted(&self, ledger: &Ledger) -> bool {
        self.jobs().doubts.has(|other| std::ptr::eq(Arc::as_ptr(other), ledger))
    }

    /// Waits for the next job, but not longer than until `look`. A changed count is saved at `save`
    /// or later.
    pub(super) fn wait(&self, look: Instant, save: Instant) -> Job {
        let mut jobs = self.jobs();
        jobs.running = None;
        self.rung.notify_all();
        loop {
            let now = Instant::now();
            if jobs.closed {
                return Job::End;
            }
            if let Some(next) = jobs.scans.pop() {
                jobs.running = Some(Arc::clone(&next));
                return Job::Scan(next);
            }
            if jobs.changed && now >= save {
                jobs.changed = false;
                self.changed.store(false, Ordering::Release);
                return Job::Save;
            }
            if now >= look {
                return Job::Look;
            }
            let until = if jobs.changed { look.min(save) } else { look };
            let waited = self.rung.wait_timeout(jobs, until.saturating_duration_since(now));
            jobs = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until no rescan of these trees is wanted or runs, or until the time is over. Returns
    /// whether all have ended.
    pub(super) fn wait_for_scans(&self, ledgers: &[Arc<Ledger>], time: Duration) -> bool {
        let until = Instant::now() + time;
        let is_one = |other: &Arc<Ledger>| ledgers.iter().any(|own| Arc::ptr_eq(own, other));
        let mut jobs = self.jobs();
        while jobs.scans.iter().chain(&jobs.running).any(is_one) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || jobs.closed {
                return false;
            }
            jobs = self.rung.wait_timeout(jobs, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Makes the thread end.
    pub(super) fn close(&self) {
        self.jobs().closed = true;
        self.rung.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.jobs().closed
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
