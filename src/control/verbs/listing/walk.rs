//! The entries that a listing sends, one after the other: of one directory, or of all below it.
//!
//! Nothing is gathered that need not be, so that a large directory takes no more memory than a
//! small one. What must be gathered, to be sorted, is bounded, and so is a recursion.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::control::arg::options::{By, Options, Order};
use crate::data::pattern;
use crate::vfs::{Entry, FileKind, Files, FsError, Listing, VirtualPath};

/// A recursive listing goes so many directories deep below the one that it begins with. Each
/// level holds a file descriptor while it lasts.
pub(super) const DEPTH: usize = 16;

/// A recursive listing has no more entries.
pub(super) const ENTRIES: usize = 100_000;

/// A directory with more entries is not sorted.
pub(super) const SORTED: usize = 10_000;

/// So many entries are looked at in one step.
const STEP: usize = 256;

/// What the next step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An entry, which is [`Walk::current`].
    Entry,
    /// A directory below, [`Walk::below`], whose entries come next.
    Folder,
    /// Nothing yet.
    Busy,
    /// There are no more.
    End,
}

/// A listing under way.
pub(super) struct Walk {
    tree: Arc<Files>,
    options: Options,
    /// What is listed where it is no directory, and whether it has been given out.
    one: Option<(Box<Entry>, bool)>,
    /// The directory that is read now is the last, and those that it lies in come before.
    levels: Vec<Level>,
    /// Entries that have been given out.
    given: usize,
    shortfall: Shortfall,
}

/// What a listing did not do, for the log and the client.
#[derive(Debug, Default)]
struct Shortfall {
    /// It has too many entries.
    cut: bool,
    /// It goes too deep.
    shallow: bool,
    /// The first directory that was too large to be sorted.
    unsorted: Option<VirtualPath>,
    /// How many directories could not be read; the first, and why.
    unread: Option<(usize, VirtualPath, FsError)>,
}

/// One directory of a recursion.
struct Level {
    path: VirtualPath,
    /// The path from where the recursion began.
    below: Vec<u8>,
    entries: Entries,
    pattern: Option<VirtualPath>,
    /// Whether it holds a directory.
    has_folders: bool,
    /// Whether its entries have been given out and `entries` are its directories, to be entered.
    descending: bool,
}

impl Walk {
    /// Begins a listing of a path.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot be read.
    pub(super) fn new(
        tree: &Arc<Files>,
        path: &VirtualPath,
        options: Options,
    ) -> Result<Self, FsError> {
        let tree = Arc::clone(tree);
        let (levels, shortfall) = (Vec::new(), Shortfall::default());
        let mut walk = Self { tree, options, one: None, levels, given: 0, shortfall };
        match walk.tree.shown(path) {
            Err(FsError::NotFound) if pattern::is_pattern(path.name()) => {
                let parent = path.parent();
                walk.tree.enter(&parent)?;
                walk.open(&parent, Vec::new(), Some(path.clone()))?;
            }
            Ok(entry) if entry.kind == FileKind::Directory && !options.itself => {
                walk.open(path, Vec::new(), None)?;
            }
            _ => walk.one = Some((Box::new(walk.tree.shown_entry(path)?), false)),
        }
        Ok(walk)
    }

    /// Calls what is no listed directory by another name.
    pub(super) fn call(mut self, name: &[u8]) -> Self {
        if let Some((entry, _)) = &mut self.one {
            entry.name = name.to_vec();
        }
        self
    }

    fn open(
        &mut self,
        path: &VirtualPath,
        below: Vec<u8>,
        pattern: Option<VirtualPath>,
    ) -> Result<(), FsError> {
        let entries = Entries::new(self.tree.list(path)?, self.options.order);
        let (path, has_folders, descending) = (path.clone(), false, false);
        self.levels.push(Level { path, below, entries, pattern, has_folders, descending });
        Ok(())
    }

    /// Whether it goes into directories.
    pub(super) fn is_recursive(&self) -> bool {
        self.options.recurse
    }

    /// Whether the last part of the path is a pattern, and not the name of a directory.
    pub(super) fn has_pattern(&self) -> bool {
        self.levels.first().is_some_and(|level| level.pattern.is_some())
    }

    /// The entry of the last step.
    pub(super) fn current(&self) -> Option<&Entry> {
        let one = self.one.as_ref().map(|(entry, _)| &**entry);
        one.or_else(|| self.levels.last().map(|level| level.entries.current()))
    }

    /// The path from where the listing began to the directory that is read now.
    pub(super) fn below(&self) -> &[u8] {
        self.levels.last().map_or(&[], |level| &level.below)
    }

