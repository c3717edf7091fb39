//! The log of all writes to a disk, in the format of dm-log-writes, and the disk as a loss of power
//! leaves it.
//!
//! A disk may keep writes in its memory until it is told to flush them. So after a loss of power it
//! has all that was written before the last flush, and of what was written since then any part: in
//! any order, and of a long write only some blocks. A block of 4 KiB is written as a whole or not at
//! all.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::history::{History, Mark};
use crate::machine::copy;
use crate::random::Random;

/// Bytes that a disk writes as a whole.
const BLOCK: usize = 4096;

/// What an entry says besides its data (`drivers/md/dm-log-writes.c` of Linux).
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// A logged write.
struct Write {
    /// Place on the disk, and in the log.
    at: u64,
    data: std::ops::Range<usize>,
    flush: bool,
    fua: bool,
    /// What the client says with it.
    mark: Option<Mark>,
}

/// All writes of a guest.
pub(crate) struct Writes {
    log: Vec<u8>,
    all: Vec<Write>,
}

/// A moment at which the power is lost.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// Number of writes until then.
    pub(crate) at: usize,
    /// How many percent of the writes since the last flush are on the disk.
    pub(crate) kept: u64,
}

impl Writes {
    /// Reads a log. What is written at `margin` or behind it is what the client says.
    pub(crate) fn read(path: &Path, margin: u64) -> Self {
        let log = fs::read(path).unwrap();
        let word = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
        assert_eq!(word(0), 0x006a_7366_7773_6872, "not a log of writes");
        let (count, sector) = (word(16), word(24) as u32 as usize);
        let mut all = Vec::new();
        let mut from = sector;
        for _ in 0..count {
            let (at, sectors, flags) = (word(from), word(from + 8), word(from + 16));
            assert_eq!(flags & DISCARD, 0, "the guest has no discards");
            let data = from + sector..from + sector + sectors as usize * sector;
            from = data.end;
            let at = at * sector as u64;
            let has_mark = at >= margin && !data.is_empty();
            let mark = has_mark.then(|| Mark::read(&log[data.clone()]));
            let (flush, fua) = (flags & FLUSH != 0, flags & FUA != 0);
            all.push(Write { at, data, flush, fua, mark });
        }
        Self { log, all }
    }

    /// Counts what is in the log.
    pub(crate) fn summary(&self) -> String {
        let (marks, others): (Vec<_>, Vec<_>) =
            self.all.iter().partition(|write| write.mark.is_some());
        let flushes = others.iter().filter(|write| write.flush).count();
        format!("{} writes, {flushes} flushes, {} marks", others.len() - flushes, marks.len())
    }

    /// The whole history.
    pub(crate) fn history(&self) -> History {
        let mut history = History::default();
        self.all
            .iter()
            .filter_map(|write| write.mark.as_ref())
            .for_each(|mark| history.add(mark));
        history
    }

    /// Chooses moments: the half of them right behind a reply, and with few of the last writes, which
    /// is the worst for what the reply has told.
    pub(crate) fn choose(&self, count: usize, random: &mut Random) -> Vec<Cut> {
        let is_begin = |write: &Write| matches!(write.mark, Some(Mark::Begin(..)));
        let is_done = |write: &Write| matches!(write.mark, Some(Mark::Done));
        let first = self.all.iter().position(is_begin).expect("the client has done nothing");
        let done: Vec<_> =
            (first..self.all.len()).filter(|&at| is_done(&self.all[at])).collect();
        let mut cuts: Vec<_> = (0..count)
            .map(|number| {
                if number % 2 == 0 {
                    let kept = *random.pick(&[0, 0, 0, 10, 50]);
                    Cut { at: random.pick(&done) + 1, kept }
                } else {
                    let kept = *random.pick(&[0, 10, 50, 90, 100]);
                    Cut { at: first + 1 + random.index(self.all.len() - first), kept }
                }
            })
            .collect();
        cuts.sort_by_key(|cut| cut.at);
        cuts
    }

    /// The disk before the first write, in a folder for its images.
    pub(crate) fn start(&self, blank: &Path, folder: &Path) -> Disk<'_> {
        let flushed = folder.join("flushed");
        copy(blank, &flushed);
        Disk { writes: self, folder: folder.to_owned(), done: 0, history: History::default() }
    }

    fn data(&self, write: &Write) -> &[u8] {
        &self.log[write.data.clone()]
    }
}

/// The disk with all writes up to a flush.
pub(crate) struct Disk<'w> {
    writes: &'w Writes,
    folder: PathBuf,
    /// Number of writes that it has.
    done: usize,
    history: History,
}

impl Disk<'_> {
    /// Makes the disk `cut` as it is after this loss of power, and returns what the client knew.
    /// Moments must come one after the other.
    pub(crate) fn cut(&mut self, cut: &Cut, random: &mut Random) -> History {
        let new = &self.writes.all[self.done..cut.at];
        let flushed = new.iter().rposition(|write| write.flush).map_or(0, |at| at + 1);
        let (old, open) = new.split_at(flushed);
        let image = self.folder.join("flushed");
        let file = File::options().write(true).open(&image).unwrap();
        for write in old {
            put(&file, write.at, self.writes.data(write), |_| true);
            write.mark.iter().for_each(|mark| self.history.add(mark));
        }
        self.done += old.len();
        let target = self.folder.join("cut");
        copy(&image, &target);
        let file = File::options().write(true).open(&target).unwrap();
        let mut history = self.history.clone();
        for write in open {
            write.mark.iter().for_each(|mark| history.add(mark));
            let data = self.writes.data(write);
            // a long write is torn as often as it is left out
            let torn = random.chance(50);
            let whole = write.fua || random.chance(cut.kept);
            put(&file, write.at, data, |_| {
                if torn && !write.fua { random.chance(cut.kept) } else { whole }
            });
        }
        history
    }
}

/// Writes those blocks that are chosen.
fn put(file: &File, at: u64, data: &[u8], mut is_kept: impl FnMut(u64) -> bool) {
    for (block, at) in data.chunks(BLOCK).zip((at..).step_by(BLOCK)) {
        if is_kept(at) {
            file.write_all_at(block, at).unwrap();
        }
    }
}
