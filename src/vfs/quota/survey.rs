//! The rescan: reads a whole tree while files come and go, and corrects the count of its ledger.
//! Also the thread that does this and writes the file.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, Stat, fstat};

use super::count::{Change, Count};
use super::ledger::{DAILY, Job, Ledger, RETRY};
use super::quotas::Quotas;
use crate::rights;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::tree::beneath::Root;
use crate::vfs::tree::entry::{FileId, id_of};
use crate::vfs::tree::home::open_home;
use crate::vfs::tree::names::{Names, is_between_servers};
use crate::vfs::tree::place::{found, lstat};
use crate::vfs::tree::walk::{Found, Next, Visitor, walk};

/// Minimum time between two writes of the file.
const SELDOM: Duration = Duration::from_secs(2);

/// How many times a rescan is repeated at once because a directory was renamed meanwhile.
const ROUNDS: usize = 3;

/// The pause before it is repeated again: so many times as long as reading took, but at least and at
/// most this.
const REST: u32 = 20;
const REST_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

impl Quotas {
    /// Counts trees and writes the file until [`Quotas::close`] is called. The server calls this in a
    /// thread of its own.
    pub fn work(&self) {
        // uploads come first; without this right, the thread works as fast as others
        let _ = rustix::process::nice(10);
        let mut saved = Instant::now();
        loop {
            let look = self.all().0.iter().map(|ledger| ledger.due()).min();
            let look = look.unwrap_or_else(|| Instant::now() + DAILY);
            match self.bell.wait(look, saved + SELDOM) {
                Job::Scan(ledger) => self.survey(&ledger),
                Job::Save => {
                    let uncounted = |ledger: &&Arc<Ledger>| ledger.must_be_counted();
                    self.all().0.iter().filter(uncounted).for_each(Ledger::want_scan);
                    self.save(false);
                    saved = Instant::now();
                }
                Job::Look => {
                    let (ledgers, now) = (self.all().0, Instant::now());
                    ledgers
                        .iter()
                        .filter(|ledger| ledger.due() <= now)
                        .for_each(Ledger::want_scan);
                }
                Job::End => return,
            }
        }
    }

    /// Writes the counts for the last time. `is_over`: no session runs any more.
    pub fn close(&self, is_over: bool) {
        self.bell.close();
        if self.any() {
            self.save(is_over);
        }
    }

    fn save(&self, is_over: bool) {
        let (ledgers, others) = self.all();
        let is_exact = ledgers.iter().all(|ledger| ledger.last_state().2);
        let own = ledgers.iter().map(|ledger| (ledger.path.as_path(), ledger.last_state().0));
        let others = others.iter().map(|(path, count)| (path.as_path(), *count));
        let counts: Vec<_> = own.chain(others).collect();
        self.file.write(&counts, is_over && is_exact);
    }

    /// Counts the trees of these homes again, and waits for the result for at most this long.
    /// Returns whether it is there.
    pub fn rescan<'h>(&self, homes: impl Iterator<Item = &'h Path>, time: Duration) -> bool {
        let ledgers: Vec<_> = homes.filter_map(|home| self.by_home(home)).collect();
        ledgers.iter().for_each(Ledger::want_scan);
        self.bell.wait_for_scans(&ledgers, time)
    }

    /// Counts one tree. If the result is not exact, the tree is read again later.
    fn survey(&self, ledger: &Arc<Ledger>) {
        for round in 1..=ROUNDS {
            let begun = Instant::now();
            ledger.begin_scan();
            let read = self.read(ledger);
            let (difference, exact) = ledger.end_scan(matches!(read, Ok(true)));
            let path = crate::log::path(&ledger.path);
            let was_unread = ledger.set_unread(read.is_err());
            match read {
                Ok(true) if exact || round == ROUNDS => {
                    if !exact {
                        let (least, most) = REST_BOUNDS;
                        let rest = begun.elapsed().saturating_mul(REST).clamp(least, most);
                        ledger.scan_at(Instant::now() + rest);
                    }
                    if difference != Change::default() {
                        let Count { bytes, files } = ledger.state().0;
                        log::info!("quota: counted {bytes} bytes in {files} files in {path}");
                    }
                    return;
                }
                Ok(true) => {}
                // the server is stopping
                Ok(false) => return,
                Err(why) => {
                    ledger.scan_at(Instant::now() + RETRY);
                    if !was_unread {
                        log::warn!("quota: cannot count {path}: {why}");
                    }
                    return;
                }
            }
        }
    }

    /// Reads a tree to its end; `false`: the server is stopping.
    fn read(&self, ledger: &Ledger) -> Result<bool, FsError> {
        let ids = ledger.ids();
        let _acting = rights::act_as(ids.as_deref())?;
        let root = Root::new(open_home(&ledger.path)?);
        let mut surveyor = Surveyor::new(self, ledger, &root);
        walk(&root, &VirtualPath::root(), &mut surveyor)
    }
}

