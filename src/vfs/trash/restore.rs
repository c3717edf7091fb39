//! Listing what is in the trash, and bringing it back.

use std::os::fd::{AsFd, OwnedFd};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Mode, OFlags, Stat, Timestamps, openat, utimensat};
use rustix::io::Errno;

use super::discard::movable;
use super::empty::failed;
use super::half::all_done;
use super::heap::{Heap, HomeTrash};
use super::stamp::Stamp;
use super::tally::count_restored;
use super::top::HOLD;
use crate::log::Event;
use crate::vfs::error::FsError;
use crate::vfs::path::VirtualPath;
use crate::vfs::quota::payer::Move;
use crate::vfs::tree::entry::{FileKind, len_of, times};
use crate::vfs::tree::names::Names;
use crate::vfs::tree::place::{as_path, lstat, make_dir, open, rename_new, reopened};
use crate::vfs::tree::walk::{Found, Next, Visitor, walk};

/// Something in the trash.
#[derive(Debug)]
pub struct Deleted {
    /// The path that it had.
    pub path: VirtualPath,
    /// File, directory or other.
    pub kind: FileKind,
    /// Size in bytes; 0 for a directory.
    pub size: u64,
    /// When it came to the trash.
    pub at: SystemTime,
}

/// What was brought back from the trash.
#[derive(Debug, Default)]
pub struct Restored {
    /// Number of files and directories.
    pub count: u64,
    /// What could not be brought back, and why.
    pub refused: Vec<(VirtualPath, String)>,
}

impl HomeTrash<'_> {
    /// Lists everything in the trash by path, the newest version of a path first. Stops after `most`
    /// of them, and returns whether it has reached the end.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the user.
    pub fn list(&self, most: usize) -> Result<(Vec<Deleted>, bool), FsError> {
        self.with_heaps(|heaps| {
            let (mut list, mut is_whole) = (Vec::new(), true);
            for heap in &heaps {
                let mut visitor = Contents { trash: self, heap, most, found: list };
                is_whole &= walk(&heap.trash, &VirtualPath::root(), &mut visitor)?;
                list = visitor.found;
            }
            list.sort_by(|(stamp, one), (other_stamp, other)| {
                let by_path = one.path.as_bytes().cmp(other.path.as_bytes());
                by_path.then(other_stamp.cmp(stamp))
            });
            Ok((list.into_iter().map(|(_, deleted)| deleted).collect(), is_whole))
        })
    }

    /// Brings back the newest version of a path, together with the directories above it that are
    /// missing.
    ///
    /// # Errors
    ///
    /// [`FsError::NotFound`], if the trash has no version of the path; or when the home cannot be
    /// opened, or this thread cannot act as the user.
    pub fn restore(&self, path: &VirtualPath) -> Result<Restored, FsError> {
        self.with_heaps(|heaps| {
            let path = &self.without_links(path);
            let mut newest: Option<(Stamp, &Heap, VirtualPath)> = None;
            for heap in &heaps {
                let Some(below) = heap.below(path) else { continue };
                if let Some((stamp, _)) = newest_version(heap, &below, |_| true)?
                    && newest.as_ref().is_none_or(|(other, ..)| stamp > *other)
                {
                    newest = Some((stamp, heap, below));
                }
            }
            let (stamp, heap, below) = newest.ok_or(FsError::NotFound)?;
            let mut back = Back::new(self, heap);
            back.bring(&below, stamp);
            back.set_times(|_| true);
            heap.prune_up(&below);
            Ok(back.result)
        })
    }

    /// Brings back the newest version of each path whose name is free.
    ///
    /// # Errors
    ///
    /// When the home cannot be opened, or this thread cannot act as the user.
    pub fn restore_all(&self) -> Result<Restored, FsError> {
        self.with_heaps(|heaps| {
            let mut result = Restored::default();
            for heap in &heaps {
                let mut all = All { back: Back::new(self, heap), newest: None };
                all.back.result = result;
                walk(&heap.trash, &VirtualPath::root(), &mut all)?;
                all.back.set_times(|_| true);
                result = all.back.result;
            }
            Ok(result)
        })
    }
}

