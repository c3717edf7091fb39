//! Walks through the entries of a listing: those of one directory, or of all directories below
//! it.
//!
//! Entries are collected only to sort them, so that a large directory takes no more memory
//! than a small one. The number of entries to sort and the depth of a recursion are limited.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::config::pattern;
use crate::control::arg::options::{By, Options, Order};
use crate::vfs::{Entry, FileKind, Files, FsError, Listing, VirtualPath};

/// Maximum depth of a recursive listing below its first directory. Each level takes a file
/// descriptor.
pub(super) const DEPTH: usize = 16;

/// Maximum number of entries of a recursive listing.
pub(super) const ENTRIES: usize = 100_000;

/// Maximum number of entries of a directory that is sorted.
pub(super) const SORTED: usize = 10_000;

/// Number of entries that one step looks at.
const STEP: usize = 256;

/// The result of one step of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An entry was found, which [`Walk::current`] returns.
    Entry,
    /// A recursive listing has entered the directory [`Walk::below`]; its entries come next.
    Folder,
    /// No entry was found yet; another step is needed.
    Busy,
    /// The listing is complete.
    End,
}

/// A running listing.
pub(super) struct Walk {
    tree: Arc<Files>,
    options: Options,
    /// The single entry to list if the path is not a directory, and whether it was returned.
    one: Option<(Box<Entry>, bool)>,
    /// The directories being read, each inside the previous one; the last is the current one.
    levels: Vec<Level>,
    /// Number of entries returned so far.
    given: usize,
    shortfall: Shortfall,
}

/// What is missing from a listing, for the log and the client.
#[derive(Debug, Default)]
struct Shortfall {
    /// Whether the listing was cut off, because it has too many entries.
    cut: bool,
    /// Whether directories were left out because they are too deep.
    shallow: bool,
    /// The first directory that was too large to be sorted.
    unsorted: Option<VirtualPath>,
    /// The number of directories that could not be read, the first of them, and the error.
    unread: Option<(usize, VirtualPath, FsError)>,
}

/// One directory of a listing.
struct Level {
    path: VirtualPath,
    /// The path from the first directory of the recursion.
    below: Vec<u8>,
    entries: Entries,
    pattern: Option<VirtualPath>,
    /// Whether the directory contains directories.
    has_folders: bool,
    /// Whether all entries were returned. Then the directory is read a second time, and
    /// `entries` are its directories, which are entered one after the other.
    descending: bool,
}

impl Walk {
    /// Starts a listing of a path.
    ///
    /// # Errors
    ///
    /// When the path does not exist, or cannot be read.
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
            there => {
                let entry = walk.tree.shown_entry(path)?;
                // a link that leads nowhere is listed itself
                if entry.kind != FileKind::Link {
                    there?;
                }
                walk.one = Some((Box::new(entry), false));
            }
        }
        Ok(walk)
    }

    /// Sets the name under which a single entry is listed. The entries of a directory keep
    /// their names.
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

    /// Returns whether the listing is recursive.
    pub(super) fn is_recursive(&self) -> bool {
        self.options.recurse
    }

    /// Returns whether the last part of the path is a pattern, and not the name of a
    /// directory.
    pub(super) fn has_pattern(&self) -> bool {
        self.levels.first().is_some_and(|level| level.pattern.is_some())
    }

    /// Returns the entry of the last step.
    pub(super) fn current(&self) -> Option<&Entry> {
        let one = self.one.as_ref().map(|(entry, _)| &**entry);
        one.or_else(|| self.levels.last().map(|level| level.entries.current()))
    }

    /// Returns the directory that holds the entry of the last step; `None` for a single entry.
    pub(super) fn directory(&self) -> Option<&VirtualPath> {
        self.levels.last().map(|level| &level.path)
    }

    /// Returns the first directory; `None` for a single entry.
    pub(super) fn root(&self) -> Option<&VirtualPath> {
        self.levels.first().map(|level| &level.path)
    }

    /// Returns the path from the first directory to the current one.
    pub(super) fn below(&self) -> &[u8] {
        self.levels.last().map_or(&[], |level| &level.below)
    }

    /// Takes one step.
    ///
    /// # Errors
    ///
    /// Returns the system's error when a directory cannot be read to its end.
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

    /// Enters the directory of the last step.
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

    /// Leaves out a directory that cannot be read, as `ls -R` does. A lack of file descriptors
    /// or a failure of the system ends the listing with an error instead, because an incomplete
    /// listing would look complete.
    fn leave_out(&mut self, path: VirtualPath, why: FsError) -> Result<(), FsError> {
        match (&mut self.shortfall.unread, why) {
            (_, why) if why.spoils_listings() => return Err(why),
            // the directory was removed meanwhile
            (_, FsError::NotFound) => {}
            (Some((count, ..)), _) => *count += 1,
            (unread @ None, why) => *unread = Some((1, path, why)),
        }
        Ok(())
    }

    /// Returns the text for the client if the listing is incomplete.
    pub(super) fn lacks(&self) -> Option<String> {
        if self.shortfall.cut {
            Some(format!("cut off after {ENTRIES} entries"))
        } else if self.shortfall.shallow {
            Some(format!("not deeper than {DEPTH} directories"))
        } else {
            None
        }
    }

    /// Returns the remarks for the log, each with the directory that it is about.
    pub(super) fn remarks(&self, path: &VirtualPath) -> Vec<(VirtualPath, String)> {
        let mut remarks: Vec<_> =
            self.lacks().map(|lacks| (path.clone(), lacks)).into_iter().collect();
        if let Some(path) = &self.shortfall.unsorted {
            let text = format!("not sorted, because it has more than {SORTED} entries");
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

/// The entries of one directory, in their order.
struct Entries {
    listing: Listing,
    /// How to sort the entries; `None` once they are sorted or need not be.
    order: Option<Order>,
    /// Entries that were collected for sorting. They are returned from the end.
    held: Vec<Entry>,
    /// The last entry, if it was taken from `held`.
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
        if self.held.capacity() > 0 {
            self.current = self.held.pop();
            if self.current.is_some() {
                return Ok(Step::Entry);
            }
            // frees the memory
            self.held = Vec::new();
        }
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

    /// Collects some entries, and sorts them once all are collected.
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

/// Returns whether an entry fits a pattern. A pattern that ends with a slash fits directories
/// only.
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