/// Counts everything below a home, without a server. Also returns whether all of it could be read.
///
/// # Errors
///
/// When the home cannot be opened.
pub fn count_home(home: &Path) -> Result<(Count, bool), FsError> {
    let mut counting = Counting::default();
    walk(&Root::new(open_home(home)?), &VirtualPath::root(), &mut counting)?;
    Ok((counting.count, !counting.failed))
}

/// Returns what a name that a walk finds counts.
fn count_of(name: &[u8], stat: &Stat) -> Count {
    if is_between_servers(name) { Count::default() } else { Count::of(stat) }
}

/// Adds up what a walk finds.
#[derive(Default)]
pub(in crate::vfs) struct Counting {
    pub(in crate::vfs) count: Count,
    failed: bool,
}

impl Visitor for Counting {
    fn entry(&mut self, found: &Found<'_>) -> Next {
        self.count.add(count_of(found.name, &found.stat));
        Next::Enter
    }

    fn failed(&mut self, _: &VirtualPath, _: FsError) {
        self.failed = true;
    }
}

/// What the walk of a rescan knows of the directory that it reads.
struct Surveyor<'s> {
    quotas: &'s Quotas,
    ledger: &'s Ledger,
    root: &'s Root,
    dir: FileId,
    counts: bool,
    found: Count,
    told: bool,
}

impl<'s> Surveyor<'s> {
    fn new(quotas: &'s Quotas, ledger: &'s Ledger, root: &'s Root) -> Self {
        let (dir, found) = ((0, 0), Count::default());
        Self { quotas, ledger, root, dir, counts: false, found, told: false }
    }

    /// Reads a directory again, in which nothing can change over FTP now.
    fn read_again(&self, folder: &VirtualPath) -> Count {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let mut count = Count::default();
        let Ok(dir) = self.root.open(folder.below_root(), flags, Mode::empty()) else {
            return count;
        };
        if fstat(&dir).is_ok_and(|stat| id_of(&stat) == self.dir) {
            let mut names = Names::new(dir);
            while let Ok(Some((dir, name))) = names.next() {
                let name = name.to_bytes();
                if let Ok(Some(stat)) = found(lstat(dir, name)) {
                    count.add(count_of(name, &stat));
                }
            }
        }
        count
    }
}

impl Visitor for Surveyor<'_> {
    fn begin(&mut self, _: &VirtualPath, stat: &Stat) {
        (self.dir, self.found, self.counts) = (id_of(stat), Count::default(), false);
        let _gate = self.ledger.close();
        self.ledger.tell(|scan| self.counts = scan.begin(self.dir));
    }

    fn entry(&mut self, found: &Found<'_>) -> Next {
        self.found.add(count_of(found.name, &found.stat));
        Next::Enter
    }

    fn read(&mut self, folder: &VirtualPath) -> bool {
        let _gate = self.ledger.close();
        let mut is_over = true;
        let found = self.found;
        self.ledger.tell(|scan| is_over = scan.end(found));
        if !is_over {
            let found = self.read_again(folder);
            self.ledger.tell(|scan| is_over = scan.end(found));
        }
        !self.quotas.bell.is_closed()
    }

    fn failed(&mut self, folder: &VirtualPath, why: FsError) {
        if !std::mem::replace(&mut self.told, true) {
            let path = folder.real(&self.ledger.path);
            let path = crate::log::path(&path);
            log::warn!("quota: cannot read {path}, whose files do not count: {why}");
        }
    }
}