struct Contents<'l> {
    trash: &'l HomeTrash<'l>,
    heap: &'l Heap,
    most: usize,
    found: Vec<(Stamp, Deleted)>,
}

impl Visitor for Contents<'_> {
    fn entry(&mut self, found: &Found<'_>) -> Next {
        let Some(stamp) = Stamp::parse(found.name) else { return Next::Enter };
        if self.found.len() >= self.most {
            return Next::Stop;
        }
        let size = if found.is_directory() { 0 } else { len_of(&found.stat) };
        let (path, kind) =
            (self.heap.path(found.folder), FileKind::of_mode(found.stat.st_mode));
        self.found.push((stamp, Deleted { path, kind, size, at: stamp.time() }));
        Next::Skip
    }

    fn failed(&mut self, folder: &VirtualPath, why: FsError) {
        failed(self.trash, self.heap, folder, &why);
    }
}

/// Brings everything back during a walk. A directory is brought back before what is below it.
struct All<'a> {
    back: Back<'a>,
    /// The newest version of the path whose directory is being read.
    newest: Option<Stamp>,
}

impl Visitor for All<'_> {
    fn begin(&mut self, _: &VirtualPath, _: &Stat) {
        self.newest = None;
    }

    fn entry(&mut self, found: &Found<'_>) -> Next {
        let Some(stamp) = Stamp::parse(found.name) else { return Next::Enter };
        self.newest = self.newest.max(Some(stamp));
        Next::Skip
    }

    fn read(&mut self, folder: &VirtualPath) -> bool {
        if let Some(stamp) = self.newest.take() {
            self.back.bring(folder, stamp);
        }
        true
    }

    fn end(&mut self, folder: &VirtualPath) {
        self.back.set_times(|path| path == folder);
        self.back.heap.prune(folder);
    }

    fn failed(&mut self, folder: &VirtualPath, why: FsError) {
        let path = self.back.heap.path(folder);
        self.back.result.refused.push((path, why.to_string()));
    }
}

/// Brings versions back from the trash of one file system.
struct Back<'b> {
    trash: &'b HomeTrash<'b>,
    heap: &'b Heap,
    /// The directories that were brought back, with the times that they get once everything is in
    /// them.
    times: Vec<(VirtualPath, Timestamps)>,
    result: Restored,
}

impl<'b> Back<'b> {
    fn new(trash: &'b HomeTrash<'b>, heap: &'b Heap) -> Self {
        Self { trash, heap, times: Vec::new(), result: Restored::default() }
    }

    /// Brings a version back, if the name is free.
    fn bring(&mut self, below: &VirtualPath, stamp: Stamp) {
        let path = self.heap.path(below);
        let brought = self.parent(below).and_then(|dir| {
            let there = lstat(&dir, below.name());
            self.move_back(below, stamp, &dir).map_err(|why| match (why, there) {
                (FsError::Exists, Ok(there)) => in_its_place(&there),
                (why, _) => why.to_string(),
            })
        });
        let real = self.trash.real(&path);
        match brought {
            Ok(()) => {
                crate::log::own(&Event::Restored(&real));
                count_restored();
                self.result.count += 1;
            }
            Err(why) => self.result.refused.push((path, why)),
        }
    }

    fn move_back(
        &mut self,
        below: &VirtualPath,
        stamp: Stamp,
        dir: &OwnedFd,
    ) -> Result<(), FsError> {
        let (folder, version) = (self.heap.folder(below)?, stamp.name());
        let stat = lstat(&folder, &version)?;
        let payer = self.heap.payer();
        let rename = || rename_new(&folder, as_path(&version), dir, as_path(below.name()));
        if FileKind::of_mode(stat.st_mode) != FileKind::Directory {
            let moved = Move { from: folder.as_fd(), name: &version, to: Some(dir.as_fd()) };
            return payer.moving(&[moved], || {
                let _done = all_done();
                rename()
            });
        }
        let rename = || {
            payer.making(dir, below.name(), || {
                let _done = all_done();
                rename()
            })
        };
        let opened = open(&folder, &version, OFlags::RDONLY | OFlags::DIRECTORY);
        match opened {
            Ok(opened) => movable(&opened, rename)?,
            // it can be moved without being read, or the system says what is wrong
            Err(_) => rename()?,
        }
        self.times.push((below.clone(), times(&stat)));
        Ok(())
    }