    /// Goes on.
    ///
    /// # Errors
    ///
    /// The system's, when a directory cannot be read to its end.
    pub(super) fn step(&mut self) -> Result<Step, FsError> {
        if let Some((_, given)) = &mut self.one {
            let was_given = std::mem::replace(given, true);
            return Ok(if was_given { Step::End } else { Step::Entry });
        }
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return Ok(Step::End) };
        let step = level.entries.step(level.pattern.as_ref(), level.descending)?;
        if level.entries.is_too_large {
            self.shortfall.unsorted.get_or_insert_with(|| level.path.clone());
        }
        match step {
            Step::Entry if level.descending => self.descend(),
            Step::Entry if self.options.recurse => {
                if self.given == ENTRIES {
                    self.shortfall.cut = true;
                    self.levels.clear();
                    return Ok(Step::End);
                }
                self.given += 1;
                if level.entries.current().kind == FileKind::Directory {
                    level.has_folders = depth <= DEPTH;
                    self.shortfall.shallow |= depth > DEPTH;
                }
                Ok(Step::Entry)
            }
            Step::End if level.has_folders && !level.descending => {
                level.descending = true;
                let path = level.path.clone();
                match self.tree.list(&path) {
                    Ok(listing) => level.entries = Entries::new(listing, self.options.order),
                    Err(why) => {
                        self.levels.pop();
                        self.leave_out(path, why)?;
                    }
                }
                Ok(Step::Busy)
            }
            Step::End => {
                self.levels.pop();
                Ok(if self.levels.is_empty() { Step::End } else { Step::Busy })
            }
            step @ (Step::Entry | Step::Folder | Step::Busy) => Ok(step),
        }
    }

    /// Enters the directory that was found last.
    fn descend(&mut self) -> Result<Step, FsError> {
        let Some(level) = self.levels.last() else { return Ok(Step::End) };
        let name = &level.entries.current().name;
        let path = level.path.join(name);
        let slash: &[u8] = if level.below.is_empty() { b"" } else { b"/" };
        let below = [&level.below, slash, name].concat();
        match self.open(&path, below, None) {
            Ok(()) => Ok(Step::Folder),
            Err(why) => self.leave_out(path, why).map(|()| Step::Busy),
        }
    }

    /// A directory that cannot be read is left out, as `ls -R` does it; but a listing that only
    /// lacks file descriptors would seem whole.
    fn leave_out(&mut self, path: VirtualPath, why: FsError) -> Result<(), FsError> {
        match (&mut self.shortfall.unread, why) {
            (_, why @ FsError::TooManyOpen(_)) => return Err(why),
            // removed meanwhile
            (_, FsError::NotFound) => {}
            (Some((count, ..)), _) => *count += 1,
            (unread @ None, why) => *unread = Some((1, path, why)),
        }
        Ok(())
    }

    /// What the client is told of a listing that is not whole.
    pub(super) fn lacks(&self) -> Option<String> {
        if self.shortfall.cut {
            Some(format!("cut off after {ENTRIES} entries"))
        } else if self.shortfall.shallow {
            Some(format!("not deeper than {DEPTH} directories"))
        } else {
            None
        }
    }

    /// What the log is told, by the way and of which directory.
    pub(super) fn remarks(&self, path: &VirtualPath) -> Vec<(VirtualPath, String)> {
        let mut remarks: Vec<_> =
            self.lacks().map(|lacks| (path.clone(), lacks)).into_iter().collect();
        if let Some(path) = &self.shortfall.unsorted {
            let text = format!("not sorted, it has more than {SORTED} entries");
            remarks.push((path.clone(), text));
        }
        if let Some((count, path, why)) = &self.shortfall.unread {
            let text = match count - 1 {
                0 => format!("left out: {why}"),
                others => format!("left out, and {others} more directories: {why}"),
            };
            remarks.push((path.clone(), text));
        }
        remarks
    }
}

/// The entries of one directory in their order.
struct Entries {
    listing: Listing,
    /// How to sort them, while they are gathered for it.
    order: Option<Order>,
    /// Those that have been gathered; from the end they are given out.
    held: Vec<Entry>,
    /// The last one, if it was held.
    current: Option<Entry>,
    is_too_large: bool,
}

impl Entries {
    fn new(listing: Listing, order: Option<Order>) -> Self {
        Self { listing, order, held: Vec::new(), current: None, is_too_large: false }
    }

    fn current(&self) -> &Entry {
        self.current.as_ref().unwrap_or_else(|| self.listing.current())
    }

    fn step(
        &mut self,
        pattern: Option<&VirtualPath>,
        only_folders: bool,
    ) -> Result<Step, FsError> {
        if let Some(order) = self.order {
            self.gather(order, pattern, only_folders)?;
            if self.order.is_some() {
                return Ok(Step::Busy);
            }
        }
        self.current = self.held.pop();
        if self.current.is_some() {
            return Ok(Step::Entry);
        }
        // a piece of memory at most
        self.held = Vec::new();
        for _ in 0..STEP {
            match self.listing.advance()? {
                None => return Ok(Step::End),
                Some(entry) if is_meant(entry, pattern, only_folders) => {
                    return Ok(Step::Entry);
                }
                Some(_) => {}
            }
        }
        Ok(Step::Busy)
    }

    /// Gathers some, and sorts them when they are all there.
    fn gather(
        &mut self,
        order: Order,
        pattern: Option<&VirtualPath>,
        only_folders: bool,
    ) -> Result<(), FsError> {
        for _ in 0..STEP {
            match self.listing.advance()? {
                None => {
                    self.order = None;
                    self.held.sort_unstable_by(|one, other| order.of(other, one));
                    return Ok(());
                }
                Some(entry) if !is_meant(entry, pattern, only_folders) => {}
                Some(entry) => {
                    self.held.push(entry.clone());
                    if self.held.len() > SORTED {
                        self.order = None;
                        self.is_too_large = true;
                        self.held.reverse();
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_meant(entry: &Entry, pattern: Option<&VirtualPath>, only_folders: bool) -> bool {
    pattern.is_none_or(|pattern| fits(entry, pattern))
        && (!only_folders || entry.kind == FileKind::Directory)
}

/// With a slash behind it a pattern is for directories.
fn fits(entry: &Entry, pattern: &VirtualPath) -> bool {
    let is_kind = !pattern.is_directory_s() || entry.followed().kind == FileKind::Directory;
    is_kind && pattern::fits(pattern.name(), &entry.name)
}

impl Order {
    fn of(self, one: &Entry, other: &Entry) -> Ordering {
        let order = match self.by {
            By::Name => Ordering::Equal,
            By::Time => (other.modified, other.nanos).cmp(&(one.modified, one.nanos)),
            By::Size => other.size.cmp(&one.size),
        };
        let order = order.then_with(|| one.name.cmp(&other.name));
        if self.reverse { order.reverse() } else { order }
    }
}