    /// Opens the directory of a path. Directories that are missing are brought back or made.
    fn parent(&mut self, below: &VirtualPath) -> Result<OwnedFd, String> {
        let said = |why: FsError| why.to_string();
        let mut dir = reopened_for_lookups(&self.heap.dir).map_err(said)?;
        let mut path = VirtualPath::root();
        for name in below.parent().parts().filter(|name| !name.is_empty()) {
            path = path.join(name);
            let opened = match openat(&dir, as_path(name), HOLD, Mode::empty()) {
                Err(Errno::NOENT) => {
                    self.make(&path, &dir).map_err(said)?;
                    openat(&dir, as_path(name), HOLD, Mode::empty())
                }
                opened => opened,
            };
            dir = opened.map_err(|why| match why {
                Errno::LOOP | Errno::NOTDIR => {
                    let real = self.trash.real(&self.heap.path(&path));
                    format!("{} is not a directory", crate::log::path(&real))
                }
                why => why.to_string(),
            })?;
        }
        Ok(dir)
    }

    /// Brings back the newest directory that had a path, or makes one.
    fn make(&mut self, below: &VirtualPath, dir: &OwnedFd) -> Result<(), FsError> {
        let is_dir = |stat: &Stat| FileKind::of_mode(stat.st_mode) == FileKind::Directory;
        if let Some((stamp, _)) = newest_version(self.heap, below, is_dir)? {
            self.move_back(below, stamp, dir)?;
            let real = self.trash.real(&self.heap.path(below));
            crate::log::own(&Event::Restored(&real));
            count_restored();
            self.result.count += 1;
            return Ok(());
        }
        let user = &self.trash.user;
        let rules = user.folder_rules(self.heap.path(&below.parent()).as_bytes());
        let mode = rules.mode_of_dir(user.rules.files.umask);
        let make = || Ok(make_dir(dir, as_path(below.name()), mode)?);
        self.heap.payer().making(dir, below.name(), make)
    }

    /// Sets the times of directories that were brought back, which have changed since then because
    /// something was put into them.
    fn set_times(&mut self, which: impl Fn(&VirtualPath) -> bool) {
        while let Some((path, times)) = self.times.pop_if(|(path, _)| which(path)) {
            if let Ok(dir) = self.parent(&path) {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                // only the owner may do this
                let _ = utimensat(dir, as_path(path.name()), &times, flags);
            }
        }
    }
}

/// Returns the newest version of a path.
fn newest_version(
    heap: &Heap,
    below: &VirtualPath,
    wanted: impl Fn(&Stat) -> bool,
) -> Result<Option<(Stamp, Stat)>, FsError> {
    let folder = match heap.folder(below) {
        Err(FsError::NotFound) => return Ok(None),
        folder => folder?,
    };
    let mut newest: Option<(Stamp, Stat)> = None;
    let mut names = Names::new(reopened(&folder)?);
    while let Some((dir, name)) = names.next()? {
        let Some(stamp) = Stamp::parse(name.to_bytes()) else { continue };
        let Ok(stat) = lstat(dir, name.to_bytes()) else { continue };
        if wanted(&stat) && newest.as_ref().is_none_or(|(other, _)| stamp > *other) {
            newest = Some((stamp, stat));
        }
    }
    Ok(newest)
}

fn reopened_for_lookups(dir: &OwnedFd) -> Result<OwnedFd, FsError> {
    Ok(openat(dir, ".", HOLD, Mode::empty())?)
}

/// Says what has the name of something that was to be brought back.
fn in_its_place(there: &Stat) -> String {
    match FileKind::of_mode(there.st_mode) {
        FileKind::File => format!("a file of {} bytes is in its place", len_of(there)),
        FileKind::Directory => "a directory is in its place".to_owned(),
        FileKind::Link => "a link is in its place".to_owned(),
        FileKind::Fifo | FileKind::Socket | FileKind::Block | FileKind::Char => {
            "something else is in its place".to_owned()
        }
    }
}
